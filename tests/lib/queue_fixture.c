#include "tests/lib/queue_fixture.h"

#include <string.h>

#include "base/core/memory.h"
#include "queue/queue_internal.h"
#include "queue/wire/batch_builder.h"
#include "queue/wire/bytes.h"
#include "queue/wire/produce.h"
#include "queue/wire/writer.h"
#include "tests/lib/test.h"

enum { TURNS_MAX = 20000, STEP_US_MAX = 200 * 1000, ARENA_SIZE = 16 * 1024 * 1024 };

struct queue_fixture *queue_fixture_new(uint64_t seed)
{
    struct queue_fixture *f = mr_calloc(1, sizeof *f);

    CHECK(f != NULL);
    f->disk = fault_disk_new(seed);
    test_clock_init(&f->clock);
    mr_random_seeded_init(&f->random, seed);
    CHECK_EQ(mr_loop_new_virtual(&f->clock.clock, &f->loop), 0);
    wire_arena_init(&f->arena, ARENA_SIZE);
    CHECK_EQ(mr_address_parse("127.0.0.1:9092", 0, &f->listener.address, NULL), 0);
    f->listener.inherited_fd = -1;
    f->config = (struct queue_config){
        .loop = f->loop,
        .disk = &f->disk->base,
        .random = &f->random.base,
        .data_directory = fault_disk_root(f->disk),
        .boot_id = mr_uuid_random(&f->random.base),
        .node_name = "node",
        .node_id = 1,
        .auto_create_topics = true,
        .default_partitions = 1,
        .request_size_bytes_max = 1024 * 1024,
        .memory_limit_bytes = 4 * 1024 * 1024,
        .connection_idle_ms_max = 60000,
        .listeners = &f->listener,
        .listener_count = 1,
        .topics = f->topics,
    };
    return f;
}

struct queue_topic_spec *queue_fixture_topic(struct queue_fixture *f, const char *name,
                                             bool is_local)
{
    CHECK(f->config.topic_count < QUEUE_FIXTURE_TOPICS_MAX);
    f->topics[f->config.topic_count] = (struct queue_topic_spec){
        .name = name,
        .is_local = is_local,
        .partitions = 1,
        .replicas = 1,
        .retention_ms = -1,
        .retention_bytes = -1,
        .segment_size_bytes = -1,
        .segment_age_ms = -1,
        .message_size_bytes_max = -1,
        .fsync = -1,
        .fsync_interval_ms = -1,
        .when_full = QUEUE_BLOCK,
        .compression = -1,
    };
    return &f->topics[f->config.topic_count++];
}

int queue_fixture_open(struct queue_fixture *f)
{
    int rc = queue_open(&f->config, &f->queue, &f->error);

    if (rc == 0) {
        queue_start(f->queue);
    } else {
        f->queue = NULL;
    }
    return rc;
}

void queue_fixture_turn(struct queue_fixture *f)
{
    for (int i = 0; i < TURNS_MAX && mr_loop_next_us(f->loop) <= f->clock.monotonic_us; i++) {
        mr_loop_turn(f->loop, 0);
    }
}

bool queue_fixture_wait(struct queue_fixture *f, const bool *flag)
{
    for (int i = 0; i < TURNS_MAX && !*flag; i++) {
        int64_t next_us = mr_loop_next_us(f->loop);
        if (next_us > f->clock.monotonic_us) {
            int64_t step_us = next_us - f->clock.monotonic_us;
            test_clock_advance_us(&f->clock, step_us < STEP_US_MAX ? step_us : STEP_US_MAX);
        }
        mr_loop_turn(f->loop, 0);
    }
    return *flag;
}

static void set_flag(void *owner)
{
    *(bool *)owner = true;
}

void queue_fixture_close(struct queue_fixture *f)
{
    bool is_done = false;

    if (f->queue != NULL) {
        queue_close(f->queue, set_flag, &is_done);
        f->queue = NULL;
        CHECK(queue_fixture_wait(f, &is_done));
    }
}

void queue_fixture_power_loss(struct queue_fixture *f)
{
    if (!f->disk->is_off) {
        fault_set_more(&f->disk->faults[DISK_ANY], 1, -1, MR_EIO);
    }
    queue_fixture_close(f);
    fault_disk_power_loss(f->disk);
    f->config.boot_id = mr_uuid_random(&f->random.base);
    fault_disk_heal(f->disk);
}

void queue_fixture_free(struct queue_fixture *f)
{
    queue_fixture_close(f);
    queue_fixture_turn(f);
    wire_arena_done(&f->arena);
    mr_loop_free(f->loop);
    fault_disk_free(f->disk);
    mr_free(f);
}

/* ---- a client ---- */

struct mr_stream *queue_fixture_connect(struct queue_fixture *f)
{
    struct mr_stream *client;
    struct mr_stream *server;

    CHECK_EQ(stream_pair_new(f->loop, &f->pipe, &client, &server), 0);
    CHECK_EQ(broker_accept(f->queue->broker, 0, server), 0);
    return client;
}

