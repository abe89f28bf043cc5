/* The lower end: what may go, and how it goes.
 *
 * The start offset moves in memory and in the checkpoint first, then a worker unlinks the files,
 * oldest first; a crash in between leaves files below the start, which the next start removes.
 * Ranges of them that are on their way keep their bytes through the open descriptor.
 *
 * Age is the time of append. When the wall clock and the monotonic one disagree about how long it
 * is since the last look, rules by time rest for an hour: a clock that is a year ahead must not
 * empty a log before somebody has noticed. */
#include "queue/log/log_internal.h"

#include <string.h>

#include "base/core/clock.h"
#include "base/core/logger.h"
#include "base/core/memory.h"

/* ---- the node's budget ---- */

bool budget_reserve(struct log *log, int64_t bytes, bool is_forced)
{
    struct log_budget *budget = log->env->budget;

    if (budget == NULL) {
        return true;
    }
    if (!is_forced && budget->limit_bytes > 0 && budget->used_bytes + bytes > budget->limit_bytes) {
        budget->refused = true;
        log_count(log, LOG_TOTAL_REFUSED, 1);
        return false;
    }
    budget->used_bytes += bytes;
    return true;
}

void budget_release(struct log *log, int64_t bytes)
{
    struct log_budget *budget = log->env->budget;

    if (budget != NULL) {
        budget->used_bytes -= bytes;
        mr_assert(budget->used_bytes >= 0);
    }
}

void budget_free(struct log *log, int64_t bytes)
{
    struct log_budget *budget = log->env->budget;

    budget_release(log, bytes);
    if (budget != NULL && bytes > 0 && budget->refused &&
        (budget->limit_bytes == 0 || budget->used_bytes < budget->limit_bytes)) {
        budget->refused = false;
        if (budget->on_space != NULL) {
            budget->on_space(budget, budget->owner);
        }
    }
}

/* ---- removing files ---- */

struct discard {
    struct mr_work work;
    struct mr_disk *disk;
    struct log_file *file; /* the segment's own reference: the inode goes off the loop */
    char paths[4][LOG_PATH_SIZE];
};

static void discard_run(struct mr_work *work)
{
    struct discard *discard = work->owner;

    for (size_t i = 0; i < 4; i++) {
        (void)mr_disk_unlink(discard->disk, discard->paths[i]); /* the next start tries again */
    }
    if (discard->file != NULL && discard->file->refs == 1) {
        mr_disk_close(discard->disk, discard->file->fd);
        discard->file->fd = -1;
    }
}

static void discard_done(struct mr_work *work)
{
    struct discard *discard = work->owner;

    file_unref(discard->file);
    mr_free(discard);
}

void segment_discard(struct segment *segment)
{
    static const char *const suffixes[4] = {".log", ".index", ".timeindex", ".snapshot"};
    struct log *log = segment->log;
    struct discard *discard = mr_calloc(1, sizeof *discard);
    char path[LOG_PATH_SIZE];

    if (discard == NULL) {
        for (size_t i = 0; i < 4; i++) {
            log_path(log, segment->base_offset, suffixes[i], path);
            (void)mr_disk_unlink(log->disk, path);
        }
        segment_free(segment);
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        log_path(log, segment->base_offset, suffixes[i], discard->paths[i]);
    }
    discard->disk = log->disk;
    discard->file = segment->file;
    segment->file = NULL;
    segment_free(segment);
    discard->work = (struct mr_work){.run = discard_run, .done = discard_done, .owner = discard};
    if (mr_workers_submit(log->env->io_workers, &discard->work) != 0) {
        discard_run(&discard->work);
        discard_done(&discard->work);
    }
}

static void move_start(struct log *log, int64_t start_offset)
{
    char path[LOG_PATH_SIZE];

    if (start_offset <= log->start_offset) {
        return;
    }
    log->start_offset = start_offset;
    if (epochs_cut_start(&log->epochs, start_offset)) {
        log_named_path(log, "leader-epoch-checkpoint", path);
        (void)epochs_store(&log->epochs, log->disk, path,
                           NULL); /* the old one is cut at the start */
    }
}

