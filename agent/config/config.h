/* The configuration: files -> one checked plan. Nothing is opened and nothing started here, so that
 * `millrace check` and a reload can look at a plan before anybody acts on it. */
#ifndef AGENT_CONFIG_CONFIG_H
#define AGENT_CONFIG_CONFIG_H

#include "agent/config/problem.h"
#include "base/core/logger.h"
#include "base/core/option.h"

struct mr_bytes;
struct mr_error;
struct mr_disk;
struct mr_secret;
struct sink_type;
struct source_type;

/* PEM files. In `node` everybody's default. */
struct config_tls {
    bool is_on;
    const char *cert;
    const char *key;
    const char *ca;
    const char *crl;
    int clients; /* enum mr_tls_clients; -1 on listeners: node.tls */
    bool is_tls13_required;
    int64_t reload_ms; /* in `node` only; 0: when asked */
};

/* Rights on a Unix socket's file. */
struct config_socket {
    const char *owner; /* a name or a number; NULL: the process's */
    const char *group;
    const char *mode; /* octal */
};

struct config_node {
    const char *name; /* the host's name unless written */
    int64_t id;
    const char *data;
    const char *rack;
    const char *run_directory;
    struct mr_secret *cluster_key;
    struct config_tls tls;
    struct config_socket socket; /* of the node's own two */
};

enum config_peer_names { CONFIG_PEER_NAMES_UID, CONFIG_PEER_NAMES_NAME };

struct config_listen {
    const char *address;
    const char *advertise;
    int64_t connections_max;
    int64_t connection_rate_max;
    bool is_insecure;
    struct config_tls tls;
    struct mr_string_list sasl; /* mechanisms */
    int64_t sasl_session_ms;
    struct config_socket socket;
    int peer_names; /* enum config_peer_names */
};

/* How tokens of OAUTHBEARER are checked. */
struct config_oauth {
    const char *keys;
    const char *ca;
    int64_t refresh_ms;
    const char *issuer;
    struct mr_string_list audiences;
    const char *subject_claim;
    const char *scope_claim;
    struct mr_string_list scopes;
    int64_t skew_ms;
};

struct config_authentication {
    struct config_oauth oauth;
};

enum config_tls_clients {
    CONFIG_TLS_CLIENTS_NONE,
    CONFIG_TLS_CLIENTS_OPTIONAL,
    CONFIG_TLS_CLIENTS_REQUIRED
};

enum config_enforce { CONFIG_ENFORCE_AUTO, CONFIG_ENFORCE_ALWAYS, CONFIG_ENFORCE_NEVER };

struct config_authorization {
    struct mr_string_list super_users;
    int enforce; /* enum config_enforce */
    bool allows_without_acl;
    struct mr_string_list principals;
    struct mr_string_list certificate_names;
    struct mr_string_list peer_principals;
    struct mr_string_list nodes;
};

struct config_disk {
    int64_t limit_bytes;
    int64_t keep_ms;
};

struct config_retention {
    int64_t time_ms;    /* -1: default; 0: unbounded */
    int64_t size_bytes; /* likewise */
};

struct config_segment {
    int64_t size_bytes;
    int64_t age_ms;
};

struct config_topic {
    const char *name;
    int64_t partitions;
    int64_t replicas;
    struct config_retention retention;
    struct config_segment segment;
    int64_t message_size_bytes_max;
    const char *fsync; /* "never", "always" or a duration */
    int when_full;     /* enum queue_when_full */
    int compression;   /* enum mr_codec; -1: default */
};

struct config_admin {
    const char *address; /* NULL: only the Unix socket */
    bool is_insecure;
    struct config_tls tls;
    struct mr_string_list hosts; /* further names in the Host header */
};

struct config_audit {
    bool is_enabled;
    struct config_retention retention;
};

struct config_log {
    int level;  /* enum mr_log_level */
    int format; /* 0 auto, else 1 + enum mr_log_format */
};

struct config_groups {
    int64_t initial_delay_ms;
    int64_t session_ms_min;
    int64_t session_ms_max;
    int64_t members_max;
};

