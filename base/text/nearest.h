/* "Did you mean": the candidate nearest to a mistyped word, if any is near enough to be meant.
 *
 *     struct mr_nearest nearest;
 *     mr_nearest_init(&nearest, word);
 *     for (...) { mr_nearest_offer(&nearest, candidate); }
 *     if (nearest.best != NULL) { ... } */
#ifndef BASE_TEXT_NEAREST_H
#define BASE_TEXT_NEAREST_H

#include <stddef.h>

enum { MR_NEAREST_WORD_SIZE_MAX = 64 }; /* longer words are never near */

struct mr_nearest {
    const char *word;
    const char *best; /* borrowed from the caller; NULL: nothing is near */
    int distance;     /* of best; before that, the first distance that is too far */
};

/* At most a third of the word's letters may be wrong, and at most 3. */
void mr_nearest_init(struct mr_nearest *nearest, const char *word);
/* The first of equally near candidates stays. */
void mr_nearest_offer(struct mr_nearest *nearest, const char *candidate);
/* All in one, of `count` words. Returns one of them, or NULL. */
const char *mr_nearest(const char *word, const char *const *words, size_t count);
/* The same; words end with NULL. Returns one of them, or NULL. */
const char *mr_nearest_word(const char *word, const char *const *words);

enum { MR_WORD_COST = 8 }; /* what one wrong letter adds to a distance */

/* Insertions, deletions, changes and swaps of neighbours that turn one word into the other (optimal
 * string alignment), MR_WORD_COST each; a letter in the wrong case costs 1; - and _ are the same.
 * More than bound: some number above bound. */
int mr_word_distance(const char *left, const char *right, int bound);

#endif
