/* Where a file stands, as the host keeps it in the log: opaque bytes to the host, versioned here.
 *
 * Little-endian, format 1:
 *
 *     u8 format | u8 flags | u16 path_size | u32 generation | i64 offset
 *     u64 device | u64 inode | i64 born_us | u64 head_hash | u64 tail_hash | u16 head_size | u16
 * tail_size 2 lanes: i64 pending_start | u32 pending_skip | u32 lane flags key[16] predecessor |
 * u32 inherited path
 *
 * Valid is: exactly this size, known flags, and numbers within their bounds. Anything else is
 * refused as a whole and the file counts as unknown. The bytes travel in record batches, whose
 * checksum covers them; nothing torn gets here. */
#ifndef SOURCES_FILE_POSITION_H
#define SOURCES_FILE_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sources/file/identity.h"

enum {
    LANES = 2, /* lane 0: stdout and everything plain; lane 1: stderr */
    FILE_KEY_SIZE = 16,
    POSITION_FIXED_SIZE = 128,
    POSITION_PATH_SIZE_MAX = 1024 - POSITION_FIXED_SIZE,
};

enum position_flags {
    POSITION_IN_LONG_LINE = 1, /* the offset is inside of a line that is delivered in parts */
    POSITION_GZIP = 2,         /* offset, head and tail are those of the decompressed bytes */
    POSITION_FIRST_START = 4,  /* no file: says that the source has started before */
    POSITION_COMPLETE = 8,     /* a compressed file that was read to its verified end */
};

enum lane_flags {
    LANE_CONTINUES = 1, /* a first part of this event was delivered already */
    LANE_IN_LINE = 2,   /* and that part ended inside of a line */
};

/* An event that began before `offset` and is not yet whole. A restart reads it again from here. */
struct lane_position {
    int64_t pending_start; /* of its first line; -1: nothing is pending */
    uint32_t pending_skip; /* bytes of that line's content that were delivered */
    uint32_t flags;
};

struct position {
    struct identity identity;
    uint32_t generation; /* counts truncations */
    uint32_t flags;
    int64_t offset; /* after the last line that was taken */
    struct lane_position lanes[LANES];
    /* The file before this one under the same path, whose unfinished container line goes on here:
     * bits of `inherited`: 1 << lane: taken over for good; 16 << lane: and still pending. */
    uint8_t predecessor[FILE_KEY_SIZE];
    uint32_t inherited;
    int64_t inherited_start[LANES]; /* where that line begins in the predecessor */
};

/* At offset 0 of an unknown file. */
void position_init(struct position *position);
/* Fills at most 1024 bytes. A path that does not fit is left out. */
size_t position_encode(const struct position *position, const char *path, uint8_t *data);
/* The path is borrowed from data, without NUL. 0, MR_EUNSUPPORTED (a newer format) or MR_ECORRUPT.
 */
int position_decode(const void *data, size_t size, struct position *ret_position,
                    const char **ret_path, size_t *ret_path_size);

#endif
