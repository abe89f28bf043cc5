/* One client's connection: bytes into frames, frames into requests, answers back in request order.
 *
 * Order. Requests are handled one after the other, as Kafka does, except that Produce requests
 * behind each other are handled together (a log keeps the order of its appends); each sees the
 * effects of those before it.
 *
 * Bounds. A frame is at most request_size_bytes_max. Frames that do not come in one read get a
 * buffer of their own, read into directly and counted against the broker's memory limit as they
 * fill; a connection that finds the limit reached stops reading until others are done (one at a
 * time may go beyond it, so that half-read frames cannot wait for each other for ever). While the
 * client's answers are not taken, nothing more is read. Half a request and then silence ends at
 * connection_idle_ms_max. A client that has used up its quota is not read from for a while
 * (quota.c).
 *
 * Zero copy. Record batches are appended from the frame's buffer, which the log holds a reference
 * on. */
#include <inttypes.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/core/secret.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/bytes.h"

enum {
    FRAME_CHARGE_FIRST = 256 * 1024,
    FRAME_PROGRESS_BYTES = 256 * 1024, /* so much new of a frame renews the idle time */
    BIG_FRAME_READ_SIZE = 4096,        /* after a big frame: mostly the next one's head */
    READ_BYTES_PER_TURN = 2 * 1024 * 1024,
};

static void connection_read(struct connection *connection);
static void connection_parse(struct connection *connection, const uint8_t *data, size_t size);

static void connection_touch(struct connection *connection)
{
    struct broker *broker = connection->broker;

    connection->active_at_ms = mr_loop_now_ms(broker->loop);
    mr_list_remove(&connection->link);
    mr_list_append(&broker->connections, &connection->link);
}

static void connection_pause(struct connection *connection, bool is_paused)
{
    if (connection->is_paused != is_paused && !connection->is_closed) {
        connection->is_paused = is_paused;
        mr_stream_pause(connection->stream, is_paused);
    }
}

/* ---- memory ---- */

/* Counts `size` more bytes; false: wait. */
static bool charge(struct connection *connection, size_t size)
{
    struct broker *broker = connection->broker;

    if (broker->memory_used_bytes + (int64_t)size > broker->memory_limit_bytes &&
        broker->overdraft != connection) {
        if (broker->overdraft != NULL) {
            if (!mr_link_is_linked(&connection->memory_link)) {
                mr_list_append(&broker->memory_waiters, &connection->memory_link);
            }
            return false;
        }
        broker->overdraft = connection;
    }
    broker->memory_used_bytes += (int64_t)size;
    return true;
}

static bool frame_charge(struct connection *connection)
{
    size_t want = connection->frame_charged == 0 ? FRAME_CHARGE_FIRST : connection->frame_charged;

    if (want > connection->frame_size - connection->frame_charged) {
        want = connection->frame_size - connection->frame_charged;
    }
    if (!charge(connection, want)) {
        return false;
    }
    connection->frame_charged += want;
    return true;
}

void connection_wake_memory_waiters(struct broker *broker)
{
    if (broker->overdraft != NULL && broker->memory_used_bytes < broker->memory_limit_bytes) {
        broker->overdraft = NULL;
    }
    while (!mr_list_is_empty(&broker->memory_waiters) &&
           broker->memory_used_bytes < broker->memory_limit_bytes) {
        struct connection *connection =
            mr_container(broker->memory_waiters.next, struct connection, memory_link);
        mr_list_remove(&connection->memory_link);
        connection_pause(connection, false);
    }
}

/* ---- taking requests ---- */

/* Whether a request of this API may start now. */
static bool connection_may_start(const struct connection *connection, int api_key)
{
    const struct request *last;

    if (connection->is_muted) {
        return false;
    }
    if (connection->request_count == 0) {
        return true;
    }
    last = mr_container(connection->requests.previous, struct request, link);
    return api_key == WIRE_API_PRODUCE && last->api != NULL && last->api->key == WIRE_API_PRODUCE &&
           connection->request_count < CONNECTION_REQUESTS_MAX;
}

static void connection_take(struct connection *connection, struct mr_buf *frame, size_t charged)
{
    struct broker *broker = connection->broker;
    struct request *request = request_new(connection, frame);

    if (request == NULL) {
        mr_buf_unref(frame);
        broker->memory_used_bytes -= (int64_t)charged;
        connection_close(connection, "no memory");
        return;
    }
    request->charged_bytes = charged;
    mr_list_append(&connection->requests, &request->link);
    connection->request_count += 1;
    connection_touch(connection);
    if (dispatch(request) != 0) {
        request->state = REQUEST_READY; /* no handler has it: the close may free it */
        request->has_response = false;
        connection_close(connection, NULL);
    }
}

