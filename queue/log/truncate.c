/* Cutting the upper end, which only a follower does, and owners that recover: records that others
 * have decided not to keep. The checkpoint goes back first (both copies, synced), then segments go
 * from the last one down, then the file is cut: after a crash in between the log ends somewhere on
 * the way. */
#include "queue/log/log_internal.h"

#include <inttypes.h>

#include "base/core/memory.h"

/* Files of segments that are no longer part of the log. Synchronous: the names may be needed again.
 */
static int segment_unlink(struct segment *segment)
{
    static const char *const suffixes[4] = {".index", ".timeindex", ".snapshot", ".log"};
    struct log *log = segment->log;
    char path[LOG_PATH_SIZE];
    int rc = 0;

    for (size_t i = 0; i < 4; i++) {
        log_path(log, segment->base_offset, suffixes[i], path);
        rc = mr_disk_unlink(log->disk, path);
    }
    return rc == MR_ENOENT ? 0 : rc;
}

int log_remove_last(struct log *log)
{
    struct segment *segment = log_active(log);
    int rc = segment_unlink(segment);

    if (rc != 0) {
        return rc;
    }
    budget_free(log, segment->size_bytes + segment->index_bytes);
    log->segment_count--;
    log_count(log, LOG_TOTAL_SEGMENTS, -1);
    segment_free(segment);
    if (log->segment_count > 0) {
        segment = log_active(log);
        log->sealed_bytes -= segment->size_bytes;
        if (mr_link_is_linked(&segment->open_link)) {
            mr_list_remove(&segment->open_link);
            log->open_count--;
        }
    }
    return 0;
}

/* Readers may be sending from the file: they keep it, and the log goes on in a copy of what is
 * kept. */
static int segment_copy(struct segment *segment, int64_t size_bytes)
{
    struct log *log = segment->log;
    struct log_file *copy;
    char path[LOG_PATH_SIZE];
    char name[LOG_PATH_SIZE];
    uint8_t *buffer = mr_malloc(LOG_SCAN_BUFFER_SIZE);
    int fd = -1;
    int rc;

    if (buffer == NULL) {
        return MR_ENOMEM;
    }
    log_path(log, segment->base_offset, ".log.tmp", path);
    rc =
        mr_disk_open(log->disk, path, MR_DISK_WRITE | MR_DISK_CREATE | MR_DISK_TRUNCATE, &fd, NULL);
    if (rc != 0) {
        goto free_buffer;
    }
    for (int64_t at = 0; at < size_bytes && rc == 0;) {
        int64_t want = size_bytes - at;
        ssize_t got;

        if (want > LOG_SCAN_BUFFER_SIZE) {
            want = LOG_SCAN_BUFFER_SIZE;
        }
        got = mr_disk_pread(log->disk, segment->file->fd, buffer, (size_t)want, at);
        if (got <= 0) {
            rc = got < 0 ? (int)got : MR_EIO;
        } else {
            rc = mr_disk_pwrite(log->disk, fd, buffer, (size_t)got, at);
            at += got;
        }
    }
    rc = rc == 0 ? mr_disk_fsync(log->disk, fd) : rc;
    if (rc == 0) {
        log_path(log, segment->base_offset, ".log", name);
        rc = mr_disk_rename(log->disk, path, name);
    }
    if (rc == 0 && mr_disk_fsync_directory(log->disk, log->directory) != 0) {
        log->health = MR_EIO; /* which of the two files a power loss would leave is not known */
    }
    copy = rc == 0 ? file_new(log->disk, fd) : NULL;
    if (copy == NULL) {
        mr_disk_close(log->disk, fd);
        (void)mr_disk_unlink(log->disk, path);
        rc = rc == 0 ? MR_ENOMEM : rc;
        goto free_buffer;
    }
    file_unref(segment->file);
    segment->file = copy;
free_buffer:
    mr_free(buffer);
    return rc;
}

/* ---- where to cut ---- */

struct cut {
    struct segment *segment; /* the last one that stays */
    int64_t position;        /* its new size */
    int64_t end_offset;      /* of the log: where the first batch begins that does not stay */
};

static int find_cut(struct log *log, int64_t end_offset, struct cut *ret_cut)
{
    size_t place = log_find_segment(log, end_offset);
    struct segment *segment = log->segments[place];
    struct scan_item item = {0};
    int rc;

    if (place > 0 && segment->base_offset == end_offset) {
        segment = log->segments[place - 1];
    }
    *ret_cut = (struct cut){
        .segment = segment, .position = segment->size_bytes, .end_offset = segment->next_offset};
    if (segment->size_bytes == 0) {
        return 0;
    }
    rc = segment_seek(segment, end_offset, &item);
    if (rc == SCAN_BATCH) {
        ret_cut->position = item.position;
        ret_cut->end_offset = item.header.base_offset;
    }
    if (ret_cut->end_offset > end_offset) {
        ret_cut->end_offset = end_offset; /* which lies in a hole */
    }
    return rc < 0 ? rc : 0;
}

/* What is known of the active segment after its file was cut. The rebuild is for the exact indexes
 * and timestamps; without it lookups walk. */
static void segment_shorten(struct segment *segment, const struct cut *cut)
{
    struct log *log = segment->log;
    char path[LOG_PATH_SIZE];
    int64_t tail;
    int rc;

    log_path(log, segment->base_offset, ".index", path);
    (void)mr_disk_unlink(log->disk, path); /* what is left of them is found to be wrong */
    log_path(log, segment->base_offset, ".timeindex", path);
    (void)mr_disk_unlink(log->disk, path);
    while (segment->damage_count > 0 &&
           segment->damages[segment->damage_count - 1].position >= cut->position) {
        segment->damage_count--;
    }
    budget_free(log, segment->size_bytes - cut->position);
    rc = segment_rebuild(segment, cut->position, INT64_MAX, &tail);
    segment->size_bytes = cut->position;
    segment->next_offset = cut->end_offset;
    if (rc != 0) {
        index_clear(&segment->index);
        segment->is_index_loaded = true;
    }
    log->segment_id_last++;
    segment->id = log->segment_id_last; /* cursors into what was cut do not match any more */
}

