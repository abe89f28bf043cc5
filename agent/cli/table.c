#include "agent/cli/table.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "base/core/memory.h"

void cli_table_init(struct cli_table *table, const char *const *titles)
{
    *table = (struct cli_table){.titles = titles};
    while (titles[table->column_count] != NULL) {
        table->column_count++;
    }
}

void cli_table_done(struct cli_table *table)
{
    for (size_t i = 0; i < table->cell_count; i++) {
        mr_free(table->cells[i]);
    }
    mr_free(table->cells);
    *table = (struct cli_table){0};
}

void cli_table_text(struct cli_table *table, const char *text)
{
    char *cell = mr_strdup(text == NULL || text[0] == '\0' ? "-" : text);

    if (cell == NULL || mr_grow(&table->cells, &table->cell_capacity, table->cell_count + 1,
                                sizeof *table->cells) != 0) {
        mr_free(cell);
        table->has_failed = true;
        return;
    }
    for (char *at = cell; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f) {
            *at = '?';
        }
    }
    table->cells[table->cell_count++] = cell;
}

void cli_table_printf(struct cli_table *table, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    cli_table_text(table, text);
}

void cli_table_number(struct cli_table *table, int64_t number)
{
    cli_table_printf(table, "%" PRId64, number);
}

static bool is_right(const char *title)
{
    return title[0] == '>';
}

/* Characters and not bytes: continuation bytes of UTF-8 take no room. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80;
    }
    return width;
}

static void put_row(const struct cli_table *table, const char *const *cells, const size_t *widths)
{
    for (size_t i = 0; i < table->column_count; i++) {
        size_t pad = widths[i] - width_of(cells[i]);
        bool is_last = i + 1 == table->column_count;
        if (is_right(table->titles[i])) {
            printf("%*s%s", (int)pad, "", cells[i]);
        } else {
            printf("%s%*s", cells[i], is_last ? 0 : (int)pad, "");
        }
        printf("%s", is_last ? "" : "  ");
    }
}

static bool is_bold(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0') && terminal != NULL &&
           strcmp(terminal, "dumb") != 0;
}

int cli_table_print(struct cli_table *table, bool has_header)
{
    const char *titles[CLI_COLUMNS_MAX];
    size_t widths[CLI_COLUMNS_MAX];
    bool has_failed = table->has_failed;

    for (size_t i = 0; i < table->column_count; i++) {
        titles[i] = table->titles[i] + is_right(table->titles[i]);
        widths[i] = has_header ? width_of(titles[i]) : 0;
        for (size_t cell = i; cell < table->cell_count; cell += table->column_count) {
            size_t width = width_of(table->cells[cell]);
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    if (has_header) {
        printf("%s", is_bold() ? "\033[1m" : "");
        put_row(table, titles, widths);
        printf("%s\n", is_bold() ? "\033[0m" : "");
    }
    for (size_t row = 0; row + table->column_count <= table->cell_count;
         row += table->column_count) {
        put_row(table, (const char *const *)table->cells + row, widths);
        printf("\n");
    }
    cli_table_done(table);
    return has_failed || fflush(stdout) != 0 ? CLI_FAILED : CLI_OK;
}

int cli_table_rows(const json_t *rows, const char *const *titles, const char *const *keys,
                   bool has_header)
{
    struct cli_table table;
    json_t *row;
    size_t place;

    cli_table_init(&table, titles);
    json_array_foreach(rows, place, row)
    {
        for (size_t i = 0; keys[i] != NULL; i++) {
            json_t *value = json_object_get(row, keys[i]);
            if (json_is_integer(value)) {
                cli_table_number(&table, json_integer_value(value));
            } else {
                cli_table_text(&table, json_string_value(value));
            }
        }
    }
    return cli_table_print(&table, has_header);
}
