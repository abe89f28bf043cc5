/* The sink that takes everything and keeps nothing: for trying out sources, for benches, and for
 * topics that should count as read. It asks for whole batches, so that nothing is decoded in vain.
 */
#include "base/core/loop.h"
#include "sinks/sink.h"

struct null_sink {
    struct sink sink;
    struct mr_link writes; /* taken, and answered in the next turn: never inside of write() */
    struct mr_task task;
    sink_close_cb closed;
    void *closed_owner;
};

static void null_answer(struct mr_task *task)
{
    static const struct sink_outcome ok = {.class = SINK_OK};
    struct null_sink *null = task->owner;
    struct mr_link taken;
    struct mr_link *link;
    sink_close_cb closed = null->closed;

    /* An answer brings the next write, which waits for the next turn. */
    mr_list_init(&taken);
    while ((link = mr_list_pop(&null->writes)) != NULL) {
        mr_list_append(&taken, link);
    }
    while ((link = mr_list_pop(&taken)) != NULL) {
        struct sink_write *write = mr_container(link, struct sink_write, link);
        write->done(write, &ok);
    }
    if (closed != NULL) {
        closed(null->closed_owner);
    }
}

static int null_open(struct sink *sink, struct mr_error *error)
{
    struct null_sink *null = (struct null_sink *)sink;

    (void)error;
    mr_list_init(&null->writes);
    mr_task_init(&null->task, sink->host->loop, null_answer, null);
    return 0;
}

static void null_write(struct sink *sink, struct sink_write *write)
{
    struct null_sink *null = (struct null_sink *)sink;

    mr_list_append(&null->writes, &write->link);
    mr_task_post(&null->task);
}

static void null_close(struct sink *sink, sink_close_cb done, void *owner)
{
    struct null_sink *null = (struct null_sink *)sink;

    null->closed = done;
    null->closed_owner = owner;
    mr_task_post(&null->task);
}

static void null_status(struct sink *sink, struct sink_status *ret_status)
{
    (void)sink;
    *ret_status = (struct sink_status){.state = "running", .destination = "nowhere"};
}

static const struct mr_option null_options[] = {{0}};

const struct sink_type sink_type_null = {
    .name = "null",
    .help = "Takes everything and keeps nothing: to try out sources, and for benches.",
    .options = null_options,
    .size_bytes = sizeof(struct null_sink),
    .wants = SINK_WANTS_RANGES,
    .in_flight_max = 8,
    .open = null_open,
    .write = null_write,
    .close = null_close,
    .status = null_status,
};
