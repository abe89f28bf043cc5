#include "queue/producer.h"

#include <assert.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "queue/meta/replay.h"
#include "queue/queue_internal.h"

struct queue_producer {
    struct queue *queue;
    struct partition *partition;
    struct replicas_space space;
    void (*on_space)(void *owner);
    void *owner;
    struct log_sync sync;
    void (*on_synced)(void *owner, int rc);
    void *sync_owner;
    bool is_syncing;
    bool is_closed; /* waits for the sync under way */
};

static_assert(sizeof(struct partition_append) <= sizeof((struct queue_append *)0)->queue_data,
              "the append's own part holds what the partition needs");

static struct partition_append *inner_of(struct queue_append *append)
{
    return (struct partition_append *)(void *)append->queue_data;
}

static void on_space(struct replicas_space *space)
{
    struct queue_producer *producer = space->owner;

    if (producer->on_space != NULL) {
        producer->on_space(producer->owner);
    }
}

/* Dead letters and the like: made when something is written to them. */
static int create_own(struct queue *queue, const char *topic, struct mr_error *error)
{
    struct meta_change change = {
        .kind = META_CREATE_TOPIC,
        .name = wire_text(topic),
        .partition_count = 1,
        .replication_factor = 1,
        .is_local = true,
        .is_own = true,
    };
    int rc = meta_submit_now(queue->meta, &change);

    return rc == 0 ? 0 : mr_fail_text(error, rc, "topic '%s': %s", topic, change.reason);
}

int queue_producer_open(struct queue *queue, const char *topic, int32_t partition,
                        void (*on_space_cb)(void *owner), void *owner,
                        struct queue_producer **ret_producer, struct mr_error *error)
{
    struct queue_producer *producer;
    int rc = 0;

    if (image_find_text(meta_image(queue->meta), topic) == NULL &&
        topic_name_is_reserved(topic, strlen(topic))) {
        rc = create_own(queue, topic, error);
    }
    if (rc != 0) {
        return rc;
    }
    producer = mr_calloc(1, sizeof *producer);
    if (producer == NULL) {
        return mr_fail(error, MR_ENOMEM, "topic '%s'", topic);
    }
    rc = queue_find_partition(queue, topic, partition, &producer->partition, error);
    if (rc != 0) {
        mr_free(producer);
        return rc;
    }
    producer->queue = queue;
    producer->on_space = on_space_cb;
    producer->owner = owner;
    producer->space.cb = on_space;
    producer->space.owner = producer;
    replicas_space_add(queue->replicas, &producer->space);
    *ret_producer = producer;
    return 0;
}

static void producer_free(struct queue_producer *producer)
{
    partition_unref(producer->partition);
    mr_free(producer);
}

void queue_producer_close(struct queue_producer *producer)
{
    if (producer == NULL) {
        return;
    }
    queue_producer_set_before_delete(producer, NULL, NULL);
    replicas_space_remove(&producer->space);
    if (producer->is_syncing) {
        producer->is_closed = true;
    } else {
        producer_free(producer);
    }
}

static void take_result(struct queue_append *append)
{
    const struct log_append *inner = &inner_of(append)->log;

    append->rc = inner->rc;
    append->base_offset = inner->base_offset;
    append->next_offset = inner->last_offset + 1;
}

static void on_appended(struct partition_append *inner)
{
    struct queue_append *append = inner->owner;

    take_result(append);
    append->cb(append);
}

int queue_producer_append(struct queue_producer *producer, struct queue_append *append)
{
    struct partition_append *inner = inner_of(append);
    int rc;

    memset(inner, 0, sizeof *inner);
    inner->log.batch = append->batch;
    inner->log.flags = append->may_exceed_limit ? LOG_APPEND_OVER_LIMIT : 0;
    inner->cb = on_appended;
    inner->owner = append;
    rc = partition_append(producer->partition, inner);
    if (rc == 0) {
        take_result(append);
    }
    return rc;
}

