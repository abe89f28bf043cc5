#include "queue/broker/quota.h"

#include <string.h>

#include "base/core/bucket.h"
#include "base/core/clock.h"
#include "base/core/error.h"
#include "base/core/hash.h"
#include "base/core/map.h"
#include "base/core/memory.h"
#include "base/net/admission.h"
#include "queue/broker/broker_internal.h"

enum quota_metric {
    QUOTA_THROTTLED,
    QUOTA_THROTTLE_MS,
    QUOTA_METRIC_COUNT,
};

enum {
    KEY_HEAD_SIZE = 4,
    KEY_SIZE_MAX = KEY_HEAD_SIZE + 2 * QUOTA_NAME_SIZE_MAX,
    SWEEP_COUNT = 1000, /* looked at each time */
};

static const struct mr_metric_def rate_metrics[QUOTA_METRIC_COUNT] = {
    [QUOTA_THROTTLED] = {"millrace_broker_throttled_total", MR_COUNTER,
                         "Times that a client had used more than its quota and had to wait, by "
                         "quota.",
                         "quota"},
    [QUOTA_THROTTLE_MS] = {"millrace_broker_throttle_milliseconds_total", MR_COUNTER,
                           "Time that clients were told to wait, by quota.", "quota"},
};

enum quotas_metric { QUOTAS_MUTED, QUOTAS_BUCKETS, QUOTAS_METRIC_COUNT };

static const struct mr_metric_def quotas_metrics[QUOTAS_METRIC_COUNT] = {
    [QUOTAS_MUTED] = {"millrace_broker_throttled_connections", MR_GAUGE,
                      "Connections that are not read from because of a quota.", NULL},
    [QUOTAS_BUCKETS] = {"millrace_broker_quota_clients", MR_GAUGE,
                        "Users and client ids whose use of a quota is being counted.", NULL},
};

/* What one client uses of one rate. */
struct usage {
    struct mr_link link; /* quotas->usages: the longest unused first */
    struct mr_bucket bucket;
    uint64_t generation; /* of the quotas when its rate was looked up */
    char *key;
    size_t key_size;
    int refs; /* of connections */
};

/* Of a connection that has been charged; made at the first time. */
struct connection_quota {
    struct connection *connection;
    struct mr_link link; /* quotas->muted, while it is */
    struct mr_timer timer;
    uint64_t generation; /* of the quotas when the usages were looked up */
    uint64_t who;        /* hash of principal and client id for which they were */
    struct usage *usages[QUOTA_RATE_COUNT]; /* NULL: no quota */
};

struct quotas {
    struct broker *broker;
    struct mr_clock *clock;
    const struct quota_set *set;
    struct meta_listener listener;
    double window_s;
    struct mr_map by_key;
    struct mr_link usages;
    struct mr_link muted;        /* struct connection_quota */
    const struct request *timed; /* whose handler runs now */
    int64_t timed_since_us;
    struct quota_pause *paused; /* those whose time stands still, on the stack */
    struct mr_metric_set *rate_sets[QUOTA_RATE_COUNT];
    struct mr_metric_set *metrics;
};

static int64_t now_us(const struct quotas *quotas)
{
    return mr_loop_now_us(quotas->broker->loop);
}

/* ---- usages ---- */

static void usage_free(struct quotas *quotas, struct usage *usage)
{
    mr_assert(usage->refs == 0);
    (void)mr_map_remove(&quotas->by_key, usage->key, usage->key_size);
    mr_list_remove(&usage->link);
    mr_free(usage->key);
    mr_free(usage);
    quotas->metrics->values[QUOTAS_BUCKETS] = (int64_t)quotas->by_key.count;
}

/* Full ones that no connection has are as good as none. */
void quotas_sweep(struct quotas *quotas)
{
    int looked_at = 0;

    mr_list_each(&quotas->usages, link, next)
    {
        struct usage *usage = mr_container(link, struct usage, link);
        if (looked_at++ >= SWEEP_COUNT) {
            break;
        }
        if (usage->refs == 0 && mr_bucket_is_full(&usage->bucket, now_us(quotas))) {
            usage_free(quotas, usage);
        }
    }
}

