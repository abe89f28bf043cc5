/* `millrace produce`: lines of standard input become records.
 *
 * What one read(2) gives is put into batches, one per partition, sent, and waited for, so that
 * somebody who types sees each line arrive, and a pipe is sent in large batches. Nothing is sent
 * twice: where the connection breaks under a batch, nobody can tell whether it was written, and the
 * command says so and ends. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/kafka.h"
#include "agent/cli/target.h"
#include "base/codec/codec.h"
#include "base/core/buffer.h"
#include "base/core/memory.h"
#include "base/core/option.h"
#include "queue/wire/batch_builder.h"
#include "queue/wire/kafka_error.h"
#include "queue/wire/produce.h"

enum {
    READ_BYTES = 256 << 10,
    LINE_BYTES_MAX = 16 << 20,
    BATCH_BYTES_MAX = 900 << 10, /* below max.message.bytes as Kafka has it by default */
    BY_NAME = 12,                /* the last version of Produce with topic names */
    TIMEOUT_MS = 30000,
};

struct produce {
    struct cli_kafka kafka;
    struct cli_target target;
    const char *topic;
    const char *separator; /* NULL: no keys */
    int16_t acks;
    int64_t partition; /* -1: by the key, or by turns */
    struct cli_topic info;
    struct mr_codec_context *codecs;
    struct batch_builder *builders; /* one per partition */
    int32_t turn;                   /* the partition of lines without a key */
    struct mr_bytes pending;        /* read, and not yet a whole line */
    int64_t written;
};

/* ---- partitions ---- */

/* MurmurHash2 (Austin Appleby, public domain) with Kafka's seed, so that a key goes where Kafka's
 * own clients send it. */
static uint32_t murmur2(const uint8_t *data, size_t size)
{
    const uint32_t m = UINT32_C(0x5bd1e995);
    uint32_t hash = UINT32_C(0x9747b28c) ^ (uint32_t)size;

    for (; size >= 4; size -= 4, data += 4) {
        uint32_t word =
            data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        word *= m;
        word ^= word >> 24;
        hash = hash * m ^ word * m;
    }
    for (size_t i = size; i > 0; i--) {
        hash ^= (uint32_t)data[i - 1] << (8 * (i - 1));
    }
    hash = size > 0 ? hash * m : hash;
    hash = (hash ^ hash >> 13) * m;
    return hash ^ hash >> 15;
}

static int32_t partition_of(const struct produce *produce, const void *key, int32_t key_size)
{
    if (produce->partition >= 0) {
        return (int32_t)produce->partition;
    }
    if (key_size < 0) {
        return produce->turn;
    }
    return (int32_t)((murmur2(key, (size_t)key_size) & 0x7fffffff) %
                     (uint32_t)produce->info.partition_count);
}

/* ---- sending ---- */

struct produced {
    struct produce *produce;
    int32_t record_count;
};

static int on_produced(void *owner, const void *answer)
{
    struct produced *produced = owner;
    struct produce *produce = produced->produce;
    const struct produce_response *response = answer;
    const struct produce_response_partition *partition;

    if (response->responses.count != 1 ||
        response->responses.items[0].partition_responses.count != 1) {
        return cli_fail("produce", CLI_FAILED, "the node answers for other partitions");
    }
    partition = &response->responses.items[0].partition_responses.items[0];
    if (partition->error_code != 0) {
        return cli_kafka_refused(&produce->kafka, produce->topic, partition->error_code,
                                 &partition->error_message);
    }
    produce->written += produced->record_count;
    return CLI_OK;
}

static int send_batch(struct produce *produce, int32_t partition, struct mr_buf *batch,
                      int32_t record_count)
{
    struct produced produced = {produce, record_count};
    struct produce_request_partition one = {
        .index = partition, .records = {.data = batch->data, .size = (int32_t)batch->size_bytes}};
    struct produce_request_topic topic = {.name = wire_text(produce->topic),
                                          .partition_data = {&one, 1}};
    struct produce_request message;
    struct client_request request = {.key = WIRE_API_PRODUCE,
                                     .message = &message,
                                     .node = CLIENT_NODE_LEADER,
                                     .topic = produce->topic,
                                     .partition = partition,
                                     .version_max = BY_NAME};

    produce_request_init(&message);
    message.acks = produce->acks;
    message.timeout_ms = TIMEOUT_MS;
    message.topic_data = (struct produce_request_topic_array){&topic, 1};
    return cli_kafka_call(&produce->kafka, &request, on_produced, &produced);
}

