/* `millrace consume`: records of a topic on standard output.
 *
 * Rounds: one Fetch to each node that leads some of the partitions, one after another; the answer
 * is printed as it comes, each partition in the order of its offsets. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/kafka.h"
#include "agent/cli/target.h"
#include "base/codec/codec.h"
#include "base/core/buffer.h"
#include "base/core/memory.h"
#include "base/core/option.h"
#include "base/text/json.h"
#include "base/text/time.h"
#include "queue/wire/batch.h"
#include "queue/wire/fetch.h"
#include "queue/wire/kafka_error.h"

enum {
    BY_NAME = 12, /* the last version of Fetch with topic names */
    WAIT_MS = 500,
    SHARED_WAIT_MS = 50, /* with several leaders, none may hold up the others for long */
    FETCH_BYTES = 8 << 20,
    PARTITION_BYTES = 1 << 20,
    UNPACKED_BYTES_MAX = 256 << 20,
    RETRIES_MAX = 50,
    RETRY_MS = 100,
};

struct part {
    int32_t index;
    int64_t offset; /* the next one to print */
    bool is_at_end;
};

struct consume {
    struct cli_kafka kafka;
    struct cli_target target;
    const char *topic;
    const char *where;
    int64_t partition; /* -1: all */
    int64_t count_max; /* 0: no bound */
    int64_t count;
    bool is_ending; /* -e */
    bool is_json;
    struct cli_topic info;
    struct part *parts;
    int32_t part_count;
    struct mr_codec_context *codecs;
    struct mr_bytes unpacked;
    struct mr_bytes line;
    struct fetch_request_partition *asked; /* of the fetch that is made */
    int32_t leader_count;
    bool must_recover; /* a partition has no leader, or another one */
    int failures;      /* in a row */
};

static bool is_enough(const struct consume *consume)
{
    return consume->count_max > 0 && consume->count >= consume->count_max;
}

/* ---- printing ---- */

static void put_field(struct mr_json *json, const void *data, int32_t size)
{
    if (size < 0) {
        mr_json_null(json);
    } else {
        mr_json_string(json, data, (size_t)size);
    }
}

static void put_json(struct consume *consume, int32_t partition, const struct batch_header *batch,
                     const struct batch_record *record)
{
    struct mr_json json;
    struct batch_header_cursor cursor;
    struct batch_record_header header;
    char time[MR_TIME_TEXT_SIZE];
    int64_t time_ms = batch->attributes & BATCH_LOG_APPEND_TIME
                          ? batch->max_timestamp_ms
                          : batch->base_timestamp_ms + record->timestamp_delta_ms;

    (void)mr_time_format(time_ms * 1000, MR_TIME_MILLIS, time);
    mr_json_init(&json, &consume->line);
    mr_json_open_object(&json);
    mr_json_key(&json, "topic");
    mr_json_text(&json, consume->topic);
    mr_json_key(&json, "partition");
    mr_json_i64(&json, partition);
    mr_json_key(&json, "offset");
    mr_json_i64(&json, batch->base_offset + record->offset_delta);
    mr_json_key(&json, "timestamp");
    mr_json_text(&json, time);
    mr_json_key(&json, "key");
    put_field(&json, record->key, record->key_size);
    mr_json_key(&json, "headers");
    mr_json_open_object(&json);
    batch_headers_init(&cursor, record);
    while (batch_headers_next(&cursor, &header)) {
        if (header.key_size == 6 && memcmp(header.key, "mr.pos", 6) == 0) {
            continue; /* where a source stands: bytes, for nobody's eyes */
        }
        mr_json_key_bytes(&json, header.key, (size_t)header.key_size);
        put_field(&json, header.value, header.value_size);
    }
    mr_json_close_object(&json);
    mr_json_key(&json, "value");
    put_field(&json, record->value, record->value_size);
    mr_json_close_object(&json);
}

