/* Structured log lines: an event and fields, written to stderr as text, JSON, or journald-prefixed
 * text ("<6>..."). No payload bytes above debug; never a secret.
 *
 *     mr_info("segment rolled", KV_STR("topic", t), KV_I64("base_offset", o));
 *
 * Error: someone should act. Warn: we went on, and the line says how. Info: a change of state.
 * Repeats of one call site beyond 10 in 5 seconds are counted, and the count is shown on its next
 * line
 * (`suppressed`); debug lines are never held back. A line has at most 4096 bytes: longer values end
 * in
 * "...", and fields that do not fit are left out, with the mark `cut`. Thread-safe. */
#ifndef BASE_CORE_LOGGER_H
#define BASE_CORE_LOGGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mr_log_level { MR_LOG_DEBUG, MR_LOG_INFO, MR_LOG_WARN, MR_LOG_ERROR };
enum mr_log_format { MR_LOG_TEXT, MR_LOG_JSON, MR_LOG_JOURNAL };

enum mr_kv_type { MR_KV_STR, MR_KV_I64, MR_KV_U64, MR_KV_F64, MR_KV_BOOL, MR_KV_ERR };

struct mr_kv {
    const char *key;
    enum mr_kv_type type;
    union {
        const char *str;
        int64_t i64;
        uint64_t u64;
        double f64;
        bool boolean;
        int code;
    } value;
};

#define KV_STR(k, v)  ((struct mr_kv){.key = (k), .type = MR_KV_STR, .value.str = (v)})
#define KV_I64(k, v)  ((struct mr_kv){.key = (k), .type = MR_KV_I64, .value.i64 = (v)})
#define KV_U64(k, v)  ((struct mr_kv){.key = (k), .type = MR_KV_U64, .value.u64 = (v)})
#define KV_F64(k, v)  ((struct mr_kv){.key = (k), .type = MR_KV_F64, .value.f64 = (v)})
#define KV_BOOL(k, v) ((struct mr_kv){.key = (k), .type = MR_KV_BOOL, .value.boolean = (v)})
#define KV_ERR(v)     ((struct mr_kv){.key = "error", .type = MR_KV_ERR, .value.code = (v)})

struct mr_log_site { /* one per call site: counts repeats */
    int64_t window_start_us;
    uint32_t in_window;
    uint32_t suppressed;
};

/* Colour only for text, when stderr is a terminal and NO_COLOR is unset or empty. Before the first
 * call: info, text, no colour. */
void mr_log_setup(enum mr_log_level level, enum mr_log_format format);
enum mr_log_level mr_log_level_now(void);
/* Tests: lines go there (without the newline) instead of stderr; NULL: back. The sink must not log.
 */
void mr_log_set_sink(void (*sink)(void *owner, enum mr_log_level level, const char *line),
                     void *owner);
/* For the macros below. site NULL: repeats are not counted. */
void mr_log_write(struct mr_log_site *site, enum mr_log_level level, const char *event,
                  const struct mr_kv *fields, size_t count);

#define MR_LOG_AT(level, event, ...)                                                               \
    do {                                                                                           \
        static struct mr_log_site mr_site_;                                                        \
        const struct mr_kv mr_fields_[] = {{.key = NULL}, ##__VA_ARGS__};                          \
        mr_log_write(&mr_site_, (level), (event), mr_fields_ + 1,                                  \
                     sizeof mr_fields_ / sizeof mr_fields_[0] - 1);                                \
    } while (0)

#define mr_debug(event, ...)                                                                       \
    do {                                                                                           \
        if (mr_log_level_now() <= MR_LOG_DEBUG) {                                                  \
            MR_LOG_AT(MR_LOG_DEBUG, event, ##__VA_ARGS__);                                         \
        }                                                                                          \
    } while (0)
#define mr_info(event, ...)  MR_LOG_AT(MR_LOG_INFO, event, ##__VA_ARGS__)
#define mr_warn(event, ...)  MR_LOG_AT(MR_LOG_WARN, event, ##__VA_ARGS__)
#define mr_error(event, ...) MR_LOG_AT(MR_LOG_ERROR, event, ##__VA_ARGS__)

#endif
