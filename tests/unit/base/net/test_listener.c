/* Listeners and connections: bounds, running out of descriptors, the files of Unix sockets,
 * addresses that do not answer, and cancelling. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/core/metric.h"
#include "base/net/admission.h"
#include "base/net/net_internal.h"
#include "tests/lib/net_fixture.h"
#include "tests/lib/test.h"

enum { CLIENTS = 8 };

static void dial_many(struct net_fixture *f, int count, struct net_end *ends)
{
    for (int i = 0; i < count; i++) {
        int calls = f->connect_calls;

        net_fixture_dial(f, NULL);
        CHECK(NET_UNTIL(f, f->connect_calls > calls));
        CHECK_EQ(f->connect_rc, 0);
        /* moved out of the fixture, which has one client */
        ends[i] = (struct net_end){0};
        mr_bytes_init(&ends[i].got);
        net_end_open(&ends[i], f->client.stream);
        f->client.stream = NULL;
    }
}

static int count_ended(const struct net_end *ends, int count)
{
    int ended = 0;

    for (int i = 0; i < count; i++) {
        ended += ends[i].ended != 0;
    }
    return ended;
}

static void close_all(struct net_end *ends, int count)
{
    for (int i = 0; i < count; i++) {
        net_end_close(&ends[i], false);
        mr_bytes_done(&ends[i].got);
    }
}

/* Beyond the maximum a client is told at once, by the end of its connection; a place that is given
 * back is given out again. */
TEST(listener, refuses_beyond_its_maximum)
{
    struct mr_listen_options options = {.connections_max = 1, .inherited_fd = -1};
    struct net_fixture *f = net_fixture_new();
    struct net_end ends[3];

    CHECK_EQ(net_fixture_listen(f, false, &options), 0);
    dial_many(f, 3, ends);
    CHECK(NET_UNTIL(f, f->accepted == 1 && count_ended(ends, 3) == 2));
    CHECK_EQ(mr_listener_connections(f->listener), 1);
    net_end_close(&f->server, false);
    CHECK_EQ(mr_listener_connections(f->listener), 0);
    close_all(ends, 3);
    dial_many(f, 1, ends);
    CHECK(NET_UNTIL(f, f->accepted == 2));
    close_all(ends, 1);
    net_fixture_free(f);
}

static double one_a_second(void *owner, const char *host)
{
    (void)owner;
    CHECK_STR(host, "127.0.0.1");
    return 1;
}

/* Too many from one address are closed at once. */
TEST(listener, bounds_how_many_an_address_has)
{
    struct net_fixture *f = net_fixture_new();
    struct mr_admission_config config = {.loop = f->loop, .connections_max = 1};
    struct mr_listen_options options = {.inherited_fd = -1};
    struct net_end ends[3];

    CHECK_EQ(mr_admission_new(&config, &options.admission), 0);
    CHECK_EQ(net_fixture_listen(f, false, &options), 0);
    dial_many(f, 3, ends);
    CHECK(NET_UNTIL(f, f->accepted == 1 && count_ended(ends, 3) == 2));
    net_end_close(&f->server, false);
    CHECK_EQ(mr_admission_count(options.admission), 0);
    close_all(ends, 3);
    dial_many(f, 1, ends);
    CHECK(NET_UNTIL(f, f->accepted == 2));
    close_all(ends, 1);
    mr_listener_close(f->listener);
    f->listener = NULL;
    mr_admission_close(options.admission); /* before the stream goes */
    net_fixture_free(f);
}

