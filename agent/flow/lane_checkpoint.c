/* A checkpoint holds the table as of some offset, so it is only written once the log is on the
 * platter up to there: otherwise a power loss could leave positions without their lines. Two slots
 * are written in turn; a start takes the newest one that is whole and not ahead of the log. A disk
 * without any room gets the older slot back first, as deleting segments waits for a checkpoint. */
#include "agent/flow/lane_internal.h"

#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"

enum { LANE_CHECKPOINT_MS = 30000, LANE_CHECKPOINT_SIZE_MAX = 256 << 20 };

/* ---- writing ---- */

static void checkpoint_run(struct mr_work *work)
{
    struct lane *lane = work->owner;
    struct mr_disk *disk = lane->env.disk;
    const char *path = lane->checkpoint_paths[(lane->checkpoint_generation + 1) % 2];
    const struct mr_bytes *bytes = &lane->checkpoint_bytes;

    lane->checkpoint_rc = mr_disk_write_file(disk, path, bytes->data, bytes->size_bytes, NULL);
    if (lane->checkpoint_rc == MR_ENOSPC && mr_disk_unlink(disk, path) == 0) {
        lane->checkpoint_rc = mr_disk_write_file(disk, path, bytes->data, bytes->size_bytes, NULL);
    }
}

static void checkpoint_done(struct mr_work *work)
{
    struct lane *lane = work->owner;

    lane->checkpoint_state = CHECKPOINT_IDLE;
    mr_bytes_done(&lane->checkpoint_bytes);
    if (lane->checkpoint_rc == 0) {
        lane->checkpoint_generation++; /* a slot that failed is the next to be written, too */
        lane->checkpoint_offset = lane->checkpoint_offset_writing;
        if (lane->refused != 0) {
            lane_retry_in(lane, 0); /* segments may go that waited for this */
        }
    } else {
        lane->positions.is_dirty = true;
        if (!lane->is_checkpoint_troubled) {
            mr_warn("positions cannot be checkpointed; the last checkpoint stays",
                    KV_STR("topic", lane->topic), KV_ERR(lane->checkpoint_rc));
        }
    }
    lane->is_checkpoint_troubled = lane->checkpoint_rc != 0;
    if (lane->is_closing) {
        mr_task_post(&lane->pump_task);
    }
}

static void checkpoint_write(struct lane *lane)
{
    lane->checkpoint_state = CHECKPOINT_WRITING;
    lane->checkpoint_work =
        (struct mr_work){.run = checkpoint_run, .done = checkpoint_done, .owner = lane};
    if (mr_workers_submit(lane->env.workers, &lane->checkpoint_work) != 0) {
        lane->checkpoint_rc = MR_EAGAIN;
        checkpoint_done(&lane->checkpoint_work);
    }
}

static void on_synced(void *owner, int rc)
{
    struct lane *lane = owner;

    if (rc == 0) {
        checkpoint_write(lane);
        return;
    }
    lane->checkpoint_rc = rc;
    checkpoint_done(&lane->checkpoint_work);
}

void lane_checkpoint_start(struct lane *lane)
{
    if (lane->checkpoint_state != CHECKPOINT_IDLE || !lane->positions.is_dirty) {
        return;
    }
    mr_bytes_init(&lane->checkpoint_bytes);
    positions_encode(&lane->positions, lane->checkpoint_generation + 1, &lane->checkpoint_bytes);
    lane->checkpoint_offset_writing = lane->positions.offset;
    lane->positions.is_dirty = false;
    lane->checkpoint_work.owner = lane;
    lane->checkpoint_state = CHECKPOINT_SYNCING;
    lane->checkpoint_rc = lane->checkpoint_bytes.failed;
    if (lane->checkpoint_rc == 0) {
        lane->checkpoint_rc = queue_producer_sync(lane->producer, on_synced, lane);
    }
    if (lane->checkpoint_rc != 0) {
        checkpoint_done(&lane->checkpoint_work);
    }
}

void lane_on_checkpoint_timer(struct mr_timer *timer)
{
    struct lane *lane = timer->owner;

    lane_checkpoint_start(lane);
    (void)mr_timer_start(timer, LANE_CHECKPOINT_MS);
}

void lane_checkpoint_soon(struct lane *lane)
{
    int64_t due_us = mr_loop_now_us(lane->env.loop) + INT64_C(1000) * LANE_CHECKPOINT_SOON_MS;

    if (!lane->is_closing &&
        (!mr_timer_is_running(&lane->checkpoint_timer) || lane->checkpoint_timer.due_us > due_us)) {
        (void)mr_timer_start(&lane->checkpoint_timer, LANE_CHECKPOINT_SOON_MS);
    }
}

int lane_on_before_delete(void *owner, int64_t new_start_offset)
{
    struct lane *lane = owner;

    if (lane->checkpoint_offset >= new_start_offset) {
        return 0;
    }
    lane_checkpoint_start(lane);
    return MR_EAGAIN;
}

/* ---- start ---- */

int lane_checkpoint_paths(struct lane *lane)
{
    const char *directory = queue_producer_directory(lane->producer);

    lane->checkpoint_paths[0] = mr_asprintf("%s/sources.0.positions", directory);
    lane->checkpoint_paths[1] = mr_asprintf("%s/sources.1.positions", directory);
    return lane->checkpoint_paths[0] == NULL || lane->checkpoint_paths[1] == NULL ? MR_ENOMEM : 0;
}

static int checkpoint_read(struct lane *lane, int slot, struct positions *ret_positions,
                           uint64_t *ret_generation)
{
    char *data = NULL;
    size_t size = 0;
    int rc = mr_disk_read_file(lane->env.disk, lane->checkpoint_paths[slot],
                               LANE_CHECKPOINT_SIZE_MAX, &data, &size, NULL);

    if (rc == 0) {
        rc = positions_decode(ret_positions, data, size, ret_generation);
    }
    mr_free(data);
    if (rc != 0 && rc != MR_ENOENT && rc != MR_ENOMEM) {
        mr_warn("a checkpoint of positions is damaged; the other one, or the log, is used",
                KV_STR("path", lane->checkpoint_paths[slot]), KV_ERR(rc));
    }
    return rc;
}

/* A checkpoint that is ahead of the log stands for lines that are gone: it must not be met again
 * when the log has grown past it. */
static void checkpoint_reject(struct lane *lane, int slot, int64_t offset)
{
    mr_warn("a checkpoint of positions is ahead of the log and is not used",
            KV_STR("path", lane->checkpoint_paths[slot]), KV_I64("offset", offset),
            KV_I64("log_end_offset", lane_end_offset(lane)));
    (void)lane->env.disk->ops->unlink(lane->env.disk, lane->checkpoint_paths[slot]);
}

int lane_checkpoint_load(struct lane *lane)
{
    for (int slot = 0; slot < 2; slot++) {
        struct positions candidate;
        uint64_t generation = 0;
        positions_init(&candidate, &lane->env.node_uuid);
        int rc = checkpoint_read(lane, slot, &candidate, &generation);
        if (rc == MR_ENOMEM) {
            return rc;
        }
        if (rc == 0 && candidate.offset > lane_end_offset(lane)) {
            checkpoint_reject(lane, slot, candidate.offset);
        } else if (rc == 0 && generation > lane->checkpoint_generation) {
            struct positions other = lane->positions;
            lane->positions = candidate;
            candidate = other;
            lane->checkpoint_generation = generation;
        }
        positions_done(&candidate);
    }
    lane->checkpoint_offset = lane->positions.offset;
    return 0;
}
