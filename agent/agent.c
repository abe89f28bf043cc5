/* The order of things:
 *
 *   open:   data directory -> loop and workers -> queue -> flow (lanes, sinks, sources) -> admin
 * pages -> ready close:  sources -> sinks (what they have begun) -> lanes -> queue -> admin pages
 * -> the loop stops
 *
 *   RUNNING -> STOPPING -> STOPPED; a second signal, or the shutdown time, ends STOPPING at once.
 * That loses nothing: what was acknowledged to anybody is in the log, and the rest is read again.
 */
#include "agent/agent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "agent/admin/admin.h"
#include "agent/config/config.h"
#include "agent/flow/flow.h"
#include "agent/inherited.h"
#include "agent/local.h"
#include "agent/node.h"
#include "agent/rights.h"
#include "agent/security.h"
#include "base/core/boot.h"
#include "base/core/clock.h"
#include "base/core/disk.h"
#include "base/core/logger.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/core/random.h"
#include "base/core/workers.h"
#include "base/net/stream.h"
#include "base/net/tls.h"
#include "queue/queue.h"

enum { AGENT_WORKERS = 2 };

enum agent_stage { AGENT_RUNNING, AGENT_STOPPING, AGENT_STOPPED };

struct agent {
    const struct config *config;
    struct mr_disk *disk;
    struct mr_random *random;
    struct node_directory directory;
    bool has_directory;
    struct mr_loop *loop;
    struct mr_net *net;
    struct mr_workers *workers;
    struct mr_metrics *metrics;
    struct security *security;
    struct queue *queue;
    struct flow *flow;
    struct admin *admin;
    const char **admin_hosts;
    size_t admin_host_count;
    enum agent_stage stage;
    struct mr_signal signals[3];
    struct mr_timer shutdown_timer;
    struct mr_timer watchdog_timer;
    int64_t watchdog_ms;
    bool is_cut_short;
};

/* ---- what the queue is told ---- */

static bool is_source_topic(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->source_count; i++) {
        if (strcmp(config->sources[i].topic, name) == 0) {
            return true;
        }
    }
    return false;
}

static int64_t bound_of(int64_t configured)
{
    return configured; /* -1 default, 0 unbounded: the queue knows both */
}

static void put_fsync(const char *text, struct queue_topic_spec *spec)
{
    spec->fsync = -1;
    spec->fsync_interval_ms = -1;
    if (text == NULL) {
        return;
    }
    if (strcmp(text, "never") == 0) {
        spec->fsync = LOG_FSYNC_NEVER;
    } else if (strcmp(text, "always") == 0) {
        spec->fsync = LOG_FSYNC_ALWAYS;
    } else {
        spec->fsync = LOG_FSYNC_INTERVAL;
        (void)mr_parse_duration(text, &spec->fsync_interval_ms); /* the checker has seen it */
    }
}

static void put_topic(const struct config *config, const char *name, struct queue_topic_spec *spec)
{
    const struct config_topic *topic = config_topic_find(config, name);

    *spec = (struct queue_topic_spec){.name = name,
                                      .is_local = is_source_topic(config, name),
                                      .partitions = -1,
                                      .replicas = -1,
                                      .retention_ms = -1,
                                      .retention_bytes = -1,
                                      .segment_size_bytes = -1,
                                      .segment_age_ms = -1,
                                      .message_size_bytes_max = -1,
                                      .when_full = QUEUE_BLOCK,
                                      .compression = -1};
    put_fsync(topic == NULL ? NULL : topic->fsync, spec);
    if (topic == NULL) {
        return;
    }
    spec->partitions = (int32_t)topic->partitions;
    spec->replicas = (int16_t)topic->replicas;
    spec->retention_ms = bound_of(topic->retention.time_ms);
    spec->retention_bytes = bound_of(topic->retention.size_bytes);
    spec->segment_size_bytes = topic->segment.size_bytes;
    spec->segment_age_ms = topic->segment.age_ms;
    spec->message_size_bytes_max = topic->message_size_bytes_max;
    spec->when_full = topic->when_full;
    spec->compression = topic->compression;
}

