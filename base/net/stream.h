/* A byte stream: TCP or Unix socket, plain or TLS, or a pipe of the simulator. Sockets are polled
 * descriptors with our own reads and writes, so that sendfile and memory mix in one queue.
 *
 * Reading is pulled: on_readable says that there is something, mr_stream_read takes it; whoever
 * does not read pushes back on the sender. Writing is a queue of pieces in order: memory or file
 * ranges. A stream lives on one loop. After mr_stream_close no callback comes any more, except each
 * queued piece's `sent` (with MR_ECANCELED), which come before mr_stream_close returns. */
#ifndef BASE_NET_STREAM_H
#define BASE_NET_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/core/buffer.h"
#include "base/core/disk.h"
#include "base/core/list.h"
#include "base/core/loop.h"

struct mr_admission; /* base/net/admission.h */
struct mr_metrics;
struct mr_stream;
struct mr_stream_piece;
struct mr_tls_context; /* base/net/tls.h */

struct mr_stream_events {
    /* Level-like: called until everything was read (MR_EAGAIN), the end was read (MR_EOF), or
     * reading was paused. */
    void (*on_readable)(struct mr_stream *stream, void *owner);
    /* The send queue fell below the low mark after it had been over the high one. May be NULL. */
    void (*on_drained)(struct mr_stream *stream, void *owner);
    /* While reading is paused: the far side has ended; there may be bytes to read before the end.
     * Once for each pause. May be NULL. */
    void (*on_hangup)(struct mr_stream *stream, void *owner);
    /* The stream is broken (code is MR_ENETWORK, ...). The owner then closes. At most once, and not
     * after mr_stream_read has told the same. Never inside a call of the owner's. */
    void (*on_failed)(struct mr_stream *stream, void *owner, int code);
};

typedef void (*mr_stream_sent_cb)(struct mr_stream_piece *piece, int rc);

/* Owned by the caller until `sent`; embedding it avoids an allocation. */
struct mr_stream_piece {
    struct mr_link link; /* the stream's */
    /* memory: */
    struct mr_slice slice; /* the caller keeps it alive until sent */
    /* or a file range (slice.data == NULL): */
    struct mr_disk *disk;
    int fd;
    int64_t position;
    int64_t size_bytes;
    bool more;              /* further pieces of the same message follow (MSG_MORE) */
    mr_stream_sent_cb sent; /* all bytes handed to the kernel, or rc < 0; may be NULL */
    void *owner;
    int64_t done_bytes; /* the stream's */
    int64_t warm_bytes; /* the stream's: up to here the file range is known to be in memory */
};

void mr_stream_set_events(struct mr_stream *stream, const struct mr_stream_events *events,
                          void *owner);
/* Up to size_bytes; > 0 read, MR_EAGAIN nothing now, MR_EOF ended in good order, else broken (the
 * owner closes). */
ssize_t mr_stream_read(struct mr_stream *stream, void *data, size_t size_bytes);
/* Turns on_readable off and on (on at first). A paused stream still notices a reset by the peer. */
void mr_stream_pause(struct mr_stream *stream, bool is_paused);
/* Queues; tries to write at the end of the loop's turn, so that small pieces leave together. 0, or
 * MR_ECANCELED after a failure, a shutdown, or inside of close (`sent` is not called then). Each
 * stream writes a bounded number of bytes per turn, and file ranges that are not in memory are read
 * by a worker first, so no stream holds up its loop. A range beyond the end of its file breaks the
 * stream: its length was promised. */
int mr_stream_send(struct mr_stream *stream, struct mr_stream_piece *piece);
int64_t mr_stream_queued_bytes(const struct mr_stream *stream);
int64_t mr_stream_sent_bytes(const struct mr_stream *stream); /* since it was opened */
bool mr_stream_is_over_high(const struct mr_stream *stream);  /* on_drained will come */
/* For on_drained; 256 KiB and 1 MiB at first. The queue itself is not bounded: its owner is asked
 * to stop at the high mark. */
void mr_stream_set_marks(struct mr_stream *stream, int64_t low_bytes, int64_t high_bytes);
/* Ends our side after what is queued; reading goes on. */
void mr_stream_shutdown(struct mr_stream *stream);
/* Frees the stream; pieces still queued get MR_ECANCELED. abort: reset instead of a good end. */
void mr_stream_close(struct mr_stream *stream, bool is_abort);
const char *mr_stream_peer(const struct mr_stream *stream); /* "127.0.0.1:5123", "unix" */
const char *mr_stream_local(const struct mr_stream *stream);
/* After a failure: what the transport knows of it, beyond the code ("TLS: the peer refuses our
 * certificate: ..."), or "". */
