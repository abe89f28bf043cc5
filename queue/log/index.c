/* The two sparse indexes of a segment, in Kafka's formats.
 *
 *     .index      8 bytes each: last offset of a batch minus the segment's base 4, its position 4
 *     .timeindex 12 bytes each: largest timestamp so far 8, last offset of its batch minus the base
 * 4
 *
 * Both ascend strictly; an entry is made each index_interval_bytes, and never for the first batch.
 * The active segment's live in memory and are written when it is sealed or the log closed; nothing
 * depends on them, as each is made anew from the .log file. They carry no checksum: what is loaded
 * is checked for order here, and against the batch that an entry points at when it is used
 * (read.c). */
#include "queue/log/log_internal.h"

#include "base/core/memory.h"
#include "queue/wire/bytes.h"

enum { OFFSET_ENTRY_SIZE = 8, TIME_ENTRY_SIZE = 12, INDEX_FILE_MAX = 1 << 28 };

void index_done(struct segment_index *index)
{
    mr_free(index->entries);
    mr_free(index->times);
    *index = (struct segment_index){0};
}

void index_clear(struct segment_index *index)
{
    index->count = 0;
    index->time_count = 0;
    index->bytes_since_entry = 0;
}

void index_add(struct segment_index *index, uint32_t offset_delta, uint32_t position)
{
    if (mr_grow(&index->entries, &index->capacity, index->count + 1, sizeof *index->entries) != 0) {
        return;
    }
    index->entries[index->count] =
        (struct index_entry){.offset_delta = offset_delta, .position = position};
    index->count++;
}

void index_add_time(struct segment_index *index, int64_t timestamp_ms, uint32_t offset_delta)
{
    if (timestamp_ms < 0 || (index->time_count > 0 &&
                             timestamp_ms <= index->times[index->time_count - 1].timestamp_ms)) {
        return;
    }
    if (mr_grow(&index->times, &index->time_capacity, index->time_count + 1,
                sizeof *index->times) != 0) {
        return;
    }
    index->times[index->time_count] =
        (struct time_entry){.timestamp_ms = timestamp_ms, .offset_delta = offset_delta};
    index->time_count++;
}

