#include "agent/cli/target.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/config/client.h"
#include "agent/config/config.h"
#include "agent/local.h"
#include "base/core/buffer.h"
#include "base/core/error.h"
#include "base/net/http_fetch.h"

enum {
    TIMEOUT_MS = 10000,
    ANSWER_BYTES_MAX = 256 << 20,
    ADMIN_PORT = 9692,
    TOKEN_LINE_SIZE = 256,
    BODY_SIZE_MAX = 4096,
    URL_SIZE = 1024,
};

static int local_target(const char *command, const struct cli_target *target,
                        enum local_socket socket, struct mr_address *ret_address)
{
    struct mr_error error = {0};
    int rc;

    if (target->config != NULL && target->data != NULL) {
        return cli_fail(command, CLI_USAGE, "-c and --data name a node twice");
    }
    if (target->config != NULL) {
        struct config *config = cli_load_config(target->config);
        if (config == NULL) {
            return CLI_BAD_CONFIG;
        }
        rc = local_address(config->node.data, socket, ret_address, &error);
        config_free(config);
    } else if (target->data != NULL) {
        rc = local_address(target->data, socket, ret_address, &error);
    } else {
        rc = local_find("/run/millrace", socket, ret_address, &error);
    }
    if (rc != 0) {
        return cli_fail(command, rc == MR_EINVAL ? CLI_USAGE : CLI_UNREACHABLE, "%s", error.text);
    }
    return CLI_OK;
}

int cli_target_kafka(const char *command, const struct cli_target *target,
                     struct mr_address *ret_address, struct cli_credentials *credentials)
{
    struct mr_error error = {0};
    const char *node = target->node;
    int rc = cli_login_file(command, &target->login, &credentials->file);

    if (rc != CLI_OK) {
        return rc;
    }
    if (node == NULL && credentials->file != NULL) {
        node = credentials->file->node;
    }
    if (node == NULL && cli_login_is_given(&target->login)) {
        return cli_fail(command, CLI_USAGE,
                        "TLS and users are for --node; a node's own socket needs none");
    }
    if (node == NULL) {
        return local_target(command, target, LOCAL_NODE, ret_address);
    }
    if (target->config != NULL || target->data != NULL) {
        return cli_fail(command, CLI_USAGE, "--node names another node than -c or --data");
    }
    if (mr_address_parse(node, 9092, ret_address, &error) != 0) {
        return cli_fail(command, CLI_USAGE, "--node: %s", error.text);
    }
    return cli_login_open(command, &target->login, credentials);
}

static const char *words_of(json_t *answer)
{
    const char *words = json_string_value(json_object_get(answer, "error"));

    return words == NULL ? "it does not say why" : words;
}

/* ---- the admin API ---- */

/* Everything that one call points to. */
struct admin_call {
    struct mr_http_fetch http;
    struct mr_address address;
    bool is_tls;
    char url[URL_SIZE];
    char token[TOKEN_LINE_SIZE];
};

/* "https://host:port" or "http://host:port"; the port is 9692 unless written. */
static int parse_node(const char *command, const char *node, struct admin_call *call)
{
    struct mr_error error = {0};
    const char *rest = strstr(node, "://");

    call->is_tls = strncmp(node, "https://", 8) == 0;
    if (!call->is_tls && strncmp(node, "http://", 7) != 0) {
        return cli_fail(command, CLI_USAGE, "--node: http://HOST:PORT or https://HOST:PORT");
    }
    if (mr_address_parse(rest + 3, ADMIN_PORT, &call->address, &error) != 0 ||
        call->address.is_unix) {
        return cli_fail(command, CLI_USAGE, "--node: %s",
                        error.code != 0 ? error.text : "a host is wanted here");
    }
    return CLI_OK;
}

static int read_token(const char *command, const char *path, struct admin_call *call)
{
    FILE *file = fopen(path, "re");
    bool is_read = file != NULL && fgets(call->token, sizeof call->token, file) != NULL;

    if (file != NULL) {
        (void)fclose(file);
    }
    call->token[strcspn(call->token, "\r\n")] = '\0';
    if (!is_read || call->token[0] == '\0') {
        return cli_fail(command, CLI_FAILED, "%s holds no token, or cannot be read", path);
    }
    call->http.token = call->token;
    return CLI_OK;
}

static int remote_target(const char *command, const struct cli_target *target,
                         struct admin_call *call)
{
    int rc;

