/* RecordBatch v2: the unit that producers send, logs store and consumers read.
 *
 *     0  base_offset 8            21 attributes 2           43 producer_id 8
 *     8  length 4 (what follows)  23 last_offset_delta 4    51 producer_epoch 2
 *     12 leader_epoch 4           27 base_timestamp 8       53 base_sequence 4
 *     16 magic 1 (2)              35 max_timestamp 8        57 record_count 4
 *     17 crc 4 (CRC-32C of 21..)                            61 records, compressed as one block
 *
 * Offset and leader epoch lie before the CRC'd part: a log writes them without touching the rest.
 * The fields from 21 to 61 can be changed without reading the records, as CRC-32C is linear: the
 * change of the header's own CRC, shifted over the records' length, is the change of the whole. */
#ifndef QUEUE_WIRE_BATCH_H
#define QUEUE_WIRE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BATCH_HEADER_SIZE = 61,
    BATCH_PREFIX_SIZE = 12, /* what `length` does not count: base_offset and itself */
    BATCH_CRC_START = 21,
    BATCH_MAGIC = 2,
};

enum batch_attributes {
    BATCH_CODEC_MASK = 0x07, /* enum mr_codec */
    BATCH_LOG_APPEND_TIME = 0x08,
    BATCH_TRANSACTIONAL = 0x10,
    BATCH_CONTROL = 0x20,
    BATCH_DELETE_HORIZON = 0x40, /* base_timestamp is when tombstones may go */
};

struct batch_header {
    int64_t base_offset;
    int32_t length; /* bytes after this field */
    int32_t leader_epoch;
    int8_t magic;
    uint32_t crc;
    int16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp_ms;
    int64_t max_timestamp_ms;
    int64_t producer_id;    /* -1: none */
    int16_t producer_epoch; /* -1: none */
    int32_t base_sequence;  /* -1: none */
    int32_t record_count;
};

/* Reads and checks the first 61 bytes; the batch itself may go on beyond size_bytes. The output is
 * set in any case where 61 bytes are there. MR_ETRUNCATED    fewer than 61 bytes MR_EUNSUPPORTED
 * another magic: an old message set, or something newer MR_ECORRUPT      impossible length, counts
 * or attributes */
int batch_header_parse(const void *data, size_t size_bytes, struct batch_header *ret_header);
/* Writes 61 bytes as they are given, the CRC included. */
void batch_header_write(const struct batch_header *header, void *ret_data);

static inline int64_t batch_size_bytes(const struct batch_header *header)
{
    return (int64_t)header->length + BATCH_PREFIX_SIZE;
}
static inline int64_t batch_last_offset(const struct batch_header *header)
{
    return header->base_offset + header->last_offset_delta;
}
static inline int64_t batch_next_offset(const struct batch_header *header)
{
    return batch_last_offset(header) + 1;
}
/* Sequences go from INT32_MAX on to 0. */
static inline int32_t batch_sequence_add(int32_t sequence, int32_t count)
{
    return (int32_t)(((int64_t)sequence + count) & INT32_MAX);
}
static inline int32_t batch_last_sequence(const struct batch_header *header)
{
    return batch_sequence_add(header->base_sequence, header->last_offset_delta);
}

/* Computes the CRC of a whole batch; 0 or MR_ECORRUPT. */
int batch_crc_check(const void *batch, const struct batch_header *header);
/* The CRC over what follows it; size_bytes is that of the whole batch. */
uint32_t batch_crc_compute(const void *batch, size_t size_bytes);

/* What a leader writes; the CRC does not cover it. Needs the first 16 bytes only. */
void batch_set_offset(void *batch, int64_t base_offset, int32_t leader_epoch);

/* Change fields under the CRC, and the CRC with them, in a copy of the 61 header bytes whose length
 * field is the batch's: the records are not needed, O(log length). The batch was valid before. */
void batch_patch_producer(void *header61, int64_t producer_id, int16_t producer_epoch,
                          int32_t base_sequence);
void batch_patch_append_time(void *header61, int64_t append_time_ms);
/* For a batch whose records are younger than its header says (batch_check_result). */
void batch_patch_max_timestamp(void *header61, int64_t max_timestamp_ms);

/* ---- records ---- */

struct batch_record {
    int8_t attributes;
    int32_t offset_delta;
    int64_t timestamp_delta_ms;
    const uint8_t *key; /* NULL: null */
    int32_t key_size;   /* -1: null */
    const uint8_t *value;
    int32_t value_size; /* -1: null, a tombstone in a compacted topic */
    int32_t header_count;
    const uint8_t *headers; /* encoded, behind their count */
    int32_t headers_size;
};

/* Walks decompressed records: bytes from 61 on of an uncompressed batch, or what the codec gave. */
struct batch_iterator {
    const uint8_t *at;
    const uint8_t *end;
    int32_t left; /* records still to come, by the header */
};

void batch_iterator_init(struct batch_iterator *iterator, const struct batch_header *header,
                         const void *records, size_t size_bytes);
/* 1: a record, checked to its last byte, headers included, pointing into the bytes. 0: all have
 * been read and the bytes end with the last one. MR_ECORRUPT else. */
int batch_iterator_next(struct batch_iterator *iterator, struct batch_record *ret_record);

struct batch_record_header {
    const char *key;
    int32_t key_size;
    const uint8_t *value;
    int32_t value_size; /* -1: null */
};

/* Walks the headers of one record that an iterator has checked. */
struct batch_header_cursor {
    const uint8_t *at;
    const uint8_t *end;
    int32_t left;
};
void batch_headers_init(struct batch_header_cursor *cursor, const struct batch_record *record);
bool batch_headers_next(struct batch_header_cursor *cursor, struct batch_record_header *ret_header);
/* The last header of this name; false if there is none. */
bool batch_record_find_header(const struct batch_record *record, const char *key,
                              struct batch_record_header *ret_header);

/* ---- control batches ---- */

enum batch_control_type {
    BATCH_CONTROL_ABORT = 0,
    BATCH_CONTROL_COMMIT = 1,
    BATCH_CONTROL_LEADER_CHANGE = 2,
};

struct batch_marker {
    enum batch_control_type type; /* ABORT or COMMIT */
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t coordinator_epoch;
};

enum { BATCH_MARKER_SIZE = 78 };

/* A transaction marker: a whole batch of one record, offset and leader epoch for the log to set. */
void batch_marker_write(const struct batch_marker *marker, int64_t timestamp_ms,
                        uint8_t ret_batch[BATCH_MARKER_SIZE]);
/* Reads the marker of a control batch. MR_EUNSUPPORTED: a control type that is no transaction
 * marker; MR_ECORRUPT. */
int batch_marker_parse(const void *batch, const struct batch_header *header,
                       struct batch_marker *ret_marker);

#endif
