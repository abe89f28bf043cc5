/* Reading: an offset becomes a byte range of one file.
 *
 * Where a range begins is known from the cursor or found by index and a short walk; where it ends,
 * by the index again. Headers are all that is read of bytes that this life has written or checked.
 * Bytes of an earlier life are checked when they are first asked for: a start-up that read all it
 * keeps would take minutes, and one that served what the disk has garbled would stop its readers.
 * Damage is stepped over: the reader gets the next batch that is whole. */
#include "queue/log/log_internal.h"

#include "base/core/memory.h"

/* ---- checking what an earlier life has left ---- */

static bool is_trusted(const struct segment *segment, int64_t from, int64_t to)
{
    return from >= segment->trusted_from ||
           (from >= segment->checked_from && to <= segment->checked_to);
}

/* From where on a scan that begins at `from` has to compare checksums. */
static int64_t check_from(const struct segment *segment, int64_t from)
{
    if (from >= segment->trusted_from) {
        return INT64_MAX;
    }
    return from >= segment->checked_from && from < segment->checked_to ? segment->checked_to : from;
}

/* Adds to what the last reader has had checked; a reader elsewhere begins anew. */
static void checked_add(struct segment *segment, int64_t from, int64_t to)
{
    if (from > segment->checked_to || to < segment->checked_from) {
        segment->checked_from = from;
        segment->checked_to = to;
        return;
    }
    if (from < segment->checked_from) {
        segment->checked_from = from;
    }
    if (to > segment->checked_to) {
        segment->checked_to = to;
    }
    if (segment->checked_to >= segment->trusted_from &&
        segment->checked_from < segment->trusted_from) {
        segment->trusted_from = segment->checked_from;
    }
}

int segment_verify(struct segment *segment, int64_t from, int64_t offset, int64_t to,
                   int64_t *ret_to, int64_t *ret_next_offset)
{
    struct scan_item item = {0};
    struct scan scan;
    uint8_t *buffer;
    int64_t end = from;
    int rc;

    rc = segment_scan_open(segment, &scan, &buffer);
    if (rc != 0) {
        return rc;
    }
    scan.position = from;
    scan.offset = offset;
    scan.is_offset_exact = false;
    scan.check_from = check_from(segment, from);
    *ret_next_offset = offset;
    while (scan.position < to && (rc = scan_next(&scan, &item)) == SCAN_BATCH) {
        if (item.position != end || (scan.position > to && end > from)) {
            break; /* known damage was stepped over, or the range would grow */
        }
        end = scan.position;
        *ret_next_offset = batch_next_offset(&item.header);
    }
    if (rc == SCAN_DAMAGE) {
        segment_damaged(segment, item.position, item.size_bytes);
    }
    mr_free(buffer);
    if (rc < 0) {
        return rc;
    }
    if (end > from) {
        checked_add(segment, from, end);
    }
    *ret_to = end;
    return 0;
}

/* ---- where a range begins ---- */

static int seek_once(struct segment *segment, int64_t offset, bool *ret_is_index_wrong,
                     struct scan_item *ret_item)
{
    const struct segment_index *index = &segment->index;
    uint8_t buffer[LOG_WALK_BUFFER_SIZE];
    struct log_file *file;
    struct scan scan;
    size_t place;
    int64_t entry_offset = -1;
    int rc;

    rc = segment_file(segment, &file);
    if (rc != 0) {
        return rc;
    }
    segment_scan_init(segment, &scan, file, buffer, sizeof buffer);
    place = index_find_offset(index, offset - segment->base_offset);
    if (place > 0) {
        scan.position = index->entries[place - 1].position;
        scan.is_offset_exact = false;
        entry_offset = segment->base_offset + index->entries[place - 1].offset_delta;
        if (place > 1) {
            scan.offset = segment->base_offset + index->entries[place - 2].offset_delta + 1;
        }
    }
    scan.check_from = check_from(segment, scan.position);
    while ((rc = scan_next(&scan, ret_item)) > 0) {
        if (entry_offset >= 0 &&
            (rc != SCAN_BATCH || batch_last_offset(&ret_item->header) != entry_offset)) {
            *ret_is_index_wrong = true;
            return SCAN_END;
        }
        entry_offset = -1;
        if (rc == SCAN_DAMAGE) {
            segment_damaged(segment, ret_item->position, ret_item->size_bytes);
        } else if (batch_last_offset(&ret_item->header) >= offset) {
            return SCAN_BATCH;
        }
    }
    return rc;
}

