/* The socket of a listener: bound, or inherited, and it listens.
 *
 * A Unix socket's file appears with its mode: bind takes the mode from the socket's inode (fchmod
 * before bind), less the umask, which chmod gives back before anybody can connect (before listen).
 */
#ifndef BASE_NET_BOUND_SOCKET_H
#define BASE_NET_BOUND_SOCKET_H

#include <sys/stat.h>
#include <sys/un.h>

struct mr_address;
struct mr_error;
struct mr_listen_options;

struct bound_socket {
    int fd;                                               /* -1: none */
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* of our own file, or empty */
    dev_t device;
    ino_t inode;
};

/* The options are filled. 0, or a negative code with words, and nothing is left. */
int bound_socket_open(struct bound_socket *socket, const struct mr_address *address,
                      const struct mr_listen_options *options, struct mr_error *error);
/* Removes its file, too, unless somebody has replaced it. */
void bound_socket_close(struct bound_socket *socket);

#endif
