/* Who one is to a node over the network, and whom one trusts: the options that stand beside --node,
 * or the file that --client names (agent/config/client.h). An option counts more than the file.
 *
 * A password is never an argument. It comes from --password-file, the client file,
 * MILLRACE_PASSWORD, or is asked for on a terminal; in this order. */
#ifndef AGENT_CLI_LOGIN_H
#define AGENT_CLI_LOGIN_H

#include <stdbool.h>

#include "agent/cli/password.h"
#include "queue/client/client.h"

struct config_client;

/* As written on the command line. */
struct cli_login {
    const char *client;
    bool is_tls;
    const char *ca;
    const char *cert;
    const char *key;
    const char *server_name;
    const char *user;
    const char *password_file;
    const char *mechanism;
    const char *argument; /* what somebody wrote behind --password: refused */
};

/* Rows of a subcommand's option table; where users are made, --mechanism and --password-file are
 * theirs, and these have longer names. */
#define CLI_LOGIN_OPTIONS(login, password_file_name, mechanism_name)                               \
    {.name = "client", .value = &(login).client}, {.name = "tls", .flag = &(login).is_tls},        \
        {.name = "ca", .value = &(login).ca}, {.name = "cert", .value = &(login).cert},            \
        {.name = "key", .value = &(login).key},                                                    \
        {.name = "server-name", .value = &(login).server_name},                                    \
        {.name = "user", .value = &(login).user},                                                  \
        {.name = (password_file_name), .value = &(login).password_file},                           \
        {.name = "password", .value = &(login).argument},                                          \
    {                                                                                              \
        .name = (mechanism_name), .value = &(login).mechanism                                      \
    }

#define CLI_LOGIN_USAGE_TLS                                                                        \
    "  --client FILE         how to reach it: node, tls, sasl (see the manual)\n"                  \
    "  --tls                 by TLS, trusting the system's authorities\n"                          \
    "  --ca FILE             by TLS, trusting these\n"                                             \
    "  --cert FILE --key FILE  one's own certificate\n"                                            \
    "  --server-name NAME    that must be in the node's, where it is not the host's\n"             \
    "  --user NAME           who one is\n"
#define CLI_LOGIN_USAGE                                                                            \
    CLI_LOGIN_USAGE_TLS                                                                            \
    "  --password-file FILE  its first line; else MILLRACE_PASSWORD, else it is asked for\n"       \
    "  --mechanism NAME      SCRAM-SHA-512 (default), SCRAM-SHA-256, or PLAIN over TLS\n"

/* What it comes to. The texts live as long as this and the options. */
struct cli_credentials {
    struct config_client *file; /* NULL: none was named */
    struct mr_tls_context *tls; /* NULL: plain */
    const char *server_name;
    enum client_sasl_mechanism mechanism;
    const char *user;
    struct mr_secret *password; /* NULL: none is needed */
};

/* Whether anything of it was written. */
bool cli_login_is_given(const struct cli_login *login);
/* The file alone, for who wants to know its node; *ret_file NULL: none was named. CLI_OK, or told
 * on stderr. */
int cli_login_file(const char *command, const struct cli_login *login,
                   struct config_client **ret_file);
/* Reads files and passwords; `credentials->file` is there already. CLI_OK, or told on stderr; to be
 * closed in either case. */
int cli_login_open(const char *command, const struct cli_login *login,
                   struct cli_credentials *credentials);
void cli_login_close(struct cli_credentials *credentials); /* wipes */

#endif
