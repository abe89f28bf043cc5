/* What is known of groups, for kafka-consumer-groups: list, describe, and remove. */
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "base/core/error.h"
#include "queue/broker/broker_internal.h"
#include "queue/group/groups.h"
#include "queue/group/offsets.h"
#include "queue/wire/groups.h"
#include "queue/wire/offsets.h"

/* ---- ListGroups ---- */

static bool passes(const struct wire_string_array *filter, const char *word)
{
    for (int32_t i = 0; i < filter->count; i++) {
        struct wire_string each = filter->items[i];
        if ((size_t)each.size == strlen(word) &&
            strncasecmp(each.data, word, (size_t)each.size) == 0) {
            return true;
        }
    }
    return filter->count <= 0;
}

struct listing {
    const struct request *request;
    bool sees_all; /* who may describe the cluster does; else what one may describe oneself */
    struct list_groups_response_group_array *groups;
};

static void list_one(const struct listing *listing, struct wire_string id,
                     const struct group *group)
{
    const struct list_groups_request *body = listing->request->body;
    struct list_groups_response_group_array *groups = listing->groups;
    const char *state = group_state_name(group != NULL ? group_state(group) : GROUP_EMPTY);
    struct list_groups_response_group *out;

    if (!passes(&body->states_filter, state) || !passes(&body->types_filter, "classic") ||
        (!listing->sees_all &&
         !request_sees(listing->request, OPERATION_DESCRIBE, RESOURCE_GROUP, id))) {
        return;
    }
    out = &groups->items[groups->count++];
    out->group_id = id;
    out->protocol_type = group != NULL ? group_protocol_type(group) : wire_text("");
    out->group_state = wire_text(state);
    out->group_type = wire_text("classic");
}

static void on_stored_group(void *owner, struct wire_string id, size_t offset_count)
{
    const struct listing *listing = owner;

    (void)offset_count;
    list_one(listing, id, groups_find(listing->request->broker->groups, id));
}

/* Those that have not come so far that anything is stored. */
static void on_group(void *owner, const struct group *group)
{
    const struct listing *listing = owner;

    if (!group_offsets_has_group(listing->request->broker->offsets, group_id(group))) {
        list_one(listing, group_id(group), group);
    }
}

