/* Showing who we are, after ApiVersions and before the first request; and again before the session
 * ends (KIP-368), while requests wait and answers of earlier ones still come.
 *
 *   handshake -> PLAIN: one token -> done
 *   handshake -> SCRAM: first message -> (a worker salts the password) -> proof -> the node's own
 *   handshake -> OAUTHBEARER: (a worker gets a token) -> token -> done, or a refusal -> 1 byte ->
 * end
 *
 * What is refused ends the connection with MR_EAUTH and the node's words. */
#include <stdio.h>
#include <string.h>

#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/core/secret.h"
#include "base/core/workers.h"
#include "base/net/scram.h"
#include "queue/client/bearer.h"
#include "queue/client/client_internal.h"
#include "queue/wire/kafka_error.h"
#include "queue/wire/security.h"

enum { TOKEN_SIZE = 2048, RENEW_PERCENT = 85 };

/* The copy of what the caller gave. */
struct sasl_config {
    enum client_sasl_mechanism mechanism;
    char *user;
    struct mr_secret *password;
    struct bearer *bearer; /* its worker's, while that has work */
    struct mr_workers *workers;
};

/* One conversation. */
struct sasl_talk {
    struct node *node; /* NULL: the connection is gone */
    struct mr_work work;
    struct mr_scram_client scram;
    bool is_proved; /* the proof was sent */
    bool is_working;
    struct mr_secret_text *password; /* as it is now */
    struct bearer *bearer;           /* the client's, which outlives its workers' work */
    struct mr_bytes message;         /* OAUTHBEARER: the first */
    struct mr_error error;
    int rc;
    char challenge[TOKEN_SIZE];
    size_t challenge_size;
    char token[TOKEN_SIZE];
    ssize_t token_size;
    struct sasl_handshake_request handshake;
    struct sasl_authenticate_request authenticate;
};

static const char *const mechanism_names[] = {
    [CLIENT_SASL_PLAIN] = "PLAIN",
    [CLIENT_SASL_SCRAM_SHA_256] = "SCRAM-SHA-256",
    [CLIENT_SASL_SCRAM_SHA_512] = "SCRAM-SHA-512",
    [CLIENT_SASL_OAUTHBEARER] = "OAUTHBEARER",
    [CLIENT_SASL_CLUSTER_KEY] = "CLUSTER-KEY",
};

static int copy_credentials(struct sasl_config *made, const struct client_config *config)
{
    if (config->sasl_mechanism == CLIENT_SASL_OAUTHBEARER) {
        return bearer_new(&config->sasl_oauth, &made->bearer);
    }
    mr_assert(config->sasl_user != NULL && config->sasl_password != NULL);
    made->user = mr_strdup(config->sasl_user);
    made->password = mr_secret_ref(config->sasl_password);
    return made->user == NULL ? MR_ENOMEM : 0;
}

int sasl_config_new(const struct client_config *config, struct sasl_config **ret_config)
{
    struct sasl_config *made;

    if (config->sasl_mechanism == CLIENT_SASL_NONE) {
        *ret_config = NULL;
        return 0;
    }
    made = mr_calloc(1, sizeof *made);
    if (made == NULL) {
        return MR_ENOMEM;
    }
    made->mechanism = config->sasl_mechanism;
    if (copy_credentials(made, config) != 0 ||
        mr_workers_new(config->loop, "sasl", 1, &made->workers) != 0) {
        sasl_config_free(made);
        return MR_ENOMEM;
    }
    *ret_config = made;
    return 0;
}

void sasl_config_free(struct sasl_config *config)
{
    if (config == NULL) {
        return;
    }
    mr_workers_free(config->workers); /* ends the work that conversations have left behind */
    mr_secret_unref(config->password);
    bearer_free(config->bearer);
    mr_free(config->user);
    mr_free(config);
}

static void talk_free(struct sasl_talk *talk)
{
    if (talk->message.data != NULL) {
        mr_scram_wipe(talk->message.data, talk->message.size_bytes);
    }
    mr_bytes_done(&talk->message);
    mr_secret_drop(talk->password);
    mr_scram_wipe(talk, sizeof *talk);
    mr_free(talk);
}

void sasl_end(struct node *node)
{
    struct sasl_talk *talk = node->talk;

    mr_timer_stop(&node->renew_timer);
    node->talk = NULL;
    if (talk == NULL) {
        return;
    }
    talk->node = NULL;
    if (!talk->is_working) {
        talk_free(talk);
    }
}

