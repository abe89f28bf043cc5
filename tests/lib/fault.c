/* The counter, and its glue to the heap door. */
#include "tests/lib/fault.h"

#include <stddef.h>

#include "base/core/error.h"
#include "base/core/memory.h"

void fault_set(struct fault *fault, int nth, int code)
{
    fault_set_more(fault, nth, 0, code);
}

void fault_set_more(struct fault *fault, int nth, int more, int code)
{
    mr_assert(nth >= 0 && (nth == 0 || code < 0));
    *fault = (struct fault){.nth = nth, .more = more, .code = code};
}

int fault_hit(struct fault *fault)
{
    fault->seen++;
    if (fault->nth == 0 || fault->seen < fault->nth ||
        (fault->more >= 0 && fault->seen - fault->nth > fault->more)) {
        return 0;
    }
    fault->fired++;
    return fault->code;
}

bool fault_fired(const struct fault *fault)
{
    return fault->fired > 0;
}

static bool heap_should_fail(void *owner)
{
    return fault_hit(owner) != 0;
}

void fault_heap(struct fault *fault)
{
    mr_memory_set_fault(heap_should_fail, fault);
}

void fault_heap_off(void)
{
    mr_memory_set_fault(NULL, NULL);
}
