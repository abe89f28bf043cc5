/* Access control lists: what decides, what is implied, what filters find; and that the fast
 * decision is the plain one. */
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/random.h"
#include "queue/meta/acl.h"
#include "tests/lib/test.h"

static struct acl_binding binding(int permission, const char *principal, int operation,
                                  int resource, int pattern, const char *name)
{
    return (struct acl_binding){
        .resource = (int8_t)resource,
        .pattern = (int8_t)pattern,
        .operation = (int8_t)operation,
        .permission = (int8_t)permission,
        .name = wire_text(name),
        .principal = wire_text(principal),
        .host = wire_text("*"),
    };
}

static void add(struct acl_set *set, int permission, const char *principal, int operation,
                int resource, int pattern, const char *name)
{
    struct acl_binding made = binding(permission, principal, operation, resource, pattern, name);

    CHECK(acl_check(&made) == NULL);
    CHECK_EQ(acl_add(set, &made), 0);
    CHECK_EQ(acl_add(set, &made), MR_EEXIST);
}

static bool may(const struct acl_set *set, const char *principal, enum acl_operation operation,
                const char *topic)
{
    return acl_decide(set, principal, "10.0.0.1", operation, ACL_TOPIC, wire_text(topic)) ==
           ACL_SAYS_YES;
}

TEST(acl, nothing_is_allowed_at_first)
{
    struct acl_set set;

    acl_set_init(&set);
    CHECK_EQ(acl_decide(&set, "User:a", "h", ACL_READ, ACL_TOPIC, wire_text("t")),
             ACL_SAYS_NOTHING);
    add(&set, ACL_ALLOW, "User:b", ACL_READ, ACL_TOPIC, ACL_LITERAL, "t");
    CHECK_EQ(acl_decide(&set, "User:a", "h", ACL_READ, ACL_TOPIC, wire_text("t")), ACL_SAYS_NO);
    CHECK_EQ(acl_decide(&set, "User:a", "h", ACL_READ, ACL_TOPIC, wire_text("u")),
             ACL_SAYS_NOTHING);
    CHECK_EQ(acl_decide(&set, "User:b", "h", ACL_READ, ACL_GROUP, wire_text("t")),
             ACL_SAYS_NOTHING);
    acl_set_done(&set);
}

TEST(acl, literal_wildcard_and_prefix)
{
    struct acl_set set;

    acl_set_init(&set);
    add(&set, ACL_ALLOW, "User:a", ACL_READ, ACL_TOPIC, ACL_LITERAL, "web");
    add(&set, ACL_ALLOW, "User:a", ACL_WRITE, ACL_TOPIC, ACL_PREFIXED, "web.");
    add(&set, ACL_ALLOW, "User:*", ACL_DELETE, ACL_TOPIC, ACL_LITERAL, "*");
    CHECK(may(&set, "User:a", ACL_READ, "web"));
    CHECK(!may(&set, "User:a", ACL_READ, "webx"));
    CHECK(!may(&set, "User:a", ACL_READ, "we"));
    CHECK(!may(&set, "User:a", ACL_WRITE, "web"));
    CHECK(may(&set, "User:a", ACL_WRITE, "web."));
    CHECK(may(&set, "User:a", ACL_WRITE, "web.access"));
    CHECK(!may(&set, "User:b", ACL_WRITE, "web.access"));
    CHECK(may(&set, "User:b", ACL_DELETE, "anything"));
    CHECK(!may(&set, "Group:a", ACL_READ, "web"));
    acl_set_done(&set);
}

/* Kafka's: READ, WRITE, DELETE and ALTER imply DESCRIBE, ALTER_CONFIGS implies DESCRIBE_CONFIGS. */
TEST(acl, what_an_allow_implies)
{
    static const int implying[] = {ACL_READ,  ACL_WRITE, ACL_DELETE,
                                   ACL_ALTER, ACL_ALL,   ACL_DESCRIBE};

    for (int operation = ACL_ALL; operation < ACL_OPERATION_END; operation++) {
        struct acl_set set;
        bool is_expected = false;
        for (size_t i = 0; i < sizeof implying / sizeof implying[0]; i++) {
            is_expected = is_expected || implying[i] == operation;
        }
        acl_set_init(&set);
        add(&set, ACL_ALLOW, "User:a", operation, ACL_TOPIC, ACL_LITERAL, "t");
        CHECK_EQ(may(&set, "User:a", ACL_DESCRIBE, "t"), is_expected);
        CHECK_EQ(may(&set, "User:a", ACL_DESCRIBE_CONFIGS, "t"),
                 operation == ACL_ALL || operation == ACL_ALTER_CONFIGS ||
                     operation == ACL_DESCRIBE_CONFIGS);
        CHECK_EQ(may(&set, "User:a", ACL_READ, "t"), operation == ACL_ALL || operation == ACL_READ);
        acl_set_done(&set);
    }
}

