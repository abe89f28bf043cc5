/* Transactions, and the state of producers. */
#if !defined(QUEUE_WIRE_TRANSACTIONS_H) || defined(WIRE_TABLES)
#define QUEUE_WIRE_TRANSACTIONS_H

#include "queue/wire/message.h"

#include "queue/wire/describe.h"

/* clang-format off */

/* AddPartitionsToTxn, key 24. Clients use 0 to 3; from v4 batched, between brokers. */
STRUCT(add_partitions_to_txn_request_topic)
    STRING(name, 0, LAST)
    INT32_ARRAY(partitions, 0, LAST)
END_STRUCT(add_partitions_to_txn_request_topic)

STRUCT(add_partitions_to_txn_request_transaction)
    STRING(transactional_id, 4, LAST, REQUIRED)
    INT64(producer_id, 4, LAST, REQUIRED)
    INT16(producer_epoch, 4, LAST, REQUIRED)
    BOOL(verify_only, 4, LAST, REQUIRED)
    ARRAY(add_partitions_to_txn_request_topic, topics, 4, LAST, REQUIRED)
END_STRUCT(add_partitions_to_txn_request_transaction)

STRUCT(add_partitions_to_txn_request)
    ARRAY(add_partitions_to_txn_request_transaction, transactions, 4, LAST, REQUIRED)
    STRING(v3_and_below_transactional_id, 0, 3, REQUIRED)
    INT64(v3_and_below_producer_id, 0, 3, REQUIRED)
    INT16(v3_and_below_producer_epoch, 0, 3, REQUIRED)
    ARRAY(add_partitions_to_txn_request_topic, v3_and_below_topics, 0, 3, REQUIRED)
END_STRUCT(add_partitions_to_txn_request)

MESSAGE(add_partitions_to_txn_request, 0, 5, 3)

STRUCT(add_partitions_to_txn_response_partition_result)
    INT32(partition_index, 0, LAST)
    INT16(partition_error_code, 0, LAST)
END_STRUCT(add_partitions_to_txn_response_partition_result)

STRUCT(add_partitions_to_txn_response_topic_result)
    STRING(name, 0, LAST)
    ARRAY(add_partitions_to_txn_response_partition_result, results_by_partition, 0, LAST)
END_STRUCT(add_partitions_to_txn_response_topic_result)

STRUCT(add_partitions_to_txn_response_results_by_transaction)
    STRING(transactional_id, 4, LAST)
    ARRAY(add_partitions_to_txn_response_topic_result, topic_results, 4, LAST)
END_STRUCT(add_partitions_to_txn_response_results_by_transaction)

STRUCT(add_partitions_to_txn_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 4, LAST)
    ARRAY(add_partitions_to_txn_response_results_by_transaction, results_by_transaction, 4, LAST)
    ARRAY(add_partitions_to_txn_response_topic_result, results_by_topic_v3_and_below, 0, 3)
END_STRUCT(add_partitions_to_txn_response)

MESSAGE(add_partitions_to_txn_response, 0, 5, 3)

/* AddOffsetsToTxn, key 25 */
STRUCT(add_offsets_to_txn_request)
    STRING(transactional_id, 0, LAST)
    INT64(producer_id, 0, LAST)
    INT16(producer_epoch, 0, LAST)
    STRING(group_id, 0, LAST)
END_STRUCT(add_offsets_to_txn_request)

MESSAGE(add_offsets_to_txn_request, 0, 4, 3)

STRUCT(add_offsets_to_txn_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 0, LAST)
END_STRUCT(add_offsets_to_txn_response)

MESSAGE(add_offsets_to_txn_response, 0, 4, 3)

/* EndTxn, key 26. v5 answers with the next producer id and epoch. */
STRUCT(end_txn_request)
    STRING(transactional_id, 0, LAST)
    INT64(producer_id, 0, LAST)
    INT16(producer_epoch, 0, LAST)
    BOOL(committed, 0, LAST)
END_STRUCT(end_txn_request)

MESSAGE(end_txn_request, 0, 5, 3)

