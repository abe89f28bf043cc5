/* How a block goes, in order:
 *
 * 1. The source offers it. If the lane is blocked, the answer is MR_EAGAIN and nothing happened.
 * 2. Its events are encoded, one copy each, into the batch that is being built for the lane. A
 * batch that is full is sealed in between, with the position that the source gives for there.
 * 3. Behind the block's last event the stream's new position joins the batch.
 * 4. The batch is sealed when it is large enough, or linger_ms after its first event: positions and
 * drop counters are encoded into mr.pos, the batch is compressed, and the lane has it.
 * 5. Appended: the blocks whose last event it held are acked, in order.
 *
 * Refused for good by drop_new: the events are counted, and the positions go into the next batch,
 * so that nothing is read again. */
#include "agent/flow/intake.h"

#include <string.h>

#include "agent/flow/intake_internal.h"
#include "base/core/error.h"
#include "base/core/memory.h"

static const struct mr_metric_def intake_metrics[INTAKE_METRIC_COUNT] = {
    [INTAKE_EVENTS] = {"millrace_source_events_total", MR_COUNTER,
                       "Events that the source has offered and the log has taken.", "source"},
    [INTAKE_BYTES] = {"millrace_source_bytes_total", MR_COUNTER, "Bytes of these events.",
                      "source"},
    [INTAKE_BATCHES] = {"millrace_source_batches_total", MR_COUNTER, "Record batches made of them.",
                        "source"},
    [INTAKE_BATCH_BYTES] = {"millrace_source_batch_bytes_total", MR_COUNTER,
                            "Bytes of these batches, compressed.", "source"},
    [INTAKE_DROPPED] = {"millrace_source_dropped_events_total", MR_COUNTER,
                        "Events given up, for any reason; the ledger has the reasons.", "source"},
    [INTAKE_BLOCKED] = {"millrace_source_blocked_total", MR_COUNTER,
                        "How often the source had to wait for the log.", "source"},
};

static struct intake *intake_of(struct source_host *host)
{
    return mr_container(host, struct intake, host);
}

const char *intake_id(const struct intake *intake)
{
    return intake->config.id;
}

const struct source_type *intake_type(const struct intake *intake)
{
    return intake->config.type;
}

/* ---- what the source may call ---- */

static struct source_stream *stream_open(struct source_host *host, const void *key, size_t key_size,
                                         const struct source_header *headers, size_t header_count)
{
    mr_assert(key_size > 0 && key_size <= SOURCE_KEY_SIZE_MAX);
    return stream_new(intake_of(host), key, key_size, headers, header_count);
}

static void stream_close(struct source_host *host, struct source_stream *stream)
{
    (void)host;
    stream_free(stream);
}

static int offer(struct source_host *host, struct source_block *block)
{
    struct intake *intake = intake_of(host);
    struct builder *builder = block->stream->builder;

    mr_assert(block->span_count <= SOURCE_BLOCK_SPANS_MAX);
    if (intake->is_closing || !builder_is_ready(builder) ||
        builder_take(builder, block->stream, block) != 0) {
        intake->is_waiting = true;
        intake_count(intake, INTAKE_BLOCKED, 1);
        return MR_EAGAIN;
    }
    return 0;
}

static size_t position_get(struct source_host *host, const void *key, size_t key_size,
                           void *position, size_t size)
{
    struct position_view found;
    bool is_known;

    (void)stream_home(intake_of(host), key, key_size, &found, &is_known);
    if (!is_known || found.size == 0) {
        return 0;
    }
    memcpy(position, found.value, found.size < size ? found.size : size);
    return found.size;
}

static void position_each(struct source_host *host,
                          void (*cb)(void *owner, const void *key, size_t key_size,
                                     const void *position, size_t position_size),
                          void *owner)
{
    struct intake *intake = intake_of(host);

    for (int32_t i = 0; i < intake->config.lane_count; i++) {
        struct position_source *source =
            positions_source(lane_positions(intake->builders[i].lane), intake->config.id, false);
        const struct mr_map_entry *entry;
        size_t cursor = 0;
        while (source != NULL && (entry = mr_map_next(&source->streams, &cursor)) != NULL) {
            const struct position *position = entry->value;
            if (position->size == 0) {
                continue;
            }
            cb(owner, position->key, position->key_size, position->value, position->size);
        }
    }
}

static void position_forget(struct source_host *host, const void *key, size_t key_size)
{
    struct intake *intake = intake_of(host);

    for (int32_t i = 0; i < intake->config.lane_count; i++) {
        positions_forget(lane_positions(intake->builders[i].lane), intake->config.id, key,
                         key_size);
    }
}

