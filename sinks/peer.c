/* The peer sink: batches of local topics go to the hubs as they lie on disk, exactly once.
 *
 * This file is the plugin: options, opening, closing. What happens to a partition is
 * sinks/peer/lane.c, what is decided about it sinks/peer/lineage.c. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/core/hash.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/net/http_url.h"
#include "base/net/tls.h"
#include "sinks/peer/peer_internal.h"

enum {
    PORT = 9092,
    NODES_MAX = 64,
    CLOSE_MS = 2000, /* for what is in flight; afterwards the hub is asked at the next start */
};

static const char *const acks_words[] = {"all", "leader", NULL};

static const char *check_nodes(const void *value)
{
    const struct mr_string_list *nodes = value;
    struct mr_address address;

    if (nodes->count == 0 || nodes->count > NODES_MAX) {
        return "name between 1 and 64 nodes, such as [hub-1, \"hub-2:9092\"]";
    }
    for (size_t i = 0; i < nodes->count; i++) {
        if (mr_address_parse(nodes->items[i], PORT, &address, NULL) != 0) {
            return "a node is a host with or without a port, or unix:/path";
        }
    }
    return NULL;
}

static const char *check_prefix(const void *value)
{
    const char *prefix = *(const char *const *)value;

    return prefix != NULL &&
                   prefix[strspn(prefix, "abcdefghijklmnopqrstuvwxyz"
                                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] != '\0'
               ? "a prefix of topic names has letters, digits, '.', '_' and '-' only"
               : NULL;
}

static const char *const mechanism_words[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512",
                                              "OAUTHBEARER", "CLUSTER-KEY", NULL};

static_assert(CLIENT_SASL_PLAIN == 1 && CLIENT_SASL_SCRAM_SHA_256 == 2 &&
                  CLIENT_SASL_SCRAM_SHA_512 == 3 && CLIENT_SASL_OAUTHBEARER == 4 &&
                  CLIENT_SASL_CLUSTER_KEY == 5,
              "a word's place is one less");

static const struct mr_option tls_options[] = {
    {"enabled", MR_OPT_BOOL, offsetof(struct peer_tls, is_on),
     .help = "TLS to the hubs, whose certificates are verified, names included."},
    {"ca", MR_OPT_STRING, offsetof(struct peer_tls, ca), .example = "/etc/millrace/ca.pem",
     .help = "PEM file of the authorities that are trusted; the system's unless written."},
    {"cert", MR_OPT_STRING, offsetof(struct peer_tls, cert), .example = "/etc/millrace/cert.pem",
     .help = "PEM file of this node's certificate, for hubs that want one."},
    {"key", MR_OPT_STRING, offsetof(struct peer_tls, key), .example = "/etc/millrace/key.pem",
     .help = "PEM file of its key."},
    {"crl", MR_OPT_STRING, offsetof(struct peer_tls, crl),
     .help = "PEM file of revocation lists; needs ca."},
    {"server_name", MR_OPT_STRING, offsetof(struct peer_tls, server_name),
     .help = "The name that must be in the certificates, where it is not the host's."},
    {0}};

static const struct mr_option oauth_options[] = {
    {"url", MR_OPT_STRING, offsetof(struct peer_oauth, url),
     .example = "https://id.example/oauth2/token",
     .help = "Where tokens are given for client credentials; https, or a loopback address."},
    {"ca", MR_OPT_STRING, offsetof(struct peer_oauth, ca),
     .help = "PEM file of the authorities that are trusted there; the system's unless written."},
    {"id", MR_OPT_STRING, offsetof(struct peer_oauth, id), .help = "The client's id."},
    {"secret", MR_OPT_SECRET, offsetof(struct peer_oauth, secret), .help = "The client's secret."},
    {"scope", MR_OPT_STRING, offsetof(struct peer_oauth, scope),
     .help = "The scope to ask for; none unless written."},
    {0}};

static const struct mr_option sasl_options[] = {
    {"mechanism", MR_OPT_ENUM, offsetof(struct peer_sasl, mechanism), .words = mechanism_words,
     .fallback = "SCRAM-SHA-512",
     .help = "How to show who this node is. PLAIN and OAUTHBEARER need TLS, and so does CLUSTER-KEY "
             "(node.cluster_key) unless the hubs are on this host."},
    {"user", MR_OPT_STRING, offsetof(struct peer_sasl, user), .example = "edge-7",
     .help = "Unless written nothing is shown."},
    {"password", MR_OPT_SECRET, offsetof(struct peer_sasl, password),
     .example = "${file:/etc/millrace/edge-7}", .help = "The user's password."},
    {"token_file", MR_OPT_STRING, offsetof(struct peer_sasl, token_file),
     .example = "/run/secrets/token",
     .help = "OAUTHBEARER: a file with the token, read anew at each authentication."},
    {"oauth", MR_OPT_TABLE, offsetof(struct peer_sasl, oauth), .children = oauth_options,
     .help = "OAUTHBEARER: a server that gives tokens, instead of token_file. A new one is asked for "
             "when four fifths of the last one's life are over."},
    {0}};

static const struct mr_option peer_options[] = {
    {"nodes", MR_OPT_STRING_LIST, offsetof(struct peer_options, nodes), .is_required = true,
     .example = "[hub-1, \"hub-2:9092\"]", .check = check_nodes,
     .help = "Hubs to begin with, port 9092 unless said; the others are learned from them."},
    {"acks", MR_OPT_ENUM, offsetof(struct peer_options, acks), .fallback = "all",
     .words = acks_words,
     .help = "When a batch counts as delivered: on all in-sync replicas, or on the leader."},
    {"prefix", MR_OPT_STRING, offsetof(struct peer_options, prefix), .example = "edge.",
     .check = check_prefix,
     .help = "Put before the topic's name at the hub; without it the names are the same."},
    {"create_topics", MR_OPT_BOOL, offsetof(struct peer_options, create_topics), .fallback = "true",
     .help = "Create topics that the hub does not have."},
    {"partitions", MR_OPT_INT, offsetof(struct peer_options, partitions), .min = 0, .max = 100000,
     .help = "Of topics that are created; 0 leaves it to the hub."},
    {"request_timeout", MR_OPT_DURATION, offsetof(struct peer_options, request_timeout_ms),
     .fallback = "30s", .min = 1000, .max = 600000,
     .help = "A hub that does not answer for so long is left, and asked anew."},
    {"connect_timeout", MR_OPT_DURATION, offsetof(struct peer_options, connect_timeout_ms),
     .fallback = "10s", .min = 100, .max = 600000, .help = "For making a connection to a hub."},
    {"tls", MR_OPT_TABLE, offsetof(struct peer_options, tls), .children = tls_options,
     .help = "Encryption on the way to the hubs."},
    {"sasl", MR_OPT_TABLE, offsetof(struct peer_options, sasl), .children = sasl_options,
     .help = "Who this node is to the hubs."},
    {0}};

static const struct mr_metric_def peer_metrics[PEER_METRIC_COUNT] = {
    [PEER_RESUMES] = {"millrace_peer_resumes_total", MR_COUNTER,
                      "Times that a hub was asked what it has of a partition.", "sink"},
    [PEER_SKIPPED] = {"millrace_peer_skipped_records_total", MR_COUNTER,
                      "Records that were not sent, as the hub had them already.", "sink"},
    [PEER_LINEAGES] = {"millrace_peer_lineages_total", MR_COUNTER, "Lineages begun.", "sink"},
    [PEER_EPOCHS] = {"millrace_peer_epochs_total", MR_COUNTER,
                     "New epochs of lineages: after gaps, refused records and expiry.", "sink"},
    [PEER_REWINDS] = {"millrace_peer_rewinds_total", MR_COUNTER,
                      "Times that a hub had lost records, which were sent again.", "sink"},
    [PEER_AHEAD] = {"millrace_peer_hub_ahead_total", MR_COUNTER,
                    "Times that a hub had records that this node never sent: a restored or copied "
                    "data directory.",
                    "sink"},
    [PEER_SPLITS] = {"millrace_peer_split_batches_total", MR_COUNTER,
                     "Batches that a hub refused, sent in pieces.", "sink"},
    [PEER_REFUSED] = {"millrace_peer_refused_records_total", MR_COUNTER,
                      "Records that a hub refused for good.", "sink"},
};

static void on_close_task(struct mr_task *task);
static void on_close_timer(struct mr_timer *timer);

/* ---- opening ---- */

static bool all_are_local(const struct mr_string_list *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) {
        if (strncmp(nodes->items[i], "unix:", 5) != 0) {
            return false;
        }
    }
    return true;
}

