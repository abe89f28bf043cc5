/* `millrace files`, `sinks`, `ledger`, `health`: what a running node says of itself. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/table.h"
#include "agent/cli/target.h"
#include "base/text/time.h"

struct status_arguments {
    struct cli_target target;
    const char *output;
    bool is_quiet;
    bool no_header;
};

/* The options that all four have, and the answer to `path`. CLI_OK: go on; else *ret_answer is
 * NULL, and that is the exit code. */
static int ask(int argc, char **argv, const char *path, struct status_arguments *arguments,
               json_t **ret_answer)
{
    const struct cli_option options[] = {
        CLI_TARGET_ADMIN(arguments->target),
        {.name = "output", .letter = 'o', .value = &arguments->output},
        {.name = "no-header", .flag = &arguments->no_header},
        {.name = "quiet", .letter = 'q', .flag = &arguments->is_quiet},
        {0}};
    int rest;
    int rc;

    *arguments = (struct status_arguments){.output = "table"};
    rest = cli_parse(argv[0], argc, argv, options);
    if (rest < 0) {
        return CLI_USAGE;
    }
    if (rest < argc) {
        return cli_fail(argv[0], CLI_USAGE, "'%s' is one word too many", argv[rest]);
    }
    rc = cli_check_output(argv[0], arguments->output);
    return rc != CLI_OK ? rc : cli_target_get(argv[0], &arguments->target, path, ret_answer);
}

static int64_t number(const json_t *row, const char *key)
{
    return json_integer_value(json_object_get(row, key));
}

static const char *text(const json_t *row, const char *key)
{
    return json_string_value(json_object_get(row, key));
}

static void put_number(struct cli_table *table, const json_t *row, const char *key)
{
    cli_table_number(table, number(row, key));
}

static void put_text(struct cli_table *table, const json_t *row, const char *key)
{
    cli_table_text(table, text(row, key));
}

static void put_partition(struct cli_table *table, const json_t *row)
{
    const char *topic = text(row, "topic");

    cli_table_printf(table, "%s/%" PRId64, topic == NULL ? "?" : topic, number(row, "partition"));
}

static bool is_balanced(const json_t *row)
{
    return json_is_true(json_object_get(row, "balanced"));
}

/* ---- files ---- */

int cli_files(int argc, char **argv)
{
    static const char *const titles[] = {"SOURCE", "PATH",    "STATE",     ">POSITION",
                                         ">SIZE",  ">BEHIND", "LAST READ", NULL};
    struct status_arguments arguments;
    struct cli_table table;
    json_t *files = NULL;
    json_t *file;
    size_t place;
    int rc = ask(argc, argv, "/files", &arguments, &files);

    if (rc != CLI_OK) {
        return rc;
    }
    if (cli_is_json(arguments.output)) {
        return cli_print_json(files);
    }
    cli_table_init(&table, titles);
    json_array_foreach(files, place, file)
    {
        char when[MR_TIME_TEXT_SIZE] = "";
        if (number(file, "last_read_ms") > 0) {
            (void)mr_time_format(number(file, "last_read_ms") * 1000, MR_TIME_SECONDS, when);
        }
        put_text(&table, file, "source");
        put_text(&table, file, "path");
        put_text(&table, file, "state");
        put_number(&table, file, "position");
        put_number(&table, file, "size");
        put_number(&table, file, "behind");
        cli_table_text(&table, when);
    }
    json_decref(files);
    return cli_table_print(&table, !arguments.no_header);
}

/* ---- sinks ---- */

static void put_sink(struct cli_table *table, const json_t *sink)
{
    const json_t *partition;
    const json_t *retry = json_object_get(sink, "retry_in_ms");
    int64_t queued = 0;
    int64_t delivered = 0;
    int64_t in_flight = 0;
    size_t place;

    json_array_foreach(json_object_get(sink, "partitions"), place, partition)
    {
        queued += number(partition, "queued");
        delivered += number(partition, "delivered");
        in_flight += number(partition, "in_flight");
    }
    put_text(table, sink, "sink");
    put_text(table, sink, "state");
    put_text(table, sink, "destination");
    cli_table_number(table, delivered);
    cli_table_number(table, queued);
    cli_table_number(table, in_flight);
    if (json_is_integer(retry)) {
        char wait[MR_HUMAN_TEXT_SIZE];
        mr_duration_human(json_integer_value(retry) * 1000, wait);
        cli_table_text(table, wait);
    } else {
        cli_table_text(table, NULL);
    }
    put_text(table, sink, "error");
}

int cli_sinks(int argc, char **argv)
{
    static const char *const titles[] = {"SINK",       "STATE",      "DESTINATION",
                                         ">DELIVERED", ">QUEUED",    ">IN FLIGHT",
                                         "RETRY IN",   "LAST ERROR", NULL};
    struct status_arguments arguments;
    struct cli_table table;
    json_t *sinks = NULL;
    json_t *sink;
    size_t place;
    int rc = ask(argc, argv, "/sinks", &arguments, &sinks);

    if (rc != CLI_OK) {
        return rc;
    }
    if (cli_is_json(arguments.output)) {
        return cli_print_json(sinks);
    }
    cli_table_init(&table, titles);
    json_array_foreach(sinks, place, sink)
    {
        put_sink(&table, sink);
    }
    json_decref(sinks);
    return cli_table_print(&table, !arguments.no_header);
}

