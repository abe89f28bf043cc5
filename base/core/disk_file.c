/* Small things done with a disk: whole files, directories with their parents, trees. All go through
 * the disk's own calls, so a test's disk breaks them like any other. */
#include <string.h>

#include "base/core/disk.h"
#include "base/core/memory.h"

enum { FILE_MODE = 0640, PRIVATE_MODE = 0600, TREE_DEPTH_MAX = 64 };

int mr_disk_open(struct mr_disk *disk, const char *path, int flags, int *ret_fd,
                 struct mr_error *error)
{
    int rc = disk->ops->open(disk, path, flags, FILE_MODE, ret_fd);

    return rc == 0 ? 0 : mr_fail(error, rc, "open %s", path);
}

void mr_disk_close(struct mr_disk *disk, int fd)
{
    if (fd >= 0) {
        disk->ops->close(disk, fd);
    }
}

ssize_t mr_disk_pread(struct mr_disk *disk, int fd, void *data, size_t size_bytes, int64_t offset)
{
    struct iovec part = {.iov_base = data, .iov_len = size_bytes};

    return disk->ops->preadv(disk, fd, &part, 1, offset);
}

int mr_disk_pwrite(struct mr_disk *disk, int fd, const void *data, size_t size_bytes,
                   int64_t offset)
{
    union {
        const void *given;
        void *wanted; /* struct iovec has no const; writing does not change the bytes */
    } base = {.given = data};
    struct iovec part = {.iov_base = base.wanted, .iov_len = size_bytes};

    return disk->ops->pwritev(disk, fd, &part, 1, offset);
}

/* ---- whole files ---- */

static int read_open_file(struct mr_disk *disk, int fd, const char *path, size_t limit_bytes,
                          char **ret_data, size_t *ret_size, struct mr_error *error)
{
    struct mr_disk_stat stat;
    char *data;
    ssize_t got;
    int rc;

    rc = mr_disk_fstat(disk, fd, &stat);
    if (rc != 0) {
        return mr_fail(error, rc, "stat %s", path);
    }
    if (stat.is_directory) {
        return mr_fail_text(error, MR_EINVAL, "read %s: is a directory", path);
    }
    if (stat.size_bytes < 0 || (uint64_t)stat.size_bytes > limit_bytes) {
        return mr_fail(error, MR_ETOOLARGE, "read %s: more than %zu bytes", path, limit_bytes);
    }
    data = mr_malloc((size_t)stat.size_bytes + 1);
    if (data == NULL) {
        return mr_fail(error, MR_ENOMEM, "read %s", path);
    }
    got = mr_disk_pread(disk, fd, data, (size_t)stat.size_bytes, 0);
    if (got < 0) {
        mr_free(data);
        return mr_fail(error, (int)got, "read %s", path);
    }
    data[got] = '\0';
    *ret_data = data;
    *ret_size = (size_t)got;
    return 0;
}

int mr_disk_read_file(struct mr_disk *disk, const char *path, size_t limit_bytes, char **ret_data,
                      size_t *ret_size, struct mr_error *error)
{
    int fd = -1;
    int rc;

    rc = mr_disk_open(disk, path, MR_DISK_READ, &fd, error);
    if (rc != 0) {
        return rc;
    }
    rc = read_open_file(disk, fd, path, limit_bytes, ret_data, ret_size, error);
    mr_disk_close(disk, fd);
    return rc;
}

/* The directory that a path's last name stands in; NULL without memory. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return mr_strdup(".");
    }
    return slash == path ? mr_strdup("/") : mr_strndup(path, (size_t)(slash - path));
}

static int write_temporary(struct mr_disk *disk, const char *path, mode_t mode, const void *data,
                           size_t size_bytes, struct mr_error *error)
{
    int fd = -1;
    int rc;

    rc = disk->ops->open(disk, path, MR_DISK_WRITE | MR_DISK_CREATE | MR_DISK_TRUNCATE, mode, &fd);
    if (rc != 0) {
        return mr_fail(error, rc, "open %s", path);
    }
    rc = mr_disk_pwrite(disk, fd, data, size_bytes, 0);
    if (rc != 0) {
        (void)mr_fail(error, rc, "write %s", path);
        goto close_file;
    }
    rc = mr_disk_fsync(disk, fd);
    if (rc != 0) {
        (void)mr_fail(error, rc, "fsync %s", path);
    }
close_file:
    mr_disk_close(disk, fd);
    return rc;
}

static int write_file(struct mr_disk *disk, const char *path, mode_t mode, const void *data,
                      size_t size_bytes, struct mr_error *error)
{
    char *temporary = mr_asprintf("%s.tmp", path);
    char *parent = parent_of(path);
    int rc;

    if (temporary == NULL || parent == NULL) {
        rc = mr_fail(error, MR_ENOMEM, "write %s", path);
        goto free_names;
    }
    if (mode == PRIVATE_MODE) {
        (void)mr_disk_unlink(disk, temporary); /* one that is left over keeps its mode */
    }
    rc = write_temporary(disk, temporary, mode, data, size_bytes, error);
    if (rc != 0) {
        goto remove_temporary;
    }
    rc = mr_disk_rename(disk, temporary, path);
    if (rc != 0) {
        (void)mr_fail(error, rc, "rename %s to %s", temporary, path);
        goto remove_temporary;
    }
    rc = mr_disk_fsync_directory(disk, parent);
    if (rc != 0) {
        (void)mr_fail(error, rc, "fsync %s", parent);
    }
    goto free_names;
