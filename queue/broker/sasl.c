#include "queue/broker/sasl.h"

#include <stdio.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/broker/sasl_internal.h"
#include "queue/wire/security.h"

/* Happy path with SCRAM: START -handshake-> WRAPPED -first message-> CHALLENGED -proof-> OPEN. With
 * PLAIN there is one token, which a worker checks (CHECKING).
 * 1. Another request than the next one: the connection is closed, as Kafka does.
 * 2. An unknown mechanism: error 33 with those that there are, then closed.
 * 3. Wrong proof or password, a stranger: the answer waits (auth_failure_delay_ms), then closed. A
 *    stranger is challenged like everybody else and fails where a wrong password does.
 * 4. The connection goes meanwhile: a worker's check is finished, nobody is told.
 * Answered requests come one after the other (connection_may_start), so a state is never overtaken.
 *
 * 5. A token that is not good (OAUTHBEARER): the client is told why, answers one byte, and then it
 * is closed (RFC 7628, 3.2.3): sasl_oauth.c.
 *
 *   START -> BARE | WRAPPED -> CHALLENGED -> OPEN         BARE, WRAPPED -> CHECKING -> OPEN
 *   CHECKING -> CHALLENGED (a refusal to be seen)          OPEN -> WRAPPED (once more, KIP-368)
 *   any -> FAILED */
static const char *const sasl_state_names[] = {"start",    "bare", "wrapped", "challenged",
                                               "checking", "open", "failed"};

static const uint32_t sasl_moves[] = {
    [SASL_STATE_START] =
        MR_TO(SASL_STATE_BARE) | MR_TO(SASL_STATE_WRAPPED) | MR_TO(SASL_STATE_FAILED),
    [SASL_STATE_BARE] =
        MR_TO(SASL_STATE_CHALLENGED) | MR_TO(SASL_STATE_CHECKING) | MR_TO(SASL_STATE_FAILED),
    [SASL_STATE_WRAPPED] =
        MR_TO(SASL_STATE_CHALLENGED) | MR_TO(SASL_STATE_CHECKING) | MR_TO(SASL_STATE_FAILED),
    [SASL_STATE_CHALLENGED] = MR_TO(SASL_STATE_OPEN) | MR_TO(SASL_STATE_FAILED),
    [SASL_STATE_CHECKING] =
        MR_TO(SASL_STATE_OPEN) | MR_TO(SASL_STATE_CHALLENGED) | MR_TO(SASL_STATE_FAILED),
    [SASL_STATE_OPEN] = MR_TO(SASL_STATE_WRAPPED) | MR_TO(SASL_STATE_FAILED),
    [SASL_STATE_FAILED] = 0,
};

static const struct mr_state_table sasl_table = {"sasl", sasl_state_names, sasl_moves,
                                                 SASL_STATE_FAILED + 1};

static const struct {
    enum sasl_mechanism bit;
    const char *name;
} mechanism_names[] = {
    {SASL_PLAIN, "PLAIN"},
    {SASL_SCRAM_SHA_256, "SCRAM-SHA-256"},
    {SASL_SCRAM_SHA_512, "SCRAM-SHA-512"},
    {SASL_OAUTHBEARER, "OAUTHBEARER"},
    {SASL_CLUSTER_KEY, "CLUSTER-KEY"},
};

enum { MECHANISM_COUNT = sizeof mechanism_names / sizeof mechanism_names[0] };

struct sasl *sasl_new(struct connection *connection, unsigned mechanisms, int64_t session_ms)
{
    struct sasl *sasl = mr_calloc(1, sizeof *sasl);

    if (sasl == NULL) {
        return NULL;
    }
    sasl->connection = connection;
    sasl->offered = mechanisms;
    sasl->session_ms = session_ms;
    sasl->deadline_ms = mr_loop_now_ms(connection->broker->loop) + SASL_DEADLINE_MS;
    mr_machine_init(&sasl->machine, &sasl_table, SASL_STATE_START);
    mr_list_append(&connection->broker->strangers, &sasl->link);
    return sasl;
}

static void drop_scram(struct sasl *sasl)
{
    if (sasl->scram != NULL) {
        mr_scram_wipe(sasl->scram, sizeof *sasl->scram);
        mr_free(sasl->scram);
        sasl->scram = NULL;
    }
}

void sasl_free(struct sasl *sasl)
{
    if (sasl != NULL) {
        mr_list_remove(&sasl->link);
        drop_scram(sasl);
        mr_free(sasl);
    }
}

/* ---- what may come ---- */

