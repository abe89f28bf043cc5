/* The checker. For each file id it knows the next sequence and which earlier ones are still
 * missing, as ranges: memory grows with the holes, not with the lines, and is bounded.
 *
 *   next          the expected line
 *   above next    what lies between becomes missing
 *   missing       was late: out of order
 *   else          was there before: repeated */
#include "tests/bench/loggen_check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/loggen_line.h"

enum {
    BLOCK_BYTES = 1 << 20,
    RANGES_MAX = 1 << 20,      /* of one file id: 16 MiB */
    LATENCY_BUCKETS = 64 * 16, /* 16 per doubling, so 4 % apart */
};

struct range {
    uint64_t start;
    uint64_t end;
};

struct stream {
    uint64_t next;
    uint64_t seen;
    struct range *missing; /* ascending */
    size_t missing_count;
    size_t missing_capacity;
};

struct checker {
    const struct check_options *options;
    struct stream **streams; /* by file id */
    uint64_t lines;
    uint64_t bytes;
    uint64_t repeated;
    uint64_t disordered;
    uint64_t damaged;
    uint64_t foreign;
    uint64_t lost;
    uint32_t ids;
    uint32_t shown;
    int64_t now_us; /* read once per block */
    uint64_t latency[LATENCY_BUCKETS];
    uint64_t latency_count;
    int64_t latency_us_max;
};

static int fail(const char *what)
{
    fprintf(stderr, "millrace_lines: %s: %s\n", what, strerror(errno));
    return 1;
}

static void show(struct checker *checker, const char *what, uint32_t file, uint64_t start,
                 uint64_t end)
{
    if (checker->shown < checker->options->show) {
        checker->shown++;
        fprintf(stderr, "%s: file %" PRIu32 ", lines %" PRIu64 " to %" PRIu64 "\n", what, file,
                start, end - 1);
    }
}

static int64_t wall_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* ---- latency: a histogram with logarithmic buckets ---- */

static size_t bucket_of(uint64_t us)
{
    int doubling;

    if (us < 16) {
        return us;
    }
    doubling = 63 - __builtin_clzll(us);
    return (size_t)(doubling - 3) * 16 + (us >> (doubling - 4) & 15);
}

static uint64_t bucket_top(size_t bucket)
{
    size_t doubling = bucket / 16 + 3;

    return bucket < 16 ? bucket : ((16 + bucket % 16 + 1) << (doubling - 4)) - 1;
}

static void note_latency(struct checker *checker, int64_t time_us)
{
    int64_t latency_us = checker->now_us - time_us;

    latency_us = latency_us < 0 ? 0 : latency_us;
    checker->latency[bucket_of((uint64_t)latency_us)]++;
    checker->latency_count++;
    if (latency_us > checker->latency_us_max) {
        checker->latency_us_max = latency_us;
    }
}

static double percentile_ms(const struct checker *checker, double part)
{
    uint64_t wanted = (uint64_t)((double)checker->latency_count * part);
    uint64_t passed = 0;

    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        passed += checker->latency[i];
        if (passed > wanted) {
            return (double)bucket_top(i) * 1e-3;
        }
    }
    return (double)checker->latency_us_max * 1e-3;
}

/* ---- sequences ---- */

static struct stream *stream_of(struct checker *checker, uint32_t file)
{
    struct stream *stream = checker->streams[file];

    if (stream == NULL) {
        stream = calloc(1, sizeof *stream);
        if (stream == NULL) {
            exit(fail("memory"));
        }
        stream->next = checker->options->first;
        checker->streams[file] = stream;
        checker->ids++;
    }
    return stream;
}

/* Makes room for one more range at `at`. */
static void insert_range(struct stream *stream, size_t at, uint64_t start, uint64_t end)
{
    if (stream->missing_count == stream->missing_capacity) {
        size_t capacity = stream->missing_capacity == 0 ? 16 : stream->missing_capacity * 2;
        struct range *grown =
            capacity > RANGES_MAX ? NULL : realloc(stream->missing, capacity * sizeof *grown);

        if (grown == NULL) {
            fprintf(stderr, "millrace_lines: more than %d holes in one file: giving up\n",
                    RANGES_MAX);
            exit(1);
        }
        stream->missing = grown;
        stream->missing_capacity = capacity;
    }
    memmove(stream->missing + at + 1, stream->missing + at,
            (stream->missing_count - at) * sizeof *stream->missing);
    stream->missing[at] = (struct range){start, end};
    stream->missing_count++;
}

