#include "tests/lib/fault_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/list.h"
#include "tests/lib/disk_journal.h"
#include "tests/lib/temporary.h"

enum { PATH_RING_COUNT = 8, PATH_SIZE = 4096 };

static struct fault_disk *of(struct mr_disk *disk)
{
    return mr_container(disk, struct fault_disk, base);
}

static struct mr_disk *under(void)
{
    return mr_disk_system();
}

static void enter(struct fault_disk *disk)
{
    int rc = pthread_mutex_lock(&disk->mutex);

    mr_assert(rc == 0);
}

static int leave(struct fault_disk *disk, int rc)
{
    (void)pthread_mutex_unlock(&disk->mutex);
    return rc;
}

/* ---- the questions at each door ---- */

/* 0, or the code that this call is to fail with. */
static int door_pass(struct fault_disk *disk, enum fault_disk_door door)
{
    int code;
    int any_code;

    disk->calls[DISK_ANY]++;
    disk->calls[door]++;
    if (disk->is_off) {
        return MR_EIO;
    }
    any_code = fault_hit(&disk->faults[DISK_ANY]);
    code = fault_hit(&disk->faults[door]);
    return any_code != 0 ? any_code : code;
}

/* The same for what changes the disk. */
static int door_change(struct fault_disk *disk, enum fault_disk_door door)
{
    int code = door_pass(disk, door);

    if (!disk->is_off) {
        disk->calls[DISK_POWER]++;
        if (fault_hit(&disk->faults[DISK_POWER]) != 0) {
            disk->is_off = true;
            return MR_EIO;
        }
    }
    return code;
}

static bool is_dead(const struct fault_disk *disk, int fd)
{
    return fd < 0 || fd >= disk->generations_count || disk->generations[fd] != disk->generation;
}

static void generation_set(struct fault_disk *disk, int fd, int generation)
{
    if (fd >= disk->generations_count) {
        int count = (fd + 64) * 2;

        disk->generations = realloc(disk->generations, (size_t)count * sizeof(int));
        mr_assert(disk->generations != NULL);
        memset(disk->generations + disk->generations_count, 0,
               (size_t)(count - disk->generations_count) * sizeof(int));
        disk->generations_count = count;
    }
    disk->generations[fd] = generation;
}

static int64_t size_of(int fd)
{
    struct stat stat;

    return fstat(fd, &stat) == 0 ? stat.st_size : 0;
}

static int64_t size_of_name(const char *path)
{
    struct stat stat;

    return lstat(path, &stat) == 0 && S_ISREG(stat.st_mode) ? stat.st_size : 0;
}

static bool would_overflow(const struct fault_disk *disk, int64_t growth_bytes)
{
    return disk->limit_bytes > 0 && growth_bytes > 0 &&
           disk->used_bytes + growth_bytes > disk->limit_bytes;
}

/* ---- files ---- */

static int open_inside(struct fault_disk *disk, const char *path, int flags, mode_t mode,
                       int *ret_fd)
{
    bool is_new = (flags & MR_DISK_CREATE) != 0 && access(path, F_OK) != 0;
    int fd = -1;
    int rc;

    rc = under()->ops->open(under(), path, flags & ~MR_DISK_TRUNCATE, mode, &fd);
    if (rc != 0) {
        return rc;
    }
    if (is_new) {
        disk_journal_created(disk->journal, path);
    } else if ((flags & MR_DISK_TRUNCATE) != 0 && size_of(fd) > 0) {
        disk->used_bytes -= size_of(fd);
        disk_journal_truncate(disk->journal, fd, 0);
        rc = mr_disk_truncate(under(), fd, 0);
        mr_assert(rc == 0);
    }
    generation_set(disk, fd, disk->generation);
    *ret_fd = fd;
    return 0;
}

static int fault_open(struct mr_disk *base, const char *path, int flags, mode_t mode, int *ret_fd)
{
    struct fault_disk *disk = of(base);
    bool changes = (flags & (MR_DISK_CREATE | MR_DISK_TRUNCATE)) != 0;
    int rc;

    enter(disk);
    rc = changes ? door_change(disk, DISK_OPEN) : door_pass(disk, DISK_OPEN);
    if (rc == 0) {
        rc = open_inside(disk, path, flags, mode, ret_fd);
    }
    return leave(disk, rc);
}

static void fault_close(struct mr_disk *base, int fd)
{
    struct fault_disk *disk = of(base);

    enter(disk);
    mr_assert(fd < disk->generations_count && disk->generations[fd] != 0); /* closed twice? */
    generation_set(disk, fd, 0);
    mr_disk_close(under(), fd);
    (void)leave(disk, 0);
}

static int read_pass(struct fault_disk *disk, int fd)
{
    int rc;

    enter(disk);
    rc = door_pass(disk, DISK_READ);
    if (rc == 0 && is_dead(disk, fd)) {
        rc = MR_EIO;
    }
    return leave(disk, rc);
}

