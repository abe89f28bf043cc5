/* `millrace users list|create|delete`: Kafka's DescribeUserScramCredentials and
 * AlterUserScramCredentials (KIP-554). The password never leaves this program: what is sent is
 * salted, what is stored is a hash of that. It is not taken from the command line, where `ps` shows
 * it. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/kafka.h"
#include "agent/cli/password.h"
#include "agent/cli/table.h"
#include "agent/cli/target.h"
#include "base/core/option.h"
#include "base/net/scram.h"
#include "queue/wire/security.h"

enum { MECHANISMS = 2 };

struct users {
    struct cli_kafka kafka;
    struct cli_target target;
    const char *output;
    bool no_header;
    const char *password_file;
    bool wants[MECHANISMS + 1]; /* by Kafka's number */
    int64_t iterations;
    const char *name;
    char password[CLI_PASSWORD_SIZE];
    bool has[MECHANISMS + 1]; /* of the user that is to go */
};

/* ---- list ---- */

static void
describe_mechanisms(const struct describe_user_scram_credentials_response_result *result,
                    char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (int32_t i = 0; i < result->credential_infos.count && used < size; i++) {
        used += (size_t)snprintf(
            text + used, size - used, "%s%s", i > 0 ? ", " : "",
            mr_scram_name((enum mr_scram_mechanism)result->credential_infos.items[i].mechanism));
    }
}

static int print_user(const struct users *users, struct cli_table *table,
                      const struct describe_user_scram_credentials_response_result *result)
{
    char mechanisms[64];

    describe_mechanisms(result, mechanisms, sizeof mechanisms);
    cli_table_printf(table, "%.*s", result->user.size, result->user.data);
    cli_table_text(table, mechanisms);
    cli_table_number(table, result->credential_infos.count > 0
                                ? result->credential_infos.items[0].iterations
                                : 0);
    (void)users;
    return CLI_OK;
}

static int print_json(const struct describe_user_scram_credentials_response *response)
{
    json_t *rows = json_array();

    for (int32_t i = 0; i < response->results.count; i++) {
        const struct describe_user_scram_credentials_response_result *result =
            &response->results.items[i];
        json_t *mechanisms = json_array();
        for (int32_t j = 0; j < result->credential_infos.count; j++) {
            (void)json_array_append_new(
                mechanisms,
                json_pack("{s:s, s:i}", "mechanism",
                          mr_scram_name(
                              (enum mr_scram_mechanism)result->credential_infos.items[j].mechanism),
                          "iterations", (int)result->credential_infos.items[j].iterations));
        }
        (void)json_array_append_new(rows, json_pack("{s:s%, s:o}", "user", result->user.data,
                                                    (size_t)result->user.size, "credentials",
                                                    mechanisms));
    }
    return cli_print_json(rows);
}

static int on_list(void *owner, const void *answer)
{
    static const char *const titles[] = {"USER", "MECHANISMS", ">ITERATIONS", NULL};
    struct users *users = owner;
    const struct describe_user_scram_credentials_response *response = answer;
    struct cli_table table;

    if (response->error_code != 0) {
        return cli_kafka_refused(&users->kafka, "users", response->error_code,
                                 &response->error_message);
    }
    if (cli_is_json(users->output)) {
        return print_json(response);
    }
    cli_table_init(&table, titles);
    for (int32_t i = 0; i < response->results.count; i++) {
        (void)print_user(users, &table, &response->results.items[i]);
    }
    return cli_table_print(&table, !users->no_header);
}

static int ask_users(struct users *users, const char *name, cli_answer_cb on_answer)
{
    struct describe_user_scram_credentials_request message;
    struct client_request request = {.key = WIRE_API_DESCRIBE_USER_SCRAM_CREDENTIALS,
                                     .message = &message,
                                     .node = CLIENT_NODE_ANY};

    describe_user_scram_credentials_request_init(&message);
    message.users.count = -1;
    if (name != NULL) {
        if (describe_user_scram_credentials_request_user_array_make(&users->kafka.arena,
                                                                    &message.users, 1) != 0) {
            return cli_fail("users", CLI_FAILED, "no memory");
        }
        message.users.items[0].name = wire_text(name);
    }
    return cli_kafka_call(&users->kafka, &request, on_answer, users);
}

static int do_list(struct users *users)
{
    return ask_users(users, users->name, on_list);
}

/* ---- passwords ---- */

