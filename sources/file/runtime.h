/* The frames that container runtimes put around each line of output. */
#ifndef SOURCES_FILE_RUNTIME_H
#define SOURCES_FILE_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mr_bytes;

struct runtime_piece {
    const uint8_t *data; /* what the container wrote, without its line end */
    size_t size;
    int64_t timestamp_ms; /* -1: none */
    int lane;             /* 0: stdout, 1: stderr */
    bool is_last;         /* false: the line goes on in the next piece of this lane */
};

/* "2016-10-06T00:17:09.669794202Z stdout P text": CRI, as containerd and CRI-O write it. Tags are
 * separated by colons; the first says P (partial) or F (full). False: not this format. */
bool runtime_parse_cri(const uint8_t *line, size_t size, struct runtime_piece *ret_piece);
/* {"log":"text\n","stream":"stdout","time":"2016-10-06T00:17:09.669794202Z"}: docker's json-file; a
 * log without \n at its end goes on. Unescapes into `scratch` where needed, which the piece then
 * points into; scratch->failed without memory. */
bool runtime_parse_docker(const uint8_t *line, size_t size, struct mr_bytes *scratch,
                          struct runtime_piece *ret_piece);

#endif
