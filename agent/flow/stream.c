/* One stream of a source: where it stands, and the headers that all of its records carry. */
#include <string.h>

#include "agent/flow/intake_internal.h"
#include "base/core/memory.h"

static bool is_header_wanted(const struct intake *intake, const char *name)
{
    const struct mr_string_list *list = intake->config.headers;
    const char *bare = strncmp(name, "mr.", 3) == 0 ? name + 3 : name;

    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], "all") == 0 || strcmp(list->items[i], bare) == 0 ||
            strcmp(list->items[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void add_header(struct source_stream *stream, const char *name, const char *value)
{
    if (is_header_wanted(stream->intake, name)) {
        batch_header_append(&stream->headers, name, value, (int32_t)strlen(value));
        stream->header_count++;
    }
}

static uint32_t hash_key(const uint8_t *key, size_t size)
{
    uint32_t hash = 2166136261U; /* FNV-1a */

    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ key[i]) * 16777619U;
    }
    return hash;
}

/* A stream stays where it was first put: its home partition is the one that knows it. */
struct builder *stream_home(struct intake *intake, const void *key, size_t key_size,
                            struct position_view *ret_position, bool *ret_is_known)
{
    int32_t count = intake->config.lane_count;

    for (int32_t i = 0; i < count; i++) {
        if (builder_find(&intake->builders[i], key, key_size, ret_position)) {
            *ret_is_known = true;
            return &intake->builders[i];
        }
    }
    *ret_is_known = false;
    return &intake->builders[hash_key(key, key_size) % (uint32_t)count];
}

struct source_stream *stream_new(struct intake *intake, const void *key, size_t key_size,
                                 const struct source_header *headers, size_t header_count)
{
    struct source_stream *stream = mr_calloc(1, sizeof *stream);
    struct position_view position;
    bool is_known;

    if (stream == NULL) {
        return NULL;
    }
    stream->intake = intake;
    memcpy(stream->key, key, key_size);
    stream->key_size = key_size;
    stream->builder = stream_home(intake, key, key_size, &position, &is_known);
    if (is_known) {
        stream->skip = position.skip;
    }
    mr_bytes_init(&stream->headers);
    add_header(stream, "mr.host", intake->config.node_name);
    add_header(stream, "mr.source", intake->config.id);
    for (size_t i = 0; i < header_count; i++) {
        add_header(stream, headers[i].name, headers[i].value);
    }
    if (stream->headers.failed != 0) {
        stream_free(stream);
        return NULL;
    }
    mr_list_append(&intake->streams, &stream->link);
    return stream;
}

void stream_free(struct source_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    mr_list_remove(&stream->link);
    for (int i = 0; i < STREAM_HEADER_VARIANTS; i++) {
        mr_bytes_done(&stream->variants[i].bytes);
    }
    mr_bytes_done(&stream->headers);
    mr_free(stream);
}

static void add_flag(struct stream_headers *headers, bool is_set, const char *name,
                     const char *value)
{
    if (is_set) {
        batch_header_append(&headers->bytes, name, value, (int32_t)strlen(value));
        headers->count++;
    }
}

const struct stream_headers *stream_headers(struct source_stream *stream, uint32_t flags)
{
    struct stream_headers *headers = &stream->variants[flags % STREAM_HEADER_VARIANTS];

    if (headers->is_made) {
        return headers;
    }
    mr_bytes_init(&headers->bytes);
    headers->count = stream->header_count;
    mr_bytes_append(&headers->bytes, stream->headers.data, stream->headers.size_bytes);
    add_flag(headers, (flags & SOURCE_SPAN_CUT) != 0, "mr.cut", "1");
    add_flag(headers, (flags & SOURCE_SPAN_PARTIAL) != 0, "mr.partial", "1");
    add_flag(headers, (flags & SOURCE_SPAN_STDERR) != 0, "mr.stream", "stderr");
    if (headers->bytes.failed != 0) {
        mr_bytes_done(&headers->bytes);
        return NULL;
    }
    headers->is_made = true;
    return headers;
}
