/* The table, its changes, and the bytes of both; see positions.h. */
#include "agent/flow/positions.h"

#include <endian.h>
#include <string.h>

#include "base/codec/crc32c.h"
#include "base/core/error.h"
#include "base/core/memory.h"

enum {
    POSITIONS_VERSION = 1,
    CHECKPOINT_MAGIC_SIZE = 8,
    CHECKPOINT_CRC_END = 12,
    CHECKPOINT_STEP = 16 << 10,
};
static const uint8_t checkpoint_magic[CHECKPOINT_MAGIC_SIZE] = "MRPOS\0\0\1";

/* ---- bytes ---- */

static void put_int(struct mr_bytes *out, uint64_t value, size_t size)
{
    uint64_t big = htobe64(value);

    mr_bytes_append(out, (const uint8_t *)&big + (8 - size), size);
}

static void put_short(struct mr_bytes *out, const void *data, size_t size)
{
    put_int(out, size, 1);
    mr_bytes_append(out, data, size);
}

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool is_bad;
};

static const uint8_t *take(struct cursor *cursor, size_t size)
{
    const uint8_t *data = cursor->at;

    if (cursor->is_bad || (size_t)(cursor->end - cursor->at) < size) {
        cursor->is_bad = true;
        return NULL;
    }
    cursor->at += size;
    return data;
}

static uint64_t take_int(struct cursor *cursor, size_t size)
{
    const uint8_t *data = take(cursor, size);
    uint64_t value = 0;

    for (size_t i = 0; data != NULL && i < size; i++) {
        value = value << 8 | data[i];
    }
    return value;
}

static const uint8_t *take_short(struct cursor *cursor, size_t *ret_size)
{
    *ret_size = (size_t)take_int(cursor, 1);
    return take(cursor, *ret_size);
}

/* ---- drops ---- */

/* Counts come from bytes that may be anything. */
static int64_t add(int64_t left, int64_t right)
{
    return (int64_t)((uint64_t)left + (uint64_t)right);
}

void position_drop_add(struct position_drop *drops, size_t *count, const char *reason,
                       int64_t events, int64_t bytes)
{
    size_t place = 0;

    while (place < *count && strcmp(drops[place].reason, reason) != 0) {
        place++;
    }
    if (place == *count) {
        if (*count == POSITIONS_REASONS_MAX) {
            place = POSITIONS_REASONS_MAX - 1;
        } else {
            memset(&drops[place], 0, sizeof drops[place]);
            strncpy(drops[place].reason, reason, sizeof drops[place].reason - 1);
            (*count)++;
        }
    }
    drops[place].events = add(drops[place].events, events);
    drops[place].bytes = add(drops[place].bytes, bytes);
}

static void put_drops(struct mr_bytes *out, const struct position_drop *drops, size_t count)
{
    put_int(out, count, 2);
    for (size_t i = 0; i < count; i++) {
        put_short(out, drops[i].reason, strlen(drops[i].reason));
        put_int(out, (uint64_t)drops[i].events, 8);
        put_int(out, (uint64_t)drops[i].bytes, 8);
    }
}

static void take_drops(struct cursor *cursor, struct position_drop *drops, size_t *count)
{
    uint64_t left = take_int(cursor, 2);

    for (; left > 0 && !cursor->is_bad; left--) {
        char reason[sizeof drops->reason] = "";
        size_t size;
        const uint8_t *text = take_short(cursor, &size);
        int64_t events = (int64_t)take_int(cursor, 8);
        int64_t bytes = (int64_t)take_int(cursor, 8);
        if (cursor->is_bad || size >= sizeof reason) {
            cursor->is_bad = true;
            return;
        }
        memcpy(reason, text, size);
        position_drop_add(drops, count, reason, events, bytes);
    }
}

/* ---- entries ---- */

static size_t entry_size(size_t key_size, size_t size)
{
    return 1 + key_size + 4 + 2 + size;
}

static void put_entry(struct mr_bytes *out, const struct position *entry)
{
    put_short(out, entry->key, entry->key_size);
    put_int(out, entry->skip, 4);
    put_int(out, entry->size, 2);
    mr_bytes_append(out, entry->value, entry->size);
}

