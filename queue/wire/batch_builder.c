#include "queue/wire/batch_builder.h"

#include <string.h>

#include "base/core/error.h"
#include "queue/wire/bytes.h"

/* Bytes of a record besides key, value and headers: length, attributes, timestamp and offset delta,
 * the lengths of key and value, the count of headers; each at its largest. */
enum {
    RECORD_OVERHEAD_MAX =
        WIRE_VARINT_SIZE_MAX + 1 + WIRE_VARLONG_SIZE_MAX + 4 * WIRE_VARINT_SIZE_MAX
};

void batch_header_append(struct mr_bytes *headers, const char *key, const void *value,
                         int32_t value_size)
{
    uint8_t number[WIRE_VARINT_SIZE_MAX];
    size_t key_size = strlen(key);

    mr_assert(key_size <= INT32_MAX && value_size >= -1);
    mr_bytes_append(headers, number, (size_t)(wire_put_varint(number, (int32_t)key_size) - number));
    mr_bytes_append(headers, key, key_size);
    mr_bytes_append(headers, number, (size_t)(wire_put_varint(number, value_size) - number));
    if (value_size > 0) {
        mr_bytes_append(headers, value, (size_t)value_size);
    }
}

void batch_builder_init(struct batch_builder *builder, const struct batch_builder_options *options)
{
    mr_assert(options->size_bytes_max <= INT32_MAX / 2);
    mr_assert(options->size_bytes_max >
              BATCH_HEADER_SIZE + RECORD_OVERHEAD_MAX + options->tail_room_bytes);
    mr_assert(options->codec == MR_CODEC_NONE || options->codecs != NULL);
    *builder = (struct batch_builder){.options = *options};
    mr_bytes_init(&builder->bytes);
}

void batch_builder_done(struct batch_builder *builder)
{
    mr_bytes_done(&builder->bytes);
    builder->record_count = 0;
}

int batch_builder_begin(struct batch_builder *builder, int64_t base_timestamp_ms)
{
    mr_bytes_clear(&builder->bytes);
    builder->bytes.failed = 0;
    if (mr_bytes_reserve(&builder->bytes, builder->options.size_bytes_max) != 0) {
        builder->bytes.failed = 0;
        return MR_ENOMEM;
    }
    builder->bytes.size_bytes = BATCH_HEADER_SIZE;
    builder->base_timestamp_ms = base_timestamp_ms;
    builder->max_timestamp_ms = base_timestamp_ms;
    builder->record_count = 0;
    return 0;
}

/* Whether size_bytes of key, value and headers fit; all of the room was reserved at the beginning.
 */
static int check_room(const struct batch_builder *builder, size_t size_bytes)
{
    size_t limit = builder->options.size_bytes_max - builder->options.tail_room_bytes;

    mr_assert(builder->bytes.size_bytes >= BATCH_HEADER_SIZE); /* begun */
    if (size_bytes <= limit &&
        builder->bytes.size_bytes + size_bytes + RECORD_OVERHEAD_MAX <= limit) {
        return 0;
    }
    return builder->record_count == 0 ? MR_ETOOLARGE : MR_EFULL;
}

/* The numbers before the key; returns the place of the key. */
static inline uint8_t *put_head(struct batch_builder *builder, int64_t timestamp_ms,
                                size_t sized_parts)
{
    uint8_t *start = builder->bytes.data + builder->bytes.size_bytes;
    int64_t timestamp_delta_ms =
        (int64_t)((uint64_t)timestamp_ms - (uint64_t)builder->base_timestamp_ms);
    size_t content = 1 + wire_varlong_size(timestamp_delta_ms) +
                     wire_varint_size(builder->record_count) + sized_parts;
    uint8_t *at = wire_put_varint(start, (int32_t)content);

    builder->last_start = builder->bytes.size_bytes;
    builder->last_content = (size_t)(at - builder->bytes.data);
    *at++ = 0; /* attributes */
    at = wire_put_varlong(at, timestamp_delta_ms);
    at = wire_put_varint(at, builder->record_count);
    if (timestamp_ms > builder->max_timestamp_ms || builder->record_count == 0) {
        builder->max_timestamp_ms = timestamp_ms;
    }
    return at;
}

static inline void put_headers(struct batch_builder *builder, uint8_t *at, const void *headers,
                               size_t headers_size, int32_t header_count)
{
    builder->last_headers = (size_t)(at - builder->bytes.data);
    builder->last_header_count = header_count;
    at = wire_put_varint(at, header_count);
    if (headers_size > 0) {
        memcpy(at, headers, headers_size);
        at += headers_size;
    }
    builder->bytes.size_bytes = (size_t)(at - builder->bytes.data);
    builder->record_count++;
}

