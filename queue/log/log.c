/* Opening, closing, rolling, and what others may ask. The states of a log:
 *
 *     OPEN -> DRAINING (the writer finishes) -> SYNCING (the last group commit) -> CLOSED
 * (callback)
 *
 * log_delete takes the same way, without the commit. All moves are made in the log's turn. */
#include "queue/log/log_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/core/clock.h"
#include "base/core/logger.h"
#include "base/core/memory.h"

void log_config_defaults(struct log_config *config)
{
    *config = (struct log_config){
        .segment_size_bytes = INT64_C(64) << 20,
        .segment_age_ms = INT64_C(7) * 24 * 3600 * 1000,
        .retention_ms = INT64_C(7) * 24 * 3600 * 1000,
        .retention_bytes = -1,
        .fsync = LOG_FSYNC_INTERVAL,
        .fsync_interval_ms = 1000,
        .index_interval_bytes = 4096,
        .batch_size_bytes_max = 1048588, /* Kafka's max.message.bytes */
        .producer_expiry_ms = INT64_C(24) * 3600 * 1000,
        .producers_max = 10000,
    };
}

static int config_check(const struct log_config *config)
{
    return config->segment_size_bytes > 0 && config->segment_size_bytes <= LOG_SEGMENT_SIZE_MAX &&
                   config->batch_size_bytes_max > 0 && config->index_interval_bytes >= 0 &&
                   config->producers_max > 0 && config->fsync_interval_ms >= 0
               ? 0
               : MR_EINVAL;
}

/* ---- paths and places ---- */

void log_path(const struct log *log, int64_t base_offset, const char *suffix,
              char path[LOG_PATH_SIZE])
{
    int size =
        snprintf(path, LOG_PATH_SIZE, "%s/%020" PRId64 "%s", log->directory, base_offset, suffix);

    mr_assert(size > 0 && size < LOG_PATH_SIZE); /* log_open has left room */
}

void log_named_path(const struct log *log, const char *name, char path[LOG_PATH_SIZE])
{
    int size = snprintf(path, LOG_PATH_SIZE, "%s/%s", log->directory, name);

    mr_assert(size > 0 && size < LOG_PATH_SIZE);
}

struct segment *log_active(const struct log *log)
{
    return log->segment_count > 0 ? log->segments[log->segment_count - 1] : NULL;
}

int log_add_segment(struct log *log, struct segment *segment)
{
    int rc = mr_grow(&log->segments, &log->segment_capacity, log->segment_count + 1,
                     sizeof *log->segments);

    if (rc != 0) {
        return rc;
    }
    mr_assert(log->segment_count == 0 || log_active(log)->base_offset < segment->base_offset);
    log->segments[log->segment_count] = segment;
    log->segment_count++;
    log_count(log, LOG_TOTAL_SEGMENTS, 1);
    return 0;
}

size_t log_find_segment(const struct log *log, int64_t offset)
{
    size_t low = 0;
    size_t high = log->segment_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (log->segments[middle]->base_offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? low - 1 : 0;
}

/* ---- checkpoints ---- */

/* The slot that is written is never that of the newest durable one. */
static uint64_t next_generation(const struct log *log)
{
    uint64_t next = log->checkpoint_generation + 1;
    bool is_durable_slot =
        log->checkpoint_durable != 0 && ((next ^ log->checkpoint_durable) & 1) == 0;

    return is_durable_slot ? next + 1 : next;
}

struct mr_buf *log_checkpoint_bytes(struct log *log, int64_t recovery_offset, bool is_clean)
{
    struct checkpoint checkpoint = {
        .generation = next_generation(log),
        .flags = (is_clean ? CHECKPOINT_CLEAN : 0U) | (log->gaps ? CHECKPOINT_GAPS : 0U),
        .start_offset = log->start_offset,
        .recovery_offset = recovery_offset,
        .written_ms = mr_loop_wall_ms(log->env->loop),
        .boot_id = log->env->boot_id,
        .segment_count = log->segment_count,
    };
    struct mr_buf *bytes;

    checkpoint.segments = mr_malloc(log->segment_count * sizeof *checkpoint.segments + 1);
    if (checkpoint.segments == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];

        checkpoint.segments[i] = (struct checkpoint_segment){
            .base_offset = segment->base_offset,
            .next_offset = segment->next_offset,
            .size_bytes = segment->size_bytes,
            .index_bytes = segment->index_bytes,
            .max_timestamp_ms = segment->is_timestamp_known ? segment->max_timestamp_ms : -2,
            .max_timestamp_offset = segment->max_timestamp_offset,
            .first_append_ms = segment->first_append_ms,
            .last_append_ms = segment->last_append_ms,
        };
    }
    bytes = checkpoint_encode(&checkpoint);
    if (bytes != NULL) {
        log->checkpoint_generation = checkpoint.generation;
    }
    checkpoint_done(&checkpoint);
    return bytes;
}

