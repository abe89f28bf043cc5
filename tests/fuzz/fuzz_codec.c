/* Decompression of hostile bytes: the first byte chooses the codec (or the gunzip stream), the rest
 * is its input. What is accepted must survive a round trip through our own compressor. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec/codec.h"
#include "base/codec/gunzip.h"
#include "base/core/buffer.h"
#include "base/core/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT_BYTES = 1 << 18, GUNZIP = 5 };

static void fuzz_gunzip(const uint8_t *data, size_t size)
{
    struct mr_gunzip *gunzip = NULL;
    uint8_t room[1024];
    size_t at = 0;
    size_t total = 0;

    mr_assert(mr_gunzip_new(&gunzip) == 0);
    while (total < LIMIT_BYTES) {
        size_t bite = size - at < 100 ? size - at : 100;
        size_t consumed;
        size_t produced;

        if (mr_gunzip_feed(gunzip, data + at, bite, &consumed, room, sizeof room, &produced) != 0 ||
            (at == size && produced < sizeof room)) {
            break;
        }
        mr_assert(consumed > 0 || produced > 0);
        at += consumed;
        total += produced;
    }
    mr_gunzip_free(gunzip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_codec_context *context = NULL;
    struct mr_bytes first;
    struct mr_bytes packed;
    struct mr_bytes second;
    enum mr_codec codec;

    if (size == 0) {
        return 0;
    }
    if (data[0] % (GUNZIP + 1) == GUNZIP) {
        fuzz_gunzip(data + 1, size - 1);
        return 0;
    }
    codec = (enum mr_codec)(data[0] % (GUNZIP + 1));
    mr_bytes_init(&first);
    mr_bytes_init(&packed);
    mr_bytes_init(&second);
    mr_assert(mr_codec_context_new(&context) == 0);
    if (mr_codec_decompress(context, codec, data + 1, size - 1, LIMIT_BYTES, &first) == 0) {
        struct iovec part = {first.data, first.size_bytes};

        mr_assert(first.size_bytes <= LIMIT_BYTES);
        mr_assert(mr_codec_compress(context, codec, 0, &part, 1, &packed) == 0);
        mr_assert(mr_codec_decompress(context, codec, packed.data, packed.size_bytes,
                                      first.size_bytes, &second) == 0);
        mr_assert(first.size_bytes == second.size_bytes);
        mr_assert(first.size_bytes == 0 || memcmp(first.data, second.data, first.size_bytes) == 0);
    }
    mr_codec_context_free(context);
    mr_bytes_done(&first);
    mr_bytes_done(&packed);
    mr_bytes_done(&second);
    return 0;
}
