/* One function per option type; see fill.h. */
#include "agent/config/fill.h"

#include <stdio.h>
#include <string.h>

#include "agent/config/interpolate.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/core/secret.h"
#include "base/text/nearest.h"
#include "base/text/regex.h"

struct fill {
    struct tree *tree;
    struct mr_disk *disk;
    struct config_problems *problems;
    void **blocks;
    size_t block_count;
    size_t block_capacity;
    const char **secrets; /* texts that hold the content of a file or a credential */
    size_t secret_count;
    size_t secret_capacity;
    struct fill_reference *references;
    size_t reference_count;
    size_t reference_capacity;
};

enum { FILL_PATH_SIZE = 512, FILL_WORDS_MAX = 128 };

struct fill *fill_new(struct tree *tree, struct mr_disk *disk, struct config_problems *problems)
{
    struct fill *fill = mr_calloc(1, sizeof *fill);

    if (fill != NULL) {
        fill->tree = tree;
        fill->disk = disk;
        fill->problems = problems;
    }
    return fill;
}

void fill_free(struct fill *fill)
{
    if (fill == NULL) {
        return;
    }
    for (size_t i = 0; i < fill->block_count; i++) {
        mr_free(fill->blocks[i]);
    }
    mr_free(fill->blocks);
    mr_free(fill->secrets);
    mr_free(fill->references);
    mr_free(fill);
}

void *fill_alloc(struct fill *fill, size_t size)
{
    if (mr_grow(&fill->blocks, &fill->block_capacity, fill->block_count + 1, sizeof(void *)) != 0) {
        return NULL;
    }
    void *block = mr_calloc(1, size == 0 ? 1 : size);
    if (block != NULL) {
        fill->blocks[fill->block_count++] = block;
    }
    return block;
}

/* How a value is quoted in a message: what came out of a file or a credential is not. */
static const char *shown(const struct node *node)
{
    return node->kind != NODE_SCALAR ? node_kind_name(node->kind)
           : node->is_secret         ? "(hidden)"
                                     : node->text;
}

static void wrong(struct fill *fill, const struct node *node, const char *path, const char *want)
{
    config_problem_add(fill->problems, &node->place, "%s: %s is wanted here, not %s%s%s", path,
                       want, node->kind == NODE_SCALAR ? "'" : "", shown(node),
                       node->kind == NODE_SCALAR ? "'" : "");
}

static const struct mr_option *option_find(const struct mr_option *options, const char *name)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (strcmp(options->name, name) == 0) {
            return options;
        }
    }
    return NULL;
}

static size_t option_words(const struct mr_option *options, const char **words, size_t count)
{
    for (; options != NULL && options->name != NULL && count < FILL_WORDS_MAX; options++) {
        words[count++] = options->name;
    }
    return count;
}

static void fill_check_keys(struct fill *fill, const struct node *map, const char *path,
                            const struct mr_option *options, const struct mr_option *other)
{
    const char *words[FILL_WORDS_MAX];
    size_t word_count = option_words(other, words, option_words(options, words, 0));

    if (map == NULL || map->kind != NODE_MAP) {
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        const char *key = map->keys[i];
        if (option_find(options, key) != NULL || option_find(other, key) != NULL) {
            continue;
        }
        const char *nearest = mr_nearest(key, words, word_count);
        const char *where = path[0] == '\0' ? "" : " in ";
        if (nearest != NULL) {
            config_problem_add(fill->problems, &map->key_places[i],
                               "unknown key '%s'%s%s; did you mean '%s'?", key, where, path,
                               nearest);
        } else {
            config_problem_add(fill->problems, &map->key_places[i],
                               "unknown key '%s'%s%s; `millrace config explain%s%s` lists them",
                               key, where, path, path[0] == '\0' ? "" : " ", path);
        }
    }
}

