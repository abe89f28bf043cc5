/* The TLS transport: OpenSSL between stream.c and the socket.
 *
 * Reading: OpenSSL asks the BIO (tls_bio.c), the BIO asks the socket. Writing is gathered: pieces
 * are encrypted in full records (16 KiB) into a buffer of 128 to 512 KiB, which leaves with as few
 * calls as the kernel allows. Bytes count as written only when their records have left: until then
 * write says MR_EAGAIN, remembers how many it accepted, and tells them at the next call, which
 * stream.c makes with the same bytes at its head. So `sent` means the same as on plain streams, and
 * a close in good order loses nothing.
 *
 * Where the kernel encrypts what is sent, pieces go to it as they are, files by
 * sendfile; OpenSSL then sends only what is no data.
 *
 * Who ends the connection without close_notify broke it (RFC 8446, 6.1): a cut could look like an
 * end. */
#include "base/net/tls_stream.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/core/memory.h"
#include "base/net/net_internal.h"
#include "base/net/socket.h"
#include "base/net/tls.h"

enum {
    RECORD_SIZE = 16 * 1024,     /* RFC 8446, 5.1 */
    RECORD_MORE = 64,            /* what a record adds, and then some */
    BATCH_SIZE_MIN = 128 * 1024, /* of plain bytes, between two calls of the kernel */
    BATCH_SIZE_MAX = 512 * 1024,
    OUT_SIZE_KEPT = 32 * 1024, /* memory of an idle connection */
};

static const struct mr_stream_ops tls_ops;
static const struct mr_stream_ops kernel_ops;

static struct tls_stream *tls_of(struct mr_stream *stream)
{
    return mr_container(stream, struct tls_stream, stream);
}

static const struct tls_stream *const_tls_of(const struct mr_stream *stream)
{
    return (const struct tls_stream *)(const void *)stream; /* its first member */
}

/* ---- out ---- */

int tls_stream_flush(struct tls_stream *self)
{
    while (self->out_begin < self->out_size) {
        struct iovec part = {self->out + self->out_begin, self->out_size - self->out_begin};
        ssize_t rc = socket_write(self->fd, &part, 1, false);

        if (rc < 0) {
            return (int)rc;
        }
        self->out_begin += (size_t)rc;
    }
    self->out_begin = 0;
    self->out_size = 0;
    if (self->out_capacity > OUT_SIZE_KEPT && (mr_list_is_empty(&self->stream.queue) ||
                                               self->out_capacity > 2 * self->stream.copy_bytes)) {
        mr_free(self->out);
        self->out = NULL;
        self->out_capacity = 0;
    }
    return 0;
}

bool tls_stream_has_out(const struct tls_stream *self)
{
    return self->out_begin < self->out_size;
}

/* OpenSSL may have records to send of its own: tickets, answers to key updates. */
static void apply_wanted(struct tls_stream *self)
{
    mr_io_want(&self->io, self->wanted | (tls_stream_has_out(self) ? MR_IO_WRITE : 0));
}

/* ---- the transport ---- */

/* OpenSSL's own way costs more than a small record when there is nothing to clear. */
static void clear_errors(void)
{
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
}

/* The meaning of a call that gave nothing; MR_EAGAIN, MR_EOF, or broken. */
static int outcome_of(struct tls_stream *self, int rc)
{
    int ssl_error = SSL_get_error(self->ssl, rc);
    struct mr_error error = {0};
    int code;

    switch (ssl_error) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: /* out is full: WRITE is wanted as long as it holds something */
        return MR_EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return MR_EOF;
    default:
        code = tls_fail(&error, self, ssl_error);
        net_count(self->stream.net, NET_TLS_BROKEN, 1);
        (void)snprintf(self->stream.failure, sizeof self->stream.failure, "%.255s", error.text);
        return code;
    }
}

