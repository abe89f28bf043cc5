/* The inside of groups: what one is, and what its files do for each other. */
#ifndef QUEUE_GROUP_GROUP_INTERNAL_H
#define QUEUE_GROUP_GROUP_INTERNAL_H

#include "base/core/list.h"
#include "base/core/loop.h"
#include "base/core/map.h"
#include "queue/group/groups.h"
#include "queue/wire/kafka_error.h"

struct mr_metric_set;

enum {
    GROUP_NEW_MEMBER_MS = 5 * 60 * 1000, /* how long a new one waits in a join that does not end */
    GROUP_UUID_SIZE = 37,                /* as text, and NUL */
    GROUP_PROTOCOLS_MAX = 64,            /* of a member; Kafka's clients have up to five */
};

enum group_metric {
    GROUP_METRIC_GROUPS,
    GROUP_METRIC_MEMBERS,
    GROUP_METRIC_REBALANCES,
    GROUP_METRIC_EXPIRED,
    GROUP_METRIC_COUNT
};

struct group_blob {
    uint8_t *data;
    int32_t size;
};

struct group_choice {
    char *name;
    struct group_blob metadata;
    int32_t vote_count; /* group_choose's */
};

struct group_member {
    struct mr_link link; /* of group->members, in order of arrival */
    struct group *group;
    char *id;
    char *instance_id; /* NULL: dynamic */
    char *client_id;
    char *client_host;
    struct group_choice *choices;
    int32_t choice_count;
    int32_t session_ms;
    int32_t rebalance_ms;
    struct group_blob assignment;
    struct mr_timer session_timer;
    bool is_joining;         /* waits for the rebalance, also when nobody is there to be answered */
    bool is_syncing;         /* waits for the leader */
    bool is_unsynced;        /* has not asked for its part of this generation */
    bool is_new;             /* has not been in a generation yet */
    bool knows_id;           /* was told its id before it joined */
    struct group_join *join; /* NULL: nobody to answer */
    struct group_sync *sync;
};

/* An id that was given away, and did not come back yet. */
struct group_pending {
    struct mr_link link;
    struct group *group;
    char *id;
    struct mr_timer timer;
};

struct group {
    struct groups *groups;
    char *id;
    enum group_state state;
    int64_t state_at_ms; /* wall clock */
    int32_t generation;
    char *protocol_type; /* NULL: nobody has said one */
    char *protocol;      /* NULL: none is chosen */
    struct mr_link members;
    struct mr_map by_id;       /* -> struct group_member; ids are of any length */
    struct mr_map by_instance; /* static ones */
    size_t member_count;
    int32_t joining_count;
    struct group_member *leader; /* NULL only without members, or before the first generation */
    struct mr_link pending;
    int32_t pending_count;
    struct mr_timer join_timer; /* the rebalance is over, whoever is there */
    bool is_initial;            /* the first one: waits for company */
    bool has_company;           /* somebody came since it last looked */
    int64_t initial_left_ms;
    struct mr_timer sync_timer; /* who has not synced is taken out */
};

struct groups {
    struct groups_config config;
    struct mr_map map; /* id -> struct group */
    struct mr_link stores;
    struct mr_metric_set *metrics;
};

/* ---- member.c: who is in a group ---- */

/* In the list and the maps; NULL without memory. */
struct group_member *member_add(struct group *group, struct wire_string id,
                                struct wire_string instance_id);
/* Out of the list and the maps, and freed. It must not wait for anything. */
void member_remove(struct group_member *member);
struct group_member *member_find(const struct group *group, struct wire_string id);
struct group_member *member_find_instance(const struct group *group,
                                          struct wire_string instance_id);
/* Another process is this static member from now on. 0 or MR_ENOMEM. */
int member_rename(struct group_member *member, struct wire_string id);
/* What it can do, and how long it may be silent. 0 or MR_ENOMEM, then it is as before. */
int member_set_choices(struct group_member *member, const struct group_protocol *protocols,
                       int32_t count);
bool member_has_choices(const struct group_member *member, const struct group_protocol *protocols,
                        int32_t count);
int member_set_text(char **place, struct wire_string text);
int member_set_assignment(struct group_member *member, struct wire_bytes assignment);
/* Its metadata for a protocol; empty where it has none. */
struct wire_bytes member_metadata(const struct group_member *member, const char *protocol);
/* Whether all members can do one of these. */
bool group_can_any(const struct group *group, const struct group_protocol *protocols,
                   int32_t count);
/* What all can do and most like best; NULL: nothing. Borrowed. */
const char *group_choose(const struct group *group);
/* Whether a member reads this topic, as far as its metadata tells (Kafka's consumer protocol). */
bool group_subscribes(const struct group *group, struct wire_string topic);

struct group_pending *pending_find(const struct group *group, struct wire_string id);
void pending_free(struct group_pending *pending);

/* ---- groups.c ---- */

struct group *group_get(const struct groups *groups, struct wire_string id);
struct group *group_need(struct groups *groups, struct wire_string id); /* NULL: no memory */
void group_set_state(struct group *group, enum group_state state);
/* Without members and timers; nobody waits for anything here any more. */
void group_reset(struct group *group);
/* Forgets a group that has nobody, nothing stored, and is in nobody's hands; it may be gone. */
void group_maybe_forget(struct group *group);
void group_uuid(struct groups *groups, char text[GROUP_UUID_SIZE]);

/* ---- rebalance.c ---- */

/* Somebody came or went. */
void group_rebalance(struct group *group);
/* All may be there now. */
void group_maybe_complete(struct group *group);
/* Takes out a member, answers what it waits for with `error`, and goes on without it. */
void group_take_out(struct group_member *member, int16_t error);
/* It was heard: its time begins anew. */
void member_alive(struct group_member *member);
void group_on_join_timer(struct mr_timer *timer);
void group_on_sync_timer(struct mr_timer *timer);
void member_on_session_timer(struct mr_timer *timer);
void member_answer_join(struct group_member *member, const struct group_join_result *result);
void member_refuse_join(struct group_member *member, int16_t error);
void member_answer_sync(struct group_member *member, int16_t error);
/* The answer to a join, of the generation that is. */
struct group_join_result group_join_answer(const struct group_member *member);

/* ---- store.c: what a group is, as a record ---- */

/* The record will be written; then group_stored (in sync.c), or nothing when `then` is false. 0 or
 * a negative code, and nothing follows. */
int group_store(struct group *group, bool then);
void group_stored(struct group *group, int rc);
int groups_load(struct groups *groups, struct mr_error *error);
void groups_forget_stores(struct groups *groups);

#endif
