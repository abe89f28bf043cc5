/* Produce: check each partition's batch, append it from the request's own buffer, answer when all
 * appends have been (acks=1 and -1 are the same while the leader is the only replica).
 *
 * 1. A partition is refused (unknown, not ours, bad batch): its answer is made at once, the others
 * go on.
 * 2. acks=0 and something is refused: there is no answer to put it in, so the connection is closed,
 * as Kafka does; the client then asks for metadata again.
 * 3. The connection goes while appends are under way: they are finished, nobody is told. */
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/batch_check.h"
#include "queue/wire/produce.h"

struct produce;

struct produce_part {
    struct partition_append append;
    struct produce *produce;
    struct produce_response_partition *out;
};

struct produce {
    struct request *request;
    struct produce_response response;
    struct produce_part *parts;
    int pending;
    bool is_refused;
};

static void refuse(struct produce *produce, struct produce_response_partition *out, int16_t error,
                   const char *reason)
{
    out->error_code = error;
    out->base_offset = -1;
    out->error_message = wire_text(reason);
    produce->is_refused = true;
    request_count_error(produce->request, error);
}

static void produce_finish(struct produce *produce)
{
    struct request *request = produce->request;
    const struct produce_request *body = request->body;

    if (body->acks != 0) {
        request_respond(request, &produce->response);
        return;
    }
    if (produce->is_refused && request->connection != NULL) {
        struct connection *connection = request->connection;
        mr_warn("produce with acks=0 refused: connection closed",
                KV_STR("peer", mr_stream_peer(connection->stream)));
        request_end(request);
        connection_close(connection, NULL);
        return;
    }
    request_end(request);
}

static void set_outcome(struct produce_part *part)
{
    const struct log_append *append = &part->append.log;
    struct produce_response_partition *out = part->out;

    if (append->rc == 0 || append->rc == MR_EDUPLICATE) {
        out->base_offset = append->base_offset; /* of a duplicate: where it was stored first */
        out->log_append_time_ms = append->append_time_ms;
        out->log_start_offset = partition_start_offset(part->append.partition);
        return;
    }
    refuse(part->produce, out,
           append->rc == MR_ENOENT ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : kafka_error_of(append->rc),
           append->rc == MR_EFULL || append->rc == MR_ENOSPC
               ? "the disk limit of the node is reached"
               : NULL);
}

static void on_appended(struct partition_append *append)
{
    struct produce_part *part = append->owner;
    struct produce *produce = part->produce;

    set_outcome(part);
    produce->pending -= 1;
    if (produce->pending == 0) {
        produce_finish(produce);
    }
}

/* Saturating, as the settings may be "no bound". */
static int64_t bound_below(int64_t now_ms, int64_t distance_ms)
{
    return distance_ms > now_ms ? INT64_MIN : now_ms - distance_ms;
}

static int64_t bound_above(int64_t now_ms, int64_t distance_ms)
{
    return distance_ms > INT64_MAX - now_ms ? INT64_MAX : now_ms + distance_ms;
}

static void check_prepare(const struct produce *produce, const struct image_topic *topic,
                          struct batch_check *check)
{
    struct broker *broker = produce->request->broker;
    const struct topic_settings *settings = &topic->settings;
    int64_t now_ms = mr_loop_wall_ms(broker->loop);

    mr_bytes_clear(&broker->decompressed);
    *check = (struct batch_check){
        .batch_size_bytes_max = (size_t)topic_settings_number(settings, TOPIC_MAX_MESSAGE_BYTES),
        .records_size_bytes_max = (size_t)broker->request_size_bytes_max,
        .timestamp_before_ms = INT64_MIN,
        .timestamp_after_ms = INT64_MAX,
        .codecs = broker->codecs,
        .scratch = &broker->decompressed,
    };
    if (topic_settings_has_word(settings, TOPIC_CLEANUP_POLICY, "compact")) {
        check->flags |= BATCH_CHECK_KEYS;
    }
    if (produce->request->head.api_version < 7) {
        check->flags |= BATCH_CHECK_NO_ZSTD;
    }
    if (!topic_settings_has_word(settings, TOPIC_TIMESTAMP_TYPE, "LogAppendTime")) {
        check->timestamp_before_ms =
            bound_below(now_ms, topic_settings_number(settings, TOPIC_TIMESTAMP_BEFORE_MAX_MS));
        check->timestamp_after_ms =
            bound_above(now_ms, topic_settings_number(settings, TOPIC_TIMESTAMP_AFTER_MAX_MS));
    }
}

static int16_t check_batch(struct produce *produce, const struct image_topic *topic,
                           const struct wire_records *records,
                           struct produce_response_partition *out)
{
    struct batch_check check;
    struct batch_check_result result = {.record_index = -1};
    int16_t error;

    if (records->size <= 0) {
        refuse(produce, out, KAFKA_INVALID_RECORD, "no record batch");
        return KAFKA_INVALID_RECORD;
    }
    check_prepare(produce, topic, &check);
    error = batch_check(&check, records->data, (size_t)records->size, &result);
    if (error == KAFKA_NONE) {
        return KAFKA_NONE;
    }
    refuse(produce, out, error, result.reason);
    if (result.record_index >= 0 && produce_response_record_error_array_make(
                                        &produce->request->arena, &out->record_errors, 1) == 0) {
        out->record_errors.items[0].batch_index = result.record_index;
        out->record_errors.items[0].batch_index_error_message = wire_text(result.reason);
    }
    return error;
}

