/* The keys that tokens are verified with, kept up to date from a file or a URL: read again by a
 * timer, and when a token names a key that is not known (a server of identities changes its keys
 * when it likes), but not more often than every few seconds, whatever tokens come. What cannot be
 * read leaves the last good keys, a line in the log and a metric. Lives on one loop; reading
 * happens on a thread of its own. */
#ifndef BASE_NET_JWKS_H
#define BASE_NET_JWKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/list.h"

struct mr_disk;
struct mr_error;
struct mr_jwk_set;
struct mr_jwks;
struct mr_loop;
struct mr_metrics;

struct mr_jwks_config {
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct mr_metrics *metrics; /* may be NULL */
    const char *source;         /* a path, or http://, https://; copied */
    const char *ca;             /* for https; NULL: the system's; copied */
    int64_t refresh_ms;
};

/* Reads a file at once, and fails if that fails; a URL is asked from the first turn on. */
int mr_jwks_open(const struct mr_jwks_config *config, struct mr_jwks **ret_jwks,
                 struct mr_error *error);
/* Waits for a reading that is under way; whoever waits is told. NULL is fine. */
void mr_jwks_close(struct mr_jwks *jwks);
/* Borrowed up to the next turn; NULL before the first reading. */
struct mr_jwk_set *mr_jwks_keys(const struct mr_jwks *jwks);

/* Reads them again now, or once more behind a reading under way. */
void mr_jwks_reread(struct mr_jwks *jwks);
/* 0, or why the last reading failed. */
int mr_jwks_health(const struct mr_jwks *jwks, struct mr_error *error);

/* In its owner, until cb or mr_jwks_leave. */
struct mr_jwks_wait {
    struct mr_link link;
    void (*cb)(struct mr_jwks_wait *wait);
    void *owner;
};

/* Reads the keys again, or joins a reading under way: cb comes later, when it has ended somehow.
 * False: they were read a moment ago; cb does not come. */
bool mr_jwks_refresh(struct mr_jwks *jwks, struct mr_jwks_wait *wait);
void mr_jwks_leave(struct mr_jwks_wait *wait); /* also one that does not wait */

#endif
