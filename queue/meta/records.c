#include "queue/meta/records.h"

#define WIRE_TABLES
#include "queue/meta/records.h"
#undef WIRE_TABLES

#include <string.h>

#include "base/core/error.h"
#include "queue/meta/image.h"
#include "queue/wire/batch_builder.h"
#include "queue/wire/bytes.h"
#include "queue/wire/writer.h"

enum { RECORD_PREFIX_SIZE = 4, RECORD_ARENA_SIZE_MAX = 64 * 1024 };

/* By type; each has version 0 only. */
static const struct wire_message *const record_messages[META_RECORD_TYPE_COUNT] = {
    &meta_snapshot_record_message,      &meta_topic_record_message,
    &meta_topic_removed_record_message, &meta_partitions_record_message,
    &meta_config_record_message,        &meta_producer_ids_record_message,
    &meta_scram_record_message,         &meta_scram_removed_record_message,
    &meta_secret_record_message,        &meta_acl_record_message,
    &meta_acl_record_message,           &meta_quota_record_message,
};

int meta_record_add(struct batch_builder *builder, enum meta_record_type type, const void *record,
                    int64_t now_ms)
{
    const struct wire_message *message = record_messages[type];
    struct wire_writer writer;
    struct batch_builder_record out = {.timestamp_ms = now_ms, .key_size = -1};
    int rc;

    wire_writer_init(&writer);
    wire_write_int16(&writer, (int16_t)type);
    wire_write_int16(&writer, message->version_max);
    rc = wire_encode(message, message->version_max, record, &writer);
    if (rc == 0 && writer.failed != 0) {
        rc = writer.failed;
    }
    if (rc == 0) {
        out.value = writer.bytes.data;
        out.value_size = (int32_t)writer.bytes.size_bytes;
        rc = batch_builder_add(builder, &out);
    }
    wire_writer_done(&writer);
    return rc;
}

int meta_record_add_scram(struct batch_builder *builder, struct wire_string name,
                          const struct mr_scram_credential *credential, int64_t now_ms)
{
    int32_t key_size = (int32_t)mr_scram_key_size(credential->mechanism);
    struct meta_scram_record record = {
        .name = name,
        .mechanism = (int8_t)credential->mechanism,
        .iterations = credential->iterations,
        .salt = {credential->salt, (int32_t)credential->salt_size},
        .stored_key = {credential->stored_key, key_size},
        .server_key = {credential->server_key, key_size},
    };

    return meta_record_add(builder, META_RECORD_SCRAM, &record, now_ms);
}

int meta_record_add_acl(struct batch_builder *builder, enum meta_record_type type,
                        const struct acl_binding *binding, int64_t now_ms)
{
    struct meta_acl_record record = {
        .resource = binding->resource,
        .pattern = binding->pattern,
        .operation = binding->operation,
        .permission = binding->permission,
        .name = binding->name,
        .principal = binding->principal,
        .host = binding->host,
    };

    return meta_record_add(builder, type, &record, now_ms);
}

static int apply_scram(struct image *image, const struct meta_scram_record *record)
{
    struct mr_scram_credential credential = {
        .mechanism = (enum mr_scram_mechanism)record->mechanism,
        .iterations = record->iterations,
        .salt_size = (size_t)record->salt.size,
    };
    int32_t key_size;

    if (record->mechanism != MR_SCRAM_SHA_256 && record->mechanism != MR_SCRAM_SHA_512) {
        return MR_EUNSUPPORTED;
    }
    key_size = (int32_t)mr_scram_key_size(credential.mechanism);
    if (record->name.size <= 0 || record->name.size > MR_SCRAM_USER_SIZE_MAX ||
        record->salt.size <= 0 || record->salt.size > MR_SCRAM_SALT_SIZE_MAX ||
        record->iterations < MR_SCRAM_ITERATIONS_MIN ||
        record->iterations > MR_SCRAM_ITERATIONS_MAX || record->stored_key.size != key_size ||
        record->server_key.size != key_size) {
        return MR_ECORRUPT;
    }
    memcpy(credential.salt, record->salt.data, (size_t)record->salt.size);
    memcpy(credential.stored_key, record->stored_key.data, (size_t)key_size);
    memcpy(credential.server_key, record->server_key.data, (size_t)key_size);
    return users_set(&image->users, record->name.data, (size_t)record->name.size, &credential);
}

