/* The random door: seeded from the kernel in production, from a printed seed in tests. */
#ifndef BASE_CORE_RANDOM_H
#define BASE_CORE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct mr_random {
    void (*fill)(struct mr_random *random, void *data, size_t size_bytes);
};

/* getrandom(2). Thread-safe. */
struct mr_random *mr_random_system(void);

struct mr_random_seeded {
    struct mr_random base;
    uint64_t state[4];
};

/* xoshiro256**: for tests and jitter, never for secrets. */
void mr_random_seeded_init(struct mr_random_seeded *random, uint64_t seed);

uint64_t mr_random_u64(struct mr_random *random);
/* 0 <= result < bound; bound > 0. */
uint64_t mr_random_below(struct mr_random *random, uint64_t bound);

/* A version 4 UUID (RFC 9562, 5.4), as Kafka's topic and directory ids. */
struct mr_uuid {
    uint8_t bytes[16];
};
enum { MR_UUID_TEXT_SIZE = 23 }; /* 22 characters of url-safe base64, and NUL */
struct mr_uuid mr_uuid_random(struct mr_random *random);
int mr_uuid_is_zero(const struct mr_uuid *uuid);
int mr_uuid_equal(const struct mr_uuid *left, const struct mr_uuid *right);
/* Kafka's text form: url-safe base64 without padding. */
void mr_uuid_format(const struct mr_uuid *uuid, char text[MR_UUID_TEXT_SIZE]);
int mr_uuid_parse(const char *text, struct mr_uuid *ret_uuid); /* 0 or MR_EINVAL */

#endif
