/* The log: no value can break a line, whatever the format; repeats are counted; lines stay whole.
 */
#include "base/core/logger.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/core/memory.h"
#include "base/core/random.h"
#include "tests/lib/fault.h"
#include "tests/lib/test.h"

struct capture {
    int count;
    enum mr_log_level level;
    char line[8192];
};

static void capture_line(void *owner, enum mr_log_level level, const char *line)
{
    struct capture *capture = owner;

    capture->count++;
    capture->level = level;
    (void)snprintf(capture->line, sizeof capture->line, "%s", line);
}

static void capture_start(struct capture *capture, enum mr_log_level level,
                          enum mr_log_format format)
{
    *capture = (struct capture){0};
    mr_log_setup(level, format);
    mr_log_set_sink(capture_line, capture);
}

static void capture_stop(void)
{
    mr_log_set_sink(NULL, NULL);
    mr_log_setup(MR_LOG_INFO, MR_LOG_TEXT);
}

TEST(logger, journal_lines_begin_with_their_priority)
{
    struct capture capture;

    capture_start(&capture, MR_LOG_DEBUG, MR_LOG_JOURNAL);
    mr_info("segment rolled", KV_STR("topic", "web"), KV_I64("base_offset", -5),
            KV_U64("size", UINT64_MAX), KV_BOOL("clean", true), KV_F64("ratio", 0.25));
    CHECK_STR(capture.line, "<6>segment rolled topic=web base_offset=-5 size=18446744073709551615 "
                            "clean=true ratio=0.25");
    mr_error("disk", KV_ERR(MR_ENOSPC));
    CHECK_STR(capture.line, "<3>disk error=\"no space left on device\"");
    mr_warn("w");
    CHECK_STR(capture.line, "<4>w");
    mr_debug("d");
    CHECK_STR(capture.line, "<7>d");
    capture_stop();
}

TEST(logger, text_lines_begin_with_time_and_level)
{
    struct capture capture;
    const char *after;

    capture_start(&capture, MR_LOG_INFO, MR_LOG_TEXT);
    mr_warn("peer is away", KV_STR("peer", "hub-1:9092"), KV_STR("why", NULL));
    CHECK_EQ(strspn(capture.line, "0123456789-T:.Z"), 24);
    CHECK_EQ(capture.line[10], 'T');
    CHECK_EQ(capture.line[23], 'Z');
    after = capture.line + 24;
    CHECK_STR(after, " WARN  peer is away peer=hub-1:9092 why=-");
    CHECK_EQ(capture.level, MR_LOG_WARN);
    capture_stop();
}

TEST(logger, levels_below_the_wanted_are_not_written)
{
    struct capture capture;

    capture_start(&capture, MR_LOG_WARN, MR_LOG_JOURNAL);
    CHECK_EQ(mr_log_level_now(), MR_LOG_WARN);
    mr_debug("d");
    mr_info("i");
    CHECK_EQ(capture.count, 0);
    mr_warn("w");
    CHECK_EQ(capture.count, 1);
    capture_stop();
}

TEST(logger, controls_are_escaped_in_text)
{
    struct capture capture;

    capture_start(&capture, MR_LOG_INFO, MR_LOG_JOURNAL);
    mr_info("e\nv", KV_STR("a", "x\n<0>forged"), KV_STR("b", "\033[31mred\x7f"),
            KV_STR("c", "quote\"back\\slash"), KV_STR("d", "a=b"), KV_STR("e", ""),
            KV_STR("f", "\xc2\x9b"),
            KV_STR("g", "\xff"
                        "z"),
            KV_STR("h", "gr\xc3\xbc\xc3\x9f"));
    CHECK_STR(capture.line, "<6>e\\nv a=\"x\\n<0>forged\" b=\"\\x1b[31mred\\x7f\" "
                            "c=\"quote\\\"back\\\\slash\" d=\"a=b\" e=\"\" f=\"\\x9b\" "
                            "g=\"\\xffz\" h=\"gr\xc3\xbc\xc3\x9f\"");
    capture_stop();
}

/* Random bytes as event and values, some far too long: each line is JSON that a foreign parser
 * takes, and the short values that are UTF-8 come back as they were. */
TEST(logger, json_lines_are_json_whatever_is_in_them)
{
    struct capture capture;
    struct mr_random_seeded random;

    mr_random_seeded_init(&random, test_seed());
    capture_start(&capture, MR_LOG_INFO, MR_LOG_JSON);
    for (int i = 0; i < 2000; i++) {
        struct mr_log_site site = {0};
        char wild[3000];
        char tame[32];
        size_t size = mr_random_below(&random.base, i % 10 == 0 ? sizeof wild - 1 : 40);
        struct mr_kv fields[] = {KV_STR("tame", tame),    KV_STR("wild", wild),
                                 KV_F64("nan", NAN),      KV_STR("wilder", wild),
                                 KV_STR("wildest", wild), KV_I64("last", INT64_MIN)};
        json_error_t why;
        json_t *json;

        for (size_t k = 0; k < size; k++) {
            wild[k] = (char)(1 + mr_random_below(&random.base, 255));
        }
        wild[size] = '\0';
        for (size_t k = 0; k < sizeof tame - 1; k++) {
            tame[k] = (char)(1 + mr_random_below(&random.base, 127));
        }
        tame[sizeof tame - 1] = '\0';
        mr_log_write(&site, MR_LOG_INFO, tame, fields, sizeof fields / sizeof fields[0]);
        CHECK(strchr(capture.line, '\n') == NULL);
        CHECK_LT(strlen(capture.line), 4096);
        json = json_loads(capture.line, JSON_REJECT_DUPLICATES, &why);
        if (json == NULL) {
            test_fail(__FILE__, __LINE__, "%s in %s", why.text, capture.line);
        }
        CHECK_STR(json_string_value(json_object_get(json, "event")), tame);
        CHECK_STR(json_string_value(json_object_get(json, "tame")), tame);
        CHECK_STR(json_string_value(json_object_get(json, "level")), "info");
        if (size < 40) {
            CHECK_EQ(json_integer_value(json_object_get(json, "last")), INT64_MIN);
            CHECK(json_is_null(json_object_get(json, "nan")));
        }
        json_decref(json);
    }
    capture_stop();
}

