/* Rows for people: columns as wide as their widest cell, numbers to the right. A heading is bold on
 * a terminal, unless NO_COLOR or TERM=dumb says no. */
#ifndef AGENT_CLI_TABLE_H
#define AGENT_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct json_t json_t;

enum { CLI_COLUMNS_MAX = 16 };

struct cli_table {
    const char *const *titles; /* ends with NULL; ">SIZE": to the right */
    size_t column_count;
    char **cells;
    size_t cell_count;
    size_t cell_capacity;
    bool has_failed; /* memory */
};

void cli_table_init(struct cli_table *table, const char *const *titles);
void cli_table_done(struct cli_table *table);
/* The next cell, row by row. NULL and "" become "-". Control characters are not printed: what a
 * file is called must not drive a terminal. */
void cli_table_text(struct cli_table *table, const char *text);
void cli_table_number(struct cli_table *table, int64_t number);
void cli_table_printf(struct cli_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* To stdout. An exit code; the table is done afterwards. */
int cli_table_print(struct cli_table *table, bool has_header);
/* A whole table: of each object of an array the values with these names (ending with NULL). */
int cli_table_rows(const json_t *rows, const char *const *titles, const char *const *keys,
                   bool has_header);

#endif
