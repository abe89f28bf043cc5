/* Globs: the table of what matches, prefixes for walking, bounds, and cost. */
#include "base/text/glob.h"

#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "tests/lib/test.h"

static struct mr_glob *compile(enum mr_glob_kind kind, const char *pattern)
{
    struct mr_glob *glob = NULL;

    CHECK_EQ(mr_glob_compile(kind, pattern, &glob, NULL), 0);
    return glob;
}

static bool matches(enum mr_glob_kind kind, const char *pattern, const char *text)
{
    struct mr_glob *glob = compile(kind, pattern);
    bool found = mr_glob_match(glob, text);

    mr_glob_free(glob);
    return found;
}

#define PATH_YES(pattern, path)   CHECK(matches(MR_GLOB_PATH, pattern, path))
#define PATH_NO(pattern, path)    CHECK(!matches(MR_GLOB_PATH, pattern, path))
#define TOPIC_YES(pattern, topic) CHECK(matches(MR_GLOB_TOPIC, pattern, topic))
#define TOPIC_NO(pattern, topic)  CHECK(!matches(MR_GLOB_TOPIC, pattern, topic))

TEST(glob, matches_within_a_component)
{
    PATH_YES("/var/log/*.log", "/var/log/a.log");
    PATH_YES("/var/log/*.log", "/var//log/a.log");
    PATH_NO("/var/log/*.log", "/var/log/x/a.log");
    PATH_NO("/var/log/*.log", "/var/log/a.log.1");
    PATH_NO("/var/log/*.log", "var/log/a.log");
    PATH_NO("/var/log/*.log", "/var/log/.log.log");
    PATH_YES("/var/log/.*.log", "/var/log/.a.log");
    PATH_YES("/a/b*c*d", "/a/bcd");
    PATH_YES("/a/b*c*d", "/a/bccxdcd");
    PATH_NO("/a/b*c*d", "/a/bccxdc");
    PATH_YES("/a/*", "/a/b");
    PATH_NO("/a/*", "/a");
    PATH_YES("/a?c", "/abc");
    PATH_YES("/a?c", "/a\xc3\xa4"
                     "c");
    PATH_NO("/a?c", "/ac");
    PATH_NO("/a?c", "/a/c");
    PATH_YES("/a/**b", "/a/xxb");
    PATH_NO("/a/**b", "/a/x/b");
    PATH_YES("/a\\*b", "/a*b");
    PATH_NO("/a\\*b", "/axb");
}

TEST(glob, matches_sets)
{
    PATH_YES("/x[abc]", "/xb");
    PATH_NO("/x[abc]", "/xd");
    PATH_YES("/x[a-c0-9]", "/x7");
    PATH_NO("/x[!a-c]", "/xb");
    PATH_YES("/x[!a-c]", "/xz");
    PATH_YES("/x[^a-c]", "/xz");
    PATH_YES("/x[]]", "/x]");
    PATH_YES("/x[!]]", "/xa");
    PATH_YES("/x[a-]", "/x-");
    PATH_YES("/x[\\]a]y", "/x]y");
    PATH_YES("/x[*]", "/x*");
    PATH_NO("/x[*]", "/xy");
    PATH_YES("/x[{,}]", "/x,");
}

TEST(glob, crosses_directories_with_two_stars)
{
    PATH_YES("/srv/**/*.log", "/srv/a.log");
    PATH_YES("/srv/**/*.log", "/srv/x/a.log");
    PATH_YES("/srv/**/*.log", "/srv/x/y/z/a.log");
    PATH_NO("/srv/**/*.log", "/srv/x/y/z/a.txt");
    PATH_NO("/srv/**/*.log", "/srw/a.log");
    PATH_NO("/srv/**/*.log", "/srv/.git/a.log");
    PATH_YES("/srv/**/.git/*.log", "/srv/x/.git/a.log");
    PATH_YES("/a/**/b/**/c", "/a/b/c");
    PATH_YES("/a/**/b/**/c", "/a/x/b/y/b/z/c");
    PATH_NO("/a/**/b/**/c", "/a/x/y/c");
    PATH_YES("/a/**", "/a/b");
    PATH_YES("/a/**", "/a/b/c");
    PATH_NO("/a/**", "/a");
    PATH_NO("/a/**", "/a/");
    PATH_YES("/a/**/**", "/a/b");
    PATH_YES("**/x", "a/b/x");
    PATH_YES("**/x", "x");
    PATH_YES("/**/x", "/x");
    PATH_YES("/**", "/x");
}

TEST(glob, expands_braces)
{
    PATH_YES("/var/{log,lib}/a", "/var/lib/a");
    PATH_NO("/var/{log,lib}/a", "/var/lob/a");
    PATH_YES("/x.{a,b{1,2}}", "/x.b2");
    PATH_NO("/x.{a,b{1,2}}", "/x.b");
    PATH_YES("/x{,.1}", "/x");
    PATH_YES("/x{,.1}", "/x.1");
    PATH_YES("{/a/b,/c}/*.log", "/a/b/x.log");
    PATH_YES("{/a/b,/c}/*.log", "/c/x.log");
    PATH_YES("/x\\{a\\}", "/x{a}");
    PATH_YES("/x{a\\,b,c}", "/xa,b");
    PATH_YES("/x{a}", "/xa");
}

