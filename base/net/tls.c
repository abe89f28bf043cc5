/* TLS is not here yet: asking for it is refused. */
#include "base/core/error.h"
#include "base/net/tls_internal.h"

int tls_handshake_start(struct mr_net *net, struct mr_tls_context *context, int fd,
                        const char *server_name, int64_t timeout_ms, tls_handshake_cb cb,
                        void *owner, struct tls_handshake **ret_handshake, struct mr_error *error)
{
    (void)net;
    (void)context;
    (void)fd;
    (void)server_name;
    (void)timeout_ms;
    (void)cb;
    (void)owner;
    (void)ret_handshake;
    return mr_fail(error, MR_EUNSUPPORTED, "TLS");
}

void tls_handshake_cancel(struct tls_handshake *handshake)
{
    (void)handshake;
}
