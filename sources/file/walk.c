/* Walking the directories that the globs name, in depth, with watches: see walk.h. */
#include "sources/file/walk.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/text/glob.h"

/* Not in every linux/magic.h. */
#define CIFS_MAGIC 0xff534d42
#define SMB2_MAGIC 0xfe534d42
#define FUSE_MAGIC 0x65735546
#define NINE_MAGIC 0x01021997
#define CEPH_MAGIC 0x00c36400
#define AFS_MAGIC  0x5346414f

static int compile(const struct mr_string_list *patterns, struct mr_glob ***ret_globs,
                   size_t *ret_count, struct mr_error *error)
{
    struct mr_glob **globs = mr_calloc(patterns->count + 1, sizeof *globs);

    if (globs == NULL) {
        return mr_fail(error, MR_ENOMEM, "globs");
    }
    *ret_globs = globs; /* path_set_done frees what is there */
    for (size_t i = 0; i < patterns->count; i++) {
        int rc = mr_glob_compile(MR_GLOB_PATH, patterns->items[i], &globs[i], error);

        if (rc != 0) {
            return rc;
        }
        (*ret_count)++;
    }
    return 0;
}

int path_set_init(struct path_set *set, const struct mr_string_list *paths,
                  const struct mr_string_list *exclude, struct mr_error *error)
{
    int rc;

    *set = (struct path_set){0};
    rc = compile(paths, &set->globs, &set->glob_count, error);
    if (rc == 0) {
        rc = compile(exclude, &set->excludes, &set->exclude_count, error);
    }
    if (rc != 0) {
        path_set_done(set);
    }
    return rc;
}

void path_set_done(struct path_set *set)
{
    for (size_t i = 0; i < set->glob_count; i++) {
        mr_glob_free(set->globs[i]);
    }
    for (size_t i = 0; i < set->exclude_count; i++) {
        mr_glob_free(set->excludes[i]);
    }
    mr_free(set->globs);
    mr_free(set->excludes);
    *set = (struct path_set){0};
}

static bool is_excluded(const struct path_set *set, const char *path)
{
    for (size_t i = 0; i < set->exclude_count; i++) {
        if (mr_glob_match(set->excludes[i], path)) {
            return true;
        }
    }
    return false;
}

bool path_set_match(const struct path_set *set, const char *path)
{
    for (size_t i = 0; i < set->glob_count; i++) {
        if (mr_glob_match(set->globs[i], path)) {
            return !is_excluded(set, path);
        }
    }
    return false;
}

bool path_set_may_contain(const struct path_set *set, const char *directory)
{
    for (size_t i = 0; i < set->glob_count; i++) {
        if (mr_glob_may_contain(set->globs[i], directory)) {
            return true;
        }
    }
    return false;
}

/* IN_ATTRIB tells of permissions that were mended, and of a file that lost its last name. */
uint32_t walk_watch_mask(void)
{
    return IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |
           IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
}

/* Events of writers on other machines never reach us here. */
static bool is_remote(const char *path)
{
    struct statfs fs;

    if (statfs(path, &fs) != 0) {
        return false;
    }
    switch ((uint32_t)fs.f_type) {
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case CIFS_MAGIC:
    case SMB2_MAGIC:
    case FUSE_MAGIC:
    case NINE_MAGIC:
    case CEPH_MAGIC:
    case AFS_MAGIC:
        return true;
    default:
        return false;
    }
}

static void parent_of(char *path)
{
    char *slash = strrchr(path, '/');

    if (slash == NULL) {
        path[0] = '.';
        path[1] = 0;
    } else {
        slash[slash == path ? 1 : 0] = 0;
    }
}

/* The watch, or -1. */
static int add_watch(struct walk *walk, const char *path, uint32_t mask)
{
    struct walk_directory *directory;

    if (mr_grow(&walk->directories, &walk->directory_capacity, walk->directory_count + 1,
                sizeof *walk->directories) != 0) {
        walk->failed = MR_ENOMEM;
        return -1;
    }
    directory = &walk->directories[walk->directory_count];
    directory->path = mr_strdup(path);
    if (directory->path == NULL) {
        walk->failed = MR_ENOMEM;
        return -1;
    }
    directory->watch = walk->inotify_fd < 0 ? -1 : inotify_add_watch(walk->inotify_fd, path, mask);
    walk->directory_count++;
    return directory->watch;
}

