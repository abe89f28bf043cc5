/* TLS over real sockets: both sides ours, and openssl and Python as foreign clients; every refusal
 * with the words that tell why; resumption, reload, half-open handshakes. */
#include "base/net/tls.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/disk.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/net/net_internal.h"
#include "base/net/tls_internal.h"
#include "base/net/tls_tickets.h"
#include "tests/lib/net_fixture.h"
#include "tests/lib/test.h"
#include "tests/lib/test_certs.h"
#include "tests/lib/test_clock.h"

enum { LONG_MS = 10 * 60 * 1000 }; /* where no bound of time is looked at */

static const struct test_cert local_cert = {.subject = "hub-1",
                                            .names = "DNS:localhost,IP:127.0.0.1"};

struct tls_fixture {
    struct net_fixture *net;
    struct test_ca ca;
    struct test_ca other; /* whom nobody trusts */
    struct mr_tls_context *server;
    struct mr_tls_context *client;
    struct mr_error error;
    char paths[8][300]; /* of path(), in turn */
    int path_next;
};

static const char *path(struct tls_fixture *f, const char *name)
{
    char *text = f->paths[f->path_next++ % 8];

    (void)snprintf(text, sizeof f->paths[0], "%s/%s", f->net->directory, name);
    return text;
}

static struct mr_tls_config config_of(struct tls_fixture *f, const char *name)
{
    struct mr_tls_config config = {.name = name, .ca = path(f, "ca.pem")};
    char file[64];

    if (name != NULL) {
        (void)snprintf(file, sizeof file, "%s.pem", name);
        config.cert = path(f, file);
        (void)snprintf(file, sizeof file, "%s.key", name);
        config.key = path(f, file);
    }
    return config;
}

/* A CA, a certificate "hub" for localhost, "edge" without names. No contexts yet. */
static struct tls_fixture *fixture_new_at(struct mr_clock *clock)
{
    struct test_cert edge = {.subject = "edge-1", .names = "DNS:edge-1,URI:spiffe://x/edge"};
    struct tls_fixture *f = mr_calloc(1, sizeof *f);

    f->net = net_fixture_new_at(clock);
    test_ca_init(&f->ca, f->net->directory, "ca");
    test_ca_init(&f->other, f->net->directory, "other");
    (void)test_ca_issue(&f->ca, f->net->directory, "hub", &local_cert);
    (void)test_ca_issue(&f->ca, f->net->directory, "edge", &edge);
    return f;
}

static struct tls_fixture *fixture_new(void)
{
    return fixture_new_at(mr_clock_system());
}

static void fixture_free(struct tls_fixture *f)
{
    net_fixture_free(f->net);
    mr_tls_context_free(f->server);
    mr_tls_context_free(f->client);
    test_ca_done(&f->ca);
    test_ca_done(&f->other);
    mr_free(f);
}

static void listen_with(struct tls_fixture *f, struct mr_tls_config config, bool is_unix)
{
    struct mr_listen_options options = {.handshake_timeout_ms = LONG_MS, .handshakes_max = 500};

    CHECK_OK(mr_tls_context_new(&config, f->net->metrics, &f->server, &f->error), &f->error);
    options.tls = f->server;
    CHECK_EQ(net_fixture_listen(f->net, is_unix, &options), 0);
}

static void connect_with(struct tls_fixture *f, struct mr_tls_config config,
                         const char *server_name)
{
    struct mr_connect_options options = {.timeout_ms = LONG_MS, .server_name = server_name};
    int calls = f->net->connect_calls;

    if (f->client == NULL) {
        CHECK_OK(mr_tls_context_new(&config, NULL, &f->client, &f->error), &f->error);
    }
    options.tls = f->client;
    f->net->connect_error[0] = '\0';
    net_fixture_dial(f->net, &options);
    CHECK(NET_UNTIL(f->net, f->net->connect_calls > calls));
}

static void forget_client(struct tls_fixture *f)
{
    net_end_close(&f->net->client, false);
    mr_tls_context_free(f->client);
    f->client = NULL;
}

/* The usual pair. */
static void connect_both(struct tls_fixture *f, bool is_unix)
{
    listen_with(f, config_of(f, "hub"), is_unix);
    connect_with(f, config_of(f, NULL), "localhost");
    CHECK_EQ(f->net->connect_rc, 0);
    CHECK(NET_UNTIL(f->net, f->net->server.stream != NULL));
}

struct counted {
    struct mr_stream_piece piece;
    int calls;
    int rc;
};

static void on_sent(struct mr_stream_piece *piece, int rc)
{
    struct counted *counted = mr_container(piece, struct counted, piece);

    counted->calls++;
    counted->rc = rc;
}

