/* The registry is a list of sets; the page is made by sorting all their samples by name and labels.
 * That costs a page, not an increment: a counter on a hot path is one addition.
 *
 * Samples with the same name and labels are added up. So a def that names fewer labels than its set
 * has (a total per topic, kept per partition) and the same table on several loops both give one
 * line, which Prometheus demands. */
#include "base/core/metric.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/core/utf8.h"

struct mr_metrics {
    struct mr_link sets;
};

struct sample {
    const struct mr_metric_def *def;
    const char *labels; /* of the set; only the first labels_size bytes belong to this def */
    size_t labels_size;
    int64_t value;
};

struct mr_metrics *mr_metrics_new(void)
{
    struct mr_metrics *metrics = mr_calloc(1, sizeof *metrics);

    if (metrics != NULL) {
        mr_list_init(&metrics->sets);
    }
    return metrics;
}

void mr_metrics_free(struct mr_metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    while (mr_list_pop(&metrics->sets) != NULL) {
        /* Sets that are still alive belong to their owners; they just have no reader any more. */
    }
    mr_free(metrics);
}

static size_t label_names_count(const char *labels)
{
    size_t count = labels != NULL;

    for (; labels != NULL && *labels != '\0'; labels++) {
        count += *labels == ',';
    }
    return count;
}

/* The def whose labels are the most. All others must name the first of them, in the same order. */
static const char *longest_labels(const struct mr_metric_def *defs, size_t count)
{
    const char *longest = NULL;

    for (size_t i = 0; i < count; i++) {
        if (defs[i].labels != NULL &&
            (longest == NULL || strlen(defs[i].labels) > strlen(longest))) {
            longest = defs[i].labels;
        }
    }
    for (size_t i = 0; i < count; i++) {
        size_t size = defs[i].labels == NULL ? 0 : strlen(defs[i].labels);

        mr_assert(size == 0 || strncmp(longest, defs[i].labels, size) == 0);
        mr_assert(size == 0 || longest[size] == ',' || longest[size] == '\0');
    }
    return longest;
}

/* Backslash, quote and line feed as the text format says; what is not UTF-8 becomes U+FFFD, since
 * one bad byte in a file name would make Prometheus refuse the whole page. */
static void label_value_render(struct mr_bytes *out, const char *value)
{
    size_t left = strlen(value);

    while (left > 0) {
        size_t length = mr_utf8_length(value, left);

        if (length == 0) {
            mr_bytes_text(out, "\xef\xbf\xbd");
            length = 1;
        } else if (*value == '\n') {
            mr_bytes_text(out, "\\n");
        } else {
            if (*value == '\\' || *value == '"') {
                mr_bytes_text(out, "\\");
            }
            mr_bytes_append(out, value, length);
        }
        value += length;
        left -= length;
    }
}

/* topic="web",partition="3", with a NUL; NULL without memory. */
static char *labels_render(const char *names, const char *const *values, size_t count)
{
    struct mr_bytes out;
    char *text;

    mr_bytes_init(&out);
    for (size_t i = 0; i < count; i++) {
        size_t name_size = strcspn(names, ",");

        mr_bytes_text(&out, i == 0 ? "" : ",");
        mr_bytes_append(&out, names, name_size);
        mr_bytes_text(&out, "=\"");
        label_value_render(&out, values[i]);
        mr_bytes_text(&out, "\"");
        names += name_size + (names[name_size] == ',');
    }
    mr_bytes_append(&out, "", 1);
    text = out.failed != 0 ? NULL : mr_strdup((const char *)out.data);
    mr_bytes_done(&out);
    return text;
}

struct mr_metric_set *mr_metric_set_new(struct mr_metrics *metrics,
                                        const struct mr_metric_def *defs, size_t count,
                                        const char *const *label_values, size_t label_count)
{
    const char *names = longest_labels(defs, count);
    struct mr_metric_set *set;

    mr_assert(label_count == label_names_count(names));
    set = mr_calloc(1, sizeof *set);
    if (set == NULL) {
        return NULL;
    }
    mr_list_init(&set->link);
    set->defs = defs;
    set->count = count;
    set->values = mr_calloc(count, sizeof *set->values);
    if (label_count > 0) {
        set->labels = labels_render(names, label_values, label_count);
    }
    if (set->values == NULL || (label_count > 0 && set->labels == NULL)) {
        mr_metric_set_free(set);
        return NULL;
    }
    if (metrics != NULL) {
        mr_list_append(&metrics->sets, &set->link);
    }
    return set;
}

void mr_metric_set_free(struct mr_metric_set *set)
{
    if (set == NULL) {
        return;
    }
    mr_list_remove(&set->link);
    mr_free(set->labels);
    mr_free(set->values);
    mr_free(set);
}

