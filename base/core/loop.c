/* The turn of a loop: due timers, posted tasks, the wait, descriptors, mail.
 *
 * libuv brings epoll, signals and the wake-up from other threads. Timers are our own
 * (loop_timer.c): they exist on virtual loops too, fire in a fixed order, and live inside their
 * owners. One uv_timer ends the wait when the first of them is due, so an idle loop sleeps until
 * something happens.
 *
 * The cached time is read again only after the loop has waited, and at each call from outside of a
 * turn, where nothing would ever refresh it. */
#include "base/core/loop.h"

#include "base/core/loop_internal.h"
#include "base/core/memory.h"

static void on_wait_over(uv_timer_t *timer)
{
    (void)timer; /* uv_run returns; the next turn fires what is due */
}

static void run_drains(struct mr_loop *loop)
{
    struct mr_link *link;

    /* Moved one by one, since a drain may remove any other one. */
    while ((link = mr_list_pop(&loop->drains)) != NULL) {
        mr_list_append(&loop->drains_running, link);
    }
    while ((link = mr_list_pop(&loop->drains_running)) != NULL) {
        struct loop_drain *drain = mr_container(link, struct loop_drain, link);

        mr_list_append(&loop->drains, link);
        drain->cb(drain);
    }
}

static void on_wake(uv_async_t *async)
{
    run_drains(async->data);
}

static int loop_alloc(struct mr_clock *clock, struct mr_loop **ret_loop)
{
    struct mr_loop *loop = mr_calloc(1, sizeof *loop);

    if (loop == NULL) {
        return MR_ENOMEM;
    }
    loop->clock = clock;
    loop->now_is_stale = true;
    mr_list_init(&loop->tasks_posted);
    mr_list_init(&loop->tasks_running);
    mr_list_init(&loop->drains);
    mr_list_init(&loop->drains_running);
    atomic_init(&loop->stopping, false);
    *ret_loop = loop;
    return 0;
}

int mr_loop_new(struct mr_clock *clock, struct mr_loop **ret_loop, struct mr_error *error)
{
    struct mr_loop *loop = NULL;
    int rc;

    mr_assert(clock != NULL);
    rc = loop_alloc(clock, &loop);
    if (rc != 0) {
        return mr_fail(error, rc, "event loop");
    }
    rc = uv_loop_init(&loop->uv);
    if (rc != 0) {
        rc = mr_fail_errno(error, -rc, "event loop");
        goto free_loop;
    }
    rc = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (rc != 0) {
        rc = mr_fail_errno(error, -rc, "event loop: wake-up");
        goto close_uv;
    }
    loop->wake.data = loop;
    rc = uv_timer_init(&loop->uv, &loop->wait);
    mr_assert(rc == 0); /* it only fills the struct */
    *ret_loop = loop;
    return 0;
close_uv:
    (void)uv_loop_close(&loop->uv); /* nothing was opened on it */
free_loop:
    mr_free(loop);
    return rc;
}

int mr_loop_new_virtual(struct mr_clock *clock, struct mr_loop **ret_loop)
{
    int rc;

    mr_assert(clock != NULL);
    rc = loop_alloc(clock, ret_loop);
    if (rc != 0) {
        return rc;
    }
    (*ret_loop)->is_virtual = true;
    return 0;
}

void mr_loop_free(struct mr_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    mr_assert(!loop->in_turn);
    mr_assert(loop->heap_count == 0);
    mr_assert(mr_list_is_empty(&loop->tasks_posted));
    mr_assert(mr_list_is_empty(&loop->drains));
    mr_assert(loop->handle_count == 0);
    if (!loop->is_virtual) {
        int rc;

        uv_close((uv_handle_t *)&loop->wake, NULL);
        uv_close((uv_handle_t *)&loop->wait, NULL);
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* runs the close callbacks of all handles */
        rc = uv_loop_close(&loop->uv);
        mr_assert(rc == 0);
    }
    mr_free(loop->heap);
    mr_free(loop);
}

/* ---- time ---- */

struct mr_clock *mr_loop_clock(struct mr_loop *loop)
{
    return loop->clock;
}

int64_t mr_loop_now_us(struct mr_loop *loop)
{
    if (loop->now_is_stale || !loop->in_turn) {
        loop->now_us = mr_clock_monotonic_us(loop->clock);
        loop->now_is_stale = false;
    }
    return loop->now_us;
}

int64_t mr_loop_now_ms(struct mr_loop *loop)
{
    return mr_loop_now_us(loop) / 1000;
}

int64_t mr_loop_wall_ms(struct mr_loop *loop)
{
    return mr_clock_wall_ms(loop->clock);
}

bool mr_loop_is_virtual(const struct mr_loop *loop)
{
    return loop->is_virtual;
}

