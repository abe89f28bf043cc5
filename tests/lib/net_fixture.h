/* A loop with the system's network, a listener, and a connection through it: for tests over real
 * sockets. Ends are readers that keep what they got. */
#ifndef TESTS_LIB_NET_FIXTURE_H
#define TESTS_LIB_NET_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/buffer.h"
#include "base/net/stream.h"

struct mr_clock;
struct mr_tls_context;

struct net_end {
    struct mr_stream *stream; /* NULL before it is connected and after net_end_close */
    struct mr_bytes got;
    int64_t got_bytes;
    bool discards; /* counts only */
    bool reads_nothing;
    int ended;   /* MR_EOF or the code that broke it; 0 while it goes on */
    int drained; /* calls of on_drained */
    int failed;  /* calls of on_failed */
};

struct net_fixture {
    struct mr_loop *loop;
    struct mr_net *net;
    struct mr_metrics *metrics;
    struct mr_listener *listener;
    struct mr_address address; /* with the real port */
    struct net_end server;     /* of the last accepted connection */
    int accepted;
    struct net_end client;
    bool refuses; /* the accept callback closes at once */
    int connect_rc;
    int connect_calls;
    char connect_error[1024];
    char directory[64]; /* temporary, for Unix sockets and files */
};

/* is_unix: "unix:<directory>/s"; else "127.0.0.1:0". */
struct net_fixture *net_fixture_new(void);
/* With another clock for the loop's timers; a wait for descriptors still takes real time. */
struct net_fixture *net_fixture_new_at(struct mr_clock *clock);
int net_fixture_listen(struct net_fixture *f, bool is_unix,
                       const struct mr_listen_options *options);
/* Starts a connection to f->address; the outcome is in connect_rc after connect_calls grew. */
void net_fixture_dial(struct net_fixture *f, const struct mr_connect_options *options);
/* Listens, dials, and turns until both ends are there. */
void net_fixture_connect(struct net_fixture *f, bool is_unix);
void net_end_open(struct net_end *end, struct mr_stream *stream);
void net_end_close(struct net_end *end, bool is_abort);
void net_fixture_free(struct net_fixture *f);

/* Turns until the condition holds, at most two minutes, for machines that are slow or busy; false
 * if it does not. */
#define NET_UNTIL(f, condition)                                                                    \
    ({                                                                                             \
        int64_t end_ms_ = net_fixture_clock_ms() + 120000;                                         \
        while (!(condition) && net_fixture_clock_ms() < end_ms_) {                                 \
            mr_loop_turn((f)->loop, 10);                                                           \
        }                                                                                          \
        (condition);                                                                               \
    })
int64_t net_fixture_clock_ms(void);

#endif
