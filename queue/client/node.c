/* One node and its connection.
 *
 *   IDLE -request-> CONNECTING -> NEGOTIATING -> READY
 *                        |             |           |
 *                        +------- failure ---------+--> BACKOFF -timer-> IDLE, or CONNECTING if
 *                                                                        requests wait
 *
 * Happy path: the first request connects; ApiVersions is asked (at our highest version, then at
 * what the node answers, KIP-511); then requests go out as they come. Failure: all requests of the
 * node end with the reason, but those that any node may answer move on to the next address, until
 * each was tried. The name is looked up again at each attempt. */
#include <stdio.h>
#include <string.h>

#include "base/core/logger.h"
#include "base/core/memory.h"
#include "queue/client/client_internal.h"
#include "queue/wire/kafka_error.h"

static const char *const state_names[] = {"idle", "connecting", "negotiating", "ready", "backoff"};
static const uint32_t state_moves[] = {
    [NODE_IDLE] = MR_TO(NODE_CONNECTING),
    [NODE_CONNECTING] = MR_TO(NODE_NEGOTIATING) | MR_TO(NODE_BACKOFF),
    [NODE_NEGOTIATING] = MR_TO(NODE_READY) | MR_TO(NODE_BACKOFF),
    [NODE_READY] = MR_TO(NODE_NEGOTIATING) | MR_TO(NODE_BACKOFF), /* a session is renewed */
    [NODE_BACKOFF] = MR_TO(NODE_IDLE),
};
static const struct mr_state_table node_states = {"client node", state_names, state_moves, 5};

enum { THROTTLE_MS_MAX = 10 * 60 * 1000 }; /* nobody makes us wait longer */

static void on_backoff(struct mr_timer *timer);
static void node_connect(struct node *node);
static void on_throttle_over(struct mr_timer *timer);

bool node_is(const struct node *node, enum node_state state)
{
    return node->machine.state == (int)state;
}

struct node *node_new(struct client *client, int32_t id, const struct mr_address *address)
{
    struct node *node = mr_calloc(1, sizeof *node);

    if (node == NULL) {
        return NULL;
    }
    node->client = client;
    node->id = id;
    node->address = *address;
    mr_machine_init(&node->machine, &node_states, NODE_IDLE);
    mr_timer_init(&node->backoff_timer, client->config.loop, on_backoff, node);
    mr_timer_init(&node->throttle_timer, client->config.loop, on_throttle_over, node);
    sasl_init(node);
    mr_list_init(&node->waiting);
    mr_list_init(&node->in_flight);
    mr_bytes_init(&node->in);
    mr_list_append(&client->nodes, &node->link);
    return node;
}

/* Moves all requests of the node to `list`, in order. */
static void take_requests(struct node *node, struct mr_link *list)
{
    struct mr_link *link;

    while ((link = mr_list_pop(&node->in_flight)) != NULL) {
        mr_list_append(list, link);
    }
    while ((link = mr_list_pop(&node->waiting)) != NULL) {
        mr_list_append(list, link);
    }
}

static void disconnect(struct node *node)
{
    mr_timer_stop(&node->throttle_timer); /* it was for this connection */
    sasl_end(node);
    node->is_renewing = false;
    if (node->connect != NULL) {
        mr_connect_cancel(node->connect);
        node->connect = NULL;
    }
    if (node->stream != NULL) {
        mr_stream_close(node->stream, false);
        node->stream = NULL;
    }
    node->in.size_bytes = 0;
    node->in_start = 0;
}

/* May another node answer it, and was there one that has not been tried? */
static bool moves_on(const struct node *node, struct client_request *request)
{
    size_t nodes = 0;

    if (request->node != CLIENT_NODE_ANY || request->head != NULL || node->client->is_closing) {
        return false;
    }
    mr_list_each(&node->client->nodes, link, next)
    {
        nodes++;
    }
    return (size_t)++request->attempts < nodes;
}

static void finish_all(struct node *node, struct mr_link *list, int rc)
{
    struct mr_link *link;

    while ((link = mr_list_pop(list)) != NULL) {
        struct client_request *request = mr_container(link, struct client_request, link);
        if (request == &node->hello) {
            mr_timer_stop(&request->timer);
            frame_release(request);
        } else if (!moves_on(node, request) || request_route(request) != 0) {
            request_finish(request, rc, NULL);
        }
    }
}