static void dropped(struct source_host *host, const char *reason, int64_t events, int64_t bytes)
{
    builder_drop(&intake_of(host)->builders[0], reason, events, bytes);
}

static const struct source_host_ops host_ops = {
    .stream_open = stream_open,
    .stream_close = stream_close,
    .offer = offer,
    .position_get = position_get,
    .position_each = position_each,
    .position_forget = position_forget,
    .dropped = dropped,
};

/* ---- open and close ---- */

void intake_ready(struct intake *intake)
{
    if (intake->is_waiting && !intake->is_closing) {
        intake->is_waiting = false;
        intake->config.type->resume(intake->source);
    }
}

void intake_status(struct intake *intake, source_status_cb cb, void *owner)
{
    if (intake->config.type->status != NULL) {
        intake->config.type->status(intake->source, cb, owner);
    }
}

static void intake_free(struct intake *intake)
{
    for (int32_t i = 0; intake->builders != NULL && i < intake->config.lane_count; i++) {
        builder_done(&intake->builders[i]);
    }
    mr_list_each(&intake->streams, link, next)
    {
        stream_free(mr_container(link, struct source_stream, link));
    }
    mr_task_cancel(&intake->close_task);
    mr_codec_context_free(intake->codecs);
    mr_bytes_done(&intake->pos_header);
    mr_metric_set_free(intake->metrics);
    mr_free(intake->builders);
    mr_free(intake->source);
    mr_free(intake);
}

/* What was offered goes to the lanes and is answered there, then comes what only positions and
 * drops were left of; what cannot be written is cancelled. Then the source closes. */
static void close_step(struct intake *intake)
{
    void (*closed)(void *owner) = intake->closed;
    void *owner = intake->closed_owner;
    bool is_idle = true;

    for (int32_t i = 0; i < intake->config.lane_count; i++) {
        struct builder *builder = &intake->builders[i];
        if (mr_list_is_empty(&builder->sealed)) {
            (void)builder_seal(builder);
        }
        is_idle = is_idle && mr_list_is_empty(&builder->sealed);
    }
    if (!is_idle) {
        return; /* each batch that is done calls again */
    }
    for (int32_t i = 0; i < intake->config.lane_count; i++) {
        builder_cancel(&intake->builders[i]);
    }
    if (intake->is_source_closed) {
        intake_free(intake);
        closed(owner);
    }
}

static void on_close_task(struct mr_task *task)
{
    close_step(task->owner);
}

static void on_source_closed(void *owner)
{
    struct intake *intake = owner;

    intake->is_source_closed = true;
    mr_task_post(&intake->close_task);
}

void intake_close(struct intake *intake, void (*done)(void *owner), void *owner)
{
    intake->is_closing = true;
    intake->closed = done;
    intake->closed_owner = owner;
    intake->config.type->close(intake->source, on_source_closed, intake);
    mr_task_post(&intake->close_task);
}

int intake_open(const struct intake_config *config, struct intake **ret_intake,
                struct mr_error *error)
{
    struct intake *intake = mr_calloc(1, sizeof *intake);
    int rc = MR_ENOMEM;

    if (intake == NULL) {
        return mr_fail(error, rc, "source '%s'", config->id);
    }
    intake->config = *config;
    intake->host = (struct source_host){.ops = &host_ops,
                                        .loop = config->loop,
                                        .disk = config->disk,
                                        .net = config->net,
                                        .random = config->random,
                                        .workers = config->workers,
                                        .metrics = config->metrics,
                                        .source_id = config->id};
    mr_list_init(&intake->streams);
    mr_bytes_init(&intake->pos_header);
    mr_task_init(&intake->close_task, config->loop, on_close_task, intake);
    intake->metrics =
        mr_metric_set_new(config->metrics, intake_metrics, INTAKE_METRIC_COUNT, &config->id, 1);
    intake->builders = mr_calloc((size_t)config->lane_count, sizeof *intake->builders);
    intake->source = mr_calloc(1, config->type->size_bytes);
    if (intake->builders == NULL || intake->source == NULL ||
        mr_codec_context_new(&intake->codecs) != 0) {
        (void)mr_fail(error, rc, "source '%s'", config->id);
        goto free_intake;
    }
    for (int32_t i = 0; i < config->lane_count; i++) {
        builder_open(&intake->builders[i], intake, config->lanes[i]);
    }
    intake->source->type = config->type;
    intake->source->host = &intake->host;
    intake->source->options = config->options;
    rc = config->type->open(intake->source, error);
    if (rc != 0) {
        (void)mr_error_context(error, "source '%s'", config->id);
        goto free_intake;
    }
    *ret_intake = intake;
    return 0;
free_intake:
    intake_free(intake);
    return rc;
}
