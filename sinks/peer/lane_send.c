/* Sending: whole batches, their headers patched, their records untouched. */
#include <stdio.h>
#include <string.h>

#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/wire/kafka_error.h"
#include "sinks/peer/peer_internal.h"

enum answer_class { ANSWER_OK, ANSWER_REFUSED, ANSWER_UNSURE, ANSWER_RETRY, ANSWER_AUTH };

/* REFUSED: for the batch's own sake, another one may be taken. UNSURE: our picture of the hub is
 * wrong. */
static enum answer_class classify(int code)
{
    switch (code) {
    case KAFKA_NONE:
    case KAFKA_DUPLICATE_SEQUENCE_NUMBER:
        return ANSWER_OK;
    case KAFKA_CORRUPT_MESSAGE:
    case KAFKA_MESSAGE_TOO_LARGE:
    case KAFKA_RECORD_LIST_TOO_LARGE:
    case KAFKA_INVALID_RECORD:
    case KAFKA_INVALID_TIMESTAMP:
    case KAFKA_UNSUPPORTED_COMPRESSION_TYPE:
    case KAFKA_UNSUPPORTED_FOR_MESSAGE_FORMAT:
        return ANSWER_REFUSED;
    case KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER:
    case KAFKA_UNKNOWN_PRODUCER_ID:
    case KAFKA_INVALID_PRODUCER_EPOCH:
    case KAFKA_PRODUCER_FENCED:
        return ANSWER_UNSURE;
    case KAFKA_TOPIC_AUTHORIZATION_FAILED:
    case KAFKA_CLUSTER_AUTHORIZATION_FAILED:
    case KAFKA_POLICY_VIOLATION:
    case KAFKA_SASL_AUTHENTICATION_FAILED:
    case KAFKA_INVALID_REQUIRED_ACKS:
        return ANSWER_AUTH;
    default:
        return kafka_error_wants_metadata(code) ? ANSWER_UNSURE : ANSWER_RETRY;
    }
}

/* ---- flights ---- */

static void on_answer(struct client_request *request, int rc, const void *response);

struct flight *flight_new(struct lane *lane, struct sink_write *write)
{
    struct flight *flight = mr_calloc(1, sizeof *flight);

    if (flight != NULL) {
        flight->lane = lane;
        flight->write = write;
    }
    return flight;
}

int flight_send(struct flight *flight)
{
    struct lane *lane = flight->lane;
    const struct lineage_place *place = &lane->lineage.place;
    int64_t timeout_ms = lane->peer->options->request_timeout_ms;
    int64_t size = (int64_t)flight->payload.memory.size_bytes + flight->payload.size_bytes;
    int rc;

    flight->partition = (struct produce_request_partition){
        .index = place->partition, .records = {.size = (int32_t)size, .payload = &flight->payload}};
    flight->topic = (struct produce_request_topic){.name = wire_text(place->topic),
                                                   .topic_id = place->topic_id,
                                                   .partition_data = {&flight->partition, 1}};
    produce_request_init(&flight->body);
    flight->body.acks = lane->peer->options->acks == 0 ? -1 : 1;
    flight->body.timeout_ms = (int32_t)(timeout_ms / 2);
    flight->body.topic_data = (struct produce_request_topic_array){&flight->topic, 1};
    flight->request = (struct client_request){.key = WIRE_API_PRODUCE,
                                              .message = &flight->body,
                                              .node = lane->node,
                                              .session = lane->session,
                                              .done = on_answer,
                                              .owner = flight};
    /* Without an id a node is asked by name, which versions from 13 on cannot. */
    flight->request.version_max = mr_uuid_is_zero(&place->topic_id) ? 12 : 0;
    rc = client_send(lane->peer->client, &flight->request);
    if (rc == 0) {
        lane->in_flight++;
        lane->next_offset = flight->next_offset;
        if (lane->sent_offset_max < flight->next_offset) {
            lane->sent_offset_max = flight->next_offset;
        }
    }
    return rc;
}

static void acknowledged(struct lane *lane, const struct flight *flight, int64_t base_offset,
                         int64_t records)
{
    struct lineage *lineage = &lane->lineage;

    (void)flight;
    lane->is_established = true;
    lane->attempts = 0;
    lane->peer->error[0] = '\0';
    if (base_offset >= 0 && base_offset + records > lineage->hub_end_offset) {
        lineage->hub_end_offset = base_offset + records;
    }
    lane_commit_sometimes(lane);
}