void node_free(struct node *node, int rc)
{
    struct mr_link requests;

    mr_list_init(&requests);
    disconnect(node);
    mr_timer_stop(&node->backoff_timer);
    take_requests(node, &requests);
    mr_list_remove(&node->link);
    finish_all(node, &requests, rc);
    mr_bytes_done(&node->in);
    mr_free(node);
}

/* ---- failure ---- */

/* Half of the delay is chance, so that a fleet does not come back in one beat. */
static int64_t backoff_ms(const struct node *node)
{
    const struct client_config *config = &node->client->config;
    int doublings = node->failures > 16 ? 16 : node->failures - 1;
    int64_t delay = config->backoff_ms_min << (doublings < 0 ? 0 : doublings);

    delay = delay > config->backoff_ms_max ? config->backoff_ms_max : delay;
    return delay / 2 + (int64_t)mr_random_below(config->random, (uint64_t)delay / 2 + 1);
}

void node_break(struct node *node, int rc, const char *reason)
{
    struct client *client = node->client;
    char address[MR_ADDRESS_TEXT_SIZE];
    char text[sizeof client->error];
    struct mr_link requests;

    mr_list_init(&requests);
    mr_address_format(&node->address, address, sizeof address);
    (void)snprintf(text, sizeof text, "%s: %s", address, reason);
    client_fail(client, text);
    client_count(client, CLIENT_FAILURES, 1);
    mr_debug("a connection failed", KV_STR("client", client->client_id), KV_STR("reason", text));
    disconnect(node);
    take_requests(node, &requests);
    node->failures = node_is(node, NODE_READY) ? 1 : node->failures + 1;
    mr_state_move(&node->machine, NODE_BACKOFF, address);
    if (mr_timer_start(&node->backoff_timer, backoff_ms(node)) != 0) {
        mr_state_move(&node->machine, NODE_IDLE, address); /* no memory: the next request tries */
    }
    finish_all(node, &requests, rc);
}

static void on_backoff(struct mr_timer *timer)
{
    struct node *node = timer->owner;

    mr_state_move(&node->machine, NODE_IDLE, NULL);
    if (!mr_list_is_empty(&node->waiting)) {
        node_connect(node);
    }
}

/* What an end or error of the stream means to a request that waits for its answer. */
static int broken_code(int rc)
{
    return rc == MR_EPROTOCOL || rc == MR_ETOOLARGE || rc == MR_ENOMEM || rc == MR_EUNSUPPORTED ||
                   rc == MR_EAUTH
               ? rc
               : MR_ENETWORK;
}

/* The transport may know more than a code: with TLS 1.3 our certificate is refused after the
 * handshake. */
static const char *stream_words(const struct node *node, int rc)
{
    const char *words = mr_stream_failure(node->stream);

    return words[0] != '\0' ? words : mr_code_text(rc);
}

static void on_readable(struct mr_stream *stream, void *owner)
{
    struct node *node = owner;
    char words[256];
    int rc = frame_receive(node);

    (void)stream;
    if (rc != 0 && node->stream != NULL) {
        (void)snprintf(words, sizeof words, "%s",
                       node->hello_rc != 0 && node->hello_reason[0] != '\0' ? node->hello_reason
                       : rc == MR_EOF ? "the node closed the connection"
                                      : stream_words(node, rc));
        node_break(node, broken_code(rc), words);
    }
}

static void on_failed(struct mr_stream *stream, void *owner, int code)
{
    struct node *node = owner;
    char words[256];

    (void)stream;
    (void)snprintf(words, sizeof words, "%s", stream_words(node, code));
    node_break(node, broken_code(code), words);
}

static const struct mr_stream_events node_events = {.on_readable = on_readable,
                                                    .on_failed = on_failed};

/* ---- requests ---- */

