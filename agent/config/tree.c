/* libyaml's events -> nodes. Anchors are kept while a file is parsed, and an alias shares the node,
 * so that no text can grow beyond what was written; a bound on nodes and depth holds besides. */
#include "agent/config/tree.h"

#include <string.h>
#include <yaml.h>

#include "agent/config/problem.h"
#include "base/core/disk.h"
#include "base/core/memory.h"
#include "base/core/secret.h"

struct anchor {
    char *name;
    struct node *node;
};

struct tree {
    struct node **nodes; /* all of them: freed together */
    size_t count;
    size_t capacity;
    char **names; /* of files */
    size_t name_count;
    size_t name_capacity;
    struct anchor *anchors; /* of the file being parsed */
    size_t anchor_count;
    size_t anchor_capacity;
};

struct parse {
    struct tree *tree;
    yaml_parser_t parser;
    const char *file;
    struct config_problems *problems;
    bool is_failed;
};

struct tree *tree_new(void)
{
    return mr_calloc(1, sizeof(struct tree));
}

static void anchors_clear(struct tree *tree)
{
    for (size_t i = 0; i < tree->anchor_count; i++) {
        mr_free(tree->anchors[i].name);
    }
    tree->anchor_count = 0;
}

void node_set_text(struct node *node, char *text, bool is_apart)
{
    if (node->is_text_apart) {
        mr_secret_free(node->text);
    } else if (node->text != NULL) {
        explicit_bzero(node->text, strlen(node->text)); /* it may hold a secret */
        mr_free(node->text);
    }
    node->text = text;
    node->is_text_apart = is_apart;
}

static void node_free(struct node *node)
{
    node_set_text(node, NULL, false);
    mr_secret_free(node->written);
    mr_secret_unref(node->secret);
    for (size_t i = 0; node->keys != NULL && i < node->count; i++) {
        mr_free(node->keys[i]);
    }
    mr_free(node->keys);
    mr_free(node->key_places);
    mr_free(node->items);
    mr_free(node);
}

void tree_free(struct tree *tree)
{
    if (tree == NULL) {
        return;
    }
    for (size_t i = 0; i < tree->count; i++) {
        node_free(tree->nodes[i]);
    }
    for (size_t i = 0; i < tree->name_count; i++) {
        mr_free(tree->names[i]);
    }
    anchors_clear(tree);
    mr_free(tree->anchors);
    mr_free(tree->names);
    mr_free(tree->nodes);
    mr_free(tree);
}

const char *node_kind_name(enum node_kind kind)
{
    switch (kind) {
    case NODE_NULL:
        return "nothing";
    case NODE_SCALAR:
        return "a single value";
    case NODE_LIST:
        return "a list";
    case NODE_MAP:
        return "a map";
    }
    return "?";
}

struct node *node_get(const struct node *map, const char *key)
{
    if (map == NULL || map->kind != NODE_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->keys[i], key) == 0) {
            return map->items[i];
        }
    }
    return NULL;
}

static struct node *node_new(struct tree *tree, enum node_kind kind, struct config_place place)
{
    struct node *node;

    if (tree->count == CONFIG_NODES_MAX ||
        mr_grow(&tree->nodes, &tree->capacity, tree->count + 1, sizeof(struct node *)) != 0) {
        return NULL;
    }
    node = mr_calloc(1, sizeof *node);
    if (node == NULL) {
        return NULL;
    }
    node->kind = kind;
    node->place = place;
    tree->nodes[tree->count++] = node;
    return node;
}

struct node *tree_scalar(struct tree *tree, const char *text)
{
    struct node *node = node_new(tree, NODE_SCALAR, (struct config_place){.file = "default"});

    if (node != NULL) {
        node->text = mr_strdup(text);
    }
    return node != NULL && node->text != NULL ? node : NULL;
}

static bool node_add(struct node *node, struct node *item)
{
    if (mr_grow(&node->items, &node->capacity, node->count + 1, sizeof(struct node *)) != 0) {
        return false;
    }
    node->items[node->count++] = item;
    return true;
}

bool node_put(struct node *map, const char *key, struct config_place place, struct node *value)
{
    size_t want = map->count + 1;
    char **keys = mr_realloc(map->keys, want * sizeof *keys);
    struct config_place *places;

    if (keys == NULL) {
        return false;
    }
    map->keys = keys;
    places = mr_realloc(map->key_places, want * sizeof *places);
    if (places == NULL) {
        return false;
    }
    map->key_places = places;
    keys[map->count] = mr_strdup(key);
    if (keys[map->count] == NULL) {
        return false;
    }
    places[map->count] = place;
    if (!node_add(map, value)) {
        mr_free(keys[map->count]);
        return false;
    }
    return true;
}

/* ---- parsing ---- */

static struct config_place place_of(const struct parse *parse, yaml_mark_t mark)
{
    return (struct config_place){parse->file, (int)mark.line + 1, (int)mark.column + 1};
}

