/* Members of consumer groups: the classic protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup;
 * KIP-62, 134, 345, 394, 800, 814), as Kafka's coordinator answers it.
 *
 *          join                       all are there, or time is up          the leader's sync is
 * stored EMPTY -----> PREPARING_REBALANCE -----------------------> COMPLETING_REBALANCE -------->
 * STABLE ^               ^   |  nobody is left                           |                        |
 *     +---------------|---+                                           |                        |
 *                     +-------- a member joins, leaves or falls silent +------------------------+
 *
 * What a group is, is stored in __consumer_offsets (in Kafka's format) when it becomes stable or
 * empty, so that members of a node that was restarted go on as if nothing had been. Lives on one
 * loop; answers come at once or later, by callbacks. Errors are Kafka's. */
#ifndef QUEUE_GROUP_GROUPS_H
#define QUEUE_GROUP_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/wire/types.h"

struct group;
struct group_member;
struct group_offsets;
struct groups;
struct mr_error;
struct mr_loop;
struct mr_metrics;
struct mr_random;

enum group_state {
    GROUP_EMPTY,
    GROUP_PREPARING_REBALANCE,
    GROUP_COMPLETING_REBALANCE,
    GROUP_STABLE,
    GROUP_STATE_COUNT
};

struct groups_config {
    struct mr_loop *loop;
    struct mr_random *random;
    struct mr_metrics *metrics;
    struct group_offsets *offsets; /* where they are kept; outlives the groups */
    int64_t initial_delay_ms;      /* an empty group waits so long for more than its first member */
    int64_t session_ms_min; /* of the time after which a silent member is taken out; 0: 6 s */
    int64_t session_ms_max; /* 0: 30 min */
    int32_t members_max;    /* of one group; 0: 5000 */
};

/* Takes up what is stored; the members have a whole session's time to be heard again. */
int groups_open(const struct groups_config *config, struct groups **ret_groups,
                struct mr_error *error);
/* When no join or sync is under way any more. What is being stored may end later. */
void groups_close(struct groups *groups);

/* ---- JoinGroup ---- */

struct group_protocol {
    struct wire_string name;
    struct wire_bytes metadata;
};

struct group_join_result {
    int16_t error;
    int32_t generation;
    struct wire_string protocol_type; /* null where there is none; so are the others */
    struct wire_string protocol;
    struct wire_string leader;
    struct wire_string member_id;
    bool skips_assignment;
    const struct group *members_of; /* whose members the leader is told; NULL: none */
};

/* A refusal: what it does not say is null or empty. member_id is borrowed. */
struct group_join_result group_join_refusal(int16_t error, struct wire_string member_id);

struct group_join;
/* The result is borrowed for the call, which must not come back to the groups. */
typedef void (*group_join_cb)(struct group_join *join, const struct group_join_result *result);

/* The caller's until cb or cancel; what it points to is needed for the call only. */
struct group_join {
    struct wire_string group;
    struct wire_string member_id;   /* empty: a new member */
    struct wire_string instance_id; /* null: dynamic (KIP-345) */
    struct wire_string client_id;
    struct wire_string client_host;
    struct wire_string protocol_type;
    const struct group_protocol *protocols; /* the one it likes best first */
    int32_t protocol_count;
    int32_t session_ms;
    int32_t rebalance_ms;       /* -1: as session_ms */
    bool needs_member_id;       /* a new member must come again with the id it gets (KIP-394) */
    bool knows_skip_assignment; /* KIP-814 */
    group_join_cb cb;
    void *owner;
    struct group_member *member; /* the coordinator's */
};

/* cb exactly once, now or later, unless it is cancelled. */
void groups_join(struct groups *groups, struct group_join *join);
/* Nobody is there to be answered. The member stays until its session ends, except for one that
 * has never been told its id. */
void groups_join_cancel(struct groups *groups, struct group_join *join);

/* ---- who speaks ---- */

struct group_caller {
    struct wire_string group;
    struct wire_string member_id;
    struct wire_string instance_id; /* null: none */
    int32_t generation;
};

/* ---- SyncGroup ---- */

struct group_assignment {
    struct wire_string member_id;
    struct wire_bytes assignment;
};

struct group_sync_result {
    int16_t error;
    struct wire_string protocol_type;
    struct wire_string protocol;
    struct wire_bytes assignment;
};

struct group_sync;
typedef void (*group_sync_cb)(struct group_sync *sync, const struct group_sync_result *result);

/* As group_join. */
struct group_sync {
    struct group_caller caller;
    struct wire_string protocol_type; /* null: not said; so for the next */
    struct wire_string protocol;
    const struct group_assignment *assignments; /* of the leader */
    int32_t assignment_count;
    group_sync_cb cb;
    void *owner;
    struct group_member *member;
};

void groups_sync(struct groups *groups, struct group_sync *sync);
void groups_sync_cancel(struct groups *groups, struct group_sync *sync);

/* ---- what is answered at once ---- */

int16_t groups_heartbeat(struct groups *groups, const struct group_caller *caller);
/* The generation does not matter. An empty member id with an instance id: whoever it is. */
int16_t groups_leave(struct groups *groups, const struct group_caller *caller);
/* Whether offsets may be committed; from a member it counts as a sign of life. A group that does
 * not exist takes commits without a generation only: KAFKA_GROUP_ID_NOT_FOUND else. */
int16_t groups_check_commit(struct groups *groups, const struct group_caller *caller);
/* Whether its offsets of this topic may be removed by hand. */
int16_t groups_check_offset_delete(const struct groups *groups, struct wire_string group,
                                   struct wire_string topic);
/* KAFKA_NONE, and it has no members and is forgotten (what is stored of it is the caller's to
 * remove); KAFKA_NON_EMPTY_GROUP; KAFKA_GROUP_ID_NOT_FOUND: there are offsets at most. */
int16_t groups_delete(struct groups *groups, struct wire_string group);

/* ---- looking: everything is borrowed until the next turn ---- */

const struct group *groups_find(const struct groups *groups, struct wire_string group);
size_t groups_count(const struct groups *groups);
typedef void (*groups_each_cb)(void *owner, const struct group *group);
void groups_each(const struct groups *groups, groups_each_cb cb, void *owner);

struct wire_string group_id(const struct group *group);
enum group_state group_state(const struct group *group);
const char *group_state_name(enum group_state state);              /* Kafka's words */
struct wire_string group_protocol_type(const struct group *group); /* empty: none */
struct wire_string group_protocol(const struct group *group);      /* empty: none is chosen */
size_t group_member_count(const struct group *group);

struct group_member_view {
    struct wire_string member_id;
    struct wire_string instance_id; /* null: dynamic */
    struct wire_string client_id;
    struct wire_string client_host;
    struct wire_bytes metadata; /* for the protocol that is chosen; empty before */
    struct wire_bytes assignment;
};

typedef void (*group_member_cb)(void *owner, const struct group_member_view *member);
void group_each_member(const struct group *group, group_member_cb cb, void *owner);

#endif
