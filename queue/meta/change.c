#include "queue/meta/change.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "queue/meta/meta.h"
#include "queue/meta/records.h"
#include "queue/wire/kafka_error.h"

static int16_t refuse(struct meta_change *change, int16_t error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int16_t refuse(struct meta_change *change, int16_t error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(change->reason, sizeof change->reason, format, arguments);
    va_end(arguments);
    change->error = error;
    return error;
}

static int16_t check_settings(struct meta_change *change)
{
    for (size_t i = 0; i < change->setting_count; i++) {
        struct meta_setting *setting = &change->settings[i];
        int config = setting->name.size < 0
                         ? -1
                         : topic_config_find(setting->name.data, (size_t)setting->name.size);
        const char *wrong;
        if (config < 0) {
            return refuse(change, KAFKA_INVALID_CONFIG, "unknown topic config name: %.*s",
                          setting->name.size < 0 ? 0 : (int)setting->name.size, setting->name.data);
        }
        if (setting->value.size < 0) {
            continue;
        }
        config_tidy(&topic_configs[config], &setting->value);
        wrong =
            config_check(&topic_configs[config], setting->value.data, (size_t)setting->value.size);
        if (wrong != NULL) {
            return refuse(change, KAFKA_INVALID_CONFIG, "invalid value %.*s for %s: %s",
                          setting->value.size > 64 ? 64 : (int)setting->value.size,
                          setting->value.data, topic_configs[config].name, wrong);
        }
    }
    return KAFKA_NONE;
}

static int16_t check_count(const struct image *image, struct meta_change *change, int32_t more)
{
    if (change->partition_count > TOPIC_PARTITIONS_MAX ||
        image->partition_total + more > IMAGE_PARTITIONS_MAX) {
        return refuse(change, KAFKA_INVALID_PARTITIONS,
                      "too many partitions: at most %d per topic and %d in all",
                      TOPIC_PARTITIONS_MAX, IMAGE_PARTITIONS_MAX);
    }
    return KAFKA_NONE;
}

static int16_t check_create(const struct image *image, struct meta_change *change,
                            int32_t node_count)
{
    size_t size = change->name.size < 0 ? 0 : (size_t)change->name.size;
    const char *wrong = topic_name_check(change->name.data, size);
    const struct image_topic *other;

    if (wrong != NULL) {
        return refuse(change, KAFKA_INVALID_TOPIC_EXCEPTION, "topic name is not valid: %s", wrong);
    }
    if (image_find(image, change->name.data, size) != NULL) {
        return refuse(change, KAFKA_TOPIC_ALREADY_EXISTS, "topic '%.*s' already exists", (int)size,
                      change->name.data);
    }
    if (!change->is_own && topic_name_is_reserved(change->name.data, size)) {
        return refuse(change, KAFKA_INVALID_TOPIC_EXCEPTION,
                      "names that begin with '__' are reserved");
    }
    other = image_find_collision(image, change->name.data, size);
    if (other != NULL) {
        return refuse(change, KAFKA_INVALID_TOPIC_EXCEPTION,
                      "topic '%.*s' collides with existing topic '%s': '.' and '_' are the same "
                      "in metric names",
                      (int)size, change->name.data, other->name);
    }
    if (change->partition_count <= 0) {
        return refuse(change, KAFKA_INVALID_PARTITIONS,
                      "number of partitions must be larger than 0");
    }
    if (change->replication_factor <= 0 || change->replication_factor > node_count) {
        return refuse(change, KAFKA_INVALID_REPLICATION_FACTOR,
                      "replication factor %d is not possible with %" PRId32 " node(s)",
                      change->replication_factor, node_count);
    }
    if (check_count(image, change, change->partition_count) != KAFKA_NONE) {
        return change->error;
    }
    return check_settings(change);
}

/* Kafka's words for "no such topic". */
static int16_t check_topic(struct meta_change *change, const struct image_topic *topic)
{
    if (topic == NULL) {
        return refuse(change, KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                      "this server does not host this topic-partition");
    }
    return KAFKA_NONE;
}

static int16_t check_delete(struct meta_change *change, const struct image_topic *topic)
{
    if (check_topic(change, topic) != KAFKA_NONE) {
        return change->error;
    }
    if (topic->is_local && topic->is_declared && !change->is_own) {
        return refuse(change, KAFKA_POLICY_VIOLATION,
                      "'%s' is a local topic of this node's configuration", topic->name);
    }
    if (strcmp(topic->name, "__consumer_offsets") == 0) {
        return refuse(change, KAFKA_INVALID_TOPIC_EXCEPTION, "'%s' cannot be deleted", topic->name);
    }
    return KAFKA_NONE;
}

static int16_t check_partitions(const struct image *image, struct meta_change *change,
                                const struct image_topic *topic)
{
    if (check_topic(change, topic) != KAFKA_NONE) {
        return change->error;
    }
    if (!change->is_own &&
        (topic->is_local || topic_name_is_reserved(topic->name, strlen(topic->name)))) {
        return refuse(change, KAFKA_POLICY_VIOLATION,
                      "the partitions of '%s' are set by the node itself", topic->name);
    }
    if (change->partition_count <= topic->partition_count) {
        return refuse(change, KAFKA_INVALID_PARTITIONS,
                      "topic currently has %" PRId32 " partition(s), which is %s the requested "
                      "%" PRId32,
                      topic->partition_count,
                      change->partition_count == topic->partition_count ? "equal to"
                                                                        : "higher than",
                      change->partition_count);
    }
    return check_count(image, change, change->partition_count - topic->partition_count);
}

static int16_t check_alter(struct meta_change *change, const struct image_topic *topic)
{
    if (check_topic(change, topic) != KAFKA_NONE) {
        return change->error;
    }
    if (topic->is_local) {
        return refuse(change, KAFKA_POLICY_VIOLATION,
                      "'%s' is a local topic: its settings are in the node's configuration",
                      topic->name);
    }
    return check_settings(change);
}

static int16_t check_user(const struct image *image, struct meta_change *change,
                          struct mr_random *random)
{
    size_t size = change->name.size < 0 ? 0 : (size_t)change->name.size;
    const struct users *users = &image->users;

    change->has_secret = false;
    if (size == 0 || size > MR_SCRAM_USER_SIZE_MAX ||
        memchr(change->name.data, '\0', size) != NULL) {
        return refuse(change, KAFKA_UNACCEPTABLE_CREDENTIAL,
                      "a user's name must have 1 to %d characters", MR_SCRAM_USER_SIZE_MAX);
    }
    if (change->kind == META_REMOVE_SCRAM) {
        return users_credential(users, change->name.data, size, change->mechanism) != NULL
                   ? KAFKA_NONE
                   : refuse(change, KAFKA_RESOURCE_NOT_FOUND,
                            "attempt to delete a user credential that does not exist");
    }
    if (users->by_name.count >= USERS_MAX && users_find(users, change->name.data, size) == NULL) {
        return refuse(change, KAFKA_POLICY_VIOLATION, "there are %d users already", USERS_MAX);
    }
    if (!users->has_secret) {
        change->has_secret = true;
        random->fill(random, change->secret, sizeof change->secret);
    }
    return KAFKA_NONE;
}

static int16_t check_acl(const struct image *image, struct meta_change *change)
{
    const char *wrong = acl_check(change->acl);

    if (wrong != NULL) {
        return refuse(change, KAFKA_INVALID_REQUEST, "%s", wrong);
    }
    if (change->kind == META_ADD_ACL && image->acls.count >= ACL_COUNT_MAX) {
        return refuse(change, KAFKA_POLICY_VIOLATION, "there are %d bindings already",
                      ACL_COUNT_MAX);
    }
    return KAFKA_NONE;
}

static int16_t check_quota(const struct image *image, struct meta_change *change)
{
    if (image->quotas.count >= QUOTA_ENTITIES_MAX &&
        quota_set_find(&image->quotas, &change->quota->entity) == NULL) {
        return refuse(change, KAFKA_POLICY_VIOLATION, "there are %d entities with quotas already",
                      QUOTA_ENTITIES_MAX);
    }
    return KAFKA_NONE;
}

bool change_is_of_topic(const struct meta_change *change)
{
    return change->kind == META_CREATE_TOPIC || change->kind == META_DELETE_TOPIC ||
           change->kind == META_ADD_PARTITIONS || change->kind == META_ALTER_CONFIGS;
}

bool change_is_empty(const struct meta_change *change)
{
    return change->kind == META_ALTER_CONFIGS && change->setting_count == 0;
}

int16_t change_check(const struct image *image, struct meta_change *change, int32_t node_count,
                     struct mr_random *random)
{
    const struct image_topic *topic = NULL;

    change->error = KAFKA_NONE;
    change->reason[0] = '\0';
    if (change_is_of_topic(change) && change->name.size > 0) {
        topic = image_find(image, change->name.data, (size_t)change->name.size);
    }
    switch (change->kind) {
    case META_CREATE_TOPIC:
        if (check_create(image, change, node_count) == KAFKA_NONE && mr_uuid_is_zero(&change->id)) {
            change->id = mr_uuid_random(random);
        }
        break;
    case META_DELETE_TOPIC:
        (void)check_delete(change, topic);
        break;
    case META_ADD_PARTITIONS:
        (void)check_partitions(image, change, topic);
        break;
    case META_ALTER_CONFIGS:
        (void)check_alter(change, topic);
        break;
    case META_TAKE_PRODUCER_ID:
        break;
    case META_SET_SCRAM:
    case META_REMOVE_SCRAM:
        (void)check_user(image, change, random);
        break;
    case META_ADD_ACL:
    case META_REMOVE_ACL:
        (void)check_acl(image, change);
        break;
    case META_ALTER_QUOTA:
        (void)check_quota(image, change);
        break;
    }
    if (topic != NULL && change->kind != META_CREATE_TOPIC) {
        change->id = topic->id;
    }
    return change->error;
}

static int records_of_settings(const struct meta_change *change, struct batch_builder *builder,
                               int64_t now_ms)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < change->setting_count; i++) {
        struct meta_config_record record = {
            .topic_id = change->id,
            .name = change->settings[i].name,
            .value = change->settings[i].value,
        };
        rc = meta_record_add(builder, META_RECORD_CONFIG, &record, now_ms);
    }
    return rc;
}

