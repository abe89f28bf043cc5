/* The admin API of a node: metrics, health, and JSON about what it does, over HTTP on a Unix socket
 * (whoever may open the socket may ask everything) and, if configured, on TCP (what is public to
 * all, the rest to who has a token: guard.h, tokens.h).
 *
 * Parts of the agent add routes and checks; the table of them is the documentation, shown by GET /.
 * Lives on one loop; handlers and checks run on it and answer at once, from memory. */
#ifndef AGENT_ADMIN_ADMIN_H
#define AGENT_ADMIN_ADMIN_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/admin/guard.h"

struct admin;
struct mr_disk;
struct mr_error;
struct mr_http_exchange; /* base/net/http_server.h: parameters, query, headers, body */
struct mr_json;
struct mr_loop;
struct mr_metrics;
struct mr_net;
struct mr_random;
struct mr_tls_context;
struct queue_socket_rights;

/* Whether a part of the node is well. `text` (size bytes, empty at first) says what is wrong, or is
 * a remark. */
typedef bool (*admin_check_cb)(void *owner, char *text, size_t size);
/* Writes one JSON value. Returns 0, or a code that becomes a status (MR_ENOENT: 404, MR_EINVAL:
 * 400, MR_EBUSY: 409, MR_EAUTH: 403, MR_EAGAIN: 503, else 500) with the words of `error`; what was
 * written is dropped then. */
typedef int (*admin_handler)(void *owner, struct mr_http_exchange *exchange, struct mr_json *json,
                             struct mr_error *error);

struct admin_route {
    const char *method;
    const char *path; /* "/files/{id}" */
    admin_handler handler;
    void *owner;
    const char *help; /* one sentence */
    enum admin_access access;
    size_t body_size_bytes_max;
};

struct admin_config {
    struct mr_loop *loop;
    struct mr_net *net;
    struct mr_metrics *metrics;
    const char *socket_path; /* "/run/millrace/node.admin.sock", mode 0660; NULL: none */
    const struct queue_socket_rights *socket_rights; /* NULL: the process's, 0660 */
    const char *address;                             /* "127.0.0.1:9692"; NULL: none */
    bool is_insecure;                                /* an address that is not loopback is meant */
    struct mr_tls_context *tls;                      /* for the address; NULL: plain */
    bool (*is_ready)(void *owner);                   /* for GET /ready; NULL: always */
    /* For tokens: the file "tokens" of this directory. NULL: there are none. */
    const char *directory;
    struct mr_disk *disk;
    struct mr_random *random;
    const char *const *hosts; /* names that the Host header may have; outlive the admin */
    size_t host_count;
    /* Every change and every refusal, for the audit: what ("TokenCreate"), of what, and how it went
     * ("ok", or the words of the refusal). NULL: nobody wants to know. */
    void (*on_audit)(void *owner, const char *caller, const char *peer, const char *action,
                     const char *resource, const char *outcome);
    void *owner;
};

/* Strings are copied where they are needed, but for hosts. Fails with words when a listener cannot
 * be opened. */
int admin_open(const struct admin_config *config, struct admin **ret_admin, struct mr_error *error);
/* The struct is copied; its strings and owner outlive the admin. MR_EEXIST, MR_ENOMEM. */
int admin_add_route(struct admin *admin, const struct admin_route *route);
struct tokens *admin_tokens(const struct admin *admin); /* NULL: there are none */
/* Who asks what is being handled: "token:<name>", "uid:<n>", "anonymous". */
const char *admin_caller(const struct admin *admin);
/* For handlers that change something: tells the audit (admin_config.on_audit). */
void admin_audit(struct admin *admin, struct mr_http_exchange *exchange, const char *caller,
                 const char *action, const char *resource, const char *outcome);
/* At most 32. name outlives the admin. MR_EFULL. */
int admin_add_check(struct admin *admin, const char *name, admin_check_cb check, void *owner);
/* The real one, after port 0; 0 without a TCP listener. */
unsigned admin_port(const struct admin *admin);
/* Open connections end. NULL is fine. */
void admin_close(struct admin *admin);

#endif
