/* The table of what is served: API key -> handler, and what a principal needs for it. What is
 * advertised in ApiVersions is this table with the version ranges of the descriptions, nothing
 * more. */
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/cluster.h"

static const struct api_entry api_entries[] = {
    {WIRE_API_PRODUCE, api_produce, OPERATION_WRITE, RESOURCE_TOPIC},
    {WIRE_API_FETCH, api_fetch, OPERATION_READ, RESOURCE_TOPIC},
    {WIRE_API_LIST_OFFSETS, api_list_offsets, OPERATION_DESCRIBE, RESOURCE_TOPIC},
    {WIRE_API_METADATA, api_metadata, OPERATION_DESCRIBE, RESOURCE_TOPIC},
    {WIRE_API_SASL_HANDSHAKE, api_sasl_handshake, OPERATION_NONE, RESOURCE_NONE},
    {WIRE_API_API_VERSIONS, api_versions, OPERATION_NONE, RESOURCE_NONE},
    {WIRE_API_OFFSET_COMMIT, api_offset_commit, OPERATION_READ, RESOURCE_TOPIC},
    {WIRE_API_OFFSET_FETCH, api_offset_fetch, OPERATION_DESCRIBE, RESOURCE_TOPIC},
    {WIRE_API_FIND_COORDINATOR, api_find_coordinator, OPERATION_DESCRIBE, RESOURCE_GROUP},
    {WIRE_API_JOIN_GROUP, api_join_group, OPERATION_READ, RESOURCE_GROUP},
    {WIRE_API_HEARTBEAT, api_heartbeat, OPERATION_READ, RESOURCE_GROUP},
    {WIRE_API_LEAVE_GROUP, api_leave_group, OPERATION_READ, RESOURCE_GROUP},
    {WIRE_API_SYNC_GROUP, api_sync_group, OPERATION_READ, RESOURCE_GROUP},
    {WIRE_API_DESCRIBE_GROUPS, api_describe_groups, OPERATION_DESCRIBE, RESOURCE_GROUP},
    {WIRE_API_LIST_GROUPS, api_list_groups, OPERATION_DESCRIBE, RESOURCE_CLUSTER},
    {WIRE_API_CREATE_TOPICS, api_create_topics, OPERATION_CREATE, RESOURCE_TOPIC},
    {WIRE_API_DELETE_TOPICS, api_delete_topics, OPERATION_DELETE, RESOURCE_TOPIC},
    {WIRE_API_DELETE_RECORDS, api_delete_records, OPERATION_DELETE, RESOURCE_TOPIC},
    {WIRE_API_INIT_PRODUCER_ID, api_init_producer_id, OPERATION_IDEMPOTENT_WRITE, RESOURCE_CLUSTER},
    {WIRE_API_OFFSET_FOR_LEADER_EPOCH, api_offset_for_leader_epoch, OPERATION_DESCRIBE,
     RESOURCE_TOPIC},
    {WIRE_API_DESCRIBE_CONFIGS, api_describe_configs, OPERATION_DESCRIBE_CONFIGS, RESOURCE_TOPIC},
    {WIRE_API_ALTER_CONFIGS, api_alter_configs, OPERATION_ALTER_CONFIGS, RESOURCE_TOPIC},
    {WIRE_API_DESCRIBE_LOG_DIRS, api_describe_log_dirs, OPERATION_DESCRIBE, RESOURCE_CLUSTER},
    {WIRE_API_CREATE_PARTITIONS, api_create_partitions, OPERATION_ALTER, RESOURCE_TOPIC},
    {WIRE_API_DELETE_GROUPS, api_delete_groups, OPERATION_DELETE, RESOURCE_GROUP},
    {WIRE_API_INCREMENTAL_ALTER_CONFIGS, api_incremental_alter_configs, OPERATION_ALTER_CONFIGS,
     RESOURCE_TOPIC},
    {WIRE_API_LIST_PARTITION_REASSIGNMENTS, api_list_partition_reassignments, OPERATION_DESCRIBE,
     RESOURCE_CLUSTER},
    {WIRE_API_OFFSET_DELETE, api_offset_delete, OPERATION_DELETE, RESOURCE_GROUP},
    /* Who is connected knows that there is a cluster; what it may do there, it is told. */
    {WIRE_API_DESCRIBE_CLUSTER, api_describe_cluster, OPERATION_NONE, RESOURCE_NONE},
    {WIRE_API_DESCRIBE_PRODUCERS, api_describe_producers, OPERATION_READ, RESOURCE_TOPIC},
    {WIRE_API_LIST_CONFIG_RESOURCES, api_list_config_resources, OPERATION_DESCRIBE_CONFIGS,
     RESOURCE_CLUSTER},
    {WIRE_API_DESCRIBE_TOPIC_PARTITIONS, api_describe_topic_partitions, OPERATION_DESCRIBE,
     RESOURCE_TOPIC},
    {WIRE_API_DESCRIBE_ACLS, api_describe_acls, OPERATION_DESCRIBE, RESOURCE_CLUSTER},
    {WIRE_API_CREATE_ACLS, api_create_acls, OPERATION_ALTER, RESOURCE_CLUSTER},
    {WIRE_API_DELETE_ACLS, api_delete_acls, OPERATION_ALTER, RESOURCE_CLUSTER},
    {WIRE_API_SASL_AUTHENTICATE, api_sasl_authenticate, OPERATION_NONE, RESOURCE_NONE},
    {WIRE_API_DESCRIBE_CLIENT_QUOTAS, api_describe_client_quotas, OPERATION_DESCRIBE_CONFIGS,
     RESOURCE_CLUSTER},
    {WIRE_API_ALTER_CLIENT_QUOTAS, api_alter_client_quotas, OPERATION_ALTER_CONFIGS,
     RESOURCE_CLUSTER},
    {WIRE_API_DESCRIBE_USER_SCRAM_CREDENTIALS, api_describe_user_scram_credentials,
     OPERATION_DESCRIBE, RESOURCE_CLUSTER},
    {WIRE_API_ALTER_USER_SCRAM_CREDENTIALS, api_alter_user_scram_credentials, OPERATION_ALTER,
     RESOURCE_CLUSTER},
};

