/* The real disk, whole files, and trees. */
#include "base/core/disk.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/memory.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/test.h"

enum { MANY_PARTS = 200 };

/* The real disk under the temporary directory of a fault disk, which cleans up. */
static struct mr_disk *real(void)
{
    return mr_disk_system();
}

/* More parts than one system call's window, some of them empty, written and read back in one call.
 */
TEST(disk, writes_and_reads_any_number_of_parts)
{
    struct fault_disk *place = fault_disk_new(1);
    const char *path = fault_disk_path(place, "parts");
    char data[MANY_PARTS * 3];
    char back[sizeof data + 10];
    struct iovec parts[MANY_PARTS];
    size_t size_bytes = 0;
    int fd = -1;

    for (int i = 0; i < MANY_PARTS; i++) {
        parts[i].iov_base = data + size_bytes;
        parts[i].iov_len = (size_t)(i % 4);
        memset(data + size_bytes, 'a' + i % 26, (size_t)(i % 4));
        size_bytes += (size_t)(i % 4);
    }
    CHECK_EQ(mr_disk_open(real(), path, MR_DISK_WRITE | MR_DISK_CREATE, &fd, NULL), 0);
    CHECK_EQ(mr_disk_pwritev(real(), fd, parts, MANY_PARTS, 5), 0);
    CHECK_EQ(mr_disk_pread(real(), fd, back, size_bytes, 5), (ssize_t)size_bytes);
    CHECK(memcmp(back, data, size_bytes) == 0);
    memset(data, 0, sizeof data);
    CHECK_EQ(mr_disk_preadv(real(), fd, parts, MANY_PARTS, 5), (ssize_t)size_bytes);
    CHECK(memcmp(back, data, size_bytes) == 0);
    CHECK_EQ(mr_disk_preadv_cached(real(), fd, parts, MANY_PARTS, 5), (ssize_t)size_bytes);
    /* Short at the end of the file only, and nothing behind it. */
    CHECK_EQ(mr_disk_pread(real(), fd, back, sizeof back, 10), (ssize_t)size_bytes - 5);
    CHECK_EQ(mr_disk_pread(real(), fd, back, sizeof back, 1 << 20), 0);
    mr_disk_close(real(), fd);
    fault_disk_free(place);
}

/* What was just written is in memory; what is behind the end of the file is not. Kernels that cannot
 * tell say so, and never guess. */
TEST(disk, tells_what_is_cached)
{
    struct fault_disk *place = fault_disk_new(1);
    struct mr_disk other = {real()->ops};
    static const uint8_t data[20000];
    struct mr_error error = {0};
    int fd;
    int rc;

    CHECK_EQ(mr_disk_open(real(), fault_disk_path(place, "file"), MR_DISK_WRITE | MR_DISK_CREATE,
                          &fd, &error),
             0);
    CHECK_EQ(mr_disk_pwrite(real(), fd, data, sizeof data, 0), 0);
    rc = mr_disk_is_cached(real(), fd, 5000, 15000);
    CHECK(rc == 1 || rc == MR_EUNSUPPORTED);
    rc = mr_disk_is_cached(real(), fd, 0, 1 << 20);
    CHECK(rc == 0 || rc == MR_EUNSUPPORTED);
    CHECK_EQ(mr_disk_is_cached(&other, fd, 0, 1), MR_EUNSUPPORTED);
    mr_disk_close(real(), fd);
    fault_disk_free(place);
}

TEST(disk, opens_as_its_flags_say)
{
    struct fault_disk *place = fault_disk_new(1);
    const char *path = fault_disk_path(place, "file");
    struct mr_error error = {0};
    struct mr_disk_stat stat;
    int fd = -1;

    CHECK_EQ(mr_disk_open(real(), path, MR_DISK_READ, &fd, &error), MR_ENOENT);
    CHECK_EQ(fd, -1);
    CHECK(strstr(error.text, path) != NULL);
    CHECK_EQ(mr_disk_open(real(), path, MR_DISK_WRITE | MR_DISK_CREATE, &fd, NULL), 0);
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CHECK_EQ(mr_disk_pwrite(real(), fd, "12345", 5, 0), 0);
    CHECK_EQ(mr_disk_preallocate(real(), fd, 1 << 16), 0);
    CHECK_EQ(mr_disk_start_writeback(real(), fd, 0, 5), 0);
    CHECK_EQ(mr_disk_fsync(real(), fd), 0);
    CHECK_EQ(mr_disk_fstat(real(), fd, &stat), 0);
    CHECK_EQ(stat.size_bytes, 5); /* preallocation does not show */
    CHECK(stat.is_regular && !stat.is_directory);
    CHECK_EQ(mr_disk_truncate(real(), fd, 2), 0);
    mr_disk_close(real(), fd);
    CHECK_EQ(mr_disk_stat(real(), path, &stat), 0);
    CHECK_EQ(stat.size_bytes, 2);
    CHECK_EQ(
        mr_disk_open(real(), path, MR_DISK_WRITE | MR_DISK_CREATE | MR_DISK_EXCLUSIVE, &fd, NULL),
        MR_EEXIST);
    CHECK_EQ(mr_disk_open(real(), path, MR_DISK_WRITE | MR_DISK_TRUNCATE, &fd, NULL), 0);
    CHECK_EQ(mr_disk_fstat(real(), fd, &stat), 0);
    CHECK_EQ(stat.size_bytes, 0);
    mr_disk_close(real(), fd);
    fault_disk_free(place);
}

