/* One partition's log: a directory of segments in Kafka's on-disk format
 * (00000000000000000000.log/.index/.timeindex/.snapshot, leader-epoch-checkpoint,
 * partition.metadata), appended at one end, cut at the other, read as byte ranges of immutable
 * files.
 *
 * A log lives on one loop. Bytes enter as whole RecordBatch v2 batches that the caller has
 * validated (wire/batch.h); base offset and leader epoch are written into the header on the way to
 * the disk and nothing else is touched. What a reader sees never vanishes, except by retention,
 * DeleteRecords, or a truncation that the caller orders.
 *
 * Offsets of a log, always: start <= synced <= end. */
#ifndef QUEUE_LOG_LOG_H
#define QUEUE_LOG_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/buffer.h"
#include "base/core/list.h"
#include "base/core/random.h"

struct mr_disk;
struct mr_error;
struct mr_loop;
struct mr_metric_set;
struct mr_metrics;
struct mr_workers;
struct log;
struct log_file; /* one segment's .log, reference-counted: alive while a range of it is on its way
                  */

enum log_fsync { LOG_FSYNC_NEVER, LOG_FSYNC_INTERVAL, LOG_FSYNC_ALWAYS };

/* Bytes on disk of all logs of a node against disk.limit. A log reserves before it writes. */
struct log_budget {
    int64_t limit_bytes; /* 0: none */
    int64_t used_bytes;
    void (*on_space)(struct log_budget *budget, void *owner); /* room came back after a refusal */
    void *owner;
    bool refused; /* an append was turned away since the last on_space */
};

/* Segment files of all logs of a node that are open between uses: the one that was used longest ago
 * makes room, so that thousands of partitions need few descriptors. */
struct log_files {
    struct mr_link list; /* most recently used last; mr_list_init */
    int count;
    int count_max; /* > 0 */
};

/* What all logs of a node share; outlives them. */
struct log_env {
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct mr_random *random;
    struct mr_workers *fsync_workers;
    struct mr_workers *io_workers; /* deletion, cold reads, early write-back */
    struct mr_metrics *metrics;    /* may be NULL */
    struct log_budget *budget;     /* may be NULL */
    struct log_files *files;       /* may be NULL: no bound */
    struct mr_metric_set *totals;  /* of the node: log_totals_new; may be NULL */
    /* Of this run of the operating system (mr_boot_id): a log that another one wrote may have lost
     * any part of what was not synced. Zero: not known, which is taken for another one. */
    struct mr_uuid boot_id;
};

/* The node's counters over all logs (millrace_log_..._total); mr_metric_set_free. NULL without
 * memory. */
struct mr_metric_set *log_totals_new(struct mr_metrics *metrics);

struct log_config {
    int64_t segment_size_bytes; /* roll before a batch would make it larger */
    int64_t segment_age_ms;     /* roll when the first append is older; 0: never by age */
    int64_t retention_ms;       /* -1: for ever; by append time */
    int64_t retention_bytes;    /* -1: unbounded; of this partition */
    enum log_fsync fsync;
    int64_t fsync_interval_ms;    /* for LOG_FSYNC_INTERVAL */
    int64_t index_interval_bytes; /* 4096 as Kafka */
    int64_t batch_size_bytes_max; /* max.message.bytes: larger is MR_ETOOLARGE */
    int64_t producer_expiry_ms;   /* Kafka's 1 day; lineages (bit 62 of the id) 30 days */
    int producers_max;            /* bound of remembered producer ids */
    bool log_append_time;         /* message.timestamp.type */
    bool is_compacted;            /* cleanup.policy has compact: kept as a fact for now */
};

/* Kafka's defaults where Kafka has them, ours (DESIGN 5) else. */
void log_config_defaults(struct log_config *config);

/* Opens or creates the directory. Recovers: from the recovery point batches are checked, a torn
 * tail is cut (and counted), missing or stale indexes are rebuilt when first needed, damaged ranges
 * are set aside as <name>.damaged and counted: it always opens, unless the disk itself refuses.
 * Where power may have been lost (env->boot_id), what was never synced ends at the first damage: no
 * record is kept behind a hole that the loss has made, so that what later records say about
 * earlier ones (mr.pos) is true.
 * Blocks; work is independent of what is kept (sealed segments are opened lazily). */
