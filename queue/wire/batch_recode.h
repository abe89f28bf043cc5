/* A batch in another codec: for topics whose compression.type is not "producer". */
#ifndef QUEUE_WIRE_BATCH_RECODE_H
#define QUEUE_WIRE_BATCH_RECODE_H

#include "base/codec/codec.h"
#include "queue/wire/batch.h"

struct mr_buf;

/* The same records under the same header, but for codec, length and checksum; also where that is
 * longer, as the topic says so and Kafka does it. records: those of the batch, decompressed. 0 and
 * one reference; MR_ETOOLARGE beyond what a length can say; MR_ENOMEM. From any thread. */
int batch_recode(const struct batch_header *header, const void *records, size_t size_bytes,
                 enum mr_codec codec, struct mr_codec_context *codecs, struct mr_buf **ret_batch);

#endif
