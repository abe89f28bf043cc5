/* Where a lane goes, and where it goes on: Metadata, the topic at the hub (made if it is not
 * there), the stored lineage, and the hub's word on what it has of it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/core/logger.h"
#include "queue/wire/kafka_error.h"
#include "sinks/peer/peer_internal.h"

enum { CREATIONS_MAX = 10 };

static void on_refreshed(void *owner, int rc);
static void ask_producers(struct lane *lane);

static const char *why(const struct lane *lane, int rc)
{
    const char *error = client_error(lane->peer->client);

    return (rc == MR_ENETWORK || rc == MR_ETIMEDOUT || rc == MR_EAUTH) && error[0] != '\0'
               ? error
               : mr_code_text(rc);
}

static bool is_refusal(int code)
{
    return code == KAFKA_TOPIC_AUTHORIZATION_FAILED || code == KAFKA_CLUSTER_AUTHORIZATION_FAILED ||
           code == KAFKA_SASL_AUTHENTICATION_FAILED || code == KAFKA_POLICY_VIOLATION ||
           code == KAFKA_INVALID_TOPIC_EXCEPTION;
}

/* What a Kafka code of a question means for all that is held. */
static void fail_by_code(struct lane *lane, const char *question, int code)
{
    lane_fail(lane, is_refusal(code) ? SINK_AUTH : SINK_RETRY, "topic '%s': %s: %s", lane->target,
              question, kafka_error_name(code));
}

/* ---- Metadata ---- */

static void refresh(struct lane *lane)
{
    int rc;

    lane->refresh =
        (struct client_refresh){.topic = lane->target, .done = on_refreshed, .owner = lane};
    rc = client_refresh(lane->peer->client, &lane->refresh);
    lane->is_asking = rc == 0;
    if (rc != 0) {
        lane_fail(lane, SINK_RETRY, "%s", mr_code_text(rc));
    }
}

void lane_find_target(struct lane *lane)
{
    const char *prefix = lane->peer->options->prefix;
    int size = snprintf(lane->target, sizeof lane->target, "%s%s", prefix == NULL ? "" : prefix,
                        lane->topic);

    lane_move(lane, LANE_TARGET);
    if (size >= (int)sizeof lane->target) {
        lane_fail(lane, SINK_AUTH, "topic '%s': with the prefix the name is too long", lane->topic);
        return;
    }
    lane->creations = 0;
    refresh(lane);
}

/* ---- the topic ---- */

static void on_created(struct client_request *request, int rc, const void *response)
{
    struct lane *lane = request->owner;
    const struct create_topics_response *answer = response;
    int code = rc != 0 || answer->topics.count != 1 ? 0 : answer->topics.items[0].error_code;

    lane->is_asking = false;
    if (rc != 0) {
        lane_fail(lane, SINK_RETRY, "CreateTopics: %s", why(lane, rc));
    } else if (code != 0 && code != KAFKA_TOPIC_ALREADY_EXISTS && code != KAFKA_NOT_CONTROLLER) {
        fail_by_code(lane, "CreateTopics", code);
    } else {
        refresh(lane); /* it may take a while to be seen: asked again, up to a bound */
    }
}

static void create_topic(struct lane *lane)
{
    const struct peer_options *options = lane->peer->options;
    int64_t partitions = options->partitions > 0 ? options->partitions : -1;
    int rc;

    memset(&lane->message, 0, sizeof lane->message);
    create_topics_request_init(&lane->message.create.body);
    create_topics_request_topic_init(&lane->message.create.topic);
    lane->message.create.topic.name = wire_text(lane->target);
    lane->message.create.topic.num_partitions = (int32_t)partitions;
    lane->message.create.topic.replication_factor = -1;
    lane->message.create.body.topics.items = &lane->message.create.topic;
    lane->message.create.body.topics.count = 1;
    lane->message.create.body.timeout_ms = (int32_t)(options->request_timeout_ms / 2);
    lane->request = (struct client_request){.key = WIRE_API_CREATE_TOPICS,
                                            .message = &lane->message.create.body,
                                            .node = CLIENT_NODE_CONTROLLER,
                                            .done = on_created,
                                            .owner = lane};
    rc = client_send(lane->peer->client, &lane->request);
    lane->is_asking = rc == 0;
    if (rc != 0) {
        lane_fail(lane, SINK_RETRY, "CreateTopics: %s", why(lane, rc));
    }
}

/* ---- the lineage ---- */

