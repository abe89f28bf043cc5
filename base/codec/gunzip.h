/* Reading gzip files of any size as a stream: bytes go in as they are read, text comes out, memory
 * stays at zlib's 40 KiB. For rotated files that were compressed. */
#ifndef BASE_CODEC_GUNZIP_H
#define BASE_CODEC_GUNZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_gunzip;

int mr_gunzip_new(struct mr_gunzip **ret_gunzip); /* 0 or MR_ENOMEM */
void mr_gunzip_free(struct mr_gunzip *gunzip);
/* Ready for the first byte of another file. */
void mr_gunzip_reset(struct mr_gunzip *gunzip);

/* Inflates from `in` to `out` until one of them is used up, and says how much of each was. Members
 * that follow each other read as one stream, and zero bytes between and behind them are padding
 * (RFC 1952, 2.2 and gzip(1)). 0, MR_ECORRUPT or MR_ENOMEM; after an error, which stays until
 * reset, what was produced before the damage is still in `out` and counted. When *ret_produced
 * equals the capacity there may be more to get without new input. */
int mr_gunzip_feed(struct mr_gunzip *gunzip, const uint8_t *in, size_t in_size_bytes,
                   size_t *ret_consumed, uint8_t *out, size_t out_capacity_bytes,
                   size_t *ret_produced);

/* Whether the input so far ends where a member ends, with its checksum verified: at the end of a
 * file this tells a whole one from one that is cut or still being written. False before the first
 * byte. */
bool mr_gunzip_is_at_end(const struct mr_gunzip *gunzip);

/* Whether a file with this head is gzip: 1f 8b 08. */
bool mr_gunzip_is_gzip(const uint8_t *head, size_t size_bytes);

#endif
