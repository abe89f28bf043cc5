/* `millrace topics list|describe|create|delete|alter`: Kafka's own requests, so that it works on
 * any node that speaks them. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/kafka.h"
#include "agent/cli/table.h"
#include "agent/cli/target.h"
#include "base/core/option.h"
#include "base/text/nearest.h"
#include "queue/wire/cluster.h"
#include "queue/wire/configs.h"
#include "queue/wire/topics.h"

enum {
    RESOURCE_TOPIC = 2,
    CONFIG_SET = 0,
    CONFIG_DELETE = 1,
    CONFIG_SOURCE_DEFAULT = 5,
    TIMEOUT_MS = 30000
};

struct topics {
    struct cli_kafka kafka;
    struct cli_target target;
    const char *output;
    bool no_header;
    bool is_all;
    bool is_dry_run;
    bool is_yes;
    int64_t partitions; /* -1: not written */
    int64_t replicas;
    struct cli_list configs;
    struct cli_list unset;
    char **names;
    int name_count;
    json_t *rows;    /* of list and describe */
    json_t *details; /* the configuration of one topic */
};

static int no_memory(const struct topics *topics)
{
    return cli_fail(topics->kafka.command, CLI_FAILED, "%s", mr_code_text(MR_ENOMEM));
}

static json_t *json_of(struct wire_string string)
{
    return string.size < 0 ? json_null() : json_pack("s%", string.data, (size_t)string.size);
}

static const char *text(const json_t *row, const char *key)
{
    return json_string_value(json_object_get(row, key));
}

static int print_rows(const struct topics *topics, const json_t *rows, const char *const *titles,
                      const char *const *keys)
{
    return cli_table_rows(rows, titles, keys, !topics->no_header);
}

/* ---- list ---- */

static int compare_names(const void *left, const void *right)
{
    return strcmp(text(*(json_t *const *)left, "topic"), text(*(json_t *const *)right, "topic"));
}

static int on_list(void *owner, const void *answer)
{
    struct topics *topics = owner;
    const struct metadata_response *response = answer;
    size_t count = 0;
    json_t **rows =
        wire_arena_array(&topics->kafka.arena, (size_t)response->topics.count + 1, sizeof *rows);

    if (rows == NULL) {
        return no_memory(topics);
    }
    for (int32_t i = 0; i < response->topics.count; i++) {
        const struct metadata_response_topic *topic = &response->topics.items[i];
        int32_t partitions = topic->partitions.count;
        bool is_internal = topic->name.size >= 2 && memcmp(topic->name.data, "__", 2) == 0;
        if (!is_internal || topics->is_all) {
            rows[count++] =
                json_pack("{s:o, s:i, s:i}", "topic", json_of(topic->name), "partitions",
                          (int)partitions, "replicas",
                          partitions > 0 ? (int)topic->partitions.items[0].replica_nodes.count : 0);
        }
    }
    qsort(rows, count, sizeof *rows, compare_names);
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(topics->rows, rows[i]);
    }
    return CLI_OK;
}

static int do_list(struct topics *topics)
{
    static const char *const titles[] = {"TOPIC", ">PARTITIONS", ">REPLICAS", NULL};
    static const char *const keys[] = {"topic", "partitions", "replicas", NULL};
    struct metadata_request message;
    struct client_request request = {
        .key = WIRE_API_METADATA, .message = &message, .node = CLIENT_NODE_ANY};
    int rc;

    metadata_request_init(&message);
    message.topics.count = -1; /* all */
    message.allow_auto_topic_creation = false;
    rc = cli_kafka_call(&topics->kafka, &request, on_list, topics);
    if (rc != CLI_OK) {
        return rc;
    }
    return cli_is_json(topics->output) ? cli_print_json(json_incref(topics->rows))
                                       : print_rows(topics, topics->rows, titles, keys);
}

/* ---- describe ---- */

