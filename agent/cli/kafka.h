/* Asking a node by the Kafka protocol, one answer after another: a loop of the subcommand's own
 * that turns until what was asked is answered, or Ctrl-C. */
#ifndef AGENT_CLI_KAFKA_H
#define AGENT_CLI_KAFKA_H

#include <stdbool.h>

#include "agent/cli/login.h"
#include "base/core/loop.h"
#include "queue/client/client.h"
#include "queue/wire/types.h"

struct cli_target;

struct cli_kafka {
    const char *command;
    struct mr_loop *loop;
    struct mr_net *net;
    struct client *client;
    struct cli_credentials credentials;
    struct wire_arena arena; /* of messages: until the close */
    struct mr_signal interrupt;
    struct mr_signal terminate;
    bool is_interrupted; /* Ctrl-C or SIGTERM: end soon, in good order */
    bool is_closed;
    char address[300];
};

/* CLI_OK, or an exit code and words on stderr; to be closed in either case. Connects with the first
 * call. */
int cli_kafka_open(struct cli_kafka *kafka, const char *command, const struct cli_target *target);
void cli_kafka_close(struct cli_kafka *kafka);

/* The answer is alive during the call only. Returns an exit code. */
typedef int (*cli_answer_cb)(void *owner, const void *response);
/* Sends `request` (key, message, node, topic, partition, version_max are the caller's) and waits.
 * What on_answer returns, CLI_INTERRUPTED, or what went wrong, told on stderr. */
int cli_kafka_call(struct cli_kafka *kafka, struct client_request *request, cli_answer_cb on_answer,
                   void *owner);
/* For who sends himself: what a failed request means, told on stderr. */
int cli_kafka_failed(const struct cli_kafka *kafka, int rc);
/* Kafka's error with the node's own words for one thing ("topic web"), on stderr: CLI_FAILED. */
int cli_kafka_refused(const struct cli_kafka *kafka, const char *what, int error_code,
                      const struct wire_string *words);

/* What Metadata says of one topic. */
struct cli_partition {
    int32_t leader;
    int32_t replica_count;
    int32_t in_sync_count;
};
struct cli_topic {
    int32_t partition_count;          /* numbered from 0 */
    struct cli_partition *partitions; /* in the arena */
};
/* may_create: where the node makes topics when they are asked for. CLI_OK or told on stderr. */
int cli_kafka_topic(struct cli_kafka *kafka, const char *topic, bool may_create,
                    struct cli_topic *ret_topic);
/* ListOffsets of one partition; time_ms -1: the end, -2: the beginning. *ret_offset -1: none. */
int cli_kafka_offset(struct cli_kafka *kafka, const char *topic, int32_t partition, int64_t time_ms,
                     int64_t *ret_offset);

#endif