static int print_record(struct consume *consume, int32_t partition,
                        const struct batch_header *batch, const struct batch_record *record)
{
    struct mr_bytes *line = &consume->line;

    mr_bytes_clear(line);
    if (consume->is_json) {
        put_json(consume, partition, batch, record);
    } else if (record->value_size > 0) {
        mr_bytes_append(line, record->value, (size_t)record->value_size);
    }
    mr_bytes_append(line, "\n", 1);
    if (line->failed != 0) {
        return cli_fail("consume", CLI_FAILED, "%s", mr_code_text(line->failed));
    }
    if (fwrite(line->data, 1, line->size_bytes, stdout) != line->size_bytes) {
        return errno == EPIPE
                   ? CLI_FAILED /* the reader has what it wanted */
                   : cli_fail("consume", CLI_FAILED, "standard output: %s", strerror(errno));
    }
    consume->count++;
    return CLI_OK;
}

/* ---- batches ---- */

static int open_batch(struct consume *consume, const struct batch_header *header,
                      const uint8_t *batch, struct batch_iterator *iterator)
{
    const uint8_t *records = batch + BATCH_HEADER_SIZE;
    size_t size = (size_t)batch_size_bytes(header) - BATCH_HEADER_SIZE;
    int codec = header->attributes & BATCH_CODEC_MASK;
    int rc = batch_crc_check(batch, header);

    if (rc == 0 && codec != MR_CODEC_NONE) {
        mr_bytes_clear(&consume->unpacked);
        rc = mr_codec_decompress(consume->codecs, (enum mr_codec)codec, records, size,
                                 UNPACKED_BYTES_MAX, &consume->unpacked);
        records = consume->unpacked.data;
        size = consume->unpacked.size_bytes;
    }
    if (rc == 0) {
        batch_iterator_init(iterator, header, records, size);
    }
    return rc;
}

static int print_batch(struct consume *consume, struct part *part,
                       const struct batch_header *header, const uint8_t *batch)
{
    struct batch_iterator iterator;
    struct batch_record record;
    int rc = open_batch(consume, header, batch, &iterator);

    while (rc == 0 && !is_enough(consume) && !(header->attributes & BATCH_CONTROL) &&
           (rc = batch_iterator_next(&iterator, &record)) > 0) {
        rc = 0;
        if (header->base_offset + record.offset_delta >= part->offset) {
            rc = print_record(consume, part->index, header, &record);
            if (rc != CLI_OK) {
                return rc;
            }
            part->offset = header->base_offset + record.offset_delta + 1;
        }
    }
    if (rc < 0) {
        return cli_fail("consume", CLI_FAILED, "%s/%d: the batch at offset %" PRId64 ": %s",
                        consume->topic, (int)part->index, header->base_offset, mr_code_text(rc));
    }
    if (!is_enough(consume)) {
        part->offset = batch_next_offset(header);
    }
    return CLI_OK;
}

/* Whole batches; the last one may be cut, and comes again with the next fetch. */
static int print_records(struct consume *consume, struct part *part,
                         const struct wire_records *records)
{
    size_t left = records->size > 0 ? (size_t)records->size : 0;
    const uint8_t *at = records->data;
    int rc = CLI_OK;

    while (rc == CLI_OK && !is_enough(consume)) {
        struct batch_header header;
        int parsed = batch_header_parse(at, left, &header);
        if (parsed == MR_ETRUNCATED || (parsed == 0 && (size_t)batch_size_bytes(&header) > left)) {
            return CLI_OK;
        }
        if (parsed != 0) {
            return cli_fail("consume", CLI_FAILED, "%s/%d: behind offset %" PRId64 ": %s",
                            consume->topic, (int)part->index, part->offset, mr_code_text(parsed));
        }
        if (batch_next_offset(&header) > part->offset) {
            rc = print_batch(consume, part, &header, at);
        }
        at += batch_size_bytes(&header);
        left -= (size_t)batch_size_bytes(&header);
    }
    return rc;
}

