/* The HTTP server over a pair of streams in memory, on a virtual loop with a clock that moves when
 * told: routing, limits, slow and vanishing clients, pipelining, streams, and any cutting of the
 * bytes. */
#include "base/net/http_server.h"

#include <stdio.h>
#include <string.h>

#include "base/core/clock.h"
#include "base/core/memory.h"
#include "base/core/random.h"
#include "tests/lib/net_fixture.h"
#include "tests/lib/stream_pair.h"
#include "tests/lib/test.h"

struct moved_clock {
    struct mr_clock base;
    int64_t now_us;
};

static int64_t moved_now(struct mr_clock *clock)
{
    return mr_container(clock, struct moved_clock, base)->now_us;
}

struct http_fixture {
    struct moved_clock clock;
    struct mr_loop *loop;
    struct mr_http_server *server;
    struct net_end client;
    struct mr_stream_piece piece;
    struct mr_http_exchange *held; /* by the handler that answers later */
    int closed;                    /* on_closed calls */
    int drained;
    bool wants_token;
};

static void handle_hello(struct mr_http_exchange *exchange, void *owner)
{
    char name[32] = "world";

    (void)owner;
    (void)mr_http_query(exchange, "name", name, sizeof name);
    mr_http_respond_text(exchange, 200, "hello %s", name);
}

static void handle_echo(struct mr_http_exchange *exchange, void *owner)
{
    struct mr_bytes body;

    (void)owner;
    mr_bytes_init(&body);
    mr_bytes_append(&body, mr_http_body(exchange)->data, mr_http_body(exchange)->size_bytes);
    mr_http_respond(exchange, 200, "application/octet-stream", &body);
}

static void handle_params(struct mr_http_exchange *exchange, void *owner)
{
    (void)owner;
    mr_http_respond_text(exchange, 200, "<%s><%s>", mr_http_param(exchange, 0),
                         mr_http_param(exchange, 1) != NULL ? mr_http_param(exchange, 1) : "-");
}

static void on_closed(struct mr_http_exchange *exchange, void *owner)
{
    struct http_fixture *f = owner;

    CHECK(f->held == exchange);
    f->held = NULL;
    f->closed++;
}

static void on_drained(struct mr_http_exchange *exchange, void *owner)
{
    (void)exchange;
    ((struct http_fixture *)owner)->drained++;
}

static const struct mr_http_stream_events live_events = {on_drained, on_closed};

static void handle_later(struct mr_http_exchange *exchange, void *owner)
{
    struct http_fixture *f = owner;

    f->held = exchange;
    mr_http_on_closed(exchange, on_closed, f);
}

static void handle_live(struct mr_http_exchange *exchange, void *owner)
{
    struct http_fixture *f = owner;

    f->held = exchange;
    mr_http_stream_start(exchange, 200, "text/event-stream", &live_events, f);
}

static int authorize(void *owner, struct mr_http_exchange *exchange, int auth)
{
    const char *token = mr_http_header(exchange, "AUTHORIZATION");

    (void)owner;
    if (auth == 0) {
        return 0;
    }
    return token == NULL ? 401 : strcmp(token, "Bearer x") == 0 ? 0 : 403;
}

static const struct mr_http_route routes[] = {
    {.method = "GET", .path = "/hello", .handler = handle_hello},
    {.method = "POST", .path = "/echo", .handler = handle_echo, .body_size_bytes_max = 1000},
    {.method = "GET", .path = "/topics/{topic}/at/{offset}", .handler = handle_params},
    {.method = "GET", .path = "/console/*", .handler = handle_params},
    {.method = "GET", .path = "/secret", .handler = handle_hello, .auth = 1},
    {.method = "GET", .path = "/later", .handler = handle_later},
    {.method = "GET", .path = "/live", .handler = handle_live},
    {0},
};

static struct http_fixture *fixture_new(size_t step)
{
    struct http_fixture *f = mr_calloc(1, sizeof *f);
    struct mr_http_config config = {.authorize = authorize, .owner = f, .name = "test"};
    struct stream_pair_options options = {.step_size_bytes = step, .pipe_size_bytes = 1 << 16};
    struct mr_stream *one = NULL;
    struct mr_stream *other = NULL;

