/* Clients against brokers in the same process, over real sockets. */
#include <stdio.h>
#include <string.h>

#include "base/core/clock.h"
#include "base/core/memory.h"
#include "queue/client/client.h"
#include "queue/wire/batch_builder.h"
#include "queue/wire/cluster.h"
#include "queue/wire/fetch.h"
#include "queue/wire/kafka_error.h"
#include "queue/wire/produce.h"
#include "tests/lib/fake_cluster.h"
#include "tests/lib/net_fixture.h"
#include "tests/lib/test.h"
#include "tests/lib/test_clock.h"

enum { ASKS_MAX = 64 };

struct ask { /* one request and how it ended */
    struct client_request request;
    struct metadata_request metadata;
    struct list_offsets_request offsets;
    struct list_offsets_request_topic topic;
    struct list_offsets_request_partition partition;
    int calls;
    int rc;
    int order; /* of its callback */
    int64_t offset;
    struct fixture *f;
};

struct fixture {
    struct net_fixture *net;
    struct mr_random_seeded random;
    struct fake_cluster *cluster;
    struct client *client;
    struct ask asks[ASKS_MAX];
    int answered;
    int refresh_calls;
    int refresh_rc;
    bool is_closed;
};

static void on_closed(void *owner)
{
    ((struct fixture *)owner)->is_closed = true;
}

static struct fixture *setup_at(struct mr_clock *clock, int nodes)
{
    struct fixture *f = mr_calloc(1, sizeof *f);

    f->net = net_fixture_new_at(clock);
    mr_random_seeded_init(&f->random, 1);
    f->cluster = fake_cluster_new(f->net->loop, f->net->net, &f->random.base, nodes);
    return f;
}

static struct fixture *setup(int nodes)
{
    return setup_at(mr_clock_system(), nodes);
}

static void open_client(struct fixture *f, const struct mr_address *addresses, size_t count)
{
    struct client_config config = {.loop = f->net->loop,
                                   .net = f->net->net,
                                   .random = &f->random.base,
                                   .metrics = f->net->metrics,
                                   .bootstrap = addresses,
                                   .bootstrap_count = count,
                                   .backoff_ms_min = 1,
                                   .backoff_ms_max = 20,
                                   .refresh_ms_min = 1,
                                   .request_timeout_ms = 10 * 60 * 1000,
                                   .connect_timeout_ms = 10 * 60 * 1000};
    struct mr_error error;

    CHECK_OK(client_new(&config, &f->client, &error), &error);
}

static struct fixture *setup_client(int nodes)
{
    struct fixture *f = setup(nodes);

    open_client(f, &f->cluster->nodes[0].address, 1);
    return f;
}

static void close_client(struct fixture *f)
{
    f->is_closed = false;
    client_close(f->client, on_closed, f);
    CHECK(!f->is_closed);
    CHECK(NET_UNTIL(f->net, f->is_closed));
    f->client = NULL;
}

static void teardown(struct fixture *f)
{
    if (f->client != NULL) {
        close_client(f);
    }
    fake_cluster_free(f->cluster);
    net_fixture_free(f->net);
    mr_free(f);
}

static void on_done(struct client_request *request, int rc, const void *response)
{
    struct ask *ask = request->owner;
    const struct list_offsets_response *answer = response;

    ask->calls++;
    ask->rc = rc;
    ask->order = ask->f->answered++;
    if (rc == 0 && request->key == WIRE_API_LIST_OFFSETS) {
        ask->offset = answer->topics.items[0].partitions.items[0].offset;
        ask->rc = answer->topics.items[0].partitions.items[0].error_code;
    }
}

static int ask_metadata_within(struct fixture *f, int i, int64_t timeout_ms)
{
    struct ask *ask = &f->asks[i];

    memset(ask, 0, sizeof *ask);
    ask->f = f;
    metadata_request_init(&ask->metadata);
    ask->request = (struct client_request){.key = WIRE_API_METADATA,
                                           .message = &ask->metadata,
                                           .node = CLIENT_NODE_ANY,
                                           .timeout_ms = timeout_ms,
                                           .done = on_done,
                                           .owner = ask};
    return client_send(f->client, &ask->request);
}

