/* `millrace acls list|add|remove`: Kafka's DescribeAcls, CreateAcls and DeleteAcls. The words are
 * those of kafka-acls where it has them. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/cli/cli.h"
#include "agent/cli/kafka.h"
#include "agent/cli/table.h"
#include "agent/cli/target.h"
#include "base/text/nearest.h"
#include "queue/wire/security.h"

/* Kafka's numbers are the places. */
static const char *const resources[] = {
    "unknown", "any", "topic", "group", "cluster", "transactional-id", "delegation-token", "user"};
static const char *const operations[] = {"unknown",
                                         "any",
                                         "all",
                                         "read",
                                         "write",
                                         "create",
                                         "delete",
                                         "alter",
                                         "describe",
                                         "cluster-action",
                                         "describe-configs",
                                         "alter-configs",
                                         "idempotent-write",
                                         "create-tokens",
                                         "describe-tokens",
                                         "two-phase-commit"};
static const char *const permissions[] = {"unknown", "any", "deny", "allow"};

enum {
    ANY = 1,
    ALL = 2,
    DENY = 2,
    ALLOW = 3,
    PATTERN_ANY = 1,
    LITERAL = 3,
    PREFIXED = 4,
    BINDINGS_MAX = CLI_LIST_MAX * CLI_LIST_MAX,
    COUNT_OPERATIONS = sizeof operations / sizeof operations[0],
};

struct acls {
    struct cli_kafka kafka;
    struct cli_target target;
    const char *output;
    bool no_header;
    struct cli_list allow; /* principals */
    struct cli_list deny;
    struct cli_list operation;
    const char *topic;
    const char *group;
    const char *transactional_id;
    bool is_cluster;
    bool is_prefixed;
    const char *host;
    int8_t resource; /* of the one that is named, or ANY */
    const char *name;
    int8_t codes[CLI_LIST_MAX]; /* of the operations */
};

static const char *word_of(const char *const *words, size_t count, int8_t code)
{
    return code >= 0 && (size_t)code < count ? words[code] : "unknown";
}

static struct wire_string principal_of(struct acls *acls, const char *text)
{
    return strchr(text, ':') != NULL ? wire_text(text)
                                     : wire_arena_printf(&acls->kafka.arena, "User:%s", text);
}

/* ---- list ---- */

static int on_list(void *owner, const void *answer)
{
    static const char *const titles[] = {"PERMISSION", "PRINCIPAL", "HOST", "OPERATION",
                                         "RESOURCE",   "PATTERN",   "NAME", NULL};
    struct acls *acls = owner;
    const struct describe_acls_response *response = answer;
    json_t *rows = json_array();
    struct cli_table table;

    if (response->error_code != 0) {
        json_decref(rows);
        return cli_kafka_refused(&acls->kafka, "access control list", response->error_code,
                                 &response->error_message);
    }
    cli_table_init(&table, titles);
    for (int32_t i = 0; i < response->resources.count; i++) {
        const struct describe_acls_response_resource *resource = &response->resources.items[i];
        const char *kind =
            word_of(resources, sizeof resources / sizeof resources[0], resource->resource_type);
        const char *pattern = resource->pattern_type == PREFIXED ? "prefixed" : "literal";
        for (int32_t j = 0; j < resource->acls.count; j++) {
            const struct describe_acls_response_acl *acl = &resource->acls.items[j];
            const char *permission = word_of(permissions, 4, acl->permission_type);
            const char *operation = word_of(operations, COUNT_OPERATIONS, acl->operation);
            cli_table_text(&table, permission);
            cli_table_printf(&table, "%.*s", acl->principal.size, acl->principal.data);
            cli_table_printf(&table, "%.*s", acl->host.size, acl->host.data);
            cli_table_text(&table, operation);
            cli_table_text(&table, kind);
            cli_table_text(&table, pattern);
            cli_table_printf(&table, "%.*s", resource->resource_name.size,
                             resource->resource_name.data);
            (void)json_array_append_new(
                rows,
                json_pack("{s:s, s:s%, s:s%, s:s, s:s, s:s, s:s%}", "permission", permission,
                          "principal", acl->principal.data, (size_t)acl->principal.size, "host",
                          acl->host.data, (size_t)acl->host.size, "operation", operation,
                          "resource", kind, "pattern", pattern, "name",
                          resource->resource_name.data, (size_t)resource->resource_name.size));
        }
    }
    if (cli_is_json(acls->output)) {
        cli_table_done(&table);
        return cli_print_json(rows);
    }
    json_decref(rows);
    return cli_table_print(&table, !acls->no_header);
}

