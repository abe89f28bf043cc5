#include "queue/meta/meta.h"

#include <stdio.h>
#include <string.h>

#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "queue/log/log.h"
#include "queue/meta/change.h"
#include "queue/meta/local_topics.h"
#include "queue/meta/properties.h"
#include "queue/meta/records.h"
#include "queue/meta/replay.h"
#include "queue/wire/batch_builder.h"
#include "queue/wire/kafka_error.h"

enum {
    META_BATCH_SIZE_MAX = 256 * 1024 * 1024,
    META_SEGMENT_SIZE = 1024 * 1024,
    META_SNAPSHOT_AFTER = 1024 * 1024, /* bytes appended since the last one */
};

/* Happy path: submit -> waiting -> (task) checked, its records in one batch with those of others ->
 * appended, synced -> applied to the image -> listeners -> cb.
 * 1. The check fails: cb with the error, nothing was written.
 * 2. The append fails: cb with the error; the image is unchanged; the log has turned read-only.
 * 3. The process dies before the sync: the change is there after the restart, or not; nobody was
 * told. */
struct meta {
    struct log_env env;
    struct log *log;
    struct image image;
    char *data_directory;
    char cluster_id[MR_UUID_TEXT_SIZE];
    int32_t node_count;
    struct batch_builder builder;
    struct mr_task task;
    struct mr_link waiting;   /* meta_change: not yet looked at */
    struct mr_link in_flight; /* meta_change: in the batch that is being appended */
    struct mr_link listeners;
    struct log_append append;
    bool is_appending;
    bool is_snapshot; /* what is being appended */
    bool is_closing;
    int64_t appended_bytes; /* since the last snapshot */
    int64_t producer_id_next;
    int64_t producer_id_end; /* of the block that is ours to give */
    void (*on_closed)(void *owner);
    void *close_owner;
};

static void meta_step(struct meta *meta);

static void on_task(struct mr_task *task)
{
    meta_step(task->owner);
}

/* ---- opening ---- */

static int on_record(void *owner, const struct batch_header *header,
                     const struct batch_record *record)
{
    struct meta *meta = owner;
    int rc = MR_ECORRUPT;

    if (record->value_size > 0) {
        rc = meta_record_apply(&meta->image, record->value, (size_t)record->value_size);
    }
    if (rc == MR_ENOMEM) {
        return rc;
    }
    if (rc != 0) {
        /* One record that cannot be understood must not keep the node from starting. */
        mr_warn("metadata record skipped",
                KV_I64("offset", header->base_offset + record->offset_delta), KV_ERR(rc));
    }
    return 0;
}

static int meta_open_log(struct meta *meta, struct mr_error *error)
{
    char *path = mr_asprintf("%s/__cluster_metadata-0", meta->data_directory);
    /* Kafka's reserved id of the metadata topic (KIP-500): uuid 1. */
    struct mr_uuid id = {.bytes = {[15] = 1}};
    struct log_config config;
    int rc;

    if (path == NULL) {
        return mr_fail(error, MR_ENOMEM, "metadata");
    }
    log_config_defaults(&config);
    config.segment_size_bytes = META_SEGMENT_SIZE;
    config.retention_ms = -1;
    config.retention_bytes = -1;
    config.batch_size_bytes_max = META_BATCH_SIZE_MAX;
    config.fsync = LOG_FSYNC_ALWAYS;
    rc = log_open(&meta->env, path, &id, &config, &meta->log, error);
    mr_free(path);
    if (rc == 0) {
        rc = replay_records(meta->log, meta->env.disk, log_start_offset(meta->log), on_record, meta,
                            error);
    }
    return rc;
}

static void meta_free(struct meta *meta)
{
    batch_builder_done(&meta->builder);
    image_done(&meta->image);
    mr_free(meta->data_directory);
    mr_free(meta);
}

static void ignore_close(void *owner)
{
    (void)owner;
}

