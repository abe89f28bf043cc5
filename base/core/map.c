/* Linear probing in a table whose size is a power of two. A removed entry leaves a tombstone, so
 * that removal never moves another entry and a walk may remove what it just saw; tombstones go when
 * the table is next rebuilt. At least a quarter of the places is free: every probe ends.
 *
 * The hash is not seeded: a simulated run must walk its maps in the same order every time. */
#include "base/core/map.h"

#include <string.h>

#include "base/core/error.h"
#include "base/core/hash.h"
#include "base/core/memory.h"

enum { MAP_CAPACITY_MIN = 8 };

static char tombstone; /* its address marks removed entries; never written */

static bool entry_is_removed(const struct mr_map_entry *entry)
{
    return entry->key == NULL && entry->value == &tombstone;
}

static bool entry_is_free(const struct mr_map_entry *entry)
{
    return entry->key == NULL && entry->value != &tombstone;
}

void mr_map_init(struct mr_map *map)
{
    *map = (struct mr_map){0};
}

void mr_map_done(struct mr_map *map)
{
    if (map == NULL) {
        return;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        mr_free(map->entries[i].key);
    }
    mr_free(map->entries);
    mr_map_init(map);
}

static struct mr_map_entry *map_find(const struct mr_map *map, const void *key, size_t key_size,
                                     uint64_t hash)
{
    if (map->count == 0) {
        return NULL;
    }
    for (size_t i = hash & (map->capacity - 1);; i = (i + 1) & (map->capacity - 1)) {
        struct mr_map_entry *entry = &map->entries[i];

        if (entry_is_free(entry)) {
            return NULL;
        }
        if (entry->key != NULL && entry->hash == hash && entry->key_size == key_size &&
            (key_size == 0 || memcmp(entry->key, key, key_size) == 0)) {
            return entry;
        }
    }
}

/* The first place for a key that is known to be absent. */
static struct mr_map_entry *map_place(struct mr_map_entry *entries, size_t capacity, uint64_t hash)
{
    size_t i = hash & (capacity - 1);

    while (entries[i].key != NULL) {
        i = (i + 1) & (capacity - 1);
    }
    return &entries[i];
}

/* Makes room for one more, dropping tombstones on the way. */
static int map_make_room(struct mr_map *map)
{
    size_t capacity = MAP_CAPACITY_MIN;
    struct mr_map_entry *entries;

    if (map->capacity > 0 && map->used + 1 <= map->capacity / 4 * 3) {
        return 0;
    }
    while (map->count + 1 > capacity / 2) {
        if (__builtin_mul_overflow(capacity, (size_t)2, &capacity)) {
            return MR_ENOMEM;
        }
    }
    entries = mr_calloc(capacity, sizeof *entries);
    if (entries == NULL) {
        return MR_ENOMEM;
    }
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->entries[i].key != NULL) {
            *map_place(entries, capacity, map->entries[i].hash) = map->entries[i];
        }
    }
    mr_free(map->entries);
    map->entries = entries;
    map->capacity = capacity;
    map->used = map->count;
    return 0;
}

void *mr_map_get(const struct mr_map *map, const void *key, size_t key_size)
{
    struct mr_map_entry *entry = map_find(map, key, key_size, mr_hash64(key, key_size));

    return entry == NULL ? NULL : entry->value;
}

int mr_map_put(struct mr_map *map, const void *key, size_t key_size, void *value, void **ret_old)
{
    uint64_t hash = mr_hash64(key, key_size);
    struct mr_map_entry *entry = map_find(map, key, key_size, hash);
    char *copy;

    if (entry != NULL) {
        if (ret_old != NULL) {
            *ret_old = entry->value;
        }
        entry->value = value;
        return 0;
    }
    if (key_size == SIZE_MAX || map_make_room(map) != 0) {
        return MR_ENOMEM;
    }
    copy = mr_malloc(key_size + 1);
    if (copy == NULL) {
        return MR_ENOMEM;
    }
    if (key_size > 0) {
        memcpy(copy, key, key_size);
    }
    copy[key_size] = '\0';
    entry = map_place(map->entries, map->capacity, hash);
    if (!entry_is_removed(entry)) {
        map->used++;
    }
    *entry = (struct mr_map_entry){.key = copy, .key_size = key_size, .hash = hash, .value = value};
    map->count++;
    if (ret_old != NULL) {
        *ret_old = NULL;
    }
    return 0;
}

void *mr_map_remove(struct mr_map *map, const void *key, size_t key_size)
{
    struct mr_map_entry *entry = map_find(map, key, key_size, mr_hash64(key, key_size));
    void *value;

    if (entry == NULL) {
        return NULL;
    }
    value = entry->value;
    mr_free(entry->key);
    *entry = (struct mr_map_entry){.value = &tombstone};
    mr_assert(map->count > 0);
    map->count--;
    return value;
}

void *mr_map_get_text(const struct mr_map *map, const char *key)
{
    return mr_map_get(map, key, strlen(key));
}

int mr_map_put_text(struct mr_map *map, const char *key, void *value)
{
    return mr_map_put(map, key, strlen(key), value, NULL);
}

void *mr_map_remove_text(struct mr_map *map, const char *key)
{
    return mr_map_remove(map, key, strlen(key));
}

const struct mr_map_entry *mr_map_next(const struct mr_map *map, size_t *cursor)
{
    while (*cursor < map->capacity) {
        const struct mr_map_entry *entry = &map->entries[(*cursor)++];

        if (entry->key != NULL) {
            return entry;
        }
    }
    return NULL;
}
