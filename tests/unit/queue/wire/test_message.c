/* The descriptions, and the two that walk them: every message in every version, with random values,
 * cut and flipped bytes, lying counts, a memory bound, and a heap that fails. */
#include "queue/wire/message.h"

#include <string.h>

#include "base/core/memory.h"
#include "base/core/random.h"
#include "queue/wire/api.h"
#include "queue/wire/cluster.h"
#include "queue/wire/fetch.h"
#include "queue/wire/message_internal.h"
#include "queue/wire/produce.h"
#include "queue/wire/writer.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"
#include "tests/lib/wire_messages.h"

enum { ARENA_LIMIT = 1 << 22, MESSAGE_SIZE_MAX = 16384 };

struct world {
    struct mr_random_seeded random;
    struct wire_arena arena;
};

static uint64_t below(struct world *world, uint64_t bound)
{
    return mr_random_below(&world->random.base, bound);
}

/* ---- random values ---- */

static void random_struct(struct world *world, const struct wire_struct *type, int version,
                          void *object);

static void *random_bytes(struct world *world, int32_t *ret_size)
{
    size_t size = below(world, 8) == 0 ? below(world, 300) : below(world, 6);
    void *data = wire_arena_alloc(&world->arena, size + 1);

    CHECK(data != NULL);
    world->random.base.fill(&world->random.base, data, size);
    *ret_size = (int32_t)size;
    return data;
}

static void random_scalar(struct world *world, enum wire_kind kind, void *out)
{
    double number = (double)below(world, 1 << 20) / 16;

    switch (kind) {
    case WIRE_BOOL:
        *(bool *)out = below(world, 2) == 1;
        break;
    case WIRE_INT8:
        world->random.base.fill(&world->random.base, out, 1);
        break;
    case WIRE_INT16:
    case WIRE_UINT16:
        world->random.base.fill(&world->random.base, out, 2);
        break;
    case WIRE_INT32:
        world->random.base.fill(&world->random.base, out, 4);
        break;
    case WIRE_INT64:
        world->random.base.fill(&world->random.base, out, 8);
        break;
    case WIRE_FLOAT64:
        memcpy(out, &number, sizeof number);
        break;
    case WIRE_UUID:
        world->random.base.fill(&world->random.base, out, sizeof(struct mr_uuid));
        break;
    default:
        CHECK(kind == WIRE_UUID);
    }
}

static void random_string(struct world *world, struct wire_string *string)
{
    string->data = random_bytes(world, &string->size);
}

static void random_array(struct world *world, const struct wire_field *field, int version,
                         void *out)
{
    int32_t count = (int32_t)below(world, 4);
    size_t item_size = wire_item_size(field);
    uint8_t *items = count == 0 ? NULL : wire_arena_array(&world->arena, (size_t)count, item_size);

    CHECK(count == 0 || items != NULL);
    for (int32_t i = 0; i < count; i++) {
        uint8_t *item = items + (size_t)i * item_size;
        if (field->item == WIRE_STRUCT) {
            random_struct(world, field->body, version, item);
        } else if (field->item == WIRE_STRING) {
            random_string(world, (struct wire_string *)(void *)item);
        } else {
            random_scalar(world, field->item, item);
        }
    }
    wire_array_store(out, items, count);
}

static void set_null(const struct wire_field *field, void *out)
{
    void *nothing = NULL;

    switch ((enum wire_kind)field->kind) {
    case WIRE_ARRAY:
        wire_array_store(out, NULL, -1);
        break;
    case WIRE_OPTIONAL:
        memcpy(out, &nothing, sizeof nothing);
        break;
    case WIRE_RECORDS:
        *(struct wire_records *)out = (struct wire_records){NULL, -1, NULL};
        break;
    case WIRE_BYTES:
        *(struct wire_bytes *)out = (struct wire_bytes){NULL, -1};
        break;
    default:
        *(struct wire_string *)out = (struct wire_string){NULL, -1};
        break;
    }
}

