/* One client that asks very much at once takes its turns, and no more: in the turns that another
 * one's single request takes, it gets a bounded share. Counted in turns of the loop, so that it
 * does not depend on the machine. */
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "queue/wire/bytes.h"
#include "queue/wire/cluster.h"
#include "queue/wire/fetch.h"
#include "queue/wire/produce.h"
#include "queue/wire/writer.h"
#include "tests/lib/queue_fixture.h"
#include "tests/lib/test.h"

enum { PIPE_SIZE = 64 * 1024 * 1024, TURNS_MAX = 10, REQUESTS = 5000 };

struct greedy { /* what is sent at once, and what came of it */
    struct mr_stream *stream;
    struct wire_writer writer;
    struct mr_stream_piece piece;
    int64_t got_bytes;
    struct mr_bytes got;
};

static struct queue_fixture *setup(struct greedy *greedy)
{
    struct queue_fixture *f = queue_fixture_new(1);

    (void)queue_fixture_topic(f, "t", false);
    f->pipe.pipe_size_bytes = PIPE_SIZE;
    f->config.memory_limit_bytes = PIPE_SIZE;
    f->config.request_size_bytes_max = PIPE_SIZE;
    CHECK_EQ(queue_fixture_open(f), 0);
    memset(greedy, 0, sizeof *greedy);
    greedy->stream = queue_fixture_connect(f);
    wire_writer_init(&greedy->writer);
    mr_bytes_init(&greedy->got);
    return f;
}

static void teardown(struct queue_fixture *f, struct greedy *greedy)
{
    mr_stream_close(greedy->stream, false);
    wire_writer_done(&greedy->writer);
    mr_bytes_done(&greedy->got);
    queue_fixture_free(f);
}

static void add_request(struct greedy *greedy, int key, int version, const void *request)
{
    CHECK_EQ(wire_request_write(&greedy->writer, wire_api_find(key), version, 1,
                                wire_text("greedy"), request),
             0);
}

static void send_all(struct greedy *greedy)
{
    greedy->piece = (struct mr_stream_piece){
        .slice = {NULL, greedy->writer.bytes.data, greedy->writer.bytes.size_bytes}};
    CHECK_EQ(mr_stream_send(greedy->stream, &greedy->piece), 0);
}

static void read_all(struct greedy *greedy)
{
    static uint8_t data[1024 * 1024];
    ssize_t got;

    while ((got = mr_stream_read(greedy->stream, data, sizeof data)) > 0) {
        greedy->got_bytes += got;
        mr_bytes_append(&greedy->got, data, (size_t)got);
    }
}

static int count_answers(const struct greedy *greedy)
{
    size_t at = 0;
    int count = 0;

    while (at + 4 <= greedy->got.size_bytes) {
        at += 4 + (size_t)wire_get_uint32(greedy->got.data + at);
        count += at <= greedy->got.size_bytes;
    }
    return count;
}

/* Asks as another client, and says how many turns the answer took. */
static int ask_modestly(struct queue_fixture *f, struct mr_stream *stream)
{
    struct api_versions_request request;
    struct mr_stream_piece piece;
    struct wire_writer writer;
    uint8_t data[4096];
    int turns = 0;

    api_versions_request_init(&request);
    wire_writer_init(&writer);
    CHECK_EQ(wire_request_write(&writer, wire_api_find(WIRE_API_API_VERSIONS), 0, 1,
                                wire_text("modest"), &request),
             0);
    piece = (struct mr_stream_piece){.slice = {NULL, writer.bytes.data, writer.bytes.size_bytes}};
    CHECK_EQ(mr_stream_send(stream, &piece), 0);
    while (mr_stream_read(stream, data, sizeof data) == MR_EAGAIN && turns < 1000) {
        test_clock_advance_us(&f->clock, 10);
        mr_loop_turn(f->loop, 0);
        turns++;
    }
    wire_writer_done(&writer);
    return turns;
}

TEST(fairness, thousands_of_pipelined_requests)
{
    struct greedy greedy;
    struct queue_fixture *f = setup(&greedy);
    struct mr_stream *modest = queue_fixture_connect(f);
    struct metadata_request request;

    metadata_request_init(&request);
    request.topics.count = -1;
    for (int i = 0; i < REQUESTS; i++) {
        add_request(&greedy, WIRE_API_METADATA, 9, &request);
    }
    send_all(&greedy);
    for (int i = 0; i < 10; i++) {
        CHECK_LT(ask_modestly(f, modest), TURNS_MAX);
    }
    read_all(&greedy);
    CHECK_LT(0, count_answers(&greedy));
    CHECK_LT(count_answers(&greedy), 10 * TURNS_MAX * 4);
    mr_stream_close(modest, false);
    teardown(f, &greedy);
}

TEST(fairness, a_flood_that_is_not_answered)
{
    struct greedy greedy;
    struct queue_fixture *f = setup(&greedy);
    struct mr_stream *modest = queue_fixture_connect(f);
    struct mr_buf *batch = queue_fixture_batch(f, 1, 10000);
    struct produce_request_partition partition = {
        .records = {.data = batch->data, .size = (int32_t)batch->size_bytes}};
    struct produce_request_topic topic = {.name = wire_text("t"),
                                          .partition_data = {&partition, 1}};
    struct produce_request request;

    produce_request_init(&request);
    request.acks = 0;
    request.topic_data = (struct produce_request_topic_array){&topic, 1};
    for (int i = 0; i < 2000; i++) { /* twenty megabytes */
        add_request(&greedy, WIRE_API_PRODUCE, 9, &request);
    }
    send_all(&greedy);
    for (int i = 0; i < 5; i++) {
        CHECK_LT(ask_modestly(f, modest), TURNS_MAX);
    }
    mr_buf_unref(batch);
    mr_stream_close(modest, false);
    teardown(f, &greedy);
}

static void fill(struct queue_fixture *f, int megabytes)
{
    struct mr_stream *stream = queue_fixture_connect(f);
    struct mr_buf *batch = queue_fixture_batch(f, 10, 90000);

    for (int i = 0; i < megabytes; i++) {
        (void)queue_fixture_produce(f, stream, "t", batch);
    }
    mr_buf_unref(batch);
    mr_stream_close(stream, false);
}

TEST(fairness, a_large_answer)
{
    struct greedy greedy;
    struct queue_fixture *f = setup(&greedy);
    struct mr_stream *modest = queue_fixture_connect(f);
    struct fetch_request_partition partition;
    struct fetch_request_topic topic = {.topic = wire_text("t"), .partitions = {&partition, 1}};
    struct fetch_request request;

    fill(f, 40);
    fetch_request_partition_init(&partition);
    partition.partition_max_bytes = PIPE_SIZE;
    fetch_request_init(&request);
    request.max_bytes = PIPE_SIZE;
    request.topics = (struct fetch_request_topic_array){&topic, 1};
    add_request(&greedy, WIRE_API_FETCH, 11, &request);
    send_all(&greedy);
    for (int i = 0; i < 3; i++) {
        CHECK_LT(ask_modestly(f, modest), TURNS_MAX);
    }
    read_all(&greedy);
    CHECK_EQ(count_answers(&greedy), 0); /* on its way, in shares */
    for (int i = 0; i < 1000 && count_answers(&greedy) == 0; i++) {
        mr_loop_turn(f->loop, 0);
        read_all(&greedy);
    }
    CHECK_EQ(count_answers(&greedy), 1);
    CHECK_LT(35 * 1000 * 1000, greedy.got_bytes);
    mr_stream_close(modest, false);
    teardown(f, &greedy);
}
