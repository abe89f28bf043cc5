#include "tests/lib/sim_net.h"

#include <stdio.h>
#include <string.h>

#include "base/core/memory.h"
#include "base/net/net_internal.h"
#include "base/net/stream_internal.h"
#include "tests/lib/stream_pair.h"

enum { NAME_SIZE = 64, PARTS_MAX = 64, FIRST_PORT = 20000, TIMEOUT_MS = 30000 };

struct sim_wire {
    struct mr_link listeners;   /* of sim_listener */
    struct mr_link connections; /* of sim_connection */
    struct {
        char node[NAME_SIZE];
        char other[NAME_SIZE];
    } parts[PARTS_MAX];
    int part_count;
    int64_t delay_us;
    uint16_t next_port;
};

struct sim_net {
    struct mr_net net;
    struct sim_wire *wire;
    char node[NAME_SIZE];
};

struct sim_listener {
    struct mr_listener listener;
    struct mr_link link;
    struct sim_net *net;
    struct mr_address address;
    struct mr_stream_gate *gate;
    int connections_max;
    mr_listener_cb cb;
    void *owner;
    struct mr_link waiting; /* of sim_connection */
    struct mr_task accept;
    bool is_paused;
};

/* Lives from the attempt until one of its ends is closed. */
struct sim_connection {
    struct mr_link link;
    char node[NAME_SIZE];
    char other[NAME_SIZE];
    struct mr_stream *one; /* the dialing end; NULL once one is closed */
    struct mr_stream *two;
    struct mr_link waiting;
};

struct sim_connect {
    struct mr_connect connect;
    struct sim_net *net;
    struct mr_address address;
    mr_connect_cb cb;
    void *owner;
    struct mr_timer timer;
    int64_t deadline_ms;
};

static bool is_pair(const char *one, const char *two, const char *node, const char *other)
{
    return (strcmp(one, node) == 0 && strcmp(two, other) == 0) ||
           (strcmp(one, other) == 0 && strcmp(two, node) == 0);
}

static bool is_parted(const struct sim_wire *wire, const char *node, const char *other)
{
    for (int i = 0; i < wire->part_count; i++) {
        if (is_pair(wire->parts[i].node, wire->parts[i].other, node, other)) {
            return true;
        }
    }
    return false;
}

/* ---- listening ---- */

static struct sim_listener *listener_of(struct mr_listener *listener)
{
    return mr_container(listener, struct sim_listener, listener);
}

static uint16_t sim_port(const struct mr_listener *listener)
{
    return ((const struct sim_listener *)(const void *)listener)->address.port;
}

static int sim_connections(const struct mr_listener *listener)
{
    return ((const struct sim_listener *)(const void *)listener)->gate->open;
}

static void on_accept(struct mr_task *task)
{
    struct sim_listener *self = task->owner;
    struct mr_link *link = self->is_paused ? NULL : mr_list_pop(&self->waiting);

    if (link == NULL) {
        return;
    }
    if (!mr_list_is_empty(&self->waiting)) {
        mr_task_post(task);
    }
    stream_gate_enter(self->gate, mr_container(link, struct sim_connection, waiting)->two);
    self->cb(&self->listener, self->owner, mr_container(link, struct sim_connection, waiting)->two);
}

static void sim_pause(struct mr_listener *listener, bool is_paused)
{
    listener_of(listener)->is_paused = is_paused;
    mr_task_post(&listener_of(listener)->accept);
}

static void sim_close(struct mr_listener *listener)
{
    struct sim_listener *self = listener_of(listener);
    struct mr_link *link;

    while ((link = mr_list_pop(&self->waiting)) != NULL) {
        mr_stream_close(mr_container(link, struct sim_connection, waiting)->two, true);
    }
    mr_list_remove(&self->link);
    mr_task_cancel(&self->accept);
    stream_gate_unref(self->gate);
    mr_free(self);
}

static const struct mr_listener_ops sim_listener_ops = {
    .port = sim_port,
    .connections = sim_connections,
    .pause = sim_pause,
    .close = sim_close,
};

static struct sim_listener *find_listener(struct sim_wire *wire, const struct mr_address *address)
{
    mr_list_each(&wire->listeners, link, next_link)
    {
        struct sim_listener *listener = mr_container(link, struct sim_listener, link);
        bool is_named = strcmp(listener->net->node, address->host) == 0 ||
                        strcmp(listener->address.host, address->host) == 0;

        if (is_named && listener->address.port == address->port &&
            listener->address.is_unix == address->is_unix) {
            return listener;
        }
    }
    return NULL;
}

