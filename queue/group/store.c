/* What a group is, as Kafka's GroupMetadata record: written when it is stable or empty, read at
 * start. */
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/group/group_internal.h"
#include "queue/group/offsets.h"
#include "queue/wire/record_schemas.h"
#include "queue/wire/records.h"
#include "queue/wire/writer.h"

enum { VALUE_ARENA_SIZE = 16 * 1024 * 1024 };

/* ---- writing ---- */

struct store {
    struct offsets_commit commit;
    struct mr_link link;   /* of groups->stores */
    struct groups *groups; /* NULL: nobody waits for it any more */
    char *id;              /* the group may be gone by then */
    int32_t generation;
    bool then;
};

static void store_free(struct store *store)
{
    mr_list_remove(&store->link);
    mr_free(store->id);
    mr_free(store);
}

static void on_stored(struct offsets_commit *commit)
{
    struct store *store = mr_container(commit, struct store, commit);
    struct group *group =
        store->groups != NULL ? group_get(store->groups, wire_text(store->id)) : NULL;
    int rc = commit->rc;

    if (rc != 0 && !store->then) {
        mr_warn("a group could not be stored", KV_STR("group", store->id), KV_ERR(rc));
    }
    if (store->then && group != NULL && group->generation == store->generation) {
        group_stored(group, rc);
    }
    store_free(store);
}

void groups_forget_stores(struct groups *groups)
{
    mr_list_each(&groups->stores, link, next)
    {
        struct store *store = mr_container(link, struct store, link);
        mr_list_remove(link);
        store->groups = NULL;
    }
}

static int fill_value(const struct group *group, struct group_metadata_value *value)
{
    struct group_metadata_value_member_metadata *items;
    int32_t count = 0;

    group_metadata_value_init(value);
    value->protocol_type = group_protocol_type(group);
    value->generation = group->generation;
    value->protocol = wire_text(group->protocol);
    value->leader = wire_text(group->leader != NULL ? group->leader->id : NULL);
    value->current_state_timestamp = group->state_at_ms;
    items = mr_calloc(group->member_count + 1, sizeof *items);
    if (items == NULL) {
        return MR_ENOMEM;
    }
    mr_list_each(&group->members, link, next)
    {
        const struct group_member *member = mr_container(link, struct group_member, link);
        items[count++] = (struct group_metadata_value_member_metadata){
            .member_id = wire_text(member->id),
            .group_instance_id = wire_text(member->instance_id),
            .client_id = wire_text(member->client_id),
            .client_host = wire_text(member->client_host),
            .rebalance_timeout = member->rebalance_ms,
            .session_timeout = member->session_ms,
            .subscription = member_metadata(member, group->protocol),
            .assignment = {member->assignment.data, member->assignment.size},
        };
    }
    value->members.items = items;
    value->members.count = count;
    return 0;
}

static int submit(struct store *store, const struct group *group)
{
    const struct wire_record_type *type = &wire_group_metadata_record;
    struct group_metadata_value value;
    struct wire_writer writer;
    int rc = fill_value(group, &value);

    if (rc != 0) {
        return rc;
    }
    wire_writer_init(&writer);
    rc = wire_record_value_write(type, type->value_version_written, &value, &writer);
    if (rc == 0) {
        store->commit.group = wire_text(group->id);
        store->commit.has_group_value = true;
        store->commit.group_value =
            (struct wire_bytes){writer.bytes.data, (int32_t)writer.bytes.size_bytes};
        store->commit.cb = on_stored;
        rc = group_offsets_commit(group->groups->config.offsets, &store->commit);
    }
    wire_writer_done(&writer);
    mr_free(value.members.items);
    return rc;
}

int group_store(struct group *group, bool then)
{
    struct store *store = mr_calloc(1, sizeof *store);
    int rc = MR_ENOMEM;

    if (store == NULL) {
        return rc;
    }
    mr_list_append(&group->groups->stores, &store->link);
    store->groups = group->groups;
    store->generation = group->generation;
    store->then = then;
    store->id = mr_strdup(group->id);
    if (store->id != NULL) {
        rc = submit(store, group);
    }
    if (rc != 0) {
        store_free(store);
    }
    return rc;
}

