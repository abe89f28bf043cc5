/* Record batches from a client: checked as sent, and again with length, magic and checksum made
 * right, so that what lies behind them is reached. What is taken can be walked to its end. */
#include <stdint.h>
#include <string.h>

#include "base/core/error.h"
#include "queue/wire/batch_check.h"
#include "queue/wire/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE_LIMIT = 1 << 16 };

static void walk(const uint8_t *data, const struct batch_header *header,
                 struct mr_codec_context *codecs, struct mr_bytes *scratch)
{
    const uint8_t *records = NULL;
    size_t size = 0;
    int32_t count = 0;
    struct batch_iterator iterator;
    struct batch_record record;
    struct batch_record_header found;

    mr_assert(batch_records(data, header, SIZE_LIMIT, codecs, scratch, &records, &size) == 0);
    batch_iterator_init(&iterator, header, records, size);
    while (batch_iterator_next(&iterator, &record) == 1) {
        (void)batch_record_find_header(&record, "mr.pos", &found);
        count++;
    }
    mr_assert(count == header->record_count);
}

static void check_one(const uint8_t *data, size_t size, struct mr_codec_context *codecs,
                      struct mr_bytes *scratch)
{
    struct batch_check check = {
        .batch_size_bytes_max = SIZE_LIMIT,
        .records_size_bytes_max = SIZE_LIMIT,
        .flags = BATCH_CHECK_TRANSACTIONAL,
        .timestamp_before_ms = INT64_MIN,
        .timestamp_after_ms = INT64_MAX,
        .codecs = codecs,
        .scratch = scratch,
    };
    struct batch_check_result result;
    struct batch_marker marker;

    if (batch_check(&check, data, size, &result) == KAFKA_NONE) {
        walk(data, &result.header, codecs, scratch);
    }
    if (batch_header_parse(data, size, &result.header) == 0 &&
        (size_t)batch_size_bytes(&result.header) <= size) {
        (void)batch_marker_parse(data, &result.header, &marker);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_codec_context *codecs = NULL;
    uint8_t copy[4096];
    struct mr_bytes scratch;

    if (size > sizeof copy) {
        return 0;
    }
    mr_assert(mr_codec_context_new(&codecs) == 0);
    mr_bytes_init(&scratch);
    check_one(data, size, codecs, &scratch);
    if (size >= BATCH_HEADER_SIZE) {
        memcpy(copy, data, size);
        wire_put_int32(copy + 8, (int32_t)size - BATCH_PREFIX_SIZE);
        copy[16] = BATCH_MAGIC;
        wire_put_int32(copy + 17, (int32_t)batch_crc_compute(copy, size));
        check_one(copy, size, codecs, &scratch);
    }
    mr_bytes_done(&scratch);
    mr_codec_context_free(codecs);
    return 0;
}
