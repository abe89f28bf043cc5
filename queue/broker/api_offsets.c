/* The coordinator's door: who coordinates, and the committed offsets of groups. */
#include <limits.h>
#include <string.h>

#include "base/core/error.h"
#include "queue/broker/broker_internal.h"
#include "queue/group/groups.h"
#include "queue/group/offsets.h"
#include "queue/wire/offsets.h"

/* ---- FindCoordinator ---- */

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1 };

static const char *check_key(int8_t key_type, struct wire_string key, int16_t *ret_error)
{
    /* The empty name is a group, too: clients without one commit under it (KIP-289). */
    if (key_type == KEY_GROUP && key.size >= 0) {
        *ret_error = KAFKA_NONE;
        return NULL;
    }
    /* The one code of these that every client takes as final, and does not ask again. */
    *ret_error = key_type == KEY_GROUP         ? KAFKA_INVALID_GROUP_ID
                 : key_type == KEY_TRANSACTION ? KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
                                               : KAFKA_INVALID_REQUEST;
    return key_type == KEY_GROUP         ? "the group id is null"
           : key_type == KEY_TRANSACTION ? "transactions are not supported yet"
                                         : "this kind of coordinator is not supported";
}

static int16_t check_coordinated(const struct request *request, int8_t key_type,
                                 struct wire_string key)
{
    if (key_type == KEY_TRANSACTION) {
        return request_may(request, OPERATION_DESCRIBE, RESOURCE_TRANSACTIONAL_ID, key)
                   ? KAFKA_NONE
                   : KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
    }
    return request_may(request, OPERATION_DESCRIBE, RESOURCE_GROUP, key)
               ? KAFKA_NONE
               : KAFKA_GROUP_AUTHORIZATION_FAILED;
}

static void find_one(struct request *request, struct wire_string key,
                     struct find_coordinator_response_coordinator *out)
{
    const struct find_coordinator_request *body = request->body;

    find_coordinator_response_coordinator_init(out);
    out->key = key;
    out->error_code = check_coordinated(request, body->key_type, key);
    out->error_message = wire_text(NULL);
    if (out->error_code == KAFKA_NONE) {
        out->error_message = wire_text(check_key(body->key_type, key, &out->error_code));
    }
    if (out->error_code == KAFKA_NONE) {
        out->node_id = request->broker->node_id;
        request_advertised(request, &out->host, &out->port);
    } else {
        out->node_id = -1;
        out->port = -1;
    }
    request_count_error(request, out->error_code);
}

