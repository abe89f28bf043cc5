/* The one counter behind all injected faults: fail the n-th call, then k more.
 *
 * What must be survived, by everything above base/: an allocation that fails; a read, write, fsync,
 * truncation, rename, removal or listing that fails, once or for a while; a write that is torn; a
 * disk that is full until something is removed; a process killed at any instant; power lost at any
 * instant, with everything that was not fsynced lost in whole or in part.
 *
 * "Survived" means: the call that failed says so, and nothing leaks; the next start succeeds;
 * acknowledged records stay (those acknowledged before an fsync, unless power was lost); offsets
 * never go back; an end that was told is never beyond what can be read. */
#ifndef TESTS_LIB_FAULT_H
#define TESTS_LIB_FAULT_H

#include <stdbool.h>

struct fault {
    int nth;  /* counts down to 1, the call that fails; 0: none */
    int more; /* calls that fail after it */
    int code;
    bool fired;
};

static inline void fault_set(struct fault *fault, int nth, int code)
{
    *fault = (struct fault){.nth = nth, .code = code};
}

static inline bool fault_fired(const struct fault *fault)
{
    return fault->fired;
}

/* Asked by the double at each call: 0, or the code to fail with. */
static inline int fault_hit(struct fault *fault)
{
    if (fault->nth == 0) {
        return 0;
    }
    if (fault->nth > 1) {
        fault->nth--;
        return 0;
    }
    fault->fired = true;
    if (fault->more > 0) {
        fault->more--;
    } else {
        fault->nth = 0;
    }
    return fault->code;
}

#endif
