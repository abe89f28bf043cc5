/* The clock door. Monotonic time is for waiting, wall time for what is written down.
 * Tests bring a clock that moves when told. */
#ifndef BASE_CORE_CLOCK_H
#define BASE_CORE_CLOCK_H

#include <stdbool.h>
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

/* Whether the wall clock may be believed where something is deleted by it: it went along with the
 * monotonic one since the first call, or at least for the last hour. */
enum { MR_CLOCK_JUMP_MS = 60 * 1000, MR_CLOCK_HOLD_MS = 3600 * 1000 };

struct mr_clock_trust { /* zeroed: not asked yet */
    int64_t wall_ms;
    int64_t monotonic_ms;
    int64_t suspended_until_ms; /* monotonic */
};

/* False at the first call. *ret_jump_ms: how far the wall clock has jumped since the last one; 0:
 * it has not. */
bool mr_clock_is_trusted(struct mr_clock_trust *trust, struct mr_clock *clock,
                         int64_t *ret_jump_ms);

#endif
