/* The inside of a log, for queue/log alone. */
#ifndef QUEUE_LOG_INTERNAL_H
#define QUEUE_LOG_INTERNAL_H

#include <pthread.h>
#include <stddef.h>

#include "base/core/clock.h"
#include "base/core/disk.h"
#include "base/core/loop.h"
#include "base/core/map.h"
#include "base/core/metric.h"
#include "base/core/workers.h"
#include "queue/log/log.h"
#include "queue/wire/batch.h"

enum {
    LOG_MAGIC = 0x4c4f4731,
    LOG_PATH_SIZE = 1024,
    LOG_NAME_SIZE = 80,               /* what a file's name may add to the directory's */
    LOG_SCAN_BUFFER_SIZE = 127 << 10, /* for checking; batches may be larger */
    LOG_WALK_BUFFER_SIZE = 1 << 13,   /* for stepping from header to header */
    LOG_FILES_OPEN_MAX = 4,           /* sealed segments that a log keeps open between reads */
    LOG_SYNC_FILES_MAX = 8,           /* one group commit; more segments take another */
    LOG_WRITEBACK_CHUNK = 4 << 20,
    LOG_WRITE_PARTS_MAX = 64,
    LOG_DAMAGE_FILES_MAX = 16,
    LOG_DAMAGE_COPY_MAX = 1 << 20,
    LOG_SNAPSHOTS_KEPT = 3,
    LOG_PRODUCER_BATCHES = 5, /* what Kafka's producers may have in flight */
};

#define LOG_UNFLUSHED_MAX                                                                          \
    (INT64_C(64) << 20) /* not yet handed to write-back: more is congestion                        \
                         */
#define LOG_QUEUED_MAX        (INT64_C(8) << 20)    /* appends waiting for the writer */
#define LOG_SEGMENT_SIZE_MAX  (INT64_C(0x7fffffff)) /* positions in Kafka's index have 31 bits */
#define LOG_LINEAGE_BIT       (INT64_C(1) << 62)
#define LOG_LINEAGE_EXPIRY_MS (INT64_C(30) * 24 * 3600 * 1000)

/* ---- file.c: descriptors that outlive their names ---- */

/* refs are touched on the log's loop only. */
struct log_file {
    struct mr_disk *disk;
    int refs;
    int fd;
};

/* Takes the descriptor; NULL without memory (the descriptor is then still the caller's). */
struct log_file *file_new(struct mr_disk *disk, int fd);
struct log_file *file_ref(struct log_file *file);
void file_unref(struct log_file *file);

/* ---- index.c ---- */

struct index_entry {
    uint32_t offset_delta; /* last offset of the batch, from the segment's base */
    uint32_t position;
};

struct time_entry {
    int64_t timestamp_ms;  /* largest so far */
    uint32_t offset_delta; /* last offset of the batch that has it */
};

struct segment_index {
    struct index_entry *entries;
    struct time_entry *times;
    size_t count;
    size_t capacity;
    size_t time_count;
    size_t time_capacity;
    int64_t bytes_since_entry;
};

void index_done(struct segment_index *index);
void index_clear(struct segment_index *index); /* keeps the memory */
/* Without memory the entry is left out: lookups then walk a little further. */
void index_add(struct segment_index *index, uint32_t offset_delta, uint32_t position);
void index_add_time(struct segment_index *index, int64_t timestamp_ms, uint32_t offset_delta);
/* Number of entries whose offset is <= the delta: the place after the one to start from. */
size_t index_find_offset(const struct segment_index *index, int64_t offset_delta);
size_t index_find_position(const struct segment_index *index, int64_t position);
size_t index_find_time(const struct segment_index *index, int64_t timestamp_ms);
/* MR_ENOENT, MR_ECORRUPT (sizes or order are wrong), or an error of the disk. */
int index_load(struct mr_disk *disk, const char *index_path, const char *time_path,
               int64_t segment_size_bytes, struct segment_index *index);
/* One of the two, without clearing the other. */
int index_load_one(struct mr_disk *disk, const char *path, bool is_time, int64_t segment_size_bytes,
                   struct segment_index *index);
int index_store(struct mr_disk *disk, const char *index_path, const char *time_path,
                const struct segment_index *index);
int64_t index_stored_bytes(const struct segment_index *index);

/* ---- scan.c: from batch to batch through a file ---- */

