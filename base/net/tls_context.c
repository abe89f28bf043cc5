/* Contexts: certificates, keys and trust from files, checked before they are used, replaced as a
 * whole.
 *
 * Happy path: read the files, build the settings of both sides, swap them in. Failures, in order: a
 * file that cannot be read, is not PEM, is encrypted; a key that is not the certificate's. Whatever
 * fails, the settings in use stay. A handshake holds its own reference, so a swap disturbs none.
 *
 * Resumption: listeners give tickets (stateless), whose keys outlive a new certificate but not a
 * change of what is trusted (tls_tickets.c). Who connects keeps the newest session per server name,
 * uses it once, as RFC 8446 (C.4) advises, and forgets all at a reload: they know the old
 * certificate. */
#include <openssl/err.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/core/clock.h"
#include "base/core/map.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/net/tls.h"
#include "base/net/tls_pem.h"
#include "base/net/tls_stream.h"
#include "base/net/tls_tickets.h"

enum {
    SESSIONS_MAX = 256,
    SESSION_SECONDS = 3600,
    TLS_RELOADS = 0,
    TLS_RELOAD_FAILURES,
    TLS_RELOAD_FAILING,
    TLS_METRIC_COUNT,
    TLS_EXPIRES_SECONDS = 0, /* of those with a certificate */
    TLS_LEFT_SECONDS,
    TLS_OWN_METRIC_COUNT,
};

/* TLS 1.2: only what has forward secrecy and authenticated encryption. 1.3 has nothing else. */
static const char ciphers12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

static const struct mr_metric_def tls_metrics[TLS_METRIC_COUNT] = {
    [TLS_RELOADS] = {"millrace_tls_reloads_total", MR_COUNTER,
                     "Times that certificate and key were read again and taken.", "context"},
    [TLS_RELOAD_FAILURES] = {"millrace_tls_reload_failures_total", MR_COUNTER,
                             "Times that certificate or key could not be taken; the old ones are "
                             "still used.",
                             "context"},
    [TLS_RELOAD_FAILING] = {"millrace_tls_reload_failing", MR_GAUGE,
                            "1 while the files cannot be taken and the old ones are used, else 0.",
                            "context"},
};

static const struct mr_metric_def own_metrics[TLS_OWN_METRIC_COUNT] = {
    [TLS_EXPIRES_SECONDS] = {"millrace_tls_certificate_expires_seconds", MR_GAUGE,
                             "When the own certificate ends, in seconds since 1970.", "context"},
    [TLS_LEFT_SECONDS] = {"millrace_tls_certificate_left_seconds", MR_GAUGE,
                          "Seconds until the own certificate ends; negative when it has ended.",
                          "context"},
};

/* One reading of the files. */
struct settings {
    SSL_CTX *server; /* NULL without a certificate */
    SSL_CTX *client;
    int64_t expires_ms;
    uint8_t trust[EVP_MAX_MD_SIZE]; /* a digest of ca and crl, for the tickets' sake */
};

struct mr_tls_context {
    struct mr_tls_config config; /* with own copies of the strings */
    struct mr_metric_set *metrics;
    struct mr_metric_set *own_metrics; /* NULL without a certificate */
    struct tls_watched watched;
    BIO_METHOD *bio_method;
    pthread_mutex_t mutex; /* guards what follows: other loops and workers take handshakes */
    int refs;
    struct settings settings;
    struct mr_map sessions;     /* of SSL_SESSION, by server name */
    struct tls_tickets tickets; /* with a lock of its own */
};

/* ---- reading files ---- */

/* The first certificate is ours, the others lead to the root. */
static int load_chain(SSL_CTX *ctx, const struct mr_tls_config *config, int64_t *ret_expires_ms,
                      struct mr_error *error)
{
    struct tls_pem pem;
    X509 *certificate;
    int rc = tls_pem_open(config->disk, config->cert, &pem, error);

    if (rc != 0) {
        return rc;
    }
    certificate = PEM_read_bio_X509(pem.bio, NULL, NULL, NULL);
    if (certificate == NULL || SSL_CTX_use_certificate(ctx, certificate) != 1) {
        rc = mr_fail_text(error, MR_ECONFIG, "'%s': no certificate that can be used: %s",
                          config->cert, tls_reason("it is not in PEM form"));
    } else {
        *ret_expires_ms = tls_time_ms(X509_get0_notAfter(certificate));
    }
    X509_free(certificate);
    while (rc == 0 && (certificate = PEM_read_bio_X509(pem.bio, NULL, NULL, NULL)) != NULL) {
        if (SSL_CTX_add0_chain_cert(ctx, certificate) != 1) {
            X509_free(certificate);
            rc = mr_fail_text(error, MR_ECONFIG, "'%s': the chain: %s", config->cert,
                              tls_reason("not usable"));
        }
    }
    tls_pem_close(&pem);
    return rc;
}

