/* The table of sinks: the whole registration of a new one is its word here. */
#include "sinks/sink.h"

#include <string.h>

#define SINKS(X) X(file) X(null) X(peer) X(stdout)

#define SINK_DECLARE(word) extern const struct sink_type sink_type_##word;
SINKS(SINK_DECLARE)

#define SINK_ENTRY(word) &sink_type_##word,
static const struct sink_type *const sink_types[] = {SINKS(SINK_ENTRY) NULL};

const struct sink_type *sink_type_find(const char *name)
{
    for (size_t i = 0; sink_types[i] != NULL; i++) {
        if (strcmp(sink_types[i]->name, name) == 0) {
            return sink_types[i];
        }
    }
    return NULL;
}

const struct sink_type *sink_type_at(size_t place)
{
    size_t count = sizeof sink_types / sizeof sink_types[0];

    return place < count ? sink_types[place] : NULL;
}
