/* A token bucket: what is taken comes back at a rate, up to a burst. More may be taken than there
 * is; the debt then says how long to wait until it is paid. So the long-run rate holds whatever the
 * sizes are. Time is monotonic: a clock that stands still or goes back gives nothing. */
#ifndef BASE_CORE_BUCKET_H
#define BASE_CORE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

enum { MR_BUCKET_WAIT_MS_MAX = 10 * 60 * 1000 }; /* debts beyond it are forgiven */

struct mr_bucket {
    double rate; /* a second; more than 0 */
    double burst;
    double tokens; /* below 0: debt */
    int64_t at_us;
};

/* Full. */
void mr_bucket_init(struct mr_bucket *bucket, double rate, double burst, int64_t now_us);
/* Another rate from now on; what is there or owed stays, within the new bounds. */
void mr_bucket_set(struct mr_bucket *bucket, double rate, double burst, int64_t now_us);
/* How long until nothing is owed; 0: now. */
int64_t mr_bucket_wait_us(struct mr_bucket *bucket, int64_t now_us);
/* Takes, and says how long to wait then. A negative amount gives back. */
int64_t mr_bucket_take(struct mr_bucket *bucket, double amount, int64_t now_us);
/* As if it had never been used. */
bool mr_bucket_is_full(struct mr_bucket *bucket, int64_t now_us);

#endif