/* Room for one more: the one that was not used for longest goes, if nobody has it. */
static bool make_room(struct quotas *quotas)
{
    if (quotas->by_key.count < QUOTA_BUCKETS_MAX) {
        return true;
    }
    mr_list_each(&quotas->usages, link, next)
    {
        struct usage *usage = mr_container(link, struct usage, link);
        if (usage->refs == 0) {
            usage_free(quotas, usage);
            return true;
        }
    }
    return false;
}

static size_t append_name(char *key, size_t size, struct wire_string name)
{
    size_t more = name.size < 0                     ? 0
                  : name.size > QUOTA_NAME_SIZE_MAX ? QUOTA_NAME_SIZE_MAX
                                                    : (size_t)name.size;

    if (more > 0) {
        memcpy(key + size, name.data, more);
    }
    return size + more;
}

/* Rate, scope, how long the user's name is, and the names that count. */
static size_t usage_key(enum quota_rate rate, int scope, struct wire_string user,
                        struct wire_string client_id, char key[KEY_SIZE_MAX])
{
    size_t size = KEY_HEAD_SIZE;

    key[0] = (char)rate;
    key[1] = (char)scope;
    if ((scope & QUOTA_PER_USER) != 0) {
        size = append_name(key, size, user);
    }
    key[2] = (char)((size - KEY_HEAD_SIZE) >> 8);
    key[3] = (char)((size - KEY_HEAD_SIZE) & 0xff);
    return (scope & QUOTA_PER_CLIENT) != 0 ? append_name(key, size, client_id) : size;
}

static struct usage *usage_new(struct quotas *quotas, const char *key, size_t key_size)
{
    struct usage *usage = mr_calloc(1, sizeof *usage);

    if (usage == NULL) {
        return NULL;
    }
    usage->key = mr_malloc(key_size);
    if (usage->key == NULL || mr_map_put(&quotas->by_key, key, key_size, usage, NULL) != 0) {
        mr_free(usage->key);
        mr_free(usage);
        return NULL;
    }
    memcpy(usage->key, key, key_size);
    usage->key_size = key_size;
    mr_list_append(&quotas->usages, &usage->link);
    quotas->metrics->values[QUOTAS_BUCKETS] = (int64_t)quotas->by_key.count;
    return usage;
}

/* With a reference; NULL: no quota, or no memory. */
static struct usage *usage_find(struct quotas *quotas, enum quota_rate rate,
                                struct wire_string user, struct wire_string client_id)
{
    char key[KEY_SIZE_MAX];
    size_t key_size;
    int scope;
    double value = quota_set_rate(quotas->set, rate, user, client_id, &scope);
    /* In percent of the loop's time, which is counted in microseconds. */
    double per_second = rate == QUOTA_REQUEST_PERCENTAGE ? value * 1e4 : value;
    struct usage *usage;

    if (value <= 0) {
        return NULL;
    }
    key_size = usage_key(rate, scope, user, client_id, key);
    usage = mr_map_get(&quotas->by_key, key, key_size);
    if (usage == NULL && !make_room(quotas)) {
        /* Too many clients at a time: the rest share one bucket. */
        key_size = usage_key(rate, 0, user, client_id, key);
        usage = mr_map_get(&quotas->by_key, key, key_size);
    }
    if (usage == NULL) {
        usage = usage_new(quotas, key, key_size);
        if (usage == NULL) {
            return NULL;
        }
        mr_bucket_init(&usage->bucket, per_second, per_second * quotas->window_s, now_us(quotas));
    } else if (usage->generation != quotas->set->generation) {
        mr_bucket_set(&usage->bucket, per_second, per_second * quotas->window_s, now_us(quotas));
    }
    usage->generation = quotas->set->generation;
    usage->refs += 1;
    return usage;
}

/* ---- connections ---- */

