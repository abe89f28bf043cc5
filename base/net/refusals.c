#include "base/net/refusals.h"

#include <unistd.h>

#include "base/core/memory.h"

enum { REFUSED_DELAY_US = 1000 * 1000, REFUSED_MAX = 256 };

struct refused {
    struct mr_link link;
    int fd;
    int64_t due_us;
};

static struct refused *first_of(const struct refusals *refusals)
{
    return mr_list_is_empty(&refusals->list)
               ? NULL
               : mr_container(refusals->list.next, struct refused, link);
}

static void close_first(struct refusals *refusals)
{
    struct refused *refused = first_of(refusals);

    mr_list_remove(&refused->link);
    (void)close(refused->fd);
    mr_free(refused);
    refusals->count--;
}

static void on_due(struct mr_timer *timer)
{
    struct refusals *refusals = timer->owner;
    int64_t now_us = mr_loop_now_us(refusals->loop);
    struct refused *first;

    while ((first = first_of(refusals)) != NULL && first->due_us <= now_us) {
        close_first(refusals);
    }
    if (first != NULL && mr_timer_start_us(timer, first->due_us - now_us) != 0) {
        refusals_done(refusals); /* no memory: nobody would close them */
    }
}

void refusals_init(struct refusals *refusals, struct mr_loop *loop)
{
    refusals->loop = loop;
    refusals->count = 0;
    mr_list_init(&refusals->list);
    mr_timer_init(&refusals->timer, loop, on_due, refusals);
}

void refusals_done(struct refusals *refusals)
{
    mr_timer_stop(&refusals->timer);
    while (first_of(refusals) != NULL) {
        close_first(refusals);
    }
}

void refusals_add(struct refusals *refusals, int fd)
{
    struct refused *refused = NULL;

    if (refusals->count < REFUSED_MAX &&
        (mr_timer_is_running(&refusals->timer) ||
         mr_timer_start_us(&refusals->timer, REFUSED_DELAY_US) == 0)) {
        refused = mr_calloc(1, sizeof *refused);
    }
    if (refused == NULL) {
        (void)close(fd);
        return;
    }
    refused->fd = fd;
    refused->due_us = mr_loop_now_us(refusals->loop) + REFUSED_DELAY_US;
    mr_list_append(&refusals->list, &refused->link);
    refusals->count++;
}
