/* The tables of everything that is not a plugin's: names, types, defaults and the sentences that
 * the reference, `config explain` and the schema repeat. */
#include <stddef.h>
#include <string.h>

#include "agent/config/config.h"
#include "base/net/admission.h"

static const char *check_name(const void *value)
{
    const char *name = *(const char *const *)value;
    size_t size = strlen(name);

    if (size == 0 || size > 200 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != size) {
        return "only letters, digits, '.', '_' and '-' are allowed, and at most 200 of them";
    }
    return NULL;
}

static const char *check_workers(const void *value)
{
    return *(const int64_t *)value == 1
               ? NULL
               : "this version runs everything on one loop; only 1 is possible";
}

static const char *check_replicas(const void *value)
{
    return *(const int64_t *)value <= 1
               ? NULL
               : "this version has no mesh yet, so a topic has exactly one replica";
}

static const char *const clients_words[] = {"none", "optional", "required", NULL};

/* Twice, since a listener that says nothing takes what the node says. */
#define TLS_OPTIONS(is_on_words, clients_default)                                                  \
    {.name = "enabled",                                                                            \
     .type = MR_OPT_BOOL,                                                                          \
     .offset = offsetof(struct config_tls, is_on),                                                 \
     .fallback = "true",                                                                           \
     .help = is_on_words},                                                                         \
        {.name = "cert",                                                                           \
         .type = MR_OPT_STRING,                                                                    \
         .offset = offsetof(struct config_tls, cert),                                              \
         .example = "/etc/millrace/cert.pem",                                                      \
         .help = "PEM file of the certificate, with the chain behind it."},                        \
        {.name = "key",                                                                            \
         .type = MR_OPT_STRING,                                                                    \
         .offset = offsetof(struct config_tls, key),                                               \
         .example = "/etc/millrace/key.pem",                                                       \
         .help = "PEM file of its key, not encrypted."},                                           \
        {.name = "ca",                                                                             \
         .type = MR_OPT_STRING,                                                                    \
         .offset = offsetof(struct config_tls, ca),                                                \
         .example = "/etc/millrace/ca.pem",                                                        \
         .help = "PEM file of the authorities that are trusted."},                                 \
        {.name = "crl",                                                                            \
         .type = MR_OPT_STRING,                                                                    \
         .offset = offsetof(struct config_tls, crl),                                               \
         .help = "PEM file of revocation lists, one per authority that signs."},                   \
        {.name = "clients",                                                                        \
         .type = MR_OPT_ENUM,                                                                      \
         .offset = offsetof(struct config_tls, clients),                                           \
         .words = clients_words,                                                                   \
         .help = "Whether clients must show a certificate that a listed authority has signed. "    \
                 "Its subject is then who they are.",                                              \
         clients_default},                                                                         \
        {.name = "tls13",                                                                          \
         .type = MR_OPT_BOOL,                                                                      \
         .offset = offsetof(struct config_tls, is_tls13_required),                                 \
         .help = "Refuse TLS 1.2."},                                                               \
    {                                                                                              \
        0                                                                                          \
    }

static const struct mr_option node_tls_options[] = {
    {.name = "reload",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_tls, reload_ms),
     .fallback = "10s",
     .min = 0,
     .max = 86400000,
     .help = "How often the files of all listeners and sinks are looked at; what has changed is "
             "taken. 0: at SIGHUP only, which always reads them."},
    TLS_OPTIONS("Whether listeners speak TLS unless they say otherwise. Needs cert and key.",
                .fallback = "none")};
static const struct mr_option listen_tls_options[] = {
    TLS_OPTIONS("Whether this listener speaks TLS, where there is a certificate.", .absent = -1)};
#undef TLS_OPTIONS

static const char *check_mechanisms(const void *value)
{
    const struct mr_string_list *list = value;

    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], "PLAIN") != 0 && strcmp(list->items[i], "SCRAM-SHA-256") != 0 &&
            strcmp(list->items[i], "SCRAM-SHA-512") != 0 &&
            strcmp(list->items[i], "OAUTHBEARER") != 0 &&
            strcmp(list->items[i], "CLUSTER-KEY") != 0) {
            return "only SCRAM-SHA-512, SCRAM-SHA-256, PLAIN, OAUTHBEARER and CLUSTER-KEY are "
                   "known";
        }
    }
    return NULL;
}