static ssize_t tls_read(struct mr_stream *stream, void *data, size_t size_bytes)
{
    struct tls_stream *self = tls_of(stream);
    size_t got = 0;
    int flushed;
    int rc;

    clear_errors();
    rc = SSL_read_ex(self->ssl, data, size_bytes, &got);
    self->has_read = rc == 1;
    if (tls_stream_has_out(self)) {
        flushed = tls_stream_flush(self);
        if (flushed != 0 && flushed != MR_EAGAIN) {
            return flushed;
        }
        apply_wanted(self);
    }
    return rc == 1 ? (ssize_t)got : outcome_of(self, rc);
}

static bool tls_has_pending(const struct mr_stream *stream)
{
    const struct tls_stream *self = const_tls_of(stream);

    /* What is inside may be a part of a record only: then reading says MR_EAGAIN, and that is
     * believed. */
    return self->has_read && (self->in_begin < self->in_size || SSL_has_pending(self->ssl) == 1);
}

/* Encrypts one run of bytes. 0, MR_EAGAIN (out is full), or broken. */
static int encrypt(struct tls_stream *self, const uint8_t *data, size_t size)
{
    while (size > 0) {
        size_t part = size < RECORD_SIZE ? size : RECORD_SIZE;
        size_t done = 0;
        int rc;

        clear_errors();
        rc = SSL_write_ex(self->ssl, data, part, &done);
        if (rc != 1) {
            return outcome_of(self, rc);
        }
        data += done;
        size -= done;
        self->accepted += (int64_t)done;
    }
    return 0;
}

/* Small pieces are gathered, so that a run of them makes full records. */
static int encrypt_parts(struct tls_stream *self, const struct iovec *parts, int count)
{
    uint8_t record[RECORD_SIZE];
    size_t gathered = 0;
    size_t used = 0;
    size_t room = self->stream.copy_bytes;
    int rc = 0;

    for (int i = 0; i < count && room > 0 && rc == 0; i++) {
        const uint8_t *data = parts[i].iov_base;
        size_t left = parts[i].iov_len < room ? parts[i].iov_len : room;

        room -= left;
        while (left > 0 && rc == 0) {
            size_t size = RECORD_SIZE - gathered;

            if (gathered == 0 && left >= RECORD_SIZE) { /* as it lies, without a copy */
                size = left - left % RECORD_SIZE;
                rc = encrypt(self, data, size);
            } else {
                size = size < left ? size : left;
                memcpy(record + gathered, data, size);
                gathered += size;
                used = gathered > used ? gathered : used;
                if (gathered == RECORD_SIZE) {
                    rc = encrypt(self, record, gathered);
                    gathered = 0;
                }
            }
            data += size;
            left -= size;
        }
    }
    if (rc == 0 && gathered > 0) {
        rc = encrypt(self, record, gathered);
    }
    OPENSSL_cleanse(record, used);
    return rc;
}

/* Room for a large batch at once, and no more; else out grows as records come. */
static void reserve(struct tls_stream *self, const struct iovec *parts, int count)
{
    size_t size = 0;
    uint8_t *out;

    for (int i = 0; i < count; i++) {
        size += parts[i].iov_len;
    }
    size = size < self->stream.copy_bytes ? size : self->stream.copy_bytes;
    size += (size / RECORD_SIZE + 1) * RECORD_MORE;
    if (size > OUT_SIZE_KEPT && size > self->out_capacity) {
        out = mr_realloc(self->out, size);
        if (out != NULL) {
            self->out = out;
            self->out_capacity = size;
        }
    }
}

/* Each call of the kernel may wake the reader, which on some machines costs more than to encrypt
 * what it is woken for. So who takes all gets more at a time; who does not has enough waiting, and
 * shall not hold our memory. */
static void adapt_batch(struct tls_stream *self, bool is_all_taken)
{
    size_t size = self->stream.copy_bytes;

    if (!is_all_taken) {
        self->stream.copy_bytes = BATCH_SIZE_MIN;
    } else if ((size_t)self->accepted == size && size < BATCH_SIZE_MAX) {
        self->stream.copy_bytes = size * 2;
    }
}

