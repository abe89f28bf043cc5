/* Regular expressions: both ways of running them give the same, within limits. */
#include "base/text/regex.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* What MemoryDenyWriteExecute= of a systemd unit does: no memory may become executable. */
static bool deny_executable_memory(void)
{
#define DENY_EXEC_OF(call)                                                                         \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),                         \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 3),                                         \
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),                \
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),                                     \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
    struct sock_filter steps[] = {
        DENY_EXEC_OF(__NR_mmap),
        DENY_EXEC_OF(__NR_mprotect),
        DENY_EXEC_OF(__NR_pkey_mprotect),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof steps / sizeof steps[0], steps};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

enum { COMPILES_MAX = 10000 };

/* The exit status of the child that tries. */
enum outcome { OUTCOME_FINE, OUTCOME_NO_FILTER, OUTCOME_NOT_DENIED, OUTCOME_FAILED };

static enum outcome try_without_executable_memory(void)
{
    bool was_denied = false;

    if (!deny_executable_memory()) {
        return OUTCOME_NO_FILTER;
    }
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) {
        return OUTCOME_NOT_DENIED;
    }
    /* What tests before have left of pcre2's executable memory is used up first. */
    for (int i = 0; i < COMPILES_MAX && !was_denied; i++) {
        struct mr_regex *regex = NULL; /* not freed: its memory would be used again */
        if (mr_regex_compile("b(o+)m", 0, &regex, NULL) != 0 ||
            !mr_regex_is_match(regex, "a boom", 6) || mr_regex_is_match(regex, "a bm", 4)) {
            return OUTCOME_FAILED;
        }
        was_denied = !mr_regex_is_compiled(regex);
    }
    return was_denied ? OUTCOME_FINE : OUTCOME_NOT_DENIED;
}

/* The service may not make memory executable: expressions are interpreted then, and match the same.
 * A child takes the filter, since there is no way to lay it down again. */
TEST(regex, works_where_memory_may_not_be_executed)
{
    int status = 0;
    pid_t child = fork();

    CHECK_GE(child, 0);
    if (child == 0) {
        _exit((int)try_without_executable_memory());
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    if (WEXITSTATUS(status) != OUTCOME_NO_FILTER) { /* a sandbox that allows no filter of our own */
        CHECK_EQ(WEXITSTATUS(status), OUTCOME_FINE);
    }
}
