/* Which tokens are taken (OAUTHBEARER): the keys and what a token must say. */
#ifndef QUEUE_BROKER_OAUTH_H
#define QUEUE_BROKER_OAUTH_H

#include "base/net/jwt.h"
#include "queue/broker/broker.h"

struct mr_jwks;
struct oauth;

/* The words are copied. Fails if a file with keys cannot be read; a URL is asked later. */
int oauth_new(const struct broker_config *config, struct oauth **ret_oauth, struct mr_error *error);
void oauth_free(struct oauth *oauth); /* NULL is fine */
struct mr_jwks *oauth_jwks(const struct oauth *oauth);
const struct mr_jwt_policy *oauth_policy(const struct oauth *oauth);

#endif
