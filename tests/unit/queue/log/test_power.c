/* Loss of power: any part of what was not synced may be gone, and later parts may be there. What
 * the log then has must be a beginning of what it had: a record says that all before it are there
 * (mr.pos), so none may stand behind a hole that the loss has made. Here each record's number is
 * its offset, as a source that goes on where the log ends would make them. */
#include <stdio.h>
#include <string.h>

#include "base/core/memory.h"
#include "queue/log/log.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/test.h"

/* Appends until something fails; the end that is known to be durable. */
static int64_t append_some(struct log_fixture *f, int count)
{
    int64_t durable = log_synced_offset(f->log);

    for (int i = 0; i < count; i++) {
        size_t size = mr_random_below(&f->random.base, 6) == 0 ? 9000 : 100;

        if (log_fixture_append_next(f, 1 + (int)mr_random_below(&f->random.base, 5), size) != 0) {
            break;
        }
        if (mr_random_below(&f->random.base, 12) == 0) {
            test_clock_advance_ms(&f->clock, 1100);
            log_fixture_turn(f);
        }
        durable = log_synced_offset(f->log);
    }
    return durable;
}

/* A life that drops its oldest segments, too. */
static int64_t live(struct log_fixture *f)
{
    int64_t durable = append_some(f, 12);
    int64_t start;

    if (mr_random_below(&f->random.base, 2) == 0) {
        (void)log_drop_oldest(f->log, &start);
        durable = append_some(f, 6);
    }
    return durable;
}

static void set_up(struct log_fixture *f, uint64_t seed)
{
    f->config.fsync = (enum log_fsync)(seed % 3);
    f->config.segment_size_bytes = seed % 2 == 0 ? 30000 : 4000;
    f->disk->loss = DISK_LOSES_BY_SEED;
}

/* The cut at each change of one life, and after it a second life that is cut as well. */
TEST(power, what_is_left_is_a_beginning_of_what_was_there)
{
    bool fired = true;

    for (int nth = 1; fired; nth++) {
        struct log_fixture *f = log_fixture_new(test_seed() + (uint64_t)nth);

        set_up(f, (uint64_t)nth);
        for (int life = 0; life < 3; life++) {
            int64_t durable = 0;

            fault_set_more(&f->disk->faults[DISK_POWER], nth, -1, MR_EIO);
            if (log_fixture_open(f) == 0) {
                durable = live(f);
            }
            fired = fault_fired(&f->disk->faults[DISK_POWER]) || life > 0;
            log_fixture_power_loss(f);
            fault_disk_heal(f->disk);
            CHECK_EQ(log_fixture_open(f), 0);
            CHECK_GE(log_end_offset(f->log), durable);
            log_fixture_check_whole(f);
            log_fixture_kill(f);
        }
        CHECK_EQ(log_fixture_open(f), 0);
        log_fixture_check_whole(f);
        log_fixture_free(f);
        fired = fired && nth < 150;
    }
}

/* Kills, closes and cuts in any order. */
TEST(power, positions_never_run_ahead_of_lines)
{
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct log_fixture *f = log_fixture_new(test_seed() + seed);
        int64_t durable = 0;

        set_up(f, seed);
        for (int life = 0; life < 12; life++) {
            uint64_t dice = mr_random_below(&f->random.base, 5);
            int64_t end;

            CHECK_EQ(log_fixture_open(f), 0);
            CHECK_GE(log_end_offset(f->log), durable);
            log_fixture_check_whole(f);
            durable = live(f);
            end = log_end_offset(f->log);
            if (dice == 0) {
                log_fixture_close(f);
                durable = end;
            } else if (dice == 1) {
                log_fixture_kill(f);
                CHECK_EQ(log_fixture_open(f), 0);
                CHECK_EQ(log_end_offset(f->log), end);
                log_fixture_kill(f);
            } else {
                log_fixture_power_loss(f);
            }
        }
        log_fixture_free(f);
    }
}

/* Some bytes in the middle of what a life wrote, behind what the checkpoint says. */
static void flip_the_middle(struct log_fixture *f)
{
    log_fixture_flip(f, "00000000000000000000.log",
                     log_fixture_file_size(f, "00000000000000000000.log") / 2, 1);
}

static int64_t count_any(struct log_fixture *f)
{
    return log_fixture_read_all(f, 2000, NULL, NULL);
}

