/* Both parsers have the same callbacks and differ in how they pause and report. Offers to upgrade
 * the protocol are ignored, as RFC 9110 (7.8) allows: the request is answered as it stands. */
#include "base/net/http_parse.h"

#include <stdint.h>

#include "base/core/error.h"

#ifdef MILLRACE_LLHTTP
typedef llhttp_t raw_parser;
#define method_name(parser)       llhttp_method_name((llhttp_method_t)(parser)->method)
#define should_keep_alive(parser) (llhttp_should_keep_alive(parser) != 0)
#define PAUSE(parser)             HPE_PAUSED
#define HAS_LENGTH                F_CONTENT_LENGTH
#else
typedef http_parser raw_parser;
#define method_name(parser)       http_method_str((enum http_method)(parser)->method)
#define should_keep_alive(parser) (http_should_keep_alive(parser) != 0)
#define PAUSE(parser)             (http_parser_pause((parser), 1), 0)
#define HAS_LENGTH                F_CONTENTLENGTH
#endif

static int keep(struct http_parse *parse, int code)
{
    parse->code = code;
    return code == 0 ? 0 : -1;
}

static int on_url(raw_parser *parser, const char *data, size_t size)
{
    struct http_parse *parse = parser->data;

    return keep(parse, parse->events->on_target(parse, data, size));
}

static int on_header_field(raw_parser *parser, const char *data, size_t size)
{
    struct http_parse *parse = parser->data;

    return keep(parse, parse->events->on_field(parse, data, size));
}

static int on_header_value(raw_parser *parser, const char *data, size_t size)
{
    struct http_parse *parse = parser->data;

    return keep(parse, parse->events->on_value(parse, data, size));
}

static int on_headers_complete(raw_parser *parser)
{
    struct http_parse *parse = parser->data;
    bool has_length = (parser->flags & HAS_LENGTH) != 0;

    parser->upgrade = 0;
    parse->method = method_name(parser);
    parse->version = parser->http_major * 10 + parser->http_minor;
    parse->is_kept_alive = should_keep_alive(parser);
    parse->is_chunked = (parser->flags & F_CHUNKED) != 0;
    parse->content_length = has_length ? parser->content_length : 0;
    return keep(parse, parse->events->on_headers(parse));
}

static int on_body(raw_parser *parser, const char *data, size_t size)
{
    struct http_parse *parse = parser->data;

    return keep(parse, parse->events->on_body(parse, data, size));
}

static int on_message_complete(raw_parser *parser)
{
    struct http_parse *parse = parser->data;

    parse->is_complete = true;
    return PAUSE(parser); /* what follows is the next request's */
}

void http_parse_init(struct http_parse *parse, const struct http_parse_events *events, void *owner)
{
    *parse = (struct http_parse){.events = events, .owner = owner};
#ifdef MILLRACE_LLHTTP
    llhttp_settings_init(&parse->settings);
#else
    http_parser_settings_init(&parse->settings);
#endif
    parse->settings.on_url = on_url;
    parse->settings.on_header_field = on_header_field;
    parse->settings.on_header_value = on_header_value;
    parse->settings.on_headers_complete = on_headers_complete;
    parse->settings.on_body = on_body;
    parse->settings.on_message_complete = on_message_complete;
#ifdef MILLRACE_LLHTTP
    llhttp_init(&parse->parser, HTTP_REQUEST, &parse->settings);
#else
    http_parser_init(&parse->parser, HTTP_REQUEST);
#endif
    parse->parser.data = parse;
}

#ifdef MILLRACE_LLHTTP
ssize_t http_parse_feed(struct http_parse *parse, const char *data, size_t size,
                        const char **ret_reason)
{
    llhttp_errno_t rc = llhttp_execute(&parse->parser, data, size);

    if (rc == HPE_OK) {
        return (ssize_t)size;
    }
    if (parse->is_complete) {
        return llhttp_get_error_pos(&parse->parser) - data;
    }
    if (parse->code != 0) {
        return parse->code;
    }
    *ret_reason = llhttp_get_error_reason(&parse->parser);
    return MR_EPROTOCOL;
}
#else
ssize_t http_parse_feed(struct http_parse *parse, const char *data, size_t size,
                        const char **ret_reason)
{
    size_t taken = http_parser_execute(&parse->parser, &parse->settings, data, size);
    enum http_errno rc = HTTP_PARSER_ERRNO(&parse->parser);

    if (parse->is_complete || rc == HPE_OK) {
        return (ssize_t)taken;
    }
    if (parse->code != 0) {
        return parse->code;
    }
    *ret_reason = http_errno_description(rc);
    return MR_EPROTOCOL;
}
#endif
