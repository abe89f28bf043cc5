/* Frames: headers by version, the ApiVersions exception, holes, and the tables of keys and errors.
 */
#include "queue/wire/api.h"

#include <string.h>

#include "base/core/random.h"
#include "queue/wire/bytes.h"
#include "queue/wire/cluster.h"
#include "queue/wire/fetch.h"
#include "queue/wire/kafka_error.h"
#include "queue/wire/produce.h"
#include "queue/wire/transactions.h"
#include "queue/wire/writer.h"
#include "tests/lib/test.h"

enum { ARENA_LIMIT = 1 << 20 };

TEST(wire_api, table_is_sorted_and_found_by_key)
{
    CHECK_EQ(wire_api_find(WIRE_API_FETCH)->key, 1);
    CHECK_STR(wire_api_find(18)->name, "ApiVersions");
    CHECK(wire_api_find(4) == NULL);
    CHECK(wire_api_find(-1) == NULL);
    CHECK(wire_api_find(32767) == NULL);
    for (size_t i = 0; i < wire_api_count; i++) {
        const struct wire_api *api = &wire_apis[i];
        CHECK(wire_api_find(api->key) == api);
        CHECK(i == 0 || wire_apis[i - 1].key < api->key);
        CHECK_EQ(api->request->version_min, api->response->version_min);
        CHECK_EQ(api->request->version_max, api->response->version_max);
        CHECK_EQ(api->request->flexible_since, api->response->flexible_since);
    }
}

/* Minima of the versions that clients look at before they choose (librdkafka's feature table). */
TEST(wire_api, ranges_are_those_that_clients_need)
{
    CHECK_EQ(wire_api_version_min_shown(wire_api_find(WIRE_API_PRODUCE)), 0);
    CHECK(!wire_api_has_version(wire_api_find(WIRE_API_PRODUCE), 2));
    CHECK(wire_api_has_version(wire_api_find(WIRE_API_FETCH), 4));
    CHECK(wire_api_has_version(wire_api_find(WIRE_API_FETCH), 10));
    CHECK(wire_api_has_version(wire_api_find(WIRE_API_LIST_OFFSETS), 1));
    CHECK(wire_api_has_version(wire_api_find(WIRE_API_METADATA), 0));
    CHECK(wire_api_has_version(wire_api_find(WIRE_API_FIND_COORDINATOR), 0));
    CHECK(wire_api_has_version(wire_api_find(WIRE_API_OFFSET_COMMIT), 2));
    CHECK(wire_api_has_version(wire_api_find(WIRE_API_OFFSET_FETCH), 1));
    CHECK(wire_api_has_version(wire_api_find(WIRE_API_JOIN_GROUP), 0));
    CHECK(wire_api_has_version(wire_api_find(WIRE_API_OFFSET_FOR_LEADER_EPOCH), 2));
    CHECK(wire_api_has_version(wire_api_find(WIRE_API_INIT_PRODUCER_ID), 0));
}

static void check_request_header(const struct wire_api *api, int version)
{
    struct wire_request request;
    struct wire_writer writer;
    struct wire_arena arena;
    _Alignas(16) uint8_t object[512];

    CHECK_LE(api->request->body->size_bytes, sizeof object);
    wire_writer_init(&writer);
    wire_arena_init(&arena, ARENA_LIMIT);
    wire_init(api->request->body, object);
    CHECK_EQ(wire_request_write(&writer, api, version, 77, wire_text("me"), object), 0);
    CHECK_EQ(wire_get_int32(writer.bytes.data), writer.bytes.size_bytes - WIRE_FRAME_PREFIX_SIZE);
    CHECK_EQ(wire_request_parse(writer.bytes.data + WIRE_FRAME_PREFIX_SIZE,
                                writer.bytes.size_bytes - WIRE_FRAME_PREFIX_SIZE, &request),
             0);
    CHECK(request.api == api);
    CHECK_EQ(request.api_version, version);
    CHECK_EQ(request.correlation_id, 77);
    CHECK(wire_string_is(request.client_id, "me"));
    CHECK_EQ(
        wire_decode(api->request, version, request.body, request.body_size_bytes, &arena, object),
        0);
    wire_arena_done(&arena);
    wire_writer_done(&writer);
}

