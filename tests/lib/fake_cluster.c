#include "tests/lib/fake_cluster.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/codec/codec.h"
#include "base/core/memory.h"
#include "queue/wire/batch_check.h"
#include "queue/wire/bytes.h"
#include "queue/wire/cluster.h"
#include "queue/wire/fetch.h"
#include "queue/wire/kafka_error.h"
#include "queue/wire/offsets.h"
#include "queue/wire/produce.h"
#include "queue/wire/topics.h"
#include "queue/wire/transactions.h"
#include "queue/wire/writer.h"

enum { REMEMBERED_BATCHES = 5 };

struct connection {
    struct mr_link link;
    struct fake_node *node;
    struct mr_stream *stream;
    struct mr_bytes in;
};

struct reply {
    struct mr_stream_piece piece;
    struct mr_buf *bytes;
};

/* ---- topics ---- */

struct fake_topic *fake_topic_find(struct fake_cluster *cluster, const char *name)
{
    for (size_t i = 0; i < cluster->topic_count; i++) {
        if (strcmp(cluster->topics[i].name, name) == 0) {
            return &cluster->topics[i];
        }
    }
    return NULL;
}

static struct fake_topic *find(struct fake_cluster *cluster, struct wire_string name)
{
    char text[64];

    (void)snprintf(text, sizeof text, "%.*s", name.size < 0 ? 0 : (int)name.size, name.data);
    return fake_topic_find(cluster, text);
}

struct fake_topic *fake_topic_add(struct fake_cluster *cluster, const char *name,
                                  int32_t partitions)
{
    struct fake_topic *topic = &cluster->topics[cluster->topic_count++];

    mr_assert(cluster->topic_count <= FAKE_TOPICS_MAX && partitions <= FAKE_PARTITIONS_MAX);
    memset(topic, 0, sizeof *topic);
    (void)snprintf(topic->name, sizeof topic->name, "%s", name);
    topic->id = mr_uuid_random(cluster->random);
    topic->partition_count = partitions;
    for (int32_t i = 0; i < partitions; i++) {
        topic->partitions[i].leader = i % cluster->node_count;
    }
    return topic;
}

static void topic_done(struct fake_topic *topic)
{
    for (int32_t i = 0; i < topic->partition_count; i++) {
        mr_free(topic->partitions[i].values);
        mr_free(topic->partitions[i].batches);
    }
}

void fake_topic_remove(struct fake_cluster *cluster, const char *name)
{
    struct fake_topic *topic = fake_topic_find(cluster, name);

    mr_assert(topic != NULL);
    topic_done(topic);
    *topic = cluster->topics[--cluster->topic_count];
}

void fake_partition_truncate(struct fake_partition *partition, size_t count)
{
    while (partition->count > count) {
        const struct fake_batch *last = &partition->batches[--partition->batch_count];
        partition->count = (size_t)last->base_offset;
    }
}

void fake_partition_forget(struct fake_partition *partition)
{
    partition->state_from = partition->batch_count;
}

void fake_cluster_wipe(struct fake_cluster *cluster)
{
    for (size_t i = 0; i < cluster->topic_count; i++) {
        topic_done(&cluster->topics[i]);
    }
    cluster->topic_count = 0;
    (void)snprintf(cluster->cluster_id, sizeof cluster->cluster_id, "cluster-%u",
                   (unsigned)mr_random_below(cluster->random, 1000000));
}

/* ---- producing ---- */

static const struct fake_batch *last_batch_of(const struct fake_partition *partition,
                                              int64_t producer_id)
{
    for (size_t i = partition->batch_count; i-- > partition->state_from;) {
        if (partition->batches[i].producer_id == producer_id) {
            return &partition->batches[i];
        }
    }
    return NULL;
}

static const struct fake_batch *duplicate_of(const struct fake_partition *partition,
                                             const struct batch_header *header)
{
    int seen = 0;

    for (size_t i = partition->batch_count;
         i-- > partition->state_from && seen < REMEMBERED_BATCHES;) {
        const struct fake_batch *batch = &partition->batches[i];
        if (batch->producer_id != header->producer_id || batch->epoch != header->producer_epoch) {
            continue;
        }
        seen++;
        if (batch->base_sequence == header->base_sequence && batch->count == header->record_count) {
            return batch;
        }
    }
    return NULL;
}

