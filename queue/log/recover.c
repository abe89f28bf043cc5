/* Opening what the last life has left. In order:
 *
 *     names       the segments are what the directory lists; one `stat` each, none is opened
 *     checkpoint  what is known of them, the start offset, and up to where all is on the platter
 *     tail        segments behind the recovery offset are read and checked: after a clean close
 *                 none, after a kill the active one. A torn end is cut, damage in the middle is
 *                 stepped over; where power was lost, all behind the first hole is cut
 *     end         never below what the checkpoint promises: where bytes are missing there is a
 *                 gap, and the log goes on behind it, in a segment of a new name
 *     state       leader epochs, producers: from their files, else from the batches
 *
 * A kill takes nothing that was written: what is damaged then has rotted, and all around it is
 * kept. A power loss may take any pages of what was not synced, and leave later ones. A record
 * behind such a hole must go: it says (mr.pos) that the lines in the hole are here, and their
 * source would not be read again. Which of the two it was, the boot id tells. Without any
 * checkpoint (the first one is durable before the first record) somebody has removed them: that is
 * taken for rot, too.
 *
 * Whatever is missing is made again from the segments; nothing but an error of the disk itself
 * stops it. */
#include "queue/log/recover_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/logger.h"
#include "base/core/memory.h"

struct offsets {
    int64_t *items;
    size_t count;
    size_t capacity;
};

struct listing {
    struct log *log;
    struct offsets segments;
    struct offsets snapshots;
    int rc;
};

/* ---- names ---- */

/* 20 digits and the suffix; false for anything else. */
static bool name_parse(const char *name, const char *suffix, int64_t *ret_offset)
{
    uint64_t value = 0;

    for (int i = 0; i < 20; i++) {
        if (name[i] < '0' || name[i] > '9' || __builtin_mul_overflow(value, (uint64_t)10, &value)) {
            return false;
        }
        value += (uint64_t)(name[i] - '0');
    }
    *ret_offset = (int64_t)value;
    return value <= INT64_MAX && strcmp(name + 20, suffix) == 0;
}

static int offsets_add(struct offsets *offsets, int64_t offset)
{
    int rc =
        mr_grow(&offsets->items, &offsets->capacity, offsets->count + 1, sizeof *offsets->items);

    if (rc == 0) {
        offsets->items[offsets->count] = offset;
        offsets->count++;
    }
    return rc;
}

static bool name_ends(const char *name, const char *suffix)
{
    size_t size = strlen(name);

    return size > strlen(suffix) && strcmp(name + size - strlen(suffix), suffix) == 0;
}

static int on_name(void *owner, const char *name)
{
    struct listing *listing = owner;
    struct log *log = listing->log;
    char path[LOG_PATH_SIZE];
    int64_t offset;

    if (name_parse(name, ".log", &offset)) {
        listing->rc = offsets_add(&listing->segments, offset);
    } else if (name_parse(name, ".snapshot", &offset)) {
        listing->rc = offsets_add(&listing->snapshots, offset);
    } else if (name_ends(name, ".damaged")) {
        log->damage_files++;
    } else if (name_ends(name, ".tmp") && strlen(name) < LOG_NAME_SIZE) {
        log_named_path(log, name, path);
        (void)mr_disk_unlink(log->disk, path); /* half of a write that was to be renamed */
    }
    return listing->rc;
}

static int compare_offsets(const void *left, const void *right)
{
    int64_t l = *(const int64_t *)left;
    int64_t r = *(const int64_t *)right;

    return l < r ? -1 : l > r;
}

static void offsets_sort(struct offsets *offsets)
{
    if (offsets->count > 1) {
        qsort(offsets->items, offsets->count, sizeof *offsets->items, compare_offsets);
    }
}

/* ---- partition.metadata ---- */

