#include "base/net/http_fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/core/buffer.h"
#include "base/core/clock.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/net/http_url.h"
#include "base/net/tls_stream.h"

enum { HEAD_SIZE_MAX = 64 << 10, PIECE_SIZE = 16 << 10, CREDENTIALS_SIZE_MAX = 4096 };

/* ---- one connection ---- */

struct fetch {
    const struct mr_http_fetch *request;
    struct mr_http_url url;
    char host[MR_HTTP_HOST_SIZE_MAX + 16]; /* and port, as in the URL */
    const char *name;                      /* of the other side, for words */
    struct mr_error *error;
    int64_t deadline_ms;
    int fd;
    SSL_CTX *context;
    SSL *ssl; /* NULL: plain */
};

static int64_t time_left_ms(const struct fetch *fetch)
{
    int64_t wait_ms =
        fetch->request->wait_timeout_ms > 0 ? fetch->request->wait_timeout_ms : INT_MAX;
    int64_t left_ms = fetch->deadline_ms - mr_clock_monotonic_ms(mr_clock_system());

    return left_ms < wait_ms ? left_ms : wait_ms;
}

static int wait_for(struct fetch *fetch, short events)
{
    struct pollfd poll_fd = {.fd = fetch->fd, .events = events};

    for (;;) {
        int64_t left_ms = time_left_ms(fetch);
        int count = left_ms > 0 ? poll(&poll_fd, 1, (int)left_ms) : 0;
        if (count > 0) {
            return 0;
        }
        if (count == 0) {
            return mr_fail(fetch->error, MR_ETIMEDOUT, "%s", fetch->name);
        }
        if (errno != EINTR) {
            return mr_fail_errno(fetch->error, errno, "%s", fetch->name);
        }
    }
}

static int connect_to(struct fetch *fetch, const struct addrinfo *address)
{
    int number = 0;
    socklen_t size = sizeof number;

    fetch->fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fetch->fd < 0) {
        return mr_fail_errno(fetch->error, errno, "%s", fetch->name);
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
    return number == 0 ? 0 : mr_fail_errno(fetch->error, number, "%s", fetch->name);
}

static void hang_up(struct fetch *fetch)
{
    if (fetch->fd >= 0) {
        (void)close(fetch->fd);
        fetch->fd = -1;
    }
}

/* The first address that answers. */
static int dial_tcp(struct fetch *fetch)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char port[8];
    int rc;

    (void)snprintf(port, sizeof port, "%u", fetch->url.port);
    rc = getaddrinfo(fetch->url.host, port, &hints, &list);
    if (rc != 0) {
        return mr_fail_text(fetch->error, MR_ENETWORK, "%s: %s", fetch->name, gai_strerror(rc));
    }
    rc = MR_ENETWORK;
    for (const struct addrinfo *at = list; at != NULL && rc != 0; at = at->ai_next) {
        hang_up(fetch);
        rc = connect_to(fetch, at);
    }
    freeaddrinfo(list);
    return rc;
}

/* Waits in connect for room in the backlog, since poll does not tell of it. */
static int dial_local(struct fetch *fetch)
{
    const char *path = fetch->request->socket_path;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int64_t left_ms = time_left_ms(fetch);
    struct timeval timeout = {left_ms / 1000, left_ms % 1000 * 1000};

    if (strlen(path) >= sizeof address.sun_path) {
        return mr_fail(fetch->error, MR_ETOOLARGE, "%s", fetch->name);
    }
    memcpy(address.sun_path, path, strlen(path));
    fetch->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fetch->fd < 0) {
        return mr_fail_errno(fetch->error, errno, "%s", fetch->name);
    }
    (void)setsockopt(fetch->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(fetch->fd, (const struct sockaddr *)(const void *)&address, sizeof address) != 0) {
        return errno == EAGAIN ? mr_fail(fetch->error, MR_ETIMEDOUT, "%s", fetch->name)
                               : mr_fail_errno(fetch->error, errno, "%s", fetch->name);
    }
    return fcntl(fetch->fd, F_SETFL, O_NONBLOCK) == 0
               ? 0
               : mr_fail_errno(fetch->error, errno, "%s", fetch->name);
}

static int dial(struct fetch *fetch)
{
    bool is_v6 = strchr(fetch->url.host, ':') != NULL;

    (void)snprintf(fetch->host, sizeof fetch->host, is_v6 ? "[%s]:%u" : "%s:%u", fetch->url.host,
                   fetch->url.port);
    fetch->name = fetch->host;
    if (fetch->request->socket_path == NULL) {
        return dial_tcp(fetch);
    }
    fetch->name = fetch->request->socket_path;
    return dial_local(fetch);
}

/* ---- TLS ---- */