static void frame_drop(struct connection *connection)
{
    frame_unref(connection->broker, connection->frame);
    connection->frame = NULL;
    connection->broker->memory_used_bytes -= (int64_t)connection->frame_charged;
    connection->frame_charged = 0;
}

/* The frame that was arriving is whole. */
static void frame_finish(struct connection *connection)
{
    struct mr_buf *frame = connection->frame;
    size_t charged = connection->frame_charged;

    connection->frame = NULL;
    connection->frame_charged = 0;
    connection->is_big = connection->frame_size > BROKER_SCRATCH_SIZE;
    connection_take(connection, frame, charged);
}

static int api_key_of(const uint8_t *frame, size_t size)
{
    return size >= 2 ? wire_get_int16(frame) : -1;
}

/* A frame by which somebody may be showing who he is: his password is in it. It is overwritten at
 * the end, and at once where it was copied from (the scratch, the backlog: our own memory). */
static void frame_guard(const struct connection *connection, struct mr_buf *frame,
                        const uint8_t *data, size_t size)
{
    if (connection->sasl != NULL &&
        (!sasl_is_open(connection->sasl, mr_loop_now_ms(connection->broker->loop)) ||
         api_key_of(data, size) == WIRE_API_SASL_AUTHENTICATE)) {
        frame->is_secret = true;
        mr_secret_wipe((void *)(uintptr_t)data, size);
    }
}

static int frame_begin(struct connection *connection, const uint8_t *data, size_t size)
{
    /* Not touched before it is filled, so that a claim of 100 MiB costs address space only. */
    connection->frame = frame_new(connection->broker, connection->frame_size);
    if (connection->frame == NULL) {
        return MR_ENOMEM;
    }
    memcpy(connection->frame->data, data, size);
    frame_guard(connection, connection->frame, data, size);
    connection->frame->size_bytes = size;
    connection->frame_charged = 0;
    connection->frame_counted = 0;
    return 0;
}

static void connection_keep(struct connection *connection, const uint8_t *data, size_t size)
{
    mr_bytes_append(&connection->backlog, data, size);
    if (connection->backlog.failed != 0) {
        connection_close(connection, "no memory");
    }
}

/* A stranger has no business with large requests. */
static int64_t frame_size_max(const struct connection *connection)
{
    const struct broker *broker = connection->broker;

    return connection->sasl == NULL ||
                   sasl_is_open(connection->sasl, mr_loop_now_ms(broker->loop)) ||
                   broker->request_size_bytes_max < SASL_FRAME_SIZE_MAX
               ? broker->request_size_bytes_max
               : SASL_FRAME_SIZE_MAX;
}

static int parse_prefix(struct connection *connection, const uint8_t **data, size_t *size)
{
    size_t want = WIRE_FRAME_PREFIX_SIZE - connection->prefix_filled;
    int64_t length;

    if (want > *size) {
        want = *size;
    }
    memcpy(connection->prefix + connection->prefix_filled, *data, want);
    connection->prefix_filled += want;
    *data += want;
    *size -= want;
    if (connection->prefix_filled < WIRE_FRAME_PREFIX_SIZE) {
        return MR_EAGAIN;
    }
    length = wire_get_int32(connection->prefix);
    if (length <= 0 || length > frame_size_max(connection)) {
        mr_warn("request of impossible size: connection closed", KV_I64("size", length),
                KV_I64("limit", frame_size_max(connection)),
                KV_STR("peer", mr_stream_peer(connection->stream)));
        connection->broker->metric_set->values[BROKER_REFUSED_REQUESTS] += 1;
        connection_close(connection, NULL);
        return MR_EPROTOCOL;
    }
    connection->frame_size = (size_t)length;
    return 0;
}

