/* Offsets by time and by leader epoch. */
#include <limits.h>

#include "base/core/error.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/fetch.h"

/* The timestamps below zero (KIP-79, KIP-734, KIP-405, KIP-1005, KIP-1023). */
enum {
    TIMESTAMP_LATEST = -1,
    TIMESTAMP_EARLIEST = -2,
    TIMESTAMP_MAX = -3,
    TIMESTAMP_EARLIEST_LOCAL = -4,
    TIMESTAMP_LATEST_TIERED = -5,
    TIMESTAMP_EARLIEST_PENDING = -6,
};

/* Each came with a version of the request; for an older one they are not known. */
static int special_version(int64_t timestamp_ms)
{
    switch (timestamp_ms) {
    case TIMESTAMP_MAX:
        return 7;
    case TIMESTAMP_EARLIEST_LOCAL:
        return 8;
    case TIMESTAMP_LATEST_TIERED:
        return 9;
    case TIMESTAMP_EARLIEST_PENDING:
        return 11;
    default:
        return 0;
    }
}

/* What is not below the high watermark does not exist yet. */
static void set_found(const struct partition *partition, int64_t offset, int64_t timestamp_ms,
                      struct list_offsets_response_partition *out)
{
    if (offset < 0 || offset >= partition_end_offset(partition)) {
        return;
    }
    out->offset = offset;
    out->timestamp = timestamp_ms;
    out->leader_epoch = partition_epoch_of(partition, offset);
}

static int look_up(struct partition *partition, int64_t timestamp_ms,
                   struct list_offsets_response_partition *out)
{
    int64_t offset = -1;
    int64_t found_ms = -1;
    int rc = 0;

    switch (timestamp_ms) {
    case TIMESTAMP_LATEST:
        out->offset = partition_end_offset(partition);
        out->leader_epoch = partition->leader_epoch;
        return 0;
    case TIMESTAMP_EARLIEST:
    case TIMESTAMP_EARLIEST_LOCAL:
        out->offset = partition_start_offset(partition);
        out->leader_epoch = partition_epoch_of(partition, out->offset);
        return 0;
    case TIMESTAMP_LATEST_TIERED:
    case TIMESTAMP_EARLIEST_PENDING:
        return 0; /* no tiered storage: there is no such offset */
    case TIMESTAMP_MAX:
        if (partition->log != NULL) {
            rc = log_lookup_max_timestamp(partition->log, &offset, &found_ms);
        }
        break;
    default:
        if (timestamp_ms < 0) {
            return MR_EUNSUPPORTED;
        }
        if (partition->log != NULL) {
            rc = log_lookup_time(partition->log, timestamp_ms, &offset, &found_ms);
        }
        break;
    }
    if (rc == 0) {
        set_found(partition, offset, found_ms, out);
    }
    return rc;
}

static int16_t list_partition(const struct request *request, const struct image_topic *topic,
                              const struct list_offsets_request_partition *in,
                              struct list_offsets_response_partition *out)
{
    int16_t error;
    struct partition *partition = request_partition(topic, in->partition_index, &error);
    int rc;

    if (partition == NULL) {
        return error;
    }
    error = request_check_epoch(partition, in->current_leader_epoch);
    if (error != KAFKA_NONE) {
        return error;
    }
    if (partition->log_rc != 0) {
        return KAFKA_KAFKA_STORAGE_ERROR;
    }
    if (request->head.api_version < special_version(in->timestamp)) {
        return KAFKA_UNSUPPORTED_VERSION;
    }
    rc = look_up(partition, in->timestamp, out);
    return rc == MR_EUNSUPPORTED ? KAFKA_UNSUPPORTED_VERSION : kafka_error_of(rc);
}

void api_list_offsets(struct request *request)
{
    const struct list_offsets_request *body = request->body;
    struct list_offsets_response response;
    int rc;

    list_offsets_response_init(&response);
    rc = list_offsets_response_topic_array_make(&request->arena, &response.topics,
                                                body->topics.count);
    for (int32_t i = 0; rc == 0 && i < body->topics.count; i++) {
        const struct list_offsets_request_topic *in = &body->topics.items[i];
        struct list_offsets_response_topic *out = &response.topics.items[i];
        int16_t error;
        const struct image_topic *topic = request_topic(request, in->name, NULL, &error);
        out->name = in->name;
        rc = list_offsets_response_partition_array_make(&request->arena, &out->partitions,
                                                        in->partitions.count);
        for (int32_t j = 0; rc == 0 && j < in->partitions.count; j++) {
            struct list_offsets_response_partition *answer = &out->partitions.items[j];
            answer->partition_index = in->partitions.items[j].partition_index;
            answer->error_code =
                topic == NULL ? error
                              : list_partition(request, topic, &in->partitions.items[j], answer);
            request_count_error(request, answer->error_code);
        }
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_respond(request, &response);
}

static int16_t epoch_partition(const struct image_topic *topic,
                               const struct offset_for_leader_epoch_request_partition *in,
                               struct offset_for_leader_epoch_response_partition *out)
{
    int16_t error;
    struct partition *partition = request_partition(topic, in->partition, &error);

    if (partition == NULL) {
        return error;
    }
    error = request_check_epoch(partition, in->current_leader_epoch);
    if (error == KAFKA_NONE) {
        partition_epoch_end(partition, in->leader_epoch, &out->leader_epoch, &out->end_offset);
    }
    return error;
}

void api_offset_for_leader_epoch(struct request *request)
{
    const struct offset_for_leader_epoch_request *body = request->body;
    struct offset_for_leader_epoch_response response;
    int rc;

    offset_for_leader_epoch_response_init(&response);
    rc = offset_for_leader_epoch_response_topic_array_make(&request->arena, &response.topics,
                                                           body->topics.count);
    for (int32_t i = 0; rc == 0 && i < body->topics.count; i++) {
        const struct offset_for_leader_epoch_request_topic *in = &body->topics.items[i];
        struct offset_for_leader_epoch_response_topic *out = &response.topics.items[i];
        int16_t error;
        const struct image_topic *topic = request_topic(request, in->topic, NULL, &error);
        out->topic = in->topic;
        rc = offset_for_leader_epoch_response_partition_array_make(
            &request->arena, &out->partitions, in->partitions.count);
        for (int32_t j = 0; rc == 0 && j < in->partitions.count; j++) {
            struct offset_for_leader_epoch_response_partition *answer = &out->partitions.items[j];
            answer->partition = in->partitions.items[j].partition;
            answer->error_code =
                topic == NULL ? error : epoch_partition(topic, &in->partitions.items[j], answer);
            request_count_error(request, answer->error_code);
        }
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_respond(request, &response);
}
