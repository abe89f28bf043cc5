/* What was asked: the head of a request, kept as NUL-ended strings in one arena. The parser hands
 * over names and values in pieces as the network cut them; a piece of the other kind ends the one
 * before. */
#include <string.h>
#include <strings.h>

#include "base/core/error.h"
#include "base/net/http_internal.h"

void http_request_init(struct http_request *request)
{
    *request = (struct http_request){0};
    mr_bytes_init(&request->text);
    mr_bytes_init(&request->body);
}

void http_request_done(struct http_request *request)
{
    mr_bytes_done(&request->text);
    mr_bytes_done(&request->body);
}

void http_request_clear(struct http_request *request)
{
    mr_bytes_clear(&request->text);
    /* A large body is rare: its memory is given back. */
    mr_bytes_done(&request->body);
    mr_bytes_init(&request->body);
    request->header_count = 0;
    request->in_value = false;
    request->path = NULL;
    request->query = NULL;
    request->param_count = 0;
}

static int append(struct http_request *request, const char *data, size_t size)
{
    if (memchr(data, '\0', size) != NULL) {
        return MR_EPROTOCOL;
    }
    mr_bytes_append(&request->text, data, size);
    return request->text.failed;
}

static int end_string(struct http_request *request)
{
    mr_bytes_append(&request->text, "", 1);
    return request->text.failed;
}

int http_request_target(struct http_request *request, const char *data, size_t size)
{
    return append(request, data, size);
}

int http_request_field(struct http_request *request, const char *data, size_t size)
{
    if (request->header_count == 0 || request->in_value) {
        int rc = end_string(request); /* of the target, or of the value before */

        if (rc != 0) {
            return rc;
        }
        if (request->header_count == HTTP_HEADERS_MAX) {
            return MR_ETOOLARGE;
        }
        request->fields[request->header_count] = request->text.size_bytes;
        request->values[request->header_count] = request->text.size_bytes;
        request->header_count++;
        request->in_value = false;
    }
    return append(request, data, size);
}

int http_request_value(struct http_request *request, const char *data, size_t size)
{
    if (request->header_count == 0) {
        return MR_EPROTOCOL;
    }
    if (!request->in_value) {
        int rc = end_string(request);

        if (rc != 0) {
            return rc;
        }
        request->values[request->header_count - 1] = request->text.size_bytes;
        request->in_value = true;
    }
    return append(request, data, size);
}

int http_request_finish(struct http_request *request)
{
    char *target;
    int rc = end_string(request);

    if (rc != 0) {
        return rc;
    }
    target = (char *)request->text.data;
    if (target[0] != '/') { /* the other forms are for proxies, OPTIONS * and CONNECT */
        return MR_EPROTOCOL;
    }
    request->path = target;
    request->query = strchr(target, '?');
    if (request->query != NULL) {
        *request->query++ = '\0';
    }
    return 0;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    const char *text = (const char *)request->text.data;

    for (int i = 0; i < request->header_count; i++) {
        if (strcasecmp(text + request->fields[i], name) == 0) {
            return text + request->values[i];
        }
    }
    return NULL;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool http_decode(char *text, bool is_query)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '+' && is_query) {
            *to++ = ' ';
        } else if (*from == '%') {
            int high = hex(from[1]);
            int low = high < 0 ? -1 : hex(from[2]);

            if (low < 0 || (high == 0 && low == 0)) {
                return false;
            }
            *to++ = (char)(high * 16 + low);
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return true;
}

/* ---- for handlers ---- */

const char *mr_http_method(const struct mr_http_exchange *exchange)
{
    return exchange->parse.method;
}

const char *mr_http_path(const struct mr_http_exchange *exchange)
{
    return exchange->request.path;
}

const char *mr_http_param(const struct mr_http_exchange *exchange, int index)
{
    return index >= 0 && index < exchange->request.param_count ? exchange->request.params[index]
                                                               : NULL;
}

int mr_http_query(const struct mr_http_exchange *exchange, const char *name, char *value,
                  size_t size)
{
    const char *at = exchange->request.query;
    size_t name_size = strlen(name);

    while (at != NULL && *at != '\0') {
        size_t part_size = strcspn(at, "&");

        if (part_size >= name_size && strncmp(at, name, name_size) == 0 &&
            (part_size == name_size || at[name_size] == '=')) {
            size_t skip = part_size == name_size ? name_size : name_size + 1;
            size_t value_size = part_size - skip;

            if (value_size >= size) {
                return MR_ETOOLARGE;
            }
            memcpy(value, at + skip, value_size);
            value[value_size] = '\0';
            return http_decode(value, true) ? 0 : MR_EINVAL;
        }
        at += part_size;
        at += *at == '&';
    }
    return MR_ENOENT;
}

const char *mr_http_header(const struct mr_http_exchange *exchange, const char *name)
{
    return http_request_header(&exchange->request, name);
}

void mr_http_wipe_header(struct mr_http_exchange *exchange, const char *name)
{
    struct http_request *request = &exchange->request;
    char *text = (char *)request->text.data;

    for (int i = 0; i < request->header_count; i++) {
        if (strcasecmp(text + request->fields[i], name) == 0) {
            explicit_bzero(text + request->values[i], strlen(text + request->values[i]));
        }
    }
}

const struct mr_bytes *mr_http_body(const struct mr_http_exchange *exchange)
{
    return &exchange->request.body;
}

struct mr_stream *mr_http_stream(struct mr_http_exchange *exchange)
{
    return exchange->stream;
}
