#include "queue/wire/types.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"

enum { CHUNK_SIZE_MIN = 4096, CHUNK_ALIGNMENT = 16 };

struct wire_chunk {
    struct wire_chunk *older;
    size_t size_bytes; /* of data */
    _Alignas(CHUNK_ALIGNMENT) uint8_t data[];
};

struct wire_string wire_text(const char *text)
{
    if (text == NULL) {
        return (struct wire_string){NULL, -1};
    }
    return (struct wire_string){text, (int32_t)strlen(text)};
}

bool wire_string_equal(struct wire_string left, struct wire_string right)
{
    if (left.size != right.size) {
        return false;
    }
    return left.size <= 0 || memcmp(left.data, right.data, (size_t)left.size) == 0;
}

int wire_string_compare(struct wire_string left, struct wire_string right)
{
    int32_t left_size = left.size > 0 ? left.size : 0;
    int32_t right_size = right.size > 0 ? right.size : 0;
    int32_t common = left_size < right_size ? left_size : right_size;
    int order = common > 0 ? memcmp(left.data, right.data, (size_t)common) : 0;

    return order != 0 ? order : (left_size > right_size) - (left_size < right_size);
}

bool wire_string_is(struct wire_string string, const char *text)
{
    return wire_string_equal(string, wire_text(text));
}

void wire_arena_init(struct wire_arena *arena, size_t limit_bytes)
{
    *arena = (struct wire_arena){.limit_bytes = limit_bytes};
}

static void arena_free_after(struct wire_arena *arena, struct wire_chunk *kept)
{
    struct wire_chunk *chunk = kept == NULL ? arena->chunks : kept->older;

    while (chunk != NULL) {
        struct wire_chunk *older = chunk->older;
        arena->total_bytes -= chunk->size_bytes;
        mr_free(chunk);
        chunk = older;
    }
    arena->chunks = kept;
    if (kept != NULL) {
        kept->older = NULL;
    }
    arena->chunk_used_bytes = 0;
}

void wire_arena_done(struct wire_arena *arena)
{
    arena_free_after(arena, NULL);
}

void wire_arena_reset(struct wire_arena *arena)
{
    /* Keeping a huge chunk would pin the memory of one large request on an idle connection. */
    bool keeps = arena->chunks != NULL && arena->chunks->size_bytes <= 16 * CHUNK_SIZE_MIN;

    arena_free_after(arena, keeps ? arena->chunks : NULL);
}

static bool arena_grow(struct wire_arena *arena, size_t size_bytes)
{
    size_t room = arena->limit_bytes - arena->total_bytes;
    size_t want = CHUNK_SIZE_MIN;
    struct wire_chunk *chunk;

    if (size_bytes > room) {
        return false;
    }
    if (arena->chunks != NULL) {
        want = 2 * arena->chunks->size_bytes; /* few chunks, whatever the message */
    }
    if (want > room) {
        want = room;
    }
    if (want < size_bytes) {
        want = size_bytes;
    }
    chunk = mr_malloc(sizeof *chunk + want);
    if (chunk == NULL) {
        return false;
    }
    chunk->older = arena->chunks;
    chunk->size_bytes = want;
    arena->chunks = chunk;
    arena->chunk_used_bytes = 0;
    arena->total_bytes += want;
    return true;
}

void *wire_arena_alloc(struct wire_arena *arena, size_t size_bytes)
{
    void *memory;

    if (size_bytes > SIZE_MAX - CHUNK_ALIGNMENT) {
        return NULL;
    }
    size_bytes = (size_bytes + CHUNK_ALIGNMENT - 1) & ~(size_t)(CHUNK_ALIGNMENT - 1);
    if (arena->chunks == NULL || arena->chunks->size_bytes - arena->chunk_used_bytes < size_bytes) {
        if (!arena_grow(arena, size_bytes)) {
            return NULL;
        }
    }
    memory = arena->chunks->data + arena->chunk_used_bytes;
    arena->chunk_used_bytes += size_bytes;
    return memory;
}

void *wire_arena_array(struct wire_arena *arena, size_t count, size_t item_size_bytes)
{
    size_t size_bytes;

    if (__builtin_mul_overflow(count, item_size_bytes, &size_bytes)) {
        return NULL;
    }
    return wire_arena_alloc(arena, size_bytes);
}

struct wire_string wire_arena_string(struct wire_arena *arena, const char *data, size_t size_bytes)
{
    char *copy;

    if (size_bytes > INT32_MAX) {
        return (struct wire_string){NULL, -1};
    }
    copy = wire_arena_alloc(arena, size_bytes);
    if (copy == NULL) {
        return (struct wire_string){NULL, -1};
    }
    if (size_bytes > 0) {
        memcpy(copy, data, size_bytes);
    }
    return (struct wire_string){copy, (int32_t)size_bytes};
}

struct wire_string wire_arena_printf(struct wire_arena *arena, const char *format, ...)
{
    char text[1024]; /* longer messages are cut: these are texts for people */
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size < 0) {
        return (struct wire_string){NULL, -1};
    }
    return wire_arena_string(arena, text,
                             (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

static void *array_make(struct wire_arena *arena, int32_t count, size_t item_size_bytes)
{
    void *items;

    mr_assert(count >= 0);
    items = wire_arena_array(arena, (size_t)count, item_size_bytes);
    if (items != NULL) {
        memset(items, 0, (size_t)count * item_size_bytes);
    }
    return items;
}

int wire_int32_array_make(struct wire_arena *arena, struct wire_int32_array *array, int32_t count)
{
    int32_t *items = array_make(arena, count, sizeof *items);

    if (items == NULL) {
        return MR_ENOMEM;
    }
    *array = (struct wire_int32_array){items, count};
    return 0;
}

int wire_int64_array_make(struct wire_arena *arena, struct wire_int64_array *array, int32_t count)
{
    int64_t *items = array_make(arena, count, sizeof *items);

    if (items == NULL) {
        return MR_ENOMEM;
    }
    *array = (struct wire_int64_array){items, count};
    return 0;
}

int wire_string_array_make(struct wire_arena *arena, struct wire_string_array *array, int32_t count)
{
    struct wire_string *items = array_make(arena, count, sizeof *items);

    if (items == NULL) {
        return MR_ENOMEM;
    }
    *array = (struct wire_string_array){items, count};
    return 0;
}

int wire_uuid_array_make(struct wire_arena *arena, struct wire_uuid_array *array, int32_t count)
{
    struct mr_uuid *items = array_make(arena, count, sizeof *items);

    if (items == NULL) {
        return MR_ENOMEM;
    }
    *array = (struct wire_uuid_array){items, count};
    return 0;
}
