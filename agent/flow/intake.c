/* How a block goes, in order:
 *
 * 1. The source offers it. If the lane is blocked, the answer is MR_EAGAIN and nothing happened.
 * 2. Its events are encoded, one copy each, into the batch that is being built for the lane. A
 * batch that is full is sealed in between; it then says how many events behind the block's start it
 * holds (`skip`), so that a restart leaves out exactly these.
 * 3. Behind the block's last event the stream's new position joins the batch.
 * 4. The batch is sealed when it is large enough, or linger_ms after its first event: positions and
 * drop counters are encoded into mr.pos, the batch is compressed, and the lane has it.
 * 5. Appended: the blocks whose last event it held are acked, in order.
 *
 * Refused for good by drop_new: the events are counted, and the positions go into the next batch,
 * so that nothing is read again. */
#include "agent/flow/intake.h"

#include <stdio.h>
#include <string.h>

#include "base/core/logger.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "queue/wire/batch_builder.h"

enum {
    INTAKE_TAIL_ROOM = 4096,
    INTAKE_RETRY_MS = 50,
    INTAKE_HEADER_VARIANTS = 8, /* by span flags */
    INTAKE_FUTURE_MS_MAX = 3600 * 1000,
};
#define INTAKE_PAST_MS_MAX (INT64_C(30) * 24 * 3600 * 1000)

enum {
    METRIC_EVENTS,
    METRIC_BYTES,
    METRIC_BATCHES,
    METRIC_BATCH_BYTES,
    METRIC_DROPPED,
    METRIC_BLOCKED,
    METRIC_COUNT
};

static const struct mr_metric_def intake_metrics[METRIC_COUNT] = {
    [METRIC_EVENTS] = {"millrace_source_events_total", MR_COUNTER,
                       "Events that the source has offered and the log has taken.", "source"},
    [METRIC_BYTES] = {"millrace_source_bytes_total", MR_COUNTER, "Bytes of these events.",
                      "source"},
    [METRIC_BATCHES] = {"millrace_source_batches_total", MR_COUNTER, "Record batches made of them.",
                        "source"},
    [METRIC_BATCH_BYTES] = {"millrace_source_batch_bytes_total", MR_COUNTER,
                            "Bytes of these batches, compressed.", "source"},
    [METRIC_DROPPED] = {"millrace_source_dropped_events_total", MR_COUNTER,
                        "Events given up, for any reason; the ledger has the reasons.", "source"},
    [METRIC_BLOCKED] = {"millrace_source_blocked_total", MR_COUNTER,
                        "How often the source had to wait for the log.", "source"},
};

struct header_variant { /* constant headers, encoded; made when first needed */
    struct mr_bytes bytes;
    int32_t count; /* 0 with is_made: no headers at all */
    bool is_made;
};

struct source_stream {
    struct mr_link link; /* intake->streams */
    struct intake *intake;
    struct builder *builder;
    uint8_t key[SOURCE_KEY_SIZE_MAX];
    size_t key_size;
    struct mr_bytes headers; /* {name, value} pairs, encoded, without flags */
    int32_t header_count;
    struct header_variant variants[INTAKE_HEADER_VARIANTS];
    uint8_t position[SOURCE_POSITION_SIZE_MAX]; /* before the block being taken */
    size_t position_size;
    uint32_t skip; /* events of the next blocks that the log has already */
};

struct sealed { /* a batch on its way through the lane */
    struct lane_batch batch;
    struct mr_link blocks; /* to ack */
    struct builder *builder;
};

/* One batch being built: per lane. */
struct builder {
    struct intake *intake;
    struct lane *lane;
    struct batch_builder batch;
    bool is_begun;
    struct mr_link blocks; /* whose last event is in here */
    struct position_change change;
    struct mr_timer linger_timer;
    int64_t bytes;
    int in_lane;   /* sealed batches not done */
    bool is_stuck; /* sealing failed for memory: again soon */
};

struct intake {
    struct source_host host; /* first: what the source has a pointer to */
    struct intake_config config;
    struct source *source;
    struct builder *builders; /* lane_count */
    struct mr_link streams;
    struct mr_codec_context *codecs;
    struct mr_bytes pos_header; /* scratch */
    struct mr_metric_set *metrics;
    bool is_waiting; /* the source was told MR_EAGAIN */
    bool is_source_closed;
    bool is_closing;
    int64_t pending_events;
    struct mr_task close_task;
    void (*closed)(void *owner);
    void *closed_owner;
};