static void load_lineage(struct lane *lane)
{
    struct sink_host *host = lane->peer->sink.host;
    uint8_t bytes[LINEAGE_BYTES_MAX];
    size_t size = host->ops->state_get(host, lane->topic, lane->partition, bytes, sizeof bytes);
    int rc;

    if (size == 0) {
        return;
    }
    rc = size > sizeof bytes ? MR_ECORRUPT : lineage_decode(bytes, size, &lane->lineage);
    lane->has_lineage = rc == 0;
    if (rc != 0) {
        mr_error("the stored lineage cannot be read: records that are in doubt may be sent twice",
                 KV_STR("topic", lane->topic), KV_I64("partition", lane->partition), KV_ERR(rc));
        return;
    }
    lineage_settle_bad(&lane->lineage, lane_first(lane)->first_offset);
    lane->committed_hub_end_offset = lane->lineage.hub_end_offset;
}

static void place_now(const struct lane *lane, const struct client_topic *topic,
                      struct lineage_place *ret_place)
{
    struct sink_host *host = lane->peer->sink.host;
    const char *cluster = client_cluster_id(lane->peer->client);
    struct sink_partition_info info = {0};

    *ret_place = (struct lineage_place){
        .node = host->node_uuid, .nodes_hash = lane->peer->nodes_hash, .topic_id = topic->id};
    (void)snprintf(ret_place->cluster, sizeof ret_place->cluster, "%s",
                   cluster == NULL ? "" : cluster);
    (void)snprintf(ret_place->topic, sizeof ret_place->topic, "%s", lane->target);
    if (host->ops->partition_info != NULL) {
        (void)host->ops->partition_info(host, lane->topic, lane->partition, &info);
    }
    ret_place->partition = lineage_spread(&host->node_uuid, lane->topic, lane->partition,
                                          info.partition_count, topic->partition_count);
}

/* Everything that is held goes back to the flow, which begins again at `offset`. */
static void rewind_to(struct lane *lane, int64_t offset)
{
    struct sink_host *host = lane->peer->sink.host;

    lane_count(lane, PEER_REWINDS, 1);
    lane->lineage.hub_end_offset = -1;
    (void)snprintf(lane->reason, sizeof lane->reason, "the hub is behind");
    host->ops->rewind(host, lane->topic, lane->partition, offset);
    while (lane_first(lane) != NULL) {
        lane_answer_first(lane, SINK_RETRY);
    }
}

/* The stored lineage does not lead where we are: what that means for records that it had carried.
 * True: the flow has been sent back. */
static bool replace_lineage(struct lane *lane, enum lineage_match match,
                            const struct lineage_place *now)
{
    static const char *const words[] = {
        [LINEAGE_FOREIGN] = "this data directory is another node's copy: all lineages begin anew",
        [LINEAGE_MOVED] = "the configuration names another hub: a lineage begins there",
        [LINEAGE_HUB_WIPED] = "the hub is another cluster than before: what it had is sent again",
        [LINEAGE_RECREATED] = "the topic at the hub was removed and made anew",
        [LINEAGE_RETARGETED] = "the topic at the hub is another one now: a lineage begins there",
    };
    struct sink_host *host = lane->peer->sink.host;
    int64_t position = lane_first(lane)->first_offset;
    int64_t start = lane->lineage.start_offset;

    mr_warn(words[match], KV_STR("sink", host->sink_id), KV_STR("topic", lane->topic),
            KV_I64("partition", lane->partition), KV_I64("position", position));
    if (match == LINEAGE_RECREATED && position > start) {
        host->ops->lost(host, lane->topic, lane->partition, "the topic at the hub was removed",
                        position - start);
    }
    if (match != LINEAGE_HUB_WIPED || start >= position) {
        lane_begin(lane, now, position);
        return false;
    }
    lane_begin(lane, now, start);
    rewind_to(lane, start);
    return true;
}

static void check_lineage(struct lane *lane, const struct client_topic *topic)
{
    struct sink_host *host = lane->peer->sink.host;
    struct lineage_place now;
    enum lineage_match match;

    place_now(lane, topic, &now);
    if (host->cluster_id != NULL && strcmp(host->cluster_id, now.cluster) == 0) {
        lane_fail(lane, SINK_AUTH,
                  "the nodes named are this node's own mesh (cluster id %s): a peer "
                  "sink would feed itself",
                  now.cluster);
        return;
    }
    if (lane_first(lane) == NULL) {
        lane_move(lane, LANE_UNSURE);
        return;
    }
    if (!lane->has_lineage) {
        load_lineage(lane);
    }
    if (!lane->has_lineage) {
        lane_begin(lane, &now, lane_first(lane)->first_offset);
    } else {
        /* The cloned flag is about what was stored; what we began ourselves has our own name. */
        bool is_cloned = host->is_node_cloned && !lane->is_own;
        match = lineage_match(&lane->lineage, &now, topic->partition_count, is_cloned);
        if (match != LINEAGE_HOLDS && replace_lineage(lane, match, &now)) {
            lane->is_own = true;
            lane_move(lane, LANE_UNSURE);
            return;
        }
    }
    lane->is_own = true;
    lane->lineage.place.nodes_hash = now.nodes_hash;
    lane_move(lane, LANE_ASKING);
    ask_producers(lane);
}

