/* The queue from its faces and from its wire, in one thread, with a disk that fails and loses
 * power. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/core/memory.h"
#include "queue/consumer.h"
#include "queue/producer.h"
#include "queue/queue_internal.h"
#include "queue/wire/batch.h"
#include "queue/wire/bytes.h"
#include "queue/wire/cluster.h"
#include "queue/wire/fetch.h"
#include "queue/wire/kafka_error.h"
#include "queue/wire/offsets.h"
#include "queue/wire/produce.h"
#include "queue/wire/topics.h"
#include "queue/wire/writer.h"
#include "tests/lib/queue_fixture.h"
#include "tests/lib/test.h"

/* ---- the faces ---- */

static void set_flag(void *owner)
{
    *(bool *)owner = true;
}

static void on_appended(struct queue_append *append)
{
    *(bool *)append->owner = true;
}

static int append(struct queue_fixture *f, struct queue_producer *producer, int count)
{
    struct mr_buf *batch = queue_fixture_batch(f, count, 100);
    bool is_done = false;
    struct queue_append request = {.batch = {batch, batch->data, batch->size_bytes},
                                   .record_count = count,
                                   .cb = on_appended,
                                   .owner = &is_done};
    int rc = queue_producer_append(producer, &request);

    if (rc == 0) {
        CHECK(queue_fixture_wait(f, &is_done));
        rc = request.rc;
    }
    mr_buf_unref(batch);
    return rc;
}

struct commit {
    bool is_done;
    int rc;
};

static void on_committed(void *owner, int rc)
{
    *(struct commit *)owner = (struct commit){true, rc};
}

static int commit(struct queue_fixture *f, struct queue_consumer *consumer, int64_t offset,
                  const char *metadata)
{
    struct commit done = {0};
    int rc = queue_consumer_commit(consumer, offset, metadata, on_committed, &done);

    if (rc != 0) {
        return rc;
    }
    CHECK(queue_fixture_wait(f, &done.is_done));
    return done.rc;
}

/* What is appended is read back, within the synced limit after one wait; commits survive the
 * restart. */
TEST(queue, appends_reads_and_commits_by_its_faces)
{
    struct queue_fixture *f = queue_fixture_new(1);
    struct queue_producer *producer;
    struct queue_consumer *consumer;
    struct log_range range;
    bool has_more = false;
    const char *metadata;

    queue_fixture_topic(f, "app", true);
    CHECK_OK(queue_fixture_open(f), &f->error);
    CHECK_OK(queue_producer_open(f->queue, "app", 0, NULL, NULL, &producer, &f->error), &f->error);
    CHECK_OK(queue_consumer_open(f->queue, "sink.s", "app", 0, set_flag, &has_more, &consumer,
                                 &f->error),
             &f->error);
    CHECK_EQ(queue_consumer_committed(consumer, &metadata), -1);
    queue_consumer_wait(consumer, 0, QUEUE_LIMIT_SYNCED);
    queue_fixture_turn(f);
    CHECK(!has_more);
    CHECK_EQ(append(f, producer, 5), 0);
    CHECK(queue_fixture_wait(f, &has_more));
    CHECK_EQ(queue_consumer_read(consumer, 0, QUEUE_LIMIT_SYNCED, 0, NULL, &range), 0);
    CHECK_EQ(range.next_offset, 5);
    log_range_done(&range);
    CHECK_EQ(queue_consumer_read(consumer, 5, QUEUE_LIMIT_SYNCED, 0, NULL, &range), 0);
    CHECK_EQ(range.size_bytes, 0);
    CHECK_EQ(commit(f, consumer, 5, "lineage"), 0);
    queue_consumer_close(consumer);
    queue_producer_close(producer);
    queue_fixture_power_loss(f);
    CHECK_OK(queue_fixture_open(f), &f->error);
    CHECK_OK(queue_consumer_open(f->queue, "sink.s", "app", 0, set_flag, &has_more, &consumer,
                                 &f->error),
             &f->error);
    CHECK_EQ(queue_consumer_committed(consumer, &metadata), 5);
    CHECK_STR(metadata, "lineage");
    CHECK_EQ(queue_consumer_end_offset(consumer), 5);
    queue_consumer_close(consumer);
    queue_fixture_free(f);
}

