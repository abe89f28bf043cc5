/* Reads a log's batches back in order, at start: metadata, committed offsets, source positions. */
#ifndef QUEUE_META_REPLAY_H
#define QUEUE_META_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "queue/wire/batch.h"

struct log;
struct mr_disk;
struct mr_error;

/* The bytes are borrowed for the call; the header is parsed, the CRC was checked. Non-zero ends. */
typedef int (*replay_batch_cb)(void *owner, const struct batch_header *header, const uint8_t *batch,
                               size_t size_bytes);
/* From the batch that holds `offset` to the end. Blocks. Batches whose bytes turn out to be damaged
 * are skipped and counted in *ret_damaged (may be NULL). 0, the callback's code, or MR_EIO,
 * MR_ENOMEM, MR_ERANGE. */
int replay_batches(struct log *log, struct mr_disk *disk, int64_t offset, replay_batch_cb cb,
                   void *owner, int64_t *ret_damaged, struct mr_error *error);

/* The same, record by record, decompressed; control batches are left out. */
typedef int (*replay_record_cb)(void *owner, const struct batch_header *header,
                                const struct batch_record *record);
int replay_records(struct log *log, struct mr_disk *disk, int64_t offset, replay_record_cb cb,
                   void *owner, struct mr_error *error);

#endif
