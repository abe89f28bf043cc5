/* From a source to the log: every event once, in order, whatever dies and when. */
#include <stdlib.h>
#include <string.h>

#include "agent/flow/positions.h"
#include "base/core/memory.h"
#include "tests/lib/flow_fixture.h"
#include "tests/lib/test.h"

static int64_t sum(const int64_t next[SCRIPT_STREAMS_MAX])
{
    int64_t total = 0;

    for (int i = 0; i < SCRIPT_STREAMS_MAX; i++) {
        total += next[i];
    }
    return total;
}

/* The books: what the positions say was delivered is what the log holds. */
static void check_ledger(struct flow_fixture *f, int64_t records)
{
    struct positions *positions = lane_positions(f->lane);
    const struct position_source *source = positions_source(positions, "script", false);

    CHECK_EQ(positions->unattributed, 0);
    CHECK_EQ(positions->offset, lane_end_offset(f->lane));
    CHECK_EQ(source == NULL ? 0 : source->delivered_events, positions->offset);
    CHECK_EQ(records, positions->offset);
}

/* Where the table says that a stream goes on: behind its position, and what is to be skipped. */
static int64_t stream_end(struct flow_fixture *f, int stream)
{
    uint8_t key = (uint8_t)stream;
    const struct position *position = positions_get(lane_positions(f->lane), "script", &key, 1);
    int64_t next = 0;

    if (position == NULL) {
        return 0;
    }
    CHECK(position->size == 0 || position->size == sizeof next);
    if (position->size > 0) {
        memcpy(&next, position->value, sizeof next);
    }
    return next + position->skip;
}

static void offer_some(struct flow_fixture *f, struct script_options *options, int blocks)
{
    for (int i = 0; i < blocks; i++) {
        script_offer(options);
        if (mr_random_below(&f->random.base, 3) == 0) {
            mr_loop_turn(f->loop, 0);
        }
        if (mr_random_below(&f->random.base, 10) == 0) {
            flow_fixture_pass_ms(f, (int64_t)mr_random_below(&f->random.base, 1200));
        }
    }
}

typedef void (*death)(struct flow_fixture *f);

/* Rounds of offering and dying; the source then offers again from its positions, cut otherwise. */
static void live_and_die(int rounds, death die)
{
    struct flow_fixture *f = flow_fixture_new(test_seed());
    struct script_options options = {.stream_count = 4};
    int64_t next[SCRIPT_STREAMS_MAX];

    for (int round = 0; round < rounds; round++) {
        CHECK_EQ(flow_fixture_start(f), 0);
        check_ledger(f, script_check_topic(f, next));
        CHECK_EQ(flow_fixture_open_intake(f, &options), 0);
        for (int i = 0; i < options.stream_count; i++) {
            CHECK_EQ(stream_end(f, i), next[i]);
        }
        offer_some(f, &options, (int)mr_random_below(&f->random.base, 40));
        die(f);
    }
    CHECK_EQ(flow_fixture_start(f), 0);
    check_ledger(f, script_check_topic(f, next));
    CHECK_GT(sum(next), 0);
    flow_fixture_free(f);
}

TEST(intake, loses_and_repeats_nothing_over_kills)
{
    live_and_die(60, flow_fixture_kill);
}

TEST(intake, loses_and_repeats_nothing_over_power_cuts)
{
    live_and_die(40, flow_fixture_power_loss);
}

/* Any pages of what was not synced may be gone, also earlier ones than some that stay. */
static void lose_by_seed(struct flow_fixture *f)
{
    f->disk->loss = DISK_LOSES_BY_SEED;
    flow_fixture_power_loss(f);
}

TEST(intake, loses_and_repeats_nothing_when_any_pages_are_lost)
{
    live_and_die(60, lose_by_seed);
}

/* In good order the log has everything that was offered. */
TEST(intake, writes_everything_before_it_closes)
{
    struct flow_fixture *f = flow_fixture_new(test_seed());
    struct script_options options = {.stream_count = 3};
    int64_t offered[SCRIPT_STREAMS_MAX] = {0};
    int64_t next[SCRIPT_STREAMS_MAX];

    for (int round = 0; round < 5; round++) {
        CHECK_EQ(flow_fixture_start(f), 0);
        check_ledger(f, script_check_topic(f, next));
        CHECK_MEM(next, offered, sizeof next);
        CHECK_EQ(flow_fixture_open_intake(f, &options), 0);
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(options.source->streams[i].next, next[i]);
        }
        offer_some(f, &options, 30);
        for (int i = 0; i < 3; i++) {
            offered[i] = options.source->streams[i].next;
        }
        flow_fixture_stop(f);
        CHECK_EQ(options.canceled, 0);
    }
    flow_fixture_free(f);
}

