/* Where sources stand: for each stream of each source the position after its last durable event,
 * and what each source has delivered and dropped so far.
 *
 * The truth is in the log itself: the last record of every batch that a source appends carries the
 * header mr.pos with what that batch changed, so that lines and positions become durable together.
 * The table is the sum of all these, and is checkpointed so that old segments may go and a start
 * reads little.
 *
 * mr.pos, version 1, big-endian:
 *     u8 version (1) | 16 node uuid | u8 size, source id
 *     u16 count of drops,   each: u8 size, reason | i64 events | i64 bytes
 *     u16 count of streams, each: u8 size, key | u32 skip | u16 size, position
 * Counts are what is new with this batch; its records themselves count as delivered. `skip`: how
 * many events behind the position are in the log already. It is 0 but in logs of older versions,
 * which wrote it where one block of a source filled more than one batch; it is still honoured. */
#ifndef AGENT_FLOW_POSITIONS_H
#define AGENT_FLOW_POSITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/buffer.h"
#include "base/core/map.h"
#include "base/core/random.h"
#include "sources/source.h"

enum { POSITIONS_REASONS_MAX = 16, POSITIONS_ENTRIES_MAX = 256 };

struct position {
    uint8_t key[SOURCE_KEY_SIZE_MAX];
    uint8_t key_size;
    uint32_t skip;
    uint16_t size;
    uint16_t capacity;
    uint8_t *value; /* mr_malloc; NULL while the capacity is 0 */
};

/* The same, pointing into bytes that belong to somebody else. */
struct position_view {
    const uint8_t *key;
    size_t key_size;
    uint32_t skip;
    const uint8_t *value;
    size_t size;
};

struct position_drop {
    char reason[48];
    int64_t events;
    int64_t bytes;
};

/* What one source has done in one partition. */
struct position_source {
    char *id;
    struct mr_map streams; /* key -> struct position * */
    int64_t delivered_events;
    struct position_drop drops[POSITIONS_REASONS_MAX];
    size_t drop_count;
};

struct positions {
    struct mr_uuid node_uuid;
    struct mr_map sources; /* id -> struct position_source * */
    int64_t offset;        /* everything below it is in here */
    int64_t unattributed;  /* records below it that no source is known to have delivered: their
                              segments went together with the checkpoints, or were damaged */
    bool is_dirty;         /* changed since the last checkpoint */
};

void positions_init(struct positions *positions, const struct mr_uuid *node_uuid);
void positions_done(struct positions *positions);
/* NULL without memory (or, without `create`, if unknown). */
struct position_source *positions_source(struct positions *positions, const char *id, bool create);
const struct position *positions_get(const struct positions *positions, const char *source_id,
                                     const void *key, size_t key_size);
void positions_forget(struct positions *positions, const char *source_id, const void *key,
                      size_t key_size);

/* ---- what one batch changes ---- */

struct position_change {
    struct position entries[POSITIONS_ENTRIES_MAX]; /* their memory is kept from batch to batch */
    size_t entry_count;
    size_t entry_bytes; /* of the entries, encoded */
    struct position_drop drops[POSITIONS_REASONS_MAX];
    size_t drop_count;
};

void position_change_clear(struct position_change *change); /* keeps memory */
void position_change_done(struct position_change *change);
/* Makes sure that the next set of this stream does not fail: 0, MR_EFULL, MR_ENOMEM. */
int position_change_reserve(struct position_change *change, const void *key, size_t key_size);
/* Sets a stream's entry (replacing an earlier one): 0, MR_EFULL, MR_ENOMEM. */
int position_change_set(struct position_change *change, const void *key, size_t key_size,
                        uint32_t skip, const void *value, size_t size);
/* The entry of a stream, or NULL. */
const struct position *position_change_get(const struct position_change *change, const void *key,
                                           size_t key_size);
/* Adds to a reason's counters; beyond POSITIONS_REASONS_MAX reasons they go to the last one. */
void position_drop_add(struct position_drop *drops, size_t *count, const char *reason,
                       int64_t events, int64_t bytes);
/* The header's value. */
void position_change_encode(const struct position_change *change, const struct mr_uuid *node_uuid,
                            const char *source_id, struct mr_bytes *out);

/* Takes a header's value into the table: `events` records were delivered with it, and the log now
 * ends at next_offset. A value of another node is ignored. 0, or MR_ECORRUPT or MR_ENOMEM, and the
 * table says the same as before: it can be tried again. */
int positions_apply(struct positions *positions, const void *header, size_t size, int64_t events,
                    int64_t next_offset);
/* Everything below next_offset has been looked at: what no value spoke of is unattributed. */
void positions_pass(struct positions *positions, int64_t next_offset);
/* The entry of a stream in a header's value; points into it. */
bool position_header_find(const void *header, size_t size, const void *key, size_t key_size,
                          struct position_view *ret_view);
/* Takes a value back into a change (a batch that was dropped): its drops are added, and so are its
 * entries, but for those of which somebody knows something newer: the change itself, or the owner
 * (is_newer, may be NULL). */
typedef bool (*position_is_newer_cb)(void *owner, const void *key, size_t key_size);
int position_change_return(struct position_change *change, const void *header, size_t size,
                           position_is_newer_cb is_newer, void *owner);

/* ---- the checkpoint ----
 *
 *     "MRPOS\0\0\1" | u32 CRC-32C of the rest | u64 generation | i64 offset | i64 unattributed
 *     16 node uuid | u32 count of sources, each: u8 size, id | i64 delivered | u16 drops as above |
 *     u32 streams as above | zeros
 *
 * The zeros give a size that seldom changes: a slot that is removed on a full disk makes room for
 * its successor. */

void positions_encode(const struct positions *positions, uint64_t generation, struct mr_bytes *out);
/* Replaces the table's content. MR_ECORRUPT (another node's is that too) leaves it empty. */
int positions_decode(struct positions *positions, const void *data, size_t size,
                     uint64_t *ret_generation);

#endif
