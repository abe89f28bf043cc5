/* The inside of a TLS stream, shared by its handshake and its transport. Names OpenSSL. */
#ifndef BASE_NET_TLS_STREAM_H
#define BASE_NET_TLS_STREAM_H

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/net/stream_internal.h"
#include "base/net/tls_internal.h"

enum { TLS_NAME_SIZE = 256 };

struct tls_stream {
    struct mr_stream stream;
    struct mr_io io;
    int fd;
    SSL *ssl;
    struct mr_tls_context *context;
    struct tls_handshake *handshake; /* NULL when it is done */
    uint8_t *out;                    /* records that the kernel did not take yet */
    size_t out_begin;
    size_t out_size; /* end of what is filled */
    size_t out_capacity;
    uint8_t *in; /* received and not asked for yet; NULL on idle ones */
    size_t in_begin;
    size_t in_size;           /* end of what is filled */
    int64_t accepted;         /* bytes of the queue that are in out; told when out is empty */
    int wanted;               /* by stream.c */
    bool has_read;            /* the last read gave bytes: there may be more inside OpenSSL */
    bool is_eof;              /* of the socket */
    bool is_notified;         /* close_notify is in out, or sent */
    enum tls_failure failure; /* of what broke it */
    X509 *refused;            /* the certificate that did not pass, if one did not */
    X509 *leaf;               /* and the peer's own, which it led to */
    char server_name[TLS_NAME_SIZE]; /* of a client's side, else empty */
    char name[64];                   /* version and cipher */
};

/* Over a connected, non-blocking socket. server_name NULL: the server's side. Takes fd on success.
 */
int tls_stream_new(struct mr_net *net, struct mr_tls_context *context, int fd,
                   const char *server_name, struct tls_stream **ret_stream, struct mr_error *error);
/* Before the handshake is done; closes the socket. */
void tls_stream_drop(struct tls_stream *self);
/* Sends what is in out: 0 (all), MR_EAGAIN, or broken. */
int tls_stream_flush(struct tls_stream *self);
bool tls_stream_has_out(const struct tls_stream *self);
/* After the handshake: names, and from now on it is a stream. */
void tls_stream_begin(struct tls_stream *self);

/* tls_handshake.c's part of the descriptor's events. */
void tls_handshake_on_io(struct tls_handshake *handshake);

/* tls_context.c */
/* The name of a host that is asked for in a handshake (RFC 6066, 3). */
bool tls_say_name(SSL *ssl, const char *server_name);
/* An SSL for a side, with name checks for a client's; NULL with words. */
SSL *tls_context_ssl(struct mr_tls_context *context, const char *server_name,
                     struct mr_error *error);
BIO_METHOD *tls_context_bio_method(struct mr_tls_context *context);
/* A worker that holds a stream holds its context, too. */
void tls_context_ref(struct mr_tls_context *context);
/* Sessions to resume, by server name; thread-safe. Stealing; take may give NULL. */
void tls_context_put_session(struct mr_tls_context *context, const SSL_CTX *made_by,
                             const char *server_name, SSL_SESSION *session);
SSL_SESSION *tls_context_take_session(struct mr_tls_context *context, const char *server_name);

/* tls_bio.c */
BIO_METHOD *tls_bio_method_new(void);
bool tls_bio_attach(struct tls_stream *self); /* false: out of memory */
/* Whether the kernel encrypts what is sent. */
bool tls_bio_is_kernel(const struct tls_stream *self);
/* Whether this kernel has TLS, and lets us use it. */
bool tls_kernel_is_there(void);

/* tls_words.c: what OpenSSL said, in a sentence, and its kind in self->failure; returns the code.
 */
int tls_fail(struct mr_error *error, struct tls_stream *self, int ssl_error);
/* The newest of OpenSSL's reasons, or the words given. */
const char *tls_reason(const char *otherwise);

#endif
