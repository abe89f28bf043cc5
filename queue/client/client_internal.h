/* What client.c (routing, metadata) and connection.c (one connection) share. */
#ifndef QUEUE_CLIENT_CLIENT_INTERNAL_H
#define QUEUE_CLIENT_CLIENT_INTERNAL_H

#include "base/core/state.h"
#include "queue/client/client.h"

enum {
    CLIENT_IN_FLIGHT_MAX = 64, /* per connection; more wait */
    CLIENT_API_COUNT = WIRE_API_KEY_END,
    CLIENT_CLUSTER_ID_SIZE = 128,
};

struct client_connection {
    struct mr_link link; /* of client->connections */
    struct client *client;
    struct mr_address address;
    char address_text[MR_ADDRESS_TEXT_SIZE];
    int32_t node_id; /* CLIENT_ANY: not known (bootstrap) */
    bool is_bootstrap;
    struct mr_machine machine;
    struct mr_connect *connecting;
    struct mr_stream *stream;
    struct mr_timer backoff_timer;
    int64_t backoff_ms;
    struct client_request versions; /* our own ApiVersions */
    bool asks_old_versions;
    int16_t version_min[CLIENT_API_COUNT]; /* of the node; max < min: it has not the API */
    int16_t version_max[CLIENT_API_COUNT];
    struct mr_link waiting;   /* client_request: not sent yet */
    struct mr_link in_flight; /* sent, in order */
    int in_flight_count;
    uint8_t prefix[WIRE_FRAME_PREFIX_SIZE];
    size_t prefix_filled;
    struct mr_buf *frame;
    size_t frame_size;
    char reason[256]; /* of the last failure */
};

struct client_node {
    int32_t id;
    struct client_connection *connection;
};

struct client {
    struct mr_loop *loop;
    struct mr_net *net;
    struct mr_random *random;
    char *client_id;
    struct mr_tls_context *tls;
    char *tls_server_name;
    int64_t request_timeout_ms;
    int64_t connect_timeout_ms;
    int64_t backoff_ms;
    int64_t backoff_ms_max;
    int64_t metadata_age_ms_max;
    int64_t response_size_bytes_max;
    bool allow_auto_topic_creation;
    void (*on_metadata)(void *owner, int rc, const char *reason);
    void *owner;
    struct mr_link connections;
    struct client_node *nodes;
    size_t node_count;
    size_t node_capacity;
    int32_t next_correlation_id;
    struct mr_link failed; /* client_request: their cb comes in the next turn */
    struct mr_task fail_task;
    /* metadata */
    struct client_topic *topics;
    size_t topic_count;
    size_t topic_capacity;
    struct client_request metadata;
    struct wire_arena metadata_arena;
    bool is_asking;
    bool wants_metadata;
    struct mr_timer metadata_timer;
    int64_t metadata_asked_ms;
    char cluster_id[CLIENT_CLUSTER_ID_SIZE];
    bool is_closing;
    struct mr_task close_task;
    void (*on_closed)(void *owner);
    void *close_owner;
};

enum client_state { CLIENT_IDLE, CLIENT_CONNECTING, CLIENT_VERSIONS, CLIENT_READY, CLIENT_BACKOFF };

int client_connection_new(struct client *client, const struct mr_address *address,
                          bool is_bootstrap, struct client_connection **ret_connection);
void client_connection_free(struct client_connection *connection);
/* Takes a request; connects if need be. */
void client_connection_send(struct client_connection *connection, struct client_request *request);
bool client_connection_is_ready(const struct client_connection *connection);
/* Breaks it, as the network would. */
void client_connection_break(struct client_connection *connection, int rc, const char *reason);

/* The one end of a request: sets the outcome and calls back in a later turn. */
void client_request_fail(struct client *client, struct client_request *request, int rc,
                         const char *reason);
/* A connection could not be made: the requests that any node may answer try the next address, or
 * fail after the last. */
void client_rotate(struct client *client, struct client_connection *connection, int rc);

/* metadata.c */
void client_metadata_init(struct client *client);
void client_metadata_done(struct client *client);

#endif
