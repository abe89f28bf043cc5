/* The peer sink between a flow and hubs in the same process, over real sockets. The hubs count:
 * each number once, in order, whatever happens on the way. */
#include <stdio.h>
#include <string.h>

#include "base/core/memory.h"
#include "queue/wire/kafka_error.h"
#include "sinks/peer/peer_internal.h"
#include "tests/lib/fake_cluster.h"
#include "tests/lib/net_fixture.h"
#include "tests/lib/peer_flow.h"
#include "tests/lib/test.h"

struct fixture {
    struct net_fixture *net;
    struct mr_random_seeded random;
    struct fake_cluster *hub;
    struct peer_flow *edge;
};

static struct fixture *setup(uint64_t seed)
{
    struct fixture *f = mr_calloc(1, sizeof *f);
    char *path = test_path("log");

    (void)mr_disk_system()->ops->unlink(mr_disk_system(), path);
    f->net = net_fixture_new();
    mr_random_seeded_init(&f->random, seed);
    f->hub = fake_cluster_new(f->net->loop, f->net->net, &f->random.base, 1);
    f->edge = peer_flow_new(f->net->loop, f->net->net, &f->random.base, path);
    mr_free(path);
    return f;
}

static void open_edge(struct fixture *f)
{
    peer_flow_open(f->edge, &f->hub->nodes[0].address, 1);
}

static void teardown(struct fixture *f)
{
    peer_flow_free(f->edge);
    fake_cluster_free(f->hub);
    net_fixture_free(f->net);
    mr_free(f);
}

static const struct client *client_of(const struct fixture *f)
{
    return mr_container(f->edge->sink, struct peer, sink)->client;
}

static struct fake_partition *target(struct fixture *f)
{
    struct fake_topic *topic = fake_topic_find(f->hub, "web");

    CHECK(topic != NULL);
    return &topic->partitions[0];
}

static bool drained(struct fixture *f)
{
    return NET_UNTIL(f->net, peer_flow_is_done(f->edge));
}

/* Numbers from `from` on, each once, in order, but those that are dead letters. */
static void check_numbers(struct fixture *f, int64_t from)
{
    const struct fake_partition *partition = target(f);
    int64_t expected = from;
    size_t dead = 0;

    for (size_t i = 0; i < partition->count; i++) {
        while (dead < f->edge->dead_count && f->edge->dead[dead] == expected) {
            dead++;
            expected++;
        }
        if (partition->values[i] != expected) {
            test_fail(__FILE__, __LINE__, "at %zu of %zu stands %lld, not %lld", i,
                      partition->count, (long long)partition->values[i], (long long)expected);
        }
        expected++;
    }
    while (dead < f->edge->dead_count && f->edge->dead[dead] == expected) {
        dead++;
        expected++;
    }
    CHECK_EQ(expected, f->edge->end_offset);
}

static void append_some(struct fixture *f, int batches)
{
    for (int i = 0; i < batches; i++) {
        peer_flow_append(f->edge, 1 + (int32_t)mr_random_below(&f->random.base, 200));
    }
}

TEST(peer, creates_the_topic_and_forwards_everything_in_order)
{
    for (int codec = 0; codec < 5; codec++) {
        struct fixture *f = setup(1);

        f->edge->codec = codec;
        open_edge(f);
        append_some(f, 50);
        CHECK(drained(f));
        check_numbers(f, 0);
        CHECK_EQ(f->hub->duplicates, 0);
        CHECK_EQ(f->edge->retries, 0);
        teardown(f);
    }
}

/* The state is on disk before the first record goes out. */
TEST(peer, sends_nothing_before_the_lineage_is_committed)
{
    struct fixture *f = setup(2);

    open_edge(f);
    append_some(f, 1);
    CHECK(NET_UNTIL(f->net, f->hub->requests[WIRE_API_PRODUCE] > 0));
    CHECK_GT(f->edge->committed_state_size, 0);
    CHECK(drained(f));
    check_numbers(f, 0);
    teardown(f);
}

