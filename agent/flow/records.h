/* Ranges of batches as they lie in the log -> decoded records, for sinks that want these. */
#ifndef AGENT_FLOW_RECORDS_H
#define AGENT_FLOW_RECORDS_H

#include <stddef.h>
#include <stdint.h>

#include "base/core/buffer.h"
#include "sinks/sink.h"

struct mr_codec_context;

/* Owns what its records point into. */
struct records {
    struct sink_record *items;
    size_t count;
    size_t capacity;
    struct sink_header *headers;
    size_t header_count;
    size_t header_capacity;
    struct mr_bytes raw;      /* the range */
    struct mr_bytes unpacked; /* what was compressed in it */
};

void records_init(struct records *records);
void records_done(struct records *records);
/* Decodes raw, which holds the offsets up to next_offset; records below first_offset are left out,
 * as are control batches. A batch that is damaged (checksum, codec, structure) is left out whole,
 * and *ret_bad_records counts its offsets. 0 or MR_ENOMEM: nothing is decoded. */
int records_decode(struct records *records, int64_t first_offset, int64_t next_offset,
                   struct mr_codec_context *codecs, int64_t *ret_bad_records);

#endif