/* Declared topics, and those of sources that nobody declared. */
static struct queue_topic_spec *make_topics(const struct config *config, size_t *ret_count)
{
    size_t count = 0;
    struct queue_topic_spec *specs =
        mr_calloc(config->topic_map.count + config->source_count, sizeof *specs);

    for (size_t i = 0; specs != NULL && i < config->topic_map.count; i++) {
        put_topic(config, config->topic_map.names[i], &specs[count++]);
    }
    for (size_t i = 0; specs != NULL && i < config->source_count; i++) {
        const char *name = config->sources[i].topic;
        bool is_known = false;
        for (size_t j = 0; j < count; j++) {
            is_known = is_known || strcmp(specs[j].name, name) == 0;
        }
        if (!is_known) {
            put_topic(config, name, &specs[count++]);
        }
    }
    *ret_count = count;
    return specs;
}

/* systemd has made the file, and others may have it open already. */
static void warn_of_rights(const struct config_listen *listen, int inherited_fd)
{
    if (inherited_fd > 0 && (listen->socket.owner != NULL || listen->socket.group != NULL ||
                             strcmp(listen->socket.mode, "0660") != 0)) {
        mr_warn("the socket comes from systemd, whose unit says owner and mode (SocketUser=, "
                "SocketGroup=, SocketMode=); 'socket' of this listener is not applied",
                KV_STR("listen", listen->address));
    }
}

static int make_listeners(const struct agent *agent, struct queue_listener_spec **ret_specs,
                          size_t *ret_count, struct mr_error *error)
{
    const struct config *config = agent->config;
    const struct config_listen *listen = config->listen.items;
    size_t count = config->listen.count;
    struct queue_listener_spec *specs = mr_calloc(count + 1, sizeof *specs);
    struct inherited inherited;
    int rc = specs == NULL ? mr_fail(error, MR_ENOMEM, "listen") : 0;

    inherited_init(&inherited);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        specs[i].connections_max = (int)listen[i].connections_max;
        specs[i].connection_rate_max = (int)listen[i].connection_rate_max;
        security_put_listener(agent->security, i, &specs[i]);
        rc = mr_address_parse(listen[i].address, 9092, &specs[i].address, error);
        if (rc == 0 && listen[i].advertise != NULL) {
            rc = mr_address_parse(listen[i].advertise, 9092, &specs[i].advertise, error);
        }
        if (rc == 0 && specs[i].address.is_unix) {
            rc = rights_find(&listen[i].socket, &specs[i].rights, error);
            specs[i].names_peers = listen[i].peer_names == CONFIG_PEER_NAMES_NAME;
        }
        if (rc == 0) {
            specs[i].inherited_fd = inherited_take(&inherited, &specs[i].address);
            warn_of_rights(&listen[i], specs[i].inherited_fd);
        }
    }
    inherited_done(&inherited);
    if (rc == 0) {
        specs[count].is_control = true;
        specs[count].connections_max = 1000;
        rc = local_address(agent->directory.path, LOCAL_NODE, &specs[count].address, error);
    }
    if (rc == 0) {
        rc = rights_find(&config->node.socket, &specs[count].rights, error);
    }
    if (rc != 0) {
        mr_free(specs);
        return rc;
    }
    *ret_specs = specs;
    *ret_count = count + 1;
    return 0;
}

