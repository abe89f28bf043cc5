/* How things go, in order:
 *
 * 1. A batch comes in; if nothing waits before it, it goes to the log at once.
 * 2. The log answers in order. Taken: its mr.pos goes into the table, done(APPENDED). Without
 * memory for that, the batch stays first in the list, and is tried again: the table never leaves
 * one out.
 * 3. Refused for room (disk.limit or the disk itself): the lane stops. `block` waits for room (the
 * log says when; the disk is asked again every LANE_RETRY_MS). `drop_oldest` drops segments until
 * the batch fits. `drop_new` gives it up: its events are counted, and what it said about positions
 * goes back to its source, which sends it with the next batch.
 * 4. Refused for good (the disk failed under the log): the lane stays stopped and says so; nothing
 * is lost, as the positions have not moved.
 * 5. The node stops (lane_end): what would wait, and all behind it, is cancelled.
 *
 * A checkpoint holds the table as of some offset, so it is only written once the log is on the
 * platter up to there: otherwise a power loss could leave positions without their lines. Two slots
 * are written in turn; a start takes the newest one that is whole and not ahead of the log. A disk
 * without any room gets the older slot back first, as deleting segments waits for a checkpoint. */
#include "agent/flow/lane.h"

#include <string.h>

#include "base/codec/codec.h"
#include "base/core/disk.h"
#include "base/core/logger.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/core/workers.h"
#include "queue/wire/batch.h"
#include "queue/wire/batch_check.h"

enum {
    LANE_IN_FLIGHT = 4,
    LANE_RETRY_MS = 250,
    LANE_CHECKPOINT_MS = 30000,
    LANE_CHECKPOINT_SOON_MS = 1000,
    LANE_CHECKPOINT_OFFSETS = 1000000, /* replayed at most, about, after a crash */
    LANE_CHECKPOINT_SIZE_MAX = 256 << 20,
    LANE_BATCH_SIZE_MAX = 128 << 20,
};

enum checkpoint_state { CHECKPOINT_IDLE, CHECKPOINT_SYNCING, CHECKPOINT_WRITING };

struct lane {
    struct lane_env env;
    char *topic;
    int32_t partition;
    enum queue_when_full when_full;
    struct queue_producer *producer;
    struct mr_link batches; /* done ones first, then submitted ones, then those that wait */
    int in_flight;
    int refused;          /* code of the batch that stopped the lane; 0: it runs */
    bool is_refusal_told; /* false: the first that waits was refused inside of a call */
    bool is_troubled;     /* the log was told of; once until it works again */
    int64_t drops;        /* events dropped since then */
    bool is_ending;
    bool is_cut; /* something was cancelled: nothing that is behind it may be appended */
    struct mr_timer retry_timer;
    struct mr_task retry_task;
    struct mr_task pump_task;
    struct positions positions;
    bool is_closing;
    void (*closed)(void *owner);
    void *closed_owner;
    /* the checkpoint */
    enum checkpoint_state checkpoint_state;
    struct mr_timer checkpoint_timer;
    struct mr_work checkpoint_work;
    struct mr_bytes checkpoint_bytes;
    char *checkpoint_paths[2];
    uint64_t checkpoint_generation;
    bool is_checkpoint_troubled;
    bool is_last_checkpoint_tried;
    int64_t checkpoint_offset;         /* durable */
    int64_t checkpoint_offset_writing; /* being written */
    int checkpoint_rc;
    struct mr_codec_context *codecs;
    struct mr_bytes scratch;
};

static void lane_pump(struct lane *lane);
static void checkpoint_start(struct lane *lane);
static void close_step(struct lane *lane);

struct positions *lane_positions(struct lane *lane)
{
    return &lane->positions;
}

const char *lane_topic(const struct lane *lane)
{
    return lane->topic;
}

int32_t lane_partition(const struct lane *lane)
{
    return lane->partition;
}

int64_t lane_end_offset(const struct lane *lane)
{
    return queue_producer_end_offset(lane->producer);
}

