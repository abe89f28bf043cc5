/* The tables of topics, and of the one that the audit is written to. */
#include <stddef.h>
#include <string.h>

#include "agent/config/config.h"
#include "agent/config/options_internal.h"

static const char *check_replicas(const void *value)
{
    return *(const int64_t *)value <= 1
               ? NULL
               : "this version has no mesh yet, so a topic has exactly one replica";
}

static const struct mr_option retention_options[] = {
    {.name = "time",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_retention, time_ms),
     .absent = -1,
     .example = "7d",
     .help = "Segments are deleted this long after their last append; 0: never. 7d unless written; "
             "local topics: never."},
    {.name = "size",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_retention, size_bytes),
     .absent = -1,
     .example = "10GiB",
     .help = "Most bytes of one partition; the oldest segments go first. 0, and unless written: no "
             "bound."},
    {0}};

static const struct mr_option segment_options[] = {
    {.name = "size",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_segment, size_bytes),
     .absent = -1,
     .min = 64 << 10,
     .max = 2147483647,
     .example = "64MiB",
     .help = "A segment file is closed before it grows beyond this. 64MiB on local topics, 1GiB on "
             "others."},
    {.name = "age",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_segment, age_ms),
     .absent = -1,
     .example = "7d",
     .help = "And when its first append is older than this."},
    {0}};

static const char *const when_full_words[] = {"block", "drop_oldest", "drop_new", NULL};
static const char *const codec_words[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};

static const char *check_fsync(const void *value)
{
    const char *text = *(const char *const *)value;
    int64_t ms;

    if (strcmp(text, "never") == 0 || strcmp(text, "always") == 0) {
        return NULL;
    }
    return mr_parse_duration(text, &ms) == 0 && ms > 0
               ? NULL
               : "'never', 'always' or a duration such as 1s is wanted here";
}

const struct mr_option config_topic_options[] = {
    {.name = "partitions",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_topic, partitions),
     .absent = -1,
     .min = 1,
     .max = 10000,
     .example = "6",
     .help = "How many partitions. 1 unless written; it may grow later, and never shrinks."},
    {.name = "replicas",
     .type = MR_OPT_INT,
     .offset = offsetof(struct config_topic, replicas),
     .absent = -1,
     .min = 1,
     .max = 9,
     .check = check_replicas,
     .help = "How many nodes keep a copy."},
    {.name = "retention",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_topic, retention),
     .children = retention_options,
     .help = "When old segments are deleted."},
    {.name = "segment",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_topic, segment),
     .children = segment_options,
     .help = "When a new segment is begun."},
    {.name = "message_size",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_topic, message_size_bytes_max),
     .absent = -1,
     .min = 16 << 10,
     .max = 100 << 20,
     .example = "1MiB",
     .help = "The largest record batch that is taken (Kafka's max.message.bytes)."},
    {.name = "fsync",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_topic, fsync),
     .check = check_fsync,
     .example = "1s",
     .help = "When written bytes are forced to the disk: 'always' before they are acknowledged, a "
             "duration, or 'never'. 1s unless written."},
    {.name = "when_full",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct config_topic, when_full),
     .words = when_full_words,
     .fallback = "block",
     .help = "At disk.limit: 'block' the sources (nothing is lost), 'drop_oldest' segments, or "
             "'drop_new' records. Drops are counted in the ledger."},
    {.name = "compression",
     .type = MR_OPT_ENUM,
     .offset = offsetof(struct config_topic, compression),
     .words = codec_words,
     .absent = -1,
     .help = "Codec of the batches that this node makes itself. lz4 unless written."},
    {0}};

static const struct mr_option audit_retention_options[] = {
    {.name = "time",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_retention, time_ms),
     .fallback = "90d",
     .help = "How long records are kept; 0: for ever."},
    {.name = "size",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_retention, size_bytes),
     .fallback = "64MiB",
     .help = "Most bytes of them; the oldest segment of 8MiB goes first. 0: no bound."},
    {0}};

const struct mr_option config_audit_options[] = {
    {.name = "enabled",
     .type = MR_OPT_BOOL,
     .offset = offsetof(struct config_audit, is_enabled),
     .fallback = "true",
     .help = "Whether changes, refusals and failed logins are written to the topic __audit. It is "
             "made when there is something to write."},
    {.name = "retention",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_audit, retention),
     .children = audit_retention_options,
     .help = "When the oldest records go."},
    {0}};
