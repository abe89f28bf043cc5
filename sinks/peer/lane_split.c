/* A batch that the hub does not take as it is: sent in pieces, one at a time, until what it refuses
 * is a single record. That one is named in the answer (the flow makes a dead letter of it), and
 * since its sequence will never come, the records behind it go on under the next epoch.
 *
 * A crash in the middle finds the refused ones in the committed lineage, and what was taken by
 * asking. */
#include <stdio.h>

#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/wire/kafka_error.h"
#include "sinks/peer/peer_internal.h"

static void on_cut(struct mr_work *work);

void lane_split(struct lane *lane, int32_t record_count_max)
{
    lane->piece_count_max = record_count_max;
    lane_move(lane, LANE_SPLITTING);
    mr_task_post(&lane->step_task);
}

static void cut(struct lane *lane)
{
    const struct sink_write *write = lane_first(lane);
    int rc;

    lane->piece = (struct batch_piece){.disk = write->disk,
                                       .fd = write->fd,
                                       .position = write->position,
                                       .size_bytes = write->size_bytes,
                                       .from_offset = lane->next_offset,
                                       .record_count_max = lane->piece_count_max,
                                       .is_plain = lane->is_plain,
                                       .lineage = lane->lineage};
    lane->piece.work =
        (struct mr_work){.run = batch_piece_run, .done = on_cut, .owner = &lane->piece};
    rc = mr_workers_submit(lane->peer->sink.host->workers, &lane->piece.work);
    lane->is_cutting = rc == 0;
    if (rc != 0) {
        lane_fail(lane, SINK_RETRY, "no thread to split a batch: %s", mr_code_text(rc));
    }
}

void lane_split_step(struct lane *lane)
{
    const struct sink_write *write = lane_first(lane);

    if (lane->in_flight > 0 || lane->is_cutting || lane->is_reading) {
        return;
    }
    if (lane->next_offset < write->next_offset) {
        cut(lane);
        return;
    }
    lane_move(lane, LANE_SENDING);
    lane_answer_first(lane, SINK_OK);
    lane_step(lane);
}

static void send_piece(struct lane *lane)
{
    struct batch_piece *piece = &lane->piece;
    struct flight *flight;
    int rc = MR_ENOMEM;

    if (piece->first_offset != lane->next_offset) { /* a hole in the offsets */
        int64_t offset = piece->first_offset;
        batch_piece_done(piece);
        lane_bump(lane, offset);
        lane->after_commit = LANE_SPLITTING;
        lane_commit_awaited(lane);
        return;
    }
    flight = flight_new(lane, lane_first(lane));
    if (flight != NULL) {
        flight->is_piece = true;
        flight->payload.memory =
            (struct mr_slice){.data = piece->batch->data, .size_bytes = piece->batch->size_bytes};
        flight->next_offset = piece->next_offset;
        rc = flight_send(flight);
    }
    if (rc != 0) {
        mr_free(flight);
        batch_piece_done(piece);
        if (rc == MR_ENETWORK) {
            lane_unsure(lane, "the connection ended");
        } else {
            lane_fail(lane, SINK_RETRY, "Produce: %s", mr_code_text(rc));
        }
    }
}

static void on_cut(struct mr_work *work)
{
    struct batch_piece *piece = work->owner;
    struct lane *lane = mr_container(piece, struct lane, piece);
    int rc = piece->rc;

    lane->is_cutting = false;
    if (lane->machine.state != LANE_SPLITTING || rc != 0) {
        batch_piece_done(piece);
    }
    if (lane->machine.state != LANE_SPLITTING) {
        lane_step(lane);
    } else if (rc == 0) {
        send_piece(lane);
    } else if (rc == MR_ENOENT) { /* no record follows: the hole shows as a gap */
        lane_move(lane, LANE_SENDING);
        lane_answer_first(lane, SINK_OK);
        lane_step(lane);
    } else if (rc == MR_ENOMEM || rc == MR_EIO) {
        lane_fail(lane, SINK_RETRY, "a batch cannot be split: %s", mr_code_text(rc));
    } else {
        (void)snprintf(lane->reason, sizeof lane->reason,
                       "the batch is damaged on this node's disk: %s", mr_code_text(rc));
        lane_move(lane, LANE_SENDING);
        lane_answer_first(lane, SINK_PERMANENT);
        lane_step(lane);
    }
}

/* ---- answers to pieces; the step that follows cuts the next one ---- */

void lane_split_taken(struct lane *lane)
{
    if (lane->grows_again && lane->piece_count_max > 0 && lane->piece_count_max < INT32_MAX / 2) {
        lane->piece_count_max *= 2;
    }
}

void lane_split_refused(struct lane *lane, int code)
{
    const struct batch_piece *piece = &lane->piece;
    const struct sink_write *write = lane_first(lane);
    int64_t offset = piece->first_offset;
    int32_t given_up;

    lane->next_offset = offset;
    if (code == KAFKA_UNSUPPORTED_COMPRESSION_TYPE && !lane->is_plain) {
        lane->is_plain = true;
        return;
    }
    if (piece->record_count > 1) {
        lane->piece_count_max = piece->record_count / 2 + piece->record_count % 2;
        return;
    }
    given_up = lineage_add_bad(&lane->lineage, offset, piece->first_index,
                               (int32_t)(write->next_offset - offset));
    lane_count(lane, PEER_REFUSED, given_up);
    lane->piece_count_max = 1;
    lane->grows_again = true;
    lane_bump(lane, offset + given_up);
    lane->after_commit = LANE_SPLITTING;
    lane_commit_awaited(lane);
}
