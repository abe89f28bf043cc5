/* Paths to files: which file is new, which one moved, which one is gone.
 *
 * Whatever happens at a path, and whoever tells (an event, a walk, a tick), the question is the
 * same and asked of one stat: is the file that is there now the one that we know there? If not, the
 * one that we know has left, and the one that is there is either known from elsewhere (renamed: it
 * keeps its position) or new (read from byte 0).
 *
 * A file that left its path is read to its end before its handle is closed. What is remembered of a
 * file that is gone is kept for a while: its compressed copy may still appear. */
#include <stdlib.h>
#include <string.h>

#include "sources/file/find_internal.h"
#include "sources/file/reader_internal.h"

#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/core/random.h"

enum {
    FORGET_DELETED_MS = 5 * 60 * 1000,
    FORGET_MISSING_MS = 24 * 60 * 60 * 1000,
    DELETED_MAX = 2000,  /* remembered; beyond that the oldest are forgotten earlier */
    MISSING_MAX = 20000, /* likewise, or as many as there were files at a time */
    UNKNOWN_PLACE_WAIT_MS = 60 * 1000,
};

static int64_t missing_max(const struct file_source *fs)
{
    return fs->present_max > MISSING_MAX ? fs->present_max : MISSING_MAX;
}

static void on_position(void *owner, const void *key, size_t key_size, const void *data,
                        size_t size)
{
    struct file_source *fs = owner;
    struct position position;
    const char *path;
    size_t path_size;
    struct tail *tail;
    int rc = key_size == FILE_KEY_SIZE ? position_decode(data, size, &position, &path, &path_size)
                                       : MR_ECORRUPT;

    fs->is_first_start = false;
    if (rc != 0) {
        mr_warn("a stored position cannot be read: its file counts as new",
                KV_STR("source", fs->host->source_id), KV_ERR(rc));
        return;
    }
    if ((position.flags & POSITION_FIRST_START) != 0) {
        return;
    }
    tail = tail_new(fs, path, path_size, &position);
    if (tail != NULL) {
        memcpy(tail->key, key, FILE_KEY_SIZE);
        tail->is_restored = true;
        tail->is_kept = true;
    }
}

/* Where old files are skipped, a later start must know that it is one, also when there was no file.
 */
static void remember_start(struct file_source *fs)
{
    struct position position;
    struct tail *marker;

    position_init(&position);
    position.flags = POSITION_FIRST_START;
    marker = tail_new(fs, "", 0, &position); /* its key: zeroes */
    if (marker != NULL) {
        tail_leave_gone(marker); /* never forgotten */
        (void)file_offer_position(marker);
    }
}

/* Handles of files that rest are given back; they are opened again when they change. */
static void close_idle(struct file_source *fs)
{
    int64_t now = mr_loop_now_ms(fs->host->loop);

    mr_list_each(&fs->open, link, next)
    {
        struct tail *tail = mr_container(link, struct tail, open_link);

        if (fs->options->close_idle_ms > 0 && tail_state(tail) == TAIL_IDLE && !tail->is_detached &&
            tail->flush_at_ms == 0 && now - tail->changed_ms > fs->options->close_idle_ms) {
            reader_close(tail);
        }
    }
}

void find_restore(struct file_source *fs)
{
    fs->is_first_start = true;
    fs->host->ops->position_each(fs->host, on_position, fs);
    fs->present_max = fs->missing_count; /* they may all come back: a file system not mounted yet */
}

/* ---- comings and goings ---- */

void find_poll(struct tail *tail)
{
    if (!mr_link_is_linked(&tail->lost_link)) {
        mr_list_append(&tail->fs->lost, &tail->lost_link);
    }
    file_tick_soon(tail->fs);
}

