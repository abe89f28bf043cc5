#include "base/net/http_fetch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/buffer.h"
#include "base/core/clock.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/net/tls_stream.h"

enum { HEAD_SIZE_MAX = 64 << 10, PIECE_SIZE = 16 << 10, CREDENTIALS_SIZE_MAX = 4096 };

/* ---- URLs ---- */

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

/* ---- one connection ---- */

struct fetch {
    const struct mr_http_fetch *request;
    struct mr_http_url url;
    struct mr_error *error;
    int64_t deadline_ms;
    int fd;
    SSL_CTX *context;
    SSL *ssl; /* NULL: plain */
};

static int wait_for(struct fetch *fetch, short events)
{
    struct pollfd poll_fd = {.fd = fetch->fd, .events = events};

    for (;;) {
        int64_t left_ms = fetch->deadline_ms - mr_clock_monotonic_ms(mr_clock_system());
        int count = left_ms > 0 ? poll(&poll_fd, 1, (int)left_ms) : 0;
        if (count > 0) {
            return 0;
        }
        if (count == 0) {
            return mr_fail(fetch->error, MR_ETIMEDOUT, "%s", fetch->url.host);
        }
        if (errno != EINTR) {
            return mr_fail_errno(fetch->error, errno, "%s", fetch->url.host);
        }
    }
}

static int connect_to(struct fetch *fetch, const struct addrinfo *address)
{
    int number = 0;
    socklen_t size = sizeof number;

    fetch->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fetch->fd < 0) {
        return mr_fail_errno(fetch->error, errno, "%s", fetch->url.host);
    }
    if (connect(fetch->fd, address->ai_addr, address->ai_addrlen) != 0) {
        number = errno;
    }
    if (number == EINPROGRESS) {
        int rc = wait_for(fetch, POLLOUT);
        if (rc != 0) {
            return rc;
        }
        if (getsockopt(fetch->fd, SOL_SOCKET, SO_ERROR, &number, &size) != 0) {
            number = errno;
        }
    }
    return number == 0 ? 0
                       : mr_fail_text(fetch->error, MR_ENETWORK, "%s: %s", fetch->url.host,
                                      strerrordesc_np(number));
}

static void hang_up(struct fetch *fetch)
{
    if (fetch->fd >= 0) {
        (void)close(fetch->fd);
        fetch->fd = -1;
    }
}

/* The first address that answers. */
static int dial(struct fetch *fetch)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    char port[8];
    int rc;

    (void)snprintf(port, sizeof port, "%u", fetch->url.port);
    rc = getaddrinfo(fetch->url.host, port, &hints, &list);
    if (rc != 0) {
        return mr_fail_text(fetch->error, MR_ENETWORK, "%s: %s", fetch->url.host, gai_strerror(rc));
    }
    rc = MR_ENETWORK;
    for (const struct addrinfo *at = list; at != NULL && rc != 0 && rc != MR_ETIMEDOUT;
         at = at->ai_next) {
        hang_up(fetch);
        rc = connect_to(fetch, at);
    }
    freeaddrinfo(list);
    return rc;
}

/* ---- TLS ---- */

static int tls_failed(struct fetch *fetch)
{
    long verdict = fetch->ssl != NULL ? SSL_get_verify_result(fetch->ssl) : X509_V_OK;
    unsigned long code = ERR_peek_last_error();
    const char *words = code != 0 ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    if (verdict != X509_V_OK) {
        return mr_fail_text(fetch->error, MR_EAUTH, "%s: its certificate is not accepted: %s",
                            fetch->url.host, X509_verify_cert_error_string(verdict));
    }
    return mr_fail_text(fetch->error, MR_ENETWORK, "%s: TLS: %s", fetch->url.host,
                        words != NULL ? words : "the connection ended");
}

