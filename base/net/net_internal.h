/* The inside of the network door, for base/net and for those who bring another network (the
 * simulator). */
#ifndef BASE_NET_NET_INTERNAL_H
#define BASE_NET_NET_INTERNAL_H

#include "base/net/stream.h"
#include "base/net/tls_internal.h"

struct mr_workers;

struct mr_net_ops {
    void (*free)(struct mr_net *net);
    int (*listen)(struct mr_net *net, const struct mr_address *address,
                  const struct mr_listen_options *options, mr_listener_cb cb, void *owner,
                  struct mr_listener **ret_listener, struct mr_error *error);
    int (*connect)(struct mr_net *net, const struct mr_address *address,
                   const struct mr_connect_options *options, mr_connect_cb cb, void *owner,
                   struct mr_connect **ret_connect);
};

struct mr_listener_ops {
    uint16_t (*port)(const struct mr_listener *listener);
    int (*connections)(const struct mr_listener *listener);
    void (*pause)(struct mr_listener *listener, bool is_paused);
    void (*close)(struct mr_listener *listener);
};

/* Each is the first member of the network's own struct. */
struct mr_net {
    const struct mr_net_ops *ops;
    struct mr_loop *loop;
    struct mr_metric_set *metrics;                         /* may be NULL */
    struct mr_metric_set *tls_failures[TLS_FAILURE_COUNT]; /* likewise */
    struct mr_link handshakes_due; /* TLS handshakes whose next step can be taken, in order */
    int handshakes_working;        /* steps that a worker has */
    bool handshakes_inline; /* no workers: for tests that count allocations, and the fuzzer */
    struct mr_task handshakes_task;
    struct mr_link tls_contexts; /* of struct tls_watched */
    struct mr_timer tls_timer;
    int64_t tls_interval_ms; /* 0: files are read only when asked */
};

struct mr_listener {
    const struct mr_listener_ops *ops;
};

struct mr_connect {
    void (*cancel)(struct mr_connect *connect);
};

/* ---- what the system's network shares among its files ---- */

enum net_metric {
    NET_ACCEPTED,
    NET_REFUSED_FULL,
    NET_REFUSED_ADDRESS,
    NET_REFUSED_RATE,
    NET_ACCEPT_DELAYS,
    NET_ACCEPT_PAUSES,
    NET_CONNECTED,
    NET_CONNECT_FAILURES,
    NET_RECEIVED_BYTES,
    NET_SENT_BYTES,
    NET_COLD_READS,
    NET_TLS_HANDSHAKES,
    NET_TLS_RESUMED,
    NET_TLS_BROKEN,
    NET_TLS_KERNEL,
    NET_METRIC_COUNT
};

void net_count(struct mr_net *net, enum net_metric metric, int64_t more); /* net may be NULL */
/* Pools of their own, made at first use; NULL if that fails or the network has none. */
struct mr_workers *net_readers(struct mr_net *net);
struct mr_workers *net_lookups(struct mr_net *net);
struct mr_workers *net_handshakers(struct mr_net *net);
void net_count_tls_failure(struct mr_net *net, enum tls_failure failure);
/* A spare descriptor, so that a connection can be refused when there are no more. */
void net_use_reserve(struct mr_net *net, int listen_fd);

/* tls_handshake.c: gives due steps to the workers. */
void tls_handshakes_step(struct mr_task *task);
void tls_watch_on_timer(struct mr_timer *timer); /* tls_watch.c */

int system_listen(struct mr_net *net, const struct mr_address *address,
                  const struct mr_listen_options *options, mr_listener_cb cb, void *owner,
                  struct mr_listener **ret_listener, struct mr_error *error);
int system_connect(struct mr_net *net, const struct mr_address *address,
                   const struct mr_connect_options *options, mr_connect_cb cb, void *owner,
                   struct mr_connect **ret_connect);

#endif
