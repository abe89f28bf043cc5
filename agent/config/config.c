/* Files -> tree -> structs -> the checks that look across sections; see config.h. */
#include "agent/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config/fill.h"
#include "base/core/disk.h"
#include "base/core/memory.h"
#include "base/net/http_url.h"
#include "base/net/stream.h"
#include "base/text/nearest.h"
#include "queue/queue.h"
#include "sinks/sink.h"
#include "sources/source.h"

struct load {
    struct config *config;
    struct mr_disk *disk;
    struct config_problems *problems;
    struct node *root;
};

static const struct {
    const char *key;
    const char *why;
} later_keys[] = {
    {"mesh", "this version runs single nodes; replication between hubs is not built in yet"},
    {"processors", "processors are not built in yet"},
    {NULL, NULL}};

/* ---- merging conf.d ---- */

/* Sections that are maps of ids may be written in several files; an id, and any other section, only
 * once. */
static bool is_id_section(const char *key)
{
    return strcmp(key, "sources") == 0 || strcmp(key, "sinks") == 0 || strcmp(key, "topics") == 0;
}

static void put(struct load *load, struct node *into, const struct node *from, size_t place)
{
    if (!node_put(into, from->keys[place], from->key_places[place], from->items[place])) {
        config_problem_add(load->problems, &from->key_places[place], "no memory is left");
    }
}

static void merge_ids(struct load *load, struct node *into, const struct node *from,
                      const char *section)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct node *first = node_get(into, from->keys[i]);
        if (first != NULL) {
            config_problem_add(load->problems, &from->key_places[i],
                               "%s.%s stands in two files; first in %s:%d", section, from->keys[i],
                               first->place.file, first->place.line);
        } else {
            put(load, into, from, i);
        }
    }
}

static void merge(struct load *load, const struct node *from)
{
    for (size_t i = 0; i < from->count; i++) {
        struct node *into = node_get(load->root, from->keys[i]);
        struct node *value = from->items[i];
        if (into == NULL) {
            put(load, load->root, from, i);
        } else if (is_id_section(from->keys[i]) && into->kind == NODE_MAP &&
                   value->kind == NODE_MAP) {
            merge_ids(load, into, value, from->keys[i]);
        } else {
            config_problem_add(load->problems, &from->key_places[i],
                               "'%s' stands in two files; first in %s:%d", from->keys[i],
                               into->place.file, into->place.line);
        }
    }
}

struct names {
    char **items;
    size_t count;
    size_t capacity;
};

