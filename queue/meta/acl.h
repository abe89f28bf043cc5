/* Access control lists with Kafka's semantics: a binding says that a principal, from a host, may
 * (or may not) do an operation with the resources whose name is, or begins with, a text.
 *
 * Deciding: bindings of the resource's name, of "*", and of every prefix of the name are looked at;
 * one deny decides; else one allow; else nothing is allowed. Sorted, so that a decision costs a few
 * binary searches however many bindings there are. */
#ifndef QUEUE_META_ACL_H
#define QUEUE_META_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/wire/types.h"

/* The numbers are Kafka's (KIP-140, KIP-290). */
enum acl_resource {
    ACL_RESOURCE_ANY = 1, /* in filters only; 0 is unknown, everywhere */
    ACL_TOPIC = 2,
    ACL_GROUP = 3,
    ACL_CLUSTER = 4,
    ACL_TRANSACTIONAL_ID = 5,
    ACL_DELEGATION_TOKEN = 6,
    ACL_USER = 7,
    ACL_RESOURCE_END
};

enum acl_pattern {
    ACL_PATTERN_ANY = 1,   /* in filters only */
    ACL_PATTERN_MATCH = 2, /* in filters only: what decides over a resource of this name */
    ACL_LITERAL = 3,
    ACL_PREFIXED = 4,
    ACL_PATTERN_END
};

enum acl_operation {
    ACL_OPERATION_ANY = 1, /* in filters only */
    ACL_ALL = 2,
    ACL_READ = 3,
    ACL_WRITE = 4,
    ACL_CREATE = 5,
    ACL_DELETE = 6,
    ACL_ALTER = 7,
    ACL_DESCRIBE = 8,
    ACL_CLUSTER_ACTION = 9,
    ACL_DESCRIBE_CONFIGS = 10,
    ACL_ALTER_CONFIGS = 11,
    ACL_IDEMPOTENT_WRITE = 12,
    ACL_CREATE_TOKENS = 13,
    ACL_DESCRIBE_TOKENS = 14,
    ACL_TWO_PHASE_COMMIT = 15,
    ACL_OPERATION_END
};

enum acl_permission { ACL_PERMISSION_ANY = 1, ACL_DENY = 2, ACL_ALLOW = 3, ACL_PERMISSION_END };

enum {
    ACL_TEXT_SIZE_MAX = 1024, /* of a name, a principal, a host */
    ACL_COUNT_MAX = 100000,
    ACL_PREFIX_SIZES = 256,
};

/* What is asked for, added, removed; as a filter with nulls and ANYs. The strings are borrowed. */
struct acl_binding {
    int8_t resource;
    int8_t pattern;
    int8_t operation;
    int8_t permission;
    struct wire_string name;
    struct wire_string principal; /* "User:alice", "User:*" */
    struct wire_string host;      /* an address, "*" */
};

struct acl {
    int8_t resource;
    int8_t pattern;
    int8_t operation;
    int8_t permission;
    char *name;
    char *principal;
    char *host;
};

struct acl_set {
    struct acl *items; /* sorted: resource, pattern, name, then the rest */
    size_t count;
    size_t capacity;
    /* The same ones, which share the texts, by resource and principal. */
    struct acl *by_principal;
    size_t by_principal_capacity;
    /* How many prefixed bindings have a name of this size (longer ones share the last place). */
    uint32_t prefix_sizes[ACL_RESOURCE_END][ACL_PREFIX_SIZES];
};

void acl_set_init(struct acl_set *set);
void acl_set_done(struct acl_set *set);
/* 0, MR_EEXIST or MR_ENOMEM. The binding was checked. */
int acl_add(struct acl_set *set, const struct acl_binding *binding);
/* Whether it was there. */
bool acl_remove(struct acl_set *set, const struct acl_binding *binding);
/* NULL, or why this cannot be added (a literal). */
const char *acl_check(const struct acl_binding *binding);
/* NULL, or why this is no filter. */
const char *acl_check_filter(const struct acl_binding *filter);
bool acl_matches(const struct acl *acl, const struct acl_binding *filter);
struct acl_binding acl_as_binding(const struct acl *acl); /* borrows */

enum acl_decision { ACL_SAYS_NOTHING, ACL_SAYS_NO, ACL_SAYS_YES };

/* SAYS_NOTHING: no binding, of whatever principal, is about this resource (Kafka's
 * allow.everyone.if.no.acl.found asks that). */
enum acl_decision acl_decide(const struct acl_set *set, const char *principal, const char *host,
                             enum acl_operation operation, enum acl_resource resource,
                             struct wire_string name);
/* Whether there is any resource of this kind with which the principal may do this (KIP-679). */
bool acl_allows_somewhere(const struct acl_set *set, const char *principal, const char *host,
                          enum acl_operation operation, enum acl_resource resource);

#endif