struct log_damage {
    int64_t position;
    int64_t size_bytes;
};

enum scan_result { SCAN_END, SCAN_BATCH, SCAN_DAMAGE };

struct scan_item {
    struct batch_header header; /* of SCAN_BATCH */
    int64_t position;
    int64_t size_bytes;
};

struct scan {
    struct mr_disk *disk;
    int fd;
    int64_t position;               /* of the next item */
    int64_t end;                    /* the file is looked at up to here */
    int64_t offset;                 /* the next batch begins here, or later where there is a gap */
    int64_t offset_limit;           /* and its next offset is at most this */
    int64_t check_from;             /* from this position on checksums are compared */
    bool is_offset_exact;           /* false: `offset` is a lower bound, for the next batch alone */
    bool gaps;                      /* a gap before the last batch is believed */
    const struct log_damage *known; /* damage to be stepped over; sorted */
    size_t known_count;
    uint8_t *buffer;
    size_t buffer_size;
    int64_t window_position;
    int64_t window_size;
};

/* The buffer is the caller's, and of at least BATCH_HEADER_SIZE. Set the fields from `position` on
 * after this. */
void scan_init(struct scan *scan, struct mr_disk *disk, int fd, void *buffer, size_t buffer_size);
/* A value of scan_result, or the disk's error. Damage that ends at scan->end is what a torn write
 * leaves. */
int scan_next(struct scan *scan, struct scan_item *ret_item);

/* ---- segment.c ---- */

struct segment {
    struct log *log;
    struct mr_link open_link; /* in the log's open_segments, unless active */
    struct mr_link file_link; /* in the node's open files */
    uint64_t id;
    int64_t base_offset;
    int64_t next_offset; /* behind its last record; of a sealed segment never beyond the next one's
                            base */
    int64_t size_bytes;
    int64_t index_bytes; /* of its stored indexes, as counted in the budget */
    int64_t max_timestamp_ms;
    int64_t max_timestamp_offset;
    bool is_timestamp_known;
    bool is_index_loaded;
    bool is_tail_dirty; /* a failed write may have left bytes behind size_bytes */
    int64_t first_append_ms;
    int64_t last_append_ms;
    /* What a reader may be given without comparing checksums: bytes that were written or checked in
     * this life. Two ranges: from trusted_from to the end, and what the last reader has had
     * checked. */
    int64_t trusted_from;
    int64_t checked_from;
    int64_t checked_to;
    struct log_damage *damages; /* found so far; sorted */
    size_t damage_count;
    size_t damage_capacity;
    struct log_file *file; /* NULL: not open */
    struct segment_index index;
};

typedef int (*segment_batch_cb)(void *owner, const struct batch_header *header);

int segment_new(struct log *log, int64_t base_offset, struct segment **ret_segment);
void segment_free(struct segment *segment);
/* Makes the file; MR_EEXIST if there is one. The directory is to be synced by the caller. */
int segment_create(struct log *log, int64_t base_offset, struct segment **ret_segment,
                   struct mr_error *error);
/* The open file, opened if it was not; borrowed. Others may be closed to keep their number bounded.
 */
int segment_file(struct segment *segment, struct log_file **ret_file);
/* Gives up the descriptor, not the index; the next use opens it again. */
void segment_rest(struct segment *segment);
int segment_index_need(struct segment *segment);
/* Makes the indexes anew from the file, and compares all checksums on the way. */
int segment_index_make(struct segment *segment);
/* A batch stands at `position`: indexes, timestamps, next offset, size. */
void segment_note(struct segment *segment, const struct batch_header *header, int64_t position);
/* Reads the whole file, compares checksums, makes the index anew and sets size and next offset to
 * what is there. Damage in the middle is set aside; *ret_tail_bytes is what at the end is no batch.
 * The first damage that hides offsets at or above hole_limit ends what is there: all behind it
 * counts as tail (INT64_MAX: none does). */
int segment_rebuild(struct segment *segment, int64_t file_size, int64_t hole_limit,
                    int64_t *ret_tail_bytes);
/* The batches from `offset` on, by headers; what cb returns other than 0 ends the walk. */
int segment_each(struct segment *segment, int64_t offset, segment_batch_cb cb, void *owner);
/* Remembers damage, copies it aside, counts it. */
void segment_damaged(struct segment *segment, int64_t position, int64_t size_bytes);
int segment_store_index(struct segment *segment);
/* Cuts what a failed write has left. */
int segment_clean_tail(struct segment *segment);
void segment_scan_init(struct segment *segment, struct scan *scan, struct log_file *file,
                       void *buffer, size_t buffer_size);
