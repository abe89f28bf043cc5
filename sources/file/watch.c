/* What changes: inotify on the directories, and walks over everything.
 *
 * Events are hints of where to look; what is true is decided by find.c from a stat. So it is enough
 * that no hint is lost: a directory is watched before it is listed, an overflow or an unknown watch
 * is answered by a walk, and a walk comes every minute anyway (files written through mmap make no
 * events). Where events cannot be had (remote file systems, no watches left), walks at
 * scan_interval do it alone.
 *
 * Writers make one event per write. After each round the descriptor rests for some milliseconds, in
 * which the kernel folds what is the same: the cost does not follow the write rate. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "sources/file/file_internal.h"

#include "base/core/clock.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"

enum {
    EVENT_BUFFER_SIZE = 64 * 1024,
    ROUNDS_MAX = 4,
    PAUSE_US = 2000,
    RESCAN_MS = 60 * 1000,
    RESCAN_SOON_MS = 5,
    WALK_COST_FACTOR = 100, /* a walk may use at most this part of the time */
    DESCENDANTS_MAX = 10000,
};

struct directory {
    char *path;
    uint32_t seen_walk;
};

struct watcher {
    struct file_source *fs;
    int inotify_fd; /* -1: none */
    struct mr_io io;
    struct mr_timer pause_timer;
    struct mr_timer walk_timer;
    struct mr_map directories; /* watch (int) -> struct directory */
    struct mr_map by_path;     /* path -> struct directory */
    struct walk walk;
    struct mr_work work;
    int64_t walk_started_us;
    int64_t walk_cost_us;
    bool is_walking;
    bool walks_again; /* something happened that this walk may have missed */
    bool must_poll;
    bool has_told_poll;
    bool has_told_unreadable;
    char move_from[PATH_MAX]; /* of the last IN_MOVED_FROM */
    uint32_t move_cookie;
};

/* ---- walks ---- */

static void directory_free(struct watcher *watcher, struct directory *directory)
{
    if (mr_map_get_text(&watcher->by_path, directory->path) == directory) {
        (void)mr_map_remove_text(&watcher->by_path, directory->path);
    }
    mr_free(directory->path);
    mr_free(directory);
}

static void remember_directory(struct watcher *watcher, const char *path, int watch)
{
    struct directory *directory = mr_map_get(&watcher->directories, &watch, sizeof watch);

    if (directory != NULL && directory->seen_walk == watcher->fs->walk_count) {
        return; /* another path to the same directory: the first one counts */
    }
    if (directory == NULL) {
        directory = mr_calloc(1, sizeof *directory);
        if (directory == NULL ||
            mr_map_put(&watcher->directories, &watch, sizeof watch, directory, NULL) != 0) {
            mr_free(directory);
            return;
        }
    }
    directory->seen_walk = watcher->fs->walk_count;
    if (directory->path == NULL || strcmp(directory->path, path) != 0) {
        char *copy = mr_strdup(path);

        if (copy == NULL) {
            return;
        }
        if (directory->path != NULL) {
            (void)mr_map_remove_text(&watcher->by_path, directory->path);
            mr_free(directory->path);
        }
        directory->path = copy;
    }
    (void)mr_map_put_text(&watcher->by_path, directory->path, directory);
}

static void forget_unseen(struct watcher *watcher)
{
    size_t cursor = 0;
    const struct mr_map_entry *entry;

    while ((entry = mr_map_next(&watcher->directories, &cursor)) != NULL) {
        struct directory *directory = entry->value;
        int watch;

        memcpy(&watch, entry->key, sizeof watch);
        if (directory->seen_walk != watcher->fs->walk_count) {
            (void)inotify_rm_watch(watcher->inotify_fd, watch); /* may be gone already */
            (void)mr_map_remove(&watcher->directories, &watch, sizeof watch);
            directory_free(watcher, directory);
        }
    }
}

