/* Listeners: bind, accept, hand over.
 *
 * Happy path: readable -> accept up to 32 -> (TLS: handshake) -> the owner's callback. Failures, in
 * order: too many open connections: accepted and closed, so that the client learns of it at once;
 * no descriptor left: one client is refused with the reserve descriptor, and accepting rests for
 * 100 ms, since a ready listener that cannot be served would spin; too many half-open handshakes,
 * of one address or of all: see make_room; too many connections from one address: closed; made too
 * fast by one address: refusals.h; too fast for the listener: they wait in the backlog.
 *
 * A Unix socket's file appears with its mode: bind takes the mode from the socket's inode (fchmod
 * before bind), less the umask, which chmod gives back before anybody can connect (before listen).
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/core/bucket.h"
#include "base/core/hash.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/net/admission.h"
#include "base/net/net_internal.h"
#include "base/net/refusals.h"
#include "base/net/socket.h"
#include "base/net/stream_internal.h"
#include "base/net/tls_internal.h"

enum {
    ACCEPTS_PER_TURN = 32,
    STARVED_PAUSE_MS = 100,
    BACKLOG = 1024,
    UNIX_MODE = 0660,
    HANDSHAKE_TIMEOUT_MS = 10 * 1000,
    HANDSHAKES_MAX = 1000,
    CROWDS = 1024,
    ADDRESS_SHARE = 10,         /* one address may have a tenth of the half-open handshakes, */
    ADDRESS_HANDSHAKES = 16,    /* or so many, if that is less */
    HONEST_SILENCE_MS = 100,    /* the first words come with the connection */
    HONEST_HANDSHAKE_MS = 1000, /* one that lasts longer is probably not meant */
};

/* The half-open handshakes of one address, or of the few whose hash is the same. */
struct crowd {
    struct mr_link members; /* of struct half_open, oldest first; NULL before the first */
    int count;
};

struct system_listener {
    struct mr_listener listener;
    struct mr_net *net;
    struct mr_io io;
    struct mr_timer rest; /* running while starved */
    struct mr_stream_gate *gate;
    struct mr_link handshakes; /* of struct half_open, oldest first */
    int handshake_count;
    struct crowd crowds[CROWDS]; /* the same by address; empty without TLS */
    struct refusals refusals;
    struct mr_bucket accepts; /* where there is a maximum of a second */
    int fd;
    struct mr_listen_options options;
    mr_listener_cb cb;
    void *owner;
    char name[MR_ADDRESS_TEXT_SIZE];                      /* as it was asked for */
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* of our own file, or empty */
    dev_t device;
    ino_t inode;
    int depth; /* of calls on the stack; memory is freed by the outermost */
    bool is_paused;
    bool is_closed;
};

struct half_open {
    struct mr_link link;       /* of the listener */
    struct mr_link crowd_link; /* of the crowd */
    struct crowd *crowd;
    int64_t since_ms;
    struct system_listener *listener;
    struct tls_handshake *handshake;
    struct mr_admitted *admitted;
};

static struct system_listener *system_of(struct mr_listener *listener)
{
    return mr_container(listener, struct system_listener, listener);
}

static void listener_leave(struct system_listener *self)
{
    self->depth--;
    if (self->is_closed && self->depth == 0) {
        stream_gate_unref(self->gate);
        mr_free(self);
    }
}

static void want_accept(struct system_listener *self)
{
    if (!self->is_closed) {
        bool is_resting = self->is_paused || mr_timer_is_running(&self->rest);

        mr_io_want(&self->io, is_resting ? 0 : MR_IO_READ);
    }
}

/* ---- accepting ---- */

static void hand_over(struct system_listener *self, struct mr_stream *stream,
                      struct mr_admitted *admitted)
{
    stream->admitted = admitted;
    stream_gate_enter(self->gate, stream);
    net_count(self->net, NET_ACCEPTED, 1);
    self->cb(&self->listener, self->owner, stream);
}

