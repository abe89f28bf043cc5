#include "queue/meta/configs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "queue/log/log.h"
#include "queue/wire/types.h"

static const char *const cleanup_words[] = {"delete", "compact", NULL};
static const char *const compression_words[] = {"producer", "uncompressed", "gzip", "snappy",
                                                "lz4",      "zstd",         NULL};
static const char *const timestamp_words[] = {"CreateTime", "LogAppendTime", NULL};

/* clang-format off */
const struct config_def topic_configs[TOPIC_CONFIG_COUNT] = {
    [TOPIC_CLEANUP_POLICY] = {"cleanup.policy", CONFIG_LIST, "delete", "log.cleanup.policy", 0, 0,
        cleanup_words,
        "What happens to old segments: delete by time and size, compact by key, or both."},
    [TOPIC_COMPRESSION_TYPE] = {"compression.type", CONFIG_STRING, "producer", "compression.type",
        0, 0,
        compression_words,
        "The codec of stored batches; producer: as they came. Others are compressed anew."},
    [TOPIC_DELETE_RETENTION_MS] = {"delete.retention.ms", CONFIG_LONG, "86400000",
        "log.cleaner.delete.retention.ms",
        0, INT64_MAX, NULL, "How long tombstones of a compacted topic are kept."},
    [TOPIC_FILE_DELETE_DELAY_MS] = {"file.delete.delay.ms", CONFIG_LONG, "60000",
        "log.segment.delete.delay.ms",
        0, INT64_MAX, NULL, "Kept for tools. A removed file goes when its last reader has gone."},
    [TOPIC_FLUSH_MESSAGES] = {"flush.messages", CONFIG_LONG, "9223372036854775807",
        "log.flush.interval.messages",
        1, INT64_MAX, NULL, "1: every append is synced to the disk before it is acknowledged."},
    [TOPIC_FLUSH_MS] = {"flush.ms", CONFIG_LONG, "1000", "log.flush.interval.ms",
        0, INT64_MAX, NULL, "At most this long until appended records are synced to the disk."},
    [TOPIC_FOLLOWER_THROTTLED] = {"follower.replication.throttled.replicas", CONFIG_LIST, "",
        NULL, 0, 0,
        NULL, "Replicas whose replication is throttled on the follower's side."},
    [TOPIC_INDEX_INTERVAL_BYTES] = {"index.interval.bytes", CONFIG_INT, "4096",
        "log.index.interval.bytes",
        0, INT32_MAX, NULL,
        "How many bytes of the log lie between two entries of its offset index."},
    [TOPIC_LEADER_THROTTLED] = {"leader.replication.throttled.replicas", CONFIG_LIST, "", NULL, 0,
        0,
        NULL, "Replicas whose replication is throttled on the leader's side."},
    [TOPIC_MAX_COMPACTION_LAG_MS] = {"max.compaction.lag.ms", CONFIG_LONG, "9223372036854775807",
        "log.cleaner.max.compaction.lag.ms", 1, INT64_MAX, NULL,
        "The longest time a record stays uncompacted."},
    [TOPIC_MAX_MESSAGE_BYTES] = {"max.message.bytes", CONFIG_INT, "1048588", "message.max.bytes",
        0, INT32_MAX, NULL, "The largest record batch that is taken."},
    [TOPIC_TIMESTAMP_AFTER_MAX_MS] = {"message.timestamp.after.max.ms", CONFIG_LONG, "3600000",
        "log.message.timestamp.after.max.ms", 0, INT64_MAX, NULL,
        "How far in the future a record's timestamp may lie."},
    [TOPIC_TIMESTAMP_BEFORE_MAX_MS] = {"message.timestamp.before.max.ms", CONFIG_LONG,
        "9223372036854775807",
        "log.message.timestamp.before.max.ms", 0, INT64_MAX, NULL,
        "How far in the past a record's timestamp may lie."},
    [TOPIC_TIMESTAMP_TYPE] = {"message.timestamp.type", CONFIG_STRING, "CreateTime",
        "log.message.timestamp.type",
        0, 0, timestamp_words, "Whether timestamps are the producer's or the time of the append."},
    [TOPIC_MIN_CLEANABLE_DIRTY_RATIO] = {"min.cleanable.dirty.ratio", CONFIG_DOUBLE, "0.5",
        "log.cleaner.min.cleanable.ratio", 0, 1, NULL,
        "How much of a compacted log may be uncompacted."},
    [TOPIC_MIN_COMPACTION_LAG_MS] = {"min.compaction.lag.ms", CONFIG_LONG, "0",
        "log.cleaner.min.compaction.lag.ms",
        0, INT64_MAX, NULL, "The shortest time a record stays uncompacted."},
    [TOPIC_MIN_INSYNC_REPLICAS] = {"min.insync.replicas", CONFIG_INT, "1", "min.insync.replicas",
        1, INT32_MAX, NULL, "How many replicas must be in sync for an append with acks=all."},
    [TOPIC_PREALLOCATE] = {"preallocate", CONFIG_BOOLEAN, "false", "log.preallocate", 0, 0, NULL,
        "Kept for tools: segments grow as they are written."},
    [TOPIC_RETENTION_BYTES] = {"retention.bytes", CONFIG_LONG, "-1", "log.retention.bytes",
        -1, INT64_MAX, NULL,
        "The size of a partition beyond which its oldest segments go; -1: no bound."},
    [TOPIC_RETENTION_MS] = {"retention.ms", CONFIG_LONG, "604800000", "log.retention.ms",
        -1, INT64_MAX, NULL, "How long segments are kept after their last append; -1: for ever."},
    [TOPIC_SEGMENT_BYTES] = {"segment.bytes", CONFIG_INT, "1073741824", "log.segment.bytes",
        1024, INT32_MAX, NULL, "The size at which a new segment is begun."},
    [TOPIC_SEGMENT_INDEX_BYTES] = {"segment.index.bytes", CONFIG_INT, "10485760",
        "log.index.size.max.bytes",
        4, INT32_MAX, NULL, "Kept for tools: indexes are as large as they need to be."},
    [TOPIC_SEGMENT_JITTER_MS] = {"segment.jitter.ms", CONFIG_LONG, "0", "log.roll.jitter.ms",
        0, INT64_MAX, NULL, "Kept for tools."},
    [TOPIC_SEGMENT_MS] = {"segment.ms", CONFIG_LONG, "604800000", "log.roll.ms",
        1, INT64_MAX, NULL, "The age at which a new segment is begun."},
    [TOPIC_UNCLEAN_ELECTION] = {"unclean.leader.election.enable", CONFIG_BOOLEAN, "false",
        "unclean.leader.election.enable", 0, 0, NULL,
        "Whether a replica out of sync may become the leader."},
};
/* clang-format on */

