/* One batch is on its way at a time.
 *
 *   IDLE -> APPENDING -> IDLE        IDLE, APPENDING -> CLOSED (when nothing waits any more)
 *
 * Failures: the topic cannot be made or its log is offline: what waits is counted as lost, and the
 * next record tries again. No room: the oldest segment of __audit goes, once for each batch; still
 * none: lost. */
#include "queue/audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codec/codec.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/broker/audit.h"
#include "queue/producer.h"
#include "queue/queue_internal.h"
#include "queue/wire/batch_builder.h"

enum { BATCH_SIZE_MAX = 256 << 10, SEGMENT_SIZE = 8 << 20, RECORDS_MAX = 1000 };

struct audit {
    struct queue *queue;
    struct audit_trail *trail;
    struct audit_config config;
    struct queue_producer *producer; /* NULL until there is something to write */
    struct mr_codec_context *codecs;
    struct mr_task task;
    struct queue_append append;
    struct mr_buf *batch; /* on its way */
    struct mr_bytes value;
    int64_t value_time_ms;
    bool has_value; /* it did not fit into the last batch */
    bool is_closing;
    void (*on_closed)(void *owner);
    void *close_owner;
};

/* ---- the topic ---- */

static int set_number(struct topic_settings *settings, int config, int64_t value)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%" PRId64, value);

    return topic_settings_set(settings, config, text, (size_t)size);
}

/* Local topics do not carry settings from one start to the next: they are set anew. */
static int set_topic(struct audit *audit, struct image_topic *topic)
{
    const struct audit_config *config = &audit->config;
    struct topic_settings settings = {0};
    int rc = set_number(&settings, TOPIC_RETENTION_MS,
                        config->retention_ms > 0 ? config->retention_ms : -1);

    if (rc == 0) {
        rc = set_number(&settings, TOPIC_RETENTION_BYTES,
                        config->retention_bytes > 0 ? config->retention_bytes : -1);
    }
    if (rc == 0) {
        rc = set_number(&settings, TOPIC_SEGMENT_BYTES, SEGMENT_SIZE);
    }
    if (rc == 0) {
        rc = set_number(&settings, TOPIC_FLUSH_MS, 1000);
    }
    if (rc == 0) {
        rc = meta_declare_local(audit->queue->meta, topic, &settings);
    }
    topic_settings_done(&settings);
    return rc;
}

static int open_topic(struct audit *audit, struct mr_error *error)
{
    const struct image *image = meta_image(audit->queue->meta);
    int rc;

    if (audit->producer != NULL) {
        return 0;
    }
    rc = queue_producer_open(audit->queue, AUDIT_TOPIC, 0, NULL, NULL, &audit->producer, error);
    if (rc == 0) {
        rc = set_topic(audit, image_find_text(image, AUDIT_TOPIC));
        if (rc != 0) {
            queue_producer_close(audit->producer);
            audit->producer = NULL;
        }
    }
    return rc;
}

/* ---- writing ---- */

static void on_appended(struct queue_append *append);

static bool next_value(struct audit *audit)
{
    if (!audit->has_value) {
        mr_bytes_clear(&audit->value);
        audit->has_value = audit_trail_take(audit->trail, &audit->value, &audit->value_time_ms);
        if (audit->has_value && audit->value.failed != 0) {
            audit_trail_lost(audit->trail, 1);
            mr_bytes_done(&audit->value);
            mr_bytes_init(&audit->value);
            audit->has_value = false;
        }
    }
    return audit->has_value;
}

/* As many as fit; at least one fits, since they are bounded. */
static int fill_batch(struct audit *audit, struct batch_builder *builder)
{
    int rc = next_value(audit) ? batch_builder_begin(builder, audit->value_time_ms) : MR_ENOENT;

    while (rc == 0 && batch_builder_count(builder) < RECORDS_MAX && next_value(audit)) {
        const struct batch_builder_record record = {.timestamp_ms = audit->value_time_ms,
                                                    .key_size = -1,
                                                    .value = audit->value.data,
                                                    .value_size = (int32_t)audit->value.size_bytes};
        rc = batch_builder_add(builder, &record);
        if (rc == 0) {
            audit->has_value = false;
        }
    }
    return rc == MR_EFULL ? 0 : rc;
}

static int append_batch(struct audit *audit)
{
    int64_t unread;
    int rc = queue_producer_append(audit->producer, &audit->append);

    if (rc == 0 && (audit->append.rc == MR_EFULL || audit->append.rc == MR_ENOSPC)) {
        /* Its own oldest make room for the next one; this one is lost. */
        (void)queue_producer_drop_oldest(audit->producer, &unread);
    }
    return rc;
}

