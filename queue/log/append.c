/* Appending. A batch gets its offset, its header is patched in 61 bytes beside it, and both are
 * written with one call at the end of the active segment.
 *
 * Inline, as long as write-back keeps up: then an append is one pwritev into the page cache. When
 * more than LOG_UNFLUSHED_MAX bytes wait to be handed to the disk, the kernel would soon stop the
 * loop itself (balance_dirty_pages): appends then wait in a queue for the writer, a worker, and
 * log_append says MR_EAGAIN when that is long. Offsets are given out in both cases before
 * log_append returns; a queued batch that cannot be written takes all behind it with it.
 *
 * A failed write leaves nothing: what it wrote of the batch is cut off, and a crash before that
 * leaves a torn tail as any other. */
#include "queue/log/log_internal.h"

#include <string.h>

#include "base/core/clock.h"
#include "base/core/logger.h"

/* ---- results ---- */

void append_finish(struct log *log, struct log_append *append, int rc)
{
    append->rc = rc;
    mr_list_append(&log->finished, &append->link);
    mr_task_post(&log->turn);
}

/* Written, or a duplicate: now or after the group commit. */
static void append_written(struct log *log, struct log_append *append)
{
    bool is_sync_wanted =
        log->config.fsync == LOG_FSYNC_ALWAYS || (append->flags & LOG_APPEND_SYNC) != 0;

    append->wanted_synced_offset = append->last_offset + 1;
    if (is_sync_wanted && append->wanted_synced_offset > log->synced_offset) {
        mr_list_append(&log->unsynced, &append->link);
        sync_want(log);
    } else {
        append_finish(log, append, append->rc);
    }
}

/* Those whose bytes are on the platter. The list is not sorted: a duplicate waits for an older
 * offset. */
void append_synced(struct log *log)
{
    mr_list_each(&log->unsynced, link, next)
    {
        struct log_append *append = mr_container(link, struct log_append, link);

        if (append->wanted_synced_offset <= log->synced_offset) {
            mr_list_remove(link);
            append_finish(log, append, append->rc);
        }
    }
}

/* The batch's own callback: the reference that was taken is given back. */
static void append_call(struct log_append *append)
{
    struct mr_buf *buf = append->batch.buf;

    append->cb(append);
    mr_buf_unref(buf); /* the append may be gone */
}

void log_turn(struct log *log)
{
    const struct mr_link *last = log->finished.previous;
    struct mr_link *link;

    while ((link = mr_list_pop(&log->finished)) != NULL) {
        bool is_last = link == last; /* what comes in meanwhile waits for the next turn */

        append_call(mr_container(link, struct log_append, link));
        if (is_last) {
            break;
        }
    }
    last = log->syncs_finished.previous;
    while ((link = mr_list_pop(&log->syncs_finished)) != NULL) {
        struct log_sync *sync = mr_container(link, struct log_sync, link);
        bool is_last = link == last;

        sync->cb(sync);
        if (is_last) {
            break;
        }
    }
}

/* ---- taking one ---- */

/* What the batch will be in the log; rc as the append gets it. */
static int append_assign(struct log *log, struct log_append *append, struct batch_header *header)
{
    const uint8_t *data = append->batch.data;
    bool is_follower = (append->flags & LOG_APPEND_KEEP_OFFSETS) != 0;
    int rc;

    if (log->health != 0) {
        return log->health;
    }
    rc = batch_header_parse(data, append->batch.size_bytes, header);
    if (rc != 0) {
        return rc;
    }
    if ((uint64_t)batch_size_bytes(header) != append->batch.size_bytes) {
        return MR_ECORRUPT;
    }
    if ((batch_size_bytes(header) > log->config.batch_size_bytes_max && !is_follower) ||
        batch_size_bytes(header) >= LOG_SEGMENT_SIZE_MAX) {
        return MR_ETOOLARGE;
    }
    memcpy(append->header, data, BATCH_HEADER_SIZE);
    if (is_follower) {
        if (header->base_offset < log->next_offset ||
            header->base_offset >= INT64_MAX - header->last_offset_delta) {
            return MR_ERANGE;
        }
    } else {
        int64_t base_offset;
        int64_t last_offset;

        rc = producers_check(&log->producers, header, &base_offset, &last_offset);
        if (rc == MR_EDUPLICATE) {
            append->base_offset = base_offset;
            append->last_offset = last_offset;
        }
        if (rc != 0) {
            return rc;
        }
        header->base_offset = log->next_offset;
        header->leader_epoch = append->leader_epoch;
        batch_set_offset(append->header, header->base_offset, header->leader_epoch);
        if (log->config.log_append_time) {
            append->append_time_ms = mr_loop_wall_ms(log->env->loop);
            header->max_timestamp_ms = append->append_time_ms;
            batch_patch_append_time(append->header, append->append_time_ms);
        }
    }
    append->base_offset = header->base_offset;
    append->last_offset = batch_last_offset(header);
    return 0;
}

