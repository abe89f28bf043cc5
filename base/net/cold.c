/* Cold reads.
 *
 * A window of at most 512 KiB is warm when the kernel counts all its pages (cachestat) and its last
 * byte can be read at once (a page that is still being read counts, too; reads end in order, nearly
 * always). Kernels that cannot count are asked for one byte per 32 KiB (RWF_NOWAIT: read-ahead and
 * reclaim work in units about as large, so a hole between two probes is rare, and costs one short
 * wait). A cold window is read by a worker into a scratch buffer, which leaves it
 * in the page cache; unlike posix_fadvise, a read cannot be dropped, and its end is known. At most
 * one read per stream is under way.
 *
 * The worker reads through a duplicate of the descriptor: the stream may be closed meanwhile, and
 * with it the file. Disks of tests have descriptors that are not the kernel's: their ranges count
 * as warm. */
#include "base/net/cold.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/core/memory.h"
#include "base/core/workers.h"
#include "base/net/net_internal.h"
#include "base/net/stream_internal.h"

enum { WINDOW_BYTES = 512 * 1024, PROBE_STEP_BYTES = 32 * 1024, READ_BYTES = 128 * 1024 };

struct cold_read {
    struct mr_work work;
    struct mr_stream *stream; /* NULL once cancelled */
    struct mr_stream_piece *piece;
    struct mr_disk *disk;
    int fd; /* our own duplicate */
    int64_t position;
    int64_t size_bytes;
};

static bool is_byte_warm(const struct mr_stream_piece *piece, int64_t position)
{
    uint8_t byte;
    struct iovec part = {&byte, 1};

    /* Only a clear "the disk must be asked" counts: where probing is not supported, or the range
     * lies behind the end of the file, sending finds out. */
    return piece->disk->ops->preadv_cached(piece->disk, piece->fd, &part, 1, position) != MR_EAGAIN;
}

static bool is_window_warm(const struct mr_stream_piece *piece, int64_t position,
                           int64_t size_bytes)
{
    int cached = mr_disk_is_cached(piece->disk, piece->fd, position, size_bytes);

    if (cached == 0) {
        return false;
    }
    for (int64_t at = 0; cached < 0 && at < size_bytes; at += PROBE_STEP_BYTES) {
        if (!is_byte_warm(piece, position + at)) {
            return false;
        }
    }
    return is_byte_warm(piece, position + size_bytes - 1);
}

static void cold_run(struct mr_work *work)
{
    struct cold_read *read = work->owner;
    uint8_t *scratch = mr_malloc(READ_BYTES);

    if (scratch == NULL) {
        return; /* the loop then waits for the disk itself: slow, not wrong */
    }
    for (int64_t at = 0; at < read->size_bytes;) {
        int64_t left = read->size_bytes - at;
        size_t size = left < READ_BYTES ? (size_t)left : READ_BYTES;
        ssize_t rc = mr_disk_pread(read->disk, read->fd, scratch, size, read->position + at);

        if (rc <= 0) {
            break; /* sending meets the same end or error, and reports it */
        }
        at += rc;
    }
    mr_free(scratch);
}

static void cold_done(struct mr_work *work)
{
    struct cold_read *read = work->owner;
    struct mr_stream *stream = read->stream;

    (void)close(read->fd); /* nothing was written to it */
    if (stream != NULL) {
        mr_assert(stream->cold == read);
        stream->cold = NULL;
        read->piece->warm_bytes = read->piece->done_bytes + read->size_bytes;
        stream_on_warm(stream);
    }
    mr_free(read);
}

/* false: without memory, descriptors or threads the range is sent as if it were warm. */
static bool cold_start(struct mr_stream *stream, struct mr_stream_piece *piece, int64_t position,
                       int64_t size_bytes)
{
    struct mr_workers *workers = net_readers(stream->net);
    struct cold_read *read;

    if (workers == NULL) {
        return false;
    }
    read = mr_calloc(1, sizeof *read);
    if (read == NULL) {
        return false;
    }
    read->fd = fcntl(piece->fd, F_DUPFD_CLOEXEC, 0);
    if (read->fd < 0) {
        goto free_read;
    }
    read->stream = stream;
    read->piece = piece;
    read->disk = piece->disk;
    read->position = position;
    read->size_bytes = size_bytes;
    read->work = (struct mr_work){.run = cold_run, .done = cold_done, .owner = read};
    if (mr_workers_submit(workers, &read->work) != 0) {
        goto close_file;
    }
    stream->cold = read;
    net_count(stream->net, NET_COLD_READS, 1);
    return true;
close_file:
    (void)close(read->fd);
free_read:
    mr_free(read);
    return false;
}

int64_t cold_window(struct mr_stream *stream, struct mr_stream_piece *piece)
{
    int64_t position = piece->position + piece->done_bytes;
    int64_t left = piece->size_bytes - piece->done_bytes;
    int64_t window = left < WINDOW_BYTES ? left : WINDOW_BYTES;

    mr_assert(left > 0);
    if (piece->warm_bytes > piece->done_bytes) {
        return piece->warm_bytes - piece->done_bytes;
    }
    if (stream->net != NULL && piece->disk == mr_disk_system() &&
        !is_window_warm(piece, position, window) && cold_start(stream, piece, position, window)) {
        return MR_EAGAIN;
    }
    piece->warm_bytes = piece->done_bytes + window;
    return window;
}

void cold_cancel(struct mr_stream *stream)
{
    if (stream->cold != NULL) {
        stream->cold->stream = NULL;
        stream->cold = NULL;
    }
}
