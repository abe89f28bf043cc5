/* The position at any event of a block.
 *
 * A host may end a batch within a block, and a restart then goes on from there: in the same file,
 * or, if that was copied and truncated meanwhile, in its copy. So the position of each event must
 * be as good as that of a block's end: the byte behind it, the head and the tail up to there, and
 * what the joiner holds.
 *
 * Plain events point into the bytes as they were read, so all of it can be computed when it is
 * asked for. Joined ones are copies, and the bytes of their lines are gone by then: each has a
 * mark, made when the event came out. */
#include <string.h>

#include "sources/file/joiner.h"
#include "sources/file/reader_internal.h"

#include "base/core/error.h"
#include "base/core/hash.h"

/* The head as of `offset`, where the bytes from the file's start are at hand. */
static void set_head(struct identity *identity, const uint8_t *bytes, int64_t offset)
{
    identity->head_size = (uint16_t)(offset < HEAD_SIZE_MAX ? offset : HEAD_SIZE_MAX);
    identity->head_hash = mr_hash64(bytes, identity->head_size);
}

void boundary_set_tail(struct identity *identity, const uint8_t *end, int64_t offset)
{
    identity->tail_size = (uint16_t)(offset < TAIL_SIZE_MAX ? offset : TAIL_SIZE_MAX);
    identity->tail_hash = mr_hash64(end - identity->tail_size, identity->tail_size);
}

static void plain_at(const struct block *block, size_t span_count, struct position *position)
{
    const uint8_t *bytes = block->chunk->buf.data;
    uint32_t place = block->spans[span_count].offset; /* where the next one begins */
    int64_t first = block->after.offset - block->end;

    position->offset = first + place;
    position->flags &= ~(uint32_t)POSITION_IN_LONG_LINE;
    position->flags |= bytes[place - 1] == '\n' ? 0 : POSITION_IN_LONG_LINE;
    if (position->identity.head_size > position->offset) { /* no more than was consumed */
        position->identity.head_size = block->head_size;
        position->identity.head_hash = block->head_hash;
    }
    if (first == 0) {
        set_head(&position->identity, bytes, position->offset);
    }
    boundary_set_tail(&position->identity, bytes + place, position->offset);
}

static void marked_at(const struct block *block, size_t span_count, struct position *position)
{
    const struct mark *mark = &block->marks[span_count - 1];

    position->offset = mark->offset;
    position->flags &= ~(uint32_t)POSITION_IN_LONG_LINE;
    position->flags |= mark->in_long ? POSITION_IN_LONG_LINE : 0;
    position->identity.head_size = mark->head_size;
    position->identity.head_hash = mark->head_hash;
    position->identity.tail_size = mark->tail_size;
    position->identity.tail_hash = mark->tail_hash;
    position->inherited = block->inherited;
    memcpy(position->lanes, mark->lanes, sizeof position->lanes);
    reader_settle_inheritance(position);
}

size_t boundary_position(const struct source_block *base, size_t span_count, void *data)
{
    const struct block *block = base->owner;
    struct position position = block->after;

    mr_assert(span_count <= base->span_count && (span_count > 0 || base->span_count == 0));
    if (span_count < base->span_count) {
        if (block->is_marked) {
            marked_at(block, span_count, &position);
        } else {
            plain_at(block, span_count, &position);
        }
    }
    return position_encode(&position, block->tail->origin, data);
}

void boundary_mark(struct block *block, size_t place, const struct chunk *raw, int64_t first,
                   int64_t offset, bool in_long)
{
    const struct tail *tail = block->tail;
    struct identity identity = tail->position.identity;
    struct mark *mark = &block->marks[place];

    if (raw != NULL) {
        if (first == 0) { /* in the first line nothing is consumed, and what follows tells which
                             file this is */
            set_head(&identity, raw->buf.data, offset > 0 ? offset : (int64_t)raw->buf.size_bytes);
        }
        boundary_set_tail(&identity, raw->buf.data + (offset - first), offset);
    }
    mark->offset = offset;
    mark->in_long = in_long;
    mark->head_size = identity.head_size;
    mark->head_hash = identity.head_hash;
    mark->tail_size = identity.tail_size;
    mark->tail_hash = identity.tail_hash;
    joiner_export(tail->joiner, mark->lanes);
}
