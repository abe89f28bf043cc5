/* Goal: what is secret stands in memory that no core dump has, is gone when it is given back, and
 * may be replaced while others use it. */
#include "base/core/secret.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

/* Whether the mapping that this address is in has a flag in /proc/self/smaps; -1: it is in none. */
static int has_flag(const void *address, const char *flag)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    char line[512];
    char start_text[32];
    bool is_here = false;
    int found = -1;

    CHECK(file != NULL);
    while (found < 0 && fgets(line, sizeof line, file) != NULL) {
        unsigned long start;
        unsigned long end;
        if (sscanf(line, "%lx-%lx %31s", &start, &end, start_text) == 3) {
            is_here = (unsigned long)address >= start && (unsigned long)address < end;
        } else if (is_here && strncmp(line, "VmFlags:", 8) == 0) {
            found = strstr(line, flag) != NULL;
        }
    }
    (void)fclose(file);
    return found;
}

TEST(secret, stands_in_memory_that_no_core_dump_has)
{
    struct mr_secret *secret = mr_secret_new("correct horse", 13);
    struct mr_secret_text *text = mr_secret_take(secret);
    char *memory = mr_secret_alloc(100000);

    CHECK(strcmp(mr_secret_chars(text), "correct horse") == 0 && mr_secret_size(text) == 13);
    CHECK(has_flag(mr_secret_chars(text), " dd") == 1);
    CHECK(has_flag(memory, " dd") == 1 && has_flag(memory + 99999, " dd") == 1);
    CHECK(memory[0] == 0 && memory[99999] == 0);
    CHECK(has_flag(secret, " dd") == 0); /* the place itself holds nothing */
    mr_secret_free(memory);
    mr_secret_free(NULL);
    mr_secret_drop(text);
    mr_secret_drop(NULL);
    mr_secret_unref(secret);
    mr_secret_unref(NULL);
}

TEST(secret, is_replaced_under_those_who_use_it)
{
    struct mr_secret *secret = mr_secret_new("old", 3);
    struct mr_secret_text *before = mr_secret_take(secret);
    struct mr_secret_text *after;

    CHECK(mr_secret_replace(secret, "old", 3) == 0);
    CHECK(mr_secret_replace(secret, "newer", 5) == 1);
    after = mr_secret_take(secret);
    CHECK(strcmp(mr_secret_chars(before), "old") == 0);
    CHECK(strcmp(mr_secret_chars(after), "newer") == 0);
    mr_secret_unref(mr_secret_ref(secret));
    mr_secret_unref(secret); /* what was taken is still good */
    CHECK(strcmp(mr_secret_chars(after), "newer") == 0);
    mr_secret_drop(before);
    mr_secret_drop(after);
}

struct readers {
    struct mr_secret *secret;
    atomic_bool is_over;
};

/* Sees one text or the other, whole. */
static void *read_it(void *owner)
{
    struct readers *readers = owner;
    long wrong = 0;

    while (!atomic_load(&readers->is_over)) {
        struct mr_secret_text *text = mr_secret_take(readers->secret);
        wrong += strcmp(mr_secret_chars(text), "aaaa") != 0 &&
                 strcmp(mr_secret_chars(text), "bbbbbbbb") != 0;
        mr_secret_drop(text);
    }
    return (void *)wrong; /* NOLINT(performance-no-int-to-ptr) */
}

TEST(secret, may_be_read_by_any_thread_while_it_changes)
{
    struct readers readers = {.secret = mr_secret_new("aaaa", 4)};
    pthread_t thread;
    void *wrong = NULL;

    CHECK(pthread_create(&thread, NULL, read_it, &readers) == 0);
    for (int i = 0; i < 500; i++) {
        CHECK(mr_secret_replace(readers.secret, i % 2 == 0 ? "bbbbbbbb" : "aaaa",
                                i % 2 == 0 ? 8 : 4) == 1);
    }
    atomic_store(&readers.is_over, true);
    CHECK(pthread_join(thread, &wrong) == 0);
    CHECK(wrong == NULL);
    mr_secret_unref(readers.secret);
}
