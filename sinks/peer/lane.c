/* One local partition's way to the hub.
 *
 *   UNSURE -write-> TARGET -> ASKING -> SENDING      nothing is known / Metadata, topic /
 * DescribeProducers a new lineage: ASKING -> COMMITTING -> SENDING SENDING -gap-> COMMITTING ->
 * SENDING             a new epoch, on disk before its first record SENDING -refused batch->
 * SPLITTING -> SENDING    piece by piece, bad records named any -failure-> FAILING -> UNSURE once
 * nothing is in flight
 *
 * Happy path: a write arrives, its header is patched, header and file range go out, up to five at a
 * time; each answer is passed on in order.
 *
 * Failure modes: a broken connection, another leader or a sequence that does not fit lead back to
 * UNSURE with all writes still held, and the hub is asked what it has; when that does not help, or
 * the hub cannot be reached, all held writes go back to the flow, which knows how to wait. Whatever
 * was in doubt is cleared by asking, never by sending again and hoping. Everything for one epoch
 * goes over the one connection on which the hub was asked: a hub that came back without its memory
 * would take any sequence. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/core/logger.h"
#include "base/core/memory.h"
#include "sinks/peer/peer_internal.h"

enum { RESUME_ATTEMPTS_MAX = 3 };

static const char *const state_names[LANE_STATE_COUNT] = {
    "unsure", "target", "asking", "committing", "sending", "splitting", "failing"};
static const uint32_t state_moves[LANE_STATE_COUNT] = {
    [LANE_UNSURE] = MR_TO(LANE_TARGET) | MR_TO(LANE_FAILING),
    [LANE_TARGET] = MR_TO(LANE_ASKING) | MR_TO(LANE_FAILING) | MR_TO(LANE_UNSURE),
    [LANE_ASKING] =
        MR_TO(LANE_SENDING) | MR_TO(LANE_COMMITTING) | MR_TO(LANE_FAILING) | MR_TO(LANE_UNSURE),
    [LANE_COMMITTING] = MR_TO(LANE_SENDING) | MR_TO(LANE_SPLITTING) | MR_TO(LANE_FAILING),
    [LANE_SENDING] = MR_TO(LANE_COMMITTING) | MR_TO(LANE_SPLITTING) | MR_TO(LANE_FAILING),
    [LANE_SPLITTING] = MR_TO(LANE_COMMITTING) | MR_TO(LANE_SENDING) | MR_TO(LANE_FAILING),
    [LANE_FAILING] = MR_TO(LANE_UNSURE),
};
static const struct mr_state_table lane_states = {"peer lane", state_names, state_moves,
                                                  LANE_STATE_COUNT};

static void on_step(struct mr_task *task)
{
    lane_step(task->owner);
}

void lane_count(struct lane *lane, enum peer_metric metric, int64_t count)
{
    if (lane->peer->metrics != NULL) {
        lane->peer->metrics->values[metric] += count;
    }
}

const char *lane_subject(const struct lane *lane)
{
    return lane->topic;
}

void lane_move(struct lane *lane, enum lane_state state)
{
    mr_state_move(&lane->machine, (int)state, lane_subject(lane));
}

/* ---- lanes ---- */

static struct lane *lane_new(struct peer *peer, const char *topic, int32_t partition)
{
    struct lane *lane = mr_calloc(1, sizeof *lane);

    if (lane == NULL) {
        return NULL;
    }
    lane->peer = peer;
    lane->partition = partition;
    lane->topic = mr_strdup(topic);
    if (lane->topic == NULL) {
        mr_free(lane);
        return NULL;
    }
    lane->sent_offset_max = -1;
    lane->committed_hub_end_offset = -1;
    mr_machine_init(&lane->machine, &lane_states, LANE_UNSURE);
    mr_list_init(&lane->held);
    mr_task_init(&lane->step_task, peer->sink.host->loop, on_step, lane);
    mr_list_append(&peer->lanes, &lane->link);
    return lane;
}

struct lane *lane_get(struct peer *peer, const char *topic, int32_t partition)
{
    mr_list_each(&peer->lanes, link, next)
    {
        struct lane *lane = mr_container(link, struct lane, link);
        if (lane->partition == partition && strcmp(lane->topic, topic) == 0) {
            return lane;
        }
    }
    return lane_new(peer, topic, partition);
}

void lane_free(struct lane *lane)
{
    mr_assert(lane_is_idle(lane));
    mr_task_cancel(&lane->step_task);
    mr_list_remove(&lane->link);
    mr_free(lane->topic);
    mr_free(lane);
}

bool lane_is_idle(const struct lane *lane)
{
    return mr_list_is_empty(&lane->held) && lane->in_flight == 0 && !lane->is_asking &&
           !lane->is_committing && !lane->is_cutting && !lane->is_reading;
}

struct sink_write *lane_first(const struct lane *lane)
{
    return mr_list_is_empty(&lane->held) ? NULL
                                         : mr_container(lane->held.next, struct sink_write, link);
}

void lane_take(struct lane *lane, struct sink_write *write)
{
    mr_list_append(&lane->held, &write->link);
    mr_task_post(&lane->step_task); /* several that come in one turn go out together */
}

/* ---- answers ---- */

