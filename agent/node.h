/* The data directory as a whole: who owns it, which format it has, whose it is. */
#ifndef AGENT_NODE_H
#define AGENT_NODE_H

#include <stdbool.h>

#include "base/core/error.h"
#include "base/core/random.h"

struct mr_disk;

enum { NODE_FORMAT = 1 }; /* of the data directory; a newer one is refused */

struct node_directory {
    char *path;
    int lock_fd;
    struct mr_uuid uuid;         /* of the directory: source positions carry it */
    struct mr_uuid lineage_uuid; /* new whenever the directory is found on another machine */
    bool is_cloned;              /* the machine-id is not the one it was made or last used on */
};

/* Creates, locks, checks the format, reads or writes the identity. MR_EBUSY if another process has
 * it. Blocks. */
int node_directory_open(struct mr_disk *disk, struct mr_random *random, const char *path,
                        struct node_directory *ret_directory, struct mr_error *error);
void node_directory_close(struct mr_disk *disk, struct node_directory *directory);

#endif
