/* The end of a log that is opened: what is checked, what is cut, where it goes on. What a kill and
 * what a power loss may have done is told in recover.c. */
#include "queue/log/recover_internal.h"

#include <inttypes.h>

#include "base/core/logger.h"

/* ---- after a kill ---- */

/* A size that was counted before the file was looked at is made right. */
static void segment_recount(struct segment *segment, int64_t counted_bytes)
{
    if (segment->size_bytes < counted_bytes) {
        budget_release(segment->log, counted_bytes - segment->size_bytes);
    }
}

/* What at the end of the file is no batch goes, as the place will be written anew. */
static int cut_tail(struct segment *segment, int64_t file_size, int64_t tail_bytes)
{
    struct log *log = segment->log;
    struct log_file *file;
    int rc;

    log_count(log, LOG_TOTAL_TAILS_CUT, 1);
    segment_damaged(segment, file_size - tail_bytes, tail_bytes);
    segment->damage_count--;
    segment->size_bytes = file_size - tail_bytes;
    segment_recount(segment, file_size);
    rc = segment_file(segment, &file);
    if (rc == 0) {
        rc = mr_disk_truncate(log->disk, file->fd, segment->size_bytes);
    }
    segment->is_tail_dirty = rc != 0; /* cut before the next write */
    return rc;
}

static int segment_recover(struct segment *segment, bool is_last, struct mr_error *error)
{
    int64_t file_size = segment->size_bytes;
    int64_t next_offset = segment->next_offset;
    int64_t tail;
    int rc;

    rc = segment_rebuild(segment, file_size, INT64_MAX, &tail);
    if (rc != 0) {
        return mr_fail(error, rc, "segment %" PRId64, segment->base_offset);
    }
    if (is_last && tail > 0) {
        (void)cut_tail(segment, file_size, tail);
    } else if (!is_last) {
        if (tail > 0) {
            segment_damaged(segment, file_size - tail, tail);
        }
        segment->size_bytes = file_size;
        segment->next_offset =
            segment->next_offset > segment->base_offset ? segment->next_offset : next_offset;
        (void)segment_store_index(segment); /* else the first reader makes it */
    }
    return 0;
}

/* ---- where power was lost ---- */

/* What the cut leaves must not come back, or meet what is written next: all of it is durable before
 * the log goes on. A crash on the way finds the same cut again. */
static int cut_behind(struct log *log, size_t place, int64_t file_size, int64_t tail_bytes)
{
    struct segment *segment = log->segments[place];
    struct log_file *file;
    int64_t bytes = tail_bytes;
    int rc = 0;

    for (size_t i = place + 1; i < log->segment_count; i++) {
        bytes += log->segments[i]->size_bytes;
    }
    mr_warn("power was lost: records behind the first hole in what was not synced are cut off",
            KV_STR("directory", log->directory), KV_I64("end_offset", segment->next_offset),
            KV_I64("bytes", bytes));
    while (rc == 0 && log->segment_count > place + 1) {
        rc = log_remove_last(log);
    }
    if (rc == 0 && tail_bytes > 0) {
        rc = cut_tail(segment, file_size, tail_bytes);
    }
    if (rc == 0) {
        rc = segment_file(segment, &file);
    }
    if (rc == 0) {
        rc = mr_disk_fsync(log->disk, file->fd);
    }
    return rc == 0 ? mr_disk_fsync_directory(log->disk, log->directory) : rc;
}

/* Whether offsets at or above the limit are missing in front of `next_base`. */
static bool is_hole(const struct segment *segment, int64_t next_base, int64_t hole_limit)
{
    return segment->next_offset < next_base && next_base > hole_limit;
}

/* One segment behind the recovery offset; *ret_is_end when the log ends in it. */
static int segment_recover_loss(struct log *log, size_t place, int64_t hole_limit, bool *ret_is_end)
{
    struct segment *segment = log->segments[place];
    bool is_last = place + 1 == log->segment_count;
    int64_t next_base = is_last ? INT64_MAX : log->segments[place + 1]->base_offset;
    int64_t file_size = segment->size_bytes;
    int64_t tail = 0;
    int rc = segment_rebuild(segment, file_size, hole_limit, &tail);

    if (rc != 0) {
        return rc;
    }
    *ret_is_end = is_last || (is_hole(segment, next_base, hole_limit) && (tail > 0 || !log->gaps));
    if (*ret_is_end) {
        return is_last && tail == 0 ? 0 : cut_behind(log, place, file_size, tail);
    }
    if (tail > 0) {
        segment_damaged(segment, file_size - tail, tail);
    }
    segment->size_bytes = file_size;
    (void)segment_store_index(segment); /* else the first reader makes it */
    return 0;
}