static int on_configs(void *owner, const void *answer)
{
    struct topics *topics = owner;
    const struct describe_configs_response *response = answer;

    if (response->results.count != 1) {
        return cli_fail(topics->kafka.command, CLI_FAILED, "the node answers for other topics");
    }
    const struct describe_configs_response_result *result = &response->results.items[0];
    if (result->error_code != 0) {
        return cli_kafka_refused(&topics->kafka, "configuration", result->error_code,
                                 &result->error_message);
    }
    for (int32_t i = 0; i < result->configs.count; i++) {
        const struct describe_configs_response_config *config = &result->configs.items[i];
        if (config->config_source != CONFIG_SOURCE_DEFAULT || topics->is_all) {
            (void)json_array_append_new(topics->details,
                                        json_pack("{s:o, s:o, s:b}", "key", json_of(config->name),
                                                  "value", json_of(config->value), "default",
                                                  config->config_source == CONFIG_SOURCE_DEFAULT));
        }
    }
    return CLI_OK;
}

static int describe_configs(struct topics *topics, const char *name)
{
    struct describe_configs_request message;
    struct client_request request = {
        .key = WIRE_API_DESCRIBE_CONFIGS, .message = &message, .node = CLIENT_NODE_ANY};

    describe_configs_request_init(&message);
    if (describe_configs_request_resource_array_make(&topics->kafka.arena, &message.resources, 1) !=
        0) {
        return no_memory(topics);
    }
    message.resources.items[0].resource_type = RESOURCE_TOPIC;
    message.resources.items[0].resource_name = wire_text(name);
    message.resources.items[0].configuration_keys.count = -1; /* all */
    return cli_kafka_call(&topics->kafka, &request, on_configs, topics);
}

static int describe_partitions(struct topics *topics, const char *name, json_t *partitions)
{
    struct cli_topic topic;
    int64_t start = -1;
    int64_t end = -1;
    int rc = cli_kafka_topic(&topics->kafka, name, false, &topic);

    for (int32_t i = 0; rc == CLI_OK && i < topic.partition_count; i++) {
        rc = cli_kafka_offset(&topics->kafka, name, i, -2, &start);
        if (rc == CLI_OK) {
            rc = cli_kafka_offset(&topics->kafka, name, i, -1, &end);
        }
        if (rc == CLI_OK) {
            (void)json_array_append_new(
                partitions,
                json_pack("{s:s, s:i, s:i, s:i, s:i, s:I, s:I, s:I}", "topic", name, "partition",
                          (int)i, "leader", (int)topic.partitions[i].leader, "replicas",
                          (int)topic.partitions[i].replica_count, "in_sync",
                          (int)topic.partitions[i].in_sync_count, "start", (json_int_t)start, "end",
                          (json_int_t)end, "records", (json_int_t)(end - start)));
        }
    }
    return rc;
}

static int print_description(const struct topics *topics)
{
    static const char *const titles[] = {"TOPIC",     ">PARTITION", ">LEADER",
                                         ">REPLICAS", ">IN SYNC",   ">START",
                                         ">END",      ">RECORDS",   NULL};
    static const char *const keys[] = {"topic", "partition", "leader",  "replicas", "in_sync",
                                       "start", "end",       "records", NULL};
    static const char *const config_titles[] = {"KEY", "VALUE", NULL};
    static const char *const config_keys[] = {"key", "value", NULL};
    json_t *topic;
    size_t place;
    int rc = CLI_OK;

    json_array_foreach(topics->rows, place, topic)
    {
        const json_t *configs = json_object_get(topic, "configs");
        printf("%s", place > 0 ? "\n" : "");
        rc = print_rows(topics, json_object_get(topic, "partitions"), titles, keys);
        if (json_array_size(configs) > 0) {
            printf("\n");
            rc = print_rows(topics, configs, config_titles, config_keys);
        }
    }
    return rc;
}

static int do_describe(struct topics *topics)
{
    for (int i = 0; i < topics->name_count; i++) {
        json_t *partitions = json_array();
        topics->details = json_array();
        int rc = describe_partitions(topics, topics->names[i], partitions);
        if (rc == CLI_OK) {
            rc = describe_configs(topics, topics->names[i]);
        }
        (void)json_array_append_new(
            topics->rows, json_pack("{s:s, s:o, s:o}", "topic", topics->names[i], "partitions",
                                    partitions, "configs", topics->details));
        if (rc != CLI_OK) {
            return rc;
        }
    }
    return cli_is_json(topics->output) ? cli_print_json(json_incref(topics->rows))
                                       : print_description(topics);
}

/* ---- create, delete, alter ---- */

