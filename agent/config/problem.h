/* What is wrong with a configuration: all of it, in order, each with its place and how to mend it.
 */
#ifndef AGENT_CONFIG_PROBLEM_H
#define AGENT_CONFIG_PROBLEM_H

#include "agent/config/tree.h"

struct config_problem {
    struct config_place place;
    char *file; /* what place.file points to */
    char *text;
};

struct config_problems {
    struct config_problem *items;
    size_t count;
    size_t capacity;
    bool is_overflown; /* more than the bound, or no memory: there are others */
};

void config_problems_init(struct config_problems *problems);
void config_problems_done(struct config_problems *problems);
void config_problem_add(struct config_problems *problems, const struct config_place *place,
                        const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Sorts by file and place: problems are found by table, and read by file. */
void config_problems_sort(struct config_problems *problems);

#endif
