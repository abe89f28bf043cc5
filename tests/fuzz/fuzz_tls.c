/* Any bytes as the words of a TLS peer, in cuts that the input chooses, at our seam: a handshake over a
 * socket pair, and what follows it. The first byte says which side is ours (128 and more: we connect)
 * and the size of the cuts (0: all at once). */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/error.h"
#include "base/core/loop.h"
#include "base/net/net_internal.h"
#include "base/net/tls.h"
#include "base/net/tls_internal.h"
#include "tests/lib/test_certs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_readable(struct mr_stream *stream, void *owner)
{
    char waste[1024];

    (void)owner;
    while (mr_stream_read(stream, waste, sizeof waste) > 0) {
    }
}

static const struct mr_stream_events events = {.on_readable = on_readable};

struct outcome {
    struct tls_handshake *handshake;
    struct mr_stream *stream;
};

static void on_done(void *owner, int rc, struct mr_stream *stream, const struct mr_error *error)
{
    struct outcome *outcome = owner;

    outcome->handshake = NULL;
    if (rc == 0) {
        outcome->stream = stream;
        mr_stream_set_events(stream, &events, NULL);
    } else {
        mr_assert(error->text[0] != '\0');
    }
}

/* One certificate for all inputs. */
static struct mr_tls_context *context_new(void)
{
    struct test_cert cert = {.subject = "x", .names = "DNS:localhost"};
    char directory[] = "/tmp/millrace-fuzz-XXXXXX";
    char paths[3][64];
    struct mr_tls_config config = {
        .cert = paths[0], .key = paths[1], .ca = paths[2], .clients = MR_TLS_CLIENTS_OPTIONAL};
    struct mr_tls_context *context = NULL;
    struct test_ca ca;

    mr_assert(mkdtemp(directory) != NULL);
    test_ca_init(&ca, directory, "ca");
    (void)test_ca_issue(&ca, directory, "x", &cert);
    test_ca_done(&ca);
    (void)snprintf(paths[0], sizeof paths[0], "%s/x.pem", directory);
    (void)snprintf(paths[1], sizeof paths[1], "%s/x.key", directory);
    (void)snprintf(paths[2], sizeof paths[2], "%s/ca.pem", directory);
    mr_assert(mr_tls_context_new(&config, NULL, &context, NULL) == 0);
    for (int i = 0; i < 3; i++) {
        (void)unlink(paths[i]);
    }
    (void)rmdir(directory);
    return context;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mr_tls_context *context;
    struct outcome outcome = {0};
    struct mr_loop *loop = NULL;
    struct mr_net *net = NULL;
    size_t step;
    int fds[2];

    if (size < 2) {
        return 0;
    }
    if (context == NULL) {
        context = context_new();
    }
    step = (data[0] & 127) == 0 ? size : data[0] & 127;
    mr_assert(mr_loop_new(mr_clock_system(), &loop, NULL) == 0);
    mr_assert(mr_net_new(loop, NULL, &net) == 0);
    net->handshakes_inline = true;
    mr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    mr_assert(tls_handshake_start(net, context, fds[0], data[0] >= 128 ? "localhost" : NULL, 1000,
                                  on_done, &outcome, &outcome.handshake, NULL) == 0);
    if (data[0] >= 128) {
        mr_loop_turn(loop, 0); /* our hello comes first */
    }
    for (size_t at = 1; at < size; at += step) {
        size_t part = size - at < step ? size - at : step;

        (void)!send(fds[1], data + at, part, MSG_NOSIGNAL);
        mr_loop_turn(loop, 0);
        mr_loop_turn(loop, 0);
    }
    (void)close(fds[1]);
    for (int i = 0; i < 4; i++) {
        mr_loop_turn(loop, 0);
    }
    if (outcome.handshake != NULL) {
        tls_handshake_cancel(outcome.handshake);
    }
    if (outcome.stream != NULL) {
        mr_stream_close(outcome.stream, false);
    }
    mr_net_free(net);
    mr_loop_turn(loop, 0);
    mr_loop_free(loop);
    return 0;
}