static bool take_entry(struct cursor *cursor, struct position_view *ret_entry)
{
    ret_entry->key = take_short(cursor, &ret_entry->key_size);
    ret_entry->skip = (uint32_t)take_int(cursor, 4);
    ret_entry->size = (size_t)take_int(cursor, 2);
    ret_entry->value = take(cursor, ret_entry->size);
    if (ret_entry->key_size == 0 || ret_entry->key_size > SOURCE_KEY_SIZE_MAX ||
        ret_entry->size > SOURCE_POSITION_SIZE_MAX) {
        cursor->is_bad = true;
    }
    return !cursor->is_bad;
}

/* What the entry says stays. */
static int entry_reserve(struct position *entry, size_t size)
{
    uint8_t *value;

    if (size <= entry->capacity) {
        return 0;
    }
    value = mr_realloc(entry->value, size);
    if (value == NULL) {
        return MR_ENOMEM;
    }
    entry->value = value;
    entry->capacity = (uint16_t)size;
    return 0;
}

/* Into reserved memory. */
static void entry_assign(struct position *entry, const struct position_view *view)
{
    mr_assert(view->size <= entry->capacity);
    if (view->size > 0) {
        memcpy(entry->value, view->value, view->size);
    }
    memcpy(entry->key, view->key, view->key_size);
    entry->key_size = (uint8_t)view->key_size;
    entry->skip = view->skip;
    entry->size = (uint16_t)view->size;
}

/* ---- the table ---- */

void positions_init(struct positions *positions, const struct mr_uuid *node_uuid)
{
    memset(positions, 0, sizeof *positions);
    positions->node_uuid = *node_uuid;
    mr_map_init(&positions->sources);
}

static void source_free(struct position_source *source)
{
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    if (source == NULL) {
        return;
    }
    while ((entry = mr_map_next(&source->streams, &cursor)) != NULL) {
        struct position *position = entry->value;
        mr_free(position->value);
        mr_free(position);
    }
    mr_map_done(&source->streams);
    mr_free(source->id);
    mr_free(source);
}

void positions_done(struct positions *positions)
{
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    while ((entry = mr_map_next(&positions->sources, &cursor)) != NULL) {
        source_free(entry->value);
    }
    mr_map_done(&positions->sources);
}

struct position_source *positions_source(struct positions *positions, const char *id, bool create)
{
    struct position_source *source = mr_map_get_text(&positions->sources, id);

    if (source != NULL || !create) {
        return source;
    }
    source = mr_calloc(1, sizeof *source);
    if (source == NULL) {
        return NULL;
    }
    mr_map_init(&source->streams);
    source->id = mr_strdup(id);
    if (source->id == NULL || mr_map_put_text(&positions->sources, id, source) != 0) {
        source_free(source);
        return NULL;
    }
    return source;
}

const struct position *positions_get(const struct positions *positions, const char *source_id,
                                     const void *key, size_t key_size)
{
    const struct position_source *source = mr_map_get_text(&positions->sources, source_id);

    return source == NULL ? NULL : mr_map_get(&source->streams, key, key_size);
}

void positions_forget(struct positions *positions, const char *source_id, const void *key,
                      size_t key_size)
{
    struct position_source *source = positions_source(positions, source_id, false);
    struct position *position =
        source == NULL ? NULL : mr_map_remove(&source->streams, key, key_size);

    if (position != NULL) {
        mr_free(position->value);
        mr_free(position);
        positions->is_dirty = true;
    }
}

/* Finds the stream's entry, or makes an empty one, with room for a position of this size. */
static struct position *source_reserve(struct position_source *source,
                                       const struct position_view *view)
{
    struct position *position = mr_map_get(&source->streams, view->key, view->key_size);

    if (position != NULL) {
        return entry_reserve(position, view->size) == 0 ? position : NULL;
    }
    position = mr_calloc(1, sizeof *position);
    if (position == NULL) {
        return NULL;
    }
    memcpy(position->key, view->key, view->key_size);
    position->key_size = (uint8_t)view->key_size;
    if (entry_reserve(position, view->size) != 0 ||
        mr_map_put(&source->streams, view->key, view->key_size, position, NULL) != 0) {
        mr_free(position->value);
        mr_free(position);
        return NULL;
    }
    return position;
}

/* ---- changes ---- */