static int flush(struct produce *produce, int32_t partition)
{
    struct batch_builder *builder = &produce->builders[partition];
    int32_t count = batch_builder_count(builder);
    struct mr_buf *batch = NULL;
    int rc;

    if (count == 0) {
        return CLI_OK;
    }
    rc = batch_builder_finish(builder, NULL, NULL, 0, 0, &batch);
    if (rc == 0) {
        rc = batch_builder_begin(builder, mr_loop_wall_ms(produce->kafka.loop));
    }
    if (rc != 0) {
        mr_buf_unref(batch);
        return cli_fail("produce", CLI_FAILED, "%s", mr_code_text(rc));
    }
    rc = send_batch(produce, partition, batch, count);
    mr_buf_unref(batch);
    return rc;
}

static int flush_all(struct produce *produce)
{
    int rc = CLI_OK;

    for (int32_t i = 0; rc == CLI_OK && i < produce->info.partition_count; i++) {
        rc = flush(produce, i);
    }
    produce->turn = (produce->turn + 1) % produce->info.partition_count;
    return rc;
}

/* ---- lines ---- */

static int add_line(struct produce *produce, const uint8_t *line, size_t size)
{
    struct batch_builder_record record = {.timestamp_ms = mr_loop_wall_ms(produce->kafka.loop),
                                          .key_size = -1,
                                          .value = line,
                                          .value_size = (int32_t)size};
    size_t separator_size = produce->separator == NULL ? 0 : strlen(produce->separator);
    const uint8_t *found =
        separator_size == 0 ? NULL : memmem(line, size, produce->separator, separator_size);
    int32_t partition;
    int rc;

    if (found != NULL) {
        record.key = line;
        record.key_size = (int32_t)(found - line);
        record.value = found + separator_size;
        record.value_size = (int32_t)(line + size - found - separator_size);
    }
    partition = partition_of(produce, record.key, record.key_size);
    rc = batch_builder_add(&produce->builders[partition], &record);
    if (rc == MR_EFULL) {
        rc = flush(produce, partition);
        if (rc != CLI_OK) {
            return rc;
        }
        rc = batch_builder_add(&produce->builders[partition], &record);
    }
    return rc == 0 ? CLI_OK
                   : cli_fail("produce", CLI_FAILED, "line %" PRId64 ": %s", produce->written + 1,
                              mr_code_text(rc));
}

/* Every whole line of what is pending; at the end also the rest. */
static int take_lines(struct produce *produce, bool is_end)
{
    struct mr_bytes *pending = &produce->pending;
    size_t at = 0;
    int rc = CLI_OK;

    while (rc == CLI_OK && at < pending->size_bytes) {
        const uint8_t *start = pending->data + at;
        const uint8_t *feed = memchr(start, '\n', pending->size_bytes - at);
        size_t size = feed != NULL ? (size_t)(feed - start) : pending->size_bytes - at;
        if (feed == NULL && !is_end) {
            break;
        }
        rc = add_line(produce, start, size);
        at += size + (feed != NULL);
    }
    if (at > 0) {
        memmove(pending->data, pending->data + at, pending->size_bytes - at);
        pending->size_bytes -= at;
    }
    if (rc == CLI_OK && pending->size_bytes > LINE_BYTES_MAX) {
        rc = cli_fail("produce", CLI_FAILED, "a line is longer than %d bytes", LINE_BYTES_MAX);
    }
    return rc;
}

/* Waits for input, and for Ctrl-C. 1: something is there. */
static int wait_for_input(struct produce *produce)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    while (!produce->kafka.is_interrupted) {
        int count = poll(&input, 1, 50);
        if (count > 0) {
            return 1;
        }
        mr_loop_turn(produce->kafka.loop, 0); /* sees signals, and keeps the connection */
    }
    return 0;
}

static int produce_all(struct produce *produce)
{
    int rc = CLI_OK;

    while (rc == CLI_OK && wait_for_input(produce)) {
        if (mr_bytes_reserve(&produce->pending, READ_BYTES) != 0) {
            return cli_fail("produce", CLI_FAILED, "%s", mr_code_text(MR_ENOMEM));
        }
        ssize_t count =
            read(STDIN_FILENO, produce->pending.data + produce->pending.size_bytes, READ_BYTES);
        if (count < 0 && errno != EINTR && errno != EAGAIN) {
            return cli_fail("produce", CLI_FAILED, "standard input: %s", strerror(errno));
        }
        produce->pending.size_bytes += count > 0 ? (size_t)count : 0;
        rc = take_lines(produce, count == 0);
        rc = rc == CLI_OK ? flush_all(produce) : rc;
        if (count == 0) {
            return rc;
        }
    }
    return produce->kafka.is_interrupted ? CLI_INTERRUPTED : rc;
}

