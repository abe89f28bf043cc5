/* DescribeAcls, CreateAcls, DeleteAcls: access control lists by Kafka's own tools. Reading them
 * needs DESCRIBE on the cluster, changing them ALTER. Without enforcement they can be prepared all
 * the same. */
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/security.h"

enum { ACL_CHANGES_MAX = 10000, ACL_FILTERS_MAX = 100 }; /* of one request */

static const struct acl_set *acls_of(const struct request *request)
{
    return &meta_image(request->broker->meta)->acls;
}

/* ---- describe ---- */

static bool is_same_resource(const struct acl *left, const struct acl *right)
{
    return left->resource == right->resource && left->pattern == right->pattern &&
           strcmp(left->name, right->name) == 0;
}

/* The set is sorted by resource: bindings of one resource stand together. */
static int fill_resources(struct request *request, const struct acl **found, int32_t count,
                          struct describe_acls_response *response)
{
    int32_t resources = 0;
    int rc =
        describe_acls_response_resource_array_make(&request->arena, &response->resources, count);

    for (int32_t i = 0; rc == 0 && i < count;) {
        struct describe_acls_response_resource *out = &response->resources.items[resources++];
        int32_t end = i;
        while (end < count && is_same_resource(found[i], found[end])) {
            end += 1;
        }
        out->resource_type = found[i]->resource;
        out->resource_name = wire_text(found[i]->name);
        out->pattern_type = found[i]->pattern;
        rc = describe_acls_response_acl_array_make(&request->arena, &out->acls, end - i);
        for (int32_t j = 0; rc == 0 && i < end; i++, j++) {
            out->acls.items[j].principal = wire_text(found[i]->principal);
            out->acls.items[j].host = wire_text(found[i]->host);
            out->acls.items[j].operation = found[i]->operation;
            out->acls.items[j].permission_type = found[i]->permission;
        }
    }
    if (rc == 0) {
        response->resources.count = resources;
    }
    return rc;
}

static int describe(struct request *request, const struct acl_binding *filter,
                    struct describe_acls_response *response)
{
    const struct acl_set *acls = acls_of(request);
    const struct acl **found =
        wire_arena_array(&request->arena, acls->count + 1, sizeof(struct acl *));
    int32_t count = 0;

    if (found == NULL) {
        return MR_ENOMEM;
    }
    for (size_t i = 0; i < acls->count; i++) {
        if (acl_matches(&acls->items[i], filter)) {
            found[count++] = &acls->items[i];
        }
    }
    return fill_resources(request, found, count, response);
}