static int apply_scram_removed(struct image *image, const struct meta_scram_removed_record *record)
{
    if (record->mechanism != MR_SCRAM_SHA_256 && record->mechanism != MR_SCRAM_SHA_512) {
        return MR_EUNSUPPORTED;
    }
    (void)users_remove(&image->users, record->name.data, (size_t)record->name.size,
                       (enum mr_scram_mechanism)record->mechanism);
    return 0;
}

static int apply_secret(struct image *image, const struct meta_secret_record *record)
{
    if (record->secret.size != MR_SCRAM_SECRET_SIZE) {
        return MR_ECORRUPT;
    }
    memcpy(image->users.secret, record->secret.data, MR_SCRAM_SECRET_SIZE);
    image->users.has_secret = true;
    return 0;
}

static int apply_acl(struct image *image, const struct meta_acl_record *record, bool is_there)
{
    struct acl_binding binding = {
        .resource = record->resource,
        .pattern = record->pattern,
        .operation = record->operation,
        .permission = record->permission,
        .name = record->name,
        .principal = record->principal,
        .host = record->host,
    };
    int rc = 0;

    if (acl_check(&binding) != NULL) {
        return MR_ECORRUPT;
    }
    if (is_there) {
        rc = acl_add(&image->acls, &binding);
    } else {
        (void)acl_remove(&image->acls, &binding);
    }
    return rc == MR_EEXIST ? 0 : rc;
}

int meta_record_add_quota(struct batch_builder *builder, const struct quota_entity *entity,
                          enum quota_rate rate, double value, int64_t now_ms)
{
    struct meta_quota_record_entity items[QUOTA_TYPE_COUNT];
    struct meta_quota_record record = {
        .entity = {.items = items}, .key = wire_text(quota_rate_name(rate)), .value = value};

    for (int type = 0; type < QUOTA_TYPE_COUNT; type++) {
        if (entity->kinds[type] != QUOTA_ABSENT) {
            items[record.entity.count++] = (struct meta_quota_record_entity){
                .type = wire_text(quota_type_name((enum quota_type)type)),
                .name = entity->kinds[type] == QUOTA_NAMED ? entity->names[type] : wire_text(NULL),
            };
        }
    }
    return meta_record_add(builder, META_RECORD_QUOTA, &record, now_ms);
}

static int apply_quota(struct image *image, const struct meta_quota_record *record)
{
    struct quota_entity entity = {.kinds = {QUOTA_ABSENT}};
    char host[QUOTA_HOST_SIZE];
    int rate = quota_rate_find(record->key);

    if (rate < 0) {
        return MR_EUNSUPPORTED;
    }
    for (int32_t i = 0; i < record->entity.count; i++) {
        const struct meta_quota_record_entity *item = &record->entity.items[i];
        int type = quota_type_find(item->type);
        if (type < 0 || entity.kinds[type] != QUOTA_ABSENT) {
            return type < 0 ? MR_EUNSUPPORTED : MR_ECORRUPT;
        }
        entity.kinds[type] = item->name.size < 0 ? QUOTA_DEFAULT : QUOTA_NAMED;
        entity.names[type] = item->name;
    }
    if (quota_entity_check(&entity, host) != NULL ||
        (record->value != 0 &&
         quota_rate_check(&entity, (enum quota_rate)rate, record->value) != NULL)) {
        return MR_ECORRUPT;
    }
    return quota_set_put(&image->quotas, &entity, (enum quota_rate)rate, record->value);
}

