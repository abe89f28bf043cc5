/* Idempotent producers by Kafka's rules: retries, gaps, wraps, epochs, and all of it over restarts.
 * Leader epochs and timestamps, which are looked up in the same log, stand at the end. */
#include <stdlib.h>
#include <string.h>

#include "queue/log/log.h"
#include "queue/log/log_internal.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/test.h"

static int produce(struct log_fixture *f, int64_t id, int16_t epoch, int32_t sequence, int count,
                   struct log_fixture_append *ret_append)
{
    struct batch_builder_identity identity = {
        .producer_id = id, .producer_epoch = epoch, .base_sequence = sequence};
    struct mr_buf *batch = log_fixture_batch(f, log_end_offset(f->log), count, 30, &identity);

    return log_fixture_append(f, batch, 0, ret_append);
}

TEST(producer, a_retry_gets_the_offsets_it_has)
{
    struct log_fixture *f = log_fixture_new(1);
    struct log_fixture_append append;

    CHECK_EQ(log_fixture_open(f), 0);
    for (int32_t i = 0; i < 8; i++) {
        CHECK_EQ(produce(f, 7, 0, i * 3, 3, &append), 0);
    }
    for (int life = 0; life < 3; life++) {
        for (int32_t i = 3; i < 8; i++) { /* the last five */
            CHECK_EQ(produce(f, 7, 0, i * 3, 3, &append), MR_EDUPLICATE);
            CHECK_EQ(append.append.base_offset, i * 3);
            CHECK_EQ(append.append.last_offset, i * 3 + 2);
        }
        CHECK_EQ(produce(f, 7, 0, 2 * 3, 3, &append), MR_ESEQUENCE);
        CHECK_EQ(produce(f, 7, 0, 25, 3, &append), MR_ESEQUENCE);
        CHECK_EQ(produce(f, 7, 0, 21, 2, &append), MR_ESEQUENCE); /* not the batch that was sent */
        CHECK_EQ(log_end_offset(f->log), 24);
        if (life == 0) {
            CHECK_EQ(log_fixture_reopen(f), 0);
        } else {
            log_fixture_kill(f);
            CHECK_EQ(log_fixture_open(f), 0);
        }
    }
    CHECK_EQ(produce(f, 7, 0, 24, 1, &append), 0);
    log_fixture_check_whole(f);
    log_fixture_free(f);
}

TEST(producer, a_new_epoch_begins_at_zero_and_fences_the_old)
{
    struct log_fixture *f = log_fixture_new(2);
    struct log_fixture_append append;
    struct log_producer producer;

    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(produce(f, 7, 3, 100, 2, &append), 0); /* not known: whatever its sequence */
    CHECK_EQ(produce(f, 7, 4, 102, 2, &append), MR_ESEQUENCE);
    CHECK_EQ(produce(f, 7, 4, 0, 2, &append), 0);
    CHECK_EQ(produce(f, 7, 3, 102, 2, &append), MR_EFENCED);
    CHECK_EQ(produce(f, 7, 4, 2, 2, &append), 0);
    CHECK(log_producer_get(f->log, 7, &producer));
    CHECK_EQ(producer.epoch, 4);
    CHECK_EQ(producer.last_sequence, 3);
    CHECK_EQ(producer.last_offset, 5);
    CHECK(!log_producer_get(f->log, 8, &producer));
    log_fixture_free(f);
}

/* 2147483647 is followed by 0, also in the middle of a batch. */
TEST(producer, sequences_wrap)
{
    struct log_fixture *f = log_fixture_new(3);
    struct log_fixture_append append;
    struct log_producer producer;

    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(produce(f, 7, 0, INT32_MAX - 4, 3, &append), 0);
    CHECK_EQ(produce(f, 7, 0, INT32_MAX - 1, 5, &append), 0);
    CHECK(log_producer_get(f->log, 7, &producer));
    CHECK_EQ(producer.last_sequence, 2);
    CHECK_EQ(produce(f, 7, 0, INT32_MAX - 1, 5, &append), MR_EDUPLICATE);
    CHECK_EQ(append.append.base_offset, 3);
    CHECK_EQ(produce(f, 7, 0, 3, 1, &append), 0);
    CHECK_EQ(produce(f, 8, 0, INT32_MAX, 1, &append), 0);
    CHECK_EQ(produce(f, 8, 0, 0, 1, &append), 0);
    log_fixture_free(f);
}