static int check_oauth(const struct peer_sasl *sasl, struct mr_error *error)
{
    const struct peer_oauth *oauth = &sasl->oauth;
    struct mr_http_url url;

    if (sasl->user != NULL || (sasl->token_file == NULL) == (oauth->url == NULL)) {
        return mr_fail_text(error, MR_ECONFIG,
                            "sasl: OAUTHBEARER wants either token_file or oauth, and no user");
    }
    if (oauth->url == NULL) {
        return 0;
    }
    if (oauth->id == NULL || oauth->secret == NULL) {
        return mr_fail_text(error, MR_ECONFIG, "sasl.oauth: url, id and secret belong together");
    }
    if (mr_http_url_parse(oauth->url, &url, error) != 0) {
        return mr_error_context(error, "sasl.oauth.url");
    }
    return url.is_tls || mr_http_url_is_loopback(&url)
               ? 0
               : mr_fail_text(error, MR_ECONFIG, "sasl.oauth.url: only https keeps the secret one");
}

static bool all_are_on_this_host(const struct mr_string_list *nodes)
{
    struct mr_address address;

    for (size_t i = 0; i < nodes->count; i++) {
        if (mr_address_parse(nodes->items[i], PORT, &address, NULL) != 0 ||
            !mr_address_is_loopback(&address)) {
            return false;
        }
    }
    return true;
}

