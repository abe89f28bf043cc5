/* See dump.h. Each file is read by the code that reads it in earnest: what is shown is what the log
 * would see. */
#include "queue/log/dump.h"

#include <stdlib.h>
#include <string.h>

#include "base/codec/codec.h"
#include "base/core/memory.h"
#include "queue/log/log_internal.h"
#include "queue/wire/batch_check.h"

enum { DUMP_RECORDS_MAX = 256 << 20 };

struct dump {
    struct mr_disk *disk;
    const struct log_dump_events *events;
    void *owner;
    struct mr_codec_context *codecs;
    struct mr_bytes scratch;
};

static void problem(const struct dump *dump, const char *what, int code)
{
    if (dump->events->on_problem != NULL) {
        dump->events->on_problem(dump->owner, what, code);
    }
}

/* The offset in a name of 20 digits; -1 if it is none. */
static int64_t offset_of(const char *name)
{
    int64_t offset = 0;

    for (int i = 0; i < 20; i++) {
        if (name[i] < '0' || name[i] > '9' || __builtin_mul_overflow(offset, 10, &offset) ||
            __builtin_add_overflow(offset, name[i] - '0', &offset)) {
            return -1;
        }
    }
    return offset;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t size = strlen(name);

    return size >= strlen(suffix) && strcmp(name + size - strlen(suffix), suffix) == 0;
}

/* ---- .log ---- */

static void dump_records(struct dump *dump, int fd, const struct scan_item *item)
{
    uint8_t *data = mr_malloc((size_t)item->size_bytes);
    struct batch_iterator iterator;
    struct batch_record record;
    const uint8_t *records;
    size_t size;
    ssize_t got;
    int rc;

    if (data == NULL) {
        problem(dump, "records", MR_ENOMEM);
        return;
    }
    got = mr_disk_pread(dump->disk, fd, data, (size_t)item->size_bytes, item->position);
    rc = got < 0 ? (int)got : got < item->size_bytes ? MR_ETRUNCATED : 0;
    if (rc == 0) {
        mr_bytes_clear(&dump->scratch);
        rc = batch_records(data, &item->header, DUMP_RECORDS_MAX, dump->codecs, &dump->scratch,
                           &records, &size);
    }
    if (rc == 0) {
        batch_iterator_init(&iterator, &item->header, records, size);
        while ((rc = batch_iterator_next(&iterator, &record)) == 1) {
            dump->events->on_record(dump->owner, &item->header, &record);
        }
    }
    if (rc != 0) {
        problem(dump, "records", rc);
    }
    mr_free(data);
}

static int dump_log(struct dump *dump, const char *path, int64_t size_bytes)
{
    const struct log_dump_events *events = dump->events;
    struct scan_item item = {0};
    struct scan scan;
    uint8_t *buffer;
    int fd = -1;
    int rc;

    rc = mr_disk_open(dump->disk, path, MR_DISK_READ, &fd, NULL);
    if (rc != 0) {
        return rc;
    }
    buffer = mr_malloc(LOG_SCAN_BUFFER_SIZE);
    if (buffer == NULL) {
        rc = MR_ENOMEM;
        goto close_file;
    }
    scan_init(&scan, dump->disk, fd, buffer, LOG_SCAN_BUFFER_SIZE);
    scan.end = size_bytes;
    scan.offset = offset_of(name_of(path)) < 0 ? 0 : offset_of(name_of(path));
    scan.gaps = true;
    while ((rc = scan_next(&scan, &item)) > 0) {
        if (rc == SCAN_DAMAGE) {
            if (events->on_damage != NULL) {
                events->on_damage(dump->owner, item.position, item.size_bytes);
            }
            continue;
        }
        if (events->on_batch != NULL) {
            events->on_batch(dump->owner, item.position, &item.header);
        }
        if (events->on_record != NULL) {
            dump_records(dump, fd, &item);
        }
    }
    mr_free(buffer);
close_file:
    mr_disk_close(dump->disk, fd);
    return rc;
}

/* ---- the others ---- */

static int dump_index(struct dump *dump, const char *path, bool is_time)
{
    const struct log_dump_events *events = dump->events;
    int64_t base = offset_of(name_of(path));
    struct segment_index index = {0};
    int rc;

    rc = index_load_one(dump->disk, path, is_time, INT64_MAX, &index);
    for (size_t i = 0; rc == 0 && !is_time && events->on_index != NULL && i < index.count; i++) {
        events->on_index(dump->owner, base + index.entries[i].offset_delta,
                         index.entries[i].position);
    }
    for (size_t i = 0; rc == 0 && is_time && events->on_time_index != NULL && i < index.time_count;
         i++) {
        events->on_time_index(dump->owner, index.times[i].timestamp_ms,
                              base + index.times[i].offset_delta);
    }
    index_done(&index);
    return rc;
}

static int dump_snapshot(struct dump *dump, const char *path)
{
    struct producers producers;
    const struct mr_map_entry *entry;
    size_t cursor = 0;
    int rc;

    producers_init(&producers, INT32_MAX);
    rc = producers_load(&producers, dump->disk, path);
    while (rc == 0 && dump->events->on_producer != NULL &&
           (entry = mr_map_next(&producers.by_id, &cursor)) != NULL) {
        const struct producer *producer = entry->value;
        const struct producer_batch *last =
            producer->batch_count > 0 ? &producer->batches[producer->batch_count - 1] : NULL;
        struct log_dump_producer shown = {
            .producer_id = producer->id,
            .epoch = producer->epoch,
            .last_sequence = last != NULL ? last->last_sequence : -1,
            .last_offset = last != NULL ? last->last_offset : -1,
            .remembered_batches = producer->batch_count,
        };

        dump->events->on_producer(dump->owner, &shown);
    }
    producers_done(&producers);
    return rc;
}

