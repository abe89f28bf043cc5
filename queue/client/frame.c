/* Frames: requests become pieces of a stream, bytes of a stream become answers.
 *
 *     sent:  [head up to hole 0][payload 0: memory][payload 0: file range][head up to hole 1] ...
 *
 * Nothing of a payload is copied: its file range leaves by sendfile. */
#include <string.h>

#include "base/core/memory.h"
#include "queue/client/client_internal.h"
#include "queue/wire/bytes.h"
#include "queue/wire/writer.h"

enum {
    READ_SIZE = 128 * 1024,
    READ_KEEP = 1024 * 1024, /* a larger buffer is given back once it is empty */
    READ_TURNS_MAX = 8,      /* then others have their turn */
    PIECES_PER_HOLE = 3,
    LOGIN_SIZE = 8 * 1024, /* a password with what is around it; most tokens */
};

/* ---- sending ---- */

static void on_sent(struct mr_stream_piece *piece, int rc)
{
    struct client_request *request = piece->owner;

    (void)rc; /* a broken stream is told by on_failed */
    request->pieces_unsent--;
}

static struct mr_stream_piece *add_piece(struct client_request *request, size_t *count)
{
    struct mr_stream_piece *piece = &request->pieces[(*count)++];

    *piece = (struct mr_stream_piece){.more = true, .sent = on_sent, .owner = request};
    return piece;
}

static void add_memory(struct client_request *request, size_t *count, const uint8_t *data,
                       size_t size)
{
    if (size > 0) {
        add_piece(request, count)->slice = (struct mr_slice){.data = data, .size_bytes = size};
    }
}

static void add_payload(struct client_request *request, size_t *count,
                        const struct client_payload *payload)
{
    add_memory(request, count, payload->memory.data, payload->memory.size_bytes);
    if (payload->size_bytes > 0) {
        struct mr_stream_piece *piece = add_piece(request, count);
        piece->disk = payload->disk;
        piece->fd = payload->fd;
        piece->position = payload->position;
        piece->size_bytes = payload->size_bytes;
    }
}

static int make_pieces(struct client_request *request, struct wire_writer *writer,
                       size_t *ret_count)
{
    size_t count = 0;
    size_t at = 0;

    request->pieces = mr_calloc(writer->hole_count * PIECES_PER_HOLE + 1, sizeof *request->pieces);
    request->head = request->pieces == NULL ? NULL : mr_bytes_take(&writer->bytes);
    if (request->head == NULL) {
        return MR_ENOMEM;
    }
    request->head->is_secret = request->key == WIRE_API_SASL_AUTHENTICATE;
    for (size_t i = 0; i < writer->hole_count; i++) {
        const struct wire_hole *hole = &writer->holes[i];
        const struct client_payload *payload = hole->payload;
        mr_assert((int64_t)payload->memory.size_bytes + payload->size_bytes == hole->size_bytes);
        add_memory(request, &count, request->head->data + at, hole->position - at);
        add_payload(request, &count, payload);
        at = hole->position;
    }
    add_memory(request, &count, request->head->data + at, request->head->size_bytes - at);
    request->pieces[count - 1].more = false;
    *ret_count = count;
    return 0;
}

void frame_release(struct client_request *request)
{
    mr_buf_unref(request->head);
    mr_free(request->pieces);
    request->head = NULL;
    request->pieces = NULL;
}

int frame_send(struct node *node, struct client_request *request, int version)
{
    struct client *client = node->client;
    struct wire_writer writer;
    size_t count = 0;
    int64_t size;
    int rc;

    wire_writer_init(&writer);
    if (request->key == WIRE_API_SASL_AUTHENTICATE) {
        (void)mr_bytes_reserve(&writer.bytes, LOGIN_SIZE); /* growing would leave copies behind */
    }
    request->version = (int16_t)version;
    request->correlation_id = node->next_correlation_id;
    rc = wire_request_write(&writer, wire_api_find(request->key), version, request->correlation_id,
                            wire_text(client->client_id), request->message);
    size = wire_writer_size(&writer);
    if (rc == 0) {
        rc = make_pieces(request, &writer, &count);
    }
    wire_writer_done(&writer);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = mr_stream_send(node->stream, &request->pieces[i]);
        if (rc == 0) {
            request->pieces_unsent++;
        } else if (i > 0) {
            return 0; /* the stream is broken half-way: its on_failed comes and fails all */
        }
    }
    if (rc != 0) {
        frame_release(request);
        return rc;
    }
    node->next_correlation_id = (node->next_correlation_id + 1) & INT32_MAX;
    client_count(client, CLIENT_REQUESTS, 1);
    client_count(client, CLIENT_SENT_BYTES, size);
    return 0;
}

/* ---- receiving ---- */

/* ApiVersions in a version that the node does not know is answered with version 0 (KIP-511). */
static int parse_answer(const struct client_request *request, const uint8_t *frame, size_t size,
                        struct wire_arena *arena, void *ret_answer)
{
    const struct wire_api *api = wire_api_find(request->key);
    int rc = wire_response_parse(api, request->version, frame, size, arena, ret_answer);