static void random_field(struct world *world, const struct wire_field *field, int version,
                         void *object)
{
    void *out = (uint8_t *)object + field->offset;
    struct wire_records *records = out;
    struct wire_bytes *bytes = out;
    void *pointer;

    wire_field_init(field, object);
    if (!wire_field_in(field, version) || (field->is_tagged && below(world, 3) == 0)) {
        return;
    }
    if (field->is_nullable && version >= field->null_since && below(world, 4) == 0) {
        set_null(field, out);
        return;
    }
    switch ((enum wire_kind)field->kind) {
    case WIRE_STRING:
    case WIRE_CLASSIC_STRING:
        random_string(world, out);
        break;
    case WIRE_BYTES:
        bytes->data = random_bytes(world, &bytes->size);
        break;
    case WIRE_RECORDS:
        records->data = random_bytes(world, &records->size);
        break;
    case WIRE_ARRAY:
        random_array(world, field, version, out);
        break;
    case WIRE_STRUCT:
        random_struct(world, field->body, version, out);
        break;
    case WIRE_OPTIONAL:
        pointer = wire_arena_alloc(&world->arena, field->body->size_bytes);
        CHECK(pointer != NULL);
        random_struct(world, field->body, version, pointer);
        memcpy(out, &pointer, sizeof pointer);
        break;
    default:
        random_scalar(world, field->kind, out);
        break;
    }
}

static void random_struct(struct world *world, const struct wire_struct *type, int version,
                          void *object)
{
    for (const struct wire_field *field = type->rows(); field->kind != WIRE_END; field++) {
        random_field(world, field, version, object);
    }
}

/* ---- comparison ---- */

static bool same_struct(const struct wire_struct *type, const void *left, const void *right);

static bool same_blob(const void *left, int32_t left_size, const void *right, int32_t right_size)
{
    return left_size == right_size &&
           (left_size <= 0 || memcmp(left, right, (size_t)left_size) == 0);
}

static bool same_string(const void *left, const void *right)
{
    struct wire_string a;
    struct wire_string b;

    memcpy(&a, left, sizeof a);
    memcpy(&b, right, sizeof b);
    return same_blob(a.data, a.size, b.data, b.size);
}

static bool same_array(const struct wire_field *field, const void *left, const void *right)
{
    struct wire_array_view a = wire_array_load(left);
    struct wire_array_view b = wire_array_load(right);
    size_t size = wire_item_size(field);

    if (a.count != b.count) {
        return false;
    }
    for (int32_t i = 0; i < a.count; i++) {
        const uint8_t *one = (const uint8_t *)a.items + (size_t)i * size;
        const uint8_t *other = (const uint8_t *)b.items + (size_t)i * size;
        bool same = field->item == WIRE_STRUCT   ? same_struct(field->body, one, other)
                    : field->item == WIRE_STRING ? same_string(one, other)
                                                 : memcmp(one, other, size) == 0;
        if (!same) {
            return false;
        }
    }
    return true;
}

static bool same_field(const struct wire_field *field, const void *left_object,
                       const void *right_object)
{
    const uint8_t *left = (const uint8_t *)left_object + field->offset;
    const uint8_t *right = (const uint8_t *)right_object + field->offset;
    struct wire_field as_item = *field;
    const void *a;
    const void *b;

    switch ((enum wire_kind)field->kind) {
    case WIRE_STRING:
    case WIRE_CLASSIC_STRING:
    case WIRE_BYTES:
    case WIRE_RECORDS: /* all begin with {data, size} */
        return same_string(left, right);
    case WIRE_ARRAY:
        return same_array(field, left, right);
    case WIRE_STRUCT:
        return same_struct(field->body, left, right);
    case WIRE_OPTIONAL:
        memcpy(&a, left, sizeof a);
        memcpy(&b, right, sizeof b);
        return (a == NULL) == (b == NULL) && (a == NULL || same_struct(field->body, a, b));
    default:
        as_item.item = field->kind;
        return memcmp(left, right, wire_item_size(&as_item)) == 0;
    }
}

