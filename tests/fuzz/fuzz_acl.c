/* Any bytes as bindings, filters and questions: checks and filters take anything, and the fast
 * decision is that of a plain walk over all bindings. Six bytes make a binding, of short names that
 * meet often. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/error.h"
#include "queue/meta/acl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORD_SIZE = 6, BINDINGS_MAX = 64 };

static const char *const names[] = {"a", "ab", "abc", "b", "*", "", "kafka-cluster", "abcd"};
static const char *const principals[] = {"User:a", "User:b", "User:*", "x"};
static const char *const hosts[] = {"*", "h", "g", ""};

static struct acl_binding binding_of(const uint8_t *bytes)
{
    return (struct acl_binding){.resource = (int8_t)(bytes[0] % 9),
                                .pattern = (int8_t)(bytes[1] % 6),
                                .operation = (int8_t)(bytes[2] % 17),
                                .permission = (int8_t)(bytes[3] % 5),
                                .name = wire_text(bytes[4] & 128 ? NULL : names[bytes[4] & 7]),
                                .principal =
                                    wire_text(bytes[5] & 128 ? NULL : principals[bytes[5] & 3]),
                                .host = wire_text(bytes[5] & 64 ? NULL : hosts[bytes[5] >> 2 & 3])};
}

static bool concerns(const struct acl *acl, const struct acl_binding *asked)
{
    size_t size = strlen(acl->name);
    bool is_name =
        acl->pattern == ACL_PREFIXED
            ? size <= (size_t)asked->name.size && memcmp(acl->name, asked->name.data, size) == 0
            : strcmp(acl->name, "*") == 0 || strcmp(acl->name, asked->name.data) == 0;

    return acl->resource == asked->resource && is_name;
}

static bool covers(const struct acl *acl, int operation)
{
    bool is_allow = acl->permission == ACL_ALLOW;

    return acl->operation == ACL_ALL || acl->operation == operation ||
           (is_allow && operation == ACL_DESCRIBE &&
            (acl->operation == ACL_READ || acl->operation == ACL_WRITE ||
             acl->operation == ACL_DELETE || acl->operation == ACL_ALTER)) ||
           (is_allow && operation == ACL_DESCRIBE_CONFIGS && acl->operation == ACL_ALTER_CONFIGS);
}

static enum acl_decision walk(const struct acl_set *set, const struct acl_binding *asked)
{
    enum acl_decision decision = ACL_SAYS_NOTHING;

    for (size_t i = 0; i < set->count; i++) {
        const struct acl *acl = &set->items[i];
        if (!concerns(acl, asked)) {
            continue;
        }
        if (decision == ACL_SAYS_NOTHING) {
            decision = ACL_SAYS_NO; /* it is mentioned */
        }
        if ((strcmp(acl->principal, asked->principal.data) == 0 ||
             strcmp(acl->principal, "User:*") == 0) &&
            (strcmp(acl->host, "*") == 0 || strcmp(acl->host, asked->host.data) == 0) &&
            covers(acl, asked->operation)) {
            if (acl->permission == ACL_DENY) {
                return ACL_SAYS_NO;
            }
            decision = ACL_SAYS_YES;
        }
    }
    return decision;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct acl_set set;
    size_t count = size / RECORD_SIZE;

    acl_set_init(&set);
    for (size_t i = 0; i < count && i < BINDINGS_MAX; i++) {
        struct acl_binding binding = binding_of(data + i * RECORD_SIZE);
        if (acl_check(&binding) == NULL) {
            (void)acl_add(&set, &binding);
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct acl_binding asked = binding_of(data + i * RECORD_SIZE);
        bool is_filter = acl_check_filter(&asked) == NULL;
        for (size_t j = 0; is_filter && j < set.count; j++) {
            (void)acl_matches(&set.items[j], &asked);
        }
        if (asked.name.size < 0 || asked.principal.size < 0 || asked.host.size < 0 ||
            asked.resource < ACL_TOPIC || asked.resource >= ACL_RESOURCE_END ||
            asked.operation < ACL_READ || asked.operation >= ACL_OPERATION_END) {
            continue;
        }
        if (acl_decide(&set, asked.principal.data, asked.host.data,
                       (enum acl_operation)asked.operation, (enum acl_resource)asked.resource,
                       asked.name) != walk(&set, &asked)) {
            abort();
        }
        (void)acl_allows_somewhere(&set, asked.principal.data, asked.host.data,
                                   (enum acl_operation)asked.operation,
                                   (enum acl_resource)asked.resource);
        if (acl_check(&asked) == NULL && (data[i * RECORD_SIZE] & 128) != 0) {
            (void)acl_remove(&set, &asked);
        }
    }
    acl_set_done(&set);
    return 0;
}
