/* What the cluster looks like: nodes, topics, leaders, as the last Metadata answer told.
 *
 * One request is under way at a time; who asks meanwhile shares the next one. It names all topics
 * that were ever asked for, so that one answer is one picture. Every few minutes it is asked
 * unbidden. */
#include <string.h>

#include "base/core/memory.h"
#include "queue/client/client_internal.h"
#include "queue/wire/kafka_error.h"

enum { METADATA_ARENA_SIZE_MAX = 16 << 20 };

struct topic_entry {
    struct client_topic topic;
    bool is_known; /* an answer has named it */
};

static void on_timer(struct mr_timer *timer);
static void on_answer(struct client_request *request, int rc, const void *response);

void metadata_init(struct client *client)
{
    struct metadata *metadata = &client->metadata;

    metadata->controller_id = -1;
    metadata->sent_ms = -1;
    mr_map_init(&metadata->topics);
    mr_list_init(&metadata->wanted);
    mr_list_init(&metadata->under_way);
    mr_timer_init(&metadata->timer, client->config.loop, on_timer, client);
    wire_arena_init(&metadata->arena, METADATA_ARENA_SIZE_MAX);
}

static void entry_free(struct topic_entry *entry)
{
    mr_free(entry->topic.partitions);
    mr_free(entry->topic.name);
    mr_free(entry);
}

static void finish_refreshes(struct mr_link *list, int rc)
{
    struct mr_link *link;

    while ((link = mr_list_pop(list)) != NULL) {
        struct client_refresh *refresh = mr_container(link, struct client_refresh, link);
        refresh->done(refresh->owner, rc);
    }
}

void metadata_done(struct client *client)
{
    struct metadata *metadata = &client->metadata;
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    mr_timer_stop(&metadata->timer);
    finish_refreshes(&metadata->under_way, MR_ECANCELED);
    finish_refreshes(&metadata->wanted, MR_ECANCELED);
    while ((entry = mr_map_next(&metadata->topics, &cursor)) != NULL) {
        entry_free(entry->value);
    }
    mr_map_done(&metadata->topics);
    mr_free(metadata->cluster_id);
    wire_arena_done(&metadata->arena);
}

/* ---- asking ---- */

/* The timer is what asks: for those who want it, as soon as the last request lies far enough back.
 */
static int schedule(struct client *client)
{
    const struct client_config *config = &client->config;
    struct metadata *metadata = &client->metadata;
    int64_t since_ms = mr_loop_now_ms(config->loop) - metadata->sent_ms;
    int64_t delay_ms = config->metadata_age_ms_max;

    if (metadata->is_sent || client->is_closing) {
        return 0;
    }
    if (!mr_list_is_empty(&metadata->wanted)) {
        delay_ms = metadata->sent_ms < 0 || since_ms >= config->refresh_ms_min
                       ? 0
                       : config->refresh_ms_min - since_ms;
    } else if (metadata->topics.count == 0) {
        return 0; /* nobody would look at it */
    }
    return mr_timer_start(&metadata->timer, delay_ms);
}

static int add_topic(struct metadata *metadata, const char *name)
{
    struct topic_entry *entry = mr_map_get_text(&metadata->topics, name);
    int rc = MR_ENOMEM;

    if (entry != NULL) {
        return 0;
    }
    entry = mr_calloc(1, sizeof *entry);
    if (entry == NULL) {
        return rc;
    }
    entry->topic.name = mr_strdup(name);
    if (entry->topic.name != NULL) {
        rc = mr_map_put_text(&metadata->topics, name, entry);
    }
    if (rc != 0) {
        entry_free(entry);
    }
    return rc;
}

int client_refresh(struct client *client, struct client_refresh *refresh)
{
    struct metadata *metadata = &client->metadata;
    int rc = 0;

    if (client->is_closing) {
        return MR_ECANCELED;
    }
    if (refresh->topic != NULL) {
        rc = add_topic(metadata, refresh->topic);
        if (rc != 0) {
            return rc;
        }
    }
    mr_list_append(&metadata->wanted, &refresh->link);
    rc = schedule(client);
    if (rc != 0) {
        mr_list_remove(&refresh->link);
    }
    return rc;
}