static bool same_struct(const struct wire_struct *type, const void *left, const void *right)
{
    for (const struct wire_field *field = type->rows(); field->kind != WIRE_END; field++) {
        if (!same_field(field, left, right)) {
            return false;
        }
    }
    return true;
}

/* ---- all messages ---- */

typedef void (*message_cb)(struct world *world, const struct wire_message *message, int version);

static void each_version(struct world *world, const struct wire_message *message, message_cb cb)
{
    for (int version = message->version_min; version <= message->version_max; version++) {
        cb(world, message, version);
        wire_arena_reset(&world->arena);
    }
}

static void each_message(message_cb cb)
{
    struct world world;

    mr_random_seeded_init(&world.random, test_seed());
    wire_arena_init(&world.arena, ARENA_LIMIT);
    for (size_t i = 0; i < wire_api_count; i++) {
        each_version(&world, wire_apis[i].request, cb);
        each_version(&world, wire_apis[i].response, cb);
    }
    for (size_t i = 0; i < sizeof lone_messages / sizeof lone_messages[0]; i++) {
        each_version(&world, lone_messages[i], cb);
    }
    wire_arena_done(&world.arena);
}

static void *make(struct world *world, const struct wire_message *message)
{
    void *object = wire_arena_alloc(&world->arena, message->body->size_bytes + 1);

    CHECK(object != NULL);
    /* Nothing may be left of what was there before. */
    memset(object, 0xa5, message->body->size_bytes);
    return object;
}

static void round_trip(struct world *world, const struct wire_message *message, int version)
{
    struct wire_writer writer;
    void *before = make(world, message);
    void *after = make(world, message);
    size_t size;

    wire_writer_init(&writer);
    random_struct(world, message->body, version, before);
    CHECK_EQ(wire_encode(message, version, before, &writer), 0);
    size = writer.bytes.size_bytes;
    CHECK_GE(size, wire_struct_size_min(message->body, version,
                                        wire_message_is_flexible(message, version)));
    CHECK_EQ(wire_decode(message, version, writer.bytes.data, size, &world->arena, after), 0);
    CHECK(same_struct(message->body, before, after));
    wire_writer_done(&writer);
}

/* Goal: decode(encode(x)) == x. Method: random values for every field that a version carries,
 * defaults for the others, in every version of every message; some rounds each. */
TEST(wire_message, reads_back_what_it_wrote_in_every_version)
{
    for (int i = 0; i < 10; i++) {
        each_message(round_trip);
    }
}

static void default_trip(struct world *world, const struct wire_message *message, int version)
{
    struct wire_writer writer;
    void *before = make(world, message);
    void *zeros = make(world, message);

    wire_writer_init(&writer);
    wire_init(message->body, before);
    CHECK_EQ(wire_encode(message, version, before, &writer), 0);
    wire_writer_clear(&writer);
    memset(zeros, 0, message->body->size_bytes);
    for (const struct wire_field *field = message->body->rows(); field->kind != WIRE_END; field++) {
        /* A zeroed struct can be sent, but for what it would drop silently. */
        if (!wire_field_in(field, version)) {
            wire_field_init(field, zeros);
        }
    }
    CHECK_EQ(wire_encode(message, version, zeros, &writer), 0);
    wire_writer_done(&writer);
}

TEST(wire_message, can_send_defaults_and_zeroes)
{
    each_message(default_trip);
}