STRUCT(end_txn_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 0, LAST)
    INT64(producer_id, 5, LAST, DEFAULT(-1))
    INT16(producer_epoch, 5, LAST, DEFAULT(-1))
END_STRUCT(end_txn_response)

MESSAGE(end_txn_response, 0, 5, 3)

/* TxnOffsetCommit, key 28. v3 group metadata for fencing. */
STRUCT(txn_offset_commit_request_partition)
    INT32(partition_index, 0, LAST)
    INT64(committed_offset, 0, LAST)
    INT32(committed_leader_epoch, 2, LAST, DEFAULT(-1))
    STRING(committed_metadata, 0, LAST, NULLABLE(0))
END_STRUCT(txn_offset_commit_request_partition)

STRUCT(txn_offset_commit_request_topic)
    STRING(name, 0, 5)
    ARRAY(txn_offset_commit_request_partition, partitions, 0, LAST)
END_STRUCT(txn_offset_commit_request_topic)

STRUCT(txn_offset_commit_request)
    STRING(transactional_id, 0, LAST)
    STRING(group_id, 0, LAST)
    INT64(producer_id, 0, LAST)
    INT16(producer_epoch, 0, LAST)
    INT32(generation_id_or_member_epoch, 3, LAST, DEFAULT(-1), REQUIRED)
    STRING(member_id, 3, LAST, REQUIRED)
    STRING(group_instance_id, 3, LAST, NULLABLE(3), DEFAULT_NULL, REQUIRED)
    ARRAY(txn_offset_commit_request_topic, topics, 0, LAST)
END_STRUCT(txn_offset_commit_request)

MESSAGE(txn_offset_commit_request, 0, 5, 3)

STRUCT(txn_offset_commit_response_partition)
    INT32(partition_index, 0, LAST)
    INT16(error_code, 0, LAST)
END_STRUCT(txn_offset_commit_response_partition)

STRUCT(txn_offset_commit_response_topic)
    STRING(name, 0, 5)
    ARRAY(txn_offset_commit_response_partition, partitions, 0, LAST)
END_STRUCT(txn_offset_commit_response_topic)