void metadata_cancel(struct client *client, struct client_refresh *refresh)
{
    (void)client;
    mr_list_remove(&refresh->link);
}

static int build_request(struct metadata *metadata)
{
    const struct mr_map_entry *entry;
    size_t cursor = 0;
    int32_t count = 0;
    int rc;

    wire_arena_reset(&metadata->arena);
    metadata_request_init(&metadata->message);
    metadata->message.allow_auto_topic_creation = false;
    rc = metadata_request_topic_array_make(&metadata->arena, &metadata->message.topics,
                                           (int32_t)metadata->topics.count);
    if (rc != 0) {
        return rc;
    }
    while ((entry = mr_map_next(&metadata->topics, &cursor)) != NULL) {
        const struct topic_entry *topic = entry->value;
        metadata->message.topics.items[count++].name = wire_text(topic->topic.name);
    }
    return 0;
}

static void on_timer(struct mr_timer *timer)
{
    struct client *client = timer->owner;
    struct metadata *metadata = &client->metadata;
    struct mr_link *link;
    int rc = build_request(metadata);

    while ((link = mr_list_pop(&metadata->wanted)) != NULL) {
        mr_list_append(&metadata->under_way, link);
    }
    metadata->sent_ms = mr_loop_now_ms(client->config.loop);
    metadata->is_sent = true;
    metadata->request = (struct client_request){.key = WIRE_API_METADATA,
                                                .message = &metadata->message,
                                                .node = CLIENT_NODE_ANY,
                                                .done = on_answer,
                                                .owner = client};
    if (rc == 0) {
        rc = client_send(client, &metadata->request);
    }
    if (rc != 0) {
        on_answer(&metadata->request, rc, NULL);
    }
}

/* ---- the answer: nodes ---- */

/* The connection that answered belongs to one of the brokers. Which one is known where the address
 * is the broker's own, or where there is one address and one broker: then the address that was
 * configured is kept, for it works from here, which the advertised one may not (a Unix socket, a
 * tunnel). */
static struct node *node_adopt(struct client *client, const struct metadata_response *answer,
                               const struct mr_address *address)
{
    struct node *found = NULL;

    mr_list_each(&client->nodes, link, next)
    {
        struct node *node = mr_container(link, struct node, link);
        bool is_same = !node->address.is_unix && strcmp(node->address.host, address->host) == 0 &&
                       node->address.port == address->port;
        if (node->id < 0 && (found == NULL || is_same)) {
            if (is_same || (answer->brokers.count == 1 && client->config.bootstrap_count == 1)) {
                found = node;
            }
        }
    }
    return found;
}

static void update_node(struct client *client, const struct metadata_response *answer,
                        const struct metadata_response_broker *broker)
{
    struct mr_address address = {.port = (uint16_t)broker->port};
    struct node *node;

    if (broker->host.size <= 0 || (size_t)broker->host.size >= sizeof address.host ||
        broker->port < 0 || broker->port > UINT16_MAX || broker->node_id < 0) {
        return;
    }
    memcpy(address.host, broker->host.data, (size_t)broker->host.size);
    node = node_find(client, broker->node_id);
    if (node == NULL) {
        node = node_adopt(client, answer, &address);
    }
    if (node == NULL &&
        broker->port > 0) { /* port 0: a node's own socket; no other way in is told */
        node = node_new(client, broker->node_id, &address);
    }
    if (node != NULL) {
        node->id = broker->node_id;
        node->is_gone = false;
        if (!node->is_bootstrap) {
            node->address = address;
        }
    }
}

static void update_nodes(struct client *client, const struct metadata_response *answer)
{
    mr_list_each(&client->nodes, link, next)
    {
        mr_container(link, struct node, link)->is_gone = true;
    }
    for (int32_t i = 0; i < answer->brokers.count; i++) {
        update_node(client, answer, &answer->brokers.items[i]);
    }
    mr_list_each(&client->nodes, gone_link, gone_next)
    {
        struct node *node = mr_container(gone_link, struct node, link);
        if (node->is_bootstrap) {
            node->is_gone = false; /* is asked again when the others are */
        } else if (node->is_gone && mr_list_is_empty(&node->waiting) &&
                   (node_is(node, NODE_IDLE) || node_is(node, NODE_BACKOFF))) {
            node_free(node, MR_ENETWORK);
        }
    }
}

