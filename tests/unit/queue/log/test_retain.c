/* The lower end: retention by append time and size, what sinks have passed, the node's budget,
 * owners that hold segments back, and clocks that jump. */
#include <stdio.h>
#include <string.h>

#include "queue/log/log.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/test.h"

static const int64_t hour_ms = INT64_C(3600) * 1000;

static void append_many(struct log_fixture *f, int count)
{
    for (int i = 0; i < count; i++) {
        CHECK_EQ(log_fixture_append_next(f, 1, 400), 0);
    }
}

TEST(retain, segments_go_by_the_time_of_their_last_append)
{
    struct log_fixture *f = log_fixture_new(1);

    f->config.retention_ms = 10 * hour_ms;
    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 20);
    CHECK_EQ(log_retain(f->log), 0);
    test_clock_advance_ms(&f->clock, 6 * hour_ms);
    append_many(f, 20);
    CHECK_EQ(log_retain(f->log), 0);
    test_clock_advance_ms(&f->clock, 5 * hour_ms);
    CHECK_GT(log_retain(f->log), 0);
    CHECK_GT(log_start_offset(f->log), 10);
    CHECK_LE(log_start_offset(f->log), 20);
    log_fixture_check_whole(f);
    CHECK_EQ(log_fixture_reopen(f), 0);
    CHECK_GT(log_start_offset(f->log), 10);
    (void)log_retain(f->log);
    test_clock_advance_ms(&f->clock, 11 * hour_ms);
    CHECK_GT(log_retain(f->log), 0); /* the active one too */
    CHECK_EQ(log_start_offset(f->log), 40);
    CHECK_EQ(log_end_offset(f->log), 40);
    CHECK_EQ(log_size_bytes(f->log), 0);
    log_fixture_turn(f);
    log_fixture_power_loss(f);
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_end_offset(f->log), 40); /* an empty log still knows where it was */
    log_fixture_free(f);
}

TEST(retain, a_clock_that_jumps_deletes_nothing)
{
    struct log_fixture *f = log_fixture_new(2);

    f->config.retention_ms = 10 * hour_ms;
    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 20);
    (void)log_retain(f->log);
    test_clock_advance_ms(&f->clock, 60000);
    test_clock_jump_ms(&f->clock, 1000 * hour_ms);
    CHECK_EQ(log_retain(f->log), 0);
    test_clock_advance_ms(&f->clock, 60000);
    CHECK_EQ(log_retain(f->log), 0);
    test_clock_jump_ms(&f->clock, -1000 * hour_ms); /* somebody has noticed */
    test_clock_advance_ms(&f->clock, 60000);
    CHECK_EQ(log_retain(f->log), 0);
    test_clock_advance_ms(&f->clock, 2 * hour_ms);
    CHECK_EQ(log_retain(f->log), 0);
    test_clock_advance_ms(&f->clock, 9 * hour_ms);
    CHECK_GT(log_retain(f->log), 0);
    log_fixture_free(f);
}

/* What was appended while the clock was ahead goes in its time, not when that hour comes. */
TEST(retain, a_clock_that_was_ahead_keeps_nothing_for_ever)
{
    struct log_fixture *f = log_fixture_new(2);

    f->config.retention_ms = 10 * hour_ms;
    CHECK_EQ(log_fixture_open(f), 0);
    (void)log_retain(f->log);
    test_clock_jump_ms(&f->clock, 1000 * hour_ms);
    append_many(f, 20);
    test_clock_jump_ms(&f->clock, -1000 * hour_ms);
    CHECK_EQ(log_retain(f->log), 0);
    test_clock_advance_ms(&f->clock, 9 * hour_ms);
    CHECK_EQ(log_retain(f->log), 0);
    test_clock_advance_ms(&f->clock, 2 * hour_ms);
    CHECK_GT(log_retain(f->log), 0);
    CHECK_EQ(log_start_offset(f->log), log_end_offset(f->log));
    log_fixture_free(f);
}

static void on_segment(void *owner, const struct log_segment_info *info)
{
    (void)info;
    *(int *)owner += 1;
}

static int count_segments(struct log *log)
{
    int count = 0;

    log_segments_each(log, on_segment, &count);
    return count;
}

/* A segment that was begun before the clock was set back a year does not stay open for a year. */
TEST(retain, a_clock_that_jumps_back_rolls)
{
    struct log_fixture *f = log_fixture_new(2);

    f->config.segment_age_ms = hour_ms;
    f->config.segment_size_bytes = 1 << 20;
    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 2);
    CHECK_EQ(count_segments(f->log), 1);
    test_clock_jump_ms(&f->clock, -1000 * hour_ms);
    append_many(f, 2);
    CHECK_EQ(count_segments(f->log), 2);
    append_many(f, 2);
    CHECK_EQ(count_segments(f->log), 2);
    log_fixture_free(f);
}

