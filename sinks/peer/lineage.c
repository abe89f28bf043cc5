#include "sinks/peer/lineage.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/hash.h"
#include "queue/wire/bytes.h"

/* version 1: version 1, node 16, nodes hash 8, topic id 16, partition 4, producer id 8, epoch 2,
 * start offset 8, hub end offset 8, cluster 1 + n, topic 1 + n, bad count 1, each 8 + 4 + 4.
 * Integers are big-endian. Valid: the version is known and the bytes end with the last entry. */
enum {
    LINEAGE_VERSION = 1,
    FIXED_SIZE = 1 + 16 + 8 + 16 + 4 + 8 + 2 + 8 + 8,
    BAD_SIZE = 16,
};
static_assert(FIXED_SIZE + 1 + LINEAGE_CLUSTER_SIZE + 1 + LINEAGE_TOPIC_SIZE + 1 +
                      BAD_SIZE * LINEAGE_BAD_MAX <=
                  LINEAGE_BYTES_MAX,
              "the largest state fits");

static const int64_t PRODUCER_BIT = INT64_C(1) << 62;
static const int64_t SEQUENCES = INT64_C(1) << 31;

/* ---- as bytes ---- */

static uint8_t *put_text(uint8_t *at, const char *text)
{
    size_t size = strlen(text);

    *at++ = (uint8_t)size;
    memcpy(at, text, size);
    return at + size;
}

size_t lineage_encode(const struct lineage *lineage, uint8_t bytes[LINEAGE_BYTES_MAX])
{
    const struct lineage_place *place = &lineage->place;
    uint8_t *at = bytes;

    *at++ = LINEAGE_VERSION;
    memcpy(at, place->node.bytes, 16);
    wire_put_int64(at + 16, (int64_t)place->nodes_hash);
    memcpy(at + 24, place->topic_id.bytes, 16);
    wire_put_int32(at + 40, place->partition);
    wire_put_int64(at + 44, lineage->producer_id);
    wire_put_int16(at + 52, lineage->epoch);
    wire_put_int64(at + 54, lineage->start_offset);
    wire_put_int64(at + 62, lineage->hub_end_offset);
    at = put_text(bytes + FIXED_SIZE, place->cluster);
    at = put_text(at, place->topic);
    *at++ = (uint8_t)lineage->bad_count;
    for (int32_t i = 0; i < lineage->bad_count; i++) {
        wire_put_int64(at, lineage->bad[i].offset);
        wire_put_int32(at + 8, lineage->bad[i].index);
        wire_put_int32(at + 12, lineage->bad[i].count);
        at += BAD_SIZE;
    }
    return (size_t)(at - bytes);
}

static const uint8_t *get_text(const uint8_t *at, const uint8_t *end, char *ret_text, size_t size)
{
    if (at == NULL || at == end || *at >= size || (size_t)(end - at - 1) < *at) {
        return NULL;
    }
    memcpy(ret_text, at + 1, *at);
    ret_text[*at] = '\0';
    return at + 1 + *at;
}

static int get_bad(const uint8_t *at, const uint8_t *end, struct lineage *lineage)
{
    int32_t count = at == NULL || at == end ? -1 : *at++;

    if (count < 0 || count > LINEAGE_BAD_MAX || end - at != (ptrdiff_t)count * BAD_SIZE) {
        return MR_ECORRUPT;
    }
    for (int32_t i = 0; i < count; i++, at += BAD_SIZE) {
        lineage->bad[i] = (struct lineage_bad){wire_get_int64(at), wire_get_int32(at + 8),
                                               wire_get_int32(at + 12)};
    }
    lineage->bad_count = count;
    return 0;
}

int lineage_decode(const uint8_t *bytes, size_t size, struct lineage *ret_lineage)
{
    const uint8_t *end = bytes + size;
    struct lineage lineage = {0};
    struct lineage_place *place = &lineage.place;
    const uint8_t *at = bytes + 1;
    int rc;

    if (size > 0 && bytes[0] > LINEAGE_VERSION) {
        return MR_EUNSUPPORTED;
    }
    if (size < FIXED_SIZE || bytes[0] != LINEAGE_VERSION) {
        return MR_ECORRUPT;
    }
    memcpy(place->node.bytes, at, 16);
    place->nodes_hash = wire_get_uint64(at + 16);
    memcpy(place->topic_id.bytes, at + 24, 16);
    place->partition = wire_get_int32(at + 40);
    lineage.producer_id = wire_get_int64(at + 44);
    lineage.epoch = wire_get_int16(at + 52);
    lineage.start_offset = wire_get_int64(at + 54);
    lineage.hub_end_offset = wire_get_int64(at + 62);
    at = get_text(bytes + FIXED_SIZE, end, place->cluster, sizeof place->cluster);
    at = get_text(at, end, place->topic, sizeof place->topic);
    rc = get_bad(at, end, &lineage);
    if (rc != 0 || lineage.producer_id < 0 || lineage.epoch < 0 || lineage.start_offset < 0 ||
        place->partition < 0) {
        return MR_ECORRUPT;
    }
    *ret_lineage = lineage;
    return 0;
}

/* ---- beginnings ---- */

static int64_t new_producer_id(struct mr_random *random)
{
    return (int64_t)(mr_random_u64(random) & (uint64_t)(PRODUCER_BIT - 1)) | PRODUCER_BIT;
}

