/* The Kafka protocol of this node: listeners, connections, and a handler per API. What it serves is
 * in the rooms below (meta, replica, group); what bytes mean is in wire. One loop owns it all. */
#ifndef QUEUE_BROKER_BROKER_H
#define QUEUE_BROKER_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/net/stream.h"

struct audit_trail;
struct broker;
struct group_offsets;
struct groups;
struct meta;
struct mr_disk;
struct mr_error;
struct mr_metrics;
struct mr_net;
struct mr_random;
struct mr_stream;
struct replicas;

/* How tokens of OAUTHBEARER are checked (oauth.h). */
struct broker_oauth {
    const char *keys; /* a file or URL with a JSON Web Key Set; NULL: no tokens are taken */
    const char *ca;   /* whom to trust for the URL; NULL: the system's */
    int64_t refresh_ms;
    const char *issuer;
    const char *const *audiences;
    size_t audience_count;
    const char *subject_claim;
    const char *scope_claim;
    const char *const *scopes; /* all of them must be in the token */
    size_t scope_count;
    int64_t skew_ms;
};

/* Who may do what, on all listeners. */
struct broker_security {
    bool is_enforced;        /* ask the access control lists; else everybody may everything */
    bool allows_without_acl; /* where no binding is about the resource */
    const char *const *super_users; /* "admin" or "User:admin": may everything */
    size_t super_user_count;
    const char *const *principal_rules; /* for certificates (principal.h) */
    size_t principal_rule_count;
    const char *const
        *certificate_names;        /* "subject", "dns", "uri", "email": the first that it has */
    size_t certificate_name_count; /* 0: subject */
    const char *const *peer_rules; /* likewise for names at a Unix socket */
    size_t peer_rule_count;
    struct broker_oauth oauth;
    struct mr_secret *cluster_key; /* what all nodes know; NULL: no node is known by it */
    const char *const *nodes;      /* principals that are nodes; * stands for anything */
    size_t node_count;
};

struct broker_listener_config {
    struct mr_address address;
    struct mr_address advertise; /* host "": the address itself */
    bool is_control;             /* the node's own Unix socket: full rights */
    int connections_max;         /* 0: unbounded */
    int connection_rate_max;     /* accepted a second; 0: unbounded */
    int inherited_fd;            /* a socket that listens already; 0: none */
    struct mr_tls_context *tls;
    unsigned sasl_mechanisms; /* enum sasl_mechanism, as bits; 0: nobody is asked */
    int64_t sasl_session_ms;  /* clients must prove again who they are; 0: never */
    mode_t unix_mode;         /* 0: 0660 */
    bool has_unix_owner;
    bool has_unix_group;
    uid_t unix_owner;
    gid_t unix_group;
    bool names_peers; /* at a Unix socket: the login name of the user instead of its number */
};

struct broker_config {
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct mr_net *net;
    struct mr_random *random;
    struct mr_metrics *metrics;
    struct meta *meta;
    struct replicas *replicas;
    struct group_offsets *offsets;
    struct groups *groups;
    int32_t node_id;
    const char *node_name;
    const char *rack; /* NULL: none */
    bool auto_create_topics;
    int32_t default_partitions;
    int64_t request_size_bytes_max;
    int64_t memory_limit_bytes;
    int64_t connection_idle_ms_max;
    int64_t quota_window_ms;               /* 0: quota.h's */
    int address_connections_max;           /* of one address, over all listeners; 0: unbounded */
    const char *const *address_exceptions; /* "10.0.0.1=100" */
    size_t address_exception_count;
    const struct broker_listener_config *listeners;
    size_t listener_count;
    struct broker_security security;
    struct audit_trail *audit; /* outlives the broker; NULL: none */
};

/* Binds the listeners; connections are taken from broker_start on. Blocks. */
int broker_open(const struct broker_config *config, struct broker **ret_broker,
                struct mr_error *error);
void broker_start(struct broker *broker);
/* Closes listeners and connections; what is being appended is finished, its answer is lost. done:
 * later. */
void broker_close(struct broker *broker, void (*done)(void *owner), void *owner);
/* Secrets and files of keys may have changed: they count for who authenticates next. 0 or
 * MR_ENOMEM. */
int broker_reload_security(struct broker *broker);
int broker_security_health(const struct broker *broker, struct mr_error *error);
uint16_t broker_listener_port(const struct broker *broker, size_t place);
/* A connection that did not come from a listener of ours (tests); counts as one of listener
 * `place`. */
int broker_accept(struct broker *broker, size_t place, struct mr_stream *stream);

#endif
