/* The batch being built for one lane, how it is sealed, and what comes of it. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "agent/flow/intake_internal.h"
#include "base/core/logger.h"
#include "base/core/memory.h"

enum {
    BUILDER_RETRY_MS = 50,
    BUILDER_FUTURE_MS_MAX = 3600 * 1000,
    BUILDER_ENTRY_SIZE_MAX = 7 + SOURCE_KEY_SIZE_MAX + SOURCE_POSITION_SIZE_MAX,
    /* What mr.pos holds besides its entries, at most, and the header around it. */
    BUILDER_FRAME_SIZE_MAX = 32 + 256 + POSITIONS_REASONS_MAX * 64 + 64,
    BUILDER_TAIL_SIZE_MIN = 4096,
    BUILDER_TAIL_SIZE_MAX = 128 << 10,
};
#define BUILDER_PAST_MS_MAX (INT64_C(30) * 24 * 3600 * 1000)

static_assert(BUILDER_FRAME_SIZE_MAX + BUILDER_ENTRY_SIZE_MAX < BUILDER_TAIL_SIZE_MIN,
              "one stream always fits");

struct sealed { /* a batch on its way through the lane */
    struct lane_batch batch;
    struct mr_link link;   /* builder->sealed */
    struct mr_link blocks; /* to ack */
    struct builder *builder;
};

static struct sealed *sealed_of(struct mr_link *link)
{
    return mr_container(link, struct sealed, link);
}

/* ---- what is known of streams ---- */

static bool find_in_lane(const struct builder *builder, const void *key, size_t key_size,
                         struct position_view *ret_position)
{
    for (struct mr_link *link = builder->sealed.previous; link != &builder->sealed;
         link = link->previous) {
        const struct mr_buf *pos = sealed_of(link)->batch.pos;
        if (position_header_find(pos->data, pos->size_bytes, key, key_size, ret_position)) {
            return true;
        }
    }
    return false;
}

bool builder_find(const struct builder *builder, const void *key, size_t key_size,
                  struct position_view *ret_position)
{
    const struct position *position = position_change_get(&builder->change, key, key_size);

    if (position == NULL && find_in_lane(builder, key, key_size, ret_position)) {
        return true;
    }
    if (position == NULL) {
        position =
            positions_get(lane_positions(builder->lane), builder->intake->config.id, key, key_size);
    }
    if (position == NULL) {
        return false;
    }
    *ret_position = (struct position_view){position->key, position->key_size, position->skip,
                                           position->value, position->size};
    return true;
}

/* ---- what comes of a batch ---- */

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

/* Without memory for that the timer of another builder, or the next block, brings it. */
static void linger(struct builder *builder, int64_t delay_ms)
{
    if (!mr_timer_is_running(&builder->linger_timer)) {
        (void)mr_timer_start(&builder->linger_timer, delay_ms);
    }
}

static bool is_newer_in_lane(void *owner, const void *key, size_t key_size)
{
    struct position_view view;

    return find_in_lane(owner, key, key_size, &view);
}

/* Its positions go with the next batch, but for streams that a batch behind it tells of. */
static void return_dropped(struct builder *builder, const struct lane_batch *batch)
{
    builder_drop(builder, "disk_full", batch->events, batch->bytes);
    if (position_change_return(&builder->change, batch->pos->data, batch->pos->size_bytes,
                               is_newer_in_lane, builder) != 0) {
        /* Too many streams for one batch: these few are read again after a restart, and dropped or
         * taken then. */
        mr_warn("positions of dropped events are not all kept",
                KV_STR("source", builder->intake->config.id));
    }
}

static void count_appended(struct intake *intake, const struct lane_batch *batch)
{
    intake_count(intake, INTAKE_EVENTS, batch->events);
    intake_count(intake, INTAKE_BYTES, batch->bytes);
    intake_count(intake, INTAKE_BATCHES, 1);
    intake_count(intake, INTAKE_BATCH_BYTES, (int64_t)batch->append.batch.size_bytes);
}