static int recover_loss(struct log *log, const struct checkpoint *checkpoint,
                        struct mr_error *error)
{
    int64_t limit = checkpoint->recovery_offset > checkpoint->start_offset
                        ? checkpoint->recovery_offset
                        : checkpoint->start_offset;
    bool is_end = false;
    int rc = 0;

    for (size_t place = log_find_segment(log, checkpoint->recovery_offset);
         rc == 0 && !is_end && place < log->segment_count; place++) {
        struct segment *segment = log->segments[place];
        bool is_last = place + 1 == log->segment_count;

        if (is_last || segment->next_offset > checkpoint->recovery_offset) {
            rc = segment_recover_loss(log, place, limit, &is_end);
        } else if (is_hole(segment, log->segments[place + 1]->base_offset, limit) && !log->gaps) {
            rc = cut_behind(log, place, segment->size_bytes, 0);
            is_end = true;
        }
        if (rc != 0) {
            (void)mr_fail(error, rc, "segment %" PRId64, segment->base_offset);
        }
    }
    return rc;
}

/* ---- which of them ---- */

bool recover_is_clean(const struct log *log, const struct checkpoint *checkpoint)
{
    const struct segment *active = log_active(log);
    const struct checkpoint_segment *known = recover_find(checkpoint, active->base_offset);

    return (checkpoint->flags & CHECKPOINT_CLEAN) != 0 && known != NULL &&
           known->size_bytes == active->size_bytes &&
           known->next_offset == checkpoint->recovery_offset;
}

/* Not known counts as another one. */
static bool is_same_boot(const struct log *log, const struct checkpoint *checkpoint)
{
    return !mr_uuid_is_zero(&checkpoint->boot_id) &&
           mr_uuid_equal(&checkpoint->boot_id, &log->env->boot_id);
}

int recover_tail(struct log *log, const struct checkpoint *checkpoint, bool has_checkpoint,
                 struct mr_error *error)
{
    size_t last = log->segment_count - 1;
    size_t place = has_checkpoint ? log_find_segment(log, checkpoint->recovery_offset) : last;

    if (recover_is_clean(log, checkpoint)) {
        struct segment *active = log->segments[last];
        int rc = segment_index_need(active);

        return rc == 0 ? 0 : mr_fail(error, rc, "segment %" PRId64, active->base_offset);
    }
    if (has_checkpoint && !is_same_boot(log, checkpoint)) {
        return recover_loss(log, checkpoint, error);
    }
    for (; place <= last; place++) {
        struct segment *segment = log->segments[place];
        int rc;

        if (place < last && segment->next_offset <= checkpoint->recovery_offset && has_checkpoint) {
            continue;
        }
        rc = segment_recover(segment, place == last, error);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int recover_end(struct log *log, const struct checkpoint *checkpoint, struct mr_error *error)
{
    int64_t promised = checkpoint->recovery_offset > checkpoint->start_offset
                           ? checkpoint->recovery_offset
                           : checkpoint->start_offset;
    struct segment *segment;
    int rc;

    if (log->segment_count > 0 && log_active(log)->next_offset >= promised) {
        return 0;
    }
    if (promised > 0) {
        mr_warn("records that were kept are missing; the log goes on behind them",
                KV_STR("directory", log->directory),
                KV_I64("from_offset",
                       log->segment_count > 0 ? log_active(log)->next_offset : INT64_C(0)),
                KV_I64("to_offset", promised));
    }
    rc = segment_create(log, promised, &segment, error);
    if (rc != 0) {
        return rc;
    }
    rc = log_add_segment(log, segment);
    if (rc != 0) {
        segment_free(segment);
        return mr_fail(error, rc, "segment %" PRId64, promised);
    }
    rc = mr_disk_fsync_directory(log->disk, log->directory);
    return rc == 0 ? 0 : mr_fail(error, rc, "fsync %s", log->directory);
}
