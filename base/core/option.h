/* Options are data: a table beside the struct that they fill. The checker, `config explain`, the
 * reference in conf/ and the JSON schema are made from these tables; nobody parses by hand.
 *
 *     static const struct mr_option file_options[] = {
 *         {"paths", MR_OPT_STRING_LIST, offsetof(struct file_options, paths), .is_required = true,
 *          .help = "Globs of the files to read; ** crosses directories."},
 *         {"max_line", MR_OPT_SIZE, offsetof(struct file_options, line_size_bytes_max),
 *          .fallback = "256KiB", .min = 16, .help = "..."},
 *         {0}};
 *
 * The struct that is filled is zeroed first; strings and lists in it belong to the configuration
 * and live as long as that. */
#ifndef BASE_CORE_OPTION_H
#define BASE_CORE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mr_option_type {
    MR_OPT_BOOL,        /* bool */
    MR_OPT_INT,         /* int64_t */
    MR_OPT_SIZE,        /* int64_t, bytes: 64MiB, 10GB, 512 */
    MR_OPT_DURATION,    /* int64_t, milliseconds: 5s, 250ms, 7d */
    MR_OPT_STRING,      /* const char * (NULL when absent and without fallback) */
    MR_OPT_SECRET,      /* struct mr_secret *, never printed (NULL when absent) */
    MR_OPT_ENUM,        /* int: index of the word in `words` */
    MR_OPT_STRING_LIST, /* struct mr_string_list; a scalar counts as a list of one */
    MR_OPT_REGEX,       /* const char *, checked to compile when the configuration is */
    MR_OPT_TABLE,       /* a nested map, options in `children`, embedded at the offset */
    MR_OPT_TABLE_LIST,  /* struct mr_table_list: a sequence of maps */
    MR_OPT_TABLE_MAP,   /* struct mr_table_map: a map from names to maps */
};

struct mr_string_list {
    const char *const *items;
    size_t count;
};

struct mr_table_list {
    void *items; /* count structs of children_size bytes */
    size_t count;
};

struct mr_table_map {
    const char *const *names;
    void *items;
    size_t count;
};

struct mr_option {
    const char *name; /* NULL ends the table */
    enum mr_option_type type;
    size_t offset;
    const char *fallback; /* as it would be written; NULL: zero, or nothing */
    const char *help;     /* one or two sentences, for the reference */
    const char *example;  /* as it would be written */
    bool is_required;
    int64_t
        absent;  /* numbers, sizes, durations, enums without fallback: the value when not written */
    int64_t min; /* for numbers, sizes, durations; min == max == 0: unbounded */
    int64_t max;
    const char *const *words; /* ENUM: ends with NULL */
    const struct mr_option *children;
    size_t children_size;
    /* A further check of one value, after the type's own. Returns NULL if fine, else what is wrong
     * and how to mend it, in words that live on (literals). `value` points at the filled field. */
    const char *(*check)(const void *value);
};

/* The texts that both the checker and the tables' defaults use: 0, or MR_EINVAL also for what does
 * not fit; strict, without spaces, signs (but for integers), fractions or leading zeros. Sizes: B
 * kB KB MB GB TB by 1000, KiB MiB GiB TiB by 1024, or bytes without a unit; a bare K, M, G says
 * neither and is refused. Durations: ms s m h d w; without a unit only 0. Booleans: true false yes
 * no on off. */
int mr_parse_size(const char *text, int64_t *ret_bytes);
int mr_parse_duration(const char *text, int64_t *ret_ms);
int mr_parse_bool(const char *text, bool *ret_value);
int mr_parse_int(const char *text, int64_t *ret_value);
/* The shortest exact text, which parses back to the same number; 32 bytes hold any. */
void mr_format_size(int64_t bytes, char *text, size_t size);  /* 64MiB, 10GB, 512B */
void mr_format_duration(int64_t ms, char *text, size_t size); /* 5s, 90m, 7d */

#endif
