/* Configurations of topics and nodes, client quotas, log directories. */
#if !defined(QUEUE_WIRE_CONFIGS_H) || defined(WIRE_TABLES)
#define QUEUE_WIRE_CONFIGS_H

#include "queue/wire/message.h"

#include "queue/wire/describe.h"

/* clang-format off */

/* DescribeConfigs, key 32. v1 synonyms and sources, v3 types and documentation. */
STRUCT(describe_configs_request_resource)
    INT8(resource_type, 0, LAST)
    STRING(resource_name, 0, LAST)
    STRING_ARRAY(configuration_keys, 0, LAST, NULLABLE(0))
END_STRUCT(describe_configs_request_resource)

STRUCT(describe_configs_request)
    ARRAY(describe_configs_request_resource, resources, 0, LAST)
    BOOL(include_synonyms, 1, LAST)
    BOOL(include_documentation, 3, LAST, REQUIRED)
END_STRUCT(describe_configs_request)

MESSAGE(describe_configs_request, 1, 4, 4)

STRUCT(describe_configs_response_synonym)
    STRING(name, 1, LAST)
    STRING(value, 1, LAST, NULLABLE(0))
    INT8(source, 1, LAST)
END_STRUCT(describe_configs_response_synonym)

STRUCT(describe_configs_response_config)
    STRING(name, 0, LAST)
    STRING(value, 0, LAST, NULLABLE(0))
    BOOL(read_only, 0, LAST)
    INT8(config_source, 1, LAST, DEFAULT(-1))
    BOOL(is_sensitive, 0, LAST)
    ARRAY(describe_configs_response_synonym, synonyms, 1, LAST)
    INT8(config_type, 3, LAST)
    STRING(documentation, 3, LAST, NULLABLE(0))
END_STRUCT(describe_configs_response_config)

STRUCT(describe_configs_response_result)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
    INT8(resource_type, 0, LAST)
    STRING(resource_name, 0, LAST)
    ARRAY(describe_configs_response_config, configs, 0, LAST)
END_STRUCT(describe_configs_response_result)

