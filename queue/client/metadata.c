/* What the far side is: nodes, and the leaders of the watched topics; asked for again when it has
 * grown old, when something told us that it is wrong, and at most once per backoff. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/core/memory.h"
#include "queue/client/client_internal.h"
#include "queue/wire/cluster.h"
#include "queue/wire/kafka_error.h"

enum { METADATA_RETRY_FACTOR = 10 }; /* times the connection's own backoff */

static void metadata_ask(struct client *client);

static void topic_done(struct client_topic *topic)
{
    mr_free(topic->name);
    mr_free(topic->partitions);
}

static struct client_topic *topic_find(const struct client *client, const char *name, size_t size)
{
    for (size_t i = 0; i < client->topic_count; i++) {
        if (strlen(client->topics[i].name) == size &&
            memcmp(client->topics[i].name, name, size) == 0) {
            return &client->topics[i];
        }
    }
    return NULL;
}

/* ---- the answer ---- */

static struct client_connection *connection_at(struct client *client, struct wire_string host,
                                               int32_t port)
{
    struct client_connection *connection;
    struct mr_address address = {0};

    if (host.size <= 0 || (size_t)host.size >= sizeof address.host) {
        return NULL;
    }
    memcpy(address.host, host.data, (size_t)host.size);
    address.port = (uint16_t)port;
    mr_list_each(&client->connections, link, next)
    {
        connection = mr_container(link, struct client_connection, link);
        if (connection->address.is_unix || (strcmp(connection->address.host, address.host) == 0 &&
                                            connection->address.port == address.port)) {
            return connection;
        }
    }
    return client_connection_new(client, &address, false, &connection) == 0 ? connection : NULL;
}

static void take_nodes(struct client *client, const struct metadata_response *response)
{
    client->node_count = 0;
    for (int32_t i = 0; i < response->brokers.count; i++) {
        const struct metadata_response_broker *broker = &response->brokers.items[i];
        struct client_connection *connection = connection_at(client, broker->host, broker->port);
        if (connection == NULL || mr_grow(&client->nodes, &client->node_capacity,
                                          client->node_count + 1, sizeof *client->nodes) != 0) {
            return;
        }
        connection->node_id = broker->node_id;
        client->nodes[client->node_count++] = (struct client_node){broker->node_id, connection};
    }
}

static bool is_node(const struct client *client, const struct client_connection *connection)
{
    for (size_t i = 0; i < client->node_count; i++) {
        if (client->nodes[i].connection == connection) {
            return true;
        }
    }
    return false;
}

/* Addresses that no node has any more go, once nothing is under way there. */
static void drop_strangers(struct client *client)
{
    mr_list_each(&client->connections, link, next)
    {
        struct client_connection *connection = mr_container(link, struct client_connection, link);
        if (!connection->is_bootstrap && !is_node(client, connection) &&
            connection != client->metadata.connection && /* it is reading right now */
            mr_list_is_empty(&connection->waiting) && mr_list_is_empty(&connection->in_flight)) {
            client_connection_free(connection);
        }
    }
}

static void take_topic(struct client_topic *topic, const struct metadata_response_topic *answer)
{
    struct client_partition *partitions;

    topic->error = answer->error_code;
    topic->id = answer->topic_id;
    if (answer->error_code != KAFKA_NONE || answer->partitions.count <= 0) {
        return;
    }
    partitions = mr_calloc((size_t)answer->partitions.count, sizeof *partitions);
    if (partitions == NULL) {
        return;
    }
    for (int32_t i = 0; i < answer->partitions.count; i++) {
        partitions[i].leader_id = -1;
    }
    for (int32_t i = 0; i < answer->partitions.count; i++) {
        const struct metadata_response_partition *in = &answer->partitions.items[i];
        if (in->partition_index >= 0 && in->partition_index < answer->partitions.count) {
            partitions[in->partition_index] = (struct client_partition){
                .leader_id = in->leader_id,
                .leader_epoch = in->leader_epoch,
                .error = in->error_code,
            };
        }
    }
    mr_free(topic->partitions);
    topic->partitions = partitions;
    topic->partition_count = answer->partitions.count;
}

static bool take_topics(struct client *client, const struct metadata_response *response)
{
    bool is_complete = true;

    for (int32_t i = 0; i < response->topics.count; i++) {
        const struct metadata_response_topic *answer = &response->topics.items[i];
        struct client_topic *topic = answer->name.size < 0 ? NULL
                                                           : topic_find(client, answer->name.data,
                                                                        (size_t)answer->name.size);
        if (topic != NULL) {
            take_topic(topic, answer);
            is_complete = is_complete && topic->error == KAFKA_NONE;
        }
    }
    return is_complete;
}

static void metadata_tell(struct client *client, int rc, const char *reason)
{
    if (client->on_metadata != NULL) {
        client->on_metadata(client->owner, rc, reason);
    }
}

