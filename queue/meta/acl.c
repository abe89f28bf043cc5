#include "queue/meta/acl.h"

#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/core/order.h"

/* ---- the sorted set ---- */

void acl_set_init(struct acl_set *set)
{
    memset(set, 0, sizeof *set);
}

static void acl_free(struct acl *acl)
{
    mr_free(acl->name);
    mr_free(acl->principal);
    mr_free(acl->host);
}

void acl_set_done(struct acl_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        acl_free(&set->items[i]);
    }
    mr_free(set->items);
    mr_free(set->by_principal);
    memset(set, 0, sizeof *set);
}

static int compare_text(const char *text, struct wire_string other)
{
    return wire_string_compare(wire_text(text), other);
}

/* Where bindings of one resource stand. */
static int compare_resource(const struct acl *acl, int8_t resource, int8_t pattern,
                            struct wire_string name)
{
    if (acl->resource != resource) {
        return acl->resource - resource;
    }
    if (acl->pattern != pattern) {
        return acl->pattern - pattern;
    }
    return compare_text(acl->name, name);
}

static int compare(const void *item, const void *wanted)
{
    const struct acl *acl = item;
    const struct acl_binding *binding = wanted;
    int order = compare_resource(acl, binding->resource, binding->pattern, binding->name);

    if (order == 0) {
        order = compare_text(acl->principal, binding->principal);
    }
    if (order == 0) {
        order = compare_text(acl->host, binding->host);
    }
    if (order == 0) {
        order = acl->operation - binding->operation;
    }
    return order != 0 ? order : acl->permission - binding->permission;
}

static size_t place_of(const struct acl_set *set, const struct acl_binding *binding,
                       bool *ret_found)
{
    return mr_order_place(set->items, set->count, sizeof *set->items, compare, binding, ret_found);
}

/* The other order: one principal's bindings of a resource stand together. */
static int compare_by_principal(const void *item, const void *wanted)
{
    const struct acl *acl = item;
    const struct acl_binding *binding = wanted;
    int order = acl->resource - binding->resource;

    if (order == 0) {
        order = compare_text(acl->principal, binding->principal);
    }
    return order != 0 ? order : compare(item, wanted);
}

static void insert(struct acl *items, size_t count, size_t place, const struct acl *acl)
{
    memmove(items + place + 1, items + place, (count - place) * sizeof *items);
    items[place] = *acl;
}

static void cut(struct acl *items, size_t count, size_t place)
{
    memmove(items + place, items + place + 1, (count - place - 1) * sizeof *items);
}

static size_t place_by_principal(const struct acl_set *set, const struct acl_binding *binding)
{
    return mr_order_place(set->by_principal, set->count, sizeof *set->by_principal,
                          compare_by_principal, binding, NULL);
}

static uint32_t *prefix_count(struct acl_set *set, const struct acl *acl)
{
    size_t size = strlen(acl->name);

    return &set->prefix_sizes[acl->resource][size < ACL_PREFIX_SIZES ? size : ACL_PREFIX_SIZES - 1];
}

int acl_add(struct acl_set *set, const struct acl_binding *binding)
{
    bool is_found;
    size_t place = place_of(set, binding, &is_found);
    struct acl made = {
        .resource = binding->resource,
        .pattern = binding->pattern,
        .operation = binding->operation,
        .permission = binding->permission,
    };

    mr_assert(binding->resource < ACL_RESOURCE_END);
    if (is_found) {
        return MR_EEXIST;
    }
    made.name = mr_strndup(binding->name.data, (size_t)binding->name.size);
    made.principal = mr_strndup(binding->principal.data, (size_t)binding->principal.size);
    made.host = mr_strndup(binding->host.data, (size_t)binding->host.size);
    if (made.name == NULL || made.principal == NULL || made.host == NULL ||
        mr_grow(&set->items, &set->capacity, set->count + 1, sizeof *set->items) != 0 ||
        mr_grow(&set->by_principal, &set->by_principal_capacity, set->count + 1,
                sizeof *set->by_principal) != 0) {
        acl_free(&made);
        return MR_ENOMEM;
    }
    insert(set->items, set->count, place, &made);
    insert(set->by_principal, set->count, place_by_principal(set, binding), &made);
    set->count += 1;
    if (made.pattern == ACL_PREFIXED) {
        *prefix_count(set, &made) += 1;
    }
    return 0;
}

