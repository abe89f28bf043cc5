/* The checks: each failure prints both sides, then leaves the test through cmocka. */
#include "tests/lib/test.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* cmocka.h wants the four headers above it. */
#include <cmocka.h>

#include "tests/lib/test_internal.h"

/* cmocka leaves by longjmp, which may not cross threads: elsewhere a failed check ends the process.
 */
void test_fail(const char *file, int line, const char *format, ...)
{
    char text[4096];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (syscall(SYS_gettid) != getpid()) {
        (void)fprintf(stderr, "%s:%d: %s (not on the main thread)\n", file, line, text);
        abort();
    }
    print_error("%s\n", text);
    test_explain_failure();
    _fail(file, line);
    abort(); /* _fail does not return, but its prototype does not say so */
}

static bool relation_holds(enum test_relation relation, intmax_t left, intmax_t right)
{
    switch (relation) {
    case TEST_EQ:
        return left == right;
    case TEST_NE:
        return left != right;
    case TEST_LT:
        return left < right;
    case TEST_LE:
        return left <= right;
    case TEST_GT:
        return left > right;
    case TEST_GE:
        return left >= right;
    }
    return false;
}

void test_check_relation(const char *file, int line, const char *left_text, const char *right_text,
                         enum test_relation relation, intmax_t left, intmax_t right)
{
    static const char *const signs[] = {"==", "!=", "<", "<=", ">", ">="};

    if (!relation_holds(relation, left, right)) {
        test_fail(file, line, "%s %s %s, but %" PRIdMAX " and %" PRIdMAX, left_text,
                  signs[relation], right_text, left, right);
    }
}

void test_check_text(const char *file, int line, const char *expression, const char *left,
                     const char *right)
{
    if (left == NULL || right == NULL ? left != right : strcmp(left, right) != 0) {
        test_fail(file, line, "%s\n  is        \"%s\"\n  should be \"%s\"", expression,
                  left == NULL ? "(null)" : left, right == NULL ? "(null)" : right);
    }
}

void test_check_has(const char *file, int line, const char *expression, const char *text,
                    const char *part)
{
    if (text == NULL || strstr(text, part) == NULL) {
        test_fail(file, line, "%s\n  is          \"%s\"\n  should have \"%s\"", expression,
                  text == NULL ? "(null)" : text, part);
    }
}

void test_check_memory(const char *file, int line, const char *expression, const void *left,
                       const void *right, size_t size_bytes)
{
    const unsigned char *a = left;
    const unsigned char *b = right;

    for (size_t i = 0; i < size_bytes; i++) {
        if (a[i] != b[i]) {
            test_fail(file, line, "%s: byte %zu of %zu is 0x%02x, should be 0x%02x", expression, i,
                      size_bytes, a[i], b[i]);
        }
    }
}

void test_check_ok(const char *file, int line, const char *expression, int64_t rc,
                   const struct mr_error *error)
{
    if (rc < 0) {
        test_fail(file, line, "%s is %" PRId64 " (%s): %s", expression, rc,
                  rc >= INT32_MIN ? mr_code_name((int)rc) : "?",
                  error == NULL || error->code == 0 ? "no text" : error->text);
    }
}
