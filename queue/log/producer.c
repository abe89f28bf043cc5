/* What the log remembers of idempotent producers, by Kafka's rules: the last five batches of each,
 * so that one that is sent again is answered with the offsets it has, and one that leaves a gap is
 * refused.
 *
 * A batch of a producer that is not known is taken whatever its sequence (its state may have
 * expired); a new epoch begins at sequence 0. The age of a producer is the append time of its last
 * batch.
 *
 * The snapshot is Kafka's file, version 1, which keeps the last batch of each:
 *
 *     0 version 2 (1), 2 crc 4 (CRC-32C of byte 6 on), 6 count 4, then 46 bytes each:
 *     producer id 8, epoch 2, last sequence 4, last offset 8, offset delta 4, timestamp 8,
 *     coordinator epoch 4, first offset of the open transaction 8
 *
 * Behind that, where Kafka does not look: "MRP1", and for each producer in the same order the
 * append time of its last batch 8, the number of older batches 1, and those as last sequence 4,
 * offset delta 4, last offset 8, timestamp 8. With them a retry over a restart is answered like one
 * before it. */
#include "queue/log/log_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/codec/crc32c.h"
#include "base/core/memory.h"
#include "queue/wire/bytes.h"

enum {
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_HEAD_SIZE = 10,
    SNAPSHOT_ENTRY_SIZE = 46,
    SNAPSHOT_CRC_FROM = 6,
    SNAPSHOT_TAIL_FIXED_SIZE = 9,
    SNAPSHOT_TAIL_BATCH_SIZE = 24,
    SNAPSHOT_FILE_MAX = 1 << 28,
};

void producers_init(struct producers *producers, int count_max)
{
    mr_map_init(&producers->by_id);
    mr_list_init(&producers->clients);
    mr_list_init(&producers->lineages);
    producers->count_max = count_max;
}

static struct producer *producer_find(const struct producers *producers, int64_t id)
{
    return mr_map_get(&producers->by_id, &id, sizeof id);
}

static void producer_remove(struct producers *producers, struct producer *producer)
{
    (void)mr_map_remove(&producers->by_id, &producer->id, sizeof producer->id);
    mr_list_remove(&producer->age_link);
    mr_free(producer);
}

void producers_clear(struct producers *producers)
{
    struct mr_link *lists[] = {&producers->clients, &producers->lineages};

    for (size_t i = 0; i < 2; i++) {
        mr_list_each(lists[i], link, next)
        {
            producer_remove(producers, mr_container(link, struct producer, age_link));
        }
    }
}

void producers_done(struct producers *producers)
{
    producers_clear(producers);
    mr_map_done(&producers->by_id);
}

/* A new one, in the age list of its kind. Over the bound the oldest makes room, a client before a
 * lineage: clients begin anew where they are forgotten, a lineage would raise an alarm. One with an
 * open transaction stays. */
static struct producer *producer_add(struct producers *producers, int64_t id)
{
    struct producer *producer;
    struct mr_link *lists[] = {&producers->clients, &producers->lineages};

    for (size_t i = 0; i < 2 && producers->by_id.count >= (size_t)producers->count_max; i++) {
        mr_list_each(lists[i], link, next)
        {
            struct producer *oldest = mr_container(link, struct producer, age_link);

            if (producers->by_id.count < (size_t)producers->count_max) {
                break;
            }
            if (oldest->transaction_first_offset < 0) {
                producer_remove(producers, oldest);
            }
        }
    }
    producer = mr_calloc(1, sizeof *producer);
    if (producer == NULL) {
        return NULL;
    }
    producer->id = id;
    producer->epoch = -1;
    producer->coordinator_epoch = -1;
    producer->transaction_first_offset = -1;
    if (mr_map_put(&producers->by_id, &id, sizeof id, producer, NULL) != 0) {
        mr_free(producer);
        return NULL;
    }
    mr_list_append(lists[(id & LOG_LINEAGE_BIT) != 0], &producer->age_link);
    return producer;
}

static const struct producer_batch *producer_last(const struct producer *producer)
{
    return producer->batch_count > 0 ? &producer->batches[producer->batch_count - 1] : NULL;
}

/* ---- checking and noting ---- */

static int check_sequence(const struct producer *producer, const struct batch_header *header)
{
    const struct producer_batch *last = producer_last(producer);

    if (header->producer_epoch != producer->epoch) {
        return header->base_sequence == 0 || producer->epoch < 0 ? 0 : MR_ESEQUENCE;
    }
    if (last == NULL) { /* a marker alone has made this epoch known */
        return header->base_sequence == 0 ? 0 : MR_ESEQUENCE;
    }
    return header->base_sequence == batch_sequence_add(last->last_sequence, 1) ? 0 : MR_ESEQUENCE;
}

