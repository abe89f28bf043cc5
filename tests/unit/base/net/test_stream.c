/* Streams over real sockets and over a pair in memory: order of pieces, file ranges, marks, shares
 * of a turn, pushing back, ends, resets, and closing at every moment. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/core/random.h"
#include "base/net/net_internal.h"
#include "base/net/socket.h"
#include "base/net/stream_internal.h"
#include "tests/lib/net_fixture.h"
#include "tests/lib/stream_pair.h"
#include "tests/lib/test.h"

struct counted {
    struct mr_stream_piece piece;
    int calls;
    int rc;
};

static void on_sent(struct mr_stream_piece *piece, int rc)
{
    struct counted *counted = mr_container(piece, struct counted, piece);

    counted->calls++;
    counted->rc = rc;
}

static struct counted memory_piece(const void *data, size_t size, bool more)
{
    return (struct counted){
        .piece = {.slice = {.data = data, .size_bytes = size}, .more = more, .sent = on_sent}};
}

static struct counted file_piece(struct mr_disk *disk, int fd, int64_t position, int64_t size,
                                 bool more)
{
    return (struct counted){.piece = {.disk = disk,
                                      .fd = fd,
                                      .position = position,
                                      .size_bytes = size,
                                      .more = more,
                                      .sent = on_sent}};
}

/* A file of size bytes whose content tells its position. */
static int pattern_file(struct net_fixture *f, int64_t size, uint8_t **ret_data)
{
    uint8_t *data = mr_malloc((size_t)size);
    char path[128];
    int fd = -1;

    for (int64_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
    }
    (void)snprintf(path, sizeof path, "%s/data", f->directory);
    mr_assert(mr_disk_open(mr_disk_system(), path, MR_DISK_WRITE | MR_DISK_CREATE, &fd, NULL) == 0);
    mr_assert(mr_disk_pwrite(mr_disk_system(), fd, data, (size_t)size, 0) == 0);
    *ret_data = data;
    return fd;
}

/* Memory and file ranges leave in the order in which they were queued, over TCP and Unix sockets,
 * from disks with and without real descriptors. */
static void check_order(bool is_unix, struct mr_disk *disk)
{
    struct net_fixture *f = net_fixture_new();
    uint8_t *data = NULL;
    int fd = pattern_file(f, 3 << 20, &data);
    struct counted pieces[] = {
        memory_piece("head", 4, true),     file_piece(disk, fd, 5, 3000000, true),
        memory_piece("", 0, true),         memory_piece("mid", 3, true),
        file_piece(disk, fd, 0, 0, false), file_piece(disk, fd, 100, 1, false),
        memory_piece("tail", 4, false),
    };
    size_t count = sizeof pieces / sizeof pieces[0];
    int64_t total = 4 + 3000000 + 3 + 1 + 4;
    const uint8_t *got;

    net_fixture_connect(f, is_unix);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(mr_stream_send(f->client.stream, &pieces[i].piece), 0);
        CHECK_EQ(pieces[i].calls, 0);
    }
    CHECK_EQ(mr_stream_queued_bytes(f->client.stream), total);
    CHECK(NET_UNTIL(f, f->server.got_bytes == total));
    CHECK_EQ(mr_stream_queued_bytes(f->client.stream), 0);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(pieces[i].calls, 1);
        CHECK_EQ(pieces[i].rc, 0);
    }
    got = f->server.got.data;
    CHECK(memcmp(got, "head", 4) == 0);
    CHECK(memcmp(got + 4, data + 5, 3000000) == 0);
    CHECK(memcmp(got + 3000004, "mid", 3) == 0);
    CHECK_EQ(got[3000007], data[100]);
    CHECK(memcmp(got + 3000008, "tail", 4) == 0);
    (void)close(fd);
    mr_free(data);
    net_fixture_free(f);
}

TEST(stream, keeps_the_order_of_memory_and_file_ranges)
{
    struct mr_disk other = {mr_disk_system()->ops}; /* not the system's own: copied, not sendfile */

    check_order(false, mr_disk_system());
    check_order(true, mr_disk_system());
    check_order(false, &other);
}

