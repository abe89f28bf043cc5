/* The loop: order of timers, what may be done inside callbacks, and that it sleeps when idle. */
#include "base/core/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/memory.h"
#include "base/core/random.h"
#include "tests/lib/test.h"

struct told_clock {
    struct mr_clock base;
    int64_t now_us;
};

static int64_t told_now(struct mr_clock *clock)
{
    return mr_container(clock, struct told_clock, base)->now_us;
}

static void told_clock_init(struct told_clock *clock)
{
    clock->base = (struct mr_clock){.monotonic_us = told_now, .wall_us = told_now};
    clock->now_us = 1000;
}

enum { TRACE_MAX = 64 };

struct trace {
    int count;
    int entries[TRACE_MAX];
};

static void trace_add(struct trace *trace, int entry)
{
    if (trace->count < TRACE_MAX) {
        trace->entries[trace->count] = entry;
    }
    trace->count++;
}

struct traced_timer {
    struct mr_timer timer;
    struct trace *trace;
    int number;
};

static void on_traced(struct mr_timer *timer)
{
    struct traced_timer *traced = timer->owner;

    trace_add(traced->trace, traced->number);
}

/* Started in a shuffled order with equal due times among them: due time first, then order of start.
 */
TEST(loop, fires_timers_by_due_time_and_then_by_start)
{
    struct told_clock clock;
    struct mr_loop *loop = NULL;
    struct trace trace = {0};
    static const int delays_ms[] = {30, 10, 20, 10, 0, 30, 20, 0};
    static const int expected[] = {4, 7, 1, 3, 2, 6, 0, 5};
    struct traced_timer timers[8];

    told_clock_init(&clock);
    CHECK_EQ(mr_loop_new_virtual(&clock.base, &loop), 0);
    for (int i = 0; i < 8; i++) {
        timers[i] = (struct traced_timer){.trace = &trace, .number = i};
        mr_timer_init(&timers[i].timer, loop, on_traced, &timers[i]);
        CHECK_EQ(mr_timer_start(&timers[i].timer, delays_ms[i]), 0);
    }
    mr_loop_turn(loop, 0);
    CHECK_EQ(trace.count, 2);
    clock.now_us += 9999;
    mr_loop_turn(loop, 0);
    CHECK_EQ(trace.count, 2);
    CHECK_EQ(mr_loop_next_us(loop), clock.now_us + 1);
    clock.now_us += 1;
    mr_loop_turn(loop, 0);
    CHECK_EQ(trace.count, 4);
    clock.now_us += 1000000;
    mr_loop_turn(loop, 0);
    CHECK_EQ(trace.count, 8);
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(trace.entries[i], expected[i]);
    }
    CHECK_EQ(mr_loop_next_us(loop), INT64_MAX);
    mr_loop_free(loop);
}

enum { MANY_TIMERS = 500 };

struct many {
    struct mr_timer timers[MANY_TIMERS];
    int64_t last_due_us;
    int fired;
    bool in_order;
};

static void on_many(struct mr_timer *timer)
{
    struct many *many = timer->owner;

    many->in_order = many->in_order && timer->due_us >= many->last_due_us;
    many->last_due_us = timer->due_us;
    many->fired++;
}

/* Property: whatever is started, restarted and stopped, what is left fires once, in order. */
TEST(loop, keeps_its_heap_through_any_starts_and_stops)
{
    struct told_clock clock;
    struct mr_loop *loop = NULL;
    struct many *many = calloc(1, sizeof *many);
    struct mr_random_seeded random;
    int running = 0;

    told_clock_init(&clock);
    mr_random_seeded_init(&random, 7);
    CHECK_EQ(mr_loop_new_virtual(&clock.base, &loop), 0);
    for (int i = 0; i < MANY_TIMERS; i++) {
        mr_timer_init(&many->timers[i], loop, on_many, many);
    }
    for (int step = 0; step < 5000; step++) {
        struct mr_timer *timer = &many->timers[mr_random_below(&random.base, MANY_TIMERS)];

        if (mr_random_below(&random.base, 3) == 0) {
            mr_timer_stop(timer);
        } else {
            CHECK_EQ(mr_timer_start_us(timer, (int64_t)mr_random_below(&random.base, 900)), 0);
        }
    }
    for (int i = 0; i < MANY_TIMERS; i++) {
        running += mr_timer_is_running(&many->timers[i]) ? 1 : 0;
    }
    many->in_order = true;
    for (int step = 0; step < 10; step++) {
        clock.now_us += 100;
        mr_loop_turn(loop, 0);
    }
    CHECK_EQ(many->fired, running);
    CHECK(many->in_order);
    CHECK(running > 0);
    mr_loop_free(loop);
    free(many);
}

