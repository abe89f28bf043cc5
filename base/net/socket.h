/* What plain and TLS streams share of a kernel socket. */
#ifndef BASE_NET_SOCKET_H
#define BASE_NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct mr_net;
struct mr_stream;

/* TCP_NODELAY (pieces are gathered by us), keep-alive within two minutes. */
void socket_prepare(int fd);
bool socket_is_unix(int fd);
/* Fills peer and local name of a connected socket; one within this host gets no congestion control
 * that paces. */
void socket_meet(int fd, struct mr_stream *stream);
/* "127.0.0.1:5123", "[::1]:5123", "unix", "unix:/run/x.sock" */
void socket_name(const struct sockaddr *address, socklen_t length, char *text, size_t size);
/* recv and sendmsg with our codes: > 0, MR_EAGAIN, MR_EOF (reading), MR_ENETWORK. */
ssize_t socket_read(int fd, void *data, size_t size_bytes);
ssize_t socket_write(int fd, const struct iovec *parts, int count, bool more);
ssize_t socket_read_parts(int fd, struct iovec *parts, int count);
/* sendfile with our codes: > 0, MR_EAGAIN, MR_EIO, MR_ETRUNCATED (the file ends before the range),
 * or MR_ENETWORK. */
ssize_t socket_send_file(int fd, int file_fd, int64_t position, size_t size_bytes);
/* 0, or MR_ENETWORK of a socket that was reset. */
int socket_check(int fd);
/* reset: nothing that is unsent leaves, the peer sees an error. */
void socket_close(int fd, bool is_reset);
int socket_credentials(int fd, uid_t *ret_uid, gid_t *ret_gid, pid_t *ret_pid);

/* A plain stream over a connected, non-blocking socket. Takes fd if it succeeds. */
int socket_stream_new(struct mr_net *net, int fd, struct mr_stream **ret_stream);

#endif
