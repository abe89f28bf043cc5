#include "sinks/file_store.h"

#include <stdio.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/list.h"
#include "base/core/logger.h"
#include "base/core/map.h"
#include "base/core/memory.h"
#include "base/text/time.h"
#include "sinks/file_tail.h"

enum {
    FRAME_BYTES_MAX = 4 << 20, /* of lines: then they are written before the write ends */
    IDLE_MS_MAX = 60000,
    ROTATED_NAMES_MAX = 10000, /* of one second */
    HOT_FILES_MAX = 8,         /* with more files open, large buffers are not kept */
    KEPT_BYTES_MAX = 256 << 10,
};

struct open_file {
    struct mr_link link; /* least recently used first */
    char *path;
    int fd;
    uint64_t device;
    uint64_t inode;
    int64_t size_bytes;      /* whole lines or frames */
    int64_t job_start_bytes; /* its size when the job first touched it */
    int64_t write_start_bytes;
    uint64_t job; /* the last one that touched it */
    uint64_t write;
    int64_t born_ms;
    int64_t used_ms;
    bool is_dirty;  /* has bytes that were not fsynced */
    bool is_broken; /* its end is unknown: closed, and looked at when it is next opened */
    struct mr_bytes lines;
};

struct file_store {
    struct file_store_config config;
    struct mr_link files;
    struct mr_map by_path;
    struct mr_codec_context *codecs;
    struct mr_bytes frame;
    struct open_file *last; /* that lines were asked of in this write */
    int64_t wall_ms;
    uint64_t job;
    uint64_t write;
    int sync_rc; /* of a file that had to be closed before its job's end */
    struct file_store_counts counts;
};

static struct open_file *file_of(struct mr_link *link)
{
    return mr_container(link, struct open_file, link);
}

const char *file_store_ending(enum mr_codec codec)
{
    switch (codec) {
    case MR_CODEC_GZIP:
        return ".gz";
    case MR_CODEC_LZ4:
        return ".lz4";
    case MR_CODEC_ZSTD:
        return ".zst";
    default:
        return "";
    }
}

int file_store_new(const struct file_store_config *config, struct file_store **ret_store)
{
    struct file_store *store = mr_calloc(1, sizeof *store);

    if (store == NULL || mr_codec_context_new(&store->codecs) != 0) {
        mr_free(store);
        return MR_ENOMEM;
    }
    store->config = *config;
    mr_list_init(&store->files);
    mr_map_init(&store->by_path);
    mr_bytes_init(&store->frame);
    *ret_store = store;
    return 0;
}

/* Forgets a file; what it has gathered is gone, what it has written stays. */
static void file_close(struct file_store *store, struct open_file *file)
{
    if (store->last == file) {
        store->last = NULL;
    }
    if (mr_link_is_linked(&file->link)) {
        mr_list_remove(&file->link);
        (void)mr_map_remove_text(&store->by_path, file->path);
        store->counts.open_files--;
    }
    mr_disk_close(store->config.disk, file->fd);
    mr_bytes_done(&file->lines);
    mr_free(file->path);
    mr_free(file);
}

void file_store_free(struct file_store *store)
{
    if (store == NULL) {
        return;
    }
    mr_list_each(&store->files, link, next)
    {
        file_close(store, file_of(link));
    }
    mr_map_done(&store->by_path);
    mr_codec_context_free(store->codecs);
    mr_bytes_done(&store->frame);
    mr_free(store);
}

/* ---- directories and names ---- */

/* "/a/b/c" -> "/a/b"; "c" -> "."; the caller's, NULL without memory. */
static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return mr_strdup(".");
    }
    return slash == path ? mr_strdup("/") : mr_strndup(path, (size_t)(slash - path));
}

static int sync_directory(struct file_store *store, const char *path, struct mr_error *error)
{
    char *directory = directory_of(path);
    int rc = directory == NULL ? MR_ENOMEM : mr_disk_fsync_directory(store->config.disk, directory);

    mr_free(directory);
    return rc == 0 ? 0 : mr_fail(error, rc, "sync the directory of %s", path);
}

static int make_directory(struct file_store *store, const char *path, struct mr_error *error)
{
    char *directory = directory_of(path);
    int rc = directory == NULL
                 ? mr_fail(error, MR_ENOMEM, "open %s", path)
                 : mr_disk_make_directories(store->config.disk, directory, 0750, error);

    mr_free(directory);
    return rc;
}

/* app.log -> app.log.20250101T000000Z, app.log.zst -> app.log.20250101T000000Z.zst; the first name
 * that is free. */