static void count_topics(void *owner, const char *topic, int32_t partitions, bool is_local)
{
    (void)is_local;
    CHECK(strncmp(topic, "__", 2) != 0);
    *(int32_t *)owner += partitions;
}

/* A pattern never matches what belongs to the program; dead letter topics are made when needed. */
TEST(queue, watches_topics_and_makes_dead_letter_topics)
{
    struct queue_fixture *f = queue_fixture_new(2);
    static const char *const all[] = {"*"};
    struct queue_producer *producer;
    struct queue_watch *watch;
    int32_t partitions = 0;

    queue_fixture_topic(f, "app", true)->partitions = 3;
    queue_fixture_topic(f, "web", false);
    CHECK_OK(queue_fixture_open(f), &f->error);
    CHECK_EQ(queue_watch_topics(f->queue, all, 1, count_topics, &partitions, &watch), 0);
    CHECK_EQ(partitions, 4);
    CHECK_OK(queue_producer_open(f->queue, "__dlq.x", 0, NULL, NULL, &producer, &f->error),
             &f->error);
    CHECK_EQ(append(f, producer, 1), 0);
    queue_producer_close(producer);
    CHECK_EQ(queue_producer_open(f->queue, "none", 0, NULL, NULL, &producer, &f->error), MR_ENOENT);
    queue_watch_close(watch);
    queue_fixture_free(f);
}

/* Many commits leave a bounded log, and the last one is what a restart finds. */
TEST(queue, bounds_the_log_of_committed_offsets)
{
    struct queue_fixture *f = queue_fixture_new(3);
    struct queue_consumer *consumer;
    struct partition *partition;
    char metadata[4000];
    const char *found;
    bool has_more;

    memset(metadata, 'm', sizeof metadata - 1);
    metadata[sizeof metadata - 1] = '\0';
    queue_fixture_topic(f, "app", true);
    CHECK_OK(queue_fixture_open(f), &f->error);
    CHECK_OK(queue_consumer_open(f->queue, "sink.s", "app", 0, set_flag, &has_more, &consumer,
                                 &f->error),
             &f->error);
    for (int64_t i = 0; i < 2000; i++) {
        CHECK_EQ(commit(f, consumer, i, metadata), 0);
    }
    partition =
        replicas_partition(image_find_text(meta_image(f->queue->meta), "__consumer_offsets"),
                           group_offsets_partition(wire_text("sink.s")));
    CHECK_LT(log_size_bytes(partition->log), 4 * 1024 * 1024); /* 8 MB were written */
    queue_consumer_close(consumer);
    queue_fixture_close(f);
    CHECK_OK(queue_fixture_open(f), &f->error);
    CHECK_OK(queue_consumer_open(f->queue, "sink.s", "app", 0, set_flag, &has_more, &consumer,
                                 &f->error),
             &f->error);
    CHECK_EQ(queue_consumer_committed(consumer, &found), 1999);
    queue_consumer_close(consumer);
    queue_fixture_free(f);
}

/* By Kafka: Utils.abs(groupId.hashCode) % 50; the values are Java's. */
TEST(queue, puts_groups_where_kafka_puts_them)
{
    CHECK_EQ(group_offsets_partition(wire_text("")), 0);
    CHECK_EQ(group_offsets_partition(wire_text("a")), 97 % 50);
    CHECK_EQ(group_offsets_partition(wire_text("hello")), 99162322 % 50);
    /* "\u00e9" is one UTF-16 unit, 0xe9; U+1F600 is two: 0xd83d, 0xde00 */
    CHECK_EQ(group_offsets_partition(wire_text("\xc3\xa9")), 0xe9 % 50);
    CHECK_EQ(group_offsets_partition(wire_text("\xf0\x9f\x98\x80")), (0xd83d * 31 + 0xde00) % 50);
}

