/* Telling files apart: see identity.h. */
#include "sources/file/identity.h"

#include "base/core/disk.h"
#include "base/core/hash.h"

uint64_t identity_hash(const void *data, size_t size)
{
    return mr_hash64(data, size);
}

bool identity_may_be(const struct identity *identity, const struct mr_disk_stat *stat,
                     bool *ret_needs_content)
{
    bool births = identity->born_us != 0 && stat->born_us != 0;

    if (identity->inode != stat->inode || (births && identity->born_us != stat->born_us)) {
        return false;
    }
    *ret_needs_content = !births;
    return births || identity->device == stat->device || identity->head_size > 0;
}

bool identity_is_at(const struct identity *identity, const struct mr_disk_stat *stat)
{
    return identity->inode == stat->inode && identity->device == stat->device;
}

enum identity_answer identity_compare_head(const struct identity *identity, struct mr_disk *disk,
                                           int fd)
{
    uint8_t head[HEAD_SIZE_MAX];
    ssize_t got;

    if (identity->head_size == 0) {
        return IDENTITY_SAME;
    }
    got = mr_disk_pread(disk, fd, head, identity->head_size, 0);
    if (got < 0) {
        return IDENTITY_UNKNOWN;
    }
    if (got != identity->head_size || mr_hash64(head, identity->head_size) != identity->head_hash) {
        return IDENTITY_CHANGED;
    }
    return IDENTITY_SAME;
}

enum identity_answer identity_compare(const struct identity *identity, struct mr_disk *disk, int fd,
                                      int64_t size_bytes, int64_t offset)
{
    uint8_t tail[TAIL_SIZE_MAX];
    enum identity_answer answer;
    ssize_t got;

    if (size_bytes < offset) {
        return IDENTITY_CHANGED;
    }
    answer = identity_compare_head(identity, disk, fd);
    if (answer != IDENTITY_SAME || identity->tail_size == 0) {
        return answer;
    }
    got = mr_disk_pread(disk, fd, tail, identity->tail_size, offset - identity->tail_size);
    if (got < 0) {
        return IDENTITY_UNKNOWN;
    }
    if (got != identity->tail_size || mr_hash64(tail, identity->tail_size) != identity->tail_hash) {
        return IDENTITY_CHANGED;
    }
    return IDENTITY_SAME;
}

enum identity_answer identity_grow_head(struct identity *identity, struct mr_disk *disk, int fd,
                                        int64_t offset)
{
    uint8_t head[HEAD_SIZE_MAX];
    uint16_t want = (uint16_t)(offset < HEAD_SIZE_MAX ? offset : HEAD_SIZE_MAX);
    ssize_t got;

    if (want <= identity->head_size) {
        return IDENTITY_SAME;
    }
    got = mr_disk_pread(disk, fd, head, want, 0);
    if (got < 0) {
        return IDENTITY_UNKNOWN;
    }
    if (got != want ||
        (identity->head_size > 0 && mr_hash64(head, identity->head_size) != identity->head_hash)) {
        return IDENTITY_CHANGED;
    }
    identity->head_hash = mr_hash64(head, want);
    identity->head_size = want;
    return IDENTITY_SAME;
}
