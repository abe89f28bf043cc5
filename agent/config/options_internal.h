/* The sections that options.c puts together; for options*.c alone. */
#ifndef AGENT_CONFIG_OPTIONS_INTERNAL_H
#define AGENT_CONFIG_OPTIONS_INTERNAL_H

#include "base/core/option.h"

/* options_node.c */
extern const struct mr_option config_node_options[];
extern const struct mr_option config_disk_options[];
extern const struct mr_option config_log_options[];
/* options_listen.c */
extern const struct mr_option config_node_tls_options[];
extern const struct mr_option config_socket_options[];
extern const struct mr_option config_listen_options[];
extern const struct mr_option config_admin_options[];
/* options_access.c */
extern const struct mr_option config_authentication_options[];
extern const struct mr_option config_authorization_options[];
/* options_topic.c */
extern const struct mr_option config_topic_options[];
extern const struct mr_option config_audit_options[];

#endif
