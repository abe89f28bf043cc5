/* Secrets: passwords, keys and tokens that the program has to remember.
 *
 * Memory of a secret is pages of its own, which are in no core dump (MADV_DONTDUMP) and empty in a
 * forked child (MADV_WIPEONFORK), and is overwritten before it is given back. A page for each:
 * there are as many as a configuration has, not as many as connections.
 *
 * A configured secret is a `struct mr_secret`: a place whose text may be replaced while it is in
 * use (a reload reads its file again). Who needs the text takes a reference on what it is now, uses
 * it and drops it, so that nobody sees half a change. It is never printed, and has no function that
 * would. */
#ifndef BASE_CORE_SECRET_H
#define BASE_CORE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

struct mr_secret;
struct mr_secret_text;

/* Zeroed; NULL without memory. */
void *mr_secret_alloc(size_t size_bytes);
void mr_secret_free(void *memory); /* overwritten first; NULL is fine */
/* Overwrites what stands in ordinary memory; NULL is fine. The compiler leaves it in. */
void mr_secret_wipe(void *memory, size_t size_bytes);

/* One reference. The text is copied: the caller wipes its own. NULL without memory. */
struct mr_secret *mr_secret_new(const char *text, size_t size_bytes);
struct mr_secret *mr_secret_ref(struct mr_secret *secret);
void mr_secret_unref(struct mr_secret *secret); /* NULL is fine */
/* The text from now on. 1: it is another one than before, 0: the same, or MR_ENOMEM. */
int mr_secret_replace(struct mr_secret *secret, const char *text, size_t size_bytes);

/* What it is now; to be dropped. From any thread. */
struct mr_secret_text *mr_secret_take(struct mr_secret *secret);
void mr_secret_drop(struct mr_secret_text *text);               /* NULL is fine */
const char *mr_secret_chars(const struct mr_secret_text *text); /* ends with NUL */
size_t mr_secret_size(const struct mr_secret_text *text);

#endif
