/* Bytes to lines: a pure function of where a line begins, so that the same bytes give the same
 * lines however the reads are cut.
 *
 * A line longer than the bound is delivered in parts, all of them flagged, each at most the bound
 * and cut where a UTF-8 character begins; the next line is whole. */
#ifndef SOURCES_FILE_LINES_H
#define SOURCES_FILE_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source_span;

enum {
    LINE_MORE = 1 << 16, /* span flag inside this room: further parts of this line follow */
    LINE_LOOKAHEAD = 3,  /* bytes that must be seen behind a cut */
};

struct lines {
    size_t line_size_bytes_max;
    bool strip_cr; /* one CR before the LF is part of the line's end */
    bool in_long;  /* the next byte continues a line of which parts were delivered */
    int64_t cut;   /* long lines so far */
};

/* Splits data, which begins where a line (or a further part) does. Fills up to span_max spans,
 * offsets counted from `base`; returns their number. *ret_consumed: bytes that are now in spans;
 * what is left is an unfinished line, or did not fit into the spans. */
size_t lines_split(struct lines *lines, const uint8_t *data, size_t size, uint32_t base,
                   struct source_span *spans, size_t span_max, size_t *ret_consumed);

#endif
