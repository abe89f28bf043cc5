/* The connection of the bench's Kafka clients.
 *
 * Under TLS two things that OpenSSL's own socket BIO does not do keep the client cheap: with a
 * record's body the next one's head is read, so that a record takes one call, and records are sent
 * many at a time. */
#include "bench_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { OUT_BYTES = 512 << 10, READ_BYTES_MAX = 1 << 30 };

const char *bench_program = "bench";

void bench_die(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", bench_program, what, errno != 0 ? strerror(errno) : "failed");
    exit(1);
}

double bench_now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double bench_cpu_s(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

/* ---- below OpenSSL ---- */

static int record_read(BIO *bio, char *data, int size)
{
    struct bench_client *client = BIO_get_data(bio);
    struct iovec parts[2] = {{data, (size_t)size}, {client->head, sizeof client->head}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    int there = client->head_size;
    ssize_t got;

    if (there > 0) {
        there = there < size ? there : size;
        memcpy(data, client->head, (size_t)there);
        memmove(client->head, client->head + there, (size_t)(client->head_size - there));
        client->head_size -= there;
        return there;
    }
    got = recvmsg(client->fd, &message, 0);
    if (got > size) {
        client->head_size = (int)got - size;
        got = size;
    }
    return (int)got;
}

static void send_plain(struct bench_client *client, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t sent = send(client->fd, (const uint8_t *)data + done, size - done, MSG_NOSIGNAL);

        if (sent <= 0) {
            bench_die("send");
        }
        done += (size_t)sent;
    }
}

static void send_out(struct bench_client *client)
{
    send_plain(client, client->out, client->out_size);
    client->out_size = 0;
}

static int record_write(BIO *bio, const char *data, int size)
{
    struct bench_client *client = BIO_get_data(bio);

    if (client->out_size + (size_t)size > OUT_BYTES) {
        send_out(client);
    }
    memcpy(client->out + client->out_size, data, (size_t)size); /* a record, far below OUT_BYTES */
    client->out_size += (size_t)size;
    return size;
}

static long record_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_FLUSH) {
        send_out(BIO_get_data(bio));
    }
    return command == BIO_CTRL_FLUSH;
}

static BIO *record_bio_new(struct bench_client *client)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static BIO_METHOD *method;
    BIO *bio;

    pthread_mutex_lock(&mutex);
    if (method == NULL) {
        method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "records");
        if (method == NULL || BIO_meth_set_read(method, record_read) != 1 ||
            BIO_meth_set_write(method, record_write) != 1 ||
            BIO_meth_set_ctrl(method, record_ctrl) != 1) {
            bench_die("TLS");
        }
    }
    pthread_mutex_unlock(&mutex);
    bio = BIO_new(method);
    if (bio == NULL) {
        bench_die("TLS");
    }
    BIO_set_data(bio, client);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- the connection ---- */

SSL_CTX *bench_tls_new(const char *ca)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

    if (tls == NULL || SSL_CTX_load_verify_locations(tls, ca, NULL) != 1) {
        errno = 0;
        bench_die(ca);
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    return tls;
}

void bench_connect(struct bench_client *client, uint16_t port, SSL_CTX *tls)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1;
    BIO *bio;

    *client = (struct bench_client){0};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (void *)&address, sizeof address) != 0 ||
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) {
        bench_die("connect");
    }
    if (tls == NULL) {
        return;
    }
    client->out = malloc(OUT_BYTES);
    client->tls = SSL_new(tls);
    if (client->out == NULL || client->tls == NULL) {
        bench_die("TLS");
    }
    bio = record_bio_new(client);
    SSL_set_bio(client->tls, bio, bio);
    if (SSL_connect(client->tls) != 1) {
        errno = 0;
        bench_die("TLS handshake");
    }
    send_out(client);
}

void bench_disconnect(struct bench_client *client)
{
    SSL_free(client->tls);
    free(client->out);
    close(client->fd);
}

size_t bench_receive(struct bench_client *client, void *data, size_t size)
{
    ssize_t got;

    if (client->tls != NULL) {
        got = SSL_read(client->tls, data, (int)(size < READ_BYTES_MAX ? size : READ_BYTES_MAX));
    } else {
        got = recv(client->fd, data, size, 0);
    }
    if (got <= 0) {
        bench_die("receive");
    }
    return (size_t)got;
}

void bench_receive_all(struct bench_client *client, void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        done += bench_receive(client, (uint8_t *)data + done, size - done);
    }
}

void bench_send_all(struct bench_client *client, const void *data, size_t size)
{
    if (client->tls == NULL) {
        send_plain(client, data, size);
        return;
    }
    if (SSL_write(client->tls, data, (int)size) != (int)size) {
        errno = 0;
        bench_die("TLS write");
    }
    send_out(client);
}

/* ---- big-endian numbers ---- */

uint64_t bench_get(const uint8_t *data, int size)
{
    uint64_t value = 0;

    for (int i = 0; i < size; i++) {
        value = value << 8 | data[i];
    }
    return value;
}

uint8_t *bench_put(uint8_t *at, uint64_t value, int size)
{
    for (int i = 0; i < size; i++) {
        at[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    }
    return at + size;
}

uint8_t *bench_put_text(uint8_t *at, const char *text)
{
    size_t size = strlen(text);

    at = bench_put(at, size, 2);
    memcpy(at, text, size);
    return at + size;
}
