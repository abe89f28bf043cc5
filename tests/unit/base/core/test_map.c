/* The map against a plain array, and its promises about walking and failing. */
#include "base/core/map.h"

#include <stdio.h>
#include <string.h>

#include "base/core/random.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

enum { KEY_COUNT = 300 };

static size_t key_make(int i, char key[16])
{
    return (size_t)snprintf(key, 16, "%d", i);
}

/* 20,000 random puts, removals and lookups; now and then all is compared by walking. */
TEST(map, agrees_with_an_array)
{
    static int values[2];
    void *model[KEY_COUNT] = {NULL};
    struct mr_random_seeded random;
    struct mr_map map;
    size_t count = 0;

    mr_random_seeded_init(&random, test_seed());
    mr_map_init(&map);
    for (int step = 0; step < 20000; step++) {
        int i = (int)mr_random_below(&random.base, KEY_COUNT);
        void *value = &values[mr_random_below(&random.base, 2)];
        void *old = &map;
        char key[16];
        size_t size = key_make(i, key);

        CHECK(mr_map_get(&map, key, size) == model[i]);
        if (mr_random_below(&random.base, 2) == 0) {
            CHECK_EQ(mr_map_put(&map, key, size, value, &old), 0);
            CHECK(old == model[i]);
            count += model[i] == NULL;
            model[i] = value;
        } else {
            CHECK(mr_map_remove(&map, key, size) == model[i]);
            count -= model[i] != NULL;
            model[i] = NULL;
        }
        CHECK_EQ(map.count, count);
        CHECK_LE(map.used, map.capacity / 4 * 3);
    }
    CHECK_LE(map.capacity, 4096); /* tombstones do not make it grow */
    mr_map_done(&map);
}

TEST(map, keys_are_bytes_not_texts)
{
    struct mr_map map;
    int a;
    int b;
    int c;

    mr_map_init(&map);
    CHECK(mr_map_get(&map, "", 0) == NULL);
    CHECK_EQ(mr_map_put(&map, "x\0y", 3, &a, NULL), 0);
    CHECK_EQ(mr_map_put(&map, "x", 1, &b, NULL), 0);
    CHECK_EQ(mr_map_put(&map, NULL, 0, &c, NULL), 0);
    CHECK(mr_map_get(&map, "x\0y", 3) == &a);
    CHECK(mr_map_get_text(&map, "x") == &b);
    CHECK(mr_map_get_text(&map, "") == &c);
    CHECK(mr_map_get(&map, "x\0", 2) == NULL);
    mr_map_done(&map);
}

/* Removing what was just returned must neither skip nor repeat another entry. */
TEST(map, may_lose_entries_while_it_is_walked)
{
    bool seen[KEY_COUNT] = {false};
    const struct mr_map_entry *entry;
    struct mr_map map;
    size_t cursor = 0;
    int visits = 0;

    mr_map_init(&map);
    for (int i = 0; i < KEY_COUNT; i++) {
        char key[16];

        (void)key_make(i, key);
        CHECK_EQ(mr_map_put_text(&map, key, &seen[i]), 0);
    }
    while ((entry = mr_map_next(&map, &cursor)) != NULL) {
        bool *was_seen = entry->value;

        CHECK(!*was_seen);
        *was_seen = true;
        CHECK_EQ(entry->key[entry->key_size], '\0');
        if (visits++ % 2 == 0) {
            CHECK(mr_map_remove_text(&map, entry->key) == was_seen);
        }
    }
    CHECK_EQ(visits, KEY_COUNT);
    CHECK_EQ(map.count, KEY_COUNT / 2);
    mr_map_done(&map);
    mr_map_done(NULL);
}

/* A put that fails for memory leaves the map as it was. */
TEST(map, a_failed_put_changes_nothing)
{
    for (int nth = 1;; nth++) {
        struct fault fault;
        struct mr_map map;
        int value;
        size_t stored = 0;

        mr_map_init(&map);
        fault_set(&fault, nth, MR_ENOMEM);
        fault_heap(&fault);
        for (int i = 0; i < 40; i++) {
            char key[16];
            size_t size = key_make(i, key);
            int rc = mr_map_put(&map, key, size, &value, NULL);

            CHECK(rc == 0 || rc == MR_ENOMEM);
            CHECK(mr_map_get(&map, key, size) == (rc == 0 ? &value : NULL));
            stored += rc == 0;
        }
        fault_heap_off();
        CHECK_EQ(map.count, stored);
        CHECK_EQ(stored, fault_fired(&fault) ? 39 : 40);
        mr_map_done(&map);
        if (!fault_fired(&fault)) {
            break;
        }
    }
}
