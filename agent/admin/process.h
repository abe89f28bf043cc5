/* Metrics of the process itself: memory, descriptors, processor time, uptime, and which build it
 * is. */
#ifndef AGENT_ADMIN_PROCESS_H
#define AGENT_ADMIN_PROCESS_H

#include <stdint.h>

struct mr_loop;
struct mr_metrics;
struct mr_metric_set;

struct process_metrics {
    struct mr_metric_set *process;
    struct mr_metric_set *build;
    struct mr_loop *loop;
    int64_t started_ms;
};

/* Without memory there are none. */
void process_metrics_init(struct process_metrics *self, struct mr_metrics *metrics,
                          struct mr_loop *loop);
void process_metrics_done(struct process_metrics *self);

#endif
