/* The half-open handshakes of a listener: bounded, and bounded per address; who is one too many
 * gives way or is not let in (README, "Who gives way"). Lives on the listener's loop. */
#ifndef BASE_NET_HANDSHAKES_H
#define BASE_NET_HANDSHAKES_H

#include <sys/socket.h>

#include "base/core/list.h"

struct mr_admitted;
struct mr_listen_options;
struct mr_net;
struct mr_stream;

enum { HANDSHAKE_CROWDS = 1024 };

/* The half-open handshakes of one address, or of the few whose hash is the same. */
struct handshake_crowd {
    struct mr_link members; /* oldest first; NULL before the first */
    int count;
};

/* One has come through: both are the owner's from now on, which may close the listener. */
typedef void (*handshakes_cb)(void *owner, struct mr_stream *stream, struct mr_admitted *admitted);

struct handshakes {
    struct mr_net *net;
    const struct mr_listen_options *options; /* the listener's, filled */
    handshakes_cb cb;
    void *owner;
    struct mr_link list; /* oldest first */
    int count;
    struct handshake_crowd crowds[HANDSHAKE_CROWDS]; /* the same by address */
};

/* Zeroed before. The options are borrowed; without TLS in them none is ever started. */
void handshakes_init(struct handshakes *handshakes, struct mr_net *net,
                     const struct mr_listen_options *options, handshakes_cb cb, void *owner);
/* Closes all of them. */
void handshakes_done(struct handshakes *handshakes);
/* Takes the descriptor and `admitted` if it succeeds; MR_EFULL: one too many; MR_ENOMEM. */
int handshakes_start(struct handshakes *handshakes, int fd, const struct sockaddr_storage *address,
                     struct mr_admitted *admitted);

#endif
