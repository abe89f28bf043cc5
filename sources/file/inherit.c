/* Container lines that go on in the next file.
 *
 * A runtime that rotates in the middle of a long line leaves its first pieces at the end of the old
 * file and its last at the start of the new one under the same path. The new file takes the pieces
 * over before its first line is read.
 *
 * Whose they are is decided by the new file's position: until its first block is durable, a restart
 * finds the pieces pending in the old file, and they are taken over again; from then on its
 * position names the old file (by key), the lanes that were taken over for good, and, while such a
 * line is not whole, where it begins there, so that a restart reads these pieces again. */
#include <string.h>

#include "sources/file/find_internal.h"
#include "sources/file/reader_internal.h"

#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"

enum { PENDING_SHIFT = 4, CHAIN_MAX = 100 };

static bool is_name_of(const struct tail *rotated, const struct tail *tail)
{
    const char *slash = strrchr(tail->origin, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - tail->origin) + 1;

    return strncmp(rotated->origin, tail->origin, size) == 0 &&
           strchr(rotated->origin + size, '/') == NULL &&
           copy_is_related(rotated->origin, tail->origin);
}

/* How much of a path is left without what a rotation put behind it: ".1", ".20260301-120000". */
static size_t base_size(const char *path)
{
    size_t size = strlen(path);
    size_t at = size;

    while (at > 0 && strchr("0123456789.-_:TZ", path[at - 1]) != NULL) {
        at--;
    }
    while (at < size && path[at] != '.') {
        at++;
    }
    return at > 0 && path[at - 1] != '/' ? at : size;
}

/* Both have, or had, the same name, but for what a rotation put behind it. */
static bool is_of_family(const struct tail *left, const struct tail *right)
{
    size_t size = base_size(left->origin);

    return size == base_size(right->origin) && memcmp(left->origin, right->origin, size) == 0;
}

static bool is_rotated(const struct tail *tail)
{
    return tail->is_detached || tail->origin[base_size(tail->origin)] != 0;
}

/* Rotated from the same path; or, while nobody looked, to a name like it. */
static bool can_precede(const struct tail *other, const struct tail *tail)
{
    if (is_of_family(other, tail)) {
        return is_rotated(other);
    }
    return (other->is_found && is_name_of(other, tail)) ||
           (other->is_detached && tail->is_found && is_name_of(tail, other));
}

/* Births are as coarse as the kernel's tick. Among equals, the one that was rotated, or that was
 * known first. */
static bool is_older(const struct tail *left, const struct tail *right)
{
    int64_t left_us = left->position.identity.born_us;
    int64_t right_us = right->position.identity.born_us;

    if (left_us != right_us) {
        return left_us < right_us;
    }
    if (is_rotated(left) != is_rotated(right)) {
        return is_rotated(left);
    }
    if (left->admission != right->admission) {
        return left->admission < right->admission;
    }
    return find_compare_names(left->path == NULL ? left->origin : left->path,
                              right->path == NULL ? right->origin : right->path) < 0;
}

/* The file whose place this one took: of those that can be, the one that was born last before it.
 * Where the file system keeps no births: one that was rotated from the same path, with unfinished
 * lines. */
static struct tail *predecessor_of(struct tail *tail)
{
    int64_t born_us = tail->position.identity.born_us;
    struct tail *found = NULL;

    mr_list_each(&tail->fs->all, link, next)
    {
        struct tail *other = mr_container(link, struct tail, all_link);
        int64_t other_us = other->position.identity.born_us;

        if (other == tail || tail_state(other) == TAIL_MISSING) {
            continue;
        }
        if (born_us != 0 ? other_us != 0 && is_older(other, tail) &&
                               (found == NULL || is_older(found, other)) && can_precede(other, tail)
                         : other->is_detached && !tail->is_detached &&
                               strcmp(other->origin, tail->origin) == 0 &&
                               (joiner_replay_start(other->position.lanes) >= 0 ||
                                other->is_dirty || tail_state(other) != TAIL_IDLE)) {
            found = other;
        }
    }
    return found;
}

/* ---- files between the predecessor and its heir that nobody has told of yet ---- */

struct beside {
    struct tail *tail;
    const char *directory;
    size_t base_size; /* of the tail's origin */
    int64_t first_us; /* the predecessor's birth; -1: there is none */
};