static int open_queue(struct agent *agent, struct mr_error *error)
{
    const struct config *config = agent->config;
    struct queue_listener_spec *listeners = NULL;
    struct queue_topic_spec *topics;
    struct queue_config queue_config;
    size_t listener_count = 0;
    size_t topic_count = 0;
    const struct security_env env = {config, agent->disk, agent->net, agent->metrics};
    int rc = security_open(&env, &agent->security, error);

    if (rc == 0) {
        rc = make_listeners(agent, &listeners, &listener_count, error);
    }
    if (rc != 0) {
        return rc;
    }
    topics = make_topics(config, &topic_count);
    queue_config = (struct queue_config){
        .loop = agent->loop,
        .disk = agent->disk,
        .net = agent->net,
        .random = agent->random,
        .metrics = agent->metrics,
        .data_directory = agent->directory.path,
        .node_name = config->node.name,
        .node_id = (int32_t)config->node.id,
        .rack = config->node.rack,
        .disk_limit_bytes = config->disk.limit_bytes,
        .disk_keep_ms = config->disk.keep_ms,
        .auto_create_topics = config->broker.auto_create_topics,
        .default_partitions = (int32_t)config->broker.partitions,
        .request_size_bytes_max = config->broker.request_size_bytes_max,
        .memory_limit_bytes = config->broker.memory_bytes,
        .connection_idle_ms_max = config->broker.idle_ms_max,
        .quota_window_ms = config->broker.quota_window_ms,
        .address_connections_max = (int)config->broker.connections_per_address_max,
        .address_exceptions = config->broker.connections_per_address_except.items,
        .address_exception_count = config->broker.connections_per_address_except.count,
        .listeners = listeners,
        .listener_count = listener_count,
        .security = security_rights(agent->security),
        .audit = {.is_enabled = config->audit.is_enabled,
                  .retention_ms = config->audit.retention.time_ms,
                  .retention_bytes = config->audit.retention.size_bytes},
        .groups = {.initial_delay_ms = config->broker.groups.initial_delay_ms,
                   .session_ms_min = config->broker.groups.session_ms_min,
                   .session_ms_max = config->broker.groups.session_ms_max,
                   .members_max = (int32_t)config->broker.groups.members_max},
        .topics = topics,
        .topic_count = topic_count,
    };
    if (mr_boot_id(agent->disk, &queue_config.boot_id) != 0) {
        mr_warn("the boot id cannot be read: a kill is treated like a loss of power");
    }
    rc = topics == NULL ? mr_fail(error, MR_ENOMEM, "topics")
                        : queue_open(&queue_config, &agent->queue, error);
    mr_free(listeners);
    mr_free(topics);
    return rc;
}

static int open_flow(struct agent *agent, struct mr_error *error)
{
    const struct flow_env env = {.config = agent->config,
                                 .queue = agent->queue,
                                 .loop = agent->loop,
                                 .disk = agent->disk,
                                 .net = agent->net,
                                 .random = agent->random,
                                 .workers = agent->workers,
                                 .metrics = agent->metrics,
                                 .node_uuid = agent->directory.uuid,
                                 .lineage_uuid = agent->directory.lineage_uuid,
                                 .is_node_cloned = agent->directory.is_cloned};

    return flow_open(&env, &agent->flow, error);
}

/* ---- stopping ---- */

static void on_queue_closed(void *owner)
{
    struct agent *agent = owner;

    agent->queue = NULL;
    agent->stage = AGENT_STOPPED;
    mr_loop_stop(agent->loop);
}

static void on_flow_closed(void *owner)
{
    struct agent *agent = owner;

    agent->flow = NULL;
    if (agent->queue == NULL) {
        on_queue_closed(agent);
    } else {
        queue_close(agent->queue, on_queue_closed, agent);
    }
}

static void agent_stop(struct agent *agent)
{
    agent->stage = AGENT_STOPPING;
    (void)sd_notify(0, "STOPPING=1");
    if (mr_timer_start(&agent->shutdown_timer, agent->config->shutdown_ms) != 0) {
        mr_warn("closing has no time limit: no memory for a timer");
    }
    if (agent->flow == NULL) {
        on_flow_closed(agent);
    } else {
        flow_close(agent->flow, on_flow_closed, agent);
    }
}

static void on_shutdown_time(struct mr_timer *timer)
{
    struct agent *agent = timer->owner;

    mr_warn("closing takes too long and is cut short; what is acknowledged is in the log");
    agent->is_cut_short = true;
    mr_loop_stop(agent->loop);
}

