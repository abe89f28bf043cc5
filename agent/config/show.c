/* `millrace config show`: what is in force, defaults included and secrets hidden, as YAML. */
#include <stdio.h>
#include <string.h>

#include "agent/config/config.h"
#include "agent/config/fill.h"
#include "base/core/buffer.h"
#include "sinks/sink.h"
#include "sources/source.h"

struct show {
    struct mr_bytes *out;
    const struct fill *fill; /* knows what is secret */
};

static void show_table(const struct show *show, const struct mr_option *options, const void *filled,
                       int depth);

static void put_indent(struct mr_bytes *out, int depth)
{
    mr_bytes_printf(out, "%*s", depth * 2, "");
}

/* Double-quoted YAML: the same escapes as JSON's. */
static void put_quoted(struct mr_bytes *out, const char *text)
{
    mr_bytes_text(out, "\"");
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            mr_bytes_printf(out, "\\%c", byte);
        } else if (byte < 0x20 || byte == 0x7f) {
            mr_bytes_printf(out, "\\x%02x", byte);
        } else {
            mr_bytes_append(out, text, 1);
        }
    }
    mr_bytes_text(out, "\"");
}

static void put_text(const struct show *show, const char *text)
{
    put_quoted(show->out, text == NULL ? "" : fill_is_secret(show->fill, text) ? "(hidden)" : text);
}

static void put_list(const struct show *show, const struct mr_string_list *list)
{
    struct mr_bytes *out = show->out;

    mr_bytes_text(out, "[");
    for (size_t i = 0; i < list->count; i++) {
        mr_bytes_text(out, i == 0 ? "" : ", ");
        put_text(show, list->items[i]);
    }
    mr_bytes_text(out, "]");
}

static void put_scalar(const struct show *show, const struct mr_option *option, const void *field)
{
    struct mr_bytes *out = show->out;
    char text[64];

    switch (option->type) {
    case MR_OPT_BOOL:
        mr_bytes_text(out, *(const bool *)field ? "true" : "false");
        return;
    case MR_OPT_SIZE:
        mr_format_size(*(const int64_t *)field, text, sizeof text);
        mr_bytes_text(out, text);
        return;
    case MR_OPT_DURATION:
        mr_format_duration(*(const int64_t *)field, text, sizeof text);
        mr_bytes_text(out, text);
        return;
    case MR_OPT_ENUM:
        mr_bytes_text(out, option->words[*(const int *)field]);
        return;
    case MR_OPT_SECRET:
        mr_bytes_text(out, "\"(hidden)\"");
        return;
    case MR_OPT_STRING:
    case MR_OPT_REGEX:
        put_text(show, *(const char *const *)field);
        return;
    case MR_OPT_STRING_LIST:
        put_list(show, field);
        return;
    default:
        mr_bytes_printf(out, "%lld", (long long)*(const int64_t *)field);
    }
}

/* Not written and without a default: nothing to show. */
static bool is_unset(const struct mr_option *option, const void *field)
{
    switch (option->type) {
    case MR_OPT_INT:
    case MR_OPT_SIZE:
    case MR_OPT_DURATION:
        return option->fallback == NULL && *(const int64_t *)field == option->absent &&
               option->absent < 0;
    case MR_OPT_ENUM:
        return *(const int *)field < 0;
    case MR_OPT_STRING:
    case MR_OPT_SECRET:
    case MR_OPT_REGEX:
        return *(const char *const *)field == NULL;
    case MR_OPT_STRING_LIST:
        return ((const struct mr_string_list *)field)->count == 0;
    case MR_OPT_TABLE_LIST:
        return ((const struct mr_table_list *)field)->count == 0;
    case MR_OPT_TABLE_MAP:
        return ((const struct mr_table_map *)field)->count == 0;
    default:
        return false;
    }
}

static void show_option(const struct show *show, const struct mr_option *option, const void *field,
                        int depth)
{
    struct mr_bytes *out = show->out;

    put_indent(out, depth);
    mr_bytes_printf(out, "%s:", option->name);
    if (option->type == MR_OPT_TABLE) {
        mr_bytes_text(out, "\n");
        show_table(show, option->children, field, depth + 1);
    } else if (option->type == MR_OPT_TABLE_LIST) {
        const struct mr_table_list *list = field;
        mr_bytes_text(out, "\n");
        for (size_t i = 0; i < list->count; i++) {
            put_indent(out, depth + 1);
            mr_bytes_text(out, "-\n");
            show_table(show, option->children,
                       (const char *)list->items + i * option->children_size, depth + 2);
        }
    } else if (option->type == MR_OPT_TABLE_MAP) {
        const struct mr_table_map *map = field;
        mr_bytes_text(out, "\n");
        for (size_t i = 0; i < map->count; i++) {
            put_indent(out, depth + 1);
            mr_bytes_printf(out, "%s:\n", map->names[i]);
            show_table(show, option->children, (const char *)map->items + i * option->children_size,
                       depth + 2);
        }
    } else {
        mr_bytes_text(out, " ");
        put_scalar(show, option, field);
        mr_bytes_text(out, "\n");
    }
}

static void show_table(const struct show *show, const struct mr_option *options, const void *filled,
                       int depth)
{
    for (; options->name != NULL; options++) {
        const void *field = (const char *)filled + options->offset;
        if (!is_unset(options, field)) {
            show_option(show, options, field, depth);
        }
    }
}

void config_show(const struct config *config, struct mr_bytes *out)
{
    const struct show context = {out, config->fill};
    const struct show *show = &context;

    show_table(show, config_options, config, 0);
    mr_bytes_text(out, config->source_count == 0 ? "" : "sources:\n");
    for (size_t i = 0; i < config->source_count; i++) {
        const struct config_source *source = &config->sources[i];
        mr_bytes_printf(out, "  %s:\n", source->id);
        show_table(show, config_source_options, source, 2);
        show_table(show, source->type->options, source->options, 2);
    }
    mr_bytes_text(out, config->sink_count == 0 ? "" : "sinks:\n");
    for (size_t i = 0; i < config->sink_count; i++) {
        const struct config_sink *sink = &config->sinks[i];
        mr_bytes_printf(out, "  %s:\n", sink->id);
        show_table(show, config_sink_options, sink, 2);
        show_table(show, sink->type->options, sink->options, 2);
    }
}
