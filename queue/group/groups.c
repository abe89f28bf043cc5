/* The groups of this node: finding, making, forgetting and looking at them. */
#include "queue/group/groups.h"

#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/core/random.h"
#include "queue/group/group_internal.h"
#include "queue/group/offsets.h"

static const struct mr_metric_def group_metrics[GROUP_METRIC_COUNT] = {
    [GROUP_METRIC_GROUPS] = {"millrace_group_groups", MR_GAUGE,
                             "Consumer groups that have members, or had some.", NULL},
    [GROUP_METRIC_MEMBERS] = {"millrace_group_members", MR_GAUGE, "Members of consumer groups.",
                              NULL},
    [GROUP_METRIC_REBALANCES] = {"millrace_group_rebalances_total", MR_COUNTER,
                                 "Times that members were asked to divide the work anew.", NULL},
    [GROUP_METRIC_EXPIRED] = {"millrace_group_expired_members_total", MR_COUNTER,
                              "Members that were taken out because they were silent.", NULL},
};

/* ---- groups ---- */

void group_uuid(struct groups *groups, char text[GROUP_UUID_SIZE])
{
    struct mr_uuid uuid = mr_uuid_random(groups->config.random);
    const uint8_t *b = uuid.bytes;

    (void)snprintf(text, GROUP_UUID_SIZE,
                   "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                   b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
                   b[14], b[15]);
}

struct group *group_get(const struct groups *groups, struct wire_string id)
{
    return id.size <= 0 ? NULL : mr_map_get(&groups->map, id.data, (size_t)id.size);
}

struct group *group_need(struct groups *groups, struct wire_string id)
{
    struct group *group = group_get(groups, id);

    if (group != NULL) {
        return group;
    }
    group = mr_calloc(1, sizeof *group);
    if (group == NULL) {
        return NULL;
    }
    group->groups = groups;
    group->state_at_ms = mr_loop_wall_ms(groups->config.loop);
    mr_list_init(&group->members);
    mr_list_init(&group->pending);
    mr_map_init(&group->by_id);
    mr_map_init(&group->by_instance);
    mr_timer_init(&group->join_timer, groups->config.loop, group_on_join_timer, group);
    mr_timer_init(&group->sync_timer, groups->config.loop, group_on_sync_timer, group);
    group->id = mr_strndup(id.data, (size_t)id.size);
    if (group->id == NULL || mr_map_put(&groups->map, id.data, (size_t)id.size, group, NULL) != 0) {
        mr_free(group->id);
        mr_free(group);
        return NULL;
    }
    return group;
}

void group_reset(struct group *group)
{
    mr_timer_stop(&group->join_timer);
    mr_timer_stop(&group->sync_timer);
    mr_list_each(&group->pending, link, next)
    {
        pending_free(mr_container(link, struct group_pending, link));
    }
    mr_list_each(&group->members, link, next)
    {
        member_remove(mr_container(link, struct group_member, link));
    }
    group_set_state(group, GROUP_EMPTY);
}

static void group_free(struct group *group)
{
    group_reset(group);
    mr_map_done(&group->by_id);
    mr_map_done(&group->by_instance);
    mr_free(group->protocol_type);
    mr_free(group->protocol);
    mr_free(group->id);
    mr_free(group);
}

static void forget(struct group *group)
{
    (void)mr_map_remove_text(&group->groups->map, group->id);
    group_free(group);
}

void group_set_state(struct group *group, enum group_state state)
{
    group->state = state;
    group->state_at_ms = mr_loop_wall_ms(group->groups->config.loop);
}

void group_maybe_forget(struct group *group)
{
    if (group->state == GROUP_EMPTY && group->member_count == 0 && group->pending_count == 0 &&
        !group_offsets_has_group(group->groups->config.offsets, wire_text(group->id))) {
        forget(group);
    }
}

int16_t groups_delete(struct groups *groups, struct wire_string id)
{
    struct group *group = group_get(groups, id);

    if (group == NULL) {
        return KAFKA_GROUP_ID_NOT_FOUND;
    }
    if (group->state != GROUP_EMPTY || group->pending_count > 0) {
        return KAFKA_NON_EMPTY_GROUP;
    }
    forget(group);
    return KAFKA_NONE;
}

/* ---- what the store asks ---- */

/* Offsets of a topic that a group's members read do not grow old, and those of a group without
 * members do from the day it has none. */
static int64_t used_at_ms(void *owner, struct wire_string id, struct wire_string topic)
{
    const struct groups *groups = owner;
    const struct group *group = group_get(groups, id);

    if (group == NULL) {
        return INT64_MIN;
    }
    if (group->state == GROUP_EMPTY) {
        return group->state_at_ms;
    }
    return group->protocol_type == NULL || strcmp(group->protocol_type, "consumer") != 0 ||
                   group_subscribes(group, topic)
               ? INT64_MAX
               : INT64_MIN;
}