/* The version to use: 0 and more, or MR_EUNSUPPORTED. */
static int choose_version(const struct node *node, const struct client_request *request)
{
    const struct wire_message *ours = wire_api_find(request->key)->request;
    const struct node_versions *theirs = &node->versions[request->key];
    int16_t max = theirs->max < ours->version_max ? theirs->max : ours->version_max;
    int16_t min = theirs->min > ours->version_min ? theirs->min : ours->version_min;

    if (request->version_max > 0 && request->version_max < max) {
        max = request->version_max;
    }
    return max < min ? MR_EUNSUPPORTED : max;
}

static int node_transmit(struct node *node, struct client_request *request)
{
    int version = choose_version(node, request);
    int rc = version < 0 ? version : frame_send(node, request, version);

    if (rc == 0) {
        mr_list_append(&node->in_flight, &request->link);
    }
    return rc == MR_ECANCELED ? MR_ENETWORK : rc; /* a stream that is about to tell its failure */
}

static int64_t throttle_left_ms(const struct node *node)
{
    return mr_timer_is_running(&node->throttle_timer)
               ? (node->throttle_timer.due_us - mr_loop_now_us(node->client->config.loop)) / 1000 +
                     1
               : 0;
}

int node_submit(struct node *node, struct client_request *request)
{
    if (request->session != 0 &&
        (request->session != node->session || (!node_is(node, NODE_READY) && !node->is_renewing))) {
        return MR_ENETWORK;
    }
    request->at = node;
    if (node_is(node, NODE_READY) && mr_timer_is_running(&node->throttle_timer)) {
        mr_list_append(&node->waiting, &request->link);
        request_give_time(request, throttle_left_ms(node));
        return 0;
    }
    if (node_is(node, NODE_READY)) {
        int rc = node_transmit(node, request);
        request->at = rc == 0 ? node : NULL;
        return rc;
    }
    mr_list_append(&node->waiting, &request->link);
    if (node_is(node, NODE_IDLE)) {
        node_connect(node);
    }
    return 0;
}

static void send_waiting(struct node *node)
{
    struct mr_link waiting;
    struct mr_link *link;

    if (mr_timer_is_running(&node->throttle_timer)) {
        return; /* its end comes here */
    }
    mr_list_init(
        &waiting); /* what callbacks add goes out directly, behind these: they are encoded first */
    while ((link = mr_list_pop(&node->waiting)) != NULL) {
        struct client_request *request = mr_container(link, struct client_request, link);
        int rc = node_transmit(node, request);
        if (rc != 0) {
            request->version = (int16_t)rc;
            mr_list_append(&waiting, link);
        }
    }
    while ((link = mr_list_pop(&waiting)) != NULL) {
        struct client_request *request = mr_container(link, struct client_request, link);
        request_finish(request, request->version, NULL);
    }
}

/* ---- being told to wait ---- */

static void give_time(struct mr_link *list, int64_t more_ms)
{
    mr_list_each(list, link, next)
    {
        request_give_time(mr_container(link, struct client_request, link), more_ms);
    }
}

void node_throttle(struct node *node, int64_t throttle_ms)
{
    throttle_ms = throttle_ms < THROTTLE_MS_MAX ? throttle_ms : THROTTLE_MS_MAX;
    client_count(node->client, CLIENT_THROTTLES, 1);
    client_count(node->client, CLIENT_THROTTLE_MS, throttle_ms);
    if (throttle_left_ms(node) >= throttle_ms ||
        mr_timer_start(&node->throttle_timer, throttle_ms) != 0) {
        return;
    }
    give_time(&node->waiting, throttle_ms);
    give_time(&node->in_flight, throttle_ms);
}

static void on_throttle_over(struct mr_timer *timer)
{
    struct node *node = timer->owner;

    if (node_is(node, NODE_READY)) {
        send_waiting(node);
    }
}

/* ---- connecting and negotiating ---- */

static void on_hello(struct client_request *request, int rc, const void *response);

static void on_hello_timeout(struct mr_timer *timer)
{
    node_break(timer->owner, MR_ETIMEDOUT, "no answer in time while connecting");
}