static int records_of_create(const struct meta_change *change, struct batch_builder *builder,
                             int64_t now_ms)
{
    struct meta_topic_record record = {
        .topic_id = change->id,
        .name = change->name,
        .partition_count = change->partition_count,
        .replication_factor = change->replication_factor,
    };
    int rc = meta_record_add(builder, META_RECORD_TOPIC, &record, now_ms);

    return rc == 0 ? records_of_settings(change, builder, now_ms) : rc;
}

static int records_of_scram(const struct meta_change *change, struct batch_builder *builder,
                            int64_t now_ms)
{
    struct meta_secret_record secret = {.secret = {change->secret, sizeof change->secret}};
    int rc = 0;

    if (change->has_secret) {
        rc = meta_record_add(builder, META_RECORD_SECRET, &secret, now_ms);
    }
    return rc == 0 ? meta_record_add_scram(builder, change->name, change->credential, now_ms) : rc;
}

static int records_of_quota(const struct quota_change *quota, struct batch_builder *builder,
                            int64_t now_ms)
{
    int rc = 0;

    for (int rate = 0; rc == 0 && rate < QUOTA_RATE_COUNT; rate++) {
        if (quota->is_named[rate]) {
            rc = meta_record_add_quota(builder, &quota->entity, (enum quota_rate)rate,
                                       quota->rates[rate], now_ms);
        }
    }
    return rc;
}

