/* CRI lines: see runtime.h. The format is that of kubernetes' kubelet (KEP "CRI log format"):
 * timestamp, stream, tags, content, each separated by one space. */
#include <string.h>

#include "sources/file/runtime.h"

#include "base/text/time.h"

bool runtime_parse_cri(const uint8_t *line, size_t size, struct runtime_piece *ret_piece)
{
    const char *at = (const char *)line;
    const char *end = at + size;
    struct runtime_piece piece = {0};
    int64_t time_us;
    size_t used;

    if (mr_time_parse(at, size, &time_us, &used) != 0 || used == size || at[used] != ' ') {
        return false;
    }
    piece.timestamp_ms = time_us / 1000;
    at += used + 1;
    if (end - at < 9 || (memcmp(at, "stdout ", 7) != 0 && memcmp(at, "stderr ", 7) != 0)) {
        if (end - at < 8 || (memcmp(at, "stdout ", 7) != 0 && memcmp(at, "stderr ", 7) != 0)) {
            return false;
        }
    }
    piece.lane = memcmp(at, "stderr ", 7) == 0 ? 1 : 0;
    at += 7;
    if (*at != 'P' && *at != 'F') {
        return false;
    }
    piece.is_last = *at == 'F';
    at = memchr(at, ' ', (size_t)(end - at));
    if (at == NULL) {
        at = end - 1; /* an empty line may come without the last space */
    }
    piece.data = (const uint8_t *)at + 1;
    piece.size = (size_t)(end - at) - 1;
    *ret_piece = piece;
    return true;
}
