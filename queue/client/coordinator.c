/* Who coordinates a group or a transactional id: found once by FindCoordinator, kept until the
 * coordinator denies it. Requests wait in client->parked, marked by the search they wait for. */
#include <string.h>

#include "base/core/memory.h"
#include "queue/client/client_internal.h"
#include "queue/wire/kafka_error.h"
#include "queue/wire/offsets.h"

struct coordinator {
    struct client *client;
    char *key;    /* in the map: "0:group" */
    int32_t node; /* -1: being searched */
    bool is_searching;
    bool is_old; /* nodes below version 4 take one key, not a list */
    struct client_request request;
    struct find_coordinator_request message;
    struct wire_string keys[1];
};

static void coordinator_free(struct coordinator *coordinator)
{
    mr_free(coordinator->key);
    mr_free(coordinator);
}

void coordinators_done(struct client *client)
{
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    while ((entry = mr_map_next(&client->coordinators, &cursor)) != NULL) {
        coordinator_free(entry->value);
    }
}

static char *key_of(const char *key, int8_t type)
{
    return mr_asprintf("%d:%s", type, key);
}

/* All parked requests that wait for this coordinator go on, or end. */
static void release_parked(struct coordinator *coordinator, int rc)
{
    struct client *client = coordinator->client;
    struct mr_link waiting;
    struct mr_link *link;

    mr_list_init(&waiting);
    mr_list_each(&client->parked, parked, next)
    {
        struct client_request *request = mr_container(parked, struct client_request, link);
        if (request->node == CLIENT_NODE_COORDINATOR && request->at == NULL &&
            strcmp(request->coordinator_key, coordinator->key + 2) == 0 &&
            request->coordinator_type == coordinator->key[0] - '0') {
            mr_list_remove(parked);
            mr_list_append(&waiting, parked);
        }
    }
    while ((link = mr_list_pop(&waiting)) != NULL) {
        struct client_request *request = mr_container(link, struct client_request, link);
        int ended = rc != 0 ? rc : request_route(request);
        if (ended != 0) {
            request_finish(request, ended, NULL);
        }
    }
}

static int read_answer(const struct find_coordinator_response *answer, int16_t version,
                       int32_t *ret_node)
{
    if (version < 4) {
        *ret_node = answer->node_id;
        return kafka_error_to_code(answer->error_code);
    }
    if (answer->coordinators.count != 1) {
        return MR_EPROTOCOL;
    }
    *ret_node = answer->coordinators.items[0].node_id;
    return kafka_error_to_code(answer->coordinators.items[0].error_code);
}

static void on_found(struct client_request *request, int rc, const void *response);

static int search(struct coordinator *coordinator)
{
    int rc;

    find_coordinator_request_init(&coordinator->message);
    coordinator->message.key_type = (int8_t)(coordinator->key[0] - '0');
    coordinator->keys[0] = wire_text(coordinator->key + 2);
    if (coordinator->is_old) {
        coordinator->message.key = coordinator->keys[0];
    } else {
        coordinator->message.coordinator_keys = (struct wire_string_array){coordinator->keys, 1};
    }
    coordinator->request = (struct client_request){.key = WIRE_API_FIND_COORDINATOR,
                                                   .message = &coordinator->message,
                                                   .version_max = coordinator->is_old ? 3 : 0,
                                                   .node = CLIENT_NODE_ANY,
                                                   .done = on_found,
                                                   .owner = coordinator};
    rc = client_send(coordinator->client, &coordinator->request);
    if (rc == MR_EUNSUPPORTED && !coordinator->is_old) {
        coordinator->is_old = true;
        return search(coordinator);
    }
    coordinator->is_searching = rc == 0;
    return rc;
}

static void on_found(struct client_request *request, int rc, const void *response)
{
    struct coordinator *coordinator = request->owner;
    struct client *client = coordinator->client;

    coordinator->is_searching = false;
    if (rc == MR_EUNSUPPORTED && !coordinator->is_old && !client->is_closing) {
        coordinator->is_old = true;
        rc = search(coordinator);
        if (rc == 0) {
            return;
        }
    }
    if (rc == 0) {
        rc = read_answer(response, request->version, &coordinator->node);
    }
    if (client->is_closing) {
        return; /* coordinators_done frees it, and parked requests end with the client */
    }
    if (rc != 0) {
        coordinator->node = -1;
    }
    release_parked(coordinator, rc);
    if (coordinator->node < 0 && !coordinator->is_searching) {
        (void)mr_map_remove_text(&client->coordinators, coordinator->key);
        coordinator_free(coordinator);
    }
}

static int coordinator_new(struct client *client, char *key, struct coordinator **ret_coordinator)
{
    struct coordinator *coordinator = mr_calloc(1, sizeof *coordinator);

    if (coordinator == NULL || mr_map_put_text(&client->coordinators, key, coordinator) != 0) {
        mr_free(coordinator);
        return MR_ENOMEM;
    }
    coordinator->client = client;
    coordinator->key = key;
    coordinator->node = -1;
    *ret_coordinator = coordinator;
    return 0;
}

int coordinator_route(struct client_request *request, int32_t *ret_node)
{
    struct client *client = request->client;
    char *key = key_of(request->coordinator_key, request->coordinator_type);
    struct coordinator *coordinator =
        key == NULL ? NULL : mr_map_get_text(&client->coordinators, key);
    bool is_new = coordinator == NULL;
    int rc = key == NULL ? MR_ENOMEM : 0;

    if (rc == 0 && is_new) {
        rc = coordinator_new(client, key, &coordinator);
    }
    if (rc != 0 || !is_new) {
        mr_free(key);
    }
    if (rc != 0) {
        return rc;
    }
    *ret_node = coordinator->node;
    if (coordinator->node >= 0) {
        return 0;
    }
    if (!coordinator->is_searching) {
        rc = search(coordinator);
    }
    if (rc == 0) {
        mr_list_append(&client->parked, &request->link);
    } else if (is_new) {
        (void)mr_map_remove_text(&client->coordinators, coordinator->key);
        coordinator_free(coordinator);
    }
    return rc;
}

void client_coordinator_forget(struct client *client, const char *coordinator_key, int8_t type)
{
    char *key = key_of(coordinator_key, type);
    struct coordinator *coordinator =
        key == NULL ? NULL : mr_map_get_text(&client->coordinators, key);

    if (coordinator != NULL) {
        coordinator->node = -1; /* the next request searches; the entry stays */
    }
    mr_free(key);
}
