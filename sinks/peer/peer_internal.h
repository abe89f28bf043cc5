/* The inside of the peer sink: sinks/peer.c and this folder. */
#ifndef SINKS_PEER_PEER_INTERNAL_H
#define SINKS_PEER_PEER_INTERNAL_H

#include "base/core/loop.h"
#include "base/core/metric.h"
#include "base/core/state.h"
#include "queue/client/client.h"
#include "queue/wire/bytes.h"
#include "queue/wire/fetch.h"
#include "queue/wire/produce.h"
#include "queue/wire/topics.h"
#include "queue/wire/transactions.h"
#include "sinks/peer/batch.h"
#include "sinks/peer/lineage.h"
#include "sinks/sink.h"

enum {
    PEER_IN_FLIGHT_MAX = 5, /* what a hub remembers of a producer */
    PEER_REASON_SIZE = 320,
};

struct peer_tls {
    bool is_on;
    const char *ca;
    const char *cert;
    const char *key;
    const char *crl;
    const char *server_name;
};

struct peer_oauth {
    const char *url;
    const char *ca;
    const char *id;
    struct mr_secret *secret;
    const char *scope;
};

struct peer_sasl {
    int mechanism; /* place in the words, which are those of enum client_sasl_mechanism but NONE */
    const char *user;
    struct mr_secret *password;
    const char *token_file;
    struct peer_oauth oauth;
};

struct peer_options {
    struct mr_string_list nodes;
    int acks; /* place in the words: all, leader */
    const char *prefix;
    bool create_topics;
    int64_t partitions; /* of topics that are created; 0: as the hub likes */
    int64_t request_timeout_ms;
    int64_t connect_timeout_ms;
    struct peer_tls tls;
    struct peer_sasl sasl;
};

enum peer_metric {
    PEER_RESUMES,
    PEER_SKIPPED,
    PEER_LINEAGES,
    PEER_EPOCHS,
    PEER_REWINDS,
    PEER_AHEAD,
    PEER_SPLITS,
    PEER_REFUSED,
    PEER_METRIC_COUNT
};

struct peer {
    struct sink sink;
    const struct peer_options *options;
    struct client *client;
    struct mr_tls_context *tls; /* NULL: plain */
    struct mr_metric_set *metrics;
    struct mr_link lanes;
    struct mr_link homeless; /* writes that there was no memory to make a lane for: given back */
    uint64_t nodes_hash;
    char destination[256];
    char error[PEER_REASON_SIZE]; /* the last failure, "" after a success */
    bool is_closing;
    bool is_client_closing;
    struct mr_timer close_timer;
    struct mr_task close_task;
    sink_close_cb closed;
    void *closed_owner;
};

enum lane_state {
    LANE_UNSURE,
    LANE_TARGET,
    LANE_ASKING,
    LANE_COMMITTING,
    LANE_SENDING,
    LANE_SPLITTING,
    LANE_FAILING,
    LANE_STATE_COUNT
};