bool sasl_is_open(const struct sasl *sasl, int64_t now_ms)
{
    return sasl == NULL || (sasl_state(sasl) == SASL_STATE_OPEN &&
                            (sasl->session_ends_at_ms == 0 || now_ms < sasl->session_ends_at_ms));
}

bool sasl_expects_token(const struct sasl *sasl)
{
    return sasl != NULL && sasl->is_bare &&
           (sasl_state(sasl) == SASL_STATE_BARE || sasl_state(sasl) == SASL_STATE_CHALLENGED);
}

bool sasl_admits(const struct sasl *sasl, int api_key, int64_t now_ms)
{
    if (sasl == NULL) {
        return true;
    }
    switch (sasl_state(sasl)) {
    case SASL_STATE_START:
        return api_key == WIRE_API_API_VERSIONS || api_key == WIRE_API_SASL_HANDSHAKE;
    case SASL_STATE_WRAPPED:
    case SASL_STATE_CHALLENGED:
        return api_key == WIRE_API_SASL_AUTHENTICATE;
    case SASL_STATE_OPEN:
        return sasl_is_open(sasl, now_ms) || api_key == WIRE_API_SASL_HANDSHAKE ||
               api_key == WIRE_API_API_VERSIONS;
    case SASL_STATE_BARE:
    case SASL_STATE_CHECKING:
    case SASL_STATE_FAILED:
        break;
    }
    return false;
}

static const char *name_of(enum sasl_mechanism mechanism)
{
    for (size_t i = 0; i < MECHANISM_COUNT; i++) {
        if (mechanism_names[i].bit == mechanism) {
            return mechanism_names[i].name;
        }
    }
    return "?";
}

static void note_failure(const struct connection *connection, struct sasl_failure failure)
{
    auth_note_failure(connection, failure.kind, failure.user, name_of(connection->sasl->mechanism),
                      failure.why);
}

void sasl_check_deadlines(struct broker *broker, int64_t now_ms)
{
    while (!mr_list_is_empty(&broker->strangers)) {
        struct sasl *sasl = mr_container(broker->strangers.next, struct sasl, link);
        if (now_ms < sasl->deadline_ms) {
            return; /* the list is in order of arrival */
        }
        note_failure(sasl->connection,
                     (struct sasl_failure){AUTH_FAILED_LATE, "", "not authenticated in time"});
        connection_close(sasl->connection, NULL);
    }
}

/* ---- handshake ---- */

void sasl_move(struct sasl *sasl, enum sasl_state state)
{
    mr_state_move(&sasl->machine, (int)state, mr_stream_peer(sasl->connection->stream));
}

/* 0: not offered. */
static enum sasl_mechanism find_mechanism(struct wire_string name, unsigned offered)
{
    for (size_t i = 0; i < MECHANISM_COUNT; i++) {
        if ((offered & mechanism_names[i].bit) != 0 &&
            wire_string_is(name, mechanism_names[i].name)) {
            return mechanism_names[i].bit;
        }
    }
    return SASL_NONE;
}

static int list_mechanisms(struct request *request, unsigned offered,
                           struct wire_string_array *names)
{
    int rc = wire_string_array_make(&request->arena, names, MECHANISM_COUNT);
    int32_t count = 0;

    for (size_t i = 0; rc == 0 && i < MECHANISM_COUNT; i++) {
        if ((offered & mechanism_names[i].bit) != 0) {
            names->items[count++] = wire_text(mechanism_names[i].name);
        }
    }
    if (rc == 0) {
        names->count = count;
    }
    return rc;
}

/* Kafka's 34, for one who asks where nobody has to, or begins again by the old way. */
static bool may_shake(const struct sasl *sasl, int version)
{
    return sasl != NULL && (sasl_state(sasl) == SASL_STATE_START ||
                            (sasl_state(sasl) == SASL_STATE_OPEN && version >= 1));
}

/* Takes the mechanism, or says why not. A session is renewed by the mechanism it began with. */
static int16_t choose(struct sasl *sasl, const struct request *request, struct wire_string name)
{
    enum sasl_mechanism mechanism;

    if (!may_shake(sasl, request->head.api_version)) {
        return KAFKA_ILLEGAL_SASL_STATE;
    }
    mechanism = find_mechanism(name, sasl->offered);
    sasl->is_again = sasl_state(sasl) == SASL_STATE_OPEN;
    if (mechanism == SASL_NONE || (sasl->is_again && mechanism != sasl->mechanism)) {
        sasl_move(sasl, SASL_STATE_FAILED);
        return mechanism == SASL_NONE ? KAFKA_UNSUPPORTED_SASL_MECHANISM : KAFKA_ILLEGAL_SASL_STATE;
    }
    sasl->mechanism = mechanism;
    sasl->is_bare = request->head.api_version == 0;
    sasl_move(sasl, sasl->is_bare ? SASL_STATE_BARE : SASL_STATE_WRAPPED);
    return KAFKA_NONE;
}

