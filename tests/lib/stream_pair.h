/* Two connected streams in memory, for tests of connection code on real and virtual loops. What one
 * writes the other reads, through a pipe of a given size per direction; nothing touches the kernel.
 */
#ifndef TESTS_LIB_STREAM_PAIR_H
#define TESTS_LIB_STREAM_PAIR_H

#include <stddef.h>

#include "base/net/stream.h"

struct stream_pair_options {
    size_t pipe_size_bytes; /* per direction; 0: 64 KiB */
    size_t
        step_size_bytes; /* no read or write moves more at a time, to cut messages; 0: no bound */
};

/* options may be NULL. 0 or MR_ENOMEM. */
int stream_pair_new(struct mr_loop *loop, const struct stream_pair_options *options,
                    struct mr_stream **ret_one, struct mr_stream **ret_other);
/* As a cable that is pulled: both ends see a reset. */
void stream_pair_cut(struct mr_stream *one);

#endif
