/* The records of __cluster_metadata-0: our own schema, in Kafka's record batches. A record has no
 * key; its value is int16 type, int16 version, then the fields in the flexible encoding, so that
 * tagged fields can be added without a new version.
 *
 * One change is one batch: after a crash all of its records are there or none. A batch that begins
 * with a SNAPSHOT record holds the whole state; what lies before it is no longer needed. */
#if !defined(QUEUE_META_RECORDS_H) || defined(WIRE_TABLES)
#define QUEUE_META_RECORDS_H

#include "queue/wire/message.h"

#include "queue/wire/describe.h"

/* clang-format off */

/* Type 0: everything known so far is void, the rest of this batch says what is. */
STRUCT(meta_snapshot_record)
    INT64(taken_at_ms, 0, LAST)
END_STRUCT(meta_snapshot_record)

MESSAGE(meta_snapshot_record, 0, 0, 0)

/* Type 1: a topic. */
STRUCT(meta_topic_record)
    UUID(topic_id, 0, LAST)
    STRING(name, 0, LAST)
    INT32(partition_count, 0, LAST)
    INT16(replication_factor, 0, LAST)
END_STRUCT(meta_topic_record)

MESSAGE(meta_topic_record, 0, 0, 0)

/* Type 2: a topic is gone; in a snapshot: its directories may still be there. */
STRUCT(meta_topic_removed_record)
    UUID(topic_id, 0, LAST)
END_STRUCT(meta_topic_removed_record)

MESSAGE(meta_topic_removed_record, 0, 0, 0)

/* Type 3: a topic has more partitions now. */
STRUCT(meta_partitions_record)
    UUID(topic_id, 0, LAST)
    INT32(partition_count, 0, LAST)
END_STRUCT(meta_partitions_record)

MESSAGE(meta_partitions_record, 0, 0, 0)

/* Type 4: one setting of a topic; null: back to its default. */
STRUCT(meta_config_record)
    UUID(topic_id, 0, LAST)
    STRING(name, 0, LAST)
    STRING(value, 0, LAST, NULLABLE(0), DEFAULT_NULL)
END_STRUCT(meta_config_record)

MESSAGE(meta_config_record, 0, 0, 0)

/* Type 5: producer ids below this have been given out, or may have been. */
STRUCT(meta_producer_ids_record)
    INT64(next_producer_id, 0, LAST)
END_STRUCT(meta_producer_ids_record)

MESSAGE(meta_producer_ids_record, 0, 0, 0)

/* Type 6: what is stored of a user's password, for one mechanism (Kafka's numbers). */
STRUCT(meta_scram_record)
    STRING(name, 0, LAST)
    INT8(mechanism, 0, LAST)
    INT32(iterations, 0, LAST)
    BYTES(salt, 0, LAST)
    BYTES(stored_key, 0, LAST)
    BYTES(server_key, 0, LAST)
END_STRUCT(meta_scram_record)

MESSAGE(meta_scram_record, 0, 0, 0)

/* Type 7: that is gone. */
STRUCT(meta_scram_removed_record)
    STRING(name, 0, LAST)
    INT8(mechanism, 0, LAST)
END_STRUCT(meta_scram_removed_record)

MESSAGE(meta_scram_removed_record, 0, 0, 0)

/* Type 8: from what the challenges for users that do not exist are made. */
STRUCT(meta_secret_record)
    BYTES(secret, 0, LAST)
END_STRUCT(meta_secret_record)

MESSAGE(meta_secret_record, 0, 0, 0)

/* Types 9 and 10: a binding of the access control list is there, or gone (Kafka's numbers). */
STRUCT(meta_acl_record)
    INT8(resource, 0, LAST)
    INT8(pattern, 0, LAST)
    INT8(operation, 0, LAST)
    INT8(permission, 0, LAST)
    STRING(name, 0, LAST)
    STRING(principal, 0, LAST)
    STRING(host, 0, LAST)
END_STRUCT(meta_acl_record)

MESSAGE(meta_acl_record, 0, 0, 0)

/* Type 11: one rate of a client quota (Kafka's ClientQuotaRecord); 0: it is gone. */
STRUCT(meta_quota_record_entity)
    STRING(type, 0, LAST)
    STRING(name, 0, LAST, NULLABLE(0), DEFAULT_NULL)
END_STRUCT(meta_quota_record_entity)

STRUCT(meta_quota_record)
    ARRAY(meta_quota_record_entity, entity, 0, LAST)
    STRING(key, 0, LAST)
    FLOAT64(value, 0, LAST)
END_STRUCT(meta_quota_record)

MESSAGE(meta_quota_record, 0, 0, 0)

/* clang-format on */

#include "queue/wire/describe_done.h"

#ifndef QUEUE_META_RECORD_TYPES
#define QUEUE_META_RECORD_TYPES
#include "queue/meta/quotas.h"

enum meta_record_type {
    META_RECORD_SNAPSHOT = 0,
    META_RECORD_TOPIC = 1,
    META_RECORD_TOPIC_REMOVED = 2,
    META_RECORD_PARTITIONS = 3,
    META_RECORD_CONFIG = 4,
    META_RECORD_PRODUCER_IDS = 5,
    META_RECORD_SCRAM = 6,
    META_RECORD_SCRAM_REMOVED = 7,
    META_RECORD_SECRET = 8,
    META_RECORD_ACL = 9,
    META_RECORD_ACL_REMOVED = 10,
    META_RECORD_QUOTA = 11,
    META_RECORD_TYPE_COUNT
};

struct acl_binding;
struct batch_builder;
struct image;
struct mr_scram_credential;
struct quota_entity;

/* Adds one record to the batch; `record` is the struct of this type. 0, MR_ENOMEM, or as
 * batch_builder_add. */
int meta_record_add(struct batch_builder *builder, enum meta_record_type type, const void *record,
                    int64_t now_ms);
int meta_record_add_scram(struct batch_builder *builder, struct wire_string name,
                          const struct mr_scram_credential *credential, int64_t now_ms);
int meta_record_add_acl(struct batch_builder *builder, enum meta_record_type type,
                        const struct acl_binding *binding, int64_t now_ms);
/* One rate of an entity; value 0: it is gone. */
int meta_record_add_quota(struct batch_builder *builder, const struct quota_entity *entity,
                          enum quota_rate rate, double value, int64_t now_ms);
/* Changes the image by the value of one record. MR_EUNSUPPORTED: a type or version from the future;
 * MR_ECORRUPT; MR_ENOMEM. What refers to a topic that is not there does nothing. */
int meta_record_apply(struct image *image, const void *value, size_t size_bytes);
/* Adds the whole state of the mesh topics, SNAPSHOT first. */
int meta_records_snapshot(const struct image *image, struct batch_builder *builder, int64_t now_ms);
#endif

#endif
