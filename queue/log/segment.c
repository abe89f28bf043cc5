/* One segment: a .log file that only grows, and its indexes. A sealed one is a size and a few
 * bounds in memory until somebody reads it. */
#include "queue/log/log_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/core/logger.h"
#include "base/core/memory.h"

int segment_new(struct log *log, int64_t base_offset, struct segment **ret_segment)
{
    struct segment *segment = mr_calloc(1, sizeof *segment);

    if (segment == NULL) {
        return MR_ENOMEM;
    }
    log->segment_id_last++;
    segment->log = log;
    segment->id = log->segment_id_last;
    segment->base_offset = base_offset;
    segment->next_offset = base_offset;
    segment->max_timestamp_ms = -1;
    segment->max_timestamp_offset = -1;
    segment->trusted_from = INT64_MAX;
    *ret_segment = segment;
    return 0;
}

void segment_rest(struct segment *segment)
{
    if (mr_link_is_linked(&segment->file_link)) {
        mr_list_remove(&segment->file_link);
        segment->log->env->files->count--;
    }
    file_unref(segment->file);
    segment->file = NULL;
}

/* Gives up descriptor and index; a sealed segment gets them back when it is read. */
static void segment_release(struct segment *segment)
{
    if (mr_link_is_linked(&segment->open_link)) {
        mr_list_remove(&segment->open_link);
        segment->log->open_count--;
    }
    segment_rest(segment);
    index_done(&segment->index);
    segment->is_index_loaded = false;
}

/* The node's most recently used stands last; the first one makes room. Whoever uses a file across
 * turns has a reference of its own. */
static void file_touch(struct segment *segment)
{
    struct log_files *files = segment->log->env->files;

    if (files == NULL) {
        return;
    }
    if (mr_link_is_linked(&segment->file_link)) {
        mr_list_remove(&segment->file_link);
    } else {
        files->count++;
    }
    mr_list_append(&files->list, &segment->file_link);
    while (files->count > files->count_max) {
        segment_rest(mr_container(files->list.next, struct segment, file_link));
    }
}

void segment_free(struct segment *segment)
{
    if (segment == NULL) {
        return;
    }
    segment_release(segment);
    mr_free(segment->damages);
    mr_free(segment);
}

int segment_create(struct log *log, int64_t base_offset, struct segment **ret_segment,
                   struct mr_error *error)
{
    struct segment *segment;
    char path[LOG_PATH_SIZE];
    int fd = -1;
    int rc;

    rc = segment_new(log, base_offset, &segment);
    if (rc != 0) {
        return mr_fail(error, rc, "segment %" PRId64, base_offset);
    }
    log_path(log, base_offset, ".log", path);
    rc = mr_disk_open(log->disk, path, MR_DISK_WRITE | MR_DISK_CREATE | MR_DISK_EXCLUSIVE, &fd,
                      error);
    if (rc != 0) {
        goto free_segment;
    }
    segment->file = file_new(log->disk, fd);
    if (segment->file == NULL) {
        rc = mr_fail(error, MR_ENOMEM, "segment %" PRId64, base_offset);
        goto remove_file;
    }
    file_touch(segment);
    segment->is_index_loaded = true;
    segment->is_timestamp_known = true;
    segment->trusted_from = 0;
    segment->first_append_ms = segment->last_append_ms = mr_loop_wall_ms(log->env->loop);
    *ret_segment = segment;
    return 0;
remove_file:
    mr_disk_close(log->disk, fd);
    (void)mr_disk_unlink(log->disk, path); /* empty, and nobody knows of it */
free_segment:
    segment_free(segment);
    return rc;
}

/* The most recently used stands last; the first one makes room. */
static void open_list_touch(struct segment *segment)
{
    struct log *log = segment->log;

    if (segment == log_active(log)) {
        return;
    }
    if (mr_link_is_linked(&segment->open_link)) {
        mr_list_remove(&segment->open_link);
    } else {
        log->open_count++;
    }
    mr_list_append(&log->open_segments, &segment->open_link);
    while (log->open_count > LOG_FILES_OPEN_MAX) {
        struct segment *oldest = mr_container(log->open_segments.next, struct segment, open_link);

        segment_release(oldest);
    }
}