/* ---- the wire ---- */

static int16_t create_topic(struct queue_fixture *f, struct mr_stream *client, const char *name)
{
    struct create_topics_request_topic topic;
    struct create_topics_request request;
    struct create_topics_response response;

    create_topics_request_init(&request);
    create_topics_request_topic_init(&topic);
    topic.name = wire_text(name);
    topic.num_partitions = 2;
    topic.replication_factor = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    if (queue_fixture_ask(f, client, WIRE_API_CREATE_TOPICS, 7, &request, &response) != 0) {
        return KAFKA_UNKNOWN_SERVER_ERROR;
    }
    return response.topics.items[0].error_code;
}

static int16_t delete_topic(struct queue_fixture *f, struct mr_stream *client, const char *name)
{
    struct delete_topics_request request;
    struct delete_topics_response response;
    struct wire_string text = wire_text(name);

    delete_topics_request_init(&request);
    request.topic_names.items = &text;
    request.topic_names.count = 1;
    if (queue_fixture_ask(f, client, WIRE_API_DELETE_TOPICS, 5, &request, &response) != 0) {
        return KAFKA_UNKNOWN_SERVER_ERROR;
    }
    return response.responses.items[0].error_code;
}

static int16_t produce(struct queue_fixture *f, struct mr_stream *client, const char *name,
                       int count, int64_t *ret_base)
{
    struct mr_buf *batch = queue_fixture_batch(f, count, 50);
    struct produce_request_partition partition = {
        .index = 0, .records = {.data = batch->data, .size = (int32_t)batch->size_bytes}};
    struct produce_request_topic topic = {.name = wire_text(name),
                                          .partition_data = {&partition, 1}};
    struct produce_request request;
    struct produce_response response;
    int16_t error = KAFKA_UNKNOWN_SERVER_ERROR;

    produce_request_init(&request);
    request.acks = -1;
    request.topic_data.items = &topic;
    request.topic_data.count = 1;
    if (queue_fixture_ask(f, client, WIRE_API_PRODUCE, 9, &request, &response) == 0) {
        error = response.responses.items[0].partition_responses.items[0].error_code;
        *ret_base = response.responses.items[0].partition_responses.items[0].base_offset;
    }
    mr_buf_unref(batch);
    return error;
}

static void fetch(struct queue_fixture *f, struct mr_stream *client, const char *name,
                  int64_t offset, int32_t wait_ms, struct fetch_response_partition *ret_answer)
{
    struct fetch_request_partition partition;
    struct fetch_request_topic topic = {.topic = wire_text(name), .partitions = {&partition, 1}};
    struct fetch_request request;
    struct fetch_response response;

    fetch_request_partition_init(&partition);
    partition.fetch_offset = offset;
    partition.partition_max_bytes = 1; /* the first batch comes whole all the same */
    fetch_request_init(&request);
    request.max_wait_ms = wait_ms;
    request.min_bytes = 1;
    request.max_bytes = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    CHECK_EQ(queue_fixture_ask(f, client, WIRE_API_FETCH, 12, &request, &response), 0);
    *ret_answer = response.responses.items[0].partitions.items[0];
}

/* Trap 24: whole first batch above every bound, from its start; empty at the watermark; error 1
 * with the real offsets beyond. In pieces of three bytes, so that every frame is cut. */
