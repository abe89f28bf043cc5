/* Fetch: whole batches as ranges of segment files, sent by the kernel; nothing is read here. A
 * request that finds less than it wants waits for the partitions it named, until they move or its
 * time is up.
 *
 * Size rules (COMPATIBILITY, trap 24): the first batch of the first partition that has one is
 * returned whole even if it is larger than every bound; a range begins with the batch that holds
 * the offset; at the high watermark there is an empty success, beyond it and below the start error
 * 1 with the real offsets.
 *
 * Who has used up the quota gets no records, and the time to wait.
 *
 * No fetch sessions are kept (legal: session id 0), no follower fetches from us yet. */
#include <limits.h>
#include <string.h>

#include "base/codec/codec.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/batch.h"
#include "queue/wire/fetch.h"

enum {
    FETCH_BYTES_MAX = 55 * 1024 * 1024, /* as Kafka's fetch.max.bytes of a broker */
    FETCH_ZSTD_VERSION = 10,            /* older consumers do not know zstd */
    FETCH_WAIT_MS_MAX = 5 * 60 * 1000,
    ZSTD_WINDOW_SIZE = 4096,
    ISOLATION_READ_COMMITTED = 1,
};

struct fetch;

struct fetch_part {
    struct fetch *fetch;
    const struct fetch_request_partition *in;
    struct fetch_response_partition *out;
    struct partition *partition; /* a reference; NULL: error */
    struct partition_waiter waiter;
    struct log_cursor cursor;
    struct log_range range;
    int16_t error; /* found before reading */
};

struct fetch {
    struct request *request;
    struct fetch_response response;
    struct fetch_part *parts;
    size_t count;
    struct mr_timer timer;
    int64_t total_bytes;
    int64_t total_bytes_max;
    bool is_urgent; /* an error or a diverging epoch: not worth waiting */
    bool is_waiting;
    bool is_throttled;
};

static void fetch_collect(struct fetch *fetch);

/* ---- one partition ---- */

static void part_fail(struct fetch_part *part, int16_t error)
{
    part->out->error_code = error;
    part->fetch->is_urgent = true;
}

/* KIP-595: the reader's last epoch ends earlier here than where it has read to: its log has
 * diverged. Of an epoch that is not known here, nothing can be said. */
static bool part_diverges(struct fetch_part *part)
{
    int32_t epoch;
    int64_t end_offset;

    if (part->in->last_fetched_epoch < 0) {
        return false;
    }
    partition_epoch_end(part->partition, part->in->last_fetched_epoch, &epoch, &end_offset);
    if (epoch < 0 || end_offset < 0) {
        part_fail(part, KAFKA_OFFSET_OUT_OF_RANGE);
        return true;
    }
    if (epoch >= part->in->last_fetched_epoch && end_offset >= part->in->fetch_offset) {
        return false;
    }
    part->out->diverging_epoch.epoch = epoch;
    part->out->diverging_epoch.end_offset = end_offset;
    part->fetch->is_urgent = true;
    return true;
}

/* Only headers are looked at: a window jumps from batch to batch, so that large batches cost one
 * small read each, and small ones share one. */
static bool range_has_zstd(const struct fetch_part *part)
{
    struct mr_disk *disk = part->fetch->request->broker->disk;
    uint8_t window[ZSTD_WINDOW_SIZE];
    int64_t window_at = 0;
    ssize_t window_size = 0;

    for (int64_t at = 0; at + BATCH_HEADER_SIZE <= part->range.size_bytes;) {
        struct batch_header header;
        if (at + BATCH_HEADER_SIZE > window_at + window_size) {
            window_at = at;
            window_size = mr_disk_pread(disk, part->range.fd, window, sizeof window,
                                        part->range.position + at);
        }
        if (window_size < BATCH_HEADER_SIZE ||
            batch_header_parse(window + (at - window_at), BATCH_HEADER_SIZE, &header) != 0) {
            return false; /* the client will see for itself */
        }
        if ((header.attributes & BATCH_CODEC_MASK) == MR_CODEC_ZSTD) {
            return true;
        }
        at += batch_size_bytes(&header);
    }
    return false;
}

/* How much this partition may add; the first one with data gets its batch whatever the bounds say.
 */
static int64_t part_room(const struct fetch_part *part)
{
    const struct fetch *fetch = part->fetch;
    const struct fetch_request *body = fetch->request->body;
    int64_t room =
        body->max_bytes < fetch->total_bytes_max ? body->max_bytes : fetch->total_bytes_max;

    room -= fetch->total_bytes;
    if (room > part->in->partition_max_bytes) {
        room = part->in->partition_max_bytes;
    }
    return room > 0 ? room : 0;
}