void position_change_clear(struct position_change *change)
{
    change->entry_count = 0;
    change->entry_bytes = 0;
    change->drop_count = 0;
}

void position_change_done(struct position_change *change)
{
    for (size_t i = 0; i < POSITIONS_ENTRIES_MAX; i++) {
        mr_free(change->entries[i].value);
        change->entries[i].value = NULL;
        change->entries[i].capacity = 0;
    }
    position_change_clear(change);
}

static size_t change_place(const struct position_change *change, const void *key, size_t key_size)
{
    for (size_t i = change->entry_count; i > 0; i--) { /* the newest is asked for most often */
        const struct position *entry = &change->entries[i - 1];
        if (entry->key_size == key_size && memcmp(entry->key, key, key_size) == 0) {
            return i - 1;
        }
    }
    return change->entry_count;
}

const struct position *position_change_get(const struct position_change *change, const void *key,
                                           size_t key_size)
{
    size_t place = change_place(change, key, key_size);

    return place == change->entry_count ? NULL : &change->entries[place];
}

int position_change_reserve(struct position_change *change, const void *key, size_t key_size)
{
    size_t place = change_place(change, key, key_size);

    return place == POSITIONS_ENTRIES_MAX
               ? MR_EFULL
               : entry_reserve(&change->entries[place], SOURCE_POSITION_SIZE_MAX);
}

int position_change_set(struct position_change *change, const void *key, size_t key_size,
                        uint32_t skip, const void *value, size_t size)
{
    const struct position_view view = {key, key_size, skip, value, size};
    size_t place = change_place(change, key, key_size);
    int rc;

    mr_assert(key_size > 0 && key_size <= SOURCE_KEY_SIZE_MAX);
    mr_assert(size <= SOURCE_POSITION_SIZE_MAX);
    if (place == POSITIONS_ENTRIES_MAX) {
        return MR_EFULL;
    }
    rc = entry_reserve(&change->entries[place], size);
    if (rc != 0) {
        return rc;
    }
    if (place == change->entry_count) {
        change->entry_count++;
    } else {
        change->entry_bytes -= entry_size(key_size, change->entries[place].size);
    }
    entry_assign(&change->entries[place], &view);
    change->entry_bytes += entry_size(key_size, size);
    return 0;
}

void position_change_encode(const struct position_change *change, const struct mr_uuid *node_uuid,
                            const char *source_id, struct mr_bytes *out)
{
    put_int(out, POSITIONS_VERSION, 1);
    mr_bytes_append(out, node_uuid->bytes, sizeof node_uuid->bytes);
    put_short(out, source_id, strlen(source_id));
    put_drops(out, change->drops, change->drop_count);
    put_int(out, change->entry_count, 2);
    for (size_t i = 0; i < change->entry_count; i++) {
        put_entry(out, &change->entries[i]);
    }
}

/* Reads what comes before the drops. An id with a NUL is none of ours. */
static int take_preamble(struct cursor *cursor, const struct mr_uuid *node_uuid, char *source_id,
                         size_t source_id_size, bool *ret_is_ours)
{
    struct mr_uuid uuid;
    size_t size;
    uint64_t version = take_int(cursor, 1);
    const uint8_t *bytes = take(cursor, sizeof uuid.bytes);
    const uint8_t *id = take_short(cursor, &size);

    if (cursor->is_bad || version != POSITIONS_VERSION || size == 0 || size >= source_id_size ||
        memchr(id, '\0', size) != NULL) {
        return MR_ECORRUPT;
    }
    memcpy(uuid.bytes, bytes, sizeof uuid.bytes);
    memcpy(source_id, id, size);
    source_id[size] = '\0';
    *ret_is_ours = node_uuid == NULL || mr_uuid_equal(&uuid, node_uuid);
    return 0;
}

/* Walks the entries behind the drops: is anything wrong, and can all of it be taken? Streams that
 * are new stay in the table with an empty position if it cannot; that says nothing. */
static int reserve_entries(struct position_source *source, struct cursor cursor)
{
    struct position_view view;

    for (uint64_t left = take_int(&cursor, 2); left > 0 && !cursor.is_bad; left--) {
        if (take_entry(&cursor, &view) && source_reserve(source, &view) == NULL) {
            return MR_ENOMEM;
        }
    }
    return cursor.is_bad || cursor.at != cursor.end ? MR_ECORRUPT : 0;
}

