/* A small pool of threads for what would block a loop: fsync, cold reads, compression of large
 * batches, name lookups. Pools are separate per purpose, so that a slow disk does not stop a lookup.
 * On a virtual loop the work runs inside the loop's next turn, in order. */
#ifndef BASE_CORE_WORKERS_H
#define BASE_CORE_WORKERS_H

#include <stdbool.h>

#include "base/core/list.h"
#include "base/core/mailbox.h"

struct mr_workers;
struct mr_work;
typedef void (*mr_work_cb)(struct mr_work *work);

struct mr_work {
    struct mr_link link; /* the pool's */
    struct mr_mail mail; /* the pool's */
    mr_work_cb run;      /* on a pool thread; must touch the work's own data only */
    mr_work_cb done;     /* later, on the loop; exactly once */
    void *owner;
};

/* Threads start lazily, up to thread_count; name shows in ps and gdb ("fsync"). */
int mr_workers_new(struct mr_loop *loop, const char *name, int thread_count,
                   struct mr_workers **ret_workers);
/* On the loop. Waits for work under way; every submitted work gets its done() before this returns. */
void mr_workers_free(struct mr_workers *workers);
/* run and done must be set. First in, first out. Never fails once the pool has one thread; before
 * that MR_EAGAIN when no thread can be had, and MR_ECANCELED while the pool is being freed. */
int mr_workers_submit(struct mr_workers *workers, struct mr_work *work);

#endif
