/* Batch headers, patches under the CRC, records, markers. */
#include "queue/wire/batch.h"

#include <string.h>

#include "base/codec/crc32c.h"
#include "base/core/memory.h"
#include "base/core/random.h"
#include "queue/wire/batch_builder.h"
#include "queue/wire/bytes.h"
#include "tests/lib/test.h"

/* A batch of lines of random bytes. */
static struct mr_buf *make_batch(struct mr_random *random, int records, size_t value_size_max)
{
    struct batch_builder_options options = {.size_bytes_max = 1 << 20};
    struct batch_builder builder;
    struct mr_buf *buf = NULL;
    uint8_t value[4096];

    batch_builder_init(&builder, &options);
    CHECK_EQ(batch_builder_begin(&builder, 1700000000000), 0);
    for (int i = 0; i < records; i++) {
        size_t size = mr_random_below(random, value_size_max + 1);
        random->fill(random, value, size);
        CHECK_EQ(batch_builder_add_line(&builder, 1700000000000 + i, value, size, NULL, 0, 0), 0);
    }
    CHECK_EQ(batch_builder_finish(&builder, NULL, NULL, 0, 0, &buf), 0);
    batch_builder_done(&builder);
    return buf;
}

TEST(batch, header_is_read_as_it_was_written)
{
    struct batch_header header = {
        .base_offset = 42,
        .length = 49,
        .leader_epoch = 7,
        .magic = BATCH_MAGIC,
        .crc = 0xdeadbeef,
        .attributes = BATCH_TRANSACTIONAL | 3,
        .last_offset_delta = 9,
        .base_timestamp_ms = 1,
        .max_timestamp_ms = INT64_MAX,
        .producer_id = INT64_C(0x4000000000000001),
        .producer_epoch = -1,
        .base_sequence = INT32_MAX,
        .record_count = 10,
    };
    struct batch_header again;
    uint8_t bytes[BATCH_HEADER_SIZE];

    batch_header_write(&header, bytes);
    CHECK_EQ(bytes[16], 2);
    CHECK_EQ(batch_header_parse(bytes, sizeof bytes, &again), 0);
    CHECK_EQ(again.base_offset, 42);
    CHECK_EQ(again.crc, 0xdeadbeef);
    CHECK_EQ(again.attributes, header.attributes);
    CHECK_EQ(again.max_timestamp_ms, INT64_MAX);
    CHECK_EQ(again.producer_id, header.producer_id);
    CHECK_EQ(again.base_sequence, INT32_MAX);
    CHECK_EQ(batch_size_bytes(&again), 61);
    CHECK_EQ(batch_next_offset(&again), 52);
    CHECK_EQ(batch_last_sequence(&again), 8); /* INT32_MAX, then 0 */
}

TEST(batch, impossible_headers_are_refused)
{
    struct batch_header header = {.length = 49, .magic = BATCH_MAGIC, .record_count = 1};
    struct batch_header again;
    uint8_t bytes[BATCH_HEADER_SIZE];

    batch_header_write(&header, bytes);
    CHECK_EQ(batch_header_parse(bytes, 60, &again), MR_ETRUNCATED);
    CHECK_EQ(batch_header_parse(bytes, 61, &again), 0);
    bytes[16] = 1;
    CHECK_EQ(batch_header_parse(bytes, 61, &again), MR_EUNSUPPORTED);
    header.length = 48;
    batch_header_write(&header, bytes);
    CHECK_EQ(batch_header_parse(bytes, 61, &again), MR_ECORRUPT);
    header.length = INT32_MAX;
    batch_header_write(&header, bytes);
    CHECK_EQ(batch_header_parse(bytes, 61, &again), MR_ECORRUPT);
    header.length = 49;
    header.record_count = 3;
    batch_header_write(&header, bytes);
    CHECK_EQ(batch_header_parse(bytes, 61, &again), MR_ECORRUPT);
    header.record_count = -1;
    batch_header_write(&header, bytes);
    CHECK_EQ(batch_header_parse(bytes, 61, &again), MR_ECORRUPT);
    header = (struct batch_header){
        .length = 49, .magic = BATCH_MAGIC, .last_offset_delta = 5, .base_offset = INT64_MAX - 5};
    batch_header_write(&header, bytes);
    CHECK_EQ(batch_header_parse(bytes, 61, &again), MR_ECORRUPT);
    header.base_offset = INT64_MAX - 6; /* zero records over six offsets: compaction leaves that */
    batch_header_write(&header, bytes);
    CHECK_EQ(batch_header_parse(bytes, 61, &again), 0);
}

