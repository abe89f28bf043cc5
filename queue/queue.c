/* Opens the rooms in order (metadata, partitions, offsets, broker), creates what the configuration
 * declares, and closes them in the opposite order. */
#include "queue/queue.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/codec/codec.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/core/workers.h"
#include "queue/audit.h"
#include "queue/broker/audit.h"
#include "queue/broker/sasl.h"
#include "queue/queue_internal.h"
#include "queue/wire/kafka_error.h"

enum {
    LOG_FILES_OPEN_MIN = 64,
    FSYNC_THREADS = 2,
    IO_THREADS = 2,
    CLOSE_TURNS_MAX = 1000, /* of the loop, when opening failed half-way */
    CLOSE_TURN_MS = 10,
};

static const int64_t local_segment_size_bytes = INT64_C(64) * 1024 * 1024;
static const int64_t local_message_size_bytes = INT64_C(32) * 1024 * 1024;

/* ---- declared topics ---- */

static int set_number(struct topic_settings *settings, int config, int64_t value)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%" PRId64, value);

    return topic_settings_set(settings, config, text, (size_t)size);
}

static int set_fsync(struct topic_settings *settings, const struct queue_topic_spec *spec)
{
    switch (spec->fsync) {
    case LOG_FSYNC_NEVER:
        return set_number(settings, TOPIC_FLUSH_MS, INT64_MAX);
    case LOG_FSYNC_INTERVAL:
        return spec->fsync_interval_ms > 0
                   ? set_number(settings, TOPIC_FLUSH_MS, spec->fsync_interval_ms)
                   : 0;
    case LOG_FSYNC_ALWAYS:
        return set_number(settings, TOPIC_FLUSH_MESSAGES, 1);
    default:
        return 0;
    }
}

/* What is -1 keeps the default, which for local topics differs: kept until the disk's limit or keep
 * time says otherwise, in smaller segments. */
static int settings_of_spec(const struct queue_topic_spec *spec, struct topic_settings *settings)
{
    int64_t segment = spec->segment_size_bytes;
    int64_t message = spec->message_size_bytes_max;
    int rc = set_fsync(settings, spec);

    if (spec->is_local) {
        segment = segment > 0 ? segment : local_segment_size_bytes;
        message = message > 0 ? message : local_message_size_bytes;
    }
    if (rc == 0 && segment > 0) {
        rc = set_number(settings, TOPIC_SEGMENT_BYTES, segment < INT32_MAX ? segment : INT32_MAX);
    }
    if (rc == 0 && message > 0) {
        rc = set_number(settings, TOPIC_MAX_MESSAGE_BYTES,
                        message < INT32_MAX ? message : INT32_MAX);
    }
    if (rc == 0 && (spec->retention_ms > 0 || spec->is_local)) {
        rc = set_number(settings, TOPIC_RETENTION_MS,
                        spec->retention_ms > 0 ? spec->retention_ms : -1);
    }
    if (rc == 0 && spec->retention_bytes > 0) {
        rc = set_number(settings, TOPIC_RETENTION_BYTES, spec->retention_bytes);
    }
    if (rc == 0 && spec->segment_age_ms > 0) {
        rc = set_number(settings, TOPIC_SEGMENT_MS, spec->segment_age_ms);
    }
    return rc;
}

static size_t list_settings(const struct topic_settings *settings,
                            struct meta_setting list[TOPIC_CONFIG_COUNT])
{
    size_t count = 0;

    for (int i = 0; i < TOPIC_CONFIG_COUNT; i++) {
        if (settings->values[i] != NULL) {
            list[count++] = (struct meta_setting){wire_text(topic_configs[i].name),
                                                  wire_text(settings->values[i])};
        }
    }
    return count;
}

static int create_declared(struct queue *queue, const struct queue_topic_spec *spec,
                           const struct topic_settings *settings, const struct mr_uuid *id,
                           struct mr_error *error)
{
    struct meta_setting list[TOPIC_CONFIG_COUNT];
    struct meta_change change = {
        .kind = META_CREATE_TOPIC,
        .name = wire_text(spec->name),
        .partition_count = spec->partitions > 0 ? spec->partitions : 1,
        .replication_factor = 1,
        .is_local = spec->is_local,
        .is_own = true,
        .settings = list,
        .setting_count = list_settings(settings, list),
    };
    int rc;