int segment_file(struct segment *segment, struct log_file **ret_file)
{
    struct log *log = segment->log;
    char path[LOG_PATH_SIZE];
    int fd = -1;
    int rc;

    if (segment->file == NULL) {
        log_path(log, segment->base_offset, ".log", path);
        rc = mr_disk_open(log->disk, path, MR_DISK_WRITE, &fd, NULL);
        if (rc == MR_EACCES) { /* a read-only file system: what is there can still be read */
            rc = mr_disk_open(log->disk, path, MR_DISK_READ, &fd, NULL);
        }
        if (rc != 0) {
            return rc;
        }
        segment->file = file_new(log->disk, fd);
        if (segment->file == NULL) {
            mr_disk_close(log->disk, fd);
            return MR_ENOMEM;
        }
    }
    open_list_touch(segment);
    file_touch(segment);
    *ret_file = segment->file;
    return 0;
}

/* ---- damage ---- */

static bool damage_is_known(const struct segment *segment, int64_t position)
{
    for (size_t i = 0; i < segment->damage_count; i++) {
        const struct log_damage *damage = &segment->damages[i];

        if (position >= damage->position && position < damage->position + damage->size_bytes) {
            return true;
        }
    }
    return false;
}

/* Whoever wants to mend it by hand finds the bytes beside the log; a bound keeps a rotten disk from
 * filling itself up. */
static void damage_copy(struct segment *segment, int64_t position, int64_t size_bytes)
{
    struct log *log = segment->log;
    size_t size = size_bytes < LOG_DAMAGE_COPY_MAX ? (size_t)size_bytes : LOG_DAMAGE_COPY_MAX;
    struct mr_disk_stat stat;
    struct log_file *file;
    char path[LOG_PATH_SIZE];
    char suffix[LOG_NAME_SIZE];
    uint8_t *data;
    ssize_t got;
    int fd = -1;

    (void)snprintf(suffix, sizeof suffix, ".log.%" PRId64 ".damaged", position);
    log_path(log, segment->base_offset, suffix, path);
    if (log->damage_files >= LOG_DAMAGE_FILES_MAX || mr_disk_stat(log->disk, path, &stat) == 0 ||
        segment_file(segment, &file) != 0) {
        return;
    }
    data = mr_malloc(size);
    if (data == NULL) {
        return;
    }
    got = mr_disk_pread(log->disk, file->fd, data, size, position);
    if (got > 0 && mr_disk_open(log->disk, path, MR_DISK_WRITE | MR_DISK_CREATE, &fd, NULL) == 0) {
        (void)mr_disk_pwrite(log->disk, fd, data, (size_t)got, 0); /* the original stays as well */
        mr_disk_close(log->disk, fd);
        log->damage_files++;
    }
    mr_free(data);
}

void segment_damaged(struct segment *segment, int64_t position, int64_t size_bytes)
{
    struct log *log = segment->log;
    size_t place = segment->damage_count;

    if (damage_is_known(segment, position)) {
        return;
    }
    log_count(log, LOG_TOTAL_DAMAGED_BYTES, size_bytes);
    mr_warn("damaged bytes in a log are set aside and skipped", KV_STR("directory", log->directory),
            KV_I64("segment", segment->base_offset), KV_I64("position", position),
            KV_I64("size_bytes", size_bytes));
    damage_copy(segment, position, size_bytes);
    if (mr_grow(&segment->damages, &segment->damage_capacity, segment->damage_count + 1,
                sizeof *segment->damages) != 0) {
        return; /* it will be found, and counted, again */
    }
    while (place > 0 && segment->damages[place - 1].position > position) {
        segment->damages[place] = segment->damages[place - 1];
        place--;
    }
    segment->damages[place] = (struct log_damage){.position = position, .size_bytes = size_bytes};
    segment->damage_count++;
}

/* ---- what stands in it ---- */