void log_checkpoint_is_durable(struct log *log, uint64_t generation, int64_t recovery_offset,
                               int64_t start_offset)
{
    log->checkpoint_durable = generation;
    log->checkpoint_limit = recovery_offset > start_offset ? recovery_offset : start_offset;
    log->is_boot_recorded = true;
}

/* One slot; when it is the first, its name is synced with the directory's other ones, later. */
static int checkpoint_write(struct log *log, int64_t recovery_offset, bool is_clean, bool is_first)
{
    struct mr_buf *bytes = log_checkpoint_bytes(log, recovery_offset, is_clean);
    int rc;

    if (bytes == NULL) {
        return MR_ENOMEM;
    }
    rc = checkpoint_store(log->disk, log->directory, log->checkpoint_generation, bytes, !is_first);
    if (rc == 0 && is_first) {
        rc = checkpoint_sync(log->disk, log->directory, log->checkpoint_generation);
    }
    mr_buf_unref(bytes);
    if (rc == 0) {
        log_checkpoint_is_durable(log, log->checkpoint_generation, recovery_offset,
                                  log->start_offset);
    }
    return rc;
}

int log_checkpoint_first(struct log *log)
{
    return checkpoint_write(log, 0, false, true);
}

int log_checkpoint_now(struct log *log, int64_t recovery_offset, bool is_clean)
{
    int rc = 0;

    /* Over both: the worker's may be older, and half-written, in the slot that was first. */
    (void)pthread_mutex_lock(&log->checkpoint_mutex);
    if (log->checkpoint_durable == 0) {
        rc = checkpoint_sync(log->disk, log->directory, log->checkpoint_generation);
    }
    for (int slot = 0; slot < 2 && rc == 0; slot++) {
        rc = checkpoint_write(log, recovery_offset, is_clean, false);
    }
    log->checkpoint_written = log->checkpoint_generation;
    (void)pthread_mutex_unlock(&log->checkpoint_mutex);
    return rc == 0 ? mr_disk_fsync_directory(log->disk, log->directory) : rc;
}

int log_checkpoint_soft(struct log *log, int64_t recovery_offset, bool is_clean)
{
    struct mr_buf *bytes;
    int rc;

    if (log->checkpoint_durable == 0) { /* either slot may be the one that a power loss leaves */
        return log_checkpoint_now(log, recovery_offset, is_clean);
    }
    bytes = log_checkpoint_bytes(log, recovery_offset, is_clean);
    if (bytes == NULL) {
        return MR_ENOMEM;
    }
    (void)pthread_mutex_lock(&log->checkpoint_mutex);
    rc = checkpoint_store(log->disk, log->directory, log->checkpoint_generation, bytes, false);
    log->checkpoint_written = log->checkpoint_generation;
    (void)pthread_mutex_unlock(&log->checkpoint_mutex);
    mr_buf_unref(bytes);
    return rc;
}

/* ---- rolling ---- */

/* Snapshots before the newest few are of no use: a truncation that goes behind them replays more.
 */
