#include "tests/lib/peer_flow.h"

#include <stdio.h>
#include <string.h>

#include "base/codec/codec.h"
#include "base/core/disk.h"
#include "base/core/memory.h"
#include "queue/wire/batch_builder.h"
#include "sinks/peer/peer_internal.h"
#include "tests/lib/net_fixture.h"

enum {
    BACKOFF_MS = 5,
    PATIENCE_MS = 10 * 60 * 1000,
    CLOSE_MS_MAX = 2 * 60 * 1000,
};

struct held {
    struct sink_write write;
    struct mr_link link;
    struct peer_flow *flow;
    bool is_answered;
    bool is_orphan;
};

struct commit {
    struct mr_link link;
    void (*done)(void *owner, int rc);
    void *owner;
};

extern const struct sink_type sink_type_peer;

/* ---- the log ---- */

void peer_flow_append(struct peer_flow *flow, int32_t records)
{
    struct batch_builder builder;
    struct mr_codec_context *codecs;
    struct mr_buf *batch;
    struct peer_flow_batch entry = {flow->end_offset, records, flow->file_size_bytes, 0};

    mr_assert(mr_codec_context_new(&codecs) == 0);
    batch_builder_init(&builder,
                       &(struct batch_builder_options){.size_bytes_max = 1 << 22,
                                                       .codec = (enum mr_codec)flow->codec,
                                                       .codecs = codecs});
    mr_assert(batch_builder_begin(&builder, 1000) == 0);
    for (int32_t i = 0; i < records; i++) {
        char text[32];
        int size = snprintf(text, sizeof text, "%lld", (long long)flow->end_offset + i);
        mr_assert(batch_builder_add_line(&builder, 1000 + i, text, (size_t)size, NULL, 0, 0) == 0);
    }
    mr_assert(batch_builder_finish(&builder, NULL, NULL, 0, 0, &batch) == 0);
    batch_set_offset(batch->data, flow->end_offset, 0);
    mr_assert(mr_disk_pwrite(mr_disk_system(), flow->fd, batch->data, batch->size_bytes,
                             flow->file_size_bytes) == 0);
    entry.size_bytes = (int64_t)batch->size_bytes;
    mr_assert(mr_grow(&flow->batches, &flow->batch_capacity, flow->batch_count + 1, sizeof entry) ==
              0);
    flow->batches[flow->batch_count++] = entry;
    flow->file_size_bytes += entry.size_bytes;
    flow->end_offset += records;
    mr_buf_unref(batch);
    batch_builder_done(&builder);
    mr_codec_context_free(codecs);
    mr_task_post(&flow->task);
}

void peer_flow_gap(struct peer_flow *flow, int32_t offsets)
{
    flow->end_offset += offsets;
}

/* ---- commits ---- */

void peer_flow_commit(struct peer_flow *flow)
{
    struct mr_link waiting;

    if (!flow->is_dead) {
        flow->committed_position = flow->position;
        flow->committed_state_size = flow->state_size;
        memcpy(flow->committed_state, flow->state, flow->state_size);
    }
    mr_list_init(&waiting);
    while (!mr_list_is_empty(&flow->commits)) {
        mr_list_append(&waiting, mr_list_pop(&flow->commits));
    }
    while (!mr_list_is_empty(&waiting)) {
        struct commit *commit = mr_container(mr_list_pop(&waiting), struct commit, link);
        commit->done(commit->owner, 0);
        mr_free(commit);
    }
}

static size_t state_get(struct sink_host *host, const char *topic, int32_t partition, void *state,
                        size_t size)
{
    struct peer_flow *flow = (struct peer_flow *)host;

    (void)topic;
    (void)partition;
    memcpy(state, flow->state, flow->state_size < size ? flow->state_size : size);
    return flow->state_size;
}

static int state_commit(struct sink_host *host, const char *topic, int32_t partition,
                        const void *state, size_t size, void (*done)(void *owner, int rc),
                        void *owner)
{
    struct peer_flow *flow = (struct peer_flow *)host;
    struct commit *commit = mr_calloc(1, sizeof *commit);

    (void)topic;
    (void)partition;
    mr_assert(size <= sizeof flow->state);
    memcpy(flow->state, state, size);
    flow->state_size = size;
    commit->done = done;
    commit->owner = owner;
    mr_list_append(&flow->commits, &commit->link);
    mr_task_post(&flow->task);
    return 0;
}

/* ---- writes ---- */

static void take_back(struct peer_flow *flow, int64_t offset)
{
    mr_list_each(&flow->flights, link, next)
    {
        struct held *held = mr_container(link, struct held, link);
        mr_list_remove(link);
        if (held->is_answered) {
            mr_free(held);
        } else {
            held->is_orphan = true;
            mr_list_append(&flow->orphans, link);
        }
    }
    flow->in_flight = 0;
    flow->next_offset = offset;
}

