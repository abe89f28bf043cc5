/* Consumer groups without a network: members are structs, time is the test's. */
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "queue/group/groups.h"
#include "queue/group/offsets.h"
#include "queue/queue_internal.h"
#include "queue/wire/kafka_error.h"
#include "tests/lib/queue_fixture.h"
#include "tests/lib/test.h"

enum { SESSION_MS = 10000, REBALANCE_MS = 30000, LONG_MS = 1800 * 1000, MEMBERS_MAX = 8 };

struct client {
    struct queue_fixture *f;
    const char *name;
    const char *instance; /* NULL: dynamic */
    struct group_protocol protocols[2];
    int32_t protocol_count;
    int32_t session_ms;
    struct group_join join;
    struct group_sync sync;
    bool is_joining;
    bool is_syncing;
    int16_t error;
    char id[128];
    char leader[128];
    int32_t generation;
    char protocol[32];
    bool skips;
    char members[MEMBERS_MAX][128]; /* as a leader is told */
    int member_count;
    char part[64];
};

static struct wire_bytes bytes_of(const char *text)
{
    return (struct wire_bytes){(const uint8_t *)text, (int32_t)strlen(text)};
}

static struct client client_of(struct queue_fixture *f, const char *name)
{
    return (struct client){
        .f = f,
        .name = name,
        .protocols = {{wire_text("range"), bytes_of(name)}, {wire_text("sticky"), bytes_of(name)}},
        .protocol_count = 2,
        .session_ms = SESSION_MS,
        .generation = -1,
    };
}

static struct groups *groups_of(const struct client *client)
{
    return client->f->queue->groups;
}

static void copy_text(char *to, size_t size, struct wire_string text)
{
    (void)snprintf(to, size, "%.*s", text.size > 0 ? (int)text.size : 0,
                   text.size > 0 ? text.data : "");
}

static void on_member(void *owner, const struct group_member_view *member)
{
    struct client *client = owner;

    CHECK(client->member_count < MEMBERS_MAX);
    copy_text(client->members[client->member_count++], sizeof client->members[0],
              member->member_id);
}

static void on_joined(struct group_join *join, const struct group_join_result *result)
{
    struct client *client = join->owner;

    CHECK(client->is_joining);
    client->is_joining = false;
    client->error = result->error;
    client->member_count = 0;
    if (result->error == KAFKA_NONE || result->error == KAFKA_MEMBER_ID_REQUIRED) {
        copy_text(client->id, sizeof client->id, result->member_id);
        copy_text(client->leader, sizeof client->leader, result->leader);
        copy_text(client->protocol, sizeof client->protocol, result->protocol);
        client->generation = result->generation;
        client->skips = result->skips_assignment;
    }
    if (result->members_of != NULL) {
        group_each_member(result->members_of, on_member, client);
    }
}

static void begin_join(struct client *client, bool needs_id)
{
    client->is_joining = true;
    client->join = (struct group_join){
        .group = wire_text("g"),
        .member_id = wire_text(client->id),
        .instance_id = wire_text(client->instance),
        .client_id = wire_text(client->name),
        .client_host = wire_text("10.0.0.1"),
        .protocol_type = wire_text("consumer"),
        .protocols = client->protocols,
        .protocol_count = client->protocol_count,
        .session_ms = client->session_ms,
        .rebalance_ms = REBALANCE_MS,
        .needs_member_id = needs_id,
        .knows_skip_assignment = true,
        .cb = on_joined,
        .owner = client,
    };
    groups_join(groups_of(client), &client->join);
}

/* Both steps of a new member. */
static void begin(struct client *client)
{
    begin_join(client, true);
    if (!client->is_joining && client->error == KAFKA_MEMBER_ID_REQUIRED) {
        begin_join(client, true);
    }
}

