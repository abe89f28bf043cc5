#include "tests/lib/net_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/disk.h"
#include "base/core/memory.h"
#include "base/core/metric.h"

int64_t net_fixture_clock_ms(void)
{
    return mr_clock_monotonic_ms(mr_clock_system());
}

static void on_readable(struct mr_stream *stream, void *owner)
{
    struct net_end *end = owner;
    static char data[65536]; /* one thread */

    if (end->reads_nothing) {
        mr_stream_pause(stream, true);
        return;
    }
    for (int i = 0; i < 4; i++) {
        ssize_t rc = mr_stream_read(stream, data, sizeof data);

        if (rc == MR_EAGAIN) {
            return;
        }
        if (rc < 0) {
            end->ended = (int)rc;
            return;
        }
        end->got_bytes += rc;
        if (!end->discards) {
            mr_bytes_append(&end->got, data, (size_t)rc);
        }
    }
}

static void on_drained(struct mr_stream *stream, void *owner)
{
    (void)stream;
    ((struct net_end *)owner)->drained++;
}

static void on_failed(struct mr_stream *stream, void *owner, int code)
{
    struct net_end *end = owner;

    (void)stream;
    end->failed++;
    end->ended = code;
}

static const struct mr_stream_events end_events = {
    .on_readable = on_readable,
    .on_drained = on_drained,
    .on_failed = on_failed,
};

void net_end_open(struct net_end *end, struct mr_stream *stream)
{
    net_end_close(end, false);
    mr_bytes_clear(&end->got);
    end->got_bytes = 0;
    end->ended = 0;
    end->stream = stream;
    mr_stream_set_events(stream, &end_events, end);
}

void net_end_close(struct net_end *end, bool is_abort)
{
    if (end->stream != NULL) {
        mr_stream_close(end->stream, is_abort);
        end->stream = NULL;
    }
}

struct net_fixture *net_fixture_new(void)
{
    return net_fixture_new_at(mr_clock_system());
}

struct net_fixture *net_fixture_new_at(struct mr_clock *clock)
{
    struct net_fixture *f = mr_calloc(1, sizeof *f);

    mr_assert(f != NULL);
    mr_assert(mr_loop_new(clock, &f->loop, NULL) == 0);
    f->metrics = mr_metrics_new();
    mr_assert(mr_net_new(f->loop, f->metrics, &f->net) == 0);
    mr_bytes_init(&f->server.got);
    mr_bytes_init(&f->client.got);
    (void)snprintf(f->directory, sizeof f->directory, "/tmp/millrace-net-XXXXXX");
    mr_assert(mkdtemp(f->directory) != NULL);
    return f;
}

static void on_accepted(struct mr_listener *listener, void *owner, struct mr_stream *stream)
{
    struct net_fixture *f = owner;

    (void)listener;
    f->accepted++;
    if (f->refuses) {
        mr_stream_close(stream, false);
        return;
    }
    net_end_open(&f->server, stream);
}

int net_fixture_listen(struct net_fixture *f, bool is_unix, const struct mr_listen_options *options)
{
    static const struct mr_listen_options plain = {.inherited_fd = -1};
    char text[100];
    int rc;

    (void)snprintf(text, sizeof text, "unix:%s/s", f->directory);
    rc = mr_address_parse(is_unix ? text : "127.0.0.1:0", 0, &f->address, NULL);
    mr_assert(rc == 0);
    rc = mr_net_listen(f->net, &f->address, options != NULL ? options : &plain, on_accepted, f,
                       &f->listener, NULL);
    if (rc == 0 && !is_unix) {
        f->address.port = mr_listener_port(f->listener);
    }
    return rc;
}

static void on_connected(void *owner, int rc, struct mr_stream *stream,
                         const struct mr_error *error)
{
    struct net_fixture *f = owner;

    f->connect_calls++;
    f->connect_rc = rc;
    if (rc != 0) {
        (void)snprintf(f->connect_error, sizeof f->connect_error, "%s", error->text);
        return;
    }
    net_end_open(&f->client, stream);
}

void net_fixture_dial(struct net_fixture *f, const struct mr_connect_options *options)
{
    static const struct mr_connect_options plain = {.timeout_ms = 600 * 1000};
    struct mr_connect *connect = NULL;
    int rc = mr_net_connect(f->net, &f->address, options != NULL ? options : &plain, on_connected,
                            f, &connect);

    mr_assert(rc == 0);
}

void net_fixture_connect(struct net_fixture *f, bool is_unix)
{
    int rc = net_fixture_listen(f, is_unix, NULL);
    bool is_connected;

    mr_assert(rc == 0);
    net_fixture_dial(f, NULL);
    is_connected = NET_UNTIL(f, f->client.stream != NULL && f->server.stream != NULL);
    mr_assert(is_connected);
}

void net_fixture_free(struct net_fixture *f)
{
    net_end_close(&f->client, false);
    net_end_close(&f->server, false);
    mr_bytes_done(&f->client.got);
    mr_bytes_done(&f->server.got);
    mr_listener_close(f->listener);
    mr_net_free(f->net);
    mr_metrics_free(f->metrics);
    mr_loop_turn(f->loop, 0);
    mr_loop_free(f->loop);
    (void)mr_disk_remove_tree(mr_disk_system(), f->directory, NULL);
    mr_free(f);
}