int topic_config_find(const char *name, size_t name_size)
{
    for (int i = 0; i < TOPIC_CONFIG_COUNT; i++) {
        if (strlen(topic_configs[i].name) == name_size &&
            memcmp(topic_configs[i].name, name, name_size) == 0) {
            return i;
        }
    }
    return -1;
}

static bool word_in(const char *const *words, const char *text, size_t size)
{
    for (; *words != NULL; words++) {
        if (strlen(*words) == size && memcmp(*words, text, size) == 0) {
            return true;
        }
    }
    return false;
}

static const char *check_words(const struct config_def *def, const char *value, size_t size)
{
    const char *end = value + size;

    if (def->words == NULL) {
        return NULL;
    }
    if (def->type != CONFIG_LIST) {
        return word_in(def->words, value, size) ? NULL : "not one of the supported words";
    }
    for (const char *at = value;;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        if (!word_in(def->words, at, (size_t)(stop - at))) {
            return "not a list of the supported words";
        }
        if (comma == NULL) {
            return NULL;
        }
        at = comma + 1;
    }
}

static const char *check_number(const struct config_def *def, const char *text)
{
    char *end;

    errno = 0;
    if (def->type == CONFIG_DOUBLE) {
        double number = strtod(text, &end);
        if (end == text || *end != '\0' || errno != 0) {
            return "not a number";
        }
        return number >= (double)def->min && number <= (double)def->max ? NULL : "out of range";
    }
    long long number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0) {
        return "not a whole number";
    }
    return number >= def->min && number <= def->max ? NULL : "out of range";
}

void config_tidy(const struct config_def *def, struct wire_string *value)
{
    while (value->size > 0 && value->data[0] == ' ') {
        value->data += 1;
        value->size -= 1;
    }
    while (value->size > 0 && value->data[value->size - 1] == ' ') {
        value->size -= 1;
    }
    if (def->type == CONFIG_BOOLEAN && value->size == 4 &&
        strncasecmp(value->data, "true", 4) == 0) {
        *value = wire_text("true");
    } else if (def->type == CONFIG_BOOLEAN && value->size == 5 &&
               strncasecmp(value->data, "false", 5) == 0) {
        *value = wire_text("false");
    }
}