/* A Kafka code; DUPLICATE_SEQUENCE_NUMBER with the offset it got then. */
static int16_t check_sequence(const struct fake_partition *partition,
                              const struct batch_header *header, int64_t *ret_base_offset)
{
    const struct fake_batch *last = last_batch_of(partition, header->producer_id);
    const struct fake_batch *same = duplicate_of(partition, header);

    if (last == NULL) {
        return 0;
    }
    if (header->producer_epoch < last->epoch) {
        return KAFKA_INVALID_PRODUCER_EPOCH;
    }
    if (header->producer_epoch > last->epoch) {
        return header->base_sequence == 0 ? 0 : KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    }
    if (same != NULL) {
        *ret_base_offset = same->base_offset;
        return KAFKA_DUPLICATE_SEQUENCE_NUMBER;
    }
    return header->base_sequence == batch_sequence_add(last->base_sequence, last->count)
               ? 0
               : KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
}

static void keep_batch(struct fake_partition *partition, const struct batch_header *header,
                       const int64_t *values)
{
    struct fake_batch batch = {(int64_t)partition->count, header->record_count, header->producer_id,
                               header->producer_epoch, header->base_sequence};

    mr_assert(mr_grow(&partition->batches, &partition->batch_capacity, partition->batch_count + 1,
                      sizeof batch) == 0);
    mr_assert(mr_grow(&partition->values, &partition->capacity,
                      partition->count + (size_t)header->record_count, sizeof *values) == 0);
    partition->batches[partition->batch_count++] = batch;
    memcpy(partition->values + partition->count, values,
           (size_t)header->record_count * sizeof *values);
    partition->count += (size_t)header->record_count;
}

/* The numbers in the batch; false: the poison is among them. */
static bool read_values(const struct fake_cluster *cluster, const uint8_t *batch,
                        const struct batch_header *header, struct mr_codec_context *codecs,
                        int64_t *values)
{
    struct mr_bytes scratch;
    struct batch_iterator iterator;
    struct batch_record record;
    const uint8_t *records;
    size_t size;
    bool is_good = true;

    mr_bytes_init(&scratch);
    mr_assert(batch_records(batch, header, 1 << 26, codecs, &scratch, &records, &size) == 0);
    batch_iterator_init(&iterator, header, records, size);
    for (int i = 0; batch_iterator_next(&iterator, &record) == 1; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "%.*s", (int)record.value_size,
                       (const char *)record.value);
        values[i] = strtoll(text, NULL, 10);
        is_good = is_good && values[i] != cluster->poison_value;
    }
    mr_bytes_done(&scratch);
    return is_good;
}

static int16_t take_batch(struct fake_cluster *cluster, struct fake_partition *partition,
                          const struct wire_records *records, int64_t *ret_base_offset)
{
    struct mr_codec_context *codecs;
    struct mr_bytes scratch;
    struct batch_check_result result;
    struct batch_check check = {.batch_size_bytes_max = SIZE_MAX,
                                .records_size_bytes_max = 1 << 26,
                                .timestamp_before_ms = INT64_MIN,
                                .timestamp_after_ms = INT64_MAX,
                                .scratch = &scratch};
    int16_t code;
    int64_t *values = NULL;

    if (cluster->batch_size_bytes_max > 0 &&
        (size_t)records->size > cluster->batch_size_bytes_max) {
        return KAFKA_MESSAGE_TOO_LARGE;
    }
    mr_assert(mr_codec_context_new(&codecs) == 0);
    mr_bytes_init(&scratch);
    check.codecs = codecs;
    code = batch_check(&check, records->data, (size_t)records->size, &result);
    if (code == 0) {
        values = mr_calloc((size_t)result.header.record_count, sizeof *values);
        if (!read_values(cluster, records->data, &result.header, codecs, values)) {
            code = KAFKA_INVALID_RECORD;
        }
    }
    if (code == 0) {
        *ret_base_offset = (int64_t)partition->count;
        code = check_sequence(partition, &result.header, ret_base_offset);
        cluster->duplicates += code == KAFKA_DUPLICATE_SEQUENCE_NUMBER;
        cluster->out_of_order += code == KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
        if (code == 0) {
            keep_batch(partition, &result.header, values);
        } else if (code == KAFKA_DUPLICATE_SEQUENCE_NUMBER) {
            code = 0;
        }
    }
    mr_free(values);
    mr_bytes_done(&scratch);
    mr_codec_context_free(codecs);
    return code;
}

/* ---- handlers: fill the answer ---- */

static int16_t injected(struct fake_cluster *cluster, int key)
{
    if (cluster->errors[key] <= 0) {
        return 0;
    }
    cluster->errors[key]--;
    return cluster->error[key];
}

