/* Handshakes, on both sides.
 *
 * Happy path: the descriptor is ready -> the handshake waits in the network's line -> its turn
 * comes -> OpenSSL takes a step -> what it has to say is sent -> ... -> the stream is handed over.
 * Failures: the peer goes, is refused, refuses us, or takes too long; the callback gets the words.
 *
 * A step may sign with a private key (0.05 ms for P-256, 0.6 ms for RSA 2048), so steps are taken
 * for at most 2 ms per turn of the loop, oldest first: a flood of handshakes slows other
 * handshakes, and connections that are open keep most of the loop. */
#include <openssl/err.h>

#include "base/core/clock.h"
#include "base/core/memory.h"
#include "base/net/net_internal.h"
#include "base/net/tls_stream.h"

enum { STEPS_US_PER_TURN = 2000 };

struct tls_handshake {
    struct mr_link link; /* in the network's line while a step is due */
    struct mr_net *net;
    struct tls_stream *stream;
    struct mr_timer timer;
    tls_handshake_cb cb;
    void *owner;
};

static void handshake_free(struct tls_handshake *handshake)
{
    mr_list_remove(&handshake->link);
    mr_timer_stop(&handshake->timer);
    mr_free(handshake);
}

static void finish(struct tls_handshake *handshake, int rc, const struct mr_error *error)
{
    struct tls_stream *stream = handshake->stream;
    struct mr_net *net = handshake->net;
    tls_handshake_cb cb = handshake->cb;
    void *owner = handshake->owner;

    handshake_free(handshake);
    if (rc != 0) {
        net_count(net, NET_TLS_FAILURES, 1);
        tls_stream_drop(stream);
        cb(owner, rc, NULL, error);
        return;
    }
    net_count(net, NET_TLS_HANDSHAKES, 1);
    if (SSL_session_reused(stream->ssl) == 1) {
        net_count(net, NET_TLS_RESUMED, 1);
    }
    tls_stream_begin(stream);
    cb(owner, 0, &stream->stream, NULL);
}

static void step(struct tls_handshake *handshake)
{
    struct tls_stream *stream = handshake->stream;
    struct mr_error error = {0};
    int ssl_error = SSL_ERROR_NONE;
    int flushed;
    int rc;

    ERR_clear_error();
    rc = SSL_do_handshake(stream->ssl);
    if (rc != 1) {
        ssl_error = SSL_get_error(stream->ssl, rc);
    }
    if (ssl_error != SSL_ERROR_NONE && ssl_error != SSL_ERROR_WANT_READ &&
        ssl_error != SSL_ERROR_WANT_WRITE) {
        rc = tls_fail(&error, stream, ssl_error);
        finish(handshake, rc, &error);
        return;
    }
    flushed = tls_stream_flush(stream);
    if (flushed != 0 && flushed != MR_EAGAIN) {
        mr_fail_text(&error, MR_ENETWORK, "TLS: the connection broke during the handshake");
        finish(handshake, MR_ENETWORK, &error);
        return;
    }
    if (rc == 1) { /* what the kernel did not take yet is sent by the stream */
        finish(handshake, 0, NULL);
        return;
    }
    mr_io_want(&stream->io, flushed == MR_EAGAIN ? MR_IO_READ | MR_IO_WRITE : MR_IO_READ);
}

void tls_handshakes_step(struct mr_task *task)
{
    struct mr_net *net = task->owner;
    struct mr_clock *clock = mr_loop_clock(net->loop);
    int64_t end_us = mr_clock_monotonic_us(clock) + STEPS_US_PER_TURN;
    struct mr_link *link;

    while ((link = mr_list_pop(&net->handshakes_due)) != NULL) {
        step(mr_container(link, struct tls_handshake, link));
        if (mr_clock_monotonic_us(clock) >= end_us) {
            break;
        }
    }
    if (!mr_list_is_empty(&net->handshakes_due)) {
        mr_task_post(task);
    }
}

static void make_due(struct tls_handshake *handshake)
{
    if (!mr_link_is_linked(&handshake->link)) {
        mr_list_append(&handshake->net->handshakes_due, &handshake->link);
    }
    mr_task_post(&handshake->net->handshakes_task);
}

void tls_handshake_on_io(struct tls_handshake *handshake)
{
    mr_io_want(&handshake->stream->io, 0); /* its turn comes */
    make_due(handshake);
}

static void on_timeout(struct mr_timer *timer)
{
    struct mr_error error = {0};
    int rc = mr_fail(&error, MR_ETIMEDOUT, "TLS: handshake");

    finish(timer->owner, rc, &error);
}

int tls_handshake_start(struct mr_net *net, struct mr_tls_context *context, int fd,
                        const char *server_name, int64_t timeout_ms, tls_handshake_cb cb,
                        void *owner, struct tls_handshake **ret_handshake, struct mr_error *error)
{
    struct tls_handshake *handshake = mr_calloc(1, sizeof *handshake);
    SSL_SESSION *session;
    int rc;

    if (handshake == NULL) {
        return mr_fail(error, MR_ENOMEM, "TLS");
    }
    handshake->net = net;
    handshake->cb = cb;
    handshake->owner = owner;
    mr_list_init(&handshake->link);
    mr_timer_init(&handshake->timer, net->loop, on_timeout, handshake);
    rc = mr_timer_start(&handshake->timer, timeout_ms);
    if (rc != 0) {
        mr_fail(error, rc, "TLS");
        goto free_handshake;
    }
    rc = tls_stream_new(net, context, fd, server_name, &handshake->stream, error);
    if (rc != 0) {
        goto free_handshake;
    }
    handshake->stream->handshake = handshake;
    session = server_name != NULL ? tls_context_take_session(context, server_name) : NULL;
    if (session != NULL) {
        (void)SSL_set_session(handshake->stream->ssl, session); /* else a full handshake */
        SSL_SESSION_free(session);
    }
    make_due(handshake);
    *ret_handshake = handshake;
    return 0;
free_handshake:
    handshake_free(handshake);
    return rc;
}

void tls_handshake_cancel(struct tls_handshake *handshake)
{
    struct tls_stream *stream = handshake->stream;

    handshake_free(handshake);
    tls_stream_drop(stream);
}
