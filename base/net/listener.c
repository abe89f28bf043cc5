/* Listeners: bind, accept, hand over.
 *
 * Happy path: readable -> accept up to 32 -> (TLS: handshake) -> the owner's callback. Failures, in
 * order: too many open connections: accepted and closed, so that the client learns of it at once;
 * no descriptor left: one client is refused with the reserve descriptor, and accepting rests for
 * 100 ms, since a ready listener that cannot be served would spin; too many half-open handshakes,
 * of one address or of all: handshakes.h; too many connections from one address: closed; made too
 * fast by one address: refusals.h; too fast for the listener: they wait in the backlog.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/bucket.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/net/admission.h"
#include "base/net/bound_socket.h"
#include "base/net/handshakes.h"
#include "base/net/net_internal.h"
#include "base/net/refusals.h"
#include "base/net/socket.h"
#include "base/net/stream_internal.h"

enum {
    ACCEPTS_PER_TURN = 32,
    STARVED_PAUSE_MS = 100,
    BACKLOG = 1024,
    UNIX_MODE = 0660,
    HANDSHAKE_TIMEOUT_MS = 10 * 1000,
    HANDSHAKES_MAX = 1000,
};

struct system_listener {
    struct mr_listener listener;
    struct mr_net *net;
    struct mr_io io;
    struct mr_timer rest; /* running while starved */
    struct mr_stream_gate *gate;
    struct handshakes handshakes; /* none without TLS */
    struct refusals refusals;
    struct mr_bucket accepts; /* where there is a maximum of a second */
    struct bound_socket socket;
    struct mr_listen_options options;
    mr_listener_cb cb;
    void *owner;
    char name[MR_ADDRESS_TEXT_SIZE]; /* as it was asked for */
    int depth;                       /* of calls on the stack; memory is freed by the outermost */
    bool is_paused;
    bool is_closed;
};

static struct system_listener *system_of(struct mr_listener *listener)
{
    return mr_container(listener, struct system_listener, listener);
}

static void listener_leave(struct system_listener *self)
{
    self->depth--;
    if (self->is_closed && self->depth == 0) {
        stream_gate_unref(self->gate);
        mr_free(self);
    }
}

static void want_accept(struct system_listener *self)
{
    if (!self->is_closed) {
        bool is_resting = self->is_paused || mr_timer_is_running(&self->rest);

        mr_io_want(&self->io, is_resting ? 0 : MR_IO_READ);
    }
}

/* ---- accepting ---- */

static void hand_over(struct system_listener *self, struct mr_stream *stream,
                      struct mr_admitted *admitted)
{
    stream->admitted = admitted;
    stream_gate_enter(self->gate, stream);
    net_count(self->net, NET_ACCEPTED, 1);
    self->cb(&self->listener, self->owner, stream);
}

static void on_handshake(void *owner, struct mr_stream *stream, struct mr_admitted *admitted)
{
    struct system_listener *self = owner;

    self->depth++;
    hand_over(self, stream, admitted);
    listener_leave(self);
}

static bool is_admitted(struct system_listener *self, int fd,
                        const struct sockaddr_storage *address, struct mr_admitted **ret_admitted)
{
    switch (admission_enter(self->options.admission, (const struct sockaddr *)(const void *)address,
                            ret_admitted)) {
    case ADMISSION_TAKEN:
        return true;
    case ADMISSION_FULL:
        (void)close(fd);
        net_count(self->net, NET_REFUSED_ADDRESS, 1);
        return false;
    case ADMISSION_TOO_FAST:
        refusals_add(&self->refusals, fd);
        net_count(self->net, NET_REFUSED_RATE, 1);
        return false;
    }
    return false;
}

static void take_connection(struct system_listener *self, int fd,
                            const struct sockaddr_storage *address)
{
    struct mr_admitted *admitted;
    int open = self->gate->open + self->handshakes.count;
    struct mr_stream *stream = NULL;
    int rc;

    if (self->options.connections_max > 0 && open >= self->options.connections_max) {
        (void)close(fd);
        net_count(self->net, NET_REFUSED_FULL, 1);
        return;
    }
    if (!is_admitted(self, fd, address, &admitted)) {
        return;
    }
    socket_prepare(fd);
    if (self->options.tls != NULL) {
        rc = handshakes_start(&self->handshakes, fd, address, admitted);
    } else {
        rc = socket_stream_new(self->net, fd, &stream);
    }
    if (rc != 0) {
        admission_leave(admitted);
        (void)close(fd);
        net_count(self->net, NET_REFUSED_FULL, 1);
    } else if (stream != NULL) {
        hand_over(self, stream, admitted);
    }
}

static void rest_a_while(struct system_listener *self, int error_number)
{
    mr_warn("accepting pauses", KV_STR("listener", self->name),
            KV_STR("reason", strerror(error_number)));
    net_count(self->net, NET_ACCEPT_PAUSES, 1);
    if (error_number == EMFILE || error_number == ENFILE) {
        net_use_reserve(self->net, self->socket.fd);
    }
    (void)mr_timer_start(&self->rest, STARVED_PAUSE_MS); /* without memory: it spins, and works */
    want_accept(self);
}