/* One partition of ours on its way to one of the hub's. */
struct lane {
    struct mr_link link;
    struct peer *peer;
    char *topic; /* ours */
    int32_t partition;
    struct mr_machine machine;
    struct lineage lineage;
    bool has_lineage;
    struct mr_link
        held; /* sink_write, from the first that is unanswered; those in flight come first */
    int in_flight;
    int64_t next_offset;     /* of the first record that has not been sent */
    int64_t sent_offset_max; /* nothing of ours can be at the hub behind it; -1: not known yet */
    /* the connection on which the hub was asked, and all is sent */
    int32_t node;
    uint64_t session;
    bool is_established; /* the hub is known to know the epoch: more than one may be in flight */
    int attempts;        /* to resume, since the last success */
    /* why it fails */
    enum sink_class failure;
    char reason[PEER_REASON_SIZE];
    /* questions; one at a time */
    struct client_refresh refresh;
    struct client_request request;
    bool is_asking;
    int creations; /* of the topic, in this round */
    struct lineage_view view;
    char target[LINEAGE_TOPIC_SIZE];
    union {
        struct {
            struct create_topics_request body;
            struct create_topics_request_topic topic;
        } create;
        struct {
            struct describe_producers_request body;
            struct describe_producers_request_topic topic;
        } describe;
        struct {
            struct list_offsets_request body;
            struct list_offsets_request_topic topic;
            struct list_offsets_request_partition partition;
        } list;
    } message;
    /* commits */
    bool is_committing;     /* one of ours is with the flow */
    bool is_commit_awaited; /* and nothing is sent before it is done */
    bool is_commit_wanted;  /* it waits for the one that is with the flow */
    bool is_dirty;          /* the lineage is not known to be on disk */
    bool is_own;            /* the lineage was found to hold, or begun, by this process */
    enum lane_state after_commit;
    int64_t committed_ms;
    int64_t committed_hub_end_offset;
    /* splitting the first held write */
    struct batch_piece piece;
    bool is_cutting;
    int32_t piece_count_max;
    bool is_plain;
    bool grows_again;
    /* reading a header from the device */
    struct mr_work header_work;
    struct sink_write header_write; /* a copy, for the worker */
    uint8_t header[BATCH_HEADER_SIZE];
    bool is_reading;
    struct mr_task step_task;
};

/* One Produce request. */
struct flight {
    struct lane *lane;
    struct sink_write *write;
    struct client_request request;
    struct produce_request body;
    struct produce_request_topic topic;
    struct produce_request_partition partition;
    struct client_payload payload;
    uint8_t header[BATCH_HEADER_SIZE];
    int64_t next_offset;
    bool is_piece;
};

/* lane.c */
struct lane *lane_get(struct peer *peer, const char *topic, int32_t partition);
void lane_take(struct lane *lane, struct sink_write *write);
/* Goes as far as it can without waiting. */
void lane_step(struct lane *lane);
bool lane_is_idle(const struct lane *lane);
void lane_free(struct lane *lane);
void lane_move(struct lane *lane, enum lane_state state);
struct sink_write *lane_first(const struct lane *lane);
/* The first held write, with this outcome. */
void lane_answer_first(struct lane *lane, enum sink_class class);
/* Everything that is held is given back to the flow once nothing is in flight any more. */
void lane_fail(struct lane *lane, enum sink_class class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The connection, the leader or the sequence is not what it was: asks the hub again, and fails when
 * that was done too often. */
void lane_unsure(struct lane *lane, const char *format, ...) __attribute__((format(printf, 2, 3)));
void lane_count(struct lane *lane, enum peer_metric metric, int64_t count);
const char *lane_subject(const struct lane *lane);

/* lane_resume.c: LANE_TARGET, LANE_ASKING */
void lane_find_target(struct lane *lane);

/* lane_commit.c */
/* Commits the lineage; LANE_COMMITTING until it is done, then LANE_SENDING. */
void lane_commit_awaited(struct lane *lane);
/* After an acknowledgement: now and then, or when it matters. */
void lane_commit_sometimes(struct lane *lane);
/* A new epoch for what begins at `offset`; nothing is in flight. */
void lane_bump(struct lane *lane, int64_t offset);
void lane_begin(struct lane *lane, const struct lineage_place *place, int64_t offset);

/* lane_send.c: LANE_SENDING */
void lane_send(struct lane *lane);
/* The Produce request of a write or piece; 0 or a negative rc. */
int flight_send(struct flight *flight);
struct flight *flight_new(struct lane *lane, struct sink_write *write);

/* lane_split.c: LANE_SPLITTING */
/* record_count_max 0: the rest of the first held write in one piece. */
void lane_split(struct lane *lane, int32_t record_count_max);
void lane_split_step(struct lane *lane);
/* What became of the piece in lane->piece. */
void lane_split_taken(struct lane *lane);
void lane_split_refused(struct lane *lane, int code);

#endif
