/* From the log to a sink that answers as it likes: everything is delivered in order, at least once,
 * and every offset is counted exactly once. */
#include <string.h>

#include "base/core/memory.h"
#include "tests/lib/flow_fixture.h"
#include "tests/lib/test.h"

static void take_row(void *owner, const struct drain_row *row)
{
    *(struct drain_row *)owner = *row;
}

static struct drain_row row_of(struct flow_fixture *f)
{
    struct drain_row row = {.partition = -1};

    drain_each(f->drain, take_row, &row);
    CHECK_EQ(row.partition, 0);
    /* The books balance at every moment. */
    CHECK_EQ(row.delivered + row.skipped + row.dead, row.position_offset - row.origin_offset);
    return row;
}

static void work(struct flow_fixture *f, struct script_sink_options *options, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        if (mr_random_below(&f->random.base, 3) == 0) {
            flow_fixture_append(f, 1 + (int)mr_random_below(&f->random.base, 30));
        }
        if (mr_random_below(&f->random.base, 2) == 0) {
            (void)script_answer(options);
        }
        flow_fixture_pass_ms(f, (int64_t)mr_random_below(&f->random.base, 60));
        (void)row_of(f);
    }
}

static void finish(struct flow_fixture *f, struct script_sink_options *options)
{
    options->retry_percent = 0;
    options->permanent_percent = 0;
    for (int i = 0; i < 20000 && row_of(f).position_offset < row_of(f).end_offset; i++) {
        (void)script_answer(options);
        flow_fixture_pass_ms(f, 10);
    }
    CHECK_EQ(row_of(f).position_offset, row_of(f).end_offset);
    flow_fixture_pass_ms(f, 5000); /* the commit */
}

static void deliver(const struct sink_type *type, void (*die)(struct flow_fixture *f),
                    int permanent)
{
    struct flow_fixture *f = flow_fixture_new(test_seed());
    struct script_sink_options options = {.is_random_order = true};
    struct drain_row row;
    int64_t position = 0;

    for (int round = 0; round < 12; round++) {
        CHECK_EQ(flow_fixture_start(f), 0);
        CHECK_EQ(flow_fixture_open_drain(f, type, &options), 0);
        options.retry_percent = 20;
        options.permanent_percent = permanent;
        row = row_of(f);
        CHECK_LE(row.position_offset, position); /* at least once: a commit may be behind */
        CHECK_EQ(row.origin_offset, 0);
        work(f, &options, 40);
        position = row_of(f).position_offset;
        die(f);
    }
    CHECK_EQ(flow_fixture_start(f), 0);
    CHECK_EQ(flow_fixture_open_drain(f, type, &options), 0);
    finish(f, &options);
    row = row_of(f);
    for (int64_t i = 0; i < row.end_offset; i++) {
        CHECK(options.is_taken[i]);
    }
    CHECK_EQ(row.skipped, 0);
    CHECK_LE(row.dead, options.dead); /* sent again, and refused again, counts once */
    if (permanent == 0) {
        CHECK_EQ(row.dead, 0);
    } else {
        CHECK_GT(row.dead, 0);
    }
    flow_fixture_stop(f);
    flow_fixture_free(f);
}

TEST(drain, delivers_records_over_stops)
{
    deliver(&script_sink_records, flow_fixture_stop, 0);
}

TEST(drain, delivers_records_over_kills)
{
    deliver(&script_sink_records, flow_fixture_kill, 0);
}

TEST(drain, delivers_ranges_over_kills)
{
    deliver(&script_sink_ranges, flow_fixture_kill, 0);
}

TEST(drain, keeps_what_is_refused_for_good)
{
    deliver(&script_sink_records, flow_fixture_stop, 15);
}

TEST(drain, keeps_ranges_that_are_refused_for_good)
{
    deliver(&script_sink_ranges, flow_fixture_stop, 15);
}

/* A stop in good order commits: the next start sends nothing again. */
TEST(drain, goes_on_where_it_stopped)
{
    struct flow_fixture *f = flow_fixture_new(test_seed());
    struct script_sink_options options = {0};
    int64_t writes;

    CHECK_EQ(flow_fixture_start(f), 0);
    CHECK_EQ(flow_fixture_open_drain(f, &script_sink_records, &options), 0);
    for (int i = 0; i < 20; i++) {
        flow_fixture_append(f, 5);
        flow_fixture_pass_ms(f, 5);
        while (script_answer(&options)) {
        }
    }
    finish(f, &options);
    writes = options.writes_seen;
    flow_fixture_stop(f);
    CHECK_EQ(flow_fixture_start(f), 0);
    CHECK_EQ(flow_fixture_open_drain(f, &script_sink_records, &options), 0);
    flow_fixture_pass_ms(f, 5000);
    CHECK_EQ(options.writes_seen, writes);
    CHECK_EQ(row_of(f).delivered, 100);
    flow_fixture_free(f);
}

/* One retry takes back all writes behind it, and nothing is written while they are unanswered. */
TEST(drain, waits_for_late_answers_before_it_writes_again)
{
    struct flow_fixture *f = flow_fixture_new(test_seed());
    struct script_sink_options options = {.retry_percent = 100};

    CHECK_EQ(flow_fixture_start(f), 0);
    CHECK_EQ(flow_fixture_open_drain(f, &script_sink_ranges, &options), 0);
    for (int i = 0; i < 10; i++) {
        flow_fixture_append(f, 3);
    }
    flow_fixture_pass_ms(f, 2000);
    CHECK_EQ(options.write_count, 5);
    CHECK(script_answer(&options));
    flow_fixture_pass_ms(f, 10000); /* far beyond the backoff */
    CHECK_EQ(options.write_count, 4);
    CHECK_EQ(row_of(f).in_flight, 0);
    options.retry_percent = 0;
    while (options.write_count > 0 && options.writes[0]->first_offset != 0) {
        CHECK(script_answer(&options)); /* too late: they do not count */
    }
    CHECK_EQ(row_of(f).position_offset, 0);
    flow_fixture_pass_ms(f, 2000);
    CHECK_EQ(options.writes[0]->first_offset, 0);
    finish(f, &options);
    CHECK_EQ(row_of(f).delivered, 30);
    flow_fixture_free(f);
}