/* After a call that has not finished: 0 to try again. */
static int tls_wait(struct fetch *fetch, int result)
{
    switch (SSL_get_error(fetch->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(fetch, POLLIN);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(fetch, POLLOUT);
    default:
        return tls_failed(fetch);
    }
}

static int tls_settings(struct fetch *fetch)
{
    const char *ca = fetch->request->ca;

    fetch->context = SSL_CTX_new(TLS_client_method());
    if (fetch->context == NULL ||
        SSL_CTX_set_min_proto_version(fetch->context, TLS1_2_VERSION) != 1) {
        return mr_fail(fetch->error, MR_ENOMEM, "TLS");
    }
    SSL_CTX_set_verify(fetch->context, SSL_VERIFY_PEER, NULL);
    /* Many servers end without a word. What is cut off is noticed by its length, or as JSON. */
    (void)SSL_CTX_set_options(fetch->context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    if ((ca != NULL ? SSL_CTX_load_verify_locations(fetch->context, ca, NULL)
                    : SSL_CTX_set_default_verify_paths(fetch->context)) != 1) {
        ERR_clear_error();
        return mr_fail_text(fetch->error, MR_ECONFIG, "%s: no certificates can be read from it",
                            ca != NULL ? ca : "the system's store");
    }
    return 0;
}

static int tls_start(struct fetch *fetch)
{
    const char *host = fetch->url.host;
    int rc = tls_settings(fetch);
    int result;

    if (rc != 0) {
        return rc;
    }
    fetch->ssl = SSL_new(fetch->context);
    if (fetch->ssl == NULL || SSL_set_fd(fetch->ssl, fetch->fd) != 1) {
        return mr_fail(fetch->error, MR_ENOMEM, "TLS");
    }
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(fetch->ssl), host) != 1) { /* a name, then */
        ERR_clear_error();
        if (SSL_set1_host(fetch->ssl, host) != 1 || !tls_say_name(fetch->ssl, host)) {
            return tls_failed(fetch);
        }
    }
    while (rc == 0 && (result = SSL_connect(fetch->ssl)) != 1) {
        rc = tls_wait(fetch, result);
    }
    return rc;
}

/* ---- the conversation ---- */

/* Basic authentication as OAuth wants it (RFC 6749, 2.3.1) has both parts form-urlencoded first. */
static void write_encoded(struct mr_bytes *out, const char *text)
{
    for (; *text != '\0'; text++) {
        char c = *text;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '.' || c == '_') {
            mr_bytes_append(out, text, 1);
        } else {
            mr_bytes_printf(out, "%%%02X", (unsigned)(unsigned char)c);
        }
    }
}

static void write_credentials(const struct mr_http_fetch *request, struct mr_bytes *out)
{
    struct mr_bytes pair;
    uint8_t text[CREDENTIALS_SIZE_MAX / 3 * 4 + 5] = "";

    mr_bytes_init(&pair);
    write_encoded(&pair, request->user);
    mr_bytes_text(&pair, ":");
    write_encoded(&pair, request->password != NULL ? request->password : "");
    if (pair.failed == 0 && pair.size_bytes <= CREDENTIALS_SIZE_MAX) {
        (void)EVP_EncodeBlock(text, pair.data, (int)pair.size_bytes);
        mr_bytes_printf(out, "Authorization: Basic %s\r\n", (const char *)text);
    }
    if (pair.data != NULL) {
        OPENSSL_cleanse(pair.data, pair.size_bytes);
    }
    OPENSSL_cleanse(text, sizeof text);
    mr_bytes_done(&pair);
}

