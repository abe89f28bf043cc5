#include "queue/broker/auth.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/hash.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/core/random.h"
#include "base/core/secret.h"
#include "base/net/jwks.h"
#include "base/net/scram.h"
#include "base/net/tls.h"
#include "queue/broker/broker_internal.h"
#include "queue/broker/oauth.h"
#include "queue/broker/principal.h"

enum {
    FAILURE_SLOTS = 1024, /* of addresses, and of users */
    FAILURE_FORGOTTEN_MS = 60 * 1000,
    FAILURE_DELAY_MS = 100, /* Kafka's connection.failed.authentication.delay.ms */
    FAILURE_DOUBLINGS_MAX = 5,
    FAILURE_LINES_MAX = 20, /* in the log, at once; then one for each */
    FAILURE_LINE_MS = 1000, /* of these */
};

static const struct mr_metric_def failure_metrics[] = {
    {"millrace_broker_authentication_failures_total", MR_COUNTER,
     "Attempts to authenticate that were refused, by reason.", "reason"}};

static const char *const failure_words[AUTH_FAILURE_COUNT] = {
    [AUTH_FAILED_MALFORMED] = "malformed",
    [AUTH_FAILED_MECHANISM] = "mechanism",
    [AUTH_FAILED_UNKNOWN] = "unknown_user",
    [AUTH_FAILED_SECRET] = "wrong_password",
    [AUTH_FAILED_TOKEN] = "token",
    [AUTH_FAILED_PRINCIPAL] = "other_principal",
    [AUTH_FAILED_BUSY] = "busy",
    [AUTH_FAILED_LATE] = "late",
};

/* What a certificate may be known by; the prefix is mr_stream_tls_alternative's. */
static const struct {
    const char *word;
    const char *prefix; /* "": the subject */
} certificate_kinds[] = {{"subject", ""}, {"uri", "URI:"}, {"dns", "DNS:"}, {"email", "EMAIL:"}};

enum { CERTIFICATE_NAMES_MAX = sizeof certificate_kinds / sizeof certificate_kinds[0] };

/* Names share slots: a stranger's failures may slow a failure down, never a success. */
struct failures {
    int64_t last_ms;
    int count;
};

struct auth {
    struct meta *meta;
    bool is_enforced;
    bool allows_without_acl;
    char **super_users; /* "User:admin" */
    size_t super_user_count;
    struct principal_rules *rules;
    struct principal_rules *peer_rules;
    struct oauth *oauth; /* NULL: no tokens are taken */
    struct mr_random *random;
    struct mr_secret *cluster_key;                          /* NULL: no node is known by it */
    struct mr_secret_text *node_key;                        /* that the next is made of */
    struct mr_scram_credential *node_credential;            /* secret memory */
    unsigned char certificate_names[CERTIFICATE_NAMES_MAX]; /* places in certificate_kinds */
    size_t certificate_name_count;
    char **nodes; /* patterns of principals */
    size_t node_count;
    struct failures by_address[FAILURE_SLOTS];
    struct failures by_user[FAILURE_SLOTS];
    struct mr_metric_set *failure_counts[AUTH_FAILURE_COUNT];
    int64_t lines; /* that may be written to the log now */
    int64_t lines_at_ms;
    int64_t lines_left_out;
};

static void free_names(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mr_free(names[i]);
    }
    mr_free(names);
}

void auth_free(struct auth *auth)
{
    if (auth == NULL) {
        return;
    }
    free_names(auth->super_users, auth->super_user_count);
    free_names(auth->nodes, auth->node_count);
    mr_secret_free(auth->node_credential);
    mr_secret_drop(auth->node_key);
    mr_secret_unref(auth->cluster_key);
    principal_rules_free(auth->rules);
    principal_rules_free(auth->peer_rules);
    oauth_free(auth->oauth);
    for (int i = 0; i < AUTH_FAILURE_COUNT; i++) {
        mr_metric_set_free(auth->failure_counts[i]);
    }
    mr_free(auth);
}