static int load_key(SSL_CTX *ctx, const struct mr_tls_config *config, struct mr_error *error)
{
    EVP_PKEY *key = NULL;
    int rc = tls_pem_key(config->disk, config->key, &key, error);

    if (rc != 0) {
        return rc;
    }
    if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        rc = mr_fail_text(error, MR_ECONFIG, "the key '%s' does not belong to the certificate '%s'",
                          config->key, config->cert);
    }
    ERR_clear_error();
    EVP_PKEY_free(key);
    return rc;
}

/* With lists, a certificate whose issuer has none, or an outdated one, is refused too: else taking
 * the list away would bring the revoked ones back. */
static int load_revoked(SSL_CTX *ctx, const struct mr_tls_config *config, struct mr_error *error)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    struct tls_pem pem;
    int count = 0;
    X509_CRL *list;
    int rc = tls_pem_open(config->disk, config->crl, &pem, error);

    if (rc != 0) {
        return rc;
    }
    while ((list = PEM_read_bio_X509_CRL(pem.bio, NULL, NULL, NULL)) != NULL) {
        count += X509_STORE_add_crl(store, list) == 1;
        X509_CRL_free(list);
    }
    tls_pem_close(&pem);
    if (count == 0) {
        return mr_fail_text(error, MR_ECONFIG, "'%s': no revocation list in PEM form", config->crl);
    }
    (void)X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    return 0;
}

static int load_trust(SSL_CTX *ctx, const struct mr_tls_config *config, bool is_server,
                      struct mr_error *error)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    struct tls_pem pem;
    int count = 0;
    X509 *certificate;
    int rc = tls_pem_open(config->disk, config->ca, &pem, error);

    if (rc != 0) {
        return rc;
    }
    while ((certificate = PEM_read_bio_X509(pem.bio, NULL, NULL, NULL)) != NULL) {
        count += X509_STORE_add_cert(store, certificate) == 1;
        if (is_server) { /* tells clients which certificates to choose from */
            (void)SSL_CTX_add_client_CA(ctx, certificate);
        }
        X509_free(certificate);
    }
    tls_pem_close(&pem);
    if (count == 0) {
        return mr_fail_text(error, MR_ECONFIG, "'%s': no certificate in PEM form", config->ca);
    }
    return config->crl != NULL ? load_revoked(ctx, config, error) : 0;
}

/* ---- settings ---- */

/* Keeps what is refused, to tell of it: OpenSSL forgets it at once. */
static int on_verify(int is_fine, X509_STORE_CTX *store_ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store_ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_stream *self = SSL_get_app_data(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(store_ctx);
    X509 *refused = X509_STORE_CTX_get_current_cert(store_ctx);

    if (is_fine == 0 && self->refused == NULL && leaf != NULL) {
        refused = refused != NULL ? refused : leaf;
        if (X509_up_ref(leaf) == 1) {
            self->leaf = leaf;
        }
        if (X509_up_ref(refused) == 1) {
            self->refused = refused;
        }
    }
    return is_fine;
}

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_stream *self = SSL_get_app_data(ssl);

    tls_context_put_session(self->context, SSL_get_SSL_CTX(ssl), self->server_name, session);
    return 1; /* stolen */
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int is_encrypting)
{
    const struct tls_stream *self = SSL_get_app_data(ssl);
    int result = tls_tickets_key(&self->context->tickets, name, iv, cipher, mac, is_encrypting);

    /* With 1.3 a ticket is for one use, and each use is answered with another (RFC 8446, C.4). */
    return result == 1 && !is_encrypting && SSL_version(ssl) == TLS1_3_VERSION ? 2 : result;
}

static int set_common(SSL_CTX *ctx, const struct mr_tls_config *config)
{
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    if (tls_kernel_is_there()) {
        (void)SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);
    }
    (void)SSL_CTX_set_timeout(ctx, SESSION_SECONDS);
    return SSL_CTX_set_min_proto_version(ctx, config->is_tls13_required ? TLS1_3_VERSION
                                                                        : TLS1_2_VERSION) == 1 &&
                   SSL_CTX_set_cipher_list(ctx, ciphers12) == 1
               ? 0
               : MR_EUNSUPPORTED;
}

