/* Group membership: the classic protocol and KIP-848. */
#if !defined(QUEUE_WIRE_GROUPS_H) || defined(WIRE_TABLES)
#define QUEUE_WIRE_GROUPS_H

#include "queue/wire/message.h"

#include "queue/wire/describe.h"

/* clang-format off */

/* JoinGroup, key 11. v4 MEMBER_ID_REQUIRED, v5 static members, v9 skip_assignment. */
STRUCT(join_group_request_protocol)
    STRING(name, 0, LAST)
    BYTES(metadata, 0, LAST)
END_STRUCT(join_group_request_protocol)

STRUCT(join_group_request)
    STRING(group_id, 0, LAST)
    INT32(session_timeout_ms, 0, LAST)
    INT32(rebalance_timeout_ms, 1, LAST, DEFAULT(-1))
    STRING(member_id, 0, LAST)
    STRING(group_instance_id, 5, LAST, NULLABLE(5), DEFAULT_NULL, REQUIRED)
    STRING(protocol_type, 0, LAST)
    ARRAY(join_group_request_protocol, protocols, 0, LAST)
    STRING(reason, 8, LAST, NULLABLE(8), DEFAULT_NULL)
END_STRUCT(join_group_request)

MESSAGE(join_group_request, 0, 9, 6)

STRUCT(join_group_response_member)
    STRING(member_id, 0, LAST)
    STRING(group_instance_id, 5, LAST, NULLABLE(5), DEFAULT_NULL)
    BYTES(metadata, 0, LAST)
END_STRUCT(join_group_response_member)

STRUCT(join_group_response)
    INT32(throttle_time_ms, 2, LAST)
    INT16(error_code, 0, LAST)
    INT32(generation_id, 0, LAST, DEFAULT(-1))
    STRING(protocol_type, 7, LAST, NULLABLE(7), DEFAULT_NULL)
    STRING(protocol_name, 0, LAST, NULLABLE(7))
    STRING(leader, 0, LAST)
    BOOL(skip_assignment, 9, LAST)
    STRING(member_id, 0, LAST)
    ARRAY(join_group_response_member, members, 0, LAST)
END_STRUCT(join_group_response)

MESSAGE(join_group_response, 0, 9, 6)

/* SyncGroup, key 14 */
STRUCT(sync_group_request_assignment)
    STRING(member_id, 0, LAST)
    BYTES(assignment, 0, LAST)
END_STRUCT(sync_group_request_assignment)

STRUCT(sync_group_request)
    STRING(group_id, 0, LAST)
    INT32(generation_id, 0, LAST)
    STRING(member_id, 0, LAST)
    STRING(group_instance_id, 3, LAST, NULLABLE(3), DEFAULT_NULL, REQUIRED)
    STRING(protocol_type, 5, LAST, NULLABLE(5), DEFAULT_NULL)
    STRING(protocol_name, 5, LAST, NULLABLE(5), DEFAULT_NULL)
    ARRAY(sync_group_request_assignment, assignments, 0, LAST)
END_STRUCT(sync_group_request)

MESSAGE(sync_group_request, 0, 5, 4)

STRUCT(sync_group_response)
    INT32(throttle_time_ms, 1, LAST)
    INT16(error_code, 0, LAST)
    STRING(protocol_type, 5, LAST, NULLABLE(5), DEFAULT_NULL)
    STRING(protocol_name, 5, LAST, NULLABLE(5), DEFAULT_NULL)
    BYTES(assignment, 0, LAST)
END_STRUCT(sync_group_response)

MESSAGE(sync_group_response, 0, 5, 4)

/* Heartbeat, key 12 */
STRUCT(heartbeat_request)
    STRING(group_id, 0, LAST)
    INT32(generation_id, 0, LAST)
    STRING(member_id, 0, LAST)
    STRING(group_instance_id, 3, LAST, NULLABLE(3), DEFAULT_NULL, REQUIRED)
END_STRUCT(heartbeat_request)

MESSAGE(heartbeat_request, 0, 4, 4)

STRUCT(heartbeat_response)
    INT32(throttle_time_ms, 1, LAST)
    INT16(error_code, 0, LAST)
END_STRUCT(heartbeat_response)

MESSAGE(heartbeat_response, 0, 4, 4)

/* LeaveGroup, key 13. v3 a list of members. */
STRUCT(leave_group_request_member)
    STRING(member_id, 3, LAST, REQUIRED)
    STRING(group_instance_id, 3, LAST, NULLABLE(3), DEFAULT_NULL, REQUIRED)
    STRING(reason, 5, LAST, NULLABLE(5), DEFAULT_NULL)
END_STRUCT(leave_group_request_member)

STRUCT(leave_group_request)
    STRING(group_id, 0, LAST)
    STRING(member_id, 0, 2, REQUIRED)
    ARRAY(leave_group_request_member, members, 3, LAST, REQUIRED)
END_STRUCT(leave_group_request)