static int ask_twice(struct users *users)
{
    char again[CLI_PASSWORD_SIZE];
    bool is_same = cli_password_ask("Password: ", users->password) &&
                   cli_password_ask("The same again: ", again) &&
                   strcmp(users->password, again) == 0;

    mr_scram_wipe(again, sizeof again);
    return is_same ? CLI_OK : cli_fail("users", CLI_USAGE, "no password, or not the same twice");
}

static int take_password(struct users *users)
{
    if (users->password_file == NULL && isatty(STDIN_FILENO)) {
        return ask_twice(users);
    }
    return cli_password_read("users", users->password_file != NULL ? users->password_file : "-",
                             users->password);
}

/* ---- create and delete ---- */

static int on_altered(void *owner, const void *answer)
{
    struct users *users = owner;
    const struct alter_user_scram_credentials_response *response = answer;

    for (int32_t i = 0; i < response->results.count; i++) {
        const struct alter_user_scram_credentials_response_result *result =
            &response->results.items[i];
        if (result->error_code != 0) {
            return cli_kafka_refused(&users->kafka, users->name, result->error_code,
                                     &result->error_message);
        }
    }
    return CLI_OK;
}

static int alter(struct users *users, struct alter_user_scram_credentials_request *message)
{
    struct client_request request = {.key = WIRE_API_ALTER_USER_SCRAM_CREDENTIALS,
                                     .message = message,
                                     .node = CLIENT_NODE_CONTROLLER};

    return cli_kafka_call(&users->kafka, &request, on_altered, users);
}

static int make_upsertion(struct users *users, enum mr_scram_mechanism mechanism,
                          struct alter_user_scram_credentials_request_upsertion *out)
{
    uint8_t *salt = wire_arena_alloc(&users->kafka.arena, MR_SCRAM_SALT_SIZE);
    uint8_t *salted = wire_arena_alloc(&users->kafka.arena, MR_SCRAM_KEY_SIZE_MAX);

    if (salt == NULL || salted == NULL) {
        return cli_fail("users", CLI_FAILED, "no memory");
    }
    mr_random_system()->fill(mr_random_system(), salt, MR_SCRAM_SALT_SIZE);
    if (mr_scram_salt_password(mechanism, users->password, strlen(users->password), salt,
                               MR_SCRAM_SALT_SIZE, (int32_t)users->iterations, salted) != 0) {
        return cli_fail("users", CLI_FAILED, "the password cannot be salted");
    }
    out->name = wire_text(users->name);
    out->mechanism = (int8_t)mechanism;
    out->iterations = (int32_t)users->iterations;
    out->salt = (struct wire_bytes){salt, MR_SCRAM_SALT_SIZE};
    out->salted_password = (struct wire_bytes){salted, (int32_t)mr_scram_key_size(mechanism)};
    return CLI_OK;
}

static int do_create(struct users *users)
{
    struct alter_user_scram_credentials_request message;
    int32_t count = 0;
    int rc = take_password(users);

    alter_user_scram_credentials_request_init(&message);
    if (rc == CLI_OK && alter_user_scram_credentials_request_upsertion_array_make(
                            &users->kafka.arena, &message.upsertions, MECHANISMS) != 0) {
        rc = cli_fail("users", CLI_FAILED, "no memory");
    }
    for (int i = MR_SCRAM_SHA_256; rc == CLI_OK && i <= MR_SCRAM_SHA_512; i++) {
        if (users->wants[i]) {
            rc = make_upsertion(users, (enum mr_scram_mechanism)i,
                                &message.upsertions.items[count++]);
        }
    }
    mr_scram_wipe(users->password, sizeof users->password);
    if (rc == CLI_OK) {
        message.upsertions.count = count;
        rc = alter(users, &message);
    }
    if (rc == CLI_OK) {
        fprintf(stderr, "%s: password set\n", users->name);
    }
    return rc;
}

static int on_found(void *owner, const void *answer)
{
    struct users *users = owner;
    const struct describe_user_scram_credentials_response *response = answer;
    const struct describe_user_scram_credentials_response_result *result;

    if (response->error_code != 0 || response->results.count != 1) {
        return cli_kafka_refused(&users->kafka, users->name, response->error_code,
                                 &response->error_message);
    }
    result = &response->results.items[0];
    if (result->error_code != 0) {
        return cli_kafka_refused(&users->kafka, users->name, result->error_code,
                                 &result->error_message);
    }
    for (int32_t i = 0; i < result->credential_infos.count; i++) {
        int mechanism = result->credential_infos.items[i].mechanism;
        if (mechanism > 0 && mechanism <= MECHANISMS) {
            users->has[mechanism] = true;
        }
    }
    return CLI_OK;
}