static int collect_yaml(void *owner, const char *name)
{
    struct names *names = owner;
    size_t size = strlen(name);

    if (name[0] == '.' || size < 6 || strcmp(name + size - 5, ".yaml") != 0) {
        return 0;
    }
    if (mr_grow(&names->items, &names->capacity, names->count + 1, sizeof(char *)) != 0) {
        return MR_ENOMEM;
    }
    names->items[names->count] = mr_strdup(name);
    return names->items[names->count++] == NULL ? MR_ENOMEM : 0;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void load_file(struct load *load, const char *directory, const char *name)
{
    char *path = mr_asprintf("%s/%s", directory, name);
    struct node *more;

    if (path == NULL) {
        config_problem_add(load->problems, &load->root->place, "no memory is left");
        return;
    }
    more = tree_parse_file(load->config->tree, load->disk, path, load->problems);
    if (more != NULL) {
        merge(load, more);
    }
    mr_free(path);
}

/* The files of conf.d beside the main file, by name. That there is none is fine; one that cannot be
 * read is not: half a configuration is another configuration. */
static void load_directory(struct load *load, const char *path)
{
    const char *slash = strrchr(path, '/');
    int size = slash == NULL ? 1 : (int)(slash - path);
    char *directory = mr_asprintf("%.*s/conf.d", size, slash == NULL ? "." : path);
    struct names names = {0};
    int rc = directory == NULL ? MR_ENOMEM
                               : load->disk->ops->list(load->disk, directory, collect_yaml, &names);

    if (names.count > 1) {
        qsort(names.items, names.count, sizeof(char *), compare_names);
    }
    if (rc != 0 && rc != MR_ENOENT) {
        config_problem_add(load->problems, &load->root->place, "conf.d cannot be read: %s",
                           mr_code_text(rc));
    }
    for (size_t i = 0; i < names.count; i++) {
        if (names.items[i] != NULL) {
            load_file(load, directory, names.items[i]);
        }
        mr_free(names.items[i]);
    }
    mr_free(names.items);
    mr_free(directory);
}

/* ---- plugins ---- */

static const struct config_place *place_in(const struct node *map, const char *key)
{
    const struct node *node = node_get(map, key);
    return node == NULL ? &map->place : &node->place;
}

static const char *plugin_word(struct load *load, const struct node *map, const char *path)
{
    struct node *type = node_get(map, "type");

    if (map->kind != NODE_MAP) {
        config_problem_add(load->problems, &map->place, "%s: a map is wanted here, not %s", path,
                           node_kind_name(map->kind));
        return NULL;
    }
    if (type != NULL && type->kind == NODE_NULL && strcmp(type->text, "null") == 0) {
        type->kind = NODE_SCALAR; /* the sink of that name, written without quotes */
    }
    if (type == NULL || type->kind != NODE_SCALAR) {
        config_problem_add(load->problems, &map->place, "%s.type is missing", path);
        return NULL;
    }
    return type->text;
}

static void unknown_type(struct load *load, const struct node *map, const char *path,
                         const char *word, const char *const *words, size_t count)
{
    const char *nearest = mr_nearest(word, words, count);
    char list[512] = "";

    for (size_t i = 0; i < count; i++) {
        strncat(list, i == 0 ? "" : ", ", sizeof list - strlen(list) - 1);
        strncat(list, words[i], sizeof list - strlen(list) - 1);
    }
    config_problem_add(load->problems, place_in(map, "type"),
                       "%s: there is no type '%s'%s%s%s; there are %s", path, word,
                       nearest == NULL ? "" : ", did you mean '", nearest == NULL ? "" : nearest,
                       nearest == NULL ? "" : "'", list);
}

/* What both kinds of plugins have in common. */
static void *fill_plugin(struct load *load, struct node *map, const char *path,
                         const struct mr_option *common, void *target,
                         const struct mr_option *options, size_t options_size,
                         int (*check)(const void *, struct mr_error *))
{
    struct fill *fill = load->config->fill;
    size_t problems_before = load->problems->count;
    void *filled = fill_alloc(fill, options_size);

    if (filled == NULL) {
        config_problem_add(load->problems, &map->place, "no memory is left");
        return NULL;
    }
    fill_table(fill, map, path, common, options, target);
    fill_options(fill, map, path, options, filled); /* its keys were looked at just above */
    if (check != NULL && load->problems->count == problems_before) {
        struct mr_error error = {0};
        if (check(filled, &error) != 0) {
            config_problem_add(load->problems, &map->place, "%s: %s", path, error.text);
        }
    }
    return filled;
}

static const char *check_topic(const char *name)
{
    size_t size = strlen(name);
    bool is_fine =
        size > 0 && size <= 249 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == size;

    return is_fine ? NULL : "a topic's name has 1 to 249 letters, digits, '.', '_' or '-'";
}

static void fill_source(struct load *load, const char *id, struct node *map,
                        struct config_source *source)
{
    const char *words[64];
    size_t count = 0;
    char path[256];
    const char *word;

    (void)snprintf(path, sizeof path, "sources.%s", id);
    word = plugin_word(load, map, path);
    if (word == NULL) {
        return;
    }
    source->id = id;
    source->type = source_type_find(word);
    if (source->type == NULL) {
        for (; count < 64 && source_type_at(count) != NULL; count++) {
            words[count] = source_type_at(count)->name;
        }
        unknown_type(load, map, path, word, words, count);
        return;
    }
    source->options =
        fill_plugin(load, map, path, config_source_options, source, source->type->options,
                    source->type->options_size_bytes, source->type->check);
    source->id = id;
    if (source->topic != NULL && check_topic(source->topic) != NULL) {
        config_problem_add(load->problems, place_in(map, "topic"), "%s.topic: %s", path,
                           check_topic(source->topic));
    }
    if (source->topic != NULL && strncmp(source->topic, "__", 2) == 0) {
        config_problem_add(load->problems, place_in(map, "topic"),
                           "%s.topic: topics that begin with __ are the program's own", path);
    }
}

static void fill_sink(struct load *load, const char *id, struct node *map, struct config_sink *sink)
{
    const char *words[64];
    size_t count = 0;
    char path[256];
    const char *word;

    (void)snprintf(path, sizeof path, "sinks.%s", id);
    word = plugin_word(load, map, path);
    if (word == NULL) {
        return;
    }
    sink->type = sink_type_find(word);
    if (sink->type == NULL) {
        for (; count < 64 && sink_type_at(count) != NULL; count++) {
            words[count] = sink_type_at(count)->name;
        }
        unknown_type(load, map, path, word, words, count);
        return;
    }
    sink->options = fill_plugin(load, map, path, config_sink_options, sink, sink->type->options,
                                sink->type->options_size_bytes, sink->type->check);
    sink->id = id;
    if (sink->retry.delay_ms_max < sink->retry.delay_ms_min) {
        config_problem_add(load->problems, place_in(map, "retry"),
                           "%s.retry: max is shorter than min", path);
    }
}

static const char *check_id(const char *id)
{
    size_t size = strlen(id);

    return size > 0 && size <= 100 &&
                   strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
                       size
               ? NULL
               : "an id has 1 to 100 letters, digits, '_' or '-'";
}

static struct node *plugin_section(struct load *load, const char *key)
{
    struct node *section = node_get(load->root, key);

    if (section == NULL || section->kind == NODE_NULL) {
        return NULL;
    }
    if (section->kind != NODE_MAP) {
        config_problem_add(load->problems, &section->place,
                           "%s: a map from ids to maps is wanted here, not %s", key,
                           node_kind_name(section->kind));
        return NULL;
    }
    for (size_t i = 0; i < section->count; i++) {
        const char *problem = check_id(section->keys[i]);
        if (problem != NULL) {
            config_problem_add(load->problems, &section->key_places[i], "%s.%s: %s", key,
                               section->keys[i], problem);
        }
    }
    return section;
}

static void check_memory(struct load *load, const struct node *node, const void *memory)
{
    if (memory == NULL) {
        config_problem_add(load->problems, &node->place, "no memory is left");
    }
}

static void fill_plugins(struct load *load)
{
    struct config *config = load->config;
    struct node *sources = plugin_section(load, "sources");
    struct node *sinks = plugin_section(load, "sinks");

    if (sources != NULL) {
        config->sources = fill_alloc(config->fill, sources->count * sizeof *config->sources);
        check_memory(load, sources, config->sources);
        for (size_t i = 0; config->sources != NULL && i < sources->count; i++) {
            fill_source(load, sources->keys[i], sources->items[i],
                        &config->sources[config->source_count++]);
        }
    }
    if (sinks != NULL) {
        config->sinks = fill_alloc(config->fill, sinks->count * sizeof *config->sinks);
        check_memory(load, sinks, config->sinks);
        for (size_t i = 0; config->sinks != NULL && i < sinks->count; i++) {
            fill_sink(load, sinks->keys[i], sinks->items[i], &config->sinks[config->sink_count++]);
        }
    }
}

/* ---- across sections ---- */

static void check_address(struct load *load, const struct config_place *place, const char *path,
                          const char *text, uint16_t port, bool is_insecure, const char *remedy)
{
    struct mr_address address;
    struct mr_error error = {0};

    if (text == NULL) {
        return;
    }
    if (mr_address_parse(text, port, &address, &error) != 0) {
        config_problem_add(load->problems, place, "%s: %s", path, error.text);
    } else if (!is_insecure && !mr_address_is_loopback(&address)) {
        config_problem_add(load->problems, place,
                           "%s: '%s' can be reached from other hosts, and nothing protects it: %s "
                           "a loopback address or a Unix socket, or write 'insecure: true'",
                           path, text, remedy);
    }
}

static bool offers(const struct config_listen *listen, const char *mechanism)
{
    for (size_t i = 0; i < listen->sasl.count; i++) {
        if (strcmp(listen->sasl.items[i], mechanism) == 0) {
            return true;
        }
    }
    return false;
}

/* Of a listener or of the admin address. */
static void check_tls(struct load *load, const struct config_place *place, const char *path,
                      const struct config_tls *tls)
{
    if ((tls->cert == NULL) != (tls->key == NULL)) {
        config_problem_add(load->problems, place, "%s: tls.cert and tls.key belong together", path);
    }
    if (tls->is_on && tls->clients != CONFIG_TLS_CLIENTS_NONE && tls->ca == NULL) {
        config_problem_add(load->problems, place,
                           "%s: tls.clients needs tls.ca, which says whose certificates count",
                           path);
    }
}

/* What an address may do without is little: both encryption and a question who is there. */
static void check_protection(struct load *load, const struct config_place *place, const char *path,
                             const struct config_listen *listen)
{
    struct config_tls tls = config_listen_tls(load->config, listen);
    bool is_unix = strncmp(listen->address, "unix:", 5) == 0;
    bool is_protected =
        tls.is_on && (listen->sasl.count > 0 || tls.clients == CONFIG_TLS_CLIENTS_REQUIRED);

    check_tls(load, place, path, &tls);
    if (!is_unix && (listen->socket.owner != NULL || listen->socket.group != NULL ||
                     (listen->socket.mode != NULL && strcmp(listen->socket.mode, "0660") != 0) ||
                     listen->peer_names != CONFIG_PEER_NAMES_UID)) {
        config_problem_add(load->problems, place,
                           "%s: 'socket' and 'peer_names' are for Unix sockets (unix:PATH)", path);
    }
    if ((offers(listen, "PLAIN") || offers(listen, "OAUTHBEARER")) && !tls.is_on && !is_unix &&
        !listen->is_insecure) {
        config_problem_add(load->problems, place,
                           "%s: %s as it is: set tls, take SCRAM-SHA-512, or write "
                           "'insecure: true'",
                           path,
                           offers(listen, "PLAIN") ? "PLAIN sends the password"
                                                   : "OAUTHBEARER sends the token");
    }
    if (offers(listen, "CLUSTER-KEY") && load->config->node.cluster_key == NULL) {
        config_problem_add(load->problems, place, "%s: CLUSTER-KEY needs node.cluster_key", path);
    }
    if (offers(listen, "OAUTHBEARER") && load->config->authentication.oauth.keys == NULL) {
        config_problem_add(load->problems, place,
                           "%s: OAUTHBEARER needs authentication.oauth, which says whose tokens "
                           "count",
                           path);
    }
    check_address(load, place, path, listen->address, 9092, listen->is_insecure || is_protected,
                  "set tls and sasl (or tls.clients: required), use");
}

static void check_oauth(struct load *load)
{
    const struct config_oauth *oauth = &load->config->authentication.oauth;
    const struct node *node = node_get(load->root, "authentication");
    struct mr_http_url url;
    struct mr_error error = {0};

    if (node == NULL) {
        return;
    }
    if ((oauth->keys == NULL) != (oauth->issuer == NULL)) {
        config_problem_add(load->problems, &node->place,
                           "authentication.oauth: keys and issuer belong together");
        return;
    }
    if (oauth->keys == NULL || strstr(oauth->keys, "://") == NULL) {
        return;
    }
    if (mr_http_url_parse(oauth->keys, &url, &error) != 0) {
        config_problem_add(load->problems, &node->place, "authentication.oauth.keys: %s",
                           error.text);
    } else if (!url.is_tls && !mr_http_url_is_loopback(&url)) {
        config_problem_add(load->problems, &node->place,
                           "authentication.oauth.keys: who sits in between could give keys of his "
                           "own: use https, or a file");
    }
}

static void check_admin(struct load *load)
{
    const struct config *config = load->config;
    const struct node *admin = node_get(load->root, "admin");
    const struct config_place *place = admin == NULL ? &load->root->place : &admin->place;
    struct config_tls tls = config_admin_tls(config);
    bool is_protected = tls.is_on; /* tokens guard what is not for all */

    check_tls(load, place, "admin", &tls);
    check_address(load, place, "admin.address", config->admin.address, 9692,
                  config->admin.is_insecure || is_protected, "set tls, use");
}

static void check_addresses(struct load *load)
{
    const struct config *config = load->config;
    const struct node *listen = node_get(load->root, "listen");

    for (size_t i = 0; i < config->listen.count; i++) {
        const struct config_listen *item = &((const struct config_listen *)config->listen.items)[i];
        char path[64];
        (void)snprintf(path, sizeof path, "listen[%zu].address", i);
        if (item->address != NULL) { /* else it was missed already */
            check_protection(load, &listen->items[i]->place, path, item);
        }
        (void)snprintf(path, sizeof path, "listen[%zu].advertise", i);
        check_address(load, &listen->items[i]->place, path, item->advertise, 9092, true, "");
    }
    check_admin(load);
}

static void name_topics(struct load *load)
{
    const struct node *topics = node_get(load->root, "topics");
    struct mr_table_map *map = &load->config->topic_map;
    struct config_topic *items = map->items;

    for (size_t i = 0; i < map->count; i++) {
        const char *name = map->names[i];
        items[i].name = name;
        if (check_topic(name) != NULL) {
            config_problem_add(load->problems, &topics->key_places[i], "topics.%s: %s", name,
                               check_topic(name));
        }
    }
}

const struct config_topic *config_topic_find(const struct config *config, const char *name)
{
    const struct config_topic *items = config->topic_map.items;

    for (size_t i = 0; i < config->topic_map.count; i++) {
        if (strcmp(items[i].name, name) == 0) {
            return &items[i];
        }
    }
    return NULL;
}

static void check_later_keys(struct load *load)
{
    for (size_t i = 0; later_keys[i].key != NULL; i++) {
        const struct node *node = node_get(load->root, later_keys[i].key);
        if (node != NULL) {
            config_problem_add(load->problems, &node->place, "%s: %s", later_keys[i].key,
                               later_keys[i].why);
        }
    }
}

static void default_name(struct load *load)
{
    struct config *config = load->config;
    char name[256] = "";

    if (config->node.name != NULL) {
        return;
    }
    if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') {
        (void)snprintf(name, sizeof name, "localhost");
    }
    struct node *node = tree_scalar(config->tree, name);
    config->node.name = node == NULL ? "localhost" : node->text;
}

