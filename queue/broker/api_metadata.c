/* Metadata: who is there, which topics, and where their partitions lead. Topics that are asked for
 * by name and do not exist are created first where that is configured and allowed by the client;
 * the answer then waits for the metadata log, so that it is already complete. */
#include <limits.h>
#include <string.h>

#include "base/core/error.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/cluster.h"

enum { AUTO_CREATED_MAX = 100 }; /* by one request */

struct metadata {
    struct request *request;
    int pending;
    int count;
    struct meta_change *changes;
};

static int fill_partitions(struct request *request, const struct image_topic *topic,
                           struct metadata_response_partition_array *partitions)
{
    int rc =
        metadata_response_partition_array_make(&request->arena, partitions, topic->partition_count);

    for (int32_t i = 0; rc == 0 && i < topic->partition_count; i++) {
        struct metadata_response_partition *out = &partitions->items[i];
        const struct partition *partition = replicas_partition(topic, i);
        bool is_online = partition != NULL && partition->log_rc == 0;
        out->partition_index = i;
        out->leader_id = is_online ? request->broker->node_id : -1;
        out->leader_epoch = partition != NULL ? partition->leader_epoch : -1;
        out->error_code = is_online ? KAFKA_NONE : KAFKA_LEADER_NOT_AVAILABLE;
        out->replica_nodes.items = &request->broker->node_id;
        out->replica_nodes.count = 1;
        *(is_online ? &out->isr_nodes : &out->offline_replicas) = out->replica_nodes;
    }
    return rc;
}

static int fill_topic(struct request *request, const struct image_topic *topic,
                      struct metadata_response_topic *out)
{
    const struct metadata_request *body = request->body;

    out->name = wire_text(topic->name);
    out->topic_id = topic->id;
    out->is_internal = strcmp(topic->name, "__consumer_offsets") == 0;
    if (body->include_topic_authorized_operations) {
        out->topic_authorized_operations =
            request_operations(request, RESOURCE_TOPIC, wire_text(topic->name));
    }
    return fill_partitions(request, topic, &out->partitions);
}

static int fill_all_topics(struct request *request, struct metadata_response *response)
{
    const struct image *image = meta_image(request->broker->meta);
    int32_t count = 0;
    int rc = metadata_response_topic_array_make(&request->arena, &response->topics,
                                                (int32_t)image->topic_count);

    for (size_t i = 0; rc == 0 && i < image->topic_count; i++) {
        const struct image_topic *topic = image->topics[i];
        if (request_sees(request, OPERATION_DESCRIBE, RESOURCE_TOPIC, wire_text(topic->name))) {
            rc = fill_topic(request, topic, &response->topics.items[count++]);
        }
    }
    if (rc == 0) {
        response->topics.count = count;
    }
    return rc;
}

/* Either right will do, as in CreateTopics. */
static bool may_make(const struct request *request, struct wire_string name)
{
    return request_sees(request, OPERATION_CREATE, RESOURCE_CLUSTER, name) ||
           request_may(request, OPERATION_CREATE, RESOURCE_TOPIC, name);
}

static bool is_made_when_asked(const struct request *request)
{
    const struct metadata_request *body = request->body;

    return request->broker->auto_create_topics && body->allow_auto_topic_creation;
}