/* Takes the sequence out of the missing ones; false: it is not missing. */
static bool find_missing(struct stream *stream, uint64_t sequence)
{
    size_t low = 0;
    size_t high = stream->missing_count;
    struct range *range;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (stream->missing[middle].end <= sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    range = &stream->missing[low];
    if (low == stream->missing_count || range->start > sequence) {
        return false;
    }
    if (range->start == sequence) {
        range->start++;
    } else if (range->end == sequence + 1) {
        range->end--;
    } else {
        uint64_t end = range->end;

        range->end = sequence;
        insert_range(stream, low + 1, sequence + 1, end);
        return true;
    }
    if (range->start == range->end) {
        stream->missing_count--;
        memmove(range, range + 1, (stream->missing_count - low) * sizeof *range);
    }
    return true;
}

static void note_sequence(struct checker *checker, const struct line_mark *mark)
{
    struct stream *stream = stream_of(checker, mark->file);

    stream->seen++;
    if (mark->sequence == stream->next) {
        stream->next++;
    } else if (mark->sequence > stream->next) {
        insert_range(stream, stream->missing_count, stream->next, mark->sequence);
        stream->next = mark->sequence + 1;
    } else if (find_missing(stream, mark->sequence)) {
        checker->disordered++;
        show(checker, "out of order", mark->file, mark->sequence, mark->sequence + 1);
    } else {
        checker->repeated++;
        show(checker, "repeated", mark->file, mark->sequence, mark->sequence + 1);
    }
}

static void note_line(struct checker *checker, const char *line, size_t size)
{
    struct line_mark mark;

    checker->lines++;
    switch (line_read(line, size, checker->options->is_loose, &mark)) {
    case LINE_OK:
        note_sequence(checker, &mark);
        if (checker->options->has_latency) {
            note_latency(checker, mark.time_us);
        }
        return;
    case LINE_FOREIGN:
        checker->foreign++;
        return;
    case LINE_DAMAGED:
        checker->damaged++;
        show(checker, "damaged", mark.file, mark.sequence, mark.sequence + 1);
        return;
    }
}

/* ---- reading ---- */

/* Takes all whole lines of the block; returns how many bytes they are. */
static size_t take_lines(struct checker *checker, const char *block, size_t size)
{
    const char *line = block;
    const char *end = block + size;
    const char *newline;

    while (line < end && (newline = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        note_line(checker, line, (size_t)(newline - line));
        line = newline + 1;
    }
    return (size_t)(line - block);
}

static int read_all(struct checker *checker, int fd, const char *name, char *block)
{
    size_t kept = 0;
    ssize_t n;

    while ((n = read(fd, block + kept, BLOCK_BYTES - kept)) != 0) {
        size_t taken;

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail(name);
        }
        checker->now_us = wall_us();
        checker->bytes += (uint64_t)n;
        kept += (size_t)n;
        taken = take_lines(checker, block, kept);
        kept -= taken;
        memmove(block, block + taken, kept);
        if (kept == BLOCK_BYTES) {
            note_line(checker, block, kept); /* no newline in 1 MiB: not one of ours */
            kept = 0;
        }
    }
    if (kept > 0) {
        note_line(checker, block, kept);
    }
    return 0;
}

static int read_paths(struct checker *checker)
{
    const char *const *paths = checker->options->paths;
    char *block = malloc(BLOCK_BYTES);
    int rc = block == NULL ? fail("memory") : 0;

    if (rc == 0 && paths[0] == NULL) {
        rc = read_all(checker, STDIN_FILENO, "stdin", block);
    }
    for (size_t i = 0; rc == 0 && paths[i] != NULL; i++) {
        int fd = open(paths[i], O_RDONLY | O_CLOEXEC);

        rc = fd < 0 ? fail(paths[i]) : read_all(checker, fd, paths[i], block);
        if (fd >= 0) {
            close(fd);
        }
    }
    free(block);
    return rc;
}

/* What is missing when all has been read, also at the ends and in files that never came. */
static void count_lost(struct checker *checker)
{
    const struct check_options *options = checker->options;

    for (uint32_t i = 0; i < options->files; i++) {
        if (options->lines > 0) {
            (void)stream_of(checker, options->first_file + i);
        } else if (checker->streams[options->first_file + i] == NULL) {
            checker->lost++;
            show(checker, "lost, the whole file", options->first_file + i, 0, 1);
        }
    }
    for (uint32_t file = 0; file < LINE_FILES_MAX; file++) {
        struct stream *stream = checker->streams[file];

        if (stream == NULL) {
            continue;
        }
        if (options->lines > 0 && stream->next < options->first + options->lines) {
            insert_range(stream, stream->missing_count, stream->next,
                         options->first + options->lines);
        }
        for (size_t i = 0; i < stream->missing_count; i++) {
            checker->lost += stream->missing[i].end - stream->missing[i].start;
            show(checker, "lost", file, stream->missing[i].start, stream->missing[i].end);
        }
    }
}

static void print_report(const struct checker *checker, double seconds)
{
    printf("{\"lines\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"files\":%" PRIu32 ",\"lost\":%" PRIu64
           ",\"repeated\":%" PRIu64 ",\"out_of_order\":%" PRIu64 ",\"damaged\":%" PRIu64
           ",\"foreign\":%" PRIu64,
           checker->lines, checker->bytes, checker->ids, checker->lost, checker->repeated,
           checker->disordered, checker->damaged, checker->foreign);
    if (checker->options->has_latency) {
        printf(
            ",\"latency_ms\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}",
            percentile_ms(checker, 0.5), percentile_ms(checker, 0.9), percentile_ms(checker, 0.99),
            percentile_ms(checker, 0.999), (double)checker->latency_us_max * 1e-3);
    }
    printf(",\"seconds\":%.3f}\n", seconds);
}

static void clean_up(struct checker *checker)
{
    for (uint32_t file = 0; file < LINE_FILES_MAX; file++) {
        if (checker->streams[file] != NULL) {
            free(checker->streams[file]->missing);
            free(checker->streams[file]);
        }
    }
    free(checker->streams);
    free(checker);
}

int check_lines(const struct check_options *options)
{
    struct checker *checker = calloc(1, sizeof *checker);
    int64_t start_us = wall_us();
    int rc;

    if (checker == NULL ||
        (checker->streams = calloc(LINE_FILES_MAX, sizeof(struct stream *))) == NULL) {
        free(checker);
        return fail("memory");
    }
    checker->options = options;
    rc = read_paths(checker);
    if (rc == 0) {
        count_lost(checker);
        print_report(checker, (double)(wall_us() - start_us) * 1e-6);
        rc = checker->lost != 0 || checker->repeated != 0 || checker->disordered != 0 ||
             checker->damaged != 0 || (checker->foreign != 0 && !options->is_foreign_fine);
    }
    clean_up(checker);
    return rc;
}