TEST(peer, goes_on_after_a_restart_with_what_the_hub_lacks)
{
    struct fixture *f = setup(3);

    open_edge(f);
    append_some(f, 20);
    CHECK(drained(f));
    peer_flow_kill(f->edge); /* nothing of the 20 was committed but the lineage */
    open_edge(f);
    append_some(f, 20);
    CHECK(drained(f));
    check_numbers(f, 0);
    CHECK_EQ(f->hub->duplicates, 0); /* asked, not tried */
    peer_flow_close(f->edge);
    open_edge(f);
    append_some(f, 3);
    CHECK(drained(f));
    check_numbers(f, 0);
    teardown(f);
}

TEST(peer, waits_for_a_dead_hub)
{
    struct fixture *f = setup(4);

    fake_node_stop(&f->hub->nodes[0]);
    open_edge(f);
    append_some(f, 10);
    CHECK(NET_UNTIL(f->net, f->edge->retries >= 2));
    CHECK_HAS(f->edge->reason, "127.0.0.1");
    fake_node_start(&f->hub->nodes[0]);
    CHECK(drained(f));
    check_numbers(f, 0);
    teardown(f);
}

/* A hub that comes back while nothing is sent is noticed by the next write, without a failure. */
TEST(peer, asks_again_on_each_new_connection)
{
    struct fixture *f = setup(5);

    open_edge(f);
    for (int round = 0; round < 5; round++) {
        append_some(f, 3);
        CHECK(drained(f));
        fake_node_cut(&f->hub->nodes[0]);
        CHECK(NET_UNTIL(f->net, !client_is_connected(client_of(f))));
    }
    check_numbers(f, 0);
    CHECK_EQ(f->edge->retries, 0);
    CHECK_GE(f->hub->requests[WIRE_API_DESCRIBE_PRODUCERS], 5);
    teardown(f);
}

/* The hub lost its last batches (power loss): the edge goes back to them. */
TEST(peer, rewinds_when_the_hub_is_behind)
{
    struct fixture *f = setup(6);

    open_edge(f);
    append_some(f, 20);
    CHECK(drained(f));
    peer_flow_commit(f->edge);
    fake_node_stop(&f->hub->nodes[0]);
    fake_partition_truncate(target(f), target(f)->count / 2);
    fake_node_start(&f->hub->nodes[0]);
    append_some(f, 1);
    CHECK(drained(f));
    check_numbers(f, 0);
    CHECK_EQ(f->edge->rewinds, 1);
    CHECK_EQ(f->edge->lost, 0);
    teardown(f);
}

/* All of it, so that the hub knows nothing of the lineage: its end offset tells that from expiry.
 */
TEST(peer, rewinds_when_the_hub_lost_everything_of_the_partition)
{
    struct fixture *f = setup(7);

    open_edge(f);
    append_some(f, 20);
    CHECK(drained(f));
    peer_flow_close(f->edge);
    fake_partition_truncate(target(f), 0);
    open_edge(f);
    append_some(f, 1);
    CHECK(drained(f));
    check_numbers(f, 0);
    teardown(f);
}

TEST(peer, goes_on_after_its_lineage_expired_at_the_hub)
{
    struct fixture *f = setup(8);

    open_edge(f);
    append_some(f, 20);
    CHECK(drained(f));
    peer_flow_close(f->edge);
    fake_partition_forget(target(f));
    open_edge(f);
    append_some(f, 5);
    CHECK(drained(f));
    check_numbers(f, 0);
    CHECK_EQ(f->edge->rewinds, 0);
    teardown(f);
}

