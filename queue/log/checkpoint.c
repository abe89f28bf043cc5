/* What a start needs to know about a log without reading it: checkpoint.0 and checkpoint.1, written
 * in turn, so that a torn or damaged one leaves the other. The one with the higher generation
 * counts.
 *
 *     0  "MRCP"                            24 start offset 8
 *     4  version 4                         32 recovery offset 8
 *     8  CRC-32C 4 of all from byte 12     40 written at (ms) 8
 *     12 flags 4                           48 segment count 4, 52 zero 4
 *     16 generation 8                      56 segments, 64 bytes each
 *
 * A segment: base offset, next offset, size, index size, max timestamp, its offset, first append,
 * last append. Behind the segments: the boot id 16 (absent in old ones, ignored by old readers).
 *
 * All of it can be had from the segments, except the start offset after DeleteRecords, the times of
 * append (then the time of the file's last change serves), and up to where all was synced in which
 * run of the system. An older checkpoint is as true as a newer one, as far as it goes: its recovery
 * offset is lower, and segments that it does not know are looked at. One of the two slots is always
 * durable: the other is written then. */
#include "queue/log/log_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/codec/crc32c.h"
#include "base/core/memory.h"
#include "queue/wire/bytes.h"

enum {
    CHECKPOINT_HEAD_SIZE = 56,
    CHECKPOINT_SEGMENT_SIZE = 64,
    CHECKPOINT_BOOT_SIZE = 16,
    CHECKPOINT_FILE_MAX = 1 << 28,
    CHECKPOINT_VERSION = 1,
    CHECKPOINT_CRC_FROM = 12,
};

static_assert(sizeof(struct checkpoint_segment) == CHECKPOINT_SEGMENT_SIZE,
              "a segment's fields are written one after the other");

static void slot_path(const char *directory, uint64_t generation, char path[LOG_PATH_SIZE])
{
    (void)snprintf(path, LOG_PATH_SIZE, "%s/checkpoint.%d", directory, (int)(generation & 1));
}

struct mr_buf *checkpoint_encode(const struct checkpoint *checkpoint)
{
    size_t size = CHECKPOINT_HEAD_SIZE + checkpoint->segment_count * CHECKPOINT_SEGMENT_SIZE +
                  CHECKPOINT_BOOT_SIZE;
    struct mr_buf *buf = mr_buf_new(size);
    uint8_t *at;

    if (buf == NULL) {
        return NULL;
    }
    memset(buf->data, 0, CHECKPOINT_HEAD_SIZE);
    memcpy(buf->data, "MRCP", 4);
    wire_put_int32(buf->data + 4, CHECKPOINT_VERSION);
    wire_put_int32(buf->data + 12, (int32_t)checkpoint->flags);
    wire_put_int64(buf->data + 16, (int64_t)checkpoint->generation);
    wire_put_int64(buf->data + 24, checkpoint->start_offset);
    wire_put_int64(buf->data + 32, checkpoint->recovery_offset);
    wire_put_int64(buf->data + 40, checkpoint->written_ms);
    wire_put_int32(buf->data + 48, (int32_t)checkpoint->segment_count);
    at = buf->data + CHECKPOINT_HEAD_SIZE;
    for (size_t i = 0; i < checkpoint->segment_count; i++, at += CHECKPOINT_SEGMENT_SIZE) {
        const struct checkpoint_segment *segment = &checkpoint->segments[i];

        wire_put_int64(at, segment->base_offset);
        wire_put_int64(at + 8, segment->next_offset);
        wire_put_int64(at + 16, segment->size_bytes);
        wire_put_int64(at + 24, segment->index_bytes);
        wire_put_int64(at + 32, segment->max_timestamp_ms);
        wire_put_int64(at + 40, segment->max_timestamp_offset);
        wire_put_int64(at + 48, segment->first_append_ms);
        wire_put_int64(at + 56, segment->last_append_ms);
    }
    memcpy(at, checkpoint->boot_id.bytes, CHECKPOINT_BOOT_SIZE);
    wire_put_int32(buf->data + 8, (int32_t)mr_crc32c(0, buf->data + CHECKPOINT_CRC_FROM,
                                                     size - CHECKPOINT_CRC_FROM));
    buf->size_bytes = size;
    return buf;
}

int checkpoint_store(struct mr_disk *disk, const char *directory, uint64_t generation,
                     const struct mr_buf *bytes, bool is_synced)
{
    char path[LOG_PATH_SIZE];
    bool is_made = false;
    int fd = -1;
    int rc;

    slot_path(directory, generation, path);
    rc = mr_disk_open(disk, path, MR_DISK_WRITE, &fd, NULL);
    if (rc == MR_ENOENT) {
        is_made = true;
        rc = mr_disk_open(disk, path, MR_DISK_WRITE | MR_DISK_CREATE, &fd, NULL);
    }
    if (rc != 0) {
        return rc;
    }
    rc = mr_disk_pwrite(disk, fd, bytes->data, bytes->size_bytes, 0);
    if (rc == 0) {
        rc = mr_disk_truncate(disk, fd, (int64_t)bytes->size_bytes);
    }
    if (rc == 0 && is_synced) {
        rc = mr_disk_fsync(disk, fd);
    }
    mr_disk_close(disk, fd);
    return rc == 0 && is_made && is_synced ? mr_disk_fsync_directory(disk, directory) : rc;
}

