/* Joining pieces to lines and lines to events: see joiner.h.
 *
 * A lane's text is: the lines of the pending event, then the pieces of a line that is not yet
 * whole. When a line becomes whole the rules say whether it begins an event; if so, what is before
 * it is complete and goes out. What is too large goes out in parts, cut between characters, and the
 * rest is pending from the middle of a line: `start` and `skip` say exactly where. */
#include "sources/file/joiner.h"

#include <string.h>

#include "sources/file/file_internal.h"
#include "sources/file/runtime.h"

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/core/utf8.h"
#include "base/text/regex.h"

struct lane {
    struct mr_bytes text;
    size_t line_begin;  /* where the line that is not yet whole begins; text.size_bytes: none */
    int64_t start;      /* in the file, of the text's first line; -1: nothing is pending */
    uint32_t skip;      /* bytes of that line's content that went out already */
    int64_t line_start; /* in the file, of the line at line_begin */
    size_t line_count;  /* whole lines in the text */
    int64_t timestamp_ms;
    int64_t line_timestamp_ms;
    bool in_line;        /* a line has begun and is not whole */
    bool continues;      /* a first part of this event went out */
    bool is_cut;         /* of the line at line_begin too */
    bool starts_cut;     /* the text begins inside of a line */
    int64_t piece_start; /* the last piece in the text: where it begins in the file, */
    size_t piece_size;   /* how much of it is in the text, */
    uint32_t piece_skip; /* and how much of it is not */
    int64_t piece_timestamp_ms;
};

struct joiner {
    const struct joiner_rules *rules;
    struct lane lanes[LANES];
    struct mr_bytes scratch; /* an unescaped piece */
    int64_t malformed;
};

struct joiner *joiner_new(const struct joiner_rules *rules)
{
    struct joiner *joiner = mr_calloc(1, sizeof *joiner);

    if (joiner != NULL) {
        joiner->rules = rules;
        for (int i = 0; i < LANES; i++) {
            joiner->lanes[i].start = -1;
            mr_bytes_init(&joiner->lanes[i].text);
        }
        mr_bytes_init(&joiner->scratch);
    }
    return joiner;
}

void joiner_free(struct joiner *joiner)
{
    if (joiner == NULL) {
        return;
    }
    for (int i = 0; i < LANES; i++) {
        mr_bytes_done(&joiner->lanes[i].text);
    }
    mr_bytes_done(&joiner->scratch);
    mr_free(joiner);
}

static bool is_multiline(const struct joiner *joiner)
{
    return joiner->rules->start != NULL || joiner->rules->proceed != NULL;
}

/* ---- what a position says ---- */

void joiner_import(struct joiner *joiner, const struct lane_position lanes[LANES])
{
    for (int i = 0; i < LANES; i++) {
        struct lane *lane = &joiner->lanes[i];

        lane->start = lanes[i].pending_start;
        lane->skip = lanes[i].pending_skip;
        lane->continues = (lanes[i].flags & LANE_CONTINUES) != 0;
        lane->is_cut = (lanes[i].flags & LANE_IN_LINE) != 0;
        lane->starts_cut = lane->is_cut;
    }
}

void joiner_export(const struct joiner *joiner, struct lane_position lanes[LANES])
{
    for (int i = 0; i < LANES; i++) {
        const struct lane *lane = &joiner->lanes[i];

        lanes[i].pending_start = lane->start;
        lanes[i].pending_skip = lane->start < 0 ? 0 : lane->skip;
        lanes[i].flags =
            (lane->continues ? LANE_CONTINUES : 0) | (lane->starts_cut ? LANE_IN_LINE : 0);
    }
}

int64_t joiner_replay_start(const struct lane_position lanes[LANES])
{
    int64_t start = -1;

    for (int i = 0; i < LANES; i++) {
        int64_t at = lanes[i].pending_start;

        if (at >= 0 && (start < 0 || at < start)) {
            start = at;
        }
    }
    return start;
}

bool joiner_has_pending(const struct joiner *joiner)
{
    return joiner->lanes[0].start >= 0 || joiner->lanes[1].start >= 0;
}

uint32_t joiner_open_lines(const struct joiner *joiner)
{
    uint32_t mask = 0;

    for (int i = 0; i < LANES; i++) {
        const struct lane *lane = &joiner->lanes[i];

        if (lane->in_line && !lane->continues && lane->skip == 0 && !is_multiline(joiner)) {
            mask |= UINT32_C(1) << i;
        }
    }
    return mask;
}

int64_t joiner_malformed(const struct joiner *joiner)
{
    return joiner->malformed;
}

