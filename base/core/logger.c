/* One event, one line, one write(2): lines of several threads never mix, because a line is at most
 * PIPE_BUF long and one lock orders counting and writing. Nothing is allocated, so that a line
 * about missing memory can be written. What comes from outside is escaped: no value can begin a new
 * line, send a terminal sequence, or break the JSON.
 *
 * Level, format and sink are the process's own, as stderr is: this is the one place with mutable
 * statics above the heap door, all of them behind `log_mutex` except the level, which is atomic. */
#include "base/core/logger.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/error.h"
#include "base/core/utf8.h"

enum {
    LINE_SIZE = 4096,      /* with the newline; up to PIPE_BUF a write to a pipe is not split */
    LINE_TAIL_SIZE = 128,  /* kept free for the closing quote, the marks and the newline */
    VALUE_SIZE_MAX = 1536, /* written bytes of one value, so that one cannot push out the others */
    REPEAT_WINDOW_US = 5 * 1000000,
    REPEATS_MAX = 10,
};
static_assert(LINE_SIZE <= PIPE_BUF, "a line must be written in one piece");

static atomic_int log_level = MR_LOG_INFO;
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static enum mr_log_format log_format = MR_LOG_TEXT;
static bool log_has_colour;
static void (*log_sink)(void *owner, enum mr_log_level level, const char *line);
static void *log_sink_owner;

struct level_words {
    const char *name;     /* JSON */
    const char *padded;   /* text */
    const char *colour;   /* SGR; the reset is common */
    const char *priority; /* sd-daemon(3) */
};

static const struct level_words level_table[] = {
    [MR_LOG_DEBUG] = {"debug", "DEBUG", "\033[2m", "<7>"},
    [MR_LOG_INFO] = {"info", "INFO ", "\033[32m", "<6>"},
    [MR_LOG_WARN] = {"warn", "WARN ", "\033[33m", "<4>"},
    [MR_LOG_ERROR] = {"error", "ERROR", "\033[31m", "<3>"},
};

struct line {
    size_t size;
    bool is_cut;
    char text[LINE_SIZE];
};

void mr_log_setup(enum mr_log_level level, enum mr_log_format format)
{
    const char *no_colour = getenv("NO_COLOR"); /* no-color.org: set and not empty */

    mr_assert(level >= MR_LOG_DEBUG && level <= MR_LOG_ERROR);
    pthread_mutex_lock(&log_mutex);
    atomic_store(&log_level, (int)level);
    log_format = format;
    log_has_colour = format == MR_LOG_TEXT && (no_colour == NULL || no_colour[0] == '\0') &&
                     isatty(STDERR_FILENO) == 1;
    pthread_mutex_unlock(&log_mutex);
}

enum mr_log_level mr_log_level_now(void)
{
    return (enum mr_log_level)atomic_load_explicit(&log_level, memory_order_relaxed);
}

void mr_log_set_sink(void (*sink)(void *owner, enum mr_log_level level, const char *line),
                     void *owner)
{
    pthread_mutex_lock(&log_mutex);
    log_sink = sink;
    log_sink_owner = owner;
    pthread_mutex_unlock(&log_mutex);
}

/* ---- building a line ---- */

/* All of the bytes or none; false marks the line as cut. */
static bool line_put(struct line *line, const char *data, size_t size)
{
    if (line->is_cut || size > LINE_SIZE - LINE_TAIL_SIZE - line->size) {
        line->is_cut = true;
        return false;
    }
    memcpy(line->text + line->size, data, size);
    line->size += size;
    return true;
}

static void line_text(struct line *line, const char *text)
{
    (void)line_put(line, text, strlen(text)); /* the mark says that something is missing */
}

/* Into the tail that line_put leaves free; the callers' literals fit (static sizes below). */
static void line_close(struct line *line, const char *text)
{
    size_t size = strlen(text);

    mr_assert(line->size + size < LINE_SIZE);
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

/* Writes one character (or one byte that is none) in escaped form. Returns the bytes consumed. */
static size_t line_character(struct line *line, const unsigned char *at, bool as_json)
{
    size_t length = mr_utf8_length(at, strnlen((const char *)at, 4));
    bool is_c1 = length == 2 && at[0] == 0xc2 && at[1] < 0xa0; /* U+0080..9F are controls too */
    char escape[8];

    if (length == 0) {
        (void)snprintf(escape, sizeof escape, as_json ? "\\ufffd" : "\\x%02x", at[0]);
        line_text(line, escape);
        return 1;
    }
    if (at[0] == '"' || at[0] == '\\') {
        escape[0] = '\\';
        escape[1] = (char)at[0];
        (void)line_put(line, escape, 2);
    } else if (at[0] == '\n' || at[0] == '\t' || at[0] == '\r') {
        line_text(line, at[0] == '\n' ? "\\n" : at[0] == '\t' ? "\\t" : "\\r");
    } else if (at[0] < 0x20 || at[0] == 0x7f || is_c1) {
        (void)snprintf(escape, sizeof escape, as_json ? "\\u%04x" : "\\x%02x",
                       is_c1 ? at[1] : at[0]);
        line_text(line, escape);
    } else {
        (void)line_put(line, (const char *)at, length);
    }
    return length;
}

static void line_escaped(struct line *line, const char *text, bool as_json)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t start = line->size;

    while (*at != '\0') {
        if (line->size - start > VALUE_SIZE_MAX) {
            line_text(line, "...");
            return;
        }
        at += line_character(line, at, as_json);
        if (line->is_cut) {
            return;
        }
    }
}

/* A value that is one word is written bare, everything else in quotes. */
static bool text_is_word(const char *text)
{
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\') {
            return false;
        }
    }
    return true;
}