/* What is in files of their own; on the loop, as they are few and small. */
static void reload(struct agent *agent)
{
    mr_info("certificates, secrets and keys for tokens are read again; restart to change the "
            "configuration");
    mr_tls_watch_now(agent->net);
    if (agent->security != NULL) {
        security_reload(agent->security);
    }
    if (agent->queue != NULL && queue_reload_security(agent->queue) != 0) {
        mr_error("the cluster's key could not be taken: no memory; the old one stays");
    }
}

static void on_signal(struct mr_signal *signal, int number)
{
    struct agent *agent = signal->owner;

    if (number == SIGHUP) {
        reload(agent);
        return;
    }
    if (agent->stage == AGENT_RUNNING) {
        mr_info("stopping", KV_STR("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"));
        agent_stop(agent);
    } else {
        on_shutdown_time(&agent->shutdown_timer);
    }
}

static void on_watchdog(struct mr_timer *timer)
{
    struct agent *agent = timer->owner;

    (void)sd_notify(0, "WATCHDOG=1");
    (void)mr_timer_start(timer, agent->watchdog_ms);
}

/* ---- admin ---- */

static bool put_health(int rc, const struct mr_error *error, char *text, size_t size)
{
    if (rc != 0) {
        (void)snprintf(text, size, "%s", error->text);
    }
    return rc == 0;
}

static bool check_queue(void *owner, char *text, size_t size)
{
    const struct agent *agent = owner;
    struct mr_error error = {0};

    return put_health(agent->queue == NULL ? mr_fail_text(&error, MR_ECANCELED, "closing")
                                           : queue_health(agent->queue, &error),
                      &error, text, size);
}

static bool check_flow(void *owner, char *text, size_t size)
{
    const struct agent *agent = owner;
    struct mr_error error = {0};

    return put_health(agent->flow == NULL ? 0 : flow_health(agent->flow, &error), &error, text,
                      size);
}

static bool check_certificates(void *owner, char *text, size_t size)
{
    const struct agent *agent = owner;
    struct mr_error error = {0};

    return put_health(mr_tls_watch_health(agent->net, &error), &error, text, size);
}

static bool check_secrets(void *owner, char *text, size_t size)
{
    const struct agent *agent = owner;
    struct mr_error error = {0};
    int rc = security_health(agent->security, &error);

    if (rc == 0 && agent->queue != NULL) {
        rc = queue_security_health(agent->queue, &error);
    }
    return put_health(rc, &error, text, size);
}

typedef void (*page_cb)(struct flow *flow, struct mr_json *json);

static int put_page(const struct agent *agent, page_cb page, struct mr_json *json,
                    struct mr_error *error)
{
    if (agent->flow == NULL || agent->stage != AGENT_RUNNING) {
        return mr_fail_text(error, MR_EAGAIN, "this node is starting or closing");
    }
    page(agent->flow, json);
    return 0;
}

static int page_files(void *owner, struct mr_http_exchange *exchange, struct mr_json *json,
                      struct mr_error *error)
{
    (void)exchange;
    return put_page(owner, flow_files_json, json, error);
}

static int page_sinks(void *owner, struct mr_http_exchange *exchange, struct mr_json *json,
                      struct mr_error *error)
{
    (void)exchange;
    return put_page(owner, flow_sinks_json, json, error);
}

static int page_ledger(void *owner, struct mr_http_exchange *exchange, struct mr_json *json,
                       struct mr_error *error)
{
    (void)exchange;
    return put_page(owner, flow_ledger_json, json, error);
}

static bool is_ready(void *owner)
{
    return ((const struct agent *)owner)->stage == AGENT_RUNNING;
}

static bool is_admin_protected(const struct config *config)
{
    struct config_tls tls = config_admin_tls(config);

    return tls.is_on; /* what is not for all is guarded by tokens */
}

static void on_audit(void *owner, const char *caller, const char *peer, const char *action,
                     const char *resource, const char *outcome)
{
    const struct agent *agent = owner;

    if (agent->queue != NULL) {
        queue_audit(agent->queue, caller, peer, action, resource, outcome);
    }
}