/* What was lost there is no longer held here: a gap, under a new epoch. */
TEST(peer, goes_on_behind_what_neither_side_has)
{
    struct fixture *f = setup(9);
    struct fake_partition *partition;
    int64_t kept;

    open_edge(f);
    append_some(f, 20);
    CHECK(drained(f));
    partition = target(f);
    peer_flow_close(f->edge);
    fake_partition_truncate(partition, partition->count / 2);
    kept = (int64_t)partition->count;
    f->edge->batch_first = 18;
    open_edge(f);
    append_some(f, 5);
    CHECK(drained(f));
    CHECK_EQ(partition->values[kept - 1], kept - 1);
    CHECK_EQ(partition->values[kept], f->edge->batches[18].base_offset);
    CHECK_EQ(partition->values[partition->count - 1], f->edge->end_offset - 1);
    CHECK_EQ(f->edge->skipped, f->edge->batches[18].base_offset - kept);
    teardown(f);
}

TEST(peer, sends_what_is_behind_a_gap_under_a_new_epoch)
{
    struct fixture *f = setup(10);
    const struct fake_partition *partition;

    open_edge(f);
    append_some(f, 5);
    peer_flow_gap(f->edge, 7);
    append_some(f, 5);
    CHECK(drained(f));
    partition = target(f);
    CHECK_EQ(partition->batch_count, 10);
    CHECK_EQ(partition->batches[4].epoch, 0);
    CHECK_EQ(partition->batches[5].epoch, 1);
    CHECK_EQ(partition->batches[5].base_sequence, 0);
    CHECK_EQ((int64_t)partition->count, f->edge->end_offset - 7);
    teardown(f);
}

/* The edge was restored from a copy: its log ends before what the hub has of it. The same offsets
 * now hold other records, and these must arrive. */
TEST(peer, begins_a_new_lineage_when_the_hub_is_ahead)
{
    struct fixture *f = setup(11);
    int64_t copied_end;
    size_t copied_batches;
    size_t before;

    open_edge(f);
    append_some(f, 5);
    CHECK(drained(f));
    peer_flow_close(f->edge);
    copied_end = f->edge->end_offset;
    copied_batches = f->edge->batch_count;
    open_edge(f);
    append_some(f, 5);
    CHECK(drained(f));
    peer_flow_kill(f->edge);
    before = target(f)->count;

    f->edge->end_offset = copied_end; /* the copy; its committed position is that of then, too */
    f->edge->batch_count = copied_batches;
    open_edge(f);
    append_some(f, 5);
    CHECK(drained(f));
    CHECK_EQ((int64_t)(target(f)->count - before), f->edge->end_offset - copied_end);
    CHECK_EQ(target(f)->values[before], copied_end);
    teardown(f);
}

TEST(peer, begins_new_lineages_in_a_cloned_node)
{
    struct fixture *f = setup(12);
    size_t before;

    open_edge(f);
    append_some(f, 5);
    CHECK(drained(f));
    peer_flow_close(f->edge);
    before = target(f)->batch_count;
    f->edge->host.is_node_cloned = true;
    f->edge->host.node_uuid = mr_uuid_random(&f->random.base);
    open_edge(f);
    append_some(f, 5);
    CHECK(drained(f));
    check_numbers(f, 0);
    CHECK_NE(target(f)->batches[0].producer_id, target(f)->batches[before].producer_id);
    CHECK_EQ(target(f)->batches[before].producer_id,
             target(f)->batches[target(f)->batch_count - 1].producer_id);
    teardown(f);
}

TEST(peer, sends_again_what_is_held_to_a_hub_that_was_wiped)
{
    struct fixture *f = setup(13);

    open_edge(f);
    append_some(f, 20);
    CHECK(drained(f));
    peer_flow_commit(f->edge);
    fake_node_stop(&f->hub->nodes[0]);
    fake_cluster_wipe(f->hub);
    fake_node_start(&f->hub->nodes[0]);
    append_some(f, 1);
    CHECK(drained(f));
    check_numbers(f, 0);
    teardown(f);
}

TEST(peer, goes_on_in_a_topic_that_was_made_anew)
{
    struct fixture *f = setup(14);
    int64_t position;

    open_edge(f);
    append_some(f, 20);
    CHECK(drained(f));
    position = f->edge->position;
    fake_topic_remove(f->hub, "web");
    (void)fake_topic_add(f->hub, "web", 1);
    fake_node_cut(&f->hub->nodes[0]);
    append_some(f, 5);
    CHECK(drained(f));
    check_numbers(f, position);
    CHECK_EQ(f->edge->lost, position);
    teardown(f);
}

