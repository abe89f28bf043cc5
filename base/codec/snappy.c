/* Snappy, in the block framing of Java's snappy-java ("xerial"), which is what Kafka's Java client
 * writes and reads. librdkafka and others send one raw snappy block; both are read, the first
 * written.
 *
 *     82 'S' 'N' 'A' 'P' 'P' 'Y' 00   int32 version = 1   int32 oldest compatible version = 1
 *     { int32 size, snappy block of that size } ...
 *
 * All integers are big-endian. A stream may be followed by another one with its own header; since a
 * size never has its top bit set, the magic cannot be mistaken for one. A raw block never begins
 * with the magic either: after the length (82 53) would come a copy (4e) from before the start of
 * the output.
 *
 * libsnappy's C interface takes its hash table from the heap at each block; nothing can be kept. */
#include <assert.h>
#include <snappy-c.h>
#include <string.h>

#include "base/codec/codec_internal.h"
#include "base/core/error.h"

enum {
    BLOCK_SIZE_BYTES = 32 << 10, /* as snappy-java: readers size their buffers by it */
    HEADER_SIZE_BYTES = 16,
    MAGIC_SIZE_BYTES = 8,
    /* A copy element makes at most 64 bytes out of 3. */
    RATIO_MAX = 22,
};

static const uint8_t header[HEADER_SIZE_BYTES] = {
    0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
};

static_assert((int)BLOCK_SIZE_BYTES <= (int)CODEC_BLOCK_SIZE_BYTES_MAX, "blocks fit the gathering buffer");

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

int codec_snappy_compress(struct mr_codec_context *context, int level, struct codec_input *input,
                          struct mr_bytes *out)
{
    size_t bound = snappy_max_compressed_length(BLOCK_SIZE_BYTES);

    (void)level;
    mr_bytes_append(out, header, sizeof header);
    while (input->left_bytes > 0) {
        size_t block_size;
        size_t size = bound;
        const uint8_t *block = codec_input_next(input, context, BLOCK_SIZE_BYTES, &block_size);
        char *to;

        if (block == NULL || mr_bytes_reserve(out, 4 + bound) != 0) {
            return MR_ENOMEM;
        }
        to = (char *)out->data + out->size_bytes + 4;
        if (snappy_compress((const char *)block, block_size, to, &size) != SNAPPY_OK) {
            return MR_EINTERNAL; /* only a too small output makes it fail */
        }
        put_u32(out->data + out->size_bytes, (uint32_t)size);
        out->size_bytes += 4 + size;
    }
    return 0;
}

static int decompress_block(const uint8_t *data, size_t size_bytes, size_t limit_bytes,
                            struct mr_bytes *out)
{
    const char *from = (const char *)data;
    size_t size;

    if (snappy_uncompressed_length(from, size_bytes, &size) != SNAPPY_OK ||
        size / RATIO_MAX > size_bytes) {
        return MR_ECORRUPT;
    }
    if (size > limit_bytes) {
        return MR_ETOOLARGE;
    }
    /* One byte more: the library may ask for an address to write nothing to. */
    if (mr_bytes_reserve(out, size + 1) != 0) {
        return MR_ENOMEM;
    }
    if (snappy_uncompress(from, size_bytes, (char *)out->data + out->size_bytes, &size) !=
        SNAPPY_OK) {
        return MR_ECORRUPT;
    }
    out->size_bytes += size;
    return 0;
}

static int decompress_framed(const uint8_t *data, size_t size_bytes, size_t limit_bytes,
                             struct mr_bytes *out)
{
    const uint8_t *at = data;
    const uint8_t *end = data + size_bytes;
    size_t size_before = out->size_bytes;

    while (at < end) {
        size_t left = (size_t)(end - at);
        uint32_t size;
        int rc;

        if (left >= HEADER_SIZE_BYTES && memcmp(at, header, MAGIC_SIZE_BYTES) == 0) {
            /* What is newer than the version we know says by the second word whether we may read
             * it. */
            if (get_u32(at + MAGIC_SIZE_BYTES + 4) > 1) {
                return MR_EUNSUPPORTED;
            }
            at += HEADER_SIZE_BYTES;
            continue;
        }
        if (left < 4) {
            return MR_ECORRUPT;
        }
        size = get_u32(at);
        if (size > left - 4) {
            return MR_ECORRUPT;
        }
        rc = decompress_block(at + 4, size, limit_bytes - (out->size_bytes - size_before), out);
        if (rc != 0) {
            return rc;
        }
        at += 4 + size;
    }
    return 0;
}

int codec_snappy_decompress(struct mr_codec_context *context, const uint8_t *data,
                            size_t size_bytes, size_t limit_bytes, struct mr_bytes *out)
{
    (void)context;
    if (size_bytes >= HEADER_SIZE_BYTES && memcmp(data, header, MAGIC_SIZE_BYTES) == 0) {
        return decompress_framed(data, size_bytes, limit_bytes, out);
    }
    return decompress_block(data, size_bytes, limit_bytes, out);
}
