#include "queue/client/client.h"

#include <stdio.h>
#include <string.h>

#include "base/core/memory.h"
#include "base/core/state.h"
#include "queue/client/client_internal.h"

/* ---- ends of requests ---- */

static void request_reset(struct client_request *request)
{
    mr_free(request->pieces);
    request->pieces = NULL;
    wire_writer_done(&request->writer);
}

static void on_fail_task(struct mr_task *task)
{
    struct client *client = task->owner;
    struct mr_link ended;
    struct mr_link *link;

    mr_list_init(&ended);
    while ((link = mr_list_pop(&client->failed)) != NULL) {
        mr_list_append(&ended, link);
    }
    while ((link = mr_list_pop(&ended)) != NULL) {
        struct client_request *request = mr_container(link, struct client_request, link);
        request->cb(request);
    }
}

void client_request_fail(struct client *client, struct client_request *request, int rc,
                         const char *reason)
{
    request_reset(request);
    request->rc = rc;
    request->response = NULL;
    request->answered_by = CLIENT_ANY;
    (void)snprintf(request->reason_text, sizeof request->reason_text, "%s",
                   reason != NULL ? reason : "");
    request->reason = request->reason_text;
    mr_list_append(&client->failed, &request->link);
    mr_task_post(&client->fail_task);
}

/* ---- routing ---- */

static struct client_connection *first_bootstrap(const struct client *client)
{
    mr_list_each(&client->connections, link, next)
    {
        struct client_connection *connection = mr_container(link, struct client_connection, link);
        if (connection->is_bootstrap) {
            return connection;
        }
    }
    return NULL;
}

/* One that is ready, else one on its way, else the one that has rested longest. */
static struct client_connection *any_connection(const struct client *client)
{
    struct client_connection *busy = NULL;
    struct client_connection *idle = NULL;

    mr_list_each(&client->connections, link, next)
    {
        struct client_connection *connection = mr_container(link, struct client_connection, link);
        if (client_connection_is_ready(connection)) {
            return connection;
        }
        if (busy == NULL && (connection->machine.state == CLIENT_CONNECTING ||
                             connection->machine.state == CLIENT_VERSIONS)) {
            busy = connection;
        }
        if (idle == NULL && connection->machine.state == CLIENT_IDLE) {
            idle = connection;
        }
    }
    if (busy != NULL) {
        return busy;
    }
    return idle != NULL ? idle : first_bootstrap(client);
}

static struct client_connection *connection_of(const struct client *client, int32_t node_id)
{
    for (size_t i = 0; i < client->node_count; i++) {
        if (client->nodes[i].id == node_id) {
            return client->nodes[i].connection;
        }
    }
    return NULL;
}

void client_rotate(struct client *client, struct client_connection *failed, int rc)
{
    struct client_connection *next_connection = NULL;
    struct mr_link waiting;
    struct mr_link *link;

    mr_list_each(&client->connections, each, next)
    {
        struct client_connection *connection = mr_container(each, struct client_connection, link);
        if (connection != failed && connection->machine.state != CLIENT_BACKOFF) {
            next_connection = connection;
            break;
        }
    }
    mr_list_init(&waiting);
    while ((link = mr_list_pop(&failed->waiting)) != NULL) {
        mr_list_append(&waiting, link);
    }
    while ((link = mr_list_pop(&waiting)) != NULL) {
        struct client_request *request = mr_container(link, struct client_request, link);
        if (request->node_id == CLIENT_ANY && next_connection != NULL) {
            client_connection_send(next_connection, request);
        } else {
            mr_timer_stop(&request->timer);
            client_request_fail(client, request, rc, failed->reason);
        }
    }
}

void client_send(struct client *client, struct client_request *request)
{
    struct client_connection *connection = request->node_id == CLIENT_ANY
                                               ? any_connection(client)
                                               : connection_of(client, request->node_id);

    memset(&request->timer, 0, sizeof request->timer);
    request->pieces = NULL;
    request->is_in_flight = false;
    request->rc = 0;
    request->reason = NULL;
    request->response = NULL;
    wire_writer_init(&request->writer);
    if (client->is_closing) {
        client_request_fail(client, request, MR_ECANCELED, "closed");
    } else if (connection == NULL) {
        client_request_fail(client, request, MR_ENOENT, "the node is not known");
    } else {
        client_connection_send(connection, request);
    }
}

