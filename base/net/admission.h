/* Who may connect: bounds per address, shared by the listeners that are given it. An address may
 * have so many connections at a time, and make so many a second (KIP-306, KIP-612). IPv4 in IPv6 is
 * IPv4. What is bounded is only remembered while it matters, and in a bounded table: if that is
 * full, addresses that are not in it share one place.
 *
 * Lives on one loop; kept alive by whoever was admitted. */
#ifndef BASE_NET_ADMISSION_H
#define BASE_NET_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct mr_admission;
struct mr_admitted; /* one address */
struct mr_error;
struct mr_loop;

enum { MR_ADMISSION_HOST_SIZE = 46, MR_ADMISSION_ADDRESSES_MAX = 20000 };

struct mr_admission_exception {
    char host[MR_ADMISSION_HOST_SIZE]; /* normalised */
    int connections_max;
};

struct mr_admission_config {
    struct mr_loop *loop;
    int connections_max;                             /* of each address; 0: unbounded */
    const struct mr_admission_exception *exceptions; /* copied */
    size_t exception_count;
    /* How many connections a second this address may make, and how many seconds' worth at once;
     * 0: unbounded. May be NULL; not called after mr_admission_close. */
    double (*rate_of)(void *owner, const char *host);
    void *owner;
    double window_s;
};

/* 0 or MR_ENOMEM. */
int mr_admission_new(const struct mr_admission_config *config, struct mr_admission **ret_admission);
/* NULL is fine. Nobody is admitted any more. */
void mr_admission_close(struct mr_admission *admission);

/* "10.0.0.1=100": MR_EINVAL with words. */
int mr_admission_exception_parse(const char *text, struct mr_admission_exception *ret_exception,
                                 struct mr_error *error);
/* An address as admission, metrics and quotas know it. false: not of the internet. */
bool mr_admission_host(const struct sockaddr *address, char host[MR_ADMISSION_HOST_SIZE]);
/* Of how many addresses something is remembered. */
size_t mr_admission_count(const struct mr_admission *admission);

/* ---- for listeners ---- */

enum admission_verdict { ADMISSION_TAKEN, ADMISSION_FULL, ADMISSION_TOO_FAST };

/* TAKEN: *ret_admitted is to be given back with the connection's end; NULL: nothing to remember. */
enum admission_verdict admission_enter(struct mr_admission *admission,
                                       const struct sockaddr *address,
                                       struct mr_admitted **ret_admitted);
void admission_leave(struct mr_admitted *admitted); /* NULL is fine */

#endif
