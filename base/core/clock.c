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
