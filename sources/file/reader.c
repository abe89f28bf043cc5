/* One file: open it, see whether it is still what it was, read blocks of it, hand them over.
 *
 * The happy path of a turn, which ends after some blocks so that other files get theirs:
 *
 *   1. fstat on the open handle: size and number of names, from one call (PROMISES P39).
 *   2. Compare the head, then read from the first byte that is not yet taken, together with the up
 * to 64 bytes before it, and compare these: a file that was truncated and rewritten in between is
 *      noticed before any byte of it is taken for a continuation (P4).
 *   3. Split into lines, and, for container formats and multiline, join these to events.
 *   4. Hand blocks to the host, each with the position after it.
 *
 * What can go wrong:
 *   - the bytes are not in the page cache: a worker reads them (LOADING), and the turn goes on
 * there;
 *   - the host takes no more: its block is parked, all reading stops until resume();
 *   - no memory within the bound: the turn ends, an ack brings the next one;
 *   - the file shrank or its bytes changed: READER_CHANGED, find.c decides what it is now;
 *   - a read fails: the error is kept and shown, and it is tried again at the next tick. */
#include <string.h>

#include "sources/file/file_internal.h"
#include "sources/file/joiner.h"
#include "sources/file/reader_internal.h"

#include "base/codec/gunzip.h"
#include "base/core/clock.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/hash.h"
#include "base/core/logger.h"
#include "base/core/memory.h"

enum { BLOCKS_PER_TURN = 4, LOADS_MAX = 4 };

/* ---- the handle ---- */

/* The longest unused handles give way; those of detached files are the only way to their bytes. */
static void make_room(struct file_source *fs)
{
    while (fs->open_count >= fs->options->open_files_max) {
        struct tail *victim = NULL;

        mr_list_each(&fs->open, link, next)
        {
            struct tail *tail = mr_container(link, struct tail, open_link);

            if ((tail_state(tail) == TAIL_IDLE || tail_state(tail) == TAIL_HELD) &&
                !tail->is_detached) {
                victim = tail;
                break;
            }
        }
        if (victim == NULL) {
            return; /* all are needed: rather one too many than a lost file */
        }
        reader_close(victim);
    }
}

static void set_open(struct tail *tail, int fd)
{
    tail->fd = fd;
    mr_list_append(&tail->fs->open, &tail->open_link);
    tail->fs->open_count++;
    tail->fs->counts[FILE_OPEN]++;
}

void reader_adopt(struct tail *tail, int fd)
{
    mr_assert(tail->fd < 0);
    make_room(tail->fs);
    set_open(tail, fd);
}

int reader_open(struct tail *tail)
{
    struct file_source *fs = tail->fs;
    struct mr_disk_stat stat;
    int fd = -1;
    int rc;

    if (tail->fd >= 0) {
        return 0;
    }
    if (tail->path == NULL) {
        return MR_ENOENT;
    }
    make_room(fs);
    rc = mr_disk_open(fs->disk, tail->path, MR_DISK_READ, &fd, NULL);
    if (rc == 0) {
        bool needs_content;

        rc = mr_disk_fstat(fs->disk, fd, &stat);
        if (rc == 0 && (!stat.is_regular || !identity_is_at(&tail->position.identity, &stat) ||
                        !identity_may_be(&tail->position.identity, &stat, &needs_content))) {
            rc = MR_ENOENT; /* another file has this path now */
        }
        if (rc == 0) {
            set_open(tail, fd);
            return 0;
        }
        mr_disk_close(fs->disk, fd);
    }
    return rc;
}

void reader_close(struct tail *tail)
{
    if (tail->fd < 0) {
        return;
    }
    mr_assert(tail_state(tail) != TAIL_LOADING);
    mr_disk_close(tail->fs->disk, tail->fd);
    tail->fd = -1;
    mr_list_remove(&tail->open_link);
    tail->fs->open_count--;
    tail->fs->counts[FILE_OPEN]--;
    if (tail->under_way == 0 && tail->stream != NULL) {
        tail->fs->host->ops->stream_close(tail->fs->host, tail->stream);
        tail->stream = NULL;
    }
    reader_forget_decoders(tail);
}

