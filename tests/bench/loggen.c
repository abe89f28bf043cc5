/* millrace_lines: makes numbered access-log-like lines, and checks that none was lost, repeated or
 * moved on its way. The two modes and their options; the work is in loggen_write.c and
 * loggen_check.c. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/loggen_check.h"
#include "tests/bench/loggen_line.h"
#include "tests/bench/loggen_write.h"

static const char usage_text[] =
    "usage: millrace_lines [options] PATH       write lines; {file} in PATH is the file's number,\n"
    "                                           - is stdout\n"
    "       millrace_lines --check [options] [PATH...]    check lines of files, or stdin\n"
    "\n"
    "Both:\n"
    "  --lines N         lines per file (default 1000; with --check: as many as are seen)\n"
    "  --files N         how many files (default 1; with --check: as many as are seen)\n"
    "  --first N         number of the first line (default 0)\n"
    "  --first-file N    number of the first file (default 0)\n"
    "Writing:\n"
    "  --size BYTES      average size of a line, newline included (default 190)\n"
    "  --bytes N         per file, instead of --lines\n"
    "  --rate N          lines per second over all files (default: as fast as it goes)\n"
    "  --rotate rename|copytruncate --rotate-lines N   rotate each file after N lines\n"
    "  --keep N          rotated files to keep (default: all)\n"
    "  --append          go on in existing files (see --first)\n"
    "Checking:\n"
    "  --loose           do not check the sum of each line\n"
    "  --foreign-fine    lines without a mark are counted, but no error\n"
    "  --latency         report the time from writing to reading\n"
    "  --show N          print the first N findings to stderr (default 10)\n"
    "\n"
    "Exit code of --check: 0 nothing wrong, 1 something lost, repeated, out of order or damaged.\n";

struct options {
    struct write_options write;
    struct check_options check;
    uint64_t lines;
    uint64_t bytes;
    uint64_t files;
    uint64_t first;
    uint64_t first_file;
    uint64_t size;
    uint64_t keep;
    uint64_t show;
    int is_check;
    int is_loose;
    int is_foreign_fine;
    int has_latency;
    int is_appending;
};

static int usage(const char *what)
{
    fprintf(stderr, "millrace_lines: %s\n\n%s", what, usage_text);
    return 2;
}

static int parse_number(const char *text, uint64_t *ret_value)
{
    char *end;

    *ret_value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' ? 0 : -1;
}

static int parse_rotation(const char *text, enum rotation *ret_rotation)
{
    if (strcmp(text, "rename") == 0) {
        *ret_rotation = ROTATION_RENAME;
        return 0;
    }
    *ret_rotation = ROTATION_COPYTRUNCATE;
    return strcmp(text, "copytruncate") == 0 ? 0 : -1;
}

static int parse(int argc, char **argv, struct options *options)
{
    const struct option table[] = {{"check", no_argument, &options->is_check, 1},
                                   {"loose", no_argument, &options->is_loose, 1},
                                   {"foreign-fine", no_argument, &options->is_foreign_fine, 1},
                                   {"latency", no_argument, &options->has_latency, 1},
                                   {"append", no_argument, &options->is_appending, 1},
                                   {"lines", required_argument, NULL, 'n'},
                                   {"bytes", required_argument, NULL, 'b'},
                                   {"files", required_argument, NULL, 'f'},
                                   {"first", required_argument, NULL, 's'},
                                   {"first-file", required_argument, NULL, 'F'},
                                   {"size", required_argument, NULL, 'z'},
                                   {"rate", required_argument, NULL, 'r'},
                                   {"rotate", required_argument, NULL, 'R'},
                                   {"rotate-lines", required_argument, NULL, 'L'},
                                   {"keep", required_argument, NULL, 'k'},
                                   {"show", required_argument, NULL, 'w'},
                                   {"help", no_argument, NULL, 'h'},
                                   {0}};
    uint64_t *const numbers[128] = {['n'] = &options->lines,
                                    ['b'] = &options->bytes,
                                    ['f'] = &options->files,
                                    ['s'] = &options->first,
                                    ['F'] = &options->first_file,
                                    ['z'] = &options->size,
                                    ['k'] = &options->keep,
                                    ['w'] = &options->show,
                                    ['L'] = &options->write.rotate_lines};
    int rc = 0;
    int option;

    while (rc == 0 && (option = getopt_long(argc, argv, "h", table, NULL)) >= 0) {
        if (option == 'h') {
            fputs(usage_text, stdout);
            exit(0);
        }
        if (option == 'R') {
            rc = parse_rotation(optarg, &options->write.rotation);
        } else if (option == 'r') {
            options->write.rate = atof(optarg);
            rc = options->write.rate > 0 ? 0 : -1;
        } else if (option == '?') {
            rc = -1;
        } else if (option != 0) {
            rc = parse_number(optarg, numbers[option]);
        }
    }
    return rc;
}

static int run_check(struct options *options, char **paths)
{
    options->check.paths = (const char *const *)paths;
    options->check.lines = options->lines;
    options->check.files = (uint32_t)options->files;
    options->check.first = options->first;
    options->check.first_file = (uint32_t)options->first_file;
    options->check.is_loose = options->is_loose;
    options->check.is_foreign_fine = options->is_foreign_fine;
    options->check.has_latency = options->has_latency;
    options->check.show = (uint32_t)options->show;
    return check_lines(&options->check);
}

static int run_write(struct options *options, char **paths)
{
    struct write_options *write = &options->write;

    if (paths[0] == NULL || paths[1] != NULL) {
        return usage("one PATH is wanted");
    }
    write->path = paths[0];
    write->files = options->files == 0 ? 1 : (uint32_t)options->files;
    if (write->files > 1 && strstr(write->path, "{file}") == NULL &&
        strcmp(write->path, "-") != 0) {
        return usage("several files need {file} in PATH");
    }
    if (options->size < LINE_SIZE_MIN || options->size > LINE_SIZE_MAX / 2) {
        return usage("--size is 120 to 2048");
    }
    if ((write->rotation != ROTATION_NONE) != (write->rotate_lines != 0)) {
        return usage("--rotate and --rotate-lines go together");
    }
    write->size_average = options->size;
    write->lines = options->bytes != 0 ? options->bytes / options->size : options->lines;
    write->lines = write->lines == 0 ? 1000 : write->lines;
    write->first = options->first;
    write->first_file = (uint32_t)options->first_file;
    write->keep = (uint32_t)options->keep;
    write->is_appending = options->is_appending;
    return write_lines(write);
}

int main(int argc, char **argv)
{
    struct options options = {.size = 190, .show = 10};

    if (parse(argc, argv, &options) != 0) {
        return usage("an option is unknown or has a wrong value");
    }
    if (options.files + options.first_file > LINE_FILES_MAX || options.first > LINE_SEQUENCE_MAX ||
        options.lines > LINE_SEQUENCE_MAX - options.first) {
        return usage("--files, --first or --lines is too large");
    }
    return options.is_check ? run_check(&options, argv + optind)
                            : run_write(&options, argv + optind);
}
