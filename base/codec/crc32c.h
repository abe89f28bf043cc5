/* CRC-32C (Castagnoli, reflected polynomial 0x82f63b78; RFC 3720, B.4): the checksum of record
 * batches, and of every file of our own. */
#ifndef BASE_CODEC_CRC32C_H
#define BASE_CODEC_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The finished checksum of what `crc` covers followed by `data`; crc is 0 at the start, and the
 * result of one call is fed into the next. Any thread; never fails. */
uint32_t mr_crc32c(uint32_t crc, const void *data, size_t size_bytes);

/* The checksum of A followed by B, from theirs and the size of B alone, in O(log size): what lets a
 * batch header be rewritten without reading the records behind it. */
uint32_t mr_crc32c_combine(uint32_t crc_a, uint32_t crc_b, uint64_t size_b_bytes);

#endif
