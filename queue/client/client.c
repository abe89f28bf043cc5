/* Clients: opening and closing, where a request goes, and how it ends.
 *
 * A request is on exactly one list at a time: a node's `waiting` or `in_flight`, or `parked` while
 * it waits for Metadata or a coordinator. Its timer runs from client_send to request_finish. */
#include "queue/client/client.h"

#include <stdio.h>
#include <string.h>

#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/client/client_internal.h"
#include "queue/wire/kafka_error.h"
#include "queue/wire/produce.h"

static const struct mr_metric_def client_metrics[CLIENT_METRIC_COUNT] = {
    [CLIENT_CONNECTS] = {"millrace_client_connects_total", MR_COUNTER,
                         "Connections made to other nodes.", "client"},
    [CLIENT_FAILURES] = {"millrace_client_failures_total", MR_COUNTER,
                         "Connections that could not be made, or broke.", "client"},
    [CLIENT_REQUESTS] = {"millrace_client_requests_total", MR_COUNTER,
                         "Requests sent to other nodes.", "client"},
    [CLIENT_SENT_BYTES] = {"millrace_client_sent_bytes_total", MR_COUNTER,
                           "Bytes of requests sent to other nodes.", "client"},
    [CLIENT_THROTTLES] = {"millrace_client_throttles_total", MR_COUNTER,
                          "Times that another node has told us to wait, because of a quota.",
                          "client"},
    [CLIENT_THROTTLE_MS] = {"millrace_client_throttle_milliseconds_total", MR_COUNTER,
                            "Time that other nodes have told us to wait.", "client"},
};

static void on_close(struct mr_task *task);

void client_count(struct client *client, enum client_metric metric, int64_t count)
{
    if (client->metrics != NULL) {
        client->metrics->values[metric] += count;
    }
}

void client_fail(struct client *client, const char *text)
{
    (void)snprintf(client->error, sizeof client->error, "%s", text);
}

static int64_t or_else(int64_t value, int64_t fallback)
{
    return value > 0 ? value : fallback;
}

static void config_fill(struct client_config *config)
{
    config->request_timeout_ms = or_else(config->request_timeout_ms, 30000);
    config->connect_timeout_ms = or_else(config->connect_timeout_ms, 10000);
    config->backoff_ms_min = or_else(config->backoff_ms_min, 50);
    config->backoff_ms_max = or_else(config->backoff_ms_max, 1000);
    config->metadata_age_ms_max = or_else(config->metadata_age_ms_max, 300000);
    config->refresh_ms_min = or_else(config->refresh_ms_min, 100);
    config->answer_size_bytes_max =
        config->answer_size_bytes_max > 0 ? config->answer_size_bytes_max : (size_t)100 << 20;
}

static void client_free(struct client *client)
{
    mr_list_each(&client->nodes, link, next)
    {
        node_free(mr_container(link, struct node, link), MR_ECANCELED);
    }
    mr_map_done(&client->coordinators);
    mr_metric_set_free(client->metrics);
    mr_task_cancel(&client->close_task);
    mr_free(client->client_id);
    mr_free(client->tls_server_name);
    sasl_config_free(client->sasl);
    mr_free(client);
}

static int add_bootstrap(struct client *client)
{
    const struct client_config *config = &client->config;

    for (size_t i = 0; i < config->bootstrap_count; i++) {
        struct node *node = node_new(client, -1, &config->bootstrap[i]);
        if (node == NULL) {
            return MR_ENOMEM;
        }
        node->is_bootstrap = true;
    }
    client->config.bootstrap = NULL; /* the caller's */
    return 0;
}

int client_new(const struct client_config *config, struct client **ret_client,
               struct mr_error *error)
{
    struct client *client;

