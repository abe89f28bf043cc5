/* Bounds per address: how many at a time, how many a second, and that what is remembered stays
 * bounded. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/loop.h"
#include "base/net/admission.h"
#include "tests/lib/test.h"
#include "tests/lib/test_clock.h"

union name {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

struct fixture {
    struct test_clock clock;
    struct mr_loop *loop;
    struct mr_admission *admission;
    double rate;
};

static double rate_of(void *owner, const char *host)
{
    const struct fixture *f = owner;

    return strcmp(host, "10.9.9.9") == 0 ? 0 : f->rate;
}

static void setup(struct fixture *f, int connections_max, const char *exception)
{
    struct mr_admission_exception parsed;
    struct mr_admission_config config = {.connections_max = connections_max,
                                         .rate_of = rate_of,
                                         .owner = f,
                                         .window_s = 2,
                                         .exceptions = &parsed};

    memset(f, 0, sizeof *f);
    test_clock_init(&f->clock);
    CHECK_EQ(mr_loop_new_virtual(&f->clock.clock, &f->loop), 0);
    config.loop = f->loop;
    if (exception != NULL) {
        CHECK_EQ(mr_admission_exception_parse(exception, &parsed, NULL), 0);
        config.exception_count = 1;
    }
    CHECK_EQ(mr_admission_new(&config, &f->admission), 0);
}

static void teardown(struct fixture *f)
{
    mr_admission_close(f->admission);
    mr_loop_free(f->loop);
}

static enum admission_verdict enter(struct fixture *f, const char *text,
                                    struct mr_admitted **ret_admitted)
{
    union name name;

    memset(&name, 0, sizeof name);
    if (inet_pton(AF_INET, text, &name.in.sin_addr) == 1) {
        name.any.sa_family = AF_INET;
    } else {
        CHECK_EQ(inet_pton(AF_INET6, text, &name.in6.sin6_addr), 1);
        name.any.sa_family = AF_INET6;
    }
    return admission_enter(f->admission, &name.any, ret_admitted);
}

TEST(admission, so_many_at_a_time)
{
    struct fixture f;
    struct mr_admitted *held[4];
    struct mr_admitted *other;

    setup(&f, 2, "10.0.0.7=1");
    CHECK_EQ(enter(&f, "10.0.0.1", &held[0]), ADMISSION_TAKEN);
    CHECK_EQ(enter(&f, "::ffff:10.0.0.1", &held[1]), ADMISSION_TAKEN);
    CHECK_EQ(enter(&f, "10.0.0.1", &other), ADMISSION_FULL);
    CHECK_EQ(enter(&f, "2001:db8::1", &held[2]), ADMISSION_TAKEN);
    CHECK_EQ(enter(&f, "10.0.0.7", &held[3]), ADMISSION_TAKEN);
    CHECK_EQ(enter(&f, "10.0.0.7", &other), ADMISSION_FULL);
    CHECK_EQ(mr_admission_count(f.admission), 3);
    admission_leave(held[0]);
    CHECK_EQ(enter(&f, "10.0.0.1", &held[0]), ADMISSION_TAKEN);
    for (int i = 0; i < 3; i++) {
        admission_leave(held[i]);
    }
    CHECK_EQ(mr_admission_count(f.admission), 1);
    teardown(&f);
    admission_leave(held[3]); /* a connection may end after all else */
}

TEST(admission, so_many_a_second)
{
    struct fixture f;
    struct mr_admitted *admitted;
    int taken = 0;

    setup(&f, 0, NULL);
    f.rate = 5;
    /* Two seconds' worth, and one more, at once; those that are refused do not count. */
    for (int i = 0; i < 50; i++) {
        enum admission_verdict verdict = enter(&f, "10.0.0.1", &admitted);
        CHECK(verdict == ADMISSION_TAKEN || verdict == ADMISSION_TOO_FAST);
        taken += verdict == ADMISSION_TAKEN;
        admission_leave(admitted);
    }
    CHECK_EQ(taken, 11);
    CHECK_EQ(enter(&f, "10.0.0.2", &admitted), ADMISSION_TAKEN);
    admission_leave(admitted);
    test_clock_advance_us(&f.clock, 200001);
    CHECK_EQ(enter(&f, "10.0.0.1", &admitted), ADMISSION_TAKEN);
    admission_leave(admitted);
    CHECK_EQ(enter(&f, "10.0.0.1", &admitted), ADMISSION_TOO_FAST);
    CHECK(admitted == NULL);
    f.rate = 1000; /* another quota counts from the next one on */
    CHECK_EQ(enter(&f, "10.0.0.1", &admitted), ADMISSION_TOO_FAST);
    test_clock_advance_us(&f.clock, 1001);
    CHECK_EQ(enter(&f, "10.0.0.1", &admitted), ADMISSION_TAKEN);
    admission_leave(admitted);
    CHECK_EQ(enter(&f, "10.9.9.9", &admitted), ADMISSION_TAKEN);
    CHECK(admitted == NULL);
    teardown(&f);
}

TEST(admission, the_table_is_bounded)
{
    struct fixture f;
    struct mr_admitted *admitted;
    union name name;

    setup(&f, 0, NULL);
    f.rate = 1;
    memset(&name, 0, sizeof name);
    name.any.sa_family = AF_INET;
    for (uint32_t i = 0; i < MR_ADMISSION_ADDRESSES_MAX + 1000; i++) {
        name.in.sin_addr.s_addr = htonl(0x0b000000 + i);
        (void)admission_enter(f.admission, &name.any, &admitted);
        admission_leave(admitted);
    }
    CHECK_EQ(mr_admission_count(f.admission), MR_ADMISSION_ADDRESSES_MAX + 1);
    /* Who has no place of his own shares one. */
    CHECK_EQ(enter(&f, "10.0.0.1", &admitted), ADMISSION_TOO_FAST);
    test_clock_advance_us(&f.clock, 10 * 1000000);
    for (int i = 0; i < MR_ADMISSION_ADDRESSES_MAX; i++) {
        CHECK(enter(&f, "10.0.0.1", &admitted) != ADMISSION_FULL);
        admission_leave(admitted);
    }
    CHECK_LT(mr_admission_count(f.admission), 3);
    teardown(&f);
}

TEST(admission, exceptions_as_text)
{
    static const char *const bad[] = {"",           "10.0.0.1",     "10.0.0.1=",  "=5",
                                      "10.0.0.1=x", "10.0.0.1=-1",  "host=5",     "10.0.0.1=5x",
                                      "[::1]=5",    "::1=99999999", "10.0.0.1= 5"};
    struct mr_admission_exception exception;
    struct mr_error error;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQ(mr_admission_exception_parse(bad[i], &exception, &error), MR_EINVAL);
    }
    CHECK_EQ(mr_admission_exception_parse("::ffff:10.0.0.1=5", &exception, NULL), 0);
    CHECK_STR(exception.host, "10.0.0.1");
    CHECK_EQ(exception.connections_max, 5);
    CHECK_EQ(mr_admission_exception_parse("2001:DB8::0:1=0", &exception, NULL), 0);
    CHECK_STR(exception.host, "2001:db8::1");
    CHECK_EQ(exception.connections_max, 0);
}
