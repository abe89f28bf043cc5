/* The pipe transport: each end holds the bytes that were written to it. Readiness is told by a
 * task, as a loop tells of descriptors: again in each turn while it lasts and is wanted. */
#include "tests/lib/stream_pair.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/core/memory.h"
#include "base/net/stream_internal.h"

enum { PIPE_SIZE_BYTES = 64 * 1024 };

struct pipe_end {
    struct mr_stream stream;
    struct pipe_end *other; /* NULL once that is closed */
    struct mr_task task;
    int wanted;
    bool is_ended; /* the other end shut down: MR_EOF after what is here */
    bool is_reset;
    bool is_frozen;
    int64_t delay_us;
    struct mr_timer arrival; /* of what is under way */
    size_t arriving;         /* will be visible then */
    size_t visible;          /* of `size`, what can be read */
    void (*on_close)(void *owner);
    void *on_close_owner;
    size_t step;
    size_t capacity;
    size_t size; /* of what waits to be read */
    uint8_t data[];
};

static struct pipe_end *end_of(struct mr_stream *stream)
{
    return mr_container(stream, struct pipe_end, stream);
}

static void wake(struct pipe_end *end)
{
    if (end != NULL && end->wanted != 0) {
        mr_task_post(&end->task);
    }
}

static void on_arrival(struct mr_timer *timer)
{
    struct pipe_end *end = timer->owner;

    end->visible = end->arriving;
    if (end->size > end->arriving) {
        end->arriving = end->size;
        mr_assert(mr_timer_start_us(timer, end->delay_us) == 0);
    }
    wake(end);
}

/* Bytes were put into the end; in order, and late if so wanted. */
static void arrive(struct pipe_end *end)
{
    if (end->delay_us == 0) {
        end->visible = end->size;
        wake(end);
    } else if (!mr_timer_is_running(&end->arrival)) {
        end->arriving = end->size;
        mr_assert(mr_timer_start_us(&end->arrival, end->delay_us) == 0);
    }
}

static ssize_t pipe_read(struct mr_stream *stream, void *data, size_t size_bytes)
{
    struct pipe_end *end = end_of(stream);
    size_t taken = size_bytes < end->visible ? size_bytes : end->visible;

    if (end->is_reset) {
        return MR_ENETWORK;
    }
    if (end->visible == 0) {
        return end->is_ended && end->size == 0 ? MR_EOF : MR_EAGAIN;
    }
    taken = taken < end->step ? taken : end->step;
    memcpy(data, end->data, taken);
    end->size -= taken;
    end->visible -= taken;
    end->arriving -= taken < end->arriving ? taken : end->arriving;
    memmove(end->data, end->data + taken, end->size);
    wake(end->other);
    return (ssize_t)taken;
}

static ssize_t pipe_write(struct mr_stream *stream, const struct iovec *parts, int count, bool more)
{
    struct pipe_end *end = end_of(stream);
    struct pipe_end *other = end->other;
    size_t room;
    size_t written = 0;

    (void)more;
    if (end->is_reset || other == NULL) {
        return MR_ENETWORK;
    }
    room = other->capacity - other->size;
    room = room < end->step ? room : end->step;
    for (int i = 0; i < count && written < room; i++) {
        size_t size = parts[i].iov_len < room - written ? parts[i].iov_len : room - written;

        memcpy(other->data + other->size, parts[i].iov_base, size);
        other->size += size;
        written += size;
    }
    arrive(other);
    return written > 0 ? (ssize_t)written : MR_EAGAIN;
}

static int pipe_shutdown(struct mr_stream *stream)
{
    struct pipe_end *other = end_of(stream)->other;

    if (other != NULL) {
        other->is_ended = true;
        wake(other);
    }
    return 0;
}

static void pipe_want(struct mr_stream *stream, int events)
{
    struct pipe_end *end = end_of(stream);

    end->wanted = events;
    wake(end);
}

static int pipe_check(struct mr_stream *stream)
{
    return end_of(stream)->is_reset ? MR_ENETWORK : 0;
}

