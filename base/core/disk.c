/* The real disk: system calls, made whole. Interrupted calls are repeated, short reads and writes
 * completed, and every descriptor is closed on exec. */
#include "base/core/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { IOV_WINDOW = 64 };

/* errno of the last call as one of our codes. */
static int last_code(void)
{
    return mr_code_of_errno(errno);
}

static int system_open(struct mr_disk *disk, const char *path, int flags, mode_t mode, int *ret_fd)
{
    int kernel_flags = O_CLOEXEC | ((flags & MR_DISK_WRITE) != 0 ? O_RDWR : O_RDONLY);
    int fd;

    (void)disk;
    kernel_flags |= (flags & MR_DISK_CREATE) != 0 ? O_CREAT : 0;
    kernel_flags |= (flags & MR_DISK_EXCLUSIVE) != 0 ? O_EXCL : 0;
    kernel_flags |= (flags & MR_DISK_TRUNCATE) != 0 ? O_TRUNC : 0;
    do {
        fd = open(path, kernel_flags, mode);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return last_code();
    }
    *ret_fd = fd;
    return 0;
}

static void system_close(struct mr_disk *disk, int fd)
{
    (void)disk;
    (void)close(fd); /* what had to be on the disk was fsynced; EINTR closes too on Linux */
}

/* What is left of `parts` behind `skip` bytes, as far as the window goes; how many entries. */
static int window_fill(struct iovec window[IOV_WINDOW], const struct iovec *parts, int count,
                       size_t skip)
{
    int used = 0;

    for (int i = 0; i < count && used < IOV_WINDOW; i++) {
        if (skip >= parts[i].iov_len) {
            skip -= parts[i].iov_len;
            continue;
        }
        window[used].iov_base = (char *)parts[i].iov_base + skip;
        window[used].iov_len = parts[i].iov_len - skip;
        skip = 0;
        used++;
    }
    return used;
}

/* Reads until all is filled or the file ends. */
static ssize_t read_whole(int fd, const struct iovec *parts, int count, int64_t offset, int flags)
{
    struct iovec window[IOV_WINDOW];
    size_t done = 0;

    for (;;) {
        int used = window_fill(window, parts, count, done);
        ssize_t got;

        if (used == 0) {
            return (ssize_t)done;
        }
        got = flags != 0 ? preadv2(fd, window, used, offset + (off_t)done, flags)
                         : preadv(fd, window, used, offset + (off_t)done);
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0) {
            return (ssize_t)done;
        } else if (errno == EOPNOTSUPP || errno == ENOSYS) {
            if (flags == 0) {
                return last_code();
            }
            flags = 0; /* this file system cannot tell whether it would wait */
        } else if (errno != EINTR) {
            return last_code();
        }
    }
}

static ssize_t system_preadv(struct mr_disk *disk, int fd, const struct iovec *parts, int count,
                             int64_t offset)
{
    (void)disk;
    return read_whole(fd, parts, count, offset, 0);
}

static ssize_t system_preadv_cached(struct mr_disk *disk, int fd, const struct iovec *parts,
                                    int count, int64_t offset)
{
    (void)disk;
    return read_whole(fd, parts, count, offset, RWF_NOWAIT);
}

static int system_pwritev(struct mr_disk *disk, int fd, const struct iovec *parts, int count,
                          int64_t offset)
{
    struct iovec window[IOV_WINDOW];
    size_t done = 0;

    (void)disk;
    for (;;) {
        int used = window_fill(window, parts, count, done);
        ssize_t written;

        if (used == 0) {
            return 0;
        }
        written = pwritev(fd, window, used, offset + (off_t)done);
        if (written > 0) {
            done += (size_t)written;
        } else if (written == 0) {
            return MR_EIO; /* never seen for a file; without this it would be an endless loop */
        } else if (errno != EINTR) {
            return last_code();
        }
    }
}

