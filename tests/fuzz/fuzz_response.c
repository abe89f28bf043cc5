/* Responses and the records of internal topics: the first byte chooses the message, the second the
 * version. */
#include <stdint.h>

#include "base/core/error.h"
#include "queue/wire/api.h"
#include "queue/wire/writer.h"
#include "tests/lib/wire_messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_LIMIT = 1 << 20, OBJECT_SIZE_MAX = 512 };

static const struct wire_message *choose(uint8_t number)
{
    size_t lone_count = sizeof lone_messages / sizeof lone_messages[0];
    size_t place = number % (wire_api_count + lone_count);

    return place < wire_api_count ? wire_apis[place].response
                                  : lone_messages[place - wire_api_count];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _Alignas(16) uint8_t object[OBJECT_SIZE_MAX];
    const struct wire_message *message;
    struct wire_writer writer;
    struct wire_arena arena;
    int version;

    if (size < 2) {
        return 0;
    }
    message = choose(data[0]);
    version = message->version_min + data[1] % (message->version_max - message->version_min + 1);
    mr_assert(message->body->size_bytes <= sizeof object);
    wire_arena_init(&arena, ARENA_LIMIT);
    wire_writer_init(&writer);
    if (wire_decode(message, version, data + 2, size - 2, &arena, object) == 0) {
        mr_assert(wire_encode(message, version, object, &writer) == 0);
        wire_arena_reset(&arena);
        mr_assert(wire_decode(message, version, writer.bytes.data, writer.bytes.size_bytes, &arena,
                              object) == 0);
    }
    wire_writer_done(&writer);
    wire_arena_done(&arena);
    return 0;
}