/* ---- ledger ---- */

/* "too_long 3, filtered 17" */
static void put_reasons(struct cli_table *table, const json_t *source)
{
    char words[256] = "";
    const char *reason;
    json_t *drops;

    json_object_foreach(json_object_get(source, "reasons"), reason, drops)
    {
        size_t used = strlen(words);
        (void)snprintf(words + used, sizeof words - used, "%s%s %" PRId64, used == 0 ? "" : ", ",
                       reason, number(drops, "events"));
    }
    cli_table_text(table, words);
}

static int print_sources(const json_t *ledger, bool has_header)
{
    static const char *const titles[] = {"SOURCE",   "TOPIC",   ">IN", ">OUT",
                                         ">DROPPED", "REASONS", NULL};
    struct cli_table table;
    json_t *source;
    size_t place;

    cli_table_init(&table, titles);
    json_array_foreach(json_object_get(ledger, "sources"), place, source)
    {
        put_text(&table, source, "source");
        put_partition(&table, source);
        put_number(&table, source, "in");
        put_number(&table, source, "out");
        put_number(&table, source, "dropped");
        put_reasons(&table, source);
    }
    return cli_table_print(&table, has_header);
}

static int print_topics(const json_t *ledger, bool has_header)
{
    static const char *const titles[] = {"TOPIC", ">FROM SOURCES", ">IN THE LOG", "BALANCED", NULL};
    struct cli_table table;
    json_t *topic;
    size_t place;

    cli_table_init(&table, titles);
    json_array_foreach(json_object_get(ledger, "topics"), place, topic)
    {
        put_partition(&table, topic);
        put_number(&table, topic, "delivered");
        put_number(&table, topic, "end");
        cli_table_text(&table, is_balanced(topic) ? "yes" : "NO");
    }
    return cli_table_print(&table, has_header);
}

static int print_sinks(const json_t *ledger, bool has_header)
{
    static const char *const titles[] = {"SINK",     "TOPIC", ">IN",   ">DELIVERED", ">QUEUED",
                                         ">SKIPPED", ">DEAD", ">LOST", "BALANCED",   NULL};
    static const char *const numbers[] = {"in", "delivered", "queued", "skipped", "dead", "lost"};
    struct cli_table table;
    json_t *part;
    size_t place;

    cli_table_init(&table, titles);
    json_array_foreach(json_object_get(ledger, "sinks"), place, part)
    {
        put_text(&table, part, "sink");
        put_partition(&table, part);
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
            put_number(&table, part, numbers[i]);
        }
        cli_table_text(&table, is_balanced(part) ? "yes" : "NO");
    }
    return cli_table_print(&table, has_header);
}

static int print_ledger(const json_t *ledger, bool has_header)
{
    int rc = print_sources(ledger, has_header);

    printf("\n");
    rc = print_topics(ledger, has_header) != CLI_OK ? CLI_FAILED : rc;
    printf("\n");
    return print_sinks(ledger, has_header) != CLI_OK ? CLI_FAILED : rc;
}

int cli_ledger(int argc, char **argv)
{
    struct status_arguments arguments;
    json_t *ledger = NULL;
    int rc = ask(argc, argv, "/ledger", &arguments, &ledger);
    bool balances;

    if (rc != CLI_OK) {
        return rc;
    }
    balances = is_balanced(ledger);
    if (arguments.is_quiet) {
        json_decref(ledger);
    } else if (cli_is_json(arguments.output)) {
        rc = cli_print_json(ledger);
    } else {
        rc = print_ledger(ledger, !arguments.no_header);
        json_decref(ledger);
    }
    if (!balances) {
        return cli_fail(argv[0], CLI_FAILED, "the books do not balance");
    }
    return rc;
}

/* ---- health ---- */

int cli_health(int argc, char **argv)
{
    static const char *const titles[] = {"CHECK", "STATE", "WORDS", NULL};
    struct status_arguments arguments;
    struct cli_table table;
    json_t *health = NULL;
    json_t *check;
    size_t place;
    int rc = ask(argc, argv, "/health", &arguments, &health);

    if (rc != CLI_OK) {
        return rc;
    }
    const char *status = text(health, "status");
    bool is_well = status != NULL && strcmp(status, "ok") == 0;
    if (arguments.is_quiet) {
        json_decref(health);
    } else if (cli_is_json(arguments.output)) {
        rc = cli_print_json(health);
    } else {
        cli_table_init(&table, titles);
        json_array_foreach(json_object_get(health, "checks"), place, check)
        {
            put_text(&table, check, "name");
            cli_table_text(&table, json_is_true(json_object_get(check, "ok")) ? "ok" : "FAILING");
            put_text(&table, check, "text");
        }
        rc = cli_table_print(&table, !arguments.no_header);
        json_decref(health);
    }
    return is_well ? rc : CLI_FAILED;
}
