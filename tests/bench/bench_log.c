/* What the log costs: appends of large and small batches beside the bare pwritev, and opening a log
 * of many segments, after a clean close and after a kill. One JSON object per line.
 *
 *     millrace_bench_log DIRECTORY [MEGABYTES [SEGMENTS]]     (default 2048 and 1000)
 *
 * The first run of each kind warms the pages; quote the others. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/disk.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/core/workers.h"
#include "queue/log/log.h"
#include "queue/wire/batch_builder.h"

struct bench {
    struct mr_loop *loop;
    struct log_env env;
    struct log_config config;
    char directory[512];
    bool is_closed;
    int64_t waiting;
    int64_t failed;
};

static int64_t now_us(void)
{
    return mr_clock_monotonic_us(mr_clock_system());
}

static int64_t cpu_us(void)
{
    struct rusage usage;

    (void)getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static void must(int rc, const char *what)
{
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", what, mr_code_text(rc));
        exit(1);
    }
}

static struct log *open_log(struct bench *bench)
{
    struct mr_error error = {0};
    struct log *log = NULL;

    must(log_open(&bench->env, bench->directory, NULL, &bench->config, &log, &error), error.text);
    return log;
}

static void on_closed(void *owner)
{
    *(bool *)owner = true;
}

static void close_log(struct bench *bench, struct log *log, bool is_deleted)
{
    bench->is_closed = false;
    if (is_deleted) {
        log_delete(log, on_closed, &bench->is_closed);
    } else {
        log_close(log, on_closed, &bench->is_closed);
    }
    while (!bench->is_closed) {
        mr_loop_turn(bench->loop, 1000);
    }
}

static struct mr_buf *make_batch(size_t size_bytes)
{
    struct batch_builder_options options = {.size_bytes_max = size_bytes};
    struct batch_builder builder;
    struct mr_buf *batch = NULL;
    char line[190];

    memset(line, 'x', sizeof line);
    batch_builder_init(&builder, &options);
    must(batch_builder_begin(&builder, 1700000000000), "batch");
    while (batch_builder_add_line(&builder, 1700000000000, line,
                                  size_bytes < 1000 ? 40 : sizeof line, NULL, 0, 0) == 0) {
    }
    must(batch_builder_finish(&builder, NULL, NULL, 0, 0, &batch), "batch");
    batch_builder_done(&builder);
    return batch;
}

static void on_appended(struct log_append *append)
{
    struct bench *bench = append->owner;

    bench->waiting--;
    bench->failed += append->rc != 0;
}

enum { IN_FLIGHT = 64 };

/* The log keeps IN_FLIGHT appends of one turn; the queue's bound is met by waiting for a turn. */
static void append_bytes(struct bench *bench, struct log *log, struct mr_buf *batch, int64_t bytes)
{
    static struct log_append appends[IN_FLIGHT];
    int64_t done = 0;

    while (done < bytes) {
        for (int i = 0; i < IN_FLIGHT && done < bytes; i++) {
            appends[i] = (struct log_append){
                .batch = {.buf = batch, .data = batch->data, .size_bytes = batch->size_bytes},
                .leader_epoch = 0,
                .cb = on_appended,
                .owner = bench};
            if (log_append(log, &appends[i]) != 0) {
                break;
            }
            bench->waiting++;
            done += (int64_t)batch->size_bytes;
        }
        while (bench->waiting > 0) {
            mr_loop_turn(bench->loop, 1000);
        }
    }
    must(bench->failed > 0 ? MR_EIO : 0, "append");
}

static void report(const char *what, int64_t bytes, int64_t batches, int64_t us, int64_t cpu)
{
    printf("{\"bench\":\"%s\",\"mb_per_s\":%.0f,\"ns_per_batch\":%.0f,\"cpu_s_per_gib\":%.3f}\n",
           what, (double)bytes / (double)us, (double)us * 1000.0 / (double)batches,
           (double)cpu / 1e6 * 1073741824.0 / (double)bytes);
    (void)fflush(stdout);
}

/* The same bytes by two iovecs per batch into files of the same size, and nothing else. */
static void bench_bare(struct bench *bench, const struct mr_buf *batch, int64_t bytes)
{
    struct iovec parts[2] = {{.iov_base = batch->data, .iov_len = 61},
                             {.iov_base = batch->data + 61, .iov_len = batch->size_bytes - 61}};
    int64_t started = now_us();
    int64_t cpu = cpu_us();
    int64_t batches = 0;
    int64_t at = 0;
    char path[600];
    int fd = -1;

    for (int64_t done = 0; done < bytes; done += (int64_t)batch->size_bytes) {
        if (fd < 0 || at + (int64_t)batch->size_bytes > bench->config.segment_size_bytes) {
            if (fd >= 0) {
                (void)close(fd);
            }
            (void)snprintf(path, sizeof path, "%s.bare-%" PRId64, bench->directory, done);
            fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            must(fd < 0 ? mr_code_of_errno(errno) : 0, path);
            (void)unlink(path);
            at = 0;
        }
        must(pwritev(fd, parts, 2, at) == (ssize_t)batch->size_bytes ? 0 : MR_EIO, "pwritev");
        at += (int64_t)batch->size_bytes;
        batches++;
    }
    report("bare_pwritev", bytes, batches, now_us() - started, cpu_us() - cpu);
    (void)close(fd);
}