void reader_forget_decoders(struct tail *tail)
{
    joiner_free(tail->joiner);
    tail->joiner = NULL;
    gzip_file_free(tail->gzip);
    tail->gzip = NULL;
}

int64_t reader_behind(const struct tail *tail)
{
    int64_t behind = tail->size_bytes - tail->position.offset;

    return behind > 0 && !tail->is_gzip ? behind : 0;
}

/* ---- reading ---- */

struct load {
    struct mr_work work;
    struct tail *tail;
    struct chunk *chunk;
    int64_t offset;
    ssize_t result; /* bytes from offset on, or a code */
    bool at_end;    /* of a compressed file */
};

/* How much of the bytes in front of the position is read with them. */
static size_t tail_size(const struct tail *tail)
{
    return tail->position.identity.tail_size;
}

static size_t wanted(const struct tail *tail, const struct chunk *chunk, int64_t offset)
{
    int64_t left = tail->size_bytes - offset;

    return left < (int64_t)chunk->buf.capacity_bytes ? (size_t)left : chunk->buf.capacity_bytes;
}

/* Any thread. The count from `offset` on. */
static ssize_t read_chunk(struct tail *tail, struct chunk *chunk, int64_t offset, size_t before,
                          bool cached)
{
    struct mr_disk *disk = tail->fs->disk;
    struct iovec part = {.iov_base = chunk->buf.data - before,
                         .iov_len = wanted(tail, chunk, offset) + before};
    ssize_t got;

    got = cached ? mr_disk_preadv_cached(disk, tail->fd, &part, 1, offset - (int64_t)before)
                 : mr_disk_preadv(disk, tail->fd, &part, 1, offset - (int64_t)before);
    if (got < 0) {
        return got;
    }
    return got < (ssize_t)before ? MR_ETRUNCATED : got - (ssize_t)before;
}

static void load_run(struct mr_work *work)
{
    struct load *load = work->owner;
    struct tail *tail = load->tail;

    if (tail->is_gzip) {
        load->result = gzip_file_read(tail->gzip, tail->fs->disk, tail->fd, load->offset,
                                      tail_size(tail), load->chunk, &load->at_end);
    } else {
        load->result = read_chunk(tail, load->chunk, load->offset, tail_size(tail), false);
    }
}

static enum reader_result take_read(struct tail *tail, struct chunk *chunk, ssize_t got);

/* A whole compressed file was read: what is unfinished at its end stays so, and it need not be
 * decompressed again at each start. */
static enum reader_result complete(struct tail *tail)
{
    enum reader_result result = READER_IDLE;

    if (tail->position.offset < tail->size_bytes || tail->joiner != NULL) {
        return READER_IDLE; /* the flush of its end will come, with rotated_wait */
    }
    tail->position.flags |= POSITION_COMPLETE;
    result = file_offer_position(tail) == 0 ? READER_IDLE : READER_STARVED;
    gzip_file_free(tail->gzip);
    tail->gzip = NULL;
    return result;
}

static void load_done(struct mr_work *work)
{
    struct load *load = work->owner;
    struct tail *tail = load->tail;
    struct file_source *fs = tail->fs;
    enum reader_result result;

    fs->loads--;
    mr_state_move(&tail->machine, TAIL_IDLE, tail->path);
    if (fs->is_closing || fs->is_blocked || load->offset != tail->position.offset) {
        result = READER_MORE; /* nothing was taken; it is read again when there is a place for it */
    } else {
        if (tail->is_gzip && load->at_end && load->result >= 0) {
            tail->size_bytes = load->offset + load->result;
        }
        result = take_read(tail, load->chunk, load->result);
        if (tail->is_gzip && result == READER_IDLE && load->at_end) {
            result = complete(tail);
        }
    }
    pool_chunk_release(&fs->pool, load->chunk);
    mr_free(load);
    if (!fs->is_closing) {
        reader_turned(tail, result);
    }
    file_check_closed(fs);
}

static enum reader_result start_load(struct tail *tail, struct chunk *chunk)
{
    struct file_source *fs = tail->fs;
    struct load *load;

