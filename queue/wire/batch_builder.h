/* Makes batches of our own records: from sources, coordinators and `millrace produce`.
 *
 * begin, then add until MR_EFULL, then finish: the batch comes out as a buffer, and the next can
 * begin. Records are encoded in place, each byte once; without a codec the buffer that was filled
 * is the batch. A builder belongs to one loop. */
#ifndef QUEUE_WIRE_BATCH_BUILDER_H
#define QUEUE_WIRE_BATCH_BUILDER_H

#include "base/codec/codec.h"
#include "base/core/buffer.h"
#include "queue/wire/batch.h"

struct batch_builder_options {
    size_t size_bytes_max;  /* of the batch before compression, header included */
    size_t tail_room_bytes; /* kept free for the headers that finish() adds to the last record */
    enum mr_codec codec;
    int codec_level;                 /* MR_CODEC_LEVEL_DEFAULT */
    struct mr_codec_context *codecs; /* borrowed; may be NULL without a codec */
};

struct batch_builder {
    struct batch_builder_options options;
    struct mr_bytes bytes; /* 61 bytes of room, then the records */
    int64_t base_timestamp_ms;
    int64_t max_timestamp_ms;
    int32_t record_count;
    /* The last record, which finish() may make longer: where it begins, its content after the
     * length, and the count of its headers. */
    size_t last_start;
    size_t last_content;
    size_t last_headers;
    int32_t last_header_count;
};

struct batch_builder_record {
    int64_t timestamp_ms;
    const void *key;
    int32_t key_size; /* -1: null */
    const void *value;
    int32_t value_size;  /* -1: null */
    const void *headers; /* encoded by batch_header_append */
    size_t headers_size;
    int32_t header_count;
};

/* Encodes one header behind others: a stream's constant headers are encoded once. value_size -1:
 * null. */
void batch_header_append(struct mr_bytes *headers, const char *key, const void *value,
                         int32_t value_size);

void batch_builder_init(struct batch_builder *builder, const struct batch_builder_options *options);
void batch_builder_done(struct batch_builder *builder);

/* Forgets what was added. The base is the first record's timestamp. 0 or MR_ENOMEM. */
int batch_builder_begin(struct batch_builder *builder, int64_t base_timestamp_ms);

/* 0; MR_EFULL: finish first, it will fit then; MR_ETOOLARGE: it fits into no batch. */
int batch_builder_add(struct batch_builder *builder, const struct batch_builder_record *record);
/* The same for a line: no key, value and headers given. The hot path of every source. */
int batch_builder_add_line(struct batch_builder *builder, int64_t timestamp_ms, const void *value,
                           size_t value_size, const void *headers, size_t headers_size,
                           int32_t header_count);

static inline int32_t batch_builder_count(const struct batch_builder *builder)
{
    return builder->record_count;
}
static inline size_t batch_builder_size(const struct batch_builder *builder)
{
    return builder->bytes.size_bytes;
}

/* What the header of a finished batch says beyond its records. */
struct batch_builder_identity {
    int64_t producer_id; /* -1: none, and then the others are -1 too */
    int16_t producer_epoch;
    int32_t base_sequence;
    bool is_transactional;
};

/* Ends the batch (at least one record): adds the headers to its last record, compresses, and hands
 * over one reference. identity NULL: none. extra_headers may exceed tail_room_bytes: the batch is
 * then larger. 0 or MR_ENOMEM; after a failure the batch can be finished again or begun anew. */
int batch_builder_finish(struct batch_builder *builder,
                         const struct batch_builder_identity *identity, const void *extra_headers,
                         size_t extra_headers_size, int32_t extra_header_count,
                         struct mr_buf **ret_batch);

#endif
