/* Making and reading lines. Bodies are prepared once; a line is a copy of a part of one, with its
 * time, mark and sum put in. */
#include "tests/bench/loggen_line.h"

#include <isa-l/crc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BODY_COUNT = 512,
    ADDRESS_SIZE = 15, /* addresses are padded by their digits */
    STAMP_AT = ADDRESS_SIZE + 6,
    STAMP_SIZE = 26,
    SPREAD_MAX = 40,
    HEAD_SIZE_MIN = STAMP_AT + STAMP_SIZE + 2,
    MARK_SIZE = LINE_TAIL_SIZE - 1, /* "mr=..." */
    FILE_DIGITS = 5,
    SEQUENCE_DIGITS = 12,
    TIME_DIGITS = 16,
    SUM_DIGITS = 8,
};

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static uint32_t sum_of(const char *data, size_t size)
{
    union {
        const void *read;
        unsigned char *isal; /* lacks const; it only reads */
    } at = {.read = data};

    return ~crc32_iscsi(at.isal, (int)size, ~0u);
}

/* An access log line that is cut, or goes on with a query, at the wanted size. */
static void make_body(char *body, size_t size, uint32_t *state)
{
    static const char *const agents[] = {
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15",
        "curl/7.88.1",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    };
    static const char *const paths[] = {"/index.html",   "/api/v1/users", "/static/js/app.js",
                                        "/img/logo.png", "/search",       "/products",
                                        "/login"};
    static const int codes[] = {200, 200, 200, 200, 304, 404, 301, 500};
    char text[512];
    int n = snprintf(
        text, sizeof text,
        "%03u.%03u.%03u.%03u - - [dd/Mon/yyyy:hh:mm:ss +0000] \"GET %s/%u HTTP/1.1\" %d "
        "%u \"-\" \"%s\" ",
        next_random(state) % 256, next_random(state) % 256, next_random(state) % 256,
        next_random(state) % 256, paths[next_random(state) % 7], next_random(state) % 100000,
        codes[next_random(state) % 8], next_random(state) % 90000, agents[next_random(state) % 4]);
    size_t used = (size_t)n < size ? (size_t)n : size;

    memcpy(body, text, used);
    while (used < size) {
        body[used++] = "0123456789abcdef"[next_random(state) % 16];
    }
}

int line_maker_init(struct line_maker *maker, size_t size_average)
{
    uint32_t state = 2463534242u;

    memset(maker, 0, sizeof *maker);
    maker->size_average = size_average;
    maker->spread = (size_average - LINE_SIZE_MIN) / 2;
    maker->spread = maker->spread < SPREAD_MAX ? maker->spread : SPREAD_MAX;
    maker->body_size = size_average + maker->spread;
    maker->stamp_s = -1;
    maker->bodies = malloc(BODY_COUNT * maker->body_size);
    if (maker->bodies == NULL) {
        return -1;
    }
    for (size_t i = 0; i < BODY_COUNT; i++) {
        make_body(maker->bodies + i * maker->body_size, maker->body_size, &state);
    }
    return 0;
}

void line_maker_done(struct line_maker *maker)
{
    free(maker->bodies);
}

static char *put_digits(char *at, uint64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + count;
}