/* Too fast from one address are closed, but not at once. (The fixture itself closes the second.) */
TEST(listener, bounds_how_fast_an_address_comes)
{
    struct net_fixture *f = net_fixture_new();
    struct mr_admission_config config = {.loop = f->loop, .rate_of = one_a_second, .window_s = 1};
    struct mr_listen_options options = {.inherited_fd = -1};
    struct net_end ends[3];
    int64_t began_ms = net_fixture_clock_ms();

    CHECK_EQ(mr_admission_new(&config, &options.admission), 0);
    CHECK_EQ(net_fixture_listen(f, false, &options), 0);
    dial_many(f, 3, ends);
    CHECK(NET_UNTIL(f, count_ended(ends, 3) == 2));
    if (f->accepted == 2) { /* else the machine is slow, and so was the third */
        CHECK_LT(began_ms + 990, net_fixture_clock_ms());
    }
    close_all(ends, 3);
    dial_many(f, 3, ends);
    close_all(ends, 3);
    mr_listener_close(f->listener); /* with those that are refused in it */
    f->listener = NULL;
    mr_admission_close(options.admission);
    net_fixture_free(f);
}

/* Beyond its maximum of a second a listener leaves them in the backlog. */
TEST(listener, accepts_no_faster_than_it_may)
{
    struct net_fixture *f = net_fixture_new();
    struct mr_listen_options options = {.inherited_fd = -1, .accepts_per_second_max = 2};
    struct net_end ends[6];
    int64_t began_ms = net_fixture_clock_ms();

    CHECK_EQ(net_fixture_listen(f, false, &options), 0);
    dial_many(f, 6, ends);
    CHECK(NET_UNTIL(f, f->accepted == 6));
    /* Two at once, and one more; the others each half a second later. */
    CHECK_LT(began_ms + 1450, net_fixture_clock_ms());
    close_all(ends, 6);
    net_fixture_free(f);
}

/* Without a descriptor left, one client is refused, accepting rests, and goes on later by itself.
 */
TEST(listener, survives_running_out_of_descriptors)
{
    struct net_fixture *f = net_fixture_new();
    struct rlimit old;
    struct rlimit low;
    int clients[4];
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char byte;

    CHECK_EQ(net_fixture_listen(f, true, NULL), 0);
    memcpy(name.sun_path, f->address.host, strlen(f->address.host) + 1);
    for (int i = 0; i < 4; i++) {
        clients[i] = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK_EQ(connect(clients[i], (struct sockaddr *)(void *)&name, sizeof name), 0);
    }
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)clients[3] + 1; /* what is open stays; new ones do not fit */
    for (int fd = 3; fd < clients[3]; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            low.rlim_cur = (rlim_t)fd; /* a hole below: the limit goes under it */
            break;
        }
    }
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (int i = 0; i < 5; i++) {
        mr_loop_turn(f->loop, 10);
    }
    CHECK_EQ(f->accepted, 0);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    CHECK(NET_UNTIL(f, f->accepted >= 3));
    if (f->accepted ==
        3) { /* the reserve was opened below the limit: the first was refused with it */
        CHECK_EQ(read(clients[0], &byte, 1), 0);
    }
    for (int i = 0; i < 4; i++) {
        (void)close(clients[i]);
    }
    net_fixture_free(f);
}

TEST(listener, rests_while_paused)
{
    struct net_fixture *f = net_fixture_new();
    struct net_end end;

    CHECK_EQ(net_fixture_listen(f, false, NULL), 0);
    mr_listener_pause(f->listener, true);
    dial_many(f, 1, &end); /* the kernel completes it */
    for (int i = 0; i < 10; i++) {
        mr_loop_turn(f->loop, 1);
    }
    CHECK_EQ(f->accepted, 0);
    mr_listener_pause(f->listener, false);
    CHECK(NET_UNTIL(f, f->accepted == 1));
    close_all(&end, 1);
    net_fixture_free(f);
}

/* The file has its mode from the first moment, whatever the umask; it goes with the listener. */
TEST(listener, keeps_its_unix_file)
{
    struct mr_listen_options options = {.unix_mode = 0620, .inherited_fd = -1};
    struct net_fixture *f = net_fixture_new();
    struct stat file;
    mode_t old = umask(0077);

    CHECK_EQ(net_fixture_listen(f, true, &options), 0);
    (void)umask(old);
    CHECK_EQ(stat(f->address.host, &file), 0);
    CHECK_EQ(file.st_mode & 0777, 0620);
    mr_listener_close(f->listener);
    f->listener = NULL;
    CHECK(stat(f->address.host, &file) != 0);
    net_fixture_free(f);
}

