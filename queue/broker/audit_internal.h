/* What audit.c (the trail) and audit_request.c (what goes into it) share. */
#ifndef QUEUE_BROKER_AUDIT_INTERNAL_H
#define QUEUE_BROKER_AUDIT_INTERNAL_H

#include "queue/broker/audit.h"

struct mr_json;

/* Opens the object and writes time, principal, address, action. */
void audit_open_record(struct audit_trail *trail, struct mr_json *json,
                       const struct audit_event *event);
/* Nothing where the text is NULL or empty. */
void audit_put_text(struct mr_json *json, const char *key, const char *text);
/* Copies the record into the list; a failed or superfluous one is counted. */
void audit_keep(struct audit_trail *trail, const struct mr_bytes *text);

#endif
