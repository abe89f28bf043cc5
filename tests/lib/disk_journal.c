#include "tests/lib/disk_journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/error.h"
#include "base/core/list.h"

/* One change of a file's content. The new bytes are not kept: while changes are taken back, newest
 * first, they can be read from the file itself. */
struct change {
    struct mr_link link;
    bool is_truncate;
    int64_t offset; /* of the write; the new size for a truncation */
    int64_t size_bytes;
    int64_t old_file_size;
    char *old_bytes; /* at offset, as many as were there */
    int64_t old_bytes_size;
    char *new_bytes; /* during a power loss only */
};

struct file {
    struct mr_link link;
    dev_t device;
    ino_t inode;
    int fd; /* our own: keeps the inode from being used again */
    bool fsync_has_failed;
    struct mr_link changes; /* oldest first */
};

/* A directory with changes; referred to by them. */
struct directory {
    struct mr_link link;
    dev_t device;
    ino_t inode;
    int fd;
    int references;
    bool is_syncing;
};

enum name_kind { NAME_CREATED, NAME_REMOVED, NAME_MOVED };

/* One change of names. attic_name holds what the change took away, 0 for nothing. */
struct name_change {
    struct mr_link link;
    enum name_kind kind;
    struct directory *directory;
    char *name;
    struct directory *to_directory; /* NAME_MOVED */
    char *to_name;
    unsigned attic_number;
};

struct disk_journal {
    int attic_fd;
    unsigned attic_count;
    struct mr_link files;
    struct mr_link directories;
    struct mr_link names; /* oldest first */
};

enum { ATTIC_NAME_SIZE = 16 };

/* Test doubles do not use the heap door: its faults are for the code under test. */
static void *must_alloc(size_t size)
{
    void *memory = calloc(1, size > 0 ? size : 1);

    mr_assert(memory != NULL);
    return memory;
}

static void attic_name_of(unsigned number, char name[ATTIC_NAME_SIZE])
{
    (void)snprintf(name, ATTIC_NAME_SIZE, "%u", number);
}

struct disk_journal *disk_journal_new(const char *attic_path)
{
    struct disk_journal *journal = must_alloc(sizeof *journal);

    journal->attic_fd = open(attic_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mr_assert(journal->attic_fd >= 0);
    mr_list_init(&journal->files);
    mr_list_init(&journal->directories);
    mr_list_init(&journal->names);
    return journal;
}

/* ---- content ---- */

static void change_free(struct change *change)
{
    mr_list_remove(&change->link);
    free(change->old_bytes);
    free(change->new_bytes);
    free(change);
}

static void file_free(struct file *file)
{
    struct mr_link *link;

    while ((link = mr_list_pop(&file->changes)) != NULL) {
        change_free(mr_container(link, struct change, link));
    }
    mr_list_remove(&file->link);
    (void)close(file->fd);
    free(file);
}

static struct file *file_find(struct disk_journal *journal, int fd)
{
    struct stat stat;
    int rc = fstat(fd, &stat);

    mr_assert(rc == 0);
    mr_list_each(&journal->files, link, next)
    {
        struct file *file = mr_container(link, struct file, link);

        if (file->inode == stat.st_ino && file->device == stat.st_dev) {
            return file;
        }
    }
    return NULL;
}

static struct file *file_get(struct disk_journal *journal, int fd)
{
    struct file *file = file_find(journal, fd);
    struct stat stat;
    char path[64];
    int rc;