static int rotated_name(struct file_store *store, const char *path, char **ret_name)
{
    const char *ending = file_store_ending(store->config.codec);
    size_t size = strlen(path) - strlen(ending); /* the ending is always there */
    struct mr_disk_stat stat;
    struct mr_civil civil;

    mr_civil_from_us(store->wall_ms * 1000, &civil);
    for (int i = 0; i < ROTATED_NAMES_MAX; i++) {
        char number[16] = "";
        if (i > 0) {
            (void)snprintf(number, sizeof number, "-%d", i);
        }
        char *name = mr_asprintf("%.*s.%04d%02d%02dT%02d%02d%02dZ%s%s", (int)size, path, civil.year,
                                 civil.month, civil.day, civil.hour, civil.minute, civil.second,
                                 number, ending);
        if (name == NULL) {
            return MR_ENOMEM;
        }
        int rc = mr_disk_lstat(store->config.disk, name, &stat);
        if (rc == MR_ENOENT) {
            *ret_name = name;
            return 0;
        }
        mr_free(name);
        if (rc != 0) {
            return rc;
        }
    }
    return MR_EEXIST;
}

static int move_aside(struct file_store *store, const char *path, struct mr_error *error)
{
    char *name = NULL;
    int rc = rotated_name(store, path, &name);

    if (rc == 0) {
        rc = mr_disk_rename(store->config.disk, path, name);
    }
    mr_free(name);
    if (rc != 0) {
        return mr_fail(error, rc, "rotate %s", path);
    }
    store->counts.rotations++;
    return store->config.is_synced ? sync_directory(store, path, error) : 0;
}

/* ---- opening ---- */

/* Cuts what a crash has torn. MR_ECORRUPT: this is not a file of ours. */
static int repair(struct file_store *store, struct open_file *file, struct mr_error *error)
{
    int64_t end = 0;
    int rc =
        file_tail_find(store->config.disk, file->fd, store->config.codec, file->size_bytes, &end);

    if (rc != 0) {
        return mr_fail(error, rc, "look at the end of %s", file->path);
    }
    if (end == file->size_bytes) {
        return 0;
    }
    rc = mr_disk_truncate(store->config.disk, file->fd, end);
    if (rc != 0) {
        return mr_fail(error, rc, "cut the torn end of %s", file->path);
    }
    mr_warn("a torn end was cut off; its records are written again", KV_STR("path", file->path),
            KV_I64("bytes", file->size_bytes - end));
    store->counts.cut_bytes += file->size_bytes - end;
    file->size_bytes = end;
    file->is_dirty = true;
    return 0;
}

static int open_descriptor(struct file_store *store, struct open_file *file, bool *ret_is_new,
                           struct mr_error *error)
{
    const int flags = MR_DISK_WRITE | MR_DISK_CREATE;
    struct mr_disk *disk = store->config.disk;
    struct mr_disk_stat stat;
    int rc = mr_disk_stat(disk, file->path, &stat);

    *ret_is_new = rc == MR_ENOENT;
    if (rc == 0 && !stat.is_regular) { /* opening a pipe would wait for its reader */
        return mr_fail_text(error, MR_EINVAL, "%s is not a regular file", file->path);
    }
    rc = mr_disk_open(disk, file->path, flags, &file->fd, error);
    if (rc == MR_ENOENT) {
        rc = make_directory(store, file->path, error);
        if (rc == 0) {
            rc = mr_disk_open(disk, file->path, flags, &file->fd, error);
        }
    }
    if (rc != 0) {
        return rc;
    }
    rc = mr_disk_lock(disk, file->fd);
    if (rc != 0) {
        return mr_fail(error, rc, "%s is written by another sink or process", file->path);
    }
    rc = mr_disk_fstat(disk, file->fd, &stat);
    if (rc != 0) {
        return mr_fail(error, rc, "look at %s", file->path);
    }
    file->device = stat.device;
    file->inode = stat.inode;
    file->size_bytes = stat.size_bytes;
    file->born_ms =
        stat.size_bytes == 0 || stat.born_us == 0 ? store->wall_ms : stat.born_us / 1000;
    return 0;
}

static int open_once(struct file_store *store, const char *path, struct open_file **ret_file,
                     struct mr_error *error)
{
    struct open_file *file = mr_calloc(1, sizeof *file);
    bool is_new = false;
    int rc;

