/* Requests as records: a walk over the description of a message finds the names that it is about,
 * the errors that it was answered with, and its content. What is bytes is not text and may be a
 * secret, so only its size is told. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/core/buffer.h"
#include "base/text/json.h"
#include "queue/broker/audit_internal.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/kafka_error.h"
#include "queue/wire/message.h"

enum {
    DETAILS_SIZE_MAX = 8 * 1024,
    TEXT_SIZE_MAX = 256, /* of one string */
    NAMES_MAX = 16,
    ERRORS_MAX = 8,
};

/* Who asked; in the request's memory. */
struct audited {
    char principal[PRINCIPAL_SIZE];
    char host[HOST_SIZE];
    int64_t uid; /* -1: not by a Unix socket */
};

/* ---- the content ---- */

struct array {
    uint8_t *items;
    int32_t count;
};

struct walk {
    struct mr_json json;
    struct mr_bytes *out;
    size_t size_max;
    bool is_cut;
};

/* Of fields that Kafka's schemas have: "key" is how they call the name of a quota. What is secret
 * in them is bytes besides, whose content is never shown. */
static bool is_secret_field(const char *name)
{
    static const char *const words[] = {"password", "secret", "token", "hmac", "salt", "proof"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasestr(name, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* Of configurations: ssl.keystore.key, sasl.jaas.config. */
static bool is_secret_name(const char *name, size_t size)
{
    static const char *const words[] = {"password", "secret", "token", "jaas",
                                        "salt",     "key",    "hmac",  "proof"};
    char text[TEXT_SIZE_MAX];

    if (size >= sizeof text) {
        return true;
    }
    memcpy(text, name, size);
    text[size] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasestr(text, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool has_room(struct walk *walk)
{
    if (walk->out->size_bytes < walk->size_max) {
        return true;
    }
    walk->is_cut = true;
    return false;
}

static void put_string(struct walk *walk, const struct wire_string *string)
{
    size_t size = string->size > 0 ? (size_t)string->size : 0;

    if (string->size < 0) {
        mr_json_null(&walk->json);
        return;
    }
    walk->is_cut = walk->is_cut || size > TEXT_SIZE_MAX;
    mr_json_string(&walk->json, size > 0 ? string->data : "",
                   size > TEXT_SIZE_MAX ? TEXT_SIZE_MAX : size);
}

static void put_struct(struct walk *walk, const struct wire_struct *type, const uint8_t *object);

static void put_value(struct walk *walk, enum wire_kind kind, const struct wire_struct *body,
                      const uint8_t *at)
{
    char text[MR_UUID_TEXT_SIZE];
    struct wire_bytes bytes;
    const uint8_t *inner;

    switch (kind) {
    case WIRE_BOOL:
        mr_json_bool(&walk->json, *(const bool *)at);
        return;
    case WIRE_INT8:
        mr_json_i64(&walk->json, *(const int8_t *)at);
        return;
    case WIRE_INT16:
        mr_json_i64(&walk->json, *(const int16_t *)(const void *)at);
        return;
    case WIRE_UINT16:
        mr_json_i64(&walk->json, *(const uint16_t *)(const void *)at);
        return;
    case WIRE_INT32:
        mr_json_i64(&walk->json, *(const int32_t *)(const void *)at);
        return;
    case WIRE_INT64:
        mr_json_i64(&walk->json, *(const int64_t *)(const void *)at);
        return;
    case WIRE_FLOAT64:
        mr_json_double(&walk->json, *(const double *)(const void *)at);
        return;
    case WIRE_UUID:
        mr_uuid_format((const struct mr_uuid *)(const void *)at, text);
        mr_json_text(&walk->json, text);
        return;
    case WIRE_STRING:
    case WIRE_CLASSIC_STRING:
        put_string(walk, (const struct wire_string *)(const void *)at);
        return;
    case WIRE_STRUCT:
        put_struct(walk, body, at);
        return;
    case WIRE_OPTIONAL:
        memcpy(&inner, at, sizeof inner);
        if (inner != NULL) {
            put_struct(walk, body, inner);
        } else {
            mr_json_null(&walk->json);
        }
        return;
    default: /* bytes, records */
        memcpy(&bytes, at, sizeof bytes);
        (void)snprintf(text, sizeof text, "(%d bytes)", bytes.size > 0 ? (int)bytes.size : 0);
        mr_json_text(&walk->json, text);
    }
}

static void put_array(struct walk *walk, const struct wire_field *field, const uint8_t *at)
{
    size_t size = wire_item_size(field);
    struct array array;

    memcpy(&array, at, sizeof array);
    mr_json_open_array(&walk->json);
    for (int32_t i = 0; i < array.count && has_room(walk); i++) {
        put_value(walk, (enum wire_kind)field->item, field->body, array.items + (size_t)i * size);
    }
    mr_json_close_array(&walk->json);
}

/* A pair of name and value whose name is like a secret's keeps the value to itself. */
static bool is_named_secret(const struct wire_struct *type, const uint8_t *object)
{
    for (const struct wire_field *field = type->rows(); field->kind != WIRE_END; field++) {
        if (field->kind == WIRE_STRING && strcmp(field->name, "name") == 0) {
            struct wire_string name;
            memcpy(&name, object + field->offset, sizeof name);
            return name.size > 0 && is_secret_name(name.data, (size_t)name.size);
        }
    }
    return false;
}

static void put_struct(struct walk *walk, const struct wire_struct *type, const uint8_t *object)
{
    bool is_secret = is_named_secret(type, object);

    mr_json_open_object(&walk->json);
    for (const struct wire_field *field = type->rows(); field->kind != WIRE_END; field++) {
        if (wire_field_is_default(field, object) || !has_room(walk)) {
            continue;
        }
        mr_json_key(&walk->json, field->name);
        if (is_secret_field(field->name) || (is_secret && strcmp(field->name, "value") == 0)) {
            mr_json_text(&walk->json, "(hidden)");
        } else if (field->kind == WIRE_ARRAY) {
            put_array(walk, field, object + field->offset);
        } else {
            put_value(walk, (enum wire_kind)field->kind, field->body, object + field->offset);
        }
    }
    mr_json_close_object(&walk->json);
}

/* ---- what it is about, and how it went ---- */

struct finding {
    struct wire_string names[NAMES_MAX];
    int name_count;
    int16_t errors[ERRORS_MAX];
    int error_count;
    bool is_denied; /* every error says so */
};

static void find_name(struct finding *finding, struct wire_string name)
{
    for (int i = 0; i < finding->name_count; i++) {
        if (wire_string_equal(finding->names[i], name)) {
            return;
        }
    }
    if (name.size > 0 && finding->name_count < NAMES_MAX) {
        finding->names[finding->name_count++] = name;
    }
}

static bool is_denial(int16_t error)
{
    return error == KAFKA_TOPIC_AUTHORIZATION_FAILED || error == KAFKA_GROUP_AUTHORIZATION_FAILED ||
           error == KAFKA_CLUSTER_AUTHORIZATION_FAILED ||
           error == KAFKA_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
}

static void find_error(struct finding *finding, int16_t error)
{
    if (error == KAFKA_NONE) {
        return;
    }
    finding->is_denied = is_denial(error) && (finding->error_count == 0 || finding->is_denied);
    for (int i = 0; i < finding->error_count; i++) {
        if (finding->errors[i] == error) {
            return;
        }
    }
    if (finding->error_count < ERRORS_MAX) {
        finding->errors[finding->error_count++] = error;
    }
}

/* Fields that say what a request is about; the lists of names have their word, too. */
static bool is_name_field(const char *name)
{
    static const char *const words[] = {"name",        "topic",        "group_id", "resource_name",
                                        "topic_names", "groups_names", "user",     "entity_name"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(name, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void search(struct finding *finding, const struct wire_struct *type, const uint8_t *object,
                   int depth)
{
    for (const struct wire_field *field = type->rows(); field->kind != WIRE_END; field++) {
        const uint8_t *at = object + field->offset;
        bool is_name = is_name_field(field->name) && depth <= 1; /* deeper ones are settings */
        struct wire_string string;
        struct array array;

        if (field->kind == WIRE_STRING && is_name) {
            memcpy(&string, at, sizeof string);
            find_name(finding, string);
        } else if (field->kind == WIRE_INT16 && strcmp(field->name, "error_code") == 0) {
            find_error(finding, *(const int16_t *)(const void *)at);
        } else if (field->kind == WIRE_ARRAY) {
            size_t size = wire_item_size(field);
            memcpy(&array, at, sizeof array);
            for (int32_t i = 0; i < array.count; i++) {
                const uint8_t *item = array.items + (size_t)i * size;
                if (field->item == WIRE_STRUCT) {
                    search(finding, field->body, item, depth + 1);
                } else if (field->item == WIRE_STRING && is_name) {
                    memcpy(&string, item, sizeof string);
                    find_name(finding, string);
                }
            }
        }
    }
}

static const char *resource_word(int resource)
{
    switch (resource) {
    case RESOURCE_TOPIC:
        return "topic:";
    case RESOURCE_GROUP:
        return "group:";
    case RESOURCE_TRANSACTIONAL_ID:
        return "transactional-id:";
    default:
        return "cluster";
    }
}

static const char *operation_word(int operation)
{
    static const char *const words[] = {
        [OPERATION_READ] = "read",
        [OPERATION_WRITE] = "write",
        [OPERATION_CREATE] = "create",
        [OPERATION_DELETE] = "delete",
        [OPERATION_ALTER] = "alter",
        [OPERATION_DESCRIBE] = "describe",
        [OPERATION_CLUSTER_ACTION] = "act for the cluster",
        [OPERATION_DESCRIBE_CONFIGS] = "describe settings",
        [OPERATION_ALTER_CONFIGS] = "alter settings",
        [OPERATION_IDEMPOTENT_WRITE] = "write idempotently",
    };
    size_t place = operation >= 0 ? (size_t)operation : 0;

    return place < sizeof words / sizeof words[0] && words[place] != NULL ? words[place]
                                                                          : "do this";
}

static void put_resources(struct mr_json *json, const struct finding *finding, int resource)
{
    char text[320];

    mr_json_key(json, "resources");
    mr_json_open_array(json);
    if (resource == RESOURCE_CLUSTER || finding->name_count == 0) {
        mr_json_text(json, "cluster");
    } else {
        for (int i = 0; i < finding->name_count; i++) {
            (void)snprintf(text, sizeof text, "%s%.*s", resource_word(resource),
                           (int)finding->names[i].size, finding->names[i].data);
            mr_json_text(json, text);
        }
    }
    mr_json_close_array(json);
}

static void put_outcome(struct mr_json *json, const struct finding *finding, bool is_answered)
{
    audit_put_text(json, "outcome",
                   !is_answered                ? "unknown"
                   : finding->error_count == 0 ? "ok"
                   : finding->is_denied        ? "denied"
                                               : "failed");
    if (finding->error_count > 0) {
        mr_json_key(json, "errors");
        mr_json_open_array(json);
        for (int i = 0; i < finding->error_count; i++) {
            mr_json_text(json, kafka_error_name(finding->errors[i]));
        }
        mr_json_close_array(json);
    }
}

/* ---- the places ---- */

static bool is_change(const struct api_entry *api)
{
    return api->operation == OPERATION_CREATE || api->operation == OPERATION_DELETE ||
           api->operation == OPERATION_ALTER || api->operation == OPERATION_ALTER_CONFIGS;
}

void audit_begin(struct request *request)
{
    const struct connection *connection = request->connection;
    struct audited *audited;
    uid_t uid;
    gid_t gid;
    pid_t pid;

    if (request->broker->audit == NULL || !is_change(request->api)) {
        return;
    }
    audited = request_alloc(request, sizeof *audited);
    if (audited == NULL) {
        audit_trail_lost(request->broker->audit, 1);
        return;
    }
    memcpy(audited->principal, connection->principal, sizeof audited->principal);
    memcpy(audited->host, connection->host, sizeof audited->host);
    audited->uid =
        mr_stream_credentials(connection->stream, &uid, &gid, &pid) == 0 ? (int64_t)uid : -1;
    request->audited = audited;
}

static void put_resource(char *text, size_t size, int resource, const char *name, int32_t name_size)
{
    (void)snprintf(text, size, "%s%.*s", resource_word(resource),
                   resource != RESOURCE_CLUSTER && name_size > 0 ? (int)name_size : 0,
                   name != NULL ? name : "");
}

static void note_denied_change(const struct request *request, const struct audit_event *event,
                               const struct finding *finding)
{
    struct audit_event denied = *event;
    bool has_name = finding->name_count > 0;
    char text[280];

    put_resource(text, sizeof text, request->api->resource,
                 has_name ? finding->names[0].data : NULL, has_name ? finding->names[0].size : 0);
    denied.resource = text;
    denied.outcome = "denied";
    denied.reason = kafka_error_name(finding->errors[0]);
    audit_note_often(request->broker->audit, &denied);
}

void audit_end(struct request *request, const void *response)
{
    const struct audited *audited = request->audited;
    struct audit_trail *trail = request->broker->audit;
    const struct wire_api *api = request->head.api;
    struct finding finding = {.name_count = 0};
    struct mr_bytes text;
    struct walk walk = {.out = &text};

    if (audited == NULL) {
        return;
    }
    request->audited = NULL;
    const struct audit_event event = {
        .principal = audited->principal, .address = audited->host, .action = api->name};
    search(&finding, api->request->body, request->body, 0);
    if (response != NULL) {
        search(&finding, api->response->body, response, 0);
    }
    if (finding.is_denied) { /* of these there may be many: added up, and without their content */
        note_denied_change(request, &event, &finding);
        return;
    }
    mr_bytes_init(&text);
    mr_json_init(&walk.json, &text);
    audit_open_record(trail, &walk.json, &event);
    put_resources(&walk.json, &finding, request->api->resource);
    put_outcome(&walk.json, &finding, response != NULL);
    if (audited->uid >= 0) {
        mr_json_key(&walk.json, "uid");
        mr_json_i64(&walk.json, audited->uid);
    }
    walk.size_max = text.size_bytes + DETAILS_SIZE_MAX;
    mr_json_key(&walk.json, "details");
    put_struct(&walk, api->request->body, request->body);
    if (walk.is_cut) {
        mr_json_key(&walk.json, "cut");
        mr_json_bool(&walk.json, true);
    }
    mr_json_close_object(&walk.json);
    audit_keep(trail, &text);
    mr_bytes_done(&text);
}

void audit_denied(const struct request *request, int operation, int resource, const char *name,
                  int32_t name_size)
{
    struct audit_trail *trail = request->broker->audit;
    char text[280];
    char reason[64];

    /* A change that was denied is told with the change. */
    if (trail == NULL || request->audited != NULL) {
        return;
    }
    put_resource(text, sizeof text, resource, name, name_size);
    (void)snprintf(reason, sizeof reason, "no right to %s", operation_word(operation));
    const struct audit_event event = {.principal = request->connection->principal,
                                      .address = request->connection->host,
                                      .action = request->head.api->name,
                                      .resource = text,
                                      .outcome = "denied",
                                      .reason = reason};
    audit_note_often(trail, &event);
}

void audit_login_failed(const struct connection *connection, const char *user,
                        const char *mechanism, const char *reason)
{
    struct audit_trail *trail = connection->broker->audit;
    char principal[160];
    char words[96];

    if (trail == NULL) {
        return;
    }
    (void)snprintf(principal, sizeof principal, "User:%s", user[0] != '\0' ? user : "ANONYMOUS");
    (void)snprintf(words, sizeof words, "%s: %s", mechanism, reason);
    const struct audit_event event = {.principal = principal,
                                      .address = connection->host,
                                      .action = "Authenticate",
                                      .outcome = "failed",
                                      .reason = words};
    audit_note_often(trail, &event);
}
