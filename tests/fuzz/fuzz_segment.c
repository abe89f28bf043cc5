/* Arbitrary bytes as the files of a log: it opens, reads from end to end without going back, takes
 * an append, and finds the same again after a clean close.
 *
 * The input: a byte of flags, a byte that says how much of the rest is the .log file (in 1/255),
 * the rest of it is the second file: .index, .timeindex, .snapshot, checkpoint.0,
 * leader-epoch-checkpoint, by the flags. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/codec/crc32c.h"
#include "base/core/clock.h"
#include "base/core/disk.h"
#include "base/core/logger.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/core/workers.h"
#include "queue/log/log.h"
#include "queue/wire/batch_builder.h"
#include "queue/wire/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FLAG_FIX_CRC = 8, FLAG_GAPS = 16, SIZE_MAX_FUZZ = 1 << 16 };

static struct mr_loop *loop;
static struct log_env env;
static struct mr_buf *batch;
static char directory[64];

static void set_up(void)
{
    struct batch_builder_options options = {.size_bytes_max = 4096};
    struct batch_builder builder;

    mr_log_setup(MR_LOG_ERROR, MR_LOG_TEXT);
    (void)snprintf(directory, sizeof directory, "%s/fuzz-segment-%d-0",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
    mr_assert(mr_loop_new_virtual(mr_clock_system(), &loop) == 0);
    env = (struct log_env){.loop = loop, .disk = mr_disk_system(), .random = mr_random_system()};
    mr_assert(mr_workers_new(loop, "fsync", 1, &env.fsync_workers) == 0);
    mr_assert(mr_workers_new(loop, "io", 1, &env.io_workers) == 0);
    batch_builder_init(&builder, &options);
    mr_assert(batch_builder_begin(&builder, 1) == 0);
    mr_assert(batch_builder_add_line(&builder, 1, "x", 1, NULL, 0, 0) == 0);
    mr_assert(batch_builder_finish(&builder, NULL, NULL, 0, 0, &batch) == 0);
    batch_builder_done(&builder);
}

static void write_file(const char *name, const uint8_t *data, size_t size)
{
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    file = fopen(path, "wb");
    mr_assert(file != NULL);
    mr_assert(fwrite(data, 1, size, file) == size);
    (void)fclose(file);
}

/* Makes the checksums right where batches follow each other, so that what lies behind them is
 * reached. */
static void fix_checksums(uint8_t *data, size_t size)
{
    struct batch_header header;
    size_t at = 0;

    while (size - at >= BATCH_HEADER_SIZE) {
        if (batch_header_parse(data + at, size - at, &header) != 0 ||
            (size_t)batch_size_bytes(&header) > size - at) {
            return;
        }
        wire_put_int32(data + at + 17,
                       (int32_t)batch_crc_compute(data + at, (size_t)batch_size_bytes(&header)));
        at += (size_t)batch_size_bytes(&header);
    }
}

static void on_appended(struct log_append *append)
{
    *(bool *)append->owner = true;
}

static void on_closed(void *owner)
{
    *(bool *)owner = true;
}

static void wait_for(const bool *flag)
{
    for (int i = 0; i < 100 && !*flag; i++) {
        mr_loop_turn(loop, 0);
    }
    mr_assert(*flag);
}

/* From the start to the end, always forward; the number of bytes. */
static int64_t read_all(struct log *log)
{
    int64_t offset = log_start_offset(log);
    struct log_cursor cursor = {0};
    int64_t bytes = 0;

    while (offset < log_end_offset(log)) {
        struct log_range range;

        mr_assert(log_read(log, offset, INT64_MAX, 700, &cursor, &range) == 0);
        mr_assert(range.next_offset > offset);
        mr_assert(range.size_bytes >= 0);
        offset = range.next_offset;
        bytes += range.size_bytes;
        log_range_done(&range);
    }
    mr_assert(offset == log_end_offset(log));
    return bytes;
}

static void close_log(struct log *log)
{
    bool is_closed = false;

    log_close(log, on_closed, &is_closed);
    wait_for(&is_closed);
}

static void live(const struct log_config *config)
{
    struct mr_error error = {0};
    struct log *log = NULL;
    struct log_append append = {
        .batch = {.buf = batch, .data = batch->data, .size_bytes = batch->size_bytes},
        .leader_epoch = -1,
        .cb = on_appended};
    bool is_done = false;
    int64_t bytes;
    int64_t offset;
    int64_t end;
    int rc;

    mr_assert(log_open(&env, directory, NULL, config, &log, &error) == 0);
    mr_assert(log_start_offset(log) <= log_end_offset(log));
    mr_assert(log_synced_offset(log) <= log_end_offset(log));
    bytes = read_all(log);
    (void)log_lookup_time(log, 1000, &offset, &offset);
    end = log_end_offset(log);
    append.owner = &is_done;
    mr_assert(log_append(log, &append) == 0);
    wait_for(&is_done);
    rc = append.rc;
    mr_assert(rc != 0 || append.base_offset == end);
    end = log_end_offset(log);
    mr_assert(read_all(log) == bytes + (rc == 0 ? (int64_t)batch->size_bytes : 0));
    bytes = read_all(log);
    close_log(log);
    mr_assert(log_open(&env, directory, NULL, config, &log, &error) == 0);
    mr_assert(log_end_offset(log) == end);
    mr_assert(read_all(log) == bytes);
    close_log(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const seconds[8] = {NULL,
                                           "00000000000000000000.index",
                                           "00000000000000000000.timeindex",
                                           "00000000000000000000.snapshot",
                                           "checkpoint.0",
                                           "leader-epoch-checkpoint",
                                           "00000000000000000003.log",
                                           "00000000000000000007.index"};
    struct log_config config;
    uint8_t *copy;
    size_t log_size;

    if (size < 2 || size > SIZE_MAX_FUZZ) {
        return 0;
    }
    if (loop == NULL) {
        set_up();
    }
    (void)mr_disk_remove_tree(mr_disk_system(), directory, NULL);
    mr_assert(mkdir(directory, 0700) == 0);
    copy = malloc(size);
    mr_assert(copy != NULL);
    memcpy(copy, data, size);
    log_size = (size - 2) * data[1] / 255;
    if ((data[0] & FLAG_FIX_CRC) != 0) {
        fix_checksums(copy + 2, log_size);
    }
    write_file("00000000000000000000.log", copy + 2, log_size);
    if (seconds[data[0] & 7] != NULL) {
        write_file(seconds[data[0] & 7], copy + 2 + log_size, size - 2 - log_size);
    }
    free(copy);
    log_config_defaults(&config);
    config.segment_size_bytes = 1 << 20;
    config.index_interval_bytes = 100;
    config.is_compacted = (data[0] & FLAG_GAPS) != 0;
    live(&config);
    (void)mr_disk_remove_tree(mr_disk_system(), directory, NULL);
    return 0;
}
