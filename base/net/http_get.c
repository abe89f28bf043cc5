/* HTTP/1.0 (RFC 1945): the answer ends with the connection, and nothing in it is chunked. libcurl
 * would do the same with forty libraries that every node would then load. */
#include "base/net/http_get.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/core/buffer.h"
#include "base/core/error.h"

enum { HEAD_SIZE_MAX = 64 << 10, PIECE_SIZE = 16 << 10 };

static int fail_errno(struct mr_error *error, int number, const char *socket_path)
{
    if (number == EAGAIN || number == EWOULDBLOCK) {
        return mr_fail(error, MR_ETIMEDOUT, "%s", socket_path);
    }
    return number == ENOENT ? mr_fail_text(error, MR_ENETWORK, "%s: no node is there", socket_path)
                            : mr_fail_errno(error, number, "%s", socket_path);
}

static int dial(const char *socket_path, int timeout_ms, int *ret_fd, struct mr_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    size_t size = strlen(socket_path);
    int fd;

    if (size >= sizeof address.sun_path) {
        return mr_fail(error, MR_ETOOLARGE, "%s", socket_path);
    }
    memcpy(address.sun_path, socket_path, size);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail_errno(error, errno, socket_path);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        int number = errno;
        (void)close(fd);
        return fail_errno(error, number, socket_path);
    }
    *ret_fd = fd;
    return 0;
}

static int send_all(int fd, const struct mr_bytes *request, const char *socket_path,
                    struct mr_error *error)
{
    for (size_t at = 0; at < request->size_bytes;) {
        ssize_t count = send(fd, request->data + at, request->size_bytes - at, MSG_NOSIGNAL);
        if (count < 0 && errno != EINTR) {
            return fail_errno(error, errno, socket_path);
        }
        at += count > 0 ? (size_t)count : 0;
    }
    return 0;
}

static int receive_all(int fd, size_t size_max, struct mr_bytes *answer, const char *socket_path,
                       struct mr_error *error)
{
    for (;;) {
        if (mr_bytes_reserve(answer, PIECE_SIZE) != 0) {
            return mr_fail(error, MR_ENOMEM, "%s", socket_path);
        }
        ssize_t count = recv(fd, answer->data + answer->size_bytes, PIECE_SIZE, 0);
        if (count == 0) {
            return 0;
        }
        if (count < 0 && errno != EINTR) {
            return fail_errno(error, errno, socket_path);
        }
        answer->size_bytes += count > 0 ? (size_t)count : 0;
        if (answer->size_bytes > size_max + HEAD_SIZE_MAX) {
            return mr_fail(error, MR_ETOOLARGE, "%s: the answer", socket_path);
        }
    }
}

/* "HTTP/1.1 200 OK", headers, an empty line, the body. */
static int split(const struct mr_bytes *answer, int *ret_status, struct mr_bytes *body)
{
    const uint8_t *data = answer->data;
    const uint8_t *end = memmem(data, answer->size_bytes, "\r\n\r\n", 4);
    char number[4] = "";

    if (end == NULL || answer->size_bytes < 12 || memcmp(data, "HTTP/1.", 7) != 0 ||
        data[8] != ' ') {
        return MR_EPROTOCOL;
    }
    memcpy(number, data + 9, 3);
    *ret_status = (int)strtol(number, NULL, 10);
    end += 4;
    mr_bytes_append(body, end, answer->size_bytes - (size_t)(end - data));
    return body->failed;
}

int mr_http_get(const char *socket_path, const char *path, int timeout_ms, size_t body_size_max,
                int *ret_status, struct mr_bytes *body, struct mr_error *error)
{
    struct mr_bytes bytes;
    int fd = -1;
    int rc;

    mr_bytes_init(&bytes);
    mr_bytes_printf(&bytes, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    rc = bytes.failed != 0 ? mr_fail(error, MR_ENOMEM, "%s", socket_path)
                           : dial(socket_path, timeout_ms, &fd, error);
    if (rc == 0) {
        rc = send_all(fd, &bytes, socket_path, error);
    }
    if (rc == 0) {
        mr_bytes_clear(&bytes);
        rc = receive_all(fd, body_size_max, &bytes, socket_path, error);
    }
    if (rc == 0) {
        rc = split(&bytes, ret_status, body);
        if (rc != 0) {
            (void)mr_fail(error, rc, "%s", socket_path);
        }
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    mr_bytes_done(&bytes);
    return rc;
}