    if (file != NULL) {
        return file;
    }
    rc = fstat(fd, &stat);
    mr_assert(rc == 0);
    file = must_alloc(sizeof *file);
    file->device = stat.st_dev;
    file->inode = stat.st_ino;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    file->fd = open(path, O_RDWR | O_CLOEXEC);
    mr_assert(file->fd >= 0);
    mr_list_init(&file->changes);
    mr_list_append(&journal->files, &file->link);
    return file;
}

static int64_t file_size(int fd)
{
    struct stat stat;
    int rc = fstat(fd, &stat);

    mr_assert(rc == 0);
    return stat.st_size;
}

static void read_exactly(int fd, char *data, int64_t size_bytes, int64_t offset)
{
    ssize_t got = pread(fd, data, (size_t)size_bytes, offset);

    mr_assert(got == size_bytes);
}

static void write_exactly(int fd, const char *data, int64_t size_bytes, int64_t offset)
{
    ssize_t written = size_bytes == 0 ? 0 : pwrite(fd, data, (size_t)size_bytes, offset);

    mr_assert(written == size_bytes);
}

static void set_size(int fd, int64_t size_bytes)
{
    int rc = ftruncate(fd, size_bytes);

    mr_assert(rc == 0);
}

/* Keeps the old bytes of [offset, offset + size_bytes). */
static struct change *change_add(struct disk_journal *journal, int fd, int64_t offset,
                                 int64_t size_bytes)
{
    struct file *file = file_get(journal, fd);
    struct change *change = must_alloc(sizeof *change);

    change->offset = offset;
    change->size_bytes = size_bytes;
    change->old_file_size = file_size(fd);
    if (change->old_file_size > offset) {
        int64_t there = change->old_file_size - offset;

        change->old_bytes_size = there < size_bytes ? there : size_bytes;
        change->old_bytes = must_alloc((size_t)change->old_bytes_size);
        read_exactly(file->fd, change->old_bytes, change->old_bytes_size, offset);
    }
    mr_list_append(&file->changes, &change->link);
    return change;
}

void disk_journal_write(struct disk_journal *journal, int fd, int64_t offset, size_t size_bytes)
{
    (void)change_add(journal, fd, offset, (int64_t)size_bytes);
}

void disk_journal_truncate(struct disk_journal *journal, int fd, int64_t size_bytes)
{
    change_add(journal, fd, size_bytes, INT64_MAX)->is_truncate = true;
}

void disk_journal_fsync(struct disk_journal *journal, int fd)
{
    struct file *file = file_find(journal, fd);

    if (file != NULL && !file->fsync_has_failed) {
        file_free(file);
    }
}

void disk_journal_fsync_failed(struct disk_journal *journal, int fd)
{
    file_get(journal, fd)->fsync_has_failed = true;
}

/* ---- names ---- */

/* Splits a path into its directory, with a reference, and its last name. */
static struct directory *directory_get(struct disk_journal *journal, const char *path,
                                       const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    struct directory *directory;
    struct stat stat;
    char *parent;
    int rc;
    int fd;

    mr_assert(slash != NULL && slash[1] != '\0');
    parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    mr_assert(parent != NULL);
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(parent);
    if (fd < 0) {
        return NULL;
    }
    rc = fstat(fd, &stat);
    mr_assert(rc == 0);
    *ret_name = slash + 1;
    mr_list_each(&journal->directories, link, next)
    {
        directory = mr_container(link, struct directory, link);
        if (directory->inode == stat.st_ino && directory->device == stat.st_dev) {
            (void)close(fd);
            directory->references++;
            return directory;
        }
    }
    directory = must_alloc(sizeof *directory);
    directory->device = stat.st_dev;
    directory->inode = stat.st_ino;
    directory->fd = fd;
    directory->references = 1;
    mr_list_append(&journal->directories, &directory->link);
    return directory;
}

static void directory_unref(struct directory *directory)
{
    if (directory == NULL) {
        return;
    }
    directory->references--;
    if (directory->references == 0) {
        mr_list_remove(&directory->link);
        (void)close(directory->fd);
        free(directory);
    }
}

/* Takes over the references. */
static void name_add(struct disk_journal *journal, enum name_kind kind, struct directory *directory,
                     const char *name, struct directory *to_directory, const char *to_name,
                     unsigned attic_number)
{
    struct name_change *change = must_alloc(sizeof *change);

    change->kind = kind;
    change->directory = directory;
    change->name = strdup(name);
    change->to_directory = to_directory;
    change->to_name = to_name == NULL ? NULL : strdup(to_name);
    change->attic_number = attic_number;
    mr_list_append(&journal->names, &change->link);
}

static void attic_remove(struct disk_journal *journal, unsigned number)
{
    char name[ATTIC_NAME_SIZE];

    attic_name_of(number, name);
    if (number != 0 && unlinkat(journal->attic_fd, name, 0) != 0) {
        (void)unlinkat(journal->attic_fd, name, AT_REMOVEDIR);
    }
}

/* Moves a name out of sight; 0 or an errno. */
static int attic_take(struct disk_journal *journal, struct directory *directory, const char *name,
                      unsigned *ret_number)
{
    char attic_name[ATTIC_NAME_SIZE];

    attic_name_of(++journal->attic_count, attic_name);
    if (renameat(directory->fd, name, journal->attic_fd, attic_name) != 0) {
        return errno;
    }
    *ret_number = journal->attic_count;
    return 0;
}

static void name_free(struct name_change *change)
{
    mr_list_remove(&change->link);
    directory_unref(change->directory);
    directory_unref(change->to_directory);
    free(change->name);
    free(change->to_name);
    free(change);
}

static void note_new_name(struct disk_journal *journal, const char *path)
{
    const char *name = NULL;
    struct directory *directory = directory_get(journal, path, &name);

    mr_assert(directory != NULL);
    name_add(journal, NAME_CREATED, directory, name, NULL, NULL, 0);
}

void disk_journal_created(struct disk_journal *journal, const char *path)
{
    note_new_name(journal, path);
}

void disk_journal_made_directory(struct disk_journal *journal, const char *path)
{
    note_new_name(journal, path);
}

static int take_away(struct disk_journal *journal, const char *path)
{
    const char *name = NULL;
    struct directory *directory = directory_get(journal, path, &name);
    unsigned number = 0;
    int rc;

    if (directory == NULL) {
        return ENOENT;
    }
    rc = attic_take(journal, directory, name, &number);
    if (rc != 0) {
        directory_unref(directory);
        return rc;
    }
    name_add(journal, NAME_REMOVED, directory, name, NULL, NULL, number);
    return 0;
}

int disk_journal_unlink(struct disk_journal *journal, const char *path)
{
    struct stat stat;

    if (lstat(path, &stat) != 0) {
        return errno;
    }
    return S_ISDIR(stat.st_mode) ? EISDIR : take_away(journal, path);
}

static bool is_empty(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    int count = 0;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        count++;
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    return count <= 2; /* itself and its parent */
}

int disk_journal_rmdir(struct disk_journal *journal, const char *path)
{
    struct stat stat;

    if (lstat(path, &stat) != 0) {
        return errno;
    }
    if (!S_ISDIR(stat.st_mode)) {
        return ENOTDIR;
    }
    return is_empty(path) ? take_away(journal, path) : ENOTEMPTY;
}

int disk_journal_rename(struct disk_journal *journal, const char *from, const char *to)
{
    const char *name = NULL;
    const char *to_name = NULL;
    struct directory *directory = directory_get(journal, from, &name);
    struct directory *to_directory = directory_get(journal, to, &to_name);
    char attic_name[ATTIC_NAME_SIZE];
    unsigned number = 0;
    int rc = ENOENT;

    if (directory == NULL || to_directory == NULL) {
        goto unref;
    }
    /* A second name keeps what is overwritten; directories are only ever moved to free names. */
    attic_name_of(++journal->attic_count, attic_name);
    if (linkat(to_directory->fd, to_name, journal->attic_fd, attic_name, 0) == 0) {
        number = journal->attic_count;
    }
    if (renameat(directory->fd, name, to_directory->fd, to_name) != 0) {
        rc = errno;
        attic_remove(journal, number);
        goto unref;
    }
    name_add(journal, NAME_MOVED, directory, name, to_directory, to_name, number);
    return 0;
unref:
    directory_unref(directory);
    directory_unref(to_directory);
    return rc;
}

/* What is safe in one directory makes safe all that it stands on: of a move between two, the other
 * end, and what came before it there. */
void disk_journal_fsync_directory(struct disk_journal *journal, const char *path)
{
    const char *name = NULL;
    struct directory *synced;
    char *inside;
    int size = asprintf(&inside, "%s/.", path);

    mr_assert(size > 0);
    synced = directory_get(journal, inside, &name);
    free(inside);
    if (synced == NULL) {
        return;
    }
    synced->is_syncing = true;
    for (struct mr_link *link = journal->names.previous, *previous; link != &journal->names;
         link = previous) {
        struct name_change *change = mr_container(link, struct name_change, link);
        struct directory *other = change->to_directory;

        previous = link->previous;
        if (!change->directory->is_syncing && (other == NULL || !other->is_syncing)) {
            continue;
        }
        change->directory->is_syncing = true;
        if (other != NULL) {
            other->is_syncing = true;
        }
        attic_remove(journal, change->attic_number);
        name_free(change);
    }
    mr_list_each(&journal->directories, link, next)
    {
        mr_container(link, struct directory, link)->is_syncing = false;
    }
    directory_unref(synced);
}

/* ---- power loss ---- */

static void attic_restore(struct disk_journal *journal, unsigned number,
                          struct directory *directory, const char *name)
{
    char attic_name[ATTIC_NAME_SIZE];
    int rc;

