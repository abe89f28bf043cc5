#include "base/codec/frame.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/core/error.h"
#include "base/core/memory.h"

/* ---- gzip: RFC 1952 has no length, so the member is inflated to nowhere ---- */

static voidpf zlib_alloc(voidpf owner, uInt count, uInt size)
{
    (void)owner;
    return mr_calloc(count, size);
}

static void zlib_free(voidpf owner, voidpf memory)
{
    (void)owner;
    mr_free(memory);
}

static int inflate_to_nowhere(z_stream *stream)
{
    uint8_t scratch[16 << 10];
    int rc;

    do {
        stream->next_out = scratch;
        stream->avail_out = sizeof scratch;
        rc = inflate(stream, Z_NO_FLUSH);
    } while (rc == Z_OK);
    switch (rc) {
    case Z_STREAM_END:
        return 0;
    case Z_BUF_ERROR:
        return MR_ETRUNCATED;
    case Z_MEM_ERROR:
        return MR_ENOMEM;
    default:
        return MR_ECORRUPT;
    }
}

static int gzip_size(const uint8_t *data, size_t size_bytes, size_t *ret_size)
{
    enum { GZIP_ONLY = 16 };
    z_stream stream = {.zalloc = zlib_alloc, .zfree = zlib_free};
    uInt size = size_bytes > UINT_MAX ? UINT_MAX : (uInt)size_bytes;
    int rc;

    if (inflateInit2(&stream, GZIP_ONLY + MAX_WBITS) != Z_OK) {
        return MR_ENOMEM;
    }
    stream.next_in = (Bytef *)(uintptr_t)data; /* zlib only reads it */
    stream.avail_in = size;
    rc = inflate_to_nowhere(&stream);
    if (rc == 0) {
        *ret_size = size - stream.avail_in;
    }
    (void)inflateEnd(&stream);
    return rc;
}

/* ---- LZ4: lz4_Frame_format.md 1.6; every block says its size ---- */

static uint32_t get_u32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static int lz4_size(const uint8_t *data, size_t size_bytes, size_t *ret_size)
{
    static const uint8_t magic[] = {0x04, 0x22, 0x4d, 0x18};
    size_t at = sizeof magic + 3; /* flags, descriptor, header checksum */
    uint32_t head;

    if (memcmp(data, magic, size_bytes < sizeof magic ? size_bytes : sizeof magic) != 0) {
        return MR_ECORRUPT;
    }
    if (size_bytes < at) {
        return MR_ETRUNCATED;
    }
    uint8_t flags = data[sizeof magic];
    if ((flags & 0xc0) != 0x40) {
        return MR_ECORRUPT; /* not version 1 */
    }
    at += (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0); /* content size, dictionary */
    do {
        if (at > size_bytes || size_bytes - at < 4) {
            return MR_ETRUNCATED;
        }
        head = get_u32(data + at);
        at += 4;
        if (head != 0) {
            at += (head & 0x7fffffff) + (flags & 0x10 ? 4 : 0); /* block, its checksum */
        }
    } while (head != 0);
    at += flags & 0x04 ? 4 : 0; /* content checksum */
    if (at > size_bytes) {
        return MR_ETRUNCATED;
    }
    *ret_size = at;
    return 0;
}

static int zstd_size(const uint8_t *data, size_t size_bytes, size_t *ret_size)
{
    static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    size_t found;

    if (size_bytes < sizeof magic) {
        return memcmp(data, magic, size_bytes) == 0 ? MR_ETRUNCATED : MR_ECORRUPT;
    }
    found = ZSTD_findFrameCompressedSize(data, size_bytes);
    if (ZSTD_isError(found)) {
        return ZSTD_getErrorCode(found) == ZSTD_error_srcSize_wrong ? MR_ETRUNCATED : MR_ECORRUPT;
    }
    *ret_size = found;
    return 0;
}

int mr_codec_frame_size(enum mr_codec codec, const uint8_t *data, size_t size_bytes,
                        size_t *ret_size)
{
    if (codec != MR_CODEC_GZIP && codec != MR_CODEC_LZ4 && codec != MR_CODEC_ZSTD) {
        return MR_EUNSUPPORTED;
    }
    if (size_bytes == 0) {
        return MR_ETRUNCATED;
    }
    switch (codec) {
    case MR_CODEC_GZIP:
        return gzip_size(data, size_bytes, ret_size);
    case MR_CODEC_LZ4:
        return lz4_size(data, size_bytes, ret_size);
    default:
        return zstd_size(data, size_bytes, ret_size);
    }
}