/* Nothing of it is on the disk, as far as we know. */
static void to_missing(struct tail *tail)
{
    struct file_source *fs = tail->fs;

    if (tail_state(tail) == TAIL_LOADING || tail_state(tail) == TAIL_MISSING) {
        return;
    }
    mr_list_remove(&tail->queue_link);
    if (tail_state(tail) != TAIL_IDLE) {
        mr_state_move(&tail->machine, TAIL_IDLE, tail->origin);
    }
    mr_state_move(&tail->machine, TAIL_MISSING, tail->origin);
    reader_close(tail);
    tail_clear_path(tail);
    mr_list_remove(&tail->lost_link);
    file_flush_at(tail, -1);
    tail->changed_ms = mr_loop_now_ms(fs->host->loop);
    tail->size_bytes = -1;
    tail_join_gone(tail);
    if (fs->deleted_count > DELETED_MAX || fs->missing_count > missing_max(fs)) {
        file_tick_soon(fs);
    }
    copy_model_gone(tail);
}

void find_detach(struct tail *tail)
{
    tail_clear_path(tail);
    tail->is_detached = true;
    tail->is_finished = false;
    tail->changed_ms = mr_loop_now_ms(tail->fs->host->loop);
    if (tail->fd < 0 && tail_state(tail) != TAIL_LOADING) {
        to_missing(tail); /* a rename is told by its other half, which finds it by its inode */
        return;
    }
    tail->fs->counts[FILE_ROTATIONS]++;
    find_poll(tail);
    file_ready(tail, true);
}

/* A known file is seen at a path. */
void find_bind(struct tail *tail, const char *path, const struct mr_disk_stat *stat)
{
    struct file_source *fs = tail->fs;
    struct identity *identity = &tail->position.identity;
    bool was_here = tail->path != NULL && strcmp(tail->path, path) == 0;

    if (!was_here && tail->path != NULL && tail_state(tail) != TAIL_MISSING) {
        struct mr_disk_stat old;

        /* Another name of the same file (hard or symbolic link): the first one stays. */
        if (mr_disk_stat(fs->disk, tail->path, &old) == 0 && old.inode == stat->inode &&
            old.device == stat->device) {
            return;
        }
    }
    if (identity->inode != stat->inode) {
        tail_unindex_inode(tail);
        identity->inode = stat->inode;
        tail_index_inode(tail);
    }
    identity->device = stat->device; /* may have changed over a remount */
    identity->born_us = stat->born_us;
    tail->content_us = stat->modified_us;
    if (!was_here) {
        tail_set_path(tail, path);
        tail->is_detached = tail->path != tail->origin;
        tail->is_finished = false;
        tail->changed_ms = mr_loop_now_ms(fs->host->loop);
        fs->counts[FILE_ROTATIONS] += tail->is_detached ? 1 : 0;
    }
    tail->is_restored = false;
    if (tail_state(tail) == TAIL_MISSING) {
        int64_t present;

        tail_leave_gone(tail);
        tail->is_deleted = false;
        present = fs->counts[FILE_WATCHED] - fs->missing_count - fs->deleted_count;
        fs->present_max = present > fs->present_max ? present : fs->present_max;
        mr_state_move(&tail->machine, TAIL_IDLE, tail->path);
    }
    if (tail->is_detached) {
        find_poll(tail);
    }
    file_ready(tail, tail->is_detached);
}

struct tail *find_admit(struct file_source *fs, const char *path, const char *origin,
                        const struct mr_disk_stat *stat)
{
    struct position position;
    struct tail *tail;

    position_init(&position);
    position.identity.device = stat->device;
    position.identity.inode = stat->inode;
    position.identity.born_us = stat->born_us;
    tail = tail_new(fs, origin, strlen(origin), &position);
    if (tail == NULL) {
        watch_rescan(fs);
        return NULL;
    }
    fs->host->random->fill(fs->host->random, tail->key, sizeof tail->key);
    tail->admission = ++fs->admissions;
    if (path != origin) { /* who has its place by now came later, though it was seen before */
        struct tail *successor = mr_map_get_text(&fs->by_path, origin);

        if (successor != NULL && successor->admission > 0) {
            successor->admission = ++fs->admissions;
        }
    }
    tail->is_found = !fs->has_started;
    /* What was there together before anything was read is nobody's copy. */
    tail->is_released = fs->is_first_start && !fs->has_started;
    tail->start_at_end =
        fs->is_first_start && !fs->has_started && fs->options->start_at == START_END;
    find_bind(tail, path, stat);
    if (fs->has_started && fs->open_count < fs->options->open_files_max) {
        (void)reader_open(
            tail); /* its name may be gone by its turn; if not now, then again there */
    }
    return tail;
}

