/* The users that the metadata knows, with what is stored of their passwords. */
#ifndef QUEUE_META_USERS_H
#define QUEUE_META_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/map.h"
#include "base/net/scram.h"

enum { USERS_MAX = 100000, USER_MECHANISMS = 2 };

struct user {
    char *name;
    bool has[USER_MECHANISMS]; /* SHA-256, SHA-512 */
    struct mr_scram_credential credentials[USER_MECHANISMS];
};

struct users {
    struct mr_map by_name;
    /* From which strangers' salts are made (mr_scram_fake): drawn with the first user, and stored,
     * so that a restart does not show who is made up. */
    bool has_secret;
    uint8_t secret[MR_SCRAM_SECRET_SIZE];
};

void users_init(struct users *users);
void users_done(struct users *users);
struct user *users_find(const struct users *users, const char *name, size_t name_size);
/* NULL: no such user, or not with this mechanism. */
const struct mr_scram_credential *users_credential(const struct users *users, const char *name,
                                                   size_t name_size,
                                                   enum mr_scram_mechanism mechanism);
/* The user's, or a made-up one; whether it is real. */
bool users_challenge(const struct users *users, const char *name, size_t name_size,
                     enum mr_scram_mechanism mechanism, struct mr_scram_credential *ret_credential);
/* 0 or MR_ENOMEM. */
int users_set(struct users *users, const char *name, size_t name_size,
              const struct mr_scram_credential *credential);
/* Whether it was there; a user without credentials is none. */
bool users_remove(struct users *users, const char *name, size_t name_size,
                  enum mr_scram_mechanism mechanism);
const struct user *users_next(const struct users *users, size_t *cursor);

#endif
