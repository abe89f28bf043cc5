/* The list of records that wait, and the table of what is being added up. */
#include "queue/broker/audit.h"

#include <stdio.h>
#include <string.h>

#include "base/core/buffer.h"
#include "base/core/list.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/text/json.h"
#include "base/text/time.h"
#include "queue/broker/audit_internal.h"

enum {
    WAITING_BYTES_MAX = 1 << 20,
    ALIKE_MAX = 64, /* kinds that are told apart in one second */
    ALIKE_MS = 1000,
};

enum audit_metric { AUDIT_RECORDS, AUDIT_LOST, AUDIT_METRIC_COUNT };

static const struct mr_metric_def audit_metrics[] = {
    {"millrace_audit_records_total", MR_COUNTER, "Records for the topic __audit.", NULL},
    {"millrace_audit_lost_total", MR_COUNTER,
     "Records of the audit that could not be kept: too many at once, or no room on the disk.",
     NULL},
};

struct waiting {
    struct mr_link link;
    int64_t time_ms;
    size_t size_bytes;
    char text[];
};

struct alike {
    int64_t count; /* 0: unused */
    char principal[160];
    char address[64];
    char action[48];
    char resource[280];
    char outcome[16];
    char reason[96];
};

struct audit_trail {
    struct mr_loop *loop;
    struct mr_metric_set *metric_set;
    void (*on_waiting)(void *owner);
    void *owner;
    struct mr_link waiting;
    size_t waiting_bytes;
    int64_t lost; /* since the last record that was kept */
    struct alike *alike;
    int alike_count;
    int64_t others; /* beyond ALIKE_MAX kinds */
    struct mr_timer timer;
};

static void on_second(struct mr_timer *timer)
{
    audit_trail_flush(timer->owner);
}

int audit_trail_new(struct mr_loop *loop, struct mr_metrics *metrics,
                    void (*on_waiting)(void *owner), void *owner, struct audit_trail **ret_trail)
{
    struct audit_trail *trail = mr_calloc(1, sizeof *trail);

    if (trail == NULL) {
        return MR_ENOMEM;
    }
    trail->loop = loop;
    trail->on_waiting = on_waiting;
    trail->owner = owner;
    mr_list_init(&trail->waiting);
    mr_timer_init(&trail->timer, loop, on_second, trail);
    if (metrics != NULL) {
        trail->metric_set = mr_metric_set_new(metrics, audit_metrics, AUDIT_METRIC_COUNT, NULL, 0);
    }
    *ret_trail = trail;
    return 0;
}

void audit_trail_free(struct audit_trail *trail)
{
    struct mr_link *link;

    if (trail == NULL) {
        return;
    }
    mr_timer_stop(&trail->timer);
    while ((link = mr_list_pop(&trail->waiting)) != NULL) {
        mr_free(mr_container(link, struct waiting, link));
    }
    mr_metric_set_free(trail->metric_set);
    mr_free(trail->alike);
    mr_free(trail);
}

static void count(struct audit_trail *trail, enum audit_metric metric, int64_t more)
{
    if (trail->metric_set != NULL) {
        trail->metric_set->values[metric] += more;
    }
}

void audit_trail_lost(struct audit_trail *trail, int64_t lost)
{
    trail->lost += lost;
    count(trail, AUDIT_LOST, lost);
}

/* ---- records ---- */

void audit_put_text(struct mr_json *json, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        mr_json_key(json, key);
        mr_json_text(json, text);
    }
}

void audit_open_record(struct audit_trail *trail, struct mr_json *json,
                       const struct audit_event *event)
{
    char time[MR_TIME_TEXT_SIZE];

    (void)mr_time_format(mr_loop_wall_ms(trail->loop) * 1000, MR_TIME_MILLIS, time);
    mr_json_open_object(json);
    audit_put_text(json, "time", time);
    audit_put_text(json, "principal", event->principal);
    audit_put_text(json, "address", event->address);
    audit_put_text(json, "action", event->action);
}

void audit_keep(struct audit_trail *trail, const struct mr_bytes *text)
{
    struct waiting *waiting = NULL;
    bool was_empty = mr_list_is_empty(&trail->waiting);

    if (text->failed == 0 && trail->waiting_bytes + text->size_bytes <= WAITING_BYTES_MAX) {
        waiting = mr_malloc(sizeof *waiting + text->size_bytes);
    }
    if (waiting == NULL) {
        audit_trail_lost(trail, 1);
        return;
    }
    *waiting =
        (struct waiting){.time_ms = mr_loop_wall_ms(trail->loop), .size_bytes = text->size_bytes};
    mr_list_init(&waiting->link);
    memcpy(waiting->text, text->data, text->size_bytes);
    mr_list_append(&trail->waiting, &waiting->link);
    trail->waiting_bytes += text->size_bytes;
    count(trail, AUDIT_RECORDS, 1);
    if (was_empty) {
        trail->on_waiting(trail->owner);
    }
}

