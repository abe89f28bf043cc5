/* The topic __audit: the audit trail of this node (queue/broker/audit.h), in the log.
 *
 * It is a local topic of one partition, made when there is something to write: a node that nobody
 * administers has none. Batches are appended in the background, fsynced as any topic is (1 s), kept
 * for a time and a size of its own. At the disk's limit its own oldest segments make room; where
 * that is not enough, records are counted as lost. Clients read it like any topic, with READ on it;
 * nobody writes it, alters it or deletes from it but the node. */
#ifndef QUEUE_AUDIT_H
#define QUEUE_AUDIT_H

#include <stdint.h>

struct audit;
struct audit_trail;
struct mr_metrics;
struct queue;

#define AUDIT_TOPIC "__audit"

struct audit_config {
    int64_t retention_ms;    /* 0: for ever */
    int64_t retention_bytes; /* 0: no bound */
};

/* The queue's metadata and partitions are open. 0 or MR_ENOMEM. */
int audit_open(struct queue *queue, struct mr_metrics *metrics, const struct audit_config *config,
               struct audit **ret_audit);
struct audit_trail *audit_trail_of(struct audit *audit);
/* Writes what waits, then done: later. After the broker, before the partitions. */
void audit_close(struct audit *audit, void (*done)(void *owner), void *owner);

#endif