    f->clock = (struct moved_clock){{moved_now, moved_now}, 1000000};
    CHECK_EQ(mr_loop_new_virtual(&f->clock.base, &f->loop), 0);
    config.loop = f->loop;
    CHECK_EQ(mr_http_server_new(&config, routes, &f->server), 0);
    CHECK_EQ(stream_pair_new(f->loop, &options, &one, &other), 0);
    CHECK_EQ(mr_http_server_take(f->server, one), 0);
    mr_bytes_init(&f->client.got);
    net_end_open(&f->client, other);
    return f;
}

static void fixture_free(struct http_fixture *f)
{
    mr_http_server_free(f->server);
    net_end_close(&f->client, false);
    mr_bytes_done(&f->client.got);
    mr_loop_free(f->loop);
    mr_free(f);
}

static void turn(struct http_fixture *f, int count)
{
    for (int i = 0; i < count; i++) {
        mr_loop_turn(f->loop, 0);
    }
}

static void pass_ms(struct http_fixture *f, int64_t ms)
{
    f->clock.now_us += ms * 1000;
    turn(f, 50);
}

static void put(struct http_fixture *f, const char *text)
{
    f->piece = (struct mr_stream_piece){
        .slice = {.data = (const uint8_t *)text, .size_bytes = strlen(text)}};
    CHECK_EQ(mr_stream_send(f->client.stream, &f->piece), 0);
    for (int i = 0; i < 100000 && mr_stream_queued_bytes(f->client.stream) > 0; i++) {
        turn(f, 1);
    }
    turn(f, 400);
}

/* What came back since the last call, as text. */
static const char *answer(struct http_fixture *f)
{
    static char text[8192]; /* one thread */
    size_t size = f->client.got.size_bytes;

    CHECK(size < sizeof text);
    if (size > 0) {
        memcpy(text, f->client.got.data, size);
    }
    text[size] = '\0';
    mr_bytes_clear(&f->client.got);
    return text;
}

static const char *ask(struct http_fixture *f, const char *text)
{
    put(f, text);
    return answer(f);
}

/* A connection of its own: what comes, and that the connection ends or stays. */
static void check_one(const char *request, const char *status, const char *part, bool is_kept)
{
    struct http_fixture *f = fixture_new(0);
    const char *text = ask(f, request);

    CHECK_HAS(text, status);
    CHECK_HAS(text, part);
    CHECK_EQ(f->client.ended, is_kept ? 0 : MR_EOF);
    fixture_free(f);
}

TEST(http_server, routes)
{
    check_one("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n",
              "\r\n\r\nhello world\n", true);
    check_one("GET /hello?a=b&name=J%C3%BC+r HTTP/1.1\r\nHost: x\r\n\r\n", "200",
              "hello J\xc3\xbc r\n", true);
    check_one("GET /topics/a%2Fb/at/7?x HTTP/1.1\r\nHost: x\r\n\r\n", "200", "<a/b><7>\n", true);
    check_one("GET /console/js/app.js HTTP/1.1\r\nHost: x\r\n\r\n", "200", "<js/app.js><->\n",
              true);
    check_one("GET /console/ HTTP/1.1\r\nHost: x\r\n\r\n", "200", "<><->\n", true);
    check_one("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "200",
              "\r\n\r\nabc", true);
    check_one("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
              "chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
              "200", "\r\n\r\nabc", true);
}

