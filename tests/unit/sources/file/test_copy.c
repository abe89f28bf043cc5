/* Rotation by copying, compression, and what happened while the node was down. */
#include <stdio.h>
#include <string.h>

#include "base/core/memory.h"
#include "tests/lib/file_fixture.h"
#include "tests/lib/test.h"

/* P3: with the copy inside of the glob each line comes exactly once. */
TEST(file_copy, reads_no_line_of_a_copy_inside_of_the_glob_twice)
{
    struct file_fixture *f = file_fixture_reading("a.log*", "1\n2\n", 2);

    copy("a.log", "a.log.1");
    fake_source_pass_ms(f->fake, 500);
    cut("a.log", 0);
    append("a.log", "3\n");
    fake_source_until_events(f->fake, 3);
    fake_source_pass_ms(f->fake, 8000);
    CHECK_STR(texts(f), "1|2|3|");
    file_fixture_restart(f);
    fake_source_pass_ms(f->fake, 3000);
    CHECK_STR(texts(f), "1|2|3|");
    file_fixture_free(f);
}

/* What was not yet read when the file was truncated is in the copy, also outside of the glob. */
TEST(file_copy, reads_the_rest_of_a_truncated_file_from_its_copy)
{
    struct file_fixture *f = file_fixture_reading("a.log", "1\n2\n", 2);

    append("a.log", "3\n4\nhalf");
    copy("a.log", "a.log.1");
    put("a.log", "5\n");
    fake_source_until_events(f->fake, 6);
    fake_source_pass_ms(f->fake, 8000);
    CHECK_STR(texts(f), "1|2|3|4|half|5|");
    CHECK_EQ(fake_source_event(f->fake, 4)->flags, SOURCE_SPAN_PARTIAL);
    CHECK_EQ(f->fake->dropped_bytes, 0);
    file_fixture_restart(f);
    fake_source_pass_ms(f->fake, 3000);
    CHECK_EQ(f->fake->event_count, 6);
    file_fixture_free(f);
}

