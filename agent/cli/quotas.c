/* `millrace quotas list|set|remove`: Kafka's DescribeClientQuotas and AlterClientQuotas. The names
 * of the rates are Kafka's; `set` takes them with their values, `remove` without. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/kafka.h"
#include "agent/cli/table.h"
#include "agent/cli/target.h"
#include "base/core/error.h"
#include "base/text/nearest.h"
#include "queue/wire/configs.h"

enum {
    TYPES = 3,
    RATES = 5,
    RATE_NAME_SIZE = 64,
    NAME_SIZE = 1100,
    MATCH_EXACT = 0,
    MATCH_DEFAULT = 1
};

static const char *const type_names[TYPES] = {"user", "client-id", "ip"};
static const char *const rate_names[RATES] = {"producer_byte_rate", "consumer_byte_rate",
                                              "request_percentage", "controller_mutation_rate",
                                              "connection_creation_rate"};

struct quotas {
    struct cli_kafka kafka;
    struct cli_target target;
    const char *output;
    bool no_header;
    bool is_dry_run;
    struct cli_list entity;
    const char *names[TYPES];
    bool is_default[TYPES];
    char **words; /* RATE=VALUE, or RATE */
    int word_count;
};

/* ---- list ---- */

/* NULL: the entity is not of this type. In `text` unless it is the default. */
static const char *entity_text(const struct describe_client_quotas_response_entry *entry, int type,
                               char text[NAME_SIZE])
{
    for (int32_t i = 0; i < entry->entity.count; i++) {
        const struct describe_client_quotas_response_entity *entity = &entry->entity.items[i];
        if (!wire_string_is(entity->entity_type, type_names[type])) {
            continue;
        }
        if (entity->entity_name.size < 0) {
            return "<default>";
        }
        (void)snprintf(text, NAME_SIZE, "%.*s", entity->entity_name.size, entity->entity_name.data);
        return text;
    }
    return NULL;
}

static json_t *json_entry(const struct describe_client_quotas_response_entry *entry)
{
    char name[NAME_SIZE];
    json_t *row = json_object();
    json_t *rates = json_object();

    for (int type = 0; type < TYPES; type++) {
        const char *text = entity_text(entry, type, name);
        if (text != NULL) {
            (void)json_object_set_new(row, type_names[type], json_string(text));
        }
    }
    for (int32_t i = 0; i < entry->values.count; i++) {
        const struct describe_client_quotas_response_value *value = &entry->values.items[i];
        char key[RATE_NAME_SIZE];
        (void)snprintf(key, sizeof key, "%.*s", value->key.size, value->key.data);
        (void)json_object_set_new(rates, key, json_real(value->value));
    }
    (void)json_object_set_new(row, "quotas", rates);
    return row;
}

static void table_entry(const struct describe_client_quotas_response_entry *entry,
                        struct cli_table *table)
{
    char name[NAME_SIZE];

    for (int32_t i = 0; i < entry->values.count; i++) {
        const struct describe_client_quotas_response_value *value = &entry->values.items[i];
        for (int type = 0; type < TYPES; type++) {
            cli_table_text(table, entity_text(entry, type, name));
        }
        cli_table_printf(table, "%.*s", value->key.size, value->key.data);
        cli_table_printf(table, "%.15g", value->value);
    }
}

static int on_list(void *owner, const void *answer)
{
    static const char *const titles[] = {"USER", "CLIENT-ID", "IP", "QUOTA", ">VALUE", NULL};
    struct quotas *quotas = owner;
    const struct describe_client_quotas_response *response = answer;
    struct cli_table table;
    json_t *rows;

    if (response->error_code != 0) {
        return cli_kafka_refused(&quotas->kafka, "quotas", response->error_code,
                                 &response->error_message);
    }
    if (cli_is_json(quotas->output)) {
        rows = json_array();
        for (int32_t i = 0; i < response->entries.count; i++) {
            (void)json_array_append_new(rows, json_entry(&response->entries.items[i]));
        }
        return cli_print_json(rows);
    }
    cli_table_init(&table, titles);
    for (int32_t i = 0; i < response->entries.count; i++) {
        table_entry(&response->entries.items[i], &table);
    }
    return cli_table_print(&table, !quotas->no_header);
}

