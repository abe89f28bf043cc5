/* The inside of a part, one partition of a drain: part.c reads, writes and counts, part_commit.c
 * keeps the position. Nobody else looks in. */
#ifndef AGENT_FLOW_PART_INTERNAL_H
#define AGENT_FLOW_PART_INTERNAL_H

#include "agent/flow/drain_internal.h"

struct part {
    struct mr_link link; /* drain->parts */
    struct drain *drain;
    char *topic;
    int32_t partition;
    struct queue_consumer *consumer;
    struct log_cursor cursor;
    struct mr_link flights; /* in order of offsets; those of older epochs are in `orphans` */
    struct mr_link orphans;
    int in_flight;
    int64_t next_offset;       /* to be read */
    int64_t opened_end_offset; /* the log's end when the part was opened */
    int64_t answered_offset;   /* everything below is delivered, dead or skipped */
    struct drain_row counts;   /* origin, delivered, skipped, dead, lost */
    bool is_reading;           /* a cold read is with a worker */
    bool is_read_troubled;     /* told of; once until reading works again */
    struct mr_timer read_timer;
    struct mr_task pump_task;
    /* the commit */
    uint8_t state[SINK_STATE_SIZE_MAX];
    size_t state_size;
    struct mr_link state_waiting; /* for the next commit */
    struct mr_link state_under_way;
    bool is_committing;
    bool is_dirty;
    struct mr_timer commit_timer;
};

struct flight {
    struct sink_write write;
    struct mr_link link;
    struct part *part;
    struct log_range range; /* RANGES */
    struct records records; /* RECORDS */
    struct mr_work work;    /* a cold read */
    int rc;
    int64_t start_offset; /* the position before it */
    int64_t bytes;
    int64_t dead; /* of its offsets; what is neither dead nor skipped is delivered */
    int64_t skipped;
    bool is_answered;
    bool is_orphan;
    bool is_away; /* with the sink, the dead letters or a worker: must not be freed */
};

/* There is something to commit: within a second. */
void part_dirty(struct part *part);
/* Now, if none is under way. */
void part_commit(struct part *part);
/* What was committed last: where to go on, and the books. */
void part_load(struct part *part);
void part_commit_init(struct part *part);
void part_commit_done(struct part *part);

#endif
