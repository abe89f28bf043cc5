/* Members of consumer groups: JoinGroup, SyncGroup, Heartbeat, LeaveGroup. The protocol's side;
 * what happens is decided in queue/group. */
#include "base/core/error.h"
#include "queue/broker/broker_internal.h"
#include "queue/group/groups.h"
#include "queue/wire/groups.h"

static bool may(const struct request *request, struct wire_string group)
{
    return request_may(request, OPERATION_READ, RESOURCE_GROUP, group);
}

/* ---- JoinGroup ---- */

struct join {
    struct group_join inner;
    struct request *request;
};

static void on_member(void *owner, const struct group_member_view *member)
{
    struct join_group_response_member_array *out = owner;

    out->items[out->count++] = (struct join_group_response_member){
        .member_id = member->member_id,
        .group_instance_id = member->instance_id,
        .metadata = member->metadata,
    };
}

static void on_joined(struct group_join *inner, const struct group_join_result *result)
{
    struct join *join = mr_container(inner, struct join, inner);
    struct request *request = join->request;
    struct join_group_response response;

    join_group_response_init(&response);
    response.error_code = result->error;
    response.generation_id = result->generation;
    response.protocol_type = result->protocol_type;
    response.protocol_name = result->protocol;
    if (response.protocol_name.size < 0 && request->head.api_version < 7) {
        response.protocol_name = wire_text("");
    }
    response.leader = result->leader;
    response.skip_assignment = result->skips_assignment;
    response.member_id = result->member_id.size < 0 ? wire_text("") : result->member_id;
    if (result->members_of != NULL) {
        if (join_group_response_member_array_make(
                &request->arena, &response.members,
                (int32_t)group_member_count(result->members_of)) != 0) {
            request_fail(request, MR_ENOMEM);
            return;
        }
        response.members.count = 0;
        group_each_member(result->members_of, on_member, &response.members);
    }
    request_count_error(request, result->error);
    request_respond(request, &response);
}

static void join_cancel(struct request *request)
{
    struct join *join = request->handler;

    groups_join_cancel(request->broker->groups, &join->inner);
    request_end(request);
}

static int take_protocols(struct request *request, struct join *join)
{
    const struct join_group_request *body = request->body;
    struct group_protocol *protocols =
        request_alloc(request, ((size_t)body->protocols.count + 1) * sizeof *protocols);

    if (protocols == NULL) {
        return MR_ENOMEM;
    }
    for (int32_t i = 0; i < body->protocols.count; i++) {
        protocols[i].name = body->protocols.items[i].name;
        protocols[i].metadata = body->protocols.items[i].metadata;
    }
    join->inner.protocols = protocols;
    join->inner.protocol_count = body->protocols.count;
    return 0;
}

