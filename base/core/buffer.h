/* Reference-counted bytes: filled once, then read-only, so that the same bytes travel from socket
 * to log to peer. Counts are atomic: a buffer may be released on another thread than it was made
 * on. */
#ifndef BASE_CORE_BUFFER_H
#define BASE_CORE_BUFFER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_buf {
    atomic_uint refs;
    size_t capacity_bytes;
    size_t size_bytes; /* how much of data is filled; written by the one who fills */
    bool is_secret;    /* overwritten before the memory is given back */
    void (*release)(struct mr_buf *buf); /* NULL: mr_free */
    void *owner;                         /* for release */
    uint8_t *data;                       /* behind the struct, or the releaser's own memory */
};

/* One reference, size 0; NULL without memory. */
struct mr_buf *mr_buf_new(size_t capacity_bytes);
struct mr_buf *mr_buf_copy(const void *data, size_t size_bytes);
struct mr_buf *mr_buf_ref(struct mr_buf *buf);
void mr_buf_unref(struct mr_buf *buf); /* NULL is fine */

/* A part of a buffer. Holds a reference only where the function that hands it over says so. */
struct mr_slice {
    struct mr_buf *buf; /* NULL: data belongs to someone who outlives the slice */
    const uint8_t *data;
    size_t size_bytes;
};

/* A growing byte string, for one owner: text pages, encoded messages. After the first failed
 * allocation `failed` is set and everything appended is ignored, so that callers check once. */
struct mr_bytes {
    uint8_t *data;
    size_t size_bytes;
    size_t capacity_bytes;
    int failed; /* 0 or MR_ENOMEM */
};

void mr_bytes_init(struct mr_bytes *bytes);
void mr_bytes_done(struct mr_bytes *bytes);
void mr_bytes_clear(struct mr_bytes *bytes); /* keeps the memory */
int mr_bytes_reserve(struct mr_bytes *bytes, size_t more_bytes);
void mr_bytes_append(struct mr_bytes *bytes, const void *data, size_t size_bytes);
void mr_bytes_text(struct mr_bytes *bytes, const char *text);
void mr_bytes_printf(struct mr_bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Steals the content into a buffer with one reference; the bytes are empty afterwards.
 * NULL if anything failed before. */
struct mr_buf *mr_bytes_take(struct mr_bytes *bytes);

#endif
