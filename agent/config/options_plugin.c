/* What all sources, and all sinks, have in common; their own tables come behind. */
#include <stddef.h>

#include "agent/config/config.h"

static const struct mr_option batch_options[] = {
    {.name = "size",
     .type = MR_OPT_SIZE,
     .offset = offsetof(struct config_batch, size_bytes),
     .fallback = "512KiB",
     .min = 1024,
     .max = 16 << 20,
     .help = "A batch is written when its records reach this size, before compression."},
    {.name = "linger",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_batch, linger_ms),
     .fallback = "2ms",
     .max = 60000,
     .help = "Or when its first record has waited this long."},
    {0}};

const struct mr_option config_source_options[] = {
    {.name = "type",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_source, type_name),
     .is_required = true,
     .help = "Which kind of source."},
    {.name = "topic",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_source, topic),
     .is_required = true,
     .help = "The local topic that the records go to."},
    {.name = "batch",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_source, batch),
     .children = batch_options,
     .help = "How records are put together for the log."},
    {.name = "headers",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_source, headers),
     .fallback = "all",
     .example = "[host, file]",
     .help = "Which headers each record carries: host, source, file (or what the source calls its "
             "streams). 'all' or 'none' for every or no header."},
    {0}};

static const struct mr_option retry_options[] = {
    {.name = "min",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_retry, delay_ms_min),
     .fallback = "100ms",
     .min = 1,
     .help = "The wait after a first failure; it doubles each time."},
    {.name = "max",
     .type = MR_OPT_DURATION,
     .offset = offsetof(struct config_retry, delay_ms_max),
     .fallback = "30s",
     .min = 1,
     .help = "The longest wait: a destination that returns is found within it."},
    {0}};

const struct mr_option config_sink_options[] = {
    {.name = "type",
     .type = MR_OPT_STRING,
     .offset = offsetof(struct config_sink, type_name),
     .is_required = true,
     .help = "Which kind of sink."},
    {.name = "topics",
     .type = MR_OPT_STRING_LIST,
     .offset = offsetof(struct config_sink, topics),
     .is_required = true,
     .example = "[nginx.access, \"app.*\"]",
     .help = "The topics that it reads; patterns with * and ? may be used. * never matches topics "
             "that begin with __."},
    {.name = "retry",
     .type = MR_OPT_TABLE,
     .offset = offsetof(struct config_sink, retry),
     .children = retry_options,
     .help = "How long to wait when the destination fails."},
    {0}};
