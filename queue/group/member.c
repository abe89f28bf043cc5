/* Who is in a group, and what its members can do. */
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "queue/group/group_internal.h"
#include "queue/wire/groups.h"
#include "queue/wire/record_schemas.h"
#include "queue/wire/records.h"

enum { SUBSCRIPTION_ARENA_SIZE = 1024 * 1024 };

/* ---- texts and bytes ---- */

int member_set_text(char **place, struct wire_string text)
{
    char *copy = NULL;

    if (text.size >= 0) {
        copy = mr_strndup(text.data != NULL ? text.data : "", (size_t)text.size);
        if (copy == NULL) {
            return MR_ENOMEM;
        }
    }
    mr_free(*place);
    *place = copy;
    return 0;
}

static int blob_set(struct group_blob *blob, struct wire_bytes bytes)
{
    uint8_t *copy = NULL;

    if (bytes.size > 0) {
        copy = mr_malloc((size_t)bytes.size);
        if (copy == NULL) {
            return MR_ENOMEM;
        }
        memcpy(copy, bytes.data, (size_t)bytes.size);
    }
    mr_free(blob->data);
    blob->data = copy;
    blob->size = bytes.size > 0 ? bytes.size : 0;
    return 0;
}

int member_set_assignment(struct group_member *member, struct wire_bytes assignment)
{
    return blob_set(&member->assignment, assignment);
}

/* ---- protocols ---- */

static void choices_free(struct group_choice *choices, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        mr_free(choices[i].name);
        mr_free(choices[i].metadata.data);
    }
    mr_free(choices);
}

int member_set_choices(struct group_member *member, const struct group_protocol *protocols,
                       int32_t count)
{
    struct group_choice *choices = mr_calloc((size_t)count + 1, sizeof *choices);
    int rc = choices == NULL ? MR_ENOMEM : 0;

    for (int32_t i = 0; rc == 0 && i < count; i++) {
        rc = member_set_text(&choices[i].name, protocols[i].name);
        if (rc == 0) {
            rc = blob_set(&choices[i].metadata, protocols[i].metadata);
        }
    }
    if (rc != 0) {
        choices_free(choices, choices != NULL ? count : 0);
        return rc;
    }
    choices_free(member->choices, member->choice_count);
    member->choices = choices;
    member->choice_count = count;
    return 0;
}

bool member_has_choices(const struct group_member *member, const struct group_protocol *protocols,
                        int32_t count)
{
    if (member->choice_count != count) {
        return false;
    }
    for (int32_t i = 0; i < count; i++) {
        const struct group_choice *mine = &member->choices[i];
        int32_t size = protocols[i].metadata.size > 0 ? protocols[i].metadata.size : 0;
        if (!wire_string_is(protocols[i].name, mine->name) || size != mine->metadata.size ||
            (size > 0 &&
             memcmp(protocols[i].metadata.data, mine->metadata.data, (size_t)size) != 0)) {
            return false;
        }
    }
    return true;
}

static struct group_choice *find_choice(const struct group_member *member, struct wire_string name)
{
    for (int32_t i = 0; i < member->choice_count; i++) {
        if (wire_string_is(name, member->choices[i].name)) {
            return &member->choices[i];
        }
    }
    return NULL;
}

struct wire_bytes member_metadata(const struct group_member *member, const char *protocol)
{
    const struct group_choice *choice =
        protocol != NULL ? find_choice(member, wire_text(protocol)) : NULL;

    return choice != NULL ? (struct wire_bytes){choice->metadata.data, choice->metadata.size}
                          : (struct wire_bytes){NULL, 0};
}

static bool all_can(const struct group *group, struct wire_string protocol)
{
    mr_list_each(&group->members, link, next)
    {
        if (find_choice(mr_container(link, struct group_member, link), protocol) == NULL) {
            return false;
        }
    }
    return true;
}

bool group_can_any(const struct group *group, const struct group_protocol *protocols, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        if (all_can(group, protocols[i].name)) {
            return true;
        }
    }
    return false;
}

/* Each member votes for the first of its protocols that all can do; between equals, the one that
 * the member which came first likes better. The votes are counted at that member's choices. */
const char *group_choose(const struct group *group)
{
    const struct group_member *first = mr_container(group->members.next, struct group_member, link);
    const struct group_choice *best = NULL;

    if (mr_list_is_empty(&group->members)) {
        return NULL;
    }
    for (int32_t i = 0; i < first->choice_count; i++) {
        first->choices[i].vote_count = all_can(group, wire_text(first->choices[i].name)) ? 0 : -1;
    }
    mr_list_each(&group->members, link, next)
    {
        const struct group_member *member = mr_container(link, struct group_member, link);
        for (int32_t i = 0; i < member->choice_count; i++) {
            struct group_choice *choice = find_choice(first, wire_text(member->choices[i].name));
            if (choice != NULL && choice->vote_count >= 0) {
                choice->vote_count += 1;
                break;
            }
        }
    }
    for (int32_t i = 0; i < first->choice_count; i++) {
        const struct group_choice *choice = &first->choices[i];
        if (choice->vote_count > (best != NULL ? best->vote_count : 0)) {
            best = choice;
        }
    }
    return best != NULL ? best->name : NULL;
}

