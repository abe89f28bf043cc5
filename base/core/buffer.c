/* Buffers that are shared by counting, and byte strings that grow for one owner. */
#include "base/core/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"

enum { BYTES_CAPACITY_MIN = 64 };

struct mr_buf *mr_buf_new(size_t capacity_bytes)
{
    struct mr_buf *buf;
    size_t size;

    if (__builtin_add_overflow(capacity_bytes, sizeof *buf, &size)) {
        return NULL;
    }
    buf = mr_malloc(size);
    if (buf == NULL) {
        return NULL;
    }
    *buf = (struct mr_buf){.capacity_bytes = capacity_bytes, .data = (uint8_t *)(buf + 1)};
    atomic_init(&buf->refs, 1);
    return buf;
}

struct mr_buf *mr_buf_copy(const void *data, size_t size_bytes)
{
    struct mr_buf *buf = mr_buf_new(size_bytes);

    if (buf != NULL && size_bytes > 0) {
        memcpy(buf->data, data, size_bytes);
        buf->size_bytes = size_bytes;
    }
    return buf;
}

struct mr_buf *mr_buf_ref(struct mr_buf *buf)
{
    unsigned before = atomic_fetch_add_explicit(&buf->refs, 1, memory_order_relaxed);

    mr_assert(before > 0 && before < UINT32_MAX);
    return buf;
}

void mr_buf_unref(struct mr_buf *buf)
{
    unsigned before;

    if (buf == NULL) {
        return;
    }
    /* Release, so that this thread's last look at the bytes is before another's free. */
    before = atomic_fetch_sub_explicit(&buf->refs, 1, memory_order_acq_rel);
    mr_assert(before > 0);
    if (before > 1) {
        return;
    }
    if (buf->is_secret) {
        explicit_bzero(buf->data, buf->capacity_bytes);
    }
    if (buf->release != NULL) {
        buf->release(buf);
    } else {
        mr_free(buf);
    }
}

void mr_bytes_init(struct mr_bytes *bytes)
{
    *bytes = (struct mr_bytes){0};
}

void mr_bytes_done(struct mr_bytes *bytes)
{
    if (bytes == NULL) {
        return;
    }
    mr_free(bytes->data);
    mr_bytes_init(bytes);
}

void mr_bytes_clear(struct mr_bytes *bytes)
{
    bytes->size_bytes = 0;
    bytes->failed = 0;
}

int mr_bytes_reserve(struct mr_bytes *bytes, size_t more_bytes)
{
    size_t want;
    size_t capacity = bytes->capacity_bytes;

    if (bytes->failed != 0) {
        return bytes->failed;
    }
    if (__builtin_add_overflow(bytes->size_bytes, more_bytes, &want)) {
        bytes->failed = MR_ENOMEM;
        return bytes->failed;
    }
    if (want <= capacity) {
        return 0;
    }
    want = want < BYTES_CAPACITY_MIN ? BYTES_CAPACITY_MIN : want;
    if (mr_grow(&bytes->data, &capacity, want, 1) != 0) {
        bytes->failed = MR_ENOMEM;
        return bytes->failed;
    }
    bytes->capacity_bytes = capacity;
    return 0;
}

void mr_bytes_append(struct mr_bytes *bytes, const void *data, size_t size_bytes)
{
    if (size_bytes == 0 || mr_bytes_reserve(bytes, size_bytes) != 0) {
        return;
    }
    memcpy(bytes->data + bytes->size_bytes, data, size_bytes);
    bytes->size_bytes += size_bytes;
}

void mr_bytes_text(struct mr_bytes *bytes, const char *text)
{
    mr_bytes_append(bytes, text, strlen(text));
}

/* Tries in the room that is there; only a text that does not fit is formatted twice. */
void mr_bytes_printf(struct mr_bytes *bytes, const char *format, ...)
{
    va_list arguments;
    size_t room;
    int size;

    if (mr_bytes_reserve(bytes, 1) != 0) {
        return;
    }
    room = bytes->capacity_bytes - bytes->size_bytes;
    va_start(arguments, format);
    size = vsnprintf((char *)bytes->data + bytes->size_bytes, room, format, arguments);
    va_end(arguments);
    mr_assert(size >= 0); /* only a wrong format fails */
    if ((size_t)size >= room) {
        if (mr_bytes_reserve(bytes, (size_t)size + 1) != 0) {
            return;
        }
        va_start(arguments, format);
        size =
            vsnprintf((char *)bytes->data + bytes->size_bytes, (size_t)size + 1, format, arguments);
        va_end(arguments);
    }
    bytes->size_bytes += (size_t)size;
}

static void taken_release(struct mr_buf *buf)
{
    mr_free(buf->owner);
    mr_free(buf);
}

struct mr_buf *mr_bytes_take(struct mr_bytes *bytes)
{
    struct mr_buf *buf;

    if (bytes->failed != 0) {
        return NULL;
    }
    buf = mr_buf_new(0);
    if (buf == NULL) {
        bytes->failed = MR_ENOMEM;
        return NULL;
    }
    if (bytes->data != NULL) {
        buf->data = bytes->data;
        buf->owner = bytes->data;
        buf->capacity_bytes = bytes->capacity_bytes;
        buf->size_bytes = bytes->size_bytes;
        buf->release = taken_release;
    }
    mr_bytes_init(bytes);
    return buf;
}
