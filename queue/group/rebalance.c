/* How a group comes from one generation to the next: waiting for its members, choosing what all can
 * do, taking out who is silent. */
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "queue/group/group_internal.h"
#include "queue/group/offsets.h"

/* ---- answers ---- */

void member_answer_join(struct group_member *member, const struct group_join_result *result)
{
    struct group_join *join = member->join;

    member->group->joining_count -= member->is_joining;
    member->is_joining = false;
    member->join = NULL;
    if (join != NULL) {
        join->member = NULL;
        join->cb(join, result);
    }
}

struct group_join_result group_join_refusal(int16_t error, struct wire_string member_id)
{
    return (struct group_join_result){
        .error = error,
        .generation = -1,
        .protocol_type = {NULL, -1},
        .protocol = {NULL, -1},
        .leader = wire_text(""),
        .member_id = member_id,
    };
}

void member_refuse_join(struct group_member *member, int16_t error)
{
    struct group_join_result result = group_join_refusal(error, wire_text(member->id));

    member_answer_join(member, &result);
}

struct group_join_result group_join_answer(const struct group_member *member)
{
    const struct group *group = member->group;

    return (struct group_join_result){
        .generation = group->generation,
        .protocol_type = wire_text(group->protocol_type),
        .protocol = wire_text(group->protocol),
        .leader = wire_text(group->leader != NULL ? group->leader->id : ""),
        .member_id = wire_text(member->id),
        .members_of = group->leader == member ? group : NULL,
    };
}

void member_answer_sync(struct group_member *member, int16_t error)
{
    struct group_sync *sync = member->sync;
    struct group_sync_result result = {
        .error = error,
        .protocol_type = {NULL, -1},
        .protocol = {NULL, -1},
    };

    if (error == KAFKA_NONE) {
        result.protocol_type = wire_text(member->group->protocol_type);
        result.protocol = wire_text(member->group->protocol);
        result.assignment = (struct wire_bytes){member->assignment.data, member->assignment.size};
    }
    member->is_syncing = false;
    member->sync = NULL;
    if (sync != NULL) {
        sync->member = NULL;
        sync->cb(sync, &result);
    }
}

/* ---- signs of life ---- */

void member_alive(struct group_member *member)
{
    (void)mr_timer_start(&member->session_timer,
                         member->is_new ? GROUP_NEW_MEMBER_MS : member->session_ms);
}

void group_take_out(struct group_member *member, int16_t error)
{
    struct group *group = member->group;
    bool was_joining = member->is_joining;

    if (was_joining) {
        member_refuse_join(member, error);
    }
    if (member->is_syncing) {
        member_answer_sync(member, error);
    }
    member_remove(member);
    if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING_REBALANCE) {
        group_rebalance(group);
    } else if (group->state == GROUP_PREPARING_REBALANCE) {
        group_maybe_complete(group);
    }
}

/* Who waits for the group is not silent, it may not say anything. */
void member_on_session_timer(struct mr_timer *timer)
{
    struct group_member *member = timer->owner;

    if (!member->is_new && (member->is_joining || member->is_syncing)) {
        member_alive(member);
        return;
    }
    mr_info("member of a group is silent: taken out", KV_STR("group", member->group->id),
            KV_STR("member", member->id), KV_STR("client", member->client_id),
            KV_STR("host", member->client_host), KV_I64("session_ms", member->session_ms));
    member->group->groups->metrics->values[GROUP_METRIC_EXPIRED] += 1;
    group_take_out(member, KAFKA_UNKNOWN_MEMBER_ID);
}

/* ---- towards the next generation ---- */

static int64_t rebalance_ms(const struct group *group)
{
    int64_t longest_ms = 0;

    mr_list_each(&group->members, link, next)
    {
        const struct group_member *member = mr_container(link, struct group_member, link);
        longest_ms = member->rebalance_ms > longest_ms ? member->rebalance_ms : longest_ms;
    }
    return longest_ms;
}

static void refuse_syncs(struct group *group, int16_t error)
{
    mr_list_each(&group->members, link, next)
    {
        struct group_member *member = mr_container(link, struct group_member, link);
        (void)member_set_assignment(member, (struct wire_bytes){NULL, 0});
        if (member->is_syncing) {
            member_answer_sync(member, error);
            member_alive(member);
        }
    }
}

static int64_t initial_delay_ms(const struct group *group)
{
    int64_t delay_ms = group->groups->config.initial_delay_ms;

    return delay_ms < group->initial_left_ms ? delay_ms : group->initial_left_ms;
}

/* An empty group waits a moment for company, so that ten consumers that start together are given
 * their parts once and not ten times. */
static void prepare(struct group *group)
{
    bool was_empty = group->state == GROUP_EMPTY;
    int64_t delay_ms = rebalance_ms(group);

    if (group->state == GROUP_COMPLETING_REBALANCE) {
        refuse_syncs(group, KAFKA_REBALANCE_IN_PROGRESS);
    }
    mr_timer_stop(&group->sync_timer);
    group_set_state(group, GROUP_PREPARING_REBALANCE);
    group->is_initial = was_empty && group->groups->config.initial_delay_ms > 0;
    group->has_company = false;
    if (group->is_initial) {
        group->initial_left_ms = delay_ms;
        delay_ms = initial_delay_ms(group);
        group->initial_left_ms -= delay_ms;
    }
    (void)mr_timer_start(&group->join_timer, delay_ms);
}

