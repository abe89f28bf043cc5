/* Looks through a data directory for partitions; the part of the manager that knows names on disk.
 */
#ifndef QUEUE_REPLICA_SWEEP_H
#define QUEUE_REPLICA_SWEEP_H

#include <stdint.h>

#include "base/core/random.h"

struct mr_disk;
struct mr_error;

/* One directory "<topic>-<index>" with a readable partition.metadata. */
typedef int (*sweep_cb)(void *owner, const char *topic, int32_t index, const struct mr_uuid *id);

/* Non-zero from cb ends. Directories of other shapes are left alone. */
int sweep_partitions(struct mr_disk *disk, const char *data_directory, sweep_cb cb, void *owner,
                     struct mr_error *error);

#endif
