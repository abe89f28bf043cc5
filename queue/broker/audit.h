/* The audit trail: who changed what, who was refused, who failed to say who he is.
 *
 * Events become records of JSON that wait here, in a bounded list, until the writer (queue/audit.h)
 * takes them into the topic __audit. Nothing here waits, and no request fails because of it: what
 * does not fit is counted, and the next record says how many are missing.
 *
 *     {"time": "2026-03-01T12:00:00.123Z", "principal": "User:alice", "address": "10.0.0.7",
 *      "action": "CreateTopics", "resources": ["topic:web"], "outcome": "ok", "details": {...}}
 *
 * Changes are noted at one place, request_respond: every API whose operation is CREATE, DELETE,
 * ALTER or ALTER_CONFIGS is one, so that a new API is in the trail without a line here. `details`
 * is its request, walked by its description: nothing that is bytes (salts, hashes) or is named like
 * a secret is in it. Refusals (request_may) and failed logins are added up over a second:
 * "count": n says how many were alike. Lives on the broker's loop. */
#ifndef QUEUE_BROKER_AUDIT_H
#define QUEUE_BROKER_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_trail;
struct audited;
struct connection;
struct mr_bytes;
struct mr_loop;
struct mr_metrics;
struct request;

struct audit_event {
    const char *principal;
    const char *address;
    const char *action;
    const char *resource; /* "topic:web"; NULL: none */
    const char *outcome;  /* "ok", "denied", "failed" */
    const char *reason;   /* NULL: none */
};

/* on_waiting: a record waits that none did before; take it later, not inside. metrics may be NULL.
 */
int audit_trail_new(struct mr_loop *loop, struct mr_metrics *metrics,
                    void (*on_waiting)(void *owner), void *owner, struct audit_trail **ret_trail);
void audit_trail_free(struct audit_trail *trail); /* NULL is fine */
/* One event, now. */
void audit_note(struct audit_trail *trail, const struct audit_event *event);
/* One of perhaps many that are alike: written within a second, with their number. */
void audit_note_often(struct audit_trail *trail, const struct audit_event *event);
/* What is still being added up becomes records: before closing. */
void audit_trail_flush(struct audit_trail *trail);
/* The oldest record, appended to `value`; false: none waits. */
bool audit_trail_take(struct audit_trail *trail, struct mr_bytes *value, int64_t *ret_time_ms);
bool audit_trail_is_empty(const struct audit_trail *trail);
/* The writer could not write so many. */
void audit_trail_lost(struct audit_trail *trail, int64_t count);

/* ---- the broker's own places; a broker without a trail does nothing in them ---- */

/* Before the handler: notes who asks, for the connection may be gone when it is answered. */
void audit_begin(struct request *request);
/* response NULL: there is none. */
void audit_end(struct request *request, const void *response);
/* resource as in request_may. */
void audit_denied(const struct request *request, int operation, int resource, const char *name,
                  int32_t name_size);
void audit_login_failed(const struct connection *connection, const char *user,
                        const char *mechanism, const char *reason);

#endif
