/* A network in memory for simulations: nodes with names, each with a network door of its own, on
 * loops (virtual ones too) of one thread. Connections can be cut, frozen, and delayed.
 *
 *     struct sim_wire *wire = sim_wire_new();
 *     mr_net = sim_net_new(wire, loop, "hub-1");    // listens as "hub-1:<port>"; free with
 * mr_net_free sim_wire_part(wire, "hub-1", "hub-2", true);  // nothing moves, nobody is told
 *     sim_wire_reset(wire, "hub-1", "hub-2");       // all their connections break
 */
#ifndef TESTS_LIB_SIM_NET_H
#define TESTS_LIB_SIM_NET_H

#include <stdbool.h>
#include <stdint.h>

struct mr_loop;
struct mr_net;
struct sim_wire;

struct sim_wire *sim_wire_new(void);
/* After all networks on it. */
void sim_wire_free(struct sim_wire *wire);
struct mr_net *sim_net_new(struct sim_wire *wire, struct mr_loop *loop, const char *node);
/* From now on, for new connections. */
void sim_wire_delay(struct sim_wire *wire, int64_t delay_us);
/* Parted nodes: open connections freeze (and thaw), attempts time out. */
void sim_wire_part(struct sim_wire *wire, const char *node, const char *other, bool is_parted);
void sim_wire_reset(struct sim_wire *wire, const char *node, const char *other);

#endif
