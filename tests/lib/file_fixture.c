/* What happens to logs, in short words: see the header. */
#include "tests/lib/file_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/core/buffer.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "tests/lib/test.h"

extern const struct source_type source_type_file;

static void full(char path[512], const char *name)
{
    (void)snprintf(path, 512, "%s/%s", test_tmpdir(), name);
}

struct file_fixture *file_fixture_new(const char *pattern, const char *second)
{
    struct file_fixture *f = mr_calloc(1, sizeof *f);
    const char *given[2] = {pattern, second};
    size_t count = second == NULL ? 1 : 2;

    CHECK(f != NULL);
    f->fake = fake_source_host_new();
    f->options = fake_options_new(&source_type_file);
    f->directory = test_tmpdir();
    for (size_t i = 0; i < count; i++) {
        f->pattern_texts[i] = mr_asprintf("%s/%s", f->directory, given[i]);
        f->patterns[i] = f->pattern_texts[i];
    }
    f->options->paths.items = f->patterns;
    f->options->paths.count = count;
    f->options->exclude.items = f->excludes;
    return f;
}

struct file_fixture *file_fixture_reading(const char *pattern, const char *text, size_t events)
{
    struct file_fixture *f = file_fixture_new(pattern, NULL);

    put("a.log", text);
    file_fixture_start(f);
    fake_source_until_events(f->fake, events);
    return f;
}

void file_fixture_free(struct file_fixture *f)
{
    fake_source_host_free(f->fake);
    fake_options_free(f->options);
    for (size_t i = 0; i < 4; i++) {
        mr_free(f->pattern_texts[i]);
    }
    mr_free(f);
}

void file_fixture_start(struct file_fixture *f)
{
    fake_source_start(f->fake, &source_type_file, f->options);
}

void file_fixture_restart(struct file_fixture *f)
{
    fake_source_stop(f->fake);
    file_fixture_start(f);
}

void file_fixture_crash(struct file_fixture *f)
{
    fake_source_crash(f->fake);
    file_fixture_start(f);
}

static void write_all(const char *name, const void *data, size_t size, int flags)
{
    char path[512];
    int fd;

    full(path, name);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
    CHECK_GE(fd, 0);
    CHECK_EQ(write(fd, data, size), (ssize_t)size);
    CHECK_EQ(close(fd), 0);
}

static void write_text(const char *name, const char *text, int flags)
{
    write_all(name, text, strlen(text), flags);
}

void write_bytes(const char *name, const void *data, size_t size)
{
    write_all(name, data, size, O_TRUNC);
}

void put(const char *name, const char *text)
{
    write_text(name, text, O_TRUNC);
}

void append(const char *name, const char *text)
{
    write_text(name, text, O_APPEND);
}

void move(const char *from, const char *to)
{
    char old[512];
    char new[512];

    full(old, from);
    full(new, to);
    CHECK_EQ(rename(old, new), 0);
}

size_t read_whole(const char *name, char **ret_data)
{
    char path[512];
    struct stat stat_buffer;
    int fd;

    full(path, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK_GE(fd, 0);
    CHECK_EQ(fstat(fd, &stat_buffer), 0);
    *ret_data = mr_malloc((size_t)stat_buffer.st_size + 1);
    CHECK_EQ(read(fd, *ret_data, (size_t)stat_buffer.st_size), stat_buffer.st_size);
    (*ret_data)[stat_buffer.st_size] = 0;
    CHECK_EQ(close(fd), 0);
    return (size_t)stat_buffer.st_size;
}

void copy(const char *from, const char *to)
{
    char *data;

    (void)read_whole(from, &data);
    put(to, data);
    mr_free(data);
}

void cut(const char *name, long size)
{
    char path[512];

    full(path, name);
    CHECK_EQ(truncate(path, size), 0);
}

void gone(const char *name)
{
    char path[512];

    full(path, name);
    CHECK_EQ(unlink(path), 0);
}

void next_birth(void)
{
    char path[512];
    struct mr_disk_stat first = {0};
    struct mr_disk_stat stat;

    full(path, "tick");
    for (int i = 0; i < 1000000; i++) {
        put("tick", "");
        CHECK_EQ(mr_disk_stat(mr_disk_system(), path, &stat), 0);
        gone("tick");
        first = i == 0 ? stat : first;
        if (stat.born_us != first.born_us) {
            return;
        }
    }
}

void folder(const char *name)
{
    char path[512];

    full(path, name);
    CHECK_EQ(mkdir(path, 0755), 0);
}

void soft_link(const char *target, const char *name)
{
    char path[512];
    char to[512];

    full(path, name);
    full(to, target);
    CHECK_EQ(symlink(to, path), 0);
}

void compress_file(const char *from, const char *to)
{
    char path[512];
    char *data;
    size_t size = read_whole(from, &data);
    gzFile out;

    full(path, to);
    out = gzopen(path, "wb");
    CHECK(out != NULL);
    CHECK_EQ(gzwrite(out, data, (unsigned)size), size);
    CHECK_EQ(gzclose(out), Z_OK);
    mr_free(data);
}

unsigned long inode_of(const char *name)
{
    char path[512];
    struct stat stat_buffer;

    full(path, name);
    CHECK_EQ(stat(path, &stat_buffer), 0);
    return (unsigned long)stat_buffer.st_ino;
}

const char *texts(struct file_fixture *f)
{
    static char text[65536];
    size_t size = 0;

    text[0] = 0;
    for (size_t i = 0; i < f->fake->event_count; i++) {
        int n = snprintf(text + size, sizeof text - size, "%s|", f->fake->events[i].text);

        CHECK_LT(size + (size_t)n, sizeof text);
        size += (size_t)n;
    }
    return text;
}
