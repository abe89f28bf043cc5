/* Producer ids, and what a partition remembers of its producers. */
#include <limits.h>

#include "base/core/error.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/produce.h"
#include "queue/wire/transactions.h"

static void respond_producer_id(struct request *request, int16_t error, int64_t producer_id)
{
    struct init_producer_id_response response;

    init_producer_id_response_init(&response);
    response.error_code = error;
    response.producer_id = error == KAFKA_NONE ? producer_id : -1;
    response.producer_epoch = error == KAFKA_NONE ? 0 : -1;
    request_count_error(request, error);
    request_respond(request, &response);
}

static void on_producer_id(struct meta_change *change)
{
    respond_producer_id(change->owner, change->error, change->producer_id);
}

/* For idempotence: each call gives a fresh id with epoch 0, never one with bit 62 set, which are
 * the lineages of peers. Transactions are not supported: fatal for the client, which says so. */
void api_init_producer_id(struct request *request)
{
    const struct init_producer_id_request *body = request->body;
    struct meta_change *change;

    if (body->transactional_id.size < 0 &&
        !request_may_somewhere(request, OPERATION_WRITE, RESOURCE_TOPIC) &&
        !request_may(request, OPERATION_IDEMPOTENT_WRITE, RESOURCE_CLUSTER, wire_text(NULL))) {
        respond_producer_id(request, KAFKA_CLUSTER_AUTHORIZATION_FAILED, -1);
        return;
    }
    if (body->transactional_id.size >= 0 &&
        !request_may(request, OPERATION_WRITE, RESOURCE_TRANSACTIONAL_ID, body->transactional_id)) {
        respond_producer_id(request, KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1);
        return;
    }
    if ((body->producer_id == -1) != (body->producer_epoch == -1)) {
        respond_producer_id(request, KAFKA_INVALID_REQUEST, -1);
        return;
    }
    if (body->transactional_id.size >= 0) {
        respond_producer_id(request, KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1);
        return;
    }
    change = request_alloc(request, sizeof *change);
    if (change == NULL) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    *change =
        (struct meta_change){.kind = META_TAKE_PRODUCER_ID, .cb = on_producer_id, .owner = request};
    meta_submit(request->broker->meta, change);
}

/* ---- DescribeProducers, with our tagged filter by id (a peer asks for its own lineage) ---- */

struct describe {
    struct request *request;
    struct describe_producers_response_partition *out;
    int32_t capacity;
};

static void fill_producer(const struct log_producer *producer,
                          struct describe_producers_response_active_producer *out)
{
    out->producer_id = producer->producer_id;
    out->producer_epoch = producer->epoch;
    out->last_sequence = producer->last_sequence;
    out->last_timestamp = producer->last_timestamp_ms;
    out->coordinator_epoch = -1;
    out->current_txn_start_offset = -1;
}

static void on_producer(void *owner, const struct log_producer *producer)
{
    struct describe *describe = owner;

    if (describe->out->active_producers.count < describe->capacity) {
        fill_producer(
            producer,
            &describe->out->active_producers.items[describe->out->active_producers.count++]);
    }
}

static void count_producer(void *owner, const struct log_producer *producer)
{
    (void)producer;
    *(int32_t *)owner += 1;
}

static int describe_named(struct request *request, const struct log *log,
                          struct describe_producers_response_partition *out)
{
    const struct describe_producers_request *body = request->body;
    int32_t count = 0;
    int rc = describe_producers_response_active_producer_array_make(
        &request->arena, &out->active_producers, body->producer_ids.count);

    for (int32_t i = 0; rc == 0 && i < body->producer_ids.count; i++) {
        struct log_producer producer;
        if (log_producer_get(log, body->producer_ids.items[i], &producer)) {
            fill_producer(&producer, &out->active_producers.items[count++]);
        }
    }
    out->active_producers.count = count;
    return rc;
}

static int describe_all(struct request *request, const struct log *log,
                        struct describe_producers_response_partition *out)
{
    struct describe describe = {.request = request, .out = out};
    int rc;

    log_producers_each(log, count_producer, &describe.capacity);
    rc = describe_producers_response_active_producer_array_make(
        &request->arena, &out->active_producers, describe.capacity);
    if (rc == 0) {
        out->active_producers.count = 0;
        log_producers_each(log, on_producer, &describe);
    }
    return rc;
}

static int describe_partition(struct request *request, const struct image_topic *topic,
                              int16_t topic_error,
                              struct describe_producers_response_partition *out)
{
    const struct describe_producers_request *body = request->body;
    const struct partition *partition;

    out->error_code = topic_error;
    partition =
        topic == NULL ? NULL : request_partition(topic, out->partition_index, &out->error_code);
    if (out->error_code != KAFKA_NONE) {
        out->error_message = wire_text(kafka_error_name(out->error_code));
    }
    if (partition == NULL || partition->log == NULL) {
        return 0;
    }
    return body->producer_ids.count > 0 ? describe_named(request, partition->log, out)
                                        : describe_all(request, partition->log, out);
}

void api_describe_producers(struct request *request)
{
    const struct describe_producers_request *body = request->body;
    struct describe_producers_response response;
    int rc;

    describe_producers_response_init(&response);
    rc = describe_producers_response_topic_array_make(&request->arena, &response.topics,
                                                      body->topics.count);
    for (int32_t i = 0; rc == 0 && i < body->topics.count; i++) {
        const struct describe_producers_request_topic *in = &body->topics.items[i];
        struct describe_producers_response_topic *out = &response.topics.items[i];
        int16_t error;
        /* A peer that asks for its own lineages may do with the right to write. */
        const struct image_topic *topic = request_topic_for(
            request, body->producer_ids.count > 0 ? OPERATION_WRITE : OPERATION_READ, in->name,
            NULL, &error);
        if (topic == NULL && error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION &&
            topic_name_check(in->name.data, in->name.size > 0 ? (size_t)in->name.size : 0) !=
                NULL) {
            error = KAFKA_INVALID_TOPIC_EXCEPTION;
        }
        out->name = in->name;
        rc = describe_producers_response_partition_array_make(&request->arena, &out->partitions,
                                                              in->partition_indexes.count);
        for (int32_t j = 0; rc == 0 && j < in->partition_indexes.count; j++) {
            out->partitions.items[j].partition_index = in->partition_indexes.items[j];
            rc = describe_partition(request, topic, error, &out->partitions.items[j]);
            request_count_error(request, out->partitions.items[j].error_code);
        }
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_respond(request, &response);
}