TEST(acl, a_deny_decides_and_implies_nothing)
{
    struct acl_set set;

    acl_set_init(&set);
    add(&set, ACL_ALLOW, "User:a", ACL_ALL, ACL_TOPIC, ACL_LITERAL, "*");
    add(&set, ACL_DENY, "User:a", ACL_READ, ACL_TOPIC, ACL_PREFIXED, "secret.");
    add(&set, ACL_DENY, "User:*", ACL_WRITE, ACL_TOPIC, ACL_LITERAL, "frozen");
    CHECK(may(&set, "User:a", ACL_READ, "open"));
    CHECK(!may(&set, "User:a", ACL_READ, "secret.x"));
    CHECK(may(&set, "User:a", ACL_DESCRIBE, "secret.x"));
    CHECK(may(&set, "User:a", ACL_WRITE, "secret.x"));
    CHECK(!may(&set, "User:a", ACL_WRITE, "frozen"));
    acl_set_done(&set);
}

TEST(acl, hosts_count)
{
    struct acl_set set;
    struct acl_binding one = binding(ACL_ALLOW, "User:a", ACL_READ, ACL_TOPIC, ACL_LITERAL, "t");

    acl_set_init(&set);
    one.host = wire_text("10.0.0.1");
    CHECK_EQ(acl_add(&set, &one), 0);
    CHECK_EQ(acl_decide(&set, "User:a", "10.0.0.1", ACL_READ, ACL_TOPIC, wire_text("t")),
             ACL_SAYS_YES);
    CHECK_EQ(acl_decide(&set, "User:a", "10.0.0.2", ACL_READ, ACL_TOPIC, wire_text("t")),
             ACL_SAYS_NO);
    acl_set_done(&set);
}

TEST(acl, what_is_removed_is_gone)
{
    struct acl_set set;
    struct acl_binding one = binding(ACL_ALLOW, "User:a", ACL_READ, ACL_TOPIC, ACL_PREFIXED, "t");

    acl_set_init(&set);
    CHECK_EQ(acl_add(&set, &one), 0);
    CHECK(may(&set, "User:a", ACL_READ, "tt"));
    CHECK(acl_remove(&set, &one));
    CHECK(!acl_remove(&set, &one));
    CHECK(!may(&set, "User:a", ACL_READ, "tt"));
    CHECK_EQ(set.prefix_sizes[ACL_TOPIC][1], 0);
    acl_set_done(&set);
}

TEST(acl, what_cannot_be_added)
{
    struct acl_binding good = binding(ACL_ALLOW, "User:a", ACL_READ, ACL_TOPIC, ACL_LITERAL, "t");
    struct acl_binding bad;

#define REFUSED(field, value)                                                                      \
    do {                                                                                           \
        bad = good;                                                                                \
        bad.field = (value);                                                                       \
        CHECK(acl_check(&bad) != NULL);                                                            \
    } while (0)
    CHECK(acl_check(&good) == NULL);
    REFUSED(resource, 0);
    REFUSED(resource, ACL_RESOURCE_ANY);
    REFUSED(resource, ACL_RESOURCE_END);
    REFUSED(resource, ACL_CLUSTER); /* whose one name is kafka-cluster */
    REFUSED(resource, -1);
    REFUSED(pattern, ACL_PATTERN_MATCH);
    REFUSED(operation, ACL_OPERATION_ANY);
    REFUSED(operation, ACL_OPERATION_END);
    REFUSED(permission, ACL_PERMISSION_ANY);
    REFUSED(name, wire_text(""));
    REFUSED(name, wire_text(NULL));
    REFUSED(host, wire_text(""));
    REFUSED(principal, wire_text("alice"));
    REFUSED(principal, wire_text(":alice"));
    REFUSED(principal, wire_text("User:"));
#undef REFUSED
}