size_t index_find_offset(const struct segment_index *index, int64_t offset_delta)
{
    size_t low = 0;
    size_t high = index->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (index->entries[middle].offset_delta <= offset_delta) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t index_find_position(const struct segment_index *index, int64_t position)
{
    size_t low = 0;
    size_t high = index->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (index->entries[middle].position <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t index_find_time(const struct segment_index *index, int64_t timestamp_ms)
{
    size_t low = 0;
    size_t high = index->time_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (index->times[middle].timestamp_ms < timestamp_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

int64_t index_stored_bytes(const struct segment_index *index)
{
    return (int64_t)(index->count * OFFSET_ENTRY_SIZE + index->time_count * TIME_ENTRY_SIZE);
}

/* ---- files ---- */

/* Entries of offsets; MR_ECORRUPT when they do not ascend within the segment. */
static int load_offsets(const uint8_t *data, size_t size, int64_t segment_size_bytes,
                        struct segment_index *index)
{
    size_t count = size / OFFSET_ENTRY_SIZE;

    if (size % OFFSET_ENTRY_SIZE != 0) {
        return MR_ECORRUPT;
    }
    if (mr_grow(&index->entries, &index->capacity, count + 1, sizeof *index->entries) != 0) {
        return MR_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        struct index_entry *entry = &index->entries[i];

        entry->offset_delta = wire_get_uint32(data + i * OFFSET_ENTRY_SIZE);
        entry->position = wire_get_uint32(data + i * OFFSET_ENTRY_SIZE + 4);
        if (entry->offset_delta > INT32_MAX || entry->position == 0 ||
            entry->position >= segment_size_bytes ||
            (i > 0 && (entry->offset_delta <= entry[-1].offset_delta ||
                       entry->position <= entry[-1].position))) {
            return MR_ECORRUPT;
        }
    }
    index->count = count;
    return 0;
}

static int load_times(const uint8_t *data, size_t size, struct segment_index *index)
{
    size_t count = size / TIME_ENTRY_SIZE;

    if (size % TIME_ENTRY_SIZE != 0) {
        return MR_ECORRUPT;
    }
    if (mr_grow(&index->times, &index->time_capacity, count + 1, sizeof *index->times) != 0) {
        return MR_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        struct time_entry *entry = &index->times[i];

        entry->timestamp_ms = wire_get_int64(data + i * TIME_ENTRY_SIZE);
        entry->offset_delta = wire_get_uint32(data + i * TIME_ENTRY_SIZE + 8);
        if (entry->offset_delta > INT32_MAX || entry->timestamp_ms < 0 ||
            (i > 0 && (entry->timestamp_ms <= entry[-1].timestamp_ms ||
                       entry->offset_delta <= entry[-1].offset_delta))) {
            return MR_ECORRUPT;
        }
    }
    index->time_count = count;
    return 0;
}

int index_load_one(struct mr_disk *disk, const char *path, bool is_time, int64_t segment_size_bytes,
                   struct segment_index *index)
{
    char *data = NULL;
    size_t size = 0;
    int rc;

    rc = mr_disk_read_file(disk, path, INDEX_FILE_MAX, &data, &size, NULL);
    if (rc != 0) {
        return rc == MR_ETOOLARGE ? MR_ECORRUPT : rc;
    }
    rc = is_time ? load_times((const uint8_t *)data, size, index)
                 : load_offsets((const uint8_t *)data, size, segment_size_bytes, index);
    mr_free(data);
    return rc;
}

int index_load(struct mr_disk *disk, const char *index_path, const char *time_path,
               int64_t segment_size_bytes, struct segment_index *index)
{
    int rc;

    index_clear(index);
    rc = index_load_one(disk, index_path, false, segment_size_bytes, index);
    if (rc == 0) {
        rc = index_load_one(disk, time_path, true, segment_size_bytes, index);
    }
    if (rc != 0) {
        index_clear(index);
    }
    return rc;
}

static int store_file(struct mr_disk *disk, const char *path, const void *data, size_t size)
{
    int fd = -1;
    int rc;

    rc = mr_disk_open(disk, path, MR_DISK_WRITE | MR_DISK_CREATE | MR_DISK_TRUNCATE, &fd, NULL);
    if (rc == 0) {
        rc = mr_disk_pwrite(disk, fd, data, size, 0);
        mr_disk_close(disk, fd);
    }
    if (rc != 0) {
        (void)mr_disk_unlink(disk, path); /* half an index is worse than none */
    }
    return rc;
}

int index_store(struct mr_disk *disk, const char *index_path, const char *time_path,
                const struct segment_index *index)
{
    size_t size = (size_t)index_stored_bytes(index);
    uint8_t *data = mr_malloc(size + 1);
    uint8_t *at = data;
    int rc;

    if (data == NULL) {
        return MR_ENOMEM;
    }
    for (size_t i = 0; i < index->count; i++, at += OFFSET_ENTRY_SIZE) {
        wire_put_int32(at, (int32_t)index->entries[i].offset_delta);
        wire_put_int32(at + 4, (int32_t)index->entries[i].position);
    }
    rc = store_file(disk, index_path, data, (size_t)(at - data));
    if (rc != 0) {
        goto free_data;
    }
    at = data;
    for (size_t i = 0; i < index->time_count; i++, at += TIME_ENTRY_SIZE) {
        wire_put_int64(at, index->times[i].timestamp_ms);
        wire_put_int32(at + 8, (int32_t)index->times[i].offset_delta);
    }
    rc = store_file(disk, time_path, data, (size_t)(at - data));
free_data:
    mr_free(data);
    return rc;
}