static ssize_t tls_write(struct mr_stream *stream, const struct iovec *parts, int count, bool more)
{
    struct tls_stream *self = tls_of(stream);
    bool is_fresh = self->accepted == 0;
    int64_t accepted;
    int rc = 0;

    (void)more; /* a record is never held back: its end is its tag */
    if (is_fresh) {
        rc = tls_stream_flush(self);
        if (rc == 0) {
            reserve(self, parts, count);
            rc = encrypt_parts(self, parts, count);
        }
        if (rc != 0 && rc != MR_EAGAIN) {
            return rc;
        }
    }
    rc = tls_stream_flush(self);
    if (is_fresh) {
        adapt_batch(self, rc == 0);
    }
    accepted = self->accepted;
    if (rc != 0 || accepted == 0) {
        return rc != 0 ? rc : MR_EAGAIN;
    }
    self->accepted = 0;
    return (ssize_t)accepted;
}

static bool tls_has_taken(const struct mr_stream *stream)
{
    return const_tls_of(stream)->accepted > 0;
}

static int tls_shutdown(struct mr_stream *stream)
{
    struct tls_stream *self = tls_of(stream);
    int rc;

    if (!self->is_notified) {
        ERR_clear_error();
        rc = SSL_shutdown(self->ssl); /* into out; a broken one shows when that is sent */
        if (rc < 0 && SSL_get_error(self->ssl, rc) == SSL_ERROR_WANT_WRITE) {
            return MR_EAGAIN; /* there is no out: the kernel is full */
        }
        self->is_notified = true;
    }
    rc = tls_stream_flush(self);
    if (rc != 0) {
        return rc;
    }
    return shutdown(self->fd, SHUT_WR) == 0 ? 0 : MR_ENETWORK;
}

static void tls_want(struct mr_stream *stream, int events)
{
    struct tls_stream *self = tls_of(stream);

    self->wanted = events;
    if (self->stream.failed != 0) {
        mr_io_want(&self->io, 0);
    } else {
        apply_wanted(self);
    }
}

static int tls_check(struct mr_stream *stream)
{
    return socket_check(tls_of(stream)->fd);
}

static void release(struct tls_stream *self, bool is_abort)
{
    mr_io_stop(&self->io);
    SSL_free(self->ssl);
    X509_free(self->refused);
    X509_free(self->leaf);
    if (self->out != NULL) {
        OPENSSL_cleanse(self->out, self->out_capacity);
    }
    mr_free(self->out);
    mr_free(self->in);
    socket_close(self->fd, is_abort);
}

static void tls_close(struct mr_stream *stream, bool is_abort)
{
    struct tls_stream *self = tls_of(stream);

    if (!is_abort && stream->failed == 0 && !self->is_notified) {
        ERR_clear_error();
        (void)SSL_shutdown(self->ssl);
        (void)tls_stream_flush(self); /* the good-bye is a courtesy */
    }
    ERR_clear_error();
    release(self, is_abort);
}

static const struct mr_stream_ops tls_ops = {
    .read = tls_read,
    .write = tls_write,
    .has_taken = tls_has_taken,
    .shutdown = tls_shutdown,
    .has_pending = tls_has_pending,
    .want = tls_want,
    .check = tls_check,
    .close = tls_close,
};

/* ---- where the kernel encrypts ---- */

static ssize_t kernel_read(struct mr_stream *stream, void *data, size_t size_bytes)
{
    struct tls_stream *self = tls_of(stream);
    ssize_t rc = tls_read(stream, data, size_bytes);

    if (SSL_get_key_update_type(self->ssl) == SSL_KEY_UPDATE_NONE) {
        return rc;
    }
    /* The peer wants our keys changed before the next data (RFC 8446, 4.6.3), which kernels before
     * 6.14 cannot do. Some do so once in 128 GiB. */
    net_count(stream->net, NET_TLS_BROKEN, 1);
    (void)snprintf(stream->failure, sizeof stream->failure,
                   "TLS: the peer asks for new keys, which kernel TLS cannot change");
    return MR_ENETWORK;
}

