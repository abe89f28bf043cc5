/* The system's network: what its streams, listeners and attempts share, and the door itself. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/core/workers.h"
#include "base/net/net_internal.h"

/* Two readers keep one slow disk busy; four lookups, so that one name server that does not answer
 * leaves room for other names. One for handshakes: however many come, they have one core, and
 * connections that are open the others. */
enum { READER_THREADS = 2, LOOKUP_THREADS = 4, HANDSHAKE_THREADS = 1 };

struct system_net {
    struct mr_net net;
    struct mr_workers *readers;
    struct mr_workers *lookups;
    struct mr_workers *handshakers;
    int reserve_fd; /* -1 while none could be had */
};

static const struct mr_metric_def net_metrics[NET_METRIC_COUNT] = {
    [NET_ACCEPTED] = {"millrace_net_accepted_total", MR_COUNTER, "Connections accepted.", NULL},
    [NET_REFUSED_FULL] = {"millrace_net_refused_total", MR_COUNTER,
                          "Connections closed at once, because a listener had its maximum or the "
                          "process had no descriptor left.",
                          NULL},
    [NET_REFUSED_ADDRESS] = {"millrace_net_refused_address_total", MR_COUNTER,
                             "Connections closed at once, because their address had its maximum.",
                             NULL},
    [NET_REFUSED_RATE] = {"millrace_net_refused_rate_total", MR_COUNTER,
                          "Connections closed after a while, because their address makes more than "
                          "its quota.",
                          NULL},
    [NET_ACCEPT_DELAYS] = {"millrace_net_accept_delays_total", MR_COUNTER,
                           "Times that a listener accepted nobody for a while, as it had accepted "
                           "its maximum of a second.",
                           NULL},
    [NET_ACCEPT_PAUSES] = {"millrace_net_accept_pauses_total", MR_COUNTER,
                           "Times that accepting paused, because descriptors or memory ran out.",
                           NULL},
    [NET_CONNECTED] = {"millrace_net_connected_total", MR_COUNTER,
                       "Outgoing connections that were made.", NULL},
    [NET_CONNECT_FAILURES] = {"millrace_net_connect_failures_total", MR_COUNTER,
                              "Outgoing connections that failed.", NULL},
    [NET_RECEIVED_BYTES] = {"millrace_net_received_bytes_total", MR_COUNTER,
                            "Bytes read from connections, after decryption.", NULL},
    [NET_SENT_BYTES] = {"millrace_net_sent_bytes_total", MR_COUNTER,
                        "Bytes written to connections, before encryption.", NULL},
    [NET_COLD_READS] = {"millrace_net_cold_reads_total", MR_COUNTER,
                        "File ranges that a worker read from the disk before they were sent.",
                        NULL},
    [NET_TLS_HANDSHAKES] = {"millrace_net_tls_handshakes_total", MR_COUNTER,
                            "TLS handshakes that succeeded.", NULL},
    [NET_TLS_RESUMED] = {"millrace_net_tls_resumed_total", MR_COUNTER,
                         "TLS handshakes that resumed an earlier session.", NULL},
    [NET_TLS_KERNEL] = {"millrace_net_tls_kernel_total", MR_COUNTER,
                        "TLS connections on which the kernel encrypts what is sent.", NULL},
    [NET_TLS_BROKEN] = {"millrace_net_tls_broken_total", MR_COUNTER,
                        "TLS connections that ended without a good-bye, or with bytes that the "
                        "peer cannot have sent.",
                        NULL},
};

static const struct mr_metric_def failure_metrics[] = {
    {"millrace_net_tls_failures_total", MR_COUNTER, "TLS handshakes that failed, by reason.",
     "reason"}};

static const char *const failure_names[TLS_FAILURE_COUNT] = {
    [TLS_FAILURE_OTHER] = "other",
    [TLS_FAILURE_TIMEOUT] = "timeout",
    [TLS_FAILURE_CROWDED] = "crowded",
    [TLS_FAILURE_GONE] = "gone",
    [TLS_FAILURE_NOT_TLS] = "not_tls",
    [TLS_FAILURE_VERSION] = "version",
    [TLS_FAILURE_CERTIFICATE] = "certificate",
    [TLS_FAILURE_ALERT] = "alert",
};

static struct system_net *system_of(struct mr_net *net)
{
    return mr_container(net, struct system_net, net);
}

void net_count(struct mr_net *net, enum net_metric metric, int64_t more)
{
    if (net != NULL && net->metrics != NULL) {
        net->metrics->values[metric] += more;
    }
}

static void system_free(struct mr_net *net);

static const struct mr_net_ops system_ops = {
    .free = system_free,
    .listen = system_listen,
    .connect = system_connect,
};

static struct mr_workers *pool_of(struct mr_net *net, struct mr_workers **pool, const char *name,
                                  int thread_count)
{
    if (*pool == NULL && mr_workers_new(net->loop, name, thread_count, pool) != 0) {
        return NULL;
    }
    return *pool;
}

