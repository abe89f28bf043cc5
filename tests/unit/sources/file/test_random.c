/* The property: whatever happens to a log, in whatever order, each line comes exactly once, and the
 * lines of one file in order.
 *
 * Method: a random sequence of writes (also of half lines), rotations by rename, by copytruncate
 * with the copy inside or outside of the glob, deletions with a new file after, compression of
 * rotated files, crashes (also in the middle of a block), rotations while the node is down, and
 * backpressure. Lines are numbered. What the promises do not cover is avoided: everything is read
 * before a file is deleted, and what is copied is read before it is truncated where the copy cannot
 * be found. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/memory.h"
#include "tests/lib/file_fixture.h"
#include "tests/lib/test.h"

enum { LOGS = 3, ACTIONS = 120, ROTATED = 3 };

struct log_state {
    char name[32];
    int rotated; /* names .1 to .n that exist */
    bool half;   /* the last line has no end yet */
    bool is_new; /* no byte of this file was read for sure */
};

struct world {
    struct file_fixture *f;
    struct mr_random_seeded random;
    struct log_state logs[LOGS];
    int written; /* lines, numbered from 0 */
    int halves;  /* of them without an end */
    bool runs;
    bool outside; /* rotated files do not match the glob */
};

static int below(struct world *w, int bound)
{
    return (int)mr_random_below(&w->random.base, (uint64_t)bound);
}

static void finish_half(struct world *w, struct log_state *log)
{
    if (log->half) {
        append(log->name, "end\n");
        log->half = false;
        w->halves--;
    }
}

static void write_lines(struct world *w, struct log_state *log)
{
    int count = below(w, 20) + 1;
    char line[128];

    finish_half(w, log);
    for (int i = 0; i < count; i++) {
        (void)snprintf(line, sizeof line, "%s %d %.*s\n", log->name, w->written++, below(w, 60),
                       "............................................................");
        append(log->name, line);
    }
    if (below(w, 3) == 0) {
        (void)snprintf(line, sizeof line, "%s %d half-", log->name, w->written++);
        w->halves++;
        append(log->name, line);
        log->half = true;
    }
}

static void read_all(struct world *w)
{
    int expected = w->written - w->halves;

    if (w->runs) {
        w->f->fake->holds = false;
        w->f->fake->taken_max = 64;
        fake_source_until_events(w->f->fake, (size_t)expected);
        for (int i = 0; i < LOGS; i++) {
            w->logs[i].is_new = false;
        }
    }
}

static void shift_names(struct log_state *log)
{
    char from[64];
    char to[64];

    for (int i = log->rotated; i > 0; i--) {
        (void)snprintf(from, sizeof from, "%s.%d", log->name, i);
        (void)snprintf(to, sizeof to, "%s.%d", log->name, i + 1);
        move(from, to);
    }
    log->rotated++;
}

static void drop_oldest(struct world *w, struct log_state *log)
{
    char name[64];

    if (log->rotated > ROTATED && w->runs) {
        read_all(w);
        (void)snprintf(name, sizeof name, "%s.%d", log->name, log->rotated--);
        gone(name);
    }
}

static void rotate(struct world *w, struct log_state *log, bool by_copy)
{
    char first[64];

    finish_half(w, log);
    shift_names(log);
    (void)snprintf(first, sizeof first, "%s.1", log->name);
    if (by_copy) {
        copy(log->name, first);
        cut(log->name, 0);
    } else {
        move(log->name, first);
        log->is_new = true;
    }
    write_lines(w, log);
    drop_oldest(w, log);
}

static void start(struct world *w)
{
    file_fixture_start(w->f);
    w->runs = true;
    fake_source_pass_ms(w->f->fake, 100); /* moves that nobody can see are not promised */
}

