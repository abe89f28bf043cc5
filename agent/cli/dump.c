/* `millrace dump`: what stands in the files of a log. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "base/codec/codec.h"
#include "base/core/buffer.h"
#include "base/core/disk.h"
#include "base/text/json.h"
#include "queue/log/dump.h"
#include "queue/wire/batch.h"

struct printer {
    bool is_json;
    int problems;
    struct mr_bytes line;
    struct mr_json json;
};

/* ---- one JSON object per line ---- */

static void json_begin(struct printer *printer, const char *type)
{
    mr_bytes_clear(&printer->line);
    mr_json_init(&printer->json, &printer->line);
    mr_json_open_object(&printer->json);
    mr_json_key(&printer->json, "type");
    mr_json_text(&printer->json, type);
}

static void json_number(struct printer *printer, const char *key, int64_t value)
{
    mr_json_key(&printer->json, key);
    mr_json_i64(&printer->json, value);
}

static void json_bytes(struct printer *printer, const char *key, const void *data, int32_t size)
{
    mr_json_key(&printer->json, key);
    if (size < 0) {
        mr_json_text(&printer->json, NULL);
    } else {
        mr_json_string(&printer->json, data, (size_t)size);
    }
}

static void json_end(struct printer *printer)
{
    mr_json_close_object(&printer->json);
    (void)fwrite(printer->line.data, 1, printer->line.size_bytes, stdout);
    (void)putchar('\n');
}

/* ---- events ---- */

static void on_file(void *owner, const char *path, int64_t size_bytes)
{
    struct printer *printer = owner;

    if (printer->is_json) {
        json_begin(printer, "file");
        mr_json_key(&printer->json, "path");
        mr_json_text(&printer->json, path);
        json_number(printer, "size_bytes", size_bytes);
        json_end(printer);
        return;
    }
    printf("%s: %" PRId64 " bytes\n", path, size_bytes);
}

static void batch_as_json(struct printer *printer, int64_t position,
                          const struct batch_header *header)
{
    json_begin(printer, "batch");
    json_number(printer, "position", position);
    json_number(printer, "size_bytes", batch_size_bytes(header));
    json_number(printer, "base_offset", header->base_offset);
    json_number(printer, "last_offset", batch_last_offset(header));
    json_number(printer, "record_count", header->record_count);
    json_number(printer, "leader_epoch", header->leader_epoch);
    mr_json_key(&printer->json, "codec");
    mr_json_text(&printer->json, mr_codec_name(header->attributes & BATCH_CODEC_MASK));
    json_number(printer, "base_timestamp_ms", header->base_timestamp_ms);
    json_number(printer, "max_timestamp_ms", header->max_timestamp_ms);
    json_number(printer, "producer_id", header->producer_id);
    json_number(printer, "producer_epoch", header->producer_epoch);
    json_number(printer, "base_sequence", header->base_sequence);
    mr_json_key(&printer->json, "is_transactional");
    mr_json_bool(&printer->json, (header->attributes & BATCH_TRANSACTIONAL) != 0);
    mr_json_key(&printer->json, "is_control");
    mr_json_bool(&printer->json, (header->attributes & BATCH_CONTROL) != 0);
    json_number(printer, "crc", header->crc);
    json_end(printer);
}

static void on_batch(void *owner, int64_t position, const struct batch_header *header)
{
    struct printer *printer = owner;
    const char *codec = mr_codec_name(header->attributes & BATCH_CODEC_MASK);

    if (printer->is_json) {
        batch_as_json(printer, position, header);
        return;
    }
    printf("  batch at %" PRId64 ": offsets %" PRId64 "-%" PRId64 ", %" PRId32 " records, %" PRId64
           " bytes, %s, epoch %" PRId32 ", latest %" PRId64,
           position, header->base_offset, batch_last_offset(header), header->record_count,
           batch_size_bytes(header), codec == NULL ? "unknown codec" : codec, header->leader_epoch,
           header->max_timestamp_ms);
    if (header->producer_id >= 0) {
        printf(", producer %" PRId64 " epoch %d sequence %" PRId32, header->producer_id,
               header->producer_epoch, header->base_sequence);
    }
    printf("%s%s\n", (header->attributes & BATCH_TRANSACTIONAL) != 0 ? ", transactional" : "",
           (header->attributes & BATCH_CONTROL) != 0 ? ", control" : "");
}

