/* Where a partition of a drain stands, on disk: {answered offset, counters, the sink's state} as
 * one commit of the group sink.<id>, whose metadata is a line of text. Commits are lazy, once a
 * second; one that a sink waits for goes at once. One is under way at most. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/flow/part_internal.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/text/base64.h"

enum {
    PART_COMMIT_MS = 1000,
    PART_METADATA_SIZE_MAX = 4096, /* Kafka's offset.metadata.max.bytes */
};

static_assert(MR_BASE64_SIZE(SINK_STATE_SIZE_MAX) + 256 < PART_METADATA_SIZE_MAX,
              "the sink's state and the counters fit into one commit");

struct state_request { /* a sink's state_commit, waiting for its commit */
    struct mr_link link;
    void (*done)(void *owner, int rc);
    void *owner;
};

void part_dirty(struct part *part)
{
    part->is_dirty = true;
    if (!mr_timer_is_running(&part->commit_timer)) {
        (void)mr_timer_start(&part->commit_timer, PART_COMMIT_MS);
    }
}

size_t part_state_get(const struct part *part, void *state, size_t size)
{
    memcpy(state, part->state, part->state_size < size ? part->state_size : size);
    return part->state_size;
}

static void finish_requests(struct mr_link *requests, int rc)
{
    struct mr_link *link;

    while ((link = mr_list_pop(requests)) != NULL) {
        struct state_request *request = mr_container(link, struct state_request, link);
        request->done(request->owner, rc);
        mr_free(request);
    }
}

static void on_committed(void *owner, int rc)
{
    struct part *part = owner;

    part->is_committing = false;
    if (rc != 0) {
        mr_warn("the position of a sink could not be committed",
                KV_STR("sink", part->drain->config.id), KV_STR("topic", part->topic), KV_ERR(rc));
        part->is_dirty = true;
    }
    finish_requests(&part->state_under_way, rc);
    if (!mr_list_is_empty(&part->state_waiting)) {
        (void)mr_timer_start(&part->commit_timer, 0); /* it has just run, or was running: no memory
                                                         is needed */
    } else if (part->drain->is_closing) {
        /* After a failure the last commit stands: what came after is sent again, or found there. */
        part->is_dirty = part->is_dirty && rc == 0;
        mr_task_post(&part->drain->close_task);
    } else if (part->is_dirty) {
        part_dirty(part);
    }
}

void part_commit(struct part *part)
{
    char metadata[PART_METADATA_SIZE_MAX];
    char state[MR_BASE64_SIZE(SINK_STATE_SIZE_MAX)];
    int rc;

    if (part->is_committing) {
        return;
    }
    mr_base64_encode(part->state, part->state_size, state, sizeof state);
    (void)snprintf(metadata, sizeof metadata,
                   "v1 origin=%lld delivered=%lld skipped=%lld dead=%lld lost=%lld state=%s",
                   (long long)part->counts.origin_offset, (long long)part->counts.delivered,
                   (long long)part->counts.skipped, (long long)part->counts.dead,
                   (long long)part->counts.lost, state);
    part->is_dirty = false;
    part->is_committing = true;
    while (!mr_list_is_empty(&part->state_waiting)) {
        mr_list_append(&part->state_under_way, mr_list_pop(&part->state_waiting));
    }
    rc = queue_consumer_commit(part->consumer, part->answered_offset, metadata, on_committed, part);
    if (rc != 0) {
        on_committed(part, rc);
    }
}

static void on_commit_timer(struct mr_timer *timer)
{
    struct part *part = timer->owner;

    if (part->is_dirty) {
        part_commit(part);
    }
}

void part_commit_init(struct part *part)
{
    mr_list_init(&part->state_waiting);
    mr_list_init(&part->state_under_way);
    mr_timer_init(&part->commit_timer, part->drain->config.loop, on_commit_timer, part);
}

void part_commit_done(struct part *part)
{
    finish_requests(&part->state_waiting, MR_ECANCELED);
    mr_timer_stop(&part->commit_timer);
}

int part_state_commit(struct part *part, const void *state, size_t size,
                      void (*done)(void *owner, int rc), void *owner)
{
    struct state_request *request;

    if (size > SINK_STATE_SIZE_MAX) {
        return MR_ETOOLARGE;
    }
    request = mr_calloc(1, sizeof *request);
    if (request == NULL) {
        return MR_ENOMEM;
    }
    request->done = done;
    request->owner = owner;
    mr_list_append(&part->state_waiting, &request->link);
    memcpy(part->state, state, size);
    part->state_size = size;
    part->is_dirty = true;
    (void)mr_timer_start(&part->commit_timer, 0); /* later: done is never called from in here */
    return 0;
}

static int64_t number_of(const char *metadata, const char *name)
{
    const char *found = strstr(metadata, name);

    return found == NULL ? 0 : strtoll(found + strlen(name), NULL, 10);
}

void part_load(struct part *part)
{
    const char *metadata = "";
    int64_t committed = queue_consumer_committed(part->consumer, &metadata);
    const char *state = strstr(metadata, " state=");

    if (committed < 0) {
        committed = queue_consumer_start_offset(part->consumer);
        part->counts.origin_offset = committed;
    } else if (strncmp(metadata, "v1 ", 3) != 0) {
        part->counts.origin_offset =
            committed; /* somebody's tool has set it: the books begin anew */
    } else {
        part->counts.origin_offset = number_of(metadata, " origin=");
        part->counts.delivered = number_of(metadata, " delivered=");
        part->counts.skipped = number_of(metadata, " skipped=");
        part->counts.dead = number_of(metadata, " dead=");
        part->counts.lost = number_of(metadata, " lost=");
    }
    if (state != NULL) {
        ssize_t size =
            mr_base64_decode(state + 7, strcspn(state + 7, " "), part->state, sizeof part->state);
        part->state_size = size < 0 ? 0 : (size_t)size;
    }
    part->opened_end_offset = queue_consumer_end_offset(part->consumer);
    part->next_offset = committed;
    part->answered_offset = committed;
    queue_consumer_passed(part->consumer, committed);
}
