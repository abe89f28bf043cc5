/* gzip'ed files (rotated and compressed ones): a forward stream of what they hold. Positions, heads
 * and tails are those of the decompressed bytes, so a file keeps its place when it is compressed.
 *
 * The last window of produced bytes is kept, since a line that was not whole is asked for again. */
#include <string.h>

#include "sources/file/reader_internal.h"

#include "base/codec/gunzip.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/memory.h"

enum { INPUT_SIZE = 64 * 1024 };

struct gzip_file {
    struct mr_gunzip *stream;
    int64_t input_offset; /* of the next byte to read from the file */
    size_t input_used;    /* within input */
    size_t input_size;
    struct mr_bytes window;
    int64_t window_offset; /* of the window's first byte, decompressed */
    uint8_t input[INPUT_SIZE];
};

int gzip_file_new(struct gzip_file **ret_file)
{
    struct gzip_file *file = mr_calloc(1, sizeof *file);

    if (file == NULL) {
        return MR_ENOMEM;
    }
    if (mr_gunzip_new(&file->stream) != 0) {
        mr_free(file);
        return MR_ENOMEM;
    }
    mr_bytes_init(&file->window);
    *ret_file = file;
    return 0;
}

void gzip_file_free(struct gzip_file *file)
{
    if (file != NULL) {
        mr_gunzip_free(file->stream);
        mr_bytes_done(&file->window);
        mr_free(file);
    }
}

static void start_over(struct gzip_file *file)
{
    mr_gunzip_reset(file->stream);
    mr_bytes_clear(&file->window);
    file->input_offset = 0;
    file->input_used = 0;
    file->input_size = 0;
    file->window_offset = 0;
}

/* Forgets what is before `offset`. */
static void advance_window(struct gzip_file *file, int64_t offset)
{
    int64_t size = offset - file->window_offset;

    if (size <= 0 || file->window.size_bytes == 0) {
        return;
    }
    if (size > (int64_t)file->window.size_bytes) {
        size = (int64_t)file->window.size_bytes;
    }
    memmove(file->window.data, file->window.data + size, file->window.size_bytes - (size_t)size);
    file->window.size_bytes -= (size_t)size;
    file->window_offset += size;
}

/* More bytes into the window, up to `limit` of them; 0 when the file has no more for now. */
static ssize_t produce(struct gzip_file *file, struct mr_disk *disk, int fd, size_t limit)
{
    size_t room = limit - file->window.size_bytes;
    size_t consumed;
    size_t produced;
    int rc;

    if (file->input_used == file->input_size) {
        ssize_t got = mr_disk_pread(disk, fd, file->input, INPUT_SIZE, file->input_offset);

        if (got < 0) {
            return got;
        }
        file->input_offset += got;
        file->input_used = 0;
        file->input_size = (size_t)got;
    }
    rc = mr_bytes_reserve(&file->window, room);
    if (rc != 0) {
        file->window.failed = 0;
        return rc;
    }
    rc = mr_gunzip_feed(file->stream, file->input + file->input_used,
                        file->input_size - file->input_used, &consumed,
                        file->window.data + file->window.size_bytes, room, &produced);
    file->input_used += consumed;
    file->window.size_bytes += produced;
    if (rc != 0 && produced == 0) {
        return rc;
    }
    return produced > 0 || consumed > 0 ? 1 : 0;
}

ssize_t gzip_file_read(struct gzip_file *file, struct mr_disk *disk, int fd, int64_t offset,
                       size_t tail_size, struct chunk *chunk, bool *ret_at_end)
{
    int64_t first = offset - (int64_t)tail_size;
    size_t limit = chunk->buf.capacity_bytes + tail_size;
    ssize_t more = 1;

    if (first < file->window_offset) {
        start_over(file);
    }
    *ret_at_end = false;
    advance_window(file, first);
    while (more > 0 && (file->window_offset < first || file->window.size_bytes < limit)) {
        more = produce(file, disk, fd, limit);
        advance_window(file, first);
    }
    if (more < 0 && (file->window_offset < first || file->window.size_bytes <= tail_size)) {
        return more;
    }
    if (file->window_offset < first || file->window.size_bytes < tail_size) {
        return MR_ETRUNCATED;
    }
    *ret_at_end = more == 0 && mr_gunzip_is_at_end(file->stream);
    memcpy(chunk->buf.data - tail_size, file->window.data, file->window.size_bytes);
    return (ssize_t)(file->window.size_bytes - tail_size);
}