static int dump_epochs(struct dump *dump, const char *path)
{
    struct epochs epochs = {0};
    int rc = epochs_load(&epochs, dump->disk, path);

    for (size_t i = 0; rc == 0 && dump->events->on_epoch != NULL && i < epochs.count; i++) {
        dump->events->on_epoch(dump->owner, epochs.entries[i].epoch,
                               epochs.entries[i].start_offset);
    }
    epochs_done(&epochs);
    return rc;
}

static int dump_checkpoint(struct dump *dump, const char *path)
{
    struct checkpoint checkpoint;
    int rc = checkpoint_read(dump->disk, path, &checkpoint);

    if (rc != 0) {
        return rc;
    }
    if (dump->events->on_checkpoint != NULL) {
        struct log_dump_checkpoint shown = {
            .generation = checkpoint.generation,
            .is_clean = (checkpoint.flags & CHECKPOINT_CLEAN) != 0,
            .start_offset = checkpoint.start_offset,
            .recovery_offset = checkpoint.recovery_offset,
            .written_ms = checkpoint.written_ms,
            .segment_count = (int64_t)checkpoint.segment_count,
        };

        dump->events->on_checkpoint(dump->owner, &shown);
    }
    checkpoint_done(&checkpoint);
    return 0;
}

/* ---- a file, or all of a directory ---- */

static bool is_log_file(const char *name)
{
    static const char *const suffixes[] = {".log", ".index", ".timeindex", ".snapshot"};

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        if (strlen(name) == 20 + strlen(suffixes[i]) && offset_of(name) >= 0 &&
            ends_with(name, suffixes[i])) {
            return true;
        }
    }
    return strcmp(name, "leader-epoch-checkpoint") == 0 || strcmp(name, "checkpoint.0") == 0 ||
           strcmp(name, "checkpoint.1") == 0;
}

static int dump_file(struct dump *dump, const char *path, int64_t size_bytes)
{
    const char *name = name_of(path);

    if (!is_log_file(name)) {
        return MR_EUNSUPPORTED;
    }
    if (dump->events->on_file != NULL) {
        dump->events->on_file(dump->owner, path, size_bytes);
    }
    if (ends_with(name, ".log")) {
        return dump_log(dump, path, size_bytes);
    }
    if (ends_with(name, ".index") || ends_with(name, ".timeindex")) {
        return dump_index(dump, path, ends_with(name, ".timeindex"));
    }
    if (ends_with(name, ".snapshot")) {
        return dump_snapshot(dump, path);
    }
    return name[0] == 'l' ? dump_epochs(dump, path) : dump_checkpoint(dump, path);
}

struct names {
    char **items;
    size_t count;
    size_t capacity;
};

static int on_name(void *owner, const char *name)
{
    struct names *names = owner;
    char *copy;

    if (!is_log_file(name)) {
        return 0;
    }
    copy = mr_strdup(name);
    if (copy == NULL ||
        mr_grow(&names->items, &names->capacity, names->count + 1, sizeof *names->items) != 0) {
        mr_free(copy);
        return MR_ENOMEM;
    }
    names->items[names->count] = copy;
    names->count++;
    return 0;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static int dump_directory(struct dump *dump, const char *path)
{
    struct names names = {0};
    int rc = mr_disk_list(dump->disk, path, on_name, &names);

    if (names.count > 1) {
        qsort(names.items, names.count, sizeof *names.items, compare_names);
    }
    for (size_t i = 0; i < names.count; i++) {
        char *file = mr_asprintf("%s/%s", path, names.items[i]);
        struct mr_disk_stat stat;
        int file_rc = file == NULL ? MR_ENOMEM : mr_disk_stat(dump->disk, file, &stat);

        if (rc == 0 && file_rc == 0) {
            file_rc = dump_file(dump, file, stat.size_bytes);
        }
        if (rc == 0 && file_rc != 0) {
            problem(dump, names.items[i], file_rc);
        }
        mr_free(file);
        mr_free(names.items[i]);
    }
    mr_free(names.items);
    return rc;
}

int log_dump(struct mr_disk *disk, const char *path, const struct log_dump_events *events,
             void *owner, struct mr_error *error)
{
    struct dump dump = {.disk = disk, .events = events, .owner = owner};
    struct mr_disk_stat stat;
    int rc;

    rc = mr_disk_stat(disk, path, &stat);
    if (rc != 0) {
        return mr_fail(error, rc, "%s", path);
    }
    mr_bytes_init(&dump.scratch);
    rc = mr_codec_context_new(&dump.codecs);
    if (rc == 0) {
        rc = stat.is_directory ? dump_directory(&dump, path)
                               : dump_file(&dump, path, stat.size_bytes);
    }
    mr_codec_context_free(dump.codecs);
    mr_bytes_done(&dump.scratch);
    return rc == 0 ? 0 : mr_fail(error, rc, "%s", path);
}
