#include "queue/broker/broker.h"

#include <stdio.h>
#include <string.h>

#include "base/codec/codec.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/core/workers.h"
#include "base/net/admission.h"
#include "queue/broker/broker_internal.h"

enum { IDLE_CHECK_MS = 1000, HANDSHAKE_MS = 10 * 1000 };

static const struct mr_metric_def broker_metrics[BROKER_METRIC_COUNT] = {
    [BROKER_CONNECTIONS] = {"millrace_broker_connections", MR_GAUGE, "Open client connections.",
                            NULL},
    [BROKER_CONNECTIONS_TOTAL] = {"millrace_broker_connections_total", MR_COUNTER,
                                  "Client connections taken.", NULL},
    [BROKER_BYTES_IN] = {"millrace_broker_received_bytes_total", MR_COUNTER,
                         "Bytes read from clients.", NULL},
    [BROKER_BYTES_OUT] = {"millrace_broker_sent_bytes_total", MR_COUNTER,
                          "Bytes of answers to clients.", NULL},
    [BROKER_MEMORY] = {"millrace_broker_request_memory_bytes", MR_GAUGE,
                       "Memory of requests being read and handled.", NULL},
    [BROKER_REFUSED_REQUESTS] = {"millrace_broker_refused_requests_total", MR_COUNTER,
                                 "Requests that closed their connection: unknown API or version, "
                                 "impossible size, not decodable.",
                                 NULL},
    [BROKER_AUTHENTICATIONS] = {"millrace_broker_authentications_total", MR_COUNTER,
                                "Clients that have shown by SASL who they are.", NULL},
    [BROKER_DENIED] = {"millrace_broker_denied_total", MR_COUNTER,
                       "Times that a principal was not allowed to do what it asked for.", NULL},
    [BROKER_WORKER_CHECKS] = {"millrace_broker_worker_checks_total", MR_COUNTER,
                              "Produce requests with compressed batches so large that a worker "
                              "checked them.",
                              NULL},
    [BROKER_IDLE_CLOSED] = {"millrace_broker_idle_closed_total", MR_COUNTER,
                            "Connections closed because nothing came.", NULL},
};

static const struct mr_metric_def api_metrics[API_METRIC_COUNT] = {
    [API_REQUESTS] = {"millrace_broker_requests_total", MR_COUNTER, "Requests by API.", "api"},
    [API_TIME] = {"millrace_broker_request_microseconds_total", MR_COUNTER,
                  "Time from the whole request to its answer, waiting included, by API.", "api"},
};

static void refresh_metrics(struct mr_metric_set *set)
{
    const struct broker *broker = set->owner;
    set->values[BROKER_MEMORY] = broker->memory_used_bytes;
}

static int broker_metrics_new(struct broker *broker)
{
    const struct api_entry *entry;

    broker->metric_set =
        mr_metric_set_new(broker->metrics, broker_metrics, BROKER_METRIC_COUNT, NULL, 0);
    if (broker->metric_set == NULL) {
        return MR_ENOMEM;
    }
    broker->metric_set->refresh = refresh_metrics;
    broker->metric_set->owner = broker;
    for (size_t i = 0; (entry = api_entry_at(i)) != NULL; i++) {
        const char *name = wire_api_find(entry->key)->name;
        broker->api_metrics[entry->key] =
            mr_metric_set_new(broker->metrics, api_metrics, API_METRIC_COUNT, &name, 1);
    }
    return 0;
}

/* ---- the end ---- */

static void broker_free(struct broker *broker)
{
    struct mr_link *link;

    while ((link = mr_list_pop(&broker->free_requests)) != NULL) {
        struct request *request = mr_container(link, struct request, link);
        wire_arena_done(&request->arena);
        wire_writer_done(&request->writer);
        mr_free(request);
    }
    frames_free(broker);
    for (size_t i = 0; i < broker->listener_count; i++) {
        if (broker->listeners[i].net_listener != NULL) {
            mr_listener_close(broker->listeners[i].net_listener);
        }
    }
    for (size_t i = 0; i < WIRE_API_KEY_END; i++) {
        mr_metric_set_free(broker->api_metrics[i]);
    }
    for (size_t i = 0; i < BROKER_ERROR_CODES; i++) {
        mr_metric_set_free(broker->error_metrics[i]);
    }
    mr_metric_set_free(broker->metric_set);
    auth_free(broker->auth);
    mr_admission_close(broker->admission);
    quotas_free(broker->quotas);
    mr_workers_free(broker->auth_workers);
    mr_workers_free(broker->name_workers);
    mr_task_cancel(&broker->bury);
    mr_timer_stop(&broker->idle_timer);
    checks_free(broker->checks);
    mr_codec_context_free(broker->codecs);
    mr_bytes_done(&broker->decompressed);
    mr_free(broker->scratch);
    mr_free(broker->listeners);
    mr_free(broker->node_name);
    mr_free(broker->rack);
    mr_free(broker);
}

