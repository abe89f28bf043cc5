/* Produce, with the idempotent producer's id. */
#if !defined(QUEUE_WIRE_PRODUCE_H) || defined(WIRE_TABLES)
#define QUEUE_WIRE_PRODUCE_H

#include "queue/wire/message.h"

#include "queue/wire/describe.h"

/* clang-format off */

/* Produce, key 0. v7 zstd, v10 leader hints, v12 transactions without AddPartitionsToTxn,
 * v13 topic ids. */
STRUCT(produce_request_partition)
    INT32(index, 0, LAST)
    RECORDS(records, 0, LAST, NULLABLE(0))
END_STRUCT(produce_request_partition)

STRUCT(produce_request_topic)
    STRING(name, 0, 12)
    UUID(topic_id, 13, LAST)
    ARRAY(produce_request_partition, partition_data, 0, LAST)
END_STRUCT(produce_request_topic)

STRUCT(produce_request)
    STRING(transactional_id, 3, LAST, NULLABLE(3), DEFAULT_NULL)
    INT16(acks, 0, LAST)
    INT32(timeout_ms, 0, LAST)
    ARRAY(produce_request_topic, topic_data, 0, LAST)
END_STRUCT(produce_request)

MESSAGE(produce_request, 3, 13, 9)

STRUCT(produce_response_record_error)
    INT32(batch_index, 8, LAST)
    STRING(batch_index_error_message, 8, LAST, NULLABLE(8), DEFAULT_NULL)
END_STRUCT(produce_response_record_error)

STRUCT(produce_response_current_leader)
    INT32(leader_id, 10, LAST, DEFAULT(-1))
    INT32(leader_epoch, 10, LAST, DEFAULT(-1))
END_STRUCT(produce_response_current_leader)

STRUCT(produce_response_partition)
    INT32(index, 0, LAST)
    INT16(error_code, 0, LAST)
    INT64(base_offset, 0, LAST)
    INT64(log_append_time_ms, 2, LAST, DEFAULT(-1))
    INT64(log_start_offset, 5, LAST, DEFAULT(-1))
    ARRAY(produce_response_record_error, record_errors, 8, LAST)
    STRING(error_message, 8, LAST, NULLABLE(8), DEFAULT_NULL)
    EMBEDDED(produce_response_current_leader, current_leader, 10, LAST, TAG(0))
END_STRUCT(produce_response_partition)

STRUCT(produce_response_topic)
    STRING(name, 0, 12)
    UUID(topic_id, 13, LAST)
    ARRAY(produce_response_partition, partition_responses, 0, LAST)
END_STRUCT(produce_response_topic)

STRUCT(produce_response_node_endpoint)
    INT32(node_id, 10, LAST)
    STRING(host, 10, LAST)
    INT32(port, 10, LAST)
    STRING(rack, 10, LAST, NULLABLE(10), DEFAULT_NULL)
END_STRUCT(produce_response_node_endpoint)

STRUCT(produce_response)
    ARRAY(produce_response_topic, responses, 0, LAST)
    INT32(throttle_time_ms, 1, LAST)
    ARRAY(produce_response_node_endpoint, node_endpoints, 10, LAST, TAG(0))
END_STRUCT(produce_response)

MESSAGE(produce_response, 3, 13, 9)

/* InitProducerId, key 22 */
STRUCT(init_producer_id_request)
    STRING(transactional_id, 0, LAST, NULLABLE(0))
    INT32(transaction_timeout_ms, 0, LAST)
    INT64(producer_id, 3, LAST, DEFAULT(-1), REQUIRED)
    INT16(producer_epoch, 3, LAST, DEFAULT(-1), REQUIRED)
END_STRUCT(init_producer_id_request)

MESSAGE(init_producer_id_request, 0, 5, 2)

STRUCT(init_producer_id_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 0, LAST)
    INT64(producer_id, 0, LAST, DEFAULT(-1))
    INT16(producer_epoch, 0, LAST)
END_STRUCT(init_producer_id_response)

MESSAGE(init_producer_id_response, 0, 5, 2)

/* clang-format on */

#include "queue/wire/describe_done.h"

#endif