/* The same with a buffer for checking, that is to be freed. */
int segment_scan_open(struct segment *segment, struct scan *scan, uint8_t **ret_buffer);

/* ---- producer.c ---- */

struct producer_batch {
    int32_t last_sequence;
    int32_t offset_delta;
    int64_t last_offset;
    int64_t timestamp_ms; /* of the batch, as Kafka writes it into the snapshot */
};

struct producer {
    struct mr_link age_link; /* oldest append first */
    int64_t id;
    int64_t last_append_ms;
    int64_t transaction_first_offset; /* -1: none is open */
    int32_t coordinator_epoch;
    int16_t epoch;
    uint8_t batch_count;                                 /* 0 after a marker alone */
    struct producer_batch batches[LOG_PRODUCER_BATCHES]; /* newest last */
};

struct producers {
    struct mr_map by_id;
    struct mr_link clients;  /* by age */
    struct mr_link lineages; /* by age */
    int count_max;
};

void producers_init(struct producers *producers, int count_max);
void producers_done(struct producers *producers);
void producers_clear(struct producers *producers);
/* 0 fine; MR_EDUPLICATE with the original's offsets; MR_ESEQUENCE; MR_EFENCED. Changes nothing. */
int producers_check(const struct producers *producers, const struct batch_header *header,
                    int64_t *ret_base_offset, int64_t *ret_last_offset);
/* After the batch was written (or found). 0 or MR_ENOMEM. marker_type and coordinator epoch are
 * read from control batches by the caller; a batch without producer id changes nothing. */
int producers_note(struct producers *producers, const struct batch_header *header,
                   int64_t append_ms);
/* Makes room so that producers_note cannot fail for want of memory. */
int producers_reserve(struct producers *producers, const struct batch_header *header);
void producers_expire(struct producers *producers, int64_t now_ms, int64_t expiry_ms);
/* Kafka's snapshot, version 1, with the older remembered batches behind it (see README). */
int producers_store(const struct producers *producers, struct mr_disk *disk, const char *path);
int producers_load(struct producers *producers, struct mr_disk *disk, const char *path);

/* ---- epochs.c ---- */

struct epoch_entry {
    int32_t epoch;
    int64_t start_offset;
};

struct epochs {
    struct epoch_entry *entries;
    size_t count;
    size_t capacity;
};

void epochs_done(struct epochs *epochs);
/* 1 if it is news, 0 if not, MR_EFENCED below the latest, MR_ENOMEM. */
int epochs_add(struct epochs *epochs, int32_t epoch, int64_t start_offset);
bool epochs_cut_end(struct epochs *epochs, int64_t end_offset);     /* true: changed */
bool epochs_cut_start(struct epochs *epochs, int64_t start_offset); /* true: changed */
int epochs_store(const struct epochs *epochs, struct mr_disk *disk, const char *path,
                 struct mr_error *error);
int epochs_load(struct epochs *epochs, struct mr_disk *disk, const char *path);

/* ---- checkpoint.c ---- */

struct checkpoint_segment {
    int64_t base_offset;
    int64_t next_offset;
    int64_t size_bytes;
    int64_t index_bytes;
    int64_t max_timestamp_ms;
    int64_t max_timestamp_offset;
    int64_t first_append_ms;
    int64_t last_append_ms;
};

enum checkpoint_flags {
    CHECKPOINT_CLEAN = 1, /* closed in good order: the recovery point is the end */
    CHECKPOINT_GAPS = 2,  /* offsets of this log need not be contiguous */
};

struct checkpoint {
    uint64_t generation;
    uint32_t flags;
    int64_t start_offset;
    int64_t recovery_offset; /* everything below is on the platter, and checked */
    int64_t written_ms;
    struct mr_uuid boot_id;              /* the run of the system that wrote it; zero: not known */
    struct checkpoint_segment *segments; /* sealed ones, and the active one last */
    size_t segment_count;
};

/* The newer of two files that is whole; MR_ENOENT if none is. */
int checkpoint_load(struct mr_disk *disk, const char *directory, struct checkpoint *ret_checkpoint,
                    int *ret_damaged);