static int do_list(struct quotas *quotas)
{
    struct describe_client_quotas_request message;
    struct client_request request = {
        .key = WIRE_API_DESCRIBE_CLIENT_QUOTAS, .message = &message, .node = CLIENT_NODE_ANY};

    describe_client_quotas_request_init(&message);
    if (describe_client_quotas_request_component_array_make(&quotas->kafka.arena,
                                                            &message.components, TYPES) != 0) {
        return cli_fail("quotas", CLI_FAILED, "no memory");
    }
    message.components.count = 0;
    for (int type = 0; type < TYPES; type++) {
        if (quotas->names[type] != NULL || quotas->is_default[type]) {
            message.components.items[message.components.count++] =
                (struct describe_client_quotas_request_component){
                    .entity_type = wire_text(type_names[type]),
                    .match_type = quotas->is_default[type] ? MATCH_DEFAULT : MATCH_EXACT,
                    .match = wire_text(quotas->names[type]),
                };
        }
    }
    return cli_kafka_call(&quotas->kafka, &request, on_list, quotas);
}

/* ---- set and remove ---- */

static int take_value(const char *word, double *ret_value)
{
    char *end;

    errno = 0;
    *ret_value = strtod(word, &end);
    return end == word || *end != '\0' || errno != 0 || !(*ret_value > 0) ? MR_EINVAL : 0;
}

static int take_rate(const char *word, bool is_set,
                     struct alter_client_quotas_request_op *ret_operation)
{
    size_t size = strcspn(word, "=");
    char name[RATE_NAME_SIZE];
    const char *nearest;

    (void)snprintf(name, sizeof name, "%.*s", (int)size, word);
    if (is_set != (word[size] == '=')) {
        return cli_fail("quotas", CLI_USAGE, "%s: %s", word,
                        is_set ? "a value is wanted: QUOTA=NUMBER" : "only the quota's name");
    }
    for (int i = 0; i < RATES; i++) {
        if (strcmp(rate_names[i], name) != 0) {
            continue;
        }
        ret_operation->key = wire_text(rate_names[i]);
        ret_operation->remove = !is_set;
        if (is_set && take_value(word + size + 1, &ret_operation->value) != 0) {
            return cli_fail("quotas", CLI_USAGE, "%s: a number greater than 0 is wanted", word);
        }
        return CLI_OK;
    }
    nearest = mr_nearest(name, rate_names, RATES);
    return cli_fail("quotas", CLI_USAGE, "there is no quota '%s'%s%s%s", name,
                    nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
                    nearest != NULL ? "'?" : "");
}

static int on_altered(void *owner, const void *answer)
{
    struct quotas *quotas = owner;
    const struct alter_client_quotas_response *response = answer;

    for (int32_t i = 0; i < response->entries.count; i++) {
        if (response->entries.items[i].error_code != 0) {
            return cli_kafka_refused(&quotas->kafka, "quota", response->entries.items[i].error_code,
                                     &response->entries.items[i].error_message);
        }
    }
    fprintf(stderr, quotas->is_dry_run ? "nothing is wrong; nothing was changed\n" : "changed\n");
    return CLI_OK;
}

static int make_entry(struct quotas *quotas, bool is_set,
                      struct alter_client_quotas_request *message)
{
    struct wire_arena *arena = &quotas->kafka.arena;
    struct alter_client_quotas_request_entry *entry;
    int rc = CLI_OK;

    if (alter_client_quotas_request_entry_array_make(arena, &message->entries, 1) != 0) {
        return cli_fail("quotas", CLI_FAILED, "no memory");
    }
    entry = message->entries.items;
    if (alter_client_quotas_request_entity_array_make(arena, &entry->entity, TYPES) != 0 ||
        alter_client_quotas_request_op_array_make(arena, &entry->ops, quotas->word_count) != 0) {
        return cli_fail("quotas", CLI_FAILED, "no memory");
    }
    entry->entity.count = 0;
    for (int type = 0; type < TYPES; type++) {
        if (quotas->names[type] != NULL || quotas->is_default[type]) {
            entry->entity.items[entry->entity.count].entity_type = wire_text(type_names[type]);
            entry->entity.items[entry->entity.count++].entity_name = wire_text(quotas->names[type]);
        }
    }
    for (int i = 0; rc == CLI_OK && i < quotas->word_count; i++) {
        rc = take_rate(quotas->words[i], is_set, &entry->ops.items[i]);
    }
    return rc;
}

