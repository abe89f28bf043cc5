#include "agent/cli/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/config/client.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/secret.h"
#include "base/net/tls.h"

static const char *const mechanism_words[] = {[CLIENT_SASL_PLAIN] = "PLAIN",
                                              [CLIENT_SASL_SCRAM_SHA_256] = "SCRAM-SHA-256",
                                              [CLIENT_SASL_SCRAM_SHA_512] = "SCRAM-SHA-512"};

bool cli_login_is_given(const struct cli_login *login)
{
    return login->is_tls || login->client != NULL || login->ca != NULL || login->cert != NULL ||
           login->key != NULL || login->server_name != NULL || login->user != NULL ||
           login->password_file != NULL || login->mechanism != NULL;
}

int cli_login_file(const char *command, const struct cli_login *login,
                   struct config_client **ret_file)
{
    struct config_problems problems;

    *ret_file = NULL;
    if (login->argument != NULL) {
        return cli_fail(command, CLI_USAGE,
                        "a password is no argument, which ps would show: write it to a file, or "
                        "into MILLRACE_PASSWORD");
    }
    if (login->client == NULL) {
        return CLI_OK;
    }
    config_problems_init(&problems);
    *ret_file = config_client_load(mr_disk_system(), login->client, &problems);
    cli_print_problems(login->client, &problems);
    config_problems_done(&problems);
    return *ret_file != NULL ? CLI_OK : CLI_BAD_CONFIG;
}

static const char *first_of(const char *option, const char *in_file)
{
    return option != NULL ? option : in_file;
}

static int open_tls(const char *command, const struct cli_login *login,
                    const struct config_client_tls *file, struct cli_credentials *credentials)
{
    struct mr_error error = {0};
    const struct mr_tls_config config = {.name = "command line",
                                         .cert = first_of(login->cert, file->cert),
                                         .key = first_of(login->key, file->key),
                                         .ca = first_of(login->ca, file->ca),
                                         .crl = file->crl};

    credentials->server_name = first_of(login->server_name, file->server_name);
    if (!login->is_tls && !file->is_on && config.cert == NULL && config.key == NULL &&
        config.ca == NULL && credentials->server_name == NULL) {
        return CLI_OK;
    }
    if ((config.cert == NULL) != (config.key == NULL)) {
        return cli_fail(command, CLI_USAGE, "--cert and --key belong together");
    }
    return mr_tls_context_new(&config, NULL, &credentials->tls, &error) == 0
               ? CLI_OK
               : cli_fail(command, CLI_FAILED, "%s", error.text);
}

static int take_mechanism(const char *command, const char *word,
                          struct cli_credentials *credentials)
{
    credentials->mechanism = CLIENT_SASL_NONE;
    for (int i = CLIENT_SASL_PLAIN; i <= CLIENT_SASL_SCRAM_SHA_512; i++) {
        if (strcmp(word, mechanism_words[i]) == 0) {
            credentials->mechanism = (enum client_sasl_mechanism)i;
        }
    }
    if (credentials->mechanism == CLIENT_SASL_NONE) {
        return cli_fail(command, CLI_USAGE,
                        "'%s': SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN is wanted as mechanism", word);
    }
    if (credentials->mechanism == CLIENT_SASL_PLAIN && credentials->tls == NULL) {
        return cli_fail(command, CLI_USAGE,
                        "PLAIN sends the password as it is: take --tls, or SCRAM-SHA-512");
    }
    return CLI_OK;
}

/* From a file or from who sits there, by way of a buffer. */
static int read_password(const char *command, const struct cli_login *login,
                         struct cli_credentials *credentials)
{
    char text[CLI_PASSWORD_SIZE] = "";
    char words[300];
    int rc = CLI_OK;

    if (login->password_file != NULL) {
        rc = cli_password_read(command, login->password_file, text);
    } else {
        (void)snprintf(words, sizeof words, "Password of %s: ", credentials->user);
        if (!cli_password_ask(words, text)) {
            rc = cli_fail(command, CLI_USAGE,
                          "%s needs a password: a password file, MILLRACE_PASSWORD, or a terminal",
                          credentials->user);
        }
    }
    if (rc == CLI_OK) {
        credentials->password = mr_secret_new(text, strlen(text));
    }
    explicit_bzero(text, sizeof text);
    return rc;
}

static int take_password(const char *command, const struct cli_login *login,
                         struct mr_secret *in_file, struct cli_credentials *credentials)
{
    const char *known = getenv("MILLRACE_PASSWORD");
    int rc = CLI_OK;

    if (login->password_file == NULL && in_file != NULL) {
        credentials->password = mr_secret_ref(in_file);
    } else if (login->password_file == NULL && known != NULL && known[0] != '\0') {
        credentials->password = mr_secret_new(known, strlen(known));
    } else {
        rc = read_password(command, login, credentials);
    }
    return rc != CLI_OK || credentials->password != NULL
               ? rc
               : cli_fail(command, CLI_FAILED, "no memory is left");
}

int cli_login_open(const char *command, const struct cli_login *login,
                   struct cli_credentials *credentials)
{
    static const struct config_client nothing = {.node = NULL};
    const struct config_client *file = credentials->file != NULL ? credentials->file : &nothing;
    const char *mechanism = first_of(login->mechanism, file->sasl.mechanism);
    int rc = open_tls(command, login, &file->tls, credentials);

    credentials->user = first_of(login->user, file->sasl.user);
    if (rc != CLI_OK) {
        return rc;
    }
    if (credentials->user == NULL) {
        return mechanism == NULL && login->password_file == NULL && file->sasl.password == NULL
                   ? CLI_OK
                   : cli_fail(command, CLI_USAGE, "a password and a mechanism need a --user");
    }
    rc = take_mechanism(command, mechanism != NULL ? mechanism : "SCRAM-SHA-512", credentials);
    return rc == CLI_OK ? take_password(command, login, file->sasl.password, credentials) : rc;
}

void cli_login_close(struct cli_credentials *credentials)
{
    mr_tls_context_free(credentials->tls);
    mr_secret_unref(credentials->password);
    config_client_free(credentials->file);
    explicit_bzero(credentials, sizeof *credentials);
}