static void check_range(struct fill *fill, const struct node *node, const char *path,
                        const struct mr_option *option, int64_t value)
{
    char least[32];
    char most[32];
    void (*format)(int64_t, char *, size_t) = option->type == MR_OPT_SIZE       ? mr_format_size
                                              : option->type == MR_OPT_DURATION ? mr_format_duration
                                                                                : NULL;

    if ((option->min == 0 && option->max == 0) ||
        (value >= option->min && (option->max == 0 || value <= option->max))) {
        return;
    }
    if (format != NULL) {
        format(option->min, least, sizeof least);
        format(option->max, most, sizeof most);
    } else {
        (void)snprintf(least, sizeof least, "%lld", (long long)option->min);
        (void)snprintf(most, sizeof most, "%lld", (long long)option->max);
    }
    if (option->max == 0) {
        config_problem_add(fill->problems, &node->place, "%s: '%s' is less than %s", path,
                           shown(node), least);
    } else {
        config_problem_add(fill->problems, &node->place, "%s: '%s' is not between %s and %s", path,
                           shown(node), least, most);
    }
}

const struct fill_reference *fill_reference_at(const struct fill *fill, size_t place)
{
    return place < fill->reference_count ? &fill->references[place] : NULL;
}

static void fill_number(struct fill *fill, const struct node *node, const char *path,
                        const struct mr_option *option, int64_t *target)
{
    int rc;
    const char *want;

    if (node->kind != NODE_SCALAR) {
        wrong(fill, node, path, "a number");
        return;
    }
    if (option->type == MR_OPT_SIZE) {
        rc = mr_parse_size(node->text, target);
        want = "a size such as 64MiB";
    } else if (option->type == MR_OPT_DURATION) {
        rc = mr_parse_duration(node->text, target);
        want = "a duration such as 5s";
    } else {
        rc = mr_parse_int(node->text, target);
        want = "a whole number";
    }
    if (rc != 0) {
        wrong(fill, node, path, want);
        return;
    }
    check_range(fill, node, path, option, *target);
}

