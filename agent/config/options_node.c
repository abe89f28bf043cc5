/* The tables of what a node is: its name and place, its disk, its own log lines. */
#include <stddef.h>
#include <string.h>

#include "agent/config/config.h"
#include "agent/config/options_internal.h"
#include "base/core/secret.h"

static const char *check_name(const void *value)
{
    const char *name = *(const char *const *)value;
    size_t size = strlen(name);

    if (size == 0 || size > 200 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != size) {
        return "only letters, digits, '.', '_' and '-' are allowed, and at most 200 of them";
    }
    return NULL;
}

static const char *check_cluster_key(const void *value)
{
    struct mr_secret_text *text = mr_secret_take(*(struct mr_secret *const *)value);
    size_t size = mr_secret_size(text);

    mr_secret_drop(text);
    return size >= 16 && size <= 1024 ? NULL
                                      : "a key has 16 to 1024 characters: openssl rand -base64 32";
}

const struct mr_option config_node_options[] = {
    {.name = "name",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_node, name),
     .check = check_name,
     .help = "The name of this node, in the header mr.host of every record. The host's name unless "
             "written.",
     .example = "web-17"},
    {.name = "id",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_node, id),
     .fallback = "1",
     .min = 1,
     .max = 2147483647,
     .help = "The number by which Kafka clients know this node."},
    {.name = "data",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_node, data),
     .is_required = true,
     .example = "/var/lib/millrace",
     .help = "The directory of the log and all state. One process at a time."},
    {.name = "rack",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_node, rack),
     .help = "Where this node stands; shown to clients.",
     .example = "eu-1a"},
    {.name = "run",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_node, run_directory),
     .fallback = "/run/millrace",
     .help = "Where links to the local sockets are put, so that the command line finds this node. "
             "The sockets themselves are in the data directory."},
    {.name = "cluster_key",
     .type = MR_OPT_SECRET,
     .offset = offsetof(struct config_node, cluster_key),
     .check = check_cluster_key,
     .example = "${file:/etc/millrace/cluster.key}",
     .help =
         "What all nodes of a cluster know, 16 characters or more. A node that shows that it knows "
         "it (listen: {sasl: [CLUSTER-KEY]}, and sasl: {mechanism: CLUSTER-KEY} in its peer "
         "sink) is let in before there are users."},
    {.name = "tls",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_node, tls),
     .children = config_node_tls_options,
     .help = "Certificates: the default of every listener."},
    {.name = "socket",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_node, socket),
     .children = config_socket_options,
     .help = "Rights on the node's own two sockets in the data directory. Who may open them, and "
             "enter that directory, is an administrator."},
    {0}};

const struct mr_option config_disk_options[] = {
    {.name = "limit",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_disk, limit_bytes),
     .fallback = "0",
     .example = "10GiB",
     .min = 0,
     .help = "Most bytes that all logs of this node may take. 0: no limit but the disk. What "
             "happens there is each topic's when_full."},
    {.name = "keep",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_disk, keep_ms),
     .fallback = "1h",
     .help = "How long a local topic keeps what all its sinks have passed."},
    {0}};

static const char *const level_words[] = {"debug", "info", "warn", "error", NULL};

static const char *const format_words[] = {"auto", "text", "json", "journal", NULL};

const struct mr_option config_log_options[] = {
    {.name = "level",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct config_log, level),
     .words = level_words,
     .fallback = "info",
     .help = "The least important lines that are written to standard error."},
    {.name = "format",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct config_log, format),
     .words = format_words,
     .fallback = "auto",
     .help = "'auto' is 'journal' under systemd and 'text' elsewhere."},
    {0}};
