/* The appending face, for this node's own intake. */
#ifndef QUEUE_PRODUCER_H
#define QUEUE_PRODUCER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/core/buffer.h"
#include "base/core/list.h"

struct mr_error;
struct queue;
struct queue_producer;
struct queue_append;
typedef void (*queue_append_cb)(struct queue_append *append);

struct queue_append {
    struct mr_slice batch; /* one RecordBatch v2, valid; a reference is taken until cb */
    int64_t record_count;
    bool may_exceed_limit; /* checkpoints and drop counters only */
    queue_append_cb cb;    /* exactly once, later, on the loop */
    void *owner;
    int rc; /* 0; MR_EFULL: no room (when_full is the caller's to act on); MR_EIO ... */
    int64_t base_offset;
    int64_t next_offset;
    void *queue_data[28]; /* the queue's */
};

/* Opens one partition of a local topic (or, on a node without a mesh, of any of its topics) for
 * appending. on_space is called when room came back after MR_EFULL. */
int queue_producer_open(struct queue *queue, const char *topic, int32_t partition,
                        void (*on_space)(void *owner), void *owner,
                        struct queue_producer **ret_producer, struct mr_error *error);
/* After the last append was answered. */
void queue_producer_close(struct queue_producer *producer);
/* Order of calls is order in the log. 0, or a negative code and no callback (MR_EAGAIN: wait for
 * one). When it returns 0 append->rc is already what is known: a refusal (MR_EFULL, MR_ENOSPC,
 * MR_EIO) shows at once, so that nothing later overtakes it. */
int queue_producer_append(struct queue_producer *producer, struct queue_append *append);
/* Calls done, exactly once, later, when everything appended so far is on the platter (or rc < 0).
 * One at a time. */
int queue_producer_sync(struct queue_producer *producer, void (*done)(void *owner, int rc),
                        void *owner);
/* Drops the oldest sealed segment of this partition (when_full: drop_oldest). *ret_records is how
 * many records went that some attached reader had not passed. MR_ENOENT: nothing left to drop. */
int queue_producer_drop_oldest(struct queue_producer *producer, int64_t *ret_records);
/* Drops the oldest segment if every attached reader has passed it, whatever disk.keep says: nobody
 * misses it. MR_ENOENT: there is none. */
int queue_producer_drop_passed(struct queue_producer *producer);
int64_t queue_producer_start_offset(const struct queue_producer *producer);
int64_t queue_producer_end_offset(const struct queue_producer *producer);
/* Reads back, at start, the batches from `offset` on (the position table's replay): cb per batch,
 * whole bytes, non-zero ends. Blocks. */
int queue_producer_replay(struct queue_producer *producer, int64_t offset,
                          int (*cb)(void *owner, int64_t base_offset, const uint8_t *batch,
                                    size_t size_bytes),
                          void *owner, struct mr_error *error);
/* Where a small file of the partition's own directory goes ("<directory>/<name>"), for the
 * checkpoint. */
const char *queue_producer_directory(const struct queue_producer *producer);
/* Asked before segments below new_start_offset go; non-zero keeps them for now. */
void queue_producer_set_before_delete(struct queue_producer *producer,
                                      int (*cb)(void *owner, int64_t new_start_offset),
                                      void *owner);

#endif
