/* One HTTP connection: requests in, one at a time, and what is done when the client is slow, wrong,
 * or gone.
 *
 *   IDLE -> HEAD -> BODY -> HANDLING -> SENDING -> IDLE (kept alive) or LINGERING -> CLOSED
 *                                    \-> STREAMING -> SENDING
 *   HEAD, BODY -refused-> SENDING -> LINGERING        any -> CLOSED
 *
 * A request that is refused before its end is answered, and then our side ends while what still
 * comes is thrown away for a moment: closing at once would reset the connection and could destroy
 * the answer on its way (RFC 9112, 9.6). */
#include <string.h>
#include <strings.h>

#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/net/http_internal.h"

enum {
    READ_SIZE = 16 * 1024,
    READS_PER_EVENT = 8,
    PIPELINED_MAX = 16 * 1024,
    LINGER_MS = 2000,
    LINGER_BYTES_MAX = 256 * 1024,
    PROGRESS_BYTES = 1024, /* of a body in one stall timeout */
    QUEUE_LOW_BYTES = 64 * 1024,
    QUEUE_HIGH_BYTES = 256 * 1024,
};

static const char *const state_names[] = {
    [EXCHANGE_IDLE] = "idle",           [EXCHANGE_HEAD] = "head",
    [EXCHANGE_BODY] = "body",           [EXCHANGE_HANDLING] = "handling",
    [EXCHANGE_SENDING] = "sending",     [EXCHANGE_STREAMING] = "streaming",
    [EXCHANGE_LINGERING] = "lingering", [EXCHANGE_CLOSED] = "closed",
};

static const uint32_t state_moves[] = {
    [EXCHANGE_IDLE] = MR_TO(EXCHANGE_HEAD) | MR_TO(EXCHANGE_CLOSED),
    [EXCHANGE_HEAD] = MR_TO(EXCHANGE_BODY) | MR_TO(EXCHANGE_SENDING) | MR_TO(EXCHANGE_CLOSED),
    [EXCHANGE_BODY] = MR_TO(EXCHANGE_HANDLING) | MR_TO(EXCHANGE_SENDING) | MR_TO(EXCHANGE_CLOSED),
    [EXCHANGE_HANDLING] =
        MR_TO(EXCHANGE_SENDING) | MR_TO(EXCHANGE_STREAMING) | MR_TO(EXCHANGE_CLOSED),
    [EXCHANGE_SENDING] = MR_TO(EXCHANGE_IDLE) | MR_TO(EXCHANGE_LINGERING) | MR_TO(EXCHANGE_CLOSED),
    [EXCHANGE_STREAMING] = MR_TO(EXCHANGE_SENDING) | MR_TO(EXCHANGE_CLOSED),
    [EXCHANGE_LINGERING] = MR_TO(EXCHANGE_CLOSED),
    [EXCHANGE_CLOSED] = 0,
};

static const struct mr_state_table states = {
    .machine = "http", .names = state_names, .allowed = state_moves, .count = EXCHANGE_CLOSED + 1};

static bool is_in(const struct mr_http_exchange *exchange, enum exchange_state state)
{
    return exchange->machine.state == (int)state;
}

static void move_to(struct mr_http_exchange *exchange, enum exchange_state state)
{
    mr_state_move(&exchange->machine, (int)state, mr_stream_peer(exchange->stream));
}

void http_connection_enter(struct mr_http_exchange *exchange)
{
    exchange->depth++;
}

void http_connection_leave(struct mr_http_exchange *exchange)
{
    exchange->depth--;
    if (is_in(exchange, EXCHANGE_CLOSED) && exchange->depth == 0) {
        http_request_done(&exchange->request);
        mr_bytes_done(&exchange->pipelined);
        mr_bytes_done(&exchange->extra);
        mr_bytes_done(&exchange->head);
        mr_bytes_done(&exchange->body);
        mr_free(exchange);
    }
}

