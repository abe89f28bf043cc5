/* The codecs: golden bytes of foreign tools, round trips, and input that lies. */
#include "base/codec/codec.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/random.h"
#include "tests/lib/test.h"

static const char phrase[] = "millrace millrace millrace millrace millrace\n";
enum { PHRASE_SIZE = sizeof phrase - 1 };

struct golden {
    const char *what;
    enum mr_codec codec;
    size_t size;
    uint8_t bytes[64];
};

/* `phrase` as others write it. */
static const struct golden goldens[] = {
    {"gzip -9", MR_CODEC_GZIP, 33, {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
                                    0x03, 0xcb, 0xcd, 0xcc, 0xc9, 0x29, 0x4a, 0x4c, 0x4e,
                                    0x55, 0xc8, 0x25, 0xcc, 0xe0, 0x02, 0x00, 0x58, 0x51,
                                    0x83, 0x3c, 0x2d, 0x00, 0x00, 0x00}},
    {"lz4 -BD -B4 --content-size",
     MR_CODEC_LZ4,
     46,
     {0x04, 0x22, 0x4d, 0x18, 0x6c, 0x40, 0x2d, 0x00, 0x00, 0x00, 0x00, 0x00,
      0x00, 0x00, 0x71, 0x13, 0x00, 0x00, 0x00, 0x9f, 0x6d, 0x69, 0x6c, 0x6c,
      0x72, 0x61, 0x63, 0x65, 0x20, 0x09, 0x00, 0x0c, 0x50, 0x72, 0x61, 0x63,
      0x65, 0x0a, 0x00, 0x00, 0x00, 0x00, 0xd1, 0x31, 0x28, 0x56}},
    {"lz4 -BI -BX -B7", MR_CODEC_LZ4, 42, {0x04, 0x22, 0x4d, 0x18, 0x74, 0x40, 0xbd, 0x13, 0x00,
                                           0x00, 0x00, 0x9f, 0x6d, 0x69, 0x6c, 0x6c, 0x72, 0x61,
                                           0x63, 0x65, 0x20, 0x09, 0x00, 0x0c, 0x50, 0x72, 0x61,
                                           0x63, 0x65, 0x0a, 0xe1, 0xda, 0x6d, 0x0b, 0x00, 0x00,
                                           0x00, 0x00, 0xd1, 0x31, 0x28, 0x56}},
    {"zstd of a file", MR_CODEC_ZSTD, 29, {0x28, 0xb5, 0x2f, 0xfd, 0x24, 0x2d, 0x85, 0x00,
                                           0x00, 0x50, 0x6d, 0x69, 0x6c, 0x6c, 0x72, 0x61,
                                           0x63, 0x65, 0x20, 0x0a, 0x01, 0x00, 0x48, 0x96,
                                           0x23, 0x8d, 0x1a, 0x20, 0x4f}},
    {"zstd of a pipe", MR_CODEC_ZSTD, 29, {0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x85, 0x00,
                                           0x00, 0x50, 0x6d, 0x69, 0x6c, 0x6c, 0x72, 0x61,
                                           0x63, 0x65, 0x20, 0x0a, 0x01, 0x00, 0x48, 0x96,
                                           0x23, 0x8d, 0x1a, 0x20, 0x4f}},
    /* By format_description.txt of snappy: 45, a literal of 9, a copy of 35 from 9 back, a literal.
     */
    {"raw snappy",
     MR_CODEC_SNAPPY,
     16,
     {45, 8 << 2, 'm', 'i', 'l', 'l', 'r', 'a', 'c', 'e', ' ', 34 << 2 | 2, 9, 0, 0 << 2, '\n'}},
};

static struct mr_codec_context *context_new(void)
{
    struct mr_codec_context *context = NULL;

    CHECK_EQ(mr_codec_context_new(&context), 0);
    return context;
}

static int compress_one(struct mr_codec_context *context, enum mr_codec codec, int level,
                        void *data, size_t size, struct mr_bytes *out)
{
    struct iovec part = {data, size};

    return mr_codec_compress(context, codec, level, &part, 1, out);
}

