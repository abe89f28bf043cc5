/* Creating, deleting and growing topics, and deleting records. What is allowed is decided at the
 * door (meta/change.c); here requests become changes, and their outcomes become answers once the
 * last is known. */
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/core/error.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/topics.h"

/* Changes of one request; the answer is sent when all have come back. */
struct topic_changes {
    struct request *request;
    struct meta_change *changes;
    int32_t *mutations; /* of each change: charged to the client's quota (KIP-599) */
    int32_t count;
    int32_t pending;
    void (*finish)(struct topic_changes *changes);
    union {
        struct create_topics_response create;
        struct delete_topics_response remove;
        struct create_partitions_response grow;
    } answer;
};

static struct topic_changes *changes_new(struct request *request, int32_t count,
                                         void (*finish)(struct topic_changes *changes))
{
    struct topic_changes *changes = request_alloc(request, sizeof *changes);

    if (changes == NULL) {
        return NULL;
    }
    changes->request = request;
    changes->count = count;
    changes->finish = finish;
    changes->changes = request_alloc(request, ((size_t)count + 1) * sizeof(struct meta_change));
    changes->mutations = request_alloc(request, ((size_t)count + 1) * sizeof(int32_t));
    return changes->changes != NULL && changes->mutations != NULL ? changes : NULL;
}

static void changes_step(struct topic_changes *changes)
{
    bool has_mutated = false;

    changes->pending -= 1;
    if (changes->pending > 0) {
        return;
    }
    for (int32_t i = 0; i < changes->count; i++) {
        has_mutated = has_mutated || changes->mutations[i] > 0;
        request_count_error(changes->request, changes->changes[i].error);
    }
    if (has_mutated) {
        (void)quota_is_over(changes->request, QUOTA_CONTROLLER_MUTATION_RATE); /* then it waits */
    }
    changes->finish(changes);
}

/* What was not done is not counted. */
static void on_change(struct meta_change *change)
{
    struct topic_changes *changes = change->owner;

    if (change->error != KAFKA_NONE) {
        quota_count(changes->request, QUOTA_CONTROLLER_MUTATION_RATE,
                    -(double)changes->mutations[change - changes->changes]);
        changes->mutations[change - changes->changes] = 0;
    }
    changes_step(changes);
}

static void refuse(struct meta_change *change, int16_t error, const char *reason)
{
    size_t size = strlen(reason);

    change->error = error;
    size = size < sizeof change->reason ? size : sizeof change->reason - 1;
    memcpy(change->reason, reason, size);
    change->reason[size] = '\0';
}

/* How many partitions come or go. */
static int32_t mutations_of(const struct topic_changes *changes, const struct meta_change *change)
{
    const struct image_topic *topic;

    if (change->validate_only) {
        return 0;
    }
    if (change->kind == META_CREATE_TOPIC) {
        return change->partition_count > 0 ? change->partition_count : 0;
    }
    topic = change->name.size > 0 ? image_find(meta_image(changes->request->broker->meta),
                                               change->name.data, (size_t)change->name.size)
                                  : NULL;
    if (topic == NULL) {
        return 0;
    }
    if (change->kind == META_DELETE_TOPIC) {
        return topic->partition_count;
    }
    return change->partition_count > topic->partition_count
               ? change->partition_count - topic->partition_count
               : 0;
}

/* KIP-599: from these versions on clients are told by an error; before, they only have to wait. */
static bool quota_is_strict(const struct request *request)
{
    switch (request->api->key) {
    case WIRE_API_CREATE_TOPICS:
        return request->head.api_version >= 6;
    case WIRE_API_DELETE_TOPICS:
        return request->head.api_version >= 5;
    default:
        return request->head.api_version >= 3; /* CreatePartitions */
    }
}

static void changes_charge(struct topic_changes *changes, int32_t place)
{
    struct request *request = changes->request;
    struct meta_change *change = &changes->changes[place];
    int32_t mutations = mutations_of(changes, change);

    if (mutations == 0) {
        return;
    }
    if (quota_is_strict(request) && quota_is_over(request, QUOTA_CONTROLLER_MUTATION_RATE)) {
        refuse(change, KAFKA_THROTTLING_QUOTA_EXCEEDED, "the throttling quota has been exceeded");
        return;
    }
    changes->mutations[place] = mutations;
    quota_count(request, QUOTA_CONTROLLER_MUTATION_RATE, mutations);
}

