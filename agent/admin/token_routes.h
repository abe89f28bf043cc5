/* GET, POST /tokens and DELETE /tokens/{name}. */
#ifndef AGENT_ADMIN_TOKEN_ROUTES_H
#define AGENT_ADMIN_TOKEN_ROUTES_H

struct admin;

/* 0, MR_ENOMEM. The admin has tokens. */
int token_routes_add(struct admin *admin);

#endif
