/* The heap door: sizes that overflow are refused, and faults reach every kind of allocation. */
#include "base/core/memory.h"

#include <stdint.h>
#include <string.h>

#include "tests/lib/fault.h"
#include "tests/lib/test.h"

TEST(memory, nothing_is_still_a_pointer)
{
    void *empty = mr_malloc(0);
    void *none = mr_calloc(0, 8);

    CHECK(empty != NULL && none != NULL);
    mr_free(empty);
    mr_free(none);
    mr_free(NULL);
}

TEST(memory, strings_are_copied_to_their_bound)
{
    char *whole = mr_strdup("segment");
    char *part = mr_strndup("segment", 3);
    char *made = mr_asprintf("%s-%d", "web", 7);

    CHECK_STR(whole, "segment");
    CHECK_STR(part, "seg");
    CHECK_STR(made, "web-7");
    mr_free(whole);
    mr_free(part);
    mr_free(made);
}

TEST(memory, growing_doubles_and_keeps_what_was_there)
{
    int *items = NULL;
    size_t capacity = 0;

    for (int i = 0; i < 1000; i++) {
        size_t before = capacity;

        CHECK_EQ(mr_grow(&items, &capacity, (size_t)i + 1, sizeof *items), 0);
        CHECK(capacity == before || before == 0 || capacity == 2 * before);
        items[i] = i;
    }
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(items[i], i);
    }
    CHECK_EQ(mr_grow(&items, &capacity, SIZE_MAX / 2, sizeof *items), MR_ENOMEM);
    CHECK_EQ(mr_grow(&items, &capacity, SIZE_MAX, 1), MR_ENOMEM);
    CHECK_EQ(items[999], 999);
    mr_free(items);
}

/* Each of the doors asks exactly once, and a failed growth leaves the old memory with its owner. */
TEST(memory, faults_reach_every_door)
{
    struct fault fault;
    int *items = NULL;
    size_t capacity = 0;

    CHECK_EQ(mr_grow(&items, &capacity, 8, sizeof *items), 0);
    items[7] = 77;
    fault_set_more(&fault, 1, -1, MR_ENOMEM);
    fault_heap(&fault);
    CHECK(mr_malloc(1) == NULL);
    CHECK(mr_calloc(1, 1) == NULL);
    CHECK(mr_strdup("x") == NULL);
    CHECK(mr_strndup("x", 1) == NULL);
    CHECK(mr_asprintf("x") == NULL);
    CHECK(mr_realloc(items, 4096) == NULL);
    CHECK_EQ(mr_grow(&items, &capacity, 9, sizeof *items), MR_ENOMEM);
    fault_heap_off();
    CHECK_EQ(fault.fired, 7);
    CHECK_EQ(capacity, 8);
    CHECK_EQ(items[7], 77);
    mr_free(items);
}

TEST(fault, fires_at_the_nth_and_k_more)
{
    struct fault fault = {0};

    CHECK_EQ(fault_hit(&fault), 0); /* zeroed: never */
    fault_set_more(&fault, 3, 2, MR_EIO);
    for (int call = 1; call <= 8; call++) {
        CHECK_EQ(fault_hit(&fault), call >= 3 && call <= 5 ? MR_EIO : 0);
        CHECK_EQ(fault_fired(&fault), call >= 3);
    }
    CHECK_EQ(fault.fired, 3);
    fault_set(&fault, 1, MR_ENOSPC);
    CHECK(!fault_fired(&fault));
    CHECK_EQ(fault_hit(&fault), MR_ENOSPC);
    CHECK_EQ(fault_hit(&fault), 0);
}
