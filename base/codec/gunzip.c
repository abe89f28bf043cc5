/* The stream of members, over zlib.
 *
 *   START -magic-> MEMBER -trailer-> BETWEEN -magic-> MEMBER        any -damage-> BROKEN
 *
 * START is BETWEEN without permission for padding: a file of zeros is not an empty gzip file. */
#include "base/codec/gunzip.h"

#include <limits.h>
#include <zlib.h>

#include "base/core/error.h"
#include "base/core/memory.h"

enum { WINDOW_BITS_GZIP = 15 + 16 };

enum gunzip_state { GUNZIP_START, GUNZIP_MEMBER, GUNZIP_BETWEEN, GUNZIP_BROKEN };

struct mr_gunzip {
    z_stream stream;
    enum gunzip_state state;
    int failure; /* of BROKEN */
};

static void *allocate(void *owner, unsigned count, unsigned size)
{
    (void)owner;
    return mr_calloc(count, size);
}

static void release(void *owner, void *memory)
{
    (void)owner;
    mr_free(memory);
}

int mr_gunzip_new(struct mr_gunzip **ret_gunzip)
{
    struct mr_gunzip *gunzip = mr_calloc(1, sizeof *gunzip);

    if (gunzip == NULL) {
        return MR_ENOMEM;
    }
    gunzip->stream.zalloc = allocate;
    gunzip->stream.zfree = release;
    if (inflateInit2(&gunzip->stream, WINDOW_BITS_GZIP) != Z_OK) {
        mr_free(gunzip);
        return MR_ENOMEM;
    }
    *ret_gunzip = gunzip;
    return 0;
}

void mr_gunzip_free(struct mr_gunzip *gunzip)
{
    if (gunzip != NULL) {
        (void)inflateEnd(&gunzip->stream);
        mr_free(gunzip);
    }
}

void mr_gunzip_reset(struct mr_gunzip *gunzip)
{
    (void)inflateReset(&gunzip->stream);
    gunzip->state = GUNZIP_START;
    gunzip->failure = 0;
}

bool mr_gunzip_is_at_end(const struct mr_gunzip *gunzip)
{
    return gunzip->state == GUNZIP_BETWEEN;
}

bool mr_gunzip_is_gzip(const uint8_t *head, size_t size_bytes)
{
    return size_bytes >= 3 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8;
}

static void skip_padding(z_stream *stream)
{
    while (stream->avail_in > 0 && *stream->next_in == 0) {
        stream->next_in++;
        stream->avail_in--;
    }
}

/* Inflates what the stream points at. The code that breaks it, or 0. */
static int inflate_some(struct mr_gunzip *gunzip)
{
    z_stream *stream = &gunzip->stream;

    for (;;) {
        int rc;

        if (gunzip->state == GUNZIP_BETWEEN) {
            skip_padding(stream);
        }
        /* A full output may still hide the trailer of the member: zlib takes it without room. */
        if (stream->avail_in == 0 && (gunzip->state != GUNZIP_MEMBER || stream->avail_out == 0)) {
            return 0;
        }
        if (gunzip->state != GUNZIP_MEMBER) {
            gunzip->state = GUNZIP_MEMBER;
        }
        rc = inflate(stream, Z_NO_FLUSH);
        if (rc == Z_STREAM_END) {
            gunzip->state = GUNZIP_BETWEEN;
            if (inflateReset(stream) != Z_OK) {
                return MR_EINTERNAL;
            }
            continue;
        }
        if (rc == Z_BUF_ERROR) {
            return 0; /* no input or no room left: not an error, says the manual */
        }
        if (rc != Z_OK) {
            return rc == Z_MEM_ERROR ? MR_ENOMEM : MR_ECORRUPT;
        }
    }
}

int mr_gunzip_feed(struct mr_gunzip *gunzip, const uint8_t *in, size_t in_size_bytes,
                   size_t *ret_consumed, uint8_t *out, size_t out_capacity_bytes,
                   size_t *ret_produced)
{
    z_stream *stream = &gunzip->stream;
    unsigned in_size = in_size_bytes > UINT_MAX ? UINT_MAX : (unsigned)in_size_bytes;
    unsigned out_size = out_capacity_bytes > UINT_MAX ? UINT_MAX : (unsigned)out_capacity_bytes;
    union {
        const void *read;
        unsigned char *zlib; /* lacks const; it only reads */
    } at = {.read = in};

    *ret_consumed = 0;
    *ret_produced = 0;
    if (gunzip->state == GUNZIP_BROKEN) {
        return gunzip->failure;
    }
    stream->next_in = at.zlib;
    stream->avail_in = in_size;
    stream->next_out = out;
    stream->avail_out = out_size;
    gunzip->failure = inflate_some(gunzip);
    *ret_consumed = in_size - stream->avail_in;
    *ret_produced = out_size - stream->avail_out;
    if (gunzip->failure != 0) {
        gunzip->state = GUNZIP_BROKEN;
    }
    return gunzip->failure;
}