static void part_read(struct fetch_part *part)
{
    struct fetch *fetch = part->fetch;
    int64_t room = part_room(part);
    int rc;

    if (fetch->is_throttled || (fetch->total_bytes > 0 && room == 0)) {
        return;
    }
    rc = partition_read(part->partition, part->in->fetch_offset, room, &part->cursor, &part->range);
    if (rc != 0) {
        part_fail(part, rc == MR_ERANGE   ? KAFKA_OFFSET_OUT_OF_RANGE
                        : rc == MR_ENOENT ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                          : KAFKA_KAFKA_STORAGE_ERROR);
        return;
    }
    if (part->range.size_bytes > 0 && ((fetch->total_bytes > 0 && part->range.size_bytes > room) ||
                                       part->range.size_bytes > INT32_MAX)) {
        log_range_done(&part->range);
        part->range = (struct log_range){.fd = -1};
        return;
    }
    if (part->range.size_bytes > 0 && fetch->request->head.api_version < FETCH_ZSTD_VERSION &&
        range_has_zstd(part)) {
        log_range_done(&part->range);
        part->range = (struct log_range){.fd = -1};
        part_fail(part, KAFKA_UNSUPPORTED_COMPRESSION_TYPE);
        return;
    }
    fetch->total_bytes += part->range.size_bytes;
    part->out->records.size = (int32_t)part->range.size_bytes;
    part->out->records.payload = part->range.size_bytes > 0 ? &part->range : NULL;
}

static void part_collect(struct fetch_part *part)
{
    const struct fetch_request *body = part->fetch->request->body;
    struct fetch_response_partition *out = part->out;
    int16_t error = part->error;

    fetch_response_partition_init(out);
    out->partition_index = part->in->partition;
    out->high_watermark = -1;
    out->records.data = (const uint8_t *)""; /* empty, not null */
    if (error == KAFKA_NONE && part->partition->is_deleted) {
        error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    }
    if (error == KAFKA_NONE) {
        error = request_check_epoch(part->partition, part->in->current_leader_epoch < 0
                                                         ? -1
                                                         : part->in->current_leader_epoch);
    }
    if (error != KAFKA_NONE) {
        part_fail(part, error);
        return;
    }
    out->high_watermark = partition_end_offset(part->partition);
    out->last_stable_offset = out->high_watermark; /* no transactions: nothing is undecided */
    out->log_start_offset = partition_start_offset(part->partition);
    out->aborted_transactions.count =
        body->isolation_level == ISOLATION_READ_COMMITTED ? 0 : -1; /* null: not asked */
    if (!part_diverges(part)) {
        part_read(part);
    }
}

static void part_release(struct fetch_part *part)
{
    if (part->range.file != NULL) {
        log_range_done(&part->range);
    }
    part->range = (struct log_range){.fd = -1};
}

/* ---- the whole ---- */

static void fetch_stop_waiting(struct fetch *fetch)
{
    mr_timer_stop(&fetch->timer);
    for (size_t i = 0; fetch->is_waiting && i < fetch->count; i++) {
        partition_unwait(&fetch->parts[i].waiter);
    }
    fetch->is_waiting = false;
}

static void fetch_release(struct request *request)
{
    struct fetch *fetch = request->handler;

    fetch_stop_waiting(fetch);
    for (size_t i = 0; i < fetch->count; i++) {
        part_release(&fetch->parts[i]);
        partition_unref(fetch->parts[i].partition);
    }
}

static void fetch_cancel(struct request *request)
{
    fetch_stop_waiting(request->handler);
    request_end(request);
}

static void fetch_respond(struct fetch *fetch)
{
    fetch_stop_waiting(fetch);
    for (size_t i = 0; i < fetch->count; i++) {
        request_count_error(fetch->request, fetch->parts[i].out->error_code);
    }
    if (fetch->total_bytes > 0) {
        quota_charge(fetch->request, QUOTA_CONSUMER_BYTE_RATE, (double)fetch->total_bytes);
    }
    request_respond(fetch->request, &fetch->response);
}

static void on_moved(struct partition_waiter *waiter)
{
    struct fetch_part *part = waiter->owner;
    struct request *request = part->fetch->request;
    struct broker *broker = request->broker;
    struct quota_pause pause;

    quota_time_resume(request, &pause);
    fetch_collect(part->fetch);
    quota_time_suspend(broker, request, &pause);
}

static void on_timer(struct mr_timer *timer)
{
    struct fetch *fetch = timer->owner;
    struct request *request = fetch->request;
    struct broker *broker = request->broker;
    struct quota_pause pause;

    quota_time_resume(request, &pause);
    fetch_respond(fetch); /* with what was found last, less than it wanted */
    quota_time_suspend(broker, request, &pause);
}

static bool fetch_is_enough(const struct fetch *fetch)
{
    const struct fetch_request *body = fetch->request->body;

    return fetch->is_urgent || fetch->is_throttled || body->max_wait_ms <= 0 ||
           fetch->total_bytes >= body->min_bytes || fetch->count == 0;
}

