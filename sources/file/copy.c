/* Copies: rotation that is not a rename.
 *
 * copytruncate copies a log and then truncates it. What was not yet read of the old content is then
 * in the copy alone, and what was read is in there too. So:
 *
 *   - A new file whose content equals that of a file under the globs, as far as that was read, is
 * HELD: it may be a copy whose original is truncated in a moment. If that happens, it is read on
 * from the original's position. If not, it is a file of its own and read from byte 0 (P6).
 *   - When a file is truncated, its copy is looked for among the held files and in its directory,
 * also outside of the globs. The copy's remaining bytes are read first, then the original from 0.
 *
 * A crash between these steps is harmless by their order in the log: first the copy's position (so
 * that it is never taken for unread), then its bytes, then the original's new position. Until the
 * last is durable, a restart finds the original changed, and the copy known. */
#include <string.h>

#include "sources/file/find_internal.h"
#include "sources/file/reader_internal.h"

#include "base/codec/gunzip.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"

enum {
    HOLD_RELATED_MS = 5000,
    CERTAIN_SIZE = 4096, /* so much of the same content is no accident, whatever the names */
};

/* ---- does this look like a copy? ---- */

/* "app.log.1", "app.log-20260301", "app-20260301.log", "app.1.log" beside "app.log". */
bool copy_is_related(const char *path, const char *original)
{
    const char *name = strrchr(path, '/');
    const char *other = strrchr(original, '/');
    const char *dot;
    size_t stem;

    name = name == NULL ? path : name + 1;
    other = other == NULL ? original : other + 1;
    dot = strrchr(other, '.');
    stem = dot == NULL || dot == other ? strlen(other) : (size_t)(dot - other);
    return strncmp(name, other, stem) == 0 && name[stem] != 0 && strchr(".-_", name[stem]) != NULL;
}

/* Whether a file with the same content so far may be taken for a copy at all. Two that begin with
 * the same banner are two, and losing the one is worse than reading a copy under a strange name
 * twice. */
static bool is_credible(const char *path, const struct tail *original)
{
    return original->position.offset >= CERTAIN_SIZE || copy_is_related(path, original->origin) ||
           (original->path != NULL && copy_is_related(path, original->path));
}

static const char *path_of(const struct tail *tail)
{
    return tail->path == NULL ? tail->origin : tail->path;
}

/* Whether the files hold the same bytes at [from, from + size), size <= 1024. */
static bool same_bytes(const struct tail *left, const struct tail *right, int64_t from, size_t size)
{
    struct mr_disk *disk = left->fs->disk;
    uint8_t left_bytes[HEAD_SIZE_MAX];
    uint8_t right_bytes[HEAD_SIZE_MAX];

    return mr_disk_pread(disk, left->fd, left_bytes, size, from) == (ssize_t)size &&
           mr_disk_pread(disk, right->fd, right_bytes, size, from) == (ssize_t)size &&
           memcmp(left_bytes, right_bytes, size) == 0;
}

/* Whether all that `tail` holds so far could be copied from `model`. A whole copy is told by what
 * we know of the model, which may be truncated already; one that is still growing, by comparing the
 * two. */
static bool could_be_copy(struct tail *tail, struct tail *model)
{
    const struct position *position = &model->position;
    int64_t end = tail->size_bytes;
    size_t head = (size_t)(end < HEAD_SIZE_MAX ? end : HEAD_SIZE_MAX);
    size_t last = (size_t)(end < TAIL_SIZE_MAX ? end : TAIL_SIZE_MAX);

    if (end <= 0 || reader_open(tail) != 0) {
        return false;
    }
    if (end >= position->offset) {
        return identity_compare(&position->identity, tail->fs->disk, tail->fd, end,
                                position->offset) == IDENTITY_SAME;
    }
    return reader_open(model) == 0 && same_bytes(tail, model, 0, head) &&
           same_bytes(tail, model, end - (int64_t)last, last);
}