static struct fake_partition *partition_of(struct fake_node *node, struct wire_string name,
                                           int32_t index, int16_t *ret_code)
{
    struct fake_topic *topic = find(node->cluster, name);

    if (topic == NULL || index < 0 || index >= topic->partition_count) {
        *ret_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
        return NULL;
    }
    *ret_code = topic->partitions[index].leader == node->id ? 0 : KAFKA_NOT_LEADER_OR_FOLLOWER;
    return &topic->partitions[index];
}

static void on_produce(struct fake_node *node, struct wire_arena *arena,
                       const struct produce_request *request, struct produce_response *answer)
{
    produce_response_init(answer);
    answer->throttle_time_ms = node->cluster->throttle_ms;
    (void)produce_response_topic_array_make(arena, &answer->responses, request->topic_data.count);
    for (int32_t i = 0; i < request->topic_data.count; i++) {
        const struct produce_request_topic *topic = &request->topic_data.items[i];
        struct produce_response_topic *out = &answer->responses.items[i];
        out->name = topic->name;
        (void)produce_response_partition_array_make(arena, &out->partition_responses,
                                                    topic->partition_data.count);
        for (int32_t j = 0; j < topic->partition_data.count; j++) {
            const struct produce_request_partition *item = &topic->partition_data.items[j];
            struct produce_response_partition *to = &out->partition_responses.items[j];
            struct fake_partition *partition =
                partition_of(node, topic->name, item->index, &to->error_code);
            to->index = item->index;
            to->base_offset = -1;
            if (to->error_code == 0) {
                to->error_code = injected(node->cluster, WIRE_API_PRODUCE);
            }
            if (to->error_code == 0) {
                to->error_code =
                    take_batch(node->cluster, partition, &item->records, &to->base_offset);
            }
        }
    }
}

static void on_metadata(struct fake_node *node, struct wire_arena *arena,
                        const struct metadata_request *request, struct metadata_response *answer)
{
    struct fake_cluster *cluster = node->cluster;

    metadata_response_init(answer);
    answer->throttle_time_ms = cluster->throttle_ms;
    (void)metadata_response_broker_array_make(arena, &answer->brokers, cluster->node_count);
    for (int i = 0; i < cluster->node_count; i++) {
        answer->brokers.items[i].node_id = i;
        answer->brokers.items[i].host = wire_text(cluster->nodes[i].address.host);
        answer->brokers.items[i].port = cluster->nodes[i].address.port;
    }
    answer->cluster_id = wire_text(cluster->cluster_id);
    answer->controller_id = 0;
    (void)metadata_response_topic_array_make(arena, &answer->topics,
                                             request->topics.count < 0 ? 0 : request->topics.count);
    for (int32_t i = 0; i < answer->topics.count; i++) {
        struct metadata_response_topic *out = &answer->topics.items[i];
        struct fake_topic *topic = find(cluster, request->topics.items[i].name);
        out->name = request->topics.items[i].name;
        out->error_code = topic == NULL ? (int16_t)KAFKA_UNKNOWN_TOPIC_OR_PARTITION : (int16_t)0;
        if (topic == NULL) {
            continue;
        }
        out->topic_id = topic->id;
        (void)metadata_response_partition_array_make(arena, &out->partitions,
                                                     topic->partition_count);
        for (int32_t j = 0; j < topic->partition_count; j++) {
            out->partitions.items[j].partition_index = j;
            out->partitions.items[j].leader_id = topic->partitions[j].leader;
        }
    }
}

static void on_create_topics(struct fake_node *node, struct wire_arena *arena,
                             const struct create_topics_request *request,
                             struct create_topics_response *answer)
{
    create_topics_response_init(answer);
    (void)create_topics_response_topic_array_make(arena, &answer->topics, request->topics.count);
    for (int32_t i = 0; i < request->topics.count; i++) {
        const struct create_topics_request_topic *topic = &request->topics.items[i];
        struct create_topics_response_topic *out = &answer->topics.items[i];
        char name[64];
        out->name = topic->name;
        out->error_code = injected(node->cluster, WIRE_API_CREATE_TOPICS);
        if (out->error_code == 0 && find(node->cluster, topic->name) != NULL) {
            out->error_code = KAFKA_TOPIC_ALREADY_EXISTS;
        }
        if (out->error_code == 0) {
            (void)snprintf(name, sizeof name, "%.*s", (int)topic->name.size, topic->name.data);
            (void)fake_topic_add(node->cluster, name,
                                 topic->num_partitions < 0 ? node->cluster->default_partitions
                                                           : topic->num_partitions);
        }
    }
}