static void on_batch_done(struct lane_batch *batch, enum lane_outcome outcome)
{
    static const enum source_outcome outcomes[] = {[LANE_APPENDED] = SOURCE_DURABLE,
                                                   [LANE_DROPPED] = SOURCE_DROPPED,
                                                   [LANE_CANCELED] = SOURCE_CANCELED};
    struct sealed *sealed = batch->owner;
    struct builder *builder = sealed->builder;
    struct intake *intake = builder->intake;

    mr_list_remove(&sealed->link);
    if (outcome == LANE_APPENDED) {
        count_appended(intake, batch);
    } else if (outcome == LANE_DROPPED) {
        return_dropped(builder, batch);
    } else {
        builder->is_cut = true;
    }
    ack_blocks(&sealed->blocks, outcomes[outcome]);
    mr_buf_unref(batch->pos);
    mr_free(sealed);
    if (intake->is_closing) {
        mr_task_post(&intake->close_task);
    }
}

/* ---- sealing ---- */

static int encode_positions(const struct builder *builder, struct mr_bytes *out)
{
    mr_bytes_init(out);
    position_change_encode(&builder->change, &lane_positions(builder->lane)->node_uuid,
                           builder->intake->config.id, out);
    return out->failed;
}

static int encode_batch(struct builder *builder, struct lane_batch *batch)
{
    struct mr_bytes *header = &builder->intake->pos_header;
    struct mr_bytes pos;
    int rc = encode_positions(builder, &pos);

    batch->pos = mr_bytes_take(&pos);
    mr_bytes_done(&pos);
    if (rc != 0 || batch->pos == NULL) {
        return MR_ENOMEM;
    }
    mr_bytes_clear(header);
    batch_header_append(header, "mr.pos", batch->pos->data, (int32_t)batch->pos->size_bytes);
    rc = header->failed;
    header->failed = 0;
    return rc != 0 ? rc
                   : batch_builder_finish(&builder->batch, NULL, header->data, header->size_bytes,
                                          1, &batch->data);
}

static bool is_position_full(const struct builder *builder)
{
    return builder->change.entry_count == POSITIONS_ENTRIES_MAX ||
           builder->change.entry_bytes + BUILDER_ENTRY_SIZE_MAX > builder->position_bytes_max;
}

/* Only positions moved, and perhaps something was dropped: there is no batch to carry that, so it
 * goes into the table, and with that into a checkpoint soon. The positions go with the next batch
 * all the same: a crash before the checkpoint must not leave what a later one of another stream
 * builds upon (a truncated file's new start, upon where its copy stands). Only when there are too
 * many for one batch, they rely on the checkpoint alone. */
static int builder_settle(struct builder *builder)
{
    struct positions *positions = lane_positions(builder->lane);
    struct mr_bytes pos;
    int rc;

    if (mr_list_is_empty(&builder->blocks) && builder->change.drop_count == 0 &&
        !is_position_full(builder)) {
        return 0; /* nothing new */
    }
    if (!mr_list_is_empty(&builder->sealed)) { /* their positions are older: they come first */
        linger(builder, builder->intake->config.linger_ms + 1);
        return 0;
    }
    rc = encode_positions(builder, &pos);
    if (rc == 0) {
        rc = positions_apply(positions, pos.data, pos.size_bytes, 0, positions->offset);
    }
    mr_bytes_done(&pos);
    builder->is_stuck = rc != 0;
    if (rc != 0) {
        linger(builder, BUILDER_RETRY_MS);
        return rc;
    }
    builder->change.drop_count = 0;
    if (is_position_full(builder)) {
        position_change_clear(&builder->change);
    }
    lane_checkpoint_soon(builder->lane);
    ack_blocks(&builder->blocks, SOURCE_DURABLE);
    return 0;
}

