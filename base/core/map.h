/* Hash map from byte strings to pointers. Keys are copied; values belong to the caller.
 * Open addressing with XXH3; iteration order is unspecified, and stable while nothing changes. */
#ifndef BASE_CORE_MAP_H
#define BASE_CORE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_map_entry {
    char *key; /* key_size bytes and a NUL behind them */
    size_t key_size;
    uint64_t hash;
    void *value;
};

struct mr_map {
    struct mr_map_entry *entries; /* key NULL: free; value of a removed one: tombstone */
    size_t capacity;
    size_t count;
    size_t used; /* count plus tombstones */
};

void mr_map_init(struct mr_map *map);
void mr_map_done(struct mr_map *map); /* frees keys, not values */
void *mr_map_get(const struct mr_map *map, const void *key, size_t key_size);
/* Replaces; *ret_old (may be NULL) is the value that was there, or NULL. 0 or MR_ENOMEM. */
int mr_map_put(struct mr_map *map, const void *key, size_t key_size, void *value, void **ret_old);
void *mr_map_remove(struct mr_map *map, const void *key, size_t key_size);
void *mr_map_get_text(const struct mr_map *map, const char *key);
int mr_map_put_text(struct mr_map *map, const char *key, void *value);
void *mr_map_remove_text(struct mr_map *map, const char *key);
/* *cursor starts at 0; NULL at the end. Removing the entry just returned is allowed. */
const struct mr_map_entry *mr_map_next(const struct mr_map *map, size_t *cursor);

#endif
