/* One GET or POST over HTTP or HTTPS, blocking: for threads of a pool that ask a server of
 * identities for keys or a token now and then. Not for a loop, and not for bulk: one connection per
 * request, no redirects, no proxies. */
#ifndef BASE_NET_HTTP_FETCH_H
#define BASE_NET_HTTP_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_bytes;
struct mr_error;

enum { MR_HTTP_HOST_SIZE_MAX = 255 };

struct mr_http_url {
    bool is_tls;
    char host[MR_HTTP_HOST_SIZE_MAX + 1]; /* without the brackets of an IPv6 address */
    uint16_t port;
    const char *path; /* into the text; "" is "/" */
};

struct mr_http_fetch {
    const char *url;
    const char *ca;   /* PEM file of who is trusted; NULL: the system's */
    const char *form; /* POSTed, form-urlencoded; NULL: GET */
    const char *user; /* for basic authentication; NULL: none */
    const char *password;
    int64_t timeout_ms; /* for all of it but the name lookup */
    size_t body_size_max;
};

/* http:// or https://, no user, no fragment, printable. 0 or MR_EINVAL with words. */
int mr_http_url_parse(const char *text, struct mr_http_url *ret_url, struct mr_error *error);
/* "localhost", 127.x.y.z, ::1: others cannot listen in, or answer, in between. */
bool mr_http_url_is_loopback(const struct mr_http_url *url);
/* Appends the body, whatever the status is. 0, MR_ENETWORK, MR_ETIMEDOUT, MR_EAUTH (its
 * certificate), MR_EPROTOCOL, MR_ETOOLARGE, MR_EINVAL, MR_ENOMEM; the words name the URL's host.
 * Any thread. */
int mr_http_fetch(const struct mr_http_fetch *request, int *ret_status, struct mr_bytes *body,
                  struct mr_error *error);
/* The part that takes foreign bytes, alone: a whole answer, up to the end of the connection. */
int mr_http_answer_parse(const uint8_t *data, size_t size, int *ret_status, struct mr_bytes *body);

#endif
