/* The decoder: walks rows and bytes side by side. What it may believe of a length is written at
 * each take_*(): nothing, until it was compared with what is left. */
#include "base/core/error.h"
#include "queue/wire/bytes.h"
#include "queue/wire/message.h"
#include "queue/wire/message_internal.h"

struct decoder {
    const uint8_t *at;
    const uint8_t *end;
    struct wire_arena *arena;
    int version;
    bool is_flexible;
};

static int decode_struct(struct decoder *decoder, const struct wire_struct *type, void *object);

static size_t left(const struct decoder *decoder)
{
    return (size_t)(decoder->end - decoder->at);
}

static int take_uvarint(struct decoder *decoder, uint32_t *ret_value)
{
    const uint8_t *next = wire_get_uvarint(decoder->at, decoder->end, ret_value);

    if (next == NULL) {
        return left(decoder) < WIRE_VARINT_SIZE_MAX ? MR_ETRUNCATED : MR_ECORRUPT;
    }
    decoder->at = next;
    return 0;
}

/* A length or count in its compact form (plus one, 0 is null) or in `classic_bytes` (-1 is null):
 * -1 and up. A count of n takes at least n bytes, so that neither may exceed what is left. */
static int take_length(struct decoder *decoder, size_t classic_bytes, bool may_be_null,
                       int32_t *ret_length)
{
    int32_t length;

    if (classic_bytes == 0) {
        uint32_t compact = 0;
        int rc = take_uvarint(decoder, &compact);
        if (rc != 0) {
            return rc;
        }
        if (compact > INT32_MAX) {
            return MR_ECORRUPT;
        }
        length = (int32_t)compact - 1;
    } else {
        if (left(decoder) < classic_bytes) {
            return MR_ETRUNCATED;
        }
        length = classic_bytes == 2 ? wire_get_int16(decoder->at) : wire_get_int32(decoder->at);
        decoder->at += classic_bytes;
    }
    if (length < -1 || (length == -1 && !may_be_null)) {
        return MR_ECORRUPT;
    }
    if (length > 0 && (size_t)length > left(decoder)) {
        return MR_ETRUNCATED;
    }
    *ret_length = length;
    return 0;
}

static int take_blob(struct decoder *decoder, size_t classic_bytes, bool may_be_null,
                     const uint8_t **ret_data, int32_t *ret_size)
{
    int32_t size = 0;
    int rc = take_length(decoder, classic_bytes, may_be_null, &size);

    if (rc != 0) {
        return rc;
    }
    *ret_data = size < 0 ? NULL : decoder->at;
    *ret_size = size;
    if (size > 0) {
        decoder->at += size;
    }
    return 0;
}

static int decode_string(struct decoder *decoder, bool is_classic, bool may_be_null,
                         struct wire_string *string)
{
    const uint8_t *data = NULL;
    int rc = take_blob(decoder, is_classic ? 2 : 0, may_be_null, &data, &string->size);

    string->data = (const char *)data;
    return rc;
}

static int decode_scalar(struct decoder *decoder, enum wire_kind kind, void *out)
{
    const uint8_t *at = decoder->at;
    size_t size = 0;
    uint64_t bits;

    switch (kind) {
    case WIRE_BOOL:
    case WIRE_INT8:
        size = 1;
        break;
    case WIRE_INT16:
    case WIRE_UINT16:
        size = 2;
        break;
    case WIRE_INT32:
        size = 4;
        break;
    case WIRE_INT64:
    case WIRE_FLOAT64:
        size = 8;
        break;
    case WIRE_UUID:
        size = 16;
        break;
    default:
        mr_assert(size != 0); /* the descriptions name nothing else */
    }
    if (left(decoder) < size) {
        return MR_ETRUNCATED;
    }
    decoder->at += size;
    switch (kind) {
    case WIRE_BOOL:
        *(bool *)out = *at != 0;
        break;
    case WIRE_INT8:
        *(int8_t *)out = (int8_t)*at;
        break;
    case WIRE_INT16:
    case WIRE_UINT16:
        *(int16_t *)out = wire_get_int16(at);
        break;
    case WIRE_INT32:
        *(int32_t *)out = wire_get_int32(at);
        break;
    case WIRE_INT64:
        *(int64_t *)out = wire_get_int64(at);
        break;
    case WIRE_FLOAT64:
        bits = wire_get_uint64(at);
        memcpy(out, &bits, sizeof bits);
        break;
    default:
        memcpy(out, at, size);
        break;
    }
    return 0;
}

static int decode_item(struct decoder *decoder, const struct wire_field *array, void *out)
{
    switch ((enum wire_kind)array->item) {
    case WIRE_STRUCT:
        return decode_struct(decoder, array->body, out);
    case WIRE_STRING:
        return decode_string(decoder, !decoder->is_flexible, false, out);
    default:
        return decode_scalar(decoder, array->item, out);
    }
}

