/* For message.c, decode.c, encode.c and the tests: how the walkers touch the structs. */
#ifndef QUEUE_WIRE_MESSAGE_INTERNAL_H
#define QUEUE_WIRE_MESSAGE_INTERNAL_H

#include <assert.h>
#include <string.h>

#include "queue/wire/message.h"

/* Every array struct is {pointer, int32_t}. The walkers go through memcpy, since they see all of
 * them as this one type. */
struct wire_array_view {
    void *items;
    int32_t count;
};

static_assert(sizeof(struct wire_array_view) == sizeof(struct wire_int32_array) &&
                  offsetof(struct wire_array_view, count) ==
                      offsetof(struct wire_int32_array, count),
              "all arrays look alike");

static inline struct wire_array_view wire_array_load(const void *array)
{
    struct wire_array_view view;

    memcpy(&view, array, sizeof view);
    return view;
}

static inline void wire_array_store(void *array, void *items, int32_t count)
{
    memcpy((uint8_t *)array + offsetof(struct wire_array_view, items), &items, sizeof items);
    memcpy((uint8_t *)array + offsetof(struct wire_array_view, count), &count, sizeof count);
}

static inline bool wire_field_in(const struct wire_field *field, int version)
{
    return version >= field->since && version <= field->until;
}

/* Sets one field of the object to its default. */
void wire_field_init(const struct wire_field *field, void *object);

#endif
