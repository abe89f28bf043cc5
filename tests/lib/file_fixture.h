/* A directory, a file source over it, and short words for what happens to logs. */
#ifndef TESTS_LIB_FILE_FIXTURE_H
#define TESTS_LIB_FILE_FIXTURE_H

#include "sources/file/file_internal.h"
#include "tests/lib/fake_source_host.h"

struct file_fixture {
    struct fake_source_host *fake;
    struct file_options *options;
    const char *directory;
    const char *patterns[4];
    char *pattern_texts[4];
    const char *excludes[4];
};

/* Not started; patterns are relative to the test's directory; up to 4, ends with NULL. */
struct file_fixture *file_fixture_new(const char *pattern, const char *second);
/* Started, and so many events of the file a.log, that has this text, are read. */
struct file_fixture *file_fixture_reading(const char *pattern, const char *text, size_t events);
void file_fixture_free(struct file_fixture *f);
void file_fixture_start(struct file_fixture *f);
void file_fixture_restart(struct file_fixture *f); /* in good order */
void file_fixture_crash(struct file_fixture *f);   /* and start again */

void put(const char *name, const char *text); /* the whole file, anew (same inode if it is there) */
void append(const char *name, const char *text); /* made if absent */
void move(const char *from, const char *to);
void copy(const char *from, const char *to);
void cut(const char *name, long size);
void gone(const char *name);
/* Steps until a new file has a later birth than those before: the kernel's time has ticks. */
void next_birth(void);
void folder(const char *name);
void soft_link(const char *target, const char *name);
void compress_file(const char *from, const char *to);
size_t read_whole(const char *name, char **ret_data); /* mr_free; with a NUL behind it */
void write_bytes(const char *name, const void *data, size_t size); /* the whole file, anew */
unsigned long inode_of(const char *name);

/* All texts so far, each followed by "|". Valid until the next call. */
const char *texts(struct file_fixture *f);

#endif