/* Its last offset has gone. */
static bool on_group_idle(void *owner, struct wire_string id)
{
    const struct groups *groups = owner;
    struct group *group = group_get(groups, id);

    if (group == NULL) {
        return true;
    }
    if (group->state != GROUP_EMPTY || group->pending_count > 0) {
        return false;
    }
    forget(group);
    return true;
}

/* ---- looking ---- */

const struct group *groups_find(const struct groups *groups, struct wire_string id)
{
    return group_get(groups, id);
}

size_t groups_count(const struct groups *groups)
{
    return groups->map.count;
}

void groups_each(const struct groups *groups, groups_each_cb cb, void *owner)
{
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    while ((entry = mr_map_next(&groups->map, &cursor)) != NULL) {
        cb(owner, entry->value);
    }
}

struct wire_string group_id(const struct group *group)
{
    return wire_text(group->id);
}

enum group_state group_state(const struct group *group)
{
    return group->state;
}

const char *group_state_name(enum group_state state)
{
    static const char *const names[GROUP_STATE_COUNT] = {
        [GROUP_EMPTY] = "Empty",
        [GROUP_PREPARING_REBALANCE] = "PreparingRebalance",
        [GROUP_COMPLETING_REBALANCE] = "CompletingRebalance",
        [GROUP_STABLE] = "Stable",
    };

    return names[state];
}

struct wire_string group_protocol_type(const struct group *group)
{
    return wire_text(group->protocol_type != NULL ? group->protocol_type : "");
}

struct wire_string group_protocol(const struct group *group)
{
    return wire_text(group->state == GROUP_STABLE && group->protocol != NULL ? group->protocol
                                                                             : "");
}

size_t group_member_count(const struct group *group)
{
    return group->member_count;
}

void group_each_member(const struct group *group, group_member_cb cb, void *owner)
{
    mr_list_each(&group->members, link, next)
    {
        const struct group_member *member = mr_container(link, struct group_member, link);
        struct group_member_view view = {
            .member_id = wire_text(member->id),
            .instance_id = wire_text(member->instance_id),
            .client_id = wire_text(member->client_id),
            .client_host = wire_text(member->client_host),
        };
        if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING_REBALANCE) {
            view.metadata = member_metadata(member, group->protocol);
            view.assignment = (struct wire_bytes){member->assignment.data, member->assignment.size};
        }
        cb(owner, &view);
    }
}

/* ---- life ---- */

static void refresh(struct mr_metric_set *set)
{
    const struct groups *groups = set->owner;
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    set->values[GROUP_METRIC_GROUPS] = (int64_t)groups->map.count;
    set->values[GROUP_METRIC_MEMBERS] = 0;
    while ((entry = mr_map_next(&groups->map, &cursor)) != NULL) {
        set->values[GROUP_METRIC_MEMBERS] +=
            (int64_t)((const struct group *)entry->value)->member_count;
    }
}

static void set_defaults(struct groups_config *config)
{
    config->session_ms_min = config->session_ms_min > 0 ? config->session_ms_min : 6 * 1000;
    config->session_ms_max = config->session_ms_max > 0 ? config->session_ms_max : 1800 * 1000;
    config->members_max = config->members_max > 0 ? config->members_max : 5000;
}

int groups_open(const struct groups_config *config, struct groups **ret_groups,
                struct mr_error *error)
{
    struct groups *groups = mr_calloc(1, sizeof *groups);
    int rc;

    if (groups == NULL) {
        return mr_fail(error, MR_ENOMEM, "groups");
    }
    groups->config = *config;
    set_defaults(&groups->config);
    mr_map_init(&groups->map);
    mr_list_init(&groups->stores);
    groups->metrics =
        mr_metric_set_new(config->metrics, group_metrics, GROUP_METRIC_COUNT, NULL, 0);
    if (groups->metrics == NULL) {
        rc = mr_fail(error, MR_ENOMEM, "groups");
    } else {
        groups->metrics->owner = groups;
        groups->metrics->refresh = refresh;
        rc = groups_load(groups, error);
    }
    if (rc != 0) {
        groups_close(groups);
        return rc;
    }
    group_offsets_watch(config->offsets, used_at_ms, on_group_idle, groups);
    *ret_groups = groups;
    return 0;
}

void groups_close(struct groups *groups)
{
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    if (groups == NULL) {
        return;
    }
    group_offsets_watch(groups->config.offsets, NULL, NULL, NULL);
    groups_forget_stores(groups);
    while ((entry = mr_map_next(&groups->map, &cursor)) != NULL) {
        group_free(entry->value);
    }
    mr_map_done(&groups->map);
    mr_metric_set_free(groups->metrics);
    mr_free(groups);
}