    if (id != NULL) {
        change.id = *id;
    }
    rc = meta_submit_now(queue->meta, &change);
    return rc == 0 ? 0 : mr_fail_text(error, rc, "topic '%s': %s", spec->name, change.reason);
}

static int grow_declared(struct queue *queue, const struct image_topic *topic, int32_t partitions)
{
    struct meta_change change = {
        .kind = META_ADD_PARTITIONS,
        .name = wire_text(topic->name),
        .partition_count = partitions,
        .is_own = true,
    };

    if (partitions < topic->partition_count) {
        mr_warn("the topic has more partitions than the configuration says",
                KV_STR("topic", topic->name), KV_I64("partitions", topic->partition_count));
        return 0;
    }
    return partitions > topic->partition_count ? meta_submit_now(queue->meta, &change) : 0;
}

static int declare(struct queue *queue, const struct queue_topic_spec *spec, struct mr_error *error)
{
    struct topic_settings settings = {0};
    struct image_topic *topic = image_find_text(meta_image(queue->meta), spec->name);
    int rc = settings_of_spec(spec, &settings);

    if (rc == 0 && topic == NULL) {
        rc = create_declared(queue, spec, &settings, NULL, error);
        topic = image_find_text(meta_image(queue->meta), spec->name);
    } else if (rc == 0 && topic->is_local != spec->is_local) {
        rc = mr_fail_text(error, MR_ECONFIG, "topic '%s' exists as a %s topic", spec->name,
                          topic->is_local ? "local" : "mesh");
    } else if (rc == 0 && spec->partitions > 0 && spec->is_local) {
        rc = grow_declared(queue, topic, spec->partitions);
    }
    if (rc == 0 && spec->is_local) {
        rc = meta_declare_local(queue->meta, topic, &settings);
    }
    topic_settings_done(&settings);
    return rc;
}

/* ---- directories that no record knows ---- */

struct adoption {
    struct queue *queue;
    const struct queue_config *config;
};

static bool is_local_name(const char *topic)
{
    return topic_name_is_reserved(topic, strlen(topic)) &&
           strcmp(topic, "__consumer_offsets") != 0 && strcmp(topic, "__transaction_state") != 0;
}

static void on_orphan(void *owner, const char *name, const struct mr_uuid *id,
                      int32_t partition_count)
{
    const struct adoption *adoption = owner;
    struct queue *queue = adoption->queue;
    struct queue_topic_spec spec = {
        .name = name, .partitions = partition_count, .is_local = is_local_name(name), .fsync = -1};
    struct topic_settings settings = {0};
    struct image_topic *known = image_find_id(meta_image(queue->meta), id);
    struct mr_error error = {0};
    int rc;

    mr_warn("partitions without a topic are taken back", KV_STR("topic", name),
            KV_I64("partitions", partition_count));
    for (size_t i = 0; i < adoption->config->topic_count; i++) {
        if (strcmp(adoption->config->topics[i].name, name) == 0) {
            spec.is_local = adoption->config->topics[i].is_local;
        }
    }
    if (strcmp(name, "__consumer_offsets") == 0) {
        spec.partitions = OFFSETS_PARTITIONS; /* its partitions are made when needed */
    }
    rc = known != NULL ? grow_declared(queue, known, partition_count)
                       : create_declared(queue, &spec, &settings, id, &error);
    if (rc != 0) {
        mr_error("partitions could not be taken back", KV_STR("topic", name),
                 KV_STR("reason", error.text));
    }
}

/* ---- opening ---- */

static void on_topic_added(struct meta_listener *listener, struct image_topic *topic)
{
    queue_watch_tell(mr_container(listener, struct queue, listener), topic);
}

static int open_logs(struct queue *queue, const struct queue_config *config,
                     const struct log_env *env, struct mr_error *error)
{
    struct replicas_config replicas = {
        .env = *env,
        .data_directory = config->data_directory,
        .disk_limit_bytes = config->disk_limit_bytes,
        .keep_ms = config->disk_keep_ms,
    };
    struct adoption adoption = {queue, config};
    int rc = replicas_new(&replicas, queue->meta, &queue->replicas, error);

    if (rc == 0) {
        rc = replicas_sweep(queue->replicas, on_orphan, &adoption, error);
    }
    for (size_t i = 0; rc == 0 && i < config->topic_count; i++) {
        rc = declare(queue, &config->topics[i], error);
    }
    if (rc == 0) {
        rc = replicas_start(queue->replicas, error);
    }
    return rc;
}