    if (number == 0) {
        return;
    }
    attic_name_of(number, attic_name);
    rc = renameat(journal->attic_fd, attic_name, directory->fd, name);
    mr_assert(rc == 0);
}

/* Removed, and safely so: nothing that happened in it can come back. */
static bool directory_is_gone(const struct directory *directory)
{
    struct stat stat;

    return fstat(directory->fd, &stat) == 0 && stat.st_nlink == 0;
}

static void name_undo(struct disk_journal *journal, struct name_change *change)
{
    unsigned number = 0;
    int rc = 0;

    if (directory_is_gone(change->directory)) {
        attic_remove(journal, change->attic_number);
        return;
    }
    switch (change->kind) {
    case NAME_CREATED:
        rc = attic_take(journal, change->directory, change->name, &number);
        break;
    case NAME_REMOVED:
        attic_restore(journal, change->attic_number, change->directory, change->name);
        break;
    case NAME_MOVED:
        rc = renameat(change->to_directory->fd, change->to_name, change->directory->fd,
                      change->name);
        attic_restore(journal, change->attic_number, change->to_directory, change->to_name);
        break;
    }
    mr_assert(rc == 0);
}

static size_t list_count(const struct mr_link *head)
{
    size_t count = 0;

    for (const struct mr_link *link = head->next; link != head; link = link->next) {
        count++;
    }
    return count;
}

static void names_lose(struct disk_journal *journal, struct mr_random *random)
{
    size_t count = list_count(&journal->names);
    size_t kept = random == NULL ? 0 : mr_random_below(random, count + 1);

    for (; count > kept; count--) {
        struct name_change *change =
            mr_container(journal->names.previous, struct name_change, link);

        name_undo(journal, change);
        name_free(change);
    }
    while (!mr_list_is_empty(&journal->names)) { /* those that happened to reach the disk */
        struct name_change *change = mr_container(journal->names.next, struct name_change, link);

        attic_remove(journal, change->attic_number);
        name_free(change);
    }
}

/* Back to before the change, remembering what it had written. */
static void change_undo(struct file *file, struct change *change)
{
    if (!change->is_truncate) {
        int64_t size_now = file_size(file->fd);
        int64_t there = size_now > change->offset ? size_now - change->offset : 0;

        /* A write that failed half way is shorter than was announced. */
        change->size_bytes = there < change->size_bytes ? there : change->size_bytes;
        change->new_bytes = must_alloc((size_t)change->size_bytes);
        read_exactly(file->fd, change->new_bytes, change->size_bytes, change->offset);
    }
    set_size(file->fd, change->old_file_size);
    write_exactly(file->fd, change->old_bytes, change->old_bytes_size, change->offset);
}

static void change_redo(struct file *file, const struct change *change, struct mr_random *random,
                        bool is_torn)
{
    int64_t size_bytes = change->size_bytes;

    if (change->is_truncate) {
        if (!is_torn) {
            set_size(file->fd, change->offset);
        }
        return;
    }
    if (is_torn) {
        size_bytes = (int64_t)mr_random_below(random, (uint64_t)size_bytes + 1);
    }
    write_exactly(file->fd, change->new_bytes, size_bytes, change->offset);
    if (is_torn && mr_random_below(random, 4) == 0 &&
        file_size(file->fd) < change->offset + change->size_bytes) {
        set_size(file->fd, change->offset + change->size_bytes); /* the size came, the bytes not */
    }
}

static void content_lose(struct file *file, struct mr_random *random)
{
    uint64_t count = list_count(&file->changes);
    uint64_t kept;
    bool is_mixture;
    uint64_t i = 0;

    for (struct mr_link *link = file->changes.previous; link != &file->changes;
         link = link->previous) {
        change_undo(file, mr_container(link, struct change, link));
    }
    if (random == NULL || count == 0) {
        return;
    }
    kept = mr_random_below(random, count + 1);
    is_mixture = mr_random_below(random, 3) == 0;
    mr_list_each(&file->changes, link, next)
    {
        struct change *change = mr_container(link, struct change, link);

        if (is_mixture) {
            uint64_t fate = mr_random_below(random, 3);

            if (fate > 0) {
                change_redo(file, change, random, fate == 1);
            }
        } else if (i <= kept) {
            change_redo(file, change, random, i == kept);
        }
        i++;
    }
}

void disk_journal_power_loss(struct disk_journal *journal, struct mr_random *random)
{
    names_lose(journal, random);
    while (!mr_list_is_empty(&journal->files)) {
        struct file *file = mr_container(journal->files.next, struct file, link);

        content_lose(file, random);
        file_free(file);
    }
}

void disk_journal_free(struct disk_journal *journal)
{
    if (journal == NULL) {
        return;
    }
    while (!mr_list_is_empty(&journal->names)) {
        name_free(mr_container(journal->names.next, struct name_change, link));
    }
    while (!mr_list_is_empty(&journal->files)) {
        file_free(mr_container(journal->files.next, struct file, link));
    }
    mr_assert(mr_list_is_empty(&journal->directories));
    (void)close(journal->attic_fd);
    free(journal);
}