static int ask_metadata(struct fixture *f, int i)
{
    return ask_metadata_within(f, i, 0);
}

static int ask_end(struct fixture *f, int i, const char *topic, int32_t partition)
{
    struct ask *ask = &f->asks[i];

    memset(ask, 0, sizeof *ask);
    ask->f = f;
    list_offsets_request_init(&ask->offsets);
    ask->offsets.replica_id = -1;
    ask->partition = (struct list_offsets_request_partition){partition, -1, -1};
    ask->topic = (struct list_offsets_request_topic){wire_text(topic), {&ask->partition, 1}};
    ask->offsets.topics = (struct list_offsets_request_topic_array){&ask->topic, 1};
    ask->request = (struct client_request){.key = WIRE_API_LIST_OFFSETS,
                                           .message = &ask->offsets,
                                           .node = CLIENT_NODE_LEADER,
                                           .topic = topic,
                                           .partition = partition,
                                           .done = on_done,
                                           .owner = ask};
    return client_send(f->client, &ask->request);
}

static void on_refreshed(void *owner, int rc)
{
    struct fixture *f = owner;

    f->refresh_calls++;
    f->refresh_rc = rc;
}

TEST(client, answers_pipelined_requests_in_order)
{
    struct fixture *f = setup_client(1);

    for (int i = 0; i < 20; i++) {
        CHECK_EQ(ask_metadata(f, i), 0);
        CHECK_EQ(f->asks[i].calls, 0);
    }
    CHECK(NET_UNTIL(f->net, f->answered == 20));
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(f->asks[i].rc, 0);
        CHECK_EQ(f->asks[i].order, i);
        CHECK_EQ(f->asks[i].request.version, metadata_request_message.version_max);
    }
    CHECK_EQ(f->cluster->connections, 1);
    teardown(f);
}

/* A node of another age answers ApiVersions with version 0 and error 35: the next question is asked
 * in a version that it named, and all others follow its ranges. */
TEST(client, falls_back_to_the_versions_of_an_older_node)
{
    for (int16_t known = 1; known < 4; known++) {
        struct fixture *f = setup_client(1);

        f->cluster->version_max[WIRE_API_API_VERSIONS] = known;
        f->cluster->version_max[WIRE_API_METADATA] = 9;
        CHECK_EQ(ask_metadata(f, 0), 0);
        CHECK(NET_UNTIL(f->net, f->answered == 1));
        CHECK_EQ(f->asks[0].rc, 0);
        CHECK_EQ(f->asks[0].request.version, 9);
        CHECK_EQ(f->cluster->requests[WIRE_API_API_VERSIONS], 2);
        teardown(f);
    }
}

/* KIP-219. What is asked meanwhile leaves when the time is over, and has not run out of its own. */
TEST(client, waits_as_it_is_told)
{
    struct test_clock clock;
    struct fixture *f;

    test_clock_init(&clock);
    f = setup_at(&clock.clock, 1);
    open_client(f, &f->cluster->nodes[0].address, 1);
    f->cluster->throttle_ms = 1000;
    CHECK_EQ(ask_metadata(f, 0), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 1));
    f->cluster->throttle_ms = 0;
    for (int i = 1; i < 4; i++) {
        CHECK_EQ(ask_metadata_within(f, i, 900), 0);
    }
    test_clock_advance_ms(&clock, 999);
    for (int i = 0; i < 20; i++) {
        mr_loop_turn(f->net->loop, 1);
        CHECK_EQ(f->cluster->requests[WIRE_API_METADATA], 1);
    }
    CHECK_EQ(f->answered, 1);
    test_clock_advance_ms(&clock, 1);
    CHECK(NET_UNTIL(f->net, f->answered == 4));
    for (int i = 1; i < 4; i++) {
        CHECK_EQ(f->asks[i].rc, 0);
        CHECK_EQ(f->asks[i].order, i);
    }
    teardown(f);
}