size_t joiner_emit_max(const struct joiner *joiner, size_t line_size, size_t *ret_event_max)
{
    size_t pending = joiner->lanes[0].text.size_bytes > joiner->lanes[1].text.size_bytes
                         ? joiner->lanes[0].text.size_bytes
                         : joiner->lanes[1].text.size_bytes;

    /* A cut between characters keeps a part at most three bytes below its bound. */
    *ret_event_max = 4 + (pending + line_size) / (joiner->rules->event_size_bytes_max - 3);
    return joiner->lanes[0].text.size_bytes + joiner->lanes[1].text.size_bytes + line_size;
}

/* ---- events out ---- */

static void emit_bytes(const struct joiner *joiner, int place, const uint8_t *data, size_t size,
                       int64_t timestamp_ms, uint32_t flags, joiner_emit_cb emit, void *owner)
{
    struct joiner_event event = {.data = data,
                                 .size = size,
                                 .timestamp_ms = timestamp_ms,
                                 .flags = flags | (place == 1 ? SOURCE_SPAN_STDERR : 0)};

    (void)joiner;
    if (emit != NULL) {
        emit(owner, &event);
    }
}

static void shift(struct lane *lane, size_t size)
{
    memmove(lane->text.data, lane->text.data + size, lane->text.size_bytes - size);
    lane->text.size_bytes -= size;
    lane->line_begin = lane->line_begin > size ? lane->line_begin - size : 0;
}

static void lane_clear(struct lane *lane)
{
    mr_bytes_clear(&lane->text);
    lane->line_begin = 0;
    lane->line_count = 0;
    lane->start = -1;
    lane->skip = 0;
    lane->in_line = false;
    lane->is_cut = false;
    lane->starts_cut = false;
    lane->piece_size = 0;
}

/* Sends the whole lines of the text; the unfinished one stays. `is_end`: the event is complete. */
static void emit_lines(struct joiner *joiner, int place, bool is_end, joiner_emit_cb emit,
                       void *owner)
{
    struct lane *lane = &joiner->lanes[place];
    size_t size = lane->line_begin;
    uint32_t flags = lane->continues || !is_end ? SOURCE_SPAN_CUT : 0;

    if (lane->line_count > 0) {
        size_t shown = size > 0 ? size - 1 : 0; /* without the last line's end */

        emit_bytes(joiner, place, lane->text.data, shown, lane->timestamp_ms, flags, emit, owner);
    }
    lane->continues = !is_end;
    shift(lane, size);
    lane->line_begin = 0;
    lane->line_count = 0;
    lane->timestamp_ms = lane->line_timestamp_ms;
    lane->skip = 0;
    lane->starts_cut = false;
    lane->start = lane->in_line ? lane->line_start : -1;
}

/* The text holds one unfinished line, whose last piece was just added, of more than the bound:
 * sends parts of it until it fits. The rest begins within the last piece, or, by a character that
 * two pieces share, in the one before. */
static void emit_parts(struct joiner *joiner, int place, int64_t piece_start, size_t piece_size,
                       uint32_t piece_skip, int64_t piece_timestamp_ms, joiner_emit_cb emit,
                       void *owner)
{
    struct lane *lane = &joiner->lanes[place];
    size_t bound = joiner->rules->event_size_bytes_max;

    while (lane->text.size_bytes > bound) {
        size_t size = mr_utf8_cut(lane->text.data, lane->text.size_bytes, bound);
        size_t left = lane->text.size_bytes - size;

        if (left > piece_size + lane->piece_size) { /* a character of many pieces: cut it */
            left = piece_size;
            size = lane->text.size_bytes - left;
        }
        emit_bytes(joiner, place, lane->text.data, size, lane->timestamp_ms, SOURCE_SPAN_CUT, emit,
                   owner);
        shift(lane, size);
        lane->continues = true;
        lane->is_cut = true;
        lane->starts_cut = true;
        if (left <= piece_size) {
            lane->start = piece_start;
            lane->skip = piece_skip + (uint32_t)(piece_size - left);
            lane->line_timestamp_ms = piece_timestamp_ms; /* as a replay from here would have it */
        } else {
            lane->line_timestamp_ms = lane->piece_timestamp_ms;
            lane->start = lane->piece_start;
            lane->skip = lane->piece_skip + (uint32_t)(lane->piece_size + piece_size - left);
        }
        lane->timestamp_ms = lane->line_timestamp_ms;
    }
}

/* ---- lines in ---- */