static int apply_topic(struct image *image, const struct meta_topic_record *record)
{
    struct image_topic *topic;
    int rc;

    if (record->name.size <= 0 ||
        topic_name_check(record->name.data, (size_t)record->name.size) != NULL ||
        record->partition_count <= 0 || record->partition_count > TOPIC_PARTITIONS_MAX) {
        return MR_ECORRUPT;
    }
    rc = image_add(image, record->name.data, (size_t)record->name.size, &record->topic_id,
                   record->partition_count, record->replication_factor, false, &topic);
    return rc == MR_EEXIST ? 0 : rc;
}

static int apply_config(struct image *image, const struct meta_config_record *record)
{
    struct image_topic *topic = image_find_id(image, &record->topic_id);
    int config = topic_config_find(record->name.data, (size_t)record->name.size);

    if (topic == NULL || config < 0) {
        return 0; /* a setting that a newer version knew: it comes back with that version */
    }
    if (record->value.size < 0) {
        return topic_settings_set(&topic->settings, config, NULL, 0);
    }
    if (config_check(&topic_configs[config], record->value.data, (size_t)record->value.size) !=
        NULL) {
        return MR_ECORRUPT;
    }
    return topic_settings_set(&topic->settings, config, record->value.data,
                              (size_t)record->value.size);
}

union record {
    struct meta_snapshot_record snapshot;
    struct meta_topic_record topic;
    struct meta_topic_removed_record removed;
    struct meta_partitions_record partitions;
    struct meta_config_record config;
    struct meta_producer_ids_record producer_ids;
    struct meta_scram_record scram;
    struct meta_scram_removed_record scram_removed;
    struct meta_secret_record secret;
    struct meta_acl_record acl;
    struct meta_quota_record quota;
};

static int record_apply(struct image *image, enum meta_record_type type, const union record *record)
{
    struct image_topic *topic;

    switch (type) {
    case META_RECORD_SNAPSHOT:
        image_clear(image);
        return 0;
    case META_RECORD_TOPIC:
        return apply_topic(image, &record->topic);
    case META_RECORD_TOPIC_REMOVED:
        topic = image_find_id(image, &record->removed.topic_id);
        if (topic != NULL) {
            image_remove(image, topic);
        }
        return image_note_removed(image, &record->removed.topic_id);
    case META_RECORD_PARTITIONS:
        topic = image_find_id(image, &record->partitions.topic_id);
        if (topic != NULL && record->partitions.partition_count > topic->partition_count &&
            record->partitions.partition_count <= TOPIC_PARTITIONS_MAX) {
            image_set_partitions(image, topic, record->partitions.partition_count);
        }
        return 0;
    case META_RECORD_CONFIG:
        return apply_config(image, &record->config);
    case META_RECORD_PRODUCER_IDS:
        if (record->producer_ids.next_producer_id > image->next_producer_id) {
            image->next_producer_id = record->producer_ids.next_producer_id;
        }
        return 0;
    case META_RECORD_SCRAM:
        return apply_scram(image, &record->scram);
    case META_RECORD_SCRAM_REMOVED:
        return apply_scram_removed(image, &record->scram_removed);
    case META_RECORD_SECRET:
        return apply_secret(image, &record->secret);
    case META_RECORD_ACL:
    case META_RECORD_ACL_REMOVED:
        return apply_acl(image, &record->acl, type == META_RECORD_ACL);
    case META_RECORD_QUOTA:
        return apply_quota(image, &record->quota);
    case META_RECORD_TYPE_COUNT:
        break;
    }
    return MR_EUNSUPPORTED;
}

int meta_record_apply(struct image *image, const void *value, size_t size_bytes)
{
    const uint8_t *bytes = value;
    struct wire_arena arena;
    union record record;
    int type;
    int version;
    int rc;

    if (size_bytes < RECORD_PREFIX_SIZE) {
        return MR_ECORRUPT;
    }
    type = wire_get_int16(bytes);
    version = wire_get_int16(bytes + 2);
    if (type < 0 || type >= META_RECORD_TYPE_COUNT ||
        !wire_message_has_version(record_messages[type], version)) {
        return MR_EUNSUPPORTED;
    }
    wire_arena_init(&arena, RECORD_ARENA_SIZE_MAX);
    rc = wire_decode(record_messages[type], version, bytes + RECORD_PREFIX_SIZE,
                     size_bytes - RECORD_PREFIX_SIZE, &arena, &record);
    if (rc == 0) {
        rc = record_apply(image, (enum meta_record_type)type, &record);
    }
    wire_arena_done(&arena);
    return rc;
}