void api_describe_acls(struct request *request)
{
    const struct describe_acls_request *body = request->body;
    struct acl_binding filter = {
        .resource = body->resource_type_filter,
        .pattern = body->pattern_type_filter,
        .operation = body->operation,
        .permission = body->permission_type,
        .name = body->resource_name_filter,
        .principal = body->principal_filter,
        .host = body->host_filter,
    };
    struct describe_acls_response response;
    const char *wrong = acl_check_filter(&filter);
    int rc = 0;

    describe_acls_response_init(&response);
    response.error_message = wire_text(NULL);
    if (!request_may_cluster(request)) {
        response.error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
    } else if (wrong != NULL) {
        response.error_code = KAFKA_INVALID_REQUEST;
        response.error_message = wire_text(wrong);
    } else {
        rc = describe(request, &filter, &response);
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_count_error(request, response.error_code);
    request_respond(request, &response);
}

/* ---- changes: one per binding, in as few batches as the metadata log likes ---- */

struct acl_change {
    struct meta_change meta;
    struct acl_binding binding;
    int16_t *error; /* in the answer */
    struct wire_string *message;
};

struct acl_changes {
    struct request *request;
    const void *response;
    int32_t pending;
};

static void changes_release(struct acl_changes *changes)
{
    changes->pending -= 1;
    if (changes->pending == 0) {
        request_respond(changes->request, changes->response);
    }
}

static void refuse(struct request *request, int16_t *error, struct wire_string *message,
                   int16_t code, const char *reason)
{
    *error = code;
    *message = wire_text(reason);
    request_count_error(request, code);
}

static void on_changed(struct meta_change *meta)
{
    struct acl_changes *changes = meta->owner;
    struct acl_change *change = mr_container(meta, struct acl_change, meta);

    if (meta->error != KAFKA_NONE) {
        refuse(changes->request, change->error, change->message, meta->error, meta->reason);
    }
    changes_release(changes);
}

static void submit(struct acl_changes *changes, struct acl_change *change,
                   enum meta_change_kind kind)
{
    const struct request *request = changes->request;

    change->meta = (struct meta_change){
        .kind = kind,
        .name = change->binding.name,
        .acl = &change->binding,
        .cb = on_changed,
        .owner = changes,
    };
    changes->pending += 1;
    mr_info(
        kind == META_ADD_ACL ? "access control binding added" : "access control binding removed",
        KV_STR("by", request->connection->principal), KV_I64("resource", change->binding.resource),
        KV_I64("operation", change->binding.operation),
        KV_I64("permission", change->binding.permission));
    meta_submit(request->broker->meta, &change->meta);
}

static struct acl_changes *changes_new(struct request *request, const void *response)
{
    struct acl_changes *changes = request_alloc(request, sizeof *changes);

    if (changes != NULL) {
        changes->request = request;
        changes->response = response;
        changes->pending = 1; /* ours, so that the end comes once */
    }
    return changes;
}

void api_create_acls(struct request *request)
{
    const struct create_acls_request *body = request->body;
    struct create_acls_response *response = request_alloc(request, sizeof *response);
    struct acl_changes *changes = changes_new(request, response);
    struct acl_change *items =
        request_alloc(request, ((size_t)body->creations.count + 1) * sizeof *items);
    bool is_allowed = request_may_cluster(request);

    if (response == NULL || changes == NULL || items == NULL ||
        create_acls_response_result_array_make(&request->arena, &response->results,
                                               body->creations.count) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    for (int32_t i = 0; i < body->creations.count; i++) {
        const struct create_acls_request_creation *in = &body->creations.items[i];
        struct create_acls_response_result *out = &response->results.items[i];
        const char *wrong;
        items[i].binding = (struct acl_binding){
            .resource = in->resource_type,
            .pattern = in->resource_pattern_type,
            .operation = in->operation,
            .permission = in->permission_type,
            .name = in->resource_name,
            .principal = in->principal,
            .host = in->host,
        };
        items[i].error = &out->error_code;
        items[i].message = &out->error_message;
        out->error_message = wire_text(NULL);
        wrong = acl_check(&items[i].binding);
        if (!is_allowed) {
            refuse(request, &out->error_code, &out->error_message,
                   KAFKA_CLUSTER_AUTHORIZATION_FAILED, NULL);
        } else if (wrong != NULL || i >= ACL_CHANGES_MAX) {
            refuse(request, &out->error_code, &out->error_message, KAFKA_INVALID_REQUEST,
                   wrong != NULL ? wrong : "too many bindings in one request");
        } else {
            submit(changes, &items[i], META_ADD_ACL);
        }
    }
    changes_release(changes);
}

/* ---- delete ---- */

/* The names are copied: the bindings go before the answer is made. */
static int remember(struct request *request, const struct acl *acl, struct acl_change *change,
                    struct delete_acls_response_matching_acl *out)
{
    struct wire_arena *arena = &request->arena;

    change->binding = acl_as_binding(acl);
    change->binding.name = wire_arena_string(arena, acl->name, strlen(acl->name));
    change->binding.principal = wire_arena_string(arena, acl->principal, strlen(acl->principal));
    change->binding.host = wire_arena_string(arena, acl->host, strlen(acl->host));
    change->error = &out->error_code;
    change->message = &out->error_message;
    out->error_message = wire_text(NULL);
    out->resource_type = acl->resource;
    out->pattern_type = acl->pattern;
    out->operation = acl->operation;
    out->permission_type = acl->permission;
    out->resource_name = change->binding.name;
    out->principal = change->binding.principal;
    out->host = change->binding.host;
    return change->binding.name.size < 0 || change->binding.principal.size < 0 ||
                   change->binding.host.size < 0
               ? MR_ENOMEM
               : 0;
}

static int delete_matching(struct acl_changes *changes, const struct acl_binding *filter,
                           struct delete_acls_response_filter_result *out)
{
    struct request *request = changes->request;
    const struct acl_set *acls = acls_of(request);
    struct acl_change *items;
    int32_t count = 0;
    int32_t place = 0;
    int rc;

    for (size_t i = 0; i < acls->count; i++) {
        count += acl_matches(&acls->items[i], filter);
    }
    items = request_alloc(request, ((size_t)count + 1) * sizeof *items);
    rc = items == NULL ? MR_ENOMEM
                       : delete_acls_response_matching_acl_array_make(&request->arena,
                                                                      &out->matching_acls, count);
    for (size_t i = 0; rc == 0 && i < acls->count; i++) {
        if (acl_matches(&acls->items[i], filter)) {
            rc =
                remember(request, &acls->items[i], &items[place], &out->matching_acls.items[place]);
            place += 1;
        }
    }
    if (rc != 0) {
        return rc;
    }
    for (int32_t i = 0; i < count; i++) {
        submit(changes, &items[i], META_REMOVE_ACL);
    }
    return 0;
}

static struct acl_binding filter_of(const struct delete_acls_request_filter *in)
{
    return (struct acl_binding){
        .resource = in->resource_type_filter,
        .pattern = in->pattern_type_filter,
        .operation = in->operation,
        .permission = in->permission_type,
        .name = in->resource_name_filter,
        .principal = in->principal_filter,
        .host = in->host_filter,
    };
}

void api_delete_acls(struct request *request)
{
    const struct delete_acls_request *body = request->body;
    struct delete_acls_response *response = request_alloc(request, sizeof *response);
    struct acl_changes *changes = changes_new(request, response);
    bool is_allowed = request_may_cluster(request);

    if (response == NULL || changes == NULL ||
        delete_acls_response_filter_result_array_make(&request->arena, &response->filter_results,
                                                      body->filters.count) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    for (int32_t i = 0; i < body->filters.count; i++) {
        struct acl_binding filter = filter_of(&body->filters.items[i]);
        struct delete_acls_response_filter_result *out = &response->filter_results.items[i];
        const char *wrong = acl_check_filter(&filter);
        out->error_message = wire_text(NULL);
        if (!is_allowed) {
            refuse(request, &out->error_code, &out->error_message,
                   KAFKA_CLUSTER_AUTHORIZATION_FAILED, NULL);
        } else if (wrong != NULL || i >= ACL_FILTERS_MAX) {
            refuse(request, &out->error_code, &out->error_message, KAFKA_INVALID_REQUEST,
                   wrong != NULL ? wrong : "too many filters in one request");
        } else if (delete_matching(changes, &filter, out) != 0) {
            refuse(request, &out->error_code, &out->error_message, KAFKA_UNKNOWN_SERVER_ERROR,
                   "no memory");
        }
    }
    changes_release(changes);
}