/* The known file with this inode number that this is, if any. An open handle keeps an inode from
 * being used again; without one, birth or content decide. */
static struct tail *recognise(struct file_source *fs, const char *path,
                              const struct mr_disk_stat *stat)
{
    for (struct tail *tail = find_by_inode(fs, stat->inode); tail != NULL;
         tail = tail->inode_next) {
        bool needs_content;

        if (tail->fd >= 0) {
            if (identity_is_at(&tail->position.identity, stat)) {
                return tail;
            }
            continue;
        }
        if (!identity_may_be(&tail->position.identity, stat, &needs_content)) {
            continue;
        }
        if (!needs_content || tail->is_gzip ||
            find_has_content(fs, path, &tail->position.identity, tail->position.offset)) {
            return tail;
        }
    }
    return NULL;
}

bool find_has_content(struct file_source *fs, const char *path, const struct identity *identity,
                      int64_t offset)
{
    struct mr_disk_stat stat;
    enum identity_answer answer = IDENTITY_UNKNOWN;
    int fd;

    if (mr_disk_open(fs->disk, path, MR_DISK_READ, &fd, NULL) != 0) {
        return false;
    }
    if (mr_disk_fstat(fs->disk, fd, &stat) == 0) {
        answer = identity_compare(identity, fs->disk, fd, stat.size_bytes, offset);
    }
    mr_disk_close(fs->disk, fd);
    return answer == IDENTITY_SAME;
}

static bool is_too_old(const struct file_source *fs, const struct mr_disk_stat *stat)
{
    int64_t age_ms = mr_loop_wall_ms(fs->host->loop) - stat->modified_us / 1000;

    return fs->options->ignore_older_ms > 0 && age_ms > fs->options->ignore_older_ms;
}

void find_check_path(struct file_source *fs, const char *path, const char *origin)
{
    struct tail *holder = mr_map_get_text(&fs->by_path, path);
    struct mr_disk_stat stat;
    struct tail *known;
    int rc = mr_disk_stat(fs->disk, path, &stat);

    if (rc != 0 || !stat.is_regular) {
        if (holder != NULL && (rc == 0 || rc == MR_ENOENT)) {
            find_detach(holder);
        }
        return;
    }
    known = recognise(fs, path, &stat);
    if (holder != NULL && holder == known) {
        file_ready(holder, holder->is_detached);
        return;
    }
    if (holder != NULL) {
        find_detach(holder);
    }
    if (known != NULL) {
        find_bind(known, path, &stat);
    } else if (origin != NULL) {
        (void)find_admit(fs, path, origin, &stat);
    } else if (path_set_match(&fs->paths, path) && !is_too_old(fs, &stat)) {
        (void)find_admit(fs, path, path, &stat);
    }
}

/* ---- walks ---- */

/* A file that the walk saw: only what differs from what we know costs a system call. */
static void apply_file(struct file_source *fs, const struct walk_file *file)
{
    struct tail *holder = mr_map_get_text(&fs->by_path, file->path);

    if (file->target != NULL) {
        char *link = mr_strdup(file->path);
        void *old = NULL;

        if (link != NULL &&
            mr_map_put(&fs->aliases, file->target, strlen(file->target), link, &old) != 0) {
            mr_free(link);
        }
        mr_free(old);
    }
    if (holder != NULL) {
        holder->seen_walk = fs->walk_count;
        if (identity_is_at(&holder->position.identity, &file->stat) &&
            holder->size_bytes == file->stat.size_bytes &&
            holder->modified_us == file->stat.modified_us) {
            return;
        }
    }
    find_check_path(fs, file->path, NULL);
    holder = mr_map_get_text(&fs->by_path, file->path);
    if (holder != NULL) {
        holder->seen_walk = fs->walk_count;
        holder->modified_us = file->stat.modified_us;
    }
}