static struct counted memory_piece(const void *data, size_t size)
{
    return (struct counted){
        .piece = {.slice = {.data = data, .size_bytes = size}, .sent = on_sent}};
}

/* Small pieces, large ones and file ranges arrive whole and in order, on TCP and on Unix sockets,
 * also when the reader is slow, and a close in good order loses nothing. */
static void check_order(bool is_unix)
{
    struct tls_fixture *f = fixture_new();
    size_t size = 5 << 20;
    uint8_t *data = mr_malloc(size);
    struct counted pieces[40];
    struct counted file = {
        .piece = {
            .disk = mr_disk_system(), .position = 11, .size_bytes = 3000000, .sent = on_sent}};
    struct counted whole = memory_piece(data, size);
    int fd = -1;

    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(i * 31 + (i >> 8) * 7);
    }
    connect_both(f, is_unix);
    CHECK_EQ(
        mr_disk_open(mr_disk_system(), path(f, "data"), MR_DISK_WRITE | MR_DISK_CREATE, &fd, NULL),
        0);
    CHECK_EQ(mr_disk_pwrite(mr_disk_system(), fd, data, size, 0), 0);
    file.piece.fd = fd;
    f->net->server.reads_nothing = true;
    for (size_t i = 0; i < 40; i++) {
        pieces[i] = memory_piece(data + i * 1000, i == 7 ? 0 : 1000);
        CHECK_EQ(mr_stream_send(f->net->client.stream, &pieces[i].piece), 0);
    }
    CHECK_EQ(mr_stream_send(f->net->client.stream, &file.piece), 0);
    CHECK_EQ(mr_stream_send(f->net->client.stream, &whole.piece), 0);
    for (int i = 0; i < 100; i++) {
        mr_loop_turn(f->net->loop, 1);
    }
    CHECK_EQ(whole.calls, 0); /* it does not fit into buffers of the kernel */
    f->net->server.reads_nothing = false;
    mr_stream_pause(f->net->server.stream, false);
    CHECK(NET_UNTIL(f->net, whole.calls == 1));
    net_end_close(&f->net->client, false);
    CHECK(NET_UNTIL(f->net, f->net->server.ended != 0));
    CHECK_EQ(f->net->server.ended, MR_EOF);
    CHECK_EQ(f->net->server.got_bytes, 39000 + 3000000 + (int64_t)size);
    CHECK_EQ(file.calls, 1);
    CHECK_MEM(f->net->server.got.data, data, 7000);
    CHECK_MEM(f->net->server.got.data + 7000, data + 8000, 32000);
    CHECK_MEM(f->net->server.got.data + 39000, data + 11, 3000000);
    CHECK_MEM(f->net->server.got.data + 3039000, data, size);
    (void)close(fd);
    mr_free(data);
    fixture_free(f);
}

TEST(tls, keeps_the_order_of_memory_and_file_ranges)
{
    check_order(false);
    check_order(true);
}

TEST(tls, is_modern_and_tells_who_is_there)
{
    struct tls_fixture *f = fixture_new();
    struct mr_tls_config config = config_of(f, "hub");
    char text[256];

    config.clients = MR_TLS_CLIENTS_REQUIRED;
    listen_with(f, config, false);
    connect_with(f, config_of(f, "edge"), NULL); /* the host is 127.0.0.1: an IP name */
    CHECK_EQ(f->net->connect_rc, 0);
    CHECK(NET_UNTIL(f->net, f->net->server.stream != NULL));
    CHECK(mr_stream_is_tls(f->net->server.stream));
    CHECK_HAS(mr_stream_tls_name(f->net->client.stream), "TLSv1.3 TLS_");
    CHECK_EQ(mr_stream_tls_subject(f->net->server.stream, text, sizeof text), 0);
    CHECK_STR(text, "CN=edge-1");
    CHECK_EQ(mr_stream_tls_alternative(f->net->server.stream, 0, text, sizeof text), 0);
    CHECK_STR(text, "DNS:edge-1");
    CHECK_EQ(mr_stream_tls_alternative(f->net->server.stream, 1, text, sizeof text), 0);
    CHECK_STR(text, "URI:spiffe://x/edge");
    CHECK_EQ(mr_stream_tls_alternative(f->net->server.stream, 2, text, sizeof text), MR_ENOENT);
    CHECK_EQ(mr_stream_tls_alternative(f->net->client.stream, 1, text, sizeof text), 0);
    CHECK_STR(text, "IP:127.0.0.1");
    CHECK_EQ(mr_stream_tls_subject(f->net->server.stream, text, 5), MR_ETOOLARGE);
    fixture_free(f);
}

