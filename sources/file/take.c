/* From bytes to blocks: split, join where the format asks for it, move the position, hand over.
 *
 * The position of a block is the state after its last event. It is computed between lines only, so
 * that what is in the blocks and what the position says are always the same. */
#include <string.h>

#include "sources/file/file_internal.h"
#include "sources/file/joiner.h"
#include "sources/file/reader_internal.h"

#include "base/core/error.h"
#include "base/core/hash.h"

struct lines take_lines_of(const struct tail *tail)
{
    const struct file_options *options = tail->fs->options;

    return (struct lines){
        .line_size_bytes_max = (size_t)options->line_size_bytes_max,
        .strip_cr = options->strip_cr && options->format == FORMAT_PLAIN,
        .in_long = (tail->position.flags & POSITION_IN_LONG_LINE) != 0,
    };
}

/* Moves the position to `offset`, whose bytes before it end at `end` in the chunk (together with
 * those in front of buf.data there are always enough for the tail). */
static enum reader_result move_position(struct tail *tail, const struct chunk *chunk,
                                        const uint8_t *end, int64_t offset, bool in_long)
{
    struct identity *identity = &tail->position.identity;
    int64_t first = offset - (end - chunk->buf.data); /* where the chunk's data begins */
    bool grows = identity->head_size < HEAD_SIZE_MAX;

    if (grows && first == 0) {
        size_t size = (size_t)(offset < HEAD_SIZE_MAX ? offset : HEAD_SIZE_MAX);

        find_unindex_head(tail);
        identity->head_size = (uint16_t)size;
        identity->head_hash = mr_hash64(chunk->buf.data, size);
        find_index_head(tail);
    } else if (grows && !tail->is_gzip) {
        struct identity grown = *identity;
        enum identity_answer answer = identity_grow_head(&grown, tail->fs->disk, tail->fd, offset);

        if (answer == IDENTITY_CHANGED) {
            return READER_CHANGED;
        }
        find_unindex_head(tail);
        *identity = grown;
        find_index_head(tail);
    }
    boundary_set_tail(identity, end, offset);
    tail->position.offset = offset;
    tail->position.flags &= ~(uint32_t)POSITION_IN_LONG_LINE;
    tail->position.flags |= in_long ? POSITION_IN_LONG_LINE : 0;
    return READER_MORE;
}

static void hand_over(struct tail *tail, struct block *block, size_t span_count)
{
    struct file_source *fs = tail->fs;

    block->tail = tail;
    block->base.buf = &block->chunk->buf;
    block->base.spans = block->spans;
    block->base.span_count = span_count;
    block->after = tail->position;
    fs->counts[FILE_EVENTS] += (int64_t)span_count;
    file_offer(fs, block);
}

/* ---- plain lines: spans point into the bytes as they were read ---- */

static void clear_more(struct source_span *spans, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        spans[i].flags &= ~(uint32_t)LINE_MORE;
    }
}

static enum reader_result take_plain(struct tail *tail, struct chunk *chunk, size_t *ret_taken)
{
    struct file_source *fs = tail->fs;
    struct lines lines = take_lines_of(tail);
    size_t at = 0;
    enum reader_result result = READER_MORE;

    while (at < chunk->buf.size_bytes && result == READER_MORE) {
        struct block *block = pool_block(&fs->pool, chunk, at == 0);
        struct identity before = tail->position.identity;
        bool was_long = lines.in_long;
        size_t taken = 0;
        size_t count;

        if (block == NULL) {
            break; /* what is left is read again */
        }
        count = lines_split(&lines, chunk->buf.data + at, chunk->buf.size_bytes - at, (uint32_t)at,
                            block->spans, BLOCK_SPANS_MAX, &taken);
        if (count > 0) {
            at += taken;
            result = move_position(tail, chunk, chunk->buf.data + at,
                                   tail->position.offset + (int64_t)taken, lines.in_long);
        }
        if (count == 0 || result != READER_MORE) {
            pool_block_release(&fs->pool, block);
            break;
        }
        if (was_long || lines.in_long || lines.cut > 0) {
            clear_more(block->spans, count);
        }
        fs->counts[FILE_LINES] += (int64_t)count;
        block->end = (uint32_t)at;
        block->head_size = before.head_size;
        block->head_hash = before.head_hash;
        hand_over(tail, block, count);
    }
    fs->counts[FILE_CUT_LINES] += lines.cut;
    *ret_taken = at;
    return result;
}

/* ---- joined events: copied into a chunk of their own ---- */

struct output {
    struct tail *tail;
    struct block *block; /* NULL: none yet */
    size_t span_count;
    /* The line that is being fed, and where: NULL in `raw`: none, what is pending is flushed. */
    const struct chunk *raw;
    int64_t first; /* of the bytes in raw */
    int64_t line_start;
    bool in_long;       /* as it begins */
    size_t event_count; /* that it has brought out so far */
};