static void rewind_to(struct sink_host *host, const char *topic, int32_t partition, int64_t offset)
{
    struct peer_flow *flow = (struct peer_flow *)host;

    (void)topic;
    (void)partition;
    flow->rewinds++;
    take_back(flow, offset);
    flow->position = offset < flow->position ? offset : flow->position;
    mr_task_post(&flow->task);
}

static void lost(struct sink_host *host, const char *topic, int32_t partition, const char *reason,
                 int64_t records)
{
    (void)topic;
    (void)partition;
    (void)reason;
    ((struct peer_flow *)host)->lost += records;
}

static int partition_info(struct sink_host *host, const char *topic, int32_t partition,
                          struct sink_partition_info *ret_info)
{
    (void)topic;
    (void)partition;
    *ret_info = (struct sink_partition_info){1, ((struct peer_flow *)host)->end_at_open};
    return 0;
}

static const struct sink_host_ops ops = {.state_get = state_get,
                                         .state_commit = state_commit,
                                         .rewind = rewind_to,
                                         .lost = lost,
                                         .partition_info = partition_info};

static void note_dead(struct peer_flow *flow, const struct held *held,
                      const struct sink_outcome *outcome)
{
    for (int64_t i = held->write.first_offset; i < held->write.next_offset; i++) {
        bool is_bad = outcome->bad_record_count == 0;
        for (size_t k = 0; k < outcome->bad_record_count; k++) {
            is_bad = is_bad || i == held->write.first_offset + outcome->bad_records[k];
        }
        if (is_bad && flow->dead_count < PEER_FLOW_DEAD_MAX) {
            flow->dead[flow->dead_count++] = i;
        }
    }
}

static void advance(struct peer_flow *flow)
{
    while (!mr_list_is_empty(&flow->flights)) {
        struct held *held = mr_container(flow->flights.next, struct held, link);
        if (!held->is_answered) {
            break;
        }
        flow->position = held->write.next_offset;
        mr_list_remove(&held->link);
        mr_free(held);
        flow->in_flight--;
    }
}

static void on_done(struct sink_write *write, const struct sink_outcome *outcome)
{
    struct held *held = write->owner;
    struct peer_flow *flow = held->flow;

    if (outcome->reason != NULL) {
        (void)snprintf(flow->reason, sizeof flow->reason, "%s", outcome->reason);
    }
    mr_task_post(&flow->task);
    if (held->is_orphan || flow->is_dead) {
        mr_list_remove(&held->link);
        mr_free(held);
        return;
    }
    switch (outcome->class) {
    case SINK_PERMANENT:
        note_dead(flow, held, outcome);
        held->is_answered = true;
        advance(flow);
        return;
    case SINK_OK:
        held->is_answered = true;
        advance(flow);
        return;
    case SINK_RETRY:
    case SINK_AUTH:
        flow->retries++;
        flow->auths += outcome->class == SINK_AUTH;
        mr_list_remove(&held->link);
        mr_free(held);
        take_back(flow, flow->position);
        flow->resume_at_ms = mr_loop_now_ms(flow->loop) + BACKOFF_MS;
        (void)mr_timer_start(&flow->timer, BACKOFF_MS);
        return;
    }
}

static const struct peer_flow_batch *batch_at(struct peer_flow *flow)
{
    for (size_t i = flow->batch_first; i < flow->batch_count; i++) {
        const struct peer_flow_batch *batch = &flow->batches[i];
        if (batch->base_offset + batch->count > flow->next_offset) {
            if (i == flow->batch_first && batch->base_offset > flow->next_offset) {
                flow->skipped += batch->base_offset - flow->next_offset;
            }
            return batch;
        }
    }
    return NULL;
}

static void write_more(struct peer_flow *flow)
{
    while (flow->in_flight < sink_type_peer.in_flight_max) {
        const struct peer_flow_batch *batch = batch_at(flow);
        struct held *held;
        if (batch == NULL) {
            return;
        }
        held = mr_calloc(1, sizeof *held);
        held->flow = flow;
        held->write = (struct sink_write){.topic = "web",
                                          .first_offset = batch->base_offset,
                                          .next_offset = batch->base_offset + batch->count,
                                          .record_count = batch->count,
                                          .disk = mr_disk_system(),
                                          .fd = flow->fd,
                                          .position = batch->position,
                                          .size_bytes = batch->size_bytes,
                                          .done = on_done,
                                          .owner = held};
        flow->next_offset = held->write.next_offset;
        flow->in_flight++;
        mr_list_append(&flow->flights, &held->link);
        sink_type_peer.write(flow->sink, &held->write);
    }
}

