/* The inside of the broker room: what connections, requests and handlers share.
 *
 * A request's way: connection (bytes -> frame) -> dispatch (header, body, table) -> api_*.c
 * (structs) -> request_respond (structs -> bytes and file ranges) -> connection (in request order,
 * to the stream). */
#ifndef QUEUE_BROKER_BROKER_INTERNAL_H
#define QUEUE_BROKER_BROKER_INTERNAL_H

#include "base/core/buffer.h"
#include "base/core/list.h"
#include "base/core/loop.h"
#include "base/core/metric.h"
#include "queue/broker/audit.h"
#include "queue/broker/auth.h"
#include "queue/broker/broker.h"
#include "queue/broker/checks.h"
#include "queue/broker/quota.h"
#include "queue/broker/sasl.h"
#include "queue/meta/meta.h"
#include "queue/replica/manager.h"
#include "queue/wire/api.h"
#include "queue/wire/kafka_error.h"
#include "queue/wire/writer.h"

struct api_entry;
struct mr_codec_context;
struct produce;
struct request;

enum {
    CONNECTION_REQUESTS_MAX = 64, /* unanswered Produce requests of one connection */
    REQUEST_ARENA_SIZE_MAX = 256 * 1024 * 1024,
    BROKER_SCRATCH_SIZE = 64 * 1024,
    BROKER_REQUESTS_KEPT = 128, /* free ones, with their memory */
    FRAME_CLASSES = 6,          /* buffers of frames: 64 KiB, doubled up to 2 MiB */
    FRAMES_KEPT = 8,            /* of each class, while there is traffic */
    BROKER_ERROR_CODES = 138,   /* -1 to 136 */
};

enum broker_metric {
    BROKER_CONNECTIONS,
    BROKER_CONNECTIONS_TOTAL,
    BROKER_BYTES_IN,
    BROKER_BYTES_OUT,
    BROKER_MEMORY,
    BROKER_REFUSED_REQUESTS,
    BROKER_IDLE_CLOSED,
    BROKER_AUTHENTICATIONS,
    BROKER_DENIED,
    BROKER_WORKER_CHECKS,
    BROKER_METRIC_COUNT
};

enum api_metric { API_REQUESTS, API_TIME, API_METRIC_COUNT };

struct listener {
    struct broker *broker;
    struct mr_listener *net_listener; /* NULL before start of tests' own */
    struct mr_address address;
    struct mr_address advertise;
    bool is_control;
    unsigned sasl_mechanisms;
    int64_t sasl_session_ms;
    bool names_peers; /* of a Unix socket */
};

struct broker {
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct mr_net *net;
    struct mr_random *random;
    struct mr_metrics *metrics;
    struct meta *meta;
    struct replicas *replicas;
    struct group_offsets *offsets;
    struct groups *groups;
    int32_t node_id;
    char *node_name;
    char *rack;
    bool auto_create_topics;
    int32_t default_partitions;
    int64_t request_size_bytes_max;
    int64_t memory_limit_bytes;
    int64_t connection_idle_ms_max;
    struct listener *listeners;
    size_t listener_count;
    struct mr_link connections; /* the longest quiet first */
    int connection_count;
    struct mr_link strangers; /* struct sasl: not authenticated yet, in order of arrival */
    struct auth *auth;
    struct quotas *quotas;
    struct audit_trail *audit;       /* the configuration's; NULL: none */
    struct mr_admission *admission;  /* of the listeners but the own socket */
    struct mr_workers *auth_workers; /* passwords are checked there */
    struct mr_workers *name_workers; /* users are looked up there (peer_name.c) */
    struct mr_link greetings;        /* peer_name.c's: streams whose user is looked up */
    struct mr_link closed;           /* connections: freed by the next turn */
    struct mr_task bury;
    struct mr_timer idle_timer;
    uint8_t *scratch; /* where reads begin */
    struct mr_buf *frames[FRAME_CLASSES][FRAMES_KEPT];
    int frame_counts[FRAME_CLASSES];
    bool is_frame_used; /* since the last look for idle things */
    int64_t memory_used_bytes;
    struct connection *overdraft; /* the one that may go beyond the limit */
    struct mr_link memory_waiters;
    struct mr_link free_requests;
    int free_request_count;
    int request_count; /* all that are being handled, orphans included */
    struct mr_codec_context *codecs;
    struct mr_bytes decompressed; /* of the batch being checked here */
    struct checks *checks;        /* for those that are too large for that */
    struct mr_metric_set *metric_set;
    struct mr_metric_set *api_metrics[WIRE_API_KEY_END];
    struct mr_metric_set *error_metrics[BROKER_ERROR_CODES];
    bool is_closing;
    void (*on_closed)(void *owner);
    void *close_owner;
};

/* ---- connection.c ---- */