int checkpoint_read(struct mr_disk *disk, const char *path, struct checkpoint *ret_checkpoint);
void checkpoint_done(struct checkpoint *checkpoint);
/* The bytes of one, for the writer; NULL without memory. */
struct mr_buf *checkpoint_encode(const struct checkpoint *checkpoint);
/* Into the slot of its generation. Any thread. */
int checkpoint_store(struct mr_disk *disk, const char *directory, uint64_t generation,
                     const struct mr_buf *bytes, bool is_synced);
/* What stands in the slot of this generation is durable after it; 0 too if nothing does. */
int checkpoint_sync(struct mr_disk *disk, const char *directory, uint64_t generation);

/* ---- the log ---- */

enum log_state {
    LOG_OPEN,
    LOG_DRAINING, /* closing: appends and syncs under way */
    LOG_SYNCING,  /* closing: the last group commit */
    LOG_CLOSED,   /* the callback is due */
};

struct log {
    uint32_t magic;
    const struct log_env *env;
    struct mr_disk *disk;
    struct log_config config;
    char *directory;
    int state; /* enum log_state */
    bool is_deleting;
    bool gaps;  /* offsets need not be contiguous: a follower of a compacted log */
    int health; /* MR_OK, or why it takes no more appends */

    struct segment **segments; /* by base offset; the last one is active; never empty */
    size_t segment_count;
    size_t segment_capacity;
    uint64_t segment_id_last;
    struct mr_link open_segments; /* sealed, most recently used last */
    int open_count;

    int64_t start_offset;
    int64_t end_offset;  /* written */
    int64_t next_offset; /* given out; beyond end_offset while the writer has work */
    int64_t sealed_bytes;
    struct epochs epochs;
    struct producers producers;

    /* append.c */
    struct mr_link queued;   /* wait for the writer */
    struct mr_link writing;  /* the writer's */
    struct mr_link unsynced; /* written, wait for a group commit */
    struct mr_link finished; /* callbacks due in the next turn */
    int64_t queued_bytes;
    struct mr_work write_work;
    struct log_file *write_file;
    int64_t write_position;
    int write_rc;
    int write_done_count;
    bool is_writing;
    bool is_probing; /* the last queued write failed: the next one is tried inline */
    int64_t unflushed_bytes;
    int64_t flush_position; /* of the active segment */
    struct mr_work flush_work;
    struct log_file *flush_file;
    int64_t flush_from;
    int64_t flush_size;
    bool is_flushing;

    /* sync.c */
    struct mr_link syncs;          /* wait for a group commit */
    struct mr_link syncs_finished; /* callbacks due in the next turn */
    struct mr_timer sync_timer;
    struct mr_work sync_work;
    struct log_file *sync_files[LOG_SYNC_FILES_MAX];
    int sync_file_count;
    int64_t sync_target;
    uint64_t sync_segment_id;
    int64_t sync_position;
    int64_t sync_started_us;
    struct mr_buf *sync_checkpoint; /* written when the fsyncs are done */
    uint64_t sync_checkpoint_generation;
    int64_t sync_checkpoint_start; /* the start offset in it */
    bool is_other_slot_unsynced;
    bool sync_directory;
    int sync_rc;
    int sync_directory_rc;
    int sync_checkpoint_rc;
    bool is_syncing;
    bool is_sync_wanted;
    bool is_directory_dirty;  /* a name was made or removed since the last directory fsync */
    bool is_checkpoint_dirty; /* segments were sealed since the last checkpoint */
    int64_t synced_offset;
    uint64_t synced_segment_id; /* where synced_offset stands; 0: not known */
    int64_t synced_position;
    uint64_t checkpoint_generation;
    uint64_t checkpoint_durable;      /* the newest one that a power loss leaves; 0: not known */
    int64_t checkpoint_us;            /* when the last group commit wrote one; monotonic */
    int64_t checkpoint_limit;         /* what it says is synced or deleted */
    bool is_boot_recorded;            /* a checkpoint has this run of the system */
    uint64_t checkpoint_written;      /* by the loop, under the mutex: nothing older goes over it */
    pthread_mutex_t checkpoint_mutex; /* a slot is written by the loop or by the commit's worker */

    struct mr_task turn; /* starts commits, calls back */

