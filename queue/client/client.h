/* Outgoing Kafka connections: for the peer sink, the command line, and later fetchers and the
 * quorum.
 *
 * A client knows some bootstrap addresses, learns the nodes and the leaders of the topics it
 * watches from Metadata, keeps one connection per node, negotiates versions (ApiVersions),
 * pipelines requests, and gives each its answer or its failure exactly once. It does not retry
 * requests: what a failure means is known to the caller only. It does reconnect, with capped
 * backoff and jitter.
 *
 *     client_send(client, &request)            to a node (or CLIENT_ANY)
 *       -> connected? else connect: next bootstrap address when one fails
 *       -> ApiVersions once per connection; the highest version that both sides have
 *       -> encoded, sent (file ranges by sendfile), answered in order -> request->cb
 *
 * Over a Unix socket every node is behind that one socket. Lives on one loop. */
#ifndef QUEUE_CLIENT_CLIENT_H
#define QUEUE_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/list.h"
#include "base/core/loop.h"
#include "base/net/stream.h"
#include "queue/wire/api.h"
#include "queue/wire/writer.h"

struct client;
struct client_request;
struct mr_disk;
struct mr_random;

enum { CLIENT_ANY = -1 }; /* whatever node is connected */

struct client_config {
    struct mr_loop *loop;
    struct mr_net *net;
    struct mr_random *random; /* jitter */
    const char *client_id;
    const struct mr_address *bootstrap; /* copied */
    size_t bootstrap_count;
    struct mr_tls_context *tls;      /* NULL: plain */
    const char *tls_server_name;     /* NULL: the host */
    int64_t request_timeout_ms;      /* 0: 30 s */
    int64_t connect_timeout_ms;      /* 0: 10 s */
    int64_t backoff_ms;              /* 0: 100 ms; doubles up to ... */
    int64_t backoff_ms_max;          /* 0: 10 s */
    int64_t metadata_age_ms_max;     /* 0: 5 min */
    bool allow_auto_topic_creation;  /* asked of the node for watched topics */
    int64_t response_size_bytes_max; /* 0: 128 MiB */
    /* After each Metadata answer, and after a round of failures (rc, words). May be NULL. */
    void (*on_metadata)(void *owner, int rc, const char *reason);
    void *owner;
};

/* Of `records.payload` in a Produce request: bytes of memory, then a range of a file. The size of
 * the records field is that of both together. */
struct client_payload {
    struct mr_slice head; /* kept alive by the caller until cb */
    struct mr_disk *disk;
    int fd;
    int64_t position;
    int64_t size_bytes; /* of the file range; 0: memory only */
};

typedef void (*client_request_cb)(struct client_request *request);

/* The caller's until cb, with the body and all that it points to. */
struct client_request {
    int16_t api_key;
    int16_t version_max;      /* 0: the highest common one; else not above this */
    int16_t version_min;      /* what the body needs; MR_EUNSUPPORTED if the node has less */
    int32_t node_id;          /* or CLIENT_ANY */
    const void *body;         /* the struct that api_key's request describes */
    int64_t timeout_ms;       /* 0: the client's */
    bool expects_no_response; /* Produce with acks=0: cb when sent */
    client_request_cb cb;     /* exactly once, later */
    void *owner;
    /* results, during cb only */
    int rc; /* 0; MR_ENETWORK, MR_ETIMEDOUT, MR_EUNSUPPORTED, MR_ECORRUPT, MR_ECANCELED ... */
    const char *reason; /* words for a failure */
    int16_t version;
    const void *response; /* the decoded struct; borrowed */
    int32_t answered_by;  /* the node, or CLIENT_ANY if it is not known */
    /* the client's */
    struct mr_link link;
    struct mr_timer timer;
    int32_t correlation_id;
    struct wire_writer writer;
    struct mr_stream_piece *pieces;
    size_t piece_count;
    void *connection;
    bool is_sent; /* all of it is with the kernel, or nothing is any more */
    bool is_in_flight;
    char reason_text[256];
};

int client_new(const struct client_config *config, struct client **ret_client,
               struct mr_error *error);
/* Requests under way get MR_ECANCELED; then done, later, and the client is gone. */
void client_close(struct client *client, void (*done)(void *owner), void *owner);

/* Always calls back, later. */
void client_send(struct client *client, struct client_request *request);

/* ---- metadata ---- */

struct client_partition {
    int32_t leader_id; /* -1: none now */
    int32_t leader_epoch;
    int16_t error;
};

struct client_topic {
    char *name;
    struct mr_uuid id; /* zero: unknown, or the node is too old */
    int16_t error;     /* enum kafka_error; -1: not asked yet */
    int32_t partition_count;
    struct client_partition *partitions;
};

/* Names a topic whose leaders are wanted, and asks. 0 or MR_ENOMEM. */
int client_watch(struct client *client, const char *topic);
void client_unwatch(struct client *client, const char *topic);
/* NULL: not watched. Borrowed until the next turn. */
const struct client_topic *client_topic_find(const struct client *client, const char *topic);
/* Asks anew (after NOT_LEADER and the like); several calls make one request, at most one per
 * backoff. */
void client_refresh(struct client *client);
/* Kafka's cluster id of the far side; "" until the first Metadata. */
const char *client_cluster_id(const struct client *client);
/* How many nodes are known; their ids by place. */
int32_t client_node_count(const struct client *client);
int32_t client_node_id(const struct client *client, int32_t place);
/* "connected to hub-1:9092", "connecting", ...: for status pages. */
void client_describe(const struct client *client, char *text, size_t size);

#endif
