/* Outgoing connections.
 *
 *   LOOKUP (worker) -> DIALING address 1, 2, ... -> (TLS: HANDSHAKE) -> the callback, and gone
 *
 * Each address gets an equal share of the time that is left, so that one which swallows packets
 * does not keep the others from being tried. A handshake that fails ends the attempt: another
 * address of the same name would show the same certificate. The callback always comes from the
 * loop. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/core/memory.h"
#include "base/core/workers.h"
#include "base/net/net_internal.h"
#include "base/net/socket.h"
#include "base/net/tls_internal.h"

enum { ADDRESSES_MAX = 16, TIMEOUT_MS = 30 * 1000, SHARE_MS_MIN = 100 };

struct target {
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
    } name;
    socklen_t length;
};

/* The worker's part; it may outlive the attempt. */
struct lookup {
    struct mr_work work;
    struct system_connect *attempt; /* NULL once cancelled; touched by the loop only */
    char host[256];
    uint16_t port;
    int gai_code;
    int error_number;
    int count;
    struct target targets[ADDRESSES_MAX];
};

struct system_connect {
    struct mr_connect connect;
    struct mr_net *net;
    struct mr_address address;
    struct mr_tls_context *tls;
    char server_name[256];
    mr_connect_cb cb;
    void *owner;
    int64_t deadline_ms;
    struct mr_task start; /* so that nothing happens inside mr_net_connect */
    struct mr_timer lookup_timer;
    struct mr_timer dial_timer;
    struct mr_io io;
    int fd; /* being dialed, or -1 */
    struct lookup *lookup;
    struct tls_handshake *handshake;
    struct target *targets;
    int count;
    int next;
    struct mr_error error; /* of the last address tried */
};

static void attempt_free(struct system_connect *self)
{
    mr_task_cancel(&self->start);
    mr_timer_stop(&self->lookup_timer);
    mr_timer_stop(&self->dial_timer);
    mr_io_stop(&self->io);
    if (self->fd >= 0) {
        (void)close(self->fd);
    }
    if (self->handshake != NULL) {
        tls_handshake_cancel(self->handshake);
    }
    if (self->lookup != NULL) {
        self->lookup->attempt = NULL;
    }
    mr_free(self->targets);
    mr_free(self);
}

static void finish(struct system_connect *self, int rc, struct mr_stream *stream)
{
    char text[MR_ADDRESS_TEXT_SIZE];
    struct mr_error error = self->error;
    mr_connect_cb cb = self->cb;
    void *owner = self->owner;

    net_count(self->net, rc == 0 ? NET_CONNECTED : NET_CONNECT_FAILURES, 1);
    mr_address_format(&self->address, text, sizeof text);
    attempt_free(self);
    if (rc != 0) {
        mr_error_context(&error, "connect to %s", text);
    }
    cb(owner, rc, stream, rc != 0 ? &error : NULL);
}

static int64_t time_left_ms(struct system_connect *self)
{
    return self->deadline_ms - mr_loop_now_ms(self->net->loop);
}

static void target_name(const struct target *target, char *text, size_t size)
{
    socket_name(&target->name.any, target->length, text, size);
}

/* ---- the handshake ---- */

static void on_handshake(void *owner, int rc, struct mr_stream *stream,
                         const struct mr_error *error)
{
    struct system_connect *self = owner;

    self->handshake = NULL;
    if (rc != 0) {
        self->error = *error;
    }
    finish(self, rc, stream);
}

static void on_connected(struct system_connect *self)
{
    struct mr_stream *stream = NULL;
    int fd = self->fd;
    int rc;

    mr_io_stop(&self->io);
    mr_timer_stop(&self->dial_timer);
    socket_prepare(fd);
    if (self->tls != NULL) {
        int64_t left_ms = time_left_ms(self);

        rc = tls_handshake_start(self->net, self->tls, fd, self->server_name,
                                 left_ms > SHARE_MS_MIN ? left_ms : SHARE_MS_MIN, on_handshake,
                                 self, &self->handshake, &self->error);
        if (rc == 0) {
            self->fd = -1;
            return;
        }
    } else {
        rc = socket_stream_new(self->net, fd, &stream);
        if (rc == 0) {
            self->fd = -1;
        } else {
            mr_fail(&self->error, rc, "stream");
        }
    }
    finish(self, rc, stream);
}