int log_open(const struct log_env *env, const char *directory, const struct mr_uuid *topic_id,
             const struct log_config *config, struct log **ret_log, struct mr_error *error);
/* Stops taking appends, syncs, writes the clean-shutdown marks, then calls cb (on the loop) and is
 * gone. Appends and syncs under way get their callbacks first. */
typedef void (*log_close_cb)(void *owner);
void log_close(struct log *log, log_close_cb cb, void *owner);
/* Closes without writing marks and removes the directory (renamed to *-delete at once, removed by a
 * worker; log_env_sweep removes leftovers at start). Ranges in flight stay readable. */
void log_delete(struct log *log, log_close_cb cb, void *owner);
void log_env_sweep(const struct log_env *env, const char *parent_directory);

int log_configure(struct log *log, const struct log_config *config);
const char *log_directory(const struct log *log);
int64_t log_start_offset(const struct log *log);
int64_t log_end_offset(const struct log *log); /* of the next record; written, maybe not synced */
int64_t log_synced_offset(const struct log *log); /* everything below is on the platter */
int64_t log_size_bytes(const struct log *log);
int32_t log_leader_epoch(const struct log *log); /* latest in the epoch file, -1: none */
/* MR_OK, or the error that turned the log read-only (an fsync that failed: MR_EIO). */
int log_health(const struct log *log);

/* ---- append ---- */

struct log_append;
typedef void (*log_append_cb)(struct log_append *append);

enum log_append_flags {
    LOG_APPEND_KEEP_OFFSETS =
        1,               /* a follower: base offset and epoch are the leader's, must continue */
    LOG_APPEND_SYNC = 2, /* call back only when synced, whatever the policy */
    LOG_APPEND_OVER_LIMIT = 4, /* internal: may exceed the budget (positions, offsets) */
};

struct log_append {
    struct mr_slice batch; /* one valid batch; a reference is taken until cb */
    int32_t leader_epoch;
    int flags;
    log_append_cb cb; /* exactly once, on the loop, never inside log_append. With LOG_FSYNC_ALWAYS
                       * or LOG_APPEND_SYNC after the (group) fsync, else after the write */
    void *owner;
    /* results, valid in cb: */
    int rc; /* 0; MR_EDUPLICATE (with the original offsets); MR_ESEQUENCE; MR_EFENCED;
             * MR_ETOOLARGE; MR_EFULL (disk.limit); MR_ENOSPC; MR_EIO; MR_ECANCELED */
    int64_t base_offset;
    int64_t last_offset;
    int64_t append_time_ms;       /* of LogAppendTime topics; else -1 */
    int64_t wanted_synced_offset; /* private */
    struct mr_link link;          /* private */
    uint8_t header[64];           /* private: the batch's header as it is written */
};

/* Takes the append; offsets are assigned before this returns (rc, base_offset and last_offset are
 * set and log_end_offset has moved when rc is 0), the callback comes later. Returns 0, or a
 * negative code and no callback: only MR_ECANCELED after close, and MR_EAGAIN when the bound of
 * queued bytes is reached (the caller waits for one of its callbacks). */
int log_append(struct log *log, struct log_append *append);

/* ---- sync: "tell me when everything appended so far is on the platter" ---- */

struct log_sync;
typedef void (*log_sync_cb)(struct log_sync *sync);

struct log_sync {
    log_sync_cb cb;
    void *owner;
    int rc;
    int64_t wanted_offset; /* private */
    struct mr_link link;   /* private */
};

/* Joins a running group commit or starts one. Calls back in the next turn if nothing is missing. */
int log_sync(struct log *log, struct log_sync *sync);

/* ---- read ---- */

/* Whole batches of one file. */
struct log_range {
    struct log_file *file; /* a reference: log_range_done */
    int fd;
    int64_t position;     /* in the file */
    int64_t size_bytes;   /* 0: nothing there below the limit */
    int64_t first_offset; /* base offset of the first batch (may be below the one asked for) */
    int64_t next_offset;  /* where the next read goes on */
    int64_t batch_count;  /* -1: not counted */
};

/* Where the last read of one reader ended, so that the next needs no lookup. Zero it before the
 * first use; it holds no reference. */
struct log_cursor {
    uint64_t segment_id;
    int64_t position;
    int64_t offset;
};