STRUCT(txn_offset_commit_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(txn_offset_commit_response_topic, topics, 0, LAST)
END_STRUCT(txn_offset_commit_response)

MESSAGE(txn_offset_commit_response, 0, 5, 3)

/* WriteTxnMarkers, key 27 */
STRUCT(write_txn_markers_request_topic)
    STRING(name, 0, LAST)
    INT32_ARRAY(partition_indexes, 0, LAST)
END_STRUCT(write_txn_markers_request_topic)

STRUCT(write_txn_markers_request_marker)
    INT64(producer_id, 0, LAST)
    INT16(producer_epoch, 0, LAST)
    BOOL(transaction_result, 0, LAST)
    ARRAY(write_txn_markers_request_topic, topics, 0, LAST)
    INT32(coordinator_epoch, 0, LAST)
    INT8(transaction_version, 2, LAST)
END_STRUCT(write_txn_markers_request_marker)

STRUCT(write_txn_markers_request)
    ARRAY(write_txn_markers_request_marker, markers, 0, LAST)
END_STRUCT(write_txn_markers_request)

MESSAGE(write_txn_markers_request, 1, 2, 1)

STRUCT(write_txn_markers_response_partition)
    INT32(partition_index, 0, LAST)
    INT16(error_code, 0, LAST)
END_STRUCT(write_txn_markers_response_partition)

STRUCT(write_txn_markers_response_topic)
    STRING(name, 0, LAST)
    ARRAY(write_txn_markers_response_partition, partitions, 0, LAST)
END_STRUCT(write_txn_markers_response_topic)

STRUCT(write_txn_markers_response_marker)
    INT64(producer_id, 0, LAST)
    ARRAY(write_txn_markers_response_topic, topics, 0, LAST)
END_STRUCT(write_txn_markers_response_marker)

STRUCT(write_txn_markers_response)
    ARRAY(write_txn_markers_response_marker, markers, 0, LAST)
END_STRUCT(write_txn_markers_response)

MESSAGE(write_txn_markers_response, 1, 2, 1)

/* DescribeProducers, key 61. The tagged producer_ids are ours: when not empty, only these are
 * described (a peer sink asks after its lineage). */
STRUCT(describe_producers_request_topic)
    STRING(name, 0, LAST)
    INT32_ARRAY(partition_indexes, 0, LAST)
END_STRUCT(describe_producers_request_topic)

STRUCT(describe_producers_request)
    ARRAY(describe_producers_request_topic, topics, 0, LAST)
    INT64_ARRAY(producer_ids, 0, LAST, TAG(10000))
END_STRUCT(describe_producers_request)

MESSAGE(describe_producers_request, 0, 0, 0)

STRUCT(describe_producers_response_active_producer)
    INT64(producer_id, 0, LAST)
    INT32(producer_epoch, 0, LAST)
    INT32(last_sequence, 0, LAST, DEFAULT(-1))
    INT64(last_timestamp, 0, LAST, DEFAULT(-1))
    INT32(coordinator_epoch, 0, LAST)
    INT64(current_txn_start_offset, 0, LAST, DEFAULT(-1))
END_STRUCT(describe_producers_response_active_producer)

STRUCT(describe_producers_response_partition)
    INT32(partition_index, 0, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    ARRAY(describe_producers_response_active_producer, active_producers, 0, LAST)
END_STRUCT(describe_producers_response_partition)

STRUCT(describe_producers_response_topic)
    STRING(name, 0, LAST)
    ARRAY(describe_producers_response_partition, partitions, 0, LAST)
END_STRUCT(describe_producers_response_topic)

STRUCT(describe_producers_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(describe_producers_response_topic, topics, 0, LAST)
END_STRUCT(describe_producers_response)

MESSAGE(describe_producers_response, 0, 0, 0)

/* DescribeTransactions, key 65 */
STRUCT(describe_transactions_request)
    STRING_ARRAY(transactional_ids, 0, LAST)
END_STRUCT(describe_transactions_request)

MESSAGE(describe_transactions_request, 0, 0, 0)

STRUCT(describe_transactions_response_topic)
    STRING(topic, 0, LAST)
    INT32_ARRAY(partitions, 0, LAST)
END_STRUCT(describe_transactions_response_topic)

STRUCT(describe_transactions_response_transaction_state)
    INT16(error_code, 0, LAST)
    STRING(transactional_id, 0, LAST)
    STRING(transaction_state, 0, LAST)
    INT32(transaction_timeout_ms, 0, LAST)
    INT64(transaction_start_time_ms, 0, LAST)
    INT64(producer_id, 0, LAST)
    INT16(producer_epoch, 0, LAST)
    ARRAY(describe_transactions_response_topic, topics, 0, LAST)
END_STRUCT(describe_transactions_response_transaction_state)

STRUCT(describe_transactions_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(describe_transactions_response_transaction_state, transaction_states, 0, LAST)
END_STRUCT(describe_transactions_response)

MESSAGE(describe_transactions_response, 0, 0, 0)

/* ListTransactions, key 66. v1 a filter by duration, v2 by pattern. */
STRUCT(list_transactions_request)
    STRING_ARRAY(state_filters, 0, LAST)
    INT64_ARRAY(producer_id_filters, 0, LAST)
    INT64(duration_filter, 1, LAST, DEFAULT(-1), REQUIRED)
    STRING(transactional_id_pattern, 2, LAST, NULLABLE(2), DEFAULT_NULL, REQUIRED)
END_STRUCT(list_transactions_request)

MESSAGE(list_transactions_request, 0, 2, 0)

STRUCT(list_transactions_response_transaction_state)
    STRING(transactional_id, 0, LAST)
    INT64(producer_id, 0, LAST)
    STRING(transaction_state, 0, LAST)
END_STRUCT(list_transactions_response_transaction_state)

STRUCT(list_transactions_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 0, LAST)
    STRING_ARRAY(unknown_state_filters, 0, LAST)
    ARRAY(list_transactions_response_transaction_state, transaction_states, 0, LAST)
END_STRUCT(list_transactions_response)

MESSAGE(list_transactions_response, 0, 2, 0)

/* clang-format on */

#include "queue/wire/describe_done.h"

#endif
