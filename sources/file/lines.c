/* Splitting bytes into lines. The loop costs one memchr and one span per line; everything that is
 * rare is behind one comparison. */
#include "sources/file/lines.h"

#include <string.h>

#include "sources/source.h"

#include "base/core/utf8.h"

/* Takes one part of a line that is too long, or its last one. 0: more bytes are needed to tell. */
static size_t take_part(struct lines *lines, const uint8_t *at, size_t left, const uint8_t *newline,
                        uint32_t offset, struct source_span *span)
{
    size_t limit = lines->line_size_bytes_max;
    size_t size = newline != NULL ? (size_t)(newline - at) : left;

    span->offset = offset;
    span->timestamp_ms = -1;
    if (newline == NULL && size <= limit + LINE_LOOKAHEAD) {
        return 0; /* where to cut depends on the character that begins last */
    }
    if (size > limit) {
        size = mr_utf8_cut(at, size, limit);
        span->size = (uint32_t)size;
        span->flags = SOURCE_SPAN_CUT | LINE_MORE;
        if (!lines->in_long) {
            lines->cut++;
        }
        lines->in_long = true;
        return size;
    }
    span->flags = lines->in_long ? SOURCE_SPAN_CUT : 0;
    span->size = (uint32_t)size;
    if (lines->strip_cr && size > 0 && at[size - 1] == '\r') {
        span->size--;
    }
    lines->in_long = false;
    return size + 1;
}

size_t lines_split(struct lines *lines, const uint8_t *data, size_t size, uint32_t base,
                   struct source_span *spans, size_t span_max, size_t *ret_consumed)
{
    const uint8_t *at = data;
    const uint8_t *end = data + size;
    size_t limit = lines->line_size_bytes_max;
    bool strip_cr = lines->strip_cr;
    size_t count = 0;

    while (at < end && count < span_max) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        uint32_t offset = base + (uint32_t)(at - data);

        if (newline == NULL || (size_t)(newline - at) > limit || lines->in_long) {
            size_t taken = take_part(lines, at, (size_t)(end - at), newline, offset, &spans[count]);

            if (taken == 0) {
                break;
            }
            at += taken;
        } else {
            size_t length = (size_t)(newline - at);

            if (strip_cr && length > 0 && newline[-1] == '\r') {
                length--;
            }
            spans[count] = (struct source_span){
                .offset = offset, .size = (uint32_t)length, .flags = 0, .timestamp_ms = -1};
            at = newline + 1;
        }
        count++;
    }
    *ret_consumed = (size_t)(at - data);
    return count;
}
