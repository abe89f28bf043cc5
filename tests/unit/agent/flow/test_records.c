/* Batches as they lie in the log -> the records that a sink gets. */
#include <stdio.h>
#include <string.h>

#include "agent/flow/records.h"
#include "base/codec/codec.h"
#include "base/core/memory.h"
#include "queue/wire/batch.h"
#include "queue/wire/batch_builder.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

struct fixture {
    struct records records;
    struct mr_codec_context *codecs;
    int64_t next_offset;
    int64_t bad;
};

static void fixture_init(struct fixture *x)
{
    memset(x, 0, sizeof *x);
    records_init(&x->records);
    CHECK_EQ(mr_codec_context_new(&x->codecs), 0);
}

static void fixture_done(struct fixture *x)
{
    records_done(&x->records);
    mr_codec_context_free(x->codecs);
}

static int decode(struct fixture *x, int64_t first_offset)
{
    return records_decode(&x->records, first_offset, x->next_offset, x->codecs, &x->bad);
}

/* Appends a batch of `count` records "value <offset>" with a key and a header; returns where it
 * begins in the range. */
static size_t add(struct fixture *x, enum mr_codec codec, int count)
{
    const struct batch_builder_options options = {.size_bytes_max = 1 << 20,
                                                  .codec = codec,
                                                  .codec_level = MR_CODEC_LEVEL_DEFAULT,
                                                  .codecs = x->codecs};
    struct batch_builder builder;
    struct mr_bytes headers;
    struct mr_buf *batch;
    size_t start = x->records.raw.size_bytes;

    mr_bytes_init(&headers);
    batch_header_append(&headers, "name", "of the header", 13);
    batch_header_append(&headers, "none", NULL, -1);
    batch_builder_init(&builder, &options);
    CHECK_EQ(batch_builder_begin(&builder, 5000), 0);
    for (int i = 0; i < count; i++) {
        char text[64];
        const struct batch_builder_record record = {
            .timestamp_ms = 5000 + i,
            .key = i % 2 == 0 ? "key" : NULL,
            .key_size = i % 2 == 0 ? 3 : -1,
            .value = text,
            .value_size = snprintf(text, sizeof text, "value %lld", (long long)x->next_offset + i),
            .headers = headers.data,
            .headers_size = headers.size_bytes,
            .header_count = 2};
        CHECK_EQ(batch_builder_add(&builder, &record), 0);
    }
    CHECK_EQ(batch_builder_finish(&builder, NULL, NULL, 0, 0, &batch), 0);
    batch_set_offset(batch->data, x->next_offset, 1);
    mr_bytes_append(&x->records.raw, batch->data, batch->size_bytes);
    mr_buf_unref(batch);
    batch_builder_done(&builder);
    mr_bytes_done(&headers);
    x->next_offset += count;
    return start;
}

static void check_records(const struct fixture *x, int64_t first, int64_t next)
{
    CHECK_EQ(x->records.count, next - first);
    for (size_t i = 0; i < x->records.count; i++) {
        const struct sink_record *record = &x->records.items[i];
        char text[64];
        int size = snprintf(text, sizeof text, "value %lld", (long long)record->offset);
        CHECK_EQ(record->offset, first + (int64_t)i);
        CHECK_EQ(record->value.size, size);
        CHECK_MEM(record->value.data, text, (size_t)size);
        CHECK_EQ(record->header_count, 2);
        CHECK_EQ(record->headers[0].name.size, 4);
        CHECK_MEM(record->headers[0].value.data, "of the header", 13);
        CHECK(record->headers[1].value.data == NULL);
        CHECK(record->key.data == NULL || record->key.size == 3);
    }
}

static const enum mr_codec all_codecs[] = {MR_CODEC_NONE, MR_CODEC_GZIP, MR_CODEC_SNAPPY,
                                           MR_CODEC_LZ4, MR_CODEC_ZSTD};

TEST(records, come_out_of_all_codecs)
{
    struct fixture x;

    fixture_init(&x);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof all_codecs / sizeof all_codecs[0]; i++) {
            add(&x, all_codecs[i], 100 + (int)i);
        }
    }
    CHECK_EQ(decode(&x, 0), 0);
    CHECK_EQ(x.bad, 0);
    check_records(&x, 0, x.next_offset);
    CHECK_EQ(x.records.items[0].timestamp_ms, 5000);
    CHECK_EQ(x.records.items[99].timestamp_ms, 5099);
    fixture_done(&x);
}

