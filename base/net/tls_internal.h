/* The inside of TLS: tls_context.c makes contexts, tls_handshake.c connects, tls_stream.c moves
 * bytes, tls_words.c explains. Listeners and attempts need the handshake only. */
#ifndef BASE_NET_TLS_INTERNAL_H
#define BASE_NET_TLS_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

struct mr_error;
struct mr_net;
struct mr_stream;
struct mr_tls_context;
struct tls_handshake;

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

#endif
