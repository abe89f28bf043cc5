/* The disk door: everything that touches files goes through one of these, so that tests bring disks
 * that fail, tear, fill up, or lose what was not synced.
 *
 * Functions return 0 (or a count) or a negative MR_E...; descriptors are the kernel's own on the real
 * disk (sendfile needs them). Short writes are completed inside; a write that fails may have written
 * a part (the caller truncates). Calls block: what may take long is called from a worker. */
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
    uint64_t device;
    uint64_t inode;
    bool is_directory;
    bool is_regular;
};

typedef int (*mr_disk_list_cb)(void *owner, const char *name); /* non-zero ends the listing */

struct mr_disk;
struct mr_disk_ops {
    int (*open)(struct mr_disk *disk, const char *path, int flags, mode_t mode, int *ret_fd);
    void (*close)(struct mr_disk *disk, int fd);
    ssize_t (*preadv)(struct mr_disk *disk, int fd, const struct iovec *parts, int count,
                      int64_t offset); /* short only at the end of the file */
    ssize_t (*preadv_cached)(struct mr_disk *disk, int fd, const struct iovec *parts, int count,
                             int64_t offset); /* RWF_NOWAIT: MR_EAGAIN if the disk must be asked */
    int (*pwritev)(struct mr_disk *disk, int fd, const struct iovec *parts, int count,
                   int64_t offset); /* all or an error */
    int (*fsync)(struct mr_disk *disk, int fd); /* data and size; MR_EIO is final for this file */
    int (*start_writeback)(struct mr_disk *disk, int fd, int64_t offset, int64_t size_bytes);
    int (*truncate)(struct mr_disk *disk, int fd, int64_t size_bytes);
    int (*preallocate)(struct mr_disk *disk, int fd, int64_t size_bytes);
    int (*stat)(struct mr_disk *disk, const char *path, struct mr_disk_stat *ret_stat);
    int (*fstat)(struct mr_disk *disk, int fd, struct mr_disk_stat *ret_stat);
    int (*rename)(struct mr_disk *disk, const char *from, const char *to);
    int (*unlink)(struct mr_disk *disk, const char *path);
    int (*mkdir)(struct mr_disk *disk, const char *path, mode_t mode);
    int (*rmdir)(struct mr_disk *disk, const char *path);
    int (*fsync_directory)(struct mr_disk *disk, const char *path);
    int (*list)(struct mr_disk *disk, const char *path, mr_disk_list_cb cb, void *owner);
    int (*lock)(struct mr_disk *disk, int fd); /* exclusive, whole file; MR_EBUSY if another has it */
    int (*free_space)(struct mr_disk *disk, const char *path, int64_t *ret_free_bytes);
};

struct mr_disk {
    const struct mr_disk_ops *ops;
};

struct mr_disk *mr_disk_system(void);

/* Thin calls with errors in words ("open /x/y: no space left on device"); error may be NULL. */
int mr_disk_open(struct mr_disk *disk, const char *path, int flags, int *ret_fd,
                 struct mr_error *error);
void mr_disk_close(struct mr_disk *disk, int fd); /* -1 is fine */
ssize_t mr_disk_pread(struct mr_disk *disk, int fd, void *data, size_t size_bytes, int64_t offset);
int mr_disk_pwrite(struct mr_disk *disk, int fd, const void *data, size_t size_bytes,
                   int64_t offset);

/* Whole files, for small state. The write is atomic: temporary file, fsync, rename, directory fsync;
 * after a crash the old or the new content is there. `*ret_data` is the caller's (mr_free), with a
 * NUL behind it. MR_ETOOLARGE beyond limit_bytes. */
int mr_disk_read_file(struct mr_disk *disk, const char *path, size_t limit_bytes, char **ret_data,
                      size_t *ret_size, struct mr_error *error);
int mr_disk_write_file(struct mr_disk *disk, const char *path, const void *data, size_t size_bytes,
                       struct mr_error *error);
int mr_disk_make_directories(struct mr_disk *disk, const char *path, mode_t mode,
                             struct mr_error *error);
/* A directory and all in it. What cannot be removed is reported, the rest is gone. */
int mr_disk_remove_tree(struct mr_disk *disk, const char *path, struct mr_error *error);

#endif
