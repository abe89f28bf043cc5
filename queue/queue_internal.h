/* What the faces (queue.c, producer.c, consumer.c) share. */
#ifndef QUEUE_QUEUE_INTERNAL_H
#define QUEUE_QUEUE_INTERNAL_H

#include "base/core/list.h"
#include "base/core/loop.h"
#include "queue/broker/broker.h"
#include "queue/group/groups.h"
#include "queue/group/offsets.h"
#include "queue/meta/meta.h"
#include "queue/queue.h"
#include "queue/replica/manager.h"

struct queue {
    struct log_files files;
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct mr_workers *fsync_workers;
    struct mr_workers *io_workers;
    struct mr_metric_set *log_totals;
    struct meta *meta;
    struct replicas *replicas;
    struct group_offsets *offsets;
    struct groups *groups;
    struct broker *broker;
    struct audit *audit; /* NULL: none */
    struct meta_listener listener; /* for the watches */
    struct mr_link watches;
    struct mr_task end_task;
    void (*on_closed)(void *owner);
    void *close_owner;
};

/* A partition with its log, for a face; MR_ENOENT, or why its log is offline. A reference. */
int queue_find_partition(struct queue *queue, const char *topic, int32_t index,
                         struct partition **ret_partition, struct mr_error *error);
/* Tells the watches of a topic (consumer.c). */
void queue_watch_tell(struct queue *queue, const struct image_topic *topic);

#endif