/* ---- rounds ---- */

static struct part *part_of(struct consume *consume, int32_t index)
{
    for (int32_t i = 0; i < consume->part_count; i++) {
        if (consume->parts[i].index == index) {
            return &consume->parts[i];
        }
    }
    return NULL;
}

static int take_partition(struct consume *consume, const struct fetch_response_partition *answer)
{
    struct part *part = part_of(consume, answer->partition_index);
    int64_t before;
    int rc;

    if (part == NULL) {
        return CLI_OK;
    }
    if (kafka_error_is_retriable(answer->error_code) ||
        kafka_error_wants_metadata(answer->error_code)) {
        consume->must_recover = true;
        return CLI_OK;
    }
    if (answer->error_code != 0) {
        char what[300];
        (void)snprintf(what, sizeof what, "%s/%d at offset %" PRId64, consume->topic,
                       (int)part->index, part->offset);
        return cli_kafka_refused(&consume->kafka, what, answer->error_code, NULL);
    }
    before = part->offset;
    rc = print_records(consume, part, &answer->records);
    part->is_at_end = part->offset >= answer->high_watermark;
    consume->failures = part->is_at_end || part->offset > before ? 0 : consume->failures;
    return rc;
}

static int on_fetched(void *owner, const void *answer)
{
    struct consume *consume = owner;
    const struct fetch_response *response = answer;
    int rc = CLI_OK;

    for (int32_t i = 0; i < response->responses.count; i++) {
        const struct fetch_response_topic *topic = &response->responses.items[i];
        for (int32_t j = 0; rc == CLI_OK && j < topic->partitions.count; j++) {
            rc = take_partition(consume, &topic->partitions.items[j]);
        }
    }
    return rc;
}

static bool is_wanted(const struct consume *consume, const struct part *part)
{
    return !(consume->is_ending && part->is_at_end);
}

/* One Fetch for those partitions that have the leader of `first`. */
static int fetch_with(struct consume *consume, const struct part *first)
{
    int32_t leader = consume->info.partitions[first->index].leader;
    struct fetch_request_topic topic = {.topic = wire_text(consume->topic),
                                        .partitions = {consume->asked, 0}};
    struct fetch_request message;
    struct client_request request = {.key = WIRE_API_FETCH,
                                     .message = &message,
                                     .node = CLIENT_NODE_LEADER,
                                     .topic = consume->topic,
                                     .partition = first->index,
                                     .version_max = BY_NAME};

    for (int32_t i = 0; i < consume->part_count; i++) {
        const struct part *part = &consume->parts[i];
        if (consume->info.partitions[part->index].leader == leader && is_wanted(consume, part)) {
            struct fetch_request_partition *one = &consume->asked[topic.partitions.count++];
            fetch_request_partition_init(one);
            one->partition = part->index;
            one->fetch_offset = part->offset;
            one->partition_max_bytes = PARTITION_BYTES;
        }
    }
    fetch_request_init(&message);
    message.max_wait_ms = consume->leader_count > 1 ? SHARED_WAIT_MS : WAIT_MS;
    message.min_bytes = 1;
    message.max_bytes = FETCH_BYTES;
    message.topics = (struct fetch_request_topic_array){&topic, 1};
    return cli_kafka_call(&consume->kafka, &request, on_fetched, consume);
}

/* Whether a partition before this one has the same leader, and is asked for with it. */
static bool is_asked(const struct consume *consume, int32_t place)
{
    int32_t leader = consume->info.partitions[consume->parts[place].index].leader;

    for (int32_t i = 0; i < place; i++) {
        if (consume->info.partitions[consume->parts[i].index].leader == leader &&
            is_wanted(consume, &consume->parts[i])) {
            return true;
        }
    }
    return false;
}

