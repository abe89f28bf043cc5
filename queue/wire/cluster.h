/* What a client asks first: which versions, which nodes, which topics. */
#if !defined(QUEUE_WIRE_CLUSTER_H) || defined(WIRE_TABLES)
#define QUEUE_WIRE_CLUSTER_H

#include "queue/wire/message.h"

#include "queue/wire/describe.h"

/* clang-format off */

/* ApiVersions, key 18. An unknown version is answered with a version 0 body and
 * error 35 (KIP-511). */
STRUCT(api_versions_request)
    STRING(client_software_name, 3, LAST)
    STRING(client_software_version, 3, LAST)
END_STRUCT(api_versions_request)

MESSAGE(api_versions_request, 0, 4, 3)

STRUCT(api_versions_response_api_key)
    INT16(api_key, 0, LAST)
    INT16(min_version, 0, LAST)
    INT16(max_version, 0, LAST)
END_STRUCT(api_versions_response_api_key)

STRUCT(api_versions_response_supported_feature)
    STRING(name, 3, LAST)
    INT16(min_version, 3, LAST)
    INT16(max_version, 3, LAST)
END_STRUCT(api_versions_response_supported_feature)

STRUCT(api_versions_response_finalized_feature)
    STRING(name, 3, LAST)
    INT16(max_version_level, 3, LAST)
    INT16(min_version_level, 3, LAST)
END_STRUCT(api_versions_response_finalized_feature)

STRUCT(api_versions_response)
    INT16(error_code, 0, LAST)
    ARRAY(api_versions_response_api_key, api_keys, 0, LAST)
    INT32(throttle_time_ms, 1, LAST)
    ARRAY(api_versions_response_supported_feature, supported_features, 3, LAST, TAG(0))
    INT64(finalized_features_epoch, 3, LAST, TAG(1), DEFAULT(-1))
    ARRAY(api_versions_response_finalized_feature, finalized_features, 3, LAST, TAG(2))
    BOOL(zk_migration_ready, 3, LAST, TAG(3))
END_STRUCT(api_versions_response)

MESSAGE(api_versions_response, 0, 4, 3)

/* Metadata, key 3. v0: an empty list asks for all topics; from v1 null does, and empty
 * means none. v10 answers with topic ids, v12 asks by them. */
STRUCT(metadata_request_topic)
    UUID(topic_id, 10, LAST)
    STRING(name, 0, LAST, NULLABLE(10))
END_STRUCT(metadata_request_topic)

STRUCT(metadata_request)
    ARRAY(metadata_request_topic, topics, 0, LAST, NULLABLE(1))
    BOOL(allow_auto_topic_creation, 4, LAST, DEFAULT(1), REQUIRED)
    BOOL(include_cluster_authorized_operations, 8, 10, REQUIRED)
    BOOL(include_topic_authorized_operations, 8, LAST, REQUIRED)
END_STRUCT(metadata_request)

MESSAGE(metadata_request, 0, 13, 9)

STRUCT(metadata_response_broker)
    INT32(node_id, 0, LAST)
    STRING(host, 0, LAST)
    INT32(port, 0, LAST)
    STRING(rack, 1, LAST, NULLABLE(1), DEFAULT_NULL)
END_STRUCT(metadata_response_broker)

STRUCT(metadata_response_partition)
    INT16(error_code, 0, LAST)
    INT32(partition_index, 0, LAST)
    INT32(leader_id, 0, LAST)
    INT32(leader_epoch, 7, LAST, DEFAULT(-1))
    INT32_ARRAY(replica_nodes, 0, LAST)
    INT32_ARRAY(isr_nodes, 0, LAST)
    INT32_ARRAY(offline_replicas, 5, LAST)
END_STRUCT(metadata_response_partition)

STRUCT(metadata_response_topic)
    INT16(error_code, 0, LAST)
    STRING(name, 0, LAST, NULLABLE(12))
    UUID(topic_id, 10, LAST)
    BOOL(is_internal, 1, LAST)
    ARRAY(metadata_response_partition, partitions, 0, LAST)
    INT32(topic_authorized_operations, 8, LAST, DEFAULT(INT32_MIN))
END_STRUCT(metadata_response_topic)

