/* From batch to batch through a segment file, over whatever may have happened to it.
 *
 * A batch is taken for whole when its header is possible, its offsets follow those before it, it
 * ends within the file and its checksum agrees. Where that fails the scan looks for the next place
 * where it holds: first behind the length that the broken header names, then at each byte. What
 * lies between is damage. The checksum does not cover the base offset: a batch that claims to begin
 * later than the one before ended is believed only if what follows it agrees. */
#include "queue/log/log_internal.h"

#include <string.h>

#include "base/codec/crc32c.h"

/* How many bytes a search for the next batch may put through the checksum: what it finds inside
 * hostile records must not make it quadratic. */
#define RESYNC_CHECK_MAX (INT64_C(1) << 30)

void scan_init(struct scan *scan, struct mr_disk *disk, int fd, void *buffer, size_t buffer_size)
{
    mr_assert(buffer_size >= BATCH_HEADER_SIZE);
    *scan = (struct scan){.disk = disk,
                          .fd = fd,
                          .offset_limit = INT64_MAX,
                          .is_offset_exact = true,
                          .buffer = buffer,
                          .buffer_size = buffer_size};
}

/* Brings bytes [position, position + want) into the window, fewer at the end of the file; returns
 * how many stand at *ret_bytes (as many as the window has, also beyond want), or an error. */
static int64_t scan_window(struct scan *scan, int64_t position, int64_t want,
                           const uint8_t **ret_bytes)
{
    int64_t window_end = scan->window_position + scan->window_size;

    if (position < scan->window_position || position + want > window_end) {
        int64_t size = scan->end - position;
        ssize_t got;

        if (size > (int64_t)scan->buffer_size) {
            size = (int64_t)scan->buffer_size;
        }
        scan->window_size = 0;
        got = mr_disk_pread(scan->disk, scan->fd, scan->buffer, (size_t)size, position);
        if (got < 0) {
            return got;
        }
        scan->window_position = position;
        scan->window_size = got;
        window_end = position + got;
    }
    *ret_bytes = scan->buffer + (position - scan->window_position);
    return window_end - position;
}

/* 1 when the checksum of the batch at `position` agrees, else 0, or an error. */
static int scan_checksum(struct scan *scan, int64_t position, const struct batch_header *header)
{
    int64_t at = position + BATCH_CRC_START;
    int64_t end = position + batch_size_bytes(header);
    uint32_t crc = 0;

    while (at < end) {
        const uint8_t *bytes;
        int64_t size = scan_window(scan, at, 1, &bytes);

        if (size <= 0) {
            return (int)size;
        }
        if (size > end - at) {
            size = end - at;
        }
        crc = mr_crc32c(crc, bytes, (size_t)size);
        at += size;
    }
    return crc == header->crc;
}

/* 1 when a header that can be one stands at `position`, whatever its offsets. */
static int scan_header(struct scan *scan, int64_t position, struct batch_header *ret_header)
{
    const uint8_t *bytes;
    int64_t size;

    if (scan->end - position < BATCH_HEADER_SIZE) {
        return 0;
    }
    size = scan_window(scan, position, BATCH_HEADER_SIZE, &bytes);
    if (size < 0) {
        return (int)size;
    }
    if (size < BATCH_HEADER_SIZE || batch_header_parse(bytes, BATCH_HEADER_SIZE, ret_header) != 0) {
        return 0;
    }
    return ret_header->base_offset >= 0 &&
           ret_header->base_offset < INT64_MAX - ret_header->last_offset_delta &&
           batch_size_bytes(ret_header) <= scan->end - position;
}

/* 1 when a batch whose offsets begin at offset_min or later stands at `position`, else 0, or an
 * error.
 */
static int scan_try(struct scan *scan, int64_t position, int64_t offset_min, bool is_checked,
                    struct batch_header *ret_header)
{
    int rc = scan_header(scan, position, ret_header);

    if (rc <= 0) {
        return rc;
    }
    if (ret_header->base_offset < offset_min ||
        batch_next_offset(ret_header) > scan->offset_limit) {
        return 0;
    }
    return is_checked ? scan_checksum(scan, position, ret_header) : 1;
}

