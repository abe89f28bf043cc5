#include "base/net/admission.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/bucket.h"
#include "base/core/error.h"
#include "base/core/list.h"
#include "base/core/loop.h"
#include "base/core/map.h"
#include "base/core/memory.h"

enum { FORGET_PER_ENTER = 4 };

struct mr_admitted {
    struct mr_link link; /* admission->addresses: the longest unused first */
    struct mr_admission *admission;
    int open;
    double rate; /* of the bucket; 0: none */
    struct mr_bucket bucket;
    char host[MR_ADMISSION_HOST_SIZE];
};

struct mr_admission {
    struct mr_admission_config config;
    struct mr_admission_exception *exceptions;
    struct mr_map by_host;
    struct mr_link addresses;
    bool is_closed;
};

static void admission_free(struct mr_admission *admission)
{
    mr_map_done(&admission->by_host);
    mr_free(admission->exceptions);
    mr_free(admission);
}

int mr_admission_new(const struct mr_admission_config *config, struct mr_admission **ret_admission)
{
    struct mr_admission *admission = mr_calloc(1, sizeof *admission);

    if (admission == NULL) {
        return MR_ENOMEM;
    }
    admission->config = *config;
    admission->exceptions =
        mr_calloc(config->exception_count + 1, sizeof(struct mr_admission_exception));
    mr_map_init(&admission->by_host);
    mr_list_init(&admission->addresses);
    if (admission->exceptions == NULL) {
        admission_free(admission);
        return MR_ENOMEM;
    }
    for (size_t i = 0; i < config->exception_count; i++) {
        admission->exceptions[i] = config->exceptions[i];
    }
    *ret_admission = admission;
    return 0;
}

/* ---- addresses ---- */

bool mr_admission_host(const struct sockaddr *address, char host[MR_ADMISSION_HOST_SIZE])
{
    const void *bytes;
    int family = address->sa_family;

    if (family == AF_INET) {
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    } else if (family == AF_INET6) {
        const struct in6_addr *in6 =
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(in6);
        bytes = is_mapped ? (const void *)&in6->s6_addr[12] : in6;
        family = is_mapped ? AF_INET : AF_INET6;
    } else {
        return false;
    }
    return inet_ntop(family, bytes, host, MR_ADMISSION_HOST_SIZE) != NULL;
}

static bool parse_host(const char *text, size_t size, char host[MR_ADMISSION_HOST_SIZE])
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } name;
    char copy[MR_ADMISSION_HOST_SIZE];

    if (size == 0 || size >= sizeof copy) {
        return false;
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    memset(&name, 0, sizeof name);
    if (inet_pton(AF_INET, copy, &name.in.sin_addr) == 1) {
        name.any.sa_family = AF_INET;
    } else if (inet_pton(AF_INET6, copy, &name.in6.sin6_addr) == 1) {
        name.any.sa_family = AF_INET6;
    } else {
        return false;
    }
    return mr_admission_host(&name.any, host);
}

int mr_admission_exception_parse(const char *text, struct mr_admission_exception *ret_exception,
                                 struct mr_error *error)
{
    const char *equals = strrchr(text, '=');
    long count = 0;
    char *end = NULL;

    if (equals == NULL || !parse_host(text, (size_t)(equals - text), ret_exception->host)) {
        return mr_fail_text(error, MR_EINVAL, "'%s' is not ADDRESS=NUMBER, as in 10.0.0.1=100",
                            text);
    }
    count = equals[1] >= '0' && equals[1] <= '9' ? strtol(equals + 1, &end, 10) : -1;
    if (count < 0 || count > 1000000 || *end != '\0') {
        return mr_fail_text(error, MR_EINVAL, "'%s': a number from 0 to 1000000 is wanted", text);
    }
    ret_exception->connections_max = (int)count;
    return 0;
}

/* 0: unbounded. Of an exception 0 means none. */
static int connections_max(const struct mr_admission *admission, const char *host,
                           bool *ret_is_bounded)
{
    for (size_t i = 0; i < admission->config.exception_count; i++) {
        if (strcmp(admission->exceptions[i].host, host) == 0) {
            *ret_is_bounded = true;
            return admission->exceptions[i].connections_max;
        }
    }
    *ret_is_bounded = admission->config.connections_max > 0;
    return admission->config.connections_max;
}

/* ---- what is remembered ---- */

static void forget(struct mr_admitted *admitted)
{
    (void)mr_map_remove_text(&admitted->admission->by_host, admitted->host);
    mr_list_remove(&admitted->link);
    mr_free(admitted);
}