    if (file == NULL || (file->path = mr_strdup(path)) == NULL) {
        mr_free(file);
        return mr_fail(error, MR_ENOMEM, "open %s", path);
    }
    file->fd = -1;
    mr_bytes_init(&file->lines);
    rc = open_descriptor(store, file, &is_new, error);
    if (rc == 0 && is_new && store->config.is_synced) {
        rc = sync_directory(store, path, error);
    }
    if (rc == 0) {
        rc = repair(store, file, error);
    }
    if (rc == 0 && mr_map_put_text(&store->by_path, path, file) != 0) {
        rc = mr_fail(error, MR_ENOMEM, "open %s", path);
    }
    if (rc != 0) {
        file_close(store, file);
        return rc;
    }
    mr_list_append(&store->files, &file->link);
    store->counts.open_files++;
    *ret_file = file;
    return 0;
}

static int file_open(struct file_store *store, const char *path, struct open_file **ret_file,
                     struct mr_error *error)
{
    int rc = open_once(store, path, ret_file, error);

    if (rc == MR_ECORRUPT) { /* never cut what may be somebody's: it goes aside, whole */
        mr_warn("a file that this sink cannot go on with is moved aside", KV_STR("path", path));
        rc = move_aside(store, path, error);
        if (rc == 0) {
            rc = open_once(store, path, ret_file, error);
        }
    }
    return rc;
}

/* ---- writing ---- */

static int encode(struct file_store *store, struct open_file *file)
{
    struct iovec part = {file->lines.data, file->lines.size_bytes};

    mr_bytes_clear(&store->frame);
    return mr_codec_compress(store->codecs, store->config.codec, MR_CODEC_LEVEL_DEFAULT, &part, 1,
                             &store->frame);
}

/* What was written above `end` is taken back; a file that cannot be cut is closed at the write's
 * end. */
static void cut_back(struct file_store *store, struct open_file *file, int64_t end)
{
    if (mr_disk_truncate(store->config.disk, file->fd, end) != 0) {
        file->is_broken = true;
    }
    file->size_bytes = end;
}

static int flush(struct file_store *store, struct open_file *file, struct mr_error *error)
{
    const struct mr_bytes *out = &file->lines;
    int rc = file->lines.failed;

    if (rc == 0 && file->lines.size_bytes == 0) {
        return 0;
    }
    if (rc == 0 && store->config.codec != MR_CODEC_NONE) {
        rc = encode(store, file);
        out = &store->frame;
    }
    if (rc == 0) {
        file->is_dirty = true;
        rc = mr_disk_pwrite(store->config.disk, file->fd, out->data, out->size_bytes,
                            file->size_bytes);
        if (rc != 0) {
            cut_back(store, file, file->size_bytes);
        }
    }
    if (rc != 0) {
        return mr_fail(error, rc, "write %s", file->path);
    }
    file->size_bytes += (int64_t)out->size_bytes;
    if (file->lines.capacity_bytes > KEPT_BYTES_MAX && store->counts.open_files > HOT_FILES_MAX) {
        mr_bytes_done(&file->lines);
    } else {
        mr_bytes_clear(&file->lines);
    }
    return 0;
}

static int sync_file(struct file_store *store, struct open_file *file, struct mr_error *error)
{
    int rc = 0;

    if (store->config.is_synced && file->is_dirty) {
        rc = mr_disk_fsync(store->config.disk, file->fd);
    }
    if (rc != 0) {
        return mr_fail(error, rc, "sync %s", file->path);
    }
    file->is_dirty = false;
    return 0;
}

/* Closes a file in the midst of a job: its bytes are synced now, and a failure is the job's. */
static void close_early(struct file_store *store, struct open_file *file)
{
    int rc = sync_file(store, file, NULL);

    if (rc != 0 && file->job == store->job) {
        store->sync_rc = rc;
    }
    file_close(store, file);
}

/* Room for one more. A file that this write has touched is closed only when there is no other. */
static int make_room(struct file_store *store, struct mr_error *error)
{
    struct open_file *victim = NULL;
    int rc;

    if (store->counts.open_files < store->config.open_files_max) {
        return 0;
    }
    mr_list_each(&store->files, link, next)
    {
        if (victim == NULL && file_of(link)->write != store->write) {
            victim = file_of(link);
        }
    }
    victim = victim == NULL ? file_of(store->files.next) : victim;
    rc = flush(store, victim, error);
    if (rc == 0) {
        close_early(store, victim);
    }
    return rc;
}

static bool is_due(const struct file_store *store, const struct open_file *file)
{
    const struct file_store_config *config = &store->config;

    if (file->size_bytes == 0) {
        return false;
    }
    return (config->rotate_size_bytes > 0 && file->size_bytes >= config->rotate_size_bytes) ||
           (config->rotate_age_ms > 0 && store->wall_ms - file->born_ms >= config->rotate_age_ms);
}

/* Whether the name still leads to the file that is open, and nobody else has changed it: logrotate
 * moves files away, and needs to tell nobody. */