/* Full, and room again: the source waits, and goes on without a word. */
TEST(intake, waits_while_the_disk_is_full)
{
    struct flow_fixture *f = flow_fixture_new(test_seed());
    struct script_options options = {.stream_count = 3};
    int64_t next[SCRIPT_STREAMS_MAX];

    CHECK_EQ(flow_fixture_start(f), 0);
    CHECK_EQ(flow_fixture_open_intake(f, &options), 0);
    for (int round = 0; round < 10; round++) {
        offer_some(f, &options, 20);
        f->disk->limit_bytes = f->disk->used_bytes + 1000;
        offer_some(f, &options, 40);
        flow_fixture_pass_ms(f, 2000);
        offer_some(f, &options, 10);
        CHECK_NE(lane_state(f->lane), 0);
        CHECK(options.source->is_blocked);
        f->disk->limit_bytes = 0;
        flow_fixture_pass_ms(f, 1000); /* within a second, without a restart */
        CHECK_EQ(lane_state(f->lane), 0);
        CHECK(!options.source->is_blocked);
    }
    flow_fixture_pass_ms(f, 100);
    check_ledger(f, script_check_topic(f, next));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(next[i], options.source->streams[i].next);
    }
    CHECK_EQ(options.dropped, 0);
    flow_fixture_free(f);
}

/* A node that stops on a full disk does not wait for room: what was not taken is read again. */
TEST(intake, stops_while_the_disk_is_full)
{
    struct flow_fixture *f = flow_fixture_new(test_seed());
    struct script_options options = {.stream_count = 3};
    int64_t next[SCRIPT_STREAMS_MAX];

    for (int round = 0; round < 5; round++) {
        CHECK_EQ(flow_fixture_start(f), 0);
        CHECK_EQ(flow_fixture_open_intake(f, &options), 0);
        offer_some(f, &options, 20);
        f->disk->limit_bytes = f->disk->used_bytes + 1000;
        offer_some(f, &options, 20);
        int64_t before_us = f->clock.monotonic_us;
        flow_fixture_stop(f);
        CHECK_LT(f->clock.monotonic_us - before_us, 2000000);
        f->disk->limit_bytes = 0;
    }
    CHECK_GT(options.canceled, 0);
    CHECK_EQ(flow_fixture_start(f), 0);
    check_ledger(f, script_check_topic(f, next));
    flow_fixture_free(f);
}

struct stream_record {
    int64_t last[SCRIPT_STREAMS_MAX];
    int64_t count;
};

static void note_record(void *owner, const struct sink_record *record)
{
    struct stream_record *seen = owner;
    int stream = record->value.data[0] - '0';
    int64_t number = strtoll((const char *)record->value.data + 2, NULL, 10);

    CHECK_GT(number, seen->last[stream]); /* gaps, but no repeat and no disorder */
    seen->last[stream] = number;
    seen->count++;
}

/* drop_new: what is offered is in the log or counted, over restarts too. */
TEST(intake, counts_what_drop_new_drops)
{
    struct flow_fixture *f = flow_fixture_new(test_seed());
    struct script_options options = {.stream_count = 3};
    const struct position_source *source;
    int64_t dropped = 0;
    int64_t taken = 0;

    f->when_full = QUEUE_DROP_NEW;
    for (int round = 0; round < 6; round++) {
        CHECK_EQ(flow_fixture_start(f), 0);
        CHECK_EQ(flow_fixture_open_intake(f, &options), 0);
        for (int i = 0; i < 8; i++) {
            f->disk->limit_bytes = i % 2 == 0 ? 0 : f->disk->used_bytes + 500;
            offer_some(f, &options, 10);
        }
        f->disk->limit_bytes = 0;
        offer_some(f, &options, 3);
        flow_fixture_stop(f);
    }
    CHECK_EQ(flow_fixture_start(f), 0);
    struct stream_record seen = {{-1, -1, -1, -1, -1}, 0};
    flow_fixture_read_all(f, note_record, &seen);
    check_ledger(f, seen.count);
    source = positions_source(lane_positions(f->lane), "script", false);
    for (size_t i = 0; i < source->drop_count; i++) {
        CHECK_STR(source->drops[i].reason, "disk_full");
        dropped += source->drops[i].events;
    }
    CHECK_GT(dropped, 0);
    for (int i = 0; i < 3; i++) {
        taken += stream_end(f, i);
    }
    CHECK_EQ(seen.count + dropped, taken);
    flow_fixture_free(f);
}