static void watch_directory(struct walk *walk, const char *path)
{
    int watch = add_watch(walk, path, walk_watch_mask());

    if (watch < 0 && walk->inotify_fd >= 0 && errno != ENOENT && errno != ENOTDIR) {
        walk->watch_errno = errno;
    }
    if (watch < 0 || is_remote(path)) {
        walk->must_poll = true;
    }
}

/* The directories above the first one that is listed may be moved, or be links that change: another
 * directory has its path then. Where that cannot be watched, the next walk finds out. */
static void watch_above(struct walk *walk, const char *path)
{
    char *above = mr_strdup(path);
    char target;

    if (above == NULL) {
        walk->failed = MR_ENOMEM;
        return;
    }
    while (walk->failed == 0 && strcmp(above, "/") != 0 && strcmp(above, ".") != 0) {
        bool is_link = readlink(above, &target, 1) > 0;

        parent_of(above);
        (void)add_watch(walk, above,
                        is_link ? walk_watch_mask()
                                : IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR | IN_MASK_ADD);
    }
    mr_free(above);
}

/* The directory is not there yet: its nearest existing ancestor tells when that changes. */
static void watch_ancestor(struct walk *walk, const char *path)
{
    char *above = mr_strdup(path);
    struct mr_disk_stat stat;

    if (above == NULL) {
        walk->failed = MR_ENOMEM;
        return;
    }
    while (strcmp(above, "/") != 0 && strcmp(above, ".") != 0) {
        parent_of(above);
        if (mr_disk_stat(walk->disk, above, &stat) == 0 && stat.is_directory) {
            break;
        }
    }
    watch_directory(walk, above);
    mr_free(above);
}

static void note_unreadable(struct walk *walk, const char *path, int code)
{
    walk->unreadable_count++;
    if (walk->unreadable == NULL) {
        walk->unreadable = mr_strdup(path);
        walk->unreadable_code = code;
    }
}

/* Where a link leads, so that the real directory is watched too. */
static char *link_target(const char *path)
{
    char resolved[PATH_MAX];
    char first;

    if (readlink(path, &first, 1) < 0 || realpath(path, resolved) == NULL) {
        return NULL;
    }
    return mr_strdup(resolved);
}

static void add_file(struct walk *walk, const char *path, const struct mr_disk_stat *stat)
{
    struct walk_file *file;

    if (mr_grow(&walk->files, &walk->file_capacity, walk->file_count + 1, sizeof *walk->files) !=
        0) {
        walk->failed = MR_ENOMEM;
        return;
    }
    file = &walk->files[walk->file_count];
    file->path = mr_strdup(path);
    if (file->path == NULL) {
        walk->failed = MR_ENOMEM;
        return;
    }
    file->target = link_target(path);
    file->stat = *stat;
    walk->file_count++;
    if (file->target != NULL) {
        char *directory = mr_strdup(file->target);

        if (directory == NULL) {
            walk->failed = MR_ENOMEM;
            return;
        }
        parent_of(directory);
        watch_directory(walk, directory);
        mr_free(directory);
    }
}

static bool is_loop(const struct walk *walk, const struct mr_disk_stat *stat)
{
    for (int i = 0; i < walk->depth; i++) {
        if (walk->chain[i][0] == stat->device && walk->chain[i][1] == stat->inode) {
            return true;
        }
    }
    return false;
}

struct listing {
    struct walk *walk;
    const struct mr_glob *glob;
    const char *directory;
};

static void walk_directory(struct walk *walk, const struct mr_glob *glob, const char *path,
                           const struct mr_disk_stat *stat);