const struct api_entry *api_entry_at(size_t place)
{
    return place < sizeof api_entries / sizeof api_entries[0] ? &api_entries[place] : NULL;
}

const struct api_entry *api_entry_find(int key)
{
    for (size_t i = 0; i < sizeof api_entries / sizeof api_entries[0]; i++) {
        if (api_entries[i].key == key) {
            return &api_entries[i];
        }
    }
    return NULL;
}

static int refuse(const struct request *request, const char *why, int rc)
{
    request->broker->metric_set->values[BROKER_REFUSED_REQUESTS] += 1;
    mr_warn("request refused: connection closed", KV_STR("reason", why),
            KV_I64("api_key", request->head.api_key),
            KV_I64("api_version", request->head.api_version),
            KV_STR("peer", mr_stream_peer(request->connection->stream)), KV_ERR(rc));
    return MR_EPROTOCOL;
}

/* KIP-511: the client learns our range from a version 0 body, and asks again. */
static int answer_unknown_version(struct request *request)
{
    struct api_versions_response_api_key key;
    struct api_versions_response response;

    request->head.api = wire_api_find(WIRE_API_API_VERSIONS);
    request->api = api_entry_find(WIRE_API_API_VERSIONS);
    api_versions_response_init(&response);
    key = (struct api_versions_response_api_key){
        .api_key = WIRE_API_API_VERSIONS,
        .min_version = request->head.api->request->version_min,
        .max_version = request->head.api->request->version_max,
    };
    response.error_code = KAFKA_UNSUPPORTED_VERSION;
    response.api_keys.items = &key;
    response.api_keys.count = 1;
    request_count_error(request, KAFKA_UNSUPPORTED_VERSION);
    request_respond_at(request, 0, &response);
    return 0;
}

int dispatch(struct request *request)
{
    struct broker *broker = request->broker;
    const struct sasl *sasl = request->connection->sasl;
    const struct wire_message *message;
    struct mr_metric_set *set;
    int rc;

    memset(&request->head, 0, sizeof request->head);
    if (sasl_expects_token(sasl)) {
        sasl_take_token(request);
        return 0;
    }
    rc = wire_request_parse(request->frame->data, request->frame->size_bytes, &request->head);
    if (rc == MR_EUNSUPPORTED && request->head.api_key == WIRE_API_API_VERSIONS) {
        return answer_unknown_version(request);
    }
    if (rc != 0) {
        return refuse(request, rc == MR_EUNSUPPORTED ? "unknown API or version" : "broken header",
                      rc);
    }
    if (!sasl_admits(sasl, request->head.api_key, mr_loop_now_ms(broker->loop))) {
        return refuse(request, "not authenticated, or no longer", MR_EAUTH);
    }
    request->api = api_entry_find(request->head.api_key);
    if (request->api == NULL) {
        return refuse(request, "API is not served", MR_EUNSUPPORTED);
    }
    set = broker->api_metrics[request->head.api_key];
    if (set != NULL) {
        set->values[API_REQUESTS] += 1;
    }
    message = request->head.api->request;
    request->body = wire_arena_alloc(&request->arena, message->body->size_bytes);
    rc = request->body == NULL
             ? MR_ENOMEM
             : wire_decode(message, request->head.api_version, request->head.body,
                           request->head.body_size_bytes, &request->arena, request->body);
    /* Bytes behind a whole message are left alone, as Kafka does: librdkafka 2.8 sends three of
     * them with a Metadata request for all topics. */
    if (rc != 0 && rc != MR_EPROTOCOL) {
        return refuse(request, "body cannot be decoded", rc);
    }
    quota_time_begin(request);
    audit_begin(request);
    request->api->handle(request);
    quota_time_end(broker, request);
    return 0;
}