static const char *check_cluster_key(const void *value)
{
    size_t size = strlen(*(const char *const *)value);

    return size >= 16 && size <= 1024 ? NULL
                                      : "a key has 16 to 1024 characters: openssl rand -base64 32";
}

static const char *check_admission_exceptions(const void *value)
{
    const struct mr_string_list *list = value;
    struct mr_admission_exception exception;

    for (size_t i = 0; i < list->count; i++) {
        if (mr_admission_exception_parse(list->items[i], &exception, NULL) != 0) {
            return "ADDRESS=NUMBER is wanted, as in 10.0.0.7=5000";
        }
    }
    return NULL;
}

static const struct mr_option node_options[] = {
    {.name = "name",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_node, name),
     .check = check_name,
     .help = "The name of this node, in the header mr.host of every record. The host's name unless "
             "written.",
     .example = "web-17"},
    {.name = "id",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_node, id),
     .fallback = "1",
     .min = 1,
     .max = 2147483647,
     .help = "The number by which Kafka clients know this node."},
    {.name = "data",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_node, data),
     .is_required = true,
     .example = "/var/lib/millrace",
     .help = "The directory of the log and all state. One process at a time."},
    {.name = "rack",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_node, rack),
     .help = "Where this node stands; shown to clients.",
     .example = "eu-1a"},
    {.name = "run",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_node, run_directory),
     .fallback = "/run/millrace",
     .help = "Where links to the local sockets are put, so that the command line finds this node. "
             "The sockets themselves are in the data directory."},
    {.name = "cluster_key",
     .type = MR_OPT_SECRET,
     .offset = offsetof(struct config_node, cluster_key),
     .check = check_cluster_key,
     .example = "${file:/etc/millrace/cluster.key}",
     .help =
         "What all nodes of a cluster know, 16 characters or more. A node that shows that it knows "
         "it (listen: {sasl: [CLUSTER-KEY]}, and sasl: {mechanism: CLUSTER-KEY} in its peer "
         "sink) is let in before there are users."},
    {.name = "tls",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_node, tls),
     .children = node_tls_options,
     .help = "Certificates: the default of every listener."},
    {0}};

static const struct mr_option listen_options[] = {
    {.name = "address",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_listen, address),
     .is_required = true,
     .example = "127.0.0.1:9092",
     .help =
         "HOST:PORT or unix:PATH to serve the Kafka protocol on. The port is 9092 unless written."},
    {.name = "advertise",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_listen, advertise),
     .help = "HOST:PORT that clients are told to connect to. The address itself unless written.",
     .example = "hub-1:9092"},
    {.name = "connections",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_listen, connections_max),
     .fallback = "20000",
     .min = 1,
     .max = 1000000,
     .help = "More connections than this are closed at once, and counted."},
    {.name = "connection_rate",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_listen, connection_rate_max),
     .fallback = "0",
     .max = 1000000,
     .help = "New connections a second; beyond it they wait until they are accepted. 0: as many as "
             "come."},
    {.name = "insecure",
     .type = MR_OPT_BOOL,
     .offset = offsetof(struct config_listen, is_insecure),
     .help = "Must be true for an address that is not loopback unless both TLS and authentication "
             "protect it, and for PLAIN or OAUTHBEARER without TLS."},
    {.name = "tls",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_listen, tls),
     .children = listen_tls_options,
     .help = "TLS on this listener. What is not written is taken from node.tls; Unix sockets have "
             "none."},
    {.name = "sasl",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_listen, sasl),
     .check = check_mechanisms,
     .example = "[SCRAM-SHA-512]",
     .help = "Clients must show who they are by one of these: SCRAM-SHA-512, SCRAM-SHA-256, PLAIN, "
             "OAUTHBEARER. Users are made with 'millrace users create'; tokens need "
             "authentication.oauth. CLUSTER-KEY is for other nodes and needs node.cluster_key."},
    {.name = "sasl_session",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_listen, sasl_session_ms),
     .fallback = "0",
     .help = "After this long clients must show it again (Kafka's connections.max.reauth.ms); 0: "
             "never."},
    {0}};

