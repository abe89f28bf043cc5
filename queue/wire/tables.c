/* The rows of all descriptions: each file is read twice, first for its structs, then for its
 * tables. */
#include "queue/wire/cluster.h"
#include "queue/wire/configs.h"
#include "queue/wire/fetch.h"
#include "queue/wire/groups.h"
#include "queue/wire/header.h"
#include "queue/wire/offsets.h"
#include "queue/wire/produce.h"
#include "queue/wire/record_schemas.h"
#include "queue/wire/security.h"
#include "queue/wire/topics.h"
#include "queue/wire/transactions.h"

#define WIRE_TABLES

#include "queue/wire/cluster.h"
#include "queue/wire/configs.h"
#include "queue/wire/fetch.h"
#include "queue/wire/groups.h"
#include "queue/wire/header.h"
#include "queue/wire/offsets.h"
#include "queue/wire/produce.h"
#include "queue/wire/record_schemas.h"
#include "queue/wire/security.h"
#include "queue/wire/topics.h"
#include "queue/wire/transactions.h"