static ssize_t fault_preadv(struct mr_disk *base, int fd, const struct iovec *parts, int count,
                            int64_t offset)
{
    int rc = read_pass(of(base), fd);

    return rc != 0 ? rc : mr_disk_preadv(under(), fd, parts, count, offset);
}

static ssize_t fault_preadv_cached(struct mr_disk *base, int fd, const struct iovec *parts,
                                   int count, int64_t offset)
{
    int rc = read_pass(of(base), fd);

    return rc != 0 ? rc : mr_disk_preadv_cached(under(), fd, parts, count, offset);
}

static size_t size_of_parts(const struct iovec *parts, int count)
{
    size_t size_bytes = 0;

    for (int i = 0; i < count; i++) {
        size_bytes += parts[i].iov_len;
    }
    return size_bytes;
}

/* Writes the first size_bytes of the parts. */
static void write_prefix(int fd, const struct iovec *parts, int count, int64_t offset,
                         size_t size_bytes)
{
    for (int i = 0; i < count && size_bytes > 0; i++) {
        size_t part = parts[i].iov_len < size_bytes ? parts[i].iov_len : size_bytes;

        (void)mr_disk_pwrite(under(), fd, parts[i].iov_base, part, offset);
        offset += (int64_t)part;
        size_bytes -= part;
    }
}

/* How much of a failing write still gets to the file: nothing, all, or any part. */
static size_t torn_size(struct fault_disk *disk, size_t size_bytes)
{
    switch (mr_random_below(&disk->random.base, 3)) {
    case 0:
        return 0;
    case 1:
        return size_bytes;
    default:
        return mr_random_below(&disk->random.base, size_bytes + 1);
    }
}

static int write_inside(struct fault_disk *disk, int fd, const struct iovec *parts, int count,
                        int64_t offset)
{
    bool was_off = disk->is_off;
    int rc = door_change(disk, DISK_WRITE);
    size_t size_bytes = size_of_parts(parts, count);
    int64_t before_bytes;
    int64_t room_bytes;

    if (was_off || is_dead(disk, fd)) {
        return MR_EIO;
    }
    before_bytes = size_of(fd);
    if (rc != 0) {
        size_bytes = torn_size(disk, size_bytes);
    }
    if (would_overflow(disk, offset + (int64_t)size_bytes - before_bytes)) {
        room_bytes = before_bytes + disk->limit_bytes - disk->used_bytes - offset;
        size_bytes = room_bytes > 0 ? (size_t)room_bytes : 0;
        rc = rc != 0 ? rc : MR_ENOSPC;
    }
    disk_journal_write(disk->journal, fd, offset, size_bytes);
    if (rc == 0) {
        rc = mr_disk_pwritev(under(), fd, parts, count, offset);
    } else {
        write_prefix(fd, parts, count, offset, size_bytes);
    }
    disk->written_bytes += (int64_t)size_bytes;
    disk->used_bytes += size_of(fd) - before_bytes;
    return rc;
}

static int fault_pwritev(struct mr_disk *base, int fd, const struct iovec *parts, int count,
                         int64_t offset)
{
    struct fault_disk *disk = of(base);

    enter(disk);
    return leave(disk, write_inside(disk, fd, parts, count, offset));
}

/* The real fsync is left out: power is lost here by the journal only, and tests are fast. */
static int fault_fsync(struct mr_disk *base, int fd)
{
    struct fault_disk *disk = of(base);
    int rc;

    enter(disk);
    rc = door_change(disk, DISK_FSYNC);
    if (is_dead(disk, fd)) {
        rc = MR_EIO;
    } else if (rc == 0) {
        disk_journal_fsync(disk->journal, fd);
    } else if (!disk->is_off) {
        disk_journal_fsync_failed(disk->journal, fd);
    }
    return leave(disk, rc);
}

static int fault_start_writeback(struct mr_disk *base, int fd, int64_t offset, int64_t size_bytes)
{
    struct fault_disk *disk = of(base);

    (void)offset;
    (void)size_bytes;
    enter(disk);
    return leave(disk, is_dead(disk, fd) ? MR_EIO : 0); /* promises nothing, so does nothing */
}

static int fault_truncate(struct mr_disk *base, int fd, int64_t size_bytes)
{
    struct fault_disk *disk = of(base);
    int64_t before_bytes;
    int rc;

    enter(disk);
    rc = door_change(disk, DISK_TRUNCATE);
    if (rc == 0 && is_dead(disk, fd)) {
        rc = MR_EIO;
    }
    if (rc != 0) {
        return leave(disk, rc);
    }
    before_bytes = size_of(fd);
    disk_journal_truncate(disk->journal, fd, size_bytes);
    rc = mr_disk_truncate(under(), fd, size_bytes);
    disk->used_bytes += size_of(fd) - before_bytes;
    return leave(disk, rc);
}

