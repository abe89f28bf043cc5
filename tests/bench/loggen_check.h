/* Counting what is lost, repeated or out of order in numbered lines, as a stream. */
#ifndef TESTS_BENCH_LOGGEN_CHECK_H
#define TESTS_BENCH_LOGGEN_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct check_options {
    const char *const *paths; /* ends with NULL; none: stdin */
    uint64_t first;           /* the sequence that each file id begins with */
    uint64_t lines;           /* that each file id must have; 0: up to the highest seen */
    uint32_t files; /* ids that must be there, from first_file on; 0: those that are seen */
    uint32_t first_file;
    bool is_loose;        /* sums are not checked */
    bool is_foreign_fine; /* lines without a mark are not an error */
    bool has_latency;     /* the time from each line's making to its reading */
    uint32_t show;        /* how many of the findings to print to stderr */
};

/* Prints one JSON object. 0: nothing lost, repeated, out of order, damaged; 1: something was, or a
 * file could not be read. */
int check_lines(const struct check_options *options);

#endif