static int sim_listen(struct mr_net *net, const struct mr_address *address,
                      const struct mr_listen_options *options, mr_listener_cb cb, void *owner,
                      struct mr_listener **ret_listener, struct mr_error *error)
{
    struct sim_net *self = mr_container(net, struct sim_net, net);
    struct sim_listener *listener;

    if (options->tls != NULL) {
        return mr_fail(error, MR_EUNSUPPORTED, "TLS in the simulated network");
    }
    if (address->port != 0 && find_listener(self->wire, address) != NULL) {
        return mr_fail_text(error, MR_EBUSY, "the port is in use by another process");
    }
    listener = mr_calloc(1, sizeof *listener);
    mr_assert(listener != NULL);
    listener->listener.ops = &sim_listener_ops;
    listener->net = self;
    listener->address = *address;
    if (address->port == 0 && !address->is_unix) {
        listener->address.port = self->wire->next_port++;
    }
    listener->gate = stream_gate_new();
    mr_assert(listener->gate != NULL);
    listener->connections_max = options->connections_max;
    listener->cb = cb;
    listener->owner = owner;
    mr_list_init(&listener->waiting);
    mr_task_init(&listener->accept, net->loop, on_accept, listener);
    mr_list_append(&self->wire->listeners, &listener->link);
    *ret_listener = &listener->listener;
    return 0;
}

/* ---- connecting ---- */

static void on_end_closed(void *owner)
{
    struct sim_connection *connection = owner;

    stream_pair_on_close(connection->one, NULL, NULL);
    stream_pair_on_close(connection->two, NULL, NULL);
    mr_list_remove(&connection->link);
    mr_list_remove(&connection->waiting);
    mr_free(connection);
}

static void end_attempt(struct sim_connect *attempt, int rc, struct mr_stream *stream,
                        const struct mr_error *error)
{
    mr_connect_cb cb = attempt->cb;
    void *owner = attempt->owner;

    mr_timer_stop(&attempt->timer);
    mr_free(attempt);
    cb(owner, rc, stream, error);
}

static struct mr_stream *make_connection(struct sim_net *self, struct sim_listener *listener,
                                         uint16_t port)
{
    struct stream_pair_options options = {.delay_us = self->wire->delay_us};
    struct sim_connection *connection = mr_calloc(1, sizeof *connection);

    mr_assert(connection != NULL);
    mr_assert(stream_pair_between(self->net.loop, listener->net->net.loop, &options,
                                  &connection->one, &connection->two) == 0);
    (void)snprintf(connection->node, sizeof connection->node, "%s", self->node);
    (void)snprintf(connection->other, sizeof connection->other, "%s", listener->net->node);
    (void)snprintf(connection->one->peer, sizeof connection->one->peer, "%s:%u", connection->other,
                   port);
    (void)snprintf(connection->two->peer, sizeof connection->two->peer, "%s", self->node);
    stream_pair_on_close(connection->one, on_end_closed, connection);
    stream_pair_on_close(connection->two, on_end_closed, connection);
    mr_list_append(&self->wire->connections, &connection->link);
    mr_list_append(&listener->waiting, &connection->waiting);
    mr_task_post(&listener->accept);
    return connection->one;
}

static void on_attempt(struct mr_timer *timer)
{
    struct sim_connect *attempt = timer->owner;
    struct sim_net *self = attempt->net;
    struct sim_listener *listener = find_listener(self->wire, &attempt->address);
    struct mr_error error = {0};
    char text[MR_ADDRESS_TEXT_SIZE];
    int rc;

    mr_address_format(&attempt->address, text, sizeof text);
    if (is_parted(self->wire, self->node,
                  listener != NULL ? listener->net->node : attempt->address.host)) {
        int64_t left_ms = attempt->deadline_ms - mr_loop_now_ms(self->net.loop);

        if (left_ms > 0) { /* silence; it may heal meanwhile */
            mr_assert(mr_timer_start(timer, left_ms < 1000 ? left_ms : 1000) == 0);
            return;
        }
        rc = mr_fail(&error, MR_ETIMEDOUT, "connect to %s", text);
        end_attempt(attempt, rc, NULL, &error);
        return;
    }
    if (listener == NULL ||
        (listener->connections_max > 0 && listener->gate->open >= listener->connections_max)) {
        rc = mr_fail_text(&error, MR_ENETWORK, "connect to %s: Connection refused", text);
        end_attempt(attempt, rc, NULL, &error);
        return;
    }
    end_attempt(attempt, 0, make_connection(self, listener, attempt->address.port), NULL);
}