static int fault_preallocate(struct mr_disk *base, int fd, int64_t size_bytes)
{
    struct fault_disk *disk = of(base);
    int rc;

    enter(disk);
    rc = door_change(disk, DISK_PREALLOCATE);
    if (rc == 0 && is_dead(disk, fd)) {
        rc = MR_EIO;
    }
    if (rc == 0 && would_overflow(disk, size_bytes - size_of(fd))) {
        rc = MR_ENOSPC;
    }
    if (rc == 0) {
        rc = mr_disk_preallocate(under(), fd, size_bytes);
    }
    return leave(disk, rc);
}

static int fault_fstat(struct mr_disk *base, int fd, struct mr_disk_stat *ret_stat)
{
    struct fault_disk *disk = of(base);
    bool dead;

    enter(disk);
    dead = disk->is_off || is_dead(disk, fd);
    (void)leave(disk, 0);
    return dead ? MR_EIO : mr_disk_fstat(under(), fd, ret_stat);
}

static int fault_lock(struct mr_disk *base, int fd)
{
    (void)base;
    return mr_disk_lock(under(), fd);
}

/* ---- names ---- */

static bool is_off(struct mr_disk *base)
{
    struct fault_disk *disk = of(base);
    bool off;

    enter(disk);
    off = disk->is_off;
    (void)leave(disk, 0);
    return off;
}

static int fault_stat(struct mr_disk *base, const char *path, struct mr_disk_stat *ret_stat)
{
    return is_off(base) ? MR_EIO : mr_disk_stat(under(), path, ret_stat);
}

static int fault_lstat(struct mr_disk *base, const char *path, struct mr_disk_stat *ret_stat)
{
    return is_off(base) ? MR_EIO : mr_disk_lstat(under(), path, ret_stat);
}

static int code_of(int error_number)
{
    return error_number == 0 ? 0 : mr_code_of_errno(error_number);
}

static int fault_rename(struct mr_disk *base, const char *from, const char *to)
{
    struct fault_disk *disk = of(base);
    int64_t overwritten_bytes;
    int rc;

    enter(disk);
    rc = door_change(disk, DISK_RENAME);
    if (rc == 0) {
        overwritten_bytes = size_of_name(to);
        rc = code_of(disk_journal_rename(disk->journal, from, to));
        disk->used_bytes -= rc == 0 ? overwritten_bytes : 0;
    }
    return leave(disk, rc);
}

static int fault_unlink(struct mr_disk *base, const char *path)
{
    struct fault_disk *disk = of(base);
    int64_t removed_bytes;
    int rc;

    enter(disk);
    rc = door_change(disk, DISK_UNLINK);
    if (rc == 0) {
        removed_bytes = size_of_name(path);
        rc = code_of(disk_journal_unlink(disk->journal, path));
        disk->used_bytes -= rc == 0 ? removed_bytes : 0;
    }
    return leave(disk, rc);
}

static int fault_mkdir(struct mr_disk *base, const char *path, mode_t mode)
{
    struct fault_disk *disk = of(base);
    int rc;

    enter(disk);
    rc = door_change(disk, DISK_MKDIR);
    if (rc == 0) {
        rc = mr_disk_mkdir(under(), path, mode);
    }
    if (rc == 0) {
        disk_journal_made_directory(disk->journal, path);
    }
    return leave(disk, rc);
}

static int fault_rmdir(struct mr_disk *base, const char *path)
{
    struct fault_disk *disk = of(base);
    int rc;

    enter(disk);
    rc = door_change(disk, DISK_RMDIR);
    if (rc == 0) {
        rc = code_of(disk_journal_rmdir(disk->journal, path));
    }
    return leave(disk, rc);
}

static int fault_fsync_directory(struct mr_disk *base, const char *path)
{
    struct fault_disk *disk = of(base);
    struct mr_disk_stat stat;
    int rc;

    enter(disk);
    rc = door_change(disk, DISK_FSYNC_DIRECTORY);
    if (rc == 0) {
        rc = mr_disk_stat(under(), path, &stat);
    }
    if (rc == 0) {
        disk_journal_fsync_directory(disk->journal, path);
    }
    return leave(disk, rc);
}

/* The callback may call the disk again, so it runs outside of the mutex. */
static int fault_list(struct mr_disk *base, const char *path, mr_disk_list_cb cb, void *owner)
{
    struct fault_disk *disk = of(base);
    int rc;

    enter(disk);
    rc = leave(disk, door_pass(disk, DISK_LIST));
    return rc != 0 ? rc : mr_disk_list(under(), path, cb, owner);
}