static int done(const struct topics *topics, const char *verb, struct wire_string name,
                int error_code, const struct wire_string *words)
{
    char what[300];

    (void)snprintf(what, sizeof what, "%.*s", name.size > 0 ? name.size : 0, name.data);
    if (error_code != 0) {
        return cli_kafka_refused(&topics->kafka, what, error_code, words);
    }
    fprintf(stderr, "%s: %s%s\n", what, topics->is_dry_run ? "would be " : "", verb);
    return CLI_OK;
}

/* "key=value" -> two texts in the arena; false: told. */
static bool split_config(struct topics *topics, const char *config, struct wire_string *ret_key,
                         struct wire_string *ret_value)
{
    const char *equals = strchr(config, '=');

    if (equals == NULL || equals == config) {
        (void)cli_fail(topics->kafka.command, CLI_USAGE, "--config %s: KEY=VALUE is wanted",
                       config);
        return false;
    }
    *ret_key = (struct wire_string){config, (int32_t)(equals - config)};
    *ret_value = wire_text(equals + 1);
    return true;
}

static int on_created(void *owner, const void *answer)
{
    const struct create_topics_response *response = answer;
    int rc = CLI_OK;

    for (int32_t i = 0; i < response->topics.count; i++) {
        const struct create_topics_response_topic *topic = &response->topics.items[i];
        if (done(owner, "created", topic->name, topic->error_code, &topic->error_message) !=
            CLI_OK) {
            rc = CLI_FAILED;
        }
    }
    return rc;
}

static int fill_new_topic(struct topics *topics, const char *name,
                          struct create_topics_request_topic *topic)
{
    topic->name = wire_text(name);
    topic->num_partitions = (int32_t)topics->partitions;
    topic->replication_factor = (int16_t)topics->replicas;
    if (create_topics_request_config_array_make(&topics->kafka.arena, &topic->configs,
                                                topics->configs.count) != 0) {
        return no_memory(topics);
    }
    for (int i = 0; i < topics->configs.count; i++) {
        if (!split_config(topics, topics->configs.items[i], &topic->configs.items[i].name,
                          &topic->configs.items[i].value)) {
            return CLI_USAGE;
        }
    }
    return CLI_OK;
}

static int do_create(struct topics *topics)
{
    struct create_topics_request message;
    struct client_request request = {
        .key = WIRE_API_CREATE_TOPICS, .message = &message, .node = CLIENT_NODE_CONTROLLER};

    create_topics_request_init(&message);
    message.timeout_ms = TIMEOUT_MS;
    message.validate_only = topics->is_dry_run;
    if (create_topics_request_topic_array_make(&topics->kafka.arena, &message.topics,
                                               topics->name_count) != 0) {
        return no_memory(topics);
    }
    for (int i = 0; i < topics->name_count; i++) {
        int rc = fill_new_topic(topics, topics->names[i], &message.topics.items[i]);
        if (rc != CLI_OK) {
            return rc;
        }
    }
    return cli_kafka_call(&topics->kafka, &request, on_created, topics);
}

static int on_deleted(void *owner, const void *answer)
{
    const struct delete_topics_response *response = answer;
    int rc = CLI_OK;

    for (int32_t i = 0; i < response->responses.count; i++) {
        const struct delete_topics_response_topic *topic = &response->responses.items[i];
        if (done(owner, "deleted", topic->name, topic->error_code, &topic->error_message) !=
            CLI_OK) {
            rc = CLI_FAILED;
        }
    }
    return rc;
}