static int cut_active(struct log *log, const struct cut *cut)
{
    struct segment *segment = cut->segment;
    struct log_file *file;
    int rc;

    mr_assert(segment == log_active(log));
    if (cut->position == segment->size_bytes) {
        segment->next_offset = cut->end_offset;
        return 0;
    }
    rc = segment_file(segment, &file);
    if (rc == 0) {
        rc = file->refs > 1 ? segment_copy(segment, cut->position)
                            : mr_disk_truncate(log->disk, file->fd, cut->position);
    }
    if (rc != 0) {
        return rc;
    }
    segment_shorten(segment, cut);
    rc = mr_disk_fsync(log->disk, segment->file->fd);
    if (rc != 0) {
        log->health = rc;
    }
    return rc;
}

/* State that was made from what is gone. */
static int forget_beyond(struct log *log)
{
    char path[LOG_PATH_SIZE];
    int rc = 0;

    log->next_offset = log->end_offset;
    log->flush_position = 0;
    log->unflushed_bytes = 0;
    sync_cut(log);
    if (epochs_cut_end(&log->epochs, log->end_offset)) {
        log_named_path(log, "leader-epoch-checkpoint", path);
        rc = epochs_store(&log->epochs, log->disk, path, NULL); /* the next start cuts it as well */
    }
    if (producers_rebuild(log) != 0) {
        rc = log->health = MR_EIO; /* what it remembers is not what it holds */
    }
    return rc;
}

int log_truncate(struct log *log, int64_t end_offset, struct mr_error *error)
{
    struct cut cut;
    int rc;

    if (log->state != LOG_OPEN || log->health != 0) {
        return mr_fail(error, log->health != 0 ? log->health : MR_ECANCELED, "truncate");
    }
    if (end_offset >= log->next_offset) {
        return 0;
    }
    if (end_offset < log->start_offset) {
        return mr_fail(error, MR_ERANGE,
                       "truncate to %" PRId64 ", which is below the start %" PRId64, end_offset,
                       log->start_offset);
    }
    if (log->is_writing || !mr_list_is_empty(&log->queued)) {
        return mr_fail(error, MR_EAGAIN, "truncate while appends are under way");
    }
    rc = find_cut(log, end_offset, &cut);
    if (rc == 0) {
        rc = log_checkpoint_now(
            log, log->synced_offset < cut.end_offset ? log->synced_offset : cut.end_offset, false);
    }
    if (rc != 0) {
        return mr_fail(error, rc, "truncate to %" PRId64, end_offset);
    }
    while (rc == 0 && log_active(log) != cut.segment) {
        rc = log_remove_last(log);
    }
    if (rc == 0) {
        rc = mr_disk_fsync_directory(log->disk, log->directory);
    }
    if (rc == 0) {
        rc = cut_active(log, &cut);
    }
    /* Whatever has failed: what is still there is the log. */
    log->end_offset = log_active(log)->next_offset;
    if (log->end_offset < log->start_offset) { /* the batch around the start went as well */
        int jump_rc = log_jump(log, log->start_offset);

        rc = rc == 0 ? jump_rc : rc;
        log->health = jump_rc == 0 ? log->health : jump_rc;
        log->end_offset = log->start_offset;
    }
    if (rc == 0) {
        rc = forget_beyond(log);
    } else {
        (void)forget_beyond(log);
    }
    if (rc == 0) {
        rc = log_checkpoint_now(log, log->synced_offset, false);
    }
    return rc == 0 ? 0 : mr_fail(error, rc, "truncate to %" PRId64, end_offset);
}

int log_jump(struct log *log, int64_t offset)
{
    struct segment *sealed = log_active(log);
    struct segment *segment;
    char path[LOG_PATH_SIZE];
    int rc;

    mr_assert(offset > log->end_offset);
    rc = segment_create(log, offset, &segment, NULL);
    if (rc != 0) {
        return rc;
    }
    rc = log_add_segment(log, segment);
    if (rc != 0) {
        log_path(log, offset, ".log", path);
        (void)mr_disk_unlink(log->disk, path);
        segment_free(segment);
        return rc;
    }
    log->sealed_bytes += sealed->size_bytes;
    log->gaps = true;
    log->flush_position = 0;
    log->is_directory_dirty = true;
    log->is_checkpoint_dirty = true;
    return 0;
}

int log_restart_at(struct log *log, int64_t offset, struct mr_error *error)
{
    int rc;

    if (offset < log->end_offset) {
        return mr_fail(error, MR_ERANGE, "restart at offset %" PRId64, offset);
    }
    if (log->is_writing || !mr_list_is_empty(&log->queued) || log->state != LOG_OPEN) {
        return mr_fail(error, MR_EAGAIN, "restart while appends are under way");
    }
    if (offset == log->end_offset && log_active(log)->size_bytes > 0) {
        rc = log_roll(log);
    } else {
        rc = offset > log->end_offset ? log_jump(log, offset) : 0;
    }
    if (rc != 0) {
        return mr_fail(error, rc, "restart at offset %" PRId64, offset);
    }
    log->end_offset = log->next_offset = offset;
    log->synced_offset = offset;
    log->synced_segment_id = 0;
    log->epochs.count = 0;
    producers_clear(&log->producers);
    return log_delete_before(log, offset, error);
}
