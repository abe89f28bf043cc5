/* The inside of the file source, for this room alone.
 *
 *     file.c      the plugin: start and end, whose turn it is, offering
 *     options.c   what it can be told, and what it counts
 *     find.c      paths -> files: which file is new, moved, copied, gone
 *     tails.c     the files that are known
 *     watch.c     inotify and the walks over the directories
 *     reader.c    one file: read, split, hand over; truncation and end
 *     pool.c      memory for bytes and spans, bounded
 *
 * Everything lives on the source's loop, except what runs in walk_run and in the readers' loads. */
#ifndef SOURCES_FILE_FILE_INTERNAL_H
#define SOURCES_FILE_FILE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sources/file/identity.h"
#include "sources/file/joiner.h"
#include "sources/file/lines.h"
#include "sources/file/position.h"
#include "sources/file/walk.h"
#include "sources/source.h"

#include "base/core/buffer.h"
#include "base/core/list.h"
#include "base/core/loop.h"
#include "base/core/map.h"
#include "base/core/metric.h"
#include "base/core/option.h"
#include "base/core/state.h"
#include "base/core/workers.h"

struct gzip_file;
struct joiner;

enum file_format { FORMAT_PLAIN, FORMAT_CRI, FORMAT_DOCKER };
enum file_start { START_BEGINNING, START_END };
enum file_watch { WATCH_AUTO, WATCH_POLL };

struct multiline_options {
    const char *start;
    const char *proceed; /* option `continue` */
    int64_t timeout_ms;
    int64_t lines_max;
    int64_t size_bytes_max;
};

struct file_options {
    struct mr_string_list paths;
    struct mr_string_list exclude;
    int start_at;
    int64_t ignore_older_ms;
    int format;
    struct multiline_options multiline;
    int64_t line_size_bytes_max;
    bool strip_cr;
    bool gzip;
    int64_t partial_timeout_ms;
    int watch;
    int64_t scan_interval_ms;
    int64_t open_files_max;
    int64_t close_idle_ms;
    int64_t rotated_wait_ms;
    int64_t deleted_age_ms_max;
    int64_t deleted_files_max;
    int64_t memory_bytes;
};

enum file_metric {
    FILE_READ_BYTES,
    FILE_LINES,
    FILE_EVENTS,
    FILE_WATCHED,
    FILE_OPEN,
    FILE_DELETED_OPEN,
    FILE_DELETED_OPEN_BYTES,
    FILE_BEHIND_BYTES,
    FILE_ROTATIONS,
    FILE_TRUNCATIONS,
    FILE_COPIES,
    FILE_SCANS,
    FILE_OVERFLOWS,
    FILE_UNREADABLE,
    FILE_CUT_LINES,
    FILE_PARTIAL_EVENTS,
    FILE_MALFORMED_LINES,
    FILE_METRIC_COUNT
};

/* options.c */
extern const struct mr_option file_options[];
extern const struct mr_metric_def file_metrics[FILE_METRIC_COUNT];
/* What no single option shows. MR_ECONFIG with words. */
int file_options_check(const void *raw, struct mr_error *error);

/* ---- one file ---- */

/*      +--> READY <--> LOADING
 *      |     ^  |
 *   HELD     |  v
 *           IDLE ----> WAITING (truncated; the copy of its old content is read first) --> READY
 *   any -> MISSING (not on the disk, as far as is known) -> READY when it is found again, or freed
 *
 * HELD looks like a copy of another file that may be truncated in a moment (copytruncate); it is
 * read on from that file's position then, or from the start when nothing happens. */
enum tail_state {
    TAIL_IDLE,
    TAIL_READY,
    TAIL_LOADING,
    TAIL_HELD,
    TAIL_WAITING,
    TAIL_MISSING,
    TAIL_STATE_COUNT
};

