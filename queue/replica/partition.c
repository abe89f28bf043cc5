#include "queue/replica/partition.h"

#include <inttypes.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"

static void drain_queue(struct partition *partition);

static void on_wake(struct mr_task *task)
{
    struct partition *partition = task->owner;
    struct mr_link woken;
    struct mr_link *link;

    (void)partition_ref(partition);
    drain_queue(partition);
    /* Those who come back for more wait for the next move. */
    mr_list_init(&woken);
    while ((link = mr_list_pop(&partition->waiters)) != NULL) {
        mr_list_append(&woken, link);
    }
    while ((link = mr_list_pop(&woken)) != NULL) {
        struct partition_waiter *waiter = mr_container(link, struct partition_waiter, link);
        waiter->cb(waiter);
    }
    partition_unref(partition);
}

int partition_new(struct mr_loop *loop, const char *topic, const struct mr_uuid *topic_id,
                  int32_t index, bool is_local, struct partition **ret_partition)
{
    struct partition *partition = mr_calloc(1, sizeof *partition);

    if (partition == NULL) {
        return MR_ENOMEM;
    }
    partition->topic = mr_strdup(topic);
    if (partition->topic == NULL) {
        mr_free(partition);
        return MR_ENOMEM;
    }
    partition->topic_id = *topic_id;
    partition->index = index;
    partition->is_local = is_local;
    partition->refs = 1;
    mr_list_init(&partition->waiters);
    mr_list_init(&partition->readers);
    mr_list_init(&partition->queue);
    mr_task_init(&partition->wake, loop, on_wake, partition);
    *ret_partition = partition;
    return 0;
}

struct partition *partition_ref(struct partition *partition)
{
    partition->refs += 1;
    return partition;
}

void partition_unref(struct partition *partition)
{
    if (partition == NULL) {
        return;
    }
    mr_assert(partition->refs > 0);
    partition->refs -= 1;
    if (partition->refs == 0) {
        mr_assert(partition->log == NULL);
        mr_assert(mr_list_is_empty(&partition->waiters));
        mr_task_cancel(&partition->wake);
        mr_free(partition->topic);
        mr_free(partition);
    }
}

int partition_open(struct partition *partition, const struct log_env *env,
                   const char *data_directory, const struct log_config *config,
                   struct mr_error *error)
{
    char *path;
    int rc;

    mr_assert(partition->log == NULL);
    path = mr_asprintf("%s/%s-%" PRId32, data_directory, partition->topic, partition->index);
    if (path == NULL) {
        rc = mr_fail(error, MR_ENOMEM, "out of memory");
    } else {
        rc = log_open(env, path, &partition->topic_id, config, &partition->log, error);
        mr_free(path);
    }
    partition->log_rc = rc;
    if (rc != 0) {
        (void)mr_error_context(error, "topic '%s': partition %" PRId32, partition->topic,
                               partition->index);
        return rc;
    }
    partition->leader_epoch = log_leader_epoch(partition->log) + 1;
    partition->high_watermark = log_end_offset(partition->log);
    return 0;
}

int partition_health(const struct partition *partition)
{
    if (partition->is_deleted) {
        return MR_ENOENT;
    }
    return partition->log != NULL ? log_health(partition->log) : partition->log_rc;
}

/* ---- append ---- */

static void on_append(struct log_append *log_append)
{
    struct partition_append *append = mr_container(log_append, struct partition_append, log);
    struct partition *partition = append->partition;

    if (log_append->rc == 0 && log_append->last_offset >= partition->high_watermark) {
        partition->high_watermark = log_append->last_offset + 1;
        if (!mr_list_is_empty(&partition->waiters)) {
            mr_task_post(&partition->wake);
        }
    }
    append->cb(append);
    drain_queue(partition);
    partition_unref(partition);
}

static int begin_epoch(struct partition *partition)
{
    struct mr_error error = {0};
    int rc;

    if (partition->is_epoch_begun) {
        return 0;
    }
    rc = log_begin_epoch(partition->log, partition->leader_epoch, &error);
    if (rc != 0) {
        mr_error("leader epoch could not be written", KV_STR("topic", partition->topic),
                 KV_I64("partition", partition->index), KV_STR("reason", error.text));
        return rc;
    }
    partition->is_epoch_begun = true;
    return 0;
}

int partition_append(struct partition *partition, struct partition_append *append)
{
    int rc = partition_health(partition);

    if (rc != 0 || partition->log == NULL) {
        return rc != 0 ? rc : MR_ENOENT;
    }
    rc = begin_epoch(partition);
    if (rc != 0) {
        return rc;
    }
    if (!mr_list_is_empty(&partition->queue) && !mr_link_is_linked(&append->queue_link)) {
        return MR_EAGAIN; /* others were first */
    }
    append->partition = partition;
    append->log.leader_epoch = partition->leader_epoch;
    append->log.cb = on_append;
    append->log.owner = append;
    rc = log_append(partition->log, &append->log);
    if (rc == 0) {
        (void)partition_ref(partition);
    }
    return rc;
}

