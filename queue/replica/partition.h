/* One partition as its leader keeps it: the log, the leader epoch, the high watermark, and those
 * who wait. This is the one place where followers and the in-sync set will be put; today the leader
 * is the only replica, so the high watermark is the end of what has been written (with fsync:
 * always: synced).
 *
 * The leader epoch grows by one at each start, so that a reader notices when a power loss took back
 * records that were not synced (KIP-320). It is written to the epoch file with the first append of
 * the new epoch: starts without appends leave nothing behind.
 *
 * Offsets, always: start <= high watermark <= log end. Lives on one loop, counted by references:
 * its topic may be deleted while a reader still holds it, and every call then says MR_ENOENT. */
#ifndef QUEUE_REPLICA_PARTITION_H
#define QUEUE_REPLICA_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/list.h"
#include "base/core/loop.h"
#include "base/core/random.h"
#include "queue/log/log.h"

struct mr_error;
struct partition;
struct partition_append;
struct partition_reader;
struct partition_waiter;

typedef void (*partition_append_cb)(struct partition_append *append);

/* Fill log.batch, log.flags, cb and owner; results stand in log.rc, log.base_offset, ... */
struct partition_append {
    struct log_append log;
    struct partition *partition;
    partition_append_cb cb;
    void *owner;
    struct mr_link queue_link; /* the partition's, while the log takes no more */
};

/* Fires once, in a later turn, when the high watermark has moved or the partition is gone; then it
 * is not linked any more. */
struct partition_waiter {
    struct mr_link link;
    void (*cb)(struct partition_waiter *waiter);
    void *owner;
};

/* Someone whose progress retention respects (a sink of this node). */
struct partition_reader {
    struct mr_link link;
    int64_t passed_offset; /* everything below is done with */
};

struct partition {
    char *topic;
    int32_t index;
    struct mr_uuid topic_id;
    bool is_local;
    bool is_deleted;
    bool is_epoch_begun; /* the epoch is in the epoch file */
    struct log *log;     /* NULL: not needed yet, or it could not be opened */
    int log_rc;          /* why not */
    int32_t leader_epoch;
    int64_t high_watermark;
    int refs;
    int64_t keep_ms; /* of local topics: how long after all readers have passed */
    struct mr_link waiters;
    struct mr_link readers;
    struct mr_link queue; /* partition_append: the log had no room for more unwritten bytes */
    struct mr_task wake;
};

/* One reference. The log is opened by partition_open. */
int partition_new(struct mr_loop *loop, const char *topic, const struct mr_uuid *topic_id,
                  int32_t index, bool is_local, struct partition **ret_partition);
struct partition *partition_ref(struct partition *partition);
void partition_unref(struct partition *partition); /* the log must be gone */
/* Opens or makes "<data directory>/<topic>-<index>". Blocks. */
int partition_open(struct partition *partition, const struct log_env *env,
                   const char *data_directory, const struct log_config *config,
                   struct mr_error *error);

/* Order of calls is order in the log. 0 and cb later, or a negative code and no callback
 * (MR_EAGAIN: one of the callbacks under way must come first). */
int partition_append(struct partition *partition, struct partition_append *append);
/* The same, but what would be MR_EAGAIN waits here, in order: the caller has its own bound. */
int partition_append_queued(struct partition *partition, struct partition_append *append);

/* As log_read, up to the high watermark. Where there is no log yet, offset 0 is empty. */
int partition_read(struct partition *partition, int64_t offset, int64_t max_bytes,
                   struct log_cursor *cursor, struct log_range *ret_range);
int64_t partition_start_offset(const struct partition *partition);
int64_t partition_end_offset(const struct partition *partition); /* the high watermark */
/* 0, or why appends are refused: a log that could not be opened or whose disk failed. */
int partition_health(const struct partition *partition);

/* KIP-101: the largest epoch <= the asked one and where it ends; -1/-1 if that is not known. */
void partition_epoch_end(const struct partition *partition, int32_t epoch, int32_t *ret_epoch,
                         int64_t *ret_end_offset);
/* The epoch of the record at `offset`, for ListOffsets; -1 if unknown. */
int32_t partition_epoch_of(const struct partition *partition, int64_t offset);
/* Moves the start; offset -1: to the high watermark. MR_ERANGE beyond that. */
int partition_delete_before(struct partition *partition, int64_t offset, struct mr_error *error);

void partition_wait(struct partition *partition, struct partition_waiter *waiter);
void partition_unwait(struct partition_waiter *waiter); /* also on a zeroed one */

void partition_attach(struct partition *partition, struct partition_reader *reader);
void partition_detach(struct partition *partition, struct partition_reader *reader);
void partition_passed(struct partition *partition, struct partition_reader *reader, int64_t offset);

/* The topic goes: waiters fire, nothing is served any more. The manager then deletes the log. */
void partition_mark_deleted(struct partition *partition);

#endif
