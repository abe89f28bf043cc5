/* A lineage: one local partition's way into one partition at the hub, and every decision about it.
 *
 * A lineage is a producer id and epoch, as the hub's idempotence knows them; the sequence of a
 * record is its local offset less the offset where the epoch began (mod 2^31, as Kafka wraps). So
 * an answer of the hub ("last sequence 41 of this producer") is a local offset, and nothing has to
 * be counted or kept per record. What is kept is struct lineage; it is committed before the first
 * record goes out under it.
 *
 * Nothing here does I/O: the lane asks, tells what it sees, and does what is decided. */
#ifndef SINKS_PEER_LINEAGE_H
#define SINKS_PEER_LINEAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/random.h"

enum {
    LINEAGE_CLUSTER_SIZE = 64,
    LINEAGE_TOPIC_SIZE = 250, /* Kafka's 249 and NUL */
    LINEAGE_BAD_MAX = 32,
    LINEAGE_EPOCH_MAX = 32767,
};

/* Where a lineage leads, and whose it is. */
struct lineage_place {
    struct mr_uuid node;                /* ours */
    uint64_t nodes_hash;                /* of the addresses in the configuration */
    char cluster[LINEAGE_CLUSTER_SIZE]; /* the hub's cluster id; "" if it tells none */
    char topic[LINEAGE_TOPIC_SIZE];     /* at the hub */
    struct mr_uuid topic_id;            /* zero if the hub tells none */
    int32_t partition;
};

/* Records that the hub refused for themselves, in a write that is not answered yet. */
struct lineage_bad {
    int64_t offset;
    int32_t index; /* in its batch */
    int32_t count;
};

struct lineage {
    struct lineage_place place;
    int64_t producer_id; /* bit 62 set, bit 63 clear: InitProducerId never gives such */
    int16_t epoch;
    int64_t start_offset;   /* local offset of sequence 0; all below is settled */
    int64_t hub_end_offset; /* behind our last acknowledged record, there; -1: none yet */
    struct lineage_bad bad[LINEAGE_BAD_MAX];
    int32_t bad_count;
};

/* ---- as bytes, for the flow's commit ---- */

enum { LINEAGE_BYTES_MAX = 1024 };
size_t lineage_encode(const struct lineage *lineage, uint8_t bytes[LINEAGE_BYTES_MAX]);
/* 0, MR_EUNSUPPORTED (a newer version wrote it), or MR_ECORRUPT. */
int lineage_decode(const uint8_t *bytes, size_t size, struct lineage *ret_lineage);

/* ---- beginnings ---- */

/* A new producer id at epoch 0; sequence 0 is `offset`. */
void lineage_begin(struct lineage *lineage, const struct lineage_place *place,
                   struct mr_random *random, int64_t offset);
/* The next epoch (or, behind the last, a new producer id); sequence 0 is `offset`. */
void lineage_bump(struct lineage *lineage, struct mr_random *random, int64_t offset);

static inline int32_t lineage_sequence(const struct lineage *lineage, int64_t offset)
{
    return (int32_t)((uint64_t)(offset - lineage->start_offset) & INT32_MAX);
}

/* Adds refused records; when the list is full its last entry grows, and what lies between is given
 * up with it: then all up to `rest_count` records from here on. Returns how many are given up. */
int32_t lineage_add_bad(struct lineage *lineage, int64_t offset, int32_t index, int32_t rest_count);
/* Forgets those below the offset. */
void lineage_settle_bad(struct lineage *lineage, int64_t offset);

/* ---- does the stored lineage still hold? ---- */

enum lineage_match {
    LINEAGE_HOLDS,
    LINEAGE_FOREIGN,    /* another node's: this data directory was cloned */
    LINEAGE_MOVED,      /* the configuration names another hub */
    LINEAGE_HUB_WIPED,  /* the same addresses, another cluster: what we sent is gone */
    LINEAGE_RECREATED,  /* the topic was removed and made anew */
    LINEAGE_RETARGETED, /* another topic or partition, by configuration */
};
enum lineage_match lineage_match(const struct lineage *lineage, const struct lineage_place *now,
                                 int32_t hub_partitions, bool is_node_cloned);

/* ---- where does it go on? ---- */

struct lineage_view {
    int64_t position;        /* the first record that the flow still wants delivered */
    int64_t sent_offset_max; /* nothing behind it can be at the hub from us */
    bool is_known;           /* the hub knows the producer: */
    int32_t epoch;
    int32_t last_sequence;  /* -1: none in this epoch */
    int64_t hub_end_offset; /* the partition's at the hub; -1: not asked */
};

enum lineage_verdict {
    LINEAGE_RESUME,  /* at *ret_offset: what is below is at the hub */
    LINEAGE_REWIND,  /* to *ret_offset: the hub has lost what is above */
    LINEAGE_ASK_END, /* the hub's end offset is needed */
    LINEAGE_EXPIRED, /* the hub forgot the producer, not the records: next epoch at the position */
    LINEAGE_AHEAD,   /* the hub has what we never sent: we were rolled back, restored or copied */
};
enum lineage_verdict lineage_resume(const struct lineage *lineage, const struct lineage_view *view,
                                    int64_t *ret_offset);

/* The partition at the hub for a local one: the same number where both have as many, else spread by
 * node, topic and partition. local_partitions 0: not known. */
int32_t lineage_spread(const struct mr_uuid *node, const char *topic, int32_t partition,
                       int32_t local_partitions, int32_t hub_partitions);

#endif