const char *mr_stream_failure(const struct mr_stream *stream);
struct mr_loop *mr_stream_loop(const struct mr_stream *stream);
/* Peer credentials of a Unix socket: 0, or MR_EUNSUPPORTED. */
int mr_stream_credentials(const struct mr_stream *stream, uid_t *ret_uid, gid_t *ret_gid,
                          pid_t *ret_pid);

/* ---- addresses: "host:port", "[::1]:9092", "unix:/run/x.sock" ---- */

enum { MR_ADDRESS_TEXT_SIZE = 280 };

struct mr_address {
    bool is_unix;
    char host[256]; /* without brackets; or the path */
    uint16_t port;
};

/* default_port is used when none is written; 0: a port is required. MR_EINVAL with words. */
int mr_address_parse(const char *text, uint16_t default_port, struct mr_address *ret_address,
                     struct mr_error *error);
void mr_address_format(const struct mr_address *address, char *text, size_t size);
bool mr_address_is_loopback(const struct mr_address *address);

/* ---- the network door ---- */

struct mr_net;
struct mr_listener;
struct mr_connect;

/* The stream is the owner's, who sets its events before it returns. With TLS the handshake is done.
 */
typedef void (*mr_listener_cb)(struct mr_listener *listener, void *owner, struct mr_stream *stream);
/* Exactly once, never inside mr_net_connect: a stream (the owner's, who sets its events before it
 * returns), or a negative rc with words in `error`. */
typedef void (*mr_connect_cb)(void *owner, int rc, struct mr_stream *stream,
                              const struct mr_error *error);

/* Borrowed for the call, but tls: that must outlive the listener or the attempt. */
struct mr_listen_options {
    int backlog;         /* 0: 1024 */
    int connections_max; /* 0: unbounded; above it new ones are closed at once and counted */
    mode_t unix_mode;    /* 0: 0660 */
    bool has_unix_owner; /* of the file; else who made it */
    bool has_unix_group;
    uid_t unix_owner;
    gid_t unix_group;
    int inherited_fd;               /* 0: none, or from socket activation (never standard input) */
    bool reuse_port;                /* several loops listen on one port (SO_REUSEPORT) */
    struct mr_tls_context *tls;     /* NULL: plain */
    int64_t handshake_timeout_ms;   /* 0: 10 s */
    int handshakes_max;             /* half-open ones at a time; 0: 1000 */
    struct mr_admission *admission; /* bounds per address, or NULL; outlives the listener */
    int accepts_per_second_max;     /* 0: unbounded; beyond it new ones wait to be accepted */
};

struct mr_connect_options {
    int64_t timeout_ms;         /* of the whole: lookup, all addresses, handshake; 0: 30 s */
    struct mr_tls_context *tls; /* NULL: plain */
    const char *server_name;    /* for TLS; NULL: the host */
};

/* The system's network. metrics may be NULL. Streams, listeners and attempts are gone before free.
 */
int mr_net_new(struct mr_loop *loop, struct mr_metrics *metrics, struct mr_net **ret_net);
void mr_net_free(struct mr_net *net);
/* A Unix socket's file never has more rights than it is to have; a stale one is replaced only if
 * nobody answers on it.
 */
int mr_net_listen(struct mr_net *net, const struct mr_address *address,
                  const struct mr_listen_options *options, mr_listener_cb cb, void *owner,
                  struct mr_listener **ret_listener, struct mr_error *error);
uint16_t mr_listener_port(const struct mr_listener *listener); /* the real one, after port 0 */
int mr_listener_connections(const struct mr_listener *listener);
void mr_listener_pause(struct mr_listener *listener, bool is_paused);
void mr_listener_close(struct mr_listener *listener);
/* Resolves (in a worker; each attempt anew, all addresses tried in order) and connects. 0, or
 * MR_ENOMEM and the callback never comes. */
int mr_net_connect(struct mr_net *net, const struct mr_address *address,
                   const struct mr_connect_options *options, mr_connect_cb cb, void *owner,
                   struct mr_connect **ret_connect);
/* No callback comes any more. Not after the callback: it has freed the attempt. */
void mr_connect_cancel(struct mr_connect *connect);

#endif
