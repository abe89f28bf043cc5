#include "sinks/peer/batch.h"

#include "base/codec/codec.h"
#include "base/core/disk.h"
#include "base/core/memory.h"
#include "queue/wire/batch_builder.h"
#include "queue/wire/batch_check.h"

enum {
    UNPACKED_SIZE_MAX = 256 << 20,
    RECORD_GROWTH_MAX = 32, /* longer varints of lengths and deltas */
    BATCH_GROWTH_MAX = 256,
};

int batch_read_header(const struct sink_write *write, bool is_cached,
                      uint8_t ret_bytes[BATCH_HEADER_SIZE], struct batch_header *ret_header)
{
    struct iovec part = {ret_bytes, BATCH_HEADER_SIZE};
    ssize_t got = is_cached
                      ? mr_disk_preadv_cached(write->disk, write->fd, &part, 1, write->position)
                      : mr_disk_preadv(write->disk, write->fd, &part, 1, write->position);

    if (got < 0) {
        return (int)got;
    }
    if (got < BATCH_HEADER_SIZE ||
        batch_header_parse(ret_bytes, BATCH_HEADER_SIZE, ret_header) != 0 ||
        batch_size_bytes(ret_header) != write->size_bytes) {
        return MR_ECORRUPT;
    }
    return 0;
}

/* ---- pieces ---- */

struct cutter {
    struct batch_piece *piece;
    struct batch_header header;
    struct mr_bytes raw;
    struct mr_bytes unpacked;
    struct mr_codec_context *codecs;
    struct batch_builder builder;
    const uint8_t *records;
    size_t records_size;
};

static int cutter_read(struct cutter *cutter)
{
    const struct batch_piece *piece = cutter->piece;
    size_t size = (size_t)piece->size_bytes;
    ssize_t got;
    int rc = mr_bytes_reserve(&cutter->raw, size);

    if (rc != 0) {
        return rc;
    }
    got = mr_disk_pread(piece->disk, piece->fd, cutter->raw.data, size, piece->position);
    if (got != (ssize_t)size) {
        return got < 0 ? (int)got : MR_ECORRUPT;
    }
    if (batch_header_parse(cutter->raw.data, size, &cutter->header) != 0 ||
        batch_size_bytes(&cutter->header) != piece->size_bytes ||
        batch_crc_check(cutter->raw.data, &cutter->header) != 0) {
        return MR_ECORRUPT;
    }
    return batch_records(cutter->raw.data, &cutter->header, UNPACKED_SIZE_MAX, cutter->codecs,
                         &cutter->unpacked, &cutter->records, &cutter->records_size);
}

static int cutter_add(struct cutter *cutter, const struct batch_record *record)
{
    const struct batch_header *header = &cutter->header;
    struct batch_piece *piece = cutter->piece;
    bool is_append_time = (header->attributes & BATCH_LOG_APPEND_TIME) != 0;
    int64_t timestamp_ms = is_append_time ? header->max_timestamp_ms
                                          : header->base_timestamp_ms + record->timestamp_delta_ms;
    struct batch_builder_record out = {
        .timestamp_ms = timestamp_ms,
        .key = record->key,
        .key_size = record->key_size,
        .value = record->value,
        .value_size = record->value_size,
        .headers = record->headers,
        .headers_size = (size_t)record->headers_size,
        .header_count = record->header_count,
    };
    int rc = piece->record_count == 0 ? batch_builder_begin(&cutter->builder, timestamp_ms) : 0;

    return rc != 0 ? rc : batch_builder_add(&cutter->builder, &out);
}

/* Adds what belongs into the piece; 0, MR_ENOENT if that is nothing, or another rc. */
static int cutter_fill(struct cutter *cutter)
{
    struct batch_piece *piece = cutter->piece;
    struct batch_iterator iterator;
    struct batch_record record;
    int rc = 0;
    int got;

    batch_iterator_init(&iterator, &cutter->header, cutter->records, cutter->records_size);
    for (int32_t i = 0; (got = batch_iterator_next(&iterator, &record)) == 1 && rc == 0; i++) {
        int64_t offset = cutter->header.base_offset + record.offset_delta;
        if (offset < piece->from_offset) {
            continue;
        }
        if (piece->record_count == 0) {
            piece->first_offset = offset;
            piece->first_index = i;
        } else if (offset != piece->next_offset ||
                   (piece->record_count_max > 0 &&
                    piece->record_count == piece->record_count_max)) {
            break;
        }
        rc = cutter_add(cutter, &record);
        piece->next_offset = offset + 1;
        piece->record_count++;
    }
    if (got < 0) {
        rc = got;
    }
    return rc == 0 && piece->record_count == 0 ? MR_ENOENT : rc;
}

static int cutter_cut(struct cutter *cutter)
{
    struct batch_piece *piece = cutter->piece;
    struct batch_builder_options options = {.codecs = cutter->codecs};
    struct batch_builder_identity identity = {.producer_id = piece->lineage.producer_id,
                                              .producer_epoch = piece->lineage.epoch};
    int rc = cutter_read(cutter);

    if (rc != 0) {
        return rc;
    }
    options.size_bytes_max = cutter->records_size + BATCH_GROWTH_MAX +
                             (size_t)cutter->header.record_count * RECORD_GROWTH_MAX;
    options.codec = piece->is_plain ? MR_CODEC_NONE
                                    : (enum mr_codec)(cutter->header.attributes & BATCH_CODEC_MASK);
    batch_builder_init(&cutter->builder, &options);
    rc = cutter_fill(cutter);
    if (rc == 0) {
        identity.base_sequence = lineage_sequence(&piece->lineage, piece->first_offset);
        rc = batch_builder_finish(&cutter->builder, &identity, NULL, 0, 0, &piece->batch);
    }
    batch_builder_done(&cutter->builder);
    return rc;
}

void batch_piece_run(struct mr_work *work)
{
    struct batch_piece *piece = work->owner;
    struct cutter cutter = {.piece = piece};

    mr_bytes_init(&cutter.raw);
    mr_bytes_init(&cutter.unpacked);
    piece->record_count = 0;
    piece->rc = mr_codec_context_new(&cutter.codecs);
    if (piece->rc == 0) {
        piece->rc = cutter_cut(&cutter);
    }
    mr_codec_context_free(cutter.codecs);
    mr_bytes_done(&cutter.raw);
    mr_bytes_done(&cutter.unpacked);
}

void batch_piece_done(struct batch_piece *piece)
{
    mr_buf_unref(piece->batch);
    piece->batch = NULL;
}
