/* The node's own sockets: <data>/node.sock speaks the Kafka protocol, <data>/admin.sock HTTP. Links
 * to them in the run directory let the command line find a node that nobody named. */
#ifndef AGENT_LOCAL_H
#define AGENT_LOCAL_H

#include "base/core/error.h"
#include "base/net/stream.h"

enum local_socket { LOCAL_NODE, LOCAL_ADMIN };

/* The address of a socket in a data directory. A path that is too long for a socket goes by way of
 * a descriptor of the directory, which stays open for the life of the process. */
int local_address(const char *data_directory, enum local_socket socket,
                  struct mr_address *ret_address, struct mr_error *error);
/* Best effort: a run directory that cannot be written is no reason not to run. */
void local_link(const char *run_directory, const char *node_name, const char *data_directory);
void local_unlink(const char *run_directory, const char *node_name);
/* For the command line: the socket of the only node that is linked. MR_ENOENT: none; MR_EINVAL:
 * several, named in the error. */
int local_find(const char *run_directory, enum local_socket socket, struct mr_address *ret_address,
               struct mr_error *error);

#endif