/* One refusal: how the server is set up, what the client must hear. */
static void check_refused(struct tls_fixture *f, const char *server, const char *server_name,
                          const char *words)
{
    listen_with(f, config_of(f, server), false);
    connect_with(f, config_of(f, NULL), server_name);
    CHECK_EQ(f->net->connect_rc, MR_EAUTH);
    CHECK_HAS(f->net->connect_error, words);
    CHECK_HAS(f->net->connect_error, "connect to 127.0.0.1:");
    CHECK_EQ(f->net->accepted, 0);
    fixture_free(f);
}

TEST(tls, refuses_servers_and_says_why)
{
    struct test_cert cert = local_cert;
    struct tls_fixture *f = fixture_new();

    check_refused(f, "hub", "hub-2", "is not for 'hub-2' but for DNS:localhost, IP:127.0.0.1");
    f = fixture_new();
    check_refused(f, "hub", "127.0.0.2", "is not for '127.0.0.2'");
    f = fixture_new();
    (void)test_ca_issue(&f->other, f->net->directory, "stranger", &cert);
    check_refused(f, "stranger", "localhost", "unable to get local issuer certificate");
    f = fixture_new();
    cert.ends_s = -10;
    (void)test_ca_issue(&f->ca, f->net->directory, "old", &cert);
    check_refused(f, "old", "localhost", "(CN=hub-1) is refused: certificate has expired");
    f = fixture_new();
    cert = (struct test_cert){
        .subject = "soon", .names = "DNS:localhost", .begins_s = 3600, .ends_s = 7200};
    (void)test_ca_issue(&f->ca, f->net->directory, "soon", &cert);
    check_refused(f, "soon", "localhost", "not yet valid");
    f = fixture_new();
    cert = (struct test_cert){.subject = "localhost"};
    (void)test_ca_issue(&f->ca, f->net->directory, "bare", &cert);
    check_refused(f, "bare", "localhost", "for no name at all");
}

TEST(tls, refuses_revoked_certificates)
{
    struct tls_fixture *f = fixture_new();
    struct mr_tls_config config = config_of(f, NULL);
    long serial = test_ca_issue(&f->ca, f->net->directory, "lost", &local_cert);

    test_ca_revoke(&f->ca, f->net->directory, "ca", serial);
    config.crl = path(f, "ca.crl");
    listen_with(f, config_of(f, "lost"), false);
    connect_with(f, config, "localhost");
    CHECK_EQ(f->net->connect_rc, MR_EAUTH);
    CHECK_HAS(f->net->connect_error, "revoked");
    fixture_free(f);
}

TEST(tls, skips_checks_only_when_told)
{
    struct tls_fixture *f = fixture_new();
    struct mr_tls_config config = config_of(f, NULL);

    config.skips_names = true;
    listen_with(f, config_of(f, "hub"), false);
    connect_with(f, config, "hub-2");
    CHECK_EQ(f->net->connect_rc, 0);
    forget_client(f);
    config = (struct mr_tls_config){.skips_verification = true};
    connect_with(f, config, "hub-2");
    CHECK_EQ(f->net->connect_rc, 0);
    forget_client(f);
    config = (struct mr_tls_config){0}; /* the system does not know our CA */
    connect_with(f, config, "localhost");
    CHECK_EQ(f->net->connect_rc, MR_EAUTH);
    fixture_free(f);
}

/* With TLS 1.3 the client is through before the server has looked at its certificate: it learns of
 * the refusal when it reads, with words. */
TEST(tls, refuses_clients_and_says_why)
{
    static const char *const clients[] = {NULL, "stranger"};
    static const char *const words[] = {"certificate required", "unknown ca"};

    for (int i = 0; i < 2; i++) {
        struct tls_fixture *f = fixture_new();
        struct mr_tls_config config = config_of(f, "hub");

        (void)test_ca_issue(&f->other, f->net->directory, "stranger", &local_cert);
        config.clients = MR_TLS_CLIENTS_REQUIRED;
        listen_with(f, config, false);
        connect_with(f, config_of(f, clients[i]), "localhost");
        if (f->net->connect_rc == 0) {
            CHECK(NET_UNTIL(f->net, f->net->client.ended != 0));
            CHECK_EQ(f->net->client.ended, MR_EAUTH);
            CHECK_HAS(mr_stream_failure(f->net->client.stream), words[i]);
        } else {
            CHECK_EQ(f->net->connect_rc, MR_EAUTH);
            CHECK_HAS(f->net->connect_error, words[i]);
        }
        CHECK_EQ(f->net->accepted, 0);
        fixture_free(f);
    }
}

