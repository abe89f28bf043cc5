#include "queue/broker/checks.h"

#include "base/codec/codec.h"
#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/memory.h"

enum { SCRATCH_KEPT_BYTES = 4 * 1024 * 1024 }; /* what one bomb took is given back */

struct check_slot {
    struct mr_codec_context *codecs;
    struct mr_bytes scratch;
    bool is_taken;
};

struct checks {
    struct mr_workers *workers;
    struct mr_link waiting; /* of check_job */
    struct check_slot slots[CHECKS_MAX];
};

int checks_new(struct mr_loop *loop, struct checks **ret_checks)
{
    struct checks *checks = mr_calloc(1, sizeof *checks);
    int rc;

    if (checks == NULL) {
        return MR_ENOMEM;
    }
    mr_list_init(&checks->waiting);
    rc = mr_workers_new(loop, "check", CHECKS_MAX, &checks->workers);
    for (int i = 0; i < CHECKS_MAX && rc == 0; i++) {
        mr_bytes_init(&checks->slots[i].scratch);
        rc = mr_codec_context_new(&checks->slots[i].codecs);
    }
    if (rc != 0) {
        checks_free(checks);
        return rc;
    }
    *ret_checks = checks;
    return 0;
}

void checks_free(struct checks *checks)
{
    if (checks == NULL) {
        return;
    }
    mr_assert(mr_list_is_empty(&checks->waiting));
    if (checks->workers != NULL) {
        mr_workers_free(checks->workers);
    }
    for (int i = 0; i < CHECKS_MAX; i++) {
        mr_assert(!checks->slots[i].is_taken);
        mr_codec_context_free(checks->slots[i].codecs);
        mr_bytes_done(&checks->slots[i].scratch);
    }
    mr_free(checks);
}

static struct check_slot *slot_find(struct checks *checks)
{
    for (int i = 0; i < CHECKS_MAX; i++) {
        if (!checks->slots[i].is_taken) {
            return &checks->slots[i];
        }
    }
    return NULL;
}

static void on_run(struct mr_work *work)
{
    struct check_job *job = work->owner;

    job->run(job);
    if (job->scratch->capacity_bytes > SCRATCH_KEPT_BYTES) {
        /* Here: giving back 100 MiB would take the loop's clients too long. */
        mr_bytes_done(job->scratch);
        mr_bytes_init(job->scratch);
    }
}

static void on_done(struct mr_work *work);

static int job_start(struct check_job *job, struct check_slot *slot)
{
    int rc;

    job->slot = slot;
    job->codecs = slot->codecs;
    job->scratch = &slot->scratch;
    job->work = (struct mr_work){.run = on_run, .done = on_done, .owner = job};
    rc = mr_workers_submit(job->checks->workers, &job->work);
    slot->is_taken = rc == 0;
    return rc;
}

/* The next that somebody still waits for; those before it are done at once. */
static void start_next(struct checks *checks)
{
    struct check_slot *slot;
    struct mr_link *link;

    while ((slot = slot_find(checks)) != NULL && (link = mr_list_pop(&checks->waiting)) != NULL) {
        struct check_job *job = mr_container(link, struct check_job, link);

        if (!job->is_wanted(job)) {
            job->done(job);
        } else {
            int rc = job_start(job, slot);

            mr_assert(rc == 0); /* the pool has a thread, or nobody would wait */
        }
    }
}

static void on_done(struct mr_work *work)
{
    struct check_job *job = work->owner;
    struct checks *checks = job->checks;

    job->slot->is_taken = false;
    /* The next begins first: done may end the owner of all this. */
    start_next(checks);
    job->done(job);
}

bool checks_submit(struct checks *checks, struct check_job *job)
{
    struct check_slot *slot = slot_find(checks);

    job->checks = checks;
    if (slot != NULL) {
        return job_start(job, slot) == 0;
    }
    mr_list_append(&checks->waiting, &job->link);
    return true;
}