/* Closed connections go in the turn after, when nobody on the stack knows them any more. */
static void on_bury(struct mr_task *task)
{
    struct broker *broker = task->owner;
    struct mr_link *link;

    while ((link = mr_list_pop(&broker->closed)) != NULL) {
        mr_free(mr_container(link, struct connection, link));
    }
    if (broker->is_closing && broker->request_count == 0) {
        void (*done)(void *) = broker->on_closed;
        void *owner = broker->close_owner;
        broker_free(broker);
        done(owner);
    }
}

void broker_close(struct broker *broker, void (*done)(void *owner), void *owner)
{
    broker->on_closed = done;
    broker->close_owner = owner;
    for (size_t i = 0; i < broker->listener_count; i++) {
        if (broker->listeners[i].net_listener != NULL) {
            mr_listener_close(broker->listeners[i].net_listener);
            broker->listeners[i].net_listener = NULL;
        }
    }
    while (!mr_list_is_empty(&broker->connections)) {
        connection_close(mr_container(broker->connections.next, struct connection, link), NULL);
    }
    peers_close(broker);
    broker->is_closing = true;
    mr_task_post(&broker->bury);
}

/* ---- idle connections ---- */

static void on_idle_check(struct mr_timer *timer)
{
    struct broker *broker = timer->owner;
    int64_t now_ms = mr_loop_now_ms(broker->loop);

    if (!broker->is_frame_used) {
        frames_free(broker);
    }
    broker->is_frame_used = false;
    /* The list is in order of activity: only its head can be due. */
    while (!mr_list_is_empty(&broker->connections)) {
        struct connection *connection =
            mr_container(broker->connections.next, struct connection, link);
        if (now_ms - connection->active_at_ms < broker->connection_idle_ms_max) {
            break;
        }
        if ((connection->request_count > 0 && connection->frame == NULL) || connection->is_muted) {
            /* It waits for us, not we for it. */
            connection->active_at_ms = now_ms;
            mr_list_remove(&connection->link);
            mr_list_append(&broker->connections, &connection->link);
            continue;
        }
        broker->metric_set->values[BROKER_IDLE_CLOSED] += 1;
        connection_close(connection, connection->frame != NULL || connection->prefix_filled > 0
                                         ? "half a request, then silence"
                                         : NULL);
    }
    sasl_check_deadlines(broker, now_ms);
    quotas_sweep(broker->quotas);
    (void)mr_timer_start(timer, IDLE_CHECK_MS);
}

/* ---- listeners ---- */

static void on_stream(struct mr_listener *net_listener, void *owner, struct mr_stream *stream)
{
    struct listener *listener = owner;

    (void)net_listener;
    int rc = MR_ECANCELED;

    if (!listener->broker->is_closing) {
        rc = listener->names_peers ? peer_meet(listener, stream)
                                   : connection_new(listener->broker, listener, stream, NULL);
    }
    if (rc != 0) {
        mr_stream_close(stream, true);
    }
}

int broker_accept(struct broker *broker, size_t place, struct mr_stream *stream)
{
    mr_assert(place < broker->listener_count);
    return connection_new(broker, &broker->listeners[place], stream, NULL);
}

static int listener_open(struct listener *listener, const struct broker_listener_config *config,
                         struct mr_error *error)
{
    struct mr_listen_options options = {
        .connections_max = config->connections_max,
        .unix_mode = config->unix_mode,
        .has_unix_owner = config->has_unix_owner,
        .has_unix_group = config->has_unix_group,
        .unix_owner = config->unix_owner,
        .unix_group = config->unix_group,
        .inherited_fd = config->inherited_fd > 0 ? config->inherited_fd : 0,
        .tls = config->tls,
        /* A client that has not even greeted gets no longer than one that has. */
        .handshake_timeout_ms = listener->broker->connection_idle_ms_max < HANDSHAKE_MS
                                    ? listener->broker->connection_idle_ms_max
                                    : HANDSHAKE_MS,
        .admission = config->is_control ? NULL : listener->broker->admission,
        .accepts_per_second_max = config->connection_rate_max,
    };
    int rc;

    listener->address = config->address;
    listener->advertise = config->advertise;
    listener->is_control = config->is_control;
    listener->sasl_mechanisms = config->is_control ? 0 : config->sasl_mechanisms;
    listener->sasl_session_ms = config->sasl_session_ms;
    listener->names_peers = config->names_peers && config->address.is_unix;
    if (listener->broker->net == NULL) {
        return 0; /* tests bring their own streams */
    }
    rc = mr_net_listen(listener->broker->net, &config->address, &options, on_stream, listener,
                       &listener->net_listener, error);
    if (rc == 0) {
        mr_listener_pause(listener->net_listener, true);
    }
    return rc;
}

int broker_reload_security(struct broker *broker)
{
    return auth_reload(broker->auth);
}

int broker_security_health(const struct broker *broker, struct mr_error *error)
{
    return auth_health(broker->auth, error);
}