/* Whether the gap in front of a batch is real, by what comes behind it. */
static int scan_believes_gap(struct scan *scan, const struct batch_header *header)
{
    int64_t next = scan->position + batch_size_bytes(header);
    struct batch_header follower;
    int rc;

    if (next >= scan->end) {
        return scan->gaps;
    }
    rc = scan_header(scan, next, &follower);
    if (rc < 0) {
        return rc;
    }
    if (rc == 0) {
        return scan->gaps;
    }
    if (follower.base_offset == scan->offset + header->last_offset_delta + 1) {
        return 0; /* the offsets go on as if there were no gap: the base offset is damaged */
    }
    return follower.base_offset >= batch_next_offset(header);
}

/* The first place behind scan->position where a batch stands, or the end. */
static int64_t scan_resync(struct scan *scan)
{
    struct batch_header header;
    int64_t checked = 0;
    int64_t at = scan->position;
    int rc;

    rc = scan_header(scan, at, &header);
    if (rc < 0) {
        return rc;
    }
    if (rc == 1) {
        int64_t next = at + batch_size_bytes(&header);

        if (next >= scan->end) {
            rc = scan_checksum(scan, at, &header);
            if (rc != 0) {
                return rc < 0 ? rc : scan->end; /* whole, but with offsets that cannot be */
            }
        } else {
            rc = scan_try(scan, next, scan->offset, true, &header);
            if (rc != 0) {
                return rc < 0 ? rc : next;
            }
        }
    }
    for (at++; scan->end - at >= BATCH_HEADER_SIZE; at++) {
        const uint8_t *bytes;
        const uint8_t *magic;
        int64_t size = scan_window(scan, at, BATCH_HEADER_SIZE, &bytes);

        if (size < 0) {
            return size;
        }
        if (size < BATCH_HEADER_SIZE || checked > RESYNC_CHECK_MAX) {
            break;
        }
        magic = memchr(bytes + 16, BATCH_MAGIC, (size_t)(size - BATCH_HEADER_SIZE + 1));
        if (magic == NULL) {
            at += size - BATCH_HEADER_SIZE;
            continue;
        }
        at += magic - (bytes + 16);
        rc = scan_try(scan, at, scan->offset, false, &header);
        if (rc == 1) {
            checked += batch_size_bytes(&header);
            rc = scan_checksum(scan, at, &header);
        }
        if (rc != 0) {
            return rc < 0 ? rc : at;
        }
    }
    return scan->end;
}

/* Steps over damage that is known to begin here. */
static void scan_skip_known(struct scan *scan)
{
    while (scan->known_count > 0 && scan->known->position <= scan->position) {
        int64_t end = scan->known->position + scan->known->size_bytes;

        if (end > scan->position) {
            scan->position = end;
            scan->is_offset_exact = false;
        }
        scan->known++;
        scan->known_count--;
    }
}

int scan_next(struct scan *scan, struct scan_item *ret_item)
{
    bool is_checked;
    int64_t next;
    int rc;

    scan_skip_known(scan);
    if (scan->position >= scan->end) {
        return SCAN_END;
    }
    is_checked = scan->position >= scan->check_from;
    rc = scan_try(scan, scan->position, scan->offset, is_checked, &ret_item->header);
    if (rc == 1 && scan->is_offset_exact && ret_item->header.base_offset > scan->offset) {
        rc = scan_believes_gap(scan, &ret_item->header);
    }
    if (rc < 0) {
        return rc;
    }
    ret_item->position = scan->position;
    if (rc == 1) {
        ret_item->size_bytes = batch_size_bytes(&ret_item->header);
        scan->position += ret_item->size_bytes;
        scan->offset = batch_next_offset(&ret_item->header);
        scan->is_offset_exact = true;
        return SCAN_BATCH;
    }
    next = scan_resync(scan);
    if (next < 0) {
        return (int)next;
    }
    ret_item->size_bytes = next - scan->position;
    scan->position = next;
    scan->is_offset_exact = false;
    return SCAN_DAMAGE;
}