static void check_response_header(const struct wire_api *api, int version)
{
    struct wire_writer writer;
    struct wire_arena arena;
    _Alignas(16) uint8_t object[512];
    int32_t correlation_id = 0;

    CHECK_LE(api->response->body->size_bytes, sizeof object);
    wire_writer_init(&writer);
    wire_arena_init(&arena, ARENA_LIMIT);
    wire_init(api->response->body, object);
    CHECK_EQ(wire_response_write(&writer, api, version, -5, object), 0);
    CHECK_EQ(wire_response_correlation(writer.bytes.data + WIRE_FRAME_PREFIX_SIZE,
                                       writer.bytes.size_bytes - WIRE_FRAME_PREFIX_SIZE,
                                       &correlation_id),
             0);
    CHECK_EQ(correlation_id, -5);
    CHECK_EQ(wire_response_parse(api, version, writer.bytes.data + WIRE_FRAME_PREFIX_SIZE,
                                 writer.bytes.size_bytes - WIRE_FRAME_PREFIX_SIZE, &arena, object),
             0);
    wire_arena_done(&arena);
    wire_writer_done(&writer);
}

TEST(wire_api, frames_of_every_version_find_their_header_and_body)
{
    for (size_t i = 0; i < wire_api_count; i++) {
        const struct wire_api *api = &wire_apis[i];
        for (int v = api->request->version_min; v <= api->request->version_max; v++) {
            check_request_header(api, v);
            check_response_header(api, v);
        }
    }
}

/* KIP-511: an answer to ApiVersions never has tags in its header, so that an older client can read
 * it. */
TEST(wire_api, api_versions_answers_have_the_old_header)
{
    static const uint8_t expected[] = {0, 0, 0, 12, 0, 0, 0, 9, 0, 35, 1, 0, 0, 0, 0, 0};
    struct api_versions_response response;
    struct wire_writer writer;

    wire_writer_init(&writer);
    api_versions_response_init(&response);
    response.error_code = KAFKA_UNSUPPORTED_VERSION;
    CHECK_EQ(wire_response_write(&writer, wire_api_find(18), 3, 9, &response), 0);
    CHECK_EQ(writer.bytes.size_bytes, sizeof expected);
    CHECK_MEM(writer.bytes.data, expected, sizeof expected);
    wire_writer_done(&writer);
}

TEST(wire_api, unknown_apis_and_versions_still_tell_whom_to_answer)
{
    static const uint8_t newer[] = {0, 18, 0, 9, 0, 0, 0, 42, 0, 1, 'x', 0};
    static const uint8_t nonsense[] = {0x12, 0x34, 0, 0, 0, 0, 0, 1};
    static const uint8_t cut_id[] = {0, 3, 0, 1, 0, 0, 0, 1, 0, 9, 'x'};
    struct wire_request request;

    CHECK_EQ(wire_request_parse(newer, sizeof newer, &request), MR_EUNSUPPORTED);
    CHECK_EQ(request.api_key, WIRE_API_API_VERSIONS);
    CHECK_EQ(request.api_version, 9);
    CHECK_EQ(request.correlation_id, 42);
    CHECK_EQ(wire_request_parse(nonsense, sizeof nonsense, &request), MR_EUNSUPPORTED);
    CHECK(request.api == NULL);
    CHECK_EQ(wire_request_parse(nonsense, 7, &request), MR_ETRUNCATED);
    CHECK_EQ(wire_request_parse(cut_id, sizeof cut_id, &request), MR_ETRUNCATED);
}

struct payload {
    const char *text;
};

static void fill(void *payload, uint8_t *data, int32_t size_bytes)
{
    memcpy(data, ((struct payload *)payload)->text, (size_t)size_bytes);
}

/* Goal: records that are not here are counted in every length and leave a hole at their place;
 * filled, the frame reads like any other. */
TEST(wire_api, payloads_leave_holes_that_lengths_count)
{
    struct payload payloads[2] = {{"first batch"}, {"second"}};
    struct fetch_response response;
    struct fetch_response again;
    struct fetch_response_topic topic;
    struct fetch_response_partition partitions[3];
    struct wire_writer writer;
    struct wire_arena arena;
    struct mr_buf *whole;

    wire_writer_init(&writer);
    wire_arena_init(&arena, ARENA_LIMIT);
    fetch_response_init(&response);
    fetch_response_topic_init(&topic);
    for (int i = 0; i < 3; i++) {
        fetch_response_partition_init(&partitions[i]);
        partitions[i].partition_index = i;
    }
    partitions[0].records = (struct wire_records){NULL, 11, &payloads[0]};
    partitions[1].records = (struct wire_records){(const uint8_t *)"copied", 6, NULL};
    partitions[2].records = (struct wire_records){NULL, 6, &payloads[1]};
    topic.partitions = (struct fetch_response_partition_array){partitions, 3};
    response.responses = (struct fetch_response_topic_array){&topic, 1};
    for (int version = 4; version <= 18; version++) {
        wire_writer_clear(&writer);
        CHECK_EQ(wire_response_write(&writer, wire_api_find(1), version, 1, &response), 0);
        CHECK_EQ(writer.hole_count, 2);
        CHECK_EQ(writer.hole_bytes, 17);
        whole = wire_writer_flatten(&writer, fill);
        CHECK(whole != NULL);
        CHECK_EQ(wire_get_int32(whole->data), whole->size_bytes - 4);
        CHECK_EQ(wire_response_parse(wire_api_find(1), version, whole->data + 4,
                                     whole->size_bytes - 4, &arena, &again),
                 0);
        for (int i = 0; i < 3; i++) {
            const char *expected = i == 1 ? "copied" : payloads[i / 2].text;
            struct wire_records records = again.responses.items[0].partitions.items[i].records;
            CHECK_EQ(records.size, strlen(expected));
            CHECK_MEM(records.data, expected, strlen(expected));
        }
        mr_buf_unref(whole);
    }
    wire_arena_done(&arena);
    wire_writer_done(&writer);
}

