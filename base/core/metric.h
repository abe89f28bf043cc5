/* Metrics: declared once, beside their owner, in a table with type, unit (in the name) and a help
 * sentence. The admin page (Prometheus text) and the manual are made from the registered tables.
 *
 *     enum { LOG_APPEND_BYTES, LOG_METRIC_COUNT };
 *     static const struct mr_metric_def log_metrics[] = {
 *         [LOG_APPEND_BYTES] = {"millrace_log_append_bytes_total", MR_COUNTER,
 *                               "Bytes of record batches appended.", "topic"},
 *     };
 *
 * A set is one instance of a table with its label values; it lives on one loop and is read on the
 * same loop. Label sets are bounded by what is configured, never by input. */
#ifndef BASE_CORE_METRIC_H
#define BASE_CORE_METRIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/core/buffer.h"
#include "base/core/list.h"

enum mr_metric_type { MR_COUNTER, MR_GAUGE };

struct mr_metric_def {
    const char *name; /* millrace_<room>_<what>_<unit>[_total] */
    enum mr_metric_type type;
    const char *help;   /* one sentence */
    const char *labels; /* label names, separated by commas; NULL: none */
};

struct mr_metrics; /* the registry of one node */

struct mr_metric_set {
    struct mr_link link;
    const struct mr_metric_def *defs;
    size_t count;
    int64_t *values; /* count of them: set->values[LOG_APPEND_BYTES] += n */
    char *labels;    /* rendered: topic="web",partition="3"; NULL: none */
    void (*refresh)(struct mr_metric_set *set); /* before the page is made; may be NULL */
    void *owner;
};

struct mr_metrics *mr_metrics_new(void);
/* NULL is fine. Sets may outlive the registry. */
void mr_metrics_free(struct mr_metrics *metrics);
/* label_values: as many as the table's longest `labels` names; a def that names fewer takes the
 * first ones (and its samples are added up over the sets that share them). The values are copied.
 * NULL without memory (callers then go without metrics). metrics NULL: a set that nobody reads. */
struct mr_metric_set *mr_metric_set_new(struct mr_metrics *metrics,
                                        const struct mr_metric_def *defs, size_t count,
                                        const char *const *label_values, size_t label_count);
/* NULL is fine. */
void mr_metric_set_free(struct mr_metric_set *set);
/* Prometheus text format 0.0.4: each name once with HELP and TYPE, then all its sets; sorted by
 * name and labels; equal ones added up. A refresh() may change values only. Without memory
 * out->failed is set. */
void mr_metrics_render(struct mr_metrics *metrics, struct mr_bytes *out);
/* Calls for each registered def once (for the manual). */
void mr_metrics_each_def(struct mr_metrics *metrics,
                         void (*cb)(void *owner, const struct mr_metric_def *def), void *owner);

#endif
