/* Buffers of large frames, kept while there is traffic: fresh memory costs a page fault per 4 KiB,
 * which is more than the copy from the socket. A quiet broker gives them back. */
#include "base/core/buffer.h"
#include "queue/broker/broker_internal.h"

enum { FRAME_CLASS_SIZE_MIN = 64 * 1024 };

/* The class whose buffers hold this many bytes, or -1. */
static int class_of(size_t size_bytes)
{
    size_t size = FRAME_CLASS_SIZE_MIN;

    for (int i = 0; i < FRAME_CLASSES; i++, size *= 2) {
        if (size_bytes <= size) {
            return i;
        }
    }
    return -1;
}

struct mr_buf *frame_new(struct broker *broker, size_t size_bytes)
{
    int place = class_of(size_bytes);

    if (place < 0) {
        return mr_buf_new(size_bytes);
    }
    broker->is_frame_used = true;
    if (broker->frame_counts[place] > 0) {
        struct mr_buf *frame = broker->frames[place][--broker->frame_counts[place]];
        frame->size_bytes = 0;
        return frame;
    }
    return mr_buf_new((size_t)FRAME_CLASS_SIZE_MIN << place);
}

void frame_unref(struct broker *broker, struct mr_buf *frame)
{
    int place = frame == NULL || frame->release != NULL || frame->is_secret
                    ? -1
                    : class_of(frame->capacity_bytes);

    if (place >= 0 && frame->capacity_bytes == (size_t)FRAME_CLASS_SIZE_MIN << place &&
        broker->frame_counts[place] < FRAMES_KEPT && atomic_load(&frame->refs) == 1) {
        broker->frames[place][broker->frame_counts[place]++] = frame;
        return;
    }
    mr_buf_unref(frame);
}

void frames_free(struct broker *broker)
{
    for (int i = 0; i < FRAME_CLASSES; i++) {
        while (broker->frame_counts[i] > 0) {
            mr_buf_unref(broker->frames[i][--broker->frame_counts[i]]);
        }
    }
}
