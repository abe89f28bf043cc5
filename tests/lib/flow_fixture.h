/* A queue with one local topic on a fault disk and a virtual loop, and on top of it what a test of
 * the flow needs: lanes, an intake fed by a scripted source, a drain into a scripted sink. */
#ifndef TESTS_LIB_FLOW_FIXTURE_H
#define TESTS_LIB_FLOW_FIXTURE_H

#include "agent/flow/drain.h"
#include "agent/flow/intake.h"
#include "agent/flow/lane.h"
#include "base/core/loop.h"
#include "base/core/workers.h"
#include "queue/queue.h"
#include "tests/lib/fault_disk.h"
#include "tests/lib/test_clock.h"

struct flow_fixture {
    struct fault_disk *disk;
    struct test_clock clock;
    struct mr_random_seeded random;
    struct mr_loop *loop;
    struct mr_workers *workers;
    struct mr_uuid uuid;
    struct mr_uuid boot_id; /* another one after a power cut */
    /* what the next start uses */
    struct queue_topic_spec topic; /* "app", local, 1 partition, 64 KiB segments */
    int64_t disk_limit_bytes;
    enum queue_when_full when_full;
    int64_t batch_size_bytes;       /* of the intake: 2 KiB */
    int64_t message_size_bytes_max; /* 16 KiB */
    enum mr_codec codec;
    /* what runs */
    struct queue *queue;
    struct lane *lane;
    struct intake *intake;
    struct drain *drain;
    void (*on_ready)(struct flow_fixture *f);
    int ready_count;
};

/* Never NULL; nothing runs yet. */
struct flow_fixture *flow_fixture_new(uint64_t seed);
void flow_fixture_free(struct flow_fixture *f);

int flow_fixture_start(struct flow_fixture *f); /* queue and lane */
/* In good order: intake, drain, lane, queue. */
void flow_fixture_stop(struct flow_fixture *f);
/* As kill -9: what was written is there, nothing more is. */
void flow_fixture_kill(struct flow_fixture *f);
/* As a power cut: what was not fsynced is lost, as disk->loss says. */
void flow_fixture_power_loss(struct flow_fixture *f);

/* Turns until nothing is to do at once. */
void flow_fixture_turn(struct flow_fixture *f);
/* Turns through so much time. */
void flow_fixture_pass_ms(struct flow_fixture *f, int64_t ms);
/* Turns and moves the clock until the flag is set; fails the test after many rounds. */
void flow_fixture_wait(struct flow_fixture *f, const bool *flag);

/* All records of the topic, in order of offsets; returns how many, or fails the test. The first is
 * at the log's start offset. */
typedef void (*flow_record_cb)(void *owner, const struct sink_record *record);
int64_t flow_fixture_read_all(struct flow_fixture *f, flow_record_cb cb, void *owner);
/* Appends a batch of `count` records with the values "record <offset>", and turns until it is
 * there. The codec of the drain's tests: lz4 for every other batch. */
void flow_fixture_append(struct flow_fixture *f, int count);

/* ---- a source that numbers its events ---- */

enum { SCRIPT_STREAMS_MAX = 5, SCRIPT_BLOCK_EVENTS_MAX = 60 };

struct script_stream {
    struct source_stream *stream;
    int64_t next; /* event to be offered */
    int under_way;
    int64_t acked;
};

/* Stream s offers events "<s> <n> xxx" with n = 0, 1, 2 ...; its position is the next n, and its
 * blocks have random sizes: what is offered again after a crash is cut in other places. */
struct script_source {
    struct source source; /* first */
    struct script_stream streams[SCRIPT_STREAMS_MAX];
    struct script_block *parked; /* refused: offered again before anything else */
    bool is_blocked;
    bool is_closing;
    int under_way;
    struct mr_task close_task;
    source_close_cb closed;
    void *closed_owner;
};

struct script_options {
    struct flow_fixture *f;
    int stream_count;
    int64_t durable;
    int64_t dropped;
    int64_t canceled;
    struct script_source *source; /* while it is open */
};

extern const struct source_type script_source_type;
int flow_fixture_open_intake(struct flow_fixture *f, struct script_options *options);
/* Offers one random block of a random stream, or only a position now and then. */
void script_offer(struct script_options *options);

/* Every stream's events are in the topic without gap, repeat or disorder; returns how many there
 * are of all streams. `next[s]` is set to what comes after the last. */
int64_t script_check_topic(struct flow_fixture *f, int64_t next[SCRIPT_STREAMS_MAX]);

/* ---- a sink that answers as it is told ---- */

enum { SCRIPT_WRITES_MAX = 16, SCRIPT_OFFSETS_MAX = 1 << 14 };

struct script_sink_options {
    struct flow_fixture *f;
    int retry_percent;
    int permanent_percent;
    bool answers; /* false: it keeps what it has */
    bool is_random_order;
    /* what came */
    struct sink_write *writes[SCRIPT_WRITES_MAX];
    int write_count;
    bool is_taken[SCRIPT_OFFSETS_MAX]; /* was answered OK or PERMANENT at least once */
    int64_t dead;                      /* records answered PERMANENT, repeats included */
    int64_t writes_seen;
    struct sink *sink;
    bool is_closing;
    struct mr_task close_task;
    sink_close_cb closed;
    void *closed_owner;
};

extern const struct sink_type script_sink_records;
extern const struct sink_type script_sink_ranges;
int flow_fixture_open_drain(struct flow_fixture *f, const struct sink_type *type,
                            struct script_sink_options *options);
/* Answers one of the writes it has; false if there is none. */
bool script_answer(struct script_sink_options *options);

#endif
