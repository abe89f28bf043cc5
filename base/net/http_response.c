/* What is answered: whole responses as two pieces (head, body), streams as chunks (RFC 9112, 7.1),
 * each chunk in an allocation of its own until it is sent. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/core/memory.h"
#include "base/net/http_internal.h"

enum { EXTRA_SIZE_MAX = 8 * 1024, CHUNK_HEAD_SIZE = 20 };

struct chunk {
    struct mr_stream_piece piece;
    uint8_t data[];
};

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].status == status) {
            return texts[i].text;
        }
    }
    return "Status";
}

void http_response_clear(struct mr_http_exchange *exchange)
{
    mr_bytes_clear(&exchange->extra);
    mr_bytes_clear(&exchange->head);
    mr_bytes_done(&exchange->body); /* a page may be large: its memory is given back */
    mr_bytes_init(&exchange->body);
    exchange->events = NULL;
    exchange->on_closed = NULL;
    exchange->is_head_request = false;
}

void mr_http_on_closed(struct mr_http_exchange *exchange,
                       void (*on_closed)(struct mr_http_exchange *exchange, void *owner),
                       void *owner)
{
    exchange->on_closed = on_closed;
    exchange->on_closed_owner = owner;
}

void mr_http_add_header(struct mr_http_exchange *exchange, const char *name, const char *value)
{
    /* A line end in a value that came from outside would let it write headers of its own. */
    if (strpbrk(name, "\r\n") != NULL || strpbrk(value, "\r\n") != NULL ||
        exchange->extra.size_bytes + strlen(name) + strlen(value) > EXTRA_SIZE_MAX) {
        return;
    }
    mr_bytes_printf(&exchange->extra, "%s: %s\r\n", name, value);
}

static void append_date(struct mr_http_exchange *exchange)
{
    time_t now = (time_t)(mr_loop_wall_ms(exchange->server->config.loop) / 1000);
    char text[64];
    struct tm parts;

    if (gmtime_r(&now, &parts) != NULL &&
        strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts) > 0) {
        mr_bytes_text(&exchange->head, text);
    }
}

/* body_size < 0: not known, chunks. */
static void make_head(struct mr_http_exchange *exchange, int status, const char *content_type,
                      int64_t body_size)
{
    struct mr_bytes *head = &exchange->head;

    mr_bytes_clear(head);
    mr_bytes_printf(head, "HTTP/1.1 %d %s\r\n", status, status_text(status));
    append_date(exchange);
    if (content_type != NULL) {
        mr_bytes_printf(head, "Content-Type: %s\r\n", content_type);
    }
    if (exchange->is_chunked) {
        mr_bytes_text(head, "Transfer-Encoding: chunked\r\n");
    } else if (body_size >= 0 && status != 204 && status != 304) {
        mr_bytes_printf(head, "Content-Length: %lld\r\n", (long long)body_size);
    }
    if (!exchange->is_kept_alive) {
        mr_bytes_text(head, "Connection: close\r\n");
    } else if (exchange->parse.version == 10) {
        mr_bytes_text(head, "Connection: keep-alive\r\n");
    }
    /* Nothing here is a page: a browser that was led to it shows, runs and keeps nothing. */
    mr_bytes_text(head, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
                        "Referrer-Policy: no-referrer\r\n");
    mr_bytes_append(head, exchange->extra.data, exchange->extra.size_bytes);
    mr_bytes_text(head, "\r\n");
}

static void on_sent(struct mr_stream_piece *piece, int rc)
{
    struct mr_http_exchange *exchange = piece->owner;

    exchange->unsent--;
    if (rc == 0 && exchange->unsent == 0 && exchange->machine.state == EXCHANGE_SENDING) {
        http_connection_sent(exchange);
    }
}

static int queue(struct mr_http_exchange *exchange, struct mr_stream_piece *piece,
                 const struct mr_bytes *bytes, bool more)
{
    int rc;

    *piece = (struct mr_stream_piece){
        .slice = {.data = bytes->data, .size_bytes = bytes->size_bytes},
        .more = more,
        .sent = on_sent,
        .owner = exchange,
    };
    rc = mr_stream_send(exchange->stream, piece);
    exchange->unsent += rc == 0;
    return rc;
}

void mr_http_respond(struct mr_http_exchange *exchange, int status, const char *content_type,
                     struct mr_bytes *body)
{
    struct mr_bytes taken = {0};
    bool has_body;
    int rc;

