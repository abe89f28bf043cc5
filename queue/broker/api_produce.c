/* Produce: check each partition's batch, append it from the request's own buffer, answer when all
 * appends have been (acks=1 and -1 are the same while the leader is the only replica).
 *
 * 1. A partition is refused (unknown, not ours, bad batch): its answer is made at once, the others
 * go on.
 * 2. acks=0 and something is refused: there is no answer to put it in, so the connection is closed,
 * as Kafka does; the client then asks for metadata again.
 * 3. The connection goes while appends are under way: they are finished, nobody is told.
 * 4. A compressed batch is large, or inflates beyond what is done here: a worker checks it. Produce
 * requests behind it on the same connection wait for that, so that a producer's batches are
 * appended in its order; those of other connections do not. The same for one that is compressed
 * anew, as its topic says (compression.type). The connection goes meanwhile: nothing
 * of what waits is appended, as if it had not been read. */
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/batch_check.h"
#include "queue/wire/batch_recode.h"
#include "queue/wire/bytes.h"
#include "queue/wire/produce.h"

enum {
    CHECK_HERE_BYTES_MAX = 128 * 1024,   /* of a compressed batch: larger ones go to a worker ... */
    INFLATE_HERE_BYTES_MAX = 256 * 1024, /* ... and those that come to more than this */
    RECODE_HERE_BYTES_MAX = 16 * 1024,   /* of a batch that is to be compressed anew */
};

struct produce_part {
    struct partition_append append;
    struct produce *produce;
    struct produce_response_partition *out;
    const struct wire_records *records;
    struct partition *partition; /* a reference; NULL: refused before it was looked at */
    struct batch_check check;
    struct batch_check_result result;
    int codec;              /* of the topic; -1: as it comes */
    struct mr_buf *recoded; /* the batch in that codec; NULL: it came so */
    int16_t error;          /* of the batch */
    bool is_large;          /* for a worker */
};

struct produce {
    struct request *request;
    struct produce_response response;
    struct produce_part *parts;
    size_t part_count;
    struct check_job job;
    struct produce *next; /* of the same connection, not begun yet */
    bool is_checked;
    int rc; /* no memory */
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

