/* The calendar is Howard Hinnant's days_from_civil: years begin in March, so that the leap day is
 * last, and 400-year eras repeat exactly. */
#include "base/text/time.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/core/error.h"

#define SECOND_US   INT64_C(1000000)
#define DAY_US      (86400 * SECOND_US)
#define TIME_US_MIN (-62167219200 * SECOND_US)              /* 0000-01-01 */
#define TIME_US_MAX (253402300800 * SECOND_US - INT64_C(1)) /* 9999-12-31 */

enum { ERA_DAYS = 146097, EPOCH_DAYS = 719468 /* from 0000-03-01 to 1970-01-01 */ };

static int64_t divide_down(int64_t value, int64_t by)
{
    return value / by - (value % by < 0);
}

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t days_of_civil(int year, int month, int day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = divide_down(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           EPOCH_DAYS;
}

void mr_civil_from_us(int64_t time_us, struct mr_civil *ret_civil)
{
    int64_t days = divide_down(time_us, DAY_US);
    int64_t rest = time_us - days * DAY_US;
    int64_t shifted = days + EPOCH_DAYS;
    int64_t era = divide_down(shifted, ERA_DAYS);
    int64_t day_of_era = shifted - era * ERA_DAYS;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* 0: March */

    ret_civil->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    ret_civil->month = (int)(month < 10 ? month + 3 : month - 9);
    ret_civil->year = (int)(year_of_era + era * 400 + (ret_civil->month <= 2));
    ret_civil->weekday = (int)(((days + 4) % 7 + 7) % 7);
    ret_civil->year_day = (int)(days - days_of_civil(ret_civil->year, 1, 1));
    ret_civil->microsecond = (int)(rest % SECOND_US);
    rest /= SECOND_US;
    ret_civil->second = (int)(rest % 60);
    ret_civil->minute = (int)(rest / 60 % 60);
    ret_civil->hour = (int)(rest / 3600);
}

int64_t mr_civil_to_us(const struct mr_civil *civil)
{
    int64_t seconds = days_of_civil(civil->year, civil->month, civil->day) * 86400 +
                      civil->hour * 3600 + civil->minute * 60 + civil->second;

    return seconds * SECOND_US + civil->microsecond;
}

static char *put_digits(char *at, int value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + count;
}

size_t mr_time_format(int64_t time_us, enum mr_time_digits digits, char text[MR_TIME_TEXT_SIZE])
{
    struct mr_civil civil;
    char *at = text;

    time_us = time_us < TIME_US_MIN ? TIME_US_MIN : time_us > TIME_US_MAX ? TIME_US_MAX : time_us;
    mr_civil_from_us(time_us, &civil);
    at = put_digits(at, civil.year, 4);
    *at++ = '-';
    at = put_digits(at, civil.month, 2);
    *at++ = '-';
    at = put_digits(at, civil.day, 2);
    *at++ = 'T';
    at = put_digits(at, civil.hour, 2);
    *at++ = ':';
    at = put_digits(at, civil.minute, 2);
    *at++ = ':';
    at = put_digits(at, civil.second, 2);
    if (digits != MR_TIME_SECONDS) {
        bool is_millis = digits == MR_TIME_MILLIS;

        *at++ = '.';
        at = put_digits(at, is_millis ? civil.microsecond / 1000 : civil.microsecond,
                        is_millis ? 3 : 6);
    }
    *at++ = 'Z';
    *at = '\0';
    return (size_t)(at - text);
}

/* Exactly `count` digits at `at`; -1 if there are not. */
static int get_digits(const char *at, int count)
{
    int value = 0;

    for (int i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9') {
            return -1;
        }
        value = value * 10 + (at[i] - '0');
    }
    return value;
}

/* "2026-03-01T12:00:00", which is 19 bytes. */
static int parse_civil(const char *text, struct mr_civil *civil)
{
    static const int month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    civil->year = get_digits(text, 4);
    civil->month = get_digits(text + 5, 2);
    civil->day = get_digits(text + 8, 2);
    civil->hour = get_digits(text + 11, 2);
    civil->minute = get_digits(text + 14, 2);
    civil->second = get_digits(text + 17, 2);
    civil->microsecond = 0;
    if (text[4] != '-' || text[7] != '-' || text[13] != ':' || text[16] != ':' ||
        (text[10] != 'T' && text[10] != 't' && text[10] != ' ')) {
        return MR_EINVAL;
    }
    if (civil->year < 0 || civil->month < 1 || civil->month > 12 || civil->day < 1 ||
        civil->day > month_days[civil->month - 1] ||
        (civil->month == 2 && civil->day == 29 && !is_leap(civil->year))) {
        return MR_EINVAL;
    }
    if (civil->hour < 0 || civil->hour > 23 || civil->minute < 0 || civil->minute > 59 ||
        civil->second < 0 || civil->second > 60) {
        return MR_EINVAL;
    }
    return 0;
}

