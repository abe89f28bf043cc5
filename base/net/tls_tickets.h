/* The keys of session tickets: what a listener gave, it alone can read. Names OpenSSL. */
#ifndef BASE_NET_TLS_TICKETS_H
#define BASE_NET_TLS_TICKETS_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdint.h>

struct tls_ticket_key {
    uint8_t name[16];
    uint8_t cipher[32];
    uint8_t mac[32];
    int64_t made_ms; /* monotonic */
};

/* Used by handshakes of several threads; all of it under the mutex. */
struct tls_tickets {
    pthread_mutex_t mutex;
    struct tls_ticket_key keys[2]; /* newest first */
    int count;
};

void tls_tickets_init(struct tls_tickets *tickets);
void tls_tickets_done(struct tls_tickets *tickets);
/* What was given before is worth nothing any more. */
void tls_tickets_forget(struct tls_tickets *tickets);
/* OpenSSL's callback (SSL_CTX_set_tlsext_ticket_key_evp_cb), once the tickets are found. */
int tls_tickets_key(struct tls_tickets *tickets, unsigned char *name, unsigned char *iv,
                    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_encrypting);

#endif