/* A child takes the lock and is killed while it holds it. */
TEST(disk, refuses_a_second_lock_until_the_first_process_is_killed)
{
    struct fault_disk *place = fault_disk_new(1);
    const char *path = fault_disk_path(place, "lock");
    int ready[2];
    int fd = -1;
    char byte;
    pid_t child;

    CHECK_EQ(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        int rc = mr_disk_open(real(), path, MR_DISK_WRITE | MR_DISK_CREATE, &fd, NULL);

        rc = rc != 0 ? rc : mr_disk_lock(real(), fd);
        byte = rc == 0 ? 'y' : 'n';
        (void)!write(ready[1], &byte, 1);
        for (;;) {
            (void)pause();
        }
    }
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    CHECK_EQ(byte, 'y');
    CHECK_EQ(mr_disk_open(real(), path, MR_DISK_WRITE, &fd, NULL), 0);
    CHECK_EQ(mr_disk_lock(real(), fd), MR_EBUSY);
    CHECK_EQ(kill(child, SIGKILL), 0);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    CHECK_EQ(mr_disk_lock(real(), fd), 0);
    {
        int second = -1;

        CHECK_EQ(mr_disk_open(real(), path, MR_DISK_WRITE, &second, NULL), 0);
        CHECK_EQ(mr_disk_lock(real(), second), MR_EBUSY); /* also in one process */
        mr_disk_close(real(), second);
        CHECK_EQ(mr_disk_open(real(), path, MR_DISK_WRITE, &second, NULL), 0);
        CHECK_EQ(mr_disk_lock(real(), second), MR_EBUSY); /* that close has dropped nothing */
        mr_disk_close(real(), second);
    }
    mr_disk_close(real(), fd);
    (void)close(ready[0]);
    (void)close(ready[1]);
    fault_disk_free(place);
}

static int on_entry_count(void *owner, const char *name)
{
    int *count = owner;

    (void)name;
    (*count)++;
    return *count == 3 ? MR_ECANCELED : 0;
}

TEST(disk, lists_until_told_to_stop)
{
    struct fault_disk *place = fault_disk_new(1);
    const char *root = fault_disk_root(place);
    int count = 0;

    CHECK_EQ(mr_disk_list(real(), fault_disk_path(place, "absent"), on_entry_count, &count),
             MR_ENOENT);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(mr_disk_mkdir(real(), fault_disk_path(place, "d%d", i), 0750), 0);
    }
    CHECK_EQ(mr_disk_list(real(), root, on_entry_count, &count), 0);
    CHECK_EQ(count, 2);
    CHECK_EQ(mr_disk_list(real(), root, on_entry_count, &count), MR_ECANCELED);
    fault_disk_free(place);
}

TEST(disk, makes_directories_with_their_parents)
{
    struct fault_disk *place = fault_disk_new(1);
    struct mr_error error = {0};
    struct mr_disk_stat stat;
    int fd = -1;

    CHECK_EQ(mr_disk_make_directories(&place->base, fault_disk_path(place, "a/b//c/"), 0750, NULL),
             0);
    CHECK_EQ(mr_disk_stat(real(), fault_disk_path(place, "a/b/c"), &stat), 0);
    CHECK(stat.is_directory);
    CHECK_EQ(mr_disk_make_directories(&place->base, fault_disk_path(place, "a/b/c"), 0750, NULL),
             0);
    fault_disk_power_loss(place);
    CHECK_EQ(mr_disk_stat(real(), fault_disk_path(place, "a/b/c"), &stat), 0);
    CHECK_EQ(mr_disk_open(real(), fault_disk_path(place, "a/file"), MR_DISK_WRITE | MR_DISK_CREATE,
                          &fd, NULL),
             0);
    mr_disk_close(real(), fd);
    CHECK_EQ(mr_disk_make_directories(real(), fault_disk_path(place, "a/file"), 0750, &error),
             MR_EEXIST);
    CHECK(mr_disk_make_directories(real(), fault_disk_path(place, "a/file/x"), 0750, &error) != 0);
    CHECK(strstr(error.text, "a/file") != NULL);
    fault_disk_free(place);
}