static int make_server(const struct mr_tls_config *config, SSL_CTX *ctx, struct mr_error *error)
{
    static const unsigned char session_context[] = "millrace";
    int mode = config->clients == MR_TLS_CLIENTS_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER;

    if (config->clients == MR_TLS_CLIENTS_REQUIRED) {
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    SSL_CTX_set_verify(ctx, mode, on_verify);
    (void)SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets need none */
    if (SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) != 1) {
        return mr_fail(error, MR_EUNSUPPORTED, "TLS: tickets");
    }
    return config->clients != MR_TLS_CLIENTS_NONE ? load_trust(ctx, config, true, error) : 0;
}

static int make_client(const struct mr_tls_config *config, SSL_CTX *ctx, struct mr_error *error)
{
    if (!config->skips_verification) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_verify);
    }
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    if (config->ca != NULL) {
        return load_trust(ctx, config, false, error);
    }
    if (!config->skips_verification && SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return mr_fail_text(error, MR_ECONFIG, "the system's trusted certificates: %s",
                            tls_reason("not readable"));
    }
    return 0;
}

static int make_side(const struct mr_tls_config *config, bool is_server, SSL_CTX **ret_ctx,
                     int64_t *ret_expires_ms, struct mr_error *error)
{
    SSL_CTX *ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    int rc;

    if (ctx == NULL) {
        return mr_fail(error, MR_ENOMEM, "TLS");
    }
    rc = set_common(ctx, config);
    if (rc != 0) {
        (void)mr_fail_text(error, rc, "TLS: %s", tls_reason("the library lacks what is needed"));
    }
    if (rc == 0 && config->cert != NULL) {
        rc = load_chain(ctx, config, ret_expires_ms, error);
        if (rc == 0) {
            rc = load_key(ctx, config, error);
        }
    }
    if (rc == 0) {
        rc = is_server ? make_server(config, ctx, error) : make_client(config, ctx, error);
    }
    if (rc != 0) {
        SSL_CTX_free(ctx);
        return rc;
    }
    *ret_ctx = ctx;
    return 0;
}

static void settings_done(struct settings *settings)
{
    SSL_CTX_free(settings->server);
    SSL_CTX_free(settings->client);
}

/* What decides who is let in: where it changes, what was resumed before is verified anew. */
static int digest_trust(const struct mr_tls_config *config, uint8_t digest[EVP_MAX_MD_SIZE],
                        struct mr_error *error)
{
    const char *const paths[] = {config->ca, config->crl};
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    int rc = md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1
                 ? mr_fail(error, MR_ENOMEM, "TLS")
                 : 0;

    for (int i = 0; rc == 0 && i < 2; i++) {
        struct tls_pem pem;

        if (paths[i] == NULL) {
            continue;
        }
        rc = tls_pem_open(config->disk, paths[i], &pem, error);
        if (rc == 0) {
            (void)EVP_DigestUpdate(md, pem.text, pem.size);
            tls_pem_close(&pem);
        }
    }
    if (rc == 0 && EVP_DigestFinal_ex(md, digest, NULL) != 1) {
        rc = mr_fail(error, MR_ENOMEM, "TLS");
    }
    EVP_MD_CTX_free(md);
    return rc;
}

static int settings_load(const struct mr_tls_config *config, struct settings *ret_settings,
                         struct mr_error *error)
{
    struct settings settings = {0};
    int rc = make_side(config, false, &settings.client, &settings.expires_ms, error);

    if (rc == 0 && config->cert != NULL) {
        rc = make_side(config, true, &settings.server, &settings.expires_ms, error);
    }
    if (rc == 0) {
        rc = digest_trust(config, settings.trust, error);
    }
    if (rc != 0) {
        settings_done(&settings);
        return rc;
    }
    *ret_settings = settings;
    return 0;
}

/* ---- sessions ---- */

static void drop_sessions(struct mr_tls_context *context)
{
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    while ((entry = mr_map_next(&context->sessions, &cursor)) != NULL) {
        SSL_SESSION_free(entry->value);
    }
    mr_map_done(&context->sessions);
    mr_map_init(&context->sessions);
}

void tls_context_put_session(struct mr_tls_context *context, const SSL_CTX *made_by,
                             const char *server_name, SSL_SESSION *session)
{
    void *old = NULL;

    (void)pthread_mutex_lock(&context->mutex);
    if (made_by != context->settings.client) { /* of a connection from before a reload */
        (void)pthread_mutex_unlock(&context->mutex);
        SSL_SESSION_free(session);
        return;
    }
    if (context->sessions.count >= SESSIONS_MAX) {
        drop_sessions(context); /* who connects to so many names can do without */
    }
    if (mr_map_put(&context->sessions, server_name, strlen(server_name), session, &old) != 0) {
        old = session;
    }
    (void)pthread_mutex_unlock(&context->mutex);
    SSL_SESSION_free(old);
}