    if (config->bootstrap_count == 0) {
        return mr_fail(error, MR_EINVAL, "no address of a node is given");
    }
    client = mr_calloc(1, sizeof *client);
    if (client == NULL) {
        return mr_fail(error, MR_ENOMEM, "client");
    }
    client->config = *config;
    config_fill(&client->config);
    mr_list_init(&client->nodes);
    mr_list_init(&client->parked);
    mr_map_init(&client->coordinators);
    mr_task_init(&client->close_task, config->loop, on_close, client);
    metadata_init(client);
    client->client_id = mr_strdup(config->client_id == NULL ? "millrace" : config->client_id);
    if (config->tls_server_name != NULL) {
        client->tls_server_name = mr_strdup(config->tls_server_name);
    }
    if (sasl_config_new(config, &client->sasl) != 0 || client->client_id == NULL ||
        (config->tls_server_name != NULL && client->tls_server_name == NULL) ||
        add_bootstrap(client) != 0) {
        metadata_done(client);
        client_free(client);
        return mr_fail(error, MR_ENOMEM, "client");
    }
    client->metrics = mr_metric_set_new(config->metrics, client_metrics, CLIENT_METRIC_COUNT,
                                        (const char *const[]){client->client_id}, 1);
    *ret_client = client;
    return 0;
}

/* ---- closing ---- */

static void on_close(struct mr_task *task)
{
    struct client *client = task->owner;
    void (*closed)(void *owner) = client->closed;
    void *owner = client->closed_owner;
    struct mr_link *link;

    mr_list_each(&client->nodes, node_link, next)
    {
        node_free(mr_container(node_link, struct node, link), MR_ECANCELED);
    }
    while ((link = mr_list_pop(&client->parked)) != NULL) {
        request_finish(mr_container(link, struct client_request, link), MR_ECANCELED, NULL);
    }
    coordinators_done(client);
    metadata_done(client);
    client_free(client);
    closed(owner);
}

void client_close(struct client *client, void (*cb)(void *owner), void *owner)
{
    mr_assert(!client->is_closing);
    client->is_closing = true;
    client->closed = cb;
    client->closed_owner = owner;
    mr_task_post(&client->close_task);
}

const char *client_error(const struct client *client)
{
    return client->error;
}

bool client_is_connected(const struct client *client)
{
    mr_list_each(&client->nodes, link, next)
    {
        if (node_is(mr_container(link, struct node, link), NODE_READY)) {
            return true;
        }
    }
    return false;
}

/* ---- where a request goes ---- */

struct node *node_find(const struct client *client, int32_t id)
{
    mr_list_each(&client->nodes, link, next)
    {
        struct node *node = mr_container(link, struct node, link);
        if (node->id == id) {
            return node;
        }
    }
    return NULL;
}

/* The lower, the better: ready, on its way, idle, in backoff; among equals who failed least. */
static int node_rank(const struct node *node)
{
    int failures = node->failures < 100 ? node->failures : 100;
    static const int ranks[] = {[NODE_READY] = 0,
                                [NODE_NEGOTIATING] = 1,
                                [NODE_CONNECTING] = 1,
                                [NODE_IDLE] = 2,
                                [NODE_BACKOFF] = 3};

    return ranks[node->machine.state] * 1000 + (node->is_gone ? 500 : 0) + failures;
}

/* A node that failed ranks behind those that did not, so a request that moves on finds the next
 * address. */
static struct node *node_any(const struct client *client)
{
    struct node *best = NULL;

    mr_list_each(&client->nodes, link, next)
    {
        struct node *node = mr_container(link, struct node, link);
        if (best == NULL || node_rank(node) < node_rank(best)) {
            best = node;
        }
    }
    return best;
}

static void on_refreshed(void *owner, int rc)
{
    struct client_request *request = owner;

    mr_list_remove(&request->link);
    if (rc == 0) {
        rc = request_route(request);
    }
    if (rc != 0) {
        request_finish(request, rc, NULL);
    }
}

/* Waits for Metadata; the second time it has been asked, and the answer stands. */
static int request_park(struct client_request *request, const char *topic)
{
    struct client *client = request->client;
    int rc;

    if (request->attempts > 0) {
        const struct client_topic *found = topic == NULL ? NULL : client_topic(client, topic);
        if (found == NULL || found->error == 0) {
            return found != NULL && request->partition >= found->partition_count ? MR_ENOENT
                                                                                 : MR_EAGAIN;
        }
        return kafka_error_to_code(found->error);
    }
    request->attempts++;
    request->refresh =
        (struct client_refresh){.topic = topic, .done = on_refreshed, .owner = request};
    rc = client_refresh(client, &request->refresh);
    if (rc == 0) {
        mr_list_append(&client->parked, &request->link);
    }
    return rc;
}