/* ---- arguments ---- */

static int open_builders(struct produce *produce, enum mr_codec codec)
{
    struct batch_builder_options options = {.size_bytes_max = BATCH_BYTES_MAX, .codec = codec};
    int rc = mr_codec_context_new(&produce->codecs);

    options.codecs = produce->codecs;
    produce->builders = mr_calloc((size_t)produce->info.partition_count, sizeof *produce->builders);
    rc = produce->builders == NULL ? MR_ENOMEM : rc;
    for (int32_t i = 0; rc == 0 && i < produce->info.partition_count; i++) {
        batch_builder_init(&produce->builders[i], &options);
        rc = batch_builder_begin(&produce->builders[i], mr_loop_wall_ms(produce->kafka.loop));
    }
    return rc == 0 ? CLI_OK : cli_fail("produce", CLI_FAILED, "%s", mr_code_text(rc));
}

static int run(struct produce *produce, enum mr_codec codec)
{
    int rc = cli_kafka_open(&produce->kafka, "produce", &produce->target);

    if (rc == CLI_OK) {
        rc = cli_kafka_topic(&produce->kafka, produce->topic, true, &produce->info);
    }
    if (rc == CLI_OK && produce->info.partition_count <= produce->partition) {
        rc = cli_fail("produce", CLI_FAILED, "%s has %d partitions", produce->topic,
                      (int)produce->info.partition_count);
    }
    if (rc == CLI_OK && produce->info.partition_count == 0) {
        rc = cli_fail("produce", CLI_FAILED, "%s has no partitions", produce->topic);
    }
    if (rc == CLI_OK) {
        rc = open_builders(produce, codec);
    }
    if (rc == CLI_OK) {
        rc = produce_all(produce);
        if (rc != CLI_OK) {
            fprintf(stderr, "millrace produce: %" PRId64 " records were acknowledged before that\n",
                    produce->written);
        }
    }
    for (int32_t i = 0; produce->builders != NULL && i < produce->info.partition_count; i++) {
        batch_builder_done(&produce->builders[i]);
    }
    mr_free(produce->builders);
    mr_codec_context_free(produce->codecs);
    mr_bytes_done(&produce->pending);
    cli_kafka_close(&produce->kafka);
    return rc;
}

int cli_produce(int argc, char **argv)
{
    struct produce produce = {.partition = -1};
    const char *partition = NULL;
    const char *acks = "all";
    const char *compression = "lz4";
    const struct cli_option options[] = {
        CLI_TARGET_ANY(produce.target),
        {.name = "topic", .letter = 't', .value = &produce.topic},
        {.name = "partition", .letter = 'p', .value = &partition},
        {.name = "key", .letter = 'k', .value = &produce.separator},
        {.name = "acks", .value = &acks},
        {.name = "compression", .letter = 'z', .value = &compression},
        {0}};
    enum mr_codec codec;
    int rest = cli_parse("produce", argc, argv, options);

    if (rest < 0) {
        return CLI_USAGE;
    }
    if (rest < argc || produce.topic == NULL) {
        return cli_fail("produce", CLI_USAGE,
                        rest < argc ? "'%s' is one word too many" : "to which topic? -t NAME%s",
                        rest < argc ? argv[rest] : "");
    }
    if (partition != NULL && (mr_parse_int(partition, &produce.partition) != 0 ||
                              produce.partition < 0 || produce.partition > INT32_MAX)) {
        return cli_fail("produce", CLI_USAGE, "-p %s: the number of a partition is wanted",
                        partition);
    }
    if (strcmp(acks, "all") != 0 && strcmp(acks, "1") != 0) {
        return cli_fail("produce", CLI_USAGE, "--acks is all or 1, not '%s'", acks);
    }
    if (mr_codec_parse(compression, &codec) != 0) {
        return cli_fail("produce", CLI_USAGE, "there is no codec '%s'", compression);
    }
    produce.acks = strcmp(acks, "1") == 0 ? 1 : -1;
    mr_bytes_init(&produce.pending);
    return run(&produce, codec);
}
