/* Records of the internal topics: numbers in front, old and unknown types, tombstones' keys. */
#include "queue/wire/records.h"

#include "queue/wire/groups.h"
#include "queue/wire/record_schemas.h"
#include "queue/wire/writer.h"
#include "tests/lib/test.h"

enum { ARENA_LIMIT = 1 << 16 };

/* As a Kafka broker has written them. */
static const uint8_t key_bytes[] = {0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 3};
static const uint8_t value_bytes[] = {0,    3,    0, 0, 0, 0, 0,    0,    0,    0x2a, 0xff, 0xff,
                                      0xff, 0xff, 0, 0, 0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00};

TEST(wire_records, offset_commits_are_kafkas_bytes)
{
    struct offset_commit_key key = {wire_text("g"), wire_text("t"), 3};
    struct offset_commit_value value;
    struct wire_writer writer;

    wire_writer_init(&writer);
    CHECK_EQ(wire_record_key_write(&wire_offset_commit_record, &key, &writer), 0);
    CHECK_EQ(writer.bytes.size_bytes, sizeof key_bytes);
    CHECK_MEM(writer.bytes.data, key_bytes, sizeof key_bytes);
    wire_writer_clear(&writer);
    offset_commit_value_init(&value);
    value.offset = 42;
    value.commit_timestamp = INT64_C(0x018bcfe56800);
    CHECK_EQ(wire_record_value_write(&wire_offset_commit_record, 3, &value, &writer), 0);
    CHECK_EQ(writer.bytes.size_bytes, sizeof value_bytes);
    CHECK_MEM(writer.bytes.data, value_bytes, sizeof value_bytes);
    wire_writer_done(&writer);
}

TEST(wire_records, reads_both_key_types_and_refuses_others)
{
    static const uint8_t old_key[] = {0, 0, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 3};
    static const uint8_t group_key[] = {0, 2, 0, 1, 'g'};
    static const uint8_t unknown[] = {0, 99, 0, 1, 'g'};
    const struct wire_record_type *type = NULL;
    struct offset_commit_key key;
    struct wire_arena arena;

    wire_arena_init(&arena, ARENA_LIMIT);
    CHECK_EQ(wire_offsets_record_find(old_key, sizeof old_key, &type), 0);
    CHECK(type == &wire_offset_commit_record);
    CHECK_EQ(wire_record_key_read(type, old_key, sizeof old_key, &arena, &key), 0);
    CHECK_EQ(key.partition, 3);
    CHECK_EQ(wire_record_key_read(type, group_key, sizeof group_key, &arena, &key),
             MR_EUNSUPPORTED);
    CHECK_EQ(wire_offsets_record_find(group_key, sizeof group_key, &type), 0);
    CHECK(type == &wire_group_metadata_record);
    CHECK_EQ(wire_offsets_record_find(unknown, sizeof unknown, &type), MR_EUNSUPPORTED);
    CHECK_EQ(wire_offsets_record_find(unknown, 1, &type), MR_ETRUNCATED);
    wire_arena_done(&arena);
}

TEST(wire_records, values_of_unknown_versions_are_refused)
{
    static const uint8_t newer[] = {0, 9, 0, 0, 0, 0, 0, 0, 0, 0};
    struct offset_commit_value value;
    struct wire_arena arena;

    wire_arena_init(&arena, ARENA_LIMIT);
    CHECK_EQ(
        wire_record_value_read(&wire_offset_commit_record, newer, sizeof newer, &arena, &value),
        MR_EUNSUPPORTED);
    CHECK_EQ(wire_record_value_read(&wire_offset_commit_record, value_bytes, sizeof value_bytes,
                                    &arena, &value),
             0);
    CHECK_EQ(value.offset, 42);
    CHECK_EQ(value.leader_epoch, -1);
    CHECK_EQ(value.expire_timestamp, -1);
    wire_arena_done(&arena);
}

/* A member of a newer client version is still understood, by the beginning that we know. */
TEST(wire_records, newer_subscriptions_are_read_by_their_beginning)
{
    static const uint8_t newer[] = {0, 9, 0, 0, 0, 1, 0, 1, 't',  0xff, 0xff, 0xff, 0xff,
                                    0, 0, 0, 0, 0, 0, 0, 7, 0xff, 0xff, 1,    2,    3};
    struct consumer_protocol_subscription subscription;
    struct wire_arena arena;
    int16_t version = 0;

    wire_arena_init(&arena, ARENA_LIMIT);
    CHECK_EQ(wire_versioned_read(&consumer_protocol_subscription_message, newer, sizeof newer,
                                 &arena, &version, &subscription),
             0);
    CHECK_EQ(version, 9);
    CHECK_EQ(subscription.topics.count, 1);
    CHECK_EQ(subscription.generation_id, 7);
    CHECK_EQ(subscription.user_data.size, -1);
    wire_arena_done(&arena);
}