/* A waiter that fired is not linked any more; the others still are. */
static int fetch_wait(struct fetch *fetch)
{
    const struct fetch_request *body = fetch->request->body;
    int64_t wait_ms = body->max_wait_ms < FETCH_WAIT_MS_MAX ? body->max_wait_ms : FETCH_WAIT_MS_MAX;

    for (size_t i = 0; i < fetch->count; i++) {
        struct fetch_part *part = &fetch->parts[i];
        if (part->partition != NULL && !mr_link_is_linked(&part->waiter.link)) {
            partition_wait(part->partition, &part->waiter);
        }
    }
    if (fetch->is_waiting) {
        return 0;
    }
    fetch->is_waiting = true;
    fetch->request->cancel = fetch_cancel;
    return mr_timer_start(&fetch->timer, wait_ms);
}

static void fetch_collect(struct fetch *fetch)
{
    int rc;

    fetch->total_bytes = 0;
    fetch->is_urgent = false;
    fetch->is_throttled = quota_is_over(fetch->request, QUOTA_CONSUMER_BYTE_RATE);
    for (size_t i = 0; i < fetch->count; i++) {
        part_release(&fetch->parts[i]);
        part_collect(&fetch->parts[i]);
    }
    if (fetch_is_enough(fetch)) {
        fetch_respond(fetch);
        return;
    }
    rc = fetch_wait(fetch);
    if (rc != 0) {
        fetch_respond(fetch);
    }
}

/* ---- from the request ---- */

static void part_init(struct fetch_part *part, struct fetch *fetch, const struct image_topic *topic,
                      int16_t error)
{
    part->fetch = fetch;
    part->range.fd = -1;
    part->waiter.cb = on_moved;
    part->waiter.owner = part;
    part->error = error;
    if (topic != NULL) {
        struct partition *partition = request_partition(topic, part->in->partition, &part->error);
        if (partition != NULL) {
            part->partition = partition_ref(partition);
        }
    }
}

static int fetch_topic(struct fetch *fetch, const struct fetch_request_topic *in,
                       struct fetch_response_topic *out, struct fetch_part *parts)
{
    struct request *request = fetch->request;
    const struct image_topic *topic;
    int16_t error;
    int rc = fetch_response_partition_array_make(&request->arena, &out->partitions,
                                                 in->partitions.count);

    if (rc != 0) {
        return rc;
    }
    out->topic = in->topic;
    out->topic_id = in->topic_id;
    topic = request_topic(request, in->topic,
                          request->head.api_version >= 13 ? &in->topic_id : NULL, &error);
    for (int32_t i = 0; i < in->partitions.count; i++) {
        parts[i].in = &in->partitions.items[i];
        parts[i].out = &out->partitions.items[i];
        part_init(&parts[i], fetch, topic, error);
        fetch->count += 1;
    }
    return 0;
}

static int fetch_new(struct request *request, struct fetch **ret_fetch)
{
    const struct fetch_request *body = request->body;
    struct fetch *fetch = request_alloc(request, sizeof *fetch);
    size_t count = 0;
    int rc;

    if (fetch == NULL) {
        return MR_ENOMEM;
    }
    for (int32_t i = 0; i < body->topics.count; i++) {
        count += (size_t)body->topics.items[i].partitions.count;
    }
    fetch->request = request;
    fetch->total_bytes_max = quota_window_bytes(request, QUOTA_CONSUMER_BYTE_RATE);
    if (fetch->total_bytes_max > FETCH_BYTES_MAX) {
        fetch->total_bytes_max = FETCH_BYTES_MAX;
    }
    fetch_response_init(&fetch->response);
    mr_timer_init(&fetch->timer, request->broker->loop, on_timer, fetch);
    fetch->parts = request_alloc(request, count * sizeof *fetch->parts);
    if (fetch->parts == NULL) {
        return MR_ENOMEM;
    }
    request->handler = fetch;
    request->release = fetch_release;
    rc = fetch_response_topic_array_make(&request->arena, &fetch->response.responses,
                                         body->topics.count);
    for (int32_t i = 0; rc == 0 && i < body->topics.count; i++) {
        rc = fetch_topic(fetch, &body->topics.items[i], &fetch->response.responses.items[i],
                         fetch->parts + fetch->count);
    }
    *ret_fetch = fetch;
    return rc;
}

void api_fetch(struct request *request)
{
    const struct fetch_request *body = request->body;
    struct fetch *fetch;
    int rc;

    /* Epochs 0 and -1 ask for all, and end the session that is named; others go on with one. */
    if (body->session_epoch != 0 && body->session_epoch != -1) {
        struct fetch_response response;
        fetch_response_init(&response);
        response.error_code = KAFKA_FETCH_SESSION_ID_NOT_FOUND;
        request_count_error(request, response.error_code);
        request_respond(request, &response);
        return;
    }
    rc = fetch_new(request, &fetch);
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    fetch_collect(fetch);
}