static void on_synced(struct group_sync *sync, const struct group_sync_result *result)
{
    struct client *client = sync->owner;

    CHECK(client->is_syncing);
    client->is_syncing = false;
    client->error = result->error;
    (void)snprintf(client->part, sizeof client->part, "%.*s",
                   result->assignment.size > 0 ? (int)result->assignment.size : 0,
                   result->assignment.size > 0 ? (const char *)result->assignment.data : "");
}

static struct group_caller caller_of(const struct client *client)
{
    return (struct group_caller){wire_text("g"), wire_text(client->id), wire_text(client->instance),
                                 client->generation};
}

/* A leader gives each member "part of <id>". */
static void begin_sync(struct client *client)
{
    struct group_assignment assignments[MEMBERS_MAX];
    char parts[MEMBERS_MAX][160];

    for (int i = 0; i < client->member_count; i++) {
        (void)snprintf(parts[i], sizeof parts[i], "%.60s", client->members[i]);
        assignments[i] =
            (struct group_assignment){wire_text(client->members[i]), bytes_of(parts[i])};
    }
    client->is_syncing = true;
    client->sync = (struct group_sync){
        .caller = caller_of(client),
        .protocol_type = {NULL, -1},
        .protocol = {NULL, -1},
        .assignments = assignments,
        .assignment_count = client->member_count,
        .cb = on_synced,
        .owner = client,
    };
    groups_sync(groups_of(client), &client->sync);
    client->sync.assignments = NULL;
}

static int16_t beat(const struct client *client)
{
    struct group_caller caller = caller_of(client);

    return groups_heartbeat(groups_of(client), &caller);
}

static int16_t leave(const struct client *client)
{
    struct group_caller caller = caller_of(client);

    return groups_leave(groups_of(client), &caller);
}

static void pass_ms(struct queue_fixture *f, int64_t ms)
{
    for (; ms > 0; ms -= 100) {
        test_clock_advance_us(&f->clock, 100 * 1000);
        queue_fixture_turn(f);
    }
}

/* Turns until nobody of these waits. */
static void settle(struct client *const *clients, size_t count)
{
    for (int i = 0; i < 1000; i++) {
        bool waits = false;
        for (size_t c = 0; c < count; c++) {
            waits = waits || clients[c]->is_joining || clients[c]->is_syncing;
        }
        if (!waits) {
            return;
        }
        pass_ms(clients[0]->f, 100);
    }
    test_fail(__FILE__, __LINE__, "somebody waits in vain");
}

static struct queue_fixture *open_fixture(uint64_t seed)
{
    struct queue_fixture *f = queue_fixture_new(seed);

    CHECK_OK(queue_fixture_open(f), &f->error);
    return f;
}

static enum group_state state_of(struct queue_fixture *f)
{
    const struct group *group = groups_find(f->queue->groups, wire_text("g"));

    CHECK(group != NULL);
    return group_state(group);
}

/* Two members, stable, and each has its part. */
static void two(struct client *a, struct client *b)
{
    struct client *both[] = {a, b};

    begin(a);
    begin(b);
    if (!a->is_joining) {
        begin_join(a, true); /* it was alone for one generation */
    }
    settle(both, 2);
    CHECK_EQ(a->error, KAFKA_NONE);
    CHECK_EQ(a->generation, b->generation);
    CHECK_EQ(a->member_count + b->member_count, 2);
    begin_sync(a);
    begin_sync(b);
    settle(both, 2);
    CHECK_EQ(a->error, KAFKA_NONE);
    CHECK_EQ(b->error, KAFKA_NONE);
    CHECK(strncmp(a->part, a->id, 60) == 0);
    CHECK(strncmp(b->part, b->id, 60) == 0);
    CHECK_EQ(state_of(a->f), GROUP_STABLE);
}