TEST(queue, follows_the_size_and_range_rules_of_fetch)
{
    struct queue_fixture *f = queue_fixture_new(4);
    struct fetch_response_partition answer;
    struct mr_stream *client;
    int64_t base;
    int64_t before_ms;

    f->pipe.step_size_bytes = 3;
    queue_fixture_topic(f, "web", false);
    CHECK_OK(queue_fixture_open(f), &f->error);
    client = queue_fixture_connect(f);
    CHECK_EQ(produce(f, client, "web", 10, &base), KAFKA_NONE);
    CHECK_EQ(produce(f, client, "web", 10, &base), KAFKA_NONE);
    CHECK_EQ(base, 10);
    fetch(f, client, "web", 13, 0, &answer);
    CHECK_EQ(answer.error_code, KAFKA_NONE);
    CHECK_EQ(answer.high_watermark, 20);
    CHECK_GT(answer.records.size, 500);
    CHECK_EQ(wire_get_int64(answer.records.data), 10);
    before_ms = mr_loop_now_ms(f->loop);
    fetch(f, client, "web", 20, 300, &answer);
    CHECK_EQ(answer.error_code, KAFKA_NONE);
    CHECK_EQ(answer.records.size, 0);
    CHECK_GE(mr_loop_now_ms(f->loop) - before_ms, 300); /* it waited for more */
    fetch(f, client, "web", 21, 300, &answer);
    CHECK_EQ(answer.error_code, KAFKA_OFFSET_OUT_OF_RANGE);
    CHECK_EQ(answer.high_watermark, 20);
    CHECK_EQ(answer.log_start_offset, 0);
    mr_stream_close(client, false);
    queue_fixture_free(f);
}

/* A fetch that waits is answered by the produce of another connection; one whose client goes is
 * dropped. */
TEST(queue, wakes_a_waiting_fetch)
{
    struct queue_fixture *f = queue_fixture_new(5);
    struct fetch_request_partition partition;
    struct fetch_request_topic topic = {.topic = wire_text("web"), .partitions = {&partition, 1}};
    struct fetch_request request;
    struct wire_writer writer;
    struct mr_stream *reader;
    struct mr_stream *gone;
    struct mr_stream *client;
    struct mr_buf *frame;
    int64_t base;

    queue_fixture_topic(f, "web", false);
    CHECK_OK(queue_fixture_open(f), &f->error);
    fetch_request_partition_init(&partition);
    partition.partition_max_bytes = 1000;
    fetch_request_init(&request);
    request.max_wait_ms = 100000;
    request.min_bytes = 1;
    request.topics.items = &topic;
    request.topics.count = 1;
    wire_writer_init(&writer);
    CHECK_EQ(
        wire_request_write(&writer, wire_api_find(WIRE_API_FETCH), 12, 5, wire_text("c"), &request),
        0);
    reader = queue_fixture_connect(f);
    gone = queue_fixture_connect(f);
    client = queue_fixture_connect(f);
    queue_fixture_send(f, reader, writer.bytes.data, writer.bytes.size_bytes);
    queue_fixture_send(f, gone, writer.bytes.data, writer.bytes.size_bytes);
    queue_fixture_turn(f);
    mr_stream_close(gone, true);
    queue_fixture_turn(f);
    CHECK_EQ(produce(f, client, "web", 3, &base), KAFKA_NONE);
    frame = queue_fixture_receive(f, reader);
    CHECK(frame != NULL);
    CHECK_GT(frame->size_bytes, 200);
    CHECK_LT(mr_loop_now_ms(f->loop), 50000);
    mr_buf_unref(frame);
    wire_writer_done(&writer);
    mr_stream_close(reader, false);
    mr_stream_close(client, false);
    queue_fixture_free(f);
}

