#include "queue/wire/batch_recode.h"

#include <sys/uio.h>

#include "base/core/buffer.h"
#include "base/core/error.h"

int batch_recode(const struct batch_header *header, const void *records, size_t size_bytes,
                 enum mr_codec codec, struct mr_codec_context *codecs, struct mr_buf **ret_batch)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)records, .iov_len = size_bytes};
    struct batch_header changed = *header;
    struct mr_buf *buf = NULL;
    struct mr_bytes out;
    int rc;

    mr_bytes_init(&out);
    rc = mr_bytes_reserve(&out, BATCH_HEADER_SIZE + size_bytes / (codec == MR_CODEC_NONE ? 1 : 2));
    if (rc == 0) {
        out.size_bytes = BATCH_HEADER_SIZE;
        if (codec == MR_CODEC_NONE) {
            mr_bytes_append(&out, records, size_bytes);
            rc = out.failed;
        } else {
            rc = mr_codec_compress(codecs, codec, MR_CODEC_LEVEL_DEFAULT, &part, 1, &out);
        }
    }
    if (rc == 0 && out.size_bytes > INT32_MAX) {
        rc = MR_ETOOLARGE;
    }
    if (rc == 0) {
        buf = mr_bytes_take(&out);
        rc = buf == NULL ? MR_ENOMEM : 0;
    }
    mr_bytes_done(&out);
    if (rc != 0) {
        return rc;
    }
    changed.attributes = (int16_t)((header->attributes & ~BATCH_CODEC_MASK) | (int)codec);
    changed.length = (int32_t)(buf->size_bytes - BATCH_PREFIX_SIZE);
    batch_header_write(&changed, buf->data);
    changed.crc = batch_crc_compute(buf->data, buf->size_bytes);
    batch_header_write(&changed, buf->data);
    *ret_batch = buf;
    return 0;
}