static void fill_enum(struct fill *fill, const struct node *node, const char *path,
                      const struct mr_option *option, int *target)
{
    size_t count = 0;
    char words[256] = "";

    for (; option->words[count] != NULL; count++) {
        if (node->kind == NODE_SCALAR && strcmp(node->text, option->words[count]) == 0) {
            *target = (int)count;
            return;
        }
        size_t used = strlen(words);
        (void)snprintf(words + used, sizeof words - used, "%s%s", used == 0 ? "" : ", ",
                       option->words[count]);
    }
    const char *nearest =
        node->kind == NODE_SCALAR ? mr_nearest(node->text, option->words, count) : NULL;
    config_problem_add(fill->problems, &node->place, "%s: '%s' is not one of %s%s%s%s", path,
                       shown(node), words, nearest == NULL ? "" : "; did you mean '",
                       nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
}

/* Without memory for that the configuration is refused: a secret would be shown. */
static void note_secret(struct fill *fill, const struct node *node)
{
    if (!node->is_secret) {
        return;
    }
    if (mr_grow(&fill->secrets, &fill->secret_capacity, fill->secret_count + 1,
                sizeof(const char *)) != 0) {
        config_problem_add(fill->problems, &node->place, "no memory is left");
        return;
    }
    fill->secrets[fill->secret_count++] = node->text;
}

/* For a reload. option: NULL where the text is no secret's. */
static void note_referenced(struct fill *fill, const struct node *node, const char *path,
                            const struct mr_option *option)
{
    char *copy;

    if (node->written == NULL) {
        return;
    }
    copy = fill_alloc(fill, strlen(path) + 1);
    if (copy == NULL || mr_grow(&fill->references, &fill->reference_capacity,
                                fill->reference_count + 1, sizeof *fill->references) != 0) {
        config_problem_add(fill->problems, &node->place, "no memory is left");
        return;
    }
    memcpy(copy, path, strlen(path));
    fill->references[fill->reference_count++] = (struct fill_reference){node, option, copy};
}

bool fill_is_secret(const struct fill *fill, const char *text)
{
    for (size_t i = 0; i < fill->secret_count; i++) {
        if (fill->secrets[i] == text) {
            return true;
        }
    }
    return false;
}

/* What somebody will point at. An alias of what is a secret elsewhere gets its text back. */
static const char *take_text(struct fill *fill, struct node *node, const char *path)
{
    struct mr_secret_text *text;
    char *copy;

    if (node->secret != NULL && !node->is_taken) {
        text = mr_secret_take(node->secret);
        copy = mr_secret_alloc(mr_secret_size(text) + 1);
        if (copy == NULL) {
            config_problem_add(fill->problems, &node->place, "no memory is left");
        } else {
            memcpy(copy, mr_secret_chars(text), mr_secret_size(text));
            node_set_text(node, copy, true);
            node->is_secret = true;
        }
        mr_secret_drop(text);
    }
    node->is_taken = true;
    note_secret(fill, node);
    note_referenced(fill, node, path, NULL);
    return node->text;
}

/* The text moves: out of the tree, and out of ordinary memory. */
static void fill_secret(struct fill *fill, struct node *node, const char *path,
                        const struct mr_option *option, struct mr_secret **target)
{
    if (node->kind != NODE_SCALAR) {
        wrong(fill, node, path, "text");
        return;
    }
    if (node->secret == NULL) {
        node->secret = mr_secret_new(node->text, strlen(node->text));
        if (node->secret == NULL) {
            config_problem_add(fill->problems, &node->place, "no memory is left");
            return;
        }
        if (!node->is_taken) {
            mr_secret_wipe(node->text, strlen(node->text));
        }
    }
    *target = node->secret;
    note_referenced(fill, node, path, option);
}

static void fill_string(struct fill *fill, struct node *node, const char *path,
                        const struct mr_option *option, const char **target)
{
    struct mr_error error = {0};
    struct mr_regex *regex = NULL;

    if (node->kind != NODE_SCALAR) {
        wrong(fill, node, path, "text");
        return;
    }
    *target = take_text(fill, node, path);
    if (option->type == MR_OPT_REGEX) {
        if (mr_regex_compile(node->text, 0, &regex, &error) != 0) {
            config_problem_add(fill->problems, &node->place, "%s: %s", path, error.text);
        }
        mr_regex_free(regex);
    }
}

static void fill_string_list(struct fill *fill, struct node *node, const char *path,
                             struct mr_string_list *target)
{
    size_t count = node->kind == NODE_LIST ? node->count : 1;
    const char **items = fill_alloc(fill, (count + 1) * sizeof *items);

    if (items == NULL) {
        config_problem_add(fill->problems, &node->place, "no memory is left");
        return;
    }
    if (node->kind == NODE_MAP) {
        wrong(fill, node, path, "a list of texts");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct node *item = node->kind == NODE_LIST ? node->items[i] : node;
        if (item->kind != NODE_SCALAR) {
            wrong(fill, item, path, "text");
            return;
        }
        config_interpolate(item, fill->disk, fill->problems);
        items[i] = take_text(fill, item, path);
    }
    target->items = items;
    target->count = count;
}

static void fill_table_list(struct fill *fill, const struct node *node, const char *path,
                            const struct mr_option *option, struct mr_table_list *target)
{
    if (node->kind != NODE_LIST) {
        wrong(fill, node, path, "a list of maps");
        return;
    }
    char *items = fill_alloc(fill, node->count * option->children_size);
    if (items == NULL) {
        config_problem_add(fill->problems, &node->place, "no memory is left");
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        char place[FILL_PATH_SIZE];
        (void)snprintf(place, sizeof place, "%s[%zu]", path, i);
        fill_table(fill, node->items[i], place, option->children, NULL,
                   items + i * option->children_size);
    }
    target->items = items;
    target->count = node->count;
}

static void fill_table_map(struct fill *fill, const struct node *node, const char *path,
                           const struct mr_option *option, struct mr_table_map *target)
{
    if (node->kind != NODE_MAP) {
        wrong(fill, node, path, "a map from names to maps");
        return;
    }
    char *items = fill_alloc(fill, node->count * option->children_size);
    const char **names = fill_alloc(fill, (node->count + 1) * sizeof *names);
    if (items == NULL || names == NULL) {
        config_problem_add(fill->problems, &node->place, "no memory is left");
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        char place[FILL_PATH_SIZE];
        (void)snprintf(place, sizeof place, "%s.%s", path, node->keys[i]);
        names[i] = node->keys[i];
        fill_table(fill, node->items[i], place, option->children, NULL,
                   items + i * option->children_size);
    }
    target->names = names;
    target->items = items;
    target->count = node->count;
}

static void fill_value(struct fill *fill, struct node *node, const char *path,
                       const struct mr_option *option, void *target)
{
    if (node->kind == NODE_SCALAR) {
        config_interpolate(node, fill->disk, fill->problems);
    }
    switch (option->type) {
    case MR_OPT_BOOL:
        if (node->kind != NODE_SCALAR || mr_parse_bool(node->text, target) != 0) {
            wrong(fill, node, path, "true or false");
        }
        return;
    case MR_OPT_INT:
    case MR_OPT_SIZE:
    case MR_OPT_DURATION:
        fill_number(fill, node, path, option, target);
        return;
    case MR_OPT_SECRET:
        fill_secret(fill, node, path, option, target);
        return;
    case MR_OPT_STRING:
    case MR_OPT_REGEX:
        fill_string(fill, node, path, option, target);
        return;
    case MR_OPT_ENUM:
        fill_enum(fill, node, path, option, target);
        return;
    case MR_OPT_STRING_LIST:
        fill_string_list(fill, node, path, target);
        return;
    case MR_OPT_TABLE:
        fill_table(fill, node, path, option->children, NULL, target);
        return;
    case MR_OPT_TABLE_LIST:
        fill_table_list(fill, node, path, option, target);
        return;
    case MR_OPT_TABLE_MAP:
        fill_table_map(fill, node, path, option, target);
        return;
    }
}

static void set_absent(const struct mr_option *option, void *field)
{
    if (option->type == MR_OPT_INT || option->type == MR_OPT_SIZE ||
        option->type == MR_OPT_DURATION) {
        *(int64_t *)field = option->absent;
    } else if (option->type == MR_OPT_ENUM) {
        *(int *)field = (int)option->absent;
    }
}

static void fill_option(struct fill *fill, struct node *map, const char *path,
                        const struct mr_option *option, void *target)
{
    struct node *node = node_get(map, option->name);
    char *field = (char *)target + option->offset;
    char place[FILL_PATH_SIZE];

    (void)snprintf(place, sizeof place, "%s%s%s", path, path[0] == '\0' ? "" : ".", option->name);
    if (node != NULL && node->kind == NODE_NULL) {
        node = NULL; /* a key with nothing behind it is as good as absent */
    }
    if (node == NULL && option->is_required) {
        struct config_place nowhere = {0};
        config_problem_add(fill->problems, map == NULL ? &nowhere : &map->place,
                           "%s is missing: %s", place, option->help);
        return;
    }
    if (node == NULL && option->type == MR_OPT_TABLE) {
        fill_table(fill, NULL, place, option->children, NULL, field);
        return;
    }
    if (node == NULL && option->fallback != NULL) {
        node = tree_scalar(fill->tree, option->fallback);
        if (node == NULL) {
            const struct config_place nowhere = {0};
            config_problem_add(fill->problems, &nowhere, "no memory is left");
        }
    }
    if (node == NULL) {
        set_absent(option, field);
        return;
    }
    size_t problems_before = fill->problems->count;
    fill_value(fill, node, place, option, field);
    if (option->check != NULL && fill->problems->count == problems_before) {
        const char *problem = option->check(field);
        if (problem != NULL) {
            config_problem_add(fill->problems, &node->place, "%s: %s", place, problem);
        }
    }
}

void fill_options(struct fill *fill, struct node *map, const char *path,
                  const struct mr_option *options, void *target)
{
    for (const struct mr_option *option = options; option->name != NULL; option++) {
        fill_option(fill, map, path, option, target);
    }
}

void fill_table(struct fill *fill, struct node *map, const char *path,
                const struct mr_option *options, const struct mr_option *other, void *target)
{
    if (map != NULL && map->kind != NODE_MAP && map->kind != NODE_NULL) {
        wrong(fill, map, path, "a map");
        return;
    }
    if (map != NULL && map->kind == NODE_NULL) {
        map = NULL;
    }
    fill_check_keys(fill, map, path, options, other);
    fill_options(fill, map, path, options, target);
}
