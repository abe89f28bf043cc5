/* Plain tailing: new files, growth, restarts, rotation by rename, truncation. */
#include <stdio.h>
#include <string.h>

#include "tests/lib/file_fixture.h"
#include "tests/lib/test.h"

TEST(file_tail, reads_what_is_there_and_what_is_added)
{
    struct file_fixture *f = file_fixture_reading("*.log", "one\ntwo\n", 2);

    append("a.log", "three\n");
    fake_source_until_events(f->fake, 3);
    CHECK_STR(texts(f), "one|two|three|");
    file_fixture_free(f);
}

/* P7: no waiting for a fingerprint of a certain size. */
TEST(file_tail, delivers_a_file_of_one_short_line_at_once)
{
    struct file_fixture *f = file_fixture_new("*.log", NULL);

    file_fixture_start(f);
    fake_source_pass_ms(f->fake, 200);
    put("a.log", "x\n");
    fake_source_until_events(f->fake, 1);
    CHECK_LT(f->fake->clock.monotonic_us, 3 * 1000000);
    CHECK_STR(texts(f), "x|");
    file_fixture_free(f);
}

/* A line is taken when its end is there, and then in one piece. */
TEST(file_tail, waits_for_the_end_of_a_line)
{
    struct file_fixture *f = file_fixture_reading("*.log", "one\nhal", 1);

    fake_source_pass_ms(f->fake, 3000);
    CHECK_STR(texts(f), "one|");
    append("a.log", "f\r\n");
    fake_source_until_events(f->fake, 2);
    CHECK_STR(texts(f), "one|half|");
    file_fixture_free(f);
}