/* One record in many is refused for itself: all others arrive once and in order, that one is named.
 */
TEST(peer, isolates_a_poison_record)
{
    for (int codec = 0; codec < 5; codec += 3) {
        for (int64_t poison = 0; poison < 260; poison += 37) {
            struct fixture *f = setup(15);

            f->edge->codec = codec;
            f->hub->poison_value = poison;
            open_edge(f);
            for (int i = 0; i < 6; i++) {
                peer_flow_append(f->edge, 50);
            }
            CHECK(drained(f));
            CHECK_EQ(f->edge->dead_count, 1);
            CHECK_EQ(f->edge->dead[0], poison);
            CHECK_HAS(f->edge->reason, "INVALID_RECORD");
            check_numbers(f, 0);
            teardown(f);
        }
    }
}

TEST(peer, splits_batches_that_are_too_large_for_the_hub)
{
    struct fixture *f = setup(16);

    f->hub->batch_size_bytes_max = 300;
    open_edge(f);
    append_some(f, 10);
    CHECK(drained(f));
    check_numbers(f, 0);
    CHECK_EQ(f->edge->dead_count, 0);
    f->hub->batch_size_bytes_max = 50; /* below a header: nothing can be taken any more */
    peer_flow_append(f->edge, 100);
    CHECK(drained(f));
    CHECK_EQ(f->edge->dead_count, 100);
    check_numbers(f, 0);
    teardown(f);
}

/* Killed at any moment of a split: each record is at the hub once, or a dead letter. */
TEST(peer, survives_kills_while_it_splits)
{
    for (int turns = 1; turns < 120; turns += 3) {
        struct fixture *f = setup((uint64_t)turns);

        f->hub->poison_value = 70;
        open_edge(f);
        for (int i = 0; i < 4; i++) {
            peer_flow_append(f->edge, 50);
        }
        for (int i = 0; i < turns; i++) {
            mr_loop_turn(f->net->loop, 1);
        }
        bool is_dead_committed = f->edge->committed_position > 70;
        peer_flow_kill(f->edge);
        if (!is_dead_committed) {
            f->edge->dead_count =
                0; /* the flow writes it again with the write that it is part of */
        }
        open_edge(f);
        CHECK(drained(f));
        CHECK_EQ(f->edge->dead_count, 1);
        check_numbers(f, 0);
        teardown(f);
    }
}

TEST(peer, takes_a_refusal_as_an_alarm)
{
    struct fixture *f = setup(17);

    (void)fake_topic_add(f->hub, "web", 1);
    f->hub->error[WIRE_API_PRODUCE] = KAFKA_TOPIC_AUTHORIZATION_FAILED;
    f->hub->errors[WIRE_API_PRODUCE] = 3;
    open_edge(f);
    append_some(f, 3);
    CHECK(NET_UNTIL(f->net, f->edge->auths > 0));
    CHECK_HAS(f->edge->reason, "TOPIC_AUTHORIZATION_FAILED");
    CHECK(drained(f));
    check_numbers(f, 0);
    teardown(f);
}

TEST(peer, refuses_to_feed_its_own_mesh)
{
    struct fixture *f = setup(18);

    f->edge->host.cluster_id = "cluster-one";
    open_edge(f);
    append_some(f, 3);
    CHECK(NET_UNTIL(f->net, f->edge->auths > 0));
    CHECK_HAS(f->edge->reason, "own mesh");
    CHECK_EQ(f->edge->position, 0);
    teardown(f);
}

TEST(peer, says_that_a_hub_is_too_old)
{
    struct fixture *f = setup(19);

    f->hub->version_max[WIRE_API_DESCRIBE_PRODUCERS] = -1;
    open_edge(f);
    append_some(f, 3);
    CHECK(NET_UNTIL(f->net, f->edge->auths > 0));
    CHECK_HAS(f->edge->reason, "too old");
    teardown(f);
}