TEST(producer, state_follows_a_truncation)
{
    struct log_fixture *f = log_fixture_new(4);
    struct log_fixture_append append;

    CHECK_EQ(log_fixture_open(f), 0);
    for (int32_t i = 0; i < 100; i++) {
        CHECK_EQ(produce(f, 7, 0, i, 1, &append), 0);
    }
    CHECK_EQ(log_truncate(f->log, 60, NULL), 0);
    CHECK_EQ(produce(f, 7, 0, 61, 1, &append), MR_ESEQUENCE);
    CHECK_EQ(produce(f, 7, 0, 59, 1, &append), MR_EDUPLICATE);
    CHECK_EQ(produce(f, 7, 0, 60, 1, &append), 0);
    CHECK_EQ(append.append.base_offset, 60);
    log_fixture_free(f);
}

TEST(producer, the_bound_lets_the_oldest_go_and_lineages_last)
{
    struct log_fixture *f = log_fixture_new(5);
    struct log_fixture_append append;
    struct log_producer producer;

    f->config.producers_max = 10;
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(produce(f, LOG_LINEAGE_BIT | 1, 0, 0, 1, &append), 0);
    for (int64_t id = 0; id < 50; id++) {
        CHECK_EQ(produce(f, id, 0, 0, 1, &append), 0);
    }
    CHECK(log_producer_get(f->log, LOG_LINEAGE_BIT | 1, &producer));
    CHECK(log_producer_get(f->log, 49, &producer));
    CHECK(log_producer_get(f->log, 41, &producer));
    CHECK(!log_producer_get(f->log, 40, &producer));
    log_fixture_free(f);
}

TEST(producer, expiry_goes_by_append_time_and_trusts_no_jump)
{
    struct log_fixture *f = log_fixture_new(6);
    struct log_fixture_append append;
    struct log_producer producer;
    const int64_t day_ms = INT64_C(24) * 3600 * 1000;

    f->config.retention_ms = -1;
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(produce(f, 7, 0, 0, 1, &append), 0);
    CHECK_EQ(produce(f, LOG_LINEAGE_BIT | 7, 0, 0, 1, &append), 0);
    (void)log_retain(f->log);
    test_clock_jump_ms(&f->clock, 2 * day_ms); /* nobody believes it */
    (void)log_retain(f->log);
    CHECK(log_producer_get(f->log, 7, &producer));
    test_clock_jump_ms(&f->clock, -2 * day_ms);
    (void)log_retain(f->log);
    test_clock_advance_ms(&f->clock, day_ms + 1);
    (void)log_retain(f->log);
    CHECK(!log_producer_get(f->log, 7, &producer));
    CHECK(log_producer_get(f->log, LOG_LINEAGE_BIT | 7, &producer));
    test_clock_advance_ms(&f->clock, 30 * day_ms);
    (void)log_retain(f->log);
    CHECK(!log_producer_get(f->log, LOG_LINEAGE_BIT | 7, &producer));
    log_fixture_free(f);
}

/* ---- the writer's queue ---- */

struct waiting {
    struct log_append append;
    int calls;
    int *order;
};

static void on_waiting(struct log_append *append)
{
    struct waiting *waiting = append->owner;

    waiting->calls++;
    *waiting->order = *waiting->order * 10 + (int)waiting->append.flags / 16;
}

static void start(struct log_fixture *f, struct waiting *waiting, int number, int32_t sequence,
                  int *order)
{
    struct batch_builder_identity identity = {.producer_id = 7, .base_sequence = sequence};
    struct mr_buf *batch = log_fixture_batch(f, sequence, 1, 30, &identity);

    *waiting = (struct waiting){
        .append = {.batch = {.buf = batch, .data = batch->data, .size_bytes = batch->size_bytes},
                   .leader_epoch = -1,
                   .flags = number * 16, /* bits that the log ignores */
                   .cb = on_waiting,
                   .owner = waiting},
        .order = order};
    CHECK_EQ(log_append(f->log, &waiting->append), 0);
    mr_buf_unref(batch);
}

/* Behind a disk that does not keep up, appends are written by a worker, in order, and a retry of
 * one that waits is answered after it. */
