/* One partition of a drain.
 *
 * Happy path: read what is behind next_offset -> write it to the sink -> answered OK ->
 * answered_offset moves over all answered writes in a row -> commit once a second.
 *
 * Failure modes: RETRY and AUTH take back everything unanswered (the epoch of the part grows; late
 * answers of an older epoch only free their memory), and the destination's backoff holds for all
 * parts. PERMANENT goes to the dead letters and counts as answered once it is there. Offsets that
 * the log no longer has, and batches that are damaged, are counted as skipped. Every offset is
 * counted once, when answered_offset moves over it. The commit is part_commit.c's. */
#include <string.h>

#include "agent/flow/part_internal.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"

enum {
    PART_RETRY_READ_MS = 250,
    PART_WRITE_BYTES_MAX = 1 << 20,
    PART_TURN_WRITES_MAX = 8, /* then others have their turn */
};

struct part *part_of(struct mr_link *link)
{
    return mr_container(link, struct part, link);
}

struct part *part_find(struct drain *drain, const char *topic, int32_t partition)
{
    mr_list_each(&drain->parts, link, next)
    {
        struct part *part = part_of(link);
        if (part->partition == partition && strcmp(part->topic, topic) == 0) {
            return part;
        }
    }
    return NULL;
}

static enum queue_limit part_limit(const struct part *part)
{
    return part->drain->config.type->wants_synced ? QUEUE_LIMIT_SYNCED : QUEUE_LIMIT_VISIBLE;
}

void part_row(const struct part *part, struct drain_row *ret_row)
{
    *ret_row = part->counts;
    ret_row->topic = part->topic;
    ret_row->partition = part->partition;
    ret_row->position_offset = part->answered_offset;
    ret_row->end_offset = queue_consumer_end_offset(part->consumer);
    ret_row->in_flight = part->in_flight;
}

/* ---- flights ---- */

/* How far the position moves with it: the first batch after a start may begin below the position.
 */
static int64_t flight_span(const struct flight *flight)
{
    return flight->write.next_offset - flight->start_offset;
}

static void flight_free(struct flight *flight)
{
    mr_list_remove(&flight->link);
    log_range_done(&flight->range);
    records_done(&flight->records);
    mr_free(flight);
}

/* Its offsets are behind us. */
static void flight_count(const struct flight *flight)
{
    struct part *part = flight->part;
    struct drain *drain = part->drain;
    int64_t delivered = flight_span(flight) - flight->dead - flight->skipped;

    part->counts.delivered += delivered;
    part->counts.dead += flight->dead;
    part->counts.skipped += flight->skipped;
    drain_count(drain, DRAIN_EVENTS, delivered);
    drain_count(drain, DRAIN_DEAD, flight->dead);
    drain_count(drain, DRAIN_SKIPPED, flight->skipped);
}

/* Moves over the writes that are answered, in order. */
static void part_advance(struct part *part)
{
    while (!mr_list_is_empty(&part->flights)) {
        struct flight *flight = mr_container(part->flights.next, struct flight, link);
        if (!flight->is_answered) {
            break;
        }
        part->answered_offset = flight->write.next_offset;
        flight_count(flight);
        flight_free(flight);
        part->in_flight--;
    }
    queue_consumer_passed(part->consumer, part->answered_offset);
    part_dirty(part);
}

/* All unanswered writes are void; what is read next begins at `offset`. */
static void part_take_back(struct part *part, int64_t offset)
{
    mr_list_each(&part->flights, link, next)
    {
        struct flight *flight = mr_container(link, struct flight, link);
        mr_list_remove(link);
        if (flight->is_answered || !flight->is_away) {
            flight_free(flight);
        } else {
            flight->is_orphan = true;
            mr_list_append(&part->orphans, link);
        }
    }
    part->in_flight = 0;
    part->next_offset = offset;
    memset(&part->cursor, 0, sizeof part->cursor);
}

/* Moves the position without a write: back over what is sent again, forward over what the
 * destination has already. */
static void part_move(struct part *part, int64_t offset)
{
    part_take_back(part, offset);
    if (offset != part->answered_offset) {
        part->counts.delivered += offset - part->answered_offset;
        part->answered_offset = offset;
        part_dirty(part);
    }
    mr_task_post(&part->pump_task);
}