static void drop_usages(struct connection_quota *own)
{
    for (int rate = 0; rate < QUOTA_RATE_COUNT; rate++) {
        if (own->usages[rate] != NULL) {
            own->usages[rate]->refs -= 1;
            own->usages[rate] = NULL;
        }
    }
}

static void count_muted(struct quotas *quotas, int more)
{
    quotas->metrics->values[QUOTAS_MUTED] += more;
}

static void unmute(struct connection_quota *own)
{
    struct connection *connection = own->connection;

    if (connection->is_muted) {
        connection->is_muted = false;
        mr_timer_stop(&own->timer);
        mr_list_remove(&own->link);
        count_muted(connection->broker->quotas, -1);
        connection_resume(connection);
    }
}

static void on_unmute(struct mr_timer *timer)
{
    unmute(timer->owner);
}

static void mute(struct connection_quota *own, int64_t wait_us)
{
    struct connection *connection = own->connection;
    int64_t due_us = mr_loop_now_us(connection->broker->loop) + wait_us;

    if (connection->is_closed || (connection->is_muted && own->timer.due_us >= due_us) ||
        mr_timer_start_us(&own->timer, wait_us) != 0) {
        return;
    }
    if (!connection->is_muted) {
        connection->is_muted = true;
        mr_list_append(&connection->broker->quotas->muted, &own->link);
        count_muted(connection->broker->quotas, 1);
    }
}

void quota_leave(struct connection *connection)
{
    struct connection_quota *own = connection->quota;

    if (own == NULL) {
        return;
    }
    if (connection->is_muted) {
        mr_timer_stop(&own->timer);
        mr_list_remove(&own->link);
        count_muted(connection->broker->quotas, -1);
    }
    drop_usages(own);
    connection->quota = NULL;
    mr_free(own);
}

int32_t quota_throttle_ms(const struct connection *connection)
{
    int64_t left_us;

    if (connection == NULL || !connection->is_muted) {
        return 0;
    }
    left_us = connection->quota->timer.due_us - mr_loop_now_us(connection->broker->loop);
    return left_us > 0 ? (int32_t)((left_us + 999) / 1000) : 0;
}

static struct wire_string user_of(const struct connection *connection)
{
    const char *colon = strchr(connection->principal, ':');

    return wire_text(colon != NULL ? colon + 1 : connection->principal);
}

static bool is_exempt(const struct connection *connection)
{
    return connection == NULL || connection->is_control || connection->is_closed ||
           (connection->sasl != NULL &&
            !sasl_is_open(connection->sasl, mr_loop_now_ms(connection->broker->loop)));
}

static uint64_t who_is(const struct connection *connection, struct wire_string client_id)
{
    uint64_t who = mr_hash64(connection->principal, strlen(connection->principal));

    return client_id.size < 0 ? who
                              : who * 31 + mr_hash64(client_id.data, (size_t)client_id.size) + 1;
}

/* The usages that count for this request; NULL: none. */
static struct connection_quota *resolve(struct quotas *quotas, struct request *request)
{
    struct connection *connection = request->connection;
    struct connection_quota *own = connection->quota;
    uint64_t who = who_is(connection, request->head.client_id);

    if (own != NULL && own->generation == quotas->set->generation && own->who == who) {
        return own;
    }
    if (own == NULL) {
        own = mr_calloc(1, sizeof *own);
        if (own == NULL) {
            return NULL;
        }
        own->connection = connection;
        mr_timer_init(&own->timer, connection->broker->loop, on_unmute, own);
        connection->quota = own;
    }
    drop_usages(own);
    own->generation = quotas->set->generation;
    own->who = who;
    for (int rate = 0; rate < QUOTA_RATE_COUNT; rate++) {
        own->usages[rate] =
            usage_find(quotas, (enum quota_rate)rate, user_of(connection), request->head.client_id);
    }
    return own;
}

static struct usage *usage_of(struct request *request, enum quota_rate rate)
{
    struct quotas *quotas = request->broker->quotas;
    struct connection_quota *own;

