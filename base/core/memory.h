/* The heap door. All memory of the program comes through here, so that tests can make the n-th
 * allocation fail. Functions return NULL on failure; callers report MR_ENOMEM. */
#ifndef BASE_CORE_MEMORY_H
#define BASE_CORE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

void *mr_malloc(size_t size);
void *mr_calloc(size_t count, size_t size);
void *mr_realloc(void *memory, size_t size);
void mr_free(void *memory); /* NULL is fine */
char *mr_strdup(const char *text);
char *mr_strndup(const char *text, size_t size);
char *mr_asprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Grows *items (of item_size bytes each) to hold at least `want`, doubling; 0 or MR_ENOMEM. */
int mr_grow(void *items, size_t *capacity, size_t want, size_t item_size);

/* For long-lived processes that take and give back large buffers all the time: the heap keeps up to
 * keep_bytes of free memory, where it would else return each buffer to the kernel and get it back
 * page by page, zeroed. */
void mr_memory_keep(size_t keep_bytes);

/* While it is on, what is given back is overwritten: for libraries that pass secrets through
 * buffers of their own (YAML). As far as the C library can (glibc). */
void mr_memory_wipe_freed(bool is_on);

/* Whether a test wants this allocation to fail; for memory that is not the heap's. */
bool mr_memory_is_refused(void);
/* Tests only, single-threaded: before each allocation `should_fail(owner)` is asked. NULL: never.
 */
void mr_memory_set_fault(bool (*should_fail)(void *owner), void *owner);

#endif
