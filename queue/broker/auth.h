/* Who a connection speaks for, and what that principal may do: the broker's own share of security.
 * Users and bindings are in the metadata (queue/meta); sasl.h proves who somebody is. */
#ifndef QUEUE_BROKER_AUTH_H
#define QUEUE_BROKER_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/broker/broker.h"
#include "queue/meta/acl.h"

struct auth;
struct connection;
struct mr_scram_credential;
struct oauth;
struct request;

enum { PRINCIPAL_SIZE = 640, HOST_SIZE = 280 };

/* The words of broker_security are copied. MR_EINVAL for a mapping rule that is none. */
int auth_new(const struct broker_config *config, struct auth **ret_auth, struct mr_error *error);
void auth_free(struct auth *auth); /* NULL is fine */

/* What is known of a connection before it says anything: sets principal and host. MR_EAUTH: its
 * certificate leads to no name. */
int auth_meet(struct auth *auth, struct connection *connection, const char *peer_name);
/* "User:<name>" from now on. */
void auth_set_principal(struct connection *connection, const char *name);
/* "Node:<name>": it has shown that it knows the cluster's key. */
void auth_set_node(struct connection *connection, const char *name);
/* What the cluster's key is checked against; NULL without one. */
const struct mr_scram_credential *auth_node_credential(const struct auth *auth);

bool auth_may(const struct auth *auth, const struct connection *connection,
              enum acl_operation operation, enum acl_resource resource, struct wire_string name);
/* With any resource of this kind. */
bool auth_may_somewhere(const struct auth *auth, const struct connection *connection,
                        enum acl_operation operation, enum acl_resource resource);
/* Kafka's bit field of what the principal may do with this resource (KIP-430). */
int32_t auth_operations(const struct auth *auth, const struct connection *connection,
                        enum acl_resource resource, struct wire_string name);

/* ---- failed attempts ---- */

/* What a failure is counted as; the words are the metric's label. */
enum auth_failure {
    AUTH_FAILED_MALFORMED, /* not a message of the mechanism, or not the next one */
    AUTH_FAILED_MECHANISM, /* not offered */
    AUTH_FAILED_UNKNOWN,   /* no such user, or not with this mechanism */
    AUTH_FAILED_SECRET,    /* wrong password */
    AUTH_FAILED_TOKEN,     /* not signed by who should, expired, for others */
    AUTH_FAILED_PRINCIPAL, /* a session that is renewed by somebody else */
    AUTH_FAILED_BUSY,      /* could not be checked */
    AUTH_FAILED_LATE,      /* said nothing in time */
    AUTH_FAILURE_COUNT
};

/* Counts it, and writes a line in the log: some at once, then one a second, with how many were left
 * out. user: what the client has said, "" if it did not come so far. */
void auth_note_failure(const struct connection *connection, enum auth_failure kind,
                       const char *user, const char *mechanism, const char *why);
/* How long the answer to a failed attempt waits, and notes the failure. Grows with each further one
 * from the same address, or for the same user (""; not known), and is forgotten after a minute. */
int64_t auth_failure_delay_ms(struct auth *auth, const char *host, const char *user,
                              int64_t now_ms);
/* NULL: no tokens are taken. */
struct oauth *auth_oauth(const struct auth *auth);

/* Secrets may have changed: what is derived from them is made anew, and keys for tokens are read
 * again. Some milliseconds. 0, or MR_ENOMEM and the old ones stay. */
int auth_reload(struct auth *auth);
/* 0, or what of it could not be read. */
int auth_health(const struct auth *auth, struct mr_error *error);

#endif