static bool begins_event(const struct joiner *joiner, const struct lane *lane)
{
    const struct joiner_rules *rules = joiner->rules;
    const uint8_t *line = lane->text.data + lane->line_begin;
    size_t size = lane->text.size_bytes - lane->line_begin;

    if (lane->is_cut) {
        return false; /* the rest of a line whose first part is out */
    }
    if (lane->line_count == 0 && !lane->continues) {
        return true;
    }
    if (rules->start != NULL && mr_regex_is_match(rules->start, line, size)) {
        return true;
    }
    if (rules->proceed != NULL) {
        return !mr_regex_is_match(rules->proceed, line, size);
    }
    return false; /* a start rule alone: what does not begin an event goes on with one */
}

/* The line at line_begin is whole. */
static int end_line(struct joiner *joiner, int place, joiner_emit_cb emit, void *owner)
{
    struct lane *lane = &joiner->lanes[place];
    const struct joiner_rules *rules = joiner->rules;

    lane->in_line = false;
    if (!is_multiline(joiner)) {
        emit_bytes(joiner, place, lane->text.data, lane->text.size_bytes, lane->timestamp_ms,
                   lane->continues ? SOURCE_SPAN_CUT : 0, emit, owner);
        lane_clear(lane);
        lane->continues = false;
        return 0;
    }
    if (begins_event(joiner, lane) && (lane->line_count > 0 || lane->continues)) {
        lane->in_line = true; /* it stays, as the first line of the next event */
        emit_lines(joiner, place, true, emit, owner);
        lane->in_line = false;
    }
    lane->is_cut = false;
    lane->line_count++;
    mr_bytes_append(&lane->text, "\n", 1); /* was reserved */
    lane->line_begin = lane->text.size_bytes;
    if (rules->lines_max > 0 && lane->line_count >= rules->lines_max) {
        emit_lines(joiner, place, false, emit, owner);
    }
    return 0;
}

static int take_piece(struct joiner *joiner, const struct runtime_piece *piece, int64_t start,
                      uint32_t skip, joiner_emit_cb emit, void *owner)
{
    int place = piece->lane;
    struct lane *lane = &joiner->lanes[place];
    size_t bound = joiner->rules->event_size_bytes_max;

    if (!is_multiline(joiner) && !lane->in_line && lane->start < 0 && piece->is_last &&
        piece->size <= bound) {
        emit_bytes(joiner, place, piece->data, piece->size, piece->timestamp_ms,
                   lane->continues ? SOURCE_SPAN_CUT : 0, emit, owner);
        lane->continues = false;
        return 0;
    }
    if (mr_bytes_reserve(&lane->text, piece->size + 1) != 0) {
        lane->text.failed = 0;
        return MR_ENOMEM;
    }
    if (lane->line_count > 0 && lane->text.size_bytes + piece->size > bound) {
        emit_lines(joiner, place, false, emit, owner);
    }
    if (!lane->in_line) {
        lane->in_line = true;
        lane->line_begin = lane->text.size_bytes;
        lane->line_start = start;
        lane->line_timestamp_ms = piece->timestamp_ms;
    }
    if (lane->start < 0) {
        lane->start = start;
        lane->skip = skip;
        lane->timestamp_ms = piece->timestamp_ms;
    }
    if (lane->text.size_bytes == 0) {
        lane->timestamp_ms = lane->line_timestamp_ms;
    }
    mr_bytes_append(&lane->text, piece->data, piece->size);
    if (lane->line_count == 0) {
        emit_parts(joiner, place, start, piece->size, skip, piece->timestamp_ms, emit, owner);
    }
    lane->piece_start = start;
    lane->piece_size = piece->size;
    lane->piece_skip = skip;
    lane->piece_timestamp_ms = piece->timestamp_ms;
    return piece->is_last ? end_line(joiner, place, emit, owner) : 0;
}

static void parse(struct joiner *joiner, const uint8_t *line, size_t size, uint32_t flags,
                  struct runtime_piece *piece)
{
    bool is_parsed = false;

    *piece = (struct runtime_piece){
        .data = line, .size = size, .timestamp_ms = -1, .is_last = (flags & LINE_MORE) == 0};
    if (joiner->rules->format == FORMAT_PLAIN) {
        return;
    }
    if ((flags & SOURCE_SPAN_CUT) == 0) { /* a frame that was cut cannot be read */
        is_parsed = joiner->rules->format == FORMAT_CRI
                        ? runtime_parse_cri(line, size, piece)
                        : runtime_parse_docker(line, size, &joiner->scratch, piece);
    }
    if (!is_parsed) {
        joiner->malformed++;
        *piece = (struct runtime_piece){
            .data = line, .size = size, .timestamp_ms = -1, .is_last = (flags & LINE_MORE) == 0};
    }
}