static void tell(struct watcher *watcher, const struct walk *walk)
{
    struct file_source *fs = watcher->fs;

    if (walk->must_poll && !watcher->has_told_poll && fs->options->watch == WATCH_AUTO) {
        watcher->has_told_poll = true;
        mr_warn("not all directories can be watched: polling them",
                KV_STR("source", fs->host->source_id),
                KV_STR("reason",
                       walk->watch_errno == 0 ? "remote file system" : strerror(walk->watch_errno)),
                KV_I64("interval_ms", fs->options->scan_interval_ms));
    }
    if (walk->unreadable_count > 0 && !watcher->has_told_unreadable) {
        mr_warn("cannot list a directory, trying again", KV_STR("source", fs->host->source_id),
                KV_STR("path", walk->unreadable), KV_ERR(walk->unreadable_code),
                KV_U64("directories", walk->unreadable_count));
    }
    watcher->has_told_unreadable = walk->unreadable_count > 0;
}

static void plan_walk(struct watcher *watcher)
{
    struct file_source *fs = watcher->fs;
    int64_t delay = watcher->must_poll ? fs->options->scan_interval_ms : RESCAN_MS;
    int64_t rest = watcher->walk_cost_us * WALK_COST_FACTOR / 1000;

    delay = delay > rest ? delay : rest;
    if (watcher->walks_again) {
        watcher->walks_again = false;
        delay = RESCAN_SOON_MS + watcher->walk_cost_us * 10 / 1000;
    }
    (void)mr_timer_start(&watcher->walk_timer, delay);
}

static void walk_work(struct mr_work *work)
{
    struct watcher *watcher = work->owner;

    walk_run(&watcher->walk);
}

static void on_walked(struct mr_work *work)
{
    struct watcher *watcher = work->owner;
    struct file_source *fs = watcher->fs;
    struct walk *walk = &watcher->walk;

    if (fs->is_closing) {
        watcher->is_walking = false;
        walk_done(walk);
        file_check_closed(fs);
        return;
    }
    fs->counts[FILE_SCANS]++;
    tell(watcher, walk);
    watcher->must_poll = walk->must_poll || watcher->inotify_fd < 0;
    find_apply_walk(fs, walk);
    for (size_t i = 0; i < walk->directory_count; i++) {
        if (walk->directories[i].watch >= 0) {
            remember_directory(watcher, walk->directories[i].path, walk->directories[i].watch);
        }
    }
    if (walk->failed == 0 && watcher->inotify_fd >= 0) {
        forget_unseen(watcher);
    }
    watcher->walks_again = watcher->walks_again || walk->failed != 0;
    walk_done(walk);
    watcher->walk_cost_us =
        mr_clock_monotonic_us(mr_loop_clock(fs->host->loop)) - watcher->walk_started_us;
    watcher->is_walking = false;
    if (!fs->has_started) {
        fs->has_started = true;
        if (watcher->inotify_fd >= 0) {
            mr_io_want(&watcher->io, MR_IO_READ);
        }
    }
    plan_walk(watcher);
}

static void start_walk(struct mr_timer *timer)
{
    struct watcher *watcher = timer->owner;
    struct file_source *fs = watcher->fs;

    watcher->walk =
        (struct walk){.disk = fs->disk, .paths = &fs->paths, .inotify_fd = watcher->inotify_fd};
    watcher->work.run = walk_work;
    watcher->work.done = on_walked;
    watcher->work.owner = watcher;
    watcher->walk_started_us = mr_clock_monotonic_us(mr_loop_clock(fs->host->loop));
    if (mr_workers_submit(fs->host->workers, &watcher->work) == 0) {
        watcher->is_walking = true;
    } else {
        plan_walk(watcher);
    }
}

void watch_rescan(struct file_source *fs)
{
    struct watcher *watcher = fs->watcher;

    if (watcher->is_walking) {
        watcher->walks_again = true;
        return;
    }
    (void)mr_timer_start(&watcher->walk_timer, RESCAN_SOON_MS + watcher->walk_cost_us * 10 / 1000);
}

bool watch_is_busy(const struct file_source *fs)
{
    return fs->watcher != NULL && fs->watcher->is_walking;
}

bool watch_covers(const struct file_source *fs, const char *path)
{
    const struct watcher *watcher = fs->watcher;
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL || slash == path ? 1 : (size_t)(slash - path);

    return !watcher->must_poll &&
           mr_map_get(&watcher->by_path, slash == NULL ? "." : path, size) != NULL;
}

