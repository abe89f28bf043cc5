/* Streams: the queue of pieces, the marks, each stream's share of a turn, and the rules of
 * callbacks.
 *
 * Happy path: mr_stream_send appends and posts a task; the task writes runs of memory pieces with
 * one call, file ranges with another, until the queue is empty, the transport is full (then WRITE
 * is wanted), or the share of this turn is used (then the task is posted again). Failure: the
 * transport says that it is broken; nothing is wanted any more, on_failed is told once, and the
 * pieces wait for the owner's close, which cancels them.
 *
 * Every callback may close the stream. Whoever calls back therefore sits between stream_enter and
 * stream_leave, looks at is_closed after each call, and the outermost leave frees the memory. */
#include "base/net/stream.h"

#include "base/core/memory.h"
#include "base/net/admission.h"
#include "base/net/cold.h"
#include "base/net/net_internal.h"
#include "base/net/stream_internal.h"

enum {
    TURN_BYTES = 1024 * 1024, /* written per stream and turn */
    PARTS_MAX = 64,           /* memory pieces per call */
    COPY_BYTES = 128 * 1024,  /* of a file, for transports that do not take files */
    LOW_BYTES = 256 * 1024,
    HIGH_BYTES = 1024 * 1024,
};

static void on_flush_task(struct mr_task *task);
static void on_read_task(struct mr_task *task);

void stream_init(struct mr_stream *stream, const struct mr_stream_ops *ops, struct mr_loop *loop,
                 struct mr_net *net)
{
    stream->magic = STREAM_MAGIC;
    stream->ops = ops;
    stream->loop = loop;
    stream->net = net;
    mr_list_init(&stream->queue);
    stream->low_bytes = LOW_BYTES;
    stream->high_bytes = HIGH_BYTES;
    stream->copy_bytes = COPY_BYTES;
    mr_task_init(&stream->flush_task, loop, on_flush_task, stream);
    mr_task_init(&stream->read_task, loop, on_read_task, stream);
}

static void stream_enter(struct mr_stream *stream)
{
    mr_assert(stream->magic == STREAM_MAGIC);
    stream->depth++;
}

static void stream_leave(struct mr_stream *stream)
{
    stream->depth--;
    if (stream->is_closed && stream->depth == 0) {
        stream->magic = 0;
        mr_free(stream);
    }
}

static bool is_alive(const struct mr_stream *stream)
{
    return !stream->is_closed && stream->failed == 0;
}

static void want_events(struct mr_stream *stream)
{
    int events = 0;

    if (!is_alive(stream)) {
        return;
    }
    if (stream->events != NULL && !stream->is_at_end && !stream->is_paused) {
        events |= MR_IO_READ;
    } else if (!stream->is_hangup_seen) {
        events |= MR_IO_HANGUP;
    }
    if (stream->is_blocked) {
        events |= MR_IO_WRITE;
    }
    stream->ops->want(stream, events);
}

/* Breaks the stream without telling anybody. */
static void stream_break(struct mr_stream *stream, int code)
{
    mr_assert(code < 0);
    stream->failed = code;
    mr_task_cancel(&stream->flush_task);
    mr_task_cancel(&stream->read_task);
    cold_cancel(stream);
    stream->ops->want(stream, 0);
}

static void stream_fail(struct mr_stream *stream, int code)
{
    if (!is_alive(stream)) {
        return;
    }
    stream_break(stream, code);
    if (stream->events != NULL && stream->events->on_failed != NULL) {
        stream->events->on_failed(stream, stream->owner, code);
    }
}

/* ---- writing ---- */

static int64_t piece_left(const struct mr_stream_piece *piece)
{
    int64_t size = piece->slice.data != NULL ? (int64_t)piece->slice.size_bytes : piece->size_bytes;

    return size - piece->done_bytes;
}

static struct mr_stream_piece *first_piece(struct mr_stream *stream)
{
    return mr_container(stream->queue.next, struct mr_stream_piece, link);
}

static bool is_last(const struct mr_stream *stream, const struct mr_stream_piece *piece)
{
    return piece->link.next == &stream->queue;
}

static void finish_first(struct mr_stream *stream, int rc)
{
    struct mr_stream_piece *piece = first_piece(stream);

    mr_list_remove(&piece->link);
    if (piece->sent != NULL) {
        piece->sent(piece, rc);
    }
}

