#include "queue/group/offset_map.h"

#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "queue/meta/image.h"
#include "queue/wire/bytes.h"

enum {
    RECORD_SIZE_GUESS = 160,                /* of one live record, names aside */
    KEY_SIZE_MAX = TOPIC_NAME_SIZE_MAX + 5, /* topic, NUL, int32 */
};

/* Characters beyond the basic plane are two in UTF-16, as Java counts. */
static uint32_t java_hash(const char *text, size_t size)
{
    uint32_t hash = 0;

    for (size_t i = 0; i < size;) {
        uint32_t c = (uint8_t)text[i];
        size_t more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (more > 0) {
            c &= 0x3fu >> more;
        }
        for (i += 1; more > 0 && i < size; more--, i++) {
            c = (c << 6) | ((uint8_t)text[i] & 0x3f);
        }
        if (c >= 0x10000) {
            hash = 31 * hash + (0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        hash = 31 * hash + c;
    }
    return hash;
}

int32_t group_offsets_partition(struct wire_string group)
{
    uint32_t hash = java_hash(group.data, group.size > 0 ? (size_t)group.size : 0);

    return (int32_t)(hash & INT32_MAX) % OFFSETS_PARTITIONS;
}

static size_t make_key(struct wire_string topic, int32_t partition, uint8_t key[KEY_SIZE_MAX])
{
    size_t size = (size_t)topic.size;

    memcpy(key, topic.data, size);
    key[size] = 0;
    wire_put_int32(key + size + 1, partition);
    return size + 5;
}

bool offset_map_fits(struct wire_string topic)
{
    return topic.size > 0 && topic.size <= TOPIC_NAME_SIZE_MAX &&
           memchr(topic.data, 0, (size_t)topic.size) == NULL;
}

struct offset_group *offset_map_group(const struct offset_map *map, struct wire_string group)
{
    return group.size < 0 ? NULL : mr_map_get(&map->groups, group.data, (size_t)group.size);
}

static void offset_free(struct group_offset *offset)
{
    if (offset != NULL) {
        mr_free(offset->metadata);
        mr_free(offset);
    }
}

static void group_free(struct offset_group *group)
{
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    while ((entry = mr_map_next(&group->offsets, &cursor)) != NULL) {
        offset_free(entry->value);
    }
    mr_map_done(&group->offsets);
    mr_free(group->value);
    mr_free(group->id);
    mr_free(group);
}

/* There is something in it, or it goes. */
static void settle(struct offset_map *map, struct wire_string id, struct offset_group *group)
{
    if (group->offsets.count == 0 && group->value == NULL) {
        (void)mr_map_remove(&map->groups, id.data, (size_t)id.size);
        group_free(group);
    }
}

static struct offset_group *need_group(struct offset_map *map, struct wire_string id)
{
    struct offset_group *group = offset_map_group(map, id);

    if (group != NULL) {
        return group;
    }
    group = mr_calloc(1, sizeof *group);
    if (group == NULL) {
        return NULL;
    }
    mr_map_init(&group->offsets);
    group->id = mr_strndup(id.data, (size_t)id.size);
    if (group->id == NULL || mr_map_put(&map->groups, id.data, (size_t)id.size, group, NULL) != 0) {
        group_free(group);
        return NULL;
    }
    return group;
}

static int64_t live_size(const struct offset_group *group, struct wire_string topic)
{
    return (int64_t)strlen(group->id) + topic.size + RECORD_SIZE_GUESS;
}

void offset_map_remove(struct offset_map *map, struct wire_string group_id,
                       struct wire_string topic, int32_t partition)
{
    struct offset_group *group = offset_map_group(map, group_id);
    uint8_t key[KEY_SIZE_MAX];
    struct group_offset *old;

    if (group == NULL) {
        return;
    }
    old = mr_map_remove(&group->offsets, key, make_key(topic, partition, key));
    if (old != NULL) {
        map->live_bytes[group_offsets_partition(group_id)] -= live_size(group, topic);
        offset_free(old);
    }
    settle(map, group_id, group);
}

static int64_t value_size(const struct offset_group *group)
{
    return group->value == NULL
               ? 0
               : (int64_t)strlen(group->id) + group->value_size_bytes + RECORD_SIZE_GUESS;
}

int offset_map_put_value(struct offset_map *map, struct wire_string id, struct wire_bytes value)
{
    struct offset_group *group = value.size < 0 ? offset_map_group(map, id) : need_group(map, id);
    int64_t *live_bytes = &map->live_bytes[group_offsets_partition(id)];
    uint8_t *copy = NULL;

    if (group == NULL) {
        return value.size < 0 ? 0 : MR_ENOMEM;
    }
    if (value.size >= 0) {
        copy = mr_malloc((size_t)value.size + 1);
        if (copy == NULL) {
            settle(map, id, group);
            return MR_ENOMEM;
        }
        memcpy(copy, value.data, (size_t)value.size);
    }
    *live_bytes -= value_size(group);
    mr_free(group->value);
    group->value = copy;
    group->value_size_bytes = value.size;
    *live_bytes += value_size(group);
    settle(map, id, group);
    return 0;
}

int offset_map_put(struct offset_map *map, struct wire_string group_id,
                   const struct offsets_item *item, int64_t commit_time_ms)
{
    struct offset_group *group = need_group(map, group_id);
    uint8_t key[KEY_SIZE_MAX];
    int32_t metadata_size = item->metadata.size > 0 ? item->metadata.size : 0;
    struct group_offset *offset;
    void *old = NULL;

    if (group == NULL) {
        return MR_ENOMEM;
    }
    offset = mr_calloc(1, sizeof *offset);
    if (offset == NULL) {
        return MR_ENOMEM;
    }
    *offset = (struct group_offset){
        .offset = item->offset,
        .leader_epoch = item->leader_epoch,
        .commit_time_ms = commit_time_ms,
        .metadata = mr_calloc(1, (size_t)metadata_size + 1),
        .metadata_size_bytes = metadata_size,
    };
    if (offset->metadata != NULL && metadata_size > 0) {
        memcpy(offset->metadata, item->metadata.data, (size_t)metadata_size);
    }
    if (offset->metadata == NULL ||
        mr_map_put(&group->offsets, key, make_key(item->topic, item->partition, key), offset,
                   &old) != 0) {
        offset_free(offset);
        return MR_ENOMEM;
    }
    if (old == NULL) {
        map->live_bytes[group_offsets_partition(group_id)] += live_size(group, item->topic);
    }
    offset_free(old);
    return 0;
}

const struct group_offset *offset_map_get(const struct offset_map *map, struct wire_string group,
                                          struct wire_string topic, int32_t partition)
{
    const struct offset_group *found = offset_map_group(map, group);
    uint8_t key[KEY_SIZE_MAX];

    if (found == NULL || !offset_map_fits(topic)) {
        return NULL;
    }
    return mr_map_get(&found->offsets, key, make_key(topic, partition, key));
}

const struct offset_group *offset_map_next(const struct offset_map *map, size_t *cursor)
{
    const struct mr_map_entry *entry = mr_map_next(&map->groups, cursor);

    return entry != NULL ? entry->value : NULL;
}

const struct group_offset *offset_group_next(const struct offset_group *group, size_t *cursor,
                                             struct wire_string *ret_topic, int32_t *ret_partition)
{
    const struct mr_map_entry *entry = mr_map_next(&group->offsets, cursor);

    if (entry == NULL) {
        return NULL;
    }
    *ret_topic = wire_text(entry->key);
    *ret_partition = wire_get_int32(entry->key + ret_topic->size + 1);
    return entry->value;
}

void offset_map_init(struct offset_map *map)
{
    *map = (struct offset_map){0};
    mr_map_init(&map->groups);
}

void offset_map_done(struct offset_map *map)
{
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    while ((entry = mr_map_next(&map->groups, &cursor)) != NULL) {
        group_free(entry->value);
    }
    mr_map_done(&map->groups);
}
