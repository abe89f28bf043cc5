/* What the cluster and its disks look like, for the administrator's tools. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/disk.h"
#include "base/core/error.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/cluster.h"
#include "queue/wire/configs.h"
#include "queue/wire/topics.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

void api_describe_cluster(struct request *request)
{
    const struct describe_cluster_request *body = request->body;
    const struct broker *broker = request->broker;
    struct describe_cluster_response_broker node = {.broker_id = broker->node_id};
    struct describe_cluster_response response;

    describe_cluster_response_init(&response);
    response.endpoint_type = ENDPOINT_BROKERS;
    if (request->head.api_version >= 1 && body->endpoint_type != ENDPOINT_BROKERS) {
        response.error_code = body->endpoint_type == ENDPOINT_CONTROLLERS
                                  ? KAFKA_MISMATCHED_ENDPOINT_TYPE
                                  : KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
        response.error_message = wire_text("controllers have no endpoints of their own");
        request_count_error(request, response.error_code);
        request_respond(request, &response);
        return;
    }
    response.cluster_id = wire_text(meta_cluster_id(broker->meta));
    request_advertised(request, &node.host, &node.port);
    node.rack = wire_text(broker->rack);
    response.controller_id = broker->node_id;
    response.brokers.items = &node;
    response.brokers.count = 1;
    if (body->include_cluster_authorized_operations) {
        response.cluster_authorized_operations =
            request_operations(request, RESOURCE_CLUSTER, wire_text("kafka-cluster"));
    }
    request_respond(request, &response);
}

/* ---- DescribeLogDirs ---- */

static bool wants_partition(const struct describe_log_dirs_request *body, const char *topic,
                            int32_t index)
{
    for (int32_t i = 0; i < body->topics.count; i++) {
        const struct describe_log_dirs_request_topic *in = &body->topics.items[i];
        for (int32_t j = 0; wire_string_is(in->topic, topic) && j < in->partitions.count; j++) {
            if (in->partitions.items[j] == index) {
                return true;
            }
        }
    }
    return body->topics.count < 0;
}

static int fill_log_topic(struct request *request, const struct image_topic *topic,
                          struct describe_log_dirs_response_topic *out)
{
    int32_t count = 0;
    int rc = describe_log_dirs_response_partition_array_make(&request->arena, &out->partitions,
                                                             topic->partition_count);

    out->name = wire_text(topic->name);
    for (int32_t i = 0; rc == 0 && i < topic->partition_count; i++) {
        const struct partition *partition = replicas_partition(topic, i);
        if (partition != NULL && partition->log != NULL &&
            wants_partition(request->body, topic->name, i)) {
            out->partitions.items[count].partition_index = i;
            out->partitions.items[count++].partition_size = log_size_bytes(partition->log);
        }
    }
    out->partitions.count = count;
    return rc;
}

static int fill_log_dir(struct request *request, struct describe_log_dirs_response_result *out)
{
    struct broker *broker = request->broker;
    const struct image *image = meta_image(broker->meta);
    int64_t free_bytes;
    int32_t count = 0;
    int rc = describe_log_dirs_response_topic_array_make(&request->arena, &out->topics,
                                                         (int32_t)image->topic_count);

    out->log_dir = wire_text(replicas_directory(broker->replicas));
    if (broker->disk->ops->free_space(broker->disk, replicas_directory(broker->replicas),
                                      &free_bytes) == 0) {
        out->usable_bytes = free_bytes;
    }
    for (size_t i = 0; rc == 0 && i < image->topic_count; i++) {
        rc = fill_log_topic(request, image->topics[i], &out->topics.items[count]);
        count += rc == 0 && out->topics.items[count].partitions.count > 0 ? 1 : 0;
    }
    out->topics.count = count;
    return rc;
}

