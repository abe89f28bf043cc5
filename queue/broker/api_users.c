/* DescribeUserScramCredentials and AlterUserScramCredentials (KIP-554). The client sends the salted
 * password; what is stored and shown is even less. Reading needs DESCRIBE on the cluster, changing
 * ALTER. */
#include <string.h>

#include "base/core/error.h"
#include "base/core/logger.h"
#include "queue/broker/broker_internal.h"
#include "queue/wire/security.h"

enum { USER_CHANGES_MAX = 1000 }; /* of one request */

/* ---- describe ---- */

typedef struct describe_user_scram_credentials_response_result describe_result;

static int fill_user(struct request *request, const struct user *user, describe_result *out)
{
    int32_t count = 0;
    int rc = describe_user_scram_credentials_response_credential_info_array_make(
        &request->arena, &out->credential_infos, USER_MECHANISMS);

    for (int i = 0; rc == 0 && i < USER_MECHANISMS; i++) {
        if (user->has[i]) {
            out->credential_infos.items[count].mechanism = (int8_t)(i + 1);
            out->credential_infos.items[count].iterations = user->credentials[i].iterations;
            count += 1;
        }
    }
    if (rc == 0) {
        out->credential_infos.count = count;
    }
    return rc;
}

static bool is_repeated(const struct describe_user_scram_credentials_request *body, int32_t place)
{
    for (int32_t i = 0; i < body->users.count; i++) {
        if (i != place &&
            wire_string_equal(body->users.items[i].name, body->users.items[place].name)) {
            return true;
        }
    }
    return false;
}

static int describe_named(struct request *request,
                          struct describe_user_scram_credentials_response *response)
{
    const struct describe_user_scram_credentials_request *body = request->body;
    const struct users *users = &meta_image(request->broker->meta)->users;
    int rc = describe_user_scram_credentials_response_result_array_make(
        &request->arena, &response->results, body->users.count);

    for (int32_t i = 0; rc == 0 && i < body->users.count; i++) {
        struct wire_string name = body->users.items[i].name;
        describe_result *out = &response->results.items[i];
        const struct user *user =
            name.size > 0 ? users_find(users, name.data, (size_t)name.size) : NULL;
        out->user = name;
        out->error_message = wire_text(NULL);
        if (is_repeated(body, i)) {
            out->error_code = KAFKA_DUPLICATE_RESOURCE;
            out->error_message = wire_text("the user is named twice in the request");
        } else if (user == NULL) {
            out->error_code = KAFKA_RESOURCE_NOT_FOUND;
            out->error_message =
                wire_text("attempt to describe a user credential that does not exist");
        } else {
            rc = fill_user(request, user, out);
        }
        request_count_error(request, out->error_code);
    }
    return rc;
}

static int describe_all(struct request *request,
                        struct describe_user_scram_credentials_response *response)
{
    const struct users *users = &meta_image(request->broker->meta)->users;
    const struct user *user;
    size_t cursor = 0;
    int32_t place = 0;
    int rc = describe_user_scram_credentials_response_result_array_make(
        &request->arena, &response->results, (int32_t)users->by_name.count);

    while (rc == 0 && (user = users_next(users, &cursor)) != NULL) {
        describe_result *out = &response->results.items[place++];
        out->user = wire_text(user->name);
        out->error_message = wire_text(NULL);
        rc = fill_user(request, user, out);
    }
    return rc;
}

void api_describe_user_scram_credentials(struct request *request)
{
    const struct describe_user_scram_credentials_request *body = request->body;
    struct describe_user_scram_credentials_response response;
    int rc = 0;

    describe_user_scram_credentials_response_init(&response);
    response.error_message = wire_text(NULL);
    if (!request_may_cluster(request)) {
        response.error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
        request_count_error(request, response.error_code);
    } else if (body->users.count > USER_CHANGES_MAX) {
        response.error_code = KAFKA_INVALID_REQUEST;
        response.error_message = wire_text("too many users in one request");
    } else {
        rc = body->users.count <= 0 ? describe_all(request, &response)
                                    : describe_named(request, &response);
    }
    if (rc != 0) {
        request_fail(request, rc);
        return;
    }
    request_respond(request, &response);
}