/* How much of rendered labels the first `count` pairs take. A quote inside a value has a backslash
 * before it, so a bare one ends the value. */
static size_t labels_prefix(const char *labels, size_t count)
{
    size_t at = 0;

    while (count-- > 0) {
        at += strcspn(labels + at, "\"") + 1;
        while (labels[at] != '"') {
            at += labels[at] == '\\' ? 2 : 1;
        }
        at += 1 + (count > 0); /* the quote, and the comma to the next */
    }
    return at;
}

static int samples_compare(const void *left, const void *right)
{
    const struct sample *a = left;
    const struct sample *b = right;
    size_t size = a->labels_size < b->labels_size ? a->labels_size : b->labels_size;
    int order = strcmp(a->def->name, b->def->name);

    if (order == 0 && size > 0) {
        order = memcmp(a->labels, b->labels, size);
    }
    if (order == 0) {
        order = (a->labels_size > b->labels_size) - (a->labels_size < b->labels_size);
    }
    return order;
}

/* All samples, sorted, those with one name and labels added up. The caller's; NULL without memory
 * (or without samples: *ret_count is then 0 and *ret_failed false). */
static struct sample *samples_collect(struct mr_metrics *metrics, size_t *ret_count,
                                      bool *ret_failed)
{
    struct sample *samples;
    size_t total = 0;
    size_t used = 0;
    size_t kept = 0;

    *ret_count = 0;
    mr_list_each(&metrics->sets, link, next_link)
    {
        total += mr_container(link, struct mr_metric_set, link)->count;
    }
    samples = mr_calloc(total, sizeof *samples);
    *ret_failed = samples == NULL;
    if (samples == NULL || total == 0) {
        return samples;
    }
    mr_list_each(&metrics->sets, link, next_link)
    {
        const struct mr_metric_set *set = mr_container(link, struct mr_metric_set, link);

        for (size_t i = 0; i < set->count; i++) {
            size_t names = label_names_count(set->defs[i].labels);

            samples[used++] = (struct sample){&set->defs[i], set->labels,
                                              labels_prefix(set->labels, names), set->values[i]};
        }
    }
    mr_assert(used == total);
    qsort(samples, total, sizeof *samples, samples_compare);
    for (size_t i = 1; i < total; i++) {
        if (samples_compare(&samples[kept], &samples[i]) == 0) {
            samples[kept].value += samples[i].value;
        } else {
            samples[++kept] = samples[i];
        }
    }
    *ret_count = kept + 1;
    return samples;
}

static bool is_first_of_name(const struct sample *samples, size_t i)
{
    return i == 0 || strcmp(samples[i - 1].def->name, samples[i].def->name) != 0;
}

static void head_render(const struct mr_metric_def *def, struct mr_bytes *out)
{
    mr_bytes_printf(out, "# HELP %s ", def->name);
    for (const char *at = def->help; *at != '\0'; at++) {
        if (*at == '\n') {
            mr_bytes_text(out, "\\n");
        } else if (*at == '\\') {
            mr_bytes_text(out, "\\\\");
        } else {
            mr_bytes_append(out, at, 1);
        }
    }
    mr_bytes_printf(out, "\n# TYPE %s %s\n", def->name,
                    def->type == MR_COUNTER ? "counter" : "gauge");
}

void mr_metrics_render(struct mr_metrics *metrics, struct mr_bytes *out)
{
    struct sample *samples;
    size_t count;
    bool failed;

    mr_list_each(&metrics->sets, link, next_link)
    {
        struct mr_metric_set *set = mr_container(link, struct mr_metric_set, link);

        if (set->refresh != NULL) {
            set->refresh(set);
        }
    }
    samples = samples_collect(metrics, &count, &failed);
    if (failed) {
        out->failed = MR_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        const struct sample *sample = &samples[i];

        if (is_first_of_name(samples, i)) {
            head_render(sample->def, out);
        }
        mr_bytes_text(out, sample->def->name);
        if (sample->labels_size > 0) {
            mr_bytes_text(out, "{");
            mr_bytes_append(out, sample->labels, sample->labels_size);
            mr_bytes_text(out, "}");
        }
        mr_bytes_printf(out, " %" PRId64 "\n", sample->value);
    }
    mr_free(samples);
}

void mr_metrics_each_def(struct mr_metrics *metrics,
                         void (*cb)(void *owner, const struct mr_metric_def *def), void *owner)
{
    size_t count;
    bool failed;
    struct sample *samples = samples_collect(metrics, &count, &failed);

    for (size_t i = 0; i < count; i++) {
        if (is_first_of_name(samples, i)) {
            cb(owner, samples[i].def);
        }
    }
    mr_free(samples);
}
