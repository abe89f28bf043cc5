/* State machines: moves are checked against a table of allowed ones, and traced at debug level. */
#ifndef BASE_CORE_STATE_H
#define BASE_CORE_STATE_H

#include <stdint.h>

struct mr_state_table {
    const char *machine;      /* "peer" */
    const char *const *names; /* by state */
    const uint32_t *allowed;  /* by state: bit mask of the states that may follow */
    int count;
};

struct mr_machine {
    const struct mr_state_table *table;
    int state;
};

#define MR_TO(state) (UINT32_C(1) << (state))

void mr_machine_init(struct mr_machine *machine, const struct mr_state_table *table, int state);
/* Asserts that the move is allowed. `subject` is for the trace and may be NULL. */
void mr_state_move(struct mr_machine *machine, int state, const char *subject);
const char *mr_machine_name(const struct mr_machine *machine);

#endif