/* Born between the two, under the same name: it had the tail's place before it. */
static int on_beside(void *owner, const char *name)
{
    const struct beside *beside = owner;
    struct file_source *fs = beside->tail->fs;
    const struct identity *identity = &beside->tail->position.identity;
    struct mr_disk_stat stat;
    char *path = mr_asprintf("%s%s", beside->directory, name);

    if (path == NULL) {
        return MR_ENOMEM;
    }
    if (base_size(path) == beside->base_size && path[beside->base_size] != 0 &&
        memcmp(path, beside->tail->origin, beside->base_size) == 0 &&
        mr_map_get_text(&fs->by_path, path) == NULL && mr_disk_stat(fs->disk, path, &stat) == 0 &&
        stat.born_us != 0 && stat.born_us <= identity->born_us &&
        !identity_is_at(identity, &stat)) {
        bool is_meant = path_set_match(&fs->paths, path);

        if (is_meant || (beside->first_us >= 0 && stat.born_us >= beside->first_us)) {
            find_check_path(fs, path, is_meant ? NULL : beside->tail->origin);
        }
    }
    mr_free(path);
    return 0;
}

/* What tells of rotations may lag behind what happens: a walk or an event leads to the newest file
 * before it tells of the one that was rotated a moment ago. */
static void look_beside(struct tail *tail)
{
    struct file_source *fs = tail->fs;
    const struct tail *from = predecessor_of(tail);
    const char *slash = strrchr(tail->origin, '/');
    char *directory =
        mr_strndup(tail->origin, slash == NULL ? 0 : (size_t)(slash - tail->origin) + 1);
    struct beside beside = {
        .tail = tail,
        .directory = directory,
        .base_size = base_size(tail->origin),
        .first_us = from == NULL ? -1 : from->position.identity.born_us,
    };
    uint32_t before = fs->admissions;

    if (directory != NULL && tail->admission > 0 && tail->position.identity.born_us != 0) {
        (void)fs->disk->ops->list(fs->disk, directory, on_beside, &beside);
    }
    if (fs->admissions != before) {
        tail->admission = ++fs->admissions; /* what came to light only now was there before */
    }
    mr_free(directory);
}

/* Whether all that is in it by now was taken. */
static bool is_read(struct tail *from)
{
    struct mr_disk_stat stat;

    if ((tail_state(from) != TAIL_IDLE && tail_state(from) != TAIL_HELD) || from->is_dirty) {
        return false;
    }
    if (from->joiner == NULL) {
        return joiner_replay_start(from->position.lanes) < 0 || reader_open(from) != 0;
    }
    return from->fd < 0 || mr_disk_fstat(from->fs->disk, from->fd, &stat) != 0 ||
           stat.size_bytes == from->size_bytes;
}

bool inherit_begin(struct tail *tail)
{
    struct file_source *fs = tail->fs;
    struct position *position = &tail->position;
    struct tail *from;
    uint32_t mask;

    if (fs->options->format == FORMAT_PLAIN || position->offset > 0 || position->inherited != 0 ||
        tail->joiner != NULL || tail->position.generation > 0 || tail->size_bytes <= 0) {
        return true;
    }
    if (!tail->has_looked) {
        tail->has_looked = true;
        look_beside(tail);
    }
    from = predecessor_of(tail);
    if (from == NULL || from->is_gzip || from->error_code != 0) {
        return true;
    }
    if (!is_read(from)) {
        if (tail->content_us < from->content_us) {
            tail->content_us = from->content_us; /* its turn comes behind that one's */
        }
        file_ready(from, true);
        return false; /* its last lines first */
    }
    mask = from->joiner == NULL ? 0 : joiner_open_lines(from->joiner);
    if (mask == 0) {
        return true;
    }
    tail->joiner = joiner_new(&fs->rules);
    if (tail->joiner == NULL) {
        return false;
    }
    /* Pieces bring out no event, and so no block. Where they end must be durable before the heir
     * is, or they are read a second time. */
    if (file_offer_position(from) != 0) {
        joiner_free(tail->joiner);
        tail->joiner = NULL;
        return false;
    }
    joiner_inherit(tail->joiner, from->joiner, mask);
    memcpy(position->predecessor, from->key, FILE_KEY_SIZE);
    position->inherited = mask | mask << PENDING_SHIFT;
    for (int i = 0; i < LANES; i++) {
        position->inherited_start[i] =
            (mask & UINT32_C(1) << i) != 0 ? from->position.lanes[i].pending_start : 0;
    }
    joiner_export(from->joiner, from->position.lanes);
    joiner_export(tail->joiner, position->lanes);
    file_flush_at(from, -1);
    return true;
}

