/* Keys and values of the records in __consumer_offsets and __transaction_state, in Kafka's format.
 * A key is int16 (its type), then the fields; a value is int16 (its version), then the fields; a
 * null value removes the key. records.h reads and writes the numbers in front. */
#if !defined(QUEUE_WIRE_RECORD_SCHEMAS_H) || defined(WIRE_TABLES)
#define QUEUE_WIRE_RECORD_SCHEMAS_H

#include "queue/wire/message.h"

#include "queue/wire/describe.h"

/* clang-format off */

/* OffsetCommitKey. Type 0 and 1 (the same fields): the offset of a group for a partition. */
STRUCT(offset_commit_key)
    STRING(group, 0, 0)
    STRING(topic, 0, 0)
    INT32(partition, 0, 0)
END_STRUCT(offset_commit_key)

MESSAGE(offset_commit_key, 0, 0, WIRE_VERSION_NEVER)

/* OffsetCommitValue */
STRUCT(offset_commit_value)
    INT64(offset, 0, LAST)
    INT32(leader_epoch, 3, LAST, DEFAULT(-1))
    STRING(metadata, 0, LAST)
    INT64(commit_timestamp, 0, LAST)
    INT64(expire_timestamp, 1, 1, DEFAULT(-1))
    UUID(topic_id, 4, LAST, TAG(0))
END_STRUCT(offset_commit_value)

MESSAGE(offset_commit_value, 0, 4, 4)

/* GroupMetadataKey. Type 2: a classic group. */
STRUCT(group_metadata_key)
    STRING(group, 0, 0)
END_STRUCT(group_metadata_key)

MESSAGE(group_metadata_key, 0, 0, WIRE_VERSION_NEVER)

/* GroupMetadataValue */
STRUCT(group_metadata_value_member_metadata)
    STRING(member_id, 0, LAST)
    STRING(group_instance_id, 3, LAST, NULLABLE(3), DEFAULT_NULL)
    STRING(client_id, 0, LAST)
    STRING(client_host, 0, LAST)
    INT32(rebalance_timeout, 1, LAST, DEFAULT(-1))
    INT32(session_timeout, 0, LAST)
    BYTES(subscription, 0, LAST)
    BYTES(assignment, 0, LAST)
END_STRUCT(group_metadata_value_member_metadata)

STRUCT(group_metadata_value)
    STRING(protocol_type, 0, LAST)
    INT32(generation, 0, LAST)
    STRING(protocol, 0, LAST, NULLABLE(0))
    STRING(leader, 0, LAST, NULLABLE(0))
    INT64(current_state_timestamp, 2, LAST, DEFAULT(-1))
    ARRAY(group_metadata_value_member_metadata, members, 0, LAST)
END_STRUCT(group_metadata_value)

MESSAGE(group_metadata_value, 0, 4, 4)

/* ConsumerGroupMetadataKey. Types 3 to 8 and 16: consumer groups of KIP-848. */
STRUCT(consumer_group_metadata_key)
    STRING(group_id, 0, 0)
END_STRUCT(consumer_group_metadata_key)

MESSAGE(consumer_group_metadata_key, 0, 0, WIRE_VERSION_NEVER)

/* ConsumerGroupMetadataValue */
STRUCT(consumer_group_metadata_value)
    INT32(epoch, 0, LAST)
    INT64(metadata_hash, 0, LAST, TAG(0))
END_STRUCT(consumer_group_metadata_value)

MESSAGE(consumer_group_metadata_value, 0, 0, 0)

/* ConsumerGroupPartitionMetadataKey */
STRUCT(consumer_group_partition_metadata_key)
    STRING(group_id, 0, 0)
END_STRUCT(consumer_group_partition_metadata_key)

MESSAGE(consumer_group_partition_metadata_key, 0, 0, WIRE_VERSION_NEVER)

/* ConsumerGroupPartitionMetadataValue */
STRUCT(consumer_group_partition_metadata_value_partition_metadata)
    INT32(partition, 0, LAST)
    STRING_ARRAY(racks, 0, LAST)