int segment_seek(struct segment *segment, int64_t offset, struct scan_item *ret_item)
{
    bool is_index_wrong = false;
    int rc;

    rc = segment_index_need(segment);
    if (rc != 0) {
        return rc;
    }
    rc = seek_once(segment, offset, &is_index_wrong, ret_item);
    if (rc != SCAN_END || !is_index_wrong) {
        return rc;
    }
    rc = segment_index_make(segment); /* either it lied, or what it points at is damaged */
    if (rc != 0) {
        return rc;
    }
    is_index_wrong = false;
    rc = seek_once(segment, offset, &is_index_wrong, ret_item);
    return is_index_wrong ? MR_ECORRUPT : rc; /* the file changes under our eyes */
}

/* ---- where it ends ---- */

struct extent {
    int64_t from;
    int64_t to;
    int64_t first_offset;
    int64_t next_offset;
};

/* The last index entry within both limits; 0 when there is none behind `after`. */
static size_t index_jump(const struct segment *segment, int64_t after, int64_t position_max,
                         int64_t limit_offset)
{
    const struct segment_index *index = &segment->index;
    size_t place = index_find_position(index, position_max);
    size_t place_of_limit = index_find_offset(index, limit_offset - 1 - segment->base_offset);

    if (!segment->is_index_loaded || segment->damage_count > 0) {
        return 0;
    }
    if (place > place_of_limit) {
        place = place_of_limit;
    }
    return place > 0 && index->entries[place - 1].position > after ? place : 0;
}

/* Walks on from extent->to by headers, as far as the limits let it. */
static int extent_walk(struct segment *segment, int64_t position_max, int64_t limit_offset,
                       size_t jump, struct extent *extent)
{
    uint8_t buffer[LOG_WALK_BUFFER_SIZE];
    struct scan_item item = {0};
    struct log_file *file;
    struct scan scan;
    int64_t expected = extent->to;
    int rc;

    rc = segment_file(segment, &file);
    if (rc != 0) {
        return rc;
    }
    segment_scan_init(segment, &scan, file, buffer, sizeof buffer);
    scan.position = jump > 0 ? segment->index.entries[jump - 1].position : extent->to;
    scan.offset = extent->next_offset;
    scan.is_offset_exact = jump == 0;
    scan.check_from = INT64_MAX; /* what is not trusted is checked in one go, later */
    if (jump > 0) {
        expected = scan.position;
    }
    while (scan.position < position_max && (rc = scan_next(&scan, &item)) == SCAN_BATCH) {
        if (item.position != expected) {
            break;
        }
        if (jump > 0) {
            int64_t entry = segment->base_offset + segment->index.entries[jump - 1].offset_delta;

            if (batch_last_offset(&item.header) != entry) {
                return MR_EAGAIN; /* the index lies: walk without it */
            }
            jump = 0;
            extent->to = item.position;
            extent->next_offset = item.header.base_offset;
        }
        if (scan.position > position_max || batch_last_offset(&item.header) >= limit_offset) {
            break;
        }
        extent->to = expected = scan.position;
        extent->next_offset = batch_next_offset(&item.header);
    }
    return rc < 0 ? rc : jump > 0 ? MR_EAGAIN : 0;
}

/* The whole rest of the segment, or all that is synced of it: known without a look at the disk. */
static bool extent_is_plain(const struct log *log, const struct segment *segment,
                            int64_t limit_offset, int64_t max_bytes, struct extent *extent)
{
    if (segment->damage_count > 0) {
        return false;
    }
    if (limit_offset >= segment->next_offset && segment->size_bytes - extent->from <= max_bytes) {
        extent->to = segment->size_bytes;
        extent->next_offset = segment->next_offset;
        return true;
    }
    if (limit_offset == log->synced_offset && segment->id == log->synced_segment_id &&
        log->synced_position > extent->from && log->synced_position - extent->from <= max_bytes) {
        extent->to = log->synced_position;
        extent->next_offset = limit_offset;
        return true;
    }
    return false;
}

/* From the first batch, which is taken whatever its size, to the limits. */
static int extent_find(struct segment *segment, const struct scan_item *first, int64_t limit_offset,
                       int64_t max_bytes, struct extent *extent)
{
    int64_t position_max = first->position + max_bytes;
    size_t jump;
    int rc;

    extent->from = first->position;
    extent->to = first->position + first->size_bytes;
    extent->first_offset = first->header.base_offset;
    extent->next_offset = batch_next_offset(&first->header);
    if (max_bytes == 0 || extent->to >= position_max || extent->to >= segment->size_bytes) {
        return 0;
    }
    if (position_max > segment->size_bytes) {
        position_max = segment->size_bytes;
    }
    jump = index_jump(segment, extent->to, position_max, limit_offset);
    rc = extent_walk(segment, position_max, limit_offset, jump, extent);
    if (rc == MR_EAGAIN) {
        rc = extent_walk(segment, position_max, limit_offset, 0, extent);
    }
    return rc;
}

/* ---- the door ---- */