static bool is_needed(struct mr_admitted *admitted)
{
    return admitted->open > 0 ||
           (admitted->rate > 0 &&
            !mr_bucket_is_full(&admitted->bucket,
                               mr_loop_now_us(admitted->admission->config.loop)));
}

/* The oldest are looked at whenever one comes, so that nothing piles up. */
static void forget_some(struct mr_admission *admission)
{
    int count = 0;

    mr_list_each(&admission->addresses, link, next)
    {
        struct mr_admitted *admitted = mr_container(link, struct mr_admitted, link);
        if (count++ >= FORGET_PER_ENTER) {
            return;
        }
        if (!is_needed(admitted)) {
            forget(admitted);
        } else {
            mr_list_remove(&admitted->link);
            mr_list_append(&admission->addresses, &admitted->link);
        }
    }
}

/* The place of the address; "" is that of all who have none. */
static struct mr_admitted *place_of(struct mr_admission *admission, const char *host)
{
    struct mr_admitted *admitted = mr_map_get_text(&admission->by_host, host);

    if (admitted == NULL && admission->by_host.count >= MR_ADMISSION_ADDRESSES_MAX) {
        host = "";
        admitted = mr_map_get_text(&admission->by_host, host);
    }
    if (admitted != NULL) {
        return admitted;
    }
    admitted = mr_calloc(1, sizeof *admitted);
    if (admitted == NULL || mr_map_put_text(&admission->by_host, host, admitted) != 0) {
        mr_free(admitted);
        return NULL;
    }
    admitted->admission = admission;
    memcpy(admitted->host, host, strlen(host) + 1);
    mr_list_append(&admission->addresses, &admitted->link);
    return admitted;
}

static bool is_too_fast(struct mr_admitted *admitted, double rate)
{
    const struct mr_admission_config *config = &admitted->admission->config;
    int64_t now_us = mr_loop_now_us(config->loop);
    double burst = rate * (config->window_s > 0 ? config->window_s : 1);

    if (admitted->rate == 0) {
        mr_bucket_init(&admitted->bucket, rate, burst, now_us);
    } else if (admitted->rate != rate) {
        mr_bucket_set(&admitted->bucket, rate, burst, now_us);
    }
    admitted->rate = rate;
    if (mr_bucket_wait_us(&admitted->bucket, now_us) > 0) {
        return true; /* who is refused is not counted, else he would never come in */
    }
    (void)mr_bucket_take(&admitted->bucket, 1, now_us);
    return false;
}

enum admission_verdict admission_enter(struct mr_admission *admission,
                                       const struct sockaddr *address,
                                       struct mr_admitted **ret_admitted)
{
    char host[MR_ADMISSION_HOST_SIZE];
    struct mr_admitted *admitted;
    bool is_bounded;
    double rate;
    int max;

    *ret_admitted = NULL;
    if (admission == NULL || admission->is_closed || !mr_admission_host(address, host)) {
        return ADMISSION_TAKEN;
    }
    max = connections_max(admission, host, &is_bounded);
    rate = admission->config.rate_of != NULL
               ? admission->config.rate_of(admission->config.owner, host)
               : 0;
    if (!is_bounded && !(rate > 0)) {
        return ADMISSION_TAKEN;
    }
    forget_some(admission);
    admitted = place_of(admission, host);
    if (admitted == NULL) {
        return ADMISSION_FULL; /* no memory: better nobody than everybody */
    }
    if (is_bounded && admitted->open >= max) {
        return ADMISSION_FULL;
    }
    if (rate > 0 && is_too_fast(admitted, rate)) {
        return ADMISSION_TOO_FAST;
    }
    admitted->open += 1;
    *ret_admitted = admitted;
    return ADMISSION_TAKEN;
}

void admission_leave(struct mr_admitted *admitted)
{
    struct mr_admission *admission;

    if (admitted == NULL) {
        return;
    }
    admission = admitted->admission;
    mr_assert(admitted->open > 0);
    admitted->open -= 1;
    if (admission->is_closed ? admitted->open == 0 : !is_needed(admitted)) {
        forget(admitted);
    }
    if (admission->is_closed && mr_list_is_empty(&admission->addresses)) {
        admission_free(admission);
    }
}

void mr_admission_close(struct mr_admission *admission)
{
    if (admission == NULL) {
        return;
    }
    admission->is_closed = true;
    mr_list_each(&admission->addresses, link, next)
    {
        struct mr_admitted *admitted = mr_container(link, struct mr_admitted, link);
        if (admitted->open == 0) {
            forget(admitted);
        }
    }
    if (mr_list_is_empty(&admission->addresses)) {
        admission_free(admission);
    }
}

size_t mr_admission_count(const struct mr_admission *admission)
{
    return admission->by_host.count;
}