static int alter(struct quotas *quotas, bool is_set)
{
    struct alter_client_quotas_request message;
    struct client_request request = {
        .key = WIRE_API_ALTER_CLIENT_QUOTAS, .message = &message, .node = CLIENT_NODE_CONTROLLER};
    int rc;

    alter_client_quotas_request_init(&message);
    message.validate_only = quotas->is_dry_run;
    rc = make_entry(quotas, is_set, &message);
    return rc == CLI_OK ? cli_kafka_call(&quotas->kafka, &request, on_altered, quotas) : rc;
}

static int do_set(struct quotas *quotas)
{
    return alter(quotas, true);
}

static int do_remove(struct quotas *quotas)
{
    return alter(quotas, false);
}

/* ---- arguments ---- */

static const struct verb {
    const char *name;
    bool is_change;
    int (*run)(struct quotas *quotas);
} verbs[] = {{"list", false, do_list}, {"set", true, do_set}, {"remove", true, do_remove}};

static const struct verb *find_verb(const char *word)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, word) == 0) {
            return &verbs[i];
        }
    }
    (void)cli_fail("quotas", CLI_USAGE, "there is no '%s'; list, set or remove", word);
    return NULL;
}

/* "user=alice", or "user" for everybody who has none of his own. */
static int take_entity(struct quotas *quotas, const char *word)
{
    size_t size = strcspn(word, "=");

    for (int type = 0; type < TYPES; type++) {
        if (strlen(type_names[type]) != size || memcmp(type_names[type], word, size) != 0) {
            continue;
        }
        if (quotas->names[type] != NULL || quotas->is_default[type]) {
            return cli_fail("quotas", CLI_USAGE, "--for %s: one %s only", word, type_names[type]);
        }
        quotas->is_default[type] = word[size] == '\0';
        quotas->names[type] = word[size] == '\0' ? NULL : word + size + 1;
        return CLI_OK;
    }
    return cli_fail("quotas", CLI_USAGE, "--for %s: user, client-id or ip is wanted", word);
}

static int check(struct quotas *quotas, bool is_change)
{
    int rc = CLI_OK;

    for (int i = 0; rc == CLI_OK && i < quotas->entity.count; i++) {
        rc = take_entity(quotas, quotas->entity.items[i]);
    }
    if (rc != CLI_OK) {
        return rc;
    }
    if (is_change && quotas->entity.count == 0) {
        return cli_fail("quotas", CLI_USAGE, "whose? For example --for user=alice");
    }
    if (is_change != (quotas->word_count > 0)) {
        return cli_fail("quotas", CLI_USAGE,
                        is_change ? "which quota? For example producer_byte_rate"
                                  : "list takes no quota's name");
    }
    return CLI_OK;
}

int cli_quotas(int argc, char **argv)
{
    struct quotas quotas = {.output = "table"};
    const struct cli_option options[] = {CLI_TARGET_ANY(quotas.target),
                                         {.name = "output", .letter = 'o', .value = &quotas.output},
                                         {.name = "no-header", .flag = &quotas.no_header},
                                         {.name = "dry-run", .flag = &quotas.is_dry_run},
                                         {.name = "for", .list = &quotas.entity},
                                         {0}};
    int rest = cli_parse("quotas", argc, argv, options);
    const struct verb *verb;
    int rc;

    if (rest < 0 || cli_check_output("quotas", quotas.output) != CLI_OK) {
        return CLI_USAGE;
    }
    verb = find_verb(rest < argc ? argv[rest] : "list");
    if (verb == NULL) {
        return CLI_USAGE;
    }
    quotas.words = argv + rest + (rest < argc);
    quotas.word_count = argc - rest - (rest < argc);
    rc = check(&quotas, verb->is_change);
    if (rc != CLI_OK) {
        return rc;
    }
    rc = cli_kafka_open(&quotas.kafka, "quotas", &quotas.target);
    if (rc == CLI_OK) {
        rc = verb->run(&quotas);
    }
    cli_kafka_close(&quotas.kafka);
    return rc;
}
