/* A flow for one sink: it writes records, keeps the answers, and counts what a real flow would. */
#ifndef TESTS_LIB_FAKE_SINK_HOST_H
#define TESTS_LIB_FAKE_SINK_HOST_H

#include "base/core/disk.h"
#include "sinks/sink.h"
#include "tests/lib/test_clock.h"

enum { FAKE_WRITES_MAX = 64, FAKE_RECORDS_MAX = 16 };

struct fake_write {
    struct sink_write write;
    struct sink_record records[FAKE_RECORDS_MAX];
    struct sink_header header;
    char texts[FAKE_RECORDS_MAX][128];
    bool is_answered;
    enum sink_class class;
    char reason[256];
};

struct fake_sink_host {
    struct sink_host host; /* first */
    struct sink_host_ops ops;
    struct test_clock clock;
    struct sink *sink;
    const struct sink_type *type;
    void *options; /* with their defaults */
    struct fake_write *writes[FAKE_WRITES_MAX];
    size_t write_count;
    bool is_closed;
};

/* On a virtual loop (workers run inside the turn). Never NULL. */
struct fake_sink_host *fake_sink_host_new(const char *type, struct mr_disk *disk);
/* As it would be written; "rotate.size" for one in a table. Texts are borrowed. */
void fake_sink_option(struct fake_sink_host *fake, const char *name, const char *text);
int fake_sink_open(struct fake_sink_host *fake, struct mr_error *error);
/* `count` records whose values are printed from the format with their offsets ("line %d"). A header
 * mr.file with this value, unless NULL. The timestamp is that of the fake clock. */
struct fake_write *fake_sink_write(struct fake_sink_host *fake, const char *topic,
                                   int32_t partition, int64_t first_offset, int64_t count,
                                   const char *file);
/* Turns until everything is answered. */
void fake_sink_settle(struct fake_sink_host *fake);
/* Closes the sink and frees everything. */
void fake_sink_host_free(struct fake_sink_host *fake);

#endif
