/* What a crash may have left at the end of a file that lines or frames are appended to. */
#ifndef SINKS_FILE_TAIL_H
#define SINKS_FILE_TAIL_H

#include <stdint.h>

#include "base/codec/codec.h"

struct mr_disk;

/* Where the last whole line (codec NONE: its line feed included) or frame ends. 0, MR_ECORRUPT when
 * the file is something else (no frames, frames that do not decode to lines, or no line feed within
 * 128 MiB), MR_ENOMEM, or a disk error. */
int file_tail_find(struct mr_disk *disk, int fd, enum mr_codec codec, int64_t size_bytes,
                   int64_t *ret_end);

#endif
