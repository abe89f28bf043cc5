/* Regular expressions: a thin wrapper of pcre2. Input may hold invalid UTF-8 (such bytes match
 * nothing); work per match is limited, so that no pattern can hold a loop; compiled to machine code
 * where the system allows that (not under MemoryDenyWriteExecute: then interpreted, several times
 * slower). */
#ifndef BASE_TEXT_REGEX_H
#define BASE_TEXT_REGEX_H

#include <stdbool.h>
#include <stddef.h>

struct mr_error;
struct mr_regex; /* belongs to one thread: matching keeps the captures inside */

enum mr_regex_flags {
    MR_REGEX_CASELESS = 1,
    MR_REGEX_ANCHORED = 2,  /* matches at the start only */
    MR_REGEX_MULTILINE = 4, /* ^ and $ at each line */
    MR_REGEX_INTERPRET = 8, /* no machine code, as where it is forbidden */
};

/* MR_EINVAL with pcre2's text and the column of the mistake, or MR_ENOMEM. */
int mr_regex_compile(const char *pattern, unsigned flags, struct mr_regex **ret_regex,
                     struct mr_error *error);
void mr_regex_free(struct mr_regex *regex);

/* Searches from byte `start` on. 1: found, captures are set until the next match; 0: not found;
 * MR_ETOOLARGE: the match limit was reached; MR_ENOMEM. */
int mr_regex_match(struct mr_regex *regex, const void *data, size_t size, size_t start);
/* Without captures of interest: the same. */
static inline bool mr_regex_is_match(struct mr_regex *regex, const void *data, size_t size)
{
    return mr_regex_match(regex, data, size, 0) == 1;
}

/* Of the last successful match: group 0 is the whole. False: this group took no part. */
bool mr_regex_capture(const struct mr_regex *regex, int group, size_t *ret_start, size_t *ret_end);
int mr_regex_group_count(const struct mr_regex *regex); /* without group 0 */
/* The name of a group, or NULL. */
const char *mr_regex_group_name(const struct mr_regex *regex, int group);
/* The first group with this name, or -1. */
int mr_regex_group_of(const struct mr_regex *regex, const char *name);
bool mr_regex_is_compiled(const struct mr_regex *regex); /* to machine code */

#endif