/* Nothing of it outlives the connection, and a close does not wait. */
TEST(client, is_closed_while_it_waits)
{
    struct fixture *f = setup_client(1);

    f->cluster->throttle_ms = INT32_MAX;
    CHECK_EQ(ask_metadata(f, 0), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 1));
    CHECK_EQ(ask_metadata(f, 1), 0);
    fake_node_cut(&f->cluster->nodes[0]);
    CHECK(NET_UNTIL(f->net, f->answered == 2)); /* of one node: no other to move on to */
    f->cluster->throttle_ms = 0;
    CHECK_EQ(ask_metadata(f, 2), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 3));
    CHECK_EQ(f->asks[2].rc, 0);
    f->cluster->throttle_ms = INT32_MAX;
    CHECK_EQ(ask_metadata(f, 3), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 4));
    CHECK_EQ(ask_metadata(f, 4), 0);
    close_client(f);
    CHECK_EQ(f->asks[4].rc, MR_ECANCELED);
    teardown(f);
}

TEST(client, says_which_requests_a_node_does_not_serve)
{
    struct fixture *f = setup_client(1);

    f->cluster->version_max[WIRE_API_LIST_OFFSETS] = -1;
    (void)fake_topic_add(f->cluster, "t", 1);
    CHECK_EQ(ask_end(f, 0, "t", 0), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 1));
    CHECK_EQ(f->asks[0].rc, MR_EUNSUPPORTED);
    CHECK_EQ(ask_end(f, 1, "t", 0), MR_EUNSUPPORTED); /* known at once now */
    teardown(f);
}

TEST(client, finds_leaders_and_learns_their_moves)
{
    struct fixture *f = setup_client(3);
    struct fake_topic *topic = fake_topic_add(f->cluster, "t", 3);
    struct client_refresh refresh = {.topic = "t", .done = on_refreshed, .owner = f};

    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ask_end(f, i, "t", i), 0);
    }
    CHECK(NET_UNTIL(f->net, f->answered == 3));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(f->asks[i].rc, 0);
        CHECK_EQ(f->asks[i].request.answered_node, i);
    }
    CHECK_EQ(f->cluster->requests[WIRE_API_METADATA], 1); /* shared by the three */
    CHECK_STR(client_cluster_id(f->client), "cluster-one");
    CHECK(mr_uuid_equal(&client_topic(f->client, "t")->id, &topic->id));

    topic->partitions[0].leader = 2;
    CHECK_EQ(ask_end(f, 0, "t", 0), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 4));
    CHECK_EQ(f->asks[0].rc, KAFKA_NOT_LEADER_OR_FOLLOWER);
    CHECK_EQ(client_refresh(f->client, &refresh), 0);
    CHECK(NET_UNTIL(f->net, f->refresh_calls == 1));
    CHECK_EQ(f->refresh_rc, 0);
    CHECK_EQ(client_leader(f->client, "t", 0), 2);
    CHECK_EQ(ask_end(f, 0, "t", 0), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 5));
    CHECK_EQ(f->asks[0].rc, 0);
    CHECK_EQ(f->asks[0].request.answered_node, 2);
    teardown(f);
}

TEST(client, tells_topics_and_partitions_that_are_not_there)
{
    struct fixture *f = setup_client(1);

    (void)fake_topic_add(f->cluster, "t", 1);
    CHECK_EQ(ask_end(f, 0, "nothing", 0), 0);
    CHECK_EQ(ask_end(f, 1, "t", 5), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 2));
    CHECK_EQ(f->asks[0].rc, MR_ENOENT);
    CHECK_EQ(f->asks[1].rc, MR_ENOENT);
    CHECK(fake_topic_find(f->cluster, "nothing") == NULL);
    teardown(f);
}

