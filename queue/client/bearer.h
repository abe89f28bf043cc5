/* Our own tokens for OAUTHBEARER: from a file, or from a server of identities. */
#ifndef QUEUE_CLIENT_BEARER_H
#define QUEUE_CLIENT_BEARER_H

#include <stdint.h>

#include "queue/client/client.h"

struct bearer;
struct mr_bytes;

/* The words are copied. 0 or MR_ENOMEM. */
int bearer_new(const struct client_oauth *config, struct bearer **ret_bearer);
void bearer_free(struct bearer *bearer); /* NULL is fine */
/* Appends the first message of the mechanism. Blocks: on a worker, and always on the same one. */
int bearer_message(struct bearer *bearer, struct mr_bytes *message, struct mr_error *error);

#endif