/* ---- the answer: topics ---- */

static void update_topic(struct metadata *metadata, const struct metadata_response_topic *answer)
{
    struct topic_entry *entry =
        answer->name.size <= 0
            ? NULL
            : mr_map_get(&metadata->topics, answer->name.data, (size_t)answer->name.size);
    struct client_partition *partitions = NULL;
    int32_t count = answer->error_code == 0 ? answer->partitions.count : 0;

    if (entry == NULL) {
        return;
    }
    if (count > 0) {
        partitions = mr_calloc((size_t)count, sizeof *partitions);
        if (partitions == NULL) {
            return; /* the old picture stays */
        }
    }
    for (int32_t i = 0; i < count; i++) {
        partitions[i].leader = -1;
        partitions[i].error = KAFKA_LEADER_NOT_AVAILABLE;
    }
    for (int32_t i = 0; i < count; i++) {
        const struct metadata_response_partition *item = &answer->partitions.items[i];
        if (item->partition_index >= 0 && item->partition_index < count) {
            partitions[item->partition_index] =
                (struct client_partition){item->leader_id, item->leader_epoch, item->error_code};
        }
    }
    mr_free(entry->topic.partitions);
    entry->topic.partitions = partitions;
    entry->topic.partition_count = count;
    entry->topic.error = answer->error_code;
    entry->topic.id = answer->topic_id;
    entry->is_known = true;
}

static void take_answer(struct client *client, const struct metadata_response *answer)
{
    struct metadata *metadata = &client->metadata;

    metadata->controller_id = answer->controller_id;
    metadata->node_count = (size_t)answer->brokers.count;
    if (answer->cluster_id.size >= 0) {
        char *id = mr_strndup(answer->cluster_id.data, (size_t)answer->cluster_id.size);
        if (id != NULL) {
            mr_free(metadata->cluster_id);
            metadata->cluster_id = id;
        }
    }
    update_nodes(client, answer);
    for (int32_t i = 0; i < answer->topics.count; i++) {
        update_topic(metadata, &answer->topics.items[i]);
    }
}

static void on_answer(struct client_request *request, int rc, const void *response)
{
    struct client *client = request->owner;
    struct metadata *metadata = &client->metadata;
    const struct metadata_response *answer = response;
    struct mr_link told;
    struct mr_link *link;

    metadata->is_sent = false;
    if (rc == 0) {
        rc = kafka_error_to_code(answer->error_code);
    }
    if (rc == 0) {
        take_answer(client, answer);
    }
    mr_list_init(&told);
    while ((link = mr_list_pop(&metadata->under_way)) != NULL) {
        mr_list_append(&told, link);
    }
    finish_refreshes(&told, rc);
    (void)schedule(client); /* without memory the next who asks starts it */
}

/* ---- looking at it ---- */

const struct client_topic *client_topic(const struct client *client, const char *name)
{
    const struct topic_entry *entry = mr_map_get_text(&client->metadata.topics, name);

    return entry == NULL || !entry->is_known ? NULL : &entry->topic;
}

void client_topic_forget(struct client *client, const char *name)
{
    struct topic_entry *entry = mr_map_remove_text(&client->metadata.topics, name);

    if (entry != NULL) {
        entry_free(entry);
    }
}

int32_t client_leader(const struct client *client, const char *topic, int32_t partition)
{
    const struct client_topic *found = client_topic(client, topic);

    return found == NULL || partition < 0 || partition >= found->partition_count
               ? -1
               : found->partitions[partition].leader;
}

const char *client_cluster_id(const struct client *client)
{
    return client->metadata.cluster_id;
}

int32_t client_controller(const struct client *client)
{
    return client->metadata.controller_id;
}

size_t client_node_count(const struct client *client)
{
    return client->metadata.node_count;
}