TEST(client, finds_coordinators_of_old_and_new_nodes)
{
    for (int16_t version = 3; version <= 4; version++) {
        struct fixture *f = setup_client(2);

        f->cluster->version_max[WIRE_API_FIND_COORDINATOR] = version;
        for (int i = 0; i < 2; i++) {
            CHECK_EQ(ask_metadata(f, i), 0);
        }
        CHECK(NET_UNTIL(f->net, f->answered == 2));
        for (int i = 2; i < 4; i++) {
            struct ask *ask = &f->asks[i];
            memset(ask, 0, sizeof *ask);
            ask->f = f;
            metadata_request_init(&ask->metadata);
            ask->request = (struct client_request){.key = WIRE_API_METADATA,
                                                   .message = &ask->metadata,
                                                   .node = CLIENT_NODE_COORDINATOR,
                                                   .coordinator_key = "group",
                                                   .done = on_done,
                                                   .owner = ask};
            CHECK_EQ(client_send(f->client, &ask->request), 0);
        }
        CHECK(NET_UNTIL(f->net, f->answered == 4));
        CHECK_EQ(f->asks[2].rc, 0);
        CHECK_EQ(f->asks[3].rc, 0);
        CHECK_EQ(f->asks[3].request.answered_node, 1);
        CHECK_EQ(f->cluster->requests[WIRE_API_FIND_COORDINATOR], 1);
        teardown(f);
    }
}

/* The first address is dead, the second works: a request finds it, whichever comes first. */
TEST(client, tries_all_bootstrap_addresses)
{
    struct fixture *f = setup(3);
    struct mr_address addresses[3];

    for (int i = 0; i < 3; i++) {
        addresses[i] = f->cluster->nodes[i].address;
    }
    fake_node_stop(&f->cluster->nodes[0]);
    fake_node_stop(&f->cluster->nodes[1]);
    open_client(f, addresses, 3);
    CHECK_EQ(ask_metadata(f, 0), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 1));
    CHECK_EQ(f->asks[0].rc, 0);

    fake_node_stop(&f->cluster->nodes[2]); /* now all are dead: it ends, and says why */
    CHECK(NET_UNTIL(f->net, !client_is_connected(f->client)));
    CHECK_EQ(ask_metadata(f, 1), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 2));
    CHECK_EQ(f->asks[1].rc, MR_ENETWORK);
    CHECK_HAS(client_error(f->client), "127.0.0.1");
    teardown(f);
}

TEST(client, comes_back_to_a_node_that_was_down)
{
    struct fixture *f = setup_client(1);

    for (int round = 0; round < 5; round++) {
        f->answered = 0;
        CHECK_EQ(ask_metadata(f, 0), 0);
        CHECK(NET_UNTIL(f->net, f->answered == 1));
        CHECK_EQ(f->asks[0].rc, 0);
        fake_node_stop(&f->cluster->nodes[0]);
        CHECK_EQ(ask_metadata(f, 1), 0); /* sent on a connection that is dead, or waiting for one */
        CHECK(NET_UNTIL(f->net, f->answered == 2));
        CHECK_EQ(f->asks[1].rc, MR_ENETWORK);
        fake_node_start(&f->cluster->nodes[0]);
    }
    teardown(f);
}

/* Whoever does not answer is cut off: all that waits on the connection ends, each request once. */
TEST(client, cuts_a_node_that_does_not_answer_in_time)
{
    struct fixture *f = setup_client(1);

    CHECK_EQ(ask_metadata(f, 0), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 1));
    f->cluster->is_silent = true;
    for (int i = 1; i < 4; i++) {
        CHECK_EQ(ask_metadata(f, i), 0);
    }
    CHECK_EQ(ask_metadata_within(f, 4, 30), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 5));
    for (int i = 1; i < 5; i++) {
        CHECK_EQ(f->asks[i].calls, 1);
        CHECK_EQ(f->asks[i].rc, MR_ETIMEDOUT);
    }
    f->cluster->is_silent = false;
    CHECK_EQ(ask_metadata(f, 5), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 6));
    CHECK_EQ(f->asks[5].rc, 0);
    teardown(f);
}