/* The path may be freed meanwhile: it is lent as a copy. */
static void check_path_of(struct tail *tail)
{
    char *path = mr_strdup(tail->path);

    if (path != NULL) {
        find_check_path(tail->fs, path, NULL);
    }
    mr_free(path);
}

/* Not while something is walking over the files: these are freed. */
static void forget(struct file_source *fs, struct mr_link *gone, const int64_t *count,
                   int64_t count_max, int64_t age_ms)
{
    int64_t now = mr_loop_now_ms(fs->host->loop);

    mr_list_each(gone, link, next)
    {
        struct tail *tail = mr_container(link, struct tail, gone_link);

        if (*count <= count_max && now - tail->changed_ms <= age_ms) {
            return; /* those behind it went later */
        }
        if (tail->under_way == 0) {
            fs->host->ops->position_forget(fs->host, tail->key, sizeof tail->key);
            tail_free(tail);
        }
    }
}

static void forget_old(struct file_source *fs)
{
    forget(fs, &fs->deleted, &fs->deleted_count, DELETED_MAX, FORGET_DELETED_MS);
    forget(fs, &fs->missing, &fs->missing_count, missing_max(fs), FORGET_MISSING_MS);
}

/* By their names, which of two rotated files is older: the longer one (a number more); of the same
 * length, dates grow and small numbers shift. */
int find_compare_names(const char *left, const char *right)
{
    enum { DATE_DIGITS_MIN = 5 };
    size_t left_size = strlen(left);
    size_t right_size = strlen(right);
    size_t at = 0;

    if (left_size != right_size) {
        return left_size > right_size ? -1 : 1;
    }
    while (left[at] != 0 && left[at] == right[at]) {
        at++;
    }
    while (at > 0 && left[at - 1] >= '0' && left[at - 1] <= '9') {
        at--;
    }
    return strspn(left + at, "0123456789") >= DATE_DIGITS_MIN ? strcmp(left, right)
                                                              : strcmp(right, left);
}

/* The older content first, so that files rotated while nobody looked are read in their order. Time
 * stamps are coarse (a tick of the kernel); among equals, "app.log.2" is older than "app.log.1",
 * and that than "app.log". */
static int by_age(const void *left, const void *right)
{
    const struct walk_file *a = left;
    const struct walk_file *b = right;

    if (a->stat.modified_us != b->stat.modified_us) {
        return a->stat.modified_us < b->stat.modified_us ? -1 : 1;
    }
    return find_compare_names(a->path, b->path);
}

void find_apply_walk(struct file_source *fs, struct walk *walk)
{
    fs->walk_count++;
    if (walk->file_count > 1) {
        qsort(walk->files, walk->file_count, sizeof *walk->files, by_age);
    }
    if (!fs->has_started) {
        /* Known files first, wherever they are now: only then is what remains new, or a copy. */
        for (size_t i = 0; i < walk->file_count; i++) {
            if (recognise(fs, walk->files[i].path, &walk->files[i].stat) != NULL) {
                find_check_path(fs, walk->files[i].path, NULL);
            }
        }
        copy_find_lost(fs);
    }
    for (size_t i = 0; i < walk->file_count; i++) {
        apply_file(fs, &walk->files[i]);
    }
    if (walk->failed == 0) {
        mr_list_each(&fs->all, link, next)
        {
            struct tail *tail = mr_container(link, struct tail, all_link);

            if (tail->path != NULL && tail->seen_walk != fs->walk_count) {
                check_path_of(tail);
            }
        }
    }
    forget_old(fs);
    close_idle(fs);
    if (!fs->has_started && fs->is_first_start && fs->options->start_at == START_END) {
        remember_start(fs);
    }
}