/* A model is a file that is read, under the path where it always was: one that copytruncate can
 * have copied and not yet truncated. */
static bool can_be_model(const struct tail *model, const struct tail *tail)
{
    return model != NULL && model != tail && model->path != NULL && !model->is_detached &&
           !model->is_gzip && model->position.offset > 0 && tail_state(model) != TAIL_HELD &&
           tail_state(model) != TAIL_MISSING && tail_state(model) != TAIL_LOADING;
}

static struct tail *model_by_head(struct tail *tail)
{
    struct file_source *fs = tail->fs;
    uint8_t head[HEAD_SIZE_MAX];
    ssize_t got = mr_disk_pread(fs->disk, tail->fd, head, sizeof head, 0);

    for (ssize_t size = got; size > 0; size--) {
        struct identity identity = {.head_size = (uint16_t)size};

        if (fs->head_sizes[size] == 0) {
            continue;
        }
        identity.head_hash = identity_hash(head, (size_t)size);
        for (struct tail *model = find_by_head(fs, identity.head_hash, (size_t)size); model != NULL;
             model = model->head_next) {
            if (can_be_model(model, tail) && is_credible(path_of(tail), model) &&
                could_be_copy(tail, model)) {
                return model;
            }
        }
    }
    return NULL;
}

/* A copy that has just begun has not even a whole head: its name must tell. */
static struct tail *model_by_name(struct tail *tail)
{
    struct file_source *fs = tail->fs;
    char *name = mr_strdup(tail->path);
    size_t size = strlen(tail->path);
    struct tail *model = NULL;

    while (name != NULL && --size > 0 && name[size - 1] != '/' && model == NULL) {
        struct tail *other;

        name[size] = 0;
        other = mr_map_get_text(&fs->by_path, name);
        if (can_be_model(other, tail) && could_be_copy(tail, other)) {
            model = other;
        }
    }
    mr_free(name);
    return model;
}

/* The first decompressed bytes of a gzip'ed file; 0: it is none, or has none yet. Fewer than a
 * whole head: nothing more comes, or, where *ret_is_whole is false, it is still being written. */
static size_t gzip_head(struct file_source *fs, int fd, uint8_t head[HEAD_SIZE_MAX],
                        bool *ret_is_whole)
{
    uint8_t input[4096];
    struct mr_gunzip *gunzip;
    size_t consumed;
    size_t produced = 0;
    ssize_t got = mr_disk_pread(fs->disk, fd, input, sizeof input, 0);

    *ret_is_whole = false;
    if (got <= 0 || !mr_gunzip_is_gzip(input, (size_t)got) || mr_gunzip_new(&gunzip) != 0) {
        return 0;
    }
    (void)mr_gunzip_feed(gunzip, input, (size_t)got, &consumed, head, HEAD_SIZE_MAX, &produced);
    *ret_is_whole = produced == HEAD_SIZE_MAX || mr_gunzip_is_at_end(gunzip);
    mr_gunzip_free(gunzip);
    return produced;
}

/* The file that a compressed one was made of, told by its head and its name. Whether it really is
 * shows when the bytes before the position are decompressed. */
static struct tail *original_of(struct file_source *fs, const struct tail *self, const char *path,
                                const uint8_t *head, size_t head_size, bool is_missing)
{
    for (size_t size = head_size; size > 0; size--) {
        struct tail *tail = NULL;

        if (fs->head_sizes[size] > 0) {
            tail = find_by_head(fs, identity_hash(head, size), size);
        }
        for (; tail != NULL; tail = tail->head_next) {
            if (tail != self && !tail->is_gzip &&
                (tail_state(tail) == TAIL_MISSING || !is_missing) &&
                (copy_is_related(path, tail->origin) ||
                 (tail->path != NULL && copy_is_related(path, tail->path)))) {
                return tail;
            }
        }
    }
    return NULL;
}

static void inherit_position(struct tail *heir, const struct position *position);