void log_remove_segments(struct log *log, size_t count)
{
    int64_t bytes = 0;

    mr_assert(count < log->segment_count); /* the active one stays */
    if (count == 0) {
        return;
    }
    move_start(log, log->segments[count]->base_offset);
    /* After a loss of power, of what is removed now any part may be back; a start must not take
     * what is missing of it for a hole in what was not synced (recover.c). */
    if (log->start_offset > log->checkpoint_limit) {
        (void)log_checkpoint_now(log, log->synced_offset, false); /* a full disk has to go on */
    } else {
        (void)log_checkpoint_soft(log, log->synced_offset, false); /* the next one says it too */
    }
    for (size_t i = 0; i < count; i++) {
        bytes += log->segments[i]->size_bytes + log->segments[i]->index_bytes;
        log->sealed_bytes -= log->segments[i]->size_bytes;
        segment_discard(log->segments[i]);
    }
    log->segment_count -= count;
    memmove(log->segments, log->segments + count, log->segment_count * sizeof *log->segments);
    log_count(log, LOG_TOTAL_SEGMENTS, -(int64_t)count);
    log_count(log, LOG_TOTAL_DELETED_SEGMENTS, (int64_t)count);
    log->is_directory_dirty = true;
    budget_free(log, bytes); /* may append at once: nothing comes after it */
}

/* ---- the rules ---- */

/* Whether the clocks agree, now and for the last hour. */
static bool clock_is_trusted(struct log *log)
{
    int64_t jump_ms;
    bool is_trusted =
        mr_clock_is_trusted(&log->clock_trust, mr_loop_clock(log->env->loop), &jump_ms);

    if (jump_ms != 0) {
        mr_warn("the wall clock has jumped: retention by time rests for an hour",
                KV_STR("directory", log->directory), KV_I64("jump_ms", jump_ms));
    }
    return is_trusted;
}

/* What was appended while the clock was ahead would stay until that time comes: it ages from now
 * on. */
static void bring_back(struct log *log)
{
    int64_t now_ms = mr_loop_wall_ms(log->env->loop);

    for (size_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];

        if (segment->last_append_ms > now_ms + MR_CLOCK_JUMP_MS) {
            segment->last_append_ms = now_ms;
        }
        if (segment->first_append_ms > segment->last_append_ms) {
            segment->first_append_ms = segment->last_append_ms;
        }
    }
}

static bool segment_may_go(const struct log *log, const struct segment *segment,
                           int64_t size_before_bytes, bool is_clock_trusted)
{
    int64_t age_ms = mr_loop_wall_ms(log->env->loop) - segment->last_append_ms;
    const struct log_config *config = &log->config;

    if (segment->next_offset <= log->start_offset) {
        return true; /* DeleteRecords has passed it */
    }
    if (config->retention_bytes >= 0 &&
        size_before_bytes - segment->size_bytes >= config->retention_bytes) {
        return true;
    }
    if (!is_clock_trusted) {
        return false;
    }
    return (config->retention_ms >= 0 && age_ms > config->retention_ms) ||
           (log->passed_offset >= 0 && log->passed_keep_ms >= 0 &&
            segment->next_offset <= log->passed_offset && age_ms > log->passed_keep_ms);
}

/* An active segment that would go if it were sealed, is. */
static bool roll_expired(struct log *log, bool is_clock_trusted)
{
    struct segment *active = log_active(log);

    return active->size_bytes > 0 && log->health == 0 && !log->is_writing &&
           mr_list_is_empty(&log->queued) &&
           segment_may_go(log, active, active->size_bytes, is_clock_trusted) &&
           log_roll(log) == 0; /* on a full disk the next call tries again */
}

/* How many of the first segments may go. */
static size_t count_expired(struct log *log, bool is_clock_trusted)
{
    int64_t size_bytes = log_size_bytes(log);
    size_t count = 0;

    while (count + 1 < log->segment_count &&
           segment_may_go(log, log->segments[count], size_bytes, is_clock_trusted)) {
        size_bytes -= log->segments[count]->size_bytes;
        count++;
    }
    if (count + 1 == log->segment_count && roll_expired(log, is_clock_trusted)) {
        count++;
    }
    return count;
}

static bool owner_agrees(struct log *log, size_t count)
{
    return log->before_delete == NULL ||
           log->before_delete(log->before_delete_owner, log->segments[count]->base_offset) == 0;
}