/* What went wrong passes (a leader that moves): ask who leads now, and wait a moment. */
static int recover(struct consume *consume)
{
    consume->must_recover = false;
    if (++consume->failures > RETRIES_MAX) {
        return cli_fail("consume", CLI_UNREACHABLE, "%s: no leader was found", consume->topic);
    }
    for (int64_t end_us = mr_loop_now_us(consume->kafka.loop) + RETRY_MS * 1000;
         !consume->kafka.is_interrupted && mr_loop_now_us(consume->kafka.loop) < end_us;) {
        mr_loop_turn(consume->kafka.loop, 10);
    }
    return cli_kafka_topic(&consume->kafka, consume->topic, false, &consume->info);
}

static int round_of(struct consume *consume, bool *ret_is_done)
{
    int32_t leaders = 0;
    int rc = CLI_OK;

    for (int32_t i = 0; rc == CLI_OK && i < consume->part_count && !is_enough(consume); i++) {
        if (is_wanted(consume, &consume->parts[i]) && !is_asked(consume, i)) {
            leaders++;
            rc = fetch_with(consume, &consume->parts[i]);
        }
    }
    consume->leader_count = leaders;
    *ret_is_done = leaders == 0 || is_enough(consume);
    if (fflush(stdout) != 0) {
        return CLI_FAILED; /* the reader has gone */
    }
    return rc == CLI_OK && consume->must_recover ? recover(consume) : rc;
}

/* ---- where to begin ---- */

static int start_of(struct consume *consume, int32_t partition, int64_t time_ms,
                    int64_t *ret_offset)
{
    int rc = cli_kafka_offset(&consume->kafka, consume->topic, partition, time_ms, ret_offset);

    if (rc == CLI_OK && *ret_offset < 0) { /* nothing is that young */
        rc = cli_kafka_offset(&consume->kafka, consume->topic, partition, -1, ret_offset);
    }
    return rc;
}

static int last_of(struct consume *consume, int32_t partition, int64_t count, int64_t *ret_offset)
{
    int64_t start = 0;
    int64_t end = 0;
    int rc = cli_kafka_offset(&consume->kafka, consume->topic, partition, -2, &start);

    if (rc == CLI_OK) {
        rc = cli_kafka_offset(&consume->kafka, consume->topic, partition, -1, &end);
    }
    *ret_offset = end - count > start ? end - count : start;
    return rc;
}

static int parse_time(const char *word, int64_t *ret_ms)
{
    int64_t us;
    size_t size;

    if (mr_parse_int(word, ret_ms) == 0) {
        return *ret_ms < 0 ? MR_EINVAL : 0;
    }
    if (mr_time_parse(word, strlen(word), &us, &size) != 0 || word[size] != '\0') {
        return MR_EINVAL;
    }
    *ret_ms = us / 1000;
    return 0;
}

static int place_part(struct consume *consume, struct part *part)
{
    const char *where = consume->where;
    int64_t number = 0;

    if (strcmp(where, "beginning") == 0 || strcmp(where, "end") == 0) {
        return start_of(consume, part->index, where[0] == 'b' ? -2 : -1, &part->offset);
    }
    if (where[0] == '@') {
        (void)parse_time(where + 1, &number);
        return start_of(consume, part->index, number, &part->offset);
    }
    (void)mr_parse_int(where, &number);
    if (number < 0) {
        return last_of(consume, part->index, -number, &part->offset);
    }
    part->offset = number;
    return CLI_OK;
}

static bool is_place(const char *where)
{
    int64_t number;

    return strcmp(where, "beginning") == 0 || strcmp(where, "end") == 0 ||
           (where[0] == '@' && parse_time(where + 1, &number) == 0) ||
           mr_parse_int(where, &number) == 0;
}

