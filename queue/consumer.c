#include "queue/consumer.h"

#include <fnmatch.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/queue_internal.h"

enum { SYNC_RETRY_MS = 1000 };

/* Waiting: something readable already -> on_more in the next turn. Else the high watermark must
 * move; and within QUEUE_LIMIT_SYNCED the group commit must then pass the offset. */
struct queue_consumer {
    struct queue *queue;
    struct partition *partition;
    char *group;
    struct partition_reader reader;
    void (*on_more)(void *owner);
    void *owner;
    struct partition_waiter waiter;
    struct mr_task more_task;
    struct mr_timer retry_timer; /* after a sync that failed */
    struct log_sync sync;
    int64_t wanted_offset;
    enum queue_limit limit;
    bool is_waiting;
    bool is_syncing;
    bool is_closed;
};

static void consumer_step(struct queue_consumer *consumer);

static void on_more_task(struct mr_task *task)
{
    struct queue_consumer *consumer = task->owner;

    consumer->on_more(consumer->owner);
}

static void on_moved(struct partition_waiter *waiter)
{
    consumer_step(waiter->owner);
}

static void on_retry(struct mr_timer *timer)
{
    consumer_step(timer->owner);
}

int queue_consumer_open(struct queue *queue, const char *group, const char *topic,
                        int32_t partition, void (*on_more)(void *owner), void *owner,
                        struct queue_consumer **ret_consumer, struct mr_error *error)
{
    struct queue_consumer *consumer = mr_calloc(1, sizeof *consumer);
    int rc;

    if (consumer == NULL) {
        return mr_fail(error, MR_ENOMEM, "group '%s'", group);
    }
    consumer->group = mr_strdup(group);
    rc = consumer->group == NULL
             ? mr_fail(error, MR_ENOMEM, "group '%s'", group)
             : queue_find_partition(queue, topic, partition, &consumer->partition, error);
    if (rc != 0) {
        mr_free(consumer->group);
        mr_free(consumer);
        return rc;
    }
    consumer->queue = queue;
    consumer->on_more = on_more;
    consumer->owner = owner;
    consumer->waiter.cb = on_moved;
    consumer->waiter.owner = consumer;
    mr_task_init(&consumer->more_task, queue->loop, on_more_task, consumer);
    mr_timer_init(&consumer->retry_timer, queue->loop, on_retry, consumer);
    partition_attach(consumer->partition, &consumer->reader);
    *ret_consumer = consumer;
    return 0;
}

static void consumer_free(struct queue_consumer *consumer)
{
    partition_unref(consumer->partition);
    mr_free(consumer->group);
    mr_free(consumer);
}

void queue_consumer_close(struct queue_consumer *consumer)
{
    if (consumer == NULL) {
        return;
    }
    partition_unwait(&consumer->waiter);
    mr_task_cancel(&consumer->more_task);
    mr_timer_stop(&consumer->retry_timer);
    partition_detach(consumer->partition, &consumer->reader);
    consumer->is_closed = true;
    if (!consumer->is_syncing) {
        consumer_free(consumer);
    }
}

/* ---- reading ---- */

static int64_t limit_offset(const struct queue_consumer *consumer, enum queue_limit limit)
{
    int64_t end = partition_end_offset(consumer->partition);
    int64_t synced;

    if (limit == QUEUE_LIMIT_VISIBLE || consumer->partition->log == NULL) {
        return end;
    }
    synced = log_synced_offset(consumer->partition->log);
    return synced < end ? synced : end;
}

int queue_consumer_read(struct queue_consumer *consumer, int64_t offset, enum queue_limit limit,
                        int64_t max_bytes, struct log_cursor *cursor, struct log_range *ret_range)
{
    struct partition *partition = consumer->partition;
    int64_t end = limit_offset(consumer, limit);

    if (partition->is_deleted || partition->log == NULL) {
        return MR_ENOENT;
    }
    if (offset >= end && offset <= partition_end_offset(partition) &&
        offset >= partition_start_offset(partition)) {
        *ret_range = (struct log_range){.fd = -1, .first_offset = offset, .next_offset = offset};
        return 0;
    }
    return log_read(partition->log, offset, end, max_bytes, cursor, ret_range);
}

static void on_synced(struct log_sync *sync)
{
    struct queue_consumer *consumer = sync->owner;

    consumer->is_syncing = false;
    if (consumer->is_closed) {
        consumer_free(consumer);
    } else if (sync->rc != 0) {
        (void)mr_timer_start(&consumer->retry_timer, SYNC_RETRY_MS);
    } else {
        consumer_step(consumer);
    }
}

static void consumer_sync(struct queue_consumer *consumer)
{
    int rc;

    if (consumer->is_syncing) {
        return;
    }
    consumer->sync = (struct log_sync){.cb = on_synced, .owner = consumer};
    rc = log_sync(consumer->partition->log, &consumer->sync);
    consumer->is_syncing = rc == 0;
    if (rc != 0) {
        (void)mr_timer_start(&consumer->retry_timer, SYNC_RETRY_MS);
    }
}

static void consumer_step(struct queue_consumer *consumer)
{
    const struct partition *partition = consumer->partition;

    if (!consumer->is_waiting || partition->is_deleted) {
        return; /* of a deleted topic nothing more will come */
    }
    if (consumer->wanted_offset < limit_offset(consumer, consumer->limit) ||
        consumer->wanted_offset < partition_start_offset(partition)) {
        consumer->is_waiting = false;
        mr_task_post(&consumer->more_task);
    } else if (consumer->wanted_offset < partition_end_offset(partition)) {
        consumer_sync(consumer);
    } else if (!mr_link_is_linked(&consumer->waiter.link)) {
        partition_wait(consumer->partition, &consumer->waiter);
    }
}

