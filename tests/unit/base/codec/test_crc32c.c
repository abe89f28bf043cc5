/* CRC-32C: the published vectors, continuation, and joining against recomputation. */
#include "base/codec/crc32c.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/random.h"
#include "tests/lib/test.h"

/* The plainest way to compute it, one bit at a time. */
static uint32_t crc_by_bits(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (0x82f63b78 & (0 - (crc & 1)));
        }
    }
    return ~crc;
}

/* RFC 3720, B.4, and the check value that every catalogue of checksums names. */
TEST(crc32c, agrees_with_the_published_vectors)
{
    uint8_t bytes[32];

    CHECK_EQ(mr_crc32c(0, "123456789", 9), 0xe3069283);
    CHECK_EQ(mr_crc32c(0, "", 0), 0);
    memset(bytes, 0, sizeof bytes);
    CHECK_EQ(mr_crc32c(0, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    CHECK_EQ(mr_crc32c(0, bytes, sizeof bytes), 0x62a8ab43);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    CHECK_EQ(mr_crc32c(0, bytes, sizeof bytes), 0x46dd794e);
}

/* All sizes up to some vector widths, all cuts: continuing and joining both give what one pass
 * gives. */
TEST(crc32c, continues_and_joins_at_every_cut)
{
    struct mr_random_seeded random;
    uint8_t data[300];

    mr_random_seeded_init(&random, 7);
    random.base.fill(&random.base, data, sizeof data);
    for (size_t size = 0; size <= sizeof data; size += size < 140 ? 1 : 31) {
        uint32_t whole = crc_by_bits(data, size);

        CHECK_EQ(mr_crc32c(0, data, size), whole);
        for (size_t cut = 0; cut <= size; cut++) {
            uint32_t head = mr_crc32c(0, data, cut);
            uint32_t tail = mr_crc32c(0, data + cut, size - cut);

            CHECK_EQ(mr_crc32c(head, data + cut, size - cut), whole);
            CHECK_EQ(mr_crc32c_combine(head, tail, size - cut), whole);
        }
    }
}

/* Sizes too large to recompute: joining is associative, which ties every power of the table to the
 * small ones that were checked above. */
TEST(crc32c, joins_sizes_beyond_memory)
{
    uint64_t size = 1;
    uint32_t crc = mr_crc32c(0, "a", 1); /* of `size` bytes of 'a' */

    while (size < UINT64_C(1) << 40) {
        uint32_t doubled = mr_crc32c_combine(crc, crc, size);

        if (size < 1 << 22) {
            void *data = malloc(size * 2);

            CHECK(data != NULL);
            memset(data, 'a', size * 2);
            CHECK_EQ(doubled, mr_crc32c(0, data, size * 2));
            free(data);
        }
        /* A || (A || B) is (A || A) || B */
        CHECK_EQ(mr_crc32c_combine(crc, mr_crc32c_combine(crc, 0x12345678, size + 5), size * 2 + 5),
                 mr_crc32c_combine(doubled, 0x12345678, size + 5));
        crc = doubled;
        size *= 2;
    }
}