int batch_builder_add_line(struct batch_builder *builder, int64_t timestamp_ms, const void *value,
                           size_t value_size, const void *headers, size_t headers_size,
                           int32_t header_count)
{
    size_t sized_parts;
    uint8_t *at;
    int rc;

    if (value_size > INT32_MAX || headers_size > INT32_MAX) {
        return MR_ETOOLARGE;
    }
    rc = check_room(builder, value_size + headers_size);
    if (rc != 0) {
        return rc;
    }
    sized_parts = 1 + wire_varint_size((int32_t)value_size) + value_size +
                  wire_varint_size(header_count) + headers_size;
    at = put_head(builder, timestamp_ms, sized_parts);
    *at++ = 1; /* the zig-zag of -1: no key */
    at = wire_put_varint(at, (int32_t)value_size);
    if (value_size > 0) {
        memcpy(at, value, value_size);
        at += value_size;
    }
    put_headers(builder, at, headers, headers_size, header_count);
    return 0;
}

static size_t blob_size(int32_t size)
{
    return wire_varint_size(size) + (size > 0 ? (size_t)size : 0);
}

static uint8_t *put_blob(uint8_t *at, const void *data, int32_t size)
{
    at = wire_put_varint(at, size);
    if (size > 0) {
        memcpy(at, data, (size_t)size);
        at += size;
    }
    return at;
}

int batch_builder_add(struct batch_builder *builder, const struct batch_builder_record *record)
{
    size_t sized_parts;
    uint8_t *at;
    int rc;

    mr_assert(record->key_size >= -1 && record->value_size >= -1);
    if (record->headers_size > INT32_MAX) {
        return MR_ETOOLARGE;
    }
    rc = check_room(builder, (record->key_size > 0 ? (size_t)record->key_size : 0) +
                                 (record->value_size > 0 ? (size_t)record->value_size : 0) +
                                 record->headers_size);
    if (rc != 0) {
        return rc;
    }
    sized_parts = blob_size(record->key_size) + blob_size(record->value_size) +
                  wire_varint_size(record->header_count) + record->headers_size;
    at = put_head(builder, record->timestamp_ms, sized_parts);
    at = put_blob(at, record->key, record->key_size);
    at = put_blob(at, record->value, record->value_size);
    put_headers(builder, at, record->headers, record->headers_size, record->header_count);
    return 0;
}

/* ---- finish ---- */

/* Gives the last record `count` headers and `size` bytes of content. Length and count may become
 * longer or shorter numbers, so that what stands behind them moves: the part between the two, and
 * the headers. */
static void resize_last(struct batch_builder *builder, size_t content, int32_t count)
{
    uint8_t *data = builder->bytes.data;
    size_t old_headers_data = builder->last_headers + wire_varint_size(builder->last_header_count);
    size_t middle = builder->last_headers - builder->last_content;
    size_t headers_size = builder->bytes.size_bytes - old_headers_data;
    size_t new_content = builder->last_start + wire_varint_size((int32_t)content);
    size_t new_headers = new_content + middle;
    size_t new_headers_data = new_headers + wire_varint_size(count);

    if (new_headers_data > old_headers_data) {
        memmove(data + new_headers_data, data + old_headers_data, headers_size);
        memmove(data + new_content, data + builder->last_content, middle);
    } else {
        memmove(data + new_content, data + builder->last_content, middle);
        memmove(data + new_headers_data, data + old_headers_data, headers_size);
    }
    wire_put_varint(data + builder->last_start, (int32_t)content);
    wire_put_varint(data + new_headers, count);
    builder->last_content = new_content;
    builder->last_headers = new_headers;
    builder->last_header_count = count;
    builder->bytes.size_bytes = new_headers_data + headers_size;
}

static size_t content_with(const struct batch_builder *builder, size_t headers_size, int32_t count)
{
    return builder->last_headers - builder->last_content + wire_varint_size(count) + headers_size;
}

static size_t last_headers_size(const struct batch_builder *builder)
{
    return builder->bytes.size_bytes - builder->last_headers -
           wire_varint_size(builder->last_header_count);
}

static int extend_last(struct batch_builder *builder, const void *headers, size_t headers_size,
                       int32_t header_count)
{
    size_t size = last_headers_size(builder) + headers_size;
    int32_t count = builder->last_header_count + header_count;

    if (headers_size > INT32_MAX / 4) {
        return MR_ETOOLARGE;
    }
    if (mr_bytes_reserve(&builder->bytes, headers_size + 2 * WIRE_VARINT_SIZE_MAX) != 0) {
        builder->bytes.failed = 0;
        return MR_ENOMEM;
    }
    resize_last(builder, content_with(builder, size, count), count);
    memcpy(builder->bytes.data + builder->bytes.size_bytes, headers, headers_size);
    builder->bytes.size_bytes += headers_size;
    return 0;
}

