/* OAUTHBEARER (RFC 7628, KIP-255): a token instead of a password.
 *
 * 1. A good one: an empty answer, and a session that ends when the token does (KIP-368).
 * 2. A bad one: the answer, after the wait, is {"status":"invalid_token"} without an error; the
 *    client answers one byte, which is answered with error 58 and the same words, as Kafka does.
 * 3. Signed by a key that is not known: the keys are read again, if that was not done a moment ago,
 *    and the token is looked at once more; so a change of keys fails nobody.
 * 4. What is no message of the mechanism at all fails like a wrong password.
 * Signatures are checked by a worker, with keys that do not change under it. */
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/net/jwk.h"
#include "base/net/jwks.h"
#include "base/net/oauthbearer.h"
#include "queue/broker/oauth.h"
#include "queue/broker/sasl_internal.h"

static const char refusal[] = "{\"status\":\"invalid_token\"}";

/* In the request's memory. */
struct bearer {
    struct attempt attempt; /* first: the wait before a bad answer */
    struct mr_work work;
    struct mr_jwks_wait wait;
    struct request *request;
    struct oauth *oauth;
    struct mr_jwk_set *keys; /* a reference, while a worker looks */
    struct mr_oauthbearer message;
    struct mr_jwt jwt;
    const char *reason;
    int64_t now_ms;
    int rc;
    bool has_refreshed;
};

/* ---- the end ---- */

static void end_refused(struct request *request)
{
    struct connection *connection = request->connection;

    sasl_move(connection->sasl, SASL_STATE_FAILED);
    connection_end_after_answers(connection);
    sasl_respond(request, KAFKA_SASL_AUTHENTICATION_FAILED, refusal, "", 0);
}

static void tell_refusal(struct request *request)
{
    sasl_move(request->connection->sasl, SASL_STATE_CHALLENGED);
    sasl_respond(request, KAFKA_NONE, NULL, refusal, sizeof refusal - 1);
}

/* The frame is ours. */
static void wipe_token(const struct bearer *bearer)
{
    mr_scram_wipe((char *)(uintptr_t)bearer->message.token, bearer->message.token_size);
}

static void refuse(struct bearer *bearer, enum auth_failure kind)
{
    wipe_token(bearer);
    sasl_fail_then(bearer->request, &bearer->attempt,
                   (struct sasl_failure){kind, bearer->jwt.subject, bearer->reason}, tell_refusal);
}

static void accept(struct bearer *bearer)
{
    struct request *request = bearer->request;
    /* Within the skew a token may have ended already, and has what is left of that. */
    int64_t left_ms = bearer->jwt.expires_at_ms - bearer->now_ms;

    wipe_token(bearer);
    if (left_ms <= 0) {
        left_ms += oauth_policy(bearer->oauth)->skew_ms;
    }
    if (bearer->message.name[0] != '\0' && strcmp(bearer->message.name, bearer->jwt.subject) != 0) {
        sasl_fail(request, &bearer->attempt,
                  (struct sasl_failure){AUTH_FAILED_PRINCIPAL, bearer->jwt.subject,
                                        "the token is not that of who it is used for"});
        return;
    }
    sasl_succeed(request, bearer->jwt.subject, left_ms > 0 ? left_ms : 1, "", 0);
}

/* ---- the check ---- */

static void look(struct bearer *bearer);

static void on_keys(struct mr_jwks_wait *wait)
{
    struct bearer *bearer = wait->owner;

    bearer->request->cancel = NULL;
    look(bearer);
}

static void cancel_wait(struct request *request)
{
    struct bearer *bearer = request->handler;

    mr_jwks_leave(&bearer->wait);
    request_end(request);
}

/* Whether new keys are being waited for. */
static bool wait_for_keys(struct bearer *bearer)
{
    if (bearer->has_refreshed) {
        return false;
    }
    bearer->has_refreshed = true;
    bearer->wait = (struct mr_jwks_wait){.cb = on_keys, .owner = bearer};
    if (!mr_jwks_refresh(oauth_jwks(bearer->oauth), &bearer->wait)) {
        return false;
    }
    bearer->request->cancel = cancel_wait;
    return true;
}

static void check(struct mr_work *work)
{
    struct bearer *bearer = work->owner;

    bearer->rc =
        mr_jwt_check(bearer->keys, oauth_policy(bearer->oauth), bearer->message.token,
                     bearer->message.token_size, bearer->now_ms, &bearer->jwt, &bearer->reason);
}

static void on_checked(struct mr_work *work)
{
    struct bearer *bearer = work->owner;
    struct request *request = bearer->request;

    mr_jwk_set_unref(bearer->keys);
    bearer->keys = NULL;
    if (request->connection == NULL) {
        request_end(request);
    } else if (bearer->rc == 0) {
        accept(bearer);
    } else if (bearer->rc != MR_ENOENT || !wait_for_keys(bearer)) {
        refuse(bearer, AUTH_FAILED_TOKEN);
    }
}

static void look(struct bearer *bearer)
{
    struct request *request = bearer->request;
    struct mr_jwk_set *keys = mr_jwks_keys(oauth_jwks(bearer->oauth));

    if (keys == NULL) {
        if (!wait_for_keys(bearer)) {
            bearer->reason = "no keys for tokens could be read so far";
            refuse(bearer, AUTH_FAILED_BUSY);
        }
        return;
    }
    bearer->keys = mr_jwk_set_ref(keys);
    bearer->now_ms = mr_loop_wall_ms(request->broker->loop);
    bearer->work = (struct mr_work){.run = check, .done = on_checked, .owner = bearer};
    if (mr_workers_submit(request->broker->auth_workers, &bearer->work) != 0) {
        mr_jwk_set_unref(keys);
        bearer->reason = "no thread for the check";
        refuse(bearer, AUTH_FAILED_BUSY);
    }
}

void sasl_take_oauth(struct request *request, const uint8_t *token, size_t size)
{
    struct sasl *sasl = request->connection->sasl;
    struct bearer *bearer;

    if (sasl_state(sasl) == SASL_STATE_CHALLENGED) {
        end_refused(request); /* it should be the byte 1; whatever it is, this is the end */
        return;
    }
    bearer = request_alloc(request, sizeof *bearer);
    if (bearer == NULL) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    bearer->request = request;
    bearer->oauth = auth_oauth(request->broker->auth);
    request->handler = bearer;
    if (mr_oauthbearer_parse(token, size, &bearer->message) != 0) {
        sasl_fail(request, &bearer->attempt,
                  (struct sasl_failure){AUTH_FAILED_MALFORMED, "", "not an OAUTHBEARER message"});
        return;
    }
    sasl_move(sasl, SASL_STATE_CHECKING);
    look(bearer);
}
