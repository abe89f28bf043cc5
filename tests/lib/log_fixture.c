/* A log with a world around it: fault disk, virtual loop, test clock. Descriptors, threads and
 * waiting are all under the test's hand. */
#include "tests/lib/log_fixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/memory.h"
#include "base/core/metric.h"
#include "queue/wire/batch.h"
#include "tests/lib/test.h"

enum { TURNS_MAX = 10000, RECORD_SIZE_MAX = 1 << 21 };

/* ---- the world ---- */

static void on_space(struct log_budget *budget, void *owner)
{
    struct log_fixture *f = owner;

    CHECK(budget == &f->budget);
    f->on_space_count++;
}

struct log_fixture *log_fixture_new(uint64_t seed)
{
    struct log_fixture *f = mr_calloc(1, sizeof *f);

    CHECK(f != NULL);
    f->disk = fault_disk_new(seed);
    test_clock_init(&f->clock);
    mr_random_seeded_init(&f->random, seed);
    CHECK_EQ(mr_loop_new_virtual(&f->clock.clock, &f->loop), 0);
    CHECK_EQ(mr_workers_new(f->loop, "fsync", 1, &f->fsync_workers), 0);
    CHECK_EQ(mr_workers_new(f->loop, "io", 1, &f->io_workers), 0);
    f->metrics = mr_metrics_new();
    f->budget = (struct log_budget){.on_space = on_space, .owner = f};
    f->env = (struct log_env){.loop = f->loop,
                              .disk = &f->disk->base,
                              .random = &f->random.base,
                              .fsync_workers = f->fsync_workers,
                              .io_workers = f->io_workers,
                              .metrics = f->metrics,
                              .budget = &f->budget,
                              .totals = log_totals_new(f->metrics),
                              .boot_id = mr_uuid_random(&f->random.base)};
    CHECK(f->env.totals != NULL);
    log_config_defaults(&f->config);
    f->config.segment_size_bytes = 4096;
    f->config.index_interval_bytes = 256;
    (void)snprintf(f->directory, sizeof f->directory, "%s/topic-0", fault_disk_root(f->disk));
    return f;
}

void log_fixture_free(struct log_fixture *f)
{
    log_fixture_close(f);
    log_fixture_turn(f);
    mr_workers_free(f->fsync_workers);
    mr_workers_free(f->io_workers);
    log_fixture_turn(f);
    mr_loop_free(f->loop);
    CHECK_EQ(f->budget.used_bytes, 0);
    mr_metric_set_free(f->env.totals);
    mr_metrics_free(f->metrics);
    fault_disk_free(f->disk);
    mr_free(f);
}

void log_fixture_turn(struct log_fixture *f)
{
    for (int i = 0; i < TURNS_MAX && mr_loop_next_us(f->loop) <= f->clock.monotonic_us; i++) {
        mr_loop_turn(f->loop, 0);
    }
}

bool log_fixture_wait(struct log_fixture *f, const bool *flag)
{
    for (int i = 0; i < TURNS_MAX && !*flag; i++) {
        int64_t next_us = mr_loop_next_us(f->loop);

        if (next_us == INT64_MAX) {
            return false;
        }
        if (next_us > f->clock.monotonic_us) {
            test_clock_advance_us(&f->clock, next_us - f->clock.monotonic_us);
        }
        mr_loop_turn(f->loop, 0);
    }
    return *flag;
}

/* ---- life and death ---- */

int log_fixture_open(struct log_fixture *f)
{
    struct mr_error error = {0};

    CHECK(f->log == NULL);
    return log_open(&f->env, f->directory, NULL, &f->config, &f->log, &error);
}

static void on_closed(void *owner)
{
    *(bool *)owner = true;
}

void log_fixture_close(struct log_fixture *f)
{
    bool is_closed = false;

    if (f->log != NULL) {
        log_close(f->log, on_closed, &is_closed);
        CHECK(!is_closed);
        CHECK(log_fixture_wait(f, &is_closed));
        f->log = NULL;
    }
}

void log_fixture_kill(struct log_fixture *f)
{
    f->disk->is_off = true;
    log_fixture_close(f);
    log_fixture_turn(f);
    f->disk->is_off = false;
}

void log_fixture_power_loss(struct log_fixture *f)
{
    f->disk->is_off = true;
    log_fixture_close(f);
    log_fixture_turn(f);
    fault_disk_power_loss(f->disk);
    f->env.boot_id = mr_uuid_random(&f->random.base);
}

