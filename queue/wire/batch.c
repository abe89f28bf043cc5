#include "queue/wire/batch.h"

#include <assert.h>
#include <string.h>

#include "base/codec/crc32c.h"
#include "base/core/error.h"
#include "queue/wire/bytes.h"

enum {
    AT_BASE_OFFSET = 0,
    AT_LENGTH = 8,
    AT_LEADER_EPOCH = 12,
    AT_MAGIC = 16,
    AT_CRC = 17,
    AT_ATTRIBUTES = 21,
    AT_LAST_OFFSET_DELTA = 23,
    AT_BASE_TIMESTAMP = 27,
    AT_MAX_TIMESTAMP = 35,
    AT_PRODUCER_ID = 43,
    AT_PRODUCER_EPOCH = 51,
    AT_BASE_SEQUENCE = 53,
    AT_RECORD_COUNT = 57,
};

static_assert((int)AT_RECORD_COUNT + 4 == (int)BATCH_HEADER_SIZE, "as Kafka lays it out");
static_assert((int)AT_ATTRIBUTES == (int)BATCH_CRC_START, "the CRC covers what follows it");

int batch_header_parse(const void *data, size_t size_bytes, struct batch_header *ret_header)
{
    const uint8_t *at = data;
    struct batch_header header;

    if (size_bytes < BATCH_HEADER_SIZE) {
        return MR_ETRUNCATED;
    }
    header.base_offset = wire_get_int64(at + AT_BASE_OFFSET);
    header.length = wire_get_int32(at + AT_LENGTH);
    header.leader_epoch = wire_get_int32(at + AT_LEADER_EPOCH);
    header.magic = (int8_t)at[AT_MAGIC];
    header.crc = wire_get_uint32(at + AT_CRC);
    header.attributes = wire_get_int16(at + AT_ATTRIBUTES);
    header.last_offset_delta = wire_get_int32(at + AT_LAST_OFFSET_DELTA);
    header.base_timestamp_ms = wire_get_int64(at + AT_BASE_TIMESTAMP);
    header.max_timestamp_ms = wire_get_int64(at + AT_MAX_TIMESTAMP);
    header.producer_id = wire_get_int64(at + AT_PRODUCER_ID);
    header.producer_epoch = wire_get_int16(at + AT_PRODUCER_EPOCH);
    header.base_sequence = wire_get_int32(at + AT_BASE_SEQUENCE);
    header.record_count = wire_get_int32(at + AT_RECORD_COUNT);
    *ret_header = header;
    if (header.magic != BATCH_MAGIC) {
        return MR_EUNSUPPORTED;
    }
    if (header.length < BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE ||
        header.length > INT32_MAX - BATCH_PREFIX_SIZE) {
        return MR_ECORRUPT;
    }
    /* Compaction may leave fewer records than offsets, never more. */
    if (header.last_offset_delta < 0 || header.record_count < 0 ||
        header.record_count - 1 > header.last_offset_delta) {
        return MR_ECORRUPT;
    }
    if (header.base_offset > INT64_MAX - header.last_offset_delta - 1) {
        return MR_ECORRUPT;
    }
    return 0;
}

void batch_header_write(const struct batch_header *header, void *ret_data)
{
    uint8_t *at = ret_data;

    wire_put_int64(at + AT_BASE_OFFSET, header->base_offset);
    wire_put_int32(at + AT_LENGTH, header->length);
    wire_put_int32(at + AT_LEADER_EPOCH, header->leader_epoch);
    at[AT_MAGIC] = (uint8_t)header->magic;
    wire_put_int32(at + AT_CRC, (int32_t)header->crc);
    wire_put_int16(at + AT_ATTRIBUTES, header->attributes);
    wire_put_int32(at + AT_LAST_OFFSET_DELTA, header->last_offset_delta);
    wire_put_int64(at + AT_BASE_TIMESTAMP, header->base_timestamp_ms);
    wire_put_int64(at + AT_MAX_TIMESTAMP, header->max_timestamp_ms);
    wire_put_int64(at + AT_PRODUCER_ID, header->producer_id);
    wire_put_int16(at + AT_PRODUCER_EPOCH, header->producer_epoch);
    wire_put_int32(at + AT_BASE_SEQUENCE, header->base_sequence);
    wire_put_int32(at + AT_RECORD_COUNT, header->record_count);
}

uint32_t batch_crc_compute(const void *batch, size_t size_bytes)
{
    mr_assert(size_bytes >= BATCH_HEADER_SIZE);
    return mr_crc32c(0, (const uint8_t *)batch + BATCH_CRC_START, size_bytes - BATCH_CRC_START);
}

int batch_crc_check(const void *batch, const struct batch_header *header)
{
    return batch_crc_compute(batch, (size_t)batch_size_bytes(header)) == header->crc ? 0
                                                                                     : MR_ECORRUPT;
}

void batch_set_offset(void *batch, int64_t base_offset, int32_t leader_epoch)
{
    uint8_t *at = batch;

    wire_put_int64(at + AT_BASE_OFFSET, base_offset);
    wire_put_int32(at + AT_LEADER_EPOCH, leader_epoch);
}

static uint32_t covered_crc(const uint8_t *header61)
{
    return mr_crc32c(0, header61 + BATCH_CRC_START, BATCH_HEADER_SIZE - BATCH_CRC_START);
}

