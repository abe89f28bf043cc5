/* Refusals of wrong tokens wait on a timer each; the client that goes meanwhile takes its refusal
 * with it. How many can wait is bounded by the connections of the listener. */
#include "agent/admin/guard.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/core/hash.h"
#include "base/core/logger.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/net/http_server.h"

enum { DELAY_MS = 100, DOUBLINGS_MAX = 5, FORGOTTEN_MS = 60 * 1000, HOST_SIZE = 256 };

enum guard_metric { GUARD_FAILED, GUARD_FORBIDDEN, GUARD_MISDIRECTED, GUARD_METRIC_COUNT };

static const struct mr_metric_def guard_metrics[] = {
    {"millrace_admin_wrong_tokens_total", MR_COUNTER,
     "Requests to the admin API with a token that is none, or without one.", NULL},
    {"millrace_admin_forbidden_total", MR_COUNTER,
     "Requests to the admin API with a token whose role is not enough.", NULL},
    {"millrace_admin_misdirected_total", MR_COUNTER,
     "Requests to the admin API by a name that is not this node's.", NULL},
};

struct refusal {
    struct mr_link link;
    struct mr_timer timer;
    struct mr_http_exchange *exchange;
};

void guard_init(struct guard *guard, struct mr_metrics *metrics)
{
    mr_list_init(&guard->refusals);
    guard->metric_set = metrics != NULL
                            ? mr_metric_set_new(metrics, guard_metrics, GUARD_METRIC_COUNT, NULL, 0)
                            : NULL;
}

static void refusal_free(struct refusal *refusal)
{
    mr_timer_stop(&refusal->timer);
    mr_list_remove(&refusal->link);
    mr_free(refusal);
}

void guard_done(struct guard *guard)
{
    while (!mr_list_is_empty(&guard->refusals)) {
        refusal_free(mr_container(guard->refusals.next, struct refusal, link));
    }
    mr_metric_set_free(guard->metric_set);
    guard->metric_set = NULL;
}

static void count(struct guard *guard, enum guard_metric metric)
{
    if (guard->metric_set != NULL) {
        guard->metric_set->values[metric] += 1;
    }
}

/* ---- the answer to a wrong token ---- */

/* The peer without its port. Addresses share slots: a stranger's failures may slow down the answer
 * to another failure, never a success. */
static int64_t failure_delay_ms(struct guard *guard, struct mr_http_exchange *exchange)
{
    const char *peer = mr_stream_peer(mr_http_stream(exchange));
    const char *colon = strrchr(peer, ':');
    size_t size = colon != NULL ? (size_t)(colon - peer) : strlen(peer);
    struct guard_failures *failures = &guard->failures[mr_hash64(peer, size) % GUARD_SLOTS];
    int64_t now_ms = mr_loop_now_ms(guard->loop);
    int doublings;

    if (now_ms - failures->last_ms > FORGOTTEN_MS) {
        failures->count = 0;
    }
    doublings = failures->count < DOUBLINGS_MAX ? failures->count : DOUBLINGS_MAX;
    failures->count = doublings + 1;
    failures->last_ms = now_ms;
    return (int64_t)DELAY_MS << doublings;
}

static void respond_wrong(struct mr_http_exchange *exchange)
{
    mr_http_add_header(exchange, "WWW-Authenticate", "Bearer realm=\"millrace\"");
    mr_http_respond_text(exchange, 401, "a token is wanted here: Authorization: Bearer ...");
}

static void on_delay_over(struct mr_timer *timer)
{
    struct refusal *refusal = timer->owner;
    struct mr_http_exchange *exchange = refusal->exchange;

    mr_http_on_closed(exchange, NULL, NULL);
    refusal_free(refusal);
    respond_wrong(exchange);
}

static void on_closed(struct mr_http_exchange *exchange, void *owner)
{
    (void)exchange;
    refusal_free(owner);
}

