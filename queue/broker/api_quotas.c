/* DescribeClientQuotas and AlterClientQuotas (KIP-546, KIP-612): quotas by Kafka's own tools.
 * Reading them needs DESCRIBE_CONFIGS on the cluster, changing them ALTER_CONFIGS. What they do is
 * in quota.h. */
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/configs.h"

enum {
    QUOTA_ENTRIES_MAX = 10000, /* of one request */
    MATCH_EXACT = 0,
    MATCH_DEFAULT = 1,
    MATCH_ANY = 2,
};

/* ---- describe ---- */

struct quota_filter {
    bool is_asked[QUOTA_TYPE_COUNT];
    int8_t match[QUOTA_TYPE_COUNT];
    struct wire_string names[QUOTA_TYPE_COUNT];
    char host[QUOTA_HOST_SIZE];
    int count;
    bool is_strict;
};

/* NULL, or why this is no filter; *ret_error is then Kafka's code. */
static const char *take_component(struct quota_filter *filter,
                                  const struct describe_client_quotas_request_component *in,
                                  int16_t *ret_error)
{
    int type = quota_type_find(in->entity_type);

    *ret_error = KAFKA_INVALID_REQUEST;
    if (in->entity_type.size <= 0) {
        return "Invalid empty entity type.";
    }
    if (type < 0) {
        *ret_error = KAFKA_UNSUPPORTED_VERSION;
        return "Unsupported entity type";
    }
    if (filter->is_asked[type]) {
        return "An entity type cannot appear more than once in the filter.";
    }
    if (in->match_type < MATCH_EXACT || in->match_type > MATCH_ANY) {
        return "Unknown match type";
    }
    if (in->match_type == MATCH_EXACT && in->match.size < 0) {
        return "Request specified MATCH_TYPE_EXACT, but set match string to null.";
    }
    if (in->match_type != MATCH_EXACT && in->match.size >= 0) {
        return "Request specified a match string that its match type does not have.";
    }
    filter->is_asked[type] = true;
    filter->match[type] = in->match_type;
    filter->names[type] = in->match;
    filter->count += 1;
    if (type == QUOTA_IP && quota_host_normalise(in->match, filter->host)) {
        filter->names[type] = wire_text(filter->host);
    }
    return NULL;
}

static const char *take_filter(struct quota_filter *filter,
                               const struct describe_client_quotas_request *body,
                               int16_t *ret_error)
{
    const char *wrong = NULL;

    filter->is_strict = body->strict;
    for (int32_t i = 0; wrong == NULL && i < body->components.count; i++) {
        wrong = take_component(filter, &body->components.items[i], ret_error);
    }
    if (wrong == NULL && filter->is_asked[QUOTA_IP] && filter->count > 1) {
        *ret_error = KAFKA_INVALID_REQUEST;
        wrong = "Invalid entity filter component combination. IP filter component should not be "
                "used with user or clientId filter component.";
    }
    return wrong;
}

static bool is_match(const struct quota_filter *filter, const struct quota_entity *entity)
{
    int count = 0;

    for (int type = 0; type < QUOTA_TYPE_COUNT; type++) {
        uint8_t kind = entity->kinds[type];
        count += kind != QUOTA_ABSENT;
        if (!filter->is_asked[type]) {
            continue;
        }
        if (kind == QUOTA_ABSENT ||
            (filter->match[type] == MATCH_DEFAULT && kind != QUOTA_DEFAULT) ||
            (filter->match[type] == MATCH_EXACT &&
             (kind != QUOTA_NAMED ||
              !wire_string_equal(filter->names[type], entity->names[type])))) {
            return false;
        }
    }
    return !filter->is_strict || count == filter->count;
}

/* The names are copied: the set may change before the answer is written. */
static int fill_entry(struct request *request, const struct quota *quota,
                      struct describe_client_quotas_response_entry *out)
{
    struct wire_arena *arena = &request->arena;
    int rc =
        describe_client_quotas_response_entity_array_make(arena, &out->entity, QUOTA_TYPE_COUNT);