static void snapshots_trim(struct log *log)
{
    char path[LOG_PATH_SIZE];

    if (log->segment_count > LOG_SNAPSHOTS_KEPT) {
        const struct segment *segment = log->segments[log->segment_count - 1 - LOG_SNAPSHOTS_KEPT];

        log_path(log, segment->base_offset, ".snapshot", path);
        (void)mr_disk_unlink(log->disk, path); /* the next start removes what is left over */
    }
}

/* Seals the active segment, if it holds anything, and begins the next one. What is sealed is synced
 * by the next group commit whatever the policy, so that recovery never has to look far back. */
int log_roll(struct log *log)
{
    struct segment *sealed = log_active(log);
    struct segment *segment;
    char path[LOG_PATH_SIZE];
    int rc;

    mr_assert(!log->is_writing);
    if (sealed->base_offset == log->end_offset) {
        return 0;
    }
    rc = segment_clean_tail(sealed);
    if (rc != 0) {
        return rc;
    }
    rc = segment_create(log, log->end_offset, &segment, NULL);
    if (rc != 0) {
        return rc;
    }
    rc = log_add_segment(log, segment);
    if (rc != 0) {
        log_path(log, segment->base_offset, ".log", path);
        (void)mr_disk_unlink(log->disk, path); /* empty */
        segment_free(segment);
        return rc;
    }
    log->sealed_bytes += sealed->size_bytes;
    if (sealed->is_index_loaded) {
        (void)segment_store_index(sealed); /* without it the first reader makes it anew */
    }
    (void)segment_file(sealed, &(struct log_file *){NULL}); /* into the list of open ones */
    log_path(log, segment->base_offset, ".snapshot", path);
    (void)producers_store(&log->producers, log->disk, path); /* without it the replay is longer */
    snapshots_trim(log);
    log->flush_position = 0;
    log->unflushed_bytes = 0;
    log->is_directory_dirty = true;
    log->is_checkpoint_dirty = true;
    log_count(log, LOG_TOTAL_ROLLS, 1);
    sync_want(log);
    return 0;
}

/* ---- opening ---- */

static void log_free(struct log *log)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < log->segment_count; i++) {
        bytes += log->segments[i]->size_bytes + log->segments[i]->index_bytes;
        segment_free(log->segments[i]);
    }
    log_count(log, LOG_TOTAL_SEGMENTS, -(int64_t)log->segment_count);
    budget_free(log, bytes);
    mr_timer_stop(&log->sync_timer);
    mr_task_cancel(&log->turn);
    mr_metric_set_free(log->metrics);
    mr_buf_unref(log->sync_checkpoint);
    (void)pthread_mutex_destroy(&log->checkpoint_mutex);
    epochs_done(&log->epochs);
    producers_done(&log->producers);
    mr_free(log->segments);
    mr_free(log->directory);
    log->magic = 0;
    mr_free(log);
}

static void on_turn(struct mr_task *task)
{
    struct log *log = task->owner;

    mr_assert(log->magic == LOG_MAGIC);
    append_step(log);
    sync_step(log);
    log_turn(log);
    if (log->state != LOG_OPEN) {
        log_close_step(log); /* may free the log */
    }
}