static void cut(struct world *world, const struct wire_message *message, int version)
{
    struct wire_writer writer;
    void *before = make(world, message);
    void *after = make(world, message);
    size_t size;
    uint8_t *copy;

    wire_writer_init(&writer);
    random_struct(world, message->body, version, before);
    wire_write_int8(&writer, 0); /* so that an empty message has bytes too */
    CHECK_EQ(wire_encode(message, version, before, &writer), 0);
    size = writer.bytes.size_bytes - 1;
    for (size_t shorter = 0; shorter < size; shorter += 1 + size / 200) {
        /* A block of exactly this size, so that sanitizers see one byte too many. */
        copy = mr_malloc(shorter + 1);
        CHECK(copy != NULL);
        memcpy(copy + 1, writer.bytes.data + 1, shorter);
        CHECK_LT(wire_decode(message, version, copy + 1, shorter, &world->arena, after), 0);
        mr_free(copy);
    }
    wire_write_int8(&writer, 0);
    CHECK_EQ(wire_decode(message, version, writer.bytes.data + 1, size + 1, &world->arena, after),
             MR_EPROTOCOL);
    wire_writer_done(&writer);
}

/* Goal: no prefix of a message passes for the message, and none is read beyond its end. */
TEST(wire_message, refuses_every_prefix_and_every_extension)
{
    each_message(cut);
}

static void flip(struct world *world, const struct wire_message *message, int version)
{
    struct wire_writer writer;
    struct wire_writer again;
    void *before = make(world, message);
    void *after = make(world, message);

    wire_writer_init(&writer);
    wire_writer_init(&again);
    random_struct(world, message->body, version, before);
    CHECK_EQ(wire_encode(message, version, before, &writer), 0);
    for (int i = 0; i < 50 && writer.bytes.size_bytes > 0; i++) {
        size_t place = below(world, writer.bytes.size_bytes);
        uint8_t bit = (uint8_t)(1 << below(world, 8));
        writer.bytes.data[place] ^= bit;
        if (wire_decode(message, version, writer.bytes.data, writer.bytes.size_bytes, &world->arena,
                        after) == 0) {
            /* What is accepted is a message, and can be sent on. */
            CHECK_EQ(wire_encode(message, version, after, &again), 0);
            wire_writer_clear(&again);
        }
        writer.bytes.data[place] ^= bit;
    }
    wire_writer_done(&writer);
    wire_writer_done(&again);
}

TEST(wire_message, survives_flipped_bits)
{
    each_message(flip);
}

/* ---- the descriptions themselves ---- */

static void check_rows(const struct wire_struct *type, const struct wire_message *message,
                       bool in_tag, int depth)
{
    const struct wire_field *rows = type->rows();

    CHECK_LE(depth, 6);
    CHECK_GT(type->size_bytes, 0);
    for (const struct wire_field *field = rows; field->kind != WIRE_END; field++) {
        CHECK_LE(field->since, field->until);
        CHECK(field->kind < WIRE_KIND_COUNT);
        CHECK(field->item == 0 || field->kind == WIRE_ARRAY);
        CHECK((field->body != NULL) ==
              (field->kind == WIRE_STRUCT || field->kind == WIRE_OPTIONAL ||
               field->item == WIRE_STRUCT));
        /* Null by default means that null may be sent. */
        CHECK(field->kind < WIRE_STRING || field->fallback != -1 || field->is_nullable);
        /* encode_tag moves what it has written: no holes in there. */
        CHECK(!((in_tag || field->is_tagged) && field->kind == WIRE_RECORDS));
        if (field->is_tagged) {
            CHECK_GE(field->since, message->flexible_since);
        }
        for (const struct wire_field *other = rows; other != field; other++) {
            CHECK(strcmp(other->name, field->name) != 0);
            CHECK(!(other->is_tagged && field->is_tagged && other->tag == field->tag));
        }
        if (field->body != NULL) {
            check_rows(field->body, message, in_tag || field->is_tagged, depth + 1);
        }
    }
}

static void check_description(struct world *world, const struct wire_message *message, int version)
{
    (void)world;
    (void)version;
    CHECK_GE(message->version_min, 0);
    CHECK_LE(message->version_min, message->version_max);
    check_rows(message->body, message, false, 0);
}