void group_rebalance(struct group *group)
{
    if (group->state != GROUP_PREPARING_REBALANCE) {
        group->groups->metrics->values[GROUP_METRIC_REBALANCES] += 1;
        prepare(group);
    } else {
        group->has_company = true;
    }
    group_maybe_complete(group);
}

/* ---- the next generation ---- */

static void take_out_absent(struct group *group)
{
    mr_list_each(&group->members, link, next)
    {
        struct group_member *member = mr_container(link, struct group_member, link);
        if (!member->is_joining && member->instance_id == NULL) {
            mr_info("member of a group did not come back: taken out", KV_STR("group", group->id),
                    KV_STR("member", member->id), KV_STR("client", member->client_id),
                    KV_STR("host", member->client_host));
            member_remove(member);
        }
    }
}

/* A static member may be away for a while, but who is away cannot lead. */
static bool elect_leader(struct group *group)
{
    if (group->leader != NULL && group->leader->is_joining) {
        return true;
    }
    mr_list_each(&group->members, link, next)
    {
        struct group_member *member = mr_container(link, struct group_member, link);
        if (member->is_joining) {
            group->leader = member;
            return true;
        }
    }
    return false;
}

static void become_empty(struct group *group)
{
    mr_free(group->protocol);
    group->protocol = NULL;
    group->leader = NULL;
    group_set_state(group, GROUP_EMPTY);
    if (group_offsets_has_group(group->groups->config.offsets, wire_text(group->id)) &&
        group_store(group, false) != 0) {
        mr_warn("a group that is empty could not be stored", KV_STR("group", group->id));
    }
    group_maybe_forget(group);
}

static void answer_join(struct group_member *member)
{
    struct group_join_result result = group_join_answer(member);

    member->is_new = false;
    member->knows_id = true;
    member->is_unsynced = true;
    if (member->is_joining) {
        member_alive(member);
        member_answer_join(member, &result);
    }
}

/* The leader last: it may be back with the next wish (a part that it gives up, KIP-429) before a
 * follower that heard of this generation after it has asked for its part of it. */
static void answer_joins(struct group *group)
{
    mr_list_each(&group->members, link, next)
    {
        struct group_member *member = mr_container(link, struct group_member, link);
        if (member != group->leader) {
            answer_join(member);
        }
    }
    answer_join(group->leader);
}

static void begin_generation(struct group *group)
{
    const char *protocol = group_choose(group);

    /* Who joins has a protocol in common with all: there is one. Without memory there may be none;
     * then members are asked to come again. */
    if (protocol == NULL || member_set_text(&group->protocol, wire_text(protocol)) != 0) {
        (void)mr_timer_start(&group->join_timer, 1000);
        return;
    }
    group->generation = group->generation == INT32_MAX ? 1 : group->generation + 1;
    group_set_state(group, GROUP_COMPLETING_REBALANCE);
    (void)mr_timer_start(&group->sync_timer, rebalance_ms(group));
    mr_debug("group has a new generation", KV_STR("group", group->id),
             KV_I64("generation", group->generation),
             KV_I64("members", (int64_t)group->member_count), KV_STR("protocol", protocol));
    answer_joins(group);
}

static void complete(struct group *group)
{
    mr_timer_stop(&group->join_timer);
    group->is_initial = false;
    take_out_absent(group);
    if (mr_list_is_empty(&group->members)) {
        group->generation = group->generation == INT32_MAX ? 1 : group->generation + 1;
        become_empty(group);
        return;
    }
    if (!elect_leader(group)) {
        /* Only static members that are away: their sessions decide. */
        (void)mr_timer_start(&group->join_timer, rebalance_ms(group));
        return;
    }
    begin_generation(group);
}

void group_maybe_complete(struct group *group)
{
    if (group->state == GROUP_PREPARING_REBALANCE && !group->is_initial &&
        (size_t)group->joining_count == group->member_count && group->pending_count == 0) {
        complete(group);
    }
}

void group_on_join_timer(struct mr_timer *timer)
{
    struct group *group = timer->owner;

    if (group->is_initial && group->has_company && group->initial_left_ms > 0) {
        int64_t delay_ms = initial_delay_ms(group);
        group->has_company = false;
        group->initial_left_ms -= delay_ms;
        (void)mr_timer_start(timer, delay_ms);
        return;
    }
    complete(group);
}

void group_on_sync_timer(struct mr_timer *timer)
{
    struct group *group = timer->owner;
    bool has_changed = false;

    mr_list_each(&group->members, link, next)
    {
        struct group_member *member = mr_container(link, struct group_member, link);
        if (member->is_unsynced) {
            mr_info("member of a group did not ask for its part: taken out",
                    KV_STR("group", group->id), KV_STR("member", member->id),
                    KV_STR("client", member->client_id), KV_STR("host", member->client_host));
            member_remove(member);
            has_changed = true;
        }
    }
    if (has_changed) {
        group_rebalance(group);
    }
}
