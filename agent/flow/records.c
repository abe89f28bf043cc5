/* Two passes: first everything is unpacked and counted, so that the arrays do not move under the
 * pointers that the second pass sets. */
#include "agent/flow/records.h"

#include <string.h>

#include "base/codec/codec.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "queue/wire/batch.h"

enum { RECORDS_UNPACKED_MAX = 256 << 20 };

void records_init(struct records *records)
{
    memset(records, 0, sizeof *records);
    mr_bytes_init(&records->raw);
    mr_bytes_init(&records->unpacked);
}

void records_done(struct records *records)
{
    mr_free(records->items);
    mr_free(records->headers);
    mr_bytes_done(&records->raw);
    mr_bytes_done(&records->unpacked);
    records_init(records);
}

static int add_record(struct records *records, const struct batch_header *header,
                      const struct batch_record *record)
{
    struct sink_record *item;

    if (mr_grow(&records->items, &records->capacity, records->count + 1, sizeof *item) != 0 ||
        mr_grow(&records->headers, &records->header_capacity,
                records->header_count + (size_t)record->header_count,
                sizeof *records->headers) != 0) {
        return MR_ENOMEM;
    }
    item = &records->items[records->count++];
    item->offset = header->base_offset + record->offset_delta;
    item->timestamp_ms = (header->attributes & BATCH_LOG_APPEND_TIME) != 0
                             ? header->max_timestamp_ms
                             : header->base_timestamp_ms + record->timestamp_delta_ms;
    item->key =
        (struct sink_field){record->key, record->key_size < 0 ? 0 : (uint32_t)record->key_size};
    item->value = (struct sink_field){record->value,
                                      record->value_size < 0 ? 0 : (uint32_t)record->value_size};
    item->headers = (const struct sink_header *)(uintptr_t)records->header_count; /* see decode */
    item->header_count = 0;

    struct batch_header_cursor cursor;
    struct batch_record_header name;
    batch_headers_init(&cursor, record);
    while (batch_headers_next(&cursor, &name)) {
        records->headers[records->header_count++] =
            (struct sink_header){{(const uint8_t *)name.key, (uint32_t)name.key_size},
                                 {name.value, name.value_size < 0 ? 0 : (uint32_t)name.value_size}};
        item->header_count++;
    }
    return 0;
}

static int decode_batch(struct records *records, const struct batch_header *header,
                        const uint8_t *data, size_t size, int64_t first_offset)
{
    struct batch_iterator iterator;
    struct batch_record record;
    size_t count = records->count;
    size_t header_count = records->header_count;
    int got;

    batch_iterator_init(&iterator, header, data, size);
    while ((got = batch_iterator_next(&iterator, &record)) > 0) {
        if (header->base_offset + record.offset_delta >= first_offset &&
            add_record(records, header, &record) != 0) {
            return MR_ENOMEM;
        }
    }
    if (got != 0) { /* all of it or nothing */
        records->count = count;
        records->header_count = header_count;
    }
    return got;
}

struct unpacked_batch {
    struct batch_header header;
    bool is_packed;
    bool is_bad;  /* its offsets are known, its records are not */
    bool is_lost; /* nor are its offsets */
    size_t start; /* in unpacked or raw */
    size_t size;
};

/* Finds the batches and unpacks the packed ones, one behind the other. */
static int unpack_batch(struct records *records, struct mr_codec_context *codecs, size_t at,
                        struct unpacked_batch *batch)
{
    const uint8_t *body = records->raw.data + at + BATCH_HEADER_SIZE;
    size_t body_size = (size_t)batch_size_bytes(&batch->header) - BATCH_HEADER_SIZE;
    int codec = batch->header.attributes & BATCH_CODEC_MASK;

    batch->start = codec == 0 ? at + BATCH_HEADER_SIZE : records->unpacked.size_bytes;
    batch->size = body_size;
    batch->is_packed = codec != 0;
    batch->is_lost = batch_crc_check(records->raw.data + at, &batch->header) != 0;
    if (codec == 0 || batch->is_lost || (batch->header.attributes & BATCH_CONTROL) != 0) {
        return 0;
    }
    int rc = mr_codec_decompress(codecs, (enum mr_codec)codec, body, body_size,
                                 RECORDS_UNPACKED_MAX, &records->unpacked);
    batch->size = records->unpacked.size_bytes - batch->start;
    batch->is_bad = rc != 0;
    return rc == MR_ENOMEM ? rc : 0;
}