SSL_SESSION *tls_context_take_session(struct mr_tls_context *context, const char *server_name)
{
    SSL_SESSION *session;

    (void)pthread_mutex_lock(&context->mutex);
    session = mr_map_remove_text(&context->sessions, server_name);
    (void)pthread_mutex_unlock(&context->mutex);
    return session;
}

/* ---- for handshakes, and for who watches ---- */

struct tls_watched *tls_context_watched(struct mr_tls_context *context)
{
    return &context->watched;
}

const struct mr_tls_config *tls_context_config(const struct mr_tls_context *context)
{
    return &context->config;
}

BIO_METHOD *tls_context_bio_method(struct mr_tls_context *context)
{
    return context->bio_method;
}

bool tls_say_name(SSL *ssl, const char *server_name)
{
    char sni[256]; /* OpenSSL's macro casts the const away: a copy of a name of 255 characters */

    (void)snprintf(sni, sizeof sni, "%s", server_name);
    return SSL_set_tlsext_host_name(ssl, sni) == 1;
}

static int set_peer_name(SSL *ssl, const struct mr_tls_config *config, const char *server_name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    bool is_ip = X509_VERIFY_PARAM_set1_ip_asc(param, server_name) == 1;

    ERR_clear_error();
    if (!is_ip && !tls_say_name(ssl, server_name)) {
        return MR_EINVAL;
    }
    if (config->skips_names || config->skips_verification) {
        return X509_VERIFY_PARAM_set1_ip(param, NULL, 0) == 1 ? 0 : MR_ENOMEM;
    }
    /* Alternative names only: the common name is no host name any more (RFC 9525, 2). */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (!is_ip && X509_VERIFY_PARAM_set1_host(param, server_name, 0) != 1) {
        return MR_ENOMEM;
    }
    return 0;
}

SSL *tls_context_ssl(struct mr_tls_context *context, const char *server_name,
                     struct mr_error *error)
{
    SSL_CTX *ctx;
    SSL *ssl = NULL;

    (void)pthread_mutex_lock(&context->mutex);
    ctx = server_name != NULL ? context->settings.client : context->settings.server;
    if (ctx != NULL) {
        ssl = SSL_new(ctx); /* takes its own reference */
    }
    (void)pthread_mutex_unlock(&context->mutex);
    if (ssl == NULL) {
        (void)mr_fail(error, ctx == NULL ? MR_ECONFIG : MR_ENOMEM, "TLS%s",
                      ctx == NULL ? ": a listener needs a certificate" : "");
        return NULL;
    }
    if (server_name == NULL) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    SSL_set_connect_state(ssl);
    if (set_peer_name(ssl, &context->config, server_name) != 0) {
        SSL_free(ssl);
        (void)mr_fail_text(error, MR_EINVAL, "'%s' cannot be the name of a TLS server",
                           server_name);
        return NULL;
    }
    return ssl;
}

/* ---- opening, reloading, closing ---- */

static int check_config(const struct mr_tls_config *config, struct mr_error *error)
{
    if ((config->cert == NULL) != (config->key == NULL)) {
        return mr_fail_text(error, MR_ECONFIG, "TLS: cert and key are given together");
    }
    if (config->clients != MR_TLS_CLIENTS_NONE && config->ca == NULL) {
        return mr_fail_text(error, MR_ECONFIG,
                            "TLS: checking clients needs ca, the file of those who are trusted");
    }
    if (config->crl != NULL && config->ca == NULL) {
        return mr_fail_text(error, MR_ECONFIG, "TLS: crl needs ca, which issued it");
    }
    return 0;
}

static int copy_text(const char *text, const char **ret_copy)
{
    *ret_copy = text != NULL ? mr_strdup(text) : NULL;
    return text == NULL || *ret_copy != NULL ? 0 : MR_ENOMEM;
}

static int copy_config(struct mr_tls_config *to, const struct mr_tls_config *from)
{
    *to = *from;
    to->cert = to->key = to->ca = to->crl = NULL;
    if (copy_text(from->name != NULL ? from->name : "tls", &to->name) != 0 ||
        copy_text(from->cert, &to->cert) != 0 || copy_text(from->key, &to->key) != 0 ||
        copy_text(from->ca, &to->ca) != 0 || copy_text(from->crl, &to->crl) != 0) {
        return MR_ENOMEM;
    }
    return 0;
}

