/* The small sinks: nothing is answered inside of write(), and a reader that is slow, stalled or
 * gone is met without blocking and without loss. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/core/loop.h"
#include "tests/lib/fake_sink_host.h"
#include "tests/lib/test.h"

/* Standard output is a pipe for the time of a test. */
struct piped {
    int saved;
    int reader;
};

static struct piped piped_begin(void)
{
    struct piped piped;
    int ends[2];

    (void)fflush(stdout);
    piped.saved = dup(STDOUT_FILENO);
    CHECK_EQ(pipe(ends), 0);
    CHECK_EQ(fcntl(ends[0], F_SETPIPE_SZ, 4096), 4096);
    CHECK_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
    (void)close(ends[1]);
    piped.reader = ends[0];
    return piped;
}

static void piped_end(struct piped *piped)
{
    CHECK_EQ(dup2(piped->saved, STDOUT_FILENO), STDOUT_FILENO);
    (void)close(piped->saved);
    if (piped->reader >= 0) {
        (void)close(piped->reader);
    }
}

static void turn(struct fake_sink_host *fake)
{
    mr_loop_turn(fake->host.loop, 0);
    test_clock_advance_ms(&fake->clock, 1);
}

/* A pipe of one page: nothing more is answered until somebody reads, then all comes, in order. */
TEST(stdout_sink, waits_for_a_slow_reader_and_loses_nothing)
{
    struct piped piped = piped_begin();
    struct fake_sink_host *fake = fake_sink_host_new("stdout", NULL);
    struct fake_write *last = NULL;
    char text[64 << 10];
    size_t size = 0;

    CHECK_EQ(fake_sink_open(fake, NULL), 0);
    for (int i = 0; i < 60; i++) {
        last = fake_sink_write(fake, "web", 0, i * 16, 16, NULL);
    }
    for (int i = 0; i < 200; i++) {
        turn(fake);
    }
    bool was_answered = last->is_answered;
    for (int i = 0; i < 10000 && !last->is_answered; i++) {
        turn(fake);
        ssize_t count = read(piped.reader, text + size, sizeof text - 1 - size);
        size += count > 0 ? (size_t)count : 0;
    }
    ssize_t rest = read(piped.reader, text + size, sizeof text - 1 - size);
    size += rest > 0 ? (size_t)rest : 0;
    text[size] = '\0';
    fake_sink_settle(fake);
    enum sink_class class = last->class;
    fake_sink_host_free(fake);
    piped_end(&piped);
    CHECK(!was_answered);
    CHECK_EQ(class, SINK_OK);
    const char *at = text;
    for (int i = 0; i < 60 * 16; i++) {
        char line[64];
        int length = snprintf(line, sizeof line, "line %d of the test\n", i);
        CHECK_EQ(strncmp(at, line, (size_t)length), 0);
        at += length;
    }
    CHECK_EQ(*at, '\0');
}

TEST(stdout_sink, says_that_its_reader_is_gone)
{
    struct piped piped = piped_begin();
    struct fake_sink_host *fake = fake_sink_host_new("stdout", NULL);

    CHECK_EQ(fake_sink_open(fake, NULL), 0);
    (void)close(piped.reader);
    piped.reader = -1;
    struct fake_write *write = fake_sink_write(fake, "web", 0, 0, 3, NULL);
    fake_sink_settle(fake);
    enum sink_class class = write->class;
    piped_end(&piped);
    CHECK_EQ(class, SINK_RETRY);
    CHECK_HAS(write->reason, "closed");
    fake_sink_host_free(fake);
}

/* fake_sink_host_free has a bound on its turns, and checks that everything was answered. */
TEST(stdout_sink, ends_although_nobody_reads)
{
    struct piped piped = piped_begin();
    struct fake_sink_host *fake = fake_sink_host_new("stdout", NULL);

    CHECK_EQ(fake_sink_open(fake, NULL), 0);
    for (int i = 0; i < 60; i++) {
        (void)fake_sink_write(fake, "web", 0, i * 16, 16, NULL);
    }
    turn(fake);
    fake_sink_host_free(fake);
    piped_end(&piped);
}

TEST(null_sink, takes_everything_in_the_next_turn)
{
    struct fake_sink_host *fake = fake_sink_host_new("null", NULL);

    CHECK_EQ(fake_sink_open(fake, NULL), 0);
    for (int i = 0; i < 10; i++) {
        (void)fake_sink_write(fake, "web", 0, i, 1, NULL);
    }
    fake_sink_settle(fake);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(fake->writes[i]->class, SINK_OK);
    }
    (void)fake_sink_write(fake, "web", 0, 10, 1, NULL); /* the close answers it */
    fake_sink_host_free(fake);
}