static int check_cluster_key(const struct peer *peer, bool is_tls, struct mr_error *error)
{
    const struct peer_sasl *sasl = &peer->options->sasl;

    if (peer->sink.host->cluster_key == NULL) {
        return mr_fail_text(error, MR_ECONFIG, "sasl: CLUSTER-KEY needs node.cluster_key");
    }
    if (sasl->user != NULL || sasl->password != NULL) {
        return mr_fail_text(error, MR_ECONFIG,
                            "sasl: with CLUSTER-KEY the user is this node's name, and the password "
                            "node.cluster_key");
    }
    return is_tls || all_are_on_this_host(&peer->options->nodes)
               ? 0
               : mr_fail_text(error, MR_ECONFIG,
                              "sasl: CLUSTER-KEY needs tls to hubs that are not on this host");
}

static int check_sasl(const struct peer *peer, bool is_tls, struct mr_error *error)
{
    const struct peer_options *options = peer->options;
    const struct peer_sasl *sasl = &options->sasl;
    bool is_oauth = sasl->mechanism + 1 == CLIENT_SASL_OAUTHBEARER;

    if (!is_oauth && (sasl->token_file != NULL || sasl->oauth.url != NULL)) {
        return mr_fail_text(error, MR_ECONFIG,
                            "sasl: token_file and oauth need 'mechanism: OAUTHBEARER'");
    }
    if (sasl->mechanism + 1 == CLIENT_SASL_CLUSTER_KEY) {
        return check_cluster_key(peer, is_tls, error);
    }
    if ((sasl->user == NULL) != (sasl->password == NULL)) {
        return mr_fail_text(error, MR_ECONFIG, "sasl.user and sasl.password belong together");
    }
    if ((is_oauth || (sasl->user != NULL && sasl->mechanism + 1 == CLIENT_SASL_PLAIN)) && !is_tls &&
        !all_are_local(&options->nodes)) {
        return mr_fail_text(error, MR_ECONFIG,
                            "sasl: %s sends the %s as it is: set tls, or take SCRAM-SHA-512",
                            is_oauth ? "OAUTHBEARER" : "PLAIN", is_oauth ? "token" : "password");
    }
    return is_oauth ? check_oauth(sasl, error) : 0;
}

static int open_tls(struct peer *peer, struct mr_error *error)
{
    const struct peer_tls *tls = &peer->options->tls;
    bool is_on = tls->is_on || tls->ca != NULL || tls->cert != NULL;
    struct mr_tls_config config = {.name = peer->sink.host->sink_id,
                                   .disk = peer->sink.host->disk,
                                   .cert = tls->cert,
                                   .key = tls->key,
                                   .ca = tls->ca,
                                   .crl = tls->crl};
    int rc;

    rc = check_sasl(peer, is_on, error);
    if (rc != 0) {
        return rc;
    }
    if (!is_on) {
        return 0;
    }
    rc = mr_tls_context_new(&config, peer->sink.host->metrics, &peer->tls, error);
    if (rc != 0) {
        return mr_error_context(error, "tls");
    }
    mr_tls_watch(peer->sink.host->net, peer->tls);
    return 0;
}