TEST(tls, lets_clients_go_without_a_certificate_where_it_is_optional)
{
    struct tls_fixture *f = fixture_new();
    struct mr_tls_config config = config_of(f, "hub");
    char text[64];

    config.clients = MR_TLS_CLIENTS_OPTIONAL;
    listen_with(f, config, false);
    connect_with(f, config_of(f, NULL), "localhost");
    CHECK_EQ(f->net->connect_rc, 0);
    CHECK(NET_UNTIL(f->net, f->net->server.stream != NULL));
    CHECK_EQ(mr_stream_tls_subject(f->net->server.stream, text, sizeof text), MR_ENOENT);
    fixture_free(f);
}

static int load(struct tls_fixture *f, const char *cert, const char *key, const char *ca,
                const char *words)
{
    struct mr_tls_config config = {.cert = cert, .key = key, .ca = ca};
    struct mr_tls_context *context = NULL;
    int rc = mr_tls_context_new(&config, NULL, &context, &f->error);

    if (rc != 0) {
        CHECK_HAS(f->error.text, words);
    }
    mr_tls_context_free(context);
    return rc;
}

static void write_text(struct tls_fixture *f, const char *name, const char *text)
{
    CHECK_EQ(mr_disk_write_file(mr_disk_system(), path(f, name), text, strlen(text), NULL), 0);
}

TEST(tls, refuses_files_and_says_why)
{
    struct tls_fixture *f = fixture_new();

    write_text(f, "junk", "not a certificate\n");
    write_text(f, "locked.key",
               "-----BEGIN ENCRYPTED PRIVATE "
               "KEY-----\nMIH0MF8GCSqGSIb3DQEFDTBSMDEGCSqGSIb3DQEFDDAkBBC5\n-----END ENCRYPTED "
               "PRIVATE KEY-----\n");
    CHECK_EQ(load(f, path(f, "hub.pem"), path(f, "hub.key"), NULL, ""), 0);
    CHECK_EQ(load(f, path(f, "none.pem"), path(f, "hub.key"), NULL, "none.pem"), MR_ENOENT);
    CHECK_EQ(load(f, path(f, "junk"), path(f, "hub.key"), NULL, "junk': no certificate"),
             MR_ECONFIG);
    CHECK_EQ(load(f, path(f, "hub.pem"), path(f, "junk"), NULL, "junk': no private key"),
             MR_ECONFIG);
    CHECK_EQ(load(f, path(f, "hub.pem"), path(f, "edge.key"), NULL, "does not belong to"),
             MR_ECONFIG);
    CHECK_EQ(load(f, path(f, "hub.pem"), path(f, "hub.key"), path(f, "junk"), "junk': no cert"),
             MR_ECONFIG);
    CHECK_EQ(load(f, path(f, "hub.pem"), NULL, NULL, "together"), MR_ECONFIG);
    CHECK_EQ(load(f, path(f, "hub.pem"), path(f, "locked.key"), NULL, "locked.key"), MR_ECONFIG);
    fixture_free(f);
}

/* Connects once more; both sides are ours, so each resumption counts twice. */
static int64_t connect_again(struct tls_fixture *f, int accepted)
{
    struct counted piece = memory_piece("hello", 5);

    connect_with(f, config_of(f, NULL), "localhost");
    CHECK_EQ(f->net->connect_rc, 0);
    CHECK(NET_UNTIL(f->net, f->net->accepted == accepted));
    CHECK_EQ(mr_stream_send(f->net->server.stream, &piece.piece), 0);
    CHECK(NET_UNTIL(f->net, f->net->client.got_bytes == 5)); /* behind the tickets */
    return f->net->net->metrics->values[NET_TLS_RESUMED];
}

/* A renewed certificate does not end sessions; another trust does. */
TEST(tls, resumes_sessions)
{
    struct test_cert renewed = {.subject = "renewed", .names = "DNS:localhost"};
    struct tls_fixture *f = fixture_new();
    char *text = NULL;
    char *more;
    size_t size = 0;

    listen_with(f, config_of(f, "hub"), false);
    CHECK_EQ(connect_again(f, 1), 0);
    CHECK_EQ(connect_again(f, 2), 2);
    (void)test_ca_issue(&f->ca, f->net->directory, "hub", &renewed);
    CHECK_EQ(mr_tls_context_reload(f->server, NULL), 0);
    CHECK_EQ(connect_again(f, 3), 4);
    CHECK_EQ(mr_disk_read_file(mr_disk_system(), path(f, "ca.pem"), 10000, &text, &size, NULL), 0);
    more = mr_asprintf("%s\n# another\n", text);
    write_text(f, "ca.pem", more);
    mr_free(more);
    CHECK_EQ(mr_tls_context_reload(f->server, NULL), 0);
    CHECK_EQ(connect_again(f, 4), 4);
    CHECK_EQ(connect_again(f, 5), 6);
    mr_free(text);
    fixture_free(f);
}