struct config_broker {
    bool auto_create_topics;
    int64_t partitions;
    int64_t request_size_bytes_max;
    int64_t memory_bytes;
    int64_t idle_ms_max;
    int64_t connections_per_address_max;
    struct mr_string_list connections_per_address_except; /* ADDRESS=NUMBER */
    int64_t quota_window_ms;
    struct config_groups groups;
};

struct config_batch {
    int64_t size_bytes;
    int64_t linger_ms;
};

struct config_source {
    const char *id;
    const char *type_name;
    const struct source_type *type;
    const char *topic;
    struct config_batch batch;
    struct mr_string_list headers; /* which constant headers: host, source, file */
    void *options;                 /* the plugin's, filled */
};

struct config_retry {
    int64_t delay_ms_min;
    int64_t delay_ms_max;
};

struct config_sink {
    const char *id;
    const char *type_name;
    const struct sink_type *type;
    struct mr_string_list topics;
    struct config_retry retry;
    void *options;
};

struct config {
    struct config_node node;
    struct mr_table_list listen; /* struct config_listen */
    struct config_authentication authentication;
    struct config_authorization authorization;
    struct config_disk disk;
    struct mr_table_map topic_map; /* struct config_topic, names filled in */
    struct config_admin admin;
    struct config_audit audit;
    struct config_log log;
    struct config_broker broker;
    int64_t workers;
    int64_t shutdown_ms;
    struct config_source *sources;
    size_t source_count;
    struct config_sink *sinks;
    size_t sink_count;
    /* private */
    struct tree *tree;
    struct fill *fill;
};

/* Reads the file and the conf.d/ beside it (*.yaml, by name), checks everything. Returns NULL if
 * there is any problem; all of them are in `problems`. Free with config_free. */
struct config *config_load(struct mr_disk *disk, const char *path,
                           struct config_problems *problems);
/* The same from text, for tests and the fuzzer. */
struct config *config_load_text(struct mr_disk *disk, const char *text, size_t size,
                                struct config_problems *problems);
void config_free(struct config *config);

const struct config_topic *config_topic_find(const struct config *config, const char *name);
/* What a listener's TLS comes to with the node's defaults; is_on is then final. */
struct config_tls config_listen_tls(const struct config *config,
                                    const struct config_listen *listen);
struct config_tls config_admin_tls(const struct config *config);
/* Whether it asks anybody who they are. */
bool config_listen_authenticates(const struct config *config, const struct config_listen *listen);

/* The top table, and those of sources and sinks that the plugins' own come behind. */
extern const struct mr_option config_options[];
extern const struct mr_option config_source_options[];
extern const struct mr_option config_sink_options[];

/* ---- reread.c ---- */

/* What a reading of secrets came to. */
struct config_reread {
    void (*on_changed)(void *owner, const char *path); /* the option; it counts from now on */
    void (*on_restart)(void *owner, const char *path); /* changed, but is no secret's: not taken */
    void (*on_failed)(void *owner, const char *path, const char *reason); /* the old one stays */
    void *owner;
};

/* Reads the files and credentials of all secrets again (${file:...}, ${cred:...}) and puts what has
 * changed in place, for who takes it next. No word of it holds a secret. */
void config_reread_secrets(const struct config *config, struct mr_disk *disk,
                           const struct config_reread *reread);

/* ---- explain.c: the same tables as words ---- */

/* One key ("topics.*.fsync", "sources.*.paths"), a section, or everything (key NULL). MR_ENOENT if
 * unknown, with the nearest key in the error. */
int config_explain(const char *key, struct mr_bytes *out, struct mr_error *error);
/* conf/millrace.yaml: every option, commented, with its default. */
void config_reference(struct mr_bytes *out);
/* JSON Schema, draft 2020-12. */
void config_schema(struct mr_bytes *out);
/* What is in force, secrets hidden, as YAML. */
void config_show(const struct config *config, struct mr_bytes *out);

#endif
