/* Regular expressions: both ways of running them give the same, within limits. */
#include "base/text/regex.h"

#include <string.h>

#include "base/core/error.h"
#include "tests/lib/test.h"

static const unsigned ways[] = {0, MR_REGEX_INTERPRET};

static struct mr_regex *compile(const char *pattern, unsigned flags)
{
    struct mr_regex *regex = NULL;

    CHECK_EQ(mr_regex_compile(pattern, flags, &regex, NULL), 0);
    return regex;
}

TEST(regex, captures_by_number_and_name)
{
    static const char line[] = "GET /a HTTP/1.1 then GET /b";

    for (size_t way = 0; way < 2; way++) {
        struct mr_regex *regex = compile("(?<method>[A-Z]+) (/\\w)(?<version> HTTP)?", ways[way]);
        size_t start;
        size_t end;

        CHECK_EQ(mr_regex_group_count(regex), 3);
        CHECK_EQ(mr_regex_group_of(regex, "version"), 3);
        CHECK_EQ(mr_regex_group_of(regex, "none"), -1);
        CHECK(strcmp(mr_regex_group_name(regex, 1), "method") == 0);
        CHECK(mr_regex_group_name(regex, 2) == NULL);
        CHECK_EQ(mr_regex_match(regex, line, sizeof line - 1, 0), 1);
        CHECK(mr_regex_capture(regex, 0, &start, &end));
        CHECK_EQ(start, 0);
        CHECK_EQ(end, 11);
        CHECK(mr_regex_capture(regex, 2, &start, &end));
        CHECK_EQ(start, 4);
        CHECK_EQ(mr_regex_match(regex, line, sizeof line - 1, end), 1);
        CHECK(mr_regex_capture(regex, 1, &start, &end));
        CHECK_EQ(start, 21);
        CHECK(!mr_regex_capture(regex, 3, &start, &end));
        CHECK_EQ(mr_regex_match(regex, "", 0, 0), 0);
        CHECK(!(way == 1 && mr_regex_is_compiled(regex)));
        mr_regex_free(regex);
    }
}

TEST(regex, knows_its_flags)
{
    struct mr_regex *regex = compile("abc", MR_REGEX_CASELESS | MR_REGEX_ANCHORED);

    CHECK(mr_regex_is_match(regex, "ABCd", 4));
    CHECK(!mr_regex_is_match(regex, "xABC", 4));
    mr_regex_free(regex);
    regex = compile("^b$", MR_REGEX_MULTILINE);
    CHECK(mr_regex_is_match(regex, "a\nb\nc", 5));
    mr_regex_free(regex);
}

/* Logs hold any bytes: those that are no UTF-8 match nothing, what is around them does. */
TEST(regex, tolerates_invalid_utf8)
{
    for (size_t way = 0; way < 2; way++) {
        struct mr_regex *regex = compile("caf. (\\d+)", ways[way]);

        CHECK(mr_regex_is_match(regex, "\xff\xfe caf\xc3\xa9 42 \xc3", 13));
        CHECK(!mr_regex_is_match(regex, "caf\xe9 42", 7));
        mr_regex_free(regex);
    }
}

TEST(regex, explains_mistakes)
{
    struct mr_regex *regex = NULL;
    struct mr_error error = {0};

    CHECK_EQ(mr_regex_compile("ab(c", 0, &regex, &error), MR_EINVAL);
    CHECK(regex == NULL);
    CHECK(strstr(error.text, "column 5: missing closing parenthesis") != NULL);
    CHECK_EQ(mr_regex_compile("\xff", 0, &regex, &error), MR_EINVAL);
}

/* Catastrophic backtracking ends at the limit, in both ways. */
TEST(regex, stops_at_its_limit)
{
    char text[64];

    memset(text, 'a', sizeof text);
    for (size_t way = 0; way < 2; way++) {
        struct mr_regex *regex = compile("^(a+)+(b|c\\1)$", ways[way]);

        CHECK_EQ(mr_regex_match(regex, text, sizeof text, 0), MR_ETOOLARGE);
        CHECK_EQ(mr_regex_match(regex, "aab", 3, 0), 1);
        mr_regex_free(regex);
    }
}