static size_t found(const struct acl_set *set, int resource, int pattern, const char *name,
                    const char *principal)
{
    struct acl_binding filter = {
        .resource = (int8_t)resource,
        .pattern = (int8_t)pattern,
        .operation = ACL_OPERATION_ANY,
        .permission = ACL_PERMISSION_ANY,
        .name = wire_text(name),
        .principal = wire_text(principal),
        .host = wire_text(NULL),
    };
    size_t count = 0;

    CHECK(acl_check_filter(&filter) == NULL);
    for (size_t i = 0; i < set->count; i++) {
        count += acl_matches(&set->items[i], &filter);
    }
    return count;
}

/* KIP-290: MATCH finds what decides over a name, the others find what was written. */
TEST(acl, filters_find_what_kafka_finds)
{
    struct acl_set set;

    acl_set_init(&set);
    add(&set, ACL_ALLOW, "User:a", ACL_READ, ACL_TOPIC, ACL_LITERAL, "web.access");
    add(&set, ACL_ALLOW, "User:b", ACL_READ, ACL_TOPIC, ACL_PREFIXED, "web");
    add(&set, ACL_ALLOW, "User:a", ACL_READ, ACL_TOPIC, ACL_LITERAL, "*");
    add(&set, ACL_ALLOW, "User:a", ACL_READ, ACL_GROUP, ACL_LITERAL, "web.access");
    CHECK_EQ(found(&set, ACL_RESOURCE_ANY, ACL_PATTERN_ANY, NULL, NULL), 4);
    CHECK_EQ(found(&set, ACL_TOPIC, ACL_PATTERN_ANY, NULL, NULL), 3);
    CHECK_EQ(found(&set, ACL_TOPIC, ACL_PATTERN_MATCH, "web.access", NULL), 3);
    CHECK_EQ(found(&set, ACL_TOPIC, ACL_PATTERN_MATCH, "other", NULL), 1);
    CHECK_EQ(found(&set, ACL_TOPIC, ACL_LITERAL, "web.access", NULL), 1);
    CHECK_EQ(found(&set, ACL_TOPIC, ACL_PREFIXED, "web.access", NULL), 0);
    CHECK_EQ(found(&set, ACL_TOPIC, ACL_PREFIXED, NULL, NULL), 1);
    CHECK_EQ(found(&set, ACL_TOPIC, ACL_PATTERN_ANY, "web", NULL), 1);
    CHECK_EQ(found(&set, ACL_RESOURCE_ANY, ACL_PATTERN_ANY, NULL, "User:b"), 1);
    acl_set_done(&set);
}

/* KIP-679: somewhere, unless a deny covers all that was allowed. */
TEST(acl, being_allowed_somewhere)
{
    struct acl_set set;

    acl_set_init(&set);
#define SOMEWHERE(who) acl_allows_somewhere(&set, who, "h", ACL_WRITE, ACL_TOPIC)
    add(&set, ACL_ALLOW, "User:a", ACL_WRITE, ACL_TOPIC, ACL_LITERAL, "t");
    CHECK(SOMEWHERE("User:a"));
    CHECK(!SOMEWHERE("User:b"));
    add(&set, ACL_DENY, "User:a", ACL_WRITE, ACL_TOPIC, ACL_LITERAL, "t");
    CHECK(!SOMEWHERE("User:a"));
    add(&set, ACL_ALLOW, "User:a", ACL_ALL, ACL_TOPIC, ACL_PREFIXED, "web.");
    CHECK(SOMEWHERE("User:a"));
    add(&set, ACL_DENY, "User:*", ACL_WRITE, ACL_TOPIC, ACL_PREFIXED, "we");
    CHECK(!SOMEWHERE("User:a"));
    add(&set, ACL_ALLOW, "User:*", ACL_WRITE, ACL_TOPIC, ACL_LITERAL, "*");
    CHECK(SOMEWHERE("User:b"));
    add(&set, ACL_DENY, "User:b", ACL_WRITE, ACL_TOPIC, ACL_LITERAL, "*");
    CHECK(!SOMEWHERE("User:b"));
    CHECK(SOMEWHERE("User:a"));
#undef SOMEWHERE
    acl_set_done(&set);
}