/* Cuts the bytes into frames. Those that cannot be taken now are kept. */
static void connection_parse(struct connection *connection, const uint8_t *data, size_t size)
{
    while (size > 0 && !connection->is_closed && !connection->is_ended) {
        struct mr_buf *frame;
        if (connection->is_muted) {
            connection_keep(connection, data, size); /* no frame is begun that would hold memory */
            return;
        }
        if (connection->prefix_filled < WIRE_FRAME_PREFIX_SIZE &&
            parse_prefix(connection, &data, &size) != 0) {
            return;
        }
        if (size < connection->frame_size) {
            connection->prefix_filled = 0;
            if (frame_begin(connection, data, size) != 0) {
                connection_close(connection, "no memory");
            }
            return;
        }
        if (!connection_may_start(connection, api_key_of(data, connection->frame_size))) {
            connection_keep(connection, data, size);
            return;
        }
        frame = mr_buf_copy(data, connection->frame_size);
        if (frame == NULL) {
            connection_close(connection, "no memory");
            return;
        }
        frame_guard(connection, frame, data, frame->size_bytes);
        data += connection->frame_size;
        size -= connection->frame_size;
        connection->prefix_filled = 0;
        connection->is_big = false;
        connection->broker->memory_used_bytes += (int64_t)frame->size_bytes;
        connection_take(connection, frame, frame->size_bytes);
    }
}

/* ---- reading ---- */

/* More of the frame that is arriving. 1: go on reading, 0: not now. */
static int frame_read(struct connection *connection, ssize_t *ret_got)
{
    struct mr_buf *frame = connection->frame;
    size_t want;

    if (frame->size_bytes >= connection->frame_charged && !frame_charge(connection)) {
        connection_pause(connection, true);
        *ret_got = MR_EAGAIN;
        return 0;
    }
    want = connection->frame_charged > frame->size_bytes
               ? connection->frame_charged - frame->size_bytes
               : 0;
    *ret_got = 0;
    if (want == 0) {
        return 1; /* what came with the prefix is counted now; the next round charges on */
    }
    *ret_got = mr_stream_read(connection->stream, frame->data + frame->size_bytes, want);
    if (*ret_got > 0) {
        frame->size_bytes += (size_t)*ret_got;
        if (frame->size_bytes - connection->frame_counted >= FRAME_PROGRESS_BYTES) {
            connection->frame_counted = frame->size_bytes;
            connection_touch(connection);
        }
    }
    return 1;
}

static bool frame_is_whole(const struct connection *connection)
{
    return connection->frame != NULL && connection->frame->size_bytes == connection->frame_size;
}

/* A quota is used up, or a whole frame in its own buffer, or bytes in the backlog, wait until they
 * may start. */
static bool connection_is_blocked(const struct connection *connection)
{
    if (connection->backlog.size_bytes > 0 || connection->is_muted) {
        return true;
    }
    return frame_is_whole(connection) &&
           !connection_may_start(connection,
                                 api_key_of(connection->frame->data, connection->frame_size));
}

void connection_end_after_answers(struct connection *connection)
{
    connection->is_ended = true;
    connection_pause(connection, true);
}

static void connection_end(struct connection *connection, ssize_t rc)
{
    if (rc != MR_EOF) {
        connection_close(connection, NULL);
        return;
    }
    connection->is_ended = true;
    connection_pause(connection, true);
    mr_list_each(&connection->requests, link, next)
    {
        struct request *request = mr_container(link, struct request, link);
        if (request->cancel != NULL) {
            request->cancel(request); /* nobody waits for a long poll any more */
        }
    }
    connection_step(connection);
}

/* One read: into the frame that is arriving, or into the scratch. */
static ssize_t connection_read_once(struct connection *connection)
{
    struct broker *broker = connection->broker;
    ssize_t got;

    if (connection->frame != NULL) {
        (void)frame_read(connection, &got);
        if (frame_is_whole(connection) && !connection_is_blocked(connection)) {
            frame_finish(connection);
        }
        return got;
    }
    got = mr_stream_read(connection->stream, broker->scratch,
                         connection->is_big ? BIG_FRAME_READ_SIZE : BROKER_SCRATCH_SIZE);
    if (got > 0) {
        connection_parse(connection, broker->scratch, (size_t)got);
    }
    return got;
}

static void connection_read(struct connection *connection)
{
    struct broker *broker = connection->broker;
    int64_t total = 0;

    while (!connection->is_closed && !connection->is_ended && total < READ_BYTES_PER_TURN) {
        ssize_t got;
        if (connection_is_blocked(connection)) {
            connection_pause(connection, true);
            return;
        }
        got = connection_read_once(connection);
        if (got > 0) {
            total += got;
            broker->metric_set->values[BROKER_BYTES_IN] += got;
        } else if (got == MR_EAGAIN) {
            return;
        } else if (got < 0 && !connection->is_closed) {
            connection_end(connection, got);
            return;
        }
    }
}