    if (quotas->set->rate_counts[rate] == 0 || is_exempt(request->connection)) {
        return NULL;
    }
    own = resolve(quotas, request);
    if (own == NULL || own->usages[rate] == NULL) {
        return NULL;
    }
    mr_list_remove(&own->usages[rate]->link);
    mr_list_append(&quotas->usages, &own->usages[rate]->link);
    return own->usages[rate];
}

/* ---- charging ---- */

static void throttle(struct request *request, enum quota_rate rate, int64_t wait_us)
{
    struct quotas *quotas = request->broker->quotas;

    mute(request->connection->quota, wait_us);
    quotas->rate_sets[rate]->values[QUOTA_THROTTLED] += 1;
    quotas->rate_sets[rate]->values[QUOTA_THROTTLE_MS] += (wait_us + 999) / 1000;
}

void quota_charge(struct request *request, enum quota_rate rate, double amount)
{
    struct usage *usage = usage_of(request, rate);
    int64_t wait_us = 0;

    if (usage != NULL) {
        wait_us = mr_bucket_take(&usage->bucket, amount, now_us(request->broker->quotas));
    }
    if (wait_us > 0) {
        throttle(request, rate, wait_us);
    }
}

void quota_count(struct request *request, enum quota_rate rate, double amount)
{
    struct usage *usage = usage_of(request, rate);

    if (usage != NULL) {
        (void)mr_bucket_take(&usage->bucket, amount, now_us(request->broker->quotas));
    }
}

bool quota_is_over(struct request *request, enum quota_rate rate)
{
    struct usage *usage = usage_of(request, rate);
    int64_t wait_us = 0;

    if (usage != NULL) {
        wait_us = mr_bucket_wait_us(&usage->bucket, now_us(request->broker->quotas));
    }
    if (wait_us > 0) {
        throttle(request, rate, wait_us);
    }
    return wait_us > 0;
}

int64_t quota_window_bytes(struct request *request, enum quota_rate rate)
{
    struct usage *usage = usage_of(request, rate);

    if (usage == NULL || usage->bucket.burst >= (double)INT32_MAX) {
        return INT64_MAX;
    }
    return (int64_t)usage->bucket.burst;
}

void quota_time_begin(struct request *request)
{
    struct quotas *quotas = request->broker->quotas;

    if (quotas->set->rate_counts[QUOTA_REQUEST_PERCENTAGE] > 0 && quotas->timed == NULL) {
        quotas->timed = request;
        quotas->timed_since_us = mr_clock_monotonic_us(quotas->clock);
    }
}

void quota_time_end(struct broker *broker, struct request *request)
{
    struct quotas *quotas = broker->quotas;

    if (quotas->timed == request) {
        int64_t used_us = mr_clock_monotonic_us(quotas->clock) - quotas->timed_since_us;
        quotas->timed = NULL;
        quota_charge(request, QUOTA_REQUEST_PERCENTAGE, (double)used_us);
    }
}

void quota_time_resume(struct request *request, struct quota_pause *pause)
{
    struct quotas *quotas = request->broker->quotas;
    int64_t used_us =
        quotas->timed != NULL ? mr_clock_monotonic_us(quotas->clock) - quotas->timed_since_us : 0;

    *pause = (struct quota_pause){quotas->timed, used_us, quotas->paused};
    quotas->paused = pause;
    quotas->timed = NULL;
    quota_time_begin(request);
}

void quota_time_suspend(struct broker *broker, struct request *request, struct quota_pause *pause)
{
    struct quotas *quotas = broker->quotas;

    quota_time_end(broker, request);
    mr_assert(quotas->paused == pause);
    quotas->paused = pause->before;
    if (pause->outer != NULL) {
        quotas->timed = pause->outer;
        quotas->timed_since_us = mr_clock_monotonic_us(quotas->clock) - pause->outer_used_us;
    }
}

void quota_time_forget(const struct request *request)
{
    for (struct quota_pause *pause = request->broker->quotas->paused; pause != NULL;
         pause = pause->before) {
        if (pause->outer == request) {
            pause->outer = NULL;
        }
    }
    if (request->broker->quotas->timed == request) {
        request->broker->quotas->timed = NULL;
    }
}

