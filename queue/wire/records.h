/* Records of internal topics: the int16 in front of their keys and values, and the schema it names
 * (record_schemas.h).
 *
 *     key:   int16 type, fields             __consumer_offsets: 0, 1 offsets; 2 classic group; 3-8,
 * 16 KIP-848 value: int16 version, fields          __transaction_state: 0 a null value removes the
 * key */
#ifndef QUEUE_WIRE_RECORDS_H
#define QUEUE_WIRE_RECORDS_H

#include "queue/wire/message.h"

struct wire_writer;

struct wire_record_type {
    int16_t key_type;
    int16_t key_type_old; /* also read; the same as key_type where there is none */
    const struct wire_message *key;
    const struct wire_message *value;
    int16_t value_version_written; /* what Kafka writes today */
};

extern const struct wire_record_type wire_offset_commit_record;
extern const struct wire_record_type wire_group_metadata_record;
extern const struct wire_record_type wire_transaction_log_record;

/* The type of a record of __consumer_offsets by its key. MR_EUNSUPPORTED for one that is not known
 * (to be kept and skipped), MR_ETRUNCATED. */
int wire_offsets_record_find(const void *key, size_t size_bytes,
                             const struct wire_record_type **ret_type);

/* Append int16 and fields. Fail as wire_encode does, and leave the writer as it was. */
int wire_record_key_write(const struct wire_record_type *type, const void *key,
                          struct wire_writer *writer);
int wire_record_value_write(const struct wire_record_type *type, int version, const void *value,
                            struct wire_writer *writer);

/* Read them. Fail as wire_decode does; MR_EUNSUPPORTED also for another key type. A value of a
 * version newer than is known is refused, not guessed. */
int wire_record_key_read(const struct wire_record_type *type, const void *data, size_t size_bytes,
                         struct wire_arena *arena, void *ret_key);
int wire_record_value_read(const struct wire_record_type *type, const void *data, size_t size_bytes,
                           struct wire_arena *arena, void *ret_value);

/* Messages within messages (consumer_protocol_subscription, _assignment): int16 version, then
 * fields. A newer version than is known is read by its known beginning, as Kafka's consumers do. */
int wire_versioned_read(const struct wire_message *message, const void *data, size_t size_bytes,
                        struct wire_arena *arena, int16_t *ret_version, void *ret_object);
int wire_versioned_write(const struct wire_message *message, int version, const void *object,
                         struct wire_writer *writer);

#endif