int lane_state(const struct lane *lane)
{
    return lane->refused;
}

/* ---- batches ---- */

static struct lane_batch *batch_of(struct mr_link *link)
{
    return mr_container(link, struct lane_batch, link);
}

bool lane_is_blocked(const struct lane *lane)
{
    bool is_one_waiting =
        !mr_list_is_empty(&lane->batches) && batch_of(lane->batches.previous)->state == LANE_WAITS;

    return lane->refused != 0 || lane->is_closing || lane->in_flight >= LANE_IN_FLIGHT ||
           is_one_waiting;
}

static struct lane_batch *first_waiting(const struct lane *lane)
{
    mr_list_each(&lane->batches, link, next)
    {
        if (batch_of(link)->state == LANE_WAITS) {
            return batch_of(link);
        }
    }
    return NULL;
}

static void retry_in(struct lane *lane, int64_t delay_ms)
{
    if (mr_timer_start(&lane->retry_timer, delay_ms) != 0) {
        mr_task_post(&lane->retry_task); /* no memory for a timer: without a pause then */
    }
}

static void trouble_over(struct lane *lane)
{
    if (lane->is_troubled) {
        mr_info("the log takes records again", KV_STR("topic", lane->topic),
                KV_I64("partition", lane->partition), KV_I64("dropped_events", lane->drops));
    }
    lane->is_troubled = false;
    lane->drops = 0;
}

/* Done ones go back to their owners, in order. */
static void lane_settle(struct lane *lane)
{
    while (!mr_list_is_empty(&lane->batches)) {
        struct lane_batch *batch = batch_of(lane->batches.next);
        if (batch->state != LANE_IS_DONE) {
            return;
        }
        if (batch->outcome == LANE_APPENDED) {
            int rc = positions_apply(&lane->positions, batch->pos->data, batch->pos->size_bytes,
                                     batch->events, batch->append.next_offset);
            if (rc == MR_ENOMEM) {
                retry_in(lane, LANE_RETRY_MS);
                return;
            }
            mr_assert(rc == 0); /* we have encoded it */
            trouble_over(lane);
        }
        mr_list_remove(&batch->link);
        mr_buf_unref(batch->data);
        batch->data = NULL;
        batch->done(batch, batch->outcome); /* pos is the owner's, who may want it back */
    }
}

static void batch_finish(struct lane *lane, struct lane_batch *batch, enum lane_outcome outcome)
{
    batch->state = LANE_IS_DONE;
    batch->outcome = outcome;
    lane_settle(lane);
}

static void cancel_waiting(struct lane *lane)
{
    lane->is_cut = true;
    mr_list_each(&lane->batches, link, next)
    {
        struct lane_batch *batch = batch_of(link);
        if (batch->state == LANE_WAITS) {
            batch->state = LANE_IS_DONE;
            batch->outcome = LANE_CANCELED;
        }
    }
    lane_settle(lane);
}

static void drop_oldest(struct lane *lane)
{
    int64_t records = 0;
    int rc = queue_producer_drop_oldest(lane->producer, &records);

    if (rc == 0 && records > 0) {
        mr_warn("the oldest records were dropped to make room", KV_STR("topic", lane->topic),
                KV_I64("records_unread", records));
    }
    retry_in(lane, rc == 0 ? 0 : LANE_RETRY_MS);
}

static void tell_trouble(struct lane *lane, int rc)
{
    static const char *const consequences[] = {[QUEUE_BLOCK] = "the source waits",
                                               [QUEUE_DROP_OLDEST] = "the oldest segments go",
                                               [QUEUE_DROP_NEW] = "new events are dropped"};
    bool is_room = rc == MR_EFULL || rc == MR_ENOSPC;

    if (!lane->is_troubled) {
        mr_warn("the log takes nothing more", KV_STR("topic", lane->topic),
                KV_I64("partition", lane->partition), KV_ERR(rc),
                KV_STR("consequence", consequences[is_room ? lane->when_full : QUEUE_BLOCK]));
    }
    lane->is_troubled = true;
}

