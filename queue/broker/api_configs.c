/* Reading settings: of topics, and of the node, whose are written in its configuration file. */
#include <inttypes.h>
#include <string.h>

#include "base/core/error.h"
#include "queue/broker/api_configs.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/configs.h"

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

const char *configs_check_name(struct wire_string name, int16_t *ret_error)
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
            out->error_message = wire_text(configs_check_name(in->resource_name, &out->error_code));
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