void http_connection_close(struct mr_http_exchange *exchange, bool is_abort)
{
    enum exchange_state state = (enum exchange_state)exchange->machine.state;

    if (state == EXCHANGE_CLOSED) {
        return;
    }
    http_connection_enter(exchange);
    move_to(exchange, EXCHANGE_CLOSED);
    mr_list_remove(&exchange->link);
    mr_timer_stop(&exchange->timer);
    mr_task_cancel(&exchange->next);
    if (state == EXCHANGE_HANDLING && exchange->on_closed != NULL) {
        exchange->on_closed(exchange, exchange->on_closed_owner);
    } else if (state == EXCHANGE_STREAMING && exchange->events->on_closed != NULL) {
        exchange->events->on_closed(exchange, exchange->events_owner);
    }
    mr_stream_close(exchange->stream, is_abort);
    http_connection_leave(exchange);
}

/* ---- slow clients ---- */

static int64_t progress_of(const struct mr_http_exchange *exchange)
{
    return is_in(exchange, EXCHANGE_BODY) ? exchange->read_bytes
                                          : mr_stream_sent_bytes(exchange->stream);
}

void http_connection_watch(struct mr_http_exchange *exchange, int64_t timeout_ms)
{
    exchange->progress = progress_of(exchange);
    if (mr_timer_start(&exchange->timer, timeout_ms) != 0) {
        http_connection_close(exchange, true); /* nobody would watch it */
    }
}

static void refuse(struct mr_http_exchange *exchange, int status, const char *reason)
{
    http_server_count(exchange->server, HTTP_REFUSED);
    exchange->is_kept_alive = false;
    mr_http_respond_text(exchange, status, "%s", reason);
}

static void on_timer(struct mr_timer *timer)
{
    struct mr_http_exchange *exchange = timer->owner;
    int64_t stall_ms = exchange->server->config.stall_timeout_ms;
    int64_t progress = progress_of(exchange) - exchange->progress;

    http_connection_enter(exchange);
    switch ((enum exchange_state)exchange->machine.state) {
    case EXCHANGE_HEAD:
        http_server_count(exchange->server, HTTP_TIMEOUTS);
        refuse(exchange, 408, "the head of the request took too long");
        break;
    case EXCHANGE_BODY:
        if (progress < PROGRESS_BYTES) {
            http_server_count(exchange->server, HTTP_TIMEOUTS);
            refuse(exchange, 408, "the body of the request took too long");
        } else {
            http_connection_watch(exchange, stall_ms);
        }
        break;
    case EXCHANGE_SENDING:
    case EXCHANGE_STREAMING:
        if (progress == 0 && mr_stream_queued_bytes(exchange->stream) > 0) {
            http_server_count(exchange->server, HTTP_TIMEOUTS);
            http_connection_close(exchange, true);
        } else {
            http_connection_watch(exchange, stall_ms);
        }
        break;
    case EXCHANGE_IDLE:
    case EXCHANGE_HANDLING: /* not watched: the handler answers when it can */
    case EXCHANGE_LINGERING:
    case EXCHANGE_CLOSED:
        http_connection_close(exchange, false);
        break;
    }
    http_connection_leave(exchange);
}

/* ---- a request comes in ---- */

static int on_target(struct http_parse *parse, const char *data, size_t size)
{
    return http_request_target(&((struct mr_http_exchange *)parse->owner)->request, data, size);
}

static int on_field(struct http_parse *parse, const char *data, size_t size)
{
    return http_request_field(&((struct mr_http_exchange *)parse->owner)->request, data, size);
}

static int on_value(struct http_parse *parse, const char *data, size_t size)
{
    return http_request_value(&((struct mr_http_exchange *)parse->owner)->request, data, size);
}

static int set_refusal(struct mr_http_exchange *exchange, int status, const char *reason)
{
    exchange->status = status;
    exchange->reason = reason;
    return status;
}

static const char *refusal_text(int status)
{
    switch (status) {
    case 401:
        return "authentication is required";
    case 403:
        return "not allowed";
    case 405:
        return "this path has other methods";
    case 404:
        return "no such path; GET / lists them";
    default:
        return "the path cannot be read";
    }
}

/* The head is complete: everything that can be refused is refused now, before the body is read.
 * Returns a status, or 0. */
