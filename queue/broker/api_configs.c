/* Settings of topics, readable and writable, and of the node, readable: those are written in its
 * configuration file. */
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/core/error.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/configs.h"

/* Kafka's numbers: what there is here, and what there may be elsewhere. */
enum {
    CONFIG_RESOURCE_TOPIC = 2,
    CONFIG_RESOURCE_BROKER = 4,
    CONFIG_RESOURCE_LOGGER = 8,
    CONFIG_RESOURCE_METRICS = 16,
    CONFIG_RESOURCE_GROUP = 32,
};
enum { ALTER_SET = 0, ALTER_DELETE = 1, ALTER_APPEND = 2, ALTER_SUBTRACT = 3 };

/* ---- describe ---- */

static bool is_asked(const struct describe_configs_request_resource *in, const char *name)
{
    for (int32_t i = 0; i < in->configuration_keys.count; i++) {
        if (wire_string_is(in->configuration_keys.items[i], name)) {
            return true;
        }
    }
    return in->configuration_keys.count <= 0;
}

static int add_synonym(struct request *request, struct describe_configs_response_config *out,
                       const char *name, const char *value, int8_t source)
{
    struct describe_configs_response_synonym_array *list = &out->synonyms;

    if (list->items == NULL) {
        if (describe_configs_response_synonym_array_make(&request->arena, list, 2) != 0) {
            return MR_ENOMEM;
        }
        list->count = 0; /* the topic's own value, then the node's */
    }
    list->items[list->count].name = wire_text(name);
    list->items[list->count].value = wire_text(value);
    list->items[list->count].source = source;
    list->count += 1;
    return 0;
}

static int describe_one(struct request *request, const struct config_def *def, const char *value,
                        bool is_set, bool is_read_only,
                        struct describe_configs_response_config *out)
{
    const struct describe_configs_request *body = request->body;
    int rc = 0;

    out->name = wire_text(def->name);
    out->value = wire_text(value);
    out->read_only = is_read_only;
    out->config_source = is_set ? CONFIG_SOURCE_TOPIC : CONFIG_SOURCE_DEFAULT;
    out->config_type = (int8_t)def->type;
    out->documentation = wire_text(body->include_documentation ? def->doc : NULL);
    if (body->include_synonyms && is_set) {
        rc = add_synonym(request, out, def->name, value, CONFIG_SOURCE_TOPIC);
    }
    if (rc == 0 && body->include_synonyms && def->synonym != NULL) {
        rc = add_synonym(request, out, def->synonym, def->fallback, CONFIG_SOURCE_DEFAULT);
    }
    return rc;
}

static int describe_topic(struct request *request,
                          const struct describe_configs_request_resource *in,
                          const struct image_topic *topic,
                          struct describe_configs_response_result *out)
{
    int32_t count = 0;
    int rc = describe_configs_response_config_array_make(&request->arena, &out->configs,
                                                         TOPIC_CONFIG_COUNT);

    for (int i = 0; rc == 0 && i < TOPIC_CONFIG_COUNT; i++) {
        if (is_asked(in, topic_configs[i].name)) {
            rc = describe_one(request, &topic_configs[i], topic_settings_text(&topic->settings, i),
                              topic->settings.values[i] != NULL, topic->is_local,
                              &out->configs.items[count++]);
        }
    }
    out->configs.count = count;
    return rc;
}

struct node_config {
    const char *name;
    enum config_type type;
    const char *text; /* NULL: the number */
    int64_t number;
    const char *doc;
};

enum { NODE_CONFIGS_MAX = 16 };

