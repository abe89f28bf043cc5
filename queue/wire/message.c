/* What decoder and encoder share: defaults, sizes. */
#include "queue/wire/message.h"

#include "base/core/error.h"
#include "queue/wire/message_internal.h"

static size_t kind_size(enum wire_kind kind)
{
    switch (kind) {
    case WIRE_BOOL:
        return sizeof(bool);
    case WIRE_INT8:
        return 1;
    case WIRE_INT16:
    case WIRE_UINT16:
        return 2;
    case WIRE_INT32:
        return 4;
    case WIRE_INT64:
    case WIRE_FLOAT64:
        return 8;
    case WIRE_UUID:
        return sizeof(struct mr_uuid);
    case WIRE_STRING:
    case WIRE_CLASSIC_STRING:
        return sizeof(struct wire_string);
    case WIRE_BYTES:
        return sizeof(struct wire_bytes);
    case WIRE_RECORDS:
        return sizeof(struct wire_records);
    case WIRE_END:
    case WIRE_ARRAY:
    case WIRE_STRUCT:
    case WIRE_OPTIONAL:
    case WIRE_KIND_COUNT:
        break;
    }
    mr_assert(kind != kind); /* the others have no size of their own */
    return 0;
}

size_t wire_item_size(const struct wire_field *array)
{
    return array->item == WIRE_STRUCT ? array->body->size_bytes : kind_size(array->item);
}

static size_t kind_size_min(enum wire_kind kind, const struct wire_struct *body, int version,
                            bool is_flexible)
{
    switch (kind) {
    case WIRE_STRING:
        return is_flexible ? 1 : 2;
    case WIRE_CLASSIC_STRING:
        return 2;
    case WIRE_BYTES:
    case WIRE_RECORDS:
    case WIRE_ARRAY:
        return is_flexible ? 1 : 4;
    case WIRE_STRUCT:
        return wire_struct_size_min(body, version, is_flexible);
    case WIRE_BOOL:
    case WIRE_OPTIONAL:
        return 1;
    default:
        return kind_size(kind);
    }
}

size_t wire_struct_size_min(const struct wire_struct *type, int version, bool is_flexible)
{
    size_t size = is_flexible ? 1 : 0;

    for (const struct wire_field *field = type->rows(); field->kind != WIRE_END; field++) {
        if (!field->is_tagged && version >= field->since && version <= field->until) {
            size += kind_size_min(field->kind, field->body, version, is_flexible);
        }
    }
    return size;
}

static void field_init(const struct wire_field *field, void *out)
{
    switch ((enum wire_kind)field->kind) {
    case WIRE_BOOL:
        *(bool *)out = field->fallback != 0;
        break;
    case WIRE_INT8:
        *(int8_t *)out = (int8_t)field->fallback;
        break;
    case WIRE_INT16:
    case WIRE_UINT16:
        *(int16_t *)out = (int16_t)field->fallback;
        break;
    case WIRE_INT32:
        *(int32_t *)out = (int32_t)field->fallback;
        break;
    case WIRE_INT64:
        *(int64_t *)out = field->fallback;
        break;
    case WIRE_FLOAT64:
        *(double *)out = (double)field->fallback;
        break;
    case WIRE_UUID:
        memset(out, 0, sizeof(struct mr_uuid));
        break;
    case WIRE_STRING:
    case WIRE_CLASSIC_STRING:
        *(struct wire_string *)out = (struct wire_string){NULL, (int32_t)field->fallback};
        break;
    case WIRE_BYTES:
        *(struct wire_bytes *)out = (struct wire_bytes){NULL, (int32_t)field->fallback};
        break;
    case WIRE_RECORDS:
        *(struct wire_records *)out = (struct wire_records){NULL, (int32_t)field->fallback, NULL};
        break;
    case WIRE_ARRAY:
        wire_array_store(out, NULL, (int32_t)field->fallback);
        break;
    case WIRE_STRUCT:
        wire_init(field->body, out);
        break;
    case WIRE_OPTIONAL:
        memset(out, 0, sizeof(void *));
        break;
    case WIRE_END:
    case WIRE_KIND_COUNT:
        break;
    }
}

void wire_field_init(const struct wire_field *field, void *object)
{
    field_init(field, (uint8_t *)object + field->offset);
}

void wire_init(const struct wire_struct *type, void *ret_object)
{
    for (const struct wire_field *field = type->rows(); field->kind != WIRE_END; field++) {
        wire_field_init(field, ret_object);
    }
}

int wire_items_make(struct wire_arena *arena, const struct wire_struct *type, int32_t count,
                    void **ret_items)
{
    uint8_t *items;

    mr_assert(count >= 0);
    items = wire_arena_array(arena, (size_t)count, type->size_bytes);
    if (items == NULL) {
        return MR_ENOMEM;
    }
    for (int32_t i = 0; i < count; i++) {
        wire_init(type, items + (size_t)i * type->size_bytes);
    }
    *ret_items = items;
    return 0;
}

static bool struct_is_default(const struct wire_struct *type, const void *object)
{
    for (const struct wire_field *field = type->rows(); field->kind != WIRE_END; field++) {
        if (!wire_field_is_default(field, object)) {
            return false;
        }
    }
    return true;
}

/* A size or count: a default of null is left by anything that is not null, also by an empty value.
 */
static bool size_is_default(int32_t size, int64_t fallback)
{
    return fallback < 0 ? size < 0 : size == 0;
}

bool wire_field_is_default(const struct wire_field *field, const void *object)
{
    const uint8_t *value = (const uint8_t *)object + field->offset;
    struct wire_array_view view;
    const void *pointer;
    double number;

    switch ((enum wire_kind)field->kind) {
    case WIRE_BOOL:
        return *(const bool *)value == (field->fallback != 0);
    case WIRE_INT8:
        return *(const int8_t *)value == field->fallback;
    case WIRE_INT16:
        return *(const int16_t *)(const void *)value == field->fallback;
    case WIRE_UINT16:
        return *(const uint16_t *)(const void *)value == field->fallback;
    case WIRE_INT32:
        return *(const int32_t *)(const void *)value == field->fallback;
    case WIRE_INT64:
        return *(const int64_t *)(const void *)value == field->fallback;
    case WIRE_FLOAT64:
        memcpy(&number, value, sizeof number);
        return number >= (double)field->fallback && number <= (double)field->fallback;
    case WIRE_UUID:
        return mr_uuid_is_zero((const struct mr_uuid *)(const void *)value);
    case WIRE_STRING:
    case WIRE_CLASSIC_STRING:
        return size_is_default(((const struct wire_string *)(const void *)value)->size,
                               field->fallback);
    case WIRE_BYTES:
        return size_is_default(((const struct wire_bytes *)(const void *)value)->size,
                               field->fallback);
    case WIRE_RECORDS:
        return size_is_default(((const struct wire_records *)(const void *)value)->size,
                               field->fallback);
    case WIRE_ARRAY:
        view = wire_array_load(value);
        return size_is_default(view.count, field->fallback);
    case WIRE_STRUCT:
        return struct_is_default(field->body, value);
    case WIRE_OPTIONAL:
        memcpy(&pointer, value, sizeof pointer);
        return pointer == NULL;
    case WIRE_END:
    case WIRE_KIND_COUNT:
        break;
    }
    return true;
}
