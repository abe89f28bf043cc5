/* The writer: rounds over the files, a chunk of lines for each, one write(2) per chunk. Lines are
 * never split between writes, so a copytruncate between two writes loses nothing on this side. */
#include "tests/bench/loggen_write.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/loggen_line.h"

enum {
    CHUNK_BYTES = 256 << 10,
    TICK_US = 1000,      /* with a rate: how often lines are written */
    OPEN_MAX_KEPT = 512, /* with more files each is opened for its chunk only */
};

struct output {
    char *path;
    uint64_t next;
    uint64_t since_rotation;
    uint32_t rotations;
    int fd; /* -1: closed between chunks */
};

struct writer {
    const struct write_options *options;
    struct line_maker maker;
    struct output *outputs;
    char *chunk;
    uint64_t lines;
    uint64_t bytes;
    uint64_t rotations;
};

static int fail(const char *what)
{
    fprintf(stderr, "millrace_lines: %s: %s\n", what, strerror(errno));
    return 1;
}

static int64_t now_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* path with the first "{file}" replaced. */
static char *path_of(const char *path, uint32_t file)
{
    const char *hole = strstr(path, "{file}");
    char *text = NULL;

    if (hole == NULL) {
        return strdup(path);
    }
    if (asprintf(&text, "%.*s%" PRIu32 "%s", (int)(hole - path), path, file, hole + 6) < 0) {
        return NULL;
    }
    return text;
}

static int output_open(struct writer *writer, struct output *output, bool is_first)
{
    bool is_fresh = is_first && !writer->options->is_appending;

    if (strcmp(output->path, "-") == 0) {
        output->fd = STDOUT_FILENO;
        return 0;
    }
    output->fd = open(output->path,
                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (is_fresh ? O_TRUNC : 0), 0644);
    return output->fd < 0 ? fail(output->path) : 0;
}

