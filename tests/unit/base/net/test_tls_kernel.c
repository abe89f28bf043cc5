/* Kernel TLS, where this kernel has it; where not, that everything works without. test_tls.c runs
 * over it as well then. */
#include <openssl/ssl.h>

#include "base/core/disk.h"
#include "base/core/metric.h"
#include "base/net/net_internal.h"
#include "base/net/tls.h"
#include "base/net/tls_stream.h"
#include "tests/lib/net_fixture.h"
#include "tests/lib/test.h"
#include "tests/lib/test_certs.h"

enum { LONG_MS = 300000 }; /* no test waits for it */

struct pair {
    struct net_fixture *net;
    struct mr_tls_context *server;
    struct mr_tls_context *client;
};

static struct mr_tls_context *context_new(struct net_fixture *net, const char *cert)
{
    char ca[300];
    char pem[300];
    char key[300];
    struct mr_tls_config config = {.name = cert, .ca = ca};
    struct mr_tls_context *context = NULL;
    struct mr_error error = {0};

    (void)snprintf(ca, sizeof ca, "%s/ca.pem", net->directory);
    (void)snprintf(pem, sizeof pem, "%s/hub.pem", net->directory);
    (void)snprintf(key, sizeof key, "%s/hub.key", net->directory);
    if (cert != NULL) {
        config.cert = pem;
        config.key = key;
    }
    CHECK_OK(mr_tls_context_new(&config, NULL, &context, &error), &error);
    return context;
}

static struct pair pair_new(bool is_unix)
{
    static const struct test_cert cert = {.subject = "hub", .names = "DNS:localhost"};
    struct pair f = {.net = net_fixture_new()};
    struct mr_listen_options listen = {.handshake_timeout_ms = LONG_MS};
    struct mr_connect_options connect = {.timeout_ms = LONG_MS, .server_name = "localhost"};
    struct test_ca ca;

    test_ca_init(&ca, f.net->directory, "ca");
    (void)test_ca_issue(&ca, f.net->directory, "hub", &cert);
    test_ca_done(&ca);
    f.server = context_new(f.net, "hub");
    f.client = context_new(f.net, NULL);
    listen.tls = f.server;
    connect.tls = f.client;
    CHECK_EQ(net_fixture_listen(f.net, is_unix, &listen), 0);
    net_fixture_dial(f.net, &connect);
    CHECK(NET_UNTIL(f.net, f.net->connect_calls > 0));
    CHECK_EQ(f.net->connect_rc, 0);
    CHECK(NET_UNTIL(f.net, f.net->server.stream != NULL));
    return f;
}

static void pair_free(struct pair *f)
{
    net_fixture_free(f->net);
    mr_tls_context_free(f->client);
    mr_tls_context_free(f->server);
}

static bool is_kernel(const struct net_end *end)
{
    return tls_bio_is_kernel(mr_container(end->stream, struct tls_stream, stream));
}

/* piece lives until it has arrived. */
static void say_hello(struct net_end *from, struct mr_stream_piece *piece)
{
    *piece = (struct mr_stream_piece){.slice = {.data = (const uint8_t *)"hello", .size_bytes = 5}};
    CHECK_EQ(mr_stream_send(from->stream, piece), 0);
}

/* The far side need not know. (tests/interop/kernel_tls sees to it that it is used: a kernel may
 * have TLS and not the cipher.) */
TEST(tls_kernel, is_used_only_where_it_is_there)
{
    struct pair f = pair_new(false);
    int64_t count = f.net->net->metrics->values[NET_TLS_KERNEL];
    struct mr_stream_piece piece;

    CHECK(count == 0 || tls_kernel_is_there());
    CHECK_EQ(count, is_kernel(&f.net->client) + is_kernel(&f.net->server));
    say_hello(&f.net->client, &piece);
    CHECK(NET_UNTIL(f.net, f.net->server.got_bytes == 5));
    pair_free(&f);
}

/* The kernel has TLS over TCP only: over Unix sockets it is OpenSSL that encrypts, as ever. */
TEST(tls_kernel, is_not_needed)
{
    struct pair f = pair_new(true);
    struct mr_stream_piece piece;

    CHECK_EQ(f.net->net->metrics->values[NET_TLS_KERNEL], 0);
    say_hello(&f.net->client, &piece);
    CHECK(NET_UNTIL(f.net, f.net->server.got_bytes == 5));
    pair_free(&f);
}

/* A peer that wants us to change our keys gets new ones, or is told that it cannot have them; never
 * data that it cannot read. */
TEST(tls_kernel, knows_what_it_cannot_do)
{
    struct pair f = pair_new(false);
    struct tls_stream *client = mr_container(f.net->client.stream, struct tls_stream, stream);
    struct mr_stream_piece piece;

    CHECK_EQ(SSL_key_update(client->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    /* Says so to the server; OpenSSL 3.5 fails then where it cannot give the kernel the new key. */
    CHECK(SSL_do_handshake(client->ssl) == 1 || tls_kernel_is_there());
    CHECK_EQ(tls_stream_flush(client), 0);
    if (is_kernel(&f.net->server)) {
        CHECK(NET_UNTIL(f.net, f.net->server.ended != 0));
        CHECK_EQ(f.net->server.ended, MR_ENETWORK);
        CHECK_HAS(mr_stream_failure(f.net->server.stream), "asks for new keys");
    } else {
        say_hello(&f.net->client, &piece);
        CHECK(NET_UNTIL(f.net, f.net->server.got_bytes == 5));
        say_hello(&f.net->server, &piece);
        CHECK(NET_UNTIL(f.net, f.net->client.got_bytes == 5));
    }
    pair_free(&f);
}
