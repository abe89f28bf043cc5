/* The inside of a compiled glob, for glob.c (compiling) and glob_match.c (matching) alone. */
#ifndef BASE_TEXT_GLOB_INTERNAL_H
#define BASE_TEXT_GLOB_INTERNAL_H

#include "base/text/glob.h"

/* One path component of a pattern, as written: wildcards, sets and escapes are read while matching.
 */
struct glob_component {
    const char *text;
    size_t size;
    bool is_any;     /* `**` */
    bool is_literal; /* no wildcard; escapes are possible */
};

struct glob_alternative {
    char *text; /* braces expanded; the components point into it */
    struct glob_component *components;
    size_t count;
    bool is_absolute;
    bool is_name_only; /* a path pattern without a slash */
    char *prefix;
    char *literal;
};

struct mr_glob {
    enum mr_glob_kind kind;
    struct glob_alternative *alternatives;
    size_t count;
    size_t capacity;
};

/* The end of the set that begins at text[at] == '[', behind its ']'; 0 if it has none. A ']' that
 * comes first is a member; backslash takes away meaning. */
size_t glob_set_end(const char *text, size_t size, size_t at);

#endif
