#include "queue/replica/manager.h"

#include <inttypes.h>
#include <string.h>

#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/loop.h"
#include "base/core/map.h"
#include "base/core/memory.h"
#include "queue/replica/sweep.h"

enum {
    RETAIN_INTERVAL_MS = 5000,
    RETAIN_PER_TURN = 128, /* partitions looked at before others get their turn */
    OPEN_PER_TURN = 2,     /* new partitions: each costs several fsyncs */
};

struct replica_topic {
    struct mr_link link;
    const struct image_topic *topic; /* while the topic exists */
    struct partition **partitions;
    size_t capacity;
    int32_t count;
    struct mr_link opening_link; /* linked while some are still to be opened */
    int32_t opened_count;        /* those before this one have been tried */
};

struct replicas {
    struct log_env env;
    struct log_budget budget;
    struct meta *meta;
    char *data_directory;
    int64_t keep_ms;
    struct mr_link topics;
    struct meta_listener listener;
    struct mr_link space_waiters;
    struct mr_link opening; /* replica_topic: opening_link */
    struct mr_task open_task;
    struct mr_timer retain_timer;
    struct mr_link *retain_topic; /* where the walk goes on; NULL: from the start */
    int32_t retain_index;
    int logs_closing;
    bool is_started;
    bool is_closing;
    void (*on_closed)(void *owner);
    void *close_owner;
};

/* Made when first needed: fifty directories are much for a node that has no groups. */
static bool topic_is_lazy(const struct image_topic *topic)
{
    return strcmp(topic->name, "__consumer_offsets") == 0;
}

/* ---- opening ---- */

static int open_log(struct replicas *replicas, const struct image_topic *topic,
                    struct partition *partition, struct mr_error *error)
{
    struct log_config config;

    topic_settings_to_log(&topic->settings, &config);
    partition->keep_ms = replicas->keep_ms;
    return partition_open(partition, &replicas->env, replicas->data_directory, &config, error);
}

static bool has_directory(struct replicas *replicas, const struct partition *partition)
{
    char *path =
        mr_asprintf("%s/%s-%" PRId32, replicas->data_directory, partition->topic, partition->index);
    struct mr_disk_stat stat;
    bool there =
        path != NULL && replicas->env.disk->ops->stat(replicas->env.disk, path, &stat) == 0;

    mr_free(path);
    return there;
}

/* A log that cannot be opened is said, served as an error, and tried again by retention. */
static void open_partition(struct replicas *replicas, const struct image_topic *topic,
                           struct partition *partition)
{
    struct mr_error error = {0};

    if (partition->log != NULL || (topic_is_lazy(topic) && !has_directory(replicas, partition))) {
        return;
    }
    if (open_log(replicas, topic, partition, &error) != 0) {
        mr_error("partition is offline", KV_STR("reason", error.text));
    }
}

static void open_next(struct replicas *replicas, struct replica_topic *replica)
{
    if (replica->opened_count < replica->count) {
        open_partition(replicas, replica->topic, replica->partitions[replica->opened_count]);
        replica->opened_count += 1;
    }
    if (replica->opened_count == replica->count) {
        mr_list_remove(&replica->opening_link);
    }
}

/* The directories of a topic of a thousand partitions take seconds to make: a few in each turn, so
 * that everyone else is served meanwhile. Who needs one at once opens it (replicas_need). */
static void on_open(struct mr_task *task)
{
    struct replicas *replicas = task->owner;

    for (int i = 0; i < OPEN_PER_TURN && !mr_list_is_empty(&replicas->opening); i++) {
        open_next(replicas,
                  mr_container(replicas->opening.next, struct replica_topic, opening_link));
    }
    if (!mr_list_is_empty(&replicas->opening)) {
        mr_task_post(task);
    }
}

static int add_partition(struct replicas *replicas, struct replica_topic *replica,
                         const struct image_topic *topic)
{
    struct partition *partition;
    int rc;

    if (mr_grow(&replica->partitions, &replica->capacity, (size_t)replica->count + 1,
                sizeof(struct partition *)) != 0) {
        return MR_ENOMEM;
    }
    rc = partition_new(replicas->env.loop, topic->name, &topic->id, replica->count, topic->is_local,
                       &partition);
    if (rc == 0) {
        replica->partitions[replica->count++] = partition;
    }
    return rc;
}