static int judge_head(struct mr_http_exchange *exchange)
{
    struct http_parse *parse = &exchange->parse;
    struct http_match match;
    int status = 0;

    if (parse->version < 10 || parse->version > 11) {
        exchange->is_kept_alive = false; /* who knows where its messages end */
        return set_refusal(exchange, 505, "HTTP/1.1 is spoken here");
    }
    if (http_request_finish(&exchange->request) != 0) {
        return set_refusal(exchange, 400, "the target of the request is not a path");
    }
    if (parse->version == 11 && http_request_header(&exchange->request, "host") == NULL) {
        return set_refusal(exchange, 400, "the Host header is missing"); /* RFC 9112, 3.2 */
    }
    match = http_server_match(exchange->server, parse->method, &exchange->request);
    if (match.route == NULL) {
        if (match.status == 405) {
            mr_http_add_header(exchange, "Allow", match.allow);
        }
        return set_refusal(exchange, match.status, refusal_text(match.status));
    }
    exchange->route = *match.route;
    exchange->is_head_request = strcmp(parse->method, "HEAD") == 0;
    if (exchange->server->config.authorize != NULL) {
        status = exchange->server->config.authorize(exchange->server->config.owner, exchange,
                                                    exchange->route.auth);
    }
    if (status != 0) {
        return set_refusal(exchange, status, refusal_text(status));
    }
    if (parse->content_length > (unsigned long long)exchange->route.body_size_bytes_max) {
        return set_refusal(exchange, 413, "the body is larger than this path takes");
    }
    return 0;
}

static int on_headers(struct http_parse *parse)
{
    struct mr_http_exchange *exchange = parse->owner;
    bool has_body = parse->content_length > 0 || parse->is_chunked;
    const char *expect;

    exchange->is_kept_alive = parse->is_kept_alive;
    if (judge_head(exchange) != 0) {
        return has_body ? MR_ECANCELED : 0; /* without a body the connection can go on */
    }
    expect = http_request_header(&exchange->request, "expect");
    if (has_body && expect != NULL && strcasecmp(expect, "100-continue") == 0) {
        http_response_continue(exchange);
    }
    return 0;
}

static int on_body(struct http_parse *parse, const char *data, size_t size)
{
    struct mr_http_exchange *exchange = parse->owner;
    struct mr_bytes *body = &exchange->request.body;

    if (exchange->status != 0) {
        return MR_ECANCELED;
    }
    if ((int64_t)(body->size_bytes + size) > exchange->route.body_size_bytes_max) {
        (void)set_refusal(exchange, 413, "the body is larger than this path takes");
        return MR_ECANCELED;
    }
    mr_bytes_append(body, data, size);
    return body->failed;
}

static const struct http_parse_events parse_events = {
    .on_target = on_target,
    .on_field = on_field,
    .on_value = on_value,
    .on_headers = on_headers,
    .on_body = on_body,
};

static void dispatch(struct mr_http_exchange *exchange)
{
    mr_timer_stop(&exchange->timer);
    move_to(exchange, EXCHANGE_HANDLING);
    if (exchange->status != 0) {
        http_server_count(exchange->server, HTTP_REFUSED);
        mr_http_respond_text(exchange, exchange->status, "%s", exchange->reason);
        return;
    }
    http_server_count(exchange->server, HTTP_REQUESTS);
    exchange->route.handler(exchange, exchange->route.owner != NULL
                                          ? exchange->route.owner
                                          : exchange->server->config.owner);
}

static void begin_request(struct mr_http_exchange *exchange)
{
    http_parse_init(&exchange->parse, &parse_events, exchange);
    exchange->read_bytes = 0;
    exchange->status = 0;
    move_to(exchange, EXCHANGE_HEAD);
    http_connection_watch(exchange, exchange->server->config.header_timeout_ms);
}

static void refuse_parse(struct mr_http_exchange *exchange, int code, const char *reason)
{
    if (exchange->status != 0) {
        refuse(exchange, exchange->status, exchange->reason);
    } else if (code == MR_ETOOLARGE) {
        refuse(exchange, 431, "too many headers");
    } else if (code == MR_ENOMEM) {
        refuse(exchange, 503, "out of memory");
    } else {
        refuse(exchange, 400, reason != NULL ? reason : "the request cannot be read");
    }
}

