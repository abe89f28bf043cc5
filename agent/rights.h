/* Rights on the files of Unix sockets: names of the configuration -> numbers of the system. */
#ifndef AGENT_RIGHTS_H
#define AGENT_RIGHTS_H

#include "queue/queue.h"

struct config_socket;
struct mr_error;

/* Looks users and groups up, which may ask a server: for the start, when nothing runs yet.
 * MR_ECONFIG: there is no such user or group. */
int rights_find(const struct config_socket *socket, struct queue_socket_rights *ret_rights,
                struct mr_error *error);

#endif