static int grow_topic(struct replicas *replicas, const struct image_topic *topic)
{
    struct replica_topic *replica = topic->replica;
    int rc = 0;

    while (rc == 0 && replica->count < topic->partition_count) {
        rc = add_partition(replicas, replica, topic);
    }
    if (replica->opened_count < replica->count && !mr_link_is_linked(&replica->opening_link)) {
        mr_list_append(&replicas->opening, &replica->opening_link);
    }
    /* Where nobody is served yet, or the node's own sources wait for it, it is done at once. */
    while ((!replicas->is_started || topic->is_local) &&
           mr_link_is_linked(&replica->opening_link)) {
        open_next(replicas, replica);
    }
    if (mr_link_is_linked(&replica->opening_link)) {
        mr_task_post(&replicas->open_task);
    }
    return rc;
}

static int add_topic(struct replicas *replicas, struct image_topic *topic)
{
    struct replica_topic *replica = mr_calloc(1, sizeof *replica);

    if (replica == NULL) {
        return MR_ENOMEM;
    }
    replica->topic = topic;
    topic->replica = replica;
    mr_list_append(&replicas->topics, &replica->link);
    return grow_topic(replicas, topic);
}

static void on_topic_added(struct meta_listener *listener, struct image_topic *topic)
{
    struct replicas *replicas = mr_container(listener, struct replicas, listener);

    if (add_topic(replicas, topic) != 0) {
        mr_error("topic is only partly open: no memory", KV_STR("topic", topic->name));
    }
}

static void on_topic_changed(struct meta_listener *listener, struct image_topic *topic)
{
    struct replicas *replicas = mr_container(listener, struct replicas, listener);
    struct log_config config;

    if (topic->replica == NULL) {
        return;
    }
    topic_settings_to_log(&topic->settings, &config);
    for (int32_t i = 0; i < topic->replica->count; i++) {
        struct partition *partition = topic->replica->partitions[i];
        if (partition->log != NULL && log_configure(partition->log, &config) != 0) {
            mr_warn("settings not applied", KV_STR("topic", topic->name), KV_I64("partition", i));
        }
    }
    if (grow_topic(replicas, topic) != 0) {
        mr_error("topic is only partly open: no memory", KV_STR("topic", topic->name));
    }
}

/* ---- closing and deleting ---- */

static void replicas_free(struct replicas *replicas)
{
    mr_timer_stop(&replicas->retain_timer);
    mr_task_cancel(&replicas->open_task);
    mr_free(replicas->data_directory);
    mr_free(replicas);
}

struct log_end {
    struct replicas *replicas;
    struct partition *partition;
};

static void replicas_close_if_idle(struct replicas *replicas)
{
    if (replicas->is_closing && replicas->logs_closing == 0) {
        void (*done)(void *) = replicas->on_closed;
        void *owner = replicas->close_owner;
        replicas_free(replicas);
        done(owner);
    }
}

static void on_log_gone(void *owner)
{
    struct log_end *end = owner;
    struct replicas *replicas = end->replicas;

    partition_unref(end->partition);
    mr_free(end);
    replicas->logs_closing -= 1;
    replicas_close_if_idle(replicas);
}

/* Gives the manager's reference back when the log has closed (or is deleted). */
static void end_partition(struct replicas *replicas, struct partition *partition, bool is_delete)
{
    struct log_end *end;
    struct log *log = partition->log;

    partition_mark_deleted(partition);
    if (log == NULL) {
        partition_unref(partition);
        return;
    }
    end = mr_malloc(sizeof *end);
    if (end == NULL) {
        /* The file descriptors stay open until the end of the process; nothing else is lost. */
        mr_error("log could not be closed: no memory", KV_STR("topic", partition->topic));
        return;
    }
    *end = (struct log_end){replicas, partition};
    partition->log = NULL;
    replicas->logs_closing += 1;
    if (is_delete) {
        log_delete(log, on_log_gone, end);
    } else {
        log_close(log, on_log_gone, end);
    }
}

static void end_topic(struct replicas *replicas, struct replica_topic *replica, bool is_delete)
{
    if (replicas->retain_topic == &replica->link) {
        replicas->retain_topic = NULL;
    }
    mr_list_remove(&replica->link);
    mr_list_remove(&replica->opening_link);
    for (int32_t i = 0; i < replica->count; i++) {
        end_partition(replicas, replica->partitions[i], is_delete);
    }
    mr_free(replica->partitions);
    mr_free(replica);
}

static void on_topic_removed(struct meta_listener *listener, const struct image_topic *topic)
{
    struct replicas *replicas = mr_container(listener, struct replicas, listener);

    if (topic->replica != NULL) {
        end_topic(replicas, topic->replica, true);
    }
}

