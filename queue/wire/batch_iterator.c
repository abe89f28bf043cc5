/* Reading records: every varint and every length is compared with the end before it is used. */
#include "queue/wire/batch.h"

#include <string.h>

#include "base/core/error.h"
#include "queue/wire/bytes.h"

void batch_iterator_init(struct batch_iterator *iterator, const struct batch_header *header,
                         const void *records, size_t size_bytes)
{
    iterator->at = records;
    iterator->end = size_bytes == 0 ? records : iterator->at + size_bytes; /* may be NULL */
    iterator->left = header->record_count;
}

/* A varint length and that many bytes; -1 is null where `may_be_null`. NULL: not within the bytes.
 */
static const uint8_t *take_blob(const uint8_t *at, const uint8_t *end, bool may_be_null,
                                const uint8_t **ret_data, int32_t *ret_size)
{
    int32_t size = 0;

    at = wire_get_varint(at, end, &size);
    if (at == NULL || size < -1 || (size == -1 && !may_be_null) || size > end - at) {
        return NULL;
    }
    *ret_data = size < 0 ? NULL : at;
    *ret_size = size;
    return size < 0 ? at : at + size;
}

static const uint8_t *take_header(const uint8_t *at, const uint8_t *end,
                                  struct batch_record_header *header)
{
    const uint8_t *key = NULL;

    at = take_blob(at, end, false, &key, &header->key_size);
    header->key = (const char *)key;
    return at == NULL ? NULL : take_blob(at, end, true, &header->value, &header->value_size);
}

static const uint8_t *skip_headers(const uint8_t *at, const uint8_t *end, int32_t count)
{
    struct batch_record_header header;

    while (count-- > 0 && at != NULL) {
        at = take_header(at, end, &header);
    }
    return at;
}

static const uint8_t *take_record(const uint8_t *at, const uint8_t *end,
                                  struct batch_record *record)
{
    if (at == end) {
        return NULL;
    }
    record->attributes = (int8_t)*at++;
    at = wire_get_varlong(at, end, &record->timestamp_delta_ms);
    if (at == NULL) {
        return NULL;
    }
    at = wire_get_varint(at, end, &record->offset_delta);
    if (at == NULL) {
        return NULL;
    }
    at = take_blob(at, end, true, &record->key, &record->key_size);
    if (at == NULL) {
        return NULL;
    }
    at = take_blob(at, end, true, &record->value, &record->value_size);
    if (at == NULL) {
        return NULL;
    }
    at = wire_get_varint(at, end, &record->header_count);
    /* A header takes two bytes at least. */
    if (at == NULL || record->header_count < 0 || record->header_count > (end - at) / 2) {
        return NULL;
    }
    record->headers = at;
    record->headers_size = (int32_t)(end - at);
    return skip_headers(at, end, record->header_count);
}

int batch_iterator_next(struct batch_iterator *iterator, struct batch_record *ret_record)
{
    const uint8_t *at;
    const uint8_t *end;
    int32_t length = 0;

    if (iterator->left <= 0) {
        return iterator->at == iterator->end ? 0 : MR_ECORRUPT;
    }
    at = wire_get_varint(iterator->at, iterator->end, &length);
    if (at == NULL || length < 0 || length > iterator->end - at) {
        return MR_ECORRUPT;
    }
    end = at + length;
    if (take_record(at, end, ret_record) != end) {
        return MR_ECORRUPT;
    }
    iterator->at = end;
    iterator->left--;
    return 1;
}

void batch_headers_init(struct batch_header_cursor *cursor, const struct batch_record *record)
{
    cursor->at = record->headers;
    cursor->end = record->headers + record->headers_size;
    cursor->left = record->header_count;
}

bool batch_headers_next(struct batch_header_cursor *cursor, struct batch_record_header *ret_header)
{
    const uint8_t *next;

    if (cursor->left <= 0) {
        return false;
    }
    next = take_header(cursor->at, cursor->end, ret_header);
    mr_assert(next != NULL); /* the iterator has checked them */
    cursor->at = next;
    cursor->left--;
    return true;
}

bool batch_record_find_header(const struct batch_record *record, const char *key,
                              struct batch_record_header *ret_header)
{
    struct batch_header_cursor cursor;
    struct batch_record_header header;
    size_t key_size = strlen(key);
    bool is_found = false;

    batch_headers_init(&cursor, record);
    while (batch_headers_next(&cursor, &header)) {
        if ((size_t)header.key_size == key_size && memcmp(header.key, key, key_size) == 0) {
            *ret_header = header;
            is_found = true;
        }
    }
    return is_found;
}