void part_rewind(struct part *part, int64_t offset)
{
    if (offset != part->answered_offset) {
        mr_warn(offset < part->answered_offset
                    ? "the destination is behind; records are sent again"
                    : "the destination is ahead; what it has is not sent again",
                KV_STR("sink", part->drain->config.id), KV_STR("topic", part->topic),
                KV_I64("partition", part->partition), KV_I64("from_offset", offset),
                KV_I64("position", part->answered_offset));
    }
    part_move(part, offset);
}

void part_info(const struct part *part, struct sink_partition_info *ret_info)
{
    int32_t count = 0;

    mr_list_each(&part->drain->parts, link, next)
    {
        count += strcmp(part_of(link)->topic, part->topic) == 0;
    }
    *ret_info = (struct sink_partition_info){count, part->opened_end_offset};
}

void part_lost(struct part *part, int64_t records)
{
    part->counts.lost += records;
    part_dirty(part);
}

static void flight_answered(struct flight *flight)
{
    struct part *part = flight->part;

    flight->is_answered = true;
    part_advance(part);
    mr_task_post(&part->pump_task);
}

static void on_dead(void *owner, int rc)
{
    struct flight *flight = owner;
    struct part *part = flight->part;
    const struct sink_outcome outcome = {SINK_RETRY, 0, "dead letters cannot be written", NULL, 0};

    flight->is_away = false;
    if (flight->is_orphan) {
        flight_free(flight);
        mr_task_post(&part->pump_task);
    } else if (rc == 0) {
        flight_answered(flight);
    } else {
        drain_failed(part->drain, &outcome);
        part_take_back(part, part->answered_offset);
        mr_task_post(&part->pump_task);
    }
}

/* Needs the records themselves, also for a sink that takes ranges. */
static int flight_decode(struct flight *flight)
{
    struct records *records = &flight->records;
    ssize_t got;
    int rc;

    if (records->count > 0) {
        return 0;
    }
    rc = mr_bytes_reserve(&records->raw, (size_t)flight->range.size_bytes);
    if (rc != 0) {
        records->raw.failed = 0;
        return rc;
    }
    got = mr_disk_pread(flight->part->drain->config.disk, flight->range.fd, records->raw.data,
                        (size_t)flight->range.size_bytes, flight->range.position);
    if (got != (ssize_t)flight->range.size_bytes) {
        return got < 0 ? (int)got : MR_ETRUNCATED;
    }
    records->raw.size_bytes = (size_t)got;
    return records_decode(records, flight->write.first_offset, flight->write.next_offset,
                          flight->part->drain->codecs, &flight->skipped);
}

/* The refused records come to the front, in the order in which they are named. */
static int flight_select(struct flight *flight, const struct sink_outcome *outcome,
                         size_t *ret_count)
{
    struct records *records = &flight->records;
    struct sink_record *chosen;
    size_t count = 0;

    *ret_count = records->count;
    if (outcome->bad_record_count == 0) {
        return 0;
    }
    chosen = mr_calloc(records->count, sizeof *chosen);
    if (chosen == NULL) {
        return MR_ENOMEM;
    }
    for (size_t i = 0; i < outcome->bad_record_count && count < records->count; i++) {
        if (outcome->bad_records[i] < records->count) {
            chosen[count++] = records->items[outcome->bad_records[i]];
        }
    }
    memcpy(records->items, chosen, count * sizeof *chosen);
    mr_free(chosen);
    *ret_count = count;
    return 0;
}

static void flight_dead(struct flight *flight, const struct sink_outcome *outcome)
{
    struct part *part = flight->part;
    const char *reason = outcome->reason == NULL ? "" : outcome->reason;
    size_t count = 0;
    int rc = flight_decode(flight);

    if (rc == 0) {
        rc = flight_select(flight, outcome, &count);
    }
    mr_error("the destination refuses records for good; they go to the dead letters",
             KV_STR("sink", part->drain->config.id), KV_STR("topic", part->topic),
             KV_I64("first_offset", flight->write.first_offset), KV_I64("records", (int64_t)count),
             KV_I64("damaged", flight->skipped), KV_STR("reason", reason));
    if (rc == 0 && count == 0) { /* damage, or no record at all: nothing to keep */
        flight_answered(flight);
        return;
    }
    flight->dead =
        outcome->bad_record_count > 0 ? (int64_t)count : flight_span(flight) - flight->skipped;
    flight->is_away = true;
    if (rc == 0) {
        rc = dead_letters_put(part->drain, part->topic, part->partition, flight->records.items,
                              count, reason, on_dead, flight);
    }
    if (rc != 0) {
        on_dead(flight, rc);
    }
}

