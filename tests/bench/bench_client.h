/* What the Kafka clients of the bench share: one connection, plain or TLS, that costs its side as
 * little as it can, and numbers as they lie on the wire. Every failure ends the program. */
#ifndef TESTS_BENCH_BENCH_CLIENT_H
#define TESTS_BENCH_BENCH_CLIENT_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

struct bench_client {
    int fd;
    SSL *tls;        /* NULL: plain */
    uint8_t head[5]; /* of a TLS record, as far as it was read with the one before it */
    int head_size;
    uint8_t *out; /* TLS records that leave together */
    size_t out_size;
};

extern const char *bench_program; /* its name, for failures */

_Noreturn void bench_die(const char *what);
double bench_now_s(void);
double bench_cpu_s(void); /* of the process, user and system */

SSL_CTX *bench_tls_new(const char *ca);
/* To loopback. tls may be NULL. */
void bench_connect(struct bench_client *client, uint16_t port, SSL_CTX *tls);
void bench_disconnect(struct bench_client *client);
size_t bench_receive(struct bench_client *client, void *data, size_t size);
void bench_receive_all(struct bench_client *client, void *data, size_t size);
void bench_send_all(struct bench_client *client, const void *data, size_t size);

/* Big-endian; put returns what is behind. */
uint64_t bench_get(const uint8_t *data, int size);
uint8_t *bench_put(uint8_t *at, uint64_t value, int size);
uint8_t *bench_put_text(uint8_t *at, const char *text);

#endif