/* An epoch of the past is fenced, one of the future unknown; each start begins a new one. */
TEST(queue, counts_leader_epochs_by_starts)
{
    struct queue_fixture *f = queue_fixture_new(6);
    struct list_offsets_request_partition partition;
    struct list_offsets_request_topic topic = {.name = wire_text("web"),
                                               .partitions = {&partition, 1}};
    struct list_offsets_request request;
    struct list_offsets_response response;
    const struct list_offsets_response_partition *answer;
    struct mr_stream *client;
    int64_t base;

    queue_fixture_topic(f, "web", false);
    list_offsets_request_init(&request);
    list_offsets_request_partition_init(&partition);
    request.topics.items = &topic;
    request.topics.count = 1;
    for (int32_t epoch = 0; epoch < 3; epoch++) {
        CHECK_OK(queue_fixture_open(f), &f->error);
        client = queue_fixture_connect(f);
        CHECK_EQ(produce(f, client, "web", 1, &base), KAFKA_NONE);
        partition.timestamp = -1;
        for (int32_t asked = epoch - 1; asked <= epoch + 1; asked++) {
            partition.current_leader_epoch = asked;
            CHECK_EQ(queue_fixture_ask(f, client, WIRE_API_LIST_OFFSETS, 5, &request, &response),
                     0);
            answer = &response.topics.items[0].partitions.items[0];
            CHECK_EQ(answer->error_code, asked < 0 || asked == epoch ? KAFKA_NONE
                                         : asked < epoch             ? KAFKA_FENCED_LEADER_EPOCH
                                                                     : KAFKA_UNKNOWN_LEADER_EPOCH);
        }
        partition.timestamp = -2; /* the epoch of the first record, not of now */
        partition.current_leader_epoch = -1;
        CHECK_EQ(queue_fixture_ask(f, client, WIRE_API_LIST_OFFSETS, 5, &request, &response), 0);
        answer = &response.topics.items[0].partitions.items[0];
        CHECK_EQ(answer->offset, 0);
        CHECK_EQ(answer->leader_epoch, 0);
        mr_stream_close(client, false);
        queue_fixture_close(f);
    }
    queue_fixture_free(f);
}

/* Cut the power at each change of the disk while topics come and go: what was answered holds after
 * the restart, and no directory of a deleted topic comes back. */
TEST(queue, keeps_its_word_about_topics_through_power_cuts)
{
    for (int nth = 1;; nth++) {
        struct queue_fixture *f = queue_fixture_new((uint64_t)nth);
        struct mr_stream *client;
        int16_t made_a = KAFKA_UNKNOWN_SERVER_ERROR;
        int16_t gone_a = KAFKA_UNKNOWN_SERVER_ERROR;
        int16_t made_b = KAFKA_UNKNOWN_SERVER_ERROR;
        const struct image *image;
        bool is_cut;

        CHECK_OK(queue_fixture_open(f), &f->error);
        queue_fixture_turn(f);
        client = queue_fixture_connect(f);
        fault_set(&f->disk->faults[DISK_POWER], nth, MR_EIO);
        made_a = create_topic(f, client, "a");
        if (made_a == KAFKA_NONE) {
            gone_a = delete_topic(f, client, "a");
            made_b = create_topic(f, client, "b");
        }
        is_cut = fault_fired(&f->disk->faults[DISK_POWER]);
        mr_stream_close(client, true);
        queue_fixture_power_loss(f);
        CHECK_OK(queue_fixture_open(f), &f->error);
        image = meta_image(f->queue->meta);
        if (made_a == KAFKA_NONE && gone_a == KAFKA_NONE) {
            CHECK(image_find_text(image, "a") == NULL);
        } else if (made_a == KAFKA_NONE && is_cut && gone_a != KAFKA_UNKNOWN_SERVER_ERROR) {
            CHECK(image_find_text(image, "a") != NULL || gone_a != KAFKA_NONE);
        }
        if (made_b == KAFKA_NONE) {
            CHECK(image_find_text(image, "b") != NULL);
        }
        queue_fixture_free(f);
        if (!is_cut) {
            break;
        }
    }
}

