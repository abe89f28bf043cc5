/* Opens and closes the pipelines in their order; see flow.h. */
#include <string.h>

#include "agent/config/config.h"
#include "agent/flow/flow_internal.h"
#include "base/core/error.h"
#include "base/core/memory.h"

enum { STAGE_INTAKES, STAGE_DRAINS, STAGE_LANES, STAGE_DONE };
enum { DEFAULT_MESSAGE_SIZE = 1048588 }; /* Kafka's max.message.bytes */

static void close_stage(struct flow *flow);

/* ---- topics and lanes ---- */

static struct flow_topic *topic_find(struct flow *flow, const char *name)
{
    for (size_t i = 0; i < flow->topic_count; i++) {
        if (strcmp(flow->topics[i].name, name) == 0) {
            return &flow->topics[i];
        }
    }
    return NULL;
}

static void on_lane_ready(void *owner)
{
    struct flow *flow = owner;

    /* While they close, one by one, nobody is to go on. */
    for (size_t i = 0; i < flow->intake_count && flow->closed == NULL; i++) {
        intake_ready(flow->intakes[i]);
    }
}

static int open_lanes(struct flow *flow, struct flow_topic *topic, struct mr_error *error)
{
    const struct lane_env env = {.loop = flow->env.loop,
                                 .disk = flow->env.disk,
                                 .workers = flow->env.workers,
                                 .queue = flow->env.queue,
                                 .node_uuid = flow->env.node_uuid,
                                 .on_ready = on_lane_ready,
                                 .owner = flow};
    int32_t want = topic->lane_count;
    int rc = 0;

    topic->lane_count = 0;
    for (int32_t i = 0; i < want && rc == 0; i++) {
        rc = lane_open(&env, topic->name, i, topic->when_full, &topic->lanes[i], error);
        topic->lane_count += rc == 0;
    }
    return rc;
}

static int open_topic(struct flow *flow, const char *name, struct mr_error *error)
{
    const struct config_topic *config = config_topic_find(flow->env.config, name);
    struct flow_topic *topic = &flow->topics[flow->topic_count++];

    topic->name = name;
    topic->lane_count = config == NULL || config->partitions < 1 ? 1 : (int32_t)config->partitions;
    topic->when_full = config == NULL ? QUEUE_BLOCK : (enum queue_when_full)config->when_full;
    topic->codec = config == NULL || config->compression < 0 ? MR_CODEC_LZ4
                                                             : (enum mr_codec)config->compression;
    topic->message_size_bytes_max = config == NULL || config->message_size_bytes_max < 0
                                        ? DEFAULT_MESSAGE_SIZE
                                        : config->message_size_bytes_max;
    topic->lanes = mr_calloc((size_t)topic->lane_count, sizeof *topic->lanes);
    if (topic->lanes == NULL) {
        topic->lane_count = 0;
        return mr_fail(error, MR_ENOMEM, "topic '%s'", name);
    }
    return open_lanes(flow, topic, error);
}

/* ---- sources and sinks ---- */

static int open_intake(struct flow *flow, const struct config_source *source,
                       struct mr_error *error)
{
    const struct flow_topic *topic = topic_find(flow, source->topic);
    const struct intake_config config = {
        .id = source->id,
        .type = source->type,
        .options = source->options,
        .node_name = flow->env.config->node.name,
        .headers = &source->headers,
        .batch_size_bytes = source->batch.size_bytes < topic->message_size_bytes_max
                                ? source->batch.size_bytes
                                : topic->message_size_bytes_max,
        .message_size_bytes_max = topic->message_size_bytes_max,
        .linger_ms = source->batch.linger_ms,
        .codec = topic->codec,
        .when_full = topic->when_full,
        .lanes = topic->lanes,
        .lane_count = topic->lane_count,
        .loop = flow->env.loop,
        .disk = flow->env.disk,
        .net = flow->env.net,
        .random = flow->env.random,
        .workers = flow->env.workers,
        .metrics = flow->env.metrics,
    };
    int rc = intake_open(&config, &flow->intakes[flow->intake_count], error);

    flow->intake_count += rc == 0;
    return rc;
}

static int open_drain(struct flow *flow, const struct config_sink *sink, struct mr_error *error)
{
    const struct drain_config config = {
        .id = sink->id,
        .type = sink->type,
        .options = sink->options,
        .topics = &sink->topics,
        .delay_ms_min = sink->retry.delay_ms_min,
        .delay_ms_max = sink->retry.delay_ms_max,
        .queue = flow->env.queue,
        .loop = flow->env.loop,
        .disk = flow->env.disk,
        .net = flow->env.net,
        .random = flow->env.random,
        .workers = flow->env.workers,
        .metrics = flow->env.metrics,
        .node_name = flow->env.config->node.name,
        .cluster_key = flow->env.config->node.cluster_key,
        .node_uuid = flow->env.lineage_uuid,
        .is_node_cloned = flow->env.is_node_cloned,
    };
    int rc = drain_open(&config, &flow->drains[flow->drain_count], error);

    flow->drain_count += rc == 0;
    return rc;
}

