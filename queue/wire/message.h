/* Messages described as data, and the one decoder and one encoder that walk the descriptions.
 *
 * A description (fetch.h, produce.h, ...) is a list of rows: type, name, the versions that carry
 * the field, and options. Included once it makes the C struct, included by tables.c it makes the
 * table; so struct and table cannot disagree. Rows stand in wire order. There is no code per
 * message or version.
 *
 * Safety of decoding: each length and count is compared with the bytes that are left before
 * anything is allocated; memory comes from a bounded arena; recursion is as deep as the description
 * nests and no deeper, since descriptions contain no cycles. */
#ifndef QUEUE_WIRE_MESSAGE_H
#define QUEUE_WIRE_MESSAGE_H

#include "queue/wire/types.h"

struct wire_writer;

enum { WIRE_VERSION_LAST = INT16_MAX, WIRE_VERSION_NEVER = INT16_MAX };

enum wire_kind {
    WIRE_END, /* of the rows */
    WIRE_BOOL,
    WIRE_INT8,
    WIRE_INT16,
    WIRE_UINT16,
    WIRE_INT32,
    WIRE_INT64,
    WIRE_FLOAT64,
    WIRE_UUID,
    WIRE_STRING,
    WIRE_CLASSIC_STRING, /* int16 length in flexible versions too: the header's client id */
    WIRE_BYTES,
    WIRE_RECORDS,
    WIRE_ARRAY,    /* of `item` */
    WIRE_STRUCT,   /* embedded */
    WIRE_OPTIONAL, /* pointer to a struct, NULL: null; int8 -1 or 1 on the wire */
    WIRE_KIND_COUNT
};

struct wire_struct;

struct wire_field {
    const char *name;
    uint8_t kind; /* enum wire_kind */
    uint8_t item; /* of an array */
    bool is_nullable;
    bool is_tagged;
    bool is_required; /* a request with a value here must not be sent in a version without the field
                       */
    int16_t since;    /* first version with the field */
    int16_t until;    /* last one */
    int16_t null_since; /* null is allowed from here on */
    uint16_t tag;
    uint32_t offset;
    int64_t
        fallback; /* the value where the field is absent; strings and arrays: 0 empty, -1 null */
    const struct wire_struct *body; /* of STRUCT, OPTIONAL and arrays of structs */
};

/* rows() instead of a pointer: the rows need the struct's name for offsetof, and a function body is
 * the one place where a macro can give that a local name. */
struct wire_struct {
    const char *name;
    size_t size_bytes;
    const struct wire_field *(*rows)(void);
};

struct wire_message {
    const char *name;
    const struct wire_struct *body;
    int16_t version_min;
    int16_t version_max;
    int16_t flexible_since; /* WIRE_VERSION_NEVER */
};

static inline bool wire_message_has_version(const struct wire_message *message, int version)
{
    return version >= message->version_min && version <= message->version_max;
}

static inline bool wire_message_is_flexible(const struct wire_message *message, int version)
{
    return version >= message->flexible_since;
}

/* Sets every field to its default. (The descriptions also give each struct its own <name>_init.) */
void wire_init(const struct wire_struct *type, void *ret_object);

/* An array of structs with their defaults, from the arena; 0 or MR_ENOMEM, then *ret_items is
 * untouched. <name>_array_make is the typed form. */
int wire_items_make(struct wire_arena *arena, const struct wire_struct *type, int32_t count,
                    void **ret_items);

/* Reads one message. The result points into `data` and into the arena; ret_object is half-filled
 * after a failure. MR_EUNSUPPORTED  the version is not described MR_ETRUNCATED    the bytes end too
 * early, or a length or count says so MR_ECORRUPT      negative length, null where none is allowed,
 * tags out of order, overlong varint MR_EPROTOCOL     the message is whole, and bytes are left over
 *   MR_ENOMEM        the arena's limit, or memory */
int wire_decode(const struct wire_message *message, int version, const void *data,
                size_t size_bytes, struct wire_arena *arena, void *ret_object);
/* The same where more may follow (headers; embedded protocols of a newer version): tells how much
 * was read. */
int wire_decode_prefix(const struct wire_message *message, int version, const void *data,
                       size_t size_bytes, struct wire_arena *arena, void *ret_object,
                       size_t *ret_used_bytes);

/* Appends one message. After a failure the writer is as it was before.
 *   MR_EUNSUPPORTED  the version is not described, or lacks a required field that is set
 *   MR_EINVAL        null where none is allowed
 *   MR_ETOOLARGE     a string beyond what its length can say
 *   MR_ENOMEM */
int wire_encode(const struct wire_message *message, int version, const void *object,
                struct wire_writer *writer);

/* Whether a field has the value that it gets when it is absent. */
bool wire_field_is_default(const struct wire_field *field, const void *object);

/* Size in C of one value, and the fewest bytes it takes on the wire. */
size_t wire_item_size(const struct wire_field *array);
size_t wire_struct_size_min(const struct wire_struct *type, int version, bool is_flexible);

#endif
