/* The reading face, for this node's own sinks: ranges of one partition, and positions that are
 * committed in the group sink.<id> (Kafka's record format in __consumer_offsets, so that every tool
 * shows the lag). */
#ifndef QUEUE_CONSUMER_H
#define QUEUE_CONSUMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/log/log.h"

struct mr_error;
struct queue;
struct queue_consumer;

enum queue_limit {
    QUEUE_LIMIT_VISIBLE, /* up to the high watermark */
    QUEUE_LIMIT_SYNCED,  /* and on the platter here */
};

/* on_more: something new can be read (after queue_consumer_wait). The consumer counts as attached:
 * what it has not passed is not thrown away but by when_full: drop_oldest. */
int queue_consumer_open(struct queue *queue, const char *group, const char *topic,
                        int32_t partition, void (*on_more)(void *owner), void *owner,
                        struct queue_consumer **ret_consumer, struct mr_error *error);
void queue_consumer_close(struct queue_consumer *consumer);

/* As log_read: whole batches from the one that holds `offset`, max_bytes 0: exactly one batch;
 * size 0: nothing there yet. MR_ERANGE: below the start (go to queue_consumer_start_offset, and
 * count). */
int queue_consumer_read(struct queue_consumer *consumer, int64_t offset, enum queue_limit limit,
                        int64_t max_bytes, struct log_cursor *cursor, struct log_range *ret_range);
/* One on_more, later, once something at or above `offset` can be read within `limit`. With
 * QUEUE_LIMIT_SYNCED this triggers the group commit. */
void queue_consumer_wait(struct queue_consumer *consumer, int64_t offset, enum queue_limit limit);
int64_t queue_consumer_start_offset(const struct queue_consumer *consumer);
int64_t queue_consumer_end_offset(const struct queue_consumer *consumer);

/* The position up to which this consumer has passed, for retention; not durable. */
void queue_consumer_passed(struct queue_consumer *consumer, int64_t offset);

/* The committed offset (-1: none) and its metadata text (Kafka's; "" if none, borrowed until the
 * next call). */
int64_t queue_consumer_committed(const struct queue_consumer *consumer, const char **ret_metadata);
/* Commits {offset, metadata}; durable (synced) when done is called, exactly once, later. */
int queue_consumer_commit(struct queue_consumer *consumer, int64_t offset, const char *metadata,
                          void (*done)(void *owner, int rc), void *owner);

/* The topics (not __ ones unless named) that match one of the patterns, and their partition counts;
 * called again for each one that appears later. */
typedef void (*queue_topic_cb)(void *owner, const char *topic, int32_t partitions, bool is_local);
struct queue_watch;
int queue_watch_topics(struct queue *queue, const char *const *patterns, size_t count,
                       queue_topic_cb cb, void *owner, struct queue_watch **ret_watch);
void queue_watch_close(struct queue_watch *watch);

#endif