int producers_check(const struct producers *producers, const struct batch_header *header,
                    int64_t *ret_base_offset, int64_t *ret_last_offset)
{
    const struct producer *producer;
    int32_t last_sequence;

    if (header->producer_id < 0) {
        return 0;
    }
    producer = producer_find(producers, header->producer_id);
    if (producer == NULL) {
        return 0;
    }
    if (header->producer_epoch < producer->epoch) {
        return MR_EFENCED;
    }
    if ((header->attributes & BATCH_CONTROL) != 0) {
        return 0;
    }
    if (header->base_sequence < 0) {
        return MR_ESEQUENCE;
    }
    last_sequence = batch_last_sequence(header);
    for (int i = 0; header->producer_epoch == producer->epoch && i < producer->batch_count; i++) {
        const struct producer_batch *batch = &producer->batches[i];

        if (batch->last_sequence == last_sequence &&
            batch->offset_delta == header->last_offset_delta) {
            *ret_base_offset = batch->last_offset - batch->offset_delta;
            *ret_last_offset = batch->last_offset;
            return MR_EDUPLICATE;
        }
    }
    return check_sequence(producer, header);
}

int producers_reserve(struct producers *producers, const struct batch_header *header)
{
    if (header->producer_id < 0 || producer_find(producers, header->producer_id) != NULL) {
        return 0;
    }
    return producer_add(producers, header->producer_id) == NULL ? MR_ENOMEM : 0;
}

int producers_note(struct producers *producers, const struct batch_header *header,
                   int64_t append_ms)
{
    struct producer *producer;

    if (header->producer_id < 0) {
        return 0;
    }
    producer = producer_find(producers, header->producer_id);
    if (producer == NULL) {
        producer = producer_add(producers, header->producer_id);
        if (producer == NULL) {
            return MR_ENOMEM;
        }
    }
    if (header->producer_epoch != producer->epoch) {
        producer->epoch = header->producer_epoch;
        producer->batch_count = 0;
    }
    producer->last_append_ms = append_ms;
    mr_list_remove(&producer->age_link);
    mr_list_append((producer->id & LOG_LINEAGE_BIT) != 0 ? &producers->lineages
                                                         : &producers->clients,
                   &producer->age_link);
    if ((header->attributes & BATCH_CONTROL) != 0) {
        producer->transaction_first_offset = -1;
        return 0;
    }
    if ((header->attributes & BATCH_TRANSACTIONAL) != 0 && producer->transaction_first_offset < 0) {
        producer->transaction_first_offset = header->base_offset;
    }
    if (producer->batch_count == LOG_PRODUCER_BATCHES) {
        memmove(producer->batches, producer->batches + 1,
                (LOG_PRODUCER_BATCHES - 1) * sizeof producer->batches[0]);
        producer->batch_count--;
    }
    producer->batches[producer->batch_count] = (struct producer_batch){
        .last_sequence = batch_last_sequence(header),
        .offset_delta = header->last_offset_delta,
        .last_offset = batch_last_offset(header),
        .timestamp_ms = header->max_timestamp_ms,
    };
    producer->batch_count++;
    return 0;
}

void producers_expire(struct producers *producers, int64_t now_ms, int64_t expiry_ms)
{
    struct mr_link *lists[] = {&producers->clients, &producers->lineages};
    int64_t expiries_ms[] = {expiry_ms,
                             expiry_ms > LOG_LINEAGE_EXPIRY_MS ? expiry_ms : LOG_LINEAGE_EXPIRY_MS};

    for (size_t i = 0; i < 2; i++) {
        mr_list_each(lists[i], link, next)
        {
            struct producer *oldest = mr_container(link, struct producer, age_link);

            if (now_ms - oldest->last_append_ms < expiries_ms[i]) {
                break;
            }
            if (oldest->transaction_first_offset < 0) {
                producer_remove(producers, oldest);
            }
        }
    }
}

/* ---- the snapshot ---- */