const char *config_check(const struct config_def *def, const char *value, size_t value_size)
{
    char text[64];

    switch (def->type) {
    case CONFIG_STRING:
    case CONFIG_LIST:
        return value_size > 32767 ? "too long" : check_words(def, value, value_size);
    case CONFIG_BOOLEAN:
    case CONFIG_INT:
    case CONFIG_LONG:
    case CONFIG_DOUBLE:
        break;
    }
    if (value_size == 0 || value_size >= sizeof text) {
        return "not a value of this type";
    }
    memcpy(text, value, value_size);
    text[value_size] = '\0';
    if (def->type == CONFIG_BOOLEAN) {
        return strcmp(text, "true") == 0 || strcmp(text, "false") == 0 ? NULL
                                                                       : "neither true nor false";
    }
    return check_number(def, text);
}

void topic_settings_done(struct topic_settings *settings)
{
    for (int i = 0; i < TOPIC_CONFIG_COUNT; i++) {
        mr_free(settings->values[i]);
        settings->values[i] = NULL;
    }
}

int topic_settings_set(struct topic_settings *settings, int config, const char *value,
                       size_t value_size)
{
    char *copy = NULL;

    mr_assert(config >= 0 && config < TOPIC_CONFIG_COUNT);
    if (value != NULL) {
        copy = mr_strndup(value, value_size);
        if (copy == NULL) {
            return MR_ENOMEM;
        }
    }
    mr_free(settings->values[config]);
    settings->values[config] = copy;
    return 0;
}

const char *topic_settings_text(const struct topic_settings *settings, int config)
{
    const char *value = settings->values[config];
    return value != NULL ? value : topic_configs[config].fallback;
}

int64_t topic_settings_number(const struct topic_settings *settings, int config)
{
    return strtoll(topic_settings_text(settings, config), NULL, 10);
}

bool topic_settings_is_true(const struct topic_settings *settings, int config)
{
    return strcmp(topic_settings_text(settings, config), "true") == 0;
}

bool topic_settings_has_word(const struct topic_settings *settings, int config, const char *word)
{
    const char *text = topic_settings_text(settings, config);
    size_t size = strlen(word);

    for (const char *at = text; at != NULL; at = strchr(at, ',')) {
        at += *at == ',' ? 1 : 0;
        if (strncmp(at, word, size) == 0 && (at[size] == ',' || at[size] == '\0')) {
            return true;
        }
    }
    return false;
}

void topic_settings_to_log(const struct topic_settings *settings, struct log_config *ret_config)
{
    log_config_defaults(ret_config);
    ret_config->segment_size_bytes = topic_settings_number(settings, TOPIC_SEGMENT_BYTES);
    ret_config->segment_age_ms = topic_settings_number(settings, TOPIC_SEGMENT_MS);
    ret_config->retention_ms = topic_settings_number(settings, TOPIC_RETENTION_MS);
    ret_config->retention_bytes = topic_settings_number(settings, TOPIC_RETENTION_BYTES);
    ret_config->index_interval_bytes = topic_settings_number(settings, TOPIC_INDEX_INTERVAL_BYTES);
    ret_config->batch_size_bytes_max = topic_settings_number(settings, TOPIC_MAX_MESSAGE_BYTES);
    ret_config->log_append_time =
        topic_settings_has_word(settings, TOPIC_TIMESTAMP_TYPE, "LogAppendTime");
    ret_config->is_compacted = topic_settings_has_word(settings, TOPIC_CLEANUP_POLICY, "compact");
    if (!topic_settings_has_word(settings, TOPIC_CLEANUP_POLICY, "delete")) {
        ret_config->retention_ms = -1;
        ret_config->retention_bytes = -1;
    }
    ret_config->fsync_interval_ms = topic_settings_number(settings, TOPIC_FLUSH_MS);
    if (topic_settings_number(settings, TOPIC_FLUSH_MESSAGES) == 1 ||
        ret_config->fsync_interval_ms == 0) {
        ret_config->fsync = LOG_FSYNC_ALWAYS;
    } else if (ret_config->fsync_interval_ms == INT64_MAX) {
        ret_config->fsync = LOG_FSYNC_NEVER;
    } else {
        ret_config->fsync = LOG_FSYNC_INTERVAL;
    }
}
