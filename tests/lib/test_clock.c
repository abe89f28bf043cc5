/* Two numbers behind the clock door. */
#include "tests/lib/test_clock.h"

#include "base/core/error.h"

static struct test_clock *clock_of(struct mr_clock *base)
{
    return (struct test_clock *)(void *)base; /* its first member */
}

static int64_t manual_monotonic_us(struct mr_clock *base)
{
    return clock_of(base)->monotonic_us;
}

static int64_t manual_wall_us(struct mr_clock *base)
{
    return clock_of(base)->wall_us;
}

void test_clock_init(struct test_clock *clock)
{
    clock->clock.monotonic_us = manual_monotonic_us;
    clock->clock.wall_us = manual_wall_us;
    clock->monotonic_us = 1000000;
    clock->wall_us = INT64_C(1735689600) * 1000000;
}

void test_clock_advance_us(struct test_clock *clock, int64_t us)
{
    mr_assert(us >= 0);
    clock->monotonic_us += us;
    clock->wall_us += us;
}

void test_clock_advance_ms(struct test_clock *clock, int64_t ms)
{
    test_clock_advance_us(clock, ms * 1000);
}

void test_clock_jump_ms(struct test_clock *clock, int64_t ms)
{
    clock->wall_us += ms * 1000;
}
