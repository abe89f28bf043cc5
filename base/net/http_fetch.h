/* One request over HTTP or HTTPS, blocking: for threads of a pool that ask a server of identities
 * for keys or a token now and then, and for the command line that asks a node. Not for a loop, and
 * not for bulk: one connection per request, no redirects, no proxies. */
#ifndef BASE_NET_HTTP_FETCH_H
#define BASE_NET_HTTP_FETCH_H

#include <stddef.h>
#include <stdint.h>

struct mr_bytes;
struct mr_error;

struct mr_http_fetch {
    const char *url;
    const char *socket_path; /* a Unix socket that answers for the URL's host; NULL: none */
    const char *method;      /* NULL: GET, or POST with a body */
    const char *ca;          /* PEM file of who is trusted; NULL: the system's */
    const char *token;       /* "Authorization: Bearer"; NULL: none */
    const char *user;        /* for basic authentication; NULL: none */
    const char *password;
    const void *body; /* NULL: none */
    size_t body_size_bytes;
    const char *content_type;
    int64_t timeout_ms;      /* of all of it but the name lookup; 0: unbounded */
    int64_t wait_timeout_ms; /* of each wait for the other side; 0: unbounded */
    size_t answer_size_max;  /* of its body */
};

/* Appends the answer's body, whatever the status is. 0, MR_ENETWORK, MR_ENOENT (no such socket),
 * MR_EACCES, MR_ETIMEDOUT, MR_EAUTH (its certificate), MR_ECONFIG (the CA file), MR_EPROTOCOL,
 * MR_ETOOLARGE, MR_EINVAL, MR_ENOMEM; the words name the socket, or host and port. Any thread. */
int mr_http_fetch(const struct mr_http_fetch *request, int *ret_status, struct mr_bytes *answer,
                  struct mr_error *error);
/* The part that takes foreign bytes, alone: a whole answer, up to the end of the connection. */
int mr_http_answer_parse(const uint8_t *data, size_t size, int *ret_status, struct mr_bytes *body);

#endif
