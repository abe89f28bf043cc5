/* Faults are one small counter: "fail the n-th, then k more", the same at every door, the heap too.
 * A test sweeps n from 1 until no fault fires: then every place that can fail has failed once.
 *
 * What must be survived, by everything above base/: an allocation that fails; a read, write, fsync,
 * truncation, rename, removal or listing that fails, once or for a while; a write that is torn; a
 * disk that is full until something is removed; a process killed at any instant; power lost at any
 * instant, with everything that was not fsynced lost in whole or in part; a network that cuts,
 * delays, reorders; a clock that jumps.
 *
 * "Survived" means: the call that failed says so, nothing else changes, and nothing leaks; the next
 * start succeeds; acknowledged records stay (those acknowledged before an fsync, unless power was
 * lost); what waited for an fsync that failed is not acknowledged by trying again; offsets never go
 * back; an end that was told is never beyond what can be read; no wait becomes endless.
 */
#ifndef TESTS_LIB_FAULT_H
#define TESTS_LIB_FAULT_H

#include <stdbool.h>

struct fault {
    int nth;   /* the first call that fails, from 1; 0: none does */
    int more;  /* how many after it fail too; negative: all */
    int code;  /* what they return */
    int seen;  /* calls since it was set */
    int fired; /* of these, how many failed */
};

/* The nth call fails, and only that. Starts counting anew; nth 0 switches it off. */
void fault_set(struct fault *fault, int nth, int code);
/* The nth and `more` after it; more < 0: all after it. */
void fault_set_more(struct fault *fault, int nth, int more, int code);
/* A door asks at each call: the code to fail with, or 0. A zeroed fault never fires. */
int fault_hit(struct fault *fault);
bool fault_fired(const struct fault *fault);

/* From here the heap asks this fault, until fault_heap_off() or the end of the test. */
void fault_heap(struct fault *fault);
void fault_heap_off(void);

#endif
