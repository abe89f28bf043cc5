/* The log's ordinary life: append, read, roll, close, open, kill, power loss. */
#include "queue/log/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/core/clock.h"
#include "queue/log/log_internal.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/test.h"

static void append_many(struct log_fixture *f, int batches, int records, size_t value_size)
{
    for (int i = 0; i < batches; i++) {
        CHECK_EQ(log_fixture_append_next(f, records, value_size), 0);
    }
}

TEST(log, an_empty_log_reads_as_nothing)
{
    struct log_fixture *f = log_fixture_new(1);
    struct log_range range;

    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_start_offset(f->log), 0);
    CHECK_EQ(log_end_offset(f->log), 0);
    CHECK_EQ(log_synced_offset(f->log), 0);
    CHECK_EQ(log_read(f->log, 0, INT64_MAX, 1000, NULL, &range), 0);
    CHECK_EQ(range.size_bytes, 0);
    CHECK_EQ(range.next_offset, 0);
    CHECK_EQ(log_read(f->log, 1, INT64_MAX, 1000, NULL, &range), MR_ERANGE);
    CHECK_EQ(log_fixture_reopen(f), 0);
    CHECK_EQ(log_end_offset(f->log), 0);
    log_fixture_free(f);
}

/* What goes in comes out, from every offset, with every limit, over many segments, with and without
 * a cursor, before and after a clean restart. */
TEST(log, gives_back_what_was_appended)
{
    struct log_fixture *f = log_fixture_new(2);

    CHECK_EQ(log_fixture_open(f), 0);
    for (int i = 0; i < 120; i++) {
        CHECK_EQ(log_fixture_append_next(f, 1 + i % 7, (size_t)(20 + i * 3)), 0);
    }
    for (int round = 0; round < 2; round++) {
        int64_t end = log_end_offset(f->log);

        CHECK_EQ(end, 477);
        log_fixture_check_whole(f);
        CHECK_EQ(log_fixture_read_all(f, 0, NULL, NULL), end);
        CHECK_EQ(log_fixture_read_all(f, 1 << 20, NULL, NULL), end);
        for (int64_t offset = 0; offset < end; offset += 13) {
            for (int64_t max_bytes = 0; max_bytes < 5000; max_bytes = max_bytes * 3 + 100) {
                for (int64_t limit = offset; limit <= end; limit += 31) {
                    struct log_range range;

                    CHECK_EQ(log_read(f->log, offset, limit, max_bytes, NULL, &range), 0);
                    if (range.size_bytes > 0) {
                        CHECK_LE(range.first_offset, offset);
                        CHECK_GT(range.next_offset, offset);
                        CHECK_LE(range.next_offset, limit);
                    } else {
                        CHECK_LE(range.next_offset, limit > offset ? limit : offset);
                    }
                    log_range_done(&range);
                }
            }
        }
        CHECK_EQ(log_fixture_reopen(f), 0);
        CHECK_EQ(log_end_offset(f->log), end);
        CHECK_EQ(log_synced_offset(f->log), end);
    }
    log_fixture_free(f);
}

/* One batch at least, whatever max_bytes; exactly one with 0; never beyond the limit. */
TEST(log, keeps_the_limits_of_a_read)
{
    struct log_fixture *f = log_fixture_new(3);
    struct log_range range;

    f->config.segment_size_bytes = 1 << 20;
    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 10, 5, 100);
    CHECK_EQ(log_read(f->log, 7, INT64_MAX, 0, NULL, &range), 0);
    CHECK_EQ(range.first_offset, 5);
    CHECK_EQ(range.next_offset, 10);
    log_range_done(&range);
    CHECK_EQ(log_read(f->log, 7, INT64_MAX, 1, NULL, &range), 0);
    CHECK_EQ(range.next_offset, 10);
    log_range_done(&range);
    CHECK_EQ(log_read(f->log, 0, 20, 1 << 20, NULL, &range), 0);
    CHECK_EQ(range.next_offset, 20);
    log_range_done(&range);
    CHECK_EQ(log_read(f->log, 0, 19, 1 << 20, NULL, &range), 0);
    CHECK_EQ(range.next_offset, 15);
    log_range_done(&range);
    CHECK_EQ(log_read(f->log, 10, 12, 1 << 20, NULL, &range), 0); /* the batch goes beyond it */
    CHECK_EQ(range.size_bytes, 0);
    CHECK_EQ(range.next_offset, 10);
    CHECK_EQ(log_read(f->log, 50, INT64_MAX, 1, NULL, &range), 0);
    CHECK_EQ(range.size_bytes, 0);
    CHECK_EQ(log_read(f->log, 51, INT64_MAX, 1, NULL, &range), MR_ERANGE);
    log_fixture_free(f);
}

