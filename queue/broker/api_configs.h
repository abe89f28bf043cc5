/* Between api_configs.c and api_alter_configs.c. */
#ifndef QUEUE_BROKER_API_CONFIGS_H
#define QUEUE_BROKER_API_CONFIGS_H

#include "queue/wire/types.h"

/* Kafka's numbers: what there is here, and what there may be elsewhere. */
enum {
    CONFIG_RESOURCE_TOPIC = 2,
    CONFIG_RESOURCE_BROKER = 4,
    CONFIG_RESOURCE_LOGGER = 8,
    CONFIG_RESOURCE_METRICS = 16,
    CONFIG_RESOURCE_GROUP = 32,
};
/* Why the name of a topic cannot be one; "" and the code as it was where it can. */
const char *configs_check_name(struct wire_string name, int16_t *ret_error);

#endif