static struct intake *intake_of(struct source_host *host)
{
    return mr_container(host, struct intake, host);
}

static void count(struct intake *intake, int metric, int64_t value)
{
    if (intake->metrics != NULL) {
        intake->metrics->values[metric] += value;
    }
}

const char *intake_id(const struct intake *intake)
{
    return intake->config.id;
}

const struct source_type *intake_type(const struct intake *intake)
{
    return intake->config.type;
}

int64_t intake_pending_events(const struct intake *intake)
{
    return intake->pending_events;
}

/* ---- streams ---- */

static bool is_header_wanted(const struct intake *intake, const char *name)
{
    const struct mr_string_list *list = intake->config.headers;
    const char *bare = strncmp(name, "mr.", 3) == 0 ? name + 3 : name;

    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], "all") == 0 || strcmp(list->items[i], bare) == 0 ||
            strcmp(list->items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void add_header(struct source_stream *stream, const char *name, const char *value)
{
    if (is_header_wanted(stream->intake, name)) {
        batch_header_append(&stream->headers, name, value, (int32_t)strlen(value));
        stream->header_count++;
    }
}

static uint32_t hash_key(const uint8_t *key, size_t size)
{
    uint32_t hash = 2166136261U; /* FNV-1a */

    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ key[i]) * 16777619U;
    }
    return hash;
}

/* A stream stays where it was first put: its home partition is the one whose table knows it. */
static struct builder *stream_home(struct intake *intake, const void *key, size_t key_size,
                                   const struct position **ret_position)
{
    *ret_position = NULL;
    for (int32_t i = 0; i < intake->config.lane_count; i++) {
        const struct position *position = positions_get(lane_positions(intake->builders[i].lane),
                                                        intake->config.id, key, key_size);
        if (position != NULL) {
            *ret_position = position;
            return &intake->builders[i];
        }
    }
    return &intake->builders[hash_key(key, key_size) % (uint32_t)intake->config.lane_count];
}

static struct source_stream *stream_open(struct source_host *host, const void *key, size_t key_size,
                                         const struct source_header *headers, size_t header_count)
{
    struct intake *intake = intake_of(host);
    struct source_stream *stream = mr_calloc(1, sizeof *stream);
    const struct position *position;

    mr_assert(key_size > 0 && key_size <= SOURCE_KEY_SIZE_MAX);
    if (stream == NULL) {
        return NULL;
    }
    stream->intake = intake;
    memcpy(stream->key, key, key_size);
    stream->key_size = key_size;
    stream->builder = stream_home(intake, key, key_size, &position);
    if (position != NULL) {
        memcpy(stream->position, position->value, position->size);
        stream->position_size = position->size;
        stream->skip = position->skip;
    }
    mr_bytes_init(&stream->headers);
    add_header(stream, "mr.host", intake->config.node_name);
    add_header(stream, "mr.source", intake->config.id);
    for (size_t i = 0; i < header_count; i++) {
        add_header(stream, headers[i].name, headers[i].value);
    }
    if (stream->headers.failed != 0) {
        mr_bytes_done(&stream->headers);
        mr_free(stream);
        return NULL;
    }
    mr_list_append(&intake->streams, &stream->link);
    return stream;
}

static void stream_close(struct source_host *host, struct source_stream *stream)
{
    (void)host;
    if (stream == NULL) {
        return;
    }
    mr_list_remove(&stream->link);
    for (int i = 0; i < INTAKE_HEADER_VARIANTS; i++) {
        mr_bytes_done(&stream->variants[i].bytes);
    }
    mr_bytes_done(&stream->headers);
    mr_free(stream);
}

