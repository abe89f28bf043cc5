#include "queue/meta/replay.h"

#include "base/codec/codec.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/log/log.h"
#include "queue/wire/batch_check.h"

enum { REPLAY_READ_SIZE = 1024 * 1024, REPLAY_RECORDS_SIZE_MAX = 256 * 1024 * 1024 };

struct replay {
    replay_batch_cb cb;
    void *owner;
    uint8_t *data;
    size_t capacity;
    int64_t damaged;
};

/* Calls back for each whole batch in data; a range holds whole ones only. */
static int replay_range(struct replay *replay, size_t size_bytes)
{
    for (size_t at = 0; at < size_bytes;) {
        struct batch_header header;
        int rc = batch_header_parse(replay->data + at, size_bytes - at, &header);
        int64_t size = rc == 0 ? batch_size_bytes(&header) : 0;
        if (rc != 0 || size > (int64_t)(size_bytes - at)) {
            replay->damaged += 1;
            return 0; /* without a length there is no next batch in this range */
        }
        if (batch_crc_check(replay->data + at, &header) != 0) {
            replay->damaged += 1;
        } else {
            rc = replay->cb(replay->owner, &header, replay->data + at, (size_t)size);
            if (rc != 0) {
                return rc;
            }
        }
        at += (size_t)size;
    }
    return 0;
}

static int replay_step(struct replay *replay, struct log *log, struct mr_disk *disk,
                       int64_t *offset, struct log_cursor *cursor)
{
    struct log_range range = {0};
    ssize_t got = 0;
    int rc = log_read(log, *offset, log_end_offset(log), REPLAY_READ_SIZE, cursor, &range);

    if (rc != 0) {
        return rc;
    }
    if (range.size_bytes == 0) {
        return MR_EOF;
    }
    rc = mr_grow(&replay->data, &replay->capacity, (size_t)range.size_bytes, 1);
    if (rc == 0) {
        got = mr_disk_pread(disk, range.fd, replay->data, (size_t)range.size_bytes, range.position);
        rc = got < 0 ? (int)got : 0;
    }
    if (rc == 0) {
        *offset = range.next_offset;
        rc = replay_range(replay, (size_t)got);
    }
    log_range_done(&range);
    return rc;
}

int replay_batches(struct log *log, struct mr_disk *disk, int64_t offset, replay_batch_cb cb,
                   void *owner, int64_t *ret_damaged, struct mr_error *error)
{
    struct replay replay = {.cb = cb, .owner = owner};
    struct log_cursor cursor = {0};
    int64_t end = log_end_offset(log);
    int rc = 0;

    while (rc == 0 && offset < end) {
        int64_t before = offset;
        rc = replay_step(&replay, log, disk, &offset, &cursor);
        if (rc == 0 && offset <= before) {
            rc = MR_ECORRUPT; /* a log whose reads do not move on would hold us for ever */
        }
    }
    if (rc == MR_EOF) {
        rc = 0;
    }
    mr_free(replay.data);
    if (replay.damaged > 0) {
        mr_warn("damaged batches skipped", KV_STR("log", log_directory(log)),
                KV_I64("batches", replay.damaged));
    }
    if (ret_damaged != NULL) {
        *ret_damaged = replay.damaged;
    }
    return rc == 0 ? 0 : mr_fail(error, rc, "replay of %s", log_directory(log));
}

struct records_replay {
    replay_record_cb cb;
    void *owner;
    struct mr_codec_context *codecs;
    struct mr_bytes scratch;
};

static int on_batch(void *owner, const struct batch_header *header, const uint8_t *batch,
                    size_t size_bytes)
{
    struct records_replay *replay = owner;
    struct batch_iterator iterator;
    struct batch_record record;
    const uint8_t *records;
    size_t records_size;
    int rc;

    (void)size_bytes;
    if ((header->attributes & BATCH_CONTROL) != 0) {
        return 0;
    }
    mr_bytes_clear(&replay->scratch);
    rc = batch_records(batch, header, REPLAY_RECORDS_SIZE_MAX, replay->codecs, &replay->scratch,
                       &records, &records_size);
    if (rc != 0) {
        return rc == MR_ENOMEM ? rc : 0;
    }
    batch_iterator_init(&iterator, header, records, records_size);
    while ((rc = batch_iterator_next(&iterator, &record)) == 1) {
        int cb_rc = replay->cb(replay->owner, header, &record);
        if (cb_rc != 0) {
            return cb_rc;
        }
    }
    return 0;
}

int replay_records(struct log *log, struct mr_disk *disk, int64_t offset, replay_record_cb cb,
                   void *owner, struct mr_error *error)
{
    struct records_replay replay = {.cb = cb, .owner = owner};
    int rc = mr_codec_context_new(&replay.codecs);

    if (rc != 0) {
        return mr_fail(error, rc, "replay of %s", log_directory(log));
    }
    mr_bytes_init(&replay.scratch);
    rc = replay_batches(log, disk, offset, on_batch, &replay, NULL, error);
    mr_bytes_done(&replay.scratch);
    mr_codec_context_free(replay.codecs);
    return rc;
}