static void on_done(struct sink_write *write, const struct sink_outcome *outcome)
{
    struct flight *flight = write->owner;
    struct part *part = flight->part;
    struct drain *drain = part->drain;

    flight->is_away = false;
    if (flight->is_orphan) {
        flight_free(flight);
        mr_task_post(&part->pump_task);
        return;
    }
    switch (outcome->class) {
    case SINK_OK:
        drain_succeeded(drain);
        drain_count(drain, DRAIN_BYTES, flight->bytes);
        drain_count(drain, DRAIN_WRITES, 1);
        flight_answered(flight);
        return;
    case SINK_RETRY:
    case SINK_AUTH:
        if (!drain->is_closing) {
            drain_failed(drain, outcome);
        }
        /* Answered ones behind the failed one are void too: order comes first. */
        part_take_back(part, part->answered_offset); /* frees the flight as well */
        mr_task_post(&part->pump_task);
        return;
    case SINK_PERMANENT:
        flight_dead(flight, outcome);
        return;
    }
}

/* ---- reading ---- */

static void flight_write(struct flight *flight, int64_t record_count)
{
    struct part *part = flight->part;

    flight->write.topic = part->topic;
    flight->write.partition = part->partition;
    flight->write.record_count = record_count;
    flight->write.disk = part->drain->config.disk;
    flight->write.fd = flight->range.fd;
    flight->write.position = flight->range.position;
    flight->write.size_bytes = flight->range.size_bytes;
    flight->write.records = flight->records.items;
    flight->write.done = on_done;
    flight->write.owner = flight;
    flight->is_away = true;
    part->drain->config.type->write(part->drain->sink, &flight->write);
}

static void read_later(struct part *part, int rc)
{
    if (!part->is_read_troubled) {
        mr_warn("the log cannot be read at this moment", KV_STR("sink", part->drain->config.id),
                KV_STR("topic", part->topic), KV_I64("partition", part->partition),
                KV_I64("offset", part->next_offset), KV_ERR(rc));
    }
    part->is_read_troubled = true;
    if (mr_timer_start(&part->read_timer, PART_RETRY_READ_MS) != 0) {
        mr_task_post(&part->pump_task);
    }
}

/* Offsets in front of the range that the log has no batch for: damage that recovery set aside. */
static int64_t flight_hole(const struct flight *flight)
{
    return flight->range.first_offset > flight->start_offset
               ? flight->range.first_offset - flight->start_offset
               : 0;
}

static void flight_tell_skipped(const struct flight *flight)
{
    const struct part *part = flight->part;

    if (flight->skipped > 0) {
        mr_error("damaged batches are passed over", KV_STR("sink", part->drain->config.id),
                 KV_STR("topic", part->topic), KV_I64("partition", part->partition),
                 KV_I64("first_offset", flight->start_offset), KV_I64("records", flight->skipped));
    }
}

/* Decoded; gives it to the sink, or passes over what holds no record for it. */
static void flight_ready(struct flight *flight, int rc)
{
    struct part *part = flight->part;

    if (rc == 0) {
        rc = records_decode(&flight->records, flight->write.first_offset, flight->write.next_offset,
                            part->drain->codecs, &flight->skipped);
    }
    if (rc != 0) {
        part_take_back(part, part->answered_offset); /* frees the flight as well */
        read_later(part, rc);
        return;
    }
    part->is_read_troubled = false;
    flight->skipped += flight_hole(flight);
    flight_tell_skipped(flight);
    if (flight->records.count == 0) {
        flight_answered(flight);
    } else {
        flight_write(flight, (int64_t)flight->records.count);
    }
}

static void cold_read(struct mr_work *work)
{
    struct flight *flight = work->owner;
    ssize_t got =
        mr_disk_pread(flight->part->drain->config.disk, flight->range.fd, flight->records.raw.data,
                      (size_t)flight->range.size_bytes, flight->range.position);

    flight->rc = got == (ssize_t)flight->range.size_bytes ? 0 : got < 0 ? (int)got : MR_ETRUNCATED;
}