/* Errors that pass: nothing is lost, nothing comes twice, and it gets through. */
TEST(peer, gets_over_errors_that_pass)
{
    static const int16_t codes[] = {
        KAFKA_NOT_LEADER_OR_FOLLOWER, KAFKA_REQUEST_TIMED_OUT,
        KAFKA_NOT_ENOUGH_REPLICAS,    KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER,
        KAFKA_UNKNOWN_PRODUCER_ID,    KAFKA_KAFKA_STORAGE_ERROR,
        KAFKA_CORRUPT_MESSAGE,        KAFKA_UNSUPPORTED_COMPRESSION_TYPE};

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        for (int count = 1; count < 8; count += 3) {
            struct fixture *f = setup(20);

            f->edge->codec = 3;
            open_edge(f);
            append_some(f, 10);
            CHECK(drained(f));
            f->hub->error[WIRE_API_PRODUCE] = codes[i];
            f->hub->errors[WIRE_API_PRODUCE] = count;
            append_some(f, 10);
            CHECK(drained(f));
            check_numbers(f, 0);
            teardown(f);
        }
    }
}

/* With a hub that answers nothing any more the close is bounded, and every write is answered. */
TEST(peer, closes_in_time_beside_a_silent_hub)
{
    struct fixture *f = setup(21);

    f->edge->request_timeout_ms = 3000;
    open_edge(f);
    append_some(f, 5);
    CHECK(drained(f));
    f->hub->is_silent = true;
    append_some(f, 5);
    CHECK(NET_UNTIL(f->net, f->edge->in_flight == 5));
    peer_flow_close(f->edge); /* which fails when it takes minutes */
    f->hub->is_silent = false;
    open_edge(f);
    CHECK(drained(f));
    check_numbers(f, 0);
    teardown(f);
}

/* Anything at any time: appends, kills, cuts before and after a batch was taken, hubs that stop,
 * lose their last batches, or answer with errors. */
TEST(peer, loses_and_repeats_nothing_under_random_faults)
{
    uint64_t seed = test_seed();

    for (uint64_t round = 0; round < 12; round++) {
        struct fixture *f = setup(seed + round);
        struct mr_random *random = &f->random.base;

        f->hub->cut_before_percent = (int)mr_random_below(random, 10);
        f->hub->cut_after_percent = (int)mr_random_below(random, 10);
        open_edge(f);
        for (int step = 0; step < 60; step++) {
            append_some(f, (int)mr_random_below(random, 8));
            for (uint64_t i = mr_random_below(random, 40); i > 0; i--) {
                mr_loop_turn(f->net->loop, 1);
            }
            switch (mr_random_below(random, 8)) {
            case 0:
                peer_flow_kill(f->edge);
                open_edge(f);
                break;
            case 1:
                fake_node_cut(&f->hub->nodes[0]);
                break;
            case 2:
                fake_node_stop(&f->hub->nodes[0]);
                for (uint64_t i = mr_random_below(random, 20); i > 0; i--) {
                    mr_loop_turn(f->net->loop, 1);
                }
                if (fake_topic_find(f->hub, "web") != NULL && mr_random_below(random, 2) == 0) {
                    struct fake_partition *partition = target(f);
                    fake_partition_truncate(
                        partition,
                        partition->count - partition->count / (2 + mr_random_below(random, 8)));
                }
                fake_node_start(&f->hub->nodes[0]);
                break;
            case 3:
                f->hub->error[WIRE_API_PRODUCE] = KAFKA_NOT_ENOUGH_REPLICAS;
                f->hub->errors[WIRE_API_PRODUCE] = (int)mr_random_below(random, 3);
                break;
            case 4:
                peer_flow_commit(f->edge);
                break;
            default:
                break;
            }
        }
        f->hub->cut_before_percent = 0;
        f->hub->cut_after_percent = 0;
        peer_flow_append(f->edge, 1);
        CHECK(drained(f));
        check_numbers(f, 0);
        teardown(f);
    }
}