static void half_open_free(struct half_open *half_open)
{
    admission_leave(half_open->admitted);
    mr_list_remove(&half_open->link);
    half_open->listener->handshake_count--;
    mr_list_remove(&half_open->crowd_link);
    half_open->crowd->count--;
    mr_free(half_open);
}

static void on_handshake(void *owner, int rc, struct mr_stream *stream,
                         const struct mr_error *error)
{
    struct half_open *half_open = owner;
    struct system_listener *self = half_open->listener;
    struct mr_admitted *admitted = rc == 0 ? half_open->admitted : NULL;

    if (rc == 0) {
        half_open->admitted = NULL; /* the stream's from now on */
    }
    half_open_free(half_open);
    if (rc != 0) {
        mr_debug("handshake failed", KV_STR("reason", error->text));
        return;
    }
    self->depth++;
    hand_over(self, stream, admitted);
    listener_leave(self);
}

static void half_open_drop(struct half_open *half_open)
{
    net_count_tls_failure(half_open->listener->net, TLS_FAILURE_CROWDED);
    tls_handshake_cancel(half_open->handshake);
    half_open_free(half_open);
}

/* An IPv4 address counts as a whole; of an IPv6 address the network, since a host has all of a /64.
 */
static struct crowd *crowd_of(struct system_listener *self, const struct sockaddr_storage *address)
{
    uint8_t bytes[sizeof(struct in6_addr)] = {0};
    struct crowd *crowd;

    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        memcpy(bytes, &in->sin_addr, sizeof in->sin_addr);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        memcpy(bytes, &in6->sin6_addr, IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ? 16 : 8);
    }
    crowd = &self->crowds[mr_hash64(bytes, sizeof bytes) % CROWDS];
    if (crowd->members.next == NULL) {
        mr_list_init(&crowd->members);
    }
    return crowd;
}

/* Who of them should go first: one that takes longer than honest ones do, to say something or in
 * all; NULL: none. */
static struct half_open *find_dishonest(const struct system_listener *self,
                                        const struct crowd *crowd)
{
    int64_t now_ms = mr_loop_now_ms(self->net->loop);

    mr_list_each(&crowd->members, link, next)
    {
        struct half_open *half_open = mr_container(link, struct half_open, crowd_link);
        int64_t age_ms = now_ms - half_open->since_ms;

        if (age_ms >= HONEST_HANDSHAKE_MS ||
            (age_ms >= HONEST_SILENCE_MS && !tls_handshake_has_heard(half_open->handshake))) {
            return half_open;
        }
        if (age_ms < HONEST_SILENCE_MS) {
            break; /* and so are all behind it */
        }
    }
    return NULL;
}

static const struct crowd *largest_crowd(const struct system_listener *self)
{
    /* Where all are equally small, the one of the oldest. */
    const struct crowd *largest =
        mr_container(self->handshakes.next, struct half_open, link)->crowd;

    for (size_t i = 0; i < CROWDS; i++) {
        if (self->crowds[i].count > largest->count) {
            largest = &self->crowds[i];
        }
    }
    return largest;
}

/* An address that has its share loses one that is not honest, or else does not get another: clients
 * behind one address that all come back at once are let in one after the other. When the listener
 * is full the same goes for the address that has most; anybody else gets the place of its oldest,
 * so that who would lock others out needs as many addresses as there are places. What is refused
 * costs next to nothing, so a flood costs what a thousand handshakes a second do. */
static bool make_room(struct system_listener *self, const struct crowd *crowd)
{
    int share = self->options.handshakes_max / ADDRESS_SHARE;
    bool is_full = self->handshake_count >= self->options.handshakes_max;
    const struct crowd *largest = is_full ? largest_crowd(self) : NULL;
    struct half_open *victim = NULL;

    if (crowd->count >= (share > ADDRESS_HANDSHAKES ? share : ADDRESS_HANDSHAKES) ||
        (is_full && crowd->count >= largest->count)) {
        victim = find_dishonest(self, crowd);
        if (victim == NULL) {
            return false;
        }
    } else if (is_full) {
        victim = mr_container(largest->members.next, struct half_open, crowd_link);
    }
    if (victim != NULL) {
        half_open_drop(victim);
    }
    return true;
}

