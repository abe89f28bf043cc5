/* The login name of who is at the other end of a Unix socket. A lookup may ask a server (LDAP), so
 * it is done by a thread of its own, and the stream becomes a connection when the name is there.
 *
 *   accepted -> looked up -> connection          accepted -> looked up, the stream has ended ->
 * gone
 *
 * Streams that wait count as the listener's connections, which bounds them. A user without a name,
 * or a lookup that fails, gives the number: nobody gets more rights by it. */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/core/workers.h"
#include "queue/broker/broker_internal.h"
#include "queue/broker/principal.h"

enum { ENTRY_SIZE = 16 * 1024 };

struct greeting {
    struct mr_link link; /* of broker->greetings, while there is a stream */
    struct mr_work work;
    struct listener *listener;
    struct mr_stream *stream; /* NULL: it has ended */
    uid_t uid;
    char name[PRINCIPAL_NAME_SIZE];
};

static void look_up(struct mr_work *work)
{
    struct greeting *greeting = work->owner;
    char buffer[ENTRY_SIZE];
    struct passwd entry;
    struct passwd *found = NULL;
    int rc = getpwuid_r(greeting->uid, &entry, buffer, sizeof buffer, &found);

    if (rc == 0 && found != NULL && found->pw_name[0] != '\0' &&
        strlen(found->pw_name) < sizeof greeting->name) {
        memcpy(greeting->name, found->pw_name, strlen(found->pw_name) + 1);
        return;
    }
    if (rc != 0 && rc != ENOENT && rc != ESRCH) {
        mr_warn("the name of a local user cannot be looked up; its number counts",
                KV_I64("uid", greeting->uid), KV_STR("reason", strerrordesc_np(rc)));
    }
    (void)snprintf(greeting->name, sizeof greeting->name, "uid.%" PRIu64, (uint64_t)greeting->uid);
}

static void let_go(struct greeting *greeting)
{
    mr_list_remove(&greeting->link);
    mr_stream_close(greeting->stream, true);
    greeting->stream = NULL;
}

static void on_named(struct mr_work *work)
{
    struct greeting *greeting = work->owner;
    struct mr_stream *stream = greeting->stream;

    if (stream != NULL) {
        mr_list_remove(&greeting->link);
        if (connection_new(greeting->listener->broker, greeting->listener, stream,
                           greeting->name) == 0) {
            mr_stream_pause(stream, false);
        } else {
            mr_stream_close(stream, true);
        }
    }
    mr_free(greeting);
}

static void on_readable(struct mr_stream *stream, void *owner)
{
    (void)stream; /* paused */
    (void)owner;
}

static void on_failed(struct mr_stream *stream, void *owner, int code)
{
    (void)stream;
    (void)code;
    let_go(owner);
}

int peer_meet(struct listener *listener, struct mr_stream *stream)
{
    static const struct mr_stream_events events = {.on_readable = on_readable,
                                                   .on_failed = on_failed};
    struct broker *broker = listener->broker;
    struct greeting *greeting = mr_calloc(1, sizeof *greeting);
    gid_t gid;
    pid_t pid;
    int rc;

    if (greeting == NULL) {
        return MR_ENOMEM;
    }
    greeting->listener = listener;
    greeting->work = (struct mr_work){.run = look_up, .done = on_named, .owner = greeting};
    rc = mr_stream_credentials(stream, &greeting->uid, &gid, &pid);
    if (rc == 0) {
        rc = mr_workers_submit(broker->name_workers, &greeting->work);
    }
    if (rc != 0) {
        mr_free(greeting);
        return rc;
    }
    greeting->stream = stream;
    mr_list_append(&broker->greetings, &greeting->link);
    mr_stream_set_events(stream, &events, greeting);
    mr_stream_pause(stream, true);
    return 0;
}

void peers_close(struct broker *broker)
{
    while (!mr_list_is_empty(&broker->greetings)) {
        let_go(mr_container(broker->greetings.next, struct greeting, link));
    }
}
