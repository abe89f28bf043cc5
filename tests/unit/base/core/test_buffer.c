/* Buffers: the last reference frees, once; byte strings remember that memory ran out. */
#include "base/core/buffer.h"

#include <string.h>

#include "base/core/memory.h"
#include "base/core/random.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

static void count_release(struct mr_buf *buf)
{
    (*(int *)buf->owner)++;
    mr_free(buf);
}

TEST(buffer, only_the_last_reference_releases)
{
    struct mr_buf *buf = mr_buf_new(10);
    int released = 0;

    CHECK(buf != NULL);
    CHECK_EQ(buf->size_bytes, 0);
    CHECK_EQ(buf->capacity_bytes, 10);
    buf->release = count_release;
    buf->owner = &released;
    CHECK(mr_buf_ref(buf) == buf);
    mr_buf_unref(buf);
    CHECK_EQ(released, 0);
    mr_buf_unref(buf);
    CHECK_EQ(released, 1);
    mr_buf_unref(NULL);
}

TEST(buffer, sizes_that_overflow_are_refused)
{
    CHECK(mr_buf_new(SIZE_MAX) == NULL);
    CHECK(mr_buf_new(SIZE_MAX - 8) == NULL);
}

TEST(buffer, copy_of_nothing_is_empty)
{
    struct mr_buf *buf = mr_buf_copy(NULL, 0);

    CHECK(buf != NULL && buf->size_bytes == 0);
    mr_buf_unref(buf);
}

/* Random pieces against a plain array: the content is their concatenation, and taking moves it. */
TEST(bytes, hold_what_was_appended_in_order)
{
    enum { MODEL_SIZE = 20000 };
    static char model[MODEL_SIZE];
    struct mr_random_seeded random;
    struct mr_bytes bytes;
    struct mr_buf *buf;
    size_t size = 0;

    mr_random_seeded_init(&random, test_seed());
    mr_bytes_init(&bytes);
    while (size + 512 < MODEL_SIZE) {
        size_t piece = mr_random_below(&random.base, 500);

        random.base.fill(&random.base, model + size, piece);
        mr_bytes_append(&bytes, model + size, piece);
        size += piece;
    }
    CHECK_EQ(bytes.failed, 0);
    CHECK_EQ(bytes.size_bytes, size);
    buf = mr_bytes_take(&bytes);
    CHECK(buf != NULL);
    CHECK_EQ(buf->size_bytes, size);
    CHECK_MEM(buf->data, model, size);
    CHECK(bytes.data == NULL && bytes.size_bytes == 0);
    mr_buf_unref(buf);
}

/* The room that is left goes through every size around what is printed. */
TEST(bytes, printf_fits_at_every_border)
{
    for (size_t before = 0; before < 200; before++) {
        struct mr_bytes bytes;

        mr_bytes_init(&bytes);
        for (size_t i = 0; i < before; i++) {
            mr_bytes_append(&bytes, "x", 1);
        }
        mr_bytes_printf(&bytes, "%s:%d", "partition", 12345);
        CHECK_EQ(bytes.size_bytes, before + 15);
        CHECK_MEM(bytes.data + before, "partition:12345", 15);
        mr_bytes_done(&bytes);
    }
}

/* Every allocation fails in turn: what is appended later is ignored, and taking gives nothing. */
TEST(bytes, remember_the_first_failure)
{
    for (int nth = 1;; nth++) {
        struct fault fault;
        struct mr_bytes bytes;
        struct mr_buf *buf;

        mr_bytes_init(&bytes);
        fault_set(&fault, nth, MR_ENOMEM);
        fault_heap(&fault);
        for (int i = 0; i < 100; i++) {
            mr_bytes_printf(&bytes, "line %d\n", i);
            mr_bytes_text(&bytes, "text\n");
        }
        buf = mr_bytes_take(&bytes);
        fault_heap_off();
        CHECK_EQ(buf == NULL, fault_fired(&fault));
        CHECK_EQ(bytes.failed, fault_fired(&fault) ? MR_ENOMEM : 0);
        mr_buf_unref(buf);
        mr_bytes_done(&bytes);
        if (!fault_fired(&fault)) {
            CHECK_GT(nth, 3);
            break;
        }
    }
}

TEST(bytes, clear_keeps_the_memory_and_forgets_the_failure)
{
    struct mr_bytes bytes;
    size_t capacity;

    mr_bytes_init(&bytes);
    mr_bytes_text(&bytes, "something");
    capacity = bytes.capacity_bytes;
    CHECK_EQ(mr_bytes_reserve(&bytes, SIZE_MAX), MR_ENOMEM);
    mr_bytes_text(&bytes, "ignored");
    CHECK_EQ(bytes.size_bytes, 9);
    mr_bytes_clear(&bytes);
    CHECK_EQ(bytes.capacity_bytes, capacity);
    mr_bytes_text(&bytes, "again");
    CHECK_EQ(bytes.size_bytes, 5);
    mr_bytes_done(&bytes);
    mr_bytes_done(NULL);
}
