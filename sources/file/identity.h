/* Which file is this? A path says little (rotation), an inode number is used again, and two files
 * may begin alike. So a file is told by several marks together:
 *
 *   device, inode   the kernel's word; the device number may change over a remount
 *   birth           where the file system keeps it: a reused inode has another birth
 *   head            size and hash of the first bytes, at most 1024, and only bytes that were
 * consumed: it grows with the position, so that a file of one short line has one too tail hash of
 * the last bytes before the position: tells a file that was rewritten behind an unchanged head
 *
 * "The same content up to the position" means: long enough, same head, same tail. */
#ifndef SOURCES_FILE_IDENTITY_H
#define SOURCES_FILE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_disk;
struct mr_disk_stat;

enum {
    HEAD_SIZE_MAX = 1024,
    TAIL_SIZE_MAX = 64,
};

struct identity {
    uint64_t device;
    uint64_t inode;
    int64_t born_us; /* 0: unknown */
    uint64_t head_hash;
    uint64_t tail_hash;
    uint16_t head_size;
    uint16_t tail_size;
};

enum identity_answer {
    IDENTITY_SAME,    /* the same content up to the offset */
    IDENTITY_CHANGED, /* shorter, or other bytes */
    IDENTITY_UNKNOWN, /* could not be read: the code says why */
};

uint64_t identity_hash(const void *data, size_t size);

/* Whether what stat says can be this file at all: same inode, and no other birth. A device number
 * that changed is allowed only where the births agree or a head can be compared (`needs_content` is
 * set). */
bool identity_may_be(const struct identity *identity, const struct mr_disk_stat *stat,
                     bool *ret_needs_content);
/* Same file for the kernel, now: device and inode. */
bool identity_is_at(const struct identity *identity, const struct mr_disk_stat *stat);

/* Compares an open file's content with the identity, as of `offset`. Reads at most 1088 bytes. */
enum identity_answer identity_compare(const struct identity *identity, struct mr_disk *disk, int fd,
                                      int64_t size_bytes, int64_t offset);
/* The head alone: a fast no. */
enum identity_answer identity_compare_head(const struct identity *identity, struct mr_disk *disk,
                                           int fd);
/* Makes the head longer, up to `offset` consumed bytes, after checking that it is still the old
 * one. */
enum identity_answer identity_grow_head(struct identity *identity, struct mr_disk *disk, int fd,
                                        int64_t offset);

#endif