MESSAGE(leave_group_request, 0, 5, 4)

STRUCT(leave_group_response_member)
    STRING(member_id, 3, LAST)
    STRING(group_instance_id, 3, LAST, NULLABLE(3))
    INT16(error_code, 3, LAST)
END_STRUCT(leave_group_response_member)

STRUCT(leave_group_response)
    INT32(throttle_time_ms, 1, LAST)
    INT16(error_code, 0, LAST)
    ARRAY(leave_group_response_member, members, 3, LAST)
END_STRUCT(leave_group_response)

MESSAGE(leave_group_response, 0, 5, 4)

/* ListGroups, key 16. v4 a filter by state, v5 by type. */
STRUCT(list_groups_request)
    STRING_ARRAY(states_filter, 4, LAST, REQUIRED)
    STRING_ARRAY(types_filter, 5, LAST, REQUIRED)
END_STRUCT(list_groups_request)

MESSAGE(list_groups_request, 0, 5, 3)

STRUCT(list_groups_response_group)
    STRING(group_id, 0, LAST)
    STRING(protocol_type, 0, LAST)
    STRING(group_state, 4, LAST)
    STRING(group_type, 5, LAST)
END_STRUCT(list_groups_response_group)

STRUCT(list_groups_response)
    INT32(throttle_time_ms, 1, LAST)
    INT16(error_code, 0, LAST)
    ARRAY(list_groups_response_group, groups, 0, LAST)
END_STRUCT(list_groups_response)

MESSAGE(list_groups_response, 0, 5, 3)

/* DescribeGroups, key 15. v6: an unknown group is GROUP_ID_NOT_FOUND; before, a group in state
 * Dead. */
STRUCT(describe_groups_request)
    STRING_ARRAY(groups, 0, LAST)
    BOOL(include_authorized_operations, 3, LAST, REQUIRED)
END_STRUCT(describe_groups_request)

MESSAGE(describe_groups_request, 0, 6, 5)

STRUCT(describe_groups_response_member)
    STRING(member_id, 0, LAST)
    STRING(group_instance_id, 4, LAST, NULLABLE(4), DEFAULT_NULL)
    STRING(client_id, 0, LAST)
    STRING(client_host, 0, LAST)
    BYTES(member_metadata, 0, LAST)
    BYTES(member_assignment, 0, LAST)
END_STRUCT(describe_groups_response_member)

STRUCT(describe_groups_response_group)
    INT16(error_code, 0, LAST)
    STRING(error_message, 6, LAST, NULLABLE(6), DEFAULT_NULL)
    STRING(group_id, 0, LAST)
    STRING(group_state, 0, LAST)
    STRING(protocol_type, 0, LAST)
    STRING(protocol_data, 0, LAST)
    ARRAY(describe_groups_response_member, members, 0, LAST)
    INT32(authorized_operations, 3, LAST, DEFAULT(INT32_MIN))
END_STRUCT(describe_groups_response_group)

STRUCT(describe_groups_response)
    INT32(throttle_time_ms, 1, LAST)
    ARRAY(describe_groups_response_group, groups, 0, LAST)
END_STRUCT(describe_groups_response)

MESSAGE(describe_groups_response, 0, 6, 5)

/* DeleteGroups, key 42 */
STRUCT(delete_groups_request)
    STRING_ARRAY(groups_names, 0, LAST)
END_STRUCT(delete_groups_request)

MESSAGE(delete_groups_request, 0, 2, 2)

STRUCT(delete_groups_response_result)
    STRING(group_id, 0, LAST)
    INT16(error_code, 0, LAST)
END_STRUCT(delete_groups_response_result)