remove_temporary:
    (void)mr_disk_unlink(disk, temporary); /* the next write truncates it anyway */
free_names:
    mr_free(parent);
    mr_free(temporary);
    return rc;
}

int mr_disk_write_file(struct mr_disk *disk, const char *path, const void *data, size_t size_bytes,
                       struct mr_error *error)
{
    return write_file(disk, path, FILE_MODE, data, size_bytes, error);
}

int mr_disk_write_private_file(struct mr_disk *disk, const char *path, const void *data,
                               size_t size_bytes, struct mr_error *error)
{
    return write_file(disk, path, PRIVATE_MODE, data, size_bytes, error);
}

/* ---- directories ---- */

/* One level; a directory that is there already is fine. */
static int make_directory(struct mr_disk *disk, const char *path, mode_t mode,
                          struct mr_error *error)
{
    struct mr_disk_stat stat;
    char *parent;
    int rc;

    rc = mr_disk_mkdir(disk, path, mode);
    if (rc == MR_EEXIST || rc == MR_EACCES) { /* mkdir under a read-only parent says EACCES first */
        int stat_rc = mr_disk_stat(disk, path, &stat);

        if (stat_rc == 0 && stat.is_directory) {
            return 0;
        }
    }
    if (rc != 0) {
        return mr_fail(error, rc, "make directory %s", path);
    }
    parent = parent_of(path);
    if (parent == NULL) {
        return mr_fail(error, MR_ENOMEM, "make directory %s", path);
    }
    rc = mr_disk_fsync_directory(disk, parent);
    if (rc != 0) {
        (void)mr_fail(error, rc, "make directory %s: fsync %s", path, parent);
    }
    mr_free(parent);
    return rc;
}

int mr_disk_make_directories(struct mr_disk *disk, const char *path, mode_t mode,
                             struct mr_error *error)
{
    struct mr_disk_stat stat;
    char *partial;
    int rc;

    if (mr_disk_stat(disk, path, &stat) == 0 && stat.is_directory) {
        return 0;
    }
    partial = mr_strdup(path);
    if (partial == NULL) {
        return mr_fail(error, MR_ENOMEM, "make directory %s", path);
    }
    for (char *end = partial + 1; partial[0] != '\0' && (end = strchr(end, '/')) != NULL; end++) {
        if (end[-1] == '/') {
            continue;
        }
        *end = '\0';
        rc = make_directory(disk, partial, mode, error);
        *end = '/';
        if (rc != 0) {
            goto free_partial;
        }
    }
    rc = make_directory(disk, path, mode, error);
free_partial:
    mr_free(partial);
    return rc;
}

struct tree {
    struct mr_disk *disk;
    struct mr_error *error; /* of the first failure */
    const char *path;
    int depth;
    int rc;
};

static void remove_entry(struct mr_disk *disk, const char *path, int depth, int *rc,
                         struct mr_error *error);

static int on_tree_entry(void *owner, const char *name)
{
    struct tree *tree = owner;
    char *path = mr_asprintf("%s/%s", tree->path, name);

    if (path == NULL) {
        tree->rc = mr_fail(tree->error, MR_ENOMEM, "remove %s/%s", tree->path, name);
        return tree->rc;
    }
    remove_entry(tree->disk, path, tree->depth + 1, &tree->rc, tree->error);
    mr_free(path);
    return 0;
}

static void note_failure(int failure, const char *path, int *rc, struct mr_error *error)
{
    if (failure != 0 && failure != MR_ENOENT && *rc == 0) {
        *rc = mr_fail(error, failure, "remove %s", path);
    }
}

static void remove_entry(struct mr_disk *disk, const char *path, int depth, int *rc,
                         struct mr_error *error)
{
    struct tree tree = {.disk = disk, .error = error, .path = path, .depth = depth, .rc = *rc};
    struct mr_disk_stat stat;
    int failure;

    failure = mr_disk_lstat(disk, path, &stat);
    if (failure != 0) {
        note_failure(failure, path, rc, error);
        return;
    }
    if (!stat.is_directory) {
        note_failure(mr_disk_unlink(disk, path), path, rc, error);
        return;
    }
    if (depth >= TREE_DEPTH_MAX) {
        note_failure(MR_ETOOLARGE, path, rc, error);
        return;
    }
    failure = mr_disk_list(disk, path, on_tree_entry, &tree);
    *rc = tree.rc;
    note_failure(failure, path, rc, error);
    note_failure(mr_disk_rmdir(disk, path), path, rc, error);
}

int mr_disk_remove_tree(struct mr_disk *disk, const char *path, struct mr_error *error)
{
    int rc = 0;

    remove_entry(disk, path, 0, &rc, error);
    return rc;
}