/* A cursor, or the beginning of a segment, says where to read without a lookup. */
static bool known_position(const struct segment *segment, int64_t offset,
                           const struct log_cursor *cursor, int64_t *ret_position)
{
    if (cursor != NULL && cursor->segment_id == segment->id && cursor->offset == offset &&
        cursor->position < segment->size_bytes) {
        *ret_position = cursor->position;
        return true;
    }
    *ret_position = 0;
    return offset == segment->base_offset;
}

static int range_give(struct segment *segment, const struct extent *extent,
                      struct log_cursor *cursor, struct log_range *ret_range)
{
    struct log_file *file;
    int rc = segment_file(segment, &file);

    if (rc != 0) {
        return rc;
    }
    *ret_range = (struct log_range){
        .file = file_ref(file),
        .fd = file->fd,
        .position = extent->from,
        .size_bytes = extent->to - extent->from,
        .first_offset = extent->first_offset,
        .next_offset = extent->next_offset,
        .batch_count = -1,
    };
    if (cursor != NULL) {
        *cursor = (struct log_cursor){
            .segment_id = segment->id, .position = extent->to, .offset = extent->next_offset};
    }
    return 0;
}

/* SCAN_BATCH: *ret_range is set. SCAN_END: the rest of this segment is a hole. MR_EAGAIN: the next
 * batch, at *next_offset, is not below the limit. */
static int segment_read(struct segment *segment, int64_t offset, int64_t limit_offset,
                        int64_t max_bytes, struct log_cursor *cursor, int64_t *next_offset,
                        struct log_range *ret_range)
{
    struct extent extent = {.first_offset = offset};
    struct scan_item first;
    int rc;

    if (max_bytes > 0 && known_position(segment, offset, cursor, &extent.from) &&
        extent_is_plain(segment->log, segment, limit_offset, max_bytes, &extent) &&
        is_trusted(segment, extent.from, extent.to)) {
        rc = range_give(segment, &extent, cursor, ret_range);
        return rc < 0 ? rc : SCAN_BATCH;
    }
    rc = segment_seek(segment, offset, &first);
    if (rc != SCAN_BATCH) {
        return rc;
    }
    if (batch_last_offset(&first.header) >= limit_offset) {
        if (first.header.base_offset > *next_offset) {
            *next_offset = first.header.base_offset;
        }
        return MR_EAGAIN;
    }
    extent.from = first.position;
    extent.first_offset = first.header.base_offset;
    if (max_bytes == 0 ||
        !extent_is_plain(segment->log, segment, limit_offset, max_bytes, &extent)) {
        rc = extent_find(segment, &first, limit_offset, max_bytes, &extent);
        if (rc != 0) {
            return rc;
        }
    }
    if (!is_trusted(segment, extent.from, extent.to)) {
        int64_t to;
        int64_t next;

        rc = segment_verify(segment, extent.from, extent.first_offset, extent.to, &to, &next);
        if (rc != 0) {
            return rc;
        }
        if (to == extent.from) {
            return MR_ECORRUPT; /* it was whole a moment ago */
        }
        if (to != extent.to) {
            extent.to = to;
            extent.next_offset = next;
        }
    }
    rc = range_give(segment, &extent, cursor, ret_range);
    return rc < 0 ? rc : SCAN_BATCH;
}

int log_read(struct log *log, int64_t offset, int64_t limit_offset, int64_t max_bytes,
             struct log_cursor *cursor, struct log_range *ret_range)
{
    int64_t next_offset = offset;

    mr_assert(log->magic == LOG_MAGIC);
    mr_assert(max_bytes >= 0);
    if (offset < log->start_offset || offset > log->end_offset) {
        return MR_ERANGE;
    }
    if (limit_offset > log->end_offset) {
        limit_offset = log->end_offset;
    }
    for (size_t place = log_find_segment(log, offset);
         place < log->segment_count && next_offset < limit_offset; place++) {
        struct segment *segment = log->segments[place];
        int rc;

        if (segment->base_offset >= limit_offset) {
            break;
        }
        if (segment->size_bytes == 0 || segment->next_offset <= next_offset) {
            continue; /* what is behind its end, if anything is, was lost */
        }
        if (segment->base_offset > next_offset) {
            next_offset = segment->base_offset;
        }
        rc = segment_read(segment, next_offset, limit_offset, max_bytes, cursor, &next_offset,
                          ret_range);
        if (rc == SCAN_BATCH) {
            return 0;
        }
        if (rc == MR_EAGAIN) {
            limit_offset = next_offset; /* nothing in front of this batch, which is beyond */
        } else if (rc < 0) {
            return rc;
        }
        next_offset = segment->next_offset;
    }
    next_offset = offset < limit_offset ? limit_offset : offset;
    *ret_range =
        (struct log_range){.fd = -1, .first_offset = next_offset, .next_offset = next_offset};
    return 0;
}

void log_range_done(struct log_range *range)
{
    file_unref(range->file);
    range->file = NULL;
    range->size_bytes = 0;
    range->fd = -1;
}
