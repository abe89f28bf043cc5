#include "tests/lib/fake_sink_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/loop.h"
#include "base/core/workers.h"
#include "tests/lib/test.h"

enum { TURNS_MAX = 10000 };

static void set_option(const struct mr_option *option, void *options, const char *text)
{
    void *target = (char *)options + option->offset;

    switch (option->type) {
    case MR_OPT_BOOL:
        CHECK_EQ(mr_parse_bool(text, target), 0);
        return;
    case MR_OPT_INT:
        CHECK_EQ(mr_parse_int(text, target), 0);
        return;
    case MR_OPT_SIZE:
        CHECK_EQ(mr_parse_size(text, target), 0);
        return;
    case MR_OPT_DURATION:
        CHECK_EQ(mr_parse_duration(text, target), 0);
        return;
    case MR_OPT_STRING:
        *(const char **)target = text;
        return;
    case MR_OPT_ENUM:
        for (int i = 0; option->words[i] != NULL; i++) {
            if (strcmp(option->words[i], text) == 0) {
                *(int *)target = i;
                return;
            }
        }
        test_fail(__FILE__, __LINE__, "%s: no word '%s'", option->name, text);
    default:
        test_fail(__FILE__, __LINE__, "%s: this type is not known here", option->name);
    }
}

static void set_defaults(const struct mr_option *table, void *options)
{
    for (; table->name != NULL; table++) {
        if (table->type == MR_OPT_TABLE) {
            set_defaults(table->children, (char *)options + table->offset);
        } else if (table->fallback != NULL) {
            set_option(table, options, table->fallback);
        }
    }
}

static void set_named(const struct mr_option *table, void *options, const char *name,
                      const char *text)
{
    size_t size = strcspn(name, ".");

    for (; table->name != NULL; table++) {
        if (strlen(table->name) != size || strncmp(table->name, name, size) != 0) {
            continue;
        }
        if (table->type == MR_OPT_TABLE) {
            set_named(table->children, (char *)options + table->offset, name + size + 1, text);
        } else {
            set_option(table, options, text);
        }
        return;
    }
    test_fail(__FILE__, __LINE__, "there is no option '%s'", name);
}

void fake_sink_option(struct fake_sink_host *fake, const char *name, const char *text)
{
    set_named(fake->type->options, fake->options, name, text);
}

struct fake_sink_host *fake_sink_host_new(const char *type, struct mr_disk *disk)
{
    struct fake_sink_host *fake = calloc(1, sizeof *fake);

    CHECK(fake != NULL);
    test_clock_init(&fake->clock);
    fake->type = sink_type_find(type);
    CHECK(fake->type != NULL);
    fake->options = calloc(1, fake->type->options_size_bytes + 1);
    set_defaults(fake->type->options, fake->options);
    fake->host = (struct sink_host){
        .ops = &fake->ops, .disk = disk, .sink_id = "test", .node_name = "node-1"};
    CHECK_EQ(mr_loop_new_virtual(&fake->clock.clock, &fake->host.loop), 0);
    CHECK_EQ(mr_workers_new(fake->host.loop, "sink", 1, &fake->host.workers), 0);
    return fake;
}

int fake_sink_open(struct fake_sink_host *fake, struct mr_error *error)
{
    int rc;

    fake->sink = calloc(1, fake->type->size_bytes);
    fake->sink->type = fake->type;
    fake->sink->host = &fake->host;
    fake->sink->options = fake->options;
    rc = fake->type->open(fake->sink, error);
    if (rc != 0) {
        free(fake->sink);
        fake->sink = NULL;
    }
    return rc;
}

static void on_done(struct sink_write *write, const struct sink_outcome *outcome)
{
    struct fake_write *fake = write->owner;

    CHECK(!fake->is_answered);
    fake->is_answered = true;
    fake->class = outcome->class;
    (void)snprintf(fake->reason, sizeof fake->reason, "%s",
                   outcome->reason == NULL ? "" : outcome->reason);
}

static void fill(struct fake_write *fake, struct fake_sink_host *host, int64_t first_offset,
                 int64_t count, const char *file)
{
    if (file != NULL) {
        fake->header.name = (struct sink_field){(const uint8_t *)"mr.file", 7};
        fake->header.value = (struct sink_field){(const uint8_t *)file, (uint32_t)strlen(file)};
    }
    for (int64_t i = 0; i < count; i++) {
        int size = snprintf(fake->texts[i], sizeof fake->texts[i], "line %lld of the test",
                            (long long)(first_offset + i));
        fake->records[i] = (struct sink_record){
            .offset = first_offset + i,
            .timestamp_ms = host->clock.wall_us / 1000,
            .value = {(const uint8_t *)fake->texts[i], (uint32_t)size},
            .headers = &fake->header,
            .header_count = file == NULL ? 0 : 1,
        };
    }
}

struct fake_write *fake_sink_write(struct fake_sink_host *fake, const char *topic,
                                   int32_t partition, int64_t first_offset, int64_t count,
                                   const char *file)
{
    struct fake_write *write = calloc(1, sizeof *write);

    CHECK(fake->write_count < FAKE_WRITES_MAX);
    CHECK(count <= FAKE_RECORDS_MAX);
    fake->writes[fake->write_count++] = write;
    fill(write, fake, first_offset, count, file);
    write->write = (struct sink_write){.topic = topic,
                                       .partition = partition,
                                       .first_offset = first_offset,
                                       .next_offset = first_offset + count,
                                       .record_count = count,
                                       .fd = -1,
                                       .records = write->records,
                                       .done = on_done,
                                       .owner = write};
    fake->type->write(fake->sink, &write->write);
    CHECK(!write->is_answered); /* never inside of write() */
    return write;
}

void fake_sink_settle(struct fake_sink_host *fake)
{
    for (size_t i = 0; i < fake->write_count; i++) {
        for (int turn = 0; !fake->writes[i]->is_answered; turn++) {
            CHECK_LT(turn, TURNS_MAX);
            mr_loop_turn(fake->host.loop, 0);
            test_clock_advance_ms(&fake->clock, 1);
        }
    }
}

static void on_closed(void *owner)
{
    ((struct fake_sink_host *)owner)->is_closed = true;
}

void fake_sink_host_free(struct fake_sink_host *fake)
{
    if (fake->sink != NULL) {
        fake->type->close(fake->sink, on_closed, fake);
        for (int turn = 0; !fake->is_closed; turn++) {
            CHECK_LT(turn, TURNS_MAX);
            mr_loop_turn(fake->host.loop, 0);
            test_clock_advance_ms(&fake->clock, 1);
        }
    }
    for (size_t i = 0; i < fake->write_count; i++) {
        CHECK(fake->writes[i]->is_answered); /* the close answered everything */
        free(fake->writes[i]);
    }
    mr_workers_free(fake->host.workers);
    mr_loop_free(fake->host.loop);
    free(fake->sink);
    free(fake->options);
    free(fake);
}
