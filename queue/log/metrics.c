/* What is counted: totals of the node, and three gauges of each partition. */
#include "queue/log/log_internal.h"

#include <string.h>

#include "base/core/memory.h"

static const struct mr_metric_def totals[] = {
    [LOG_TOTAL_BYTES] = {"millrace_log_append_bytes_total", MR_COUNTER,
                         "Bytes of record batches appended to all logs.", NULL},
    [LOG_TOTAL_BATCHES] = {"millrace_log_append_batches_total", MR_COUNTER,
                           "Record batches appended to all logs.", NULL},
    [LOG_TOTAL_RECORDS] = {"millrace_log_append_records_total", MR_COUNTER,
                           "Records appended to all logs.", NULL},
    [LOG_TOTAL_FSYNCS] = {"millrace_log_fsyncs_total", MR_COUNTER,
                          "Segment files that were synced to the disk.", NULL},
    [LOG_TOTAL_FSYNC_US] = {"millrace_log_fsync_microseconds_total", MR_COUNTER,
                            "Time that group commits have taken, in microseconds.", NULL},
    [LOG_TOTAL_DAMAGED_BYTES] = {"millrace_log_damaged_bytes_total", MR_COUNTER,
                                 "Bytes of segments that could not be read as batches and were "
                                 "set aside.",
                                 NULL},
    [LOG_TOTAL_TAILS_CUT] = {"millrace_log_tails_cut_total", MR_COUNTER,
                             "Torn ends of logs that were cut off at start-up.", NULL},
    [LOG_TOTAL_SEGMENTS] = {"millrace_log_segments", MR_GAUGE, "Segments of all open logs.", NULL},
    [LOG_TOTAL_ROLLS] = {"millrace_log_rolls_total", MR_COUNTER,
                         "Segments that were sealed and followed by a new one.", NULL},
    [LOG_TOTAL_DELETED_SEGMENTS] = {"millrace_log_deleted_segments_total", MR_COUNTER,
                                    "Segments removed by retention, by DeleteRecords, or to make "
                                    "room.",
                                    NULL},
    [LOG_TOTAL_REFUSED] = {"millrace_log_refused_appends_total", MR_COUNTER,
                           "Appends turned away because disk.limit was reached.", NULL},
};

enum { GAUGE_SIZE, GAUGE_START, GAUGE_END, GAUGE_COUNT };

static const struct mr_metric_def gauges[] = {
    [GAUGE_SIZE] = {"millrace_log_size_bytes", MR_GAUGE, "Bytes of the partition's segments.",
                    "topic,partition"},
    [GAUGE_START] = {"millrace_log_start_offset", MR_GAUGE,
                     "Offset of the first record that is kept.", "topic,partition"},
    [GAUGE_END] = {"millrace_log_end_offset", MR_GAUGE, "Offset of the next record.",
                   "topic,partition"},
};

struct mr_metric_set *log_totals_new(struct mr_metrics *metrics)
{
    return mr_metric_set_new(metrics, totals, LOG_TOTAL_COUNT, NULL, 0);
}

void log_count(struct log *log, int metric, int64_t amount)
{
    if (log->env->totals != NULL) {
        log->env->totals->values[metric] += amount;
    }
}

static void gauges_refresh(struct mr_metric_set *set)
{
    const struct log *log = set->owner;

    set->values[GAUGE_SIZE] = log_size_bytes(log);
    set->values[GAUGE_START] = log_start_offset(log);
    set->values[GAUGE_END] = log_end_offset(log);
}

/* The directory is named <topic>-<partition>. A log whose gauges cannot be had goes without. */
void log_metrics_open(struct log *log)
{
    const char *slash = strrchr(log->directory, '/');
    const char *name = slash != NULL ? slash + 1 : log->directory;
    const char *dash = strrchr(name, '-');
    const char *labels[2];
    char *topic;

    if (log->env->metrics == NULL || dash == NULL) {
        return;
    }
    topic = mr_strndup(name, (size_t)(dash - name));
    if (topic == NULL) {
        return;
    }
    labels[0] = topic;
    labels[1] = dash + 1;
    log->metrics = mr_metric_set_new(log->env->metrics, gauges, GAUGE_COUNT, labels, 2);
    if (log->metrics != NULL) {
        log->metrics->refresh = gauges_refresh;
        log->metrics->owner = log;
    }
    mr_free(topic);
}