void lineage_begin(struct lineage *lineage, const struct lineage_place *place,
                   struct mr_random *random, int64_t offset)
{
    mr_assert(offset >= 0);
    *lineage = (struct lineage){.place = *place,
                                .producer_id = new_producer_id(random),
                                .start_offset = offset,
                                .hub_end_offset = -1};
}

void lineage_bump(struct lineage *lineage, struct mr_random *random, int64_t offset)
{
    mr_assert(offset >= 0);
    if (lineage->epoch == LINEAGE_EPOCH_MAX) {
        lineage->producer_id = new_producer_id(random);
        lineage->epoch = 0;
    } else {
        lineage->epoch++;
    }
    lineage->start_offset = offset;
}

int32_t lineage_add_bad(struct lineage *lineage, int64_t offset, int32_t index, int32_t rest_count)
{
    struct lineage_bad *last =
        lineage->bad_count == 0 ? NULL : &lineage->bad[lineage->bad_count - 1];

    if (last != NULL && last->offset + last->count == offset &&
        last->index + last->count == index) {
        last->count++; /* neighbours share an entry */
        return 1;
    }
    if (lineage->bad_count < LINEAGE_BAD_MAX - 1) {
        lineage->bad[lineage->bad_count++] = (struct lineage_bad){offset, index, 1};
        return 1;
    }
    lineage->bad[LINEAGE_BAD_MAX - 1] = (struct lineage_bad){offset, index, rest_count};
    lineage->bad_count = LINEAGE_BAD_MAX;
    return rest_count;
}

void lineage_settle_bad(struct lineage *lineage, int64_t offset)
{
    int32_t kept = 0;

    for (int32_t i = 0; i < lineage->bad_count; i++) {
        if (lineage->bad[i].offset >= offset) {
            lineage->bad[kept++] = lineage->bad[i];
        }
    }
    lineage->bad_count = kept;
}

/* ---- decisions ---- */

enum lineage_match lineage_match(const struct lineage *lineage, const struct lineage_place *now,
                                 int32_t hub_partitions, bool is_node_cloned)
{
    const struct lineage_place *then = &lineage->place;

    if (is_node_cloned || !mr_uuid_equal(&then->node, &now->node)) {
        return LINEAGE_FOREIGN;
    }
    if (strcmp(then->cluster, now->cluster) != 0) {
        return then->nodes_hash == now->nodes_hash ? LINEAGE_HUB_WIPED : LINEAGE_MOVED;
    }
    if (strcmp(then->topic, now->topic) != 0) {
        return LINEAGE_RETARGETED;
    }
    /* A topic does not shrink either: fewer partitions are another topic where ids are not told. */
    if (!mr_uuid_equal(&then->topic_id, &now->topic_id) || then->partition >= hub_partitions) {
        return LINEAGE_RECREATED;
    }
    return LINEAGE_HOLDS;
}

/* Of all local offsets with this last sequence the one nearest to the position: sequences wrap, and
 * the hub is never 2^30 records away from where we are. */
static int64_t next_offset_of(const struct lineage *lineage, const struct lineage_view *view)
{
    int64_t next = lineage->start_offset + view->last_sequence + 1;
    int64_t wraps = (view->position - next + SEQUENCES / 2) / SEQUENCES;

    return wraps > 0 ? next + wraps * SEQUENCES : next;
}

/* The hub has nothing of this epoch. */
static enum lineage_verdict nothing_there(const struct lineage *lineage,
                                          const struct lineage_view *view, int64_t *ret_offset)
{
    if (view->position <= lineage->start_offset) {
        *ret_offset = lineage->start_offset;
        return LINEAGE_RESUME;
    }
    if (view->is_known) { /* but of the epoch before: it was cut back */
        *ret_offset = lineage->start_offset;
        return LINEAGE_REWIND;
    }
    if (view->hub_end_offset < 0) {
        return LINEAGE_ASK_END;
    }
    if (view->hub_end_offset < lineage->hub_end_offset) {
        *ret_offset = lineage->start_offset;
        return LINEAGE_REWIND;
    }
    *ret_offset = view->position;
    return LINEAGE_EXPIRED;
}

enum lineage_verdict lineage_resume(const struct lineage *lineage, const struct lineage_view *view,
                                    int64_t *ret_offset)
{
    int64_t next;

    if (view->is_known && view->epoch > lineage->epoch) {
        return LINEAGE_AHEAD;
    }
    if (!view->is_known || view->epoch < lineage->epoch || view->last_sequence < 0) {
        return nothing_there(lineage, view, ret_offset);
    }
    next = next_offset_of(lineage, view);
    if (next > view->sent_offset_max) {
        return LINEAGE_AHEAD;
    }
    *ret_offset = next;
    return next < view->position ? LINEAGE_REWIND : LINEAGE_RESUME;
}

int32_t lineage_spread(const struct mr_uuid *node, const char *topic, int32_t partition,
                       int32_t local_partitions, int32_t hub_partitions)
{
    char key[16 + LINEAGE_TOPIC_SIZE + 16];
    int size;

    mr_assert(hub_partitions > 0);
    if (local_partitions == hub_partitions && partition < hub_partitions) {
        return partition;
    }
    memcpy(key, node->bytes, 16);
    size = snprintf(key + 16, sizeof key - 16, "%s/%d", topic, partition);
    return (int32_t)(mr_hash64(key, 16 + (size_t)size) % (uint64_t)hub_partitions);
}
