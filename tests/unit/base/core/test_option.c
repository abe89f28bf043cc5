/* Texts of sizes, durations and numbers: what is read, what is refused, and that writing inverts.
 */
#include "base/core/option.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/core/random.h"
#include "tests/lib/test.h"

struct quantity {
    const char *text;
    int64_t value;
};

TEST(option, sizes_are_read_with_their_units)
{
    static const struct quantity right[] = {
        {"0", 0},
        {"512", 512},
        {"512B", 512},
        {"1kB", 1000},
        {"1KB", 1000},
        {"3MB", 3000000},
        {"10GB", INT64_C(10000000000)},
        {"2TB", INT64_C(2000000000000)},
        {"1KiB", 1024},
        {"64MiB", 64 << 20},
        {"10GiB", INT64_C(10) << 30},
        {"1TiB", INT64_C(1) << 40},
        {"9223372036854775807", INT64_MAX},
        {"8388607TiB", INT64_C(8388607) << 40},
    };

    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        int64_t value = -1;

        CHECK_EQ(mr_parse_size(right[i].text, &value), 0);
        CHECK_EQ(value, right[i].value);
    }
}

/* A letter alone may mean 1000 or 1024; the rest is sloppy or does not fit. */
TEST(option, unclear_sizes_are_refused)
{
    static const char *const wrong[] = {
        "",
        "K",
        "1K",
        "1k",
        "1M",
        "1G",
        "1T",
        "MiB",
        " 1",
        "1 ",
        "1 MB",
        "-1",
        "+1",
        "1.5GB",
        "1e6",
        "1mib",
        "1mb",
        "1gib",
        "1KIB",
        "010",
        "0x10",
        "1kiB",
        "1BB",
        "1Mi",
        "1,000",
        "1_000",
        "9223372036854775808",
        "8388608TiB",
        "99999999999999999999999",
        "10000000TB",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int64_t value = 77;

        if (mr_parse_size(wrong[i], &value) != MR_EINVAL || value != 77) {
            test_fail(__FILE__, __LINE__, "size '%s' was taken", wrong[i]);
        }
    }
}

TEST(option, durations_are_read_with_their_units)
{
    static const struct quantity right[] = {
        {"0", 0},
        {"0s", 0},
        {"250ms", 250},
        {"5s", 5000},
        {"90m", 5400000},
        {"1h", 3600000},
        {"7d", 7 * 86400000},
        {"1w", 7 * 86400000},
        {"9223372036854775807ms", INT64_MAX},
    };
    static const char *const wrong[] = {
        "",
        "5",
        "s",
        "5 s",
        " 5s",
        "5S",
        "5sec",
        "5min",
        "1h30m",
        "-1s",
        "+1s",
        "1.5s",
        "5us",
        "5ns",
        "5M",
        "05s",
        "1y",
        "15250284453w",
        "9223372036854775808ms",
    };

    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        int64_t value = -1;

        CHECK_EQ(mr_parse_duration(right[i].text, &value), 0);
        CHECK_EQ(value, right[i].value);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int64_t value = 77;

        if (mr_parse_duration(wrong[i], &value) != MR_EINVAL || value != 77) {
            test_fail(__FILE__, __LINE__, "duration '%s' was taken", wrong[i]);
        }
    }
}

TEST(option, integers_reach_both_ends_and_no_further)
{
    int64_t value = 0;

    CHECK_EQ(mr_parse_int("-9223372036854775808", &value), 0);
    CHECK(value == INT64_MIN);
    CHECK_EQ(mr_parse_int("9223372036854775807", &value), 0);
    CHECK(value == INT64_MAX);
    CHECK_EQ(mr_parse_int("-9223372036854775809", &value), MR_EINVAL);
    CHECK_EQ(mr_parse_int("9223372036854775808", &value), MR_EINVAL);
    CHECK_EQ(mr_parse_int("0", &value), 0);
    CHECK_EQ(value, 0);
    CHECK_EQ(mr_parse_int("", &value), MR_EINVAL);
    CHECK_EQ(mr_parse_int("-", &value), MR_EINVAL);
    CHECK_EQ(mr_parse_int("--1", &value), MR_EINVAL);
    CHECK_EQ(mr_parse_int("1x", &value), MR_EINVAL);
    CHECK_EQ(mr_parse_int("0640", &value), MR_EINVAL);
}

TEST(option, switches_have_six_words)
{
    bool value = false;

    CHECK(mr_parse_bool("true", &value) == 0 && value);
    CHECK(mr_parse_bool("no", &value) == 0 && !value);
    CHECK(mr_parse_bool("on", &value) == 0 && value);
    CHECK(mr_parse_bool("off", &value) == 0 && !value);
    CHECK(mr_parse_bool("yes", &value) == 0 && value);
    CHECK(mr_parse_bool("false", &value) == 0 && !value);
    CHECK_EQ(mr_parse_bool("1", &value), MR_EINVAL);
    CHECK_EQ(mr_parse_bool("True", &value), MR_EINVAL);
    CHECK_EQ(mr_parse_bool("", &value), MR_EINVAL);
}

TEST(option, what_is_written_is_the_shortest_exact_text)
{
    char text[32];

    mr_format_size(64 << 20, text, sizeof text);
    CHECK_STR(text, "64MiB");
    mr_format_size(INT64_C(10000000000), text, sizeof text);
    CHECK_STR(text, "10GB");
    mr_format_size(1500, text, sizeof text);
    CHECK_STR(text, "1500B");
    mr_format_size(0, text, sizeof text);
    CHECK_STR(text, "0B");
    mr_format_duration(INT64_C(7) * 86400000, text, sizeof text);
    CHECK_STR(text, "7d");
    mr_format_duration(5400000, text, sizeof text);
    CHECK_STR(text, "90m");
    mr_format_duration(1500, text, sizeof text);
    CHECK_STR(text, "1500ms");
    mr_format_duration(0, text, sizeof text);
    CHECK_STR(text, "0s");
}

/* Random numbers of all magnitudes, half of them with many zeros behind. */
TEST(option, reading_inverts_writing)
{
    static const int64_t steps[] = {1, 1000, 1024, 60000, 1048576, 1000000, 86400000};
    struct mr_random_seeded random;

    mr_random_seeded_init(&random, test_seed());
    for (int i = 0; i < 20000; i++) {
        int64_t value =
            (int64_t)(mr_random_u64(&random.base) >> (1 + mr_random_below(&random.base, 62)));
        int64_t step = steps[mr_random_below(&random.base, sizeof steps / sizeof steps[0])];
        int64_t back = -1;
        char text[32];

        value -= value % step;
        mr_format_size(value, text, sizeof text);
        CHECK_EQ(mr_parse_size(text, &back), 0);
        CHECK_EQ(back, value);
        mr_format_duration(value, text, sizeof text);
        CHECK_EQ(mr_parse_duration(text, &back), 0);
        CHECK_EQ(back, value);
    }
}