static int metadata_open(struct log *log, const struct mr_uuid *topic_id, struct mr_error *error)
{
    char text[MR_UUID_TEXT_SIZE];
    char line[64];
    char path[LOG_PATH_SIZE];
    char *found = NULL;
    size_t size = 0;
    int rc;

    if (topic_id == NULL || mr_uuid_is_zero(topic_id)) {
        return 0;
    }
    mr_uuid_format(topic_id, text);
    (void)snprintf(line, sizeof line, "version: 0\ntopic_id: %s\n", text);
    log_named_path(log, "partition.metadata", path);
    rc = mr_disk_read_file(log->disk, path, 4096, &found, &size, NULL);
    if (rc == 0) {
        char *id = strstr(found, "topic_id: ");
        struct mr_uuid found_id;

        if (id != NULL && strlen(id) >= 32) {
            id[32] = '\0';
            if (mr_uuid_parse(id + 10, &found_id) == 0 && !mr_uuid_equal(&found_id, topic_id)) {
                rc = mr_fail_text(error, MR_EINVAL, "belongs to topic id %s, not to %s", id + 10,
                                  text);
            }
        }
        rc = rc == 0 && strcmp(found, line) != 0 ? MR_ECORRUPT : rc;
        mr_free(found);
    }
    if (rc == MR_ENOENT || rc == MR_ECORRUPT || rc == MR_ETOOLARGE) {
        rc = mr_disk_write_file(log->disk, path, line, strlen(line), error);
    }
    return rc;
}

/* ---- segments, as far as names and checkpoint know them ---- */