static void on_event(void *owner, const struct joiner_event *event)
{
    struct output *output = owner;
    struct mr_buf *buf = &output->block->chunk->buf;

    mr_assert(output->span_count < MARKS_MAX);
    if (output->event_count > 0) { /* a restart from between the two feeds this line again */
        boundary_mark(output->block, output->span_count - 1, output->raw, output->first,
                      output->line_start, output->in_long);
    }
    output->event_count++;
    mr_assert(event->size <= buf->capacity_bytes - buf->size_bytes);
    if (event->size > 0) {
        memcpy(buf->data + buf->size_bytes, event->data, event->size);
    }
    output->block->spans[output->span_count] =
        (struct source_span){.offset = (uint32_t)buf->size_bytes,
                             .size = (uint32_t)event->size,
                             .flags = event->flags,
                             .timestamp_ms = event->timestamp_ms};
    if ((event->flags & SOURCE_SPAN_PARTIAL) != 0) {
        output->tail->fs->counts[FILE_PARTIAL_EVENTS]++;
    }
    output->span_count++;
    buf->size_bytes += event->size;
}

static bool output_open(struct output *output, bool beyond)
{
    struct pool *pool = &output->tail->fs->pool;
    struct chunk *chunk = pool_chunk(pool, beyond);

    if (chunk == NULL) {
        return false;
    }
    chunk->buf.size_bytes = 0;
    output->block = pool_block(pool, chunk, true);
    output->span_count = 0;
    pool_chunk_release(pool, chunk); /* the block has its own use */
    if (output->block == NULL) {
        return false;
    }
    output->block->tail = output->tail;
    output->block->is_marked = true;
    output->block->inherited = output->tail->position.inherited;
    return true;
}

static void output_send(struct output *output)
{
    if (output->block == NULL) {
        return;
    }
    if (output->span_count > 0) {
        hand_over(output->tail, output->block, output->span_count);
    } else {
        pool_block_release(&output->tail->fs->pool, output->block);
    }
    output->block = NULL;
}

static void output_discard(struct output *output)
{
    if (output->block != NULL) {
        pool_block_release(&output->tail->fs->pool, output->block);
        output->block = NULL;
    }
}

/* Room for all that one more line can bring out. */
static bool output_fits(const struct output *output, const struct joiner *joiner, size_t line_size)
{
    const struct mr_buf *buf = &output->block->chunk->buf;
    size_t event_max;
    size_t size_max = joiner_emit_max(joiner, line_size, &event_max);

    return size_max <= buf->capacity_bytes - buf->size_bytes &&
           output->span_count + event_max <= MARKS_MAX;
}

/* Feeds one line, and marks the position behind what it has brought out. */
static int output_feed(struct output *output, const struct source_span *span, int64_t end)
{
    struct tail *tail = output->tail;
    bool in_long = (span->flags & LINE_MORE) != 0;
    int rc;

    output->line_start = output->first + span->offset;
    output->event_count = 0;
    rc = joiner_feed(tail->joiner, output->raw->buf.data + span->offset, span->size, span->flags,
                     output->line_start, on_event, output);
    if (rc != 0) {
        return rc;
    }
    if (output->event_count > 0) {
        boundary_mark(output->block, output->span_count - 1, output->raw, output->first, end,
                      in_long);
    }
    output->in_long = in_long;
    return 0;
}

/* The state after all lines up to `end`, into the position. */
static enum reader_result note_lines(struct tail *tail, const struct chunk *chunk,
                                     const uint8_t *end, int64_t offset, bool in_long)
{
    enum reader_result result = move_position(tail, chunk, end, offset, in_long);

    if (result == READER_MORE) {
        joiner_export(tail->joiner, tail->position.lanes);
        reader_settle_inheritance(&tail->position);
    }
    return result;
}

/* Pieces alone bring out no block, and a file that holds nothing else may be rotated to where no
 * one would look for it after a restart: it becomes known by a position alone. */
static void keep_pieces(struct tail *tail)
{
    if (!tail->is_kept && joiner_has_pending(tail->joiner)) {
        (void)file_offer_position(tail); /* without it, only what was said above is at risk */
    }
}

/* Before the line at `at` of the chunk: the block is handed over with the position there, and
 * another one is begun. *noted: up to where the lines are in the position. */
static enum reader_result output_renew(struct output *output, size_t at, size_t *noted)
{
    if (*noted < at) {
        enum reader_result result =
            note_lines(output->tail, output->raw, output->raw->buf.data + at,
                       output->first + (int64_t)at, output->in_long);
        *noted = at;
        if (result != READER_MORE) {
            return result;
        }
    }
    output_send(output);
    return output_open(output, false) ? READER_MORE : READER_STARVED;
}

