/* Lines to events, where an event can be more than a line or a line less than an event:
 *
 *   container runtimes   CRI and docker's JSON wrap each line and cut long ones into pieces
 *   multiline            a rule says which lines belong together
 *
 * A joiner is fed whole lines in order and emits events. What it holds is a pure function of the
 * lines since the starts that joiner_export gives: fed again with these, a new joiner holds the
 * same. Only joiner_flush (a time-out, or the end of a file) depends on time.
 *
 * Each runtime stream (stdout, stderr) is a lane of its own, since their pieces may be mixed. */
#ifndef SOURCES_FILE_JOINER_H
#define SOURCES_FILE_JOINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sources/file/position.h"

struct joiner;
struct mr_error;
struct mr_regex;

struct joiner_rules {
    int format;               /* enum file_format */
    struct mr_regex *start;   /* a line that begins an event; NULL: no such rule */
    struct mr_regex *proceed; /* a line that goes on with one; NULL: no such rule */
    size_t lines_max;         /* 0: unbounded */
    size_t event_size_bytes_max;
    int64_t pending_size_bytes_max; /* how far the file may go on while a lane waits */
    bool strip_cr;
};

/* Data is borrowed for the call. Flags are those of spans. */
struct joiner_event {
    const uint8_t *data;
    size_t size;
    int64_t timestamp_ms;
    uint32_t flags;
};
typedef void (*joiner_emit_cb)(void *owner, const struct joiner_event *event);

/* Rules are borrowed. NULL without memory. */
struct joiner *joiner_new(const struct joiner_rules *rules);
void joiner_free(struct joiner *joiner);

/* Takes up what a position says, without the bytes; lines are then replayed. */
void joiner_import(struct joiner *joiner, const struct lane_position lanes[LANES]);
void joiner_export(const struct joiner *joiner, struct lane_position lanes[LANES]);
/* Where the first byte stands that must be replayed; -1: none. */
int64_t joiner_replay_start(const struct lane_position lanes[LANES]);
/* A line from before the position: only lanes that waited for it take it; emits nothing. */
int joiner_replay(struct joiner *joiner, const uint8_t *line, size_t size, uint32_t flags,
                  int64_t start);
/* A line, or, with LINE_MORE, a part of one. MR_ENOMEM: nothing was taken or emitted. */
int joiner_feed(struct joiner *joiner, const uint8_t *line, size_t size, uint32_t flags,
                int64_t start, joiner_emit_cb emit, void *owner);
/* While a line is fed or flushed, the state between two of its events can be exported: it is that
 * of a line that is yet to be fed, of which, or of what waited, a part went out. */
/* Emits what is pending, flagged partial where a line was not whole. */
void joiner_flush(struct joiner *joiner, joiner_emit_cb emit, void *owner);
bool joiner_has_pending(const struct joiner *joiner);
/* Unfinished container lines (pieces without their last one), as bits 1 << lane: what may go on in
 * the next file after a rotation. */
uint32_t joiner_open_lines(const struct joiner *joiner);
/* How many bytes, and events, feeding a line of this size emits at most. */
size_t joiner_emit_max(const struct joiner *joiner, size_t line_size, size_t *ret_event_max);
/* Takes over the unfinished lines of the lanes in `mask`, which are then nobody's there. They count
 * as begun at byte 0 of the heir's file. */
void joiner_inherit(struct joiner *heir, struct joiner *from, uint32_t mask);
/* The same after a restart: a line of the predecessor, for the lanes in `mask`. 0 or MR_ENOMEM. */
int joiner_replay_inherited(struct joiner *heir, uint32_t mask, const uint8_t *line, size_t size,
                            uint32_t flags);
int64_t joiner_malformed(const struct joiner *joiner);

#endif