static char *put_hex(char *at, uint32_t value)
{
    for (int i = 0; i < SUM_DIGITS; i++) {
        at[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
    }
    return at + SUM_DIGITS;
}

static uint64_t mix(uint64_t value)
{
    value *= UINT64_C(0x9e3779b97f4a7c15);
    return value ^ value >> 29;
}

static size_t line_size(const struct line_maker *maker, uint64_t sequence, bool is_last)
{
    uint64_t random = mix(sequence / 2 + 1);
    size_t off = maker->spread == 0 ? 0 : (size_t)(random % (maker->spread + 1));

    if (sequence % 2 == 0) {
        return is_last ? maker->size_average : maker->size_average - off;
    }
    return maker->size_average + off;
}

static void prepare_stamp(struct line_maker *maker, int64_t time_us)
{
    time_t seconds = (time_t)(time_us / 1000000);
    struct tm tm;

    if (seconds != maker->stamp_s) {
        maker->stamp_s = seconds;
        gmtime_r(&seconds, &tm);
        (void)strftime(maker->stamp, sizeof maker->stamp, "%d/%b/%Y:%H:%M:%S +0000", &tm);
    }
}

size_t line_make(struct line_maker *maker, uint32_t file, uint64_t sequence, bool is_last,
                 int64_t time_us, char *to)
{
    size_t size = line_size(maker, sequence, is_last);
    size_t body = mix(sequence ^ (uint64_t)file << 40) % BODY_COUNT;
    size_t mark_at = size - 1 - MARK_SIZE;
    char *at = to + mark_at;

    prepare_stamp(maker, time_us);
    memcpy(to, maker->bodies + body * maker->body_size, mark_at - 1);
    memcpy(to + STAMP_AT, maker->stamp, STAMP_SIZE);
    memcpy(at - 1, " mr=", 4);
    at = put_digits(at + 3, file, FILE_DIGITS);
    *at++ = '.';
    at = put_digits(at, sequence, SEQUENCE_DIGITS);
    *at++ = '.';
    at = put_digits(at, (uint64_t)time_us, TIME_DIGITS);
    at[0] = '.';
    at = put_hex(at + 1, sum_of(to, (size_t)(at - to)));
    *at = '\n';
    return size;
}

static const char *get_digits(const char *at, int count, char end, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (int i = 0; i < count; i++) {
        unsigned digit = (unsigned)(at[i] - '0');

        if (digit > 9) {
            return NULL;
        }
        value = value * 10 + digit;
    }
    *ret_value = value;
    return at[count] == end ? at + count + 1 : NULL;
}

static bool get_hex(const char *at, uint32_t *ret_value)
{
    uint32_t value = 0;

    for (int i = 0; i < SUM_DIGITS; i++) {
        int digit = at[i];

        if (digit >= '0' && digit <= '9') {
            digit -= '0';
        } else if (digit >= 'a' && digit <= 'f') {
            digit -= 'a' - 10;
        } else {
            return false;
        }
        value = value << 4 | (uint32_t)digit;
    }
    *ret_value = value;
    return true;
}

/* The mark at `at`, which has MARK_SIZE bytes. */
static bool read_mark(const char *at, struct line_mark *ret_mark, uint32_t *ret_sum)
{
    uint64_t file;
    uint64_t time_us;

    if (memcmp(at, "mr=", 3) != 0) {
        return false;
    }
    at = get_digits(at + 3, FILE_DIGITS, '.', &file);
    at = at == NULL ? NULL : get_digits(at, SEQUENCE_DIGITS, '.', &ret_mark->sequence);
    at = at == NULL ? NULL : get_digits(at, TIME_DIGITS, '.', &time_us);
    if (at == NULL || !get_hex(at, ret_sum)) {
        return false;
    }
    ret_mark->file = (uint32_t)file;
    ret_mark->time_us = (int64_t)time_us;
    return true;
}

enum line_verdict line_read(const char *line, size_t size, bool is_loose,
                            struct line_mark *ret_mark)
{
    uint32_t sum;

    if (size < MARK_SIZE) {
        return LINE_FOREIGN;
    }
    if (read_mark(line + size - MARK_SIZE, ret_mark, &sum)) {
        size_t summed = size - SUM_DIGITS - 1;

        return is_loose || sum_of(line, summed) == sum ? LINE_OK : LINE_DAMAGED;
    }
    for (const char *at = line;; at++) {
        size_t left = size - (size_t)(at - line);

        at = memmem(at, left, "mr=", 3);
        if (at == NULL || size - (size_t)(at - line) < MARK_SIZE) {
            return LINE_FOREIGN;
        }
        if (read_mark(at, ret_mark, &sum)) {
            return LINE_OK;
        }
    }
}
