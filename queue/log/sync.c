/* The group commit: one job at a time makes everything that was written before it durable, however
 * many wait for it.
 *
 *     the files that hold something unsynced, oldest first -> the directory, if names changed
 *     -> a checkpoint, if segments were sealed or the last one is old -> the synced offset moves
 *
 * So what stands in a later file is never called synced before the names and bytes of the earlier
 * ones are. A failed fsync is final: the kernel may have dropped the pages and will say yes next
 * time, so the log takes no more appends, and nobody is told that anything is durable. */
#include "queue/log/log_internal.h"

#include "base/core/clock.h"
#include "base/core/logger.h"

enum { SYNC_RETRY_MS = 1000, SYNC_FIRST_MS = 1000, CHECKPOINT_INTERVAL_US = 10 * 1000 * 1000 };

static void on_sync_timer(struct mr_timer *timer)
{
    sync_want(timer->owner);
}

void sync_init(struct log *log)
{
    mr_list_init(&log->syncs);
    mr_list_init(&log->syncs_finished);
    mr_timer_init(&log->sync_timer, log->env->loop, on_sync_timer, log);
}

void sync_want(struct log *log)
{
    log->is_sync_wanted = true;
    mr_task_post(&log->turn);
}

static void sync_later(struct log *log, int64_t delay_ms)
{
    if (log->state == LOG_OPEN && !mr_timer_is_running(&log->sync_timer) &&
        mr_timer_start(&log->sync_timer, delay_ms) != 0) {
        sync_want(log); /* too early is better than never */
    }
}

void sync_dirty(struct log *log)
{
    if (log->config.fsync == LOG_FSYNC_INTERVAL) {
        sync_later(log, log->config.fsync_interval_ms);
    } else if (!log->is_boot_recorded) {
        sync_later(log, SYNC_FIRST_MS); /* so that the next start knows what has happened */
    }
}

/* ---- the job ---- */

/* One slot is durable before the other is written. */
static int checkpoint_run(struct log *log)
{
    uint64_t generation = log->sync_checkpoint_generation;
    int rc = 0;

    (void)pthread_mutex_lock(&log->checkpoint_mutex);
    if (log->checkpoint_written > generation) {
        rc = MR_ECANCELED;
    } else if (log->is_other_slot_unsynced) {
        rc = checkpoint_sync(log->disk, log->directory, generation + 1);
    }
    if (rc == 0) {
        rc = checkpoint_store(log->disk, log->directory, generation, log->sync_checkpoint, true);
    }
    (void)pthread_mutex_unlock(&log->checkpoint_mutex);
    return rc;
}

static void sync_run(struct mr_work *work)
{
    struct log *log = work->owner;
    int rc = 0;

    log->sync_directory_rc = 0;
    for (int i = 0; i < log->sync_file_count && rc == 0; i++) {
        rc = mr_disk_fsync(log->disk, log->sync_files[i]->fd);
    }
    if (rc == 0 && log->sync_directory) {
        log->sync_directory_rc = mr_disk_fsync_directory(log->disk, log->directory);
    }
    log->sync_checkpoint_rc = MR_ECANCELED;
    if (rc == 0 && log->sync_directory_rc == 0 && log->sync_checkpoint != NULL) {
        log->sync_checkpoint_rc = checkpoint_run(log);
    }
    log->sync_rc = rc;
}

static bool is_anyone_waiting(const struct log *log)
{
    return !mr_list_is_empty(&log->unsynced) || !mr_list_is_empty(&log->syncs);
}

static void sync_resolve(struct log *log)
{
    append_synced(log);
    mr_list_each(&log->syncs, link, next)
    {
        struct log_sync *sync = mr_container(link, struct log_sync, link);

        if (sync->wanted_offset <= log->synced_offset) {
            mr_list_remove(link);
            mr_list_append(&log->syncs_finished, link);
            mr_task_post(&log->turn);
        }
    }
    if (is_anyone_waiting(log)) {
        sync_want(log);
    } else if (log->synced_offset < log->end_offset) {
        sync_dirty(log);
    }
}

static void sync_failed(struct log *log, int rc)
{
    mr_error("fsync failed: the log takes no more appends until the node is restarted",
             KV_STR("directory", log->directory), KV_ERR(rc));
    log->health = rc;
    append_fail_waiting(log, rc);
}

/* A failed one is nothing: an older one makes the next start look at more. */
static void checkpoint_written(struct log *log, int64_t now_us)
{
    uint64_t generation = log->sync_checkpoint_generation;

    if (log->sync_checkpoint == NULL) {
        return;
    }
    mr_buf_unref(log->sync_checkpoint);
    log->sync_checkpoint = NULL;
    if (log->checkpoint_generation != generation) {
        return; /* newer ones were written meanwhile, by the loop, which knows of these */
    }
    if (log->sync_checkpoint_rc == 0) {
        log_checkpoint_is_durable(log, generation, log->sync_target, log->sync_checkpoint_start);
        log->checkpoint_us = now_us;
    }
}

