/* The harness of the unit tests, on top of cmocka.
 *
 *     TEST(segment, finds_the_last_whole_batch) { CHECK_EQ(segment_size(s), 61); }
 *
 * A test registers itself; each file is one ctest entry. `t` is the running test, for fixtures. A
 * failed check ends the test by longjmp, so it may stand in helpers too, but only on the main
 * thread. */
#ifndef TESTS_LIB_TEST_H
#define TESTS_LIB_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/error.h"

struct test {
    const char *file;
    const char *name; /* "segment.finds_the_last_whole_batch" */
    void (*body)(struct test *t);
    struct test *next;
    bool is_chosen;
    bool passed;
    char tmpdir[256]; /* "" until asked for */
};

#define TEST(suite, sentence)                                                                      \
    static void test_body_##suite##_##sentence(struct test *t);                                    \
    static struct test test_entry_##suite##_##sentence = {                                         \
        .file = __FILE__,                                                                          \
        .name = #suite "." #sentence,                                                              \
        .body = test_body_##suite##_##sentence,                                                    \
    };                                                                                             \
    __attribute__((constructor)) static void test_register_##suite##_##sentence(void)              \
    {                                                                                              \
        test_register(&test_entry_##suite##_##sentence);                                           \
    }                                                                                              \
    static void test_body_##suite##_##sentence(struct test *t __attribute__((unused)))

void test_register(struct test *test);

/* --seed, or random per run; printed at the start and at each failure of a test that asked. */
uint64_t test_seed(void);
/* A fresh directory for the running test, the same at each call; removed after success, kept (and
 * printed) after a failure. */
const char *test_tmpdir(void);
/* The file `name` of the running test's directory; the caller's, from mr_malloc. */
char *test_path(const char *name);

enum test_relation { TEST_EQ, TEST_NE, TEST_LT, TEST_LE, TEST_GT, TEST_GE };

/* Integers, enums, booleans and pointers; compared as signed 64-bit numbers. */
#define CHECK_EQ(a, b) TEST_RELATION(TEST_EQ, a, b)
#define CHECK_NE(a, b) TEST_RELATION(TEST_NE, a, b)
#define CHECK_LT(a, b) TEST_RELATION(TEST_LT, a, b)
#define CHECK_LE(a, b) TEST_RELATION(TEST_LE, a, b)
#define CHECK_GT(a, b) TEST_RELATION(TEST_GT, a, b)
#define CHECK_GE(a, b) TEST_RELATION(TEST_GE, a, b)
#define TEST_RELATION(relation, a, b)                                                              \
    test_check_relation(__FILE__, __LINE__, #a, #b, (relation), (intmax_t)(a), (intmax_t)(b))

#define CHECK(condition)                                                                           \
    ((condition) ? (void)0 : test_fail(__FILE__, __LINE__, "CHECK(%s)", #condition))
/* NULL equals NULL only. */
#define CHECK_STR(a, b) test_check_text(__FILE__, __LINE__, #a, (a), (b))
/* `part` stands somewhere in `text`. */
#define CHECK_HAS(text, part) test_check_has(__FILE__, __LINE__, #text, (text), (part))
#define CHECK_MEM(a, b, n)    test_check_memory(__FILE__, __LINE__, #a, (a), (b), (n))
/* rc is 0 or positive; `error` (may be NULL) says why not. */
#define CHECK_OK(rc, error) test_check_ok(__FILE__, __LINE__, #rc, (int64_t)(rc), (error))

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void test_check_relation(const char *file, int line, const char *left_text, const char *right_text,
                         enum test_relation relation, intmax_t left, intmax_t right);
void test_check_text(const char *file, int line, const char *expression, const char *left,
                     const char *right);
void test_check_has(const char *file, int line, const char *expression, const char *text,
                    const char *part);
void test_check_memory(const char *file, int line, const char *expression, const void *left,
                       const void *right, size_t size_bytes);
void test_check_ok(const char *file, int line, const char *expression, int64_t rc,
                   const struct mr_error *error);

#endif
