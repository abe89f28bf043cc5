/* The encoder: walks rows and struct side by side. Errors gather in the writer, so that the walk
 * itself stays plain; wire_encode looks once, at the end. */
#include "base/core/error.h"
#include "queue/wire/bytes.h"
#include "queue/wire/message.h"
#include "queue/wire/message_internal.h"
#include "queue/wire/writer.h"

struct encoder {
    struct wire_writer *writer;
    int version;
    bool is_flexible;
};

static void encode_struct(const struct encoder *encoder, const struct wire_struct *type,
                          const void *object);

/* A length or count; classic_bytes 0: compact. */
static void put_length(const struct encoder *encoder, size_t classic_bytes, bool may_be_null,
                       int32_t length)
{
    struct wire_writer *writer = encoder->writer;

    if (length < 0 && !may_be_null) {
        wire_fail(writer, MR_EINVAL);
        return;
    }
    if (length < 0) {
        length = -1;
    }
    if (classic_bytes == 0) {
        wire_write_uvarint(writer, (uint32_t)length + 1);
    } else if (classic_bytes == 4) {
        wire_write_int32(writer, length);
    } else if (length > INT16_MAX) {
        wire_fail(writer, MR_ETOOLARGE);
    } else {
        wire_write_int16(writer, (int16_t)length);
    }
}

static void encode_string(const struct encoder *encoder, bool is_classic, bool may_be_null,
                          const struct wire_string *string)
{
    put_length(encoder, is_classic ? 2 : 0, may_be_null, string->size);
    if (string->size > 0) {
        wire_write(encoder->writer, string->data, (size_t)string->size);
    }
}

static void encode_records(const struct encoder *encoder, bool may_be_null,
                           const struct wire_records *records)
{
    put_length(encoder, encoder->is_flexible ? 0 : 4, may_be_null, records->size);
    if (records->size <= 0) {
        return;
    }
    if (records->payload != NULL) {
        wire_write_hole(encoder->writer, records->payload, records->size);
    } else {
        wire_write(encoder->writer, records->data, (size_t)records->size);
    }
}

static void encode_scalar(const struct encoder *encoder, enum wire_kind kind, const void *value)
{
    struct wire_writer *writer = encoder->writer;
    int64_t bits;

    switch (kind) {
    case WIRE_BOOL:
        wire_write_int8(writer, *(const bool *)value ? 1 : 0);
        break;
    case WIRE_INT8:
        wire_write_int8(writer, *(const int8_t *)value);
        break;
    case WIRE_INT16:
    case WIRE_UINT16:
        wire_write_int16(writer, *(const int16_t *)value);
        break;
    case WIRE_INT32:
        wire_write_int32(writer, *(const int32_t *)value);
        break;
    case WIRE_INT64:
        wire_write_int64(writer, *(const int64_t *)value);
        break;
    case WIRE_FLOAT64:
        memcpy(&bits, value, sizeof bits);
        wire_write_int64(writer, bits);
        break;
    case WIRE_UUID:
        wire_write(writer, value, sizeof(struct mr_uuid));
        break;
    default:
        mr_assert(kind == WIRE_UUID); /* the descriptions name nothing else */
    }
}

static void encode_array(const struct encoder *encoder, const struct wire_field *field,
                         bool may_be_null, const void *value)
{
    struct wire_array_view array = wire_array_load(value);
    size_t item_size = wire_item_size(field);

    put_length(encoder, encoder->is_flexible ? 0 : 4, may_be_null, array.count);
    for (int32_t i = 0; i < array.count && encoder->writer->failed == 0; i++) {
        const uint8_t *item = (const uint8_t *)array.items + (size_t)i * item_size;
        if (field->item == WIRE_STRUCT) {
            encode_struct(encoder, field->body, item);
        } else if (field->item == WIRE_STRING) {
            encode_string(encoder, !encoder->is_flexible, false, (const void *)item);
        } else {
            encode_scalar(encoder, field->item, item);
        }
    }
}

static void encode_optional(const struct encoder *encoder, const struct wire_field *field,
                            const void *value)
{
    const void *object;

    memcpy(&object, value, sizeof object);
    wire_write_int8(encoder->writer, object == NULL ? -1 : 1);
    if (object != NULL) {
        encode_struct(encoder, field->body, object);
    }
}

