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
 */
#include "agent/flow/lane_internal.h"

#include <string.h>

#include "base/codec/codec.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/wire/batch.h"
#include "queue/wire/batch_check.h"

enum {
    LANE_IN_FLIGHT = 4,
    LANE_RETRY_MS = 250,
    LANE_CHECKPOINT_OFFSETS = 1000000, /* replayed at most, about, after a crash */
    LANE_BATCH_SIZE_MAX = 128 << 20,
};

static void lane_pump(struct lane *lane);
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

void lane_retry_in(struct lane *lane, int64_t delay_ms)
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
                lane_retry_in(lane, LANE_RETRY_MS);
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
    lane_retry_in(lane, rc == 0 ? 0 : LANE_RETRY_MS);
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
        lane_retry_in(lane,
                      0); /* what all sinks have makes room before anything is dropped or waits */
        return;
    }
    tell_trouble(lane, rc);
    lane->refused = rc;
    if (is_room && lane->when_full == QUEUE_DROP_OLDEST) {
        drop_oldest(lane);
    } else {
        lane_retry_in(lane, LANE_RETRY_MS);
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
            lane_checkpoint_start(lane);
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
        lane_retry_in(lane, 0);
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
        lane_retry_in(lane, 0); /* asked once more, and then cancelled */
    }
}

/* ---- start ---- */

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
    int rc = lane_checkpoint_load(lane);

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
    mr_timer_init(&lane->checkpoint_timer, env->loop, lane_on_checkpoint_timer, lane);
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
    rc = lane_checkpoint_paths(lane);
    if (rc == 0) {
        rc = lane_recover(lane, error);
    }
    if (rc == 0) {
        rc = mr_timer_start(&lane->checkpoint_timer, LANE_CHECKPOINT_SOON_MS);
    }
    if (rc != 0) {
        goto free_lane;
    }
    queue_producer_set_before_delete(lane->producer, lane_on_before_delete, lane);
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
        lane_checkpoint_start(lane);
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