int request_route(struct client_request *request)
{
    struct client *client = request->client;
    int32_t id = request->node;
    const char *topic = NULL;
    struct node *node;

    if (client->is_closing) {
        return MR_ECANCELED;
    }
    if (id == CLIENT_NODE_ANY) {
        return node_submit(node_any(client), request);
    }
    if (id == CLIENT_NODE_COORDINATOR) {
        int rc = coordinator_route(request, &id);
        if (rc != 0 || id < 0) {
            return rc; /* parked */
        }
    } else if (id == CLIENT_NODE_CONTROLLER) {
        id = client_controller(client);
    } else if (id == CLIENT_NODE_LEADER) {
        topic = request->topic;
        id = client_leader(client, topic, request->partition);
    }
    node = id < 0 ? NULL : node_find(client, id);
    return node == NULL ? request_park(request, topic) : node_submit(node, request);
}

/* ---- how it ends ---- */

void request_finish(struct client_request *request, int rc, const void *response)
{
    mr_timer_stop(&request->timer);
    frame_release(request);
    request->at = NULL;
    request->done(request, rc, response);
}

static void on_request_timeout(struct mr_timer *timer)
{
    struct client_request *request = timer->owner;
    struct node *node = request->at;

    if (node == NULL) { /* parked */
        mr_list_remove(&request->link);
        metadata_cancel(request->client, &request->refresh);
        request_finish(request, MR_ETIMEDOUT, NULL);
    } else if (request->head == NULL) { /* not sent */
        mr_list_remove(&request->link);
        request_finish(request, MR_ETIMEDOUT, NULL);
    } else { /* whoever does not answer one request answers none behind it */
        node_break(node, MR_ETIMEDOUT, "no answer in time");
    }
}

static int64_t timeout_of(const struct client *client, const struct client_request *request)
{
    return or_else(request->timeout_ms, client->config.request_timeout_ms);
}

void request_give_time(struct client_request *request, int64_t more_ms)
{
    if (mr_timer_is_running(&request->timer)) {
        /* It runs, so moving it cannot fail. */
        (void)mr_timer_start(&request->timer, timeout_of(request->client, request) + more_ms);
    }
}

int client_send(struct client *client, struct client_request *request)
{
    int rc;

    if (client->is_closing) {
        return MR_ECANCELED;
    }
    if (request->key == WIRE_API_PRODUCE &&
        ((const struct produce_request *)request->message)->acks == 0) {
        return MR_EINVAL;
    }
    mr_assert(request->done != NULL && wire_api_find(request->key) != NULL);
    request->client = client;
    request->at = NULL;
    request->head = NULL;
    request->pieces = NULL;
    request->pieces_unsent = 0;
    request->attempts = 0;
    request->answered_node = -1;
    mr_list_init(&request->link);
    mr_list_init(&request->refresh.link);
    mr_timer_init(&request->timer, client->config.loop, on_request_timeout, request);
    rc = mr_timer_start(&request->timer, timeout_of(client, request));
    if (rc == 0) {
        rc = request_route(request);
    }
    if (rc != 0) {
        mr_timer_stop(&request->timer);
        frame_release(request);
    }
    return rc;
}

int client_version(const struct client *client, int32_t node_id, enum wire_api_key key)
{
    const struct wire_api *api = wire_api_find(key);
    const struct node *node = node_id < 0 ? NULL : node_find(client, node_id);

    if (node == NULL || !node_is(node, NODE_READY)) {
        return -1;
    }
    const struct node_versions *theirs = &node->versions[key];
    int16_t max = theirs->max < api->request->version_max ? theirs->max : api->request->version_max;
    return max < theirs->min || max < api->request->version_min ? -1 : max;
}
