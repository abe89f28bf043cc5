#include "sinks/file_tail.h"

#include <string.h>

#include "base/codec/frame.h"
#include "base/core/buffer.h"
#include "base/core/disk.h"
#include "base/core/error.h"

enum {
    LINE_PIECE_BYTES = 64 << 10,
    LINE_BYTES_MAX = 128 << 20, /* above the largest record that is ever taken */
    WINDOW_BYTES = 8 << 20,     /* a frame is about one write, so one window holds several */
    WINDOW_BYTES_MAX = 256 << 20,
};

struct frames {
    enum mr_codec codec;
    struct mr_codec_context *codecs;
    struct mr_bytes window;
    struct mr_bytes lines; /* of one frame */
};

static int read_all(struct mr_disk *disk, int fd, void *data, size_t size_bytes, int64_t offset)
{
    ssize_t count = mr_disk_pread(disk, fd, data, size_bytes, offset);

    if (count < 0) {
        return (int)count;
    }
    return (size_t)count == size_bytes ? 0 : MR_EIO; /* it shrinks while we look at it */
}

/* Backwards, piece by piece: usually the last byte is a line feed. */
static int find_line(struct mr_disk *disk, int fd, int64_t size_bytes, struct mr_bytes *bytes,
                     int64_t *ret_end)
{
    int64_t end = size_bytes;
    int rc = mr_bytes_reserve(bytes, LINE_PIECE_BYTES);

    while (rc == 0 && end > 0) {
        size_t piece = end == size_bytes        ? 1
                       : end > LINE_PIECE_BYTES ? LINE_PIECE_BYTES
                                                : (size_t)end;
        if (size_bytes - end > LINE_BYTES_MAX) {
            return MR_ECORRUPT;
        }
        rc = read_all(disk, fd, bytes->data, piece, end - (int64_t)piece);
        const uint8_t *feed = rc == 0 ? memrchr(bytes->data, '\n', piece) : NULL;
        if (feed != NULL) {
            *ret_end = end - (int64_t)piece + (feed - bytes->data) + 1;
            return 0;
        }
        end -= (int64_t)piece;
    }
    if (rc == 0) {
        *ret_end = 0;
    }
    return rc;
}

/* The size of the frame at `data`, which also decodes, and to whole lines: after a power loss a
 * frame may have its length and zeros for content. */
static int check_frame(struct frames *frames, const uint8_t *data, size_t size_bytes,
                       size_t *ret_size)
{
    struct mr_bytes *lines = &frames->lines;
    int rc = mr_codec_frame_size(frames->codec, data, size_bytes, ret_size);

    if (rc == 0) {
        mr_bytes_clear(lines);
        rc = mr_codec_decompress(frames->codecs, frames->codec, data, *ret_size, WINDOW_BYTES_MAX,
                                 lines);
    }
    if (rc == 0 && (lines->size_bytes == 0 || lines->data[lines->size_bytes - 1] != '\n')) {
        rc = MR_ECORRUPT;
    }
    return rc;
}

/* Forwards, frame by frame, in a window that grows only for a frame larger than itself. */
static int find_frame(struct mr_disk *disk, int fd, struct frames *frames, int64_t size_bytes,
                      int64_t *ret_end)
{
    int64_t at = 0; /* in the file, of the window */
    int64_t window = WINDOW_BYTES;

    while (at < size_bytes) {
        size_t filled = (size_t)(size_bytes - at < window ? size_bytes - at : window);
        size_t used = 0;
        size_t frame = 0;
        frames->window.size_bytes = 0;
        int rc = mr_bytes_reserve(&frames->window, filled);
        if (rc == 0) {
            rc = read_all(disk, fd, frames->window.data, filled, at);
        }
        for (; rc == 0 && used < filled; used += rc == 0 ? frame : 0) {
            rc = check_frame(frames, frames->window.data + used, filled - used, &frame);
        }
        at += (int64_t)used;
        if (rc == MR_ETRUNCATED && at + (int64_t)(filled - used) == size_bytes) {
            break; /* the torn one */
        }
        if (rc == MR_ETRUNCATED && used == 0) {
            window *= 2;
        }
        if (rc != 0 && rc != MR_ETRUNCATED) {
            return rc;
        }
        if (window > WINDOW_BYTES_MAX) {
            return MR_ECORRUPT;
        }
    }
    *ret_end = at;
    return 0;
}

static int find_last_frame(struct mr_disk *disk, int fd, enum mr_codec codec, int64_t size_bytes,
                           int64_t *ret_end)
{
    struct frames frames = {.codec = codec};
    int rc;

    mr_bytes_init(&frames.window);
    mr_bytes_init(&frames.lines);
    rc = mr_codec_context_new(&frames.codecs);
    if (rc == 0) {
        rc = find_frame(disk, fd, &frames, size_bytes, ret_end);
    }
    mr_codec_context_free(frames.codecs);
    mr_bytes_done(&frames.window);
    mr_bytes_done(&frames.lines);
    return rc;
}

static int find_last_line(struct mr_disk *disk, int fd, int64_t size_bytes, int64_t *ret_end)
{
    struct mr_bytes bytes;
    int rc;

    mr_bytes_init(&bytes);
    rc = find_line(disk, fd, size_bytes, &bytes, ret_end);
    mr_bytes_done(&bytes);
    return rc;
}

int file_tail_find(struct mr_disk *disk, int fd, enum mr_codec codec, int64_t size_bytes,
                   int64_t *ret_end)
{
    return codec == MR_CODEC_NONE ? find_last_line(disk, fd, size_bytes, ret_end)
                                  : find_last_frame(disk, fd, codec, size_bytes, ret_end);
}
