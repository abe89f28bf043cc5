/* Which leader epoch began at which offset: Kafka's leader-epoch-checkpoint, as text.
 *
 *     0                 version
 *     2                 count
 *     0 0               epoch, start offset
 *     3 1200
 *
 * Written whole (temporary file, fsync, rename) at each change, which is once per leadership. */
#include "queue/log/log_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/memory.h"

enum { EPOCH_FILE_MAX = 1 << 24 };

void epochs_done(struct epochs *epochs)
{
    mr_free(epochs->entries);
    *epochs = (struct epochs){0};
}

int epochs_add(struct epochs *epochs, int32_t epoch, int64_t start_offset)
{
    if (epochs->count > 0) {
        const struct epoch_entry *latest = &epochs->entries[epochs->count - 1];

        if (epoch < latest->epoch || start_offset < latest->start_offset) {
            return MR_EFENCED;
        }
        if (epoch == latest->epoch) {
            return 0;
        }
    }
    if (mr_grow(&epochs->entries, &epochs->capacity, epochs->count + 1, sizeof *epochs->entries) !=
        0) {
        return MR_ENOMEM;
    }
    /* An epoch in which nothing was written is replaced: two cannot begin at one offset. */
    if (epochs->count > 0 && epochs->entries[epochs->count - 1].start_offset == start_offset) {
        epochs->count--;
    }
    epochs->entries[epochs->count] =
        (struct epoch_entry){.epoch = epoch, .start_offset = start_offset};
    epochs->count++;
    return 1;
}

bool epochs_cut_end(struct epochs *epochs, int64_t end_offset)
{
    size_t before = epochs->count;

    while (epochs->count > 0 && epochs->entries[epochs->count - 1].start_offset >= end_offset) {
        epochs->count--;
    }
    return epochs->count != before;
}

bool epochs_cut_start(struct epochs *epochs, int64_t start_offset)
{
    size_t gone = 0;

    while (gone + 1 < epochs->count && epochs->entries[gone + 1].start_offset <= start_offset) {
        gone++;
    }
    if (gone > 0) {
        epochs->count -= gone;
        memmove(epochs->entries, epochs->entries + gone, epochs->count * sizeof *epochs->entries);
    }
    if (epochs->count > 0 && epochs->entries[0].start_offset < start_offset) {
        epochs->entries[0].start_offset = start_offset;
        return true;
    }
    return gone > 0;
}

int epochs_store(const struct epochs *epochs, struct mr_disk *disk, const char *path,
                 struct mr_error *error)
{
    struct mr_bytes text;
    int rc;

    mr_bytes_init(&text);
    mr_bytes_printf(&text, "0\n%zu\n", epochs->count);
    for (size_t i = 0; i < epochs->count; i++) {
        mr_bytes_printf(&text, "%" PRId32 " %" PRId64 "\n", epochs->entries[i].epoch,
                        epochs->entries[i].start_offset);
    }
    rc = text.failed != 0 ? mr_fail(error, text.failed, "write %s", path)
                          : mr_disk_write_file(disk, path, text.data, text.size_bytes, error);
    mr_bytes_done(&text);
    return rc;
}

/* One number of a line; false when there is none, or it does not fit. */
static bool number_take(char **text, char end, int64_t max, int64_t *ret_value)
{
    char *behind;
    long long value;

    if (**text < '0' || **text > '9') {
        return false;
    }
    value = strtoll(*text, &behind, 10);
    if (*behind != end || value > max) {
        return false;
    }
    *text = behind + 1;
    *ret_value = value;
    return true;
}

static int epochs_parse(struct epochs *epochs, char *text, size_t size)
{
    const char *end = text + size;
    int64_t version;
    int64_t count;

    if (!number_take(&text, '\n', INT32_MAX, &version) || version != 0 ||
        !number_take(&text, '\n', (int64_t)size, &count)) {
        return MR_ECORRUPT;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t epoch;
        int64_t start_offset;

        if (!number_take(&text, ' ', INT32_MAX, &epoch) ||
            !number_take(&text, '\n', INT64_MAX, &start_offset) ||
            (epochs->count > 0 &&
             start_offset <= epochs->entries[epochs->count - 1].start_offset)) {
            return MR_ECORRUPT;
        }
        switch (epochs_add(epochs, (int32_t)epoch, start_offset)) {
        case 1:
            break;
        case MR_ENOMEM:
            return MR_ENOMEM;
        default:
            return MR_ECORRUPT;
        }
    }
    return text == end ? 0 : MR_ECORRUPT;
}

int epochs_load(struct epochs *epochs, struct mr_disk *disk, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    int rc;

    epochs->count = 0;
    rc = mr_disk_read_file(disk, path, EPOCH_FILE_MAX, &text, &size, NULL);
    if (rc != 0) {
        return rc == MR_ETOOLARGE ? MR_ECORRUPT : rc;
    }
    rc = epochs_parse(epochs, text, size);
    mr_free(text);
    if (rc != 0) {
        epochs->count = 0;
    }
    return rc;
}

/* ---- what the log says ---- */

int32_t log_leader_epoch(const struct log *log)
{
    const struct epochs *epochs = &log->epochs;

    return epochs->count > 0 ? epochs->entries[epochs->count - 1].epoch : -1;
}

int log_begin_epoch(struct log *log, int32_t leader_epoch, struct mr_error *error)
{
    char path[LOG_PATH_SIZE];
    int rc;

    rc = epochs_add(&log->epochs, leader_epoch, log->next_offset);
    if (rc < 0) {
        return mr_fail(error, rc, "leader epoch %" PRId32 " at offset %" PRId64, leader_epoch,
                       log->next_offset);
    }
    if (rc == 0) {
        return 0;
    }
    log_named_path(log, "leader-epoch-checkpoint", path);
    return epochs_store(&log->epochs, log->disk, path, error);
}

/* KIP-101, and Kafka's LeaderEpochFileCache.endOffsetFor: where nothing of the asked epoch or below
 * is kept, the answer is the asked epoch with the start of the first one that is. */
void log_epoch_end(const struct log *log, int32_t epoch, int32_t *ret_epoch,
                   int64_t *ret_end_offset)
{
    const struct epochs *epochs = &log->epochs;
    size_t above = 0;

    *ret_epoch = -1;
    *ret_end_offset = -1;
    if (epoch < 0 || epochs->count == 0 || epoch > epochs->entries[epochs->count - 1].epoch) {
        return;
    }
    while (above < epochs->count && epochs->entries[above].epoch <= epoch) {
        above++;
    }
    *ret_epoch = above == 0 ? epoch : epochs->entries[above - 1].epoch;
    *ret_end_offset =
        above == epochs->count ? log->end_offset : epochs->entries[above].start_offset;
}

int32_t log_epoch_of(const struct log *log, int64_t offset)
{
    const struct epochs *epochs = &log->epochs;
    size_t low = 0;
    size_t high = epochs->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (epochs->entries[middle].start_offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? -1 : epochs->entries[low - 1].epoch;
}
