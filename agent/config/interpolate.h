/* ${VAR}, ${VAR:-default}, ${VAR:?message}, ${file:/path}, ${cred:name} and $$ in one parsed value.
 * Everything else with a dollar sign, like $1, stays as it is; passwords with any bytes survive,
 * because the text is replaced after YAML was parsed. */
#ifndef AGENT_CONFIG_INTERPOLATE_H
#define AGENT_CONFIG_INTERPOLATE_H

#include "agent/config/tree.h"

struct mr_disk;

/* Replaces node->text (SCALAR). Problems are added with the node's place; the text is then
 * unchanged. A value that came in through ${...} counts as quoted only if it was quoted. What holds
 * the content of a file or credential is in secret memory from then on, and so is what was written
 * (node->written), so that it can be read again. */
void config_interpolate(struct node *node, struct mr_disk *disk, struct config_problems *problems);
/* What node->written comes to now: a text of mr_secret_alloc, or NULL and a problem. */
char *config_interpolate_again(const struct node *node, struct mr_disk *disk,
                               struct config_problems *problems);

#endif