/* ---- reading ---- */

static bool is_text(struct wire_string text)
{
    return text.size > 0 && memchr(text.data, 0, (size_t)text.size) == NULL;
}

static int load_member(struct group *group, const struct group_metadata_value *value,
                       const struct group_metadata_value_member_metadata *in)
{
    struct group_protocol choice = {value->protocol, in->subscription};
    struct group_member *member;
    int rc;

    if (!is_text(in->member_id) || !is_text(value->protocol) ||
        (in->group_instance_id.size >= 0 && !is_text(in->group_instance_id)) ||
        member_find(group, in->member_id) != NULL ||
        member_find_instance(group, in->group_instance_id) != NULL) {
        return MR_ECORRUPT;
    }
    member = member_add(group, in->member_id, in->group_instance_id);
    if (member == NULL) {
        return MR_ENOMEM;
    }
    member->session_ms = in->session_timeout;
    member->rebalance_ms = in->rebalance_timeout < 0 ? in->session_timeout : in->rebalance_timeout;
    member->knows_id = true;
    rc = member_set_choices(member, &choice, 1);
    if (rc == 0) {
        rc = member_set_text(&member->client_id, in->client_id);
    }
    if (rc == 0) {
        rc = member_set_text(&member->client_host, in->client_host);
    }
    if (rc == 0) {
        rc = member_set_assignment(member, in->assignment);
    }
    if (wire_string_equal(in->member_id, value->leader)) {
        group->leader = member;
    }
    member_alive(member);
    return rc;
}

static int load_value(struct group *group, const struct group_metadata_value *value)
{
    int rc = 0;

    group->generation = value->generation;
    group->state_at_ms =
        value->current_state_timestamp >= 0 ? value->current_state_timestamp : group->state_at_ms;
    if (value->protocol_type.size > 0) {
        rc = member_set_text(&group->protocol_type, value->protocol_type);
    }
    for (int32_t i = 0; rc == 0 && i < value->members.count; i++) {
        rc = load_member(group, value, &value->members.items[i]);
    }
    if (rc == 0 && value->members.count > 0) {
        rc = member_set_text(&group->protocol, value->protocol);
        group->state = GROUP_STABLE;
        if (group->leader == NULL) {
            group->leader = mr_container(group->members.next, struct group_member, link);
        }
    }
    return rc;
}

struct loading {
    struct groups *groups;
    int rc;
};

/* A record that cannot be read is a group that begins anew: its members will come again. */
static void load_group(void *owner, struct wire_string id, size_t offset_count)
{
    struct loading *loading = owner;
    struct wire_bytes bytes = group_offsets_group_value(loading->groups->config.offsets, id);
    struct group_metadata_value value;
    struct wire_arena arena;
    struct group *group;
    int rc;

    (void)offset_count;
    if (loading->rc != 0 || bytes.size < 0 || !is_text(id)) {
        return;
    }
    wire_arena_init(&arena, VALUE_ARENA_SIZE);
    rc = wire_record_value_read(&wire_group_metadata_record, bytes.data, (size_t)bytes.size, &arena,
                                &value);
    group = rc == 0 ? group_need(loading->groups, id) : NULL;
    if (group != NULL) {
        rc = load_value(group, &value);
    } else if (rc == 0) {
        rc = MR_ENOMEM;
    }
    if (rc != 0 && rc != MR_ENOMEM) {
        mr_warn("what is stored of a group cannot be read: it begins anew",
                KV_STR("group", group != NULL ? group->id : "?"), KV_ERR(rc));
        if (group != NULL) {
            group_reset(group);
        }
    }
    loading->rc = rc == MR_ENOMEM ? rc : 0;
    wire_arena_done(&arena);
}

int groups_load(struct groups *groups, struct mr_error *error)
{
    struct loading loading = {.groups = groups};

    group_offsets_each_group(groups->config.offsets, load_group, &loading);
    return loading.rc == 0 ? 0 : mr_fail(error, loading.rc, "groups");
}