static bool takes_input(const struct mr_http_exchange *exchange)
{
    return exchange->machine.state <= EXCHANGE_BODY;
}

/* Feeds the parser with what belongs to this request. Returns what was taken of it. */
static size_t feed(struct mr_http_exchange *exchange, const char *data, size_t size)
{
    size_t done = 0;

    if (is_in(exchange, EXCHANGE_IDLE)) {
        begin_request(exchange);
    }
    while (done < size && takes_input(exchange)) {
        size_t part = size - done;
        const char *reason = NULL;
        ssize_t taken;

        if (is_in(exchange, EXCHANGE_HEAD)) {
            int64_t left = exchange->server->config.header_size_bytes_max - exchange->read_bytes;

            if (left <= 0) {
                refuse(exchange, 431, "the head of the request is too large");
                break;
            }
            part = (int64_t)part < left ? part : (size_t)left;
        }
        taken = http_parse_feed(&exchange->parse, data + done, part, &reason);
        if (taken < 0) {
            refuse_parse(exchange, (int)taken, reason);
            break;
        }
        done += (size_t)taken;
        exchange->read_bytes += taken;
        if (is_in(exchange, EXCHANGE_HEAD) && exchange->parse.method != NULL) {
            move_to(exchange, EXCHANGE_BODY);
            http_connection_watch(exchange, exchange->server->config.stall_timeout_ms);
        }
        if (exchange->parse.is_complete && takes_input(exchange)) {
            dispatch(exchange);
        }
    }
    return done;
}

/* What is not of this request waits. */
static void take(struct mr_http_exchange *exchange, const char *data, size_t size)
{
    if (takes_input(exchange) && exchange->pipelined.size_bytes == 0) {
        size_t taken = feed(exchange, data, size);

        data += taken;
        size -= taken;
    }
    if (is_in(exchange, EXCHANGE_CLOSED) || !exchange->is_kept_alive) {
        return; /* nothing more is answered */
    }
    mr_bytes_append(&exchange->pipelined, data, size);
    if (exchange->pipelined.failed != 0) {
        http_connection_close(exchange, true);
    }
}

static void on_next(struct mr_task *task)
{
    struct mr_http_exchange *exchange = task->owner;
    struct mr_bytes waiting = exchange->pipelined;

    http_connection_enter(exchange);
    mr_bytes_init(&exchange->pipelined);
    mr_stream_pause(exchange->stream, false);
    take(exchange, (const char *)waiting.data, waiting.size_bytes);
    mr_bytes_done(&waiting);
    http_connection_leave(exchange);
}

/* ---- the stream's events ---- */

static void on_end(struct mr_http_exchange *exchange)
{
    exchange->is_at_end = true;
    switch ((enum exchange_state)exchange->machine.state) {
    case EXCHANGE_HANDLING: /* may have ended its side only: it still wants the answer */
    case EXCHANGE_SENDING:
    case EXCHANGE_CLOSED:
        return;
    case EXCHANGE_HEAD:
    case EXCHANGE_BODY:
        http_server_count(exchange->server, HTTP_FAILURES);
        break;
    case EXCHANGE_IDLE:
        if (exchange->pipelined.size_bytes > 0) {
            return; /* on_next is posted */
        }
        break;
    case EXCHANGE_STREAMING:
    case EXCHANGE_LINGERING:
        break;
    }
    http_connection_close(exchange, false);
}

/* What may be read now; 0: nothing, until the request under way is answered. */
static size_t read_room(const struct mr_http_exchange *exchange)
{
    size_t waiting = exchange->pipelined.size_bytes;

    if (is_in(exchange, EXCHANGE_LINGERING) || (takes_input(exchange) && waiting == 0)) {
        return READ_SIZE;
    }
    return waiting < PIPELINED_MAX ? PIPELINED_MAX - waiting : 0;
}

