/* What protects a listener, once the node's defaults are filled in. */
#include <string.h>

#include "agent/config/config.h"

struct config_tls config_listen_tls(const struct config *config, const struct config_listen *listen)
{
    const struct config_tls *node = &config->node.tls;
    struct config_tls tls = listen->tls;

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
    tls.is_on = tls.is_on && tls.cert != NULL && strncmp(listen->address, "unix:", 5) != 0;
    return tls;
}

bool config_listen_authenticates(const struct config *config, const struct config_listen *listen)
{
    struct config_tls tls = config_listen_tls(config, listen);

    return listen->sasl.count > 0 || (tls.is_on && tls.clients != CONFIG_TLS_CLIENTS_NONE);
}
