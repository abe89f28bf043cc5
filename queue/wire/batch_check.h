/* What a leader checks before it takes a batch from a client. */
#ifndef QUEUE_WIRE_BATCH_CHECK_H
#define QUEUE_WIRE_BATCH_CHECK_H

#include "base/codec/codec.h"
#include "base/core/buffer.h"
#include "queue/wire/batch.h"
#include "queue/wire/kafka_error.h"

enum batch_check_flags {
    BATCH_CHECK_KEYS = 1, /* a compacted topic: every record has a key */
    BATCH_CHECK_TRANSACTIONAL =
        2,                   /* the request names a transactional id; else the bit is refused */
    BATCH_CHECK_NO_ZSTD = 4, /* Produce below version 7 */
};

struct batch_check {
    size_t batch_size_bytes_max;   /* max.message.bytes */
    size_t records_size_bytes_max; /* after decompression */
    int flags;
    int64_t timestamp_before_ms; /* bounds of record timestamps; INT64_MIN and INT64_MAX: none */
    int64_t timestamp_after_ms;
    struct mr_codec_context *codecs;
    struct mr_bytes *scratch; /* decompressed records go here; grows to the largest seen */
    /* Told of each record whose key or timestamp is wrong; NULL: the check ends at the first. */
    void (*on_wrong)(void *owner, int32_t record_index);
    void *owner;
};

struct batch_check_result {
    struct batch_header header;
    int32_t record_index;     /* the first record that is wrong; -1: the batch as a whole */
    int64_t max_timestamp_ms; /* of the records; the header's is the producer's word */
    const char *reason;       /* a literal for the answer's error message; NULL when fine */
    bool is_inflated;         /* MESSAGE_TOO_LARGE by records_size_bytes_max */
};

/* data is the `records` of one partition of a Produce request: exactly one batch, which came from a
 * client. Checks length, magic, CRC, codec, header fields, and every record to its last byte.
 * Uncompressed batches cost no allocation. Returns a Kafka code: NONE, CORRUPT_MESSAGE,
 * INVALID_RECORD, UNSUPPORTED_COMPRESSION_TYPE, MESSAGE_TOO_LARGE, INVALID_TIMESTAMP,
 * TRANSACTIONAL_ID_AUTHORIZATION_FAILED (transactional records in a request without transactional
 * id), REQUEST_TIMED_OUT (no memory; retriable). */
int16_t batch_check(const struct batch_check *check, const void *data, size_t size_bytes,
                    struct batch_check_result *ret_result);

/* For readers of batches that are trusted to be whole (logs, dump, consumers): gives the records,
 * decompressed into `scratch` where they are compressed. 0, or as mr_codec_decompress. */
int batch_records(const void *batch, const struct batch_header *header, size_t limit_bytes,
                  struct mr_codec_context *codecs, struct mr_bytes *scratch,
                  const uint8_t **ret_records, size_t *ret_size_bytes);

#endif
