/* Committed offsets in memory: groups, and of each the offsets by topic and partition. */
#ifndef QUEUE_GROUP_OFFSET_MAP_H
#define QUEUE_GROUP_OFFSET_MAP_H

#include "base/core/map.h"
#include "queue/group/offsets.h"

struct offset_group {
    char *id;
    struct mr_map offsets; /* "topic\0" and int32 -> struct group_offset */
    uint8_t *value;        /* of the group's own record; NULL: it has none */
    int32_t value_size_bytes;
};

struct offset_map {
    struct mr_map groups;                   /* id -> struct offset_group */
    int64_t live_bytes[OFFSETS_PARTITIONS]; /* a guess: what a rewrite of each log would be */
};

void offset_map_init(struct offset_map *map);
void offset_map_done(struct offset_map *map);

/* Whether a topic's name can be a key. */
bool offset_map_fits(struct wire_string topic);
/* The topic fits. 0 or MR_ENOMEM, and then the old one stays. */
int offset_map_put(struct offset_map *map, struct wire_string group,
                   const struct offsets_item *item, int64_t commit_time_ms);
/* May free the group, and the names that lie in it. */
void offset_map_remove(struct offset_map *map, struct wire_string group, struct wire_string topic,
                       int32_t partition);

/* The same for the group's own record; size -1 removes it. */
int offset_map_put_value(struct offset_map *map, struct wire_string group, struct wire_bytes value);

/* NULL: there is none. */
struct offset_group *offset_map_group(const struct offset_map *map, struct wire_string group);
const struct group_offset *offset_map_get(const struct offset_map *map, struct wire_string group,
                                          struct wire_string topic, int32_t partition);
/* All of them, in no particular order: cursors begin at 0; NULL ends. Nothing may change meanwhile.
 */
const struct offset_group *offset_map_next(const struct offset_map *map, size_t *cursor);
const struct group_offset *offset_group_next(const struct offset_group *group, size_t *cursor,
                                             struct wire_string *ret_topic, int32_t *ret_partition);

#endif
