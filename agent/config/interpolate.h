/* ${VAR}, ${VAR:-default}, ${VAR:?message}, ${file:/path}, ${cred:name} and $$ in one parsed value.
 * Everything else with a dollar sign, like $1, stays as it is; passwords with any bytes survive,
 * because the text is replaced after YAML was parsed. */
#ifndef AGENT_CONFIG_INTERPOLATE_H
#define AGENT_CONFIG_INTERPOLATE_H

#include "agent/config/tree.h"

struct mr_disk;

/* Replaces node->text (SCALAR). Problems are added with the node's place; the text is then
 * unchanged. A value that came in through ${...} counts as quoted only if it was quoted. */
void config_interpolate(struct node *node, struct mr_disk *disk, struct config_problems *problems);

#endif