uint16_t broker_listener_port(const struct broker *broker, size_t place)
{
    const struct listener *listener = &broker->listeners[place];

    return listener->net_listener != NULL ? mr_listener_port(listener->net_listener)
                                          : listener->address.port;
}

static bool is_wildcard(const char *host)
{
    return host[0] == '\0' || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* The control socket has no address that others could use: its clients stay where they are. */
void request_advertised(const struct request *request, struct wire_string *ret_host,
                        int32_t *ret_port)
{
    const struct broker *broker = request->broker;
    const struct listener *listener =
        request->connection != NULL ? request->connection->listener : &broker->listeners[0];
    const struct mr_address *advertise = &listener->advertise;

    if (listener->address.is_unix && advertise->host[0] == '\0') {
        *ret_host = wire_text("localhost");
        *ret_port = 0;
        return;
    }
    *ret_host = wire_text(advertise->host[0] != '\0'            ? advertise->host
                          : is_wildcard(listener->address.host) ? broker->node_name
                                                                : listener->address.host);
    *ret_port = advertise->host[0] != '\0' && advertise->port != 0
                    ? advertise->port
                    : broker_listener_port(broker, (size_t)(listener - broker->listeners));
}

/* ---- the start ---- */

static int broker_listen(struct broker *broker, const struct broker_config *config,
                         struct mr_error *error)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        int rc;
        broker->listeners[i].broker = broker;
        broker->listener_count = i + 1;
        rc = listener_open(&broker->listeners[i], &config->listeners[i], error);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int broker_init(struct broker *broker, const struct broker_config *config)
{
    broker->loop = config->loop;
    broker->disk = config->disk;
    broker->net = config->net;
    broker->random = config->random;
    broker->audit = config->audit;
    broker->metrics = config->metrics;
    broker->meta = config->meta;
    broker->replicas = config->replicas;
    broker->offsets = config->offsets;
    broker->groups = config->groups;
    broker->node_id = config->node_id;
    broker->auto_create_topics = config->auto_create_topics;
    broker->default_partitions = config->default_partitions > 0 ? config->default_partitions : 1;
    broker->request_size_bytes_max = config->request_size_bytes_max;
    broker->memory_limit_bytes = config->memory_limit_bytes;
    broker->connection_idle_ms_max = config->connection_idle_ms_max;
    mr_list_init(&broker->connections);
    mr_list_init(&broker->strangers);
    mr_list_init(&broker->greetings);
    mr_list_init(&broker->closed);
    mr_list_init(&broker->memory_waiters);
    mr_list_init(&broker->free_requests);
    mr_bytes_init(&broker->decompressed);
    mr_task_init(&broker->bury, config->loop, on_bury, broker);
    mr_timer_init(&broker->idle_timer, config->loop, on_idle_check, broker);
    broker->node_name = mr_strdup(config->node_name != NULL ? config->node_name : "localhost");
    broker->rack = config->rack != NULL ? mr_strdup(config->rack) : NULL;
    broker->scratch = mr_malloc(BROKER_SCRATCH_SIZE);
    broker->listeners = mr_calloc(config->listener_count + 1, sizeof *broker->listeners);
    if (broker->node_name == NULL || (config->rack != NULL && broker->rack == NULL) ||
        broker->scratch == NULL || broker->listeners == NULL ||
        mr_codec_context_new(&broker->codecs) != 0 ||
        checks_new(config->loop, &broker->checks) != 0 ||
        mr_workers_new(config->loop, "auth", 1, &broker->auth_workers) != 0 ||
        mr_workers_new(config->loop, "names", 1, &broker->name_workers) != 0) {
        return MR_ENOMEM;
    }
    return broker_metrics_new(broker) != 0
               ? MR_ENOMEM
               : quotas_new(broker, config->quota_window_ms, &broker->quotas);
}

int broker_open(const struct broker_config *config, struct broker **ret_broker,
                struct mr_error *error)
{
    struct broker *broker = mr_calloc(1, sizeof *broker);
    int rc;

    if (broker == NULL) {
        return mr_fail(error, MR_ENOMEM, "broker");
    }
    rc = broker_init(broker, config);
    if (rc != 0) {
        (void)mr_fail(error, rc, "broker");
    } else {
        rc = auth_new(config, &broker->auth, error);
    }
    if (rc == 0) {
        rc = quota_admission_new(broker, config, &broker->admission, error);
    }
    if (rc == 0) {
        rc = broker_listen(broker, config, error);
    }
    if (rc != 0) {
        broker_free(broker);
        return rc;
    }
    *ret_broker = broker;
    return 0;
}

void broker_start(struct broker *broker)
{
    for (size_t i = 0; i < broker->listener_count; i++) {
        if (broker->listeners[i].net_listener != NULL) {
            mr_listener_pause(broker->listeners[i].net_listener, false);
        }
    }
    (void)mr_timer_start(&broker->idle_timer, IDLE_CHECK_MS);
}