static const struct mr_option oauth_options[] = {
    {.name = "keys",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_oauth, keys),
     .example = "https://id.example/.well-known/jwks.json",
     .help =
         "A file or URL with the keys that tokens are signed with, as a JSON Web Key Set. Read "
         "again every 'refresh', and when a token names a key that is not known. A URL is https, "
         "or on a loopback address."},
    {.name = "ca",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_oauth, ca),
     .help = "PEM file of the authorities that are trusted for that URL; the system's unless "
             "written."},
    {.name = "refresh",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_oauth, refresh_ms),
     .fallback = "1h",
     .min = 100,
     .help = "How often the keys are read again."},
    {.name = "issuer",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_oauth, issuer),
     .example = "https://id.example/",
     .help = "Tokens must be from this issuer (claim iss)."},
    {.name = "audience",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_oauth, audiences),
     .example = "[millrace]",
     .help =
         "Tokens must be for one of these (claim aud). Unless written, only tokens that are for "
         "nobody in particular are taken."},
    {.name = "subject_claim",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_oauth, subject_claim),
     .fallback = "sub",
     .help = "The claim whose text is the user's name (Kafka's sasl.oauthbearer.sub.claim.name)."},
    {.name = "scope_claim",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_oauth, scope_claim),
     .fallback = "scope",
     .help = "The claim with the scopes, a text with blanks or a list (Kafka's "
             "sasl.oauthbearer.scope.claim.name)."},
    {.name = "scopes",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_oauth, scopes),
     .example = "[kafka]",
     .help = "Scopes that a token must have, all of them. None unless written."},
    {.name = "clock_skew",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_oauth, skew_ms),
     .fallback = "30s",
     .max = 3600000,
     .help = "How far the issuer's clock and this node's may differ."},
    {0}};

static const struct mr_option authentication_options[] = {
    {.name = "oauth",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_authentication, oauth),
     .children = oauth_options,
     .help =
         "Tokens of OAUTHBEARER: signed by RSA (RS256 to PS512), elliptic curves (ES256 to ES512) "
         "or EdDSA, never by a shared secret."},
    {0}};

static const char *const enforce_words[] = {"auto", "always", "never", NULL};

static const char *check_certificate_names(const void *value)
{
    static const char *const words[] = {"subject", "uri", "dns", "email"};
    const struct mr_string_list *list = value;

    for (size_t i = 0; i < list->count; i++) {
        bool is_known = false;
        for (size_t j = 0; j < sizeof words / sizeof words[0]; j++) {
            is_known = is_known || strcmp(list->items[i], words[j]) == 0;
        }
        if (!is_known) {
            return "only subject, uri, dns and email are known";
        }
    }
    return list->count > 0 ? NULL : "at least one of subject, uri, dns and email is wanted";
}

static const struct mr_option authorization_options[] = {
    {.name = "super_users",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_authorization, super_users),
     .example = "[admin, \"CN=ops\"]",
     .help = "Who may do everything. The node's own socket may in any case."},
    {.name = "enforce",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct config_authorization, enforce),
     .words = enforce_words,
     .fallback = "auto",
     .help = "Whether access control lists decide: 'auto' as soon as any listener asks who its "
             "clients are; 'never' lets everybody who is known do everything."},
    {.name = "allow_without_acl",
     .type = MR_OPT_BOOL,
     .offset = offsetof(struct config_authorization, allows_without_acl),
     .help = "Whether that which no binding mentions is open to all (Kafka's "
             "allow.everyone.if.no.acl.found)."},
    {.name = "principals",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_authorization, principals),
     .example = "['RULE:^CN=([^,]+).*$/$1/L', DEFAULT]",
     .help = "How the subject of a certificate becomes a name, as Kafka's "
             "ssl.principal.mapping.rules. DEFAULT, the whole subject, unless written."},
    {.name = "certificate_name",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_authorization, certificate_names),
     .check = check_certificate_names,
     .fallback = "subject",
     .example = "[uri, dns, subject]",
     .help = "What of a certificate is the name that 'principals' begins with: its subject, or the "
             "first alternative name of a kind (uri, for SPIFFE; dns; email). The first that the "
             "certificate has."},
    {.name = "nodes",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_authorization, nodes),
     .example = "['CN=edge-*,O=example']",
     .help =
         "Users that are other nodes; * stands for any text. They may forward: write, create and "
         "describe all topics but internal ones, without a binding. Nodes that know "
         "node.cluster_key may in any case."},
    {0}};

