/* The API keys: which requests and responses there are, at which versions, and the frames around
 * them. */
#ifndef QUEUE_WIRE_API_H
#define QUEUE_WIRE_API_H

#include "queue/wire/message.h"

struct wire_writer;

/* clang-format off */
/* key, enum word, Kafka's name, description. The version range is that of the request's MESSAGE. */
#define WIRE_APIS(X) \
    X(0, PRODUCE, Produce, produce) \
    X(1, FETCH, Fetch, fetch) \
    X(2, LIST_OFFSETS, ListOffsets, list_offsets) \
    X(3, METADATA, Metadata, metadata) \
    X(8, OFFSET_COMMIT, OffsetCommit, offset_commit) \
    X(9, OFFSET_FETCH, OffsetFetch, offset_fetch) \
    X(10, FIND_COORDINATOR, FindCoordinator, find_coordinator) \
    X(11, JOIN_GROUP, JoinGroup, join_group) \
    X(12, HEARTBEAT, Heartbeat, heartbeat) \
    X(13, LEAVE_GROUP, LeaveGroup, leave_group) \
    X(14, SYNC_GROUP, SyncGroup, sync_group) \
    X(15, DESCRIBE_GROUPS, DescribeGroups, describe_groups) \
    X(16, LIST_GROUPS, ListGroups, list_groups) \
    X(17, SASL_HANDSHAKE, SaslHandshake, sasl_handshake) \
    X(18, API_VERSIONS, ApiVersions, api_versions) \
    X(19, CREATE_TOPICS, CreateTopics, create_topics) \
    X(20, DELETE_TOPICS, DeleteTopics, delete_topics) \
    X(21, DELETE_RECORDS, DeleteRecords, delete_records) \
    X(22, INIT_PRODUCER_ID, InitProducerId, init_producer_id) \
    X(23, OFFSET_FOR_LEADER_EPOCH, OffsetForLeaderEpoch, offset_for_leader_epoch) \
    X(24, ADD_PARTITIONS_TO_TXN, AddPartitionsToTxn, add_partitions_to_txn) \
    X(25, ADD_OFFSETS_TO_TXN, AddOffsetsToTxn, add_offsets_to_txn) \
    X(26, END_TXN, EndTxn, end_txn) \
    X(27, WRITE_TXN_MARKERS, WriteTxnMarkers, write_txn_markers) \
    X(28, TXN_OFFSET_COMMIT, TxnOffsetCommit, txn_offset_commit) \
    X(29, DESCRIBE_ACLS, DescribeAcls, describe_acls) \
    X(30, CREATE_ACLS, CreateAcls, create_acls) \
    X(31, DELETE_ACLS, DeleteAcls, delete_acls) \
    X(32, DESCRIBE_CONFIGS, DescribeConfigs, describe_configs) \
    X(33, ALTER_CONFIGS, AlterConfigs, alter_configs) \
    X(34, ALTER_REPLICA_LOG_DIRS, AlterReplicaLogDirs, alter_replica_log_dirs) \
    X(35, DESCRIBE_LOG_DIRS, DescribeLogDirs, describe_log_dirs) \
    X(36, SASL_AUTHENTICATE, SaslAuthenticate, sasl_authenticate) \
    X(37, CREATE_PARTITIONS, CreatePartitions, create_partitions) \
    X(42, DELETE_GROUPS, DeleteGroups, delete_groups) \
    X(43, ELECT_LEADERS, ElectLeaders, elect_leaders) \
    X(44, INCREMENTAL_ALTER_CONFIGS, IncrementalAlterConfigs, incremental_alter_configs) \
    X(45, ALTER_PARTITION_REASSIGNMENTS, AlterPartitionReassignments, alter_partition_reassignments) \
    X(46, LIST_PARTITION_REASSIGNMENTS, ListPartitionReassignments, list_partition_reassignments) \
    X(47, OFFSET_DELETE, OffsetDelete, offset_delete) \
    X(48, DESCRIBE_CLIENT_QUOTAS, DescribeClientQuotas, describe_client_quotas) \
    X(49, ALTER_CLIENT_QUOTAS, AlterClientQuotas, alter_client_quotas) \
    X(50, DESCRIBE_USER_SCRAM_CREDENTIALS, DescribeUserScramCredentials, describe_user_scram_credentials) \
    X(51, ALTER_USER_SCRAM_CREDENTIALS, AlterUserScramCredentials, alter_user_scram_credentials) \
    X(60, DESCRIBE_CLUSTER, DescribeCluster, describe_cluster) \
    X(61, DESCRIBE_PRODUCERS, DescribeProducers, describe_producers) \
    X(65, DESCRIBE_TRANSACTIONS, DescribeTransactions, describe_transactions) \
    X(66, LIST_TRANSACTIONS, ListTransactions, list_transactions) \
    X(68, CONSUMER_GROUP_HEARTBEAT, ConsumerGroupHeartbeat, consumer_group_heartbeat) \
    X(69, CONSUMER_GROUP_DESCRIBE, ConsumerGroupDescribe, consumer_group_describe) \
    X(74, LIST_CONFIG_RESOURCES, ListConfigResources, list_config_resources) \
    X(75, DESCRIBE_TOPIC_PARTITIONS, DescribeTopicPartitions, describe_topic_partitions)