static_assert((int)QUEUE_SASL_PLAIN == (int)SASL_PLAIN, "the same bits");
static_assert((int)QUEUE_SASL_SCRAM_SHA_256 == (int)SASL_SCRAM_SHA_256, "the same bits");
static_assert((int)QUEUE_SASL_SCRAM_SHA_512 == (int)SASL_SCRAM_SHA_512, "the same bits");
static_assert((int)QUEUE_SASL_OAUTHBEARER == (int)SASL_OAUTHBEARER, "the same bits");
static_assert((int)QUEUE_SASL_CLUSTER_KEY == (int)SASL_CLUSTER_KEY, "the same bits");

static struct broker_oauth oauth_of(const struct queue_oauth *oauth)
{
    return (struct broker_oauth){
        .keys = oauth->keys,
        .ca = oauth->ca,
        .refresh_ms = oauth->refresh_ms,
        .issuer = oauth->issuer,
        .audiences = oauth->audiences,
        .audience_count = oauth->audience_count,
        .subject_claim = oauth->subject_claim,
        .scope_claim = oauth->scope_claim,
        .scopes = oauth->scopes,
        .scope_count = oauth->scope_count,
        .skew_ms = oauth->skew_ms,
    };
}

static struct broker_security security_of(const struct queue_config *config)
{
    return (struct broker_security){
        .is_enforced = config->security.is_enforced,
        .allows_without_acl = config->security.allows_without_acl,
        .super_users = config->security.super_users,
        .super_user_count = config->security.super_user_count,
        .principal_rules = config->security.principal_rules,
        .principal_rule_count = config->security.principal_rule_count,
        .certificate_names = config->security.certificate_names,
        .certificate_name_count = config->security.certificate_name_count,
        .peer_rules = config->security.peer_rules,
        .peer_rule_count = config->security.peer_rule_count,
        .oauth = oauth_of(&config->security.oauth),
        .cluster_key = config->security.cluster_key,
        .nodes = config->security.nodes,
        .node_count = config->security.node_count,
    };
}

/* NULL without memory. */
static struct broker_listener_config *listeners_of(const struct queue_config *config)
{
    struct broker_listener_config *listeners =
        mr_calloc(config->listener_count + 1, sizeof *listeners);

    for (size_t i = 0; listeners != NULL && i < config->listener_count; i++) {
        const struct queue_listener_spec *spec = &config->listeners[i];
        listeners[i] = (struct broker_listener_config){
            .address = spec->address,
            .advertise = spec->advertise,
            .is_control = spec->is_control,
            .connections_max = spec->connections_max,
            .connection_rate_max = spec->connection_rate_max,
            .inherited_fd = spec->inherited_fd,
            .tls = spec->tls,
            .sasl_mechanisms = spec->sasl,
            .sasl_session_ms = spec->sasl_session_ms,
            .unix_mode = spec->rights.mode,
            .has_unix_owner = spec->rights.has_owner,
            .has_unix_group = spec->rights.has_group,
            .unix_owner = spec->rights.owner,
            .unix_group = spec->rights.group,
            .names_peers = spec->names_peers,
        };
    }
    return listeners;
}

static int open_broker(struct queue *queue, const struct queue_config *config,
                       struct mr_error *error)
{
    struct broker_listener_config *listeners = listeners_of(config);
    struct broker_config broker = {
        .loop = config->loop,
        .disk = config->disk,
        .net = config->net,
        .random = config->random,
        .metrics = config->metrics,
        .meta = queue->meta,
        .replicas = queue->replicas,
        .offsets = queue->offsets,
        .groups = queue->groups,
        .node_id = config->node_id,
        .node_name = config->node_name,
        .rack = config->rack,
        .auto_create_topics = config->auto_create_topics,
        .default_partitions = config->default_partitions,
        .request_size_bytes_max = config->request_size_bytes_max,
        .memory_limit_bytes = config->memory_limit_bytes,
        .quota_window_ms = config->quota_window_ms,
        .address_connections_max = config->address_connections_max,
        .address_exceptions = config->address_exceptions,
        .address_exception_count = config->address_exception_count,
        .connection_idle_ms_max = config->connection_idle_ms_max,
        .listeners = listeners,
        .listener_count = config->listener_count,
        .audit = audit_trail_of(queue->audit),
        .security = security_of(config),
    };
    int rc;