static int snapshot_topic(const struct image_topic *topic, struct batch_builder *builder,
                          int64_t now_ms)
{
    struct meta_topic_record record = {
        .topic_id = topic->id,
        .name = wire_text(topic->name),
        .partition_count = topic->partition_count,
        .replication_factor = topic->replication_factor,
    };
    int rc = meta_record_add(builder, META_RECORD_TOPIC, &record, now_ms);

    for (int i = 0; rc == 0 && i < TOPIC_CONFIG_COUNT; i++) {
        if (topic->settings.values[i] != NULL) {
            struct meta_config_record config = {
                .topic_id = topic->id,
                .name = wire_text(topic_configs[i].name),
                .value = wire_text(topic->settings.values[i]),
            };
            rc = meta_record_add(builder, META_RECORD_CONFIG, &config, now_ms);
        }
    }
    return rc;
}

static int snapshot_users(const struct users *users, struct batch_builder *builder, int64_t now_ms)
{
    struct meta_secret_record secret = {.secret = {users->secret, sizeof users->secret}};
    const struct user *user;
    size_t cursor = 0;
    int rc = 0;

    if (users->has_secret) {
        rc = meta_record_add(builder, META_RECORD_SECRET, &secret, now_ms);
    }
    while (rc == 0 && (user = users_next(users, &cursor)) != NULL) {
        for (int i = 0; rc == 0 && i < USER_MECHANISMS; i++) {
            if (user->has[i]) {
                rc = meta_record_add_scram(builder, wire_text(user->name), &user->credentials[i],
                                           now_ms);
            }
        }
    }
    return rc;
}

static int snapshot_quotas(const struct quota_set *quotas, struct batch_builder *builder,
                           int64_t now_ms)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < quotas->count; i++) {
        const struct quota *quota = quotas->items[i];
        for (int rate = 0; rc == 0 && rate < QUOTA_RATE_COUNT; rate++) {
            if (quota->rates[rate] != 0) {
                rc = meta_record_add_quota(builder, &quota->entity, (enum quota_rate)rate,
                                           quota->rates[rate], now_ms);
            }
        }
    }
    return rc;
}

int meta_records_snapshot(const struct image *image, struct batch_builder *builder, int64_t now_ms)
{
    struct meta_snapshot_record head = {.taken_at_ms = now_ms};
    struct meta_producer_ids_record ids = {.next_producer_id = image->next_producer_id};
    int rc = meta_record_add(builder, META_RECORD_SNAPSHOT, &head, now_ms);

    if (rc == 0) {
        rc = meta_record_add(builder, META_RECORD_PRODUCER_IDS, &ids, now_ms);
    }
    for (size_t i = 0; rc == 0 && i < image->topic_count; i++) {
        if (!image->topics[i]->is_local) {
            rc = snapshot_topic(image->topics[i], builder, now_ms);
        }
    }
    if (rc == 0) {
        rc = snapshot_users(&image->users, builder, now_ms);
    }
    for (size_t i = 0; rc == 0 && i < image->acls.count; i++) {
        struct acl_binding binding = acl_as_binding(&image->acls.items[i]);
        rc = meta_record_add_acl(builder, META_RECORD_ACL, &binding, now_ms);
    }
    if (rc == 0) {
        rc = snapshot_quotas(&image->quotas, builder, now_ms);
    }
    for (size_t i = 0; rc == 0 && i < image->removed_count; i++) {
        struct meta_topic_removed_record removed = {.topic_id = image->removed[i]};
        rc = meta_record_add(builder, META_RECORD_TOPIC_REMOVED, &removed, now_ms);
    }
    return rc;
}