static size_t list_node_configs(const struct broker *broker,
                                struct node_config list[NODE_CONFIGS_MAX])
{
    const struct node_config rows[] = {
        {"auto.create.topics.enable", CONFIG_BOOLEAN, broker->auto_create_topics ? "true" : "false",
         0, "Whether Metadata creates topics that it is asked for."},
        {"broker.id", CONFIG_INT, NULL, broker->node_id, "The id of this node."},
        {"broker.rack", CONFIG_STRING, broker->rack != NULL ? broker->rack : "", 0,
         "Where this node stands."},
        {"connections.max.idle.ms", CONFIG_LONG, NULL, broker->connection_idle_ms_max,
         "Quiet connections are closed after this long."},
        {"default.replication.factor", CONFIG_INT, NULL, 1, "Replicas of topics that do not say."},
        {"log.dirs", CONFIG_STRING, replicas_directory(broker->replicas), 0, "The data directory."},
        {"node.id", CONFIG_INT, NULL, broker->node_id, "The id of this node."},
        {"num.partitions", CONFIG_INT, NULL, broker->default_partitions,
         "Partitions of topics that do not say."},
        {"offset.metadata.max.bytes", CONFIG_INT, NULL, 4096,
         "The longest text of a committed offset."},
        {"offsets.retention.minutes", CONFIG_INT, NULL, 10080,
         "Offsets of quiet groups are kept this long."},
        {"offsets.topic.num.partitions", CONFIG_INT, NULL, 50, "Partitions of __consumer_offsets."},
        {"queued.max.request.bytes", CONFIG_LONG, NULL, broker->memory_limit_bytes,
         "Memory of requests that are being read and handled."},
        {"socket.request.max.bytes", CONFIG_INT, NULL, broker->request_size_bytes_max,
         "The largest request."},
    };
    size_t count = sizeof rows / sizeof rows[0];

    mr_assert(count <= NODE_CONFIGS_MAX);
    memcpy(list, rows, sizeof rows);
    return count;
}

static void fill_node_config(struct request *request, const struct node_config *config,
                             struct describe_configs_response_config *out)
{
    const struct describe_configs_request *body = request->body;

    out->name = wire_text(config->name);
    out->value = config->text != NULL
                     ? wire_text(config->text)
                     : wire_arena_printf(&request->arena, "%" PRId64, config->number);
    out->read_only = true;
    out->config_source = CONFIG_SOURCE_STATIC_BROKER;
    out->config_type = (int8_t)config->type;
    out->documentation = wire_text(body->include_documentation ? config->doc : NULL);
}

/* The node's own settings, and the defaults of topics under their node-wide names. */
static int describe_node(struct request *request,
                         const struct describe_configs_request_resource *in,
                         struct describe_configs_response_result *out)
{
    struct node_config list[NODE_CONFIGS_MAX];
    size_t own = list_node_configs(request->broker, list);
    int32_t count = 0;
    int rc = describe_configs_response_config_array_make(&request->arena, &out->configs,
                                                         (int32_t)own + TOPIC_CONFIG_COUNT);

    for (size_t i = 0; rc == 0 && i < own; i++) {
        if (is_asked(in, list[i].name)) {
            fill_node_config(request, &list[i], &out->configs.items[count++]);
        }
    }
    for (int i = 0; rc == 0 && i < TOPIC_CONFIG_COUNT; i++) {
        const struct config_def *def = &topic_configs[i];
        if (def->synonym != NULL && is_asked(in, def->synonym)) {
            struct config_def as_node = *def;
            as_node.name = def->synonym;
            as_node.synonym = NULL;
            rc = describe_one(request, &as_node, def->fallback, false, true,
                              &out->configs.items[count++]);
        }
    }
    out->configs.count = count;
    return rc;
}

static bool is_this_node(struct request *request, struct wire_string name)
{
    struct wire_string own =
        wire_arena_printf(&request->arena, "%" PRId32, request->broker->node_id);

    return wire_string_equal(own, name);
}

