/* Names that a request repeats, found in one pass: a frame may hold millions of them. */
#include "base/core/error.h"
#include "base/core/map.h"
#include "queue/broker/broker_internal.h"

static int mark(struct mr_map *seen, struct wire_string name, uint8_t *ret_mark)
{
    size_t size = name.size > 0 ? (size_t)name.size : 0;
    const char *data = size > 0 ? name.data : "";
    uint8_t *first = mr_map_get(seen, data, size);

    if (first != NULL) {
        *first = NAME_FIRST;
        *ret_mark = NAME_AGAIN;
        return 0;
    }
    *ret_mark = NAME_ONCE;
    return mr_map_put(seen, data, size, ret_mark, NULL);
}

int names_mark(struct request *request, const void *items, size_t name_offset, size_t stride,
               int32_t count, const uint8_t **ret_marks)
{
    uint8_t *marks = request_alloc(request, (size_t)count + 1);
    struct mr_map seen;
    int rc = marks == NULL ? MR_ENOMEM : 0;

    mr_map_init(&seen);
    for (int32_t i = 0; rc == 0 && i < count; i++) {
        const void *name = (const uint8_t *)items + (size_t)i * stride + name_offset;
        rc = mark(&seen, *(const struct wire_string *)name, &marks[i]);
    }
    mr_map_done(&seen);
    if (rc == 0) {
        *ret_marks = marks;
    }
    return rc;
}
