/* The clock door. Monotonic time is for waiting, wall time for what is written down.
 * Tests bring a clock that moves when told. */
#ifndef BASE_CORE_CLOCK_H
#define BASE_CORE_CLOCK_H

#include <stdint.h>

struct mr_clock {
    int64_t (*monotonic_us)(struct mr_clock *clock);
    int64_t (*wall_us)(struct mr_clock *clock); /* since 1970; may jump either way */
};

struct mr_clock *mr_clock_system(void);

static inline int64_t mr_clock_monotonic_us(struct mr_clock *clock)
{
    return clock->monotonic_us(clock);
}

static inline int64_t mr_clock_monotonic_ms(struct mr_clock *clock)
{
    return clock->monotonic_us(clock) / 1000;
}

static inline int64_t mr_clock_wall_ms(struct mr_clock *clock)
{
    return clock->wall_us(clock) / 1000;
}

#endif