static int write_all(struct output *output, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(output->fd, data, size);

        if (n < 0 && errno != EINTR) {
            return fail(output->path);
        }
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

static void rotated_name(const struct output *output, uint32_t number, char name[PATH_MAX])
{
    (void)snprintf(name, PATH_MAX, "%s.%" PRIu32, output->path, number);
}

/* x.2 -> x.3, x.1 -> x.2, as logrotate does; what is beyond `keep` goes. */
static int shift_rotated(struct writer *writer, struct output *output)
{
    uint32_t keep = writer->options->keep;
    uint32_t last = output->rotations;
    char from[PATH_MAX];
    char to[PATH_MAX];

    if (keep != 0 && last >= keep) {
        rotated_name(output, keep, from);
        if (unlink(from) != 0) {
            return fail(from);
        }
        last = keep - 1;
    }
    for (uint32_t i = last; i > 0; i--) {
        rotated_name(output, i, from);
        rotated_name(output, i + 1, to);
        if (rename(from, to) != 0) {
            return fail(from);
        }
    }
    output->rotations = last + 1;
    return 0;
}

static int copy_and_truncate(struct output *output, const char *copy)
{
    int from = open(output->path, O_RDONLY | O_CLOEXEC);
    int to = open(copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t n = 1;

    while (from >= 0 && to >= 0 && n > 0) {
        n = sendfile(to, from, NULL, 1 << 20);
    }
    if (from < 0 || to < 0 || n < 0 || ftruncate(output->fd, 0) != 0) {
        n = -1;
        (void)fail(copy);
    }
    if (from >= 0) {
        close(from);
    }
    if (to >= 0) {
        close(to);
    }
    return n < 0 ? 1 : 0;
}

static int rotate(struct writer *writer, struct output *output)
{
    char first[PATH_MAX];

    if (shift_rotated(writer, output) != 0) {
        return 1;
    }
    rotated_name(output, 1, first);
    output->since_rotation = 0;
    writer->rotations++;
    if (writer->options->rotation == ROTATION_COPYTRUNCATE) {
        return copy_and_truncate(output, first);
    }
    if (rename(output->path, first) != 0) {
        return fail(output->path);
    }
    close(output->fd);
    return output_open(writer, output, false);
}

/* How many lines may be written before this file's end or next rotation. */
static uint64_t lines_left(const struct writer *writer, const struct output *output)
{
    const struct write_options *options = writer->options;
    uint64_t left = options->first + options->lines - output->next;

    if (options->rotation != ROTATION_NONE) {
        uint64_t until = options->rotate_lines - output->since_rotation;

        left = left < until ? left : until;
    }
    return left;
}

/* Writes up to `count` lines, as many as fit a chunk and come before a rotation. */
static int write_chunk(struct writer *writer, struct output *output, uint64_t count,
                       uint64_t *ret_written)
{
    const struct write_options *options = writer->options;
    uint32_t file = options->first_file + (uint32_t)(output - writer->outputs);
    uint64_t end = options->first + options->lines;
    uint64_t left = lines_left(writer, output);
    int64_t time_us = now_us(CLOCK_REALTIME);
    size_t size = 0;
    uint64_t made = 0;

    count = count < left ? count : left;
    while (made < count && size + LINE_SIZE_MAX < CHUNK_BYTES) {
        size += line_make(&writer->maker, file, output->next, output->next + 1 == end, time_us,
                          writer->chunk + size);
        output->next++;
        made++;
    }
    if (output->fd < 0 && output_open(writer, output, output->next == options->first + made) != 0) {
        return 1;
    }
    if (write_all(output, writer->chunk, size) != 0) {
        return 1;
    }
    output->since_rotation += made;
    writer->lines += made;
    writer->bytes += size;
    *ret_written = made;
    if (options->rotation != ROTATION_NONE && output->since_rotation == options->rotate_lines &&
        output->next < end && rotate(writer, output) != 0) {
        return 1;
    }
    if (options->files > OPEN_MAX_KEPT) {
        close(output->fd);
        output->fd = -1;
    }
    return 0;
}

/* Round after round a chunk for each file, until all are full. */
static int write_at_full_speed(struct writer *writer)
{
    uint64_t written = 1;

    for (uint64_t round = 1; round != 0;) {
        round = 0;
        for (uint32_t i = 0; i < writer->options->files; i++) {
            struct output *output = &writer->outputs[i];

            if (lines_left(writer, output) == 0) {
                continue;
            }
            if (write_chunk(writer, output, UINT64_MAX, &written) != 0) {
                return 1;
            }
            round += written;
        }
    }
    return 0;
}

/* Each tick writes what is due by then, one line for each file in turn. */
static int write_at_rate(struct writer *writer)
{
    const struct write_options *options = writer->options;
    uint64_t total = options->lines * options->files;
    int64_t start_us = now_us(CLOCK_MONOTONIC);
    uint32_t turn = 0;

    while (writer->lines < total) {
        double passed = (double)(now_us(CLOCK_MONOTONIC) - start_us + TICK_US) * 1e-6;
        uint64_t due = (uint64_t)(passed * options->rate);
        uint64_t each;

        due = due < total ? due : total;
        each = due > writer->lines ? (due - writer->lines) / options->files : 0;
        each = each == 0 ? 1 : each;
        while (writer->lines < due) {
            struct output *output = &writer->outputs[turn++ % options->files];
            uint64_t want = due - writer->lines < each ? due - writer->lines : each;
            uint64_t written;

            if (lines_left(writer, output) > 0 &&
                write_chunk(writer, output, want, &written) != 0) {
                return 1;
            }
        }
        if (writer->lines < total) {
            struct timespec tick = {0, TICK_US * 1000};

            (void)nanosleep(&tick, NULL);
        }
    }
    return 0;
}

static int prepare(struct writer *writer)
{
    const struct write_options *options = writer->options;

    writer->outputs = calloc(options->files, sizeof *writer->outputs);
    writer->chunk = malloc(CHUNK_BYTES);
    if (writer->outputs == NULL || writer->chunk == NULL ||
        line_maker_init(&writer->maker, options->size_average) != 0) {
        return fail("memory");
    }
    for (uint32_t i = 0; i < options->files; i++) {
        struct output *output = &writer->outputs[i];

        output->path = path_of(options->path, options->first_file + i);
        output->next = options->first;
        output->fd = -1;
        if (output->path == NULL) {
            return fail("memory");
        }
    }
    return 0;
}

static void clean_up(struct writer *writer)
{
    for (uint32_t i = 0; writer->outputs != NULL && i < writer->options->files; i++) {
        if (writer->outputs[i].fd >= 0) {
            close(writer->outputs[i].fd);
        }
        free(writer->outputs[i].path);
    }
    free(writer->outputs);
    free(writer->chunk);
    line_maker_done(&writer->maker);
}

int write_lines(const struct write_options *options)
{
    struct writer writer = {.options = options};
    int64_t start_us = now_us(CLOCK_MONOTONIC);
    int rc = prepare(&writer);

    if (rc == 0) {
        rc = options->rate > 0 ? write_at_rate(&writer) : write_at_full_speed(&writer);
    }
    if (rc == 0) {
        double seconds = (double)(now_us(CLOCK_MONOTONIC) - start_us) * 1e-6;

        fprintf(stderr,
                "{\"lines\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"files\":%" PRIu32
                ",\"rotations\":%" PRIu64 ",\"seconds\":%.3f,\"mb_per_s\":%.1f}\n",
                writer.lines, writer.bytes, options->files, writer.rotations, seconds,
                (double)writer.bytes / seconds / 1e6);
    }
    clean_up(&writer);
    return rc;
}