/* ---- tasks ---- */

void mr_task_init(struct mr_task *task, struct mr_loop *loop, mr_task_cb cb, void *owner)
{
    mr_assert(loop != NULL);
    mr_assert(cb != NULL);
    mr_list_init(&task->link);
    task->loop = loop;
    task->cb = cb;
    task->owner = owner;
}

void mr_task_post(struct mr_task *task)
{
    mr_assert(task->cb != NULL);
    if (!mr_link_is_linked(&task->link)) {
        mr_list_append(&task->loop->tasks_posted, &task->link);
    }
}

void mr_task_cancel(struct mr_task *task)
{
    mr_list_remove(&task->link);
}

static size_t run_tasks(struct mr_loop *loop)
{
    struct mr_link *link;
    size_t count = 0;

    /* Tasks posted from here on wait for the next turn, or a task that posts itself would keep the
     * descriptors from being looked at. */
    while ((link = mr_list_pop(&loop->tasks_posted)) != NULL) {
        mr_list_append(&loop->tasks_running, link);
    }
    while ((link = mr_list_pop(&loop->tasks_running)) != NULL) {
        struct mr_task *task = mr_container(link, struct mr_task, link);

        task->cb(task);
        count++;
    }
    return count;
}

/* ---- waking ---- */

void loop_wake(struct mr_loop *loop)
{
    if (loop->is_virtual) {
        loop->is_woken = true; /* one thread, and the drains are asked in every turn */
    } else {
        (void)uv_async_send(&loop->wake);
    }
}

void loop_drain_add(struct mr_loop *loop, struct loop_drain *drain)
{
    mr_list_append(&loop->drains, &drain->link);
}

void loop_drain_remove(struct loop_drain *drain)
{
    mr_list_remove(&drain->link);
}

/* ---- the turn ---- */

int64_t mr_loop_next_us(struct mr_loop *loop)
{
    if (loop->is_woken || !mr_list_is_empty(&loop->tasks_posted)) {
        return mr_loop_now_us(loop);
    }
    return loop->heap_count > 0 ? loop->heap[1]->due_us : INT64_MAX;
}

/* How long the wait may be, rounded up, so that nobody is woken a moment too early; -1: no bound.
 */
static int64_t wait_ms_of(struct mr_loop *loop, int64_t timeout_ms)
{
    int64_t due_us = mr_loop_next_us(loop);
    int64_t now_us;
    int64_t until_ms;

    if (timeout_ms == 0 || atomic_load(&loop->stopping)) {
        return 0;
    }
    if (due_us == INT64_MAX) {
        return timeout_ms;
    }
    now_us = mr_clock_monotonic_us(loop->clock);
    until_ms = due_us <= now_us ? 0 : (due_us - now_us) / 1000 + ((due_us - now_us) % 1000 != 0);
    return timeout_ms < 0 || until_ms < timeout_ms ? until_ms : timeout_ms;
}

static void wait_and_dispatch(struct mr_loop *loop, int64_t timeout_ms)
{
    int64_t wait_ms = wait_ms_of(loop, timeout_ms);

    loop->now_is_stale = true;
    if (wait_ms == 0) {
        (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
        return;
    }
    if (wait_ms > 0) {
        uv_update_time(&loop->uv);
        /* It repeats: libuv runs due timers before it polls too, and one that is due already (we
         * were not scheduled for a while) would leave the poll without an end. */
        (void)uv_timer_start(&loop->wait, on_wait_over, (uint64_t)wait_ms, 1);
    }
    (void)uv_run(&loop->uv, UV_RUN_ONCE);
    (void)uv_timer_stop(&loop->wait);
}

static void turn(struct mr_loop *loop, int64_t timeout_ms, bool wait_after_work)
{
    size_t count;

    mr_assert(!loop->in_turn);
    loop->in_turn = true;
    loop->now_is_stale = true;
    count = loop_run_timers(loop);
    count += run_tasks(loop);
    if (loop->is_virtual) {
        loop->is_woken = false;
        run_drains(loop);
    } else {
        wait_and_dispatch(loop, count > 0 && !wait_after_work ? 0 : timeout_ms);
    }
    loop->in_turn = false;
}

void mr_loop_turn(struct mr_loop *loop, int64_t timeout_ms)
{
    turn(loop, timeout_ms, false);
}

void mr_loop_run(struct mr_loop *loop)
{
    mr_assert(!loop->is_virtual);
    while (!atomic_load(&loop->stopping)) {
        turn(loop, -1, true);
    }
    atomic_store(&loop->stopping, false);
}

void mr_loop_stop(struct mr_loop *loop)
{
    atomic_store(&loop->stopping, true);
    loop_wake(loop);
}