static int open_parts(struct consume *consume)
{
    bool is_one = consume->partition >= 0;
    int rc = cli_kafka_topic(&consume->kafka, consume->topic, false, &consume->info);

    if (rc != CLI_OK) {
        return rc;
    }
    if (consume->partition >= consume->info.partition_count) {
        return cli_fail("consume", CLI_FAILED, "%s has %d partitions", consume->topic,
                        (int)consume->info.partition_count);
    }
    consume->part_count = is_one ? 1 : consume->info.partition_count;
    consume->parts = mr_calloc((size_t)consume->part_count + 1, sizeof *consume->parts);
    consume->asked = mr_calloc((size_t)consume->part_count + 1, sizeof *consume->asked);
    if (consume->parts == NULL || consume->asked == NULL ||
        mr_codec_context_new(&consume->codecs) != 0) {
        return cli_fail("consume", CLI_FAILED, "%s", mr_code_text(MR_ENOMEM));
    }
    for (int32_t i = 0; rc == CLI_OK && i < consume->part_count; i++) {
        consume->parts[i].index = is_one ? (int32_t)consume->partition : i;
        rc = place_part(consume, &consume->parts[i]);
    }
    return rc;
}

static int run(struct consume *consume)
{
    bool is_done = false;
    int rc = cli_kafka_open(&consume->kafka, "consume", &consume->target);

    if (rc == CLI_OK) {
        rc = open_parts(consume);
    }
    while (rc == CLI_OK && !is_done && !consume->kafka.is_interrupted) {
        rc = round_of(consume, &is_done);
    }
    if (rc == CLI_OK && consume->kafka.is_interrupted) {
        rc = CLI_INTERRUPTED;
    }
    (void)fflush(stdout);
    mr_free(consume->parts);
    mr_free(consume->asked);
    mr_codec_context_free(consume->codecs);
    mr_bytes_done(&consume->unpacked);
    mr_bytes_done(&consume->line);
    cli_kafka_close(&consume->kafka);
    return rc;
}

static bool take_number(const char *option, const char *word, int64_t min, int64_t *ret_number)
{
    if (word == NULL ||
        (mr_parse_int(word, ret_number) == 0 && *ret_number >= min && *ret_number <= INT32_MAX)) {
        return true;
    }
    (void)cli_fail("consume", CLI_USAGE, "-%s %s: a number is wanted", option, word);
    return false;
}

int cli_consume(int argc, char **argv)
{
    struct consume consume = {.where = "end", .partition = -1};
    const char *partition = NULL;
    const char *count = NULL;
    const char *format = "value";
    const struct cli_option options[] = {
        CLI_TARGET_ANY(consume.target),
        {.name = "topic", .letter = 't', .value = &consume.topic},
        {.name = "partition", .letter = 'p', .value = &partition},
        {.name = "offset", .letter = 'o', .value = &consume.where},
        {.name = "count", .letter = 'n', .value = &count},
        {.name = "exit", .letter = 'e', .flag = &consume.is_ending},
        {.name = "format", .letter = 'f', .value = &format},
        {0}};
    int rest = cli_parse("consume", argc, argv, options);

    if (rest < 0) {
        return CLI_USAGE;
    }
    if (rest < argc) {
        return cli_fail("consume", CLI_USAGE, "'%s' is one word too many", argv[rest]);
    }
    if (consume.topic == NULL) {
        return cli_fail("consume", CLI_USAGE, "which topic? -t NAME");
    }
    if (!take_number("p", partition, 0, &consume.partition) ||
        !take_number("n", count, 1, &consume.count_max)) {
        return CLI_USAGE;
    }
    if (!is_place(consume.where)) {
        return cli_fail("consume", CLI_USAGE,
                        "-o %s: beginning, end, an offset, -N or @TIME is wanted", consume.where);
    }
    if (strcmp(format, "value") != 0 && strcmp(format, "json") != 0) {
        return cli_fail("consume", CLI_USAGE, "-f is value or json, not '%s'", format);
    }
    consume.is_json = format[0] == 'j';
    mr_bytes_init(&consume.unpacked);
    mr_bytes_init(&consume.line);
    return run(&consume);
}
