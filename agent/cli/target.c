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
#include "base/net/http_get.h"

enum { TIMEOUT_MS = 10000, ANSWER_BYTES_MAX = 256 << 20 };

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

int cli_target_get(const char *command, const struct cli_target *target, const char *path,
                   json_t **ret_answer)
{
    struct mr_address address;
    struct mr_error error = {0};
    struct mr_bytes body;
    json_error_t parse_error;
    json_t *answer = NULL;
    int status = 0;
    int exit_code = local_target(command, target, LOCAL_ADMIN, &address);

    if (exit_code != CLI_OK) {
        return exit_code;
    }
    mr_bytes_init(&body);
    if (mr_http_get(address.host, path, TIMEOUT_MS, ANSWER_BYTES_MAX, &status, &body, &error) !=
        0) {
        exit_code = cli_fail(command, CLI_UNREACHABLE, "%s", error.text);
    } else {
        answer =
            json_loadb((const char *)body.data, body.size_bytes, JSON_DECODE_ANY, &parse_error);
        if (answer == NULL) {
            exit_code = cli_fail(command, CLI_FAILED, "the node answers %d, and no JSON", status);
        } else if (status != 200 && json_object_get(answer, "error") != NULL) {
            exit_code =
                cli_fail(command, CLI_FAILED, "the node answers %d: %s", status, words_of(answer));
            json_decref(answer);
        }
    }
    mr_bytes_done(&body);
    if (exit_code == CLI_OK) {
        *ret_answer = answer;
    }
    return exit_code;
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