TEST(http_server, refuses_what_it_does_not_have)
{
    check_one("GET /nope HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found", "no such path", true);
    check_one("GET /topics//at/7 HTTP/1.1\r\nHost: x\r\n\r\n", "404", "", true);
    check_one("GET /topics/a/at/7/ HTTP/1.1\r\nHost: x\r\n\r\n", "404", "", true);
    check_one("POST /hello HTTP/1.1\r\nHost: x\r\n\r\n", "405", "Allow: GET, HEAD\r\n", true);
    check_one("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", "405", "Allow: POST\r\n", true);
    check_one("GET /topics/%zz/at/1 HTTP/1.1\r\nHost: x\r\n\r\n", "400", "", true);
    check_one("GET /topics/%00/at/1 HTTP/1.1\r\nHost: x\r\n\r\n", "400", "", true);
    check_one("GET /hello HTTP/1.1\r\n\r\n", "400", "Host", true);
    check_one("GET http://x/hello HTTP/1.1\r\nHost: x\r\n\r\n", "400", "not a path", true);
    check_one("GET /secret HTTP/1.1\r\nHost: x\r\n\r\n", "401", "", true);
    check_one("GET /secret HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer y\r\n\r\n", "403", "",
              true);
    check_one("GET /secret HTTP/1.1\r\nHost: x\r\nauthorization: Bearer x\r\n\r\n", "200", "hello",
              true);
    check_one("NONSENSE\r\n\r\n", "400", "", false);
    check_one("\x16\x03\x01\x02", "400", "", false); /* a TLS hello on a plain port */
    check_one("GET /hello HTTP/9.9\r\nHost: x\r\n\r\n", "HTTP/1.1 ", "", false);
    check_one("POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", "404", "", false);
}

/* Two ideas of where a message ends are how requests are smuggled (RFC 9112, 11.2). */
TEST(http_server, refuses_two_lengths)
{
    check_one("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: "
              "chunked\r\n\r\n0\r\n\r\n",
              "400", "", false);
    check_one(
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "400", "", false);
    check_one("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, x\r\n\r\nabc", "400",
              "", false);
}

TEST(http_server, bounds_what_is_sent)
{
    char big[24 * 1024];
    struct http_fixture *f = fixture_new(0);
    int used;

    (void)snprintf(big, sizeof big, "GET /hello HTTP/1.1\r\nHost: x\r\nX: %20000d\r\n\r\n", 1);
    CHECK_HAS(ask(f, big), "431 ");
    CHECK_EQ(f->client.ended, MR_EOF);
    fixture_free(f);

    f = fixture_new(0);
    used = snprintf(big, sizeof big, "GET /hello HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 70; i++) {
        used += snprintf(big + used, sizeof big - (size_t)used, "A%d: b\r\n", i);
    }
    (void)snprintf(big + used, sizeof big - (size_t)used, "\r\n");
    CHECK_HAS(ask(f, big), "431 ");
    fixture_free(f);

    check_one("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", "413", "larger",
              false);
    check_one("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\n",
              "413", "", false);
    f = fixture_new(0);
    used = snprintf(big, sizeof big,
                    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 11; i++) {
        used += snprintf(big + used, sizeof big - (size_t)used, "64\r\n%100d\r\n", 1);
    }
    CHECK_HAS(ask(f, big), "413 ");
    fixture_free(f);
}

