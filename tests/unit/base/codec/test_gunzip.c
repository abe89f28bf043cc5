/* The gunzip stream: any cut of input and output, members and padding, cut files, damage. */
#include "base/codec/gunzip.h"

#include <stdlib.h>
#include <string.h>

#include "base/codec/codec.h"
#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/random.h"
#include "tests/lib/test.h"

/* Appends one member holding `size` bytes of lines. */
static void append_member(struct mr_bytes *file, struct mr_bytes *text, size_t size)
{
    struct mr_codec_context *context = NULL;
    size_t start = text->size_bytes;
    struct iovec part;

    while (text->size_bytes - start < size) {
        mr_bytes_printf(text, "line %zu of a rotated file\n", text->size_bytes);
    }
    part = (struct iovec){text->data + start, text->size_bytes - start};
    CHECK_EQ(mr_codec_context_new(&context), 0);
    CHECK_EQ(mr_codec_compress(context, MR_CODEC_GZIP, 0, &part, 1, file), 0);
    mr_codec_context_free(context);
}

/* Feeds in random bites into random room until the input is used up and nothing more comes. */
static int read_all(struct mr_gunzip *gunzip, struct mr_random *random, const uint8_t *data,
                    size_t size, struct mr_bytes *out)
{
    uint8_t room[700];
    size_t at = 0;

    for (;;) {
        size_t bite = 1 + mr_random_below(random, 500);
        size_t capacity = 1 + mr_random_below(random, sizeof room);
        size_t consumed;
        size_t produced;
        int rc;

        bite = bite < size - at ? bite : size - at;
        rc = mr_gunzip_feed(gunzip, data + at, bite, &consumed, room, capacity, &produced);
        CHECK(consumed <= bite);
        CHECK(produced <= capacity);
        mr_bytes_append(out, room, produced);
        at += consumed;
        if (rc != 0) {
            return rc;
        }
        if (at == size && produced < capacity) {
            return 0;
        }
        CHECK(consumed > 0 || produced > 0);
    }
}

TEST(gunzip, gives_the_same_text_however_reads_are_cut)
{
    struct mr_random_seeded random;
    struct mr_gunzip *gunzip = NULL;
    struct mr_bytes file;
    struct mr_bytes text;
    struct mr_bytes out;

    mr_bytes_init(&file);
    mr_bytes_init(&text);
    mr_bytes_init(&out);
    mr_random_seeded_init(&random, 23);
    append_member(&file, &text, 60000);
    append_member(&file, &text, 0);
    append_member(&file, &text, 3000);
    mr_bytes_append(&file, "\0\0\0\0\0", 5);
    append_member(&file, &text, 10);
    mr_bytes_append(&file, "\0\0\0", 3);
    CHECK_EQ(mr_gunzip_new(&gunzip), 0);
    CHECK(!mr_gunzip_is_at_end(gunzip));
    for (int round = 0; round < 100; round++) {
        mr_gunzip_reset(gunzip);
        mr_bytes_clear(&out);
        CHECK_EQ(read_all(gunzip, &random.base, file.data, file.size_bytes, &out), 0);
        CHECK(mr_gunzip_is_at_end(gunzip));
        CHECK_EQ(out.size_bytes, text.size_bytes);
        CHECK(memcmp(out.data, text.data, text.size_bytes) == 0);
    }
    mr_gunzip_free(gunzip);
    mr_bytes_done(&file);
    mr_bytes_done(&text);
    mr_bytes_done(&out);
}

/* A file that is still being written, or was cut: a prefix comes out, and the end is not an end. */
TEST(gunzip, tells_a_cut_file_from_a_whole_one)
{
    struct mr_random_seeded random;
    struct mr_gunzip *gunzip = NULL;
    struct mr_bytes file;
    struct mr_bytes text;
    struct mr_bytes out;

    mr_bytes_init(&file);
    mr_bytes_init(&text);
    mr_bytes_init(&out);
    mr_random_seeded_init(&random, 29);
    append_member(&file, &text, 2000);
    CHECK_EQ(mr_gunzip_new(&gunzip), 0);
    for (size_t cut = 0; cut <= file.size_bytes; cut++) {
        mr_gunzip_reset(gunzip);
        mr_bytes_clear(&out);
        CHECK_EQ(read_all(gunzip, &random.base, file.data, cut, &out), 0);
        CHECK_EQ(mr_gunzip_is_at_end(gunzip), cut == file.size_bytes);
        CHECK(out.size_bytes <= text.size_bytes);
        CHECK(out.size_bytes == 0 || memcmp(out.data, text.data, out.size_bytes) == 0);
        /* The rest may come later. */
        CHECK_EQ(read_all(gunzip, &random.base, file.data + cut, file.size_bytes - cut, &out), 0);
        CHECK_EQ(out.size_bytes, text.size_bytes);
        CHECK(mr_gunzip_is_at_end(gunzip));
    }
    mr_gunzip_free(gunzip);
    mr_bytes_done(&file);
    mr_bytes_done(&text);
    mr_bytes_done(&out);
}

/* Every flipped byte behind the header is found by the checksum at the latest; the error stays. */
TEST(gunzip, reports_damage_and_stays_broken_until_reset)
{
    struct mr_random_seeded random;
    struct mr_gunzip *gunzip = NULL;
    struct mr_bytes file;
    struct mr_bytes text;
    struct mr_bytes out;

    mr_bytes_init(&file);
    mr_bytes_init(&text);
    mr_bytes_init(&out);
    mr_random_seeded_init(&random, 31);
    append_member(&file, &text, 2000);
    append_member(&file, &text, 100);
    CHECK_EQ(mr_gunzip_new(&gunzip), 0);
    for (size_t i = 10; i < file.size_bytes - 150; i++) {
        size_t ignored;
        int rc;

        file.data[i] ^= 0x10;
        mr_gunzip_reset(gunzip);
        mr_bytes_clear(&out);
        rc = read_all(gunzip, &random.base, file.data, file.size_bytes, &out);
        file.data[i] ^= 0x10;
        if (rc == 0) {
            CHECK(!mr_gunzip_is_at_end(gunzip)); /* a length grew: more is awaited */
            continue;
        }
        CHECK_EQ(rc, MR_ECORRUPT);
        CHECK_EQ(mr_gunzip_feed(gunzip, file.data, 1, &ignored, out.data, 0, &ignored),
                 MR_ECORRUPT);
    }
    mr_gunzip_reset(gunzip);
    mr_bytes_clear(&out);
    CHECK_EQ(read_all(gunzip, &random.base, (const uint8_t *)"plain text", 10, &out), MR_ECORRUPT);
    mr_gunzip_reset(gunzip);
    CHECK_EQ(read_all(gunzip, &random.base, (const uint8_t *)"\0\0\0\0", 4, &out), MR_ECORRUPT);
    CHECK(mr_gunzip_is_gzip(file.data, 3));
    CHECK(!mr_gunzip_is_gzip(file.data, 2));
    CHECK(!mr_gunzip_is_gzip((const uint8_t *)"GET", 3));
    mr_gunzip_free(gunzip);
    mr_bytes_done(&file);
    mr_bytes_done(&text);
    mr_bytes_done(&out);
}
