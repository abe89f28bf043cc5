/* The queue: this node's share of the partitioned log, its broker and its metadata, as one object
 * that the agent opens and closes. The other faces are producer.h (append), consumer.h (read,
 * commit) and admin.h (topics). One loop owns it all. */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/random.h"
#include "base/net/stream.h"
#include "queue/log/log.h"

struct mr_clock;
struct mr_disk;
struct mr_error;
struct mr_metrics;
struct queue;

enum queue_when_full { QUEUE_BLOCK, QUEUE_DROP_OLDEST, QUEUE_DROP_NEW };

/* A topic as the configuration declares it. Fields at -1 keep the defaults. */
struct queue_topic_spec {
    const char *name;
    bool is_local; /* fed by this node's sources only; not in the metadata */
    int32_t partitions;
    int16_t replicas;
    int64_t retention_ms;
    int64_t retention_bytes;
    int64_t segment_size_bytes;
    int64_t segment_age_ms;
    int64_t message_size_bytes_max;
    int fsync; /* enum log_fsync, -1: default */
    int64_t fsync_interval_ms;
    int when_full;   /* enum queue_when_full; local topics */
    int compression; /* enum mr_codec, -1: default; what our own batches use */
};

/* Mechanisms of SASL, as bits. */
enum queue_sasl {
    QUEUE_SASL_PLAIN = 1,
    QUEUE_SASL_SCRAM_SHA_256 = 2,
    QUEUE_SASL_SCRAM_SHA_512 = 4,
    QUEUE_SASL_OAUTHBEARER = 8,
    QUEUE_SASL_CLUSTER_KEY = 16 /* for nodes: needs cluster_key */
};

/* How tokens of OAUTHBEARER are checked. */
struct queue_oauth {
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

/* Who may do what, on all listeners but the node's own socket. */
struct queue_security {
    bool is_enforced;               /* ask the access control lists; else all may do everything */
    bool allows_without_acl;        /* where no binding is about the resource */
    const char *const *super_users; /* "admin" or "User:admin": may do everything */
    size_t super_user_count;
    const char *const *principal_rules; /* from certificates to names, as Kafka writes them */
    size_t principal_rule_count;
    const char *const
        *certificate_names;        /* "subject", "dns", "uri", "email": the first that it has */
    size_t certificate_name_count; /* 0: subject */
    const char *const *peer_rules; /* from names at a Unix socket to principals, written alike */
    size_t peer_rule_count;
    struct queue_oauth oauth;
    struct mr_secret *cluster_key; /* what all nodes know; NULL: no node is known by it */
    const char *const *nodes;      /* principals that are nodes; * stands for anything */
    size_t node_count;
};

/* The topic __audit (audit.h). */
struct queue_audit_config {
    bool is_enabled;
    int64_t retention_ms;    /* 0: for ever */
    int64_t retention_bytes; /* 0: no bound */
};

/* Consumer groups (group/groups.h). Zeros are Kafka's bounds, and no delay. */
struct queue_groups_config {
    int64_t initial_delay_ms; /* a group waits so long for more than its first member */
    int64_t session_ms_min;   /* members may be silent for ... */
    int64_t session_ms_max;   /* ... at least and at most so long */
    int32_t members_max;      /* of one group */
};

struct queue_socket_rights {
    mode_t mode;    /* 0: 0660 */
    bool has_owner; /* else the process's */
    bool has_group;
    uid_t owner;
    gid_t group;
};

struct queue_listener_spec {
    struct mr_address address;
    struct mr_address advertise; /* host "": the address itself */
    bool is_control;             /* the node's own Unix socket: full rights */
    int connections_max;
    int connection_rate_max; /* accepted a second; 0: unbounded */
    int inherited_fd;        /* a socket that listens already; 0: none */
    struct mr_tls_context *tls;
    unsigned sasl;                     /* enum queue_sasl; 0: nobody is asked */
    int64_t sasl_session_ms;           /* clients must prove again who they are; 0: never */
    struct queue_socket_rights rights; /* of a Unix socket's file */
    bool names_peers; /* at a Unix socket: the login name of the user instead of its number */
};

struct queue_config {
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct mr_net *net;
    struct mr_random *random;
    struct mr_metrics *metrics;
    const char *data_directory; /* exists and is locked by the caller */
    struct mr_uuid boot_id; /* mr_boot_id; zero: every unclean end is taken for a loss of power */
    const char *node_name;
    int32_t node_id;
    const char *rack;         /* NULL: none */
    int64_t disk_limit_bytes; /* 0: none */
    int64_t disk_keep_ms;     /* local topics: kept this long after all sinks have passed */
    bool auto_create_topics;
    int32_t default_partitions;
    int64_t request_size_bytes_max;
    int64_t memory_limit_bytes; /* of requests being handled: admission */
    int64_t quota_window_ms;
    int address_connections_max;           /* of one address, over all listeners; 0: unbounded */
    const char *const *address_exceptions; /* "10.0.0.1=100" */
    size_t address_exception_count;
    int64_t connection_idle_ms_max;
    const struct queue_listener_spec *listeners;
    size_t listener_count;
    struct queue_security security;
    struct queue_audit_config audit;
    struct queue_groups_config groups;
    const struct queue_topic_spec *topics;
    size_t topic_count;
};

/* Recovers metadata and logs, creates declared topics that are missing, and listens. Blocks
 * (start-up). Connections are taken from queue_start on. */
int queue_open(const struct queue_config *config, struct queue **ret_queue, struct mr_error *error);
void queue_start(struct queue *queue);
/* Stops listening, answers or drops what is under way, closes all logs cleanly, then done (later).
 * Readers and appenders of the faces must be closed first. */
void queue_close(struct queue *queue, void (*done)(void *owner), void *owner);
/* Kafka's cluster id: text form of a uuid. */
const char *queue_cluster_id(const struct queue *queue);
uint16_t queue_listener_port(const struct queue *queue, size_t place);
/* Notes in the audit what was done to this node by another way than the Kafka protocol. The strings
 * are copied; nothing without an audit. outcome: "ok", or the words of a refusal. */
void queue_audit(struct queue *queue, const char *principal, const char *address,
                 const char *action, const char *resource, const char *outcome);
/* Secrets of the configuration, or files of keys for tokens, may have changed: they count for who
 * authenticates next. 0 or MR_ENOMEM. */
int queue_reload_security(struct queue *queue);
int queue_security_health(const struct queue *queue, struct mr_error *error);
/* For the health page: 0, or the first failure in words. */
int queue_health(const struct queue *queue, struct mr_error *error);

#endif
