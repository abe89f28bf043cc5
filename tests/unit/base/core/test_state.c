/* State machines and the clock that moves when told. */
#include "base/core/state.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/logger.h"
#include "tests/lib/test.h"
#include "tests/lib/test_clock.h"

enum { DOOR_OPEN, DOOR_SHUT, DOOR_LOCKED, DOOR_COUNT };
static const char *const door_names[] = {"OPEN", "SHUT", "LOCKED"};
static const uint32_t door_allowed[] = {
    [DOOR_OPEN] = MR_TO(DOOR_SHUT),
    [DOOR_SHUT] = MR_TO(DOOR_OPEN) | MR_TO(DOOR_LOCKED),
    [DOOR_LOCKED] = MR_TO(DOOR_SHUT),
};
static const struct mr_state_table door_table = {"door", door_names, door_allowed, DOOR_COUNT};

static void keep_line(void *owner, enum mr_log_level level, const char *line)
{
    (void)level;
    (void)snprintf(owner, 200, "%s", line);
}

TEST(state, allowed_moves_are_made_and_traced)
{
    struct mr_machine door;
    char line[200] = "";

    mr_log_setup(MR_LOG_DEBUG, MR_LOG_JOURNAL);
    mr_log_set_sink(keep_line, line);
    mr_machine_init(&door, &door_table, DOOR_OPEN);
    CHECK_STR(mr_machine_name(&door), "OPEN");
    mr_state_move(&door, DOOR_SHUT, "front");
    CHECK_EQ(door.state, DOOR_SHUT);
    CHECK_STR(line, "<7>state machine=door from=OPEN to=SHUT subject=front");
    mr_state_move(&door, DOOR_LOCKED, NULL);
    CHECK_STR(mr_machine_name(&door), "LOCKED");
    mr_log_set_sink(NULL, NULL);
    mr_log_setup(MR_LOG_INFO, MR_LOG_TEXT);
}

/* In a child, since the program must not go on: an open door is not locked, nor taken off its
 * table. */
TEST(state, other_moves_stop_the_program)
{
    static const int wrong[] = {DOOR_LOCKED, DOOR_OPEN, DOOR_COUNT, -1};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        pid_t child = fork();
        int status;

        CHECK(child >= 0);
        if (child == 0) {
            struct mr_machine door;

            (void)close(STDERR_FILENO);
            (void)signal(SIGABRT, SIG_DFL);
            mr_machine_init(&door, &door_table, DOOR_OPEN);
            mr_state_move(&door, wrong[i], "front");
            _exit(0);
        }
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

TEST(clock, system_time_goes_on_and_is_recent)
{
    struct mr_clock *clock = mr_clock_system();
    int64_t first = mr_clock_monotonic_us(clock);

    CHECK_GE(mr_clock_monotonic_us(clock), first);
    CHECK_GE(mr_clock_monotonic_ms(clock), first / 1000);
    CHECK_GT(mr_clock_wall_ms(clock), INT64_C(1735689600000)); /* 2025 */
}

TEST(clock, manual_time_moves_only_when_told)
{
    struct test_clock manual;
    int64_t monotonic;
    int64_t wall;

    test_clock_init(&manual);
    monotonic = mr_clock_monotonic_ms(&manual.clock);
    wall = mr_clock_wall_ms(&manual.clock);
    CHECK_EQ(mr_clock_monotonic_ms(&manual.clock), monotonic);
    test_clock_advance_ms(&manual, 250);
    CHECK_EQ(mr_clock_monotonic_ms(&manual.clock), monotonic + 250);
    CHECK_EQ(mr_clock_wall_ms(&manual.clock), wall + 250);
    test_clock_jump_ms(&manual, -3600000);
    CHECK_EQ(mr_clock_monotonic_ms(&manual.clock), monotonic + 250);
    CHECK_EQ(mr_clock_wall_ms(&manual.clock), wall + 250 - 3600000);
}