static bool subscribes(const struct group_member *member, struct wire_string topic)
{
    struct wire_bytes metadata = member_metadata(member, member->group->protocol);
    struct consumer_protocol_subscription subscription;
    struct wire_arena arena;
    int16_t version;
    bool is_there = true; /* what cannot be read may read anything */

    wire_arena_init(&arena, SUBSCRIPTION_ARENA_SIZE);
    if (wire_versioned_read(&consumer_protocol_subscription_message, metadata.data,
                            (size_t)metadata.size, &arena, &version, &subscription) == 0) {
        is_there = false;
        for (int32_t i = 0; i < subscription.topics.count && !is_there; i++) {
            is_there = wire_string_equal(subscription.topics.items[i], topic);
        }
    }
    wire_arena_done(&arena);
    return is_there;
}

bool group_subscribes(const struct group *group, struct wire_string topic)
{
    mr_list_each(&group->members, link, next)
    {
        if (subscribes(mr_container(link, struct group_member, link), topic)) {
            return true;
        }
    }
    return false;
}

/* ---- members ---- */

struct group_member *member_find(const struct group *group, struct wire_string id)
{
    return id.size <= 0 ? NULL : mr_map_get(&group->by_id, id.data, (size_t)id.size);
}

struct group_member *member_find_instance(const struct group *group, struct wire_string instance_id)
{
    return instance_id.size < 0
               ? NULL
               : mr_map_get(&group->by_instance, instance_id.data, (size_t)instance_id.size);
}

static void member_free(struct group_member *member)
{
    mr_timer_stop(&member->session_timer);
    choices_free(member->choices, member->choice_count);
    mr_free(member->assignment.data);
    mr_free(member->id);
    mr_free(member->instance_id);
    mr_free(member->client_id);
    mr_free(member->client_host);
    mr_free(member);
}

struct group_member *member_add(struct group *group, struct wire_string id,
                                struct wire_string instance_id)
{
    struct group_member *member = mr_calloc(1, sizeof *member);
    int rc;

    if (member == NULL) {
        return NULL;
    }
    member->group = group;
    mr_timer_init(&member->session_timer, group->groups->config.loop, member_on_session_timer,
                  member);
    rc = member_set_text(&member->id, id);
    if (rc == 0) {
        rc = member_set_text(&member->instance_id, instance_id);
    }
    if (rc == 0) {
        rc = mr_map_put(&group->by_id, id.data, (size_t)id.size, member, NULL);
    }
    if (rc == 0 && instance_id.size >= 0) {
        rc = mr_map_put(&group->by_instance, instance_id.data, (size_t)instance_id.size, member,
                        NULL);
        if (rc != 0) {
            (void)mr_map_remove(&group->by_id, id.data, (size_t)id.size);
        }
    }
    if (rc != 0) {
        member_free(member);
        return NULL;
    }
    mr_list_append(&group->members, &member->link);
    group->member_count += 1;
    return member;
}

void member_remove(struct group_member *member)
{
    struct group *group = member->group;

    mr_assert(member->join == NULL && member->sync == NULL);
    group->joining_count -= member->is_joining;
    (void)mr_map_remove_text(&group->by_id, member->id);
    if (member->instance_id != NULL) {
        (void)mr_map_remove_text(&group->by_instance, member->instance_id);
    }
    mr_list_remove(&member->link);
    group->member_count -= 1;
    if (group->leader == member) {
        group->leader = mr_list_is_empty(&group->members)
                            ? NULL
                            : mr_container(group->members.next, struct group_member, link);
    }
    member_free(member);
}

int member_rename(struct group_member *member, struct wire_string id)
{
    struct group *group = member->group;
    char *copy = mr_strndup(id.data, (size_t)id.size);

    if (copy == NULL || mr_map_put(&group->by_id, id.data, (size_t)id.size, member, NULL) != 0) {
        mr_free(copy);
        return MR_ENOMEM;
    }
    (void)mr_map_remove_text(&group->by_id, member->id);
    mr_free(member->id);
    member->id = copy;
    return 0;
}

/* ---- ids that were given away ---- */

struct group_pending *pending_find(const struct group *group, struct wire_string id)
{
    mr_list_each(&group->pending, link, next)
    {
        struct group_pending *pending = mr_container(link, struct group_pending, link);
        if (wire_string_is(id, pending->id)) {
            return pending;
        }
    }
    return NULL;
}

void pending_free(struct group_pending *pending)
{
    mr_timer_stop(&pending->timer);
    mr_list_remove(&pending->link);
    pending->group->pending_count -= 1;
    mr_free(pending->id);
    mr_free(pending);
}