int node_ask(struct node *node, int16_t key, const void *message, int version, client_done_cb done)
{
    struct client_request *hello = &node->hello;
    int rc;

    *hello = (struct client_request){.key = key,
                                     .message = message,
                                     .done = done,
                                     .owner = node,
                                     .client = node->client,
                                     .at = node};
    node->hello_reason[0] = '\0';
    mr_timer_init(&hello->timer, node->client->config.loop, on_hello_timeout, node);
    node->hello_rc = 0;
    rc = mr_timer_start(&hello->timer,
                        node->client->config.connect_timeout_ms + throttle_left_ms(node));
    if (rc == 0) {
        rc = frame_send(node, hello, version);
    }
    if (rc == 0) {
        mr_list_append(&node->in_flight, &hello->link);
    } else {
        mr_timer_stop(&hello->timer);
    }
    return rc;
}

static int node_hello(struct node *node, int version)
{
    node->hello_message = (struct api_versions_request){
        .client_software_name = wire_text("millrace"),
        .client_software_version = wire_text(MR_VERSION),
    };
    return node_ask(node, WIRE_API_API_VERSIONS, &node->hello_message, version, on_hello);
}

static void take_versions(struct node *node, const struct api_versions_response *answer)
{
    for (int i = 0; i < WIRE_API_KEY_END; i++) {
        node->versions[i] = (struct node_versions){0, -1};
    }
    for (int32_t i = 0; i < answer->api_keys.count; i++) {
        const struct api_versions_response_api_key *key = &answer->api_keys.items[i];
        if (key->api_key >= 0 && key->api_key < WIRE_API_KEY_END) {
            node->versions[key->api_key] =
                (struct node_versions){key->min_version, key->max_version};
        }
    }
}

static void on_hello(struct client_request *request, int rc, const void *response)
{
    struct node *node = request->owner;
    const struct api_versions_response *answer = response;

    mr_assert(rc == 0); /* failures end in node_break, which keeps it silent */
    take_versions(node, answer);
    if (answer->error_code == KAFKA_UNSUPPORTED_VERSION && request->version > 0) {
        int16_t known = node->versions[WIRE_API_API_VERSIONS].max;
        known = known < 0 || known >= request->version ? 0 : known;
        node->hello_rc = node_hello(node, known);
        return;
    }
    if (answer->error_code != 0) {
        mr_warn("a node refuses to say which versions it knows",
                KV_STR("code", kafka_error_name(answer->error_code)));
        node->hello_rc = MR_EUNSUPPORTED;
        return;
    }
    if (node->client->sasl != NULL) {
        node->hello_rc = sasl_begin(node);
    } else {
        node_authenticated(node);
    }
}

void node_authenticated(struct node *node)
{
    mr_state_move(&node->machine, NODE_READY, NULL);
    if (!node->is_renewing) {
        node->session = ++node->client->last_session;
        node->failures = 0;
        node->client->error[0] = '\0';
    }
    node->is_renewing = node->client->sasl != NULL; /* from now on, whenever it happens again */
    send_waiting(node);
}

static void on_connected(void *owner, int rc, struct mr_stream *stream,
                         const struct mr_error *error)
{
    struct node *node = owner;

    node->connect = NULL;
    if (rc != 0) {
        node_break(node, rc == MR_ETIMEDOUT || rc == MR_EAUTH ? rc : MR_ENETWORK, error->text);
        return;
    }
    node->stream = stream;
    mr_stream_set_events(stream, &node_events, node);
    client_count(node->client, CLIENT_CONNECTS, 1);
    mr_state_move(&node->machine, NODE_NEGOTIATING, NULL);
    rc = node_hello(node, api_versions_request_message.version_max);
    if (rc != 0) {
        node_break(node, rc, mr_code_text(rc));
    }
}

static void node_connect(struct node *node)
{
    const struct client_config *config = &node->client->config;
    const struct mr_connect_options options = {.timeout_ms = config->connect_timeout_ms,
                                               .tls = config->tls,
                                               .server_name = node->client->tls_server_name};
    int rc =
        mr_net_connect(config->net, &node->address, &options, on_connected, node, &node->connect);

    mr_state_move(&node->machine, NODE_CONNECTING, NULL);
    if (rc != 0) { /* no memory: the backoff's timer gives it another try */
        node->connect = NULL;
        mr_state_move(&node->machine, NODE_BACKOFF, NULL);
        (void)mr_timer_start(&node->backoff_timer, config->backoff_ms_max);
    }
}
