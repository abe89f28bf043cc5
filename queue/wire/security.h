/* Authentication, SCRAM credentials, access control lists. */
#if !defined(QUEUE_WIRE_SECURITY_H) || defined(WIRE_TABLES)
#define QUEUE_WIRE_SECURITY_H

#include "queue/wire/message.h"

#include "queue/wire/describe.h"

/* clang-format off */

/* SaslHandshake, key 17. After v0 raw tokens follow, each behind its int32 length; after v1
 * SaslAuthenticate. */
STRUCT(sasl_handshake_request)
    STRING(mechanism, 0, LAST)
END_STRUCT(sasl_handshake_request)

MESSAGE(sasl_handshake_request, 0, 1, WIRE_VERSION_NEVER)

STRUCT(sasl_handshake_response)
    INT16(error_code, 0, LAST)
    STRING_ARRAY(mechanisms, 0, LAST)
END_STRUCT(sasl_handshake_response)

MESSAGE(sasl_handshake_response, 0, 1, WIRE_VERSION_NEVER)

/* SaslAuthenticate, key 36 */
STRUCT(sasl_authenticate_request)
    BYTES(auth_bytes, 0, LAST)
END_STRUCT(sasl_authenticate_request)

MESSAGE(sasl_authenticate_request, 0, 2, 2)

STRUCT(sasl_authenticate_response)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
    BYTES(auth_bytes, 0, LAST)
    INT64(session_lifetime_ms, 1, LAST)
END_STRUCT(sasl_authenticate_response)

MESSAGE(sasl_authenticate_response, 0, 2, 2)

/* DescribeUserScramCredentials, key 50 */
STRUCT(describe_user_scram_credentials_request_user)
    STRING(name, 0, LAST)
END_STRUCT(describe_user_scram_credentials_request_user)

STRUCT(describe_user_scram_credentials_request)
    ARRAY(describe_user_scram_credentials_request_user, users, 0, LAST, NULLABLE(0))
END_STRUCT(describe_user_scram_credentials_request)

MESSAGE(describe_user_scram_credentials_request, 0, 0, 0)

STRUCT(describe_user_scram_credentials_response_credential_info)
    INT8(mechanism, 0, LAST)
    INT32(iterations, 0, LAST)
END_STRUCT(describe_user_scram_credentials_response_credential_info)