TEST(codec, knows_names_numbers_and_levels)
{
    enum mr_codec codec = MR_CODEC_NONE;

    CHECK_EQ(mr_codec_parse("zstd", &codec), 0);
    CHECK_EQ(codec, MR_CODEC_ZSTD);
    CHECK_EQ(mr_codec_parse("lzo", &codec), MR_EINVAL);
    CHECK(strcmp(mr_codec_name(3), "lz4") == 0);
    CHECK(mr_codec_name(5) == NULL);
    CHECK(mr_codec_name(-1) == NULL);
    CHECK_EQ(mr_codec_check_level(MR_CODEC_GZIP, 9), 0);
    CHECK_EQ(mr_codec_check_level(MR_CODEC_GZIP, 10), MR_EINVAL);
    CHECK_EQ(mr_codec_check_level(MR_CODEC_SNAPPY, 1), MR_EINVAL);
    CHECK_EQ(mr_codec_check_level((enum mr_codec)7, 0), MR_EINVAL);
}

/* Each golden string is read; nothing may be missing at its end, nothing may follow it, and the
 * limit holds to the byte. */
TEST(codec, reads_what_other_tools_write)
{
    struct mr_codec_context *context = context_new();
    struct mr_bytes out;

    mr_bytes_init(&out);
    for (size_t i = 0; i < sizeof goldens / sizeof goldens[0]; i++) {
        const struct golden *golden = &goldens[i];
        uint8_t longer[sizeof golden->bytes + 1];

        mr_bytes_clear(&out);
        mr_bytes_text(&out, "before ");
        CHECK_EQ(mr_codec_decompress(context, golden->codec, golden->bytes, golden->size,
                                     PHRASE_SIZE, &out),
                 0);
        CHECK_EQ(out.size_bytes, 7 + PHRASE_SIZE);
        CHECK(memcmp(out.data, "before ", 7) == 0);
        CHECK(memcmp(out.data + 7, phrase, PHRASE_SIZE) == 0);
        CHECK_EQ(mr_codec_decompress(context, golden->codec, golden->bytes, golden->size,
                                     PHRASE_SIZE - 1, &out),
                 MR_ETOOLARGE);
        for (size_t cut = 0; cut < golden->size; cut++) {
            CHECK_EQ(mr_codec_decompress(context, golden->codec, golden->bytes, cut, 1 << 20, &out),
                     MR_ECORRUPT);
        }
        memcpy(longer, golden->bytes, golden->size);
        longer[golden->size] = 'x';
        CHECK_EQ(
            mr_codec_decompress(context, golden->codec, longer, golden->size + 1, 1 << 20, &out),
            MR_ECORRUPT);
        CHECK_EQ(out.size_bytes, 7 + PHRASE_SIZE); /* failures leave it alone */
    }
    mr_bytes_done(&out);
    mr_codec_context_free(context);
}

/* snappy-java appends to a file by writing a second header. */
TEST(codec, reads_xerial_streams_one_after_another)
{
    static const uint8_t two[] = {0x82, 'S', 'N', 'A', 'P', 'P',  'Y', 0,   0,   0,   0,   1,   0,
                                  0,    0,   1,   0,   0,   0,    11,  9,   32,  'm', 'i', 'l', 'l',
                                  'r',  'a', 'c', 'e', ' ', 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0,
                                  0,    0,   0,   1,   0,   0,    0,   1,   0,   0,   0,   3,   1,
                                  0,    'm', 0,   0,   0,   3,    1,   0,   'n'};
    struct mr_codec_context *context = context_new();
    struct mr_bytes out;

    mr_bytes_init(&out);
    CHECK_EQ(mr_codec_decompress(context, MR_CODEC_SNAPPY, two, sizeof two, 11, &out), 0);
    CHECK_EQ(out.size_bytes, 11);
    CHECK(memcmp(out.data, "millrace mn", 11) == 0);
    CHECK_EQ(mr_codec_decompress(context, MR_CODEC_SNAPPY, two, sizeof two, 10, &out),
             MR_ETOOLARGE);
    CHECK_EQ(mr_codec_decompress(context, MR_CODEC_SNAPPY, two, sizeof two - 1, 11, &out),
             MR_ECORRUPT);
    /* Only a header: an empty stream. */
    CHECK_EQ(mr_codec_decompress(context, MR_CODEC_SNAPPY, two, 16, 0, &out), 0);
    mr_bytes_done(&out);
    mr_codec_context_free(context);
}

