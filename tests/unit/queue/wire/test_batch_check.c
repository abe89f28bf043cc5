/* What a leader refuses: each rule once, by a batch that is right but for that. */
#include "queue/wire/batch_check.h"

#include <string.h>

#include "base/core/random.h"
#include "queue/wire/batch_builder.h"
#include "queue/wire/bytes.h"
#include "tests/lib/test.h"

struct fixture {
    struct mr_codec_context *codecs;
    struct mr_bytes scratch;
    struct batch_check check;
    struct batch_check_result result;
    uint8_t batch[8192];
    size_t size;
};

static void build(struct fixture *f, enum mr_codec codec, bool has_keys)
{
    struct batch_builder_options options = {
        .size_bytes_max = sizeof f->batch, .codec = codec, .codecs = f->codecs};
    struct batch_builder_identity identity = {4000, 0, 0, false};
    struct batch_builder_record record = {.key = "k", .value = "value value value value"};
    struct batch_builder builder;
    struct mr_buf *buf = NULL;

    record.value_size = (int32_t)strlen(record.value);
    batch_builder_init(&builder, &options);
    CHECK_EQ(batch_builder_begin(&builder, 1000), 0);
    for (int i = 0; i < 20; i++) {
        record.key_size = has_keys || i < 10 ? 1 : -1;
        record.timestamp_ms = 1000 + i;
        CHECK_EQ(batch_builder_add(&builder, &record), 0);
    }
    CHECK_EQ(batch_builder_finish(&builder, &identity, NULL, 0, 0, &buf), 0);
    CHECK_LE(buf->size_bytes, sizeof f->batch);
    memcpy(f->batch, buf->data, buf->size_bytes);
    f->size = buf->size_bytes;
    mr_buf_unref(buf);
    batch_builder_done(&builder);
}

static void setup(struct fixture *f)
{
    CHECK_EQ(mr_codec_context_new(&f->codecs), 0);
    mr_bytes_init(&f->scratch);
    f->check = (struct batch_check){
        .batch_size_bytes_max = sizeof f->batch,
        .records_size_bytes_max = 1 << 20,
        .timestamp_before_ms = INT64_MIN,
        .timestamp_after_ms = INT64_MAX,
        .codecs = f->codecs,
        .scratch = &f->scratch,
    };
    build(f, MR_CODEC_NONE, true);
}

static void teardown(struct fixture *f)
{
    mr_codec_context_free(f->codecs);
    mr_bytes_done(&f->scratch);
}

static int check(struct fixture *f)
{
    int code = batch_check(&f->check, f->batch, f->size, &f->result);

    CHECK_EQ(code == KAFKA_NONE, f->result.reason == NULL);
    return code;
}

/* Changes header fields and makes the checksum right again. */
static void edit(struct fixture *f, void (*change)(struct batch_header *header))
{
    struct batch_header header;

    build(f, MR_CODEC_NONE, true);
    (void)batch_header_parse(f->batch, f->size, &header);
    change(&header);
    batch_header_write(&header, f->batch);
    header.crc = batch_crc_compute(f->batch, f->size);
    batch_header_write(&header, f->batch);
}

TEST(batch_check, takes_good_batches_of_every_codec)
{
    struct fixture f;

    setup(&f);
    for (int codec = 0; codec < MR_CODEC_COUNT; codec++) {
        build(&f, (enum mr_codec)codec, true);
        CHECK_EQ(check(&f), KAFKA_NONE);
        CHECK_EQ(f.result.header.attributes & BATCH_CODEC_MASK, codec);
        CHECK_EQ(f.result.max_timestamp_ms, 1019);
        CHECK_EQ(f.result.record_index, -1);
    }
    teardown(&f);
}

TEST(batch_check, refuses_what_is_not_one_whole_batch)
{
    struct fixture f;
    size_t size;

    setup(&f);
    size = f.size;
    f.size = 0;
    CHECK_EQ(check(&f), KAFKA_INVALID_RECORD);
    for (f.size = 1; f.size < size; f.size++) {
        CHECK_EQ(check(&f), KAFKA_INVALID_RECORD); /* final, as for Kafka */
    }
    memcpy(f.batch + size, f.batch, size);
    f.size = 2 * size;
    CHECK_EQ(check(&f), KAFKA_INVALID_RECORD);
    f.check.batch_size_bytes_max = size - 1;
    f.size = size;
    CHECK_EQ(check(&f), KAFKA_MESSAGE_TOO_LARGE);
    f.check.batch_size_bytes_max = size;
    CHECK_EQ(check(&f), KAFKA_NONE);
    f.batch[16] = 1;
    CHECK_EQ(check(&f), KAFKA_INVALID_RECORD);
    f.batch[16] = 3; /* no format at all: damage */
    CHECK_EQ(check(&f), KAFKA_CORRUPT_MESSAGE);
    f.batch[16] = 2;
    memset(f.batch + 8, 0, 4); /* a length below any header */
    CHECK_EQ(check(&f), KAFKA_CORRUPT_MESSAGE);
    teardown(&f);
}

/* Every bit under the CRC, and the CRC itself. */
TEST(batch_check, refuses_every_flipped_bit)
{
    struct fixture f;

    setup(&f);
    for (size_t place = 17; place < f.size; place++) {
        for (int bit = 0; bit < 8; bit++) {
            f.batch[place] ^= (uint8_t)(1 << bit);
            CHECK_EQ(check(&f), KAFKA_CORRUPT_MESSAGE);
            f.batch[place] ^= (uint8_t)(1 << bit);
        }
    }
    CHECK_EQ(check(&f), KAFKA_NONE);
    teardown(&f);
}