static const char *check_topic(const struct image_topic *topic, int16_t *ret_error)
{
    if (topic->is_local) {
        *ret_error = KAFKA_POLICY_VIOLATION;
        return "a local topic is written by the sources of its node only";
    }
    if (topic_name_is_reserved(topic->name, strlen(topic->name))) {
        *ret_error = KAFKA_INVALID_TOPIC_EXCEPTION;
        return "an internal topic is written by the node only";
    }
    *ret_error = KAFKA_NONE;
    return NULL;
}

static void start_append(struct produce_part *part, struct partition *partition,
                         const struct wire_records *records)
{
    struct produce *produce = part->produce;
    int rc;

    part->append.log.batch = (struct mr_slice){
        .buf = produce->request->frame, .data = records->data, .size_bytes = (size_t)records->size};
    part->append.log.append_time_ms = -1;
    part->append.cb = on_appended;
    part->append.owner = part;
    rc = partition_append_queued(partition, &part->append);
    if (rc != 0) {
        refuse(produce, part->out,
               rc == MR_ENOENT ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION : KAFKA_KAFKA_STORAGE_ERROR,
               mr_code_text(rc));
        return;
    }
    produce->pending += 1;
}

static void produce_partition(struct produce *produce, const struct image_topic *topic,
                              const struct produce_request_partition *in, struct produce_part *part)
{
    struct produce_response_partition *out = part->out;
    struct partition *partition;
    const char *reason;
    int16_t error;

    partition = request_partition(topic, in->index, &error);
    if (partition == NULL) {
        refuse(produce, out, error, NULL);
        return;
    }
    reason = check_topic(topic, &error);
    if (error != KAFKA_NONE) {
        refuse(produce, out, error, reason);
        return;
    }
    if (check_batch(produce, topic, &in->records, out) == KAFKA_NONE) {
        if (partition->log_rc == 0) {
            /* A failure stays in the partition, for the append to name. */
            (void)replicas_need(produce->request->broker->replicas, partition, NULL);
        }
        start_append(part, partition, &in->records);
    }
}

static int produce_topic(struct produce *produce, const struct produce_request_topic *in,
                         struct produce_response_topic *out, struct produce_part *parts)
{
    struct request *request = produce->request;
    const struct produce_request *body = request->body;
    const struct image_topic *topic;
    int16_t error;
    int rc = produce_response_partition_array_make(&request->arena, &out->partition_responses,
                                                   in->partition_data.count);

    if (rc != 0) {
        return rc;
    }
    out->name = in->name;
    out->topic_id = in->topic_id;
    topic = request_topic(request, in->name, request->head.api_version >= 13 ? &in->topic_id : NULL,
                          &error);
    for (int32_t i = 0; i < in->partition_data.count; i++) {
        struct produce_response_partition *answer = &out->partition_responses.items[i];
        answer->index = in->partition_data.items[i].index;
        parts[i].produce = produce;
        parts[i].out = answer;
        if (body->acks < -1 || body->acks > 1) {
            refuse(produce, answer, KAFKA_INVALID_REQUIRED_ACKS, NULL);
        } else if (body->transactional_id.size >= 0) {
            refuse(produce, answer, KAFKA_INVALID_TXN_STATE, "transactions are not supported yet");
        } else if (topic == NULL) {
            refuse(produce, answer, error, NULL);
        } else {
            produce_partition(produce, topic, &in->partition_data.items[i], &parts[i]);
        }
    }
    return 0;
}

static size_t count_partitions(const struct produce_request *body)
{
    size_t count = 0;

    for (int32_t i = 0; i < body->topic_data.count; i++) {
        count += (size_t)body->topic_data.items[i].partition_data.count;
    }
    return count;
}

void api_produce(struct request *request)
{
    const struct produce_request *body = request->body;
    struct produce *produce = request_alloc(request, sizeof *produce);
    size_t place = 0;
    int rc = MR_ENOMEM;

    quota_charge(request, QUOTA_PRODUCER_BYTE_RATE, (double)request->frame->size_bytes);
    if (produce != NULL) {
        produce->request = request;
        produce->pending = 1; /* ours, so that the end comes once, below */
        produce_response_init(&produce->response);
        produce->parts = request_alloc(request, count_partitions(body) * sizeof *produce->parts);
        rc = produce->parts == NULL
                 ? MR_ENOMEM
                 : produce_response_topic_array_make(&request->arena, &produce->response.responses,
                                                     body->topic_data.count);
    }
    for (int32_t i = 0; rc == 0 && i < body->topic_data.count; i++) {
        const struct produce_request_topic *topic = &body->topic_data.items[i];
        rc = produce_topic(produce, topic, &produce->response.responses.items[i],
                           produce->parts + place);
        place += (size_t)topic->partition_data.count;
    }
    if (rc != 0 && (produce == NULL || produce->pending <= 1)) {
        request_fail(request, rc);
        return;
    }
    if (rc != 0) {
        /* Appends are under way and need the request: they end it. */
        produce->is_refused = true;
        produce->response.responses.count = 0;
    }
    produce->pending -= 1;
    if (produce->pending == 0) {
        produce_finish(produce);
    }
}