static void encode_field(const struct encoder *encoder, const struct wire_field *field,
                         const void *object)
{
    const void *value = (const uint8_t *)object + field->offset;
    bool may_be_null = field->is_nullable && encoder->version >= field->null_since;
    const struct wire_bytes *bytes;

    switch ((enum wire_kind)field->kind) {
    case WIRE_STRING:
        encode_string(encoder, !encoder->is_flexible, may_be_null, value);
        break;
    case WIRE_CLASSIC_STRING:
        encode_string(encoder, true, may_be_null, value);
        break;
    case WIRE_BYTES:
        bytes = value;
        put_length(encoder, encoder->is_flexible ? 0 : 4, may_be_null, bytes->size);
        if (bytes->size > 0) {
            wire_write(encoder->writer, bytes->data, (size_t)bytes->size);
        }
        break;
    case WIRE_RECORDS:
        encode_records(encoder, may_be_null, value);
        break;
    case WIRE_ARRAY:
        encode_array(encoder, field, may_be_null, value);
        break;
    case WIRE_STRUCT:
        encode_struct(encoder, field->body, value);
        break;
    case WIRE_OPTIONAL:
        encode_optional(encoder, field, value);
        break;
    default:
        encode_scalar(encoder, field->kind, value);
        break;
    }
}

/* The size of a tagged field stands before it and is known after it: one byte is kept free, and the
 * few fields that are longer than 127 bytes are moved up. There are no holes within tagged fields.
 */
static void encode_tag(const struct encoder *encoder, const struct wire_field *field,
                       const void *object)
{
    struct wire_writer *writer = encoder->writer;
    size_t hole_count = writer->hole_count;
    uint8_t prefix[WIRE_VARINT_SIZE_MAX];
    size_t prefix_size;
    size_t start;
    size_t size;

    wire_write_uvarint(writer, field->tag);
    wire_write_int8(writer, 0);
    start = writer->bytes.size_bytes;
    encode_field(encoder, field, object);
    if (writer->failed != 0) {
        return;
    }
    mr_assert(writer->hole_count == hole_count);
    size = writer->bytes.size_bytes - start;
    if (size > INT32_MAX) {
        wire_fail(writer, MR_ETOOLARGE);
        return;
    }
    prefix_size = (size_t)(wire_put_uvarint(prefix, (uint32_t)size) - prefix);
    if (prefix_size > 1) {
        if (wire_writer_room(writer, prefix_size - 1) == NULL) {
            return;
        }
        memmove(writer->bytes.data + start + prefix_size - 1, writer->bytes.data + start, size);
        writer->bytes.size_bytes += prefix_size - 1;
    }
    memcpy(writer->bytes.data + start - 1, prefix, prefix_size);
}

static bool is_sent_tag(const struct encoder *encoder, const struct wire_field *field,
                        const void *object)
{
    return field->is_tagged && wire_field_in(field, encoder->version) &&
           !wire_field_is_default(field, object);
}

/* Tags ascend on the wire; rows stand in the schema's order, which is nearly always the same. */
static void encode_tags(const struct encoder *encoder, const struct wire_struct *type,
                        const void *object)
{
    const struct wire_field *rows = type->rows();
    const struct wire_field *next;
    uint32_t count = 0;
    int32_t previous = -1;

    for (const struct wire_field *field = rows; field->kind != WIRE_END; field++) {
        count += is_sent_tag(encoder, field, object) ? 1 : 0;
    }
    wire_write_uvarint(encoder->writer, count);
    while (count-- > 0) {
        next = NULL;
        for (const struct wire_field *field = rows; field->kind != WIRE_END; field++) {
            if (is_sent_tag(encoder, field, object) && field->tag > previous &&
                (next == NULL || field->tag < next->tag)) {
                next = field;
            }
        }
        mr_assert(next != NULL); /* no two rows have one tag in one version */
        encode_tag(encoder, next, object);
        previous = next->tag;
    }
}

static void encode_struct(const struct encoder *encoder, const struct wire_struct *type,
                          const void *object)
{
    for (const struct wire_field *field = type->rows(); field->kind != WIRE_END; field++) {
        if (!wire_field_in(field, encoder->version)) {
            if (field->is_required && !wire_field_is_default(field, object)) {
                wire_fail(encoder->writer, MR_EUNSUPPORTED);
            }
        } else if (!field->is_tagged) {
            encode_field(encoder, field, object);
        }
    }
    if (encoder->is_flexible) {
        encode_tags(encoder, type, object);
    }
}

int wire_encode(const struct wire_message *message, int version, const void *object,
                struct wire_writer *writer)
{
    struct encoder encoder = {writer, version, wire_message_is_flexible(message, version)};
    size_t size_before = writer->bytes.size_bytes;
    size_t hole_count_before = writer->hole_count;
    int64_t hole_bytes_before = writer->hole_bytes;
    int rc;

    if (!wire_message_has_version(message, version)) {
        return MR_EUNSUPPORTED;
    }
    if (writer->failed != 0) {
        return writer->failed;
    }
    encode_struct(&encoder, message->body, object);
    rc = writer->failed;
    if (rc != 0) {
        writer->failed = 0;
        writer->bytes.failed = 0;
        writer->bytes.size_bytes = size_before;
        writer->hole_count = hole_count_before;
        writer->hole_bytes = hole_bytes_before;
    }
    return rc;
}
