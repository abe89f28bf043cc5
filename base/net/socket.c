/* Plain streams over kernel sockets: recv, sendmsg with MSG_MORE, sendfile under TCP_CORK.
 *
 * sendfile knows no "more follows", so a range with pieces behind it is corked; taking the cork out
 * sends the rest, and also what MSG_MORE held back. */
#include "base/net/socket.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/core/memory.h"
#include "base/net/net_internal.h"
#include "base/net/stream_internal.h"

struct socket_stream {
    struct mr_stream stream;
    struct mr_io io;
    int fd;
    bool is_unix;
    bool is_corked;
    bool is_held; /* bytes may wait in the kernel for more */
};

static struct socket_stream *socket_of(struct mr_stream *stream)
{
    return mr_container(stream, struct socket_stream, stream);
}

static void set_int(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value); /* refused: only slower */
}

void socket_prepare(int fd)
{
    if (socket_is_unix(fd)) {
        return;
    }
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 6);
}

bool socket_is_unix(int fd)
{
    int domain = 0;
    socklen_t length = sizeof domain;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX;
}

void socket_name(const struct sockaddr *address, socklen_t length, char *text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "";

    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;

        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        (void)snprintf(text, size, "%s:%u", host, ntohs(in->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);

        if (is_mapped) { /* a socket of both families; people know the peer by its own address */
            (void)inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], host, sizeof host);
        } else {
            (void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        }
        (void)snprintf(text, size, is_mapped ? "%s:%u" : "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)address;
        size_t path_size = length > offsetof(struct sockaddr_un, sun_path)
                               ? length - offsetof(struct sockaddr_un, sun_path)
                               : 0;

        if (path_size > 0 && un->sun_path[0] != '\0') {
            (void)snprintf(text, size, "unix:%.*s", (int)strnlen(un->sun_path, path_size),
                           un->sun_path);
        } else {
            (void)snprintf(text, size, "unix");
        }
    }
}

union any_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage storage;
};

/* Both ends of a TCP connection have one address: it never leaves this host. */
static bool is_same_host(const union any_address *a, const union any_address *b)
{
    if (a->any.sa_family != b->any.sa_family) {
        return false;
    }
    if (a->any.sa_family == AF_INET) {
        return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    }
    return a->any.sa_family == AF_INET6 && IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
}

void socket_meet(int fd, struct mr_stream *stream)
{
    static const char plainest[] = "reno"; /* in every kernel, and free for everybody */
    union any_address peer = {.any = {.sa_family = AF_UNSPEC}};
    union any_address local = peer;
    socklen_t length = sizeof peer;

    if (getpeername(fd, &peer.any, &length) == 0) {
        socket_name(&peer.any, length, stream->peer, sizeof stream->peer);
    }
    length = sizeof local;
    if (getsockname(fd, &local.any, &length) == 0) {
        socket_name(&local.any, length, stream->local, sizeof stream->local);
    }
    if (is_same_host(&peer, &local)) {
        /* There is no path to share. BBR, many a host's default, would measure one and pace by
         * timers, which takes a fifth more CPU and halves what a quiet host carries. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, plainest, sizeof plainest - 1);
    }
}

ssize_t socket_read(int fd, void *data, size_t size_bytes)
{
    struct iovec part = {data, size_bytes};

    return socket_read_parts(fd, &part, 1);
}

ssize_t socket_read_parts(int fd, struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    ssize_t rc;

    do {
        rc = recvmsg(fd, &message, MSG_DONTWAIT);
    } while (rc < 0 && errno == EINTR);
    if (rc > 0) {
        return rc;
    }
    if (rc == 0) {
        return MR_EOF;
    }
    return errno == EAGAIN ? MR_EAGAIN : MR_ENETWORK;
}

ssize_t socket_write(int fd, const struct iovec *parts, int count, bool more)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                             .msg_iovlen = (size_t)count};
    ssize_t rc;

    do {
        rc = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    } while (rc < 0 && errno == EINTR);
    if (rc >= 0) {
        return rc;
    }
    return errno == EAGAIN ? MR_EAGAIN : MR_ENETWORK;
}

ssize_t socket_send_file(int fd, int file_fd, int64_t position, size_t size_bytes)
{
    off_t offset = position;
    ssize_t rc;

    do {
        rc = sendfile(fd, file_fd, &offset, size_bytes);
    } while (rc < 0 && errno == EINTR);
    if (rc > 0) {
        return rc;
    }
    if (rc == 0) {
        return MR_ETRUNCATED;
    }
    if (errno == EAGAIN) {
        return MR_EAGAIN;
    }
    return errno == EIO ? MR_EIO : MR_ENETWORK;
}

int socket_check(int fd)
{
    int error_number = 0;
    socklen_t length = sizeof error_number;

    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error_number, &length); /* fd is a socket */
    return error_number == 0 ? 0 : MR_ENETWORK;
}

void socket_close(int fd, bool is_reset)
{
    if (is_reset) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};

        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    (void)close(fd); /* nothing can be done about a failure */
}

