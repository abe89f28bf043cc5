#include "base/net/bound_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/error.h"
#include "base/net/stream.h"

/* Whether somebody accepts connections there. A backlog that is full counts: it belongs to someone.
 */
static bool is_answered(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is_refused;

    if (fd < 0) {
        return true; /* not known, so nothing is removed */
    }
    is_refused =
        connect(fd, (const struct sockaddr *)(const void *)address, sizeof *address) != 0 &&
        errno == ECONNREFUSED;
    (void)close(fd);
    return !is_refused;
}

static int remove_stale(const struct sockaddr_un *address, struct mr_error *error)
{
    struct stat file;

    if (lstat(address->sun_path, &file) != 0) {
        return errno == ENOENT ? 0 : mr_fail_errno(error, errno, "'%s'", address->sun_path);
    }
    if (!S_ISSOCK(file.st_mode)) {
        return mr_fail_text(error, MR_EEXIST, "'%s' is there and is not a socket",
                            address->sun_path);
    }
    if (is_answered(address)) {
        return mr_fail_text(error, MR_EBUSY, "another process listens on '%s'", address->sun_path);
    }
    if (unlink(address->sun_path) != 0 && errno != ENOENT) {
        return mr_fail_errno(error, errno, "remove the stale socket '%s'", address->sun_path);
    }
    return 0;
}

/* By a descriptor of the file, so that whoever can write to its directory cannot have the rights of
 * another file changed. The owner first: a change of owner may take bits off the mode. */
static int set_rights(const char *path, const struct mr_listen_options *options,
                      struct stat *ret_file, struct mr_error *error)
{
    char by_descriptor[64];
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int rc = 0;