TEST(retain, segments_go_by_size)
{
    struct log_fixture *f = log_fixture_new(3);

    f->config.retention_bytes = 10000;
    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 100);
    CHECK_GT(log_retain(f->log), 0);
    CHECK_GE(log_size_bytes(f->log), 10000);
    CHECK_LT(log_size_bytes(f->log), 10000 + 4096);
    log_fixture_check_whole(f);
    log_fixture_free(f);
}

TEST(retain, what_all_sinks_have_passed_goes_after_a_while)
{
    struct log_fixture *f = log_fixture_new(4);

    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 50);
    (void)log_retain(f->log);
    log_set_passed(f->log, 25, hour_ms);
    CHECK_EQ(log_retain(f->log), 0);
    test_clock_advance_ms(&f->clock, hour_ms + 1);
    CHECK_GT(log_retain(f->log), 0);
    CHECK_GT(log_start_offset(f->log), 10);
    CHECK_LE(log_start_offset(f->log), 25);
    log_fixture_free(f);
}

static int on_before_delete(void *owner, int64_t new_start_offset)
{
    int64_t *seen = owner;
    int rc = *seen == -1 ? MR_EAGAIN : 0;

    *seen = new_start_offset;
    return rc;
}

TEST(retain, an_owner_may_hold_segments_back)
{
    struct log_fixture *f = log_fixture_new(5);
    int64_t seen = -1;

    f->config.retention_bytes = 5000;
    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 50);
    log_set_before_delete(f->log, on_before_delete, &seen);
    CHECK_EQ(log_retain(f->log), 0);
    CHECK_GT(seen, 0);
    CHECK_EQ(log_start_offset(f->log), 0);
    CHECK_GT(log_retain(f->log), 0);
    CHECK_EQ(log_start_offset(f->log), seen);
    log_fixture_free(f);
}

/* Files on the disk, whatever they are called. */
static int64_t bytes_on_disk;
static struct log_fixture *counted;

static int on_counted_name(void *owner, const char *name)
{
    (void)owner;
    bytes_on_disk += log_fixture_file_size(counted, name);
    return 0;
}

TEST(retain, the_budget_turns_away_and_says_when_there_is_room)
{
    struct log_fixture *f = log_fixture_new(6);
    struct log_fixture_append append;
    struct mr_buf *batch;
    int64_t start;

    f->budget.limit_bytes = 20000;
    CHECK_EQ(log_fixture_open(f), 0);
    for (int round = 0; round < 5; round++) {
        int rc;

        do {
            rc = log_fixture_append_next(f, 1, 400);
        } while (rc == 0);
        CHECK_EQ(rc, MR_EFULL);
        CHECK_LE(f->budget.used_bytes, 20000);
        CHECK_GT(f->budget.used_bytes, 19000);
        CHECK_EQ(f->on_space_count, round);
        bytes_on_disk = 0;
        counted = f;
        CHECK_EQ(mr_disk_list(mr_disk_system(), f->directory, on_counted_name, NULL), 0);
        CHECK_LE(bytes_on_disk, 20000 + 4096);
        batch = log_fixture_batch(f, log_end_offset(f->log), 1, 400, NULL);
        CHECK_EQ(log_fixture_append(f, batch, LOG_APPEND_OVER_LIMIT, &append), 0);
        CHECK_EQ(log_drop_oldest(f->log, &start), 0);
        CHECK_EQ(log_start_offset(f->log), start);
        log_fixture_turn(f);
        CHECK_EQ(f->on_space_count, round + 1);
        if (round == 2) { /* any limit may change over a restart */
            CHECK_EQ(log_fixture_reopen(f), 0);
            CHECK_GT(f->budget.used_bytes, 14000);
        }
        f->on_space_count = round + 1;
    }
    log_fixture_check_whole(f);
    log_fixture_free(f);
}

TEST(retain, dropping_all_there_is_leaves_an_empty_log_at_its_end)
{
    struct log_fixture *f = log_fixture_new(7);
    int64_t start = 0;
    int rc;

    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 30);
    while ((rc = log_drop_oldest(f->log, &start)) == 0) {
        CHECK_LE(start, 30);
    }
    CHECK_EQ(rc, MR_ENOENT);
    CHECK_EQ(start, 30);
    CHECK_EQ(log_end_offset(f->log), 30);
    log_fixture_kill(f);
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_end_offset(f->log), 30);
    CHECK_EQ(log_fixture_append_next(f, 1, 10), 0);
    CHECK_EQ(log_end_offset(f->log), 31);
    log_fixture_free(f);
}