static void store_entry(uint8_t *at, const struct producer *producer)
{
    const struct producer_batch *last = producer_last(producer);

    wire_put_int64(at, producer->id);
    wire_put_int16(at + 8, producer->epoch);
    wire_put_int32(at + 10, last != NULL ? last->last_sequence : -1);
    wire_put_int64(at + 14, last != NULL ? last->last_offset : -1);
    wire_put_int32(at + 22, last != NULL ? last->offset_delta : 0);
    wire_put_int64(at + 26, last != NULL ? last->timestamp_ms : producer->last_append_ms);
    wire_put_int32(at + 34, producer->coordinator_epoch);
    wire_put_int64(at + 38, producer->transaction_first_offset);
}

static uint8_t *store_tail(uint8_t *at, const struct producer *producer)
{
    int older = producer->batch_count > 0 ? producer->batch_count - 1 : 0;

    wire_put_int64(at, producer->last_append_ms);
    at[8] = (uint8_t)older;
    at += SNAPSHOT_TAIL_FIXED_SIZE;
    for (int i = 0; i < older; i++, at += SNAPSHOT_TAIL_BATCH_SIZE) {
        wire_put_int32(at, producer->batches[i].last_sequence);
        wire_put_int32(at + 4, producer->batches[i].offset_delta);
        wire_put_int64(at + 8, producer->batches[i].last_offset);
        wire_put_int64(at + 16, producer->batches[i].timestamp_ms);
    }
    return at;
}

static size_t encode(const struct producers *producers, uint8_t *data)
{
    size_t count = producers->by_id.count;
    uint8_t *entry = data + SNAPSHOT_HEAD_SIZE;
    uint8_t *tail = entry + count * SNAPSHOT_ENTRY_SIZE;
    size_t size;

    wire_put_int16(data, SNAPSHOT_VERSION);
    wire_put_int32(data + SNAPSHOT_CRC_FROM, (int32_t)count);
    memcpy(tail, "MRP1", 4);
    tail += 4;
    mr_list_each(&producers->clients, link, next)
    {
        const struct producer *producer = mr_container(link, struct producer, age_link);

        store_entry(entry, producer);
        entry += SNAPSHOT_ENTRY_SIZE;
        tail = store_tail(tail, producer);
    }
    mr_list_each(&producers->lineages, link, next)
    {
        const struct producer *producer = mr_container(link, struct producer, age_link);

        store_entry(entry, producer);
        entry += SNAPSHOT_ENTRY_SIZE;
        tail = store_tail(tail, producer);
    }
    size = (size_t)(tail - data);
    wire_put_int32(data + 2,
                   (int32_t)mr_crc32c(0, data + SNAPSHOT_CRC_FROM, size - SNAPSHOT_CRC_FROM));
    return size;
}

int producers_store(const struct producers *producers, struct mr_disk *disk, const char *path)
{
    size_t each = SNAPSHOT_ENTRY_SIZE + SNAPSHOT_TAIL_FIXED_SIZE +
                  (LOG_PRODUCER_BATCHES - 1) * SNAPSHOT_TAIL_BATCH_SIZE;
    uint8_t *data = mr_malloc(SNAPSHOT_HEAD_SIZE + 4 + producers->by_id.count * each);
    int fd = -1;
    int rc;

    if (data == NULL) {
        return MR_ENOMEM;
    }
    rc = mr_disk_open(disk, path, MR_DISK_WRITE | MR_DISK_CREATE | MR_DISK_TRUNCATE, &fd, NULL);
    if (rc == 0) {
        rc = mr_disk_pwrite(disk, fd, data, encode(producers, data), 0);
        mr_disk_close(disk, fd);
        if (rc != 0) {
            (void)mr_disk_unlink(disk, path); /* an older one, and a longer replay, will do */
        }
    }
    mr_free(data);
    return rc;
}

static int load_entry(struct producers *producers, const uint8_t *at,
                      struct producer **ret_producer)
{
    int64_t id = (int64_t)wire_get_int64(at);
    struct producer *producer;
    struct producer_batch last = {
        .last_sequence = wire_get_int32(at + 10),
        .last_offset = wire_get_int64(at + 14),
        .offset_delta = wire_get_int32(at + 22),
        .timestamp_ms = wire_get_int64(at + 26),
    };

    if (id < 0 || producer_find(producers, id) != NULL || last.offset_delta < 0) {
        return MR_ECORRUPT;
    }
    producer = producer_add(producers, id);
    if (producer == NULL) {
        return MR_ENOMEM;
    }
    producer->epoch = wire_get_int16(at + 8);
    producer->coordinator_epoch = wire_get_int32(at + 34);
    producer->transaction_first_offset = wire_get_int64(at + 38);
    producer->last_append_ms = last.timestamp_ms;
    if (last.last_sequence >= 0) {
        producer->batches[0] = last;
        producer->batch_count = 1;
    }
    *ret_producer = producer;
    return 0;
}