void api_describe_log_dirs(struct request *request)
{
    struct describe_log_dirs_response response;
    int rc;

    describe_log_dirs_response_init(&response);
    if (!request_may_cluster(request)) {
        response.error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
        request_count_error(request, response.error_code);
        request_respond(request, &response);
        return;
    }
    rc = describe_log_dirs_response_result_array_make(&request->arena, &response.results, 1);
    if (rc == 0) {
        rc = fill_log_dir(request, &response.results.items[0]);
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_respond(request, &response);
}

/* ---- DescribeTopicPartitions: pages of at most response_partition_limit partitions ---- */

enum { PAGE_PARTITIONS_MAX = 2000 };

static int fill_page_topic(struct request *request, const struct image_topic *topic, int32_t first,
                           int32_t last, struct describe_topic_partitions_response_topic *out)
{
    int rc = describe_topic_partitions_response_partition_array_make(
        &request->arena, &out->partitions, last - first);

    out->name = wire_text(topic->name);
    out->topic_id = topic->id;
    out->is_internal = strcmp(topic->name, "__consumer_offsets") == 0;
    out->topic_authorized_operations = request_operations(request, RESOURCE_TOPIC, out->name);
    for (int32_t i = first; rc == 0 && i < last; i++) {
        struct describe_topic_partitions_response_partition *partition =
            &out->partitions.items[i - first];
        const struct partition *found = replicas_partition(topic, i);
        bool is_online = found != NULL && found->log_rc == 0;
        partition->partition_index = i;
        partition->leader_id = is_online ? request->broker->node_id : -1;
        partition->leader_epoch = found != NULL ? found->leader_epoch : -1;
        partition->error_code = is_online ? KAFKA_NONE : KAFKA_LEADER_NOT_AVAILABLE;
        partition->replica_nodes.items = &request->broker->node_id;
        partition->replica_nodes.count = 1;
        *(is_online ? &partition->isr_nodes : &partition->offline_replicas) =
            partition->replica_nodes;
        /* May be null by the schema; Java's client does not survive that (KIP-966). */
        partition->eligible_leader_replicas.count = 0;
        partition->last_known_elr.count = 0;
    }
    return rc;
}

struct page {
    struct request *request;
    struct describe_topic_partitions_response response;
    int32_t left; /* partitions that still fit */
};

static int page_end(struct page *page, struct wire_string topic, int32_t partition)
{
    struct describe_topic_partitions_response_next_cursor *cursor =
        request_alloc(page->request, sizeof *cursor);

    if (cursor == NULL) {
        return MR_ENOMEM;
    }
    cursor->topic_name = topic;
    cursor->partition_index = partition;
    page->response.next_cursor = cursor;
    return 0;
}

/* 0, or MR_EFULL: the page is. */
static int page_add(struct page *page, const struct image_topic *topic)
{
    const struct describe_topic_partitions_request *body = page->request->body;
    int32_t first = 0;
    int32_t last;
    int rc;

    if (body->cursor != NULL && wire_string_is(body->cursor->topic_name, topic->name)) {
        first = body->cursor->partition_index > 0 ? body->cursor->partition_index : 0;
    }
    first = first < topic->partition_count ? first : topic->partition_count;
    if (page->left == 0) {
        rc = page_end(page, wire_text(topic->name), first);
        return rc == 0 ? MR_EFULL : rc;
    }
    last =
        topic->partition_count - first > page->left ? first + page->left : topic->partition_count;
    rc = fill_page_topic(page->request, topic, first, last,
                         &page->response.topics.items[page->response.topics.count]);
    if (rc != 0) {
        return rc;
    }
    page->response.topics.count += 1;
    page->left -= last - first;
    if (last < topic->partition_count) {
        rc = page_end(page, wire_text(topic->name), last);
        return rc == 0 ? MR_EFULL : rc;
    }
    return 0;
}

static bool is_before_cursor(const struct describe_topic_partitions_request *body,
                             struct wire_string name)
{
    struct wire_string cursor;
    size_t common;
    int order;

    if (body->cursor == NULL) {
        return false;
    }
    cursor = body->cursor->topic_name;
    common = (size_t)(name.size < cursor.size ? name.size : cursor.size);
    order = memcmp(name.data, cursor.data, common);
    return order < 0 || (order == 0 && name.size < cursor.size);
}

static int page_all(struct page *page)
{
    const struct describe_topic_partitions_request *body = page->request->body;
    const struct image *image = meta_image(page->request->broker->meta);
    int rc = describe_topic_partitions_response_topic_array_make(
        &page->request->arena, &page->response.topics, (int32_t)image->topic_count);

    page->response.topics.count = 0;
    for (size_t i = 0; rc == 0 && i < image->topic_count; i++) {
        struct wire_string name = wire_text(image->topics[i]->name);
        if (!is_before_cursor(body, name) &&
            request_sees(page->request, OPERATION_DESCRIBE, RESOURCE_TOPIC, name)) {
            rc = page_add(page, image->topics[i]);
        }
    }
    return rc;
}

static int compare_names(const void *left, const void *right)
{
    const struct describe_topic_partitions_request_topic *a = left;
    const struct describe_topic_partitions_request_topic *b = right;
    size_t common = (size_t)(a->name.size < b->name.size ? a->name.size : b->name.size);
    int order = memcmp(a->name.data, b->name.data, common);

    return order != 0 ? order : (a->name.size > b->name.size) - (a->name.size < b->name.size);
}

/* A topic that is not there takes no room, but waits for the next page when this one is full. */
static int page_add_missing(struct page *page, struct wire_string name, int16_t error)
{
    struct describe_topic_partitions_response_topic *out;

    if (page->left == 0) {
        int rc = page_end(page, name, 0);
        return rc == 0 ? MR_EFULL : rc;
    }
    out = &page->response.topics.items[page->response.topics.count++];
    out->name = name;
    out->error_code = error;
    out->topic_authorized_operations =
        error == KAFKA_TOPIC_AUTHORIZATION_FAILED
            ? INT32_MIN
            : request_operations(page->request, RESOURCE_TOPIC, name);
    request_count_error(page->request, error);
    return 0;
}

/* In the order of names, as the cursor demands, and each once. */
static int page_named(struct page *page)
{
    struct request *request = page->request;
    struct describe_topic_partitions_request *body = request->body;
    int rc = describe_topic_partitions_response_topic_array_make(
        &request->arena, &page->response.topics, body->topics.count);

    page->response.topics.count = 0;
    qsort(body->topics.items, (size_t)body->topics.count, sizeof *body->topics.items,
          compare_names);
    for (int32_t i = 0; rc == 0 && i < body->topics.count; i++) {
        struct wire_string name = body->topics.items[i].name;
        int16_t error;
        const struct image_topic *topic;
        if (is_before_cursor(body, name) ||
            (i > 0 && wire_string_equal(name, body->topics.items[i - 1].name))) {
            continue;
        }
        topic = request_topic(request, name, NULL, &error);
        rc = topic != NULL ? page_add(page, topic) : page_add_missing(page, name, error);
    }
    return rc;
}

/* A cursor must be one that an answer to the same topics could have given. */
static bool is_cursor_wrong(const struct describe_topic_partitions_request *body)
{
    if (body->cursor == NULL) {
        return false;
    }
    if (body->cursor->partition_index < 0) {
        return true;
    }
    for (int32_t i = 0; i < body->topics.count; i++) {
        if (wire_string_equal(body->topics.items[i].name, body->cursor->topic_name)) {
            return false;
        }
    }
    return body->topics.count > 0;
}

static int page_refuse(struct page *page, int16_t error)
{
    const struct describe_topic_partitions_request *body = page->request->body;
    int rc = describe_topic_partitions_response_topic_array_make(
        &page->request->arena, &page->response.topics, body->topics.count);

    for (int32_t i = 0; rc == 0 && i < body->topics.count; i++) {
        page->response.topics.items[i].name = body->topics.items[i].name;
        page->response.topics.items[i].error_code = error;
        request_count_error(page->request, error);
    }
    return rc;
}

void api_describe_topic_partitions(struct request *request)
{
    const struct describe_topic_partitions_request *body = request->body;
    struct page page = {.request = request, .left = body->response_partition_limit};
    int rc;

    page.left = page.left < 1                     ? 1
                : page.left > PAGE_PARTITIONS_MAX ? PAGE_PARTITIONS_MAX
                                                  : page.left;
    describe_topic_partitions_response_init(&page.response);
    if (is_cursor_wrong(body)) {
        rc = page_refuse(&page, KAFKA_INVALID_REQUEST);
    } else {
        rc = body->topics.count == 0 ? page_all(&page) : page_named(&page);
    }
    if (rc != 0 && rc != MR_EFULL) {
        request_fail(request, rc);
        return;
    }
    request_respond(request, &page.response);
}

/* kafka-topics --describe asks; with one node nothing is ever on the move. */
void api_list_partition_reassignments(struct request *request)
{
    struct list_partition_reassignments_response response;

    list_partition_reassignments_response_init(&response);
    response.error_message = wire_text(NULL);
    if (!request_may_cluster(request)) {
        response.error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
        request_count_error(request, response.error_code);
    }
    request_respond(request, &response);
}