static void describe_partition(struct wire_arena *arena, const struct fake_partition *partition,
                               const struct wire_int64_array *filter,
                               struct describe_producers_response_partition *out)
{
    (void)describe_producers_response_active_producer_array_make(
        arena, &out->active_producers, filter->count > 0 ? filter->count : 0);
    out->active_producers.count = 0;
    for (int32_t i = 0; i < filter->count; i++) {
        const struct fake_batch *last = last_batch_of(partition, filter->items[i]);
        if (last != NULL) {
            struct describe_producers_response_active_producer *to =
                &out->active_producers.items[out->active_producers.count++];
            to->producer_id = last->producer_id;
            to->producer_epoch = last->epoch;
            to->last_sequence = batch_sequence_add(last->base_sequence, last->count - 1);
        }
    }
}

static void on_describe_producers(struct fake_node *node, struct wire_arena *arena,
                                  const struct describe_producers_request *request,
                                  struct describe_producers_response *answer)
{
    describe_producers_response_init(answer);
    (void)describe_producers_response_topic_array_make(arena, &answer->topics,
                                                       request->topics.count);
    for (int32_t i = 0; i < request->topics.count; i++) {
        const struct describe_producers_request_topic *topic = &request->topics.items[i];
        struct describe_producers_response_topic *out = &answer->topics.items[i];
        out->name = topic->name;
        (void)describe_producers_response_partition_array_make(arena, &out->partitions,
                                                               topic->partition_indexes.count);
        for (int32_t j = 0; j < topic->partition_indexes.count; j++) {
            struct describe_producers_response_partition *to = &out->partitions.items[j];
            struct fake_partition *partition;
            to->partition_index = topic->partition_indexes.items[j];
            partition = partition_of(node, topic->name, to->partition_index, &to->error_code);
            if (to->error_code == 0) {
                to->error_code = injected(node->cluster, WIRE_API_DESCRIBE_PRODUCERS);
            }
            if (to->error_code == 0) {
                describe_partition(arena, partition, &request->producer_ids, to);
            }
        }
    }
}

static void on_list_offsets(struct fake_node *node, struct wire_arena *arena,
                            const struct list_offsets_request *request,
                            struct list_offsets_response *answer)
{
    list_offsets_response_init(answer);
    (void)list_offsets_response_topic_array_make(arena, &answer->topics, request->topics.count);
    for (int32_t i = 0; i < request->topics.count; i++) {
        const struct list_offsets_request_topic *topic = &request->topics.items[i];
        struct list_offsets_response_topic *out = &answer->topics.items[i];
        out->name = topic->name;
        (void)list_offsets_response_partition_array_make(arena, &out->partitions,
                                                         topic->partitions.count);
        for (int32_t j = 0; j < topic->partitions.count; j++) {
            struct list_offsets_response_partition *to = &out->partitions.items[j];
            struct fake_partition *partition;
            to->partition_index = topic->partitions.items[j].partition_index;
            partition = partition_of(node, topic->name, to->partition_index, &to->error_code);
            to->offset = to->error_code == 0 ? (int64_t)partition->count : -1;
        }
    }
}

static void on_find_coordinator(struct fake_node *node, struct wire_arena *arena,
                                const struct find_coordinator_request *request,
                                struct find_coordinator_response *answer)
{
    int32_t id = node->cluster->node_count - 1;

    find_coordinator_response_init(answer);
    answer->node_id = id;
    (void)find_coordinator_response_coordinator_array_make(arena, &answer->coordinators,
                                                           request->coordinator_keys.count);
    for (int32_t i = 0; i < request->coordinator_keys.count; i++) {
        answer->coordinators.items[i].key = request->coordinator_keys.items[i];
        answer->coordinators.items[i].node_id = id;
    }
}

static const int served[] = {WIRE_API_PRODUCE,           WIRE_API_LIST_OFFSETS,
                             WIRE_API_METADATA,          WIRE_API_FIND_COORDINATOR,
                             WIRE_API_API_VERSIONS,      WIRE_API_CREATE_TOPICS,
                             WIRE_API_DESCRIBE_PRODUCERS};

/* The fake knows topics by name only, so it stops below the versions that name them by id. */
static int16_t version_max_of(const struct fake_cluster *cluster, int key)
{
    int16_t max = wire_api_find(key)->request->version_max;

    if (key == WIRE_API_PRODUCE) {
        max = 12;
    }
    return cluster->version_max[key] != 0 && cluster->version_max[key] < max
               ? cluster->version_max[key]
               : max;
}