struct commit {
    int calls;
    int rc;
};

static void on_commit(void *owner, int rc)
{
    struct commit *commit = owner;

    commit->calls++;
    commit->rc = rc;
}

/* The sink's state is there after a restart, together with the position. */
TEST(drain, keeps_the_state_of_its_sink)
{
    struct flow_fixture *f = flow_fixture_new(test_seed());
    struct script_sink_options options = {0};
    struct commit commit = {0, 1};
    uint8_t state[SINK_STATE_SIZE_MAX];
    uint8_t found[SINK_STATE_SIZE_MAX];

    mr_random_system()->fill(mr_random_system(), state, sizeof state);
    CHECK_EQ(flow_fixture_start(f), 0);
    CHECK_EQ(flow_fixture_open_drain(f, &script_sink_ranges, &options), 0);
    const struct sink_host_ops *ops = options.sink->host->ops;
    CHECK_EQ(ops->state_get(options.sink->host, "app", 0, found, sizeof found), 0);
    CHECK_EQ(
        ops->state_commit(options.sink->host, "app", 0, state, sizeof state, on_commit, &commit),
        0);
    CHECK_EQ(ops->state_commit(options.sink->host, "app", 0, state, sizeof state + 1, on_commit,
                               &commit),
             MR_ETOOLARGE);
    CHECK_EQ(ops->state_commit(options.sink->host, "no", 0, state, 1, on_commit, &commit),
             MR_ENOENT);
    CHECK_EQ(commit.calls, 0); /* later */
    flow_fixture_pass_ms(f, 2000);
    CHECK_EQ(commit.calls, 1);
    CHECK_EQ(commit.rc, 0);
    flow_fixture_power_loss(f);
    CHECK_EQ(flow_fixture_start(f), 0);
    CHECK_EQ(flow_fixture_open_drain(f, &script_sink_ranges, &options), 0);
    ops = options.sink->host->ops;
    CHECK_EQ(ops->state_get(options.sink->host, "app", 0, found, sizeof found), sizeof state);
    CHECK_MEM(found, state, sizeof state);
    flow_fixture_free(f);
}

/* Back for a destination that has lost something, forward for one that has it already. */
TEST(drain, moves_where_its_sink_says)
{
    struct flow_fixture *f = flow_fixture_new(test_seed());
    struct script_sink_options options = {0};

    CHECK_EQ(flow_fixture_start(f), 0);
    for (int i = 0; i < 10; i++) {
        flow_fixture_append(f, 3);
    }
    CHECK_EQ(flow_fixture_open_drain(f, &script_sink_ranges, &options), 0);
    const struct sink_host_ops *ops = options.sink->host->ops;
    ops->rewind(options.sink->host, "app", 0, 9);
    CHECK_EQ(row_of(f).position_offset, 9);
    CHECK_EQ(row_of(f).delivered, 9);
    flow_fixture_pass_ms(f, 2000);
    CHECK_EQ(options.writes[0]->first_offset, 9);
    CHECK(script_answer(&options));
    ops->rewind(options.sink->host, "app", 0, 3);
    CHECK_EQ(row_of(f).delivered, 3);
    while (options.write_count > 0) { /* what was under way is void */
        CHECK(script_answer(&options));
    }
    flow_fixture_pass_ms(f, 2000);
    CHECK_EQ(options.writes[0]->first_offset, 3);
    finish(f, &options);
    CHECK_EQ(row_of(f).delivered, 30);
    ops->lost(options.sink->host, "app", 0, "truncated", 7);
    CHECK_EQ(row_of(f).lost, 7);
    flow_fixture_free(f);
}

/* What goes from the log before the sink had it is counted as skipped, and the sink goes on. */
TEST(drain, counts_what_was_dropped_before_it)
{
    struct flow_fixture *f = flow_fixture_new(test_seed());
    struct script_sink_options options = {0};
    struct queue_producer *producer;
    int64_t gone = 0;

    f->topic.segment_size_bytes = 16 << 10;
    f->codec = MR_CODEC_NONE;
    CHECK_EQ(flow_fixture_start(f), 0);
    CHECK_EQ(flow_fixture_open_drain(f, &script_sink_ranges, &options), 0);
    for (int i = 0; i < 60; i++) {
        flow_fixture_append(f, 40);
    }
    flow_fixture_pass_ms(f, 2000);
    CHECK_EQ(options.write_count, 5);
    CHECK_EQ(queue_producer_open(f->queue, "app", 0, NULL, NULL, &producer, NULL), 0);
    for (int i = 0; i < 2; i++) {
        int64_t records = 0;
        flow_fixture_pass_ms(f, 3000); /* positions are checkpointed first */
        if (queue_producer_drop_oldest(producer, &records) == 0) {
            gone += records;
        }
    }
    CHECK_GT(gone, 0);
    CHECK_GT(queue_producer_start_offset(producer), 5 * 40);
    finish(f, &options);
    /* What was under way when the segments went could still be read. */
    CHECK_EQ(row_of(f).skipped, queue_producer_start_offset(producer) - 5 * 40);
    CHECK_EQ(row_of(f).delivered + row_of(f).skipped, 60 * 40);
    queue_producer_close(producer);
    flow_fixture_free(f);
}