TEST(producer, appends_queue_behind_a_slow_disk_in_order)
{
    struct log_fixture *f = log_fixture_new(7);
    struct waiting waiting[4];
    int order = 0;

    CHECK_EQ(log_fixture_open(f), 0);
    f->log->unflushed_bytes = LOG_UNFLUSHED_MAX + 1;
    start(f, &waiting[0], 1, 0, &order);
    start(f, &waiting[1], 2, 1, &order);
    start(f, &waiting[2], 3, 1, &order);
    start(f, &waiting[3], 4, 2, &order);
    CHECK_EQ(waiting[1].append.rc, 0);
    CHECK_EQ(waiting[1].append.base_offset, 1);
    CHECK_EQ(waiting[2].append.rc, MR_EDUPLICATE);
    CHECK_EQ(waiting[2].append.base_offset, 1);
    CHECK_EQ(log_end_offset(f->log), 0); /* nothing is written yet, so nothing can be read */
    log_fixture_turn(f);
    CHECK_EQ(order, 1234);
    CHECK_EQ(log_end_offset(f->log), 3);
    log_fixture_check_whole(f);
    log_fixture_free(f);
}

/* A queued write that fails takes all behind it with it; producers may send the same again. */
TEST(producer, a_failed_queue_is_forgotten_whole)
{
    struct log_fixture *f = log_fixture_new(8);
    struct log_fixture_append append;
    struct waiting waiting[4];
    int64_t used;
    int order = 0;

    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(produce(f, 7, 0, 0, 1, &append), 0);
    used = f->budget.used_bytes;
    f->log->unflushed_bytes = LOG_UNFLUSHED_MAX + 1;
    fault_set(&f->disk->faults[DISK_WRITE], 1, MR_ENOSPC);
    for (int i = 0; i < 4; i++) {
        start(f, &waiting[i], i + 1, i + 1, &order);
        CHECK_EQ(waiting[i].append.rc, 0);
    }
    log_fixture_turn(f);
    CHECK_EQ(order, 1234);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(waiting[i].append.rc, MR_ENOSPC);
        CHECK_EQ(waiting[i].append.base_offset, -1);
    }
    CHECK_EQ(log_end_offset(f->log), 1);
    CHECK_EQ(f->budget.used_bytes, used);
    CHECK_EQ(produce(f, 7, 0, 0, 1, &append), MR_EDUPLICATE);
    CHECK_EQ(produce(f, 7, 0, 1, 1, &append), 0);
    CHECK_EQ(append.append.base_offset, 1);
    log_fixture_check_whole(f);
    log_fixture_free(f);
}

/* ---- leader epochs ---- */

static void append_epoch(struct log_fixture *f, int32_t epoch, int count)
{
    for (int i = 0; i < count; i++) {
        struct mr_buf *batch = log_fixture_batch(f, log_end_offset(f->log), 1, 200, NULL);
        struct waiting waiting = {.append = {.batch = {.buf = batch,
                                                       .data = batch->data,
                                                       .size_bytes = batch->size_bytes},
                                             .leader_epoch = epoch,
                                             .cb = on_waiting,
                                             .owner = &waiting},
                                  .order = &(int){0}};

        CHECK_EQ(log_append(f->log, &waiting.append), 0);
        mr_buf_unref(batch);
        log_fixture_turn(f);
        CHECK_EQ(waiting.calls, 1);
        CHECK_EQ(waiting.append.rc, 0);
    }
}

static void check_epoch_end(struct log_fixture *f, int32_t asked, int32_t epoch, int64_t end)
{
    int32_t found;
    int64_t found_end;

    log_epoch_end(f->log, asked, &found, &found_end);
    CHECK_EQ(found, epoch);
    CHECK_EQ(found_end, end);
}