static void on_cold_read(struct mr_work *work)
{
    struct flight *flight = work->owner;
    struct part *part = flight->part;

    part->is_reading = false;
    flight->is_away = false;
    if (flight->is_orphan) {
        flight_free(flight);
    } else {
        flight->records.raw.size_bytes = (size_t)flight->range.size_bytes;
        flight_ready(flight, flight->rc);
    }
    mr_task_post(&part->pump_task);
}

static void flight_read_records(struct flight *flight)
{
    struct part *part = flight->part;
    struct mr_disk *disk = part->drain->config.disk;
    struct records *records = &flight->records;
    struct iovec all;
    ssize_t got;

    if (mr_bytes_reserve(&records->raw, (size_t)flight->range.size_bytes) != 0) {
        records->raw.failed = 0;
        flight_ready(flight, MR_ENOMEM);
        return;
    }
    all = (struct iovec){records->raw.data, (size_t)flight->range.size_bytes};
    got = disk->ops->preadv_cached(disk, flight->range.fd, &all, 1, flight->range.position);
    if (got == (ssize_t)flight->range.size_bytes) {
        records->raw.size_bytes = (size_t)got;
        flight_ready(flight, 0);
        return;
    }
    flight->work = (struct mr_work){.run = cold_read, .done = on_cold_read, .owner = flight};
    flight->is_away = true; /* it must not be freed under the worker */
    part->is_reading = true;
    if (mr_workers_submit(part->drain->config.workers, &flight->work) != 0) {
        part->is_reading = false;
        flight->is_away = false;
        flight_ready(flight, MR_EAGAIN);
    }
}

/* The log begins behind our position: what was between is gone. */
static void part_skip(struct part *part, int64_t start)
{
    int64_t records = start - part->answered_offset;

    mr_warn("the log no longer held these records when the sink came to them",
            KV_STR("sink", part->drain->config.id), KV_STR("topic", part->topic),
            KV_I64("partition", part->partition), KV_I64("records", records));
    part->counts.skipped += records;
    drain_count(part->drain, DRAIN_SKIPPED, records);
    part->answered_offset = start;
    part->next_offset = start;
    queue_consumer_passed(part->consumer, start);
    part_dirty(part);
}

/* 1: a flight was started. 0: nothing to read. < 0: not now. */
static int part_read(struct part *part)
{
    bool is_ranges = part->drain->config.type->wants == SINK_WANTS_RANGES;
    int64_t bytes_max = is_ranges ? 0 : part->drain->config.type->write_bytes_max;
    struct log_range range = {0};
    struct flight *flight;
    int rc;

    if (!is_ranges && bytes_max == 0) {
        bytes_max = PART_WRITE_BYTES_MAX;
    }
    rc = queue_consumer_read(part->consumer, part->next_offset, part_limit(part), bytes_max,
                             &part->cursor, &range);
    if (rc != 0 || range.size_bytes == 0) {
        log_range_done(&range);
        return rc;
    }
    flight = mr_calloc(1, sizeof *flight);
    if (flight == NULL) {
        log_range_done(&range);
        return MR_ENOMEM;
    }
    records_init(&flight->records);
    flight->part = part;
    flight->range = range;
    flight->start_offset = part->next_offset;
    flight->bytes = range.size_bytes;
    flight->write.first_offset = range.first_offset > part->next_offset || is_ranges
                                     ? range.first_offset
                                     : part->next_offset;
    flight->write.next_offset = range.next_offset;
    part->next_offset = range.next_offset;
    mr_list_append(&part->flights, &flight->link);
    part->in_flight++;
    if (is_ranges) {
        part->is_read_troubled = false;
        flight->skipped = flight_hole(flight);
        flight_tell_skipped(flight);
        flight_write(flight, flight->write.next_offset - flight->write.first_offset);
    } else {
        flight_read_records(flight);
    }
    return 1;
}

static void part_wait(struct part *part)
{
    queue_consumer_wait(part->consumer, part->next_offset, part_limit(part));
}