static void pipe_close(struct mr_stream *stream, bool is_abort)
{
    struct pipe_end *end = end_of(stream);

    mr_task_cancel(&end->task);
    mr_timer_stop(&end->arrival);
    if (end->on_close != NULL) {
        end->on_close(end->on_close_owner);
    }
    if (end->other != NULL) {
        end->other->is_ended = true;
        end->other->is_reset = end->other->is_reset || is_abort;
        end->other->other = NULL;
        wake(end->other);
    }
}

static const struct mr_stream_ops pipe_ops = {
    .read = pipe_read,
    .write = pipe_write,
    .shutdown = pipe_shutdown,
    .want = pipe_want,
    .check = pipe_check,
    .close = pipe_close,
};

static void on_task(struct mr_task *task)
{
    struct pipe_end *end = task->owner;
    bool is_writable = end->other == NULL || end->other->size < end->other->capacity;
    bool is_end_seen = end->is_ended && end->size == 0;
    int ready = 0;

    if (end->is_frozen) {
        return;
    }
    if (end->visible > 0 || is_end_seen || end->is_reset) {
        ready |= MR_IO_READ;
    }
    if (is_writable || end->is_reset) {
        ready |= MR_IO_WRITE;
    }
    if (is_end_seen || end->is_reset) {
        ready |= MR_IO_HANGUP;
    }
    ready &= end->wanted;
    if (ready != 0) {
        mr_task_post(task); /* close cancels it; else it is told again */
        stream_on_ready(&end->stream, ready);
    }
}

static struct pipe_end *end_new(struct mr_loop *loop, const struct stream_pair_options *options,
                                const char *name)
{
    size_t capacity = options != NULL && options->pipe_size_bytes > 0 ? options->pipe_size_bytes
                                                                      : PIPE_SIZE_BYTES;
    struct pipe_end *end = mr_calloc(1, sizeof *end + capacity);

    if (end != NULL) {
        stream_init(&end->stream, &pipe_ops, loop, NULL);
        mr_task_init(&end->task, loop, on_task, end);
        mr_timer_init(&end->arrival, loop, on_arrival, end);
        end->delay_us = options != NULL ? options->delay_us : 0;
        end->capacity = capacity;
        end->step =
            options != NULL && options->step_size_bytes > 0 ? options->step_size_bytes : SIZE_MAX;
        (void)snprintf(end->stream.local, sizeof end->stream.local, "%s", name);
        (void)snprintf(end->stream.peer, sizeof end->stream.peer, "%s", name);
    }
    return end;
}

int stream_pair_between(struct mr_loop *one_loop, struct mr_loop *other_loop,
                        const struct stream_pair_options *options, struct mr_stream **ret_one,
                        struct mr_stream **ret_other)
{
    struct pipe_end *one = end_new(one_loop, options, "pair-one");
    struct pipe_end *other = end_new(other_loop, options, "pair-other");

    if (one == NULL || other == NULL) {
        mr_free(one);
        mr_free(other);
        return MR_ENOMEM;
    }
    one->other = other;
    other->other = one;
    *ret_one = &one->stream;
    *ret_other = &other->stream;
    return 0;
}

int stream_pair_new(struct mr_loop *loop, const struct stream_pair_options *options,
                    struct mr_stream **ret_one, struct mr_stream **ret_other)
{
    return stream_pair_between(loop, loop, options, ret_one, ret_other);
}

void stream_pair_freeze(struct mr_stream *stream, bool is_frozen)
{
    struct pipe_end *end = end_of(stream);

    end->is_frozen = is_frozen;
    wake(end);
    if (end->other != NULL) {
        end->other->is_frozen = is_frozen;
        wake(end->other);
    }
}

void stream_pair_on_close(struct mr_stream *stream, void (*on_close)(void *owner), void *owner)
{
    end_of(stream)->on_close = on_close;
    end_of(stream)->on_close_owner = owner;
}

void stream_pair_cut(struct mr_stream *stream)
{
    struct pipe_end *end = end_of(stream);

    end->is_reset = true;
    wake(end);
    if (end->other != NULL) {
        end->other->is_reset = true;
        wake(end->other);
    }
}