static void on_refreshed(void *owner, int rc)
{
    struct lane *lane = owner;
    const struct client_topic *topic = client_topic(lane->peer->client, lane->target);
    const struct peer_options *options = lane->peer->options;

    lane->is_asking = false;
    if (rc != 0) {
        lane_fail(lane, SINK_RETRY, "%s", why(lane, rc));
    } else if (lane->peer->is_closing) {
        lane_fail(lane, SINK_RETRY, "the sink is closing");
    } else if (topic == NULL) {
        lane_fail(lane, SINK_RETRY, "the hub says nothing of topic '%s'", lane->target);
    } else if (topic->error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION && options->create_topics &&
               lane->creations < CREATIONS_MAX) {
        lane->creations++;
        create_topic(lane);
    } else if (topic->error != 0 || topic->partition_count <= 0) {
        fail_by_code(lane, "Metadata",
                     topic->error != 0 ? topic->error : KAFKA_LEADER_NOT_AVAILABLE);
    } else {
        check_lineage(lane, topic);
    }
}

/* ---- what the hub has ---- */

static void take_verdict(struct lane *lane);

static void on_listed(struct client_request *request, int rc, const void *response)
{
    struct lane *lane = request->owner;
    const struct list_offsets_response *answer = response;
    bool is_whole =
        rc == 0 && answer->topics.count == 1 && answer->topics.items[0].partitions.count == 1;

    lane->is_asking = false;
    if (!is_whole) {
        lane_fail(lane, SINK_RETRY, "ListOffsets: %s", why(lane, rc == 0 ? MR_EPROTOCOL : rc));
        return;
    }
    const struct list_offsets_response_partition *partition =
        &answer->topics.items[0].partitions.items[0];
    if (partition->error_code != 0) {
        fail_by_code(lane, "ListOffsets", partition->error_code);
        return;
    }
    lane->view.hub_end_offset = partition->offset < 0 ? 0 : partition->offset;
    take_verdict(lane);
}

static void ask_end(struct lane *lane)
{
    int rc;

    memset(&lane->message, 0, sizeof lane->message);
    list_offsets_request_init(&lane->message.list.body);
    list_offsets_request_partition_init(&lane->message.list.partition);
    lane->message.list.body.replica_id = -1;
    lane->message.list.partition.partition_index = lane->lineage.place.partition;
    lane->message.list.partition.timestamp = -1; /* the end */
    lane->message.list.topic.name = wire_text(lane->target);
    lane->message.list.topic.partitions.items = &lane->message.list.partition;
    lane->message.list.topic.partitions.count = 1;
    lane->message.list.body.topics.items = &lane->message.list.topic;
    lane->message.list.body.topics.count = 1;
    lane->request = (struct client_request){.key = WIRE_API_LIST_OFFSETS,
                                            .message = &lane->message.list.body,
                                            .node = lane->node,
                                            .session = lane->session,
                                            .done = on_listed,
                                            .owner = lane};
    rc = client_send(lane->peer->client, &lane->request);
    lane->is_asking = rc == 0;
    if (rc != 0) {
        lane_fail(lane, SINK_RETRY, "ListOffsets: %s", why(lane, rc));
    }
}

static void go_on(struct lane *lane)
{
    lane->after_commit = LANE_SENDING;
    if (lane->is_dirty) {
        lane_commit_awaited(lane);
        return;
    }
    lane_move(lane, LANE_SENDING);
    lane_step(lane);
}

