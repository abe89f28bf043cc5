/* mr.pos values and checkpoints: the first byte says which. What is taken comes out the same. */
#include <string.h>

#include "agent/flow/positions.h"
#include "base/codec/crc32c.h"
#include "base/core/error.h"
#include "base/core/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct position_change *change; /* large; one for all runs */

static void try_value(struct positions *positions, const uint8_t *data, size_t size)
{
    struct position_view view;
    int rc = positions_apply(positions, data, size, 3, 3);

    mr_assert(rc == 0 || rc == MR_ECORRUPT);
    if (size >= 17) { /* another time as this node's own */
        memcpy(positions->node_uuid.bytes, data + 1, sizeof positions->node_uuid.bytes);
        rc = positions_apply(positions, data, size, 3, 6);
        mr_assert(rc == MR_ECORRUPT || positions->offset == 6);
    }
    (void)position_header_find(data, size, "key", 3, &view);
    (void)position_change_return(change, data, size, NULL, NULL);
    position_change_clear(change);
}

static void try_checkpoint(struct positions *positions, uint8_t *data, size_t size)
{
    struct mr_bytes out;
    uint64_t generation = 0;
    uint32_t crc;

    if (size < 56) {
        (void)positions_decode(positions, data, size, &generation);
        return;
    }
    /* Past the checksum and the owner, which no fuzzer guesses. */
    memcpy(data, "MRPOS\0\0\1", 8);
    memcpy(data + 36, positions->node_uuid.bytes, sizeof positions->node_uuid.bytes);
    crc = mr_crc32c(0, data + 12, size - 12);
    for (int i = 0; i < 4; i++) {
        data[8 + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
    if (positions_decode(positions, data, size, &generation) == 0) {
        mr_bytes_init(&out);
        positions_encode(positions, generation, &out);
        mr_assert(out.failed != 0 ||
                  positions_decode(positions, out.data, out.size_bytes, &generation) == 0);
        mr_bytes_done(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mr_uuid uuid = {{1, 2, 3}};
    struct positions positions;
    uint8_t *copy;

    if (change == NULL) {
        change = mr_calloc(1, sizeof *change);
    }
    if (size == 0 || change == NULL) {
        return 0;
    }
    copy = mr_malloc(size);
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, data, size);
    positions_init(&positions, &uuid);
    if (data[0] % 2 == 0) {
        try_value(&positions, copy + 1, size - 1);
    } else {
        try_checkpoint(&positions, copy + 1, size - 1);
    }
    positions_done(&positions);
    mr_free(copy);
    return 0;
}