void queue_consumer_wait(struct queue_consumer *consumer, int64_t offset, enum queue_limit limit)
{
    consumer->wanted_offset = offset;
    consumer->limit = limit;
    consumer->is_waiting = true;
    consumer_step(consumer);
}

int64_t queue_consumer_start_offset(const struct queue_consumer *consumer)
{
    return partition_start_offset(consumer->partition);
}

int64_t queue_consumer_end_offset(const struct queue_consumer *consumer)
{
    return partition_end_offset(consumer->partition);
}

void queue_consumer_passed(struct queue_consumer *consumer, int64_t offset)
{
    partition_passed(consumer->partition, &consumer->reader, offset);
}

/* ---- positions ---- */

int64_t queue_consumer_committed(const struct queue_consumer *consumer, const char **ret_metadata)
{
    const struct group_offset *offset =
        group_offsets_get(consumer->queue->offsets, wire_text(consumer->group),
                          wire_text(consumer->partition->topic), consumer->partition->index);

    *ret_metadata = offset != NULL ? offset->metadata : "";
    return offset != NULL ? offset->offset : -1;
}

struct consumer_commit {
    struct offsets_commit commit;
    void (*done)(void *owner, int rc);
    void *owner;
};

static void on_committed(struct offsets_commit *offsets_commit)
{
    struct consumer_commit *commit = mr_container(offsets_commit, struct consumer_commit, commit);

    commit->done(commit->owner, offsets_commit->rc);
    mr_free(commit);
}

int queue_consumer_commit(struct queue_consumer *consumer, int64_t offset, const char *metadata,
                          void (*done)(void *owner, int rc), void *owner)
{
    struct offsets_item item = {
        .topic = wire_text(consumer->partition->topic),
        .partition = consumer->partition->index,
        .offset = offset,
        .leader_epoch = offset > 0 ? partition_epoch_of(consumer->partition, offset - 1) : -1,
        .metadata = wire_text(metadata),
    };
    struct consumer_commit *commit = mr_calloc(1, sizeof *commit);
    int rc;

    if (commit == NULL) {
        return MR_ENOMEM;
    }
    commit->done = done;
    commit->owner = owner;
    commit->commit = (struct offsets_commit){
        .group = wire_text(consumer->group),
        .items = &item,
        .item_count = 1,
        .is_synced = true,
        .cb = on_committed,
        .owner = commit,
    };
    rc = group_offsets_commit(consumer->queue->offsets, &commit->commit);
    if (rc != 0) {
        mr_free(commit);
    }
    return rc;
}

/* ---- watching topics ---- */

struct queue_watch {
    struct mr_link link;
    char **patterns;
    size_t count;
    queue_topic_cb cb;
    void *owner;
};

static bool watch_matches(const struct queue_watch *watch, const char *topic)
{
    bool is_reserved = topic_name_is_reserved(topic, strlen(topic));

    for (size_t i = 0; i < watch->count; i++) {
        const char *pattern = watch->patterns[i];
        if (is_reserved && !topic_name_is_reserved(pattern, strlen(pattern))) {
            continue; /* what belongs to the program must be named */
        }
        if (fnmatch(pattern, topic, 0) == 0) {
            return true;
        }
    }
    return false;
}

static void watch_tell(const struct queue_watch *watch, const struct image_topic *topic)
{
    if (watch_matches(watch, topic->name)) {
        watch->cb(watch->owner, topic->name, topic->partition_count, topic->is_local);
    }
}

void queue_watch_tell(struct queue *queue, const struct image_topic *topic)
{
    mr_list_each(&queue->watches, link, next)
    {
        watch_tell(mr_container(link, struct queue_watch, link), topic);
    }
}

void queue_watch_close(struct queue_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    mr_list_remove(&watch->link);
    for (size_t i = 0; i < watch->count; i++) {
        mr_free(watch->patterns[i]);
    }
    mr_free(watch->patterns);
    mr_free(watch);
}

int queue_watch_topics(struct queue *queue, const char *const *patterns, size_t count,
                       queue_topic_cb cb, void *owner, struct queue_watch **ret_watch)
{
    struct queue_watch *watch = mr_calloc(1, sizeof *watch);
    const struct image *image = meta_image(queue->meta);

    if (watch == NULL) {
        return MR_ENOMEM;
    }
    mr_list_append(&queue->watches, &watch->link);
    watch->cb = cb;
    watch->owner = owner;
    watch->patterns = mr_calloc(count + 1, sizeof(char *));
    for (size_t i = 0; watch->patterns != NULL && i < count; i++) {
        watch->patterns[i] = mr_strdup(patterns[i]);
        if (watch->patterns[i] == NULL) {
            queue_watch_close(watch);
            return MR_ENOMEM;
        }
        watch->count = i + 1;
    }
    if (watch->patterns == NULL) {
        queue_watch_close(watch);
        return MR_ENOMEM;
    }
    *ret_watch = watch;
    for (size_t i = 0; i < image->topic_count; i++) {
        watch_tell(watch, image->topics[i]);
    }
    return 0;
}