const struct checkpoint_segment *recover_find(const struct checkpoint *checkpoint,
                                              int64_t base_offset)
{
    size_t low = 0;
    size_t high = checkpoint->segment_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (checkpoint->segments[middle].base_offset == base_offset) {
            return &checkpoint->segments[middle];
        }
        if (checkpoint->segments[middle].base_offset < base_offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static int segment_adopt(struct log *log, int64_t base_offset, const struct checkpoint *checkpoint,
                         struct mr_error *error)
{
    const struct checkpoint_segment *known = recover_find(checkpoint, base_offset);
    struct mr_disk_stat stat;
    struct segment *segment;
    char path[LOG_PATH_SIZE];
    int rc;

    log_path(log, base_offset, ".log", path);
    rc = mr_disk_stat(log->disk, path, &stat);
    if (rc == MR_ENOENT) {
        return 0; /* it went while we looked */
    }
    if (rc != 0) {
        return mr_fail(error, rc, "stat %s", path);
    }
    rc = segment_new(log, base_offset, &segment);
    if (rc != 0) {
        return mr_fail(error, rc, "segment %" PRId64, base_offset);
    }
    segment->size_bytes = stat.size_bytes;
    segment->first_append_ms = segment->last_append_ms = stat.modified_us / 1000;
    if (known != NULL) {
        segment->first_append_ms = known->first_append_ms;
        if (known->size_bytes == stat.size_bytes) {
            segment->next_offset = known->next_offset;
            segment->index_bytes = known->index_bytes;
            segment->last_append_ms = known->last_append_ms;
            segment->is_timestamp_known = known->max_timestamp_ms > -2;
            segment->max_timestamp_ms = known->max_timestamp_ms > -2 ? known->max_timestamp_ms : -1;
            segment->max_timestamp_offset = known->max_timestamp_offset;
        } else if (known->size_bytes > stat.size_bytes &&
                   known->next_offset <= checkpoint->recovery_offset) {
            log_count(log, LOG_TOTAL_DAMAGED_BYTES, known->size_bytes - stat.size_bytes);
            mr_warn("a segment has lost its end; what is left is served",
                    KV_STR("directory", log->directory), KV_I64("segment", base_offset),
                    KV_I64("missing_bytes", known->size_bytes - stat.size_bytes));
        }
    }
    rc = log_add_segment(log, segment);
    if (rc != 0) {
        segment_free(segment);
        return mr_fail(error, rc, "segment %" PRId64, base_offset);
    }
    (void)budget_reserve(log, segment->size_bytes + segment->index_bytes, true);
    return 0;
}

/* Behind the last record of a sealed segment there is at most the base of the next one. */
static void bound_next_offsets(struct log *log)
{
    for (size_t i = 0; i + 1 < log->segment_count; i++) {
        struct segment *segment = log->segments[i];
        int64_t next = log->segments[i + 1]->base_offset;

        if (segment->next_offset == segment->base_offset || segment->next_offset > next) {
            segment->next_offset = segment->size_bytes > 0 ? next : segment->base_offset;
        }
    }
}

/* ---- epochs ---- */

static int on_epoch_batch(void *owner, const struct batch_header *header)
{
    struct log *log = owner;
    int rc = header->leader_epoch < 0
                 ? 0
                 : epochs_add(&log->epochs, header->leader_epoch, header->base_offset);

    return rc == MR_ENOMEM ? rc : 0;
}

static int recover_epochs(struct log *log, struct mr_error *error)
{
    char path[LOG_PATH_SIZE];
    bool is_changed = false;
    int rc;

    log_named_path(log, "leader-epoch-checkpoint", path);
    rc = epochs_load(&log->epochs, log->disk, path);
    if (rc == MR_ENOENT || rc == MR_ECORRUPT) {
        rc = 0;
        for (size_t i = 0; i < log->segment_count && rc == 0; i++) {
            rc = segment_each(log->segments[i], 0, on_epoch_batch, log);
        }
        is_changed = log->end_offset > 0; /* of a log that was never written to there is no file */
    }
    if (rc != 0) {
        return mr_fail(error, rc, "leader epochs");
    }
    is_changed |= epochs_cut_end(&log->epochs, log->end_offset);
    is_changed |= epochs_cut_start(&log->epochs, log->start_offset);
    return is_changed ? epochs_store(&log->epochs, log->disk, path, error) : 0;
}

/* ---- producers ---- */

struct replay {
    struct log *log;
    int64_t append_ms;
};

static int on_producer_batch(void *owner, const struct batch_header *header)
{
    struct replay *replay = owner;

    return producers_note(&replay->log->producers, header, replay->append_ms);
}

/* Everything from `offset` on, by headers. Batches carry no append time: their segment's has to do.
 */
static int producers_replay(struct log *log, int64_t offset)
{
    int rc = 0;

    for (size_t i = log_find_segment(log, offset); i < log->segment_count && rc == 0; i++) {
        struct segment *segment = log->segments[i];
        struct replay replay = {.log = log, .append_ms = segment->last_append_ms};

        if (segment->next_offset > offset) {
            rc = segment_each(segment, offset, on_producer_batch, &replay);
        }
    }
    return rc;
}

static int recover_producers(struct log *log, const struct offsets *snapshots)
{
    char path[LOG_PATH_SIZE];

    for (size_t i = snapshots->count; i > 0; i--) {
        int rc;

        if (snapshots->items[i - 1] > log->end_offset) {
            continue;
        }
        log_path(log, snapshots->items[i - 1], ".snapshot", path);
        rc = producers_load(&log->producers, log->disk, path);
        if (rc == 0) {
            return producers_replay(log, snapshots->items[i - 1]);
        }
        if (rc != MR_ECORRUPT && rc != MR_ENOENT) {
            return rc;
        }
    }
    producers_clear(&log->producers);
    return producers_replay(log, log->start_offset);
}

/* Snapshots of what is not there (any more), and all but the newest few. */
static void snapshots_trim(struct log *log, const struct offsets *snapshots)
{
    char path[LOG_PATH_SIZE];

    for (size_t i = 0; i < snapshots->count; i++) {
        if (i + LOG_SNAPSHOTS_KEPT < snapshots->count || snapshots->items[i] > log->end_offset) {
            log_path(log, snapshots->items[i], ".snapshot", path);
            (void)mr_disk_unlink(log->disk, path);
        }
    }
}

int producers_rebuild(struct log *log)
{
    struct listing listing = {.log = log};
    int damage_files = log->damage_files;
    int rc;

    rc = mr_disk_list(log->disk, log->directory, on_name, &listing);
    log->damage_files = damage_files;
    if (rc == 0) {
        offsets_sort(&listing.snapshots);
        rc = recover_producers(log, &listing.snapshots);
    }
    mr_free(listing.segments.items);
    mr_free(listing.snapshots.items);
    return rc;
}

/* ---- all of it ---- */

static int adopt_all(struct log *log, const struct offsets *bases,
                     const struct checkpoint *checkpoint, struct mr_error *error)
{
    int rc = 0;

    for (size_t i = 0; i < bases->count && rc == 0; i++) {
        rc = segment_adopt(log, bases->items[i], checkpoint, error);
    }
    bound_next_offsets(log);
    return rc;
}

static int recover_segments(struct log *log, const struct offsets *bases,
                            const struct checkpoint *checkpoint, bool has_checkpoint,
                            struct mr_error *error)
{
    int rc = adopt_all(log, bases, checkpoint, error);

    if (rc == 0 && bases->count == 0 && !has_checkpoint) {
        /* Of a new log: that it has no gaps, and that nothing of it is synced. */
        rc = log_checkpoint_first(log);
        if (rc != 0) {
            return mr_fail(error, rc, "checkpoint");
        }
    }
    if (rc == 0 && log->segment_count > 0) {
        log->is_directory_dirty =
            !recover_is_clean(log, checkpoint); /* names that a killed life made */
        rc = recover_tail(log, checkpoint, has_checkpoint, error);
    }
    if (rc == 0) {
        rc = recover_end(log, checkpoint, error);
    }
    if (rc != 0) {
        return rc;
    }
    log->sealed_bytes = 0;
    for (size_t i = 0; i + 1 < log->segment_count; i++) {
        log->sealed_bytes += log->segments[i]->size_bytes;
    }
    log->end_offset = log->next_offset = log_active(log)->next_offset;
    log->start_offset = checkpoint->start_offset > log->segments[0]->base_offset
                            ? checkpoint->start_offset
                            : log->segments[0]->base_offset;
    log->synced_offset = has_checkpoint && checkpoint->recovery_offset < log->end_offset
                             ? checkpoint->recovery_offset
                             : log->end_offset;
    if (!has_checkpoint && log->end_offset > 0) {
        log->synced_offset = log->start_offset;
    }
    if (log->synced_offset < log->start_offset) {
        log->synced_offset = log->start_offset;
    }
    return 0;
}

int log_recover(struct log *log, const struct mr_uuid *topic_id, struct mr_error *error)
{
    struct listing listing = {.log = log};
    struct checkpoint checkpoint = {0};
    int damaged = 0;
    bool has_checkpoint;
    int rc;

    rc = mr_disk_make_directories(log->disk, log->directory, 0750, error);
    if (rc != 0) {
        return rc;
    }
    rc = metadata_open(log, topic_id, error);
    if (rc != 0) {
        return rc;
    }
    rc = checkpoint_load(log->disk, log->directory, &checkpoint, &damaged);
    has_checkpoint = rc == 0;
    if (rc != 0 && rc != MR_ENOENT) {
        return mr_fail(error, rc, "checkpoint");
    }
    log->checkpoint_generation = checkpoint.generation;
    log->is_boot_recorded = mr_uuid_equal(&checkpoint.boot_id, &log->env->boot_id);
    rc = mr_disk_list(log->disk, log->directory, on_name, &listing);
    if (rc != 0) {
        (void)mr_fail(error, rc, "list");
        goto free_all;
    }
    offsets_sort(&listing.segments);
    offsets_sort(&listing.snapshots);
    log->gaps = (checkpoint.flags & CHECKPOINT_GAPS) != 0 ||
                (!has_checkpoint && listing.segments.count > 0);
    rc = recover_segments(log, &listing.segments, &checkpoint, has_checkpoint, error);
    if (rc != 0) {
        goto free_all;
    }
    rc = recover_epochs(log, error);
    if (rc != 0) {
        goto free_all;
    }
    rc = recover_producers(log, &listing.snapshots);
    if (rc != 0) {
        (void)mr_fail(error, rc, "producers");
        goto free_all;
    }
    snapshots_trim(log, &listing.snapshots);
    if (damaged > 0) {
        mr_warn("a checkpoint was damaged; the other, or the segments, have served",
                KV_STR("directory", log->directory));
    }
    if (log->synced_offset < log->end_offset) {
        sync_dirty(log);
    }
free_all:
    mr_free(listing.segments.items);
    mr_free(listing.snapshots.items);
    checkpoint_done(&checkpoint);
    return rc;
}