/* The first bytes that Java's readers look at, and blocks no larger than they reserve. */
TEST(codec, writes_the_framing_that_java_reads)
{
    static const uint8_t xerial[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    static const uint8_t frame[] = {0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82};
    struct mr_codec_context *context = context_new();
    enum { SIZE = 100000 };
    char *data = calloc(1, SIZE);
    struct mr_bytes out;
    size_t size;
    const uint8_t *at;

    mr_bytes_init(&out);
    CHECK_EQ(compress_one(context, MR_CODEC_LZ4, 0, data, SIZE, &out), 0);
    CHECK(memcmp(out.data, frame, sizeof frame) == 0);
    CHECK(memcmp(out.data + out.size_bytes - 4, "\0\0\0\0", 4) == 0);
    mr_bytes_clear(&out);
    CHECK_EQ(compress_one(context, MR_CODEC_SNAPPY, 0, data, SIZE, &out), 0);
    CHECK(memcmp(out.data, xerial, sizeof xerial) == 0);
    at = out.data + sizeof xerial;
    for (size_t left = SIZE; left > 0; left -= size) {
        size_t length = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];

        CHECK_EQ(snappy_uncompressed_length((const char *)at + 4, length, &size), SNAPPY_OK);
        CHECK_EQ(size, left < 32768 ? left : 32768);
        at += 4 + length;
    }
    CHECK(at == out.data + out.size_bytes);
    mr_bytes_clear(&out);
    CHECK_EQ(compress_one(context, MR_CODEC_ZSTD, 0, data, SIZE, &out), 0);
    CHECK_EQ(ZSTD_getFrameContentSize(out.data, out.size_bytes), SIZE);
    mr_bytes_done(&out);
    free(data);
    mr_codec_context_free(context);
}

/* Half random, half repeated, so that all kinds of elements occur. */
static void fill_text(struct mr_random *random, uint8_t *data, size_t size)
{
    size_t at = 0;

    while (at < size) {
        size_t run = 1 + mr_random_below(random, 80);

        run = run < size - at ? run : size - at;
        if (at > 200 && mr_random_below(random, 3) != 0) {
            memmove(data + at, data + at - 100 - mr_random_below(random, 100),
                    run < 100 ? run : 100);
        } else {
            random->fill(random, data + at, run);
        }
        at += run;
    }
}

/* Any content, any cut into parts, every level that the codec takes: what went in comes out, in
 * contexts that are used again and again. */
TEST(codec, gives_back_what_it_was_given)
{
    static const int levels[][4] = {
        {0, 0, 0, 0}, {0, 1, 6, 9}, {0, 0, 0, 0}, {0, -8, 3, 9}, {0, -5, 1, 9}};
    enum { SIZE_MAX_HERE = 300000, PARTS_MAX = 8 };
    struct mr_codec_context *context = context_new();
    uint8_t *data = malloc(SIZE_MAX_HERE);
    struct mr_random_seeded random;
    struct mr_bytes packed;
    struct mr_bytes out;

    mr_bytes_init(&packed);
    mr_bytes_init(&out);
    mr_random_seeded_init(&random, 11);
    for (int round = 0; round < 300; round++) {
        size_t size = mr_random_below(&random.base, round % 3 == 0 ? SIZE_MAX_HERE : 1000);
        int part_count = 1 + (int)mr_random_below(&random.base, PARTS_MAX);
        enum mr_codec codec = (enum mr_codec)(round % MR_CODEC_COUNT);
        int level = levels[codec][mr_random_below(&random.base, 4)];
        struct iovec parts[PARTS_MAX];
        size_t at = 0;

        fill_text(&random.base, data, size);
        for (int i = 0; i < part_count; i++) {
            size_t left = size - at;
            size_t here = i + 1 == part_count ? left : mr_random_below(&random.base, left + 1);

            parts[i] = (struct iovec){data + at, here};
            at += here;
        }
        mr_bytes_clear(&packed);
        mr_bytes_clear(&out);
        CHECK_EQ(mr_codec_compress(context, codec, level, parts, part_count, &packed), 0);
        CHECK_EQ(mr_codec_decompress(context, codec, packed.data, packed.size_bytes, size, &out),
                 0);
        CHECK_EQ(out.size_bytes, size);
        CHECK(size == 0 || memcmp(out.data, data, size) == 0);
    }
    CHECK_EQ(mr_codec_compress(context, MR_CODEC_LZ4, 0, NULL, 0, &packed), 0);
    mr_bytes_done(&packed);
    mr_bytes_done(&out);
    free(data);
    mr_codec_context_free(context);
}