void replicas_close(struct replicas *replicas, void (*done)(void *owner), void *owner)
{
    replicas->is_closing = true;
    replicas->on_closed = done;
    replicas->close_owner = owner;
    meta_unlisten(&replicas->listener);
    mr_timer_stop(&replicas->retain_timer);
    mr_task_cancel(&replicas->open_task);
    replicas->logs_closing += 1; /* so that the end comes once, below */
    while (!mr_list_is_empty(&replicas->topics)) {
        struct replica_topic *replica =
            mr_container(replicas->topics.next, struct replica_topic, link);
        struct image_topic *topic = image_find_id(meta_image(replicas->meta), &replica->topic->id);
        if (topic != NULL) {
            topic->replica = NULL;
        }
        end_topic(replicas, replica, false);
    }
    replicas->logs_closing -= 1;
    replicas_close_if_idle(replicas);
}

/* ---- retention ---- */

static void retain_partition(struct replicas *replicas, struct replica_topic *replica,
                             int32_t index)
{
    struct partition *partition = replica->partitions[index];
    struct mr_error error = {0};

    if (partition->log != NULL) {
        (void)log_retain(partition->log);
    } else if (partition->log_rc != 0 &&
               open_log(replicas, replica->topic, partition, &error) == 0) {
        mr_info("partition is online again", KV_STR("topic", partition->topic),
                KV_I64("partition", index));
    }
}

static void on_retain(struct mr_timer *timer)
{
    struct replicas *replicas = timer->owner;
    struct mr_link *link = replicas->retain_topic;
    int left = RETAIN_PER_TURN;

    if (link == NULL) {
        link = replicas->topics.next;
        replicas->retain_index = 0;
    }
    while (link != &replicas->topics && left > 0) {
        struct replica_topic *replica = mr_container(link, struct replica_topic, link);
        if (replicas->retain_index >= replica->count) {
            link = link->next;
            replicas->retain_index = 0;
            continue;
        }
        retain_partition(replicas, replica, replicas->retain_index++);
        left -= 1;
    }
    replicas->retain_topic = link == &replicas->topics ? NULL : link;
    (void)mr_timer_start(timer, replicas->retain_topic == NULL ? RETAIN_INTERVAL_MS : 1);
}

static void on_space(struct log_budget *budget, void *owner)
{
    struct replicas *replicas = owner;

    (void)budget;
    mr_list_each(&replicas->space_waiters, link, next)
    {
        struct replicas_space *space = mr_container(link, struct replicas_space, link);
        space->cb(space);
    }
}

/* ---- the start ---- */

int replicas_new(const struct replicas_config *config, struct meta *meta,
                 struct replicas **ret_replicas, struct mr_error *error)
{
    struct replicas *replicas = mr_calloc(1, sizeof *replicas);

    if (replicas == NULL) {
        return mr_fail(error, MR_ENOMEM, "partitions");
    }
    replicas->data_directory = mr_strdup(config->data_directory);
    if (replicas->data_directory == NULL) {
        mr_free(replicas);
        return mr_fail(error, MR_ENOMEM, "partitions");
    }
    replicas->env = config->env;
    replicas->env.budget = &replicas->budget;
    replicas->budget.limit_bytes = config->disk_limit_bytes;
    replicas->budget.on_space = on_space;
    replicas->budget.owner = replicas;
    replicas->meta = meta;
    replicas->keep_ms = config->keep_ms;
    mr_list_init(&replicas->topics);
    mr_list_init(&replicas->space_waiters);
    mr_list_init(&replicas->opening);
    mr_task_init(&replicas->open_task, replicas->env.loop, on_open, replicas);
    replicas->listener.on_topic_added = on_topic_added;
    replicas->listener.on_topic_changed = on_topic_changed;
    replicas->listener.on_topic_removed = on_topic_removed;
    mr_timer_init(&replicas->retain_timer, replicas->env.loop, on_retain, replicas);
    *ret_replicas = replicas;
    return 0;
}

struct orphan {
    char *topic;
    struct mr_uuid id;
    int32_t partition_count;
};

struct sweep {
    struct replicas *replicas;
    struct mr_map orphans; /* by topic id */
};

static void remove_leftover(struct replicas *replicas, const char *topic, int32_t index)
{
    struct mr_error error = {0};
    char *path = mr_asprintf("%s/%s-%" PRId32, replicas->data_directory, topic, index);

    if (path == NULL || mr_disk_remove_tree(replicas->env.disk, path, &error) != 0) {
        mr_warn("directory of a deleted topic stays", KV_STR("reason", error.text));
    }
    mr_free(path);
}