static void copytruncate_while_down(const char *glob)
{
    struct file_fixture *f = file_fixture_reading(glob, "1\n2\n", 2);

    fake_source_stop(f->fake);
    append("a.log", "3\n");
    copy("a.log", "a.log.1");
    put("a.log", "4\n5\n6\n7\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 7);
    fake_source_pass_ms(f->fake, 8000);
    CHECK_STR(texts(f), "1|2|3|4|5|6|7|");
    file_fixture_crash(f);
    fake_source_pass_ms(f->fake, 8000);
    CHECK_EQ(f->fake->event_count, 7);
    file_fixture_free(f);
}

TEST(file_copy, finds_the_copy_of_a_copytruncate_while_down_inside_of_the_glob)
{
    copytruncate_while_down("a.log*");
}

TEST(file_copy, finds_the_copy_of_a_copytruncate_while_down_outside_of_the_glob)
{
    copytruncate_while_down("a.log");
}

/* A known file is found again by its identity, also where its name no longer matches. */
TEST(file_copy, drains_what_was_renamed_while_down)
{
    struct file_fixture *f = file_fixture_reading("a.log", "1\n", 1);

    fake_source_stop(f->fake);
    append("a.log", "2\n");
    move("a.log", "old-a");
    put("a.log", "3\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 3);
    fake_source_pass_ms(f->fake, 8000);
    CHECK_STR(texts(f), "1|2|3|");
    file_fixture_restart(f);
    append("old-a", "2b\n");
    fake_source_until_events(f->fake, 4);
    fake_source_pass_ms(f->fake, 8000);
    CHECK_EQ(f->fake->event_count, 4);
    file_fixture_free(f);
}

static void gzip_running(const char *glob, int events)
{
    struct file_fixture *f = file_fixture_reading(glob, "1\n2\n", 2);

    move("a.log", "a.log.1");
    put("a.log", "3\n");
    fake_source_until_events(f->fake, 3);
    fake_source_pass_ms(f->fake, 8000);
    compress_file("a.log.1", "a.log.1.gz");
    gone("a.log.1");
    fake_source_pass_ms(f->fake, 8000);
    CHECK_EQ(f->fake->event_count, events);
    file_fixture_restart(f);
    fake_source_pass_ms(f->fake, 8000);
    CHECK_EQ(f->fake->event_count, events);
    file_fixture_free(f);
}

TEST(file_copy, reads_no_compressed_copy_twice)
{
    gzip_running("a.log*", 3);
}

TEST(file_copy, leaves_compressed_files_outside_of_the_glob_alone)
{
    gzip_running("a.log", 3);
}

/* Rotated and compressed while the node was down, with unread lines. */
static void gzip_while_down(const char *glob)
{
    struct file_fixture *f = file_fixture_reading(glob, "1\n2\n", 2);

    fake_source_stop(f->fake);
    append("a.log", "3\n4\n");
    compress_file("a.log", "a.log.1.gz");
    gone("a.log");
    put("a.log", "5\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 5);
    fake_source_pass_ms(f->fake, 8000);
    CHECK_EQ(f->fake->event_count, 5);
    CHECK_EQ(fake_source_count_text(f->fake, "4"), 1);
    file_fixture_restart(f);
    fake_source_pass_ms(f->fake, 8000);
    CHECK_EQ(f->fake->event_count, 5);
    file_fixture_free(f);
}

TEST(file_copy, reads_on_in_what_was_compressed_while_down_inside_of_the_glob)
{
    gzip_while_down("a.log*");
}

TEST(file_copy, reads_on_in_what_was_compressed_while_down_outside_of_the_glob)
{
    gzip_while_down("a.log");
}

TEST(file_copy, reads_compressed_files_that_the_glob_names)
{
    struct file_fixture *f = file_fixture_new("*.gz", NULL);

    put("x", "1\n2\n3\n");
    compress_file("x", "x.gz");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 3);
    file_fixture_restart(f);
    fake_source_pass_ms(f->fake, 3000);
    CHECK_STR(texts(f), "1|2|3|");
    file_fixture_free(f);
}

/* P29: closed soon after its end, and P1: not before. */
TEST(file_copy, reads_a_deleted_file_to_its_end_and_closes_it)
{
    struct file_fixture *f = file_fixture_reading("a.log", "1\n", 1);
    struct file_source *fs;

    append("a.log", "2\nlast");
    gone("a.log");
    fake_source_until_events(f->fake, 3);
    fake_source_pass_ms(f->fake, 2000);
    CHECK_STR(texts(f), "1|2|last|");
    fs = (struct file_source *)f->fake->source;
    CHECK_EQ(fs->open_count, 0);
    CHECK_EQ(fs->counts[FILE_DELETED_OPEN], 0);
    file_fixture_free(f);
}

/* P34: the same inode under another device number. */
TEST(file_copy, knows_a_file_whose_device_number_changed)
{
    struct file_fixture *f = file_fixture_new("a.log", NULL);
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    put("a.log", "1\n2\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 2);
    fake_source_stop(f->fake);
    while ((entry = mr_map_next(&f->fake->positions, &cursor)) != NULL) {
        uint8_t *data = fake_source_position_data(entry->value);

        data[16] ^= 0x55; /* position.h: the device's first byte */
    }
    append("a.log", "3\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 3);
    fake_source_pass_ms(f->fake, 2000);
    CHECK_STR(texts(f), "1|2|3|");
    file_fixture_free(f);
}

TEST(file_copy, follows_symbolic_links_to_files_and_directories_without_looping)
{
    struct file_fixture *f = file_fixture_new("in/**/*.log", NULL);

    folder("real");
    folder("in");
    put("real/a.log", "1\n");
    soft_link("real/a.log", "in/link.log");
    folder("far");
    put("far/b.log", "2\n");
    soft_link("far", "in/far");
    soft_link("in", "in/loop");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 2);
    append("real/a.log", "3\n");
    append("far/b.log", "4\n");
    fake_source_until_events(f->fake, 4);
    move("real/a.log", "real/a.log.1");
    append("real/a.log.1", "5\n");
    put("real/a.log", "6\n");
    fake_source_until_events(f->fake, 6);
    fake_source_pass_ms(f->fake, 8000);
    CHECK_EQ(f->fake->event_count, 6);
    file_fixture_free(f);
}

/* Without inotify, everything is found by looking. */
TEST(file_copy, polls_where_events_are_not_to_be_had)
{
    struct file_fixture *f = file_fixture_new("*.log", NULL);

    f->options->watch = WATCH_POLL;
    put("a.log", "1\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 1);
    append("a.log", "2\n");
    fake_source_until_events(f->fake, 2);
    move("a.log", "a.old");
    append("a.old", "3\n");
    put("a.log", "4\n");
    fake_source_until_events(f->fake, 4);
    fake_source_pass_ms(f->fake, 8000);
    CHECK_EQ(f->fake->event_count, 4);
    file_fixture_free(f);
}

/* copytruncate with compress, while nobody looked: the copy is there compressed only. */
TEST(file_copy, reads_on_in_a_copy_that_was_compressed_while_down)
{
    struct file_fixture *f = file_fixture_reading("a.log*", "one\ntwo\n", 2);

    fake_source_stop(f->fake);
    append("a.log", "three\n");
    compress_file("a.log", "a.log.1.gz");
    put("a.log", "four\n");
    file_fixture_start(f);
    fake_source_until_events(f->fake, 4);
    file_fixture_restart(f);
    fake_source_pass_ms(f->fake, 6000);
    CHECK_STR(texts(f), "one|two|three|four|");
    file_fixture_free(f);
}

/* Seen while it is being compressed: what there is of the head tells nothing yet. */
TEST(file_copy, waits_for_the_head_of_a_file_that_is_being_compressed)
{
    struct file_fixture *f = file_fixture_reading(
        "a.log*", "a first line, so that there is something to compress\nand another one\n", 2);
    char *data;
    size_t size;

    compress_file("a.log", "b");
    size = read_whole("b", &data);
    write_bytes("a.log.1.gz", data, size / 2);
    fake_source_pass_ms(f->fake, 1500);
    CHECK_EQ(f->fake->event_count, 2);
    write_bytes("a.log.1.gz", data, size);
    gone("a.log");
    fake_source_pass_ms(f->fake, 3000);
    CHECK_STR(texts(f), "a first line, so that there is something to compress|and another one|");
    mr_free(data);
    file_fixture_free(f);
}
