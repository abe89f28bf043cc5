/* Random numbers: the published stream, fairness of bounds, and ids with their texts. */
#include "base/core/random.h"

#include <string.h>

#include "tests/lib/test.h"

/* Computed from the authors' reference code: splitmix64(42), then xoshiro256**. */
TEST(random, seeded_stream_is_the_published_one)
{
    struct mr_random_seeded random;

    mr_random_seeded_init(&random, 42);
    CHECK(mr_random_u64(&random.base) == UINT64_C(1546998764402558742));
    CHECK(mr_random_u64(&random.base) == UINT64_C(6990951692964543102));
    CHECK(mr_random_u64(&random.base) == UINT64_C(12544586762248559009));
}

/* One seed, one stream, also when it is read in odd sizes of whole words. */
TEST(random, same_seed_gives_the_same_bytes)
{
    struct mr_random_seeded a;
    struct mr_random_seeded b;
    uint8_t left[64];
    uint8_t right[64];

    mr_random_seeded_init(&a, test_seed());
    mr_random_seeded_init(&b, test_seed());
    a.base.fill(&a.base, left, sizeof left);
    for (size_t i = 0; i < sizeof right; i += 8) {
        b.base.fill(&b.base, right + i, 8);
    }
    CHECK_MEM(left, right, sizeof left);
    mr_random_seeded_init(&b, test_seed() + 1);
    b.base.fill(&b.base, right, sizeof right);
    CHECK(memcmp(left, right, sizeof left) != 0);
}

/* 60,000 throws of a die: each side within 6 standard deviations (91) of 10,000. */
TEST(random, below_is_fair)
{
    struct mr_random_seeded random;
    int sides[6] = {0};

    mr_random_seeded_init(&random, test_seed());
    for (int i = 0; i < 60000; i++) {
        sides[mr_random_below(&random.base, 6)]++;
    }
    for (int i = 0; i < 6; i++) {
        CHECK_GT(sides[i], 10000 - 550);
        CHECK_LT(sides[i], 10000 + 550);
    }
    CHECK_EQ(mr_random_below(&random.base, 1), 0);
}

TEST(random, system_bytes_differ)
{
    CHECK(mr_random_u64(mr_random_system()) != mr_random_u64(mr_random_system()));
}

TEST(uuid, text_is_kafkas)
{
    /* kafka's Uuid(0x0123456789abcdef, 0x8123456789abcdef), written by hand from base64. */
    struct mr_uuid uuid = {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x81, 0x23, 0x45, 0x67,
                            0x89, 0xab, 0xcd, 0xef}};
    struct mr_uuid back;
    char text[MR_UUID_TEXT_SIZE];

    mr_uuid_format(&uuid, text);
    CHECK_STR(text, "ASNFZ4mrze-BI0VniavN7w");
    CHECK_EQ(mr_uuid_parse(text, &back), 0);
    CHECK(mr_uuid_equal(&uuid, &back));
}

TEST(uuid, random_ones_are_version_4_and_come_back_from_text)
{
    struct mr_random_seeded random;

    mr_random_seeded_init(&random, test_seed());
    for (int i = 0; i < 2000; i++) {
        struct mr_uuid uuid = mr_uuid_random(&random.base);
        struct mr_uuid back;
        char text[MR_UUID_TEXT_SIZE];

        CHECK_EQ(uuid.bytes[6] >> 4, 4);
        CHECK_EQ(uuid.bytes[8] >> 6, 2);
        CHECK(!mr_uuid_is_zero(&uuid));
        mr_uuid_format(&uuid, text);
        CHECK_NE(text[0], '-'); /* no option on a command line */
        CHECK_EQ(mr_uuid_parse(text, &back), 0);
        CHECK(mr_uuid_equal(&uuid, &back));
    }
}

TEST(uuid, wrong_texts_are_refused)
{
    static const char *const wrong[] = {
        "",
        "ASNFZ4mrze-BI0VniavN7",   /* one short */
        "ASNFZ4mrze-BI0VniavN7ww", /* one long */
        "ASNFZ4mrze-BI0VniavN7w=", /* padded */
        "ASNFZ4mrze+BI0VniavN7w",  /* the other base64 */
        "ASNFZ4mrze-BI0VniavN7x",  /* bits that no byte has */
        "ASNFZ4mrze BI0VniavN7w",
    };
    struct mr_uuid uuid = {{7}};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        CHECK_EQ(mr_uuid_parse(wrong[i], &uuid), MR_EINVAL);
    }
    CHECK_EQ(uuid.bytes[0], 7); /* outputs are touched only on success */
}