static bool is_same(struct file_store *store, const struct open_file *file)
{
    struct mr_disk_stat stat;

    return mr_disk_stat(store->config.disk, file->path, &stat) == 0 &&
           stat.device == file->device && stat.inode == file->inode &&
           stat.size_bytes == file->size_bytes;
}

/* The file for this write: open, the right one, and not due for rotation. */
static int file_get(struct file_store *store, const char *path, struct open_file **ret_file,
                    struct mr_error *error)
{
    struct open_file *file = mr_map_get_text(&store->by_path, path);
    int rc = 0;

    if (file != NULL && file->write == store->write) {
        *ret_file = file;
        return 0;
    }
    if (file != NULL && !is_same(store, file)) {
        close_early(store, file);
        file = NULL;
    }
    if (file == NULL) {
        rc = make_room(store, error);
        rc = rc == 0 ? file_open(store, path, &file, error) : rc;
    }
    if (rc == 0 && is_due(store, file)) {
        close_early(store, file);
        rc = move_aside(store, path, error);
        rc = rc == 0 ? file_open(store, path, &file, error) : rc;
    }
    if (rc == 0) {
        *ret_file = file;
    }
    return rc;
}

/* ---- jobs and writes ---- */

void file_store_begin(struct file_store *store, int64_t wall_ms)
{
    store->wall_ms = wall_ms;
    store->job++;
    store->write++;
    store->sync_rc = 0;
    store->last = NULL;
    mr_list_each(&store->files, link, next)
    {
        struct open_file *file = file_of(link);
        if (wall_ms - file->used_ms > IDLE_MS_MAX) {
            close_early(store, file);
        }
    }
}

struct mr_bytes *file_store_lines(struct file_store *store, const char *path, int *ret_rc,
                                  struct mr_error *error)
{
    struct open_file *file = store->last;
    int rc = 0;

    if (file == NULL || strcmp(file->path, path) != 0) {
        rc = file_get(store, path, &file, error);
    }
    if (rc == 0 && file->write != store->write) {
        file->job_start_bytes = file->job == store->job ? file->job_start_bytes : file->size_bytes;
        file->write_start_bytes = file->size_bytes;
        file->job = store->job;
        file->write = store->write;
        file->used_ms = store->wall_ms;
        mr_list_remove(&file->link);
        mr_list_append(&store->files, &file->link);
    }
    if (rc == 0 && file->lines.size_bytes >= FRAME_BYTES_MAX) {
        rc = flush(store, file, error);
    }
    if (rc != 0) {
        *ret_rc = rc;
        return NULL;
    }
    store->last = file;
    return &file->lines;
}

void file_store_undo_write(struct file_store *store)
{
    mr_list_each(&store->files, link, next)
    {
        struct open_file *file = file_of(link);
        if (file->write != store->write) {
            continue;
        }
        mr_bytes_done(&file->lines); /* forgets a failure, too */
        if (file->size_bytes > file->write_start_bytes) {
            cut_back(store, file, file->write_start_bytes);
        }
        if (file->is_broken) {
            close_early(store, file);
        }
    }
    store->write++;
    store->last = NULL;
}

int file_store_end_write(struct file_store *store, struct mr_error *error)
{
    int rc = 0;

    mr_list_each(&store->files, link, next)
    {
        struct open_file *file = file_of(link);
        if (rc == 0 && file->write == store->write) {
            rc = flush(store, file, error);
        }
    }
    if (rc != 0) {
        file_store_undo_write(store);
        return rc;
    }
    store->write++;
    store->last = NULL;
    return 0;
}

/* After a failed fsync the kernel counts the pages as clean although they are not on the disk: what
 * this job has written is taken back everywhere, and written anew. */
static void undo_job(struct file_store *store)
{
    mr_list_each(&store->files, link, next)
    {
        struct open_file *file = file_of(link);
        if (file->job == store->job) {
            if (file->size_bytes > file->job_start_bytes) {
                cut_back(store, file, file->job_start_bytes);
            }
            file_close(store, file);
        }
    }
}

int file_store_sync(struct file_store *store, struct mr_error *error)
{
    int rc = store->sync_rc;

    if (rc != 0) {
        (void)mr_fail(error, rc, "sync a file that had to be closed");
    }
    mr_list_each(&store->files, link, next)
    {
        struct open_file *file = file_of(link);
        if (rc == 0 && file->job == store->job) {
            rc = sync_file(store, file, error);
        }
    }
    if (rc != 0) {
        undo_job(store);
    }
    return rc;
}

struct file_store_counts file_store_counts(const struct file_store *store)
{
    return store->counts;
}