/* Names without a type are users'. */
static int copy_names(const char *const *names, size_t count, char ***ret_copies, size_t *ret_count)
{
    char **copies = mr_calloc(count + 1, sizeof *copies);

    *ret_copies = copies;
    if (copies == NULL) {
        return MR_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        copies[i] = strncmp(names[i], "User:", 5) == 0 ? mr_strdup(names[i])
                                                       : mr_asprintf("User:%s", names[i]);
        if (copies[i] == NULL) {
            return MR_ENOMEM;
        }
        *ret_count = i + 1;
    }
    return 0;
}

/* Some milliseconds of work, at the start and when the key has changed: the salt is this process's
 * own. What is in use stays if it fails. */
static int make_node_credential(struct auth *auth)
{
    struct mr_scram_credential *made;
    struct mr_secret_text *key;
    uint8_t salt[MR_SCRAM_SALT_SIZE];
    int rc;

    if (auth->cluster_key == NULL) {
        return 0;
    }
    key = mr_secret_take(auth->cluster_key);
    if (key == auth->node_key) {
        mr_secret_drop(key);
        return 0;
    }
    made = mr_secret_alloc(sizeof *made);
    if (made == NULL) {
        mr_secret_drop(key);
        return MR_ENOMEM;
    }
    auth->random->fill(auth->random, salt, sizeof salt);
    rc = mr_scram_derive(MR_SCRAM_SHA_512, mr_secret_chars(key), mr_secret_size(key), salt,
                         sizeof salt, MR_SCRAM_ITERATIONS_DEFAULT, made);
    if (rc != 0) {
        mr_secret_free(made);
        mr_secret_drop(key);
        return rc;
    }
    mr_secret_free(auth->node_credential);
    mr_secret_drop(auth->node_key);
    auth->node_credential = made;
    auth->node_key = key;
    return 0;
}

int auth_reload(struct auth *auth)
{
    if (auth->oauth != NULL) {
        mr_jwks_reread(oauth_jwks(auth->oauth));
    }
    return make_node_credential(auth);
}

int auth_health(const struct auth *auth, struct mr_error *error)
{
    return auth->oauth != NULL ? mr_jwks_health(oauth_jwks(auth->oauth), error) : 0;
}

/* The words were checked by the configuration. */
static void take_certificate_names(struct auth *auth, const struct broker_security *security)
{
    for (size_t i = 0; i < security->certificate_name_count; i++) {
        for (unsigned char j = 0; j < CERTIFICATE_NAMES_MAX; j++) {
            if (strcmp(security->certificate_names[i], certificate_kinds[j].word) == 0 &&
                auth->certificate_name_count < CERTIFICATE_NAMES_MAX) {
                auth->certificate_names[auth->certificate_name_count++] = j;
            }
        }
    }
    if (auth->certificate_name_count == 0) {
        auth->certificate_name_count = 1; /* place 0: the subject */
    }
}

static int take_words(struct auth *auth, const struct broker_config *config)
{
    const struct broker_security *security = &config->security;
    int rc = copy_names(security->super_users, security->super_user_count, &auth->super_users,
                        &auth->super_user_count);

    if (rc == 0) {
        rc = copy_names(security->nodes, security->node_count, &auth->nodes, &auth->node_count);
    }
    take_certificate_names(auth, security);
    return rc == 0 ? make_node_credential(auth) : rc;
}

int auth_new(const struct broker_config *config, struct auth **ret_auth, struct mr_error *error)
{
    const struct broker_security *security = &config->security;
    struct auth *auth = mr_calloc(1, sizeof *auth);
    int rc;

    if (auth == NULL) {
        return mr_fail(error, MR_ENOMEM, "broker");
    }
    auth->meta = config->meta;
    auth->random = config->random;
    auth->cluster_key = security->cluster_key != NULL ? mr_secret_ref(security->cluster_key) : NULL;
    auth->is_enforced = security->is_enforced;
    auth->allows_without_acl = security->allows_without_acl;
    auth->lines = FAILURE_LINES_MAX;
    for (int i = 0; i < AUTH_FAILURE_COUNT; i++) {
        auth->failure_counts[i] =
            mr_metric_set_new(config->metrics, failure_metrics, 1, &failure_words[i], 1);
    }
    rc = take_words(auth, config);
    if (rc != 0) {
        (void)mr_fail(error, rc, "broker");
    } else {
        rc = principal_rules_new(security->principal_rules, security->principal_rule_count,
                                 &auth->rules, error);
    }
    if (rc == 0) {
        rc = principal_rules_new(security->peer_rules, security->peer_rule_count, &auth->peer_rules,
                                 error);
    }
    if (rc == 0 && security->oauth.keys != NULL) {
        rc = oauth_new(config, &auth->oauth, error);
    }
    if (rc != 0) {
        auth_free(auth);
        return rc;
    }
    *ret_auth = auth;
    return 0;
}

