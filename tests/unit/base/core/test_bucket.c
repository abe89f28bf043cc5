/* The token bucket over a clock that moves when told. */
#include "base/core/bucket.h"

#include "tests/lib/test.h"

enum { SECOND = 1000 * 1000 };

/* One microsecond is added to each wait, so that a wait is never too short. */
static void check_wait(int64_t wait_us, int64_t expected_us)
{
    CHECK_LT(expected_us - 2, wait_us);
    CHECK_LT(wait_us, expected_us + 3);
}

TEST(bucket, a_burst_then_the_rate)
{
    struct mr_bucket bucket;

    mr_bucket_init(&bucket, 100, 1000, 0);
    CHECK(mr_bucket_is_full(&bucket, 0));
    CHECK_EQ(mr_bucket_take(&bucket, 1000, 0), 0);
    CHECK(!mr_bucket_is_full(&bucket, 0));
    check_wait(mr_bucket_take(&bucket, 50, 0), SECOND / 2);
    check_wait(mr_bucket_take(&bucket, 50, 0), SECOND);
    check_wait(mr_bucket_wait_us(&bucket, SECOND / 2), SECOND / 2);
    CHECK_EQ(mr_bucket_wait_us(&bucket, SECOND + 2), 0);
    CHECK(!mr_bucket_is_full(&bucket, 10 * SECOND));
    CHECK(mr_bucket_is_full(&bucket, 11 * SECOND + 2));
}

/* Whoever waits as told gets the rate, whatever the sizes are. */
TEST(bucket, the_rate_holds_in_the_long_run)
{
    static const double sizes[] = {1, 10, 333, 100, 5000};
    struct mr_bucket bucket;
    double taken = 0;
    int64_t now_us = 0;

    mr_bucket_init(&bucket, 100, 100, 0);
    for (int i = 0; i < 1000; i++) {
        taken += sizes[i % 5];
        now_us += mr_bucket_take(&bucket, sizes[i % 5], now_us);
    }
    CHECK_LT((double)(taken - 100), 100 * 1.001 * (double)now_us / SECOND);
    CHECK_LT(100 * 0.999 * (double)now_us / SECOND, (double)taken);
}

TEST(bucket, clocks_that_jump)
{
    struct mr_bucket bucket;

    mr_bucket_init(&bucket, 100, 200, 1000 * SECOND);
    check_wait(mr_bucket_take(&bucket, 300, 1000 * SECOND), SECOND);
    /* Back: nothing comes of it, and time goes on from there. */
    check_wait(mr_bucket_wait_us(&bucket, 10 * SECOND), SECOND);
    check_wait(mr_bucket_wait_us(&bucket, 10 * SECOND + SECOND / 2), SECOND / 2);
    /* Far ahead: full, not more than full. */
    CHECK_EQ(mr_bucket_wait_us(&bucket, INT64_MAX), 0);
    CHECK(mr_bucket_is_full(&bucket, INT64_MAX));
    check_wait(mr_bucket_take(&bucket, 300, INT64_MAX), SECOND);
}

TEST(bucket, another_rate)
{
    struct mr_bucket bucket;

    mr_bucket_init(&bucket, 100, 1000, 0);
    mr_bucket_set(&bucket, 10, 50, 0);
    CHECK(mr_bucket_is_full(&bucket, 0));
    check_wait(mr_bucket_take(&bucket, 100, 0), 5 * SECOND);
    mr_bucket_set(&bucket, 1000, 50, 0); /* what is owed is paid sooner */
    check_wait(mr_bucket_wait_us(&bucket, 0), SECOND / 20);
    mr_bucket_set(&bucket, 1e-9, 1, 0);
    check_wait(mr_bucket_wait_us(&bucket, 0), (int64_t)MR_BUCKET_WAIT_MS_MAX * 1000);
}

TEST(bucket, debts_have_an_end)
{
    struct mr_bucket bucket;

    mr_bucket_init(&bucket, 1, 1, 0);
    check_wait(mr_bucket_take(&bucket, 1e18, 0), (int64_t)MR_BUCKET_WAIT_MS_MAX * 1000);
    CHECK_EQ(mr_bucket_take(&bucket, -1e18, 0), 0);
    CHECK(mr_bucket_is_full(&bucket, 0));
}
