/* The calendar against libc's, RFC 3339 both ways, times for people. */
#include "base/text/time.h"

#include <string.h>
#include <time.h>

#include "base/core/error.h"
#include "base/core/random.h"
#include "tests/lib/test.h"

TEST(time, agrees_with_libc_on_the_calendar)
{
    struct mr_random_seeded random;

    mr_random_seeded_init(&random, 13);
    for (int round = 0; round < 20000; round++) {
        /* years 0 to 9999 */
        time_t seconds =
            (time_t)mr_random_below(&random.base, UINT64_C(315569520000)) - 62167219200;
        int64_t time_us =
            (int64_t)seconds * 1000000 + (int64_t)mr_random_below(&random.base, 1000000);
        struct mr_civil civil;
        struct tm tm;

        CHECK(gmtime_r(&seconds, &tm) != NULL);
        mr_civil_from_us(time_us, &civil);
        CHECK_EQ(civil.year, tm.tm_year + 1900);
        CHECK_EQ(civil.month, tm.tm_mon + 1);
        CHECK_EQ(civil.day, tm.tm_mday);
        CHECK_EQ(civil.hour, tm.tm_hour);
        CHECK_EQ(civil.minute, tm.tm_min);
        CHECK_EQ(civil.second, tm.tm_sec);
        CHECK_EQ(civil.weekday, tm.tm_wday);
        CHECK_EQ(civil.year_day, tm.tm_yday);
        CHECK_EQ(mr_civil_to_us(&civil), time_us);
    }
}

TEST(time, reads_back_what_it_writes)
{
    struct mr_random_seeded random;

    mr_random_seeded_init(&random, 17);
    for (int round = 0; round < 20000; round++) {
        int64_t time_us = (int64_t)mr_random_below(&random.base, UINT64_C(315569520000000000)) -
                          INT64_C(62167219200000000);
        char text[MR_TIME_TEXT_SIZE];
        size_t size = mr_time_format(time_us, MR_TIME_MICROS, text);
        int64_t back;
        size_t read;

        CHECK_EQ(size, strlen(text));
        CHECK_EQ(mr_time_parse(text, size, &back, &read), 0);
        CHECK_EQ(back, time_us);
        CHECK_EQ(read, size);
        for (size_t cut = 0; cut < size; cut++) {
            CHECK_EQ(mr_time_parse(text, cut, &back, &read), MR_EINVAL);
        }
    }
}

static int64_t parse(const char *text)
{
    int64_t time_us = -1;
    size_t size = 0;

    CHECK_EQ(mr_time_parse(text, strlen(text), &time_us, &size), 0);
    CHECK_EQ(size, strlen(text));
    return time_us;
}

TEST(time, reads_the_forms_of_rfc_3339)
{
    int64_t noon = INT64_C(1709294400) * 1000000; /* 2024-03-01T12:00:00Z */
    char text[MR_TIME_TEXT_SIZE];
    int64_t time_us;
    size_t size;

    CHECK_EQ(parse("2024-03-01T12:00:00Z"), noon);
    CHECK_EQ(parse("2024-03-01t12:00:00z"), noon);
    CHECK_EQ(parse("2024-03-01 12:00:00.5Z"), noon + 500000);
    CHECK_EQ(parse("2024-03-01T12:00:00,123456789Z"), noon + 123456);
    CHECK_EQ(parse("2024-03-01T13:30:00+01:30"), noon);
    CHECK_EQ(parse("2024-03-01T04:00:00-0800"), noon);
    CHECK_EQ(parse("2024-02-29T23:59:60Z"), noon - 12 * INT64_C(3600000000));
    CHECK_EQ(parse("1969-12-31T23:59:59.999999Z"), -1);
    CHECK_EQ(mr_time_parse("2024-03-01T12:00:00Z rest", 25, &time_us, &size), 0);
    CHECK_EQ(size, 20);
    CHECK_EQ(mr_time_format(noon + 1999, MR_TIME_MILLIS, text), 24);
    CHECK(strcmp(text, "2024-03-01T12:00:00.001Z") == 0);
    mr_time_format(-1, MR_TIME_SECONDS, text);
    CHECK(strcmp(text, "1969-12-31T23:59:59Z") == 0);
    mr_time_format(INT64_MAX, MR_TIME_MICROS, text);
    CHECK(strcmp(text, "9999-12-31T23:59:59.999999Z") == 0);
    mr_time_format(INT64_MIN, MR_TIME_SECONDS, text);
    CHECK(strcmp(text, "0000-01-01T00:00:00Z") == 0);
}

TEST(time, refuses_what_is_no_time)
{
    static const char *const wrong[] = {
        "",
        "2024-03-01",
        "2024-03-01T12:00:00",
        "2024-03-01T12:00:00.Z",
        "2024-13-01T12:00:00Z",
        "2024-00-01T12:00:00Z",
        "2023-02-29T12:00:00Z",
        "1900-02-29T12:00:00Z",
        "2024-04-31T12:00:00Z",
        "2024-03-01T24:00:00Z",
        "2024-03-01T12:60:00Z",
        "2024-03-01T12:00:61Z",
        "2024-03-01T12:00:00+1",
        "2024-03-01T12:00:00+24:00",
        "2024-03-01T12:00:00+01:60",
        "2024/03/01T12:00:00Z",
        "+024-03-01T12:00:00Z",
        "2024-03-01X12:00:00Z",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int64_t time_us;
        size_t size;

        CHECK_EQ(mr_time_parse(wrong[i], strlen(wrong[i]), &time_us, &size), MR_EINVAL);
    }
}

TEST(time, speaks_to_people)
{
    static const struct {
        int64_t value;
        const char *text;
    } durations[] = {
        {0, "0ms"},
        {700, "700us"},
        {450000, "450ms"},
        {3260000, "3.2s"},
        {65000000, "1m 5s"},
        {INT64_C(7800000000), "2h 10m"},
        {INT64_C(273600000000), "3d 4h"},
        {-3000000, "-3.0s"},
    };
    static const struct {
        int64_t value;
        const char *text;
    } sizes[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.00 KiB"},
        {1536, "1.50 KiB"},
        {67108864, "64.0 MiB"},
        {1048575, "1.00 MiB"},
        {10 << 10, "10.0 KiB"},
        {INT64_MAX, "8.00 EiB"},
    };
    char text[MR_HUMAN_TEXT_SIZE];

    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        mr_duration_human(durations[i].value, text);
        CHECK(strcmp(text, durations[i].text) == 0);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        mr_size_human(sizes[i].value, text);
        CHECK(strcmp(text, sizes[i].text) == 0);
    }
    mr_duration_human(INT64_MIN, text);
    CHECK(text[0] == '-');
}
