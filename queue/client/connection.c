/* One connection to one node.
 *
 *   IDLE -> CONNECTING -> VERSIONS -> READY
 *   CONNECTING, VERSIONS, READY -broken-> BACKOFF -timer or request-> IDLE -> ...
 *
 * 1. Connecting fails: all that waits fails with the reason (or goes to another address,
 * client_rotate).
 * 2. The node ends the connection: what is in flight fails with MR_ENETWORK (done or not: nobody
 * knows), what waits is sent after the reconnect.
 * 3. A request times out: it fails, and the connection is closed, since answers come in order and
 * this one blocks the others. */
#include <stdio.h>
#include <string.h>

#include "base/core/memory.h"
#include "base/core/random.h"
#include "base/core/state.h"
#include "queue/client/client_internal.h"
#include "queue/wire/bytes.h"
#include "queue/wire/cluster.h"

static const char *const state_names[] = {"idle", "connecting", "versions", "ready", "backoff"};
static const uint32_t state_moves[] = {
    [CLIENT_IDLE] = MR_TO(CLIENT_CONNECTING),
    [CLIENT_CONNECTING] = MR_TO(CLIENT_VERSIONS) | MR_TO(CLIENT_BACKOFF),
    [CLIENT_VERSIONS] = MR_TO(CLIENT_READY) | MR_TO(CLIENT_BACKOFF),
    [CLIENT_READY] = MR_TO(CLIENT_BACKOFF),
    [CLIENT_BACKOFF] = MR_TO(CLIENT_IDLE),
};
static const struct mr_state_table state_table = {"client", state_names, state_moves, 5};

static void connection_start(struct client_connection *connection);
static void connection_pump(struct client_connection *connection);

bool client_connection_is_ready(const struct client_connection *connection)
{
    return connection->machine.state == CLIENT_READY;
}

/* ---- breaking ---- */

static void request_detach(struct client_request *request)
{
    struct client_connection *connection = request->connection;

    mr_timer_stop(&request->timer);
    mr_list_remove(&request->link);
    if (request->is_in_flight) {
        request->is_in_flight = false;
        connection->in_flight_count -= 1;
    }
}

static void connection_drop_stream(struct client_connection *connection)
{
    struct mr_stream *stream = connection->stream;

    if (connection->connecting != NULL) {
        mr_connect_cancel(connection->connecting);
        connection->connecting = NULL;
    }
    connection->stream = NULL;
    if (stream != NULL) {
        mr_stream_close(stream, false);
    }
    mr_buf_unref(connection->frame);
    connection->frame = NULL;
    connection->prefix_filled = 0;
}

static void connection_backoff(struct client_connection *connection)
{
    struct client *client = connection->client;
    int64_t delay_ms =
        connection->backoff_ms / 2 +
        (int64_t)mr_random_below(client->random, (uint64_t)connection->backoff_ms / 2 + 1);

    connection->backoff_ms *= 2;
    if (connection->backoff_ms > client->backoff_ms_max) {
        connection->backoff_ms = client->backoff_ms_max;
    }
    mr_state_move(&connection->machine, CLIENT_BACKOFF, connection->address_text);
    (void)mr_timer_start(&connection->backoff_timer, delay_ms);
}

void client_connection_break(struct client_connection *connection, int rc, const char *reason)
{
    bool was_ready = client_connection_is_ready(connection);

    if (connection->machine.state == CLIENT_IDLE || connection->machine.state == CLIENT_BACKOFF) {
        return;
    }
    (void)snprintf(connection->reason, sizeof connection->reason, "%s: %s",
                   connection->address_text, reason != NULL ? reason : mr_code_text(rc));
    connection_drop_stream(connection);
    while (!mr_list_is_empty(&connection->in_flight)) {
        struct client_request *request =
            mr_container(connection->in_flight.next, struct client_request, link);
        request_detach(request);
        if (request != &connection->versions) {
            client_request_fail(connection->client, request, rc, connection->reason);
        }
    }
    connection_backoff(connection);
    if (!was_ready) {
        client_rotate(connection->client, connection, rc);
    }
}

