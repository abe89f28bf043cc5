/* The compression codecs of record batches: one call compresses, one call decompresses, and a
 * context per loop keeps the working memory so that batches cost no allocation.
 *
 * The formats are those that Kafka's clients write and read: gzip (RFC 1952), snappy in Java's
 * xerial framing, the LZ4 frame format, zstd frames (RFC 8878). */
#ifndef BASE_CODEC_CODEC_H
#define BASE_CODEC_CODEC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct mr_bytes;

/* The numbers are those of the attributes of a record batch, bits 0 to 2. */
enum mr_codec {
    MR_CODEC_NONE = 0,
    MR_CODEC_GZIP = 1,
    MR_CODEC_SNAPPY = 2,
    MR_CODEC_LZ4 = 3,
    MR_CODEC_ZSTD = 4,
    MR_CODEC_COUNT
};

enum { MR_CODEC_LEVEL_DEFAULT = 0 };

/* The names by number, ended by NULL: `words` of an option. */
extern const char *const mr_codec_names[MR_CODEC_COUNT + 1];

/* "lz4"; NULL for a number that is no codec. */
const char *mr_codec_name(int codec);
/* 0 or MR_EINVAL. */
int mr_codec_parse(const char *name, enum mr_codec *ret_codec);
/* Whether the codec takes this level: 0 everywhere (the codec's default), gzip 1 to 9, lz4 -64 to
 * 12 (negative: faster; from 3 on: the slow, dense variant), zstd -50 to 22. */
int mr_codec_check_level(enum mr_codec codec, int level); /* 0 or MR_EINVAL */

/* Working memory of all codecs, made when first needed and kept. Belongs to one thread at a time.
 */
struct mr_codec_context;
int mr_codec_context_new(struct mr_codec_context **ret_context); /* 0 or MR_ENOMEM */
void mr_codec_context_free(struct mr_codec_context *context);

/* Appends the compressed form of the parts, taken together, to `out`. 0, MR_EINVAL for a codec or
 * level that does not exist, or MR_ENOMEM; `out` keeps its size unless 0 is returned. */
int mr_codec_compress(struct mr_codec_context *context, enum mr_codec codec, int level,
                      const struct iovec *parts, int part_count, struct mr_bytes *out);

/* Appends what was compressed to `out`. The input must be whole and nothing may follow it. 0,
 * MR_ETOOLARGE when more than `limit_bytes` would come out (little more than that is ever
 * allocated), MR_ECORRUPT, MR_EUNSUPPORTED for a codec that does not exist, or MR_ENOMEM; `out`
 * keeps its size unless 0 is returned. */
int mr_codec_decompress(struct mr_codec_context *context, enum mr_codec codec, const void *data,
                        size_t size_bytes, size_t limit_bytes, struct mr_bytes *out);

#endif