void segment_scan_init(struct segment *segment, struct scan *scan, struct log_file *file,
                       void *buffer, size_t buffer_size)
{
    struct log *log = segment->log;
    size_t place = log_find_segment(log, segment->base_offset);

    scan_init(scan, log->disk, file->fd, buffer, buffer_size);
    scan->end = segment->size_bytes;
    scan->offset = segment->base_offset;
    scan->offset_limit = segment->base_offset > INT64_MAX - INT64_C(0x80000000)
                             ? INT64_MAX
                             : segment->base_offset + INT64_C(0x80000000);
    if (place + 1 < log->segment_count && log->segments[place] == segment &&
        log->segments[place + 1]->base_offset < scan->offset_limit) {
        scan->offset_limit = log->segments[place + 1]->base_offset;
    }
    scan->gaps = log->gaps || log->config.is_compacted;
    scan->known = segment->damages;
    scan->known_count = segment->damage_count;
}

int segment_scan_open(struct segment *segment, struct scan *scan, uint8_t **ret_buffer)
{
    struct log_file *file;
    int rc = segment_file(segment, &file);

    if (rc != 0) {
        return rc;
    }
    *ret_buffer = mr_malloc(LOG_SCAN_BUFFER_SIZE);
    if (*ret_buffer == NULL) {
        return MR_ENOMEM;
    }
    segment_scan_init(segment, scan, file, *ret_buffer, LOG_SCAN_BUFFER_SIZE);
    return 0;
}

void segment_note(struct segment *segment, const struct batch_header *header, int64_t position)
{
    struct segment_index *index = &segment->index;
    int64_t last = batch_last_offset(header);
    uint32_t delta = (uint32_t)(last - segment->base_offset);

    mr_assert(last - segment->base_offset <= INT32_MAX);
    mr_assert(position < LOG_SEGMENT_SIZE_MAX);
    if (header->max_timestamp_ms > segment->max_timestamp_ms) {
        segment->max_timestamp_ms = header->max_timestamp_ms;
        segment->max_timestamp_offset = last;
    }
    if (index->bytes_since_entry > segment->log->config.index_interval_bytes) {
        index_add(index, delta, (uint32_t)position);
        index_add_time(index, segment->max_timestamp_ms,
                       (uint32_t)(segment->max_timestamp_offset - segment->base_offset));
        index->bytes_since_entry = 0;
    }
    index->bytes_since_entry += batch_size_bytes(header);
    segment->next_offset = last + 1;
    segment->size_bytes = position + batch_size_bytes(header);
}

/* From batch to batch; see segment_rebuild. What is no batch is judged when it is known what
 * follows it. */
static int rebuild_scan(struct segment *segment, struct scan *scan, int64_t hole_limit,
                        int64_t *ret_tail_bytes)
{
    struct scan_item item = {0};
    int64_t damage_from = -1;
    int rc;

    while ((rc = scan_next(scan, &item)) > 0) {
        if (rc == SCAN_DAMAGE) {
            damage_from = damage_from < 0 ? item.position : damage_from;
            continue;
        }
        if (damage_from >= 0 && item.header.base_offset > hole_limit &&
            item.header.base_offset > segment->next_offset) {
            break;
        }
        if (damage_from >= 0) {
            segment_damaged(segment, damage_from, item.position - damage_from);
            damage_from = -1;
        }
        segment_note(segment, &item.header, item.position);
    }
    *ret_tail_bytes = damage_from >= 0 ? scan->end - damage_from : 0;
    return rc < 0 ? rc : 0;
}

int segment_rebuild(struct segment *segment, int64_t file_size, int64_t hole_limit,
                    int64_t *ret_tail_bytes)
{
    struct scan scan;
    uint8_t *buffer;
    int rc;

    rc = segment_scan_open(segment, &scan, &buffer);
    if (rc != 0) {
        return rc;
    }
    scan.end = file_size;
    index_clear(&segment->index);
    segment->size_bytes = 0;
    segment->next_offset = segment->base_offset;
    segment->max_timestamp_ms = -1;
    segment->max_timestamp_offset = -1;
    rc = rebuild_scan(segment, &scan, hole_limit, ret_tail_bytes);
    if (rc == 0) {
        segment->is_index_loaded = true;
        segment->is_timestamp_known = true;
        segment->trusted_from = 0;
        segment->checked_from = segment->checked_to = 0;
    }
    mr_free(buffer);
    return rc;
}

