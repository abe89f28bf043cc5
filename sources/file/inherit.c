/* Container lines that go on in the next file. */
#include "sources/file/reader_internal.h"

bool inherit_begin(struct tail *tail)
{
    (void)tail;
    return true;
}

int inherit_replay(struct tail *tail, struct chunk *scratch)
{
    (void)tail;
    (void)scratch;
    return 0;
}

void reader_settle_inheritance(struct tail *tail)
{
    (void)tail;
}
