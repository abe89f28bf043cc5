#include "queue/meta/quotas.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/memory.h"
#include "base/core/order.h"

/* An entity as bytes: for each type that it has, in their order: type, kind, and if it is named the
 * size of the name in two bytes and the name. */
enum { KEY_HEAD_SIZE = 4, KEY_SIZE_MAX = QUOTA_TYPE_COUNT * (KEY_HEAD_SIZE + QUOTA_NAME_SIZE_MAX) };

#define RATE_MAX 9e18 /* Kafka: what fits into 63 bits */

static const char *const type_names[QUOTA_TYPE_COUNT] = {"user", "client-id", "ip"};
static const char *const rate_names[QUOTA_RATE_COUNT] = {
    "producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate",
    "connection_creation_rate"};

void quota_set_init(struct quota_set *set)
{
    memset(set, 0, sizeof *set);
    set->generation = 1;
}

static void quota_free(struct quota *quota)
{
    mr_free(quota->key);
    mr_free(quota);
}

void quota_set_done(struct quota_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        quota_free(set->items[i]);
    }
    mr_free(set->items);
    memset(set, 0, sizeof *set);
}

/* ---- keys ---- */

static size_t key_of(const struct quota_entity *entity, char key[KEY_SIZE_MAX])
{
    size_t size = 0;

    for (int type = 0; type < QUOTA_TYPE_COUNT; type++) {
        const struct wire_string *name = &entity->names[type];
        if (entity->kinds[type] == QUOTA_ABSENT) {
            continue;
        }
        key[size++] = (char)type;
        key[size++] = (char)entity->kinds[type];
        if (entity->kinds[type] == QUOTA_NAMED) {
            mr_assert(name->size > 0 && name->size <= QUOTA_NAME_SIZE_MAX);
            key[size++] = (char)(name->size >> 8);
            key[size++] = (char)(name->size & 0xff);
            memcpy(key + size, name->data, (size_t)name->size);
            size += (size_t)name->size;
        }
    }
    return size;
}

/* The entity whose names point into the key. */
static struct quota_entity entity_in(const char *key, size_t key_size)
{
    struct quota_entity entity = {{QUOTA_ABSENT}, {{0}}};

    for (size_t at = 0; at < key_size;) {
        int type = key[at];
        entity.kinds[type] = (uint8_t)key[at + 1];
        at += 2;
        if (entity.kinds[type] == QUOTA_NAMED) {
            int32_t size = (uint8_t)key[at] << 8 | (uint8_t)key[at + 1];
            entity.names[type] = (struct wire_string){key + at + 2, size};
            at += 2 + (size_t)size;
        }
    }
    return entity;
}

static int order_of(const void *item, const void *wanted)
{
    const struct quota *const *quota = item;

    return wire_string_compare((struct wire_string){(*quota)->key, (int32_t)(*quota)->key_size},
                               *(const struct wire_string *)wanted);
}

/* The place of the key, or where it would be. */
static size_t place_of(const struct quota_set *set, const char *key, size_t key_size,
                       bool *ret_found)
{
    struct wire_string wanted = {key, (int32_t)key_size};

    return mr_order_place(set->items, set->count, sizeof(struct quota *), order_of, &wanted,
                          ret_found);
}

const struct quota *quota_set_find(const struct quota_set *set, const struct quota_entity *entity)
{
    char key[KEY_SIZE_MAX];
    bool found;
    size_t place = place_of(set, key, key_of(entity, key), &found);

    return found ? set->items[place] : NULL;
}

/* ---- changing ---- */

static struct quota *quota_new(const char *key, size_t key_size)
{
    struct quota *quota = mr_calloc(1, sizeof *quota);

    if (quota == NULL) {
        return NULL;
    }
    quota->key = mr_malloc(key_size + 1);
    if (quota->key == NULL) {
        mr_free(quota);
        return NULL;
    }
    memcpy(quota->key, key, key_size);
    quota->key_size = key_size;
    quota->entity = entity_in(quota->key, key_size);
    return quota;
}

static int insert(struct quota_set *set, size_t place, const char *key, size_t key_size)
{
    struct quota *quota;

    if (mr_grow(&set->items, &set->capacity, set->count + 1, sizeof(struct quota *)) != 0) {
        return MR_ENOMEM;
    }
    quota = quota_new(key, key_size);
    if (quota == NULL) {
        return MR_ENOMEM;
    }
    memmove(set->items + place + 1, set->items + place,
            (set->count - place) * sizeof(struct quota *));
    set->items[place] = quota;
    set->count += 1;
    return 0;
}

