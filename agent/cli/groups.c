/* `millrace groups list|describe|members|delete`: who reads what, and how far behind. The sinks of
 * a node are groups, too: sink.<id>. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/kafka.h"
#include "agent/cli/table.h"
#include "agent/cli/target.h"
#include "queue/wire/groups.h"
#include "queue/wire/kafka_error.h"
#include "queue/wire/offsets.h"
#include "queue/wire/records.h"

enum { BY_NAME = 7 /* the last version of OffsetFetch with one group and topic names */ };

struct groups {
    struct cli_kafka kafka;
    struct cli_target target;
    const char *output;
    bool no_header;
    bool is_yes;
    char **names;
    int name_count;
    const char *group; /* the one that is being described */
    json_t *rows;
};

static json_t *json_of(struct wire_string string)
{
    return string.size < 0 ? json_null() : json_pack("s%", string.data, (size_t)string.size);
}

static const char *text(const json_t *row, const char *key)
{
    return json_string_value(json_object_get(row, key));
}

static int print(struct groups *groups, const char *const *titles, const char *const *keys)
{
    if (cli_is_json(groups->output)) {
        return cli_print_json(json_incref(groups->rows));
    }
    return cli_table_rows(groups->rows, titles, keys, !groups->no_header);
}

/* ---- list ---- */

static int compare_names(const void *left, const void *right)
{
    return strcmp(text(*(json_t *const *)left, "group"), text(*(json_t *const *)right, "group"));
}

static int on_list(void *owner, const void *answer)
{
    struct groups *groups = owner;
    const struct list_groups_response *response = answer;
    size_t count = (size_t)response->groups.count;
    json_t **rows = wire_arena_array(&groups->kafka.arena, count + 1, sizeof *rows);

    if (response->error_code != 0) {
        return cli_kafka_refused(&groups->kafka, "groups", response->error_code, NULL);
    }
    if (rows == NULL) {
        return cli_fail("groups", CLI_FAILED, "%s", mr_code_text(MR_ENOMEM));
    }
    for (size_t i = 0; i < count; i++) {
        const struct list_groups_response_group *group = &response->groups.items[i];
        rows[i] = json_pack("{s:o, s:o, s:o}", "group", json_of(group->group_id), "state",
                            json_of(group->group_state), "protocol", json_of(group->protocol_type));
    }
    qsort(rows, count, sizeof *rows, compare_names);
    for (size_t i = 0; i < count; i++) {
        (void)json_array_append_new(groups->rows, rows[i]);
    }
    return CLI_OK;
}

static int do_list(struct groups *groups)
{
    static const char *const titles[] = {"GROUP", "STATE", "PROTOCOL", NULL};
    static const char *const keys[] = {"group", "state", "protocol", NULL};
    struct list_groups_request message;
    struct client_request request = {
        .key = WIRE_API_LIST_GROUPS, .message = &message, .node = CLIENT_NODE_ANY};
    int rc;

    list_groups_request_init(&message);
    rc = cli_kafka_call(&groups->kafka, &request, on_list, groups);
    return rc == CLI_OK ? print(groups, titles, keys) : rc;
}

/* ---- describe ---- */

static int on_offsets(void *owner, const void *answer)
{
    struct groups *groups = owner;
    const struct offset_fetch_response *response = answer;

    if (response->error_code != 0) {
        return cli_kafka_refused(&groups->kafka, groups->group, response->error_code, NULL);
    }
    for (int32_t i = 0; i < response->topics.count; i++) {
        const struct offset_fetch_response_topic *topic = &response->topics.items[i];
        for (int32_t j = 0; j < topic->partitions.count; j++) {
            const struct offset_fetch_response_partition *partition = &topic->partitions.items[j];
            if (partition->error_code != 0 || partition->committed_offset < 0) {
                continue;
            }
            (void)json_array_append_new(groups->rows,
                                        json_pack("{s:s, s:o, s:i, s:I}", "group", groups->group,
                                                  "topic", json_of(topic->name), "partition",
                                                  (int)partition->partition_index, "position",
                                                  (json_int_t)partition->committed_offset));
        }
    }
    return CLI_OK;
}

