/* JoinGroup: who may come in, and what it starts. */
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/group/group_internal.h"
#include "queue/group/offsets.h"

static void answer(struct group_join *join, const struct group_join_result *result)
{
    join->member = NULL;
    join->cb(join, result);
}

static void refuse(struct group_join *join, int16_t error, struct wire_string member_id)
{
    struct group_join_result result = group_join_refusal(error, member_id);

    answer(join, &result);
}

/* ---- what is asked ---- */

static bool has_nul(struct wire_string text)
{
    return text.size > 0 && memchr(text.data, 0, (size_t)text.size) != NULL;
}

static int16_t check(const struct groups *groups, const struct group_join *join)
{
    if (join->group.size <= 0 || !group_id_fits(join->group)) {
        return KAFKA_INVALID_GROUP_ID;
    }
    if (join->session_ms < groups->config.session_ms_min ||
        join->session_ms > groups->config.session_ms_max) {
        return KAFKA_INVALID_SESSION_TIMEOUT;
    }
    if (has_nul(join->instance_id) || has_nul(join->member_id) ||
        join->protocol_count > GROUP_PROTOCOLS_MAX) {
        return KAFKA_INVALID_REQUEST;
    }
    for (int32_t i = 0; i < join->protocol_count; i++) {
        if (has_nul(join->protocols[i].name)) {
            return KAFKA_INVALID_REQUEST;
        }
    }
    return join->protocol_count <= 0 || join->protocol_type.size <= 0 ||
                   has_nul(join->protocol_type)
               ? KAFKA_INCONSISTENT_GROUP_PROTOCOL
               : KAFKA_NONE;
}

static bool fits(const struct group *group, const struct group_join *join)
{
    if (group->member_count == 0) {
        return true;
    }
    return group->protocol_type != NULL &&
           wire_string_is(join->protocol_type, group->protocol_type) &&
           group_can_any(group, join->protocols, join->protocol_count);
}

/* Members that are known, or were promised a place, are not turned away. */
static bool is_full(const struct group *group, const struct group_join *join)
{
    int64_t count = (int64_t)group->member_count + group->pending_count;
    bool has_place = member_find(group, join->member_id) != NULL ||
                     pending_find(group, join->member_id) != NULL ||
                     member_find_instance(group, join->instance_id) != NULL;

    return !has_place && count >= group->groups->config.members_max;
}

/* ---- a member waits for the next generation ---- */

static int update(struct group_member *member, const struct group_join *join)
{
    int rc = member_set_choices(member, join->protocols, join->protocol_count);

    if (rc == 0) {
        rc = member_set_text(&member->client_id,
                             join->client_id.size < 0 ? wire_text("") : join->client_id);
    }
    if (rc == 0) {
        rc = member_set_text(&member->client_host, join->client_host);
    }
    if (rc == 0) {
        rc = member_set_text(&member->group->protocol_type, join->protocol_type);
    }
    member->session_ms = join->session_ms;
    member->rebalance_ms = join->rebalance_ms < 0 ? join->session_ms : join->rebalance_ms;
    return rc;
}

static void wait(struct group_member *member, struct group_join *join)
{
    struct group *group = member->group;

    if (member->join != NULL) {
        /* The same member on two connections: nobody waits at the first any more, most likely. */
        member_refuse_join(member, KAFKA_REBALANCE_IN_PROGRESS);
    }
    if (member->is_syncing) {
        member_answer_sync(member, KAFKA_REBALANCE_IN_PROGRESS);
    }
    member->join = join;
    join->member = member;
    if (!member->is_joining) {
        member->is_joining = true;
        group->joining_count += 1;
    }
    member_alive(member);
    group_rebalance(group);
}

/* What it can do has changed, or it asks for a new generation. */
static void rejoin(struct group_member *member, struct group_join *join)
{
    if (update(member, join) != 0) {
        refuse(join, KAFKA_COORDINATOR_NOT_AVAILABLE, join->member_id);
        return;
    }
    wait(member, join);
}

