/* The inside of the loop, for loop*.c, mailbox.c and workers.c alone. */
#ifndef BASE_CORE_LOOP_INTERNAL_H
#define BASE_CORE_LOOP_INTERNAL_H

#include <stdatomic.h>

#include "base/core/clock.h"
#include "base/core/loop.h"

#include <uv.h>

/* Something that wants to be asked for work after each wake-up from another thread. */
struct loop_drain {
    struct mr_link link;
    void (*cb)(struct loop_drain *drain);
};

struct mr_loop {
    struct mr_clock *clock;
    bool is_virtual;
    bool is_woken; /* virtual loops: a drain has work */
    bool in_turn;
    bool now_is_stale; /* we have waited since now_us was read */
    int64_t now_us;

    struct mr_timer *
        *heap; /* heap[1] is due first; heap[0] is not used, so that place 0 is "none" */
    size_t heap_count;
    size_t heap_capacity;
    uint64_t timer_order;

    struct mr_link tasks_posted;
    struct mr_link tasks_running; /* what is left of this turn's tasks */
    struct mr_link drains;
    struct mr_link drains_running;

    size_t handle_count; /* mr_io and mr_signal that were not stopped */
    atomic_bool stopping;

    uv_loop_t uv;
    uv_async_t wake; /* also keeps uv_run from returning when nothing else is there */
    uv_timer_t wait; /* ends the wait at the first timer's due time */
};

/* From any thread: the drains are asked in this turn or the next. */
void loop_wake(struct mr_loop *loop);
void loop_drain_add(struct mr_loop *loop, struct loop_drain *drain);
void loop_drain_remove(struct loop_drain *drain);

/* Runs what was due at the loop's now; how many ran. */
size_t loop_run_timers(struct mr_loop *loop);

#endif