static int open_all(struct flow *flow, struct mr_error *error)
{
    const struct config *config = flow->env.config;
    int rc = 0;

    for (size_t i = 0; i < config->source_count && rc == 0; i++) {
        if (topic_find(flow, config->sources[i].topic) == NULL) {
            rc = open_topic(flow, config->sources[i].topic, error);
        }
    }
    for (size_t i = 0; i < config->sink_count && rc == 0; i++) {
        rc = open_drain(flow, &config->sinks[i], error);
    }
    for (size_t i = 0; i < config->source_count && rc == 0; i++) {
        rc = open_intake(flow, &config->sources[i], error);
    }
    return rc;
}

int flow_open(const struct flow_env *env, struct flow **ret_flow, struct mr_error *error)
{
    struct flow *flow = mr_calloc(1, sizeof *flow);

    if (flow == NULL) {
        return mr_fail(error, MR_ENOMEM, "flow");
    }
    flow->env = *env;
    flow->topics = mr_calloc(env->config->source_count, sizeof *flow->topics);
    flow->intakes = mr_calloc(env->config->source_count, sizeof(struct intake *));
    flow->drains = mr_calloc(env->config->sink_count, sizeof(struct drain *));
    *ret_flow = flow; /* also on failure: the caller closes what was opened */
    if (flow->topics == NULL || flow->intakes == NULL || flow->drains == NULL) {
        return mr_fail(error, MR_ENOMEM, "flow");
    }
    return open_all(flow, error);
}

/* ---- closing, stage by stage ---- */

static void flow_free(struct flow *flow)
{
    for (size_t i = 0; flow->topics != NULL && i < flow->topic_count; i++) {
        mr_free(flow->topics[i].lanes);
    }
    mr_free(flow->topics);
    mr_free(flow->intakes);
    mr_free(flow->drains);
    mr_free(flow);
}

static void on_closed(void *owner)
{
    struct flow *flow = owner;

    if (--flow->closing == 0) {
        flow->stage++;
        close_stage(flow);
    }
}

static void close_lanes(struct flow *flow)
{
    for (size_t i = 0; i < flow->topic_count; i++) {
        for (int32_t j = 0; j < flow->topics[i].lane_count; j++) {
            flow->closing++;
            lane_close(flow->topics[i].lanes[j], on_closed, flow);
        }
    }
}

static void close_stage(struct flow *flow)
{
    void (*closed)(void *owner) = flow->closed;
    void *owner = flow->closed_owner;
    size_t count;

    flow->closing = 1; /* our own, given back below: a stage may be empty */
    switch (flow->stage) {
    case STAGE_INTAKES:
        count = flow->intake_count;
        for (size_t i = 0; i < count; i++) {
            flow->closing++;
            intake_close(flow->intakes[i], on_closed, flow);
        }
        break;
    case STAGE_DRAINS:
        flow->intake_count = 0;
        count = flow->drain_count;
        for (size_t i = 0; i < count; i++) {
            flow->closing++;
            drain_close(flow->drains[i], on_closed, flow);
        }
        break;
    case STAGE_LANES:
        flow->drain_count = 0;
        close_lanes(flow);
        break;
    default:
        flow_free(flow);
        closed(owner);
        return;
    }
    on_closed(flow);
}

void flow_close(struct flow *flow, void (*done)(void *owner), void *owner)
{
    flow->closed = done;
    flow->closed_owner = owner;
    for (size_t i = 0; i < flow->topic_count; i++) {
        for (int32_t j = 0; j < flow->topics[i].lane_count; j++) {
            lane_end(flow->topics[i].lanes[j]); /* a full disk keeps nobody from stopping */
        }
    }
    flow->stage = STAGE_INTAKES;
    close_stage(flow);
}

int flow_health(struct flow *flow, struct mr_error *error)
{
    if (flow->closed != NULL) {
        return mr_fail_text(error, MR_ECANCELED, "closing");
    }
    for (size_t i = 0; i < flow->topic_count; i++) {
        for (int32_t j = 0; j < flow->topics[i].lane_count; j++) {
            int rc = lane_state(flow->topics[i].lanes[j]);
            if (rc != 0) {
                return mr_fail(error, rc, "topic '%s' takes nothing", flow->topics[i].name);
            }
        }
    }
    for (size_t i = 0; i < flow->drain_count; i++) {
        struct drain_state state;
        drain_status(flow->drains[i], &state);
        if (state.failures > 0) {
            return mr_fail_text(error, MR_ENETWORK, "sink '%s': %s", drain_id(flow->drains[i]),
                                state.last_error);
        }
    }
    return 0;
}