/* Goal: a patched header has the CRC that the whole batch needs. Method: batches of many sizes,
 * patched through the 61 bytes alone, and checked by computing everything anew. */
TEST(batch, patches_keep_the_checksum_without_reading_the_records)
{
    struct mr_random_seeded random;
    struct batch_header header;

    mr_random_seeded_init(&random, test_seed());
    for (int i = 0; i < 300; i++) {
        int records = 1 + (int)mr_random_below(&random.base, 40);
        struct mr_buf *buf = make_batch(&random.base, records, (size_t)i * 10);
        uint8_t head[BATCH_HEADER_SIZE];
        int32_t sequence = (int32_t)mr_random_below(&random.base, INT32_MAX);
        memcpy(head, buf->data, sizeof head);
        batch_patch_producer(head, (int64_t)mr_random_u64(&random.base), (int16_t)i, sequence);
        if (i % 3 == 0) {
            batch_patch_append_time(head, 1800000000000 + i);
        }
        if (i % 5 == 0) {
            batch_patch_max_timestamp(head, 1900000000000);
        }
        CHECK(memcmp(head, buf->data, sizeof head) != 0);
        memcpy(buf->data, head, sizeof head);
        batch_set_offset(buf->data, i, i); /* not covered */
        CHECK_EQ(batch_header_parse(buf->data, buf->size_bytes, &header), 0);
        CHECK_EQ(batch_crc_check(buf->data, &header), 0);
        CHECK_EQ(header.base_sequence, sequence);
        CHECK_EQ(header.producer_epoch, i);
        CHECK_EQ(header.base_offset, i);
        CHECK_EQ((header.attributes & BATCH_LOG_APPEND_TIME) != 0, i % 3 == 0);
        CHECK_EQ(batch_size_bytes(&header), buf->size_bytes);
        mr_buf_unref(buf);
    }
}

TEST(batch, a_damaged_batch_stays_damaged_when_patched)
{
    struct mr_random_seeded random;
    struct batch_header header;
    struct mr_buf *buf;

    mr_random_seeded_init(&random, 1);
    buf = make_batch(&random.base, 5, 100);
    buf->data[BATCH_HEADER_SIZE + 3] ^= 1;
    batch_patch_producer(buf->data, 1, 2, 3);
    CHECK_EQ(batch_header_parse(buf->data, buf->size_bytes, &header), 0);
    CHECK_EQ(batch_crc_check(buf->data, &header), MR_ECORRUPT);
    mr_buf_unref(buf);
}

/* ---- the iterator ---- */

static int iterate(const uint8_t *records, size_t size, int32_t count, struct batch_record *last)
{
    struct batch_header header = {.record_count = count};
    struct batch_iterator iterator;
    int rc;

    batch_iterator_init(&iterator, &header, records, size);
    while ((rc = batch_iterator_next(&iterator, last)) == 1) {
    }
    return rc;
}

/* Length (set by the tests), attributes, timestamp delta -1, offset delta 0, key "k", value "val",
 * two headers: "h" -> null and "hh" -> "v"; then a byte that does not belong to the record. */
static const uint8_t record_bytes[] = {38, 0, 1,   0, 2, 'k', 6,   'v', 'a', 'l',
                                       4,  2, 'h', 1, 4, 'h', 'h', 2,   'v', 0};

TEST(batch, records_are_read_with_their_headers)
{
    uint8_t bytes[sizeof record_bytes];
    struct batch_header_cursor cursor;
    struct batch_record_header found;
    struct batch_record record;

    memcpy(bytes, record_bytes, sizeof bytes);
    bytes[0] = (uint8_t)((sizeof bytes - 2) * 2);
    CHECK_EQ(iterate(bytes, sizeof bytes - 1, 1, &record), 0);
    CHECK_EQ(record.timestamp_delta_ms, -1);
    CHECK_EQ(record.key_size, 1);
    CHECK_EQ(record.value_size, 3);
    CHECK_MEM(record.value, "val", 3);
    CHECK_EQ(record.header_count, 2);
    batch_headers_init(&cursor, &record);
    CHECK(batch_headers_next(&cursor, &found));
    CHECK_EQ(found.value_size, -1);
    CHECK(batch_headers_next(&cursor, &found));
    CHECK_MEM(found.key, "hh", 2);
    CHECK(!batch_headers_next(&cursor, &found));
    CHECK(batch_record_find_header(&record, "hh", &found));
    CHECK_MEM(found.value, "v", 1);
    CHECK(!batch_record_find_header(&record, "hhh", &found));
}