TEST(http_server, answers_head_without_a_body)
{
    struct http_fixture *f = fixture_new(0);
    const char *text = ask(f, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n");

    CHECK_HAS(text, "Content-Length: 12\r\n");
    CHECK(strstr(text, "hello") == NULL);
    CHECK_HAS(ask(f, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"), "hello world"); /* still in step */
    fixture_free(f);
}

TEST(http_server, keeps_or_ends_the_connection_as_asked)
{
    check_one("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200",
              "Connection: close\r\n", false);
    check_one("GET /hello HTTP/1.0\r\n\r\n", "200", "hello", false);
    check_one("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200",
              "Connection: keep-alive\r\n", true);
    check_one("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: "
              "h2c\r\n\r\n",
              "200", "hello", true);
}

TEST(http_server, says_continue_only_when_it_would)
{
    struct http_fixture *f = fixture_new(0);

    CHECK_HAS(
        ask(f,
            "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
        "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK_HAS(ask(f, "ab"), "\r\n\r\nab");
    fixture_free(f);
    f = fixture_new(0);
    CHECK(strstr(ask(f, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "
                        "9999\r\n\r\n"),
                 "100 Continue") == NULL);
    fixture_free(f);
}

static int count_of(const char *text, const char *part)
{
    int count = 0;

    for (const char *at = text; (at = strstr(at, part)) != NULL; at++) {
        count++;
    }
    return count;
}

/* Answers come in the order of the requests, however the bytes are cut; a body does not eat the
 * next request, nor does an answer that comes later let the next one overtake. */
TEST(http_server, serves_pipelined_requests_in_order)
{
    for (size_t step = 0; step < 40; step += 3) {
        struct http_fixture *f = fixture_new(step);
        const char *text;

        put(f, "GET /hello?name=1 HTTP/1.1\r\nHost: x\r\n\r\n"
               "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nGET"
               "GET /later HTTP/1.1\r\nHost: x\r\n\r\n"
               "GET /hello?name=4 HTTP/1.1\r\nHost: x\r\n\r\n");
        for (int i = 0; i < 100000 && f->held == NULL; i++) {
            turn(f, 1);
        }
        CHECK(f->held != NULL);
        turn(f, 1000);
        text = answer(f);
        CHECK_EQ(count_of(text, "HTTP/1.1 200"), 2);
        CHECK(strstr(text, "hello 1") < strstr(text, "\r\n\r\nGET"));
        mr_http_respond_text(f->held, 200, "hello 3");
        turn(f, 3000);
        text = answer(f);
        CHECK_EQ(count_of(text, "HTTP/1.1 200"), 2);
        CHECK(strstr(text, "hello 3") < strstr(text, "hello 4"));
        fixture_free(f);
    }
}

/* A client that floods while its request is handled is left in its socket, and loses nothing. */
TEST(http_server, bounds_what_is_pipelined)
{
    struct http_fixture *f = fixture_new(0);
    struct mr_bytes many;
    struct mr_stream_piece piece;
    int count = 3000; /* 108 KB: more than the buffer and the pipe hold */
    int answered = 0;

    mr_bytes_init(&many);
    put(f, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < count; i++) {
        mr_bytes_text(&many, "GET /hello HTTP/1.1\r\nHost: abc\r\n\r\n");
    }
    piece = (struct mr_stream_piece){.slice = {.data = many.data, .size_bytes = many.size_bytes}};
    CHECK_EQ(mr_stream_send(f->client.stream, &piece), 0);
    turn(f, 1000);
    CHECK(mr_stream_queued_bytes(f->client.stream) > 0);
    mr_http_respond_text(f->held, 200, "now");
    for (int i = 0; i < 20000 && answered < count; i++) {
        turn(f, 5);
        answered += count_of(answer(f), "hello world");
    }
    CHECK_EQ(answered, count);
    mr_bytes_done(&many);
    fixture_free(f);
}

TEST(http_server, ends_slow_clients)
{
    struct http_fixture *f = fixture_new(0);

    put(f, "GET /hello HTTP/1.1\r\nA: "); /* a head that never ends, a byte at a time */
    for (int i = 0; i < 4; i++) {
        pass_ms(f, 2000);
        CHECK_STR(ask(f, "X"), "");
    }
    pass_ms(f, 2500);
    CHECK_HAS(answer(f), "408 ");
    CHECK_EQ(f->client.ended, MR_EOF);
    fixture_free(f);

    f = fixture_new(0); /* a body with a byte now and then */
    put(f, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nabc");
    pass_ms(f, 19000);
    CHECK_STR(ask(f, "d"), "");
    pass_ms(f, 1500);
    CHECK_HAS(answer(f), "408 ");
    fixture_free(f);

    f = fixture_new(0); /* nothing at all */
    pass_ms(f, 59000);
    CHECK_EQ(f->client.ended, 0);
    pass_ms(f, 2000);
    CHECK_EQ(f->client.ended, MR_EOF);
    fixture_free(f);
}

TEST(http_server, tells_the_handler_of_clients_that_go)
{
    struct http_fixture *f = fixture_new(0);

    put(f, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(f->held != NULL);
    stream_pair_cut(f->client.stream);
    turn(f, 10);
    CHECK_EQ(f->closed, 1);
    fixture_free(f);

    f = fixture_new(0); /* ending its side only, it still gets the answer */
    put(f, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    mr_stream_shutdown(f->client.stream);
    turn(f, 10);
    mr_http_respond_text(f->held, 200, "late");
    turn(f, 10);
    CHECK_HAS(answer(f), "late");
    CHECK_EQ(f->client.ended, MR_EOF);
    fixture_free(f);

    f = fixture_new(0); /* and the server's own end */
    put(f, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    mr_http_server_free(f->server);
    f->server = NULL;
    CHECK_EQ(f->closed, 1);
    fixture_free(f);
}

TEST(http_server, streams_chunks)
{
    struct http_fixture *f = fixture_new(0);

    CHECK_HAS(ask(f, "GET /live HTTP/1.1\r\nHost: x\r\n\r\n"), "Transfer-Encoding: chunked\r\n");
    CHECK_EQ(mr_http_stream_write(f->held, "data: 1\n\n", 9), 0);
    turn(f, 5);
    CHECK_STR(answer(f), "9\r\ndata: 1\n\n\r\n");
    mr_http_stream_end(f->held);
    turn(f, 5);
    CHECK_STR(answer(f), "0\r\n\r\n");
    CHECK_HAS(ask(f, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"), "hello"); /* and goes on */
    CHECK_EQ(f->closed, 0);
    fixture_free(f);

    f = fixture_new(0); /* HTTP/1.0 has no chunks: the end of the connection is the end */
    CHECK_HAS(ask(f, "GET /live HTTP/1.0\r\n\r\n"), "\r\n\r\n");
    CHECK_EQ(mr_http_stream_write(f->held, "abc", 3), 0);
    mr_http_stream_end(f->held);
    turn(f, 10);
    CHECK_STR(answer(f), "abc");
    CHECK_EQ(f->client.ended, MR_EOF);
    fixture_free(f);
}

/* A reader that stops is told of by MR_EFULL, is waited for, and is ended when it never comes back.
 */
TEST(http_server, holds_streams_back)
{
    static char data[16 * 1024];
    struct http_fixture *f = fixture_new(0);
    int written = 0;

    put(f, "GET /live HTTP/1.1\r\nHost: x\r\n\r\n");
    mr_bytes_clear(&f->client.got);
    f->client.discards = true;
    f->client.reads_nothing = true;
    while (written < 1000 && mr_http_stream_write(f->held, data, sizeof data) == 0) {
        turn(f, 1);
        written++;
    }
    CHECK(written > 10 && written < 40); /* 256 KiB and a pipe */
    f->client.reads_nothing = false;
    mr_stream_pause(f->client.stream, false);
    turn(f, 200);
    CHECK_EQ(f->drained, 1);
    CHECK_EQ(mr_http_stream_write(f->held, data, sizeof data), 0);
    turn(f, 50);
    f->client.reads_nothing = true;
    while (mr_http_stream_write(f->held, data, sizeof data) == 0) {
        turn(f, 1);
    }
    pass_ms(f, 21000);
    pass_ms(f, 21000);
    CHECK_EQ(f->closed, 1);
    fixture_free(f);
}

/* Whatever bytes come, in whatever cuts, the server answers or ends, and never hangs on to memory
 * (the sanitizer's part). */
TEST(http_server, survives_noise)
{
    static const char *const seeds[] = {
        "GET /hello?name=x HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    };
    struct mr_random_seeded random;

    mr_random_seeded_init(&random, test_seed());
    for (int round = 0; round < 300; round++) {
        struct http_fixture *f = fixture_new(1 + mr_random_below(&random.base, 30));
        char text[256];
        size_t size;

        (void)snprintf(text, sizeof text, "%s", seeds[round % 2]);
        size = strlen(text);
        for (int i = 0; i < 3; i++) {
            text[mr_random_below(&random.base, size)] =
                (char)(1 + mr_random_below(&random.base, 255));
        }
        put(f, text);
        if (f->held != NULL) {
            mr_http_respond_text(f->held, 200, "x");
        }
        fixture_free(f);
    }
}