static void note_counted(struct audit_trail *trail, const struct audit_event *event, int64_t number)
{
    struct mr_bytes text;
    struct mr_json json;

    mr_bytes_init(&text);
    mr_json_init(&json, &text);
    audit_open_record(trail, &json, event);
    if (event->resource != NULL && event->resource[0] != '\0') {
        mr_json_key(&json, "resources");
        mr_json_open_array(&json);
        mr_json_text(&json, event->resource);
        mr_json_close_array(&json);
    }
    audit_put_text(&json, "outcome", event->outcome);
    audit_put_text(&json, "reason", event->reason);
    if (number > 1) {
        mr_json_key(&json, "count");
        mr_json_i64(&json, number);
    }
    mr_json_close_object(&json);
    audit_keep(trail, &text);
    mr_bytes_done(&text);
}

void audit_note(struct audit_trail *trail, const struct audit_event *event)
{
    note_counted(trail, event, 1);
}

/* ---- adding up ---- */

static void copy(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from != NULL ? from : "");
}

static bool is_alike(const struct alike *left, const struct alike *right)
{
    return strcmp(left->principal, right->principal) == 0 &&
           strcmp(left->address, right->address) == 0 && strcmp(left->action, right->action) == 0 &&
           strcmp(left->resource, right->resource) == 0 &&
           strcmp(left->outcome, right->outcome) == 0 && strcmp(left->reason, right->reason) == 0;
}

void audit_note_often(struct audit_trail *trail, const struct audit_event *event)
{
    struct alike one = {.count = 1};
    int place = 0;

    copy(one.principal, sizeof one.principal, event->principal);
    copy(one.address, sizeof one.address, event->address);
    copy(one.action, sizeof one.action, event->action);
    copy(one.resource, sizeof one.resource, event->resource);
    copy(one.outcome, sizeof one.outcome, event->outcome);
    copy(one.reason, sizeof one.reason, event->reason);
    if (trail->alike == NULL) {
        trail->alike = mr_calloc(ALIKE_MAX, sizeof *trail->alike);
    }
    if (trail->alike == NULL) {
        audit_trail_lost(trail, 1);
        return;
    }
    while (place < trail->alike_count && !is_alike(&trail->alike[place], &one)) {
        place++;
    }
    if (place < trail->alike_count) {
        trail->alike[place].count += 1;
    } else if (place < ALIKE_MAX) {
        trail->alike[trail->alike_count++] = one;
    } else {
        trail->others += 1;
    }
    if (!mr_timer_is_running(&trail->timer) && mr_timer_start(&trail->timer, ALIKE_MS) != 0) {
        audit_trail_flush(trail);
    }
}

void audit_trail_flush(struct audit_trail *trail)
{
    static const struct audit_event others = {
        .action = "*", .outcome = "denied", .reason = "more kinds than are told apart"};

    mr_timer_stop(&trail->timer);
    for (int i = 0; i < trail->alike_count; i++) {
        const struct alike *alike = &trail->alike[i];
        const struct audit_event event = {alike->principal, alike->address, alike->action,
                                          alike->resource,  alike->outcome, alike->reason};
        note_counted(trail, &event, alike->count);
    }
    if (trail->others > 0) {
        note_counted(trail, &others, trail->others);
    }
    trail->others = 0;
    trail->alike_count = 0;
    mr_free(trail->alike); /* 40 KiB that most nodes never need */
    trail->alike = NULL;
}

/* ---- for the writer ---- */

bool audit_trail_is_empty(const struct audit_trail *trail)
{
    return mr_list_is_empty(&trail->waiting);
}

bool audit_trail_take(struct audit_trail *trail, struct mr_bytes *value, int64_t *ret_time_ms)
{
    struct mr_link *link;
    struct waiting *waiting;

    if (trail->lost > 0) { /* told before what came after it */
        const struct audit_event missing = {
            .action = "*", .outcome = "lost", .reason = "records of the audit are missing here"};
        int64_t lost = trail->lost;
        trail->lost = 0;
        note_counted(trail, &missing, lost);
    }
    link = mr_list_pop(&trail->waiting);
    if (link == NULL) {
        return false;
    }
    waiting = mr_container(link, struct waiting, link);
    mr_bytes_append(value, waiting->text, waiting->size_bytes);
    *ret_time_ms = waiting->time_ms;
    trail->waiting_bytes -= waiting->size_bytes;
    mr_free(waiting);
    return true;
}