bool acl_remove(struct acl_set *set, const struct acl_binding *binding)
{
    bool is_found;
    size_t place = place_of(set, binding, &is_found);
    struct acl gone;

    if (!is_found) {
        return false;
    }
    if (binding->pattern == ACL_PREFIXED) {
        *prefix_count(set, &set->items[place]) -= 1;
    }
    gone = set->items[place];
    cut(set->by_principal, set->count, place_by_principal(set, binding));
    cut(set->items, set->count, place);
    set->count -= 1;
    acl_free(&gone);
    return true;
}

struct acl_binding acl_as_binding(const struct acl *acl)
{
    return (struct acl_binding){
        .resource = acl->resource,
        .pattern = acl->pattern,
        .operation = acl->operation,
        .permission = acl->permission,
        .name = wire_text(acl->name),
        .principal = wire_text(acl->principal),
        .host = wire_text(acl->host),
    };
}

/* ---- what may be said ---- */

static bool is_text(struct wire_string text)
{
    return text.size > 0 && text.size <= ACL_TEXT_SIZE_MAX &&
           memchr(text.data, '\0', (size_t)text.size) == NULL;
}

static bool is_principal(struct wire_string principal)
{
    const char *colon = memchr(principal.data, ':', (size_t)principal.size);

    return colon != NULL && colon != principal.data && colon + 1 < principal.data + principal.size;
}

const char *acl_check(const struct acl_binding *binding)
{
    if (binding->resource < ACL_TOPIC || binding->resource >= ACL_RESOURCE_END) {
        return "the type of resource must be a particular one";
    }
    if (binding->pattern != ACL_LITERAL && binding->pattern != ACL_PREFIXED) {
        return "the pattern type must be literal or prefixed";
    }
    if (binding->operation < ACL_ALL || binding->operation >= ACL_OPERATION_END) {
        return "the operation must be a particular one, or all";
    }
    if (binding->permission != ACL_DENY && binding->permission != ACL_ALLOW) {
        return "the permission must be allow or deny";
    }
    if (!is_text(binding->name) || !is_text(binding->host) || !is_text(binding->principal)) {
        return "name, principal and host must have 1 to 1024 characters";
    }
    if (!is_principal(binding->principal)) {
        return "the principal must be written as type and name, as in User:alice";
    }
    if (binding->resource == ACL_CLUSTER && !wire_string_is(binding->name, "kafka-cluster")) {
        return "the only valid name for the CLUSTER resource is kafka-cluster";
    }
    return NULL;
}

const char *acl_check_filter(const struct acl_binding *filter)
{
    if (filter->resource < ACL_RESOURCE_ANY || filter->resource >= ACL_RESOURCE_END ||
        filter->pattern < ACL_PATTERN_ANY || filter->pattern >= ACL_PATTERN_END ||
        filter->operation < ACL_OPERATION_ANY || filter->operation >= ACL_OPERATION_END ||
        filter->permission < ACL_PERMISSION_ANY || filter->permission >= ACL_PERMISSION_END) {
        return "the filter contains unknown elements";
    }
    return NULL;
}

/* ---- filters ---- */

static bool matches_text(const char *text, struct wire_string filter)
{
    return filter.size < 0 || compare_text(text, filter) == 0;
}

static bool begins_with(struct wire_string name, const char *prefix)
{
    size_t size = strlen(prefix);

    return size <= (size_t)name.size && memcmp(name.data, prefix, size) == 0;
}

static bool matches_pattern(const struct acl *acl, const struct acl_binding *filter)
{
    if (filter->pattern == ACL_PATTERN_MATCH && filter->name.size >= 0) {
        if (acl->pattern == ACL_PREFIXED) {
            return begins_with(filter->name, acl->name);
        }
        return compare_text(acl->name, filter->name) == 0 || strcmp(acl->name, "*") == 0;
    }
    return (filter->pattern <= ACL_PATTERN_MATCH || filter->pattern == acl->pattern) &&
           matches_text(acl->name, filter->name);
}