/* False: it should have been cold, and was not. */
static bool send_cold(void)
{
    struct net_fixture *f = net_fixture_new();
    uint8_t *data = NULL;
    int64_t size = 2 << 20;
    int fd = pattern_file(f, size, &data);
    struct counted piece = file_piece(mr_disk_system(), fd, 0, size, false);
    uint8_t byte;
    struct iovec part = {&byte, 1};
    bool is_cold;
    bool is_as_meant;

    net_fixture_connect(f, false);
    CHECK_EQ(fsync(fd), 0);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    is_cold = mr_disk_system()->ops->preadv_cached(mr_disk_system(), fd, &part, 1, 0) == MR_EAGAIN;
    CHECK_EQ(mr_stream_send(f->client.stream, &piece.piece), 0);
    CHECK(NET_UNTIL(f, f->server.got_bytes == size));
    CHECK(memcmp(f->server.got.data, data, (size_t)size) == 0);
    is_as_meant = !is_cold || f->net->metrics->values[NET_COLD_READS] > 0;
    (void)close(fd);
    mr_free(data);
    net_fixture_free(f);
    return is_as_meant;
}

/* A range that is not in memory is read by a worker; the loop only waits for the mail. Where the
 * file system keeps pages although asked not to, nothing is cold and only the bytes are checked;
 * and the kernel may read ahead of us when we are slow, but not each time. */
TEST(stream, sends_cold_ranges)
{
    int tries = 1;

    while (!send_cold() && tries < 50) {
        tries++;
    }
    CHECK_LT(tries, 50);
}

/* Closing while a worker reads for the stream: the piece is cancelled at once, its file may go. */
TEST(stream, closes_while_a_cold_range_is_read)
{
    struct net_fixture *f = net_fixture_new();
    uint8_t *data = NULL;
    int64_t size = 2 << 20;
    int fd = pattern_file(f, size, &data);
    struct counted piece = file_piece(mr_disk_system(), fd, 0, size, false);

    net_fixture_connect(f, false);
    CHECK_EQ(fsync(fd), 0);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    CHECK_EQ(mr_stream_send(f->client.stream, &piece.piece), 0);
    mr_loop_turn(f->loop, 0);
    net_end_close(&f->client, false);
    CHECK_EQ(piece.calls, 1);
    (void)close(fd);
    mr_free(data);
    CHECK(NET_UNTIL(f, f->server.ended == MR_EOF));
    net_fixture_free(f);
}

/* A range that promises more than its file holds breaks the stream instead of leaving the peer
 * waiting for the rest. */
TEST(stream, breaks_on_a_range_beyond_the_file)
{
    struct mr_disk other = {mr_disk_system()->ops};
    struct mr_disk *disks[] = {mr_disk_system(), &other};

    for (size_t i = 0; i < 2; i++) {
        struct net_fixture *f = net_fixture_new();
        uint8_t *data = NULL;
        int fd = pattern_file(f, 1000, &data);
        struct counted piece = file_piece(disks[i], fd, 900, 200, false);

        net_fixture_connect(f, false);
        CHECK_EQ(mr_stream_send(f->client.stream, &piece.piece), 0);
        CHECK(NET_UNTIL(f, f->client.failed > 0));
        CHECK_EQ(f->client.ended, MR_ETRUNCATED);
        CHECK_EQ(piece.calls, 0);
        CHECK_EQ(mr_stream_send(f->client.stream, &piece.piece), MR_ECANCELED);
        net_end_close(&f->client, false);
        CHECK_EQ(piece.rc, MR_ECANCELED);
        CHECK_EQ(piece.calls, 1);
        (void)close(fd);
        mr_free(data);
        net_fixture_free(f);
    }
}

/* A reader that does not read holds the writer; the queue drains, and says so once, when it reads.
 */
TEST(stream, pushes_back_and_tells_when_drained)
{
    struct net_fixture *f = net_fixture_new();
    size_t size = 16 << 20;
    uint8_t *data = mr_calloc(1, size);
    struct counted piece = memory_piece(data, size, false);

    net_fixture_connect(f, false);
    f->server.reads_nothing = true;
    f->server.discards = true;
    CHECK_EQ(mr_stream_send(f->client.stream, &piece.piece), 0);
    for (int i = 0; i < 200; i++) {
        mr_loop_turn(f->loop, 1);
    }
    CHECK(mr_stream_queued_bytes(f->client.stream) > (1 << 20));
    CHECK_EQ(f->server.got_bytes, 0);
    CHECK_EQ(f->client.drained, 0);
    f->server.reads_nothing = false;
    mr_stream_pause(f->server.stream, false);
    CHECK(NET_UNTIL(f, f->server.got_bytes == (int64_t)size));
    CHECK_EQ(f->client.drained, 1);
    CHECK_EQ(piece.calls, 1);
    net_fixture_free(f);
    mr_free(data);
}

