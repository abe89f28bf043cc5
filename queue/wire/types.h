/* The C side of Kafka's primitive types, and the arena that decoded messages live in.
 *
 * A zeroed struct of any message is valid: strings and arrays are then empty, not null. Null is a
 * size or count of -1. Decoded strings and bytes point into the bytes they were decoded from:
 * nothing is copied, nothing ends with NUL. */
#ifndef QUEUE_WIRE_TYPES_H
#define QUEUE_WIRE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/random.h"

struct wire_string {
    const char *data;
    int32_t size; /* -1: null */
};

struct wire_bytes {
    const uint8_t *data;
    int32_t size; /* -1: null */
};

/* Record batches within a message. Decoded: a view of the request's bytes. To be encoded: either
 * bytes, which are copied, or a payload, of which only the size is written: the writer then notes a
 * hole there, which the sender fills from what `payload` stands for (file ranges, a
 * reference-counted batch). */
struct wire_records {
    const uint8_t *data;
    int32_t size; /* -1: null */
    void *payload;
};

struct wire_int8_array {
    int8_t *items;
    int32_t count; /* -1: null; so for all arrays */
};
struct wire_int16_array {
    int16_t *items;
    int32_t count;
};
struct wire_int32_array {
    int32_t *items;
    int32_t count;
};
struct wire_int64_array {
    int64_t *items;
    int32_t count;
};
struct wire_string_array {
    struct wire_string *items;
    int32_t count;
};
struct wire_uuid_array {
    struct mr_uuid *items;
    int32_t count;
};

/* A literal or other NUL-ended text; NULL becomes null. The text is borrowed. */
struct wire_string wire_text(const char *text);
bool wire_string_equal(struct wire_string left, struct wire_string right);
bool wire_string_is(struct wire_string string, const char *text);
/* In the order of their bytes: < 0, 0, > 0. Null counts as empty. */
int wire_string_compare(struct wire_string left, struct wire_string right);

/* ---- arena ---- */

struct wire_chunk;

/* Memory of one request: given back all at once, and never more than limit_bytes of it. Belongs to
 * the loop of the request. */
struct wire_arena {
    struct wire_chunk *chunks; /* newest first */
    size_t chunk_used_bytes;   /* of the newest */
    size_t total_bytes;        /* of all chunks */
    size_t limit_bytes;
};

void wire_arena_init(struct wire_arena *arena, size_t limit_bytes);
void wire_arena_done(struct wire_arena *arena);
/* Forgets everything but one chunk, so that a connection's next request needs no allocation. */
void wire_arena_reset(struct wire_arena *arena);
/* Aligned for any type, not zeroed; NULL when the limit or the memory is reached. */
void *wire_arena_alloc(struct wire_arena *arena, size_t size_bytes);
void *wire_arena_array(struct wire_arena *arena, size_t count, size_t item_size_bytes);
/* A copy; null (size -1) when there is no room. */
struct wire_string wire_arena_string(struct wire_arena *arena, const char *data, size_t size_bytes);
struct wire_string wire_arena_printf(struct wire_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Arrays of primitives with room for `count` items, zeroed; 0 or MR_ENOMEM (the array is
 * untouched). */
int wire_int32_array_make(struct wire_arena *arena, struct wire_int32_array *array, int32_t count);
int wire_int64_array_make(struct wire_arena *arena, struct wire_int64_array *array, int32_t count);
int wire_string_array_make(struct wire_arena *arena, struct wire_string_array *array,
                           int32_t count);
int wire_uuid_array_make(struct wire_arena *arena, struct wire_uuid_array *array, int32_t count);

#endif
