/* The writer. Escaping copies runs of harmless bytes, found eight at a time. */
#include "base/text/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/utf8.h"

#define EVERY_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* Not zero if some byte of the word is a control character, a quote, a backslash or above ASCII.
 * The usual "has a byte less than n" trick: exact for words without high bits, which are caught
 * anyway. */
static uint64_t needs_care(uint64_t word)
{
    uint64_t quotes = word ^ EVERY_BYTE('"');
    uint64_t slashes = word ^ EVERY_BYTE('\\');

    return (word | (word - EVERY_BYTE(0x20)) | (quotes - EVERY_BYTE(1)) |
            (slashes - EVERY_BYTE(1))) &
           EVERY_BYTE(0x80);
}

static size_t harmless_run(const uint8_t *data, size_t size)
{
    size_t i = 0;

    while (size - i >= sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, data + i, sizeof word);
        if (needs_care(word)) {
            break;
        }
        i += sizeof word;
    }
    while (i < size && data[i] >= 0x20 && data[i] < 0x80 && data[i] != '"' && data[i] != '\\') {
        i++;
    }
    return i;
}

/* One byte of ASCII that may not stand in a string as it is. */
static void escape_ascii(struct mr_bytes *out, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    char text[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};

    for (size_t i = 0; i < sizeof shorts - 1; i += 2) {
        if (shorts[i] == (char)byte) {
            text[1] = shorts[i + 1];
            mr_bytes_append(out, text, 2);
            return;
        }
    }
    mr_bytes_append(out, text, sizeof text);
}

void mr_json_escape(struct mr_bytes *out, const void *data, size_t size)
{
    const uint8_t *at = data;
    size_t i = 0;

    while (i < size) {
        size_t run = harmless_run(at + i, size - i);
        uint32_t character;
        size_t skip;

        if (run == 0 && at[i] < 0x80) {
            escape_ascii(out, at[i]);
            i++;
            continue;
        }
        if (run == 0) {
            run = mr_utf8_next(at + i, size - i, &character, &skip);
        }
        if (run == 0) {
            mr_bytes_append(out, "\xef\xbf\xbd", 3); /* U+FFFD */
            i += skip;
            continue;
        }
        mr_bytes_append(out, at + i, run);
        i += run;
    }
}

void mr_json_init(struct mr_json *json, struct mr_bytes *out)
{
    memset(json, 0, sizeof *json);
    json->out = out;
}

/* What stands before a value: nothing behind a key, else a comma where one is due. */
static void before_value(struct mr_json *json)
{
    mr_assert(json->has_key == json->is_object[json->depth]);
    if (!json->has_key && json->has_member[json->depth]) {
        mr_assert(json->depth > 0); /* a document is one value */
        mr_bytes_append(json->out, ",", 1);
    }
    json->has_key = false;
    json->has_member[json->depth] = true;
}

static void open_level(struct mr_json *json, const char *bracket, bool is_object)
{
    before_value(json);
    mr_assert(json->depth + 1 < MR_JSON_DEPTH_MAX);
    json->depth++;
    json->is_object[json->depth] = is_object;
    json->has_member[json->depth] = false;
    mr_bytes_append(json->out, bracket, 1);
}

static void close_level(struct mr_json *json, const char *bracket, bool is_object)
{
    mr_assert(json->depth > 0);
    mr_assert(!json->has_key);
    mr_assert(json->is_object[json->depth] == is_object);
    json->is_object[json->depth] = false;
    json->depth--;
    mr_bytes_append(json->out, bracket, 1);
}

void mr_json_open_object(struct mr_json *json)
{
    open_level(json, "{", true);
}

void mr_json_close_object(struct mr_json *json)
{
    close_level(json, "}", true);
}

void mr_json_open_array(struct mr_json *json)
{
    open_level(json, "[", false);
}

void mr_json_close_array(struct mr_json *json)
{
    close_level(json, "]", false);
}

static void quote(struct mr_bytes *out, const void *data, size_t size)
{
    mr_bytes_append(out, "\"", 1);
    mr_json_escape(out, data, size);
    mr_bytes_append(out, "\"", 1);
}

void mr_json_key_bytes(struct mr_json *json, const void *key, size_t size)
{
    mr_assert(json->is_object[json->depth]);
    mr_assert(!json->has_key);
    if (json->has_member[json->depth]) {
        mr_bytes_append(json->out, ",", 1);
    }
    quote(json->out, key, size);
    mr_bytes_append(json->out, ":", 1);
    json->has_key = true;
}

void mr_json_key(struct mr_json *json, const char *key)
{
    mr_json_key_bytes(json, key, strlen(key));
}

void mr_json_raw(struct mr_json *json, const void *data, size_t size)
{
    before_value(json);
    mr_bytes_append(json->out, data, size);
}

void mr_json_string(struct mr_json *json, const void *data, size_t size)
{
    before_value(json);
    quote(json->out, data, size);
}

void mr_json_null(struct mr_json *json)
{
    mr_json_raw(json, "null", 4);
}

void mr_json_text(struct mr_json *json, const char *text)
{
    if (text == NULL) {
        mr_json_null(json);
    } else {
        mr_json_string(json, text, strlen(text));
    }
}

void mr_json_bool(struct mr_json *json, bool value)
{
    mr_json_raw(json, value ? "true" : "false", value ? 4 : 5);
}

void mr_json_u64(struct mr_json *json, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    mr_json_raw(json, digits + at, sizeof digits - at);
}

void mr_json_i64(struct mr_json *json, int64_t value)
{
    char text[24];

    if (value >= 0) {
        mr_json_u64(json, (uint64_t)value);
        return;
    }
    mr_json_raw(json, text, (size_t)snprintf(text, sizeof text, "%" PRId64, value));
}

/* The shorter of 15 and 17 digits that reads back as the same number. */
void mr_json_double(struct mr_json *json, double value)
{
    char text[32];
    int size;

    if (!isfinite(value)) {
        mr_json_null(json);
        return;
    }
    size = snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) < value || strtod(text, NULL) > value) {
        size = snprintf(text, sizeof text, "%.17g", value);
    }
    mr_json_raw(json, text, (size_t)size);
}
