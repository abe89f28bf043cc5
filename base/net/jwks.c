#include "base/net/jwks.h"

#include <string.h>

#include "base/core/buffer.h"
#include "base/core/disk.h"
#include "base/core/error.h"
#include "base/core/logger.h"
#include "base/core/loop.h"
#include "base/core/memory.h"
#include "base/core/metric.h"
#include "base/core/workers.h"
#include "base/net/http_fetch.h"
#include "base/net/jwk.h"

enum {
    FETCH_TIMEOUT_MS = 5000,
    RETRY_MS = 10000,    /* after a reading that failed */
    PAUSE_URL_MS = 5000, /* between readings that tokens ask for */
    PAUSE_FILE_MS = 500,
};

enum jwks_metric { JWKS_KEYS, JWKS_REFRESHES, JWKS_FAILURES, JWKS_READ_SECONDS, JWKS_METRIC_COUNT };

static const struct mr_metric_def jwks_metrics[JWKS_METRIC_COUNT] = {
    [JWKS_KEYS] = {"millrace_oauth_keys", MR_GAUGE, "Keys that tokens may be signed with.", NULL},
    [JWKS_REFRESHES] = {"millrace_oauth_key_refreshes_total", MR_COUNTER,
                        "Times that the keys for tokens were read.", NULL},
    [JWKS_FAILURES] = {"millrace_oauth_key_refresh_failures_total", MR_COUNTER,
                       "Times that the keys for tokens could not be read; the last good ones are "
                       "still used.",
                       NULL},
    [JWKS_READ_SECONDS] = {"millrace_oauth_keys_read_seconds", MR_GAUGE,
                           "When the keys in use were read, in seconds since 1970.", NULL},
};

struct mr_jwks {
    struct mr_loop *loop;
    struct mr_disk *disk;
    char *source;
    char *ca;
    bool is_url;
    int64_t refresh_ms;
    struct mr_metric_set *metrics;
    struct mr_workers *workers;
    struct mr_timer timer;
    struct mr_jwk_set *keys;
    struct mr_link waiting;
    int64_t read_at_ms; /* monotonic: when a reading last ended */
    bool has_read;
    bool is_failing; /* the last one did */
    /* The reading under way: the worker's between submit and done. */
    bool is_reading;
    bool is_wanted_again; /* it may have begun before something changed */
    bool is_closing;
    struct mr_work work;
    struct mr_jwk_set *read;
    struct mr_error error;
    int rc;
};

/* ---- on the worker ---- */

static int read_url(struct mr_jwks *jwks, struct mr_bytes *text)
{
    const struct mr_http_fetch fetch = {.url = jwks->source,
                                        .ca = jwks->ca,
                                        .timeout_ms = FETCH_TIMEOUT_MS,
                                        .answer_size_max = MR_JWK_SET_SIZE_MAX};
    int status = 0;
    int rc = mr_http_fetch(&fetch, &status, text, &jwks->error);

    return rc == 0 && status != 200 ? mr_fail_text(&jwks->error, MR_EPROTOCOL, "status %d", status)
                                    : rc;
}

static void read_keys(struct mr_jwks *jwks)
{
    struct mr_bytes text;
    char *data = NULL;
    size_t size = 0;

    mr_bytes_init(&text);
    if (jwks->is_url) {
        jwks->rc = read_url(jwks, &text);
    } else {
        jwks->rc = mr_disk_read_file(jwks->disk, jwks->source, MR_JWK_SET_SIZE_MAX, &data, &size,
                                     &jwks->error);
    }
    if (jwks->rc == 0) {
        jwks->rc = jwks->is_url ? mr_jwk_set_parse((const char *)text.data, text.size_bytes,
                                                   &jwks->read, &jwks->error)
                                : mr_jwk_set_parse(data, size, &jwks->read, &jwks->error);
        if (jwks->rc != 0) {
            (void)mr_error_context(&jwks->error, "%s", jwks->source);
        }
    }
    mr_free(data);
    mr_bytes_done(&text);
}

static void on_run(struct mr_work *work)
{
    read_keys(work->owner);
}

/* ---- on the loop ---- */

static void count(struct mr_jwks *jwks, enum jwks_metric metric, int64_t more)
{
    if (jwks->metrics != NULL) {
        jwks->metrics->values[metric] += more;
    }
}

static void take(struct mr_jwks *jwks)
{
    jwks->read_at_ms = mr_loop_now_ms(jwks->loop);
    jwks->has_read = true;
    jwks->is_failing = jwks->rc != 0;
    count(jwks, JWKS_REFRESHES, 1);
    if (jwks->rc != 0) {
        count(jwks, JWKS_FAILURES, 1);
        if (jwks->is_url || jwks->keys != NULL) { /* else the node does not start */
            mr_warn("keys for tokens could not be read; the last good ones stay",
                    KV_STR("source", jwks->source), KV_STR("reason", jwks->error.text),
                    KV_I64("keys", jwks->keys != NULL ? (int64_t)mr_jwk_set_count(jwks->keys) : 0));
        }
        return;
    }
    mr_jwk_set_unref(jwks->keys);
    jwks->keys = jwks->read;
    jwks->read = NULL;
    if (jwks->metrics != NULL) {
        jwks->metrics->values[JWKS_KEYS] = (int64_t)mr_jwk_set_count(jwks->keys);
        jwks->metrics->values[JWKS_READ_SECONDS] = mr_loop_wall_ms(jwks->loop) / 1000;
    }
}

