/* The files that are known: their states, the indexes over them, the lists of those that are gone.
 */
#include <string.h>

#include "sources/file/find_internal.h"
#include "sources/file/reader_internal.h"

#include "base/core/memory.h"

static const char *const tail_state_names[TAIL_STATE_COUNT] = {
    [TAIL_IDLE] = "idle", [TAIL_READY] = "reading",   [TAIL_LOADING] = "loading",
    [TAIL_HELD] = "held", [TAIL_WAITING] = "waiting", [TAIL_MISSING] = "missing",
};

static const uint32_t tail_moves[TAIL_STATE_COUNT] = {
    [TAIL_IDLE] = MR_TO(TAIL_READY) | MR_TO(TAIL_WAITING) | MR_TO(TAIL_MISSING) | MR_TO(TAIL_HELD),
    [TAIL_READY] = MR_TO(TAIL_IDLE) | MR_TO(TAIL_LOADING),
    [TAIL_LOADING] = MR_TO(TAIL_IDLE),
    [TAIL_HELD] = MR_TO(TAIL_IDLE),
    [TAIL_WAITING] = MR_TO(TAIL_IDLE),
    [TAIL_MISSING] = MR_TO(TAIL_IDLE),
};

static const struct mr_state_table tail_machine = {
    .machine = "tail", .names = tail_state_names, .allowed = tail_moves, .count = TAIL_STATE_COUNT};

/* ---- the indexes: by inode number, and by head ---- */

void tail_index_inode(struct tail *tail)
{
    struct mr_map *map = &tail->fs->by_inode;
    uint64_t inode = tail->position.identity.inode;
    struct tail *first = mr_map_get(map, &inode, sizeof inode);

    tail->inode_next = first;
    if (mr_map_put(map, &inode, sizeof inode, tail, NULL) != 0) {
        tail->inode_next = NULL; /* found by its path only; after a rename it counts as new */
    }
}

void tail_unindex_inode(struct tail *tail)
{
    struct mr_map *map = &tail->fs->by_inode;
    uint64_t inode = tail->position.identity.inode;
    struct tail *first = mr_map_get(map, &inode, sizeof inode);

    if (first == tail) {
        if (tail->inode_next == NULL) {
            (void)mr_map_remove(map, &inode, sizeof inode);
        } else {
            (void)mr_map_put(map, &inode, sizeof inode, tail->inode_next, NULL);
        }
    }
    for (; first != NULL; first = first->inode_next) {
        if (first->inode_next == tail) {
            first->inode_next = tail->inode_next;
        }
    }
    tail->inode_next = NULL;
}

struct tail *find_by_inode(struct file_source *fs, uint64_t inode)
{
    return mr_map_get(&fs->by_inode, &inode, sizeof inode);
}

struct head_key {
    uint64_t hash;
    uint64_t size;
};

struct tail *find_by_head(struct file_source *fs, uint64_t hash, size_t size)
{
    struct head_key key = {hash, size};

    return mr_map_get(&fs->by_head, &key, sizeof key);
}

void find_index_head(struct tail *tail)
{
    struct file_source *fs = tail->fs;
    struct head_key key = {tail->position.identity.head_hash, tail->position.identity.head_size};

    if (tail->is_indexed || key.size == 0) {
        return;
    }
    tail->head_next = mr_map_get(&fs->by_head, &key, sizeof key);
    if (mr_map_put(&fs->by_head, &key, sizeof key, tail, NULL) == 0) {
        tail->is_indexed = true;
        fs->head_sizes[key.size]++;
    } else {
        tail->head_next = NULL;
    }
}

void find_unindex_head(struct tail *tail)
{
    struct file_source *fs = tail->fs;
    struct head_key key = {tail->position.identity.head_hash, tail->position.identity.head_size};
    struct tail *first;

    if (!tail->is_indexed) {
        return;
    }
    first = mr_map_get(&fs->by_head, &key, sizeof key);
    if (first == tail) {
        if (tail->head_next == NULL) {
            (void)mr_map_remove(&fs->by_head, &key, sizeof key);
        } else {
            (void)mr_map_put(&fs->by_head, &key, sizeof key, tail->head_next, NULL);
        }
    }
    for (; first != NULL; first = first->head_next) {
        if (first->head_next == tail) {
            first->head_next = tail->head_next;
        }
    }
    tail->head_next = NULL;
    tail->is_indexed = false;
    fs->head_sizes[key.size]--;
}

