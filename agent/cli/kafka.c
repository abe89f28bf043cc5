#include "agent/cli/kafka.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/target.h"
#include "base/core/clock.h"
#include "queue/wire/cluster.h"
#include "queue/wire/fetch.h"
#include "queue/wire/kafka_error.h"

enum {
    ARENA_BYTES_MAX = 64 << 20,
    CREATE_ATTEMPTS_MAX = 50,
    CREATE_WAIT_MS = 100,
    CONNECT_TIMEOUT_MS = 5000,
};

/* ---- opening, closing, waiting ---- */

static void on_interrupt(struct mr_signal *watch, int number)
{
    struct cli_kafka *kafka = watch->owner;

    (void)number;
    kafka->is_interrupted = true;
}

static int open_client(struct cli_kafka *kafka, const struct mr_address *address,
                       struct mr_error *error)
{
    const struct client_config config = {.loop = kafka->loop,
                                         .net = kafka->net,
                                         .random = mr_random_system(),
                                         .client_id = "millrace-cli",
                                         .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                         .request_timeout_ms = 2 * CONNECT_TIMEOUT_MS,
                                         .bootstrap = address,
                                         .bootstrap_count = 1,
                                         .tls = kafka->credentials.tls,
                                         .tls_server_name = kafka->credentials.server_name,
                                         .sasl_mechanism = kafka->credentials.mechanism,
                                         .sasl_user = kafka->credentials.user,
                                         .sasl_password = kafka->credentials.password};

    mr_address_format(address, kafka->address, sizeof kafka->address);
    return client_new(&config, &kafka->client, error);
}

int cli_kafka_open(struct cli_kafka *kafka, const char *command, const struct cli_target *target)
{
    struct mr_address address;
    struct mr_error error = {0};
    int rc;

    *kafka = (struct cli_kafka){.command = command};
    wire_arena_init(&kafka->arena, ARENA_BYTES_MAX);
    rc = cli_target_kafka(command, target, &address, &kafka->credentials);
    if (rc != CLI_OK) {
        return rc;
    }
    rc = mr_loop_new(mr_clock_system(), &kafka->loop, &error);
    if (rc == 0) {
        (void)mr_signal_start(&kafka->interrupt, kafka->loop, SIGINT, on_interrupt, kafka);
        (void)mr_signal_start(&kafka->terminate, kafka->loop, SIGTERM, on_interrupt, kafka);
        rc = mr_net_new(kafka->loop, NULL, &kafka->net);
    }
    if (rc == 0) {
        rc = open_client(kafka, &address, &error);
    }
    return rc == 0 ? CLI_OK
                   : cli_fail(command, CLI_FAILED, "%s",
                              error.code != 0 ? error.text : mr_code_text(rc));
}

static void on_closed(void *owner)
{
    ((struct cli_kafka *)owner)->is_closed = true;
}

void cli_kafka_close(struct cli_kafka *kafka)
{
    if (kafka->client != NULL) {
        client_close(kafka->client, on_closed, kafka);
        while (!kafka->is_closed) {
            mr_loop_turn(kafka->loop, -1);
        }
    }
    mr_signal_stop(&kafka->interrupt);
    mr_signal_stop(&kafka->terminate);
    if (kafka->net != NULL) {
        mr_net_free(kafka->net);
    }
    if (kafka->loop != NULL) {
        mr_loop_turn(kafka->loop, 0); /* what was stopped leaves the loop */
        mr_loop_free(kafka->loop);
    }
    wire_arena_done(&kafka->arena);
    cli_login_close(&kafka->credentials);
}

/* A node that ends a connection without a word mostly wants what was not offered. */
static const char *hint(const struct cli_kafka *kafka, const char *words)
{
    if (strstr(words, "closed the connection") == NULL ||
        strncmp(kafka->address, "unix:", 5) == 0) {
        return "";
    }
    return kafka->credentials.tls == NULL    ? " (does it want --tls?)"
           : kafka->credentials.user == NULL ? " (does it want a --user?)"
                                             : "";
}

