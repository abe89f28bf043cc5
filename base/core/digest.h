/* SHA-256, and comparing what must not be guessed byte by byte. */
#ifndef BASE_CORE_DIGEST_H
#define BASE_CORE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MR_SHA256_SIZE = 32 };

/* 0 or MR_ENOMEM. */
int mr_sha256(const void *data, size_t size, uint8_t ret_digest[MR_SHA256_SIZE]);
/* Takes the same time wherever they differ. */
bool mr_equal_slowly(const void *left, const void *right, size_t size);

#endif