/* The constant headers, and what the span's flags add. NULL without memory. */
static const struct header_variant *stream_headers(struct source_stream *stream, uint32_t flags)
{
    struct header_variant *variant = &stream->variants[flags % INTAKE_HEADER_VARIANTS];

    if (variant->is_made) {
        return variant;
    }
    mr_bytes_init(&variant->bytes);
    variant->count = stream->header_count;
    mr_bytes_append(&variant->bytes, stream->headers.data, stream->headers.size_bytes);
    if ((flags & SOURCE_SPAN_CUT) != 0) {
        batch_header_append(&variant->bytes, "mr.cut", "1", 1);
        variant->count++;
    }
    if ((flags & SOURCE_SPAN_PARTIAL) != 0) {
        batch_header_append(&variant->bytes, "mr.partial", "1", 1);
        variant->count++;
    }
    if ((flags & SOURCE_SPAN_STDERR) != 0) {
        batch_header_append(&variant->bytes, "mr.stream", "stderr", 6);
        variant->count++;
    }
    if (variant->bytes.failed != 0) {
        mr_bytes_done(&variant->bytes);
        return NULL;
    }
    variant->is_made = true;
    return variant;
}

/* ---- sealing ---- */

static void ack_blocks(struct mr_link *blocks, enum source_outcome outcome)
{
    struct mr_link *link;

    while ((link = mr_list_pop(blocks)) != NULL) {
        struct source_block *block = mr_container(link, struct source_block, link);
        block->acked(block, outcome);
    }
}

static void move_list(struct mr_link *from, struct mr_link *to)
{
    struct mr_link *link;

    while ((link = mr_list_pop(from)) != NULL) {
        mr_list_append(to, link);
    }
}

static void return_dropped(struct builder *builder, const struct lane_batch *batch)
{
    struct intake *intake = builder->intake;

    position_drop_add(builder->change.drops, &builder->change.drop_count, "disk_full",
                      batch->events, batch->bytes);
    if (position_change_return(&builder->change, batch->pos->data, batch->pos->size_bytes) != 0) {
        /* Too many streams for one batch: these few are read again after a restart, and dropped or
         * taken then. */
        mr_warn("positions of dropped events are not all kept",
                KV_STR("source", intake->config.id));
    }
    count(intake, METRIC_DROPPED, batch->events);
}

static void on_batch_done(struct lane_batch *batch, enum lane_outcome outcome)
{
    struct sealed *sealed = batch->owner;
    struct builder *builder = sealed->builder;
    struct intake *intake = builder->intake;

    builder->in_lane--;
    intake->pending_events -= batch->events;
    if (outcome == LANE_APPENDED) {
        count(intake, METRIC_EVENTS, batch->events);
        count(intake, METRIC_BYTES, batch->bytes);
        count(intake, METRIC_BATCHES, 1);
    } else if (outcome == LANE_DROPPED) {
        return_dropped(builder, batch);
    }
    ack_blocks(&sealed->blocks, outcome == LANE_APPENDED  ? SOURCE_DURABLE
                                : outcome == LANE_DROPPED ? SOURCE_DROPPED
                                                          : SOURCE_CANCELED);
    mr_buf_unref(batch->pos);
    mr_free(sealed);
    if (intake->is_closing) {
        mr_task_post(&intake->close_task);
    }
}

static int encode_batch(struct builder *builder, struct sealed *sealed)
{
    struct intake *intake = builder->intake;
    struct mr_bytes pos;

    mr_bytes_init(&pos);
    position_change_encode(&builder->change, &lane_positions(builder->lane)->node_uuid,
                           intake->config.id, &pos);
    sealed->batch.pos = mr_bytes_take(&pos);
    mr_bytes_done(&pos);
    if (sealed->batch.pos == NULL) {
        return MR_ENOMEM;
    }
    mr_bytes_clear(&intake->pos_header);
    batch_header_append(&intake->pos_header, "mr.pos", sealed->batch.pos->data,
                        (int32_t)sealed->batch.pos->size_bytes);
    if (intake->pos_header.failed != 0) {
        return MR_ENOMEM;
    }
    return batch_builder_finish(&builder->batch, NULL, intake->pos_header.data,
                                intake->pos_header.size_bytes, 1, &sealed->batch.data);
}

/* Only positions moved, and perhaps something was dropped: there is no batch to carry that, so it
 * goes into the table and with that into the next checkpoint. A crash before that repeats what led
 * to it, which gives no events. */