/* A log that nobody has appended to since the last call holds no descriptor: a node may have
 * thousands of them. */
static void rest(struct log *log)
{
    bool is_busy = log->is_writing || log->is_syncing || log->is_flushing ||
                   !mr_list_is_empty(&log->queued) || log->synced_offset < log->end_offset;

    if (!is_busy && log->rest_end_offset == log->end_offset) {
        segment_rest(log_active(log));
    }
    log->rest_end_offset = log->end_offset;
}

int64_t log_retain(struct log *log)
{
    bool is_clock_trusted = clock_is_trusted(log);
    int64_t before = log_size_bytes(log);
    size_t count;

    mr_assert(log->magic == LOG_MAGIC);
    if (log->state != LOG_OPEN) {
        return 0;
    }
    rest(log);
    if (is_clock_trusted) {
        bring_back(log);
        producers_expire(&log->producers, mr_loop_wall_ms(log->env->loop),
                         log->config.producer_expiry_ms);
    }
    if (log->config.is_compacted) {
        return 0; /* its cleaner decides */
    }
    count = count_expired(log, is_clock_trusted);
    if (count == 0 || !owner_agrees(log, count)) {
        return 0;
    }
    if (!log_new_segment_is_safe(log)) {
        return 0;
    }
    log_remove_segments(log, count);
    return before - log_size_bytes(log);
}

int log_drop_oldest(struct log *log, int64_t *ret_new_start)
{
    int rc;

    if (log->state != LOG_OPEN) {
        return MR_ECANCELED;
    }
    if (log->segment_count == 1) {
        if (log_active(log)->size_bytes == 0) {
            return MR_ENOENT;
        }
        if (log->is_writing || !mr_list_is_empty(&log->queued)) {
            return MR_EAGAIN;
        }
        rc = log_roll(log);
        if (rc != 0) {
            return rc;
        }
    }
    if (!log_new_segment_is_safe(log)) {
        return MR_EIO;
    }
    if (!owner_agrees(log, 1)) {
        return MR_EAGAIN;
    }
    log_remove_segments(log, 1);
    *ret_new_start = log->start_offset;
    return 0;
}

int log_drop_passed(struct log *log, int64_t *ret_new_start)
{
    if (log->state != LOG_OPEN) {
        return MR_ECANCELED;
    }
    if (log->passed_offset < 0 || log->segments[0]->next_offset > log->passed_offset) {
        return MR_ENOENT;
    }
    return log_drop_oldest(log, ret_new_start);
}

/* The last name in a directory must not be lost before the one in front of it is removed: without
 * any segment a log would begin at 0 again. */
bool log_new_segment_is_safe(struct log *log)
{
    if (!log->is_directory_dirty) {
        return true;
    }
    if (mr_disk_fsync_directory(log->disk, log->directory) != 0) {
        return false;
    }
    log->is_directory_dirty = false;
    return true;
}

void log_set_before_delete(struct log *log, log_before_delete_cb cb, void *owner)
{
    log->before_delete = cb;
    log->before_delete_owner = owner;
}

void log_set_passed(struct log *log, int64_t passed_offset, int64_t keep_ms)
{
    log->passed_offset = passed_offset;
    log->passed_keep_ms = keep_ms;
}

int log_delete_before(struct log *log, int64_t offset, struct mr_error *error)
{
    size_t count = 0;
    int rc;

    if (log->state != LOG_OPEN) {
        return mr_fail(error, MR_ECANCELED, "delete records");
    }
    if (offset > log->end_offset || offset < 0) {
        return mr_fail(error, MR_ERANGE, "delete records before offset %lld", (long long)offset);
    }
    if (offset <= log->start_offset) {
        return 0;
    }
    while (count + 1 < log->segment_count && log->segments[count + 1]->base_offset <= offset) {
        count++;
    }
    if (!owner_agrees(log, count)) {
        return mr_fail(error, MR_EAGAIN, "delete records before offset %lld", (long long)offset);
    }
    move_start(log, offset);
    rc = log_checkpoint_now(log, log->synced_offset, false);
    if (rc != 0) {
        return mr_fail(error, rc, "delete records: checkpoint");
    }
    log->is_directory_dirty = false;
    log_remove_segments(log, count);
    return 0;
}