int socket_credentials(int fd, uid_t *ret_uid, gid_t *ret_gid, pid_t *ret_pid)
{
    struct ucred credentials;
    socklen_t length = sizeof credentials;

    if (!socket_is_unix(fd) ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
        return MR_EUNSUPPORTED;
    }
    *ret_uid = credentials.uid;
    *ret_gid = credentials.gid;
    *ret_pid = credentials.pid;
    return 0;
}

/* ---- the transport ---- */

static ssize_t plain_read(struct mr_stream *stream, void *data, size_t size_bytes)
{
    return socket_read(socket_of(stream)->fd, data, size_bytes);
}

static ssize_t plain_write(struct mr_stream *stream, const struct iovec *parts, int count,
                           bool more)
{
    struct socket_stream *self = socket_of(stream);
    ssize_t rc = socket_write(self->fd, parts, count, more);

    if (rc > 0) {
        self->is_held = more;
    }
    return rc;
}

static void set_cork(struct socket_stream *self, bool is_corked)
{
    if (!self->is_unix) {
        set_int(self->fd, IPPROTO_TCP, TCP_CORK, is_corked);
    }
    self->is_corked = is_corked;
}

static ssize_t plain_write_file(struct mr_stream *stream, int fd, int64_t position,
                                size_t size_bytes, bool more)
{
    struct socket_stream *self = socket_of(stream);
    ssize_t rc;

    if (more && !self->is_corked) {
        set_cork(self, true);
    }
    rc = socket_send_file(self->fd, fd, position, size_bytes);
    if (rc > 0) {
        self->is_held = false; /* but for the cork */
    }
    return rc;
}

static void plain_push(struct mr_stream *stream)
{
    struct socket_stream *self = socket_of(stream);

    if (self->is_corked || self->is_held) {
        set_cork(self, false);
        self->is_held = false;
    }
}

static int plain_shutdown(struct mr_stream *stream)
{
    struct socket_stream *self = socket_of(stream);

    return shutdown(self->fd, SHUT_WR) == 0 ? 0 : MR_ENETWORK;
}

static void plain_want(struct mr_stream *stream, int events)
{
    mr_io_want(&socket_of(stream)->io, events);
}

static int plain_check(struct mr_stream *stream)
{
    return socket_check(socket_of(stream)->fd);
}

static void plain_close(struct mr_stream *stream, bool is_abort)
{
    struct socket_stream *self = socket_of(stream);

    mr_io_stop(&self->io);
    socket_close(self->fd, is_abort);
}

static int plain_credentials(const struct mr_stream *stream, uid_t *ret_uid, gid_t *ret_gid,
                             pid_t *ret_pid)
{
    const struct socket_stream *self =
        (const struct socket_stream *)(const void *)stream; /* its first member */

    return socket_credentials(self->fd, ret_uid, ret_gid, ret_pid);
}

static const struct mr_stream_ops plain_ops = {
    .read = plain_read,
    .write = plain_write,
    .write_file = plain_write_file,
    .push = plain_push,
    .shutdown = plain_shutdown,
    .want = plain_want,
    .check = plain_check,
    .close = plain_close,
    .credentials = plain_credentials,
};

static void on_io(struct mr_io *io, int events)
{
    struct socket_stream *self = io->owner;

    stream_on_ready(&self->stream, events);
}

int socket_stream_new(struct mr_net *net, int fd, struct mr_stream **ret_stream)
{
    struct socket_stream *self = mr_calloc(1, sizeof *self);
    int rc;

    static_assert(offsetof(struct socket_stream, stream) == 0, "freed by stream.c as one");
    if (self == NULL) {
        return MR_ENOMEM;
    }
    self->fd = fd;
    self->is_unix = socket_is_unix(fd);
    stream_init(&self->stream, &plain_ops, net->loop, net);
    rc = mr_io_start(&self->io, net->loop, fd, on_io, self);
    if (rc != 0) {
        mr_free(self);
        return rc;
    }
    socket_meet(fd, &self->stream);
    *ret_stream = &self->stream;
    return 0;
}