/* crc(header, records) = shift(crc(header)) ^ crc(records), where shift depends on the records'
 * size alone. So the difference of two headers, shifted, turns the old CRC into the new one. */
static void crc_update(uint8_t *header61, uint32_t crc_before)
{
    int32_t length = wire_get_int32(header61 + AT_LENGTH);
    uint32_t crc = wire_get_uint32(header61 + AT_CRC);
    uint32_t difference = crc_before ^ covered_crc(header61);

    mr_assert(length >= BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE);
    crc = mr_crc32c_combine(difference, crc,
                            (uint64_t)length - (BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE));
    wire_put_int32(header61 + AT_CRC, (int32_t)crc);
}

void batch_patch_producer(void *header61, int64_t producer_id, int16_t producer_epoch,
                          int32_t base_sequence)
{
    uint8_t *at = header61;
    uint32_t crc_before = covered_crc(at);

    wire_put_int64(at + AT_PRODUCER_ID, producer_id);
    wire_put_int16(at + AT_PRODUCER_EPOCH, producer_epoch);
    wire_put_int32(at + AT_BASE_SEQUENCE, base_sequence);
    crc_update(at, crc_before);
}

void batch_patch_append_time(void *header61, int64_t append_time_ms)
{
    uint8_t *at = header61;
    uint32_t crc_before = covered_crc(at);

    wire_put_int16(at + AT_ATTRIBUTES,
                   (int16_t)(wire_get_int16(at + AT_ATTRIBUTES) | BATCH_LOG_APPEND_TIME));
    wire_put_int64(at + AT_MAX_TIMESTAMP, append_time_ms);
    crc_update(at, crc_before);
}

void batch_patch_max_timestamp(void *header61, int64_t max_timestamp_ms)
{
    uint8_t *at = header61;
    uint32_t crc_before = covered_crc(at);

    wire_put_int64(at + AT_MAX_TIMESTAMP, max_timestamp_ms);
    crc_update(at, crc_before);
}

/* ---- control batches ---- */

/* The record of a marker is 17 bytes: length 16, attributes, timestamp delta, offset delta, key (4:
 * version, type), value (6: version, coordinator epoch), no headers. */
void batch_marker_write(const struct batch_marker *marker, int64_t timestamp_ms,
                        uint8_t ret_batch[BATCH_MARKER_SIZE])
{
    struct batch_header header = {
        .length = BATCH_MARKER_SIZE - BATCH_PREFIX_SIZE,
        .leader_epoch = -1,
        .magic = BATCH_MAGIC,
        .attributes = BATCH_TRANSACTIONAL | BATCH_CONTROL,
        .base_timestamp_ms = timestamp_ms,
        .max_timestamp_ms = timestamp_ms,
        .producer_id = marker->producer_id,
        .producer_epoch = marker->producer_epoch,
        .base_sequence = -1,
        .record_count = 1,
    };
    uint8_t *at = ret_batch + BATCH_HEADER_SIZE;

    mr_assert(marker->type == BATCH_CONTROL_ABORT || marker->type == BATCH_CONTROL_COMMIT);
    at = wire_put_varint(at, BATCH_MARKER_SIZE - BATCH_HEADER_SIZE - 1);
    *at++ = 0;
    at = wire_put_varlong(at, 0);
    at = wire_put_varint(at, 0);
    at = wire_put_varint(at, 4);
    wire_put_int16(at, 0);
    wire_put_int16(at + 2, (int16_t)marker->type);
    at = wire_put_varint(at + 4, 6);
    wire_put_int16(at, 0);
    wire_put_int32(at + 2, marker->coordinator_epoch);
    at = wire_put_varint(at + 6, 0);
    mr_assert(at == ret_batch + BATCH_MARKER_SIZE);
    batch_header_write(&header, ret_batch);
    header.crc = batch_crc_compute(ret_batch, BATCH_MARKER_SIZE);
    batch_header_write(&header, ret_batch);
}

int batch_marker_parse(const void *batch, const struct batch_header *header,
                       struct batch_marker *ret_marker)
{
    struct batch_iterator iterator;
    struct batch_record record;
    int type;

    if ((header->attributes & BATCH_CONTROL) == 0 || (header->attributes & BATCH_CODEC_MASK) != 0) {
        return MR_ECORRUPT;
    }
    batch_iterator_init(&iterator, header, (const uint8_t *)batch + BATCH_HEADER_SIZE,
                        (size_t)batch_size_bytes(header) - BATCH_HEADER_SIZE);
    if (batch_iterator_next(&iterator, &record) != 1 || record.key_size < 4) {
        return MR_ECORRUPT;
    }
    type = wire_get_int16(record.key + 2);
    if (type != BATCH_CONTROL_ABORT && type != BATCH_CONTROL_COMMIT) {
        return MR_EUNSUPPORTED;
    }
    if (record.value_size < 6) {
        return MR_ECORRUPT;
    }
    *ret_marker = (struct batch_marker){
        .type = type == BATCH_CONTROL_ABORT ? BATCH_CONTROL_ABORT : BATCH_CONTROL_COMMIT,
        .producer_id = header->producer_id,
        .producer_epoch = header->producer_epoch,
        .coordinator_epoch = wire_get_int32(record.value + 2),
    };
    return 0;
}