static int note_orphan(struct sweep *sweep, const char *topic, int32_t index,
                       const struct mr_uuid *id)
{
    struct orphan *orphan = mr_map_get(&sweep->orphans, id->bytes, sizeof id->bytes);

    if (orphan == NULL) {
        orphan = mr_calloc(1, sizeof *orphan);
        if (orphan == NULL) {
            return MR_ENOMEM;
        }
        orphan->topic = mr_strdup(topic);
        orphan->id = *id;
        if (orphan->topic == NULL ||
            mr_map_put(&sweep->orphans, id->bytes, sizeof id->bytes, orphan, NULL) != 0) {
            mr_free(orphan->topic);
            mr_free(orphan);
            return MR_ENOMEM;
        }
    }
    if (index >= orphan->partition_count) {
        orphan->partition_count = index + 1;
    }
    return 0;
}

static int on_directory(void *owner, const char *topic, int32_t index, const struct mr_uuid *id)
{
    struct sweep *sweep = owner;
    const struct image *image = meta_image(sweep->replicas->meta);
    const struct image_topic *known = image_find_text(image, topic);

    if (strcmp(topic, "__cluster_metadata") == 0 || mr_uuid_is_zero(id) ||
        (known != NULL && mr_uuid_equal(&known->id, id) && index < known->partition_count)) {
        return 0;
    }
    if (image_was_removed(image, id)) {
        remove_leftover(sweep->replicas, topic, index);
        return 0;
    }
    if (known != NULL) {
        mr_warn("directory belongs to another topic of this name", KV_STR("topic", topic),
                KV_I64("partition", index));
        return 0;
    }
    return note_orphan(sweep, topic, index, id);
}

int replicas_sweep(struct replicas *replicas, replicas_orphan_cb cb, void *owner,
                   struct mr_error *error)
{
    struct sweep sweep = {.replicas = replicas};
    const struct mr_map_entry *entry;
    size_t cursor = 0;
    int rc;

    log_env_sweep(&replicas->env, replicas->data_directory);
    mr_map_init(&sweep.orphans);
    rc =
        sweep_partitions(replicas->env.disk, replicas->data_directory, on_directory, &sweep, error);
    while ((entry = mr_map_next(&sweep.orphans, &cursor)) != NULL) {
        struct orphan *orphan = entry->value;
        if (rc == 0) {
            cb(owner, orphan->topic, &orphan->id, orphan->partition_count);
        }
        mr_free(orphan->topic);
        mr_free(orphan);
    }
    mr_map_done(&sweep.orphans);
    if (rc == 0) {
        meta_forget_removed(replicas->meta);
    }
    return rc;
}

int replicas_start(struct replicas *replicas, struct mr_error *error)
{
    const struct image *image = meta_image(replicas->meta);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < image->topic_count; i++) {
        rc = add_topic(replicas, image->topics[i]);
    }
    if (rc != 0) {
        return mr_fail(error, rc, "partitions");
    }
    meta_listen(replicas->meta, &replicas->listener);
    replicas->is_started = true;
    return mr_timer_start(&replicas->retain_timer, RETAIN_INTERVAL_MS);
}

/* ---- use ---- */

struct partition *replicas_partition(const struct image_topic *topic, int32_t index)
{
    if (topic->replica == NULL || index < 0 || index >= topic->replica->count) {
        return NULL;
    }
    return topic->replica->partitions[index];
}

int replicas_need(struct replicas *replicas, struct partition *partition, struct mr_error *error)
{
    const struct image_topic *topic;

    if (partition->log != NULL) {
        return 0;
    }
    topic = image_find_id(meta_image(replicas->meta), &partition->topic_id);
    if (topic == NULL || partition->is_deleted) {
        return mr_fail(error, MR_ENOENT, "topic '%s'", partition->topic);
    }
    return open_log(replicas, topic, partition, error);
}

void replicas_space_add(struct replicas *replicas, struct replicas_space *space)
{
    mr_list_append(&replicas->space_waiters, &space->link);
}

void replicas_space_remove(struct replicas_space *space)
{
    mr_list_remove(&space->link);
}

const struct log_env *replicas_env(const struct replicas *replicas)
{
    return &replicas->env;
}

const char *replicas_directory(const struct replicas *replicas)
{
    return replicas->data_directory;
}

int replicas_health(const struct replicas *replicas, struct mr_error *error)
{
    mr_list_each(&replicas->topics, link, next)
    {
        const struct replica_topic *replica = mr_container(link, struct replica_topic, link);
        for (int32_t i = 0; i < replica->count; i++) {
            int rc = partition_health(replica->partitions[i]);
            if (rc != 0) {
                return mr_fail(error, rc, "topic '%s': partition %" PRId32,
                               replica->partitions[i]->topic, i);
            }
        }
    }
    return 0;
}
