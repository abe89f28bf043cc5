/* A flow for one partition as a sink sees it: a log of batches in a file, at most five writes at a
 * time, positions and the sink's state committed together and late, writes taken back at a retry.
 * It can be killed: then what was not committed is gone, and the next sink begins from what was. */
#ifndef TESTS_LIB_PEER_FLOW_H
#define TESTS_LIB_PEER_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/core/workers.h"
#include "base/net/stream.h"
#include "sinks/sink.h"

struct peer_options;

enum { PEER_FLOW_DEAD_MAX = 4096 };

struct peer_flow_batch {
    int64_t base_offset;
    int32_t count;
    int64_t position;
    int64_t size_bytes;
};

struct peer_flow {
    struct sink_host host; /* first */
    struct mr_loop *loop;
    struct mr_workers *workers;
    struct sink *sink;
    struct peer_options *options;
    /* the log: the record at an offset holds the offset as a number */
    int fd;
    int64_t file_size_bytes;
    struct peer_flow_batch *batches;
    size_t batch_count;
    size_t batch_capacity;
    size_t batch_first; /* those before it are no longer held */
    int64_t end_offset;
    int codec;
    /* the flow */
    int64_t position;    /* answered up to here */
    int64_t next_offset; /* to be read */
    int64_t end_at_open;
    struct mr_link flights;
    struct mr_link orphans;
    int in_flight;
    int64_t resume_at_ms; /* after a retry */
    struct mr_task task;
    struct mr_timer timer;
    uint8_t state[SINK_STATE_SIZE_MAX];
    size_t state_size;
    /* what is on disk */
    int64_t committed_position;
    uint8_t committed_state[SINK_STATE_SIZE_MAX];
    size_t committed_state_size;
    struct mr_link commits;
    int64_t request_timeout_ms; /* before it is opened; 0: minutes, so that none runs out */
    bool is_dead;               /* killed: nothing is committed any more, answers count no more */
    bool is_paused;
    /* seen */
    int retries;
    int auths;
    int rewinds;
    int64_t lost;
    int64_t skipped;
    int64_t dead[PEER_FLOW_DEAD_MAX];
    size_t dead_count;
    char reason[400];
};

struct peer_flow *peer_flow_new(struct mr_loop *loop, struct mr_net *net, struct mr_random *random,
                                const char *path);
void peer_flow_free(struct peer_flow *flow);
void peer_flow_append(struct peer_flow *flow, int32_t records);
/* Offsets that hold no record: what the log no longer has, or markers. */
void peer_flow_gap(struct peer_flow *flow, int32_t offsets);
void peer_flow_open(struct peer_flow *flow, const struct mr_address *hubs, size_t hub_count);
/* In good order: everything is answered, and the position is committed. */
void peer_flow_close(struct peer_flow *flow);
/* As by kill -9. */
void peer_flow_kill(struct peer_flow *flow);
void peer_flow_commit(struct peer_flow *flow); /* position and state, as once a second */
bool peer_flow_is_done(const struct peer_flow *flow);

#endif
