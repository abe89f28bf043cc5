/* The configuration of topics as data: one row per name, for checking, DescribeConfigs and the
 * defaults. Names, types and defaults are Kafka's where Kafka has them; flush.messages and flush.ms
 * say what our fsync policy is (1: always; flush.ms: interval; neither: never). */
#ifndef QUEUE_META_CONFIGS_H
#define QUEUE_META_CONFIGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_config;
struct wire_string;

/* Kafka's numbers in DescribeConfigs (KIP-569). */
enum config_type {
    CONFIG_BOOLEAN = 1,
    CONFIG_STRING = 2,
    CONFIG_INT = 3,
    CONFIG_LONG = 5,
    CONFIG_DOUBLE = 6,
    CONFIG_LIST = 7,
};

/* Where a value comes from, as DescribeConfigs says it (KIP-226). */
enum config_source {
    CONFIG_SOURCE_TOPIC = 1,
    CONFIG_SOURCE_STATIC_BROKER = 4,
    CONFIG_SOURCE_DEFAULT = 5,
};

enum topic_config {
    TOPIC_CLEANUP_POLICY,
    TOPIC_COMPRESSION_TYPE,
    TOPIC_DELETE_RETENTION_MS,
    TOPIC_FILE_DELETE_DELAY_MS,
    TOPIC_FLUSH_MESSAGES,
    TOPIC_FLUSH_MS,
    TOPIC_FOLLOWER_THROTTLED,
    TOPIC_INDEX_INTERVAL_BYTES,
    TOPIC_LEADER_THROTTLED,
    TOPIC_MAX_COMPACTION_LAG_MS,
    TOPIC_MAX_MESSAGE_BYTES,
    TOPIC_TIMESTAMP_AFTER_MAX_MS,
    TOPIC_TIMESTAMP_BEFORE_MAX_MS,
    TOPIC_TIMESTAMP_TYPE,
    TOPIC_MIN_CLEANABLE_DIRTY_RATIO,
    TOPIC_MIN_COMPACTION_LAG_MS,
    TOPIC_MIN_INSYNC_REPLICAS,
    TOPIC_PREALLOCATE,
    TOPIC_RETENTION_BYTES,
    TOPIC_RETENTION_MS,
    TOPIC_SEGMENT_BYTES,
    TOPIC_SEGMENT_INDEX_BYTES,
    TOPIC_SEGMENT_JITTER_MS,
    TOPIC_SEGMENT_MS,
    TOPIC_UNCLEAN_ELECTION,
    TOPIC_CONFIG_COUNT
};

struct config_def {
    const char *name;
    enum config_type type;
    const char *fallback; /* the default, as text */
    const char *synonym;  /* the node-wide name of the same (shown as read-only) */
    int64_t min;          /* numbers */
    int64_t max;
    const char *const *words; /* the allowed words, ends with NULL */
    const char *doc;
};

extern const struct config_def topic_configs[TOPIC_CONFIG_COUNT];

/* The place of a name, or -1. */
int topic_config_find(const char *name, size_t name_size);
/* As Kafka reads it: without blanks around it, booleans in small letters. */
void config_tidy(const struct config_def *def, struct wire_string *value);
/* NULL if the value is allowed, else why not (a literal). */
const char *config_check(const struct config_def *def, const char *value, size_t value_size);

/* The values of one topic: NULL means the default. */
struct topic_settings {
    char *values[TOPIC_CONFIG_COUNT];
};

void topic_settings_done(struct topic_settings *settings);
/* value NULL: back to the default. 0 or MR_ENOMEM. */
int topic_settings_set(struct topic_settings *settings, int config, const char *value,
                       size_t value_size);
const char *topic_settings_text(const struct topic_settings *settings, int config);
int64_t topic_settings_number(const struct topic_settings *settings, int config);
bool topic_settings_is_true(const struct topic_settings *settings, int config);
/* Whether a LIST or STRING value has this word in it. */
bool topic_settings_has_word(const struct topic_settings *settings, int config, const char *word);
/* What a log has to know. */
void topic_settings_to_log(const struct topic_settings *settings, struct log_config *ret_config);

#endif
