/* The inside of an intake: intake.c is the host that the source sees, stream.c one stream of it,
 * builder.c the batch being built for one lane. */
#ifndef AGENT_FLOW_INTAKE_INTERNAL_H
#define AGENT_FLOW_INTAKE_INTERNAL_H

#include "agent/flow/intake.h"
#include "base/core/list.h"
#include "base/core/loop.h"
#include "base/core/metric.h"
#include "queue/wire/batch_builder.h"

enum {
    INTAKE_EVENTS,
    INTAKE_BYTES,
    INTAKE_BATCHES,
    INTAKE_BATCH_BYTES,
    INTAKE_DROPPED,
    INTAKE_BLOCKED,
    INTAKE_METRIC_COUNT
};

/* One batch being built: per lane. */
struct builder {
    struct intake *intake;
    struct lane *lane;
    struct batch_builder batch;
    bool is_begun;
    struct mr_link blocks; /* whose last event is in here */
    struct position_change change;
    size_t position_bytes_max; /* of the change: what the batch has room for */
    struct mr_timer linger_timer;
    int64_t bytes;
    struct mr_link sealed; /* batches that are with the lane, oldest first */
    bool is_stuck;         /* sealing failed for memory: again soon */
    bool is_cut;           /* a batch was cancelled: what comes behind it is, too */
};

struct intake {
    struct source_host host; /* first: what the source has a pointer to */
    struct intake_config config;
    struct source *source;
    struct builder *builders; /* lane_count */
    struct mr_link streams;
    struct mr_codec_context *codecs;
    struct mr_bytes pos_header; /* scratch */
    struct mr_metric_set *metrics;
    bool is_waiting; /* the source was told MR_EAGAIN */
    bool is_source_closed;
    bool is_closing;
    struct mr_task close_task;
    void (*closed)(void *owner);
    void *closed_owner;
};

static inline void intake_count(struct intake *intake, int metric, int64_t value)
{
    if (intake->metrics != NULL) {
        intake->metrics->values[metric] += value;
    }
}

/* ---- stream.c ---- */

enum { STREAM_HEADER_VARIANTS = 8 }; /* by span flags */

struct stream_headers { /* constant headers, encoded; made when first needed */
    struct mr_bytes bytes;
    int32_t count; /* 0 with is_made: no headers at all */
    bool is_made;
};

struct source_stream {
    struct mr_link link; /* intake->streams */
    struct intake *intake;
    struct builder *builder; /* of its home partition */
    uint8_t key[SOURCE_KEY_SIZE_MAX];
    size_t key_size;
    struct mr_bytes headers; /* {name, value} pairs, encoded, without flags */
    int32_t header_count;
    struct stream_headers variants[STREAM_HEADER_VARIANTS];
    uint32_t skip; /* events of the next blocks that the log has already; see positions.h */
};

struct source_stream *stream_new(struct intake *intake, const void *key, size_t key_size,
                                 const struct source_header *headers, size_t header_count);
void stream_free(struct source_stream *stream); /* NULL is fine */
/* The constant headers, and what a span's flags add. NULL without memory. */
const struct stream_headers *stream_headers(struct source_stream *stream, uint32_t flags);
/* The builder of the stream's home partition, and what is known of its position (false: nothing).
 */
struct builder *stream_home(struct intake *intake, const void *key, size_t key_size,
                            struct position_view *ret_position, bool *ret_is_known);

/* ---- builder.c ---- */

void builder_open(struct builder *builder, struct intake *intake, struct lane *lane);
void builder_done(struct builder *builder);
/* Whether a block may be taken now; makes room for its position. */
bool builder_is_ready(struct builder *builder);
/* Takes a whole block: 0, or MR_ENOMEM: it is to be offered again, and then goes on at
 * block->taken. */
int builder_take(struct builder *builder, struct source_stream *stream, struct source_block *block);
/* Hands over what there is. 0; MR_ENOMEM: it stays as it is, and is tried again soon. */
int builder_seal(struct builder *builder);
void builder_drop(struct builder *builder, const char *reason, int64_t events, int64_t bytes);
/* The newest that is known of a stream: in the batch being built, in those with the lane, in the
 * table. */
bool builder_find(const struct builder *builder, const void *key, size_t key_size,
                  struct position_view *ret_position);
/* What cannot be written any more is given back. */
void builder_cancel(struct builder *builder);

#endif