static int builder_settle(struct builder *builder)
{
    struct mr_bytes pos;
    struct positions *positions = lane_positions(builder->lane);
    int rc;

    if (mr_list_is_empty(&builder->blocks) && builder->change.drop_count == 0) {
        return 0;
    }
    if (builder->in_lane > 0) { /* their positions are older, and must not come later */
        return mr_timer_start(&builder->linger_timer, builder->intake->config.linger_ms + 1);
    }
    mr_bytes_init(&pos);
    position_change_encode(&builder->change, &positions->node_uuid, builder->intake->config.id,
                           &pos);
    rc = pos.failed;
    if (rc == 0) {
        rc = positions_apply(positions, pos.data, pos.size_bytes, 0, positions->offset);
    }
    mr_bytes_done(&pos);
    if (rc != 0) {
        return mr_timer_start(&builder->linger_timer, INTAKE_RETRY_MS);
    }
    position_change_clear(&builder->change);
    ack_blocks(&builder->blocks, SOURCE_DURABLE);
    return 0;
}

/* Hands the batch over. MR_ENOMEM: it stays as it is, and the linger timer tries again. */
static int builder_seal(struct builder *builder)
{
    struct intake *intake = builder->intake;
    struct sealed *sealed;
    int rc = MR_ENOMEM;

    mr_timer_stop(&builder->linger_timer);
    if (!builder->is_begun || batch_builder_count(&builder->batch) == 0) {
        return builder_settle(builder);
    }
    sealed = mr_calloc(1, sizeof *sealed);
    if (sealed != NULL) {
        sealed->batch.events = batch_builder_count(&builder->batch);
        rc = encode_batch(builder, sealed);
    }
    builder->is_stuck = rc != 0;
    if (rc != 0) {
        if (sealed != NULL) {
            mr_buf_unref(sealed->batch.pos);
        }
        mr_free(sealed);
        (void)mr_timer_start(&builder->linger_timer, INTAKE_RETRY_MS);
        return rc;
    }
    sealed->builder = builder;
    sealed->batch.bytes = builder->bytes;
    sealed->batch.done = on_batch_done;
    sealed->batch.owner = sealed;
    mr_list_init(&sealed->blocks);
    move_list(&builder->blocks, &sealed->blocks);
    count(intake, METRIC_BATCH_BYTES, (int64_t)sealed->batch.data->size_bytes);
    position_change_clear(&builder->change);
    builder->is_begun = false;
    builder->bytes = 0;
    builder->in_lane++;
    lane_append(builder->lane, &sealed->batch);
    return 0;
}

static void on_linger(struct mr_timer *timer)
{
    struct builder *builder = timer->owner;

    if (builder_seal(builder) == 0) {
        intake_ready(builder->intake);
    }
}

/* ---- taking ---- */

/* Events that carry a time of their own are bounded, or retention and time look-up go astray. */
static int64_t event_time(int64_t timestamp_ms, int64_t now_ms)
{
    if (timestamp_ms == -1) {
        return now_ms;
    }
    if (timestamp_ms < now_ms - INTAKE_PAST_MS_MAX) {
        return now_ms - INTAKE_PAST_MS_MAX;
    }
    return timestamp_ms > now_ms + INTAKE_FUTURE_MS_MAX ? now_ms + INTAKE_FUTURE_MS_MAX
                                                        : timestamp_ms;
}

/* The time was bounded: the event's own goes into a header, as Kafka writes times (ms since 1970).
 */
static int add_bounded(struct builder *builder, const struct source_block *block,
                       const struct source_span *span, int64_t time_ms,
                       const struct header_variant *headers)
{
    struct mr_bytes more;
    char text[24];
    int rc;

    mr_bytes_init(&more);
    mr_bytes_append(&more, headers->bytes.data, headers->bytes.size_bytes);
    batch_header_append(&more, "mr.timestamp", text,
                        snprintf(text, sizeof text, "%lld", (long long)span->timestamp_ms));
    rc = more.failed;
    if (rc == 0) {
        rc = batch_builder_add_line(&builder->batch, time_ms, block->buf->data + span->offset,
                                    span->size, more.data, more.size_bytes, headers->count + 1);
    }
    mr_bytes_done(&more);
    return rc;
}