static int write_batch(struct audit *audit)
{
    const struct batch_builder_options options = {.size_bytes_max = BATCH_SIZE_MAX,
                                                  .codec = MR_CODEC_LZ4,
                                                  .codec_level = MR_CODEC_LEVEL_DEFAULT,
                                                  .codecs = audit->codecs};
    struct batch_builder builder;
    int64_t count = 0;
    int rc;

    batch_builder_init(&builder, &options);
    rc = fill_batch(audit, &builder);
    if (rc == 0) {
        count = batch_builder_count(&builder);
        rc = batch_builder_finish(&builder, NULL, NULL, 0, 0, &audit->batch);
    }
    batch_builder_done(&builder);
    if (rc == 0) {
        audit->append = (struct queue_append){
            .batch = {audit->batch, audit->batch->data, audit->batch->size_bytes},
            .record_count = count,
            .cb = on_appended,
            .owner = audit};
        rc = append_batch(audit);
    }
    if (rc != 0 && rc != MR_ENOENT) {
        mr_buf_unref(audit->batch);
        audit->batch = NULL;
        audit->has_value = false;
        audit_trail_lost(audit->trail, count > 0 ? count : 1);
    }
    return rc;
}

static void lose_all(struct audit *audit)
{
    int64_t count = 0;

    while (next_value(audit)) {
        audit->has_value = false;
        count++;
    }
    audit_trail_lost(audit->trail, count);
}

static void finish_close(struct audit *audit)
{
    void (*on_closed)(void *) = audit->on_closed;
    void *owner = audit->close_owner;

    queue_producer_close(audit->producer);
    audit_trail_free(audit->trail);
    mr_codec_context_free(audit->codecs);
    mr_bytes_done(&audit->value);
    mr_task_cancel(&audit->task);
    mr_free(audit);
    on_closed(owner);
}

static void audit_step(struct audit *audit)
{
    struct mr_error error = {0};
    int rc = 0;

    if (audit->batch != NULL) {
        return;
    }
    while (rc != MR_ENOENT && audit->batch == NULL &&
           (audit->has_value || !audit_trail_is_empty(audit->trail))) {
        rc = open_topic(audit, &error);
        if (rc != 0) {
            mr_warn("the audit cannot be written", KV_STR("reason", error.text), KV_ERR(rc));
            lose_all(audit);
            break;
        }
        rc = write_batch(audit);
    }
    if (audit->is_closing && audit->batch == NULL) {
        finish_close(audit);
    }
}

static void on_appended(struct queue_append *append)
{
    struct audit *audit = append->owner;

    mr_buf_unref(audit->batch);
    audit->batch = NULL;
    if (append->rc != 0) {
        mr_warn("records of the audit are lost", KV_I64("records", append->record_count),
                KV_ERR(append->rc));
        audit_trail_lost(audit->trail, append->record_count);
    }
    audit_step(audit);
}

static void on_task(struct mr_task *task)
{
    audit_step(task->owner);
}

static void on_waiting(void *owner)
{
    mr_task_post(&((struct audit *)owner)->task);
}

/* ---- opening, closing ---- */

int audit_open(struct queue *queue, struct mr_metrics *metrics, const struct audit_config *config,
               struct audit **ret_audit)
{
    struct audit *audit = mr_calloc(1, sizeof *audit);
    struct image_topic *topic = image_find_text(meta_image(queue->meta), AUDIT_TOPIC);
    int rc;

    if (audit == NULL) {
        return MR_ENOMEM;
    }
    audit->queue = queue;
    audit->config = *config;
    mr_bytes_init(&audit->value);
    mr_task_init(&audit->task, queue->loop, on_task, audit);
    rc = audit_trail_new(queue->loop, metrics, on_waiting, audit, &audit->trail);
    if (rc == 0) {
        rc = mr_codec_context_new(&audit->codecs);
    }
    if (rc == 0 && topic != NULL) {
        rc = set_topic(audit, topic);
    }
    if (rc != 0) {
        audit_trail_free(audit->trail);
        mr_codec_context_free(audit->codecs);
        mr_free(audit);
        return rc;
    }
    *ret_audit = audit;
    return 0;
}

struct audit_trail *audit_trail_of(struct audit *audit)
{
    return audit != NULL ? audit->trail : NULL;
}

void audit_close(struct audit *audit, void (*done)(void *owner), void *owner)
{
    audit->is_closing = true;
    audit->on_closed = done;
    audit->close_owner = owner;
    audit_trail_flush(audit->trail);
    mr_task_post(&audit->task);
}
