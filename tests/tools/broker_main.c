/* A queue with its broker and nothing else, for tests that want no agent around it:
 *
 *     millrace_broker_test DIRECTORY ADDRESS [key=value ...]
 *
 * Keys: local=TOPIC (a local topic), topic=NAME:PARTITIONS, idle_ms, request_max, memory,
 * auto_create, disk_limit. Prints "listening PORT" when it is ready; SIGTERM ends it cleanly. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/clock.h"
#include "base/core/disk.h"
#include "base/core/logger.h"
#include "base/core/loop.h"
#include "base/core/metric.h"
#include "queue/queue.h"

enum { TOPICS_MAX = 64 };

struct program {
    struct mr_loop *loop;
    struct queue *queue;
    struct mr_signal terminate;
    struct mr_signal interrupt;
    struct queue_config config;
    struct queue_topic_spec topics[TOPICS_MAX];
    struct queue_listener_spec listeners[2];
};

static void on_closed(void *owner)
{
    struct program *program = owner;

    mr_signal_stop(&program->terminate);
    mr_signal_stop(&program->interrupt);
    mr_loop_stop(program->loop);
}

static void on_signal(struct mr_signal *signal, int number)
{
    struct program *program = signal->owner;

    (void)number;
    if (program->queue != NULL) {
        queue_close(program->queue, on_closed, program);
        program->queue = NULL;
    }
}

static struct queue_topic_spec *add_topic(struct program *program, char *name)
{
    struct queue_topic_spec *spec = &program->topics[program->config.topic_count];
    char *colon = strchr(name, ':');

    if (program->config.topic_count == TOPICS_MAX) {
        exit(2);
    }
    program->config.topic_count += 1;
    *spec = (struct queue_topic_spec){.name = name,
                                      .partitions = 1,
                                      .replicas = 1,
                                      .retention_ms = -1,
                                      .retention_bytes = -1,
                                      .segment_size_bytes = -1,
                                      .segment_age_ms = -1,
                                      .message_size_bytes_max = -1,
                                      .fsync = -1,
                                      .when_full = -1,
                                      .compression = -1};
    if (colon != NULL) {
        *colon = '\0';
        spec->partitions = atoi(colon + 1);
    }
    return spec;
}

static void parse(struct program *program, char *argument)
{
    char *value = strchr(argument, '=');

    if (value == NULL) {
        exit(2);
    }
    *value++ = '\0';
    if (strcmp(argument, "local") == 0) {
        add_topic(program, value)->is_local = true;
    } else if (strcmp(argument, "topic") == 0) {
        (void)add_topic(program, value);
    } else if (strcmp(argument, "idle_ms") == 0) {
        program->config.connection_idle_ms_max = atoll(value);
    } else if (strcmp(argument, "request_max") == 0) {
        program->config.request_size_bytes_max = atoll(value);
    } else if (strcmp(argument, "memory") == 0) {
        program->config.memory_limit_bytes = atoll(value);
    } else if (strcmp(argument, "auto_create") == 0) {
        program->config.auto_create_topics = strcmp(value, "true") == 0;
    } else if (strcmp(argument, "disk_limit") == 0) {
        program->config.disk_limit_bytes = atoll(value);
    } else {
        exit(2);
    }
}

static int open_all(struct program *program, char **arguments, int count, struct mr_error *error)
{
    struct queue_config *config = &program->config;
    int rc = mr_loop_new(mr_clock_system(), &program->loop, error);

    config->loop = program->loop;
    config->disk = mr_disk_system();
    config->random = mr_random_system();
    config->metrics = mr_metrics_new();
    config->data_directory = arguments[0];
    config->node_name = "localhost";
    config->node_id = 1;
    config->auto_create_topics = true;
    config->default_partitions = 1;
    config->request_size_bytes_max = INT64_C(100) * 1024 * 1024;
    config->memory_limit_bytes = INT64_C(256) * 1024 * 1024;
    config->connection_idle_ms_max = 600000;
    config->listeners = program->listeners;
    config->topics = program->topics;
    for (int i = 2; i < count; i++) {
        parse(program, arguments[i]);
    }
    if (rc == 0) {
        rc = mr_net_new(program->loop, config->metrics, &config->net);
    }
    if (rc == 0) {
        rc = mr_address_parse(arguments[1], 9092, &program->listeners[0].address, error);
    }
    if (rc == 0) {
        program->listeners[1].address.is_unix = true;
        program->listeners[1].is_control = true;
        (void)snprintf(program->listeners[1].address.host,
                       sizeof program->listeners[1].address.host, "%s/node.sock", arguments[0]);
        config->listener_count = 2;
        rc = mr_disk_make_directories(config->disk, arguments[0], 0755, error);
    }
    return rc == 0 ? queue_open(config, &program->queue, error) : rc;
}

int main(int argc, char **argv)
{
    static struct program program;
    struct mr_error error = {0};

    if (argc < 3) {
        (void)fprintf(stderr, "usage: %s DIRECTORY ADDRESS [key=value ...]\n", argv[0]);
        return 2;
    }
    mr_log_setup(MR_LOG_INFO, MR_LOG_TEXT);
    (void)signal(SIGPIPE, SIG_IGN);
    if (open_all(&program, argv + 1, argc - 1, &error) != 0) {
        (void)fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    (void)mr_signal_start(&program.terminate, program.loop, SIGTERM, on_signal, &program);
    (void)mr_signal_start(&program.interrupt, program.loop, SIGINT, on_signal, &program);
    queue_start(program.queue);
    (void)printf("listening %d\n", queue_listener_port(program.queue, 0));
    (void)fflush(stdout);
    mr_loop_run(program.loop);
    mr_net_free(program.config.net);
    mr_loop_free(program.loop);
    mr_metrics_free(program.config.metrics);
    return 0;
}