/* The keys of the top that other code fills. */
static const struct mr_option plugin_sections[] = {
    {.name = "sources"}, {.name = "sinks"}, {.name = "mesh"}, {.name = "processors"}, {0}};

static void load_root(struct load *load)
{
    struct config *config = load->config;

    check_later_keys(load);
    fill_table(config->fill, load->root, "", config_options, plugin_sections, config);
    fill_plugins(load);
    name_topics(load);
    check_addresses(load);
    check_oauth(load);
    default_name(load);
}

static struct config *load_start(struct mr_disk *disk, struct config_problems *problems)
{
    struct config *config = mr_calloc(1, sizeof *config);

    mr_memory_wipe_freed(true); /* libyaml's buffers */
    if (config == NULL) {
        return NULL;
    }
    config->tree = tree_new();
    config->fill = config->tree == NULL ? NULL : fill_new(config->tree, disk, problems);
    if (config->fill == NULL) {
        config_free(config);
        return NULL;
    }
    return config;
}

static struct config *load_end(struct load *load)
{
    const struct config_place nowhere = {0};

    mr_memory_wipe_freed(false); /* all texts are parsed; what is left of them is wiped by hand */

    if (load->root != NULL && load->config != NULL) {
        load_root(load);
    } else if (load->problems->count == 0) {
        config_problem_add(load->problems, &nowhere, "no memory is left");
    }
    config_problems_sort(load->problems);
    if (load->problems->count > 0 || load->problems->is_overflown) {
        config_free(load->config);
        return NULL;
    }
    return load->config;
}

struct config *config_load(struct mr_disk *disk, const char *path, struct config_problems *problems)
{
    struct load load = {.config = load_start(disk, problems), .disk = disk, .problems = problems};

    if (load.config != NULL) {
        load.root = tree_parse_file(load.config->tree, disk, path, problems);
    }
    if (load.root != NULL) {
        load_directory(&load, path);
    }
    return load_end(&load);
}

struct config *config_load_text(struct mr_disk *disk, const char *text, size_t size,
                                struct config_problems *problems)
{
    struct load load = {.config = load_start(disk, problems), .disk = disk, .problems = problems};

    if (load.config != NULL) {
        load.root = tree_parse_text(load.config->tree, "text", text, size, problems);
    }
    return load_end(&load);
}

void config_free(struct config *config)
{
    if (config == NULL) {
        return;
    }
    fill_free(config->fill);
    tree_free(config->tree);
    mr_free(config);
}
