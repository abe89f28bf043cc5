/* Outgoing Kafka connections: what a peer sink, a fetcher or the command line asks other nodes
 * with.
 *
 *     request.key = WIRE_API_PRODUCE;
 *     request.message = &produce;            a struct of queue/wire, alive until done
 *     request.node = CLIENT_NODE_LEADER;     or ANY, CONTROLLER, COORDINATOR, or a node id
 *     request.done = on_answer;              gets the decoded answer, or a negative rc
 *     rc = client_send(client, &request);
 *
 * Versions are negotiated for each connection. Requests to one node leave in the order they were
 * given and are answered in that order. A connection that breaks fails all that was given to it,
 * also what had not left yet: who needs an order across connections (a producer's sequences) asks
 * anew before the next one. Nothing is sent twice here.
 *
 * A client lives on one loop. */
#ifndef QUEUE_CLIENT_CLIENT_H
#define QUEUE_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/core/list.h"
#include "base/core/loop.h"
#include "base/core/random.h"
#include "base/net/stream.h"
#include "queue/wire/api.h"

struct client;
struct client_request;
struct mr_disk;
struct mr_metrics;
struct mr_secret;
struct mr_tls_context;
struct node;

enum client_sasl_mechanism {
    CLIENT_SASL_NONE,
    CLIENT_SASL_PLAIN,
    CLIENT_SASL_SCRAM_SHA_256,
    CLIENT_SASL_SCRAM_SHA_512,
    CLIENT_SASL_OAUTHBEARER,
    CLIENT_SASL_CLUSTER_KEY /* user: the node's name, password: the cluster's key */
};

/* Where tokens for OAUTHBEARER come from: a file, which is read at each authentication, or a server
 * of identities (client credentials, KIP-768), which is asked when four fifths of the last token's
 * life are over. */
struct client_oauth {
    struct mr_disk *disk;
    const char *token_file; /* NULL: */
    const char *url;
    const char *ca; /* NULL: the system's */
    const char *id;
    struct mr_secret *secret; /* referenced: its text may change */
    const char *scope;        /* NULL: what the server gives */
};

/* Zeros mean the values that are given. */
struct client_config {
    struct mr_loop *loop;
    struct mr_net *net;
    struct mr_random *random;
    struct mr_metrics *metrics;         /* may be NULL */
    const char *client_id;              /* "millrace" */
    const struct mr_address *bootstrap; /* copied; at least one */
    size_t bootstrap_count;
    struct mr_tls_context *tls;                /* NULL: plain; outlives the client */
    const char *tls_server_name;               /* NULL: the host; copied */
    enum client_sasl_mechanism sasl_mechanism; /* NONE: nobody asks who we are */
    const char *sasl_user;                     /* copied */
    struct mr_secret *sasl_password;           /* referenced: its text may change */
    struct client_oauth sasl_oauth;            /* for OAUTHBEARER, instead of those; copied */
    int64_t request_timeout_ms;                /* from client_send to the answer: 30 s */
    int64_t connect_timeout_ms;                /* 10 s */
    int64_t backoff_ms_min;       /* between attempts at one node: 50 ms, doubled up to */
    int64_t backoff_ms_max;       /* 1 s; half of it is chance */
    int64_t metadata_age_ms_max;  /* 5 min */
    int64_t refresh_ms_min;       /* between two Metadata requests: 100 ms */
    size_t answer_size_bytes_max; /* 100 MiB; a longer frame breaks the connection */
};

/* Fails with MR_EINVAL (no address) or MR_ENOMEM. Nothing is connected before it is needed. */
int client_new(const struct client_config *config, struct client **ret_client,
               struct mr_error *error);
/* Every request that was taken gets its callback with MR_ECANCELED, then cb; all later. The client
 * is gone when cb is called. */
void client_close(struct client *client, void (*cb)(void *owner), void *owner);
/* Why the last connection could not be made or broke; "" if none did since one was made. */
const char *client_error(const struct client *client);
bool client_is_connected(const struct client *client); /* at least one node is ready */

/* ---- requests ---- */