/* Finds the range that begins with the batch holding `offset` and ends before `limit_offset` (high
 * watermark, last stable or synced offset), of at most max_bytes, but at least one batch if there
 * is one; max_bytes 0: exactly one batch. A range stays within one segment. Never reads record
 * data; where the index is not cached it may read the disk. cursor may be NULL. MR_ERANGE if offset
 * < start or offset > end. */
int log_read(struct log *log, int64_t offset, int64_t limit_offset, int64_t max_bytes,
             struct log_cursor *cursor, struct log_range *ret_range);
void log_range_done(struct log_range *range);

/* First offset whose timestamp is >= timestamp_ms (Kafka's ListOffsets): *ret_offset -1 if there is
 * none. Reads (and decompresses) at most one batch beyond the index. */
int log_lookup_time(struct log *log, int64_t timestamp_ms, int64_t *ret_offset,
                    int64_t *ret_timestamp_ms);
/* ListOffsets -3: the record with the largest timestamp. */
int log_lookup_max_timestamp(struct log *log, int64_t *ret_offset, int64_t *ret_timestamp_ms);

/* ---- leader epochs (KIP-101, KIP-279) ---- */

/* Appends {epoch, end offset} to the epoch file; epochs only grow. */
int log_begin_epoch(struct log *log, int32_t leader_epoch, struct mr_error *error);
/* Largest epoch <= the asked one and its end offset; -1/-1 if unknown. */
void log_epoch_end(const struct log *log, int32_t epoch, int32_t *ret_epoch,
                   int64_t *ret_end_offset);
int32_t log_epoch_of(const struct log *log, int64_t offset);

/* ---- producers (idempotence) ---- */

struct log_producer {
    int64_t producer_id;
    int16_t epoch;
    int32_t last_sequence;
    int64_t last_offset;
    int64_t last_timestamp_ms; /* append time of its last batch */
};

bool log_producer_get(const struct log *log, int64_t producer_id,
                      struct log_producer *ret_producer);
typedef void (*log_producer_cb)(void *owner, const struct log_producer *producer);
void log_producers_each(const struct log *log, log_producer_cb cb, void *owner);

/* ---- the lower end ---- */

/* Asked before segments below new_start_offset go (retention, budget, DeleteRecords): lets an owner
 * checkpoint what it derives from them. Non-zero keeps them for now. */
typedef int (*log_before_delete_cb)(void *owner, int64_t new_start_offset);
void log_set_before_delete(struct log *log, log_before_delete_cb cb, void *owner);
/* Whole segments that end at or below this offset may be deleted keep_ms after their last append (a
 * local topic whose sinks have all passed it); -1: nobody asks. */
void log_set_passed(struct log *log, int64_t passed_offset, int64_t keep_ms);
/* Applies retention by time, size and passed offset; returns the number of bytes freed. The owner
 * calls it from a timer; a wall clock that jumped since the last call suspends the rules by time.
 */
int64_t log_retain(struct log *log);
/* Deletes the oldest sealed segment whatever the rules (drop_oldest). MR_ENOENT if nothing is left
 * to drop; an active segment that holds anything is rolled first. *ret_new_start is the new start
 * offset. */
int log_drop_oldest(struct log *log, int64_t *ret_new_start);
/* The same, but only if all sinks have passed that segment, however young it is (disk.keep is a
 * wish that ends where room is needed); else MR_ENOENT. */
int log_drop_passed(struct log *log, int64_t *ret_new_start);
/* DeleteRecords: moves the start (kept twice: here and in the checkpoint file of the node). */
int log_delete_before(struct log *log, int64_t offset, struct mr_error *error);
/* Cuts the upper end; ranges in flight keep their bytes. For followers, and for recovery of owners.
 */
int log_truncate(struct log *log, int64_t end_offset, struct mr_error *error);

/* Empties it and lets it go on at `offset` >= end: a follower whose leader starts beyond its end.
 */
int log_restart_at(struct log *log, int64_t offset, struct mr_error *error);

/* ---- looking at it, for `millrace dump`, DescribeLogDirs and tests ---- */

struct log_segment_info {
    int64_t base_offset;
    int64_t next_offset;
    int64_t size_bytes;
    int64_t max_timestamp_ms; /* -1: not known without reading */
    int64_t last_append_ms;
    bool is_active;
};
typedef void (*log_segment_cb)(void *owner, const struct log_segment_info *segment);
void log_segments_each(struct log *log, log_segment_cb cb, void *owner);

#endif