static void check_item_sizes(const struct wire_struct *type, int version, bool is_flexible)
{
    for (const struct wire_field *field = type->rows(); field->kind != WIRE_END; field++) {
        if (field->body != NULL && wire_field_in(field, version)) {
            /* take_length believes a count up to the bytes left: an item takes at least one. */
            CHECK_GE(wire_struct_size_min(field->body, version, is_flexible), 1);
            check_item_sizes(field->body, version, is_flexible);
        }
    }
}

static void check_sizes(struct world *world, const struct wire_message *message, int version)
{
    (void)world;
    check_item_sizes(message->body, version, wire_message_is_flexible(message, version));
}

TEST(wire_message, descriptions_keep_their_rules)
{
    each_message(check_description);
    each_message(check_sizes);
}

/* ---- single cases ---- */

TEST(wire_message, a_count_beyond_the_bytes_costs_no_memory)
{
    static const uint8_t classic[] = {0x7f, 0xff, 0xff, 0xff, 0, 0, 0};
    static const uint8_t negative[] = {0xff, 0xff, 0xff, 0xfe};
    static const uint8_t brokers[4 + 12] = {0, 0, 0, 10};
    struct metadata_request request;
    struct metadata_response response;
    struct wire_arena arena;

    wire_arena_init(&arena, ARENA_LIMIT);
    CHECK_EQ(wire_decode(&metadata_request_message, 1, classic, sizeof classic, &arena, &request),
             MR_ETRUNCATED);
    CHECK_EQ(arena.total_bytes, 0);
    CHECK_EQ(wire_decode(&metadata_request_message, 1, negative, sizeof negative, &arena, &request),
             MR_ECORRUPT);
    /* Ten brokers in twelve bytes: a broker takes ten at least. */
    CHECK_EQ(wire_decode(&metadata_response_message, 0, brokers, sizeof brokers, &arena, &response),
             MR_ETRUNCATED);
    CHECK_EQ(arena.total_bytes, 0);
    wire_arena_done(&arena);
}

/* 10,000 empty names fit into 20,000 bytes and would take 160,000 in memory: the arena says how
 * much. */
TEST(wire_message, memory_stays_within_the_arena)
{
    enum { COUNT = 10000 };
    struct metadata_request request;
    struct wire_arena arena;
    struct wire_writer writer;

    wire_writer_init(&writer);
    wire_write_int32(&writer, COUNT);
    for (int i = 0; i < COUNT; i++) {
        wire_write_int16(&writer, 0);
    }
    wire_arena_init(&arena, 100000);
    CHECK_EQ(wire_decode(&metadata_request_message, 1, writer.bytes.data, writer.bytes.size_bytes,
                         &arena, &request),
             MR_ENOMEM);
    CHECK_LE(arena.total_bytes, 100000);
    wire_arena_done(&arena);
    wire_arena_init(&arena, 1000000);
    CHECK_EQ(wire_decode(&metadata_request_message, 1, writer.bytes.data, writer.bytes.size_bytes,
                         &arena, &request),
             0);
    CHECK_EQ(request.topics.count, COUNT);
    wire_arena_done(&arena);
    wire_writer_done(&writer);
}

TEST(wire_message, strings_are_views_of_the_request)
{
    static const uint8_t bytes[] = {0, 0, 0, 1, 0, 3, 'w', 'e', 'b'};
    struct metadata_request request;
    struct wire_arena arena;

    wire_arena_init(&arena, ARENA_LIMIT);
    CHECK_EQ(wire_decode(&metadata_request_message, 2, bytes, sizeof bytes, &arena, &request), 0);
    CHECK_EQ(request.topics.count, 1);
    CHECK(request.topics.items[0].name.data == (const char *)bytes + 6);
    CHECK(wire_string_is(request.topics.items[0].name, "web"));
    CHECK(request.allow_auto_topic_creation); /* the default of versions without the field */
    wire_arena_done(&arena);
}

