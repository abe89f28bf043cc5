/* Zstandard (RFC 8878) over libzstd.
 *
 * Compression states the content size in the frame, so that readers allocate once. Decompression
 * writes straight into the output in one pass, which needs no window buffer: a frame that claims a
 * window of gigabytes costs nothing, and the caller's limit is the only bound on memory. The price
 * is a second try with a larger output when the size is unknown (Java's writer streams) and the
 * guess was too small; callers that keep their mr_bytes soon stop paying it.
 *
 * libzstd takes the memory of its contexts from malloc, once per context and level. */
#include <zstd.h>
#include <zstd_errors.h>

#include "base/codec/codec_internal.h"
#include "base/core/error.h"
#include "base/core/memory.h"

enum {
    LEVEL_DEFAULT = 3,
    GUESS_RATIO = 6, /* of access logs at level 3; only where no frame states its size */
    GUESS_SIZE_BYTES_MIN = 4 << 10,
};

struct zstd_state {
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *decompressor;
};

static int prepare_state(struct mr_codec_context *context)
{
    if (context->zstd == NULL) {
        context->zstd = mr_calloc(1, sizeof *context->zstd);
    }
    return context->zstd == NULL ? MR_ENOMEM : 0;
}

void codec_zstd_free(struct zstd_state *state)
{
    if (state != NULL) {
        (void)ZSTD_freeCCtx(state->compressor);
        (void)ZSTD_freeDCtx(state->decompressor);
        mr_free(state);
    }
}

static int prepare_compressor(struct mr_codec_context *context, int level, size_t size_bytes)
{
    ZSTD_CCtx *compressor;

    if (prepare_state(context) != 0) {
        return MR_ENOMEM;
    }
    if (context->zstd->compressor == NULL) {
        context->zstd->compressor = ZSTD_createCCtx();
    }
    compressor = context->zstd->compressor;
    if (compressor == NULL) {
        return MR_ENOMEM;
    }
    (void)ZSTD_CCtx_reset(compressor, ZSTD_reset_session_only);
    if (ZSTD_isError(ZSTD_CCtx_setParameter(compressor, ZSTD_c_compressionLevel,
                                            level == 0 ? LEVEL_DEFAULT : level)) ||
        ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(compressor, size_bytes))) {
        return MR_EINTERNAL;
    }
    return 0;
}

int codec_zstd_compress(struct mr_codec_context *context, int level, struct codec_input *input,
                        struct mr_bytes *out)
{
    size_t bound = ZSTD_compressBound(input->left_bytes);
    ZSTD_inBuffer last = {NULL, 0, 0};
    ZSTD_outBuffer to;
    size_t more;
    int rc = prepare_compressor(context, level, input->left_bytes);

    if (rc != 0) {
        return rc;
    }
    if (mr_bytes_reserve(out, bound) != 0) {
        return MR_ENOMEM;
    }
    to = (ZSTD_outBuffer){out->data + out->size_bytes, bound, 0};
    /* With one part, the call that brings it also ends the frame: libzstd then works in place. */
    for (int i = 0; i < input->part_count - 1; i++) {
        ZSTD_inBuffer from = {input->parts[i].iov_base, input->parts[i].iov_len, 0};

        while (from.pos < from.size) {
            more = ZSTD_compressStream2(context->zstd->compressor, &to, &from, ZSTD_e_continue);
            if (ZSTD_isError(more)) {
                return ZSTD_getErrorCode(more) == ZSTD_error_memory_allocation ? MR_ENOMEM
                                                                               : MR_EINTERNAL;
            }
        }
    }
    if (input->part_count > 0) {
        last.src = input->parts[input->part_count - 1].iov_base;
        last.size = input->parts[input->part_count - 1].iov_len;
    }
    more = ZSTD_compressStream2(context->zstd->compressor, &to, &last, ZSTD_e_end);
    if (ZSTD_isError(more) || more != 0) {
        return ZSTD_getErrorCode(more) == ZSTD_error_memory_allocation ? MR_ENOMEM : MR_EINTERNAL;
    }
    out->size_bytes += to.pos;
    return 0;
}

static int code_of(size_t result)
{
    switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_memory_allocation:
        return MR_ENOMEM;
    case ZSTD_error_version_unsupported:
    case ZSTD_error_dictionary_wrong:
        return MR_EUNSUPPORTED;
    default:
        return MR_ECORRUPT;
    }
}

/* How much room the first try gets: what the first frame states, else a guess from the sizes at
 * hand. */
static int first_room(const uint8_t *data, size_t size_bytes, size_t limit_bytes,
                      const struct mr_bytes *out, size_t *ret_room)
{
    unsigned long long stated = ZSTD_getFrameContentSize(data, size_bytes);
    size_t spare = out->capacity_bytes - out->size_bytes;
    size_t room = spare > 0 ? spare - 1 : 0;

    if (stated == ZSTD_CONTENTSIZE_ERROR) {
        return MR_ECORRUPT;
    }
    if (stated != ZSTD_CONTENTSIZE_UNKNOWN && stated > limit_bytes) {
        return MR_ETOOLARGE;
    }
    if (stated != ZSTD_CONTENTSIZE_UNKNOWN && stated > 0) {
        room = (size_t)stated;
    } else if (room < size_bytes * GUESS_RATIO) {
        room = size_bytes * GUESS_RATIO;
    }
    if (room < GUESS_SIZE_BYTES_MIN) {
        room = GUESS_SIZE_BYTES_MIN;
    }
    *ret_room = room < limit_bytes ? room : limit_bytes;
    return 0;
}

int codec_zstd_decompress(struct mr_codec_context *context, const uint8_t *data, size_t size_bytes,
                          size_t limit_bytes, struct mr_bytes *out)
{
    size_t room;
    int rc = first_room(data, size_bytes, limit_bytes, out, &room);

    if (rc == 0) {
        rc = prepare_state(context);
    }
    if (rc != 0) {
        return rc;
    }
    if (context->zstd->decompressor == NULL) {
        context->zstd->decompressor = ZSTD_createDCtx();
        if (context->zstd->decompressor == NULL) {
            return MR_ENOMEM;
        }
    }
    for (;;) {
        size_t produced;

        /* One byte more, so that there is an address also for nothing. */
        if (mr_bytes_reserve(out, room + 1) != 0) {
            return MR_ENOMEM;
        }
        produced = ZSTD_decompressDCtx(context->zstd->decompressor, out->data + out->size_bytes,
                                       room, data, size_bytes);
        if (!ZSTD_isError(produced)) {
            out->size_bytes += produced;
            return 0;
        }
        if (ZSTD_getErrorCode(produced) != ZSTD_error_dstSize_tooSmall) {
            return code_of(produced);
        }
        if (room == limit_bytes) {
            return MR_ETOOLARGE;
        }
        room = room > limit_bytes / 2 ? limit_bytes : room * 2;
    }
}
