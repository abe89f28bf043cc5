/* Every allocation of the network fails once: what began gets its outcome, nothing leaks (the
 * sanitizer's part), and the next connection works. Over a Unix socket, so that no worker allocates
 * meanwhile. */
#include <stdio.h>
#include <string.h>

#include "base/core/memory.h"
#include "base/net/http_server.h"
#include "base/net/net_internal.h"
#include "base/net/tls.h"
#include "tests/lib/fault.h"
#include "tests/lib/net_fixture.h"
#include "tests/lib/test.h"
#include "tests/lib/test_certs.h"

enum { LONG_MS = 300000 }; /* no test waits for it */

struct outcome {
    int calls;
    struct mr_stream *stream;
    int accepted;
    struct mr_stream *served;
    int sent;
    int ended;
};

static void on_readable(struct mr_stream *stream, void *owner)
{
    struct outcome *outcome = owner;
    char data[64];
    ssize_t rc = mr_stream_read(stream, data, sizeof data);

    if (rc != MR_EAGAIN) {
        outcome->ended = 1; /* bytes, the end, or a failure: the wait is over */
        mr_stream_pause(stream, true);
    }
}

static void on_failed(struct mr_stream *stream, void *owner, int code)
{
    (void)stream;
    CHECK(code < 0);
    ((struct outcome *)owner)->ended = 1;
}

static const struct mr_stream_events events = {.on_readable = on_readable, .on_failed = on_failed};

static void on_accepted(struct mr_listener *listener, void *owner, struct mr_stream *stream)
{
    struct outcome *outcome = owner;

    (void)listener;
    if (outcome->served != NULL) {
        mr_stream_close(outcome->served, false);
    }
    outcome->accepted++;
    outcome->served = stream;
    mr_stream_set_events(stream, &events, outcome);
}

static void on_connected(void *owner, int rc, struct mr_stream *stream,
                         const struct mr_error *error)
{
    struct outcome *outcome = owner;

    outcome->calls++;
    if (rc == 0) {
        outcome->stream = stream;
        mr_stream_set_events(stream, &events, outcome);
    } else {
        CHECK(error->text[0] != '\0');
    }
}

static void on_sent(struct mr_stream_piece *piece, int rc)
{
    (void)rc;
    ((struct outcome *)piece->owner)->sent++;
}

static void close_all(struct outcome *outcome)
{
    if (outcome->stream != NULL) {
        mr_stream_close(outcome->stream, false);
    }
    if (outcome->served != NULL) {
        mr_stream_close(outcome->served, false);
    }
    *outcome = (struct outcome){0};
}

/* Listens, connects, sends. Returns whether the bytes arrived. A side that lost its memory may
 * leave the other waiting, which ends after timeout_ms. */
static bool run_once(struct net_fixture *f, struct outcome *outcome, struct mr_tls_context *server,
                     struct mr_tls_context *client, int64_t timeout_ms)
{
    struct mr_listen_options listen = {.tls = server, .handshake_timeout_ms = timeout_ms};
    struct mr_connect_options options = {
        .timeout_ms = 2 * timeout_ms, .tls = client, .server_name = "localhost"};
    struct mr_stream_piece piece = {.slice = {.data = (const uint8_t *)"hello", .size_bytes = 5},
                                    .sent = on_sent,
                                    .owner = outcome};
    struct mr_listener *listener = NULL;
    struct mr_connect *connect = NULL;
    struct mr_error error = {0};
    bool has_arrived = false;

    if (mr_net_listen(f->net, &f->address, &listen, on_accepted, outcome, &listener, &error) != 0) {
        CHECK(error.text[0] != '\0');
        return false;
    }
    if (mr_net_connect(f->net, &f->address, &options, on_connected, outcome, &connect) == 0) {
        CHECK(NET_UNTIL(f, outcome->calls > 0));
        CHECK_EQ(outcome->calls, 1);
        if (outcome->stream != NULL && mr_stream_send(outcome->stream, &piece) == 0) {
            CHECK(NET_UNTIL(f, outcome->ended != 0));
            has_arrived = outcome->sent == 1;
        }
    }
    mr_listener_close(listener);
    close_all(outcome);
    return has_arrived;
}

static void sweep(struct net_fixture *f, struct mr_tls_context *server,
                  struct mr_tls_context *client)
{
    struct outcome outcome = {0};
    char text[100];