/* The first batch that waits was refused. */
static void lane_refused(struct lane *lane, int rc)
{
    struct lane_batch *batch = first_waiting(lane);
    bool is_room = rc == MR_EFULL || rc == MR_ENOSPC;

    lane->is_refusal_told = true;
    if (is_room && lane->when_full == QUEUE_DROP_NEW && !lane->is_cut) {
        /* Also at the end: what it counts may belong to batches before it. */
        tell_trouble(lane, rc);
        lane->refused = 0;
        lane->drops += batch->events;
        batch_finish(lane, batch, LANE_DROPPED);
        return;
    }
    if (lane->is_ending || lane->is_closing) {
        lane->refused = 0;
        cancel_waiting(lane);
        return;
    }
    if (is_room && queue_producer_drop_passed(lane->producer) == 0) {
        retry_in(lane, 0); /* what all sinks have makes room before anything is dropped or waits */
        return;
    }
    tell_trouble(lane, rc);
    lane->refused = rc;
    if (is_room && lane->when_full == QUEUE_DROP_OLDEST) {
        drop_oldest(lane);
    } else {
        retry_in(lane, LANE_RETRY_MS);
    }
}

static void on_appended(struct queue_append *append)
{
    struct lane_batch *batch = append->owner;
    struct lane *lane = batch->lane;

    lane->in_flight--;
    if (append->rc == 0) {
        batch_finish(lane, batch, LANE_APPENDED);
        if (lane->positions.offset - lane->checkpoint_offset > LANE_CHECKPOINT_OFFSETS) {
            checkpoint_start(lane);
        }
    } else {
        batch->state = LANE_WAITS; /* what came behind it was not submitted, so it is the first */
        lane_refused(lane, append->rc);
    }
    mr_task_post(&lane->pump_task);
}

/* False: nothing more can be submitted now. Calls back nobody: what is decided here is told later.
 */
static bool batch_submit(struct lane *lane, struct lane_batch *batch)
{
    int rc;

    batch->append =
        (struct queue_append){.batch = {batch->data, batch->data->data, batch->data->size_bytes},
                              .record_count = batch->events,
                              .cb = on_appended,
                              .owner = batch};
    rc = queue_producer_append(lane->producer, &batch->append);
    if (rc == MR_EAGAIN && lane->in_flight > 0) {
        return false; /* the next answer pumps */
    }
    if (rc != 0) {
        lane->refused = rc;
        lane->is_refusal_told = false;
        mr_task_post(&lane->pump_task);
        return false;
    }
    batch->state = LANE_SUBMITTED;
    lane->in_flight++;
    if (batch->append.rc != 0) {
        lane->refused = batch->append.rc; /* its callback decides; nothing overtakes it */
        return false;
    }
    return true;
}

static void submit_waiting(struct lane *lane)
{
    struct lane_batch *batch;

    while (lane->refused == 0 && lane->in_flight < LANE_IN_FLIGHT &&
           (batch = first_waiting(lane)) != NULL && batch_submit(lane, batch)) {
    }
}

static void lane_pump(struct lane *lane)
{
    if (lane->refused != 0 && !lane->is_refusal_told && lane->in_flight == 0) {
        lane_refused(lane, lane->refused);
    }
    if (lane->is_cut) {
        cancel_waiting(lane);
    } else if (!lane->is_closing) {
        submit_waiting(lane);
    }
    if (!lane_is_blocked(lane)) {
        lane->env.on_ready(lane->env.owner);
    }
    if (lane->is_closing) {
        close_step(lane);
    }
}

static void on_pump(struct mr_task *task)
{
    lane_pump(task->owner);
}

/* Time, or the log, says that there may be room, or memory, again. */
static void lane_retry(struct lane *lane)
{
    lane_settle(lane);
    if (lane->in_flight == 0 && lane->is_refusal_told) {
        lane->refused = 0;
    }
    lane_pump(lane);
}