struct connection {
    struct mr_link link; /* of broker->connections, then of broker->closed */
    struct mr_link memory_link;
    struct broker *broker;
    struct listener *listener;
    struct mr_stream *stream;
    char principal[PRINCIPAL_SIZE]; /* "User:ANONYMOUS" until the connection proves more */
    char host[HOST_SIZE];           /* where it comes from, as access control lists name it */
    struct sasl *sasl;              /* NULL: nobody asks */
    struct connection_quota *quota; /* quota.c's; NULL: nothing was counted yet */
    bool is_control;
    bool is_node; /* another node, by the cluster's key or by its name (authorization.nodes) */
    bool is_closed;
    bool is_ended;  /* the client has said all; answer what is left, then close */
    bool is_paused; /* reading is */
    bool is_muted;  /* a quota is used up: no request is taken until quota.c says so */
    int64_t active_at_ms;
    uint8_t prefix[WIRE_FRAME_PREFIX_SIZE];
    size_t prefix_filled;
    struct mr_buf *frame; /* the one that is arriving, when it does not come in one piece */
    size_t frame_size;
    size_t frame_charged; /* what is counted against the memory limit so far */
    size_t frame_counted; /* progress that has renewed the idle time */
    bool is_big;          /* the last frame was larger than the scratch */
    struct mr_task resume;
    struct mr_bytes backlog; /* bytes that came while nothing could be taken */
    struct mr_link requests; /* unanswered, in order */
    int request_count;
    struct produce *produce_last; /* api_produce.c's: the last whose batches are still checked */
};

/* peer_name: of the user at the other end of a Unix socket; NULL: nobody was asked. The stream
 * stays the caller's if it fails. */
int connection_new(struct broker *broker, struct listener *listener, struct mr_stream *stream,
                   const char *peer_name);
/* Now; requests that are being handled go on without it. The struct lives until the next turn. */
void connection_close(struct connection *connection, const char *reason);
/* What has been asked is answered, nothing more is taken, then it closes. */
void connection_end_after_answers(struct connection *connection);
/* A response is ready, or a request has ended: sends what is next, reads on. */
void connection_step(struct connection *connection);
/* Nothing keeps it from being read any more, as far as the caller knows. */
void connection_resume(struct connection *connection);
void connection_wake_memory_waiters(struct broker *broker);

/* ---- peer_name.c ---- */

/* Makes a connection of the stream once the user at its other end has a name. The stream stays the
 * caller's if it fails. */
int peer_meet(struct listener *listener, struct mr_stream *stream);
/* Closes the streams that wait for a name. */
void peers_close(struct broker *broker);

/* ---- frames.c ---- */

/* A buffer for a frame that does not come in one read; NULL without memory. */
struct mr_buf *frame_new(struct broker *broker, size_t size_bytes);
/* Gives a reference back; the buffer is kept for the next frame if it was the last. */
void frame_unref(struct broker *broker, struct mr_buf *frame);
void frames_free(struct broker *broker);

/* ---- request.c ---- */

enum request_state { REQUEST_HANDLING, REQUEST_READY, REQUEST_SENDING };

struct request {
    struct mr_link link; /* of the connection, or of the free ones */
    struct broker *broker;
    struct connection *connection; /* NULL: it has closed */
    const struct api_entry *api;
    struct wire_request head;
    struct mr_buf *frame;
    void *body; /* decoded */
    struct wire_arena arena;
    struct wire_writer writer;
    enum request_state state;
    bool has_response;
    size_t charged_bytes;
    int64_t started_us;
    struct audited *audited; /* a change: who asked for it; until it is answered */
    /* The handler's: */
    void *handler;
    void (*cancel)(struct request *request); /* the connection is gone: stop waiting; must end it */
    void (*release)(struct request *request); /* before the memory goes: file ranges */
};

/* Starts with the frame's reference. NULL without memory; then the reference is still the caller's.
 */
struct request *request_new(struct connection *connection, struct mr_buf *frame);
void request_free(struct request *request);
/* Zeroed, from the request's arena; NULL at its limit. */
void *request_alloc(struct request *request, size_t size_bytes);
/* Encodes `response` and hands it over; the handler is done with the request (but `release`). Its
 * throttle_time_ms is not the handler's to set. */
void request_respond(struct request *request, const void *response);
/* The same at another version than the request's (ApiVersions). */
void request_respond_at(struct request *request, int version, const void *response);
/* A bare SASL token behind its length, instead of a response. */
void request_respond_token(struct request *request, const void *token, size_t size);
/* Ends without an answer (acks=0, or nothing can be said). */
void request_end(struct request *request);
/* No memory or a broken promise: the connection is closed, as no honest answer can be made. */
void request_fail(struct request *request, int rc);
void request_count_error(struct request *request, int16_t code);

/* ---- dispatch.c ---- */

