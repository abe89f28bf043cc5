/* Sockets that systemd has opened for us (socket activation, sd_listen_fds(3)): each belongs to the
 * listener of the same address. So ports below 1024 need no capability, and connections wait while
 * the program is started again. */
#ifndef AGENT_INHERITED_H
#define AGENT_INHERITED_H

#include <stdbool.h>

struct mr_address;

enum { INHERITED_MAX = 64 };

struct inherited {
    int fds[INHERITED_MAX];
    bool is_taken[INHERITED_MAX];
    int count;
};

/* What the environment names; the environment forgets it. None is fine. */
void inherited_init(struct inherited *inherited);
/* The descriptor that listens on this address, the caller's from now on; 0: none. */
int inherited_take(struct inherited *inherited, const struct mr_address *address);
/* Closes what no listener has taken, and says so. */
void inherited_done(struct inherited *inherited);

#endif