STRUCT(describe_user_scram_credentials_response_result)
    STRING(user, 0, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
    ARRAY(describe_user_scram_credentials_response_credential_info, credential_infos, 0, LAST)
END_STRUCT(describe_user_scram_credentials_response_result)

STRUCT(describe_user_scram_credentials_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
    ARRAY(describe_user_scram_credentials_response_result, results, 0, LAST)
END_STRUCT(describe_user_scram_credentials_response)

MESSAGE(describe_user_scram_credentials_response, 0, 0, 0)

/* AlterUserScramCredentials, key 51. The client sends the salted password, never the password. */
STRUCT(alter_user_scram_credentials_request_deletion)
    STRING(name, 0, LAST)
    INT8(mechanism, 0, LAST)
END_STRUCT(alter_user_scram_credentials_request_deletion)

STRUCT(alter_user_scram_credentials_request_upsertion)
    STRING(name, 0, LAST)
    INT8(mechanism, 0, LAST)
    INT32(iterations, 0, LAST)
    BYTES(salt, 0, LAST)
    BYTES(salted_password, 0, LAST)
END_STRUCT(alter_user_scram_credentials_request_upsertion)

STRUCT(alter_user_scram_credentials_request)
    ARRAY(alter_user_scram_credentials_request_deletion, deletions, 0, LAST)
    ARRAY(alter_user_scram_credentials_request_upsertion, upsertions, 0, LAST)
END_STRUCT(alter_user_scram_credentials_request)

MESSAGE(alter_user_scram_credentials_request, 0, 0, 0)

STRUCT(alter_user_scram_credentials_response_result)
    STRING(user, 0, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
END_STRUCT(alter_user_scram_credentials_response_result)

STRUCT(alter_user_scram_credentials_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(alter_user_scram_credentials_response_result, results, 0, LAST)
END_STRUCT(alter_user_scram_credentials_response)

MESSAGE(alter_user_scram_credentials_response, 0, 0, 0)

/* DescribeAcls, key 29 */
STRUCT(describe_acls_request)
    INT8(resource_type_filter, 0, LAST)
    STRING(resource_name_filter, 0, LAST, NULLABLE(0))
    INT8(pattern_type_filter, 1, LAST, DEFAULT(3))
    STRING(principal_filter, 0, LAST, NULLABLE(0))
    STRING(host_filter, 0, LAST, NULLABLE(0))
    INT8(operation, 0, LAST)
    INT8(permission_type, 0, LAST)
END_STRUCT(describe_acls_request)

MESSAGE(describe_acls_request, 1, 3, 2)

STRUCT(describe_acls_response_acl)
    STRING(principal, 0, LAST)
    STRING(host, 0, LAST)
    INT8(operation, 0, LAST)
    INT8(permission_type, 0, LAST)
END_STRUCT(describe_acls_response_acl)

STRUCT(describe_acls_response_resource)
    INT8(resource_type, 0, LAST)
    STRING(resource_name, 0, LAST)
    INT8(pattern_type, 1, LAST, DEFAULT(3))
    ARRAY(describe_acls_response_acl, acls, 0, LAST)
END_STRUCT(describe_acls_response_resource)

STRUCT(describe_acls_response)
    INT32(throttle_time_ms, 0, LAST)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
    ARRAY(describe_acls_response_resource, resources, 0, LAST)
END_STRUCT(describe_acls_response)

MESSAGE(describe_acls_response, 1, 3, 2)

/* CreateAcls, key 30 */
STRUCT(create_acls_request_creation)
    INT8(resource_type, 0, LAST)
    STRING(resource_name, 0, LAST)
    INT8(resource_pattern_type, 1, LAST, DEFAULT(3))
    STRING(principal, 0, LAST)
    STRING(host, 0, LAST)
    INT8(operation, 0, LAST)
    INT8(permission_type, 0, LAST)
END_STRUCT(create_acls_request_creation)

STRUCT(create_acls_request)
    ARRAY(create_acls_request_creation, creations, 0, LAST)
END_STRUCT(create_acls_request)

MESSAGE(create_acls_request, 1, 3, 2)

STRUCT(create_acls_response_result)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
END_STRUCT(create_acls_response_result)

STRUCT(create_acls_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(create_acls_response_result, results, 0, LAST)
END_STRUCT(create_acls_response)

MESSAGE(create_acls_response, 1, 3, 2)

/* DeleteAcls, key 31 */
STRUCT(delete_acls_request_filter)
    INT8(resource_type_filter, 0, LAST)
    STRING(resource_name_filter, 0, LAST, NULLABLE(0))
    INT8(pattern_type_filter, 1, LAST, DEFAULT(3))
    STRING(principal_filter, 0, LAST, NULLABLE(0))
    STRING(host_filter, 0, LAST, NULLABLE(0))
    INT8(operation, 0, LAST)
    INT8(permission_type, 0, LAST)
END_STRUCT(delete_acls_request_filter)

STRUCT(delete_acls_request)
    ARRAY(delete_acls_request_filter, filters, 0, LAST)
END_STRUCT(delete_acls_request)

MESSAGE(delete_acls_request, 1, 3, 2)

STRUCT(delete_acls_response_matching_acl)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
    INT8(resource_type, 0, LAST)
    STRING(resource_name, 0, LAST)
    INT8(pattern_type, 1, LAST, DEFAULT(3))
    STRING(principal, 0, LAST)
    STRING(host, 0, LAST)
    INT8(operation, 0, LAST)
    INT8(permission_type, 0, LAST)
END_STRUCT(delete_acls_response_matching_acl)

STRUCT(delete_acls_response_filter_result)
    INT16(error_code, 0, LAST)
    STRING(error_message, 0, LAST, NULLABLE(0))
    ARRAY(delete_acls_response_matching_acl, matching_acls, 0, LAST)
END_STRUCT(delete_acls_response_filter_result)

STRUCT(delete_acls_response)
    INT32(throttle_time_ms, 0, LAST)
    ARRAY(delete_acls_response_filter_result, filter_results, 0, LAST)
END_STRUCT(delete_acls_response)

MESSAGE(delete_acls_response, 1, 3, 2)

/* clang-format on */

#include "queue/wire/describe_done.h"

#endif