/* Submits all that were not refused while they were made. */
static void changes_submit(struct topic_changes *changes)
{
    struct meta *meta = changes->request->broker->meta;

    changes->pending = 1;
    for (int32_t i = 0; i < changes->count; i++) {
        struct meta_change *change = &changes->changes[i];
        if (change->error == KAFKA_NONE) {
            changes_charge(changes, i);
        }
        if (change->error == KAFKA_NONE) {
            change->cb = on_change;
            change->owner = changes;
            changes->pending += 1;
            meta_submit(meta, change);
        }
    }
    changes_step(changes);
}

static struct wire_string reason_of(const struct meta_change *change)
{
    return wire_text(change->reason[0] != '\0' ? change->reason : NULL);
}

/* ---- create ---- */

/* With one node there is one possible assignment of each partition; they must number 0, 1, 2, ...
 */
static void take_assignments(const struct broker *broker,
                             const struct create_topics_request_topic *in,
                             struct meta_change *change)
{
    int64_t sum = 0;

    if (in->num_partitions != -1 || in->replication_factor != -1) {
        refuse(change, KAFKA_INVALID_REQUEST,
               "both partitions or replication factor and assignments are given");
        return;
    }
    for (int32_t i = 0; i < in->assignments.count; i++) {
        const struct create_topics_request_assignment *assignment = &in->assignments.items[i];
        if (assignment->broker_ids.count != 1 ||
            assignment->broker_ids.items[0] != broker->node_id || assignment->partition_index < 0 ||
            assignment->partition_index >= in->assignments.count) {
            refuse(change, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                   "partitions must be numbered from 0 and assigned to existing nodes");
            return;
        }
        sum += assignment->partition_index;
    }
    if (sum != (int64_t)in->assignments.count * (in->assignments.count - 1) / 2) {
        refuse(change, KAFKA_INVALID_REPLICA_ASSIGNMENT, "a partition is assigned twice");
    }
    change->partition_count = in->assignments.count;
    change->replication_factor = 1;
}

static int take_settings(struct request *request, const struct create_topics_request_topic *in,
                         struct meta_change *change)
{
    struct meta_setting *settings =
        request_alloc(request, ((size_t)in->configs.count + 1) * sizeof *settings);

    if (settings == NULL) {
        return MR_ENOMEM;
    }
    for (int32_t i = 0; i < in->configs.count; i++) {
        settings[i] = (struct meta_setting){in->configs.items[i].name, in->configs.items[i].value};
        if (settings[i].value.size < 0 && change->error == KAFKA_NONE) {
            refuse(change, KAFKA_INVALID_CONFIG, "a null value is given");
        }
    }
    change->settings = settings;
    change->setting_count = (size_t)in->configs.count;
    return 0;
}

static int make_create(struct request *request, const struct create_topics_request_topic *in,
                       bool is_repeated, struct meta_change *change)
{
    const struct create_topics_request *body = request->body;

    *change = (struct meta_change){
        .kind = META_CREATE_TOPIC,
        .name = in->name,
        .partition_count =
            in->num_partitions == -1 ? request->broker->default_partitions : in->num_partitions,
        .replication_factor = in->replication_factor == -1 ? 1 : in->replication_factor,
        .validate_only = body->validate_only,
    };
    if (!request_sees(request, OPERATION_CREATE, RESOURCE_CLUSTER, wire_text(NULL)) &&
        !request_may(request, OPERATION_CREATE, RESOURCE_TOPIC, in->name)) {
        refuse(change, KAFKA_TOPIC_AUTHORIZATION_FAILED, "not authorized to create this topic");
    } else if (is_repeated) {
        refuse(change, KAFKA_INVALID_REQUEST, "the topic is named twice in the request");
    } else if (in->assignments.count > 0) {
        take_assignments(request->broker, in, change);
    }
    return take_settings(request, in, change);
}