/* Accounts for what the transport took; pieces that are through are handed back. */
static void advance(struct mr_stream *stream, int64_t bytes)
{
    mr_assert(bytes <= stream->queued_bytes);
    stream->queued_bytes -= bytes;
    stream->sent_bytes += bytes;
    net_count(stream->net, NET_SENT_BYTES, bytes);
    while (!stream->is_closed && !mr_list_is_empty(&stream->queue)) {
        struct mr_stream_piece *piece = first_piece(stream);
        int64_t left = piece_left(piece);
        int64_t taken = bytes < left ? bytes : left;

        piece->done_bytes += taken;
        bytes -= taken;
        if (taken < left) {
            break;
        }
        finish_first(stream, 0);
    }
    mr_assert(bytes == 0 || stream->is_closed);
}

/* A run of memory pieces in one call. */
static ssize_t write_memory(struct mr_stream *stream, int64_t budget)
{
    struct iovec parts[PARTS_MAX];
    int count = 0;
    bool more = false;

    mr_list_each(&stream->queue, link, next_link)
    {
        struct mr_stream_piece *piece = mr_container(link, struct mr_stream_piece, link);
        int64_t left = piece_left(piece);

        if (count == PARTS_MAX || piece->slice.data == NULL || budget == 0) {
            more = true;
            break;
        }
        if (left > budget) {
            left = budget;
        }
        parts[count].iov_base = (void *)(uintptr_t)(piece->slice.data + piece->done_bytes);
        parts[count].iov_len = (size_t)left;
        count++;
        budget -= left;
        more = piece->more || left < piece_left(piece);
    }
    stream->is_held = more;
    return stream->ops->write(stream, parts, count, more);
}

/* For transports without a way for files, and for disks without real descriptors. */
static ssize_t copy_file(struct mr_stream *stream, struct mr_stream_piece *piece, size_t size_bytes,
                         bool more)
{
    size_t wanted = size_bytes < stream->copy_bytes ? size_bytes : stream->copy_bytes;
    uint8_t *copy;
    ssize_t rc;

    if (stream->ops->has_taken != NULL && stream->ops->has_taken(stream)) {
        return stream->ops->write(stream, NULL, 0, more); /* nothing need be read for that */
    }
    copy = mr_malloc(wanted);
    if (copy == NULL) {
        return MR_ENOMEM;
    }
    rc = mr_disk_pread(piece->disk, piece->fd, copy, wanted, piece->position + piece->done_bytes);
    if (rc > 0) {
        struct iovec part = {copy, (size_t)rc};

        rc = stream->ops->write(stream, &part, 1, more || (size_t)rc < size_bytes);
    } else if (rc == 0) {
        rc = MR_ETRUNCATED;
    } else if (rc == MR_EAGAIN) {
        rc = MR_EIO; /* a disk never says "later" to a plain read */
    }
    mr_free(copy);
    return rc;
}

/* The next part of a file range. MR_EBUSY: a worker reads it first. */
static ssize_t write_range(struct mr_stream *stream, int64_t budget)
{
    struct mr_stream_piece *piece = first_piece(stream);
    int64_t size = cold_window(stream, piece);
    bool more;

    if (size < 0) {
        return MR_EBUSY;
    }
    if (size > budget) {
        size = budget;
    }
    /* Between two windows of one range nothing is held back: one short segment in 512 KiB is
     * cheaper than two more calls. */
    more = size == piece_left(piece) && (piece->more || !is_last(stream, piece));
    stream->is_held = more;
    if (stream->ops->write_file != NULL && piece->disk == mr_disk_system()) {
        return stream->ops->write_file(stream, piece->fd, piece->position + piece->done_bytes,
                                       (size_t)size, more);
    }
    return copy_file(stream, piece, (size_t)size, more);
}

static void finish_shutdown(struct mr_stream *stream)
{
    int rc;

    if (!is_alive(stream) || !stream->is_shutdown_asked || stream->is_shutdown_done ||
        !mr_list_is_empty(&stream->queue)) {
        return;
    }
    rc = stream->ops->shutdown(stream);
    stream->is_blocked = rc == MR_EAGAIN;
    if (rc == 0) {
        stream->is_shutdown_done = true;
    } else if (rc != MR_EAGAIN) {
        stream_fail(stream, rc);
    }
}

static void tell_drained(struct mr_stream *stream)
{
    if (!is_alive(stream) || !stream->is_over_high || stream->queued_bytes > stream->low_bytes) {
        return;
    }
    stream->is_over_high = false;
    if (stream->events != NULL && stream->events->on_drained != NULL) {
        stream->events->on_drained(stream, stream->owner);
    }
}

/* Writes this turn's share. Returns 0 (the queue is empty, or the share is used), MR_EAGAIN,
 * MR_EBUSY, or what broke the stream. */