    if (fs->loads >= LOADS_MAX) {
        pool_chunk_release(&fs->pool, chunk);
        return READER_MORE;
    }
    load = mr_calloc(1, sizeof *load);
    if (load == NULL) {
        pool_chunk_release(&fs->pool, chunk);
        return READER_STARVED;
    }
    load->tail = tail;
    load->chunk = chunk;
    load->offset = tail->position.offset;
    load->work.run = load_run;
    load->work.done = load_done;
    load->work.owner = load;
    if (mr_workers_submit(fs->host->workers, &load->work) != 0) {
        pool_chunk_release(&fs->pool, chunk);
        mr_free(load);
        return READER_STARVED;
    }
    fs->loads++;
    return READER_LOADING;
}

/* What a read has brought: a continuation, other bytes, or an error. */
static enum reader_result take_read(struct tail *tail, struct chunk *chunk, ssize_t got)
{
    const struct identity *identity = &tail->position.identity;
    struct file_source *fs = tail->fs;
    enum reader_result result;
    size_t taken;

    if (got == MR_ETRUNCATED && tail->is_gzip) {
        return READER_IDLE; /* still being written: at its next change */
    }
    if (got == MR_ETRUNCATED) {
        return READER_CHANGED;
    }
    tail->error_code = got < 0 ? (int)got : 0;
    if (got < 0) {
        mr_warn("cannot read a file, trying again", KV_STR("source", fs->host->source_id),
                KV_STR("path", tail->path == NULL ? tail->origin : tail->path),
                KV_ERR(tail->error_code));
        file_tick_soon(fs);
        return READER_IDLE;
    }
    if (mr_hash64(chunk->buf.data - identity->tail_size, identity->tail_size) !=
            identity->tail_hash &&
        identity->tail_size > 0) {
        return READER_CHANGED;
    }
    chunk->buf.size_bytes = (size_t)got;
    fs->counts[FILE_READ_BYTES] += got;
    tail->read_wall_ms = mr_loop_wall_ms(fs->host->loop);
    result = take_bytes(tail, chunk, &taken);
    if (result != READER_MORE) {
        return result;
    }
    return taken == 0 ? READER_IDLE : READER_MORE;
}

/* ---- a joiner that holds what the position says ---- */

/* Lines that begin before the position; how many bytes were gone through. */
static size_t replay_lines(struct tail *tail, const struct chunk *chunk, int64_t first,
                           struct lines *lines)
{
    struct source_span spans[64];
    size_t at = 0;
    size_t count = 1;

    while (count > 0 && first + (int64_t)at < tail->position.offset) {
        size_t taken;

        count = lines_split(lines, chunk->buf.data + at, chunk->buf.size_bytes - at, (uint32_t)at,
                            spans, 64, &taken);
        for (size_t i = 0; i < count; i++) {
            if (first + spans[i].offset < tail->position.offset) {
                (void)joiner_replay(tail->joiner, chunk->buf.data + spans[i].offset, spans[i].size,
                                    spans[i].flags, first + spans[i].offset);
            }
        }
        at += taken;
    }
    return at;
}

/* Reads the lines of pending events again. It reads beyond the position, since where a long line
 * was cut depends on what follows; and the byte before, which tells whether it begins inside of
 * one. Bounded by what a lane may leave behind. */
static int replay(struct tail *tail, struct chunk *chunk)
{
    int64_t at = joiner_replay_start(tail->position.lanes);
    struct lines lines = take_lines_of(tail);
    int rc = inherit_replay(tail, chunk);
    bool is_first = true;

    while (rc == 0 && at >= 0 && at < tail->position.offset) {
        size_t before = is_first && at > 0 ? 1 : 0;
        size_t taken;
        ssize_t got;
        bool at_end;

        got = tail->is_gzip
                  ? gzip_file_read(tail->gzip, tail->fs->disk, tail->fd, at, before, chunk, &at_end)
                  : read_chunk(tail, chunk, at, before, false);
        if (got < 0) {
            return (int)got;
        }
        if (is_first) {
            lines.in_long = before == 1 && chunk->buf.data[-1] != '\n';
            is_first = false;
        }
        chunk->buf.size_bytes = (size_t)got;
        taken = replay_lines(tail, chunk, at, &lines);
        if (taken == 0) {
            break;
        }
        at += (int64_t)taken;
    }
    return rc;
}