int checkpoint_sync(struct mr_disk *disk, const char *directory, uint64_t generation)
{
    char path[LOG_PATH_SIZE];
    int fd = -1;
    int rc;

    slot_path(directory, generation, path);
    rc = mr_disk_open(disk, path, MR_DISK_WRITE, &fd, NULL);
    if (rc != 0) {
        return rc == MR_ENOENT ? 0 : rc;
    }
    rc = mr_disk_fsync(disk, fd);
    mr_disk_close(disk, fd);
    return rc;
}

static int decode(const uint8_t *data, size_t size, struct checkpoint *ret_checkpoint)
{
    struct checkpoint c = {0};
    const uint8_t *at = data + CHECKPOINT_HEAD_SIZE;

    if (size < CHECKPOINT_HEAD_SIZE || memcmp(data, "MRCP", 4) != 0 ||
        wire_get_uint32(data + 8) !=
            mr_crc32c(0, data + CHECKPOINT_CRC_FROM, size - CHECKPOINT_CRC_FROM)) {
        return MR_ECORRUPT;
    }
    if (wire_get_int32(data + 4) != CHECKPOINT_VERSION) {
        return MR_EUNSUPPORTED;
    }
    c.flags = wire_get_uint32(data + 12);
    c.generation = wire_get_uint64(data + 16);
    c.start_offset = wire_get_int64(data + 24);
    c.recovery_offset = wire_get_int64(data + 32);
    c.written_ms = wire_get_int64(data + 40);
    c.segment_count = wire_get_uint32(data + 48);
    if (c.segment_count != (size - CHECKPOINT_HEAD_SIZE) / CHECKPOINT_SEGMENT_SIZE ||
        c.start_offset < 0 || c.recovery_offset < 0) {
        return MR_ECORRUPT;
    }
    c.segments = mr_malloc(c.segment_count * CHECKPOINT_SEGMENT_SIZE + 1);
    if (c.segments == NULL) {
        return MR_ENOMEM;
    }
    for (size_t i = 0; i < c.segment_count; i++, at += CHECKPOINT_SEGMENT_SIZE) {
        c.segments[i] = (struct checkpoint_segment){
            .base_offset = wire_get_int64(at),
            .next_offset = wire_get_int64(at + 8),
            .size_bytes = wire_get_int64(at + 16),
            .index_bytes = wire_get_int64(at + 24),
            .max_timestamp_ms = wire_get_int64(at + 32),
            .max_timestamp_offset = wire_get_int64(at + 40),
            .first_append_ms = wire_get_int64(at + 48),
            .last_append_ms = wire_get_int64(at + 56),
        };
    }
    if ((size_t)(data + size - at) >= CHECKPOINT_BOOT_SIZE) {
        memcpy(c.boot_id.bytes, at, CHECKPOINT_BOOT_SIZE);
    }
    *ret_checkpoint = c;
    return 0;
}

int checkpoint_read(struct mr_disk *disk, const char *path, struct checkpoint *ret_checkpoint)
{
    char *data = NULL;
    size_t size = 0;
    int rc = mr_disk_read_file(disk, path, CHECKPOINT_FILE_MAX, &data, &size, NULL);

    if (rc == 0) {
        rc = decode((const uint8_t *)data, size, ret_checkpoint);
        mr_free(data);
    }
    return rc;
}

int checkpoint_load(struct mr_disk *disk, const char *directory, struct checkpoint *ret_checkpoint,
                    int *ret_damaged)
{
    struct checkpoint best = {0};
    bool is_found = false;
    int damaged = 0;

    for (uint64_t slot = 0; slot < 2; slot++) {
        struct checkpoint found;
        char path[LOG_PATH_SIZE];
        int rc;

        slot_path(directory, slot, path);
        rc = checkpoint_read(disk, path, &found);
        if (rc == MR_ENOENT) {
            continue;
        }
        if (rc == MR_ECORRUPT || rc == MR_EUNSUPPORTED || rc == MR_ETOOLARGE) {
            damaged++;
            continue;
        }
        if (rc != 0) {
            checkpoint_done(&best);
            return rc;
        }
        if (!is_found || found.generation > best.generation) {
            checkpoint_done(&best);
            best = found;
            is_found = true;
        } else {
            checkpoint_done(&found);
        }
    }
    *ret_damaged = damaged;
    if (!is_found) {
        return MR_ENOENT;
    }
    *ret_checkpoint = best;
    return 0;
}

void checkpoint_done(struct checkpoint *checkpoint)
{
    mr_free(checkpoint->segments);
    *checkpoint = (struct checkpoint){0};
}