static void on_backoff(struct mr_timer *timer)
{
    struct client_connection *connection = timer->owner;

    mr_state_move(&connection->machine, CLIENT_IDLE, connection->address_text);
    if (!mr_list_is_empty(&connection->waiting)) {
        connection_start(connection);
    }
}

/* ---- sending ---- */

static void on_sent(struct mr_stream_piece *piece, int rc)
{
    struct client_request *request = piece->owner;
    struct client_connection *connection = request->connection;

    request->is_sent = true;
    if (request->expects_no_response && rc == 0) {
        request_detach(request);
        client_request_fail(connection->client, request, 0, NULL);
    }
}

static int16_t pick_version(const struct client_connection *connection, const struct wire_api *api,
                            const struct client_request *request)
{
    int16_t high = api->request->version_max;
    int16_t low = api->request->version_min;

    if (high > connection->version_max[api->key]) {
        high = connection->version_max[api->key];
    }
    if (request->version_max > 0 && high > request->version_max) {
        high = request->version_max;
    }
    if (low < connection->version_min[api->key]) {
        low = connection->version_min[api->key];
    }
    if (low < request->version_min) {
        low = request->version_min;
    }
    return high >= low ? high : -1;
}

/* Bytes up to a hole, its memory and its file range, and so on. */
static size_t fill_pieces(struct client_request *request)
{
    const struct wire_writer *writer = &request->writer;
    size_t count = 0;
    size_t at = 0;

    for (size_t i = 0; i <= writer->hole_count; i++) {
        size_t end = i < writer->hole_count ? writer->holes[i].position : writer->bytes.size_bytes;
        const struct client_payload *payload;
        if (end > at) {
            request->pieces[count++].slice =
                (struct mr_slice){NULL, writer->bytes.data + at, end - at};
        }
        at = end;
        if (i == writer->hole_count) {
            break;
        }
        payload = writer->holes[i].payload;
        if (payload->head.size_bytes > 0) {
            request->pieces[count++].slice = payload->head;
        }
        if (payload->size_bytes > 0) {
            request->pieces[count].disk = payload->disk;
            request->pieces[count].fd = payload->fd;
            request->pieces[count].position = payload->position;
            request->pieces[count++].size_bytes = payload->size_bytes;
        }
    }
    return count;
}

static int request_encode(struct client_connection *connection, struct client_request *request)
{
    const struct wire_api *api = wire_api_find(request->api_key);
    struct client *client = connection->client;
    int rc;

    if (api == NULL) {
        return MR_EUNSUPPORTED;
    }
    request->version = pick_version(connection, api, request);
    if (request->version < 0) {
        return MR_EUNSUPPORTED;
    }
    request->correlation_id = client->next_correlation_id;
    client->next_correlation_id = (client->next_correlation_id + 1) & INT32_MAX;
    rc = wire_request_write(&request->writer, api, request->version, request->correlation_id,
                            wire_text(client->client_id), request->body);
    if (rc != 0) {
        return rc;
    }
    request->pieces = mr_calloc(3 * request->writer.hole_count + 1, sizeof *request->pieces);
    if (request->pieces == NULL) {
        return MR_ENOMEM;
    }
    request->piece_count = fill_pieces(request);
    return 0;
}

static int request_queue(struct client_connection *connection, struct client_request *request)
{
    int rc = 0;

    request->is_sent = false;
    request->pieces[request->piece_count - 1].sent = on_sent;
    request->pieces[request->piece_count - 1].owner = request;
    for (size_t i = 0; i < request->piece_count && rc == 0; i++) {
        request->pieces[i].more = i + 1 < request->piece_count;
        rc = mr_stream_send(connection->stream, &request->pieces[i]);
    }
    return rc;
}