    /* retain.c */
    log_before_delete_cb before_delete;
    void *before_delete_owner;
    int64_t passed_offset;
    int64_t passed_keep_ms;
    int64_t rest_end_offset; /* the end at the last call: a log that stands still is let go of */
    struct mr_clock_trust clock_trust;

    log_close_cb close_cb;
    void *close_owner;
    int damage_files;
    struct mr_metric_set *metrics;
};

/* log.c */
void log_path(const struct log *log, int64_t base_offset, const char *suffix,
              char path[LOG_PATH_SIZE]);
void log_named_path(const struct log *log, const char *name, char path[LOG_PATH_SIZE]);
struct segment *log_active(const struct log *log);
int log_add_segment(struct log *log, struct segment *segment);
/* Place of the last segment with base_offset <= offset, 0 if there is none. */
size_t log_find_segment(const struct log *log, int64_t offset);
int log_roll(struct log *log);
/* An empty segment at `offset`, beyond all that there is. */
int log_jump(struct log *log, int64_t offset);
struct mr_buf *log_checkpoint_bytes(struct log *log, int64_t recovery_offset, bool is_clean);
void log_checkpoint_is_durable(struct log *log, uint64_t generation, int64_t recovery_offset,
                               int64_t start_offset);
/* Both slots, synced: where an older one that came back would lie. */
int log_checkpoint_now(struct log *log, int64_t recovery_offset, bool is_clean);
/* One slot, not synced: where what is lost with it can be had from the segments. Never over the
 * newest durable one: a power loss must leave one that says what was synced. */
int log_checkpoint_soft(struct log *log, int64_t recovery_offset, bool is_clean);
/* The first of a new log, synced; its name is durable when the directory is. */
int log_checkpoint_first(struct log *log);
/* The last segment: file and all. */
int log_remove_last(struct log *log);
void log_close_step(struct log *log);
void log_count(struct log *log, int metric, int64_t amount);

/* append.c */
void append_finish(struct log *log, struct log_append *append, int rc);
void append_step(struct log *log); /* gives the writer what waits */
void append_synced(struct log *log);
void append_fail_waiting(struct log *log, int rc);
void log_turn(struct log *log); /* one turn's callbacks will be made */

/* sync.c */
void sync_init(struct log *log);
void sync_step(struct log *log);
void sync_want(struct log *log);  /* a group commit begins in the next turn */
void sync_dirty(struct log *log); /* something was written: as the policy says */
void sync_cut(struct log *log);   /* after a truncation */

/* recover.c */
int log_recover(struct log *log, const struct mr_uuid *topic_id, struct mr_error *error);
int producers_rebuild(struct log *log);

/* read.c */
/* Compares checksums from a batch that begins at `from` with base offset `offset` (or later) up to
 * `to`, where that was not done yet. *ret_to and *ret_next_offset: where the last whole batch ends.
 */
int segment_verify(struct segment *segment, int64_t from, int64_t offset, int64_t to,
                   int64_t *ret_to, int64_t *ret_next_offset);
/* The first intact batch that ends at or behind `offset`; SCAN_BATCH, SCAN_END or an error. */
int segment_seek(struct segment *segment, int64_t offset, struct scan_item *ret_item);

/* retain.c */
bool budget_reserve(struct log *log, int64_t bytes, bool is_forced);
void budget_release(struct log *log, int64_t bytes); /* what was reserved and not used */
void budget_free(struct log *log, int64_t bytes);    /* room came back: says so to who waits */
bool log_new_segment_is_safe(struct log *log);
void log_remove_segments(struct log *log, size_t count); /* the first ones: files and all */
/* Unlinks a segment's files in a worker; frees the segment. */
void segment_discard(struct segment *segment);

/* metrics.c */
enum log_total {
    LOG_TOTAL_BYTES,
    LOG_TOTAL_BATCHES,
    LOG_TOTAL_RECORDS,
    LOG_TOTAL_FSYNCS,
    LOG_TOTAL_FSYNC_US,
    LOG_TOTAL_DAMAGED_BYTES,
    LOG_TOTAL_TAILS_CUT,
    LOG_TOTAL_SEGMENTS,
    LOG_TOTAL_ROLLS,
    LOG_TOTAL_DELETED_SEGMENTS,
    LOG_TOTAL_REFUSED,
    LOG_TOTAL_COUNT
};

void log_metrics_open(struct log *log);

#endif
