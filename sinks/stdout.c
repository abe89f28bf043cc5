/* Records as lines on standard output, for trying out a configuration and for `millrace run |
 * tool`.
 *
 * Standard output is shared with whoever started us, so it is never made non-blocking: that would
 * change it for them too. Instead, poll(2) with no wait is asked before each piece of at most
 * PIPE_BUF bytes, which a pipe that is ready takes whole. When it is not ready, a timer asks again
 * (1 ms, doubling to 50 ms); meanwhile nothing is answered, and that is all the backpressure there
 * is. A write is answered when its last byte has been handed to the kernel. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/core/buffer.h"
#include "base/core/loop.h"
#include "sinks/line.h"
#include "sinks/sink.h"

enum {
    TURN_BYTES_MAX = 256 << 10, /* then the loop's other work has its turn */
    WAIT_MS_MAX = 50,
    WRITE_BYTES_MAX =
        128 << 10,       /* as it lies in the log: text unpacks to ten times that and more */
    CLOSE_MS_MAX = 1000, /* a reader that takes nothing for so long does not hold up the end */
};

struct stdout_options {
    int format; /* enum line_format */
};

struct stdout_sink {
    struct sink sink;
    int fd;
    struct mr_link writes; /* the first one is being written */
    struct mr_bytes text;  /* of the first one */
    size_t written_bytes;  /* of the text */
    struct mr_task task;
    struct mr_timer timer;
    int64_t wait_ms;
    const char *error; /* the last one, NULL: none */
    struct mr_timer close_timer;
    bool is_late; /* the close has waited long enough */
    sink_close_cb closed;
    void *closed_owner;
};

static void answer_first(struct stdout_sink *out, const struct sink_outcome *outcome)
{
    struct sink_write *write = mr_container(mr_list_pop(&out->writes), struct sink_write, link);

    mr_bytes_clear(&out->text);
    out->written_bytes = 0;
    write->done(write, outcome);
}

/* All that wait are taken back: the flow wants them again from the first one on. */
static void fail_all(struct stdout_sink *out, const char *reason)
{
    const struct sink_outcome outcome = {.class = SINK_RETRY, .reason = reason};
    struct mr_link failed;
    struct mr_link *link;

    out->error = reason;
    mr_bytes_clear(&out->text);
    out->written_bytes = 0;
    mr_list_init(&failed);
    while ((link = mr_list_pop(&out->writes)) != NULL) {
        mr_list_append(&failed, link);
    }
    while ((link = mr_list_pop(&failed)) != NULL) {
        struct sink_write *write = mr_container(link, struct sink_write, link);
        write->done(write, &outcome);
    }
}

