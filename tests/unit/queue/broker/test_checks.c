/* Batches that a worker checks: the pool alone with real threads, and Produce over it: order on one
 * connection, none between two, bombs, duplicates, and clients that go meanwhile. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/clock.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "queue/broker/checks.h"
#include "queue/wire/batch_builder.h"
#include "queue/wire/kafka_error.h"
#include "queue/wire/produce.h"
#include "queue/wire/writer.h"
#include "tests/lib/queue_fixture.h"
#include "tests/lib/test.h"

/* ---- the pool ---- */

enum { JOBS = 40, TURNS_MAX = 100000 };

struct one_job {
    struct check_job job;
    struct pool_state *state;
    int number;
    bool is_wanted;
    bool is_run;
    bool is_done;
};

struct pool_state {
    atomic_int running;
    atomic_int running_max;
    int done_count;
    struct one_job jobs[JOBS];
};

static void one_run(struct check_job *job)
{
    struct one_job *one = mr_container(job, struct one_job, job);
    int running = atomic_fetch_add(&one->state->running, 1) + 1;

    if (running > atomic_load(&one->state->running_max)) {
        atomic_store(&one->state->running_max, running);
    }
    mr_bytes_clear(job->scratch);
    mr_bytes_printf(job->scratch, "job %d", one->number);
    one->is_run = strtol((const char *)job->scratch->data + 4, NULL, 10) == one->number;
    atomic_fetch_sub(&one->state->running, 1);
}

static void one_done(struct check_job *job)
{
    struct one_job *one = mr_container(job, struct one_job, job);

    CHECK(!one->is_done);
    one->is_done = true;
    one->state->done_count += 1;
}

static bool one_wanted(struct check_job *job)
{
    return mr_container(job, struct one_job, job)->is_wanted;
}

/* Each slot's memory is used by one job at a time; what nobody waits for any more is not run unless
 * it had begun; each is done once. */
TEST(checks, runs_a_bounded_number_at_a_time)
{
    static struct pool_state state;
    struct mr_loop *loop;
    struct checks *checks;
    struct mr_error error = {0};

    memset(&state, 0, sizeof state);
    CHECK_OK(mr_loop_new(mr_clock_system(), &loop, &error), &error);
    CHECK_EQ(checks_new(loop, &checks), 0);
    for (int i = 0; i < JOBS; i++) {
        struct one_job *one = &state.jobs[i];
        *one = (struct one_job){.job = {.run = one_run, .done = one_done, .is_wanted = one_wanted},
                                .state = &state,
                                .number = i,
                                .is_wanted = i % 3 != 2};
        CHECK(checks_submit(checks, &one->job));
    }
    CHECK_EQ(state.done_count, 0); /* never inside of submit */
    for (int i = 0; i < TURNS_MAX && state.done_count < JOBS; i++) {
        mr_loop_turn(loop, 100);
    }
    CHECK_EQ(state.done_count, JOBS);
    CHECK(atomic_load(&state.running_max) <= CHECKS_MAX);
    for (int i = 0; i < JOBS; i++) {
        CHECK_EQ(state.jobs[i].is_run, state.jobs[i].is_wanted || i < CHECKS_MAX);
    }
    checks_free(checks);
    mr_loop_free(loop);
}

/* ---- produce ---- */


/* A batch of `count` records of `size` bytes each, which packs to next to nothing. */
static struct mr_buf *packed_batch(struct queue_fixture *f, int count, size_t size,
                                   enum mr_codec codec,
                                   const struct batch_builder_identity *identity)
{
    struct mr_codec_context *codecs;
    struct batch_builder builder;
    struct mr_buf *batch;
    uint8_t *value = mr_calloc(1, size);
    int64_t now_ms = mr_loop_wall_ms(f->loop);

    CHECK(value != NULL);
    CHECK_EQ(mr_codec_context_new(&codecs), 0);
    batch_builder_init(&builder, &(struct batch_builder_options){
                                     .size_bytes_max = 8 << 20, .codec = codec, .codecs = codecs});
    CHECK_EQ(batch_builder_begin(&builder, now_ms), 0);
    for (int i = 0; i < count; i++) {
        CHECK_EQ(batch_builder_add_line(&builder, now_ms, value, size, NULL, 0, 0), 0);
    }
    CHECK_EQ(batch_builder_finish(&builder, identity, NULL, 0, 0, &batch), 0);
    batch_builder_done(&builder);
    mr_codec_context_free(codecs);
    mr_free(value);
    return batch;
}

