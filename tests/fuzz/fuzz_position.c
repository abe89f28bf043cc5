/* Positions from a log: any bytes are refused or taken, and what is taken is written back the same.
 */
#include <stdint.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "sources/file/position.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct position position;
    const char *path;
    size_t path_size;
    uint8_t again[1024];

    if (size <= sizeof again && position_decode(data, size, &position, &path, &path_size) == 0) {
        char *text = mr_strndup(path, path_size);

        mr_assert(text != NULL);
        if (strlen(text) == path_size && path_size <= POSITION_PATH_SIZE_MAX) {
            mr_assert(position_encode(&position, text, again) == size);
            mr_assert(memcmp(again, data, size) == 0);
        }
        mr_free(text);
    }
    return 0;
}