/* clang-format on */

enum wire_api_key {
#define X(key, word, name, type) WIRE_API_##word = key,
    WIRE_APIS(X)
#undef X
        WIRE_API_KEY_END /* one more than the last */
};

struct wire_api {
    int16_t key;
    const char *name;
    const struct wire_message *request;
    const struct wire_message *response;
};

extern const struct wire_api wire_apis[]; /* ascending keys */
extern const size_t wire_api_count;

/* NULL: this program knows no such API. */
const struct wire_api *wire_api_find(int key);
static inline bool wire_api_has_version(const struct wire_api *api, int version)
{
    return wire_message_has_version(api->request, version);
}
/* The range to write into an ApiVersions answer. The lowest version of Produce is shown as 0
 * although requests below 3 are refused: librdkafka before 2.11.1 else sends gzip, snappy and lz4
 * uncompressed (KAFKA-18659). */
int16_t wire_api_version_min_shown(const struct wire_api *api);

/* ---- frames: int32 length, header, body ---- */

enum { WIRE_FRAME_PREFIX_SIZE = 4 };

struct wire_request {
    int16_t api_key;
    int16_t api_version;
    int32_t correlation_id;
    struct wire_string client_id; /* points into the frame */
    const struct wire_api *api;
    const uint8_t *body; /* points into the frame; decode with api->request and api_version */
    size_t body_size_bytes;
};

/* Reads the header of a frame (without its length prefix).
 *   MR_EUNSUPPORTED  unknown API or version: key, version and correlation id are set, client id is
 * not. ApiVersions is to be answered with version 0 and error 35, all else by closing.
 *   MR_ETRUNCATED, MR_ECORRUPT  as wire_decode */
int wire_request_parse(const void *frame, size_t size_bytes, struct wire_request *ret_request);

/* Append a whole frame, with its length prefix (payloads of holes included). Fail as wire_encode
 * does, and with MR_ETOOLARGE beyond 2 GiB; the writer is then as before. */
int wire_request_write(struct wire_writer *writer, const struct wire_api *api, int version,
                       int32_t correlation_id, struct wire_string client_id, const void *request);
int wire_response_write(struct wire_writer *writer, const struct wire_api *api, int version,
                        int32_t correlation_id, const void *response);

/* The correlation id, which says what request a response frame answers, and with it API and
 * version. MR_ETRUNCATED. */
int wire_response_correlation(const void *frame, size_t size_bytes, int32_t *ret_correlation_id);
/* Reads header and body of a response. Fails as wire_decode does. An ApiVersions answer of a node
 * that did not know the version asked for has a version 0 body: decode that again with version 0.
 */
int wire_response_parse(const struct wire_api *api, int version, const void *frame,
                        size_t size_bytes, struct wire_arena *arena, void *ret_response);

#endif