END_STRUCT(consumer_group_partition_metadata_value_partition_metadata)

STRUCT(consumer_group_partition_metadata_value_topic)
    UUID(topic_id, 0, LAST)
    STRING(topic_name, 0, LAST)
    INT32(num_partitions, 0, LAST)
    ARRAY(consumer_group_partition_metadata_value_partition_metadata, partition_metadata, 0, LAST)
END_STRUCT(consumer_group_partition_metadata_value_topic)

STRUCT(consumer_group_partition_metadata_value)
    ARRAY(consumer_group_partition_metadata_value_topic, topics, 0, LAST)
END_STRUCT(consumer_group_partition_metadata_value)

MESSAGE(consumer_group_partition_metadata_value, 0, 0, 0)

/* ConsumerGroupMemberMetadataKey */
STRUCT(consumer_group_member_metadata_key)
    STRING(group_id, 0, 0)
    STRING(member_id, 0, 0)
END_STRUCT(consumer_group_member_metadata_key)

MESSAGE(consumer_group_member_metadata_key, 0, 0, WIRE_VERSION_NEVER)

/* ConsumerGroupMemberMetadataValue */
STRUCT(consumer_group_member_metadata_value_supported_protocol)
    STRING(name, 0, LAST)
    BYTES(metadata, 0, LAST)
END_STRUCT(consumer_group_member_metadata_value_supported_protocol)

STRUCT(consumer_group_member_metadata_value_classic_member_metadata)
    INT32(session_timeout_ms, 0, LAST)
    ARRAY(consumer_group_member_metadata_value_supported_protocol, supported_protocols, 0, LAST)
END_STRUCT(consumer_group_member_metadata_value_classic_member_metadata)

STRUCT(consumer_group_member_metadata_value)
    STRING(instance_id, 0, LAST, NULLABLE(0))
    STRING(rack_id, 0, LAST, NULLABLE(0))
    STRING(client_id, 0, LAST)
    STRING(client_host, 0, LAST)
    STRING_ARRAY(subscribed_topic_names, 0, LAST)
    STRING(subscribed_topic_regex, 0, LAST, NULLABLE(0))
    INT32(rebalance_timeout_ms, 0, LAST, DEFAULT(-1))
    STRING(server_assignor, 0, LAST, NULLABLE(0))
    OPTIONAL(consumer_group_member_metadata_value_classic_member_metadata,
             classic_member_metadata, 0, LAST, TAG(0))
END_STRUCT(consumer_group_member_metadata_value)

MESSAGE(consumer_group_member_metadata_value, 0, 0, 0)

/* ConsumerGroupTargetAssignmentMetadataKey */
STRUCT(consumer_group_target_assignment_metadata_key)
    STRING(group_id, 0, 0)
END_STRUCT(consumer_group_target_assignment_metadata_key)

MESSAGE(consumer_group_target_assignment_metadata_key, 0, 0, WIRE_VERSION_NEVER)

/* ConsumerGroupTargetAssignmentMetadataValue */
STRUCT(consumer_group_target_assignment_metadata_value)
    INT32(assignment_epoch, 0, LAST)
    INT64(assignment_timestamp, 0, LAST, TAG(0))
END_STRUCT(consumer_group_target_assignment_metadata_value)

MESSAGE(consumer_group_target_assignment_metadata_value, 0, 0, 0)

/* ConsumerGroupTargetAssignmentMemberKey */
STRUCT(consumer_group_target_assignment_member_key)
    STRING(group_id, 0, 0)
    STRING(member_id, 0, 0)
END_STRUCT(consumer_group_target_assignment_member_key)

MESSAGE(consumer_group_target_assignment_member_key, 0, 0, WIRE_VERSION_NEVER)

/* ConsumerGroupTargetAssignmentMemberValue */
STRUCT(consumer_group_target_assignment_member_value_topic_partition)
    UUID(topic_id, 0, LAST)
    INT32_ARRAY(partitions, 0, LAST)
END_STRUCT(consumer_group_target_assignment_member_value_topic_partition)

