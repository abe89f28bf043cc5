/* Building batches: what goes in comes out, in every codec, with headers added to the last record
 * at the end; bounds; a heap that fails; speed. */
#include "queue/wire/batch_builder.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/core/memory.h"
#include "base/core/random.h"
#include "queue/wire/batch_check.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

enum { SIZE_MAX_BYTES = 1 << 16, LINES_MAX = 400 };

struct line {
    int64_t timestamp_ms;
    uint8_t key[20];
    int32_t key_size;
    uint8_t value[600];
    int32_t value_size;
    int header_count;
};

struct fixture {
    struct mr_random_seeded random;
    struct mr_codec_context *codecs;
    struct mr_bytes headers; /* two of them */
    struct mr_bytes extra;
    struct mr_bytes scratch;
};

static void setup(struct fixture *f, uint64_t seed)
{
    mr_random_seeded_init(&f->random, seed);
    CHECK_EQ(mr_codec_context_new(&f->codecs), 0);
    mr_bytes_init(&f->headers);
    mr_bytes_init(&f->extra);
    mr_bytes_init(&f->scratch);
    batch_header_append(&f->headers, "mr.host", "edge-1", 6);
    batch_header_append(&f->headers, "null", NULL, -1);
}

static void teardown(struct fixture *f)
{
    mr_codec_context_free(f->codecs);
    mr_bytes_done(&f->headers);
    mr_bytes_done(&f->extra);
    mr_bytes_done(&f->scratch);
}

static void random_line(struct fixture *f, struct line *line)
{
    struct mr_random *random = &f->random.base;
    uint64_t seed = mr_random_u64(random);

    line->timestamp_ms = 1700000000000 + (int64_t)mr_random_below(random, 1000) - 500;
    line->key_size = (int32_t)mr_random_below(random, 22) - 1;
    line->value_size = (int32_t)mr_random_below(random, 602) - 1;
    if (line->key_size > (int32_t)sizeof line->key) {
        line->key_size = sizeof line->key;
    }
    if (line->value_size > (int32_t)sizeof line->value) {
        line->value_size = sizeof line->value;
    }
    memset(line->key, (int)(seed & 0xff), sizeof line->key);
    memset(line->value, (int)(seed >> 8 & 0xff), sizeof line->value);
    line->header_count = mr_random_below(random, 2) == 0 ? 0 : 2;
}

static int add(struct fixture *f, struct batch_builder *builder, const struct line *line)
{
    struct batch_builder_record record = {
        .timestamp_ms = line->timestamp_ms,
        .key = line->key,
        .key_size = line->key_size,
        .value = line->value,
        .value_size = line->value_size,
        .headers = f->headers.data,
        .headers_size = line->header_count == 0 ? 0 : f->headers.size_bytes,
        .header_count = line->header_count,
    };

    if (line->key_size < 0 && line->value_size >= 0) {
        return batch_builder_add_line(builder, line->timestamp_ms, line->value,
                                      (size_t)line->value_size, record.headers, record.headers_size,
                                      record.header_count);
    }
    return batch_builder_add(builder, &record);
}

static void check_blob(const void *left, int32_t left_size, const void *right, int32_t right_size)
{
    CHECK_EQ(left_size, right_size);
    CHECK(left_size <= 0 || memcmp(left, right, (size_t)left_size) == 0);
}

/* The batch holds these lines, and its last record `extra_count` headers more. */
static void check_batch(struct fixture *f, const struct mr_buf *buf, const struct line *lines,
                        int count, int extra_count)
{
    struct batch_header header;
    struct batch_iterator iterator;
    struct batch_record record;
    struct batch_record_header found;
    const uint8_t *records = NULL;
    size_t size = 0;

    CHECK_EQ(batch_header_parse(buf->data, buf->size_bytes, &header), 0);
    CHECK_EQ(batch_size_bytes(&header), buf->size_bytes);
    CHECK_EQ(batch_crc_check(buf->data, &header), 0);
    CHECK_EQ(header.record_count, count);
    CHECK_EQ(header.last_offset_delta, count - 1);
    CHECK_EQ(batch_records(buf->data, &header, 1 << 24, f->codecs, &f->scratch, &records, &size),
             0);
    batch_iterator_init(&iterator, &header, records, size);
    for (int i = 0; i < count; i++) {
        CHECK_EQ(batch_iterator_next(&iterator, &record), 1);
        CHECK_EQ(record.offset_delta, i);
        CHECK_EQ(header.base_timestamp_ms + record.timestamp_delta_ms, lines[i].timestamp_ms);
        CHECK_LE(lines[i].timestamp_ms, header.max_timestamp_ms);
        check_blob(record.key, record.key_size, lines[i].key, lines[i].key_size);
        check_blob(record.value, record.value_size, lines[i].value, lines[i].value_size);
        CHECK_EQ(record.header_count, lines[i].header_count + (i == count - 1 ? extra_count : 0));
    }
    if (extra_count > 0) {
        CHECK(batch_record_find_header(&record, "mr.pos", &found));
        CHECK_EQ(found.value[0], 'p');
    }
    CHECK_EQ(batch_iterator_next(&iterator, &record), 0);
}