static void flush_lane(struct joiner *joiner, int place, joiner_emit_cb emit, void *owner)
{
    struct lane *lane = &joiner->lanes[place];
    bool was_open = lane->in_line;
    size_t size = lane->text.size_bytes;
    uint32_t flags = (lane->continues ? SOURCE_SPAN_CUT : 0) | (was_open ? SOURCE_SPAN_PARTIAL : 0);

    if (lane->start >= 0 && (was_open || lane->line_count > 0)) {
        if (!was_open && size > 0 && lane->line_count > 0) {
            size--; /* the last line's end */
        }
        emit_bytes(joiner, place, lane->text.data, size, lane->timestamp_ms, flags, emit, owner);
    }
    lane_clear(lane);
    lane->continues = false;
}

/* In bytes of the file: the same at every reading. */
static bool is_overdue(const struct joiner *joiner, const struct lane *lane, int64_t start)
{
    return lane->start >= 0 && start - lane->start > joiner->rules->pending_size_bytes_max;
}

static bool waits_too_long(const struct joiner *joiner, int64_t start)
{
    return is_overdue(joiner, &joiner->lanes[0], start) ||
           is_overdue(joiner, &joiner->lanes[1], start);
}

static void give_up_waiting(struct joiner *joiner, int64_t start, joiner_emit_cb emit, void *owner)
{
    for (int i = 0; i < LANES; i++) {
        if (is_overdue(joiner, &joiner->lanes[i], start)) {
            flush_lane(joiner, i, emit, owner);
        }
    }
}

/* A pending event that begins in this line, of which nothing is here yet: takes off what went out
 * of it before the restart. */
static uint32_t skip_delivered(struct lane *lane, struct runtime_piece *piece, int64_t start)
{
    uint32_t skip = 0;

    if (start == lane->start && lane->text.size_bytes == 0 && !lane->in_line) {
        skip = lane->skip < piece->size ? lane->skip : (uint32_t)piece->size;
        piece->data += skip;
        piece->size -= skip;
        lane->timestamp_ms = piece->timestamp_ms;
        lane->line_timestamp_ms = piece->timestamp_ms;
    }
    return skip;
}

int joiner_feed(struct joiner *joiner, const uint8_t *line, size_t size, uint32_t flags,
                int64_t start, joiner_emit_cb emit, void *owner)
{
    struct runtime_piece piece;
    uint32_t skip;

    parse(joiner, line, size, flags, &piece);
    if (joiner->scratch.failed != 0) {
        joiner->scratch.failed = 0;
        return MR_ENOMEM;
    }
    if (waits_too_long(joiner, start)) {
        if (mr_bytes_reserve(&joiner->lanes[piece.lane].text, piece.size + 1) != 0) {
            joiner->lanes[piece.lane].text.failed = 0;
            return MR_ENOMEM; /* before anything is emitted */
        }
        give_up_waiting(joiner, start, emit, owner);
    }
    skip = skip_delivered(&joiner->lanes[piece.lane], &piece, start);
    return take_piece(joiner, &piece, start, skip, emit, owner);
}

int joiner_replay(struct joiner *joiner, const uint8_t *line, size_t size, uint32_t flags,
                  int64_t start)
{
    struct runtime_piece piece;
    struct lane *lane;
    uint32_t skip;

    parse(joiner, line, size, flags, &piece);
    lane = &joiner->lanes[piece.lane];
    if (lane->start < 0 || start < lane->start) {
        return 0;
    }
    skip = skip_delivered(lane, &piece, start);
    return take_piece(joiner, &piece, start, skip, NULL, NULL);
}

void joiner_inherit(struct joiner *heir, struct joiner *from, uint32_t mask)
{
    for (int i = 0; i < LANES; i++) {
        struct lane *lane = &heir->lanes[i];

        if ((mask & UINT32_C(1) << i) == 0) {
            continue;
        }
        mr_assert(lane->start < 0);
        mr_bytes_done(&lane->text);
        *lane = from->lanes[i];
        lane->start = 0;
        lane->line_start = 0;
        lane->piece_size = 0; /* nothing can be pending from within it: it is another file's */
        from->lanes[i] = (struct lane){.start = -1};
        mr_bytes_init(&from->lanes[i].text);
    }
}

int joiner_replay_inherited(struct joiner *heir, uint32_t mask, const uint8_t *line, size_t size,
                            uint32_t flags)
{
    struct runtime_piece piece;

    parse(heir, line, size, flags, &piece);
    if ((mask & UINT32_C(1) << piece.lane) == 0 || piece.is_last) {
        return 0;
    }
    return take_piece(heir, &piece, 0, 0, NULL, NULL);
}

void joiner_flush(struct joiner *joiner, joiner_emit_cb emit, void *owner)
{
    for (int i = 0; i < LANES; i++) {
        flush_lane(joiner, i, emit, owner);
    }
}