static int do_list(struct acls *acls)
{
    struct describe_acls_request message;
    struct client_request request = {
        .key = WIRE_API_DESCRIBE_ACLS, .message = &message, .node = CLIENT_NODE_ANY};

    describe_acls_request_init(&message);
    message.resource_type_filter = acls->resource;
    message.resource_name_filter = wire_text(acls->name);
    message.pattern_type_filter = PATTERN_ANY;
    message.principal_filter =
        acls->allow.count > 0 ? principal_of(acls, acls->allow.items[0]) : wire_text(NULL);
    message.host_filter = wire_text(acls->host);
    message.operation = acls->operation.count > 0 ? acls->codes[0] : ANY;
    message.permission_type = ANY;
    return cli_kafka_call(&acls->kafka, &request, on_list, acls);
}

/* ---- add and remove: every principal with every operation ---- */

typedef void (*binding_cb)(void *item, const struct acls *acls, struct wire_string principal,
                           int8_t operation, int8_t permission);

static int32_t each_binding(struct acls *acls, void *items, size_t item_size, binding_cb cb)
{
    int32_t count = 0;

    for (int permission = DENY; permission <= ALLOW; permission++) {
        const struct cli_list *list = permission == DENY ? &acls->deny : &acls->allow;
        for (int i = 0; i < list->count; i++) {
            for (int j = 0; j < (acls->operation.count > 0 ? acls->operation.count : 1); j++) {
                cb((char *)items + (size_t)count++ * item_size, acls,
                   principal_of(acls, list->items[i]),
                   acls->operation.count > 0 ? acls->codes[j] : ALL, (int8_t)permission);
            }
        }
    }
    return count;
}

static void put_creation(void *item, const struct acls *acls, struct wire_string principal,
                         int8_t operation, int8_t permission)
{
    struct create_acls_request_creation *creation = item;

    creation->resource_type = acls->resource;
    creation->resource_name = wire_text(acls->name);
    creation->resource_pattern_type = acls->is_prefixed ? PREFIXED : LITERAL;
    creation->principal = principal;
    creation->host = wire_text(acls->host != NULL ? acls->host : "*");
    creation->operation = operation;
    creation->permission_type = permission;
}

static void put_filter(void *item, const struct acls *acls, struct wire_string principal,
                       int8_t operation, int8_t permission)
{
    struct delete_acls_request_filter *filter = item;

    filter->resource_type_filter = acls->resource;
    filter->resource_name_filter = wire_text(acls->name);
    filter->pattern_type_filter = acls->is_prefixed ? PREFIXED : LITERAL;
    filter->principal_filter = principal;
    filter->host_filter = wire_text(acls->host);
    filter->operation = acls->operation.count > 0 ? operation : ANY;
    filter->permission_type = permission;
}

static int on_added(void *owner, const void *answer)
{
    struct acls *acls = owner;
    const struct create_acls_response *response = answer;

    for (int32_t i = 0; i < response->results.count; i++) {
        if (response->results.items[i].error_code != 0) {
            return cli_kafka_refused(&acls->kafka, acls->name,
                                     response->results.items[i].error_code,
                                     &response->results.items[i].error_message);
        }
    }
    fprintf(stderr, "%s: %d added\n", acls->name, (int)response->results.count);
    return CLI_OK;
}

static int do_add(struct acls *acls)
{
    struct create_acls_request message;
    struct client_request request = {
        .key = WIRE_API_CREATE_ACLS, .message = &message, .node = CLIENT_NODE_CONTROLLER};

    create_acls_request_init(&message);
    if (create_acls_request_creation_array_make(&acls->kafka.arena, &message.creations,
                                                BINDINGS_MAX) != 0) {
        return cli_fail("acls", CLI_FAILED, "no memory");
    }
    message.creations.count =
        each_binding(acls, message.creations.items, sizeof *message.creations.items, put_creation);
    return cli_kafka_call(&acls->kafka, &request, on_added, acls);
}

static int on_removed(void *owner, const void *answer)
{
    struct acls *acls = owner;
    const struct delete_acls_response *response = answer;
    int count = 0;

    for (int32_t i = 0; i < response->filter_results.count; i++) {
        const struct delete_acls_response_filter_result *result =
            &response->filter_results.items[i];
        if (result->error_code != 0) {
            return cli_kafka_refused(&acls->kafka, acls->name, result->error_code,
                                     &result->error_message);
        }
        count += result->matching_acls.count;
    }
    fprintf(stderr, "%s: %d removed\n", acls->name, count);
    return count > 0 ? CLI_OK : CLI_FAILED;
}

