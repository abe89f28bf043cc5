#include "queue/wire/writer.h"

#include "base/core/error.h"
#include "base/core/memory.h"
#include "queue/wire/bytes.h"

void wire_writer_init(struct wire_writer *writer)
{
    *writer = (struct wire_writer){0};
    mr_bytes_init(&writer->bytes);
}

void wire_writer_done(struct wire_writer *writer)
{
    mr_bytes_done(&writer->bytes);
    mr_free(writer->holes);
    *writer = (struct wire_writer){0};
}

void wire_writer_clear(struct wire_writer *writer)
{
    mr_bytes_clear(&writer->bytes);
    writer->hole_count = 0;
    writer->hole_bytes = 0;
    writer->failed = 0;
}

int64_t wire_writer_size(const struct wire_writer *writer)
{
    return (int64_t)writer->bytes.size_bytes + writer->hole_bytes;
}

struct mr_buf *wire_writer_flatten(const struct wire_writer *writer, wire_fill_cb fill)
{
    struct mr_buf *buf = mr_buf_new((size_t)wire_writer_size(writer));
    size_t position = 0;

    if (buf == NULL) {
        return NULL;
    }
    for (size_t i = 0; i <= writer->hole_count; i++) {
        size_t end = i < writer->hole_count ? writer->holes[i].position : writer->bytes.size_bytes;
        if (end > position) {
            memcpy(buf->data + buf->size_bytes, writer->bytes.data + position, end - position);
            buf->size_bytes += end - position;
            position = end;
        }
        if (i < writer->hole_count) {
            const struct wire_hole *hole = &writer->holes[i];
            fill(hole->payload, buf->data + buf->size_bytes, hole->size_bytes);
            buf->size_bytes += (size_t)hole->size_bytes;
        }
    }
    return buf;
}

void wire_fail(struct wire_writer *writer, int code)
{
    if (writer->failed == 0) {
        writer->failed = code;
    }
}

uint8_t *wire_writer_room_slow(struct wire_writer *writer, size_t size_bytes)
{
    if (mr_bytes_reserve(&writer->bytes, size_bytes) != 0) {
        wire_fail(writer, MR_ENOMEM);
        return NULL;
    }
    return writer->bytes.data + writer->bytes.size_bytes;
}

void wire_write(struct wire_writer *writer, const void *data, size_t size_bytes)
{
    uint8_t *at = wire_writer_room(writer, size_bytes);

    if (at != NULL && size_bytes > 0) {
        memcpy(at, data, size_bytes);
        writer->bytes.size_bytes += size_bytes;
    }
}

void wire_write_uvarint(struct wire_writer *writer, uint32_t value)
{
    uint8_t *at = wire_writer_room(writer, WIRE_VARINT_SIZE_MAX);

    if (at != NULL) {
        writer->bytes.size_bytes += (size_t)(wire_put_uvarint(at, value) - at);
    }
}

void wire_write_hole(struct wire_writer *writer, void *payload, int32_t size_bytes)
{
    mr_assert(size_bytes >= 0);
    if (mr_grow(&writer->holes, &writer->hole_capacity, writer->hole_count + 1,
                sizeof *writer->holes) != 0) {
        wire_fail(writer, MR_ENOMEM);
        return;
    }
    writer->holes[writer->hole_count++] =
        (struct wire_hole){writer->bytes.size_bytes, size_bytes, payload};
    writer->hole_bytes += size_bytes;
}
