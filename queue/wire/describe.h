/* The words in which messages are described; every description file opens with this header and
 * closes with describe_done.h. Without an include guard, for they have two meanings: a struct with
 * its helpers, and, where WIRE_TABLES is defined (tables.c), the rows.
 *
 *     STRUCT(fetch_request_partition)
 *     INT32(partition, 0, LAST)                        name, first and last version
 *     INT32(current_leader_epoch, 9, LAST, DEFAULT(-1))
 *     UUID(replica_directory_id, 17, LAST, TAG(0))     a tagged field
 *     END_STRUCT(fetch_request_partition)
 *
 *     STRUCT(fetch_request_topic)
 *     STRING(topic, 0, 12)
 *     UUID(topic_id, 13, LAST)
 *     ARRAY(fetch_request_partition, partitions, 0, LAST)
 *     END_STRUCT(fetch_request_topic)
 *
 *     MESSAGE(fetch_request, 4, 18, 12)                versions described, first flexible one
 *
 * gives struct fetch_request_partition { int32_t partition; ... }, struct
 * fetch_request_partition_array {items, count}, fetch_request_partition_init(),
 * fetch_request_partition_array_make(), and fetch_request_message to encode and decode with.
 *
 * Options: DEFAULT(n) and DEFAULT_NULL (value where absent; else zero, false, empty),
 * NULLABLE(since), TAG(n), REQUIRED (a requester must not drop it silently for an old version). A
 * struct stands before those that contain it. */

#define LAST WIRE_VERSION_LAST

#ifdef WIRE_TABLES

/* clang-format off */
#define STRUCT(type)                                                                               \
    static const struct wire_field *type##_rows(void)                                              \
    {                                                                                              \
        typedef struct type self;                                                                  \
        static const struct wire_field rows[] = {
#define END_STRUCT(type)                                                                           \
            {.kind = WIRE_END}};                                                                   \
        return rows;                                                                               \
    }                                                                                              \
    const struct wire_struct type##_wire = {#type, sizeof(struct type), type##_rows};
/* clang-format on */
#define MESSAGE(type, min, max, flexible)                                                          \
    const struct wire_message type##_message = {#type, &type##_wire, min, max, flexible};

#define WIRE_ROW(field_kind, field, first, last, ...)                                              \
    {.name = #field,                                                                               \
     .kind = WIRE_##field_kind,                                                                    \
     .offset = offsetof(self, field),                                                              \
     .since = first,                                                                               \
     .until = last,                                                                                \
     ##__VA_ARGS__},
#define WIRE_LIST(item_kind, field, first, last, ...)                                              \
    WIRE_ROW(ARRAY, field, first, last, .item = WIRE_##item_kind, ##__VA_ARGS__)

#define BOOL(...)           WIRE_ROW(BOOL, __VA_ARGS__)
#define INT8(...)           WIRE_ROW(INT8, __VA_ARGS__)
#define INT16(...)          WIRE_ROW(INT16, __VA_ARGS__)
#define UINT16(...)         WIRE_ROW(UINT16, __VA_ARGS__)
#define INT32(...)          WIRE_ROW(INT32, __VA_ARGS__)
#define INT64(...)          WIRE_ROW(INT64, __VA_ARGS__)
#define FLOAT64(...)        WIRE_ROW(FLOAT64, __VA_ARGS__)
#define UUID(...)           WIRE_ROW(UUID, __VA_ARGS__)
#define STRING(...)         WIRE_ROW(STRING, __VA_ARGS__)
#define CLASSIC_STRING(...) WIRE_ROW(CLASSIC_STRING, __VA_ARGS__)
#define BYTES(...)          WIRE_ROW(BYTES, __VA_ARGS__)
#define RECORDS(...)        WIRE_ROW(RECORDS, __VA_ARGS__)
#define INT8_ARRAY(...)     WIRE_LIST(INT8, __VA_ARGS__)
#define INT16_ARRAY(...)    WIRE_LIST(INT16, __VA_ARGS__)
#define INT32_ARRAY(...)    WIRE_LIST(INT32, __VA_ARGS__)
#define INT64_ARRAY(...)    WIRE_LIST(INT64, __VA_ARGS__)
#define STRING_ARRAY(...)   WIRE_LIST(STRING, __VA_ARGS__)
#define UUID_ARRAY(...)     WIRE_LIST(UUID, __VA_ARGS__)
#define ARRAY(type, field, first, last, ...)                                                       \
    WIRE_ROW(ARRAY, field, first, last, .item = WIRE_STRUCT, .body = &type##_wire, ##__VA_ARGS__)
#define EMBEDDED(type, field, first, last, ...)                                                    \
    WIRE_ROW(STRUCT, field, first, last, .body = &type##_wire, ##__VA_ARGS__)
/* A struct that may be null from its first version on; absent means null. */
#define OPTIONAL(type, field, first, last, ...)                                                    \
    WIRE_ROW(OPTIONAL, field, first, last, .body = &type##_wire, .is_nullable = true,              \
             .null_since = first, .fallback = -1, ##__VA_ARGS__)

#define DEFAULT(value)  .fallback = value
#define DEFAULT_NULL    .fallback = -1
#define NULLABLE(first) .is_nullable = true, .null_since = first
#define TAG(number)     .is_tagged = true, .tag = number
#define REQUIRED        .is_required = true

#else

/* clang-format off */
#define STRUCT(type) struct type {
#define END_STRUCT(type)                                                                           \
    };                                                                                             \
    struct type##_array {                                                                          \
        struct type *items;                                                                        \
        int32_t count;                                                                             \
    };                                                                                             \
    extern const struct wire_struct type##_wire;                                                   \
    static inline void type##_init(struct type *ret_object)                                        \
    {                                                                                              \
        wire_init(&type##_wire, ret_object);                                                       \
    }                                                                                              \
    static inline int type##_array_make(struct wire_arena *arena, struct type##_array *array,      \
                                        int32_t count)                                             \
    {                                                                                              \
        void *items;                                                                               \
        int rc = wire_items_make(arena, &type##_wire, count, &items);                              \
        if (rc == 0) {                                                                             \
            array->items = items;                                                                  \
            array->count = count;                                                                  \
        }                                                                                          \
        return rc;                                                                                 \
    }
/* clang-format on */
#define MESSAGE(type, min, max, flexible) extern const struct wire_message type##_message;

#define BOOL(field, ...)           bool field;
#define INT8(field, ...)           int8_t field;
#define INT16(field, ...)          int16_t field;
#define UINT16(field, ...)         uint16_t field;
#define INT32(field, ...)          int32_t field;
#define INT64(field, ...)          int64_t field;
#define FLOAT64(field, ...)        double field;
#define UUID(field, ...)           struct mr_uuid field;
#define STRING(field, ...)         struct wire_string field;
#define CLASSIC_STRING(field, ...) struct wire_string field;
#define BYTES(field, ...)          struct wire_bytes field;
#define RECORDS(field, ...)        struct wire_records field;
#define INT8_ARRAY(field, ...)     struct wire_int8_array field;
#define INT16_ARRAY(field, ...)    struct wire_int16_array field;
#define INT32_ARRAY(field, ...)    struct wire_int32_array field;
#define INT64_ARRAY(field, ...)    struct wire_int64_array field;
#define STRING_ARRAY(field, ...)   struct wire_string_array field;
#define UUID_ARRAY(field, ...)     struct wire_uuid_array field;
#define ARRAY(type, field, ...)    struct type##_array field;
#define EMBEDDED(type, field, ...) struct type field;
#define OPTIONAL(type, field, ...) struct type *field;

#endif
