/* Where encoded messages go: a growing byte string with holes. A hole stands for payload bytes that
 * are counted in all lengths and are not here, since they travel by sendfile or from another
 * buffer.
 *
 *     bytes:  [length header ... records length][next partition ... records length][rest]
 *     holes:                                    ^ payload A                        ^ payload B
 *
 * The sender walks the holes in order: bytes up to hole 0, payload 0, bytes up to hole 1, ... */
#ifndef QUEUE_WIRE_WRITER_H
#define QUEUE_WIRE_WRITER_H

#include <string.h>

#include "base/core/buffer.h"
#include "queue/wire/types.h"

struct wire_hole {
    size_t position; /* in the bytes; payload comes before this byte */
    int32_t size_bytes;
    void *payload; /* borrowed from the message */
};

struct wire_writer {
    struct mr_bytes bytes;
    struct wire_hole *holes;
    size_t hole_count;
    size_t hole_capacity;
    int64_t hole_bytes; /* of all holes */
    int failed;         /* 0, or the first error */
};

void wire_writer_init(struct wire_writer *writer);
void wire_writer_done(struct wire_writer *writer);
void wire_writer_clear(struct wire_writer *writer); /* keeps the memory */

/* Bytes and holes together. */
int64_t wire_writer_size(const struct wire_writer *writer);
/* Everything as one byte string, for tests and small messages: fill(payload, data, size) writes a
 * hole's bytes. NULL without memory. */
typedef void (*wire_fill_cb)(void *payload, uint8_t *data, int32_t size_bytes);
struct mr_buf *wire_writer_flatten(const struct wire_writer *writer, wire_fill_cb fill);

void wire_write_hole(struct wire_writer *writer, void *payload, int32_t size_bytes);
void wire_write(struct wire_writer *writer, const void *data, size_t size_bytes);
void wire_write_uvarint(struct wire_writer *writer, uint32_t value);
void wire_fail(struct wire_writer *writer, int code); /* the first one stays */

/* Room for a few bytes, or NULL (and failed is set). */
uint8_t *wire_writer_room_slow(struct wire_writer *writer, size_t size_bytes);
static inline uint8_t *wire_writer_room(struct wire_writer *writer, size_t size_bytes)
{
    if (writer->bytes.capacity_bytes - writer->bytes.size_bytes < size_bytes) {
        return wire_writer_room_slow(writer, size_bytes);
    }
    return writer->bytes.data + writer->bytes.size_bytes;
}

static inline void wire_write_int8(struct wire_writer *writer, int8_t value)
{
    uint8_t *at = wire_writer_room(writer, 1);
    if (at != NULL) {
        *at = (uint8_t)value;
        writer->bytes.size_bytes += 1;
    }
}

static inline void wire_write_int16(struct wire_writer *writer, int16_t value)
{
    uint16_t big = __builtin_bswap16((uint16_t)value);
    uint8_t *at = wire_writer_room(writer, sizeof big);
    if (at != NULL) {
        memcpy(at, &big, sizeof big);
        writer->bytes.size_bytes += sizeof big;
    }
}

static inline void wire_write_int32(struct wire_writer *writer, int32_t value)
{
    uint32_t big = __builtin_bswap32((uint32_t)value);
    uint8_t *at = wire_writer_room(writer, sizeof big);
    if (at != NULL) {
        memcpy(at, &big, sizeof big);
        writer->bytes.size_bytes += sizeof big;
    }
}

static inline void wire_write_int64(struct wire_writer *writer, int64_t value)
{
    uint64_t big = __builtin_bswap64((uint64_t)value);
    uint8_t *at = wire_writer_room(writer, sizeof big);
    if (at != NULL) {
        memcpy(at, &big, sizeof big);
        writer->bytes.size_bytes += sizeof big;
    }
}

#endif