static void send_one(struct client_connection *connection, struct client_request *request)
{
    int rc;

    mr_list_remove(&request->link);
    rc = request_encode(connection, request);
    if (rc != 0) {
        mr_timer_stop(&request->timer);
        client_request_fail(connection->client, request, rc,
                            rc == MR_EUNSUPPORTED ? "the node does not support this request"
                                                  : "the request could not be encoded");
        return;
    }
    mr_list_append(&connection->in_flight, &request->link);
    request->is_in_flight = true;
    connection->in_flight_count += 1;
    if (request_queue(connection, request) != 0) {
        client_connection_break(connection, MR_ENETWORK, NULL);
    }
}

static void connection_pump(struct client_connection *connection)
{
    while (client_connection_is_ready(connection) && !mr_list_is_empty(&connection->waiting) &&
           connection->in_flight_count < CLIENT_IN_FLIGHT_MAX) {
        send_one(connection, mr_container(connection->waiting.next, struct client_request, link));
    }
}

/* ---- versions ---- */

static void set_versions(struct client_connection *connection,
                         const struct api_versions_response *response)
{
    for (int i = 0; i < CLIENT_API_COUNT; i++) {
        connection->version_min[i] = 0;
        connection->version_max[i] = -1;
    }
    for (int32_t i = 0; i < response->api_keys.count; i++) {
        const struct api_versions_response_api_key *key = &response->api_keys.items[i];
        if (key->api_key >= 0 && key->api_key < CLIENT_API_COUNT) {
            connection->version_min[key->api_key] = key->min_version;
            connection->version_max[key->api_key] = key->max_version;
        }
    }
}

static const struct api_versions_request versions_body = {
    .client_software_name = {"millrace", 8},
    .client_software_version = {MR_VERSION, sizeof MR_VERSION - 1},
};

static void ask_versions(struct client_connection *connection)
{
    struct client_request *request = &connection->versions;

    request->api_key = WIRE_API_API_VERSIONS;
    request->body = &versions_body;
    request->connection = connection;
    connection->version_min[WIRE_API_API_VERSIONS] = 0;
    connection->version_max[WIRE_API_API_VERSIONS] = connection->asks_old_versions ? 0 : 3;
    mr_free(request->pieces);
    request->pieces = NULL;
    wire_writer_clear(&request->writer);
    (void)mr_timer_start(&request->timer, connection->client->connect_timeout_ms);
    if (request_encode(connection, request) != 0) {
        client_connection_break(connection, MR_ENOMEM, NULL);
        return;
    }
    mr_list_append(&connection->in_flight, &request->link);
    request->is_in_flight = true;
    connection->in_flight_count += 1;
    if (request_queue(connection, request) != 0) {
        client_connection_break(connection, MR_ENETWORK, NULL);
    }
}

/* Error 35 comes with a version 0 body, whatever was asked (KIP-511). */
static void on_versions(struct client_connection *connection, const uint8_t *frame, size_t size)
{
    const struct wire_api *api = wire_api_find(WIRE_API_API_VERSIONS);
    struct api_versions_response response;
    struct wire_arena arena;
    int16_t version = connection->versions.version;
    int rc;

    wire_arena_init(&arena, 1024 * 1024);
    if (size >= 6 && wire_get_int16(frame + 4) == 35) {
        version = 0;
    }
    rc = wire_response_parse(api, version, frame, size, &arena, &response);
    if (rc == 0 && response.error_code == 35 && !connection->asks_old_versions) {
        connection->asks_old_versions = true;
        ask_versions(connection);
    } else if (rc == 0 && response.error_code == 0) {
        set_versions(connection, &response);
        connection->backoff_ms = connection->client->backoff_ms;
        mr_state_move(&connection->machine, CLIENT_READY, connection->address_text);
        connection_pump(connection);
    } else {
        client_connection_break(connection, MR_EPROTOCOL, "no usable ApiVersions answer");
    }
    wire_arena_done(&arena);
}

/* ---- answers ---- */