TEST(groups, lead_one_member_from_first_to_last)
{
    struct queue_fixture *f = open_fixture(1);
    struct client a = client_of(f, "a");
    struct client *all[] = {&a};

    begin_join(&a, true);
    CHECK_EQ(a.error, KAFKA_MEMBER_ID_REQUIRED);
    CHECK(strncmp(a.id, "a-", 2) == 0);
    begin_join(&a, true);
    settle(all, 1);
    CHECK_EQ(a.error, KAFKA_NONE);
    CHECK_EQ(a.generation, 1);
    CHECK_STR(a.leader, a.id);
    CHECK_STR(a.protocol, "range");
    CHECK_EQ(a.member_count, 1);
    CHECK_EQ(state_of(f), GROUP_COMPLETING_REBALANCE);
    CHECK_EQ(beat(&a), KAFKA_NONE);
    begin_sync(&a);
    settle(all, 1);
    CHECK_EQ(state_of(f), GROUP_STABLE);
    CHECK_EQ(beat(&a), KAFKA_NONE);
    a.generation += 1;
    CHECK_EQ(beat(&a), KAFKA_ILLEGAL_GENERATION);
    a.generation -= 1;
    CHECK_EQ(groups_delete(f->queue->groups, wire_text("g")), KAFKA_NON_EMPTY_GROUP);
    CHECK_EQ(leave(&a), KAFKA_NONE);
    CHECK_EQ(leave(&a), KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_EQ(beat(&a), KAFKA_UNKNOWN_MEMBER_ID);
    queue_fixture_turn(f);
    CHECK_EQ(state_of(f), GROUP_EMPTY);
    CHECK_EQ(groups_delete(f->queue->groups, wire_text("g")), KAFKA_NONE);
    CHECK_EQ(groups_delete(f->queue->groups, wire_text("g")), KAFKA_GROUP_ID_NOT_FOUND);
    queue_fixture_free(f);
}

TEST(groups, divide_the_work_anew_when_somebody_comes_or_goes)
{
    struct queue_fixture *f = open_fixture(2);
    struct client a = client_of(f, "a");
    struct client b = client_of(f, "b");
    struct client c = client_of(f, "c");
    struct client *three[] = {&a, &b, &c};

    two(&a, &b);
    begin(&c);
    CHECK(c.is_joining);
    CHECK_EQ(beat(&a), KAFKA_REBALANCE_IN_PROGRESS);
    begin_sync(&b);
    CHECK_EQ(b.error, KAFKA_REBALANCE_IN_PROGRESS);
    begin_join(&a, true);
    begin_join(&b, true);
    settle(three, 3);
    CHECK_EQ(a.member_count + b.member_count + c.member_count, 3);
    begin_sync(&a);
    begin_sync(&b);
    begin_sync(&c);
    settle(three, 3);
    CHECK(strncmp(c.part, c.id, 60) == 0);
    CHECK_EQ(leave(&c), KAFKA_NONE);
    CHECK_EQ(beat(&a), KAFKA_REBALANCE_IN_PROGRESS);
    two(&a, &b);
    queue_fixture_free(f);
}

/* Who falls silent is taken out after its session; who does not come back, after the rebalance's
 * time; who does not ask for its part, too. */
TEST(groups, take_out_who_is_not_there)
{
    struct queue_fixture *f = open_fixture(3);
    struct client a = client_of(f, "a");
    struct client b = client_of(f, "b");
    struct client *all[] = {&a, &b};

    two(&a, &b);
    for (int i = 0; i < 4 * SESSION_MS / 1000 && beat(&a) == KAFKA_NONE; i++) {
        pass_ms(f, 1000);
    }
    CHECK_EQ(beat(&a), KAFKA_REBALANCE_IN_PROGRESS);
    CHECK_EQ(beat(&b), KAFKA_UNKNOWN_MEMBER_ID);
    begin_join(&a, true);
    CHECK(!a.is_joining); /* nobody else is waited for */
    CHECK_EQ(a.member_count, 1);
    begin_sync(&a);
    settle(all, 1);

    b.id[0] = '\0';
    begin(&b); /* and a does not come back, though it is alive */
    for (int i = 0; i < 2 * REBALANCE_MS / 1000 && b.is_joining; i++) {
        (void)beat(&a);
        pass_ms(f, 1000);
    }
    CHECK_EQ(b.error, KAFKA_NONE);
    CHECK_EQ(b.member_count, 1);
    CHECK_EQ(beat(&a), KAFKA_UNKNOWN_MEMBER_ID);
    for (int i = 0; i < 2 * REBALANCE_MS / 1000 && beat(&b) == KAFKA_NONE; i++) {
        pass_ms(f, 1000); /* b leads, and never says how */
    }
    CHECK_EQ(beat(&b), KAFKA_UNKNOWN_MEMBER_ID);
    queue_fixture_turn(f);
    queue_fixture_free(f);
}

/* KIP-345: the instance that comes back gets its old part at once; the one that it was is fenced.
 */
TEST(groups, know_static_members_again)
{
    struct queue_fixture *f = open_fixture(4);
    struct client a = client_of(f, "a");
    struct client b = client_of(f, "b");
    struct client old;
    struct client *both[] = {&a, &b};
    int32_t generation;

    a.instance = "one";
    b.instance = "two";
    two(&a, &b);
    CHECK(strncmp(a.id, "one-", 4) == 0);
    generation = a.generation;
    for (int turn = 0; turn < 2; turn++) { /* a leads, b follows */
        struct client *back = both[turn];
        old = *back;
        back->id[0] = '\0';
        begin_join(back, true);
        CHECK(!back->is_joining);
        CHECK_EQ(back->error, KAFKA_NONE);
        CHECK_EQ(back->generation, generation);
        CHECK(strcmp(back->id, old.id) != 0);
        CHECK_EQ(back->skips, turn == 0);
        CHECK_EQ(beat(&old), KAFKA_FENCED_INSTANCE_ID);
        begin_sync(back);
        settle(both, 2);
        CHECK_EQ(back->error, KAFKA_NONE);
        CHECK_STR(back->part, old.part);
    }
    queue_fixture_turn(f);
    queue_fixture_close(f);
    CHECK_OK(queue_fixture_open(f), &f->error);
    CHECK_EQ(beat(&a), KAFKA_NONE); /* by the new names */
    CHECK_EQ(beat(&b), KAFKA_NONE);
    CHECK_EQ(beat(&old), KAFKA_FENCED_INSTANCE_ID);
    b.id[0] = '\0'; /* leaving by the name alone */
    CHECK_EQ(leave(&b), KAFKA_NONE);
    CHECK_EQ(beat(&a), KAFKA_REBALANCE_IN_PROGRESS);
    queue_fixture_free(f);
}

TEST(groups, go_on_after_a_restart)
{
    struct queue_fixture *f = open_fixture(5);
    struct client a = client_of(f, "a");
    struct client b = client_of(f, "b");
    const struct group *group;

    two(&a, &b);
    queue_fixture_close(f);
    CHECK_OK(queue_fixture_open(f), &f->error);
    CHECK_EQ(state_of(f), GROUP_STABLE);
    CHECK_EQ(beat(&a), KAFKA_NONE);
    CHECK_EQ(beat(&b), KAFKA_NONE);
    begin_sync(&b);
    CHECK(strncmp(b.part, b.id, 60) == 0);
    group = groups_find(f->queue->groups, wire_text("g"));
    CHECK_EQ(group_member_count(group), 2);
    CHECK(wire_string_is(group_protocol_type(group), "consumer"));
    CHECK(wire_string_is(group_protocol(group), "range"));
    CHECK_EQ(leave(&a), KAFKA_NONE);
    CHECK_EQ(leave(&b), KAFKA_NONE);
    queue_fixture_turn(f);
    queue_fixture_close(f);
    CHECK_OK(queue_fixture_open(f), &f->error);
    CHECK_EQ(state_of(f), GROUP_EMPTY);
    CHECK_EQ(beat(&a), KAFKA_UNKNOWN_MEMBER_ID);
    pass_ms(f, 1300 * 1000); /* without offsets there is nothing to remember it for */
    CHECK(groups_find(f->queue->groups, wire_text("g")) == NULL);
    CHECK(!group_offsets_has_group(f->queue->offsets, wire_text("g")));
    queue_fixture_free(f);
}

static void count_commit(struct offsets_commit *commit)
{
    *(int *)commit->owner -= 1;
}

/* Commits until the log of the group has been written anew, more than once. */
static void commit_much(struct queue_fixture *f)
{
    char metadata[4000];
    struct offsets_item item = {wire_text("app"), 0, 0, -1, {metadata, sizeof metadata}};
    struct offsets_commit commit = {.group = wire_text("g"), .items = &item, .item_count = 1};
    int pending = 0;

    memset(metadata, 'm', sizeof metadata);
    commit.cb = count_commit;
    commit.owner = &pending;
    for (item.offset = 1; item.offset <= 1200; item.offset++) {
        pending += 1;
        CHECK_EQ(group_offsets_commit(f->queue->offsets, &commit), 0);
        while (pending > 0) {
            pass_ms(f, 100);
        }
    }
}

/* What is stored of a group outlives the log that it was written to first. */
TEST(groups, go_on_after_their_log_was_written_anew)
{
    struct queue_fixture *f = queue_fixture_new(9);
    struct client a = client_of(f, "a");
    struct client b = client_of(f, "b");
    struct partition *partition;

    a.session_ms = b.session_ms = LONG_MS; /* longer than what follows */
    queue_fixture_topic(f, "app", false);
    CHECK_OK(queue_fixture_open(f), &f->error);
    two(&a, &b);
    commit_much(f);
    partition =
        replicas_partition(image_find_text(meta_image(f->queue->meta), "__consumer_offsets"),
                           group_offsets_partition(wire_text("g")));
    CHECK_GT(log_start_offset(partition->log), 2);
    queue_fixture_close(f);
    CHECK_OK(queue_fixture_open(f), &f->error);
    CHECK_EQ(state_of(f), GROUP_STABLE);
    CHECK_EQ(group_offsets_get(f->queue->offsets, wire_text("g"), wire_text("app"), 0)->offset,
             1200);
    queue_fixture_free(f);
}

TEST(groups, refuse_with_the_right_word)
{
    struct queue_fixture *f = queue_fixture_new(6);
    struct client a = client_of(f, "a");
    struct client b = client_of(f, "b");
    struct client c = client_of(f, "c");
    struct group_caller caller;

    f->config.groups.members_max = 2;
    CHECK_OK(queue_fixture_open(f), &f->error);
    (void)snprintf(a.id, sizeof a.id, "invented");
    begin_join(&a, true);
    CHECK_EQ(a.error, KAFKA_UNKNOWN_MEMBER_ID);
    CHECK_EQ(groups_count(f->queue->groups), 0);
    a.id[0] = '\0';
    a.protocol_count = 0;
    begin_join(&a, true);
    CHECK_EQ(a.error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    a.protocol_count = 2;
    two(&a, &b);
    begin(&c);
    CHECK_EQ(c.error, KAFKA_GROUP_MAX_SIZE_REACHED);
    CHECK_EQ(leave(&b), KAFKA_NONE);
    c.protocols[0].name = wire_text("other");
    c.protocol_count = 1;
    begin(&c);
    CHECK_EQ(c.error, KAFKA_INCONSISTENT_GROUP_PROTOCOL);
    caller = caller_of(&a);
    CHECK_EQ(groups_check_commit(f->queue->groups, &caller), KAFKA_NONE); /* while preparing */
    caller.generation += 1;
    CHECK_EQ(groups_check_commit(f->queue->groups, &caller), KAFKA_ILLEGAL_GENERATION);
    caller.member_id = wire_text("invented");
    CHECK_EQ(groups_check_commit(f->queue->groups, &caller), KAFKA_UNKNOWN_MEMBER_ID);
    caller = (struct group_caller){wire_text("g"), wire_text(""), wire_text(NULL), -1};
    CHECK_EQ(groups_check_commit(f->queue->groups, &caller), KAFKA_UNKNOWN_MEMBER_ID);
    caller.group = wire_text("none");
    CHECK_EQ(groups_check_commit(f->queue->groups, &caller), KAFKA_NONE);
    caller.generation = 3;
    CHECK_EQ(groups_check_commit(f->queue->groups, &caller), KAFKA_GROUP_ID_NOT_FOUND);
    begin_join(&a, true);
    caller = caller_of(&a);
    CHECK_EQ(groups_check_commit(f->queue->groups, &caller), KAFKA_REBALANCE_IN_PROGRESS);
    queue_fixture_free(f);
}

/* Members of old clients, which learn their id with the answer, leave no trace when they hang up
 * before; others have their session's time to come again. */
TEST(groups, forget_who_hung_up)
{
    struct queue_fixture *f = queue_fixture_new(7);
    struct client a = client_of(f, "a");
    struct client b = client_of(f, "b");
    struct client *both[] = {&a, &b};

    f->config.groups.initial_delay_ms = 3000;
    CHECK_OK(queue_fixture_open(f), &f->error);
    begin_join(&a, false);
    CHECK(a.is_joining);
    groups_join_cancel(f->queue->groups, &a.join);
    a.is_joining = false;
    pass_ms(f, 6000);
    CHECK(groups_find(f->queue->groups, wire_text("g")) == NULL);
    two(&a, &b);
    begin_join(&a, true); /* leads: a new generation */
    CHECK(a.is_joining);
    groups_join_cancel(f->queue->groups, &a.join);
    a.is_joining = false;
    begin_join(&b, true);
    settle(both, 2);
    CHECK_EQ(b.error, KAFKA_NONE);
    begin_sync(&b);
    CHECK(b.is_syncing);  /* the leader has not heard of this generation */
    begin_join(&a, true); /* the same answer again */
    CHECK_EQ(a.generation, b.generation);
    CHECK_EQ(a.member_count, 2);
    begin_sync(&a);
    settle(both, 2);
    CHECK_EQ(b.error, KAFKA_NONE);
    CHECK(strncmp(b.part, b.id, 60) == 0);
    queue_fixture_free(f);
}

/* A disk that refuses costs a generation, not the group. */
TEST(groups, ask_again_when_the_parts_cannot_be_stored)
{
    struct queue_fixture *f = open_fixture(8);
    struct client a = client_of(f, "a");
    struct client b = client_of(f, "b");
    struct client *both[] = {&a, &b};

    two(&a, &b);
    begin_join(&a, true);
    begin_join(&b, true);
    settle(both, 2);
    fault_set_more(&f->disk->faults[DISK_ANY], 1, 1, MR_EIO);
    begin_sync(&b);
    begin_sync(&a);
    settle(both, 2);
    fault_set(&f->disk->faults[DISK_ANY], 0, 0);
    if (a.error != KAFKA_NONE) {
        CHECK_EQ(a.error, KAFKA_REBALANCE_IN_PROGRESS);
        CHECK_EQ(b.error, KAFKA_REBALANCE_IN_PROGRESS);
    }
    queue_fixture_free(f);
}

/* ---- anything at any time ---- */

struct crowd {
    struct client clients[MEMBERS_MAX];
    bool is_member[MEMBERS_MAX]; /* as far as it knows */
};

/* What a client does next, as real ones do: join, sync, beat. */
static void step(struct client *client, bool *is_member)
{
    int16_t error;

    if (client->is_joining || client->is_syncing) {
        return;
    }
    if (client->error == KAFKA_UNKNOWN_MEMBER_ID || client->error == KAFKA_FENCED_INSTANCE_ID) {
        client->id[0] = '\0';
        *is_member = false;
    }
    if (!*is_member || client->error != KAFKA_NONE) {
        client->error = KAFKA_NONE;
        client->part[0] = '\0';
        begin(client);
        *is_member = true;
        return;
    }
    if (client->part[0] == '\0') {
        begin_sync(client);
        return;
    }
    error = beat(client);
    if (error != KAFKA_NONE) {
        client->error = error;
    }
}

static void disturb(struct queue_fixture *f, struct client *client, bool *is_member)
{
    switch (mr_random_below(&f->random.base, 12)) {
    case 0: /* it is killed */
        if (client->is_joining) {
            groups_join_cancel(f->queue->groups, &client->join);
        }
        if (client->is_syncing) {
            groups_sync_cancel(f->queue->groups, &client->sync);
        }
        client->is_joining = client->is_syncing = false;
        client->id[0] = '\0';
        client->error = KAFKA_NONE;
        *is_member = false;
        break;
    case 1:
        if (!client->is_joining && !client->is_syncing && *is_member) {
            (void)leave(client);
            client->id[0] = '\0';
            client->error = KAFKA_NONE;
            *is_member = false;
        }
        break;
    case 2: /* it hangs up and comes again */
        if (client->is_joining) {
            groups_join_cancel(f->queue->groups, &client->join);
            client->is_joining = false;
            client->error = KAFKA_REBALANCE_IN_PROGRESS;
        }
        break;
    default:
        break;
    }
}

static bool is_calm(struct queue_fixture *f, const struct crowd *crowd, int count)
{
    const struct group *group = groups_find(f->queue->groups, wire_text("g"));

    if (group == NULL || group_state(group) != GROUP_STABLE ||
        group_member_count(group) != (size_t)count) {
        return false; /* the dead are still in it, or somebody divides anew */
    }
    for (int i = 0; i < count; i++) {
        const struct client *client = &crowd->clients[i];
        if (client->part[0] == '\0' || client->error != KAFKA_NONE ||
            client->generation != crowd->clients[0].generation ||
            strncmp(client->part, client->id, 60) != 0) {
            return false;
        }
    }
    return true;
}

/* Whatever members do, once they are quiet the group becomes stable with all of them, each with
 * its own part; and nobody waits in vain. */
TEST(groups, become_stable_after_any_disturbance)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};

    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct queue_fixture *f = queue_fixture_new(seed);
        int count = 2 + (int)(seed % (MEMBERS_MAX - 1));
        struct crowd *crowd = mr_calloc(1, sizeof *crowd);
        int rounds = 0;
        f->config.groups.initial_delay_ms = seed % 2 == 0 ? 0 : 500;
        CHECK_OK(queue_fixture_open(f), &f->error);
        for (int i = 0; i < count; i++) {
            crowd->clients[i] = client_of(f, names[i]);
            crowd->clients[i].instance = i % 3 == 2 ? names[i] : NULL;
        }
        for (int i = 0; i < 300; i++) {
            int who = (int)mr_random_below(&f->random.base, (uint64_t)count);
            step(&crowd->clients[who], &crowd->is_member[who]);
            disturb(f, &crowd->clients[who], &crowd->is_member[who]);
            pass_ms(f, 100 * (int64_t)mr_random_below(&f->random.base, 20));
        }
        while (!is_calm(f, crowd, count)) {
            for (int i = 0; i < count; i++) {
                step(&crowd->clients[i], &crowd->is_member[i]);
            }
            pass_ms(f, 500);
            rounds++;
            CHECK_LT(rounds, 2000);
        }
        CHECK_EQ(state_of(f), GROUP_STABLE);
        CHECK_EQ(group_member_count(groups_find(f->queue->groups, wire_text("g"))), (size_t)count);
        for (int i = 0; i < count; i++) {
            CHECK_EQ(leave(&crowd->clients[i]), KAFKA_NONE);
        }
        queue_fixture_turn(f);
        CHECK_EQ(state_of(f), GROUP_EMPTY);
        queue_fixture_free(f);
        mr_free(crowd);
    }
}