/* A compressed copy adds nothing to a file that is still there; once that is gone, it is read on
 * where that stood. */
static bool gzip_must_wait(struct tail *tail)
{
    uint8_t head[HEAD_SIZE_MAX];
    bool is_whole;
    size_t size = gzip_head(tail->fs, tail->fd, head, &is_whole);
    struct tail *original = original_of(tail->fs, tail, path_of(tail), head, size, false);
    int64_t age_ms = mr_loop_now_ms(tail->fs->host->loop) - tail->changed_ms;

    if (original == NULL && !is_whole && age_ms < HOLD_RELATED_MS) {
        return true; /* its head is still being written */
    }
    tail->is_released = size > 0;
    if (original == NULL) {
        return false;
    }
    if (tail_state(original) == TAIL_MISSING) {
        inherit_position(tail, &original->position);
        return false;
    }
    find_set_model(tail, original);
    return true;
}

bool copy_must_wait(struct tail *tail)
{
    struct tail *model;

    if (tail->is_gzip && !tail->is_released && tail->position.offset == 0 &&
        tail->position.generation == 0) {
        return gzip_must_wait(tail);
    }
    if (tail->is_released || tail->position.offset > 0 || tail->position.generation > 0 ||
        tail->is_gzip || tail->is_detached || tail->size_bytes <= 0) {
        return false;
    }
    model = model_by_head(tail);
    if (model == NULL) {
        model = model_by_name(tail);
    }
    tail->is_released = model == NULL;
    find_set_model(tail, model);
    return model != NULL;
}

/* ---- the end of waiting ---- */

static void unhold(struct tail *tail)
{
    mr_list_remove(&tail->queue_link);
    mr_state_move(&tail->machine, TAIL_IDLE, tail->path);
    file_ready(tail, false);
}

static void release(struct tail *tail)
{
    tail->is_released = true;
    find_set_model(tail, NULL);
    unhold(tail);
}

/* The file goes on where another one, with the same content up to there, stood. */
static void inherit_position(struct tail *heir, const struct position *position)
{
    struct identity own = heir->position.identity;

    find_unindex_head(heir);
    heir->position = *position;
    heir->position.identity.device = own.device;
    heir->position.identity.inode = own.inode;
    heir->position.identity.born_us = own.born_us;
    heir->position.flags |= heir->is_gzip ? POSITION_GZIP : 0;
    heir->is_copy = true;
    find_index_head(heir);
    heir->fs->counts[FILE_COPIES]++;
    mr_info("a copy is read on where its original stood",
            KV_STR("source", heir->fs->host->source_id), KV_STR("path", heir->path),
            KV_I64("offset", position->offset));
}

void copy_model_gone(struct tail *model)
{
    if (model->model_uses == 0) {
        return;
    }
    mr_list_each(&model->fs->held, link, next)
    {
        struct tail *tail = mr_container(link, struct tail, queue_link);

        if (tail->model != model) {
            continue;
        }
        /* Copied, then deleted: what was read of the one needs not be read of the other. */
        if (tail->is_gzip) {
            inherit_position(tail, &model->position);
            (void)file_offer_position(tail);
        } else if (tail->fd >= 0 &&
                   identity_compare(&model->position.identity, tail->fs->disk, tail->fd,
                                    tail->size_bytes, model->position.offset) == IDENTITY_SAME) {
            inherit_position(tail, &model->position);
            (void)file_offer_position(tail);
        }
        release(tail);
    }
    copy_drained(model); /* if it was a copy itself, who waits for it goes on */
}

