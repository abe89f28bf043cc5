/* A fast 64-bit hash of bytes, the same on every machine and in every version: it may be written to
 * disk. Not for adversaries. */
#ifndef BASE_CORE_HASH_H
#define BASE_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH3_64bits, seed 0. */
uint64_t mr_hash64(const void *data, size_t size_bytes);

#endif
