/* What the codecs of this room share: the context's inside, the walk over input parts, and one pair
 * of functions per codec. For base/codec alone. */
#ifndef BASE_CODEC_CODEC_INTERNAL_H
#define BASE_CODEC_CODEC_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/core/buffer.h"

enum { CODEC_BLOCK_SIZE_BYTES_MAX = 64 << 10 };

struct gzip_state;
struct zstd_state;

struct mr_codec_context {
    uint8_t *block;  /* CODEC_BLOCK_SIZE_BYTES_MAX: a block that crosses parts is gathered here */
    void *lz4_fast;  /* LZ4_sizeofState() */
    void *lz4_dense; /* LZ4_sizeofStateHC() */
    struct gzip_state *gzip;
    struct zstd_state *zstd;
};

/* The input of a compressor: the bytes of all parts, one after another. */
struct codec_input {
    const struct iovec *parts;
    int part_count;
    size_t part_offset; /* inside parts[0] */
    size_t left_bytes;  /* in all */
};

/* The next min(want, left) bytes, contiguous: in place where one part holds them, else gathered in
 * the context's block. want <= CODEC_BLOCK_SIZE_BYTES_MAX. NULL without memory; *ret_size 0 at the
 * end. */
const uint8_t *codec_input_next(struct codec_input *input, struct mr_codec_context *context,
                                size_t want, size_t *ret_size);

/* Each appends to out and returns 0 or a code; codec.c takes back what a failed call appended. */
int codec_gzip_compress(struct mr_codec_context *context, int level, struct codec_input *input,
                        struct mr_bytes *out);
int codec_gzip_decompress(struct mr_codec_context *context, const uint8_t *data, size_t size_bytes,
                          size_t limit_bytes, struct mr_bytes *out);
void codec_gzip_free(struct gzip_state *state);

int codec_snappy_compress(struct mr_codec_context *context, int level, struct codec_input *input,
                          struct mr_bytes *out);
int codec_snappy_decompress(struct mr_codec_context *context, const uint8_t *data,
                            size_t size_bytes, size_t limit_bytes, struct mr_bytes *out);

int codec_lz4_compress(struct mr_codec_context *context, int level, struct codec_input *input,
                       struct mr_bytes *out);
int codec_lz4_decompress(struct mr_codec_context *context, const uint8_t *data, size_t size_bytes,
                         size_t limit_bytes, struct mr_bytes *out);

int codec_zstd_compress(struct mr_codec_context *context, int level, struct codec_input *input,
                        struct mr_bytes *out);
int codec_zstd_decompress(struct mr_codec_context *context, const uint8_t *data, size_t size_bytes,
                          size_t limit_bytes, struct mr_bytes *out);
void codec_zstd_free(struct zstd_state *state);

#endif
