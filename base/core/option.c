/* Sizes, durations, numbers and switches as a person writes them. Strict: digits and at most one
 * unit, nothing around them. A single letter as a unit of size is refused, because half of the
 * world's tools mean 1000 by K and the other half 1024; a leading zero is, because of octal. */
#include "base/core/option.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* The first with a factor is the one that is written. */
static const struct unit size_units[] = {
    {"TiB", INT64_C(1) << 40},   {"TB", INT64_C(1000000000000)}, {"GiB", INT64_C(1) << 30},
    {"GB", INT64_C(1000000000)}, {"MiB", INT64_C(1) << 20},      {"MB", INT64_C(1000000)},
    {"KiB", INT64_C(1) << 10},   {"kB", INT64_C(1000)},          {"KB", INT64_C(1000)},
    {"B", INT64_C(1)},
};

static const struct unit duration_units[] = {
    {"w", INT64_C(7) * 24 * 3600 * 1000},
    {"d", INT64_C(24) * 3600 * 1000},
    {"h", INT64_C(3600) * 1000},
    {"m", INT64_C(60) * 1000},
    {"s", INT64_C(1000)},
    {"ms", INT64_C(1)},
};

enum {
    SIZE_UNIT_COUNT = sizeof size_units / sizeof size_units[0],
    DURATION_UNIT_COUNT = sizeof duration_units / sizeof duration_units[0],
};

/* Digits up to the first other character; NULL when there are none, too many, or a leading zero. */
static const char *digits_parse(const char *text, bool is_negative, int64_t *ret_value)
{
    int64_t value = 0;
    const char *at = text;

    while (*at >= '0' && *at <= '9') {
        int64_t digit = *at - '0';

        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_add_overflow(value, is_negative ? -digit : digit, &value)) {
            return NULL;
        }
        at++;
    }
    if (at == text || (at - text > 1 && text[0] == '0')) {
        return NULL;
    }
    *ret_value = value;
    return at;
}

static const struct unit *unit_find(const struct unit *units, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(units[i].name, name) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

static int quantity_parse(const char *text, const struct unit *units, int count, bool bare_is_fine,
                          int64_t *ret_value)
{
    const struct unit *unit;
    int64_t number;
    int64_t value;
    const char *rest = digits_parse(text, false, &number);

    if (rest == NULL) {
        return MR_EINVAL;
    }
    if (*rest == '\0' && (bare_is_fine || number == 0)) {
        *ret_value = number;
        return 0;
    }
    unit = unit_find(units, count, rest);
    if (unit == NULL || __builtin_mul_overflow(number, unit->factor, &value)) {
        return MR_EINVAL;
    }
    *ret_value = value;
    return 0;
}

int mr_parse_size(const char *text, int64_t *ret_bytes)
{
    return quantity_parse(text, size_units, SIZE_UNIT_COUNT, true, ret_bytes);
}

/* A bare number is refused (seconds or milliseconds?), except 0. */
int mr_parse_duration(const char *text, int64_t *ret_ms)
{
    return quantity_parse(text, duration_units, DURATION_UNIT_COUNT, false, ret_ms);
}

int mr_parse_bool(const char *text, bool *ret_value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_value = i % 2 == 1;
            return 0;
        }
    }
    return MR_EINVAL;
}

int mr_parse_int(const char *text, int64_t *ret_value)
{
    bool is_negative = *text == '-';
    int64_t value;
    const char *rest = digits_parse(text + is_negative, is_negative, &value);

    if (rest == NULL || *rest != '\0') {
        return MR_EINVAL;
    }
    *ret_value = value;
    return 0;
}

/* The shortest exact text, so that 10GB does not come back as 9765625KiB. */
void mr_format_size(int64_t bytes, char *text, size_t size)
{
    char shortest[32] = "";

    if (bytes == 0) {
        (void)snprintf(text, size, "0B");
        return;
    }
    for (int i = 0; i < SIZE_UNIT_COUNT; i++) {
        char tried[32];

        if (bytes % size_units[i].factor != 0) {
            continue;
        }
        (void)snprintf(tried, sizeof tried, "%" PRId64 "%s", bytes / size_units[i].factor,
                       size_units[i].name);
        if (shortest[0] == '\0' || strlen(tried) < strlen(shortest)) {
            memcpy(shortest, tried, sizeof shortest);
        }
    }
    (void)snprintf(text, size, "%s", shortest);
}

/* Weeks are read, but days are written: 7d is what people say of retention. */
void mr_format_duration(int64_t ms, char *text, size_t size)
{
    if (ms == 0) {
        (void)snprintf(text, size, "0s");
        return;
    }
    for (int i = 1; i < DURATION_UNIT_COUNT; i++) {
        if (ms % duration_units[i].factor == 0) {
            (void)snprintf(text, size, "%" PRId64 "%s", ms / duration_units[i].factor,
                           duration_units[i].name);
            return;
        }
    }
}
