/* The BIO of a TLS stream: between OpenSSL and the socket.
 *
 * Reads go to the socket, a little ahead. Writes are gathered in `out`, which tls_stream.c sends.
 * Where the kernel has TLS, the write side stands on one of OpenSSL's own socket BIOs, which gives
 * the kernel the keys when the handshake is done (the send side's only: received records are
 * OpenSSL's in any case) and says of which kind a record is that is no data. From then on writes go
 * through it, unencrypted and past `out`, and tls_stream.c sends data without OpenSSL. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/core/memory.h"
#include "base/net/socket.h"
#include "base/net/tls.h"
#include "base/net/tls_stream.h"

enum {
    OUT_SIZE_MAX = 640 * 1024,
    HEAD_SIZE = 5, /* of a record: RFC 8446, 5.1 */
    SMALL_SIZE = 4096,
    IN_SIZE = 8 * 1024,
};

static bool is_kernel(BIO *socket_bio)
{
    return socket_bio != NULL && BIO_get_ktls_send(socket_bio);
}

static int bio_write(BIO *bio, const char *data, size_t size, size_t *ret_size)
{
    struct tls_stream *self = BIO_get_data(bio);
    size_t waiting = self->out_size - self->out_begin;
    int rc;

    BIO_clear_retry_flags(bio);
    if (is_kernel(BIO_next(bio))) {
        rc = BIO_write_ex(BIO_next(bio), data, size, ret_size);
        BIO_copy_next_retry(bio);
        return rc;
    }
    if (waiting + size > OUT_SIZE_MAX) {
        BIO_set_retry_write(bio);
        return 0;
    }
    if (self->out_begin > 0 && self->out_size + size > self->out_capacity) {
        memmove(self->out, self->out + self->out_begin, waiting);
        self->out_begin = 0;
        self->out_size = waiting;
    }
    if (mr_grow(&self->out, &self->out_capacity, self->out_size + size, 1) != 0) {
        return 0;
    }
    memcpy(self->out + self->out_size, data, size);
    self->out_size += size;
    *ret_size = size;
    return 1;
}

/* Behind what is asked for comes as much as is likely to be asked for next: after the body of a
 * full record the next head, after a head or a small record many more of the kind. So a large
 * record is read to its place by one call, and small ones by one call for many. */
static ssize_t read_more(struct tls_stream *self, char *data, size_t size)
{
    struct iovec parts[2] = {{data, size}};
    ssize_t rc;

    if (self->in == NULL) {
        self->in = mr_malloc(IN_SIZE);
    }
    if (self->in == NULL) {
        return socket_read(self->fd, data, size);
    }
    parts[1] = (struct iovec){self->in, size >= SMALL_SIZE ? HEAD_SIZE : IN_SIZE};
    rc = socket_read_parts(self->fd, parts, 2);
    if (rc > (ssize_t)size) {
        self->in_begin = 0;
        self->in_size = (size_t)rc - size;
        return (ssize_t)size;
    }
    if (rc == MR_EAGAIN) { /* idle connections keep nothing */
        mr_free(self->in);
        self->in = NULL;
    }
    return rc;
}

static int bio_read(BIO *bio, char *data, size_t size, size_t *ret_size)
{
    struct tls_stream *self = BIO_get_data(bio);
    size_t there = self->in_size - self->in_begin;
    ssize_t rc;

    BIO_clear_retry_flags(bio);
    if (there > 0) {
        *ret_size = there < size ? there : size;
        memcpy(data, self->in + self->in_begin, *ret_size);
        self->in_begin += *ret_size;
        return 1;
    }
    rc = read_more(self, data, size);
    if (rc > 0) {
        *ret_size = (size_t)rc;
        return 1;
    }
    if (rc == MR_EAGAIN) {
        BIO_set_retry_read(bio);
    } else if (rc == MR_EOF) {
        self->is_eof = true;
    }
    return 0;
}

/* Kernel TLS begins behind what was encrypted before, so not while that waits in out: the socket
 * BIO hears nothing then, and OpenSSL goes on without. */
static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    struct tls_stream *self = BIO_get_data(bio);
    BIO *kernel = BIO_next(bio);

    switch (command) {
    case BIO_CTRL_EOF:
        return self->is_eof;
    case BIO_CTRL_FLUSH: /* flushed by us, and here only because it comes before kernel TLS */
        if (kernel != NULL) {
            (void)tls_stream_flush(self); /* a broken one shows at the next use */
        }
        return 1;
    default: /* of the rest nothing is supported by us */
        return kernel != NULL && !tls_stream_has_out(self)
                   ? BIO_ctrl(kernel, command, number, pointer)
                   : 0;
    }
}

BIO_METHOD *tls_bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "millrace stream");

    if (method != NULL &&
        (BIO_meth_set_write_ex(method, bio_write) != 1 ||
         BIO_meth_set_read_ex(method, bio_read) != 1 || BIO_meth_set_ctrl(method, bio_ctrl) != 1)) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

static BIO *bio_new(struct tls_stream *self)
{
    BIO *bio = BIO_new(tls_context_bio_method(self->context));

    if (bio != NULL) {
        BIO_set_data(bio, self);
        BIO_set_init(bio, 1);
    }
    return bio;
}

bool tls_bio_attach(struct tls_stream *self)
{
    BIO *in = bio_new(self);
    BIO *out = in;

    if (in != NULL && (SSL_get_options(self->ssl) & SSL_OP_ENABLE_KTLS) != 0) {
        BIO *kernel = BIO_new_socket(self->fd, BIO_NOCLOSE);

        out = kernel != NULL ? bio_new(self) : NULL;
        if (out != NULL) {
            (void)BIO_push(out, kernel);
        } else {
            (void)BIO_free(kernel);
            (void)BIO_free(in);
        }
    }
    if (out == NULL) {
        return false;
    }
    SSL_set_bio(self->ssl, in, out);
    return true;
}

bool tls_bio_is_kernel(const struct tls_stream *self)
{
    BIO *out = SSL_get_wbio(self->ssl);

    return out != NULL && is_kernel(BIO_next(out));
}

bool tls_kernel_is_there(void)
{
    static const char name[] = "tls";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_there;

    if (fd < 0) {
        return false;
    }
    /* A kernel without it says ENOENT, or loads the module, if we may; one that has it wants a
     * connection first. */
    is_there = setsockopt(fd, IPPROTO_TCP, TCP_ULP, name, sizeof name) == 0 || errno == ENOTCONN;
    (void)close(fd);
    return is_there;
}
