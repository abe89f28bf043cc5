/* The property: a container's line comes whole and once, and those of a stream in order, wherever
 * the runtime rotates within it, and however often, and whenever the node crashes or is down.
 *
 * Method: lines of both streams, cut into pieces that are mixed, a rotation possible behind each,
 * and crashes (also in the middle of a block), pauses and backpressure in between. What time-outs
 * do is another test's: they are long here. Where rotated files do not match the glob, each file is
 * read before it is moved: one that nobody ever saw cannot be known elsewhere. */
#include <stdio.h>
#include <string.h>

#include "base/core/memory.h"
#include "tests/lib/file_fixture.h"
#include "tests/lib/test.h"

enum { ACTIONS = 100, PIECES_MAX = 5, HOUR_MS = 3600 * 1000 };

struct container {
    struct file_fixture *f;
    struct mr_random_seeded random;
    int next;          /* lines, numbered from 0 */
    int line[LANES];   /* that is being written, -1: none */
    int pieces[LANES]; /* it has so far */
    int whole;         /* lines that are */
    int rotated;
    bool runs;
    bool outside; /* rotated files do not match the glob */
    char story[16384];
};

static int below(struct container *c, int bound)
{
    return (int)mr_random_below(&c->random.base, (uint64_t)bound);
}

static void tell(struct container *c, const char *word, int number)
{
    size_t used = strlen(c->story);

    (void)snprintf(c->story + used, sizeof c->story - used, " %s%d", word, number);
}

static void write_piece(struct container *c)
{
    int lane = below(c, 3) == 0 ? 1 : 0;
    bool is_last = below(c, 3) == 0 || c->pieces[lane] >= PIECES_MAX;
    char text[128];

    if (c->line[lane] < 0) {
        c->line[lane] = c->next++;
        c->pieces[lane] = 0;
    }
    (void)snprintf(text, sizeof text, "2026-03-01T12:00:00.5Z %s %s %d:%d%s\n",
                   lane == 1 ? "stderr" : "stdout", is_last ? "F" : "P", c->line[lane],
                   c->pieces[lane]++, is_last ? "." : ",");
    tell(c, is_last ? "F" : "P", c->line[lane]);
    append("0.log", text);
    if (is_last) {
        c->line[lane] = -1;
        c->whole++;
    }
}

static void read_all(struct container *c)
{
    c->f->fake->holds = false;
    c->f->fake->taken_max = 64;
    fake_source_until_events(c->f->fake, (size_t)c->whole);
    fake_source_pass_ms(c->f->fake, 1500);
}

static void start(struct container *c)
{
    file_fixture_start(c->f);
    c->runs = true;
    fake_source_pass_ms(c->f->fake, 100); /* moves that nobody can see are not promised */
}

static void rotate(struct container *c)
{
    char name[64];

    if (c->outside) {
        if (!c->runs) {
            return;
        }
        read_all(c);
    }
    (void)snprintf(name, sizeof name, "0.log.20260301-%06d", ++c->rotated);
    tell(c, "rotate", c->rotated);
    move("0.log", name);
    if (below(c, 2) == 0) {
        next_birth();
    }
    write_piece(c);
}

static void crash(struct container *c)
{
    c->f->fake->crash_keeps = (size_t)below(c, 10);
    tell(c, "crash", (int)c->f->fake->crash_keeps);
    fake_source_crash(c->f->fake);
    c->runs = false;
}

static void act(struct container *c)
{
    switch (below(c, 10)) {
    case 0:
    case 1:
        rotate(c);
        return;
    case 2:
        if (c->runs) {
            crash(c);
        } else {
            tell(c, "start", 0);
            start(c);
        }
        return;
    case 3:
        c->f->fake->holds = below(c, 2) == 0;
        c->f->fake->taken_max = (size_t)below(c, 4) + 1;
        return;
    case 4:
    case 5:
        if (c->runs) {
            int ms = below(c, 2) == 0 ? below(c, 60) : below(c, 2000);

            tell(c, "pass", ms);
            fake_source_pass_ms(c->f->fake, ms);
        }
        return;
    default:
        for (int i = below(c, 4); i >= 0; i--) {
            write_piece(c);
        }
        return;
    }
}

static void check_books(struct container *c, uint64_t seed)
{
    struct fake_source_host *fake = c->f->fake;
    int last[LANES] = {-1, -1};

    for (size_t i = 0; i < fake->event_count; i++) {
        const struct fake_event *event = &fake->events[i];
        int lane = (event->flags & SOURCE_SPAN_STDERR) != 0;
        int at = 0;
        int number = -1;
        const char *text = event->text;

        for (int piece = 0; text[0] != 0; piece++) {
            int n;
            int p;
            char end;

            if (sscanf(text, "%d:%d%c%n", &n, &p, &end, &at) != 3 || p != piece ||
                (piece > 0 && n != number) || (end == '.') != (text[at] == 0)) {
                test_fail(__FILE__, __LINE__, "seed %llu: event %zu is no line: %s; story:%s",
                          (unsigned long long)seed, i, event->text, c->story);
            }
            number = n;
            text += at;
        }
        if (number <= last[lane]) {
            test_fail(__FILE__, __LINE__, "seed %llu: line %d after %d; story:%s",
                      (unsigned long long)seed, number, last[lane], c->story);
        }
        last[lane] = number;
    }
    if (fake->event_count != (size_t)c->whole) {
        test_fail(__FILE__, __LINE__, "seed %llu: %zu events for %d lines; story:%s",
                  (unsigned long long)seed, fake->event_count, c->whole, c->story);
    }
}

static void run_container(uint64_t seed, const char *glob, bool outside)
{
    struct container *c = mr_calloc(1, sizeof *c);

    c->f = file_fixture_new(glob, NULL);
    c->outside = outside;
    c->line[0] = c->line[1] = -1;
    mr_random_seeded_init(&c->random, seed);
    c->f->options->format = FORMAT_CRI;
    c->f->options->multiline.timeout_ms = 24 * HOUR_MS;
    c->f->options->rotated_wait_ms = 24 * HOUR_MS;
    c->f->options->memory_bytes = 1024 * 1024;
    write_piece(c);
    start(c);
    for (int i = 0; i < ACTIONS; i++) {
        act(c);
    }
    if (!c->runs) {
        start(c);
    }
    while (c->line[0] >= 0 || c->line[1] >= 0) {
        write_piece(c);
    }
    c->f->fake->holds = false;
    c->f->fake->taken_max = 64;
    for (int i = 0; i < 15000 && c->f->fake->event_count < (size_t)c->whole; i++) {
        fake_source_step(c->f->fake, 5);
    }
    fake_source_pass_ms(c->f->fake, 1000);
    check_books(c, seed);
    file_fixture_free(c->f);
    gone("0.log");
    for (int i = 1; i <= c->rotated; i++) {
        char name[64];

        (void)snprintf(name, sizeof name, "0.log.20260301-%06d", i);
        gone(name);
    }
    mr_free(c);
}

TEST(file_random_cri, joins_each_line_where_the_glob_matches_rotated_files)
{
    for (uint64_t i = 0; i < 5; i++) {
        run_container(test_seed() + i, "0.log*", false);
    }
}

TEST(file_random_cri, joins_each_line_where_rotated_files_are_outside_of_the_glob)
{
    for (uint64_t i = 0; i < 5; i++) {
        run_container(test_seed() + 1000 + i, "0.log", true);
    }
}