static int start_handshake(struct system_listener *self, int fd,
                           const struct sockaddr_storage *address, struct mr_admitted *admitted)
{
    struct half_open *half_open = mr_calloc(1, sizeof *half_open);
    int rc;

    if (half_open == NULL) {
        return MR_ENOMEM;
    }
    half_open->crowd = crowd_of(self, address);
    half_open->since_ms = mr_loop_now_ms(self->net->loop);
    if (!make_room(self, half_open->crowd)) {
        mr_free(half_open);
        net_count_tls_failure(self->net, TLS_FAILURE_CROWDED);
        return MR_EFULL;
    }
    half_open->listener = self;
    half_open->admitted = admitted;
    rc = tls_handshake_start(self->net, self->options.tls, fd, NULL,
                             self->options.handshake_timeout_ms, on_handshake, half_open,
                             &half_open->handshake, NULL);
    if (rc != 0) {
        mr_free(half_open);
        return rc;
    }
    mr_list_append(&self->handshakes, &half_open->link);
    self->handshake_count++;
    mr_list_append(&half_open->crowd->members, &half_open->crowd_link);
    half_open->crowd->count++;
    return 0;
}

static bool is_admitted(struct system_listener *self, int fd,
                        const struct sockaddr_storage *address, struct mr_admitted **ret_admitted)
{
    switch (admission_enter(self->options.admission, (const struct sockaddr *)(const void *)address,
                            ret_admitted)) {
    case ADMISSION_TAKEN:
        return true;
    case ADMISSION_FULL:
        (void)close(fd);
        net_count(self->net, NET_REFUSED_ADDRESS, 1);
        return false;
    case ADMISSION_TOO_FAST:
        refusals_add(&self->refusals, fd);
        net_count(self->net, NET_REFUSED_RATE, 1);
        return false;
    }
    return false;
}

static void take_connection(struct system_listener *self, int fd,
                            const struct sockaddr_storage *address)
{
    struct mr_admitted *admitted;
    int open = self->gate->open + self->handshake_count;
    struct mr_stream *stream = NULL;
    int rc;

    if (self->options.connections_max > 0 && open >= self->options.connections_max) {
        (void)close(fd);
        net_count(self->net, NET_REFUSED_FULL, 1);
        return;
    }
    if (!is_admitted(self, fd, address, &admitted)) {
        return;
    }
    socket_prepare(fd);
    if (self->options.tls != NULL) {
        rc = start_handshake(self, fd, address, admitted);
    } else {
        rc = socket_stream_new(self->net, fd, &stream);
    }
    if (rc != 0) {
        admission_leave(admitted);
        (void)close(fd);
        net_count(self->net, NET_REFUSED_FULL, 1);
    } else if (stream != NULL) {
        hand_over(self, stream, admitted);
    }
}

static void rest_a_while(struct system_listener *self, int error_number)
{
    mr_warn("accepting pauses", KV_STR("listener", self->name),
            KV_STR("reason", strerror(error_number)));
    net_count(self->net, NET_ACCEPT_PAUSES, 1);
    if (error_number == EMFILE || error_number == ENFILE) {
        net_use_reserve(self->net, self->fd);
    }
    (void)mr_timer_start(&self->rest, STARVED_PAUSE_MS); /* without memory: it spins, and works */
    want_accept(self);
}

/* More than the maximum of a second are left in the backlog for a while. */
static bool may_accept(struct system_listener *self)
{
    int64_t now_us = mr_loop_now_us(self->net->loop);
    int64_t wait_us;

    if (self->options.accepts_per_second_max <= 0) {
        return true;
    }
    wait_us = mr_bucket_wait_us(&self->accepts, now_us);
    if (wait_us == 0 || mr_timer_start_us(&self->rest, wait_us) != 0) {
        return true;
    }
    net_count(self->net, NET_ACCEPT_DELAYS, 1);
    want_accept(self);
    return false;
}

