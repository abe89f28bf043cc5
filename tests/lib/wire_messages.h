/* The described messages that are no API's request or response; with wire_apis these are all there
 * are. */
#ifndef TESTS_LIB_WIRE_MESSAGES_H
#define TESTS_LIB_WIRE_MESSAGES_H

#include "queue/wire/groups.h"
#include "queue/wire/header.h"
#include "queue/wire/record_schemas.h"

static const struct wire_message *const lone_messages[] = {
    &request_header_message,
    &response_header_message,
    &consumer_protocol_subscription_message,
    &consumer_protocol_assignment_message,
    &offset_commit_key_message,
    &offset_commit_value_message,
    &group_metadata_key_message,
    &group_metadata_value_message,
    &transaction_log_key_message,
    &transaction_log_value_message,
    &consumer_group_metadata_key_message,
    &consumer_group_metadata_value_message,
    &consumer_group_partition_metadata_key_message,
    &consumer_group_partition_metadata_value_message,
    &consumer_group_member_metadata_key_message,
    &consumer_group_member_metadata_value_message,
    &consumer_group_target_assignment_metadata_key_message,
    &consumer_group_target_assignment_metadata_value_message,
    &consumer_group_target_assignment_member_key_message,
    &consumer_group_target_assignment_member_value_message,
    &consumer_group_current_member_assignment_key_message,
    &consumer_group_current_member_assignment_value_message,
    &consumer_group_regular_expression_key_message,
    &consumer_group_regular_expression_value_message,
};

#endif