/* Whether the person at the terminal means it. */
static bool is_meant(const struct topics *topics)
{
    char answer[16] = "";

    if (topics->is_yes) {
        return true;
    }
    if (!isatty(STDIN_FILENO)) {
        (void)cli_fail(topics->kafka.command, CLI_USAGE,
                       "delete needs --yes where nobody can be asked");
        return false;
    }
    fprintf(stderr, "Delete %d topic%s with all records, for good? [y/N] ", topics->name_count,
            topics->name_count == 1 ? "" : "s");
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

static int do_delete(struct topics *topics)
{
    enum { BY_NAME = 5 }; /* the last version that takes plain names */
    struct delete_topics_request message;
    struct client_request request = {.key = WIRE_API_DELETE_TOPICS,
                                     .message = &message,
                                     .node = CLIENT_NODE_CONTROLLER,
                                     .version_max = BY_NAME};

    if (topics->is_dry_run) {
        struct cli_topic topic;
        int rc = CLI_OK;
        for (int i = 0; rc == CLI_OK && i < topics->name_count; i++) {
            rc = cli_kafka_topic(&topics->kafka, topics->names[i], false, &topic);
            if (rc == CLI_OK) {
                (void)done(topics, "deleted", wire_text(topics->names[i]), 0, NULL);
            }
        }
        return rc;
    }
    if (!is_meant(topics)) {
        return CLI_USAGE;
    }
    delete_topics_request_init(&message);
    message.timeout_ms = TIMEOUT_MS;
    if (wire_string_array_make(&topics->kafka.arena, &message.topic_names, topics->name_count) !=
        0) {
        return no_memory(topics);
    }
    for (int i = 0; i < topics->name_count; i++) {
        message.topic_names.items[i] = wire_text(topics->names[i]);
    }
    return cli_kafka_call(&topics->kafka, &request, on_deleted, topics);
}

static int on_grown(void *owner, const void *answer)
{
    const struct create_partitions_response *response = answer;
    int rc = CLI_OK;

    for (int32_t i = 0; i < response->results.count; i++) {
        const struct create_partitions_response_result *result = &response->results.items[i];
        if (done(owner, "grown", result->name, result->error_code, &result->error_message) !=
            CLI_OK) {
            rc = CLI_FAILED;
        }
    }
    return rc;
}

static int grow(struct topics *topics)
{
    struct create_partitions_request message;
    struct client_request request = {
        .key = WIRE_API_CREATE_PARTITIONS, .message = &message, .node = CLIENT_NODE_CONTROLLER};

    create_partitions_request_init(&message);
    message.timeout_ms = TIMEOUT_MS;
    message.validate_only = topics->is_dry_run;
    if (create_partitions_request_topic_array_make(&topics->kafka.arena, &message.topics,
                                                   topics->name_count) != 0) {
        return no_memory(topics);
    }
    for (int i = 0; i < topics->name_count; i++) {
        message.topics.items[i].name = wire_text(topics->names[i]);
        message.topics.items[i].count = (int32_t)topics->partitions;
        message.topics.items[i].assignments.count = -1; /* the node's choice */
    }
    return cli_kafka_call(&topics->kafka, &request, on_grown, topics);
}

static int on_altered(void *owner, const void *answer)
{
    const struct incremental_alter_configs_response *response = answer;
    int rc = CLI_OK;

    for (int32_t i = 0; i < response->responses.count; i++) {
        const struct incremental_alter_configs_response_resource *result =
            &response->responses.items[i];
        if (done(owner, "altered", result->resource_name, result->error_code,
                 &result->error_message) != CLI_OK) {
            rc = CLI_FAILED;
        }
    }
    return rc;
}

static int fill_changes(struct topics *topics, const char *name,
                        struct incremental_alter_configs_request_resource *resource)
{
    int count = topics->configs.count + topics->unset.count;

    resource->resource_type = RESOURCE_TOPIC;
    resource->resource_name = wire_text(name);
    if (incremental_alter_configs_request_config_array_make(&topics->kafka.arena,
                                                            &resource->configs, count) != 0) {
        return no_memory(topics);
    }
    for (int i = 0; i < count; i++) {
        struct incremental_alter_configs_request_config *config = &resource->configs.items[i];
        bool is_set = i < topics->configs.count;
        config->config_operation = is_set ? CONFIG_SET : CONFIG_DELETE;
        if (is_set &&
            !split_config(topics, topics->configs.items[i], &config->name, &config->value)) {
            return CLI_USAGE;
        }
        if (!is_set) {
            config->name = wire_text(topics->unset.items[i - topics->configs.count]);
            config->value = wire_text(NULL);
        }
    }
    return CLI_OK;
}

static int alter_configs(struct topics *topics)
{
    struct incremental_alter_configs_request message;
    struct client_request request = {.key = WIRE_API_INCREMENTAL_ALTER_CONFIGS,
                                     .message = &message,
                                     .node = CLIENT_NODE_CONTROLLER};

    incremental_alter_configs_request_init(&message);
    message.validate_only = topics->is_dry_run;
    if (incremental_alter_configs_request_resource_array_make(
            &topics->kafka.arena, &message.resources, topics->name_count) != 0) {
        return no_memory(topics);
    }
    for (int i = 0; i < topics->name_count; i++) {
        int rc = fill_changes(topics, topics->names[i], &message.resources.items[i]);
        if (rc != CLI_OK) {
            return rc;
        }
    }
    return cli_kafka_call(&topics->kafka, &request, on_altered, topics);
}

static int do_alter(struct topics *topics)
{
    int rc = CLI_OK;

    if (topics->partitions < 0 && topics->configs.count == 0 && topics->unset.count == 0) {
        return cli_fail(topics->kafka.command, CLI_USAGE,
                        "alter what? --partitions, --config KEY=VALUE or --unset KEY");
    }
    if (topics->partitions >= 0) {
        rc = grow(topics);
    }
    if (rc == CLI_OK && topics->configs.count + topics->unset.count > 0) {
        rc = alter_configs(topics);
    }
    return rc;
}

/* ---- arguments ---- */

static const struct verb {
    const char *name;
    bool needs_names;
    int (*run)(struct topics *topics);
} verbs[] = {{"list", false, do_list},
             {"describe", true, do_describe},
             {"create", true, do_create},
             {"delete", true, do_delete},
             {"alter", true, do_alter}};
enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

static const struct verb *find_verb(const char *word)
{
    const char *words[VERB_COUNT];

    for (int i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verbs[i].name, word) == 0) {
            return &verbs[i];
        }
        words[i] = verbs[i].name;
    }
    const char *nearest = mr_nearest(word, words, VERB_COUNT);
    (void)cli_fail("topics", CLI_USAGE, "there is no '%s'%s%s%s", word,
                   nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
                   nearest == NULL ? "" : "'?");
    return NULL;
}

