/* The URLs of HTTP, as configurations have them: pure. */
#ifndef BASE_NET_HTTP_URL_H
#define BASE_NET_HTTP_URL_H

#include <stdbool.h>
#include <stdint.h>

struct mr_error;

enum { MR_HTTP_HOST_SIZE_MAX = 255 };

struct mr_http_url {
    bool is_tls;
    char host[MR_HTTP_HOST_SIZE_MAX + 1]; /* without the brackets of an IPv6 address */
    uint16_t port;
    const char *path; /* into the text; "" is "/" */
};

/* http:// or https://, no user, no fragment, printable. 0 or MR_EINVAL with words. */
int mr_http_url_parse(const char *text, struct mr_http_url *ret_url, struct mr_error *error);
/* "localhost", 127.x.y.z, ::1: others cannot listen in, or answer, in between. */
bool mr_http_url_is_loopback(const struct mr_http_url *url);

#endif
