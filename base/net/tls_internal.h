/* The inside of TLS: tls_context.c makes contexts, tls_handshake.c connects, tls_stream.c moves
 * bytes, tls_words.c explains. Listeners and attempts need the handshake only. */
#ifndef BASE_NET_TLS_INTERNAL_H
#define BASE_NET_TLS_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/list.h"

struct mr_error;
struct mr_net;
struct mr_stream;
struct mr_tls_context;
struct mr_tls_config;
struct tls_handshake;

/* ---- what tls_watch.c knows of a context ---- */

enum { TLS_FILES = 4, TLS_REASON_SIZE = 400 }; /* cert, key, ca, crl */

struct tls_stamp {
    bool is_there;
    uint64_t device;
    uint64_t inode;
    int64_t size_bytes;
    int64_t modified_us;
};

struct tls_watched {
    struct mr_link link; /* of the network */
    struct mr_tls_context *context;
    struct tls_stamp taken[TLS_FILES]; /* when the files were last read */
    struct tls_stamp seen[TLS_FILES];  /* at the last look */
    char reason[TLS_REASON_SIZE];      /* why they could not be taken, "" if they were */
    int64_t warned_day;                /* of the end that is near; days since 1970 */
};

struct tls_watched *tls_context_watched(struct mr_tls_context *context);
const struct mr_tls_config *tls_context_config(const struct mr_tls_context *context);

/* ---- handshakes ---- */

/* Why one failed, for the metric. */
enum tls_failure {
    TLS_FAILURE_OTHER,
    TLS_FAILURE_TIMEOUT,     /* it took too long */
    TLS_FAILURE_CROWDED,     /* it gave way to others, or was one too many */
    TLS_FAILURE_GONE,        /* the peer went without a word */
    TLS_FAILURE_NOT_TLS,     /* what it says is no TLS */
    TLS_FAILURE_VERSION,     /* no version or cipher that both take */
    TLS_FAILURE_CERTIFICATE, /* the peer's is missing or refused */
    TLS_FAILURE_ALERT,       /* the peer ends it: mostly, it refuses our certificate */
    TLS_FAILURE_COUNT
};

/* Exactly once, never inside start: a stream, or a negative rc with words. The handshake is gone.
 */
typedef void (*tls_handshake_cb)(void *owner, int rc, struct mr_stream *stream,
                                 const struct mr_error *error);

/* Takes fd if it succeeds. server_name: what the peer must be called (a client's side), NULL on a
 * server's side. */
int tls_handshake_start(struct mr_net *net, struct mr_tls_context *context, int fd,
                        const char *server_name, int64_t timeout_ms, tls_handshake_cb cb,
                        void *owner, struct tls_handshake **ret_handshake, struct mr_error *error);
/* Closes the socket; no callback comes any more. */
void tls_handshake_cancel(struct tls_handshake *handshake);
/* Whether the peer has said anything yet. */
bool tls_handshake_has_heard(const struct tls_handshake *handshake);

#endif