/* A key makes tickets for an hour, and reads them for another. */
TEST(tls, knows_its_tickets)
{
    struct tls_tickets tickets;
    unsigned char name[16];
    unsigned char first[16];
    unsigned char iv[16];
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);

    tls_tickets_init(&tickets);
    CHECK_EQ(tls_tickets_key(&tickets, first, iv, cipher, mac, 0), 0); /* none was given */
    CHECK_EQ(tls_tickets_key(&tickets, first, iv, cipher, mac, 1), 1);
    CHECK_EQ(tls_tickets_key(&tickets, first, iv, cipher, mac, 0), 1);
    tickets.keys[0].made_ms -= 3600 * 1000;
    CHECK_EQ(tls_tickets_key(&tickets, name, iv, cipher, mac, 1), 1);
    CHECK(memcmp(name, first, sizeof name) != 0);
    CHECK_EQ(tls_tickets_key(&tickets, first, iv, cipher, mac, 0), 2); /* and a new one is given */
    tickets.keys[1].made_ms -= 3600 * 1000;
    CHECK_EQ(tls_tickets_key(&tickets, first, iv, cipher, mac, 0), 0);
    CHECK_EQ(tls_tickets_key(&tickets, name, iv, cipher, mac, 0), 1);
    tls_tickets_forget(&tickets);
    CHECK_EQ(tls_tickets_key(&tickets, name, iv, cipher, mac, 0), 0);
    tls_tickets_done(&tickets);
    EVP_MAC_CTX_free(mac);
    EVP_MAC_free(hmac);
    EVP_CIPHER_CTX_free(cipher);
}

/* A new pair is shown to the next handshake while old connections go on; a bad pair changes
 * nothing. */
TEST(tls, reloads_certificates)
{
    struct test_cert renewed = {.subject = "renewed", .names = "DNS:localhost", .ends_s = 7200};
    struct tls_fixture *f = fixture_new();
    struct counted piece = memory_piece("still here", 10);
    struct mr_bytes page;
    char text[64];

    connect_both(f, false);
    CHECK_EQ(mr_stream_send(f->net->server.stream, &piece.piece), 0);
    CHECK(NET_UNTIL(f->net, f->net->client.got_bytes == 10));
    write_text(f, "hub.key", "rubbish");
    CHECK_EQ(mr_tls_context_reload(f->server, &f->error), MR_ECONFIG);
    CHECK_HAS(f->error.text, "hub.key");
    connect_with(f, config_of(f, NULL), "localhost");
    CHECK_EQ(f->net->connect_rc, 0);
    CHECK_EQ(mr_stream_tls_subject(f->net->client.stream, text, sizeof text), 0);
    CHECK_STR(text, "CN=hub-1");

    (void)test_ca_issue(&f->ca, f->net->directory, "hub", &renewed);
    CHECK_EQ(mr_tls_context_reload(f->server, &f->error), 0);
    CHECK_EQ(mr_tls_context_reload(f->client, &f->error), 0); /* it resumes nothing */
    piece = memory_piece("still here", 10);
    CHECK_EQ(mr_stream_send(f->net->client.stream, &piece.piece), 0);
    CHECK(NET_UNTIL(f->net, f->net->server.got_bytes == 10));
    connect_with(f, config_of(f, NULL), "localhost");
    CHECK_EQ(f->net->connect_rc, 0);
    CHECK_EQ(mr_stream_tls_subject(f->net->client.stream, text, sizeof text), 0);
    CHECK_STR(text, "CN=renewed");
    mr_bytes_init(&page);
    mr_metrics_render(f->net->metrics, &page);
    mr_bytes_append(&page, "", 1);
    CHECK_HAS((const char *)page.data, "millrace_tls_reloads_total{context=\"hub\"} 1");
    CHECK_HAS((const char *)page.data, "millrace_tls_reload_failures_total{context=\"hub\"} 1");
    mr_bytes_done(&page);
    fixture_free(f);
}

/* Files that change are taken without being asked for; what cannot be used is tried until it can.
 */
