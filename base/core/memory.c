/* The heap door: the C library's heap behind one question, "should this one fail?".
 *
 * The question lives in two static variables, the only way to reach allocations that have no other
 * owner; production never sets them. A request for 0 bytes gives a pointer, so that NULL always
 * means failure. */
#include "base/core/memory.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/error.h"

static bool (*fault_should_fail)(void *owner);
static void *fault_owner;

void mr_memory_set_fault(bool (*should_fail)(void *owner), void *owner)
{
    fault_should_fail = should_fail;
    fault_owner = owner;
}

bool mr_memory_is_refused(void)
{
    return fault_should_fail != NULL && fault_should_fail(fault_owner);
}

void *mr_malloc(size_t size)
{
    if (mr_memory_is_refused()) {
        return NULL;
    }
    return malloc(size == 0 ? 1 : size);
}

void *mr_calloc(size_t count, size_t size)
{
    if (mr_memory_is_refused()) {
        return NULL;
    }
    if (count == 0 || size == 0) {
        return calloc(1, 1);
    }
    return calloc(count, size); /* checks the product */
}

void *mr_realloc(void *memory, size_t size)
{
    if (mr_memory_is_refused()) {
        return NULL;
    }
    return realloc(memory, size == 0 ? 1 : size);
}

void mr_free(void *memory)
{
    free(memory);
}

char *mr_strdup(const char *text)
{
    return mr_strndup(text, SIZE_MAX);
}

char *mr_strndup(const char *text, size_t size)
{
    size_t length = size == 0 ? 0 : strnlen(text, size); /* an empty range may be at NULL */
    char *copy = mr_malloc(length + 1);

    if (copy != NULL) {
        if (length > 0) {
            memcpy(copy, text, length);
        }
        copy[length] = '\0';
    }
    return copy;
}

char *mr_asprintf(const char *format, ...)
{
    va_list arguments;
    char *text;
    int size;

    va_start(arguments, format);
    size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    mr_assert(size >= 0); /* only a wrong format fails */
    text = mr_malloc((size_t)size + 1);
    if (text != NULL) {
        va_start(arguments, format);
        (void)vsnprintf(text, (size_t)size + 1, format, arguments);
        va_end(arguments);
    }
    return text;
}

int mr_grow(void *items, size_t *capacity, size_t want, size_t item_size)
{
    size_t grown = *capacity;
    size_t size;
    void *memory;

    mr_assert(item_size > 0);
    if (want <= grown) {
        return 0;
    }
    grown = grown == 0 ? 8 : grown;
    while (grown < want) {
        if (__builtin_mul_overflow(grown, (size_t)2, &grown)) {
            return MR_ENOMEM;
        }
    }
    if (__builtin_mul_overflow(grown, item_size, &size)) {
        return MR_ENOMEM;
    }
    /* `items` points at a pointer of any type: it is copied as bytes to stay clear of aliasing. */
    memcpy(&memory, items, sizeof memory);
    memory = mr_realloc(memory, size);
    if (memory == NULL) {
        return MR_ENOMEM;
    }
    memcpy(items, &memory, sizeof memory);
    *capacity = grown;
    return 0;
}

void mr_memory_keep(size_t keep_bytes)
{
    /* Fixed values also switch off glibc's own adapting of them. Failure only costs speed. */
    (void)mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, (int)keep_bytes);
}

void mr_memory_wipe_freed(bool is_on)
{
    (void)mallopt(M_PERTURB, is_on ? 0xff : 0);
}
