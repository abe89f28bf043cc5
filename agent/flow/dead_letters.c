/* Records that a destination refuses for good are kept in the topic __dlq.<sink>, with what is
 * known of the refusal in headers: mr.dlq.reason, mr.dlq.topic, mr.dlq.partition, mr.dlq.offset.
 *
 * They are kept whole, unless one of them is larger than a batch here: its value is cut then (and
 * if that is not enough, its key and headers are left out), and mr.dlq.size says how large it was.
 */
#include <stdio.h>
#include <string.h>

#include "agent/flow/drain_internal.h"
#include "base/codec/codec.h"
#include "base/core/error.h"
#include "base/core/memory.h"
#include "queue/producer.h"
#include "queue/wire/batch_builder.h"

enum { DEAD_BATCH_SIZE_MAX = 512 << 10, DEAD_VALUE_SIZE_MAX = 128 << 10 };

struct dead_letters {
    struct queue_producer *producer;
};

struct burial { /* one call of dead_letters_put */
    struct queue_append append;
    struct drain *drain;
    struct mr_buf *data;
    const char *topic;
    int32_t partition;
    char *reason;
    const struct sink_record *records;
    size_t count;
    size_t next;
    void (*done)(void *owner, int rc);
    void *owner;
};

enum letter_form { LETTER_WHOLE, LETTER_CUT, LETTER_BARE, LETTER_FORM_END };

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

static void put_number(struct mr_bytes *out, const char *name, int64_t number)
{
    char text[24];

    batch_header_append(out, name, text, snprintf(text, sizeof text, "%lld", (long long)number));
}

static void put_own_headers(struct mr_bytes *out, const struct sink_record *record)
{
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
}

static int add_letter(const struct burial *burial, struct batch_builder *builder,
                      const struct sink_record *record, enum letter_form form)
{
    bool is_bare = form == LETTER_BARE;
    uint32_t value_size = form != LETTER_WHOLE && record->value.size > DEAD_VALUE_SIZE_MAX
                              ? DEAD_VALUE_SIZE_MAX
                              : record->value.size;
    struct batch_builder_record letter = {
        .timestamp_ms = record->timestamp_ms,
        .key = is_bare ? NULL : record->key.data,
        .key_size = is_bare || record->key.data == NULL ? -1 : (int32_t)record->key.size,
        .value = record->value.data,
        .value_size = record->value.data == NULL ? -1 : (int32_t)value_size,
        .header_count = 4 + (is_bare ? 0 : (int32_t)record->header_count),
    };
    struct mr_bytes headers;
    int rc;

    mr_bytes_init(&headers);
    if (!is_bare) {
        put_own_headers(&headers, record);
    }
    batch_header_append(&headers, "mr.dlq.reason", burial->reason, (int32_t)strlen(burial->reason));
    batch_header_append(&headers, "mr.dlq.topic", burial->topic, (int32_t)strlen(burial->topic));
    put_number(&headers, "mr.dlq.partition", burial->partition);
    put_number(&headers, "mr.dlq.offset", record->offset);
    if (form != LETTER_WHOLE) {
        put_number(&headers, "mr.dlq.size", record->value.size);
        letter.header_count++;
    }
    letter.headers = headers.data;
    letter.headers_size = headers.size_bytes;
    rc = headers.failed != 0 ? headers.failed : batch_builder_add(builder, &letter);
    mr_bytes_done(&headers);
    return rc;
}

/* As many as fit, at least one. */
static int add_letters(struct burial *burial, struct batch_builder *builder)
{
    int rc = batch_builder_begin(builder, burial->records[burial->next].timestamp_ms);
    enum letter_form form = LETTER_WHOLE;

    while (rc == 0 && burial->next < burial->count) {
        rc = add_letter(burial, builder, &burial->records[burial->next], form);
        if (rc == MR_ETOOLARGE && form + 1 < LETTER_FORM_END) {
            form++;
            rc = 0;
        } else if (rc == 0) {
            form = LETTER_WHOLE;
            burial->next++;
        }
    }
    return rc == MR_EFULL ? 0 : rc;
}

static void on_buried(struct queue_append *append);

/* Makes one batch of what is left and appends it. */
static int bury(struct burial *burial)
{
    struct drain *drain = burial->drain;
    const struct batch_builder_options options = {.size_bytes_max = DEAD_BATCH_SIZE_MAX,
                                                  .codec = MR_CODEC_LZ4,
                                                  .codec_level = MR_CODEC_LEVEL_DEFAULT,
                                                  .codecs = drain->codecs};
    struct batch_builder builder;
    int rc;

    batch_builder_init(&builder, &options);
    rc = add_letters(burial, &builder);
    if (rc == 0) {
        burial->append = (struct queue_append){.record_count = batch_builder_count(&builder),
                                               .may_exceed_limit = true,
                                               .cb = on_buried,
                                               .owner = burial};
        rc = batch_builder_finish(&builder, NULL, NULL, 0, 0, &burial->data);
    }
    if (rc == 0) {
        burial->append.batch =
            (struct mr_slice){burial->data, burial->data->data, burial->data->size_bytes};
        rc = queue_producer_append(drain->dead_letters->producer, &burial->append);
    }
    batch_builder_done(&builder);
    return rc;
}

static void burial_free(struct burial *burial)
{
    mr_buf_unref(burial->data);
    mr_free(burial->reason);
    mr_free(burial);
}

static void on_buried(struct queue_append *append)
{
    struct burial *burial = append->owner;
    int rc = append->rc;

    mr_buf_unref(burial->data);
    burial->data = NULL;
    if (rc == 0 && burial->next < burial->count) {
        rc = bury(burial);
        if (rc == 0) {
            return;
        }
    }
    burial->done(burial->owner, rc);
    burial_free(burial);
}

int dead_letters_put(struct drain *drain, const char *topic, int32_t partition,
                     const struct sink_record *records, size_t count, const char *reason,
                     void (*done)(void *owner, int rc), void *owner)
{
    struct burial *burial;
    int rc = letters_open(drain);

    mr_assert(count > 0);
    if (rc != 0) {
        return rc;
    }
    burial = mr_calloc(1, sizeof *burial);
    if (burial == NULL) {
        return MR_ENOMEM;
    }
    *burial = (struct burial){.drain = drain,
                              .topic = topic,
                              .partition = partition,
                              .reason = mr_strdup(reason),
                              .records = records,
                              .count = count,
                              .done = done,
                              .owner = owner};
    rc = burial->reason == NULL ? MR_ENOMEM : bury(burial);
    if (rc != 0) {
        burial_free(burial);
    }
    return rc;
}