/* The size of the batch that begins here, also where only its header's counts are damaged: then
 * what lies behind it can still be read. 0: what is left is no batch. */
static size_t batch_span(const uint8_t *data, size_t left, struct unpacked_batch *batch)
{
    int rc = batch_header_parse(data, left, &batch->header);
    int64_t size = rc == MR_ETRUNCATED ? 0 : batch_size_bytes(&batch->header);

    batch->is_lost = rc != 0;
    return size < BATCH_HEADER_SIZE || (size_t)size > left ? 0 : (size_t)size;
}

static int unpack(struct records *records, struct mr_codec_context *codecs,
                  struct unpacked_batch **ret_batches, size_t *ret_count)
{
    struct unpacked_batch *batches = NULL;
    size_t capacity = 0;
    size_t count = 0;
    size_t at = 0;
    size_t size;

    while (at < records->raw.size_bytes) {
        struct unpacked_batch batch = {0};
        size = batch_span(records->raw.data + at, records->raw.size_bytes - at, &batch);
        if (size == 0) {
            break; /* the log gives whole batches; what is not one ends the range */
        }
        if (mr_grow(&batches, &capacity, count + 1, sizeof *batches) != 0 ||
            (!batch.is_lost && unpack_batch(records, codecs, at, &batch) != 0)) {
            mr_free(batches);
            return MR_ENOMEM;
        }
        batches[count++] = batch;
        at += size;
    }
    *ret_batches = batches;
    *ret_count = count;
    return 0;
}

/* Without memory nothing must be left that looks like records. */
static int give_up(struct records *records, int rc)
{
    records->count = 0;
    records->header_count = 0;
    records->unpacked.failed = 0;
    mr_bytes_clear(&records->unpacked);
    return rc;
}

/* The offsets of a batch that are not below `from`; 0 if there are none. */
static int64_t offsets_from(const struct batch_header *header, int64_t from)
{
    int64_t start = header->base_offset > from ? header->base_offset : from;
    int64_t next = batch_next_offset(header);

    return next > start ? next - start : 0;
}

static int decode_unpacked(struct records *records, const struct unpacked_batch *batch,
                           int64_t first_offset, int64_t *bad)
{
    const uint8_t *base = batch->is_packed ? records->unpacked.data : records->raw.data;
    int rc = MR_ECORRUPT;

    if ((batch->header.attributes & BATCH_CONTROL) != 0 && !batch->is_bad) {
        return 0;
    }
    if (!batch->is_bad) {
        rc = decode_batch(records, &batch->header, base + batch->start, batch->size, first_offset);
    }
    if (rc != MR_ECORRUPT) {
        return rc;
    }
    *bad += offsets_from(&batch->header, first_offset);
    return 0;
}

int records_decode(struct records *records, int64_t first_offset, int64_t next_offset,
                   struct mr_codec_context *codecs, int64_t *ret_bad_records)
{
    struct unpacked_batch *batches = NULL;
    size_t count = 0;
    int64_t end = first_offset; /* of what was found */
    int64_t bad = 0;
    bool is_behind_lost = false;
    int rc = unpack(records, codecs, &batches, &count);

    for (size_t i = 0; i < count && rc == 0; i++) {
        const struct unpacked_batch *batch = &batches[i];
        if (!batch->is_lost) {
            bad += is_behind_lost && batch->header.base_offset > end
                       ? batch->header.base_offset - end
                       : 0;
            end = batch_next_offset(&batch->header);
            rc = decode_unpacked(records, batch, first_offset, &bad);
        }
        is_behind_lost = batch->is_lost;
    }
    mr_free(batches);
    if (rc != 0) {
        return give_up(records, rc);
    }
    /* The headers' array may have moved while it grew: now it stays. */
    for (size_t i = 0; i < records->count; i++) {
        records->items[i].headers = records->headers + (uintptr_t)records->items[i].headers;
    }
    /* A length that cannot be read hides how many batches were behind it. */
    *ret_bad_records = bad + (next_offset > end ? next_offset - end : 0);
    return 0;
}