/* Close at any moment: in flight, waiting for a connection, waiting for Metadata. */
TEST(client, cancels_everything_once_when_it_is_closed)
{
    for (int turns = 0; turns < 8; turns++) {
        struct fixture *f = setup_client(2);
        struct client_refresh refresh = {.topic = "t", .done = on_refreshed, .owner = f};

        f->cluster->is_silent = true;
        (void)fake_topic_add(f->cluster, "t", 1);
        CHECK_EQ(ask_metadata(f, 0), 0);
        CHECK_EQ(ask_end(f, 1, "t", 0), 0);
        CHECK_EQ(client_refresh(f->client, &refresh), 0);
        for (int i = 0; i < turns; i++) {
            mr_loop_turn(f->net->loop, 5);
        }
        close_client(f);
        CHECK_EQ(f->asks[0].calls, 1);
        CHECK_EQ(f->asks[1].calls, 1);
        CHECK_EQ(f->asks[0].rc, MR_ECANCELED);
        CHECK_EQ(f->refresh_calls, 1);
        CHECK_EQ(f->refresh_rc, MR_ECANCELED);
        teardown(f);
    }
}

/* A request whose records are a header in memory and a range of a file: nothing is copied here, and
 * the node gets one whole batch. */
TEST(client, sends_records_from_memory_and_file)
{
    struct fixture *f = setup_client(1);
    struct fake_topic *topic = fake_topic_add(f->cluster, "t", 1);
    struct batch_builder builder;
    struct mr_buf *batch;
    char *path = test_path("batch");
    int fd;
    uint8_t header[BATCH_HEADER_SIZE];

    batch_builder_init(&builder, &(struct batch_builder_options){.size_bytes_max = 1 << 20});
    CHECK_EQ(batch_builder_begin(&builder, 1000), 0);
    for (int i = 0; i < 1000; i++) {
        char text[16];
        int size = snprintf(text, sizeof text, "%d", i);
        CHECK_EQ(batch_builder_add_line(&builder, 1000, text, (size_t)size, NULL, 0, 0), 0);
    }
    CHECK_EQ(batch_builder_finish(&builder, NULL, NULL, 0, 0, &batch), 0);
    CHECK_OK(mr_disk_open(mr_disk_system(), path, MR_DISK_WRITE | MR_DISK_CREATE, &fd, NULL), NULL);
    CHECK_OK(mr_disk_pwrite(mr_disk_system(), fd, batch->data, batch->size_bytes, 0), NULL);
    memcpy(header, batch->data, sizeof header);
    batch_patch_producer(header, 7, 1, 0);

    struct client_payload payload = {.memory = {.data = header, .size_bytes = sizeof header},
                                     .disk = mr_disk_system(),
                                     .fd = fd,
                                     .position = BATCH_HEADER_SIZE,
                                     .size_bytes = (int64_t)batch->size_bytes - BATCH_HEADER_SIZE};
    struct produce_request_partition partition = {
        .records = {.size = (int32_t)batch->size_bytes, .payload = &payload}};
    struct produce_request_topic produce_topic = {.name = wire_text("t"),
                                                  .partition_data = {&partition, 1}};
    struct produce_request produce;
    produce_request_init(&produce);
    produce.acks = -1;
    produce.topic_data = (struct produce_request_topic_array){&produce_topic, 1};
    struct ask *ask = &f->asks[0];
    ask->f = f;
    ask->request = (struct client_request){.key = WIRE_API_PRODUCE,
                                           .message = &produce,
                                           .node = CLIENT_NODE_LEADER,
                                           .topic = "t",
                                           .done = on_done,
                                           .owner = ask};
    CHECK_EQ(client_send(f->client, &ask->request), 0);
    CHECK(NET_UNTIL(f->net, f->answered == 1));
    CHECK_EQ(ask->rc, 0);
    CHECK_EQ(topic->partitions[0].count, 1000);
    CHECK_EQ(topic->partitions[0].values[999], 999);
    CHECK_EQ(topic->partitions[0].batches[0].producer_id, 7);

    produce.acks = 0;
    CHECK_EQ(client_send(f->client, &ask->request), MR_EINVAL);
    mr_disk_close(mr_disk_system(), fd);
    mr_buf_unref(batch);
    batch_builder_done(&builder);
    mr_free(path);
    teardown(f);
}
