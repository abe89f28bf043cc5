#include "base/net/handshakes.h"

#include <netinet/in.h>
#include <string.h>

#include "base/core/error.h"
#include "base/core/hash.h"
#include "base/core/logger.h"
#include "base/core/memory.h"
#include "base/net/admission.h"
#include "base/net/net_internal.h"
#include "base/net/tls_internal.h"

enum {
    ADDRESS_SHARE = 10,         /* one address may have a tenth of the half-open handshakes, */
    ADDRESS_HANDSHAKES = 16,    /* or so many, if that is less */
    HONEST_SILENCE_MS = 100,    /* the first words come with the connection */
    HONEST_HANDSHAKE_MS = 1000, /* one that lasts longer is probably not meant */
};

struct half_open {
    struct mr_link link;       /* of all */
    struct mr_link crowd_link; /* of the crowd */
    struct handshake_crowd *crowd;
    int64_t since_ms;
    struct handshakes *handshakes;
    struct tls_handshake *handshake;
    struct mr_admitted *admitted;
};

static void half_open_free(struct half_open *half_open)
{
    admission_leave(half_open->admitted);
    mr_list_remove(&half_open->link);
    half_open->handshakes->count--;
    mr_list_remove(&half_open->crowd_link);
    half_open->crowd->count--;
    mr_free(half_open);
}

static void on_handshake(void *owner, int rc, struct mr_stream *stream,
                         const struct mr_error *error)
{
    struct half_open *half_open = owner;
    struct handshakes *self = half_open->handshakes;
    struct mr_admitted *admitted = rc == 0 ? half_open->admitted : NULL;

    if (rc == 0) {
        half_open->admitted = NULL; /* the stream's from now on */
    }
    half_open_free(half_open);
    if (rc != 0) {
        mr_debug("handshake failed", KV_STR("reason", error->text));
        return;
    }
    self->cb(self->owner, stream, admitted);
}

static void half_open_drop(struct half_open *half_open)
{
    net_count_tls_failure(half_open->handshakes->net, TLS_FAILURE_CROWDED);
    tls_handshake_cancel(half_open->handshake);
    half_open_free(half_open);
}

/* An IPv4 address counts as a whole; of an IPv6 address the network, since a host has all of a /64.
 */
static struct handshake_crowd *crowd_of(struct handshakes *self,
                                        const struct sockaddr_storage *address)
{
    uint8_t bytes[sizeof(struct in6_addr)] = {0};
    struct handshake_crowd *crowd;

    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        memcpy(bytes, &in->sin_addr, sizeof in->sin_addr);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        memcpy(bytes, &in6->sin6_addr, IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) ? 16 : 8);
    }
    crowd = &self->crowds[mr_hash64(bytes, sizeof bytes) % HANDSHAKE_CROWDS];
    if (crowd->members.next == NULL) {
        mr_list_init(&crowd->members);
    }
    return crowd;
}

/* Who of them should go first: one that takes longer than honest ones do, to say something or in
 * all; NULL: none. */
static struct half_open *find_dishonest(const struct handshakes *self,
                                        const struct handshake_crowd *crowd)
{
    int64_t now_ms = mr_loop_now_ms(self->net->loop);

    mr_list_each(&crowd->members, link, next)
    {
        struct half_open *half_open = mr_container(link, struct half_open, crowd_link);
        int64_t age_ms = now_ms - half_open->since_ms;

        if (age_ms >= HONEST_HANDSHAKE_MS ||
            (age_ms >= HONEST_SILENCE_MS && !tls_handshake_has_heard(half_open->handshake))) {
            return half_open;
        }
        if (age_ms < HONEST_SILENCE_MS) {
            break; /* and so are all behind it */
        }
    }
    return NULL;
}

static const struct handshake_crowd *largest_crowd(const struct handshakes *self)
{
    /* Where all are equally small, the one of the oldest. */
    const struct handshake_crowd *largest =
        mr_container(self->list.next, struct half_open, link)->crowd;

    for (size_t i = 0; i < HANDSHAKE_CROWDS; i++) {
        if (self->crowds[i].count > largest->count) {
            largest = &self->crowds[i];
        }
    }
    return largest;
}

/* An address that has its share loses one that is not honest, or else does not get another: clients
 * behind one address that all come back at once are let in one after the other. When the listener
 * is full the same goes for the address that has most; anybody else gets the place of its oldest,
 * so that who would lock others out needs as many addresses as there are places. What is refused
 * costs next to nothing, so a flood costs what a thousand handshakes a second do. */
static bool make_room(struct handshakes *self, const struct handshake_crowd *crowd)
{
    int share = self->options->handshakes_max / ADDRESS_SHARE;
    bool is_full = self->count >= self->options->handshakes_max;
    const struct handshake_crowd *largest = is_full ? largest_crowd(self) : NULL;
    struct half_open *victim = NULL;

    if (crowd->count >= (share > ADDRESS_HANDSHAKES ? share : ADDRESS_HANDSHAKES) ||
        (is_full && crowd->count >= largest->count)) {
        victim = find_dishonest(self, crowd);
        if (victim == NULL) {
            return false;
        }
    } else if (is_full) {
        victim = mr_container(largest->members.next, struct half_open, crowd_link);
    }
    if (victim != NULL) {
        half_open_drop(victim);
    }
    return true;
}

void handshakes_init(struct handshakes *self, struct mr_net *net,
                     const struct mr_listen_options *options, handshakes_cb cb, void *owner)
{
    self->net = net;
    self->options = options;
    self->cb = cb;
    self->owner = owner;
    mr_list_init(&self->list);
}

int handshakes_start(struct handshakes *self, int fd, const struct sockaddr_storage *address,
                     struct mr_admitted *admitted)
{
    struct half_open *half_open = mr_calloc(1, sizeof *half_open);
    int rc;

    if (half_open == NULL) {
        return MR_ENOMEM;
    }
    half_open->crowd = crowd_of(self, address);
    half_open->since_ms = mr_loop_now_ms(self->net->loop);
    if (!make_room(self, half_open->crowd)) {
        mr_free(half_open);
        net_count_tls_failure(self->net, TLS_FAILURE_CROWDED);
        return MR_EFULL;
    }
    half_open->handshakes = self;
    half_open->admitted = admitted;
    rc = tls_handshake_start(self->net, self->options->tls, fd, NULL,
                             self->options->handshake_timeout_ms, on_handshake, half_open,
                             &half_open->handshake, NULL);
    if (rc != 0) {
        mr_free(half_open);
        return rc;
    }
    mr_list_append(&self->list, &half_open->link);
    self->count++;
    mr_list_append(&half_open->crowd->members, &half_open->crowd_link);
    half_open->crowd->count++;
    return 0;
}

void handshakes_done(struct handshakes *self)
{
    while (!mr_list_is_empty(&self->list)) {
        struct half_open *half_open = mr_container(self->list.next, struct half_open, link);
        tls_handshake_cancel(half_open->handshake);
        half_open_free(half_open);
    }
}
