/* All pipelines of a node: sources with their lanes, and sinks with their drains. */
#ifndef AGENT_FLOW_FLOW_H
#define AGENT_FLOW_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/flow/drain.h"
#include "agent/flow/intake.h"
#include "base/core/random.h"

struct config;
struct flow;
struct mr_json;
struct queue;

struct flow_env {
    const struct config *config;
    struct queue *queue;
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct mr_net *net;
    struct mr_random *random;
    struct mr_workers *workers;
    struct mr_metrics *metrics;
    struct mr_uuid node_uuid;
    struct mr_uuid lineage_uuid;
    bool is_node_cloned;
};

/* On failure too *ret_flow is set, unless it is NULL: what was opened is closed with flow_close. */
int flow_open(const struct flow_env *env, struct flow **ret_flow, struct mr_error *error);
/* Sources first, then sinks (which finish what they have begun), then the lanes with their
 * checkpoints; done later. */
void flow_close(struct flow *flow, void (*done)(void *owner), void *owner);

/* One JSON value each, for the admin pages and the command line: pages.c. */
void flow_files_json(struct flow *flow, struct mr_json *json);
void flow_sinks_json(struct flow *flow, struct mr_json *json);
void flow_ledger_json(struct flow *flow, struct mr_json *json);
/* 0, or why something does not flow (a lane that is stopped, a sink that fails), in words. */
int flow_health(struct flow *flow, struct mr_error *error);

#endif
