/* A lane: one partition of a local topic, as its sources see it. It keeps batches in order, does
 * what when_full says, owns the table of positions, and checkpoints it.
 *
 * Happy path: lane_append -> the log -> the batch's mr.pos goes into the table -> done. At most
 * LANE_IN_FLIGHT batches are with the log; a refusal stops the lane, so that nothing overtakes. */
#ifndef AGENT_FLOW_LANE_H
#define AGENT_FLOW_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/flow/positions.h"
#include "base/core/list.h"
#include "queue/producer.h"
#include "queue/queue.h"

struct lane;
struct lane_batch;
struct mr_disk;
struct mr_error;
struct mr_loop;
struct mr_workers;
struct queue;

enum lane_outcome { LANE_APPENDED, LANE_DROPPED, LANE_CANCELED };
enum lane_batch_state { LANE_WAITS, LANE_SUBMITTED, LANE_IS_DONE };
typedef void (*lane_done_cb)(struct lane_batch *batch, enum lane_outcome outcome);

/* Belongs to the lane from lane_append until done. */
struct lane_batch {
    struct mr_link link; /* the lane's */
    struct queue_append append;
    struct lane *lane;
    struct mr_buf *data; /* one reference, the batch's */
    struct mr_buf *pos;  /* the value of mr.pos in it, likewise */
    int64_t events;
    int64_t bytes;
    enum lane_batch_state state; /* the lane's */
    enum lane_outcome outcome;   /* once it is done */
    lane_done_cb done;           /* exactly once, later, in order */
    void *owner;
};

struct lane_env {
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct mr_workers *workers;
    struct queue *queue;
    struct mr_uuid node_uuid;
    /* Something may be appended again after lane_is_blocked. */
    void (*on_ready)(void *owner);
    void *owner;
};

/* Opens the partition, loads the checkpoint and replays what is newer. Blocks (start-up). */
int lane_open(const struct lane_env *env, const char *topic, int32_t partition,
              enum queue_when_full when_full, struct lane **ret_lane, struct mr_error *error);
/* From now on what the log does not take at once is cancelled instead of waiting for room: the node
 * stops. */
void lane_end(struct lane *lane);
/* Batches not yet taken by the log are cancelled; then the table is checkpointed, then done
 * (later). */
void lane_close(struct lane *lane, void (*done)(void *owner), void *owner);

void lane_append(struct lane *lane, struct lane_batch *batch);
/* True while batches wait: whoever offers more should wait for on_ready. */
bool lane_is_blocked(const struct lane *lane);
/* The table was changed without a batch: it is checkpointed within a second. */
void lane_checkpoint_soon(struct lane *lane);
struct positions *lane_positions(struct lane *lane);
const char *lane_topic(const struct lane *lane);
int32_t lane_partition(const struct lane *lane);
int64_t lane_end_offset(const struct lane *lane);
/* 0, or why nothing can be appended at the moment (MR_EFULL, MR_ENOSPC, MR_EIO). */
int lane_state(const struct lane *lane);

#endif