void copy_tick(struct file_source *fs)
{
    int64_t now = mr_loop_now_ms(fs->host->loop);

    mr_list_each(&fs->held, link, next)
    {
        struct tail *tail = mr_container(link, struct tail, queue_link);
        int64_t hold = fs->options->scan_interval_ms;
        struct mr_disk_stat stat;

        if (tail->model != NULL && tail->model->path != NULL &&
            copy_is_related(path_of(tail), tail->model->path)) {
            hold = HOLD_RELATED_MS;
        }
        if (reader_open(tail) == 0 && mr_disk_fstat(fs->disk, tail->fd, &stat) == 0 &&
            stat.size_bytes != tail->size_bytes) {
            tail->size_bytes = stat.size_bytes;
            tail->changed_ms = now;
        }
        if (tail->is_gzip) {
            if (tail->model == NULL) {
                unhold(tail); /* looked at again */
            }
            continue; /* else until its original is gone */
        }
        if (tail->model == NULL || !can_be_model(tail->model, tail) ||
            !could_be_copy(tail, tail->model) || now - tail->changed_ms >= hold) {
            if (tail->model == NULL || tail_state(tail->model) != TAIL_LOADING) {
                release(tail);
            }
        }
    }
}

/* ---- the copy of a truncated or missing file ---- */

struct search {
    struct file_source *fs;
    const struct tail *original;
    const char *directory;
    char *found; /* the newest so far */
    struct mr_disk_stat found_stat;
    bool is_gzip; /* what was found */
};

static char *join(const char *directory, const char *name)
{
    return mr_asprintf("%s%s%s", directory, strcmp(directory, "/") == 0 ? "" : "/", name);
}

static bool was_read(struct file_source *fs, const struct mr_disk_stat *stat)
{
    for (struct tail *tail = find_by_inode(fs, stat->inode); tail != NULL;
         tail = tail->inode_next) {
        if (tail->position.identity.device == stat->device && tail_state(tail) != TAIL_MISSING &&
            (tail->position.offset > 0 || tail->position.generation > 0)) {
            return true;
        }
    }
    return false;
}

/* The copy may be compressed by now. Head and name tell; whether it really is the copy shows when
 * the bytes before the position are decompressed. */
static bool is_compressed_copy(struct file_source *fs, const char *path,
                               const struct tail *original)
{
    const struct identity *identity = &original->position.identity;
    uint8_t head[HEAD_SIZE_MAX];
    bool is_whole;
    size_t size;
    int fd;

    if (!fs->options->gzip || identity->head_size == 0 ||
        !copy_is_related(path, original->origin) ||
        mr_disk_open(fs->disk, path, MR_DISK_READ, &fd, NULL) != 0) {
        return false;
    }
    size = gzip_head(fs, fd, head, &is_whole);
    mr_disk_close(fs->disk, fd);
    return size >= identity->head_size &&
           identity_hash(head, identity->head_size) == identity->head_hash;
}

static int on_candidate(void *owner, const char *name)
{
    struct search *search = owner;
    const struct position *position = &search->original->position;
    struct mr_disk_stat stat;
    char *path = join(search->directory, name);
    bool is_plain;

    if (path == NULL) {
        return MR_ENOMEM;
    }
    if (mr_disk_stat(search->fs->disk, path, &stat) != 0 || !stat.is_regular ||
        identity_is_at(&position->identity, &stat) || was_read(search->fs, &stat) ||
        !is_credible(path, search->original) ||
        (search->found != NULL && stat.modified_us <= search->found_stat.modified_us)) {
        mr_free(path);
        return 0;
    }
    is_plain = stat.size_bytes >= position->offset &&
               find_has_content(search->fs, path, &position->identity, position->offset);
    if (is_plain || is_compressed_copy(search->fs, path, search->original)) {
        mr_free(search->found);
        search->found = path;
        search->found_stat = stat;
        search->is_gzip = !is_plain;
        return 0;
    }
    mr_free(path);
    return 0;
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return mr_strdup(".");
    }
    return slash == path ? mr_strdup("/") : mr_strndup(path, (size_t)(slash - path));
}

/* A file with the original's content, as a tail that has not been read; NULL: there is none. */
static struct tail *find_copy(struct tail *original)
{
    struct file_source *fs = original->fs;
    struct search search = {.fs = fs, .original = original};
    struct tail *copy = NULL;
    char *directory;