/* For READ, which nothing implies. */
static bool is_about(const struct acl *acl, const char *principal, enum acl_operation operation)
{
    return (strcmp(acl->principal, principal) == 0 || strcmp(acl->principal, "User:*") == 0) &&
           (acl->operation == (int8_t)operation || acl->operation == ACL_ALL);
}

/* The slow and obvious way to decide: look at every binding. */
static enum acl_decision decide_plainly(const struct acl_set *set, const char *principal,
                                        enum acl_operation operation, const char *topic)
{
    struct acl_binding filter = {ACL_TOPIC,          ACL_PATTERN_MATCH, ACL_OPERATION_ANY,
                                 ACL_PERMISSION_ANY, wire_text(topic),  wire_text(NULL),
                                 wire_text(NULL)};
    enum acl_decision verdict = ACL_SAYS_NOTHING;
    bool is_allowed = false;

    for (size_t i = 0; i < set->count; i++) {
        const struct acl *acl = &set->items[i];
        if (!acl_matches(acl, &filter)) {
            continue;
        }
        verdict = ACL_SAYS_NO;
        if (strcmp(acl->principal, principal) != 0 && strcmp(acl->principal, "User:*") != 0) {
            continue;
        }
        if (acl->operation == (int8_t)operation || acl->operation == ACL_ALL) {
            if (acl->permission == ACL_DENY) {
                return ACL_SAYS_NO;
            }
            is_allowed = true;
        }
    }
    return is_allowed ? ACL_SAYS_YES : verdict;
}

/* The slow and obvious way, as Kafka has it: an allow that no deny takes away. */
static bool somewhere_plainly(const struct acl_set *set, const char *principal,
                              enum acl_operation operation)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct acl *allow = &set->items[i];
        bool is_taken = false;
        if (allow->permission != ACL_ALLOW || !is_about(allow, principal, operation)) {
            continue;
        }
        for (size_t j = 0; j < set->count; j++) {
            const struct acl *deny = &set->items[j];
            bool is_wider =
                deny->pattern == ACL_PREFIXED
                    ? strncmp(allow->name, deny->name, strlen(deny->name)) == 0
                    : strcmp(deny->name, "*") == 0 ||
                          (allow->pattern == ACL_LITERAL && strcmp(deny->name, allow->name) == 0);
            is_taken = is_taken || (deny->permission == ACL_DENY &&
                                    is_about(deny, principal, operation) && is_wider);
        }
        if (!is_taken) {
            return true;
        }
    }
    return false;
}

/* Goal: the binary searches find what a walk over all finds. Method: random sets over few names, so
 * that prefixes, wildcards and denies meet; READ, which nothing implies. */
TEST(acl, decisions_are_those_of_a_plain_walk)
{
    static const char *const names[] = {"*", "a", "ab", "abc", "b", "ba", "abcd", "c"};
    static const char *const principals[] = {"User:x", "User:y", "User:*"};
    struct mr_random_seeded random;

    mr_random_seeded_init(&random, test_seed());
    for (int round = 0; round < 300; round++) {
        struct acl_set set;
        acl_set_init(&set);
        for (uint64_t i = mr_random_below(&random.base, 12); i > 0; i--) {
            struct acl_binding made =
                binding((int)mr_random_below(&random.base, 3) == 0 ? ACL_DENY : ACL_ALLOW,
                        principals[mr_random_below(&random.base, 3)],
                        ACL_ALL + (int)mr_random_below(&random.base, 3), ACL_TOPIC,
                        ACL_LITERAL + (int)mr_random_below(&random.base, 2),
                        names[mr_random_below(&random.base, 8)]);
            int rc = acl_add(&set, &made);
            CHECK(rc == 0 || rc == MR_EEXIST);
            if (mr_random_below(&random.base, 5) == 0) {
                CHECK(acl_remove(&set, &made));
            }
        }
        for (size_t name = 1; name < 8; name++) {
            CHECK_EQ(acl_decide(&set, "User:x", "h", ACL_READ, ACL_TOPIC, wire_text(names[name])),
                     decide_plainly(&set, "User:x", ACL_READ, names[name]));
        }
        for (size_t who = 0; who < 3; who++) {
            CHECK_EQ(acl_allows_somewhere(&set, principals[who], "h", ACL_READ, ACL_TOPIC),
                     somewhere_plainly(&set, principals[who], ACL_READ));
        }
        acl_set_done(&set);
    }
}