    if (rc != 0 && request->key == WIRE_API_API_VERSIONS && request->version > 0) {
        rc = wire_response_parse(api, 0, frame, size, arena, ret_answer);
    }
    return rc == MR_ENOMEM || rc == 0 ? rc : MR_EPROTOCOL;
}

static int32_t throttle_of(const struct wire_api *api, const void *message)
{
    const struct wire_field *row = api->response->body->rows();
    int32_t throttle_ms = 0;

    while (row->kind != WIRE_END && strcmp(row->name, "throttle_time_ms") != 0) {
        row++;
    }
    if (row->kind == WIRE_INT32) {
        memcpy(&throttle_ms, (const char *)message + row->offset, sizeof throttle_ms);
    }
    return throttle_ms;
}

static int answer(struct node *node, const uint8_t *frame, size_t size)
{
    struct client *client = node->client;
    struct client_request *request;
    struct wire_arena arena; /* of its own: the callback may lead to another answer being read */
    int32_t correlation_id;
    int32_t throttle_ms;
    void *message;
    int rc;

    if (mr_list_is_empty(&node->in_flight) ||
        wire_response_correlation(frame, size, &correlation_id) != 0) {
        return MR_EPROTOCOL;
    }
    request = mr_container(node->in_flight.next, struct client_request, link);
    if (correlation_id != request->correlation_id || request->pieces_unsent > 0) {
        return MR_EPROTOCOL;
    }
    wire_arena_init(&arena, client->config.answer_size_bytes_max * 4);
    message = wire_arena_alloc(&arena, wire_api_find(request->key)->response->body->size_bytes);
    rc = message == NULL ? MR_ENOMEM : parse_answer(request, frame, size, &arena, message);
    if (rc == 0) {
        mr_list_remove(&request->link);
        request->answered_node = node->id;
        request->answered_session = node->session;
        throttle_ms = throttle_of(wire_api_find(request->key), message);
        if (throttle_ms > 0) {
            node_throttle(node, throttle_ms);
        }
        request_finish(request, 0, message);
        rc = node->hello_rc;
    }
    wire_arena_done(&arena);
    return rc;
}

/* Answers all whole frames in node->in. */
static int answer_frames(struct node *node)
{
    const struct mr_bytes *in = &node->in;

    while (in->size_bytes - node->in_start >= WIRE_FRAME_PREFIX_SIZE) {
        const uint8_t *at = in->data + node->in_start;
        int32_t size = wire_get_int32(at);
        int rc;
        if (size < WIRE_FRAME_PREFIX_SIZE ||
            (size_t)size > node->client->config.answer_size_bytes_max) {
            return size < WIRE_FRAME_PREFIX_SIZE ? MR_EPROTOCOL : MR_ETOOLARGE;
        }
        if (in->size_bytes - node->in_start - WIRE_FRAME_PREFIX_SIZE < (size_t)size) {
            return 0;
        }
        node->in_start += WIRE_FRAME_PREFIX_SIZE + (size_t)size;
        rc = answer(node, at + WIRE_FRAME_PREFIX_SIZE, (size_t)size);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static void drop_answered(struct node *node)
{
    struct mr_bytes *in = &node->in;
    size_t left = in->size_bytes - node->in_start;

    if (left > 0 && node->in_start > 0) {
        memmove(in->data, in->data + node->in_start, left);
    }
    in->size_bytes = left;
    node->in_start = 0;
    if (left == 0 && in->capacity_bytes > READ_KEEP) {
        mr_bytes_done(in);
        mr_bytes_init(in);
    }
}

/* Room for a whole frame once its length is known: long answers are not moved again and again. */
static size_t room_wanted(const struct node *node)
{
    const struct mr_bytes *in = &node->in;
    size_t wanted = READ_SIZE;

    if (in->size_bytes >= WIRE_FRAME_PREFIX_SIZE) {
        size_t whole = WIRE_FRAME_PREFIX_SIZE + (size_t)wire_get_uint32(in->data);
        wanted = whole > in->size_bytes + wanted ? whole - in->size_bytes : wanted;
    }
    return wanted;
}

int frame_receive(struct node *node)
{
    struct mr_bytes *in = &node->in;

    for (int turns = 0; turns < READ_TURNS_MAX; turns++) {
        size_t wanted = room_wanted(node);
        ssize_t got;
        int rc = mr_bytes_reserve(in, wanted);
        if (rc != 0) {
            return rc;
        }
        got = mr_stream_read(node->stream, in->data + in->size_bytes, wanted);
        if (got == MR_EAGAIN) {
            return 0;
        }
        if (got < 0) {
            return (int)got;
        }
        in->size_bytes += (size_t)got;
        rc = answer_frames(node);
        if (rc != 0) {
            return rc;
        }
        drop_answered(node);
    }
    return 0;
}
