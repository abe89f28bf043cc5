/* The one place that knows which HTTP parser is there: llhttp (Debian 13) or its ancestor
 * http-parser (Debian 12). Requests only; one message per parse. */
#ifndef BASE_NET_HTTP_PARSE_H
#define BASE_NET_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef MILLRACE_LLHTTP
#include <llhttp.h>
#else
#include <http_parser.h>
#endif

struct http_parse;

/* Non-zero returns stop the parse with that (negative) code. Data comes in parts, as it was cut. */
struct http_parse_events {
    int (*on_target)(struct http_parse *parse, const char *data, size_t size);
    int (*on_field)(struct http_parse *parse, const char *data, size_t size);
    int (*on_value)(struct http_parse *parse, const char *data, size_t size);
    int (*on_headers)(struct http_parse *parse);
    int (*on_body)(struct http_parse *parse, const char *data, size_t size);
};

struct http_parse {
    const struct http_parse_events *events;
    void *owner;
    /* valid from on_headers on: */
    const char *method;
    int version; /* 10 or 11 */
    bool is_kept_alive;
    bool is_chunked;
    unsigned long long content_length; /* 0 if none */
    bool is_complete;
    int code; /* what an event returned */
#ifdef MILLRACE_LLHTTP
    llhttp_t parser;
    llhttp_settings_t settings;
#else
    http_parser parser;
    http_parser_settings settings;
#endif
};

void http_parse_init(struct http_parse *parse, const struct http_parse_events *events, void *owner);
/* Bytes taken, up to the end of the message (is_complete); an event's code; or MR_EPROTOCOL with
 * the parser's words. */
ssize_t http_parse_feed(struct http_parse *parse, const char *data, size_t size,
                        const char **ret_reason);

#endif