static void on_task(struct mr_task *task)
{
    struct peer_flow *flow = task->owner;

    if (!mr_list_is_empty(&flow->commits)) {
        peer_flow_commit(flow);
    }
    if (flow->sink != NULL && !flow->is_dead && !flow->is_paused &&
        mr_list_is_empty(&flow->orphans) && mr_loop_now_ms(flow->loop) >= flow->resume_at_ms) {
        write_more(flow);
    }
}

static void on_timer(struct mr_timer *timer)
{
    struct peer_flow *flow = timer->owner;

    flow->resume_at_ms = 0;
    mr_task_post(&flow->task);
}

bool peer_flow_is_done(const struct peer_flow *flow)
{
    return flow->position == flow->end_offset;
}

/* ---- opening and closing ---- */

struct peer_flow *peer_flow_new(struct mr_loop *loop, struct mr_net *net, struct mr_random *random,
                                const char *path)
{
    struct peer_flow *flow = mr_calloc(1, sizeof *flow);

    flow->loop = loop;
    mr_assert(mr_workers_new(loop, "peer", 1, &flow->workers) == 0);
    flow->host = (struct sink_host){.ops = &ops,
                                    .loop = loop,
                                    .disk = mr_disk_system(),
                                    .net = net,
                                    .random = random,
                                    .workers = flow->workers,
                                    .sink_id = "hubs",
                                    .node_name = "edge",
                                    .node_uuid = mr_uuid_random(random)};
    mr_list_init(&flow->flights);
    mr_list_init(&flow->orphans);
    mr_list_init(&flow->commits);
    mr_task_init(&flow->task, loop, on_task, flow);
    mr_timer_init(&flow->timer, loop, on_timer, flow);
    mr_assert(
        mr_disk_open(mr_disk_system(), path, MR_DISK_WRITE | MR_DISK_CREATE, &flow->fd, NULL) == 0);
    return flow;
}

void peer_flow_open(struct peer_flow *flow, const struct mr_address *hubs, size_t hub_count)
{
    static char texts[4][MR_ADDRESS_TEXT_SIZE]; /* one thread */
    static const char *items[4];
    struct mr_error error;

    mr_assert(flow->sink == NULL && hub_count <= 4);
    for (size_t i = 0; i < hub_count; i++) {
        mr_address_format(&hubs[i], texts[i], sizeof texts[i]);
        items[i] = texts[i];
    }
    if (flow->options == NULL) {
        flow->options = mr_calloc(1, sizeof *flow->options);
        flow->options->create_topics = true;
        flow->options->request_timeout_ms =
            flow->request_timeout_ms > 0 ? flow->request_timeout_ms : PATIENCE_MS;
        flow->options->connect_timeout_ms = PATIENCE_MS;
    }
    flow->options->nodes = (struct mr_string_list){items, hub_count};
    flow->is_dead = false;
    flow->position = flow->committed_position;
    flow->next_offset = flow->position;
    flow->state_size = flow->committed_state_size;
    memcpy(flow->state, flow->committed_state, flow->state_size);
    flow->resume_at_ms = 0;
    flow->end_at_open = flow->end_offset;
    flow->sink = mr_calloc(1, sink_type_peer.size_bytes);
    flow->sink->type = &sink_type_peer;
    flow->sink->host = &flow->host;
    flow->sink->options = flow->options;
    mr_assert(sink_type_peer.open(flow->sink, &error) == 0);
    mr_task_post(&flow->task);
}

static void on_closed(void *owner)
{
    struct peer_flow *flow = owner;

    mr_free(flow->sink);
    flow->sink = NULL;
}

static void close_sink(struct peer_flow *flow)
{
    int64_t end_ms = net_fixture_clock_ms() + CLOSE_MS_MAX;

    sink_type_peer.close(flow->sink, on_closed, flow);
    while (flow->sink != NULL) {
        mr_assert(net_fixture_clock_ms() < end_ms);
        mr_loop_turn(flow->loop, 10);
    }
    mr_assert(mr_list_is_empty(&flow->orphans));
    take_back(flow, flow->position);             /* frees what was answered */
    mr_assert(mr_list_is_empty(&flow->orphans)); /* everything was answered */
}

void peer_flow_close(struct peer_flow *flow)
{
    flow->is_paused = true;
    close_sink(flow);
    flow->is_paused = false;
    peer_flow_commit(flow);
}

void peer_flow_kill(struct peer_flow *flow)
{
    flow->is_dead = true;
    close_sink(flow);
}

void peer_flow_free(struct peer_flow *flow)
{
    if (flow->sink != NULL) {
        peer_flow_kill(flow);
    }
    mr_task_cancel(&flow->task);
    mr_timer_stop(&flow->timer);
    mr_workers_free(flow->workers);
    mr_disk_close(mr_disk_system(), flow->fd);
    mr_free(flow->batches);
    mr_free(flow->options);
    mr_free(flow);
}