static void ask_to_produce(struct queue_fixture *f, struct mr_stream *client, struct mr_buf *batch,
                           int16_t acks)
{
    struct produce_request_partition partition = {
        .index = 0, .records = {.data = batch->data, .size = (int32_t)batch->size_bytes}};
    struct produce_request_topic topic = {.name = wire_text("web"),
                                          .partition_data = {&partition, 1}};
    struct produce_request request;
    struct wire_writer writer;

    produce_request_init(&request);
    request.acks = acks;
    request.topic_data.items = &topic;
    request.topic_data.count = 1;
    wire_writer_init(&writer);
    CHECK_EQ(wire_request_write(&writer, wire_api_find(WIRE_API_PRODUCE), 9, 1, wire_text("c"),
                                &request),
             0);
    queue_fixture_send(f, client, writer.bytes.data, writer.bytes.size_bytes);
    wire_writer_done(&writer);
}

/* The answer that is next on the connection: its error, and the base offset. */
static int16_t answer_of(struct queue_fixture *f, struct mr_stream *client, int64_t *ret_base)
{
    struct mr_buf *frame = queue_fixture_receive(f, client);
    struct produce_response response;
    int16_t error;

    CHECK(frame != NULL);
    wire_arena_reset(&f->arena);
    CHECK_EQ(wire_response_parse(wire_api_find(WIRE_API_PRODUCE), 9, frame->data, frame->size_bytes,
                                 &f->arena, &response),
             0);
    error = response.responses.items[0].partition_responses.items[0].error_code;
    *ret_base = response.responses.items[0].partition_responses.items[0].base_offset;
    mr_buf_unref(frame);
    return error;
}

static struct queue_fixture *fixture_open(uint64_t seed)
{
    struct queue_fixture *f = queue_fixture_new(seed);

    f->config.request_size_bytes_max = 4 << 20;
    f->config.memory_limit_bytes = 16 << 20;
    queue_fixture_topic(f, "web", false);
    CHECK_OK(queue_fixture_open(f), &f->error);
    return f;
}

/* A small batch behind one that a worker checks is appended behind it, for each codec. */
TEST(checks, keep_the_order_of_a_connection)
{
    static const enum mr_codec codecs[] = {MR_CODEC_GZIP, MR_CODEC_SNAPPY, MR_CODEC_LZ4,
                                           MR_CODEC_ZSTD};
    struct queue_fixture *f = fixture_open(21);
    struct mr_stream *client = queue_fixture_connect(f);
    struct mr_buf *small = queue_fixture_batch(f, 2, 10);
    int64_t end = 0;
    int64_t base;

    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
        struct mr_buf *large = packed_batch(f, 10, 100000, codecs[i], NULL);

        for (int round = 0; round < 3; round++) {
            ask_to_produce(f, client, large, -1);
            ask_to_produce(f, client, small, -1);
        }
        for (int round = 0; round < 3; round++, end += 12) {
            CHECK_EQ(answer_of(f, client, &base), KAFKA_NONE);
            CHECK_EQ(base, end);
            CHECK_EQ(answer_of(f, client, &base), KAFKA_NONE);
            CHECK_EQ(base, end + 10);
        }
        mr_buf_unref(large);
    }
    mr_buf_unref(small);
    mr_stream_close(client, false);
    queue_fixture_free(f);
}

/* What inflates beyond the bound is refused as before, wherever it is found out, and costs the
 * requests around it nothing. */