static void parse_fail(struct parse *parse, struct config_place place, const char *text)
{
    if (!parse->is_failed) {
        config_problem_add(parse->problems, &place, "%s", text);
    }
    parse->is_failed = true;
}

/* A scalar may be a secret; libyaml gives its buffers back as they are. */
static void event_done(yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT) {
        explicit_bzero(event->data.scalar.value, event->data.scalar.length);
    }
    yaml_event_delete(event);
}

static void parser_done(yaml_parser_t *parser)
{
    if (parser->raw_buffer.start != NULL) {
        explicit_bzero(parser->raw_buffer.start,
                       (size_t)(parser->raw_buffer.end - parser->raw_buffer.start));
    }
    if (parser->buffer.start != NULL) {
        explicit_bzero(parser->buffer.start, (size_t)(parser->buffer.end - parser->buffer.start));
    }
    yaml_parser_delete(parser);
}

static bool next_event(struct parse *parse, yaml_event_t *ret_event)
{
    if (parse->is_failed) {
        return false;
    }
    if (yaml_parser_parse(&parse->parser, ret_event) != 0) {
        return true;
    }
    const yaml_parser_t *parser = &parse->parser;
    struct config_place place = place_of(parse, parser->problem_mark);
    config_problem_add(parse->problems, &place, "not valid YAML: %s%s%s",
                       parser->problem == NULL ? "unreadable" : parser->problem,
                       parser->context == NULL ? "" : " ",
                       parser->context == NULL ? "" : parser->context);
    parse->is_failed = true;
    return false;
}

static bool anchor_set(struct parse *parse, const yaml_char_t *name, struct node *node)
{
    struct tree *tree = parse->tree;

    if (name == NULL) {
        return true;
    }
    if (mr_grow(&tree->anchors, &tree->anchor_capacity, tree->anchor_count + 1,
                sizeof *tree->anchors) != 0) {
        return false;
    }
    tree->anchors[tree->anchor_count].name = mr_strdup((const char *)name);
    tree->anchors[tree->anchor_count].node = node;
    if (tree->anchors[tree->anchor_count].name == NULL) {
        return false;
    }
    tree->anchor_count++;
    return true;
}

static struct node *anchor_get(struct parse *parse, const yaml_char_t *name,
                               struct config_place place)
{
    struct tree *tree = parse->tree;

    for (size_t i = tree->anchor_count; i > 0; i--) {
        if (strcmp(tree->anchors[i - 1].name, (const char *)name) == 0) {
            return tree->anchors[i - 1].node;
        }
    }
    parse_fail(parse, place, "this alias names an anchor that does not exist (yet)");
    return NULL;
}

static bool is_null_text(const char *text)
{
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

static struct node *scalar_of(struct parse *parse, const yaml_event_t *event)
{
    struct config_place place = place_of(parse, event->start_mark);
    const char *text = (const char *)event->data.scalar.value;
    struct node *node;

    if (strlen(text) != event->data.scalar.length) {
        parse_fail(parse, place, "a value must not contain a NUL character");
        return NULL;
    }
    node = node_new(parse->tree, NODE_SCALAR, place);
    if (node == NULL) {
        return NULL;
    }
    node->is_quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!node->is_quoted && is_null_text(text)) {
        node->kind = NODE_NULL;
    }
    node->text = mr_strdup(text);
    return node->text == NULL ? NULL : node;
}

static struct node *parse_value(struct parse *parse, const yaml_event_t *event, int depth);

static struct node *parse_list(struct parse *parse, const yaml_event_t *start, int depth)
{
    struct node *list = node_new(parse->tree, NODE_LIST, place_of(parse, start->start_mark));
    yaml_event_t event;
    bool is_end = false;

    while (list != NULL && !is_end && next_event(parse, &event)) {
        is_end = event.type == YAML_SEQUENCE_END_EVENT;
        struct node *item = is_end ? NULL : parse_value(parse, &event, depth);
        if (!is_end && (item == NULL || !node_add(list, item))) {
            list = NULL;
        }
        event_done(&event);
    }
    return list;
}

static bool parse_key(struct parse *parse, struct node *map, const yaml_event_t *event)
{
    struct config_place place = place_of(parse, event->start_mark);
    const char *key;

    if (event->type != YAML_SCALAR_EVENT) {
        parse_fail(parse, place, "a key must be a plain word");
        return false;
    }
    key = (const char *)event->data.scalar.value;
    if (strlen(key) != event->data.scalar.length || map->count == CONFIG_KEYS_MAX) {
        parse_fail(parse, place,
                   map->count == CONFIG_KEYS_MAX ? "more keys than one map may have"
                                                 : "a key must not contain a NUL character");
        return false;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->keys[i], key) == 0) {
            config_problem_add(parse->problems, &place, "'%s' stands here twice; first in line %d",
                               key, map->key_places[i].line);
        }
    }
    return true;
}

