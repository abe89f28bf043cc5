#include "agent/security.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "agent/config/config.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/net/tls.h"

enum security_metric { SECURITY_FAILING, SECURITY_FAILURES, SECURITY_METRIC_COUNT };

static const struct mr_metric_def security_metrics[SECURITY_METRIC_COUNT] = {
    [SECURITY_FAILING] = {"millrace_secrets_reload_failing", MR_GAUGE,
                          "Secrets that could not be read again; the old ones are used.", NULL},
    [SECURITY_FAILURES] = {"millrace_secrets_reload_failures_total", MR_COUNTER,
                           "Times that a secret could not be read again.", NULL},
};

struct security {
    const struct config *config;
    struct mr_disk *disk;
    struct mr_metric_set *metrics;    /* NULL: no memory */
    int failing;                      /* of the last reading */
    char reason[320];                 /* of the first of them */
    struct mr_tls_context **contexts; /* by listener; NULL: plain */
    size_t count;
    struct mr_tls_context *admin;
};

static const struct config_listen *listen_at(const struct config *config, size_t place)
{
    return &((const struct config_listen *)config->listen.items)[place];
}

void security_close(struct security *security)
{
    if (security == NULL) {
        return;
    }
    for (size_t i = 0; i < security->count; i++) {
        mr_tls_context_free(security->contexts[i]);
    }
    mr_tls_context_free(security->admin);
    mr_metric_set_free(security->metrics);
    mr_free(security->contexts);
    mr_free(security);
}

static_assert((int)CONFIG_TLS_CLIENTS_NONE == (int)MR_TLS_CLIENTS_NONE, "the same words");
static_assert((int)CONFIG_TLS_CLIENTS_OPTIONAL == (int)MR_TLS_CLIENTS_OPTIONAL, "the same words");
static_assert((int)CONFIG_TLS_CLIENTS_REQUIRED == (int)MR_TLS_CLIENTS_REQUIRED, "the same words");

static int open_context(const struct security_env *env, const char *address,
                        const struct config_tls *tls, struct mr_tls_context **ret_context,
                        struct mr_error *error)
{
    struct mr_tls_config options = {
        .name = address,
        .disk = env->disk,
        .cert = tls->cert,
        .key = tls->key,
        .ca = tls->ca,
        .crl = tls->crl,
        .clients = (enum mr_tls_clients)tls->clients,
        .is_tls13_required = tls->is_tls13_required,
    };
    int rc;

    if (!tls->is_on) {
        return 0;
    }
    rc = mr_tls_context_new(&options, env->metrics, ret_context, error);
    if (rc != 0) {
        return mr_error_context(error, "listen %s: tls", address);
    }
    mr_tls_watch(env->net, *ret_context);
    return 0;
}

static int open_contexts(struct security *security, const struct security_env *env,
                         struct mr_error *error)
{
    const struct config *config = env->config;
    struct config_tls tls = config_admin_tls(config);
    int rc = open_context(env, "admin", &tls, &security->admin, error);

    for (size_t i = 0; rc == 0 && i < security->count; i++) {
        const struct config_listen *listen = listen_at(config, i);

        tls = config_listen_tls(config, listen);
        rc = open_context(env, listen->address, &tls, &security->contexts[i], error);
    }
    return rc;
}

int security_open(const struct security_env *env, struct security **ret_security,
                  struct mr_error *error)
{
    const struct config *config = env->config;
    struct security *security = mr_calloc(1, sizeof *security);
    int rc;

    if (security != NULL) {
        security->config = config;
        security->contexts = mr_calloc(config->listen.count + 1, sizeof(struct mr_tls_context *));
    }
    if (security == NULL || security->contexts == NULL) {
        security_close(security);
        return mr_fail(error, MR_ENOMEM, "tls");
    }
    security->count = config->listen.count;
    security->disk = env->disk;
    security->metrics =
        mr_metric_set_new(env->metrics, security_metrics, SECURITY_METRIC_COUNT, NULL, 0);
    rc = open_contexts(security, env, error);
    if (rc != 0) {
        security_close(security);
        return rc;
    }
    *ret_security = security;
    return 0;
}

