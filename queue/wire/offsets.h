/* Committed offsets of consumer groups. */
#if !defined(QUEUE_WIRE_OFFSETS_H) || defined(WIRE_TABLES)
#define QUEUE_WIRE_OFFSETS_H

#include "queue/wire/message.h"

#include "queue/wire/describe.h"

/* clang-format off */

/* FindCoordinator, key 10. Key type 0 a group, 1 a transactional id (v1), 2 a share group; v4
 * asks for several keys at once. */
STRUCT(find_coordinator_request)
    STRING(key, 0, 3, REQUIRED)
    INT8(key_type, 1, LAST, REQUIRED)
    STRING_ARRAY(coordinator_keys, 4, LAST, REQUIRED)
END_STRUCT(find_coordinator_request)

MESSAGE(find_coordinator_request, 0, 6, 3)

STRUCT(find_coordinator_response_coordinator)
    STRING(key, 4, LAST)
    INT32(node_id, 4, LAST)
    STRING(host, 4, LAST)
    INT32(port, 4, LAST)
    INT16(error_code, 4, LAST)
    STRING(error_message, 4, LAST, NULLABLE(4))
END_STRUCT(find_coordinator_response_coordinator)

STRUCT(find_coordinator_response)
    INT32(throttle_time_ms, 1, LAST)
    INT16(error_code, 0, 3)
    STRING(error_message, 1, 3, NULLABLE(1))
    INT32(node_id, 0, 3)
    STRING(host, 0, 3)
    INT32(port, 0, 3)
    ARRAY(find_coordinator_response_coordinator, coordinators, 4, LAST)
END_STRUCT(find_coordinator_response)

MESSAGE(find_coordinator_response, 0, 6, 3)

/* OffsetCommit, key 8. v9 for consumer groups of KIP-848, v10 topic ids. */
STRUCT(offset_commit_request_partition)
    INT32(partition_index, 0, LAST)
    INT64(committed_offset, 0, LAST)
    INT32(committed_leader_epoch, 6, LAST, DEFAULT(-1))
    STRING(committed_metadata, 0, LAST, NULLABLE(0))
END_STRUCT(offset_commit_request_partition)

STRUCT(offset_commit_request_topic)
    STRING(name, 0, 9)
    UUID(topic_id, 10, LAST)
    ARRAY(offset_commit_request_partition, partitions, 0, LAST)
END_STRUCT(offset_commit_request_topic)

STRUCT(offset_commit_request)
    STRING(group_id, 0, LAST)
    INT32(generation_id_or_member_epoch, 1, LAST, DEFAULT(-1))
    STRING(member_id, 1, LAST)
    STRING(group_instance_id, 7, LAST, NULLABLE(7), DEFAULT_NULL, REQUIRED)
    INT64(retention_time_ms, 2, 4, DEFAULT(-1))
    ARRAY(offset_commit_request_topic, topics, 0, LAST)
END_STRUCT(offset_commit_request)

MESSAGE(offset_commit_request, 2, 10, 8)

STRUCT(offset_commit_response_partition)
    INT32(partition_index, 0, LAST)
    INT16(error_code, 0, LAST)
END_STRUCT(offset_commit_response_partition)

STRUCT(offset_commit_response_topic)
    STRING(name, 0, 9)
    UUID(topic_id, 10, LAST)
    ARRAY(offset_commit_response_partition, partitions, 0, LAST)
END_STRUCT(offset_commit_response_topic)

STRUCT(offset_commit_response)
    INT32(throttle_time_ms, 3, LAST)
    ARRAY(offset_commit_response_topic, topics, 0, LAST)
END_STRUCT(offset_commit_response)

MESSAGE(offset_commit_response, 2, 10, 8)

/* OffsetFetch, key 9. From v2 null topics asks for all; v7 require_stable, v8 several groups, v10
 * topic ids. */
STRUCT(offset_fetch_request_topic)
    STRING(name, 0, 7, REQUIRED)
    INT32_ARRAY(partition_indexes, 0, 7, REQUIRED)
END_STRUCT(offset_fetch_request_topic)

STRUCT(offset_fetch_request_group_topic)
    STRING(name, 8, 9)
    UUID(topic_id, 10, LAST)
    INT32_ARRAY(partition_indexes, 8, LAST, REQUIRED)