/* An epoch is on disk before the first batch of it. */
static int append_epoch(struct log *log, const struct batch_header *header)
{
    char path[LOG_PATH_SIZE];
    int rc;

    if (header->leader_epoch < 0 || header->leader_epoch == log_leader_epoch(log)) {
        return 0;
    }
    rc = epochs_add(&log->epochs, header->leader_epoch, header->base_offset);
    if (rc <= 0) {
        return rc;
    }
    log_named_path(log, "leader-epoch-checkpoint", path);
    rc = epochs_store(&log->epochs, log->disk, path, NULL);
    if (rc != 0) {
        log->epochs.count--; /* the next batch tries again */
    }
    return rc;
}

/* A log that is to have gaps says so in its checkpoint before the first: else a start that has only
 * the batches would take the one behind it for damaged. */
static int append_gap(struct log *log, const struct batch_header *header)
{
    int rc;

    if (header->base_offset == log->next_offset || log->gaps) {
        return 0;
    }
    log->gaps = true;
    rc = log_checkpoint_now(log, log->synced_offset, false);
    if (rc != 0) {
        log->gaps = false;
    }
    return rc;
}

/* A clock that has jumped back makes it due, too: it would stay young until that time comes again.
 */
static bool segment_is_old(const struct log *log, const struct segment *segment)
{
    int64_t age_ms = mr_loop_wall_ms(log->env->loop) - segment->first_append_ms;

    return log->config.segment_age_ms > 0 &&
           (age_ms >= log->config.segment_age_ms || age_ms < -MR_CLOCK_JUMP_MS);
}

static bool segment_is_due(const struct log *log, const struct segment *segment, int64_t size_bytes,
                           int64_t last_offset)
{
    if (segment->size_bytes == 0) {
        return last_offset - segment->base_offset > INT32_MAX;
    }
    return segment->size_bytes + size_bytes > log->config.segment_size_bytes ||
           last_offset - segment->base_offset > INT32_MAX || segment_is_old(log, segment);
}

/* Makes the active segment one that takes this batch: rolls by size and age, and where a follower's
 * offsets jump further than an index entry can say. */
static int append_segment(struct log *log, int64_t size_bytes, const struct log_append *append)
{
    struct segment *segment = log_active(log);
    struct log_file *file;
    int rc;

    if (segment_is_due(log, segment, size_bytes, append->last_offset)) {
        rc = segment->size_bytes > 0 ? log_roll(log) : 0;
        if (rc == 0 && append->last_offset - log_active(log)->base_offset > INT32_MAX) {
            rc = log_jump(log, append->base_offset);
        }
        if (rc != 0) {
            return rc;
        }
        segment = log_active(log);
    }
    rc = segment_file(segment, &file);
    if (rc != 0) {
        return rc;
    }
    rc = segment_index_need(segment);
    if (rc != 0) {
        index_clear(&segment->index); /* it goes on without what it had: lookups walk */
        segment->is_index_loaded = true;
    }
    return segment_clean_tail(segment);
}

/* ---- after the write ---- */

static void flush_run(struct mr_work *work)
{
    struct log *log = work->owner;

    (void)mr_disk_start_writeback(log->disk, log->flush_file->fd, log->flush_from, log->flush_size);
}