/* drop_oldest keeps taking; positions survive the segments that they came with. */
TEST(intake, goes_on_while_the_oldest_segments_are_dropped)
{
    struct flow_fixture *f = flow_fixture_new(test_seed());
    struct script_options options = {.stream_count = 4};
    int64_t last[SCRIPT_STREAMS_MAX] = {0};

    f->when_full = QUEUE_DROP_OLDEST;
    f->topic.segment_size_bytes = 16 << 10;
    f->codec = MR_CODEC_NONE;
    f->disk_limit_bytes = 200 << 10;
    for (int round = 0; round < 6; round++) {
        CHECK_EQ(flow_fixture_start(f), 0);
        CHECK_EQ(flow_fixture_open_intake(f, &options), 0);
        for (int i = 0; i < 4; i++) {
            CHECK_EQ(options.source->streams[i].next, last[i]);
        }
        for (int i = 0; i < 30; i++) {
            offer_some(f, &options, 5);
            flow_fixture_pass_ms(f, 1000);
        }
        CHECK_EQ(lane_state(f->lane), 0);
        for (int i = 0; i < 4; i++) {
            last[i] = options.source->streams[i].next;
        }
        flow_fixture_stop(f);
    }
    CHECK_EQ(flow_fixture_start(f), 0);
    CHECK_EQ(lane_positions(f->lane)->offset, sum(last));
    CHECK_EQ(lane_positions(f->lane)->unattributed, 0);
    struct stream_record seen = {{-1, -1, -1, -1, -1}, 0};
    CHECK_LT(flow_fixture_read_all(f, note_record, &seen), sum(last));
    flow_fixture_free(f);
}

struct fixed_block {
    struct source_block block;
    int64_t position;
    int acked;
};

static size_t fixed_position(const struct source_block *base, size_t span_count, void *position)
{
    const struct fixed_block *block = base->owner;

    CHECK_EQ(span_count, base->span_count);
    memcpy(position, &block->position, sizeof block->position);
    return sizeof block->position;
}

static void count_ack(struct source_block *base, enum source_outcome outcome)
{
    struct fixed_block *block = base->owner;

    CHECK_EQ(outcome, SOURCE_DURABLE);
    block->acked++;
}

/* A position that moves without events is acknowledged; a batch that comes behind it, of another
 * stream, must not be durable without it: kill before the first checkpoint. */
TEST(intake, keeps_positions_that_no_batch_carried)
{
    struct flow_fixture *f = flow_fixture_new(test_seed());
    struct script_options options = {.stream_count = 2};
    const struct source_span span = {.size = 5, .timestamp_ms = -1};

    CHECK_EQ(flow_fixture_start(f), 0);
    CHECK_EQ(flow_fixture_open_intake(f, &options), 0);
    struct source_host *host = options.source->source.host;
    struct mr_buf *buf = mr_buf_copy("1 0 x", 5);
    struct fixed_block position = {.block = {.stream = options.source->streams[0].stream,
                                             .buf = buf,
                                             .position_at = fixed_position,
                                             .acked = count_ack,
                                             .owner = &position},
                                   .position = 7};
    struct fixed_block lines = {.block = position.block, .position = 1};
    CHECK_EQ(host->ops->offer(host, &position.block), 0);
    flow_fixture_pass_ms(f, 20);
    CHECK_EQ(position.acked, 1);
    CHECK_EQ(stream_end(f, 0), 7);
    lines.block.stream = options.source->streams[1].stream;
    lines.block.spans = &span;
    lines.block.span_count = 1;
    lines.block.owner = &lines;
    CHECK_EQ(host->ops->offer(host, &lines.block), 0);
    flow_fixture_pass_ms(f, 20);
    CHECK_EQ(lines.acked, 1);
    flow_fixture_kill(f);
    CHECK_EQ(flow_fixture_start(f), 0);
    CHECK_EQ(stream_end(f, 1), 1);
    CHECK_EQ(stream_end(f, 0), 7);
    mr_buf_unref(buf);
    flow_fixture_free(f);
}