static const struct mr_option disk_options[] = {
    {.name = "limit",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_disk, limit_bytes),
     .fallback = "0",
     .example = "10GiB",
     .min = 0,
     .help = "Most bytes that all logs of this node may take. 0: no limit but the disk. What "
             "happens there is each topic's when_full."},
    {.name = "keep",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_disk, keep_ms),
     .fallback = "1h",
     .help = "How long a local topic keeps what all its sinks have passed."},
    {0}};

static const struct mr_option retention_options[] = {
    {.name = "time",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_retention, time_ms),
     .absent = -1,
     .example = "7d",
     .help = "Segments are deleted this long after their last append; 0: never. 7d unless written; "
             "local topics: never."},
    {.name = "size",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_retention, size_bytes),
     .absent = -1,
     .example = "10GiB",
     .help = "Most bytes of one partition; the oldest segments go first. 0, and unless written: no "
             "bound."},
    {0}};

static const struct mr_option segment_options[] = {
    {.name = "size",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_segment, size_bytes),
     .absent = -1,
     .min = 64 << 10,
     .max = 2147483647,
     .example = "64MiB",
     .help = "A segment file is closed before it grows beyond this. 64MiB on local topics, 1GiB on "
             "others."},
    {.name = "age",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_segment, age_ms),
     .absent = -1,
     .example = "7d",
     .help = "And when its first append is older than this."},
    {0}};

static const char *const when_full_words[] = {"block", "drop_oldest", "drop_new", NULL};
static const char *const codec_words[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};

static const char *check_fsync(const void *value)
{
    const char *text = *(const char *const *)value;
    int64_t ms;

    if (strcmp(text, "never") == 0 || strcmp(text, "always") == 0) {
        return NULL;
    }
    return mr_parse_duration(text, &ms) == 0 && ms > 0
               ? NULL
               : "'never', 'always' or a duration such as 1s is wanted here";
}

static const struct mr_option topic_options[] = {
    {.name = "partitions",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_topic, partitions),
     .absent = -1,
     .min = 1,
     .max = 10000,
     .example = "6",
     .help = "How many partitions. 1 unless written; it may grow later, and never shrinks."},
    {.name = "replicas",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_topic, replicas),
     .absent = -1,
     .min = 1,
     .max = 9,
     .check = check_replicas,
     .help = "How many nodes keep a copy."},
    {.name = "retention",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_topic, retention),
     .children = retention_options,
     .help = "When old segments are deleted."},
    {.name = "segment",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_topic, segment),
     .children = segment_options,
     .help = "When a new segment is begun."},
    {.name = "message_size",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_topic, message_size_bytes_max),
     .absent = -1,
     .min = 16 << 10,
     .max = 100 << 20,
     .example = "1MiB",
     .help = "The largest record batch that is taken (Kafka's max.message.bytes)."},
    {.name = "fsync",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_topic, fsync),
     .check = check_fsync,
     .example = "1s",
     .help = "When written bytes are forced to the disk: 'always' before they are acknowledged, a "
             "duration, or 'never'. 1s unless written."},
    {.name = "when_full",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct config_topic, when_full),
     .words = when_full_words,
     .fallback = "block",
     .help = "At disk.limit: 'block' the sources (nothing is lost), 'drop_oldest' segments, or "
             "'drop_new' records. Drops are counted in the ledger."},
    {.name = "compression",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct config_topic, compression),
     .words = codec_words,
     .absent = -1,
     .help = "Codec of the batches that this node makes itself. lz4 unless written."},
    {0}};