void client_describe(const struct client *client, char *text, size_t size)
{
    const struct client_connection *connection = any_connection(client);

    if (connection == NULL) {
        (void)snprintf(text, size, "no address");
    } else if (client_connection_is_ready(connection)) {
        (void)snprintf(text, size, "connected to %s", connection->address_text);
    } else if (connection->machine.state == CLIENT_BACKOFF) {
        (void)snprintf(text, size, "backoff: %s", connection->reason);
    } else {
        (void)snprintf(text, size, "connecting to %s", connection->address_text);
    }
}

/* ---- life ---- */

static int64_t or_default(int64_t value, int64_t fallback)
{
    return value > 0 ? value : fallback;
}

static void client_free(struct client *client)
{
    client_metadata_done(client);
    mr_free(client->nodes);
    mr_free(client->client_id);
    mr_free(client->tls_server_name);
    mr_free(client);
}

static void on_close_task(struct mr_task *task)
{
    struct client *client = task->owner;
    void (*done)(void *) = client->on_closed;
    void *owner = client->close_owner;

    /* Not in client_close, which may be called from an answer, inside of a connection's read. */
    while (!mr_list_is_empty(&client->connections)) {
        client_connection_free(
            mr_container(client->connections.next, struct client_connection, link));
    }
    on_fail_task(&client->fail_task);
    mr_task_cancel(&client->fail_task);
    client_free(client);
    done(owner);
}

static int client_init(struct client *client, const struct client_config *config)
{
    int rc = 0;

    client->loop = config->loop;
    client->net = config->net;
    client->random = config->random;
    client->tls = config->tls;
    client->request_timeout_ms = or_default(config->request_timeout_ms, 30000);
    client->connect_timeout_ms = or_default(config->connect_timeout_ms, 10000);
    client->backoff_ms = or_default(config->backoff_ms, 100);
    client->backoff_ms_max = or_default(config->backoff_ms_max, 10000);
    client->metadata_age_ms_max = or_default(config->metadata_age_ms_max, 300000);
    client->response_size_bytes_max =
        or_default(config->response_size_bytes_max, INT64_C(128) * 1024 * 1024);
    client->allow_auto_topic_creation = config->allow_auto_topic_creation;
    client->on_metadata = config->on_metadata;
    client->owner = config->owner;
    mr_list_init(&client->connections);
    mr_list_init(&client->failed);
    mr_task_init(&client->fail_task, client->loop, on_fail_task, client);
    mr_task_init(&client->close_task, client->loop, on_close_task, client);
    client_metadata_init(client);
    client->client_id = mr_strdup(config->client_id != NULL ? config->client_id : "millrace");
    if (config->tls_server_name != NULL) {
        client->tls_server_name = mr_strdup(config->tls_server_name);
    }
    if (client->client_id == NULL ||
        (config->tls_server_name != NULL && client->tls_server_name == NULL)) {
        return MR_ENOMEM;
    }
    for (size_t i = 0; rc == 0 && i < config->bootstrap_count; i++) {
        struct client_connection *connection;
        rc = client_connection_new(client, &config->bootstrap[i], true, &connection);
    }
    return rc;
}

int client_new(const struct client_config *config, struct client **ret_client,
               struct mr_error *error)
{
    struct client *client;
    int rc;

    if (config->bootstrap_count == 0) {
        return mr_fail_text(error, MR_EINVAL, "no address to connect to");
    }
    client = mr_calloc(1, sizeof *client);
    if (client == NULL) {
        return mr_fail(error, MR_ENOMEM, "client");
    }
    rc = client_init(client, config);
    if (rc != 0) {
        while (!mr_list_is_empty(&client->connections)) {
            client_connection_free(
                mr_container(client->connections.next, struct client_connection, link));
        }
        client_free(client);
        return mr_fail(error, rc, "client");
    }
    *ret_client = client;
    return 0;
}

void client_close(struct client *client, void (*done)(void *owner), void *owner)
{
    client->is_closing = true;
    client->on_closed = done;
    client->close_owner = owner;
    client->on_metadata = NULL;
    mr_timer_stop(&client->metadata_timer);
    mr_task_post(&client->close_task);
}