/* Ends the connection: now, or, while an answer is being read, behind that. */
static int refuse(struct node *node, int rc, const char *format, struct wire_string words)
{
    (void)snprintf(node->hello_reason, sizeof node->hello_reason, format,
                   words.size > 0 ? words.size : 0, words.size > 0 ? words.data : "");
    return rc;
}

/* ---- tokens ---- */

static void on_authenticate(struct client_request *request, int rc, const void *response);

static int send_bytes(struct node *node, const void *data, size_t size)
{
    struct sasl_talk *talk = node->talk;
    int max = node->versions[WIRE_API_SASL_AUTHENTICATE].max;
    int ours = sasl_authenticate_request_message.version_max;

    talk->authenticate.auth_bytes.data = data;
    talk->authenticate.auth_bytes.size = (int32_t)size;
    return node_ask(node, WIRE_API_SASL_AUTHENTICATE, &talk->authenticate, max < ours ? max : ours,
                    on_authenticate);
}

static int send_token(struct node *node)
{
    return send_bytes(node, node->talk->token, (size_t)node->talk->token_size);
}

static void first_token(struct sasl_talk *talk, const struct sasl_config *config,
                        struct mr_random *random)
{
    char nonce[MR_SCRAM_NONCE_SIZE];

    if (config->mechanism == CLIENT_SASL_PLAIN) {
        struct mr_secret_text *password = mr_secret_take(config->password);
        int size = snprintf(talk->token, sizeof talk->token, "%c%s%c%s", 0, config->user, 0,
                            mr_secret_chars(password));
        talk->token_size = size < (int)sizeof talk->token ? size : MR_ETOOLARGE;
        mr_secret_drop(password);
        return;
    }
    mr_scram_nonce(random, nonce);
    talk->token_size = mr_scram_client_begin(
        &talk->scram,
        config->mechanism == CLIENT_SASL_SCRAM_SHA_256 ? MR_SCRAM_SHA_256 : MR_SCRAM_SHA_512,
        config->user, nonce, talk->token, sizeof talk->token);
}

static void salt(struct mr_work *work)
{
    struct sasl_talk *talk = work->owner;

    talk->token_size =
        mr_scram_client_answer(&talk->scram, mr_secret_chars(talk->password), talk->challenge,
                               talk->challenge_size, talk->token, sizeof talk->token);
}

static void on_salted(struct mr_work *work)
{
    struct sasl_talk *talk = work->owner;
    struct node *node = talk->node;
    int rc;

    talk->is_working = false;
    if (node == NULL) {
        talk_free(talk);
        return;
    }
    talk->is_proved = true;
    rc = talk->token_size < 0 ? MR_EAUTH : send_token(node);
    if (rc != 0) {
        node_break(node, rc,
                   talk->token_size < 0 ? "its SCRAM challenge is not acceptable"
                                        : mr_code_text(rc));
    }
}

static int take_challenge(struct node *node, const struct wire_bytes *token)
{
    struct sasl_talk *talk = node->talk;

    if (token->size <= 0 || token->size > TOKEN_SIZE) {
        return refuse(node, MR_EAUTH, "its SCRAM challenge is not acceptable%.*s", wire_text(""));
    }
    memcpy(talk->challenge, token->data, (size_t)token->size);
    talk->challenge_size = (size_t)token->size;
    talk->work = (struct mr_work){.run = salt, .done = on_salted, .owner = talk};
    mr_secret_drop(talk->password);
    talk->password = mr_secret_take(node->client->sasl->password);
    talk->is_working = mr_workers_submit(node->client->sasl->workers, &talk->work) == 0;
    return talk->is_working ? 0 : MR_ENOMEM;
}

/* ---- OAUTHBEARER ---- */

static void get_token(struct mr_work *work)
{
    struct sasl_talk *talk = work->owner;

    talk->rc = bearer_message(talk->bearer, &talk->message, &talk->error);
}

static void on_token(struct mr_work *work)
{
    struct sasl_talk *talk = work->owner;
    struct node *node = talk->node;
    int rc = talk->rc;

    talk->is_working = false;
    if (node == NULL) {
        talk_free(talk);
        return;
    }
    if (rc != 0) {
        node_break(node, MR_EAUTH, talk->error.text);
        return;
    }
    rc = send_bytes(node, talk->message.data, talk->message.size_bytes);
    if (rc != 0) {
        node_break(node, rc, mr_code_text(rc));
    }
}