static void on_restart_at_once(struct mr_timer *timer)
{
    int *count = timer->owner;

    (*count)++;
    if (*count < 1000) {
        (void)mr_timer_start(timer, 0);
    }
}

/* A timer that starts itself with no delay runs once a turn, or nothing else would ever run. */
TEST(loop, runs_a_self_starting_timer_once_a_turn)
{
    struct told_clock clock;
    struct mr_loop *loop = NULL;
    struct mr_timer timer;
    int count = 0;

    told_clock_init(&clock);
    CHECK_EQ(mr_loop_new_virtual(&clock.base, &loop), 0);
    mr_timer_init(&timer, loop, on_restart_at_once, &count);
    CHECK_EQ(mr_timer_start(&timer, 0), 0);
    mr_loop_turn(loop, 0);
    CHECK_EQ(count, 1);
    mr_loop_turn(loop, 0);
    CHECK_EQ(count, 2);
    mr_timer_stop(&timer);
    mr_loop_free(loop);
}

struct pair {
    struct mr_timer first;
    struct mr_timer second;
    struct mr_task task;
    int *fired;
};

static void on_pair(struct mr_timer *timer)
{
    struct pair *pair = timer->owner;

    (*pair->fired)++;
    mr_timer_stop(&pair->first);
    mr_timer_stop(&pair->second);
    mr_task_cancel(&pair->task);
    free(pair);
}

static void on_pair_task(struct mr_task *task)
{
    struct pair *pair = task->owner;

    (*pair->fired) += 100;
}

/* Two timers due in one turn and a posted task: the first that fires stops all and frees their
 * memory. */
TEST(loop, lets_a_timer_free_its_owner_and_its_neighbours)
{
    struct told_clock clock;
    struct mr_loop *loop = NULL;
    struct pair *pair = calloc(1, sizeof *pair);
    int fired = 0;

    told_clock_init(&clock);
    CHECK_EQ(mr_loop_new_virtual(&clock.base, &loop), 0);
    pair->fired = &fired;
    mr_timer_init(&pair->first, loop, on_pair, pair);
    mr_timer_init(&pair->second, loop, on_pair, pair);
    mr_task_init(&pair->task, loop, on_pair_task, pair);
    CHECK_EQ(mr_timer_start(&pair->first, 5), 0);
    CHECK_EQ(mr_timer_start(&pair->second, 5), 0);
    mr_task_post(&pair->task);
    clock.now_us += 5000;
    mr_loop_turn(loop, 0);
    mr_loop_turn(loop, 0);
    CHECK_EQ(fired, 1);
    mr_loop_free(loop);
}

struct poster {
    struct mr_task task;
    struct mr_task other;
    struct mr_io io;
    int runs;
    int other_runs;
    int reads;
};

static void on_post_self(struct mr_task *task)
{
    struct poster *poster = task->owner;

    poster->runs++;
    mr_task_post(task);
    mr_task_post(task); /* twice is once */
}

static void on_other(struct mr_task *task)
{
    ((struct poster *)task->owner)->other_runs++;
}

static void on_poster_io(struct mr_io *io, int events)
{
    struct poster *poster = io->owner;

    CHECK_EQ(events, MR_IO_READ);
    poster->reads++;
}