static void bench_append(struct bench *bench, const char *name, size_t batch_bytes, int64_t bytes)
{
    struct mr_buf *batch = make_batch(batch_bytes);

    printf("{\"batch_bytes\":%zu}\n", batch->size_bytes);
    for (int round = 0; round < 4; round++) {
        struct log *log = open_log(bench);
        int64_t started = now_us();
        int64_t cpu = cpu_us();

        append_bytes(bench, log, batch, bytes);
        report(name, bytes, bytes / (int64_t)batch->size_bytes, now_us() - started, cpu_us() - cpu);
        close_log(bench, log, true);
        bench_bare(bench, batch, bytes);
    }
    mr_buf_unref(batch);
}

/* 10 GiB in 1,000 segments need not be written: what a start looks at is names, sizes and
 * checkpoints. A segment is one batch and a hole behind it would be damage, so segments are small;
 * the cost is the same. */
static void bench_open(struct bench *bench, int segments)
{
    struct mr_buf *batch = make_batch(60000);
    struct log *log;

    bench->config.segment_size_bytes = (int64_t)batch->size_bytes;
    log = open_log(bench);
    append_bytes(bench, log, batch, (int64_t)batch->size_bytes * segments);
    close_log(bench, log, false);
    for (int round = 0; round < 5; round++) {
        int64_t started = now_us();

        log = open_log(bench);
        printf("{\"bench\":\"open_clean\",\"segments\":%d,\"ms\":%.2f}\n", segments,
               (double)(now_us() - started) / 1000.0);
        close_log(bench, log, false);
    }
    close_log(bench, open_log(bench), true);
    mr_buf_unref(batch);
}

static void bench_recover(struct bench *bench, int64_t bytes)
{
    struct mr_buf *batch = make_batch(1 << 20);
    struct log *log;
    char name[600];

    bench->config.segment_size_bytes = INT64_C(1) << 30;
    log = open_log(bench);
    append_bytes(bench, log, batch, bytes);
    close_log(bench, log, false);
    for (int round = 0; round < 3; round++) { /* without checkpoint and snapshot: as after a kill */
        int64_t started;

        for (int slot = 0; slot < 2; slot++) {
            (void)snprintf(name, sizeof name, "%s/checkpoint.%d", bench->directory, slot);
            (void)unlink(name);
        }
        started = now_us();
        log = open_log(bench);
        printf("{\"bench\":\"recover\",\"mb\":%" PRId64 ",\"mb_per_s\":%.0f}\n", bytes >> 20,
               (double)bytes / (double)(now_us() - started));
        close_log(bench, log, round == 2);
    }
    mr_buf_unref(batch);
}

int main(int argc, char **argv)
{
    int64_t bytes = (argc > 2 ? atoll(argv[2]) : 2048) << 20;
    int segments = argc > 3 ? atoi(argv[3]) : 1000;
    struct bench bench = {0};
    struct mr_error error = {0};

    if (argc < 2) {
        fprintf(stderr, "usage: millrace_bench_log DIRECTORY [MEGABYTES [SEGMENTS]]\n");
        return 2;
    }
    (void)snprintf(bench.directory, sizeof bench.directory, "%s/bench-log-0", argv[1]);
    must(mr_loop_new(mr_clock_system(), &bench.loop, &error), error.text);
    bench.env = (struct log_env){
        .loop = bench.loop, .disk = mr_disk_system(), .random = mr_random_system()};
    must(mr_workers_new(bench.loop, "fsync", 1, &bench.env.fsync_workers), "workers");
    must(mr_workers_new(bench.loop, "io", 1, &bench.env.io_workers), "workers");
    log_config_defaults(&bench.config);
    bench_append(&bench, "append_1m", 1 << 20, bytes);
    bench_append(&bench, "append_64k", 1 << 16, bytes);
    bench_append(&bench, "append_1k", 1000, bytes / 16);
    bench_append(&bench, "append_170", 170, bytes / 64);
    bench_open(&bench, segments);
    bench_recover(&bench, bytes / 4);
    mr_workers_free(bench.env.fsync_workers);
    mr_workers_free(bench.env.io_workers);
    mr_loop_free(bench.loop);
    return 0;
}