static int tls_failed(struct fetch *fetch)
{
    long verdict = fetch->ssl != NULL ? SSL_get_verify_result(fetch->ssl) : X509_V_OK;
    unsigned long code = ERR_peek_last_error();
    const char *words = code != 0 ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    if (verdict != X509_V_OK) {
        return mr_fail_text(fetch->error, MR_EAUTH, "%s: its certificate is not taken: %s",
                            fetch->name, X509_verify_cert_error_string(verdict));
    }
    return mr_fail_text(fetch->error, MR_ENETWORK, "%s: TLS: %s", fetch->name,
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

/* There may be a secret in it. */
static void wipe(struct mr_bytes *bytes)
{
    if (bytes->data != NULL) {
        OPENSSL_cleanse(bytes->data, bytes->size_bytes);
    }
    mr_bytes_done(bytes);
}

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
    (void)mr_bytes_reserve(&pair, CREDENTIALS_SIZE_MAX); /* growing would leave copies behind */
    write_encoded(&pair, request->user);
    mr_bytes_text(&pair, ":");
    write_encoded(&pair, request->password != NULL ? request->password : "");
    if (pair.failed == 0 && pair.size_bytes <= CREDENTIALS_SIZE_MAX) {
        (void)EVP_EncodeBlock(text, pair.data, (int)pair.size_bytes);
        mr_bytes_printf(out, "Authorization: Basic %s\r\n", (const char *)text);
    }
    OPENSSL_cleanse(text, sizeof text);
    wipe(&pair);
}

static int write_request(const struct fetch *fetch, struct mr_bytes *out)
{
    const struct mr_http_fetch *request = fetch->request;
    const char *method = request->body != NULL ? "POST" : "GET";

    (void)mr_bytes_reserve(out, PIECE_SIZE); /* likewise */
    mr_bytes_printf(out,
                    "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
                    "Accept: application/json\r\nUser-Agent: millrace\r\n",
                    request->method != NULL ? request->method : method,
                    fetch->url.path[0] != '\0' ? fetch->url.path : "/", fetch->host);
    if (request->token != NULL) {
        mr_bytes_printf(out, "Authorization: Bearer %s\r\n", request->token);
    } else if (request->user != NULL) {
        write_credentials(request, out);
    }
    if (request->body != NULL) {
        mr_bytes_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n", request->content_type,
                        request->body_size_bytes);
    }
    mr_bytes_text(out, "\r\n");
    mr_bytes_append(out, request->body, request->body != NULL ? request->body_size_bytes : 0);
    return out->failed == 0 ? 0 : mr_fail(fetch->error, MR_ENOMEM, "%s", fetch->name);
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
                     : mr_fail_errno(fetch->error, errno, "%s", fetch->name);
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
                     : mr_fail_errno(fetch->error, errno, "%s", fetch->name);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int ask(struct fetch *fetch)
{
    struct mr_bytes bytes;
    int rc;

    mr_bytes_init(&bytes);
    rc = write_request(fetch, &bytes);
    if (rc == 0) {
        rc = send_all(fetch, bytes.data, bytes.size_bytes);
    }
    wipe(&bytes);
    return rc;
}

static int hear(struct fetch *fetch, struct mr_bytes *bytes)
{
    ssize_t count = 1;

    while (count > 0) {
        if (mr_bytes_reserve(bytes, PIECE_SIZE) != 0) {
            return mr_fail(fetch->error, MR_ENOMEM, "%s", fetch->name);
        }
        count = receive(fetch, bytes->data + bytes->size_bytes, PIECE_SIZE);
        if (count < 0) {
            return (int)count;
        }
        bytes->size_bytes += (size_t)count;
        if (bytes->size_bytes > fetch->request->answer_size_max + HEAD_SIZE_MAX) {
            return mr_fail(fetch->error, MR_ETOOLARGE, "%s: the answer", fetch->name);
        }
    }
    return 0;
}

static int converse(struct fetch *fetch, int *ret_status, struct mr_bytes *answer)
{
    struct mr_bytes bytes;
    int rc = ask(fetch);

    if (rc != 0) {
        return rc;
    }
    mr_bytes_init(&bytes);
    rc = hear(fetch, &bytes);
    if (rc == 0) {
        rc = mr_http_answer_parse(bytes.data, bytes.size_bytes, ret_status, answer);
        if (rc != 0) {
            (void)mr_fail(fetch->error, rc, "%s: its answer", fetch->name);
        }
    }
    wipe(&bytes);
    return rc;
}

int mr_http_fetch(const struct mr_http_fetch *request, int *ret_status, struct mr_bytes *answer,
                  struct mr_error *error)
{
    struct fetch fetch = {.request = request, .error = error, .fd = -1, .deadline_ms = INT64_MAX};
    int rc = mr_http_url_parse(request->url, &fetch.url, error);

    if (request->timeout_ms > 0) {
        fetch.deadline_ms = mr_clock_monotonic_ms(mr_clock_system()) + request->timeout_ms;
    }
    if (rc == 0) {
        rc = dial(&fetch);
    }
    if (rc == 0 && fetch.url.is_tls) {
        rc = tls_start(&fetch);
    }
    if (rc == 0) {
        rc = converse(&fetch, ret_status, answer);
    }
    SSL_free(fetch.ssl);
    SSL_CTX_free(fetch.context);
    hang_up(&fetch);
    return rc;
}