/* The names that a client may call the admin address by. */
static int name_admin(struct agent *agent)
{
    const struct config *config = agent->config;
    size_t count = 0;

    agent->admin_hosts = mr_calloc(config->admin.hosts.count + 1, sizeof *agent->admin_hosts);
    if (agent->admin_hosts == NULL) {
        return MR_ENOMEM;
    }
    agent->admin_hosts[count++] = config->node.name;
    for (size_t i = 0; i < config->admin.hosts.count; i++) {
        agent->admin_hosts[count++] = config->admin.hosts.items[i];
    }
    agent->admin_host_count = count;
    return 0;
}

static int open_admin(struct agent *agent, struct mr_error *error)
{
    const struct admin_route routes[] = {
        {.method = "GET",
         .path = "/files",
         .handler = page_files,
         .access = ADMIN_FOR_READERS,
         .owner = agent,
         .help = "The files that are read: path, identity, position, size, state."},
        {.method = "GET",
         .path = "/sinks",
         .handler = page_sinks,
         .access = ADMIN_FOR_READERS,
         .owner = agent,
         .help = "The sinks: state, last error, position and lag of each partition."},
        {.method = "GET",
         .path = "/ledger",
         .handler = page_ledger,
         .access = ADMIN_FOR_READERS,
         .owner = agent,
         .help = "The books: what came in, went out, is queued, was dropped and why."},
    };
    struct queue_socket_rights rights;
    struct mr_address address;
    int rc = local_address(agent->directory.path, LOCAL_ADMIN, &address, error);

    if (rc == 0) {
        rc = rights_find(&agent->config->node.socket, &rights, error);
    }
    if (rc == 0 && name_admin(agent) != 0) {
        rc = mr_fail(error, MR_ENOMEM, "admin");
    }
    if (rc != 0) {
        return rc;
    }
    const struct admin_config config = {.loop = agent->loop,
                                        .net = agent->net,
                                        .metrics = agent->metrics,
                                        .socket_path = address.host,
                                        .socket_rights = &rights,
                                        .address = agent->config->admin.address,
                                        .is_insecure = agent->config->admin.is_insecure ||
                                                       is_admin_protected(agent->config),
                                        .tls = security_admin_tls(agent->security),
                                        .directory = agent->directory.path,
                                        .disk = agent->disk,
                                        .random = agent->random,
                                        .hosts = agent->admin_hosts,
                                        .host_count = agent->admin_host_count,
                                        .on_audit = on_audit,
                                        .is_ready = is_ready,
                                        .owner = agent};
    rc = admin_open(&config, &agent->admin, error);
    for (size_t i = 0; rc == 0 && i < sizeof routes / sizeof routes[0]; i++) {
        rc = admin_add_route(agent->admin, &routes[i]);
    }
    if (rc == 0) {
        rc = admin_add_check(agent->admin, "queue", check_queue, agent);
    }
    if (rc == 0) {
        rc = admin_add_check(agent->admin, "flow", check_flow, agent);
    }
    if (rc == 0) {
        rc = admin_add_check(agent->admin, "certificates", check_certificates, agent);
    }
    if (rc == 0) {
        rc = admin_add_check(agent->admin, "secrets", check_secrets, agent);
    }
    return rc;
}

/* ---- open, run, free ---- */

static int open_ground(struct agent *agent, struct mr_error *error)
{
    int rc = node_directory_open(agent->disk, agent->random, agent->config->node.data,
                                 &agent->directory, error);

    if (rc != 0) {
        return rc;
    }
    agent->has_directory = true;
    rc = mr_loop_new(mr_clock_system(), &agent->loop, error);
    if (rc != 0) {
        return rc;
    }
    mr_timer_init(&agent->shutdown_timer, agent->loop, on_shutdown_time, agent);
    mr_timer_init(&agent->watchdog_timer, agent->loop, on_watchdog, agent);
    agent->metrics = mr_metrics_new();
    rc = mr_net_new(agent->loop, agent->metrics, &agent->net);
    if (rc == 0) {
        rc = mr_tls_watch_every(agent->net, agent->config->node.tls.reload_ms);
    }
    if (rc == 0) {
        rc = mr_workers_new(agent->loop, "worker", AGENT_WORKERS, &agent->workers);
    }
    return rc == 0 && agent->metrics != NULL ? 0 : mr_fail(error, MR_ENOMEM, "start");
}

