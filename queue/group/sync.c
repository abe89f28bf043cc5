/* What members of a generation ask for: their part of the work, to be counted as alive, to leave,
 * to commit. */
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/group/group_internal.h"

/* ---- who speaks ---- */

/* The member, or NULL and Kafka's error. */
static struct group_member *identify(const struct group *group, const struct group_caller *caller,
                                     int16_t *ret_error)
{
    struct group_member *member = group != NULL ? member_find(group, caller->member_id) : NULL;

    *ret_error = KAFKA_NONE;
    if (group != NULL && caller->instance_id.size >= 0) {
        struct group_member *instance = member_find_instance(group, caller->instance_id);
        if (instance != NULL && instance != member) {
            *ret_error = KAFKA_FENCED_INSTANCE_ID;
            return NULL;
        }
        member = instance;
    }
    if (member == NULL) {
        *ret_error = KAFKA_UNKNOWN_MEMBER_ID;
    }
    return member;
}

static struct group_member *identify_now(const struct group *group,
                                         const struct group_caller *caller, int16_t *ret_error)
{
    struct group_member *member = identify(group, caller, ret_error);

    if (member != NULL && caller->generation != group->generation) {
        *ret_error = KAFKA_ILLEGAL_GENERATION;
        return NULL;
    }
    return member;
}

/* ---- SyncGroup ---- */

static void refuse(struct group_sync *sync, int16_t error)
{
    struct group_sync_result result = {
        .error = error, .protocol_type = {NULL, -1}, .protocol = {NULL, -1}};

    sync->member = NULL;
    sync->cb(sync, &result);
}

/* Who is named twice gets the last; who is not named gets nothing. */
static int take_assignments(struct group *group, const struct group_sync *sync)
{
    int rc = 0;

    mr_list_each(&group->members, link, next)
    {
        (void)member_set_assignment(mr_container(link, struct group_member, link),
                                    (struct wire_bytes){NULL, 0});
    }
    for (int32_t i = 0; rc == 0 && i < sync->assignment_count; i++) {
        struct group_member *member = member_find(group, sync->assignments[i].member_id);
        if (member != NULL) {
            rc = member_set_assignment(member, sync->assignments[i].assignment);
        }
    }
    return rc;
}

void group_stored(struct group *group, int rc)
{
    if (group->state != GROUP_COMPLETING_REBALANCE) {
        return;
    }
    if (rc != 0) {
        mr_warn("the parts of a group could not be stored: its members are asked again",
                KV_STR("group", group->id), KV_I64("generation", group->generation), KV_ERR(rc));
        group_rebalance(group);
        return;
    }
    group_set_state(group, GROUP_STABLE);
    mr_list_each(&group->members, link, next)
    {
        struct group_member *member = mr_container(link, struct group_member, link);
        if (member->is_syncing) {
            member_answer_sync(member, KAFKA_NONE);
            member_alive(member);
        }
    }
}

static bool all_have_synced(const struct group *group)
{
    mr_list_each(&group->members, link, next)
    {
        if (mr_container(link, struct group_member, link)->is_unsynced) {
            return false;
        }
    }
    return true;
}

static void wait(struct group_member *member, struct group_sync *sync)
{
    struct group *group = member->group;
    int rc;

    if (member->is_syncing) {
        member_answer_sync(member, KAFKA_REBALANCE_IN_PROGRESS);
    }
    member->is_syncing = true;
    member->is_unsynced = false;
    member->sync = sync;
    sync->member = member;
    if (all_have_synced(group)) {
        mr_timer_stop(&group->sync_timer);
    }
    if (member != group->leader) {
        return;
    }
    rc = take_assignments(group, sync);
    if (rc == 0) {
        rc = group_store(group, true);
    }
    if (rc != 0) {
        group_stored(group, rc);
    }
}