static void flush_done(struct mr_work *work)
{
    struct log *log = work->owner;

    log->unflushed_bytes -= log->flush_size;
    if (log->unflushed_bytes < 0) {
        log->unflushed_bytes = 0; /* a roll began to count anew */
    }
    file_unref(log->flush_file);
    log->flush_file = NULL;
    log->is_flushing = false;
    if (log->state != LOG_OPEN) {
        mr_task_post(&log->turn);
    }
}

/* Hands what was written to the disk early, in large pieces, so that neither the kernel's limit on
 * dirty pages nor the next fsync finds much. */
static void flush_step(struct log *log)
{
    struct segment *segment = log_active(log);

    if (log->is_flushing || segment->file == NULL ||
        segment->size_bytes - log->flush_position < LOG_WRITEBACK_CHUNK) {
        return;
    }
    log->flush_file = file_ref(segment->file);
    log->flush_from = log->flush_position;
    log->flush_size = segment->size_bytes - log->flush_position;
    log->flush_work = (struct mr_work){.run = flush_run, .done = flush_done, .owner = log};
    if (mr_workers_submit(log->env->io_workers, &log->flush_work) != 0) {
        file_unref(log->flush_file);
        log->flush_file = NULL;
        return;
    }
    log->flush_position = segment->size_bytes;
    log->is_flushing = true;
}

/* The batch stands at the end of the active segment's file. */
static void append_commit(struct log *log, struct log_append *append,
                          const struct batch_header *header)
{
    struct segment *segment = log_active(log);
    int64_t now_ms = mr_loop_wall_ms(log->env->loop);

    if (segment->size_bytes == 0) {
        segment->first_append_ms = now_ms;
    }
    segment->last_append_ms = now_ms;
    segment_note(segment, header, segment->size_bytes);
    log->end_offset = segment->next_offset;
    log->unflushed_bytes += batch_size_bytes(header);
    log_count(log, LOG_TOTAL_BYTES, batch_size_bytes(header));
    log_count(log, LOG_TOTAL_BATCHES, 1);
    log_count(log, LOG_TOTAL_RECORDS, header->record_count);
    flush_step(log);
    sync_dirty(log);
    append_written(log, append);
}

static int parts_of(const struct log_append *append, struct iovec parts[2])
{
    union {
        const uint8_t *given;
        void *wanted; /* struct iovec has no const; writing does not change the bytes */
    } rest = {.given = append->batch.data + BATCH_HEADER_SIZE};
    union {
        const uint8_t *given;
        void *wanted;
    } header = {.given = append->header};

    parts[0] = (struct iovec){.iov_base = header.wanted, .iov_len = BATCH_HEADER_SIZE};
    parts[1] = (struct iovec){.iov_base = rest.wanted,
                              .iov_len = append->batch.size_bytes - BATCH_HEADER_SIZE};
    return parts[1].iov_len > 0 ? 2 : 1;
}

static int append_inline(struct log *log, struct log_append *append,
                         const struct batch_header *header)
{
    struct segment *segment;
    struct iovec parts[2];
    int rc;

    rc = append_gap(log, header);
    if (rc == 0) {
        rc = append_segment(log, batch_size_bytes(header), append);
    }
    if (rc == 0) {
        rc = producers_reserve(&log->producers, header);
    }
    if (rc == 0) {
        rc = append_epoch(log, header);
    }
    if (rc != 0) {
        return rc;
    }
    segment = log_active(log);
    rc = mr_disk_pwritev(log->disk, segment->file->fd, parts, parts_of(append, parts),
                         segment->size_bytes);
    if (rc != 0) {
        segment->is_tail_dirty = true;
        (void)segment_clean_tail(segment); /* else before the next write */
        return rc;
    }
    rc = producers_note(&log->producers, header, mr_loop_wall_ms(log->env->loop));
    mr_assert(rc == 0); /* reserved */
    log->next_offset = append->last_offset + 1;
    append_commit(log, append, header);
    return 0;
}

/* ---- the queue and its writer ---- */

static bool is_congested(const struct log *log)
{
    return log->is_writing || !mr_list_is_empty(&log->queued) ||
           (log->unflushed_bytes > LOG_UNFLUSHED_MAX && !log->is_probing);
}