/* Found by fuzzing: an empty message may come as NULL and 0 bytes. */
TEST(wire_message, a_message_may_be_no_bytes_at_all)
{
    struct api_versions_request request;
    struct wire_arena arena;

    wire_arena_init(&arena, 0);
    CHECK_EQ(wire_decode(&api_versions_request_message, 0, NULL, 0, &arena, &request), 0);
    CHECK_EQ(wire_decode(&api_versions_request_message, 3, NULL, 0, &arena, &request),
             MR_ETRUNCATED);
    wire_arena_done(&arena);
}

TEST(wire_message, unknown_tags_are_skipped_and_order_is_kept)
{
    /* ApiVersions v3 request: two compact strings, then tags 5 (2 bytes) and 9 (none). */
    static const uint8_t bytes[] = {2, 'a', 2, 'b', 2, 5, 2, 0xee, 0xee, 9, 0};
    static const uint8_t disorder[] = {2, 'a', 2, 'b', 2, 9, 0, 5, 0};
    static const uint8_t repeated[] = {2, 'a', 2, 'b', 2, 5, 0, 5, 0};
    static const uint8_t too_long[] = {2, 'a', 2, 'b', 1, 5, 3, 0, 0};
    struct api_versions_request request;
    struct wire_arena arena;

    wire_arena_init(&arena, ARENA_LIMIT);
    CHECK_EQ(wire_decode(&api_versions_request_message, 3, bytes, sizeof bytes, &arena, &request),
             0);
    CHECK(wire_string_is(request.client_software_version, "b"));
    CHECK_EQ(
        wire_decode(&api_versions_request_message, 3, disorder, sizeof disorder, &arena, &request),
        MR_ECORRUPT);
    CHECK_EQ(
        wire_decode(&api_versions_request_message, 3, repeated, sizeof repeated, &arena, &request),
        MR_ECORRUPT);
    CHECK_EQ(
        wire_decode(&api_versions_request_message, 3, too_long, sizeof too_long, &arena, &request),
        MR_ETRUNCATED);
    wire_arena_done(&arena);
}

/* A tagged field that does not fill its size, or wants more than that, is refused. */
TEST(wire_message, a_tag_fills_its_size_exactly)
{
    /* Fetch response v16: throttle, error, session, no topics, then tag 0 (endpoints). */
    static const uint8_t head[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0};
    struct fetch_response response;
    struct wire_arena arena;
    uint8_t bytes[32];

    wire_arena_init(&arena, ARENA_LIMIT);
    memcpy(bytes, head, sizeof head);
    bytes[13] = 1; /* size */
    bytes[14] = 1; /* an empty array */
    CHECK_EQ(wire_decode(&fetch_response_message, 16, bytes, 15, &arena, &response), 0);
    bytes[13] = 2;
    bytes[15] = 0;
    CHECK_EQ(wire_decode(&fetch_response_message, 16, bytes, 16, &arena, &response), MR_ECORRUPT);
    bytes[13] = 1;
    bytes[14] = 2; /* one endpoint, beyond the tag's size */
    CHECK_LT(wire_decode(&fetch_response_message, 16, bytes, 32, &arena, &response), 0);
    wire_arena_done(&arena);
}

/* A tagged field of more than 127 bytes has a longer size, for which its bytes are moved. */
TEST(wire_message, long_tagged_fields_keep_their_bytes)
{
    struct fetch_response response;
    struct fetch_response again;
    struct wire_writer writer;
    struct wire_arena arena;

    wire_writer_init(&writer);
    wire_arena_init(&arena, ARENA_LIMIT);
    for (int32_t count = 1; count < 3000; count = count * 3 + 1) {
        fetch_response_init(&response);
        CHECK_EQ(fetch_response_node_endpoint_array_make(&arena, &response.node_endpoints, count),
                 0);
        for (int32_t i = 0; i < count; i++) {
            response.node_endpoints.items[i].node_id = i;
            response.node_endpoints.items[i].host = wire_text("hub");
        }
        wire_writer_clear(&writer);
        CHECK_EQ(wire_encode(&fetch_response_message, 17, &response, &writer), 0);
        CHECK_EQ(wire_decode(&fetch_response_message, 17, writer.bytes.data,
                             writer.bytes.size_bytes, &arena, &again),
                 0);
        CHECK(same_struct(&fetch_response_wire, &response, &again));
        wire_arena_reset(&arena);
    }
    wire_arena_done(&arena);
    wire_writer_done(&writer);
}