void groups_sync(struct groups *groups, struct group_sync *sync)
{
    struct group *group = group_get(groups, sync->caller.group);
    int16_t error;
    struct group_member *member = identify_now(group, &sync->caller, &error);

    if (member != NULL &&
        ((sync->protocol_type.size >= 0 &&
          !wire_string_equal(sync->protocol_type, wire_text(group->protocol_type))) ||
         (sync->protocol.size >= 0 &&
          !wire_string_equal(sync->protocol, wire_text(group->protocol))))) {
        error = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    }
    if (error == KAFKA_NONE && group->state == GROUP_PREPARING_REBALANCE) {
        error = KAFKA_REBALANCE_IN_PROGRESS;
    }
    if (error != KAFKA_NONE) {
        refuse(sync, error);
    } else if (group->state == GROUP_COMPLETING_REBALANCE) {
        wait(member, sync);
    } else {
        member->is_unsynced = false;
        if (all_have_synced(group)) {
            mr_timer_stop(&group->sync_timer);
        }
        member_alive(member);
        member->sync = sync;
        sync->member = member;
        member_answer_sync(member, KAFKA_NONE);
    }
}

void groups_sync_cancel(struct groups *groups, struct group_sync *sync)
{
    (void)groups;
    if (sync->member != NULL) {
        sync->member->sync = NULL;
        sync->member = NULL;
    }
}

/* ---- Heartbeat, LeaveGroup ---- */

int16_t groups_heartbeat(struct groups *groups, const struct group_caller *caller)
{
    int16_t error;
    const struct group *group = group_get(groups, caller->group);
    struct group_member *member = identify_now(group, caller, &error);

    if (member == NULL) {
        return error;
    }
    member_alive(member);
    return group->state == GROUP_PREPARING_REBALANCE ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

int16_t groups_leave(struct groups *groups, const struct group_caller *caller)
{
    struct group *group = group_get(groups, caller->group);
    struct group_pending *pending = group != NULL ? pending_find(group, caller->member_id) : NULL;
    struct group_member *member;
    int16_t error;

    if (pending != NULL && caller->instance_id.size < 0) {
        pending_free(pending);
        group_maybe_complete(group);
        return KAFKA_NONE;
    }
    if (group != NULL && caller->instance_id.size >= 0 && caller->member_id.size <= 0) {
        member = member_find_instance(group, caller->instance_id);
        error = member == NULL ? KAFKA_UNKNOWN_MEMBER_ID : KAFKA_NONE;
    } else {
        member = identify(group, caller, &error);
    }
    if (member == NULL) {
        return error;
    }
    mr_debug("member leaves a group", KV_STR("group", group->id), KV_STR("member", member->id));
    group_take_out(member, KAFKA_UNKNOWN_MEMBER_ID);
    return KAFKA_NONE;
}

/* ---- offsets ---- */

int16_t groups_check_commit(struct groups *groups, const struct group_caller *caller)
{
    const struct group *group = group_get(groups, caller->group);
    bool is_empty = group == NULL || group->state == GROUP_EMPTY;
    bool is_member =
        caller->generation >= 0 || caller->member_id.size > 0 || caller->instance_id.size >= 0;
    struct group_member *member;
    int16_t error;

    if (caller->generation < 0 && is_empty) {
        return KAFKA_NONE;
    }
    if (group == NULL) {
        return KAFKA_GROUP_ID_NOT_FOUND;
    }
    if (!is_member) {
        return is_empty ? KAFKA_NONE : KAFKA_UNKNOWN_MEMBER_ID;
    }
    member = identify_now(group, caller, &error);
    if (member == NULL) {
        return error;
    }
    member_alive(member);
    return group->state == GROUP_COMPLETING_REBALANCE ? KAFKA_REBALANCE_IN_PROGRESS : KAFKA_NONE;
}

int16_t groups_check_offset_delete(const struct groups *groups, struct wire_string id,
                                   struct wire_string topic)
{
    const struct group *group = group_get(groups, id);

    if (group == NULL || group->state == GROUP_EMPTY) {
        return KAFKA_NONE;
    }
    if (group->protocol_type == NULL || strcmp(group->protocol_type, "consumer") != 0) {
        return KAFKA_NON_EMPTY_GROUP;
    }
    return group_subscribes(group, topic) ? KAFKA_GROUP_SUBSCRIBED_TO_TOPIC : KAFKA_NONE;
}