static void one_batch(struct fixture *f, enum mr_codec codec)
{
    static struct line lines[LINES_MAX];
    struct mr_random *random = &f->random.base;
    struct batch_builder_options options = {.size_bytes_max = SIZE_MAX_BYTES,
                                            .tail_room_bytes = 256,
                                            .codec = codec,
                                            .codecs = f->codecs};
    struct batch_builder_identity identity = {4000, 1, 17, false};
    uint8_t position[5000];
    struct batch_builder builder;
    struct mr_buf *buf = NULL;
    int count = 0;
    int extra_count = (int)mr_random_below(random, 80);
    int rc = 0;

    memset(position, 'p', sizeof position);
    batch_builder_init(&builder, &options);
    CHECK_EQ(batch_builder_begin(&builder, 1700000000000), 0);
    for (int want = 1 + (int)mr_random_below(random, LINES_MAX); count < want; count++) {
        random_line(f, &lines[count]);
        rc = add(f, &builder, &lines[count]);
        if (rc != 0) {
            break;
        }
    }
    CHECK(rc == 0 || (rc == MR_EFULL && count > 50));
    CHECK_LE(batch_builder_size(&builder), SIZE_MAX_BYTES - 256);
    mr_bytes_clear(&f->extra);
    for (int i = 0; i < extra_count; i++) {
        batch_header_append(&f->extra, "mr.pos", position,
                            1 + (int32_t)mr_random_below(random, i == 0 ? 5000 : 20));
    }
    CHECK_EQ(batch_builder_finish(&builder, &identity, f->extra.data, f->extra.size_bytes,
                                  extra_count, &buf),
             0);
    check_batch(f, buf, lines, count, extra_count);
    mr_buf_unref(buf);
    batch_builder_done(&builder);
}

/* Goal: every record comes out as it went in. Method: random records and headers in every codec;
 * the extra headers of the last record make its length and its count longer by one or two bytes, or
 * not. */
TEST(batch_builder, what_goes_in_comes_out)
{
    struct fixture f;

    setup(&f, test_seed());
    for (int round = 0; round < 60; round++) {
        one_batch(&f, (enum mr_codec)(round % MR_CODEC_COUNT));
    }
    teardown(&f);
}

TEST(batch_builder, what_it_builds_a_leader_takes)
{
    struct batch_builder_options options = {.size_bytes_max = 4096};
    struct batch_builder builder;
    struct batch_check_result result;
    struct batch_check check = {.batch_size_bytes_max = 4096,
                                .timestamp_before_ms = INT64_MIN,
                                .timestamp_after_ms = INT64_MAX};
    struct mr_buf *buf = NULL;

    batch_builder_init(&builder, &options);
    CHECK_EQ(batch_builder_begin(&builder, 500), 0);
    CHECK_EQ(batch_builder_add_line(&builder, 400, "a", 1, NULL, 0, 0), 0);
    CHECK_EQ(batch_builder_add_line(&builder, 300, "", 0, NULL, 0, 0), 0);
    CHECK_EQ(batch_builder_finish(&builder, NULL, NULL, 0, 0, &buf), 0);
    CHECK_EQ(batch_check(&check, buf->data, buf->size_bytes, &result), KAFKA_NONE);
    CHECK_EQ(result.header.producer_id, -1);
    CHECK_EQ(result.header.max_timestamp_ms, 400);
    CHECK_EQ(result.max_timestamp_ms, 400);
    mr_buf_unref(buf);
    batch_builder_done(&builder);
}

