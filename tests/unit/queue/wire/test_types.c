/* Strings and the arena: bounds, reuse, a heap that fails. */
#include "queue/wire/types.h"

#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "tests/lib/test.h"

TEST(wire_types, strings_compare_by_bytes_and_null_is_no_empty)
{
    CHECK(wire_string_is(wire_text("web"), "web"));
    CHECK(!wire_string_is(wire_text("web"), "webs"));
    CHECK(!wire_string_equal(wire_text(NULL), wire_text("")));
    CHECK(wire_string_equal(wire_text(NULL), wire_text(NULL)));
    CHECK_EQ(wire_text(NULL).size, -1);
}

TEST(wire_types, an_arena_gives_aligned_memory_up_to_its_limit)
{
    struct wire_arena arena;
    size_t given = 0;
    void *memory;

    wire_arena_init(&arena, 100000);
    CHECK(wire_arena_alloc(&arena, 100001) == NULL);
    CHECK(wire_arena_alloc(&arena, SIZE_MAX) == NULL);
    CHECK(wire_arena_array(&arena, SIZE_MAX / 8, 16) == NULL);
    CHECK_EQ(arena.total_bytes, 0);
    for (size_t size = 1; (memory = wire_arena_alloc(&arena, size)) != NULL; size += 7) {
        CHECK_EQ((uintptr_t)memory % 16, 0);
        memset(memory, 0x5a, size);
        given += size;
    }
    CHECK_LE(arena.total_bytes, 100000);
    CHECK_GT(given, 50000); /* most of it was of use */
    wire_arena_reset(&arena);
    CHECK(wire_arena_alloc(&arena, 50000) != NULL);
    wire_arena_done(&arena);
    CHECK_EQ(arena.total_bytes, 0);
}

/* The second request of a connection takes the memory of the first. */
TEST(wire_types, a_reset_arena_needs_no_new_memory_for_small_requests)
{
    struct wire_arena arena;
    void *first;

    wire_arena_init(&arena, 1 << 20);
    first = wire_arena_alloc(&arena, 1000);
    wire_arena_reset(&arena);
    CHECK(wire_arena_alloc(&arena, 1000) == first);
    CHECK(wire_arena_alloc(&arena, 500000) != NULL);
    wire_arena_reset(&arena); /* a large chunk is not kept */
    CHECK_LT(arena.total_bytes, 100000);
    wire_arena_done(&arena);
}

static bool always(void *owner)
{
    (void)owner;
    return true;
}

TEST(wire_types, copies_and_texts_are_null_without_memory)
{
    struct wire_int32_array array = {NULL, 7};
    struct wire_arena arena;

    wire_arena_init(&arena, 1 << 16);
    mr_memory_set_fault(always, NULL);
    CHECK_EQ(wire_arena_string(&arena, "abc", 3).size, -1);
    CHECK_EQ(wire_arena_printf(&arena, "%d", 3).size, -1);
    CHECK_EQ(wire_int32_array_make(&arena, &array, 5), MR_ENOMEM);
    CHECK_EQ(array.count, 7);
    mr_memory_set_fault(NULL, NULL);
    CHECK(wire_string_is(wire_arena_printf(&arena, "topic %s", "web"), "topic web"));
    CHECK_EQ(wire_arena_printf(&arena, "%2000d", 1).size, 1023); /* cut */
    CHECK_EQ(wire_int32_array_make(&arena, &array, 5), 0);
    CHECK_EQ(array.items[4], 0);
    wire_arena_done(&arena);
}
