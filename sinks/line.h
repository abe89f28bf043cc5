/* A record as a line of text: what the sinks file and stdout write. */
#ifndef SINKS_LINE_H
#define SINKS_LINE_H

#include "sinks/sink.h"

struct mr_bytes;

enum line_format {
    LINE_RAW,  /* the value as it is */
    LINE_JSON, /* one object with everything that is known of the record */
};

/* The words of the option, ended by NULL. */
extern const char *const line_format_words[];
#define LINE_FORMAT_HELP                                                                           \
    "'raw' writes the value as it is, with a line feed behind it; 'json' one object per line "     \
    "with "                                                                                        \
    "topic, partition, offset, timestamp, key, headers and value."

/* Appends one line with its line feed; memory failures show in out->failed. Bytes that are not
 * UTF-8 become U+FFFD in JSON, and stay what they are in raw lines. */
void line_append(enum line_format format, const struct sink_write *write,
                 const struct sink_record *record, struct mr_bytes *out);

#endif
