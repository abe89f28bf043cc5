/* Connections that are refused, but not at once: who makes too many would only come again
 * (KIP-612). They are not read from, and closed after a second; beyond a bound, at once. */
#ifndef BASE_NET_REFUSALS_H
#define BASE_NET_REFUSALS_H

#include "base/core/list.h"
#include "base/core/loop.h"

struct refusals {
    struct mr_loop *loop;
    struct mr_link list; /* in order of their end */
    struct mr_timer timer;
    int count;
};

void refusals_init(struct refusals *refusals, struct mr_loop *loop);
/* Closes all. */
void refusals_done(struct refusals *refusals);
/* Takes the descriptor. */
void refusals_add(struct refusals *refusals, int fd);

#endif