STRUCT(describe_configs_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(describe_configs_response_result, results, 0, LAST)
END_STRUCT(describe_configs_response)

MESSAGE(describe_configs_response, 1, 4, 4)

/* AlterConfigs, key 33. Replaces all of a resource's configuration. */
STRUCT(alter_configs_request_config)
    STRING(name, 0, LAST)
    STRING(value, 0, LAST, NULLABLE(0))
END_STRUCT(alter_configs_request_config)

STRUCT(alter_configs_request_resource)
    INT8(resource_type, 0, LAST)
    STRING(resource_name, 0, LAST)
    ARRAY(alter_configs_request_config, configs, 0, LAST)
END_STRUCT(alter_configs_request_resource)

STRUCT(alter_configs_request)
    ARRAY(alter_configs_request_resource, resources, 0, LAST)
    BOOL(validate_only, 0, LAST)
END_STRUCT(alter_configs_request)

MESSAGE(alter_configs_request, 0, 2, 2)

STRUCT(alter_configs_response_resource)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
    INT8(resource_type, 0, LAST)
    STRING(resource_name, 0, LAST)
END_STRUCT(alter_configs_response_resource)

STRUCT(alter_configs_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(alter_configs_response_resource, responses, 0, LAST)
END_STRUCT(alter_configs_response)

MESSAGE(alter_configs_response, 0, 2, 2)

/* IncrementalAlterConfigs, key 44 */
STRUCT(incremental_alter_configs_request_config)
    STRING(name, 0, LAST)
    INT8(config_operation, 0, LAST)
    STRING(value, 0, LAST, NULLABLE(0))
END_STRUCT(incremental_alter_configs_request_config)

STRUCT(incremental_alter_configs_request_resource)
    INT8(resource_type, 0, LAST)
    STRING(resource_name, 0, LAST)
    ARRAY(incremental_alter_configs_request_config, configs, 0, LAST)
END_STRUCT(incremental_alter_configs_request_resource)

STRUCT(incremental_alter_configs_request)
    ARRAY(incremental_alter_configs_request_resource, resources, 0, LAST)
    BOOL(validate_only, 0, LAST)
END_STRUCT(incremental_alter_configs_request)

MESSAGE(incremental_alter_configs_request, 0, 1, 1)

STRUCT(incremental_alter_configs_response_resource)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
    INT8(resource_type, 0, LAST)
    STRING(resource_name, 0, LAST)
END_STRUCT(incremental_alter_configs_response_resource)

STRUCT(incremental_alter_configs_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(incremental_alter_configs_response_resource, responses, 0, LAST)
END_STRUCT(incremental_alter_configs_response)

MESSAGE(incremental_alter_configs_response, 0, 1, 1)

/* ListConfigResources, key 74. v0 lists client metrics resources only. */
STRUCT(list_config_resources_request)
    INT8_ARRAY(resource_types, 1, LAST, REQUIRED)
END_STRUCT(list_config_resources_request)

MESSAGE(list_config_resources_request, 0, 1, 0)

STRUCT(list_config_resources_response_config_resource)
    STRING(resource_name, 0, LAST)
    INT8(resource_type, 1, LAST, DEFAULT(16))
END_STRUCT(list_config_resources_response_config_resource)

STRUCT(list_config_resources_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 0, LAST)
    ARRAY(list_config_resources_response_config_resource, config_resources, 0, LAST)
END_STRUCT(list_config_resources_response)

MESSAGE(list_config_resources_response, 0, 1, 0)

/* DescribeClientQuotas, key 48 */
STRUCT(describe_client_quotas_request_component)
    STRING(entity_type, 0, LAST)
    INT8(match_type, 0, LAST)
    STRING(match, 0, LAST, NULLABLE(0))
END_STRUCT(describe_client_quotas_request_component)

STRUCT(describe_client_quotas_request)
    ARRAY(describe_client_quotas_request_component, components, 0, LAST)
    BOOL(strict, 0, LAST)
END_STRUCT(describe_client_quotas_request)

MESSAGE(describe_client_quotas_request, 0, 1, 1)

STRUCT(describe_client_quotas_response_entity)
    STRING(entity_type, 0, LAST)
    STRING(entity_name, 0, LAST, NULLABLE(0))
END_STRUCT(describe_client_quotas_response_entity)

STRUCT(describe_client_quotas_response_value)
    STRING(key, 0, LAST)
    FLOAT64(value, 0, LAST)
END_STRUCT(describe_client_quotas_response_value)

STRUCT(describe_client_quotas_response_entry)
    ARRAY(describe_client_quotas_response_entity, entity, 0, LAST)
    ARRAY(describe_client_quotas_response_value, values, 0, LAST)
END_STRUCT(describe_client_quotas_response_entry)

STRUCT(describe_client_quotas_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
    ARRAY(describe_client_quotas_response_entry, entries, 0, LAST, NULLABLE(0))
END_STRUCT(describe_client_quotas_response)

MESSAGE(describe_client_quotas_response, 0, 1, 1)

/* AlterClientQuotas, key 49 */
STRUCT(alter_client_quotas_request_entity)
    STRING(entity_type, 0, LAST)
    STRING(entity_name, 0, LAST, NULLABLE(0))
END_STRUCT(alter_client_quotas_request_entity)

STRUCT(alter_client_quotas_request_op)
    STRING(key, 0, LAST)
    FLOAT64(value, 0, LAST)
    BOOL(remove, 0, LAST)
END_STRUCT(alter_client_quotas_request_op)

STRUCT(alter_client_quotas_request_entry)
    ARRAY(alter_client_quotas_request_entity, entity, 0, LAST)
    ARRAY(alter_client_quotas_request_op, ops, 0, LAST)
END_STRUCT(alter_client_quotas_request_entry)

STRUCT(alter_client_quotas_request)
    ARRAY(alter_client_quotas_request_entry, entries, 0, LAST)
    BOOL(validate_only, 0, LAST)
END_STRUCT(alter_client_quotas_request)

MESSAGE(alter_client_quotas_request, 0, 1, 1)

STRUCT(alter_client_quotas_response_entity)
    STRING(entity_type, 0, LAST)
    STRING(entity_name, 0, LAST, NULLABLE(0))
END_STRUCT(alter_client_quotas_response_entity)

STRUCT(alter_client_quotas_response_entry)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
    ARRAY(alter_client_quotas_response_entity, entity, 0, LAST)
END_STRUCT(alter_client_quotas_response_entry)

STRUCT(alter_client_quotas_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(alter_client_quotas_response_entry, entries, 0, LAST)
END_STRUCT(alter_client_quotas_response)

MESSAGE(alter_client_quotas_response, 0, 1, 1)

/* DescribeLogDirs, key 35 */
STRUCT(describe_log_dirs_request_topic)
    STRING(topic, 0, LAST)
    INT32_ARRAY(partitions, 0, LAST)
END_STRUCT(describe_log_dirs_request_topic)

STRUCT(describe_log_dirs_request)
    ARRAY(describe_log_dirs_request_topic, topics, 0, LAST, NULLABLE(0))
END_STRUCT(describe_log_dirs_request)

MESSAGE(describe_log_dirs_request, 1, 4, 2)

STRUCT(describe_log_dirs_response_partition)
    INT32(partition_index, 0, LAST)
    INT64(partition_size, 0, LAST)
    INT64(offset_lag, 0, LAST)
    BOOL(is_future_key, 0, LAST)
END_STRUCT(describe_log_dirs_response_partition)

STRUCT(describe_log_dirs_response_topic)
    STRING(name, 0, LAST)
    ARRAY(describe_log_dirs_response_partition, partitions, 0, LAST)
END_STRUCT(describe_log_dirs_response_topic)

STRUCT(describe_log_dirs_response_result)
    INT16(error_code, 0, LAST)
    STRING(log_dir, 0, LAST)
    ARRAY(describe_log_dirs_response_topic, topics, 0, LAST)
    INT64(total_bytes, 4, LAST, DEFAULT(-1))
    INT64(usable_bytes, 4, LAST, DEFAULT(-1))
END_STRUCT(describe_log_dirs_response_result)

STRUCT(describe_log_dirs_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 3, LAST)
    ARRAY(describe_log_dirs_response_result, results, 0, LAST)
END_STRUCT(describe_log_dirs_response)

MESSAGE(describe_log_dirs_response, 1, 4, 2)

/* AlterReplicaLogDirs, key 34 */
STRUCT(alter_replica_log_dirs_request_topic)
    STRING(name, 0, LAST)
    INT32_ARRAY(partitions, 0, LAST)
END_STRUCT(alter_replica_log_dirs_request_topic)

STRUCT(alter_replica_log_dirs_request_dir)
    STRING(path, 0, LAST)
    ARRAY(alter_replica_log_dirs_request_topic, topics, 0, LAST)
END_STRUCT(alter_replica_log_dirs_request_dir)

STRUCT(alter_replica_log_dirs_request)
    ARRAY(alter_replica_log_dirs_request_dir, dirs, 0, LAST)
END_STRUCT(alter_replica_log_dirs_request)

MESSAGE(alter_replica_log_dirs_request, 1, 2, 2)

STRUCT(alter_replica_log_dirs_response_partition)
    INT32(partition_index, 0, LAST)
    INT16(error_code, 0, LAST)
END_STRUCT(alter_replica_log_dirs_response_partition)

STRUCT(alter_replica_log_dirs_response_result)
    STRING(topic_name, 0, LAST)
    ARRAY(alter_replica_log_dirs_response_partition, partitions, 0, LAST)
END_STRUCT(alter_replica_log_dirs_response_result)

STRUCT(alter_replica_log_dirs_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(alter_replica_log_dirs_response_result, results, 0, LAST)
END_STRUCT(alter_replica_log_dirs_response)

MESSAGE(alter_replica_log_dirs_response, 1, 2, 2)

/* clang-format on */

#include "queue/wire/describe_done.h"

#endif