int cli_kafka_failed(const struct cli_kafka *kafka, int rc)
{
    const char *words = client_error(kafka->client);

    if (kafka->is_interrupted) {
        return CLI_INTERRUPTED;
    }
    return cli_fail(
        kafka->command, rc == MR_ENETWORK || rc == MR_ETIMEDOUT ? CLI_UNREACHABLE : CLI_FAILED,
        "%s%s%s%s", words[0] != '\0' ? words : kafka->address, words[0] != '\0' ? "" : ": ",
        words[0] != '\0' ? "" : mr_code_text(rc), hint(kafka, words));
}

struct call {
    int rc;
    bool is_done;
    int exit_code;
    cli_answer_cb on_answer;
    void *owner;
};

static void on_done(struct client_request *request, int rc, const void *response)
{
    struct call *call = request->owner;

    call->rc = rc;
    call->is_done = true;
    if (rc == 0) {
        call->exit_code = call->on_answer(call->owner, response);
    }
}

int cli_kafka_call(struct cli_kafka *kafka, struct client_request *request, cli_answer_cb on_answer,
                   void *owner)
{
    struct call call = {.exit_code = CLI_FAILED, .on_answer = on_answer, .owner = owner};
    int rc;

    request->done = on_done;
    request->owner = &call;
    rc = client_send(kafka->client, request);
    if (rc != 0) {
        return cli_kafka_failed(kafka, rc);
    }
    while (!call.is_done && !kafka->is_interrupted) {
        mr_loop_turn(kafka->loop, -1);
    }
    if (!call.is_done) { /* the request and its message live here: it must not be answered later */
        client_close(kafka->client, on_closed, kafka);
        while (!kafka->is_closed) {
            mr_loop_turn(kafka->loop, -1);
        }
        kafka->client = NULL;
        return CLI_INTERRUPTED;
    }
    return call.rc == 0 ? call.exit_code : cli_kafka_failed(kafka, call.rc);
}

int cli_kafka_refused(const struct cli_kafka *kafka, const char *what, int error_code,
                      const struct wire_string *words)
{
    bool has_words = words != NULL && words->size > 0;

    return cli_fail(kafka->command, CLI_FAILED, "%s: %s%s%.*s", what, kafka_error_name(error_code),
                    has_words ? ": " : "", has_words ? words->size : 0,
                    has_words ? words->data : "");
}

/* ---- one topic ---- */

struct topic_call {
    struct cli_kafka *kafka;
    const char *name;
    struct cli_topic *topic;
    int error_code;
};

static int take_topic(struct topic_call *call, const struct metadata_response_topic *found)
{
    int32_t count = found->partitions.count;
    struct cli_partition *partitions =
        wire_arena_array(&call->kafka->arena, (size_t)count, sizeof *partitions);

    if (partitions == NULL && count > 0) {
        return cli_fail(call->kafka->command, CLI_FAILED, "%s", mr_code_text(MR_ENOMEM));
    }
    for (int32_t i = 0; i < count; i++) {
        partitions[i] = (struct cli_partition){.leader = -1};
    }
    for (int32_t i = 0; i < count; i++) {
        const struct metadata_response_partition *partition = &found->partitions.items[i];
        if (partition->partition_index >= 0 && partition->partition_index < count) {
            partitions[partition->partition_index] =
                (struct cli_partition){.leader = partition->leader_id,
                                       .replica_count = partition->replica_nodes.count,
                                       .in_sync_count = partition->isr_nodes.count};
        }
    }
    *call->topic = (struct cli_topic){.partition_count = count, .partitions = partitions};
    return CLI_OK;
}

static int on_topic(void *owner, const void *answer)
{
    struct topic_call *call = owner;
    const struct metadata_response *response = answer;

    call->error_code = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    for (int32_t i = 0; i < response->topics.count; i++) {
        const struct metadata_response_topic *found = &response->topics.items[i];
        if (!wire_string_is(found->name, call->name)) {
            continue;
        }
        call->error_code = found->error_code;
        if (found->error_code == 0) {
            return take_topic(call, found);
        }
    }
    return CLI_OK;
}