static int prepare_joiner(struct tail *tail, struct chunk *chunk);

/* Pending events wait for their time-out, also when nothing follows in the file. */
static enum reader_result prepare_pending(struct tail *tail)
{
    struct file_source *fs = tail->fs;
    struct chunk *chunk;
    int rc;

    if (!take_is_joined(fs) || tail->joiner != NULL ||
        joiner_replay_start(tail->position.lanes) < 0) {
        return READER_MORE;
    }
    chunk = pool_chunk(&fs->pool, false);
    if (chunk == NULL || (tail->is_gzip && tail->gzip == NULL && gzip_file_new(&tail->gzip) != 0)) {
        pool_chunk_release(&fs->pool, chunk);
        return READER_STARVED;
    }
    rc = prepare_joiner(tail, chunk);
    pool_chunk_release(&fs->pool, chunk);
    return rc == 0 ? READER_MORE : READER_STARVED;
}

static int prepare_joiner(struct tail *tail, struct chunk *chunk)
{
    int rc;

    if (!take_is_joined(tail->fs) || tail->joiner != NULL) {
        return 0;
    }
    tail->joiner = joiner_new(&tail->fs->rules);
    if (tail->joiner == NULL) {
        return MR_ENOMEM;
    }
    joiner_import(tail->joiner, tail->position.lanes);
    rc = replay(tail, chunk);
    if (rc != 0) {
        joiner_free(tail->joiner);
        tail->joiner = NULL;
    }
    return rc;
}

/* ---- the turn ---- */

static enum reader_result read_some(struct tail *tail)
{
    struct file_source *fs = tail->fs;
    struct chunk *chunk = pool_chunk(&fs->pool, false);
    enum reader_result result;
    ssize_t got;

    if (chunk == NULL) {
        return READER_STARVED;
    }
    if (tail->is_gzip && tail->gzip == NULL && gzip_file_new(&tail->gzip) != 0) {
        pool_chunk_release(&fs->pool, chunk);
        return READER_STARVED;
    }
    if (prepare_joiner(tail, chunk) != 0) {
        pool_chunk_release(&fs->pool, chunk);
        return READER_STARVED;
    }
    if (tail->is_gzip) {
        return start_load(tail, chunk);
    }
    got = read_chunk(tail, chunk, tail->position.offset, tail_size(tail), true);
    if (got == MR_EAGAIN) {
        return start_load(tail, chunk);
    }
    result = take_read(tail, chunk, got);
    pool_chunk_release(&fs->pool, chunk);
    return result;
}

/* One fstat decides: is it longer, is it shorter, has it a name. */
static enum reader_result look(struct tail *tail)
{
    struct mr_disk_stat stat;
    int rc = mr_disk_fstat(tail->fs->disk, tail->fd, &stat);

    if (rc != 0) {
        tail->error_code = rc;
        return READER_IDLE;
    }
    tail->is_deleted = stat.link_count == 0;
    tail->content_us = stat.modified_us;
    if (tail->is_gzip) {
        tail->size_bytes = -1;
        return READER_MORE;
    }
    if (stat.size_bytes < tail->position.offset || stat.size_bytes < tail->size_bytes ||
        identity_compare(&tail->position.identity, tail->fs->disk, tail->fd, stat.size_bytes,
                         tail->position.offset) == IDENTITY_CHANGED) {
        return READER_CHANGED;
    }
    if (stat.size_bytes > tail->size_bytes) {
        tail->changed_ms = mr_loop_now_ms(tail->fs->host->loop);
        tail->is_finished = false;
        tail->was_polled = false;
    }
    tail->size_bytes = stat.size_bytes;
    return READER_MORE;
}

/* What was there before the first start is not read, and that is remembered at once. */
static enum reader_result skip_to_end(struct tail *tail)
{
    struct identity *identity = &tail->position.identity;
    uint8_t bytes[TAIL_SIZE_MAX];
    size_t size = tail->size_bytes < TAIL_SIZE_MAX ? (size_t)tail->size_bytes : TAIL_SIZE_MAX;