    if (listeners == NULL) {
        return mr_fail(error, MR_ENOMEM, "listeners");
    }
    rc = broker_open(&broker, &queue->broker, error);
    mr_free(listeners);
    return rc;
}

static int open_groups(struct queue *queue, const struct queue_config *config,
                       struct mr_error *error)
{
    struct groups_config groups = {
        .loop = config->loop,
        .random = config->random,
        .metrics = config->metrics,
        .offsets = queue->offsets,
        .initial_delay_ms = config->groups.initial_delay_ms,
        .session_ms_min = config->groups.session_ms_min,
        .session_ms_max = config->groups.session_ms_max,
        .members_max = config->groups.members_max,
    };

    return groups_open(&groups, &queue->groups, error);
}

static int open_rooms(struct queue *queue, const struct queue_config *config,
                      struct mr_error *error)
{
    struct log_env env = {
        .loop = config->loop,
        .disk = config->disk,
        .random = config->random,
        .fsync_workers = queue->fsync_workers,
        .io_workers = queue->io_workers,
        .metrics = config->metrics,
        .totals = queue->log_totals,
        .files = &queue->files,
        .boot_id = config->boot_id,
    };
    struct meta_config meta = {
        .env = &env,
        .data_directory = config->data_directory,
        .node_id = config->node_id,
        .node_count = 1,
    };
    struct group_offsets_config offsets = {.loop = config->loop, .disk = config->disk};
    int rc = meta_open(&meta, &queue->meta, error);

    if (rc == 0) {
        rc = open_logs(queue, config, &env, error);
    }
    if (rc == 0) {
        offsets.meta = queue->meta;
        offsets.replicas = queue->replicas;
        rc = group_offsets_open(&offsets, &queue->offsets, error);
    }
    if (rc == 0) {
        rc = open_groups(queue, config, error);
    }
    if (rc == 0 && config->audit.is_enabled) {
        const struct audit_config audit = {config->audit.retention_ms,
                                           config->audit.retention_bytes};
        rc = audit_open(queue, config->metrics, &audit, &queue->audit);
        rc = rc != 0 ? mr_fail(error, rc, "audit") : 0;
    }
    if (rc == 0) {
        meta_listen(queue->meta, &queue->listener);
        rc = open_broker(queue, config, error);
    }
    return rc;
}

static void set_done(void *owner)
{
    *(bool *)owner = true;
}

/* Nothing runs yet, so that the loop may be turned here. */
static void close_half_open(struct queue *queue)
{
    struct mr_loop *loop = queue->loop;
    bool is_done = false;

    queue_close(queue, set_done, &is_done);
    for (int i = 0; i < CLOSE_TURNS_MAX && !is_done; i++) {
        mr_loop_turn(loop, CLOSE_TURN_MS);
    }
}

static void on_end(struct mr_task *task);

/* A quarter of the descriptors is for segments; the rest for connections, sources and ranges that
 * are being sent. */
static int open_files_max(void)
{
    struct rlimit limit = {0};

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 4 < LOG_FILES_OPEN_MIN) {
        return LOG_FILES_OPEN_MIN;
    }
    return limit.rlim_cur / 4 > INT32_MAX ? INT32_MAX : (int)(limit.rlim_cur / 4);
}

int queue_open(const struct queue_config *config, struct queue **ret_queue, struct mr_error *error)
{
    struct queue *queue = mr_calloc(1, sizeof *queue);
    int rc;

    if (queue == NULL) {
        return mr_fail(error, MR_ENOMEM, "queue");
    }
    queue->loop = config->loop;
    queue->disk = config->disk;
    queue->listener.on_topic_added = on_topic_added;
    queue->listener.on_topic_changed = on_topic_added;
    mr_list_init(&queue->listener.link);
    mr_list_init(&queue->watches);
    mr_list_init(&queue->files.list);
    queue->files.count_max = open_files_max();
    mr_task_init(&queue->end_task, queue->loop, on_end, queue);
    queue->log_totals = log_totals_new(config->metrics);
    rc = mr_workers_new(queue->loop, "fsync", FSYNC_THREADS, &queue->fsync_workers);
    if (rc == 0) {
        rc = mr_workers_new(queue->loop, "log-io", IO_THREADS, &queue->io_workers);
    }
    if (rc != 0) {
        (void)mr_fail(error, rc, "queue");
    } else {
        rc = open_rooms(queue, config, error);
    }
    if (rc != 0) {
        close_half_open(queue);
        return rc;
    }
    *ret_queue = queue;
    return 0;
}

