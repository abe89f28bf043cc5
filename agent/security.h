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
struct mr_net;
struct mr_tls_context;
struct security;

struct security_env {
    const struct config *config; /* outlives it */
    struct mr_disk *disk;
    struct mr_net *net;
    struct mr_metrics *metrics;
};

/* Reads the certificates of all listeners, and has their files watched. Fails with words that name
 * the listener and the file. */
int security_open(const struct security_env *env, struct security **ret_security,
                  struct mr_error *error);
/* After the listeners are closed. NULL is fine. */
void security_close(struct security *security);
/* Sets TLS and SASL of the listener at this place of the configuration. */
void security_put_listener(const struct security *security, size_t place,
                           struct queue_listener_spec *spec);
struct queue_security security_rights(const struct security *security);
/* Reads the secrets of the configuration again; what has changed counts from the next login on, and
 * what cannot be read stays what it was, is said in the log and raises a metric. The queue is to
 * be told (queue_reload_security). */
void security_reload(struct security *security);
/* 0, or what could not be read the last time. */
int security_health(const struct security *security, struct mr_error *error);
/* Of the admin address; NULL: plain. */
struct mr_tls_context *security_admin_tls(const struct security *security);

#endif
