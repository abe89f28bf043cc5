/* Batches on their way out: the patched header of a whole one, and pieces of one that the hub does
 * not take, or has in part. */
#ifndef SINKS_PEER_BATCH_H
#define SINKS_PEER_BATCH_H

#include "base/core/buffer.h"
#include "base/core/workers.h"
#include "queue/wire/batch.h"
#include "sinks/peer/lineage.h"
#include "sinks/sink.h"

/* Reads the header of a write's batch. is_cached: only if it costs no wait (else MR_EAGAIN). 0, or
 * MR_ECORRUPT where the bytes are no batch of the write's size. */
int batch_read_header(const struct sink_write *write, bool is_cached,
                      uint8_t ret_bytes[BATCH_HEADER_SIZE], struct batch_header *ret_header);

/* What a worker cuts out of a batch: reads, checks and unpacks it, and makes a batch of its own of
 * the records from `from_offset` on: at most record_count_max of them, and none behind a hole in
 * the offsets (a hub takes no batch with holes). The lane's until done. */
struct batch_piece {
    struct mr_work work;
    struct mr_disk *disk;
    int fd;
    int64_t position;
    int64_t size_bytes;
    int64_t from_offset;
    int32_t record_count_max; /* 0: any */
    bool is_plain;            /* not compressed, for a hub that does not know the codec */
    struct lineage lineage;   /* as of now */
    /* the outcome */
    int rc; /* 0; MR_ENOENT: no record from there on; MR_ECORRUPT: damaged here */
    struct mr_buf *batch;
    int64_t first_offset;
    int64_t next_offset;
    int32_t first_index; /* of its first record in the whole batch */
    int32_t record_count;
};

/* A worker's `run`. */
void batch_piece_run(struct mr_work *work);
void batch_piece_done(struct batch_piece *piece);

#endif