static int fetch_offsets(struct groups *groups, const char *group)
{
    struct offset_fetch_request message;
    struct client_request request = {.key = WIRE_API_OFFSET_FETCH,
                                     .message = &message,
                                     .node = CLIENT_NODE_COORDINATOR,
                                     .coordinator_key = group,
                                     .version_max = BY_NAME};

    offset_fetch_request_init(&message);
    message.group_id = wire_text(group);
    message.topics.count = -1; /* all */
    groups->group = group;
    return cli_kafka_call(&groups->kafka, &request, on_offsets, groups);
}

static int add_lags(struct groups *groups)
{
    json_t *row;
    size_t place;
    int rc = CLI_OK;

    json_array_foreach(groups->rows, place, row)
    {
        int64_t position = json_integer_value(json_object_get(row, "position"));
        int32_t partition = (int32_t)json_integer_value(json_object_get(row, "partition"));
        int64_t end = 0;
        rc = cli_kafka_offset(&groups->kafka, text(row, "topic"), partition, -1, &end);
        if (rc != CLI_OK) {
            return rc;
        }
        (void)json_object_set_new(row, "end", json_integer(end));
        (void)json_object_set_new(row, "lag", json_integer(end > position ? end - position : 0));
    }
    return rc;
}

static int do_describe(struct groups *groups)
{
    static const char *const titles[] = {"GROUP", "TOPIC", ">PARTITION", ">POSITION",
                                         ">END",  ">LAG",  NULL};
    static const char *const keys[] = {"group", "topic", "partition", "position",
                                       "end",   "lag",   NULL};
    int rc = CLI_OK;

    for (int i = 0; rc == CLI_OK && i < groups->name_count; i++) {
        size_t before = json_array_size(groups->rows);
        rc = fetch_offsets(groups, groups->names[i]);
        if (rc == CLI_OK && json_array_size(groups->rows) == before) {
            return cli_fail("groups", CLI_FAILED,
                            "%s: there is no such group, or it has no position", groups->names[i]);
        }
    }
    if (rc == CLI_OK) {
        rc = add_lags(groups);
    }
    return rc == CLI_OK ? print(groups, titles, keys) : rc;
}

/* ---- members ---- */

/* "web:0,1,2 app:7"; what is no assignment of Kafka's consumers is "". */
static json_t *parts_of(struct groups *groups, struct wire_bytes bytes)
{
    struct consumer_protocol_assignment assignment;
    struct mr_bytes out = {0};
    int16_t version;
    json_t *text;

    if (bytes.size > 0 &&
        wire_versioned_read(&consumer_protocol_assignment_message, bytes.data, (size_t)bytes.size,
                            &groups->kafka.arena, &version, &assignment) == 0) {
        for (int32_t i = 0; i < assignment.assigned_partitions.count; i++) {
            const struct consumer_protocol_assignment_assigned_partition *topic =
                &assignment.assigned_partitions.items[i];
            mr_bytes_printf(&out, "%s%.*s", i > 0 ? " " : "", (int)topic->topic.size,
                            topic->topic.data);
            for (int32_t j = 0; j < topic->partitions.count; j++) {
                mr_bytes_printf(&out, "%c%d", j > 0 ? ',' : ':', (int)topic->partitions.items[j]);
            }
        }
    }
    text = json_stringn(out.data != NULL ? (const char *)out.data : "", out.size_bytes);
    mr_bytes_done(&out);
    return text != NULL ? text : json_string("");
}

static int on_members(void *owner, const void *answer)
{
    struct groups *groups = owner;
    const struct describe_groups_response *response = answer;

    for (int32_t i = 0; i < response->groups.count; i++) {
        const struct describe_groups_response_group *group = &response->groups.items[i];
        if (group->error_code != 0) {
            return cli_kafka_refused(&groups->kafka, groups->group, group->error_code, NULL);
        }
        for (int32_t j = 0; j < group->members.count; j++) {
            const struct describe_groups_response_member *member = &group->members.items[j];
            (void)json_array_append_new(
                groups->rows,
                json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "group", groups->group, "member",
                          json_of(member->member_id), "instance",
                          json_of(member->group_instance_id), "client", json_of(member->client_id),
                          "host", json_of(member->client_host), "partitions",
                          parts_of(groups, member->member_assignment)));
        }
    }
    return CLI_OK;
}