static int append_enqueue(struct log *log, struct log_append *append,
                          const struct batch_header *header)
{
    int rc = append_gap(log, header);

    if (rc == 0) {
        rc = producers_note(&log->producers, header, mr_loop_wall_ms(log->env->loop));
    }
    if (rc != 0) {
        return rc;
    }
    log->next_offset = append->last_offset + 1;
    log->queued_bytes += batch_size_bytes(header);
    mr_list_append(&log->queued, &append->link);
    mr_task_post(&log->turn);
    return 0;
}

/* On a worker: several batches with one call, each list position in turn. */
static void write_run(struct mr_work *work)
{
    struct log *log = work->owner;
    struct mr_link *link = log->writing.next;
    int64_t position = log->write_position;

    log->write_rc = 0;
    log->write_done_count = 0;
    while (link != &log->writing && log->write_rc == 0) {
        struct iovec parts[LOG_WRITE_PARTS_MAX];
        int64_t size = 0;
        int part_count = 0;
        int batch_count = 0;

        while (link != &log->writing && part_count + 2 <= LOG_WRITE_PARTS_MAX) {
            struct log_append *append = mr_container(link, struct log_append, link);

            if (append->rc == 0) { /* not a duplicate, which only waits for its turn */
                part_count += parts_of(append, parts + part_count);
                size += (int64_t)append->batch.size_bytes;
            }
            batch_count++;
            link = link->next;
        }
        log->write_rc = part_count == 0 ? 0
                                        : mr_disk_pwritev(log->disk, log->write_file->fd, parts,
                                                          part_count, position);
        if (log->write_rc == 0) {
            position += size;
            log->write_done_count += batch_count;
        }
    }
}

/* Takes one from the front: written (rc 0), or failed. */
static void queue_leave(struct log *log, struct log_append *append, int rc)
{
    struct batch_header header;

    mr_list_remove(&append->link);
    if (append->rc == MR_EDUPLICATE) {
        if (rc == 0) {
            append_written(log, append);
        } else {
            append_finish(log, append, rc);
        }
        return;
    }
    log->queued_bytes -= (int64_t)append->batch.size_bytes;
    if (rc == 0) {
        rc = batch_header_parse(append->header, BATCH_HEADER_SIZE, &header);
        mr_assert(rc == 0);
        append_commit(log, append, &header);
    } else {
        budget_release(log, (int64_t)append->batch.size_bytes);
        append->base_offset = -1;
        append->last_offset = -1;
        append_finish(log, append, rc);
    }
}

/* All that waits fails: their offsets were given out behind one that does not exist. What is known
 * of producers goes back to what is written. */
static void queue_fail(struct log *log, int rc)
{
    struct mr_link *lists[] = {&log->writing, &log->queued};

    for (size_t i = 0; i < 2; i++) {
        mr_list_each(lists[i], link, next)
        {
            queue_leave(log, mr_container(link, struct log_append, link), rc);
        }
    }
    log->next_offset = log->end_offset;
    log->is_probing = true;
    rc = producers_rebuild(log);
    if (rc != 0) {
        mr_error("log cannot be read again after a failed write; it takes no more appends",
                 KV_STR("directory", log->directory), KV_ERR(rc));
        log->health = MR_EIO;
    }
}

static void write_done(struct mr_work *work)
{
    struct log *log = work->owner;
    int rc = log->write_rc;

    log->is_writing = false;
    file_unref(log->write_file);
    log->write_file = NULL;
    for (int i = 0; i < log->write_done_count; i++) {
        queue_leave(log, mr_container(log->writing.next, struct log_append, link), 0);
    }
    if (rc != 0) {
        struct segment *segment = log_active(log);

        segment->is_tail_dirty = true;
        (void)segment_clean_tail(segment);
        queue_fail(log, rc);
    }
    mr_task_post(&log->turn);
}

