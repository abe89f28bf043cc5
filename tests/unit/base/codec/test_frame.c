/* Finding the end of a frame: the only thing that tells a torn tail from a whole file. */
#include "base/codec/frame.h"

#include <string.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/random.h"
#include "tests/lib/test.h"

static const enum mr_codec framed[] = {MR_CODEC_GZIP, MR_CODEC_LZ4, MR_CODEC_ZSTD};

static void compress(enum mr_codec codec, const void *data, size_t size, struct mr_bytes *out)
{
    struct mr_codec_context *context = NULL;
    struct iovec part = {(void *)(uintptr_t)data, size};

    CHECK_EQ(mr_codec_context_new(&context), 0);
    CHECK_EQ(mr_codec_compress(context, codec, 0, &part, 1, out), 0);
    mr_codec_context_free(context);
}

/* Two frames behind each other, cut at every byte: the first is found whole as soon as it is there,
 * and a part of it is always told to be one. */
TEST(frame, knows_a_whole_frame_from_every_part_of_it)
{
    uint8_t data[3000];
    struct mr_random_seeded random;

    mr_random_seeded_init(&random, test_seed());
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)mr_random_below(&random.base, 9);
    }
    for (size_t i = 0; i < sizeof framed / sizeof framed[0]; i++) {
        struct mr_bytes file;
        size_t size;
        size_t found = 0;
        mr_bytes_init(&file);
        compress(framed[i], data, sizeof data, &file);
        size = file.size_bytes;
        compress(framed[i], data, 100, &file);
        for (size_t cut = 0; cut <= file.size_bytes; cut++) {
            int rc = mr_codec_frame_size(framed[i], file.data, cut, &found);
            CHECK_EQ(rc, cut < size ? MR_ETRUNCATED : 0);
            CHECK_EQ(found, cut < size ? 0 : size);
        }
        mr_bytes_done(&file);
    }
}

TEST(frame, refuses_what_is_none)
{
    static const uint8_t text[] = "plain text, and not a frame of any kind";
    size_t size = 7;

    for (size_t i = 0; i < sizeof framed / sizeof framed[0]; i++) {
        CHECK_EQ(mr_codec_frame_size(framed[i], text, sizeof text, &size), MR_ECORRUPT);
        CHECK_EQ(mr_codec_frame_size(framed[i], text, 0, &size), MR_ETRUNCATED);
    }
    CHECK_EQ(mr_codec_frame_size(MR_CODEC_NONE, text, sizeof text, &size), MR_EUNSUPPORTED);
    CHECK_EQ(mr_codec_frame_size(MR_CODEC_SNAPPY, text, sizeof text, &size), MR_EUNSUPPORTED);
    CHECK_EQ(size, 7);
}