struct tail {
    struct mr_link all_link;
    struct mr_link queue_link; /* ready or held */
    struct mr_link open_link;  /* while fd >= 0: the longest unused first */
    struct mr_link lost_link;  /* while detached: polled at each tick */
    struct mr_link gone_link;  /* while missing */
    struct mr_link flush_link; /* while flush_at_ms is set */
    struct file_source *fs;
    struct tail *inode_next; /* others with this inode number */
    struct tail *head_next;  /* others with this head */
    struct mr_machine machine;
    uint8_t key[FILE_KEY_SIZE];
    struct position position; /* after the last block that was handed to the host */
    char *origin;             /* the path under which it was matched first */
    char *path;               /* where it is now; may be `origin` itself; NULL: nowhere known */
    struct source_stream *stream;
    struct joiner *joiner;  /* pending events; NULL: none, or to be rebuilt from the position */
    struct gzip_file *gzip; /* while a compressed file is read */
    struct tail *model;     /* HELD: the file that this may be a copy of; WAITING: its copy */
    size_t model_uses;      /* how many tails have this one as their model */
    int64_t size_bytes;     /* as last seen on the open handle; -1: unknown */
    int64_t changed_ms;     /* monotonic, when it last grew or moved */
    int64_t flush_at_ms;    /* 0: nothing to flush */
    int64_t read_wall_ms;   /* 0: never in this run */
    int fd;
    int under_way;    /* blocks that are not acked */
    int error_code;   /* of the last try to read */
    bool is_indexed;  /* in the index of heads */
    bool in_glob;     /* its path is one that is meant */
    bool is_detached; /* its path is another file's now, or no one's: rotated or deleted */
    bool is_deleted;
    bool is_found;    /* not known, and there at the first walk */
    bool is_restored; /* known from the positions, not yet seen in this run */
    bool is_dirty;    /* changed while it was being looked at */
    bool is_gzip;
    bool is_finished;    /* detached, and what was unfinished at its end has been delivered */
    bool is_copy;        /* found as the copy of a truncated file */
    bool start_at_end;   /* there before the first start, and those are not read */
    bool is_released;    /* no copy, or no longer taken for one */
    bool has_looked;     /* for files between this one and its predecessor */
    bool is_kept;        /* the host has a position of it, or will have */
    bool was_polled;     /* by a tick, since it last changed */
    uint32_t seen_walk;  /* the last walk that saw it */
    uint32_t admission;  /* which new file of this run it is, from 1; 0: known before */
    int64_t content_us;  /* when its content changed last, as last seen */
    int64_t modified_us; /* as that walk saw it */
};

static inline int tail_state(const struct tail *tail)
{
    return tail->machine.state;
}

/* ---- memory for bytes and spans ---- */

enum {
    BLOCK_SPANS_MAX = 4096,
    MARKS_MAX = 1024, /* spans of a block with joined events */
    CHUNK_SIZE_MIN = 256 * 1024,
};

/* Bytes as read; in front of buf.data is room for the tail that the read checks again. */
struct chunk {
    struct mr_buf buf;
    struct mr_link link;
    struct pool *pool;
    int users; /* blocks and readers on the loop */
    uint8_t memory[];
};

/* What a position behind a joined event has of its own. */
struct mark {
    int64_t offset;
    uint64_t head_hash;
    uint64_t tail_hash;
    struct lane_position lanes[LANES];
    uint16_t head_size;
    uint16_t tail_size;
    bool in_long;
};

struct block {
    struct source_block base;
    struct mr_link link; /* free, or parked */
    struct tail *tail;
    struct chunk *chunk;   /* NULL: only a position */
    struct position after; /* the last span */
    bool is_marked;
    uint32_t end;       /* not marked: where in the chunk `after` is */
    uint16_t head_size; /* the head before the block */
    uint64_t head_hash;
    uint32_t inherited; /* before the block */
    struct source_span spans[BLOCK_SPANS_MAX];
    struct mark marks[]; /* MARKS_MAX, where events are joined */
};

struct pool {
    size_t chunk_size_bytes; /* of usable bytes */
    size_t block_size_bytes;
    size_t limit_bytes;
    size_t used_bytes;
    struct mr_link free_chunks;
    struct mr_link free_blocks;
    struct mr_buf *empty;
};

int pool_init(struct pool *pool, size_t chunk_size_bytes, bool has_marks, size_t limit_bytes);
void pool_done(struct pool *pool);
/* NULL: the bound is reached (an ack will bring room), or no memory. `beyond`: one more than the
 * bound allows, for an event that must go somewhere. */
struct chunk *pool_chunk(struct pool *pool, bool beyond);
void pool_chunk_release(struct pool *pool, struct chunk *chunk);
/* With another use of the chunk, which may be NULL. */
struct block *pool_block(struct pool *pool, struct chunk *chunk, bool beyond);
void pool_block_release(struct pool *pool, struct block *block);
/* Gives back to the heap what is not used. */
void pool_trim(struct pool *pool);

/* ---- the source ---- */

struct watcher; /* watch.c */

struct file_source {
    struct source base;
    const struct file_options *options;
    struct source_host *host;
    struct mr_disk *disk;
    struct path_set paths;
    struct joiner_rules rules;
    struct pool pool;
    struct mr_metric_set *metrics; /* NULL: none */
    int64_t *counts;               /* its values, or own_counts */
    int64_t own_counts[FILE_METRIC_COUNT];