static void refuse_late(struct guard *guard, struct mr_http_exchange *exchange)
{
    struct refusal *refusal = mr_calloc(1, sizeof *refusal);

    if (refusal == NULL) {
        respond_wrong(exchange);
        return;
    }
    refusal->exchange = exchange;
    mr_list_append(&guard->refusals, &refusal->link);
    mr_timer_init(&refusal->timer, guard->loop, on_delay_over, refusal);
    if (mr_timer_start(&refusal->timer, failure_delay_ms(guard, exchange)) != 0) {
        refusal_free(refusal);
        respond_wrong(exchange);
        return;
    }
    mr_http_on_closed(exchange, on_closed, refusal);
}

/* ---- who asks ---- */

static bool is_numeric(const char *host)
{
    uint8_t bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* "name", "name:port", "[::1]:port". */
static bool is_ours(const struct guard *guard, const char *header)
{
    char host[HOST_SIZE];
    size_t size = header[0] == '[' ? strcspn(header, "]") : strcspn(header, ":");
    size_t skip = header[0] == '[';

    if (size < skip || size - skip >= sizeof host) {
        return false;
    }
    memcpy(host, header + skip, size - skip);
    host[size - skip] = '\0';
    if (is_numeric(host) || strcasecmp(host, "localhost") == 0) {
        return true;
    }
    for (size_t i = 0; i < guard->host_count; i++) {
        if (strcasecmp(host, guard->hosts[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* The text behind "Bearer ", or NULL. */
static const char *bearer_of(const struct mr_http_exchange *exchange)
{
    const char *header = mr_http_header(exchange, "Authorization");

    if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0) {
        return NULL;
    }
    header += 7;
    return header + strspn(header, " ");
}

static void tell(const struct guard *guard, struct mr_http_exchange *exchange, const char *caller,
                 const char *why)
{
    mr_warn("admin request refused", KV_STR("peer", mr_stream_peer(mr_http_stream(exchange))),
            KV_STR("caller", caller), KV_STR("reason", why));
    if (guard->on_denied != NULL) {
        guard->on_denied(guard->owner, exchange, caller, why);
    }
}

static bool admit_by_token(struct guard *guard, struct mr_http_exchange *exchange,
                           enum admin_access access, char *caller)
{
    const char *text = bearer_of(exchange);
    const struct token *token =
        text != NULL && guard->tokens != NULL ? tokens_find(guard->tokens, text) : NULL;

    mr_http_wipe_header(exchange, "Authorization");
    if (token == NULL) {
        count(guard, GUARD_FAILED);
        tell(guard, exchange, caller, text == NULL ? "no token" : "wrong or expired token");
        refuse_late(guard, exchange);
        return false;
    }
    (void)snprintf(caller, ADMIN_CALLER_SIZE, "token:%s", token->name);
    if (access == ADMIN_FOR_ADMINS && token->role != TOKEN_ADMIN) {
        count(guard, GUARD_FORBIDDEN);
        tell(guard, exchange, caller, "the token may only read");
        mr_http_respond_text(exchange, 403, "this token may only read");
        return false;
    }
    return true;
}

bool guard_admits(struct guard *guard, struct mr_http_exchange *exchange, enum admin_access access,
                  char *caller)
{
    const char *host = mr_http_header(exchange, "Host");
    uid_t uid;
    gid_t gid;
    pid_t pid;

    (void)snprintf(caller, ADMIN_CALLER_SIZE, "anonymous");
    if (mr_stream_credentials(mr_http_stream(exchange), &uid, &gid, &pid) == 0) {
        (void)snprintf(caller, ADMIN_CALLER_SIZE, "uid:%llu", (unsigned long long)uid);
        return true;
    }
    if (access == ADMIN_FOR_ALL) {
        return true;
    }
    if (!guard->is_tls && host != NULL && !is_ours(guard, host)) {
        count(guard, GUARD_MISDIRECTED);
        tell(guard, exchange, caller, "the Host header is not this node's");
        mr_http_respond_text(exchange, 421, "this node is not called that: see admin.hosts");
        return false;
    }
    return admit_by_token(guard, exchange, access, caller);
}