static int on_entry(void *owner, const char *name)
{
    struct listing *listing = owner;
    struct walk *walk = listing->walk;
    const char *directory = listing->directory;
    const char *slash = strcmp(directory, "/") == 0 ? "" : "/";
    char path[PATH_MAX];
    struct mr_disk_stat stat;
    size_t directory_size = strlen(directory);
    size_t name_size = strlen(name);
    bool matches;
    bool enters;

    if (directory_size + name_size + 2 > sizeof path) {
        return 0;
    }
    memcpy(path, directory, directory_size);
    memcpy(path + directory_size, slash, strlen(slash));
    memcpy(path + directory_size + strlen(slash), name, name_size + 1);
    matches = mr_glob_match(listing->glob, path);
    enters = mr_glob_may_contain(listing->glob, path);
    if ((!matches && !enters) || is_excluded(walk->paths, path) ||
        mr_disk_stat(walk->disk, path, &stat) != 0) {
        return 0;
    }
    if (stat.is_regular && matches) {
        add_file(walk, path, &stat);
    } else if (stat.is_directory && enters && !is_loop(walk, &stat)) {
        walk_directory(walk, listing->glob, path, &stat);
    }
    return walk->failed;
}

static void walk_directory(struct walk *walk, const struct mr_glob *glob, const char *path,
                           const struct mr_disk_stat *stat)
{
    struct listing listing = {walk, glob, path};
    int rc;

    if (walk->depth == WALK_DEPTH_MAX) {
        return;
    }
    walk->chain[walk->depth][0] = stat->device;
    walk->chain[walk->depth][1] = stat->inode;
    walk->depth++;
    watch_directory(walk, path);
    rc = walk->disk->ops->list(walk->disk, path, on_entry, &listing);
    if (rc != 0 && rc != MR_ENOENT) {
        note_unreadable(walk, path, rc);
    }
    walk->depth--;
}

static void walk_literal(struct walk *walk, const char *path)
{
    struct mr_disk_stat stat;
    struct mr_disk_stat parent;
    char *directory = mr_strdup(path);

    if (directory == NULL) {
        walk->failed = MR_ENOMEM;
        return;
    }
    parent_of(directory);
    watch_above(walk, directory);
    if (mr_disk_stat(walk->disk, directory, &parent) == 0 && parent.is_directory) {
        watch_directory(walk, directory);
        if (mr_disk_stat(walk->disk, path, &stat) == 0 && stat.is_regular &&
            !is_excluded(walk->paths, path)) {
            add_file(walk, path, &stat);
        }
    } else {
        watch_ancestor(walk, directory);
    }
    mr_free(directory);
}

static void walk_alternative(struct walk *walk, const struct mr_glob *glob, size_t place)
{
    const char *literal = mr_glob_literal(glob, place);
    const char *prefix = mr_glob_prefix(glob, place);
    struct mr_disk_stat stat;

    if (literal != NULL) {
        walk_literal(walk, literal);
        return;
    }
    for (size_t i = 0; i < place; i++) {
        if (mr_glob_literal(glob, i) == NULL && strcmp(mr_glob_prefix(glob, i), prefix) == 0) {
            return; /* the same walk has found what all of them match */
        }
    }
    watch_above(walk, prefix);
    if (mr_disk_stat(walk->disk, prefix, &stat) != 0 || !stat.is_directory) {
        watch_ancestor(walk, prefix);
        return;
    }
    walk_directory(walk, glob, prefix, &stat);
}

void walk_run(struct walk *walk)
{
    for (size_t i = 0; i < walk->paths->glob_count && walk->failed == 0; i++) {
        const struct mr_glob *glob = walk->paths->globs[i];

        for (size_t place = 0; place < mr_glob_count(glob); place++) {
            walk_alternative(walk, glob, place);
        }
    }
}

void walk_done(struct walk *walk)
{
    for (size_t i = 0; i < walk->file_count; i++) {
        mr_free(walk->files[i].path);
        mr_free(walk->files[i].target);
    }
    for (size_t i = 0; i < walk->directory_count; i++) {
        mr_free(walk->directories[i].path);
    }
    mr_free(walk->files);
    mr_free(walk->directories);
    mr_free(walk->unreadable);
    *walk = (struct walk){0};
}