/* Kafka's numbers of resources and operations, as in queue/meta/acl.h. */
enum resource_type {
    RESOURCE_NONE = 0,
    RESOURCE_TOPIC = ACL_TOPIC,
    RESOURCE_GROUP = ACL_GROUP,
    RESOURCE_CLUSTER = ACL_CLUSTER,
    RESOURCE_TRANSACTIONAL_ID = ACL_TRANSACTIONAL_ID,
};
enum operation {
    OPERATION_NONE = 0,
    OPERATION_READ = 3,
    OPERATION_WRITE = 4,
    OPERATION_CREATE = 5,
    OPERATION_DELETE = 6,
    OPERATION_ALTER = 7,
    OPERATION_DESCRIBE = 8,
    OPERATION_CLUSTER_ACTION = 9,
    OPERATION_DESCRIBE_CONFIGS = 10,
    OPERATION_ALTER_CONFIGS = 11,
    OPERATION_IDEMPOTENT_WRITE = 12,
};

struct api_entry {
    int16_t key;
    void (*handle)(struct request *request);
    enum operation operation;    /* what the principal must be allowed to do ... */
    enum resource_type resource; /* ... with each resource of this kind that the request names */
};

const struct api_entry *api_entry_at(size_t place); /* NULL at the end */
const struct api_entry *api_entry_find(int key);
/* Parses the header and starts the handler; MR_EPROTOCOL: close the connection (said in the log).
 */
int dispatch(struct request *request);
/* Whether the principal may do this; the control socket always. name: of CLUSTER it does not
 * matter. */
bool request_may(const struct request *request, enum operation operation,
                 enum resource_type resource, struct wire_string name);
/* The same where a no is no refusal: what is not to be seen is left out of a list, or another right
 * will do. */
bool request_sees(const struct request *request, enum operation operation,
                  enum resource_type resource, struct wire_string name);
/* The cluster, by the operation that the API's entry names. */
bool request_may_cluster(const struct request *request);
/* With any resource of this kind (KIP-679). */
bool request_may_somewhere(const struct request *request, enum operation operation,
                           enum resource_type resource);
/* Kafka's bit field of what the principal may do with it (KIP-430). */
int32_t request_operations(const struct request *request, enum resource_type resource,
                           struct wire_string name);
/* Finds a topic that the principal may use as the API demands: NULL, and *ret_error is the Kafka
 * code. */
struct image_topic *request_topic(const struct request *request, struct wire_string name,
                                  const struct mr_uuid *id, int16_t *ret_error);
/* The same for another operation than the entry's. */
struct image_topic *request_topic_for(const struct request *request, enum operation operation,
                                      struct wire_string name, const struct mr_uuid *id,
                                      int16_t *ret_error);
struct partition *request_partition(const struct image_topic *topic, int32_t index,
                                    int16_t *ret_error);
/* CurrentLeaderEpoch: older 74, newer 75; -1 alone is not checked. */
int16_t request_check_epoch(const struct partition *partition, int32_t current_leader_epoch);
/* What clients of this connection's listener are told to connect to. */
void request_advertised(const struct request *request, struct wire_string *ret_host,
                        int32_t *ret_port);

/* ---- names.c ---- */

enum name_mark { NAME_ONCE, NAME_FIRST, NAME_AGAIN }; /* first and again: of more than one */

/* Marks the names of `count` items (NULL where there are none) of `stride` bytes, which are a
 * struct wire_string at `name_offset` of each. The marks live in the request's arena. 0 or
 * MR_ENOMEM. */
int names_mark(struct request *request, const void *items, size_t name_offset, size_t stride,
               int32_t count, const uint8_t **ret_marks);

/* ---- the handlers ---- */

void api_versions(struct request *request);
void api_metadata(struct request *request);
void api_produce(struct request *request);
void api_fetch(struct request *request);
void api_list_offsets(struct request *request);
void api_offset_for_leader_epoch(struct request *request);
void api_create_topics(struct request *request);
void api_delete_topics(struct request *request);
void api_create_partitions(struct request *request);
void api_delete_records(struct request *request);
void api_describe_configs(struct request *request);
void api_alter_configs(struct request *request);
void api_incremental_alter_configs(struct request *request);
void api_list_config_resources(struct request *request);
void api_init_producer_id(struct request *request);
void api_describe_producers(struct request *request);
void api_find_coordinator(struct request *request);
void api_offset_commit(struct request *request);
void api_offset_fetch(struct request *request);
void api_offset_delete(struct request *request);
void api_list_groups(struct request *request);
void api_describe_groups(struct request *request);
void api_delete_groups(struct request *request);
void api_join_group(struct request *request);
void api_sync_group(struct request *request);
void api_heartbeat(struct request *request);
void api_leave_group(struct request *request);
void api_describe_cluster(struct request *request);
void api_describe_log_dirs(struct request *request);
void api_describe_topic_partitions(struct request *request);
void api_list_partition_reassignments(struct request *request);
void api_describe_acls(struct request *request);
void api_create_acls(struct request *request);
void api_delete_acls(struct request *request);
void api_describe_client_quotas(struct request *request);
void api_alter_client_quotas(struct request *request);
void api_describe_user_scram_credentials(struct request *request);
void api_alter_user_scram_credentials(struct request *request);

#endif
