#include "base/core/order.h"

size_t mr_order_place(const void *items, size_t count, size_t item_size, mr_order_cb order,
                      const void *wanted, bool *ret_is_found)
{
    const char *first = items;
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order(first + middle * item_size, wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (ret_is_found != NULL) {
        *ret_is_found = low < count && order(first + low * item_size, wanted) == 0;
    }
    return low;
}