static int take_span(struct builder *builder, struct source_stream *stream,
                     const struct source_block *block, const struct source_span *span,
                     int64_t now_ms)
{
    const struct header_variant *headers = stream_headers(stream, span->flags);
    int64_t time_ms = event_time(span->timestamp_ms, now_ms);

    if (headers == NULL) {
        return MR_ENOMEM;
    }
    if (!builder->is_begun) {
        int rc = batch_builder_begin(&builder->batch, time_ms);
        if (rc != 0) {
            return rc;
        }
        builder->is_begun = true;
    }
    if (span->timestamp_ms != -1 && span->timestamp_ms != time_ms) {
        return add_bounded(builder, block, span, time_ms, headers);
    }
    return batch_builder_add_line(&builder->batch, time_ms, block->buf->data + span->offset,
                                  span->size, headers->bytes.data, headers->bytes.size_bytes,
                                  headers->count);
}

/* Seals in the middle of a block: the batch says how far into the block it goes. */
static int seal_within(struct builder *builder, const struct source_stream *stream, size_t events)
{
    int rc = position_change_set(&builder->change, stream->key, stream->key_size, (uint32_t)events,
                                 stream->position, stream->position_size);

    return rc == 0 ? builder_seal(builder) : rc;
}

static void drop_too_large(struct builder *builder, const struct source_span *span)
{
    position_drop_add(builder->change.drops, &builder->change.drop_count, "too_large", 1,
                      span->size);
    count(builder->intake, METRIC_DROPPED, 1);
}

/* *ret_taken: how many events of the block need not be offered again, whatever is returned. */
static int take_spans(struct builder *builder, struct source_stream *stream,
                      const struct source_block *block, size_t *ret_taken)
{
    int64_t now_ms = mr_loop_wall_ms(builder->intake->config.loop);
    size_t batch_size = (size_t)builder->intake->config.batch_size_bytes;
    size_t place = *ret_taken;
    int rc = 0;

    while (place < block->span_count && rc == 0) {
        const struct source_span *span = &block->spans[place];
        rc = take_span(builder, stream, block, span, now_ms);
        if (rc == MR_EFULL) {
            rc = seal_within(builder, stream, place);
            continue;
        }
        if (rc ==
            MR_ETOOLARGE) { /* larger than any batch may be: the source's own bound is lower */
            drop_too_large(builder, span);
            rc = 0;
        } else if (rc == 0) {
            builder->bytes += span->size;
            builder->intake->pending_events++;
        } else {
            break;
        }
        place++;
        if (batch_builder_size(&builder->batch) >= batch_size && place < block->span_count) {
            rc = seal_within(builder, stream, place);
        }
    }
    *ret_taken = place;
    return rc;
}

static int take_block(struct builder *builder, struct source_stream *stream,
                      const struct source_block *block)
{
    size_t taken = stream->skip < block->span_count ? stream->skip : block->span_count;
    uint32_t skip_left = stream->skip - (uint32_t)taken;
    int rc = take_spans(builder, stream, block, &taken);

    if (rc == 0) {
        rc = position_change_set(&builder->change, stream->key, stream->key_size, skip_left,
                                 block->position, block->position_size);
    }
    if (rc != 0) {
        /* No memory. What was taken stays; the source offers the block again, and the skip leaves
         * that out. */
        stream->skip = (uint32_t)taken;
        return rc;
    }
    stream->skip = skip_left;
    memcpy(stream->position, block->position, block->position_size);
    stream->position_size = block->position_size;
    return 0;
}

static int wait_for_lane(struct intake *intake)
{
    intake->is_waiting = true;
    count(intake, METRIC_BLOCKED, 1);
    return MR_EAGAIN;
}

static int offer(struct source_host *host, struct source_block *block)
{
    struct intake *intake = intake_of(host);
    struct builder *builder = block->stream->builder;

    mr_assert(block->span_count <= SOURCE_BLOCK_SPANS_MAX);
    mr_assert(block->position_size <= SOURCE_POSITION_SIZE_MAX);
    if (intake->is_closing || builder->is_stuck || lane_is_blocked(builder->lane)) {
        return wait_for_lane(intake);
    }
    /* Room for the stream's position comes first, so that no event goes without it. */
    if (builder->change.entry_count == POSITIONS_ENTRIES_MAX && builder_seal(builder) != 0) {
        return wait_for_lane(intake);
    }
    if (builder->change.entry_count == POSITIONS_ENTRIES_MAX) {
        return wait_for_lane(intake); /* only positions, waiting for older ones */
    }
    if (take_block(builder, block->stream, block) != 0) {
        (void)mr_timer_start(&builder->linger_timer, INTAKE_RETRY_MS);
        return wait_for_lane(intake);
    }
    mr_list_init(&block->link);
    mr_list_append(&builder->blocks, &block->link);
    if (batch_builder_size(&builder->batch) >= (size_t)intake->config.batch_size_bytes) {
        (void)builder_seal(builder); /* without memory the linger timer tries again */
    } else if (!mr_timer_is_running(&builder->linger_timer)) {
        (void)mr_timer_start(&builder->linger_timer, intake->config.linger_ms);
    }
    return 0;
}