static void remove_if_empty(struct quota_set *set, size_t place)
{
    struct quota *quota = set->items[place];

    for (int rate = 0; rate < QUOTA_RATE_COUNT; rate++) {
        if (quota->rates[rate] != 0) {
            return;
        }
    }
    set->count -= 1;
    memmove(set->items + place, set->items + place + 1,
            (set->count - place) * sizeof(struct quota *));
    quota_free(quota);
}

int quota_set_put(struct quota_set *set, const struct quota_entity *entity, enum quota_rate rate,
                  double value)
{
    char key[KEY_SIZE_MAX];
    size_t key_size = key_of(entity, key);
    bool found;
    size_t place = place_of(set, key, key_size, &found);
    int rc = 0;

    if (!found && value == 0) {
        return 0;
    }
    if (!found) {
        rc = insert(set, place, key, key_size);
    }
    if (rc != 0) {
        return rc;
    }
    set->rate_counts[rate] += value != 0;
    set->rate_counts[rate] -= set->items[place]->rates[rate] != 0;
    set->items[place]->rates[rate] = value;
    set->generation += 1;
    remove_if_empty(set, place);
    return 0;
}

/* ---- words and checks ---- */

const char *quota_type_name(enum quota_type type)
{
    return type_names[type];
}

const char *quota_rate_name(enum quota_rate rate)
{
    return rate_names[rate];
}

static int find(const char *const *words, int count, struct wire_string name)
{
    for (int i = 0; i < count; i++) {
        if (wire_string_is(name, words[i])) {
            return i;
        }
    }
    return -1;
}

int quota_type_find(struct wire_string name)
{
    return find(type_names, QUOTA_TYPE_COUNT, name);
}

int quota_rate_find(struct wire_string name)
{
    return find(rate_names, QUOTA_RATE_COUNT, name);
}

bool quota_host_normalise(struct wire_string text, char host[QUOTA_HOST_SIZE])
{
    char copy[QUOTA_HOST_SIZE];
    struct in_addr in;
    struct in6_addr in6;

    if (text.size <= 0 || text.size >= QUOTA_HOST_SIZE) {
        return false;
    }
    memcpy(copy, text.data, (size_t)text.size);
    copy[text.size] = '\0';
    if (strlen(copy) != (size_t)text.size) {
        return false;
    }
    if (inet_pton(AF_INET, copy, &in) == 1) {
        return inet_ntop(AF_INET, &in, host, QUOTA_HOST_SIZE) != NULL;
    }
    if (inet_pton(AF_INET6, copy, &in6) != 1) {
        return false;
    }
    if (IN6_IS_ADDR_V4MAPPED(&in6)) {
        return inet_ntop(AF_INET, &in6.s6_addr[12], host, QUOTA_HOST_SIZE) != NULL;
    }
    return inet_ntop(AF_INET6, &in6, host, QUOTA_HOST_SIZE) != NULL;
}

const char *quota_entity_check(struct quota_entity *entity, char host[QUOTA_HOST_SIZE])
{
    bool has_ip = entity->kinds[QUOTA_IP] != QUOTA_ABSENT;
    bool has_client =
        entity->kinds[QUOTA_USER] != QUOTA_ABSENT || entity->kinds[QUOTA_CLIENT_ID] != QUOTA_ABSENT;

    if (!has_ip && !has_client) {
        return "Invalid empty client quota entity";
    }
    if (has_ip && has_client) {
        return "Invalid quota entity combination, IP entity should not be combined with User or "
               "ClientId";
    }
    for (int type = 0; type < QUOTA_TYPE_COUNT; type++) {
        if (entity->kinds[type] != QUOTA_NAMED) {
            continue;
        }
        if (entity->names[type].size <= 0) {
            return "Empty names are not supported";
        }
        if (entity->names[type].size > QUOTA_NAME_SIZE_MAX) {
            return "The name is too long";
        }
    }
    if (entity->kinds[QUOTA_IP] == QUOTA_NAMED) {
        if (!quota_host_normalise(entity->names[QUOTA_IP], host)) {
            return "The name is not a valid IP";
        }
        entity->names[QUOTA_IP] = wire_text(host);
    }
    return NULL;
}