/* ---- alter ---- */

struct user_change {
    struct meta_change meta;
    struct mr_scram_credential credential;
    struct alter_user_scram_credentials_response_result *out;
};

/* Either kind of change, as the request has it. */
struct change_in {
    struct wire_string name;
    int8_t mechanism;
    const struct alter_user_scram_credentials_request_upsertion *upsertion; /* NULL: a deletion */
};

struct user_changes {
    struct request *request;
    struct alter_user_scram_credentials_response response;
    int32_t pending;
};

static void changes_release(struct user_changes *changes)
{
    changes->pending -= 1;
    if (changes->pending == 0) {
        request_respond(changes->request, &changes->response);
    }
}

static void on_changed(struct meta_change *meta)
{
    struct user_changes *changes = meta->owner;
    struct user_change *change = mr_container(meta, struct user_change, meta);

    mr_scram_wipe(&change->credential, sizeof change->credential);
    /* The first failure of a user is its answer. */
    if (meta->error != KAFKA_NONE && change->out->error_code == KAFKA_NONE) {
        change->out->error_code = meta->error;
        change->out->error_message = wire_text(meta->reason);
        request_count_error(changes->request, meta->error);
    }
    changes_release(changes);
}

/* One answer per user, as Kafka: the place of the name, a new one if it has none yet. */
static struct alter_user_scram_credentials_response_result *answer_of(struct user_changes *changes,
                                                                      struct wire_string name)
{
    struct alter_user_scram_credentials_response_result_array *results = &changes->response.results;

    for (int32_t i = 0; i < results->count; i++) {
        if (wire_string_equal(results->items[i].user, name)) {
            return &results->items[i];
        }
    }
    results->items[results->count].user = name;
    results->items[results->count].error_message = wire_text(NULL);
    return &results->items[results->count++];
}

static void refuse(struct user_changes *changes,
                   struct alter_user_scram_credentials_response_result *out, int16_t code,
                   const char *reason)
{
    out->error_code = code;
    out->error_message = wire_text(reason);
    request_count_error(changes->request, code);
}

static void submit(struct user_changes *changes, struct user_change *change,
                   const struct change_in *in)
{
    change->out = answer_of(changes, in->name);
    if (change->out->error_code != KAFKA_NONE) {
        return;
    }
    change->meta = (struct meta_change){
        .kind = in->upsertion != NULL ? META_SET_SCRAM : META_REMOVE_SCRAM,
        .name = in->name,
        .mechanism = (enum mr_scram_mechanism)in->mechanism,
        .credential = &change->credential,
        .cb = on_changed,
        .owner = changes,
    };
    changes->pending += 1;
    mr_info(in->upsertion != NULL ? "user credential set" : "user credential removed",
            KV_STR("by", changes->request->connection->principal),
            KV_STR("mechanism", mr_scram_name(change->meta.mechanism)));
    meta_submit(changes->request->broker->meta, &change->meta);
}

static bool is_mechanism(int8_t mechanism)
{
    return mechanism == MR_SCRAM_SHA_256 || mechanism == MR_SCRAM_SHA_512;
}

/* NULL, or what is wrong with it, in Kafka's words. */
static const char *make_credential(const struct alter_user_scram_credentials_request_upsertion *in,
                                   struct user_change *change)
{
    if (in->iterations < MR_SCRAM_ITERATIONS_MIN) {
        return "Too few iterations";
    }
    if (in->iterations > MR_SCRAM_ITERATIONS_MAX) {
        return "Too many iterations";
    }
    return mr_scram_from_salted((enum mr_scram_mechanism)in->mechanism, in->salted_password.data,
                                in->salted_password.size > 0 ? (size_t)in->salted_password.size : 0,
                                in->salt.data, in->salt.size > 0 ? (size_t)in->salt.size : 0,
                                in->iterations, &change->credential) != 0
               ? "salt or salted password of impossible size"
               : NULL;
}

