/* The list of problems; see problem.h. */
#include "agent/config/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/memory.h"

enum { PROBLEMS_MAX = 200, PROBLEM_TEXT_SIZE = 1024 };

void config_problems_init(struct config_problems *problems)
{
    memset(problems, 0, sizeof *problems);
}

void config_problems_done(struct config_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        mr_free(problems->items[i].text);
        mr_free(problems->items[i].file);
    }
    mr_free(problems->items);
    config_problems_init(problems);
}

void config_problem_add(struct config_problems *problems, const struct config_place *place,
                        const char *format, ...)
{
    char text[PROBLEM_TEXT_SIZE];
    va_list arguments;
    struct config_problem *problem;

    if (problems->count == PROBLEMS_MAX ||
        mr_grow(&problems->items, &problems->capacity, problems->count + 1,
                sizeof *problems->items) != 0) {
        problems->is_overflown = true;
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    problem = &problems->items[problems->count];
    problem->place = *place;
    problem->text = mr_strdup(text);
    problem->file = place->file == NULL ? NULL : mr_strdup(place->file);
    problem->place.file = problem->file; /* the tree may go before its problems are shown */
    if (problem->text == NULL) {
        mr_free(problem->file);
        problems->is_overflown = true;
        return;
    }
    problems->count++;
}

static int compare_problems(const void *left, const void *right)
{
    const struct config_problem *a = left;
    const struct config_problem *b = right;
    int order = strcmp(a->place.file == NULL ? "" : a->place.file,
                       b->place.file == NULL ? "" : b->place.file);

    if (order == 0) {
        order = a->place.line - b->place.line;
    }
    return order != 0 ? order : a->place.column - b->place.column;
}

void config_problems_sort(struct config_problems *problems)
{
    if (problems->count > 1) {
        qsort(problems->items, problems->count, sizeof *problems->items, compare_problems);
    }
}