/* Why the name of a topic cannot be one; "" and the code as it was where it can. */
static const char *check_name(struct wire_string name, int16_t *ret_error)
{
    const char *wrong = topic_name_check(name.data, name.size > 0 ? (size_t)name.size : 0);

    if (wrong != NULL) {
        *ret_error = KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    return wrong != NULL ? wrong : "";
}

static int describe_resource(struct request *request,
                             const struct describe_configs_request_resource *in,
                             struct describe_configs_response_result *out)
{
    const struct image_topic *topic;

    out->resource_type = in->resource_type;
    out->resource_name = in->resource_name;
    if (in->resource_type == CONFIG_RESOURCE_TOPIC) {
        topic = request_topic(request, in->resource_name, NULL, &out->error_code);
        if (topic == NULL && out->error_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION) {
            out->error_message = wire_text(check_name(in->resource_name, &out->error_code));
        }
        return topic != NULL ? describe_topic(request, in, topic, out) : 0;
    }
    if (!request_may(request, OPERATION_DESCRIBE_CONFIGS, RESOURCE_CLUSTER, wire_text(NULL))) {
        out->error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
        return 0;
    }
    if (in->resource_type == CONFIG_RESOURCE_BROKER && in->resource_name.size == 0) {
        return 0; /* what all nodes share, set at run time: nothing */
    }
    if (in->resource_type == CONFIG_RESOURCE_BROKER && is_this_node(request, in->resource_name)) {
        return describe_node(request, in, out);
    }
    out->error_code = KAFKA_INVALID_REQUEST;
    out->error_message = wire_text(in->resource_type == CONFIG_RESOURCE_BROKER
                                       ? "this is not the id of this node"
                                       : "settings of this kind of resource are not supported");
    return 0;
}

void api_describe_configs(struct request *request)
{
    const struct describe_configs_request *body = request->body;
    struct describe_configs_response response;
    int rc;

    describe_configs_response_init(&response);
    rc = describe_configs_response_result_array_make(&request->arena, &response.results,
                                                     body->resources.count);
    for (int32_t i = 0; rc == 0 && i < body->resources.count; i++) {
        rc = describe_resource(request, &body->resources.items[i], &response.results.items[i]);
        request_count_error(request, response.results.items[i].error_code);
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_respond(request, &response);
}

/* ---- alter ---- */

struct alter {
    struct request *request;
    struct meta_change *changes;
    int8_t *types; /* of the resources */
    int32_t count;
    int32_t pending;
    bool is_incremental;
};

static void refuse(struct meta_change *change, int16_t error, const char *reason)
{
    size_t size = strlen(reason);

    change->error = error;
    size = size < sizeof change->reason ? size : sizeof change->reason - 1;
    memcpy(change->reason, reason, size);
    change->reason[size] = '\0';
}

static void respond_full(struct alter *alter)
{
    struct request *request = alter->request;
    struct alter_configs_response response;

    alter_configs_response_init(&response);
    if (alter_configs_response_resource_array_make(&request->arena, &response.responses,
                                                   alter->count) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    for (int32_t i = 0; i < alter->count; i++) {
        const struct meta_change *change = &alter->changes[i];
        response.responses.items[i] = (struct alter_configs_response_resource){
            .error_code = change->error,
            .error_message = wire_text(change->error != KAFKA_NONE ? change->reason : NULL),
            .resource_type = alter->types[i],
            .resource_name = change->name,
        };
    }
    request_respond(request, &response);
}

static void respond_incremental(struct alter *alter)
{
    struct request *request = alter->request;
    struct incremental_alter_configs_response response;

    incremental_alter_configs_response_init(&response);
    if (incremental_alter_configs_response_resource_array_make(&request->arena, &response.responses,
                                                               alter->count) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    for (int32_t i = 0; i < alter->count; i++) {
        const struct meta_change *change = &alter->changes[i];
        response.responses.items[i] = (struct incremental_alter_configs_response_resource){
            .error_code = change->error,
            .error_message = wire_text(change->error != KAFKA_NONE ? change->reason : NULL),
            .resource_type = alter->types[i],
            .resource_name = change->name,
        };
    }
    request_respond(request, &response);
}

static void alter_step(struct alter *alter)
{
    alter->pending -= 1;
    if (alter->pending > 0) {
        return;
    }
    for (int32_t i = 0; i < alter->count; i++) {
        request_count_error(alter->request, alter->changes[i].error);
    }
    if (alter->is_incremental) {
        respond_incremental(alter);
    } else {
        respond_full(alter);
    }
}

static void on_altered(struct meta_change *change)
{
    alter_step(change->owner);
}

/* A resource that is named twice is not altered, and each of its rows says so. */
static int refuse_repeated_resources(struct alter *alter)
{
    struct request *request = alter->request;
    struct wire_string *keys = request_alloc(request, ((size_t)alter->count + 1) * sizeof *keys);
    const uint8_t *marks = NULL;

    for (int32_t i = 0; keys != NULL && i < alter->count; i++) {
        keys[i] = alter->changes[i].name;
        if (alter->types[i] != CONFIG_RESOURCE_TOPIC) { /* refused already; not a topic's name */
            keys[i] = wire_text("/");
        }
    }
    if (keys == NULL || names_mark(request, keys, 0, sizeof *keys, alter->count, &marks) != 0) {
        return MR_ENOMEM;
    }
    for (int32_t i = 0; i < alter->count; i++) {
        if (marks[i] != NAME_ONCE && alter->types[i] == CONFIG_RESOURCE_TOPIC) {
            refuse(&alter->changes[i], KAFKA_INVALID_REQUEST, "the topic is named twice");
        }
    }
    return 0;
}

static void alter_submit(struct alter *alter)
{
    if (refuse_repeated_resources(alter) != 0) {
        request_fail(alter->request, MR_ENOMEM);
        return;
    }
    alter->pending = 1;
    for (int32_t i = 0; i < alter->count; i++) {
        struct meta_change *change = &alter->changes[i];
        if (change->error == KAFKA_NONE) {
            change->cb = on_altered;
            change->owner = alter;
            alter->pending += 1;
            meta_submit(alter->request->broker->meta, change);
        }
    }
    alter_step(alter);
}

static struct alter *alter_new(struct request *request, int32_t count, bool is_incremental)
{
    struct alter *alter = request_alloc(request, sizeof *alter);

    if (alter == NULL) {
        return NULL;
    }
    alter->request = request;
    alter->count = count;
    alter->is_incremental = is_incremental;
    alter->changes = request_alloc(request, ((size_t)count + 1) * sizeof(struct meta_change));
    alter->types = request_alloc(request, (size_t)count + 1);
    return alter->changes != NULL && alter->types != NULL ? alter : NULL;
}

/* The topic whose settings are to change, or NULL and the change is refused. */
static const struct image_topic *alter_begin(struct alter *alter, int32_t place, int8_t type,
                                             struct wire_string name, bool validate_only)
{
    struct meta_change *change = &alter->changes[place];
    const struct image_topic *topic;
    int16_t error;

    alter->types[place] = type;
    *change = (struct meta_change){
        .kind = META_ALTER_CONFIGS, .name = name, .validate_only = validate_only};
    if (type != CONFIG_RESOURCE_TOPIC &&
        !request_may(alter->request, OPERATION_ALTER_CONFIGS, RESOURCE_CLUSTER, wire_text(NULL))) {
        refuse(change, KAFKA_CLUSTER_AUTHORIZATION_FAILED, "not authorized to alter the cluster");
        return NULL;
    }
    if (type != CONFIG_RESOURCE_TOPIC) {
        refuse(change, KAFKA_INVALID_REQUEST,
               type == CONFIG_RESOURCE_BROKER
                   ? "the settings of a node are in its configuration file"
                   : "settings of this kind of resource are not supported");
        return NULL;
    }
    topic = request_topic(alter->request, name, NULL, &error);
    if (topic == NULL && error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION &&
        check_name(name, &error)[0] != '\0') {
        refuse(change, name.size > 0 ? error : KAFKA_INVALID_REQUEST,
               "the name of the topic is not valid");
    } else if (topic == NULL) {
        refuse(change, error, "this server does not host this topic-partition");
    }
    return topic;
}

/* AlterConfigs replaces all: what is not named goes back to its default. */
static void refuse_repeated(struct meta_change *change, const uint8_t *marks, int32_t count)
{
    if (count > 0 && memchr(marks, NAME_AGAIN, (size_t)count) != NULL) {
        refuse(change, KAFKA_INVALID_REQUEST, "a setting is named twice");
    }
}

static int make_full(struct alter *alter, int32_t place,
                     const struct alter_configs_request_resource *in,
                     const struct image_topic *topic)
{
    struct meta_change *change = &alter->changes[place];
    size_t room = (size_t)in->configs.count + TOPIC_CONFIG_COUNT;
    struct meta_setting *settings = request_alloc(alter->request, room * sizeof *settings);
    const struct alter_configs_request_config *items = in->configs.items;
    const uint8_t *marks = NULL;
    size_t count = 0;

    if (settings == NULL ||
        names_mark(alter->request, items, offsetof(struct alter_configs_request_config, name),
                   sizeof *items, in->configs.count, &marks) != 0) {
        return MR_ENOMEM;
    }
    for (int i = 0; i < TOPIC_CONFIG_COUNT; i++) {
        if (topic->settings.values[i] != NULL) {
            settings[count++] =
                (struct meta_setting){wire_text(topic_configs[i].name), wire_text(NULL)};
        }
    }
    for (int32_t i = 0; i < in->configs.count; i++) {
        settings[count++] = (struct meta_setting){items[i].name, items[i].value};
        if (items[i].value.size < 0) {
            refuse(change, KAFKA_INVALID_REQUEST, "a null value is given");
        }
    }
    refuse_repeated(change, marks, in->configs.count);
    change->settings = settings;
    change->setting_count = count;
    return 0;
}

void api_alter_configs(struct request *request)
{
    const struct alter_configs_request *body = request->body;
    struct alter *alter = alter_new(request, body->resources.count, false);
    int rc = alter == NULL ? MR_ENOMEM : 0;

    for (int32_t i = 0; rc == 0 && i < body->resources.count; i++) {
        const struct alter_configs_request_resource *in = &body->resources.items[i];
        const struct image_topic *topic =
            alter_begin(alter, i, in->resource_type, in->resource_name, body->validate_only);
        if (topic != NULL) {
            rc = make_full(alter, i, in, topic);
        }
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    alter_submit(alter);
}

static bool word_in(const char *list, const char *word, size_t size)
{
    for (const char *at = list; *at != '\0';) {
        size_t length = strcspn(at, ",");
        if (length == size && memcmp(at, word, size) == 0) {
            return true;
        }
        at += length + (at[length] == ',' ? 1 : 0);
    }
    return false;
}

/* Writes the list without the words of `minus`; the size. */
static size_t list_without(const char *list, const char *minus, char *out)
{
    size_t used = 0;

    for (const char *at = list; *at != '\0';) {
        size_t length = strcspn(at, ",");
        if (length > 0 && !word_in(minus, at, length)) {
            out[used] = ',';
            used += used > 0 ? 1 : 0;
            memcpy(out + used, at, length);
            used += length;
        }
        at += length + (at[length] == ',' ? 1 : 0);
    }
    return used;
}

/* The current list without the words of `value`, and with them at its end where they are appended.
 */
static int change_list(struct request *request, const char *current, struct wire_string value,
                       bool is_append, struct wire_string *ret_value)
{
    size_t size = (size_t)value.size;
    char *words = request_alloc(request, size + 1);
    char *list = words == NULL ? NULL : request_alloc(request, strlen(current) + size + 2);
    size_t used;

    if (list == NULL) {
        return MR_ENOMEM;
    }
    memcpy(words, value.data, size);
    used = list_without(current, words, list);
    if (is_append && size > 0) {
        list[used] = ',';
        used += used > 0 ? 1 : 0;
        memcpy(list + used, words, size);
        used += size;
    }
    *ret_value = (struct wire_string){list, (int32_t)used};
    return 0;
}

static int config_of(struct wire_string name)
{
    return name.size < 0 ? -1 : topic_config_find(name.data, (size_t)name.size);
}

static int make_operation(struct alter *alter, struct meta_change *change,
                          const struct incremental_alter_configs_request_config *in,
                          const struct image_topic *topic, struct meta_setting *setting)
{
    int config = config_of(in->name);
    bool is_list = config >= 0 && topic_configs[config].type == CONFIG_LIST;

    *setting = (struct meta_setting){in->name, in->value};
    if (in->config_operation == ALTER_DELETE) {
        setting->value = wire_text(NULL);
        return 0;
    }
    if (in->value.size < 0) {
        refuse(change, KAFKA_INVALID_REQUEST, "a null value is given");
        return 0;
    }
    if (in->config_operation == ALTER_SET) {
        return 0;
    }
    if ((in->config_operation != ALTER_APPEND && in->config_operation != ALTER_SUBTRACT) ||
        (config >= 0 && !is_list)) {
        refuse(change, KAFKA_INVALID_CONFIG, "append and subtract are for lists only");
        return 0;
    }
    return config < 0
               ? 0
               : change_list(alter->request, topic_settings_text(&topic->settings, config),
                             in->value, in->config_operation == ALTER_APPEND, &setting->value);
}

static int make_incremental(struct alter *alter, int32_t place,
                            const struct incremental_alter_configs_request_resource *in,
                            const struct image_topic *topic)
{
    struct meta_change *change = &alter->changes[place];
    const struct incremental_alter_configs_request_config *items = in->configs.items;
    struct meta_setting *settings =
        request_alloc(alter->request, ((size_t)in->configs.count + 1) * sizeof *settings);
    const uint8_t *marks = NULL;
    size_t count = 0;
    int rc = settings == NULL
                 ? MR_ENOMEM
                 : names_mark(alter->request, items,
                              offsetof(struct incremental_alter_configs_request_config, name),
                              sizeof *items, in->configs.count, &marks);

    for (int32_t i = 0; rc == 0 && i < in->configs.count; i++) {
        if (items[i].config_operation == ALTER_DELETE && config_of(items[i].name) < 0) {
            continue; /* it is not set, so that is done */
        }
        rc = make_operation(alter, change, &items[i], topic, &settings[count++]);
    }
    if (rc == 0) {
        refuse_repeated(change, marks, in->configs.count);
    }
    change->settings = settings;
    change->setting_count = count;
    return rc;
}

void api_incremental_alter_configs(struct request *request)
{
    const struct incremental_alter_configs_request *body = request->body;
    struct alter *alter = alter_new(request, body->resources.count, true);
    int rc = alter == NULL ? MR_ENOMEM : 0;

    for (int32_t i = 0; rc == 0 && i < body->resources.count; i++) {
        const struct incremental_alter_configs_request_resource *in = &body->resources.items[i];
        const struct image_topic *topic =
            alter_begin(alter, i, in->resource_type, in->resource_name, body->validate_only);
        if (topic != NULL) {
            rc = make_incremental(alter, i, in, topic);
        }
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    alter_submit(alter);
}

/* ---- list ---- */

static bool wants_type(const struct list_config_resources_request *body, int version, int8_t type)
{
    for (int32_t i = 0; i < body->resource_types.count; i++) {
        if (body->resource_types.items[i] == type) {
            return true;
        }
    }
    return version >= 1 && body->resource_types.count == 0;
}

static bool knows_types(const struct list_config_resources_request *body)
{
    for (int32_t i = 0; i < body->resource_types.count; i++) {
        switch (body->resource_types.items[i]) {
        case CONFIG_RESOURCE_TOPIC:
        case CONFIG_RESOURCE_BROKER:
        case CONFIG_RESOURCE_LOGGER:
        case CONFIG_RESOURCE_METRICS:
        case CONFIG_RESOURCE_GROUP:
            break;
        default:
            return false;
        }
    }
    return true;
}

/* Version 0 asks for client metrics only, of which there are none. */
void api_list_config_resources(struct request *request)
{
    const struct list_config_resources_request *body = request->body;
    const struct image *image = meta_image(request->broker->meta);
    struct list_config_resources_response response;
    int32_t count = 0;

    list_config_resources_response_init(&response);
    if (!request_may_cluster(request) || !knows_types(body)) {
        response.error_code =
            knows_types(body) ? KAFKA_CLUSTER_AUTHORIZATION_FAILED : KAFKA_UNSUPPORTED_VERSION;
        request_count_error(request, response.error_code);
        request_respond(request, &response);
        return;
    }
    if (list_config_resources_response_config_resource_array_make(
            &request->arena, &response.config_resources, (int32_t)image->topic_count + 1) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    if (wants_type(body, request->head.api_version, CONFIG_RESOURCE_TOPIC)) {
        for (size_t i = 0; i < image->topic_count; i++) {
            response.config_resources.items[count].resource_name =
                wire_text(image->topics[i]->name);
            response.config_resources.items[count++].resource_type = CONFIG_RESOURCE_TOPIC;
        }
    }
    if (wants_type(body, request->head.api_version, CONFIG_RESOURCE_BROKER)) {
        response.config_resources.items[count].resource_name =
            wire_arena_printf(&request->arena, "%" PRId32, request->broker->node_id);
        response.config_resources.items[count++].resource_type = CONFIG_RESOURCE_BROKER;
    }
    response.config_resources.count = count;
    request_respond(request, &response);
}
