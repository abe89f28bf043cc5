/* The disk door: everything that touches files goes through one of these, so that tests bring disks
 * that fail, tear, fill up, or lose what was not synced.
 *
 * Functions return 0 (or a count) or a negative MR_E...; descriptors are the kernel's own on the
 * real disk (sendfile needs them). Short writes are completed inside; a write that fails may have
 * written a part (the caller truncates). Calls block: what may take long is called from a worker.
 */
#ifndef BASE_CORE_DISK_H
#define BASE_CORE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/core/error.h"

enum mr_disk_flags {
    MR_DISK_READ = 0,
    MR_DISK_WRITE = 1,  /* read and write */
    MR_DISK_CREATE = 2, /* with WRITE: make it if absent */
    MR_DISK_EXCLUSIVE = 4,
    MR_DISK_TRUNCATE = 8,
};

struct mr_disk_stat {
    int64_t size_bytes;
    int64_t allocated_bytes;
    int64_t modified_us;
    int64_t born_us; /* 0 where the file system does not keep it; another birth is another file */
    uint64_t device;
    uint64_t inode;
    uint64_t link_count; /* 0: deleted, and held by open descriptors only */
    bool is_directory;
    bool is_regular;
    bool is_symlink; /* by lstat only */
};

/* Non-zero ends the listing, which returns it. The entry may be removed or renamed inside. */
typedef int (*mr_disk_list_cb)(void *owner, const char *name);

struct mr_disk;
struct mr_disk_ops {
    int (*open)(struct mr_disk *disk, const char *path, int flags, mode_t mode, int *ret_fd);
    void (*close)(struct mr_disk *disk, int fd);
    ssize_t (*preadv)(struct mr_disk *disk, int fd, const struct iovec *parts, int count,
                      int64_t offset); /* short only at the end of the file */
    ssize_t (*preadv_cached)(struct mr_disk *disk, int fd, const struct iovec *parts, int count,
                             int64_t offset); /* RWF_NOWAIT: MR_EAGAIN if any of it must be read
                                                 from the device; a file system that cannot tell
                                                 (tmpfs of old kernels) just reads */
    int (*pwritev)(struct mr_disk *disk, int fd, const struct iovec *parts, int count,
                   int64_t offset);             /* all or an error */
    int (*fsync)(struct mr_disk *disk, int fd); /* data and size; MR_EIO is final for this file */
    int (*start_writeback)(struct mr_disk *disk, int fd, int64_t offset, int64_t size_bytes);
    int (*truncate)(struct mr_disk *disk, int fd, int64_t size_bytes);
    int (*preallocate)(struct mr_disk *disk, int fd,
                       int64_t size_bytes); /* the size stays; 0 too where it is not supported */
    int (*stat)(struct mr_disk *disk, const char *path, struct mr_disk_stat *ret_stat);
    int (*lstat)(struct mr_disk *disk, const char *path,
                 struct mr_disk_stat *ret_stat); /* of the link itself */
    int (*fstat)(struct mr_disk *disk, int fd, struct mr_disk_stat *ret_stat);
    int (*rename)(struct mr_disk *disk, const char *from, const char *to);
    int (*unlink)(struct mr_disk *disk, const char *path);
    int (*mkdir)(struct mr_disk *disk, const char *path, mode_t mode);
    int (*rmdir)(struct mr_disk *disk, const char *path);
    int (*fsync_directory)(struct mr_disk *disk, const char *path);
    int (*list)(struct mr_disk *disk, const char *path, mr_disk_list_cb cb, void *owner);
    int (*lock)(struct mr_disk *disk, int fd); /* exclusive, whole file, until it is closed or the
                                                  process ends; MR_EBUSY if another has it */
    int (*free_space)(struct mr_disk *disk, const char *path, int64_t *ret_free_bytes);
};

struct mr_disk {
    const struct mr_disk_ops *ops;
};

struct mr_disk *mr_disk_system(void);

/* The same in words ("open /x/y: no space left on device"); error may be NULL. Files are made with
 * mode 0640. */
int mr_disk_open(struct mr_disk *disk, const char *path, int flags, int *ret_fd,
                 struct mr_error *error);
void mr_disk_close(struct mr_disk *disk, int fd); /* -1 is fine */
ssize_t mr_disk_pread(struct mr_disk *disk, int fd, void *data, size_t size_bytes, int64_t offset);
int mr_disk_pwrite(struct mr_disk *disk, int fd, const void *data, size_t size_bytes,
                   int64_t offset);

/* Whether every page of the range is in the page cache, in one call, without reading (a page that is
 * being read counts, too): 1, 0, or MR_EUNSUPPORTED (kernels before 6.5, other disks, files of others). */