static void act(struct world *w)
{
    struct log_state *log = &w->logs[below(w, LOGS)];
    int what = below(w, 10);

    switch (what) {
    case 0:
    case 1:
    case 2:
        write_lines(w, log);
        return;
    case 3:
        if (w->outside && log->is_new) {
            if (!w->runs) {
                return; /* never seen, and moved out of sight: nobody could know it */
            }
            read_all(w); /* nor after a crash, if nothing of it was durable */
        }
        rotate(w, log, false);
        return;
    case 4:
        if (w->runs && (below(w, 2) == 0 || log->is_new)) {
            read_all(w);
        }
        if (log->is_new) {
            return; /* nothing tells whose copy it is, and which of the two is older */
        }
        rotate(w, log, true);
        /* Two truncations in one look cannot be told apart. */
        if (w->runs) {
            read_all(w);
        } else {
            start(w);
            read_all(w);
        }
        return;
    case 5:
        if (w->runs) {
            w->f->fake->crash_keeps = (size_t)below(w, 60);
            fake_source_crash(w->f->fake);
            w->runs = false;
        } else {
            start(w);
        }
        return;
    case 6:
        if (w->runs) {
            finish_half(w, log);
            read_all(w);
            fake_source_pass_ms(w->f->fake, 100);
            gone(log->name);
            log->is_new = true;
            write_lines(w, log);
        }
        return;
    case 7:
        w->f->fake->holds = below(w, 2) == 0;
        w->f->fake->taken_max = (size_t)below(w, 4) + 1;
        return;
    default:
        if (w->runs) {
            fake_source_pass_ms(w->f->fake, below(w, 2000));
        }
        return;
    }
}

static void check_books(struct world *w)
{
    struct fake_source_host *fake = w->f->fake;
    uint8_t *seen = mr_calloc((size_t)w->written + 1, 1);

    for (size_t i = 0; i < fake->event_count; i++) {
        char name[32];
        int number;

        CHECK_EQ(sscanf(fake->events[i].text, "%31s %d", name, &number), 2);
        CHECK_LT(number, w->written);
        if (seen[number] != 0) {
            test_fail(__FILE__, __LINE__, "line %d of %s came twice", number, name);
        }
        seen[number] = 1;
        /* Order is that of one file: two that were made and moved between two looks are two. */
        for (size_t j = i; j-- > 0;) {
            if (fake->events[j].stream == fake->events[i].stream) {
                int before;

                CHECK_EQ(sscanf(fake->events[j].text, "%31s %d", name, &before), 2);
                CHECK_LT(before, number);
                break;
            }
        }
    }
    for (int i = 0; i < w->written; i++) {
        if (seen[i] == 0) {
            test_fail(__FILE__, __LINE__, "line %d is lost", i);
        }
    }
    mr_free(seen);
}

static void run_world(uint64_t seed, const char *glob, bool outside)
{
    struct world w = {.f = file_fixture_new(glob, NULL), .outside = outside};

    mr_random_seeded_init(&w.random, seed);
    w.f->options->memory_bytes = 1024 * 1024;
    for (int i = 0; i < LOGS; i++) {
        (void)snprintf(w.logs[i].name, sizeof w.logs[i].name, "log%d-%llx.log", i,
                       (unsigned long long)(seed & 0xffff));
    }
    start(&w);
    fake_source_pass_ms(w.f->fake, 100);
    for (int i = 0; i < LOGS; i++) {
        write_lines(&w, &w.logs[i]);
    }
    read_all(&w);
    for (int i = 0; i < ACTIONS; i++) {
        act(&w);
    }
    for (int i = 0; i < LOGS; i++) {
        finish_half(&w, &w.logs[i]);
    }
    if (!w.runs) {
        start(&w);
    }
    read_all(&w);
    fake_source_pass_ms(w.f->fake, 10000);
    check_books(&w);
    file_fixture_free(w.f);
}

TEST(file_random, delivers_each_line_once_where_the_glob_matches_rotated_files)
{
    for (uint64_t i = 0; i < 8; i++) {
        char glob[32];
        uint64_t seed = test_seed() + i;

        (void)snprintf(glob, sizeof glob, "log?-%llx.log*", (unsigned long long)(seed & 0xffff));
        run_world(seed, glob, false);
    }
}

TEST(file_random, delivers_each_line_once_where_rotated_files_are_outside_of_the_glob)
{
    for (uint64_t i = 0; i < 8; i++) {
        char glob[32];
        uint64_t seed = test_seed() + 1000 + i;

        (void)snprintf(glob, sizeof glob, "log?-%llx.log", (unsigned long long)(seed & 0xffff));
        run_world(seed, glob, true);
    }
}