void positions_pass(struct positions *positions, int64_t next_offset)
{
    if (next_offset != positions->offset) {
        positions->unattributed = add(positions->unattributed, next_offset - positions->offset);
        positions->offset = next_offset;
        positions->is_dirty = true;
    }
}

int positions_apply(struct positions *positions, const void *header, size_t size, int64_t events,
                    int64_t next_offset)
{
    struct cursor cursor = {header, (const uint8_t *)header + size, false};
    struct position_drop drops[POSITIONS_REASONS_MAX];
    size_t drop_count = 0;
    char id[256];
    bool is_ours;
    struct position_source *source;
    struct position_view view;
    int rc = take_preamble(&cursor, &positions->node_uuid, id, sizeof id, &is_ours);

    if (rc != 0 || !is_ours) {
        return rc;
    }
    take_drops(&cursor, drops, &drop_count);
    source = cursor.is_bad ? NULL : positions_source(positions, id, true);
    if (source == NULL) {
        return cursor.is_bad ? MR_ECORRUPT : MR_ENOMEM;
    }
    rc = reserve_entries(source, cursor);
    if (rc != 0) {
        return rc;
    }
    for (uint64_t left = take_int(&cursor, 2); left > 0 && take_entry(&cursor, &view); left--) {
        entry_assign(source_reserve(source, &view), &view);
    }
    for (size_t i = 0; i < drop_count; i++) {
        position_drop_add(source->drops, &source->drop_count, drops[i].reason, drops[i].events,
                          drops[i].bytes);
    }
    positions_pass(positions, next_offset - events); /* a gap before it, if there is one */
    source->delivered_events = add(source->delivered_events, events);
    positions->offset = next_offset;
    positions->is_dirty = true;
    return 0;
}

/* The cursor then stands at the count of entries. */
static int skip_to_entries(struct cursor *cursor, struct position_drop *drops, size_t *drop_count)
{
    char id[256];
    bool is_ours;
    int rc = take_preamble(cursor, NULL, id, sizeof id, &is_ours);

    if (rc == 0) {
        take_drops(cursor, drops, drop_count);
    }
    return rc != 0 ? rc : cursor->is_bad ? MR_ECORRUPT : 0;
}

bool position_header_find(const void *header, size_t size, const void *key, size_t key_size,
                          struct position_view *ret_view)
{
    struct cursor cursor = {header, (const uint8_t *)header + size, false};
    struct position_drop drops[POSITIONS_REASONS_MAX];
    size_t drop_count = 0;
    struct position_view view;

    if (skip_to_entries(&cursor, drops, &drop_count) != 0) {
        return false;
    }
    for (uint64_t left = take_int(&cursor, 2); left > 0 && take_entry(&cursor, &view); left--) {
        if (view.key_size == key_size && memcmp(view.key, key, key_size) == 0) {
            *ret_view = view;
            return true;
        }
    }
    return false;
}

int position_change_return(struct position_change *change, const void *header, size_t size,
                           position_is_newer_cb is_newer, void *owner)
{
    struct cursor cursor = {header, (const uint8_t *)header + size, false};
    struct position_view view;
    int rc = skip_to_entries(&cursor, change->drops, &change->drop_count);

    if (rc != 0) {
        return rc;
    }
    for (uint64_t left = take_int(&cursor, 2); left > 0 && take_entry(&cursor, &view); left--) {
        if (position_change_get(change, view.key, view.key_size) != NULL ||
            (is_newer != NULL && is_newer(owner, view.key, view.key_size))) {
            continue;
        }
        rc = position_change_set(change, view.key, view.key_size, view.skip, view.value, view.size);
        if (rc != 0) {
            return rc;
        }
    }
    return cursor.is_bad ? MR_ECORRUPT : 0;
}

/* ---- the checkpoint ---- */

static void put_source(struct mr_bytes *out, const struct position_source *source)
{
    const struct mr_map_entry *entry;
    size_t cursor = 0;

    put_short(out, source->id, strlen(source->id));
    put_int(out, (uint64_t)source->delivered_events, 8);
    put_drops(out, source->drops, source->drop_count);
    put_int(out, source->streams.count, 4);
    while ((entry = mr_map_next(&source->streams, &cursor)) != NULL) {
        put_entry(out, entry->value);
    }
}