static void wait_ms(struct cli_kafka *kafka, int64_t ms)
{
    int64_t end_us = mr_loop_now_us(kafka->loop) + ms * 1000;

    while (!kafka->is_interrupted && mr_loop_now_us(kafka->loop) < end_us) {
        mr_loop_turn(kafka->loop, 10);
    }
}

static bool is_being_made(int error_code)
{
    return error_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION ||
           error_code == KAFKA_LEADER_NOT_AVAILABLE;
}

int cli_kafka_topic(struct cli_kafka *kafka, const char *topic, bool may_create,
                    struct cli_topic *ret_topic)
{
    struct topic_call call = {.kafka = kafka, .name = topic, .topic = ret_topic};
    struct metadata_request message;
    struct client_request request;
    int rc;

    metadata_request_init(&message);
    if (metadata_request_topic_array_make(&kafka->arena, &message.topics, 1) != 0) {
        return cli_fail(kafka->command, CLI_FAILED, "%s", mr_code_text(MR_ENOMEM));
    }
    message.topics.items[0].name = wire_text(topic);
    message.allow_auto_topic_creation = may_create;
    for (int attempt = 0;; attempt++) {
        request = (struct client_request){
            .key = WIRE_API_METADATA, .message = &message, .node = CLIENT_NODE_ANY};
        rc = cli_kafka_call(kafka, &request, on_topic, &call);
        if (rc != CLI_OK || call.error_code == 0) {
            return rc;
        }
        if (!may_create || !is_being_made(call.error_code) || attempt >= CREATE_ATTEMPTS_MAX) {
            return cli_kafka_refused(kafka, topic, call.error_code, NULL);
        }
        wait_ms(kafka, CREATE_WAIT_MS);
    }
}

/* ---- offsets ---- */

struct offset_call {
    struct cli_kafka *kafka;
    const char *topic;
    int64_t *ret_offset;
};

static int on_offset(void *owner, const void *answer)
{
    struct offset_call *call = owner;
    const struct list_offsets_response *response = answer;
    const struct list_offsets_response_partition *partition;

    if (response->topics.count != 1 || response->topics.items[0].partitions.count != 1) {
        return cli_fail(call->kafka->command, CLI_FAILED, "the node answers for other partitions");
    }
    partition = &response->topics.items[0].partitions.items[0];
    if (partition->error_code != 0) {
        return cli_kafka_refused(call->kafka, call->topic, partition->error_code, NULL);
    }
    *call->ret_offset = partition->offset;
    return CLI_OK;
}

int cli_kafka_offset(struct cli_kafka *kafka, const char *topic, int32_t partition, int64_t time_ms,
                     int64_t *ret_offset)
{
    struct offset_call call = {.kafka = kafka, .topic = topic, .ret_offset = ret_offset};
    struct list_offsets_request message;
    struct list_offsets_request_topic *one;
    struct client_request request = {.key = WIRE_API_LIST_OFFSETS,
                                     .message = &message,
                                     .node = CLIENT_NODE_LEADER,
                                     .topic = topic,
                                     .partition = partition};

    list_offsets_request_init(&message);
    message.replica_id = -1;
    if (list_offsets_request_topic_array_make(&kafka->arena, &message.topics, 1) != 0) {
        return cli_fail(kafka->command, CLI_FAILED, "%s", mr_code_text(MR_ENOMEM));
    }
    one = &message.topics.items[0];
    one->name = wire_text(topic);
    if (list_offsets_request_partition_array_make(&kafka->arena, &one->partitions, 1) != 0) {
        return cli_fail(kafka->command, CLI_FAILED, "%s", mr_code_text(MR_ENOMEM));
    }
    one->partitions.items[0].partition_index = partition;
    one->partitions.items[0].timestamp = time_ms;
    return cli_kafka_call(kafka, &request, on_offset, &call);
}
