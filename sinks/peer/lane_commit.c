/* What is kept of a lineage: begun, moved to its next epoch, and written before it is used. */
#include "base/core/logger.h"
#include "sinks/peer/peer_internal.h"

enum { COMMIT_MS = 10000 };

static void on_committed(void *owner, int rc)
{
    struct lane *lane = owner;
    bool is_awaited = lane->is_commit_awaited;

    lane->is_committing = false;
    if (lane->is_commit_wanted) { /* the one that is awaited had to wait for this one */
        lane->is_commit_wanted = false;
        lane_commit_awaited(lane);
        return;
    }
    lane->is_commit_awaited = false;
    if (is_awaited && rc != 0) {
        lane_fail(lane, SINK_RETRY, "the lineage cannot be written: %s", mr_code_text(rc));
    } else if (is_awaited) {
        lane->is_dirty = false;
        if (lane->machine.state == LANE_COMMITTING) {
            lane_move(lane, lane->after_commit);
        }
    }
    if (lane->peer->is_closing) {
        mr_task_post(&lane->peer->close_task);
    }
    lane_step(lane);
}

static int commit(struct lane *lane)
{
    struct sink_host *host = lane->peer->sink.host;
    uint8_t bytes[LINEAGE_BYTES_MAX];
    size_t size = lineage_encode(&lane->lineage, bytes);
    int rc = host->ops->state_commit(host, lane->topic, lane->partition, bytes, size, on_committed,
                                     lane);

    if (rc == 0) {
        lane->is_committing = true;
        lane->committed_ms = mr_loop_now_ms(host->loop);
        lane->committed_hub_end_offset = lane->lineage.hub_end_offset;
    }
    return rc;
}

void lane_commit_awaited(struct lane *lane)
{
    int rc;

    if (lane->machine.state != LANE_COMMITTING && lane->machine.state != LANE_FAILING) {
        lane_move(lane, LANE_COMMITTING);
    }
    lane->is_commit_awaited = true;
    if (lane->is_committing) {
        lane->is_commit_wanted = true;
        return;
    }
    rc = commit(lane);
    if (rc != 0) {
        lane->is_commit_awaited = false;
        lane_fail(lane, SINK_RETRY, "the lineage cannot be written: %s", mr_code_text(rc));
    }
}

/* The hub's end is what tells an expired producer from records that are gone: the first one must be
 * in every later commit of the position, and one that went back must replace the older. */
void lane_commit_sometimes(struct lane *lane)
{
    const struct lineage *lineage = &lane->lineage;
    int64_t since_ms = mr_loop_now_ms(lane->peer->sink.host->loop) - lane->committed_ms;
    bool matters = lane->committed_hub_end_offset < 0 ||
                   lineage->hub_end_offset < lane->committed_hub_end_offset;

    if (!lane->is_committing && lineage->hub_end_offset >= 0 &&
        (matters || since_ms >= COMMIT_MS)) {
        (void)commit(lane); /* if not now, then after the next answer */
    }
}

void lane_bump(struct lane *lane, int64_t offset)
{
    mr_assert(lane->in_flight == 0);
    lineage_bump(&lane->lineage, lane->peer->sink.host->random, offset);
    lane_count(lane, PEER_EPOCHS, 1);
    mr_info("records go on under a new epoch", KV_STR("topic", lane->topic),
            KV_I64("partition", lane->partition), KV_I64("first_offset", offset),
            KV_I64("expected_offset", lane->next_offset), KV_I64("epoch", lane->lineage.epoch));
    lane->next_offset = offset;
    lane->is_established = false;
    lane->is_dirty = true;
}

void lane_begin(struct lane *lane, const struct lineage_place *place, int64_t offset)
{
    mr_assert(lane->in_flight == 0);
    lineage_begin(&lane->lineage, place, lane->peer->sink.host->random, offset);
    lane_count(lane, PEER_LINEAGES, 1);
    mr_info("a lineage begins", KV_STR("topic", lane->topic), KV_I64("partition", lane->partition),
            KV_STR("hub_topic", place->topic), KV_I64("hub_partition", place->partition),
            KV_I64("first_offset", offset));
    lane->next_offset = offset;
    lane->is_established = false;
    lane->is_dirty = true;
    lane->has_lineage = true;
    lane->committed_hub_end_offset = -1;
}
