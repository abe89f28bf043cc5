/* The world of a flow; see flow_fixture.h. Sources and sinks are in flow_script.c. */
#include "tests/lib/flow_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/flow/records.h"
#include "base/core/memory.h"
#include "queue/consumer.h"
#include "queue/producer.h"
#include "queue/wire/batch_builder.h"
#include "tests/lib/test.h"

enum { TURNS_MAX = 20000 };

struct flow_fixture *flow_fixture_new(uint64_t seed)
{
    struct flow_fixture *f = calloc(1, sizeof *f);

    CHECK(f != NULL);
    f->disk = fault_disk_new(seed);
    test_clock_init(&f->clock);
    mr_random_seeded_init(&f->random, seed);
    CHECK_EQ(mr_loop_new_virtual(&f->clock.clock, &f->loop), 0);
    CHECK_EQ(mr_workers_new(f->loop, "worker", 1, &f->workers), 0);
    f->uuid = mr_uuid_random(&f->random.base);
    f->boot_id = mr_uuid_random(&f->random.base);
    f->topic = (struct queue_topic_spec){.name = "app",
                                         .is_local = true,
                                         .partitions = 1,
                                         .replicas = 1,
                                         .retention_ms = -1,
                                         .retention_bytes = -1,
                                         .segment_size_bytes = 64 << 10,
                                         .segment_age_ms = -1,
                                         .message_size_bytes_max = -1,
                                         .fsync = -1,
                                         .fsync_interval_ms = -1,
                                         .compression = -1};
    f->batch_size_bytes = 2048;
    f->message_size_bytes_max = 16 << 10;
    f->codec = MR_CODEC_LZ4;
    return f;
}

void flow_fixture_free(struct flow_fixture *f)
{
    flow_fixture_stop(f);
    mr_workers_free(f->workers);
    flow_fixture_turn(f);
    mr_loop_free(f->loop);
    fault_disk_free(f->disk);
    free(f);
}

void flow_fixture_turn(struct flow_fixture *f)
{
    for (int i = 0; i < TURNS_MAX && mr_loop_next_us(f->loop) <= f->clock.monotonic_us; i++) {
        mr_loop_turn(f->loop, 0);
    }
}

static bool step(struct flow_fixture *f, int64_t until_us)
{
    int64_t next_us = mr_loop_next_us(f->loop);

    if (next_us > until_us) {
        return false;
    }
    if (next_us > f->clock.monotonic_us) {
        test_clock_advance_us(&f->clock, next_us - f->clock.monotonic_us);
    }
    mr_loop_turn(f->loop, 0);
    return true;
}

void flow_fixture_pass_ms(struct flow_fixture *f, int64_t ms)
{
    int64_t until_us = f->clock.monotonic_us + ms * 1000;
    int turns = 0;

    while (step(f, until_us)) {
        CHECK_LT(turns++, TURNS_MAX);
    }
    test_clock_advance_us(&f->clock, until_us - f->clock.monotonic_us);
}

void flow_fixture_wait(struct flow_fixture *f, const bool *flag)
{
    for (int i = 0; i < TURNS_MAX && !*flag; i++) {
        CHECK(step(f, INT64_MAX - 1));
    }
    CHECK(*flag);
}

/* ---- life and death ---- */

static void on_lane_ready(void *owner)
{
    struct flow_fixture *f = owner;

    f->ready_count++;
    if (f->on_ready != NULL) {
        f->on_ready(f);
    }
    if (f->intake != NULL) {
        intake_ready(f->intake);
    }
}

int flow_fixture_start(struct flow_fixture *f)
{
    const struct queue_config config = {
        .loop = f->loop,
        .disk = &f->disk->base,
        .random = &f->random.base,
        .data_directory = fault_disk_root(f->disk),
        .boot_id = f->boot_id,
        .node_name = "node",
        .node_id = 1,
        .disk_limit_bytes = f->disk_limit_bytes,
        .disk_keep_ms = 3600000,
        .auto_create_topics = true,
        .default_partitions = 1,
        .request_size_bytes_max = 1 << 20,
        .memory_limit_bytes = 1 << 20,
        .connection_idle_ms_max = 600000,
        .topics = &f->topic,
        .topic_count = 1,
    };
    const struct lane_env env = {.loop = f->loop,
                                 .disk = &f->disk->base,
                                 .workers = f->workers,
                                 .node_uuid = f->uuid,
                                 .on_ready = on_lane_ready,
                                 .owner = f};
    struct lane_env lane_env = env;
    struct mr_error error = {0};
    int rc = queue_open(&config, &f->queue, &error);

    if (rc == 0) {
        lane_env.queue = f->queue;
        rc = lane_open(&lane_env, "app", 0, f->when_full, &f->lane, &error);
    }
    if (rc != 0) {
        (void)fprintf(stderr, "start: %s\n", error.text);
    }
    return rc;
}

static void set_flag(void *owner)
{
    *(bool *)owner = true;
}

