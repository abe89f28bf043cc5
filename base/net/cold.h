/* File ranges that are not in memory: sendfile would wait for the disk and hold up the loop, so a
 * range is probed first and, where it is cold, read by a worker. */
#ifndef BASE_NET_COLD_H
#define BASE_NET_COLD_H

#include <stdint.h>

struct cold_read;
struct mr_stream;
struct mr_stream_piece;

/* Bytes of the piece, from where it stands, that can be sent without waiting for the disk (> 0), or
 * MR_EAGAIN: a worker reads ahead (stream->cold), and stream_on_warm is called on the loop. */
int64_t cold_window(struct mr_stream *stream, struct mr_stream_piece *piece);
/* The piece goes away; the worker's read touches nothing of it. */
void cold_cancel(struct mr_stream *stream);

/* stream.c's answer to the end of a read. */
void stream_on_warm(struct mr_stream *stream);

#endif