/* ---- addresses ---- */

static double rate_of_host(void *owner, const char *host)
{
    const struct quotas *quotas = owner;

    return quota_set_host_rate(quotas->set, wire_text(host));
}

int quota_admission_new(struct broker *broker, const struct broker_config *config,
                        struct mr_admission **ret_admission, struct mr_error *error)
{
    struct mr_admission_exception *exceptions =
        mr_calloc(config->address_exception_count + 1, sizeof *exceptions);
    struct mr_admission_config admission = {
        .loop = broker->loop,
        .connections_max = config->address_connections_max,
        .exceptions = exceptions,
        .exception_count = config->address_exception_count,
        .rate_of = rate_of_host,
        .owner = broker->quotas,
        .window_s = broker->quotas->window_s,
    };
    int rc = exceptions == NULL ? mr_fail(error, MR_ENOMEM, "broker") : 0;

    for (size_t i = 0; rc == 0 && i < config->address_exception_count; i++) {
        rc = mr_admission_exception_parse(config->address_exceptions[i], &exceptions[i], error);
    }
    if (rc == 0 && mr_admission_new(&admission, ret_admission) != 0) {
        rc = mr_fail(error, MR_ENOMEM, "broker");
    }
    mr_free(exceptions);
    return rc;
}

/* ---- life ---- */

/* Who waits for an old quota is looked at anew: its next request is held against the new one. */
static void on_changed(struct meta_listener *listener)
{
    struct quotas *quotas = mr_container(listener, struct quotas, listener);

    while (!mr_list_is_empty(&quotas->muted)) {
        unmute(mr_container(quotas->muted.next, struct connection_quota, link));
    }
}

static int metrics_new(struct quotas *quotas)
{
    struct mr_metrics *metrics = quotas->broker->metrics;

    quotas->metrics = mr_metric_set_new(metrics, quotas_metrics, QUOTAS_METRIC_COUNT, NULL, 0);
    for (int rate = 0; rate < QUOTA_RATE_COUNT; rate++) {
        const char *name = quota_rate_name((enum quota_rate)rate);
        quotas->rate_sets[rate] =
            mr_metric_set_new(metrics, rate_metrics, QUOTA_METRIC_COUNT, &name, 1);
        if (quotas->rate_sets[rate] == NULL) {
            return MR_ENOMEM;
        }
    }
    return quotas->metrics != NULL ? 0 : MR_ENOMEM;
}

int quotas_new(struct broker *broker, int64_t window_ms, struct quotas **ret_quotas)
{
    struct quotas *quotas = mr_calloc(1, sizeof *quotas);

    if (quotas == NULL) {
        return MR_ENOMEM;
    }
    quotas->broker = broker;
    quotas->clock = mr_loop_clock(broker->loop);
    quotas->set = &meta_image(broker->meta)->quotas;
    quotas->window_s = (double)(window_ms > 0 ? window_ms : QUOTA_WINDOW_MS) / 1000;
    mr_map_init(&quotas->by_key);
    mr_list_init(&quotas->usages);
    mr_list_init(&quotas->muted);
    quotas->listener.on_quotas_changed = on_changed;
    meta_listen(broker->meta, &quotas->listener);
    if (metrics_new(quotas) != 0) {
        quotas_free(quotas);
        return MR_ENOMEM;
    }
    *ret_quotas = quotas;
    return 0;
}

void quotas_free(struct quotas *quotas)
{
    if (quotas == NULL) {
        return;
    }
    meta_unlisten(&quotas->listener);
    while (!mr_list_is_empty(&quotas->usages)) {
        usage_free(quotas, mr_container(quotas->usages.next, struct usage, link));
    }
    mr_map_done(&quotas->by_key);
    for (int rate = 0; rate < QUOTA_RATE_COUNT; rate++) {
        mr_metric_set_free(quotas->rate_sets[rate]);
    }
    mr_metric_set_free(quotas->metrics);
    mr_free(quotas);
}
