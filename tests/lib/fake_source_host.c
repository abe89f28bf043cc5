/* A host that keeps lines and positions in memory: see the header. */
#include "tests/lib/fake_source_host.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/core/workers.h"
#include "tests/lib/test.h"

enum { STEPS_MAX = 20000 };

struct fake_position {
    uint8_t key[SOURCE_KEY_SIZE_MAX];
    size_t key_size;
    uint8_t data[SOURCE_POSITION_SIZE_MAX];
    size_t size;
};

struct source_stream {
    uint8_t key[SOURCE_KEY_SIZE_MAX];
    size_t key_size;
    char *file;
    int refs; /* open, and blocks under way */
};

static void stream_unref(struct source_stream *stream)
{
    if (--stream->refs == 0) {
        mr_free(stream->file);
        mr_free(stream);
    }
}

static struct source_stream *stream_open(struct source_host *host, const void *key, size_t key_size,
                                         const struct source_header *headers, size_t header_count)
{
    struct source_stream *stream = mr_calloc(1, sizeof *stream);

    (void)host;
    CHECK(stream != NULL);
    memcpy(stream->key, key, key_size);
    stream->key_size = key_size;
    stream->refs = 1;
    for (size_t i = 0; i < header_count; i++) {
        if (strcmp(headers[i].name, "mr.file") == 0) {
            stream->file = mr_strdup(headers[i].value);
        }
    }
    return stream;
}

static void stream_close(struct source_host *host, struct source_stream *stream)
{
    (void)host;
    stream_unref(stream);
}

static int offer(struct source_host *host, struct source_block *block)
{
    struct fake_source_host *fake = (struct fake_source_host *)host;

    CHECK_LE(block->span_count, SOURCE_BLOCK_SPANS_MAX);
    CHECK(block->position_at != NULL);
    if (fake->taken_count >= fake->taken_max) {
        fake->was_refused = true;
        fake->refusals++;
        return MR_EAGAIN;
    }
    block->stream->refs++;
    block->link = (struct mr_link){0};
    mr_list_append(&fake->taken, &block->link);
    fake->taken_count++;
    return 0;
}

static size_t position_get(struct source_host *host, const void *key, size_t key_size,
                           void *position, size_t size)
{
    struct fake_source_host *fake = (struct fake_source_host *)host;
    struct fake_position *found = mr_map_get(&fake->positions, key, key_size);

    if (found == NULL) {
        return 0;
    }
    memcpy(position, found->data, found->size < size ? found->size : size);
    return found->size;
}

static void position_each(struct source_host *host,
                          void (*cb)(void *owner, const void *key, size_t key_size,
                                     const void *position, size_t position_size),
                          void *owner)
{
    struct fake_source_host *fake = (struct fake_source_host *)host;
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    while ((entry = mr_map_next(&fake->positions, &cursor)) != NULL) {
        const struct fake_position *position = entry->value;

        cb(owner, position->key, position->key_size, position->data, position->size);
    }
}

static void position_forget(struct source_host *host, const void *key, size_t key_size)
{
    struct fake_source_host *fake = (struct fake_source_host *)host;

    mr_free(mr_map_remove(&fake->positions, key, key_size));
}

static void dropped(struct source_host *host, const char *reason, int64_t events, int64_t bytes)
{
    struct fake_source_host *fake = (struct fake_source_host *)host;

    fake->dropped_reason = reason;
    fake->dropped_events += events;
    fake->dropped_bytes += bytes;
}

static const struct source_host_ops fake_ops = {
    .stream_open = stream_open,
    .stream_close = stream_close,
    .offer = offer,
    .position_get = position_get,
    .position_each = position_each,
    .position_forget = position_forget,
    .dropped = dropped,
};

/* ---- the log ---- */

static void keep_event(struct fake_source_host *fake, const struct source_block *block,
                       const struct source_span *span)
{
    struct fake_event *event;

    fake->counted_events++;
    fake->counted_bytes += span->size;
    CHECK_LE((size_t)span->offset + span->size, block->buf->capacity_bytes);
    if (!fake->keeps_events) {
        return;
    }
    CHECK_OK(
        mr_grow(&fake->events, &fake->event_capacity, fake->event_count + 1, sizeof *fake->events),
        NULL);
    event = &fake->events[fake->event_count++];
    memcpy(&event->stream, block->stream->key, sizeof event->stream);
    event->file = mr_strdup(block->stream->file);
    event->text = mr_strndup("", 0);
    event->text = mr_realloc(event->text, (size_t)span->size + 1);
    memcpy(event->text, block->buf->data + span->offset, span->size);
    event->text[span->size] = 0;
    event->size = span->size;
    event->flags = span->flags;
    event->timestamp_ms = span->timestamp_ms;
}