static void part_read_failed(struct part *part, int rc)
{
    int64_t start = queue_consumer_start_offset(part->consumer);
    int64_t end = queue_consumer_end_offset(part->consumer);

    if (rc != MR_ERANGE || (part->next_offset >= start && part->next_offset <= end)) {
        read_later(part, rc);
        return;
    }
    if (part->in_flight > 0) {
        return; /* they count first; the last answer comes here again */
    }
    if (part->next_offset < start) {
        part_skip(part, start);
    } else {
        /* A disk that lost its last writes, or a restored copy. */
        mr_error("the log ends before the sink's position: it was cut or restored",
                 KV_STR("sink", part->drain->config.id), KV_STR("topic", part->topic),
                 KV_I64("partition", part->partition), KV_I64("position", part->next_offset),
                 KV_I64("log_end_offset", end));
        part_move(part, end);
    }
    mr_task_post(&part->pump_task);
}

void part_pump(struct part *part)
{
    struct drain *drain = part->drain;
    int rc = 1;

    if (drain->is_closing) {
        mr_task_post(&drain->close_task);
        return;
    }
    /* Orphans are still with the sink: the order would break if the same were written beside them.
     */
    if (drain_is_waiting(drain) || part->is_reading || mr_timer_is_running(&part->read_timer) ||
        !mr_list_is_empty(&part->orphans)) {
        return;
    }
    for (int writes = 0;
         rc > 0 && part->in_flight < drain->config.type->in_flight_max && !part->is_reading &&
         !drain_is_waiting(drain) && mr_list_is_empty(&part->orphans);
         writes++) {
        if (writes == PART_TURN_WRITES_MAX) {
            mr_task_post(&part->pump_task);
            return;
        }
        rc = part_read(part);
    }
    if (rc == 0) {
        part_wait(part);
    } else if (rc < 0) {
        part_read_failed(part, rc);
    }
}

static void on_more(void *owner)
{
    part_pump(owner);
}

static void on_pump(struct mr_task *task)
{
    part_pump(task->owner);
}

static void on_read_timer(struct mr_timer *timer)
{
    part_pump(timer->owner);
}

/* ---- open and close ---- */

int part_open(struct drain *drain, const char *topic, int32_t partition, struct mr_error *error)
{
    struct part *part = mr_calloc(1, sizeof *part);
    char *group = mr_asprintf("sink.%s", drain->config.id);
    int rc = MR_ENOMEM;

    if (part == NULL || group == NULL) {
        mr_free(part);
        mr_free(group);
        return mr_fail(error, rc, "open");
    }
    part->drain = drain;
    part->partition = partition;
    part->topic = mr_strdup(topic);
    mr_list_init(&part->flights);
    mr_list_init(&part->orphans);
    mr_timer_init(&part->read_timer, drain->config.loop, on_read_timer, part);
    part_commit_init(part);
    mr_task_init(&part->pump_task, drain->config.loop, on_pump, part);
    mr_list_append(&drain->parts, &part->link);
    rc = part->topic == NULL ? mr_fail(error, MR_ENOMEM, "open")
                             : queue_consumer_open(drain->config.queue, group, topic, partition,
                                                   on_more, part, &part->consumer, error);
    mr_free(group);
    if (rc != 0) {
        part_free(part);
        return rc;
    }
    part_load(part);
    mr_task_post(&part->pump_task);
    return 0;
}

bool part_close_step(struct part *part)
{
    if (part->is_committing || part->is_reading || !mr_list_is_empty(&part->orphans)) {
        return false;
    }
    mr_list_each(&part->flights, link, next)
    {
        if (mr_container(link, struct flight, link)->is_away) {
            return false; /* a dead letter is being written */
        }
    }
    if (part->is_dirty || !mr_list_is_empty(&part->state_waiting)) {
        part_commit(part);
        return !part->is_committing && !part->is_dirty;
    }
    return true;
}

void part_free(struct part *part)
{
    mr_list_each(&part->flights, link, next)
    {
        flight_free(mr_container(link, struct flight, link));
    }
    mr_list_each(&part->orphans, other_link, other_next)
    {
        flight_free(mr_container(other_link, struct flight, link));
    }
    mr_timer_stop(&part->read_timer);
    part_commit_done(part);
    mr_task_cancel(&part->pump_task);
    if (part->consumer != NULL) {
        queue_consumer_close(part->consumer);
    }
    mr_list_remove(&part->link);
    mr_free(part->topic);
    mr_free(part);
}