/* liblz4's own framing, in every variant, is read; ours is read by it. */
TEST(codec, agrees_with_the_reference_lz4_frames)
{
    enum { SIZE = 700000, BOUND = 2 * SIZE };
    struct mr_codec_context *context = context_new();
    uint8_t *data = malloc(SIZE);
    uint8_t *packed = malloc(BOUND);
    struct mr_random_seeded random;
    LZ4F_dctx *reader = NULL;
    struct mr_bytes out;
    size_t from_size;
    size_t to_size = BOUND;

    mr_bytes_init(&out);
    mr_random_seeded_init(&random, 5);
    fill_text(&random.base, data, SIZE);
    for (int variant = 0; variant < 64; variant++) {
        LZ4F_preferences_t how = {0};
        size_t packed_size;

        how.frameInfo.blockSizeID = (LZ4F_blockSizeID_t)(LZ4F_max64KB + variant % 4);
        how.frameInfo.blockMode = variant & 4 ? LZ4F_blockIndependent : LZ4F_blockLinked;
        how.frameInfo.blockChecksumFlag = variant & 8 ? LZ4F_blockChecksumEnabled : 0;
        how.frameInfo.contentChecksumFlag = variant & 16 ? LZ4F_contentChecksumEnabled : 0;
        how.frameInfo.contentSize = variant & 32 ? SIZE : 0;
        packed_size = LZ4F_compressFrame(packed, BOUND, data, SIZE, &how);
        CHECK(!LZ4F_isError(packed_size));
        mr_bytes_clear(&out);
        CHECK_EQ(mr_codec_decompress(context, MR_CODEC_LZ4, packed, packed_size, SIZE, &out), 0);
        CHECK_EQ(out.size_bytes, SIZE);
        CHECK(memcmp(out.data, data, SIZE) == 0);
        /* A flipped byte of content is noticed where a checksum covers it. */
        packed[packed_size / 2] ^= 1;
        if (variant & (8 | 16)) {
            CHECK_EQ(mr_codec_decompress(context, MR_CODEC_LZ4, packed, packed_size, SIZE, &out),
                     MR_ECORRUPT);
        }
    }
    mr_bytes_clear(&out);
    CHECK_EQ(compress_one(context, MR_CODEC_LZ4, 0, data, SIZE, &out), 0);
    CHECK(!LZ4F_isError(LZ4F_createDecompressionContext(&reader, LZ4F_VERSION)));
    from_size = out.size_bytes;
    CHECK_EQ(LZ4F_decompress(reader, packed, &to_size, out.data, &from_size, NULL), 0);
    CHECK_EQ(to_size, SIZE);
    CHECK(memcmp(packed, data, SIZE) == 0);
    LZ4F_freeDecompressionContext(reader);
    mr_bytes_done(&out);
    free(packed);
    free(data);
    mr_codec_context_free(context);
}

/* Java's zstd writer streams: no size in the frame, so the output must grow while reading; and
 * frames may follow each other. */
