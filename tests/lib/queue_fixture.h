/* A whole queue in one thread: fault disk, virtual loop, test clock, no sockets. Clients are
 * streams in memory (queue_fixture_ask), so that broker, partitions, metadata and offsets are
 * tested from outside, and power may be cut at any call. */
#ifndef TESTS_LIB_QUEUE_FIXTURE_H
#define TESTS_LIB_QUEUE_FIXTURE_H

#include "base/core/loop.h"
#include "queue/log/log.h"
#include "queue/queue.h"
#include "queue/wire/api.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/stream_pair.h"
#include "tests/lib/test_clock.h"

enum { QUEUE_FIXTURE_TOPICS_MAX = 8 };

struct queue_fixture {
    struct fault_disk *disk;
    struct test_clock clock;
    struct mr_random_seeded random;
    struct mr_loop *loop;
    struct queue_config config; /* change it before open */
    struct queue_topic_spec topics[QUEUE_FIXTURE_TOPICS_MAX];
    struct queue_listener_spec listener;
    struct queue *queue; /* NULL while closed */
    struct stream_pair_options pipe;
    struct wire_arena arena; /* of the last answer */
    struct mr_error error;
};

/* Never NULL; not open yet. */
struct queue_fixture *queue_fixture_new(uint64_t seed);
void queue_fixture_free(struct queue_fixture *f);
/* Declares a topic with one partition and defaults; more may be set in what is returned. */
struct queue_topic_spec *queue_fixture_topic(struct queue_fixture *f, const char *name,
                                             bool is_local);
int queue_fixture_open(struct queue_fixture *f);
void queue_fixture_close(struct queue_fixture *f);
/* Ends the queue on a disk that has lost its power, and brings that up again. */
void queue_fixture_power_loss(struct queue_fixture *f);
/* Turns and moves the clock until *flag; false after many rounds. */
bool queue_fixture_wait(struct queue_fixture *f, const bool *flag);
void queue_fixture_turn(struct queue_fixture *f);

/* A client's end of a connection to the broker. */
struct mr_stream *queue_fixture_connect(struct queue_fixture *f);
/* Sends bytes; they leave as the pipe takes them. */
void queue_fixture_send(struct queue_fixture *f, struct mr_stream *stream, const void *data,
                        size_t size);
/* One frame without its length; NULL when the connection has ended, or nothing comes. The caller's.
 */
struct mr_buf *queue_fixture_receive(struct queue_fixture *f, struct mr_stream *stream);
/* One request and its answer, decoded into *ret_response (borrowed until the next); 0, or MR_EOF.
 */
int queue_fixture_ask(struct queue_fixture *f, struct mr_stream *stream, int api_key, int version,
                      const void *request, void *ret_response);
/* A batch of `count` records with values of `size` bytes; one reference. */
struct mr_buf *queue_fixture_batch(struct queue_fixture *f, int count, size_t size);
/* Produces it into partition 0, acknowledged; for how many ms the client is to wait. */
int32_t queue_fixture_produce(struct queue_fixture *f, struct mr_stream *stream, const char *topic,
                              const struct mr_buf *batch);

#endif