/* ".123456789": the digits beyond microseconds are passed over. Returns the new position. */
static size_t parse_fraction(const char *text, size_t size, size_t at, int *ret_microsecond)
{
    int weight = 100000;
    size_t start = at + 1;

    *ret_microsecond = 0;
    if (at >= size || (text[at] != '.' && text[at] != ',')) {
        return at;
    }
    for (at = start; at < size && text[at] >= '0' && text[at] <= '9'; at++) {
        *ret_microsecond += (text[at] - '0') * weight;
        weight /= 10;
    }
    return at == start ? start - 1 : at;
}

/* Z, +hh:mm or +hhmm. Returns the new position, or 0 if there is none. */
static size_t parse_zone(const char *text, size_t size, size_t at, int *ret_offset_minutes)
{
    int hours;
    int minutes;
    size_t colon;

    *ret_offset_minutes = 0;
    if (at < size && (text[at] == 'Z' || text[at] == 'z')) {
        return at + 1;
    }
    if (at + 5 > size || (text[at] != '+' && text[at] != '-')) {
        return 0;
    }
    colon = text[at + 3] == ':' ? 1 : 0;
    if (at + 5 + colon > size) {
        return 0;
    }
    hours = get_digits(text + at + 1, 2);
    minutes = get_digits(text + at + 3 + colon, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) {
        return 0;
    }
    *ret_offset_minutes = (text[at] == '-' ? -1 : 1) * (hours * 60 + minutes);
    return at + 5 + colon;
}

int mr_time_parse(const char *text, size_t size, int64_t *ret_time_us, size_t *ret_size)
{
    enum { CIVIL_SIZE = 19 };
    struct mr_civil civil;
    int offset_minutes;
    size_t at;

    if (size < CIVIL_SIZE + 1 || parse_civil(text, &civil) != 0) {
        return MR_EINVAL;
    }
    at = parse_fraction(text, size, CIVIL_SIZE, &civil.microsecond);
    at = parse_zone(text, size, at, &offset_minutes);
    if (at == 0) {
        return MR_EINVAL;
    }
    *ret_time_us = mr_civil_to_us(&civil) - offset_minutes * 60 * SECOND_US;
    *ret_size = at;
    return 0;
}

void mr_duration_human(int64_t duration_us, char text[MR_HUMAN_TEXT_SIZE])
{
    const char *sign = duration_us < 0 ? "-" : "";
    uint64_t us = duration_us < 0 ? 0 - (uint64_t)duration_us : (uint64_t)duration_us;
    uint64_t seconds = us / 1000000;

    if (us == 0) {
        (void)snprintf(text, MR_HUMAN_TEXT_SIZE, "0ms");
    } else if (us < 1000) {
        (void)snprintf(text, MR_HUMAN_TEXT_SIZE, "%s%" PRIu64 "us", sign, us);
    } else if (us < 1000000) {
        (void)snprintf(text, MR_HUMAN_TEXT_SIZE, "%s%" PRIu64 "ms", sign, us / 1000);
    } else if (seconds < 60) {
        (void)snprintf(text, MR_HUMAN_TEXT_SIZE, "%s%" PRIu64 ".%" PRIu64 "s", sign, seconds,
                       us / 100000 % 10);
    } else if (seconds < 3600) {
        (void)snprintf(text, MR_HUMAN_TEXT_SIZE, "%s%" PRIu64 "m %" PRIu64 "s", sign, seconds / 60,
                       seconds % 60);
    } else if (seconds < 86400) {
        (void)snprintf(text, MR_HUMAN_TEXT_SIZE, "%s%" PRIu64 "h %" PRIu64 "m", sign,
                       seconds / 3600, seconds / 60 % 60);
    } else {
        (void)snprintf(text, MR_HUMAN_TEXT_SIZE, "%s%" PRIu64 "d %" PRIu64 "h", sign,
                       seconds / 86400, seconds / 3600 % 24);
    }
}

void mr_size_human(int64_t size_bytes, char text[MR_HUMAN_TEXT_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)size_bytes;
    double magnitude = value < 0 ? -value : value;
    size_t unit = 0;

    /* 1023.95 would be shown as 1024.0. */
    while (magnitude >= (unit == 0 ? 1024 : 1023.95) && unit + 1 < sizeof units / sizeof units[0]) {
        magnitude /= 1024;
        value /= 1024;
        unit++;
    }
    if (unit == 0) {
        (void)snprintf(text, MR_HUMAN_TEXT_SIZE, "%" PRId64 " B", size_bytes);
    } else {
        int decimals = magnitude < 9.995 ? 2 : magnitude < 99.95 ? 1 : 0;

        (void)snprintf(text, MR_HUMAN_TEXT_SIZE, "%.*f %s", decimals, value, units[unit]);
    }
}
