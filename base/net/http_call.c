/* HTTP/1.0 (RFC 1945): the answer ends with the connection, and nothing in it is chunked. libcurl
 * would do the same with forty libraries that every node would then load. */
#include "base/net/http_call.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/net/tls_stream.h"

enum { HEAD_SIZE_MAX = 64 << 10, PIECE_SIZE = 16 << 10 };

struct caller {
    const struct mr_http_call *call;
    char name[300]; /* for errors */
    int fd;
    SSL_CTX *context;
    SSL *tls; /* NULL: plain */
    struct mr_error *error;
};

static int fail_errno(const struct caller *caller, int number)
{
    if (number == EAGAIN || number == EWOULDBLOCK || number == EINPROGRESS) {
        return mr_fail(caller->error, MR_ETIMEDOUT, "%s", caller->name);
    }
    return number == ENOENT && caller->call->socket_path != NULL
               ? mr_fail_text(caller->error, MR_ENETWORK, "%s: no node is there", caller->name)
               : mr_fail_errno(caller->error, number, "%s", caller->name);
}

static int fail_tls(const struct caller *caller, int rc)
{
    long verdict = caller->tls != NULL ? SSL_get_verify_result(caller->tls) : X509_V_OK;
    const char *words = ERR_reason_error_string(ERR_peek_last_error());

    if (verdict != X509_V_OK) {
        return mr_fail_text(caller->error, MR_EAUTH, "%s: its certificate is not taken: %s",
                            caller->name, X509_verify_cert_error_string(verdict));
    }
    return mr_fail_text(caller->error, rc, "%s: TLS: %s", caller->name,
                        words != NULL ? words : "the connection has ended");
}

/* ---- connecting ---- */

static int try_connect(const struct caller *caller, int family, const struct sockaddr *address,
                       socklen_t size, int *ret_fd)
{
    int timeout_ms = caller->call->timeout_ms;
    struct timeval timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return errno;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(fd, address, size) != 0) {
        int number = errno;
        (void)close(fd);
        return number;
    }
    *ret_fd = fd;
    return 0;
}

static int dial_local(struct caller *caller)
{
    const char *path = caller->call->socket_path;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    int number;

    if (size >= sizeof address.sun_path) {
        return mr_fail(caller->error, MR_ETOOLARGE, "%s", path);
    }
    memcpy(address.sun_path, path, size);
    number = try_connect(caller, AF_UNIX, (const struct sockaddr *)(const void *)&address,
                         sizeof address, &caller->fd);
    return number == 0 ? 0 : fail_errno(caller, number);
}

static int dial_tcp(struct caller *caller)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int number = EADDRNOTAVAIL;
    char port[8];
    int rc;

    (void)snprintf(port, sizeof port, "%u", caller->call->port);
    rc = getaddrinfo(caller->call->host, port, &hints, &list);
    if (rc != 0) {
        return mr_fail_text(caller->error, MR_ENETWORK, "%s: %s", caller->name, gai_strerror(rc));
    }
    for (const struct addrinfo *info = list; info != NULL && caller->fd < 0; info = info->ai_next) {
        number = try_connect(caller, info->ai_family, info->ai_addr, info->ai_addrlen, &caller->fd);
    }
    freeaddrinfo(list);
    return caller->fd >= 0 ? 0 : fail_errno(caller, number);
}

static int load_authorities(const struct caller *caller)
{
    const char *ca = caller->call->ca;

    if ((ca != NULL ? SSL_CTX_load_verify_file(caller->context, ca)
                    : SSL_CTX_set_default_verify_paths(caller->context)) == 1) {
        return 0;
    }
    return mr_fail_text(caller->error, MR_EINVAL, "%s holds no certificates",
                        ca != NULL ? ca : "the system");
}

/* The name is an IP address or a host's; each is looked for where it stands in a certificate. */
static bool expect_name(const struct caller *caller)
{
    const char *host = caller->call->host;
    X509_VERIFY_PARAM *parameters = SSL_get0_param(caller->tls);

    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1) {
        return true;
    }
    return SSL_set1_host(caller->tls, host) == 1 && tls_say_name(caller->tls, host);
}

