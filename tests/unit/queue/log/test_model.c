/* The log against a model: a random life of appends, syncs, restarts, kills, power cuts,
 * truncations and deletions, with and without failing calls, compared record by record with an
 * array. Then the sweep: one fixed life in which the n-th call of each door fails, or the n-th
 * allocation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/log/log.h"
#include "queue/wire/batch.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/test.h"

enum { OFFSETS_MAX = 20000, NUMBER_ANY = -2 };

struct model {
    struct log_fixture *f;
    int64_t numbers[OFFSETS_MAX]; /* what an offset must hold; -1: nothing, or it may be lost */
    bool is_wanted[OFFSETS_MAX];  /* it must be there */
    int64_t start;
    int64_t end;
    int64_t synced;
    int64_t next_number;
    bool may_have_gaps; /* after a truncation down to the start the log looks for no gaps */
    bool seen[OFFSETS_MAX];
};

static struct model *model_new(uint64_t seed)
{
    struct model *m = calloc(1, sizeof *m);

    CHECK(m != NULL);
    m->f = log_fixture_new(seed);
    return m;
}

static void model_free(struct model *m)
{
    log_fixture_free(m->f);
    free(m);
}

static void on_record(void *owner, int64_t offset, int64_t number)
{
    struct model *m = owner;

    CHECK_LT(offset, OFFSETS_MAX);
    if (m->numbers[offset] != NUMBER_ANY) {
        CHECK_EQ(number, m->numbers[offset]);
    }
    m->seen[offset] = true;
}

/* The log holds what the model says, and nothing else. */
static void model_check(struct model *m, int64_t max_bytes)
{
    struct log_fixture *f = m->f;

    CHECK_EQ(log_start_offset(f->log), m->start);
    CHECK_EQ(log_end_offset(f->log), m->end);
    CHECK_LE(log_synced_offset(f->log), m->end);
    memset(m->seen, 0, sizeof m->seen);
    CHECK_GE(log_fixture_read_all(f, max_bytes, on_record, m), 0);
    for (int64_t i = m->start; i < m->end; i++) {
        if (m->is_wanted[i] && !m->seen[i]) {
            test_fail(__FILE__, __LINE__, "offset %d is lost of [%d, %d)", (int)i, (int)m->start,
                      (int)m->end);
        }
        m->is_wanted[i] = m->seen[i]; /* what has survived once stays */
    }
    if (log_synced_offset(f->log) > m->synced) {
        m->synced = log_synced_offset(f->log);
    }
}

static int model_append(struct model *m, int flags)
{
    struct log_fixture *f = m->f;
    int count = 1 + (int)mr_random_below(&f->random.base, 6);
    size_t size = mr_random_below(&f->random.base, 12) == 0 ? 3000 : 40;
    struct mr_buf *batch = log_fixture_batch(f, m->next_number, count, size, NULL);
    struct log_fixture_append append;
    int rc;

    if (batch == NULL) {
        return MR_ENOMEM;
    }
    rc = log_fixture_append(f, batch, flags, &append);
    if (rc == 0) {
        CHECK_EQ(append.append.base_offset, m->end);
        for (int i = 0; i < count; i++) {
            m->numbers[m->end + i] = m->next_number + i;
            m->is_wanted[m->end + i] = true;
        }
        m->end += count;
        if ((flags & LOG_APPEND_SYNC) != 0) {
            CHECK_GE(log_synced_offset(f->log), m->end);
        }
    } else if (log_end_offset(f->log) > m->end) { /* written, but the fsync failed */
        for (int i = 0; i < count; i++) {
            m->numbers[m->end + i] = m->next_number + i;
            m->is_wanted[m->end + i] = false;
        }
        m->end += count;
    }
    m->next_number += count;
    CHECK_EQ(log_end_offset(f->log), m->end);
    return rc;
}

static void model_open(struct model *m)
{
    struct log_fixture *f = m->f;

    f->config.segment_size_bytes = 1000 + (int64_t)mr_random_below(&f->random.base, 6000);
    f->config.index_interval_bytes = (int64_t)mr_random_below(&f->random.base, 1000);
    CHECK_EQ(log_fixture_open(f), 0);
}

/* What was not synced may be gone, from some place on: nothing is kept behind a hole. The end is at
 * least what was synced. */
static void model_power_loss(struct model *m)
{
    struct log_fixture *f = m->f;
    int64_t end;

    if (log_synced_offset(f->log) > m->synced) {
        m->synced = log_synced_offset(f->log);
    }
    f->disk->loss =
        mr_random_below(&f->random.base, 2) == 0 ? DISK_LOSES_UNSYNCED : DISK_LOSES_BY_SEED;
    log_fixture_power_loss(f);
    model_open(m);
    end = log_end_offset(f->log);
    CHECK_GE(end, m->synced);
    CHECK_LE(end, m->end);
    CHECK_LE(log_start_offset(f->log), m->start); /* a deletion may come undone */
    for (int64_t i = log_start_offset(f->log); i < m->start; i++) {
        m->is_wanted[i] = false;
    }
    m->start = log_start_offset(f->log);
    for (int64_t i = m->may_have_gaps ? m->synced : end; i < m->end; i++) {
        m->is_wanted[i] = false;
    }
    m->end = end;
}

