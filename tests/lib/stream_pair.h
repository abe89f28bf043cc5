/* Two connected streams in memory, for tests of connection code on real and virtual loops. What one
 * writes the other reads, through a pipe of a given size per direction; nothing touches the kernel.
 */
#ifndef TESTS_LIB_STREAM_PAIR_H
#define TESTS_LIB_STREAM_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/net/stream.h"

struct stream_pair_options {
    size_t pipe_size_bytes; /* per direction; 0: 64 KiB */
    size_t step_size_bytes; /* the most that one call moves, to cut messages; 0: no bound */
    int64_t delay_us;       /* from writing until it can be read, on the reader's clock */
};

/* options may be NULL. 0 or MR_ENOMEM. */
int stream_pair_new(struct mr_loop *loop, const struct stream_pair_options *options,
                    struct mr_stream **ret_one, struct mr_stream **ret_other);
/* The ends may be on different loops of one thread. */
int stream_pair_between(struct mr_loop *one_loop, struct mr_loop *other_loop,
                        const struct stream_pair_options *options, struct mr_stream **ret_one,
                        struct mr_stream **ret_other);
/* As a peer that has crashed: both ends see a reset. */
void stream_pair_cut(struct mr_stream *one);
/* As a cable that is pulled: nothing moves, and nobody is told. */
void stream_pair_freeze(struct mr_stream *one, bool is_frozen);
/* Called when an end is closed, before its memory goes; for those who keep a list. */
void stream_pair_on_close(struct mr_stream *one, void (*on_close)(void *owner), void *owner);

#endif
