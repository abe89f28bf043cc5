#include "sinks/line.h"

#include <string.h>

#include "base/core/buffer.h"
#include "base/text/json.h"
#include "base/text/time.h"

const char *const line_format_words[] = {"raw", "json", NULL};

static void put_field(struct mr_json *json, const struct sink_field *field)
{
    if (field->data == NULL) {
        mr_json_null(json);
    } else {
        mr_json_string(json, field->data, field->size);
    }
}

static void put_json(const struct sink_write *write, const struct sink_record *record,
                     struct mr_bytes *out)
{
    struct mr_json json;
    char time[MR_TIME_TEXT_SIZE];

    (void)mr_time_format(record->timestamp_ms * 1000, MR_TIME_MILLIS, time);
    mr_json_init(&json, out);
    mr_json_open_object(&json);
    mr_json_key(&json, "topic");
    mr_json_text(&json, write->topic);
    mr_json_key(&json, "partition");
    mr_json_i64(&json, write->partition);
    mr_json_key(&json, "offset");
    mr_json_i64(&json, record->offset);
    mr_json_key(&json, "timestamp");
    mr_json_text(&json, time);
    mr_json_key(&json, "key");
    put_field(&json, &record->key);
    mr_json_key(&json, "headers");
    mr_json_open_object(&json);
    for (uint32_t i = 0; i < record->header_count; i++) {
        const struct sink_field *name = &record->headers[i].name;
        if (name->size == 6 && memcmp(name->data, "mr.pos", 6) == 0) {
            continue; /* where a source stands: bytes, and of no use elsewhere */
        }
        mr_json_key_bytes(&json, name->data, name->size);
        put_field(&json, &record->headers[i].value);
    }
    mr_json_close_object(&json);
    mr_json_key(&json, "value");
    put_field(&json, &record->value);
    mr_json_close_object(&json);
}

void line_append(enum line_format format, const struct sink_write *write,
                 const struct sink_record *record, struct mr_bytes *out)
{
    if (format == LINE_JSON) {
        put_json(write, record, out);
    } else {
        mr_bytes_append(out, record->value.data, record->value.size);
    }
    mr_bytes_append(out, "\n", 1);
}