/* ---- events ---- */

/* A matched file was moved: it counts wherever it went, also when it was never looked at before. */
static void follow_move(struct watcher *watcher, const char *to)
{
    struct file_source *fs = watcher->fs;
    char *origin = mr_map_remove_text(&fs->descendants, watcher->move_from);
    void *old = NULL;

    if (origin == NULL && path_set_match(&fs->paths, watcher->move_from)) {
        origin = mr_strdup(watcher->move_from);
    }
    if (origin == NULL) {
        find_check_path(fs, to, NULL);
        return;
    }
    find_check_path(fs, to, origin);
    if (path_set_match(&fs->paths, to) || fs->descendants.count >= DESCENDANTS_MAX ||
        mr_map_put(&fs->descendants, to, strlen(to), origin, &old) != 0) {
        mr_free(origin);
    }
    mr_free(old);
}

/* What only a walk can follow: a link to a file (what changes has another path), one to a
 * directory, and a directory's name that led to one. */
static bool needs_walk(const struct watcher *watcher, const char *path, uint32_t mask)
{
    struct file_source *fs = watcher->fs;
    struct mr_disk_stat stat;
    char target;

    if ((mask & (IN_DELETE | IN_MOVED_FROM)) != 0) {
        return mr_map_get_text(&watcher->by_path, path) != NULL;
    }
    return (mask & (IN_CREATE | IN_MOVED_TO)) != 0 &&
           (path_set_match(&fs->paths, path) || path_set_may_contain(&fs->paths, path)) &&
           readlink(path, &target, 1) > 0 &&
           (path_set_match(&fs->paths, path) ||
            (mr_disk_stat(fs->disk, path, &stat) == 0 && stat.is_directory));
}

static void on_name(struct watcher *watcher, const char *path, uint32_t mask, uint32_t cookie)
{
    struct file_source *fs = watcher->fs;
    struct tail *tail = mr_map_get_text(&fs->by_path, path);
    const char *link;

    if (needs_walk(watcher, path, mask)) {
        watch_rescan(fs);
    }
    if ((mask & IN_MODIFY) != 0 && tail != NULL) {
        file_ready(tail, tail->is_detached);
        return;
    }
    if ((mask & IN_MOVED_FROM) != 0) {
        watcher->move_cookie = cookie;
        (void)snprintf(watcher->move_from, sizeof watcher->move_from, "%s", path);
        if (tail != NULL) {
            find_check_path(fs, path, NULL);
        }
    } else if ((mask & IN_MOVED_TO) != 0 && cookie == watcher->move_cookie) {
        follow_move(watcher, path);
    } else if (tail != NULL || (mask & IN_MOVED_TO) != 0 || path_set_match(&fs->paths, path)) {
        if ((mask & IN_DELETE) != 0 && tail != NULL && tail->fd < 0) {
            tail->is_deleted = true; /* with a handle, it is asked how many names it has */
        }
        find_check_path(fs, path, NULL);
    }
    if ((mask & IN_DELETE) != 0) {
        mr_free(mr_map_remove_text(&fs->descendants, path));
    }
    link = mr_map_get_text(&fs->aliases, path);
    if (link != NULL) {
        char *copy = mr_strdup(link);

        if (copy != NULL) {
            find_check_path(fs, copy, NULL);
        }
        mr_free(copy);
    }
}