    *check = (struct batch_check){
        .batch_size_bytes_max = (size_t)topic_settings_number(settings, TOPIC_MAX_MESSAGE_BYTES),
        .records_size_bytes_max = (size_t)broker->request_size_bytes_max,
        .timestamp_before_ms = INT64_MIN,
        .timestamp_after_ms = INT64_MAX,
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

static int codec_of_topic(const struct image_topic *topic)
{
    const char *word = topic_settings_text(&topic->settings, TOPIC_COMPRESSION_TYPE);
    enum mr_codec codec;

    if (strcmp(word, "uncompressed") == 0) {
        return MR_CODEC_NONE;
    }
    return mr_codec_parse(word, &codec) == 0 ? (int)codec : -1; /* "producer" */
}

static int codec_of_batch(const struct wire_records *records)
{
    return records->size < BATCH_HEADER_SIZE
               ? -1
               : wire_get_int16(records->data + BATCH_CRC_START) & BATCH_CODEC_MASK;
}

static bool is_recoded(const struct produce_part *part)
{
    return part->codec >= 0 && codec_of_batch(part->records) != part->codec;
}

/* Behind the check, which has left the records in `scratch` where they were compressed. */
static int16_t recode(struct produce_part *part)
{
    bool was_plain = codec_of_batch(part->records) == MR_CODEC_NONE;
    const struct mr_bytes *scratch = part->check.scratch;
    const uint8_t *records = was_plain ? part->records->data + BATCH_HEADER_SIZE : scratch->data;
    size_t size = was_plain ? (size_t)part->records->size - BATCH_HEADER_SIZE : scratch->size_bytes;
    int rc = batch_recode(&part->result.header, records, size, (enum mr_codec)part->codec,
                          part->check.codecs, &part->recoded);

    if (rc == MR_ETOOLARGE ||
        (rc == 0 && part->recoded->size_bytes > part->check.batch_size_bytes_max)) {
        part->result.reason = "too large in the codec of the topic";
        return KAFKA_MESSAGE_TOO_LARGE;
    }
    return rc == 0 ? KAFKA_NONE : KAFKA_REQUEST_TIMED_OUT; /* no memory: the client tries again */
}

/* On the loop or on a worker, with that one's own codecs and memory. */
static void check_run(struct produce_part *part, struct mr_codec_context *codecs,
                      struct mr_bytes *scratch)
{
    mr_bytes_clear(scratch);
    part->check.codecs = codecs;
    part->check.scratch = scratch;
    part->error =
        batch_check(&part->check, part->records->data, (size_t)part->records->size, &part->result);
    if (part->error == KAFKA_NONE && is_recoded(part)) {
        part->error = recode(part);
    }
}

/* Everything that takes a bounded, short time is checked at once. */
static void check_here(struct produce_part *part)
{
    struct broker *broker = part->produce->request->broker;
    size_t limit_bytes = part->check.records_size_bytes_max;

    if (is_recoded(part)) {
        part->is_large = part->records->size > RECODE_HERE_BYTES_MAX;
    }
    if (codec_of_batch(part->records) > MR_CODEC_NONE) {
        part->is_large = part->is_large || part->records->size > CHECK_HERE_BYTES_MAX;
        if (limit_bytes > INFLATE_HERE_BYTES_MAX) {
            part->check.records_size_bytes_max = INFLATE_HERE_BYTES_MAX;
        }
    }
    if (!part->is_large) {
        check_run(part, broker->codecs, &broker->decompressed);
        part->is_large = part->result.is_inflated && limit_bytes > INFLATE_HERE_BYTES_MAX;
    }
    part->check.records_size_bytes_max = limit_bytes;
}

static void count_wrong(void *owner, int32_t record_index)
{
    (void)record_index;
    *(int32_t *)owner += 1;
}

static void name_wrong(void *owner, int32_t record_index)
{
    struct produce_part *part = owner;
    struct produce_response_record_error_array *list = &part->out->record_errors;

    list->items[list->count++] = (struct produce_response_record_error){
        .batch_index = record_index, .batch_index_error_message = wire_text(part->result.reason)};
}

static void check_again(struct produce_part *part, void (*on_wrong)(void *, int32_t), void *owner)
{
    struct batch_check check = part->check;
    struct batch_check_result result;

    check.on_wrong = on_wrong;
    check.owner = owner;
    mr_bytes_clear(check.scratch);
    (void)batch_check(&check, part->records->data, (size_t)part->records->size, &result);
}

/* KIP-467: which records are to blame. All of them where the check is cheap to repeat, as clients
 * tell the innocent that they may come again; else the first. */
static void name_wrong_records(struct produce_part *part)
{
    struct produce_response_record_error_array *list = &part->out->record_errors;
    int32_t count = 0;

    if (part->result.record_index < 0) {
        return;
    }
    if (!part->is_large) {
        check_again(part, count_wrong, &count);
    }
    if (produce_response_record_error_array_make(&part->produce->request->arena, list,
                                                 count > 0 ? count : 1) != 0) {
        return;
    }
    list->count = 0;
    if (count > 0) {
        check_again(part, name_wrong, part);
    } else {
        name_wrong(part, part->result.record_index);
    }
}

static void refuse_batch(struct produce_part *part)
{
    refuse(part->produce, part->out, part->error, part->result.reason);
    name_wrong_records(part);
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

static void start_append(struct produce_part *part)
{
    struct produce *produce = part->produce;
    struct partition *partition = part->partition;
    int rc;

    if (partition->log_rc == 0) {
        /* A failure stays in the partition, for the append to name. */
        (void)replicas_need(produce->request->broker->replicas, partition, NULL);
    }
    part->append.log.batch = part->recoded != NULL
                                 ? (struct mr_slice){.buf = part->recoded,
                                                     .data = part->recoded->data,
                                                     .size_bytes = part->recoded->size_bytes}
                                 : (struct mr_slice){.buf = produce->request->frame,
                                                     .data = part->records->data,
                                                     .size_bytes = (size_t)part->records->size};
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
    if (in->records.size <= 0) {
        refuse(produce, out, KAFKA_INVALID_RECORD, "no record batch");
        return;
    }
    part->records = &in->records;
    part->partition = partition_ref(partition);
    part->codec = codec_of_topic(topic);
    check_prepare(produce, topic, &part->check);
    check_here(part);
}

static int produce_topic(struct produce *produce, const struct produce_request_topic *in,
                         struct produce_response_topic *out)
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
        struct produce_part *part = &produce->parts[produce->part_count++];
        answer->index = in->partition_data.items[i].index;
        part->produce = produce;
        part->out = answer;
        if (body->acks < -1 || body->acks > 1) {
            refuse(produce, answer, KAFKA_INVALID_REQUIRED_ACKS, NULL);
        } else if (body->transactional_id.size >= 0) {
            refuse(produce, answer, KAFKA_INVALID_TXN_STATE, "transactions are not supported yet");
        } else if (topic == NULL) {
            refuse(produce, answer, error, NULL);
        } else {
            produce_partition(produce, topic, &in->partition_data.items[i], part);
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

/* ---- one after the other: checks, then appends ---- */

static void produce_run(struct produce *produce);

static void job_run(struct check_job *job)
{
    struct produce *produce = mr_container(job, struct produce, job);

    for (size_t i = 0; i < produce->part_count; i++) {
        if (produce->parts[i].is_large) {
            check_run(&produce->parts[i], job->codecs, job->scratch);
        }
    }
}

static void job_done(struct check_job *job)
{
    struct produce *produce = mr_container(job, struct produce, job);

    produce->is_checked = true;
    produce_run(produce);
}

static bool job_is_wanted(struct check_job *job)
{
    return mr_container(job, struct produce, job)->request->connection != NULL;
}

/* Rights, partitions, and the checks. false: a worker has some of them, and job_done comes. */
static bool produce_check(struct produce *produce)
{
    struct request *request = produce->request;
    const struct produce_request *body = request->body;
    bool is_large = false;

    produce->is_checked = true;
    produce->parts = request_alloc(request, count_partitions(body) * sizeof *produce->parts);
    produce->rc = produce->parts == NULL
                      ? MR_ENOMEM
                      : produce_response_topic_array_make(
                            &request->arena, &produce->response.responses, body->topic_data.count);
    for (int32_t i = 0; produce->rc == 0 && i < body->topic_data.count; i++) {
        produce->rc = produce_topic(produce, &body->topic_data.items[i],
                                    &produce->response.responses.items[i]);
    }
    for (size_t i = 0; i < produce->part_count; i++) {
        is_large = is_large || produce->parts[i].is_large;
    }
    if (!is_large || produce->rc != 0) {
        return true;
    }
    request->broker->metric_set->values[BROKER_WORKER_CHECKS] += 1;
    produce->is_checked = false;
    produce->job = (struct check_job){.run = job_run, .done = job_done, .is_wanted = job_is_wanted};
    if (checks_submit(request->broker->checks, &produce->job)) {
        return false;
    }
    produce->is_checked = true;
    produce->job.codecs = request->broker->codecs; /* no thread: here, then */
    produce->job.scratch = &request->broker->decompressed;
    job_run(&produce->job);
    return true;
}

/* Everything has been checked. May end the request. */
static void produce_append(struct produce *produce)
{
    struct request *request = produce->request;

    if (produce->rc != 0) {
        request_fail(request, produce->rc);
        return;
    }
    produce->pending = 1; /* ours, so that the end comes once, below */
    for (size_t i = 0; i < produce->part_count; i++) {
        struct produce_part *part = &produce->parts[i];
        if (part->partition != NULL && part->error != KAFKA_NONE) {
            refuse_batch(part);
        } else if (part->partition != NULL) {
            start_append(part);
        }
    }
    produce->pending -= 1;
    if (produce->pending == 0) {
        produce_finish(produce);
    }
}

/* This one, and those of its connection that have waited for it. */
static void produce_run(struct produce *produce)
{
    while (produce != NULL) {
        struct request *request = produce->request;
        struct produce *next;

        if (request->connection != NULL && !produce->is_checked && !produce_check(produce)) {
            return;
        }
        next = produce->next;
        if (request->connection == NULL) {
            request_end(request);
        } else {
            if (request->connection->produce_last == produce) {
                request->connection->produce_last = NULL;
            }
            produce_append(produce);
        }
        produce = next;
    }
}

static void produce_release(struct request *request)
{
    struct produce *produce = request->handler;

    for (size_t i = 0; i < produce->part_count; i++) {
        partition_unref(produce->parts[i].partition);
        mr_buf_unref(produce->parts[i].recoded);
    }
}

void api_produce(struct request *request)
{
    struct connection *connection = request->connection;
    struct produce *produce = request_alloc(request, sizeof *produce);
    struct produce *before;

    quota_charge(request, QUOTA_PRODUCER_BYTE_RATE, (double)request->frame->size_bytes);
    if (produce == NULL) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    produce->request = request;
    produce_response_init(&produce->response);
    request->handler = produce;
    request->release = produce_release;
    before = connection->produce_last;
    connection->produce_last = produce;
    if (before != NULL) {
        before->next = produce;
        return;
    }
    produce_run(produce);
}