    mr_assert(exchange->machine.state <= EXCHANGE_HANDLING);
    if (body != NULL) {
        taken = *body;
        mr_bytes_init(body);
    }
    mr_bytes_done(&exchange->body);
    exchange->body = taken;
    exchange->is_chunked = false;
    make_head(exchange, status, content_type, (int64_t)taken.size_bytes);
    has_body = taken.size_bytes > 0 && !exchange->is_head_request;
    if (exchange->head.failed != 0 || taken.failed != 0) {
        http_connection_close(exchange, true);
        return;
    }
    mr_state_move(&exchange->machine, EXCHANGE_SENDING, NULL);
    rc = queue(exchange, &exchange->head_piece, &exchange->head, has_body);
    if (rc == 0 && has_body) {
        rc = queue(exchange, &exchange->body_piece, &exchange->body, false);
    }
    if (rc != 0) {
        http_connection_close(exchange, true);
        return;
    }
    http_connection_watch(exchange, exchange->server->config.stall_timeout_ms);
}

void mr_http_respond_text(struct mr_http_exchange *exchange, int status, const char *format, ...)
{
    struct mr_bytes body;
    char text[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mr_bytes_init(&body);
    mr_bytes_text(&body, text);
    mr_bytes_text(&body, "\n");
    mr_http_respond(exchange, status, "text/plain; charset=utf-8", &body);
}

void http_response_continue(struct mr_http_exchange *exchange)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    exchange->interim_piece = (struct mr_stream_piece){
        .slice = {.data = (const uint8_t *)text, .size_bytes = sizeof text - 1}};
    (void)mr_stream_send(exchange->stream, &exchange->interim_piece); /* on_failed comes else */
}

/* ---- streams ---- */

void mr_http_stream_start(struct mr_http_exchange *exchange, int status, const char *content_type,
                          const struct mr_http_stream_events *events, void *owner)
{
    mr_assert(exchange->machine.state == EXCHANGE_HANDLING);
    exchange->events = events;
    exchange->events_owner = owner;
    if (exchange->parse.version == 10) {
        exchange->is_kept_alive = false; /* the end of the connection is the end of the stream */
    }
    exchange->is_chunked = exchange->parse.version == 11;
    make_head(exchange, status, content_type, -1);
    mr_state_move(&exchange->machine, EXCHANGE_STREAMING, NULL);
    if (exchange->head.failed != 0 ||
        queue(exchange, &exchange->head_piece, &exchange->head, false) != 0) {
        http_connection_close(exchange, true);
        return;
    }
    http_connection_watch(exchange, exchange->server->config.stall_timeout_ms);
}

static void on_chunk_sent(struct mr_stream_piece *piece, int rc)
{
    struct chunk *chunk = mr_container(piece, struct chunk, piece);
    struct mr_http_exchange *exchange = piece->owner;

    mr_free(chunk);
    exchange->unsent--;
    if (rc == 0 && exchange->unsent == 0 && exchange->machine.state == EXCHANGE_SENDING) {
        http_connection_sent(exchange);
    }
}

/* Frames and queues; size 0 is the last chunk. */
static int send_chunk(struct mr_http_exchange *exchange, const void *data, size_t size)
{
    struct chunk *chunk = mr_malloc(sizeof *chunk + CHUNK_HEAD_SIZE + size + 4);
    size_t used = 0;
    int rc;

    if (chunk == NULL) {
        return MR_ENOMEM;
    }
    if (exchange->is_chunked) {
        used = (size_t)snprintf((char *)chunk->data, CHUNK_HEAD_SIZE, "%zx\r\n", size);
    }
    if (size > 0) {
        memcpy(chunk->data + used, data, size);
        used += size;
    }
    if (exchange->is_chunked) {
        memcpy(chunk->data + used, "\r\n", 2);
        used += 2;
    }
    chunk->piece = (struct mr_stream_piece){
        .slice = {.data = chunk->data, .size_bytes = used},
        .sent = on_chunk_sent,
        .owner = exchange,
    };
    rc = mr_stream_send(exchange->stream, &chunk->piece);
    if (rc != 0) {
        mr_free(chunk);
        return MR_EFULL; /* it broke just now: on_closed comes */
    }
    exchange->unsent++;
    return 0;
}

int mr_http_stream_write(struct mr_http_exchange *exchange, const void *data, size_t size_bytes)
{
    mr_assert(exchange->machine.state == EXCHANGE_STREAMING);
    if (exchange->is_head_request || size_bytes == 0) {
        return 0;
    }
    if (mr_stream_is_over_high(exchange->stream)) {
        return MR_EFULL;
    }
    return send_chunk(exchange, data, size_bytes);
}

void mr_http_stream_end(struct mr_http_exchange *exchange)
{
    mr_assert(exchange->machine.state == EXCHANGE_STREAMING);
    mr_state_move(&exchange->machine, EXCHANGE_SENDING, NULL);
    if (exchange->is_chunked && !exchange->is_head_request && send_chunk(exchange, "", 0) != 0) {
        http_connection_close(exchange, true);
        return;
    }
    if (exchange->unsent == 0) {
        http_connection_sent(exchange);
        return;
    }
    http_connection_watch(exchange, exchange->server->config.stall_timeout_ms);
}