    if (original->position.identity.head_size == 0) {
        return NULL; /* nothing was read of it: a copy is simply read from its start */
    }
    mr_list_each(&fs->held, link, next)
    {
        struct tail *held = mr_container(link, struct tail, queue_link);

        if (held->model == original && held->path != NULL &&
            (held->is_gzip || find_has_content(fs, held->path, &original->position.identity,
                                               original->position.offset))) {
            release(held);
            return held;
        }
    }
    directory = directory_of(original->origin);
    if (directory == NULL) {
        return NULL;
    }
    search.directory = directory;
    (void)fs->disk->ops->list(fs->disk, directory, on_candidate, &search);
    mr_free(directory);
    if (search.found != NULL) {
        copy = find_by_inode(fs, search.found_stat.inode);
        while (copy != NULL && (tail_state(copy) == TAIL_MISSING || /* of an earlier file */
                                !identity_is_at(&copy->position.identity, &search.found_stat))) {
            copy = copy->inode_next;
        }
        if (copy == NULL) {
            copy = find_admit(fs, search.found, search.found, &search.found_stat);
        }
        if (copy != NULL && tail_state(copy) == TAIL_HELD) {
            release(copy);
        }
        if (copy != NULL && search.is_gzip) {
            copy->is_gzip = true;
            copy->is_released = true;
        }
        mr_free(search.found);
    }
    return copy;
}

/* From byte 0, as another generation of the same file. */
static void restart(struct tail *tail)
{
    struct identity identity = tail->position.identity;
    uint32_t generation = tail->position.generation;

    find_unindex_head(tail);
    reader_forget_decoders(tail);
    position_init(&tail->position);
    tail->position.identity.device = identity.device;
    tail->position.identity.inode = identity.inode;
    tail->position.identity.born_us = identity.born_us;
    tail->position.generation = generation + 1;
    tail->size_bytes = -1;
    tail->is_finished = false;
    (void)file_offer_position(tail); /* without it, the first lines will move the position */
    file_ready(tail, false);
}

void copy_changed(struct tail *tail)
{
    struct file_source *fs = tail->fs;
    int64_t lost = reader_behind(tail);
    struct tail *copy;

    mr_assert(tail_state(tail) == TAIL_IDLE);
    fs->counts[FILE_TRUNCATIONS]++;
    file_flush_at(tail, -1);
    if (tail->is_gzip) { /* not what its head promised: a file of its own */
        if (tail->in_glob) {
            restart(tail);
        }
        return;
    }
    copy = find_copy(tail);
    if (copy == NULL) {
        mr_warn("a file was truncated or rewritten: it is read from its start",
                KV_STR("source", fs->host->source_id),
                KV_STR("path", tail->path == NULL ? tail->origin : tail->path),
                KV_I64("offset", tail->position.offset), KV_I64("unread_bytes", lost));
        if (lost > 0) {
            fs->host->ops->dropped(fs->host, "truncated", 0, lost);
        }
        if (tail->joiner != NULL && joiner_has_pending(tail->joiner)) {
            (void)reader_flush(tail); /* it is in memory still: rather deliver than lose it */
        }
        restart(tail);
        return;
    }
    inherit_position(copy, &tail->position);
    (void)file_offer_position(copy);
    find_set_model(copy, NULL);
    find_set_model(tail, copy);
    mr_state_move(&tail->machine, TAIL_WAITING, tail->path);
    file_ready(copy, true);
}

void copy_drained(struct tail *copy)
{
    struct file_source *fs = copy->fs;

    if (copy->model_uses == 0) {
        return;
    }
    mr_list_each(&fs->all, link, next)
    {
        struct tail *tail = mr_container(link, struct tail, all_link);

        if (tail->model == copy && tail_state(tail) == TAIL_WAITING) {
            find_set_model(tail, NULL);
            mr_state_move(&tail->machine, TAIL_IDLE, tail->path);
            restart(tail);
        }
    }
}

