/* The runner: chooses tests by file and name, gives each its seed and its directory. */
#include <ctype.h>
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* cmocka.h wants setjmp, stdarg, stddef and stdint before it. */
#include <cmocka.h>

#include "base/core/memory.h"
#include "base/core/random.h"
#include "tests/lib/temporary.h"
#include "tests/lib/test.h"
#include "tests/lib/test_internal.h"

static struct test *first_test; /* in the order of registration, reversed: see test_register */
static struct test *running_test;
static uint64_t seed;
static bool seed_was_asked;

void test_register(struct test *test)
{
    struct test **place = &first_test;

    while (*place != NULL) {
        place = &(*place)->next;
    }
    *place = test;
}

uint64_t test_seed(void)
{
    seed_was_asked = true;
    return seed;
}

const char *test_tmpdir(void)
{
    struct test *test = running_test;

    mr_assert(test != NULL);
    if (test->tmpdir[0] == '\0') {
        (void)snprintf(test->tmpdir, sizeof test->tmpdir, "%s/millrace-test-XXXXXX",
                       test_temporary_parent());
        if (mkdtemp(test->tmpdir) == NULL) {
            test_fail(__FILE__, __LINE__, "mkdtemp %s: %s", test->tmpdir, strerror(errno));
        }
    }
    return test->tmpdir;
}

char *test_path(const char *name)
{
    char *path = mr_asprintf("%s/%s", test_tmpdir(), name);

    CHECK(path != NULL);
    return path;
}

void test_explain_failure(void)
{
    if (seed_was_asked) {
        print_error("seed: replay with --seed %" PRIu64 "\n", seed);
    }
    if (running_test != NULL && running_test->tmpdir[0] != '\0') {
        print_error("directory kept: %s\n", running_test->tmpdir);
    }
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static void run_one(void **state)
{
    struct test *test = *state;

    running_test = test;
    seed_was_asked = false;
    test->body(test);
    test->passed = true;
}

/* Also after a failure: a fault that was set must not reach the next test. */
static int after_one(void **state)
{
    struct test *test = *state;

    mr_memory_set_fault(NULL, NULL);
    if (test->passed && test->tmpdir[0] != '\0' &&
        nftw(test->tmpdir, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        (void)fprintf(stderr, "%s: left behind: %s\n", test->tmpdir, strerror(errno));
    }
    running_test = NULL;
    return 0;
}

/* --file tests/unit/x/test_y.c fits a full path that ends in it, at a folder's border. */
static bool file_fits(const char *file, const char *suffix)
{
    size_t file_size = strlen(file);
    size_t suffix_size = strlen(suffix);

    if (suffix_size > file_size || strcmp(file + file_size - suffix_size, suffix) != 0) {
        return false;
    }
    return suffix_size == file_size || file[file_size - suffix_size - 1] == '/' || *suffix == '/';
}

static size_t tests_choose(const char *file, const char *filter)
{
    size_t count = 0;

    for (struct test *test = first_test; test != NULL; test = test->next) {
        test->is_chosen = (file == NULL || file_fits(test->file, file)) &&
                          (filter == NULL || strstr(test->name, filter) != NULL);
        count += test->is_chosen;
    }
    return count;
}

static int tests_run(size_t count)
{
    struct CMUnitTest *units = calloc(count, sizeof *units);
    size_t used = 0;
    int failed;

    if (units == NULL) {
        return EXIT_FAILURE;
    }
    for (struct test *test = first_test; test != NULL; test = test->next) {
        if (test->is_chosen) {
            units[used++] = (struct CMUnitTest){.name = test->name,
                                                .test_func = run_one,
                                                .teardown_func = after_one,
                                                .initial_state = test};
        }
    }
    (void)fprintf(stderr, "seed %" PRIu64 "\n", seed);
    failed = _cmocka_run_group_tests("millrace", units, used, NULL, NULL);
    free(units);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int usage(const char *program)
{
    (void)fprintf(stderr,
                  "usage: %s [--file tests/unit/x/test_y.c] [--filter PART] [--seed N] [--list]\n",
                  program);
    return 2;
}

static bool seed_parse(const char *text)
{
    char *end;

    errno = 0;
    seed = strtoull(text, &end, 0);
    return errno == 0 && end != text && *end == '\0' && isdigit((unsigned char)text[0]);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"file", required_argument, NULL, 'f'},
                                            {"filter", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"list", no_argument, NULL, 'l'},
                                            {NULL, 0, NULL, 0}};
    const char *file = NULL;
    const char *filter = NULL;
    bool only_list = false;
    size_t count;
    int letter;

    seed = mr_random_u64(mr_random_system()) >> 32; /* short enough to type */
    while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (letter == 'f') {
            file = optarg;
        } else if (letter == 'n') {
            filter = optarg;
        } else if (letter == 'l') {
            only_list = true;
        } else if (letter != 's' || !seed_parse(optarg)) {
            return usage(argv[0]);
        }
    }
    if (optind != argc) {
        return usage(argv[0]);
    }
    (void)setvbuf(stdout, NULL, _IOLBF,
                  BUFSIZ); /* one that hangs and is killed has said its name */
    count = tests_choose(file, filter);
    if (count == 0) {
        (void)fprintf(stderr, "no test fits\n");
        return EXIT_FAILURE;
    }
    if (!only_list) {
        return tests_run(count);
    }
    for (struct test *test = first_test; test != NULL; test = test->next) {
        if (test->is_chosen) {
            (void)printf("%s\n", test->name);
        }
    }
    return EXIT_SUCCESS;
}