static struct client_oauth oauth_of(const struct peer *peer)
{
    const struct peer_sasl *sasl = &peer->options->sasl;

    return (struct client_oauth){.disk = peer->sink.host->disk,
                                 .token_file = sasl->token_file,
                                 .url = sasl->oauth.url,
                                 .ca = sasl->oauth.ca,
                                 .id = sasl->oauth.id,
                                 .secret = sasl->oauth.secret,
                                 .scope = sasl->oauth.scope};
}

static int open_client(struct peer *peer, struct mr_error *error)
{
    const struct mr_string_list *nodes = &peer->options->nodes;
    struct sink_host *host = peer->sink.host;
    struct mr_address *addresses = mr_calloc(nodes->count, sizeof *addresses);
    char client_id[200];
    int rc = addresses == NULL ? mr_fail(error, MR_ENOMEM, "nodes") : 0;

    for (size_t i = 0; i < nodes->count && rc == 0; i++) {
        rc = mr_address_parse(nodes->items[i], PORT, &addresses[i], error);
    }
    (void)snprintf(client_id, sizeof client_id, "%s/%s", host->node_name, host->sink_id);
    if (rc == 0) {
        struct client_config config = {.loop = host->loop,
                                       .net = host->net,
                                       .random = host->random,
                                       .metrics = host->metrics,
                                       .client_id = client_id,
                                       .bootstrap = addresses,
                                       .bootstrap_count = nodes->count,
                                       .tls = peer->tls,
                                       .tls_server_name = peer->options->tls.server_name,
                                       .request_timeout_ms = peer->options->request_timeout_ms,
                                       .connect_timeout_ms = peer->options->connect_timeout_ms};
        if (peer->options->sasl.user != NULL) {
            config.sasl_mechanism = (enum client_sasl_mechanism)(peer->options->sasl.mechanism + 1);
            config.sasl_user = peer->options->sasl.user;
            config.sasl_password = peer->options->sasl.password;
        }
        if (peer->options->sasl.mechanism + 1 == CLIENT_SASL_CLUSTER_KEY) {
            config.sasl_mechanism = CLIENT_SASL_CLUSTER_KEY;
            config.sasl_user = host->node_name;
            config.sasl_password = host->cluster_key;
        }
        if (peer->options->sasl.mechanism + 1 == CLIENT_SASL_OAUTHBEARER) {
            config.sasl_mechanism = CLIENT_SASL_OAUTHBEARER;
            config.sasl_oauth = oauth_of(peer);
        }
        rc = client_new(&config, &peer->client, error);
    }
    mr_free(addresses);
    return rc;
}

/* The same set of addresses has the same hash, in whatever order it is written. */
static void describe_nodes(struct peer *peer)
{
    const struct mr_string_list *nodes = &peer->options->nodes;
    size_t used = 0;

    for (size_t i = 0; i < nodes->count; i++) {
        peer->nodes_hash ^= mr_hash64(nodes->items[i], strlen(nodes->items[i]));
        if (used < sizeof peer->destination) {
            used += (size_t)snprintf(peer->destination + used, sizeof peer->destination - used,
                                     "%s%s", i == 0 ? "" : ", ", nodes->items[i]);
        }
    }
}

static int peer_open(struct sink *sink, struct mr_error *error)
{
    struct peer *peer = (struct peer *)sink;
    int rc;

    peer->options = sink->options;
    mr_list_init(&peer->lanes);
    mr_list_init(&peer->homeless);
    mr_task_init(&peer->close_task, sink->host->loop, on_close_task, peer);
    mr_timer_init(&peer->close_timer, sink->host->loop, on_close_timer, peer);
    describe_nodes(peer);
    rc = open_tls(peer, error);
    if (rc == 0) {
        rc = open_client(peer, error);
    }
    if (rc != 0) {
        mr_tls_context_free(peer->tls);
        peer->tls = NULL;
    }
    if (rc == 0) {
        peer->metrics = mr_metric_set_new(sink->host->metrics, peer_metrics, PEER_METRIC_COUNT,
                                          (const char *const[]){sink->host->sink_id}, 1);
    }
    return rc;
}