TEST(tls, watches_files)
{
    struct test_cert renewed = {.subject = "renewed", .names = "DNS:localhost", .ends_s = 7200};
    struct tls_fixture *f = fixture_new();
    const struct tls_watched *watched;

    listen_with(f, config_of(f, "hub"), false);
    watched = tls_context_watched(f->server);
    mr_tls_watch(f->net->net, f->server);
    CHECK_EQ(mr_tls_watch_every(f->net->net, 5), 0);
    CHECK_EQ(mr_tls_watch_health(f->net->net, &f->error), 0);
    write_text(f, "hub.key", "rubbish");
    CHECK(NET_UNTIL(f->net, watched->reason[0] != '\0'));
    CHECK_EQ(mr_tls_watch_health(f->net->net, &f->error), MR_ECONFIG);
    CHECK_HAS(f->error.text, "hub.key");
    (void)test_ca_issue(&f->ca, f->net->directory, "hub", &renewed);
    CHECK(NET_UNTIL(f->net, watched->reason[0] == '\0'));
    CHECK_EQ(mr_tls_watch_health(f->net->net, &f->error), 0);
    mr_tls_watch_now(f->net->net);
    CHECK_EQ(watched->reason[0], '\0');
    CHECK_EQ(mr_tls_watch_every(f->net->net, 0), 0);
    fixture_free(f);
}