static int16_t missing_error(const struct metadata *metadata,
                             const struct metadata_request_topic *asked, bool is_by_id)
{
    size_t size = asked->name.size > 0 ? (size_t)asked->name.size : 0;

    if (is_by_id) {
        return KAFKA_UNKNOWN_TOPIC_ID;
    }
    if (topic_name_check(asked->name.data, size) != NULL) {
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    for (int i = 0; i < metadata->count; i++) {
        if (wire_string_equal(metadata->changes[i].name, asked->name) &&
            metadata->changes[i].error != KAFKA_NONE) {
            return metadata->changes[i].error;
        }
    }
    /* It would have been made, had the principal the right to: final, so that nobody waits for it.
     */
    return is_made_when_asked(metadata->request) &&
                   !topic_name_is_reserved(asked->name.data, size) &&
                   !may_make(metadata->request, asked->name)
               ? KAFKA_TOPIC_AUTHORIZATION_FAILED
               : KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

/* An id counts more than a name. */
static bool is_asked_by_id(const struct metadata_request_topic *asked)
{
    return !mr_uuid_is_zero(&asked->topic_id);
}

static int fill_asked_topics(const struct metadata *metadata, struct metadata_response *response)
{
    struct request *request = metadata->request;
    const struct metadata_request *body = request->body;
    const struct metadata_request_topic *items = body->topics.items;
    const uint8_t *marks = NULL;
    int rc =
        metadata_response_topic_array_make(&request->arena, &response->topics, body->topics.count);

    if (rc == 0) {
        rc = names_mark(request, items, offsetof(struct metadata_request_topic, name),
                        sizeof *items, body->topics.count, &marks);
    }
    response->topics.count = 0;
    for (int32_t i = 0; rc == 0 && i < body->topics.count; i++) {
        const struct metadata_request_topic *asked = &items[i];
        struct metadata_response_topic *out;
        bool is_by_id = is_asked_by_id(asked);
        const struct image_topic *topic;
        if (marks[i] == NAME_AGAIN && !is_by_id) {
            continue; /* a topic is answered once */
        }
        out = &response->topics.items[response->topics.count++];
        topic = request_topic(request, asked->name, is_by_id ? &asked->topic_id : NULL,
                              &out->error_code);
        if (topic != NULL) {
            rc = fill_topic(request, topic, out);
            continue;
        }
        out->name = is_by_id ? wire_text(NULL) : asked->name;
        out->topic_id = asked->topic_id;
        if (out->error_code != KAFKA_TOPIC_AUTHORIZATION_FAILED) {
            out->error_code = missing_error(metadata, asked, is_by_id);
        }
        request_count_error(request, out->error_code);
    }
    return rc;
}

static bool wants_all(const struct request *request)
{
    const struct metadata_request *body = request->body;

    return request->head.api_version == 0 ? body->topics.count == 0 : body->topics.count < 0;
}

/* Versions 10 and 11 have a place for ids, but no broker answers by them. */
static bool has_early_ids(const struct request *request)
{
    const struct metadata_request *body = request->body;

    for (int32_t i = 0; request->head.api_version < 12 && i < body->topics.count; i++) {
        if (body->topics.items[i].name.size < 0 || is_asked_by_id(&body->topics.items[i])) {
            return true;
        }
    }
    return false;
}

static void refuse_early_ids(struct request *request)
{
    const struct metadata_request *body = request->body;
    struct metadata_response response;

    metadata_response_init(&response);
    response.cluster_id = wire_text(NULL);
    if (metadata_response_topic_array_make(&request->arena, &response.topics, body->topics.count) !=
        0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    for (int32_t i = 0; i < body->topics.count; i++) {
        struct metadata_response_topic *out = &response.topics.items[i];
        out->error_code = KAFKA_INVALID_REQUEST;
        out->name =
            body->topics.items[i].name.size < 0 ? wire_text("") : body->topics.items[i].name;
        out->topic_id = body->topics.items[i].topic_id;
    }
    request_count_error(request, KAFKA_INVALID_REQUEST);
    request_respond(request, &response);
}

static void metadata_respond(struct metadata *metadata)
{
    struct request *request = metadata->request;
    const struct broker *broker = request->broker;
    const struct metadata_request *body = request->body;
    struct metadata_response_broker node = {.node_id = broker->node_id};
    struct metadata_response response;
    int rc;

    metadata_response_init(&response);
    request_advertised(request, &node.host, &node.port);
    node.rack = wire_text(broker->rack);
    response.brokers.items = &node;
    response.brokers.count = 1;
    response.cluster_id = wire_text(meta_cluster_id(broker->meta));
    response.controller_id = broker->node_id;
    if (body->include_cluster_authorized_operations) {
        response.cluster_authorized_operations =
            request_operations(request, RESOURCE_CLUSTER, wire_text("kafka-cluster"));
    }
    rc = wants_all(request) ? fill_all_topics(request, &response)
                            : fill_asked_topics(metadata, &response);
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_respond(request, &response);
}

static void on_created(struct meta_change *change)
{
    struct metadata *metadata = change->owner;

    if (change->error == KAFKA_TOPIC_ALREADY_EXISTS) {
        change->error = KAFKA_NONE; /* another request was first */
    }
    metadata->pending -= 1;
    if (metadata->pending == 0) {
        metadata_respond(metadata);
    }
}

static bool may_create(const struct request *request, const struct metadata_request_topic *asked)
{
    size_t size = asked->name.size > 0 ? (size_t)asked->name.size : 0;
    const struct image *image = meta_image(request->broker->meta);

    return !is_asked_by_id(asked) && topic_name_check(asked->name.data, size) == NULL &&
           !topic_name_is_reserved(asked->name.data, size) &&
           image_find(image, asked->name.data, size) == NULL &&
           request_sees(request, OPERATION_DESCRIBE, RESOURCE_TOPIC, asked->name) &&
           may_make(request, asked->name);
}

/* Fills metadata->changes with the topics to be created. */
static int collect_missing(struct metadata *metadata)
{
    struct request *request = metadata->request;
    const struct metadata_request *body = request->body;

    for (int32_t i = 0; i < body->topics.count && metadata->count < AUTO_CREATED_MAX; i++) {
        const struct metadata_request_topic *asked = &body->topics.items[i];
        if (!may_create(request, asked)) {
            continue;
        }
        if (metadata->changes == NULL) {
            int room =
                body->topics.count < AUTO_CREATED_MAX ? body->topics.count : AUTO_CREATED_MAX;
            metadata->changes = request_alloc(request, (size_t)room * sizeof *metadata->changes);
            if (metadata->changes == NULL) {
                return MR_ENOMEM;
            }
        }
        quota_charge(request, QUOTA_CONTROLLER_MUTATION_RATE, request->broker->default_partitions);
        metadata->changes[metadata->count++] = (struct meta_change){
            .kind = META_CREATE_TOPIC,
            .name = asked->name,
            .partition_count = request->broker->default_partitions,
            .replication_factor = 1,
            .cb = on_created,
            .owner = metadata,
        };
    }
    return 0;
}

void api_metadata(struct request *request)
{
    struct metadata *metadata = request_alloc(request, sizeof *metadata);

    if (has_early_ids(request)) {
        refuse_early_ids(request);
        return;
    }
    if (metadata == NULL) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    metadata->request = request;
    if (is_made_when_asked(request) && !wants_all(request) && collect_missing(metadata) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    if (metadata->count == 0) {
        metadata_respond(metadata);
        return;
    }
    metadata->pending = metadata->count;
    for (int i = 0, count = metadata->count; i < count; i++) {
        meta_submit(request->broker->meta, &metadata->changes[i]);
    }
}
