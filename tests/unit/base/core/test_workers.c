/* The worker pool: every work is run once and done once, on the right threads, also when freed. */
#include "base/core/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "base/core/clock.h"
#include "tests/lib/test.h"

enum { WORKS = 200 };

struct job {
    struct mr_work work;
    struct batch *batch;
    int number;
    bool has_run;
};

struct batch {
    struct job jobs[WORKS];
    pthread_t loop_thread;
    atomic_int runs;
    atomic_int runs_on_loop;
    int dones;
    int dones_before_run;
    int last_done;
    bool in_order;
};

static void on_run(struct mr_work *work)
{
    struct job *job = work->owner;

    job->has_run = true;
    atomic_fetch_add(&job->batch->runs, 1);
    if (pthread_equal(pthread_self(), job->batch->loop_thread)) {
        atomic_fetch_add(&job->batch->runs_on_loop, 1);
    }
}

static void on_done(struct mr_work *work)
{
    struct job *job = work->owner;

    job->batch->dones++;
    job->batch->dones_before_run += job->has_run ? 0 : 1;
    job->batch->in_order = job->batch->in_order && job->number == job->batch->last_done + 1;
    job->batch->last_done = job->number;
}

static void batch_init(struct batch *batch)
{
    memset(batch, 0, sizeof *batch);
    batch->loop_thread = pthread_self();
    batch->last_done = -1;
    batch->in_order = true;
    for (int i = 0; i < WORKS; i++) {
        struct job *job = &batch->jobs[i];

        *job = (struct job){.batch = batch, .number = i};
        job->work = (struct mr_work){.run = on_run, .done = on_done, .owner = job};
    }
}

TEST(workers, run_on_their_threads_and_are_done_on_the_loop)
{
    struct mr_loop *loop = NULL;
    struct mr_workers *workers = NULL;
    struct batch batch;

    batch_init(&batch);
    CHECK_EQ(mr_loop_new(mr_clock_system(), &loop, NULL), 0);
    CHECK_EQ(mr_workers_new(loop, "a-name-longer-than-the-kernel-takes", 4, &workers), 0);
    for (int i = 0; i < WORKS; i++) {
        CHECK_EQ(mr_workers_submit(workers, &batch.jobs[i].work), 0);
    }
    CHECK_EQ(batch.dones, 0); /* never inside submit */
    for (int i = 0; i < WORKS && batch.dones < WORKS; i++) {
        mr_loop_turn(loop, 10000);
    }
    CHECK_EQ(batch.dones, WORKS);
    CHECK_EQ(batch.runs, WORKS);
    CHECK_EQ(batch.runs_on_loop, 0);
    CHECK_EQ(batch.dones_before_run, 0);
    mr_workers_free(workers);
    CHECK_EQ(batch.dones, WORKS);
    mr_loop_free(loop);
}

/* One thread is first in, first out; freeing with all still queued finishes all. */
TEST(workers, finish_everything_before_they_are_freed)
{
    struct mr_loop *loop = NULL;
    struct mr_workers *workers = NULL;
    struct batch batch;

    batch_init(&batch);
    CHECK_EQ(mr_loop_new(mr_clock_system(), &loop, NULL), 0);
    CHECK_EQ(mr_workers_new(loop, "one", 1, &workers), 0);
    for (int i = 0; i < WORKS; i++) {
        CHECK_EQ(mr_workers_submit(workers, &batch.jobs[i].work), 0);
    }
    mr_workers_free(workers);
    CHECK_EQ(batch.runs, WORKS);
    CHECK_EQ(batch.dones, WORKS);
    CHECK_EQ(batch.dones_before_run, 0);
    CHECK(batch.in_order);
    mr_loop_free(loop);
}

/* The simulator's pool: in order, on the one thread, inside the next turn. */
TEST(workers, run_inside_the_turn_of_a_virtual_loop)
{
    struct mr_loop *loop = NULL;
    struct mr_workers *workers = NULL;
    struct batch batch;

    batch_init(&batch);
    CHECK_EQ(mr_loop_new_virtual(mr_clock_system(), &loop), 0);
    CHECK_EQ(mr_workers_new(loop, "virtual", 4, &workers), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(mr_workers_submit(workers, &batch.jobs[i].work), 0);
    }
    CHECK_EQ(batch.runs, 0);
    mr_loop_turn(loop, 0);
    CHECK_EQ(batch.dones, 10);
    CHECK_EQ(batch.runs_on_loop, 10);
    CHECK(batch.in_order);
    for (int i = 10; i < 20; i++) {
        CHECK_EQ(mr_workers_submit(workers, &batch.jobs[i].work), 0);
    }
    mr_workers_free(workers);
    CHECK_EQ(batch.dones, 20);
    CHECK(batch.in_order);
    mr_loop_free(loop);
}

struct chain {
    struct mr_work work;
    struct mr_workers *workers;
    int rounds;
    int refused;
};

static void on_chain_run(struct mr_work *work)
{
    (void)work;
}

static void on_chain_done(struct mr_work *work)
{
    struct chain *chain = work->owner;

    chain->rounds++;
    if (mr_workers_submit(chain->workers, work) != 0) {
        chain->refused++;
    }
}

/* done() may submit again; once the pool is being freed it is told so, instead of keeping it alive.
 */
TEST(workers, refuse_new_work_while_being_freed)
{
    struct mr_loop *loop = NULL;
    struct chain chain = {0};

    CHECK_EQ(mr_loop_new(mr_clock_system(), &loop, NULL), 0);
    CHECK_EQ(mr_workers_new(loop, "chain", 2, &chain.workers), 0);
    chain.work = (struct mr_work){.run = on_chain_run, .done = on_chain_done, .owner = &chain};
    CHECK_EQ(mr_workers_submit(chain.workers, &chain.work), 0);
    for (int i = 0; i < 1000 && chain.rounds < 20; i++) {
        mr_loop_turn(loop, 1000);
    }
    CHECK(chain.rounds >= 20);
    mr_workers_free(chain.workers);
    CHECK_EQ(chain.refused, 1);
    mr_loop_free(loop);
}

struct mask_job {
    struct mr_work work;
    bool blocks_term;
};

static void on_mask_run(struct mr_work *work)
{
    struct mask_job *job = work->owner;
    sigset_t mask;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    job->blocks_term = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGUSR1) == 1;
}

static void on_mask_done(struct mr_work *work)
{
    (void)work;
}

TEST(workers, leave_signals_to_the_loop)
{
    struct mr_loop *loop = NULL;
    struct mr_workers *workers = NULL;
    struct mask_job job = {0};
    sigset_t mask;

    CHECK_EQ(mr_loop_new(mr_clock_system(), &loop, NULL), 0);
    CHECK_EQ(mr_workers_new(loop, "mask", 1, &workers), 0);
    job.work = (struct mr_work){.run = on_mask_run, .done = on_mask_done, .owner = &job};
    CHECK_EQ(mr_workers_submit(workers, &job.work), 0);
    mr_workers_free(workers);
    CHECK(job.blocks_term);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    CHECK_EQ(sigismember(&mask, SIGTERM), 0); /* ours is as it was */
    mr_loop_free(loop);
}
