/* Brokers in the test's own process, over real sockets: enough of Kafka for clients of ours, with
 * the rules of idempotent producers as Kafka has them (five batches remembered per producer, gaps
 * refused, producers without state taken at any sequence), and with faults on demand.
 *
 * All nodes share one state, as if replicated in no time. Records hold decimal numbers, so that a
 * test can say which arrived, in which order, and how often. */
#ifndef TESTS_LIB_FAKE_CLUSTER_H
#define TESTS_LIB_FAKE_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/list.h"
#include "base/core/random.h"
#include "base/net/stream.h"
#include "queue/wire/api.h"

enum { FAKE_NODES_MAX = 3, FAKE_TOPICS_MAX = 8, FAKE_PARTITIONS_MAX = 8 };

struct fake_batch {
    int64_t base_offset;
    int32_t count;
    int64_t producer_id;
    int16_t epoch;
    int32_t base_sequence;
};

struct fake_partition {
    int64_t *values; /* by offset */
    size_t count;
    size_t capacity;
    struct fake_batch *batches;
    size_t batch_count;
    size_t batch_capacity;
    size_t state_from; /* producers' state is made from the batches from here on: the rest is
                          forgotten */
    int32_t leader;
};

struct fake_topic {
    char name[64];
    struct mr_uuid id;
    int32_t partition_count;
    struct fake_partition partitions[FAKE_PARTITIONS_MAX];
};

struct fake_cluster;

struct fake_node {
    struct fake_cluster *cluster;
    int32_t id;
    struct mr_address address;
    struct mr_listener *listener;
    int port_fd; /* bound to the port, so that nobody else gets it while the node is stopped */
    struct mr_link connections;
};

struct fake_cluster {
    struct mr_loop *loop;
    struct mr_net *net;
    struct mr_random *random;
    struct fake_node nodes[FAKE_NODES_MAX];
    int node_count;
    char cluster_id[32];
    struct fake_topic topics[FAKE_TOPICS_MAX];
    size_t topic_count;
    int32_t default_partitions;
    /* faults */
    int16_t error[WIRE_API_KEY_END];       /* answered instead of doing it, */
    int errors[WIRE_API_KEY_END];          /* this many times */
    int16_t version_max[WIRE_API_KEY_END]; /* 0: ours; -1: the API is not there */
    bool is_silent;                        /* reads, and answers nothing */
    int32_t throttle_ms;                   /* told with Metadata and Produce */
    int cut_before_percent;      /* of Produce requests: the connection ends, nothing is taken */
    int cut_after_percent;       /* taken, and the connection ends without an answer */
    size_t batch_size_bytes_max; /* 0: any */
    int64_t poison_value;        /* a batch with this record is INVALID_RECORD; -1: none */
    /* seen */
    int requests[WIRE_API_KEY_END];
    int connections;
    int duplicates;
    int out_of_order;
};

/* Listens on 127.0.0.1, ports of the system's choice. */
struct fake_cluster *fake_cluster_new(struct mr_loop *loop, struct mr_net *net,
                                      struct mr_random *random, int node_count);
void fake_cluster_free(struct fake_cluster *cluster);
/* All its connections are cut and its port refuses; the port stays its own. */
void fake_node_stop(struct fake_node *node);
void fake_node_start(struct fake_node *node);
void fake_node_cut(struct fake_node *node); /* the connections only */

struct fake_topic *fake_topic_add(struct fake_cluster *cluster, const char *name,
                                  int32_t partitions);
struct fake_topic *fake_topic_find(struct fake_cluster *cluster, const char *name);
void fake_topic_remove(struct fake_cluster *cluster, const char *name);
/* Drops batches from the end until at most `count` records are left; producers' state follows. */
void fake_partition_truncate(struct fake_partition *partition, size_t count);
/* As after expiry: records stay, nothing is known of their producers. */
void fake_partition_forget(struct fake_partition *partition);
/* Everything is gone, and the cluster is another. */
void fake_cluster_wipe(struct fake_cluster *cluster);

#endif
