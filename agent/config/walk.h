/* All options of all tables, plugins' included, in the order of the reference. */
#ifndef AGENT_CONFIG_WALK_H
#define AGENT_CONFIG_WALK_H

#include "base/core/option.h"

struct walk_step {
    const char *path;   /* "topics.NAME.fsync", "sources.ID.paths", "listen[].address" */
    const char *plugin; /* "file source", or NULL */
    const char *help;   /* of the plugin, on its heading */
    const struct mr_option *option; /* NULL: a heading, the options of `plugin` follow */
    int depth;                      /* of nesting in YAML; lists and maps of names count one more */
    bool is_leaf;
};

typedef void (*walk_cb)(void *owner, const struct walk_step *step);
void config_walk(walk_cb cb, void *owner);
/* "size, 64KiB to 2GiB" and the like. */
void option_type_text(const struct mr_option *option, char *text, size_t size);

#endif