/* A position may lie within a batch: what is before it is left out. */
TEST(records, begin_where_they_are_asked_to)
{
    for (int64_t first = 0; first <= 20; first++) {
        struct fixture x;
        fixture_init(&x);
        add(&x, MR_CODEC_LZ4, 10);
        add(&x, MR_CODEC_NONE, 10);
        CHECK_EQ(decode(&x, first), 0);
        check_records(&x, first, 20);
        CHECK_EQ(x.bad, 0);
        fixture_done(&x);
    }
}

TEST(records, leave_out_control_batches)
{
    struct fixture x;
    uint8_t marker[BATCH_MARKER_SIZE];
    const struct batch_marker commit = {BATCH_CONTROL_COMMIT, 1, 1, 1};

    fixture_init(&x);
    batch_marker_write(&commit, 5000, marker);
    batch_set_offset(marker, 0, 1);
    mr_bytes_append(&x.records.raw, marker, sizeof marker);
    x.next_offset = 1;
    add(&x, MR_CODEC_ZSTD, 10);
    CHECK_EQ(decode(&x, 0), 0);
    check_records(&x, 1, 11);
    CHECK_EQ(x.bad, 0);
    fixture_done(&x);
}

/* One flipped bit anywhere in the middle of three batches: its records are counted as bad, whole,
 * and no record that comes out is another than it was. */
TEST(records, are_never_what_damage_made_of_them)
{
    for (size_t i = 0; i < sizeof all_codecs / sizeof all_codecs[0]; i++) {
        size_t end = 1;
        for (size_t at = 0; at < end; at++) {
            struct fixture x;
            fixture_init(&x);
            add(&x, MR_CODEC_LZ4, 5);
            size_t start = add(&x, all_codecs[i], 7);
            end = x.records.raw.size_bytes - start;
            add(&x, MR_CODEC_NONE, 3);
            x.records.raw.data[start + at] ^= (uint8_t)(1 << at % 8);
            CHECK_EQ(decode(&x, 0), 0);
            if (at >= 21) { /* what the checksum covers */
                CHECK_EQ(x.records.count, 8);
                CHECK_EQ(x.bad, 7);
            }
            if (at >= 8) { /* the base offset is the log's care */
                CHECK_LE(x.records.count + (size_t)x.bad, 15);
                for (size_t j = 0; j < x.records.count; j++) {
                    const struct sink_record *record = &x.records.items[j];
                    CHECK_MEM(record->value.data, "value ", 6);
                }
            }
            fixture_done(&x);
        }
    }
}

/* A range that ends within a batch: what is missing is counted. */
TEST(records, count_what_a_cut_range_lacks)
{
    struct fixture x;

    fixture_init(&x);
    add(&x, MR_CODEC_NONE, 4);
    size_t start = add(&x, MR_CODEC_NONE, 6);
    for (size_t size = start; size < x.records.raw.size_bytes; size += 13) {
        struct fixture y;
        fixture_init(&y);
        mr_bytes_append(&y.records.raw, x.records.raw.data, size);
        y.next_offset = x.next_offset;
        CHECK_EQ(decode(&y, 0), 0);
        check_records(&y, 0, 4);
        CHECK_EQ(y.bad, 6);
        fixture_done(&y);
    }
    fixture_done(&x);
}

TEST(records, survive_failing_allocations)
{
    struct fault heap;
    bool fired = true;

    for (int nth = 1; fired; nth++) {
        struct fixture x;
        fixture_init(&x);
        add(&x, MR_CODEC_ZSTD, 50);
        add(&x, MR_CODEC_NONE, 50);
        fault_set(&heap, nth, MR_ENOMEM);
        fault_heap(&heap);
        int rc = decode(&x, 0);
        fault_heap_off();
        fired = fault_fired(&heap);
        if (fired) {
            CHECK_EQ(rc, MR_ENOMEM);
            CHECK_EQ(x.records.count, 0);
            CHECK_EQ(decode(&x, 0), 0); /* and again */
        }
        check_records(&x, 0, 100);
        CHECK_EQ(x.bad, 0);
        fixture_done(&x);
    }
}
