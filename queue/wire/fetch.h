/* Reading: Fetch, offsets by time, offsets by leader epoch. */
#if !defined(QUEUE_WIRE_FETCH_H) || defined(WIRE_TABLES)
#define QUEUE_WIRE_FETCH_H

#include "queue/wire/message.h"

#include "queue/wire/describe.h"

/* clang-format off */

/* Fetch, key 1. v7 sessions, v9 leader epochs, v11 racks, v12 diverging epochs, v13 topic ids,
 * v15 replica state, v16 endpoints, v17 directory ids, v18 a follower's high watermark. */
STRUCT(fetch_request_replica_state)
    INT32(replica_id, 15, LAST, DEFAULT(-1), REQUIRED)
    INT64(replica_epoch, 15, LAST, DEFAULT(-1), REQUIRED)
END_STRUCT(fetch_request_replica_state)

STRUCT(fetch_request_partition)
    INT32(partition, 0, LAST)
    INT32(current_leader_epoch, 9, LAST, DEFAULT(-1))
    INT64(fetch_offset, 0, LAST)
    INT32(last_fetched_epoch, 12, LAST, DEFAULT(-1), REQUIRED)
    INT64(log_start_offset, 5, LAST, DEFAULT(-1))
    INT32(partition_max_bytes, 0, LAST)
    UUID(replica_directory_id, 17, LAST, TAG(0))
    INT64(high_watermark, 18, LAST, TAG(1), DEFAULT(INT64_MAX))
END_STRUCT(fetch_request_partition)

STRUCT(fetch_request_topic)
    STRING(topic, 0, 12)
    UUID(topic_id, 13, LAST)
    ARRAY(fetch_request_partition, partitions, 0, LAST)
END_STRUCT(fetch_request_topic)

STRUCT(fetch_request_forgotten_topic)
    STRING(topic, 7, 12)
    UUID(topic_id, 13, LAST)
    INT32_ARRAY(partitions, 7, LAST, REQUIRED)
END_STRUCT(fetch_request_forgotten_topic)

STRUCT(fetch_request)
    STRING(cluster_id, 12, LAST, NULLABLE(12), TAG(0), DEFAULT_NULL)
    INT32(replica_id, 0, 14, DEFAULT(-1), REQUIRED)
    EMBEDDED(fetch_request_replica_state, replica_state, 15, LAST, TAG(1), REQUIRED)
    INT32(max_wait_ms, 0, LAST)
    INT32(min_bytes, 0, LAST)
    INT32(max_bytes, 3, LAST, DEFAULT(INT32_MAX))
    INT8(isolation_level, 4, LAST)
    INT32(session_id, 7, LAST)
    INT32(session_epoch, 7, LAST, DEFAULT(-1))
    ARRAY(fetch_request_topic, topics, 0, LAST)
    ARRAY(fetch_request_forgotten_topic, forgotten_topics_data, 7, LAST, REQUIRED)
    STRING(rack_id, 11, LAST)
END_STRUCT(fetch_request)

MESSAGE(fetch_request, 4, 18, 12)

STRUCT(fetch_response_diverging_epoch)
    INT32(epoch, 12, LAST, DEFAULT(-1))
    INT64(end_offset, 12, LAST, DEFAULT(-1))
END_STRUCT(fetch_response_diverging_epoch)

STRUCT(fetch_response_current_leader)
    INT32(leader_id, 12, LAST, DEFAULT(-1))
    INT32(leader_epoch, 12, LAST, DEFAULT(-1))
END_STRUCT(fetch_response_current_leader)

STRUCT(fetch_response_snapshot_id)
    INT64(end_offset, 0, LAST, DEFAULT(-1))
    INT32(epoch, 0, LAST, DEFAULT(-1))
END_STRUCT(fetch_response_snapshot_id)

STRUCT(fetch_response_aborted_transaction)
    INT64(producer_id, 4, LAST)
    INT64(first_offset, 4, LAST)
END_STRUCT(fetch_response_aborted_transaction)

STRUCT(fetch_response_partition)
    INT32(partition_index, 0, LAST)
    INT16(error_code, 0, LAST)
    INT64(high_watermark, 0, LAST)
    INT64(last_stable_offset, 4, LAST, DEFAULT(-1))
    INT64(log_start_offset, 5, LAST, DEFAULT(-1))
    EMBEDDED(fetch_response_diverging_epoch, diverging_epoch, 12, LAST, TAG(0))
    EMBEDDED(fetch_response_current_leader, current_leader, 12, LAST, TAG(1))
    EMBEDDED(fetch_response_snapshot_id, snapshot_id, 12, LAST, TAG(2))
    ARRAY(fetch_response_aborted_transaction, aborted_transactions, 4, LAST, NULLABLE(4))
    INT32(preferred_read_replica, 11, LAST, DEFAULT(-1))
    RECORDS(records, 0, LAST, NULLABLE(0))
END_STRUCT(fetch_response_partition)