STRUCT(delete_groups_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(delete_groups_response_result, results, 0, LAST)
END_STRUCT(delete_groups_response)

MESSAGE(delete_groups_response, 0, 2, 2)

/* ConsumerGroupHeartbeat, key 68 */
STRUCT(consumer_group_heartbeat_request_topic_partition)
    UUID(topic_id, 0, LAST)
    INT32_ARRAY(partitions, 0, LAST)
END_STRUCT(consumer_group_heartbeat_request_topic_partition)

STRUCT(consumer_group_heartbeat_request)
    STRING(group_id, 0, LAST)
    STRING(member_id, 0, LAST)
    INT32(member_epoch, 0, LAST)
    STRING(instance_id, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    STRING(rack_id, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    INT32(rebalance_timeout_ms, 0, LAST, DEFAULT(-1))
    STRING_ARRAY(subscribed_topic_names, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    STRING(subscribed_topic_regex, 1, LAST, NULLABLE(1), DEFAULT_NULL, REQUIRED)
    STRING(server_assignor, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    ARRAY(consumer_group_heartbeat_request_topic_partition, topic_partitions, 0, LAST,
          NULLABLE(0), DEFAULT_NULL)
END_STRUCT(consumer_group_heartbeat_request)

MESSAGE(consumer_group_heartbeat_request, 0, 1, 0)

STRUCT(consumer_group_heartbeat_response_topic_partition)
    UUID(topic_id, 0, LAST)
    INT32_ARRAY(partitions, 0, LAST)
END_STRUCT(consumer_group_heartbeat_response_topic_partition)

STRUCT(consumer_group_heartbeat_response_assignment)
    ARRAY(consumer_group_heartbeat_response_topic_partition, topic_partitions, 0, LAST)
END_STRUCT(consumer_group_heartbeat_response_assignment)

STRUCT(consumer_group_heartbeat_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    STRING(member_id, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    INT32(member_epoch, 0, LAST)
    INT32(heartbeat_interval_ms, 0, LAST)
    OPTIONAL(consumer_group_heartbeat_response_assignment, assignment, 0, LAST)
END_STRUCT(consumer_group_heartbeat_response)

MESSAGE(consumer_group_heartbeat_response, 0, 1, 0)

/* ConsumerGroupDescribe, key 69 */
STRUCT(consumer_group_describe_request)
    STRING_ARRAY(group_ids, 0, LAST)
    BOOL(include_authorized_operations, 0, LAST)
END_STRUCT(consumer_group_describe_request)

MESSAGE(consumer_group_describe_request, 0, 1, 0)

STRUCT(consumer_group_describe_response_topic_partition)
    UUID(topic_id, 0, LAST)
    STRING(topic_name, 0, LAST)
    INT32_ARRAY(partitions, 0, LAST)
END_STRUCT(consumer_group_describe_response_topic_partition)

STRUCT(consumer_group_describe_response_assignment)
    ARRAY(consumer_group_describe_response_topic_partition, topic_partitions, 0, LAST)
END_STRUCT(consumer_group_describe_response_assignment)

STRUCT(consumer_group_describe_response_member)
    STRING(member_id, 0, LAST)
    STRING(instance_id, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    STRING(rack_id, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    INT32(member_epoch, 0, LAST)
    STRING(client_id, 0, LAST)
    STRING(client_host, 0, LAST)
    STRING_ARRAY(subscribed_topic_names, 0, LAST)
    STRING(subscribed_topic_regex, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    EMBEDDED(consumer_group_describe_response_assignment, assignment, 0, LAST)
    EMBEDDED(consumer_group_describe_response_assignment, target_assignment, 0, LAST)
    INT8(member_type, 1, LAST, DEFAULT(-1))
END_STRUCT(consumer_group_describe_response_member)

STRUCT(consumer_group_describe_response_group)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    STRING(group_id, 0, LAST)
    STRING(group_state, 0, LAST)
    INT32(group_epoch, 0, LAST)
    INT32(assignment_epoch, 0, LAST)
    STRING(assignor_name, 0, LAST)
    ARRAY(consumer_group_describe_response_member, members, 0, LAST)
    INT32(authorized_operations, 0, LAST, DEFAULT(INT32_MIN))
END_STRUCT(consumer_group_describe_response_group)

STRUCT(consumer_group_describe_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(consumer_group_describe_response_group, groups, 0, LAST)
END_STRUCT(consumer_group_describe_response)

MESSAGE(consumer_group_describe_response, 0, 1, 0)

/* ConsumerProtocolSubscription. What a member sends in JoinGroup: int16 version, then this. Readers
 * take newer versions by their known beginning (wire_versioned_read). */
STRUCT(consumer_protocol_subscription_owned_partition)
    STRING(topic, 1, LAST)
    INT32_ARRAY(partitions, 1, LAST)
END_STRUCT(consumer_protocol_subscription_owned_partition)

STRUCT(consumer_protocol_subscription)
    STRING_ARRAY(topics, 0, LAST)
    BYTES(user_data, 0, LAST, NULLABLE(0), DEFAULT_NULL)
    ARRAY(consumer_protocol_subscription_owned_partition, owned_partitions, 1, LAST)
    INT32(generation_id, 2, LAST, DEFAULT(-1))
    STRING(rack_id, 3, LAST, NULLABLE(3), DEFAULT_NULL)
END_STRUCT(consumer_protocol_subscription)

MESSAGE(consumer_protocol_subscription, 0, 3, WIRE_VERSION_NEVER)

/* ConsumerProtocolAssignment. What a leader sends in SyncGroup, in the same way. */
STRUCT(consumer_protocol_assignment_assigned_partition)
    STRING(topic, 0, LAST)
    INT32_ARRAY(partitions, 0, LAST)
END_STRUCT(consumer_protocol_assignment_assigned_partition)

STRUCT(consumer_protocol_assignment)
    ARRAY(consumer_protocol_assignment_assigned_partition, assigned_partitions, 0, LAST)
    BYTES(user_data, 0, LAST, NULLABLE(0), DEFAULT_NULL)
END_STRUCT(consumer_protocol_assignment)

MESSAGE(consumer_protocol_assignment, 0, 3, WIRE_VERSION_NEVER)

/* clang-format on */

#include "queue/wire/describe_done.h"

#endif