/* DeleteRecords in the middle of a segment is remembered, and survives one of its two copies. */
TEST(retain, deleted_records_stay_deleted)
{
    for (int slot = 0; slot < 2; slot++) {
        struct log_fixture *f = log_fixture_new(8);
        char name[32];

        CHECK_EQ(log_fixture_open(f), 0);
        append_many(f, 30);
        CHECK_EQ(log_delete_before(f->log, 14, NULL), 0);
        CHECK_EQ(log_start_offset(f->log), 14);
        CHECK_EQ(log_delete_before(f->log, 31, NULL), MR_ERANGE);
        log_fixture_power_loss(f);
        (void)snprintf(name, sizeof name, "checkpoint.%d", slot);
        log_fixture_flip(f, name, 30, 0x10);
        CHECK_EQ(log_fixture_open(f), 0);
        CHECK_EQ(log_start_offset(f->log), 14);
        log_fixture_free(f);
    }
}

TEST(retain, a_follower_may_begin_anew_further_on)
{
    struct log_fixture *f = log_fixture_new(9);
    struct log_fixture_append append;
    struct mr_buf *batch;

    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 30);
    CHECK_EQ(log_restart_at(f->log, 29, NULL), MR_ERANGE);
    CHECK_EQ(log_restart_at(f->log, 100, NULL), 0);
    CHECK_EQ(log_start_offset(f->log), 100);
    CHECK_EQ(log_end_offset(f->log), 100);
    batch = log_fixture_batch(f, 100, 1, 400, NULL);
    batch_set_offset(batch->data, 100, 1);
    CHECK_EQ(log_fixture_append(f, batch, LOG_APPEND_KEEP_OFFSETS, &append), 0);
    CHECK_EQ(log_fixture_reopen(f), 0);
    CHECK_EQ(log_start_offset(f->log), 100);
    CHECK_EQ(log_end_offset(f->log), 101);
    CHECK_EQ(log_fixture_read_all(f, 100, NULL, NULL), 1);
    log_fixture_free(f);
}

/* A log that nobody uses holds no descriptor: after a start, and some time after the last append.
 */
TEST(retain, a_log_that_rests_holds_no_descriptor)
{
    struct log_fixture *f = log_fixture_new(9);
    struct log_files files = {.count_max = 100};

    mr_list_init(&files.list);
    f->env.files = &files;
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(files.count, 0);
    CHECK_EQ(log_fixture_append_next(f, 3, 100), 0);
    CHECK_EQ(files.count, 1);
    CHECK_EQ(log_retain(f->log), 0);
    CHECK_EQ(log_retain(f->log), 0);
    CHECK_EQ(files.count, 1); /* not synced yet */
    CHECK_EQ(log_fixture_sync(f), 0);
    CHECK_EQ(log_retain(f->log), 0);
    CHECK_EQ(files.count, 0);
    CHECK_EQ(log_fixture_append_next(f, 3, 100), 0);
    log_fixture_check_whole(f);
    CHECK_EQ(log_fixture_reopen(f), 0);
    CHECK_EQ(files.count, 0);
    log_fixture_check_whole(f);
    CHECK_EQ(log_fixture_append_next(f, 3, 100), 0);
    CHECK_EQ(log_end_offset(f->log), 9);
    log_fixture_free(f);
}

/* Over all logs of a node at most so many are open; what is read and written is the same. */
TEST(retain, a_node_bounds_its_open_files)
{
    struct log_fixture *f = log_fixture_new(10);
    struct log_files files = {.count_max = 1};

    mr_list_init(&files.list);
    f->env.files = &files;
    CHECK_EQ(log_fixture_open(f), 0);
    append_many(f, 60);
    CHECK_EQ(files.count, 1);
    log_fixture_check_whole(f);
    CHECK_EQ(files.count, 1);
    CHECK_EQ(log_truncate(f->log, 40, NULL), 0);
    append_many(f, 60);
    CHECK_EQ(log_delete_before(f->log, 20, NULL), 0);
    log_fixture_check_whole(f);
    log_fixture_kill(f);
    CHECK_EQ(log_fixture_open(f), 0);
    log_fixture_check_whole(f);
    log_fixture_close(f);
    CHECK_EQ(files.count, 0);
    log_fixture_free(f);
}