    if (rc == 0) {
        rc =
            describe_client_quotas_response_value_array_make(arena, &out->values, QUOTA_RATE_COUNT);
    }
    if (rc != 0) {
        return rc;
    }
    out->entity.count = 0;
    out->values.count = 0;
    for (int type = 0; type < QUOTA_TYPE_COUNT; type++) {
        const struct wire_string *name = &quota->entity.names[type];
        if (quota->entity.kinds[type] != QUOTA_ABSENT) {
            struct describe_client_quotas_response_entity *entity =
                &out->entity.items[out->entity.count++];
            entity->entity_type = wire_text(quota_type_name((enum quota_type)type));
            entity->entity_name = quota->entity.kinds[type] == QUOTA_NAMED
                                      ? wire_arena_string(arena, name->data, (size_t)name->size)
                                      : wire_text(NULL);
        }
    }
    for (int rate = 0; rate < QUOTA_RATE_COUNT; rate++) {
        if (quota->rates[rate] != 0) {
            struct describe_client_quotas_response_value *value =
                &out->values.items[out->values.count++];
            value->key = wire_text(quota_rate_name((enum quota_rate)rate));
            value->value = quota->rates[rate];
        }
    }
    return 0;
}

static int describe(struct request *request, const struct quota_filter *filter,
                    struct describe_client_quotas_response *response)
{
    const struct quota_set *set = &meta_image(request->broker->meta)->quotas;
    int32_t count = 0;
    int rc;

    for (size_t i = 0; i < set->count; i++) {
        count += is_match(filter, &set->items[i]->entity);
    }
    rc = describe_client_quotas_response_entry_array_make(&request->arena, &response->entries,
                                                          count);
    count = 0;
    for (size_t i = 0; rc == 0 && i < set->count; i++) {
        if (is_match(filter, &set->items[i]->entity)) {
            rc = fill_entry(request, set->items[i], &response->entries.items[count++]);
        }
    }
    return rc;
}