/* Every length around the bound of a line: the quote is always closed, and the cut is said. */
TEST(logger, long_lines_are_cut_and_stay_whole)
{
    struct capture capture;
    static char value[1600];

    capture_start(&capture, MR_LOG_INFO, MR_LOG_JSON);
    memset(value, '"', sizeof value - 1); /* each takes two bytes */
    for (size_t size = 500; size < sizeof value; size++) {
        struct mr_log_site site = {.suppressed = 12345};
        const char *text = value + sizeof value - 1 - size;
        struct mr_kv fields[] = {KV_STR("a", text), KV_STR("b", text), KV_STR("c", text)};
        json_t *json;

        mr_log_write(&site, MR_LOG_INFO, "long", fields, 3);
        CHECK_LT(strlen(capture.line), 4096);
        json = json_loads(capture.line, JSON_REJECT_DUPLICATES, NULL);
        CHECK(json != NULL);
        CHECK_EQ(json_integer_value(json_object_get(json, "suppressed")), 12345);
        CHECK(size < 700 || json_is_true(json_object_get(json, "cut")) ||
              json_object_get(json, "c") != NULL);
        json_decref(json);
    }
    CHECK_HAS(capture.line, "\"cut\":true");
    capture_stop();
}

/* 1,000 times the same: ten lines; the count comes with the first line of the next window. */
TEST(logger, repeats_of_one_call_site_are_counted)
{
    struct capture capture;
    struct mr_log_site site = {0};

    capture_start(&capture, MR_LOG_INFO, MR_LOG_JOURNAL);
    for (int i = 0; i < 1000; i++) {
        mr_log_write(&site, MR_LOG_WARN, "again", NULL, 0);
    }
    CHECK_EQ(capture.count, 10);
    CHECK_STR(capture.line, "<4>again");
    mr_warn("another site");
    CHECK_EQ(capture.count, 11);
    site.window_start_us -= 6000000; /* six seconds later */
    mr_log_write(&site, MR_LOG_WARN, "again", NULL, 0);
    CHECK_STR(capture.line, "<4>again suppressed=990");
    mr_log_write(&site, MR_LOG_WARN, "again", NULL, 0);
    CHECK_STR(capture.line, "<4>again");
    capture_stop();
}

TEST(logger, debug_lines_are_never_held_back)
{
    struct capture capture;

    capture_start(&capture, MR_LOG_DEBUG, MR_LOG_JOURNAL);
    for (int i = 0; i < 100; i++) {
        mr_debug("state");
    }
    CHECK_EQ(capture.count, 100);
    capture_stop();
}

TEST(logger, needs_no_memory)
{
    struct capture capture;
    struct fault fault;

    capture_start(&capture, MR_LOG_INFO, MR_LOG_JSON);
    fault_set_more(&fault, 1, -1, MR_ENOMEM);
    fault_heap(&fault);
    mr_error("no memory", KV_ERR(MR_ENOMEM));
    fault_heap_off();
    CHECK_EQ(capture.count, 1);
    CHECK_EQ(fault.seen, 0);
    capture_stop();
}

enum { THREADS = 4, LINES_EACH = 300 };

static void *write_lines(void *owner)
{
    char who[600];

    memset(who, *(char *)owner, sizeof who - 1);
    who[sizeof who - 1] = '\0';
    for (int i = 0; i < LINES_EACH; i++) {
        struct mr_kv fields[] = {KV_STR("who", who)};

        mr_log_write(NULL, MR_LOG_INFO, "line", fields, 1);
    }
    return NULL;
}

/* Four threads write through a real stderr; each line that arrives is of one thread alone. Without
 * a terminal there is no colour in it either. */
TEST(logger, lines_of_several_threads_never_mix)
{
    char *path = test_path("stderr");
    char letters[THREADS] = {'a', 'b', 'c', 'd'};
    pthread_t threads[THREADS];
    int saved = dup(STDERR_FILENO);
    static char line[8192];
    int counts[THREADS] = {0};
    FILE *file;

    CHECK(saved >= 0 && freopen(path, "a", stderr) != NULL);
    mr_log_setup(MR_LOG_INFO, MR_LOG_TEXT);
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, write_lines, &letters[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    CHECK(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    file = fopen(path, "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        const char *who = strstr(line, " INFO  line who=");
        char letter;

        CHECK(who == line + 24);
        who += strlen(" INFO  line who=");
        letter = *who;
        CHECK(letter >= 'a' && letter <= 'd');
        CHECK_EQ(strspn(who, (char[]){letter, '\0'}), 599);
        CHECK_STR(who + 599, "\n");
        counts[letter - 'a']++;
    }
    (void)fclose(file);
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(counts[i], LINES_EACH);
    }
    mr_free(path);
}