static void on_readable(struct mr_stream *stream, void *owner)
{
    struct mr_http_exchange *exchange = owner;
    char data[READ_SIZE];

    http_connection_enter(exchange);
    for (int i = 0; i < READS_PER_EVENT && !is_in(exchange, EXCHANGE_CLOSED); i++) {
        size_t room = read_room(exchange);
        ssize_t rc;

        if (room == 0) {
            mr_stream_pause(stream, true);
            break;
        }
        rc = mr_stream_read(stream, data, room < sizeof data ? room : sizeof data);
        if (rc == MR_EAGAIN) {
            break;
        }
        if (rc == MR_EOF) {
            on_end(exchange);
            break;
        }
        if (rc < 0) {
            http_server_count(exchange->server, HTTP_FAILURES);
            http_connection_close(exchange, true);
            break;
        }
        if (is_in(exchange, EXCHANGE_LINGERING)) {
            exchange->read_bytes += rc;
            if (exchange->read_bytes > LINGER_BYTES_MAX) {
                http_connection_close(exchange, false);
            }
        } else {
            take(exchange, data, (size_t)rc);
        }
    }
    http_connection_leave(exchange);
}

static void on_drained(struct mr_stream *stream, void *owner)
{
    struct mr_http_exchange *exchange = owner;

    (void)stream;
    if (is_in(exchange, EXCHANGE_STREAMING) && exchange->events->on_drained != NULL) {
        exchange->events->on_drained(exchange, exchange->events_owner);
    }
}

static void on_failed(struct mr_stream *stream, void *owner, int code)
{
    struct mr_http_exchange *exchange = owner;

    (void)stream;
    (void)code;
    http_server_count(exchange->server, HTTP_FAILURES);
    http_connection_close(exchange, true);
}

static const struct mr_stream_events stream_events = {
    .on_readable = on_readable,
    .on_drained = on_drained,
    .on_failed = on_failed,
};

/* ---- between requests ---- */

void http_connection_sent(struct mr_http_exchange *exchange)
{
    if (exchange->is_at_end && (!exchange->is_kept_alive || exchange->pipelined.size_bytes == 0)) {
        http_connection_close(exchange, false);
        return;
    }
    if (!exchange->is_kept_alive) {
        move_to(exchange, EXCHANGE_LINGERING);
        exchange->read_bytes = 0;
        mr_stream_shutdown(exchange->stream);
        mr_stream_pause(exchange->stream, false);
        http_connection_watch(exchange, LINGER_MS);
        return;
    }
    http_request_clear(&exchange->request);
    http_response_clear(exchange);
    move_to(exchange, EXCHANGE_IDLE);
    if (exchange->pipelined.size_bytes > 0) {
        mr_task_post(&exchange->next);
    } else {
        mr_stream_pause(exchange->stream, false);
    }
    http_connection_watch(exchange, exchange->server->config.idle_timeout_ms);
}

int http_connection_new(struct mr_http_server *server, struct mr_stream *stream)
{
    struct mr_http_exchange *exchange = mr_calloc(1, sizeof *exchange);

    if (exchange == NULL) {
        return MR_ENOMEM;
    }
    exchange->server = server;
    exchange->stream = stream;
    mr_machine_init(&exchange->machine, &states, EXCHANGE_IDLE);
    mr_timer_init(&exchange->timer, server->config.loop, on_timer, exchange);
    mr_task_init(&exchange->next, server->config.loop, on_next, exchange);
    http_request_init(&exchange->request);
    mr_bytes_init(&exchange->pipelined);
    mr_bytes_init(&exchange->extra);
    mr_bytes_init(&exchange->head);
    mr_bytes_init(&exchange->body);
    if (mr_timer_start(&exchange->timer, server->config.idle_timeout_ms) != 0) {
        mr_free(exchange);
        return MR_ENOMEM;
    }
    mr_list_append(&server->connections, &exchange->link);
    mr_stream_set_marks(stream, QUEUE_LOW_BYTES, QUEUE_HIGH_BYTES);
    mr_stream_set_events(stream, &stream_events, exchange);
    return 0;
}
