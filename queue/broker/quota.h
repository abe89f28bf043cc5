/* What clients use, held against what they may (queue/meta/quotas.h), with Kafka's semantics
 * (KIP-13, KIP-55, KIP-124, KIP-219, KIP-599): who has used too much is answered at once, with the
 * time it has to wait in the answer, and is then not read from until that time is over.
 *
 * Usage is counted in token buckets (base/core/bucket.h), one for each rate and user, client id, or
 * both, as the quota that counts says. Buckets are shared by the connections of a client; their
 * number is bounded, and those that are full again go.
 *
 * While no quota is set all of this costs one look per request, and nothing per connection. The
 * node's own socket has no quotas, nor has who has yet to say who he is. */
#ifndef QUEUE_BROKER_QUOTA_H
#define QUEUE_BROKER_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/meta/quotas.h"

struct broker;
struct broker_config;
struct connection;
struct mr_admission;
struct mr_error;
struct quotas;
struct request;

enum { QUOTA_BUCKETS_MAX = 10000, QUOTA_WINDOW_MS = 10 * 1000 };

/* window_ms: how much of an unused quota may be used at once; 0: as Kafka's eleven samples of a
 * second. */
int quotas_new(struct broker *broker, int64_t window_ms, struct quotas **ret_quotas);
void quotas_free(struct quotas *quotas); /* NULL is fine */
/* Lets go of what is not used any more; now and then. */
void quotas_sweep(struct quotas *quotas);

/* Counts, and mutes the connection if that is too much. */
void quota_charge(struct request *request, enum quota_rate rate, double amount);
/* Counts only; a negative amount gives back. */
void quota_count(struct request *request, enum quota_rate rate, double amount);
/* Whether the client has used too much already; then its connection is muted. */
bool quota_is_over(struct request *request, enum quota_rate rate);
/* At most so many bytes for one answer, so that one cannot use up many windows. INT64_MAX: no
 * quota. */
int64_t quota_window_bytes(struct request *request, enum quota_rate rate);
/* The request's handler begins, and ends or answers, whichever comes first: its time is charged.
 * After the answer the request may be gone: then it is not looked into. */
void quota_time_begin(struct request *request);
void quota_time_end(struct broker *broker, struct request *request);
/* A request that has waited is taken up again, perhaps in the middle of another's handler, whose
 * time stands still meanwhile. Between the two the request may answer and be gone. */
struct quota_pause {
    const struct request *outer; /* NULL: none was running, or it has gone */
    int64_t outer_used_us;
    struct quota_pause *before;
};
void quota_time_resume(struct request *request, struct quota_pause *pause);
void quota_time_suspend(struct broker *broker, struct request *request, struct quota_pause *pause);
/* The request goes, however. */
void quota_time_forget(const struct request *request);
/* What the answer tells: how long its connection is muted. */
int32_t quota_throttle_ms(const struct connection *connection);

/* How many connections a second an address may make, and bounds of how many it may have: for the
 * listeners. Ends before the broker does (mr_admission_close). */
int quota_admission_new(struct broker *broker, const struct broker_config *config,
                        struct mr_admission **ret_admission, struct mr_error *error);

/* The connection closes. */
void quota_leave(struct connection *connection);

#endif