/* Bytes as they are, but for what would disturb a terminal. */
static void print_bytes(const uint8_t *data, int32_t size)
{
    if (size < 0) {
        printf("null");
    }
    for (int32_t i = 0; i < size; i++) {
        if (data[i] < 0x20 || data[i] == 0x7f || data[i] == '\\') {
            printf("\\x%02x", data[i]);
        } else {
            (void)putchar(data[i]);
        }
    }
}

static void record_as_json(struct printer *printer, const struct batch_header *header,
                           const struct batch_record *record)
{
    struct batch_header_cursor cursor;
    struct batch_record_header item;

    json_begin(printer, "record");
    json_number(printer, "offset", header->base_offset + record->offset_delta);
    json_number(printer, "timestamp_ms", header->base_timestamp_ms + record->timestamp_delta_ms);
    json_bytes(printer, "key", record->key, record->key_size);
    json_bytes(printer, "value", record->value, record->value_size);
    mr_json_key(&printer->json, "headers");
    mr_json_open_array(&printer->json);
    batch_headers_init(&cursor, record);
    while (batch_headers_next(&cursor, &item)) {
        mr_json_open_object(&printer->json);
        json_bytes(printer, "key", item.key, item.key_size);
        json_bytes(printer, "value", item.value, item.value_size);
        mr_json_close_object(&printer->json);
    }
    mr_json_close_array(&printer->json);
    json_end(printer);
}

static void on_record(void *owner, const struct batch_header *header,
                      const struct batch_record *record)
{
    struct printer *printer = owner;
    struct batch_header_cursor cursor;
    struct batch_record_header item;

    if (printer->is_json) {
        record_as_json(printer, header, record);
        return;
    }
    printf("    %" PRId64 " at %" PRId64 ": ", header->base_offset + record->offset_delta,
           header->base_timestamp_ms + record->timestamp_delta_ms);
    if (record->key != NULL) {
        print_bytes(record->key, record->key_size);
        printf(" = ");
    }
    print_bytes(record->value, record->value_size);
    batch_headers_init(&cursor, record);
    while (batch_headers_next(&cursor, &item)) {
        printf(" [%.*s: ", (int)item.key_size, item.key);
        print_bytes(item.value, item.value_size);
        printf("]");
    }
    (void)putchar('\n');
}

static void on_damage(void *owner, int64_t position, int64_t size_bytes)
{
    struct printer *printer = owner;

    printer->problems++;
    if (printer->is_json) {
        json_begin(printer, "damage");
        json_number(printer, "position", position);
        json_number(printer, "size_bytes", size_bytes);
        json_end(printer);
        return;
    }
    printf("  DAMAGE at %" PRId64 ": %" PRId64 " bytes are no batch\n", position, size_bytes);
}

static void on_index(void *owner, int64_t offset, int64_t position)
{
    struct printer *printer = owner;

    if (printer->is_json) {
        json_begin(printer, "index");
        json_number(printer, "offset", offset);
        json_number(printer, "position", position);
        json_end(printer);
        return;
    }
    printf("  offset %" PRId64 " at %" PRId64 "\n", offset, position);
}

static void on_time_index(void *owner, int64_t timestamp_ms, int64_t offset)
{
    struct printer *printer = owner;

    if (printer->is_json) {
        json_begin(printer, "timeindex");
        json_number(printer, "timestamp_ms", timestamp_ms);
        json_number(printer, "offset", offset);
        json_end(printer);
        return;
    }
    printf("  timestamp %" PRId64 " at offset %" PRId64 "\n", timestamp_ms, offset);
}