int log_open(const struct log_env *env, const char *directory, const struct mr_uuid *topic_id,
             const struct log_config *config, struct log **ret_log, struct mr_error *error)
{
    struct log *log;
    int rc;

    mr_assert(env->loop != NULL && env->disk != NULL);
    mr_assert(env->fsync_workers != NULL && env->io_workers != NULL);
    if (config_check(config) != 0) {
        return mr_fail(error, MR_EINVAL, "log %s: configuration", directory);
    }
    if (strlen(directory) > LOG_PATH_SIZE - LOG_NAME_SIZE) {
        return mr_fail(error, MR_ETOOLARGE, "log %s: path", directory);
    }
    log = mr_calloc(1, sizeof *log);
    if (log == NULL) {
        return mr_fail(error, MR_ENOMEM, "log %s", directory);
    }
    log->magic = LOG_MAGIC;
    (void)pthread_mutex_init(&log->checkpoint_mutex, NULL); /* a plain one cannot fail on Linux */
    log->env = env;
    log->disk = env->disk;
    log->config = *config;
    log->passed_offset = -1;
    log->passed_keep_ms = -1;
    mr_list_init(&log->open_segments);
    mr_list_init(&log->queued);
    mr_list_init(&log->writing);
    mr_list_init(&log->unsynced);
    mr_list_init(&log->finished);
    producers_init(&log->producers, config->producers_max);
    mr_task_init(&log->turn, env->loop, on_turn, log);
    sync_init(log);
    log->directory = mr_strdup(directory);
    if (log->directory == NULL) {
        rc = mr_fail(error, MR_ENOMEM, "log %s", directory);
        goto free_log;
    }
    rc = log_recover(log, topic_id, error);
    if (rc != 0) {
        (void)mr_error_context(error, "log %s", directory);
        goto free_log;
    }
    segment_rest(log_active(log)); /* of thousands most are never touched */
    log_metrics_open(log);
    *ret_log = log;
    return 0;
free_log:
    log_free(log);
    return rc;
}

/* ---- closing ---- */

/* What a clean start finds: indexes, producers, and a checkpoint that says that nothing is to be
 * looked at. Failures only make the next start longer, and so does a power loss: none of it is
 * synced, or a node with many logs would not end in time. */
static void close_marks(struct log *log)
{
    struct segment *active = log_active(log);
    char path[LOG_PATH_SIZE];
    int rc;

    if (log->health != 0 || log->synced_offset != log->end_offset) {
        return;
    }
    if (active->is_index_loaded) {
        (void)segment_store_index(active);
    }
    log_path(log, log->end_offset, ".snapshot", path);
    (void)producers_store(&log->producers, log->disk, path);
    rc = log_checkpoint_soft(log, log->end_offset, true);
    if (rc != 0) {
        mr_warn("log closed without its checkpoint; the next start checks more",
                KV_STR("directory", log->directory), KV_ERR(rc));
    }
}

struct removal {
    struct mr_work work;
    struct mr_disk *disk;
    char *directory;
};

static void removal_run(struct mr_work *work)
{
    struct removal *removal = work->owner;

    (void)mr_disk_remove_tree(removal->disk, removal->directory, NULL); /* log_env_sweep goes on */
}

static void removal_done(struct mr_work *work)
{
    struct removal *removal = work->owner;

    mr_free(removal->directory);
    mr_free(removal);
}

/* Steals the name. */
static void removal_start(const struct log_env *env, char *directory)
{
    struct removal *removal = mr_calloc(1, sizeof *removal);

    if (removal == NULL) {
        mr_free(directory); /* the sweep at the next start finds it */
        return;
    }
    removal->disk = env->disk;
    removal->directory = directory;
    removal->work = (struct mr_work){.run = removal_run, .done = removal_done, .owner = removal};
    if (mr_workers_submit(env->io_workers, &removal->work) != 0) {
        removal_done(&removal->work);
    }
}

/* The name that says "on its way out": Kafka's <name>.<random>-delete. */
static void delete_directory(struct log *log)
{
    uint64_t unique = mr_random_u64(log->env->random);
    char *gone = mr_asprintf("%s.%016" PRIx64 "-delete", log->directory, unique);
    char *slash;
    int rc = gone == NULL ? MR_ENOMEM : mr_disk_rename(log->disk, log->directory, gone);

    if (rc != 0) {
        mr_free(gone);
        gone = mr_strdup(log->directory);
        if (gone == NULL) {
            return;
        }
    } else {
        slash = strrchr(log->directory, '/');
        if (slash != NULL && slash != log->directory) {
            *slash = '\0';
            (void)mr_disk_fsync_directory(log->disk, log->directory); /* else it comes back whole */
            *slash = '/';
        }
    }
    removal_start(log->env, gone);
}