STRUCT(fetch_response_topic)
    STRING(topic, 0, 12)
    UUID(topic_id, 13, LAST)
    ARRAY(fetch_response_partition, partitions, 0, LAST)
END_STRUCT(fetch_response_topic)

STRUCT(fetch_response_node_endpoint)
    INT32(node_id, 16, LAST)
    STRING(host, 16, LAST)
    INT32(port, 16, LAST)
    STRING(rack, 16, LAST, NULLABLE(16), DEFAULT_NULL)
END_STRUCT(fetch_response_node_endpoint)

STRUCT(fetch_response)
    INT32(throttle_time_ms, 1, LAST)
    INT16(error_code, 7, LAST)
    INT32(session_id, 7, LAST)
    ARRAY(fetch_response_topic, responses, 0, LAST)
    ARRAY(fetch_response_node_endpoint, node_endpoints, 16, LAST, TAG(0))
END_STRUCT(fetch_response)

MESSAGE(fetch_response, 4, 18, 12)

/* ListOffsets, key 2. Timestamps below zero: -1 latest, -2 earliest, -3 of the largest
 * timestamp (v7), -4 earliest local (v8), -5 latest tiered (v9), -6 earliest pending upload
 * (v11). */
STRUCT(list_offsets_request_partition)
    INT32(partition_index, 0, LAST)
    INT32(current_leader_epoch, 4, LAST, DEFAULT(-1))
    INT64(timestamp, 0, LAST)
END_STRUCT(list_offsets_request_partition)

STRUCT(list_offsets_request_topic)
    STRING(name, 0, LAST)
    ARRAY(list_offsets_request_partition, partitions, 0, LAST)
END_STRUCT(list_offsets_request_topic)

STRUCT(list_offsets_request)
    INT32(replica_id, 0, LAST)
    INT8(isolation_level, 2, LAST, REQUIRED)
    ARRAY(list_offsets_request_topic, topics, 0, LAST)
    INT32(timeout_ms, 10, LAST)
END_STRUCT(list_offsets_request)

MESSAGE(list_offsets_request, 1, 11, 6)

STRUCT(list_offsets_response_partition)
    INT32(partition_index, 0, LAST)
    INT16(error_code, 0, LAST)
    INT64(timestamp, 1, LAST, DEFAULT(-1))
    INT64(offset, 1, LAST, DEFAULT(-1))
    INT32(leader_epoch, 4, LAST, DEFAULT(-1))
END_STRUCT(list_offsets_response_partition)

STRUCT(list_offsets_response_topic)
    STRING(name, 0, LAST)
    ARRAY(list_offsets_response_partition, partitions, 0, LAST)
END_STRUCT(list_offsets_response_topic)

STRUCT(list_offsets_response)
    INT32(throttle_time_ms, 2, LAST)
    ARRAY(list_offsets_response_topic, topics, 0, LAST)
END_STRUCT(list_offsets_response)

MESSAGE(list_offsets_response, 1, 11, 6)

/* OffsetForLeaderEpoch, key 23 */
STRUCT(offset_for_leader_epoch_request_partition)
    INT32(partition, 0, LAST)
    INT32(current_leader_epoch, 2, LAST, DEFAULT(-1))
    INT32(leader_epoch, 0, LAST)
END_STRUCT(offset_for_leader_epoch_request_partition)

STRUCT(offset_for_leader_epoch_request_topic)
    STRING(topic, 0, LAST)
    ARRAY(offset_for_leader_epoch_request_partition, partitions, 0, LAST)
END_STRUCT(offset_for_leader_epoch_request_topic)

STRUCT(offset_for_leader_epoch_request)
    INT32(replica_id, 3, LAST, DEFAULT(-2))
    ARRAY(offset_for_leader_epoch_request_topic, topics, 0, LAST)
END_STRUCT(offset_for_leader_epoch_request)

MESSAGE(offset_for_leader_epoch_request, 2, 4, 4)

STRUCT(offset_for_leader_epoch_response_partition)
    INT16(error_code, 0, LAST)
    INT32(partition, 0, LAST)
    INT32(leader_epoch, 1, LAST, DEFAULT(-1))
    INT64(end_offset, 0, LAST, DEFAULT(-1))
END_STRUCT(offset_for_leader_epoch_response_partition)

STRUCT(offset_for_leader_epoch_response_topic)
    STRING(topic, 0, LAST)
    ARRAY(offset_for_leader_epoch_response_partition, partitions, 0, LAST)
END_STRUCT(offset_for_leader_epoch_response_topic)

STRUCT(offset_for_leader_epoch_response)
    INT32(throttle_time_ms, 2, LAST)
    ARRAY(offset_for_leader_epoch_response_topic, topics, 0, LAST)
END_STRUCT(offset_for_leader_epoch_response)

MESSAGE(offset_for_leader_epoch_response, 2, 4, 4)

/* clang-format on */

#include "queue/wire/describe_done.h"

#endif