static int listen_again(struct net_fixture *f, struct mr_error *error)
{
    struct mr_listen_options options = {.inherited_fd = -1};
    struct mr_listener *second = NULL;
    int rc = mr_net_listen(f->net, &f->address, &options, NULL, NULL, &second, error);

    mr_listener_close(second);
    return rc;
}

/* A socket that someone answers on, or a file that is no socket, is left alone; one that was left
 * behind by a crash is replaced. */
TEST(listener, replaces_only_stale_sockets)
{
    struct net_fixture *f = net_fixture_new();
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct mr_error error = {0};
    int fd;

    CHECK_EQ(net_fixture_listen(f, true, NULL), 0);
    CHECK_EQ(listen_again(f, &error), MR_EBUSY);
    CHECK(strstr(error.text, "another process listens") != NULL);
    CHECK_EQ(access(f->address.host, F_OK), 0);
    mr_listener_close(f->listener);
    f->listener = NULL;

    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(name.sun_path, f->address.host, strlen(f->address.host) + 1);
    CHECK_EQ(bind(fd, (struct sockaddr *)(void *)&name, sizeof name), 0);
    (void)close(fd); /* as a crash leaves it */
    CHECK_EQ(listen_again(f, &error), 0);

    fd = open(f->address.host, O_CREAT | O_WRONLY, 0600);
    (void)close(fd);
    CHECK_EQ(listen_again(f, &error), MR_EEXIST);
    CHECK_EQ(access(f->address.host, F_OK), 0);
    net_fixture_free(f);
}

TEST(listener, says_that_a_port_is_taken)
{
    struct net_fixture *f = net_fixture_new();
    struct mr_error error = {0};

    CHECK_EQ(net_fixture_listen(f, false, NULL), 0);
    CHECK_EQ(listen_again(f, &error), MR_EBUSY);
    CHECK(strstr(error.text, "in use") != NULL);
    CHECK(strstr(error.text, "127.0.0.1:") != NULL);
    net_fixture_free(f);
}

/* As systemd hands them over: listening already; anything else is refused. */
TEST(listener, takes_an_inherited_socket)
{
    struct net_fixture *f = net_fixture_new();
    struct mr_listen_options options = {0};
    struct mr_error error = {0};
    struct mr_listener *second = NULL;
    struct net_end end;

    CHECK_EQ(net_fixture_listen(f, true, NULL), 0); /* for the path only */
    mr_listener_close(f->listener);
    f->listener = NULL;
    options.inherited_fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(mr_net_listen(f->net, &f->address, &options, NULL, NULL, &second, &error), MR_EINVAL);
    CHECK(strstr(error.text, "not a listening socket") != NULL);
    CHECK_EQ(listen(options.inherited_fd, 10), 0);
    CHECK_EQ(net_fixture_listen(f, false, &options), 0);
    dial_many(f, 1, &end);
    CHECK(NET_UNTIL(f, f->accepted == 1));
    close_all(&end, 1);
    net_fixture_free(f);
}

static void close_listener(struct mr_listener *listener, void *owner, struct mr_stream *stream)
{
    struct net_fixture *f = owner;

    mr_stream_close(stream, false);
    mr_listener_close(listener);
    f->listener = NULL;
    f->accepted++;
}

/* From inside its own callback, with more connections waiting. */
TEST(listener, may_be_closed_while_it_accepts)
{
    struct net_fixture *f = net_fixture_new();
    struct mr_listen_options options = {.inherited_fd = -1};
    struct net_end ends[3];

    CHECK_EQ(mr_address_parse("127.0.0.1:0", 0, &f->address, NULL), 0);
    CHECK_EQ(mr_net_listen(f->net, &f->address, &options, close_listener, f, &f->listener, NULL),
             0);
    f->address.port = mr_listener_port(f->listener);
    mr_listener_pause(f->listener, true);
    dial_many(f, 3, ends);
    mr_listener_pause(f->listener, false);
    CHECK(NET_UNTIL(f, f->accepted == 1 && count_ended(ends, 3) == 3));
    close_all(ends, 3);
    net_fixture_free(f);
}

