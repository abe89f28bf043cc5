/* The tables of everything that is not a plugin's: names, types, defaults and the sentences that
 * the reference, `config explain` and the schema repeat. Here the top one; the sections that are
 * more than a few rows stand in options_*.c. */
#include <stddef.h>

#include "agent/config/config.h"
#include "agent/config/options_internal.h"
#include "base/net/admission.h"

static const char *check_workers(const void *value)
{
    return *(const int64_t *)value == 1
               ? NULL
               : "this version runs everything on one loop; only 1 is possible";
}

static const char *check_admission_exceptions(const void *value)
{
    const struct mr_string_list *list = value;
    struct mr_admission_exception exception;

    for (size_t i = 0; i < list->count; i++) {
        if (mr_admission_exception_parse(list->items[i], &exception, NULL) != 0) {
            return "ADDRESS=NUMBER is wanted, as in 10.0.0.7=5000";
        }
    }
    return NULL;
}

static const struct mr_option group_options[] = {
    {.name = "initial_delay",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_groups, initial_delay_ms),
     .fallback = "300ms",
     .max = 60 * 1000,
     .help =
         "A group without members waits so long after the first one comes, and again while others "
         "do, so that consumers that start together divide the work once. Kafka's "
         "group.initial.rebalance.delay.ms."},
    {.name = "session_min",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_groups, session_ms_min),
     .fallback = "6s",
     .min = 100,
     .max = 1800 * 1000,
     .help = "A member may not ask to be taken for dead sooner than after this time of silence. "
             "Kafka's group.min.session.timeout.ms."},
    {.name = "session_max",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_groups, session_ms_max),
     .fallback = "30m",
     .min = 6 * 1000,
     .max = INT32_MAX,
     .help = "Nor later than after this. Kafka's group.max.session.timeout.ms."},
    {.name = "members",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_groups, members_max),
     .fallback = "5000",
     .min = 1,
     .max = 1000000,
     .help = "Most members of one group. Kafka's group.max.size."},
    {0}};

static const struct mr_option broker_options[] = {
    {.name = "auto_create_topics",
     .type = MR_OPT_BOOL,
     .offset = offsetof(struct config_broker, auto_create_topics),
     .fallback = "true",
     .help = "Whether a topic is made when a client first asks for it."},
    {.name = "partitions",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_broker, partitions),
     .fallback = "1",
     .min = 1,
     .max = 10000,
     .help = "Partitions of a topic that is made without a number."},
    {.name = "request_size",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_broker, request_size_bytes_max),
     .fallback = "100MiB",
     .min = 64 << 10,
     .max = 1 << 30,
     .help = "A connection that announces a larger request is closed."},
    {.name = "memory",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_broker, memory_bytes),
     .fallback = "256MiB",
     .min = 1 << 20,
     .help = "Most bytes of requests that are held at once; beyond it connections are not read."},
    {.name = "idle",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_broker, idle_ms_max),
     .fallback = "10m",
     .min = 1000,
     .help = "A connection without a request for this long is closed."},
    {.name = "connections_per_address",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_broker, connections_per_address_max),
     .fallback = "0",
     .max = 1000000,
     .help =
         "More connections than this from one address, over all listeners, are closed at once, "
         "and counted. 0: as many as there are. How fast an address may connect is a quota: see "
         "'millrace quotas'."},
    {.name = "connections_per_address_except",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_broker, connections_per_address_except),
     .check = check_admission_exceptions,
     .example = "[10.0.0.7=5000]",
     .help = "ADDRESS=NUMBER: another maximum for one address. 0: none at all."},
    {.name = "quota_window",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_broker, quota_window_ms),
     .fallback = "10s",
     .min = 100,
     .max = 3600 * 1000,
     .help =
         "How much of a client's quota may be used at once after a rest, as time; see 'millrace "
         "quotas'."},
    {.name = "groups",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_broker, groups),
     .children = group_options,
     .help = "Consumer groups: members that divide the partitions of topics among themselves."},
    {0}};

const struct mr_option config_options[] = {
    {.name = "node",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, node),
     .children = config_node_options,
     .help = "Who this node is, and where it keeps things."},
    {.name = "listen",
     .type = MR_OPT_TABLE_LIST,
     .offset = offsetof(struct config, listen),
     .children = config_listen_options,
     .children_size = sizeof(struct config_listen),
     .help =
         "Where Kafka clients and other nodes may connect. Nothing is opened unless written here."},
    {.name = "authentication",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, authentication),
     .children = config_authentication_options,
     .help = "How clients show who they are, beyond certificates and passwords."},
    {.name = "authorization",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, authorization),
     .children = config_authorization_options,
     .help = "Who may do what."},
    {.name = "disk",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, disk),
     .children = config_disk_options,
     .help = "The bound on what is kept."},
    {.name = "topics",
     .type = MR_OPT_TABLE_MAP,
     .offset = offsetof(struct config, topic_map),
     .children = config_topic_options,
     .children_size = sizeof(struct config_topic),
     .help = "Topics by name. One that a source writes is local: fed by this node alone; others "
             "take what clients produce. Missing ones are created."},
    {.name = "admin",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, admin),
     .children = config_admin_options,
     .help = "Metrics and health over HTTP."},
    {.name = "audit",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, audit),
     .children = config_audit_options,
     .help = "Who did what to this node."},
    {.name = "log",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, log),
     .children = config_log_options,
     .help = "This program's own log lines."},
    {.name = "broker",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config, broker),
     .children = broker_options,
     .help = "How the Kafka protocol is served."},
    {.name = "workers",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config, workers),
     .fallback = "1",
     .check = check_workers,
     .help = "How many loops, each with a thread of its own."},
    {.name = "shutdown",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config, shutdown_ms),
     .fallback = "4s",
     .min = 100,
     .max = 3600000,
     .help = "How long sinks may finish what they have begun when the program ends."},
    {0}};