/* Where the refused records of the write stand in it. */
static uint32_t *bad_places(const struct lane *lane, const struct sink_write *write,
                            size_t *ret_count)
{
    const struct lineage *lineage = &lane->lineage;
    uint32_t *places;
    size_t count = 0;

    *ret_count = 0;
    for (int32_t i = 0; i < lineage->bad_count; i++) {
        count += lineage->bad[i].offset < write->next_offset ? (size_t)lineage->bad[i].count : 0;
    }
    places = count == 0 ? NULL : mr_calloc(count, sizeof *places);
    if (places == NULL) {
        return NULL;
    }
    for (int32_t i = 0; i < lineage->bad_count; i++) {
        const struct lineage_bad *bad = &lineage->bad[i];
        for (int32_t k = 0; bad->offset < write->next_offset && k < bad->count; k++) {
            places[(*ret_count)++] = (uint32_t)(bad->index + k);
        }
    }
    return places;
}

void lane_answer_first(struct lane *lane, enum sink_class class)
{
    struct sink_write *write = lane_first(lane);
    struct sink_outcome outcome = {.class = class,
                                   .reason = class == SINK_OK ? NULL : lane->reason};
    uint32_t *places = NULL;

    if (class == SINK_OK && lane->lineage.bad_count > 0) {
        places = bad_places(lane, write, &outcome.bad_record_count);
        if (places != NULL) {
            outcome.class = SINK_PERMANENT;
            outcome.bad_records = places;
            outcome.reason = lane->reason[0] != '\0' ? lane->reason : "refused by the hub";
        }
    }
    if (class == SINK_OK || class == SINK_PERMANENT) {
        lane->attempts = 0;
        lineage_settle_bad(&lane->lineage, write->next_offset);
    }
    mr_list_remove(&write->link);
    write->done(write, &outcome);
    mr_free(places);
}

static void set_reason(struct lane *lane, const char *format, va_list arguments)
{
    char text[sizeof lane->reason]; /* the old reason may be among the arguments */

    (void)vsnprintf(text, sizeof text, format, arguments);
    (void)snprintf(lane->reason, sizeof lane->reason, "%s", text);
    (void)snprintf(lane->peer->error, sizeof lane->peer->error, "%s", lane->reason);
}

void lane_fail(struct lane *lane, enum sink_class class, const char *format, ...)
{
    va_list arguments;

    if (lane->machine.state == LANE_FAILING) {
        return; /* the first reason is the one */
    }
    va_start(arguments, format);
    set_reason(lane, format, arguments);
    va_end(arguments);
    lane->failure = class;
    lane_move(lane, LANE_FAILING);
    mr_task_post(&lane->step_task);
}

void lane_unsure(struct lane *lane, const char *format, ...)
{
    va_list arguments;

    if (lane->machine.state == LANE_FAILING) {
        return;
    }
    va_start(arguments, format);
    set_reason(lane, format, arguments);
    va_end(arguments);
    mr_debug("the hub is asked again", KV_STR("topic", lane->topic),
             KV_I64("partition", lane->partition), KV_STR("reason", lane->reason));
    lane->failure = ++lane->attempts > RESUME_ATTEMPTS_MAX ? SINK_RETRY : SINK_OK;
    lane_move(lane, LANE_FAILING);
    mr_task_post(&lane->step_task);
}

/* Nothing is under way any more: gives back all that is held, or begins anew with it (failure OK).
 */
static void finish_failing(struct lane *lane)
{
    struct mr_link held;

    if (lane->in_flight > 0 || lane->is_asking || lane->is_cutting || lane->is_reading ||
        lane->is_commit_awaited) {
        return;
    }
    lane_move(lane, LANE_UNSURE);
    if (lane->failure == SINK_OK && !lane->peer->is_closing) {
        lane_step(lane);
        return;
    }
    lane->attempts = 0;
    mr_list_init(&held); /* what the answers bring is for the next round */
    while (!mr_list_is_empty(&lane->held)) {
        mr_list_append(&held, mr_list_pop(&lane->held));
    }
    while (!mr_list_is_empty(&held)) {
        struct sink_write *write = mr_container(mr_list_pop(&held), struct sink_write, link);
        const struct sink_outcome outcome = {
            .class = lane->failure == SINK_OK ? SINK_RETRY : lane->failure, .reason = lane->reason};
        write->done(write, &outcome);
    }
    if (lane->peer->is_closing) {
        mr_task_post(&lane->peer->close_task);
    }
}

void lane_step(struct lane *lane)
{
    enum lane_state state = (enum lane_state)lane->machine.state;

    if (lane->peer->is_closing && state != LANE_FAILING && state != LANE_TARGET &&
        state != LANE_ASKING && state != LANE_COMMITTING) {
        if (lane->in_flight > 0) {
            return; /* their answers may still come; nothing new is sent */
        }
        if (!mr_list_is_empty(&lane->held)) {
            lane_fail(lane, SINK_RETRY, "the sink is closing");
        } else {
            mr_task_post(&lane->peer->close_task);
        }
        return;
    }
    switch (state) {
    case LANE_UNSURE:
        if (!mr_list_is_empty(&lane->held)) {
            lane_find_target(lane);
        }
        return;
    case LANE_SENDING:
        lane_send(lane);
        return;
    case LANE_SPLITTING:
        lane_split_step(lane);
        return;
    case LANE_FAILING:
        finish_failing(lane);
        return;
    case LANE_TARGET:
    case LANE_ASKING:
    case LANE_COMMITTING:
    case LANE_STATE_COUNT:
        return; /* an answer is on its way */
    }
}