static int fault_free_space(struct mr_disk *base, const char *path, int64_t *ret_free_bytes)
{
    struct fault_disk *disk = of(base);
    int64_t left_bytes;
    bool is_limited;

    enter(disk);
    is_limited = disk->limit_bytes > 0;
    left_bytes = disk->limit_bytes - disk->used_bytes;
    (void)leave(disk, 0);
    if (!is_limited) {
        return mr_disk_free_space(under(), path, ret_free_bytes);
    }
    *ret_free_bytes = left_bytes > 0 ? left_bytes : 0;
    return 0;
}

/* ---- the whole ---- */

static char *join(const char *directory, const char *name)
{
    char *path = NULL;
    int size = asprintf(&path, "%s/%s", directory, name);

    mr_assert(size > 0);
    return path;
}

static char *make_temporary(void)
{
    char *real;
    char *template = join(test_temporary_parent(), "millrace-test-XXXXXX");
    char *made = mkdtemp(template);

    mr_assert(made != NULL);
    real = realpath(made, NULL);
    mr_assert(real != NULL);
    free(template);
    return real;
}

struct fault_disk *fault_disk_new(uint64_t seed)
{
    static const struct mr_disk_ops ops = {
        .open = fault_open,
        .close = fault_close,
        .preadv = fault_preadv,
        .preadv_cached = fault_preadv_cached,
        .pwritev = fault_pwritev,
        .fsync = fault_fsync,
        .start_writeback = fault_start_writeback,
        .truncate = fault_truncate,
        .preallocate = fault_preallocate,
        .stat = fault_stat,
        .lstat = fault_lstat,
        .fstat = fault_fstat,
        .rename = fault_rename,
        .unlink = fault_unlink,
        .mkdir = fault_mkdir,
        .rmdir = fault_rmdir,
        .fsync_directory = fault_fsync_directory,
        .list = fault_list,
        .lock = fault_lock,
        .free_space = fault_free_space,
    };
    struct fault_disk *disk = calloc(1, sizeof *disk);
    char *attic;
    int rc;

    mr_assert(disk != NULL);
    disk->base.ops = &ops;
    disk->generation = 1;
    mr_random_seeded_init(&disk->random, seed);
    rc = pthread_mutex_init(&disk->mutex, NULL);
    mr_assert(rc == 0);
    disk->top = make_temporary();
    disk->root = join(disk->top, "root");
    attic = join(disk->top, "attic");
    rc = mkdir(disk->root, 0755);
    mr_assert(rc == 0);
    rc = mkdir(attic, 0755);
    mr_assert(rc == 0);
    disk->journal = disk_journal_new(attic);
    free(attic);
    return disk;
}

static int remove_entry(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    (void)stat;
    (void)kind;
    (void)place;
    return remove(path);
}

void fault_disk_free(struct fault_disk *disk)
{
    if (disk == NULL) {
        return;
    }
    disk_journal_free(disk->journal);
    for (int fd = 0; fd < disk->generations_count; fd++) {
        mr_assert(disk->generations[fd] == 0); /* a descriptor that was never closed */
    }
    (void)nftw(disk->top, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    (void)pthread_mutex_destroy(&disk->mutex);
    free(disk->generations);
    free(disk->root);
    free(disk->top);
    free(disk);
}

const char *fault_disk_root(struct fault_disk *disk)
{
    return disk->root;
}

const char *fault_disk_path(struct fault_disk *disk, const char *format, ...)
{
    static _Thread_local char ring[PATH_RING_COUNT][PATH_SIZE];
    static _Thread_local unsigned place;
    char *path = ring[place++ % PATH_RING_COUNT];
    va_list arguments;
    int size = snprintf(path, PATH_SIZE, "%s/", disk->root);

    mr_assert(size > 0 && size < PATH_SIZE);
    va_start(arguments, format);
    (void)vsnprintf(path + size, (size_t)(PATH_SIZE - size), format, arguments);
    va_end(arguments);
    return path;
}

/* nftw has no argument for its callback. */
static _Thread_local int64_t counted_bytes;

static int count_entry(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    (void)path;
    (void)place;
    if (kind == FTW_F) {
        counted_bytes += stat->st_size;
    }
    return 0;
}

void fault_disk_power_loss(struct fault_disk *disk)
{
    enter(disk);
    disk_journal_power_loss(disk->journal,
                            disk->loss == DISK_LOSES_BY_SEED ? &disk->random.base : NULL);
    disk->generation++;
    disk->is_off = false;
    counted_bytes = 0;
    (void)nftw(disk->root, count_entry, 16, FTW_PHYS);
    disk->used_bytes = counted_bytes;
    (void)leave(disk, 0);
}

void fault_disk_heal(struct fault_disk *disk)
{
    enter(disk);
    memset(disk->faults, 0, sizeof disk->faults);
    (void)leave(disk, 0);
}