int meta_open(const struct meta_config *config, struct meta **ret_meta, struct mr_error *error)
{
    struct batch_builder_options options = {.size_bytes_max = META_BATCH_SIZE_MAX};
    struct meta *meta = mr_calloc(1, sizeof *meta);
    int rc;

    if (meta == NULL) {
        return mr_fail(error, MR_ENOMEM, "metadata");
    }
    meta->env = *config->env;
    meta->env.budget = NULL; /* small, bounded, and needed to delete anything */
    meta->node_count = config->node_count;
    image_init(&meta->image);
    batch_builder_init(&meta->builder, &options);
    mr_list_init(&meta->waiting);
    mr_list_init(&meta->in_flight);
    mr_list_init(&meta->listeners);
    mr_task_init(&meta->task, meta->env.loop, on_task, meta);
    meta->data_directory = mr_strdup(config->data_directory);
    if (meta->data_directory == NULL) {
        rc = mr_fail(error, MR_ENOMEM, "metadata");
        goto free_meta;
    }
    rc = properties_open(meta->env.disk, meta->env.random, meta->data_directory, config->node_id,
                         meta->cluster_id, error);
    if (rc == 0) {
        rc = meta_open_log(meta, error);
    }
    if (rc == 0) {
        rc = local_topics_load(meta->env.disk, meta->data_directory, &meta->image, error);
    }
    if (rc != 0) {
        goto close_log;
    }
    /* What was reserved before the restart may have been given out. */
    meta->producer_id_next = meta->image.next_producer_id;
    meta->producer_id_end = meta->producer_id_next;
    meta->appended_bytes = log_size_bytes(meta->log);
    *ret_meta = meta;
    return 0;
close_log:
    if (meta->log != NULL) {
        log_close(meta->log, ignore_close, NULL);
    }
free_meta:
    meta_free(meta);
    return rc;
}

/* ---- looking ---- */

const struct image *meta_image(const struct meta *meta)
{
    return &meta->image;
}

const char *meta_cluster_id(const struct meta *meta)
{
    return meta->cluster_id;
}

void meta_listen(struct meta *meta, struct meta_listener *listener)
{
    mr_list_append(&meta->listeners, &listener->link);
}

void meta_unlisten(struct meta_listener *listener)
{
    mr_list_remove(&listener->link);
}

/* ---- applying ---- */

static int meta_apply(struct meta *meta, struct meta_change *change)
{
    int64_t block = meta->image.next_producer_id;
    int rc = change_apply(&meta->image, &meta->listeners, change);

    if (rc == 0 && change->kind == META_TAKE_PRODUCER_ID) {
        meta->producer_id_next = block;
        meta->producer_id_end = meta->image.next_producer_id;
        change->producer_id = meta->producer_id_next++;
    }
    return rc;
}

/* ---- local topics: a file instead of the log ---- */

static bool change_is_local(const struct meta *meta, const struct meta_change *change)
{
    const struct image_topic *topic;

    if (!change_is_of_topic(change)) {
        return false;
    }
    if (change->kind == META_CREATE_TOPIC) {
        return change->is_local;
    }
    topic = image_find_id(&meta->image, &change->id);
    return topic != NULL && topic->is_local;
}

/* The image is changed first, since the file is written from it. If the write fails the change
 * holds until the restart, and the one who asked is told; a created topic is taken back. */
static void change_local(struct meta *meta, struct meta_change *change)
{
    struct mr_error error = {0};
    int rc = meta_apply(meta, change);

    if (rc == 0) {
        rc = local_topics_save(meta->env.disk, meta->data_directory, &meta->image, &error);
    }
    if (rc != 0) {
        mr_error("local topics could not be written", KV_STR("reason", error.text));
        change->error = kafka_error_of(rc);
        (void)snprintf(change->reason, sizeof change->reason, "%.200s", error.text);
    }
}

/* ---- the machine ---- */

static void change_done(struct meta_change *change)
{
    mr_list_remove(&change->link);
    change->cb(change);
}

static void change_failed(struct meta_change *change, int rc)
{
    change->error = kafka_error_of(rc);
    (void)snprintf(change->reason, sizeof change->reason, "the metadata log failed: %s",
                   mr_code_text(rc));
    change_done(change);
}

static void meta_close_if_idle(struct meta *meta);

static void on_closed(void *owner)
{
    struct meta *meta = owner;
    void (*done)(void *) = meta->on_closed;
    void *done_owner = meta->close_owner;

    meta_free(meta);
    done(done_owner);
}

