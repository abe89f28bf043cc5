/* Quotas over a clock that moves when told: the rates are exact, whoever asks how. */
#include <string.h>

#include "base/core/error.h"
#include "queue/wire/cluster.h"
#include "queue/wire/configs.h"
#include "queue/wire/fetch.h"
#include "queue/wire/produce.h"
#include "queue/wire/topics.h"
#include "tests/lib/queue_fixture.h"
#include "tests/lib/test.h"

enum { WINDOW_MS = 1000, VALUE_SIZE = 10000, RATE = 100000 };

static struct queue_fixture *setup(struct mr_stream **ret_client)
{
    struct queue_fixture *f = queue_fixture_new(1);

    (void)queue_fixture_topic(f, "t", false);
    f->config.quota_window_ms = WINDOW_MS;
    f->config.connection_idle_ms_max = INT64_MAX / 2;
    CHECK_EQ(queue_fixture_open(f), 0);
    *ret_client = queue_fixture_connect(f);
    return f;
}

static void teardown(struct queue_fixture *f, struct mr_stream *client)
{
    mr_stream_close(client, false);
    queue_fixture_free(f);
}

/* Of the client id of this fixture's clients; 0: it goes. */
static void set_quota(struct queue_fixture *f, const char *key, double value)
{
    struct mr_stream *admin = queue_fixture_connect(f);
    struct alter_client_quotas_request_entity entity = {wire_text("client-id"), wire_text("test")};
    struct alter_client_quotas_request_op op = {wire_text(key), value, value == 0};
    struct alter_client_quotas_request_entry entry = {{&entity, 1}, {&op, 1}};
    struct alter_client_quotas_request request = {.entries = {&entry, 1}};
    struct alter_client_quotas_response response;

    CHECK_EQ(queue_fixture_ask(f, admin, WIRE_API_ALTER_CLIENT_QUOTAS, 1, &request, &response), 0);
    CHECK_EQ(response.entries.count, 1);
    CHECK_EQ(response.entries.items[0].error_code, 0);
    mr_stream_close(admin, false);
}

static int32_t produce(struct queue_fixture *f, struct mr_stream *client)
{
    struct mr_buf *batch = queue_fixture_batch(f, 1, VALUE_SIZE);
    int32_t throttle_ms = queue_fixture_produce(f, client, "t", batch);

    mr_buf_unref(batch);
    return throttle_ms;
}

static int32_t fetch(struct queue_fixture *f, struct mr_stream *client, int32_t *ret_size)
{
    struct fetch_request_partition partition;
    struct fetch_request_topic topic = {.topic = wire_text("t"), .partitions = {&partition, 1}};
    struct fetch_request request;
    struct fetch_response response;

    fetch_request_partition_init(&partition);
    partition.partition_max_bytes = VALUE_SIZE;
    fetch_request_init(&request);
    request.max_bytes = VALUE_SIZE;
    request.topics = (struct fetch_request_topic_array){&topic, 1};
    CHECK_EQ(queue_fixture_ask(f, client, WIRE_API_FETCH, 11, &request, &response), 0);
    CHECK_EQ(response.error_code, 0);
    *ret_size = response.responses.items[0].partitions.items[0].records.size;
    return response.throttle_time_ms;
}

/* Within 2 % of what `bytes` take at the rate, less the window that was free. */
static void check_time(int64_t took_us, double bytes)
{
    double due_us = (bytes - (double)RATE * WINDOW_MS / 1000) / RATE * 1e6;

    CHECK_LT(due_us * 0.98, (double)took_us);
    CHECK_LT((double)took_us, due_us * 1.02);
}

TEST(quota, producing_has_exactly_its_rate)
{
    struct mr_stream *client;
    struct queue_fixture *f = setup(&client);
    int64_t began_us;
    int64_t told_ms = 0;

    CHECK_EQ(produce(f, client), 0);
    set_quota(f, "producer_byte_rate", RATE);
    began_us = f->clock.monotonic_us;
    for (int i = 0; i < 100; i++) {
        told_ms += produce(f, client);
    }
    /* The last is answered at once; its own size is still owed. */
    check_time(f->clock.monotonic_us - began_us, 99.0 * (VALUE_SIZE + 130));
    CHECK_LT(8000, told_ms);
    set_quota(f, "producer_byte_rate", 0);
    began_us = f->clock.monotonic_us;
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(produce(f, client), 0);
    }
    CHECK_LT(f->clock.monotonic_us - began_us, 1000000);
    teardown(f, client);
}

TEST(quota, fetching_has_exactly_its_rate)
{
    struct mr_stream *client;
    struct queue_fixture *f = setup(&client);
    int64_t began_us;
    double bytes = 0;
    int32_t size = 0;

    CHECK_EQ(produce(f, client), 0);
    set_quota(f, "consumer_byte_rate", RATE);
    began_us = f->clock.monotonic_us;
    for (int i = 0; i < 100; i++) {
        (void)fetch(f, client, &size);
        CHECK_LT(VALUE_SIZE, size); /* one connection that waits is never over it when it comes */
        bytes += size;
    }
    check_time(f->clock.monotonic_us - began_us, bytes - size);
    teardown(f, client);
}

/* Two connections of one client share its rate; the one that finds it used up gets nothing. */
TEST(quota, connections_share)
{
    struct mr_stream *client;
    struct queue_fixture *f = setup(&client);
    struct mr_stream *other = queue_fixture_connect(f);
    int32_t size;

    CHECK_EQ(produce(f, client), 0);
    set_quota(f, "consumer_byte_rate", 1);
    CHECK_LT(1000 * 1000, fetch(f, client, &size) * 2);
    CHECK_LT(VALUE_SIZE, size);
    CHECK_LT(1000 * 1000, fetch(f, other, &size) * 2);
    CHECK_EQ(size, 0);
    mr_stream_close(other, false);
    teardown(f, client);
}

static int16_t create_topic(struct queue_fixture *f, struct mr_stream *client, const char *name,
                            int version, int32_t *ret_throttle_ms)
{
    struct create_topics_request_topic topic;
    struct create_topics_request request;
    struct create_topics_response response;

    create_topics_request_topic_init(&topic);
    topic.name = wire_text(name);
    topic.num_partitions = 4;
    topic.replication_factor = 1;
    create_topics_request_init(&request);
    request.topics = (struct create_topics_request_topic_array){&topic, 1};
    CHECK_EQ(queue_fixture_ask(f, client, WIRE_API_CREATE_TOPICS, version, &request, &response), 0);
    *ret_throttle_ms = response.throttle_time_ms;
    return response.topics.items[0].error_code;
}

/* KIP-599 with four partitions each at two a second: the first ones go, then an error tells. */
TEST(quota, partitions_are_made_at_their_rate)
{
    struct mr_stream *client;
    struct queue_fixture *f = setup(&client);
    struct mr_stream *other = queue_fixture_connect(f);
    int32_t throttle_ms;

    set_quota(f, "controller_mutation_rate", 2);
    CHECK_EQ(create_topic(f, client, "a", 6, &throttle_ms), 0);
    CHECK_LT(900, throttle_ms);
    CHECK_LT(throttle_ms, 1100);
    CHECK_EQ(create_topic(f, other, "b", 6, &throttle_ms), 89);
    CHECK_LT(900, throttle_ms);
    /* Answered when the time was over: then it may. */
    CHECK_EQ(create_topic(f, other, "b", 6, &throttle_ms), 0);
    CHECK_EQ(create_topic(f, client, "c", 4, &throttle_ms), 0);
    mr_stream_close(other, false);
    teardown(f, client);
}