/* ---- who ---- */

/* Whether the text is the pattern's, in which * stands for any text, also none. */
static bool matches(const char *pattern, const char *text)
{
    const char *star = NULL; /* the last one, which may grow */
    const char *grown = NULL;

    while (*text != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            grown = text;
        } else if (*pattern == *text) {
            pattern += 1;
            text += 1;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++grown;
        } else {
            return false;
        }
    }
    return pattern[strspn(pattern, "*")] == '\0';
}

static bool is_named_node(const struct auth *auth, const char *principal)
{
    for (size_t i = 0; i < auth->node_count; i++) {
        if (matches(auth->nodes[i], principal)) {
            return true;
        }
    }
    return false;
}

void auth_set_principal(struct connection *connection, const char *name)
{
    (void)snprintf(connection->principal, sizeof connection->principal, "User:%s", name);
    connection->is_node = strcmp(name, "ANONYMOUS") != 0 &&
                          is_named_node(connection->broker->auth, connection->principal);
}

void auth_set_node(struct connection *connection, const char *name)
{
    (void)snprintf(connection->principal, sizeof connection->principal, "Node:%s", name);
    connection->is_node = true;
}

const struct mr_scram_credential *auth_node_credential(const struct auth *auth)
{
    return auth->node_credential;
}

/* "10.0.0.1:5123" without its port, "[::1]:5123" without brackets. */
static void set_host(struct connection *connection)
{
    const char *peer = mr_stream_peer(connection->stream);
    const char *colon = strrchr(peer, ':');
    size_t size = colon != NULL ? (size_t)(colon - peer) : strlen(peer);

    if (size >= 2 && peer[0] == '[' && peer[size - 1] == ']') {
        peer += 1;
        size -= 2;
    }
    (void)snprintf(connection->host, sizeof connection->host, "%.*s", (int)size, peer);
}

/* The first alternative name of a kind: 0, MR_ENOENT or MR_ETOOLARGE. */
static int find_alternative(const struct connection *connection, const char *prefix, char *text,
                            size_t size)
{
    size_t prefix_size = strlen(prefix);
    int rc = 0;

    for (int i = 0; rc == 0 || rc == MR_ETOOLARGE; i++) {
        rc = mr_stream_tls_alternative(connection->stream, i, text, size);
        if (rc == 0 && strncmp(text, prefix, prefix_size) == 0) {
            memmove(text, text + prefix_size, strlen(text + prefix_size) + 1);
            return 0;
        }
    }
    return rc;
}

/* What the certificate says first of what is asked for; 0, or MR_ENOENT if it has none of it. */
static int name_certificate(const struct auth *auth, const struct connection *connection,
                            char *text, size_t size)
{
    int rc = MR_ENOENT;

    for (size_t i = 0; i < auth->certificate_name_count && rc == MR_ENOENT; i++) {
        const char *prefix = certificate_kinds[auth->certificate_names[i]].prefix;
        rc = prefix[0] == '\0' ? mr_stream_tls_subject(connection->stream, text, size)
                               : find_alternative(connection, prefix, text, size);
        if (rc == 0 && text[0] == '\0') {
            rc = MR_ENOENT; /* a certificate without a subject */
        }
    }
    return rc;
}