TEST(wire_message, a_requester_may_not_lose_a_required_field)
{
    struct list_offsets_request request;
    struct wire_writer writer;

    wire_writer_init(&writer);
    list_offsets_request_init(&request);
    request.isolation_level = 1;
    wire_write_int8(&writer, 7);
    CHECK_EQ(wire_encode(&list_offsets_request_message, 1, &request, &writer), MR_EUNSUPPORTED);
    CHECK_EQ(writer.bytes.size_bytes, 1); /* as it was before */
    CHECK_EQ(wire_encode(&list_offsets_request_message, 2, &request, &writer), 0);
    CHECK_EQ(wire_encode(&list_offsets_request_message, 99, &request, &writer), MR_EUNSUPPORTED);
    wire_writer_done(&writer);
}

TEST(wire_message, null_and_oversized_strings_are_refused_where_they_cannot_be_sent)
{
    static char large[40000];
    struct metadata_request_topic topic;
    struct metadata_request request;
    struct wire_writer writer;

    wire_writer_init(&writer);
    metadata_request_init(&request);
    metadata_request_topic_init(&topic);
    request.topics = (struct metadata_request_topic_array){&topic, 1};
    topic.name.size = -1;
    CHECK_EQ(wire_encode(&metadata_request_message, 8, &request, &writer), MR_EINVAL);
    CHECK_EQ(wire_encode(&metadata_request_message, 10, &request, &writer), 0);
    topic.name = (struct wire_string){large, sizeof large};
    CHECK_EQ(wire_encode(&metadata_request_message, 8, &request, &writer), MR_ETOOLARGE);
    CHECK_EQ(wire_encode(&metadata_request_message, 9, &request, &writer), 0);
    wire_writer_done(&writer);
}

/* ---- the heap fails ---- */

/* Goal: every allocation may fail, and then the code says so and nothing is lost. Method: fail the
 * n-th and all after it, for n until none failed. */
TEST(wire_message, says_so_when_memory_ends)
{
    struct fault fault = {.fired = 1};
    struct world world;
    struct produce_response response;
    struct produce_response again;
    struct wire_writer writer;
    struct wire_arena arena;

    mr_random_seeded_init(&world.random, 7);
    wire_arena_init(&world.arena, ARENA_LIMIT);
    random_struct(&world, &produce_response_wire, 13, &response);
    for (int n = 1; fault_fired(&fault); n++) {
        int rc;
        wire_writer_init(&writer);
        wire_arena_init(&arena, ARENA_LIMIT);
        fault_set_more(&fault, n, -1, MR_ENOMEM);
        fault_heap(&fault);
        rc = wire_encode(&produce_response_message, 13, &response, &writer);
        if (rc == 0) {
            rc = wire_decode(&produce_response_message, 13, writer.bytes.data,
                             writer.bytes.size_bytes, &arena, &again);
        }
        fault_heap_off();
        CHECK_EQ(rc, fault_fired(&fault) ? MR_ENOMEM : 0);
        /* Whatever failed before, the same objects work now. */
        wire_writer_clear(&writer);
        CHECK_EQ(wire_encode(&produce_response_message, 13, &response, &writer), 0);
        wire_arena_done(&arena);
        wire_writer_done(&writer);
        CHECK_LT(n, 100);
    }
    wire_arena_done(&world.arena);
}