/* ---- the tick: what no event tells ---- */

/* At its end, as far as it can be read. */
static bool is_drained(const struct tail *tail)
{
    return tail_state(tail) == TAIL_IDLE && !tail->is_dirty && tail->error_code == 0;
}

static void close_early(struct tail *tail)
{
    int64_t behind = reader_behind(tail);

    mr_warn("a deleted file is closed before its end", KV_STR("source", tail->fs->host->source_id),
            KV_STR("path", tail->origin), KV_I64("unread_bytes", behind));
    tail->fs->host->ops->dropped(tail->fs->host, "deleted_limit", 0, behind);
    tail->is_deleted = true;
    to_missing(tail);
}

static void poll_detached(struct tail *tail, int64_t now, bool looks_again)
{
    struct file_source *fs = tail->fs;
    int64_t quiet = now - tail->changed_ms;
    int64_t wait = tail->is_deleted ? 0 : fs->options->rotated_wait_ms;

    if (!is_drained(tail) || fs->is_blocked || fs->is_starved || tail->model != NULL) {
        return;
    }
    if (!looks_again || quiet < wait) {
        file_ready(tail, true); /* once more: has it grown? */
        return;
    }
    if (!tail->is_finished) {
        if (reader_finish(tail) != READER_IDLE) {
            return;
        }
        tail->is_finished = true;
    }
    if (tail->is_deleted || (tail->path == NULL && quiet > UNKNOWN_PLACE_WAIT_MS)) {
        to_missing(tail);
    } else if (tail->path != NULL && watch_covers(fs, tail->path)) {
        mr_list_remove(&tail->lost_link); /* events tell if it goes on after all */
        reader_close(tail);
    } else {
        file_ready(tail, true);
    }
}

static bool is_beyond_limit(const struct tail *tail, int64_t count, int64_t now)
{
    const struct file_options *options = tail->fs->options;

    return tail_state(tail) != TAIL_LOADING &&
           (count > options->deleted_files_max ||
            (options->deleted_age_ms_max > 0 &&
             now - tail->changed_ms > options->deleted_age_ms_max));
}

/* While the host takes nothing there are no turns, and so nobody else asks whether it has a name.
 */
static void look_for_name(struct tail *tail)
{
    struct mr_disk_stat stat;

    if (tail->is_detached && !tail->is_deleted && tail->fd >= 0 && !is_drained(tail) &&
        tail_state(tail) != TAIL_LOADING && mr_disk_fstat(tail->fs->disk, tail->fd, &stat) == 0) {
        tail->is_deleted = stat.link_count == 0;
    }
}

void find_tick(struct file_source *fs)
{
    int64_t now = mr_loop_now_ms(fs->host->loop);
    int64_t deleted_open = 0;
    int64_t deleted_bytes = 0;

    mr_list_each(&fs->lost, link, next)
    {
        struct tail *tail = mr_container(link, struct tail, lost_link);
        bool looks_again = tail->was_polled;

        look_for_name(tail);
        if (tail->is_deleted && tail->fd >= 0 && !is_drained(tail)) {
            deleted_open++;
            deleted_bytes += reader_behind(tail);
            if (is_beyond_limit(tail, deleted_open, now)) {
                close_early(tail);
                continue;
            }
        }
        tail->was_polled = true;
        if (tail->error_code != 0) {
            file_ready(tail, false);
        } else if (tail->is_detached) {
            poll_detached(tail, now, looks_again);
        } else {
            mr_list_remove(&tail->lost_link); /* its error has passed */
        }
    }
    fs->counts[FILE_DELETED_OPEN] = deleted_open;
    fs->counts[FILE_DELETED_OPEN_BYTES] = deleted_bytes;
    copy_tick(fs);
    forget_old(fs);
    if (!mr_list_is_empty(&fs->lost) || !mr_list_is_empty(&fs->held)) {
        file_tick_soon(fs);
    }
}