static const struct mr_option admin_options[] = {
    {.name = "address",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_admin, address),
     .example = "127.0.0.1:9692",
     .help = "HOST:PORT of the admin API: /metrics and /health for all, the rest for who has a "
             "token ('millrace tokens create'). Only on the Unix socket in the data directory "
             "unless written."},
    {.name = "hosts",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_admin, hosts),
     .example = "[hub-1.example.com]",
     .help = "Names besides node.name and localhost by which clients may call this address without "
             "TLS. Others are refused, as a browser can be led here by any name."},
    {.name = "insecure",
     .type = MR_OPT_BOOL,
     .offset = offsetof(struct config_admin, is_insecure),
     .help = "Must be true for an address that is not loopback and has no TLS."},
    {.name = "tls",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_admin, tls),
     .children = listen_tls_options,
     .help = "TLS on this address. What is not written is taken from node.tls."},
    {0}};

static const struct mr_option audit_retention_options[] = {
    {.name = "time",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_retention, time_ms),
     .fallback = "90d",
     .help = "How long records are kept; 0: for ever."},
    {.name = "size",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_retention, size_bytes),
     .fallback = "64MiB",
     .help = "Most bytes of them; the oldest segment of 8MiB goes first. 0: no bound."},
    {0}};

static const struct mr_option audit_options[] = {
    {.name = "enabled",
     .type = MR_OPT_BOOL,
     .offset = offsetof(struct config_audit, is_enabled),
     .fallback = "true",
     .help = "Whether changes, refusals and failed logins are written to the topic __audit. It is "
             "made when there is something to write."},
    {.name = "retention",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_audit, retention),
     .children = audit_retention_options,
     .help = "When the oldest records go."},
    {0}};

static const char *const level_words[] = {"debug", "info", "warn", "error", NULL};
static const char *const format_words[] = {"auto", "text", "json", "journal", NULL};

static const struct mr_option log_options[] = {
    {.name = "level",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct config_log, level),
     .words = level_words,
     .fallback = "info",
     .help = "The least important lines that are written to standard error."},
    {.name = "format",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct config_log, format),
     .words = format_words,
     .fallback = "auto",
     .help = "'auto' is 'journal' under systemd and 'text' elsewhere."},
    {0}};

static const struct mr_option broker_options[] = {
    {.name = "auto_create_topics",
     .type = MR_OPT_BOOL,
     .offset = offsetof(struct config_broker, auto_create_topics),
     .fallback = "true",
     .help = "Whether a topic is made when a client first asks for it."},
    {.name = "partitions",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_broker, partitions),
     .fallback = "1",
     .min = 1,
     .max = 10000,
     .help = "Partitions of a topic that is made without a number."},
    {.name = "request_size",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_broker, request_size_bytes_max),
     .fallback = "100MiB",
     .min = 64 << 10,
     .max = 1 << 30,
     .help = "A connection that announces a larger request is closed."},
    {.name = "memory",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_broker, memory_bytes),
     .fallback = "256MiB",
     .min = 1 << 20,
     .help = "Most bytes of requests that are held at once; beyond it connections are not read."},
    {.name = "idle",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_broker, idle_ms_max),
     .fallback = "10m",
     .min = 1000,
     .help = "A connection without a request for this long is closed."},
    {.name = "connections_per_address",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_broker, connections_per_address_max),
     .fallback = "0",
     .max = 1000000,
     .help =
         "More connections than this from one address, over all listeners, are closed at once, "
         "and counted. 0: as many as there are. How fast an address may connect is a quota: see "
         "'millrace quotas'."},
    {.name = "connections_per_address_except",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_broker, connections_per_address_except),
     .check = check_admission_exceptions,
     .example = "[10.0.0.7=5000]",
     .help = "ADDRESS=NUMBER: another maximum for one address. 0: none at all."},
    {.name = "quota_window",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_broker, quota_window_ms),
     .fallback = "10s",
     .min = 100,
     .max = 3600 * 1000,
     .help =
         "How much of a client's quota may be used at once after a rest, as time; see 'millrace "
         "quotas'."},
    {0}};

