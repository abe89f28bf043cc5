/* Committed offsets of consumer groups: kept in memory, stored in __consumer_offsets in Kafka's
 * record format (partition: Java's hash of the group id, modulo 50), so that every tool reads them.
 *
 * A commit changes the memory in the order of the appends and is answered when its append is
 * (synced, if that is asked for). The logs are bounded: when one has grown by several times what is
 * alive in it, the live records are appended again and everything before them is deleted. Offsets
 * of groups that have been quiet for seven days go; those of sinks (group sink.*) stay. Lives on
 * one loop. */
#ifndef QUEUE_GROUP_OFFSETS_H
#define QUEUE_GROUP_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/list.h"
#include "queue/wire/types.h"

struct group_offsets;
struct meta;
struct mr_disk;
struct mr_error;
struct mr_loop;
struct replicas;

enum {
    OFFSETS_PARTITIONS = 50,
    OFFSET_METADATA_SIZE_MAX = 4096, /* Kafka's offset.metadata.max.bytes */
    GROUP_ID_SIZE_MAX = 16 * 1024,
};

struct group_offset {
    int64_t offset;
    int32_t leader_epoch;
    int64_t commit_time_ms;
    char *metadata; /* of any bytes; never NULL, and a NUL behind them */
    int32_t metadata_size_bytes;
};

struct group_offsets_config {
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct meta *meta;
    struct replicas *replicas;
};

/* Creates the topic if it is missing and reads back what is stored. Blocks. */
int group_offsets_open(const struct group_offsets_config *config,
                       struct group_offsets **ret_offsets, struct mr_error *error);
/* After the last commit was answered, or with the partitions closed: its callbacks have come. */
void group_offsets_close(struct group_offsets *offsets);

struct offsets_item {
    struct wire_string topic;
    int32_t partition;
    int64_t offset; /* -1: remove */
    int32_t leader_epoch;
    struct wire_string metadata; /* null counts as empty */
};

struct offsets_commit;
typedef void (*offsets_commit_cb)(struct offsets_commit *commit);

/* The caller's until cb; the items are needed for the call only. */
struct offsets_commit {
    struct wire_string group;
    const struct offsets_item *items;
    size_t item_count;
    bool has_group_value;          /* the group's own record is written too (groups.h) */
    struct wire_bytes group_value; /* with its version in front; size -1: remove it */
    bool is_synced;                /* answer when it is on the platter */
    offsets_commit_cb cb;          /* exactly once, later */
    void *owner;
    int rc;
    struct mr_link link; /* the store's */
};

/* Whether a group may have this name: up to GROUP_ID_SIZE_MAX bytes, none of them NUL. */
bool group_id_fits(struct wire_string id);

/* 0 and cb later, or a negative code and no callback: MR_EAGAIN (try again), MR_ETOOLARGE, MR_EIO
 * ... */
int group_offsets_commit(struct group_offsets *offsets, struct offsets_commit *commit);

/* NULL: never committed. Borrowed until the next turn. */
const struct group_offset *group_offsets_get(const struct group_offsets *offsets,
                                             struct wire_string group, struct wire_string topic,
                                             int32_t partition);
bool group_offsets_has_group(const struct group_offsets *offsets, struct wire_string group);
size_t group_offsets_group_count(const struct group_offsets *offsets);
/* In no particular order; nothing may change meanwhile. */
typedef void (*group_offsets_group_cb)(void *owner, struct wire_string group, size_t offset_count);
void group_offsets_each_group(const struct group_offsets *offsets, group_offsets_group_cb cb,
                              void *owner);
typedef void (*group_offsets_cb)(void *owner, struct wire_string topic, int32_t partition,
                                 const struct group_offset *offset);
size_t group_offsets_count(const struct group_offsets *offsets, struct wire_string group);
void group_offsets_each(const struct group_offsets *offsets, struct wire_string group,
                        group_offsets_cb cb, void *owner);

/* What is stored of the group itself; size -1: nothing. Borrowed until the next turn. */
struct wire_bytes group_offsets_group_value(const struct group_offsets *offsets,
                                            struct wire_string group);
/* Who knows more of groups than what they have committed: until when a group has used a topic
 * (INT64_MAX: it does now), and whether one without any offset may be forgotten. NULL: nobody. */
typedef int64_t (*group_used_at)(void *owner, struct wire_string group, struct wire_string topic);
typedef bool (*group_idle_cb)(void *owner, struct wire_string group);
void group_offsets_watch(struct group_offsets *offsets, group_used_at used_at_ms,
                         group_idle_cb on_idle, void *owner);

/* Java's String.hashCode of the id (as UTF-16), made positive, modulo 50: where Kafka puts the
 * group. */
int32_t group_offsets_partition(struct wire_string group);

#endif