END_STRUCT(offset_fetch_request_group_topic)

STRUCT(offset_fetch_request_group)
    STRING(group_id, 8, LAST, REQUIRED)
    STRING(member_id, 9, LAST, NULLABLE(9), DEFAULT_NULL)
    INT32(member_epoch, 9, LAST, DEFAULT(-1))
    ARRAY(offset_fetch_request_group_topic, topics, 8, LAST, NULLABLE(8), REQUIRED)
END_STRUCT(offset_fetch_request_group)

STRUCT(offset_fetch_request)
    STRING(group_id, 0, 7, REQUIRED)
    ARRAY(offset_fetch_request_topic, topics, 0, 7, NULLABLE(2), REQUIRED)
    ARRAY(offset_fetch_request_group, groups, 8, LAST, REQUIRED)
    BOOL(require_stable, 7, LAST, REQUIRED)
END_STRUCT(offset_fetch_request)

MESSAGE(offset_fetch_request, 1, 10, 6)

STRUCT(offset_fetch_response_partition)
    INT32(partition_index, 0, 7)
    INT64(committed_offset, 0, 7)
    INT32(committed_leader_epoch, 5, 7, DEFAULT(-1))
    STRING(metadata, 0, 7, NULLABLE(0))
    INT16(error_code, 0, 7)
END_STRUCT(offset_fetch_response_partition)

STRUCT(offset_fetch_response_topic)
    STRING(name, 0, 7)
    ARRAY(offset_fetch_response_partition, partitions, 0, 7)
END_STRUCT(offset_fetch_response_topic)

STRUCT(offset_fetch_response_group_topic_partition)
    INT32(partition_index, 8, LAST)
    INT64(committed_offset, 8, LAST)
    INT32(committed_leader_epoch, 8, LAST, DEFAULT(-1))
    STRING(metadata, 8, LAST, NULLABLE(8))
    INT16(error_code, 8, LAST)
END_STRUCT(offset_fetch_response_group_topic_partition)

STRUCT(offset_fetch_response_group_topic)
    STRING(name, 8, 9)
    UUID(topic_id, 10, LAST)
    ARRAY(offset_fetch_response_group_topic_partition, partitions, 8, LAST)
END_STRUCT(offset_fetch_response_group_topic)

STRUCT(offset_fetch_response_group)
    STRING(group_id, 8, LAST)
    ARRAY(offset_fetch_response_group_topic, topics, 8, LAST)
    INT16(error_code, 8, LAST)
END_STRUCT(offset_fetch_response_group)

STRUCT(offset_fetch_response)
    INT32(throttle_time_ms, 3, LAST)
    ARRAY(offset_fetch_response_topic, topics, 0, 7)
    INT16(error_code, 2, 7)
    ARRAY(offset_fetch_response_group, groups, 8, LAST)
END_STRUCT(offset_fetch_response)

MESSAGE(offset_fetch_response, 1, 10, 6)

/* OffsetDelete, key 47 */
STRUCT(offset_delete_request_partition)
    INT32(partition_index, 0, LAST)
END_STRUCT(offset_delete_request_partition)

STRUCT(offset_delete_request_topic)
    STRING(name, 0, LAST)
    ARRAY(offset_delete_request_partition, partitions, 0, LAST)
END_STRUCT(offset_delete_request_topic)

STRUCT(offset_delete_request)
    STRING(group_id, 0, LAST)
    ARRAY(offset_delete_request_topic, topics, 0, LAST)
END_STRUCT(offset_delete_request)

MESSAGE(offset_delete_request, 0, 0, WIRE_VERSION_NEVER)

STRUCT(offset_delete_response_partition)
    INT32(partition_index, 0, LAST)
    INT16(error_code, 0, LAST)
END_STRUCT(offset_delete_response_partition)

STRUCT(offset_delete_response_topic)
    STRING(name, 0, LAST)
    ARRAY(offset_delete_response_partition, partitions, 0, LAST)
END_STRUCT(offset_delete_response_topic)

STRUCT(offset_delete_response)
    INT16(error_code, 0, LAST)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(offset_delete_response_topic, topics, 0, LAST)
END_STRUCT(offset_delete_response)

MESSAGE(offset_delete_response, 0, 0, WIRE_VERSION_NEVER)

/* clang-format on */

#include "queue/wire/describe_done.h"

#endif