static void tell(struct mr_jwks *jwks)
{
    struct mr_link *link;

    while ((link = mr_list_pop(&jwks->waiting)) != NULL) {
        struct mr_jwks_wait *wait = mr_container(link, struct mr_jwks_wait, link);
        wait->cb(wait);
    }
}

static void start_timer(struct mr_jwks *jwks)
{
    int64_t delay_ms = jwks->rc != 0 && jwks->refresh_ms > RETRY_MS ? RETRY_MS : jwks->refresh_ms;

    if (!jwks->is_closing) {
        (void)mr_timer_start(&jwks->timer, delay_ms); /* it has run before: moved, not made */
    }
}

static void on_done(struct mr_work *work)
{
    struct mr_jwks *jwks = work->owner;

    jwks->is_reading = false;
    take(jwks);
    start_timer(jwks);
    tell(jwks);
    if (jwks->is_wanted_again) {
        mr_jwks_reread(jwks);
    }
}

static bool start_reading(struct mr_jwks *jwks)
{
    if (!jwks->is_reading && !jwks->is_closing) {
        jwks->work = (struct mr_work){.run = on_run, .done = on_done, .owner = jwks};
        jwks->is_reading = mr_workers_submit(jwks->workers, &jwks->work) == 0;
    }
    return jwks->is_reading;
}

void mr_jwks_reread(struct mr_jwks *jwks)
{
    jwks->is_wanted_again = jwks->is_reading;
    if (!jwks->is_reading) {
        (void)start_reading(jwks);
    }
}

int mr_jwks_health(const struct mr_jwks *jwks, struct mr_error *error)
{
    return jwks->is_failing ? mr_fail_text(error, MR_ECONFIG,
                                           "the keys for tokens cannot be read from %s; the last "
                                           "good ones are used",
                                           jwks->source)
                            : 0;
}

static void on_timer(struct mr_timer *timer)
{
    struct mr_jwks *jwks = timer->owner;

    if (!start_reading(jwks)) {
        start_timer(jwks);
    }
}

struct mr_jwk_set *mr_jwks_keys(const struct mr_jwks *jwks)
{
    return jwks->keys;
}

bool mr_jwks_refresh(struct mr_jwks *jwks, struct mr_jwks_wait *wait)
{
    int64_t pause_ms = jwks->is_url ? PAUSE_URL_MS : PAUSE_FILE_MS;

    if (!jwks->is_reading && jwks->has_read &&
        mr_loop_now_ms(jwks->loop) - jwks->read_at_ms < pause_ms) {
        return false;
    }
    if (!start_reading(jwks)) {
        return false;
    }
    mr_list_append(&jwks->waiting, &wait->link);
    return true;
}

void mr_jwks_leave(struct mr_jwks_wait *wait)
{
    mr_list_remove(&wait->link);
}

/* ---- opening ---- */

void mr_jwks_close(struct mr_jwks *jwks)
{
    if (jwks == NULL) {
        return;
    }
    jwks->is_closing = true;
    mr_timer_stop(&jwks->timer);
    mr_workers_free(jwks->workers);
    tell(jwks);
    mr_jwk_set_unref(jwks->keys);
    mr_metric_set_free(jwks->metrics);
    mr_free(jwks->source);
    mr_free(jwks->ca);
    mr_free(jwks);
}

static int start(struct mr_jwks *jwks, const struct mr_jwks_config *config, struct mr_error *error)
{
    jwks->source = mr_strdup(config->source);
    jwks->ca = config->ca != NULL ? mr_strdup(config->ca) : NULL;
    if (jwks->source == NULL || (config->ca != NULL && jwks->ca == NULL) ||
        mr_workers_new(config->loop, "jwks", 1, &jwks->workers) != 0 ||
        mr_timer_start(&jwks->timer, jwks->is_url ? 0 : config->refresh_ms) != 0) {
        return mr_fail(error, MR_ENOMEM, "keys");
    }
    jwks->metrics = mr_metric_set_new(config->metrics, jwks_metrics, JWKS_METRIC_COUNT, NULL, 0);
    if (!jwks->is_url) {
        read_keys(jwks);
        take(jwks);
        return jwks->rc != 0 ? mr_fail_text(error, jwks->rc, "%s", jwks->error.text) : 0;
    }
    return 0;
}

int mr_jwks_open(const struct mr_jwks_config *config, struct mr_jwks **ret_jwks,
                 struct mr_error *error)
{
    struct mr_jwks *jwks = mr_calloc(1, sizeof *jwks);
    int rc;

    if (jwks == NULL) {
        return mr_fail(error, MR_ENOMEM, "keys");
    }
    jwks->loop = config->loop;
    jwks->disk = config->disk;
    jwks->refresh_ms = config->refresh_ms;
    jwks->is_url =
        strncmp(config->source, "http://", 7) == 0 || strncmp(config->source, "https://", 8) == 0;
    mr_list_init(&jwks->waiting);
    mr_timer_init(&jwks->timer, config->loop, on_timer, jwks);
    rc = start(jwks, config, error);
    if (rc != 0) {
        mr_jwks_close(jwks);
        return rc;
    }
    *ret_jwks = jwks;
    return 0;
}
