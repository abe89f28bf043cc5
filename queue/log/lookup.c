/* From timestamps to offsets: segment by their largest timestamp, then the time index, then batches
 * by their headers, and at the end the records of one batch. */
#include "queue/log/log_internal.h"

#include "base/codec/codec.h"
#include "base/core/memory.h"
#include "queue/wire/batch_check.h"

/* What a batch may become when it is decompressed; larger ones are answered by their base offset.
 */
enum { LOOKUP_RECORDS_MAX = 256 << 20 };

struct lookup {
    int64_t timestamp_ms;
    int64_t start_offset; /* records below do not count */
    int64_t offset;       /* found; -1: none */
    int64_t found_timestamp_ms;
};

static int find_record(const struct batch_header *header, const void *records, size_t size_bytes,
                       struct lookup *lookup)
{
    struct batch_iterator iterator;
    struct batch_record record;
    int rc;

    batch_iterator_init(&iterator, header, records, size_bytes);
    while ((rc = batch_iterator_next(&iterator, &record)) == 1) {
        int64_t offset = header->base_offset + record.offset_delta;
        int64_t timestamp_ms = (header->attributes & BATCH_LOG_APPEND_TIME) != 0
                                   ? header->max_timestamp_ms
                                   : header->base_timestamp_ms + record.timestamp_delta_ms;

        if (timestamp_ms >= lookup->timestamp_ms && offset >= lookup->start_offset) {
            lookup->offset = offset;
            lookup->found_timestamp_ms = timestamp_ms;
            return 0;
        }
    }
    return rc;
}

/* The batch is read whole; where its records cannot be had (a codec, memory) it is answered as one.
 */
static int find_in_batch(struct segment *segment, const struct scan_item *item,
                         struct lookup *lookup)
{
    struct mr_codec_context *codecs = NULL;
    const uint8_t *records;
    struct log_file *file;
    struct mr_bytes scratch;
    uint8_t *data;
    size_t size;
    ssize_t got;
    int rc;

    rc = segment_file(segment, &file);
    if (rc != 0) {
        return rc;
    }
    data = mr_malloc((size_t)item->size_bytes);
    if (data == NULL) {
        return MR_ENOMEM;
    }
    mr_bytes_init(&scratch);
    rc = mr_codec_context_new(&codecs);
    if (rc != 0) {
        goto free_data;
    }
    got =
        mr_disk_pread(segment->log->disk, file->fd, data, (size_t)item->size_bytes, item->position);
    rc = got < 0 ? (int)got : got < item->size_bytes ? MR_ECORRUPT : 0;
    if (rc == 0) {
        rc = batch_records(data, &item->header, LOOKUP_RECORDS_MAX, codecs, &scratch, &records,
                           &size);
    }
    if (rc == 0) {
        rc = find_record(&item->header, records, size, lookup);
    }
    if (rc == MR_ECORRUPT || rc == MR_ETOOLARGE || rc == MR_EUNSUPPORTED) {
        lookup->offset = item->header.base_offset > lookup->start_offset ? item->header.base_offset
                                                                         : lookup->start_offset;
        lookup->found_timestamp_ms = item->header.max_timestamp_ms;
        rc = 0;
    }
    mr_codec_context_free(codecs);
free_data:
    mr_bytes_done(&scratch);
    mr_free(data);
    return rc;
}

static int find_in_segment(struct segment *segment, int64_t offset, struct lookup *lookup)
{
    struct scan_item item = {0};

    while (lookup->offset < 0 && offset < segment->next_offset) {
        int rc = segment_seek(segment, offset, &item);

        if (rc != SCAN_BATCH) {
            return rc;
        }
        if (item.header.max_timestamp_ms >= lookup->timestamp_ms) {
            rc = find_in_batch(segment, &item, lookup);
            if (rc != 0) {
                return rc;
            }
        }
        offset = batch_next_offset(&item.header);
    }
    return 0;
}

int log_lookup_time(struct log *log, int64_t timestamp_ms, int64_t *ret_offset,
                    int64_t *ret_timestamp_ms)
{
    struct lookup lookup = {
        .timestamp_ms = timestamp_ms, .start_offset = log->start_offset, .offset = -1};

    for (size_t place = 0; place < log->segment_count && lookup.offset < 0; place++) {
        struct segment *segment = log->segments[place];
        int64_t offset = segment->base_offset;
        size_t before;
        int rc;

        if (segment->size_bytes == 0 ||
            (segment->is_timestamp_known && segment->max_timestamp_ms < timestamp_ms)) {
            continue;
        }
        rc = segment_index_need(segment);
        if (rc != 0) {
            return rc;
        }
        if (segment->max_timestamp_ms < timestamp_ms) {
            continue;
        }
        before = index_find_time(&segment->index, timestamp_ms);
        if (before > 0) { /* up to there nothing is as late */
            offset += (int64_t)segment->index.times[before - 1].offset_delta + 1;
        }
        if (offset < log->start_offset) {
            offset = log->start_offset;
        }
        rc = find_in_segment(segment, offset, &lookup);
        if (rc != 0) {
            return rc;
        }
    }
    *ret_offset = lookup.offset;
    *ret_timestamp_ms = lookup.offset < 0 ? -1 : lookup.found_timestamp_ms;
    return 0;
}

int log_lookup_max_timestamp(struct log *log, int64_t *ret_offset, int64_t *ret_timestamp_ms)
{
    struct lookup lookup = {.timestamp_ms = -1, .start_offset = log->start_offset, .offset = -1};
    struct segment *best = NULL;
    int rc = 0;

    for (size_t place = 0; place < log->segment_count; place++) {
        struct segment *segment = log->segments[place];

        if (segment->size_bytes > 0 && !segment->is_timestamp_known) {
            rc = segment_index_need(segment);
            if (rc != 0) {
                return rc;
            }
        }
        if (segment->size_bytes > 0 && segment->max_timestamp_ms > lookup.timestamp_ms) {
            lookup.timestamp_ms = segment->max_timestamp_ms;
            best = segment;
        }
    }
    if (best != NULL) {
        struct scan_item item = {0};

        rc = segment_seek(best, best->max_timestamp_offset, &item);
        rc = rc == SCAN_BATCH ? find_in_batch(best, &item, &lookup) : rc;
    }
    if (rc < 0) {
        return rc;
    }
    *ret_offset = lookup.offset;
    *ret_timestamp_ms = lookup.offset < 0 ? -1 : lookup.found_timestamp_ms;
    return 0;
}
