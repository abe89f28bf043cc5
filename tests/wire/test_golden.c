/* Bytes that others wrote: requests of real clients (clients.golden), and every message in every
 * version from an encoder that shares nothing with ours (messages.golden). Decoded, encoded again,
 * and compared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/memory.h"
#include "queue/wire/api.h"
#include "queue/wire/batch_check.h"
#include "queue/wire/produce.h"
#include "queue/wire/writer.h"
#include "tests/lib/test.h"
#include "tests/lib/wire_messages.h"

enum { LINE_SIZE = 8192, ARENA_LIMIT = 1 << 20 };

static const struct wire_message *find_message(const char *name)
{
    for (size_t i = 0; i < wire_api_count; i++) {
        if (strcmp(wire_apis[i].request->name, name) == 0) {
            return wire_apis[i].request;
        }
        if (strcmp(wire_apis[i].response->name, name) == 0) {
            return wire_apis[i].response;
        }
    }
    for (size_t i = 0; i < sizeof lone_messages / sizeof lone_messages[0]; i++) {
        if (strcmp(lone_messages[i]->name, name) == 0) {
            return lone_messages[i];
        }
    }
    return NULL;
}

static size_t from_hex(const char *text, uint8_t *data)
{
    size_t size = 0;
    unsigned byte;

    for (; *text != '-' && sscanf(text, "%2x", &byte) == 1; text += 2) {
        data[size++] = (uint8_t)byte;
    }
    return size;
}

static FILE *open_golden(const char *name)
{
    char path[512];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/wire/%s", TESTS_DIR, name);
    file = fopen(path, "r");
    CHECK(file != NULL);
    return file;
}

static void same_again(const struct wire_message *message, int version, const uint8_t *data,
                       size_t size)
{
    struct wire_arena arena;
    struct wire_writer writer;
    void *object = mr_malloc(message->body->size_bytes);

    wire_arena_init(&arena, ARENA_LIMIT);
    wire_writer_init(&writer);
    CHECK(object != NULL);
    CHECK_EQ(wire_decode(message, version, data, size, &arena, object), 0);
    CHECK_EQ(wire_encode(message, version, object, &writer), 0);
    CHECK_EQ(writer.bytes.size_bytes, size);
    CHECK(size == 0 || memcmp(writer.bytes.data, data, size) == 0);
    wire_writer_done(&writer);
    wire_arena_done(&arena);
    mr_free(object);
}

TEST(golden, every_message_in_every_version_reads_and_writes_as_others_do)
{
    static char line[LINE_SIZE];
    static uint8_t data[LINE_SIZE];
    FILE *file = open_golden("messages.golden");
    int count = 0;

    while (fgets(line, sizeof line, file) != NULL) {
        char name[100];
        char hex[LINE_SIZE];
        const struct wire_message *message;
        int version;
        if (line[0] == '#') {
            continue;
        }
        CHECK_EQ(sscanf(line, "%99s %d %8191s", name, &version, hex), 3);
        message = find_message(name);
        if (message == NULL) {
            test_fail(__FILE__, __LINE__, "no message %s", name);
        }
        if (!wire_message_has_version(message, version)) {
            test_fail(__FILE__, __LINE__, "%s has no version %d", name, version);
        }
        same_again(message, version, data, from_hex(hex, data));
        count++;
    }
    (void)fclose(file);
    CHECK_GT(count, 1000);
}

/* What a client produced is a batch that we take, in each codec. */
static void check_produced(const struct wire_request *request, struct mr_codec_context *codecs,
                           int *codecs_seen)
{
    struct produce_request produce;
    struct wire_arena arena;
    struct mr_bytes scratch;
    struct batch_check check = {
        .batch_size_bytes_max = 1 << 20,
        .records_size_bytes_max = 1 << 20,
        .timestamp_before_ms = 1,
        .timestamp_after_ms = INT64_MAX,
        .codecs = codecs,
        .scratch = &scratch,
    };
    struct batch_check_result result;

    mr_bytes_init(&scratch);
    wire_arena_init(&arena, ARENA_LIMIT);
    CHECK_EQ(wire_decode(request->api->request, request->api_version, request->body,
                         request->body_size_bytes, &arena, &produce),
             0);
    CHECK_EQ(produce.topic_data.count, 1);
    CHECK_EQ(produce.topic_data.items[0].partition_data.count, 1);
    {
        struct wire_records records = produce.topic_data.items[0].partition_data.items[0].records;
        CHECK_EQ(batch_check(&check, records.data, (size_t)records.size, &result), 0);
    }
    *codecs_seen |= 1 << (result.header.attributes & BATCH_CODEC_MASK);
    CHECK_GT(result.header.record_count, 0);
    CHECK_EQ(result.max_timestamp_ms, result.header.max_timestamp_ms);
    wire_arena_done(&arena);
    mr_bytes_done(&scratch);
}

static void check_client_frame(const uint8_t *data, size_t size, const char *name, int version,
                               struct mr_codec_context *codecs, int *codecs_seen)
{
    struct wire_request request;
    char expected[100];

    CHECK_EQ(wire_request_parse(data, size, &request), 0);
    (void)snprintf(expected, sizeof expected, "%s_request", name);
    CHECK_STR(request.api->request->name, expected);
    CHECK_EQ(request.api_version, version);
    CHECK_GT(request.client_id.size, 0);
    same_again(request.api->request, version, request.body, request.body_size_bytes);
    if (request.api_key == WIRE_API_PRODUCE) {
        check_produced(&request, codecs, codecs_seen);
    }
}

TEST(golden, requests_of_real_clients_are_read_to_the_last_byte)
{
    static char line[LINE_SIZE];
    static uint8_t data[LINE_SIZE];
    FILE *file = open_golden("clients.golden");
    struct mr_codec_context *codecs = NULL;
    int codecs_seen = 0;
    int count = 0;

    CHECK_EQ(mr_codec_context_new(&codecs), 0);
    while (fgets(line, sizeof line, file) != NULL) {
        char client[50];
        char name[50];
        char hex[LINE_SIZE];
        int version;
        if (line[0] == '#') {
            continue;
        }
        CHECK_EQ(sscanf(line, "%49s %49s %d %8191s", client, name, &version, hex), 4);
        check_client_frame(data, from_hex(hex, data), name, version, codecs, &codecs_seen);
        count++;
    }
    (void)fclose(file);
    mr_codec_context_free(codecs);
    CHECK_GT(count, 25);
    CHECK_EQ(codecs_seen, 0x1f); /* all five */
}