static void show_expiry(struct mr_metric_set *set)
{
    int64_t ends_ms = mr_tls_context_expires_ms(set->owner);

    set->values[TLS_EXPIRES_SECONDS] = ends_ms / 1000;
    set->values[TLS_LEFT_SECONDS] = (ends_ms - mr_clock_wall_ms(mr_clock_system())) / 1000;
}

static void open_metrics(struct mr_tls_context *context, struct mr_metrics *metrics)
{
    const char *const *labels = &context->config.name;

    context->metrics = mr_metric_set_new(metrics, tls_metrics, TLS_METRIC_COUNT, labels, 1);
    if (context->config.cert != NULL) {
        context->own_metrics =
            mr_metric_set_new(metrics, own_metrics, TLS_OWN_METRIC_COUNT, labels, 1);
    }
    if (context->own_metrics != NULL) {
        context->own_metrics->owner = context;
        context->own_metrics->refresh = show_expiry;
    }
}

int mr_tls_context_new(const struct mr_tls_config *config, struct mr_metrics *metrics,
                       struct mr_tls_context **ret_context, struct mr_error *error)
{
    struct mr_tls_context *context;
    int rc = check_config(config, error);

    if (rc != 0) {
        return rc;
    }
    context = mr_calloc(1, sizeof *context);
    if (context == NULL) {
        return mr_fail(error, MR_ENOMEM, "TLS");
    }
    (void)pthread_mutex_init(&context->mutex, NULL); /* a plain one cannot fail on Linux */
    context->refs = 1;
    mr_map_init(&context->sessions);
    tls_tickets_init(&context->tickets);
    rc = copy_config(&context->config, config);
    if (rc == 0) {
        context->bio_method = tls_bio_method_new();
        rc = context->bio_method != NULL ? 0 : MR_ENOMEM;
    }
    if (rc != 0) {
        (void)mr_fail(error, rc, "TLS");
    } else {
        rc = settings_load(&context->config, &context->settings, error);
    }
    if (rc != 0) {
        mr_tls_context_free(context);
        return rc;
    }
    if (metrics != NULL) {
        open_metrics(context, metrics);
    }
    *ret_context = context;
    return 0;
}

int mr_tls_context_reload(struct mr_tls_context *context, struct mr_error *error)
{
    struct settings fresh;
    struct settings old;
    int rc = settings_load(&context->config, &fresh, error);

    if (context->metrics != NULL) {
        context->metrics->values[rc == 0 ? TLS_RELOADS : TLS_RELOAD_FAILURES]++;
        context->metrics->values[TLS_RELOAD_FAILING] = rc != 0;
    }
    if (rc != 0) {
        return rc;
    }
    (void)pthread_mutex_lock(&context->mutex);
    old = context->settings;
    context->settings = fresh;
    drop_sessions(context);
    (void)pthread_mutex_unlock(&context->mutex);
    if (memcmp(old.trust, fresh.trust, sizeof old.trust) != 0) {
        tls_tickets_forget(&context->tickets);
    }
    settings_done(&old);
    return 0;
}

int64_t mr_tls_context_expires_ms(struct mr_tls_context *context)
{
    int64_t expires_ms;

    (void)pthread_mutex_lock(&context->mutex);
    expires_ms = context->settings.expires_ms;
    (void)pthread_mutex_unlock(&context->mutex);
    return expires_ms;
}

static void free_text(const char *text)
{
    mr_free((void *)(uintptr_t)text);
}

void tls_context_ref(struct mr_tls_context *context)
{
    (void)pthread_mutex_lock(&context->mutex);
    context->refs++;
    (void)pthread_mutex_unlock(&context->mutex);
}

void mr_tls_context_free(struct mr_tls_context *context)
{
    int refs;

    if (context == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&context->mutex);
    refs = --context->refs;
    (void)pthread_mutex_unlock(&context->mutex);
    if (refs > 0) {
        return; /* a worker has a handshake of it in its hands */
    }
    mr_list_remove(&context->watched.link);
    settings_done(&context->settings);
    drop_sessions(context);
    mr_map_done(&context->sessions);
    tls_tickets_done(&context->tickets);
    BIO_meth_free(context->bio_method);
    mr_metric_set_free(context->metrics);
    mr_metric_set_free(context->own_metrics);
    (void)pthread_mutex_destroy(&context->mutex);
    free_text(context->config.name);
    free_text(context->config.cert);
    free_text(context->config.key);
    free_text(context->config.ca);
    free_text(context->config.crl);
    mr_free(context);
}