static void on_producer(void *owner, const struct log_dump_producer *producer)
{
    struct printer *printer = owner;

    if (printer->is_json) {
        json_begin(printer, "producer");
        json_number(printer, "producer_id", producer->producer_id);
        json_number(printer, "epoch", producer->epoch);
        json_number(printer, "last_sequence", producer->last_sequence);
        json_number(printer, "last_offset", producer->last_offset);
        json_number(printer, "remembered_batches", producer->remembered_batches);
        json_end(printer);
        return;
    }
    printf("  producer %" PRId64 ": epoch %d, last sequence %" PRId32 " at offset %" PRId64
           ", %d batches remembered\n",
           producer->producer_id, producer->epoch, producer->last_sequence, producer->last_offset,
           producer->remembered_batches);
}

static void on_epoch(void *owner, int32_t epoch, int64_t start_offset)
{
    struct printer *printer = owner;

    if (printer->is_json) {
        json_begin(printer, "epoch");
        json_number(printer, "epoch", epoch);
        json_number(printer, "start_offset", start_offset);
        json_end(printer);
        return;
    }
    printf("  epoch %" PRId32 " begins at offset %" PRId64 "\n", epoch, start_offset);
}

static void on_checkpoint(void *owner, const struct log_dump_checkpoint *checkpoint)
{
    struct printer *printer = owner;

    if (printer->is_json) {
        json_begin(printer, "checkpoint");
        json_number(printer, "generation", (int64_t)checkpoint->generation);
        mr_json_key(&printer->json, "is_clean");
        mr_json_bool(&printer->json, checkpoint->is_clean);
        json_number(printer, "start_offset", checkpoint->start_offset);
        json_number(printer, "recovery_offset", checkpoint->recovery_offset);
        json_number(printer, "written_ms", checkpoint->written_ms);
        json_number(printer, "segment_count", checkpoint->segment_count);
        json_end(printer);
        return;
    }
    printf("  generation %" PRIu64 "%s: starts at %" PRId64 ", recovered up to %" PRId64
           ", %" PRId64 " segments\n",
           checkpoint->generation, checkpoint->is_clean ? ", closed cleanly" : "",
           checkpoint->start_offset, checkpoint->recovery_offset, checkpoint->segment_count);
}

static void on_problem(void *owner, const char *what, int code)
{
    struct printer *printer = owner;

    printer->problems++;
    (void)fflush(stdout);
    (void)cli_fail("dump", CLI_FAILED, "%s: %s", what, mr_code_text(code));
}

/* ---- the subcommand ---- */

int cli_dump(int argc, char **argv)
{
    const char *output = NULL;
    bool with_records = false;
    bool with_index = false;
    const struct cli_option options[] = {{.name = "output", .letter = 'o', .value = &output},
                                         {.name = "records", .flag = &with_records},
                                         {.name = "index", .flag = &with_index},
                                         {0}};
    struct log_dump_events events = {
        .on_file = on_file,
        .on_batch = on_batch,
        .on_damage = on_damage,
        .on_producer = on_producer,
        .on_epoch = on_epoch,
        .on_checkpoint = on_checkpoint,
        .on_problem = on_problem,
    };
    struct printer printer = {0};
    struct mr_error error = {0};
    int rest = cli_parse(argv[0], argc, argv, options);
    int result = CLI_OK;

    if (rest < 0) {
        return CLI_USAGE;
    }
    if (rest == argc) {
        return cli_fail("dump", CLI_USAGE, "which directory or file? (-h shows examples)");
    }
    if (output != NULL && strcmp(output, "json") != 0 && strcmp(output, "table") != 0) {
        return cli_fail("dump", CLI_USAGE, "-o takes json or table, not '%s'", output);
    }
    printer.is_json = output != NULL && strcmp(output, "json") == 0;
    mr_bytes_init(&printer.line);
    events.on_record = with_records ? on_record : NULL;
    events.on_index = with_index ? on_index : NULL;
    events.on_time_index = with_index ? on_time_index : NULL;
    for (; rest < argc; rest++) {
        if (log_dump(mr_disk_system(), argv[rest], &events, &printer, &error) != 0) {
            result = cli_fail("dump", CLI_FAILED, "%s", error.text);
        }
    }
    mr_bytes_done(&printer.line);
    if (fflush(stdout) != 0) {
        return CLI_FAILED;
    }
    return printer.problems > 0 ? CLI_FAILED : result;
}