int change_records(const struct image *image, const struct meta_change *change,
                   struct batch_builder *builder, int64_t now_ms)
{
    struct meta_topic_removed_record removed = {.topic_id = change->id};
    struct meta_partitions_record partitions = {.topic_id = change->id,
                                                .partition_count = change->partition_count};
    struct meta_producer_ids_record ids = {.next_producer_id =
                                               image->next_producer_id + META_PRODUCER_ID_BLOCK};
    struct meta_scram_removed_record scram_removed = {.name = change->name,
                                                      .mechanism = (int8_t)change->mechanism};

    switch (change->kind) {
    case META_CREATE_TOPIC:
        return records_of_create(change, builder, now_ms);
    case META_DELETE_TOPIC:
        return meta_record_add(builder, META_RECORD_TOPIC_REMOVED, &removed, now_ms);
    case META_ADD_PARTITIONS:
        return meta_record_add(builder, META_RECORD_PARTITIONS, &partitions, now_ms);
    case META_ALTER_CONFIGS:
        return records_of_settings(change, builder, now_ms);
    case META_TAKE_PRODUCER_ID:
        return meta_record_add(builder, META_RECORD_PRODUCER_IDS, &ids, now_ms);
    case META_SET_SCRAM:
        return records_of_scram(change, builder, now_ms);
    case META_REMOVE_SCRAM:
        return meta_record_add(builder, META_RECORD_SCRAM_REMOVED, &scram_removed, now_ms);
    case META_ADD_ACL:
        return meta_record_add_acl(builder, META_RECORD_ACL, change->acl, now_ms);
    case META_REMOVE_ACL:
        return meta_record_add_acl(builder, META_RECORD_ACL_REMOVED, change->acl, now_ms);
    case META_ALTER_QUOTA:
        return records_of_quota(change->quota, builder, now_ms);
    }
    return MR_EINTERNAL;
}
