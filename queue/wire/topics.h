/* Topics and their partitions. */
#if !defined(QUEUE_WIRE_TOPICS_H) || defined(WIRE_TABLES)
#define QUEUE_WIRE_TOPICS_H

#include "queue/wire/message.h"

#include "queue/wire/describe.h"

/* clang-format off */

/* CreateTopics, key 19. From v4 -1 partitions or replicas is the node's default; v5 answers
 * with the configuration. */
STRUCT(create_topics_request_assignment)
    INT32(partition_index, 0, LAST)
    INT32_ARRAY(broker_ids, 0, LAST)
END_STRUCT(create_topics_request_assignment)

STRUCT(create_topics_request_config)
    STRING(name, 0, LAST)
    STRING(value, 0, LAST, NULLABLE(0))
END_STRUCT(create_topics_request_config)

STRUCT(create_topics_request_topic)
    STRING(name, 0, LAST)
    INT32(num_partitions, 0, LAST)
    INT16(replication_factor, 0, LAST)
    ARRAY(create_topics_request_assignment, assignments, 0, LAST)
    ARRAY(create_topics_request_config, configs, 0, LAST)
END_STRUCT(create_topics_request_topic)

STRUCT(create_topics_request)
    ARRAY(create_topics_request_topic, topics, 0, LAST)
    INT32(timeout_ms, 0, LAST, DEFAULT(60000))
    BOOL(validate_only, 1, LAST)
END_STRUCT(create_topics_request)

MESSAGE(create_topics_request, 2, 7, 5)

STRUCT(create_topics_response_config)
    STRING(name, 5, LAST)
    STRING(value, 5, LAST, NULLABLE(5))
    BOOL(read_only, 5, LAST)
    INT8(config_source, 5, LAST, DEFAULT(-1))
    BOOL(is_sensitive, 5, LAST)
END_STRUCT(create_topics_response_config)

STRUCT(create_topics_response_topic)
    STRING(name, 0, LAST)
    UUID(topic_id, 7, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 1, LAST, NULLABLE(0))
    INT16(topic_config_error_code, 5, LAST, TAG(0))
    INT32(num_partitions, 5, LAST, DEFAULT(-1))
    INT16(replication_factor, 5, LAST, DEFAULT(-1))
    ARRAY(create_topics_response_config, configs, 5, LAST, NULLABLE(5))
END_STRUCT(create_topics_response_topic)

STRUCT(create_topics_response)
    INT32(throttle_time_ms, 2, LAST)
    ARRAY(create_topics_response_topic, topics, 0, LAST)
END_STRUCT(create_topics_response)

MESSAGE(create_topics_response, 2, 7, 5)

/* DeleteTopics, key 20. v6 by name or id. */
STRUCT(delete_topics_request_topic)
    STRING(name, 6, LAST, NULLABLE(6), DEFAULT_NULL, REQUIRED)
    UUID(topic_id, 6, LAST, REQUIRED)
END_STRUCT(delete_topics_request_topic)

STRUCT(delete_topics_request)
    ARRAY(delete_topics_request_topic, topics, 6, LAST, REQUIRED)
    STRING_ARRAY(topic_names, 0, 5)
    INT32(timeout_ms, 0, LAST)
END_STRUCT(delete_topics_request)

MESSAGE(delete_topics_request, 1, 6, 4)

STRUCT(delete_topics_response_topic)
    STRING(name, 0, LAST, NULLABLE(6))
    UUID(topic_id, 6, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 5, LAST, NULLABLE(5), DEFAULT_NULL)
END_STRUCT(delete_topics_response_topic)

STRUCT(delete_topics_response)
    INT32(throttle_time_ms, 1, LAST)
    ARRAY(delete_topics_response_topic, responses, 0, LAST)
END_STRUCT(delete_topics_response)

MESSAGE(delete_topics_response, 1, 6, 4)

/* CreatePartitions, key 37 */
STRUCT(create_partitions_request_assignment)
    INT32_ARRAY(broker_ids, 0, LAST)
END_STRUCT(create_partitions_request_assignment)

STRUCT(create_partitions_request_topic)
    STRING(name, 0, LAST)
    INT32(count, 0, LAST)
    ARRAY(create_partitions_request_assignment, assignments, 0, LAST, NULLABLE(0))
END_STRUCT(create_partitions_request_topic)

STRUCT(create_partitions_request)
    ARRAY(create_partitions_request_topic, topics, 0, LAST)
    INT32(timeout_ms, 0, LAST)
    BOOL(validate_only, 0, LAST)
END_STRUCT(create_partitions_request)

MESSAGE(create_partitions_request, 0, 3, 2)

STRUCT(create_partitions_response_result)
    STRING(name, 0, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0), DEFAULT_NULL)
END_STRUCT(create_partitions_response_result)