TEST(log, survives_a_kill_with_all_that_was_appended)
{
    struct log_fixture *f = log_fixture_new(4);

    for (int round = 0; round < 10; round++) {
        CHECK_EQ(log_fixture_open(f), 0);
        CHECK_EQ(log_end_offset(f->log), round * 60);
        append_many(f, 20, 3, 150);
        log_fixture_kill(f);
    }
    CHECK_EQ(log_fixture_open(f), 0);
    log_fixture_check_whole(f);
    CHECK_EQ(log_end_offset(f->log), 600);
    log_fixture_free(f);
}

/* With fsync: always nothing that was acknowledged is lost, at whatever change the power goes. */
TEST(log, survives_a_power_loss_with_all_that_was_synced)
{
    bool fired = true;

    for (int nth = 1; fired; nth++) {
        struct log_fixture *f = log_fixture_new((uint64_t)nth);
        int64_t acknowledged = 0;

        f->config.fsync = LOG_FSYNC_ALWAYS;
        f->disk->loss = nth % 3 == 0 ? DISK_LOSES_UNSYNCED : DISK_LOSES_BY_SEED;
        CHECK_EQ(log_fixture_open(f), 0);
        fault_set_more(&f->disk->faults[DISK_POWER], nth, -1, MR_EIO);
        for (int i = 0; i < 25; i++) {
            if (log_fixture_append_next(f, 3, 300) != 0) {
                break;
            }
            acknowledged = log_end_offset(f->log);
            CHECK_EQ(log_synced_offset(f->log), acknowledged);
        }
        fired = fault_fired(&f->disk->faults[DISK_POWER]);
        log_fixture_power_loss(f);
        fault_disk_heal(f->disk);
        CHECK_EQ(log_fixture_open(f), 0);
        CHECK_GE(log_end_offset(f->log), acknowledged);
        log_fixture_check_whole(f);
        CHECK_EQ(log_fixture_append_next(f, 1, 10), 0);
        log_fixture_free(f);
        CHECK_LT(nth, 1000);
    }
}

TEST(log, a_torn_batch_is_cut_and_the_log_goes_on)
{
    struct log_fixture *f = log_fixture_new(5);
    char name[64];
    int64_t size;

    f->config.segment_size_bytes = 1 << 20;
    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 5, 2, 100);
    log_fixture_kill(f);
    (void)snprintf(name, sizeof name, "%020d.log", 0);
    size = log_fixture_file_size(f, name);
    for (int64_t cut = size - 1; cut >= 0; cut -= 17) {
        int64_t end;

        log_fixture_cut(f, name, cut);
        CHECK_EQ(log_fixture_open(f), 0);
        end = log_end_offset(f->log);
        CHECK_EQ(end, cut / (size / 5) * 2);
        log_fixture_check_whole(f);
        CHECK_EQ(log_size_bytes(f->log), end / 2 * (size / 5));
        log_fixture_kill(f);
    }
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_fixture_append_next(f, 2, 100), 0);
    log_fixture_check_whole(f);
    log_fixture_free(f);
}