/* Moves to the writer what fits into the active segment; returns 0 also if there is nothing. */
static int writer_load(struct log *log)
{
    struct segment *segment = NULL;
    int64_t end = 0;

    mr_list_each(&log->queued, link, next)
    {
        struct log_append *append = mr_container(link, struct log_append, link);
        int64_t size = (int64_t)append->batch.size_bytes;
        struct batch_header header;
        int rc = 0;

        if (append->rc == MR_EDUPLICATE) {
            mr_list_remove(link);
            mr_list_append(&log->writing, link);
            continue;
        }
        rc = batch_header_parse(append->header, BATCH_HEADER_SIZE, &header);
        mr_assert(rc == 0);
        if (segment == NULL) {
            rc = append_segment(log, size, append);
            segment = log_active(log);
            end = segment->size_bytes;
        } else if (end + size > log->config.segment_size_bytes ||
                   append->last_offset - segment->base_offset > INT32_MAX) {
            return 0;
        }
        if (rc == 0) {
            rc = append_epoch(log, &header);
        }
        if (rc != 0) {
            return rc;
        }
        end += size;
        mr_list_remove(link);
        mr_list_append(&log->writing, link);
    }
    return 0;
}

void append_step(struct log *log)
{
    int rc;

    if (log->is_writing || mr_list_is_empty(&log->queued)) {
        return;
    }
    if (log->health != 0) {
        queue_fail(log, log->health);
        return;
    }
    rc = writer_load(log);
    if (rc == 0 || !mr_list_is_empty(&log->writing)) {
        log->write_file = file_ref(log_active(log)->file);
        log->write_position = log_active(log)->size_bytes;
        log->write_work = (struct mr_work){.run = write_run, .done = write_done, .owner = log};
        log->is_writing = true;
        rc = mr_workers_submit(log->env->io_workers, &log->write_work);
        if (rc != 0) {
            log->is_writing = false;
            file_unref(log->write_file);
            log->write_file = NULL;
        }
    }
    if (rc != 0) {
        queue_fail(log, rc);
    }
}

void append_fail_waiting(struct log *log, int rc)
{
    mr_list_each(&log->unsynced, link, next)
    {
        mr_list_remove(link);
        append_finish(log, mr_container(link, struct log_append, link), rc);
    }
    mr_list_each(&log->syncs, link, next)
    {
        struct log_sync *sync = mr_container(link, struct log_sync, link);

        mr_list_remove(link);
        sync->rc = rc;
        mr_list_append(&log->syncs_finished, link);
        mr_task_post(&log->turn);
    }
    if (rc == MR_ECANCELED && !log->is_writing && !mr_list_is_empty(&log->queued)) {
        queue_fail(log, rc);
    }
}

/* ---- the door ---- */

int log_append(struct log *log, struct log_append *append)
{
    struct batch_header header;
    int rc;

    mr_assert(log->magic == LOG_MAGIC);
    if (log->state != LOG_OPEN) {
        return MR_ECANCELED;
    }
    if (log->queued_bytes >= LOG_QUEUED_MAX) {
        return MR_EAGAIN;
    }
    append->link = (struct mr_link){0};
    append->base_offset = -1;
    append->last_offset = -1;
    append->append_time_ms = -1;
    if (append->batch.buf != NULL) {
        (void)mr_buf_ref(append->batch.buf);
    }
    rc = append_assign(log, append, &header);
    if (rc == 0 && !budget_reserve(log, batch_size_bytes(&header),
                                   (append->flags & LOG_APPEND_OVER_LIMIT) != 0)) {
        rc = MR_EFULL;
    } else if (rc == 0) {
        append->rc = 0;
        rc = is_congested(log) ? append_enqueue(log, append, &header)
                               : append_inline(log, append, &header);
        if (rc != 0) {
            budget_release(log, batch_size_bytes(&header));
        } else {
            log->is_probing = false;
        }
    } else if (rc == MR_EDUPLICATE) {
        append->rc = rc;
        if (log->is_writing || !mr_list_is_empty(&log->queued)) {
            mr_list_append(&log->queued, &append->link); /* the original may still wait itself */
            mr_task_post(&log->turn);
        } else {
            append_written(log, append);
        }
        return 0;
    }
    if (rc != 0) {
        append->base_offset = -1;
        append->last_offset = -1;
        append_finish(log, append, rc);
    }
    return 0;
}
