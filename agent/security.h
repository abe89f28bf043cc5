/* What the configuration says about certificates, SASL and rights, as the queue wants to hear it.
 */
#ifndef AGENT_SECURITY_H
#define AGENT_SECURITY_H

#include <stddef.h>

#include "queue/queue.h"

struct config;
struct mr_disk;
struct mr_error;
struct mr_metrics;
struct security;

/* Reads the certificates of all listeners. The config must outlive it. Fails with words that name
 * the listener and the file. */
int security_open(const struct config *config, struct mr_disk *disk, struct mr_metrics *metrics,
                  struct security **ret_security, struct mr_error *error);
/* After the listeners are closed. NULL is fine. */
void security_close(struct security *security);
/* Sets TLS and SASL of the listener at this place of the configuration. */
void security_put_listener(const struct security *security, size_t place,
                           struct queue_listener_spec *spec);
struct queue_security security_rights(const struct security *security);
/* Reads certificates again, for connections from now on; what cannot be taken is said in the log
 * and the old one stays. */
void security_reload(struct security *security);

#endif
