/* A thin HTTP/1.1 server (RFC 9112) on streams: for the admin API, the console, and sources that
 * are posted to. Routes are a table; requests come whole, responses go whole or as a stream of
 * chunks.
 *
 * One request per connection at a time: what is pipelined waits in a bounded buffer. Everything a
 * client can do slowly has a deadline, everything it can send a bound. Lives on one loop. */
#ifndef BASE_NET_HTTP_SERVER_H
#define BASE_NET_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/buffer.h"
#include "base/net/stream.h"

struct mr_metrics;
struct mr_http_server;
struct mr_http_exchange; /* a request and its response; gone when answered, or after on_closed */

/* Answers now or later, exactly once. The exchange may be gone when an answering call returns. */
typedef void (*mr_http_handler)(struct mr_http_exchange *exchange, void *owner);

struct mr_http_route {
    const char *method; /* "GET" (answers HEAD too); NULL ends a table */
    const char *path;   /* "/topics/{topic}/records": {..} is one segment; a last "*", the rest */
    mr_http_handler handler;
    void *owner;                 /* for the handler; NULL: the server's */
    int auth;                    /* for the server's authorize */
    int64_t body_size_bytes_max; /* larger bodies: 413 */
    const char *help;            /* one sentence, for the list of routes */
};

struct mr_http_config {
    struct mr_loop *loop;
    struct mr_net *net;
    struct mr_metrics *metrics; /* may be NULL */
    const char *name;           /* label of the metrics: "admin" */
    void *owner;
    /* 0: allowed; else a status (401, 403) to answer with. NULL: all is allowed. Called before the
     * body is read. */
    int (*authorize)(void *owner, struct mr_http_exchange *exchange, int auth);
    /* 0 stands for the value behind it. */
    int connections_max;       /* 256; of each listener */
    int header_size_bytes_max; /* 16 KiB; beyond: 431 */
    int64_t header_timeout_ms; /* 10 s from the first byte to the end of the headers; then 408 */
    int64_t idle_timeout_ms;   /* 60 s between requests; then closed */
    int64_t stall_timeout_ms;  /* 20 s with less than 1 KiB of a body read, or nothing written */
};

/* routes ends with {0} and outlives the server; may be NULL. */
int mr_http_server_new(const struct mr_http_config *config, const struct mr_http_route *routes,
                       struct mr_http_server **ret_server);
/* Copies the route; its strings outlive the server. MR_EEXIST, MR_ENOMEM. */
int mr_http_server_add(struct mr_http_server *server, const struct mr_http_route *route);
/* Several are allowed. *ret_port may be NULL. options as for mr_net_listen; connections_max is the
 * server's. */
int mr_http_server_listen(struct mr_http_server *server, const struct mr_address *address,
                          const struct mr_listen_options *options, uint16_t *ret_port,
                          struct mr_error *error);
/* For a connection that came another way, as in tests. Takes the stream. */
int mr_http_server_take(struct mr_http_server *server, struct mr_stream *stream);
void mr_http_server_each_route(const struct mr_http_server *server,
                               void (*cb)(void *owner, const struct mr_http_route *route),
                               void *owner);
/* Closes listeners and connections; open exchanges get on_closed. NULL is fine. */
void mr_http_server_free(struct mr_http_server *server);

/* ---- the request ---- */

const char *mr_http_method(const struct mr_http_exchange *exchange); /* HEAD shows as HEAD */
const char *mr_http_path(const struct mr_http_exchange *exchange); /* as sent, without the query */
/* What stood for the nth {..} or the "*" of the route, decoded; NULL beyond. */
const char *mr_http_param(const struct mr_http_exchange *exchange, int index);
/* Decoded. 0, MR_ENOENT, MR_EINVAL (bad escapes), or MR_ETOOLARGE for the space given. */
int mr_http_query(const struct mr_http_exchange *exchange, const char *name, char *value,
                  size_t size);
const char *mr_http_header(const struct mr_http_exchange *exchange, const char *name); /* or NULL */
/* Overwrites the value of a header that holds a secret, as soon as it was looked at. */
void mr_http_wipe_header(struct mr_http_exchange *exchange, const char *name);
const struct mr_bytes *mr_http_body(const struct mr_http_exchange *exchange);
struct mr_stream *mr_http_stream(struct mr_http_exchange *exchange); /* whose peer asks */
/* Called once, if the client goes away (or the server is freed) before the answer: the exchange is
 * gone after it. For handlers that answer later. */
void mr_http_on_closed(struct mr_http_exchange *exchange,
                       void (*on_closed)(struct mr_http_exchange *exchange, void *owner),
                       void *owner);

/* ---- the response ---- */

/* Before responding; ours to give are Content-Length, Content-Type, Connection and the like. */
void mr_http_add_header(struct mr_http_exchange *exchange, const char *name, const char *value);
/* Steals the body's content (also on failure); NULL: none. */
void mr_http_respond(struct mr_http_exchange *exchange, int status, const char *content_type,
                     struct mr_bytes *body);
/* A line of plain text; a newline is put behind it. */
void mr_http_respond_text(struct mr_http_exchange *exchange, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct mr_http_stream_events {
    void (*on_drained)(struct mr_http_exchange *exchange, void *owner); /* write again */
    void (*on_closed)(struct mr_http_exchange *exchange, void *owner);  /* the exchange is gone */
};

/* A response without a known end, in chunks: server-sent events, live data. */
void mr_http_stream_start(struct mr_http_exchange *exchange, int status, const char *content_type,
                          const struct mr_http_stream_events *events, void *owner);
/* Copies. 0; MR_EFULL: nothing was taken, wait for on_drained; MR_ENOMEM. Events may be lost by the
 * caller's choice then; chunks are never cut. */
int mr_http_stream_write(struct mr_http_exchange *exchange, const void *data, size_t size_bytes);
/* The end; the exchange is gone after it. */
void mr_http_stream_end(struct mr_http_exchange *exchange);

#endif
