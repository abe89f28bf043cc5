/* The simulated network keeps the contract of the real one, so that what runs on it means
 * something: connections, refusals, delays, partitions, resets. */
#include <string.h>

#include "base/core/clock.h"
#include "base/core/list.h"
#include "tests/lib/net_fixture.h"
#include "tests/lib/sim_net.h"
#include "tests/lib/test.h"

struct moved_clock {
    struct mr_clock base;
    int64_t now_us;
};

struct sim_fixture {
    struct moved_clock clock;
    struct mr_loop *loops[2];
    struct mr_net *nets[2];
    struct sim_wire *wire;
    struct mr_listener *listener;
    struct mr_address address;
    struct net_end server;
    struct net_end client;
    int calls;
    int rc;
};

static int64_t moved_now(struct mr_clock *clock)
{
    return mr_container(clock, struct moved_clock, base)->now_us;
}

static void on_accepted(struct mr_listener *listener, void *owner, struct mr_stream *stream)
{
    (void)listener;
    net_end_open(&((struct sim_fixture *)owner)->server, stream);
}

static void on_connected(void *owner, int rc, struct mr_stream *stream,
                         const struct mr_error *error)
{
    struct sim_fixture *f = owner;

    (void)error;
    f->calls++;
    f->rc = rc;
    if (rc == 0) {
        net_end_open(&f->client, stream);
    }
}

static void pass_us(struct sim_fixture *f, int64_t us)
{
    f->clock.now_us += us;
    for (int i = 0; i < 10; i++) {
        mr_loop_turn(f->loops[i % 2], 0);
    }
}

static void dial(struct sim_fixture *f)
{
    struct mr_connect_options options = {.timeout_ms = 3000};
    struct mr_connect *connect = NULL;

    CHECK_EQ(mr_net_connect(f->nets[1], &f->address, &options, on_connected, f, &connect), 0);
}

static void open_all(struct sim_fixture *f)
{
    struct mr_listen_options options = {0};

    *f = (struct sim_fixture){.clock = {{moved_now, moved_now}, 1000000}};
    f->wire = sim_wire_new();
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(mr_loop_new_virtual(&f->clock.base, &f->loops[i]), 0);
        f->nets[i] = sim_net_new(f->wire, f->loops[i], i == 0 ? "hub" : "edge");
    }
    CHECK_EQ(mr_address_parse("0.0.0.0:9092", 0, &f->address, NULL), 0);
    CHECK_EQ(mr_net_listen(f->nets[0], &f->address, &options, on_accepted, f, &f->listener, NULL),
             0);
    CHECK_EQ(mr_address_parse("hub:9092", 0, &f->address, NULL), 0);
}

static void close_all(struct sim_fixture *f)
{
    net_end_close(&f->client, false);
    net_end_close(&f->server, false);
    mr_bytes_done(&f->client.got);
    mr_bytes_done(&f->server.got);
    mr_listener_close(f->listener);
    for (int i = 0; i < 2; i++) {
        mr_net_free(f->nets[i]);
        mr_loop_free(f->loops[i]);
    }
    sim_wire_free(f->wire);
}

TEST(sim_net, connects_delays_parts_and_resets)
{
    struct mr_stream_piece piece = {.slice = {.data = (const uint8_t *)"hello", .size_bytes = 5}};
    struct sim_fixture f;

    open_all(&f);
    sim_wire_delay(f.wire, 1000);
    dial(&f);
    pass_us(&f, 1999);
    CHECK_EQ(f.calls, 0);
    pass_us(&f, 1);
    CHECK_EQ(f.calls, 1);
    CHECK_EQ(f.rc, 0);
    CHECK(f.server.stream != NULL);
    CHECK_EQ(mr_listener_connections(f.listener), 1);
    CHECK_EQ(mr_stream_send(f.client.stream, &piece), 0);
    pass_us(&f, 0);
    CHECK_EQ(f.server.got_bytes, 0);
    pass_us(&f, 1000);
    CHECK_EQ(f.server.got_bytes, 5);

    sim_wire_part(f.wire, "edge", "hub", true);
    CHECK_EQ(mr_stream_send(f.client.stream, &piece), 0);
    pass_us(&f, 1000000);
    CHECK_EQ(f.server.got_bytes, 5);
    dial(&f);
    for (int i = 0; i < 4; i++) {
        pass_us(&f, 1000000);
    }
    CHECK_EQ(f.calls, 2);
    CHECK_EQ(f.rc, MR_ETIMEDOUT);
    sim_wire_part(f.wire, "hub", "edge", false);
    pass_us(&f, 1000);
    CHECK_EQ(f.server.got_bytes, 10);

    sim_wire_reset(f.wire, "hub", "edge");
    pass_us(&f, 0);
    CHECK_EQ(f.server.ended, MR_ENETWORK);
    CHECK_EQ(f.client.ended, MR_ENETWORK);
    close_all(&f);
}

TEST(sim_net, refuses_where_nobody_listens)
{
    struct sim_fixture f;

    open_all(&f);
    f.address.port++;
    dial(&f);
    pass_us(&f, 0);
    CHECK_EQ(f.calls, 1);
    CHECK_EQ(f.rc, MR_ENETWORK);
    close_all(&f);
}
