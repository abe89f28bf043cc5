/* A clock that moves when told. Waiting and wall time move together; the wall may also jump alone.
 */
#ifndef TESTS_LIB_TEST_CLOCK_H
#define TESTS_LIB_TEST_CLOCK_H

#include <stdint.h>

#include "base/core/clock.h"

struct test_clock {
    struct mr_clock clock; /* first: what is handed out */
    int64_t monotonic_us;
    int64_t wall_us;
};

/* Starts at 1 s of monotonic time and 2025-01-01T00:00:00Z, so that neither is 0 by accident. */
void test_clock_init(struct test_clock *clock);
void test_clock_advance_us(struct test_clock *clock, int64_t us); /* >= 0 */
void test_clock_advance_ms(struct test_clock *clock, int64_t ms);
void test_clock_jump_ms(struct test_clock *clock, int64_t ms); /* the wall alone, either way */

#endif
