/* One HTTP request, blocking: how the command line asks a node, by its Unix socket or over TCP with
 * or without TLS. Not for a loop. */
#ifndef BASE_NET_HTTP_CALL_H
#define BASE_NET_HTTP_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_bytes;
struct mr_error;

struct mr_http_call {
    const char *socket_path; /* or NULL, and host and port */
    const char *host;
    uint16_t port;
    bool is_tls;        /* the certificate and the name in it are verified */
    const char *ca;     /* PEM file of who may have signed it; NULL: the system's */
    const char *token;  /* for Authorization: Bearer; NULL: none */
    const char *method; /* NULL: GET */
    const char *path;
    const void *body; /* JSON */
    size_t body_size_bytes;
    int timeout_ms; /* of each wait */
    size_t answer_size_bytes_max;
};

/* Appends the answer's body to `body`, whatever the status is. 0, MR_ENETWORK (nobody answers
 * there), MR_EACCES, MR_ETIMEDOUT, MR_EAUTH (the certificate), MR_EPROTOCOL, MR_ETOOLARGE beyond
 * answer_size_bytes_max, MR_ENOMEM. */
int mr_http_call(const struct mr_http_call *call, int *ret_status, struct mr_bytes *body,
                 struct mr_error *error);

#endif
