/* The table of codecs, and what is the same for all: levels, contexts, and taking back a failed
 * call's output. */
#include "base/codec/codec.h"

#include <string.h>

#include "base/codec/codec_internal.h"
#include "base/core/error.h"
#include "base/core/memory.h"

struct codec_type {
    int level_min;
    int level_max;
    int (*compress)(struct mr_codec_context *context, int level, struct codec_input *input,
                    struct mr_bytes *out);
    int (*decompress)(struct mr_codec_context *context, const uint8_t *data, size_t size_bytes,
                      size_t limit_bytes, struct mr_bytes *out);
};

static int none_compress(struct mr_codec_context *context, int level, struct codec_input *input,
                         struct mr_bytes *out);
static int none_decompress(struct mr_codec_context *context, const uint8_t *data, size_t size_bytes,
                           size_t limit_bytes, struct mr_bytes *out);

const char *const mr_codec_names[MR_CODEC_COUNT + 1] = {
    "none", "gzip", "snappy", "lz4", "zstd", NULL,
};

static const struct codec_type codec_types[MR_CODEC_COUNT] = {
    [MR_CODEC_NONE] = {0, 0, none_compress, none_decompress},
    [MR_CODEC_GZIP] = {0, 9, codec_gzip_compress, codec_gzip_decompress},
    [MR_CODEC_SNAPPY] = {0, 0, codec_snappy_compress, codec_snappy_decompress},
    [MR_CODEC_LZ4] = {-64, 12, codec_lz4_compress, codec_lz4_decompress},
    [MR_CODEC_ZSTD] = {-50, 22, codec_zstd_compress, codec_zstd_decompress},
};

const char *mr_codec_name(int codec)
{
    return codec >= 0 && codec < MR_CODEC_COUNT ? mr_codec_names[codec] : NULL;
}

int mr_codec_parse(const char *name, enum mr_codec *ret_codec)
{
    for (int i = 0; i < MR_CODEC_COUNT; i++) {
        if (strcmp(name, mr_codec_names[i]) == 0) {
            *ret_codec = (enum mr_codec)i;
            return 0;
        }
    }
    return MR_EINVAL;
}

static const struct codec_type *codec_type(enum mr_codec codec)
{
    return (unsigned)codec < MR_CODEC_COUNT ? &codec_types[codec] : NULL;
}

int mr_codec_check_level(enum mr_codec codec, int level)
{
    const struct codec_type *type = codec_type(codec);

    return type != NULL && level >= type->level_min && level <= type->level_max ? 0 : MR_EINVAL;
}

int mr_codec_context_new(struct mr_codec_context **ret_context)
{
    struct mr_codec_context *context = mr_calloc(1, sizeof *context);

    if (context == NULL) {
        return MR_ENOMEM;
    }
    *ret_context = context;
    return 0;
}

void mr_codec_context_free(struct mr_codec_context *context)
{
    if (context == NULL) {
        return;
    }
    codec_gzip_free(context->gzip);
    codec_zstd_free(context->zstd);
    mr_free(context->lz4_fast);
    mr_free(context->lz4_dense);
    mr_free(context->block);
    mr_free(context);
}

int mr_codec_compress(struct mr_codec_context *context, enum mr_codec codec, int level,
                      const struct iovec *parts, int part_count, struct mr_bytes *out)
{
    struct codec_input input = {.parts = parts, .part_count = part_count};
    size_t size_before = out->size_bytes;
    int rc;

    if (mr_codec_check_level(codec, level) != 0) {
        return MR_EINVAL;
    }
    for (int i = 0; i < part_count; i++) {
        input.left_bytes += parts[i].iov_len;
    }
    rc = codec_type(codec)->compress(context, level, &input, out);
    if (rc == 0) {
        rc = out->failed;
    }
    if (rc != 0) {
        out->size_bytes = size_before;
    }
    return rc;
}

int mr_codec_decompress(struct mr_codec_context *context, enum mr_codec codec, const void *data,
                        size_t size_bytes, size_t limit_bytes, struct mr_bytes *out)
{
    const struct codec_type *type = codec_type(codec);
    size_t size_before = out->size_bytes;
    int rc;

    if (type == NULL) {
        return MR_EUNSUPPORTED;
    }
    rc = type->decompress(context, data, size_bytes, limit_bytes, out);
    if (rc == 0) {
        rc = out->failed;
    }
    if (rc == 0 && out->size_bytes - size_before > limit_bytes) {
        rc = MR_ETOOLARGE;
    }
    if (rc != 0) {
        out->size_bytes = size_before;
    }
    return rc;
}

/* Copies the next `size` bytes, which are there. */
static void input_copy(struct codec_input *input, uint8_t *to, size_t size)
{
    while (size > 0) {
        const struct iovec *part = input->parts;
        size_t here = part->iov_len - input->part_offset;

        if (here > size) {
            here = size;
        }
        if (here > 0) {
            memcpy(to, (const uint8_t *)part->iov_base + input->part_offset, here);
        }
        to += here;
        size -= here;
        input->part_offset += here;
        if (input->part_offset == part->iov_len) {
            input->parts++;
            input->part_offset = 0;
        }
    }
}

const uint8_t *codec_input_next(struct codec_input *input, struct mr_codec_context *context,
                                size_t want, size_t *ret_size)
{
    static const uint8_t nothing[1];
    size_t size = want < input->left_bytes ? want : input->left_bytes;
    const struct iovec *part;

    mr_assert(want <= CODEC_BLOCK_SIZE_BYTES_MAX);
    *ret_size = size;
    if (size == 0) {
        return nothing;
    }
    input->left_bytes -= size;
    while (input->part_offset == input->parts->iov_len) {
        input->parts++;
        input->part_offset = 0;
    }
    part = input->parts;
    if (part->iov_len - input->part_offset >= size) {
        const uint8_t *data = (const uint8_t *)part->iov_base + input->part_offset;

        input->part_offset += size;
        return data;
    }
    if (context->block == NULL) {
        context->block = mr_malloc(CODEC_BLOCK_SIZE_BYTES_MAX);
        if (context->block == NULL) {
            return NULL;
        }
    }
    input_copy(input, context->block, size);
    return context->block;
}

static int none_compress(struct mr_codec_context *context, int level, struct codec_input *input,
                         struct mr_bytes *out)
{
    (void)context;
    (void)level;
    if (mr_bytes_reserve(out, input->left_bytes) != 0) {
        return MR_ENOMEM;
    }
    for (int i = 0; i < input->part_count; i++) {
        mr_bytes_append(out, input->parts[i].iov_base, input->parts[i].iov_len);
    }
    return 0;
}

static int none_decompress(struct mr_codec_context *context, const uint8_t *data, size_t size_bytes,
                           size_t limit_bytes, struct mr_bytes *out)
{
    (void)context;
    if (size_bytes > limit_bytes) {
        return MR_ETOOLARGE;
    }
    mr_bytes_append(out, data, size_bytes);
    return 0;
}