static int write_share(struct mr_stream *stream)
{
    int64_t budget = TURN_BYTES;

    while (is_alive(stream) && !mr_list_is_empty(&stream->queue)) {
        struct mr_stream_piece *piece = first_piece(stream);
        ssize_t rc;

        if (piece_left(piece) == 0) {
            finish_first(stream, 0);
            continue;
        }
        if (budget == 0) {
            mr_task_post(&stream->flush_task);
            return 0;
        }
        rc = piece->slice.data != NULL ? write_memory(stream, budget) : write_range(stream, budget);
        if (rc < 0) {
            return (int)rc;
        }
        mr_assert(rc > 0 && rc <= budget);
        budget -= rc;
        advance(stream, rc);
    }
    return 0;
}

/* The caller sits between enter and leave. */
static void flush(struct mr_stream *stream)
{
    int rc;

    if (!is_alive(stream) || stream->cold != NULL) {
        return;
    }
    rc = write_share(stream);
    if (!is_alive(stream)) {
        return;
    }
    stream->is_blocked = rc == MR_EAGAIN;
    if (rc < 0 && rc != MR_EAGAIN && rc != MR_EBUSY) {
        stream_fail(stream, rc);
        return;
    }
    /* What is ready leaves while the disk takes its time, and at the end of a message. */
    if (stream->ops->push != NULL &&
        (rc == MR_EBUSY || (rc == 0 && mr_list_is_empty(&stream->queue) && !stream->is_held))) {
        stream->ops->push(stream);
    }
    finish_shutdown(stream);
    tell_drained(stream);
    want_events(stream);
}

static void on_flush_task(struct mr_task *task)
{
    struct mr_stream *stream = task->owner;

    stream_enter(stream);
    if (!stream->is_blocked) { /* else readiness comes by itself */
        flush(stream);
    }
    stream_leave(stream);
}

void stream_on_warm(struct mr_stream *stream)
{
    mr_task_post(&stream->flush_task);
}

int mr_stream_send(struct mr_stream *stream, struct mr_stream_piece *piece)
{
    mr_assert(stream->magic == STREAM_MAGIC);
    mr_assert(piece->slice.data != NULL || piece->disk != NULL || piece->size_bytes == 0);
    if (!is_alive(stream) || stream->is_shutdown_asked) {
        return MR_ECANCELED;
    }
    piece->done_bytes = 0;
    piece->warm_bytes = 0;
    mr_list_append(&stream->queue, &piece->link);
    stream->queued_bytes += piece_left(piece);
    if (stream->queued_bytes > stream->high_bytes) {
        stream->is_over_high = true;
    }
    mr_task_post(&stream->flush_task);
    return 0;
}

int64_t mr_stream_queued_bytes(const struct mr_stream *stream)
{
    return stream->queued_bytes;
}

int64_t mr_stream_sent_bytes(const struct mr_stream *stream)
{
    return stream->sent_bytes;
}

bool mr_stream_is_over_high(const struct mr_stream *stream)
{
    return stream->is_over_high;
}

void mr_stream_set_marks(struct mr_stream *stream, int64_t low_bytes, int64_t high_bytes)
{
    mr_assert(low_bytes >= 0 && low_bytes <= high_bytes);
    stream->low_bytes = low_bytes;
    stream->high_bytes = high_bytes;
}

void mr_stream_shutdown(struct mr_stream *stream)
{
    if (is_alive(stream) && !stream->is_shutdown_asked) {
        stream->is_shutdown_asked = true;
        mr_task_post(&stream->flush_task);
    }
}

/* ---- reading ---- */

ssize_t mr_stream_read(struct mr_stream *stream, void *data, size_t size_bytes)
{
    ssize_t rc;

    mr_assert(stream->magic == STREAM_MAGIC);
    mr_assert(size_bytes > 0);
    if (stream->failed != 0) {
        return stream->failed;
    }
    if (stream->is_at_end) {
        return MR_EOF;
    }
    rc = stream->ops->read(stream, data, size_bytes);
    if (rc > 0) {
        net_count(stream->net, NET_RECEIVED_BYTES, rc);
    } else if (rc == MR_EOF) {
        stream->is_at_end = true;
        want_events(stream);
    } else if (rc != MR_EAGAIN) {
        stream_break(stream, (int)rc);
    }
    return rc;
}

static bool has_pending(const struct mr_stream *stream)
{
    return stream->ops->has_pending != NULL && stream->ops->has_pending(stream);
}