void queue_start(struct queue *queue)
{
    broker_start(queue->broker);
}

/* ---- closing: broker, partitions, offsets, metadata, workers ---- */

static void on_end(struct mr_task *task)
{
    struct queue *queue = task->owner;
    void (*done)(void *) = queue->on_closed;
    void *owner = queue->close_owner;

    mr_workers_free(queue->io_workers);
    mr_workers_free(queue->fsync_workers);
    mr_metric_set_free(queue->log_totals);
    mr_free(queue);
    done(owner);
}

static void on_meta_closed(void *owner)
{
    struct queue *queue = owner;

    /* The pools are freed in a turn of their own: we may be inside a callback of theirs. */
    mr_task_post(&queue->end_task);
}

static void on_replicas_closed(void *owner)
{
    struct queue *queue = owner;

    group_offsets_close(queue->offsets);
    meta_unlisten(&queue->listener);
    if (queue->meta != NULL) {
        meta_close(queue->meta, on_meta_closed, queue);
    } else {
        on_meta_closed(queue);
    }
}

static void on_audit_closed(void *owner)
{
    struct queue *queue = owner;

    queue->audit = NULL;
    if (queue->replicas != NULL) {
        replicas_close(queue->replicas, on_replicas_closed, queue);
    } else {
        on_replicas_closed(queue);
    }
}

/* What was refused last is written, too. */
static void on_broker_closed(void *owner)
{
    struct queue *queue = owner;

    groups_close(queue->groups);
    if (queue->audit != NULL) {
        audit_close(queue->audit, on_audit_closed, queue);
    } else {
        on_audit_closed(queue);
    }
}

void queue_close(struct queue *queue, void (*done)(void *owner), void *owner)
{
    queue->on_closed = done;
    queue->close_owner = owner;
    if (queue->broker != NULL) {
        broker_close(queue->broker, on_broker_closed, queue);
    } else {
        on_broker_closed(queue);
    }
}

/* ---- looking ---- */

void queue_audit(struct queue *queue, const char *principal, const char *address,
                 const char *action, const char *resource, const char *outcome)
{
    bool is_ok = strcmp(outcome, "ok") == 0;
    const struct audit_event event = {.principal = principal,
                                      .address = address,
                                      .action = action,
                                      .resource = resource,
                                      .outcome = is_ok ? "ok" : "denied",
                                      .reason = is_ok ? NULL : outcome};

    if (queue->audit == NULL) {
        return;
    }
    if (is_ok) {
        audit_note(audit_trail_of(queue->audit), &event);
    } else {
        audit_note_often(audit_trail_of(queue->audit), &event);
    }
}

const char *queue_cluster_id(const struct queue *queue)
{
    return meta_cluster_id(queue->meta);
}

uint16_t queue_listener_port(const struct queue *queue, size_t place)
{
    return broker_listener_port(queue->broker, place);
}

int queue_reload_security(struct queue *queue)
{
    return broker_reload_security(queue->broker);
}

int queue_security_health(const struct queue *queue, struct mr_error *error)
{
    return broker_security_health(queue->broker, error);
}

int queue_health(const struct queue *queue, struct mr_error *error)
{
    return replicas_health(queue->replicas, error);
}

int queue_find_partition(struct queue *queue, const char *topic, int32_t index,
                         struct partition **ret_partition, struct mr_error *error)
{
    const struct image_topic *found = image_find_text(meta_image(queue->meta), topic);
    struct partition *partition = found != NULL ? replicas_partition(found, index) : NULL;

    if (partition == NULL) {
        return mr_fail(error, MR_ENOENT, "topic '%s': partition %" PRId32, topic, index);
    }
    if (partition->log == NULL) {
        int rc = replicas_need(queue->replicas, partition, error);
        if (rc != 0) {
            return rc;
        }
    }
    *ret_partition = partition_ref(partition);
    return 0;
}
