/* All partitions of this node: opens their logs, follows the metadata, applies retention, and keeps
 * the disk budget. Partitions are reached through their topic in the image. Lives on one loop.
 *
 * Directories tell where they belong by their own partition.metadata, so nothing here depends on
 * one file:
 *   - a directory whose topic was removed (the record is there, the crash came before the rename)
 * goes;
 *   - a directory whose topic is in no record (lost metadata) is reported as an orphan, for its
 * owner to adopt: records are never thrown away because a list was damaged. */
#ifndef QUEUE_REPLICA_MANAGER_H
#define QUEUE_REPLICA_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/list.h"
#include "queue/log/log.h"
#include "queue/meta/meta.h"
#include "queue/replica/partition.h"

struct replicas;

/* How a local topic is configured beyond its settings; by name. Borrowed for the call. */
struct replicas_config {
    struct log_env env; /* its budget is replaced by the manager's own */
    const char *data_directory;
    int64_t disk_limit_bytes; /* 0: none */
    int64_t keep_ms;          /* local topics: after all readers have passed */
};

/* Called for topics that have directories here and are in no record. */
typedef void (*replicas_orphan_cb)(void *owner, const char *topic, const struct mr_uuid *id,
                                   int32_t partition_count);

int replicas_new(const struct replicas_config *config, struct meta *meta,
                 struct replicas **ret_replicas, struct mr_error *error);
/* Removes what deleted topics left behind and reports orphans. Blocks; before replicas_start. */
int replicas_sweep(struct replicas *replicas, replicas_orphan_cb cb, void *owner,
                   struct mr_error *error);
/* Opens the logs of all topics in the image (a log that cannot be opened is served as an error, and
 * tried again from time to time), and follows the metadata from here on. Blocks. */
int replicas_start(struct replicas *replicas, struct mr_error *error);
/* Closes all logs cleanly; done later. Faces must have let go of their partitions. */
void replicas_close(struct replicas *replicas, void (*done)(void *owner), void *owner);

/* NULL: there is no such partition. */
struct partition *replicas_partition(const struct image_topic *topic, int32_t index);
/* Opens its log if that has not been done: those of __consumer_offsets are made when first needed,
 * those of a new topic a few in each turn. */
int replicas_need(struct replicas *replicas, struct partition *partition, struct mr_error *error);

/* Room came back after an append was refused with MR_EFULL. */
struct replicas_space {
    struct mr_link link;
    void (*cb)(struct replicas_space *space);
    void *owner;
};
void replicas_space_add(struct replicas *replicas, struct replicas_space *space);
void replicas_space_remove(struct replicas_space *space);

const struct log_env *replicas_env(const struct replicas *replicas);
const char *replicas_directory(const struct replicas *replicas);
/* 0, or the first partition that does not work, in words. */
int replicas_health(const struct replicas *replicas, struct mr_error *error);

#endif