struct sending {
    struct mr_stream_piece piece;
    bool is_sent;
};

static void on_sent(struct mr_stream_piece *piece, int rc)
{
    (void)rc;
    ((struct sending *)piece->owner)->is_sent = true;
}

void queue_fixture_send(struct queue_fixture *f, struct mr_stream *stream, const void *data,
                        size_t size)
{
    struct sending sending = {.piece = {.slice = {NULL, data, size}, .sent = on_sent}};

    sending.piece.owner = &sending;
    if (mr_stream_send(stream, &sending.piece) == 0) {
        CHECK(queue_fixture_wait(f, &sending.is_sent));
    }
}

static bool read_exactly(struct queue_fixture *f, struct mr_stream *stream, uint8_t *data,
                         size_t size)
{
    size_t filled = 0;

    for (int i = 0; i < TURNS_MAX && filled < size; i++) {
        ssize_t got = mr_stream_read(stream, data + filled, size - filled);
        if (got > 0) {
            filled += (size_t)got;
        } else if (got != MR_EAGAIN) {
            return false;
        } else {
            int64_t next_us = mr_loop_next_us(f->loop);
            if (next_us > f->clock.monotonic_us) {
                test_clock_advance_us(
                    &f->clock, next_us == INT64_MAX ? 1000 : next_us - f->clock.monotonic_us);
            }
            mr_loop_turn(f->loop, 0);
        }
    }
    return filled == size;
}

struct mr_buf *queue_fixture_receive(struct queue_fixture *f, struct mr_stream *stream)
{
    uint8_t prefix[WIRE_FRAME_PREFIX_SIZE];
    struct mr_buf *frame;

    if (!read_exactly(f, stream, prefix, sizeof prefix)) {
        return NULL;
    }
    frame = mr_buf_new((size_t)wire_get_int32(prefix));
    CHECK(frame != NULL);
    frame->size_bytes = frame->capacity_bytes;
    if (!read_exactly(f, stream, frame->data, frame->size_bytes)) {
        mr_buf_unref(frame);
        return NULL;
    }
    return frame;
}

int queue_fixture_ask(struct queue_fixture *f, struct mr_stream *stream, int api_key, int version,
                      const void *request, void *ret_response)
{
    const struct wire_api *api = wire_api_find(api_key);
    struct wire_writer writer;
    struct mr_buf *frame;
    int rc = MR_EOF;

    wire_writer_init(&writer);
    CHECK_EQ(wire_request_write(&writer, api, version, 77, wire_text("test"), request), 0);
    queue_fixture_send(f, stream, writer.bytes.data, writer.bytes.size_bytes);
    wire_writer_done(&writer);
    frame = queue_fixture_receive(f, stream);
    if (frame != NULL) {
        uint8_t *copy;
        wire_arena_reset(&f->arena);
        copy = wire_arena_alloc(&f->arena, frame->size_bytes);
        CHECK(copy != NULL);
        memcpy(copy, frame->data, frame->size_bytes);
        rc = wire_response_parse(api, version, copy, frame->size_bytes, &f->arena, ret_response);
        mr_buf_unref(frame);
    }
    return rc;
}

struct mr_buf *queue_fixture_batch(struct queue_fixture *f, int count, size_t size)
{
    struct batch_builder_options options = {.size_bytes_max = 1024 * 1024};
    struct batch_builder builder;
    struct mr_buf *batch;
    uint8_t *value = mr_calloc(1, size + 1);
    int64_t now_ms = mr_loop_wall_ms(f->loop);

    batch_builder_init(&builder, &options);
    CHECK_EQ(batch_builder_begin(&builder, now_ms), 0);
    memset(value, 'v', size);
    for (int i = 0; i < count; i++) {
        CHECK_EQ(batch_builder_add_line(&builder, now_ms, value, size, NULL, 0, 0), 0);
    }
    CHECK_EQ(batch_builder_finish(&builder, NULL, NULL, 0, 0, &batch), 0);
    batch_builder_done(&builder);
    mr_free(value);
    return batch;
}

int32_t queue_fixture_produce(struct queue_fixture *f, struct mr_stream *stream, const char *topic,
                              const struct mr_buf *batch)
{
    struct produce_request_partition partition = {
        .records = {.data = batch->data, .size = (int32_t)batch->size_bytes}};
    struct produce_request_topic produced = {.name = wire_text(topic),
                                             .partition_data = {&partition, 1}};
    struct produce_request request;
    struct produce_response response;

    produce_request_init(&request);
    request.acks = 1;
    request.topic_data = (struct produce_request_topic_array){&produced, 1};
    CHECK_EQ(queue_fixture_ask(f, stream, WIRE_API_PRODUCE, 9, &request, &response), 0);
    CHECK_EQ(response.responses.items[0].partition_responses.items[0].error_code, 0);
    return response.throttle_time_ms;
}
