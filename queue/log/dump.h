/* Walks the files of a log for people: what stands in them, batch by batch, damage included.
 * Nothing is changed, and no log needs to be open (or closed). */
#ifndef QUEUE_LOG_DUMP_H
#define QUEUE_LOG_DUMP_H

#include <stdbool.h>
#include <stdint.h>

struct batch_header;
struct batch_record;
struct mr_disk;
struct mr_error;

struct log_dump_checkpoint {
    uint64_t generation;
    bool is_clean;
    int64_t start_offset;
    int64_t recovery_offset;
    int64_t written_ms;
    int64_t segment_count;
};

struct log_dump_producer {
    int64_t producer_id;
    int16_t epoch;
    int32_t last_sequence; /* -1: none */
    int64_t last_offset;
    int remembered_batches;
};

/* Each may be NULL: then those things are not read. Pointers are good for the call. */
struct log_dump_events {
    void (*on_file)(void *owner, const char *path, int64_t size_bytes);
    void (*on_batch)(void *owner, int64_t position, const struct batch_header *header);
    void (*on_record)(void *owner, const struct batch_header *header,
                      const struct batch_record *record);
    /* Bytes that are no batch; at the end of a file also what a write has torn. */
    void (*on_damage)(void *owner, int64_t position, int64_t size_bytes);
    void (*on_index)(void *owner, int64_t offset, int64_t position);
    void (*on_time_index)(void *owner, int64_t timestamp_ms, int64_t offset);
    void (*on_producer)(void *owner, const struct log_dump_producer *producer);
    void (*on_epoch)(void *owner, int32_t epoch, int64_t start_offset);
    void (*on_checkpoint)(void *owner, const struct log_dump_checkpoint *checkpoint);
    /* A file, or the records of a batch, that cannot be read, and why. */
    void (*on_problem)(void *owner, const char *what, int code);
};

/* A file of a log (by its name), or a directory with all of them in order. 0, or why nothing could
 * be read: MR_EUNSUPPORTED for a file of another kind. Blocks. */
int log_dump(struct mr_disk *disk, const char *path, const struct log_dump_events *events,
             void *owner, struct mr_error *error);

#endif