int mr_disk_is_cached(struct mr_disk *disk, int fd, int64_t offset, int64_t size_bytes);

/* Thin calls, for easy reading. */
static inline ssize_t mr_disk_preadv(struct mr_disk *disk, int fd, const struct iovec *parts,
                                     int count, int64_t offset)
{
    return disk->ops->preadv(disk, fd, parts, count, offset);
}

static inline ssize_t mr_disk_preadv_cached(struct mr_disk *disk, int fd, const struct iovec *parts,
                                            int count, int64_t offset)
{
    return disk->ops->preadv_cached(disk, fd, parts, count, offset);
}

static inline int mr_disk_pwritev(struct mr_disk *disk, int fd, const struct iovec *parts,
                                  int count, int64_t offset)
{
    return disk->ops->pwritev(disk, fd, parts, count, offset);
}

static inline int mr_disk_fsync(struct mr_disk *disk, int fd)
{
    return disk->ops->fsync(disk, fd);
}

static inline int mr_disk_start_writeback(struct mr_disk *disk, int fd, int64_t offset,
                                          int64_t size_bytes)
{
    return disk->ops->start_writeback(disk, fd, offset, size_bytes);
}

static inline int mr_disk_truncate(struct mr_disk *disk, int fd, int64_t size_bytes)
{
    return disk->ops->truncate(disk, fd, size_bytes);
}

static inline int mr_disk_preallocate(struct mr_disk *disk, int fd, int64_t size_bytes)
{
    return disk->ops->preallocate(disk, fd, size_bytes);
}

static inline int mr_disk_stat(struct mr_disk *disk, const char *path,
                               struct mr_disk_stat *ret_stat)
{
    return disk->ops->stat(disk, path, ret_stat);
}

static inline int mr_disk_lstat(struct mr_disk *disk, const char *path,
                                struct mr_disk_stat *ret_stat)
{
    return disk->ops->lstat(disk, path, ret_stat);
}

static inline int mr_disk_fstat(struct mr_disk *disk, int fd, struct mr_disk_stat *ret_stat)
{
    return disk->ops->fstat(disk, fd, ret_stat);
}

static inline int mr_disk_rename(struct mr_disk *disk, const char *from, const char *to)
{
    return disk->ops->rename(disk, from, to);
}

static inline int mr_disk_unlink(struct mr_disk *disk, const char *path)
{
    return disk->ops->unlink(disk, path);
}

static inline int mr_disk_mkdir(struct mr_disk *disk, const char *path, mode_t mode)
{
    return disk->ops->mkdir(disk, path, mode);
}

static inline int mr_disk_rmdir(struct mr_disk *disk, const char *path)
{
    return disk->ops->rmdir(disk, path);
}

static inline int mr_disk_fsync_directory(struct mr_disk *disk, const char *path)
{
    return disk->ops->fsync_directory(disk, path);
}

static inline int mr_disk_list(struct mr_disk *disk, const char *path, mr_disk_list_cb cb,
                               void *owner)
{
    return disk->ops->list(disk, path, cb, owner);
}

static inline int mr_disk_lock(struct mr_disk *disk, int fd)
{
    return disk->ops->lock(disk, fd);
}

static inline int mr_disk_free_space(struct mr_disk *disk, const char *path,
                                     int64_t *ret_free_bytes)
{
    return disk->ops->free_space(disk, path, ret_free_bytes);
}

/* Whole files, for small state. The write is atomic: temporary file, fsync, rename, directory
 * fsync; after a crash the old or the new content is there. `*ret_data` is the caller's (mr_free),
 * with a NUL behind it. MR_ETOOLARGE beyond limit_bytes. */
int mr_disk_read_file(struct mr_disk *disk, const char *path, size_t limit_bytes, char **ret_data,
                      size_t *ret_size, struct mr_error *error);
int mr_disk_write_file(struct mr_disk *disk, const char *path, const void *data, size_t size_bytes,
                       struct mr_error *error);
/* The same with mode 0600. */
int mr_disk_write_private_file(struct mr_disk *disk, const char *path, const void *data,
                               size_t size_bytes, struct mr_error *error);
/* `mkdir -p`; each new name is fsynced into its parent. */
int mr_disk_make_directories(struct mr_disk *disk, const char *path, mode_t mode,
                             struct mr_error *error);
/* A directory and all in it (a symbolic link is removed, not followed). What cannot be removed is
 * reported, the rest is gone. */
int mr_disk_remove_tree(struct mr_disk *disk, const char *path, struct mr_error *error);

#endif
