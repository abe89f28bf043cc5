/* One GET over a Unix socket, blocking: how the command line asks its own node. Not for a loop. */
#ifndef BASE_NET_HTTP_GET_H
#define BASE_NET_HTTP_GET_H

#include <stddef.h>

struct mr_bytes;
struct mr_error;

/* Appends the body to `body`, whatever the status is. 0, MR_ENETWORK (nobody answers there),
 * MR_EACCES, MR_ETIMEDOUT, MR_EPROTOCOL, MR_ETOOLARGE beyond body_size_max, MR_ENOMEM. */
int mr_http_get(const char *socket_path, const char *path, int timeout_ms, size_t body_size_max,
                int *ret_status, struct mr_bytes *body, struct mr_error *error);

#endif
