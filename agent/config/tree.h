/* YAML text -> a tree of nodes that know their place. Only structure is decided here: duplicate
 * keys, non-scalar keys, tags and several documents are refused; what a value means is fill.c's. */
#ifndef AGENT_CONFIG_TREE_H
#define AGENT_CONFIG_TREE_H

#include <stdbool.h>
#include <stddef.h>

struct config_problems;
struct mr_disk;
struct mr_secret;

enum {
    CONFIG_FILE_SIZE_MAX = 4 << 20,
    CONFIG_DEPTH_MAX = 32,
    CONFIG_NODES_MAX = 200000,
    CONFIG_KEYS_MAX = 5000, /* of one map: they are compared with each other */
};

enum node_kind { NODE_NULL, NODE_SCALAR, NODE_LIST, NODE_MAP };

struct config_place {
    const char *file; /* borrowed from the tree */
    int line;         /* from 1 */
    int column;
};

struct node {
    enum node_kind kind;
    struct config_place place;
    char *text;          /* SCALAR, and how a NULL was written */
    bool is_quoted;      /* SCALAR: "5" is a string, 5 may be a number */
    struct node **items; /* LIST: values; MAP: values in order of the file */
    char **keys;         /* MAP */
    struct config_place *key_places;
    size_t count;
    size_t capacity;
    bool is_interpolated; /* ${...} was replaced already (an alias is met twice) */
    /* By the content of a file or a credential, or by its option: not to be printed. */
    bool is_secret;
    bool is_taken;            /* somebody points at the text */
    bool is_text_apart;       /* the text is memory of mr_secret_alloc */
    char *written;            /* what was replaced by a secret, in such memory; else NULL */
    struct mr_secret *secret; /* of an option for one; the text is then gone */
};

struct tree; /* owns nodes and texts */

struct tree *tree_new(void);
void tree_free(struct tree *tree);
/* Parses one file into the tree. Problems are added, and NULL is returned if there is nothing
 * usable; an empty file is an empty map. */
struct node *tree_parse_file(struct tree *tree, struct mr_disk *disk, const char *path,
                             struct config_problems *problems);
struct node *tree_parse_text(struct tree *tree, const char *name, const char *text, size_t size,
                             struct config_problems *problems);
struct node *node_get(const struct node *map, const char *key);
const char *node_kind_name(enum node_kind kind);
/* Puts a node made by the caller's text (a fallback) into the tree. NULL without memory. */
struct node *tree_scalar(struct tree *tree, const char *text);
/* Puts another text in place of the node's, which is wiped; is_apart: from mr_secret_alloc. */
void node_set_text(struct node *node, char *text, bool is_apart);
/* Adds `value` under `key`; both maps belong to the same tree. False without memory. */
bool node_put(struct node *map, const char *key, struct config_place place, struct node *value);

#endif