/* Level-triggered reads come in each turn although a task is always posted. */
TEST(loop, does_not_starve_descriptors_by_a_task_that_posts_itself)
{
    struct mr_loop *loop = NULL;
    struct poster poster = {0};
    int ends[2];

    CHECK_EQ(mr_loop_new(mr_clock_system(), &loop, NULL), 0);
    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    mr_task_init(&poster.task, loop, on_post_self, &poster);
    mr_task_init(&poster.other, loop, on_other, &poster);
    CHECK_EQ(mr_io_start(&poster.io, loop, ends[0], on_poster_io, &poster), 0);
    mr_io_want(&poster.io, MR_IO_READ);
    mr_task_post(&poster.task);
    mr_task_post(&poster.other);
    mr_task_cancel(&poster.other);
    for (int i = 0; i < 10; i++) {
        mr_loop_turn(loop, -1);
    }
    CHECK_EQ(poster.runs, 10);
    CHECK_EQ(poster.reads, 10);
    CHECK_EQ(poster.other_runs, 0);
    mr_io_want(&poster.io, 0);
    mr_loop_turn(loop, -1);
    CHECK_EQ(poster.reads, 10);
    mr_io_stop(&poster.io);
    mr_io_stop(&poster.io);
    mr_task_cancel(&poster.task);
    mr_loop_free(loop);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

struct io_owner {
    struct mr_io io;
    struct io_owner *neighbour;
    int *calls;
};

static void on_io_free_both(struct mr_io *io, int events)
{
    struct io_owner *owner = io->owner;
    struct io_owner *neighbour = owner->neighbour;

    (void)events;
    (*owner->calls)++;
    mr_io_stop(&owner->io);
    (void)close(owner->io.fd);
    mr_io_stop(&neighbour->io);
    (void)close(neighbour->io.fd);
    free(neighbour);
    free(owner);
}

/* Both descriptors are readable in one wait; the first callback stops, closes and frees both. */
TEST(loop, lets_a_descriptor_free_its_owner_and_its_neighbours)
{
    struct mr_loop *loop = NULL;
    int calls = 0;

    CHECK_EQ(mr_loop_new(mr_clock_system(), &loop, NULL), 0);
    for (int round = 0; round < 3; round++) { /* the numbers of closed descriptors come again */
        struct io_owner *owners[2];
        int far_ends[2];

        for (int i = 0; i < 2; i++) {
            int ends[2];

            CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
            CHECK_EQ(write(ends[1], "x", 1), 1);
            far_ends[i] = ends[1];
            owners[i] = calloc(1, sizeof *owners[i]);
            owners[i]->calls = &calls;
            CHECK_EQ(mr_io_start(&owners[i]->io, loop, ends[0], on_io_free_both, owners[i]), 0);
            mr_io_want(&owners[i]->io, MR_IO_READ);
        }
        owners[0]->neighbour = owners[1];
        owners[1]->neighbour = owners[0];
        mr_loop_turn(loop, -1);
        CHECK_EQ(calls, round + 1);
        (void)close(far_ends[0]);
        (void)close(far_ends[1]);
    }
    mr_loop_free(loop);
}

static void on_io_error(struct mr_io *io, int events)
{
    int *seen = io->owner;

    *seen = events;
    if (events == (MR_IO_READ | MR_IO_WRITE)) {
        mr_io_stop(io);
    }
}

/* The write end of a pipe without reader is in error: shown as both, and shown again until stopped.
 */
TEST(loop, shows_errors_as_both_events)
{
    struct mr_loop *loop = NULL;
    struct mr_io io;
    int seen = 0;
    int ends[2];

    CHECK_EQ(mr_loop_new(mr_clock_system(), &loop, NULL), 0);
    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(mr_io_start(&io, loop, ends[1], on_io_error, &seen), 0);
    mr_io_want(&io, MR_IO_WRITE);
    mr_loop_turn(loop, -1);
    CHECK_EQ(seen, MR_IO_WRITE);
    (void)close(ends[0]);
    for (int i = 0; i < 5 && io.handle != NULL; i++) {
        mr_loop_turn(loop, 1000);
    }
    CHECK_EQ(seen, MR_IO_READ | MR_IO_WRITE);
    mr_loop_free(loop);
    (void)close(ends[1]);
}

static void on_never(struct mr_timer *timer)
{
    (void)timer;
    CHECK(false);
}

/* A wait with a timer an hour away is one sleep: the thread gives up the processor once, and now
 * and then for a page that the kernel has to read. Each millisecond would be a hundred times. */
TEST(loop, sleeps_when_idle)
{
    struct mr_loop *loop = NULL;
    struct rusage before;
    struct rusage after;
    struct mr_timer timer;
    int64_t started_us;

    CHECK_EQ(mr_loop_new(mr_clock_system(), &loop, NULL), 0);
    mr_timer_init(&timer, loop, on_never, NULL);
    CHECK_EQ(mr_timer_start(&timer, 3600 * 1000), 0);
    mr_loop_turn(loop, 0);
    started_us = mr_loop_now_us(loop);
    CHECK_EQ(getrusage(RUSAGE_THREAD, &before), 0);
    mr_loop_turn(loop, 100);
    CHECK_EQ(getrusage(RUSAGE_THREAD, &after), 0);
    CHECK(mr_loop_now_us(loop) - started_us >= 99 * 1000);
    CHECK(after.ru_nvcsw - before.ru_nvcsw <= 30);
    mr_timer_stop(&timer);
    mr_loop_free(loop);
}

struct stopper {
    struct mr_timer timer;
    struct mr_loop *loop;
    int64_t fired_at_us;
};

static void on_stop_loop(struct mr_timer *timer)
{
    struct stopper *stopper = timer->owner;

    stopper->fired_at_us = mr_loop_now_us(stopper->loop);
    mr_loop_stop(stopper->loop);
}

TEST(loop, runs_until_stopped_and_can_run_again)
{
    struct mr_loop *loop = NULL;
    struct stopper stopper = {0};

    CHECK_EQ(mr_loop_new(mr_clock_system(), &loop, NULL), 0);
    stopper.loop = loop;
    mr_timer_init(&stopper.timer, loop, on_stop_loop, &stopper);
    for (int i = 0; i < 2; i++) {
        int64_t started_us = mr_loop_now_us(loop);

        CHECK_EQ(mr_timer_start(&stopper.timer, 5), 0);
        mr_loop_run(loop);
        CHECK(stopper.fired_at_us - started_us >= 5000); /* never a moment too early */
    }
    mr_loop_stop(loop);
    mr_loop_run(loop); /* was stopped before it began: returns */
    mr_loop_free(loop);
}

static void on_signal_count(struct mr_signal *signal, int number)
{
    int *seen = signal->owner;

    *seen = number;
    mr_signal_stop(signal);
}

TEST(loop, delivers_signals)
{
    struct mr_loop *loop = NULL;
    struct mr_signal signal;
    int seen = 0;

    CHECK_EQ(mr_loop_new(mr_clock_system(), &loop, NULL), 0);
    CHECK_EQ(mr_signal_start(&signal, loop, SIGUSR1, on_signal_count, &seen), 0);
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    for (int i = 0; i < 10 && seen == 0; i++) {
        mr_loop_turn(loop, 1000);
    }
    CHECK_EQ(seen, SIGUSR1);
    mr_signal_stop(&signal);
    mr_loop_free(loop);
}

TEST(loop, refuses_descriptors_when_virtual)
{
    struct told_clock clock;
    struct mr_loop *loop = NULL;
    struct mr_signal signal;
    struct mr_io io;

    told_clock_init(&clock);
    CHECK_EQ(mr_loop_new_virtual(&clock.base, &loop), 0);
    CHECK_EQ(mr_io_start(&io, loop, 0, on_io_error, NULL), MR_EUNSUPPORTED);
    CHECK_EQ(mr_signal_start(&signal, loop, SIGUSR1, on_signal_count, NULL), MR_EUNSUPPORTED);
    mr_io_stop(&io);
    mr_signal_stop(&signal);
    mr_loop_free(loop);
}