static int do_remove(struct acls *acls)
{
    struct delete_acls_request message;
    struct client_request request = {
        .key = WIRE_API_DELETE_ACLS, .message = &message, .node = CLIENT_NODE_CONTROLLER};

    delete_acls_request_init(&message);
    if (delete_acls_request_filter_array_make(&acls->kafka.arena, &message.filters, BINDINGS_MAX) !=
        0) {
        return cli_fail("acls", CLI_FAILED, "no memory");
    }
    message.filters.count =
        each_binding(acls, message.filters.items, sizeof *message.filters.items, put_filter);
    return cli_kafka_call(&acls->kafka, &request, on_removed, acls);
}

/* ---- arguments ---- */

static bool take_operations(struct acls *acls)
{
    for (int i = 0; i < acls->operation.count; i++) {
        const char *word = acls->operation.items[i];
        acls->codes[i] = 0;
        for (int8_t code = ALL; code < COUNT_OPERATIONS; code++) {
            if (strcasecmp(operations[code], word) == 0) {
                acls->codes[i] = code;
            }
        }
        if (acls->codes[i] == 0) {
            const char *nearest = mr_nearest(word, operations + ALL, COUNT_OPERATIONS - ALL);
            (void)cli_fail("acls", CLI_USAGE, "--operation %s is none%s%s%s", word,
                           nearest != NULL ? "; did you mean '" : "",
                           nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
            return false;
        }
    }
    return true;
}

/* At most one resource may be named. */
static bool take_resource(struct acls *acls)
{
    int count = (acls->topic != NULL) + (acls->group != NULL) + (acls->transactional_id != NULL) +
                acls->is_cluster;

    acls->resource = ANY;
    if (acls->topic != NULL) {
        acls->resource = 2;
        acls->name = acls->topic;
    } else if (acls->group != NULL) {
        acls->resource = 3;
        acls->name = acls->group;
    } else if (acls->is_cluster) {
        acls->resource = 4;
        acls->name = "kafka-cluster";
    } else if (acls->transactional_id != NULL) {
        acls->resource = 5;
        acls->name = acls->transactional_id;
    }
    return count <= 1;
}

static int check(const struct acls *acls, bool is_change)
{
    if (is_change && (acls->resource == ANY || acls->allow.count + acls->deny.count == 0)) {
        return cli_fail("acls", CLI_USAGE,
                        "whom (--allow or --deny), and with what (--topic, --group, --cluster, "
                        "--transactional-id)?");
    }
    return CLI_OK;
}

static const struct verb {
    const char *name;
    bool is_change;
    int (*run)(struct acls *acls);
} verbs[] = {{"list", false, do_list}, {"add", true, do_add}, {"remove", true, do_remove}};

static const struct verb *find_verb(const char *word)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, word) == 0) {
            return &verbs[i];
        }
    }
    (void)cli_fail("acls", CLI_USAGE, "there is no '%s'; list, add or remove", word);
    return NULL;
}

int cli_acls(int argc, char **argv)
{
    struct acls acls = {.output = "table"};
    const struct cli_option options[] = {
        CLI_TARGET_ANY(acls.target),
        {.name = "output", .letter = 'o', .value = &acls.output},
        {.name = "no-header", .flag = &acls.no_header},
        {.name = "allow", .list = &acls.allow},
        {.name = "deny", .list = &acls.deny},
        {.name = "operation", .list = &acls.operation},
        {.name = "topic", .value = &acls.topic},
        {.name = "group", .value = &acls.group},
        {.name = "transactional-id", .value = &acls.transactional_id},
        {.name = "cluster", .flag = &acls.is_cluster},
        {.name = "prefixed", .flag = &acls.is_prefixed},
        {.name = "host", .value = &acls.host},
        {0}};
    int rest = cli_parse("acls", argc, argv, options);
    const struct verb *verb;
    int rc;

    if (rest < 0 || cli_check_output("acls", acls.output) != CLI_OK || !take_operations(&acls)) {
        return CLI_USAGE;
    }
    verb = find_verb(rest < argc ? argv[rest] : "list");
    if (verb == NULL) {
        return CLI_USAGE;
    }
    if (!take_resource(&acls) || argc - rest > 1) {
        return cli_fail("acls", CLI_USAGE, "%s: one resource, named by its option", verb->name);
    }
    rc = check(&acls, verb->is_change);
    if (rc != CLI_OK) {
        return rc;
    }
    rc = cli_kafka_open(&acls.kafka, "acls", &acls.target);
    if (rc == CLI_OK) {
        rc = verb->run(&acls);
    }
    cli_kafka_close(&acls.kafka);
    return rc;
}