/* ---- what is missing ---- */

void tail_join_gone(struct tail *tail)
{
    struct file_source *fs = tail->fs;

    mr_list_append(tail->is_deleted ? &fs->deleted : &fs->missing, &tail->gone_link);
    *(tail->is_deleted ? &fs->deleted_count : &fs->missing_count) += 1;
}

void tail_leave_gone(struct tail *tail)
{
    struct file_source *fs = tail->fs;

    if (mr_link_is_linked(&tail->gone_link)) {
        mr_list_remove(&tail->gone_link);
        *(tail->is_deleted ? &fs->deleted_count : &fs->missing_count) -= 1;
    }
}

/* ---- making and freeing ---- */

/* In state MISSING, without a path. */
struct tail *tail_new(struct file_source *fs, const char *origin, size_t origin_size,
                      const struct position *position)
{
    struct tail *tail = mr_calloc(1, sizeof *tail);

    if (tail == NULL) {
        return NULL;
    }
    tail->origin = mr_strndup(origin, origin_size);
    if (tail->origin == NULL) {
        mr_free(tail);
        return NULL;
    }
    tail->fs = fs;
    tail->fd = -1;
    tail->size_bytes = -1;
    tail->position = *position;
    tail->changed_ms = mr_loop_now_ms(fs->host->loop);
    tail->is_gzip = (position->flags & POSITION_GZIP) != 0;
    mr_machine_init(&tail->machine, &tail_machine, TAIL_MISSING);
    mr_list_append(&fs->all, &tail->all_link);
    tail_join_gone(tail);
    tail_index_inode(tail);
    find_index_head(tail);
    fs->counts[FILE_WATCHED]++;
    return tail;
}

void tail_clear_path(struct tail *tail)
{
    if (tail->path == NULL) {
        return;
    }
    if (mr_map_get_text(&tail->fs->by_path, tail->path) == tail) {
        (void)mr_map_remove_text(&tail->fs->by_path, tail->path);
    }
    if (tail->path != tail->origin) {
        mr_free(tail->path);
    }
    tail->path = NULL;
}

void tail_set_path(struct tail *tail, const char *path)
{
    tail_clear_path(tail);
    tail->path = strcmp(path, tail->origin) == 0 ? tail->origin : mr_strdup(path);
    if (tail->path != NULL) {
        (void)mr_map_put_text(&tail->fs->by_path, tail->path, tail);
        tail->in_glob = path_set_match(&tail->fs->paths, path);
    }
}

void tail_free(struct tail *tail)
{
    struct file_source *fs = tail->fs;

    find_set_model(tail, NULL);
    for (struct mr_link *link = fs->all.next; tail->model_uses > 0; link = link->next) {
        struct tail *other = mr_container(link, struct tail, all_link);

        if (other->model == tail) {
            find_set_model(other, NULL);
        }
    }
    tail_leave_gone(tail);
    reader_close(tail);
    reader_forget_decoders(tail);
    if (tail->stream != NULL) {
        fs->host->ops->stream_close(fs->host, tail->stream);
    }
    tail_clear_path(tail);
    find_unindex_head(tail);
    tail_unindex_inode(tail);
    mr_list_remove(&tail->all_link);
    mr_list_remove(&tail->queue_link);
    mr_list_remove(&tail->lost_link);
    mr_list_remove(&tail->flush_link);
    mr_free(tail->origin);
    mr_free(tail);
    fs->counts[FILE_WATCHED]--;
}

void find_set_model(struct tail *tail, struct tail *model)
{
    if (tail->model != NULL) {
        tail->model->model_uses--;
    }
    tail->model = model;
    if (model != NULL) {
        model->model_uses++;
    }
}

void find_free_all(struct file_source *fs)
{
    struct mr_link *link;

    while (!mr_list_is_empty(&fs->all)) {
        link = fs->all.next;
        tail_free(mr_container(link, struct tail, all_link));
    }
}