/* A link to a directory outside of the tree is removed, what it points to stays. */
TEST(disk, removes_a_tree_and_follows_no_links)
{
    struct fault_disk *place = fault_disk_new(1);
    struct mr_disk_stat stat;
    int fd = -1;

    CHECK_EQ(mr_disk_make_directories(real(), fault_disk_path(place, "tree/x/y"), 0750, NULL), 0);
    CHECK_EQ(mr_disk_make_directories(real(), fault_disk_path(place, "outside"), 0750, NULL), 0);
    CHECK_EQ(mr_disk_open(real(), fault_disk_path(place, "outside/kept"),
                          MR_DISK_WRITE | MR_DISK_CREATE, &fd, NULL),
             0);
    mr_disk_close(real(), fd);
    CHECK_EQ(symlink(fault_disk_path(place, "outside"), fault_disk_path(place, "tree/x/link")), 0);
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(mr_disk_open(real(), fault_disk_path(place, "tree/x/y/%d", i),
                              MR_DISK_WRITE | MR_DISK_CREATE, &fd, NULL),
                 0);
        mr_disk_close(real(), fd);
    }
    CHECK_EQ(mr_disk_remove_tree(real(), fault_disk_path(place, "tree"), NULL), 0);
    CHECK_EQ(mr_disk_stat(real(), fault_disk_path(place, "tree"), &stat), MR_ENOENT);
    CHECK_EQ(mr_disk_stat(real(), fault_disk_path(place, "outside/kept"), &stat), 0);
    CHECK_EQ(mr_disk_remove_tree(real(), fault_disk_path(place, "tree"), NULL), 0);
    fault_disk_free(place);
}

TEST(disk, reads_small_files_up_to_a_limit)
{
    struct fault_disk *place = fault_disk_new(1);
    const char *path = fault_disk_path(place, "small");
    struct mr_error error = {0};
    char *data = NULL;
    size_t size_bytes = 0;

    CHECK_EQ(mr_disk_write_file(real(), path, "hello", 5, NULL), 0);
    CHECK_EQ(mr_disk_read_file(real(), path, 5, &data, &size_bytes, NULL), 0);
    CHECK_EQ(size_bytes, 5u);
    CHECK(strcmp(data, "hello") == 0);
    mr_free(data);
    data = NULL;
    CHECK_EQ(mr_disk_read_file(real(), path, 4, &data, &size_bytes, &error), MR_ETOOLARGE);
    CHECK_EQ(mr_disk_read_file(real(), fault_disk_root(place), 5, &data, &size_bytes, &error),
             MR_EINVAL);
    CHECK(data == NULL);
    CHECK_EQ(mr_disk_write_file(real(), path, "", 0, NULL), 0);
    CHECK_EQ(mr_disk_read_file(real(), path, 4, &data, &size_bytes, NULL), 0);
    CHECK_EQ(size_bytes, 0u);
    mr_free(data);
    fault_disk_free(place);
}

static bool file_is(struct fault_disk *disk, const char *expected)
{
    char *data = NULL;
    size_t size_bytes = 0;
    bool same;

    if (mr_disk_read_file(&disk->base, fault_disk_path(disk, "state"), 100, &data, &size_bytes,
                          NULL) != 0) {
        return false;
    }
    same = strcmp(data, expected) == 0;
    mr_free(data);
    return same;
}

/* Goal: old or new, never a mixture, and new once the call has said 0.
 * Method: cut the power at each change in turn, for several seeds, and look. */
TEST(disk, replaces_a_file_whole_or_not_at_all_when_power_is_lost)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        for (int nth = 1;; nth++) {
            struct fault_disk *disk = fault_disk_new(seed);
            const char *path = fault_disk_path(disk, "state");
            bool fired;
            int rc;

            disk->loss = DISK_LOSES_BY_SEED;
            CHECK_EQ(mr_disk_write_file(&disk->base, path, "the old one", 11, NULL), 0);
            fault_set(&disk->faults[DISK_POWER], nth, MR_EIO);
            rc = mr_disk_write_file(&disk->base, path, "new", 3, NULL);
            fired = fault_fired(&disk->faults[DISK_POWER]);
            CHECK_EQ(rc == 0, !fired);
            fault_disk_power_loss(disk);
            CHECK(file_is(disk, "new") || (rc != 0 && file_is(disk, "the old one")));
            fault_disk_free(disk);
            if (!fired) {
                break;
            }
        }
    }
}

/* The same for single failures without power loss, and no descriptor is left open (the double would
 * abort): the old content stays until the rename. */
TEST(disk, keeps_the_old_file_when_writing_the_new_one_fails)
{
    for (int nth = 1;; nth++) {
        struct fault_disk *disk = fault_disk_new(3);
        const char *path = fault_disk_path(disk, "state");
        struct mr_error error = {0};
        bool fired;
        int rc;

        CHECK_EQ(mr_disk_write_file(&disk->base, path, "old", 3, NULL), 0);
        fault_set(&disk->faults[DISK_ANY], nth, MR_ENOSPC);
        rc = mr_disk_write_file(&disk->base, path, "new", 3, &error);
        fired = fault_fired(&disk->faults[DISK_ANY]);
        fault_disk_heal(disk);
        CHECK_EQ(rc, fired ? MR_ENOSPC : 0);
        CHECK(rc == 0 || error.code == MR_ENOSPC);
        CHECK(file_is(disk, "new") || (rc != 0 && file_is(disk, "old")));
        fault_disk_free(disk);
        if (!fired) {
            break;
        }
    }
}
