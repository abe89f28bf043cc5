/* Globs, for paths and for topic names. Compiled once.
 *
 *     *  ?        within one path component         [abc] [a-z] [!a]   one byte of a set
 *     **          as a whole component: any number of directories, also none
 *     {a,b}       alternatives, nested, also across slashes          \x   x itself
 *
 * As in a shell, wildcards do not match a component's leading dot: write the dot. `*` and `?` do
 * not split UTF-8: `?` is one character. */
#ifndef BASE_TEXT_GLOB_H
#define BASE_TEXT_GLOB_H

#include <stdbool.h>
#include <stddef.h>

struct mr_error;
struct mr_glob;

enum mr_glob_kind {
    MR_GLOB_PATH,
    /* One component, dots are ordinary; a name that begins with "__" (an internal topic) is matched
     * only by an alternative that begins with these two characters itself. */
    MR_GLOB_TOPIC,
};

enum { MR_GLOB_ALTERNATIVES_MAX = 256, MR_GLOB_SIZE_MAX = 4096 };

/* MR_EINVAL with the column (unclosed bracket or brace, empty pattern), MR_ETOOLARGE beyond the
 * bounds above, or MR_ENOMEM. */
int mr_glob_compile(enum mr_glob_kind kind, const char *pattern, struct mr_glob **ret_glob,
                    struct mr_error *error);
void mr_glob_free(struct mr_glob *glob);

/* A path pattern without a slash is held against the last component of the path alone: "*.gz" as an
 * exclude means every directory. Repeated slashes count once. Time is bounded by the product of
 * both lengths for each alternative. */
bool mr_glob_match(const struct mr_glob *glob, const char *path);

/* ---- for walking directories ---- */

/* Braces make several patterns of one; each has a place where its walk begins. */
size_t mr_glob_count(const struct mr_glob *glob);
/* The directory up to the first component with a wildcard, without a trailing slash (but "/"), or
 * "." for a relative pattern that begins with one. A pattern without wildcards: the directory it is
 * in. */
const char *mr_glob_prefix(const struct mr_glob *glob, size_t index);
/* The path without wildcards that this alternative is, unescaped; NULL if it has any. */
const char *mr_glob_literal(const struct mr_glob *glob, size_t index);
/* Whether any alternative has `**`. */
bool mr_glob_is_recursive(const struct mr_glob *glob);
/* Whether something below this directory could match: the walk needs to enter only these. */
bool mr_glob_may_contain(const struct mr_glob *glob, const char *directory);

#endif