static bool exists(const struct user_changes *changes, const struct change_in *in)
{
    const struct users *users = &meta_image(changes->request->broker->meta)->users;

    return users_credential(users, in->name.data, (size_t)in->name.size,
                            (enum mr_scram_mechanism)in->mechanism) != NULL;
}

/* One wrong change of a user, and none of that user's is made, as in Kafka. */
static void check(struct user_changes *changes, struct user_change *change,
                  const struct change_in *all, int32_t place)
{
    const struct change_in *in = &all[place];
    struct alter_user_scram_credentials_response_result *out = answer_of(changes, in->name);
    const char *wrong = NULL;

    if (out->error_code != KAFKA_NONE) {
        return;
    }
    if (in->name.size <= 0) {
        refuse(changes, out, KAFKA_UNACCEPTABLE_CREDENTIAL, "Username must not be empty");
        return;
    }
    if (!is_mechanism(in->mechanism)) {
        refuse(changes, out, KAFKA_UNSUPPORTED_SASL_MECHANISM, "Unknown SCRAM mechanism");
        return;
    }
    for (int32_t i = 0; i < place; i++) {
        if (all[i].mechanism == in->mechanism && wire_string_equal(all[i].name, in->name)) {
            refuse(changes, out, KAFKA_DUPLICATE_RESOURCE,
                   "A user credential cannot be altered twice in the same request");
            return;
        }
    }
    if (in->upsertion != NULL) {
        wrong = make_credential(in->upsertion, change);
        if (wrong != NULL) {
            refuse(changes, out, KAFKA_UNACCEPTABLE_CREDENTIAL, wrong);
        }
    } else if (!exists(changes, in)) {
        refuse(changes, out, KAFKA_RESOURCE_NOT_FOUND,
               "Attempt to delete a user credential that does not exist");
    }
}

static void list_changes(const struct alter_user_scram_credentials_request *body,
                         struct change_in *all)
{
    for (int32_t i = 0; i < body->deletions.count; i++) {
        all[i] = (struct change_in){.name = body->deletions.items[i].name,
                                    .mechanism = body->deletions.items[i].mechanism};
    }
    for (int32_t i = 0; i < body->upsertions.count; i++) {
        all[body->deletions.count + i] =
            (struct change_in){.name = body->upsertions.items[i].name,
                               .mechanism = body->upsertions.items[i].mechanism,
                               .upsertion = &body->upsertions.items[i]};
    }
}

void api_alter_user_scram_credentials(struct request *request)
{
    const struct alter_user_scram_credentials_request *body = request->body;
    int64_t count = (int64_t)body->deletions.count + body->upsertions.count;
    struct user_changes *changes = request_alloc(request, sizeof *changes);
    struct user_change *items = NULL;
    struct change_in *all = NULL;
    bool is_allowed = request_may_cluster(request);

    if (count > USER_CHANGES_MAX) {
        request_fail(request, MR_ETOOLARGE);
        return;
    }
    if (changes != NULL) {
        items = request_alloc(request, (size_t)(count + 1) * sizeof *items);
        all = request_alloc(request, (size_t)(count + 1) * sizeof *all);
    }
    if (items == NULL || all == NULL ||
        alter_user_scram_credentials_response_result_array_make(
            &request->arena, &changes->response.results, (int32_t)count) != 0) {
        request_fail(request, MR_ENOMEM);
        return;
    }
    changes->request = request;
    changes->response.results.count = 0;
    changes->pending = 1;
    list_changes(body, all);
    for (int32_t i = 0; i < count; i++) {
        if (is_allowed) {
            check(changes, &items[i], all, i);
        } else {
            refuse(changes, answer_of(changes, all[i].name), KAFKA_CLUSTER_AUTHORIZATION_FAILED,
                   NULL);
        }
    }
    for (int32_t i = 0; i < count; i++) {
        submit(changes, &items[i], &all[i]);
    }
    for (int32_t i = 0; i < count; i++) {
        if (items[i].meta.cb == NULL) { /* it was not handed over */
            mr_scram_wipe(&items[i].credential, sizeof items[i].credential);
        }
    }
    changes_release(changes);
}