void api_list_groups(struct request *request)
{
    const struct broker *broker = request->broker;
    struct list_groups_response response;
    struct listing listing = {
        request, request_sees(request, OPERATION_DESCRIBE, RESOURCE_CLUSTER, wire_text(NULL)),
        &response.groups};
    size_t count = group_offsets_group_count(broker->offsets) + groups_count(broker->groups);

    list_groups_response_init(&response);
    if (list_groups_response_group_array_make(&request->arena, &response.groups, (int32_t)count) !=
        0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    response.groups.count = 0;
    group_offsets_each_group(broker->offsets, on_stored_group, &listing);
    groups_each(broker->groups, on_group, &listing);
    request_respond(request, &response);
}

/* ---- DescribeGroups ---- */

struct description {
    const struct group *group;
    struct describe_groups_response_member_array *members;
};

static void on_member(void *owner, const struct group_member_view *member)
{
    const struct description *description = owner;
    struct describe_groups_response_member *out =
        &description->members->items[description->members->count++];

    out->member_id = member->member_id;
    out->group_instance_id = member->instance_id;
    out->client_id = member->client_id;
    out->client_host = member->client_host;
    if (group_state(description->group) == GROUP_STABLE) {
        out->member_metadata = member->metadata;
        out->member_assignment = member->assignment;
    }
}

static int describe_members(struct request *request, const struct group *group,
                            struct describe_groups_response_group *out)
{
    struct description description = {group, &out->members};
    int rc = describe_groups_response_member_array_make(&request->arena, &out->members,
                                                        (int32_t)group_member_count(group));

    if (rc == 0) {
        out->group_state = wire_text(group_state_name(group_state(group)));
        out->protocol_type = group_protocol_type(group);
        out->protocol_data = group_protocol(group);
        out->members.count = 0;
        group_each_member(group, on_member, &description);
    }
    return rc;
}

static int describe(struct request *request, struct wire_string id,
                    struct describe_groups_response_group *out)
{
    const struct broker *broker = request->broker;
    const struct describe_groups_request *body = request->body;
    const struct group *group = groups_find(broker->groups, id);
    int rc = 0;

    out->group_id = id;
    if (!request_may(request, OPERATION_DESCRIBE, RESOURCE_GROUP, id)) {
        out->error_code = KAFKA_GROUP_AUTHORIZATION_FAILED;
    } else if (group != NULL) {
        rc = describe_members(request, group, out);
    } else if (group_offsets_has_group(broker->offsets, id)) {
        out->group_state = wire_text("Empty");
    } else {
        out->group_state = wire_text("Dead");
        if (request->head.api_version >= 6) {
            out->error_code = KAFKA_GROUP_ID_NOT_FOUND;
            out->error_message = wire_text("no offsets and no members of this group are known");
        }
    }
    if (body->include_authorized_operations && out->error_code == KAFKA_NONE) {
        out->authorized_operations = request_operations(request, RESOURCE_GROUP, id);
    }
    request_count_error(request, out->error_code);
    return rc;
}

void api_describe_groups(struct request *request)
{
    const struct describe_groups_request *body = request->body;
    struct describe_groups_response response;
    int rc;

    describe_groups_response_init(&response);
    rc = describe_groups_response_group_array_make(&request->arena, &response.groups,
                                                   body->groups.count);
    for (int32_t i = 0; rc == 0 && i < body->groups.count; i++) {
        rc = describe(request, body->groups.items[i], &response.groups.items[i]);
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_respond(request, &response);
}

/* ---- removing ---- */

/* Commits of tombstones; the answer is sent when all are in the log. */
struct removal {
    struct request *request;
    int32_t pending;
    void (*finish)(struct removal *removal);
    struct offsets_item *items; /* of the group being collected */
    size_t item_count;
    union {
        struct delete_groups_response groups;
        struct offset_delete_response offsets;
    } answer;
};

struct removal_commit {
    struct offsets_commit inner;
    struct removal *removal;
    int16_t *ret_error;
};

static void removal_step(struct removal *removal)
{
    removal->pending -= 1;
    if (removal->pending == 0) {
        removal->finish(removal);
    }
}

static void on_removed(struct offsets_commit *inner)
{
    struct removal_commit *commit = mr_container(inner, struct removal_commit, inner);

    *commit->ret_error = kafka_error_of(inner->rc);
    removal_step(commit->removal);
}

/* forget: the group itself, too. */
static int16_t removal_submit(struct removal *removal, struct wire_string group, bool forget,
                              int16_t *ret_error)
{
    struct removal_commit *commit = request_alloc(removal->request, sizeof *commit);
    int rc;

    if (commit == NULL) {
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    commit->removal = removal;
    commit->ret_error = ret_error;
    commit->inner = (struct offsets_commit){
        .group = group,
        .items = removal->items,
        .item_count = removal->item_count,
        .has_group_value = forget,
        .group_value = {NULL, -1},
        .cb = on_removed,
    };
    rc = group_offsets_commit(removal->request->broker->offsets, &commit->inner);
    if (rc == 0) {
        removal->pending += 1;
    }
    return kafka_error_of(rc);
}

static void on_offset(void *owner, struct wire_string topic, int32_t partition,
                      const struct group_offset *offset)
{
    struct removal *removal = owner;

    (void)offset;
    removal->items[removal->item_count++] = (struct offsets_item){
        .topic = wire_arena_string(&removal->request->arena, topic.data, (size_t)topic.size),
        .partition = partition,
        .offset = -1,
    };
}

static void finish_groups(struct removal *removal)
{
    const struct delete_groups_response *response = &removal->answer.groups;

    for (int32_t i = 0; i < response->results.count; i++) {
        request_count_error(removal->request, response->results.items[i].error_code);
    }
    request_respond(removal->request, response);
}

static int16_t remove_group(struct removal *removal, struct wire_string group, int16_t *ret_error)
{
    const struct group_offsets *offsets = removal->request->broker->offsets;
    size_t count = group_offsets_count(offsets, group);
    bool is_stored = group_offsets_group_value(offsets, group).size >= 0;
    int16_t error;

    if (!request_may(removal->request, OPERATION_DELETE, RESOURCE_GROUP, group)) {
        return KAFKA_GROUP_AUTHORIZATION_FAILED;
    }
    error = groups_delete(removal->request->broker->groups, group);
    if (count == 0 && !is_stored) {
        return error;
    }
    if (error == KAFKA_NON_EMPTY_GROUP) {
        return error;
    }
    removal->item_count = 0;
    removal->items = request_alloc(removal->request, (count + 1) * sizeof *removal->items);
    if (removal->items == NULL) {
        return KAFKA_COORDINATOR_NOT_AVAILABLE;
    }
    group_offsets_each(offsets, group, on_offset, removal);
    return removal_submit(removal, group, is_stored, ret_error);
}

void api_delete_groups(struct request *request)
{
    const struct delete_groups_request *body = request->body;
    struct removal *removal = request_alloc(request, sizeof *removal);
    struct delete_groups_response *response;
    const uint8_t *marks = NULL;

    if (removal == NULL) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    response = &removal->answer.groups;
    removal->request = request;
    removal->pending = 1;
    removal->finish = finish_groups;
    delete_groups_response_init(response);
    if (delete_groups_response_result_array_make(&request->arena, &response->results,
                                                 body->groups_names.count) != 0 ||
        names_mark(request, body->groups_names.items, 0, sizeof *body->groups_names.items,
                   body->groups_names.count, &marks) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    response->results.count = 0;
    for (int32_t i = 0; i < body->groups_names.count; i++) {
        struct delete_groups_response_result *out;
        if (marks[i] == NAME_AGAIN) {
            continue;
        }
        out = &response->results.items[response->results.count++];
        out->group_id = body->groups_names.items[i];
        out->error_code = remove_group(removal, out->group_id, &out->error_code);
    }
    removal_step(removal);
}

/* ---- OffsetDelete ---- */

static void finish_offsets(struct removal *removal)
{
    request_respond(removal->request, &removal->answer.offsets);
}

static int list_offsets_to_delete(struct removal *removal)
{
    struct request *request = removal->request;
    const struct offset_delete_request *body = request->body;
    struct offset_delete_response *response = &removal->answer.offsets;
    size_t count = 1;
    int rc;

    for (int32_t i = 0; i < body->topics.count; i++) {
        count += (size_t)body->topics.items[i].partitions.count;
    }
    removal->items = request_alloc(request, count * sizeof *removal->items);
    rc = removal->items == NULL ? MR_ENOMEM
                                : offset_delete_response_topic_array_make(
                                      &request->arena, &response->topics, body->topics.count);
    for (int32_t i = 0; rc == 0 && i < body->topics.count; i++) {
        const struct offset_delete_request_topic *in = &body->topics.items[i];
        struct offset_delete_response_topic *out = &response->topics.items[i];
        const struct image_topic *topic =
            image_find(meta_image(request->broker->meta), in->name.data,
                       in->name.size > 0 ? (size_t)in->name.size : 0);
        bool is_allowed = request_may(request, OPERATION_READ, RESOURCE_TOPIC, in->name);
        int16_t in_use = is_allowed ? groups_check_offset_delete(request->broker->groups,
                                                                 body->group_id, in->name)
                                    : KAFKA_NONE;
        out->name = in->name;
        rc = offset_delete_response_partition_array_make(&request->arena, &out->partitions,
                                                         in->partitions.count);
        for (int32_t j = 0; rc == 0 && j < in->partitions.count; j++) {
            int32_t index = in->partitions.items[j].partition_index;
            out->partitions.items[j].partition_index = index;
            if (in_use != KAFKA_NONE) {
                out->partitions.items[j].error_code = in_use;
            } else if (!is_allowed) {
                out->partitions.items[j].error_code = KAFKA_TOPIC_AUTHORIZATION_FAILED;
            } else if (topic == NULL || index < 0 || index >= topic->partition_count) {
                out->partitions.items[j].error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
            } else if (group_offsets_get(request->broker->offsets, body->group_id, in->name,
                                         index) != NULL) {
                removal->items[removal->item_count++] =
                    (struct offsets_item){.topic = in->name, .partition = index, .offset = -1};
            }
        }
    }
    return rc;
}

void api_offset_delete(struct request *request)
{
    const struct offset_delete_request *body = request->body;
    struct removal *removal = request_alloc(request, sizeof *removal);
    struct offset_delete_response *response;

    if (removal == NULL) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    response = &removal->answer.offsets;
    removal->request = request;
    removal->pending = 1;
    removal->finish = finish_offsets;
    offset_delete_response_init(response);
    if (!request_may(request, OPERATION_DELETE, RESOURCE_GROUP, body->group_id)) {
        response->error_code = KAFKA_GROUP_AUTHORIZATION_FAILED;
        request_count_error(request, response->error_code);
    } else if (body->group_id.size <= 0 ||
               !group_offsets_has_group(request->broker->offsets, body->group_id)) {
        response->error_code =
            body->group_id.size > 0 ? KAFKA_GROUP_ID_NOT_FOUND : KAFKA_INVALID_GROUP_ID;
        request_count_error(request, response->error_code);
    } else if (groups_check_offset_delete(request->broker->groups, body->group_id, wire_text("")) ==
               KAFKA_NON_EMPTY_GROUP) {
        response->error_code = KAFKA_NON_EMPTY_GROUP;
        request_count_error(request, response->error_code);
    } else if (list_offsets_to_delete(removal) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    } else if (removal->item_count > 0) {
        response->error_code =
            removal_submit(removal, body->group_id, false, &response->error_code);
    }
    removal_step(removal);
}
