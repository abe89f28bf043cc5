/* The inside of queue/client, for this room alone. */
#ifndef QUEUE_CLIENT_CLIENT_INTERNAL_H
#define QUEUE_CLIENT_CLIENT_INTERNAL_H

#include "base/core/map.h"
#include "base/core/metric.h"
#include "base/core/state.h"
#include "queue/client/client.h"
#include "queue/wire/cluster.h"

enum client_metric {
    CLIENT_CONNECTS,
    CLIENT_FAILURES,
    CLIENT_REQUESTS,
    CLIENT_SENT_BYTES,
    CLIENT_THROTTLES,
    CLIENT_THROTTLE_MS,
    CLIENT_METRIC_COUNT
};

enum node_state { NODE_IDLE, NODE_CONNECTING, NODE_NEGOTIATING, NODE_READY, NODE_BACKOFF };

struct sasl_config;
struct sasl_talk;

struct node_versions {
    int16_t min;
    int16_t max; /* below min: not served */
};

/* One node and its one connection. */
struct node {
    struct mr_link link; /* client->nodes */
    struct client *client;
    int32_t id; /* -1: a bootstrap address whose id is not known */
    bool is_bootstrap;
    bool is_gone; /* not in the last Metadata */
    struct mr_address address;
    struct mr_machine machine;
    struct mr_connect *connect;
    struct mr_stream *stream;
    struct mr_timer backoff_timer;
    struct mr_timer throttle_timer; /* running: the node has told us to wait */
    int failures;     /* in a row */
    uint64_t session; /* of the connection that is ready, or was last */
    struct node_versions versions[WIRE_API_KEY_END];
    struct mr_link waiting;   /* requests, until the connection is ready */
    struct mr_link in_flight; /* sent, in order */
    int32_t next_correlation_id;
    struct client_request hello;
    int hello_rc; /* why the node cannot be spoken to, found while reading its answer */
    struct api_versions_request hello_message;
    char hello_reason[256]; /* words for hello_rc, or "" */
    struct sasl_talk *talk; /* while we show who we are */
    struct mr_timer renew_timer;
    bool is_renewing; /* the connection was ready before, and keeps its session */
    struct mr_bytes in;
    size_t in_start; /* bytes before it are parsed */
};

/* The cache of Metadata. */
struct metadata {
    struct mr_map topics; /* struct client_topic */
    char *cluster_id;
    int32_t controller_id;
    size_t node_count;
    struct mr_link wanted;    /* refreshes for the next request */
    struct mr_link under_way; /* of the one that was sent */
    bool is_sent;
    int64_t sent_ms; /* the last one; -1: never */
    struct mr_timer timer;
    struct client_request request;
    struct metadata_request message;
    struct wire_arena arena;
};

struct client {
    struct client_config config;
    char *client_id;
    char *tls_server_name;
    struct sasl_config *sasl; /* NULL: none */
    struct mr_link nodes;
    struct mr_link parked; /* requests that wait for a refresh or a coordinator */
    struct metadata metadata;
    struct mr_map coordinators; /* "type:key" -> struct coordinator */
    struct mr_metric_set *metrics;
    char error[256];
    uint64_t last_session;
    bool is_closing;
    struct mr_task close_task;
    void (*closed)(void *owner);
    void *closed_owner;
};

/* client.c */
void client_count(struct client *client, enum client_metric metric, int64_t count);
/* Releases what the request holds, and calls back. It is on no list. */
void request_finish(struct client_request *request, int rc, const void *response);
/* Its time-out begins anew, with so much on top. */
void request_give_time(struct client_request *request, int64_t more_ms);
/* To a node that fits request->node; 0 or a negative rc (then it is as before). */
int request_route(struct client_request *request);
void client_fail(struct client *client, const char *text);

/* node.c */
struct node *node_new(struct client *client, int32_t id, const struct mr_address *address);
/* What it has is finished with rc first. */
void node_free(struct node *node, int rc);
int node_submit(struct node *node, struct client_request *request);
/* KIP-219: sends nothing for so long; what is asked already gets that much more time. */
void node_throttle(struct node *node, int64_t throttle_ms);
bool node_is(const struct node *node, enum node_state state);
void node_break(struct node *node, int rc, const char *reason);
/* Asks something of its own, before requests may go out; by node->hello. 0 or a negative rc. */
int node_ask(struct node *node, int16_t key, const void *message, int version, client_done_cb done);
/* Requests may go out. */
void node_authenticated(struct node *node);
struct node *node_find(const struct client *client, int32_t id);

/* frame.c */
/* Encodes and queues the request on the node's stream; 0 or a negative rc. */
int frame_send(struct node *node, struct client_request *request, int version);
void frame_release(struct client_request *request);
/* Reads what is there and finishes requests; 0, or a negative rc: the connection is broken. */
int frame_receive(struct node *node);

/* sasl.c */
int sasl_config_new(const struct client_config *config, struct sasl_config **ret_config);
void sasl_config_free(struct sasl_config *config); /* NULL is fine */
void sasl_init(struct node *node);
/* Begins to show who we are; ends in node_authenticated, or with node->hello_rc or node_break. */
int sasl_begin(struct node *node);
/* The connection goes. */
void sasl_end(struct node *node);

/* metadata.c */
void metadata_init(struct client *client);
/* Refreshes that wait get MR_ECANCELED. */
void metadata_done(struct client *client);
void metadata_cancel(struct client *client, struct client_refresh *refresh);

/* coordinator.c */
/* The node's id, or -1 and a search is begun; request_route is called again for all parked requests
 * of the key when it ends. < -1: a negative rc. */
int coordinator_route(struct client_request *request, int32_t *ret_node);
void coordinators_done(struct client *client);

#endif