int segment_each(struct segment *segment, int64_t offset, segment_batch_cb cb, void *owner)
{
    struct scan_item item = {0};
    struct scan scan;
    uint8_t *buffer;
    int rc;

    if (segment->size_bytes == 0) {
        return 0;
    }
    rc = segment_scan_open(segment, &scan, &buffer);
    if (rc != 0) {
        return rc;
    }
    scan.check_from =
        INT64_MAX; /* a broken header still makes the scan compare checksums behind it */
    while ((rc = scan_next(&scan, &item)) > 0) {
        if (rc == SCAN_BATCH && batch_last_offset(&item.header) >= offset) {
            rc = cb(owner, &item.header);
            if (rc != 0) {
                break;
            }
        }
    }
    mr_free(buffer);
    return rc;
}

/* ---- index files ---- */

static void index_paths(const struct segment *segment, char index_path[LOG_PATH_SIZE],
                        char time_path[LOG_PATH_SIZE])
{
    log_path(segment->log, segment->base_offset, ".index", index_path);
    log_path(segment->log, segment->base_offset, ".timeindex", time_path);
}

int segment_store_index(struct segment *segment)
{
    char index_path[LOG_PATH_SIZE];
    char time_path[LOG_PATH_SIZE];
    int64_t stored;
    int rc;

    mr_assert(segment->is_index_loaded);
    /* As Kafka: the last entry of a segment that is left has its largest timestamp. */
    if (segment->max_timestamp_ms >= 0) {
        index_add_time(&segment->index, segment->max_timestamp_ms,
                       (uint32_t)(segment->max_timestamp_offset - segment->base_offset));
    }
    index_paths(segment, index_path, time_path);
    rc = index_store(segment->log->disk, index_path, time_path, &segment->index);
    stored = rc == 0 ? index_stored_bytes(&segment->index) : 0;
    budget_release(segment->log, segment->index_bytes);
    segment->index_bytes = stored;
    (void)budget_reserve(segment->log, stored, true);
    return rc;
}

/* A segment whose indexes cannot be used is read once, and they are made anew. */
int segment_index_make(struct segment *segment)
{
    int64_t size = segment->size_bytes;
    int64_t next_offset = segment->next_offset;
    int64_t tail = 0;
    int rc;

    rc = segment_rebuild(segment, size, INT64_MAX, &tail);
    if (rc == 0 && tail > 0) {
        segment_damaged(segment, size - tail, tail);
    }
    segment->size_bytes = size; /* it is what the file has; only its owner cuts it */
    segment->next_offset = next_offset;
    if (rc == 0 && segment != log_active(segment->log)) {
        (void)segment_store_index(segment); /* without it the next life makes it again */
    }
    return rc;
}

int segment_index_need(struct segment *segment)
{
    char index_path[LOG_PATH_SIZE];
    char time_path[LOG_PATH_SIZE];
    int rc;

    if (segment->is_index_loaded) {
        return 0;
    }
    index_paths(segment, index_path, time_path);
    rc =
        index_load(segment->log->disk, index_path, time_path, segment->size_bytes, &segment->index);
    if (rc == MR_ENOENT || rc == MR_ECORRUPT) {
        return segment_index_make(segment);
    }
    if (rc != 0) {
        return rc;
    }
    segment->is_index_loaded = true;
    if (!segment->is_timestamp_known && segment->index.time_count > 0) {
        const struct time_entry *last = &segment->index.times[segment->index.time_count - 1];

        segment->max_timestamp_ms = last->timestamp_ms;
        segment->max_timestamp_offset = segment->base_offset + last->offset_delta;
    }
    segment->is_timestamp_known = true;
    return 0;
}

int segment_clean_tail(struct segment *segment)
{
    struct log_file *file;
    int rc;

    if (!segment->is_tail_dirty) {
        return 0;
    }
    rc = segment_file(segment, &file);
    if (rc == 0) {
        rc = mr_disk_truncate(segment->log->disk, file->fd, segment->size_bytes);
    }
    if (rc == 0) {
        segment->is_tail_dirty = false;
    }
    return rc;
}