static struct log_fixture *one_segment(void)
{
    struct log_fixture *f = log_fixture_new(7);

    f->config.segment_size_bytes = 1 << 20;
    CHECK_EQ(log_fixture_open(f), 0);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(log_fixture_append_next(f, 5, 100), 0);
    }
    return f;
}

/* Without a loss of power it is rot: all around it stays. */
TEST(power, a_flipped_byte_after_a_kill_costs_one_batch)
{
    struct log_fixture *f = one_segment();

    log_fixture_kill(f);
    flip_the_middle(f);
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_end_offset(f->log), 100);
    CHECK_EQ(count_any(f), 95);
    log_fixture_free(f);
}

/* So it is after one, where the checkpoint knows that it was synced. */
TEST(power, a_flipped_byte_in_what_was_synced_costs_one_batch)
{
    struct log_fixture *f = one_segment();

    test_clock_advance_ms(&f->clock, 11000);
    log_fixture_turn(f);
    CHECK_EQ(log_fixture_append_next(f, 5, 100), 0);
    test_clock_advance_ms(&f->clock, 11000);
    log_fixture_turn(f);
    CHECK_EQ(log_synced_offset(f->log), 105);
    log_fixture_power_loss(f);
    flip_the_middle(f);
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_end_offset(f->log), 105);
    CHECK_EQ(count_any(f), 100);
    log_fixture_free(f);
}

/* Where nobody can say what was synced in which run of the system, nothing is kept behind it. */
TEST(power, a_hole_in_another_boot_ends_the_log)
{
    struct log_fixture *f = one_segment();

    log_fixture_kill(f);
    flip_the_middle(f);
    f->env.boot_id = mr_uuid_random(&f->random.base);
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_end_offset(f->log), 50);
    CHECK_EQ(count_any(f), 50);
    CHECK_EQ(log_fixture_append_next(f, 5, 100), 0);
    log_fixture_kill(f); /* in the same boot as the cut: nothing more is lost */
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(count_any(f), 55);
    log_fixture_free(f);
}

/* An unknown boot id is another one. */
TEST(power, an_unknown_boot_is_another_one)
{
    struct log_fixture *f = one_segment();

    log_fixture_kill(f);
    flip_the_middle(f);
    f->env.boot_id = (struct mr_uuid){0};
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_end_offset(f->log), 50);
    log_fixture_free(f);
}

/* The checkpoint of the beginning, as if no later one had reached the disk. */
static void put_back(struct log_fixture *f, const char *data, size_t size)
{
    char path[600];

    log_fixture_remove(f, "checkpoint.0");
    (void)snprintf(path, sizeof path, "%s/checkpoint.1", f->directory);
    CHECK_EQ(mr_disk_write_file(&f->disk->base, path, data, size, NULL), 0);
}

/* A segment that is gone, or has lost its end, takes those behind it along. */
TEST(power, nothing_is_kept_behind_a_segment_that_has_lost_something)
{
    for (int kind = 0; kind < 3; kind++) {
        struct log_fixture *f = log_fixture_new(8);
        char path[600];
        char *data;
        size_t size;

        CHECK_EQ(log_fixture_open(f), 0);
        (void)snprintf(path, sizeof path, "%s/checkpoint.1", f->directory);
        CHECK_EQ(mr_disk_read_file(&f->disk->base, path, 1 << 20, &data, &size, NULL), 0);
        while (log_size_bytes(f->log) < 20000) {
            CHECK_EQ(log_fixture_append_next(f, 5, 700), 0); /* one batch per segment */
        }
        log_fixture_kill(f);
        put_back(f, data, size);
        mr_free(data);
        f->env.boot_id = mr_uuid_random(&f->random.base);
        if (kind == 0) {
            log_fixture_remove(f, "00000000000000000010.log");
        } else if (kind == 1) {
            log_fixture_cut(f, "00000000000000000010.log", 0);
        } else {
            log_fixture_cut(f, "00000000000000000010.log",
                            log_fixture_file_size(f, "00000000000000000010.log") - 1);
        }
        CHECK_EQ(log_fixture_open(f), 0);
        CHECK_EQ(log_end_offset(f->log), 10);
        log_fixture_check_whole(f);
        CHECK_EQ(log_fixture_append_next(f, 5, 700), 0);
        log_fixture_check_whole(f);
        log_fixture_free(f);
    }
}