void api_find_coordinator(struct request *request)
{
    const struct find_coordinator_request *body = request->body;
    struct find_coordinator_response_coordinator one;
    struct find_coordinator_response response;

    find_coordinator_response_init(&response);
    if (request->head.api_version < 4) {
        find_one(request, body->key, &one);
        response.error_code = one.error_code;
        response.error_message = one.error_message;
        response.node_id = one.node_id;
        response.host = one.host;
        response.port = one.port;
        request_respond(request, &response);
        return;
    }
    if (find_coordinator_response_coordinator_array_make(&request->arena, &response.coordinators,
                                                         body->coordinator_keys.count) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    for (int32_t i = 0; i < body->coordinator_keys.count; i++) {
        find_one(request, body->coordinator_keys.items[i], &response.coordinators.items[i]);
    }
    request_respond(request, &response);
}

/* ---- OffsetCommit ---- */

struct commit {
    struct request *request;
    struct offset_commit_response response;
    struct offsets_commit inner;
    struct offsets_item *items;
    struct offset_commit_response_partition **outs; /* of the items */
};

static int16_t group_error(int rc)
{
    switch (rc) {
    case MR_EAGAIN:
        return KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    case MR_ETOOLARGE:
        return KAFKA_INVALID_COMMIT_OFFSET_SIZE;
    case MR_ENOENT:
    case MR_ECANCELED:
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    default:
        return kafka_error_of(rc);
    }
}

static void commit_finish(struct commit *commit, int16_t error)
{
    for (size_t i = 0; i < commit->inner.item_count; i++) {
        commit->outs[i]->error_code = error;
    }
    request_count_error(commit->request, error);
    request_respond(commit->request, &commit->response);
}

static void on_committed(struct offsets_commit *inner)
{
    commit_finish(inner->owner, group_error(inner->rc));
}

/* A group that has only offsets knows no members, and one that is not there no generation. */
static int16_t check_member(const struct request *request, const struct offset_commit_request *body)
{
    struct group_caller caller = {body->group_id, body->member_id, body->group_instance_id,
                                  body->generation_id_or_member_epoch};
    int16_t error;

    if (!group_id_fits(body->group_id)) {
        return KAFKA_INVALID_GROUP_ID;
    }
    error = groups_check_commit(request->broker->groups, &caller);
    if (error != KAFKA_GROUP_ID_NOT_FOUND) {
        return error;
    }
    if (group_offsets_has_group(request->broker->offsets, body->group_id)) {
        return KAFKA_UNKNOWN_MEMBER_ID;
    }
    return request->head.api_version >= 9 ? error : KAFKA_ILLEGAL_GENERATION;
}

static void take_partition(struct commit *commit, const struct image_topic *topic,
                           const struct offset_commit_request_partition *in,
                           struct offset_commit_response_partition *out)
{
    if (out->error_code != KAFKA_NONE) {
        return;
    }
    if (in->partition_index < 0 || in->partition_index >= topic->partition_count) {
        out->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    } else if (in->committed_metadata.size > OFFSET_METADATA_SIZE_MAX) {
        out->error_code = KAFKA_OFFSET_METADATA_TOO_LARGE;
    } else if (in->committed_offset < 0) {
        out->error_code = KAFKA_INVALID_COMMIT_OFFSET_SIZE;
    } else {
        commit->items[commit->inner.item_count] = (struct offsets_item){
            .topic = wire_text(topic->name),
            .partition = in->partition_index,
            .offset = in->committed_offset,
            .leader_epoch = in->committed_leader_epoch,
            .metadata = in->committed_metadata,
        };
        commit->outs[commit->inner.item_count++] = out;
    }
}

static int take_topic(struct commit *commit, const struct offset_commit_request_topic *in,
                      struct offset_commit_response_topic *out, int16_t member_error)
{
    struct request *request = commit->request;
    int16_t error;
    const struct image_topic *topic = request_topic(
        request, in->name, request->head.api_version >= 10 ? &in->topic_id : NULL, &error);
    int rc = offset_commit_response_partition_array_make(&request->arena, &out->partitions,
                                                         in->partitions.count);

    out->name = in->name;
    out->topic_id = in->topic_id;
    for (int32_t i = 0; rc == 0 && i < in->partitions.count; i++) {
        struct offset_commit_response_partition *answer = &out->partitions.items[i];
        answer->partition_index = in->partitions.items[i].partition_index;
        answer->error_code = member_error != KAFKA_NONE ? member_error : error;
        take_partition(commit, topic, &in->partitions.items[i], answer);
        request_count_error(request, answer->error_code);
    }
    return rc;
}

static struct commit *commit_new(struct request *request)
{
    const struct offset_commit_request *body = request->body;
    struct commit *commit = request_alloc(request, sizeof *commit);
    size_t count = 1;

    if (commit == NULL) {
        return NULL;
    }
    for (int32_t i = 0; i < body->topics.count; i++) {
        count += (size_t)body->topics.items[i].partitions.count;
    }
    commit->request = request;
    offset_commit_response_init(&commit->response);
    commit->items = request_alloc(request, count * sizeof *commit->items);
    commit->outs = request_alloc(request, count * sizeof *commit->outs);
    if (commit->items == NULL || commit->outs == NULL ||
        offset_commit_response_topic_array_make(&request->arena, &commit->response.topics,
                                                body->topics.count) != 0) {
        return NULL;
    }
    return commit;
}

void api_offset_commit(struct request *request)
{
    const struct offset_commit_request *body = request->body;
    struct commit *commit = commit_new(request);
    int16_t error = request_may(request, OPERATION_READ, RESOURCE_GROUP, body->group_id)
                        ? check_member(request, body)
                        : KAFKA_GROUP_AUTHORIZATION_FAILED;
    int rc = commit == NULL ? MR_ENOMEM : 0;

    for (int32_t i = 0; rc == 0 && i < body->topics.count; i++) {
        rc = take_topic(commit, &body->topics.items[i], &commit->response.topics.items[i], error);
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    if (commit->inner.item_count == 0) {
        request_respond(request, &commit->response);
        return;
    }
    commit->inner.group = body->group_id;
    commit->inner.items = commit->items;
    commit->inner.cb = on_committed;
    commit->inner.owner = commit;
    rc = group_offsets_commit(request->broker->offsets, &commit->inner);
    if (rc != 0) {
        commit_finish(commit, group_error(rc));
    }
}

/* ---- OffsetFetch: versions 8 and later ask for several groups, the older ones for one ---- */

static void fill_offset(const struct request *request, struct wire_string group,
                        struct wire_string topic, int32_t partition,
                        struct offset_fetch_response_group_topic_partition *out)
{
    const struct group_offset *offset =
        group_offsets_get(request->broker->offsets, group, topic, partition);

    out->partition_index = partition;
    out->committed_offset = offset != NULL ? offset->offset : -1;
    out->committed_leader_epoch = offset != NULL ? offset->leader_epoch : -1;
    out->metadata = offset != NULL
                        ? (struct wire_string){offset->metadata, offset->metadata_size_bytes}
                        : wire_text("");
}

struct collect {
    struct request *request;
    struct offset_fetch_response_group_topic_array *topics;
};

static struct offset_fetch_response_group_topic *collect_topic(struct collect *collect,
                                                               struct wire_string name)
{
    struct offset_fetch_response_group_topic_array *topics = collect->topics;
    const struct image_topic *topic;

    for (int32_t i = 0; i < topics->count; i++) {
        if (wire_string_equal(topics->items[i].name, name)) {
            return &topics->items[i];
        }
    }
    offset_fetch_response_group_topic_init(&topics->items[topics->count]);
    topics->items[topics->count].name = name;
    topic = image_find(meta_image(collect->request->broker->meta), name.data, (size_t)name.size);
    if (topic != NULL) {
        topics->items[topics->count].topic_id = topic->id;
    }
    return &topics->items[topics->count++];
}

/* Counts partitions per topic first, fills in a second walk. */
static void on_offset_count(void *owner, struct wire_string topic, int32_t partition,
                            const struct group_offset *offset)
{
    struct collect *collect = owner;

    (void)partition;
    (void)offset;
    if (!request_sees(collect->request, OPERATION_DESCRIBE, RESOURCE_TOPIC, topic)) {
        return;
    }
    collect_topic(collect, topic)->partitions.count += 1;
}

static void on_offset_fill(void *owner, struct wire_string topic, int32_t partition,
                           const struct group_offset *offset)
{
    struct collect *collect = owner;
    struct offset_fetch_response_group_topic_partition *out;
    struct offset_fetch_response_group_topic_partition_array *list;

    if (!request_sees(collect->request, OPERATION_DESCRIBE, RESOURCE_TOPIC, topic)) {
        return;
    }
    list = &collect_topic(collect, topic)->partitions;
    out = &list->items[list->count++];
    out->partition_index = partition;
    out->committed_offset = offset->offset;
    out->committed_leader_epoch = offset->leader_epoch;
    out->metadata = (struct wire_string){offset->metadata, offset->metadata_size_bytes};
}

static int fetch_all(struct request *request, struct wire_string group,
                     struct offset_fetch_response_group *out)
{
    struct group_offsets *offsets = request->broker->offsets;
    struct collect collect = {.request = request, .topics = &out->topics};
    int rc = offset_fetch_response_group_topic_array_make(
        &request->arena, &out->topics, (int32_t)group_offsets_count(offsets, group));

    if (rc != 0) {
        return rc;
    }
    out->topics.count = 0;
    group_offsets_each(offsets, group, on_offset_count, &collect);
    for (int32_t i = 0; rc == 0 && i < out->topics.count; i++) {
        struct offset_fetch_response_group_topic_partition_array *list =
            &out->topics.items[i].partitions;
        rc = offset_fetch_response_group_topic_partition_array_make(&request->arena, list,
                                                                    list->count);
        list->count = 0;
    }
    if (rc == 0) {
        group_offsets_each(offsets, group, on_offset_fill, &collect);
    }
    return rc;
}

static int fetch_named(struct request *request, struct wire_string group,
                       const struct offset_fetch_request_group_topic_array *topics,
                       struct offset_fetch_response_group *out)
{
    int rc =
        offset_fetch_response_group_topic_array_make(&request->arena, &out->topics, topics->count);

    for (int32_t i = 0; rc == 0 && i < topics->count; i++) {
        const struct offset_fetch_request_group_topic *in = &topics->items[i];
        struct offset_fetch_response_group_topic *answer = &out->topics.items[i];
        struct wire_string name = in->name;
        int16_t error = KAFKA_NONE;
        if (request->head.api_version >= 10) {
            const struct image_topic *topic = request_topic(request, name, &in->topic_id, &error);
            name = topic != NULL ? wire_text(topic->name) : wire_text("");
        } else if (!request_may(request, OPERATION_DESCRIBE, RESOURCE_TOPIC, name)) {
            error = KAFKA_TOPIC_AUTHORIZATION_FAILED;
        }
        answer->name = name;
        answer->topic_id = in->topic_id;
        rc = offset_fetch_response_group_topic_partition_array_make(
            &request->arena, &answer->partitions, in->partition_indexes.count);
        for (int32_t j = 0; rc == 0 && j < in->partition_indexes.count; j++) {
            fill_offset(request, group, error == KAFKA_NONE ? name : wire_text(""),
                        in->partition_indexes.items[j], &answer->partitions.items[j]);
            answer->partitions.items[j].error_code = error;
        }
    }
    return rc;
}

static int fetch_group(struct request *request, const struct offset_fetch_request_group *in,
                       struct offset_fetch_response_group *out)
{
    out->group_id = in->group_id;
    if (in->group_id.size < 0 ||
        !request_may(request, OPERATION_DESCRIBE, RESOURCE_GROUP, in->group_id)) {
        out->error_code =
            in->group_id.size < 0 ? KAFKA_INVALID_GROUP_ID : KAFKA_GROUP_AUTHORIZATION_FAILED;
        return 0;
    }
    return in->topics.count < 0 ? fetch_all(request, in->group_id, out)
                                : fetch_named(request, in->group_id, &in->topics, out);
}

/* The old form in terms of the new one. */
static int old_to_group(struct request *request, struct offset_fetch_request_group *group)
{
    const struct offset_fetch_request *body = request->body;
    int rc;

    offset_fetch_request_group_init(group);
    group->group_id = body->group_id;
    if (body->topics.count < 0) {
        group->topics.count = -1;
        return 0;
    }
    rc = offset_fetch_request_group_topic_array_make(&request->arena, &group->topics,
                                                     body->topics.count);
    for (int32_t i = 0; rc == 0 && i < body->topics.count; i++) {
        group->topics.items[i].name = body->topics.items[i].name;
        group->topics.items[i].partition_indexes = body->topics.items[i].partition_indexes;
    }
    return rc;
}

static int group_to_old(struct request *request, const struct offset_fetch_response_group *group,
                        struct offset_fetch_response *response)
{
    int rc = offset_fetch_response_topic_array_make(&request->arena, &response->topics,
                                                    group->topics.count);

    response->error_code = group->error_code;
    for (int32_t i = 0; rc == 0 && i < group->topics.count; i++) {
        const struct offset_fetch_response_group_topic *in = &group->topics.items[i];
        struct offset_fetch_response_topic *out = &response->topics.items[i];
        out->name = in->name;
        rc = offset_fetch_response_partition_array_make(&request->arena, &out->partitions,
                                                        in->partitions.count);
        for (int32_t j = 0; rc == 0 && j < in->partitions.count; j++) {
            const struct offset_fetch_response_group_topic_partition *from =
                &in->partitions.items[j];
            out->partitions.items[j] = (struct offset_fetch_response_partition){
                .partition_index = from->partition_index,
                .committed_offset = from->committed_offset,
                .committed_leader_epoch = from->committed_leader_epoch,
                .metadata = from->metadata,
                .error_code = from->error_code,
            };
        }
    }
    return rc;
}

/* Versions 0 and 1 have no word for the whole: each partition says it. */
static int refuse_each(struct request *request, const struct offset_fetch_request_group *in,
                       struct offset_fetch_response_group *out)
{
    int rc = offset_fetch_response_group_topic_array_make(
        &request->arena, &out->topics, in->topics.count < 0 ? 0 : in->topics.count);

    for (int32_t i = 0; rc == 0 && i < out->topics.count; i++) {
        const struct wire_int32_array *indexes = &in->topics.items[i].partition_indexes;
        struct offset_fetch_response_group_topic *answer = &out->topics.items[i];
        answer->name = in->topics.items[i].name;
        rc = offset_fetch_response_group_topic_partition_array_make(
            &request->arena, &answer->partitions, indexes->count);
        for (int32_t j = 0; rc == 0 && j < indexes->count; j++) {
            fill_offset(request, in->group_id, wire_text(""), indexes->items[j],
                        &answer->partitions.items[j]);
            answer->partitions.items[j].error_code = out->error_code;
        }
    }
    return rc;
}

static int offset_fetch_old(struct request *request, struct offset_fetch_response *response)
{
    struct offset_fetch_request_group in;
    struct offset_fetch_response_group out;
    int rc = old_to_group(request, &in);

    offset_fetch_response_group_init(&out);
    if (rc == 0) {
        rc = fetch_group(request, &in, &out);
    }
    if (rc == 0 && out.error_code != KAFKA_NONE && request->head.api_version < 2) {
        rc = refuse_each(request, &in, &out);
    }
    return rc == 0 ? group_to_old(request, &out, response) : rc;
}

void api_offset_fetch(struct request *request)
{
    const struct offset_fetch_request *body = request->body;
    struct offset_fetch_response response;
    int rc;

    offset_fetch_response_init(&response);
    if (request->head.api_version < 8) {
        rc = offset_fetch_old(request, &response);
    } else {
        rc = offset_fetch_response_group_array_make(&request->arena, &response.groups,
                                                    body->groups.count);
        for (int32_t i = 0; rc == 0 && i < body->groups.count; i++) {
            rc = fetch_group(request, &body->groups.items[i], &response.groups.items[i]);
        }
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_respond(request, &response);
}
