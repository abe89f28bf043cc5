/* Nodes -> structs, as option tables say. Adds a problem for every value that does not fit and
 * every key that nobody knows, with the nearest word, and goes on, so that a user sees all of them
 * at once. */
#ifndef AGENT_CONFIG_FILL_H
#define AGENT_CONFIG_FILL_H

#include "agent/config/problem.h"
#include "base/core/option.h"

struct mr_disk;
struct fill; /* owns the lists and structs that it makes */

struct fill *fill_new(struct tree *tree, struct mr_disk *disk, struct config_problems *problems);
void fill_free(struct fill *fill);
/* Zeroed memory that lives as long as the fill. NULL without memory. */
void *fill_alloc(struct fill *fill, size_t size);

/* Fills `target` from `map` (NULL or NODE_NULL: only fallbacks). `path` names the map in messages
 * ("disk"). Keys that stand in `other` too are another table's; may be NULL. */
void fill_table(struct fill *fill, struct node *map, const char *path,
                const struct mr_option *options, const struct mr_option *other, void *target);
/* The same without a word about unknown keys: for tables that are filled in two parts. */
void fill_options(struct fill *fill, struct node *map, const char *path,
                  const struct mr_option *options, void *target);

/* Whether this text of a filled struct (the very pointer) came out of a file or a credential. */
bool fill_is_secret(const struct fill *fill, const char *text);

/* A value that came out of a file or a credential, for a reload. */
struct fill_reference {
    const struct node *node;
    const struct mr_option *option; /* of a secret; NULL: a text like others */
    const char *path;               /* "sinks.hub.sasl.password" */
};

/* NULL behind the last one. */
const struct fill_reference *fill_reference_at(const struct fill *fill, size_t place);

#endif