bool acl_matches(const struct acl *acl, const struct acl_binding *filter)
{
    return (filter->resource == ACL_RESOURCE_ANY || filter->resource == acl->resource) &&
           (filter->operation == ACL_OPERATION_ANY || filter->operation == acl->operation) &&
           (filter->permission == ACL_PERMISSION_ANY || filter->permission == acl->permission) &&
           matches_pattern(acl, filter) && matches_text(acl->principal, filter->principal) &&
           matches_text(acl->host, filter->host);
}

/* ---- deciding ---- */

/* Who asks, and for what. */
struct question {
    const char *principal;
    const char *host;
    enum acl_operation operation;
};

static bool concerns(const struct acl *acl, const struct question *question)
{
    return (strcmp(acl->principal, question->principal) == 0 ||
            strcmp(acl->principal, "User:*") == 0) &&
           (strcmp(acl->host, "*") == 0 || strcmp(acl->host, question->host) == 0);
}

/* Who may change or use a thing may also look at it; a deny implies nothing. */
static bool covers(const struct acl *acl, enum acl_operation operation)
{
    if (acl->operation == ACL_ALL || acl->operation == (int8_t)operation) {
        return true;
    }
    if (acl->permission == ACL_DENY) {
        return false;
    }
    if (operation == ACL_DESCRIBE) {
        return acl->operation == ACL_READ || acl->operation == ACL_WRITE ||
               acl->operation == ACL_DELETE || acl->operation == ACL_ALTER;
    }
    return operation == ACL_DESCRIBE_CONFIGS && acl->operation == ACL_ALTER_CONFIGS;
}

static int by_resource(const void *item, const void *wanted)
{
    const struct acl_binding *binding = wanted;

    return compare_resource(item, binding->resource, binding->pattern, binding->name);
}

static size_t first_of(const struct acl_set *set, int8_t resource, int8_t pattern,
                       struct wire_string name)
{
    struct acl_binding wanted = {.resource = resource, .pattern = pattern, .name = name};

    return mr_order_place(set->items, set->count, sizeof *set->items, by_resource, &wanted, NULL);
}

static int by_principal(const void *item, const void *wanted)
{
    const struct acl *acl = item;
    const struct acl_binding *binding = wanted;
    int order = by_resource(item, wanted);

    return order != 0 ? order : compare_text(acl->principal, binding->principal);
}

/* The first of this pattern whose principal is not before this one. */
static size_t first_for(const struct acl_set *set, const struct acl_binding *wanted)
{
    return mr_order_place(set->items, set->count, sizeof *set->items, by_principal, wanted, NULL);
}

static void ask_for(const struct acl_set *set, const struct question *question,
                    const struct acl_binding *wanted, enum acl_decision *verdict)
{
    for (size_t i = first_for(set, wanted); i < set->count && *verdict != ACL_SAYS_NO; i++) {
        const struct acl *acl = &set->items[i];
        if (compare_resource(acl, wanted->resource, wanted->pattern, wanted->name) != 0 ||
            compare_text(acl->principal, wanted->principal) != 0) {
            return;
        }
        if (concerns(acl, question) && covers(acl, question->operation)) {
            *verdict = acl->permission == ACL_DENY ? ACL_SAYS_NO : ACL_SAYS_YES;
        }
    }
}

/* Adds to the verdict what the bindings of exactly this pattern say. There may be thousands, of as
 * many users: only this one's and those of all are looked at. */
static void ask(const struct acl_set *set, const struct question *question, int8_t resource,
                int8_t pattern, struct wire_string name, enum acl_decision *verdict,
                bool *is_mentioned)
{
    struct acl_binding wanted = {.resource = resource, .pattern = pattern, .name = name};
    size_t first = first_of(set, resource, pattern, name);

    if (first == set->count || compare_resource(&set->items[first], resource, pattern, name) != 0) {
        return;
    }
    *is_mentioned = true;
    wanted.principal = wire_text("User:*");
    ask_for(set, question, &wanted, verdict);
    if (strcmp(question->principal, "User:*") != 0) {
        wanted.principal = wire_text(question->principal);
        ask_for(set, question, &wanted, verdict);
    }
}