static const struct meta_setting *setting_of(const struct meta_change *change, int config)
{
    /* Of one that is given twice, the last holds. */
    for (size_t i = change->setting_count; i > 0; i--) {
        if (wire_string_is(change->settings[i - 1].name, topic_configs[config].name)) {
            return &change->settings[i - 1];
        }
    }
    return NULL;
}

static int fill_created_configs(struct request *request, const struct meta_change *change,
                                struct create_topics_response_topic *out)
{
    int rc = create_topics_response_config_array_make(&request->arena, &out->configs,
                                                      TOPIC_CONFIG_COUNT);

    for (int i = 0; rc == 0 && i < TOPIC_CONFIG_COUNT; i++) {
        const struct meta_setting *setting = setting_of(change, i);
        out->configs.items[i].name = wire_text(topic_configs[i].name);
        out->configs.items[i].value =
            setting != NULL ? setting->value : wire_text(topic_configs[i].fallback);
        out->configs.items[i].config_source =
            setting != NULL ? CONFIG_SOURCE_TOPIC : CONFIG_SOURCE_DEFAULT;
    }
    return rc;
}

static void finish_create(struct topic_changes *changes)
{
    struct request *request = changes->request;
    struct create_topics_response *response = &changes->answer.create;
    int rc = 0;

    response->topics.count = changes->count;
    for (int32_t i = 0; rc == 0 && i < changes->count; i++) {
        const struct meta_change *change = &changes->changes[i];
        struct create_topics_response_topic *out = &response->topics.items[i];
        out->name = change->name;
        out->error_code = change->error;
        out->error_message = reason_of(change);
        if (change->error == KAFKA_NONE) {
            out->topic_id = change->id;
            out->num_partitions = change->partition_count;
            out->replication_factor = change->replication_factor;
            rc = fill_created_configs(request, change, out);
        }
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_respond(request, response);
}

void api_create_topics(struct request *request)
{
    const struct create_topics_request *body = request->body;
    struct topic_changes *changes = changes_new(request, body->topics.count, finish_create);
    const struct create_topics_request_topic *items = body->topics.items;
    const uint8_t *marks = NULL;
    int rc = changes == NULL ? MR_ENOMEM : 0;

    if (rc == 0) {
        create_topics_response_init(&changes->answer.create);
        rc = create_topics_response_topic_array_make(
            &request->arena, &changes->answer.create.topics, body->topics.count);
    }
    if (rc == 0) {
        changes->count = 0;
        rc = names_mark(request, items, offsetof(struct create_topics_request_topic, name),
                        sizeof *items, body->topics.count, &marks);
    }
    for (int32_t i = 0; rc == 0 && i < body->topics.count; i++) {
        if (marks[i] != NAME_AGAIN) {
            rc = make_create(request, &items[i], marks[i] == NAME_FIRST,
                             &changes->changes[changes->count++]);
        }
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    changes_submit(changes);
}

/* ---- delete ---- */

static void finish_delete(struct topic_changes *changes)
{
    struct delete_topics_response *response = &changes->answer.remove;

    response->responses.count = changes->count;
    for (int32_t i = 0; i < changes->count; i++) {
        const struct meta_change *change = &changes->changes[i];
        struct delete_topics_response_topic *out = &response->responses.items[i];
        out->name = change->error == KAFKA_UNKNOWN_TOPIC_ID ? wire_text(NULL) : change->name;
        out->topic_id = change->id;
        out->error_code = change->error;
        out->error_message = reason_of(change);
    }
    request_respond(changes->request, response);
}

/* The name of a topic that is asked for by its id; a copy, as the topic goes. */
static void make_delete(struct request *request, struct wire_string name, const struct mr_uuid *id,
                        struct meta_change *change)
{
    *change = (struct meta_change){.kind = META_DELETE_TOPIC, .name = name};
    if (name.size < 0 && (id == NULL || mr_uuid_is_zero(id))) {
        refuse(change, KAFKA_INVALID_REQUEST, "neither a name nor an id is given");
        return;
    }
    if (id != NULL && !mr_uuid_is_zero(id)) {
        const struct image_topic *topic = image_find_id(meta_image(request->broker->meta), id);
        change->id = *id;
        if (topic == NULL || name.size >= 0) {
            refuse(change, topic == NULL ? KAFKA_UNKNOWN_TOPIC_ID : KAFKA_INVALID_REQUEST,
                   topic == NULL ? "no topic has this id" : "both a name and an id are given");
            return;
        }
        change->name = wire_arena_string(&request->arena, topic->name, strlen(topic->name));
    }
    if (!request_may(request, OPERATION_DELETE, RESOURCE_TOPIC, change->name)) {
        refuse(change, KAFKA_TOPIC_AUTHORIZATION_FAILED, "not authorized to delete this topic");
        if (name.size < 0) {
            change->name = name; /* the id does not tell the name */
        }
    }
}

/* A topic that is named twice, be it by name and by id, is not deleted: the answer has it once. */
static int refuse_repeated(struct topic_changes *changes)
{
    struct request *request = changes->request;
    int32_t count = changes->count;
    struct wire_string *keys = request_alloc(request, ((size_t)count + 1) * sizeof *keys);
    const uint8_t *marks = NULL;

    if (keys == NULL) {
        return MR_ENOMEM;
    }
    for (int32_t i = 0; i < count; i++) {
        const struct meta_change *change = &changes->changes[i];
        keys[i] =
            change->name.size < 0 && !mr_uuid_is_zero(&change->id)
                ? (struct wire_string){(const char *)change->id.bytes, sizeof change->id.bytes}
                : change->name;
    }
    if (names_mark(request, keys, 0, sizeof *keys, count, &marks) != 0) {
        return MR_ENOMEM;
    }
    changes->count = 0;
    for (int32_t i = 0; i < count; i++) {
        struct meta_change *change = &changes->changes[changes->count];
        if (marks[i] == NAME_AGAIN) {
            continue;
        }
        *change = changes->changes[i];
        if (marks[i] == NAME_FIRST) {
            refuse(change, KAFKA_INVALID_REQUEST, "the topic is named twice in the request");
        }
        changes->count += 1;
    }
    return 0;
}

void api_delete_topics(struct request *request)
{
    const struct delete_topics_request *body = request->body;
    bool is_by_struct = request->head.api_version >= 6;
    int32_t count = is_by_struct ? body->topics.count : body->topic_names.count;
    struct topic_changes *changes = changes_new(request, count, finish_delete);

    if (changes == NULL || (delete_topics_response_init(&changes->answer.remove),
                            delete_topics_response_topic_array_make(
                                &request->arena, &changes->answer.remove.responses, count)) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        if (is_by_struct) {
            make_delete(request, body->topics.items[i].name, &body->topics.items[i].topic_id,
                        &changes->changes[i]);
        } else {
            make_delete(request, body->topic_names.items[i], NULL, &changes->changes[i]);
        }
    }
    if (refuse_repeated(changes) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    changes_submit(changes);
}

/* ---- more partitions ---- */

static void finish_grow(struct topic_changes *changes)
{
    struct create_partitions_response *response = &changes->answer.grow;

    response->results.count = changes->count;
    for (int32_t i = 0; i < changes->count; i++) {
        struct create_partitions_response_result *out = &response->results.items[i];
        out->name = changes->changes[i].name;
        out->error_code = changes->changes[i].error;
        out->error_message = reason_of(&changes->changes[i]);
    }
    request_respond(changes->request, response);
}

static void check_grow_assignments(const struct request *request,
                                   const struct create_partitions_request_topic *in,
                                   struct meta_change *change)
{
    int16_t error;
    const struct image_topic *topic = request_topic(request, in->name, NULL, &error);

    if (topic == NULL || in->assignments.count < 0) {
        return; /* the door says what is wrong with the topic */
    }
    if (in->assignments.count != in->count - topic->partition_count) {
        refuse(change, KAFKA_INVALID_REPLICA_ASSIGNMENT,
               "as many assignments as new partitions are needed");
        return;
    }
    for (int32_t i = 0; i < in->assignments.count; i++) {
        const struct wire_int32_array *nodes = &in->assignments.items[i].broker_ids;
        if (nodes->count != 1 || nodes->items[0] != request->broker->node_id) {
            refuse(change, KAFKA_INVALID_REPLICA_ASSIGNMENT,
                   "partitions must be assigned to existing nodes");
        }
    }
}

void api_create_partitions(struct request *request)
{
    const struct create_partitions_request *body = request->body;
    const struct create_partitions_request_topic *items = body->topics.items;
    struct topic_changes *changes = changes_new(request, body->topics.count, finish_grow);
    const uint8_t *marks = NULL;

    if (changes == NULL ||
        (create_partitions_response_init(&changes->answer.grow),
         create_partitions_response_result_array_make(
             &request->arena, &changes->answer.grow.results, body->topics.count)) != 0 ||
        names_mark(request, items, offsetof(struct create_partitions_request_topic, name),
                   sizeof *items, body->topics.count, &marks) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    changes->count = 0;
    for (int32_t i = 0; i < body->topics.count; i++) {
        const struct create_partitions_request_topic *in = &items[i];
        struct meta_change *change = &changes->changes[changes->count];
        if (marks[i] == NAME_AGAIN) {
            continue;
        }
        changes->count += 1;
        *change = (struct meta_change){.kind = META_ADD_PARTITIONS,
                                       .name = in->name,
                                       .partition_count = in->count,
                                       .validate_only = body->validate_only};
        if (!request_may(request, OPERATION_ALTER, RESOURCE_TOPIC, in->name)) {
            refuse(change, KAFKA_TOPIC_AUTHORIZATION_FAILED, "not authorized to alter this topic");
        } else if (marks[i] == NAME_FIRST) {
            refuse(change, KAFKA_INVALID_REQUEST, "the topic is named twice in the request");
        } else {
            check_grow_assignments(request, in, change);
        }
    }
    changes_submit(changes);
}

/* ---- records ---- */

static int16_t delete_records(const struct image_topic *topic,
                              const struct delete_records_request_partition *in,
                              struct delete_records_response_partition *out)
{
    int16_t error;
    struct partition *partition = request_partition(topic, in->partition_index, &error);
    int rc;

    if (partition == NULL) {
        return error;
    }
    if (topic->is_local || topic_name_is_reserved(topic->name, strlen(topic->name))) {
        return KAFKA_POLICY_VIOLATION; /* the node itself decides what goes */
    }
    if (!topic_settings_has_word(&topic->settings, TOPIC_CLEANUP_POLICY, "delete")) {
        return KAFKA_POLICY_VIOLATION; /* a compacted topic has nothing but its latest values */
    }
    rc = partition_delete_before(partition, in->offset, NULL);
    out->low_watermark = rc == 0 ? partition_start_offset(partition) : -1;
    return rc == MR_ERANGE ? KAFKA_OFFSET_OUT_OF_RANGE : kafka_error_of(rc);
}

void api_delete_records(struct request *request)
{
    const struct delete_records_request *body = request->body;
    struct delete_records_response response;
    int rc;

    delete_records_response_init(&response);
    rc = delete_records_response_topic_array_make(&request->arena, &response.topics,
                                                  body->topics.count);
    for (int32_t i = 0; rc == 0 && i < body->topics.count; i++) {
        const struct delete_records_request_topic *in = &body->topics.items[i];
        struct delete_records_response_topic *out = &response.topics.items[i];
        int16_t error;
        const struct image_topic *topic = request_topic(request, in->name, NULL, &error);
        out->name = in->name;
        rc = delete_records_response_partition_array_make(&request->arena, &out->partitions,
                                                          in->partitions.count);
        for (int32_t j = 0; rc == 0 && j < in->partitions.count; j++) {
            struct delete_records_response_partition *answer = &out->partitions.items[j];
            answer->partition_index = in->partitions.items[j].partition_index;
            answer->low_watermark = -1;
            answer->error_code =
                topic == NULL ? error : delete_records(topic, &in->partitions.items[j], answer);
            request_count_error(request, answer->error_code);
        }
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_respond(request, &response);
}