static void request_answer(struct client_connection *connection, struct client_request *request,
                           const uint8_t *frame, size_t size)
{
    const struct wire_api *api = wire_api_find(request->api_key);
    struct wire_arena arena;
    void *response;
    int rc = MR_ENOMEM;

    wire_arena_init(&arena, (size_t)connection->client->response_size_bytes_max);
    response = wire_arena_alloc(&arena, api->response->body->size_bytes);
    if (response != NULL) {
        rc = wire_response_parse(api, request->version, frame, size, &arena, response);
    }
    mr_free(request->pieces);
    request->pieces = NULL;
    wire_writer_done(&request->writer);
    request->rc = rc;
    request->reason = rc == 0 ? NULL : "the answer could not be decoded";
    request->response = rc == 0 ? response : NULL;
    request->answered_by = connection->node_id;
    request->cb(request);
    wire_arena_done(&arena);
}

/* 0, or the connection has been broken. */
static int connection_answer(struct client_connection *connection, struct mr_buf *frame)
{
    struct client_request *request;
    int32_t correlation_id;

    if (mr_list_is_empty(&connection->in_flight) ||
        wire_response_correlation(frame->data, frame->size_bytes, &correlation_id) != 0) {
        client_connection_break(connection, MR_EPROTOCOL, "an answer that nobody asked for");
        return MR_EPROTOCOL;
    }
    request = mr_container(connection->in_flight.next, struct client_request, link);
    if (request->correlation_id != correlation_id || !request->is_sent) {
        client_connection_break(connection, MR_EPROTOCOL, "answers out of order");
        return MR_EPROTOCOL;
    }
    request_detach(request);
    if (request == &connection->versions) {
        on_versions(connection, frame->data, frame->size_bytes);
    } else {
        request_answer(connection, request, frame->data, frame->size_bytes);
    }
    return connection->stream != NULL ? 0 : MR_EPROTOCOL;
}

static ssize_t read_prefix(struct client_connection *connection)
{
    ssize_t got = mr_stream_read(connection->stream, connection->prefix + connection->prefix_filled,
                                 WIRE_FRAME_PREFIX_SIZE - connection->prefix_filled);
    int32_t size;

    if (got <= 0) {
        return got;
    }
    connection->prefix_filled += (size_t)got;
    if (connection->prefix_filled < WIRE_FRAME_PREFIX_SIZE) {
        return got;
    }
    size = wire_get_int32(connection->prefix);
    if (size < 4 || size > connection->client->response_size_bytes_max) {
        return MR_EPROTOCOL;
    }
    connection->frame_size = (size_t)size;
    connection->frame = mr_buf_new((size_t)size);
    return connection->frame != NULL ? got : MR_ENOMEM;
}

static ssize_t read_frame(struct client_connection *connection)
{
    struct mr_buf *frame = connection->frame;
    ssize_t got = mr_stream_read(connection->stream, frame->data + frame->size_bytes,
                                 connection->frame_size - frame->size_bytes);

    if (got > 0) {
        frame->size_bytes += (size_t)got;
    }
    if (frame->size_bytes == connection->frame_size) {
        int rc;
        connection->frame = NULL;
        connection->prefix_filled = 0;
        rc = connection_answer(connection, frame);
        mr_buf_unref(frame);
        return rc == 0 ? 1 : 0;
    }
    return got;
}

static void on_readable(struct mr_stream *stream, void *owner)
{
    struct client_connection *connection = owner;

    while (connection->stream == stream) {
        ssize_t got = connection->frame == NULL ? read_prefix(connection) : read_frame(connection);
        if (connection->stream != stream || got == MR_EAGAIN) {
            break;
        }
        if (got < 0) {
            client_connection_break(connection, got == MR_EOF ? MR_ENETWORK : (int)got,
                                    got == MR_EOF ? "the node closed the connection" : NULL);
            break;
        }
    }
    connection_pump(connection);
}

static void on_failed(struct mr_stream *stream, void *owner, int code)
{
    (void)stream;
    client_connection_break(owner, code, NULL);
}

/* ---- connecting ---- */

