/* Where a compressed frame ends: for files that are frames one after another (gzip members, LZ4 and
 * zstd frames), of which a crash may have torn the last. */
#ifndef BASE_CODEC_FRAME_H
#define BASE_CODEC_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/codec/codec.h"

/* The size of the frame that `data` begins with. 0, MR_ETRUNCATED when the bytes end inside of it
 * (also when there are none), MR_ECORRUPT when no frame begins here, MR_EUNSUPPORTED for a codec
 * without frames (none, snappy), or MR_ENOMEM. Checksums are verified where finding the end means
 * decompressing (gzip), and not otherwise. */
int mr_codec_frame_size(enum mr_codec codec, const uint8_t *data, size_t size_bytes,
                        size_t *ret_size);

#endif
