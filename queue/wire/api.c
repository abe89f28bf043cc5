#include "queue/wire/api.h"

#include "base/core/error.h"
#include "queue/wire/bytes.h"
#include "queue/wire/cluster.h"
#include "queue/wire/configs.h"
#include "queue/wire/fetch.h"
#include "queue/wire/groups.h"
#include "queue/wire/header.h"
#include "queue/wire/offsets.h"
#include "queue/wire/produce.h"
#include "queue/wire/security.h"
#include "queue/wire/topics.h"
#include "queue/wire/transactions.h"
#include "queue/wire/writer.h"

const struct wire_api wire_apis[] = {
#define X(key, word, name, type) {key, #name, &type##_request_message, &type##_response_message},
    WIRE_APIS(X)
#undef X
};
const size_t wire_api_count = sizeof wire_apis / sizeof wire_apis[0];

const struct wire_api *wire_api_find(int key)
{
    size_t low = 0;
    size_t high = wire_api_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (wire_apis[middle].key < key) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < wire_api_count && wire_apis[low].key == key ? &wire_apis[low] : NULL;
}

int16_t wire_api_version_min_shown(const struct wire_api *api)
{
    return api->key == WIRE_API_PRODUCE ? 0 : api->request->version_min;
}

static int request_header_version(const struct wire_api *api, int version)
{
    return wire_message_is_flexible(api->request, version) ? 2 : 1;
}

static int response_header_version(const struct wire_api *api, int version)
{
    /* The one exception (KIP-511): a client must be able to read the answer of a node that did not
     * know the version asked for. */
    if (api->key == WIRE_API_API_VERSIONS) {
        return 0;
    }
    return wire_message_is_flexible(api->response, version) ? 1 : 0;
}

int wire_request_parse(const void *frame, size_t size_bytes, struct wire_request *ret_request)
{
    const uint8_t *data = frame;
    struct wire_arena no_arena; /* a header holds nothing that needs memory */
    struct request_header header;
    size_t used_bytes = 0;
    int rc;

    if (size_bytes < 8) {
        return MR_ETRUNCATED;
    }
    *ret_request = (struct wire_request){
        .api_key = wire_get_int16(data),
        .api_version = wire_get_int16(data + 2),
        .correlation_id = wire_get_int32(data + 4),
        .client_id = {NULL, -1},
        .api = wire_api_find(wire_get_int16(data)),
    };
    if (ret_request->api == NULL ||
        !wire_api_has_version(ret_request->api, ret_request->api_version)) {
        return MR_EUNSUPPORTED;
    }
    wire_arena_init(&no_arena, 0);
    rc = wire_decode_prefix(&request_header_message,
                            request_header_version(ret_request->api, ret_request->api_version),
                            frame, size_bytes, &no_arena, &header, &used_bytes);
    if (rc != 0) {
        return rc;
    }
    ret_request->client_id = header.client_id;
    ret_request->body = data + used_bytes;
    ret_request->body_size_bytes = size_bytes - used_bytes;
    return 0;
}

/* Where a frame began, to fill in its length, or to take it back. */
struct frame_start {
    size_t position;
    size_t hole_count;
    int64_t hole_bytes;
};

static struct frame_start frame_begin(struct wire_writer *writer)
{
    struct frame_start start = {writer->bytes.size_bytes, writer->hole_count, writer->hole_bytes};

    wire_write_int32(writer, 0);
    return start;
}

static int frame_end(struct wire_writer *writer, const struct frame_start *start, int rc)
{
    int64_t size_bytes = (int64_t)(writer->bytes.size_bytes - start->position) -
                         WIRE_FRAME_PREFIX_SIZE + writer->hole_bytes - start->hole_bytes;

    if (rc == 0 && writer->failed != 0) {
        rc = writer->failed;
    }
    if (rc == 0 && size_bytes > INT32_MAX) {
        rc = MR_ETOOLARGE;
    }
    if (rc != 0) {
        writer->bytes.size_bytes = start->position;
        writer->bytes.failed = 0;
        writer->hole_count = start->hole_count;
        writer->hole_bytes = start->hole_bytes;
        writer->failed = 0;
        return rc;
    }
    wire_put_int32(writer->bytes.data + start->position, (int32_t)size_bytes);
    return 0;
}

int wire_request_write(struct wire_writer *writer, const struct wire_api *api, int version,
                       int32_t correlation_id, struct wire_string client_id, const void *request)
{
    struct request_header header = {api->key, (int16_t)version, correlation_id, client_id};
    struct frame_start start = frame_begin(writer);
    int rc =
        wire_encode(&request_header_message, request_header_version(api, version), &header, writer);

    if (rc == 0) {
        rc = wire_encode(api->request, version, request, writer);
    }
    return frame_end(writer, &start, rc);
}

int wire_response_write(struct wire_writer *writer, const struct wire_api *api, int version,
                        int32_t correlation_id, const void *response)
{
    struct response_header header = {correlation_id};
    struct frame_start start = frame_begin(writer);
    int rc = wire_encode(&response_header_message, response_header_version(api, version), &header,
                         writer);

    if (rc == 0) {
        rc = wire_encode(api->response, version, response, writer);
    }
    return frame_end(writer, &start, rc);
}

int wire_response_correlation(const void *frame, size_t size_bytes, int32_t *ret_correlation_id)
{
    if (size_bytes < 4) {
        return MR_ETRUNCATED;
    }
    *ret_correlation_id = wire_get_int32(frame);
    return 0;
}

int wire_response_parse(const struct wire_api *api, int version, const void *frame,
                        size_t size_bytes, struct wire_arena *arena, void *ret_response)
{
    struct response_header header;
    size_t used_bytes = 0;
    int rc = wire_decode_prefix(&response_header_message, response_header_version(api, version),
                                frame, size_bytes, arena, &header, &used_bytes);

    if (rc != 0) {
        return rc;
    }
    return wire_decode(api->response, version, (const uint8_t *)frame + used_bytes,
                       size_bytes - used_bytes, arena, ret_response);
}