static void line_string(struct line *line, const char *text, bool as_json)
{
    if (text == NULL) {
        line_text(line, as_json ? "null" : "-");
    } else if (!as_json && text_is_word(text)) {
        line_escaped(line, text, false);
    } else if (line_put(line, "\"", 1)) {
        line_escaped(line, text, as_json);
        line_close(line, "\""); /* also when the value was cut */
    }
}

static void line_value(struct line *line, const struct mr_kv *field, bool as_json)
{
    char number[48];

    switch (field->type) {
    case MR_KV_STR:
        line_string(line, field->value.str, as_json);
        return;
    case MR_KV_ERR:
        line_string(line, mr_code_text(field->value.code), as_json);
        return;
    case MR_KV_I64:
        (void)snprintf(number, sizeof number, "%" PRId64, field->value.i64);
        break;
    case MR_KV_U64:
        (void)snprintf(number, sizeof number, "%" PRIu64, field->value.u64);
        break;
    case MR_KV_F64:
        if (as_json && !isfinite(field->value.f64)) { /* JSON has no word for them */
            (void)snprintf(number, sizeof number, "null");
        } else {
            (void)snprintf(number, sizeof number, "%.6g", field->value.f64);
        }
        break;
    case MR_KV_BOOL:
        (void)snprintf(number, sizeof number, "%s", field->value.boolean ? "true" : "false");
        break;
    default:
        mr_assert(false && "a field type that exists");
    }
    line_text(line, number);
}

/* A field whose key and number do not fit is left out whole: what is written stays well-formed. */
static void line_field(struct line *line, const struct mr_kv *field, bool as_json)
{
    size_t before = line->size;

    if (line->is_cut) {
        return;
    }
    if (as_json) {
        line_text(line, ",\"");
        line_escaped(line, field->key, true);
        line_text(line, "\":");
    } else {
        line_text(line, " ");
        line_text(line, field->key);
        line_text(line, "=");
    }
    if (!line->is_cut) {
        size_t value_at = line->size;

        line_value(line, field, as_json);
        if (line->size > value_at) {
            return;
        }
    }
    line->size = before;
}

static void line_time(struct line *line)
{
    int64_t now_ms = mr_clock_wall_ms(mr_clock_system());
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    char text[64];

    (void)gmtime_r(&seconds, &utc);
    (void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
                   utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                   (int)(now_ms % 1000));
    line_text(line, text);
}

static void line_begin(struct line *line, enum mr_log_level level, const char *event)
{
    const struct level_words *words = &level_table[level];

    line->size = 0;
    line->is_cut = false;
    switch (log_format) {
    case MR_LOG_JSON:
        line_text(line, "{\"time\":\"");
        line_time(line);
        line_text(line, "\",\"level\":\"");
        line_text(line, words->name);
        line_text(line, "\",\"event\":");
        line_string(line, event, true);
        return;
    case MR_LOG_JOURNAL:
        line_text(line, words->priority);
        break;
    case MR_LOG_TEXT:
        line_time(line);
        line_text(line, " ");
        line_text(line, log_has_colour ? words->colour : "");
        line_text(line, words->padded);
        line_text(line, log_has_colour ? "\033[0m " : " ");
        break;
    }
    line_escaped(line, event, false);
}

static void line_end(struct line *line, uint32_t suppressed)
{
    bool as_json = log_format == MR_LOG_JSON;
    char mark[64];

    if (suppressed > 0) {
        (void)snprintf(mark, sizeof mark,
                       as_json ? ",\"suppressed\":%" PRIu32 : " suppressed=%" PRIu32, suppressed);
        line_close(line, mark);
    }
    if (line->is_cut) {
        line_close(line, as_json ? ",\"cut\":true" : " cut=true");
    }
    line_close(line, as_json ? "}" : "");
    line->text[line->size] = '\0';
}

/* ---- writing it ---- */

/* A line that stderr does not take is lost: a log must not stop what it tells about. */
static void line_write(struct line *line)
{
    ssize_t written;

    line->text[line->size] = '\n';
    do {
        written = write(STDERR_FILENO, line->text, line->size + 1);
    } while (written < 0 && errno == EINTR);
}

/* Counts the call; false if this one is only counted. *ret_suppressed: those that were, before. */
static bool site_admits(struct mr_log_site *site, uint32_t *ret_suppressed)
{
    int64_t now_us = mr_clock_monotonic_us(mr_clock_system());

    if (site->in_window == 0 || now_us - site->window_start_us >= REPEAT_WINDOW_US) {
        site->window_start_us = now_us;
        site->in_window = 0;
    }
    if (site->in_window >= REPEATS_MAX) {
        site->suppressed += site->suppressed < UINT32_MAX;
        return false;
    }
    site->in_window++;
    *ret_suppressed = site->suppressed;
    site->suppressed = 0;
    return true;
}

void mr_log_write(struct mr_log_site *site, enum mr_log_level level, const char *event,
                  const struct mr_kv *fields, size_t count)
{
    struct line line;
    uint32_t suppressed = 0;

    if (level < mr_log_level_now()) {
        return;
    }
    pthread_mutex_lock(&log_mutex);
    if (level != MR_LOG_DEBUG && site != NULL && !site_admits(site, &suppressed)) {
        pthread_mutex_unlock(&log_mutex);
        return;
    }
    line_begin(&line, level, event);
    for (size_t i = 0; i < count; i++) {
        line_field(&line, &fields[i], log_format == MR_LOG_JSON);
    }
    line_end(&line, suppressed);
    if (log_sink != NULL) {
        log_sink(log_sink_owner, level, line.text);
    } else {
        line_write(&line);
    }
    pthread_mutex_unlock(&log_mutex);
}
