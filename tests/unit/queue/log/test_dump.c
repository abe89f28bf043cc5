/* What a dump of a log shows is what stands in it, damage included. */
#include "queue/log/dump.h"

#include <stdio.h>

#include "queue/log/log.h"
#include "queue/wire/batch.h"
#include "tests/lib/log_fixture.h"
#include "tests/lib/test.h"

struct shown {
    int64_t files;
    int64_t batches;
    int64_t records;
    int64_t damaged_bytes;
    int64_t index_entries;
    int64_t time_entries;
    int64_t producers;
    int64_t epochs;
    int64_t checkpoints;
    int64_t problems;
    int64_t last_offset;
};

static void on_file(void *owner, const char *path, int64_t size_bytes)
{
    struct shown *shown = owner;

    CHECK(path != NULL);
    CHECK_GE(size_bytes, 0);
    shown->files++;
}

static void on_batch(void *owner, int64_t position, const struct batch_header *header)
{
    struct shown *shown = owner;

    CHECK_GE(position, 0);
    CHECK_GT(header->base_offset, shown->last_offset);
    shown->last_offset = batch_last_offset(header);
    shown->batches++;
}

static void on_record(void *owner, const struct batch_header *header,
                      const struct batch_record *record)
{
    struct shown *shown = owner;

    CHECK_LE(header->base_offset + record->offset_delta, shown->last_offset);
    shown->records++;
}

static void on_damage(void *owner, int64_t position, int64_t size_bytes)
{
    (void)position;
    ((struct shown *)owner)->damaged_bytes += size_bytes;
}

static void on_index(void *owner, int64_t offset, int64_t position)
{
    CHECK_GT(offset, 0);
    CHECK_GT(position, 0);
    ((struct shown *)owner)->index_entries++;
}

static void on_time_index(void *owner, int64_t timestamp_ms, int64_t offset)
{
    CHECK_GT(timestamp_ms, 0);
    CHECK_GE(offset, 0);
    ((struct shown *)owner)->time_entries++;
}

static void on_producer(void *owner, const struct log_dump_producer *producer)
{
    CHECK_EQ(producer->producer_id, 77);
    ((struct shown *)owner)->producers++;
}

static void on_checkpoint(void *owner, const struct log_dump_checkpoint *checkpoint)
{
    CHECK_EQ(checkpoint->start_offset, 0);
    ((struct shown *)owner)->checkpoints++;
}

static void on_problem(void *owner, const char *what, int code)
{
    CHECK(what != NULL);
    CHECK_LT(code, 0);
    ((struct shown *)owner)->problems++;
}

static const struct log_dump_events events = {
    .on_file = on_file,
    .on_batch = on_batch,
    .on_record = on_record,
    .on_damage = on_damage,
    .on_index = on_index,
    .on_time_index = on_time_index,
    .on_producer = on_producer,
    .on_checkpoint = on_checkpoint,
    .on_problem = on_problem,
};

TEST(dump, shows_all_that_stands_in_a_directory)
{
    struct log_fixture *f = log_fixture_new(1);
    struct batch_builder_identity identity = {.producer_id = 77};
    struct log_fixture_append append;
    struct shown shown = {.last_offset = -1};
    struct mr_error error = {0};

    CHECK_EQ(log_fixture_open(f), 0);
    for (int i = 0; i < 40; i++) {
        test_clock_advance_ms(&f->clock, 5);
        CHECK_EQ(log_fixture_append_next(f, 3, 100), 0);
    }
    CHECK_EQ(log_fixture_append(f, log_fixture_batch(f, 120, 1, 10, &identity), 0, &append), 0);
    log_fixture_close(f);
    CHECK_EQ(log_dump(mr_disk_system(), f->directory, &events, &shown, &error), 0);
    CHECK_EQ(shown.batches, 41);
    CHECK_EQ(shown.records, 121);
    CHECK_EQ(shown.last_offset, 120);
    CHECK_EQ(shown.damaged_bytes, 0);
    CHECK_EQ(shown.problems, 0);
    CHECK_EQ(shown.producers, 1);
    CHECK_EQ(shown.checkpoints, 2);
    CHECK_GT(shown.index_entries, 20);
    CHECK_GT(shown.time_entries, 20);
    CHECK_GT(shown.files, 15);

    shown = (struct shown){.last_offset = -1};
    log_fixture_flip(f, "00000000000000000000.log", 100, 1);
    log_fixture_cut(f, "00000000000000000000.index", 5);
    CHECK_EQ(log_dump(mr_disk_system(), f->directory, &events, &shown, &error), 0);
    CHECK_EQ(shown.batches, 40);
    CHECK_GT(shown.damaged_bytes, 300);
    CHECK_EQ(shown.problems, 1);
    log_fixture_free(f);
}

TEST(dump, says_why_it_cannot)
{
    struct log_fixture *f = log_fixture_new(2);
    struct log_dump_events nothing = {0};
    struct mr_error error = {0};
    char path[600];

    CHECK_EQ(log_dump(mr_disk_system(), "/nonexistent", &nothing, NULL, &error), MR_ENOENT);
    CHECK_HAS(error.text, "/nonexistent");
    CHECK_EQ(log_fixture_open(f), 0);
    CHECK_EQ(log_fixture_append_next(f, 3, 100), 0);
    log_fixture_close(f);
    CHECK_EQ(log_dump(mr_disk_system(), f->directory, &nothing, NULL, &error), 0);
    (void)snprintf(path, sizeof path, "%s/other", f->directory);
    CHECK_EQ(mr_disk_write_file(mr_disk_system(), path, "x", 1, NULL), 0);
    CHECK_EQ(log_dump(mr_disk_system(), path, &nothing, NULL, &error), MR_EUNSUPPORTED);
    log_fixture_free(f);
}
