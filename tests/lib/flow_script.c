/* The scripted source and sink; see flow_fixture.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/memory.h"
#include "tests/lib/flow_fixture.h"
#include "tests/lib/test.h"

/* ---- the source ---- */

struct script_block {
    struct source_block block;
    struct script_options *options;
    int stream;
    int64_t position; /* behind the last event */
    struct source_span spans[SCRIPT_BLOCK_EVENTS_MAX];
};

static void script_close_check(struct script_source *source)
{
    if (source->is_closing && source->under_way == 0) {
        mr_task_post(&source->close_task);
    }
}

static void on_close_task(struct mr_task *task)
{
    struct script_source *source = task->owner;
    struct script_options *options = source->source.options;

    if (source->parked != NULL) {
        mr_buf_unref(source->parked->block.buf);
        free(source->parked);
    }
    for (int i = 0; i < options->stream_count; i++) {
        source->source.host->ops->stream_close(source->source.host, source->streams[i].stream);
    }
    options->source = NULL;
    source->closed(source->closed_owner);
}

static int script_open(struct source *base, struct mr_error *error)
{
    struct script_source *source = (struct script_source *)base;
    struct script_options *options = base->options;
    const struct source_header header = {"mr.file", "/var/log/x"};

    (void)error;
    mr_task_init(&source->close_task, base->host->loop, on_close_task, source);
    options->source = source;
    for (int i = 0; i < options->stream_count; i++) {
        struct script_stream *stream = &source->streams[i];
        uint8_t key = (uint8_t)i;
        int64_t position = 0;
        size_t size =
            base->host->ops->position_get(base->host, &key, 1, &position, sizeof position);
        CHECK(size == 0 || size == sizeof position);
        stream->next = position;
        stream->acked = position;
        stream->stream = base->host->ops->stream_open(base->host, &key, 1, &header, 1);
        CHECK(stream->stream != NULL);
    }
    return 0;
}

static void script_resume(struct source *base)
{
    ((struct script_source *)base)->is_blocked = false;
}

static void script_close(struct source *base, source_close_cb done, void *owner)
{
    struct script_source *source = (struct script_source *)base;

    source->is_closing = true;
    source->closed = done;
    source->closed_owner = owner;
    script_close_check(source);
}

const struct source_type script_source_type = {
    .name = "script",
    .size_bytes = sizeof(struct script_source),
    .open = script_open,
    .resume = script_resume,
    .close = script_close,
};

static void on_acked(struct source_block *base, enum source_outcome outcome)
{
    struct script_block *block = base->owner;
    struct script_source *source = block->options->source;
    struct script_stream *stream = &source->streams[block->stream];

    if (outcome == SOURCE_CANCELED) {
        block->options->canceled += (int64_t)base->span_count;
    } else {
        CHECK_EQ(stream->acked, block->position - (int64_t)base->span_count); /* in order */
        stream->acked = block->position;
        *(outcome == SOURCE_DURABLE ? &block->options->durable : &block->options->dropped) +=
            (int64_t)base->span_count;
    }
    source->under_way--;
    mr_buf_unref(base->buf);
    free(block);
    script_close_check(source);
}

static void fill_block(struct script_block *block, struct mr_random *random, int count)
{
    struct mr_buf *buf = mr_buf_new(SCRIPT_BLOCK_EVENTS_MAX * 300);
    static const char padding[251] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                                     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                                     "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
                                     "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"
                                     "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";

    CHECK(buf != NULL);
    for (int i = 0; i < count; i++) {
        int size =
            snprintf((char *)buf->data + buf->size_bytes, 300, "%d %lld %.*s", block->stream,
                     (long long)block->position + i, (int)mr_random_below(random, 200), padding);
        block->spans[i] = (struct source_span){.offset = (uint32_t)buf->size_bytes,
                                               .size = (uint32_t)size,
                                               .flags = (uint32_t)mr_random_below(random, 8),
                                               .timestamp_ms = -1};
        buf->size_bytes += (size_t)size;
    }
    block->block.buf = buf;
    block->position += count;
}