/* One turn writes at most a megabyte of a stream, so others on the loop get theirs. */
TEST(stream, takes_its_share_of_a_turn)
{
    struct mr_loop *loop = NULL;
    struct mr_stream *one = NULL;
    struct mr_stream *other = NULL;
    struct stream_pair_options options = {.pipe_size_bytes = 8 << 20};
    size_t size = 4 << 20;
    uint8_t *data = mr_calloc(1, size);
    struct counted piece = memory_piece(data, size, false);

    CHECK_EQ(mr_loop_new_virtual(mr_clock_system(), &loop), 0);
    CHECK_EQ(stream_pair_new(loop, &options, &one, &other), 0);
    CHECK_EQ(mr_stream_send(one, &piece.piece), 0);
    for (int64_t left = 3; left >= 0; left--) {
        mr_loop_turn(loop, 0);
        CHECK_EQ(mr_stream_queued_bytes(one), left << 20);
    }
    CHECK_EQ(piece.calls, 1);
    mr_stream_close(one, false);
    mr_stream_close(other, false);
    mr_loop_free(loop);
    mr_free(data);
}

TEST(stream, ends_in_good_order_after_what_is_queued)
{
    struct net_fixture *f = net_fixture_new();
    struct counted piece = memory_piece("last words", 10, false);
    struct counted late = memory_piece("late", 4, false);

    net_fixture_connect(f, false);
    CHECK_EQ(mr_stream_send(f->client.stream, &piece.piece), 0);
    mr_stream_shutdown(f->client.stream);
    CHECK_EQ(mr_stream_send(f->client.stream, &late.piece), MR_ECANCELED);
    CHECK(NET_UNTIL(f, f->server.ended != 0));
    CHECK_EQ(f->server.ended, MR_EOF);
    CHECK_EQ(f->server.got.size_bytes, 10);
    piece = memory_piece("answer", 6, false); /* the other direction goes on */
    CHECK_EQ(mr_stream_send(f->server.stream, &piece.piece), 0);
    CHECK(NET_UNTIL(f, f->client.got_bytes == 6));
    net_fixture_free(f);
}

/* A reset reaches a stream that reads, one that is paused, and one that only writes. */
TEST(stream, notices_a_reset)
{
    for (int i = 0; i < 2; i++) {
        struct net_fixture *f = net_fixture_new();

        net_fixture_connect(f, false);
        mr_stream_pause(f->server.stream, i == 1);
        net_end_close(&f->client, true);
        CHECK(NET_UNTIL(f, f->server.ended != 0));
        CHECK_EQ(f->server.ended, MR_ENETWORK);
        CHECK_EQ(f->server.failed, i); /* the reader learns of it by reading */
        net_fixture_free(f);
    }
}

/* The peer's end while we are paused is not a reset, is kept for later, and does not keep the loop
 * busy meanwhile. */
TEST(stream, keeps_the_end_while_paused)
{
    struct net_fixture *f = net_fixture_new();
    struct counted piece = memory_piece("data", 4, false);

    net_fixture_connect(f, false);
    mr_stream_pause(f->server.stream, true);
    CHECK_EQ(mr_stream_send(f->client.stream, &piece.piece), 0);
    CHECK(NET_UNTIL(f, piece.calls == 1));
    net_end_close(&f->client, false);
    for (int i = 0; i < 20; i++) {
        mr_loop_turn(f->loop, 1);
    }
    CHECK_EQ(f->server.ended, 0);
    mr_stream_pause(f->server.stream, false);
    CHECK(NET_UNTIL(f, f->server.ended == MR_EOF));
    CHECK_EQ(f->server.got_bytes, 4);
    net_fixture_free(f);
}

static void close_owner(struct mr_stream_piece *piece, int rc)
{
    (void)rc;
    if (piece->owner != NULL) {
        net_end_close(piece->owner, false);
    }
}

/* Closing inside of `sent`: the rest is cancelled, and nothing is touched afterwards. */
TEST(stream, may_be_closed_by_sent)
{
    struct net_fixture *f = net_fixture_new();
    struct mr_stream_piece first = {.slice = {.data = (const uint8_t *)"x", .size_bytes = 1},
                                    .sent = close_owner};
    struct counted second = memory_piece("y", 1, false);

    net_fixture_connect(f, false);
    first.owner = &f->client;
    CHECK_EQ(mr_stream_send(f->client.stream, &first), 0);
    CHECK_EQ(mr_stream_send(f->client.stream, &second.piece), 0);
    CHECK(NET_UNTIL(f, f->client.stream == NULL));
    CHECK_EQ(second.calls, 1);
    net_fixture_free(f);
}