static int do_delete(struct users *users)
{
    struct alter_user_scram_credentials_request message;
    int32_t count = 0;
    int rc = ask_users(users, users->name, on_found);

    alter_user_scram_credentials_request_init(&message);
    if (rc == CLI_OK && alter_user_scram_credentials_request_deletion_array_make(
                            &users->kafka.arena, &message.deletions, MECHANISMS) != 0) {
        rc = cli_fail("users", CLI_FAILED, "no memory");
    }
    if (rc != CLI_OK) {
        return rc;
    }
    for (int i = 1; i <= MECHANISMS; i++) {
        if (users->has[i]) {
            message.deletions.items[count].name = wire_text(users->name);
            message.deletions.items[count++].mechanism = (int8_t)i;
        }
    }
    message.deletions.count = count;
    rc = alter(users, &message);
    if (rc == CLI_OK) {
        fprintf(stderr, "%s: deleted\n", users->name);
    }
    return rc;
}

/* ---- arguments ---- */

static const struct verb {
    const char *name;
    bool needs_name;
    int (*run)(struct users *users);
} verbs[] = {{"list", false, do_list}, {"create", true, do_create}, {"delete", true, do_delete}};

static bool take_mechanisms(struct users *users, const struct cli_list *list)
{
    for (int i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], "SCRAM-SHA-256") == 0) {
            users->wants[MR_SCRAM_SHA_256] = true;
        } else if (strcmp(list->items[i], "SCRAM-SHA-512") == 0) {
            users->wants[MR_SCRAM_SHA_512] = true;
        } else {
            (void)cli_fail("users", CLI_USAGE,
                           "--mechanism %s: SCRAM-SHA-512 or SCRAM-SHA-256 is wanted",
                           list->items[i]);
            return false;
        }
    }
    if (list->count == 0) {
        users->wants[MR_SCRAM_SHA_256] = true;
        users->wants[MR_SCRAM_SHA_512] = true;
    }
    return true;
}

static bool take_iterations(struct users *users, const char *word)
{
    users->iterations = MR_SCRAM_ITERATIONS_DEFAULT;
    if (word == NULL || (mr_parse_int(word, &users->iterations) == 0 &&
                         users->iterations >= MR_SCRAM_ITERATIONS_MIN &&
                         users->iterations <= MR_SCRAM_ITERATIONS_MAX)) {
        return true;
    }
    (void)cli_fail("users", CLI_USAGE, "--iterations %s: a number from %d to %d is wanted", word,
                   MR_SCRAM_ITERATIONS_MIN, MR_SCRAM_ITERATIONS_MAX);
    return false;
}

static const struct verb *find_verb(const char *word)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, word) == 0) {
            return &verbs[i];
        }
    }
    (void)cli_fail("users", CLI_USAGE, "there is no '%s'; list, create or delete", word);
    return NULL;
}

int cli_users(int argc, char **argv)
{
    struct users users = {.output = "table"};
    struct cli_list mechanisms = {.count = 0};
    const char *iterations = NULL;
    const struct cli_option options[] = {
        CLI_TARGET_LOCAL(users.target),
        {.name = "node", .letter = 'b', .value = &users.target.node},
        CLI_LOGIN_OPTIONS(users.target.login, "login-password-file", "login-mechanism"),
        {.name = "output", .letter = 'o', .value = &users.output},
        {.name = "no-header", .flag = &users.no_header},
        {.name = "password-file", .value = &users.password_file},
        {.name = "mechanism", .list = &mechanisms},
        {.name = "iterations", .value = &iterations},
        {0}};
    int rest = cli_parse("users", argc, argv, options);
    const struct verb *verb;
    int rc;

    if (rest < 0 || cli_check_output("users", users.output) != CLI_OK ||
        !take_mechanisms(&users, &mechanisms) || !take_iterations(&users, iterations)) {
        return CLI_USAGE;
    }
    verb = find_verb(rest < argc ? argv[rest] : "list");
    if (verb == NULL) {
        return CLI_USAGE;
    }
    users.name = rest + 1 < argc ? argv[rest + 1] : NULL;
    if (argc - rest > 2 || (verb->needs_name && users.name == NULL)) {
        return cli_fail("users", CLI_USAGE, "%s: one name is wanted", verb->name);
    }
    rc = cli_kafka_open(&users.kafka, "users", &users.target);
    if (rc == CLI_OK) {
        rc = verb->run(&users);
    }
    cli_kafka_close(&users.kafka);
    return rc;
}