const struct mr_option config_options[] = {
    {.name = "node",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, node),
     .children = node_options,
     .help = "Who this node is, and where it keeps things."},
    {.name = "listen",
     .type = MR_OPT_TABLE_LIST,
     .offset = offsetof(struct config, listen),
     .children = listen_options,
     .children_size = sizeof(struct config_listen),
     .help =
         "Where Kafka clients and other nodes may connect. Nothing is opened unless written here."},
    {.name = "authentication",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, authentication),
     .children = authentication_options,
     .help = "How clients show who they are, beyond certificates and passwords."},
    {.name = "authorization",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, authorization),
     .children = authorization_options,
     .help = "Who may do what."},
    {.name = "disk",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, disk),
     .children = disk_options,
     .help = "The bound on what is kept."},
    {.name = "topics",
     .type = MR_OPT_TABLE_MAP,
     .offset = offsetof(struct config, topic_map),
     .children = topic_options,
     .children_size = sizeof(struct config_topic),
     .help = "Topics by name. One that a source writes is local: fed by this node alone; others "
             "take what clients produce. Missing ones are created."},
    {.name = "admin",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, admin),
     .children = admin_options,
     .help = "Metrics and health over HTTP."},
    {.name = "audit",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, audit),
     .children = audit_options,
     .help = "Who did what to this node."},
    {.name = "log",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, log),
     .children = log_options,
     .help = "This program's own log lines."},
    {.name = "broker",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, broker),
     .children = broker_options,
     .help = "How the Kafka protocol is served."},
    {.name = "workers",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config, workers),
     .fallback = "1",
     .check = check_workers,
     .help = "How many loops, each with a thread of its own."},
    {.name = "shutdown",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config, shutdown_ms),
     .fallback = "4s",
     .min = 100,
     .max = 3600000,
     .help = "How long sinks may finish what they have begun when the program ends."},
    {0}};

static const struct mr_option batch_options[] = {
    {.name = "size",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_batch, size_bytes),
     .fallback = "512KiB",
     .min = 1024,
     .max = 16 << 20,
     .help = "A batch is written when its records reach this size, before compression."},
    {.name = "linger",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_batch, linger_ms),
     .fallback = "2ms",
     .max = 60000,
     .help = "Or when its first record has waited this long."},
    {0}};

const struct mr_option config_source_options[] = {
    {.name = "type",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_source, type_name),
     .is_required = true,
     .help = "Which kind of source."},
    {.name = "topic",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_source, topic),
     .is_required = true,
     .help = "The local topic that the records go to."},
    {.name = "batch",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_source, batch),
     .children = batch_options,
     .help = "How records are put together for the log."},
    {.name = "headers",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_source, headers),
     .fallback = "all",
     .example = "[host, file]",
     .help = "Which headers each record carries: host, source, file (or what the source calls its "
             "streams). 'all' or 'none' for every or no header."},
    {0}};

static const struct mr_option retry_options[] = {
    {.name = "min",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_retry, delay_ms_min),
     .fallback = "100ms",
     .min = 1,
     .help = "The wait after a first failure; it doubles each time."},
    {.name = "max",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_retry, delay_ms_max),
     .fallback = "30s",
     .min = 1,
     .help = "The longest wait: a destination that returns is found within it."},
    {0}};

const struct mr_option config_sink_options[] = {
    {.name = "type",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_sink, type_name),
     .is_required = true,
     .help = "Which kind of sink."},
    {.name = "topics",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_sink, topics),
     .is_required = true,
     .example = "[nginx.access, \"app.*\"]",
     .help = "The topics that it reads; patterns with * and ? may be used. * never matches topics "
             "that begin with __."},
    {.name = "retry",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_sink, retry),
     .children = retry_options,
     .help = "How long to wait when the destination fails."},
    {0}};
