/* The contract between a sink and its flow (agent/flow/drain).
 *
 * The flow reads the log, decides order, batching, retry, backoff, commits and metrics; a sink is only
 * about its own destination. Writes of one partition come in offset order, up to in_flight_max of them
 * unanswered. When one is answered with SINK_RETRY, the flow takes back all later ones of that partition
 * (their answers, whatever they are, no longer count), waits, and writes again from there. */
#ifndef SINKS_SINK_H
#define SINKS_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/list.h"
#include "base/core/option.h"
#include "base/core/random.h"

struct mr_disk;
struct mr_loop;
struct mr_metrics;
struct mr_net;
struct mr_workers;
struct sink;
struct sink_host;
struct sink_write;

enum { SINK_STATE_SIZE_MAX = 2048 };

enum sink_wants {
    SINK_WANTS_RANGES,  /* one record batch as it lies on disk: sent on untouched */
    SINK_WANTS_RECORDS, /* decoded records */
};

struct sink_field {
    const uint8_t *data; /* NULL: null */
    uint32_t size;
};

struct sink_header {
    struct sink_field name;
    struct sink_field value;
};

struct sink_record {
    int64_t offset;
    int64_t timestamp_ms;
    struct sink_field key;
    struct sink_field value;
    const struct sink_header *headers;
    uint32_t header_count;
};

enum sink_class {
    SINK_OK,        /* at its destination, as durable as that promises */
    SINK_RETRY,     /* not now: again after retry_after_ms (0: the flow's own backoff) */
    SINK_PERMANENT, /* this write can never be taken: dead letters, go on behind it */
    SINK_AUTH,      /* refused for who we are: alarm, retry slowly */
};

struct sink_outcome {
    enum sink_class class;
    int64_t retry_after_ms;
    const char *reason;         /* words for log, metrics and dead letter; NULL when OK */
    const uint32_t *bad_records; /* PERMANENT for some records only: their places in records[] */
    size_t bad_record_count;     /* 0: all */
};

typedef void (*sink_done_cb)(struct sink_write *write, const struct sink_outcome *outcome);

struct sink_write {
    const char *topic;
    int32_t partition;
    int64_t first_offset; /* above the last write's next_offset: records between were dropped (a gap) */
    int64_t next_offset;
    int64_t record_count;
    /* SINK_WANTS_RANGES: exactly one batch */
    struct mr_disk *disk;
    int fd;
    int64_t position;
    int64_t size_bytes;
    /* SINK_WANTS_RECORDS */
    const struct sink_record *records;
    sink_done_cb done; /* exactly once, never inside write() */
    void *owner;       /* the flow's */
    struct mr_link link; /* the sink's while it has the write */
    void *sink_data[2];  /* likewise */
};

struct sink_partition_info {
    int32_t partition_count; /* of the topic, now */
    /* The log's end when the flow opened the partition: whatever a destination has behind it was not
     * sent by an earlier life of this log. */
    int64_t end_offset_at_open;
};

/* What the flow offers to a sink. */
struct sink_host_ops {
    /* The state that was last committed for a partition (opaque to the flow): its size, 0: none. */
    size_t (*state_get)(struct sink_host *host, const char *topic, int32_t partition, void *state,
                        size_t size);
    /* Commits state durably (synced) together with the position that is done so far; done is called
     * exactly once, later. Positions and the last state are also committed by the flow itself from time to
     * time and at close. */
    int (*state_commit)(struct sink_host *host, const char *topic, int32_t partition,
                        const void *state, size_t size, void (*done)(void *owner, int rc),
                        void *owner);
    /* Moves the position of a partition: the next write begins at `offset` (a hub that is behind, if the
     * log still holds it: else at the log's start, and the gap shows in first_offset). Unanswered writes are
     * taken back as after SINK_RETRY. */
    void (*rewind)(struct sink_host *host, const char *topic, int32_t partition, int64_t offset);
    /* Losses that the sink found (the hub truncated what is no longer held): counted in the ledger. */
    void (*lost)(struct sink_host *host, const char *topic, int32_t partition, const char *reason,
                 int64_t records);
    /* 0 or MR_ENOENT. May be absent: then counts are not compared and roll-backs not noticed. */
    int (*partition_info)(struct sink_host *host, const char *topic, int32_t partition,
                          struct sink_partition_info *ret_info);
};

struct sink_host {
    const struct sink_host_ops *ops;
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct mr_net *net;
    struct mr_random *random;
    struct mr_workers *workers;
    struct mr_metrics *metrics;
    const char *sink_id;          /* the name in the configuration */
    const char *node_name;
    struct mr_uuid node_uuid;     /* of the data directory, bound to the machine: new after cloning */
    bool is_node_cloned;          /* the machine-id changed: all lineages are new */
    struct mr_secret *cluster_key; /* what all nodes of the cluster know; NULL: nothing */
    const char *cluster_id;       /* of the mesh that this node is in or is; NULL: not known */
};

struct sink {
    const struct sink_type *type;
    struct sink_host *host;
    void *options;
};

typedef void (*sink_close_cb)(void *owner);

/* For `millrace sinks` and health. */
struct sink_status {
    const char *state; /* "connected", "connecting", "backoff", ... */
    const char *error; /* last one, or NULL */
    const char *destination;
};

struct sink_type {
    const char *name;
    const char *help;
    const struct mr_option *options;
    size_t options_size_bytes;
    size_t size_bytes; /* of the struct whose first member is struct sink */
    enum sink_wants wants;
    int in_flight_max;        /* writes per partition */
    int64_t write_bytes_max;  /* RECORDS: batch bound; 0: 1 MiB */
    bool wants_synced;        /* only bytes that are on the platter are offered (forwarding triggers it) */
    int (*check)(const void *options, struct mr_error *error);
    int (*open)(struct sink *sink, struct mr_error *error);
    void (*write)(struct sink *sink, struct sink_write *write);
    /* Answers everything it has (at the latest after a short flush), then done, later. */
    void (*close)(struct sink *sink, sink_close_cb done, void *owner);
    void (*status)(struct sink *sink, struct sink_status *ret_status);
};

const struct sink_type *sink_type_find(const char *name);
const struct sink_type *sink_type_at(size_t place);

#endif