void api_sasl_handshake(struct request *request)
{
    const struct sasl_handshake_request *body = request->body;
    struct connection *connection = request->connection;
    struct sasl *sasl = connection->sasl;
    struct sasl_handshake_response response;

    sasl_handshake_response_init(&response);
    if (sasl != NULL && list_mechanisms(request, sasl->offered, &response.mechanisms) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    response.error_code = choose(sasl, request, body->mechanism);
    request_count_error(request, response.error_code);
    if (sasl != NULL && sasl_state(sasl) == SASL_STATE_FAILED) {
        note_failure(connection,
                     (struct sasl_failure){AUTH_FAILED_MECHANISM, "", "mechanism is not offered"});
        connection_end_after_answers(connection);
    }
    request_respond(request, &response);
}

/* ---- answers ---- */

void sasl_respond(struct request *request, int16_t error, const char *message, const char *token,
                  size_t token_size)
{
    struct sasl *sasl = request->connection->sasl;
    struct sasl_authenticate_response response;

    if (sasl->is_bare && error != KAFKA_NONE) {
        request_end(request); /* there is no word for it but the end */
        return;
    }
    if (sasl->is_bare) {
        request_respond_token(request, token, token_size);
        return;
    }
    sasl_authenticate_response_init(&response);
    response.error_code = error;
    response.error_message = wire_text(message);
    response.auth_bytes.data = (const uint8_t *)token;
    response.auth_bytes.size = (int32_t)token_size;
    if (sasl_state(sasl) == SASL_STATE_OPEN) {
        response.session_lifetime_ms = sasl->lifetime_ms;
    }
    request_count_error(request, error);
    request_respond(request, &response);
}

static void fail_now(struct request *request)
{
    struct connection *connection = request->connection;
    char message[128];

    /* Kafka's words: whoever asks learns nothing about which part was wrong. */
    (void)snprintf(message, sizeof message,
                   "Authentication failed during authentication due to invalid credentials with "
                   "SASL mechanism %s",
                   name_of(connection->sasl->mechanism));
    connection_end_after_answers(connection);
    sasl_respond(request, KAFKA_SASL_AUTHENTICATION_FAILED, message, "", 0);
}

static void end_delay(struct attempt *attempt)
{
    attempt->request->cancel = NULL;
    attempt->delayed(attempt->request);
}

static void on_delay(struct mr_timer *timer)
{
    end_delay(timer->owner);
}

static void cancel_delay(struct request *request)
{
    struct attempt *attempt = request->handler;

    mr_timer_stop(&attempt->timer);
    request_end(request);
}

void sasl_fail_then(struct request *request, struct attempt *attempt, struct sasl_failure failure,
                    void (*delayed)(struct request *request))
{
    struct connection *connection = request->connection;
    struct broker *broker = request->broker;
    int64_t delay_ms = auth_failure_delay_ms(broker->auth, connection->host, failure.user,
                                             mr_loop_now_ms(broker->loop));

    note_failure(connection, failure);
    if (attempt == NULL) {
        attempt = request_alloc(request, sizeof *attempt);
    }
    if (attempt == NULL) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    attempt->request = request;
    attempt->delayed = delayed;
    request->handler = attempt;
    request->cancel = cancel_delay;
    mr_timer_init(&attempt->timer, broker->loop, on_delay, attempt);
    if (mr_timer_start(&attempt->timer, delay_ms) != 0) {
        end_delay(attempt);
    }
}

/* The bad answer waits, so that guessing takes time. */
void sasl_fail(struct request *request, struct attempt *attempt, struct sasl_failure failure)
{
    sasl_move(request->connection->sasl, SASL_STATE_FAILED);
    sasl_fail_then(request, attempt, failure, fail_now);
}

/* 0 is for ever. */
static int64_t shorter(int64_t one_ms, int64_t other_ms)
{
    return one_ms == 0 || (other_ms != 0 && other_ms < one_ms) ? other_ms : one_ms;
}

void sasl_succeed(struct request *request, const char *user, int64_t lifetime_ms, const char *token,
                  size_t token_size)
{
    struct connection *connection = request->connection;
    struct broker *broker = request->broker;
    struct sasl *sasl = connection->sasl;
    char before[PRINCIPAL_SIZE];

    memcpy(before, connection->principal, sizeof before);
    if (sasl->mechanism == SASL_CLUSTER_KEY) {
        auth_set_node(connection, user);
    } else {
        auth_set_principal(connection, user);
    }
    if (sasl->is_again && strcmp(before, connection->principal) != 0) {
        memcpy(connection->principal, before, sizeof before);
        sasl_fail(
            request, NULL,
            (struct sasl_failure){AUTH_FAILED_PRINCIPAL, user, "the principal must stay the same"});
        return;
    }
    sasl_move(sasl, SASL_STATE_OPEN);
    mr_list_remove(&sasl->link);
    sasl->lifetime_ms = shorter(sasl->session_ms, lifetime_ms);
    sasl->session_ends_at_ms =
        sasl->lifetime_ms > 0 ? mr_loop_now_ms(broker->loop) + sasl->lifetime_ms : 0;
    broker->metric_set->values[BROKER_AUTHENTICATIONS] += 1;
    mr_debug("authenticated", KV_STR("principal", connection->principal),
             KV_STR("mechanism", name_of(sasl->mechanism)),
             KV_STR("peer", mr_stream_peer(connection->stream)));
    sasl_respond(request, KAFKA_NONE, NULL, token, token_size);
}

static struct sasl_failure malformed(const char *user, const char *why)
{
    return (struct sasl_failure){AUTH_FAILED_MALFORMED, user, why};
}

static struct sasl_failure wrong_password(const char *user, bool is_real)
{
    return is_real ? (struct sasl_failure){AUTH_FAILED_SECRET, user, "wrong password"}
                   : (struct sasl_failure){AUTH_FAILED_UNKNOWN, user,
                                           "no such user or not this mechanism"};
}

/* ---- PLAIN (RFC 4616) ---- */

static void check_password(struct mr_work *work)
{
    struct attempt *attempt = work->owner;

    attempt->is_right =
        mr_scram_is_password(&attempt->credential, attempt->password, attempt->password_size);
}

static void on_checked(struct mr_work *work)
{
    struct attempt *attempt = work->owner;
    struct request *request = attempt->request;
    bool is_right = attempt->is_right && attempt->is_real;

    mr_scram_wipe(attempt->password, attempt->password_size);
    mr_scram_wipe(&attempt->credential, sizeof attempt->credential);
    if (request->connection == NULL) {
        request_end(request);
    } else if (is_right) {
        sasl_succeed(request, attempt->user, 0, "", 0);
    } else {
        sasl_fail(request, attempt, wrong_password(attempt->user, attempt->is_real));
    }
}

/* authzid NUL user NUL password; the first may only be the second. */
static int parse_plain(struct attempt *attempt, const uint8_t *token, size_t size)
{
    const char *text = (const char *)token;
    const char *user = memchr(text, '\0', size);
    const char *password;
    size_t user_size;

    if (user == NULL) {
        return MR_EPROTOCOL;
    }
    user += 1;
    password = memchr(user, '\0', size - (size_t)(user - text));
    if (password == NULL) {
        return MR_EPROTOCOL;
    }
    user_size = (size_t)(password - user);
    password += 1;
    attempt->password_size = size - (size_t)(password - text);
    if (user_size == 0 || user_size > MR_SCRAM_USER_SIZE_MAX || attempt->password_size == 0 ||
        memchr(password, '\0', attempt->password_size) != NULL ||
        (user != text + 1 && strcmp(text, user) != 0)) {
        return MR_EPROTOCOL;
    }
    memcpy(attempt->user, user, user_size);
    attempt->password = (char *)(uintptr_t)password; /* our own frame, to be wiped */
    return 0;
}

static void take_plain(struct request *request, const uint8_t *token, size_t size)
{
    struct broker *broker = request->broker;
    struct sasl *sasl = request->connection->sasl;
    const struct users *users = &meta_image(broker->meta)->users;
    struct attempt *attempt = request_alloc(request, sizeof *attempt);

    if (attempt == NULL) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    attempt->request = request;
    attempt->work = (struct mr_work){.run = check_password, .done = on_checked, .owner = attempt};
    request->handler = attempt;
    if (parse_plain(attempt, token, size) != 0) {
        sasl_fail(request, attempt, malformed("", "not a PLAIN token"));
        return;
    }
    attempt->is_real = users_challenge(users, attempt->user, strlen(attempt->user),
                                       MR_SCRAM_SHA_512, &attempt->credential);
    if (!attempt->is_real &&
        users_credential(users, attempt->user, strlen(attempt->user), MR_SCRAM_SHA_256) != NULL) {
        attempt->is_real = users_challenge(users, attempt->user, strlen(attempt->user),
                                           MR_SCRAM_SHA_256, &attempt->credential);
    }
    sasl_move(sasl, SASL_STATE_CHECKING);
    if (mr_workers_submit(broker->auth_workers, &attempt->work) != 0) {
        sasl_fail(
            request, attempt,
            (struct sasl_failure){AUTH_FAILED_BUSY, attempt->user, "no thread for the check"});
    }
}

/* ---- SCRAM ---- */

/* False: it cannot be anybody's name. */
static bool find_credential(struct request *request, struct mr_scram_credential *ret_credential)
{
    struct broker *broker = request->broker;
    struct sasl *sasl = request->connection->sasl;
    const char *user = sasl->scram->user;

    if (sasl->mechanism == SASL_CLUSTER_KEY) {
        *ret_credential = *auth_node_credential(broker->auth);
        sasl->is_real = true;
        return user[strspn(user, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "._-")] == '\0';
    }
    sasl->is_real =
        users_challenge(&meta_image(broker->meta)->users, user, sasl->scram->user_size,
                        sasl->mechanism == SASL_SCRAM_SHA_512 ? MR_SCRAM_SHA_512 : MR_SCRAM_SHA_256,
                        ret_credential);
    return true;
}

static void take_scram_first(struct request *request, const uint8_t *token, size_t size)
{
    struct broker *broker = request->broker;
    struct sasl *sasl = request->connection->sasl;
    struct mr_scram_credential credential;
    char nonce[MR_SCRAM_NONCE_SIZE];
    char text[2 * MR_SCRAM_MESSAGE_SIZE_MAX];
    ssize_t text_size;

    sasl->scram = mr_calloc(1, sizeof *sasl->scram);
    if (sasl->scram == NULL) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    if (mr_scram_server_begin(sasl->scram, token, size) != 0) {
        sasl_fail(request, NULL, malformed("", "not a first message of SCRAM"));
        return;
    }
    if (!find_credential(request, &credential)) {
        sasl_fail(request, NULL, malformed("", "not the name of a node"));
        return;
    }
    mr_scram_nonce(broker->random, nonce);
    text_size = mr_scram_server_challenge(sasl->scram, &credential, nonce, text, sizeof text);
    mr_scram_wipe(&credential, sizeof credential);
    if (text_size < 0) {
        sasl_fail(request, NULL, malformed(sasl->scram->user, "the client's nonce is too long"));
        return;
    }
    sasl_move(sasl, SASL_STATE_CHALLENGED);
    sasl_respond(request, KAFKA_NONE, NULL, text, (size_t)text_size);
}

static void take_scram_proof(struct request *request, const uint8_t *token, size_t size)
{
    struct sasl *sasl = request->connection->sasl;
    char user[MR_SCRAM_USER_SIZE_MAX + 1];
    char text[256];
    ssize_t text_size = mr_scram_server_finish(sasl->scram, token, size, text, sizeof text);

    memcpy(user, sasl->scram->user, sizeof user);
    drop_scram(sasl);
    if (text_size < 0 || !sasl->is_real) {
        sasl_fail(request, NULL,
                  sasl->is_real && text_size != MR_EAUTH
                      ? malformed(user, "not the proof of this conversation")
                      : wrong_password(user, sasl->is_real));
        return;
    }
    sasl_succeed(request, user, 0, text, (size_t)text_size);
}

/* ---- tokens ---- */

static void take_token(struct request *request, const uint8_t *token, size_t size)
{
    struct sasl *sasl = request->connection->sasl;

    if (sasl->mechanism == SASL_OAUTHBEARER) {
        sasl_take_oauth(request, token, size);
    } else if (sasl_state(sasl) == SASL_STATE_CHALLENGED) {
        take_scram_proof(request, token, size);
    } else if (sasl->mechanism == SASL_PLAIN) {
        take_plain(request, token, size);
    } else {
        take_scram_first(request, token, size);
    }
}

void sasl_take_token(struct request *request)
{
    take_token(request, request->frame->data, request->frame->size_bytes);
}

void api_sasl_authenticate(struct request *request)
{
    const struct sasl_authenticate_request *body = request->body;
    struct sasl *sasl = request->connection->sasl;
    struct sasl_authenticate_response response;

    if (sasl != NULL && sasl_state(sasl) != SASL_STATE_OPEN) {
        take_token(request, body->auth_bytes.data,
                   body->auth_bytes.size > 0 ? (size_t)body->auth_bytes.size : 0);
        return;
    }
    sasl_authenticate_response_init(&response);
    response.error_code = KAFKA_ILLEGAL_SASL_STATE;
    response.error_message = wire_text("SaslAuthenticate request received after successful "
                                       "authentication, or where none is wanted");
    request_count_error(request, response.error_code);
    request_respond(request, &response);
}
