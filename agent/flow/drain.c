/* The sink's side of a drain: opening, the backoff of the destination, status, closing. */
#include <stdio.h>
#include <string.h>

#include "agent/flow/drain_internal.h"
#include "base/codec/codec.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/queue.h"

static const struct mr_metric_def drain_metrics[DRAIN_METRIC_COUNT] = {
    [DRAIN_EVENTS] = {"millrace_sink_events_total", MR_COUNTER, "Records delivered.", "sink"},
    [DRAIN_BYTES] = {"millrace_sink_bytes_total", MR_COUNTER,
                     "Bytes of log delivered (compressed, where batches are sent as they are).",
                     "sink"},
    [DRAIN_WRITES] = {"millrace_sink_writes_total", MR_COUNTER, "Writes delivered.", "sink"},
    [DRAIN_RETRIES] = {"millrace_sink_retries_total", MR_COUNTER,
                       "Writes that failed for now and were taken back.", "sink"},
    [DRAIN_SKIPPED] = {"millrace_sink_skipped_records_total", MR_COUNTER,
                       "Records that the log no longer held when the sink came to them.", "sink"},
    [DRAIN_DEAD] = {"millrace_sink_dead_letters_total", MR_COUNTER,
                    "Records that the destination refused for good.", "sink"},
    [DRAIN_LOST] = {"millrace_sink_lost_records_total", MR_COUNTER,
                    "Records that the destination had taken and lost again.", "sink"},
};

const char *drain_id(const struct drain *drain)
{
    return drain->config.id;
}

/* ---- what the sink may call ---- */

static struct drain *drain_of(struct sink_host *host)
{
    return mr_container(host, struct drain, host);
}

static size_t state_get(struct sink_host *host, const char *topic, int32_t partition, void *state,
                        size_t size)
{
    struct part *part = part_find(drain_of(host), topic, partition);

    return part == NULL ? 0 : part_state_get(part, state, size);
}

static int state_commit(struct sink_host *host, const char *topic, int32_t partition,
                        const void *state, size_t size, void (*done)(void *owner, int rc),
                        void *owner)
{
    struct part *part = part_find(drain_of(host), topic, partition);

    return part == NULL ? MR_ENOENT : part_state_commit(part, state, size, done, owner);
}

static void rewind_part(struct sink_host *host, const char *topic, int32_t partition,
                        int64_t offset)
{
    struct part *part = part_find(drain_of(host), topic, partition);

    if (part != NULL) {
        part_rewind(part, offset);
    }
}

static void lost(struct sink_host *host, const char *topic, int32_t partition, const char *reason,
                 int64_t records)
{
    struct drain *drain = drain_of(host);
    struct part *part = part_find(drain, topic, partition);

    mr_error("records are lost at the destination", KV_STR("sink", drain->config.id),
             KV_STR("topic", topic), KV_I64("partition", partition), KV_STR("reason", reason),
             KV_I64("records", records));
    drain_count(drain, DRAIN_LOST, records);
    if (part != NULL) {
        part_lost(part, records);
    }
}

static int partition_info(struct sink_host *host, const char *topic, int32_t partition,
                          struct sink_partition_info *ret_info)
{
    struct part *part = part_find(drain_of(host), topic, partition);

    if (part == NULL) {
        return MR_ENOENT;
    }
    part_info(part, ret_info);
    return 0;
}

static const struct sink_host_ops host_ops = {
    .state_get = state_get,
    .state_commit = state_commit,
    .rewind = rewind_part,
    .lost = lost,
    .partition_info = partition_info,
};

/* ---- backoff ---- */

static void pump_all(struct drain *drain)
{
    mr_list_each(&drain->parts, link, next)
    {
        part_pump(part_of(link));
    }
}

static void on_retry(struct mr_timer *timer)
{
    pump_all(timer->owner);
}

/* Half of the delay is chance, so that a fleet does not come back in one beat. */
static int64_t next_delay(struct drain *drain, const struct sink_outcome *outcome)
{
    int64_t delay = drain->delay_ms;

    if (outcome->class == SINK_AUTH) {
        delay = drain->config.delay_ms_max;
    } else if (outcome->retry_after_ms > 0) {
        return outcome->retry_after_ms;
    }
    drain->delay_ms = drain->delay_ms * 2 > drain->config.delay_ms_max ? drain->config.delay_ms_max
                                                                       : drain->delay_ms * 2;
    return delay / 2 + (int64_t)mr_random_below(drain->config.random, (uint64_t)delay / 2 + 1);
}

void drain_failed(struct drain *drain, const struct sink_outcome *outcome)
{
    int64_t delay_ms;

    drain->failures++;
    drain_count(drain, DRAIN_RETRIES, 1);
    (void)snprintf(drain->last_error, sizeof drain->last_error, "%s",
                   outcome->reason == NULL ? "no reason given" : outcome->reason);
    if (drain_is_waiting(drain)) {
        return; /* several writes fail together: one failure of the destination */
    }
    delay_ms = next_delay(drain, outcome);
    mr_warn("the sink failed and is tried again", KV_STR("sink", drain->config.id),
            KV_STR("reason", drain->last_error), KV_I64("retry_in_ms", delay_ms),
            KV_I64("failures", drain->failures));
    if (mr_timer_start(&drain->retry_timer, delay_ms) != 0) {
        mr_error("no memory for a timer: the sink waits for new records",
                 KV_STR("sink", drain->config.id));
    }
}

