/* Records that a destination refuses for good are kept in the topic __dlq.<sink>, whole, with what
 * is known of the refusal in headers: mr.dlq.reason, mr.dlq.topic, mr.dlq.partition, mr.dlq.offset.
 */
#include <stdio.h>
#include <string.h>

#include "agent/flow/drain_internal.h"
#include "base/codec/codec.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "queue/producer.h"
#include "queue/wire/batch_builder.h"

enum { DEAD_BATCH_SIZE_MAX = 16 << 20 };

struct dead_letters {
    struct queue_producer *producer;
};

struct burial { /* one call of dead_letters_put */
    struct queue_append append;
    struct mr_buf *data;
    void (*done)(void *owner, int rc);
    void *owner;
};

static void on_space(void *owner)
{
    (void)owner; /* the drain tries again by itself */
}

static int letters_open(struct drain *drain)
{
    struct dead_letters *letters;
    struct mr_error error = {0};
    char *topic;
    int rc = MR_ENOMEM;

    if (drain->dead_letters != NULL) {
        return 0;
    }
    letters = mr_calloc(1, sizeof *letters);
    topic = mr_asprintf("__dlq.%s", drain->config.id);
    if (letters != NULL && topic != NULL) {
        rc = queue_producer_open(drain->config.queue, topic, 0, on_space, letters,
                                 &letters->producer, &error);
    }
    mr_free(topic);
    if (rc != 0) {
        mr_free(letters);
        return rc;
    }
    drain->dead_letters = letters;
    return 0;
}

void dead_letters_free(struct dead_letters *letters)
{
    if (letters != NULL) {
        queue_producer_close(letters->producer);
        mr_free(letters);
    }
}

static void put_headers(struct mr_bytes *out, const struct sink_record *record, const char *topic,
                        int32_t partition, const char *reason)
{
    char number[24];

    for (uint32_t i = 0; i < record->header_count; i++) {
        const struct sink_header *header = &record->headers[i];
        char *name = mr_strndup((const char *)header->name.data, header->name.size);
        if (name == NULL) {
            out->failed = MR_ENOMEM;
            return;
        }
        batch_header_append(out, name, header->value.data,
                            header->value.data == NULL ? -1 : (int32_t)header->value.size);
        mr_free(name);
    }
    batch_header_append(out, "mr.dlq.reason", reason, (int32_t)strlen(reason));
    batch_header_append(out, "mr.dlq.topic", topic, (int32_t)strlen(topic));
    batch_header_append(out, "mr.dlq.partition", number,
                        snprintf(number, sizeof number, "%d", partition));
    batch_header_append(out, "mr.dlq.offset", number,
                        snprintf(number, sizeof number, "%lld", (long long)record->offset));
}

static int add_letter(struct batch_builder *builder, const struct sink_record *record,
                      const char *topic, int32_t partition, const char *reason)
{
    struct mr_bytes headers;
    int rc;

    mr_bytes_init(&headers);
    put_headers(&headers, record, topic, partition, reason);
    const struct batch_builder_record letter = {
        .timestamp_ms = record->timestamp_ms,
        .key = record->key.data,
        .key_size = record->key.data == NULL ? -1 : (int32_t)record->key.size,
        .value = record->value.data,
        .value_size = record->value.data == NULL ? -1 : (int32_t)record->value.size,
        .headers = headers.data,
        .headers_size = headers.size_bytes,
        .header_count = (int32_t)record->header_count + 4,
    };
    rc = headers.failed;
    if (rc == 0) {
        rc = batch_builder_add(builder, &letter);
    }
    mr_bytes_done(&headers);
    return rc;
}

static void on_buried(struct queue_append *append)
{
    struct burial *burial = append->owner;

    burial->done(burial->owner, append->rc);
    mr_buf_unref(burial->data);
    mr_free(burial);
}

static int bury(struct drain *drain, struct batch_builder *builder,
                void (*done)(void *owner, int rc), void *owner)
{
    struct burial *burial = mr_calloc(1, sizeof *burial);
    int rc;

    if (burial == NULL) {
        return MR_ENOMEM;
    }
    burial->done = done;
    burial->owner = owner;
    burial->append.record_count = batch_builder_count(builder);
    rc = batch_builder_finish(builder, NULL, NULL, 0, 0, &burial->data);
    if (rc == 0) {
        burial->append.batch =
            (struct mr_slice){burial->data, burial->data->data, burial->data->size_bytes};
        burial->append.may_exceed_limit = true;
        burial->append.cb = on_buried;
        burial->append.owner = burial;
        rc = queue_producer_append(drain->dead_letters->producer, &burial->append);
    }
    if (rc != 0) {
        mr_buf_unref(burial->data);
        mr_free(burial);
    }
    return rc;
}

int dead_letters_put(struct drain *drain, const char *topic, int32_t partition,
                     const struct sink_record *records, size_t count, const char *reason,
                     void (*done)(void *owner, int rc), void *owner)
{
    const struct batch_builder_options options = {.size_bytes_max = DEAD_BATCH_SIZE_MAX,
                                                  .codec = MR_CODEC_LZ4,
                                                  .codec_level = MR_CODEC_LEVEL_DEFAULT,
                                                  .codecs = drain->codecs};
    struct batch_builder builder;
    int rc = letters_open(drain);

    if (rc != 0 || count == 0) {
        return rc != 0 ? rc : MR_EINVAL;
    }
    batch_builder_init(&builder, &options);
    rc = batch_builder_begin(&builder, records[0].timestamp_ms);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = add_letter(&builder, &records[i], topic, partition, reason);
    }
    if (rc == 0) {
        rc = bury(drain, &builder, done, owner);
    }
    batch_builder_done(&builder);
    return rc;
}