void security_put_listener(const struct security *security, size_t place,
                           struct queue_listener_spec *spec)
{
    static const struct {
        const char *name;
        unsigned bit;
    } mechanisms[] = {{"PLAIN", QUEUE_SASL_PLAIN},
                      {"SCRAM-SHA-256", QUEUE_SASL_SCRAM_SHA_256},
                      {"SCRAM-SHA-512", QUEUE_SASL_SCRAM_SHA_512},
                      {"OAUTHBEARER", QUEUE_SASL_OAUTHBEARER},
                      {"CLUSTER-KEY", QUEUE_SASL_CLUSTER_KEY}};
    const struct config_listen *listen = listen_at(security->config, place);

    mr_assert(place < security->count);
    spec->tls = security->contexts[place];
    spec->sasl = 0;
    spec->sasl_session_ms = listen->sasl_session_ms;
    for (size_t i = 0; i < listen->sasl.count; i++) {
        for (size_t j = 0; j < sizeof mechanisms / sizeof mechanisms[0]; j++) {
            if (strcmp(listen->sasl.items[i], mechanisms[j].name) == 0) {
                spec->sasl |= mechanisms[j].bit;
            }
        }
    }
}

static struct queue_oauth oauth_of(const struct config_oauth *oauth)
{
    return (struct queue_oauth){
        .keys = oauth->keys,
        .ca = oauth->ca,
        .refresh_ms = oauth->refresh_ms,
        .issuer = oauth->issuer,
        .audiences = oauth->audiences.items,
        .audience_count = oauth->audiences.count,
        .subject_claim = oauth->subject_claim,
        .scope_claim = oauth->scope_claim,
        .scopes = oauth->scopes.items,
        .scope_count = oauth->scopes.count,
        .skew_ms = oauth->skew_ms,
    };
}

struct mr_tls_context *security_admin_tls(const struct security *security)
{
    return security->admin;
}

struct queue_security security_rights(const struct security *security)
{
    const struct config *config = security->config;
    const struct config_authorization *authorization = &config->authorization;
    bool is_asked = false;

    for (size_t i = 0; i < config->listen.count; i++) {
        is_asked = is_asked || config_listen_authenticates(config, listen_at(config, i));
    }
    return (struct queue_security){
        .is_enforced = authorization->enforce == CONFIG_ENFORCE_ALWAYS ||
                       (authorization->enforce == CONFIG_ENFORCE_AUTO && is_asked),
        .allows_without_acl = authorization->allows_without_acl,
        .super_users = authorization->super_users.items,
        .super_user_count = authorization->super_users.count,
        .principal_rules = authorization->principals.items,
        .principal_rule_count = authorization->principals.count,
        .certificate_names = authorization->certificate_names.items,
        .certificate_name_count = authorization->certificate_names.count,
        .peer_rules = authorization->peer_principals.items,
        .peer_rule_count = authorization->peer_principals.count,
        .oauth = oauth_of(&config->authentication.oauth),
        .cluster_key = config->node.cluster_key,
        .nodes = authorization->nodes.items,
        .node_count = authorization->nodes.count,
    };
}

/* ---- reading secrets again ---- */

static void on_changed(void *owner, const char *path)
{
    (void)owner;
    mr_info("a secret has changed and counts from the next login on", KV_STR("option", path));
}

static void on_restart(void *owner, const char *path)
{
    (void)owner;
    mr_warn("what a file gives for this option has changed; it is taken at the next start",
            KV_STR("option", path));
}

static void on_failed(void *owner, const char *path, const char *reason)
{
    struct security *security = owner;

    if (security->failing++ == 0) {
        (void)snprintf(security->reason, sizeof security->reason, "%s: %s", path, reason);
    }
    mr_error("a secret could not be read; the old one stays", KV_STR("option", path),
             KV_STR("reason", reason));
}

void security_reload(struct security *security)
{
    const struct config_reread reread = {on_changed, on_restart, on_failed, security};

    security->failing = 0;
    config_reread_secrets(security->config, security->disk, &reread);
    if (security->metrics != NULL) {
        security->metrics->values[SECURITY_FAILING] = security->failing;
        security->metrics->values[SECURITY_FAILURES] += security->failing;
    }
}

int security_health(const struct security *security, struct mr_error *error)
{
    return security->failing == 0
               ? 0
               : mr_fail_text(error, MR_ECONFIG, "%d secrets keep their old text, as %s",
                              security->failing, security->reason);
}