/* The older batches go in front of the one that the entry had; NULL when the bytes end too early.
 */
static const uint8_t *load_tail(const uint8_t *at, const uint8_t *end, struct producer *producer)
{
    int older;

    if (end - at < SNAPSHOT_TAIL_FIXED_SIZE) {
        return NULL;
    }
    producer->last_append_ms = wire_get_int64(at);
    older = at[8];
    at += SNAPSHOT_TAIL_FIXED_SIZE;
    if (older >= LOG_PRODUCER_BATCHES || (older > 0 && producer->batch_count == 0) ||
        end - at < older * SNAPSHOT_TAIL_BATCH_SIZE) {
        return NULL;
    }
    producer->batches[older] = producer->batches[0];
    for (int i = 0; i < older; i++, at += SNAPSHOT_TAIL_BATCH_SIZE) {
        producer->batches[i] = (struct producer_batch){
            .last_sequence = wire_get_int32(at),
            .offset_delta = wire_get_int32(at + 4),
            .last_offset = wire_get_int64(at + 8),
            .timestamp_ms = wire_get_int64(at + 16),
        };
    }
    producer->batch_count = (uint8_t)(producer->batch_count + older);
    return at;
}

static int decode(struct producers *producers, const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size;
    const uint8_t *entry = data + SNAPSHOT_HEAD_SIZE;
    const uint8_t *tail;
    size_t count;

    if (size < SNAPSHOT_HEAD_SIZE || wire_get_int16(data) != SNAPSHOT_VERSION ||
        wire_get_uint32(data + 2) !=
            mr_crc32c(0, data + SNAPSHOT_CRC_FROM, size - SNAPSHOT_CRC_FROM)) {
        return MR_ECORRUPT;
    }
    count = wire_get_uint32(data + SNAPSHOT_CRC_FROM);
    if (count > (size - SNAPSHOT_HEAD_SIZE) / SNAPSHOT_ENTRY_SIZE) {
        return MR_ECORRUPT;
    }
    tail = entry + count * SNAPSHOT_ENTRY_SIZE;
    tail =
        end - tail >= 4 && memcmp(tail, "MRP1", 4) == 0 ? tail + 4 : NULL; /* Kafka's own: none */
    for (size_t i = 0; i < count; i++, entry += SNAPSHOT_ENTRY_SIZE) {
        struct producer *producer;
        int rc = load_entry(producers, entry, &producer);

        if (rc != 0) {
            return rc;
        }
        if (tail != NULL) {
            tail = load_tail(tail, end, producer);
            if (tail == NULL) {
                return MR_ECORRUPT;
            }
        }
    }
    return 0;
}

int producers_load(struct producers *producers, struct mr_disk *disk, const char *path)
{
    char *data = NULL;
    size_t size = 0;
    int rc;

    producers_clear(producers);
    rc = mr_disk_read_file(disk, path, SNAPSHOT_FILE_MAX, &data, &size, NULL);
    if (rc != 0) {
        return rc == MR_ETOOLARGE ? MR_ECORRUPT : rc;
    }
    rc = decode(producers, (const uint8_t *)data, size);
    mr_free(data);
    if (rc != 0) {
        producers_clear(producers);
    }
    return rc;
}

/* ---- what the log says ---- */

static void producer_describe(const struct producer *producer, struct log_producer *ret_producer)
{
    const struct producer_batch *last = producer_last(producer);

    *ret_producer = (struct log_producer){
        .producer_id = producer->id,
        .epoch = producer->epoch,
        .last_sequence = last != NULL ? last->last_sequence : -1,
        .last_offset = last != NULL ? last->last_offset : -1,
        .last_timestamp_ms = producer->last_append_ms,
    };
}

bool log_producer_get(const struct log *log, int64_t producer_id, struct log_producer *ret_producer)
{
    const struct producer *producer = producer_find(&log->producers, producer_id);

    if (producer == NULL || producer->epoch < 0) {
        return false;
    }
    producer_describe(producer, ret_producer);
    return true;
}

void log_producers_each(const struct log *log, log_producer_cb cb, void *owner)
{
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    while ((entry = mr_map_next(&log->producers.by_id, &cursor)) != NULL) {
        const struct producer *producer = entry->value;
        struct log_producer described;

        if (producer->epoch >= 0) {
            producer_describe(producer, &described);
            cb(owner, &described);
        }
    }
}
