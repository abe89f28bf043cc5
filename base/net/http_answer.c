/* A whole HTTP/1.x answer (RFC 9112) behind a request that has said "Connection: close". */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/net/http_fetch.h"

struct answer {
    const char *at;
    const char *end;
};

/* The next line without its end; false if there is none. */
static bool take_line(struct answer *answer, const char **ret_line, size_t *ret_size)
{
    const char *end = memchr(answer->at, '\n', (size_t)(answer->end - answer->at));

    if (end == NULL) {
        return false;
    }
    *ret_line = answer->at;
    *ret_size = (size_t)(end - answer->at);
    if (*ret_size > 0 && end[-1] == '\r') {
        *ret_size -= 1;
    }
    answer->at = end + 1;
    return true;
}

static bool is_field(const char *line, size_t size, const char *name, const char **ret_value,
                     size_t *ret_size)
{
    size_t name_size = strlen(name);

    if (size <= name_size || strncasecmp(line, name, name_size) != 0 || line[name_size] != ':') {
        return false;
    }
    line += name_size + 1;
    size -= name_size + 1;
    while (size > 0 && (*line == ' ' || *line == '\t')) {
        line += 1;
        size -= 1;
    }
    while (size > 0 && (line[size - 1] == ' ' || line[size - 1] == '\t')) {
        size -= 1;
    }
    *ret_value = line;
    *ret_size = size;
    return true;
}

static int read_size(const char *text, size_t size, unsigned base, size_t *ret_number)
{
    size_t number = 0;
    size_t used = 0;

    for (; used < size; used++) {
        char c = text[used];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 99;
        if (digit >= base) {
            break;
        }
        if (number > SIZE_MAX / 32) {
            return MR_EPROTOCOL;
        }
        number = number * base + digit;
    }
    *ret_number = number;
    /* Behind the size of a chunk there may be extensions. */
    return used > 0 && (used == size || (base == 16 && (text[used] == ';' || text[used] == ' ')))
               ? 0
               : MR_EPROTOCOL;
}

static int take_chunks(struct answer *answer, struct mr_bytes *body)
{
    const char *line;
    size_t line_size;
    size_t size;

    for (;;) {
        if (!take_line(answer, &line, &line_size) || read_size(line, line_size, 16, &size) != 0) {
            return MR_EPROTOCOL;
        }
        if (size == 0) {
            return body->failed;
        }
        if (size > (size_t)(answer->end - answer->at)) {
            return MR_EPROTOCOL;
        }
        mr_bytes_append(body, answer->at, size);
        answer->at += size;
        if (!take_line(answer, &line, &line_size) || line_size != 0) {
            return MR_EPROTOCOL;
        }
    }
}

/* "HTTP/1.1 200 OK" */
static int take_status(struct answer *answer, int *ret_status)
{
    const char *line;
    size_t size;

    if (!take_line(answer, &line, &size) || size < 12 || memcmp(line, "HTTP/1.", 7) != 0 ||
        line[8] != ' ') {
        return MR_EPROTOCOL;
    }
    for (int i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9') {
            return MR_EPROTOCOL;
        }
    }
    *ret_status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + line[11] - '0';
    return 0;
}

int mr_http_answer_parse(const uint8_t *data, size_t size, int *ret_status, struct mr_bytes *body)
{
    struct answer answer = {(const char *)data, (const char *)data + size};
    size_t length = SIZE_MAX; /* up to the end */
    bool is_chunked = false;
    const char *line;
    size_t line_size;
    const char *value;
    size_t value_size;
    int status = 0;
    int rc = size > 0 ? take_status(&answer, &status) : MR_EPROTOCOL;

    while (rc == 0) {
        if (!take_line(&answer, &line, &line_size)) {
            return MR_EPROTOCOL;
        }
        if (line_size == 0) {
            break;
        }
        if (is_field(line, line_size, "content-length", &value, &value_size)) {
            rc = read_size(value, value_size, 10, &length);
        } else if (is_field(line, line_size, "transfer-encoding", &value, &value_size)) {
            is_chunked = value_size == 7 && strncasecmp(value, "chunked", 7) == 0;
            rc = is_chunked ? 0 : MR_EPROTOCOL;
        } else if (is_field(line, line_size, "content-encoding", &value, &value_size)) {
            rc = value_size == 8 && strncasecmp(value, "identity", 8) == 0 ? 0 : MR_EPROTOCOL;
        }
    }
    if (rc != 0) {
        return rc;
    }
    *ret_status = status;
    if (is_chunked) {
        return take_chunks(&answer, body);
    }
    size = (size_t)(answer.end - answer.at);
    if (length != SIZE_MAX && length > size) {
        return MR_EPROTOCOL; /* cut off */
    }
    mr_bytes_append(body, answer.at, length < size ? length : size);
    return body->failed;
}