static void write_request(const struct fetch *fetch, struct mr_bytes *out)
{
    const struct mr_http_fetch *request = fetch->request;
    bool is_v6 = strchr(fetch->url.host, ':') != NULL;

    mr_bytes_printf(out,
                    "%s %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nConnection: close\r\n"
                    "Accept: application/json\r\nUser-Agent: millrace\r\n",
                    request->form != NULL ? "POST" : "GET",
                    fetch->url.path[0] != '\0' ? fetch->url.path : "/", is_v6 ? "[" : "",
                    fetch->url.host, is_v6 ? "]" : "", fetch->url.port);
    if (request->user != NULL) {
        write_credentials(request, out);
    }
    if (request->form != NULL) {
        mr_bytes_printf(out,
                        "Content-Type: application/x-www-form-urlencoded\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        strlen(request->form), request->form);
    } else {
        mr_bytes_text(out, "\r\n");
    }
}

/* At least one byte, 0 at the end of the connection, or an error. */
static ssize_t receive(struct fetch *fetch, uint8_t *data, size_t size)
{
    for (;;) {
        ssize_t count;
        int rc;
        if (fetch->ssl != NULL) {
            count = SSL_read(fetch->ssl, data, (int)size);
            if (count > 0) {
                return count;
            }
            if (SSL_get_error(fetch->ssl, (int)count) == SSL_ERROR_ZERO_RETURN) {
                return 0;
            }
            rc = tls_wait(fetch, (int)count);
        } else {
            count = recv(fetch->fd, data, size, 0);
            if (count >= 0) {
                return count;
            }
            rc = errno == EAGAIN || errno == EINTR
                     ? wait_for(fetch, POLLIN)
                     : mr_fail_errno(fetch->error, errno, "%s", fetch->url.host);
        }
        if (rc != 0) {
            return rc;
        }
    }
}

static int send_all(struct fetch *fetch, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t count = fetch->ssl != NULL ? SSL_write(fetch->ssl, data, (int)size)
                                           : send(fetch->fd, data, size, MSG_NOSIGNAL);
        int rc = 0;
        if (count > 0) {
            data += count;
            size -= (size_t)count;
        } else if (fetch->ssl != NULL) {
            rc = tls_wait(fetch, (int)count);
        } else {
            rc = errno == EAGAIN || errno == EINTR
                     ? wait_for(fetch, POLLOUT)
                     : mr_fail_errno(fetch->error, errno, "%s", fetch->url.host);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int converse(struct fetch *fetch, struct mr_bytes *bytes)
{
    int rc = fetch->url.is_tls ? tls_start(fetch) : 0;
    ssize_t count = 1;

    write_request(fetch, bytes);
    if (rc == 0) {
        rc = bytes->failed != 0 ? mr_fail(fetch->error, MR_ENOMEM, "%s", fetch->url.host)
                                : send_all(fetch, bytes->data, bytes->size_bytes);
    }
    if (bytes->data != NULL) {
        OPENSSL_cleanse(bytes->data, bytes->size_bytes);
    }
    mr_bytes_clear(bytes);
    while (rc == 0 && count > 0) {
        if (mr_bytes_reserve(bytes, PIECE_SIZE) != 0) {
            return mr_fail(fetch->error, MR_ENOMEM, "%s", fetch->url.host);
        }
        count = receive(fetch, bytes->data + bytes->size_bytes, PIECE_SIZE);
        if (count < 0) {
            return (int)count;
        }
        bytes->size_bytes += (size_t)count;
        if (bytes->size_bytes > fetch->request->body_size_max + HEAD_SIZE_MAX) {
            rc = mr_fail(fetch->error, MR_ETOOLARGE, "%s: the answer", fetch->url.host);
        }
    }
    return rc;
}

int mr_http_fetch(const struct mr_http_fetch *request, int *ret_status, struct mr_bytes *body,
                  struct mr_error *error)
{
    struct fetch fetch = {.request = request,
                          .error = error,
                          .fd = -1,
                          .deadline_ms =
                              mr_clock_monotonic_ms(mr_clock_system()) + request->timeout_ms};
    struct mr_bytes bytes;
    int rc = mr_http_url_parse(request->url, &fetch.url, error);

    mr_bytes_init(&bytes);
    if (rc == 0) {
        rc = dial(&fetch);
    }
    if (rc == 0) {
        rc = converse(&fetch, &bytes);
    }
    if (rc == 0) {
        rc = mr_http_answer_parse(bytes.data, bytes.size_bytes, ret_status, body);
        if (rc != 0) {
            (void)mr_fail(error, rc, "%s: its answer", fetch.url.host);
        }
    }
    SSL_free(fetch.ssl);
    SSL_CTX_free(fetch.context);
    hang_up(&fetch);
    if (bytes.data != NULL) {
        OPENSSL_cleanse(bytes.data, bytes.size_bytes); /* there may be a token in it */
    }
    mr_bytes_done(&bytes);
    return rc;
}
