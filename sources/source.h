/* The contract between a source and its host (agent/flow/intake).
 *
 * A source turns foreign bytes into events and offers them in blocks, in order per stream. A stream
 * is what has an order and a position of its own: one file, one journal, one connection. Position
 * and lines become durable in one append, so that a restart finds both or neither: 0 lost, 0
 * repeated.
 *
 * The same bytes give the same events, however the reads are cut and wherever a restart falls. */
#ifndef SOURCES_SOURCE_H
#define SOURCES_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/buffer.h"
#include "base/core/list.h"
#include "base/core/option.h"

struct mr_clock;
struct mr_disk;
struct mr_error;
struct mr_loop;
struct mr_metrics;
struct mr_net;
struct mr_random;
struct mr_workers;
struct source;
struct source_block;
struct source_host;
struct source_stream; /* the host's */

enum {
    SOURCE_KEY_SIZE_MAX = 64,
    SOURCE_POSITION_SIZE_MAX = 1024,
    SOURCE_BLOCK_SPANS_MAX = 16384,
};

enum source_span_flags {
    SOURCE_SPAN_CUT = 1,     /* longer than the bound: this is a part; header mr.cut */
    SOURCE_SPAN_PARTIAL = 2, /* the rest never came (time-out, end of file) */
    SOURCE_SPAN_STDERR = 4,  /* container runtimes */
};

struct source_span {
    uint32_t offset; /* in the block's buffer */
    uint32_t size;   /* without the line end */
    uint32_t flags;
    int64_t timestamp_ms; /* the event's; -1: arrival */
};

/* A constant header of all records of a stream: {"mr.file", "/var/log/x"}. */
struct source_header {
    const char *name;
    const char *value;
};

enum source_outcome {
    SOURCE_DURABLE,  /* in the log, as durable as its fsync policy says */
    SOURCE_DROPPED,  /* counted, by when_full or a transform; the position has moved on durably */
    SOURCE_CANCELED, /* the host closes; the position has not moved: it will be read again */
};

typedef void (*source_ack_cb)(struct source_block *block, enum source_outcome outcome);

/* The position after the first `span_count` events of a block, 1 <= span_count <= block->span_count
 * (0 where there are none): a restart from it yields exactly the events that follow. Opaque to the
 * host; fills at most SOURCE_POSITION_SIZE_MAX bytes and returns their number. The host ends a
 * batch where that is full, which may be within a block. */
typedef size_t (*source_position_cb)(const struct source_block *block, size_t span_count,
                                     void *position);

/* Belongs to the source from the call of `offer` on until acked. The host copies or references what
 * it needs; buf, spans and what position_at needs must stay unchanged until then. */
struct source_block {
    struct source_stream *stream;
    struct mr_buf *buf;
    const struct source_span
        *spans; /* at most SOURCE_BLOCK_SPANS_MAX; 0 of them: only the position moves */
    size_t span_count;
    source_position_cb position_at;
    source_ack_cb acked; /* exactly once, later, on the loop; blocks of a stream in order */
    void *owner;
    size_t taken;        /* the host's, from 0: how many events it has already */
    struct mr_link link; /* the host's */
};

/* What the host offers. All calls on the loop. */
struct source_host_ops {
    /* A stream by its key (unique within the source; the file source draws one per file identity).
     * Headers are copied. The stream is the host's until stream_close. NULL without memory. */
    struct source_stream *(*stream_open)(struct source_host *host, const void *key, size_t key_size,
                                         const struct source_header *headers, size_t header_count);
    /* Blocks under way are still acked. */
    void (*stream_close)(struct source_host *host, struct source_stream *stream);
    /* 0: taken. MR_EAGAIN: not now; the source stops offering until resume(), and then begins with
     * the same block: a part of it may have been taken. */
    int (*offer)(struct source_host *host, struct source_block *block);
    /* The durable position of a stream at start: its size (0: none), copied up to `size`. */
    size_t (*position_get)(struct source_host *host, const void *key, size_t key_size,
                           void *position, size_t size);
    /* All of them; for the source's own index at start. The callback must not change the table. */
    void (*position_each)(struct source_host *host,
                          void (*cb)(void *owner, const void *key, size_t key_size,
                                     const void *position, size_t position_size),
                          void *owner);
    /* The stream is gone for good (file deleted and drained): its position may be dropped at the
     * next checkpoint. */
    void (*position_forget)(struct source_host *host, const void *key, size_t key_size);
    /* Events or bytes that the source itself had to give up (a limit, bytes lost in a truncation):
     * counted by reason in the ledger, durably with the next append. `reason` is a literal. */
    void (*dropped)(struct source_host *host, const char *reason, int64_t events, int64_t bytes);
};

struct source_host {
    const struct source_host_ops *ops;
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct mr_net *net;
    struct mr_random *random;
    struct mr_workers *workers; /* for scans and other slow things */
    struct mr_metrics *metrics;
    const char *source_id; /* the name in the configuration */
};

struct source {
    const struct source_type *type;
    struct source_host *host;
    void *options; /* filled from type->options */
};

typedef void (*source_close_cb)(void *owner);

/* A row for `millrace files`: called once per file or other stream. Values are borrowed for the
 * call. */
struct source_status {
    const char *path;
    const char *identity; /* "dev:inode:fingerprint" or NULL */
    const char *state;    /* "reading", "idle", "rotated", "waiting", "unreadable", ... */
    const char *detail;   /* last error, or NULL */
    int64_t position_bytes;
    int64_t size_bytes;   /* -1: unknown */
    int64_t last_read_ms; /* wall; 0: never */
};
typedef void (*source_status_cb)(void *owner, const struct source_status *status);

struct source_type {
    const char *name;                /* the word in the configuration */
    const char *help;                /* one sentence */
    const struct mr_option *options; /* ends with {0} */
    size_t options_size_bytes;
    size_t size_bytes; /* of the struct whose first member is struct source */
    /* Cross-option checks without side effects, for `millrace check`. May be NULL. */
    int (*check)(const void *options, struct mr_error *error);
    int (*open)(struct source *source, struct mr_error *error);
    void (*resume)(struct source *source); /* after MR_EAGAIN; may offer from inside */
    /* Stops reading, waits for what is under way to be acked, then done (later, never from inside).
     */
    void (*close)(struct source *source, source_close_cb done, void *owner);
    /* Reads on what is there, up to now, without waiting for events (drain); may be NULL. */
    void (*status)(struct source *source, source_status_cb cb, void *owner);
};

/* sources.c: the table; the whole registration of a source is its word there. NULL if unknown. */
const struct source_type *source_type_find(const char *name);
/* NULL at the end. */
const struct source_type *source_type_at(size_t place);

#endif
