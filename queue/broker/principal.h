/* From a certificate's subject to a name, by Kafka's mapping rules (KIP-371), one text per rule:
 *
 *     DEFAULT                                   the subject as it is
 *     RULE:pattern/replacement/                 the whole subject matches; $1 is its first group
 *     RULE:^CN=([^,]+).*$/$1/L                  and then in lower (L) or upper (U) case
 *
 * The first rule that matches decides. Pure. */
#ifndef QUEUE_BROKER_PRINCIPAL_H
#define QUEUE_BROKER_PRINCIPAL_H

#include <stddef.h>

struct mr_error;
struct principal_rules;

enum { PRINCIPAL_NAME_SIZE = 512 };

/* No texts: DEFAULT. MR_EINVAL with words. */
int principal_rules_new(const char *const *texts, size_t count, struct principal_rules **ret_rules,
                        struct mr_error *error);
void principal_rules_free(struct principal_rules *rules); /* NULL is fine */
/* 0; MR_ENOENT: no rule matches; MR_ETOOLARGE. */
int principal_rules_apply(struct principal_rules *rules, const char *subject, char *name,
                          size_t name_size);

#endif