STRUCT(metadata_response)
    INT32(throttle_time_ms, 3, LAST)
    ARRAY(metadata_response_broker, brokers, 0, LAST)
    STRING(cluster_id, 2, LAST, NULLABLE(2), DEFAULT_NULL)
    INT32(controller_id, 1, LAST, DEFAULT(-1))
    ARRAY(metadata_response_topic, topics, 0, LAST)
    INT32(cluster_authorized_operations, 8, 10, DEFAULT(INT32_MIN))
    INT16(error_code, 13, LAST)
END_STRUCT(metadata_response)

MESSAGE(metadata_response, 0, 13, 9)

/* DescribeCluster, key 60 */
STRUCT(describe_cluster_request)
    BOOL(include_cluster_authorized_operations, 0, LAST)
    INT8(endpoint_type, 1, LAST, DEFAULT(1), REQUIRED)
    BOOL(include_fenced_brokers, 2, LAST, REQUIRED)
END_STRUCT(describe_cluster_request)

MESSAGE(describe_cluster_request, 0, 2, 0)

STRUCT(describe_cluster_response_broker)
    INT32(broker_id, 0, LAST)
    STRING(host, 0, LAST)
    INT32(port, 0, LAST)
    STRING(rack, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    BOOL(is_fenced, 2, LAST)
END_STRUCT(describe_cluster_response_broker)

STRUCT(describe_cluster_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    INT8(endpoint_type, 1, LAST, DEFAULT(1))
    STRING(cluster_id, 0, LAST)
    INT32(controller_id, 0, LAST, DEFAULT(-1))
    ARRAY(describe_cluster_response_broker, brokers, 0, LAST)
    INT32(cluster_authorized_operations, 0, LAST, DEFAULT(INT32_MIN))
END_STRUCT(describe_cluster_response)

MESSAGE(describe_cluster_response, 0, 2, 0)

/* DescribeTopicPartitions, key 75. Paged: the answer's cursor goes into the next request. */
STRUCT(describe_topic_partitions_request_topic)
    STRING(name, 0, LAST)
END_STRUCT(describe_topic_partitions_request_topic)

STRUCT(describe_topic_partitions_request_cursor)
    STRING(topic_name, 0, LAST)
    INT32(partition_index, 0, LAST)
END_STRUCT(describe_topic_partitions_request_cursor)

STRUCT(describe_topic_partitions_request)
    ARRAY(describe_topic_partitions_request_topic, topics, 0, LAST)
    INT32(response_partition_limit, 0, LAST, DEFAULT(2000))
    OPTIONAL(describe_topic_partitions_request_cursor, cursor, 0, LAST)
END_STRUCT(describe_topic_partitions_request)

MESSAGE(describe_topic_partitions_request, 0, 0, 0)

STRUCT(describe_topic_partitions_response_partition)
    INT16(error_code, 0, LAST)
    INT32(partition_index, 0, LAST)
    INT32(leader_id, 0, LAST)
    INT32(leader_epoch, 0, LAST, DEFAULT(-1))
    INT32_ARRAY(replica_nodes, 0, LAST)
    INT32_ARRAY(isr_nodes, 0, LAST)
    INT32_ARRAY(eligible_leader_replicas, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    INT32_ARRAY(last_known_elr, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    INT32_ARRAY(offline_replicas, 0, LAST)
END_STRUCT(describe_topic_partitions_response_partition)

STRUCT(describe_topic_partitions_response_topic)
    INT16(error_code, 0, LAST)
    STRING(name, 0, LAST, NULLABLE(0))
    UUID(topic_id, 0, LAST)
    BOOL(is_internal, 0, LAST)
    ARRAY(describe_topic_partitions_response_partition, partitions, 0, LAST)
    INT32(topic_authorized_operations, 0, LAST, DEFAULT(INT32_MIN))
END_STRUCT(describe_topic_partitions_response_topic)

STRUCT(describe_topic_partitions_response_next_cursor)
    STRING(topic_name, 0, LAST)
    INT32(partition_index, 0, LAST)
END_STRUCT(describe_topic_partitions_response_next_cursor)

STRUCT(describe_topic_partitions_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(describe_topic_partitions_response_topic, topics, 0, LAST)
    OPTIONAL(describe_topic_partitions_response_next_cursor, next_cursor, 0, LAST)
END_STRUCT(describe_topic_partitions_response)

MESSAGE(describe_topic_partitions_response, 0, 0, 0)

/* clang-format on */

#include "queue/wire/describe_done.h"

#endif
