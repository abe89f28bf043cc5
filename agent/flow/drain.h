/* The drain of one sink: reads the topics that the sink names, partition by partition, gives it
 * writes in order, and commits how far it is. Retry, backoff, gaps, dead letters and counting are
 * here, not in the sinks. */
#ifndef AGENT_FLOW_DRAIN_H
#define AGENT_FLOW_DRAIN_H

#include <stdint.h>

#include "base/core/option.h"
#include "base/core/random.h"
#include "sinks/sink.h"

struct drain;
struct queue;

struct drain_config {
    const char *id;
    const struct sink_type *type;
    void *options;
    const struct mr_string_list *topics;
    int64_t delay_ms_min; /* of retries */
    int64_t delay_ms_max;
    struct queue *queue;
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct mr_net *net;
    struct mr_random *random;
    struct mr_workers *workers;
    struct mr_metrics *metrics;
    const char *node_name;
    struct mr_secret *cluster_key; /* NULL: none */
    struct mr_uuid node_uuid;
    bool is_node_cloned;
};

int drain_open(const struct drain_config *config, struct drain **ret_drain, struct mr_error *error);
/* Lets the sink finish what it has (it answers everything), commits, then done (later). */
void drain_close(struct drain *drain, void (*done)(void *owner), void *owner);
const char *drain_id(const struct drain *drain);

/* One row per partition, for the ledger and `millrace sinks`. Of the records from `origin` (where
 * the sink first stood) on: end - origin = delivered + queued + skipped + dead, at all
 * times: what is answered counts when all before it is answered too. */
struct drain_row {
    const char *topic;
    int32_t partition;
    int64_t origin_offset;
    int64_t position_offset; /* everything below is answered */
    int64_t end_offset;
    int64_t delivered;
    int64_t skipped; /* gone from the log before the sink got them (drop_oldest, damage) */
    int64_t dead;    /* refused for good */
    int64_t
        lost; /* delivered once, and lost at the destination: its log was cut (counted besides) */
    int in_flight;
};
typedef void (*drain_row_cb)(void *owner, const struct drain_row *row);
void drain_each(struct drain *drain, drain_row_cb cb, void *owner);

struct drain_state {
    struct sink_status sink;
    const char *last_error; /* "" if none */
    int64_t retry_in_ms;    /* -1: not waiting */
    int64_t failures;       /* in a row */
};
void drain_status(struct drain *drain, struct drain_state *ret_state);

#endif
