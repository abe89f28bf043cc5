/* The metrics page, byte by byte, as Prometheus' text format 0.0.4 wants it. */
#include "base/core/metric.h"

#include <string.h>

#include "tests/lib/fault.h"
#include "tests/lib/test.h"

enum { LOG_BYTES, LOG_LAG, LOG_TOTAL, LOG_COUNT };
static const struct mr_metric_def log_defs[] = {
    [LOG_BYTES] = {"millrace_log_append_bytes_total", MR_COUNTER, "Bytes appended.",
                   "topic,partition"},
    [LOG_LAG] = {"millrace_log_lag_records", MR_GAUGE, "How far\nbehind \\ it is.", "topic"},
    [LOG_TOTAL] = {"millrace_log_opens_total", MR_COUNTER, "Logs opened.", NULL},
};

enum { UP_SECONDS, UP_COUNT };
static const struct mr_metric_def up_defs[] = {
    [UP_SECONDS] = {"millrace_agent_up_seconds", MR_GAUGE, "Seconds since the start.", NULL},
};

static struct mr_metric_set *log_set(struct mr_metrics *metrics, const char *topic,
                                     const char *partition)
{
    return mr_metric_set_new(metrics, log_defs, LOG_COUNT, (const char *[]){topic, partition}, 2);
}

static void page_check(struct mr_metrics *metrics, const char *expected)
{
    struct mr_bytes page;

    mr_bytes_init(&page);
    mr_metrics_render(metrics, &page);
    mr_bytes_append(&page, "", 1);
    CHECK_EQ(page.failed, 0);
    CHECK_STR((const char *)page.data, expected);
    mr_bytes_done(&page);
}

/* Sets come in another order than their names; values escaped; shorter labels added up. */
TEST(metric, page_is_sorted_escaped_and_added_up)
{
    struct mr_metrics *metrics = mr_metrics_new();
    struct mr_metric_set *b = log_set(metrics, "web", "1");
    struct mr_metric_set *a = log_set(metrics, "web", "0");
    struct mr_metric_set *odd = log_set(metrics, "a\"b\\c\nd\xff", "0");
    struct mr_metric_set *up = mr_metric_set_new(metrics, up_defs, UP_COUNT, NULL, 0);

    CHECK(a != NULL && b != NULL && odd != NULL && up != NULL);
    a->values[LOG_BYTES] = 10;
    b->values[LOG_BYTES] = 20;
    odd->values[LOG_BYTES] = 30;
    a->values[LOG_LAG] = 1;
    b->values[LOG_LAG] = 2;
    odd->values[LOG_LAG] = -3;
    a->values[LOG_TOTAL] = b->values[LOG_TOTAL] = odd->values[LOG_TOTAL] = 1;
    up->values[UP_SECONDS] = 5;
    page_check(metrics, "# HELP millrace_agent_up_seconds Seconds since the start.\n"
                        "# TYPE millrace_agent_up_seconds gauge\n"
                        "millrace_agent_up_seconds 5\n"
                        "# HELP millrace_log_append_bytes_total Bytes appended.\n"
                        "# TYPE millrace_log_append_bytes_total counter\n"
                        "millrace_log_append_bytes_total"
                        "{topic=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\",partition=\"0\"} 30\n"
                        "millrace_log_append_bytes_total{topic=\"web\",partition=\"0\"} 10\n"
                        "millrace_log_append_bytes_total{topic=\"web\",partition=\"1\"} 20\n"
                        "# HELP millrace_log_lag_records How far\\nbehind \\\\ it is.\n"
                        "# TYPE millrace_log_lag_records gauge\n"
                        "millrace_log_lag_records{topic=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\"} -3\n"
                        "millrace_log_lag_records{topic=\"web\"} 3\n"
                        "# HELP millrace_log_opens_total Logs opened.\n"
                        "# TYPE millrace_log_opens_total counter\n"
                        "millrace_log_opens_total 3\n");
    mr_metric_set_free(odd);
    mr_metric_set_free(b);
    mr_metric_set_free(a);
    mr_metric_set_free(up);
    page_check(metrics, "");
    mr_metrics_free(metrics);
}

static void refresh_up(struct mr_metric_set *set)
{
    set->values[UP_SECONDS] = *(int *)set->owner;
}

TEST(metric, gauges_are_refreshed_before_the_page)
{
    struct mr_metrics *metrics = mr_metrics_new();
    struct mr_metric_set *set = mr_metric_set_new(metrics, up_defs, UP_COUNT, NULL, 0);
    int seconds = 42;

    CHECK(set != NULL);
    set->refresh = refresh_up;
    set->owner = &seconds;
    page_check(metrics, "# HELP millrace_agent_up_seconds Seconds since the start.\n"
                        "# TYPE millrace_agent_up_seconds gauge\n"
                        "millrace_agent_up_seconds 42\n");
    mr_metrics_free(metrics); /* before its set: that must be fine */
    set->values[UP_SECONDS]++;
    mr_metric_set_free(set);
}

TEST(metric, a_set_without_a_registry_only_counts)
{
    struct mr_metric_set *set = log_set(NULL, "web", "0");

    CHECK(set != NULL);
    set->values[LOG_BYTES] += 7;
    mr_metric_set_free(set);
    mr_metric_set_free(NULL);
    mr_metrics_free(NULL);
}

struct names {
    int count;
    const char *names[8];
};

static void collect_name(void *owner, const struct mr_metric_def *def)
{
    struct names *names = owner;

    CHECK_LT(names->count, 8);
    names->names[names->count++] = def->name;
}

TEST(metric, each_def_is_told_once)
{
    struct mr_metrics *metrics = mr_metrics_new();
    struct mr_metric_set *a = log_set(metrics, "x", "0");
    struct mr_metric_set *b = log_set(metrics, "y", "0");
    struct names names = {0};

    mr_metrics_each_def(metrics, collect_name, &names);
    CHECK_EQ(names.count, 3);
    CHECK_STR(names.names[0], "millrace_log_append_bytes_total");
    CHECK_STR(names.names[2], "millrace_log_opens_total");
    mr_metric_set_free(a);
    mr_metric_set_free(b);
    mr_metrics_free(metrics);
}

/* Each allocation fails in turn: no set, or a page that says so; nothing leaks (ASan looks). */
TEST(metric, survives_without_memory)
{
    for (int nth = 1;; nth++) {
        struct fault fault;
        struct mr_metrics *metrics;
        struct mr_metric_set *set = NULL;
        struct mr_bytes page;

        mr_bytes_init(&page);
        fault_set(&fault, nth, MR_ENOMEM);
        fault_heap(&fault);
        metrics = mr_metrics_new();
        if (metrics != NULL) {
            set = log_set(metrics, "web", "0");
            mr_metrics_render(metrics, &page);
        }
        fault_heap_off();
        CHECK_EQ(fault_fired(&fault), metrics == NULL || set == NULL || page.failed != 0);
        mr_metric_set_free(set);
        mr_metrics_free(metrics);
        mr_bytes_done(&page);
        if (!fault_fired(&fault)) {
            CHECK_GT(nth, 5);
            break;
        }
    }
}
