/* Matching. Within a component, a star remembers the last place to go back to, which is enough: an
 * earlier star can never help once a later one has matched. The same holds for `**` among
 * components. */
#include <string.h>

#include "base/core/error.h"
#include "base/core/utf8.h"
#include "base/text/glob_internal.h"

size_t glob_set_end(const char *text, size_t size, size_t at)
{
    size_t i = at + 1;

    if (i < size && (text[i] == '!' || text[i] == '^')) {
        i++;
    }
    for (size_t first = i; i < size; i++) {
        if (text[i] == ']' && i != first) {
            return i + 1;
        }
        if (text[i] == '\\') {
            i++;
        }
    }
    return 0;
}

/* Whether the byte is in the set text[at..end), brackets included. */
static bool set_has(const char *text, size_t at, size_t end, unsigned char byte)
{
    bool is_negated = text[at + 1] == '!' || text[at + 1] == '^';
    bool found = false;
    size_t i = at + 1 + is_negated;

    while (i < end - 1) {
        unsigned char low;
        unsigned char high;

        i += text[i] == '\\' && i + 1 < end - 1;
        low = (unsigned char)text[i++];
        high = low;
        if (i + 1 < end - 1 && text[i] == '-') {
            i++;
            i += text[i] == '\\' && i + 1 < end - 1;
            high = (unsigned char)text[i++];
        }
        found = found || (byte >= low && byte <= high);
    }
    return found != is_negated;
}

static size_t character_size(const char *name, size_t size)
{
    uint32_t character;
    size_t skip;
    size_t step = mr_utf8_next(name, size, &character, &skip);

    return step != 0 ? step : 1;
}

/* Holds one element of the pattern (no star) against the name. Moves *p and *n behind it, or
 * returns false. */
static bool match_one(const struct glob_component *pattern, size_t *p, const char *name,
                      size_t size, size_t *n)
{
    const char *text = pattern->text;
    size_t set_end;

    switch (text[*p]) {
    case '?':
        *n += character_size(name + *n, size - *n);
        *p += 1;
        return true;
    case '[':
        set_end = glob_set_end(text, pattern->size, *p);
        mr_assert(set_end != 0);
        if (!set_has(text, *p, set_end, (unsigned char)name[*n])) {
            return false;
        }
        *p = set_end;
        *n += 1;
        return true;
    case '\\':
        *p += *p + 1 < pattern->size;
        break;
    default:
        break;
    }
    if (text[*p] != name[*n]) {
        return false;
    }
    *p += 1;
    *n += 1;
    return true;
}

static bool match_component(const struct glob_component *pattern, const char *name, size_t size)
{
    size_t p = 0;
    size_t n = 0;
    size_t star_p = SIZE_MAX; /* behind the last star; SIZE_MAX: none yet */
    size_t star_n = 0;        /* where the name goes on after it */

    for (;;) {
        if (p < pattern->size && pattern->text[p] == '*') {
            star_p = ++p;
            star_n = n;
            continue;
        }
        if (n == size && p == pattern->size) {
            return true;
        }
        if (n < size && p < pattern->size && match_one(pattern, &p, name, size, &n)) {
            continue;
        }
        if (star_p == SIZE_MAX || star_n >= size) {
            return false;
        }
        star_n += character_size(name + star_n, size - star_n);
        p = star_p;
        n = star_n;
    }
}

static bool begins_with_dot(const char *text, size_t size)
{
    return size > 0 && (text[0] == '.' || (size > 1 && text[0] == '\\' && text[1] == '.'));
}

static bool match_path_component(const struct glob_component *pattern, const char *name,
                                 size_t size)
{
    if (name[0] == '.' && !begins_with_dot(pattern->text, pattern->size)) {
        return false;
    }
    return match_component(pattern, name, size);
}

/* The next component of the path from *at on; size 0 at the end. */
static const char *next_component(const char *path, size_t *at, size_t *ret_size)
{
    const char *name;

    while (path[*at] == '/') {
        (*at)++;
    }
    name = path + *at;
    *ret_size = strcspn(name, "/");
    *at += *ret_size;
    return name;
}

enum path_end { PATH_END_FILE, PATH_END_DIRECTORY };

/* Walks path and pattern side by side. When the path ends: a file needs the pattern to end too, a
 * directory needs something of it to be left for what is inside. */
static bool match_components(const struct glob_alternative *alternative, const char *path,
                             enum path_end end)
{
    size_t p = 0;
    size_t at = 0;
    size_t any_p = SIZE_MAX; /* behind the last `**` */
    size_t any_start = 0;    /* where it began */
    size_t any_at = 0;       /* how far it reaches by now */

    for (;;) {
        size_t here = at;
        size_t size;
        const char *name;

        if (p < alternative->count && alternative->components[p].is_any) {
            any_p = ++p;
            any_start = at;
            any_at = at;
            continue;
        }
        name = next_component(path, &here, &size);
        if (size == 0) {
            if (end == PATH_END_DIRECTORY) {
                return p < alternative->count || any_p != SIZE_MAX;
            }
            /* A trailing `**` stands for what is inside, not for the directory itself. */
            return p == alternative->count && !(p == any_p && at == any_start);
        }
        if (p < alternative->count &&
            match_path_component(&alternative->components[p], name, size)) {
            p++;
            at = here;
            continue;
        }
        if (any_p == SIZE_MAX) {
            return false;
        }
        /* `**` takes one component more; it does not enter hidden directories. */
        name = next_component(path, &any_at, &size);
        if (size == 0 || name[0] == '.') {
            return false;
        }
        p = any_p;
        at = any_at;
    }
}

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

static bool match_topic(const struct glob_alternative *alternative, const char *topic)
{
    if (strncmp(topic, "__", 2) == 0 && strncmp(alternative->text, "__", 2) != 0) {
        return false;
    }
    return match_component(&alternative->components[0], topic, strlen(topic));
}

static bool match_alternative(const struct mr_glob *glob,
                              const struct glob_alternative *alternative, const char *path)
{
    if (glob->kind == MR_GLOB_TOPIC) {
        return match_topic(alternative, path);
    }
    if (alternative->is_name_only) {
        return match_components(alternative, last_component(path), PATH_END_FILE);
    }
    return alternative->is_absolute == (path[0] == '/') &&
           match_components(alternative, path, PATH_END_FILE);
}

bool mr_glob_match(const struct mr_glob *glob, const char *path)
{
    for (size_t i = 0; i < glob->count; i++) {
        if (match_alternative(glob, &glob->alternatives[i], path)) {
            return true;
        }
    }
    return false;
}

bool mr_glob_may_contain(const struct mr_glob *glob, const char *directory)
{
    bool is_here = strcmp(directory, ".") == 0;

    for (size_t i = 0; i < glob->count; i++) {
        const struct glob_alternative *alternative = &glob->alternatives[i];

        if (alternative->is_absolute == (directory[0] == '/') &&
            match_components(alternative, is_here ? "" : directory, PATH_END_DIRECTORY)) {
            return true;
        }
    }
    return false;
}