/* As an exclude, a pattern without a slash is about names. */
TEST(glob, matches_names_when_there_is_no_slash)
{
    PATH_YES("*.gz", "/var/log/a.gz");
    PATH_NO("*.gz", "/var/log/a.gz/b");
    PATH_YES("*.{gz,bz2}", "/x.bz2");
    PATH_YES("access.log", "/var/log/access.log");
    PATH_NO("./access.log", "/var/log/access.log");
}

TEST(glob, keeps_internal_topics_apart)
{
    TOPIC_YES("*", "nginx.access");
    TOPIC_YES("*", ".hidden");
    TOPIC_YES("*", "_one");
    TOPIC_NO("*", "__consumer_offsets");
    TOPIC_NO("?_*", "__consumer_offsets");
    TOPIC_NO("_*", "__consumer_offsets");
    TOPIC_NO("[_]_*", "__consumer_offsets");
    TOPIC_YES("__*", "__consumer_offsets");
    TOPIC_YES("__dlq.*", "__dlq.search");
    TOPIC_NO("{a,*}", "__dlq.search");
    TOPIC_YES("{a,__*}", "__dlq.search");
    TOPIC_YES("nginx.{access,error}", "nginx.error");
    TOPIC_NO("nginx", "nginx.error");
}

TEST(glob, says_where_a_walk_begins_and_what_it_enters)
{
    struct mr_glob *glob = compile(MR_GLOB_PATH, "/{var/log,srv/*/x}/**/*.log");

    CHECK_EQ(mr_glob_count(glob), 2);
    CHECK(strcmp(mr_glob_prefix(glob, 0), "/var/log") == 0);
    CHECK(strcmp(mr_glob_prefix(glob, 1), "/srv") == 0);
    CHECK(mr_glob_literal(glob, 0) == NULL);
    CHECK(mr_glob_is_recursive(glob));
    CHECK(mr_glob_may_contain(glob, "/"));
    CHECK(mr_glob_may_contain(glob, "/var"));
    CHECK(mr_glob_may_contain(glob, "/var/log/a/b"));
    CHECK(!mr_glob_may_contain(glob, "/var/lib"));
    CHECK(!mr_glob_may_contain(glob, "/var/log/.git"));
    CHECK(mr_glob_may_contain(glob, "/srv/a"));
    CHECK(mr_glob_may_contain(glob, "/srv/a/x/y"));
    CHECK(!mr_glob_may_contain(glob, "/srv/a/y"));
    mr_glob_free(glob);

    glob = compile(MR_GLOB_PATH, "/var/log/a\\*b.log");
    CHECK(strcmp(mr_glob_prefix(glob, 0), "/var/log") == 0);
    CHECK(strcmp(mr_glob_literal(glob, 0), "/var/log/a*b.log") == 0);
    CHECK(!mr_glob_is_recursive(glob));
    CHECK(mr_glob_may_contain(glob, "/var/log"));
    CHECK(!mr_glob_may_contain(glob, "/var/log/a*b.log"));
    mr_glob_free(glob);

    glob = compile(MR_GLOB_PATH, "/*.log");
    CHECK(strcmp(mr_glob_prefix(glob, 0), "/") == 0);
    mr_glob_free(glob);
    glob = compile(MR_GLOB_PATH, "logs/*.log");
    CHECK(strcmp(mr_glob_prefix(glob, 0), "logs") == 0);
    CHECK(mr_glob_may_contain(glob, "."));
    mr_glob_free(glob);
    glob = compile(MR_GLOB_PATH, "*/x.log");
    CHECK(strcmp(mr_glob_prefix(glob, 0), ".") == 0);
    mr_glob_free(glob);
}

static void check_refused(const char *pattern, int code, const char *part)
{
    struct mr_glob *glob = NULL;
    struct mr_error error = {0};

    CHECK_EQ(mr_glob_compile(MR_GLOB_PATH, pattern, &glob, &error), code);
    CHECK(glob == NULL);
    CHECK(strstr(error.text, part) != NULL);
}

TEST(glob, refuses_what_is_not_closed_and_what_grows)
{
    check_refused("", MR_EINVAL, "empty");
    check_refused("/a/[bc", MR_EINVAL, "column 4");
    check_refused("/a[b/c]", MR_EINVAL, "column 3");
    check_refused("/a/{b,{c}", MR_EINVAL, "column 4");
    check_refused("/a}", MR_EINVAL, "column 3");
    check_refused("/a\\", MR_EINVAL, "column 3");
    check_refused("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", MR_ETOOLARGE, "256");
}

/* Patterns that make backtracking matchers take exponential time. */
TEST(glob, is_not_slow_on_evil_patterns)
{
    char text[2001];
    char path[2001];

    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    PATH_NO("a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text);
    for (size_t i = 0; i + 1 < sizeof path; i += 2) {
        memcpy(path + i, "/a", 2);
    }
    path[sizeof path - 1] = '\0';
    PATH_NO("/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/b", path);
}