static void on_synced(struct log_sync *sync)
{
    struct queue_producer *producer = sync->owner;

    producer->is_syncing = false;
    if (producer->is_closed) {
        producer_free(producer);
        return;
    }
    producer->on_synced(producer->sync_owner, sync->rc);
}

int queue_producer_sync(struct queue_producer *producer, void (*done)(void *owner, int rc),
                        void *owner)
{
    int rc;

    if (producer->is_syncing) {
        return MR_EBUSY;
    }
    if (producer->partition->log == NULL) {
        return MR_ENOENT;
    }
    producer->on_synced = done;
    producer->sync_owner = owner;
    producer->sync = (struct log_sync){.cb = on_synced, .owner = producer};
    rc = log_sync(producer->partition->log, &producer->sync);
    producer->is_syncing = rc == 0;
    return rc;
}

/* The lowest offset that some reader has still to pass; `none` if nobody reads. */
static int64_t lowest_unread(const struct partition *partition, int64_t none)
{
    int64_t lowest = none;

    mr_list_each(&partition->readers, link, next)
    {
        const struct partition_reader *reader = mr_container(link, struct partition_reader, link);
        if (reader->passed_offset < lowest) {
            lowest = reader->passed_offset;
        }
    }
    return lowest;
}

int queue_producer_drop_oldest(struct queue_producer *producer, int64_t *ret_records)
{
    struct partition *partition = producer->partition;
    int64_t start = queue_producer_start_offset(producer);
    int64_t new_start;
    int64_t unread;
    int rc;

    if (partition->log == NULL) {
        return MR_ENOENT;
    }
    rc = log_drop_oldest(partition->log, &new_start);
    if (rc != 0) {
        return rc;
    }
    unread = lowest_unread(partition, new_start);
    unread = unread > start ? unread : start;
    *ret_records = new_start > unread ? new_start - unread : 0;
    return 0;
}

int queue_producer_drop_passed(struct queue_producer *producer)
{
    int64_t new_start;

    return producer->partition->log == NULL ? MR_ENOENT
                                            : log_drop_passed(producer->partition->log, &new_start);
}

int64_t queue_producer_start_offset(const struct queue_producer *producer)
{
    return partition_start_offset(producer->partition);
}

int64_t queue_producer_end_offset(const struct queue_producer *producer)
{
    const struct log *log = producer->partition->log;

    return log != NULL ? log_end_offset(log) : partition_end_offset(producer->partition);
}

struct producer_replay {
    int (*cb)(void *owner, int64_t base_offset, const uint8_t *batch, size_t size_bytes);
    void *owner;
};

static int on_replayed(void *owner, const struct batch_header *header, const uint8_t *batch,
                       size_t size_bytes)
{
    const struct producer_replay *replay = owner;

    return replay->cb(replay->owner, header->base_offset, batch, size_bytes);
}

int queue_producer_replay(struct queue_producer *producer, int64_t offset,
                          int (*cb)(void *owner, int64_t base_offset, const uint8_t *batch,
                                    size_t size_bytes),
                          void *owner, struct mr_error *error)
{
    struct producer_replay replay = {cb, owner};

    if (producer->partition->log == NULL) {
        return mr_fail(error, MR_ENOENT, "topic '%s'", producer->partition->topic);
    }
    return replay_batches(producer->partition->log, producer->queue->disk, offset, on_replayed,
                          &replay, NULL, error);
}

const char *queue_producer_directory(const struct queue_producer *producer)
{
    return producer->partition->log != NULL ? log_directory(producer->partition->log) : "";
}

void queue_producer_set_before_delete(struct queue_producer *producer,
                                      int (*cb)(void *owner, int64_t new_start_offset), void *owner)
{
    if (producer->partition->log != NULL) {
        log_set_before_delete(producer->partition->log, cb, owner);
    }
}