static int open_signals(struct agent *agent)
{
    static const int numbers[3] = {SIGTERM, SIGINT, SIGHUP};
    int rc = 0;

    for (int i = 0; i < 3 && rc == 0; i++) {
        rc = mr_signal_start(&agent->signals[i], agent->loop, numbers[i], on_signal, agent);
    }
    return rc;
}

static void start_watchdog(struct agent *agent)
{
    uint64_t interval_us = 0;

    if (sd_watchdog_enabled(0, &interval_us) > 0) {
        agent->watchdog_ms = (int64_t)(interval_us / 1000 / 3);
        on_watchdog(&agent->watchdog_timer);
    }
}

/* Whatever was opened before a failure is closed in the same order as at the end. */
static void abandon(struct agent *agent)
{
    if (agent->loop != NULL && (agent->flow != NULL || agent->queue != NULL)) {
        agent_stop(agent);
        if (agent->stage != AGENT_STOPPED) {
            mr_loop_run(agent->loop);
        }
    }
    agent_free(agent);
}

int agent_open(const struct config *config, struct agent **ret_agent, struct mr_error *error)
{
    struct agent *agent = mr_calloc(1, sizeof *agent);
    int rc;

    if (agent == NULL) {
        return mr_fail(error, MR_ENOMEM, "start");
    }
    agent->config = config;
    agent->disk = mr_disk_system();
    agent->random = mr_random_system();
    rc = open_ground(agent, error);
    if (rc == 0) {
        rc = open_signals(agent); /* before the first listener: who reaches a node may stop it */
    }
    if (rc == 0) {
        rc = open_queue(agent, error);
    }
    if (rc == 0) {
        rc = open_flow(agent, error);
    }
    if (rc == 0) {
        rc = open_admin(agent, error);
    }
    if (rc != 0) {
        abandon(agent);
        return rc;
    }
    *ret_agent = agent;
    return 0;
}

int agent_run(struct agent *agent)
{
    const struct config *config = agent->config;

    queue_start(agent->queue);
    local_link(config->node.run_directory, config->node.name, agent->directory.path);
    start_watchdog(agent);
    (void)sd_notify(0, "READY=1");
    mr_info("ready", KV_STR("node", config->node.name), KV_STR("data", agent->directory.path),
            KV_STR("version", MR_VERSION), KV_STR("cluster", queue_cluster_id(agent->queue)));
    mr_loop_run(agent->loop);
    local_unlink(config->node.run_directory, config->node.name);
    if (agent->is_cut_short) {
        return MR_ETIMEDOUT;
    }
    mr_info("stopped", KV_STR("node", config->node.name));
    return 0;
}

void agent_free(struct agent *agent)
{
    if (agent == NULL) {
        return;
    }
    if (agent->is_cut_short) {
        return; /* the process ends with everything still open, as after a kill */
    }
    admin_close(agent->admin);
    mr_free(agent->admin_hosts);
    for (int i = 0; i < 3; i++) {
        mr_signal_stop(&agent->signals[i]);
    }
    if (agent->loop != NULL) {
        mr_timer_stop(&agent->shutdown_timer);
        mr_timer_stop(&agent->watchdog_timer);
    }
    if (agent->workers != NULL) {
        mr_workers_free(agent->workers);
    }
    if (agent->net != NULL) {
        mr_net_free(agent->net);
    }
    security_close(agent->security);
    mr_metrics_free(agent->metrics);
    if (agent->loop != NULL) {
        mr_loop_free(agent->loop);
    }
    if (agent->has_directory) {
        node_directory_close(agent->disk, &agent->directory);
    }
    mr_free(agent);
}
