#include "base/core/bucket.h"

#include "base/core/error.h"

#define US_PER_SECOND 1e6

static void clamp(struct mr_bucket *bucket)
{
    double owed_max = bucket->rate * MR_BUCKET_WAIT_MS_MAX / 1e3;

    if (bucket->tokens > bucket->burst) {
        bucket->tokens = bucket->burst;
    }
    if (bucket->tokens < -owed_max) {
        bucket->tokens = -owed_max;
    }
}

static void refill(struct mr_bucket *bucket, int64_t now_us)
{
    if (now_us > bucket->at_us) {
        bucket->tokens += bucket->rate * (double)(now_us - bucket->at_us) / US_PER_SECOND;
        clamp(bucket);
    }
    bucket->at_us = now_us;
}

void mr_bucket_init(struct mr_bucket *bucket, double rate, double burst, int64_t now_us)
{
    mr_assert(rate > 0);
    mr_assert(burst > 0);
    *bucket = (struct mr_bucket){.rate = rate, .burst = burst, .tokens = burst, .at_us = now_us};
}

void mr_bucket_set(struct mr_bucket *bucket, double rate, double burst, int64_t now_us)
{
    mr_assert(rate > 0);
    mr_assert(burst > 0);
    refill(bucket, now_us);
    bucket->rate = rate;
    bucket->burst = burst;
    clamp(bucket);
}

int64_t mr_bucket_wait_us(struct mr_bucket *bucket, int64_t now_us)
{
    refill(bucket, now_us);
    return bucket->tokens < 0 ? (int64_t)(-bucket->tokens / bucket->rate * US_PER_SECOND) + 1 : 0;
}

int64_t mr_bucket_take(struct mr_bucket *bucket, double amount, int64_t now_us)
{
    refill(bucket, now_us);
    bucket->tokens -= amount;
    clamp(bucket);
    return mr_bucket_wait_us(bucket, now_us);
}

bool mr_bucket_is_full(struct mr_bucket *bucket, int64_t now_us)
{
    refill(bucket, now_us);
    return bucket->tokens >= bucket->burst;
}
