/* What a change that is durable does to the image, and who is told of it. */
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/meta/change.h"
#include "queue/meta/meta.h"

enum meta_event { EVENT_ADDED, EVENT_CHANGED, EVENT_REMOVED };

static void topic_tell(struct mr_link *listeners, enum meta_event event, struct image_topic *topic)
{
    mr_list_each(listeners, link, next)
    {
        struct meta_listener *listener = mr_container(link, struct meta_listener, link);
        if (event == EVENT_ADDED && listener->on_topic_added != NULL) {
            listener->on_topic_added(listener, topic);
        } else if (event == EVENT_CHANGED && listener->on_topic_changed != NULL) {
            listener->on_topic_changed(listener, topic);
        } else if (event == EVENT_REMOVED && listener->on_topic_removed != NULL) {
            listener->on_topic_removed(listener, topic);
        }
    }
}

static int apply_settings(struct image_topic *topic, const struct meta_change *change)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < change->setting_count; i++) {
        const struct meta_setting *setting = &change->settings[i];
        int config = topic_config_find(setting->name.data, (size_t)setting->name.size);
        mr_assert(config >= 0);
        rc = topic_settings_set(&topic->settings, config,
                                setting->value.size < 0 ? NULL : setting->value.data,
                                setting->value.size < 0 ? 0 : (size_t)setting->value.size);
    }
    return rc;
}

static int apply_create(struct image *image, struct mr_link *listeners,
                        const struct meta_change *change)
{
    struct image_topic *topic;
    int rc =
        image_add(image, change->name.data, (size_t)change->name.size, &change->id,
                  change->partition_count, change->replication_factor, change->is_local, &topic);

    if (rc == 0) {
        rc = apply_settings(topic, change);
        topic_tell(listeners, EVENT_ADDED, topic);
        mr_info("topic created", KV_STR("topic", topic->name),
                KV_I64("partitions", topic->partition_count), KV_BOOL("local", topic->is_local));
    }
    return rc;
}

static int apply_delete(struct image *image, struct mr_link *listeners, struct image_topic *topic)
{
    int rc = topic->is_local ? 0 : image_note_removed(image, &topic->id);

    mr_info("topic deleted", KV_STR("topic", topic->name));
    topic_tell(listeners, EVENT_REMOVED, topic);
    image_remove(image, topic);
    return rc;
}

/* 0, also where another change of the same batch has been faster. */
static int apply_acl(struct image *image, const struct meta_change *change)
{
    int rc = 0;

    if (change->kind == META_ADD_ACL) {
        rc = acl_add(&image->acls, change->acl);
    } else {
        (void)acl_remove(&image->acls, change->acl);
    }
    return rc == MR_EEXIST ? 0 : rc;
}

static void tell_quotas(struct mr_link *listeners)
{
    mr_list_each(listeners, link, next)
    {
        struct meta_listener *listener = mr_container(link, struct meta_listener, link);
        if (listener->on_quotas_changed != NULL) {
            listener->on_quotas_changed(listener);
        }
    }
}

static int apply_quota(struct image *image, struct mr_link *listeners,
                       const struct quota_change *quota)
{
    int rc = 0;

    for (int rate = 0; rc == 0 && rate < QUOTA_RATE_COUNT; rate++) {
        if (quota->is_named[rate]) {
            rc = quota_set_put(&image->quotas, &quota->entity, (enum quota_rate)rate,
                               quota->rates[rate]);
        }
    }
    tell_quotas(listeners);
    return rc;
}

static int apply_user(struct image *image, const struct meta_change *change)
{
    struct users *users = &image->users;

    if (change->kind == META_REMOVE_SCRAM) {
        (void)users_remove(users, change->name.data, (size_t)change->name.size, change->mechanism);
        return 0;
    }
    if (change->has_secret) {
        memcpy(users->secret, change->secret, sizeof users->secret);
        users->has_secret = true;
    }
    return users_set(users, change->name.data, (size_t)change->name.size, change->credential);
}

int change_apply(struct image *image, struct mr_link *listeners, const struct meta_change *change)
{
    struct image_topic *topic = NULL;
    int rc = 0;

    if (change_is_of_topic(change) && change->kind != META_CREATE_TOPIC) {
        topic = image_find_id(image, &change->id);
        mr_assert(topic != NULL);
    }
    switch (change->kind) {
    case META_CREATE_TOPIC:
        return apply_create(image, listeners, change);
    case META_DELETE_TOPIC:
        return apply_delete(image, listeners, topic);
    case META_ADD_PARTITIONS:
        image_set_partitions(image, topic, change->partition_count);
        topic_tell(listeners, EVENT_CHANGED, topic);
        return 0;
    case META_ALTER_CONFIGS:
        rc = apply_settings(topic, change);
        topic_tell(listeners, EVENT_CHANGED, topic);
        return rc;
    case META_TAKE_PRODUCER_ID:
        image->next_producer_id += META_PRODUCER_ID_BLOCK;
        return 0;
    case META_SET_SCRAM:
    case META_REMOVE_SCRAM:
        return apply_user(image, change);
    case META_ADD_ACL:
    case META_REMOVE_ACL:
        return apply_acl(image, change);
    case META_ALTER_QUOTA:
        return apply_quota(image, listeners, change->quota);
    }
    return MR_EINTERNAL;
}

int topic_declare_local(struct mr_link *listeners, struct image_topic *topic,
                        const struct topic_settings *settings)
{
    int rc = 0;

    mr_assert(topic->is_local);
    topic->is_declared = true;
    for (int i = 0; rc == 0 && i < TOPIC_CONFIG_COUNT; i++) {
        const char *value = settings->values[i];
        rc = topic_settings_set(&topic->settings, i, value, value != NULL ? strlen(value) : 0);
    }
    topic_tell(listeners, EVENT_CHANGED, topic);
    return rc;
}
