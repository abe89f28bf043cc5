/* Which node a subcommand speaks to, and asking its admin API.
 *
 * -c FILE: the node of that configuration; --data DIR: the one that has this data directory; --node
 * HOST:PORT: any node, by the Kafka protocol; nothing: the only one that runs on this host. */
#ifndef AGENT_CLI_TARGET_H
#define AGENT_CLI_TARGET_H

#include "agent/cli/login.h"
#include "base/net/stream.h"

struct mr_error;
typedef struct json_t json_t;

struct cli_target {
    const char *config;
    const char *data;
    const char *node;
    struct cli_login login; /* to that node */
    const char *token_file; /* of the admin API at an URL */
    const char *authority;  /* PEM file: who signed its certificate */
};

/* Rows of a subcommand's option table. ADMIN: the node's admin API, here or at --node URL. */
#define CLI_TARGET_ADMIN(target)                                                                   \
    CLI_TARGET_LOCAL(target), {.name = "node", .letter = 'b', .value = &(target).node},            \
        {.name = "token-file", .value = &(target).token_file},                                     \
    {                                                                                              \
        .name = "ca", .value = &(target).authority                                                 \
    }
#define CLI_TARGET_ADMIN_USAGE                                                                     \
    "  -b, --node URL     a node's admin address: https://hub-1:9692; http:// only without "       \
    "secrets\n"                                                                                    \
    "  --token-file FILE  its first line is the token (made by millrace tokens create)\n"          \
    "  --ca FILE          who signed the node's certificate (default: the system's "               \
    "authorities)\n" CLI_TARGET_LOCAL_USAGE
#define CLI_TARGET_LOCAL(target)                                                                   \
    {.name = "config", .letter = 'c', .value = &(target).config},                                  \
    {                                                                                              \
        .name = "data", .value = &(target).data                                                    \
    }
#define CLI_TARGET_ANY(target)                                                                     \
    CLI_TARGET_LOCAL(target), {.name = "node", .letter = 'b', .value = &(target).node},            \
        CLI_LOGIN_OPTIONS((target).login, "password-file", "mechanism")
#define CLI_TARGET_LOCAL_USAGE                                                                     \
    "  -c, --config FILE  the node of this configuration\n"                                        \
    "  --data DIR         the node with this data directory\n"                                     \
    "                     (neither: the only node that runs on this host)\n"
#define CLI_TARGET_ANY_USAGE     CLI_TARGET_NODE_USAGE CLI_LOGIN_USAGE
#define CLI_TARGET_ANY_USAGE_TLS CLI_TARGET_NODE_USAGE CLI_LOGIN_USAGE_TLS
#define CLI_TARGET_NODE_USAGE                                                                      \
    "  -b, --node HOST:PORT  any node, or Kafka broker\n"                                          \
    "  -c, --config FILE     the node of this configuration, by its own socket\n"                  \
    "  --data DIR            the node with this data directory, likewise\n"                        \
    "                        (none of them: the only node that runs on this host)\n"

/* Where Kafka is spoken, and how: CLI_OK, or what went wrong, told on stderr. The credentials are
 * to be closed in either case. */
int cli_target_kafka(const char *command, const struct cli_target *target,
                     struct mr_address *ret_address, struct cli_credentials *credentials);
/* GET `path` of the admin API: the parsed answer (json_decref is the caller's), also when the
 * status is 503 (a failing health). CLI_OK, or what went wrong, told on stderr. */
int cli_target_get(const char *command, const struct cli_target *target, const char *path,
                   json_t **ret_answer);
/* The same with another method, and a body (its reference is taken; NULL: none). */
int cli_target_call(const char *command, const struct cli_target *target, const char *method,
                    const char *path, json_t *body, json_t **ret_answer);
/* What -o may be: table or json. */
int cli_check_output(const char *command, const char *output);
/* "-o json": the answer, indented. Takes the reference. */
int cli_print_json(json_t *answer);

#endif