/* ---- writes ---- */

static void peer_write(struct sink *sink, struct sink_write *write)
{
    struct peer *peer = (struct peer *)sink;
    struct lane *lane = lane_get(peer, write->topic, write->partition);

    if (lane == NULL) {
        mr_list_append(&peer->homeless, &write->link);
        mr_task_post(&peer->close_task);
        return;
    }
    lane_take(lane, write);
}

static void peer_status(struct sink *sink, struct sink_status *ret_status)
{
    const struct peer *peer = (const struct peer *)sink;
    bool is_connected = peer->client != NULL && client_is_connected(peer->client);

    ret_status->destination = peer->destination;
    ret_status->error = peer->error[0] != '\0' ? peer->error : NULL;
    ret_status->state = peer->is_closing            ? "closing"
                        : is_connected              ? "connected"
                        : ret_status->error != NULL ? "backoff"
                                                    : "idle";
}

/* ---- closing: what is in flight is waited for, but not for long ---- */

static bool lanes_are_idle(const struct peer *peer)
{
    mr_list_each(&peer->lanes, link, next)
    {
        if (!lane_is_idle(mr_container(link, struct lane, link))) {
            return false;
        }
    }
    return true;
}

static void finish_close(struct peer *peer)
{
    sink_close_cb closed = peer->closed;
    void *owner = peer->closed_owner;

    mr_list_each(&peer->lanes, link, next)
    {
        lane_free(mr_container(link, struct lane, link));
    }
    mr_timer_stop(&peer->close_timer);
    mr_task_cancel(&peer->close_task);
    mr_metric_set_free(peer->metrics);
    peer->metrics = NULL;
    mr_tls_context_free(peer->tls);
    peer->tls = NULL;
    closed(owner);
}

static void on_client_closed(void *owner)
{
    struct peer *peer = owner;

    peer->client = NULL;
    mr_task_post(&peer->close_task);
}

static void close_client(struct peer *peer)
{
    if (!peer->is_client_closing) {
        peer->is_client_closing = true;
        client_close(peer->client, on_client_closed, peer);
    }
}

static void answer_homeless(struct peer *peer)
{
    const struct sink_outcome outcome = {.class = SINK_RETRY, .reason = "no memory"};
    struct mr_link *link;

    while ((link = mr_list_pop(&peer->homeless)) != NULL) {
        struct sink_write *write = mr_container(link, struct sink_write, link);
        write->done(write, &outcome);
    }
}

static void on_close_task(struct mr_task *task)
{
    struct peer *peer = task->owner;

    answer_homeless(peer);
    if (!peer->is_closing || !lanes_are_idle(peer)) {
        return;
    }
    if (peer->client != NULL) {
        close_client(peer);
    } else {
        finish_close(peer);
    }
}

static void on_close_timer(struct mr_timer *timer)
{
    close_client(timer->owner); /* all requests end now, and all writes with them */
}

static void peer_close(struct sink *sink, sink_close_cb done, void *owner)
{
    struct peer *peer = (struct peer *)sink;

    peer->is_closing = true;
    peer->closed = done;
    peer->closed_owner = owner;
    if (mr_timer_start(&peer->close_timer, CLOSE_MS) != 0) {
        close_client(peer);
    }
    mr_list_each(&peer->lanes, link, next)
    {
        lane_step(mr_container(link, struct lane, link));
    }
    mr_task_post(&peer->close_task);
}

const struct sink_type sink_type_peer = {
    .name = "peer",
    .help =
        "Forwards topics to hubs (other millrace nodes) exactly once, batches as they lie on disk.",
    .options = peer_options,
    .options_size_bytes = sizeof(struct peer_options),
    .size_bytes = sizeof(struct peer),
    .wants = SINK_WANTS_RANGES,
    .in_flight_max = PEER_IN_FLIGHT_MAX,
    .wants_synced = true,
    .open = peer_open,
    .write = peer_write,
    .close = peer_close,
    .status = peer_status,
};