/* Feeds the lines of a chunk. Blocks are handed over between lines only, when the position and the
 * joiner say the same. */
static enum reader_result take_joined(struct tail *tail, struct chunk *chunk, size_t *ret_taken)
{
    struct file_source *fs = tail->fs;
    struct lines lines = take_lines_of(tail);
    struct output output = {
        .tail = tail, .raw = chunk, .first = tail->position.offset, .in_long = lines.in_long};
    struct source_span spans[64];
    enum reader_result result = READER_MORE;
    size_t at = 0;    /* taken */
    size_t noted = 0; /* and in the position */

    while (result == READER_MORE) {
        size_t taken;
        size_t count = lines_split(&lines, chunk->buf.data + at, chunk->buf.size_bytes - at,
                                   (uint32_t)at, spans, 64, &taken);
        size_t end = at + taken;

        if (count == 0) {
            break;
        }
        for (size_t i = 0; i < count && result == READER_MORE; i++) {
            const struct source_span *span = &spans[i];
            size_t next = i + 1 < count ? spans[i + 1].offset : end;

            if (output.block == NULL || !output_fits(&output, tail->joiner, span->size)) {
                result = output_renew(&output, span->offset, &noted);
            }
            if (result == READER_MORE &&
                output_feed(&output, span, output.first + (int64_t)next) != 0) {
                result = READER_STARVED;
            }
            if (result != READER_MORE) {
                break;
            }
            fs->counts[FILE_LINES] += output.in_long ? 0 : 1;
            at = next;
        }
    }
    if (result != READER_CHANGED && noted < at) {
        enum reader_result noting = note_lines(tail, chunk, chunk->buf.data + at,
                                               output.first + (int64_t)at, output.in_long);

        result = noting == READER_MORE ? result : noting;
    }
    if (result == READER_CHANGED) {
        output_discard(&output);
        reader_forget_decoders(tail);
    } else {
        output_send(&output);
        keep_pieces(tail);
    }
    fs->counts[FILE_CUT_LINES] += lines.cut;
    *ret_taken = at;
    return result;
}

bool take_is_joined(const struct file_source *fs)
{
    return fs->options->format != FORMAT_PLAIN || fs->options->multiline.start != NULL ||
           fs->options->multiline.proceed != NULL;
}

enum reader_result take_bytes(struct tail *tail, struct chunk *chunk, size_t *ret_taken)
{
    *ret_taken = 0;
    if (!take_is_joined(tail->fs)) {
        return take_plain(tail, chunk, ret_taken);
    }
    mr_assert(tail->joiner != NULL);
    return take_joined(tail, chunk, ret_taken);
}

enum reader_result take_remainder(struct tail *tail, struct chunk *chunk)
{
    struct file_source *fs = tail->fs;
    uint32_t size = (uint32_t)chunk->buf.size_bytes;
    bool in_long = (tail->position.flags & POSITION_IN_LONG_LINE) != 0;
    int64_t offset = tail->position.offset + size;
    struct block *block;

    if (take_is_joined(fs)) {
        struct output output = {
            .tail = tail, .raw = chunk, .first = tail->position.offset, .in_long = in_long};
        const struct source_span span = {.size = size, .flags = in_long ? SOURCE_SPAN_CUT : 0};
        enum reader_result result;

        if (!output_open(&output, true) || output_feed(&output, &span, offset) != 0) {
            output_discard(&output);
            return READER_STARVED;
        }
        result = note_lines(tail, chunk, chunk->buf.data + size, offset, false);
        if (result == READER_MORE) {
            output_send(&output);
        } else {
            output_discard(&output);
        }
        return result;
    }
    block = pool_block(&fs->pool, chunk, true);
    if (block == NULL) {
        return READER_STARVED;
    }
    if (move_position(tail, chunk, chunk->buf.data + size, offset, false) != READER_MORE) {
        pool_block_release(&fs->pool, block);
        return READER_CHANGED;
    }
    block->spans[0] = (struct source_span){.size = size,
                                           .flags = SOURCE_SPAN_PARTIAL |
                                                    (in_long ? (uint32_t)SOURCE_SPAN_CUT : 0),
                                           .timestamp_ms = -1};
    fs->counts[FILE_LINES]++;
    fs->counts[FILE_PARTIAL_EVENTS]++;
    hand_over(tail, block, 1);
    return READER_MORE;
}

enum reader_result take_pending(struct tail *tail)
{
    struct output output = {.tail = tail};

    if (!output_open(&output, true)) {
        return READER_STARVED;
    }
    output.line_start = tail->position.offset;
    output.in_long = (tail->position.flags & POSITION_IN_LONG_LINE) != 0;
    joiner_flush(tail->joiner, on_event, &output);
    joiner_export(tail->joiner, tail->position.lanes);
    reader_settle_inheritance(&tail->position);
    output_send(&output);
    return READER_MORE;
}