int log_fixture_reopen(struct log_fixture *f)
{
    log_fixture_close(f);
    return log_fixture_open(f);
}

/* ---- appending ---- */

struct mr_buf *log_fixture_batch(struct log_fixture *f, int64_t first, int count, size_t value_size,
                                 const struct batch_builder_identity *identity)
{
    struct batch_builder_options options = {.size_bytes_max = RECORD_SIZE_MAX};
    int64_t now_ms = mr_loop_wall_ms(f->loop);
    struct batch_builder builder;
    struct mr_buf *batch = NULL;
    char *value = malloc(value_size + 64); /* not the heap that faults are set on */

    CHECK(value != NULL);
    batch_builder_init(&builder, &options);
    if (batch_builder_begin(&builder, now_ms) == 0) {
        int rc = 0;

        for (int i = 0; i < count && rc == 0; i++) {
            int size = snprintf(value, 64, "record %" PRId64 " ", first + i);

            memset(value + size, 'x', value_size);
            rc = batch_builder_add_line(&builder, now_ms, value,
                                        (size_t)size > value_size ? (size_t)size : value_size, NULL,
                                        0, 0);
        }
        if (rc == 0) {
            (void)batch_builder_finish(&builder, identity, NULL, 0, 0, &batch);
        }
    }
    batch_builder_done(&builder);
    free(value);
    return batch;
}

static void on_appended(struct log_append *append)
{
    struct log_fixture_append *own = append->owner;

    CHECK(!own->is_done);
    own->is_done = true;
}

int log_fixture_append(struct log_fixture *f, struct mr_buf *batch, int flags,
                       struct log_fixture_append *ret_append)
{
    int rc;

    CHECK(batch != NULL);
    *ret_append = (struct log_fixture_append){
        .append = {.batch = {.buf = batch, .data = batch->data, .size_bytes = batch->size_bytes},
                   .leader_epoch = -1,
                   .flags = flags,
                   .cb = on_appended,
                   .owner = ret_append}};
    rc = log_append(f->log, &ret_append->append);
    mr_buf_unref(batch); /* the log has its own reference */
    if (rc != 0) {
        return rc;
    }
    CHECK(!ret_append->is_done);
    CHECK(log_fixture_wait(f, &ret_append->is_done));
    return ret_append->append.rc;
}

int log_fixture_append_next(struct log_fixture *f, int count, size_t value_size)
{
    struct log_fixture_append append;
    struct mr_buf *batch = log_fixture_batch(f, log_end_offset(f->log), count, value_size, NULL);

    return batch == NULL ? MR_ENOMEM : log_fixture_append(f, batch, 0, &append);
}

static void on_synced(struct log_sync *sync)
{
    *(bool *)sync->owner = true;
}

int log_fixture_sync(struct log_fixture *f)
{
    bool is_done = false;
    struct log_sync sync = {.cb = on_synced, .owner = &is_done};
    int rc = log_sync(f->log, &sync);

    if (rc == 0) {
        CHECK(!is_done);
        CHECK(log_fixture_wait(f, &is_done));
        rc = sync.rc;
    }
    return rc;
}

/* ---- reading ---- */

static int64_t read_batch(const uint8_t *data, size_t size, int64_t *next_offset,
                          log_fixture_record_cb cb, void *owner)
{
    struct batch_iterator iterator;
    struct batch_record record;
    struct batch_header header;
    int64_t count = 0;

    CHECK_EQ(batch_header_parse(data, size, &header), 0);
    CHECK_LE(batch_size_bytes(&header), (int64_t)size);
    CHECK_EQ(batch_crc_check(data, &header), 0);
    batch_iterator_init(&iterator, &header, data + BATCH_HEADER_SIZE,
                        (size_t)batch_size_bytes(&header) - BATCH_HEADER_SIZE);
    while (batch_iterator_next(&iterator, &record) == 1) {
        int64_t number = -1;
        char text[64] = {0};

        memcpy(text, record.value,
               (size_t)record.value_size < sizeof text - 1 ? (size_t)record.value_size
                                                           : sizeof text - 1);
        CHECK_EQ(sscanf(text, "record %" SCNd64, &number), 1);
        if (cb != NULL) {
            cb(owner, header.base_offset + record.offset_delta, number);
        }
        count++;
    }
    CHECK_EQ(count, header.record_count);
    *next_offset = batch_next_offset(&header);
    return batch_size_bytes(&header);
}