void drain_succeeded(struct drain *drain)
{
    if (drain->failures > 0) {
        mr_info("the sink works again", KV_STR("sink", drain->config.id),
                KV_I64("failures", drain->failures));
    }
    drain->failures = 0;
    drain->delay_ms = drain->config.delay_ms_min;
    drain->last_error[0] = '\0';
}

/* ---- looking at it ---- */

void drain_each(struct drain *drain, drain_row_cb cb, void *owner)
{
    mr_list_each(&drain->parts, link, next)
    {
        struct drain_row row;
        part_row(part_of(link), &row);
        cb(owner, &row);
    }
}

void drain_status(struct drain *drain, struct drain_state *ret_state)
{
    memset(ret_state, 0, sizeof *ret_state);
    if (drain->config.type->status != NULL && !drain->is_sink_closed) {
        drain->config.type->status(drain->sink, &ret_state->sink);
    }
    ret_state->last_error = drain->last_error;
    ret_state->failures = drain->failures;
    ret_state->retry_in_ms = -1;
    if (drain_is_waiting(drain)) {
        int64_t left_us = drain->retry_timer.due_us - mr_loop_now_us(drain->config.loop);
        ret_state->retry_in_ms = left_us > 0 ? left_us / 1000 : 0;
    }
}

/* ---- open and close ---- */

static void on_topic(void *owner, const char *topic, int32_t partitions, bool is_local)
{
    struct drain *drain = owner;

    (void)is_local;
    for (int32_t i = 0; i < partitions && !drain->is_closing; i++) {
        struct mr_error error = {0};
        if (part_find(drain, topic, i) == NULL && part_open(drain, topic, i, &error) != 0) {
            mr_error("a partition cannot be read by the sink until the next start",
                     KV_STR("sink", drain->config.id), KV_STR("topic", topic),
                     KV_I64("partition", i), KV_STR("reason", error.text));
        }
    }
}

static void drain_free(struct drain *drain)
{
    mr_list_each(&drain->parts, link, next)
    {
        part_free(part_of(link));
    }
    queue_watch_close(drain->watch);
    dead_letters_free(drain->dead_letters);
    mr_timer_stop(&drain->retry_timer);
    mr_task_cancel(&drain->close_task);
    mr_codec_context_free(drain->codecs);
    mr_metric_set_free(drain->metrics);
    mr_free(drain->sink);
    mr_free(drain);
}

static void on_close_task(struct mr_task *task)
{
    struct drain *drain = task->owner;
    void (*closed)(void *owner) = drain->closed;
    void *owner = drain->closed_owner;
    bool is_done = drain->is_closing && drain->is_sink_closed;

    if (!is_done) {
        return;
    }
    mr_list_each(&drain->parts, link, next)
    {
        is_done = part_close_step(part_of(link)) && is_done;
    }
    if (is_done) {
        drain_free(drain);
        closed(owner);
    }
}

static void on_sink_closed(void *owner)
{
    struct drain *drain = owner;

    drain->is_sink_closed = true;
    mr_task_post(&drain->close_task);
}

void drain_close(struct drain *drain, void (*done)(void *owner), void *owner)
{
    drain->is_closing = true;
    drain->closed = done;
    drain->closed_owner = owner;
    mr_timer_stop(&drain->retry_timer);
    drain->config.type->close(drain->sink, on_sink_closed, drain);
}

static int open_sink(struct drain *drain, struct mr_error *error)
{
    const struct drain_config *config = &drain->config;

    drain->host = (struct sink_host){.ops = &host_ops,
                                     .loop = config->loop,
                                     .disk = config->disk,
                                     .net = config->net,
                                     .random = config->random,
                                     .workers = config->workers,
                                     .metrics = config->metrics,
                                     .sink_id = config->id,
                                     .node_name = config->node_name,
                                     .node_uuid = config->node_uuid,
                                     .is_node_cloned = config->is_node_cloned,
                                     .cluster_key = config->cluster_key,
                                     .cluster_id = queue_cluster_id(config->queue)};
    drain->sink = mr_calloc(1, config->type->size_bytes);
    if (drain->sink == NULL) {
        return mr_fail(error, MR_ENOMEM, "open");
    }
    drain->sink->type = config->type;
    drain->sink->host = &drain->host;
    drain->sink->options = config->options;
    return config->type->open(drain->sink, error);
}

int drain_open(const struct drain_config *config, struct drain **ret_drain, struct mr_error *error)
{
    struct drain *drain = mr_calloc(1, sizeof *drain);
    int rc = MR_ENOMEM;

    if (drain == NULL) {
        return mr_fail(error, rc, "sink '%s'", config->id);
    }
    drain->config = *config;
    drain->delay_ms = config->delay_ms_min;
    mr_list_init(&drain->parts);
    mr_timer_init(&drain->retry_timer, config->loop, on_retry, drain);
    mr_task_init(&drain->close_task, config->loop, on_close_task, drain);
    drain->metrics =
        mr_metric_set_new(config->metrics, drain_metrics, DRAIN_METRIC_COUNT, &config->id, 1);
    rc = mr_codec_context_new(&drain->codecs);
    if (rc == 0) { /* first: the sink may ask for its state while it opens; nothing is read yet */
        rc = queue_watch_topics(config->queue, config->topics->items, config->topics->count,
                                on_topic, drain, &drain->watch);
    }
    rc = rc == 0 ? open_sink(drain, error) : mr_fail(error, rc, "topics");
    if (rc != 0) {
        (void)mr_error_context(error, "sink '%s'", config->id);
        drain_free(drain);
        return rc;
    }
    *ret_drain = drain;
    return 0;
}
