/* What flows, as JSON: files, sinks, and the ledger.
 *
 * The ledger keeps two counts apart and compares them. Sources: their delivered events are summed
 * from the positions that travel in the batches, and must be what the log's offsets say, but for
 * what cannot be attributed since both checkpoints and the segments are gone. Sinks: end - origin
 * must be delivered + queued + skipped + dead. */
#include <string.h>

#include "agent/config/config.h"
#include "agent/flow/flow_internal.h"
#include "base/text/json.h"

static void put_number(struct mr_json *json, const char *key, int64_t value)
{
    mr_json_key(json, key);
    mr_json_i64(json, value);
}

static void put_text(struct mr_json *json, const char *key, const char *text)
{
    mr_json_key(json, key);
    mr_json_text(json, text != NULL && text[0] == '\0' ? NULL : text);
}

static void put_bool(struct mr_json *json, const char *key, bool value)
{
    mr_json_key(json, key);
    mr_json_bool(json, value);
}

/* ---- files ---- */

struct files {
    struct mr_json *json;
    const struct intake *intake;
};

static void on_file(void *owner, const struct source_status *status)
{
    struct files *files = owner;
    struct mr_json *json = files->json;
    int64_t behind = status->size_bytes - status->position_bytes;

    mr_json_open_object(json);
    put_text(json, "source", intake_id(files->intake));
    put_text(json, "path", status->path);
    put_text(json, "identity", status->identity);
    put_text(json, "state", status->state);
    put_number(json, "position", status->position_bytes);
    put_number(json, "size", status->size_bytes);
    put_number(json, "behind", behind > 0 ? behind : 0);
    put_number(json, "last_read_ms", status->last_read_ms);
    put_text(json, "detail", status->detail);
    mr_json_close_object(json);
}

void flow_files_json(struct flow *flow, struct mr_json *json)
{
    struct files files = {json, NULL};

    mr_json_open_array(json);
    for (size_t i = 0; i < flow->intake_count; i++) {
        files.intake = flow->intakes[i];
        intake_status(flow->intakes[i], on_file, &files);
    }
    mr_json_close_array(json);
}

/* ---- sinks ---- */

struct parts {
    struct mr_json *json;
    const char *sink; /* NULL: not repeated in each row */
    bool is_balanced;
};

static void put_part(void *owner, const struct drain_row *row)
{
    struct parts *parts = owner;
    struct mr_json *json = parts->json;
    int64_t queued = row->end_offset - row->position_offset;
    int64_t in = row->end_offset - row->origin_offset;
    bool is_balanced = in == row->delivered + queued + row->skipped + row->dead;

    parts->is_balanced = parts->is_balanced && is_balanced;
    mr_json_open_object(json);
    if (parts->sink != NULL) {
        put_text(json, "sink", parts->sink);
    }
    put_text(json, "topic", row->topic);
    put_number(json, "partition", row->partition);
    put_number(json, "in", in);
    put_number(json, "delivered", row->delivered);
    put_number(json, "queued", queued);
    put_number(json, "skipped", row->skipped);
    put_number(json, "dead", row->dead);
    put_number(json, "lost", row->lost);
    put_number(json, "position", row->position_offset);
    put_number(json, "end", row->end_offset);
    put_number(json, "in_flight", row->in_flight);
    put_bool(json, "balanced", is_balanced);
    mr_json_close_object(json);
}

static const char *state_word(const struct drain_state *state)
{
    if (state->retry_in_ms >= 0) {
        return "backoff";
    }
    return state->sink.state == NULL ? "running" : state->sink.state;
}

static void put_sink(struct mr_json *json, struct drain *drain)
{
    struct parts parts = {json, NULL, true};
    struct drain_state state;

    drain_status(drain, &state);
    mr_json_open_object(json);
    put_text(json, "sink", drain_id(drain));
    put_text(json, "state", state_word(&state));
    put_text(json, "destination", state.sink.destination);
    put_text(json, "error", state.last_error[0] != '\0' ? state.last_error : state.sink.error);
    mr_json_key(json, "retry_in_ms");
    if (state.retry_in_ms < 0) {
        mr_json_null(json);
    } else {
        mr_json_i64(json, state.retry_in_ms);
    }
    put_number(json, "failures", state.failures);
    mr_json_key(json, "partitions");
    mr_json_open_array(json);
    drain_each(drain, put_part, &parts);
    mr_json_close_array(json);
    mr_json_close_object(json);
}