static int64_t read_range(struct log_fixture *f, const struct log_range *range, int64_t asked,
                          log_fixture_record_cb cb, void *owner)
{
    uint8_t *data = malloc((size_t)range->size_bytes);
    int64_t next_offset = 0;
    int64_t at = 0;

    CHECK(data != NULL);
    CHECK_EQ(
        mr_disk_pread(f->env.disk, range->fd, data, (size_t)range->size_bytes, range->position),
        range->size_bytes);
    while (at < range->size_bytes) {
        at += read_batch(data + at, (size_t)(range->size_bytes - at), &next_offset, cb, owner);
        CHECK_GT(next_offset, asked);
    }
    CHECK_EQ(at, range->size_bytes);
    CHECK_LE(next_offset, range->next_offset);
    free(data);
    return 0;
}

struct counter {
    log_fixture_record_cb cb;
    void *owner;
    int64_t from;
    int64_t last;
    int64_t count;
};

static void on_counted(void *owner, int64_t offset, int64_t number)
{
    struct counter *counter = owner;

    CHECK_GT(offset, counter->last);
    counter->last = offset;
    if (offset < counter->from) {
        return; /* a batch is given from its beginning */
    }
    counter->count++;
    if (counter->cb != NULL) {
        counter->cb(counter->owner, offset, number);
    }
}

int64_t log_fixture_read_all(struct log_fixture *f, int64_t max_bytes, log_fixture_record_cb cb,
                             void *owner)
{
    int64_t offset = log_start_offset(f->log);
    struct counter counter = {.cb = cb, .owner = owner, .from = offset, .last = -1};
    struct log_cursor cursor = {0};

    while (offset < log_end_offset(f->log)) {
        struct log_range range;
        int rc = log_read(f->log, offset, INT64_MAX, max_bytes, &cursor, &range);

        if (rc != 0) {
            return rc;
        }
        CHECK_GT(range.next_offset, offset);
        if (range.size_bytes > 0) {
            (void)read_range(f, &range, offset, on_counted, &counter);
        }
        offset = range.next_offset;
        log_range_done(&range);
    }
    CHECK_EQ(offset, log_end_offset(f->log));
    return counter.count;
}

static void on_whole(void *owner, int64_t offset, int64_t number)
{
    int64_t *expected = owner;

    CHECK_EQ(offset, *expected);
    CHECK_EQ(number, *expected);
    (*expected)++;
}

void log_fixture_check_whole(struct log_fixture *f)
{
    int64_t expected = log_start_offset(f->log);
    int64_t count = log_fixture_read_all(f, 2000, on_whole, &expected);

    CHECK_EQ(count, log_end_offset(f->log) - log_start_offset(f->log));
    CHECK_EQ(expected, log_end_offset(f->log));
}

/* ---- damaging ---- */

static void path_of(struct log_fixture *f, const char *name, char path[1024])
{
    (void)snprintf(path, 1024, "%s/%s", f->directory, name);
}

void log_fixture_flip(struct log_fixture *f, const char *name, int64_t position, uint8_t mask)
{
    char path[1024];
    FILE *file;
    int byte;

    path_of(f, name, path);
    file = fopen(path, "r+b");
    CHECK(file != NULL);
    CHECK_EQ(fseek(file, (long)position, SEEK_SET), 0);
    byte = fgetc(file);
    CHECK_GE(byte, 0);
    CHECK_EQ(fseek(file, (long)position, SEEK_SET), 0);
    CHECK_EQ(fputc(byte ^ mask, file), byte ^ mask);
    CHECK_EQ(fclose(file), 0);
}

int64_t log_fixture_file_size(struct log_fixture *f, const char *name)
{
    struct mr_disk_stat stat;
    char path[1024];

    path_of(f, name, path);
    return mr_disk_stat(mr_disk_system(), path, &stat) == 0 ? stat.size_bytes : -1;
}

void log_fixture_cut(struct log_fixture *f, const char *name, int64_t size_bytes)
{
    char path[1024];
    int fd = -1;

    path_of(f, name, path);
    CHECK_EQ(mr_disk_open(mr_disk_system(), path, MR_DISK_WRITE, &fd, NULL), 0);
    CHECK_EQ(mr_disk_truncate(mr_disk_system(), fd, size_bytes), 0);
    mr_disk_close(mr_disk_system(), fd);
}

void log_fixture_remove(struct log_fixture *f, const char *name)
{
    char path[1024];

    path_of(f, name, path);
    CHECK_EQ(mr_disk_unlink(mr_disk_system(), path), 0);
}