static size_t position_at(const struct source_block *base, size_t span_count, void *position)
{
    const struct script_block *block = base->owner;
    int64_t next = block->position - (int64_t)(base->span_count - span_count);

    CHECK_LE(span_count, base->span_count);
    CHECK(span_count > 0 || base->span_count == 0);
    memcpy(position, &next, sizeof next);
    return sizeof next;
}

static void offer(struct script_source *source, struct script_block *block)
{
    source->under_way++;
    if (source->source.host->ops->offer(source->source.host, &block->block) == 0) {
        source->streams[block->stream].next = block->position;
        return;
    }
    source->under_way--;
    source->is_blocked = true;
    source->parked = block;
}

void script_offer(struct script_options *options)
{
    struct script_source *source = options->source;
    struct mr_random *random = &options->f->random.base;
    struct script_block *block;
    int count = (int)mr_random_below(random, SCRIPT_BLOCK_EVENTS_MAX + 1);

    if (source == NULL || source->is_blocked || source->is_closing) {
        return;
    }
    if (source->parked != NULL) {
        block = source->parked;
        source->parked = NULL;
        offer(source, block);
        return;
    }
    block = calloc(1, sizeof *block);
    CHECK(block != NULL);
    block->options = options;
    block->stream = (int)mr_random_below(random, (uint64_t)options->stream_count);
    block->position = source->streams[block->stream].next;
    fill_block(block, random, count);
    block->block.stream = source->streams[block->stream].stream;
    block->block.spans = block->spans;
    block->block.span_count = (size_t)count;
    block->block.position_at = position_at;
    block->block.acked = on_acked;
    block->block.owner = block;
    offer(source, block);
}

int flow_fixture_open_intake(struct flow_fixture *f, struct script_options *options)
{
    static const char *const all[] = {"all"};
    static const struct mr_string_list headers = {all, 1};
    const struct intake_config config = {.id = "script",
                                         .type = &script_source_type,
                                         .options = options,
                                         .node_name = "node",
                                         .headers = &headers,
                                         .batch_size_bytes = f->batch_size_bytes,
                                         .message_size_bytes_max = f->message_size_bytes_max,
                                         .linger_ms = 2,
                                         .codec = f->codec,
                                         .when_full = f->when_full,
                                         .lanes = &f->lane,
                                         .lane_count = 1,
                                         .loop = f->loop,
                                         .disk = &f->disk->base,
                                         .random = &f->random.base,
                                         .workers = f->workers};

    options->f = f;
    return intake_open(&config, &f->intake, NULL);
}

struct topic_check {
    int64_t next[SCRIPT_STREAMS_MAX];
};

static void check_record(void *owner, const struct sink_record *record)
{
    struct topic_check *check = owner;
    char text[64];
    long long number;
    int stream;
    int size =
        record->value.size < sizeof text - 1 ? (int)record->value.size : (int)sizeof text - 1;

    (void)snprintf(text, sizeof text, "%.*s", size, (const char *)record->value.data);
    CHECK_EQ(sscanf(text, "%d %lld", &stream, &number), 2);
    CHECK(stream >= 0 && stream < SCRIPT_STREAMS_MAX);
    CHECK_EQ(number, check->next[stream]);
    check->next[stream]++;
}

int64_t script_check_topic(struct flow_fixture *f, int64_t next[SCRIPT_STREAMS_MAX])
{
    struct topic_check check = {{0}};
    int64_t count = flow_fixture_read_all(f, check_record, &check);

    memcpy(next, check.next, sizeof check.next);
    return count;
}

/* ---- the sink ---- */

static int sink_open(struct sink *sink, struct mr_error *error)
{
    struct script_sink_options *options = sink->options;

    (void)error;
    options->sink = sink;
    return 0;
}

