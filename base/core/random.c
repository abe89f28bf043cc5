/* Random bytes from the kernel or from a seed, and the ids that are made of them. */
#include "base/core/random.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

#include "base/core/error.h"

static void system_fill(struct mr_random *random, void *data, size_t size_bytes)
{
    uint8_t *at = data;

    (void)random;
    while (size_bytes > 0) {
        ssize_t got = getrandom(at, size_bytes, 0);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        mr_assert(got > 0); /* Linux has it since 3.17; without it nothing secret can be made */
        at += got;
        size_bytes -= (size_t)got;
    }
}

static struct mr_random system_random = {.fill = system_fill}; /* never changed */

struct mr_random *mr_random_system(void)
{
    return &system_random;
}

static uint64_t rotate_left(uint64_t value, int by)
{
    return (value << by) | (value >> (64 - by));
}

/* xoshiro256** 1.0 by Blackman and Vigna (public domain). */
static uint64_t seeded_next(struct mr_random_seeded *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

static void seeded_fill(struct mr_random *base, void *data, size_t size_bytes)
{
    struct mr_random_seeded *random = (struct mr_random_seeded *)(void *)base;
    uint8_t *at = data;

    while (size_bytes > 0) {
        uint64_t word = seeded_next(random);
        size_t part = size_bytes < sizeof word ? size_bytes : sizeof word;

        memcpy(at, &word, part);
        at += part;
        size_bytes -= part;
    }
}

/* splitmix64 spreads the seed, as the authors advise: a state of zeros would stay so forever. */
void mr_random_seeded_init(struct mr_random_seeded *random, uint64_t seed)
{
    random->base.fill = seeded_fill;
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        random->state[i] = z ^ (z >> 31);
    }
}

uint64_t mr_random_u64(struct mr_random *random)
{
    uint64_t value;

    random->fill(random, &value, sizeof value);
    return value;
}

/* Values below 2^64 mod bound are drawn again; the rest is a whole number of bounds: no bias. */
uint64_t mr_random_below(struct mr_random *random, uint64_t bound)
{
    uint64_t first_fair;
    uint64_t value;

    mr_assert(bound > 0);
    first_fair = (0 - bound) % bound;
    do {
        value = mr_random_u64(random);
    } while (value < first_fair);
    return value % bound;
}

/* An id whose text begins with '-' looks like an option on a command line: Kafka draws again, so do
 * we. */
struct mr_uuid mr_uuid_random(struct mr_random *random)
{
    struct mr_uuid uuid;

    do {
        random->fill(random, uuid.bytes, sizeof uuid.bytes);
        uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0f) | 0x40); /* version 4 */
        uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3f) | 0x80); /* the RFC's variant */
    } while (uuid.bytes[0] >> 2 == 62);
    return uuid;
}

int mr_uuid_is_zero(const struct mr_uuid *uuid)
{
    static const struct mr_uuid zero;

    return mr_uuid_equal(uuid, &zero);
}

int mr_uuid_equal(const struct mr_uuid *left, const struct mr_uuid *right)
{
    return memcmp(left->bytes, right->bytes, sizeof left->bytes) == 0;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* 128 bits are 21 digits of six bits and one of two, which stand high in the last digit. */
void mr_uuid_format(const struct mr_uuid *uuid, char text[MR_UUID_TEXT_SIZE])
{
    unsigned bits = 0;
    int bit_count = 0;
    char *at = text;

    for (size_t i = 0; i < sizeof uuid->bytes; i++) {
        bits = (bits << 8) | uuid->bytes[i];
        bit_count += 8;
        while (bit_count >= 6) {
            bit_count -= 6;
            *at++ = base64_digits[(bits >> bit_count) & 63];
        }
    }
    *at++ = base64_digits[(bits << (6 - bit_count)) & 63];
    *at = '\0';
}

int mr_uuid_parse(const char *text, struct mr_uuid *ret_uuid)
{
    struct mr_uuid uuid;
    size_t filled = 0;
    unsigned bits = 0;
    int bit_count = 0;

    if (strnlen(text, MR_UUID_TEXT_SIZE) != MR_UUID_TEXT_SIZE - 1) {
        return MR_EINVAL;
    }
    for (const char *at = text; *at != '\0'; at++) {
        const char *digit = strchr(base64_digits, *at);

        if (digit == NULL) {
            return MR_EINVAL;
        }
        bits = (bits << 6) | (unsigned)(digit - base64_digits);
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            uuid.bytes[filled++] = (uint8_t)(bits >> bit_count);
        }
    }
    if ((bits & 15) != 0) { /* the four bits that no byte has: one id, one text */
        return MR_EINVAL;
    }
    mr_assert(filled == sizeof uuid.bytes);
    *ret_uuid = uuid;
    return 0;
}
