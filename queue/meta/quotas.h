/* Client quotas with Kafka's semantics (KIP-546): an entity (a user, a client id, both, or an
 * address; each by name or as the default of its kind) has rates. What is enforced for somebody is
 * decided rate by rate: the most precise entity that has the rate counts.
 *
 * Only what is configured is here; the broker counts what is used (queue/broker/quota.h). */
#ifndef QUEUE_META_QUOTAS_H
#define QUEUE_META_QUOTAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/wire/types.h"

enum quota_type { QUOTA_USER, QUOTA_CLIENT_ID, QUOTA_IP, QUOTA_TYPE_COUNT };
enum quota_kind { QUOTA_ABSENT, QUOTA_DEFAULT, QUOTA_NAMED };
enum quota_rate {
    QUOTA_PRODUCER_BYTE_RATE,
    QUOTA_CONSUMER_BYTE_RATE,
    QUOTA_REQUEST_PERCENTAGE,
    QUOTA_CONTROLLER_MUTATION_RATE,
    QUOTA_CONNECTION_CREATION_RATE,
    QUOTA_RATE_COUNT
};

enum {
    QUOTA_NAME_SIZE_MAX = 1024, /* of a user, a client id */
    QUOTA_ENTITIES_MAX = 100000,
    QUOTA_HOST_SIZE = 46, /* an address as text */
};

struct quota_entity {
    uint8_t kinds[QUOTA_TYPE_COUNT];            /* enum quota_kind */
    struct wire_string names[QUOTA_TYPE_COUNT]; /* of those that are NAMED; borrowed */
};

struct quota {
    char *key; /* the entity, packed; its names point into it */
    size_t key_size;
    struct quota_entity entity;
    double rates[QUOTA_RATE_COUNT]; /* 0: not set */
};

struct quota_set {
    struct quota **items; /* sorted by key */
    size_t count;
    size_t capacity;
    size_t rate_counts[QUOTA_RATE_COUNT]; /* how many entities have it; 0: nothing to enforce */
    uint64_t generation;                  /* another one after each change; never 0 */
};

/* What is to be changed of one entity. */
struct quota_change {
    struct quota_entity entity;
    bool is_named[QUOTA_RATE_COUNT];
    double rates[QUOTA_RATE_COUNT]; /* 0: it goes */
};

void quota_set_init(struct quota_set *set);
void quota_set_done(struct quota_set *set);
/* rate 0 removes it; an entity without rates goes. 0 or MR_ENOMEM. The entity was checked. */
int quota_set_put(struct quota_set *set, const struct quota_entity *entity, enum quota_rate rate,
                  double value);
const struct quota *quota_set_find(const struct quota_set *set, const struct quota_entity *entity);

/* Kafka's words: "user", "producer_byte_rate". -1: none of ours. */
const char *quota_type_name(enum quota_type type);
const char *quota_rate_name(enum quota_rate rate);
int quota_type_find(struct wire_string name);
int quota_rate_find(struct wire_string name);
/* NULL, or why this cannot have quotas (a literal). Addresses are brought to the one form in which
 * connections are known, in `host`. */
const char *quota_entity_check(struct quota_entity *entity, char host[QUOTA_HOST_SIZE]);
/* NULL, or why the entity cannot have this (a literal). */
const char *quota_rate_check(const struct quota_entity *entity, enum quota_rate rate, double value);

/* A literal address as connections are known by: IPv4 in IPv6 as IPv4, IPv6 in its shortest form.
 * false: it is none. */
bool quota_host_normalise(struct wire_string text, char host[QUOTA_HOST_SIZE]);

/* Whose usage is added up: of the user, of the client id, of both. */
enum { QUOTA_PER_USER = 1, QUOTA_PER_CLIENT = 2 };
/* The rate that counts for this user and client id, 0: none; *ret_scope says what it is counted
 * by. The order is Kafka's: user and client id, user and any client id, user, any user and client
 * id, any user and any client id, any user, client id, any client id. */
double quota_set_rate(const struct quota_set *set, enum quota_rate rate, struct wire_string user,
                      struct wire_string client_id, int *ret_scope);
/* The connection creation rate of an address (normalised), 0: none. */
double quota_set_host_rate(const struct quota_set *set, struct wire_string host);

#endif