/* Who the certificate is of, if one was shown. */
static int meet_certificate(struct auth *auth, struct connection *connection)
{
    char subject[PRINCIPAL_NAME_SIZE] = "";
    char name[PRINCIPAL_NAME_SIZE] = "";
    int rc = mr_stream_tls_subject(connection->stream, subject, sizeof subject);

    if (rc == MR_ENOENT || rc == MR_EUNSUPPORTED) {
        return 0; /* none was shown */
    }
    rc = name_certificate(auth, connection, subject, sizeof subject);
    if (rc == 0) {
        rc = principal_rules_apply(auth->rules, subject, name, sizeof name);
    }
    if (rc != 0 || name[0] == '\0') {
        mr_warn("certificate leads to no principal: connection closed",
                KV_STR("peer", mr_stream_peer(connection->stream)),
                KV_STR("name", rc != MR_ETOOLARGE ? subject : "too long"));
        audit_login_failed(connection, rc != MR_ETOOLARGE ? subject : "", "certificate",
                           "it leads to no principal");
        return MR_EAUTH;
    }
    auth_set_principal(connection, name);
    return 0;
}

/* Who the user at the other end of a Unix socket is. */
static int meet_peer(struct auth *auth, struct connection *connection, const char *peer_name,
                     uid_t uid)
{
    char given[PRINCIPAL_NAME_SIZE];
    char name[PRINCIPAL_NAME_SIZE] = "";
    int rc;

    (void)snprintf(given, sizeof given, "uid.%" PRIu64, (uint64_t)uid);
    if (peer_name != NULL) {
        (void)snprintf(given, sizeof given, "%s", peer_name);
    }
    rc = principal_rules_apply(auth->peer_rules, given, name, sizeof name);
    if (rc != 0 || name[0] == '\0') {
        mr_warn("local user leads to no principal: connection closed", KV_STR("name", given));
        audit_login_failed(connection, given, "unix", "it leads to no principal");
        return MR_EAUTH;
    }
    auth_set_principal(connection, name);
    return 0;
}

int auth_meet(struct auth *auth, struct connection *connection, const char *peer_name)
{
    uid_t uid;
    gid_t gid;
    pid_t pid;

    set_host(connection);
    if (connection->is_control) {
        auth_set_principal(connection, "millrace");
        return 0;
    }
    auth_set_principal(connection, "ANONYMOUS");
    if (connection->listener->address.is_unix &&
        mr_stream_credentials(connection->stream, &uid, &gid, &pid) == 0) {
        return meet_peer(auth, connection, peer_name, uid);
    }
    return meet_certificate(auth, connection);
}

/* ---- what ---- */