/* 1: ready, 0: not now, -1: gone. */
static int is_ready(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int count = poll(&poll_fd, 1, 0);

    if (count <= 0) {
        return 0;
    }
    return (poll_fd.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0 ? -1 : 1;
}

/* One piece of the text. The same answers as is_ready. */
static int write_piece(struct stdout_sink *out)
{
    size_t left = out->text.size_bytes - out->written_bytes;
    int ready = is_ready(out->fd);
    ssize_t count;

    if (ready <= 0) {
        return ready;
    }
    count = write(out->fd, out->text.data + out->written_bytes, left < PIPE_BUF ? left : PIPE_BUF);
    if (count < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    out->written_bytes += (size_t)count;
    out->wait_ms = 1;
    return 1;
}

static int render_first(struct stdout_sink *out)
{
    const struct stdout_options *options = out->sink.options;
    const struct sink_write *write = mr_container(out->writes.next, struct sink_write, link);

    for (int64_t i = 0; i < write->record_count; i++) {
        line_append((enum line_format)options->format, write, &write->records[i], &out->text);
    }
    return out->text.failed;
}

/* Writes for one turn. 1: more to do at once, 0: nothing to do, or standard output is not ready. */
static int write_turn(struct stdout_sink *out)
{
    static const struct sink_outcome ok = {.class = SINK_OK};

    for (size_t turn_bytes = 0; !mr_list_is_empty(&out->writes); turn_bytes += PIPE_BUF) {
        if (turn_bytes >= TURN_BYTES_MAX) {
            return 1;
        }
        if (out->text.size_bytes == 0 && render_first(out) != 0) {
            mr_bytes_done(&out->text); /* clears the failure too */
            fail_all(out, "not enough memory");
            return 0;
        }
        if (out->written_bytes < out->text.size_bytes) {
            int rc = write_piece(out);
            if (rc < 0) {
                fail_all(out, "standard output is closed");
                return 0;
            }
            if (rc == 0) {
                (void)mr_timer_start(&out->timer, out->wait_ms);
                out->wait_ms = out->wait_ms * 2 > WAIT_MS_MAX ? WAIT_MS_MAX : out->wait_ms * 2;
                return 0;
            }
        }
        if (out->written_bytes == out->text.size_bytes) {
            out->error = NULL;
            answer_first(out, &ok);
        }
    }
    return 0;
}

static void stdout_step(struct stdout_sink *out)
{
    if (out->is_late && !mr_list_is_empty(&out->writes)) {
        fail_all(out, "nobody reads standard output");
    }
    if (!mr_timer_is_running(&out->timer) && write_turn(out) > 0) {
        mr_task_post(&out->task);
    }
    if (out->closed != NULL && mr_list_is_empty(&out->writes)) {
        sink_close_cb closed = out->closed;
        out->closed = NULL;
        mr_task_cancel(&out->task);
        mr_timer_stop(&out->timer);
        mr_timer_stop(&out->close_timer);
        mr_bytes_done(&out->text);
        closed(out->closed_owner);
    }
}

static void on_task(struct mr_task *task)
{
    stdout_step(task->owner);
}

static void on_timer(struct mr_timer *timer)
{
    stdout_step(timer->owner);
}

static void on_close_timer(struct mr_timer *timer)
{
    struct stdout_sink *out = timer->owner;

    out->is_late = true;
    stdout_step(out);
}

static int stdout_open(struct sink *sink, struct mr_error *error)
{
    struct stdout_sink *out = (struct stdout_sink *)sink;

    (void)error;
    out->fd = STDOUT_FILENO;
    out->wait_ms = 1;
    mr_list_init(&out->writes);
    mr_bytes_init(&out->text);
    mr_task_init(&out->task, sink->host->loop, on_task, out);
    mr_timer_init(&out->timer, sink->host->loop, on_timer, out);
    mr_timer_init(&out->close_timer, sink->host->loop, on_close_timer, out);
    return 0;
}

static void stdout_write(struct sink *sink, struct sink_write *write)
{
    struct stdout_sink *out = (struct stdout_sink *)sink;

    mr_list_append(&out->writes, &write->link);
    mr_task_post(&out->task);
}

static void stdout_close(struct sink *sink, sink_close_cb done, void *owner)
{
    struct stdout_sink *out = (struct stdout_sink *)sink;

    out->closed = done;
    out->closed_owner = owner;
    if (mr_timer_start(&out->close_timer, CLOSE_MS_MAX) != 0) {
        out->is_late = true;
    }
    mr_task_post(&out->task);
}

static void stdout_status(struct sink *sink, struct sink_status *ret_status)
{
    struct stdout_sink *out = (struct stdout_sink *)sink;

    ret_status->state = mr_timer_is_running(&out->timer) ? "waiting for a reader" : "running";
    ret_status->error = out->error;
    ret_status->destination = "standard output";
}

static const struct mr_option stdout_options[] = {
    {.name = "format",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct stdout_options, format),
     .words = line_format_words,
     .fallback = "raw",
     .help = LINE_FORMAT_HELP},
    {0}};

const struct sink_type sink_type_stdout = {
    .name = "stdout",
    .help = "Writes records as lines to standard output.",
    .options = stdout_options,
    .options_size_bytes = sizeof(struct stdout_options),
    .size_bytes = sizeof(struct stdout_sink),
    .wants = SINK_WANTS_RECORDS,
    .in_flight_max = 2,
    .write_bytes_max = WRITE_BYTES_MAX,
    .open = stdout_open,
    .write = stdout_write,
    .close = stdout_close,
    .status = stdout_status,
};