TEST(codec, reads_zstd_frames_of_unknown_size)
{
    enum { SIZE = 3000000 };
    struct mr_codec_context *context = context_new();
    char *data = calloc(1, SIZE);
    struct mr_bytes packed;
    struct mr_bytes out;
    ZSTD_CStream *writer = ZSTD_createCStream();
    ZSTD_outBuffer to;

    mr_bytes_init(&packed);
    mr_bytes_init(&out);
    CHECK_EQ(mr_bytes_reserve(&packed, SIZE), 0);
    to = (ZSTD_outBuffer){packed.data, SIZE, 0};
    for (int frame = 0; frame < 2; frame++) {
        ZSTD_inBuffer from = {data, SIZE, 0};

        ZSTD_initCStream(writer, 3);
        while (from.pos < from.size) {
            CHECK(!ZSTD_isError(ZSTD_compressStream(writer, &to, &from)));
        }
        CHECK_EQ(ZSTD_endStream(writer, &to), 0);
    }
    CHECK_EQ(mr_codec_decompress(context, MR_CODEC_ZSTD, to.dst, to.pos, 2 * SIZE, &out), 0);
    CHECK_EQ(out.size_bytes, 2 * SIZE);
    CHECK_EQ(mr_codec_decompress(context, MR_CODEC_ZSTD, to.dst, to.pos, 2 * SIZE - 1, &out),
             MR_ETOOLARGE);
    ZSTD_freeCStream(writer);
    mr_bytes_done(&packed);
    mr_bytes_done(&out);
    free(data);
    mr_codec_context_free(context);
}

/* 64 MiB of zeros in a few KiB: refused at the limit, and without memory beyond it. */
TEST(codec, refuses_bombs_without_the_memory)
{
    enum { SIZE = 64 << 20, LIMIT = 1 << 20 };
    struct mr_codec_context *context = context_new();
    char *data = calloc(1, SIZE);

    for (int codec = MR_CODEC_GZIP; codec < MR_CODEC_COUNT; codec++) {
        struct mr_bytes packed;
        struct mr_bytes out;

        mr_bytes_init(&packed);
        mr_bytes_init(&out);
        CHECK_EQ(compress_one(context, (enum mr_codec)codec, 0, data, SIZE, &packed), 0);
        CHECK_EQ(mr_codec_decompress(context, (enum mr_codec)codec, packed.data, packed.size_bytes,
                                     LIMIT, &out),
                 MR_ETOOLARGE);
        CHECK(out.capacity_bytes <= 8 * LIMIT);
        CHECK_EQ(out.size_bytes, 0);
        mr_bytes_done(&packed);
        mr_bytes_done(&out);
    }
    free(data);
    mr_codec_context_free(context);
}

/* Flipped and cut streams give an error or other bytes, never more than the limit and never a crash
 * (run it under the sanitizers); the context works afterwards. */
TEST(codec, survives_damage)
{
    enum { SIZE = 5000, LIMIT = 20000 };
    struct mr_codec_context *context = context_new();
    struct mr_random_seeded random;
    uint8_t data[SIZE];
    struct mr_bytes packed;
    struct mr_bytes out;

    mr_bytes_init(&packed);
    mr_bytes_init(&out);
    mr_random_seeded_init(&random, 3);
    fill_text(&random.base, data, SIZE);
    for (int round = 0; round < 4000; round++) {
        enum mr_codec codec = (enum mr_codec)(1 + round % 4);
        size_t size;
        int rc;

        mr_bytes_clear(&packed);
        mr_bytes_clear(&out);
        CHECK_EQ(compress_one(context, codec, 0, data, SIZE, &packed), 0);
        size = packed.size_bytes;
        if (mr_random_below(&random.base, 4) == 0) {
            size = mr_random_below(&random.base, size);
        }
        for (int flips = (int)mr_random_below(&random.base, 4); flips >= 0 && size > 0; flips--) {
            packed.data[mr_random_below(&random.base, size)] =
                (uint8_t)mr_random_below(&random.base, 256);
        }
        rc = mr_codec_decompress(context, codec, packed.data, size, LIMIT, &out);
        CHECK(rc == 0 || rc == MR_ECORRUPT || rc == MR_ETOOLARGE || rc == MR_EUNSUPPORTED);
        CHECK(out.size_bytes <= LIMIT);
        CHECK(rc == 0 || out.size_bytes == 0);
    }
    mr_bytes_done(&packed);
    mr_bytes_done(&out);
    mr_codec_context_free(context);
}
