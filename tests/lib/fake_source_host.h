/* A host for one source, which keeps what it is offered the way the real one does: lines and the
 * position after them become durable together, in order, some time after they were taken. A crash
 * forgets what was taken and not yet durable; a new source then starts from the durable positions.
 *
 * Everything runs on a real loop with a clock that the test moves, one step per turn. */
#ifndef TESTS_LIB_FAKE_SOURCE_HOST_H
#define TESTS_LIB_FAKE_SOURCE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/list.h"
#include "base/core/map.h"
#include "base/core/random.h"
#include "sources/source.h"
#include "tests/lib/test_clock.h"

struct fake_event {
    uint64_t stream; /* the first bytes of its key */
    char *file;      /* header mr.file */
    char *text;      /* with a NUL behind it */
    size_t size;
    uint32_t flags;
    int64_t timestamp_ms;
};

struct fake_source_host {
    struct source_host host; /* first */
    struct test_clock clock;
    struct mr_loop *loop;
    struct mr_workers *workers;
    struct mr_random_seeded random;
    struct mr_map positions; /* durable: key -> struct fake_position */
    struct mr_link taken;    /* blocks that are not durable, in order */
    size_t taken_count;
    struct fake_event *events; /* durable */
    size_t event_count;
    size_t event_capacity;
    int64_t dropped_events;
    int64_t dropped_bytes;
    const char *dropped_reason; /* the last one */

    /* What the test sets. */
    bool holds;         /* nothing becomes durable until this is false */
    size_t crash_keeps; /* events of those under way that are durable at a crash, with the position
                           behind them */
    size_t taken_max;   /* blocks under way; then MR_EAGAIN */
    bool keeps_events;  /* false: only counted */
    int64_t counted_events;
    int64_t counted_bytes;

    const struct source_type *type;
    void *options;
    struct source *source; /* NULL: not running */
    bool was_refused;
    bool is_closed;
    int64_t refusals;
};

struct fake_source_host *fake_source_host_new(void);
void fake_source_host_free(struct fake_source_host *fake);
/* Starts a source with these options (borrowed until it ends); fails the test if it cannot. */
void fake_source_start(struct fake_source_host *fake, const struct source_type *type,
                       void *options);
/* In good order: what was taken becomes durable. */
void fake_source_stop(struct fake_source_host *fake);
/* What was taken and is not durable is forgotten, but for crash_keeps events. */
void fake_source_crash(struct fake_source_host *fake);
/* One turn of the loop, `ms` of the test's clock. */
void fake_source_step(struct fake_source_host *fake, int64_t ms);
/* Steps until so many events are durable; fails the test after some thousand steps. */
void fake_source_until_events(struct fake_source_host *fake, size_t count);
/* Steps through so much of the test's time. */
void fake_source_pass_ms(struct fake_source_host *fake, int64_t ms);
const struct fake_event *fake_source_event(const struct fake_source_host *fake, size_t place);
/* How many events have this text. */
size_t fake_source_count_text(const struct fake_source_host *fake, const char *text);
/* The bytes of a value of `positions`, for tests that change them. */
uint8_t *fake_source_position_data(void *position);
size_t fake_source_position_count(const struct fake_source_host *fake);

/* The options of a type with all their fallbacks, zeroed and filled; freed by fake_options_free. */
void *fake_options_new(const struct source_type *type);
void fake_options_free(void *options);

#endif