    (void)snprintf(text, sizeof text, "unix:%s/s", f->directory);
    CHECK_EQ(mr_address_parse(text, 0, &f->address, NULL), 0);
    CHECK(run_once(f, &outcome, server, client, LONG_MS)); /* warms what stays */
    for (int nth = 1;; nth++) {
        struct fault fault = {0};

        CHECK(nth < 500);
        fault_set(&fault, nth, MR_ENOMEM);
        fault_heap(&fault);
        (void)run_once(f, &outcome, server, client, 100);
        fault_heap_off();
        CHECK(run_once(f, &outcome, server, client, LONG_MS));
        if (!fault_fired(&fault)) {
            CHECK(nth > 3); /* it did count */
            break;
        }
    }
}

TEST(net_faults, survives_failing_allocations)
{
    struct net_fixture *f = net_fixture_new();

    sweep(f, NULL, NULL);
    net_fixture_free(f);
}

TEST(net_faults, survives_failing_allocations_under_tls)
{
    struct test_cert cert = {.subject = "x", .names = "DNS:localhost"};
    struct net_fixture *f = net_fixture_new();
    struct mr_tls_context *server = NULL;
    struct mr_tls_context *client = NULL;
    char paths[3][100];
    struct mr_tls_config config = {.cert = paths[0], .key = paths[1], .ca = paths[2]};
    struct test_ca ca;

    test_ca_init(&ca, f->directory, "ca");
    (void)test_ca_issue(&ca, f->directory, "x", &cert);
    (void)snprintf(paths[0], sizeof paths[0], "%s/x.pem", f->directory);
    (void)snprintf(paths[1], sizeof paths[1], "%s/x.key", f->directory);
    (void)snprintf(paths[2], sizeof paths[2], "%s/ca.pem", f->directory);
    for (int nth = 1;; nth++) { /* contexts first */
        struct fault fault = {0};
        int rc;

        fault_set(&fault, nth, MR_ENOMEM);
        fault_heap(&fault);
        rc = mr_tls_context_new(&config, f->metrics, &server, NULL);
        fault_heap_off();
        if (!fault_fired(&fault)) {
            CHECK_EQ(rc, 0);
            break;
        }
        if (rc == 0) { /* only metrics may be missing */
            mr_tls_context_free(server);
        }
    }
    CHECK_EQ(mr_tls_context_new(&config, NULL, &client, NULL), 0);
    f->net->handshakes_inline = true;
    sweep(f, server, client);
    net_fixture_free(f);
    mr_tls_context_free(server);
    mr_tls_context_free(client);
    test_ca_done(&ca);
}

static void handle(struct mr_http_exchange *exchange, void *owner)
{
    (void)owner;
    mr_http_respond_text(exchange, 200, "hello %s", mr_http_param(exchange, 0));
}

/* A request that meets a failing allocation is answered with an error, or its connection ends. */
TEST(net_faults, survives_failing_allocations_of_requests)
{
    static const struct mr_http_route routes[] = {
        {.method = "POST", .path = "/{a}", .handler = handle, .body_size_bytes_max = 10}, {0}};
    static const char request[] =
        "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        "POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
    struct net_fixture *f = net_fixture_new();
    struct mr_http_config config = {.loop = f->loop, .net = f->net};
    struct mr_listen_options listen = {0};
    struct mr_http_server *server = NULL;
    char text[100];

    (void)snprintf(text, sizeof text, "unix:%s/s", f->directory);
    CHECK_EQ(mr_address_parse(text, 0, &f->address, NULL), 0);
    CHECK_EQ(mr_http_server_new(&config, routes, &server), 0);
    CHECK_EQ(mr_http_server_listen(server, &f->address, &listen, NULL, NULL), 0);
    for (int nth = 1;; nth++) {
        struct mr_stream_piece piece = {
            .slice = {.data = (const uint8_t *)request, .size_bytes = sizeof request - 1}};
        struct fault fault = {0};
        int calls = f->connect_calls;

        CHECK(nth < 500);
        net_fixture_dial(f, NULL);
        CHECK(NET_UNTIL(f, f->connect_calls > calls));
        CHECK_EQ(mr_stream_send(f->client.stream, &piece), 0);
        f->client.discards = true; /* our own side allocates nothing */
        fault_set(&fault, nth, MR_ENOMEM);
        fault_heap(&fault);
        CHECK(NET_UNTIL(f, f->client.ended != 0));
        fault_heap_off();
        f->client.discards = false;
        net_end_close(&f->client, false);
        if (!fault_fired(&fault)) {
            break;
        }
    }
    mr_http_server_free(server);
    net_fixture_free(f);
}