static void on_api_versions(struct fake_node *node, struct wire_arena *arena, int16_t code,
                            struct api_versions_response *answer)
{
    int32_t count = 0;

    api_versions_response_init(answer);
    answer->error_code = code;
    (void)api_versions_response_api_key_array_make(arena, &answer->api_keys,
                                                   (int32_t)(sizeof served / sizeof served[0]));
    for (size_t i = 0; i < sizeof served / sizeof served[0]; i++) {
        int16_t max = version_max_of(node->cluster, served[i]);
        if (max >= 0) {
            answer->api_keys.items[count++] = (struct api_versions_response_api_key){
                (int16_t)served[i], wire_api_version_min_shown(wire_api_find(served[i])), max};
        }
    }
    answer->api_keys.count = count;
}

/* ---- connections ---- */

static void connection_free(struct connection *connection)
{
    mr_list_remove(&connection->link);
    if (connection->stream != NULL) {
        mr_stream_close(connection->stream, true);
    }
    mr_bytes_done(&connection->in);
    mr_free(connection);
}

static void on_sent(struct mr_stream_piece *piece, int rc)
{
    struct reply *reply = piece->owner;

    (void)rc;
    mr_buf_unref(reply->bytes);
    mr_free(reply);
}

static void send_answer(struct connection *connection, const struct wire_request *request,
                        int version, const void *answer)
{
    struct wire_writer writer;
    struct reply *reply = mr_calloc(1, sizeof *reply);

    wire_writer_init(&writer);
    mr_assert(
        wire_response_write(&writer, request->api, version, request->correlation_id, answer) == 0);
    reply->bytes = mr_bytes_take(&writer.bytes);
    wire_writer_done(&writer);
    reply->piece.slice =
        (struct mr_slice){.data = reply->bytes->data, .size_bytes = reply->bytes->size_bytes};
    reply->piece.sent = on_sent;
    reply->piece.owner = reply;
    if (mr_stream_send(connection->stream, &reply->piece) != 0) {
        on_sent(&reply->piece, 0);
    }
}

static void dispatch(struct fake_node *node, struct wire_arena *arena,
                     const struct wire_request *request, const void *message, void *answer)
{
    switch (request->api_key) {
    case WIRE_API_PRODUCE:
        on_produce(node, arena, message, answer);
        break;
    case WIRE_API_METADATA:
        on_metadata(node, arena, message, answer);
        break;
    case WIRE_API_CREATE_TOPICS:
        on_create_topics(node, arena, message, answer);
        break;
    case WIRE_API_DESCRIBE_PRODUCERS:
        on_describe_producers(node, arena, message, answer);
        break;
    case WIRE_API_LIST_OFFSETS:
        on_list_offsets(node, arena, message, answer);
        break;
    case WIRE_API_FIND_COORDINATOR:
        on_find_coordinator(node, arena, message, answer);
        break;
    default:
        on_api_versions(node, arena, 0, answer);
        break;
    }
}

static bool chance(struct fake_cluster *cluster, int percent)
{
    return percent > 0 && mr_random_below(cluster->random, 100) < (uint64_t)percent;
}

/* false: the connection is to end. */
static bool handle(struct connection *connection, const uint8_t *frame, size_t size)
{
    struct fake_node *node = connection->node;
    struct fake_cluster *cluster = node->cluster;
    struct wire_request request;
    struct wire_arena arena;
    bool goes_on = true;
    int rc = wire_request_parse(frame, size, &request);

    mr_assert(rc == 0);
    cluster->requests[request.api_key]++;
    if (cluster->is_silent) {
        return true;
    }
    wire_arena_init(&arena, 64 << 20);
    void *message = wire_arena_alloc(&arena, request.api->request->body->size_bytes);
    void *answer = wire_arena_alloc(&arena, request.api->response->body->size_bytes);
    if (request.api_version > version_max_of(cluster, request.api_key)) {
        mr_assert(request.api_key == WIRE_API_API_VERSIONS);
        on_api_versions(node, &arena, KAFKA_UNSUPPORTED_VERSION, answer);
        send_answer(connection, &request, 0, answer);
    } else if (request.api_key == WIRE_API_PRODUCE &&
               chance(cluster, cluster->cut_before_percent)) {
        goes_on = false;
    } else {
        rc = wire_decode(request.api->request, request.api_version, request.body,
                         request.body_size_bytes, &arena, message);
        mr_assert(rc == 0);
        dispatch(node, &arena, &request, message, answer);
        goes_on =
            request.api_key != WIRE_API_PRODUCE || !chance(cluster, cluster->cut_after_percent);
        if (goes_on) {
            send_answer(connection, &request, request.api_version, answer);
        }
    }
    wire_arena_done(&arena);
    return goes_on;
}