/* ---- answering ---- */

static void request_sent(struct request *request)
{
    struct connection *connection = request->connection;

    mr_list_remove(&request->link);
    connection->request_count -= 1;
    request_free(request);
}

static void on_sent(struct mr_stream_piece *piece, int rc)
{
    struct request *request = piece->owner;
    struct connection *connection = request->connection;

    (void)rc; /* a broken stream says so itself */
    request_sent(request);
    if (!connection->is_closed) {
        connection_touch(connection);
        connection_step(connection);
    }
}

/* Bytes up to the first hole, the hole's file range, bytes up to the next ... */
static size_t make_pieces(struct request *request, struct mr_stream_piece *pieces)
{
    const struct wire_writer *writer = &request->writer;
    size_t count = 0;
    size_t at = 0;

    for (size_t i = 0; i <= writer->hole_count; i++) {
        size_t end = i < writer->hole_count ? writer->holes[i].position : writer->bytes.size_bytes;
        if (end > at) {
            pieces[count++].slice = (struct mr_slice){NULL, writer->bytes.data + at, end - at};
        }
        at = end;
        if (i < writer->hole_count && writer->holes[i].size_bytes > 0) {
            const struct log_range *range = writer->holes[i].payload;
            pieces[count].disk = request->broker->disk;
            pieces[count].fd = range->fd;
            pieces[count].position = range->position;
            pieces[count].size_bytes = writer->holes[i].size_bytes;
            count += 1;
        }
    }
    return count;
}

static int request_send(struct request *request)
{
    struct mr_stream *stream = request->connection->stream;
    struct mr_stream_piece *pieces =
        request_alloc(request, (2 * request->writer.hole_count + 1) * sizeof *pieces);
    size_t count;
    int rc = 0;

    if (pieces == NULL) {
        return MR_ENOMEM;
    }
    count = make_pieces(request, pieces);
    mr_assert(count > 0);
    request->state = REQUEST_SENDING;
    request->broker->metric_set->values[BROKER_BYTES_OUT] += wire_writer_size(&request->writer);
    pieces[count - 1].sent = on_sent;
    pieces[count - 1].owner = request;
    for (size_t i = 0; i < count && rc == 0; i++) {
        pieces[i].more = i + 1 < count;
        rc = mr_stream_send(stream, &pieces[i]);
    }
    if (rc != 0) {
        request->state = REQUEST_READY; /* its last piece is not queued: close frees it */
    }
    return rc;
}

/* Sends the answers that are next in order. */
static void connection_flush(struct connection *connection)
{
    mr_list_each(&connection->requests, link, next)
    {
        struct request *request = mr_container(link, struct request, link);
        if (request->state == REQUEST_HANDLING) {
            return;
        }
        if (request->state == REQUEST_SENDING) {
            continue;
        }
        if (!request->has_response) {
            request_sent(request);
        } else if (request_send(request) != 0) {
            connection_close(connection, NULL);
            return;
        }
    }
}

static void connection_unblock(struct connection *connection)
{
    if (connection->backlog.size_bytes > 0) {
        struct mr_bytes bytes = connection->backlog;
        mr_bytes_init(&connection->backlog);
        connection_parse(connection, bytes.data, bytes.size_bytes);
        mr_bytes_done(&bytes);
    } else if (frame_is_whole(connection) && !connection_is_blocked(connection)) {
        frame_finish(connection);
    }
}

/* Requests that are handled at once step from inside of the parser: the outermost step does the
 * work. */
void connection_step(struct connection *connection)
{
    if (connection->is_closed) {
        return;
    }
    connection_flush(connection);
    if (connection->is_closed) {
        return;
    }
    if (connection->is_ended ? connection->request_count == 0
                             : connection->is_paused || connection->backlog.size_bytes > 0 ||
                                   frame_is_whole(connection)) {
        mr_task_post(&connection->resume);
    }
}

void connection_resume(struct connection *connection)
{
    if (!connection->is_closed) {
        connection_touch(connection);
        mr_task_post(&connection->resume);
    }
}

