/* docker's json-file lines: see runtime.h. One flat object, so one pass over its members is enough;
 * members that are not ours (attrs, partial ids of other writers) are skipped whatever they hold.
 */
#include <string.h>

#include "sources/file/runtime.h"

#include "base/core/buffer.h"
#include "base/text/time.h"

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

struct text {
    const uint8_t *data; /* between the quotes */
    size_t size;
    bool is_escaped;
};

static void skip_space(struct cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t' ||
                                        *cursor->at == '\r' || *cursor->at == '\n')) {
        cursor->at++;
    }
}

static bool take(struct cursor *cursor, char c)
{
    skip_space(cursor);
    if (cursor->at == cursor->end || *cursor->at != (uint8_t)c) {
        return false;
    }
    cursor->at++;
    return true;
}

static bool take_text(struct cursor *cursor, struct text *ret_text)
{
    const uint8_t *start;

    if (!take(cursor, '"')) {
        return false;
    }
    start = cursor->at;
    ret_text->is_escaped = false;
    while (cursor->at < cursor->end && *cursor->at != '"') {
        if (*cursor->at == '\\') {
            ret_text->is_escaped = true;
            cursor->at++;
        }
        cursor->at++;
    }
    if (cursor->at >= cursor->end) {
        return false;
    }
    ret_text->data = start;
    ret_text->size = (size_t)(cursor->at - start);
    cursor->at++;
    return true;
}

/* Any value, to the comma or brace that ends it. */
static bool skip_value(struct cursor *cursor)
{
    int depth = 0;

    skip_space(cursor);
    while (cursor->at < cursor->end) {
        uint8_t c = *cursor->at;
        struct text text;

        if (c == '"') {
            if (!take_text(cursor, &text)) {
                return false;
            }
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}')) {
            return true;
        }
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        cursor->at++;
    }
    return false;
}

static int hex4(const uint8_t *at)
{
    int value = 0;

    for (int i = 0; i < 4; i++) {
        int digit = at[i] >= '0' && at[i] <= '9'   ? at[i] - '0'
                    : at[i] >= 'a' && at[i] <= 'f' ? at[i] - 'a' + 10
                    : at[i] >= 'A' && at[i] <= 'F' ? at[i] - 'A' + 10
                                                   : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static size_t put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* \uXXXX, with its second half where it is a surrogate; the bytes read, 0 if it is none. */
static size_t take_unicode(const uint8_t *at, const uint8_t *end, uint32_t *ret_c)
{
    int high = end - at >= 6 ? hex4(at + 2) : -1;
    int low;

    if (high < 0) {
        return 0;
    }
    *ret_c = (uint32_t)high;
    if (high < 0xd800 || high > 0xdfff) {
        return 6;
    }
    low = high < 0xdc00 && end - at >= 12 && at[6] == '\\' && at[7] == 'u' ? hex4(at + 8) : -1;
    if (low < 0xdc00 || low > 0xdfff) {
        *ret_c = 0xfffd; /* half a surrogate */
        return 6;
    }
    *ret_c = 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return 12;
}

/* No escape is shorter than what it stands for, so the output fits where the input was. */
static bool unescape(const struct text *text, struct mr_bytes *scratch)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const uint8_t *at = text->data;
    const uint8_t *end = at + text->size;
    uint8_t *out;

    mr_bytes_clear(scratch);
    if (mr_bytes_reserve(scratch, text->size) != 0) {
        scratch->failed = -1;
        return false;
    }
    out = scratch->data;
    while (at < end) {
        const uint8_t *escape = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((escape == NULL ? end : escape) - at);
        const char *known;
        uint32_t c;

        memcpy(out, at, plain);
        out += plain;
        at += plain;
        if (at == end) {
            break;
        }
        if (end - at < 2) {
            return false;
        }
        if (at[1] == 'u') {
            size_t used = take_unicode(at, end, &c);

            if (used == 0) {
                return false;
            }
            out += put_utf8(out, c);
            at += used;
            continue;
        }
        known = at[1] == 0 ? NULL : strchr(from, at[1]);
        if (known == NULL) {
            return false;
        }
        *out++ = (uint8_t)to[known - from];
        at += 2;
    }
    scratch->size_bytes = (size_t)(out - scratch->data);
    return true;
}

static bool is_word(const struct text *text, const char *word)
{
    return text->size == strlen(word) && memcmp(text->data, word, text->size) == 0;
}

static bool take_member(struct cursor *cursor, struct text *log, struct runtime_piece *piece)
{
    struct text name;
    struct text value;

    if (!take_text(cursor, &name) || !take(cursor, ':')) {
        return false;
    }
    skip_space(cursor);
    if (cursor->at == cursor->end || *cursor->at != '"') {
        return skip_value(cursor);
    }
    if (!take_text(cursor, &value)) {
        return false;
    }
    if (is_word(&name, "log")) {
        *log = value;
    } else if (is_word(&name, "stream")) {
        piece->lane = is_word(&value, "stderr") ? 1 : 0;
    } else if (is_word(&name, "time")) {
        int64_t time_us;
        size_t used;

        if (mr_time_parse((const char *)value.data, value.size, &time_us, &used) == 0) {
            piece->timestamp_ms = time_us / 1000;
        }
    }
    return true;
}

bool runtime_parse_docker(const uint8_t *line, size_t size, struct mr_bytes *scratch,
                          struct runtime_piece *ret_piece)
{
    struct cursor cursor = {line, line + size};
    struct runtime_piece piece = {.timestamp_ms = -1};
    struct text log = {0};

    if (!take(&cursor, '{')) {
        return false;
    }
    do {
        if (!take_member(&cursor, &log, &piece)) {
            return false;
        }
    } while (take(&cursor, ','));
    if (!take(&cursor, '}') || log.data == NULL) {
        return false;
    }
    piece.data = log.data;
    piece.size = log.size;
    if (log.is_escaped) {
        if (!unescape(&log, scratch)) {
            return false;
        }
        piece.data = scratch->data;
        piece.size = scratch->size_bytes;
    }
    piece.is_last = piece.size > 0 && piece.data[piece.size - 1] == '\n';
    piece.size -= piece.is_last ? 1 : 0;
    if (piece.is_last && piece.size > 0 && piece.data[piece.size - 1] == '\r') {
        piece.size--;
    }
    *ret_piece = piece;
    return true;
}