static int fetch_token(struct node *node)
{
    struct sasl_talk *talk = node->talk;

    talk->work = (struct mr_work){.run = get_token, .done = on_token, .owner = talk};
    talk->bearer = node->client->sasl->bearer;
    talk->is_working = mr_workers_submit(node->client->sasl->workers, &talk->work) == 0;
    return talk->is_working ? 0 : MR_ENOMEM;
}

/* A refusal comes as an answer, which wants one byte back (RFC 7628, 3.2.3); then comes the error.
 */
static int take_refusal(struct node *node)
{
    static const uint8_t byte = 1;

    if (node->talk->is_proved) {
        return refuse(node, MR_EAUTH, "it does not take our token%.*s", wire_text(""));
    }
    node->talk->is_proved = true;
    return send_bytes(node, &byte, 1);
}

/* ---- the steps ---- */

static void on_renew(struct mr_timer *timer)
{
    struct node *node = timer->owner;
    int rc;

    mr_state_move(&node->machine, NODE_NEGOTIATING, NULL);
    rc = sasl_begin(node);
    if (rc != 0) {
        node_break(node, rc, mr_code_text(rc));
    }
}

void sasl_init(struct node *node)
{
    mr_timer_init(&node->renew_timer, node->client->config.loop, on_renew, node);
}

static int finish(struct node *node, int64_t lifetime_ms)
{
    sasl_end(node);
    node_authenticated(node);
    if (lifetime_ms > 0) {
        return mr_timer_start(&node->renew_timer, lifetime_ms * RENEW_PERCENT / 100);
    }
    return 0;
}

static int take_answer(struct node *node, const struct sasl_authenticate_response *answer)
{
    struct sasl_talk *talk = node->talk;
    bool is_oauth = node->client->sasl->mechanism == CLIENT_SASL_OAUTHBEARER;
    bool is_scram = !is_oauth && node->client->sasl->mechanism != CLIENT_SASL_PLAIN;

    if (answer->error_code != 0) {
        return refuse(node, MR_EAUTH, "it does not let us in: %.*s",
                      answer->error_message.size > 0
                          ? answer->error_message
                          : wire_text(kafka_error_name(answer->error_code)));
    }
    if (is_oauth && (answer->auth_bytes.size > 0 || talk->is_proved)) {
        return take_refusal(node);
    }
    if (is_scram && !talk->is_proved) {
        return take_challenge(node, &answer->auth_bytes);
    }
    if (is_scram && mr_scram_client_finish(
                        &talk->scram, answer->auth_bytes.data,
                        answer->auth_bytes.size > 0 ? (size_t)answer->auth_bytes.size : 0) != 0) {
        return refuse(node, MR_EAUTH, "it does not know our password: not the right node%.*s",
                      wire_text(""));
    }
    return finish(node, answer->session_lifetime_ms);
}

static void on_authenticate(struct client_request *request, int rc, const void *response)
{
    struct node *node = request->owner;

    mr_assert(rc == 0);
    node->hello_rc = take_answer(node, response);
}

static void on_handshake(struct client_request *request, int rc, const void *response)
{
    struct node *node = request->owner;
    const struct sasl_handshake_response *answer = response;

    mr_assert(rc == 0);
    if (answer->error_code != 0) {
        node->hello_rc = refuse(node, MR_EAUTH, "it does not take our SASL mechanism: %.*s",
                                wire_text(kafka_error_name(answer->error_code)));
        return;
    }
    if (node->client->sasl->mechanism == CLIENT_SASL_OAUTHBEARER) {
        node->hello_rc = fetch_token(node);
        return;
    }
    first_token(node->talk, node->client->sasl, mr_random_system());
    node->hello_rc = node->talk->token_size < 0 ? (int)node->talk->token_size : send_token(node);
}

int sasl_begin(struct node *node)
{
    const struct sasl_config *config = node->client->sasl;

    if (node->versions[WIRE_API_SASL_HANDSHAKE].max < 1 ||
        node->versions[WIRE_API_SASL_AUTHENTICATE].max < 0) {
        return refuse(node, MR_EAUTH, "it does not speak SASL%.*s", wire_text(""));
    }
    sasl_end(node);
    node->talk = mr_calloc(1, sizeof *node->talk);
    if (node->talk == NULL) {
        return MR_ENOMEM;
    }
    node->talk->node = node;
    node->talk->handshake.mechanism = wire_text(mechanism_names[config->mechanism]);
    return node_ask(node, WIRE_API_SASL_HANDSHAKE, &node->talk->handshake, 1, on_handshake);
}
