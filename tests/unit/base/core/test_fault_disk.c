/* The double itself: a test that trusts it must not be fooled by it. */
#include "tests/lib/fault_disk.h"

#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/memory.h"
#include "tests/lib/test.h"

static int create(struct fault_disk *disk, const char *name)
{
    int fd = -1;
    int rc = mr_disk_open(&disk->base, fault_disk_path(disk, "%s", name),
                          MR_DISK_WRITE | MR_DISK_CREATE, &fd, NULL);

    CHECK_EQ(rc, 0);
    return fd;
}

static void put(struct fault_disk *disk, int fd, const char *text, int64_t offset)
{
    CHECK_EQ(mr_disk_pwrite(&disk->base, fd, text, strlen(text), offset), 0);
}

static bool is(struct fault_disk *disk, const char *name, const char *expected)
{
    char *data = NULL;
    size_t size_bytes = 0;
    bool same;

    if (mr_disk_read_file(&disk->base, fault_disk_path(disk, "%s", name), 1 << 20, &data,
                          &size_bytes, NULL) != 0) {
        return expected == NULL;
    }
    same = expected != NULL && size_bytes == strlen(expected) && strcmp(data, expected) == 0;
    mr_free(data);
    return same;
}

static void sync_names(struct fault_disk *disk)
{
    CHECK_EQ(mr_disk_fsync_directory(&disk->base, fault_disk_root(disk)), 0);
}

/* Appends, overwrites and truncations after the fsync are all taken back. */
TEST(fault_disk, brings_files_back_to_their_last_fsync)
{
    struct fault_disk *disk = fault_disk_new(1);
    int fd = create(disk, "f");

    put(disk, fd, "0123456789", 0);
    CHECK_EQ(mr_disk_fsync(&disk->base, fd), 0);
    sync_names(disk);
    put(disk, fd, "abc", 10);
    put(disk, fd, "XY", 2);
    CHECK_EQ(mr_disk_truncate(&disk->base, fd, 4), 0);
    put(disk, fd, "far", 20);
    CHECK_EQ(mr_disk_truncate(&disk->base, fd, 30), 0);
    fault_disk_power_loss(disk);
    CHECK_EQ(mr_disk_pwrite(&disk->base, fd, "late", 4, 0), MR_EIO);
    CHECK_EQ(mr_disk_fsync(&disk->base, fd), MR_EIO);
    mr_disk_close(&disk->base, fd);
    CHECK(is(disk, "f", "0123456789"));
    CHECK_EQ(disk->used_bytes, 10);
    fault_disk_free(disk);
}

/* A new name is gone without an fsync of the directory, even when the file itself was fsynced. */
TEST(fault_disk, loses_names_that_were_not_fsynced)
{
    struct fault_disk *disk = fault_disk_new(1);
    int kept = create(disk, "kept");
    int moved = create(disk, "moved");
    int removed = create(disk, "removed");
    int lost;

    put(disk, kept, "kept", 0);
    put(disk, moved, "moved", 0);
    put(disk, removed, "removed", 0);
    CHECK_EQ(mr_disk_fsync(&disk->base, kept), 0);
    CHECK_EQ(mr_disk_fsync(&disk->base, moved), 0);
    CHECK_EQ(mr_disk_fsync(&disk->base, removed), 0);
    sync_names(disk);
    lost = create(disk, "lost");
    put(disk, lost, "lost", 0);
    CHECK_EQ(mr_disk_fsync(&disk->base, lost), 0);
    CHECK_EQ(
        mr_disk_rename(&disk->base, fault_disk_path(disk, "moved"), fault_disk_path(disk, "kept")),
        0);
    CHECK_EQ(mr_disk_unlink(&disk->base, fault_disk_path(disk, "removed")), 0);
    CHECK(is(disk, "kept", "moved"));
    CHECK(is(disk, "removed", NULL));
    fault_disk_power_loss(disk);
    mr_disk_close(&disk->base, kept);
    mr_disk_close(&disk->base, moved);
    mr_disk_close(&disk->base, removed);
    mr_disk_close(&disk->base, lost);
    CHECK(is(disk, "kept", "kept"));
    CHECK(is(disk, "moved", "moved"));
    CHECK(is(disk, "removed", "removed"));
    CHECK(is(disk, "lost", NULL));
    fault_disk_free(disk);
}