int partition_append_queued(struct partition *partition, struct partition_append *append)
{
    int rc = partition_append(partition, append);

    if (rc != MR_EAGAIN) {
        return rc;
    }
    append->partition = partition_ref(partition);
    mr_list_append(&partition->queue, &append->queue_link);
    return 0;
}

/* As much as the log takes now. Runs in a later turn than the one that queued. */
static void drain_queue(struct partition *partition)
{
    while (!mr_list_is_empty(&partition->queue)) {
        struct partition_append *append =
            mr_container(partition->queue.next, struct partition_append, queue_link);
        int rc = partition_append(partition, append);
        if (rc == MR_EAGAIN) {
            return;
        }
        mr_list_remove(&append->queue_link);
        if (rc != 0) {
            append->log.rc = rc;
            append->cb(append);
        }
        partition_unref(partition); /* the queue's reference; the caller holds one */
    }
}

/* ---- read ---- */

int partition_read(struct partition *partition, int64_t offset, int64_t max_bytes,
                   struct log_cursor *cursor, struct log_range *ret_range)
{
    if (partition->is_deleted) {
        return MR_ENOENT;
    }
    if (partition->log == NULL) {
        if (partition->log_rc != 0) {
            return partition->log_rc;
        }
        *ret_range = (struct log_range){.fd = -1, .next_offset = offset};
        return offset == 0 ? 0 : MR_ERANGE;
    }
    if (offset > partition->high_watermark) {
        return MR_ERANGE;
    }
    return log_read(partition->log, offset, partition->high_watermark, max_bytes, cursor,
                    ret_range);
}

int64_t partition_start_offset(const struct partition *partition)
{
    return partition->log != NULL ? log_start_offset(partition->log) : 0;
}

int64_t partition_end_offset(const struct partition *partition)
{
    return partition->high_watermark;
}

void partition_epoch_end(const struct partition *partition, int32_t epoch, int32_t *ret_epoch,
                         int64_t *ret_end_offset)
{
    if (epoch == partition->leader_epoch) {
        *ret_epoch = epoch;
        *ret_end_offset = partition->high_watermark;
        return;
    }
    *ret_epoch = -1;
    *ret_end_offset = -1;
    if (partition->log != NULL && epoch < partition->leader_epoch) {
        log_epoch_end(partition->log, epoch, ret_epoch, ret_end_offset);
    }
}

int32_t partition_epoch_of(const struct partition *partition, int64_t offset)
{
    if (offset >= partition->high_watermark || partition->log == NULL) {
        return partition->leader_epoch;
    }
    return log_epoch_of(partition->log, offset);
}

int partition_delete_before(struct partition *partition, int64_t offset, struct mr_error *error)
{
    int64_t target = offset == -1 ? partition->high_watermark : offset;

    if (partition->is_deleted) {
        return mr_fail(error, MR_ENOENT, "topic '%s'", partition->topic);
    }
    if (target < 0 || target > partition->high_watermark) {
        return mr_fail(error, MR_ERANGE, "offset %" PRId64, target);
    }
    if (partition->log == NULL) {
        return partition->log_rc;
    }
    return log_delete_before(partition->log, target, error);
}

/* ---- those who wait, and those who must have read ---- */

void partition_wait(struct partition *partition, struct partition_waiter *waiter)
{
    mr_list_append(&partition->waiters, &waiter->link);
    if (partition->is_deleted) {
        mr_task_post(&partition->wake);
    }
}

void partition_unwait(struct partition_waiter *waiter)
{
    mr_list_remove(&waiter->link);
}

static void tell_passed(struct partition *partition)
{
    int64_t lowest = -1;

    mr_list_each(&partition->readers, link, next)
    {
        const struct partition_reader *reader = mr_container(link, struct partition_reader, link);
        if (lowest < 0 || reader->passed_offset < lowest) {
            lowest = reader->passed_offset;
        }
    }
    if (partition->log != NULL && partition->is_local) {
        log_set_passed(partition->log, lowest, partition->keep_ms);
    }
}

void partition_attach(struct partition *partition, struct partition_reader *reader)
{
    reader->passed_offset = partition_start_offset(partition);
    mr_list_append(&partition->readers, &reader->link);
    tell_passed(partition);
}

void partition_detach(struct partition *partition, struct partition_reader *reader)
{
    mr_list_remove(&reader->link);
    tell_passed(partition);
}

void partition_passed(struct partition *partition, struct partition_reader *reader, int64_t offset)
{
    if (offset > reader->passed_offset) {
        reader->passed_offset = offset;
        tell_passed(partition);
    }
}

void partition_mark_deleted(struct partition *partition)
{
    partition->is_deleted = true;
    mr_task_post(&partition->wake);
}
