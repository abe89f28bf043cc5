/* The loop door: one thread that turns; everything that lives on a loop is touched by that thread
 * only. Nothing above base/ names libuv, so that the simulator can bring a loop with virtual time.
 *
 * A turn: run due timers, run posted tasks (those posted meanwhile wait for the next turn), wait for
 * descriptors and mailboxes, dispatch them. All handles are embedded in their owner and may be
 * stopped, and their memory reused, at any time, also from inside their own callback. */
#ifndef BASE_CORE_LOOP_H
#define BASE_CORE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/error.h"
#include "base/core/list.h"

struct mr_clock;
struct mr_loop;

int mr_loop_new(struct mr_clock *clock, struct mr_loop **ret_loop, struct mr_error *error);
/* A loop without descriptors and threads, for the simulator: waiting moves nothing; the test advances
 * the clock and calls mr_loop_turn. Mailboxes and workers run their work inside the turn. */
int mr_loop_new_virtual(struct mr_clock *clock, struct mr_loop **ret_loop);
/* Everything on it must have been stopped. */
void mr_loop_free(struct mr_loop *loop);
/* Until mr_loop_stop, which any thread may call, also before the run begins. */
void mr_loop_run(struct mr_loop *loop);
void mr_loop_stop(struct mr_loop *loop);
/* One turn; waits for at most timeout_ms (0: not at all, -1: for anything), and not at all when a
 * timer or task has run. Tests step with this. Not from inside a callback. */
void mr_loop_turn(struct mr_loop *loop, int64_t timeout_ms);
/* When the next turn has something to do of its own: now if tasks are posted (or, on a virtual loop,
 * mail has come), else when the first timer is due, else INT64_MAX. The simulator moves its clock there. */
int64_t mr_loop_next_us(struct mr_loop *loop);
bool mr_loop_is_virtual(const struct mr_loop *loop);

struct mr_clock *mr_loop_clock(struct mr_loop *loop);
int64_t mr_loop_now_us(struct mr_loop *loop);  /* monotonic; inside a turn, read once per wait */
int64_t mr_loop_now_ms(struct mr_loop *loop);
int64_t mr_loop_wall_ms(struct mr_loop *loop); /* read from the clock at each call */

/* ---- timers: a heap of our own, one descriptor for all of them ---- */

struct mr_timer;
typedef void (*mr_timer_cb)(struct mr_timer *timer);

struct mr_timer {
    struct mr_loop *loop;
    mr_timer_cb cb;
    void *owner;
    int64_t due_us;
    uint64_t order;      /* ties fire in the order they were started */
    size_t heap_place;   /* 0: not running */
};

void mr_timer_init(struct mr_timer *timer, struct mr_loop *loop, mr_timer_cb cb, void *owner);
/* (Re)starts a one-shot; one that is running is moved, which cannot fail. 0 or MR_ENOMEM. A delay of
 * 0 (or less) fires in the next turn. */
int mr_timer_start_us(struct mr_timer *timer, int64_t delay_us);
int mr_timer_start(struct mr_timer *timer, int64_t delay_ms);
void mr_timer_stop(struct mr_timer *timer); /* also on a zeroed one */
bool mr_timer_is_running(const struct mr_timer *timer);

/* ---- tasks: "do this in the loop's next turn", posting twice is once ---- */

struct mr_task;
typedef void (*mr_task_cb)(struct mr_task *task);

struct mr_task {
    struct mr_link link;
    struct mr_loop *loop;
    mr_task_cb cb;
    void *owner;
};

void mr_task_init(struct mr_task *task, struct mr_loop *loop, mr_task_cb cb, void *owner);
void mr_task_post(struct mr_task *task);
void mr_task_cancel(struct mr_task *task); /* also on a zeroed one */

/* ---- polled descriptors ---- */

/* HANGUP: the far side ended or reset, for those who do not want to read now. */
enum { MR_IO_READ = 1, MR_IO_WRITE = 2, MR_IO_HANGUP = 4 };
struct mr_io;
typedef void (*mr_io_cb)(struct mr_io *io, int events); /* a mask; errors show as both */

struct mr_io {
    struct mr_loop *loop;
    mr_io_cb cb;
    void *owner;
    void *handle; /* the loop's own */
    int fd;
    int wanted;
};

/* Makes the descriptor non-blocking; nothing is wanted yet. MR_EEXIST when it is polled already,
 * MR_EUNSUPPORTED on a virtual loop. */
int mr_io_start(struct mr_io *io, struct mr_loop *loop, int fd, mr_io_cb cb, void *owner);
/* Level-triggered; 0 pauses. Setting the same again is free. */
void mr_io_want(struct mr_io *io, int events);
/* Before the descriptor is closed; the owner closes it. Also on a zeroed one. */
void mr_io_stop(struct mr_io *io);

/* ---- signals ---- */

struct mr_signal;
typedef void (*mr_signal_cb)(struct mr_signal *signal, int number);

struct mr_signal {
    struct mr_loop *loop;
    mr_signal_cb cb;
    void *owner;
    void *handle; /* the loop's own */
};

/* Several may wait for one number, on any loops. MR_EUNSUPPORTED on a virtual loop. */
int mr_signal_start(struct mr_signal *signal, struct mr_loop *loop, int number, mr_signal_cb cb,
                    void *owner);
void mr_signal_stop(struct mr_signal *signal); /* also on a zeroed one */

#endif
