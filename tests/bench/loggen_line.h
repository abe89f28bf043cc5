/* The numbered line: looks like an access log's, and ends with what makes it checkable.
 *
 *     198.51.100.7 - - [23/Nov/2026:04:40:00 +0000] "GET /... "
 * mr=FFFFF.SSSSSSSSSSSS.TTTTTTTTTTTTTTTT.CCCCCCCC
 *
 * F: file id; S: sequence, one more per line of a file, from 0; T: microseconds since 1970 when it
 * was made; C: CRC-32C in hex of the line up to the dot before it. */
#ifndef TESTS_BENCH_LOGGEN_LINE_H
#define TESTS_BENCH_LOGGEN_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LINE_TAIL_SIZE = 48, /* with the space before it */
    LINE_SIZE_MIN = 120, /* of the average, newline included */
    LINE_SIZE_MAX = 4096,
    LINE_FILES_MAX = 100000,
};

#define LINE_SEQUENCE_MAX UINT64_C(999999999999)

struct line_maker {
    size_t size_average;
    size_t spread; /* lines differ from the average by at most this, in pairs that even out */
    char *bodies;  /* BODY_COUNT texts of the longest line's size */
    size_t body_size;
    char stamp[32]; /* "23/Nov/2026:04:40:00 +0000" of the second `stamp_s` */
    int64_t stamp_s;
};

struct line_mark {
    uint32_t file;
    uint64_t sequence;
    int64_t time_us;
};

int line_maker_init(struct line_maker *maker, size_t size_average); /* 0 or -1 */
void line_maker_done(struct line_maker *maker);
/* Writes a line with its newline and returns its size. The sizes of lines 2k and 2k + 1 add up to
 * twice the average; a last line of even number, which has no partner, has the average itself. */
size_t line_make(struct line_maker *maker, uint32_t file, uint64_t sequence, bool is_last,
                 int64_t time_us, char *to);

enum line_verdict { LINE_OK, LINE_FOREIGN /* no mark */, LINE_DAMAGED /* a mark, a wrong sum */ };
/* Without the newline. The mark may also stand inside the line (as in a JSON value): then, or with
 * is_loose, the sum is not checked. */
enum line_verdict line_read(const char *line, size_t size, bool is_loose,
                            struct line_mark *ret_mark);

#endif