static void model_truncate(struct model *m)
{
    struct log_fixture *f = m->f;
    int64_t to =
        m->start + (int64_t)mr_random_below(&f->random.base, (uint64_t)(m->end - m->start + 1));
    int lost = 0;

    CHECK_EQ(log_truncate(f->log, to, NULL), 0);
    CHECK_LE(log_end_offset(f->log), to);
    for (int64_t i = log_end_offset(f->log); i < to; i++) {
        lost += m->is_wanted[i];
    }
    CHECK_LE(lost, 5); /* of the batch around the cut; beyond that at most a hole goes */
    for (int64_t i = log_end_offset(f->log); i < m->end; i++) {
        m->is_wanted[i] = false;
    }
    m->end = log_end_offset(f->log);
    m->may_have_gaps |= m->end == m->start;
    if (m->synced > m->end) {
        m->synced = m->end;
    }
    CHECK_LE(log_synced_offset(f->log), m->end);
}

static void model_delete(struct model *m)
{
    struct log_fixture *f = m->f;
    int64_t start;

    if (mr_random_below(&f->random.base, 3) > 0) {
        start =
            m->start + (int64_t)mr_random_below(&f->random.base, (uint64_t)(m->end - m->start + 1));
        CHECK_EQ(log_delete_before(f->log, start, NULL), 0);
        m->start = start;
    } else if (log_drop_oldest(f->log, &start) == 0) {
        CHECK_GE(start, m->start);
        CHECK_LE(start, m->end);
        m->start = start;
    }
}

static void model_step(struct model *m)
{
    struct log_fixture *f = m->f;
    uint64_t dice = mr_random_below(&f->random.base, 100);

    if (dice < 60) {
        CHECK_EQ(model_append(m, dice < 8 ? LOG_APPEND_SYNC : 0), 0);
    } else if (dice < 66) {
        CHECK_EQ(log_fixture_sync(f), 0);
        CHECK_EQ(log_synced_offset(f->log), m->end);
    } else if (dice < 72) {
        test_clock_advance_ms(&f->clock, (int64_t)mr_random_below(&f->random.base, 2000));
        log_fixture_turn(f);
    } else if (dice < 78) {
        log_fixture_close(f);
        model_open(m);
        CHECK_EQ(log_synced_offset(f->log), m->end);
    } else if (dice < 84) {
        log_fixture_kill(f);
        model_open(m);
    } else if (dice < 90) {
        model_power_loss(m);
    } else if (dice < 94) {
        model_truncate(m);
    } else {
        model_delete(m);
    }
}

TEST(model, a_random_life_keeps_what_it_promised)
{
    uint64_t seed = test_seed();

    for (uint64_t life = 0; life < 60; life++) {
        struct model *m = model_new(seed + life);

        m->f->config.fsync = (enum log_fsync)(life % 3);
        model_open(m);
        for (int step = 0; step < 150; step++) {
            model_step(m);
            if (step % 10 == 0) {
                model_check(m, (int64_t)mr_random_below(&m->f->random.base, 8000));
            }
        }
        model_check(m, 1 << 20);
        CHECK_EQ(m->f->budget.used_bytes >= log_size_bytes(m->f->log), true);
        model_free(m);
    }
}

/* ---- the sweep over faults ---- */

/* A batch whose append has failed may be there after a restart, when it could not be cut off
 * either. */
static void sweep_end(struct model *m)
{
    CHECK_GE(log_end_offset(m->f->log), m->end);
    CHECK_LE(log_end_offset(m->f->log), m->end + 6);
    while (m->end < log_end_offset(m->f->log)) {
        m->numbers[m->end] = NUMBER_ANY;
        m->is_wanted[m->end] = false;
        m->end++;
    }
}