/* Ranges stay readable when their segment is deleted, truncated, or the log is gone. */
TEST(log, a_range_outlives_its_segment)
{
    struct log_fixture *f = log_fixture_new(6);
    struct log_range ranges[3];
    uint8_t before[3][512];
    uint8_t after[512];
    int64_t start;

    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 60, 3, 150);
    CHECK_EQ(log_read(f->log, 0, INT64_MAX, 1000, NULL, &ranges[0]), 0);
    CHECK_EQ(log_read(f->log, 174, INT64_MAX, 1000, NULL, &ranges[1]), 0);
    CHECK_EQ(log_read(f->log, 90, INT64_MAX, 1000, NULL, &ranges[2]), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(mr_disk_pread(&f->disk->base, ranges[i].fd, before[i], 512, ranges[i].position),
                 512);
    }
    CHECK_EQ(log_drop_oldest(f->log, &start), 0);
    CHECK_EQ(log_truncate(f->log, 175, NULL), 0);
    CHECK_EQ(log_end_offset(f->log), 174);
    CHECK_EQ(log_fixture_append_next(f, 3, 300), 0);
    log_fixture_turn(f);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(mr_disk_pread(&f->disk->base, ranges[i].fd, after, 512, ranges[i].position), 512);
        CHECK_MEM(before[i], after, 512);
    }
    log_fixture_close(f);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(mr_disk_pread(&f->disk->base, ranges[i].fd, after, 512, ranges[i].position), 512);
        CHECK_MEM(before[i], after, 512);
        log_range_done(&ranges[i]);
    }
    log_fixture_free(f);
}

static void on_gone(void *owner)
{
    *(bool *)owner = true;
}

TEST(log, a_deleted_log_leaves_nothing_and_its_name_can_be_used_again)
{
    struct log_fixture *f = log_fixture_new(7);
    struct mr_disk_stat stat;
    bool is_gone = false;

    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 60, 3, 150);
    log_delete(f->log, on_gone, &is_gone);
    CHECK(log_fixture_wait(f, &is_gone));
    f->log = NULL;
    CHECK_EQ(mr_disk_stat(&f->disk->base, f->directory, &stat), MR_ENOENT);
    CHECK_EQ(f->budget.used_bytes, 0);
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_end_offset(f->log), 0);
    log_fixture_turn(f);
    log_fixture_free(f);
}

struct late {
    struct log_append append;
    int calls;
};

static void on_late(struct log_append *append)
{
    struct late *late = append->owner;

    late->calls++;
}

/* Appends under way get their callbacks before the close has ended, each once. */
TEST(log, a_close_waits_for_what_is_under_way)
{
    struct log_fixture *f = log_fixture_new(8);
    struct late late[5];
    bool is_closed = false;

    f->config.fsync = LOG_FSYNC_ALWAYS;
    CHECK_EQ(log_fixture_open(f), 0);
    for (int i = 0; i < 5; i++) {
        struct mr_buf *batch = log_fixture_batch(f, i, 1, 50, NULL);

        late[i] = (struct late){
            .append = {
                .batch = {.buf = batch, .data = batch->data, .size_bytes = batch->size_bytes},
                .leader_epoch = -1,
                .cb = on_late,
                .owner = &late[i]}};
        CHECK_EQ(log_append(f->log, &late[i].append), 0);
        CHECK_EQ(late[i].append.rc, 0);
        CHECK_EQ(late[i].append.base_offset, i);
        mr_buf_unref(batch);
    }
    log_close(f->log, on_gone, &is_closed);
    CHECK_EQ(late[4].calls, 0);
    CHECK(log_fixture_wait(f, &is_closed));
    f->log = NULL;
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(late[i].calls, 1);
        CHECK_EQ(late[i].append.rc, 0);
    }
    CHECK_EQ(log_fixture_open(f), 0);
    log_fixture_check_whole(f);
    CHECK_EQ(log_end_offset(f->log), 5);
    log_fixture_free(f);
}

/* Several appends of one turn share one fsync. */
TEST(log, waiting_appends_share_a_group_commit)
{
    struct log_fixture *f = log_fixture_new(9);
    struct late late[20];
    int64_t before;

    f->config.fsync = LOG_FSYNC_ALWAYS;
    f->config.segment_size_bytes = 1 << 20;
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_fixture_append_next(f, 1, 10), 0);
    before = f->disk->calls[DISK_FSYNC];
    for (int i = 0; i < 20; i++) {
        struct mr_buf *batch = log_fixture_batch(f, i + 1, 1, 50, NULL);

        late[i] = (struct late){
            .append = {
                .batch = {.buf = batch, .data = batch->data, .size_bytes = batch->size_bytes},
                .leader_epoch = -1,
                .cb = on_late,
                .owner = &late[i]}};
        CHECK_EQ(log_append(f->log, &late[i].append), 0);
        mr_buf_unref(batch);
    }
    log_fixture_turn(f);
    CHECK_EQ(late[19].calls, 1);
    CHECK_EQ(f->disk->calls[DISK_FSYNC] - before, 1);
    log_fixture_free(f);
}

