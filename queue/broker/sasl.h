/* SASL on one connection: which request or token may come next, and who has proved to be whom.
 * SaslHandshake v0 with bare tokens behind it, v1 with SaslAuthenticate (KIP-152), and
 * re-authentication before the session ends (KIP-368). */
#ifndef QUEUE_BROKER_SASL_H
#define QUEUE_BROKER_SASL_H

#include <stdbool.h>
#include <stdint.h>

struct broker;
struct connection;
struct request;
struct sasl;

/* As bits, which a listener offers. */
enum sasl_mechanism {
    SASL_NONE = 0,
    SASL_PLAIN = 1,
    SASL_SCRAM_SHA_256 = 2,
    SASL_SCRAM_SHA_512 = 4,
    SASL_OAUTHBEARER = 8,
    SASL_CLUSTER_KEY = 16, /* SCRAM-SHA-512 with what all nodes know, before there are users */
};

enum {
    SASL_FRAME_SIZE_MAX = 512 * 1024, /* before that: Kafka's sasl.server.max.receive.size */
    SASL_DEADLINE_MS = 30 * 1000,     /* from connecting to being known */
};

/* NULL without memory. mechanisms: what the listener offers, not 0. */
struct sasl *sasl_new(struct connection *connection, unsigned mechanisms, int64_t session_ms);
void sasl_free(struct sasl *sasl); /* NULL is fine */

/* Whether the client has shown who it is, and its session has not ended. Connections of listeners
 * without SASL (sasl NULL) are. */
bool sasl_is_open(const struct sasl *sasl, int64_t now_ms);
/* The next frame is a bare token, without a Kafka header: sasl_take_token answers it. */
bool sasl_expects_token(const struct sasl *sasl);
void sasl_take_token(struct request *request);
/* Whether a request of this API may be handled now. If not, the connection is closed. */
bool sasl_admits(const struct sasl *sasl, int api_key, int64_t now_ms);
/* Closes connections that have not said who they are in time. */
void sasl_check_deadlines(struct broker *broker, int64_t now_ms);

void api_sasl_handshake(struct request *request);
void api_sasl_authenticate(struct request *request);

#endif
