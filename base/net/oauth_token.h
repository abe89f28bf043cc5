/* A token for ourselves, from a server of identities: the client credentials grant (RFC 6749, 4.4;
 * KIP-768). Blocking: for a thread of a pool. */
#ifndef BASE_NET_OAUTH_TOKEN_H
#define BASE_NET_OAUTH_TOKEN_H

#include <stddef.h>
#include <stdint.h>

struct mr_bytes;
struct mr_error;

struct mr_oauth_client {
    const char *url;
    const char *ca; /* NULL: the system's */
    const char *id;
    const char *secret;
    const char *scope; /* NULL: what the server gives */
    int64_t timeout_ms;
};

/* Appends the token; *ret_lifetime_ms is how long it lives, 0 if nobody says. The words of an error
 * hold no secret. MR_EAUTH: the server refuses us; else as mr_http_fetch. */
int mr_oauth_token_ask(const struct mr_oauth_client *client, struct mr_bytes *token,
                       int64_t *ret_lifetime_ms, struct mr_error *error);
/* The part that takes foreign bytes, alone. */
int mr_oauth_token_parse(int status, const void *answer, size_t size, struct mr_bytes *token,
                         int64_t *ret_lifetime_ms, struct mr_error *error);

#endif
