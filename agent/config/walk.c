/* Depth first through the tables; see walk.h. */
#include "agent/config/walk.h"

#include <stdio.h>
#include <string.h>

#include "agent/config/config.h"
#include "sinks/sink.h"
#include "sources/source.h"

enum { WALK_PATH_SIZE = 256 };

struct walk {
    walk_cb cb;
    void *owner;
    const char *plugin;
};

static void walk_table(struct walk *walk, const struct mr_option *options, const char *prefix,
                       int depth)
{
    for (; options->name != NULL; options++) {
        char path[WALK_PATH_SIZE];
        char below[WALK_PATH_SIZE + 8];
        bool is_leaf = options->children == NULL;
        (void)snprintf(path, sizeof path, "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".",
                       options->name);
        struct walk_step step = {.path = path,
                                 .plugin = walk->plugin,
                                 .option = options,
                                 .depth = depth,
                                 .is_leaf = is_leaf};
        walk->cb(walk->owner, &step);
        if (is_leaf) {
            continue;
        }
        const char *suffix = options->type == MR_OPT_TABLE_MAP    ? ".NAME"
                             : options->type == MR_OPT_TABLE_LIST ? "[]"
                                                                  : "";
        (void)snprintf(below, sizeof below, "%s%s", path, suffix);
        walk_table(walk, options->children, below, depth + (suffix[0] == '\0' ? 1 : 2));
    }
}

static void walk_plugin(struct walk *walk, const char *section, const char *plugin,
                        const char *help, const struct mr_option *options)
{
    char prefix[32];

    (void)snprintf(prefix, sizeof prefix, "%s.ID", section);
    struct walk_step heading = {.path = section, .plugin = plugin, .help = help, .depth = 2};
    walk->cb(walk->owner, &heading);
    walk->plugin = plugin;
    walk_table(walk, options, prefix, 2);
    walk->plugin = NULL;
}

void config_walk(walk_cb cb, void *owner)
{
    struct walk walk = {.cb = cb, .owner = owner};
    const struct source_type *source;
    const struct sink_type *sink;
    char name[64];

    walk_table(&walk, config_options, "", 0);
    walk_plugin(&walk, "sources", "every source", "What comes in. Each has an id and a type.",
                config_source_options);
    for (size_t i = 0; (source = source_type_at(i)) != NULL; i++) {
        (void)snprintf(name, sizeof name, "type: %s", source->name);
        walk_plugin(&walk, "sources", name, source->help, source->options);
    }
    walk_plugin(&walk, "sinks", "every sink", "Where records go. Each has an id and a type.",
                config_sink_options);
    for (size_t i = 0; (sink = sink_type_at(i)) != NULL; i++) {
        (void)snprintf(name, sizeof name, "type: %s", sink->name);
        walk_plugin(&walk, "sinks", name, sink->help, sink->options);
    }
}

static void range_text(const struct mr_option *option, const char *noun, char *text, size_t size)
{
    char least[32];
    char most[32];

    if (option->type == MR_OPT_SIZE) {
        mr_format_size(option->min, least, sizeof least);
        mr_format_size(option->max, most, sizeof most);
    } else if (option->type == MR_OPT_DURATION) {
        mr_format_duration(option->min, least, sizeof least);
        mr_format_duration(option->max, most, sizeof most);
    } else {
        (void)snprintf(least, sizeof least, "%lld", (long long)option->min);
        (void)snprintf(most, sizeof most, "%lld", (long long)option->max);
    }
    if (option->min == 0 && option->max == 0) {
        (void)snprintf(text, size, "%s", noun);
    } else if (option->max == 0) {
        (void)snprintf(text, size, "%s, at least %s", noun, least);
    } else {
        (void)snprintf(text, size, "%s, %s to %s", noun, least, most);
    }
}

static void words_text(const struct mr_option *option, char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; option->words[i] != NULL; i++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, size - used, "%s%s", i == 0 ? "" : " | ", option->words[i]);
    }
}

void option_type_text(const struct mr_option *option, char *text, size_t size)
{
    switch (option->type) {
    case MR_OPT_BOOL:
        (void)snprintf(text, size, "true | false");
        return;
    case MR_OPT_INT:
        range_text(option, "number", text, size);
        return;
    case MR_OPT_SIZE:
        range_text(option, "size", text, size);
        return;
    case MR_OPT_DURATION:
        range_text(option, "duration", text, size);
        return;
    case MR_OPT_STRING:
        (void)snprintf(text, size, "text");
        return;
    case MR_OPT_SECRET:
        (void)snprintf(text, size, "secret text, never printed");
        return;
    case MR_OPT_REGEX:
        (void)snprintf(text, size, "regular expression (PCRE2)");
        return;
    case MR_OPT_ENUM:
        words_text(option, text, size);
        return;
    case MR_OPT_STRING_LIST:
        (void)snprintf(text, size, "text, or a list of texts");
        return;
    case MR_OPT_TABLE:
        (void)snprintf(text, size, "map");
        return;
    case MR_OPT_TABLE_LIST:
        (void)snprintf(text, size, "list of maps");
        return;
    case MR_OPT_TABLE_MAP:
        (void)snprintf(text, size, "map from names to maps");
        return;
    }
}
