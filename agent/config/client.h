/* The small file that says how the command line reaches a node over the network, so that nobody
 * types certificates and passwords anew each time:
 *
 *     node: hub-1:9092
 *     tls: {ca: /etc/millrace/ca.pem}
 *     sasl: {user: alice, password: "${file:/home/alice/.hub}"}
 *
 * Strict like the node's own configuration, and with the same words as a peer sink. */
#ifndef AGENT_CONFIG_CLIENT_H
#define AGENT_CONFIG_CLIENT_H

#include "agent/config/problem.h"
#include "base/core/option.h"

struct mr_disk;
struct mr_secret;

struct config_client_tls {
    bool is_on;
    const char *ca;
    const char *cert;
    const char *key;
    const char *crl;
    const char *server_name;
};

struct config_client_sasl {
    const char *mechanism; /* one of the three words, or NULL */
    const char *user;
    struct mr_secret *password;
};

struct config_client {
    const char *node; /* HOST:PORT, or NULL */
    struct config_client_tls tls;
    struct config_client_sasl sasl;
    /* private */
    struct tree *tree;
    struct fill *fill;
};

/* NULL if there is any problem; all of them are in `problems`. */
struct config_client *config_client_load(struct mr_disk *disk, const char *path,
                                         struct config_problems *problems);
void config_client_free(struct config_client *client);

#endif