void api_describe_client_quotas(struct request *request)
{
    struct describe_client_quotas_response response;
    struct quota_filter filter = {.count = 0};
    const char *wrong = NULL;
    int rc = 0;

    describe_client_quotas_response_init(&response);
    response.error_message = wire_text(NULL);
    response.entries.count = -1;
    if (!request_may_cluster(request)) {
        response.error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
    } else {
        wrong = take_filter(&filter, request->body, &response.error_code);
        response.error_message = wire_text(wrong);
    }
    if (wrong == NULL && response.error_code != KAFKA_CLUSTER_AUTHORIZATION_FAILED) {
        response.error_code = KAFKA_NONE;
        rc = describe(request, &filter, &response);
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_count_error(request, response.error_code);
    request_respond(request, &response);
}

/* ---- alter ---- */

struct quota_entry {
    struct meta_change meta;
    struct quota_change change;
    char host[QUOTA_HOST_SIZE];
    struct alter_client_quotas_response_entry *out;
};

struct quota_changes {
    struct request *request;
    struct alter_client_quotas_response response;
    bool validate_only;
    int32_t pending;
};

static void changes_release(struct quota_changes *changes)
{
    changes->pending -= 1;
    if (changes->pending == 0) {
        request_respond(changes->request, &changes->response);
    }
}

static void refuse(const struct quota_changes *changes,
                   struct alter_client_quotas_response_entry *out, int16_t code, const char *reason)
{
    out->error_code = code;
    out->error_message = wire_text(reason);
    request_count_error(changes->request, code);
}

static void on_changed(struct meta_change *meta)
{
    struct quota_changes *changes = meta->owner;
    const struct quota_entry *entry = mr_container(meta, struct quota_entry, meta);

    if (meta->error != KAFKA_NONE) {
        refuse(changes, entry->out, meta->error, meta->reason);
    }
    changes_release(changes);
}

static int echo_entity(struct request *request, const struct alter_client_quotas_request_entry *in,
                       struct alter_client_quotas_response_entry *out)
{
    int rc = alter_client_quotas_response_entity_array_make(&request->arena, &out->entity,
                                                            in->entity.count);

    for (int32_t i = 0; rc == 0 && i < in->entity.count; i++) {
        out->entity.items[i].entity_type = in->entity.items[i].entity_type;
        out->entity.items[i].entity_name = in->entity.items[i].entity_name;
    }
    return rc;
}

static const char *take_entity(const struct alter_client_quotas_request_entry *in,
                               struct quota_entry *entry)
{
    struct quota_entity *entity = &entry->change.entity;

    for (int32_t i = 0; i < in->entity.count; i++) {
        int type = quota_type_find(in->entity.items[i].entity_type);
        if (type < 0) {
            return "Unhandled client quota entity type";
        }
        if (entity->kinds[type] != QUOTA_ABSENT) {
            return "Invalid client quota entity, duplicate entity entry";
        }
        entity->names[type] = in->entity.items[i].entity_name;
        entity->kinds[type] = entity->names[type].size < 0 ? QUOTA_DEFAULT : QUOTA_NAMED;
    }
    return quota_entity_check(entity, entry->host);
}

/* A rate that is removed without being there is no mistake, and no change. */
static const char *take_ops(const struct alter_client_quotas_request_entry *in,
                            struct quota_change *change)
{
    for (int32_t i = 0; i < in->ops.count; i++) {
        const struct alter_client_quotas_request_op *op = &in->ops.items[i];
        int rate = quota_rate_find(op->key);
        const char *wrong;
        if (rate < 0) {
            return "Invalid configuration key";
        }
        if (change->is_named[rate]) {
            return "Duplicate quota key";
        }
        wrong =
            quota_rate_check(&change->entity, (enum quota_rate)rate, op->remove ? 1 : op->value);
        if (wrong != NULL) {
            return wrong;
        }
        change->is_named[rate] = true;
        change->rates[rate] = op->remove ? 0 : op->value;
    }
    return NULL;
}

static struct wire_string any_name(const struct quota_entity *entity)
{
    for (int type = 0; type < QUOTA_TYPE_COUNT; type++) {
        if (entity->kinds[type] == QUOTA_NAMED) {
            return entity->names[type];
        }
    }
    return wire_text("<default>");
}

static void submit(struct quota_changes *changes, struct quota_entry *entry)
{
    const struct request *request = changes->request;

    entry->meta = (struct meta_change){
        .kind = META_ALTER_QUOTA,
        .name = any_name(&entry->change.entity),
        .quota = &entry->change,
        .validate_only = changes->validate_only,
        .cb = on_changed,
        .owner = changes,
    };
    changes->pending += 1;
    if (!changes->validate_only) {
        mr_info("client quota altered", KV_STR("by", request->connection->principal));
    }
    meta_submit(request->broker->meta, &entry->meta);
}

static void alter_entry(struct quota_changes *changes,
                        const struct alter_client_quotas_request_entry *in,
                        struct quota_entry *entry)
{
    const char *wrong = take_entity(in, entry);

    if (wrong == NULL) {
        wrong = take_ops(in, &entry->change);
    }
    if (wrong != NULL) {
        refuse(changes, entry->out, KAFKA_INVALID_REQUEST, wrong);
    } else if (in->ops.count > 0) {
        submit(changes, entry);
    }
}

void api_alter_client_quotas(struct request *request)
{
    const struct alter_client_quotas_request *body = request->body;
    int32_t count = body->entries.count;
    struct quota_changes *changes = request_alloc(request, sizeof *changes);
    struct quota_entry *entries = NULL;
    bool is_allowed = request_may_cluster(request);
    int rc = MR_ENOMEM;

    if (count > QUOTA_ENTRIES_MAX) {
        request_fail(request, MR_ETOOLARGE);
        return;
    }
    if (changes != NULL) {
        entries = request_alloc(request, ((size_t)count + 1) * sizeof *entries);
        rc = entries == NULL ? MR_ENOMEM
                             : alter_client_quotas_response_entry_array_make(
                                   &request->arena, &changes->response.entries, count);
    }
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        entries[i].out = &changes->response.entries.items[i];
        entries[i].out->error_message = wire_text(NULL);
        rc = echo_entity(request, &body->entries.items[i], entries[i].out);
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    changes->request = request;
    changes->validate_only = body->validate_only;
    changes->pending = 1; /* ours, so that the end comes once */
    for (int32_t i = 0; i < count; i++) {
        if (is_allowed) {
            alter_entry(changes, &body->entries.items[i], &entries[i]);
        } else {
            refuse(changes, entries[i].out, KAFKA_CLUSTER_AUTHORIZATION_FAILED, NULL);
        }
    }
    changes_release(changes);
}
