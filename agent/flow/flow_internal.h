/* The inside of a flow, for flow.c and pages.c. */
#ifndef AGENT_FLOW_FLOW_INTERNAL_H
#define AGENT_FLOW_FLOW_INTERNAL_H

#include "agent/flow/flow.h"

struct flow_topic { /* a local topic that sources write */
    const char *name;
    struct lane **lanes;
    int32_t lane_count;
    enum queue_when_full when_full;
    enum mr_codec codec;
    int64_t message_size_bytes_max;
};

struct flow {
    struct flow_env env;
    struct flow_topic *topics;
    size_t topic_count;
    struct intake **intakes;
    size_t intake_count;
    struct drain **drains;
    size_t drain_count;
    size_t closing; /* objects of the present stage that are not closed yet */
    int stage;
    void (*closed)(void *owner);
    void *closed_owner;
};

#endif