static void refused(struct lane *lane, const struct flight *flight, int code)
{
    int32_t records = wire_get_int32(flight->header + 57);

    lane_count(lane, PEER_SPLITS, 1);
    mr_warn("the hub refuses a batch, which is sent in pieces", KV_STR("topic", lane->topic),
            KV_I64("partition", lane->partition),
            KV_I64("first_offset", flight->write->first_offset), KV_I64("records", records),
            KV_STR("reason", lane->reason));
    lane->next_offset = lane_first(lane)->first_offset;
    lane->is_plain = code == KAFKA_UNSUPPORTED_COMPRESSION_TYPE;
    lane->grows_again = code != KAFKA_MESSAGE_TOO_LARGE && code != KAFKA_RECORD_LIST_TOO_LARGE;
    lane_split(lane, lane->is_plain ? 0 : records / 2 + records % 2);
}

/* The hub has taken nothing, or nobody knows whether it has. */
static void not_answered(struct lane *lane, enum answer_class answer)
{
    if (answer == ANSWER_UNSURE) {
        lane_unsure(lane, "%s", lane->reason);
    } else {
        lane_fail(lane, answer == ANSWER_AUTH ? SINK_AUTH : SINK_RETRY, "%s", lane->reason);
    }
}

static void whole_answered(struct lane *lane, struct flight *flight, int code, int64_t base_offset)
{
    enum answer_class answer = classify(code);

    switch (answer) {
    case ANSWER_OK:
        mr_assert(flight->write == lane_first(lane));
        acknowledged(lane, flight, base_offset,
                     flight->write->next_offset - flight->write->first_offset);
        lane_answer_first(lane, SINK_OK);
        break;
    case ANSWER_REFUSED:
        refused(lane, flight, code);
        break;
    case ANSWER_UNSURE:
    case ANSWER_RETRY:
    case ANSWER_AUTH:
        not_answered(lane, answer);
        break;
    }
}

static void piece_answered(struct lane *lane, struct flight *flight, int code, int64_t base_offset)
{
    enum answer_class answer = classify(code);

    switch (answer) {
    case ANSWER_OK:
        acknowledged(lane, flight, base_offset, lane->piece.record_count);
        lane_split_taken(lane);
        break;
    case ANSWER_REFUSED:
        lane_split_refused(lane, code);
        break;
    case ANSWER_UNSURE:
    case ANSWER_RETRY:
    case ANSWER_AUTH:
        not_answered(lane, answer);
        break;
    }
}

static void take_answer(struct lane *lane, struct flight *flight, int rc,
                        const struct produce_response *answer)
{
    const struct produce_response_partition *partition;
    const char *error = client_error(lane->peer->client);

    if (rc != 0 || answer->responses.count != 1 ||
        answer->responses.items[0].partition_responses.count != 1) {
        rc = rc == 0 ? MR_EPROTOCOL : rc;
        lane_unsure(lane, "Produce: %s",
                    (rc == MR_ENETWORK || rc == MR_EAUTH) && error[0] != '\0' ? error
                                                                              : mr_code_text(rc));
        return;
    }
    partition = &answer->responses.items[0].partition_responses.items[0];
    if (partition->error_code != 0) {
        (void)snprintf(lane->reason, sizeof lane->reason, "%s%s%.*s",
                       kafka_error_name(partition->error_code),
                       partition->error_message.size > 0 ? ": " : "",
                       partition->error_message.size > 0 ? (int)partition->error_message.size : 0,
                       partition->error_message.size > 0 ? partition->error_message.data : "");
    }
    if (flight->is_piece) {
        piece_answered(lane, flight, partition->error_code, partition->base_offset);
    } else {
        whole_answered(lane, flight, partition->error_code, partition->base_offset);
    }
}

static void on_answer(struct client_request *request, int rc, const void *response)
{
    struct flight *flight = request->owner;
    struct lane *lane = flight->lane;
    bool counts = flight->is_piece ? lane->machine.state == LANE_SPLITTING
                                   : lane->machine.state == LANE_SENDING;

    lane->in_flight--;
    if (flight->is_piece) {
        batch_piece_done(&lane->piece);
    }
    /* Behind a write that failed nothing else can have been taken in order: what came of it is
     * asked. */
    if (counts) {
        take_answer(lane, flight, rc, response);
    }
    mr_free(flight);
    lane_step(lane);
}

/* ---- headers ---- */

static void header_run(struct mr_work *work)
{
    struct lane *lane = work->owner;
    struct batch_header header;

    (void)batch_read_header(&lane->header_write, false, lane->header, &header);
}

static void on_header(struct mr_work *work)
{
    struct lane *lane = work->owner;

    lane->is_reading = false;
    lane_step(lane);
}

