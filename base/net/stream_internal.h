/* The inside of streams, for base/net and for those who bring another transport (TLS, the
 * simulator's pipe): stream.c keeps queue, marks, turns and callbacks; a transport only moves
 * bytes. */
#ifndef BASE_NET_STREAM_INTERNAL_H
#define BASE_NET_STREAM_INTERNAL_H

#include <sys/uio.h>

#include "base/net/stream.h"

struct cold_read;
struct mr_net;
struct mr_admitted;
struct mr_stream_gate;

/* All calls are on the stream's loop, do not block, and fire no callbacks. */
struct mr_stream_ops {
    /* > 0, MR_EAGAIN (want READ tells when), MR_EOF, or broken. */
    ssize_t (*read)(struct mr_stream *stream, void *data, size_t size_bytes);
    /* Bytes taken (> 0), MR_EAGAIN (want WRITE tells when), or broken. more: further bytes follow
     * at once. */
    ssize_t (*write)(struct mr_stream *stream, const struct iovec *parts, int count, bool more);
    /* The same for a part of a file that is in memory. NULL: read and written by stream.c. */
    ssize_t (*write_file)(struct mr_stream *stream, int fd, int64_t position, size_t size_bytes,
                          bool more);
    /* What `more` held back leaves now. May be NULL. */
    void (*push)(struct mr_stream *stream);
    /* An earlier write took bytes that it has not told yet; the next one tells them, and looks at
     * nothing that it is given. NULL: never. */
    bool (*has_taken)(const struct mr_stream *stream);
    /* Ends our side: 0, MR_EAGAIN (asked again when writable), or broken. */
    int (*shutdown)(struct mr_stream *stream);
    /* Bytes wait inside the transport, of which no event will tell. May be NULL. */
    bool (*has_pending)(const struct mr_stream *stream);
    /* Which events are wanted: MR_IO_READ, MR_IO_WRITE, or MR_IO_HANGUP while paused. */
    void (*want)(struct mr_stream *stream, int events);
    /* 0, or the code of a connection that broke while nobody read. May be NULL. */
    int (*check)(struct mr_stream *stream);
    /* Lets go of descriptor and memory, except of the stream's own. */
    void (*close)(struct mr_stream *stream, bool is_abort);
    int (*credentials)(const struct mr_stream *stream, uid_t *ret_uid, gid_t *ret_gid,
                       pid_t *ret_pid); /* may be NULL */
};

enum { STREAM_MAGIC = 0x6d727374, STREAM_NAME_SIZE = 128 };

/* First member of every transport's own struct, which is freed as one (mr_free) by stream.c. */
struct mr_stream {
    uint32_t magic;
    const struct mr_stream_ops *ops;
    struct mr_loop *loop;
    struct mr_net *net;           /* for cold reads and metrics; NULL: ranges are taken for warm */
    struct mr_stream_gate *gate;  /* the listener's count of open streams, or NULL */
    struct mr_admitted *admitted; /* its address, where that is bounded, or NULL */
    const struct mr_stream_events *events; /* NULL until set */
    void *owner;
    struct mr_link queue; /* of mr_stream_piece */
    int64_t queued_bytes;
    int64_t sent_bytes;
    int64_t low_bytes;
    int64_t high_bytes;
    size_t
        copy_bytes; /* of a file that are read at a time; the transport's, if it takes no files */
    struct mr_task flush_task; /* writing begins, or goes on after its share of a turn */
    struct mr_task read_task;  /* what is pending in the transport is offered */
    struct cold_read *cold;    /* under way for the first piece, or NULL */
    int failed;                /* 0, or the code that broke it */
    int depth;                 /* of calls on the stack; memory is freed by the outermost */
    bool is_paused;
    bool is_at_end;  /* MR_EOF was read */
    bool is_blocked; /* the transport asked to wait for WRITE */
    bool is_over_high;
    bool is_shutdown_asked;
    bool is_shutdown_done;
    bool is_held;        /* the last bytes were written with `more` */
    bool is_hangup_seen; /* while nobody reads; would be told again and again */
    bool is_closed;
    char failure[STREAM_NAME_SIZE * 2]; /* the transport's words of what broke, or empty */
    char peer[STREAM_NAME_SIZE];
    char local[STREAM_NAME_SIZE];
};

void stream_init(struct mr_stream *stream, const struct mr_stream_ops *ops, struct mr_loop *loop,
                 struct mr_net *net);
/* The transport's readiness, a mask of MR_IO_...; may call back, and the stream may be gone after.
 */
void stream_on_ready(struct mr_stream *stream, int events);

/* ---- how many streams of a listener are open; outlives both sides ---- */

struct mr_stream_gate {
    int refs;
    int open;
};

struct mr_stream_gate *stream_gate_new(void);
void stream_gate_enter(struct mr_stream_gate *gate, struct mr_stream *stream);
void stream_gate_unref(struct mr_stream_gate *gate);

#endif
