/* Writing the settings of topics: all of them at once, or one by one. Both become a meta_change per
 * resource, and are answered together. */
#include <string.h>

#include "base/core/error.h"
#include "queue/broker/api_configs.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/configs.h"

enum { ALTER_SET = 0, ALTER_DELETE = 1, ALTER_APPEND = 2, ALTER_SUBTRACT = 3 };

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
        configs_check_name(name, &error)[0] != '\0') {
        refuse(change, name.size > 0 ? error : KAFKA_INVALID_REQUEST,
               "the name of the topic is not valid");
    } else if (topic == NULL) {
        refuse(change, error, "this server does not host this topic-partition");
    }
    return topic;
}

static void refuse_repeated(struct meta_change *change, const uint8_t *marks, int32_t count)
{
    if (count > 0 && memchr(marks, NAME_AGAIN, (size_t)count) != NULL) {
        refuse(change, KAFKA_INVALID_REQUEST, "a setting is named twice");
    }
}

/* ---- AlterConfigs: replaces all, and what is not named goes back to its default ---- */

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

/* ---- IncrementalAlterConfigs ---- */

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