static void sim_cancel(struct mr_connect *connect)
{
    struct sim_connect *attempt = mr_container(connect, struct sim_connect, connect);

    mr_timer_stop(&attempt->timer);
    mr_free(attempt);
}

static int sim_connect(struct mr_net *net, const struct mr_address *address,
                       const struct mr_connect_options *options, mr_connect_cb cb, void *owner,
                       struct mr_connect **ret_connect)
{
    struct sim_net *self = mr_container(net, struct sim_net, net);
    struct sim_connect *attempt = mr_calloc(1, sizeof *attempt);
    int64_t timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;

    mr_assert(options->tls == NULL);
    if (attempt == NULL) {
        return MR_ENOMEM;
    }
    attempt->connect.cancel = sim_cancel;
    attempt->net = self;
    attempt->address = *address;
    attempt->cb = cb;
    attempt->owner = owner;
    attempt->deadline_ms = mr_loop_now_ms(net->loop) + timeout_ms;
    mr_timer_init(&attempt->timer, net->loop, on_attempt, attempt);
    mr_assert(mr_timer_start_us(&attempt->timer, self->wire->delay_us * 2) == 0);
    *ret_connect = &attempt->connect;
    return 0;
}

/* ---- the wire ---- */

static void sim_free(struct mr_net *net)
{
    mr_free(mr_container(net, struct sim_net, net));
}

static const struct mr_net_ops sim_ops = {
    .free = sim_free,
    .listen = sim_listen,
    .connect = sim_connect,
};

struct mr_net *sim_net_new(struct sim_wire *wire, struct mr_loop *loop, const char *node)
{
    struct sim_net *self = mr_calloc(1, sizeof *self);

    mr_assert(self != NULL);
    self->net.ops = &sim_ops;
    self->net.loop = loop;
    mr_list_init(&self->net.handshakes_due);
    self->wire = wire;
    (void)snprintf(self->node, sizeof self->node, "%s", node);
    return &self->net;
}

struct sim_wire *sim_wire_new(void)
{
    struct sim_wire *wire = mr_calloc(1, sizeof *wire);

    mr_assert(wire != NULL);
    mr_list_init(&wire->listeners);
    mr_list_init(&wire->connections);
    wire->next_port = FIRST_PORT;
    return wire;
}

void sim_wire_free(struct sim_wire *wire)
{
    mr_assert(mr_list_is_empty(&wire->listeners));
    mr_assert(mr_list_is_empty(&wire->connections));
    mr_free(wire);
}

void sim_wire_delay(struct sim_wire *wire, int64_t delay_us)
{
    wire->delay_us = delay_us;
}

void sim_wire_part(struct sim_wire *wire, const char *node, const char *other, bool parted)
{
    int kept = 0;

    for (int i = 0; i < wire->part_count; i++) { /* the pair is taken out first */
        if (!is_pair(wire->parts[i].node, wire->parts[i].other, node, other)) {
            wire->parts[kept++] = wire->parts[i];
        }
    }
    wire->part_count = kept;
    if (parted) {
        mr_assert(wire->part_count < PARTS_MAX);
        (void)snprintf(wire->parts[kept].node, NAME_SIZE, "%s", node);
        (void)snprintf(wire->parts[kept].other, NAME_SIZE, "%s", other);
        wire->part_count++;
    }
    mr_list_each(&wire->connections, link, next_link)
    {
        struct sim_connection *connection = mr_container(link, struct sim_connection, link);

        if (is_pair(connection->node, connection->other, node, other)) {
            stream_pair_freeze(connection->one, parted);
        }
    }
}

void sim_wire_reset(struct sim_wire *wire, const char *node, const char *other)
{
    mr_list_each(&wire->connections, link, next_link)
    {
        struct sim_connection *connection = mr_container(link, struct sim_connection, link);

        if (is_pair(connection->node, connection->other, node, other)) {
            stream_pair_cut(connection->one); /* told in the loops' next turns */
        }
    }
}
