/* Timers: a binary heap of pointers to the owners' structs, ordered by due time, then by the order
 * in which they were started. Each timer knows its place, so stopping one costs O(log n). */
#include "base/core/loop_internal.h"
#include "base/core/memory.h"

static bool is_before(const struct mr_timer *left, const struct mr_timer *right)
{
    if (left->due_us != right->due_us) {
        return left->due_us < right->due_us;
    }
    return left->order < right->order;
}

static void put(struct mr_loop *loop, size_t place, struct mr_timer *timer)
{
    loop->heap[place] = timer;
    timer->heap_place = place;
}

static void sift_up(struct mr_loop *loop, struct mr_timer *timer)
{
    size_t place = timer->heap_place;

    while (place > 1 && is_before(timer, loop->heap[place / 2])) {
        put(loop, place, loop->heap[place / 2]);
        place /= 2;
    }
    put(loop, place, timer);
}

static void sift_down(struct mr_loop *loop, struct mr_timer *timer)
{
    size_t place = timer->heap_place;

    for (;;) {
        size_t child = place * 2;

        if (child > loop->heap_count) {
            break;
        }
        if (child < loop->heap_count && is_before(loop->heap[child + 1], loop->heap[child])) {
            child++;
        }
        if (!is_before(loop->heap[child], timer)) {
            break;
        }
        put(loop, place, loop->heap[child]);
        place = child;
    }
    put(loop, place, timer);
}

static void heap_remove(struct mr_loop *loop, struct mr_timer *timer)
{
    size_t place = timer->heap_place;
    struct mr_timer *last = loop->heap[loop->heap_count];

    mr_assert(loop->heap[place] == timer);
    loop->heap_count--;
    timer->heap_place = 0;
    if (last != timer) {
        put(loop, place, last);
        sift_up(loop, last);
        sift_down(loop, last);
    }
}

void mr_timer_init(struct mr_timer *timer, struct mr_loop *loop, mr_timer_cb cb, void *owner)
{
    mr_assert(loop != NULL);
    mr_assert(cb != NULL);
    *timer = (struct mr_timer){.loop = loop, .cb = cb, .owner = owner};
}

int mr_timer_start_us(struct mr_timer *timer, int64_t delay_us)
{
    struct mr_loop *loop = timer->loop;
    int64_t now_us;
    int rc;

    mr_assert(timer->cb != NULL);
    if (timer->heap_place == 0) {
        rc = mr_grow(&loop->heap, &loop->heap_capacity, loop->heap_count + 2, sizeof *loop->heap);
        if (rc != 0) {
            return rc;
        }
    } else {
        heap_remove(loop, timer);
    }
    now_us = mr_loop_now_us(loop);
    if (delay_us < 0) {
        delay_us = 0;
    }
    timer->due_us = delay_us > INT64_MAX - 1 - now_us ? INT64_MAX - 1 : now_us + delay_us;
    timer->order = ++loop->timer_order;
    loop->heap_count++;
    put(loop, loop->heap_count, timer);
    sift_up(loop, timer);
    return 0;
}

int mr_timer_start(struct mr_timer *timer, int64_t delay_ms)
{
    return mr_timer_start_us(timer, delay_ms > INT64_MAX / 1000 ? INT64_MAX : delay_ms * 1000);
}

void mr_timer_stop(struct mr_timer *timer)
{
    if (timer->heap_place != 0) {
        heap_remove(timer->loop, timer);
    }
}

bool mr_timer_is_running(const struct mr_timer *timer)
{
    return timer->heap_place != 0;
}

size_t loop_run_timers(struct mr_loop *loop)
{
    int64_t now_us = mr_loop_now_us(loop);
    uint64_t last_order =
        loop->timer_order; /* timers started by callbacks wait for the next turn */
    size_t count = 0;

    while (loop->heap_count > 0) {
        struct mr_timer *timer = loop->heap[1];

        /* A timer started just now is due at now or later, so it stands behind all older due ones.
         */
        if (timer->due_us > now_us || timer->order > last_order) {
            break;
        }
        heap_remove(loop, timer);
        timer->cb(timer);
        count++;
    }
    return count;
}