STRUCT(create_partitions_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(create_partitions_response_result, results, 0, LAST)
END_STRUCT(create_partitions_response)

MESSAGE(create_partitions_response, 0, 3, 2)

/* DeleteRecords, key 21 */
STRUCT(delete_records_request_partition)
    INT32(partition_index, 0, LAST)
    INT64(offset, 0, LAST)
END_STRUCT(delete_records_request_partition)

STRUCT(delete_records_request_topic)
    STRING(name, 0, LAST)
    ARRAY(delete_records_request_partition, partitions, 0, LAST)
END_STRUCT(delete_records_request_topic)

STRUCT(delete_records_request)
    ARRAY(delete_records_request_topic, topics, 0, LAST)
    INT32(timeout_ms, 0, LAST)
END_STRUCT(delete_records_request)

MESSAGE(delete_records_request, 0, 2, 2)

STRUCT(delete_records_response_partition)
    INT32(partition_index, 0, LAST)
    INT64(low_watermark, 0, LAST)
    INT16(error_code, 0, LAST)
END_STRUCT(delete_records_response_partition)

STRUCT(delete_records_response_topic)
    STRING(name, 0, LAST)
    ARRAY(delete_records_response_partition, partitions, 0, LAST)
END_STRUCT(delete_records_response_topic)

STRUCT(delete_records_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(delete_records_response_topic, topics, 0, LAST)
END_STRUCT(delete_records_response)

MESSAGE(delete_records_response, 0, 2, 2)

/* ElectLeaders, key 43 */
STRUCT(elect_leaders_request_topic_partition)
    STRING(topic, 0, LAST)
    INT32_ARRAY(partitions, 0, LAST)
END_STRUCT(elect_leaders_request_topic_partition)

STRUCT(elect_leaders_request)
    INT8(election_type, 1, LAST, REQUIRED)
    ARRAY(elect_leaders_request_topic_partition, topic_partitions, 0, LAST, NULLABLE(0))
    INT32(timeout_ms, 0, LAST, DEFAULT(60000))
END_STRUCT(elect_leaders_request)

MESSAGE(elect_leaders_request, 0, 2, 2)

STRUCT(elect_leaders_response_partition_result)
    INT32(partition_id, 0, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
END_STRUCT(elect_leaders_response_partition_result)

STRUCT(elect_leaders_response_replica_election_result)
    STRING(topic, 0, LAST)
    ARRAY(elect_leaders_response_partition_result, partition_result, 0, LAST)
END_STRUCT(elect_leaders_response_replica_election_result)

STRUCT(elect_leaders_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 1, LAST)
    ARRAY(elect_leaders_response_replica_election_result, replica_election_results, 0, LAST)
END_STRUCT(elect_leaders_response)

MESSAGE(elect_leaders_response, 0, 2, 2)

/* AlterPartitionReassignments, key 45 */
STRUCT(alter_partition_reassignments_request_partition)
    INT32(partition_index, 0, LAST)
    INT32_ARRAY(replicas, 0, LAST, NULLABLE(0), DEFAULT_NULL)
END_STRUCT(alter_partition_reassignments_request_partition)

STRUCT(alter_partition_reassignments_request_topic)
    STRING(name, 0, LAST)
    ARRAY(alter_partition_reassignments_request_partition, partitions, 0, LAST)
END_STRUCT(alter_partition_reassignments_request_topic)

STRUCT(alter_partition_reassignments_request)
    INT32(timeout_ms, 0, LAST, DEFAULT(60000))
    BOOL(allow_replication_factor_change, 1, LAST, DEFAULT(1), REQUIRED)
    ARRAY(alter_partition_reassignments_request_topic, topics, 0, LAST)
END_STRUCT(alter_partition_reassignments_request)

MESSAGE(alter_partition_reassignments_request, 0, 1, 0)

STRUCT(alter_partition_reassignments_response_partition)
    INT32(partition_index, 0, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
END_STRUCT(alter_partition_reassignments_response_partition)

STRUCT(alter_partition_reassignments_response_topic)
    STRING(name, 0, LAST)
    ARRAY(alter_partition_reassignments_response_partition, partitions, 0, LAST)
END_STRUCT(alter_partition_reassignments_response_topic)

STRUCT(alter_partition_reassignments_response)
    INT32(throttle_time_ms, 0, LAST)
    BOOL(allow_replication_factor_change, 1, LAST, DEFAULT(1))
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
    ARRAY(alter_partition_reassignments_response_topic, responses, 0, LAST)
END_STRUCT(alter_partition_reassignments_response)

MESSAGE(alter_partition_reassignments_response, 0, 1, 0)

/* ListPartitionReassignments, key 46 */
STRUCT(list_partition_reassignments_request_topic)
    STRING(name, 0, LAST)
    INT32_ARRAY(partition_indexes, 0, LAST)
END_STRUCT(list_partition_reassignments_request_topic)

STRUCT(list_partition_reassignments_request)
    INT32(timeout_ms, 0, LAST, DEFAULT(60000))
    ARRAY(list_partition_reassignments_request_topic, topics, 0, LAST, NULLABLE(0), DEFAULT_NULL)
END_STRUCT(list_partition_reassignments_request)

MESSAGE(list_partition_reassignments_request, 0, 0, 0)

STRUCT(list_partition_reassignments_response_partition)
    INT32(partition_index, 0, LAST)
    INT32_ARRAY(replicas, 0, LAST)
    INT32_ARRAY(adding_replicas, 0, LAST)
    INT32_ARRAY(removing_replicas, 0, LAST)
END_STRUCT(list_partition_reassignments_response_partition)

STRUCT(list_partition_reassignments_response_topic)
    STRING(name, 0, LAST)
    ARRAY(list_partition_reassignments_response_partition, partitions, 0, LAST)
END_STRUCT(list_partition_reassignments_response_topic)

STRUCT(list_partition_reassignments_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
    ARRAY(list_partition_reassignments_response_topic, topics, 0, LAST)
END_STRUCT(list_partition_reassignments_response)

MESSAGE(list_partition_reassignments_response, 0, 0, 0)

/* clang-format on */

#include "queue/wire/describe_done.h"

#endif
