/* Gzip (RFC 1952) over zlib, for batches: whole in, whole out. gunzip.c reads files. */
#include <limits.h>
#include <stdbool.h>
#include <zlib.h>

#include "base/codec/codec_internal.h"
#include "base/core/error.h"
#include "base/core/memory.h"

enum {
    WINDOW_BITS_GZIP = 15 + 16, /* the largest window, gzip's header and trailer */
    MEMORY_LEVEL = 8,           /* zlib's default: 256 KiB per compressor */
    LEVEL_FAST = 1,
    STEP_SIZE_BYTES_MIN = 16 << 10,
    STEP_SIZE_BYTES_MAX = 1 << 20,
};

struct gzip_state {
    z_stream deflate;
    z_stream inflate;
    int deflate_level;
    bool has_deflate;
    bool has_inflate;
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

static int prepare_state(struct mr_codec_context *context)
{
    if (context->gzip == NULL) {
        struct gzip_state *state = mr_calloc(1, sizeof *state);

        if (state == NULL) {
            return MR_ENOMEM;
        }
        state->deflate.zalloc = allocate;
        state->deflate.zfree = release;
        state->inflate.zalloc = allocate;
        state->inflate.zfree = release;
        context->gzip = state;
    }
    return 0;
}

void codec_gzip_free(struct gzip_state *state)
{
    if (state == NULL) {
        return;
    }
    if (state->has_deflate) {
        (void)deflateEnd(&state->deflate);
    }
    if (state->has_inflate) {
        (void)inflateEnd(&state->inflate);
    }
    mr_free(state);
}

static int prepare_deflate(struct mr_codec_context *context, int level)
{
    struct gzip_state *state;

    if (prepare_state(context) != 0) {
        return MR_ENOMEM;
    }
    state = context->gzip;
    if (state->has_deflate && state->deflate_level == level) {
        return deflateReset(&state->deflate) == Z_OK ? 0 : MR_EINTERNAL;
    }
    if (state->has_deflate) {
        (void)deflateEnd(&state->deflate);
        state->has_deflate = false;
    }
    if (deflateInit2(&state->deflate, level, Z_DEFLATED, WINDOW_BITS_GZIP, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        return MR_ENOMEM;
    }
    state->has_deflate = true;
    state->deflate_level = level;
    return 0;
}

/* Points zlib at the free room of out, at least `want` of it. */
static int give_room(z_stream *stream, struct mr_bytes *out, size_t want)
{
    size_t room;

    if (mr_bytes_reserve(out, want) != 0) {
        return MR_ENOMEM;
    }
    room = out->capacity_bytes - out->size_bytes;
    stream->next_out = out->data + out->size_bytes;
    stream->avail_out = room > UINT_MAX ? UINT_MAX : (unsigned)room;
    return 0;
}

/* zlib's pointer lacks const; it only reads. */
static void give_input(z_stream *stream, const void *data, size_t size)
{
    union {
        const void *read;
        unsigned char *zlib;
    } at = {.read = data};

    stream->next_in = at.zlib;
    stream->avail_in = (unsigned)size;
}

/* Compresses one part of at most UINT_MAX bytes, growing out as needed. */
static int deflate_part(z_stream *stream, const void *data, size_t size, int flush,
                        struct mr_bytes *out)
{
    int rc;

    give_input(stream, data, size);
    do {
        unsigned before;

        if (give_room(stream, out, STEP_SIZE_BYTES_MIN) != 0) {
            return MR_ENOMEM;
        }
        before = stream->avail_out;
        rc = deflate(stream, flush);
        out->size_bytes += before - stream->avail_out;
        if (rc == Z_STREAM_ERROR) {
            return MR_EINTERNAL;
        }
    } while (flush == Z_FINISH ? rc != Z_STREAM_END : stream->avail_in > 0);
    return 0;
}

int codec_gzip_compress(struct mr_codec_context *context, int level, struct codec_input *input,
                        struct mr_bytes *out)
{
    int rc = prepare_deflate(context, level == 0 ? LEVEL_FAST : level);

    for (int i = 0; rc == 0 && i < input->part_count; i++) {
        const uint8_t *at = input->parts[i].iov_base;
        size_t left = input->parts[i].iov_len;

        while (rc == 0 && left > 0) {
            size_t size = left < UINT_MAX ? left : UINT_MAX;

            rc = deflate_part(&context->gzip->deflate, at, size, Z_NO_FLUSH, out);
            at += size;
            left -= size;
        }
    }
    return rc != 0 ? rc : deflate_part(&context->gzip->deflate, "", 0, Z_FINISH, out);
}

static int prepare_inflate(struct mr_codec_context *context)
{
    struct gzip_state *state;

    if (prepare_state(context) != 0) {
        return MR_ENOMEM;
    }
    state = context->gzip;
    if (state->has_inflate) {
        return inflateReset(&state->inflate) == Z_OK ? 0 : MR_EINTERNAL;
    }
    if (inflateInit2(&state->inflate, WINDOW_BITS_GZIP) != Z_OK) {
        return MR_ENOMEM;
    }
    state->has_inflate = true;
    return 0;
}

/* One member: from its header to its trailer. The input must end no earlier than that. */
static int inflate_member(z_stream *stream, size_t size_max, struct mr_bytes *out)
{
    int rc;

    do {
        size_t want = stream->avail_in * (size_t)4;
        unsigned before;

        if (out->size_bytes > size_max) {
            return MR_ETOOLARGE;
        }
        want = want < STEP_SIZE_BYTES_MIN ? STEP_SIZE_BYTES_MIN : want;
        want = want > STEP_SIZE_BYTES_MAX ? STEP_SIZE_BYTES_MAX : want;
        if (give_room(stream, out, want) != 0) {
            return MR_ENOMEM;
        }
        before = stream->avail_out;
        rc = inflate(stream, Z_NO_FLUSH);
        out->size_bytes += before - stream->avail_out;
        if (rc == Z_MEM_ERROR) {
            return MR_ENOMEM;
        }
        /* Room is never used up here without progress, so Z_BUF_ERROR says that input is missing.
         */
        if (rc != Z_OK && rc != Z_STREAM_END) {
            return MR_ECORRUPT;
        }
    } while (rc != Z_STREAM_END);
    return 0;
}

int codec_gzip_decompress(struct mr_codec_context *context, const uint8_t *data, size_t size_bytes,
                          size_t limit_bytes, struct mr_bytes *out)
{
    size_t size_max =
        limit_bytes > SIZE_MAX - out->size_bytes ? SIZE_MAX : out->size_bytes + limit_bytes;
    z_stream *stream;
    int rc;

    if (size_bytes > UINT_MAX) {
        return MR_ETOOLARGE;
    }
    rc = prepare_inflate(context);
    if (rc != 0) {
        return rc;
    }
    stream = &context->gzip->inflate;
    give_input(stream, data, size_bytes);
    for (;;) {
        rc = inflate_member(stream, size_max, out);
        if (rc != 0 || stream->avail_in == 0) {
            return rc;
        }
        if (inflateReset(stream) != Z_OK) {
            return MR_EINTERNAL;
        }
    }
}