/* The caller sits between enter and leave. */
static void offer(struct mr_stream *stream)
{
    if (!is_alive(stream) || stream->is_paused || stream->is_at_end || stream->events == NULL) {
        return;
    }
    stream->events->on_readable(stream, stream->owner);
    if (is_alive(stream) && !stream->is_paused && !stream->is_at_end && has_pending(stream)) {
        mr_task_post(&stream->read_task);
    }
}

static void on_read_task(struct mr_task *task)
{
    struct mr_stream *stream = task->owner;

    stream_enter(stream);
    offer(stream);
    stream_leave(stream);
}

void mr_stream_pause(struct mr_stream *stream, bool is_paused)
{
    if (stream->is_paused == is_paused) {
        return;
    }
    stream->is_paused = is_paused;
    stream->is_hangup_seen = false;
    want_events(stream);
    if (!is_paused && is_alive(stream) && has_pending(stream)) {
        mr_task_post(&stream->read_task);
    }
}

/* Nobody reads, and something happened: a reset breaks the stream. An end in good order, which is
 * told again and again, is left to be read later. */
static void check_unread(struct mr_stream *stream)
{
    int rc;

    if (!is_alive(stream)) {
        return;
    }
    rc = stream->ops->check != NULL ? stream->ops->check(stream) : 0;
    if (rc != 0) {
        stream_fail(stream, rc);
        return;
    }
    stream->is_hangup_seen = true;
    want_events(stream);
    if (stream->is_paused && stream->events != NULL && stream->events->on_hangup != NULL) {
        stream->events->on_hangup(stream, stream->owner);
    }
}

void stream_on_ready(struct mr_stream *stream, int events)
{
    stream_enter(stream);
    if (stream->is_blocked && (events & MR_IO_WRITE) != 0) {
        flush(stream);
    }
    if ((events & (MR_IO_READ | MR_IO_HANGUP)) == 0) {
        /* nothing to read */
    } else if (stream->is_paused || stream->is_at_end) {
        check_unread(stream);
    } else {
        offer(stream);
    }
    stream_leave(stream);
}

/* ---- the rest ---- */

void mr_stream_set_events(struct mr_stream *stream, const struct mr_stream_events *events,
                          void *owner)
{
    mr_assert(events->on_readable != NULL);
    stream->events = events;
    stream->owner = owner;
    want_events(stream);
    if (is_alive(stream) && !stream->is_paused && has_pending(stream)) {
        mr_task_post(&stream->read_task);
    }
}

void mr_stream_close(struct mr_stream *stream, bool is_abort)
{
    mr_assert(stream->magic == STREAM_MAGIC);
    mr_assert(!stream->is_closed);
    stream_enter(stream);
    stream->is_closed = true;
    mr_task_cancel(&stream->flush_task);
    mr_task_cancel(&stream->read_task);
    cold_cancel(stream);
    stream->ops->close(stream, is_abort);
    while (!mr_list_is_empty(&stream->queue)) {
        finish_first(stream, MR_ECANCELED);
    }
    admission_leave(stream->admitted);
    stream->admitted = NULL;
    if (stream->gate != NULL) {
        stream->gate->open--;
        stream_gate_unref(stream->gate);
    }
    stream_leave(stream);
}

const char *mr_stream_peer(const struct mr_stream *stream)
{
    return stream->peer;
}

const char *mr_stream_local(const struct mr_stream *stream)
{
    return stream->local;
}

const char *mr_stream_failure(const struct mr_stream *stream)
{
    return stream->failure;
}

struct mr_loop *mr_stream_loop(const struct mr_stream *stream)
{
    return stream->loop;
}

int mr_stream_credentials(const struct mr_stream *stream, uid_t *ret_uid, gid_t *ret_gid,
                          pid_t *ret_pid)
{
    return stream->ops->credentials == NULL
               ? MR_EUNSUPPORTED
               : stream->ops->credentials(stream, ret_uid, ret_gid, ret_pid);
}

/* ---- the gate ---- */

struct mr_stream_gate *stream_gate_new(void)
{
    struct mr_stream_gate *gate = mr_calloc(1, sizeof *gate);

    if (gate != NULL) {
        gate->refs = 1;
    }
    return gate;
}

void stream_gate_enter(struct mr_stream_gate *gate, struct mr_stream *stream)
{
    mr_assert(stream->gate == NULL);
    gate->refs++;
    gate->open++;
    stream->gate = gate;
}

void stream_gate_unref(struct mr_stream_gate *gate)
{
    if (gate != NULL && --gate->refs == 0) {
        mr_free(gate);
    }
}