    tail->start_at_end = false;
    tail->is_released = true;
    if (mr_disk_pread(tail->fs->disk, tail->fd, bytes, size, tail->size_bytes - (int64_t)size) !=
            (ssize_t)size ||
        identity_grow_head(identity, tail->fs->disk, tail->fd, tail->size_bytes) != IDENTITY_SAME) {
        return READER_CHANGED;
    }
    identity->tail_size = (uint16_t)size;
    identity->tail_hash = mr_hash64(bytes, size);
    tail->position.offset = tail->size_bytes;
    find_index_head(tail);
    return file_offer_position(tail) == 0 ? READER_MORE : READER_STARVED;
}

/* Gzip is told by its first bytes, whatever the name says. */
static void detect_gzip(struct tail *tail)
{
    uint8_t head[4];
    ssize_t got;

    if (tail->is_gzip || tail->position.offset > 0 || tail->fs->options->gzip == false) {
        return;
    }
    got = mr_disk_pread(tail->fs->disk, tail->fd, head, sizeof head, 0);
    if (got > 0 && mr_gunzip_is_gzip(head, (size_t)got)) {
        tail->is_gzip = true;
        tail->position.flags |= POSITION_GZIP;
    }
}

enum reader_result reader_turn(struct tail *tail)
{
    enum reader_result result;
    int rc = reader_open(tail);

    tail->is_dirty = false;
    if (rc != 0) {
        if (rc != MR_ENOENT && tail->error_code != rc) {
            mr_warn("cannot open a file, trying again", KV_STR("source", tail->fs->host->source_id),
                    KV_STR("path", tail->path), KV_ERR(rc));
        }
        tail->error_code = rc;
        return READER_IDLE;
    }
    /* The order of use: who was read last gives way last. */
    mr_list_remove(&tail->open_link);
    mr_list_append(&tail->fs->open, &tail->open_link);
    detect_gzip(tail);
    result = look(tail);
    if (result == READER_MORE && tail->start_at_end) {
        result = skip_to_end(tail);
    }
    if (result == READER_MORE && copy_must_wait(tail)) {
        return READER_HELD;
    }
    if (result == READER_MORE) {
        result = prepare_pending(tail);
    }
    if (result == READER_MORE && !inherit_begin(tail)) {
        return READER_MORE;
    }
    if (result == READER_MORE && (tail->position.flags & POSITION_COMPLETE) != 0) {
        return READER_IDLE;
    }
    for (int i = 0; i < BLOCKS_PER_TURN && result == READER_MORE; i++) {
        if (!tail->is_gzip && tail->position.offset >= tail->size_bytes) {
            result = READER_IDLE;
        } else if (tail->fs->is_blocked) {
            break;
        } else {
            result = read_some(tail);
        }
    }
    return result;
}

enum reader_result reader_finish(struct tail *tail)
{
    struct file_source *fs = tail->fs;
    enum reader_result result = READER_MORE;
    struct chunk *chunk = pool_chunk(&fs->pool, true);

    if (chunk == NULL) {
        return READER_STARVED;
    }
    if (prepare_joiner(tail, chunk) != 0) {
        result = READER_STARVED;
    }
    if (result == READER_MORE && !tail->is_gzip && tail->position.offset < tail->size_bytes &&
        tail->fd >= 0) {
        ssize_t got = read_chunk(tail, chunk, tail->position.offset, tail_size(tail), false);

        if (got > 0 && (size_t)got <= (size_t)fs->options->line_size_bytes_max + LINE_LOOKAHEAD) {
            chunk->buf.size_bytes = (size_t)got;
            result = take_remainder(tail, chunk);
        }
    }
    pool_chunk_release(&fs->pool, chunk);
    if (result == READER_MORE && tail->joiner != NULL && joiner_has_pending(tail->joiner)) {
        result = take_pending(tail);
    }
    return result == READER_MORE ? READER_IDLE : result;
}

enum reader_result reader_flush(struct tail *tail)
{
    if (tail->joiner != NULL && joiner_has_pending(tail->joiner)) {
        return take_pending(tail) == READER_MORE ? READER_IDLE : READER_STARVED;
    }
    return tail->fs->options->partial_timeout_ms > 0 ? reader_finish(tail) : READER_IDLE;
}