TEST(wire_api, a_frame_beyond_two_gibibytes_is_refused_whole)
{
    struct payload payload = {""};
    struct fetch_response response;
    struct fetch_response_topic topic;
    struct fetch_response_partition partitions[2];
    struct wire_writer writer;

    wire_writer_init(&writer);
    fetch_response_init(&response);
    fetch_response_topic_init(&topic);
    for (int i = 0; i < 2; i++) {
        fetch_response_partition_init(&partitions[i]);
        partitions[i].records = (struct wire_records){NULL, INT32_MAX, &payload};
    }
    topic.partitions = (struct fetch_response_partition_array){partitions, 2};
    response.responses = (struct fetch_response_topic_array){&topic, 1};
    CHECK_EQ(wire_response_write(&writer, wire_api_find(1), 12, 1, &response), MR_ETOOLARGE);
    CHECK_EQ(writer.bytes.size_bytes, 0);
    CHECK_EQ(writer.hole_count, 0);
    CHECK_EQ(wire_writer_size(&writer), 0);
    wire_writer_done(&writer);
}

/* Our extension travels as a tagged field that any other node skips. */
TEST(wire_api, describe_producers_carries_the_ids_asked_for)
{
    int64_t ids[] = {INT64_C(0x4000000000000001), 7};
    struct describe_producers_request request;
    struct describe_producers_request again;
    struct wire_writer writer;
    struct wire_arena arena;

    wire_writer_init(&writer);
    wire_arena_init(&arena, ARENA_LIMIT);
    describe_producers_request_init(&request);
    CHECK_EQ(wire_encode(&describe_producers_request_message, 0, &request, &writer), 0);
    CHECK_EQ(writer.bytes.size_bytes, 2); /* no topics, no tags */
    request.producer_ids = (struct wire_int64_array){ids, 2};
    wire_writer_clear(&writer);
    CHECK_EQ(wire_encode(&describe_producers_request_message, 0, &request, &writer), 0);
    CHECK_EQ(wire_decode(&describe_producers_request_message, 0, writer.bytes.data,
                         writer.bytes.size_bytes, &arena, &again),
             0);
    CHECK_EQ(again.producer_ids.count, 2);
    CHECK_EQ(again.producer_ids.items[0], ids[0]);
    wire_arena_done(&arena);
    wire_writer_done(&writer);
}

TEST(kafka_error, table_has_names_and_classes)
{
    CHECK_STR(kafka_error_name(0), "NONE");
    CHECK_STR(kafka_error_name(-1), "UNKNOWN_SERVER_ERROR");
    CHECK_STR(kafka_error_name(6), "NOT_LEADER_OR_FOLLOWER");
    CHECK_STR(kafka_error_name(-2), "UNKNOWN");
    CHECK_STR(kafka_error_name(30000), "UNKNOWN");
    CHECK(kafka_error_is_retriable(2));
    CHECK(kafka_error_is_retriable(6));
    CHECK(!kafka_error_is_retriable(87));
    CHECK(kafka_error_wants_metadata(6));
    CHECK(!kafka_error_wants_metadata(2));
    for (int code = -1; code <= 136; code++) {
        CHECK(strcmp(kafka_error_name(code), "UNKNOWN") != 0);
    }
}

TEST(kafka_error, every_code_of_ours_has_an_answer)
{
    CHECK_EQ(kafka_error_of(0), 0);
    for (int code = -1; code > MR_CODE_END; code--) {
        CHECK(code == MR_EDUPLICATE || kafka_error_of(code) != KAFKA_NONE);
    }
    CHECK_EQ(kafka_error_of(MR_ECORRUPT), 2);
    CHECK_EQ(kafka_error_of(MR_ESEQUENCE), 45);
    CHECK_EQ(kafka_error_of(-9999), -1);
    for (int code = -1; code <= 136; code++) {
        CHECK((kafka_error_to_code(code) == 0) == (code == 0));
    }
}