static int system_fsync(struct mr_disk *disk, int fd)
{
    int rc;

    (void)disk;
    do {
        rc = fdatasync(fd); /* with the size, without the times */
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : last_code();
}

static int system_start_writeback(struct mr_disk *disk, int fd, int64_t offset, int64_t size_bytes)
{
    int rc;

    (void)disk;
    rc = sync_file_range(fd, offset, size_bytes, SYNC_FILE_RANGE_WRITE);
    if (rc == 0 || errno == ENOSYS || errno == EOPNOTSUPP || errno == EINVAL) {
        return 0; /* a hint; where it is not known the kernel writes when it likes */
    }
    return last_code();
}

static int system_truncate(struct mr_disk *disk, int fd, int64_t size_bytes)
{
    int rc;

    (void)disk;
    do {
        rc = ftruncate(fd, size_bytes);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : last_code();
}

static int system_preallocate(struct mr_disk *disk, int fd, int64_t size_bytes)
{
    int rc;

    (void)disk;
    do {
        rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size_bytes);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0 || errno == EOPNOTSUPP || errno == ENOSYS) {
        return 0;
    }
    return last_code();
}

/* statx and not stat, for the time of birth: an inode number that was used again is told by it. */
static int stat_any(int directory, const char *path, int flags, struct mr_disk_stat *ret_stat)
{
    struct statx from;

    if (statx(directory, path, flags, STATX_BASIC_STATS | STATX_BTIME, &from) != 0) {
        return last_code();
    }
    ret_stat->size_bytes = (int64_t)from.stx_size;
    ret_stat->allocated_bytes = (int64_t)from.stx_blocks * 512; /* stat(2): always 512 */
    ret_stat->modified_us = from.stx_mtime.tv_sec * 1000000 + from.stx_mtime.tv_nsec / 1000;
    ret_stat->born_us = 0;
    if ((from.stx_mask & STATX_BTIME) != 0) {
        ret_stat->born_us = from.stx_btime.tv_sec * 1000000 + from.stx_btime.tv_nsec / 1000;
    }
    ret_stat->device = makedev(from.stx_dev_major, from.stx_dev_minor);
    ret_stat->inode = from.stx_ino;
    ret_stat->link_count = from.stx_nlink;
    ret_stat->is_directory = S_ISDIR(from.stx_mode);
    ret_stat->is_regular = S_ISREG(from.stx_mode);
    ret_stat->is_symlink = S_ISLNK(from.stx_mode);
    return 0;
}

static int system_stat(struct mr_disk *disk, const char *path, struct mr_disk_stat *ret_stat)
{
    (void)disk;
    return stat_any(AT_FDCWD, path, 0, ret_stat);
}

static int system_lstat(struct mr_disk *disk, const char *path, struct mr_disk_stat *ret_stat)
{
    (void)disk;
    return stat_any(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, ret_stat);
}

static int system_fstat(struct mr_disk *disk, int fd, struct mr_disk_stat *ret_stat)
{
    (void)disk;
    return stat_any(fd, "", AT_EMPTY_PATH, ret_stat);
}

static int system_rename(struct mr_disk *disk, const char *from, const char *to)
{
    (void)disk;
    return rename(from, to) == 0 ? 0 : last_code();
}

static int system_unlink(struct mr_disk *disk, const char *path)
{
    (void)disk;
    return unlink(path) == 0 ? 0 : last_code();
}

static int system_mkdir(struct mr_disk *disk, const char *path, mode_t mode)
{
    (void)disk;
    return mkdir(path, mode) == 0 ? 0 : last_code();
}

static int system_rmdir(struct mr_disk *disk, const char *path)
{
    (void)disk;
    return rmdir(path) == 0 ? 0 : last_code();
}

static int system_fsync_directory(struct mr_disk *disk, const char *path)
{
    int fd = -1;
    int rc;

    (void)disk;
    do {
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return last_code();
    }
    do {
        rc = fsync(fd);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0 && errno != EINVAL) { /* file systems without it (9p, some FUSE) say EINVAL */
        rc = last_code();
    } else {
        rc = 0;
    }
    (void)close(fd);
    return rc;
}

static int system_list(struct mr_disk *disk, const char *path, mr_disk_list_cb cb, void *owner)
{
    DIR *directory;
    int rc = 0;

    (void)disk;
    directory = opendir(path); /* closed on exec, says opendir(3) */
    if (directory == NULL) {
        return last_code();
    }
    while (rc == 0) {
        struct dirent *entry;

        errno = 0;
        entry = readdir(directory);
        if (entry == NULL) {
            rc = errno == 0 ? 0 : last_code();
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            rc = cb(owner, entry->d_name);
        }
    }
    (void)closedir(directory);
    return rc;
}

/* flock and not fcntl's locks: it belongs to the open file, so that a second opening in the same
 * process is refused as well, and closing another descriptor of the file does not drop it. */
static int system_lock(struct mr_disk *disk, int fd)
{
    int rc;

    (void)disk;
    do {
        rc = flock(fd, LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    if (rc == 0) {
        return 0;
    }
    return errno == EWOULDBLOCK ? MR_EBUSY : last_code();
}

static int system_free_space(struct mr_disk *disk, const char *path, int64_t *ret_free_bytes)
{
    struct statvfs buffer;
    int rc;

    (void)disk;
    do {
        rc = statvfs(path, &buffer);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        return last_code();
    }
    *ret_free_bytes = (int64_t)(buffer.f_bavail * buffer.f_frsize);
    return 0;
}

struct mr_disk *mr_disk_system(void)
{
    static const struct mr_disk_ops ops = {
        .open = system_open,
        .close = system_close,
        .preadv = system_preadv,
        .preadv_cached = system_preadv_cached,
        .pwritev = system_pwritev,
        .fsync = system_fsync,
        .start_writeback = system_start_writeback,
        .truncate = system_truncate,
        .preallocate = system_preallocate,
        .stat = system_stat,
        .lstat = system_lstat,
        .fstat = system_fstat,
        .rename = system_rename,
        .unlink = system_unlink,
        .mkdir = system_mkdir,
        .rmdir = system_rmdir,
        .fsync_directory = system_fsync_directory,
        .list = system_list,
        .lock = system_lock,
        .free_space = system_free_space,
    };
    static struct mr_disk disk = {.ops = &ops}; /* never written after this */

    return &disk;
}

/* The C library has no cachestat yet, nor have the headers of older kernels. Its number is the same
 * on every architecture. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

struct cachestat_range {
    uint64_t offset;
    uint64_t size_bytes;
};

struct cachestat_pages {
    uint64_t cached;
    uint64_t dirty;
    uint64_t writeback;
    uint64_t evicted;
    uint64_t recently_evicted;
};

int mr_disk_is_cached(struct mr_disk *disk, int fd, int64_t offset, int64_t size_bytes)
{
    int64_t page_size = sysconf(_SC_PAGESIZE);
    struct cachestat_range range = {(uint64_t)offset, (uint64_t)size_bytes};
    struct cachestat_pages pages;
    int64_t want = (offset + size_bytes - 1) / page_size - offset / page_size + 1;

    mr_assert(offset >= 0);
    mr_assert(size_bytes > 0);
    if (disk != mr_disk_system() || syscall(SYS_cachestat, fd, &range, &pages, 0) != 0) {
        return MR_EUNSUPPORTED;
    }
    return (int64_t)pages.cached >= want;
}
