#include "agent/config/client.h"

#include <string.h>

#include "agent/config/fill.h"
#include "base/core/memory.h"

static const char *check_mechanism(const void *value)
{
    const char *name = *(const char *const *)value;

    return strcmp(name, "PLAIN") == 0 || strcmp(name, "SCRAM-SHA-256") == 0 ||
                   strcmp(name, "SCRAM-SHA-512") == 0
               ? NULL
               : "only SCRAM-SHA-512, SCRAM-SHA-256 and PLAIN are known";
}

static const struct mr_option tls_options[] = {
    {.name = "enabled",
     .type = MR_OPT_BOOL,
     .offset = offsetof(struct config_client_tls, is_on),
     .help = "TLS to the node; so does any other word here."},
    {.name = "ca",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_client_tls, ca),
     .help = "PEM file of the authorities that are trusted; the system's unless written."},
    {.name = "cert",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_client_tls, cert),
     .help = "PEM file of one's own certificate, for nodes that want one."},
    {.name = "key",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_client_tls, key),
     .help = "PEM file of its key."},
    {.name = "crl",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_client_tls, crl),
     .help = "PEM file of revocation lists; needs ca."},
    {.name = "server_name",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_client_tls, server_name),
     .help = "The name that must be in the certificate, where it is not the host's."},
    {0}};

static const struct mr_option sasl_options[] = {
    {.name = "mechanism",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_client_sasl, mechanism),
     .check = check_mechanism,
     .help = "SCRAM-SHA-512 unless written."},
    {.name = "user",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_client_sasl, user),
     .help = "Who one is."},
    {.name = "password",
     .type = MR_OPT_SECRET,
     .offset = offsetof(struct config_client_sasl, password),
     .help = "The user's password."},
    {0}};

static const struct mr_option client_options[] = {{.name = "node",
                                                   .type = MR_OPT_STRING,
                                                   .offset = offsetof(struct config_client, node),
                                                   .help = "HOST:PORT."},
                                                  {.name = "tls",
                                                   .type = MR_OPT_TABLE,
                                                   .offset = offsetof(struct config_client, tls),
                                                   .children = tls_options,
                                                   .help = "Encryption."},
                                                  {.name = "sasl",
                                                   .type = MR_OPT_TABLE,
                                                   .offset = offsetof(struct config_client, sasl),
                                                   .children = sasl_options,
                                                   .help = "Who one is."},
                                                  {0}};

void config_client_free(struct config_client *client)
{
    if (client != NULL) {
        fill_free(client->fill);
        tree_free(client->tree);
        mr_free(client);
    }
}

struct config_client *config_client_load(struct mr_disk *disk, const char *path,
                                         struct config_problems *problems)
{
    const struct config_place nowhere = {0};
    struct config_client *client = mr_calloc(1, sizeof *client);
    struct node *root;

    if (client != NULL) {
        client->tree = tree_new();
        client->fill = client->tree != NULL ? fill_new(client->tree, disk, problems) : NULL;
    }
    if (client == NULL || client->fill == NULL) {
        config_problem_add(problems, &nowhere, "no memory is left");
        config_client_free(client);
        return NULL;
    }
    root = tree_parse_file(client->tree, disk, path, problems);
    if (root != NULL) {
        fill_table(client->fill, root, "", client_options, NULL, client);
    }
    config_problems_sort(problems);
    if (root == NULL || problems->count > 0 || problems->is_overflown) {
        config_client_free(client);
        return NULL;
    }
    return client;
}
