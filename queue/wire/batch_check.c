#include "queue/wire/batch_check.h"

#include "base/core/error.h"
#include "queue/wire/bytes.h"

enum {
    BATCH_LENGTH_START = 8,
    BATCH_MAGIC_END = 17,
    MESSAGE_LENGTH_MIN = 14, /* of the oldest format, behind its offset and length */
};

/* Sets what the answer says and returns the code. */
static int16_t refuse(struct batch_check_result *result, enum kafka_error code, const char *reason)
{
    result->reason = reason;
    return (int16_t)code;
}

/* What is not whole is final, as for Kafka: sending it again will not make it whole. What is
 * retried is damage of the way. */
static int16_t check_extent(const uint8_t *data, size_t size_bytes,
                            struct batch_check_result *result)
{
    int32_t length;
    int magic;

    if (size_bytes < BATCH_PREFIX_SIZE) {
        return refuse(result, KAFKA_INVALID_RECORD, "no whole record batch");
    }
    length = wire_get_int32(data + BATCH_LENGTH_START);
    if (length < MESSAGE_LENGTH_MIN) {
        return refuse(result, KAFKA_CORRUPT_MESSAGE, "the batch length is not valid");
    }
    if (size_bytes < BATCH_MAGIC_END) {
        return refuse(result, KAFKA_INVALID_RECORD, "no whole record batch");
    }
    magic = (int8_t)data[BATCH_MAGIC_END - 1];
    if (magic < 0 || magic > BATCH_MAGIC) {
        return refuse(result, KAFKA_CORRUPT_MESSAGE, "the batch header is not valid");
    }
    if ((uint64_t)length + BATCH_PREFIX_SIZE > size_bytes) {
        return refuse(result, KAFKA_INVALID_RECORD, "the batch is longer than the bytes sent");
    }
    if (magic < BATCH_MAGIC) {
        return refuse(result, KAFKA_INVALID_RECORD, "only record batches of magic 2 are taken");
    }
    if (length < BATCH_HEADER_SIZE - BATCH_PREFIX_SIZE) {
        return refuse(result, KAFKA_CORRUPT_MESSAGE, "the batch header is not valid");
    }
    return KAFKA_NONE;
}

static int16_t check_frame(const struct batch_check *check, const void *data, size_t size_bytes,
                           struct batch_check_result *result)
{
    int rc;

    if (size_bytes == 0) {
        return refuse(result, KAFKA_INVALID_RECORD, "no record batch");
    }
    if (size_bytes > check->batch_size_bytes_max) {
        return refuse(result, KAFKA_MESSAGE_TOO_LARGE, "larger than max.message.bytes");
    }
    rc = check_extent(data, size_bytes, result);
    if (rc != KAFKA_NONE) {
        return (int16_t)rc;
    }
    rc = batch_header_parse(data, size_bytes, &result->header);
    if ((size_t)batch_size_bytes(&result->header) < size_bytes) {
        return refuse(result, KAFKA_INVALID_RECORD, "more than one record batch");
    }
    if (batch_crc_check(data, &result->header) != 0) {
        return refuse(result, KAFKA_CORRUPT_MESSAGE, "the checksum does not match");
    }
    if (rc != 0) { /* after the checksum: this is what was meant */
        return refuse(result, KAFKA_INVALID_RECORD, "the batch header is not valid");
    }
    return KAFKA_NONE;
}

static int16_t check_attributes(const struct batch_check *check, struct batch_check_result *result)
{
    const struct batch_header *header = &result->header;
    int codec = header->attributes & BATCH_CODEC_MASK;

    if (codec >= MR_CODEC_COUNT) {
        return refuse(result, KAFKA_UNSUPPORTED_COMPRESSION_TYPE, "unknown compression type");
    }
    if (codec == MR_CODEC_ZSTD && (check->flags & BATCH_CHECK_NO_ZSTD) != 0) {
        return refuse(result, KAFKA_UNSUPPORTED_COMPRESSION_TYPE,
                      "zstd needs Produce version 7 or later");
    }
    if ((header->attributes & BATCH_CONTROL) != 0) {
        return refuse(result, KAFKA_INVALID_RECORD, "clients do not write control records");
    }
    if ((header->attributes & BATCH_LOG_APPEND_TIME) != 0) {
        return refuse(result, KAFKA_INVALID_TIMESTAMP, "producers do not set LogAppendTime");
    }
    if ((header->attributes & BATCH_DELETE_HORIZON) != 0) {
        return refuse(result, KAFKA_INVALID_RECORD, "producers do not set a delete horizon");
    }
    if ((header->attributes & BATCH_TRANSACTIONAL) != 0 &&
        (check->flags & BATCH_CHECK_TRANSACTIONAL) == 0) {
        return refuse(result, KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
                      "transactional records without a transactional id");
    }
    return KAFKA_NONE;
}