TEST(batch_builder, says_when_it_is_full_and_when_a_record_never_fits)
{
    static const uint8_t value[4096];
    struct batch_builder_options options = {.size_bytes_max = 2048, .tail_room_bytes = 100};
    struct batch_builder builder;
    struct mr_buf *buf = NULL;

    batch_builder_init(&builder, &options);
    CHECK_EQ(batch_builder_begin(&builder, 0), 0);
    CHECK_EQ(batch_builder_add_line(&builder, 0, value, 2048, NULL, 0, 0), MR_ETOOLARGE);
    CHECK_EQ(batch_builder_add_line(&builder, 0, value, 1000, NULL, 0, 0), 0);
    CHECK_EQ(batch_builder_add_line(&builder, 0, value, 1000, NULL, 0, 0), MR_EFULL);
    CHECK_EQ(batch_builder_count(&builder), 1);
    CHECK_EQ(batch_builder_finish(&builder, NULL, NULL, 0, 0, &buf), 0);
    mr_buf_unref(buf);
    CHECK_EQ(batch_builder_begin(&builder, 0), 0);
    CHECK_EQ(batch_builder_add_line(&builder, 0, value, 1000, NULL, 0, 0), 0);
    batch_builder_done(&builder);
}

TEST(batch_builder, records_that_do_not_shrink_stay_uncompressed)
{
    struct batch_builder_options options = {.size_bytes_max = 8192, .codec = MR_CODEC_LZ4};
    struct batch_builder builder;
    struct batch_header header;
    struct mr_buf *buf = NULL;
    struct fixture f;
    uint8_t noise[1000];

    setup(&f, 3);
    options.codecs = f.codecs;
    f.random.base.fill(&f.random.base, noise, sizeof noise);
    batch_builder_init(&builder, &options);
    CHECK_EQ(batch_builder_begin(&builder, 0), 0);
    CHECK_EQ(batch_builder_add_line(&builder, 0, noise, sizeof noise, NULL, 0, 0), 0);
    CHECK_EQ(batch_builder_finish(&builder, NULL, NULL, 0, 0, &buf), 0);
    CHECK_EQ(batch_header_parse(buf->data, buf->size_bytes, &header), 0);
    CHECK_EQ(header.attributes & BATCH_CODEC_MASK, MR_CODEC_NONE);
    CHECK_EQ(batch_crc_check(buf->data, &header), 0);
    mr_buf_unref(buf);
    batch_builder_done(&builder);
    teardown(&f);
}

/* Goal: a finish that failed for want of memory can be tried again, and the last record has its
 * extra headers once. Method: fail the n-th allocation, for n until none failed; finish again each
 * time. */
TEST(batch_builder, a_failed_finish_loses_nothing)
{
    struct fault fault = {.fired = 1};
    struct line lines[3];
    struct fixture f;

    setup(&f, 11);
    for (int i = 0; i < 3; i++) {
        random_line(&f, &lines[i]);
    }
    for (int i = 0; i < 100; i++) {
        batch_header_append(&f.extra, "mr.pos", "pppppppppp", 10);
    }
    for (int n = 1; fault_fired(&fault); n++) {
        struct batch_builder_options options = {
            .size_bytes_max = 4096, .codec = MR_CODEC_GZIP, .codecs = f.codecs};
        struct batch_builder builder;
        struct mr_buf *buf = NULL;
        int rc;
        batch_builder_init(&builder, &options);
        CHECK_EQ(batch_builder_begin(&builder, 0), 0);
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(add(&f, &builder, &lines[i]), 0);
        }
        fault_set_more(&fault, n, -1, MR_ENOMEM);
        fault_heap(&fault);
        rc = batch_builder_finish(&builder, NULL, f.extra.data, f.extra.size_bytes, 100, &buf);
        fault_heap_off();
        CHECK_EQ(rc, fault_fired(&fault) ? MR_ENOMEM : 0);
        if (rc != 0) {
            CHECK(buf == NULL);
            CHECK_EQ(
                batch_builder_finish(&builder, NULL, f.extra.data, f.extra.size_bytes, 100, &buf),
                0);
        }
        check_batch(&f, buf, lines, 3, 100);
        mr_buf_unref(buf);
        batch_builder_done(&builder);
        CHECK_LT(n, 100);
    }
    teardown(&f);
}