    if (fd < 0 || fstat(fd, ret_file) != 0) {
        rc = mr_fail_errno(error, errno, "'%s'", path);
    } else if (!S_ISSOCK(ret_file->st_mode) || ret_file->st_uid != geteuid()) {
        rc = mr_fail_text(error, MR_EBUSY, "'%s' was replaced by another process", path);
    } else if ((options->has_unix_owner || options->has_unix_group) &&
               fchownat(fd, "", options->has_unix_owner ? options->unix_owner : (uid_t)-1,
                        options->has_unix_group ? options->unix_group : (gid_t)-1,
                        AT_EMPTY_PATH) != 0) {
        rc = mr_fail_errno(error, errno,
                           "owner and group of '%s' (the process must be a member of the group, or "
                           "have the capability CAP_CHOWN)",
                           path);
    }
    (void)snprintf(by_descriptor, sizeof by_descriptor, "/proc/self/fd/%d", fd);
    if (rc == 0 && chmod(by_descriptor, options->unix_mode) != 0 &&
        (errno != ENOENT || chmod(path, options->unix_mode) != 0)) { /* there is no /proc */
        rc = mr_fail_errno(error, errno, "mode of '%s'", path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

static int bind_unix(struct bound_socket *self, const struct mr_address *address,
                     const struct mr_listen_options *options, struct mr_error *error)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct stat file;
    int rc;

    if (strlen(address->host) >= sizeof name.sun_path) {
        return mr_fail_text(error, MR_EINVAL, "the path '%s' is too long for a socket",
                            address->host);
    }
    memcpy(name.sun_path, address->host, strlen(address->host) + 1);
    self->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0) {
        return mr_fail_errno(error, errno, "socket");
    }
    rc = remove_stale(&name, error);
    if (rc != 0) {
        return rc;
    }
    /* The file begins with no rights at all, whatever the umask, and nothing listens yet. */
    if (fchmod(self->fd, 0) != 0 ||
        bind(self->fd, (const struct sockaddr *)(const void *)&name, sizeof name) != 0) {
        return mr_fail_errno(error, errno, "bind '%s'", name.sun_path);
    }
    memcpy(self->path, name.sun_path, sizeof self->path);
    rc = set_rights(name.sun_path, options, &file, error);
    if (rc != 0) {
        return rc;
    }
    self->device = file.st_dev;
    self->inode = file.st_ino;
    return 0;
}

static int bind_one(struct bound_socket *self, const struct addrinfo *info,
                    const struct mr_listen_options *options)
{
    const int on = 1;
    const int off = 0;
    int error_number;

    self->fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0) {
        return errno;
    }
    (void)setsockopt(self->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (options->reuse_port) {
        (void)setsockopt(self->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on); /* bind tells */
    }
    if (info->ai_family == AF_INET6) { /* [::] takes both families, whatever the system's default */
        (void)setsockopt(self->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if (bind(self->fd, info->ai_addr, info->ai_addrlen) == 0) {
        return 0;
    }
    error_number = errno;
    (void)close(self->fd);
    self->fd = -1;
    return error_number;
}

/* Waits for the name server where a name is given: listeners are opened at start, when nothing runs
 * yet. A name that stands for both families is taken by its IPv4 address, as clients expect of
 * localhost. */
static int bind_tcp(struct bound_socket *self, const struct mr_address *address,
                    const struct mr_listen_options *options, struct mr_error *error)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char port[8];
    int error_number = EADDRNOTAVAIL;
    int rc;

    (void)snprintf(port, sizeof port, "%u", address->port);
    rc = getaddrinfo(address->host, port, &hints, &list);
    if (rc != 0) {
        return mr_fail_text(error, MR_ENETWORK, "host '%s': %s", address->host, gai_strerror(rc));
    }
    for (size_t i = 0; i < 2 && self->fd < 0; i++) {
        for (struct addrinfo *info = list; info != NULL && self->fd < 0; info = info->ai_next) {
            if (info->ai_family == families[i]) {
                error_number = bind_one(self, info, options);
            }
        }
    }
    freeaddrinfo(list);
    if (self->fd < 0) {
        return error_number == EADDRINUSE
                   ? mr_fail_text(error, MR_EBUSY, "the port is in use by another process")
                   : mr_fail_errno(error, error_number, "bind");
    }
    return 0;
}

/* From socket activation: bound already, and its file is not ours to remove. */
static int take_inherited(struct bound_socket *self, int fd, struct mr_error *error)
{
    int is_listening = 0;
    socklen_t length = sizeof is_listening;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) != 0 ||
        is_listening == 0) {
        return mr_fail_text(error, MR_EINVAL,
                            "the inherited descriptor %d is not a listening socket", fd);
    }
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        return mr_fail_errno(error, errno, "the inherited descriptor %d", fd);
    }
    self->fd = fd;
    return 0;
}

void bound_socket_close(struct bound_socket *self)
{
    struct stat file;

    /* Someone may have replaced it meanwhile: then it is theirs. */
    if (self->path[0] != '\0' && lstat(self->path, &file) == 0 && file.st_dev == self->device &&
        file.st_ino == self->inode) {
        (void)unlink(self->path); /* else the next start removes it as stale */
    }
    if (self->fd >= 0) {
        (void)close(self->fd);
    }
}

int bound_socket_open(struct bound_socket *self, const struct mr_address *address,
                      const struct mr_listen_options *options, struct mr_error *error)
{
    int rc;

    *self = (struct bound_socket){.fd = -1};
    if (options->inherited_fd > 0) {
        return take_inherited(self, options->inherited_fd, error);
    }
    rc = address->is_unix ? bind_unix(self, address, options, error)
                          : bind_tcp(self, address, options, error);
    if (rc == 0 && listen(self->fd, options->backlog) != 0) {
        rc = errno == EADDRINUSE
                 ? mr_fail_text(error, MR_EBUSY, "the port is in use by another process")
                 : mr_fail_errno(error, errno, "listen");
    }
    if (rc != 0) {
        bound_socket_close(self);
    }
    return rc;
}
