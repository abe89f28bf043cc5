/* Where temporary directories of tests are made. */
#ifndef TESTS_LIB_TEMPORARY_H
#define TESTS_LIB_TEMPORARY_H

/* $TMPDIR; else memory (/dev/shm), if it has a gigabyte to spare: tests of what survives sync very
 * often, and lose their power by the fault disk's word, not by the real one's; else /tmp. */
const char *test_temporary_parent(void);

#endif