TEST(batch, records_that_do_not_end_where_they_say_are_refused)
{
    uint8_t bytes[sizeof record_bytes];
    struct batch_record record;

    memcpy(bytes, record_bytes, sizeof bytes);
    bytes[0] = (uint8_t)((sizeof bytes - 2) * 2);
    for (size_t size = 0; size < sizeof bytes - 1; size++) {
        uint8_t *copy = mr_malloc(size + 1);
        memcpy(copy, bytes, size);
        CHECK_EQ(iterate(copy, size, 1, &record), MR_ECORRUPT);
        mr_free(copy);
    }
    CHECK_EQ(iterate(bytes, sizeof bytes, 1, &record), MR_ECORRUPT);     /* a byte too many */
    CHECK_EQ(iterate(bytes, sizeof bytes - 1, 0, &record), MR_ECORRUPT); /* a record too many */
    CHECK_EQ(iterate(bytes, sizeof bytes - 1, 2, &record), MR_ECORRUPT); /* one too few */
    for (size_t place = 0; place < sizeof bytes - 1; place++) {
        /* -2 as a length, or the first byte of an endless number: never accepted as the same record
         */
        uint8_t kept = bytes[place];
        bytes[place] = 3;
        (void)iterate(bytes, sizeof bytes - 1, 1, &record);
        bytes[place] = 0xff;
        (void)iterate(bytes, sizeof bytes - 1, 1, &record);
        bytes[place] = kept;
    }
    bytes[10] = 3; /* header count -2 */
    CHECK_EQ(iterate(bytes, sizeof bytes - 1, 1, &record), MR_ECORRUPT);
}

TEST(batch, varints_hold_their_range_and_no_more)
{
    static const uint8_t six[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
    static const uint8_t wide[] = {0xff, 0xff, 0xff, 0xff, 0x1f};
    static const uint8_t wide_long[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    static const int64_t numbers[] = {0,         -1,        1,         63,        64,
                                      -64,       -65,       8191,      8192,      INT32_MAX,
                                      INT32_MIN, INT64_MAX, INT64_MIN, 1LL << 40, -(1LL << 40)};
    uint8_t bytes[WIRE_VARLONG_SIZE_MAX];
    uint32_t unsigned_number;
    int64_t number;
    int32_t small;

    CHECK(wire_get_uvarint(six, six + sizeof six, &unsigned_number) == NULL);
    CHECK(wire_get_uvarint(wide, wide + sizeof wide, &unsigned_number) == NULL);
    CHECK(wire_get_varlong(wide_long, wide_long + sizeof wide_long, &number) == NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const uint8_t *end = wire_put_varlong(bytes, numbers[i]);
        CHECK_EQ(end - bytes, wire_varlong_size(numbers[i]));
        CHECK(wire_get_varlong(bytes, end, &number) == end);
        CHECK_EQ(number, numbers[i]);
        CHECK(wire_get_varlong(bytes, end - 1, &number) == NULL);
        if (numbers[i] == (int32_t)numbers[i]) {
            end = wire_put_varint(bytes, (int32_t)numbers[i]);
            CHECK_EQ(end - bytes, wire_varint_size((int32_t)numbers[i]));
            CHECK(wire_get_varint(bytes, end, &small) == end);
            CHECK_EQ(small, numbers[i]);
        }
    }
}

/* ---- markers ---- */

TEST(batch, a_marker_is_kafkas_control_batch)
{
    struct batch_marker marker = {BATCH_CONTROL_COMMIT, 4001, 5, 3};
    struct batch_marker again;
    struct batch_header header;
    uint8_t bytes[BATCH_MARKER_SIZE];

    batch_marker_write(&marker, 1700000000000, bytes);
    CHECK_EQ(batch_header_parse(bytes, sizeof bytes, &header), 0);
    CHECK_EQ(batch_size_bytes(&header), sizeof bytes);
    CHECK_EQ(batch_crc_check(bytes, &header), 0);
    CHECK_EQ(header.attributes, 0x30);
    CHECK_EQ(header.base_sequence, -1);
    CHECK_EQ(batch_marker_parse(bytes, &header, &again), 0);
    CHECK_EQ(again.type, BATCH_CONTROL_COMMIT);
    CHECK_EQ(again.producer_id, 4001);
    CHECK_EQ(again.producer_epoch, 5);
    CHECK_EQ(again.coordinator_epoch, 3);
    bytes[BATCH_HEADER_SIZE + 8] = BATCH_CONTROL_LEADER_CHANGE;
    CHECK_EQ(batch_marker_parse(bytes, &header, &again), MR_EUNSUPPORTED);
    header.attributes = 0;
    CHECK_EQ(batch_marker_parse(bytes, &header, &again), MR_ECORRUPT);
}
