/* Looking for a place in an array that is in order. */
#ifndef BASE_CORE_ORDER_H
#define BASE_CORE_ORDER_H

#include <stdbool.h>
#include <stddef.h>

/* < 0: the item stands before what is looked for; 0: it is it; > 0: it stands behind. */
typedef int (*mr_order_cb)(const void *item, const void *wanted);

/* The place of the first item that does not stand before what is wanted: where it is, or would be.
 * *ret_is_found (may be NULL) tells which. */
size_t mr_order_place(const void *items, size_t count, size_t item_size, mr_order_cb order,
                      const void *wanted, bool *ret_is_found);

#endif
