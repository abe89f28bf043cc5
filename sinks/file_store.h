/* The open files of a file sink: lines are gathered, written, made durable, and taken back when a
 * write fails. One thread at a time; every call may block on the disk.
 *
 *     file_store_begin(store, now);              // a job: several writes, one fsync per file
 *       for each write:
 *         lines = file_store_lines(store, path, &rc, error)   ... append whole lines to it ...
 *         rc = file_store_end_write(store, error)    // or file_store_undo_write(store)
 *     rc = file_store_sync(store, error);        // now, and not earlier, they may be answered
 *
 * On disk: text lines, or whole compressed frames (gzip members, LZ4 or zstd frames, which all
 * tools read one after another). A crash can leave behind a torn last line or frame and nothing
 * else; it is cut off when the file is next opened for writing, so no torn line ever stands in the
 * middle. A torn frame never holds anything that was answered with fsync on. */
#ifndef SINKS_FILE_STORE_H
#define SINKS_FILE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/codec/codec.h"

struct mr_bytes;
struct mr_disk;
struct mr_error;
struct file_store;

struct file_store_config {
    struct mr_disk *disk;
    enum mr_codec codec;
    int64_t rotate_size_bytes; /* 0: never */
    int64_t rotate_age_ms;     /* 0: never */
    int64_t open_files_max;
    bool is_synced; /* fsync before file_store_sync returns */
};

struct file_store_counts {
    int64_t open_files;
    int64_t rotations;
    int64_t cut_bytes; /* of torn lines and frames */
};

int file_store_new(const struct file_store_config *config, struct file_store **ret_store);
/* Closes all files; what was not ended is not written. NULL is fine. */
void file_store_free(struct file_store *store);

/* wall_ms: for the age of files and the names of rotated ones. */
void file_store_begin(struct file_store *store, int64_t wall_ms);
/* Where the lines for `path` are gathered, good until the next call with another path. The file is
 * opened, with its directories, and rotated if it is due. NULL: see *ret_rc and error. */
struct mr_bytes *file_store_lines(struct file_store *store, const char *path, int *ret_rc,
                                  struct mr_error *error);
/* Hands the gathered lines to the kernel. When it fails, what this write has put into files is
 * taken back (best effort: what cannot be is repeated later). */
int file_store_end_write(struct file_store *store, struct mr_error *error);
void file_store_undo_write(struct file_store *store);
/* When it fails, no write since file_store_begin counts. */
int file_store_sync(struct file_store *store, struct mr_error *error);

struct file_store_counts file_store_counts(const struct file_store *store);
/* ".gz", ".lz4", ".zst", or "". */
const char *file_store_ending(enum mr_codec codec);

#endif