STRUCT(consumer_group_target_assignment_member_value)
    ARRAY(consumer_group_target_assignment_member_value_topic_partition, topic_partitions, 0, LAST)
END_STRUCT(consumer_group_target_assignment_member_value)

MESSAGE(consumer_group_target_assignment_member_value, 0, 0, 0)

/* ConsumerGroupCurrentMemberAssignmentKey */
STRUCT(consumer_group_current_member_assignment_key)
    STRING(group_id, 0, 0)
    STRING(member_id, 0, 0)
END_STRUCT(consumer_group_current_member_assignment_key)

MESSAGE(consumer_group_current_member_assignment_key, 0, 0, WIRE_VERSION_NEVER)

/* ConsumerGroupCurrentMemberAssignmentValue */
STRUCT(consumer_group_current_member_assignment_value_topic_partition)
    UUID(topic_id, 0, LAST)
    INT32_ARRAY(partitions, 0, LAST)
    INT32_ARRAY(assignment_epochs, 0, LAST, NULLABLE(0), TAG(0), DEFAULT_NULL)
END_STRUCT(consumer_group_current_member_assignment_value_topic_partition)

STRUCT(consumer_group_current_member_assignment_value)
    INT32(member_epoch, 0, LAST)
    INT32(previous_member_epoch, 0, LAST)
    INT8(state, 0, LAST)
    ARRAY(consumer_group_current_member_assignment_value_topic_partition, assigned_partitions, 0,
          LAST)
    ARRAY(consumer_group_current_member_assignment_value_topic_partition,
          partitions_pending_revocation, 0, LAST)
END_STRUCT(consumer_group_current_member_assignment_value)

MESSAGE(consumer_group_current_member_assignment_value, 0, 0, 0)

/* ConsumerGroupRegularExpressionKey */
STRUCT(consumer_group_regular_expression_key)
    STRING(group_id, 0, 0)
    STRING(regular_expression, 0, 0)
END_STRUCT(consumer_group_regular_expression_key)

MESSAGE(consumer_group_regular_expression_key, 0, 0, WIRE_VERSION_NEVER)

/* ConsumerGroupRegularExpressionValue */
STRUCT(consumer_group_regular_expression_value)
    STRING_ARRAY(topics, 0, LAST)
    INT64(version, 0, LAST)
    INT64(timestamp, 0, LAST)
END_STRUCT(consumer_group_regular_expression_value)

MESSAGE(consumer_group_regular_expression_value, 0, 0, 0)

/* TransactionLogKey. Type 0 of __transaction_state: a transactional id. */
STRUCT(transaction_log_key)
    STRING(transactional_id, 0, 0)
END_STRUCT(transaction_log_key)

MESSAGE(transaction_log_key, 0, 0, WIRE_VERSION_NEVER)

/* TransactionLogValue */
STRUCT(transaction_log_value_transaction_partition)
    STRING(topic, 0, LAST)
    INT32_ARRAY(partition_ids, 0, LAST)
END_STRUCT(transaction_log_value_transaction_partition)

STRUCT(transaction_log_value)
    INT64(producer_id, 0, LAST)
    INT64(previous_producer_id, 1, LAST, TAG(0), DEFAULT(-1))
    INT64(next_producer_id, 1, LAST, TAG(1), DEFAULT(-1))
    INT16(producer_epoch, 0, LAST)
    INT16(next_producer_epoch, 1, LAST, TAG(3), DEFAULT(-1))
    INT32(transaction_timeout_ms, 0, LAST)
    INT8(transaction_status, 0, LAST)
    ARRAY(transaction_log_value_transaction_partition, transaction_partitions, 0, LAST, NULLABLE(0))
    INT64(transaction_last_update_timestamp_ms, 0, LAST)
    INT64(transaction_start_timestamp_ms, 0, LAST)
    INT16(client_transaction_version, 1, LAST, TAG(2))
END_STRUCT(transaction_log_value)

MESSAGE(transaction_log_value, 0, 1, 1)

/* clang-format on */

#include "queue/wire/describe_done.h"

#endif
