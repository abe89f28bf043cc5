/* Frames as they come from a socket: header, then the request that it names. What is accepted can
 * be sent on and is then accepted again. */
#include <stdint.h>

#include "base/core/error.h"
#include "queue/wire/api.h"
#include "queue/wire/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_LIMIT = 1 << 20, OBJECT_SIZE_MAX = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _Alignas(16) uint8_t object[OBJECT_SIZE_MAX];
    struct wire_request request;
    struct wire_writer writer;
    struct wire_arena arena;

    if (wire_request_parse(data, size, &request) != 0) {
        return 0;
    }
    mr_assert(request.api->request->body->size_bytes <= sizeof object);
    wire_arena_init(&arena, ARENA_LIMIT);
    wire_writer_init(&writer);
    if (wire_decode(request.api->request, request.api_version, request.body,
                    request.body_size_bytes, &arena, object) == 0) {
        mr_assert(wire_encode(request.api->request, request.api_version, object, &writer) == 0);
        wire_arena_reset(&arena);
        mr_assert(wire_decode(request.api->request, request.api_version, writer.bytes.data,
                              writer.bytes.size_bytes, &arena, object) == 0);
    }
    wire_writer_done(&writer);
    wire_arena_done(&arena);
    return 0;
}
