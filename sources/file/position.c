/* Positions to bytes and back: see position.h for the layout. */
#include "sources/file/position.h"

#include <string.h>

#include "base/core/error.h"

enum { POSITION_FORMAT = 1 };

#define INHERITED_KNOWN UINT32_C(0x33)
#define FLAGS_KNOWN                                                                                \
    (POSITION_IN_LONG_LINE | POSITION_GZIP | POSITION_FIRST_START | POSITION_COMPLETE)

void position_init(struct position *position)
{
    memset(position, 0, sizeof *position);
    for (int i = 0; i < LANES; i++) {
        position->lanes[i].pending_start = -1;
    }
}

static uint8_t *put(uint8_t *at, uint64_t value, int size)
{
    for (int i = 0; i < size; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
    return at + size;
}

static uint64_t get(const uint8_t **at, int size)
{
    uint64_t value = 0;

    for (int i = 0; i < size; i++) {
        value |= (uint64_t)(*at)[i] << (8 * i);
    }
    *at += size;
    return value;
}

size_t position_encode(const struct position *position, const char *path, uint8_t *data)
{
    const struct identity *identity = &position->identity;
    size_t path_size = path == NULL ? 0 : strlen(path);
    uint8_t *at = data;

    if (path_size > POSITION_PATH_SIZE_MAX) {
        path_size = 0;
    }
    at = put(at, POSITION_FORMAT, 1);
    at = put(at, position->flags, 1);
    at = put(at, path_size, 2);
    at = put(at, position->generation, 4);
    at = put(at, (uint64_t)position->offset, 8);
    at = put(at, identity->device, 8);
    at = put(at, identity->inode, 8);
    at = put(at, (uint64_t)identity->born_us, 8);
    at = put(at, identity->head_hash, 8);
    at = put(at, identity->tail_hash, 8);
    at = put(at, identity->head_size, 2);
    at = put(at, identity->tail_size, 2);
    for (int i = 0; i < LANES; i++) {
        at = put(at, (uint64_t)position->lanes[i].pending_start, 8);
        at = put(at, position->lanes[i].pending_skip, 4);
        at = put(at, position->lanes[i].flags, 4);
    }
    memcpy(at, position->predecessor, FILE_KEY_SIZE);
    at += FILE_KEY_SIZE;
    at = put(at, position->inherited, 4);
    for (int i = 0; i < LANES; i++) {
        at = put(at, (uint64_t)position->inherited_start[i], 8);
    }
    mr_assert(at - data == POSITION_FIXED_SIZE);
    if (path_size > 0) {
        memcpy(at, path, path_size);
    }
    return (size_t)(at - data) + path_size;
}

static int check(const struct position *position)
{
    const struct identity *identity = &position->identity;

    if (position->offset < 0 || (position->flags & ~(uint32_t)FLAGS_KNOWN) != 0 ||
        (position->inherited & ~INHERITED_KNOWN) != 0 || identity->head_size > HEAD_SIZE_MAX ||
        identity->tail_size > TAIL_SIZE_MAX || identity->tail_size > position->offset ||
        /* Of a line that is delivered in parts the first may be out: a head, at the start. */
        (position->offset > 0 && identity->head_size > position->offset)) {
        return MR_ECORRUPT;
    }
    for (int i = 0; i < LANES; i++) {
        const struct lane_position *lane = &position->lanes[i];

        if (lane->pending_start < -1 || lane->pending_start > position->offset ||
            (lane->flags & ~(uint32_t)(LANE_CONTINUES | LANE_IN_LINE)) != 0 ||
            position->inherited_start[i] < 0) {
            return MR_ECORRUPT;
        }
    }
    return 0;
}

int position_decode(const void *data, size_t size, struct position *ret_position,
                    const char **ret_path, size_t *ret_path_size)
{
    const uint8_t *at = data;
    const uint8_t *end = at + size;
    struct position position;
    size_t path_size;
    int rc;

    if (size < 1) {
        return MR_ECORRUPT;
    }
    if (at[0] != POSITION_FORMAT) {
        return MR_EUNSUPPORTED;
    }
    if (size < POSITION_FIXED_SIZE) {
        return MR_ECORRUPT;
    }
    position_init(&position);
    at++;
    position.flags = (uint32_t)get(&at, 1);
    path_size = (size_t)get(&at, 2);
    position.generation = (uint32_t)get(&at, 4);
    position.offset = (int64_t)get(&at, 8);
    position.identity.device = get(&at, 8);
    position.identity.inode = get(&at, 8);
    position.identity.born_us = (int64_t)get(&at, 8);
    position.identity.head_hash = get(&at, 8);
    position.identity.tail_hash = get(&at, 8);
    position.identity.head_size = (uint16_t)get(&at, 2);
    position.identity.tail_size = (uint16_t)get(&at, 2);
    for (int i = 0; i < LANES; i++) {
        position.lanes[i].pending_start = (int64_t)get(&at, 8);
        position.lanes[i].pending_skip = (uint32_t)get(&at, 4);
        position.lanes[i].flags = (uint32_t)get(&at, 4);
    }
    memcpy(position.predecessor, at, FILE_KEY_SIZE);
    at += FILE_KEY_SIZE;
    position.inherited = (uint32_t)get(&at, 4);
    for (int i = 0; i < LANES; i++) {
        position.inherited_start[i] = (int64_t)get(&at, 8);
    }
    rc = (size_t)(end - at) == path_size ? check(&position) : MR_ECORRUPT;
    if (rc != 0) {
        return rc;
    }
    *ret_position = position;
    *ret_path = (const char *)at;
    *ret_path_size = path_size;
    return 0;
}