struct mr_workers *net_readers(struct mr_net *net)
{
    return net->ops == &system_ops
               ? pool_of(net, &system_of(net)->readers, "coldread", READER_THREADS)
               : NULL;
}

struct mr_workers *net_lookups(struct mr_net *net)
{
    return net->ops == &system_ops
               ? pool_of(net, &system_of(net)->lookups, "lookup", LOOKUP_THREADS)
               : NULL;
}

struct mr_workers *net_handshakers(struct mr_net *net)
{
    return net->ops == &system_ops
               ? pool_of(net, &system_of(net)->handshakers, "handshake", HANDSHAKE_THREADS)
               : NULL;
}

void net_count_tls_failure(struct mr_net *net, enum tls_failure failure)
{
    if (net->tls_failures[failure] != NULL) {
        net->tls_failures[failure]->values[0]++;
    }
}

static void open_metrics(struct mr_net *net, struct mr_metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    net->metrics = mr_metric_set_new(metrics, net_metrics, NET_METRIC_COUNT, NULL, 0);
    for (int i = 0; i < TLS_FAILURE_COUNT; i++) {
        net->tls_failures[i] = mr_metric_set_new(metrics, failure_metrics, 1, &failure_names[i], 1);
    }
}

static int reserve_open(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void net_use_reserve(struct mr_net *net, int listen_fd)
{
    struct system_net *self = system_of(net);

    if (self->reserve_fd >= 0) {
        int fd;

        (void)close(self->reserve_fd);
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            (void)close(fd);
            net_count(net, NET_REFUSED_FULL, 1);
        }
    }
    self->reserve_fd = reserve_open(); /* -1: tried again the next time */
}

int mr_net_new(struct mr_loop *loop, struct mr_metrics *metrics, struct mr_net **ret_net)
{
    struct system_net *self = mr_calloc(1, sizeof *self);

    if (self == NULL) {
        return MR_ENOMEM;
    }
    /* sendfile has no MSG_NOSIGNAL: the one disposition of the process that the network needs. */
    (void)signal(SIGPIPE, SIG_IGN);
    self->net.ops = &system_ops;
    self->net.loop = loop;
    mr_list_init(&self->net.handshakes_due);
    mr_task_init(&self->net.handshakes_task, loop, tls_handshakes_step, &self->net);
    mr_list_init(&self->net.tls_contexts);
    mr_timer_init(&self->net.tls_timer, loop, tls_watch_on_timer, &self->net);
    open_metrics(&self->net, metrics);
    self->reserve_fd = reserve_open();
    *ret_net = &self->net;
    return 0;
}

static void system_free(struct mr_net *net)
{
    struct system_net *self = system_of(net);

    mr_assert(mr_list_is_empty(&net->handshakes_due));
    mr_task_cancel(&net->handshakes_task);
    mr_timer_stop(&net->tls_timer);
    while (mr_list_pop(&net->tls_contexts) != NULL) { /* they may live longer */
    }
    mr_workers_free(self->readers);
    mr_workers_free(self->lookups);
    mr_workers_free(self->handshakers); /* what was cancelled under their hands ends now */
    mr_metric_set_free(net->metrics);
    for (int i = 0; i < TLS_FAILURE_COUNT; i++) {
        mr_metric_set_free(net->tls_failures[i]);
    }
    if (self->reserve_fd >= 0) {
        (void)close(self->reserve_fd);
    }
    mr_free(self);
}

void mr_net_free(struct mr_net *net)
{
    if (net != NULL) {
        net->ops->free(net);
    }
}

int mr_net_listen(struct mr_net *net, const struct mr_address *address,
                  const struct mr_listen_options *options, mr_listener_cb cb, void *owner,
                  struct mr_listener **ret_listener, struct mr_error *error)
{
    return net->ops->listen(net, address, options, cb, owner, ret_listener, error);
}

uint16_t mr_listener_port(const struct mr_listener *listener)
{
    return listener->ops->port(listener);
}

int mr_listener_connections(const struct mr_listener *listener)
{
    return listener->ops->connections(listener);
}

void mr_listener_pause(struct mr_listener *listener, bool is_paused)
{
    listener->ops->pause(listener, is_paused);
}

void mr_listener_close(struct mr_listener *listener)
{
    if (listener != NULL) {
        listener->ops->close(listener);
    }
}

int mr_net_connect(struct mr_net *net, const struct mr_address *address,
                   const struct mr_connect_options *options, mr_connect_cb cb, void *owner,
                   struct mr_connect **ret_connect)
{
    return net->ops->connect(net, address, options, cb, owner, ret_connect);
}

void mr_connect_cancel(struct mr_connect *connect)
{
    if (connect != NULL) {
        connect->cancel(connect);
    }
}
