/* `millrace tokens list|create|revoke`: tokens of a node's admin API. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/table.h"
#include "agent/cli/target.h"
#include "base/core/option.h"
#include "base/text/time.h"

struct tokens_arguments {
    struct cli_target target;
    const char *output;
    bool no_header;
    bool is_quiet;
    const char *role;
    const char *expires;
};

static void put_time(struct cli_table *table, const json_t *token, const char *key)
{
    int64_t ms = json_integer_value(json_object_get(token, key));
    char when[MR_TIME_TEXT_SIZE] = "";

    if (ms > 0) {
        (void)mr_time_format(ms * 1000, MR_TIME_SECONDS, when);
    }
    cli_table_text(table, ms > 0 ? when : "never");
}

static int list(const struct tokens_arguments *arguments)
{
    static const char *const titles[] = {"NAME", "ROLE", "CREATED", "EXPIRES", "LAST USED", NULL};
    struct cli_table table;
    json_t *tokens = NULL;
    json_t *token;
    size_t place;
    int rc = cli_target_get("tokens", &arguments->target, "/tokens", &tokens);

    if (rc != CLI_OK) {
        return rc;
    }
    if (cli_is_json(arguments->output)) {
        return cli_print_json(tokens);
    }
    cli_table_init(&table, titles);
    json_array_foreach(tokens, place, token)
    {
        cli_table_text(&table, json_string_value(json_object_get(token, "name")));
        cli_table_text(&table, json_string_value(json_object_get(token, "role")));
        put_time(&table, token, "created_ms");
        put_time(&table, token, "expires_ms");
        put_time(&table, token, "last_used_ms");
    }
    json_decref(tokens);
    return cli_table_print(&table, !arguments->no_header);
}

static int create(const struct tokens_arguments *arguments, const char *name)
{
    int64_t lifetime_ms = 0;
    json_t *answer = NULL;
    int rc;

    if (arguments->role == NULL ||
        (strcmp(arguments->role, "read") != 0 && strcmp(arguments->role, "admin") != 0)) {
        return cli_fail("tokens", CLI_USAGE, "create wants --role read or --role admin");
    }
    if (arguments->expires != NULL &&
        (mr_parse_duration(arguments->expires, &lifetime_ms) != 0 || lifetime_ms <= 0)) {
        return cli_fail("tokens", CLI_USAGE, "--expires wants a duration such as 30d, not '%s'",
                        arguments->expires);
    }
    rc = cli_target_call("tokens", &arguments->target, "POST", "/tokens",
                         json_pack("{s:s, s:s, s:I}", "name", name, "role", arguments->role,
                                   "lifetime_ms", (json_int_t)lifetime_ms),
                         &answer);
    if (rc != CLI_OK) {
        return rc;
    }
    if (cli_is_json(arguments->output)) {
        return cli_print_json(answer);
    }
    if (!arguments->is_quiet) {
        fprintf(stderr, "The token of '%s' is shown this one time:\n", name);
    }
    rc = printf("%s\n", json_string_value(json_object_get(answer, "token"))) < 0 ||
                 fflush(stdout) != 0
             ? CLI_FAILED
             : CLI_OK;
    json_decref(answer);
    return rc;
}

static int revoke(const struct tokens_arguments *arguments, const char *name)
{
    json_t *answer = NULL;
    char path[128];
    int rc;

    if (strlen(name) > 64 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
            strlen(name)) {
        return cli_fail("tokens", CLI_FAILED, "there is no token '%s'", name);
    }
    (void)snprintf(path, sizeof path, "/tokens/%s", name);
    rc = cli_target_call("tokens", &arguments->target, "DELETE", path, NULL, &answer);
    json_decref(answer);
    return rc;
}

int cli_tokens(int argc, char **argv)
{
    struct tokens_arguments arguments = {.output = "table"};
    const struct cli_option options[] = {
        CLI_TARGET_ADMIN(arguments.target),
        {.name = "output", .letter = 'o', .value = &arguments.output},
        {.name = "no-header", .flag = &arguments.no_header},
        {.name = "quiet", .letter = 'q', .flag = &arguments.is_quiet},
        {.name = "role", .value = &arguments.role},
        {.name = "expires", .value = &arguments.expires},
        {0}};
    int rest = cli_parse(argv[0], argc, argv, options);
    const char *verb = rest >= 0 && rest < argc ? argv[rest] : "list";
    const char *name = rest >= 0 && rest + 1 < argc ? argv[rest + 1] : NULL;

    if (rest < 0) {
        return CLI_USAGE;
    }
    if (cli_check_output(argv[0], arguments.output) != CLI_OK) {
        return CLI_USAGE;
    }
    if (rest + 2 < argc || (strcmp(verb, "list") == 0 && name != NULL)) {
        return cli_fail(argv[0], CLI_USAGE, "'%s' is one word too many", argv[argc - 1]);
    }
    if (strcmp(verb, "list") == 0) {
        return list(&arguments);
    }
    if (strcmp(verb, "create") != 0 && strcmp(verb, "revoke") != 0) {
        return cli_fail(argv[0], CLI_USAGE, "list, create or revoke, not '%s'", verb);
    }
    if (name == NULL) {
        return cli_fail(argv[0], CLI_USAGE, "%s wants the name of a token", verb);
    }
    return strcmp(verb, "create") == 0 ? create(&arguments, name) : revoke(&arguments, name);
}
