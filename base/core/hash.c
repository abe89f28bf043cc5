/* XXH3 through one door, so that the rooms above need not name the library. */
#include "base/core/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t mr_hash64(const void *data, size_t size_bytes)
{
    return XXH3_64bits(data, size_bytes);
}