void flow_fixture_stop(struct flow_fixture *f)
{
    bool is_done;

    if (f->lane != NULL) {
        lane_end(f->lane);
    }
    if (f->intake != NULL) {
        struct intake *intake = f->intake;
        f->intake = NULL;
        is_done = false;
        intake_close(intake, set_flag, &is_done);
        flow_fixture_wait(f, &is_done);
    }
    if (f->drain != NULL) {
        is_done = false;
        drain_close(f->drain, set_flag, &is_done);
        flow_fixture_wait(f, &is_done);
        f->drain = NULL;
    }
    if (f->lane != NULL) {
        is_done = false;
        lane_close(f->lane, set_flag, &is_done);
        flow_fixture_wait(f, &is_done);
        f->lane = NULL;
    }
    if (f->queue != NULL) {
        is_done = false;
        queue_close(f->queue, set_flag, &is_done);
        flow_fixture_wait(f, &is_done);
        f->queue = NULL;
    }
}

void flow_fixture_kill(struct flow_fixture *f)
{
    f->disk->is_off = true;
    flow_fixture_stop(f);
    flow_fixture_turn(f);
    f->disk->is_off = false;
}

void flow_fixture_power_loss(struct flow_fixture *f)
{
    f->disk->is_off = true;
    flow_fixture_stop(f);
    flow_fixture_turn(f);
    fault_disk_power_loss(f->disk);
    f->boot_id = mr_uuid_random(&f->random.base);
}

/* ---- the topic ---- */

static void on_more(void *owner)
{
    (void)owner;
}

static int64_t read_range(struct flow_fixture *f, struct log_range *range, int64_t offset,
                          flow_record_cb cb, void *owner)
{
    struct mr_codec_context *codecs;
    struct records records;
    int64_t bad = 0;
    int64_t count;

    CHECK_EQ(mr_codec_context_new(&codecs), 0);
    records_init(&records);
    CHECK_EQ(mr_bytes_reserve(&records.raw, (size_t)range->size_bytes), 0);
    CHECK_EQ(mr_disk_pread(&f->disk->base, range->fd, records.raw.data, (size_t)range->size_bytes,
                           range->position),
             range->size_bytes);
    records.raw.size_bytes = (size_t)range->size_bytes;
    CHECK_EQ(records_decode(&records, offset, range->next_offset, codecs, &bad), 0);
    CHECK_EQ(bad, 0);
    for (size_t i = 0; i < records.count; i++) {
        CHECK_EQ(records.items[i].offset, offset + (int64_t)i);
        if (cb != NULL) {
            cb(owner, &records.items[i]);
        }
    }
    count = (int64_t)records.count;
    CHECK_EQ(offset + count, range->next_offset);
    records_done(&records);
    mr_codec_context_free(codecs);
    return count;
}

int64_t flow_fixture_read_all(struct flow_fixture *f, flow_record_cb cb, void *owner)
{
    struct queue_consumer *consumer;
    struct log_range range;
    int64_t count = 0;
    int64_t offset;

    CHECK_EQ(queue_consumer_open(f->queue, "test", "app", 0, on_more, f, &consumer, NULL), 0);
    offset = queue_consumer_start_offset(consumer);
    while (offset < queue_consumer_end_offset(consumer)) {
        memset(&range, 0, sizeof range);
        CHECK_EQ(queue_consumer_read(consumer, offset, QUEUE_LIMIT_VISIBLE, 1 << 20, NULL, &range),
                 0);
        CHECK_GT(range.size_bytes, 0);
        count += read_range(f, &range, offset, cb, owner);
        offset = range.next_offset;
        log_range_done(&range);
    }
    queue_consumer_close(consumer);
    return count;
}

struct test_append {
    struct queue_append append;
    bool is_done;
};

static void on_appended(struct queue_append *append)
{
    ((struct test_append *)append->owner)->is_done = true;
}

static struct mr_buf *make_batch(struct flow_fixture *f, int64_t first, int count)
{
    struct mr_codec_context *codecs;
    struct batch_builder builder;
    struct mr_buf *batch = NULL;
    char text[64];

    CHECK_EQ(mr_codec_context_new(&codecs), 0);
    const struct batch_builder_options options = {.size_bytes_max = 1 << 20,
                                                  .codec =
                                                      first % 2 == 0 ? MR_CODEC_NONE : f->codec,
                                                  .codec_level = MR_CODEC_LEVEL_DEFAULT,
                                                  .codecs = codecs};
    batch_builder_init(&builder, &options);
    CHECK_EQ(batch_builder_begin(&builder, 1000), 0);
    for (int i = 0; i < count; i++) {
        int size = snprintf(text, sizeof text, "record %lld", (long long)first + i);
        CHECK_EQ(batch_builder_add_line(&builder, 1000, text, (size_t)size, NULL, 0, 0), 0);
    }
    CHECK_EQ(batch_builder_finish(&builder, NULL, NULL, 0, 0, &batch), 0);
    batch_builder_done(&builder);
    mr_codec_context_free(codecs);
    return batch;
}

void flow_fixture_append(struct flow_fixture *f, int count)
{
    struct queue_producer *producer;
    struct test_append append = {.append = {.record_count = count, .cb = on_appended}};
    struct mr_buf *batch;

    CHECK_EQ(queue_producer_open(f->queue, "app", 0, on_more, f, &producer, NULL), 0);
    batch = make_batch(f, queue_producer_end_offset(producer), count);
    append.append.batch = (struct mr_slice){batch, batch->data, batch->size_bytes};
    append.append.owner = &append;
    CHECK_EQ(queue_producer_append(producer, &append.append), 0);
    flow_fixture_wait(f, &append.is_done);
    CHECK_EQ(append.append.rc, 0);
    mr_buf_unref(batch);
    queue_producer_close(producer);
}