static bool is_super(const struct auth *auth, const struct connection *connection)
{
    if (!auth->is_enforced || connection->is_control) {
        return true;
    }
    for (size_t i = 0; i < auth->super_user_count; i++) {
        if (strcmp(auth->super_users[i], connection->principal) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_internal(struct wire_string name)
{
    return name.size >= 2 && name.data[0] == '_' && name.data[1] == '_';
}

/* What forwarding to this node takes: on all topics but internal ones, without any binding. */
static bool is_nodes_own(const struct connection *connection, enum acl_operation operation,
                         enum acl_resource resource)
{
    return connection->is_node && resource == ACL_TOPIC &&
           (operation == ACL_WRITE || operation == ACL_CREATE || operation == ACL_DESCRIBE);
}

bool auth_may(const struct auth *auth, const struct connection *connection,
              enum acl_operation operation, enum acl_resource resource, struct wire_string name)
{
    enum acl_decision decision;

    if (is_super(auth, connection) ||
        (is_nodes_own(connection, operation, resource) && !is_internal(name))) {
        return true;
    }
    decision = acl_decide(&meta_image(auth->meta)->acls, connection->principal, connection->host,
                          operation, resource, name);
    return decision == ACL_SAYS_YES || (decision == ACL_SAYS_NOTHING && auth->allows_without_acl);
}

bool auth_may_somewhere(const struct auth *auth, const struct connection *connection,
                        enum acl_operation operation, enum acl_resource resource)
{
    /* Kafka asks about a name that nobody has, for whom a binding of all, or none, decides. */
    return is_super(auth, connection) || is_nodes_own(connection, operation, resource) ||
           auth_may(auth, connection, operation, resource, wire_text("hardcode")) ||
           acl_allows_somewhere(&meta_image(auth->meta)->acls, connection->principal,
                                connection->host, operation, resource);
}

/* Which operations there are for each kind of resource, as Kafka's AclEntry has them. */
static uint32_t operations_of(enum acl_resource resource)
{
    switch (resource) {
    case ACL_TOPIC:
        return 1u << ACL_READ | 1u << ACL_WRITE | 1u << ACL_CREATE | 1u << ACL_DELETE |
               1u << ACL_ALTER | 1u << ACL_DESCRIBE | 1u << ACL_DESCRIBE_CONFIGS |
               1u << ACL_ALTER_CONFIGS;
    case ACL_GROUP:
        return 1u << ACL_READ | 1u << ACL_DELETE | 1u << ACL_DESCRIBE;
    case ACL_CLUSTER:
        return 1u << ACL_CREATE | 1u << ACL_ALTER | 1u << ACL_DESCRIBE | 1u << ACL_CLUSTER_ACTION |
               1u << ACL_DESCRIBE_CONFIGS | 1u << ACL_ALTER_CONFIGS | 1u << ACL_IDEMPOTENT_WRITE;
    default:
        return 0;
    }
}

int32_t auth_operations(const struct auth *auth, const struct connection *connection,
                        enum acl_resource resource, struct wire_string name)
{
    uint32_t possible = operations_of(resource);
    uint32_t allowed = 0;

    for (int operation = ACL_READ; operation < ACL_OPERATION_END; operation++) {
        if ((possible & (1u << operation)) != 0 &&
            auth_may(auth, connection, (enum acl_operation)operation, resource, name)) {
            allowed |= 1u << operation;
        }
    }
    return (int32_t)allowed;
}

/* ---- failed attempts ---- */

struct oauth *auth_oauth(const struct auth *auth)
{
    return auth->oauth;
}

/* Whether this line may be written. */
static bool may_log(struct auth *auth, int64_t now_ms)
{
    int64_t more = (now_ms - auth->lines_at_ms) / FAILURE_LINE_MS;

    if (more > 0) {
        auth->lines =
            auth->lines + more < FAILURE_LINES_MAX ? auth->lines + more : FAILURE_LINES_MAX;
        auth->lines_at_ms = now_ms;
    }
    if (auth->lines == 0) {
        auth->lines_left_out += 1;
        return false;
    }
    auth->lines -= 1;
    return true;
}

void auth_note_failure(const struct connection *connection, enum auth_failure kind,
                       const char *user, const char *mechanism, const char *why)
{
    struct auth *auth = connection->broker->auth;

    audit_login_failed(connection, user, mechanism, why);
    if (auth->failure_counts[kind] != NULL) {
        auth->failure_counts[kind]->values[0] += 1;
    }
    if (may_log(auth, mr_loop_now_ms(connection->broker->loop))) {
        mr_warn("authentication failed", KV_STR("peer", mr_stream_peer(connection->stream)),
                KV_STR("user", user), KV_STR("mechanism", mechanism), KV_STR("reason", why),
                KV_I64("more_not_logged", auth->lines_left_out));
        auth->lines_left_out = 0;
    }
}

static int doublings_of(struct failures *slots, const char *name, int64_t now_ms)
{
    struct failures *failures = &slots[mr_hash64(name, strlen(name)) % FAILURE_SLOTS];
    int doublings;

    if (now_ms - failures->last_ms > FAILURE_FORGOTTEN_MS) {
        failures->count = 0;
    }
    doublings = failures->count < FAILURE_DOUBLINGS_MAX ? failures->count : FAILURE_DOUBLINGS_MAX;
    failures->count = doublings + 1;
    failures->last_ms = now_ms;
    return doublings;
}

int64_t auth_failure_delay_ms(struct auth *auth, const char *host, const char *user, int64_t now_ms)
{
    int by_address = doublings_of(auth->by_address, host, now_ms);
    int by_user = user[0] != '\0' ? doublings_of(auth->by_user, user, now_ms) : 0;

    return (int64_t)FAILURE_DELAY_MS << (by_address > by_user ? by_address : by_user);
}