    struct mr_map by_path;     /* text -> tail */
    struct mr_map by_inode;    /* u64 -> first tail */
    struct mr_map by_head;     /* head -> first tail */
    struct mr_map aliases;     /* target of a symbolic link -> path (char *) */
    struct mr_map descendants; /* where a matched file was moved to -> its first path (char *) */
    uint32_t head_sizes[HEAD_SIZE_MAX + 1]; /* how many indexed heads have this size */
    struct mr_link all;
    struct mr_link ready;
    struct mr_link urgent; /* rotated files with something to read, the oldest first */
    struct mr_link held;
    struct mr_link open; /* tails with a handle, the longest unused first */
    struct mr_link lost;
    struct mr_link deleted; /* missing for good, in the order in which they went */
    struct mr_link missing; /* the others that are */
    struct mr_link flushing;
    struct mr_link parked; /* blocks that the host did not take */
    int64_t open_count;
    int64_t deleted_count; /* in `deleted` */
    int64_t missing_count; /* in `missing` */
    int64_t present_max;   /* files that were there at a time */

    struct watcher *watcher;
    struct mr_task turn_task;
    struct mr_timer tick_timer;
    struct mr_timer flush_timer;
    bool is_blocked; /* until resume() */
    bool is_starved; /* no memory for a chunk: until an ack */
    bool is_first_start;
    bool has_started; /* the first walk has been applied */
    bool is_closing;
    uint32_t walk_count;
    uint32_t admissions; /* new files so far */
    int loads;           /* reads under way on workers */
    int under_way;       /* blocks at the host */
    struct mr_task closed_task;
    source_close_cb closed;
    void *closed_owner;
};

/* file.c */
void file_wake(struct file_source *fs);         /* a turn soon */
void file_ready(struct tail *tail, bool first); /* into the queue */
void file_tick_soon(struct file_source *fs);    /* there is something to poll */
void file_offer(struct file_source *fs, struct block *block);
/* Hands over a position alone. 0 or MR_ENOMEM. */
int file_offer_position(struct tail *tail);
void file_flush_at(struct tail *tail, int64_t delay_ms); /* -1: not */
void file_check_closed(struct file_source *fs);

/* reader.c */
enum reader_result {
    READER_MORE,    /* there is more: again after the others */
    READER_IDLE,    /* all that is there was taken, or it cannot be read now */
    READER_LOADING, /* a worker reads; reader_loaded goes on */
    READER_STARVED, /* no memory: again after an ack */
    READER_CHANGED, /* truncated or rewritten */
    READER_HELD,    /* looks like a copy: not yet */
};
enum reader_result reader_turn(struct tail *tail);
/* In file.c: what follows from a turn, also one that ended on a worker. */
void reader_turned(struct tail *tail, enum reader_result result);
/* Delivers what is unfinished at the end of a file that will not grow. Needs state IDLE and all
 * read. READER_IDLE: done. */
enum reader_result reader_finish(struct tail *tail);
/* Delivers pending events after their time-out. */
enum reader_result reader_flush(struct tail *tail);
int reader_open(struct tail *tail);
void reader_close(struct tail *tail);
int64_t reader_behind(const struct tail *tail);

/* find.c */
void find_restore(struct file_source *fs);
/* Something happened at a path, or a walk has seen it. */
/* With `origin`, the file there counts even outside of the globs: it was moved from that path. */
void find_check_path(struct file_source *fs, const char *path, const char *origin);
void find_apply_walk(struct file_source *fs, struct walk *walk);
void find_tick(struct file_source *fs);
void find_detach(struct tail *tail);

/* tails.c */
void find_index_head(struct tail *tail);
void find_unindex_head(struct tail *tail);
void find_free_all(struct file_source *fs);

/* inherit.c */
/* After find_restore: what was taken over is no longer pending in the file before. */
void inherit_restore(struct file_source *fs);

/* copy.c */
/* The content of a file was replaced: what was not read of the old one may be in a copy. */
void copy_changed(struct tail *tail);
/* Before the first byte: whether it must wait, since it looks like the copy of another. */
bool copy_must_wait(struct tail *tail);
/* The copy is read to its end: the truncated file goes on. */
void copy_drained(struct tail *heir);

/* watch.c */
int watch_open(struct file_source *fs, struct mr_error *error);
void watch_stop(struct file_source *fs);  /* nothing new begins */
void watch_close(struct file_source *fs); /* and all is freed; not while it is busy */
bool watch_is_busy(const struct file_source *fs);
/* A walk over everything, soon. */
void watch_rescan(struct file_source *fs);
/* Whether changes of a file at this path are told by events. */
bool watch_covers(const struct file_source *fs, const char *path);

#endif