int builder_seal(struct builder *builder)
{
    struct sealed *sealed;
    int rc = MR_ENOMEM;

    mr_timer_stop(&builder->linger_timer);
    if (builder->is_cut) {
        builder_cancel(builder);
        return 0;
    }
    if (!builder->is_begun || batch_builder_count(&builder->batch) == 0) {
        return builder_settle(builder);
    }
    sealed = mr_calloc(1, sizeof *sealed);
    if (sealed != NULL) {
        sealed->batch.events = batch_builder_count(&builder->batch);
        rc = encode_batch(builder, &sealed->batch);
    }
    builder->is_stuck = rc != 0;
    if (rc != 0) {
        if (sealed != NULL) {
            mr_buf_unref(sealed->batch.pos);
        }
        mr_free(sealed);
        linger(builder, BUILDER_RETRY_MS);
        return rc;
    }
    sealed->builder = builder;
    sealed->batch.bytes = builder->bytes;
    sealed->batch.done = on_batch_done;
    sealed->batch.owner = sealed;
    mr_list_init(&sealed->blocks);
    move_list(&builder->blocks, &sealed->blocks);
    mr_list_append(&builder->sealed, &sealed->link);
    position_change_clear(&builder->change);
    builder->is_begun = false;
    builder->bytes = 0;
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

void builder_drop(struct builder *builder, const char *reason, int64_t events, int64_t bytes)
{
    position_drop_add(builder->change.drops, &builder->change.drop_count, reason, events, bytes);
    intake_count(builder->intake, INTAKE_DROPPED, events);
    linger(builder, builder->intake->config.linger_ms);
}

void builder_cancel(struct builder *builder)
{
    mr_timer_stop(&builder->linger_timer);
    ack_blocks(&builder->blocks, SOURCE_CANCELED);
}

/* ---- taking ---- */

/* Events that carry a time of their own are bounded, or retention and time look-up go astray. */
static int64_t event_time(int64_t timestamp_ms, int64_t now_ms)
{
    if (timestamp_ms == -1) {
        return now_ms;
    }
    if (timestamp_ms < now_ms - BUILDER_PAST_MS_MAX) {
        return now_ms - BUILDER_PAST_MS_MAX;
    }
    return timestamp_ms > now_ms + BUILDER_FUTURE_MS_MAX ? now_ms + BUILDER_FUTURE_MS_MAX
                                                         : timestamp_ms;
}

/* The time was bounded: the event's own goes into a header, as Kafka writes times (ms since 1970).
 */
static int add_bounded(struct builder *builder, const struct source_block *block,
                       const struct source_span *span, int64_t time_ms,
                       const struct stream_headers *headers)
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
    const struct stream_headers *headers = stream_headers(stream, span->flags);
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

/* Says in the batch being built how far into the block it goes. Needs the reserved entry. */
static void mark(struct builder *builder, const struct source_stream *stream,
                 const struct source_block *block)
{
    uint8_t position[SOURCE_POSITION_SIZE_MAX];
    size_t size = block->position_at(block, block->taken, position);
    int rc;

    mr_assert(size <= sizeof position);
    rc = position_change_set(&builder->change, stream->key, stream->key_size, stream->skip,
                             position, size);
    mr_assert(rc == 0);
}

static int reserve(struct builder *builder, const struct source_stream *stream)
{
    return position_change_reserve(&builder->change, stream->key, stream->key_size);
}

/* Seals in the middle of a block. */
static int seal_within(struct builder *builder, const struct source_stream *stream,
                       const struct source_block *block)
{
    int rc;

    if (block->taken > 0) {
        mark(builder, stream, block);
    }
    rc = builder_seal(builder);
    return rc == 0 ? reserve(builder, stream) : rc;
}

/* Counts in block->taken how many events need not be offered again, whatever is returned. */
static int take_spans(struct builder *builder, struct source_stream *stream,
                      struct source_block *block)
{
    int64_t now_ms = mr_loop_wall_ms(builder->intake->config.loop);
    size_t batch_size = (size_t)builder->intake->config.batch_size_bytes;
    int rc = reserve(builder, stream); /* no event goes without its stream's position */

    while (block->taken < block->span_count && rc == 0) {
        const struct source_span *span = &block->spans[block->taken];
        rc = take_span(builder, stream, block, span, now_ms);
        if (rc == MR_EFULL) {
            rc = seal_within(builder, stream, block);
            continue;
        }
        if (rc == MR_ETOOLARGE) { /* for any batch: the source's own bound is lower, as a rule */
            builder_drop(builder, "too_large", 1, span->size);
            rc = 0;
        } else if (rc == 0) {
            builder->bytes += span->size;
        } else {
            break;
        }
        block->taken++;
        if (batch_builder_size(&builder->batch) >= batch_size && block->taken < block->span_count) {
            rc = seal_within(builder, stream, block);
        }
    }
    return rc;
}

/* Events that a log of an older version says it has, behind its position. */
static void leave_out(struct source_stream *stream, struct source_block *block)
{
    size_t left = block->span_count - block->taken;
    size_t count = stream->skip < left ? stream->skip : left;

    block->taken += count;
    stream->skip -= (uint32_t)count;
}

int builder_take(struct builder *builder, struct source_stream *stream, struct source_block *block)
{
    int rc;

    leave_out(stream, block);
    rc = take_spans(builder, stream, block);
    if (rc != 0) {
        /* What was taken stays; the source offers the block again. */
        if (block->taken > 0 && reserve(builder, stream) == 0) {
            mark(builder, stream, block);
        }
        linger(builder, BUILDER_RETRY_MS);
        return rc;
    }
    mark(builder, stream, block);
    mr_list_init(&block->link);
    mr_list_append(&builder->blocks, &block->link);
    if (batch_builder_size(&builder->batch) >= (size_t)builder->intake->config.batch_size_bytes) {
        (void)builder_seal(builder); /* without memory the linger timer tries again */
    } else {
        linger(builder, builder->intake->config.linger_ms);
    }
    return 0;
}

bool builder_is_ready(struct builder *builder)
{
    if (builder->is_stuck || builder->is_cut || lane_is_blocked(builder->lane)) {
        return false;
    }
    if (is_position_full(builder)) {
        (void)builder_seal(builder);
    }
    return !is_position_full(builder) && !lane_is_blocked(builder->lane);
}

/* ---- begin and end ---- */

void builder_open(struct builder *builder, struct intake *intake, struct lane *lane)
{
    size_t size_max = (size_t)intake->config.message_size_bytes_max;
    size_t tail = size_max / 8 < BUILDER_TAIL_SIZE_MIN   ? BUILDER_TAIL_SIZE_MIN
                  : size_max / 8 > BUILDER_TAIL_SIZE_MAX ? BUILDER_TAIL_SIZE_MAX
                                                         : size_max / 8;
    const struct batch_builder_options options = {
        .size_bytes_max = size_max,
        .tail_room_bytes = tail,
        .codec = intake->config.codec,
        .codec_level = MR_CODEC_LEVEL_DEFAULT,
        .codecs = intake->codecs,
    };

    mr_assert(size_max >= 2 * (size_t)BUILDER_TAIL_SIZE_MIN);
    builder->intake = intake;
    builder->lane = lane;
    builder->position_bytes_max = tail - BUILDER_FRAME_SIZE_MAX;
    batch_builder_init(&builder->batch, &options);
    mr_list_init(&builder->blocks);
    mr_list_init(&builder->sealed);
    mr_timer_init(&builder->linger_timer, intake->config.loop, on_linger, builder);
}

void builder_done(struct builder *builder)
{
    mr_timer_stop(&builder->linger_timer);
    batch_builder_done(&builder->batch);
    position_change_done(&builder->change);
}