static bool take_number(const char *option, const char *word, int64_t max, int64_t *ret_number)
{
    *ret_number = -1;
    if (word == NULL ||
        (mr_parse_int(word, ret_number) == 0 && *ret_number >= 1 && *ret_number <= max)) {
        return true;
    }
    (void)cli_fail("topics", CLI_USAGE, "--%s %s: a number from 1 to %" PRId64 " is wanted", option,
                   word, max);
    return false;
}

static int run_verb(struct topics *topics, const struct verb *verb)
{
    int rc = cli_kafka_open(&topics->kafka, "topics", &topics->target);

    topics->rows = json_array();
    if (rc == CLI_OK) {
        rc = verb->run(topics);
    }
    json_decref(topics->rows);
    cli_kafka_close(&topics->kafka);
    return rc;
}

int cli_topics(int argc, char **argv)
{
    struct topics topics = {.output = "table"};
    const char *partitions = NULL;
    const char *replicas = NULL;
    /* --config is the topic's here, as in Kafka's tools; the node's file is -c. */
    const struct cli_option options[] = {
        {.name = "config-file", .letter = 'c', .value = &topics.target.config},
        {.name = "data", .value = &topics.target.data},
        {.name = "node", .letter = 'b', .value = &topics.target.node},
        CLI_LOGIN_OPTIONS(topics.target.login, "password-file", "mechanism"),
        {.name = "output", .letter = 'o', .value = &topics.output},
        {.name = "no-header", .flag = &topics.no_header},
        {.name = "all", .letter = 'a', .flag = &topics.is_all},
        {.name = "partitions", .value = &partitions},
        {.name = "replicas", .value = &replicas},
        {.name = "config", .list = &topics.configs},
        {.name = "unset", .list = &topics.unset},
        {.name = "dry-run", .flag = &topics.is_dry_run},
        {.name = "yes", .letter = 'y', .flag = &topics.is_yes},
        {0}};
    int rest = cli_parse("topics", argc, argv, options);
    const struct verb *verb;

    if (rest < 0 || cli_check_output("topics", topics.output) != CLI_OK ||
        !take_number("partitions", partitions, 10000, &topics.partitions) ||
        !take_number("replicas", replicas, 9, &topics.replicas)) {
        return CLI_USAGE;
    }
    verb = find_verb(rest < argc ? argv[rest] : "list");
    if (verb == NULL) {
        return CLI_USAGE;
    }
    topics.names = argv + rest + 1;
    topics.name_count = argc - rest - 1 > 0 ? argc - rest - 1 : 0;
    if (verb->needs_names != (topics.name_count > 0)) {
        return cli_fail("topics", CLI_USAGE,
                        verb->needs_names ? "%s: which topics?" : "%s takes no names", verb->name);
    }
    return run_verb(&topics, verb);
}