static struct node *parse_map(struct parse *parse, const yaml_event_t *start, int depth)
{
    struct node *map = node_new(parse->tree, NODE_MAP, place_of(parse, start->start_mark));
    yaml_event_t key;
    yaml_event_t event;
    bool is_end = false;

    while (map != NULL && !is_end && next_event(parse, &key)) {
        is_end = key.type == YAML_MAPPING_END_EVENT;
        if (!is_end) {
            bool is_put = false;
            if (parse_key(parse, map, &key) && next_event(parse, &event)) {
                struct node *value = parse_value(parse, &event, depth);
                is_put = value != NULL && node_put(map, (const char *)key.data.scalar.value,
                                                   place_of(parse, key.start_mark), value);
                event_done(&event);
            }
            map = is_put ? map : NULL;
        }
        event_done(&key);
    }
    return map;
}

/* What a tag asks for (!!binary, !Ref) is not done, so it is not passed over in silence either. */
static bool has_tag(const yaml_event_t *event)
{
    return (event->type == YAML_SCALAR_EVENT && event->data.scalar.tag != NULL) ||
           (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.tag != NULL) ||
           (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.tag != NULL);
}

static struct node *parse_value(struct parse *parse, const yaml_event_t *event, int depth)
{
    struct config_place place = place_of(parse, event->start_mark);
    const yaml_char_t *anchor = NULL;
    struct node *node = NULL;

    if (has_tag(event)) {
        parse_fail(parse, place, "tags ('!...') are not used here: write the plain value");
        return NULL;
    }
    if (depth == CONFIG_DEPTH_MAX) {
        parse_fail(parse, place, "nested too deeply");
        return NULL;
    }
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return anchor_get(parse, event->data.alias.anchor, place);
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        node = scalar_of(parse, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        node = parse_list(parse, event, depth + 1);
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        node = parse_map(parse, event, depth + 1);
        break;
    default:
        parse_fail(parse, place, "a value is missing here");
        return NULL;
    }
    /* The anchor is known only behind its node, so that no node can hold itself. */
    return node != NULL && anchor_set(parse, anchor, node) ? node : NULL;
}

static struct node *parse_stream(struct parse *parse)
{
    struct node *root = NULL;
    yaml_event_t event;
    bool is_end = false;
    int documents = 0;

    while (!is_end && next_event(parse, &event)) {
        is_end = event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT && ++documents > 1) {
            parse_fail(parse, place_of(parse, event.start_mark),
                       "only one YAML document is allowed in a file");
        } else if (event.type != YAML_STREAM_START_EVENT && !is_end &&
                   event.type != YAML_DOCUMENT_START_EVENT &&
                   event.type != YAML_DOCUMENT_END_EVENT) {
            root = parse_value(parse, &event, 0);
            if (root == NULL) {
                parse_fail(parse, place_of(parse, event.start_mark),
                           "too large, or no memory is left");
            }
        }
        event_done(&event);
    }
    return parse->is_failed ? NULL : root;
}

static const char *tree_keep_name(struct tree *tree, const char *name)
{
    if (mr_grow(&tree->names, &tree->name_capacity, tree->name_count + 1, sizeof(char *)) != 0) {
        return "?";
    }
    tree->names[tree->name_count] = mr_strdup(name);
    return tree->names[tree->name_count] == NULL ? "?" : tree->names[tree->name_count++];
}

struct node *tree_parse_text(struct tree *tree, const char *name, const char *text, size_t size,
                             struct config_problems *problems)
{
    struct parse parse = {.tree = tree, .problems = problems};
    struct config_place top;
    struct node *root;

    parse.file = tree_keep_name(tree, name);
    top = (struct config_place){parse.file, 1, 1};
    if (yaml_parser_initialize(&parse.parser) == 0) {
        config_problem_add(problems, &top, "no memory is left");
        return NULL;
    }
    yaml_parser_set_input_string(&parse.parser, (const unsigned char *)text, size);
    root = parse_stream(&parse);
    parser_done(&parse.parser);
    anchors_clear(tree);
    if (parse.is_failed) {
        return NULL;
    }
    if (root == NULL || root->kind == NODE_NULL) {
        return node_new(tree, NODE_MAP, top);
    }
    if (root->kind != NODE_MAP) {
        config_problem_add(problems, &root->place, "a configuration is a map of sections, not %s",
                           node_kind_name(root->kind));
        return NULL;
    }
    return root;
}

struct node *tree_parse_file(struct tree *tree, struct mr_disk *disk, const char *path,
                             struct config_problems *problems)
{
    struct mr_error error = {0};
    char *text = NULL;
    size_t size = 0;
    struct node *root;

    if (mr_disk_read_file(disk, path, CONFIG_FILE_SIZE_MAX, &text, &size, &error) != 0) {
        struct config_place place = {tree_keep_name(tree, path), 0, 0};
        config_problem_add(problems, &place, "%s", error.text);
        return NULL;
    }
    root = tree_parse_text(tree, path, text, size, problems);
    explicit_bzero(text, size);
    mr_free(text);
    return root;
}