static void on_acceptable(struct mr_io *io, int events)
{
    struct system_listener *self = io->owner;

    (void)events;
    self->depth++;
    for (int i = 0; i < ACCEPTS_PER_TURN && !self->is_closed && !self->is_paused; i++) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        socklen_t size = sizeof address;
        int fd;

        if (!may_accept(self)) {
            break;
        }
        fd = accept4(self->fd, (struct sockaddr *)(void *)&address, &size,
                     SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            if (self->options.accepts_per_second_max > 0) {
                (void)mr_bucket_take(&self->accepts, 1, mr_loop_now_us(self->net->loop));
            }
            take_connection(self, fd, &address);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest_a_while(self, errno);
            break;
        } else if (errno == EAGAIN) {
            break;
        } /* else this one connection is gone already (accept(2), "Error handling"): next */
    }
    listener_leave(self);
}

static void on_rest_over(struct mr_timer *timer)
{
    want_accept(timer->owner);
}

/* ---- binding ---- */

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

static int bind_unix(struct system_listener *self, const struct mr_address *address,
                     struct mr_error *error)
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
    if (fchmod(self->fd, self->options.unix_mode) != 0 ||
        bind(self->fd, (const struct sockaddr *)(const void *)&name, sizeof name) != 0) {
        return mr_fail_errno(error, errno, "bind '%s'", name.sun_path);
    }
    memcpy(self->path, name.sun_path, sizeof self->path);
    if (chmod(name.sun_path, self->options.unix_mode) != 0 || lstat(name.sun_path, &file) != 0) {
        return mr_fail_errno(error, errno, "mode of '%s'", name.sun_path);
    }
    self->device = file.st_dev;
    self->inode = file.st_ino;
    return 0;
}