/* A life in which every door is used; it goes on after failures. */
static void sweep_life(struct model *m)
{
    struct log_fixture *f = m->f;
    int64_t start;

    for (int i = 0; i < 14; i++) {
        (void)model_append(m, i % 4 == 0 ? LOG_APPEND_SYNC : 0);
    }
    (void)log_fixture_sync(f);
    (void)log_truncate(f->log, m->end - 4 > m->start ? m->end - 4 : m->start, NULL);
    for (int64_t i = log_end_offset(f->log); i < m->end; i++) {
        m->is_wanted[i] = false;
    }
    m->end = log_end_offset(f->log);
    for (int i = 0; i < 4; i++) {
        (void)model_append(m, 0);
    }
    (void)log_drop_oldest(f->log, &start);
    (void)log_delete_before(f->log, log_start_offset(f->log) + 1, NULL);
    m->start = log_start_offset(f->log);
    (void)model_append(m, 0);
    log_fixture_close(f);
    if (log_fixture_open(f) == 0) {
        struct log_range range;

        sweep_end(m);
        if (log_read(f->log, m->start, INT64_MAX, 1000, NULL, &range) == 0) {
            log_range_done(&range);
        }
        (void)log_fixture_sync(f);
        (void)log_retain(f->log);
        (void)model_append(m, 0);
        log_fixture_close(f);
    }
}

/* What a life left must be there for the next, which has no faults: acknowledged records, at least
 * up to the end that was told, at most from the start that was told. */
static void sweep_check(struct model *m)
{
    struct log_fixture *f = m->f;

    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_LE(log_start_offset(f->log), m->start);
    for (int64_t i = log_start_offset(f->log); i < m->start; i++) {
        m->is_wanted[i] = false; /* a deletion that failed may have come undone */
    }
    m->start = m->start > log_start_offset(f->log) ? log_start_offset(f->log) : m->start;
    sweep_end(m);
    CHECK_EQ(model_append(m, LOG_APPEND_SYNC), 0);
    model_check(m, 2000);
}

static struct model *sweep_new(int nth)
{
    struct model *m = model_new((uint64_t)nth);

    m->f->config.segment_size_bytes = 1500;
    m->f->config.index_interval_bytes = 200;
    CHECK_EQ(log_fixture_open(m->f), 0);
    return m;
}

static void sweep_door(enum fault_disk_door door, int code, int more)
{
    bool fired = true;

    for (int nth = 1; fired; nth++) {
        struct model *m = sweep_new(nth);

        fault_set_more(&m->f->disk->faults[door], nth, more, code);
        sweep_life(m);
        fired = fault_fired(&m->f->disk->faults[door]);
        fault_disk_heal(m->f->disk);
        if (m->f->log != NULL) {
            log_fixture_close(m->f);
        }
        sweep_check(m);
        model_free(m);
        CHECK_LT(nth, 2000);
    }
}

TEST(faults, any_call_may_fail_once)
{
    sweep_door(DISK_ANY, MR_EIO, 0);
}

TEST(faults, any_call_may_fail_for_a_while)
{
    sweep_door(DISK_ANY, MR_EIO, 3);
}

TEST(faults, every_write_may_find_the_disk_full)
{
    sweep_door(DISK_WRITE, MR_ENOSPC, 0);
    sweep_door(DISK_WRITE, MR_ENOSPC, -1);
}

TEST(faults, descriptors_may_run_out)
{
    sweep_door(DISK_OPEN, MR_EAGAIN, 0);
    sweep_door(DISK_OPEN, MR_EAGAIN, 2);
}

TEST(faults, an_fsync_or_a_rename_may_fail)
{
    sweep_door(DISK_FSYNC, MR_EIO, 0);
    sweep_door(DISK_RENAME, MR_EIO, 0);
    sweep_door(DISK_FSYNC_DIRECTORY, MR_EIO, 0);
    sweep_door(DISK_TRUNCATE, MR_EIO, 0);
    sweep_door(DISK_UNLINK, MR_EIO, -1);
}

TEST(faults, any_allocation_may_fail)
{
    bool fired = true;

    for (int nth = 1; fired; nth++) {
        struct model *m = sweep_new(nth);
        struct fault fault = {0};

        fault_set(&fault, nth, MR_ENOMEM);
        fault_heap(&fault);
        sweep_life(m);
        fault_heap_off();
        fired = fault_fired(&fault);
        if (m->f->log != NULL) {
            log_fixture_close(m->f);
        }
        sweep_check(m);
        model_free(m);
        CHECK_LT(nth, 5000);
    }
}

/* A full disk turns an append away and harms nothing; when there is room again it goes on by
 * itself. */
TEST(faults, a_full_disk_heals_by_itself)
{
    struct model *m = model_new(1);
    struct log_fixture *f = m->f;

    CHECK_EQ(log_fixture_open(f), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(model_append(m, 0), 0);
    }
    f->disk->limit_bytes = f->disk->used_bytes + 30;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(model_append(m, 0), MR_ENOSPC);
        CHECK_EQ(log_health(f->log), 0);
    }
    model_check(m, 1000);
    f->disk->limit_bytes = 0;
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(model_append(m, 0), 0);
    }
    model_check(m, 1000);
    log_fixture_kill(f);
    CHECK_EQ(log_fixture_open(f), 0);
    model_check(m, 1000);
    model_free(m);
}