static void on_event(struct watcher *watcher, const struct inotify_event *event)
{
    struct file_source *fs = watcher->fs;
    struct directory *directory;
    char path[PATH_MAX + NAME_MAX + 2];

    if ((event->mask & IN_Q_OVERFLOW) != 0) {
        fs->counts[FILE_OVERFLOWS]++;
        watch_rescan(fs);
        return;
    }
    directory = mr_map_get(&watcher->directories, &event->wd, sizeof event->wd);
    if (directory == NULL) {
        if ((event->mask & IN_IGNORED) == 0) {
            watch_rescan(fs); /* a walk is placing watches, and may have passed there already */
        }
        return;
    }
    if ((event->mask & (IN_IGNORED | IN_UNMOUNT | IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
        if ((event->mask & IN_IGNORED) != 0) {
            (void)mr_map_remove(&watcher->directories, &event->wd, sizeof event->wd);
            directory_free(watcher, directory);
        }
        watch_rescan(fs);
        return;
    }
    if (event->len == 0) {
        return;
    }
    (void)snprintf(path, sizeof path, "%s%s%s", directory->path,
                   strcmp(directory->path, "/") == 0 ? "" : "/", event->name);
    if ((event->mask & IN_ISDIR) != 0) {
        if ((event->mask & (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_ATTRIB)) != 0 &&
            path_set_may_contain(&fs->paths, path)) {
            watch_rescan(fs);
        }
        return;
    }
    on_name(watcher, path, event->mask, event->cookie);
}

static void on_readable(struct mr_io *io, int events)
{
    struct watcher *watcher = io->owner;
    char buffer[EVENT_BUFFER_SIZE] __attribute__((aligned(__alignof__(struct inotify_event))));

    (void)events;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        ssize_t got = read(watcher->inotify_fd, buffer, sizeof buffer);

        if (got <= 0) {
            break;
        }
        for (char *at = buffer; at < buffer + got;) {
            const struct inotify_event *event = (const void *)at;

            on_event(watcher, event);
            at += sizeof *event + event->len;
        }
    }
    if (mr_timer_start_us(&watcher->pause_timer, PAUSE_US) == 0) {
        mr_io_want(&watcher->io, 0);
    }
}

static void on_paused(struct mr_timer *timer)
{
    struct watcher *watcher = timer->owner;

    mr_io_want(&watcher->io, MR_IO_READ);
}

int watch_open(struct file_source *fs, struct mr_error *error)
{
    struct watcher *watcher = mr_calloc(1, sizeof *watcher);

    if (watcher == NULL) {
        return mr_fail(error, MR_ENOMEM, "file source");
    }
    fs->watcher = watcher;
    watcher->fs = fs;
    watcher->inotify_fd = -1;
    mr_map_init(&watcher->directories);
    mr_map_init(&watcher->by_path);
    mr_timer_init(&watcher->pause_timer, fs->host->loop, on_paused, watcher);
    mr_timer_init(&watcher->walk_timer, fs->host->loop, start_walk, watcher);
    if (fs->options->watch == WATCH_AUTO && !mr_loop_is_virtual(fs->host->loop)) {
        watcher->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (watcher->inotify_fd < 0) {
            mr_warn("inotify is not to be had: polling", KV_STR("source", fs->host->source_id),
                    KV_ERR(mr_code_of_errno(errno)));
            watcher->has_told_poll = true;
        } else if (mr_io_start(&watcher->io, fs->host->loop, watcher->inotify_fd, on_readable,
                               watcher) != 0) {
            (void)close(watcher->inotify_fd);
            watcher->inotify_fd = -1;
        } else {
            mr_io_want(&watcher->io, 0); /* events wait until the first walk says what is there */
        }
    }
    watcher->must_poll = watcher->inotify_fd < 0;
    return mr_timer_start(&watcher->walk_timer, 0);
}

/* Stops; the memory stays while a walk is under way. */
void watch_stop(struct file_source *fs)
{
    struct watcher *watcher = fs->watcher;

    mr_timer_stop(&watcher->pause_timer);
    mr_timer_stop(&watcher->walk_timer);
    if (watcher->inotify_fd >= 0) {
        mr_io_stop(&watcher->io);
    }
}

void watch_close(struct file_source *fs)
{
    struct watcher *watcher = fs->watcher;
    size_t cursor = 0;
    const struct mr_map_entry *entry;

    if (watcher == NULL) {
        return;
    }
    mr_assert(!watcher->is_walking);
    watch_stop(fs);
    if (watcher->inotify_fd >= 0) {
        (void)close(watcher->inotify_fd);
    }
    while ((entry = mr_map_next(&watcher->directories, &cursor)) != NULL) {
        struct directory *directory = entry->value;

        mr_free(directory->path);
        mr_free(directory);
    }
    mr_map_done(&watcher->directories);
    mr_map_done(&watcher->by_path);
    mr_free(watcher);
    fs->watcher = NULL;
}