static void on_retry(struct mr_timer *timer)
{
    lane_retry(timer->owner);
}

static void on_retry_task(struct mr_task *task)
{
    lane_retry(task->owner);
}

static void on_space(void *owner)
{
    struct lane *lane = owner;

    if (lane->refused != 0) {
        retry_in(lane, 0);
    }
}

void lane_append(struct lane *lane, struct lane_batch *batch)
{
    mr_assert(!lane->is_closing);
    batch->lane = lane;
    batch->state = LANE_WAITS;
    mr_list_append(&lane->batches, &batch->link);
    if (lane->is_cut) {
        mr_task_post(&lane->pump_task);
    } else if (first_waiting(lane) == batch) {
        submit_waiting(lane);
    }
}

void lane_end(struct lane *lane)
{
    lane->is_ending = true;
    if (lane->refused != 0) {
        retry_in(lane, 0); /* asked once more, and then cancelled */
    }
}

/* ---- the checkpoint ---- */

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
            retry_in(lane, 0); /* segments may go that waited for this */
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

static void checkpoint_start(struct lane *lane)
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

static void on_checkpoint_timer(struct mr_timer *timer)
{
    struct lane *lane = timer->owner;

    checkpoint_start(lane);
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

/* The log asks before it deletes what a start would have to replay. */
static int on_before_delete(void *owner, int64_t new_start_offset)
{
    struct lane *lane = owner;

    if (lane->checkpoint_offset >= new_start_offset) {
        return 0;
    }
    checkpoint_start(lane);
    return MR_EAGAIN;
}

/* ---- start ---- */

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

/* Damage is survived; without memory the start fails, as going on would read everything anew. */
static int checkpoint_load(struct lane *lane)
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

/* A batch that we did not make, or that is damaged, tells nothing; its records are unattributed. */
static int replay_batch(void *owner, int64_t base_offset, const uint8_t *batch, size_t size)
{
    struct lane *lane = owner;
    struct batch_header header;
    struct batch_iterator iterator;
    struct batch_record record;
    struct batch_record last = {0};
    struct batch_record_header pos;
    const uint8_t *records;
    size_t records_size;
    int rc = 0;

    if (base_offset < lane->positions.offset || batch_header_parse(batch, size, &header) != 0 ||
        (header.attributes & BATCH_CONTROL) != 0) {
        return 0;
    }
    mr_bytes_clear(&lane->scratch);
    if (batch_records(batch, &header, LANE_BATCH_SIZE_MAX, lane->codecs, &lane->scratch, &records,
                      &records_size) != 0) {
        return 0;
    }
    batch_iterator_init(&iterator, &header, records, records_size);
    while (batch_iterator_next(&iterator, &record) > 0) {
        last = record;
    }
    if (last.header_count > 0 && batch_record_find_header(&last, "mr.pos", &pos) &&
        pos.value_size > 0) {
        rc = positions_apply(&lane->positions, pos.value, (size_t)pos.value_size,
                             header.record_count, batch_next_offset(&header));
    }
    return rc == MR_ENOMEM ? rc : 0;
}

static int lane_recover(struct lane *lane, struct mr_error *error)
{
    int64_t from;
    int rc = checkpoint_load(lane);

    if (rc != 0) {
        return mr_fail(error, rc, "topic '%s'", lane->topic);
    }
    from = lane->positions.offset;
    if (from < queue_producer_start_offset(lane->producer)) {
        from = queue_producer_start_offset(lane->producer);
    }
    if (from < lane_end_offset(lane)) {
        rc = queue_producer_replay(lane->producer, from, replay_batch, lane, error);
    }
    mr_bytes_done(&lane->scratch);
    mr_bytes_init(&lane->scratch);
    if (rc == 0) {
        positions_pass(&lane->positions, lane_end_offset(lane));
    }
    return rc;
}

static int lane_paths(struct lane *lane)
{
    const char *directory = queue_producer_directory(lane->producer);

    lane->checkpoint_paths[0] = mr_asprintf("%s/sources.0.positions", directory);
    lane->checkpoint_paths[1] = mr_asprintf("%s/sources.1.positions", directory);
    return lane->checkpoint_paths[0] == NULL || lane->checkpoint_paths[1] == NULL ? MR_ENOMEM : 0;
}

static void lane_free(struct lane *lane)
{
    mr_timer_stop(&lane->retry_timer);
    mr_timer_stop(&lane->checkpoint_timer);
    mr_task_cancel(&lane->pump_task);
    mr_task_cancel(&lane->retry_task);
    if (lane->producer != NULL) {
        queue_producer_close(lane->producer);
    }
    positions_done(&lane->positions);
    mr_codec_context_free(lane->codecs);
    mr_bytes_done(&lane->scratch);
    mr_free(lane->checkpoint_paths[0]);
    mr_free(lane->checkpoint_paths[1]);
    mr_free(lane->topic);
    mr_free(lane);
}

int lane_open(const struct lane_env *env, const char *topic, int32_t partition,
              enum queue_when_full when_full, struct lane **ret_lane, struct mr_error *error)
{
    struct lane *lane = mr_calloc(1, sizeof *lane);
    int rc = MR_ENOMEM;

    if (lane == NULL) {
        return mr_fail(error, MR_ENOMEM, "topic '%s'", topic);
    }
    lane->env = *env;
    lane->partition = partition;
    lane->when_full = when_full;
    mr_list_init(&lane->batches);
    mr_bytes_init(&lane->scratch);
    positions_init(&lane->positions, &env->node_uuid);
    mr_timer_init(&lane->retry_timer, env->loop, on_retry, lane);
    mr_timer_init(&lane->checkpoint_timer, env->loop, on_checkpoint_timer, lane);
    mr_task_init(&lane->pump_task, env->loop, on_pump, lane);
    mr_task_init(&lane->retry_task, env->loop, on_retry_task, lane);
    lane->topic = mr_strdup(topic);
    if (lane->topic == NULL || mr_codec_context_new(&lane->codecs) != 0) {
        (void)mr_fail(error, rc, "topic '%s'", topic);
        goto free_lane;
    }
    rc = queue_producer_open(env->queue, topic, partition, on_space, lane, &lane->producer, error);
    if (rc != 0) {
        goto free_lane;
    }
    rc = lane_paths(lane);
    if (rc == 0) {
        rc = lane_recover(lane, error);
    }
    if (rc == 0) {
        rc = mr_timer_start(&lane->checkpoint_timer, LANE_CHECKPOINT_SOON_MS);
    }
    if (rc != 0) {
        goto free_lane;
    }
    queue_producer_set_before_delete(lane->producer, on_before_delete, lane);
    *ret_lane = lane;
    return 0;
free_lane:
    lane_free(lane);
    return rc;
}

/* ---- end ---- */

static void close_step(struct lane *lane)
{
    void (*closed)(void *owner) = lane->closed;
    void *owner = lane->closed_owner;

    if (lane->in_flight > 0 || lane->checkpoint_state != CHECKPOINT_IDLE) {
        return;
    }
    cancel_waiting(lane);
    if (!mr_list_is_empty(&lane->batches)) {
        return; /* one is appended, and waits for memory */
    }
    if (lane->positions.is_dirty && !lane->is_last_checkpoint_tried) {
        lane->is_last_checkpoint_tried = true;
        checkpoint_start(lane);
        if (lane->checkpoint_state != CHECKPOINT_IDLE) {
            return;
        }
    }
    queue_producer_set_before_delete(lane->producer, NULL, NULL);
    lane_free(lane);
    closed(owner);
}

void lane_close(struct lane *lane, void (*done)(void *owner), void *owner)
{
    lane->is_closing = true;
    lane->closed = done;
    lane->closed_owner = owner;
    mr_timer_stop(&lane->checkpoint_timer);
    mr_task_post(&lane->pump_task);
}