static void on_resume(struct mr_task *task)
{
    struct connection *connection = task->owner;

    if (connection->is_closed) {
        return;
    }
    if (connection->is_ended) {
        if (connection->request_count == 0) {
            connection_close(connection, NULL);
        }
        return;
    }
    if (connection->is_muted) {
        return; /* connection_resume comes */
    }
    connection_unblock(connection);
    if (!connection->is_closed && !connection_is_blocked(connection) &&
        !mr_link_is_linked(&connection->memory_link)) {
        connection_pause(connection, false);
    }
}

/* ---- life ---- */

static void on_readable(struct mr_stream *stream, void *owner)
{
    (void)stream;
    connection_read(owner);
}

/* Who leaves while it is muted need not be kept for its throttle time. What it has said before is
 * still taken when that is over. */
static void on_hangup(struct mr_stream *stream, void *owner)
{
    struct connection *connection = owner;
    uint8_t *scratch = connection->broker->scratch;
    ssize_t got;

    if (!connection->is_muted || connection->is_ended || connection->backlog.size_bytes > 0 ||
        connection->frame != NULL) {
        return;
    }
    got = mr_stream_read(stream, scratch, BROKER_SCRATCH_SIZE);
    if (got > 0) {
        connection_keep(connection, scratch, (size_t)got);
    } else if (got != MR_EAGAIN) {
        connection_end(connection, got);
    }
}

static void on_failed(struct mr_stream *stream, void *owner, int code)
{
    (void)stream;
    (void)code;
    connection_close(owner, NULL);
}

int connection_new(struct broker *broker, struct listener *listener, struct mr_stream *stream,
                   const char *peer_name)
{
    static const struct mr_stream_events events = {
        .on_readable = on_readable, .on_hangup = on_hangup, .on_failed = on_failed};
    struct connection *connection = mr_calloc(1, sizeof *connection);
    int rc;

    if (connection == NULL) {
        return MR_ENOMEM;
    }
    connection->broker = broker;
    connection->listener = listener;
    connection->stream = stream;
    connection->is_control = listener->is_control;
    connection->active_at_ms = mr_loop_now_ms(broker->loop);
    rc = auth_meet(broker->auth, connection, peer_name);
    if (rc == 0 && listener->sasl_mechanisms != 0) {
        connection->sasl =
            sasl_new(connection, listener->sasl_mechanisms, listener->sasl_session_ms);
        rc = connection->sasl == NULL ? MR_ENOMEM : 0;
    }
    if (rc != 0) {
        mr_free(connection);
        return rc;
    }
    mr_list_init(&connection->requests);
    mr_bytes_init(&connection->backlog);
    mr_task_init(&connection->resume, broker->loop, on_resume, connection);
    mr_list_append(&broker->connections, &connection->link);
    broker->connection_count += 1;
    broker->metric_set->values[BROKER_CONNECTIONS] = broker->connection_count;
    broker->metric_set->values[BROKER_CONNECTIONS_TOTAL] += 1;
    mr_stream_set_events(stream, &events, connection);
    return 0;
}

static void abandon_requests(struct connection *connection)
{
    mr_list_each(&connection->requests, link, next)
    {
        struct request *request = mr_container(link, struct request, link);
        mr_list_remove(&request->link);
        connection->request_count -= 1;
        request->connection = NULL;
        if (request->state != REQUEST_HANDLING) {
            request_free(request);
        } else if (request->cancel != NULL) {
            request->cancel(request);
        }
    }
}

void connection_close(struct connection *connection, const char *reason)
{
    struct broker *broker = connection->broker;

    if (connection->is_closed) {
        return;
    }
    if (reason != NULL) {
        mr_warn("connection closed", KV_STR("peer", mr_stream_peer(connection->stream)),
                KV_STR("reason", reason));
    }
    connection->is_closed = true;
    mr_task_cancel(&connection->resume);
    mr_stream_close(connection->stream, false); /* frees the requests being sent */
    connection->stream = NULL;
    abandon_requests(connection);
    quota_leave(connection);
    sasl_free(connection->sasl);
    connection->sasl = NULL;
    mr_list_remove(&connection->memory_link);
    if (connection->frame != NULL) {
        frame_drop(connection);
    }
    if (broker->overdraft == connection) {
        broker->overdraft = NULL;
    }
    mr_bytes_done(&connection->backlog);
    mr_list_remove(&connection->link);
    mr_list_append(&broker->closed, &connection->link);
    broker->connection_count -= 1;
    broker->metric_set->values[BROKER_CONNECTIONS] = broker->connection_count;
    mr_task_post(&broker->bury);
    connection_wake_memory_waiters(broker);
}
