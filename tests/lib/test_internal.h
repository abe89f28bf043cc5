/* Between the checks and the runner. */
#ifndef TESTS_LIB_TEST_INTERNAL_H
#define TESTS_LIB_TEST_INTERNAL_H

/* Prints what is needed to see the failure again: the seed, the directory. */
void test_explain_failure(void);

#endif