static int raw_dial(struct tls_fixture *f)
{
    struct sockaddr_in name = {.sin_family = AF_INET,
                               .sin_port = htons(f->net->address.port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_EQ(connect(fd, (struct sockaddr *)(void *)&name, sizeof name), 0);
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static bool is_ended(int fd)
{
    char text[64];
    ssize_t rc;

    do {
        rc = read(fd, text, sizeof text);
    } while (rc > 0);
    return rc == 0 || errno == ECONNRESET;
}

static int64_t failures(struct tls_fixture *f, enum tls_failure kind)
{
    return f->net->net->tls_failures[kind]->values[0];
}

static int open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    CHECK(directory != NULL);
    while (readdir(directory) != NULL) {
        count++;
    }
    (void)closedir(directory);
    return count;
}

/* Dials, says nothing, and turns until the listener has taken it, or another or itself is refused
 * for it. */
static int dial_silently(struct tls_fixture *f)
{
    int64_t crowded = failures(f, TLS_FAILURE_CROWDED);
    int before = open_descriptors();
    int fd = raw_dial(f);

    CHECK(NET_UNTIL(f->net, open_descriptors() == before + 2 ||
                                failures(f, TLS_FAILURE_CROWDED) > crowded));
    return fd;
}

/* Clients that connect and say nothing: the oldest gives way beyond the bound, the others after the
 * timeout; one that means it gets in all the while. */
TEST(tls, ends_half_open_handshakes)
{
    struct mr_listen_options options = {.handshakes_max = 3, .handshake_timeout_ms = 2000};
    struct test_clock clock;
    struct tls_fixture *f;
    struct mr_tls_config config;
    int fds[5];

    test_clock_init(&clock);
    f = fixture_new_at(&clock.clock);
    config = config_of(f, "hub");
    CHECK_OK(mr_tls_context_new(&config, f->net->metrics, &f->server, &f->error), &f->error);
    options.tls = f->server;
    CHECK_EQ(net_fixture_listen(f->net, false, &options), 0);
    for (int i = 0; i < 5; i++) {
        fds[i] = dial_silently(f);
        test_clock_advance_ms(&clock, 110); /* silent for longer than is honest */
    }
    CHECK(NET_UNTIL(f->net, is_ended(fds[0]) && is_ended(fds[1])));
    CHECK(!is_ended(fds[2]));
    connect_with(f, config_of(f, NULL), "localhost");
    CHECK_EQ(f->net->connect_rc, 0);
    CHECK(NET_UNTIL(f->net, is_ended(fds[2]) && f->net->accepted == 1));
    CHECK(!is_ended(fds[3]));
    CHECK(!is_ended(fds[4]));
    CHECK_EQ(failures(f, TLS_FAILURE_CROWDED), 3);
    CHECK_EQ(failures(f, TLS_FAILURE_TIMEOUT), 0);
    test_clock_advance_ms(&clock, 2000);
    CHECK(NET_UNTIL(f->net, is_ended(fds[3]) && is_ended(fds[4])));
    CHECK_EQ(failures(f, TLS_FAILURE_CROWDED), 3);
    CHECK_EQ(failures(f, TLS_FAILURE_TIMEOUT), 2);
    for (int i = 0; i < 5; i++) {
        (void)close(fds[i]);
    }
    fixture_free(f);
}

/* Says the beginning of a hello, and turns until the listener has heard it. */
static void say_little(struct tls_fixture *f, const int *fds, int count)
{
    int unheard = 0;

    for (int i = 0; i < count; i++) {
        CHECK_EQ(write(fds[i], "\x16\x03\x01\x00", 4), 4);
    }
    for (int i = 0; i < count; i++) { /* what its kernel has taken it is told of at once */
        CHECK(NET_UNTIL(f->net, ioctl(fds[i], SIOCOUTQ, &unheard) == 0 && unheard == 0));
    }
    for (int i = 0; i < 3; i++) {
        mr_loop_turn(f->net->loop, 1);
    }
}

/* One address has its share: the silent of it give way to each other only, and when all of it have
 * said something its next one is refused, until time shows who was not honest. */
TEST(tls, gives_an_address_its_share)
{
    struct mr_listen_options options = {.handshakes_max = 100, .handshake_timeout_ms = LONG_MS};
    struct test_clock clock;
    struct tls_fixture *f;
    struct mr_tls_config config;
    int fds[18];

    test_clock_init(&clock);
    f = fixture_new_at(&clock.clock);
    config = config_of(f, "hub");
    CHECK_OK(mr_tls_context_new(&config, f->net->metrics, &f->server, &f->error), &f->error);
    options.tls = f->server;
    CHECK_EQ(net_fixture_listen(f->net, false, &options), 0);
    for (int i = 0; i < 17; i++) { /* the share is 16 */
        fds[i] = dial_silently(f);
        test_clock_advance_ms(&clock, i < 15 ? 1 : 110);
    }
    CHECK(NET_UNTIL(f->net, is_ended(fds[0])));
    CHECK(!is_ended(fds[1]));
    CHECK_EQ(failures(f, TLS_FAILURE_CROWDED), 1);
    say_little(f, fds + 1, 16);
    fds[17] = dial_silently(f);
    CHECK(NET_UNTIL(f->net, is_ended(fds[17])));
    CHECK(!is_ended(fds[1]));
    CHECK_EQ(failures(f, TLS_FAILURE_CROWDED), 2);
    test_clock_advance_ms(&clock, 1000);
    connect_with(f, config_of(f, NULL), "localhost"); /* one of the slow gives way */
    CHECK_EQ(f->net->connect_rc, 0);
    CHECK(NET_UNTIL(f->net, is_ended(fds[1])));
    CHECK_EQ(failures(f, TLS_FAILURE_CROWDED), 3);
    for (int i = 0; i < 18; i++) {
        (void)close(fds[i]);
    }
    fixture_free(f);
}

static void count_call(void *owner, int rc, struct mr_stream *stream, const struct mr_error *error)
{
    CHECK_OK(rc, error);
    (*(int *)owner)++;
    mr_stream_close(stream, true);
}

/* What is cancelled while a worker has it in its hands ends later, and tells nobody. */
TEST(tls, cancels_at_any_time)
{
    struct tls_fixture *f = fixture_new();
    struct mr_connect_options options = {.timeout_ms = LONG_MS};

    listen_with(f, config_of(f, "hub"), false);
    connect_with(f, config_of(f, NULL), "localhost");
    net_end_close(&f->net->client, false);
    options.tls = f->client;
    for (int turns = 0; turns < 12; turns++) {
        struct mr_connect *connect = NULL;
        int calls = 0;

        CHECK_EQ(
            mr_net_connect(f->net->net, &f->net->address, &options, count_call, &calls, &connect),
            0);
        for (int i = 0; i < turns && calls == 0; i++) {
            mr_loop_turn(f->net->loop, 1);
        }
        if (calls == 0) {
            mr_connect_cancel(connect);
        }
    }
    fixture_free(f); /* some are still in a worker's hands */
}

TEST(tls, tells_those_who_do_not_speak_it)
{
    struct tls_fixture *f = fixture_new();
    int fd;

    listen_with(f, config_of(f, "hub"), false);
    fd = raw_dial(f);
    CHECK_EQ(write(fd, "GET / HTTP/1.0\r\n\r\n", 18), 18);
    CHECK(NET_UNTIL(f->net, is_ended(fd)));
    CHECK_EQ(f->net->accepted, 0);
    (void)close(fd);
    mr_listener_close(f->net->listener);
    CHECK_EQ(net_fixture_listen(f->net, false, NULL), 0); /* plain now, and it answers plainly */
    {
        struct mr_connect_options options = {.timeout_ms = LONG_MS};
        int calls = f->net->connect_calls;
        struct mr_tls_config config = config_of(f, NULL);

        CHECK_EQ(mr_tls_context_new(&config, NULL, &f->client, NULL), 0);
        options.tls = f->client;
        net_fixture_dial(f->net, &options);
        CHECK(NET_UNTIL(f->net, f->net->server.got_bytes > 0));
        static struct counted piece;
        piece = memory_piece("HTTP/1.1 400 Bad Request\r\n\r\n", 28);
        CHECK_EQ(mr_stream_send(f->net->server.stream, &piece.piece), 0);
        CHECK(NET_UNTIL(f->net, f->net->connect_calls > calls));
        CHECK_EQ(f->net->connect_rc, MR_EPROTOCOL);
        CHECK_HAS(f->net->connect_error, "does not speak TLS");
    }
    fixture_free(f);
}

/* A cut connection must not look like an end that was meant. */
TEST(tls, tells_a_cut_from_an_end)
{
    struct tls_fixture *f = fixture_new();

    connect_both(f, false);
    net_end_close(&f->net->client, true);
    CHECK(NET_UNTIL(f->net, f->net->server.ended != 0));
    CHECK_EQ(f->net->server.ended, MR_ENETWORK);
    fixture_free(f);
}

/* ---- foreign clients ---- */

/* Runs a shell command while the loop turns; its exit status. The server sends back what it gets.
 */
static int run(struct tls_fixture *f, const char *command)
{
    static const char script[] = "exec </dev/null >>/dev/null 2>&1; ";
    char text[2048];
    struct counted echo = {0};
    int status = -1; /* neither an exit nor a signal */
    pid_t child;

    (void)snprintf(text, sizeof text, "%s%s", script, command);
    child = fork();
    if (child == 0) {
        (void)execl("/bin/sh", "sh", "-c", text, (char *)NULL);
        _exit(127);
    }
    f->net->server.got_bytes = 0;
    while (waitpid(child, &status, WNOHANG) == 0) { /* ctest ends what hangs */
        mr_loop_turn(f->net->loop, 10);
        if (f->net->server.got_bytes >= 6 && echo.calls == 0 && echo.piece.slice.data == NULL) {
            echo = memory_piece(f->net->server.got.data, 6);
            CHECK_EQ(mr_stream_send(f->net->server.stream, &echo.piece), 0);
        }
        if (echo.calls > 0) {
            net_end_close(&f->net->server, false); /* which ends s_client, too */
        }
    }
    net_end_close(&f->net->server, false);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool has_tool(const char *command)
{
    return system(command) == 0;
}

TEST(tls, speaks_with_openssl)
{
    static const char *const options[] = {"-tls1_2", "-tls1_3",
                                          "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305"};
    struct tls_fixture *f;
    char command[1024];

    if (!has_tool("openssl version >/dev/null 2>&1")) {
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        f = fixture_new();
        listen_with(f, config_of(f, "hub"), false);
        (void)snprintf(command, sizeof command,
                       "(printf 'hello\\n'; sleep 1) | openssl s_client -connect 127.0.0.1:%u "
                       "-servername localhost -verify_hostname localhost -CAfile %s "
                       "-verify_return_error -quiet %s | grep hello",
                       f->net->address.port, path(f, "ca.pem"), options[i]);
        CHECK_EQ(run(f, command), 0);
        fixture_free(f);
    }
    f = fixture_new(); /* what is old is not spoken */
    listen_with(f, config_of(f, "hub"), false);
    (void)snprintf(command, sizeof command,
                   "openssl s_client -connect 127.0.0.1:%u -tls1_1 -cipher 'ALL@SECLEVEL=0'",
                   f->net->address.port);
    CHECK_NE(run(f, command), 0);
    (void)snprintf(command, sizeof command,
                   "openssl s_client -connect 127.0.0.1:%u -tls1_2 -cipher AES128-SHA",
                   f->net->address.port);
    CHECK_NE(run(f, command), 0);
    CHECK_EQ(f->net->accepted, 0);
    fixture_free(f);
}

TEST(tls, speaks_with_python)
{
    struct tls_fixture *f = fixture_new();
    struct mr_tls_config config = config_of(f, "hub");
    char command[1024];

    if (!has_tool("/usr/bin/python3 -c 'import ssl' 2>/dev/null")) {
        fixture_free(f);
        return;
    }
    config.clients = MR_TLS_CLIENTS_REQUIRED;
    listen_with(f, config, false);
    (void)snprintf(command, sizeof command,
                   "/usr/bin/python3 -c \"\n"
                   "import ssl, socket\n"
                   "c = ssl.create_default_context(cafile='%s')\n"
                   "c.verify_flags &= ~getattr(ssl, 'VERIFY_X509_STRICT', 0)\n" /* 3.13's default */
                   "c.load_cert_chain('%s', '%s')\n"
                   "s = c.wrap_socket(socket.create_connection(('127.0.0.1', %u)), "
                   "server_hostname='localhost')\n"
                   "s.sendall(b'hello!'); assert s.recv(100) == b'hello!'; s.unwrap()\"",
                   path(f, "ca.pem"), path(f, "edge.pem"), path(f, "edge.key"),
                   f->net->address.port);
    CHECK_EQ(run(f, command), 0);
    fixture_free(f);
}
