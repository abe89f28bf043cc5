/* The table of sources: the whole registration of a new one is its word here. */
#include "sources/source.h"

#include <string.h>

#define SOURCES(X) X(file)

#define SOURCE_DECLARE(word) extern const struct source_type source_type_##word;
SOURCES(SOURCE_DECLARE)

#define SOURCE_ENTRY(word) &source_type_##word,
static const struct source_type *const source_types[] = {SOURCES(SOURCE_ENTRY) NULL};

const struct source_type *source_type_find(const char *name)
{
    for (size_t i = 0; source_types[i] != NULL; i++) {
        if (strcmp(source_types[i]->name, name) == 0) {
            return source_types[i];
        }
    }
    return NULL;
}

const struct source_type *source_type_at(size_t place)
{
    size_t count = sizeof source_types / sizeof source_types[0];

    return place < count ? source_types[place] : NULL;
}