/* Thousands of changes leave a small metadata log, and the restart finds the state of the last. */
TEST(queue, bounds_the_metadata_log_by_snapshots)
{
    struct queue_fixture *f = queue_fixture_new(8);
    struct mr_stream *client;
    const struct image *image;
    struct mr_uuid id;
    char name[200];

    CHECK_OK(queue_fixture_open(f), &f->error);
    client = queue_fixture_connect(f);
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof name, "%0150d", i % 5);
        CHECK_EQ(create_topic(f, client, name), KAFKA_NONE);
        if (i < 2995) {
            CHECK_EQ(delete_topic(f, client, name), KAFKA_NONE);
        }
    }
    id = image_find_text(meta_image(f->queue->meta), name)->id;
    mr_stream_close(client, false);
    queue_fixture_close(f);
    CHECK_OK(queue_fixture_open(f), &f->error);
    image = meta_image(f->queue->meta);
    CHECK_EQ(image->topic_count, 5 + 1); /* and __consumer_offsets */
    CHECK(mr_uuid_equal(&image_find_text(image, name)->id, &id));
    queue_fixture_free(f);
}

/* Lost metadata costs no record: the directories know their topics. */
TEST(queue, takes_partitions_back_when_the_metadata_is_lost)
{
    struct queue_fixture *f = queue_fixture_new(9);
    struct fetch_response_partition answer;
    struct mr_stream *client;
    struct mr_uuid id;
    int64_t base;

    CHECK_OK(queue_fixture_open(f), &f->error);
    client = queue_fixture_connect(f);
    CHECK_EQ(create_topic(f, client, "web"), KAFKA_NONE);
    CHECK_EQ(produce(f, client, "web", 4, &base), KAFKA_NONE);
    id = image_find_text(meta_image(f->queue->meta), "web")->id;
    mr_stream_close(client, false);
    queue_fixture_close(f);
    CHECK_OK(mr_disk_remove_tree(&f->disk->base, fault_disk_path(f->disk, "__cluster_metadata-0"),
                                 &f->error),
             &f->error);
    CHECK_OK(queue_fixture_open(f), &f->error);
    CHECK(mr_uuid_equal(&image_find_text(meta_image(f->queue->meta), "web")->id, &id));
    client = queue_fixture_connect(f);
    fetch(f, client, "web", 0, 0, &answer);
    CHECK_EQ(answer.error_code, KAFKA_NONE);
    CHECK_EQ(answer.high_watermark, 4);
    mr_stream_close(client, false);
    queue_fixture_free(f);
}

/* Each allocation of one produce and one metadata request fails in turn: the broker goes on. */
TEST(queue, survives_each_failed_allocation_of_a_request)
{
    for (int nth = 1; nth < 400; nth++) {
        struct queue_fixture *f = queue_fixture_new(10);
        struct fault heap = {0};
        struct mr_stream *client;
        struct mr_buf *batch;
        struct produce_request_partition partition = {.index = 0};
        struct produce_request_topic topic = {.name = wire_text("web"),
                                              .partition_data = {&partition, 1}};
        struct produce_request request;
        struct wire_writer writer;
        int64_t base;
        bool fired;

        queue_fixture_topic(f, "web", false);
        CHECK_OK(queue_fixture_open(f), &f->error);
        client = queue_fixture_connect(f);
        batch = queue_fixture_batch(f, 2, 30);
        partition.records.data = batch->data;
        partition.records.size = (int32_t)batch->size_bytes;
        produce_request_init(&request);
        request.acks = 1;
        request.topic_data.items = &topic;
        request.topic_data.count = 1;
        wire_writer_init(&writer);
        CHECK_EQ(wire_request_write(&writer, wire_api_find(WIRE_API_PRODUCE), 9, 5, wire_text("c"),
                                    &request),
                 0);
        fault_set(&heap, nth, MR_ENOMEM);
        fault_heap(&heap);
        queue_fixture_send(f, client, writer.bytes.data, writer.bytes.size_bytes);
        queue_fixture_turn(f);
        fault_heap_off();
        fired = fault_fired(&heap);
        mr_stream_close(client, true);
        queue_fixture_turn(f);
        client = queue_fixture_connect(f);
        CHECK_EQ(produce(f, client, "web", 1, &base), KAFKA_NONE);
        mr_stream_close(client, false);
        wire_writer_done(&writer);
        mr_buf_unref(batch);
        queue_fixture_free(f);
        if (!fired) {
            return;
        }
    }
    CHECK(false);
}
