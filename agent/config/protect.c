/* What protects a listener, once the node's defaults are filled in. */
#include <string.h>

#include "agent/config/config.h"

static struct config_tls with_defaults(const struct config *config, struct config_tls tls,
                                       const char *address)
{
    const struct config_tls *node = &config->node.tls;

    if (tls.cert == NULL && tls.key == NULL) {
        tls.is_on = tls.is_on && node->is_on;
        tls.cert = node->cert;
        tls.key = node->key;
    }
    if (tls.ca == NULL) {
        tls.ca = node->ca;
        tls.crl = tls.crl == NULL ? node->crl : tls.crl;
    }
    if (tls.clients < 0) {
        tls.clients = node->clients;
    }
    tls.is_tls13_required = tls.is_tls13_required || node->is_tls13_required;
    tls.is_on = tls.is_on && tls.cert != NULL && strncmp(address, "unix:", 5) != 0;
    return tls;
}

struct config_tls config_listen_tls(const struct config *config, const struct config_listen *listen)
{
    return with_defaults(config, listen->tls, listen->address);
}

struct config_tls config_admin_tls(const struct config *config)
{
    const struct config_admin *admin = &config->admin;

    return with_defaults(config, admin->tls, admin->address != NULL ? admin->address : "unix:");
}

bool config_listen_authenticates(const struct config *config, const struct config_listen *listen)
{
    struct config_tls tls = config_listen_tls(config, listen);

    return listen->sasl.count > 0 || (tls.is_on && tls.clients != CONFIG_TLS_CLIENTS_NONE);
}