/* Takes the extra headers back, so that a failed finish can be tried again. */
static void shorten_last(struct batch_builder *builder, size_t headers_size, int32_t header_count)
{
    int32_t count = builder->last_header_count - header_count;

    builder->bytes.size_bytes -= headers_size;
    resize_last(builder, content_with(builder, last_headers_size(builder), count), count);
}

static void seal(struct mr_buf *buf, const struct batch_builder *builder, enum mr_codec codec,
                 const struct batch_builder_identity *identity)
{
    static const struct batch_builder_identity nobody = {-1, -1, -1, false};
    const struct batch_builder_identity *who = identity == NULL ? &nobody : identity;
    struct batch_header header = {
        .length = (int32_t)(buf->size_bytes - BATCH_PREFIX_SIZE),
        .leader_epoch = -1,
        .magic = BATCH_MAGIC,
        .attributes = (int16_t)((int)codec | (who->is_transactional ? BATCH_TRANSACTIONAL : 0)),
        .last_offset_delta = builder->record_count - 1,
        .base_timestamp_ms = builder->base_timestamp_ms,
        .max_timestamp_ms = builder->max_timestamp_ms,
        .producer_id = who->producer_id,
        .producer_epoch = who->producer_epoch,
        .base_sequence = who->base_sequence,
        .record_count = builder->record_count,
    };

    batch_header_write(&header, buf->data);
    header.crc = batch_crc_compute(buf->data, buf->size_bytes);
    batch_header_write(&header, buf->data);
}

/* NULL without memory, or when the compressed records are no smaller. */
static struct mr_buf *compress(const struct batch_builder *builder, int *ret_code)
{
    const struct batch_builder_options *options = &builder->options;
    struct iovec part = {builder->bytes.data + BATCH_HEADER_SIZE,
                         builder->bytes.size_bytes - BATCH_HEADER_SIZE};
    struct mr_buf *buf = NULL;
    struct mr_bytes out;
    int rc;

    mr_bytes_init(&out);
    rc = mr_bytes_reserve(&out, BATCH_HEADER_SIZE + part.iov_len / 2);
    if (rc == 0) {
        out.size_bytes = BATCH_HEADER_SIZE;
        rc = mr_codec_compress(options->codecs, options->codec, options->codec_level, &part, 1,
                               &out);
    }
    if (rc == 0 && out.size_bytes < builder->bytes.size_bytes) {
        buf = mr_bytes_take(&out);
        rc = buf == NULL ? MR_ENOMEM : 0;
    }
    mr_bytes_done(&out);
    *ret_code = rc;
    return buf;
}

/* The filled buffer itself, or a copy where most of it is empty: a batch that waits in a queue
 * should not hold the memory of a full one. */
static struct mr_buf *take_plain(struct batch_builder *builder)
{
    if (builder->bytes.size_bytes < builder->options.size_bytes_max / 2) {
        return mr_buf_copy(builder->bytes.data, builder->bytes.size_bytes);
    }
    return mr_bytes_take(&builder->bytes);
}

int batch_builder_finish(struct batch_builder *builder,
                         const struct batch_builder_identity *identity, const void *extra_headers,
                         size_t extra_headers_size, int32_t extra_header_count,
                         struct mr_buf **ret_batch)
{
    enum mr_codec codec = builder->options.codec;
    struct mr_buf *buf = NULL;
    int rc = 0;

    mr_assert(builder->record_count > 0);
    if (extra_header_count > 0) {
        rc = extend_last(builder, extra_headers, extra_headers_size, extra_header_count);
        if (rc != 0) {
            return rc;
        }
    }
    if (codec != MR_CODEC_NONE) {
        buf = compress(builder, &rc);
    }
    if (buf == NULL && rc == 0) {
        codec = MR_CODEC_NONE;
        buf = take_plain(builder);
        rc = buf == NULL ? MR_ENOMEM : 0;
    }
    if (rc != 0) {
        if (extra_header_count > 0) {
            shorten_last(builder, extra_headers_size, extra_header_count);
        }
        return rc;
    }
    seal(buf, builder, codec, identity);
    mr_bytes_clear(&builder->bytes);
    builder->record_count = 0;
    *ret_batch = buf;
    return 0;
}