enum {
    CLIENT_NODE_ANY = -1,
    CLIENT_NODE_CONTROLLER = -2,
    CLIENT_NODE_LEADER = -3,      /* of topic and partition */
    CLIENT_NODE_COORDINATOR = -4, /* of coordinator_key */
};

/* What a wire_records.payload points at: memory, then a range of a file (by sendfile). Alive until
 * done; either part may be empty. */
struct client_payload {
    struct mr_slice memory;
    struct mr_disk *disk;
    int fd;
    int64_t position;
    int64_t size_bytes;
};

/* rc 0: the answer has come, which may say errors of its own; it is alive during the callback only.
 * Else NULL, and MR_ENETWORK (not connected, or broken on the way: it may have been done or not),
 * MR_ETIMEDOUT (likewise), MR_EUNSUPPORTED (the node has no common version), MR_EPROTOCOL,
 * MR_ENOMEM, MR_ECANCELED; LEADER: MR_ENOENT and others as the topic's error says. */
typedef void (*client_done_cb)(struct client_request *request, int rc, const void *response);

typedef void (*client_refresh_cb)(void *owner, int rc);
struct client_refresh {
    struct mr_link link;
    const char *topic; /* to be known from now on; NULL: what is known already */
    client_refresh_cb done;
    void *owner;
};

/* The caller's until client_send has returned 0, then the client's until done, and then the
 * caller's again: it may be sent anew in the callback. */
struct client_request {
    enum wire_api_key key;
    const void *message;
    int32_t node;
    const char *topic;
    int32_t partition;
    const char *coordinator_key;
    int8_t coordinator_type; /* 0 group, 1 transaction */
    int16_t version_max;     /* 0: the highest that both sides know */
    uint64_t session;        /* 0: any; else on this connection or never (MR_ENETWORK) */
    int64_t timeout_ms;      /* 0: the client's */
    client_done_cb done;
    void *owner;

    int16_t version;           /* with the answer: the one that was used */
    int32_t answered_node;     /* with the answer: the node's id, -1 while that is not known */
    uint64_t answered_session; /* with the answer: which connection it came on, never 0 */

    /* the client's */
    struct client *client;
    struct node *at;
    struct mr_link link;
    struct mr_timer timer;
    struct client_refresh refresh;
    struct mr_buf *head;
    struct mr_stream_piece *pieces;
    int pieces_unsent;
    int attempts;
    int32_t correlation_id;
};

/* 0 and the callback comes exactly once, later; or a negative rc and never. Produce with acks 0,
 * which has no answer, is not for this client: MR_EINVAL. */
int client_send(struct client *client, struct client_request *request);

/* ---- what the cluster looks like ---- */

struct client_partition {
    int32_t leader; /* -1: none */
    int32_t leader_epoch;
    int16_t error;
};

struct client_topic {
    char *name;
    struct mr_uuid id; /* zero where nodes tell none */
    int16_t error;     /* Kafka's: of the topic as a whole */
    int32_t partition_count;
    struct client_partition *partitions;
};

/* Asks for Metadata; several at a time share one request. `topic` is copied. Topics are never
 * created by asking. As client_send. */
int client_refresh(struct client *client, struct client_refresh *refresh);
/* As of the last refresh; NULL: not asked for yet. Valid until the loop's next turn. */
const struct client_topic *client_topic(const struct client *client, const char *name);
/* Is not asked for any more. */
void client_topic_forget(struct client *client, const char *name);
/* A node id, or -1. */
int32_t client_leader(const struct client *client, const char *topic, int32_t partition);
/* NULL before the first refresh, or where nodes tell none. */
const char *client_cluster_id(const struct client *client);
int32_t client_controller(const struct client *client); /* -1: not known */
size_t client_node_count(const struct client *client);  /* as Metadata told */
/* The coordinator said that it is not (NOT_COORDINATOR): find it again. */
void client_coordinator_forget(struct client *client, const char *key, int8_t type);
/* The version that the node's connection would use now; -1: not connected, or none in common. */
int client_version(const struct client *client, int32_t node, enum wire_api_key key);

#endif