/* P8: restarts, with the file renamed in between, repeat nothing. */
TEST(file_tail, repeats_nothing_over_restarts)
{
    struct file_fixture *f = file_fixture_reading("*.log*", "1\n2\n", 2);

    file_fixture_restart(f);
    fake_source_pass_ms(f->fake, 100);
    append("a.log", "3\n");
    fake_source_until_events(f->fake, 3);
    fake_source_stop(f->fake);
    move("a.log", "a.log.1");
    put("a.log", "4\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 4);
    fake_source_pass_ms(f->fake, 3000);
    CHECK_STR(texts(f), "1|2|3|4|");
    file_fixture_free(f);
}

/* What was taken and not durable comes again after a crash, and only that. */
TEST(file_tail, goes_on_after_a_crash_where_the_log_ends)
{
    struct file_fixture *f = file_fixture_reading("*.log", "1\n2\n", 2);

    f->fake->holds = true;
    append("a.log", "3\n4\n");
    fake_source_pass_ms(f->fake, 500);
    CHECK_STR(texts(f), "1|2|");
    f->fake->holds = false;
    file_fixture_crash(f);
    fake_source_until_events(f->fake, 4);
    fake_source_pass_ms(f->fake, 500);
    CHECK_STR(texts(f), "1|2|3|4|");
    file_fixture_free(f);
}

/* P1, P2: the old file is read to its end, the new one from its start; outside of the glob, and
 * inside. */
TEST(file_tail, drains_a_renamed_file_and_reads_the_new_one)
{
    struct file_fixture *f = file_fixture_reading("a.log", "1\n", 1);

    move("a.log", "a.log.1");
    append("a.log.1", "2\n");
    put("a.log", "3\n");
    append("a.log.1", "2b\n");
    fake_source_until_events(f->fake, 4);
    fake_source_pass_ms(f->fake, 10000);
    CHECK_EQ(f->fake->event_count, 4);
    append("a.log", "4\n");
    fake_source_until_events(f->fake, 5);
    CHECK_EQ(fake_source_count_text(f->fake, "4"), 1);
    file_fixture_free(f);
}

TEST(file_tail, reads_no_rotated_file_twice_where_the_glob_matches_it)
{
    struct file_fixture *f = file_fixture_reading("a.log*", "1\n", 1);

    move("a.log", "a.log.1");
    put("a.log", "2\n");
    fake_source_until_events(f->fake, 2);
    move("a.log.1", "a.log.2");
    move("a.log", "a.log.1");
    put("a.log", "3\n");
    fake_source_until_events(f->fake, 3);
    file_fixture_restart(f);
    fake_source_pass_ms(f->fake, 8000);
    CHECK_STR(texts(f), "1|2|3|");
    file_fixture_free(f);
}

/* P2: many rotations under writing, with names that shift and the oldest deleted. */
TEST(file_tail, loses_nothing_over_a_thousand_rotations)
{
    struct file_fixture *f = file_fixture_new("a.log", NULL);
    int written = 0;

    file_fixture_start(f);
    fake_source_pass_ms(f->fake, 200);
    for (int i = 0; i < 1000; i++) {
        char line[32];

        for (int j = 0; j < 3; j++) {
            (void)snprintf(line, sizeof line, "%d\n", written++);
            append("a.log", line);
        }
        for (int name = i < 5 ? i : 5; name > 0; name--) {
            char from[16] = "a.log";
            char to[16];

            if (name > 1) {
                (void)snprintf(from, sizeof from, "a.log.%d", name - 1);
            }
            (void)snprintf(to, sizeof to, "a.log.%d", name);
            move(from, to);
        }
        fake_source_step(f->fake, 3);
        if (i % 5 == 4) { /* a file lives for some rotations, as everywhere */
            fake_source_until_events(f->fake, (size_t)written - 3);
        }
    }
    fake_source_until_events(f->fake, (size_t)written);
    fake_source_pass_ms(f->fake, 3000);
    CHECK_EQ(f->fake->event_count, written);
    file_fixture_free(f);
}

/* P3, with the copy outside of the glob, all read before. */
TEST(file_tail, starts_again_at_zero_after_a_truncation)
{
    struct file_fixture *f = file_fixture_reading("a.log", "1\n2\n3\n", 3);

    cut("a.log", 0);
    append("a.log", "4\n");
    fake_source_until_events(f->fake, 4);
    fake_source_pass_ms(f->fake, 3000);
    CHECK_STR(texts(f), "1|2|3|4|");
    file_fixture_restart(f);
    fake_source_pass_ms(f->fake, 1000);
    CHECK_STR(texts(f), "1|2|3|4|");
    file_fixture_free(f);
}

/* P4: rewritten beyond the old offset before we look. */
TEST(file_tail, notices_a_rewrite_past_the_old_offset)
{
    struct file_fixture *f = file_fixture_reading("a.log", "1\n2\n", 2);

    put("a.log", "eins\nzwei\ndrei\n");
    fake_source_until_events(f->fake, 5);
    fake_source_pass_ms(f->fake, 3000);
    CHECK_STR(texts(f), "1|2|eins|zwei|drei|");
    file_fixture_free(f);
}

/* P5: the same inode number, another file; running and down. */
TEST(file_tail, reads_a_new_file_on_an_old_inode_from_its_start)
{
    struct file_fixture *f = file_fixture_reading("*.log", "1\n2\n", 2);

    gone("a.log");
    fake_source_pass_ms(f->fake, 3000);
    put("a.log", "1\n2\n3\n");
    fake_source_until_events(f->fake, 5);
    fake_source_stop(f->fake);
    gone("a.log");
    put("a.log", "1\n2\n3\n4\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 9);
    fake_source_pass_ms(f->fake, 3000);
    CHECK_STR(texts(f), "1|2|1|2|3|1|2|3|4|");
    file_fixture_free(f);
}

/* P6: equal heads, other files. */
TEST(file_tail, delivers_two_files_with_the_same_head_in_full)
{
    struct file_fixture *f = file_fixture_new("*.log", NULL);
    char head[2001];

    memset(head, 'h', sizeof head);
    head[1999] = '\n';
    head[2000] = 0;
    put("a.log", head);
    file_fixture_start(f);
    fake_source_until_events(f->fake, 1);
    put("b.log", head);
    put("c.log", head);
    append("c.log", "c\n");
    fake_source_until_events(f->fake, 4);
    append("b.log", "b\n");
    append("a.log", "a\n");
    fake_source_until_events(f->fake, 6);
    fake_source_pass_ms(f->fake, 8000);
    CHECK_EQ(f->fake->event_count, 6);
    CHECK_EQ(fake_source_count_text(f->fake, "b"), 1);
    file_fixture_free(f);
}

/* P35. */
TEST(file_tail, starts_at_the_end_of_old_files_only)
{
    struct file_fixture *f = file_fixture_new("*.log", NULL);

    f->options->start_at = START_END;
    put("old.log", "1\n2\n");
    file_fixture_start(f);
    fake_source_pass_ms(f->fake, 500);
    append("old.log", "3\n");
    put("new.log", "n\n");
    fake_source_until_events(f->fake, 2);
    fake_source_stop(f->fake);
    put("later.log", "l\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 3);
    fake_source_pass_ms(f->fake, 3000);
    CHECK_EQ(f->fake->event_count, 3);
    CHECK_EQ(fake_source_count_text(f->fake, "3"), 1);
    CHECK_EQ(fake_source_count_text(f->fake, "l"), 1);
    file_fixture_free(f);
}

/* P12: what was refused is offered again, once. */
TEST(file_tail, goes_on_after_the_host_took_no_more)
{
    struct file_fixture *f = file_fixture_new("*.log", NULL);

    f->fake->taken_max = 1;
    f->fake->holds = true;
    put("a.log", "1\n");
    put("b.log", "2\n");
    put("c.log", "3\n");
    file_fixture_start(f);
    fake_source_pass_ms(f->fake, 1000);
    CHECK_EQ(f->fake->event_count, 0);
    CHECK_LE(f->fake->refusals, 2);
    f->fake->holds = false;
    fake_source_until_events(f->fake, 3);
    fake_source_pass_ms(f->fake, 1000);
    CHECK_EQ(f->fake->event_count, 3);
    file_fixture_free(f);
}

TEST(file_tail, finds_directories_that_appear_later)
{
    struct file_fixture *f = file_fixture_new("logs/**/*.log", NULL);

    file_fixture_start(f);
    fake_source_pass_ms(f->fake, 100);
    folder("logs");
    fake_source_pass_ms(f->fake, 200);
    folder("logs/a");
    put("logs/a/x.log", "1\n");
    fake_source_until_events(f->fake, 1);
    folder("logs/a/b");
    put("logs/a/b/y.log", "2\n");
    fake_source_until_events(f->fake, 2);
    CHECK_STR(texts(f), "1|2|");
    file_fixture_free(f);
}

TEST(file_tail, knows_its_first_start_also_without_files)
{
    struct file_fixture *f = file_fixture_new("*.log", NULL);

    f->options->start_at = START_END;
    file_fixture_start(f);
    fake_source_pass_ms(f->fake, 200);
    fake_source_stop(f->fake);
    put("a.log", "1\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 1);
    file_fixture_free(f);
}

/* P30: few handles for many idle files, and a closed one is read on when it grows. */
TEST(file_tail, closes_idle_files_and_reads_on_in_them)
{
    struct file_fixture *f = file_fixture_new("*.log", NULL);
    struct file_source *fs;

    f->options->open_files_max = 4;
    f->options->close_idle_ms = 1000;
    for (int i = 0; i < 50; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "%d.log", i);
        put(name, "1\n");
    }
    file_fixture_start(f);
    fake_source_until_events(f->fake, 50);
    fs = (struct file_source *)f->fake->source;
    CHECK_LE(fs->open_count, 4);
    fake_source_pass_ms(f->fake, 65000);
    CHECK_EQ(fs->open_count, 0);
    append("7.log", "2\n");
    move("7.log", "7.log.old");
    fake_source_until_events(f->fake, 51);
    append("8.log", "2\n");
    fake_source_until_events(f->fake, 52);
    fake_source_pass_ms(f->fake, 3000);
    CHECK_EQ(f->fake->event_count, 52);
    file_fixture_free(f);
}

/* P31: files come and go for weeks. What is remembered of the gone is bounded by their number, too.
 */
TEST(file_tail, forgets_the_oldest_of_many_deleted_files)
{
    struct file_fixture *f = file_fixture_new("*.log", NULL);
    char name[32];

    file_fixture_start(f);
    fake_source_pass_ms(f->fake, 100);
    for (int i = 0; i < 3000; i += 500) {
        for (int j = i; j < i + 500; j++) {
            (void)snprintf(name, sizeof name, "%d.log", j);
            append(name, name);
            append(name, "\n");
        }
        fake_source_until_events(f->fake, (size_t)i + 500);
        for (int j = i; j < i + 500; j++) {
            (void)snprintf(name, sizeof name, "%d.log", j);
            gone(name);
        }
        fake_source_pass_ms(f->fake, 3000);
    }
    fake_source_pass_ms(f->fake, 3000);
    CHECK_EQ(fake_source_position_count(f->fake), 2000);
    file_fixture_free(f);
}