static void keep_position(struct fake_source_host *fake, const struct source_block *block,
                          size_t span_count)
{
    const struct source_stream *stream = block->stream;
    struct fake_position *position = mr_map_get(&fake->positions, stream->key, stream->key_size);

    if (position == NULL) {
        position = mr_calloc(1, sizeof *position);
        CHECK(position != NULL);
        memcpy(position->key, stream->key, stream->key_size);
        position->key_size = stream->key_size;
        CHECK_OK(mr_map_put(&fake->positions, stream->key, stream->key_size, position, NULL), NULL);
    }
    position->size = block->position_at(block, span_count, position->data);
    CHECK_LE(position->size, sizeof position->data);
}

static void keep(struct fake_source_host *fake, const struct source_block *block, size_t span_count)
{
    for (size_t i = 0; i < span_count; i++) {
        keep_event(fake, block, &block->spans[i]);
    }
    keep_position(fake, block, span_count);
}

static void settle(struct fake_source_host *fake, size_t count, enum source_outcome outcome)
{
    while (count-- > 0 && !mr_list_is_empty(&fake->taken)) {
        struct mr_link *link = mr_list_pop(&fake->taken);
        struct source_block *block = mr_container(link, struct source_block, link);
        struct source_stream *stream = block->stream;

        fake->taken_count--;
        if (outcome == SOURCE_DURABLE) {
            keep(fake, block, block->span_count);
        }
        block->acked(block, outcome);
        stream_unref(stream);
    }
}

static void on_mark_run(struct mr_work *work)
{
    (void)work;
}

static void on_mark_done(struct mr_work *work)
{
    *(bool *)work->owner = true;
}

/* Turns until the worker has done all that it had: its time is real, and the clock's is not. */
static void wait_for_worker(struct fake_source_host *fake)
{
    bool is_done = false;
    struct mr_work mark = {.run = on_mark_run, .done = on_mark_done, .owner = &is_done};

    CHECK_EQ(mr_workers_submit(fake->workers, &mark), 0); /* one thread: first in, first out */
    while (!is_done) {
        mr_loop_turn(fake->loop, 1);
    }
}

void fake_source_step(struct fake_source_host *fake, int64_t ms)
{
    test_clock_advance_ms(&fake->clock, ms);
    mr_loop_turn(fake->loop, 1);
    wait_for_worker(fake);
    if (!fake->holds) {
        settle(fake, SIZE_MAX, SOURCE_DURABLE);
    }
    if (fake->was_refused && fake->taken_count < fake->taken_max && fake->source != NULL) {
        fake->was_refused = false;
        fake->type->resume(fake->source);
    }
}

/* ---- the source ---- */

void fake_source_start(struct fake_source_host *fake, const struct source_type *type, void *options)
{
    struct mr_error error = {0};

    fake->type = type;
    fake->options = options;
    fake->source = mr_calloc(1, type->size_bytes);
    CHECK(fake->source != NULL);
    fake->source->type = type;
    fake->source->host = &fake->host;
    fake->source->options = options;
    fake->is_closed = false;
    fake->was_refused = false;
    CHECK_OK(type->open(fake->source, &error), &error);
}

static void on_closed(void *owner)
{
    struct fake_source_host *fake = owner;

    fake->is_closed = true;
}

static void end(struct fake_source_host *fake, enum source_outcome outcome)
{
    if (fake->source == NULL) {
        return;
    }
    fake->type->close(fake->source, on_closed, fake);
    for (int i = 0; i < STEPS_MAX && !fake->is_closed; i++) {
        settle(fake, SIZE_MAX, outcome);
        mr_loop_turn(fake->loop, 1);
    }
    CHECK(fake->is_closed);
    mr_free(fake->source);
    fake->source = NULL;
}

void fake_source_stop(struct fake_source_host *fake)
{
    end(fake, SOURCE_DURABLE);
}