static void set_control(struct batch_header *header)
{
    header->attributes |= BATCH_CONTROL;
}
static void set_transactional(struct batch_header *header)
{
    header->attributes |= BATCH_TRANSACTIONAL;
}
static void set_append_time(struct batch_header *header)
{
    header->attributes |= BATCH_LOG_APPEND_TIME;
}
static void set_horizon(struct batch_header *header)
{
    header->attributes |= BATCH_DELETE_HORIZON;
}
static void set_codec_5(struct batch_header *header)
{
    header->attributes |= 5;
}
static void set_gzip(struct batch_header *header)
{
    header->attributes |= MR_CODEC_GZIP;
}
static void set_fewer(struct batch_header *header)
{
    header->record_count--;
}
static void set_fewer_of_both(struct batch_header *header)
{
    header->record_count--;
    header->last_offset_delta--;
}
static void set_huge_delta(struct batch_header *header)
{
    header->last_offset_delta = INT32_MAX; /* plus one is no number */
}
static void set_none(struct batch_header *header)
{
    header->record_count = 0;
    header->last_offset_delta = 0;
}
static void set_no_sequence(struct batch_header *header)
{
    header->base_sequence = -1;
}
static void set_no_epoch(struct batch_header *header)
{
    header->producer_epoch = -1;
}
static void set_late(struct batch_header *header)
{
    header->base_timestamp_ms = INT64_MAX - 5;
}

TEST(batch_check, refuses_headers_that_a_client_may_not_send)
{
    static const struct {
        void (*change)(struct batch_header *header);
        int code;
    } cases[] = {
        {set_control, KAFKA_INVALID_RECORD},
        {set_transactional, KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED},
        {set_append_time, KAFKA_INVALID_TIMESTAMP},
        {set_horizon, KAFKA_INVALID_RECORD},
        {set_codec_5, KAFKA_UNSUPPORTED_COMPRESSION_TYPE},
        {set_gzip, KAFKA_INVALID_RECORD},
        {set_fewer, KAFKA_INVALID_RECORD},
        {set_fewer_of_both, KAFKA_INVALID_RECORD},
        {set_none, KAFKA_INVALID_RECORD},
        {set_huge_delta, KAFKA_INVALID_RECORD},
        {set_no_sequence, KAFKA_INVALID_RECORD},
        {set_no_epoch, KAFKA_INVALID_RECORD},
        {set_late, KAFKA_INVALID_TIMESTAMP},
    };
    struct fixture f;

    setup(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        edit(&f, cases[i].change);
        CHECK_EQ(check(&f), cases[i].code);
    }
    f.check.flags = BATCH_CHECK_TRANSACTIONAL;
    edit(&f, set_transactional);
    CHECK_EQ(check(&f), KAFKA_NONE);
    teardown(&f);
}

TEST(batch_check, refuses_records_by_the_topics_rules)
{
    struct fixture f;

    setup(&f);
    f.check.flags = BATCH_CHECK_KEYS;
    CHECK_EQ(check(&f), KAFKA_NONE);
    build(&f, MR_CODEC_ZSTD, false);
    CHECK_EQ(check(&f), KAFKA_INVALID_RECORD);
    CHECK_EQ(f.result.record_index, 10);
    f.check.flags = BATCH_CHECK_NO_ZSTD;
    CHECK_EQ(check(&f), KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
    f.check.flags = 0;
    CHECK_EQ(check(&f), KAFKA_NONE);
    f.check.timestamp_after_ms = 1018;
    CHECK_EQ(check(&f), KAFKA_INVALID_TIMESTAMP);
    CHECK_EQ(f.result.record_index, 19);
    teardown(&f);
}

/* A small batch that unpacks to more than the bound costs little more than the bound. */
TEST(batch_check, refuses_what_grows_beyond_the_bound)
{
    struct fixture f;

    setup(&f);
    for (int codec = 1; codec < MR_CODEC_COUNT; codec++) {
        build(&f, (enum mr_codec)codec, true);
        f.check.records_size_bytes_max = 100;
        CHECK_EQ(check(&f), KAFKA_MESSAGE_TOO_LARGE);
        f.check.records_size_bytes_max = 1 << 20;
        CHECK_EQ(check(&f), KAFKA_NONE);
    }
    teardown(&f);
}

/* Offset deltas other than 0, 1, 2: the delta of the second record, one byte, is changed. */
TEST(batch_check, refuses_records_out_of_order)
{
    struct batch_header header;
    struct fixture f;
    size_t record_size;

    setup(&f);
    CHECK_EQ(batch_header_parse(f.batch, f.size, &header), 0);
    record_size = (size_t)f.batch[BATCH_HEADER_SIZE] / 2 + 1;
    CHECK_EQ(f.batch[BATCH_HEADER_SIZE + record_size + 3], 2); /* the zig-zag of 1 */
    f.batch[BATCH_HEADER_SIZE + record_size + 3] = 4;
    header.crc = batch_crc_compute(f.batch, f.size);
    batch_header_write(&header, f.batch);
    CHECK_EQ(check(&f), KAFKA_INVALID_RECORD);
    CHECK_EQ(f.result.record_index, 1);
    teardown(&f);
}