static ssize_t kernel_write(struct mr_stream *stream, const struct iovec *parts, int count,
                            bool more)
{
    return socket_write(tls_of(stream)->fd, parts, count, more);
}

static ssize_t kernel_write_file(struct mr_stream *stream, int fd, int64_t position,
                                 size_t size_bytes, bool more)
{
    (void)more; /* sendfile ends its record */
    return socket_send_file(tls_of(stream)->fd, fd, position, size_bytes);
}

/* No push: what MSG_MORE holds back is a record's beginning, which only its end can send. */
static const struct mr_stream_ops kernel_ops = {
    .read = kernel_read,
    .write = kernel_write,
    .write_file = kernel_write_file,
    .shutdown = tls_shutdown,
    .has_pending = tls_has_pending,
    .want = tls_want,
    .check = tls_check,
    .close = tls_close,
};

static void on_io(struct mr_io *io, int events)
{
    struct tls_stream *self = io->owner;

    if (self->handshake != NULL) {
        tls_handshake_on_io(self->handshake);
        return;
    }
    if ((events & MR_IO_WRITE) != 0 && tls_stream_has_out(self) &&
        (self->wanted & MR_IO_WRITE) == 0) {
        int rc = tls_stream_flush(self);

        if (rc == 0 || rc == MR_EAGAIN) {
            apply_wanted(self);
        } else {
            events |= MR_IO_READ; /* who reads, or is checked, meets the same error */
        }
    }
    stream_on_ready(&self->stream, events);
}

/* ---- making ---- */

int tls_stream_new(struct mr_net *net, struct mr_tls_context *context, int fd,
                   const char *server_name, struct tls_stream **ret_stream, struct mr_error *error)
{
    struct tls_stream *self = mr_calloc(1, sizeof *self);
    int rc = MR_ENOMEM;

    if (self == NULL) {
        return mr_fail(error, MR_ENOMEM, "TLS");
    }
    stream_init(&self->stream, &tls_ops, net->loop, net);
    self->stream.copy_bytes = BATCH_SIZE_MIN;
    self->fd = fd;
    self->context = context;
    (void)snprintf(self->server_name, sizeof self->server_name, "%s",
                   server_name != NULL ? server_name : "");
    self->ssl = tls_context_ssl(context, server_name, error);
    if (self->ssl == NULL) {
        rc = error != NULL ? error->code : MR_EINVAL;
        goto free_self;
    }
    if (!tls_bio_attach(self)) {
        mr_fail(error, MR_ENOMEM, "TLS");
        goto free_ssl;
    }
    (void)SSL_set_app_data(self->ssl, self);
    rc = mr_io_start(&self->io, net->loop, fd, on_io, self);
    if (rc != 0) {
        mr_fail(error, rc, "TLS");
        goto free_ssl;
    }
    *ret_stream = self;
    return 0;
free_ssl:
    SSL_free(self->ssl);
free_self:
    mr_free(self);
    return rc;
}

void tls_stream_drop(struct tls_stream *self)
{
    (void)tls_stream_flush(self); /* an alert that tells the peer why */
    release(self, false);
    mr_free(self);
}

void tls_stream_begin(struct tls_stream *self)
{
    self->handshake = NULL;
    self->has_read = true; /* the peer's first words may have come with its last of the handshake */
    if (tls_bio_is_kernel(self)) {
        self->stream.ops = &kernel_ops;
        net_count(self->stream.net, NET_TLS_KERNEL, 1);
    }
    socket_meet(self->fd, &self->stream);
    (void)snprintf(self->name, sizeof self->name, "%s %s", SSL_get_version(self->ssl),
                   SSL_get_cipher_name(self->ssl));
    apply_wanted(self);
}

bool mr_stream_is_tls(const struct mr_stream *stream)
{
    return stream->ops == &tls_ops || stream->ops == &kernel_ops;
}

const char *mr_stream_tls_name(const struct mr_stream *stream)
{
    return mr_stream_is_tls(stream) ? const_tls_of(stream)->name : "";
}
