/* Large compressed batches are checked by workers: what a batch inflates to is not known before,
 * and one that inflates a thousandfold must not hold up the clients of its loop.
 *
 * At most CHECKS_MAX jobs run at a time, each with a codec context and a buffer of its own, which
 * is the bound on their memory; the others wait in order. A connection has one job at a time (see
 * api_produce.c), so the order among connections is a fair one. Lives on one loop. */
#ifndef QUEUE_BROKER_CHECKS_H
#define QUEUE_BROKER_CHECKS_H

#include <stdbool.h>

#include "base/core/list.h"
#include "base/core/workers.h"

struct check_job;
struct check_slot;
struct checks;
struct mr_bytes;
struct mr_codec_context;
struct mr_loop;

enum { CHECKS_MAX = 2 };

typedef void (*check_job_cb)(struct check_job *job);

/* Embedded in its owner, which lives until `done`. Fill in the callbacks. */
struct check_job {
    struct mr_work work; /* the pool's */
    struct mr_link link; /* the pool's: waits for its turn */
    struct checks *checks;
    struct check_slot *slot;
    struct mr_codec_context *codecs; /* for run: its own until done */
    struct mr_bytes *scratch;        /* the same */
    check_job_cb run;                /* on a worker */
    check_job_cb done;               /* on the loop; exactly once, never inside of submit */
    /* On the loop, when its turn comes: false: nobody waits any more, and it is done without run.
     */
    bool (*is_wanted)(struct check_job *job);
};

int checks_new(struct mr_loop *loop, struct checks **ret_checks); /* 0 or MR_ENOMEM */
void checks_free(struct checks *checks);                          /* no job is left; NULL is fine */
/* false: no thread can be had, and the caller does it itself. */
bool checks_submit(struct checks *checks, struct check_job *job);

#endif