/* ---- dialing ---- */

static void dial_next(struct system_connect *self);

static void dial_failed(struct system_connect *self, int error_number)
{
    char text[128];

    mr_io_stop(&self->io);
    mr_timer_stop(&self->dial_timer);
    if (self->fd >= 0) {
        (void)close(self->fd);
        self->fd = -1;
    }
    target_name(&self->targets[self->next - 1], text, sizeof text);
    mr_fail_errno(&self->error, error_number, "%s", text);
    dial_next(self);
}

static void on_dialed(struct mr_io *io, int events)
{
    struct system_connect *self = io->owner;
    int error_number = 0;
    socklen_t length = sizeof error_number;

    (void)events;
    (void)getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &error_number, &length);
    if (error_number != 0) {
        dial_failed(self, error_number);
    } else {
        on_connected(self);
    }
}

static void on_dial_timeout(struct mr_timer *timer)
{
    dial_failed(timer->owner, ETIMEDOUT);
}

/* 0 connected at once, EINPROGRESS, or an errno. */
static int dial(struct system_connect *self, const struct target *target)
{
    int rc;

    self->fd = socket(target->name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (self->fd < 0) {
        return errno;
    }
    do {
        rc = connect(self->fd, &target->name.any, target->length);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

/* Starts to wait for the address just dialed; an errno if that fails. */
static int wait_for_answer(struct system_connect *self)
{
    int left = self->count - self->next + 1;
    int64_t share_ms = time_left_ms(self) / left;

    if (mr_io_start(&self->io, self->net->loop, self->fd, on_dialed, self) != 0 ||
        mr_timer_start(&self->dial_timer, share_ms > SHARE_MS_MIN ? share_ms : SHARE_MS_MIN) != 0) {
        return ENOMEM;
    }
    mr_io_want(&self->io, MR_IO_WRITE);
    return 0;
}

static void dial_next(struct system_connect *self)
{
    int error_number;

    if (self->next == self->count) {
        finish(self, self->error.code, NULL);
        return;
    }
    if (self->next > 0 && time_left_ms(self) <= 0) {
        finish(self,
               mr_fail(&self->error, MR_ETIMEDOUT, "%d of %d addresses tried", self->next,
                       self->count),
               NULL);
        return;
    }
    self->next++;
    error_number = dial(self, &self->targets[self->next - 1]);
    if (error_number == EINPROGRESS) {
        error_number = wait_for_answer(self);
        if (error_number == 0) {
            return;
        }
    }
    if (error_number != 0) {
        dial_failed(self, error_number); /* at most ADDRESSES_MAX deep */
    } else {
        on_connected(self);
    }
}

/* ---- the lookup ---- */

static void lookup_run(struct mr_work *work)
{
    struct lookup *lookup = work->owner;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    char port[8];

    (void)snprintf(port, sizeof port, "%u", lookup->port);
    lookup->gai_code = getaddrinfo(lookup->host, port, &hints, &list);
    if (lookup->gai_code == EAI_ADDRFAMILY || lookup->gai_code == EAI_NONAME) {
        hints.ai_flags = AI_NUMERICSERV; /* ::1 or 127.0.0.1 on a host without other addresses */
        lookup->gai_code = getaddrinfo(lookup->host, port, &hints, &list);
    }
    lookup->error_number = errno;
    if (lookup->gai_code != 0) {
        return;
    }
    for (struct addrinfo *info = list; info != NULL && lookup->count < ADDRESSES_MAX;
         info = info->ai_next) {
        struct target *target = &lookup->targets[lookup->count];

        if (info->ai_addrlen <= sizeof target->name) {
            memcpy(&target->name, info->ai_addr, info->ai_addrlen);
            target->length = info->ai_addrlen;
            lookup->count++;
        }
    }
    freeaddrinfo(list);
}

static void lookup_done(struct mr_work *work)
{
    struct lookup *lookup = work->owner;
    struct system_connect *self = lookup->attempt;

    if (self == NULL) {
        mr_free(lookup);
        return;
    }
    self->lookup = NULL;
    mr_timer_stop(&self->lookup_timer);
    if (lookup->gai_code != 0 || lookup->count == 0) {
        const char *reason = lookup->gai_code == EAI_SYSTEM ? strerror(lookup->error_number)
                             : lookup->gai_code != 0        ? gai_strerror(lookup->gai_code)
                                                            : "no address";

        mr_fail_text(&self->error, MR_ENETWORK, "look up '%s': %s", lookup->host, reason);
        mr_free(lookup);
        finish(self, self->error.code, NULL);
        return;
    }
    self->count = lookup->count;
    memcpy(self->targets, lookup->targets, sizeof *self->targets * (size_t)lookup->count);
    mr_free(lookup);
    dial_next(self);
}

static void on_lookup_timeout(struct mr_timer *timer)
{
    struct system_connect *self = timer->owner;

    finish(self, mr_fail(&self->error, MR_ETIMEDOUT, "look up '%s'", self->address.host), NULL);
}

static int lookup_start(struct system_connect *self)
{
    struct mr_workers *workers = net_lookups(self->net);
    struct lookup *lookup;

    if (workers == NULL) {
        return MR_ENOMEM;
    }
    lookup = mr_calloc(1, sizeof *lookup);
    if (lookup == NULL) {
        return MR_ENOMEM;
    }
    lookup->attempt = self;
    memcpy(lookup->host, self->address.host, sizeof lookup->host);
    lookup->port = self->address.port;
    lookup->work = (struct mr_work){.run = lookup_run, .done = lookup_done, .owner = lookup};
    if (mr_workers_submit(workers, &lookup->work) != 0) {
        mr_free(lookup);
        return MR_EAGAIN;
    }
    self->lookup = lookup;
    return 0;
}

/* ---- the door's side ---- */

static void on_start(struct mr_task *task)
{
    struct system_connect *self = task->owner;
    int rc;

    if (self->address.is_unix) {
        struct sockaddr_un *un = &self->targets[0].name.un;

        un->sun_family = AF_UNIX;
        mr_assert(strlen(self->address.host) < sizeof un->sun_path); /* mr_address_parse */
        memcpy(un->sun_path, self->address.host, strlen(self->address.host) + 1);
        self->targets[0].length = sizeof *un;
        self->count = 1;
        dial_next(self);
        return;
    }
    rc = mr_timer_start(&self->lookup_timer, time_left_ms(self));
    if (rc == 0) {
        rc = lookup_start(self);
    }
    if (rc != 0) {
        finish(self, mr_fail(&self->error, rc, "look up '%s'", self->address.host), NULL);
    }
}

static void system_cancel(struct mr_connect *connect)
{
    attempt_free(mr_container(connect, struct system_connect, connect));
}

int system_connect(struct mr_net *net, const struct mr_address *address,
                   const struct mr_connect_options *options, mr_connect_cb cb, void *owner,
                   struct mr_connect **ret_connect)
{
    const char *server_name = options->server_name != NULL ? options->server_name : address->host;
    struct system_connect *self = mr_calloc(1, sizeof *self);

    if (self == NULL) {
        return MR_ENOMEM;
    }
    self->targets = mr_calloc(ADDRESSES_MAX, sizeof *self->targets);
    if (self->targets == NULL) {
        mr_free(self);
        return MR_ENOMEM;
    }
    self->connect.cancel = system_cancel;
    self->net = net;
    self->address = *address;
    self->tls = options->tls;
    (void)snprintf(self->server_name, sizeof self->server_name, "%s", server_name);
    self->cb = cb;
    self->owner = owner;
    self->fd = -1;
    self->deadline_ms =
        mr_loop_now_ms(net->loop) + (options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS);
    mr_timer_init(&self->lookup_timer, net->loop, on_lookup_timeout, self);
    mr_timer_init(&self->dial_timer, net->loop, on_dial_timeout, self);
    mr_task_init(&self->start, net->loop, on_start, self);
    mr_task_post(&self->start);
    *ret_connect = &self->connect;
    return 0;
}