static int do_members(struct groups *groups)
{
    static const char *const titles[] = {"GROUP",  "CLIENT",     "HOST", "INSTANCE",
                                         "MEMBER", "PARTITIONS", NULL};
    static const char *const keys[] = {"group",  "client",     "host", "instance",
                                       "member", "partitions", NULL};
    int rc = CLI_OK;

    for (int i = 0; rc == CLI_OK && i < groups->name_count; i++) {
        struct wire_string name = wire_text(groups->names[i]);
        struct describe_groups_request message;
        struct client_request request = {.key = WIRE_API_DESCRIBE_GROUPS,
                                         .message = &message,
                                         .node = CLIENT_NODE_COORDINATOR,
                                         .coordinator_key = groups->names[i]};
        describe_groups_request_init(&message);
        message.groups = (struct wire_string_array){&name, 1};
        groups->group = groups->names[i];
        rc = cli_kafka_call(&groups->kafka, &request, on_members, groups);
    }
    return rc == CLI_OK ? print(groups, titles, keys) : rc;
}

/* ---- delete ---- */

static int on_deleted(void *owner, const void *answer)
{
    struct groups *groups = owner;
    const struct delete_groups_response *response = answer;
    int rc = CLI_OK;

    for (int32_t i = 0; i < response->results.count; i++) {
        const struct delete_groups_response_result *result = &response->results.items[i];
        if (result->error_code != 0) {
            rc = cli_kafka_refused(&groups->kafka, groups->group, result->error_code, NULL);
        } else {
            fprintf(stderr, "%s: deleted\n", groups->group);
        }
    }
    return rc;
}

static int delete_one(struct groups *groups, const char *name)
{
    struct wire_string group = wire_text(name);
    struct delete_groups_request message;
    struct client_request request = {.key = WIRE_API_DELETE_GROUPS,
                                     .message = &message,
                                     .node = CLIENT_NODE_COORDINATOR,
                                     .coordinator_key = name};

    delete_groups_request_init(&message);
    message.groups_names = (struct wire_string_array){&group, 1};
    groups->group = name;
    return cli_kafka_call(&groups->kafka, &request, on_deleted, groups);
}

static int do_delete(struct groups *groups)
{
    int rc = CLI_OK;

    if (!groups->is_yes) {
        return cli_fail("groups", CLI_USAGE,
                        "delete forgets where readers stand: say --yes if that is meant");
    }
    for (int i = 0; rc == CLI_OK && i < groups->name_count; i++) {
        rc = delete_one(groups, groups->names[i]);
    }
    return rc;
}

/* ---- arguments ---- */

int cli_groups(int argc, char **argv)
{
    struct groups groups = {.output = "table"};
    const struct cli_option options[] = {CLI_TARGET_ANY(groups.target),
                                         {.name = "output", .letter = 'o', .value = &groups.output},
                                         {.name = "no-header", .flag = &groups.no_header},
                                         {.name = "yes", .letter = 'y', .flag = &groups.is_yes},
                                         {0}};
    int rest = cli_parse("groups", argc, argv, options);
    const char *verb = rest >= 0 && rest < argc ? argv[rest] : "list";
    int (*run)(struct groups *) = strcmp(verb, "list") == 0       ? do_list
                                  : strcmp(verb, "describe") == 0 ? do_describe
                                  : strcmp(verb, "members") == 0  ? do_members
                                  : strcmp(verb, "delete") == 0   ? do_delete
                                                                  : NULL;
    int rc;

    if (rest < 0 || cli_check_output("groups", groups.output) != CLI_OK) {
        return CLI_USAGE;
    }
    groups.names = argv + rest + 1;
    groups.name_count = argc - rest - 1 > 0 ? argc - rest - 1 : 0;
    if (run == NULL) {
        return cli_fail("groups", CLI_USAGE,
                        "there is no '%s'; there are list, describe, members, delete", verb);
    }
    if ((run == do_list) != (groups.name_count == 0)) {
        return cli_fail("groups", CLI_USAGE, "%s: %s", verb,
                        run == do_list ? "takes no names" : "which groups?");
    }
    rc = cli_kafka_open(&groups.kafka, "groups", &groups.target);
    groups.rows = json_array();
    if (rc == CLI_OK) {
        rc = run(&groups);
    }
    json_decref(groups.rows);
    cli_kafka_close(&groups.kafka);
    return rc;
}
