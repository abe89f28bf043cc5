/* A move that the table does not allow is our own mistake: it stops the program where it happens,
 * not three callbacks later. */
#include "base/core/state.h"

#include "base/core/error.h"
#include "base/core/logger.h"

static void table_check(const struct mr_state_table *table, int state)
{
    mr_assert(table->count > 0 && table->count <= 32); /* the masks have 32 bits */
    mr_assert(state >= 0 && state < table->count);
}

void mr_machine_init(struct mr_machine *machine, const struct mr_state_table *table, int state)
{
    table_check(table, state);
    machine->table = table;
    machine->state = state;
}

void mr_state_move(struct mr_machine *machine, int state, const char *subject)
{
    const struct mr_state_table *table = machine->table;
    int from = machine->state;

    table_check(table, state);
    if ((table->allowed[from] & MR_TO(state)) == 0) {
        mr_error("state move that is not allowed", KV_STR("machine", table->machine),
                 KV_STR("from", table->names[from]), KV_STR("to", table->names[state]),
                 KV_STR("subject", subject));
    }
    mr_assert((table->allowed[from] & MR_TO(state)) != 0);
    machine->state = state;
    mr_debug("state", KV_STR("machine", table->machine), KV_STR("from", table->names[from]),
             KV_STR("to", table->names[state]), KV_STR("subject", subject));
}

const char *mr_machine_name(const struct mr_machine *machine)
{
    return machine->table->names[machine->state];
}