static void on_connected(void *owner, int rc, struct mr_stream *stream,
                         const struct mr_error *error)
{
    static const struct mr_stream_events events = {.on_readable = on_readable,
                                                   .on_failed = on_failed};
    struct client_connection *connection = owner;

    connection->connecting = NULL;
    if (rc != 0) {
        client_connection_break(connection, rc, error != NULL ? error->text : NULL);
        return;
    }
    connection->stream = stream;
    connection->asks_old_versions = false;
    mr_stream_set_events(stream, &events, connection);
    mr_state_move(&connection->machine, CLIENT_VERSIONS, connection->address_text);
    ask_versions(connection);
}

static void connection_start(struct client_connection *connection)
{
    struct client *client = connection->client;
    struct mr_connect_options options = {
        .timeout_ms = client->connect_timeout_ms,
        .tls = client->tls,
        .server_name = client->tls_server_name,
    };

    mr_state_move(&connection->machine, CLIENT_CONNECTING, connection->address_text);
    if (mr_net_connect(client->net, &connection->address, &options, on_connected, connection,
                       &connection->connecting) != 0) {
        client_connection_break(connection, MR_ENOMEM, NULL);
    }
}

static void on_timeout(struct mr_timer *timer)
{
    struct client_request *request = timer->owner;
    struct client_connection *connection = request->connection;

    if (request->is_in_flight) {
        /* Answers come in order, so nothing can come past this one. */
        client_connection_break(connection, MR_ETIMEDOUT, "no answer in time");
        return;
    }
    mr_list_remove(&request->link);
    client_request_fail(connection->client, request, MR_ETIMEDOUT,
                        connection->reason[0] != '\0' ? connection->reason : "not sent in time");
}

void client_connection_send(struct client_connection *connection, struct client_request *request)
{
    struct client *client = connection->client;

    request->connection = connection;
    if (!mr_timer_is_running(&request->timer)) {
        mr_timer_init(&request->timer, client->loop, on_timeout, request);
        (void)mr_timer_start(&request->timer, request->timeout_ms > 0 ? request->timeout_ms
                                                                      : client->request_timeout_ms);
    }
    mr_list_append(&connection->waiting, &request->link);
    if (connection->machine.state == CLIENT_IDLE) {
        connection_start(connection);
    } else {
        connection_pump(connection);
    }
}

int client_connection_new(struct client *client, const struct mr_address *address,
                          bool is_bootstrap, struct client_connection **ret_connection)
{
    struct client_connection *connection = mr_calloc(1, sizeof *connection);

    if (connection == NULL) {
        return MR_ENOMEM;
    }
    connection->client = client;
    connection->address = *address;
    mr_address_format(address, connection->address_text, sizeof connection->address_text);
    connection->node_id = CLIENT_ANY;
    connection->is_bootstrap = is_bootstrap;
    connection->backoff_ms = client->backoff_ms;
    mr_machine_init(&connection->machine, &state_table, CLIENT_IDLE);
    mr_timer_init(&connection->backoff_timer, client->loop, on_backoff, connection);
    mr_timer_init(&connection->versions.timer, client->loop, on_timeout, &connection->versions);
    wire_writer_init(&connection->versions.writer);
    mr_list_init(&connection->waiting);
    mr_list_init(&connection->in_flight);
    mr_list_append(&client->connections, &connection->link);
    *ret_connection = connection;
    return 0;
}

void client_connection_free(struct client_connection *connection)
{
    struct mr_link *link;

    connection_drop_stream(connection);
    while (!mr_list_is_empty(&connection->in_flight)) {
        struct client_request *request =
            mr_container(connection->in_flight.next, struct client_request, link);
        request_detach(request);
        if (request != &connection->versions) {
            client_request_fail(connection->client, request, MR_ECANCELED, "closed");
        }
    }
    while ((link = mr_list_pop(&connection->waiting)) != NULL) {
        struct client_request *request = mr_container(link, struct client_request, link);
        mr_timer_stop(&request->timer);
        client_request_fail(connection->client, request, MR_ECANCELED, "closed");
    }
    mr_timer_stop(&connection->backoff_timer);
    mr_timer_stop(&connection->versions.timer);
    wire_writer_done(&connection->versions.writer);
    mr_free(connection->versions.pieces);
    mr_list_remove(&connection->link);
    mr_free(connection);
}