static struct tail *tail_by_key(struct file_source *fs, const uint8_t *key)
{
    mr_list_each(&fs->all, link, next)
    {
        struct tail *tail = mr_container(link, struct tail, all_link);

        if (memcmp(tail->key, key, FILE_KEY_SIZE) == 0) {
            return tail;
        }
    }
    return NULL;
}

void inherit_restore(struct file_source *fs)
{
    mr_list_each(&fs->all, link, next)
    {
        const struct position *heir = &mr_container(link, struct tail, all_link)->position;
        struct tail *from = heir->inherited == 0 ? NULL : tail_by_key(fs, heir->predecessor);

        for (int i = 0; from != NULL && i < LANES; i++) {
            if ((heir->inherited & UINT32_C(1) << i) != 0) {
                from->position.lanes[i] = (struct lane_position){.pending_start = -1};
            }
        }
    }
}

static int replay_file(struct tail *tail, const struct position *heir, struct tail *from,
                       uint32_t mask, struct chunk *scratch)
{
    struct lines lines = take_lines_of(tail);
    int64_t at = INT64_MAX;

    lines.in_long = false;
    for (int i = 0; i < LANES; i++) {
        if ((mask & UINT32_C(1) << i) != 0 && heir->inherited_start[i] < at) {
            at = heir->inherited_start[i];
        }
    }
    while (at < from->position.offset) {
        struct source_span spans[64];
        ssize_t got = mr_disk_pread(tail->fs->disk, from->fd, scratch->buf.data,
                                    scratch->buf.capacity_bytes, at);
        size_t taken;
        size_t count;

        if (got <= 0) {
            return got < 0 ? (int)got : MR_ETRUNCATED;
        }
        count = lines_split(&lines, scratch->buf.data, (size_t)got, 0, spans, 64, &taken);
        for (size_t i = 0; i < count; i++) {
            uint32_t lanes = 0;

            if (at + spans[i].offset >= from->position.offset) {
                break;
            }
            for (int lane = 0; lane < LANES; lane++) {
                bool is_wanted = at + spans[i].offset >= heir->inherited_start[lane];

                lanes |= is_wanted ? mask & UINT32_C(1) << lane : 0;
            }
            if (joiner_replay_inherited(tail->joiner, lanes, scratch->buf.data + spans[i].offset,
                                        spans[i].size, spans[i].flags) != 0) {
                return MR_ENOMEM;
            }
        }
        if (taken == 0) {
            break;
        }
        at += (int64_t)taken;
    }
    return 0;
}

/* A line may have gone through several files: the oldest first. */
static int replay_chain(struct tail *tail, const struct position *heir, uint32_t mask,
                        struct chunk *scratch, int depth)
{
    struct tail *from = tail_by_key(tail->fs, heir->predecessor);
    uint32_t before = 0;
    int rc = from == NULL || from == tail ? MR_ENOENT : reader_open(from);

    for (int i = 0; rc == 0 && i < LANES; i++) {
        before |= heir->inherited_start[i] == 0 ? mask & from->position.inherited & 1U << i : 0;
    }
    if (rc == 0 && before != 0 && depth < CHAIN_MAX) {
        rc = replay_chain(tail, &from->position, before, scratch, depth + 1);
    }
    return rc != 0 ? rc : replay_file(tail, heir, from, mask, scratch);
}

int inherit_replay(struct tail *tail, struct chunk *scratch)
{
    struct file_source *fs = tail->fs;
    uint32_t mask = tail->position.inherited >> PENDING_SHIFT;
    int rc;

    if (mask == 0) {
        return 0;
    }
    rc = replay_chain(tail, &tail->position, mask, scratch, 0);
    if (rc == MR_ENOENT || rc == MR_ETRUNCATED) {
        mr_warn("the first pieces of a container line are gone with their file",
                KV_STR("source", fs->host->source_id), KV_STR("path", tail->origin));
        fs->host->ops->dropped(fs->host, "pieces_gone", 1, 0);
        rc = 0;
    }
    return rc;
}

void reader_settle_inheritance(struct position *position)
{
    for (int i = 0; i < LANES; i++) {
        uint32_t pending = UINT32_C(1) << (i + PENDING_SHIFT);

        if ((position->inherited & pending) != 0 &&
            (position->lanes[i].pending_start != 0 ||
             (position->lanes[i].flags & LANE_CONTINUES) != 0)) {
            position->inherited &= ~pending; /* the line, or its first part, is out */
        }
    }
}
