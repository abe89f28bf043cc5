/* Which socket belongs to which listener is told by its own address and not by its name, so that
 * the configuration alone says what is served where. */
#include "agent/inherited.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/core/logger.h"
#include "base/net/stream.h"

/* Room for any address; the sockaddrs share a beginning. */
union socket_name {
    struct sockaddr any;
    struct sockaddr_un local;
    struct sockaddr_in inet;
    struct sockaddr_in6 inet6;
    struct sockaddr_storage storage;
};

void inherited_init(struct inherited *inherited)
{
    int count = sd_listen_fds(1);

    *inherited = (struct inherited){0};
    for (int i = 0; i < count; i++) {
        if (inherited->count < INHERITED_MAX) {
            inherited->fds[inherited->count++] = SD_LISTEN_FDS_START + i;
        } else {
            (void)close(SD_LISTEN_FDS_START + i);
        }
    }
}

static bool is_any(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static bool is_same_host(const char *bound, const char *wanted)
{
    return strcmp(bound, wanted) == 0 || (is_any(bound) && is_any(wanted)) ||
           (strcmp(wanted, "localhost") == 0 &&
            (strcmp(bound, "127.0.0.1") == 0 || strcmp(bound, "::1") == 0));
}

static bool is_at(int fd, const struct mr_address *address)
{
    union socket_name name = {0};
    socklen_t size = sizeof name;
    char host[256];
    char port[16];

    if (getsockname(fd, &name.any, &size) != 0) {
        return false;
    }
    if (name.any.sa_family == AF_UNIX) {
        return address->is_unix &&
               strncmp(name.local.sun_path, address->host, sizeof name.local.sun_path) == 0;
    }
    return !address->is_unix &&
           getnameinfo(&name.any, size, host, sizeof host, port, sizeof port,
                       NI_NUMERICHOST | NI_NUMERICSERV) == 0 &&
           atoi(port) == address->port && is_same_host(host, address->host);
}

int inherited_take(struct inherited *inherited, const struct mr_address *address)
{
    for (int i = 0; i < inherited->count; i++) {
        if (!inherited->is_taken[i] && is_at(inherited->fds[i], address)) {
            inherited->is_taken[i] = true;
            return inherited->fds[i];
        }
    }
    return 0;
}

void inherited_done(struct inherited *inherited)
{
    for (int i = 0; i < inherited->count; i++) {
        if (!inherited->is_taken[i]) {
            mr_warn("an inherited socket has no listener of its address, and is closed",
                    KV_I64("descriptor", inherited->fds[i]));
            (void)close(inherited->fds[i]);
        }
    }
    inherited->count = 0;
}
