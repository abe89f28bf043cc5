/* Lines to events: long lines, multiline, container formats. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/memory.h"
#include "tests/lib/file_fixture.h"
#include "tests/lib/test.h"

/* P26: cut between characters, flagged, nothing lost, the next line whole. */
TEST(file_join, cuts_long_lines_between_characters)
{
    struct file_fixture *f = file_fixture_new("a.log", NULL);

    f->options->line_size_bytes_max = 16;
    put("a.log", "short\n0123456789abcde\xc3\xa4xyz\nnext\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 4);
    CHECK_STR(texts(f), "short|0123456789abcde|\xc3\xa4xyz|next|");
    CHECK_EQ(fake_source_event(f->fake, 1)->flags, SOURCE_SPAN_CUT);
    CHECK_EQ(fake_source_event(f->fake, 2)->flags, SOURCE_SPAN_CUT);
    CHECK_EQ(fake_source_event(f->fake, 3)->flags, 0);
    file_fixture_free(f);
}

TEST(file_join, keeps_memory_bounded_by_the_longest_line)
{
    struct file_fixture *f = file_fixture_new("a.log", NULL);
    size_t size = 3 * 1024 * 1024;
    char *line = mr_malloc(size + 2);

    memset(line, 'x', size);
    line[size] = '\n';
    line[size + 1] = 0;
    put("a.log", line);
    append("a.log", "next\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 13);
    fake_source_pass_ms(f->fake, 100);
    CHECK_EQ(f->fake->event_count, 13);
    CHECK_EQ(f->fake->counted_bytes, size + 4);
    CHECK_STR(fake_source_event(f->fake, 12)->text, "next");
    mr_free(line);
    file_fixture_free(f);
}

TEST(file_join, joins_lines_that_do_not_begin_an_event)
{
    struct file_fixture *f = file_fixture_new("a.log", NULL);

    f->options->multiline.start = "^[A-Z]";
    put("a.log", "One\n  two\n  three\nFour\n  fi");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 1);
    CHECK_STR(texts(f), "One\n  two\n  three|");
    append("a.log", "ve\nSix\n");
    fake_source_until_events(f->fake, 3); /* the last one by its time-out */
    CHECK_STR(texts(f), "One\n  two\n  three|Four\n  five|Six|");
    CHECK_EQ(fake_source_event(f->fake, 2)->flags, 0);
    file_fixture_free(f);
}

TEST(file_join, joins_lines_that_go_on)
{
    struct file_fixture *f = file_fixture_new("a.log", NULL);

    f->options->multiline.proceed = "^\\s";
    put("a.log", "a\nb\n 1\n 2\nc\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 3);
    CHECK_STR(texts(f), "a|b\n 1\n 2|c|");
    file_fixture_free(f);
}

/* P27: a crash while an event is pending changes nothing about the events. */
TEST(file_join, rebuilds_pending_events_after_a_crash)
{
    struct file_fixture *f = file_fixture_new("a.log", NULL);

    f->options->multiline.start = "^[A-Z]";
    put("a.log", "A\n 1\nB\n 2\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 1);
    file_fixture_crash(f);
    fake_source_pass_ms(f->fake, 200);
    append("a.log", " 3\nC\n");
    fake_source_until_events(f->fake, 3);
    fake_source_pass_ms(f->fake, 3000);
    CHECK_STR(texts(f), "A\n 1|B\n 2\n 3|C|");
    file_fixture_free(f);
}

#define CRI "2026-03-01T12:00:00.5Z "

/* P28: pieces of both streams, mixed; time and stream are the first piece's. */
TEST(file_join, joins_cri_pieces)
{
    struct file_fixture *f = file_fixture_new("0.log", NULL);

    f->options->format = FORMAT_CRI;
    put("0.log", CRI "stdout P ab\n" CRI "stderr F err\n" CRI "stdout P cd\n" CRI
                     "stdout F ef\n" CRI "stdout F \nnot cri\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 4);
    CHECK_STR(texts(f), "err|abcdef||not cri|");
    CHECK_EQ(fake_source_event(f->fake, 0)->flags, SOURCE_SPAN_STDERR);
    CHECK_EQ(fake_source_event(f->fake, 1)->timestamp_ms, 1772366400500);
    file_fixture_free(f);
}

TEST(file_join, joins_cri_pieces_over_a_crash)
{
    struct file_fixture *f = file_fixture_new("0.log", NULL);

    f->options->format = FORMAT_CRI;
    put("0.log", CRI "stdout F x\n" CRI "stdout P ab\n" CRI "stderr F err\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 2);
    file_fixture_crash(f);
    fake_source_pass_ms(f->fake, 200);
    append("0.log", CRI "stdout F cd\n");
    fake_source_until_events(f->fake, 3);
    fake_source_pass_ms(f->fake, 3000);
    CHECK_STR(texts(f), "x|err|abcd|");
    file_fixture_free(f);
}

TEST(file_join, gives_up_waiting_for_a_last_piece)
{
    struct file_fixture *f = file_fixture_new("0.log", NULL);

    f->options->format = FORMAT_CRI;
    put("0.log", CRI "stdout P ab\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 1);
    CHECK_STR(texts(f), "ab|");
    CHECK_EQ(fake_source_event(f->fake, 0)->flags, SOURCE_SPAN_PARTIAL);
    file_fixture_free(f);
}

static void cri_over_rotation(bool crashes)
{
    struct file_fixture *f = file_fixture_new("0.log", NULL);

    f->options->format = FORMAT_CRI;
    f->options->multiline.timeout_ms = 10000;
    put("0.log", CRI "stdout F x\n" CRI "stdout P ab\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 1);
    move("0.log", "0.log.20260301");
    if (crashes) {
        file_fixture_crash(f);
    }
    put("0.log", CRI "stdout P cd\n" CRI "stderr F y\n");
    fake_source_until_events(f->fake, 2);
    if (crashes) {
        file_fixture_crash(f);
    }
    append("0.log", CRI "stdout F ef\n" CRI "stdout F z\n");
    fake_source_until_events(f->fake, 4);
    if (crashes) {
        file_fixture_crash(f);
    }
    fake_source_pass_ms(f->fake, 20000);
    CHECK_STR(texts(f), "x|y|abcdef|z|");
    file_fixture_free(f);
}

/* P28: the line goes on in the next file. */
TEST(file_join, joins_cri_pieces_over_a_rotation)
{
    cri_over_rotation(false);
}

TEST(file_join, joins_cri_pieces_over_a_rotation_with_crashes)
{
    cri_over_rotation(true);
}

TEST(file_join, reads_docker_lines)
{
    struct file_fixture *f = file_fixture_new("x-json.log", NULL);

    f->options->format = FORMAT_DOCKER;
    put("x-json.log",
        "{\"log\":\"a\\tb \\u00e4\\ud83d\\ude00\\n\",\"stream\":\"stdout\","
        "\"time\":\"2026-03-01T12:00:00.5Z\"}\n"
        "{\"log\":\"par\",\"stream\":\"stderr\",\"attrs\":{\"x\":\"}\"},"
        "\"time\":\"2026-03-01T12:00:00Z\"}\n"
        "{\"log\":\"tial\\n\",\"stream\":\"stderr\",\"time\":\"2026-03-01T12:00:01Z\"}\n"
        "{broken\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 3);
    CHECK_STR(texts(f), "a\tb \xc3\xa4\xf0\x9f\x98\x80|partial|{broken|");
    CHECK_EQ(fake_source_event(f->fake, 1)->flags, SOURCE_SPAN_STDERR);
    CHECK_EQ(fake_source_event(f->fake, 1)->timestamp_ms, 1772366400000);
    file_fixture_free(f);
}

TEST(file_join, cuts_events_that_grow_too_large)
{
    struct file_fixture *f = file_fixture_new("a.log", NULL);

    f->options->multiline.start = "^[A-Z]";
    f->options->multiline.lines_max = 2;
    put("a.log", "A\n 1\n 2\n 3\n 4\nB\nC\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 5);
    CHECK_STR(texts(f), "A\n 1| 2\n 3| 4|B|C|");
    CHECK_EQ(fake_source_event(f->fake, 0)->flags, SOURCE_SPAN_CUT);
    CHECK_EQ(fake_source_event(f->fake, 2)->flags, SOURCE_SPAN_CUT);
    CHECK_EQ(fake_source_event(f->fake, 3)->flags, 0);
    file_fixture_free(f);
}

/* Rotated in the middle of a line, and rotated again before its end, with the node down. */
TEST(file_join, joins_cri_pieces_over_several_rotations_while_down)
{
    struct file_fixture *f = file_fixture_new("0.log*", NULL);

    f->options->format = FORMAT_CRI;
    f->options->multiline.timeout_ms = 10000;
    put("0.log", CRI "stdout F x\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 1);
    append("0.log", CRI "stdout P ab\n");
    fake_source_pass_ms(f->fake, 200);
    fake_source_crash(f->fake);
    move("0.log", "0.log.1");
    next_birth();
    put("0.log", CRI "stdout P cd\n" CRI "stderr F y\n");
    move("0.log", "0.log.2");
    next_birth();
    put("0.log", CRI "stdout P ef\n" CRI "stderr F z\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 3);
    file_fixture_crash(f);
    fake_source_pass_ms(f->fake, 200);
    append("0.log", CRI "stdout F gh\n");
    fake_source_until_events(f->fake, 4);
    fake_source_pass_ms(f->fake, 20000);
    CHECK_STR(texts(f), "x|y|z|abcdefgh|");
    file_fixture_free(f);
}

/* The same between two looks at the directory, by a node that is up. */
TEST(file_join, joins_cri_pieces_over_several_rotations_between_two_looks)
{
    struct file_fixture *f = file_fixture_new("0.log*", NULL);

    f->options->format = FORMAT_CRI;
    f->options->watch = WATCH_POLL;
    f->options->multiline.timeout_ms = 3600 * 1000;
    f->options->rotated_wait_ms = 3600 * 1000;
    put("0.log", CRI "stdout F x\n" CRI "stdout P ab\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 1);
    move("0.log", "0.log.20260301-000001");
    next_birth();
    put("0.log", CRI "stdout P cd\n");
    move("0.log", "0.log.20260301-000002");
    next_birth();
    put("0.log", CRI "stdout F ef\n");
    fake_source_until_events(f->fake, 2);
    CHECK_STR(texts(f), "x|abcdef|");
    file_fixture_free(f);
}

/* Pieces alone bring out no event. Their file must be known nevertheless when it is rotated to
 * where no glob leads. */
TEST(file_join, remembers_a_file_of_pieces_alone_over_a_crash)
{
    struct file_fixture *f = file_fixture_new("0.log", NULL);

    f->options->format = FORMAT_CRI;
    f->options->multiline.timeout_ms = 3600 * 1000;
    f->options->rotated_wait_ms = 3600 * 1000;
    put("0.log", CRI "stdout P ab\n");
    file_fixture_start(f);
    fake_source_pass_ms(f->fake, 200);
    while (fake_source_position_count(f->fake) == 0) {
        fake_source_step(f->fake, 5);
    }
    move("0.log", "0.log.20260301-000001");
    file_fixture_crash(f);
    next_birth();
    put("0.log", CRI "stdout F cd\n");
    fake_source_until_events(f->fake, 1);
    CHECK_STR(texts(f), "abcd|");
    file_fixture_free(f);
}

/* `memory` is a bound where it can be one: what the longest line needs is always to be had, and
 * what many positions without bytes leave behind does not keep lines out. */
TEST(file_join, reads_with_the_least_memory)
{
    struct file_fixture *f = file_fixture_new("0.log*", NULL);

    f->options->format = FORMAT_CRI;
    f->options->memory_bytes = 1024 * 1024;
    f->options->line_size_bytes_max = 2 * 1024 * 1024;
    f->options->multiline.timeout_ms = 3600 * 1000;
    f->options->rotated_wait_ms = 3600 * 1000;
    f->fake->holds = true;
    for (int i = 0; i < 30; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "0.log.%d", 100 + i);
        put(name, CRI "stderr P ab\n");
    }
    file_fixture_start(f);
    fake_source_pass_ms(f->fake, 1000); /* thirty positions under way, and no byte */
    f->fake->holds = false;
    put("0.log", CRI "stdout F x\n" CRI "stdout F y\n");
    fake_source_until_events(f->fake, 2);
    CHECK_STR(texts(f), "x|y|");
    file_fixture_free(f);
}