/* ---- at start: where are the files that we knew? ---- */

struct lost_search {
    struct file_source *fs;
    const char *directory;
    bool by_content;
};

/* Whether a name in a directory is a file that is missing: by its inode, or by its content. */
static int on_lost_candidate(void *owner, const char *name)
{
    struct lost_search *search = owner;
    struct file_source *fs = search->fs;
    char *path = join(search->directory, name);
    struct mr_disk_stat stat;

    if (path == NULL) {
        return MR_ENOMEM;
    }
    if (mr_map_get_text(&fs->by_path, path) == NULL && mr_disk_stat(fs->disk, path, &stat) == 0 &&
        stat.is_regular) {
        if (!search->by_content) {
            if (find_by_inode(fs, stat.inode) != NULL) {
                find_check_path(fs, path, NULL);
            }
        } else if (!was_read(fs, &stat)) {
            copy_adopt(fs, path, &stat);
        }
    }
    mr_free(path);
    return 0;
}

static void search_directory(struct file_source *fs, const struct tail *tail, bool by_content,
                             struct mr_map *searched)
{
    char *directory = directory_of(tail->origin);
    struct lost_search search = {fs, directory, by_content};

    if (directory != NULL && mr_map_get_text(searched, directory) == NULL &&
        mr_map_put_text(searched, directory, searched) == 0) {
        (void)fs->disk->ops->list(fs->disk, directory, on_lost_candidate, &search);
    }
    mr_free(directory);
}

void copy_find_lost(struct file_source *fs)
{
    for (int by_content = 0; by_content <= 1; by_content++) {
        struct mr_map searched;

        mr_map_init(&searched);
        mr_list_each(&fs->all, link, next)
        {
            struct tail *tail = mr_container(link, struct tail, all_link);

            if (tail_state(tail) == TAIL_MISSING) {
                search_directory(fs, tail, by_content == 1, &searched);
            }
        }
        mr_map_done(&searched);
    }
}

/* A file with an unknown inode, which has the content of one that is missing since before this
 * start: copied, compressed or moved to another file system while the node was down. */
bool copy_adopt(struct file_source *fs, const char *path, const struct mr_disk_stat *stat)
{
    uint8_t head[HEAD_SIZE_MAX];
    ssize_t got = -1;
    bool is_whole;
    size_t gzip_size = 0;
    int fd;

    if (mr_disk_open(fs->disk, path, MR_DISK_READ, &fd, NULL) == 0) {
        gzip_size = fs->options->gzip ? gzip_head(fs, fd, head, &is_whole) : 0;
        if (gzip_size == 0) {
            got = mr_disk_pread(fs->disk, fd, head, sizeof head, 0);
        }
        mr_disk_close(fs->disk, fd);
    }
    if (gzip_size > 0) {
        struct tail *original = original_of(fs, NULL, path, head, gzip_size, true);

        if (original == NULL || !original->is_restored) {
            return false;
        }
        original->is_gzip = true;
        original->is_copy = true;
        original->position.flags |= POSITION_GZIP;
        find_bind(original, path, stat);
        return true;
    }
    for (ssize_t size = got; size > 0; size--) {
        struct tail *tail = NULL;

        if (fs->head_sizes[size] > 0) {
            tail = find_by_head(fs, identity_hash(head, (size_t)size), (size_t)size);
        }
        for (; tail != NULL; tail = tail->head_next) {
            if (tail_state(tail) == TAIL_MISSING && tail->is_restored && !tail->is_gzip &&
                strcmp(tail->origin, path) != 0 && is_credible(path, tail) &&
                find_has_content(fs, path, &tail->position.identity, tail->position.offset)) {
                tail->is_copy = true;
                find_bind(tail, path, stat);
                return true;
            }
        }
    }
    return false;
}