/* ---- positions and drops ---- */

static size_t position_get(struct source_host *host, const void *key, size_t key_size,
                           void *position, size_t size)
{
    const struct position *found;

    (void)stream_home(intake_of(host), key, key_size, &found);
    if (found == NULL) {
        return 0;
    }
    memcpy(position, found->value, found->size < size ? found->size : size);
    return found->size;
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
    struct intake *intake = intake_of(host);
    struct builder *builder = &intake->builders[0];

    position_drop_add(builder->change.drops, &builder->change.drop_count, reason, events, bytes);
    count(intake, METRIC_DROPPED, events);
    if (!mr_timer_is_running(&builder->linger_timer)) {
        (void)mr_timer_start(&builder->linger_timer, intake->config.linger_ms);
    }
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
        mr_timer_stop(&intake->builders[i].linger_timer);
        batch_builder_done(&intake->builders[i].batch);
        position_change_clear(&intake->builders[i].change);
    }
    mr_list_each(&intake->streams, link, next)
    {
        stream_close(&intake->host, mr_container(link, struct source_stream, link));
    }
    mr_task_cancel(&intake->close_task);
    mr_codec_context_free(intake->codecs);
    mr_bytes_done(&intake->pos_header);
    mr_metric_set_free(intake->metrics);
    mr_free(intake->builders);
    mr_free(intake->source);
    mr_free(intake);
}

/* The source is closed and everything it offered was answered. */
static void close_step(struct intake *intake)
{
    void (*closed)(void *owner) = intake->closed;
    void *owner = intake->closed_owner;

    for (int32_t i = 0; i < intake->config.lane_count; i++) {
        if (intake->builders[i].in_lane > 0) {
            return;
        }
    }
    for (int32_t i = 0; i < intake->config.lane_count; i++) {
        ack_blocks(&intake->builders[i].blocks, SOURCE_CANCELED);
    }
    if (!intake->is_source_closed) {
        return;
    }
    intake_free(intake);
    closed(owner);
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
    for (int32_t i = 0; i < intake->config.lane_count; i++) {
        (void)builder_seal(&intake->builders[i]); /* what cannot be written is cancelled below */
    }
    intake->config.type->close(intake->source, on_source_closed, intake);
    mr_task_post(&intake->close_task);
}

static void builder_open(struct intake *intake, struct builder *builder, struct lane *lane)
{
    const struct batch_builder_options options = {
        .size_bytes_max = (size_t)intake->config.message_size_bytes_max - INTAKE_TAIL_ROOM,
        .tail_room_bytes = INTAKE_TAIL_ROOM,
        .codec = intake->config.codec,
        .codec_level = MR_CODEC_LEVEL_DEFAULT,
        .codecs = intake->codecs,
    };

    builder->intake = intake;
    builder->lane = lane;
    batch_builder_init(&builder->batch, &options);
    mr_list_init(&builder->blocks);
    mr_timer_init(&builder->linger_timer, intake->config.loop, on_linger, builder);
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
        mr_metric_set_new(config->metrics, intake_metrics, METRIC_COUNT, &config->id, 1);
    intake->builders = mr_calloc((size_t)config->lane_count, sizeof *intake->builders);
    intake->source = mr_calloc(1, config->type->size_bytes);
    if (intake->builders == NULL || intake->source == NULL ||
        mr_codec_context_new(&intake->codecs) != 0) {
        (void)mr_fail(error, rc, "source '%s'", config->id);
        goto free_intake;
    }
    for (int32_t i = 0; i < config->lane_count; i++) {
        builder_open(intake, &intake->builders[i], config->lanes[i]);
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