static void take_verdict(struct lane *lane)
{
    const struct lineage_view *view = &lane->view;
    struct sink_host *host = lane->peer->sink.host;
    struct lineage_place place = lane->lineage.place;
    int64_t offset = 0;
    enum lineage_verdict verdict = lineage_resume(&lane->lineage, view, &offset);

    if (verdict == LINEAGE_ASK_END) {
        ask_end(lane);
        return;
    }
    lane->is_established = view->is_known && view->epoch == lane->lineage.epoch;
    lane_count(lane, PEER_RESUMES, 1);
    switch (verdict) {
    case LINEAGE_RESUME:
        lane->next_offset = offset;
        break;
    case LINEAGE_REWIND:
        lane->next_offset = offset;
        rewind_to(lane, offset);
        break;
    case LINEAGE_EXPIRED:
        lane_bump(lane, offset);
        break;
    case LINEAGE_AHEAD:
        mr_error("the hub has records that this node never sent: it was rolled back, restored or "
                 "copied; a new lineage begins",
                 KV_STR("sink", host->sink_id), KV_STR("topic", lane->topic),
                 KV_I64("partition", lane->partition), KV_I64("position", view->position),
                 KV_I64("log_end_offset", view->sent_offset_max));
        lane_count(lane, PEER_AHEAD, 1);
        lane_begin(lane, &place, view->position);
        break;
    case LINEAGE_ASK_END:
        break;
    }
    go_on(lane);
}

static void take_producers(struct lane *lane,
                           const struct describe_producers_response_partition *partition)
{
    struct sink_host *host = lane->peer->sink.host;
    struct sink_partition_info info = {.end_offset_at_open = INT64_MAX};

    if (lane_first(lane) == NULL) {
        lane_move(lane, LANE_UNSURE);
        return;
    }
    if (lane->sent_offset_max < 0) {
        if (host->ops->partition_info != NULL) {
            (void)host->ops->partition_info(host, lane->topic, lane->partition, &info);
        }
        lane->sent_offset_max = info.end_offset_at_open;
    }
    lane->view = (struct lineage_view){.position = lane_first(lane)->first_offset,
                                       .sent_offset_max = lane->sent_offset_max,
                                       .hub_end_offset = -1};
    for (int32_t i = 0; i < partition->active_producers.count; i++) {
        const struct describe_producers_response_active_producer *producer =
            &partition->active_producers.items[i];
        if (producer->producer_id == lane->lineage.producer_id) {
            lane->view.is_known = true;
            lane->view.epoch = producer->producer_epoch;
            lane->view.last_sequence = producer->last_sequence;
        }
    }
    take_verdict(lane);
}

static void on_described(struct client_request *request, int rc, const void *response)
{
    struct lane *lane = request->owner;
    const struct describe_producers_response *answer = response;
    bool is_whole =
        rc == 0 && answer->topics.count == 1 && answer->topics.items[0].partitions.count == 1;

    lane->is_asking = false;
    if (rc == MR_EUNSUPPORTED) {
        lane_fail(lane, SINK_AUTH,
                  "the hub does not answer DescribeProducers: it is too old for a "
                  "peer sink");
    } else if (!is_whole) {
        lane_fail(lane, SINK_RETRY, "DescribeProducers: %s",
                  why(lane, rc == 0 ? MR_EPROTOCOL : rc));
    } else if (lane->peer->is_closing) {
        lane_fail(lane, SINK_RETRY, "the sink is closing");
    } else if (answer->topics.items[0].partitions.items[0].error_code != 0) {
        fail_by_code(lane, "DescribeProducers",
                     answer->topics.items[0].partitions.items[0].error_code);
    } else {
        lane->node = request->answered_node;
        lane->session = request->answered_session;
        take_producers(lane, &answer->topics.items[0].partitions.items[0]);
    }
}

static void ask_producers(struct lane *lane)
{
    int rc;

    memset(&lane->message, 0, sizeof lane->message);
    lane->message.describe.topic.name = wire_text(lane->target);
    lane->message.describe.topic.partition_indexes.items = &lane->lineage.place.partition;
    lane->message.describe.topic.partition_indexes.count = 1;
    lane->message.describe.body.topics.items = &lane->message.describe.topic;
    lane->message.describe.body.topics.count = 1;
    lane->message.describe.body.producer_ids.items = &lane->lineage.producer_id; /* our own tag */
    lane->message.describe.body.producer_ids.count = 1;
    lane->request = (struct client_request){.key = WIRE_API_DESCRIBE_PRODUCERS,
                                            .message = &lane->message.describe.body,
                                            .node = CLIENT_NODE_LEADER,
                                            .topic = lane->target,
                                            .partition = lane->lineage.place.partition,
                                            .done = on_described,
                                            .owner = lane};
    rc = client_send(lane->peer->client, &lane->request);
    lane->is_asking = rc == 0;
    if (rc == MR_EUNSUPPORTED) {
        lane_fail(lane, SINK_AUTH,
                  "the hub does not answer DescribeProducers: it is too old for a "
                  "peer sink");
    } else if (rc != 0) {
        lane_fail(lane, SINK_RETRY, "DescribeProducers: %s", why(lane, rc));
    }
}