enum acl_decision acl_decide(const struct acl_set *set, const char *principal, const char *host,
                             enum acl_operation operation, enum acl_resource resource,
                             struct wire_string name)
{
    struct question question = {principal, host, operation};
    enum acl_decision verdict = ACL_SAYS_NOTHING;
    bool is_mentioned = false;
    int8_t kind = (int8_t)resource;

    if (name.size < 0) {
        name = wire_text("");
    }
    ask(set, &question, kind, ACL_LITERAL, wire_text("*"), &verdict, &is_mentioned);
    if (!wire_string_is(name, "*")) {
        ask(set, &question, kind, ACL_LITERAL, name, &verdict, &is_mentioned);
    }
    for (int32_t size = 1; size <= name.size; size++) {
        int32_t place = size < ACL_PREFIX_SIZES ? size : ACL_PREFIX_SIZES - 1;
        if (set->prefix_sizes[kind][place] > 0) {
            ask(set, &question, kind, ACL_PREFIXED, (struct wire_string){name.data, size}, &verdict,
                &is_mentioned);
        }
    }
    return verdict == ACL_SAYS_NOTHING && is_mentioned ? ACL_SAYS_NO : verdict;
}

/* Whether a binding of exactly this pattern denies. An allow stands behind a deny of the same
 * operation, but not of others, so all of this principal's are looked at. */
static bool is_denied_by(const struct acl_set *set, const struct question *question,
                         const struct acl_binding *wanted)
{
    for (size_t i = first_for(set, wanted); i < set->count; i++) {
        const struct acl *acl = &set->items[i];
        if (compare_resource(acl, wanted->resource, wanted->pattern, wanted->name) != 0 ||
            compare_text(acl->principal, wanted->principal) != 0) {
            return false;
        }
        if (acl->permission == ACL_DENY && concerns(acl, question) &&
            covers(acl, question->operation)) {
            return true;
        }
    }
    return false;
}

static bool is_denied(const struct acl_set *set, const struct question *question, int8_t resource,
                      int8_t pattern, struct wire_string name)
{
    struct acl_binding wanted = {.resource = resource, .pattern = pattern, .name = name};

    wanted.principal = wire_text("User:*");
    if (is_denied_by(set, question, &wanted)) {
        return true;
    }
    wanted.principal = wire_text(question->principal);
    return is_denied_by(set, question, &wanted);
}

/* Whether a deny takes away all that this allow gives: of "*", of the same name, or of a prefix. */
static bool is_dominated(const struct acl_set *set, const struct question *question,
                         const struct acl *allow)
{
    struct wire_string name = wire_text(allow->name);

    if (is_denied(set, question, allow->resource, ACL_LITERAL, wire_text("*")) ||
        (allow->pattern == ACL_LITERAL &&
         is_denied(set, question, allow->resource, ACL_LITERAL, name))) {
        return true;
    }
    for (int32_t size = 1; size <= name.size; size++) {
        int32_t place = size < ACL_PREFIX_SIZES ? size : ACL_PREFIX_SIZES - 1;
        if (set->prefix_sizes[allow->resource][place] > 0 &&
            is_denied(set, question, allow->resource, ACL_PREFIXED,
                      (struct wire_string){name.data, size})) {
            return true;
        }
    }
    return false;
}

/* By what is bound to this principal alone: many others cost nothing. */
static bool allows_principal(const struct acl_set *set, const struct question *question,
                             enum acl_resource resource, const char *principal)
{
    struct acl_binding wanted = {.resource = (int8_t)resource,
                                 .principal = wire_text(principal),
                                 .name = wire_text(""),
                                 .host = wire_text("")};

    for (size_t i = place_by_principal(set, &wanted); i < set->count; i++) {
        const struct acl *acl = &set->by_principal[i];
        if (acl->resource != (int8_t)resource || strcmp(acl->principal, principal) != 0) {
            return false;
        }
        if (acl->permission == ACL_ALLOW && concerns(acl, question) &&
            covers(acl, question->operation) && !is_dominated(set, question, acl)) {
            return true;
        }
    }
    return false;
}

bool acl_allows_somewhere(const struct acl_set *set, const char *principal, const char *host,
                          enum acl_operation operation, enum acl_resource resource)
{
    struct question question = {principal, host, operation};

    return allows_principal(set, &question, resource, principal) ||
           allows_principal(set, &question, resource, "User:*");
}