bool request_sees(const struct request *request, enum operation operation,
                  enum resource_type resource, struct wire_string name)
{
    return request->connection != NULL && /* else nobody is there to be answered */
           auth_may(request->broker->auth, request->connection, (enum acl_operation)operation,
                    (enum acl_resource)resource,
                    resource == RESOURCE_CLUSTER ? wire_text("kafka-cluster") : name);
}

bool request_may(const struct request *request, enum operation operation,
                 enum resource_type resource, struct wire_string name)
{
    const struct connection *connection = request->connection;
    bool may = request_sees(request, operation, resource, name);

    if (!may && connection != NULL) {
        request->broker->metric_set->values[BROKER_DENIED] += 1;
        mr_debug("denied", KV_STR("principal", connection->principal),
                 KV_STR("peer", mr_stream_peer(connection->stream)), KV_I64("operation", operation),
                 KV_I64("resource", resource));
        audit_denied(request, (int)operation, (int)resource, name.data, name.size);
    }
    return may;
}

bool request_may_cluster(const struct request *request)
{
    mr_assert(request->api->resource == RESOURCE_CLUSTER);
    return request_may(request, request->api->operation, RESOURCE_CLUSTER, wire_text(NULL));
}

bool request_may_somewhere(const struct request *request, enum operation operation,
                           enum resource_type resource)
{
    return request->connection != NULL &&
           auth_may_somewhere(request->broker->auth, request->connection,
                              (enum acl_operation)operation, (enum acl_resource)resource);
}

int32_t request_operations(const struct request *request, enum resource_type resource,
                           struct wire_string name)
{
    return request->connection == NULL ? 0
                                       : auth_operations(request->broker->auth, request->connection,
                                                         (enum acl_resource)resource, name);
}

struct image_topic *request_topic(const struct request *request, struct wire_string name,
                                  const struct mr_uuid *id, int16_t *ret_error)
{
    mr_assert(request->api->resource == RESOURCE_TOPIC);
    return request_topic_for(request, request->api->operation, name, id, ret_error);
}

struct image_topic *request_topic_for(const struct request *request, enum operation operation,
                                      struct wire_string name, const struct mr_uuid *id,
                                      int16_t *ret_error)
{
    const struct image *image = meta_image(request->broker->meta);
    struct image_topic *topic = NULL;

    if (id != NULL) {
        topic = image_find_id(image, id);
        *ret_error = topic == NULL ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_NONE;
    } else {
        topic = name.size > 0 ? image_find(image, name.data, (size_t)name.size) : NULL;
        *ret_error = topic == NULL ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_NONE;
    }
    /* An id that leads nowhere tells nothing; a name does, so that is asked for first. */
    if (id != NULL && topic == NULL) {
        return NULL;
    }
    if (!request_may(request, operation, RESOURCE_TOPIC,
                     topic != NULL ? wire_text(topic->name) : name)) {
        *ret_error = KAFKA_TOPIC_AUTHORIZATION_FAILED;
        return NULL;
    }
    return topic;
}

struct partition *request_partition(const struct image_topic *topic, int32_t index,
                                    int16_t *ret_error)
{
    struct partition *partition = replicas_partition(topic, index);

    *ret_error = partition == NULL ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_NONE;
    return partition;
}

int16_t request_check_epoch(const struct partition *partition, int32_t current_leader_epoch)
{
    if (current_leader_epoch == -1 || current_leader_epoch == partition->leader_epoch) {
        return KAFKA_NONE;
    }
    return current_leader_epoch < partition->leader_epoch ? KAFKA_FENCED_LEADER_EPOCH
                                                          : KAFKA_UNKNOWN_LEADER_EPOCH;
}