TEST(stream, tells_the_names_and_who_is_there)
{
    struct net_fixture *f = net_fixture_new();
    uid_t uid = 0;
    gid_t gid = 0;
    pid_t pid = 0;

    net_fixture_connect(f, true);
    CHECK(strcmp(mr_stream_peer(f->server.stream), "unix") == 0);
    CHECK(strncmp(mr_stream_peer(f->client.stream), "unix:/tmp/", 10) == 0);
    CHECK_EQ(mr_stream_credentials(f->server.stream, &uid, &gid, &pid), 0);
    CHECK_EQ(uid, getuid());
    CHECK_EQ(gid, getgid());
    CHECK_EQ(pid, getpid());
    net_fixture_free(f);
    f = net_fixture_new();
    net_fixture_connect(f, false);
    CHECK(strcmp(mr_stream_peer(f->server.stream), mr_stream_local(f->client.stream)) == 0);
    CHECK(strncmp(mr_stream_peer(f->server.stream), "127.0.0.1:", 10) == 0);
    CHECK_EQ(mr_stream_credentials(f->server.stream, &uid, &gid, &pid), MR_EUNSUPPORTED);
    net_fixture_free(f);
}

/* The same bytes arrive in the same order however the transport cuts them: pieces of random sizes
 * through pipes of random sizes and steps. */
TEST(stream, survives_any_cutting)
{
    struct mr_random_seeded random;
    uint64_t seed = mr_random_u64(mr_random_system());

    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    mr_random_seeded_init(&random, seed);
    for (int round = 0; round < 50; round++) {
        struct stream_pair_options options = {
            .pipe_size_bytes = 1 + mr_random_below(&random.base, 300),
            .step_size_bytes = 1 + mr_random_below(&random.base, 50)};
        struct counted pieces[40];
        struct net_end reader = {0};
        struct mr_loop *loop = NULL;
        struct mr_stream *one = NULL;
        struct mr_stream *other = NULL;
        uint8_t data[8192];
        size_t used = 0;

        mr_random_system()->fill(mr_random_system(), data, sizeof data);
        CHECK_EQ(mr_loop_new_virtual(mr_clock_system(), &loop), 0);
        CHECK_EQ(stream_pair_new(loop, &options, &one, &other), 0);
        net_end_open(&reader, other);
        for (size_t i = 0; i < 40; i++) {
            size_t size = mr_random_below(&random.base, 200);

            pieces[i] = memory_piece(data + used, size, false);
            used += size;
            CHECK_EQ(mr_stream_send(one, &pieces[i].piece), 0);
            if (mr_random_below(&random.base, 2) == 0) {
                mr_loop_turn(loop, 0);
            }
        }
        mr_stream_shutdown(one);
        for (int turn = 0; turn < 100000 && reader.ended == 0; turn++) {
            mr_loop_turn(loop, 0);
        }
        CHECK_EQ(reader.ended, MR_EOF);
        CHECK_EQ(reader.got.size_bytes, used);
        CHECK(memcmp(reader.got.data, data, used) == 0);
        for (size_t i = 0; i < 40; i++) {
            CHECK_EQ(pieces[i].calls, 1);
        }
        mr_stream_close(one, false);
        net_end_close(&reader, false);
        mr_bytes_done(&reader.got);
        mr_loop_free(loop);
    }
}

/* A connection within this host is not paced, whatever the host's default; its names are known. */
TEST(stream, takes_the_pacing_out_within_this_host)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    struct mr_stream stream = {0};
    char congestion[16] = "";
    socklen_t size = sizeof congestion;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK_EQ(bind(listener, (const void *)&address, sizeof address), 0);
    CHECK_EQ(listen(listener, 1), 0);
    CHECK_EQ(getsockname(listener, (void *)&address, &length), 0);
    CHECK_EQ(connect(fd, (const void *)&address, sizeof address), 0);
    socket_meet(fd, &stream);
    CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, &size), 0);
    CHECK(strcmp(congestion, "reno") == 0);
    CHECK(strncmp(stream.peer, "127.0.0.1:", 10) == 0);
    (void)close(fd);
    (void)close(listener);
}
