/* Batches from each codec to each other: the same records under the same header. */
#include <string.h>

#include "base/core/buffer.h"
#include "queue/wire/batch_builder.h"
#include "queue/wire/batch_check.h"
#include "queue/wire/batch_recode.h"
#include "queue/wire/kafka_error.h"
#include "tests/lib/test.h"

enum { LIMIT = 1 << 20 };

static struct mr_buf *make(enum mr_codec codec, struct mr_codec_context *codecs)
{
    struct batch_builder_options options = {
        .size_bytes_max = LIMIT, .codec = codec, .codecs = codecs};
    struct batch_builder_identity identity = {7, 3, 11, false};
    struct batch_builder builder;
    struct mr_buf *batch;
    char value[200];

    batch_builder_init(&builder, &options);
    CHECK_EQ(batch_builder_begin(&builder, 1000), 0);
    for (int i = 0; i < 500; i++) {
        memset(value, 'a' + i % 26, sizeof value);
        CHECK_EQ(batch_builder_add_line(&builder, 1000 + i, value, (size_t)(i % 200), NULL, 0, 0),
                 0);
    }
    CHECK_EQ(batch_builder_finish(&builder, &identity, NULL, 0, 0, &batch), 0);
    batch_builder_done(&builder);
    return batch;
}

static struct batch_check_result check(const struct mr_buf *batch, struct mr_codec_context *codecs,
                                       struct mr_bytes *scratch)
{
    struct batch_check settings = {.batch_size_bytes_max = LIMIT,
                                   .records_size_bytes_max = LIMIT,
                                   .timestamp_before_ms = INT64_MIN,
                                   .timestamp_after_ms = INT64_MAX,
                                   .codecs = codecs,
                                   .scratch = scratch};
    struct batch_check_result result;

    mr_bytes_clear(scratch);
    CHECK_EQ(batch_check(&settings, batch->data, batch->size_bytes, &result), KAFKA_NONE);
    if ((result.header.attributes & BATCH_CODEC_MASK) == MR_CODEC_NONE) {
        mr_bytes_append(scratch, batch->data + BATCH_HEADER_SIZE,
                        batch->size_bytes - BATCH_HEADER_SIZE);
    }
    return result;
}

TEST(batch_recode, keeps_records_and_header)
{
    struct mr_codec_context *codecs;
    struct mr_bytes before;
    struct mr_bytes after;

    CHECK_EQ(mr_codec_context_new(&codecs), 0);
    mr_bytes_init(&before);
    mr_bytes_init(&after);
    for (int from = 0; from < MR_CODEC_COUNT; from++) {
        struct mr_buf *batch = make((enum mr_codec)from, codecs);
        for (int to = 0; to < MR_CODEC_COUNT; to++) {
            struct batch_check_result was = check(batch, codecs, &before);
            struct batch_check_result is;
            struct mr_buf *recoded;
            CHECK_EQ(batch_recode(&was.header, before.data, before.size_bytes, (enum mr_codec)to,
                                  codecs, &recoded),
                     0);
            is = check(recoded, codecs, &after);
            CHECK_EQ(is.header.attributes & BATCH_CODEC_MASK, to);
            CHECK_EQ(after.size_bytes, before.size_bytes);
            CHECK_MEM(after.data, before.data, before.size_bytes);
            was.header.attributes = is.header.attributes;
            was.header.length = is.header.length;
            was.header.crc = is.header.crc;
            CHECK_MEM(&is.header, &was.header, sizeof is.header);
            mr_buf_unref(recoded);
        }
        mr_buf_unref(batch);
    }
    mr_bytes_done(&before);
    mr_bytes_done(&after);
    mr_codec_context_free(codecs);
}