static void add(struct group *group, struct group_join *join, struct wire_string member_id)
{
    struct group_member *member = member_add(group, member_id, join->instance_id);

    if (member == NULL || update(member, join) != 0) {
        if (member != NULL) {
            member_remove(member);
        }
        refuse(join, KAFKA_COORDINATOR_NOT_AVAILABLE, wire_text(""));
        group_maybe_forget(group);
        return;
    }
    if (group->leader == NULL) {
        group->leader = member;
    }
    member->is_new = true;
    member->knows_id = join->member_id.size > 0;
    mr_debug("member joins a group", KV_STR("group", group->id), KV_STR("member", member->id),
             KV_STR("client", member->client_id), KV_STR("host", member->client_host));
    wait(member, join);
}

/* ---- new members ---- */

static void on_pending_timer(struct mr_timer *timer)
{
    struct group_pending *pending = timer->owner;
    struct group *group = pending->group;

    pending_free(pending);
    if (group->state == GROUP_PREPARING_REBALANCE) {
        group_maybe_complete(group);
    } else {
        group_maybe_forget(group);
    }
}

static struct group_pending *promise(struct group *group, struct wire_string id, int32_t session_ms)
{
    struct group_pending *pending = mr_calloc(1, sizeof *pending);

    if (pending == NULL) {
        return NULL;
    }
    pending->group = group;
    pending->id = mr_strndup(id.data, (size_t)id.size);
    mr_timer_init(&pending->timer, group->groups->config.loop, on_pending_timer, pending);
    mr_list_append(&group->pending, &pending->link);
    group->pending_count += 1;
    if (pending->id == NULL || mr_timer_start(&pending->timer, session_ms) != 0) {
        pending_free(pending);
        return NULL;
    }
    return pending;
}

/* The client's name and a UUID, as in Kafka; people look for it in logs. */
static char *make_member_id(struct groups *groups, struct wire_string name)
{
    char uuid[GROUP_UUID_SIZE];
    size_t size = name.size > 0 ? strnlen(name.data, (size_t)name.size) : 0;
    char *id = mr_malloc(size + 1 + sizeof uuid);

    if (id == NULL) {
        return NULL;
    }
    group_uuid(groups, uuid);
    if (size > 0) {
        memcpy(id, name.data, size);
    }
    (void)snprintf(id + size, 1 + sizeof uuid, "-%s", uuid);
    return id;
}

static void join_dynamic(struct group *group, struct group_join *join)
{
    char *id = make_member_id(group->groups, join->client_id);

    if (id == NULL) {
        refuse(join, KAFKA_COORDINATOR_NOT_AVAILABLE, wire_text(""));
    } else if (!join->needs_member_id) {
        add(group, join, wire_text(id));
    } else if (promise(group, wire_text(id), join->session_ms) == NULL) {
        refuse(join, KAFKA_COORDINATOR_NOT_AVAILABLE, wire_text(""));
    } else {
        refuse(join, KAFKA_MEMBER_ID_REQUIRED, wire_text(id));
    }
    mr_free(id);
}

/* A static member is back as another process: with the same wishes in a stable group it gets its
 * old part, and nobody else notices (KIP-345). The record is written, so that a restart does not
 * bring back the old id. */
static void replace(struct group_member *member, struct group_join *join, struct wire_string id)
{
    struct group *group = member->group;
    char *old_id = mr_strdup(member->id);
    const char *protocol;
    struct group_join_result result;

    if (old_id == NULL) {
        refuse(join, KAFKA_COORDINATOR_NOT_AVAILABLE, wire_text(""));
        return;
    }
    if (member->is_joining && member->join != NULL) {
        member_refuse_join(member, KAFKA_FENCED_INSTANCE_ID);
    }
    if (member->is_syncing) {
        member_answer_sync(member, KAFKA_FENCED_INSTANCE_ID);
    }
    if (member_rename(member, id) != 0 || update(member, join) != 0) {
        refuse(join, KAFKA_COORDINATOR_NOT_AVAILABLE, wire_text(""));
        mr_free(old_id);
        return;
    }
    member->knows_id = true;
    mr_info("static member of a group is another process now", KV_STR("group", group->id),
            KV_STR("instance", member->instance_id), KV_STR("member", member->id),
            KV_STR("host", member->client_host));
    protocol = group_choose(group);
    if (group->state != GROUP_STABLE || protocol == NULL ||
        strcmp(protocol, group->protocol) != 0) {
        mr_free(old_id);
        wait(member, join);
        return;
    }
    member_alive(member);
    (void)group_store(group, false);
    result = group_join_answer(member);
    if (group->leader == member && !join->knows_skip_assignment) {
        /* It would make a new assignment if it knew that it leads; nobody needs one. */
        result.leader = wire_text(old_id);
        result.members_of = NULL;
    }
    result.skips_assignment = result.members_of != NULL;
    answer(join, &result);
    mr_free(old_id);
}

