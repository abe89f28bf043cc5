/* Inside of SASL: the state of a connection's conversation, and what all mechanisms share. */
#ifndef QUEUE_BROKER_SASL_INTERNAL_H
#define QUEUE_BROKER_SASL_INTERNAL_H

#include "base/core/state.h"
#include "base/core/workers.h"
#include "base/net/scram.h"
#include "queue/broker/auth.h"
#include "queue/broker/broker_internal.h"

enum sasl_state {
    SASL_STATE_START,
    SASL_STATE_BARE,    /* handshake v0: tokens without headers */
    SASL_STATE_WRAPPED, /* handshake v1: tokens in SaslAuthenticate */
    SASL_STATE_CHALLENGED,
    SASL_STATE_CHECKING,
    SASL_STATE_OPEN,
    SASL_STATE_FAILED,
};

struct sasl {
    struct mr_link link; /* of broker->strangers, until OPEN */
    struct connection *connection;
    struct mr_machine machine;
    unsigned offered;
    enum sasl_mechanism mechanism;
    bool is_bare;
    bool is_again;
    bool is_real; /* the user exists */
    int64_t deadline_ms;
    int64_t session_ms;         /* 0: for ever */
    int64_t lifetime_ms;        /* of the session that has begun; 0: for ever */
    int64_t session_ends_at_ms; /* once OPEN; 0: never */
    struct mr_scram_server *scram;
};

/* One attempt that takes time: a password check by a worker, or the wait before a bad answer. Lives
 * in the request's memory. */
struct attempt {
    struct mr_work work;
    struct mr_timer timer;
    struct request *request;
    void (*delayed)(struct request *request); /* after the wait */
    struct mr_scram_credential credential;
    bool is_real;
    bool is_right;
    char user[MR_SCRAM_USER_SIZE_MAX + 1];
    char *password; /* in the request's frame; wiped after use */
    size_t password_size;
};

/* What a failure is counted and logged as. */
struct sasl_failure {
    enum auth_failure kind;
    const char *user; /* "": it did not come so far */
    const char *why;
};

static inline enum sasl_state sasl_state(const struct sasl *sasl)
{
    return (enum sasl_state)sasl->machine.state;
}

void sasl_move(struct sasl *sasl, enum sasl_state state);
/* Answers a SaslAuthenticate, or sends a bare token. */
void sasl_respond(struct request *request, int16_t error, const char *message, const char *token,
                  size_t token_size);
/* The user is known. lifetime_ms: of what it has shown; 0: for ever. */
void sasl_succeed(struct request *request, const char *user, int64_t lifetime_ms, const char *token,
                  size_t token_size);
/* Counts and logs it, and after the wait says Kafka's words and closes the connection. attempt: in
 * the request's memory; NULL makes one. */
void sasl_fail(struct request *request, struct attempt *attempt, struct sasl_failure failure);
/* The same with another end than Kafka's words; the state stays what it is. */
void sasl_fail_then(struct request *request, struct attempt *attempt, struct sasl_failure failure,
                    void (*delayed)(struct request *request));

/* ---- sasl_oauth.c ---- */

void sasl_take_oauth(struct request *request, const uint8_t *token, size_t size);

#endif