TEST(epochs, the_end_of_an_epoch_is_the_start_of_the_next)
{
    struct log_fixture *f = log_fixture_new(9);

    CHECK_EQ(log_fixture_open(f), 0);
    check_epoch_end(f, 0, -1, -1);
    append_epoch(f, 2, 10);
    append_epoch(f, 5, 10);
    CHECK_EQ(log_begin_epoch(f->log, 9, NULL), 0);
    CHECK_EQ(log_begin_epoch(f->log, 8, NULL), MR_EFENCED);
    for (int life = 0; life < 3; life++) {
        CHECK_EQ(log_leader_epoch(f->log), life == 2 ? 5 : 9);
        check_epoch_end(f, 1, 1, 0);
        check_epoch_end(f, 2, 2, 10);
        check_epoch_end(f, 4, 2, 10);
        check_epoch_end(f, 5, 5, 20);
        check_epoch_end(f, 10, -1, -1);
        CHECK_EQ(log_epoch_of(f->log, 9), 2);
        CHECK_EQ(log_epoch_of(f->log, 10), 5);
        log_fixture_close(f);
        if (life == 1) {
            log_fixture_remove(f, "leader-epoch-checkpoint"); /* made again from the batches */
        }
        CHECK_EQ(log_fixture_open(f), 0);
        if (life == 0) {
            CHECK_EQ(log_begin_epoch(f->log, 9, NULL), 0);
        }
    }
    CHECK_EQ(log_truncate(f->log, 12, NULL), 0);
    check_epoch_end(f, 5, 5, 12);
    CHECK_EQ(log_truncate(f->log, 8, NULL), 0);
    CHECK_EQ(log_leader_epoch(f->log), 2);
    check_epoch_end(f, 2, 2, 8);
    log_fixture_free(f);
}

/* ---- by time ---- */

TEST(lookup, finds_the_first_record_at_or_after_a_time)
{
    struct log_fixture *f = log_fixture_new(10);
    int64_t times[100];
    int64_t offset;
    int64_t timestamp;

    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_lookup_time(f->log, 0, &offset, &timestamp), 0);
    CHECK_EQ(offset, -1);
    for (int i = 0; i < 100; i++) {
        test_clock_advance_ms(&f->clock, 10);
        times[i] = mr_loop_wall_ms(f->loop);
        CHECK_EQ(log_fixture_append_next(f, 3, 100), 0);
    }
    for (int life = 0; life < 3; life++) {
        for (int i = 0; i < 100; i++) {
            CHECK_EQ(log_lookup_time(f->log, times[i] - 3, &offset, &timestamp), 0);
            CHECK_EQ(offset, i * 3);
            CHECK_EQ(timestamp, times[i]);
        }
        CHECK_EQ(log_lookup_time(f->log, times[99] + 1, &offset, &timestamp), 0);
        CHECK_EQ(offset, -1);
        CHECK_EQ(log_lookup_max_timestamp(f->log, &offset, &timestamp), 0);
        CHECK_EQ(offset, 297);
        CHECK_EQ(timestamp, times[99]);
        if (life == 0) {
            CHECK_EQ(log_fixture_reopen(f), 0);
        } else {
            log_fixture_kill(f);
            CHECK_EQ(log_fixture_open(f), 0);
        }
    }
    CHECK_EQ(log_delete_before(f->log, 151, NULL), 0);
    CHECK_EQ(log_lookup_time(f->log, 0, &offset, &timestamp), 0);
    CHECK_EQ(offset, 151);
    log_fixture_free(f);
}

TEST(lookup, log_append_time_is_the_time_of_append)
{
    struct log_fixture *f = log_fixture_new(11);
    struct log_fixture_append append;
    struct log_range range;
    struct batch_header header;
    uint8_t bytes[400];
    struct mr_buf *batch;

    f->config.log_append_time = true;
    CHECK_EQ(log_fixture_open(f), 0);
    batch = log_fixture_batch(f, 0, 2, 40, NULL);
    test_clock_advance_ms(&f->clock, 5000);
    CHECK_EQ(log_fixture_append(f, batch, 0, &append), 0);
    CHECK_EQ(append.append.append_time_ms, mr_loop_wall_ms(f->loop));
    CHECK_EQ(log_read(f->log, 0, INT64_MAX, 1000, NULL, &range), 0);
    CHECK_LE(range.size_bytes, (int64_t)sizeof bytes);
    CHECK_EQ(mr_disk_pread(&f->disk->base, range.fd, bytes, (size_t)range.size_bytes, 0),
             range.size_bytes);
    CHECK_EQ(batch_header_parse(bytes, sizeof bytes, &header), 0);
    CHECK_EQ(header.max_timestamp_ms, append.append.append_time_ms);
    CHECK_EQ(header.attributes & BATCH_LOG_APPEND_TIME, BATCH_LOG_APPEND_TIME);
    CHECK_EQ(batch_crc_check(bytes, &header), 0);
    log_range_done(&range);
    log_fixture_free(f);
}