static int shake_hands(struct caller *caller)
{
    int rc;

    ERR_clear_error();
    caller->context = SSL_CTX_new(TLS_client_method());
    if (caller->context == NULL) {
        return mr_fail(caller->error, MR_ENOMEM, "TLS");
    }
    (void)SSL_CTX_set_min_proto_version(caller->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(caller->context, SSL_VERIFY_PEER, NULL);
    /* The end of an answer is where its connection ends: Content-Length is compared as well. */
    (void)SSL_CTX_set_options(caller->context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    rc = load_authorities(caller);
    if (rc != 0) {
        return rc;
    }
    caller->tls = SSL_new(caller->context);
    if (caller->tls == NULL || SSL_set_fd(caller->tls, caller->fd) != 1 || !expect_name(caller)) {
        return mr_fail(caller->error, MR_ENOMEM, "TLS");
    }
    return SSL_connect(caller->tls) == 1 ? 0 : fail_tls(caller, MR_ENETWORK);
}

static int dial(struct caller *caller)
{
    const struct mr_http_call *call = caller->call;
    int rc;

    if (call->socket_path != NULL) {
        (void)snprintf(caller->name, sizeof caller->name, "%s", call->socket_path);
        return dial_local(caller);
    }
    (void)snprintf(caller->name, sizeof caller->name, "%s:%u", call->host, call->port);
    rc = dial_tcp(caller);
    return rc == 0 && call->is_tls ? shake_hands(caller) : rc;
}

/* ---- the request and its answer ---- */

static int send_all(const struct caller *caller, const struct mr_bytes *request)
{
    for (size_t at = 0; at < request->size_bytes;) {
        const uint8_t *data = request->data + at;
        size_t left = request->size_bytes - at;
        ssize_t count = caller->tls != NULL ? SSL_write(caller->tls, data, (int)left)
                                            : send(caller->fd, data, left, MSG_NOSIGNAL);
        if (count <= 0 && caller->tls != NULL) {
            return fail_tls(caller, MR_ENETWORK);
        }
        if (count < 0 && errno != EINTR) {
            return fail_errno(caller, errno);
        }
        at += count > 0 ? (size_t)count : 0;
    }
    return 0;
}

/* Appends what comes; *ret_is_end. */
static int receive_some(const struct caller *caller, struct mr_bytes *answer, bool *ret_is_end)
{
    uint8_t *to = answer->data + answer->size_bytes;
    ssize_t count;

    errno = 0;
    count = caller->tls != NULL ? SSL_read(caller->tls, to, PIECE_SIZE)
                                : recv(caller->fd, to, PIECE_SIZE, 0);
    *ret_is_end = count == 0;
    if (count < 0 && caller->tls != NULL) {
        int why = SSL_get_error(caller->tls, (int)count);
        *ret_is_end = why == SSL_ERROR_ZERO_RETURN;
        if (why == SSL_ERROR_WANT_READ || (why == SSL_ERROR_SYSCALL && errno == EAGAIN)) {
            return mr_fail(caller->error, MR_ETIMEDOUT, "%s", caller->name);
        }
        return *ret_is_end ? 0 : fail_tls(caller, MR_ENETWORK);
    }
    if (count < 0 && errno != EINTR) {
        return fail_errno(caller, errno);
    }
    answer->size_bytes += count > 0 ? (size_t)count : 0;
    return 0;
}

static int receive_all(const struct caller *caller, struct mr_bytes *answer)
{
    bool is_end = false;

    while (!is_end) {
        int rc;
        if (mr_bytes_reserve(answer, PIECE_SIZE) != 0) {
            return mr_fail(caller->error, MR_ENOMEM, "%s", caller->name);
        }
        rc = receive_some(caller, answer, &is_end);
        if (rc != 0) {
            return rc;
        }
        if (answer->size_bytes > caller->call->answer_size_bytes_max + HEAD_SIZE_MAX) {
            return mr_fail(caller->error, MR_ETOOLARGE, "%s: the answer", caller->name);
        }
    }
    return 0;
}

/* The number behind Content-Length in a head, or -1. */
static long long length_of(const uint8_t *head, size_t size)
{
    static const char name[] = "\r\nContent-Length: ";
    const char *at = memmem(head, size, name, sizeof name - 1);

    return at != NULL ? strtoll(at + sizeof name - 1, NULL, 10) : -1;
}

/* "HTTP/1.1 200 OK", headers, an empty line, the body. */
static int split(const struct mr_bytes *answer, int *ret_status, struct mr_bytes *body)
{
    const uint8_t *data = answer->data;
    const uint8_t *end = memmem(data, answer->size_bytes, "\r\n\r\n", 4);
    char number[4] = "";
    long long length;
    size_t size;

    if (end == NULL || answer->size_bytes < 12 || memcmp(data, "HTTP/1.", 7) != 0 ||
        data[8] != ' ') {
        return MR_EPROTOCOL;
    }
    memcpy(number, data + 9, 3);
    *ret_status = (int)strtol(number, NULL, 10);
    length = length_of(data, (size_t)(end - data) + 4);
    end += 4;
    size = answer->size_bytes - (size_t)(end - data);
    if (length > (long long)size) {
        return MR_ETRUNCATED;
    }
    mr_bytes_append(body, end, size);
    return body->failed;
}

static int make_request(const struct mr_http_call *call, struct mr_bytes *request)
{
    mr_bytes_printf(request, "%s %s HTTP/1.0\r\n", call->method != NULL ? call->method : "GET",
                    call->path);
    if (call->socket_path != NULL) {
        mr_bytes_text(request, "Host: localhost\r\n");
    } else {
        bool is_v6 = strchr(call->host, ':') != NULL;
        mr_bytes_printf(request, "Host: %s%s%s:%u\r\n", is_v6 ? "[" : "", call->host,
                        is_v6 ? "]" : "", call->port);
    }
    if (call->token != NULL) {
        mr_bytes_printf(request, "Authorization: Bearer %s\r\n", call->token);
    }
    if (call->body != NULL) {
        mr_bytes_printf(request, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                        call->body_size_bytes);
    }
    mr_bytes_text(request, "\r\n");
    mr_bytes_append(request, call->body, call->body != NULL ? call->body_size_bytes : 0);
    return request->failed;
}

int mr_http_call(const struct mr_http_call *call, int *ret_status, struct mr_bytes *body,
                 struct mr_error *error)
{
    struct caller caller = {.call = call, .fd = -1, .error = error};
    struct mr_bytes bytes;
    int rc;

    mr_bytes_init(&bytes);
    rc = make_request(call, &bytes) != 0 ? mr_fail(error, MR_ENOMEM, "request") : dial(&caller);
    if (rc == 0) {
        rc = send_all(&caller, &bytes);
    }
    if (bytes.data != NULL) {
        explicit_bzero(bytes.data, bytes.size_bytes); /* the token */
    }
    if (rc == 0) {
        mr_bytes_clear(&bytes);
        rc = receive_all(&caller, &bytes);
    }
    if (rc == 0) {
        rc = split(&bytes, ret_status, body);
        if (rc != 0) {
            (void)mr_fail(error, rc, "%s", caller.name);
        }
    }
    SSL_free(caller.tls);
    SSL_CTX_free(caller.context);
    if (caller.fd >= 0) {
        (void)close(caller.fd);
    }
    mr_bytes_done(&bytes);
    return rc;
}
