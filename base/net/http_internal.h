/* The inside of the HTTP server: http_server.c has routes and listeners, http_request.c what was
 * asked, http_connection.c the machine of one connection, http_response.c what is answered. */
#ifndef BASE_NET_HTTP_INTERNAL_H
#define BASE_NET_HTTP_INTERNAL_H

#include "base/core/list.h"
#include "base/core/state.h"
#include "base/net/http_parse.h"
#include "base/net/http_server.h"

enum { HTTP_HEADERS_MAX = 64, HTTP_PARAMS_MAX = 4, HTTP_LISTENERS_MAX = 8 };

enum http_metric {
    HTTP_CONNECTIONS,
    HTTP_REQUESTS,
    HTTP_REFUSED,
    HTTP_FAILURES,
    HTTP_TIMEOUTS,
    HTTP_METRIC_COUNT
};

struct mr_http_server {
    struct mr_http_config config;
    struct mr_metric_set *metrics;
    struct mr_http_route *routes;
    size_t route_count;
    size_t route_capacity;
    struct mr_listener *listeners[HTTP_LISTENERS_MAX];
    int listener_count;
    struct mr_link connections; /* of mr_http_exchange */
};

/* One request: the text of its head in one arena, cut by NULs. Positions, as the arena may move. */
struct http_request {
    struct mr_bytes text;
    size_t target; /* always 0 */
    size_t fields[HTTP_HEADERS_MAX];
    size_t values[HTTP_HEADERS_MAX];
    int header_count;
    bool in_value; /* the last piece belonged to a value */
    char *path;    /* set when the head is complete; so are: */
    char *query;   /* or NULL */
    char *params[HTTP_PARAMS_MAX];
    int param_count;
    struct mr_bytes body;
};

/* How a target was routed. */
struct http_match {
    const struct mr_http_route *route; /* NULL: none */
    int status;                        /* then: 404, 405, 400 */
    char allow[64];                    /* for 405 */
};

enum exchange_state {
    EXCHANGE_IDLE,      /* nothing of a request has come */
    EXCHANGE_HEAD,      /* part of its head */
    EXCHANGE_BODY,      /* part of its body */
    EXCHANGE_HANDLING,  /* the handler has it */
    EXCHANGE_SENDING,   /* the whole response is queued */
    EXCHANGE_STREAMING, /* chunks are written by the handler */
    EXCHANGE_LINGERING, /* our side has ended; what still comes is thrown away */
    EXCHANGE_CLOSED,
};

/* A connection, and the exchange that is under way on it. */
struct mr_http_exchange {
    struct mr_link link;
    struct mr_http_server *server;
    struct mr_stream *stream;
    struct mr_machine machine;
    struct mr_timer timer;
    struct mr_task next; /* goes on with what is pipelined */
    struct http_parse parse;
    struct http_request request;
    struct mr_http_route route; /* a copy: routes may be added meanwhile */
    struct mr_bytes pipelined;  /* read, and not of this request */
    int64_t read_bytes;         /* of this request; of the head until BODY */
    int64_t progress;           /* bytes read or sent when the timer was started */
    int depth;                  /* of calls on the stack; memory is freed by the outermost */
    bool is_head_request;
    bool is_kept_alive;
    bool is_at_end;     /* the client has ended its side */
    int status;         /* to be refused with, found while parsing; 0: none */
    const char *reason; /* and why */
    /* the response: */
    struct mr_stream_piece interim_piece; /* 100 Continue */
    struct mr_bytes extra;                /* header lines that the handler added */
    struct mr_bytes head;
    struct mr_bytes body;
    struct mr_stream_piece head_piece;
    struct mr_stream_piece body_piece;
    int unsent; /* pieces queued */
    bool is_chunked;
    const struct mr_http_stream_events *events;
    void *events_owner;
    void (*on_closed)(struct mr_http_exchange *exchange, void *owner);
    void *on_closed_owner;
};

/* http_request.c */
void http_request_init(struct http_request *request);
void http_request_done(struct http_request *request);
void http_request_clear(struct http_request *request);
int http_request_target(struct http_request *request, const char *data, size_t size);
int http_request_field(struct http_request *request, const char *data, size_t size);
int http_request_value(struct http_request *request, const char *data, size_t size);
/* Splits path and query; 0 or MR_EPROTOCOL. */
int http_request_finish(struct http_request *request);
const char *http_request_header(const struct http_request *request, const char *name);
/* In place; false for bad escapes and for %00. is_query: + is a blank. */
bool http_decode(char *text, bool is_query);

/* http_server.c */
struct http_match http_server_match(const struct mr_http_server *server, const char *method,
                                    struct http_request *request);
void http_server_count(struct mr_http_server *server, enum http_metric metric);

/* http_connection.c */
int http_connection_new(struct mr_http_server *server, struct mr_stream *stream);
void http_connection_close(struct mr_http_exchange *exchange, bool is_abort);
/* The response is sent as far as it was queued. */
void http_connection_sent(struct mr_http_exchange *exchange);
void http_connection_watch(struct mr_http_exchange *exchange, int64_t timeout_ms);
void http_connection_enter(struct mr_http_exchange *exchange);
void http_connection_leave(struct mr_http_exchange *exchange);

/* http_response.c */
void http_response_clear(struct mr_http_exchange *exchange);
void http_response_continue(struct mr_http_exchange *exchange);

#endif
