#include "base/net/http_url.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/error.h"

static int bad_url(struct mr_error *error, const char *text)
{
    return mr_fail_text(error, MR_EINVAL, "'%s' is not a URL such as https://id.example/keys",
                        text);
}

int mr_http_url_parse(const char *text, struct mr_http_url *ret_url, struct mr_error *error)
{
    struct mr_http_url url = {.is_tls = strncmp(text, "https://", 8) == 0};
    const char *host = text + (url.is_tls ? 8 : 7);
    const char *end;
    const char *colon;
    size_t size;

    if (!url.is_tls && strncmp(text, "http://", 7) != 0) {
        return bad_url(error, text);
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at <= ' ' || *at > '~' || *at == '#') {
            return bad_url(error, text);
        }
    }
    end = host + strcspn(host, "/?");
    colon = host + strcspn(host, ":/?");
    url.path = end;
    url.port = url.is_tls ? 443 : 80;
    if (*host == '[') {
        host += 1;
        colon = host + strcspn(host, "]/?");
        size = (size_t)(colon - host);
        if (*colon != ']') {
            return bad_url(error, text);
        }
        colon += 1;
    } else {
        size = (size_t)(colon - host);
    }
    if (*colon == ':') {
        char *number_end;
        long port = strtol(colon + 1, &number_end, 10);
        if (number_end != end || colon[1] < '0' || colon[1] > '9' || port < 1 || port > 65535) {
            return bad_url(error, text);
        }
        url.port = (uint16_t)port;
    } else if (colon != end) {
        return bad_url(error, text);
    }
    if (size == 0 || size > MR_HTTP_HOST_SIZE_MAX || memchr(host, '@', size) != NULL ||
        *end == '?') {
        return bad_url(error, text);
    }
    memcpy(url.host, host, size);
    *ret_url = url;
    return 0;
}

bool mr_http_url_is_loopback(const struct mr_http_url *url)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, url->host, &v4) == 1) {
        return (ntohl(v4.s_addr) >> 24) == 127;
    }
    return strcmp(url->host, "localhost") == 0 ||
           (inet_pton(AF_INET6, url->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6));
}