static void meta_close_if_idle(struct meta *meta)
{
    if (meta->is_closing && !meta->is_appending && meta->log != NULL) {
        struct log *log = meta->log;
        meta->log = NULL;
        mr_task_cancel(&meta->task);
        log_close(log, on_closed, meta);
    }
}

static void on_snapshot(struct meta *meta, const struct log_append *append)
{
    struct mr_error error = {0};

    if (append->rc != 0) {
        mr_error("metadata snapshot failed", KV_ERR(append->rc));
        return;
    }
    meta->appended_bytes = 0;
    if (log_delete_before(meta->log, append->base_offset, &error) != 0) {
        mr_warn("old metadata stays", KV_STR("reason", error.text));
    }
    (void)log_retain(meta->log);
}

static void on_append(struct log_append *append)
{
    struct meta *meta = append->owner;
    struct mr_link *link;

    meta->is_appending = false;
    mr_buf_unref(append->batch.buf);
    append->batch.buf = NULL;
    if (meta->is_snapshot) {
        meta->is_snapshot = false;
        on_snapshot(meta, append);
    }
    while ((link = mr_list_pop(&meta->in_flight)) != NULL) {
        struct meta_change *change = mr_container(link, struct meta_change, link);
        int rc = append->rc;
        if (rc == 0) {
            rc = meta_apply(meta, change);
        }
        if (rc != 0) {
            change_failed(change, rc);
        } else {
            change_done(change);
        }
    }
    if (meta->is_closing) {
        meta_close_if_idle(meta);
        return;
    }
    mr_task_post(&meta->task);
}

/* Appends what the builder holds. */
static int meta_append(struct meta *meta, struct log_append *append, log_append_cb cb, void *owner)
{
    struct mr_buf *batch;
    int rc = batch_builder_finish(&meta->builder, NULL, NULL, 0, 0, &batch);

    if (rc != 0) {
        return rc;
    }
    memset(append, 0, sizeof *append);
    append->batch = (struct mr_slice){batch, batch->data, batch->size_bytes};
    append->flags = LOG_APPEND_SYNC | LOG_APPEND_OVER_LIMIT;
    append->cb = cb;
    append->owner = owner;
    meta->appended_bytes += (int64_t)batch->size_bytes;
    rc = log_append(meta->log, append);
    if (rc != 0) {
        mr_buf_unref(batch);
    }
    return rc;
}

static void meta_append_flight(struct meta *meta)
{
    int rc = meta_append(meta, &meta->append, on_append, meta);
    struct mr_link *link;

    if (rc == 0) {
        meta->is_appending = true;
        return;
    }
    while ((link = mr_list_pop(&meta->in_flight)) != NULL) {
        change_failed(mr_container(link, struct meta_change, link), rc);
    }
}

/* Changes of one topic go one after the other, since each is checked against the image. */
static bool meta_has_in_flight(const struct meta *meta, const struct meta_change *change)
{
    mr_list_each(&meta->in_flight, link, next)
    {
        const struct meta_change *other = mr_container(link, struct meta_change, link);
        if (change->kind == META_TAKE_PRODUCER_ID ? other->kind == META_TAKE_PRODUCER_ID
                                                  : wire_string_equal(other->name, change->name)) {
            return true;
        }
    }
    return false;
}

/* Answers the change at once, or puts it in the batch. */
static void meta_take(struct meta *meta, struct meta_change *change)
{
    int rc;

    if (change->kind == META_TAKE_PRODUCER_ID && meta->producer_id_next < meta->producer_id_end) {
        change->error = KAFKA_NONE;
        change->producer_id = meta->producer_id_next++;
        change_done(change);
        return;
    }
    if (change_check(&meta->image, change, meta->node_count, meta->env.random) != KAFKA_NONE ||
        change->validate_only || change_is_empty(change)) {
        change_done(change);
        return;
    }
    if (change_is_local(meta, change)) {
        change_local(meta, change);
        change_done(change);
        return;
    }
    rc = change_records(&meta->image, change, &meta->builder, mr_loop_wall_ms(meta->env.loop));
    if (rc != 0) {
        change_failed(change, rc);
        return;
    }
    mr_list_remove(&change->link);
    mr_list_append(&meta->in_flight, &change->link);
}