TEST(connect, says_why_it_failed)
{
    struct net_fixture *f = net_fixture_new();
    struct mr_connect_options options = {.timeout_ms = 3000};
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int silent = socket(AF_INET, SOCK_STREAM, 0); /* it has a port, and does not listen there */

    CHECK_EQ(bind(silent, (struct sockaddr *)(void *)&name, sizeof name), 0);
    CHECK_EQ(getsockname(silent, (struct sockaddr *)(void *)&name, &size), 0);
    CHECK_EQ(mr_address_parse("127.0.0.1:1", 0, &f->address, NULL), 0);
    f->address.port = ntohs(name.sin_port);
    net_fixture_dial(f, NULL);
    CHECK_EQ(f->connect_calls, 0);
    CHECK(NET_UNTIL(f, f->connect_calls == 1));
    CHECK_EQ(f->connect_rc, MR_ENETWORK);
    CHECK(strstr(f->connect_error, "refused") != NULL);
    CHECK(strstr(f->connect_error, "connect to 127.0.0.1:") != NULL);

    CHECK_EQ(mr_address_parse("unix:/nowhere/at/all", 0, &f->address, NULL), 0);
    net_fixture_dial(f, &options);
    CHECK(NET_UNTIL(f, f->connect_calls == 2));
    CHECK_EQ(f->connect_rc, MR_ENOENT);

    CHECK_EQ(mr_address_parse("no-such-host.invalid:1", 0, &f->address, NULL), 0);
    net_fixture_dial(f, &options);
    CHECK(NET_UNTIL(f, f->connect_calls == 3));
    CHECK(f->connect_rc == MR_ENETWORK || f->connect_rc == MR_ETIMEDOUT);
    CHECK(strstr(f->connect_error, "look up 'no-such-host.invalid'") != NULL);
    (void)close(silent);
    net_fixture_free(f);
}

/* localhost may stand for ::1 and 127.0.0.1 while only the latter listens. */
TEST(connect, tries_all_addresses)
{
    struct net_fixture *f = net_fixture_new();

    CHECK_EQ(net_fixture_listen(f, false, NULL), 0);
    (void)snprintf(f->address.host, sizeof f->address.host, "localhost");
    net_fixture_dial(f, NULL);
    CHECK(NET_UNTIL(f, f->connect_calls == 1));
    CHECK_EQ(f->connect_rc, 0);
    net_fixture_free(f);
}

static void never_called(void *owner, int rc, struct mr_stream *stream,
                         const struct mr_error *error)
{
    (void)rc;
    (void)stream;
    (void)error;
    (*(int *)owner)++;
}

/* At each moment: before it began, during the lookup, while dialing. */
TEST(connect, can_be_cancelled_at_any_moment)
{
    for (int turns = 0; turns < 6; turns++) {
        struct net_fixture *f = net_fixture_new();
        struct mr_connect_options options = {.timeout_ms = 1000};
        struct mr_connect *connect = NULL;
        int calls = 0;

        CHECK_EQ(mr_address_parse("192.0.2.1:9", 0, &f->address, NULL), 0); /* RFC 5737: nobody */
        CHECK_EQ(mr_net_connect(f->net, &f->address, &options, never_called, &calls, &connect), 0);
        for (int i = 0; i < turns && calls == 0; i++) {
            mr_loop_turn(f->loop, 1);
        }
        if (calls == 0) { /* else the host has no route: it failed first */
            mr_connect_cancel(connect);
            mr_loop_turn(f->loop, 1);
            CHECK_EQ(calls, 0);
        }
        net_fixture_free(f);
    }
}