TEST(log, an_interval_syncs_what_was_written_and_then_rests)
{
    struct log_fixture *f = log_fixture_new(10);

    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_fixture_append_next(f, 1, 10), 0);
    CHECK_EQ(log_synced_offset(f->log), 0);
    test_clock_advance_ms(&f->clock, 999);
    log_fixture_turn(f);
    CHECK_EQ(log_synced_offset(f->log), 0);
    test_clock_advance_ms(&f->clock, 1);
    log_fixture_turn(f);
    CHECK_EQ(log_synced_offset(f->log), 1);
    CHECK_EQ(mr_loop_next_us(f->loop), INT64_MAX); /* nothing wakes an idle log */
    log_fixture_free(f);
}

/* A node with thousands of logs ends in time: what is synced already is not synced again. Whatever
 * a power loss leaves of the close, all records are there. */
TEST(log, a_close_syncs_the_records_and_nothing_else)
{
    struct log_fixture *f = log_fixture_new(12);
    int64_t before;

    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 3, 2, 50);
    CHECK_EQ(log_fixture_sync(f), 0);
    before = f->disk->calls[DISK_FSYNC];
    log_fixture_close(f);
    CHECK_EQ(f->disk->calls[DISK_FSYNC], before);
    log_fixture_power_loss(f);
    CHECK_EQ(log_fixture_open(f), 0);
    log_fixture_check_whole(f);
    CHECK_EQ(log_end_offset(f->log), 6);
    log_fixture_free(f);
}

/* The kernel may have dropped the pages: an fsync that failed is never asked again. */
TEST(log, a_failed_fsync_ends_all_appending)
{
    struct log_fixture *f = log_fixture_new(11);

    f->config.fsync = LOG_FSYNC_ALWAYS;
    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 3, 2, 50);
    fault_set(&f->disk->faults[DISK_FSYNC], 1, MR_EIO);
    CHECK_EQ(log_fixture_append_next(f, 2, 50), MR_EIO);
    CHECK_EQ(log_synced_offset(f->log), 6);
    CHECK_EQ(log_health(f->log), MR_EIO);
    CHECK_EQ(log_fixture_append_next(f, 2, 50), MR_EIO);
    CHECK_EQ(log_fixture_sync(f), MR_EIO);
    CHECK_GE(log_fixture_read_all(f, 1000, NULL, NULL), 6);
    log_fixture_free(f);
}

TEST(log, refuses_what_is_no_batch)
{
    struct log_fixture *f = log_fixture_new(12);
    struct log_fixture_append append;
    struct mr_buf *batch;

    f->config.batch_size_bytes_max = 500;
    CHECK_EQ(log_fixture_open(f), 0);
    batch = log_fixture_batch(f, 0, 1, 600, NULL);
    CHECK_EQ(log_fixture_append(f, batch, 0, &append), MR_ETOOLARGE);
    batch = log_fixture_batch(f, 0, 1, 60, NULL);
    batch->data[16] = 1;
    CHECK_LT(log_fixture_append(f, batch, 0, &append), 0);
    batch = log_fixture_batch(f, 0, 1, 60, NULL);
    batch->size_bytes--;
    CHECK_LT(log_fixture_append(f, batch, 0, &append), 0);
    CHECK_EQ(log_end_offset(f->log), 0);
    CHECK_EQ(log_size_bytes(f->log), 0);
    log_fixture_free(f);
}

