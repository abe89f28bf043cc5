/* From certificates to names, by Kafka's rules: the examples of KIP-371, and what is refused. */
#include <string.h>

#include "base/core/error.h"
#include "queue/broker/principal.h"
#include "tests/lib/test.h"

static const char duke[] = "CN=Duke,OU=ServiceUsers,O=Unknown,L=Unknown,ST=Unknown,C=Unknown";

/* "" where no rule matches. */
static const char *name_of(const char *const *texts, size_t count, const char *subject)
{
    static char name[PRINCIPAL_NAME_SIZE];
    struct principal_rules *rules = NULL;
    struct mr_error error = {0};

    CHECK_OK(principal_rules_new(texts, count, &rules, &error), &error);
    if (principal_rules_apply(rules, subject, name, sizeof name) != 0) {
        name[0] = '\0';
    }
    principal_rules_free(rules);
    return name;
}

TEST(principal, rules_are_those_of_kafka)
{
    static const char *const rules[] = {
        "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/",
        "RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L",
        "RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/U", "DEFAULT"};

    CHECK_STR(name_of(rules, 4, duke), "Duke");
    CHECK_STR(name_of(rules, 4, "CN=Duke,OU=SME,O=mycp,L=Fulton,ST=MD,C=US"), "duke@sme");
    CHECK_STR(name_of(rules, 4, "cn=duke.x,ou=y"), "DUKE.X");
    CHECK_STR(name_of(rules, 4, "O=nobody"), "O=nobody");
    CHECK_STR(name_of(NULL, 0, duke), duke);
    CHECK_STR(name_of(rules, 1, "CN=other"), "");
}

/* A pattern that covers a part only must not make a name of the rest: CN=admin in another field. */
TEST(principal, a_pattern_covers_the_whole_subject)
{
    static const char *const rules[] = {"RULE:CN=([a-z]+)/$1/"};

    CHECK_STR(name_of(rules, 1, "CN=admin"), "admin");
    CHECK_STR(name_of(rules, 1, "CN=admin,O=evil"), "");
    CHECK_STR(name_of(rules, 1, "O=evil,CN=admin"), "");
    CHECK_STR(name_of(rules, 1, "CN=admin\n"), "");
}

TEST(principal, what_is_no_rule)
{
    static const char *const bad[] = {"",         "default",      "RULE:",       "RULE:a",
                                      "RULE:a/b", "RULE:a/b/X",   "RULE:a/b/LU", "RULE:(/b/",
                                      "a/b/",     "RULE:a\\/b\\/"};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct principal_rules *rules = NULL;
        struct mr_error error = {0};
        CHECK_EQ(principal_rules_new(&bad[i], 1, &rules, &error), MR_EINVAL);
        CHECK(rules == NULL);
        CHECK(error.text[0] != '\0');
    }
}

TEST(principal, a_name_that_does_not_fit_is_refused)
{
    static const char *const rules[] = {"RULE:(.*)/$1$1/"};
    struct principal_rules *made = NULL;
    char name[8];

    CHECK_EQ(principal_rules_new(rules, 1, &made, NULL), 0);
    CHECK_EQ(principal_rules_apply(made, "abc", name, sizeof name), 0);
    CHECK_STR(name, "abcabc");
    CHECK_EQ(principal_rules_apply(made, "abcd", name, sizeof name), MR_ETOOLARGE);
    principal_rules_free(made);
}