void flow_sinks_json(struct flow *flow, struct mr_json *json)
{
    mr_json_open_array(json);
    for (size_t i = 0; i < flow->drain_count; i++) {
        put_sink(json, flow->drains[i]);
    }
    mr_json_close_array(json);
}

/* ---- the ledger ---- */

static void put_drops(struct mr_json *json, const struct position_source *source)
{
    mr_json_open_object(json);
    for (size_t i = 0; source != NULL && i < source->drop_count; i++) {
        mr_json_key(json, source->drops[i].reason);
        mr_json_open_object(json);
        put_number(json, "events", source->drops[i].events);
        put_number(json, "bytes", source->drops[i].bytes);
        mr_json_close_object(json);
    }
    mr_json_close_object(json);
}

static void put_source(struct mr_json *json, const struct intake *intake, struct lane *lane)
{
    const struct position_source *source =
        positions_source(lane_positions(lane), intake_id(intake), false);
    int64_t delivered = source == NULL ? 0 : source->delivered_events;
    int64_t dropped = 0;

    for (size_t i = 0; source != NULL && i < source->drop_count; i++) {
        dropped += source->drops[i].events;
    }
    mr_json_open_object(json);
    put_text(json, "source", intake_id(intake));
    put_text(json, "topic", lane_topic(lane));
    put_number(json, "partition", lane_partition(lane));
    put_number(json, "in", delivered + dropped);
    put_number(json, "out", delivered);
    put_number(json, "dropped", dropped);
    mr_json_key(json, "reasons");
    put_drops(json, source);
    mr_json_close_object(json);
}

/* All that was ever appended to the partition must have been delivered by one of its sources, those
 * included that the configuration no longer names. */
static bool put_lane(struct mr_json *json, struct lane *lane)
{
    struct positions *positions = lane_positions(lane);
    const struct mr_map_entry *entry;
    size_t cursor = 0;
    int64_t delivered = 0;

    while ((entry = mr_map_next(&positions->sources, &cursor)) != NULL) {
        delivered += ((const struct position_source *)entry->value)->delivered_events;
    }
    bool is_balanced = delivered + positions->unattributed == positions->offset;
    mr_json_open_object(json);
    put_text(json, "topic", lane_topic(lane));
    put_number(json, "partition", lane_partition(lane));
    put_number(json, "delivered", delivered);
    put_number(json, "unattributed", positions->unattributed);
    put_number(json, "end", lane_end_offset(lane));
    put_bool(json, "balanced", is_balanced);
    mr_json_close_object(json);
    return is_balanced;
}

static const struct flow_topic *topic_of(const struct flow *flow, size_t intake)
{
    const char *name = flow->env.config->sources[intake].topic;
    size_t place = 0;

    while (strcmp(flow->topics[place].name, name) != 0) {
        place++; /* it was opened before the intake */
    }
    return &flow->topics[place];
}

static void put_sources(struct flow *flow, struct mr_json *json)
{
    mr_json_key(json, "sources");
    mr_json_open_array(json);
    for (size_t i = 0; i < flow->intake_count; i++) {
        const struct flow_topic *topic = topic_of(flow, i);
        for (int32_t j = 0; j < topic->lane_count; j++) {
            put_source(json, flow->intakes[i], topic->lanes[j]);
        }
    }
    mr_json_close_array(json);
}

static bool put_lanes(struct flow *flow, struct mr_json *json)
{
    bool is_balanced = true;

    mr_json_key(json, "topics");
    mr_json_open_array(json);
    for (size_t i = 0; i < flow->topic_count; i++) {
        for (int32_t j = 0; j < flow->topics[i].lane_count; j++) {
            is_balanced = put_lane(json, flow->topics[i].lanes[j]) && is_balanced;
        }
    }
    mr_json_close_array(json);
    return is_balanced;
}

void flow_ledger_json(struct flow *flow, struct mr_json *json)
{
    struct parts parts = {json, NULL, true};

    mr_json_open_object(json);
    put_sources(flow, json);
    parts.is_balanced = put_lanes(flow, json);
    mr_json_key(json, "sinks");
    mr_json_open_array(json);
    for (size_t i = 0; i < flow->drain_count; i++) {
        parts.sink = drain_id(flow->drains[i]);
        drain_each(flow->drains[i], put_part, &parts);
    }
    mr_json_close_array(json);
    put_bool(json, "balanced", parts.is_balanced);
    mr_json_close_object(json);
}