static void on_metadata(struct client_request *request)
{
    struct client *client = request->owner;
    const struct metadata_response *response = request->response;
    bool is_complete;

    client->is_asking = false;
    wire_arena_reset(&client->metadata_arena);
    if (client->is_closing) {
        return;
    }
    if (request->rc != 0) {
        (void)mr_timer_start(&client->metadata_timer, client->backoff_ms * METADATA_RETRY_FACTOR);
        metadata_tell(client, request->rc, request->reason);
        return;
    }
    if (response->cluster_id.size > 0) {
        (void)snprintf(client->cluster_id, sizeof client->cluster_id, "%.*s",
                       (int)response->cluster_id.size, response->cluster_id.data);
    }
    take_nodes(client, response);
    is_complete = take_topics(client, response);
    (void)mr_timer_start(&client->metadata_timer, is_complete
                                                      ? client->metadata_age_ms_max
                                                      : client->backoff_ms * METADATA_RETRY_FACTOR);
    drop_strangers(client);
    if (client->wants_metadata) {
        client_refresh(client);
    }
    metadata_tell(client, 0, NULL);
}

/* ---- the question ---- */

static void metadata_ask(struct client *client)
{
    struct wire_arena *arena = &client->metadata_arena;
    struct metadata_request *body = wire_arena_alloc(arena, sizeof *body);

    if (body == NULL) {
        return;
    }
    metadata_request_init(body);
    body->allow_auto_topic_creation = client->allow_auto_topic_creation;
    if (metadata_request_topic_array_make(arena, &body->topics, (int32_t)client->topic_count) !=
        0) {
        return;
    }
    for (size_t i = 0; i < client->topic_count; i++) {
        /* A copy: the topic may be unwatched while the question waits. */
        body->topics.items[i].name =
            wire_arena_string(arena, client->topics[i].name, strlen(client->topics[i].name));
    }
    client->wants_metadata = false;
    client->is_asking = true;
    client->metadata_asked_ms = mr_loop_now_ms(client->loop);
    client->metadata = (struct client_request){
        .api_key = WIRE_API_METADATA,
        .version_min = 4,
        .node_id = CLIENT_ANY,
        .body = body,
        .cb = on_metadata,
        .owner = client,
    };
    client_send(client, &client->metadata);
}

static void on_metadata_timer(struct mr_timer *timer)
{
    struct client *client = timer->owner;

    if (!client->is_asking && !client->is_closing) {
        metadata_ask(client);
    }
}

void client_refresh(struct client *client)
{
    int64_t since_ms = mr_loop_now_ms(client->loop) - client->metadata_asked_ms;
    int64_t delay_ms = since_ms >= client->backoff_ms ? 0 : client->backoff_ms - since_ms;

    if (client->is_closing) {
        return;
    }
    client->wants_metadata = true;
    if (!client->is_asking) {
        (void)mr_timer_start(&client->metadata_timer, delay_ms);
    }
}

int client_watch(struct client *client, const char *topic)
{
    struct client_topic *added;

    if (topic_find(client, topic, strlen(topic)) != NULL) {
        return 0;
    }
    if (mr_grow(&client->topics, &client->topic_capacity, client->topic_count + 1,
                sizeof *client->topics) != 0) {
        return MR_ENOMEM;
    }
    added = &client->topics[client->topic_count];
    *added = (struct client_topic){.name = mr_strdup(topic), .error = -1};
    if (added->name == NULL) {
        return MR_ENOMEM;
    }
    client->topic_count += 1;
    client->metadata_asked_ms = mr_loop_now_ms(client->loop) - client->backoff_ms;
    client_refresh(client);
    return 0;
}

void client_unwatch(struct client *client, const char *topic)
{
    struct client_topic *found = topic_find(client, topic, strlen(topic));

    if (found != NULL) {
        topic_done(found);
        *found = client->topics[--client->topic_count];
    }
}

const struct client_topic *client_topic_find(const struct client *client, const char *topic)
{
    return topic_find(client, topic, strlen(topic));
}

const char *client_cluster_id(const struct client *client)
{
    return client->cluster_id;
}

int32_t client_node_count(const struct client *client)
{
    return (int32_t)client->node_count;
}

int32_t client_node_id(const struct client *client, int32_t place)
{
    mr_assert(place >= 0 && (size_t)place < client->node_count);
    return client->nodes[place].id;
}

void client_metadata_init(struct client *client)
{
    wire_arena_init(&client->metadata_arena, 64 * 1024 * 1024);
    mr_timer_init(&client->metadata_timer, client->loop, on_metadata_timer, client);
    client->metadata_asked_ms = INT64_MIN / 2;
}

void client_metadata_done(struct client *client)
{
    mr_timer_stop(&client->metadata_timer);
    for (size_t i = 0; i < client->topic_count; i++) {
        topic_done(&client->topics[i]);
    }
    mr_free(client->topics);
    wire_arena_done(&client->metadata_arena);
}