/* Directories are renamed and removed with changes pending inside and around them. */
TEST(fault_disk, takes_back_changes_inside_a_moved_directory)
{
    struct fault_disk *disk = fault_disk_new(1);
    struct mr_disk_stat stat;
    int fd;

    CHECK_EQ(mr_disk_make_directories(&disk->base, fault_disk_path(disk, "d"), 0750, NULL), 0);
    fd = create(disk, "d/old");
    mr_disk_close(&disk->base, fd);
    CHECK_EQ(mr_disk_fsync_directory(&disk->base, fault_disk_path(disk, "d")), 0);
    fd = create(disk, "d/new");
    mr_disk_close(&disk->base, fd);
    CHECK_EQ(mr_disk_unlink(&disk->base, fault_disk_path(disk, "d/old")), 0);
    CHECK_EQ(mr_disk_rename(&disk->base, fault_disk_path(disk, "d"), fault_disk_path(disk, "e")),
             0);
    CHECK_EQ(mr_disk_rmdir(&disk->base, fault_disk_path(disk, "e")), MR_EEXIST);
    sync_names(disk); /* the move is safe; what happened inside is not */
    fault_disk_power_loss(disk);
    CHECK_EQ(mr_disk_stat(&disk->base, fault_disk_path(disk, "d"), &stat), MR_ENOENT);
    CHECK(is(disk, "e/old", ""));
    CHECK(is(disk, "e/new", NULL));
    CHECK_EQ(mr_disk_remove_tree(&disk->base, fault_disk_path(disk, "e"), NULL), 0);
    CHECK_EQ(mr_disk_stat(&disk->base, fault_disk_path(disk, "e"), &stat), MR_ENOENT);
    fault_disk_power_loss(disk); /* the removal was not fsynced */
    CHECK(is(disk, "e/old", ""));
    fault_disk_free(disk);
}

/* A move between two directories is one thing: syncing either end makes it safe, with all that it
 * stands on. */
TEST(fault_disk, keeps_moves_between_directories_whole)
{
    struct fault_disk *disk = fault_disk_new(1);
    int fd;

    CHECK_EQ(mr_disk_make_directories(&disk->base, fault_disk_path(disk, "a"), 0750, NULL), 0);
    CHECK_EQ(mr_disk_make_directories(&disk->base, fault_disk_path(disk, "b"), 0750, NULL), 0);
    fd = create(disk, "a/f");
    put(disk, fd, "f", 0);
    CHECK_EQ(mr_disk_fsync(&disk->base, fd), 0);
    mr_disk_close(&disk->base, fd);
    CHECK_EQ(
        mr_disk_rename(&disk->base, fault_disk_path(disk, "a/f"), fault_disk_path(disk, "b/f")), 0);
    CHECK_EQ(mr_disk_fsync_directory(&disk->base, fault_disk_path(disk, "b")), 0);
    fault_disk_power_loss(disk);
    CHECK(is(disk, "a/f", NULL));
    CHECK(is(disk, "b/f", "f"));
    fault_disk_free(disk);
}

/* As on Linux: the pages of a failed fsync count as clean, so a second one that succeeds has saved
 * nothing. */
TEST(fault_disk, does_not_let_a_second_fsync_mend_a_failed_one)
{
    struct fault_disk *disk = fault_disk_new(1);
    int fd = create(disk, "f");

    sync_names(disk);
    put(disk, fd, "unlucky", 0);
    fault_set(&disk->faults[DISK_FSYNC], 1, MR_EIO);
    CHECK_EQ(mr_disk_fsync(&disk->base, fd), MR_EIO);
    CHECK_EQ(mr_disk_fsync(&disk->base, fd), 0);
    fault_disk_power_loss(disk);
    mr_disk_close(&disk->base, fd);
    CHECK(is(disk, "f", ""));
    fault_disk_free(disk);
}

/* Property: with losses by seed the fsynced part always stays, and what is found of the rest was
 * written there, or is a hole. All three of nothing, a part and everything must be seen. */
TEST(fault_disk, loses_any_part_of_what_was_not_fsynced)
{
    int seen_none = 0;
    int seen_part = 0;
    int seen_all = 0;

    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct fault_disk *disk = fault_disk_new(seed);
        int fd = create(disk, "f");
        char *data = NULL;
        size_t size_bytes = 0;

        disk->loss = DISK_LOSES_BY_SEED;
        put(disk, fd, "safe", 0);
        CHECK_EQ(mr_disk_fsync(&disk->base, fd), 0);
        sync_names(disk);
        put(disk, fd, "aaaa", 4);
        put(disk, fd, "bbbb", 8);
        put(disk, fd, "cccc", 12);
        fault_disk_power_loss(disk);
        mr_disk_close(&disk->base, fd);
        CHECK_EQ(mr_disk_read_file(&disk->base, fault_disk_path(disk, "f"), 100, &data, &size_bytes,
                                   NULL),
                 0);
        CHECK(size_bytes >= 4 && size_bytes <= 16);
        CHECK(memcmp(data, "safe", 4) == 0);
        for (size_t i = 4; i < size_bytes; i++) {
            CHECK(data[i] == "aaaabbbbcccc"[i - 4] || data[i] == '\0');
        }
        seen_none += size_bytes == 4 ? 1 : 0;
        seen_all += size_bytes == 16 && strcmp(data, "safeaaaabbbbcccc") == 0 ? 1 : 0;
        seen_part += size_bytes > 4 && size_bytes < 16 ? 1 : 0;
        mr_free(data);
        fault_disk_free(disk);
    }
    CHECK(seen_none > 0);
    CHECK(seen_part > 0);
    CHECK(seen_all > 0);
}

