/* One look at the directories: which files do the globs name now?
 *
 * The whole walk runs on a worker thread, since a directory of a dead network file system may block
 * for minutes. It only reads its own struct and the compiled globs; what it found is applied on the
 * loop by find.c.
 *
 * Each directory is watched before it is listed, so that nothing can appear between the two unseen:
 * it is in the list, or there is an event. */
#ifndef SOURCES_FILE_WALK_H
#define SOURCES_FILE_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/disk.h"
#include "base/core/option.h"

struct mr_error;
struct mr_glob;

/* Which paths are meant. Compiled once, read by loop and worker. */
struct path_set {
    struct mr_glob **globs;
    size_t glob_count;
    struct mr_glob **excludes;
    size_t exclude_count;
};

int path_set_init(struct path_set *set, const struct mr_string_list *paths,
                  const struct mr_string_list *exclude, struct mr_error *error);
void path_set_done(struct path_set *set);
bool path_set_match(const struct path_set *set, const char *path);
/* Whether a directory could hold, at any depth, what is meant. */
bool path_set_may_contain(const struct path_set *set, const char *directory);

struct walk_file {
    char *path;
    char *target; /* where a symbolic link leads; NULL: it is none */
    struct mr_disk_stat stat;
};

struct walk_directory {
    char *path;
    int watch; /* of inotify; -1: not watched */
};

enum { WALK_DEPTH_MAX = 64 };

struct walk {
    struct mr_disk *disk;
    const struct path_set *paths;
    int inotify_fd; /* -1: no watches */

    struct walk_file *files;
    size_t file_count;
    size_t file_capacity;
    struct walk_directory *directories;
    size_t directory_count;
    size_t directory_capacity;
    bool must_poll;  /* a remote file system, or no watch to be had */
    int watch_errno; /* why there was no watch; 0: fine */
    int failed;      /* MR_ENOMEM: the result is not whole */
    size_t unreadable_count;
    char *unreadable; /* the first directory that could not be listed */
    int unreadable_code;
    uint64_t chain[WALK_DEPTH_MAX][2]; /* device and inode of the directories above: loops */
    int depth;
};

/* Any thread. */
void walk_run(struct walk *walk);
void walk_done(struct walk *walk);

/* What is watched in a directory. */
uint32_t walk_watch_mask(void);

#endif
