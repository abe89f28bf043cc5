/* The inside of a drain: drain.c is about the sink, part.c about one partition of it. */
#ifndef AGENT_FLOW_DRAIN_INTERNAL_H
#define AGENT_FLOW_DRAIN_INTERNAL_H

#include "agent/flow/drain.h"
#include "agent/flow/records.h"
#include "base/core/list.h"
#include "base/core/loop.h"
#include "base/core/metric.h"
#include "base/core/workers.h"
#include "queue/consumer.h"

struct dead_letters;
struct mr_codec_context;
struct part;

enum {
    DRAIN_EVENTS,
    DRAIN_BYTES,
    DRAIN_WRITES,
    DRAIN_RETRIES,
    DRAIN_SKIPPED,
    DRAIN_DEAD,
    DRAIN_LOST,
    DRAIN_METRIC_COUNT
};

struct drain {
    struct sink_host host; /* first: what the sink has a pointer to */
    struct drain_config config;
    struct sink *sink;
    struct queue_watch *watch;
    struct mr_link parts;
    struct mr_codec_context *codecs;
    struct mr_metric_set *metrics;
    struct dead_letters *dead_letters; /* made when first needed */
    struct mr_timer retry_timer; /* the backoff belongs to the destination, not to a partition */
    int64_t delay_ms;
    int64_t failures;
    char last_error[256];
    bool is_closing;
    bool is_sink_closed;
    struct mr_task close_task;
    void (*closed)(void *owner);
    void *closed_owner;
};

static inline void drain_count(struct drain *drain, int metric, int64_t value)
{
    if (drain->metrics != NULL) {
        drain->metrics->values[metric] += value;
    }
}

static inline bool drain_is_waiting(const struct drain *drain)
{
    return mr_timer_is_running(&drain->retry_timer);
}

/* The destination failed or answered: sets or clears the backoff that holds for all partitions. */
void drain_failed(struct drain *drain, const struct sink_outcome *outcome);
void drain_succeeded(struct drain *drain);

/* ---- part.c ---- */

int part_open(struct drain *drain, const char *topic, int32_t partition, struct mr_error *error);
struct part *part_find(struct drain *drain, const char *topic, int32_t partition);
struct part *part_of(struct mr_link *link);
/* Reads and writes as much as may be under way. */
void part_pump(struct part *part);
void part_row(const struct part *part, struct drain_row *ret_row);
size_t part_state_get(const struct part *part, void *state, size_t size);
int part_state_commit(struct part *part, const void *state, size_t size,
                      void (*done)(void *owner, int rc), void *owner);
void part_rewind(struct part *part, int64_t offset);
void part_lost(struct part *part, int64_t records);
void part_info(const struct part *part, struct sink_partition_info *ret_info);
/* After the sink has answered everything: commits what is not committed yet. True once nothing is
 * left. */
bool part_close_step(struct part *part);
void part_free(struct part *part);

/* ---- dead_letters.c ---- */

/* Appends the records to the topic __dlq.<sink>, with the reason in headers, in as many batches as
 * it takes; done exactly once, later, when all are in the log (rc 0) or one cannot be. The records
 * must live until then. If it returns an error, done is not called. */
int dead_letters_put(struct drain *drain, const char *topic, int32_t partition,
                     const struct sink_record *records, size_t count, const char *reason,
                     void (*done)(void *owner, int rc), void *owner);
void dead_letters_free(struct dead_letters *letters);

#endif