static void on_readable(struct mr_stream *stream, void *owner)
{
    struct connection *connection = owner;
    struct mr_bytes *in = &connection->in;
    size_t at = 0;
    ssize_t got;

    mr_assert(mr_bytes_reserve(in, 1 << 20) == 0);
    got = mr_stream_read(stream, in->data + in->size_bytes, 1 << 20);
    if (got == MR_EAGAIN) {
        return;
    }
    if (got < 0) {
        connection_free(connection);
        return;
    }
    in->size_bytes += (size_t)got;
    while (in->size_bytes - at >= 4 &&
           in->size_bytes - at - 4 >= (size_t)wire_get_int32(in->data + at)) {
        size_t size = (size_t)wire_get_int32(in->data + at);
        if (!handle(connection, in->data + at + 4, size)) {
            connection_free(connection);
            return;
        }
        at += 4 + size;
    }
    memmove(in->data, in->data + at, in->size_bytes - at);
    in->size_bytes -= at;
}

static void on_failed(struct mr_stream *stream, void *owner, int code)
{
    (void)stream;
    (void)code;
    connection_free(owner);
}

static const struct mr_stream_events events = {.on_readable = on_readable, .on_failed = on_failed};

static void on_accepted(struct mr_listener *listener, void *owner, struct mr_stream *stream)
{
    struct fake_node *node = owner;
    struct connection *connection = mr_calloc(1, sizeof *connection);

    (void)listener;
    connection->node = node;
    connection->stream = stream;
    mr_bytes_init(&connection->in);
    mr_list_append(&node->connections, &connection->link);
    node->cluster->connections++;
    mr_stream_set_events(stream, &events, connection);
}

/* ---- nodes ---- */

/* A free port that is ours from now on; a listener may come beside it. */
static int port_take(uint16_t *ret_port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    mr_assert(fd >= 0);
    mr_assert(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    mr_assert(bind(fd, (struct sockaddr *)(void *)&name, sizeof name) == 0);
    mr_assert(getsockname(fd, (struct sockaddr *)(void *)&name, &size) == 0);
    *ret_port = ntohs(name.sin_port);
    return fd;
}

void fake_node_start(struct fake_node *node)
{
    const struct mr_listen_options options = {.inherited_fd = -1};
    struct mr_error error;

    mr_assert(node->listener == NULL);
    mr_assert(mr_net_listen(node->cluster->net, &node->address, &options, on_accepted, node,
                            &node->listener, &error) == 0);
}

void fake_node_cut(struct fake_node *node)
{
    mr_list_each(&node->connections, link, next)
    {
        connection_free(mr_container(link, struct connection, link));
    }
}

void fake_node_stop(struct fake_node *node)
{
    fake_node_cut(node);
    if (node->listener != NULL) {
        mr_listener_close(node->listener);
        node->listener = NULL;
    }
}

struct fake_cluster *fake_cluster_new(struct mr_loop *loop, struct mr_net *net,
                                      struct mr_random *random, int node_count)
{
    struct fake_cluster *cluster = mr_calloc(1, sizeof *cluster);

    cluster->loop = loop;
    cluster->net = net;
    cluster->random = random;
    cluster->node_count = node_count;
    cluster->default_partitions = 1;
    cluster->poison_value = -1;
    (void)snprintf(cluster->cluster_id, sizeof cluster->cluster_id, "cluster-one");
    for (int i = 0; i < node_count; i++) {
        struct fake_node *node = &cluster->nodes[i];
        node->cluster = cluster;
        node->id = i;
        mr_list_init(&node->connections);
        mr_assert(mr_address_parse("127.0.0.1:0", 0, &node->address, NULL) == 0);
        node->port_fd = port_take(&node->address.port);
        fake_node_start(node);
    }
    return cluster;
}

void fake_cluster_free(struct fake_cluster *cluster)
{
    for (int i = 0; i < cluster->node_count; i++) {
        fake_node_stop(&cluster->nodes[i]);
        (void)close(cluster->nodes[i].port_fd);
    }
    for (size_t i = 0; i < cluster->topic_count; i++) {
        topic_done(&cluster->topics[i]);
    }
    mr_free(cluster);
}
