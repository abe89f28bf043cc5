/* Records of every size, cut anywhere on their way: what is read ahead of one record is the
 * beginning of others, and none of it is lost or out of order. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/memory.h"
#include "base/core/random.h"
#include "base/net/tls.h"
#include "tests/lib/net_fixture.h"
#include "tests/lib/test.h"
#include "tests/lib/test_certs.h"

enum { RECORDS = 400, RECORD_SIZE = 16384, CUT_MAX = 40000, LONG_MS = 300000 };

/* A peer that speaks through memory, so that the test decides when which bytes go on their way. */
struct peer {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
    uint8_t cut[CUT_MAX]; /* on its way */
    size_t begin;
    size_t size;
};

static struct mr_tls_context *context_new(struct net_fixture *net)
{
    static const struct test_cert cert = {.subject = "hub", .names = "DNS:localhost"};
    char pem[300];
    char key[300];
    struct mr_tls_config config = {.name = "hub", .cert = pem, .key = key};
    struct mr_tls_context *context = NULL;
    struct mr_error error = {0};
    struct test_ca ca;

    test_ca_init(&ca, net->directory, "ca");
    (void)test_ca_issue(&ca, net->directory, "hub", &cert);
    test_ca_done(&ca);
    (void)snprintf(pem, sizeof pem, "%s/hub.pem", net->directory);
    (void)snprintf(key, sizeof key, "%s/hub.key", net->directory);
    CHECK_OK(mr_tls_context_new(&config, NULL, &context, &error), &error);
    return context;
}

static void peer_open(struct peer *peer, uint16_t port, int version)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    peer->ctx = SSL_CTX_new(TLS_client_method());
    CHECK(peer->ctx != NULL);
    CHECK_EQ(SSL_CTX_set_max_proto_version(peer->ctx, version), 1);
    peer->ssl = SSL_new(peer->ctx);
    CHECK(peer->ssl != NULL);
    SSL_set_bio(peer->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(peer->ssl);
    peer->fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect(peer->fd, (struct sockaddr *)(void *)&name, sizeof name), 0);
    (void)fcntl(peer->fd, F_SETFL, O_NONBLOCK);
}

static void peer_close(struct peer *peer)
{
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->ctx);
    (void)close(peer->fd);
}

/* One cut goes, what is there comes, the loop turns. Whether all has gone. */
static bool peer_turn(struct peer *peer, struct net_fixture *f, size_t cut_max)
{
    uint8_t data[4096];
    ssize_t rc;

    if (peer->begin == peer->size) {
        int got = BIO_read(SSL_get_wbio(peer->ssl), peer->cut, (int)cut_max);

        peer->begin = 0;
        peer->size = got > 0 ? (size_t)got : 0;
    }
    if (peer->begin < peer->size) {
        rc = send(peer->fd, peer->cut + peer->begin, peer->size - peer->begin, MSG_NOSIGNAL);
        CHECK(rc > 0 || errno == EAGAIN);
        peer->begin += rc > 0 ? (size_t)rc : 0;
    }
    rc = recv(peer->fd, data, sizeof data, 0);
    if (rc > 0) {
        CHECK_EQ(BIO_write(SSL_get_rbio(peer->ssl), data, (int)rc), rc);
    }
    mr_loop_turn(f->loop, 1);
    return peer->begin == peer->size && BIO_pending(SSL_get_wbio(peer->ssl)) == 0;
}

/* Heads and bodies as librdkafka has them, full ones, and what lies at the bounds of the
 * read-ahead. */
static size_t any_size(struct mr_random *random)
{
    static const size_t sizes[] = {1, 10, 1023, 4096, 8192, RECORD_SIZE};
    size_t size = sizes[mr_random_below(random, 6)];
    size_t less = mr_random_below(random, 40);

    return size > less ? size - less : size;
}

static void check_records(int version, struct mr_random *random)
{
    struct net_fixture *f = net_fixture_new();
    struct mr_tls_context *context = context_new(f);
    struct mr_listen_options options = {.tls = context, .handshake_timeout_ms = LONG_MS};
    uint8_t *data = mr_malloc((size_t)RECORDS * RECORD_SIZE);
    struct peer peer = {0};
    size_t size = 0;

    CHECK_EQ(net_fixture_listen(f, false, &options), 0);
    peer_open(&peer, f->address.port, version);
    CHECK(NET_UNTIL(f, peer_turn(&peer, f, 1 + mr_random_below(random, 100)) &&
                           SSL_do_handshake(peer.ssl) == 1 && f->server.stream != NULL));
    for (int i = 0; i < RECORDS; i++) {
        size_t more = any_size(random);

        for (size_t at = size; at < size + more; at++) {
            data[at] = (uint8_t)(at * 31 + (at >> 8) * 7);
        }
        CHECK_EQ(SSL_write(peer.ssl, data + size, (int)more), (int)more);
        size += more;
    }
    (void)SSL_shutdown(peer.ssl);
    CHECK(NET_UNTIL(
        f, peer_turn(
               &peer, f,
               1 + mr_random_below(random, mr_random_below(random, 3) == 0 ? 3000 : CUT_MAX - 1)) &&
               f->server.ended != 0));
    CHECK_EQ(f->server.ended, MR_EOF);
    CHECK_EQ(f->server.got.size_bytes, size);
    CHECK_MEM(f->server.got.data, data, size);
    peer_close(&peer);
    mr_free(data);
    net_fixture_free(f);
    mr_tls_context_free(context);
}

TEST(tls_records, arrive_however_they_are_cut)
{
    struct mr_random_seeded random;

    mr_random_seeded_init(&random, test_seed());
    check_records(TLS1_3_VERSION, &random.base);
    check_records(TLS1_2_VERSION, &random.base);
}