static void put_zeros(struct mr_bytes *out, size_t size)
{
    if (mr_bytes_reserve(out, size) == 0) {
        memset(out->data + out->size_bytes, 0, size);
        out->size_bytes += size;
    }
}

void positions_encode(const struct positions *positions, uint64_t generation, struct mr_bytes *out)
{
    const struct mr_map_entry *entry;
    size_t cursor = 0;
    size_t start = out->size_bytes;

    mr_bytes_append(out, checkpoint_magic, sizeof checkpoint_magic);
    put_int(out, 0, 4); /* the CRC, below */
    put_int(out, generation, 8);
    put_int(out, (uint64_t)positions->offset, 8);
    put_int(out, (uint64_t)positions->unattributed, 8);
    mr_bytes_append(out, positions->node_uuid.bytes, sizeof positions->node_uuid.bytes);
    put_int(out, positions->sources.count, 4);
    while ((entry = mr_map_next(&positions->sources, &cursor)) != NULL) {
        put_source(out, entry->value);
    }
    put_zeros(out, CHECKPOINT_STEP - (out->size_bytes - start) % CHECKPOINT_STEP);
    if (out->failed == 0) {
        uint8_t *data = out->data + start;
        uint32_t crc = htobe32(
            mr_crc32c(0, data + CHECKPOINT_CRC_END, out->size_bytes - start - CHECKPOINT_CRC_END));
        memcpy(data + CHECKPOINT_MAGIC_SIZE, &crc, sizeof crc);
    }
}

static int take_source(struct positions *positions, struct cursor *cursor)
{
    size_t size;
    char id[256];
    const uint8_t *text = take_short(cursor, &size);
    struct position_source *source;
    struct position_view view;

    if (cursor->is_bad || size == 0 || memchr(text, '\0', size) != NULL) {
        return MR_ECORRUPT;
    }
    memcpy(id, text, size);
    id[size] = '\0';
    source = positions_source(positions, id, true);
    if (source == NULL) {
        return MR_ENOMEM;
    }
    source->delivered_events = (int64_t)take_int(cursor, 8);
    take_drops(cursor, source->drops, &source->drop_count);
    for (uint64_t left = take_int(cursor, 4); left > 0 && !cursor->is_bad; left--) {
        if (take_entry(cursor, &view)) {
            struct position *position = source_reserve(source, &view);
            if (position == NULL) {
                return MR_ENOMEM;
            }
            entry_assign(position, &view);
        }
    }
    return cursor->is_bad ? MR_ECORRUPT : 0;
}

int positions_decode(struct positions *positions, const void *data, size_t size,
                     uint64_t *ret_generation)
{
    struct cursor cursor = {data, (const uint8_t *)data + size, false};
    struct mr_uuid uuid = positions->node_uuid;
    const uint8_t *magic = take(&cursor, CHECKPOINT_MAGIC_SIZE);
    uint32_t crc = (uint32_t)take_int(&cursor, 4);
    const uint8_t *owner;
    uint64_t generation;
    int rc = 0;

    positions_done(positions);
    positions_init(positions, &uuid);
    if (cursor.is_bad || memcmp(magic, checkpoint_magic, CHECKPOINT_MAGIC_SIZE) != 0 ||
        crc != mr_crc32c(0, cursor.at, (size_t)(cursor.end - cursor.at))) {
        return MR_ECORRUPT;
    }
    generation = take_int(&cursor, 8);
    positions->offset = (int64_t)take_int(&cursor, 8);
    positions->unattributed = (int64_t)take_int(&cursor, 8);
    owner = take(&cursor, sizeof uuid.bytes);
    if (cursor.is_bad || positions->offset < 0 ||
        memcmp(owner, uuid.bytes, sizeof uuid.bytes) != 0) {
        rc = MR_ECORRUPT;
    }
    for (uint64_t left = take_int(&cursor, 4); left > 0 && rc == 0; left--) {
        rc = take_source(positions, &cursor);
    }
    if (rc != 0 || cursor.is_bad) {
        positions_done(positions);
        positions_init(positions, &uuid);
        return rc != 0 ? rc : MR_ECORRUPT;
    }
    *ret_generation = generation;
    return 0;
}
