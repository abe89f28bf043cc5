/* Any bytes, in cuts that the input chooses, through the HTTP server over a pair in memory. The
 * first byte is the size of the cuts, the second one how the handlers answer. */
#include <stddef.h>
#include <stdint.h>

#include "base/core/clock.h"
#include "base/core/error.h"
#include "base/net/http_server.h"
#include "tests/lib/stream_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t stopped_us(struct mr_clock *clock)
{
    (void)clock;
    return 1;
}

static void handle_any(struct mr_http_exchange *exchange, void *owner)
{
    static const struct mr_http_stream_events none;
    const uint8_t *mode = owner;
    struct mr_bytes body;
    char value[16];

    (void)mr_http_query(exchange, "q", value, sizeof value);
    (void)mr_http_header(exchange, "accept");
    mr_http_wipe_header(exchange, "authorization");
    mr_assert(mr_http_header(exchange, "authorization") == NULL ||
              mr_http_header(exchange, "authorization")[0] == '\0');
    if ((*mode & 1) != 0) {
        mr_http_stream_start(exchange, 200, "text/plain", &none, NULL);
        (void)mr_http_stream_write(exchange, value, sizeof value);
        mr_http_stream_end(exchange);
        return;
    }
    mr_bytes_init(&body);
    mr_bytes_append(&body, mr_http_body(exchange)->data, mr_http_body(exchange)->size_bytes);
    if (mr_http_param(exchange, 0) != NULL) {
        mr_http_add_header(exchange, "X-Param", mr_http_param(exchange, 0));
    }
    mr_http_respond(exchange, 200, "text/plain", &body);
}

static void on_readable(struct mr_stream *stream, void *owner)
{
    char waste[4096];

    (void)owner;
    while (mr_stream_read(stream, waste, sizeof waste) > 0) {
    }
}

static const struct mr_stream_events client_events = {.on_readable = on_readable};

static const struct mr_http_route routes[] = {
    {.method = "GET", .path = "/{a}/b/*", .handler = handle_any},
    {.method = "POST", .path = "/", .handler = handle_any, .body_size_bytes_max = 64},
    {0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_clock clock = {stopped_us, stopped_us};
    struct mr_http_config config = {0};
    struct stream_pair_options options = {0};
    struct mr_stream_piece piece = {0};
    struct mr_http_server *server = NULL;
    struct mr_stream *one = NULL;
    struct mr_stream *other = NULL;
    uint8_t mode;

    if (size < 3) {
        return 0;
    }
    options.step_size_bytes = data[0];
    mode = data[1];
    piece.slice = (struct mr_slice){.data = data + 2, .size_bytes = size - 2};
    mr_assert(mr_loop_new_virtual(&clock, &config.loop) == 0);
    config.owner = &mode;
    mr_assert(mr_http_server_new(&config, routes, &server) == 0);
    mr_assert(stream_pair_new(config.loop, &options, &one, &other) == 0);
    mr_assert(mr_http_server_take(server, one) == 0);
    mr_stream_set_events(other, &client_events, NULL);
    mr_assert(mr_stream_send(other, &piece) == 0);
    mr_stream_shutdown(other);
    for (size_t i = 0; i < size + 200; i++) {
        mr_loop_turn(config.loop, 0);
    }
    mr_stream_close(other, false);
    mr_http_server_free(server);
    mr_loop_free(config.loop);
    return 0;
}
