/* Who may ask what of the admin API.
 *
 * 1. The Unix socket is guarded by its file's mode: who has come through may ask everything.
 * 2. Over TCP, what is public is answered to all.
 * 3. The rest wants "Authorization: Bearer <token>" of a role that is enough. A wrong one is
 *    answered late (100 ms, doubling to 3.2 s for one address), counted and told. 401 and 403 tell
 *    nothing else.
 * 4. Without TLS the Host header must be an address, localhost, or a name that is configured: else
 *    a page in somebody's browser could reach us by a name of its own (DNS rebinding). With TLS the
 *    certificate has shown that already. */
#ifndef AGENT_ADMIN_GUARD_H
#define AGENT_ADMIN_GUARD_H

#include <stdbool.h>

#include "agent/admin/tokens.h"
#include "base/core/list.h"

struct mr_http_exchange;
struct mr_loop;
struct mr_metrics;

/* The zero is the closest. */
enum admin_access { ADMIN_FOR_ADMINS, ADMIN_FOR_READERS, ADMIN_FOR_ALL };

enum { ADMIN_CALLER_SIZE = 96, GUARD_SLOTS = 64 };

struct guard_failures {
    int64_t last_ms;
    int count;
};

/* Tells of a refusal, for the audit: caller and peer are words. */
typedef void (*guard_denied_cb)(void *owner, struct mr_http_exchange *exchange, const char *caller,
                                const char *why);

struct guard {
    struct mr_loop *loop;
    struct tokens *tokens; /* NULL: none, so that nobody has one */
    bool is_tls;
    const char *const *hosts; /* names by which we are called; borrowed */
    size_t host_count;
    guard_denied_cb on_denied; /* may be NULL */
    void *owner;
    struct mr_metric_set *metric_set;
    struct guard_failures failures[GUARD_SLOTS];
    struct mr_link refusals; /* that wait */
};

/* The fields above that are the caller's are set before. */
void guard_init(struct guard *guard, struct mr_metrics *metrics);
void guard_done(struct guard *guard);
/* True: go on; caller (ADMIN_CALLER_SIZE bytes) is then "token:<name>", "uid:<n>" or "anonymous".
 * False: the guard has answered, or will. */
bool guard_admits(struct guard *guard, struct mr_http_exchange *exchange, enum admin_access access,
                  char *caller);

#endif
