#include "queue/wire/records.h"

#include "base/core/error.h"
#include "queue/wire/bytes.h"
#include "queue/wire/record_schemas.h"
#include "queue/wire/writer.h"

/* Value version 3 is what every Kafka since 2.1 can read; 4 only adds a topic id. */
const struct wire_record_type wire_offset_commit_record = {1, 0, &offset_commit_key_message,
                                                           &offset_commit_value_message, 3};
const struct wire_record_type wire_group_metadata_record = {2, 2, &group_metadata_key_message,
                                                            &group_metadata_value_message, 3};
const struct wire_record_type wire_transaction_log_record = {0, 0, &transaction_log_key_message,
                                                             &transaction_log_value_message, 1};

static const struct wire_record_type consumer_group_records[] = {
    {3, 3, &consumer_group_metadata_key_message, &consumer_group_metadata_value_message, 0},
    {4, 4, &consumer_group_partition_metadata_key_message,
     &consumer_group_partition_metadata_value_message, 0},
    {5, 5, &consumer_group_member_metadata_key_message,
     &consumer_group_member_metadata_value_message, 0},
    {6, 6, &consumer_group_target_assignment_metadata_key_message,
     &consumer_group_target_assignment_metadata_value_message, 0},
    {7, 7, &consumer_group_target_assignment_member_key_message,
     &consumer_group_target_assignment_member_value_message, 0},
    {8, 8, &consumer_group_current_member_assignment_key_message,
     &consumer_group_current_member_assignment_value_message, 0},
    {16, 16, &consumer_group_regular_expression_key_message,
     &consumer_group_regular_expression_value_message, 0},
};

static bool has_key_type(const struct wire_record_type *type, int key_type)
{
    return type->key_type == key_type || type->key_type_old == key_type;
}

int wire_offsets_record_find(const void *key, size_t size_bytes,
                             const struct wire_record_type **ret_type)
{
    int key_type;

    if (size_bytes < 2) {
        return MR_ETRUNCATED;
    }
    key_type = wire_get_int16(key);
    if (has_key_type(&wire_offset_commit_record, key_type)) {
        *ret_type = &wire_offset_commit_record;
        return 0;
    }
    if (has_key_type(&wire_group_metadata_record, key_type)) {
        *ret_type = &wire_group_metadata_record;
        return 0;
    }
    for (size_t i = 0; i < sizeof consumer_group_records / sizeof consumer_group_records[0]; i++) {
        if (consumer_group_records[i].key_type == key_type) {
            *ret_type = &consumer_group_records[i];
            return 0;
        }
    }
    return MR_EUNSUPPORTED;
}

static int write_numbered(const struct wire_message *message, int number, int version,
                          const void *object, struct wire_writer *writer)
{
    size_t size_before = writer->bytes.size_bytes;
    int rc;

    wire_write_int16(writer, (int16_t)number);
    rc = wire_encode(message, version, object, writer);
    if (rc != 0) {
        writer->bytes.size_bytes = size_before;
        writer->bytes.failed = 0;
        writer->failed = 0;
    }
    return rc;
}

int wire_record_key_write(const struct wire_record_type *type, const void *key,
                          struct wire_writer *writer)
{
    return write_numbered(type->key, type->key_type, 0, key, writer);
}

int wire_record_value_write(const struct wire_record_type *type, int version, const void *value,
                            struct wire_writer *writer)
{
    return write_numbered(type->value, version, version, value, writer);
}

int wire_record_key_read(const struct wire_record_type *type, const void *data, size_t size_bytes,
                         struct wire_arena *arena, void *ret_key)
{
    if (size_bytes < 2) {
        return MR_ETRUNCATED;
    }
    if (!has_key_type(type, wire_get_int16(data))) {
        return MR_EUNSUPPORTED;
    }
    return wire_decode(type->key, 0, (const uint8_t *)data + 2, size_bytes - 2, arena, ret_key);
}

int wire_record_value_read(const struct wire_record_type *type, const void *data, size_t size_bytes,
                           struct wire_arena *arena, void *ret_value)
{
    if (size_bytes < 2) {
        return MR_ETRUNCATED;
    }
    return wire_decode(type->value, wire_get_int16(data), (const uint8_t *)data + 2, size_bytes - 2,
                       arena, ret_value);
}

int wire_versioned_read(const struct wire_message *message, const void *data, size_t size_bytes,
                        struct wire_arena *arena, int16_t *ret_version, void *ret_object)
{
    int16_t version;
    size_t used_bytes = 0;
    int rc;

    if (size_bytes < 2) {
        return MR_ETRUNCATED;
    }
    version = wire_get_int16(data);
    if (version < 0) {
        return MR_ECORRUPT;
    }
    rc = wire_decode_prefix(
        message, version > message->version_max ? message->version_max : version,
        (const uint8_t *)data + 2, size_bytes - 2, arena, ret_object, &used_bytes);
    if (rc == 0) {
        *ret_version = version;
    }
    return rc;
}

int wire_versioned_write(const struct wire_message *message, int version, const void *object,
                         struct wire_writer *writer)
{
    return write_numbered(message, version, version, object, writer);
}
