/* Writing numbered lines into one or many files, at full speed or at a rate, with rotation. */
#ifndef TESTS_BENCH_LOGGEN_WRITE_H
#define TESTS_BENCH_LOGGEN_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rotation { ROTATION_NONE, ROTATION_RENAME, ROTATION_COPYTRUNCATE };

struct write_options {
    const char *path; /* "{file}" in it is the file's number; "-": stdout */
    uint64_t lines;   /* per file */
    uint64_t first;   /* sequence to begin with: continues an earlier run */
    uint32_t files;
    uint32_t first_file;
    size_t size_average;
    double rate; /* lines per second over all files; 0: as fast as it goes */
    enum rotation rotation;
    uint64_t rotate_lines; /* of one file between rotations */
    uint32_t keep;         /* how many rotated ones stay; 0: all */
    bool is_appending;
};

/* 0, or 1 after having printed what failed. Prints a JSON object with the totals to stderr. */
int write_lines(const struct write_options *options);

#endif
