/* The inside of a lane: lane.c (batches on their way to the log), lane_checkpoint.c (its positions
 * on the disk). */
#ifndef AGENT_FLOW_LANE_INTERNAL_H
#define AGENT_FLOW_LANE_INTERNAL_H

#include "agent/flow/lane.h"
#include "base/core/buffer.h"
#include "base/core/loop.h"
#include "base/core/workers.h"

struct mr_codec_context;

enum { LANE_CHECKPOINT_SOON_MS = 1000 };

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

/* lane.c */
/* The batch that was refused is tried again. */
void lane_retry_in(struct lane *lane, int64_t delay_ms);

/* lane_checkpoint.c */
int lane_checkpoint_paths(struct lane *lane);
/* The newest checkpoint that is whole and not ahead of the log becomes the table. Damage is
 * survived; without memory the start fails, as going on would read everything anew. */
int lane_checkpoint_load(struct lane *lane);
/* If there is something to write, and nothing is being written. */
void lane_checkpoint_start(struct lane *lane);
void lane_on_checkpoint_timer(struct mr_timer *timer);
/* The log asks before it deletes what a start would have to replay. */
int lane_on_before_delete(void *owner, int64_t new_start_offset);

#endif