void fake_source_crash(struct fake_source_host *fake)
{
    mr_list_each(&fake->taken, link, next)
    {
        struct source_block *block = mr_container(link, struct source_block, link);
        size_t count =
            block->span_count < fake->crash_keeps ? block->span_count : fake->crash_keeps;

        if (fake->crash_keeps == 0) {
            break;
        }
        keep(fake, block, count);
        fake->crash_keeps -= count;
        if (count < block->span_count) {
            fake->crash_keeps = 0;
        }
    }
    fake->crash_keeps = 0;
    end(fake, SOURCE_CANCELED);
}

void fake_source_until_events(struct fake_source_host *fake, size_t count)
{
    for (int i = 0; i < STEPS_MAX && fake->event_count < count; i++) {
        fake_source_step(fake, 5);
    }
    CHECK_GE(fake->event_count, count);
}

void fake_source_pass_ms(struct fake_source_host *fake, int64_t ms)
{
    for (int64_t passed = 0; passed < ms; passed += 20) {
        fake_source_step(fake, 20);
    }
}

const struct fake_event *fake_source_event(const struct fake_source_host *fake, size_t place)
{
    CHECK_LT(place, fake->event_count);
    return &fake->events[place];
}

size_t fake_source_count_text(const struct fake_source_host *fake, const char *text)
{
    size_t count = 0;

    for (size_t i = 0; i < fake->event_count; i++) {
        count += strcmp(fake->events[i].text, text) == 0;
    }
    return count;
}

size_t fake_source_position_count(const struct fake_source_host *fake)
{
    return fake->positions.count;
}

uint8_t *fake_source_position_data(void *position)
{
    return ((struct fake_position *)position)->data;
}

struct fake_source_host *fake_source_host_new(void)
{
    struct fake_source_host *fake = mr_calloc(1, sizeof *fake);
    struct mr_error error = {0};

    CHECK(fake != NULL);
    test_clock_init(&fake->clock);
    CHECK_OK(mr_loop_new(&fake->clock.clock, &fake->loop, &error), &error);
    CHECK_OK(mr_workers_new(fake->loop, "scan", 1, &fake->workers), NULL);
    mr_random_seeded_init(&fake->random, test_seed());
    mr_map_init(&fake->positions);
    mr_list_init(&fake->taken);
    fake->taken_max = 64;
    fake->keeps_events = true;
    fake->host = (struct source_host){
        .ops = &fake_ops,
        .loop = fake->loop,
        .disk = mr_disk_system(),
        .random = &fake->random.base,
        .workers = fake->workers,
        .source_id = "test",
    };
    return fake;
}

void fake_source_host_free(struct fake_source_host *fake)
{
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    fake_source_stop(fake);
    mr_workers_free(fake->workers);
    mr_loop_free(fake->loop);
    while ((entry = mr_map_next(&fake->positions, &cursor)) != NULL) {
        mr_free(entry->value);
    }
    mr_map_done(&fake->positions);
    for (size_t i = 0; i < fake->event_count; i++) {
        mr_free(fake->events[i].file);
        mr_free(fake->events[i].text);
    }
    mr_free(fake->events);
    mr_free(fake);
}

/* ---- options ---- */

static void fill(const struct mr_option *options, uint8_t *target)
{
    for (; options->name != NULL; options++) {
        void *field = target + options->offset;

        if (options->type == MR_OPT_TABLE) {
            fill(options->children, field);
            continue;
        }
        if (options->fallback == NULL) {
            continue;
        }
        switch (options->type) {
        case MR_OPT_BOOL:
            CHECK_OK(mr_parse_bool(options->fallback, field), NULL);
            break;
        case MR_OPT_INT:
            CHECK_OK(mr_parse_int(options->fallback, field), NULL);
            break;
        case MR_OPT_SIZE:
            CHECK_OK(mr_parse_size(options->fallback, field), NULL);
            break;
        case MR_OPT_DURATION:
            CHECK_OK(mr_parse_duration(options->fallback, field), NULL);
            break;
        case MR_OPT_ENUM:
            for (int i = 0; options->words[i] != NULL; i++) {
                if (strcmp(options->words[i], options->fallback) == 0) {
                    *(int *)field = i;
                }
            }
            break;
        default:
            test_fail(__FILE__, __LINE__, "no fallback of this type here: %s", options->name);
        }
    }
}

void *fake_options_new(const struct source_type *type)
{
    uint8_t *options = mr_calloc(1, type->options_size_bytes);

    CHECK(options != NULL);
    fill(type->options, options);
    return options;
}

void fake_options_free(void *options)
{
    mr_free(options);
}