static void sync_done(struct mr_work *work)
{
    struct log *log = work->owner;
    int64_t now_us = mr_clock_monotonic_us(mr_loop_clock(log->env->loop));

    log->is_syncing = false;
    for (int i = 0; i < log->sync_file_count; i++) {
        file_unref(log->sync_files[i]);
    }
    log_count(log, LOG_TOTAL_FSYNCS, log->sync_file_count);
    log_count(log, LOG_TOTAL_FSYNC_US, now_us - log->sync_started_us);
    log->sync_file_count = 0;
    checkpoint_written(log, now_us);
    if (log->state != LOG_OPEN) {
        mr_task_post(&log->turn);
    }
    if (log->sync_rc != 0 || log->sync_directory_rc == MR_EIO) {
        sync_failed(log, log->sync_rc != 0 ? log->sync_rc : MR_EIO);
        return;
    }
    if (log->sync_directory_rc != 0) { /* no descriptor left, say: nothing is lost yet */
        log->is_directory_dirty = true;
        sync_later(log, SYNC_RETRY_MS);
        return;
    }
    if (log->sync_target > log->synced_offset) {
        log->synced_offset = log->sync_target;
        log->synced_segment_id = log->sync_segment_id;
        log->synced_position = log->sync_position;
    }
    sync_resolve(log);
}

/* Collects what the job works on; the descriptors are kept alive by references. */
static int sync_collect(struct log *log)
{
    size_t place = log_find_segment(log, log->synced_offset);

    log->sync_target = log->synced_offset;
    log->sync_segment_id = 0;
    for (; place < log->segment_count && log->sync_file_count < LOG_SYNC_FILES_MAX; place++) {
        struct segment *segment = log->segments[place];
        struct log_file *file;
        int rc;

        if (segment->size_bytes > 0 && segment->next_offset > log->synced_offset) {
            rc = segment_file(segment, &file);
            if (rc != 0) {
                return rc;
            }
            log->sync_files[log->sync_file_count] = file_ref(file);
            log->sync_file_count++;
        }
        if (segment->next_offset > log->sync_target) {
            log->sync_target = segment->next_offset;
            log->sync_segment_id = segment->id;
            log->sync_position = segment->size_bytes;
        }
    }
    if (place < log->segment_count) {
        log->is_sync_wanted = true; /* more than one job's worth */
    }
    return 0;
}

/* After a loss of power, damage below what the checkpoint calls synced is rot, and what stands
 * behind it is kept: so that it is never far behind the truth, and knows the run of the system. */
static bool is_checkpoint_due(const struct log *log)
{
    return log->is_checkpoint_dirty || !log->is_boot_recorded ||
           log->sync_started_us - log->checkpoint_us >= CHECKPOINT_INTERVAL_US;
}

static int sync_start(struct log *log)
{
    int rc;

    log->is_sync_wanted = false;
    rc = sync_collect(log);
    if (rc != 0) {
        goto drop_files;
    }
    if (log->sync_file_count == 0 && !log->is_directory_dirty && !log->is_checkpoint_dirty) {
        log->synced_offset = log->sync_target; /* at most a gap is in between */
        sync_resolve(log);
        return 0;
    }
    log->sync_started_us = mr_clock_monotonic_us(mr_loop_clock(log->env->loop));
    if (is_checkpoint_due(log)) {
        log->is_other_slot_unsynced = log->checkpoint_durable == 0;
        log->sync_checkpoint = log_checkpoint_bytes(log, log->sync_target, false);
        log->sync_checkpoint_generation = log->checkpoint_generation;
        log->sync_checkpoint_start = log->start_offset;
    }
    log->sync_directory = log->is_directory_dirty;
    log->sync_work = (struct mr_work){.run = sync_run, .done = sync_done, .owner = log};
    rc = mr_workers_submit(log->env->fsync_workers, &log->sync_work);
    if (rc != 0) {
        goto drop_files;
    }
    log->is_syncing = true;
    log->is_directory_dirty = false;
    if (log->sync_checkpoint != NULL) {
        log->is_checkpoint_dirty = false;
    }
    return 0;
drop_files:
    for (int i = 0; i < log->sync_file_count; i++) {
        file_unref(log->sync_files[i]);
    }
    log->sync_file_count = 0;
    mr_buf_unref(log->sync_checkpoint);
    log->sync_checkpoint = NULL;
    return rc;
}

void sync_step(struct log *log)
{
    if (log->is_syncing || !log->is_sync_wanted || log->health != 0) {
        return;
    }
    if (sync_start(log) != 0) {
        sync_later(log, SYNC_RETRY_MS); /* no descriptor or thread to be had */
    }
}

/* What the job under way will have made durable ends at the cut. */
void sync_cut(struct log *log)
{
    if (log->sync_target > log->end_offset) {
        log->sync_target = log->end_offset;
        log->sync_segment_id = 0;
    }
    if (log->synced_offset > log->end_offset) {
        log->synced_offset = log->end_offset;
    }
    log->synced_segment_id = 0;
}

int log_sync(struct log *log, struct log_sync *sync)
{
    mr_assert(log->magic == LOG_MAGIC);
    if (log->state != LOG_OPEN) {
        return MR_ECANCELED;
    }
    sync->link = (struct mr_link){0};
    sync->rc = log->health;
    sync->wanted_offset = log->next_offset;
    if (log->health != 0 || sync->wanted_offset <= log->synced_offset) {
        mr_list_append(&log->syncs_finished, &sync->link);
        mr_task_post(&log->turn);
        return 0;
    }
    mr_list_append(&log->syncs, &sync->link);
    sync_want(log);
    return 0;
}