static int decode_array(struct decoder *decoder, const struct wire_field *field, bool may_be_null,
                        void *out)
{
    size_t item_size = wire_item_size(field);
    uint8_t *items = NULL;
    int32_t count = 0;
    int rc = take_length(decoder, decoder->is_flexible ? 0 : 4, may_be_null, &count);

    if (rc != 0) {
        return rc;
    }
    if (count > 0) {
        /* take_length has checked for one byte per item; a struct takes more, which keeps what a
         * lying request may cost near its own size. */
        if (field->item == WIRE_STRUCT) {
            size_t size_min =
                wire_struct_size_min(field->body, decoder->version, decoder->is_flexible);
            if (size_min > 1 && (size_t)count > left(decoder) / size_min) {
                return MR_ETRUNCATED;
            }
        }
        items = wire_arena_array(decoder->arena, (size_t)count, item_size);
        if (items == NULL) {
            return MR_ENOMEM;
        }
    }
    wire_array_store(out, items, count);
    for (int32_t i = 0; i < count; i++) {
        rc = decode_item(decoder, field, items + (size_t)i * item_size);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int decode_optional(struct decoder *decoder, const struct wire_field *field, void *out)
{
    int8_t presence = 0;
    void *object = NULL;
    int rc = decode_scalar(decoder, WIRE_INT8, &presence);

    if (rc != 0) {
        return rc;
    }
    if (presence != 1 && presence != -1) {
        return MR_ECORRUPT;
    }
    if (presence == 1) {
        object = wire_arena_alloc(decoder->arena, field->body->size_bytes);
        if (object == NULL) {
            return MR_ENOMEM;
        }
    }
    memcpy(out, &object, sizeof object);
    return object == NULL ? 0 : decode_struct(decoder, field->body, object);
}

static int decode_field(struct decoder *decoder, const struct wire_field *field, void *object)
{
    void *out = (uint8_t *)object + field->offset;
    bool may_be_null = field->is_nullable && decoder->version >= field->null_since;
    struct wire_bytes *bytes;
    struct wire_records *records;

    switch ((enum wire_kind)field->kind) {
    case WIRE_STRING:
        return decode_string(decoder, !decoder->is_flexible, may_be_null, out);
    case WIRE_CLASSIC_STRING:
        return decode_string(decoder, true, may_be_null, out);
    case WIRE_BYTES:
        bytes = out;
        return take_blob(decoder, decoder->is_flexible ? 0 : 4, may_be_null, &bytes->data,
                         &bytes->size);
    case WIRE_RECORDS:
        records = out;
        records->payload = NULL;
        return take_blob(decoder, decoder->is_flexible ? 0 : 4, may_be_null, &records->data,
                         &records->size);
    case WIRE_ARRAY:
        return decode_array(decoder, field, may_be_null, out);
    case WIRE_STRUCT:
        return decode_struct(decoder, field->body, out);
    case WIRE_OPTIONAL:
        return decode_optional(decoder, field, out);
    default:
        return decode_scalar(decoder, field->kind, out);
    }
}

static const struct wire_field *find_tag(const struct wire_struct *type, int version, uint32_t tag)
{
    for (const struct wire_field *field = type->rows(); field->kind != WIRE_END; field++) {
        if (field->is_tagged && field->tag == tag && wire_field_in(field, version)) {
            return field;
        }
    }
    return NULL;
}

/* One tagged field fills its size exactly; unknown ones are skipped. */
static int decode_tag(struct decoder *decoder, const struct wire_struct *type, uint32_t tag,
                      void *object)
{
    const struct wire_field *field = find_tag(type, decoder->version, tag);
    const uint8_t *end = decoder->end;
    uint32_t size = 0;
    int rc = take_uvarint(decoder, &size);

    if (rc != 0) {
        return rc;
    }
    if (size > left(decoder)) {
        return MR_ETRUNCATED;
    }
    if (field == NULL) {
        decoder->at += size;
        return 0;
    }
    decoder->end = decoder->at + size;
    rc = decode_field(decoder, field, object);
    if (rc == 0 && decoder->at != decoder->end) {
        rc = MR_ECORRUPT;
    } else if (rc == MR_ETRUNCATED) {
        rc = MR_ECORRUPT; /* the tag's own size was wrong, not the message's */
    }
    decoder->end = end;
    return rc;
}

static int decode_tags(struct decoder *decoder, const struct wire_struct *type, void *object)
{
    uint32_t count = 0;
    int64_t previous = -1;
    int rc = take_uvarint(decoder, &count);

    while (rc == 0 && count > 0) {
        uint32_t tag = 0;
        rc = take_uvarint(decoder, &tag);
        if (rc != 0) {
            return rc;
        }
        if (tag <= previous) {
            return MR_ECORRUPT;
        }
        previous = tag;
        count--;
        rc = decode_tag(decoder, type, tag, object);
    }
    return rc;
}

static int decode_struct(struct decoder *decoder, const struct wire_struct *type, void *object)
{
    for (const struct wire_field *field = type->rows(); field->kind != WIRE_END; field++) {
        int rc;
        if (field->is_tagged || !wire_field_in(field, decoder->version)) {
            wire_field_init(field, object);
            continue;
        }
        rc = decode_field(decoder, field, object);
        if (rc != 0) {
            return rc;
        }
    }
    return decoder->is_flexible ? decode_tags(decoder, type, object) : 0;
}

int wire_decode_prefix(const struct wire_message *message, int version, const void *data,
                       size_t size_bytes, struct wire_arena *arena, void *ret_object,
                       size_t *ret_used_bytes)
{
    struct decoder decoder = {
        .at = data,
        .end = size_bytes == 0 ? data : (const uint8_t *)data + size_bytes, /* data may be NULL */
        .arena = arena,
        .version = version,
        .is_flexible = wire_message_is_flexible(message, version),
    };
    int rc;

    if (!wire_message_has_version(message, version)) {
        return MR_EUNSUPPORTED;
    }
    rc = decode_struct(&decoder, message->body, ret_object);
    if (rc != 0) {
        return rc;
    }
    *ret_used_bytes = size_bytes - left(&decoder);
    return 0;
}

int wire_decode(const struct wire_message *message, int version, const void *data,
                size_t size_bytes, struct wire_arena *arena, void *ret_object)
{
    size_t used_bytes = 0;
    int rc = wire_decode_prefix(message, version, data, size_bytes, arena, ret_object, &used_bytes);

    if (rc != 0) {
        return rc;
    }
    return used_bytes == size_bytes ? 0 : MR_EPROTOCOL;
}