const char *quota_rate_check(const struct quota_entity *entity, enum quota_rate rate, double value)
{
    bool is_of_ip = entity->kinds[QUOTA_IP] != QUOTA_ABSENT;

    if (is_of_ip != (rate == QUOTA_CONNECTION_CREATION_RATE)) {
        return "Invalid configuration key for this entity";
    }
    if (!(value > 0)) { /* nor is NaN */
        return "Quota must be greater than 0";
    }
    if (value > (rate == QUOTA_CONNECTION_CREATION_RATE ? (double)INT32_MAX : RATE_MAX)) {
        return "Proposed value is too large";
    }
    if (rate == QUOTA_REQUEST_PERCENTAGE || rate == QUOTA_CONTROLLER_MUTATION_RATE) {
        return NULL;
    }
    return value - (double)(int64_t)value > 1e-6 ? "The value cannot be fractional" : NULL;
}

/* ---- what counts ---- */

static double rate_at(const struct quota_set *set, enum quota_rate rate, enum quota_kind user_kind,
                      struct wire_string user, enum quota_kind client_kind,
                      struct wire_string client_id)
{
    struct quota_entity entity = {
        .kinds = {[QUOTA_USER] = (uint8_t)user_kind, [QUOTA_CLIENT_ID] = (uint8_t)client_kind},
        .names = {[QUOTA_USER] = user, [QUOTA_CLIENT_ID] = client_id},
    };
    const struct quota *quota;

    if ((user_kind == QUOTA_NAMED && (user.size <= 0 || user.size > QUOTA_NAME_SIZE_MAX)) ||
        (client_kind == QUOTA_NAMED &&
         (client_id.size <= 0 || client_id.size > QUOTA_NAME_SIZE_MAX))) {
        return 0; /* no such name can have been set */
    }
    quota = quota_set_find(set, &entity);
    return quota != NULL ? quota->rates[rate] : 0;
}

double quota_set_rate(const struct quota_set *set, enum quota_rate rate, struct wire_string user,
                      struct wire_string client_id, int *ret_scope)
{
    static const struct {
        enum quota_kind user;
        enum quota_kind client;
        int scope;
    } order[] = {
        {QUOTA_NAMED, QUOTA_NAMED, QUOTA_PER_USER | QUOTA_PER_CLIENT},
        {QUOTA_NAMED, QUOTA_DEFAULT, QUOTA_PER_USER | QUOTA_PER_CLIENT},
        {QUOTA_NAMED, QUOTA_ABSENT, QUOTA_PER_USER},
        {QUOTA_DEFAULT, QUOTA_NAMED, QUOTA_PER_USER | QUOTA_PER_CLIENT},
        {QUOTA_DEFAULT, QUOTA_DEFAULT, QUOTA_PER_USER | QUOTA_PER_CLIENT},
        {QUOTA_DEFAULT, QUOTA_ABSENT, QUOTA_PER_USER},
        {QUOTA_ABSENT, QUOTA_NAMED, QUOTA_PER_CLIENT},
        {QUOTA_ABSENT, QUOTA_DEFAULT, QUOTA_PER_CLIENT},
    };

    *ret_scope = 0;
    for (size_t i = 0; set->rate_counts[rate] > 0 && i < sizeof order / sizeof order[0]; i++) {
        double value = rate_at(set, rate, order[i].user, user, order[i].client, client_id);
        if (value > 0) {
            *ret_scope = order[i].scope;
            return value;
        }
    }
    return 0;
}

double quota_set_host_rate(const struct quota_set *set, struct wire_string host)
{
    struct quota_entity entity = {.kinds = {[QUOTA_IP] = QUOTA_NAMED},
                                  .names = {[QUOTA_IP] = host}};
    const struct quota *quota = NULL;

    if (set->rate_counts[QUOTA_CONNECTION_CREATION_RATE] == 0) {
        return 0;
    }
    if (host.size > 0 && host.size < QUOTA_HOST_SIZE) {
        quota = quota_set_find(set, &entity);
    }
    if (quota == NULL) {
        entity.kinds[QUOTA_IP] = QUOTA_DEFAULT;
        quota = quota_set_find(set, &entity);
    }
    return quota != NULL ? quota->rates[QUOTA_CONNECTION_CREATION_RATE] : 0;
}