static int bind_one(struct system_listener *self, const struct addrinfo *info)
{
    const int on = 1;
    const int off = 0;
    int error_number;

    self->fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0) {
        return errno;
    }
    (void)setsockopt(self->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (self->options.reuse_port) {
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
static int bind_tcp(struct system_listener *self, const struct mr_address *address,
                    struct mr_error *error)
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
                error_number = bind_one(self, info);
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
static int take_inherited(struct system_listener *self, struct mr_error *error)
{
    int is_listening = 0;
    socklen_t length = sizeof is_listening;
    int fd = self->options.inherited_fd;

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

static void remove_own_file(struct system_listener *self)
{
    struct stat file;

    /* Someone may have replaced it meanwhile: then it is theirs. */
    if (self->path[0] != '\0' && lstat(self->path, &file) == 0 && file.st_dev == self->device &&
        file.st_ino == self->inode) {
        (void)unlink(self->path); /* else the next start removes it as stale */
    }
}

static int open_socket(struct system_listener *self, const struct mr_address *address,
                       struct mr_error *error)
{
    int rc;

    if (self->options.inherited_fd > 0) {
        return take_inherited(self, error);
    }
    rc = address->is_unix ? bind_unix(self, address, error) : bind_tcp(self, address, error);
    if (rc != 0) {
        return rc;
    }
    if (listen(self->fd, self->options.backlog) != 0) {
        return errno == EADDRINUSE
                   ? mr_fail_text(error, MR_EBUSY, "the port is in use by another process")
                   : mr_fail_errno(error, errno, "listen");
    }
    return 0;
}

/* ---- the door's side ---- */

static uint16_t system_port(const struct mr_listener *listener)
{
    const struct system_listener *self =
        (const struct system_listener *)(const void *)listener; /* its first member */
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_storage storage;
    } name = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t length = sizeof name;

    if (getsockname(self->fd, &name.any, &length) != 0) {
        return 0;
    }
    if (name.any.sa_family == AF_INET) {
        return ntohs(name.in.sin_port);
    }
    return name.any.sa_family == AF_INET6 ? ntohs(name.in6.sin6_port) : 0;
}

static int system_connections(const struct mr_listener *listener)
{
    return ((const struct system_listener *)(const void *)listener)->gate->open;
}

static void system_pause(struct mr_listener *listener, bool is_paused)
{
    struct system_listener *self = system_of(listener);

    self->is_paused = is_paused;
    want_accept(self);
}

static void system_close(struct mr_listener *listener)
{
    struct system_listener *self = system_of(listener);

    mr_assert(!self->is_closed);
    self->depth++;
    self->is_closed = true;
    mr_io_stop(&self->io);
    mr_timer_stop(&self->rest);
    refusals_done(&self->refusals);
    while (!mr_list_is_empty(&self->handshakes)) {
        struct half_open *half_open = mr_container(self->handshakes.next, struct half_open, link);
        tls_handshake_cancel(half_open->handshake);
        half_open_free(half_open);
    }
    remove_own_file(self);
    (void)close(self->fd);
    listener_leave(self);
}

static const struct mr_listener_ops system_listener_ops = {
    .port = system_port,
    .connections = system_connections,
    .pause = system_pause,
    .close = system_close,
};

static struct mr_listen_options with_defaults(const struct mr_listen_options *options)
{
    struct mr_listen_options filled = *options;

    filled.backlog = filled.backlog > 0 ? filled.backlog : BACKLOG;
    filled.unix_mode = filled.unix_mode != 0 ? filled.unix_mode : UNIX_MODE;
    if (filled.handshake_timeout_ms <= 0) {
        filled.handshake_timeout_ms = HANDSHAKE_TIMEOUT_MS;
    }
    filled.handshakes_max = filled.handshakes_max > 0 ? filled.handshakes_max : HANDSHAKES_MAX;
    return filled;
}

int system_listen(struct mr_net *net, const struct mr_address *address,
                  const struct mr_listen_options *options, mr_listener_cb cb, void *owner,
                  struct mr_listener **ret_listener, struct mr_error *error)
{
    struct system_listener *self = mr_calloc(1, sizeof *self);
    char text[MR_ADDRESS_TEXT_SIZE];
    int rc = MR_ENOMEM;

    mr_address_format(address, text, sizeof text);
    if (self == NULL) {
        return mr_fail(error, MR_ENOMEM, "listen on %s", text);
    }
    self->listener.ops = &system_listener_ops;
    memcpy(self->name, text, sizeof self->name);
    self->net = net;
    self->fd = -1;
    self->options = with_defaults(options);
    self->cb = cb;
    self->owner = owner;
    mr_list_init(&self->handshakes);
    refusals_init(&self->refusals, net->loop);
    mr_timer_init(&self->rest, net->loop, on_rest_over, self);
    if (options->accepts_per_second_max > 0) {
        mr_bucket_init(&self->accepts, options->accepts_per_second_max,
                       options->accepts_per_second_max, mr_loop_now_us(net->loop));
    }
    self->gate = stream_gate_new();
    if (self->gate == NULL) {
        mr_fail(error, MR_ENOMEM, "connection count");
        goto free_listener;
    }
    rc = open_socket(self, address, error);
    if (rc != 0) {
        goto close_socket;
    }
    rc = mr_io_start(&self->io, net->loop, self->fd, on_acceptable, self);
    if (rc != 0) {
        mr_fail(error, rc, "watch the socket");
        goto close_socket;
    }
    want_accept(self);
    *ret_listener = &self->listener;
    return 0;
close_socket:
    remove_own_file(self);
    if (self->fd >= 0 && self->fd != self->options.inherited_fd) {
        (void)close(self->fd);
    }
    stream_gate_unref(self->gate);
free_listener:
    mr_free(self);
    mr_error_context(error, "listen on %s", text);
    return rc;
}
