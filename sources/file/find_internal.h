/* Between find.c, tails.c and copy.c: the indexes, and who is whose copy. */
#ifndef SOURCES_FILE_FIND_INTERNAL_H
#define SOURCES_FILE_FIND_INTERNAL_H

#include "sources/file/file_internal.h"

/* ---- tails.c ---- */

/* In state MISSING, without a path; `origin` is the path under which it counts. NULL without
 * memory.
 */
struct tail *tail_new(struct file_source *fs, const char *origin, size_t origin_size,
                      const struct position *position);
void tail_free(struct tail *tail);
/* Where it is now; the text is copied. Who was there before is not asked. */
void tail_set_path(struct tail *tail, const char *path);
void tail_clear_path(struct tail *tail);
/* Before and after its inode number changes. */
void tail_unindex_inode(struct tail *tail);
void tail_index_inode(struct tail *tail);
/* The lists of those that are deleted or missing. */
void tail_join_gone(struct tail *tail);
void tail_leave_gone(struct tail *tail);
struct tail *find_by_inode(struct file_source *fs, uint64_t inode); /* first of a chain */
struct tail *find_by_head(struct file_source *fs, uint64_t hash, size_t size); /* likewise */
/* `model` may be NULL. */
void find_set_model(struct tail *tail, struct tail *model);

/* ---- find.c ---- */

/* A known file is at this path. */
void find_bind(struct tail *tail, const char *path, const struct mr_disk_stat *stat);
/* A new file. `origin` is the path under which it counts. NULL without memory. */
struct tail *find_admit(struct file_source *fs, const char *path, const char *origin,
                        const struct mr_disk_stat *stat);
bool find_has_content(struct file_source *fs, const char *path, const struct identity *identity,
                      int64_t offset);
/* < 0: by their names, `left` was rotated before `right`. */
int find_compare_names(const char *left, const char *right);
/* Looked at by each tick. */
void find_poll(struct tail *tail);

/* ---- copy.c ---- */

/* By its name: a rotated file or a copy of the original. */
bool copy_is_related(const char *path, const char *original);

/* At start: files that are not where they were are looked for in their directories. */
void copy_find_lost(struct file_source *fs);
/* Binds a missing file to an unknown one with its content. */
bool copy_adopt(struct file_source *fs, const char *path, const struct mr_disk_stat *stat);
void copy_tick(struct file_source *fs);
void copy_model_gone(struct tail *model);

#endif
