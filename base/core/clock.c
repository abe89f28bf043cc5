/* The kernel's clocks behind the door. */
#include "base/core/clock.h"

#include <time.h>

#include "base/core/error.h"

static int64_t clock_read_us(clockid_t id)
{
    struct timespec now;
    int rc = clock_gettime(id, &now);

    mr_assert(rc == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_monotonic_us(struct mr_clock *clock)
{
    (void)clock;
    return clock_read_us(CLOCK_MONOTONIC);
}

static int64_t system_wall_us(struct mr_clock *clock)
{
    (void)clock;
    return clock_read_us(CLOCK_REALTIME);
}

/* Not const only because the door's functions take what tests may change; this one never is. */
static struct mr_clock system_clock = {
    .monotonic_us = system_monotonic_us,
    .wall_us = system_wall_us,
};

struct mr_clock *mr_clock_system(void)
{
    return &system_clock;
}

bool mr_clock_is_trusted(struct mr_clock_trust *trust, struct mr_clock *clock, int64_t *ret_jump_ms)
{
    int64_t wall_ms = mr_clock_wall_ms(clock);
    int64_t monotonic_ms = mr_clock_monotonic_ms(clock);
    int64_t drift_ms = (wall_ms - trust->wall_ms) - (monotonic_ms - trust->monotonic_ms);
    bool is_first = trust->wall_ms == 0;

    trust->wall_ms = wall_ms;
    trust->monotonic_ms = monotonic_ms;
    *ret_jump_ms = 0;
    if (is_first) {
        return false;
    }
    if (drift_ms > MR_CLOCK_JUMP_MS || drift_ms < -MR_CLOCK_JUMP_MS) {
        trust->suspended_until_ms = monotonic_ms + MR_CLOCK_HOLD_MS;
        *ret_jump_ms = drift_ms;
    }
    return monotonic_ms >= trust->suspended_until_ms;
}