    if (target->config != NULL || target->data != NULL) {
        return cli_fail(command, CLI_USAGE, "--node names another node than -c or --data");
    }
    rc = parse_node(command, target->node, call);
    if (rc != CLI_OK || target->token_file == NULL) {
        return rc;
    }
    if (!call->is_tls && !mr_address_is_loopback(&call->address)) {
        return cli_fail(command, CLI_USAGE,
                        "a token does not go over the network without TLS: use https://");
    }
    return read_token(command, target->token_file, call);
}

static int admin_target(const char *command, const struct cli_target *target, const char *path,
                        struct admin_call *call)
{
    char host[MR_ADDRESS_TEXT_SIZE] = "localhost";
    int rc;

    if (target->node != NULL) {
        rc = remote_target(command, target, call);
        mr_address_format(&call->address, host, sizeof host);
        call->http.ca = target->authority;
    } else if (target->token_file != NULL || target->authority != NULL) {
        rc = cli_fail(command, CLI_USAGE, "tokens are for --node; a node's own socket needs none");
    } else {
        rc = local_target(command, target, LOCAL_ADMIN, &call->address);
        call->http.socket_path = call->address.host;
    }
    (void)snprintf(call->url, sizeof call->url, "%s://%s%s", call->is_tls ? "https" : "http", host,
                   path);
    call->http.url = call->url;
    return rc;
}

static int fetch(const char *command, const struct admin_call *call, int *ret_status,
                 struct mr_bytes *answer)
{
    struct mr_error error = {0};
    int rc = mr_http_fetch(&call->http, ret_status, answer, &error);

    if (rc == MR_ENOENT && call->http.socket_path != NULL) {
        return cli_fail(command, CLI_UNREACHABLE, "%s: no node is there", call->http.socket_path);
    }
    return rc == 0
               ? CLI_OK
               : cli_fail(command, rc == MR_EAUTH ? CLI_FAILED : CLI_UNREACHABLE, "%s", error.text);
}

/* The answer as JSON; what is no good is told. */
static int take_answer(const char *command, int status, const struct mr_bytes *body,
                       json_t **ret_answer)
{
    json_error_t parse_error;
    json_t *answer =
        json_loadb((const char *)body->data, body->size_bytes, JSON_DECODE_ANY, &parse_error);
    int rc;

    if (answer == NULL) {
        return cli_fail(command, CLI_FAILED, "the node answers %d: %.*s", status,
                        (int)(body->size_bytes < 300 ? body->size_bytes : 300),
                        (const char *)body->data);
    }
    if (status != 200 && json_object_get(answer, "error") != NULL) {
        rc = cli_fail(command, CLI_FAILED, "the node answers %d: %s", status, words_of(answer));
        json_decref(answer);
        return rc;
    }
    *ret_answer = answer;
    return CLI_OK;
}

int cli_target_call(const char *command, const struct cli_target *target, const char *method,
                    const char *path, json_t *body, json_t **ret_answer)
{
    struct admin_call call = {.http = {.method = method,
                                       .content_type = "application/json",
                                       .wait_timeout_ms = TIMEOUT_MS,
                                       .answer_size_max = ANSWER_BYTES_MAX}};
    struct mr_bytes answer;
    int status = 0;
    char text[BODY_SIZE_MAX];
    size_t size = body != NULL ? json_dumpb(body, text, sizeof text, JSON_COMPACT) : 0;
    int exit_code = admin_target(command, target, path, &call);

    mr_bytes_init(&answer);
    if (body != NULL) {
        call.http.body = text;
        call.http.body_size_bytes = size;
    }
    json_decref(body);
    if (size > sizeof text) {
        exit_code = cli_fail(command, CLI_USAGE, "these arguments are too long");
    }
    if (exit_code == CLI_OK) {
        exit_code = fetch(command, &call, &status, &answer);
    }
    if (exit_code == CLI_OK) {
        exit_code = take_answer(command, status, &answer, ret_answer);
    }
    explicit_bzero(call.token, sizeof call.token);
    mr_bytes_done(&answer);
    return exit_code;
}

int cli_target_get(const char *command, const struct cli_target *target, const char *path,
                   json_t **ret_answer)
{
    return cli_target_call(command, target, "GET", path, NULL, ret_answer);
}

int cli_check_output(const char *command, const char *output)
{
    if (strcmp(output, "table") == 0 || strcmp(output, "json") == 0) {
        return CLI_OK;
    }
    return cli_fail(command, CLI_USAGE, "-o is table or json, not '%s'", output);
}

int cli_print_json(json_t *answer)
{
    int rc = json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);

    json_decref(answer);
    return rc != 0 || printf("\n") < 0 || fflush(stdout) != 0 ? CLI_FAILED : CLI_OK;
}