TEST(fault_disk, fills_up)
{
    struct fault_disk *disk = fault_disk_new(1);
    int64_t free_bytes = -1;
    int fd = create(disk, "f");

    disk->limit_bytes = 10;
    put(disk, fd, "12345678", 0);
    CHECK_EQ(mr_disk_free_space(&disk->base, fault_disk_root(disk), &free_bytes), 0);
    CHECK_EQ(free_bytes, 2);
    CHECK_EQ(mr_disk_pwrite(&disk->base, fd, "9abc", 4, 8), MR_ENOSPC);
    CHECK(is(disk, "f", "123456789a")); /* as much as found room */
    put(disk, fd, "over", 0);           /* needs none */
    CHECK_EQ(mr_disk_preallocate(&disk->base, fd, 20), MR_ENOSPC);
    CHECK_EQ(mr_disk_truncate(&disk->base, fd, 4), 0);
    put(disk, fd, "more", 4);
    mr_disk_close(&disk->base, fd);
    CHECK_EQ(disk->used_bytes, 8);
    CHECK_EQ(mr_disk_unlink(&disk->base, fault_disk_path(disk, "f")), 0);
    CHECK_EQ(disk->used_bytes, 0);
    fault_disk_free(disk);
}

TEST(fault_disk, fails_the_nth_call_and_those_after_it)
{
    struct fault_disk *disk = fault_disk_new(1);
    int fd = create(disk, "f");
    int failed = 0;

    disk->faults[DISK_WRITE] = (struct fault){.nth = 3, .more = 1, .code = MR_EIO};
    for (int i = 1; i <= 6; i++) {
        int rc = mr_disk_pwrite(&disk->base, fd, "x", 1, i);

        CHECK_EQ(rc, i == 3 || i == 4 ? MR_EIO : 0);
        failed += rc != 0 ? 1 : 0;
    }
    CHECK_EQ(failed, 2);
    CHECK(fault_fired(&disk->faults[DISK_WRITE]));
    CHECK_EQ(disk->calls[DISK_WRITE], 6);
    CHECK_EQ(disk->calls[DISK_FSYNC], 0);
    mr_disk_close(&disk->base, fd);
    fault_disk_free(disk);
}

/* After the cut nothing reaches the disk and nothing is read, until the power is back. */
TEST(fault_disk, stays_off_after_a_power_cut)
{
    struct fault_disk *disk = fault_disk_new(1);
    int fd = create(disk, "f");
    int other = -1;

    put(disk, fd, "safe", 0);
    CHECK_EQ(mr_disk_fsync(&disk->base, fd), 0);
    sync_names(disk);
    fault_set(&disk->faults[DISK_POWER], 2, MR_EIO);
    put(disk, fd, "lost", 4);
    CHECK_EQ(mr_disk_fsync(&disk->base, fd), MR_EIO);
    CHECK_EQ(mr_disk_pwrite(&disk->base, fd, "never", 5, 4), MR_EIO);
    CHECK_EQ(mr_disk_open(&disk->base, fault_disk_path(disk, "g"), MR_DISK_WRITE | MR_DISK_CREATE,
                          &other, NULL),
             MR_EIO);
    CHECK_EQ(mr_disk_unlink(&disk->base, fault_disk_path(disk, "f")), MR_EIO);
    mr_disk_close(&disk->base, fd);
    fault_disk_power_loss(disk);
    CHECK(is(disk, "f", "safe"));
    CHECK(is(disk, "g", NULL));
    fault_disk_free(disk);
}

TEST(fault_disk, has_descriptors_that_the_kernel_can_send)
{
    struct fault_disk *disk = fault_disk_new(1);
    int fd = create(disk, "f");
    char back[5] = {0};
    int ends[2];
    off_t offset = 1;

    put(disk, fd, "hello", 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    CHECK_EQ(sendfile(ends[1], fd, &offset, 4), 4);
    CHECK_EQ(read(ends[0], back, 4), 4);
    CHECK(strcmp(back, "ello") == 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
    mr_disk_close(&disk->base, fd);
    fault_disk_free(disk);
}
