/* The intake of one source: the host that a source sees. Blocks of events become record batches
 * with their positions, and go into the lanes of the source's topic. */
#ifndef AGENT_FLOW_INTAKE_H
#define AGENT_FLOW_INTAKE_H

#include <stdint.h>

#include "agent/flow/lane.h"
#include "base/codec/codec.h"
#include "base/core/option.h"
#include "sources/source.h"

struct intake;

struct intake_config {
    const char *id;
    const struct source_type *type;
    void *options;
    const char *node_name;
    const struct mr_string_list *headers; /* "all", "none", or names without "mr." */
    int64_t batch_size_bytes;
    int64_t message_size_bytes_max; /* of the topic */
    int64_t linger_ms;
    enum mr_codec codec;
    enum queue_when_full when_full;
    struct lane **lanes; /* one per partition; outlive the intake */
    int32_t lane_count;
    /* what the source gets */
    struct mr_loop *loop;
    struct mr_disk *disk;
    struct mr_net *net;
    struct mr_random *random;
    struct mr_workers *workers;
    struct mr_metrics *metrics;
};

/* Opens the source too. */
int intake_open(const struct intake_config *config, struct intake **ret_intake,
                struct mr_error *error);
/* Closes the source, writes what it has offered, then done (later). */
void intake_close(struct intake *intake, void (*done)(void *owner), void *owner);
/* A lane can take more again. */
void intake_ready(struct intake *intake);
const char *intake_id(const struct intake *intake);
const struct source_type *intake_type(const struct intake *intake);
void intake_status(struct intake *intake, source_status_cb cb, void *owner);

#endif
