/* One running node: the plan of a configuration put to work, and taken down again in order. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "base/core/error.h"

struct agent;
struct config;

/* Opens everything: data directory, queue, sources, sinks, admin pages. The configuration is the
 * caller's and must outlive the agent. */
int agent_open(const struct config *config, struct agent **ret_agent, struct mr_error *error);
/* Runs until SIGTERM or SIGINT and everything is closed. 0, or MR_ETIMEDOUT when closing took
 * longer than `shutdown` and was cut short (nothing is lost by that: what is acknowledged is in the
 * log). */
int agent_run(struct agent *agent);
void agent_free(struct agent *agent);

#endif