void api_join_group(struct request *request)
{
    const struct join_group_request *body = request->body;
    struct join *join = request_alloc(request, sizeof *join);

    if (join == NULL || take_protocols(request, join) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    join->request = request;
    join->inner.group = body->group_id;
    join->inner.member_id = body->member_id;
    join->inner.instance_id = body->group_instance_id;
    join->inner.client_id = request->head.client_id;
    join->inner.client_host = wire_text(request->connection->host);
    join->inner.protocol_type = body->protocol_type;
    join->inner.session_ms = body->session_timeout_ms;
    join->inner.rebalance_ms = body->rebalance_timeout_ms;
    join->inner.needs_member_id = request->head.api_version >= 4;
    join->inner.knows_skip_assignment = request->head.api_version >= 9;
    join->inner.cb = on_joined;
    if (!may(request, body->group_id)) {
        struct group_join_result refused =
            group_join_refusal(KAFKA_GROUP_AUTHORIZATION_FAILED, body->member_id);
        on_joined(&join->inner, &refused);
        return;
    }
    request->handler = join;
    request->cancel = join_cancel;
    groups_join(request->broker->groups, &join->inner);
}

/* ---- SyncGroup ---- */

struct sync {
    struct group_sync inner;
    struct request *request;
};

static void on_synced(struct group_sync *inner, const struct group_sync_result *result)
{
    struct sync *sync = mr_container(inner, struct sync, inner);
    struct request *request = sync->request;
    struct sync_group_response response;

    sync_group_response_init(&response);
    response.error_code = result->error;
    response.protocol_type = result->protocol_type;
    response.protocol_name = result->protocol;
    response.assignment = result->assignment;
    request_count_error(request, result->error);
    request_respond(request, &response);
}

static void sync_cancel(struct request *request)
{
    struct sync *sync = request->handler;

    groups_sync_cancel(request->broker->groups, &sync->inner);
    request_end(request);
}

static int take_assignments(struct request *request, struct sync *sync)
{
    const struct sync_group_request *body = request->body;
    struct group_assignment *assignments =
        request_alloc(request, ((size_t)body->assignments.count + 1) * sizeof *assignments);

    if (assignments == NULL) {
        return MR_ENOMEM;
    }
    for (int32_t i = 0; i < body->assignments.count; i++) {
        assignments[i].member_id = body->assignments.items[i].member_id;
        assignments[i].assignment = body->assignments.items[i].assignment;
    }
    sync->inner.assignments = assignments;
    sync->inner.assignment_count = body->assignments.count;
    return 0;
}

static int16_t check_sync(const struct request *request)
{
    const struct sync_group_request *body = request->body;

    if (!may(request, body->group_id)) {
        return KAFKA_GROUP_AUTHORIZATION_FAILED;
    }
    if (body->group_id.size <= 0) {
        return KAFKA_INVALID_GROUP_ID;
    }
    /* From version 5 on both are to be said (KIP-559). */
    return request->head.api_version >= 5 &&
                   (body->protocol_type.size < 0 || body->protocol_name.size < 0)
               ? KAFKA_INCONSISTENT_GROUP_PROTOCOL
               : KAFKA_NONE;
}

void api_sync_group(struct request *request)
{
    const struct sync_group_request *body = request->body;
    struct sync *sync = request_alloc(request, sizeof *sync);
    struct group_sync_result refused = {
        .error = check_sync(request), .protocol_type = {NULL, -1}, .protocol = {NULL, -1}};

    if (sync == NULL || take_assignments(request, sync) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    sync->request = request;
    sync->inner.caller = (struct group_caller){body->group_id, body->member_id,
                                               body->group_instance_id, body->generation_id};
    sync->inner.protocol_type = body->protocol_type;
    sync->inner.protocol = body->protocol_name;
    sync->inner.cb = on_synced;
    if (refused.error != KAFKA_NONE) {
        on_synced(&sync->inner, &refused);
        return;
    }
    request->handler = sync;
    request->cancel = sync_cancel;
    groups_sync(request->broker->groups, &sync->inner);
}

/* ---- Heartbeat ---- */

void api_heartbeat(struct request *request)
{
    const struct heartbeat_request *body = request->body;
    struct group_caller caller = {body->group_id, body->member_id, body->group_instance_id,
                                  body->generation_id};
    struct heartbeat_response response;

    heartbeat_response_init(&response);
    if (!may(request, body->group_id)) {
        response.error_code = KAFKA_GROUP_AUTHORIZATION_FAILED;
    } else if (body->group_id.size <= 0) {
        response.error_code = KAFKA_INVALID_GROUP_ID;
    } else {
        response.error_code = groups_heartbeat(request->broker->groups, &caller);
    }
    request_count_error(request, response.error_code);
    request_respond(request, &response);
}

/* ---- LeaveGroup ---- */

static int16_t leave(struct request *request, struct wire_string member_id,
                     struct wire_string instance_id)
{
    const struct leave_group_request *body = request->body;
    struct group_caller caller = {body->group_id, member_id, instance_id, -1};
    int16_t error = groups_leave(request->broker->groups, &caller);

    request_count_error(request, error);
    return error;
}

void api_leave_group(struct request *request)
{
    const struct leave_group_request *body = request->body;
    struct leave_group_response response;

    leave_group_response_init(&response);
    if (!may(request, body->group_id)) {
        response.error_code = KAFKA_GROUP_AUTHORIZATION_FAILED;
        request_count_error(request, response.error_code);
    } else if (body->group_id.size <= 0) {
        response.error_code = KAFKA_INVALID_GROUP_ID;
        request_count_error(request, response.error_code);
    } else if (request->head.api_version < 3) {
        response.error_code = leave(request, body->member_id, wire_text(NULL));
    } else if (leave_group_response_member_array_make(&request->arena, &response.members,
                                                      body->members.count) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    } else {
        for (int32_t i = 0; i < body->members.count; i++) {
            const struct leave_group_request_member *in = &body->members.items[i];
            response.members.items[i].member_id = in->member_id;
            response.members.items[i].group_instance_id = in->group_instance_id;
            response.members.items[i].error_code =
                leave(request, in->member_id, in->group_instance_id);
        }
    }
    request_respond(request, &response);
}