/* More than the maximum of a second are left in the backlog for a while. */
static bool may_accept(struct system_listener *self)
{
    int64_t now_us = mr_loop_now_us(self->net->loop);
    int64_t wait_us;

    if (self->options.accepts_per_second_max <= 0) {
        return true;
    }
    wait_us = mr_bucket_wait_us(&self->accepts, now_us);
    if (wait_us == 0 || mr_timer_start_us(&self->rest, wait_us) != 0) {
        return true;
    }
    net_count(self->net, NET_ACCEPT_DELAYS, 1);
    want_accept(self);
    return false;
}

static void on_acceptable(struct mr_io *io, int events)
{
    struct system_listener *self = io->owner;

    (void)events;
    self->depth++;
    for (int i = 0; i < ACCEPTS_PER_TURN && !self->is_closed && !self->is_paused; i++) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        socklen_t size = sizeof address;
        int fd;

        if (!may_accept(self)) {
            break;
        }
        fd = accept4(self->socket.fd, (struct sockaddr *)(void *)&address, &size,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            if (self->options.accepts_per_second_max > 0) {
                (void)mr_bucket_take(&self->accepts, 1, mr_loop_now_us(self->net->loop));
            }
            take_connection(self, fd, &address);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest_a_while(self, errno);
            break;
        } else if (errno == EAGAIN) {
            break;
        } /* else this one connection is gone already (accept(2), "Error handling"): next */
    }
    listener_leave(self);
}

static void on_rest_over(struct mr_timer *timer)
{
    want_accept(timer->owner);
}

/* ---- the door's side ---- */

static uint16_t system_port(const struct mr_listener *listener)
{
    const struct system_listener *self =
        (const struct system_listener *)(const void *)listener; /* its first member */
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_storage storage;
    } name = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t length = sizeof name;

    if (getsockname(self->socket.fd, &name.any, &length) != 0) {
        return 0;
    }
    if (name.any.sa_family == AF_INET) {
        return ntohs(name.in.sin_port);
    }
    return name.any.sa_family == AF_INET6 ? ntohs(name.in6.sin6_port) : 0;
}

static int system_connections(const struct mr_listener *listener)
{
    return ((const struct system_listener *)(const void *)listener)->gate->open;
}

static void system_pause(struct mr_listener *listener, bool is_paused)
{
    struct system_listener *self = system_of(listener);

    self->is_paused = is_paused;
    want_accept(self);
}

static void system_close(struct mr_listener *listener)
{
    struct system_listener *self = system_of(listener);

    mr_assert(!self->is_closed);
    self->depth++;
    self->is_closed = true;
    mr_io_stop(&self->io);
    mr_timer_stop(&self->rest);
    refusals_done(&self->refusals);
    handshakes_done(&self->handshakes);
    bound_socket_close(&self->socket);
    listener_leave(self);
}

static const struct mr_listener_ops system_listener_ops = {
    .port = system_port,
    .connections = system_connections,
    .pause = system_pause,
    .close = system_close,
};

static struct mr_listen_options with_defaults(const struct mr_listen_options *options)
{
    struct mr_listen_options filled = *options;

    filled.backlog = filled.backlog > 0 ? filled.backlog : BACKLOG;
    filled.unix_mode = filled.unix_mode != 0 ? filled.unix_mode : UNIX_MODE;
    if (filled.handshake_timeout_ms <= 0) {
        filled.handshake_timeout_ms = HANDSHAKE_TIMEOUT_MS;
    }
    filled.handshakes_max = filled.handshakes_max > 0 ? filled.handshakes_max : HANDSHAKES_MAX;
    return filled;
}

int system_listen(struct mr_net *net, const struct mr_address *address,
                  const struct mr_listen_options *options, mr_listener_cb cb, void *owner,
                  struct mr_listener **ret_listener, struct mr_error *error)
{
    struct system_listener *self = mr_calloc(1, sizeof *self);
    char text[MR_ADDRESS_TEXT_SIZE];
    int rc = MR_ENOMEM;

    mr_address_format(address, text, sizeof text);
    if (self == NULL) {
        return mr_fail(error, MR_ENOMEM, "listen on %s", text);
    }
    self->listener.ops = &system_listener_ops;
    memcpy(self->name, text, sizeof self->name);
    self->net = net;
    self->options = with_defaults(options);
    self->cb = cb;
    self->owner = owner;
    handshakes_init(&self->handshakes, net, &self->options, on_handshake, self);
    refusals_init(&self->refusals, net->loop);
    mr_timer_init(&self->rest, net->loop, on_rest_over, self);
    if (options->accepts_per_second_max > 0) {
        mr_bucket_init(&self->accepts, options->accepts_per_second_max,
                       options->accepts_per_second_max, mr_loop_now_us(net->loop));
    }
    self->gate = stream_gate_new();
    if (self->gate == NULL) {
        mr_fail(error, MR_ENOMEM, "connection count");
        goto free_listener;
    }
    rc = bound_socket_open(&self->socket, address, &self->options, error);
    if (rc != 0) {
        goto unref_gate;
    }
    rc = mr_io_start(&self->io, net->loop, self->socket.fd, on_acceptable, self);
    if (rc != 0) {
        mr_fail(error, rc, "watch the socket");
        goto close_socket;
    }
    want_accept(self);
    *ret_listener = &self->listener;
    return 0;
close_socket:
    if (self->socket.fd == self->options.inherited_fd) {
        self->socket.fd = -1; /* still the caller's */
    }
    bound_socket_close(&self->socket);
unref_gate:
    stream_gate_unref(self->gate);
free_listener:
    mr_free(self);
    mr_error_context(error, "listen on %s", text);
    return rc;
}