void log_close_step(struct log *log)
{
    log_close_cb cb = log->close_cb;
    void *owner = log->close_owner;

    if (log->state == LOG_DRAINING) {
        if (log->is_writing || log->is_syncing || log->is_flushing ||
            !mr_list_is_empty(&log->queued)) {
            return;
        }
        log->state = LOG_SYNCING;
        if (!log->is_deleting && log->health == 0 && segment_clean_tail(log_active(log)) == 0) {
            log->is_sync_wanted = true;
            sync_step(log);
        }
    }
    if (log->state == LOG_SYNCING && !log->is_syncing) {
        append_fail_waiting(log, MR_ECANCELED); /* only after a failure is anyone left */
        log->state = LOG_CLOSED;
        if (!log->is_deleting) {
            close_marks(log);
        }
    }
    if (log->state != LOG_CLOSED) {
        return;
    }
    if (!mr_list_is_empty(&log->finished) || !mr_list_is_empty(&log->syncs_finished)) {
        mr_task_post(&log->turn);
        return;
    }
    if (log->is_deleting) {
        delete_directory(log);
    }
    log_free(log);
    cb(owner);
}

void log_close(struct log *log, log_close_cb cb, void *owner)
{
    mr_assert(log->magic == LOG_MAGIC);
    mr_assert(log->state == LOG_OPEN);
    log->state = LOG_DRAINING;
    log->close_cb = cb;
    log->close_owner = owner;
    mr_timer_stop(&log->sync_timer);
    mr_task_post(&log->turn);
}

void log_delete(struct log *log, log_close_cb cb, void *owner)
{
    log->is_deleting = true;
    log_close(log, cb, owner);
    append_fail_waiting(log, MR_ECANCELED);
}

struct sweep {
    const struct log_env *env;
    const char *parent;
};

static int on_sweep_name(void *owner, const char *name)
{
    static const char suffix[] = "-delete";
    const struct sweep *sweep = owner;
    size_t size = strlen(name);

    if (size > sizeof suffix - 1 && strcmp(name + size - (sizeof suffix - 1), suffix) == 0) {
        char *path = mr_asprintf("%s/%s", sweep->parent, name);

        if (path != NULL) {
            removal_start(sweep->env, path);
        }
    }
    return 0;
}

void log_env_sweep(const struct log_env *env, const char *parent_directory)
{
    struct sweep sweep = {.env = env, .parent = parent_directory};

    (void)mr_disk_list(env->disk, parent_directory, on_sweep_name, &sweep);
}

/* ---- asking ---- */

int log_configure(struct log *log, const struct log_config *config)
{
    int rc = config_check(config);

    if (rc != 0) {
        return rc;
    }
    log->config = *config;
    log->producers.count_max = config->producers_max;
    mr_timer_stop(&log->sync_timer);
    if (log->synced_offset < log->end_offset) {
        sync_dirty(log);
    }
    return 0;
}

const char *log_directory(const struct log *log)
{
    return log->directory;
}

int64_t log_start_offset(const struct log *log)
{
    return log->start_offset;
}

int64_t log_end_offset(const struct log *log)
{
    return log->end_offset;
}

int64_t log_synced_offset(const struct log *log)
{
    return log->synced_offset;
}

int64_t log_size_bytes(const struct log *log)
{
    return log->sealed_bytes + log_active(log)->size_bytes;
}

int log_health(const struct log *log)
{
    return log->health;
}

void log_segments_each(struct log *log, log_segment_cb cb, void *owner)
{
    for (size_t i = 0; i < log->segment_count; i++) {
        const struct segment *segment = log->segments[i];
        struct log_segment_info info = {
            .base_offset = segment->base_offset,
            .next_offset = segment->next_offset,
            .size_bytes = segment->size_bytes,
            .max_timestamp_ms = segment->is_timestamp_known ? segment->max_timestamp_ms : -1,
            .last_append_ms = segment->last_append_ms,
            .is_active = i + 1 == log->segment_count,
        };

        cb(owner, &info);
    }
}