static void sink_write(struct sink *sink, struct sink_write *write)
{
    struct script_sink_options *options = sink->options;

    CHECK_LT(options->write_count, SCRIPT_WRITES_MAX);
    CHECK_STR(write->topic, "app");
    for (int i = 0; i < options->write_count; i++) { /* in order, nothing twice at a time */
        CHECK_LE(options->writes[i]->next_offset, write->first_offset);
    }
    if (sink->type->wants == SINK_WANTS_RECORDS) {
        for (int64_t i = 0; i < write->record_count; i++) {
            char text[64];
            int size =
                snprintf(text, sizeof text, "record %lld", (long long)write->records[i].offset);
            CHECK_EQ(write->records[i].value.size, size);
            CHECK_MEM(write->records[i].value.data, text, (size_t)size);
        }
    }
    options->writes_seen++;
    options->writes[options->write_count++] = write;
}

static void answer(struct script_sink_options *options, int place, enum sink_class class)
{
    struct sink_write *write = options->writes[place];
    const struct sink_outcome outcome = {class, 0, class == SINK_OK ? NULL : "as told", NULL, 0};

    memmove(&options->writes[place], &options->writes[place + 1],
            (size_t)(options->write_count - place - 1) * sizeof options->writes[0]);
    options->write_count--;
    for (int64_t i = write->first_offset; i < write->next_offset && class != SINK_RETRY; i++) {
        CHECK_LT(i, SCRIPT_OFFSETS_MAX);
        options->is_taken[i] = true;
    }
    if (class == SINK_PERMANENT) {
        options->dead += write->next_offset - write->first_offset;
    }
    write->done(write, &outcome);
}

bool script_answer(struct script_sink_options *options)
{
    struct mr_random *random = &options->f->random.base;
    int percent = (int)mr_random_below(random, 100);
    int place = options->is_random_order && options->write_count > 0
                    ? (int)mr_random_below(random, (uint64_t)options->write_count)
                    : 0;

    if (options->write_count == 0) {
        return false;
    }
    answer(options, place,
           percent < options->retry_percent                                ? SINK_RETRY
           : percent < options->retry_percent + options->permanent_percent ? SINK_PERMANENT
                                                                           : SINK_OK);
    return true;
}

static void on_sink_close(struct mr_task *task)
{
    struct script_sink_options *options = task->owner;

    while (options->write_count > 0) {
        answer(options, 0, SINK_RETRY);
    }
    options->closed(options->closed_owner);
}

static void sink_close(struct sink *sink, sink_close_cb done, void *owner)
{
    struct script_sink_options *options = sink->options;

    options->is_closing = true;
    options->closed = done;
    options->closed_owner = owner;
    mr_task_init(&options->close_task, sink->host->loop, on_sink_close, options);
    mr_task_post(&options->close_task);
}

const struct sink_type script_sink_records = {
    .name = "script",
    .size_bytes = sizeof(struct sink),
    .wants = SINK_WANTS_RECORDS,
    .in_flight_max = 5,
    .write_bytes_max = 512,
    .open = sink_open,
    .write = sink_write,
    .close = sink_close,
};

const struct sink_type script_sink_ranges = {
    .name = "script",
    .size_bytes = sizeof(struct sink),
    .wants = SINK_WANTS_RANGES,
    .in_flight_max = 5,
    .wants_synced = true,
    .open = sink_open,
    .write = sink_write,
    .close = sink_close,
};

int flow_fixture_open_drain(struct flow_fixture *f, const struct sink_type *type,
                            struct script_sink_options *options)
{
    static const char *const names[] = {"app"};
    static const struct mr_string_list topics = {names, 1};
    const struct drain_config config = {.id = "out",
                                        .type = type,
                                        .options = options,
                                        .topics = &topics,
                                        .delay_ms_min = 100,
                                        .delay_ms_max = 1000,
                                        .queue = f->queue,
                                        .loop = f->loop,
                                        .disk = &f->disk->base,
                                        .random = &f->random.base,
                                        .workers = f->workers,
                                        .node_name = "node",
                                        .node_uuid = f->uuid};

    options->f = f;
    options->write_count = 0;
    options->is_closing = false;
    return drain_open(&config, &f->drain, NULL);
}
