/* Handshakes, on both sides.
 *
 *   WAITING -ready-> DUE -its turn-> WORKING -> WAITING, or the stream is handed over
 *
 * Happy path: the descriptor is ready -> the handshake waits in the network's line -> a worker lets
 * OpenSSL take a step -> what it has to say is sent -> ... -> the stream is handed over. Failures:
 * the peer goes, is refused, refuses us, or takes too long; the callback gets the words.
 *
 * Steps are a worker's, since they may sign with a private key (0.04 ms for P-256, 1 ms for RSA
 * 2048, 7 ms for RSA 4096) and verify chains: a flood of handshakes slows other handshakes, oldest
 * first, and connections that are open keep their loop. While the worker has it nobody else touches
 * the stream; one that is cancelled meanwhile is an orphan, which goes when the worker is done. */
#include <openssl/err.h>

#include "base/core/memory.h"
#include "base/core/workers.h"
#include "base/net/net_internal.h"
#include "base/net/tls.h"
#include "base/net/tls_stream.h"

/* With one worker: a step is ready when it has finished another, and the line keeps its order. */
enum { WORKING_MAX = 2 };

struct tls_handshake {
    struct mr_link link; /* in the network's line while a step is due */
    struct mr_net *net;
    struct tls_stream *stream;
    struct mr_timer timer;
    tls_handshake_cb cb;
    void *owner;
    bool is_working;
    bool is_orphan; /* nobody wants it any more */
    bool has_heard;
    struct mr_work work;
    int rc; /* the step's: 1 done, 0 goes on, or a negative code with words */
    struct mr_error error;
};

static void handshake_free(struct tls_handshake *handshake)
{
    mr_list_remove(&handshake->link);
    mr_timer_stop(&handshake->timer);
    mr_free(handshake);
}

/* Lets go of it, now or when the worker is done. */
static void drop(struct tls_handshake *handshake)
{
    if (handshake->is_working) {
        mr_timer_stop(&handshake->timer);
        mr_io_stop(&handshake->stream->io);
        handshake->is_orphan = true;
        return;
    }
    tls_stream_drop(handshake->stream);
    handshake_free(handshake);
}

static void fail(struct tls_handshake *handshake, enum tls_failure failure, int rc,
                 const struct mr_error *error)
{
    struct mr_error words = *error;
    tls_handshake_cb cb = handshake->cb;
    void *owner = handshake->owner;

    net_count_tls_failure(handshake->net, failure);
    drop(handshake);
    cb(owner, rc, NULL, &words);
}

static void finish(struct tls_handshake *handshake)
{
    struct tls_stream *stream = handshake->stream;
    struct mr_net *net = handshake->net;
    tls_handshake_cb cb = handshake->cb;
    void *owner = handshake->owner;

    handshake_free(handshake);
    net_count(net, NET_TLS_HANDSHAKES, 1);
    if (SSL_session_reused(stream->ssl) == 1) {
        net_count(net, NET_TLS_RESUMED, 1);
    }
    tls_stream_begin(stream);
    cb(owner, 0, &stream->stream, NULL);
}

/* On a worker. OpenSSL's errors are the thread's, so the words are made here. */
static void step(struct mr_work *work)
{
    struct tls_handshake *handshake = work->owner;
    struct tls_stream *stream = handshake->stream;
    int ssl_error;
    int rc;

    ERR_clear_error();
    rc = SSL_do_handshake(stream->ssl);
    if (rc == 1) {
        handshake->rc = 1;
        return;
    }
    ssl_error = SSL_get_error(stream->ssl, rc);
    handshake->rc = ssl_error == SSL_ERROR_WANT_READ || ssl_error == SSL_ERROR_WANT_WRITE
                        ? 0
                        : tls_fail(&handshake->error, stream, ssl_error);
    ERR_clear_error();
}

static void after_step(struct tls_handshake *handshake)
{
    struct tls_stream *stream = handshake->stream;
    int flushed;

    if (handshake->rc < 0) {
        fail(handshake, stream->failure, handshake->rc, &handshake->error);
        return;
    }
    flushed = tls_stream_flush(stream);
    if (flushed != 0 && flushed != MR_EAGAIN) {
        mr_fail_text(&handshake->error, MR_ENETWORK,
                     "TLS: the connection broke during the handshake");
        fail(handshake, TLS_FAILURE_GONE, MR_ENETWORK, &handshake->error);
    } else if (handshake->rc == 1) { /* what the kernel did not take yet is sent by the stream */
        finish(handshake);
    } else {
        mr_io_want(&stream->io, flushed == MR_EAGAIN ? MR_IO_READ | MR_IO_WRITE : MR_IO_READ);
    }
}

static void on_step_done(struct mr_work *work)
{
    struct tls_handshake *handshake = work->owner;
    struct mr_tls_context *context = handshake->stream->context;

    handshake->is_working = false;
    handshake->net->handshakes_working--;
    if (handshake->is_orphan) {
        drop(handshake);
    } else {
        mr_task_post(&handshake->net->handshakes_task);
        after_step(handshake);
    }
    mr_tls_context_free(context); /* the worker's hold on it */
}

void tls_handshakes_step(struct mr_task *task)
{
    struct mr_net *net = task->owner;
    struct mr_workers *workers = net->handshakes_inline ? NULL : net_handshakers(net);
    struct mr_link *link;

    while (net->handshakes_working < WORKING_MAX &&
           (link = mr_list_pop(&net->handshakes_due)) != NULL) {
        struct tls_handshake *handshake = mr_container(link, struct tls_handshake, link);

        handshake->work = (struct mr_work){.run = step, .done = on_step_done, .owner = handshake};
        handshake->is_working = true;
        net->handshakes_working++;
        tls_context_ref(handshake->stream->context);
        if (workers == NULL || mr_workers_submit(workers, &handshake->work) != 0) {
            step(&handshake->work); /* no thread can be had: slower, but it works */
            on_step_done(&handshake->work);
            mr_task_post(task);
            break;
        }
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
    handshake->has_heard = true;
    mr_io_want(&handshake->stream->io, 0); /* its turn comes */
    make_due(handshake);
}

static void on_timeout(struct mr_timer *timer)
{
    struct mr_error error = {0};
    int rc = mr_fail(&error, MR_ETIMEDOUT, "TLS: handshake");

    fail(timer->owner, TLS_FAILURE_TIMEOUT, rc, &error);
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
    if (server_name != NULL) {
        make_due(handshake);
    } else {
        mr_io_want(&handshake->stream->io, MR_IO_READ); /* the silent cost no worker's time */
    }
    *ret_handshake = handshake;
    return 0;
free_handshake:
    handshake_free(handshake);
    return rc;
}

bool tls_handshake_has_heard(const struct tls_handshake *handshake)
{
    return handshake->has_heard;
}

void tls_handshake_cancel(struct tls_handshake *handshake)
{
    drop(handshake);
}