/* The header is not in memory: a worker reads it, and then it is. */
static int read_later(struct lane *lane, const struct sink_write *write)
{
    int rc;

    lane->header_write = *write;
    lane->header_work = (struct mr_work){.run = header_run, .done = on_header, .owner = lane};
    rc = mr_workers_submit(lane->peer->sink.host->workers, &lane->header_work);
    lane->is_reading = rc == 0;
    return rc;
}

/* ---- writes ---- */

static struct sink_write *first_unsent(const struct lane *lane)
{
    int place = 0;

    mr_list_each(&lane->held, link, next)
    {
        if (place++ == lane->in_flight) {
            return mr_container(link, struct sink_write, link);
        }
    }
    return NULL;
}

static int send_whole(struct lane *lane, struct sink_write *write,
                      const uint8_t header[BATCH_HEADER_SIZE])
{
    const struct lineage *lineage = &lane->lineage;
    struct flight *flight = flight_new(lane, write);
    int rc = MR_ENOMEM;

    if (flight == NULL) {
        return rc;
    }
    memcpy(flight->header, header, BATCH_HEADER_SIZE);
    batch_patch_producer(flight->header, lineage->producer_id, lineage->epoch,
                         lineage_sequence(lineage, write->first_offset));
    flight->payload =
        (struct client_payload){.memory = {.data = flight->header, .size_bytes = BATCH_HEADER_SIZE},
                                .disk = write->disk,
                                .fd = write->fd,
                                .position = write->position + BATCH_HEADER_SIZE,
                                .size_bytes = write->size_bytes - BATCH_HEADER_SIZE};
    flight->next_offset = write->next_offset;
    rc = flight_send(flight);
    if (rc != 0) {
        mr_free(flight);
    }
    return rc;
}

/* What is not a plain batch that fits exactly waits until nothing is in flight. */
static bool send_odd(struct lane *lane, const struct sink_write *write,
                     const struct batch_header *header)
{
    if (lane->in_flight > 0) {
        return false;
    }
    if (write->next_offset <= lane->next_offset) {
        lane_count(lane, PEER_SKIPPED, write->next_offset - write->first_offset);
        lane_answer_first(lane, SINK_OK); /* it is there already */
        return true;
    }
    if ((header->attributes & BATCH_CONTROL) != 0) {
        lane_answer_first(lane, SINK_OK); /* markers are the hub's own business; a gap follows */
        return true;
    }
    if (write->first_offset > lane->next_offset) {
        lane_bump(lane, write->first_offset);
        lane->after_commit = LANE_SENDING;
        lane_commit_awaited(lane);
        return false;
    }
    lane->is_plain = false;
    lane->grows_again = true;
    lane_split(lane, 0); /* the rest of it, or all of it without the mark of a transaction */
    return false;
}

/* true: there may be more to do. */
static bool send_next(struct lane *lane, struct sink_write *write)
{
    uint8_t bytes[BATCH_HEADER_SIZE];
    struct batch_header header;
    int rc = batch_read_header(write, true, bytes, &header);

    if (rc == MR_EAGAIN) {
        rc = read_later(lane, write);
        if (rc == 0) {
            return false;
        }
    }
    if (rc == MR_ECORRUPT) {
        if (lane->in_flight > 0) {
            return false;
        }
        (void)snprintf(lane->reason, sizeof lane->reason,
                       "the batch is damaged on this node's disk");
        lane_answer_first(lane, SINK_PERMANENT);
        return true;
    }
    if (rc != 0) {
        lane_fail(lane, SINK_RETRY, "the log cannot be read: %s", mr_code_text(rc));
        return false;
    }
    if (write->first_offset != lane->next_offset ||
        (header.attributes & (BATCH_CONTROL | BATCH_TRANSACTIONAL)) != 0) {
        return send_odd(lane, write, &header);
    }
    rc = send_whole(lane, write, bytes);
    if (rc == MR_ENETWORK && lane->in_flight == 0) {
        lane_unsure(lane, "the connection ended");
    } else if (rc != 0 && lane->in_flight == 0) {
        lane_fail(lane, SINK_RETRY, "Produce: %s", mr_code_text(rc));
    }
    return rc == 0;
}

void lane_send(struct lane *lane)
{
    bool goes_on = true;

    while (goes_on && lane->machine.state == LANE_SENDING && !lane->is_reading &&
           lane->in_flight < (lane->is_established ? PEER_IN_FLIGHT_MAX : 1)) {
        struct sink_write *write = first_unsent(lane);
        goes_on = write != NULL && send_next(lane, write);
    }
}
