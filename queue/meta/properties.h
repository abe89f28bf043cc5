/* meta.properties in the data directory, as Kafka's: which cluster, and which of its nodes, this
 * directory belongs to. */
#ifndef QUEUE_META_PROPERTIES_H
#define QUEUE_META_PROPERTIES_H

#include <stdint.h>

#include "base/core/random.h"

struct mr_disk;
struct mr_error;

/* Reads the cluster's id, or draws one and writes the file where there is none or it is damaged.
 * 0 or a negative code with words. */
int properties_open(struct mr_disk *disk, struct mr_random *random, const char *data_directory,
                    int32_t node_id, char ret_cluster_id[MR_UUID_TEXT_SIZE],
                    struct mr_error *error);

#endif