TEST(checks, refuse_bombs)
{
    struct queue_fixture *f = fixture_open(22);
    struct mr_stream *client = queue_fixture_connect(f);
    struct mr_buf *bomb = packed_batch(f, 50, 100000, MR_CODEC_ZSTD, NULL);
    struct mr_buf *damaged = packed_batch(f, 10, 100000, MR_CODEC_ZSTD, NULL);
    struct mr_buf *small = queue_fixture_batch(f, 2, 10);
    int64_t base;

    CHECK(bomb->size_bytes < 16384);
    damaged->data[damaged->size_bytes - 1] ^= 1;
    ask_to_produce(f, client, small, -1);
    ask_to_produce(f, client, bomb, -1);
    ask_to_produce(f, client, damaged, -1);
    ask_to_produce(f, client, small, -1);
    CHECK_EQ(answer_of(f, client, &base), KAFKA_NONE);
    CHECK_EQ(answer_of(f, client, &base), KAFKA_MESSAGE_TOO_LARGE);
    CHECK_EQ(base, -1);
    CHECK_EQ(answer_of(f, client, &base), KAFKA_CORRUPT_MESSAGE);
    CHECK_EQ(answer_of(f, client, &base), KAFKA_NONE);
    CHECK_EQ(base, 2);
    mr_buf_unref(small);
    mr_buf_unref(damaged);
    mr_buf_unref(bomb);
    mr_stream_close(client, false);
    queue_fixture_free(f);
}

/* Five in flight of an idempotent producer, large and small by turns, then all again on another
 * connection while the first still waits: each is stored once. */
TEST(checks, keep_idempotence)
{
    struct queue_fixture *f = fixture_open(23);
    struct mr_stream *first = queue_fixture_connect(f);
    struct mr_stream *again = queue_fixture_connect(f);
    struct mr_buf *batches[5];
    int64_t base;

    for (int i = 0; i < 5; i++) {
        struct batch_builder_identity identity = {
            .producer_id = 77, .producer_epoch = 0, .base_sequence = i * 10};
        batches[i] = packed_batch(f, 10, i % 2 == 0 ? 100000 : 10, MR_CODEC_ZSTD, &identity);
        ask_to_produce(f, first, batches[i], -1);
    }
    for (int i = 0; i < 5; i++) {
        ask_to_produce(f, again, batches[i], -1);
    }
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(answer_of(f, first, &base), KAFKA_NONE);
        CHECK_EQ(base, i * 10);
        CHECK_EQ(answer_of(f, again, &base), KAFKA_NONE);
        CHECK_EQ(base, i * 10);
        mr_buf_unref(batches[i]);
    }
    mr_stream_close(first, false);
    mr_stream_close(again, false);
    queue_fixture_free(f);
}

/* The client resets its connection after each number of turns: what is in the log then is a prefix
 * of what it sent, and the node goes on, or ends at once. */
TEST(checks, survive_a_client_that_goes)
{
    for (int turns = 0; turns < 12; turns++) {
        struct queue_fixture *f = fixture_open(24);
        struct mr_stream *client = queue_fixture_connect(f);
        struct mr_buf *large = packed_batch(f, 10, 100000, MR_CODEC_LZ4, NULL);
        struct mr_buf *small = queue_fixture_batch(f, 3, 10);
        int64_t base;

        ask_to_produce(f, client, large, turns % 2 == 0 ? -1 : 0);
        ask_to_produce(f, client, small, -1);
        ask_to_produce(f, client, large, -1);
        for (int i = 0; i < turns; i++) {
            mr_loop_turn(f->loop, 0);
        }
        mr_stream_close(client, true);
        if (turns % 3 != 0) {
            client = queue_fixture_connect(f);
            ask_to_produce(f, client, small, -1);
            CHECK_EQ(answer_of(f, client, &base), KAFKA_NONE);
            CHECK(base == 0 || base == 10 || base == 13 || base == 23);
            mr_stream_close(client, false);
        }
        mr_buf_unref(large);
        mr_buf_unref(small);
        queue_fixture_free(f);
    }
}

/* A client that says all it has and ends its side gets every answer. */
TEST(checks, answer_a_client_that_has_said_all)
{
    struct queue_fixture *f = fixture_open(25);
    struct mr_stream *client = queue_fixture_connect(f);
    struct mr_buf *large = packed_batch(f, 10, 100000, MR_CODEC_GZIP, NULL);
    int64_t base;

    ask_to_produce(f, client, large, -1);
    ask_to_produce(f, client, large, -1);
    mr_stream_shutdown(client);
    CHECK_EQ(answer_of(f, client, &base), KAFKA_NONE);
    CHECK_EQ(answer_of(f, client, &base), KAFKA_NONE);
    CHECK_EQ(base, 10);
    CHECK(queue_fixture_receive(f, client) == NULL);
    mr_buf_unref(large);
    mr_stream_close(client, false);
    queue_fixture_free(f);
}
