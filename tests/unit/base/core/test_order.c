/* Places in ordered arrays, against looking at each item. */
#include "base/core/order.h"

#include "tests/lib/test.h"

enum { ITEMS = 9 };

static int compare(const void *item, const void *wanted)
{
    int left = *(const int *)item;
    int right = *(const int *)wanted;

    return (left > right) - (left < right);
}

/* Arrays of each size, with every item twice in some, and what is wanted before, at, between and
 * behind its items. */
TEST(order, finds_the_first_place)
{
    for (int each = 1; each <= 2; each++) {
        for (size_t count = 0; count <= ITEMS; count++) {
            int items[ITEMS];
            for (size_t i = 0; i < count; i++) {
                items[i] = (int)i / each * 2;
            }
            for (int wanted = -1; wanted <= ITEMS * 2; wanted++) {
                size_t want = 0;
                bool is_found = false;
                while (want < count && items[want] < wanted) {
                    want++;
                }
                CHECK_EQ(mr_order_place(items, count, sizeof items[0], compare, &wanted, &is_found),
                         want);
                CHECK_EQ(is_found, want < count && items[want] == wanted);
            }
        }
    }
    CHECK_EQ(mr_order_place(NULL, 0, 4, compare, NULL, NULL), 0);
}