static int16_t check_numbers(struct batch_check_result *result)
{
    const struct batch_header *header = &result->header;

    if (header->record_count == 0) {
        return refuse(result, KAFKA_INVALID_RECORD, "a batch without records");
    }
    if (header->record_count - 1 != header->last_offset_delta) {
        return refuse(result, KAFKA_INVALID_RECORD,
                      "the record count does not match the last offset delta");
    }
    if (header->producer_id >= 0 && (header->producer_epoch < 0 || header->base_sequence < 0)) {
        return refuse(result, KAFKA_INVALID_RECORD,
                      "a producer id without producer epoch and sequence");
    }
    if (header->producer_id < 0 && (header->attributes & BATCH_TRANSACTIONAL) != 0) {
        return refuse(result, KAFKA_INVALID_RECORD, "transactional records without a producer id");
    }
    return KAFKA_NONE;
}

/* What is wrong about one record, and not about the batch. */
static int16_t check_record(const struct batch_check *check, const struct batch_record *record,
                            struct batch_check_result *result, const char **ret_reason)
{
    int64_t timestamp_ms;

    if ((check->flags & BATCH_CHECK_KEYS) != 0 && record->key_size < 0) {
        *ret_reason = "a compacted topic needs keys";
        return KAFKA_INVALID_RECORD;
    }
    if (__builtin_add_overflow(result->header.base_timestamp_ms, record->timestamp_delta_ms,
                               &timestamp_ms) ||
        timestamp_ms < check->timestamp_before_ms || timestamp_ms > check->timestamp_after_ms) {
        *ret_reason = "the timestamp is out of range";
        return KAFKA_INVALID_TIMESTAMP;
    }
    if (record->offset_delta == 0 || timestamp_ms > result->max_timestamp_ms) {
        result->max_timestamp_ms = timestamp_ms;
    }
    return KAFKA_NONE;
}

static int16_t check_records(const struct batch_check *check, const uint8_t *records,
                             size_t size_bytes, struct batch_check_result *result)
{
    struct batch_iterator iterator;
    struct batch_record record;
    const char *reason = NULL;
    int32_t first_wrong = -1;
    int16_t error = KAFKA_NONE;
    int rc;

    batch_iterator_init(&iterator, &result->header, records, size_bytes);
    for (int32_t i = 0; (rc = batch_iterator_next(&iterator, &record)) == 1; i++) {
        const char *why = NULL;
        int16_t code;
        result->record_index = i;
        if (record.offset_delta != i) {
            return refuse(result, KAFKA_INVALID_RECORD, "offset deltas are not 0, 1, 2, ...");
        }
        code = check_record(check, &record, result, &why);
        if (code == KAFKA_NONE) {
            continue;
        }
        if (first_wrong < 0) {
            first_wrong = i;
            reason = why;
            error = code;
        }
        if (check->on_wrong == NULL) {
            return refuse(result, code, why);
        }
        check->on_wrong(check->owner, i);
    }
    if (rc != 0) {
        return refuse(result, KAFKA_INVALID_RECORD, "the records do not parse");
    }
    result->record_index = first_wrong;
    return error == KAFKA_NONE ? KAFKA_NONE : refuse(result, error, reason);
}

static int16_t check_decompressed(const struct batch_check *check, const void *data,
                                  struct batch_check_result *result)
{
    const uint8_t *records = NULL;
    size_t size_bytes = 0;
    int rc = batch_records(data, &result->header, check->records_size_bytes_max, check->codecs,
                           check->scratch, &records, &size_bytes);

    switch (rc) {
    case 0:
        return check_records(check, records, size_bytes, result);
    case MR_ETOOLARGE:
        result->is_inflated = true;
        return refuse(result, KAFKA_MESSAGE_TOO_LARGE, "too large after decompression");
    case MR_ENOMEM:
        return refuse(result, KAFKA_REQUEST_TIMED_OUT, "no memory to decompress");
    default:
        return refuse(result, KAFKA_INVALID_RECORD, "the records do not decompress");
    }
}

int16_t batch_check(const struct batch_check *check, const void *data, size_t size_bytes,
                    struct batch_check_result *ret_result)
{
    int16_t code;

    *ret_result = (struct batch_check_result){.record_index = -1, .max_timestamp_ms = -1};
    code = check_frame(check, data, size_bytes, ret_result);
    if (code == KAFKA_NONE) {
        code = check_attributes(check, ret_result);
    }
    if (code == KAFKA_NONE) {
        code = check_numbers(ret_result);
    }
    if (code == KAFKA_NONE) {
        code = check_decompressed(check, data, ret_result);
    }
    return code;
}

int batch_records(const void *batch, const struct batch_header *header, size_t limit_bytes,
                  struct mr_codec_context *codecs, struct mr_bytes *scratch,
                  const uint8_t **ret_records, size_t *ret_size_bytes)
{
    int codec = header->attributes & BATCH_CODEC_MASK;
    const uint8_t *records = (const uint8_t *)batch + BATCH_HEADER_SIZE;
    size_t size_bytes = (size_t)batch_size_bytes(header) - BATCH_HEADER_SIZE;
    int rc;

    if (codec >= MR_CODEC_COUNT) {
        return MR_EUNSUPPORTED;
    }
    if (codec != MR_CODEC_NONE) {
        mr_bytes_clear(scratch);
        rc = mr_codec_decompress(codecs, (enum mr_codec)codec, records, size_bytes, limit_bytes,
                                 scratch);
        if (rc != 0) {
            return rc;
        }
        records = scratch->data;
        size_bytes = scratch->size_bytes;
    }
    *ret_records = records;
    *ret_size_bytes = size_bytes;
    return 0;
}
