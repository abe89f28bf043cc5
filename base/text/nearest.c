/* Damerau-Levenshtein distance in its "optimal string alignment" form, on words of bounded length.
 */
#include "base/text/nearest.h"

#include <ctype.h>
#include <string.h>

enum {
    COST = MR_WORD_COST, /* of one wrong letter */
    COST_CASE = 1,       /* of a letter in the wrong case */
    WRONG_LETTERS_MAX = 3,
    ROW_SIZE = MR_NEAREST_WORD_SIZE_MAX + 1,
};

static int smaller(int left, int right)
{
    return left < right ? left : right;
}

static int change_cost(char left, char right)
{
    int l = left == '-' ? '_' : (unsigned char)left;
    int r = right == '-' ? '_' : (unsigned char)right;

    if (l == r) {
        return 0;
    }
    return tolower(l) == tolower(r) ? COST_CASE : COST;
}

int mr_word_distance(const char *left, const char *right, int bound)
{
    int rows[3][ROW_SIZE]; /* the row being made and the two before it, in turn */
    size_t left_size = strlen(left);
    size_t right_size = strlen(right);

    if (left_size > MR_NEAREST_WORD_SIZE_MAX || right_size > MR_NEAREST_WORD_SIZE_MAX) {
        return bound + 1;
    }
    for (size_t j = 0; j <= right_size; j++) {
        rows[0][j] = (int)j * COST;
    }
    for (size_t i = 1; i <= left_size; i++) {
        int *row = rows[i % 3];
        const int *above = rows[(i + 2) % 3];
        const int *above2 = rows[(i + 1) % 3];
        int best = row[0] = (int)i * COST;

        for (size_t j = 1; j <= right_size; j++) {
            int cost = above[j - 1] + change_cost(left[i - 1], right[j - 1]);

            cost = smaller(cost, smaller(above[j], row[j - 1]) + COST);
            if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
                cost = smaller(cost, above2[j - 2] + COST);
            }
            row[j] = cost;
            best = smaller(best, cost);
        }
        if (best > bound + COST) {
            return bound + 1; /* no later row can be better (a swap looks back two rows) */
        }
    }
    return rows[left_size % 3][right_size];
}

void mr_nearest_init(struct mr_nearest *nearest, const char *word)
{
    size_t wrong_letters = (strlen(word) + 2) / 3;

    if (wrong_letters > WRONG_LETTERS_MAX) {
        wrong_letters = WRONG_LETTERS_MAX;
    }
    nearest->word = word;
    nearest->best = NULL;
    nearest->distance = (int)wrong_letters * COST + 1;
}

void mr_nearest_offer(struct mr_nearest *nearest, const char *candidate)
{
    int distance = mr_word_distance(nearest->word, candidate, nearest->distance - 1);

    /* A word of which every letter is wrong is no suggestion. */
    if (distance < nearest->distance && distance < (int)strlen(nearest->word) * COST) {
        nearest->best = candidate;
        nearest->distance = distance;
    }
}

const char *mr_nearest(const char *word, const char *const *words, size_t count)
{
    struct mr_nearest nearest;

    mr_nearest_init(&nearest, word);
    for (size_t i = 0; i < count; i++) {
        mr_nearest_offer(&nearest, words[i]);
    }
    return nearest.best;
}

const char *mr_nearest_word(const char *word, const char *const *words)
{
    size_t count = 0;

    while (words[count] != NULL) {
        count++;
    }
    return mr_nearest(word, words, count);
}
