/* The same bytes give the same events, however the reads are cut and wherever a restart falls.
 *
 * The first bytes choose format, rules and cuts; the rest is a file. It is read once in one piece,
 * and once in pieces, where at some cuts the joiner is thrown away and rebuilt from its position.
 */
#include <stdint.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/text/regex.h"
#include "sources/file/file_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINE_MAX_BYTES = 48, CONTROL = 8 };

struct reading {
    struct joiner_rules rules;
    struct joiner *joiner;
    struct lines lines;
    struct lane_position lanes[LANES];
    struct mr_bytes events;
    const uint8_t *file;
    size_t offset;
};

static void on_event(void *owner, const struct joiner_event *event)
{
    struct reading *reading = owner;

    mr_bytes_printf(&reading->events, "%u %lld %zu:", event->flags, (long long)event->timestamp_ms,
                    event->size);
    mr_bytes_append(&reading->events, event->data, event->size);
}

/* Takes what is whole in [offset, end). */
static void take(struct reading *reading, size_t end, bool is_replay, size_t replay_end)
{
    struct source_span spans[4];
    size_t taken;
    size_t count;

    do {
        size_t first = reading->offset;

        count =
            lines_split(&reading->lines, reading->file + first, end - first, 0, spans, 4, &taken);
        for (size_t i = 0; i < count; i++) {
            const uint8_t *line = reading->file + first + spans[i].offset;
            int64_t start = (int64_t)(first + spans[i].offset);

            if (is_replay && start < (int64_t)replay_end) {
                (void)joiner_replay(reading->joiner, line, spans[i].size, spans[i].flags, start);
            } else if (!is_replay) {
                mr_assert(joiner_feed(reading->joiner, line, spans[i].size, spans[i].flags, start,
                                      on_event, reading) == 0);
            }
        }
        reading->offset = first + taken;
    } while (count > 0 && reading->offset < replay_end);
}

/* `end`: what was there when the lines were taken; where a long line was cut depends on it. */
static void rebuild(struct reading *reading, size_t end)
{
    size_t offset = reading->offset;
    bool in_long = reading->lines.in_long;
    int64_t start;

    joiner_export(reading->joiner, reading->lanes);
    joiner_free(reading->joiner);
    reading->joiner = joiner_new(&reading->rules);
    mr_assert(reading->joiner != NULL);
    joiner_import(reading->joiner, reading->lanes);
    start = joiner_replay_start(reading->lanes);
    if (start >= 0 && start < (int64_t)offset) {
        reading->offset = (size_t)start;
        reading->lines.in_long = start > 0 && reading->file[start - 1] != '\n';
        take(reading, end, true, offset);
    }
    reading->offset = offset;
    reading->lines.in_long = in_long;
}

static void begin(struct reading *reading, const uint8_t *data)
{
    *reading = (struct reading){.file = data + CONTROL};
    reading->rules.format = data[0] % 3;
    reading->rules.event_size_bytes_max = 64;
    reading->rules.pending_size_bytes_max = 512;
    reading->rules.lines_max = (data[0] & 0x10) != 0 ? 3 : 0;
    if ((data[0] & 0x20) != 0) {
        mr_assert(mr_regex_compile("^[A-M]", 0, &reading->rules.start, NULL) == 0);
    }
    if ((data[0] & 0x40) != 0) {
        mr_assert(mr_regex_compile("^\\s", 0, &reading->rules.proceed, NULL) == 0);
    }
    reading->lines.line_size_bytes_max = (data[0] & 0x80) != 0 ? LINE_MAX_BYTES : 4096;
    mr_bytes_init(&reading->events);
    reading->joiner = joiner_new(&reading->rules);
    mr_assert(reading->joiner != NULL);
}

static void end(struct reading *reading)
{
    joiner_flush(reading->joiner, on_event, reading);
    joiner_free(reading->joiner);
    mr_regex_free(reading->rules.start);
    mr_regex_free(reading->rules.proceed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading whole;
    struct reading pieces;
    size_t file_size;
    size_t at = 0;

    if (size < CONTROL) {
        return 0;
    }
    file_size = size - CONTROL;
    begin(&whole, data);
    take(&whole, file_size, false, file_size);
    begin(&pieces, data);
    for (unsigned i = 0; at < file_size; i++) {
        uint8_t control = data[1 + i % (CONTROL - 1)];

        at += (size_t)(control & 0x7f) + 1;
        at = at < file_size ? at : file_size;
        take(&pieces, at, false, at);
        if ((control & 0x80) != 0) {
            rebuild(&pieces, at);
        }
    }
    end(&whole);
    end(&pieces);
    mr_assert(whole.events.size_bytes == pieces.events.size_bytes);
    mr_assert(whole.events.size_bytes == 0 ||
              memcmp(whole.events.data, pieces.events.data, whole.events.size_bytes) == 0);
    mr_bytes_done(&whole.events);
    mr_bytes_done(&pieces.events);
    return 0;
}