static void meta_snapshot(struct meta *meta)
{
    int64_t now_ms = mr_loop_wall_ms(meta->env.loop);
    int rc = batch_builder_begin(&meta->builder, now_ms);

    if (rc == 0) {
        rc = meta_records_snapshot(&meta->image, &meta->builder, now_ms);
    }
    if (rc == 0) {
        rc = meta_append(meta, &meta->append, on_append, meta);
    }
    if (rc == 0) {
        meta->is_appending = true;
        meta->is_snapshot = true;
    } else {
        mr_warn("metadata snapshot failed", KV_ERR(rc));
        meta->appended_bytes = 0; /* again after as much growth */
    }
}

static void meta_step(struct meta *meta)
{
    int rc;

    if (meta->is_appending || meta->is_closing) {
        return;
    }
    if (meta->appended_bytes >= META_SNAPSHOT_AFTER) {
        meta_snapshot(meta);
        if (meta->is_appending) {
            return;
        }
    }
    rc = batch_builder_begin(&meta->builder, mr_loop_wall_ms(meta->env.loop));
    mr_list_each(&meta->waiting, link, next)
    {
        struct meta_change *change = mr_container(link, struct meta_change, link);
        if (rc != 0) {
            change_failed(change, rc);
        } else if (!meta_has_in_flight(meta, change)) {
            meta_take(meta, change);
        }
    }
    if (!mr_list_is_empty(&meta->in_flight)) {
        meta_append_flight(meta);
    }
}

void meta_submit(struct meta *meta, struct meta_change *change)
{
    mr_assert(!meta->is_closing);
    mr_list_append(&meta->waiting, &change->link);
    mr_task_post(&meta->task);
}

static void on_append_now(struct log_append *append)
{
    if (append->rc != 0) {
        mr_error("metadata could not be written", KV_ERR(append->rc));
    }
    mr_buf_unref(append->batch.buf);
    mr_free(append);
}

static int meta_append_now(struct meta *meta, const struct meta_change *change)
{
    struct log_append *append = mr_malloc(sizeof *append);
    int64_t now_ms = mr_loop_wall_ms(meta->env.loop);
    int rc;

    if (append == NULL) {
        return MR_ENOMEM;
    }
    rc = batch_builder_begin(&meta->builder, now_ms);
    if (rc == 0) {
        rc = change_records(&meta->image, change, &meta->builder, now_ms);
    }
    if (rc == 0) {
        rc = meta_append(meta, append, on_append_now, meta);
    }
    if (rc != 0) {
        mr_free(append);
    }
    return rc;
}

int meta_submit_now(struct meta *meta, struct meta_change *change)
{
    int rc;

    mr_assert(!meta->is_appending);
    if (change_check(&meta->image, change, meta->node_count, meta->env.random) != KAFKA_NONE) {
        return MR_EINVAL;
    }
    if (change_is_local(meta, change)) {
        change_local(meta, change);
        return change->error == KAFKA_NONE ? 0 : MR_EINVAL;
    }
    rc = meta_append_now(meta, change);
    if (rc == 0) {
        rc = meta_apply(meta, change);
    }
    if (rc != 0) {
        change->error = kafka_error_of(rc);
        (void)snprintf(change->reason, sizeof change->reason, "%s", mr_code_text(rc));
    }
    return rc;
}

int meta_adopt_topic(struct meta *meta, const char *name, const struct mr_uuid *id,
                     int32_t partition_count)
{
    struct meta_change change = {
        .kind = META_CREATE_TOPIC,
        .name = wire_text(name),
        .id = *id,
        .partition_count = partition_count,
        .replication_factor = 1,
        .is_own = true,
    };
    return meta_submit_now(meta, &change);
}

int meta_declare_local(struct meta *meta, struct image_topic *topic,
                       const struct topic_settings *settings)
{
    return topic_declare_local(&meta->listeners, topic, settings);
}

void meta_forget_removed(struct meta *meta)
{
    image_forget_removed(&meta->image);
}

void meta_close(struct meta *meta, void (*done)(void *owner), void *owner)
{
    struct mr_link *link;

    meta->is_closing = true;
    meta->on_closed = done;
    meta->close_owner = owner;
    while ((link = mr_list_pop(&meta->waiting)) != NULL) {
        change_failed(mr_container(link, struct meta_change, link), MR_ECANCELED);
    }
    meta_close_if_idle(meta);
}