static void join_static(struct group *group, struct group_join *join)
{
    struct group_member *member = member_find_instance(group, join->instance_id);
    char *id = make_member_id(group->groups, join->instance_id);

    if (id == NULL) {
        refuse(join, KAFKA_COORDINATOR_NOT_AVAILABLE, wire_text(""));
    } else if (member != NULL) {
        replace(member, join, wire_text(id));
    } else {
        add(group, join, wire_text(id));
    }
    mr_free(id);
}

/* ---- members that are known ---- */

static void join_known(struct group_member *member, struct group_join *join)
{
    struct group *group = member->group;
    bool is_same = member_has_choices(member, join->protocols, join->protocol_count);
    struct group_join_result result;

    if (group->state == GROUP_PREPARING_REBALANCE || !is_same ||
        (group->state == GROUP_STABLE && group->leader == member)) {
        rejoin(member, join);
        return;
    }
    /* The answer was lost, perhaps: it is the same again. */
    member_alive(member);
    result = group_join_answer(member);
    if (group->state == GROUP_STABLE) {
        result.members_of = NULL;
    }
    answer(join, &result);
}

static void join_with_id(struct group *group, struct group_join *join)
{
    struct group_member *member = member_find(group, join->member_id);
    struct group_pending *pending = pending_find(group, join->member_id);

    if (join->instance_id.size >= 0) {
        struct group_member *instance = member_find_instance(group, join->instance_id);
        if (instance == NULL) {
            refuse(join, KAFKA_UNKNOWN_MEMBER_ID, join->member_id);
        } else if (instance != member) {
            refuse(join, KAFKA_FENCED_INSTANCE_ID, join->member_id);
        } else {
            join_known(member, join);
        }
        return;
    }
    if (pending != NULL) {
        pending_free(pending);
        add(group, join, join->member_id);
    } else if (member != NULL) {
        join_known(member, join);
    } else {
        refuse(join, KAFKA_UNKNOWN_MEMBER_ID, join->member_id);
    }
}

void groups_join(struct groups *groups, struct group_join *join)
{
    int16_t error = check(groups, join);
    struct group *group = error == KAFKA_NONE ? group_get(groups, join->group) : NULL;

    if (group == NULL && error == KAFKA_NONE) {
        if (join->member_id.size > 0) {
            error = KAFKA_UNKNOWN_MEMBER_ID;
        } else {
            group = group_need(groups, join->group);
            error = group == NULL ? KAFKA_COORDINATOR_NOT_AVAILABLE : KAFKA_NONE;
        }
    }
    if (error == KAFKA_NONE && is_full(group, join)) {
        error = KAFKA_GROUP_MAX_SIZE_REACHED;
    }
    if (error == KAFKA_NONE && !fits(group, join)) {
        error = KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    }
    if (error != KAFKA_NONE) {
        refuse(join, error, join->member_id);
    } else if (join->member_id.size > 0) {
        join_with_id(group, join);
    } else if (join->instance_id.size >= 0) {
        join_static(group, join);
    } else {
        join_dynamic(group, join);
    }
}

void groups_join_cancel(struct groups *groups, struct group_join *join)
{
    struct group_member *member = join->member;

    (void)groups;
    if (member == NULL) {
        return;
    }
    join->member = NULL;
    member->join = NULL;
    if (member->is_new && !member->knows_id && member->instance_id == NULL) {
        group_take_out(member, KAFKA_UNKNOWN_MEMBER_ID);
    }
}