/* A follower keeps the leader's offsets, gaps included, and reads step over them. */
TEST(log, a_follower_keeps_offsets)
{
    struct log_fixture *f = log_fixture_new(13);
    static const int64_t bases[] = {10, 12, 40, 43, INT64_C(5000000000)};
    struct log_fixture_append append;
    struct mr_buf *batch;

    CHECK_EQ(log_fixture_open(f), 0);
    for (size_t i = 0; i < 5; i++) {
        batch = log_fixture_batch(f, bases[i], 2, 60, NULL);
        batch_set_offset(batch->data, bases[i], 3);
        CHECK_EQ(log_fixture_append(f, batch, LOG_APPEND_KEEP_OFFSETS, &append), 0);
        CHECK_EQ(append.append.base_offset, bases[i]);
        CHECK_EQ(log_end_offset(f->log), bases[i] + 2);
    }
    batch = log_fixture_batch(f, 7, 2, 60, NULL);
    batch_set_offset(batch->data, 7, 3);
    CHECK_EQ(log_fixture_append(f, batch, LOG_APPEND_KEEP_OFFSETS, &append), MR_ERANGE);
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(log_leader_epoch(f->log), 3);
        CHECK_EQ(log_fixture_read_all(f, 100, NULL, NULL), 10);
        CHECK_EQ(log_fixture_read_all(f, 100000, NULL, NULL), 10);
        if (round == 0) {
            CHECK_EQ(log_fixture_reopen(f), 0);
        } else {
            log_fixture_kill(f);
            CHECK_EQ(log_fixture_open(f), 0);
        }
        CHECK_EQ(log_end_offset(f->log), INT64_C(5000000002));
    }
    log_fixture_free(f);
}

/* The same with real threads (and, under tsan, with their races): appends inline and queued, an
 * fsync for each group, reads in between. */
TEST(log, lives_on_a_real_loop_with_threads)
{
    struct log_fixture *f = log_fixture_new(14);
    struct mr_clock *clock = mr_clock_system();
    struct log_env env = f->env;
    struct log *log = NULL;
    struct late late[64];
    bool is_closed = false;
    int64_t deadline_us;

    CHECK_EQ(mr_loop_new(clock, &env.loop, NULL), 0);
    CHECK_EQ(mr_workers_new(env.loop, "fsync", 1, &env.fsync_workers), 0);
    CHECK_EQ(mr_workers_new(env.loop, "io", 2, &env.io_workers), 0);
    env.disk = mr_disk_system();
    env.metrics = NULL;
    f->config.fsync = LOG_FSYNC_ALWAYS;
    CHECK_EQ(log_open(&env, f->directory, NULL, &f->config, &log, NULL), 0);
    for (int round = 0; round < 20; round++) {
        deadline_us = mr_clock_monotonic_us(clock) + 120 * 1000000; /* a disk may be busy */
        log->unflushed_bytes = round % 2 == 0 ? LOG_UNFLUSHED_MAX + 1 : 0;
        for (int i = 0; i < 64; i++) {
            struct mr_buf *batch = log_fixture_batch(f, round * 64 + i, 1, 100, NULL);

            late[i] = (struct late){
                .append = {
                    .batch = {.buf = batch, .data = batch->data, .size_bytes = batch->size_bytes},
                    .leader_epoch = -1,
                    .cb = on_late,
                    .owner = &late[i]}};
            CHECK_EQ(log_append(log, &late[i].append), 0);
            CHECK_EQ(late[i].append.base_offset, round * 64 + i);
            mr_buf_unref(batch);
        }
        while (late[63].calls == 0) {
            struct log_range range;

            CHECK_LT(mr_clock_monotonic_us(clock), deadline_us);
            CHECK_EQ(log_read(log, 0, INT64_MAX, 1000, NULL, &range), 0);
            mr_loop_turn(env.loop, 100);
            log_range_done(&range);
        }
        for (int i = 0; i < 64; i++) {
            CHECK_EQ(late[i].calls, 1);
            CHECK_EQ(late[i].append.rc, 0);
        }
        CHECK_EQ(log_synced_offset(log), (round + 1) * 64);
    }
    log_close(log, on_gone, &is_closed);
    deadline_us = mr_clock_monotonic_us(clock) + 120 * 1000000;
    while (!is_closed) {
        CHECK_LT(mr_clock_monotonic_us(clock), deadline_us);
        mr_loop_turn(env.loop, 100);
    }
    mr_workers_free(env.fsync_workers);
    mr_workers_free(env.io_workers);
    mr_loop_free(env.loop);
    f->env.disk = mr_disk_system();
    CHECK_EQ(log_fixture_open(f), 0);
    log_fixture_check_whole(f);
    CHECK_EQ(log_end_offset(f->log), 20 * 64);
    log_fixture_free(f);
}
